//! The jobs console: what waits, runs and failed, with cancel and retry.
//!
//! A job and its subject end together: whoever cancels a waiting job calls its handler's
//! [`ended`](astrolabe_kernel::jobs::Handler::ended) in the same transaction, and whoever retries one calls
//! [`retried`](astrolabe_kernel::jobs::Handler::retried).

pub mod routes;

use astrolabe_kernel::{
    Error, Id, Kind, Principal, Result, Tx,
    audit::{Outcome, Record},
    http::Trace,
    jobs::{Job, JobFilter, JobState},
    page::Page,
};

use crate::Platform;

/// Jobs that are looked at for one page of a list at most: who may read little of much gets shorter pages.
const LOOKED_AT: usize = 1000;

impl Platform {
    /// A page of the jobs that somebody may know of; it may be short, and even empty, with more behind it.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub(crate) async fn jobs(&self, principal: &Principal, filter: &JobFilter<'_>, after: &str, limit: i64) -> Result<Page<Job>> {
        let mut tx = self.kernel().db.read(principal.tenant).await?;
        let full = usize::try_from(limit).unwrap_or(usize::MAX);
        let (mut items, mut after, mut looked_at) = (Vec::new(), after.to_owned(), 0);
        loop {
            // The store gives one more than it is asked for when there are more.
            let rows = tx.jobs(principal.tenant, filter, &after, limit).await?;
            let more = rows.len() > full;
            for job in rows.into_iter().take(full) {
                if items.len() == full {
                    return Ok(Page { items, next_cursor: Some(after) });
                }
                (after, looked_at) = (job.id.to_string(), looked_at + 1);
                if self.may_read_job(&mut tx, principal, &job).await? {
                    items.push(job);
                }
            }
            if !more || items.len() == full || looked_at >= LOOKED_AT {
                return Ok(Page { items, next_cursor: more.then_some(after) });
            }
        }
    }

    /// A job that somebody may know of.
    ///
    /// # Errors
    /// `not_found`.
    pub(crate) async fn job(&self, tx: &mut Tx, principal: &Principal, id: Id<Job>) -> Result<Job> {
        match tx.job(principal.tenant, id).await? {
            Some(job) if self.may_read_job(tx, principal, &job).await? => Ok(job),
            _ => Err(Error::not_found("job")),
        }
    }

    async fn may_read_job(&self, tx: &mut Tx, principal: &Principal, job: &Job) -> Result<bool> {
        match self.0.registry.get(&job.kind) {
            Some(handler) => handler.may_read(tx, principal, job).await,
            None => Ok(true),
        }
    }

    /// Ends a job: a waiting one at once, a running one within a second.
    ///
    /// # Errors
    /// `not_found`; `invalid_state` when it is over already.
    pub async fn cancel_job(&self, principal: &Principal, trace: &Trace, id: Id<Job>) -> Result<Job> {
        let kernel = self.kernel();
        let now = kernel.now();
        let mut tx = kernel.db.write(principal.tenant).await?;
        self.job(&mut tx, principal, id).await?;
        let job = tx.request_cancel(principal.tenant, id, now).await?;
        if job.state == JobState::Canceled
            && let Some(handler) = self.0.registry.get(&job.kind)
        {
            handler.ended(&mut tx, &job, now).await?;
        }
        tx.audit(kernel, record(principal, trace, "jobs.cancel", &job)).await?;
        tx.commit().await?;
        Ok(job)
    }

    /// Starts a failed or canceled job again.
    ///
    /// # Errors
    /// `not_found`; `invalid_state` when it has not failed and was not canceled, or when its subject says so.
    pub async fn retry_job(&self, principal: &Principal, trace: &Trace, id: Id<Job>) -> Result<Job> {
        let mut tx = self.kernel().db.write(principal.tenant).await?;
        self.job(&mut tx, principal, id).await?;
        let job = self.restart(&mut tx, principal, trace, id).await?;
        tx.commit().await?;
        Ok(job)
    }

    async fn restart(&self, tx: &mut Tx, principal: &Principal, trace: &Trace, id: Id<Job>) -> Result<Job> {
        let (kernel, now) = (self.kernel(), self.kernel().now());
        let job = tx.retry_job(principal.tenant, id, now).await?;
        if let Some(handler) = self.0.registry.get(&job.kind) {
            handler.retried(tx, &job, now).await?;
        }
        tx.audit(kernel, record(principal, trace, "jobs.retry", &job)).await?;
        Ok(job)
    }

    /// Starts the failed jobs of a kind again that somebody may know of, each in a transaction of its own: one whose subject says no keeps none of the
    /// others. Returns how many were started, and whether there are more than were looked at.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub(crate) async fn retry_failed(&self, principal: &Principal, trace: &Trace, kind: &str) -> Result<(u64, bool)> {
        let db = &self.kernel().db;
        let limit = i64::try_from(LOOKED_AT).unwrap_or(i64::MAX);
        let (mut retried, mut after) = (0, String::new());
        loop {
            let failed = db.read(principal.tenant).await?.failed_jobs(principal.tenant, kind, &after, limit).await?;
            let Some(last) = failed.last() else { return Ok((retried, false)) };
            after = last.id.to_string();
            let full = failed.len() == LOOKED_AT;
            for job in failed {
                let mut tx = db.write(principal.tenant).await?;
                if !self.may_read_job(&mut tx, principal, &job).await? {
                    continue;
                }
                match self.restart(&mut tx, principal, trace, job.id).await {
                    Ok(_) => {
                        tx.commit().await?;
                        retried += 1;
                    }
                    // Another was quicker, or its subject is gone.
                    Err(error) if !error.is_transient() && error.kind() != Kind::Internal => {}
                    Err(error) => return Err(error),
                }
            }
            // Where the oldest refuse, the next ones are tried, or they would be in the way for ever.
            if !full || retried > 0 {
                return Ok((retried, full));
            }
        }
    }
}

fn record<'a>(principal: &'a Principal, trace: &'a Trace, action: &'a str, job: &Job) -> Record<'a> {
    let payload = serde_json::json!({ "kind": job.kind, "subject": job.subject });
    Record { principal, trace, action, subject: job.id.to_string(), outcome: Outcome::Ok, payload }
}
