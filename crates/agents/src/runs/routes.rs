//! Endpoints of runs.

use astrolabe_kernel::{
    Error, Id, Result,
    http::{BodyProblems, CommonProblems, ConflictProblem, Json, May, NotFoundProblem, Path, Query, StreamEvent, StreamLine, StreamQuery},
    page::{Page, PageQuery},
    principal::right,
};
use axum::{extract::State, http::HeaderMap, response::Response};

use super::{RUNS, Run, RunRequest, RunResult, store};
use crate::Agents;

/// Run an agent.
///
/// The agent plans, calls its tools under their roles, and answers from the documents when no tool applies. Send `Idempotency-Key` (or
/// `X-Idempotency-Key`): the same request under the same key is done once. With `Accept: text/event-stream` the run is streamed.
#[utoipa::path(post, path = "/v1/agents/run", tag = "agents", request_body = RunRequest,
    params(("Idempotency-Key" = Option<String>, Header, description = "Names the request: a repeat gets the first answer.", min_length = 1, max_length = 200, pattern = "^[!-~]+$", example = "7d1f0c")),
    responses((status = 200, description = "What the agent answered.",
               content((RunResult = "application/json"), (StreamEvent = "text/event-stream"), (StreamLine = "application/x-ndjson"))),
              CommonProblems, right::RunAgents, NotFoundProblem, ConflictProblem, BodyProblems))]
pub async fn run_agent(
    State(agents): State<Agents>,
    caller: May<right::RunAgents>,
    headers: HeaderMap,
    Json(request): Json<RunRequest>,
) -> Result<Response> {
    agents.start_run(&caller, request).await?.respond(&agents.kernel, caller.principal.tenant, &headers).await
}

/// List your runs, newest first.
#[utoipa::path(get, path = "/api/v1/runs", tag = "agents", params(PageQuery),
    responses((status = 200, description = "A page.", body = Page<Run>), CommonProblems, right::RunAgents))]
pub async fn list_runs(
    State(agents): State<Agents>,
    caller: May<right::RunAgents>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<Run>>> {
    let limit = page.limit()?;
    let mut tx = agents.kernel.db.read(caller.principal.tenant).await?;
    let rows = store::page(&mut tx, caller.principal.tenant, &caller.principal.id, page.after(), limit).await?;
    Ok(Json(Page::of(rows, limit, |r| r.id.to_string())))
}

/// Read a run.
#[utoipa::path(get, path = "/api/v1/runs/{id}", tag = "agents", params(("id" = Id<Run>, Path)),
    responses((status = 200, description = "The run, with its result when it has one.", body = Run), CommonProblems, right::RunAgents, NotFoundProblem))]
pub async fn get_run(State(agents): State<Agents>, caller: May<right::RunAgents>, Path(id): Path<Id<Run>>) -> Result<Json<Run>> {
    let mut tx = agents.kernel.db.read(caller.principal.tenant).await?;
    store::get(&mut tx, caller.principal.tenant, &caller.principal.id, id).await?.map(Json).ok_or_else(|| Error::not_found("run"))
}

/// Read a run's events, from the beginning or behind `Last-Event-ID`.
#[utoipa::path(get, path = "/api/v1/runs/{id}/events", tag = "agents", params(("id" = Id<Run>, Path), StreamQuery),
    responses((status = 200, description = "The stream.", content((StreamEvent = "text/event-stream"), (StreamLine = "application/x-ndjson"))),
              CommonProblems, right::RunAgents, NotFoundProblem))]
pub async fn stream_run_events(
    State(agents): State<Agents>,
    caller: May<right::RunAgents>,
    Path(id): Path<Id<Run>>,
    Query(query): Query<StreamQuery>,
    headers: HeaderMap,
) -> Result<Response> {
    let (tenant, stream) = (caller.principal.tenant, RUNS.stream(id));
    let after = query.start(&headers, &agents.kernel, tenant, &stream).await?;
    let run = store::get(&mut agents.kernel.db.read(tenant).await?, tenant, &caller.principal.id, id).await?;
    run.ok_or_else(|| Error::not_found("run"))?;
    Ok(RUNS.read(&agents.kernel, tenant, stream, after, &headers))
}
