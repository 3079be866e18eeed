//! How jobs come into the table and change there.

use std::time::Duration;

use super::{Job, JobError, JobState};
use crate::{
    Error, Id, Result, Timestamp, Tx, args,
    db::{FromRow, Row, Wake, is_unique_violation},
    error::code,
    principal::TenantId,
};

pub(super) const COLUMNS: &str = "id, tenant_id, kind, subject, payload, state, attempts, deaths, max_attempts, fence, done, total, stage, error_code, error_message, \
                       created_at, updated_at, started_at, finished_at, version";

/// The stream that is woken when a job changes.
#[must_use]
pub fn stream(id: Id<Job>) -> String {
    format!("job:{id}")
}

impl FromRow for Job {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self {
            id: row.id("id")?,
            tenant: row.id("tenant_id")?,
            kind: row.get("kind")?,
            subject: row.get("subject")?,
            payload: row.get("payload")?,
            state: JobState::parse(&row.get::<String>("state")?)?,
            attempts: row.get("attempts")?,
            deaths: row.get("deaths")?,
            max_attempts: row.get("max_attempts")?,
            fence: row.get("fence")?,
            done: row.get("done")?,
            total: row.get("total")?,
            stage: row.get("stage")?,
            error: JobError::of_row(row)?,
            created_at: row.time("created_at")?,
            updated_at: row.time("updated_at")?,
            started_at: row.optional_time("started_at")?,
            finished_at: row.optional_time("finished_at")?,
            version: row.get("version")?,
            worker: String::new(),
        })
    }
}

/// A job to enqueue.
#[derive(Debug, Clone)]
pub struct NewJob<'a> {
    /// Its id, made by the caller.
    pub id: Id<Job>,
    /// Whose it is.
    pub tenant: TenantId,
    /// What is to be done.
    pub kind: &'static str,
    /// What it is to be done to.
    pub subject: &'a str,
    /// Its arguments.
    pub payload: serde_json::Value,
    /// Higher runs first among those of the tenant; 0 is usual.
    pub priority: i64,
    /// How long it waits at least.
    pub delay: Duration,
    /// Of open jobs of a tenant with the same key there is one.
    pub key: Option<&'a str>,
}

/// How often a job is started before it is given up.
const MAX_ATTEMPTS: i64 = 3;

impl<'a> NewJob<'a> {
    /// A job that runs as soon as a worker is free.
    #[must_use]
    pub fn new(id: Id<Job>, tenant: TenantId, kind: &'static str, subject: &'a str, payload: serde_json::Value) -> Self {
        Self { id, tenant, kind, subject, payload, priority: 0, delay: Duration::ZERO, key: None }
    }
}

impl Tx {
    /// Enqueues a job with this transaction; workers are woken after the commit. Returns its id, or that of the open job with the same key.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn enqueue(&mut self, job: NewJob<'_>, now: Timestamp) -> Result<Id<Job>> {
        let made = self
            .execute(
                "INSERT INTO jobs (id, tenant_id, kind, subject, payload, state, priority, attempts, max_attempts, run_at, fence, cancel_requested,
                                   done, total, stage, created_at, updated_at, unique_key)
                 VALUES ($1, $2, $3, $4, $5, 'queued', $6, 0, $7, $8, 0, FALSE, 0, 0, '', $9, $9, $10)
                 ON CONFLICT (tenant_id, unique_key) WHERE state IN ('queued', 'running') DO NOTHING",
                args![
                    job.id,
                    job.tenant,
                    job.kind,
                    job.subject,
                    job.payload,
                    job.priority,
                    MAX_ATTEMPTS,
                    now.plus(job.delay),
                    now,
                    job.key.map(str::to_owned)
                ],
            )
            .await?;
        self.after_commit(Wake::Jobs);
        match job.key {
            Some(key) if made == 0 => {
                let sql = "SELECT id FROM jobs WHERE tenant_id = $1 AND unique_key = $2 AND state IN ('queued', 'running')";
                let open: Option<Id<Job>> = self.optional::<String>(sql, args![job.tenant, key]).await?.map(|id| id.parse()).transpose()?;
                open.ok_or_else(|| Error::new(code::CONFLICT, "a job with the same key is ending at this moment"))
            }
            _ => Ok(job.id),
        }
    }

    /// A job of a tenant.
    pub async fn job(&mut self, tenant: TenantId, id: Id<Job>) -> Result<Option<Job>> {
        self.optional(format!("SELECT {COLUMNS} FROM jobs WHERE tenant_id = $1 AND id = $2"), args![tenant, id]).await
    }

    /// Renews a lease. Returns whether the job may go on: it is still ours and nobody canceled it.
    pub(super) async fn renew(&mut self, id: Id<Job>, fence: i64, now: Timestamp, lease: Duration) -> Result<bool> {
        let ours = self
            .execute(
                "UPDATE jobs SET lease_until = $1 WHERE id = $2 AND fence = $3 AND state = 'running' AND cancel_requested = FALSE",
                args![now.plus(lease), id, fence],
            )
            .await?;
        Ok(ours == 1)
    }

    /// Whether somebody asked for the end of a job that this fence holds, or `None` when the lease was lost.
    pub(super) async fn cancel_requested(&mut self, id: Id<Job>, fence: i64) -> Result<Option<bool>> {
        self.optional("SELECT cancel_requested FROM jobs WHERE id = $1 AND fence = $2 AND state = 'running'", args![id, fence]).await
    }

    /// Ends a job that this fence holds. Returns whether it did.
    pub(super) async fn end(&mut self, job: &Job, state: JobState, error: Option<&JobError>, now: Timestamp) -> Result<bool> {
        let changed = self
            .execute(
                "UPDATE jobs SET state = $1, error_code = $2, error_message = $3, lease_owner = NULL, lease_until = NULL, updated_at = $4, finished_at = $4,
                        version = version + 1
                 WHERE id = $5 AND fence = $6 AND state = 'running'",
                args![state.as_str(), error.map(|e| e.code.clone()), error.map(|e| e.message.clone()), now, job.id, job.fence],
            )
            .await?;
        if changed == 1 {
            if state != JobState::Ready {
                self.keep_attempt(job, state.as_str(), error, now).await?;
            }
            self.after_commit(Wake::Stream(stream(job.id)));
        }
        Ok(changed == 1)
    }

    /// Puts a job that this fence holds back to wait until `run_at`, unless somebody asked for its end. Returns whether it did. `refund` gives the attempt back: the process stopped, the job did nothing wrong.
    pub(super) async fn requeue(
        &mut self,
        job: &Job,
        run_at: Timestamp,
        error: Option<&JobError>,
        refund: bool,
        now: Timestamp,
    ) -> Result<bool> {
        let changed = self
            .execute(
                "UPDATE jobs SET state = 'queued', run_at = $1, error_code = $2, error_message = $3, lease_owner = NULL, lease_until = NULL, updated_at = $4,
                        attempts = attempts - $5, version = version + 1 WHERE id = $6 AND fence = $7 AND state = 'running' AND cancel_requested = FALSE",
                args![run_at, error.map(|e| e.code.clone()), error.map(|e| e.message.clone()), now, i64::from(refund), job.id, job.fence],
            )
            .await?;
        if changed == 1 {
            if !refund {
                self.keep_attempt(job, "tried_again", error, now).await?;
            }
            self.after_commit(Wake::Stream(stream(job.id)));
        }
        self.after_commit(Wake::Jobs);
        Ok(changed == 1)
    }

    /// Keeps what became of an attempt.
    async fn keep_attempt(&mut self, job: &Job, outcome: &str, error: Option<&JobError>, now: Timestamp) -> Result<()> {
        self.execute(
            "INSERT INTO job_attempts (job_id, fence, tenant_id, worker, outcome, error_code, error_message, started_at, ended_at)
             SELECT id, fence, tenant_id, COALESCE(lease_owner, $1), $2, $3, $4, COALESCE(started_at, created_at), $5 FROM jobs WHERE id = $6
             ON CONFLICT DO NOTHING",
            args![&job.worker, outcome, error.map(|e| e.code.clone()), error.map(|e| e.message.clone()), now, job.id],
        )
        .await?;
        Ok(())
    }

    /// Asks for the end of a job. A queued one ends at once (the caller then brings its subject to the same end, with
    /// [`super::Handler::ended`]); a running one is stopped by its worker within a second. Returns the job as it is now.
    ///
    /// # Errors
    /// `not_found`; `invalid_state` when it is over already.
    pub async fn request_cancel(&mut self, tenant: TenantId, id: Id<Job>, now: Timestamp) -> Result<Job> {
        let ended: Option<Job> = self
            .optional(
                format!(
                    "UPDATE jobs SET state = 'canceled', updated_at = $1, finished_at = $1, version = version + 1 WHERE tenant_id = $2 AND id = $3 AND state = 'queued' RETURNING {COLUMNS}"
                ),
                args![now, tenant, id],
            )
            .await?;
        self.after_commit(Wake::Stream(stream(id)));
        if let Some(job) = ended {
            return Ok(job);
        }
        self.execute(
            "UPDATE jobs SET cancel_requested = TRUE, updated_at = $1, version = version + 1 WHERE tenant_id = $2 AND id = $3 AND state = 'running'",
            args![now, tenant, id],
        )
        .await?;
        let job = self.job(tenant, id).await?.ok_or_else(|| Error::not_found("job"))?;
        if job.state.is_over() {
            return Err(Error::new(code::INVALID_STATE, format!("the job is {} already", job.state.as_str())));
        }
        Ok(job)
    }

    /// Starts a failed or canceled job again, with its attempts counted anew.
    ///
    /// # Errors
    /// `not_found`; `invalid_state` when it has not failed and was not canceled.
    pub async fn retry_job(&mut self, tenant: TenantId, id: Id<Job>, now: Timestamp) -> Result<Job> {
        let job: Option<Job> = self
            .optional(
                format!(
                    "UPDATE jobs SET state = 'queued', attempts = 0, deaths = 0, run_at = $1, cancel_requested = FALSE, error_code = NULL, error_message = NULL, done = 0,
                            total = 0, stage = '', updated_at = $1, started_at = NULL, finished_at = NULL, version = version + 1
                     WHERE tenant_id = $2 AND id = $3 AND state IN ('failed', 'canceled') RETURNING {COLUMNS}"
                ),
                args![now, tenant, id],
            )
            .await
            .map_err(|error| match is_unique_violation(&error) {
                true => Error::new(code::INVALID_STATE, "another job with the same key is queued or running: there is nothing to retry"),
                false => error,
            })?;
        self.after_commit(Wake::Jobs);
        self.after_commit(Wake::Stream(stream(id)));
        match job {
            Some(job) => Ok(job),
            None => match self.job(tenant, id).await? {
                Some(job) => Err(Error::new(
                    code::INVALID_STATE,
                    format!("the job is {}: only failed and canceled ones can be retried", job.state.as_str()),
                )),
                None => Err(Error::not_found("job")),
            },
        }
    }
}
