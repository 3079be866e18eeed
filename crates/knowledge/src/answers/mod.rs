//! Answers with citations: what was found is put together by the extractive answerer, or by a chat model from the same passages.
//!
//! An ask is a row and an event stream before anything is sent: whoever was cut off reads on from the last event.

pub(crate) mod cache;
pub mod extractive;
mod extractive_glue;
mod model;
pub mod routes;
mod run;
pub(crate) mod store;

use astrolabe_backends::analysis::Lang;
use astrolabe_kernel::{Id, Timestamp, id::Named, work::Kind};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    documents::Document,
    search::{Explanation, Retrieval},
    sources::Source,
};

/// A question and its answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Answer {
    /// The ask's id, `ask_…`.
    pub id: Id<Answer>,
    /// The question as it was asked.
    pub question: String,
    /// The answer, in the question's language, with `[n]` behind what the citation `n` supports.
    pub answer: String,
    /// Whether the sources answer the question; when false, `answer` says that nothing was found.
    pub answered: bool,
    /// What the answer rests on, in the order of first mention.
    pub citations: Vec<Citation>,
    /// Who wrote the answer.
    pub mode: Mode,
    /// ISO 639-1 code of the question's language, empty when unknown.
    pub lang: String,
    /// How the passages were found.
    pub retrieval: Retrieval,
    /// What was missing or went wrong and how the answer was degraded: `no_embedder`, `model_unavailable`, `model_interrupted`,
    /// `citation_removed`, `not_cited`.
    pub notices: Vec<String>,
    /// The request's trace.
    pub trace_id: String,
    /// When it was asked.
    pub created_at: Timestamp,
}

impl Named for Answer {
    const PREFIX: &'static str = "ask";
}

/// A passage that an answer rests on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Citation {
    /// The number in the answer's `[n]`, from 1.
    pub n: i64,
    /// The document.
    pub document_id: Id<Document>,
    /// The document's name.
    pub document: String,
    /// The source's name.
    pub source: String,
    /// The source.
    pub source_id: Id<Source>,
    /// Heading path of the passage.
    pub heading: String,
    /// The page, slide or sheet on which the passage begins, from 1; absent where the document has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub page: Option<i64>,
    /// First character in the document's text (`GET /api/v1/documents/{id}/content`).
    pub start: i64,
    /// One past the last character.
    pub end: i64,
    /// How well the passage fits, from 0 to 1; comparable within one answer only.
    pub score: f64,
    /// The cited text.
    pub text: String,
    /// How the passage was found, when asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explanation: Option<Explanation>,
}

/// Who wrote an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Sentences of the sources, word for word.
    Extractive,
    /// A chat model, from the same passages.
    Model,
}

/// An ask as it stands.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Ask {
    /// Its id, `ask_…`.
    pub id: Id<Answer>,
    /// The question.
    pub question: String,
    /// Where it stands.
    pub state: AskState,
    /// The answer, when it is completed.
    pub answer: Option<Answer>,
    /// The request's trace.
    pub trace_id: String,
    /// When it was asked.
    pub created_at: Timestamp,
}

/// Where an ask stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AskState {
    /// The answer is being made.
    Running,
    /// It is there.
    Completed,
    /// There will be none.
    Failed,
}

/// A question to the sources.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"question": "How long are backups kept?", "sources": []}))]
pub struct AskRequest {
    /// The question, in any language.
    #[schema(min_length = 1, max_length = 2000, pattern = "^[^\\u0000]*[^\\s\\u0000][^\\u0000]*$")]
    pub question: String,
    /// Ids or names of the sources to answer from; all when absent or empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 50, value_type = Option<Vec<crate::sources::SourceName>>)]
    pub sources: Option<Vec<String>>,
    /// How many passages to answer from at most; 12 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 20)]
    pub limit: Option<u32>,
    /// Whether each citation tells how its passage was found: both sides' ranks and scores; false when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explain: Option<bool>,
}

/// What an answer says when the sources do not answer the question.
pub fn not_found_text(lang: Lang) -> &'static str {
    match lang {
        Lang::Pl => "Nie znaleziono odpowiedzi w źródłach.",
        Lang::Ru => "В источниках ответа не найдено.",
        _ => "Not found in the sources.",
    }
}

/// Asks as the work that they are.
pub(crate) static ASKS: Kind = Kind {
    table: "asks",
    result: "answer",
    noun: "ask",
    ends: ["ask.completed", "ask.failed"],
    action: "ask",
    abandoned: "the process stopped before the answer was made; ask again",
};
