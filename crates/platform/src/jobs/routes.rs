//! Listing, reading, canceling and retrying jobs.

use astrolabe_kernel::{
    Error, Id, Result,
    http::{
        BodyProblems, CommonProblems, ConflictProblem, Json, May, NotFoundProblem, Path, Query, StreamEvent, StreamLine, StreamQuery,
        job_stream,
    },
    jobs::{Job, JobAttempt, JobFilter, JobState},
    page::{Page, page_limit, read_cursor},
    principal::right,
};
use axum::{extract::State, http::HeaderMap, response::Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

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
    kind_of(query.kind.as_deref())?;
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
    responses((status = 200, description = "The job.", body = JobDetails), CommonProblems, right::ReadJobs, NotFoundProblem))]
pub async fn get_job(State(platform): State<Platform>, caller: May<right::ReadJobs>, Path(id): Path<Id<Job>>) -> Result<Json<JobDetails>> {
    let mut tx = platform.kernel().db.read(caller.principal.tenant).await?;
    let job = platform.job(&mut tx, &caller.principal, id).await?;
    let history = tx.job_attempts(caller.principal.tenant, id).await?;
    Ok(Json(JobDetails { job, history }))
}

/// Follow a job
///
/// Each event is the job as it stands, and its number the job's `version`; the kinds are the states. The stream ends with the job.
#[utoipa::path(get, path = "/api/v1/jobs/{id}/events", tag = "jobs", params(("id" = Id<Job>, Path, description = "The job."), StreamQuery),
    responses(
        (status = 200, description = "Events until the job is over.", content((StreamEvent = "text/event-stream"), (StreamLine = "application/x-ndjson"))),
        CommonProblems, right::ReadJobs, NotFoundProblem))]
pub async fn get_job_events(
    State(platform): State<Platform>,
    caller: May<right::ReadJobs>,
    Path(id): Path<Id<Job>>,
    Query(query): Query<StreamQuery>,
    headers: HeaderMap,
) -> Result<Response> {
    let (kernel, tenant) = (platform.kernel(), caller.principal.tenant);
    let job = platform.job(&mut kernel.db.read(tenant).await?, &caller.principal, id).await?;
    let after = match query.after.as_deref() {
        Some("latest") if headers.get("last-event-id").is_none() => job.version,
        _ => query.start(&headers, kernel, tenant, "").await?,
    };
    Ok(job_stream(kernel, tenant, id, after, &headers))
}

/// A job with the attempts that did not go well.
#[derive(Debug, Serialize, ToSchema)]
pub struct JobDetails {
    /// The job.
    #[serde(flatten)]
    pub job: Job,
    /// The newest 50 attempts that did not go well, oldest first.
    pub history: Vec<JobAttempt>,
}

/// Which dead letters to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DeadLettersQuery {
    /// Only jobs of this kind, such as `ingest_document`.
    #[param(min_length = 1, max_length = 100, pattern = "^[a-z0-9_]{1,100}$", example = "ingest_document")]
    pub kind: Option<String>,
    /// How many items at most.
    #[param(minimum = 1, maximum = 200, default = 50, example = 20)]
    pub limit: Option<u32>,
    /// The `next_cursor` of the page before; absent for the first page.
    #[param(min_length = 1, max_length = 200, pattern = "^[A-Za-z0-9_.~-]{1,200}$", example = "job_01JD3V9M7Q4R8T2W6X0Y5Z1ABC")]
    #[serde(default, deserialize_with = "read_cursor")]
    pub cursor: Option<String>,
}

/// Which dead letters to retry.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RetryDeadLetters {
    /// The kind of the jobs.
    #[schema(min_length = 1, max_length = 100, pattern = "^[a-z0-9_]{1,100}$", example = "ingest_document")]
    pub kind: String,
}

/// What became of them.
#[derive(Debug, Serialize, ToSchema)]
pub struct Retried {
    /// How many wait again.
    pub retried: u64,
    /// Whether there are more than the 1,000 that one call looks at: call again.
    pub more: bool,
}

/// List dead letters
///
/// The jobs that were given up, newest first, with the attempts that were made at them. They stay until somebody retries them, or deletes what they were about.
#[utoipa::path(get, path = "/api/v1/dead-letters", tag = "jobs", params(DeadLettersQuery),
    responses((status = 200, description = "A page.", body = Page<JobDetails>), CommonProblems, right::ReadJobs))]
pub async fn list_dead_letters(
    State(platform): State<Platform>,
    caller: May<right::ReadJobs>,
    Query(query): Query<DeadLettersQuery>,
) -> Result<Json<Page<JobDetails>>> {
    let limit = page_limit(query.limit)?;
    kind_of(query.kind.as_deref())?;
    let filter = JobFilter { state: Some(JobState::Failed), kind: query.kind.as_deref(), subject: None };
    let page = platform.jobs(&caller.principal, &filter, query.cursor.as_deref().unwrap_or(""), limit).await?;
    let mut tx = platform.kernel().db.read(caller.principal.tenant).await?;
    let mut items = Vec::with_capacity(page.items.len());
    for job in page.items {
        let history = tx.job_attempts(caller.principal.tenant, job.id).await?;
        items.push(JobDetails { job, history });
    }
    Ok(Json(Page { items, next_cursor: page.next_cursor }))
}

/// Retry dead letters
///
/// Puts all failed jobs of a kind back to wait, up to 1,000 with one call.
#[utoipa::path(post, path = "/api/v1/dead-letters/retry", tag = "jobs", request_body = RetryDeadLetters,
    responses((status = 200, description = "They wait again.", body = Retried), CommonProblems, right::ManageJobs, BodyProblems))]
pub async fn retry_dead_letters(
    State(platform): State<Platform>,
    caller: May<right::ManageJobs>,
    Json(wish): Json<RetryDeadLetters>,
) -> Result<Json<Retried>> {
    kind_of(Some(&wish.kind))?;
    let (retried, more) = platform.retry_failed(&caller.principal, &caller.trace, &wish.kind).await?;
    Ok(Json(Retried { retried, more }))
}

fn kind_of(value: Option<&str>) -> Result<()> {
    word("kind", value, |b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
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
