//! Collections in the layout of BEIR: `corpus.jsonl` (`_id`, `title`, `text`), `queries.jsonl` (`_id`, `text`, and here `answers`), and judgements as
//! tab-separated `query-id`, `corpus-id`, `score`. Files that end in `.xz` are unpacked while they are read.
//!
//! What is wrong with a file is told by its name and line, because these files are long and made by other programs.

use std::{
    collections::{HashMap, HashSet},
    fs::File,
    io::{BufRead, BufReader, Read},
    path::Path,
};

use astrolabe_kernel::{Error, Result, error::code};
use serde::Deserialize;

use super::metrics::Judgements;

/// Bytes of a line at most; a longer one is no document that could be ingested.
const MAX_LINE: u64 = 64 << 20;
/// Bytes of a file at most, unpacked: an archive of a few bytes must not fill the memory.
const MAX_BYTES: u64 = 4 << 30;
/// Lines of a file at most.
const MAX_LINES: usize = 10_000_000;

/// A document of a corpus.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct CorpusDocument {
    /// Its id in the collection.
    #[serde(rename = "_id")]
    pub id: String,
    /// Its title; empty when it has none.
    #[serde(default)]
    pub title: String,
    /// Its text.
    pub text: String,
}

/// A query of a collection.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Query {
    /// Its id in the collection.
    #[serde(rename = "_id")]
    pub id: String,
    /// The question.
    pub text: String,
    /// Strings of which an answer should hold one; none when the collection has no answers.
    #[serde(default)]
    pub answers: Vec<String>,
}

/// A collection that fits together.
#[derive(Debug, Clone, Default)]
pub struct Collection {
    /// The documents.
    pub documents: Vec<CorpusDocument>,
    /// The queries that have at least one relevant document, in the file's order.
    pub queries: Vec<Query>,
    /// The judgements of each of them, by the query's id.
    pub judgements: HashMap<String, Judgements>,
    /// What was passed over and why, in sentences for people.
    pub notes: Vec<String>,
}

impl Collection {
    /// Reads the three files of a collection.
    ///
    /// Queries without a relevant document are passed over, as are judgements of queries that are not there (a collection may have one file of
    /// queries for several files of judgements); [`Collection::notes`] says how many. Judged documents that the corpus lacks count as never found.
    ///
    /// # Errors
    /// `invalid_request` naming file and line: unreadable, not JSON, an empty or repeated id, a line or file over the limit, an empty file, files
    /// that do not belong together.
    pub fn read(corpus: &Path, queries: &Path, qrels: &Path) -> Result<Self> {
        let documents: Vec<CorpusDocument> = records(corpus, "--corpus", |d: &CorpusDocument| &d.id)?;
        let ids: HashSet<&str> = documents.iter().map(|d| d.id.as_str()).collect();
        let queries = read_queries(queries, "--queries")?;
        let (mut judgements, lost) = read_qrels(qrels, &ids)?;
        let mut notes = Vec::new();
        let known: HashSet<&str> = queries.iter().map(|q| q.id.as_str()).collect();
        let strangers = judgements.keys().filter(|id| !known.contains(id.as_str())).count();
        if strangers == judgements.len() {
            return Err(file_error(
                qrels,
                "--qrels",
                "none of its query ids is in the file of queries: the files belong to different collections",
            ));
        }
        if strangers > 0 {
            notes.push(format!("{strangers} judged queries are not in the file of queries and are passed over"));
        }
        judgements.retain(|id, judged| known.contains(id.as_str()) && judged.values().any(|g| *g > 0.0));
        if let Some((line, id, count)) = lost {
            notes.push(format!(
                "{count} judgements name documents that are not in the corpus, the first is {id:?} in line {line}; relevant ones count as never found"
            ));
        }
        let all = queries.len();
        let queries: Vec<Query> = queries.into_iter().filter(|q| judgements.contains_key(&q.id)).collect();
        if queries.is_empty() {
            return Err(file_error(qrels, "--qrels", "no query has a relevant document (a score above 0)"));
        }
        if queries.len() < all {
            notes.push(format!("{} of {all} queries have no relevant document and are passed over", all - queries.len()));
        }
        drop(ids);
        Ok(Self { documents, queries, judgements, notes })
    }
}

/// The queries of a file.
///
/// # Errors
/// As [`Collection::read`]; `option` is the argument that named the file.
pub fn read_queries(file: &Path, option: &str) -> Result<Vec<Query>> {
    let queries: Vec<Query> = records(file, option, |q: &Query| &q.id)?;
    for query in &queries {
        let length = query.text.chars().count();
        if query.text.trim().is_empty() || length > 2000 {
            return Err(file_error(
                file,
                option,
                format!("the text of query {:?} must be 1 to 2000 characters, not only white space", query.id),
            ));
        }
    }
    Ok(queries)
}

/// Calls `each` with the number and the text of every line that is not blank.
///
/// # Errors
/// As [`Collection::read`], and those of `each`.
pub fn lines(file: &Path, option: &str, mut each: impl FnMut(usize, &str) -> Result<()>) -> Result<()> {
    let mut reader = open(file, option)?;
    let unreadable = |number: usize, e: std::io::Error| match e.kind() {
        std::io::ErrorKind::InvalidData | std::io::ErrorKind::InvalidInput | std::io::ErrorKind::UnexpectedEof => {
            line_error(file, option, number, "cannot be unpacked: the file is damaged or cut off").with_internal(e)
        }
        _ => line_error(file, option, number, format!("cannot be read: {}", e.kind())).with_internal(e),
    };
    let mut line = Vec::new();
    let mut total = 0u64;
    for number in 1.. {
        line.clear();
        let read = reader.by_ref().take(MAX_LINE + 1).read_until(b'\n', &mut line).map_err(|e| unreadable(number, e))?;
        if read == 0 {
            return Ok(());
        }
        total += read as u64;
        if read as u64 > MAX_LINE {
            return Err(line_error(file, option, number, format!("is longer than {} MiB", MAX_LINE >> 20)));
        }
        if total > MAX_BYTES || number > MAX_LINES {
            return Err(file_error(
                file,
                option,
                format!("is larger than {} GiB or {MAX_LINES} lines: measure on a part of it", MAX_BYTES >> 30),
            ));
        }
        let Ok(text) = std::str::from_utf8(&line) else {
            return Err(line_error(file, option, number, "is not UTF-8"));
        };
        let text = if number == 1 { text.trim_start_matches('\u{feff}') } else { text };
        if !text.trim().is_empty() {
            each(number, text.trim_end_matches(['\n', '\r']))?;
        }
    }
    Ok(())
}

fn open(file: &Path, option: &str) -> Result<Box<dyn BufRead>> {
    let opened = File::open(file).map_err(|e| file_error(file, option, format!("cannot be opened: {}", e.kind())))?;
    if opened.metadata().is_ok_and(|m| m.is_dir()) {
        return Err(file_error(file, option, "is a folder: name the file in it"));
    }
    let buffered = BufReader::with_capacity(1 << 16, opened);
    if file.extension().is_some_and(|e| e.eq_ignore_ascii_case("xz")) {
        return Ok(Box::new(BufReader::with_capacity(1 << 16, lzma_rust2::XzReader::new(buffered, true))));
    }
    Ok(Box::new(buffered))
}

/// Every record of a file of JSON lines, whose ids are neither empty nor there twice.
fn records<T: for<'a> Deserialize<'a>>(file: &Path, option: &str, id: impl Fn(&T) -> &String) -> Result<Vec<T>> {
    let mut all: Vec<T> = Vec::new();
    let mut seen: HashMap<String, usize> = HashMap::new();
    lines(file, option, |number, text| {
        let record: T = serde_json::from_str(text).map_err(|e| line_error(file, option, number, what_is_wrong(&e)))?;
        let id = id(&record).clone();
        if id.is_empty() {
            return Err(line_error(file, option, number, "`_id` is empty"));
        }
        if let Some(first) = seen.insert(id.clone(), number) {
            return Err(line_error(file, option, number, format!("`_id` {id:?} is in line {first} already")));
        }
        all.push(record);
        Ok(())
    })?;
    if all.is_empty() {
        return Err(file_error(file, option, "is empty"));
    }
    Ok(all)
}

/// What serde says, without the place in the line's own count: every record is one line.
fn what_is_wrong(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let said = text.rsplit_once(" at line ").map_or(text.as_str(), |(t, _)| t);
    if error.is_data() { said.to_owned() } else { format!("is not JSON: {said} at character {}", error.column()) }
}

/// Line and id of the first judgement of a document that the corpus lacks, and how many there are.
type Lost = Option<(usize, String, usize)>;

fn read_qrels(file: &Path, documents: &HashSet<&str>) -> Result<(HashMap<String, Judgements>, Lost)> {
    const OPTION: &str = "--qrels";
    let mut all: HashMap<String, Judgements> = HashMap::new();
    let mut lost: Lost = None;
    let mut count = 0usize;
    let mut first = true;
    lines(file, OPTION, |number, text| {
        let fields: Vec<&str> = text.split('\t').map(str::trim).collect();
        let &[query, document, score] = fields.as_slice() else {
            return Err(line_error(file, OPTION, number, "must be query-id, corpus-id and score, separated by tabs"));
        };
        let score = match score.parse::<f64>().ok().filter(|s| s.is_finite()) {
            Some(score) => score,
            // The line with the names of the columns, which not every file has.
            None if std::mem::take(&mut first) => return Ok(()),
            None => return Err(line_error(file, OPTION, number, format!("the score {score:?} is not a number"))),
        };
        first = false;
        if query.is_empty() || document.is_empty() {
            return Err(line_error(file, OPTION, number, "query-id or corpus-id is empty"));
        }
        if !documents.contains(document) {
            lost.get_or_insert_with(|| (number, document.to_owned(), 0)).2 += 1;
        }
        count += 1;
        if all.entry(query.to_owned()).or_default().insert(document.to_owned(), score).is_some() {
            return Err(line_error(file, OPTION, number, format!("query {query:?} and document {document:?} are judged twice")));
        }
        Ok(())
    })?;
    if count == 0 {
        return Err(file_error(file, OPTION, "has no judgement"));
    }
    match &lost {
        Some((line, id, n)) if n * 2 > count => Err(line_error(
            file,
            OPTION,
            *line,
            format!("document {id:?} is not in the corpus, and so are {n} of {count}: the files belong to different collections"),
        )),
        _ => Ok((all, lost)),
    }
}

fn line_error(file: &Path, option: &str, number: usize, what: impl AsRef<str>) -> Error {
    Error::new(code::INVALID_REQUEST, format!("{option}: {}, line {number}: {}", file.display(), what.as_ref()))
}

fn file_error(file: &Path, option: &str, what: impl AsRef<str>) -> Error {
    Error::new(code::INVALID_REQUEST, format!("{option}: {} {}", file.display(), what.as_ref()))
}
