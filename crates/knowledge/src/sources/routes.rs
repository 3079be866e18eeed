//! Endpoints of sources.

use astrolabe_kernel::{
    Error, Id, Result,
    audit::Record,
    db::is_unique_violation,
    error::code,
    http::{
        BodyProblems, Caller, CommonProblems, ConflictProblem, Json, May, NotFoundProblem, Path, Query, StreamEvent, StreamLine,
        StreamQuery, event_stream,
    },
    page::{Page, PageQuery},
    principal::{Right, right},
};
use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
    response::Response,
};
use serde_json::json;

use super::{NewSource, Origin, Source, SourceChange, folder, jobs, rights, rights::may_read, store};
use crate::Knowledge;

/// The event that ends a source's stream.
const DELETED: &str = "source.deleted";

/// List sources.
#[utoipa::path(get, path = "/api/v1/sources", tag = "sources", params(PageQuery),
    responses((status = 200, description = "Done.", body = Page<Source>), CommonProblems, right::ReadKnowledge))]
pub async fn list_sources(
    State(knowledge): State<Knowledge>,
    caller: May<right::ReadKnowledge>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<Source>>> {
    let limit = page.limit()?;
    let only = knowledge.readable_sources(&caller.principal).await?;
    let rows = store::page(
        &mut knowledge.kernel.db.read(caller.principal.tenant).await?,
        caller.principal.tenant,
        only.as_deref(),
        page.after(),
        limit,
    )
    .await?;
    Ok(Json(Page::of(rows, limit, |s| s.id.to_string())))
}

/// Make a source.
#[utoipa::path(post, path = "/api/v1/sources", tag = "sources", request_body = NewSource,
    responses((status = 201, description = "Made.", body = Source), CommonProblems, right::WriteKnowledge, ConflictProblem, BodyProblems))]
pub async fn create_source(
    State(knowledge): State<Knowledge>,
    caller: May<right::WriteKnowledge>,
    Json(new): Json<NewSource>,
) -> Result<(StatusCode, Json<Source>)> {
    Ok((StatusCode::CREATED, Json(create(&knowledge, &caller, &new).await?)))
}

/// Makes a source and records it.
pub(super) async fn create(knowledge: &Knowledge, caller: &Caller, new: &NewSource) -> Result<Source> {
    let (chunk_size, chunk_overlap) = new.validate()?;
    let (kernel, tenant, now) = (&knowledge.kernel, caller.principal.tenant, knowledge.kernel.now());
    let source = Source {
        id: kernel.id(),
        name: new.name.clone(),
        description: new.description.clone(),
        tags: new.tags.clone(),
        chunk_size,
        chunk_overlap,
        readers: new.readers.clone(),
        ranking: new.ranking.clone(),
        origin: new.origin.clone(),
        scanned_at: None,
        document_count: 0,
        chunk_count: 0,
        documents_by_state: ["queued", "running", "ready", "failed", "canceled"].map(|s| (s.to_owned(), 0)).into(),
        created_at: now,
        updated_at: now,
    };
    if let Some(Origin::Folder { path, .. }) = &new.origin {
        // The files are the server's, whatever tenant asks for them.
        caller.principal.require(Right::ManageInstallation)?;
        let (roots, path) = (knowledge.config.folder_roots.clone(), path.clone());
        tokio::task::spawn_blocking(move || folder::check(&roots, &path)).await.map_err(Error::internal)??;
    }
    let mut tx = kernel.db.write(tenant).await?;
    store::insert(&mut tx, tenant, &source).await.map_err(|e| taken(e, &source.name))?;
    if source.origin.is_some() {
        jobs::enqueue(&mut tx, tenant, source.id, kernel.id(), now).await?;
    }
    let about = json!({"name": source.name, "readers": source.readers, "origin": source.origin});
    tx.audit(kernel, Record::of(caller, "sources.create", source.id, about)).await?;
    tx.commit().await?;
    Ok(source)
}

/// Read a source.
#[utoipa::path(get, path = "/api/v1/sources/{id}", tag = "sources", params(("id" = Id<Source>, Path)),
    responses((status = 200, description = "Done.", body = Source), CommonProblems, right::ReadKnowledge, NotFoundProblem))]
pub async fn get_source(
    State(knowledge): State<Knowledge>,
    caller: May<right::ReadKnowledge>,
    Path(id): Path<Id<Source>>,
) -> Result<Json<Source>> {
    let source = store::get(&mut knowledge.kernel.db.read(caller.principal.tenant).await?, caller.principal.tenant, id).await?;
    let source = source.filter(|s| may_read(&caller.principal, s.readers.as_deref()));
    source.map(Json).ok_or_else(|| Error::not_found("source"))
}

/// Change a source.
#[utoipa::path(patch, path = "/api/v1/sources/{id}", tag = "sources", params(("id" = Id<Source>, Path)), request_body = SourceChange,
    responses((status = 200, description = "Done.", body = Source), CommonProblems, right::WriteKnowledge, NotFoundProblem, ConflictProblem, BodyProblems))]
pub async fn update_source(
    State(knowledge): State<Knowledge>,
    caller: May<right::WriteKnowledge>,
    Path(id): Path<Id<Source>>,
    Json(change): Json<SourceChange>,
) -> Result<Json<Source>> {
    change.validate()?;
    let (kernel, tenant, now) = (&knowledge.kernel, caller.principal.tenant, knowledge.kernel.now());
    let mut tx = kernel.db.write(tenant).await?;
    let source = store::lock(&mut tx, tenant, id).await?.filter(|s| may_read(&caller.principal, s.readers.as_deref()));
    let mut source = source.ok_or_else(|| Error::not_found("source"))?;
    source.name = change.name.unwrap_or(source.name);
    source.description = change.description.unwrap_or(source.description);
    source.tags = change.tags.unwrap_or(source.tags);
    source.readers = change.readers.unwrap_or(source.readers);
    source.ranking = change.ranking.unwrap_or(source.ranking);
    source.updated_at = now;
    store::update(&mut tx, tenant, &source, now).await.map_err(|e| taken(e, &source.name))?;
    tx.audit(kernel, Record::of(&caller, "sources.update", id, json!({"name": source.name, "readers": source.readers}))).await?;
    tx.commit().await?;
    Ok(Json(source))
}

/// Delete a source with its documents.
#[utoipa::path(delete, path = "/api/v1/sources/{id}", tag = "sources", params(("id" = Id<Source>, Path)),
    responses((status = 204, description = "Gone."), CommonProblems, right::WriteKnowledge, NotFoundProblem))]
pub async fn delete_source(
    State(knowledge): State<Knowledge>,
    caller: May<right::WriteKnowledge>,
    Path(id): Path<Id<Source>>,
) -> Result<StatusCode> {
    let (kernel, tenant) = (&knowledge.kernel, caller.principal.tenant);
    let mut tx = kernel.db.write(tenant).await?;
    let source = store::lock(&mut tx, tenant, id).await?.filter(|s| may_read(&caller.principal, s.readers.as_deref()));
    let source = source.ok_or_else(|| Error::not_found("source"))?;
    store::delete(&mut tx, tenant, id).await?;
    // Whoever watches the source learns from this last event that there is nothing more to come.
    tx.append_event(tenant, &super::stream(id), DELETED, &json!({"source_id": id}), kernel.now()).await?;
    tx.audit(kernel, Record::of(&caller, "sources.delete", id, json!({"name": source.name, "documents": source.document_count}))).await?;
    tx.commit().await?;
    knowledge.index_delete_source(tenant, id).await;
    Ok(StatusCode::NO_CONTENT)
}

/// Watch a source: one event for each change of a document's state. Ends after a long silence; resume with `Last-Event-ID`.
#[utoipa::path(get, path = "/api/v1/sources/{id}/events", tag = "sources", params(("id" = Id<Source>, Path), StreamQuery),
    responses((status = 200, description = "The stream.", content((StreamEvent = "text/event-stream"), (StreamLine = "application/x-ndjson"))), CommonProblems, right::ReadKnowledge, NotFoundProblem))]
pub async fn stream_source_events(
    State(knowledge): State<Knowledge>,
    caller: May<right::ReadKnowledge>,
    Path(id): Path<Id<Source>>,
    Query(query): Query<StreamQuery>,
    headers: HeaderMap,
) -> Result<Response> {
    let tenant = caller.principal.tenant;
    let after = query.start(&headers, &knowledge.kernel, tenant, &super::stream(id)).await?;
    let mut tx = knowledge.kernel.db.read(tenant).await?;
    store::get(&mut tx, tenant, id).await?.ok_or_else(|| Error::not_found("source"))?;
    rights::require(&mut tx, &caller.principal, id, "source").await?;
    drop(tx);
    Ok(event_stream(&knowledge.kernel, tenant, super::stream(id), after, &headers, &[DELETED]))
}

fn taken(error: Error, name: &str) -> Error {
    if is_unique_violation(&error) {
        return Error::new(code::SOURCE_EXISTS, format!("name: there is a source named {name:?} already")).and_field("name", "is taken");
    }
    error
}
