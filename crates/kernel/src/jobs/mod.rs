//! Durable jobs. The SQL row is the only queue: it is written in the transaction of the change that needs the work, claimed with a
//! lease, and fenced, so that a worker that lost its lease cannot write. Wakes only make it faster.
//!
//! States: `queued → running → ready | failed | canceled`. A job that fails by a passing fault goes back to `queued` with a
//! growing delay until its attempts are used up (`docs/adr/0005-job-queue.md`).

mod claim;
mod lists;
mod queue;
mod runner;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::future::BoxFuture;
pub use lists::{JobAttempt, JobCount, JobFilter};
pub use queue::{NewJob, stream};
pub use runner::{Runner, RunnerConfig};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;

use crate::{
    Error, Id, Kernel, Result, Timestamp, Tx, args,
    db::{Row, Wake},
    error::code,
    id::Named,
    principal::{Principal, TenantId},
};

/// A job's row.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Job {
    /// Its id, `job_…`.
    pub id: Id<Job>,
    /// Whose it is.
    #[serde(skip, default = "crate::principal::default_tenant")]
    pub tenant: TenantId,
    /// What is done, such as `ingest_document`.
    pub kind: String,
    /// What it is done to: the id of a document, for instance.
    pub subject: String,
    /// Its arguments.
    #[serde(skip)]
    pub payload: String,
    /// Where it stands.
    pub state: JobState,
    /// How often it was tried.
    pub attempts: i64,
    /// How often a process died while it worked on it; such a start is no attempt.
    #[serde(skip)]
    pub deaths: i64,
    /// How often it may be started.
    pub max_attempts: i64,
    /// Rises with every claim; a writer that shows an older one is refused.
    #[serde(skip)]
    pub fence: i64,
    /// Steps done.
    pub done: i64,
    /// Steps in all, 0 while unknown.
    pub total: i64,
    /// The step at hand, empty before the start.
    pub stage: String,
    /// Why it failed, or why its last attempt did.
    pub error: Option<JobError>,
    /// When it was enqueued.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// When its last attempt began.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// Rises with every change: its place in the stream of the job's events.
    pub version: i64,
    /// Who has it, for whoever claimed it; empty for everybody else.
    #[serde(skip)]
    pub worker: String,
}

impl Named for Job {
    const PREFIX: &'static str = "job";
}

/// Why a job failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JobError {
    /// A public code.
    pub code: String,
    /// For people.
    pub message: String,
}

impl JobError {
    /// The error in a row's columns `error_code` and `error_message`.
    ///
    /// # Errors
    /// `internal` when there are no such columns.
    pub fn of_row(row: &Row) -> Result<Option<Self>> {
        let message = row.get::<Option<String>>("error_message")?.unwrap_or_default();
        Ok(row.get::<Option<String>>("error_code")?.map(|code| Self { code, message }))
    }
}

impl From<&Error> for JobError {
    fn from(error: &Error) -> Self {
        Self { code: error.code().name.to_owned(), message: error.message().to_owned() }
    }
}

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// Waits for a worker.
    Queued,
    /// A worker has it.
    Running,
    /// Done.
    Ready,
    /// Given up; `error` says why.
    Failed,
    /// Ended by a person.
    Canceled,
}

impl JobState {
    /// The state as stored and sent.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Ready => "ready",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
        }
    }

    /// The state of a stored text.
    ///
    /// # Errors
    /// `internal` when it is none of the five.
    pub fn parse(text: &str) -> Result<Self> {
        [Self::Queued, Self::Running, Self::Ready, Self::Failed, Self::Canceled]
            .into_iter()
            .find(|s| s.as_str() == text)
            .ok_or_else(|| Error::internal(format_args!("{text:?} is not a job state")))
    }

    /// Whether a job in this state is over.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Ready | Self::Failed | Self::Canceled)
    }
}

/// How the work of one kind is done. Handlers are registered once, at start.
pub trait Handler: Send + Sync + 'static {
    /// The kind of job it handles.
    fn kind(&self) -> &'static str;

    /// Does the work. It may be started again at any point, so each step must be safe to repeat.
    ///
    /// # Errors
    /// A transient error ([`Error::is_transient`]) is tried again later; any other ends the job as `failed`.
    fn run<'a>(&'a self, context: &'a Context) -> BoxFuture<'a, Result<()>>;

    /// Jobs of this kind that may run at a time in the whole installation; any number when nothing is said.
    fn at_a_time(&self) -> Option<i64> {
        None
    }

    /// Called in the transaction that ends a job as `failed` or `canceled`, to bring its subject to the same end.
    fn ended<'a>(&'a self, tx: &'a mut Tx, job: &'a Job, now: Timestamp) -> BoxFuture<'a, Result<()>>;

    /// Called in the transaction that starts a failed or canceled job again, to put its subject back to where it waits. An error
    /// leaves the job as it was: the subject may be gone, or a newer job may work on it.
    fn retried<'a>(&'a self, _tx: &'a mut Tx, _job: &'a Job, _now: Timestamp) -> BoxFuture<'a, Result<()>> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Whether somebody of the job's tenant may know of it, for its subject may be something that is not his to know of.
    fn may_read<'a>(&'a self, _tx: &'a mut Tx, _principal: &'a Principal, _job: &'a Job) -> BoxFuture<'a, Result<bool>> {
        Box::pin(std::future::ready(Ok(true)))
    }
}

/// The handlers of this process, by kind.
#[derive(Clone, Default)]
pub struct Registry(HashMap<&'static str, Arc<dyn Handler>>);

impl Registry {
    /// Adds a handler.
    pub fn add(&mut self, handler: Arc<dyn Handler>) {
        self.0.insert(handler.kind(), handler);
    }

    /// Every kind.
    pub fn kinds(&self) -> impl Iterator<Item = &'static str> {
        self.0.keys().copied()
    }

    /// The kinds that have a limit of their own.
    fn limits(&self) -> BTreeMap<&'static str, i64> {
        self.0.iter().filter_map(|(kind, handler)| Some((*kind, handler.at_a_time()?))).collect()
    }

    /// The handler of a kind.
    pub fn get(&self, kind: &str) -> Option<&Arc<dyn Handler>> {
        self.0.get(kind)
    }
}

/// What a running job knows of itself.
pub struct Context {
    /// The handles that work needs.
    pub kernel: Kernel,
    /// The job as it was claimed.
    pub job: Job,
    stop: CancellationToken,
    progress: Mutex<Progress>,
    /// Set when a transaction of the job's own has ended it.
    ready: AtomicBool,
}

/// How often progress is written by itself; in between it waits for the job's next transaction.
const PROGRESS_EVERY: Duration = Duration::from_millis(500);

/// How far a job is, and whether the row knows it.
struct Progress {
    stage: String,
    done: i64,
    total: i64,
    /// When it last came to the row.
    written: Timestamp,
    dirty: bool,
}

impl Context {
    fn new(kernel: Kernel, job: Job, stop: CancellationToken) -> Self {
        let progress = Progress { stage: job.stage.clone(), done: job.done, total: job.total, written: kernel.now(), dirty: false };
        Self { kernel, job, stop, progress: Mutex::new(progress), ready: AtomicBool::new(false) }
    }

    fn latest(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The job's arguments.
    ///
    /// # Errors
    /// `internal` when the payload is not a `T`.
    pub fn payload<T: serde::de::DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_str(&self.job.payload).map_err(|e| Error::internal(format_args!("payload of {}: {e}", self.job.id)))
    }

    /// Resolves when the work must end: the job was canceled, its lease was lost, or the process stops.
    pub async fn stopped(&self) {
        self.stop.cancelled().await;
    }

    /// A transaction that only the holder of the lease may commit: it locks the job's row and checks the fence. It brings the last
    /// [`Context::progress`] to the row.
    ///
    /// # Errors
    /// `conflict` when the job was canceled or its lease was lost.
    pub async fn write(&self) -> Result<Tx> {
        let mut tx = self.kernel.db.write(self.job.tenant).await?;
        let now = self.kernel.now();
        let (stage, done, total) = {
            let mut progress = self.latest();
            (progress.written, progress.dirty) = (now, false);
            (progress.stage.clone(), progress.done, progress.total)
        };
        let held = tx
            .execute(
                "UPDATE jobs SET updated_at = $1, stage = $2, done = $3, total = $4, version = version + 1
                 WHERE id = $5 AND fence = $6 AND state = 'running' AND cancel_requested = FALSE",
                args![now, stage, done, total, self.job.id, self.job.fence],
            )
            .await?;
        tx.after_commit(Wake::Stream(stream(self.job.id)));
        if held == 1 { Ok(tx) } else { Err(Error::new(code::CONFLICT, "the job was canceled or another worker has it")) }
    }

    /// Records how far the work is: in the job's row at most twice a second, because a commit for each small step costs more than the step, and
    /// otherwise with the job's next transaction or its end.
    ///
    /// # Errors
    /// As [`Context::write`].
    pub async fn progress(&self, stage: &str, done: i64, total: i64) -> Result<()> {
        let due = {
            let mut progress = self.latest();
            (progress.stage, progress.done, progress.total, progress.dirty) = (stage.to_owned(), done, total, true);
            self.kernel.now().since(progress.written) >= PROGRESS_EVERY
        };
        if due { self.write().await?.commit().await } else { Ok(()) }
    }

    /// Ends the job as ready and commits, so that its last change and its end are there together or not at all. What the handler returns
    /// afterwards is not looked at any more.
    ///
    /// # Errors
    /// As [`Context::write`], which `tx` is from.
    pub async fn commit_ready(&self, mut tx: Tx) -> Result<()> {
        if !tx.end(&self.job, JobState::Ready, None, self.kernel.now()).await? {
            return Err(Error::new(code::CONFLICT, "the job was canceled or another worker has it"));
        }
        tx.commit().await?;
        self.ready.store(true, Ordering::Release);
        Ok(())
    }

    /// Brings progress that no transaction has taken along to the row, in the transaction that ends the attempt.
    async fn flush_progress(&self, tx: &mut Tx) -> Result<()> {
        let (stage, done, total) = match &*self.latest() {
            progress if progress.dirty => (progress.stage.clone(), progress.done, progress.total),
            _ => return Ok(()),
        };
        let sql = "UPDATE jobs SET stage = $1, done = $2, total = $3 WHERE id = $4 AND fence = $5 AND state = 'running'";
        tx.execute(sql, args![stage, done, total, self.job.id, self.job.fence]).await?;
        Ok(())
    }
}
