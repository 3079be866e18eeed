//! The job table's statements.

use std::time::Duration;

use super::{Job, JobError, JobState};
use crate::{
    Error, Id, Result, Timestamp, Tx, args,
    db::{Arg, Dialect, FromRow, Row, Wake},
    error::code,
    principal::TenantId,
};

const COLUMNS: &str = "id, tenant_id, kind, subject, payload, state, attempts, deaths, max_attempts, fence, done, total, stage, error_code, error_message, \
                       created_at, updated_at, finished_at";

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
            finished_at: row.optional_time("finished_at")?,
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
    /// Higher runs first; 0 is usual.
    pub priority: i64,
}

/// Which jobs to list.
#[derive(Debug, Clone, Default)]
pub struct JobFilter<'a> {
    /// Only this state.
    pub state: Option<JobState>,
    /// Only this kind.
    pub kind: Option<&'a str>,
    /// Only about this subject.
    pub subject: Option<&'a str>,
}

/// How often a job is started before it is given up.
const MAX_ATTEMPTS: i64 = 3;

impl Tx {
    /// Enqueues a job with this transaction; workers are woken after the commit.
    pub async fn enqueue(&mut self, job: NewJob<'_>, now: Timestamp) -> Result<()> {
        self.execute(
            "INSERT INTO jobs (id, tenant_id, kind, subject, payload, state, priority, attempts, max_attempts, run_at, fence, cancel_requested,
                               done, total, stage, created_at, updated_at)
             VALUES ($1, $2, $3, $4, $5, 'queued', $6, 0, $7, $8, 0, FALSE, 0, 0, '', $8, $8)",
            args![job.id, job.tenant, job.kind, job.subject, job.payload, job.priority, MAX_ATTEMPTS, now],
        )
        .await?;
        self.after_commit(Wake::Jobs);
        Ok(())
    }

    /// A job of a tenant.
    pub async fn job(&mut self, tenant: TenantId, id: Id<Job>) -> Result<Option<Job>> {
        self.optional(format!("SELECT {COLUMNS} FROM jobs WHERE tenant_id = $1 AND id = $2"), args![tenant, id]).await
    }

    /// A tenant's jobs, newest first, after the cursor (an id, or empty); up to `limit + 1` rows.
    pub async fn jobs(&mut self, tenant: TenantId, filter: &JobFilter<'_>, after: &str, limit: i64) -> Result<Vec<Job>> {
        self.all(
            format!(
                "SELECT {COLUMNS} FROM jobs WHERE tenant_id = $1 AND ($2 = '' OR id < $2) AND ($3 = '' OR state = $3) AND ($4 = '' OR kind = $4)
                 AND ($5 = '' OR subject = $5) ORDER BY id DESC LIMIT $6"
            ),
            args![
                tenant,
                after,
                filter.state.map_or("", JobState::as_str),
                filter.kind.unwrap_or(""),
                filter.subject.unwrap_or(""),
                limit + 1
            ],
        )
        .await
    }

    /// Claims the job that should run next: queued and due, or running with a lease that ran out.
    pub(super) async fn claim(&mut self, owner: &str, now: Timestamp, lease: Duration) -> Result<Option<Job>> {
        let skip = if self.dialect() == Dialect::Postgres { "FOR UPDATE SKIP LOCKED" } else { "" };
        let expired: Option<String> = self
            .optional(
                format!("SELECT id FROM jobs WHERE state = 'running' AND lease_until < $1 ORDER BY lease_until LIMIT 1 {skip}"),
                args![now],
            )
            .await?;
        let count = if expired.is_some() { "deaths = deaths + 1" } else { "attempts = attempts + 1" };
        let id = match expired {
            Some(id) => Some(id),
            None => {
                self.optional(
                    format!(
                        "SELECT id FROM jobs WHERE state = 'queued' AND run_at <= $1 ORDER BY priority DESC, run_at, id LIMIT 1 {skip}"
                    ),
                    args![now],
                )
                .await?
            }
        };
        let Some(id) = id else { return Ok(None) };
        let job = self
            .one::<Job>(
                format!(
                    "UPDATE jobs SET state = 'running', {count}, fence = fence + 1, lease_owner = $1, lease_until = $2, updated_at = $3
                     WHERE id = $4 RETURNING {COLUMNS}"
                ),
                args![owner, now.plus(lease), now, id],
            )
            .await?;
        Ok(Some(job))
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
    pub(super) async fn end(&mut self, id: Id<Job>, fence: i64, state: JobState, error: Option<&JobError>, now: Timestamp) -> Result<bool> {
        let changed = self
            .execute(
                "UPDATE jobs SET state = $1, error_code = $2, error_message = $3, lease_owner = NULL, lease_until = NULL, updated_at = $4, finished_at = $4
                 WHERE id = $5 AND fence = $6 AND state = 'running'",
                args![state.as_str(), error.map(|e| e.code.clone()), error.map(|e| e.message.clone()), now, id, fence],
            )
            .await?;
        Ok(changed == 1)
    }

    /// Puts a job that this fence holds back to wait until `run_at`. `refund` gives the attempt back: the process stopped, the job did nothing wrong.
    pub(super) async fn requeue(
        &mut self,
        id: Id<Job>,
        fence: i64,
        run_at: Timestamp,
        error: Option<&JobError>,
        refund: bool,
        now: Timestamp,
    ) -> Result<bool> {
        let changed = self
            .execute(
                "UPDATE jobs SET state = 'queued', run_at = $1, error_code = $2, error_message = $3, lease_owner = NULL, lease_until = NULL, updated_at = $4,
                        attempts = attempts - $5 WHERE id = $6 AND fence = $7 AND state = 'running'",
                args![run_at, error.map(|e| e.code.clone()), error.map(|e| e.message.clone()), now, i64::from(refund), id, fence],
            )
            .await?;
        self.after_commit(Wake::Jobs);
        Ok(changed == 1)
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
                    "UPDATE jobs SET state = 'canceled', updated_at = $1, finished_at = $1 WHERE tenant_id = $2 AND id = $3 AND state = 'queued' RETURNING {COLUMNS}"
                ),
                args![now, tenant, id],
            )
            .await?;
        if let Some(job) = ended {
            return Ok(job);
        }
        self.execute(
            "UPDATE jobs SET cancel_requested = TRUE, updated_at = $1 WHERE tenant_id = $2 AND id = $3 AND state = 'running'",
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
                            total = 0, stage = '', updated_at = $1, finished_at = NULL
                     WHERE tenant_id = $2 AND id = $3 AND state IN ('failed', 'canceled') RETURNING {COLUMNS}"
                ),
                args![now, tenant, id],
            )
            .await?;
        self.after_commit(Wake::Jobs);
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

    /// Removes jobs that were done or canceled before a moment, at most `limit` of them, and tells how many it removed. Failed ones stay:
    /// they are the list of what somebody has to look at.
    pub async fn prune_jobs(&mut self, before: Timestamp, limit: i64) -> Result<u64> {
        self.execute(
            "DELETE FROM jobs WHERE id IN (SELECT id FROM jobs WHERE state IN ('ready', 'canceled') AND finished_at < $1 LIMIT $2)",
            args![before, limit],
        )
        .await
    }

    /// How many jobs are in a state, and since when the oldest of them waits.
    pub async fn job_counts(&mut self) -> Result<Vec<(String, String, i64, Timestamp)>> {
        struct Count(String, String, i64, Timestamp);
        impl FromRow for Count {
            fn from_row(row: &Row) -> Result<Self> {
                Ok(Self(row.get("kind")?, row.get("state")?, row.get("n")?, row.time("oldest")?))
            }
        }
        let rows: Vec<Count> = self
            .all(
                "SELECT kind, state, COUNT(*) AS n, MIN(run_at) AS oldest FROM jobs WHERE state IN ('queued', 'running') GROUP BY kind, state",
                &[] as &[Arg],
            )
            .await?;
        Ok(rows.into_iter().map(|c| (c.0, c.1, c.2, c.3)).collect())
    }
}
