//! Endpoints of questions and answers.

use astrolabe_kernel::{
    Error, Id, Result,
    http::{BodyProblems, CommonProblems, Json, May, NotFoundProblem, Path, Query, StreamEvent, StreamLine, StreamQuery},
    page::{Page, PageQuery},
    principal::right,
};
use axum::{extract::State, http::HeaderMap, response::Response};

use super::{ASKS, Answer, Ask, AskRequest, store};
use crate::Knowledge;

/// Ask the sources.
///
/// With `Accept: text/event-stream` (or `application/x-ndjson`) the answer comes as it is made: `ask.started` with the ask's id,
/// `ask.retrieved`, `answer.delta` with pieces of text, and `ask.completed` with the whole answer, or `ask.failed`. A reader that was cut
/// off goes on at `GET /api/v1/asks/{id}/events`.
#[utoipa::path(post, path = "/api/v1/ask", tag = "ask", request_body = AskRequest,
    responses((status = 200, description = "The answer, or that there is none.",
               content((Answer = "application/json"), (StreamEvent = "text/event-stream"), (StreamLine = "application/x-ndjson"))),
              CommonProblems, right::AskQuestions, NotFoundProblem, BodyProblems))]
pub async fn ask(
    State(knowledge): State<Knowledge>,
    caller: May<right::AskQuestions>,
    headers: HeaderMap,
    Json(request): Json<AskRequest>,
) -> Result<Response> {
    knowledge.start_ask(&caller, request).await?.respond(&knowledge.kernel, caller.principal.tenant, &headers).await
}

/// List your asks, newest first.
#[utoipa::path(get, path = "/api/v1/asks", tag = "ask", params(PageQuery),
    responses((status = 200, description = "A page.", body = Page<Ask>), CommonProblems, right::AskQuestions))]
pub async fn list_asks(
    State(knowledge): State<Knowledge>,
    caller: May<right::AskQuestions>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<Ask>>> {
    let limit = page.limit()?;
    let mut tx = knowledge.kernel.db.read(caller.principal.tenant).await?;
    let rows = store::page(&mut tx, caller.principal.tenant, &caller.principal.id, page.after(), limit).await?;
    Ok(Json(Page::of(rows, limit, |a| a.id.to_string())))
}

/// Read an ask.
#[utoipa::path(get, path = "/api/v1/asks/{id}", tag = "ask", params(("id" = Id<Answer>, Path)),
    responses((status = 200, description = "The ask, with its answer when it has one.", body = Ask), CommonProblems, right::AskQuestions, NotFoundProblem))]
pub async fn get_ask(
    State(knowledge): State<Knowledge>,
    caller: May<right::AskQuestions>,
    Path(id): Path<Id<Answer>>,
) -> Result<Json<Ask>> {
    let mut tx = knowledge.kernel.db.read(caller.principal.tenant).await?;
    store::get(&mut tx, caller.principal.tenant, &caller.principal.id, id).await?.map(Json).ok_or_else(|| Error::not_found("ask"))
}

/// Read an ask's events, from the beginning or behind `Last-Event-ID`.
#[utoipa::path(get, path = "/api/v1/asks/{id}/events", tag = "ask", params(("id" = Id<Answer>, Path), StreamQuery),
    responses((status = 200, description = "The stream.", content((StreamEvent = "text/event-stream"), (StreamLine = "application/x-ndjson"))),
              CommonProblems, right::AskQuestions, NotFoundProblem))]
pub async fn stream_ask_events(
    State(knowledge): State<Knowledge>,
    caller: May<right::AskQuestions>,
    Path(id): Path<Id<Answer>>,
    Query(query): Query<StreamQuery>,
    headers: HeaderMap,
) -> Result<Response> {
    let (tenant, stream) = (caller.principal.tenant, ASKS.stream(id));
    let after = query.start(&headers, &knowledge.kernel, tenant, &stream).await?;
    let ask = store::get(&mut knowledge.kernel.db.read(tenant).await?, tenant, &caller.principal.id, id).await?;
    ask.ok_or_else(|| Error::not_found("ask"))?;
    Ok(ASKS.read(&knowledge.kernel, tenant, stream, after, &headers))
}
