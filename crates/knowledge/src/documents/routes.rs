//! Endpoints of documents.

use astrolabe_backends::blob::Blob;
use astrolabe_kernel::{
    Error, Id, Result,
    error::code,
    http::{BodyProblems, CommonProblems, ConflictProblem, Json, May, NotFoundProblem, Path, Query},
    jobs::JobState,
    page::{Page, page_limit, read_cursor},
    principal::right,
};
use astrolabe_kernel::{http::Routes, routes};
use axum::{
    extract::{
        DefaultBodyLimit, Multipart, State,
        multipart::{Field, MultipartRejection},
    },
    http::StatusCode,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};

use super::{Document, DocumentContent, Upload, check_name, store};
use crate::{
    Knowledge,
    sources::{self, Source, rights},
};

/// The action of entries about documents that were read.
const READ: &str = "documents.read";

/// Which documents to list.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DocumentQuery {
    /// Only documents in this state.
    #[param(example = "ready")]
    pub state: Option<JobState>,
    /// How many at most.
    #[param(minimum = 1, maximum = 200, default = 50, example = 20)]
    pub limit: Option<u32>,
    /// The `next_cursor` of the page before.
    #[param(min_length = 1, max_length = 200, pattern = "^[A-Za-z0-9_.~-]{1,200}$", example = "src_01JD3V9M7Q4R8T2W6X0Y5Z1ABC")]
    #[serde(default, deserialize_with = "read_cursor")]
    pub cursor: Option<String>,
}

/// What holds for all files of an upload.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct UploadQuery {
    /// Words to filter by, separated by commas; at most 32 of 64 characters each.
    #[param(min_length = 1, max_length = 2079, pattern = "^[^,\\u0000]{1,64}(,[^,\\u0000]{1,64}){0,31}$", example = "it,depots")]
    pub tags: Option<String>,
}

/// An upload as the description shows it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes the form; the parts are read one by one")]
pub struct UploadForm {
    /// One or more files; the file name is the document's name and may be a path.
    #[schema(value_type = Vec<String>, format = Binary, min_items = 1, example = json!(["# Backups\n\nBackups are kept for 35 days.\n"]))]
    file: Vec<Vec<u8>>,
}

/// What became of an upload, file by file.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Uploaded {
    /// The documents that were made or found, in the order of their files.
    pub items: Vec<Document>,
    /// The files that were not taken; the others were, all the same.
    pub refused: Vec<RefusedFile>,
}

/// A file of an upload that was not taken.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct RefusedFile {
    /// Its name.
    pub file: String,
    /// A public code.
    pub code: String,
    /// For people.
    pub message: String,
}

/// List a source's documents, newest first.
#[utoipa::path(get, path = "/api/v1/sources/{id}/documents", tag = "documents", params(("id" = Id<Source>, Path), DocumentQuery),
    responses((status = 200, description = "A page.", body = Page<Document>), CommonProblems, right::ReadKnowledge, NotFoundProblem))]
pub async fn list_documents(
    State(knowledge): State<Knowledge>,
    caller: May<right::ReadKnowledge>,
    Path(source): Path<Id<Source>>,
    Query(query): Query<DocumentQuery>,
) -> Result<Json<Page<Document>>> {
    let limit = page_limit(query.limit)?;
    let tenant = caller.principal.tenant;
    let mut tx = knowledge.kernel.db.read(tenant).await?;
    sources::store::get(&mut tx, tenant, source).await?.ok_or_else(|| Error::not_found("source"))?;
    rights::require(&mut tx, &caller.principal, source, "source").await?;
    let state = query.state.map_or("", JobState::as_str);
    let rows = store::page(&mut tx, tenant, source, state, query.cursor.as_deref().unwrap_or(""), limit).await?;
    Ok(Json(Page::of(rows, limit, |d| d.id.to_string())))
}

/// The upload's route, whose body may be as large as the files it brings.
pub(crate) fn upload_route(knowledge: &Knowledge) -> Routes<Knowledge> {
    let files = u64::try_from(knowledge.config.max_upload_files).unwrap_or(1);
    let limit = knowledge.config.max_document_bytes.saturating_mul(files).saturating_add(1 << 20);
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    Routes::new().routes(routes!(upload_documents)).layer(DefaultBodyLimit::max(limit))
}

/// Upload documents.
///
/// Each file is stored, and ingested in the background: watch the source's events, or read the document, until it is `ready` or
/// `failed`. The same name with the same content changes nothing; with new content it replaces the old, which stays found until then.
/// A file that is too large or has a name that cannot be one is in `refused`, and does not keep the others out; when none is left, the
/// answer is the refusal of the first. A form that breaks off adds nothing.
#[utoipa::path(post, path = "/api/v1/sources/{id}/documents", tag = "documents", params(("id" = Id<Source>, Path), UploadQuery),
    request_body(content = UploadForm, content_type = "multipart/form-data"),
    responses((status = 202, description = "Stored; ingest has begun.", body = Uploaded), CommonProblems, right::WriteKnowledge, NotFoundProblem, BodyProblems))]
pub async fn upload_documents(
    State(knowledge): State<Knowledge>,
    caller: May<right::WriteKnowledge>,
    Path(source): Path<Id<Source>>,
    Query(query): Query<UploadQuery>,
    form: Result<Multipart, MultipartRejection>,
) -> Result<(StatusCode, Json<Uploaded>)> {
    let tags = read_tags(query.tags.as_deref())?;
    let mut tx = knowledge.kernel.db.read(caller.principal.tenant).await?;
    sources::store::get(&mut tx, caller.principal.tenant, source).await?.ok_or_else(|| Error::not_found("source"))?;
    rights::require(&mut tx, &caller.principal, source, "source").await?;
    drop(tx);
    let mut form = form.map_err(|_| Error::new(code::UNSUPPORTED_MEDIA_TYPE, "send the files as multipart/form-data"))?;
    let mut files: Vec<(String, Blob)> = Vec::new();
    let mut refused: Vec<(String, Error)> = Vec::new();
    while let Some(mut field) = form.next_field().await.map_err(unreadable)? {
        match field.name() {
            Some("file") => {}
            other => {
                let name = other.unwrap_or("(no name)").to_owned();
                return Err(Error::field(name, "the form has parts named `file`, and no others"));
            }
        }
        if files.len() + refused.len() == knowledge.config.max_upload_files {
            let most = knowledge.config.max_upload_files;
            return Err(Error::new(code::TOO_LARGE, format!("send at most {most} files at once (knowledge.max_upload_files)")));
        }
        let Some(name) = field.file_name().map(str::to_owned) else {
            return Err(Error::field("file", "a part named `file` needs a file name"));
        };
        match store_file(&knowledge, &name, &mut field).await? {
            Ok(blob) => files.push((name, blob)),
            // The form goes on behind the part, whose rest is passed over.
            Err(error) => refused.push((name, error)),
        }
    }
    if files.is_empty() {
        let first = refused.into_iter().next().map(|(_, error)| error);
        return Err(first.unwrap_or_else(|| Error::field("file", "send at least one part named `file`")));
    }
    let uploads: Vec<Upload<'_>> = files.iter().map(|(name, blob)| Upload { name, blob: blob.clone(), tags: &tags }).collect();
    let items = knowledge.add_documents(&caller, source, &uploads).await?;
    let refused = refused
        .into_iter()
        .map(|(file, error)| RefusedFile { file, code: error.code().name.to_owned(), message: error.message().to_owned() })
        .collect();
    Ok((StatusCode::ACCEPTED, Json(Uploaded { items, refused })))
}

/// Stores the bytes of a file, or tells why this one is not taken. They belong to no document yet; without one they are swept an hour later.
async fn store_file(knowledge: &Knowledge, name: &str, field: &mut Field<'_>) -> Result<Result<Blob>> {
    if let Err(error) = check_name(name) {
        return Ok(Err(error));
    }
    let mut writer = knowledge.blobs.writer(knowledge.config.max_document_bytes)?;
    while let Some(bytes) = field.chunk().await.map_err(unreadable)? {
        match writer.write(&bytes).await {
            Err(error) if error.code() == code::TOO_LARGE => return Ok(Err(error)),
            written => written?,
        }
    }
    writer.finish().await.map(Ok)
}

/// The words of the query's `tags`.
fn read_tags(tags: Option<&str>) -> Result<Vec<String>> {
    let Some(text) = tags else { return Ok(Vec::new()) };
    let tags: Vec<String> = text.split(',').map(str::to_owned).collect();
    if tags.len() > 32 || tags.iter().any(|t| t.is_empty() || t.chars().count() > 64) {
        return Err(Error::field("tags", "must be 1 to 32 words of 1 to 64 characters, separated by commas"));
    }
    Ok(tags)
}

fn unreadable(error: axum::extract::multipart::MultipartError) -> Error {
    match error.status().as_u16() {
        413 => Error::new(code::TOO_LARGE, "the upload is larger than knowledge.max_document_bytes allows"),
        _ => Error::field("file", "the form could not be read: check its boundary and that every part has a name"),
    }
}

/// Read a document's state.
#[utoipa::path(get, path = "/api/v1/documents/{id}", tag = "documents", params(("id" = Id<Document>, Path)),
    responses((status = 200, description = "The document.", body = Document), CommonProblems, right::ReadKnowledge, NotFoundProblem))]
pub async fn get_document(
    State(knowledge): State<Knowledge>,
    caller: May<right::ReadKnowledge>,
    Path(id): Path<Id<Document>>,
) -> Result<Json<Document>> {
    let mut tx = knowledge.kernel.db.read(caller.principal.tenant).await?;
    let document = store::get(&mut tx, caller.principal.tenant, id).await?.ok_or_else(|| Error::not_found("document"))?;
    rights::require(&mut tx, &caller.principal, document.source_id, "document").await?;
    drop(tx);
    // Before it is ready there is nothing in it to read: whoever waits for the end of an upload asks again and again.
    if document.state == JobState::Ready && knowledge.kernel.records_reads(true) {
        knowledge.kernel.note_read(&caller, READ, id, &json!({"part": "record"})).await?;
    }
    Ok(Json(document))
}

/// Read a document's text, in which the offsets of chunks and citations count.
#[utoipa::path(get, path = "/api/v1/documents/{id}/content", tag = "documents", params(("id" = Id<Document>, Path)),
    responses((status = 200, description = "The text.", body = DocumentContent), CommonProblems, right::ReadKnowledge, NotFoundProblem, ConflictProblem))]
pub async fn get_document_content(
    State(knowledge): State<Knowledge>,
    caller: May<right::ReadKnowledge>,
    Path(id): Path<Id<Document>>,
) -> Result<Json<DocumentContent>> {
    let tenant = caller.principal.tenant;
    let mut tx = knowledge.kernel.db.read(tenant).await?;
    let document = store::get(&mut tx, tenant, id).await?.ok_or_else(|| Error::not_found("document"))?;
    rights::require(&mut tx, &caller.principal, document.source_id, "document").await?;
    let text = match store::text(&mut tx, tenant, document.duplicate_of.unwrap_or(id)).await? {
        Some(text) => text,
        None => {
            let state = document.state.as_str();
            return Err(Error::new(code::INVALID_STATE, format!("the document is {state}: its text is there when it is ready")));
        }
    };
    drop(tx);
    if knowledge.kernel.records_reads(true) {
        // The text leaves when it is recorded that it did.
        knowledge.kernel.note_read_now(&caller, READ, id, &json!({"part": "content"})).await?;
    }
    Ok(Json(DocumentContent {
        id,
        source_id: document.source_id,
        name: document.name,
        title: document.title,
        mime: document.mime,
        text: text.0,
        headings: text.1,
    }))
}

/// Delete a document.
#[utoipa::path(delete, path = "/api/v1/documents/{id}", tag = "documents", params(("id" = Id<Document>, Path)),
    responses((status = 204, description = "Gone."), CommonProblems, right::WriteKnowledge, NotFoundProblem))]
pub async fn delete_document(
    State(knowledge): State<Knowledge>,
    caller: May<right::WriteKnowledge>,
    Path(id): Path<Id<Document>>,
) -> Result<StatusCode> {
    knowledge.remove_document(&caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ingest a failed or canceled document again.
#[utoipa::path(post, path = "/api/v1/documents/{id}/retry", tag = "documents", params(("id" = Id<Document>, Path)),
    responses((status = 202, description = "Ingest has begun.", body = Document), CommonProblems, right::WriteKnowledge, NotFoundProblem, ConflictProblem))]
pub async fn retry_document(
    State(knowledge): State<Knowledge>,
    caller: May<right::WriteKnowledge>,
    Path(id): Path<Id<Document>>,
) -> Result<(StatusCode, Json<Document>)> {
    Ok((StatusCode::ACCEPTED, Json(knowledge.retry(&caller, id).await?)))
}
