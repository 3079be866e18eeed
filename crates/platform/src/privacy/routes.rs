//! Asking for one person's data, or for its erasure.

use astrolabe_kernel::{
    Error, Id, Result,
    audit::{Record, record},
    error::code,
    http::{BodyProblems, CommonProblems, ConflictProblem, Json, May, NotFoundProblem, Path, Query},
    jobs::JobState,
    page::{Page, PageQuery},
    principal::right,
};
use axum::{
    body::{Body, Bytes},
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::Response,
};
use futures_util::stream;
use serde_json::json;

use super::{NewPrivacyRequest, Privacy, PrivacyKind, PrivacyRequest, store};

/// Lines read at once.
const PAGE: i64 = 200;

/// List privacy requests, newest first.
#[utoipa::path(get, path = "/api/v1/privacy-requests", tag = "privacy", params(PageQuery),
    responses((status = 200, description = "A page.", body = Page<PrivacyRequest>), CommonProblems, right::ManageUsers))]
pub async fn list_privacy_requests(
    State(privacy): State<Privacy>,
    caller: May<right::ManageUsers>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<PrivacyRequest>>> {
    let limit = page.limit()?;
    let tenant = caller.principal.tenant;
    let rows = store::page(&mut privacy.0.kernel.db.read(tenant).await?, tenant, page.after(), limit).await?;
    Ok(Json(Page::of(rows, limit, |r| r.id.to_string())))
}

/// Ask for one person's data, or for its erasure
///
/// A job goes through everything that is held about the person: asks with their answers, feedback, runs, tickets, sessions, the membership with its account, and audit entries.
/// An export is then at `/api/v1/privacy-requests/{id}/file` for a week. An erasure removes asks, feedback, runs and sessions, takes the person's id
/// out of tickets, question sets and lists of readers, removes the membership and an account that belongs nowhere else, and blanks the payloads of audit entries; the audit chain stays verifiable. It cannot be taken
/// back. Suspend the person first: what it does meanwhile is not erased.
#[utoipa::path(post, path = "/api/v1/privacy-requests", tag = "privacy", request_body = NewPrivacyRequest,
    responses((status = 202, description = "The request; its job has begun.", body = PrivacyRequest), CommonProblems, right::ManageUsers, BodyProblems, ConflictProblem))]
pub async fn make_privacy_request(
    State(privacy): State<Privacy>,
    caller: May<right::ManageUsers>,
    Json(new): Json<NewPrivacyRequest>,
) -> Result<(StatusCode, Json<PrivacyRequest>)> {
    Ok((StatusCode::ACCEPTED, Json(privacy.request(&caller, new).await?)))
}

/// Read a privacy request.
#[utoipa::path(get, path = "/api/v1/privacy-requests/{id}", tag = "privacy", params(("id" = Id<PrivacyRequest>, Path)),
    responses((status = 200, description = "The request.", body = PrivacyRequest), CommonProblems, right::ManageUsers, NotFoundProblem))]
pub async fn get_privacy_request(
    State(privacy): State<Privacy>,
    caller: May<right::ManageUsers>,
    Path(id): Path<Id<PrivacyRequest>>,
) -> Result<Json<PrivacyRequest>> {
    let tenant = caller.principal.tenant;
    let request = store::get(&mut privacy.0.kernel.db.read(tenant).await?, tenant, id).await?;
    request.map(Json).ok_or_else(|| Error::not_found("request"))
}

/// Fetch an export
///
/// One record a line, `{"kind": "asks", "record": {…}}`, behind a line that says whose they are; the last line is `{"end": {"records": {…}}}`. Each
/// fetch is an audit entry.
#[utoipa::path(get, path = "/api/v1/privacy-requests/{id}/file", tag = "privacy", params(("id" = Id<PrivacyRequest>, Path)),
    responses((status = 200, description = "The records.", body = Object, content_type = "application/x-ndjson"), CommonProblems, right::ManageUsers, NotFoundProblem, ConflictProblem))]
pub async fn get_privacy_export(
    State(privacy): State<Privacy>,
    caller: May<right::ManageUsers>,
    Path(id): Path<Id<PrivacyRequest>>,
) -> Result<Response> {
    let (kernel, tenant) = (privacy.0.kernel.clone(), caller.principal.tenant);
    let mut tx = kernel.db.read(tenant).await?;
    let request =
        store::get(&mut tx, tenant, id).await?.filter(|r| r.kind == PrivacyKind::Export).ok_or_else(|| Error::not_found("request"))?;
    if request.state != JobState::Ready {
        let text = format!("the export is {}: its file is there when it is ready", request.state.as_str());
        return Err(Error::new(code::INVALID_STATE, text));
    }
    if store::lines(&mut tx, tenant, id, 0, 1).await?.is_empty() {
        return Err(Error::new(code::INVALID_STATE, "the export is past its time, or the person was erased: ask for a new one"));
    }
    drop(tx);
    record(&kernel, Record::of(&caller, "privacy.fetch", id, json!({"person": request.person}))).await?;
    let lines = stream::unfold(Some(0), move |from: Option<i64>| {
        let kernel = kernel.clone();
        async move {
            let from = from?;
            let read = async { store::lines(&mut kernel.db.read(tenant).await?, tenant, id, from, PAGE).await };
            match read.await {
                Ok(lines) if lines.is_empty() => None,
                Ok(lines) => {
                    let next = from + i64::try_from(lines.len()).unwrap_or(0);
                    Some((Ok(Bytes::from(lines.join("\n") + "\n")), Some(next)))
                }
                // The connection is cut, so that nobody takes a part for the whole.
                Err(error) => Some((Err(std::io::Error::other(error)), None)),
            }
        }
    });
    let mut response = Response::new(Body::from_stream(lines));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    headers.insert(header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment; filename=\"personal-data.jsonl\""));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}
