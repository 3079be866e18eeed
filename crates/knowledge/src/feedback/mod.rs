//! Feedback: what a person thinks of an answer. Each person has one word on each of their asks, and may change it; an editor turns it into a question
//! of a set, so that what went wrong once is asked again.

pub mod routes;
pub(crate) mod store;
#[cfg(test)]
mod tests;

use astrolabe_kernel::{
    Error, Id, Result, Timestamp,
    flags::{Flag, FlagKind},
    id::Named,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    answers::Answer,
    question_sets::{Question, QuestionSet},
};

/// Whether people may rate answers. What was said before stays readable.
pub static FEEDBACK: Flag = Flag {
    name: "feedback",
    kind: FlagKind::Switch,
    default: 100,
    description: "People may rate answers and say what is wrong with them.",
};

/// What a person thinks of an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Feedback {
    /// Its id, `fbk_…`.
    pub id: Id<Feedback>,
    /// The ask.
    pub ask_id: Id<Answer>,
    /// Whether the answer was good.
    pub rating: Rating,
    /// What is wrong with it.
    pub reason: Option<Reason>,
    /// In the person's own words.
    pub comment: String,
    /// The question.
    pub question: String,
    /// The answer that was given.
    pub answer: String,
    /// Whether it was an answer, and not that nothing was found.
    pub answered: bool,
    /// Names of the documents that it cited.
    pub documents: Vec<String>,
    /// The set that has a question made of it.
    pub question_set_id: Option<Id<QuestionSet>>,
    /// Who gave it.
    pub created_by: String,
    /// When it was given.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

impl Named for Feedback {
    const PREFIX: &'static str = "fbk";
}

/// Whether an answer was good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Rating {
    /// It was.
    Up,
    /// It was not.
    Down,
}

impl Rating {
    /// The rating as stored and sent.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

/// What is wrong with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// It is not true, or answers something else.
    Wrong,
    /// Something is missing.
    Incomplete,
    /// Nothing was found, though the documents have it.
    NotFound,
    /// The document that answers it is not among the sources.
    SourceMissing,
    /// Something else.
    Other,
}

impl Reason {
    /// The reason as stored and sent.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Wrong => "wrong",
            Self::Incomplete => "incomplete",
            Self::NotFound => "not_found",
            Self::SourceMissing => "source_missing",
            Self::Other => "other",
        }
    }
}

/// Feedback to give.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"rating": "down", "reason": "incomplete", "comment": "It does not say who may do it."}))]
pub struct NewFeedback {
    /// Whether the answer was good.
    pub rating: Rating,
    /// What is wrong with it; a good answer may lack something, too.
    #[serde(default)]
    pub reason: Option<Reason>,
    /// In your own words.
    #[serde(default)]
    #[schema(max_length = 2000, pattern = "^[^\\u0000]*$")]
    pub comment: String,
}

impl NewFeedback {
    /// Checks the fields.
    ///
    /// # Errors
    /// `invalid_request` naming the first wrong field.
    pub fn validate(&self) -> Result<()> {
        if self.comment.chars().count() > 2000 {
            return Err(Error::field("comment", "must be at most 2000 characters"));
        }
        Ok(())
    }
}

/// The caller's feedback on one ask.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct OwnFeedback {
    /// The feedback; null when none was given.
    pub feedback: Option<Feedback>,
}

/// What is to be expected of a question that is made of feedback; what is absent is taken from the feedback.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"question_set_id": "qst_01JD3V9M7Q4R8T2W6X0Y5Z1ABC", "answer_any": ["35 days"]}))]
pub struct QuestionFromFeedback {
    /// The set that gets it.
    pub question_set_id: Id<QuestionSet>,
    /// Its id in the set; the feedback's id when absent.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 100, pattern = "^[^\\u0000]*[^\\s\\u0000][^\\u0000]*$")]
    pub id: Option<String>,
    /// Whether the sources answer it.
    #[serde(default)]
    pub answerable: Option<bool>,
    /// The document that has to be cited.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 500, pattern = "^[^\\u0000]*[^\\s\\u0000][^\\u0000]*$")]
    pub document: Option<String>,
    /// Strings of which the answer has to hold one.
    #[serde(default)]
    #[schema(max_items = 20, value_type = Vec<crate::question_sets::Expected>)]
    pub answer_any: Vec<String>,
    /// Regular expressions of which the answer has to match one; what is none is looked for as it is written.
    #[serde(default)]
    #[schema(max_items = 20, value_type = Vec<crate::question_sets::Expected>)]
    pub answer_patterns: Vec<String>,
}

impl QuestionFromFeedback {
    /// The question that is made of `feedback`.
    ///
    /// Praise expects what was given: the document that was cited first, or that nothing is found. Blame for a missing source expects that nothing is
    /// found until the source is there; any other blame expects an answer, and nothing more unless the request says so.
    pub fn question(self, feedback: &Feedback) -> Question {
        let praised = feedback.rating == Rating::Up;
        let usual = if praised { feedback.answered } else { feedback.reason != Some(Reason::SourceMissing) };
        let answerable =
            self.answerable.unwrap_or(usual || self.document.is_some() || !self.answer_any.is_empty() || !self.answer_patterns.is_empty());
        let cited = feedback.documents.first().filter(|_| praised && answerable).cloned();
        Question {
            id: self.id.unwrap_or_else(|| feedback.id.to_string()),
            question: feedback.question.clone(),
            answerable,
            document: self.document.or(cited),
            answer_any: self.answer_any,
            answer_patterns: self.answer_patterns,
            note: feedback.comment.clone(),
        }
    }
}
