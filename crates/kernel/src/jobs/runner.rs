//! Workers: claim, run, heartbeat, end.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures_util::FutureExt;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::{
    Context, Handler, Job, JobError, JobState, Registry,
    claim::{Terms, Turns},
};
use crate::{Error, Kernel, Result, Timestamp, error::code, lifecycle};

/// How often the process may die under a job. Restarts and power cuts are not the job's fault, so they are no attempts; a job that kills
/// every process that takes it must end all the same.
const MAX_DEATHS: i64 = 10;

/// How many workers there are and how patient they are.
#[derive(Debug, Clone)]
pub struct RunnerConfig {
    /// Jobs that run at the same time in this process.
    pub workers: usize,
    /// How long a claim lasts without a heartbeat; a dead worker's job starts again after at most this plus a poll.
    pub lease: Duration,
    /// How often a worker looks for work without a wake.
    pub poll: Duration,
    /// The first delay before another attempt; it doubles with each, with jitter.
    pub backoff: Duration,
    /// Jobs of one tenant that run at a time in the whole installation; 0 for any number.
    pub per_tenant: i64,
}

impl Default for RunnerConfig {
    fn default() -> Self {
        Self { workers: 4, lease: Duration::from_secs(10), poll: Duration::from_secs(1), backoff: Duration::from_secs(2), per_tenant: 0 }
    }
}

/// The workers of one process.
#[derive(Clone)]
pub struct Runner {
    kernel: Kernel,
    registry: Arc<Registry>,
    config: RunnerConfig,
    owner: String,
    kinds: Arc<BTreeMap<&'static str, i64>>,
    turns: Arc<Turns>,
}

impl Runner {
    /// Workers for the registered kinds. `owner` names this process in the job rows.
    pub fn new(kernel: Kernel, registry: Registry, config: RunnerConfig, owner: String) -> Self {
        let kinds = Arc::new(registry.limits());
        Self { kernel, registry: Arc::new(registry), config, owner, kinds, turns: Arc::default() }
    }

    /// Starts the workers; they stop with the kernel's lifecycle.
    pub fn start(&self) {
        for _ in 0..self.config.workers {
            let worker = self.clone();
            self.kernel.lifecycle.spawn("job worker", async move { worker.work().await });
        }
    }

    async fn work(&self) {
        while !self.kernel.lifecycle.is_stopping() {
            // A handler's own panics are contained in `run_one`; one around it must not cost the process a worker.
            match std::panic::AssertUnwindSafe(self.run_one()).catch_unwind().await {
                Ok(Ok(true)) => continue,
                Ok(Ok(false)) => {}
                Ok(Err(error)) => tracing::warn!(error = ?error, "a worker could not claim or end a job"),
                Err(panic) => lifecycle::report_panic("job worker", panic.as_ref()),
            }
            tokio::select! {
                () = self.kernel.lifecycle.stopping() => return,
                () = self.kernel.db.wakes().job() => {}
                () = tokio::time::sleep(self.config.poll) => {}
            }
        }
    }

    /// Claims and runs one job. Returns whether there was one.
    ///
    /// # Errors
    /// When the database cannot be reached; the job's own errors are recorded in its row.
    pub async fn run_one(&self) -> Result<bool> {
        let mut tx = self.kernel.db.write_all().await?;
        let Self { owner, turns, kinds, config, .. } = self;
        let terms = Terms { owner, lease: config.lease, per_tenant: config.per_tenant, kinds, turns };
        let Some(job) = tx.claim(&terms, self.kernel.now()).await? else {
            return Ok(false);
        };
        tx.commit().await?;
        // There may be more where this came from: wake the next worker before starting.
        self.kernel.db.wakes().more_jobs();
        let stop = CancellationToken::new();
        let context = Context::new(self.kernel.clone(), job, stop.clone());
        let job = &context.job;
        let Some(handler) = self.registry.get(&job.kind).cloned() else {
            let error = Error::internal(format_args!("no handler for jobs of kind {}", job.kind));
            self.finish(None, &context, Err(error)).await?;
            return Ok(true);
        };
        if job.deaths > MAX_DEATHS {
            let error = Error::new(code::INTERNAL, format!("the process died {} times while it worked on this", job.deaths));
            self.finish(Some(&*handler), &context, Err(error)).await?;
            return Ok(true);
        }
        let started = self.kernel.now();
        let result = {
            // A trace of its own, which ends with the attempt; `doc_id` is what operators search by.
            let doc_id = job.subject.starts_with("doc_").then_some(job.subject.as_str());
            let span = tracing::info_span!(parent: None, "job", otel.name = job.kind, kind = job.kind, job_id = %job.id, tenant_id = %job.tenant, doc_id, attempt = job.attempts);
            tokio::select! {
                result = lifecycle::contained("job", handler.run(&context).instrument(span)) => result,
                ended = self.keep(job, &stop) => Err(ended),
            }
        };
        stop.cancel();
        let (kind, ended) = (handler.kind(), context.ready.load(Ordering::Acquire));
        let outcome = if ended || result.is_ok() { "ready" } else { "error" };
        metrics::histogram!("job_duration_seconds", "kind" => kind, "outcome" => outcome)
            .record(self.kernel.now().since(started).as_secs_f64());
        if !ended {
            self.finish(Some(&*handler), &context, result).await?;
        }
        Ok(true)
    }

    /// Renews the lease until the job must stop, and says why.
    async fn keep(&self, job: &Job, stop: &CancellationToken) -> Error {
        let beat = (self.config.lease / 4).min(Duration::from_millis(500));
        let mut last_renewal = self.kernel.now();
        loop {
            tokio::select! {
                () = tokio::time::sleep(beat) => {}
                () = self.kernel.lifecycle.stopping() => {
                    stop.cancel();
                    return Error::new(code::SHUTTING_DOWN, "the process is stopping");
                }
            }
            match self.beat(job, &mut last_renewal).await {
                Ok(None) => {}
                Ok(Some(error)) => {
                    stop.cancel();
                    return error;
                }
                Err(error) => {
                    tracing::warn!(job_id = %job.id, error = ?error, "a lease could not be renewed");
                    if self.kernel.now().since(last_renewal) > self.config.lease {
                        stop.cancel();
                        return Error::new(code::CONFLICT, "the lease ran out");
                    }
                }
            }
        }
    }

    async fn beat(&self, job: &Job, last_renewal: &mut Timestamp) -> Result<Option<Error>> {
        // Looking is a read, which SQLite grants to everyone at once; the renewal, a write, comes at a third of the lease.
        match self.kernel.db.read(job.tenant).await?.cancel_requested(job.id, job.fence).await? {
            Some(false) => {}
            _ => return Ok(Some(Error::new(code::CONFLICT, "the job was canceled or another worker has it"))),
        }
        let now = self.kernel.now();
        if now.since(*last_renewal) > self.config.lease / 3 {
            let mut tx = self.kernel.db.write(job.tenant).await?;
            let ours = tx.renew(job.id, job.fence, now, self.config.lease).await?;
            tx.commit().await?;
            if !ours {
                return Ok(Some(Error::new(code::CONFLICT, "the job was canceled or another worker has it")));
            }
            *last_renewal = now;
        }
        Ok(None)
    }

    async fn finish(&self, handler: Option<&dyn Handler>, context: &Context, result: Result<()>) -> Result<()> {
        let (job, now) = (&context.job, self.kernel.now());
        let mut tx = self.kernel.db.write(job.tenant).await?;
        context.flush_progress(&mut tx).await?;
        let Err(error) = &result else {
            // A cancel that came after the last step changes nothing: the work is done.
            tx.end(job, JobState::Ready, None, now).await?;
            return tx.commit().await;
        };
        if let Some(again) = self.again(job, error, now) {
            let refund = again.error.is_none();
            if tx.requeue(job, again.at, again.error.as_ref(), refund, now).await? {
                return tx.commit().await;
            }
        }
        // After the attempt to requeue: a cancel that came before it has kept the job from going back, one that comes later finds it queued.
        let canceled = tx.cancel_requested(job.id, job.fence).await?.unwrap_or(false);
        let state = if canceled { JobState::Canceled } else { JobState::Failed };
        let record = (state == JobState::Failed).then(|| JobError::from(error));
        if tx.end(job, state, record.as_ref(), now).await? {
            if state == JobState::Failed {
                metrics::counter!("jobs_failed_total", "kind" => job.kind.clone()).increment(1);
                tracing::warn!(job_id = %job.id, kind = job.kind, subject = job.subject, error = ?error, "a job failed");
            }
            if let Some(handler) = handler {
                let mut ended = job.clone();
                ended.state = state;
                ended.error = record;
                handler.ended(&mut tx, &ended, now).await?;
            }
        }
        tx.commit().await
    }

    /// When a job that went wrong is to be tried again, if it is.
    fn again(&self, job: &Job, error: &Error, now: Timestamp) -> Option<Again> {
        if error.code() == code::SHUTTING_DOWN && self.kernel.lifecycle.is_stopping() {
            return Some(Again { at: now, error: None });
        }
        if !error.is_transient() || job.attempts >= job.max_attempts || job.deaths > MAX_DEATHS {
            return None;
        }
        let exponent = u32::try_from(job.attempts.saturating_sub(1)).unwrap_or(0).min(10);
        let base = error.retry_after().unwrap_or(self.config.backoff * 2u32.pow(exponent));
        // Half of it is chance, so that jobs which failed together do not come back together; what a server asked for is waited in full.
        let half = base.as_millis().try_into().unwrap_or(u64::MAX) / 2;
        let chance = Duration::from_millis(self.kernel.random.below(half + 1));
        let wait = if error.retry_after().is_some() { base + chance } else { base / 2 + chance };
        tracing::warn!(job_id = %job.id, kind = job.kind, attempt = job.attempts, error = ?error, "a job will be tried again");
        Some(Again { at: now.plus(wait), error: Some(JobError::from(error)) })
    }
}

/// Another attempt; without an error when the process stopped and the job did nothing wrong.
struct Again {
    at: Timestamp,
    error: Option<JobError>,
}
