//! Listing, reading, canceling and retrying jobs.

use astrolabe_kernel::{
    Error, Id, Result,
    http::{CommonProblems, ConflictProblem, Json, May, NotFoundProblem, Path, Query},
    jobs::{Job, JobFilter, JobState},
    page::{Page, page_limit, read_cursor},
    principal::right,
};
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::Platform;

/// Which jobs to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct JobsQuery {
    /// Only jobs in this state.
    #[param(inline, example = "failed")]
    pub state: Option<JobState>,
    /// Only jobs of this kind, such as `ingest_document`.
    #[param(min_length = 1, max_length = 100, pattern = "^[a-z0-9_]{1,100}$", example = "ingest_document")]
    pub kind: Option<String>,
    /// Only jobs about this subject, such as the id of a document.
    #[param(min_length = 1, max_length = 100, pattern = "^[A-Za-z0-9_]{1,100}$", example = "doc_01JD3V9M7Q4R8T2W6X0Y5Z1ABC")]
    pub subject: Option<String>,
    /// How many items at most.
    #[param(minimum = 1, maximum = 200, default = 50, example = 20)]
    pub limit: Option<u32>,
    /// The `next_cursor` of the page before; absent for the first page.
    #[param(min_length = 1, max_length = 200, pattern = "^[A-Za-z0-9_.~-]{1,200}$", example = "src_01JD3V9M7Q4R8T2W6X0Y5Z1ABC")]
    #[serde(default, deserialize_with = "read_cursor")]
    pub cursor: Option<String>,
}

/// List jobs
///
/// The jobs of the caller's tenant, newest first, but for those about what the caller may not read.
#[utoipa::path(get, path = "/api/v1/jobs", tag = "jobs", params(JobsQuery),
    responses((status = 200, description = "A page of jobs.", body = Page<Job>), CommonProblems, right::ReadJobs))]
pub async fn list_jobs(
    State(platform): State<Platform>,
    caller: May<right::ReadJobs>,
    Query(query): Query<JobsQuery>,
) -> Result<Json<Page<Job>>> {
    let limit = page_limit(query.limit)?;
    word("kind", query.kind.as_deref(), |b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')?;
    word("subject", query.subject.as_deref(), |b| b.is_ascii_alphanumeric() || b == b'_')?;
    let filter = JobFilter { state: query.state, kind: query.kind.as_deref(), subject: query.subject.as_deref() };
    platform.jobs(&caller.principal, &filter, query.cursor.as_deref().unwrap_or(""), limit).await.map(Json)
}

fn word(field: &str, value: Option<&str>, allowed: impl Fn(u8) -> bool) -> Result<()> {
    match value {
        Some(text) if !(1..=100).contains(&text.len()) || !text.bytes().all(allowed) => {
            Err(Error::field(field, "must be 1 to 100 letters, digits and underscores"))
        }
        _ => Ok(()),
    }
}

/// Read a job
#[utoipa::path(get, path = "/api/v1/jobs/{id}", tag = "jobs", params(("id" = Id<Job>, Path, description = "The job.")),
    responses((status = 200, description = "The job.", body = Job), CommonProblems, right::ReadJobs, NotFoundProblem))]
pub async fn get_job(State(platform): State<Platform>, caller: May<right::ReadJobs>, Path(id): Path<Id<Job>>) -> Result<Json<Job>> {
    let mut tx = platform.kernel().db.read(caller.principal.tenant).await?;
    platform.job(&mut tx, &caller.principal, id).await.map(Json)
}

/// Cancel a job
///
/// A waiting job ends at once, a running one within a second; what it worked on ends as canceled, too.
#[utoipa::path(post, path = "/api/v1/jobs/{id}/cancel", tag = "jobs", params(("id" = Id<Job>, Path, description = "The job.")),
    responses((status = 200, description = "The job as it is now.", body = Job), CommonProblems, right::ManageJobs, NotFoundProblem, ConflictProblem))]
pub async fn cancel_job(State(platform): State<Platform>, caller: May<right::ManageJobs>, Path(id): Path<Id<Job>>) -> Result<Json<Job>> {
    platform.cancel_job(&caller.principal, &caller.trace, id).await.map(Json)
}

/// Retry a job
///
/// Puts a failed or canceled job back to wait, with its attempts counted anew.
#[utoipa::path(post, path = "/api/v1/jobs/{id}/retry", tag = "jobs", params(("id" = Id<Job>, Path, description = "The job.")),
    responses((status = 200, description = "The job as it is now.", body = Job), CommonProblems, right::ManageJobs, NotFoundProblem, ConflictProblem))]
pub async fn retry_job(State(platform): State<Platform>, caller: May<right::ManageJobs>, Path(id): Path<Id<Job>>) -> Result<Json<Job>> {
    platform.retry_job(&caller.principal, &caller.trace, id).await.map(Json)
}
