//! Question sets: questions whose answers are known, asked again and again to see whether answers get better or worse.
//!
//! A run of a set is a job: its questions are copied when it starts, each is asked the way a person asks, judged ([`judge()`]) and kept with its
//! verdict, so that a killed process goes on where it was. The figures of all runs make the plot.

pub(crate) mod jobs;
mod judge;
mod plot;
pub mod routes;
pub(crate) mod store;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use astrolabe_kernel::{
    Error, Id, Result, Timestamp,
    id::Named,
    jobs::{Job, JobError, JobState},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use judge::{Verdict, judge};

use crate::{eval::metrics::percentile, sources::Source};

/// The kind of job that runs a question set.
pub const KIND: &str = "run_question_set";

/// Questions of a set at most.
pub const MAX_QUESTIONS: usize = 1000;

/// A set of questions whose answers are known.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct QuestionSet {
    /// Its id, `qst_…`.
    pub id: Id<QuestionSet>,
    /// Its name, unique in the tenant.
    pub name: String,
    /// What it is for, for people.
    pub description: String,
    /// The sources that are asked; all when empty.
    pub sources: Vec<Id<Source>>,
    /// How many questions it has.
    pub question_count: i64,
    /// Rises with every change; the `ETag` of the set, to be sent as `If-Match` with a change.
    pub version: i64,
    /// Its newest run that came to its end.
    pub last_run: Option<QuestionSetRun>,
    /// Who made it.
    pub created_by: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

impl Named for QuestionSet {
    const PREFIX: &'static str = "qst";
}

/// A question set with its questions.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct QuestionSetContent {
    /// The set.
    #[serde(flatten)]
    pub set: QuestionSet,
    /// Its questions, in their order.
    pub questions: Vec<Question>,
}

/// A question set to make, or what takes the place of one.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "nightly", "description": "Asked every night", "questions": [
    {"id": "backups", "question": "How long are backups kept?", "document": "backup-and-restore.md"},
    {"id": "roof", "question": "Who repairs the roof of the depot?", "answerable": false},
]}))]
pub struct NewQuestionSet {
    /// Its name, unique in the tenant.
    #[schema(min_length = 1, max_length = 100, pattern = "^[^\\u0000]*[^\\s\\u0000][^\\u0000]*$")]
    pub name: String,
    /// What it is for, for people.
    #[serde(default)]
    #[schema(max_length = 2000, pattern = "^[^\\u0000]*$")]
    pub description: String,
    /// Ids or names of the sources to ask; all when absent or empty.
    #[serde(default)]
    #[schema(max_items = 50, value_type = Vec<crate::sources::SourceName>)]
    pub sources: Vec<String>,
    /// Its questions; ids are unique in the set.
    #[serde(default)]
    #[schema(max_items = 1000)]
    pub questions: Vec<Question>,
}

impl NewQuestionSet {
    /// Checks the fields.
    ///
    /// # Errors
    /// `invalid_request` naming the first wrong field.
    pub fn validate(&self) -> Result<()> {
        let length = self.name.chars().count();
        if self.name.trim().is_empty() || length > 100 {
            return Err(Error::field("name", "must be 1 to 100 characters, not only white space"));
        }
        if self.description.chars().count() > 2000 {
            return Err(Error::field("description", "must be at most 2000 characters"));
        }
        validate_questions(&self.questions)
    }
}

/// Checks the questions of a set: each by itself, their number, and that no id is there twice.
///
/// # Errors
/// `invalid_request` naming the first wrong field.
pub fn validate_questions(questions: &[Question]) -> Result<()> {
    if questions.len() > MAX_QUESTIONS {
        return Err(Error::field("questions", format!("must be at most {MAX_QUESTIONS}")));
    }
    let mut seen: HashMap<&str, usize> = HashMap::new();
    for (i, question) in questions.iter().enumerate() {
        question.validate(&format!("questions[{i}]"))?;
        if let Some(first) = seen.insert(&question.id, i) {
            let field = format!("questions[{i}].id");
            let what = format!("is the id of questions[{first}] already");
            return Err(Error::new(astrolabe_kernel::error::code::CONFLICT, format!("{field}: {what}")).and_field(field, what));
        }
    }
    Ok(())
}

/// A run of a question set: every question asked once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct QuestionSetRun {
    /// Its id, `qrn_…`.
    pub id: Id<QuestionSetRun>,
    /// The set.
    pub question_set_id: Id<QuestionSet>,
    /// The version of the set that is asked.
    pub set_version: i64,
    /// The job that asks; cancel it to end the run.
    pub job_id: Id<Job>,
    /// Where it stands.
    pub state: JobState,
    /// Why it failed.
    pub error: Option<JobError>,
    /// Questions in all.
    pub total: i64,
    /// Questions asked so far.
    pub done: i64,
    /// Those of them that came out right.
    pub right: i64,
    /// The figures, when it is ready.
    pub figures: Option<RunFigures>,
    /// Who started it.
    pub started_by: String,
    /// When it was started.
    pub created_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
}

impl Named for QuestionSetRun {
    const PREFIX: &'static str = "qrn";
}

/// A run with what became of each question.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct QuestionSetRunContent {
    /// The run.
    #[serde(flatten)]
    pub run: QuestionSetRun,
    /// The questions in their order.
    pub results: Vec<QuestionResult>,
}

/// How many of some questions came out right.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RightOf {
    /// Those that came out right.
    pub right: i64,
    /// All of them.
    pub of: i64,
}

/// The figures of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RunFigures {
    /// All questions.
    pub total: RightOf,
    /// Those that the sources answer.
    pub answerable: RightOf,
    /// Those that the sources do not answer; right means refused.
    pub unanswerable: RightOf,
    /// Milliseconds of half of the answers.
    pub p50_ms: f64,
    /// Milliseconds of 95 % of the answers.
    pub p95_ms: f64,
}

impl RunFigures {
    /// The figures of what became of the questions.
    pub fn of(results: &[QuestionResult]) -> Self {
        let share = |wanted: &dyn Fn(&QuestionResult) -> bool| {
            let of: Vec<&QuestionResult> = results.iter().filter(|r| wanted(r)).collect();
            let right = of.iter().filter(|r| r.verdict.is_some_and(Verdict::is_right)).count();
            RightOf { right: i64::try_from(right).unwrap_or(i64::MAX), of: i64::try_from(of.len()).unwrap_or(i64::MAX) }
        };
        let times: Vec<f64> = results.iter().filter_map(|r| r.milliseconds).collect();
        Self {
            total: share(&|_| true),
            answerable: share(&|r| r.question.answerable),
            unanswerable: share(&|r| !r.question.answerable),
            p50_ms: percentile(&times, 0.5),
            p95_ms: percentile(&times, 0.95),
        }
    }
}

/// What became of one question of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct QuestionResult {
    /// The question as it was asked.
    pub question: Question,
    /// What became of it; null while it waits.
    pub verdict: Option<Verdict>,
    /// The answer, or why there was none.
    pub answer: String,
    /// Names of the documents that the answer cites.
    pub documents: Vec<String>,
    /// Milliseconds until the answer was there.
    pub milliseconds: Option<f64>,
}

/// A question and what is expected of its answer. One line of a file of questions is one of these.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"id": "vpn", "question": "How long does a VPN session last?", "document": "network/vpn-access.md", "answer_any": ["12 hours"]}))]
pub struct Question {
    /// Its name in the set, such as `en-01`.
    #[schema(min_length = 1, max_length = 100, pattern = "^[^\\u0000]*[^\\s\\u0000][^\\u0000]*$")]
    pub id: String,
    /// The question.
    #[schema(min_length = 1, max_length = 2000, pattern = "^[^\\u0000]*[^\\s\\u0000][^\\u0000]*$")]
    pub question: String,
    /// Whether the sources answer it; when false, the right answer is that nothing was found, whatever else is expected. True when absent.
    #[serde(default = "yes")]
    pub answerable: bool,
    /// The document that has to be cited: its name, or the end of it from a `/` on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 500, pattern = "^[^\\u0000]*[^\\s\\u0000][^\\u0000]*$")]
    pub document: Option<String>,
    /// Strings of which the answer has to hold one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 20, value_type = Vec<Expected>)]
    pub answer_any: Vec<String>,
    /// Regular expressions of which the answer has to match one, instead of holding a string, in the [syntax of the regex
    /// crate](https://docs.rs/regex/latest/regex/#syntax). What is none is looked for as it is written.
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
#[schema(min_length = 1, max_length = 500, pattern = "^[^\\u0000]*[^\\s\\u0000][^\\u0000]*$")]
#[expect(dead_code, reason = "describes the items of lists of what is expected")]
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
        if self.note.chars().count() > 2000 {
            return Err(Error::field(field("note"), "must be at most 2000 characters"));
        }
        Ok(())
    }

    /// The expected patterns that are no regular expressions, each with its place in the list and what is wrong with it. [`judge()`] looks for
    /// them as they are written.
    pub fn plain_patterns(&self) -> Vec<(usize, String)> {
        let wrong = |(at, text): (usize, &String)| judge::pattern(text).err().map(|why| (at, why));
        self.answer_patterns.iter().enumerate().filter_map(wrong).collect()
    }
}
