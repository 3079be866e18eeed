//! What is told of jobs: lists, dead letters, counts; and how old ones go.

use serde::Serialize;
use utoipa::ToSchema;

use super::{Job, JobError, JobState, queue::COLUMNS};
use crate::{
    Id, Result, Timestamp, Tx, args,
    db::{Arg, FromRow, Row},
    principal::TenantId,
};

/// Attempts of one job that are told at most, the newest.
const ATTEMPTS: i64 = 50;

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

/// An attempt that did not go well.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct JobAttempt {
    /// The worker that made it.
    pub worker: String,
    /// `tried_again`, `failed`, `canceled`, or `died`: the process ended, or was cut off, under it.
    #[schema(example = "tried_again")]
    pub outcome: String,
    /// What went wrong; null when nobody lived to tell.
    pub error: Option<JobError>,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended, or was found to have.
    pub ended_at: Timestamp,
}

impl FromRow for JobAttempt {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self {
            worker: row.get("worker")?,
            outcome: row.get("outcome")?,
            error: JobError::of_row(row)?,
            started_at: row.time("started_at")?,
            ended_at: row.time("ended_at")?,
        })
    }
}

/// Jobs of one kind in one state.
#[derive(Debug, Clone)]
pub struct JobCount {
    /// The kind.
    pub kind: String,
    /// `queued`, `running` or `failed`.
    pub state: String,
    /// How many.
    pub count: i64,
    /// Since when the oldest of them could run, runs, or has failed.
    pub oldest: Timestamp,
}

impl FromRow for JobCount {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self { kind: row.get("kind")?, state: row.get("state")?, count: row.get("n")?, oldest: row.time("oldest")? })
    }
}

impl Tx {
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

    /// The attempts of a job that did not go well, oldest first; the newest 50 of them.
    pub async fn job_attempts(&mut self, tenant: TenantId, id: Id<Job>) -> Result<Vec<JobAttempt>> {
        let sql = "SELECT worker, outcome, error_code, error_message, started_at, ended_at FROM job_attempts
                   WHERE tenant_id = $1 AND job_id = $2 ORDER BY fence DESC LIMIT $3";
        let mut attempts: Vec<JobAttempt> = self.all(sql, args![tenant, id, ATTEMPTS]).await?;
        attempts.reverse();
        Ok(attempts)
    }

    /// Failed jobs of a kind, oldest first, at most `limit`.
    pub async fn failed_jobs(&mut self, tenant: TenantId, kind: &str, after: &str, limit: i64) -> Result<Vec<Job>> {
        let sql =
            format!("SELECT {COLUMNS} FROM jobs WHERE tenant_id = $1 AND kind = $2 AND state = 'failed' AND id > $3 ORDER BY id LIMIT $4");
        self.all(sql, args![tenant, kind, after, limit]).await
    }

    /// Removes jobs that were done or canceled before a moment, at most `limit` of them, and tells how many it removed. Failed ones stay:
    /// they are the list of what somebody has to look at.
    pub async fn prune_jobs(&mut self, before: Timestamp, limit: i64) -> Result<u64> {
        let which = "SELECT id FROM jobs WHERE state IN ('ready', 'canceled') AND finished_at < $1 ORDER BY id LIMIT $2";
        let gone: Vec<String> = self.all(format!("DELETE FROM jobs WHERE id IN ({which}) RETURNING id"), args![before, limit]).await?;
        for job in &gone {
            self.execute("DELETE FROM job_attempts WHERE job_id = $1", args![job]).await?;
        }
        Ok(gone.len() as u64)
    }

    /// How many jobs of each kind wait, run and have failed, and since when.
    pub async fn job_counts(&mut self) -> Result<Vec<JobCount>> {
        self.all(
            "SELECT kind, state, COUNT(*) AS n, MIN(CASE state WHEN 'queued' THEN run_at WHEN 'running' THEN COALESCE(started_at, updated_at) ELSE updated_at END) AS oldest FROM jobs
             WHERE state IN ('queued', 'running', 'failed') GROUP BY kind, state",
            &[] as &[Arg],
        )
        .await
    }
}
