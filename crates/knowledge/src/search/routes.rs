//! The search endpoint.

use astrolabe_kernel::{
    Error, Result,
    http::{BodyProblems, Caller, CommonProblems, Json, NotFoundProblem},
};
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Found, Retrieval, check_question};
use crate::Knowledge;

/// What to look for.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"query": "how long are backups kept", "limit": 5}))]
pub struct SearchRequest {
    /// Words or a question.
    #[schema(min_length = 1, max_length = 2000, pattern = "^[^\\u0000]*[^\\s\\u0000][^\\u0000]*$")]
    pub query: String,
    /// Ids or names of the sources to look in; all when absent or empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 50, value_type = Option<Vec<crate::sources::SourceName>>)]
    pub sources: Option<Vec<String>>,
    /// How many chunks at most; 10 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 100)]
    pub limit: Option<u32>,
}

/// What was found.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SearchResponse {
    /// Best first.
    pub items: Vec<Found>,
    /// How they were found.
    pub mode: Retrieval,
    /// Milliseconds it took.
    pub took_ms: f64,
    /// The request's trace.
    pub trace_id: String,
}

/// Search chunks by words and by meaning.
#[utoipa::path(post, path = "/api/v1/search", tag = "search", request_body = SearchRequest,
    responses((status = 200, description = "What was found.", body = SearchResponse), CommonProblems, NotFoundProblem, BodyProblems))]
pub async fn search(
    State(knowledge): State<Knowledge>,
    caller: Caller,
    Json(request): Json<SearchRequest>,
) -> Result<Json<SearchResponse>> {
    run(&knowledge, &caller, &request).await.map(Json)
}

/// The search behind the endpoint and the command.
///
/// # Errors
/// `invalid_request` naming the wrong field; `warming_up` while the index loads.
pub async fn run(knowledge: &Knowledge, caller: &Caller, request: &SearchRequest) -> Result<SearchResponse> {
    let started = std::time::Instant::now();
    check_question("query", &request.query)?;
    let limit = request.limit.unwrap_or(10);
    if !(1..=100).contains(&limit) {
        return Err(Error::field("limit", "must be between 1 and 100"));
    }
    let sources = knowledge.resolve_sources(&caller.principal, request.sources.as_deref()).await?;
    let results = knowledge.find(&caller.principal, &request.query, sources, limit as usize).await?;
    Ok(SearchResponse {
        items: results.found,
        mode: results.retrieval,
        took_ms: started.elapsed().as_secs_f64() * 1000.0,
        trace_id: caller.trace.trace_id.clone(),
    })
}
