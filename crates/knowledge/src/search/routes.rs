//! The search endpoints.

use astrolabe_kernel::{
    Result,
    audit::reads,
    http::{BodyProblems, Caller, CommonProblems, Json, May, NotFoundProblem, Query},
    principal::right,
};
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    Facets, Found, FoundDocument, Retrieval, SearchMode,
    request::{Group, SearchParameters, SearchRequest},
};
use crate::Knowledge;

/// What was found.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SearchResponse {
    /// Passages, best first; none when documents were asked for.
    pub items: Vec<Found>,
    /// Documents, best first, when they were asked for (`group`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub documents: Option<Vec<FoundDocument>>,
    /// How many chunks match the filters and the words that the query requires or excludes, of those that the caller may read; exact, except that a
    /// phrase counts as its words. A search ranks all of them; it is not the number of hits.
    pub total: u64,
    /// The same by source, tag, language and media type, when asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub facets: Option<Facets>,
    /// How they were found.
    pub mode: Retrieval,
    /// The language that the query was taken to be in: `en`, `pl`, `ru` or `und`.
    pub lang: String,
    /// What was missing, and how the search was degraded: `no_embedder` when it was to go by meaning too and there is no embedding model.
    pub notices: Vec<String>,
    /// Pass it as `cursor` to get the next page; null when there is nothing behind this one. At most 200 chunks are ranked.
    pub next_cursor: Option<String>,
    /// Milliseconds it took.
    pub took_ms: f64,
    /// The request's trace.
    pub trace_id: String,
}

/// Search by words and by meaning.
#[utoipa::path(post, path = "/api/v1/search", tag = "search", request_body = SearchRequest,
    responses((status = 200, description = "What was found.", body = SearchResponse), CommonProblems, right::ReadKnowledge, NotFoundProblem, BodyProblems))]
pub async fn search(
    State(knowledge): State<Knowledge>,
    caller: May<right::ReadKnowledge>,
    Json(request): Json<SearchRequest>,
) -> Result<Json<SearchResponse>> {
    run(&knowledge, &caller, &request).await.map(Json)
}

/// Search by words and by meaning, by an address that can be kept.
#[utoipa::path(get, path = "/api/v1/search", tag = "search", params(SearchParameters),
    responses((status = 200, description = "What was found.", body = SearchResponse), CommonProblems, right::ReadKnowledge, NotFoundProblem))]
pub async fn search_by_address(
    State(knowledge): State<Knowledge>,
    caller: May<right::ReadKnowledge>,
    Query(parameters): Query<SearchParameters>,
) -> Result<Json<SearchResponse>> {
    run(&knowledge, &caller, &parameters.into()).await.map(Json)
}

/// The search behind the endpoints.
///
/// # Errors
/// `invalid_request` naming the wrong field; `invalid_state` for a search by meaning without an embedding model; `warming_up` while the index loads.
pub async fn run(knowledge: &Knowledge, caller: &Caller, request: &SearchRequest) -> Result<SearchResponse> {
    let started = std::time::Instant::now();
    let principal = &caller.principal;
    let search = request.checked(knowledge, principal).await?;
    let (items, documents, retrieval, lang, next) = if request.group == Some(Group::Document) {
        let results = knowledge.find_documents(principal, &search).await?;
        // Documents come on one page, so there is nothing behind it.
        let found = if search.from == 0 { results.found } else { Vec::new() };
        (Vec::new(), Some(found), results.retrieval, results.query.lang, None)
    } else {
        let results = knowledge.search(principal, &search).await?;
        (results.found, None, results.retrieval, results.query.lang, results.next)
    };
    if knowledge.kernel.records_reads(false) {
        // Which documents, not for what was searched: that is nobody's business.
        let shown = documents.iter().flatten().map(|d| d.document_id).chain(items.iter().map(|i| i.document_id));
        knowledge.kernel.note_read(caller, "search", "documents", &reads::documents(shown)).await?;
    }
    let total = knowledge.count_matching(principal, &search).await?;
    let facets = if request.facets == Some(true) { Some(knowledge.facets(principal, &search).await?) } else { None };
    let degraded = search.mode == SearchMode::Hybrid && retrieval == Retrieval::Lexical;
    Ok(SearchResponse {
        items,
        documents,
        total,
        facets,
        mode: retrieval,
        lang: lang.code().to_owned(),
        notices: if degraded { vec!["no_embedder".to_owned()] } else { Vec::new() },
        next_cursor: next.map(|at| at.to_string()),
        took_ms: started.elapsed().as_secs_f64() * 1000.0,
        trace_id: caller.trace.trace_id.clone(),
    })
}
