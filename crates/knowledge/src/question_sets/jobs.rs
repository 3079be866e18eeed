//! The job that runs a question set.

use std::time::Instant;

use astrolabe_kernel::{
    Error, Id, Principal, Result, Timestamp, Tx,
    http::{Caller, Trace},
    jobs::{Context, Handler, Job, JobState},
};
use futures_util::future::BoxFuture;

use super::{KIND, QuestionResult, QuestionSetRun, RunFigures, Verdict, judge, store};
use crate::{Knowledge, answers::AskRequest};

/// Asks the questions of a run, one after another: a measurement of latency that loads the machine measures its own load.
pub struct RunQuestionSet(pub Knowledge);

impl Handler for RunQuestionSet {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn run<'a>(&'a self, context: &'a Context) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.ask_all(context))
    }

    fn retried<'a>(&'a self, tx: &'a mut Tx, job: &'a Job, now: Timestamp) -> BoxFuture<'a, Result<()>> {
        Box::pin(set_state(tx, job, JobState::Queued, now))
    }

    fn ended<'a>(&'a self, tx: &'a mut Tx, job: &'a Job, now: Timestamp) -> BoxFuture<'a, Result<()>> {
        Box::pin(set_state(tx, job, job.state, now))
    }
}

/// Brings the run of a job to a state. A run that is ready stays so: its work was done before the process died.
async fn set_state(tx: &mut Tx, job: &Job, state: JobState, now: Timestamp) -> Result<()> {
    let Ok(id) = job.subject.parse::<Id<QuestionSetRun>>() else { return Ok(()) };
    let error = job.error.as_ref().filter(|_| state == JobState::Failed);
    match store::run(tx, job.tenant, None, id).await? {
        Some(run) if run.state != JobState::Ready => {
            store::set_run_state(tx, job.tenant, id, state, error, None, now).await.map_err(super::routes::busy)
        }
        _ => Ok(()),
    }
}

impl RunQuestionSet {
    async fn ask_all(&self, context: &Context) -> Result<()> {
        let tenant = context.job.tenant;
        let id: Id<QuestionSetRun> = context.job.subject.parse()?;
        let mut tx = context.write().await?;
        let Some(run) = store::run(&mut tx, tenant, None, id).await?.filter(|r| r.state != JobState::Ready) else { return Ok(()) };
        let Some(set) = store::get(&mut tx, tenant, run.question_set_id).await? else { return Ok(()) };
        store::set_run_state(&mut tx, tenant, id, JobState::Running, None, None, context.kernel.now()).await?;
        let pending = store::results(&mut tx, tenant, id).await?;
        tx.commit().await?;
        let caller = Caller {
            principal: Principal::service("eval", tenant),
            trace: Trace::background(&context.kernel.random),
            idempotency_key: None,
            address: None,
        };
        let sources: Vec<String> = set.sources.iter().map(ToString::to_string).collect();
        // A source that is gone is a fault of the set, and not of each of its questions.
        self.0.resolve_sources(&caller.principal, Some(&sources)).await?;
        for (ordinal, result) in pending.into_iter().enumerate() {
            if result.verdict.is_none() {
                let (verdict, result) = self.ask(&caller, &sources, result).await?;
                let mut tx = context.write().await?;
                store::put_result(&mut tx, tenant, id, ordinal, verdict, &result).await?;
                tx.commit().await?;
            }
            context.progress("ask", i64::try_from(ordinal + 1).unwrap_or(run.total), run.total).await?;
        }
        let mut tx = context.write().await?;
        let figures = RunFigures::of(&store::results(&mut tx, tenant, id).await?);
        store::set_run_state(&mut tx, tenant, id, JobState::Ready, None, Some(&figures), context.kernel.now()).await?;
        tx.commit().await
    }

    /// Asks one question. A fault that passes is the job's, which is tried again; any other is the question's.
    async fn ask(&self, caller: &Caller, sources: &[String], mut result: QuestionResult) -> Result<(Verdict, QuestionResult)> {
        let request = AskRequest {
            question: result.question.question.clone(),
            sources: (!sources.is_empty()).then(|| sources.to_vec()),
            ..AskRequest::default()
        };
        let started = Instant::now();
        let answer = async { self.0.start_ask(caller, request).await?.result().await }.await;
        result.milliseconds = Some((started.elapsed().as_secs_f64() * 100_000.0).round() / 100.0);
        match answer {
            Ok(answer) => {
                let verdict = judge(&result.question, &answer);
                result.answer = answer.answer;
                result.documents = answer.citations.into_iter().map(|c| c.document).collect();
                Ok((verdict, result))
            }
            Err(error) if error.is_transient() => Err(error),
            Err(error) => {
                result.answer = Error::message(&error).to_owned();
                Ok((Verdict::Failed, result))
            }
        }
    }
}
