//! `astrolabe eval`: how good search and answers are, on a collection of judged queries or on questions of one's own.

mod answers;
mod collection;
mod questions;
mod scratch;

use std::path::PathBuf;

use astrolabe_kernel::{Error, Result, error::code};
use astrolabe_knowledge::eval::rank::SearchMode;
use clap::{Args, ValueEnum};

use crate::cli::{Context, Done, Remote};

/// Measure how good search and answers are.
#[derive(Debug, Args)]
#[command(
    after_help = "A collection in the layout of BEIR is ingested into a place of its own, searched with every judged query, and removed; the data directory is not \
touched. Results are whole documents. Files that end in .xz are unpacked on the way. With --mode twice the collection is ingested once and \
--json prints a list. With --engine postgres the server at DATABASE_URL gets a database of its own for the time; its role needs CREATEDB. \
For words alone `--set knowledge.embeddings=false` saves the time of embedding.

--answers also asks every query that has gold `answers`. Shares are of the answered ones: gold_string (the answer holds a gold string, compared as \
SQuAD does), gold_string_plain (letter by letter), right_citation (a cited document is relevant). --unanswerable names queries that the \
collection cannot answer, and refused is their share that was not answered.

With --source and --questions your own questions are asked, with or without a running server; the exit code is 3 when fewer than --at-least are \
right. The handbook's page on evaluation has the format.

Examples:
  astrolabe eval --corpus corpus.jsonl.xz --queries queries.jsonl --qrels qrels.tsv --mode lexical --json
  astrolabe eval --corpus corpus.jsonl --queries queries.jsonl --qrels qrels.tsv --mode lexical,dense,hybrid --answers
  astrolabe eval --source handbook --questions questions.jsonl --at-least 17"
)]
pub struct Eval {
    /// Documents as JSON lines: `_id`, `title`, `text`.
    #[arg(long, value_name = "FILE", requires_all = ["queries", "qrels"], conflicts_with = "questions")]
    corpus: Option<PathBuf>,
    /// Queries as JSON lines: `_id`, `text` and, for --answers, `answers`.
    #[arg(long, value_name = "FILE", requires = "corpus")]
    queries: Option<PathBuf>,
    /// Judgements: query-id, corpus-id and score, separated by tabs.
    #[arg(long, value_name = "FILE", requires = "corpus")]
    qrels: Option<PathBuf>,
    /// How to search; several separated by commas.
    #[arg(long = "mode", value_name = "MODE", value_delimiter = ',', default_value = "hybrid", conflicts_with = "questions")]
    modes: Vec<Mode>,
    /// Where records and the search index are.
    #[arg(long, value_name = "ENGINE", default_value = "embedded", conflicts_with = "questions")]
    engine: Engine,
    /// Also ask the queries that have gold answers.
    #[arg(long, requires = "corpus")]
    answers: bool,
    /// With --answers: queries of another collection, which must be refused.
    #[arg(long, value_name = "FILE", requires = "answers")]
    unanswerable: Option<PathBuf>,
    /// Your own questions as JSON lines.
    #[arg(long, value_name = "FILE")]
    questions: Option<PathBuf>,
    /// With --questions: ask only these sources (name or id); all when not given.
    #[arg(long = "source", value_name = "NAME", requires = "questions")]
    sources: Vec<String>,
    /// With --questions: fail when fewer are right.
    #[arg(long, value_name = "N", requires = "questions")]
    at_least: Option<usize>,
    #[command(flatten)]
    remote: Remote,
}

/// Which sides of the search are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// By words.
    Lexical,
    /// By meaning.
    Dense,
    /// By both, fused.
    Hybrid,
}

impl From<Mode> for SearchMode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Lexical => Self::Lexical,
            Mode::Dense => Self::Dense,
            Mode::Hybrid => Self::Hybrid,
        }
    }
}

/// Where records and the search index are while measuring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Engine {
    /// Files in a temporary folder.
    Embedded,
    /// A temporary database on the server at `DATABASE_URL`.
    Postgres,
}

impl Engine {
    fn as_str(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Postgres => "postgres",
        }
    }
}

/// Measures and prints.
///
/// # Errors
/// `invalid_request` naming the file and line that cannot be used; what opening, ingest and search say.
pub async fn run(context: &Context, args: &Eval) -> Result<Done> {
    match (&args.corpus, &args.queries, &args.qrels, &args.questions) {
        (Some(corpus), Some(queries), Some(qrels), _) => collection::run(context, args, [corpus, queries, qrels]).await,
        (.., Some(questions)) => questions::run(context, args, questions).await,
        _ => Err(Error::new(
            code::INVALID_REQUEST,
            "name a collection (--corpus, --queries and --qrels) or questions of your own (--questions, with --source)",
        )),
    }
}

/// A figure with four decimals, as published figures have.
fn rounded(value: f64) -> f64 {
    (value * 10_000.0).round() / 10_000.0
}

/// Milliseconds with two decimals.
fn millis(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}
