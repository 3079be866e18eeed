//! The jobs console: what waits, runs and failed, with cancel and retry.
//!
//! A job and its subject end together: whoever cancels a waiting job calls its handler's
//! [`ended`](astrolabe_kernel::jobs::Handler::ended) in the same transaction, and whoever retries one calls
//! [`retried`](astrolabe_kernel::jobs::Handler::retried).

pub mod routes;

use astrolabe_kernel::{
    Id, Principal, Result,
    audit::{Outcome, Record},
    http::Trace,
    jobs::{Job, JobState},
};

use crate::Platform;

impl Platform {
    /// Ends a job: a waiting one at once, a running one within a second.
    ///
    /// # Errors
    /// `not_found`; `invalid_state` when it is over already.
    pub async fn cancel_job(&self, principal: &Principal, trace: &Trace, id: Id<Job>) -> Result<Job> {
        let kernel = self.kernel();
        let now = kernel.now();
        let mut tx = kernel.db.write(principal.tenant).await?;
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
        let kernel = self.kernel();
        let now = kernel.now();
        let mut tx = kernel.db.write(principal.tenant).await?;
        let job = tx.retry_job(principal.tenant, id, now).await?;
        if let Some(handler) = self.0.registry.get(&job.kind) {
            handler.retried(&mut tx, &job, now).await?;
        }
        tx.audit(kernel, record(principal, trace, "jobs.retry", &job)).await?;
        tx.commit().await?;
        Ok(job)
    }
}

fn record<'a>(principal: &'a Principal, trace: &'a Trace, action: &'a str, job: &Job) -> Record<'a> {
    let payload = serde_json::json!({ "kind": job.kind, "subject": job.subject });
    Record { principal, trace, action, subject: job.id.to_string(), outcome: Outcome::Ok, payload }
}
