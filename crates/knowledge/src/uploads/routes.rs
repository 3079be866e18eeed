//! Endpoints of uploads in parts.

use astrolabe_backends::blob::Part;
use astrolabe_kernel::{
    Error, Id, Result,
    error::code,
    http::{BodyProblems, CommonProblems, ConflictProblem, Json, May, NotFoundProblem, OpenProblems, Path, Query, problem},
    page::{Page, PageQuery},
    principal::right,
};
use astrolabe_kernel::{http::Routes, routes};
use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderName, StatusCode, header},
};
use futures_util::StreamExt;

use super::{NewUpload, PartsToSign, SignedParts, Upload, UploadBegun, UploadProgress, UploadState, sign, sign::PartQuery, store};
use crate::{
    Knowledge,
    documents::Document,
    sources::{self, Source, rights},
};

/// The paths behind sign-in.
pub(crate) fn routes() -> Routes<Knowledge> {
    Routes::new()
        .routes(routes!(list_uploads, begin_upload))
        .routes(routes!(get_upload, abort_upload))
        .routes(routes!(sign_parts))
        .routes(routes!(complete_upload))
}

/// The paths whose addresses are the credential.
pub fn public_routes(knowledge: Knowledge) -> Routes {
    Routes::new().routes(routes!(put_part)).with_state(knowledge)
}

/// List the unfinished uploads into a source, oldest first.
#[utoipa::path(get, path = "/api/v1/sources/{id}/uploads", tag = "uploads", params(("id" = Id<Source>, Path), PageQuery),
    responses((status = 200, description = "A page.", body = Page<Upload>), CommonProblems, right::WriteKnowledge, NotFoundProblem))]
pub async fn list_uploads(
    State(knowledge): State<Knowledge>,
    caller: May<right::WriteKnowledge>,
    Path(source): Path<Id<Source>>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<Upload>>> {
    let (limit, tenant) = (page.limit()?, caller.principal.tenant);
    let mut tx = knowledge.kernel.db.read(tenant).await?;
    sources::store::get(&mut tx, tenant, source).await?.ok_or_else(|| Error::not_found("source"))?;
    rights::require(&mut tx, &caller.principal, source, "source").await?;
    let rows = store::page(&mut tx, tenant, source, page.after(), limit).await?;
    Ok(Json(Page::of(rows, limit, |u| u.id.to_string())))
}

/// Begin an upload in parts.
///
/// For large files and bad connections: send each part to its address (no other credential is needed), ask for more addresses as they are
/// needed, and complete the upload. What arrived stays; `GET /api/v1/uploads/{id}` tells what has. An upload that is not completed in time
/// (`knowledge.upload_hours`) is removed.
#[utoipa::path(post, path = "/api/v1/sources/{id}/uploads", tag = "uploads", params(("id" = Id<Source>, Path)), request_body = NewUpload,
    responses((status = 201, description = "Begun.", body = UploadBegun), CommonProblems, right::WriteKnowledge, NotFoundProblem, ConflictProblem, BodyProblems))]
pub async fn begin_upload(
    State(knowledge): State<Knowledge>,
    caller: May<right::WriteKnowledge>,
    Path(source): Path<Id<Source>>,
    Json(new): Json<NewUpload>,
) -> Result<(StatusCode, Json<UploadBegun>)> {
    Ok((StatusCode::CREATED, Json(knowledge.begin_upload(&caller, source, &new).await?)))
}

/// Read an upload and which parts have arrived.
#[utoipa::path(get, path = "/api/v1/uploads/{id}", tag = "uploads", params(("id" = Id<Upload>, Path)),
    responses((status = 200, description = "The upload.", body = UploadProgress), CommonProblems, right::WriteKnowledge, NotFoundProblem))]
pub async fn get_upload(
    State(knowledge): State<Knowledge>,
    caller: May<right::WriteKnowledge>,
    Path(id): Path<Id<Upload>>,
) -> Result<Json<UploadProgress>> {
    let found = knowledge.upload_of(&caller, id).await?;
    let received = if found.upload.state == UploadState::Open { knowledge.received(&found).await? } else { Vec::new() };
    let upload = found.upload;
    Ok(Json(UploadProgress { upload, received }))
}

/// Get addresses for parts: those that were not asked for yet, whose address has expired, or whose bytes are to be replaced.
#[utoipa::path(post, path = "/api/v1/uploads/{id}/parts", tag = "uploads", params(("id" = Id<Upload>, Path)), request_body = PartsToSign,
    responses((status = 200, description = "The addresses.", body = SignedParts), CommonProblems, right::WriteKnowledge, NotFoundProblem, ConflictProblem, BodyProblems))]
pub async fn sign_parts(
    State(knowledge): State<Knowledge>,
    caller: May<right::WriteKnowledge>,
    Path(id): Path<Id<Upload>>,
    Json(wanted): Json<PartsToSign>,
) -> Result<Json<SignedParts>> {
    Ok(Json(SignedParts { parts: knowledge.sign_parts(&caller, id, &wanted.parts).await? }))
}

/// Complete an upload: the document and the job that ingests it appear together. A repeat answers with the same document.
#[utoipa::path(post, path = "/api/v1/uploads/{id}/complete", tag = "uploads", params(("id" = Id<Upload>, Path)),
    responses((status = 202, description = "Stored; ingest has begun.", body = Document), CommonProblems, right::WriteKnowledge, NotFoundProblem, ConflictProblem))]
pub async fn complete_upload(
    State(knowledge): State<Knowledge>,
    caller: May<right::WriteKnowledge>,
    Path(id): Path<Id<Upload>>,
) -> Result<(StatusCode, Json<Document>)> {
    Ok((StatusCode::ACCEPTED, Json(knowledge.complete_upload(&caller, id).await?)))
}

/// Abort an upload and remove what has arrived of it.
#[utoipa::path(delete, path = "/api/v1/uploads/{id}", tag = "uploads", params(("id" = Id<Upload>, Path)),
    responses((status = 204, description = "Gone."), CommonProblems, right::WriteKnowledge, NotFoundProblem, ConflictProblem))]
pub async fn abort_upload(
    State(knowledge): State<Knowledge>,
    caller: May<right::WriteKnowledge>,
    Path(id): Path<Id<Upload>>,
) -> Result<StatusCode> {
    knowledge.abort_upload(&caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What a bad address is answered with.
pub struct AddressProblem;

impl utoipa::IntoResponses for AddressProblem {
    fn responses() -> std::collections::BTreeMap<String, utoipa::openapi::RefOr<utoipa::openapi::Response>> {
        std::collections::BTreeMap::from([
            ("403".to_owned(), problem("The address was altered, has expired, or its upload is over.")),
            ("507".to_owned(), problem("No space is left; what arrived before stays.")),
        ])
    }
}

/// Send a part to its address, as the upload gave it. The bytes are checked against the signed size and SHA-256; a part that was there is
/// replaced, and one that breaks off leaves what was there.
#[utoipa::path(put, path = "/uploads/{id}/parts/{number}", tag = "uploads", security(()),
    params(("id" = Id<Upload>, Path), ("number" = i64, Path, minimum = 1, example = 1), PartQuery),
    request_body(content = Vec<u8>, content_type = "application/octet-stream", example = "hello world"),
    responses((status = 200, description = "It is there whole; `ETag` is its SHA-256."), OpenProblems, AddressProblem, NotFoundProblem, ConflictProblem, BodyProblems))]
pub async fn put_part(
    State(knowledge): State<Knowledge>,
    Path((id, number)): Path<(Id<Upload>, i64)>,
    Query(query): Query<PartQuery>,
    headers: HeaderMap,
    body: Body,
) -> Result<[(HeaderName, String); 1]> {
    let found = store::find(&mut knowledge.kernel.db.read_all().await?, id).await?.ok_or_else(sign::refused)?;
    sign::check(&found.secret, &id.to_string(), number, &query, knowledge.kernel.now())?;
    if found.upload.state == UploadState::Complete {
        return Err(super::complete_already());
    }
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<i64>().ok());
    if announced.is_some_and(|length| length != query.size) {
        return Err(Error::field("body", format!("part {number} has {} bytes: send exactly those", query.size)));
    }
    let (Ok(size), Ok(place)) = (u64::try_from(query.size), u32::try_from(number)) else { return Err(sign::refused()) };
    let part = Part { number: place, size, sha256: query.sha256.clone() };
    let mut writer = knowledge.blobs.part_writer(&id.to_string(), part).await?;
    let mut body = body.into_data_stream();
    while let Some(bytes) = body.next().await {
        let bytes = bytes.map_err(|_| Error::new(code::INVALID_REQUEST, "the body broke off: send the part again"))?;
        writer.write(&bytes).await?;
    }
    writer.finish().await?;
    Ok([(header::ETAG, format!("\"{}\"", query.sha256))])
}
