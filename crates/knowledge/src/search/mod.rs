//! Finding chunks by words and by meaning.

pub mod routes;
mod store;

use astrolabe_backends::{
    analysis::{Lang, Query, analyse_query},
    embedder::Priority,
    index::{Filter, Hit, RRF_K, rrf},
};
use astrolabe_kernel::{Error, Id, Principal, Result, principal::TenantId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    Knowledge,
    answers::extractive::widen,
    documents::Document,
    ingest::{ChunkId, jobs::embed},
    sources::Source,
};

/// How many candidates each side brings.
const CANDIDATES: usize = 60;

/// A chunk that was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Found {
    /// The chunk.
    pub chunk_id: ChunkId,
    /// Its document.
    pub document_id: Id<Document>,
    /// The document's name.
    pub document: String,
    /// Its source.
    pub source_id: Id<Source>,
    /// The source's name.
    pub source: String,
    /// Heading path of the chunk.
    pub heading: String,
    /// First character in the document's text.
    pub start: i64,
    /// One past the last character.
    pub end: i64,
    /// The chunk's text.
    pub text: String,
    /// How well it fits, from 0 to 1; comparable within one answer only.
    pub score: f64,
    /// Language of the text, empty when unknown.
    pub lang: String,
    /// Page, where the document has pages.
    pub page: Option<i64>,
    /// Where each side ranked it, from 1; null where a side did not find it.
    pub ranks: Ranks,
    /// The document's title.
    #[serde(skip)]
    pub(crate) title: String,
    #[serde(skip)]
    pub(crate) text_hash: String,
    /// Cosine of question and chunk.
    #[serde(skip)]
    pub(crate) dense: Option<f32>,
    /// Share of the question's words that the chunk has.
    #[serde(skip)]
    pub(crate) lexical: Option<f32>,
}

/// Where each side ranked a chunk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Ranks {
    /// By meaning.
    pub dense: Option<usize>,
    /// By words.
    pub lexical: Option<usize>,
}

/// How the chunks were found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Retrieval {
    /// By words and by meaning.
    Hybrid,
    /// By words alone: there is no embedding model.
    Lexical,
}

/// What a search found.
pub struct Results {
    /// Best first.
    pub found: Vec<Found>,
    /// How.
    pub retrieval: Retrieval,
    /// The analysed question.
    pub query: Query,
    /// The question's vector, when there is an embedder.
    pub vector: Option<Vec<f32>>,
    /// Whose chunks were searched.
    pub tenant: TenantId,
}

/// How much the side of meaning counts beside the side of words (1.0). MiniLM was trained on English: measured on the development
/// collections, its ranks help there and mislead in Polish and Russian.
pub(crate) fn dense_weight(lang: Lang) -> f32 {
    match lang {
        Lang::En => 0.8,
        Lang::Pl | Lang::Ru => 0.15,
        Lang::Other => 0.3,
    }
}

/// Checks a question: 1 to 2,000 characters that are not all white space.
pub(crate) fn check_question(field: &str, text: &str) -> Result<()> {
    let length = text.chars().count();
    if text.trim().is_empty() || length > 2000 {
        return Err(Error::field(field, "must be 1 to 2000 characters, not only white space"));
    }
    Ok(())
}

impl Knowledge {
    /// The ids of the sources that a caller named by id or name, or of those it may read when it named none; `None` for all of the tenant. A
    /// source that the caller may not read is not there.
    ///
    /// # Errors
    /// `invalid_request` naming the source that is not there.
    pub async fn resolve_sources(&self, principal: &Principal, sources: Option<&[String]>) -> Result<Option<Vec<Id<Source>>>> {
        let Some(sources) = sources.filter(|s| !s.is_empty()) else { return self.readable_sources(principal).await };
        if sources.len() > 50 {
            return Err(Error::field("sources", "must be at most 50"));
        }
        let mut ids = Vec::with_capacity(sources.len());
        for (i, source) in sources.iter().enumerate() {
            ids.push(self.find_readable_source(principal, source, &format!("sources[{i}]")).await?.id);
        }
        Ok(Some(ids))
    }

    /// Finds up to `limit` chunks of the caller's tenant, best first.
    ///
    /// # Errors
    /// `warming_up` while the index loads.
    pub async fn find(&self, principal: &Principal, question: &str, sources: Option<Vec<Id<Source>>>, limit: usize) -> Result<Results> {
        self.find_query(principal, question, analyse_query(question, None), sources, limit).await
    }

    /// The same for an answer: synonyms of the question's words count a little, so that a question in the words of daily life finds the rule.
    ///
    /// # Errors
    /// `warming_up` while the index loads.
    pub(crate) async fn find_for_answer(
        &self,
        principal: &Principal,
        question: &str,
        sources: Option<Vec<Id<Source>>>,
        limit: usize,
    ) -> Result<Results> {
        let mut query = analyse_query(question, None);
        widen(&mut query);
        self.find_query(principal, question, query, sources, limit).await
    }

    #[tracing::instrument(name = "search", skip_all)]
    async fn find_query(
        &self,
        principal: &Principal,
        question: &str,
        query: Query,
        sources: Option<Vec<Id<Source>>>,
        limit: usize,
    ) -> Result<Results> {
        let started = std::time::Instant::now();
        let index = self.index()?;
        let vector = match self.embedder() {
            Some(embedder) => embed(&embedder, vec![question.to_owned()], Priority::Interactive).await?.pop(),
            None => None,
        };
        let filter = Filter {
            sources: sources.map(|ids| ids.iter().map(ToString::to_string).collect()),
            ..Filter::tenant(principal.tenant.to_string())
        };
        let dense = async {
            match &vector {
                Some(vector) => index.dense(&filter, vector, CANDIDATES).await,
                None => Ok(Vec::new()),
            }
        };
        let (lexical, dense) =
            tokio::try_join!(index.lexical(&filter, &query.terms, CANDIDATES), dense).map_err(crate::runtime::index_error)?;
        let retrieval = if vector.is_some() { Retrieval::Hybrid } else { Retrieval::Lexical };
        let found = self.resolve(principal, &query, &lexical, &dense, limit).await?;
        let mode = if vector.is_some() { "hybrid" } else { "lexical" };
        metrics::histogram!("search_duration_seconds", "mode" => mode).record(started.elapsed().as_secs_f64());
        Ok(Results { found, retrieval, query, vector, tenant: principal.tenant })
    }

    async fn resolve(&self, principal: &Principal, query: &Query, lexical: &[Hit], dense: &[Hit], limit: usize) -> Result<Vec<Found>> {
        let weight = dense_weight(query.lang);
        let fused = rrf(&[(1.0, lexical), (weight, dense)], RRF_K);
        let best = (1.0 + weight) / (RRF_K + 1.0);
        let mut tx = self.kernel.db.read().await?;
        let mut found: Vec<Found> = Vec::new();
        let mut seen = std::collections::HashSet::new();
        // More are read than wanted: what was deleted a moment ago and what says the same falls out.
        for batch in fused.chunks(20) {
            if found.len() >= limit {
                break;
            }
            let ids: Vec<&str> = batch.iter().map(|f| f.chunk_id.as_str()).collect();
            let mut rows = store::chunks(&mut tx, principal.tenant, &ids).await?;
            for hit in batch {
                let Some(at) = rows.iter().position(|r| r.chunk_id.to_string() == hit.chunk_id) else { continue };
                let mut row = rows.swap_remove(at);
                if !seen.insert(row.text_hash.clone()) {
                    continue;
                }
                row.score = f64::from((hit.score / best).min(1.0));
                row.ranks = Ranks { lexical: hit.ranks[0], dense: hit.ranks[1] };
                row.lexical = hit.ranks[0].and_then(|r| lexical.get(r - 1)).map(|h| h.share);
                row.dense = hit.ranks[1].and_then(|r| dense.get(r - 1)).map(|h| h.score);
                found.push(row);
                if found.len() == limit {
                    break;
                }
            }
        }
        Ok(found)
    }
}
