//! Question sets: questions whose answers are known, asked again and again to see whether answers get better or worse.

pub mod judge;

use astrolabe_kernel::{Error, Result};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use judge::{Verdict, judge};

/// A question and what is expected of its answer. One line of a file of questions is one of these.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// Its name in the set, such as `en-01`.
    #[schema(min_length = 1, max_length = 100, pattern = "^[^\\u0000]*$")]
    pub id: String,
    /// The question.
    #[schema(min_length = 1, max_length = 2000, pattern = "^[^\\u0000]*[^\\s\\u0000][^\\u0000]*$")]
    pub question: String,
    /// Whether the sources answer it; when false, the right answer is that nothing was found. True when absent.
    #[serde(default = "yes")]
    pub answerable: bool,
    /// The document that has to be cited: its name, or the end of it from a `/` on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 500, pattern = "^[^\\u0000]*$")]
    pub document: Option<String>,
    /// Strings of which the answer has to hold one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 20, value_type = Vec<Expected>)]
    pub answer_any: Vec<String>,
    /// Regular expressions of which the answer has to match one, instead of holding a string.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 20, value_type = Vec<Expected>)]
    pub answer_patterns: Vec<String>,
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schema(max_length = 2000, pattern = "^[^\\u0000]*$")]
    pub note: String,
}

/// A string or pattern that is expected in an answer, as the description shows it.
#[derive(ToSchema)]
#[schema(min_length = 1, max_length = 500, pattern = "^[^\\u0000]*$")]
#[expect(dead_code, reason = "describes the items of lists of expected strings")]
pub struct Expected(String);

fn yes() -> bool {
    true
}

impl Question {
    /// Checks the fields. `at` is where the question stands, such as `questions[3]`.
    ///
    /// # Errors
    /// `invalid_request` naming the first wrong field.
    pub fn validate(&self, at: &str) -> Result<()> {
        let field = |name: &str| if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") };
        let within = |name: &str, text: &str, max: usize| match text.chars().count() {
            n if text.trim().is_empty() || n > max => {
                Err(Error::field(field(name), format!("must be 1 to {max} characters, not only white space")))
            }
            _ => Ok(()),
        };
        within("id", &self.id, 100)?;
        within("question", &self.question, 2000)?;
        self.document.as_deref().map_or(Ok(()), |d| within("document", d, 500))?;
        for (name, list) in [("answer_any", &self.answer_any), ("answer_patterns", &self.answer_patterns)] {
            if list.len() > 20 {
                return Err(Error::field(field(name), "must be at most 20"));
            }
            for (i, text) in list.iter().enumerate() {
                within(&format!("{name}[{i}]"), text, 500)?;
            }
        }
        for (i, text) in self.answer_patterns.iter().enumerate() {
            judge::pattern(text).map_err(|why| Error::field(field(&format!("answer_patterns[{i}]")), why))?;
        }
        if self.note.chars().count() > 2000 {
            return Err(Error::field(field("note"), "must be at most 2000 characters"));
        }
        if !self.answerable && (self.document.is_some() || !self.answer_any.is_empty() || !self.answer_patterns.is_empty()) {
            return Err(Error::field(
                field("answerable"),
                "a question that the sources do not answer has neither document nor expected answers",
            ));
        }
        Ok(())
    }
}
