//! Whether an answer is what a question expects.

use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Question;
use crate::{
    answers::{Answer, Citation},
    eval::text::{fold, holds},
};

/// Bytes that a compiled pattern may take.
const MAX_PATTERN: usize = 1 << 20;

/// What became of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Answered as expected.
    Right,
    /// Refused, and rightly: the sources do not answer it.
    RightlyRefused,
    /// Answered, though the sources do not answer it.
    NotRefused,
    /// Refused, though the sources answer it.
    NotAnswered,
    /// The answer holds none of the expected strings and patterns.
    WrongAnswer,
    /// No citation is of the expected document.
    DocumentNotCited,
    /// The expected document is cited, but no cited passage of it holds what the answer should hold.
    PassageNotCited,
    /// There was no answer, because asking failed.
    Failed,
}

impl Verdict {
    /// Whether the question came out right.
    pub fn is_right(self) -> bool {
        matches!(self, Self::Right | Self::RightlyRefused)
    }

    /// The verdict as stored and sent.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Right => "right",
            Self::RightlyRefused => "rightly_refused",
            Self::NotRefused => "not_refused",
            Self::NotAnswered => "not_answered",
            Self::WrongAnswer => "wrong_answer",
            Self::DocumentNotCited => "document_not_cited",
            Self::PassageNotCited => "passage_not_cited",
            Self::Failed => "failed",
        }
    }
}

/// Compares an answer with what its question expects.
///
/// An answerable question is right when it was answered, when the answer holds one of the expected strings or matches one of the patterns, when
/// the expected document is cited, and when a cited passage of it holds what the answer should hold: an answer that is right by luck, with another
/// document under it, does not count. What the question does not name is not looked at. Letter case and white space are folded.
pub fn judge(question: &Question, answer: &Answer) -> Verdict {
    if !question.answerable {
        return if answer.answered { Verdict::NotRefused } else { Verdict::RightlyRefused };
    }
    if !answer.answered {
        return Verdict::NotAnswered;
    }
    let patterns: Vec<Result<Regex, &String>> = question.answer_patterns.iter().map(|p| pattern(p).map_err(|_| p)).collect();
    let expected = |text: &str| {
        question.answer_any.iter().any(|gold| holds(text, gold))
            || patterns.iter().any(|p| match p {
                Ok(regex) => regex.is_match(&fold(text)),
                Err(plain) => holds(text, plain),
            })
    };
    let names_text = !question.answer_any.is_empty() || !patterns.is_empty();
    if names_text && !expected(&answer.answer) {
        return Verdict::WrongAnswer;
    }
    let Some(document) = &question.document else { return Verdict::Right };
    let cited: Vec<&Citation> = answer.citations.iter().filter(|c| is_named(&c.document, document)).collect();
    if cited.is_empty() {
        return Verdict::DocumentNotCited;
    }
    if names_text && !cited.iter().any(|c| expected(&c.text)) {
        return Verdict::PassageNotCited;
    }
    Verdict::Right
}

/// A pattern of a question, which is matched against folded text.
///
/// # Errors
/// In words, when it is no regular expression or too large.
pub(super) fn pattern(text: &str) -> Result<Regex, String> {
    RegexBuilder::new(text).case_insensitive(true).size_limit(MAX_PATTERN).build().map_err(|e| match e {
        regex::Error::CompiledTooBig(_) => "is too large".to_owned(),
        // The last line says what is wrong; those before it draw where.
        other => {
            format!("is not a regular expression: {}", other.to_string().lines().last().unwrap_or_default().trim_start_matches("error: "))
        }
    })
}

/// Whether a cited document is the expected one: its name, perhaps below a longer path or with the separators of another system.
fn is_named(cited: &str, expected: &str) -> bool {
    let cited = cited.replace('\\', "/");
    let cited = cited.trim_matches('/');
    cited == expected || cited.strip_suffix(expected).is_some_and(|path| path.ends_with('/'))
}
