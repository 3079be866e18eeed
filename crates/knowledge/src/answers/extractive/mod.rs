//! Answers without a chat model: the sentences of the found passages that answer a question, or the statement that none does.
//!
//! [`extract_answer`] scores every sentence of the passages with a small calibrated model over evidence that can be named (`features`): which of the
//! question's words the sentence and its surroundings hold, whether the rarest of them is missing, whether the kind of thing asked for is there
//! (`kinds`, `holdings`), and, with an embedder, how close sentence and question are. Below a threshold the answer is "not found". [`render`] writes the picked
//! sentences in reading order, each followed by its citation mark.
//!
//! Reading order: `question` (what is asked), `candidates` (what may answer), `features`, `weights`, `pick`.

mod candidates;
mod contrasts;
mod families;
mod features;
mod holdings;
mod kinds;
mod lexicon;
mod numbers;
mod pick;
mod question;
mod ranges;
mod trees_similar;
mod trees_words;
mod vocabulary;
mod weights;

#[cfg(test)]
mod tests;

use astrolabe_backends::analysis::Lang;

pub use features::{FEATURE_NAMES, FEATURES, Features};
pub use kinds::Kind;
pub use lexicon::widen;
pub use pick::render;
pub use weights::{ANSWER_FEATURES, Model, Tree};

/// A sentence vector.
pub type Embedding = Vec<f32>;

/// A passage found for the question: a chunk with what is known about it.
#[derive(Debug, Clone, Copy)]
pub struct Passage<'a> {
    /// The chunk's text.
    pub text: &'a str,
    /// Heading path of the chunk, parts separated by ` > `; may be empty.
    pub heading: &'a str,
    /// Title of the document; may be empty.
    pub title: &'a str,
    /// First few hundred characters of the document, where it says whether it is in force; may be empty.
    pub document_start: &'a str,
    /// Language of the chunk.
    pub lang: Lang,
    /// Position in the fused result list, from 0; breaks ties, for the answerer ranks the passages by the question's words itself.
    pub rank: usize,
    /// Cosine of question and chunk, when an embedder is there.
    pub dense_score: Option<f32>,
}

/// A function that embeds sentences, one vector each and in order; an empty result means the embedder could not.
pub type EmbedSentences<'a> = dyn Fn(&[&str]) -> Vec<Embedding> + 'a;

/// What [`extract_answer`] works on.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The question as typed.
    pub question: &'a str,
    /// Its language; detected when `None`.
    pub lang: Option<Lang>,
    /// The passages found, in any order.
    pub passages: &'a [Passage<'a>],
    /// Inverse document frequency of an index term over the searched chunks, `ln(1 + (N - df + 0.5) / (df + 0.5))`. A term in no chunk must get the
    /// maximum, so `df` is 0 and not an error.
    pub idf: &'a dyn Fn(&str) -> f32,
    /// The question's vector and the sentence embedder; `None` answers by words alone.
    pub embedder: Option<(&'a [f32], &'a EmbedSentences<'a>)>,
}

/// A picked piece of a passage.
#[derive(Debug, Clone, PartialEq)]
pub struct Picked {
    /// Index into [`Request::passages`].
    pub passage: usize,
    /// First character within the passage's text.
    pub start: usize,
    /// One past the last character.
    pub end: usize,
    /// What to show: the sentence on one line; a table row with its column names.
    pub text: String,
    /// Score by which it was picked; comparable within one answer only.
    pub score: f32,
}

/// An extractive answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Extract {
    /// False when the passages do not hold an answer; `picked` is empty then.
    pub answered: bool,
    /// Probability that the best sentence answers, 0 to 1.
    pub confidence: f32,
    /// One to three pieces in reading order: by document position inside a passage, passages by first mention.
    pub picked: Vec<Picked>,
    /// Language the question was taken to be in.
    pub lang: Lang,
}

/// A sentence with its evidence, for calibration and for explanations.
#[derive(Debug, Clone)]
pub struct Scored {
    /// Index into [`Request::passages`].
    pub passage: usize,
    /// The sentence as it stands in the passage.
    pub text: String,
    /// The evidence.
    pub features: Features,
}

/// Picks the one to three sentences that answer the question, or none.
///
/// Costs one analysis of every passage and, with an embedder, one batch of at most 24 sentences.
#[must_use]
pub fn extract_answer(request: &Request<'_>) -> Extract {
    pick::answer(request, None)
}

/// The same with a given model instead of the calibrated one.
#[must_use]
pub fn extract_with(request: &Request<'_>, model: &Model) -> Extract {
    pick::answer(request, Some(model))
}

/// All sentences that may answer with their features, in reading order.
#[must_use]
pub fn evidence(request: &Request<'_>) -> Vec<Scored> {
    pick::evidence(request)
}

/// What a question was read as: its concepts with their weights, for explanations.
#[must_use]
pub fn describe(request: &Request<'_>) -> String {
    let question = question::Question::read(request.question, request.lang, request.idf);
    let concept = |c: &question::Concept| {
        format!("{} {:.2}{}{}", c.surface, c.weight, if c.entity { " name" } else { "" }, if c.identifies { " identifies" } else { "" })
    };
    format!("{:?}: {}", question.kind, question.concepts.iter().map(concept).collect::<Vec<_>>().join(", "))
}

/// The kind of answer a question asks for.
#[must_use]
pub fn expected_kind(question: &str) -> Kind {
    question::Question::read(question, Some(Lang::Other), &|_| 1.0).kind
}
