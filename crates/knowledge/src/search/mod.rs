//! Finding chunks by words and by meaning.
//!
//! Reading order: [`Search`] is what is wanted; [`run`] asks both sides of the index, fuses what they say and applies what sources say of their
//! documents; [`passages`] folds what says the same and joins neighbours; [`documents`] ranks whole documents; [`explain`] tells how a score came
//! about. What a caller may not read is left out by the index's filter, before anything is ranked or counted.

mod boosts;
mod documents;
mod explain;
mod facets;
mod fold;
mod highlight;
mod passages;
pub mod request;
pub mod routes;
mod run;
mod store;
#[cfg(test)]
mod tests;

use astrolabe_backends::{
    analysis::{Lang, Query},
    index::Filter,
};
use astrolabe_kernel::{Error, Id, Principal, Result, Timestamp, principal::TenantId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Knowledge, documents::Document, ingest::ChunkId, sources::Source};

pub use boosts::{Boost, Ranking};
pub use documents::{DocumentResults, FoundDocument, documents_of};
pub use explain::{Explanation, MatchedWord, SideScore};
pub use facets::{Facets, SourceCount, ValueCount};
pub use highlight::Span;
pub use run::coverage;

/// What a search is to find.
#[derive(Debug, Clone, PartialEq)]
pub struct Search {
    /// Words or a question.
    pub text: String,
    /// Which sides of the index are asked.
    pub mode: SearchMode,
    /// What may be found.
    pub only: Only,
    /// Passages or documents at most.
    pub limit: usize,
    /// Ranked chunks that earlier pages have used up.
    pub from: usize,
    /// 0 to 1: how much a passage that is like a better one is put back. 0 keeps the order of the scores.
    pub diversity: f32,
    /// Whether neighbours become one passage.
    pub join: bool,
    /// Whether each passage tells how its score came about.
    pub explain: bool,
}

impl Search {
    /// A search for `limit` chunks by both sides, in everything that the caller may read.
    pub fn new(text: impl Into<String>, limit: usize) -> Self {
        Self {
            text: text.into(),
            mode: SearchMode::Hybrid,
            only: Only::default(),
            limit,
            from: 0,
            diversity: 0.0,
            join: false,
            explain: false,
        }
    }
}

/// What may be found; `None` allows everything, and an empty list nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Only {
    /// In these sources.
    pub sources: Option<Vec<Id<Source>>>,
    /// Documents with at least one of these tags.
    pub tags: Option<Vec<String>>,
    /// Chunks in this language.
    pub lang: Option<Lang>,
    /// Documents of one of these media types.
    pub mimes: Option<Vec<String>>,
    /// Documents that changed at this moment or later.
    pub updated_from: Option<Timestamp>,
    /// Documents that changed before this moment.
    pub updated_until: Option<Timestamp>,
    /// Documents without a list of readers, or with one of these ids in it; `None` for a caller who may read everything of the tenant.
    pub readers: Option<Vec<String>>,
}

impl Only {
    /// The same as the index takes it.
    fn filter(&self, tenant: TenantId) -> Filter {
        Filter {
            sources: self.sources.as_ref().map(|ids| ids.iter().map(ToString::to_string).collect()),
            readers: self.readers.clone(),
            tags: self.tags.clone(),
            lang: self.lang,
            mimes: self.mimes.clone(),
            updated_from: self.updated_from.map(Timestamp::micros),
            updated_until: self.updated_until.map(Timestamp::micros),
            ..Filter::tenant(tenant.to_string())
        }
    }
}

/// Which sides of the index a search asks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SearchMode {
    /// By words.
    Lexical,
    /// By meaning.
    Dense,
    /// By both, fused.
    #[default]
    Hybrid,
}

/// A passage that was found: a chunk, or neighbouring chunks of one section.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Found {
    /// The chunk; the best one of a passage that was put together.
    pub chunk_id: ChunkId,
    /// All chunks of the passage in reading order.
    pub chunk_ids: Vec<ChunkId>,
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
    /// The passage's text.
    pub text: String,
    /// Where the text holds words of the query, as characters of `text`.
    pub highlights: Vec<Span>,
    /// How well it fits, from 0 to 1; comparable within one answer only.
    pub score: f64,
    /// Language of the text, empty when unknown.
    pub lang: String,
    /// Media type of the document.
    pub mime: String,
    /// Tags of the document.
    pub tags: Vec<String>,
    /// When the document last changed.
    pub updated_at: Timestamp,
    /// Page, where the document has pages.
    pub page: Option<i64>,
    /// Where each side ranked it, from 1; null where a side did not find it.
    pub ranks: Ranks,
    /// How many other chunks say the same and are not shown.
    pub folded: u32,
    /// How the score came about, when asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explanation: Option<Explanation>,
    /// The document's title.
    #[serde(skip)]
    pub(crate) title: String,
    #[serde(skip)]
    pub(crate) text_hash: String,
    /// Place of the first and the last chunk in the document.
    #[serde(skip)]
    pub(crate) ordinals: (i64, i64),
    /// The score of both sides together, before the boosts.
    #[serde(skip)]
    pub(crate) fused: f32,
    #[serde(skip)]
    pub(crate) boosts: Vec<Boost>,
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
    /// By words alone: so it was asked for, or there is no embedding model.
    Lexical,
    /// By meaning alone: so it was asked for.
    Dense,
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
    /// Ranked chunks that this page and those before it used up; `None` when nothing comes behind them.
    pub next: Option<usize>,
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
}

#[cfg(test)]
impl Found {
    /// A passage of a document that is nothing but this text.
    pub(crate) fn of_text(text: &str) -> Self {
        Self {
            chunk_id: Id::derived(text.as_bytes()),
            chunk_ids: vec![Id::derived(text.as_bytes())],
            document_id: Id::derived(b"d"),
            document: "d.md".to_owned(),
            source_id: Id::derived(b"s"),
            source: "s".to_owned(),
            heading: String::new(),
            start: 0,
            end: i64::try_from(text.chars().count()).unwrap(),
            text: text.to_owned(),
            highlights: Vec::new(),
            score: 1.0,
            lang: "en".to_owned(),
            mime: "text/plain".to_owned(),
            tags: Vec::new(),
            updated_at: Timestamp::from_micros(0),
            page: None,
            ranks: Ranks::default(),
            folded: 0,
            explanation: None,
            title: String::new(),
            text_hash: text.to_owned(),
            ordinals: (0, 0),
            fused: 1.0,
            boosts: Vec::new(),
            dense: None,
            lexical: None,
        }
    }
}
