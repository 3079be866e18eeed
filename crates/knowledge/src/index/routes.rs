//! The endpoint that builds the search index again.

use astrolabe_kernel::{
    Error, Result,
    audit::Record,
    http::{CommonProblems, Json, May},
    jobs::Job,
    principal::right,
};
use axum::{extract::State, http::StatusCode};
use serde_json::json;

use super::jobs::enqueue;
use crate::Knowledge;

/// Build the search index again.
///
/// Starts a job that empties the search index, of all tenants, and fills it from the database. No text is embedded again whose vector is stored.
/// Until the job has ended, searches find what is in by then. Follow it at `/api/v1/jobs/{id}`.
#[utoipa::path(post, path = "/api/v1/index/rebuild", tag = "search",
    responses((status = 202, description = "The job that does it.", body = Job), CommonProblems, right::ManageInstallation))]
pub async fn rebuild_index(State(knowledge): State<Knowledge>, caller: May<right::ManageInstallation>) -> Result<(StatusCode, Json<Job>)> {
    let kernel = &knowledge.kernel;
    let mut tx = kernel.db.write(caller.principal.tenant).await?;
    let id = kernel.id();
    enqueue(&mut tx, caller.principal.tenant, id, kernel.now()).await?;
    tx.audit(kernel, Record::of(&caller, "index.rebuild", id, json!({}))).await?;
    let job = tx.job(caller.principal.tenant, id).await?;
    tx.commit().await?;
    Ok((StatusCode::ACCEPTED, Json(job.ok_or_else(|| Error::not_found("job"))?)))
}
