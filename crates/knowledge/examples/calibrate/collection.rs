//! Questions with what answers them, over an index.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::rc::Rc;

use astrolabe_backends::analysis::{Lang, detect_language};
use astrolabe_knowledge::answers::extractive::{Passage, Request};
use astrolabe_knowledge::ingest::chunk::chunk;
use astrolabe_knowledge::ingest::extract::extract;
use astrolabe_knowledge::ingest::sentences::sentences;

use crate::Failure;
use crate::world::{Hit, Meaning, Piece, World};

/// A question.
#[derive(Clone)]
pub struct Ask {
    pub id: String,
    pub text: String,
    /// Strings one of which an answer holds; empty when the collection gives none or nothing answers.
    pub gold: Vec<String>,
    /// Documents that answer it; empty when nothing does.
    pub relevant: HashSet<String>,
    /// For halving retrieval collections.
    pub first_half: bool,
}

/// How a question is put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setting {
    AsIs,
    /// The relevant documents are not among the passages.
    Absent,
    /// Nothing of the relevant documents' subject (their title) is there: like the questions of a foreign collection.
    Foreign,
    /// Sentences with a gold answer are cut out.
    Cut,
}

/// Questions over an index.
pub struct Collection {
    pub name: String,
    pub lang: Lang,
    pub world: Rc<World>,
    pub asks: Vec<Ask>,
    /// Documents as people at work have them, with unanswerable questions of their own; else a retrieval collection.
    pub office: bool,
    /// Never trained on.
    pub kept_out: bool,
}

/// Loads what the command line names.
pub fn load(arguments: &[String], together: bool, every: usize, meaning: Option<&Meaning<'_>>) -> Result<Vec<Collection>, Failure> {
    let mut shared = World::default();
    let mut loaded: Vec<(Collection, Option<World>)> = Vec::new();
    for argument in arguments {
        let (kept_out, rest) = argument.strip_prefix('-').map_or((false, argument.as_str()), |rest| (true, rest));
        let mut parts = rest.split(':');
        let (Some(code), Some(folder)) = (parts.next(), parts.next()) else { return Err("a collection is LANG:FOLDER[:QUESTIONS]".into()) };
        let lang = Lang::from_code(code);
        let name = folder.trim_end_matches('/').rsplit('/').next().unwrap_or(folder);
        let office = !Path::new(folder).join("corpus.jsonl").try_exists()?;
        let mut own = World::default();
        let world = if office && together { &mut shared } else { &mut own };
        let asks = if office {
            let documents = Path::new(folder).join("docs");
            let documents = if documents.is_dir() { documents } else { Path::new(folder).to_owned() };
            add_documents(world, &documents, &documents, name)?;
            let questions = parts.next().map_or_else(|| format!("{folder}/questions.jsonl"), str::to_owned);
            if Path::new(&questions).try_exists()? { office_questions(&questions, name)? } else { Vec::new() }
        } else {
            retrieval(world, folder, lang)?.into_iter().step_by(every).collect()
        };
        let name = format!("{code}/{name}");
        loaded.push((Collection { name, lang, world: Rc::default(), asks, office, kept_out }, (!(office && together)).then_some(own)));
    }
    if let Some(meaning) = meaning {
        shared.embed(meaning);
    }
    let shared = Rc::new(shared);
    let mut collections = Vec::new();
    for (mut collection, own) in loaded {
        collection.world = match own {
            None => Rc::clone(&shared),
            Some(mut own) => {
                if let Some(meaning) = meaning {
                    own.embed(meaning);
                }
                Rc::new(own)
            }
        };
        if !collection.asks.is_empty() {
            collections.push(collection);
        }
    }
    Ok(collections)
}

/// Documents below a folder, each named by its path behind the collection's name.
fn add_documents(world: &mut World, root: &Path, folder: &Path, collection: &str) -> Result<(), Failure> {
    let mut entries: Vec<_> = std::fs::read_dir(folder)?.collect::<Result<_, _>>()?;
    entries.sort_by_key(std::fs::DirEntry::path);
    for entry in entries {
        let path = entry.path();
        if path.is_dir() {
            add_documents(world, root, &path, collection)?;
            continue;
        }
        let name = path.strip_prefix(root)?.to_string_lossy().into_owned();
        if !["md", "txt", "html"].iter().any(|e| path.extension().is_some_and(|x| x == *e)) {
            continue;
        }
        let read = extract(&std::fs::read(&path)?, &name, None)?;
        let main = detect_language(&read.text);
        let title = read.title.clone().filter(|t| !t.is_empty()).unwrap_or_else(|| name.clone());
        let document_start: String = read.text.chars().take(400).collect();
        for piece in chunk(&read.text, &read.headings, &[], 600, 80) {
            let lang = match detect_language(&piece.text) {
                Lang::Other => main,
                lang => lang,
            };
            world.add(Piece {
                document: format!("{collection}/{name}"),
                title: title.clone(),
                heading: piece.heading,
                text: piece.text,
                document_start: document_start.clone(),
                lang,
            });
        }
    }
    Ok(())
}

fn office_questions(path: &str, collection: &str) -> Result<Vec<Ask>, Failure> {
    let mut asks = Vec::new();
    for line in std::fs::read_to_string(path)?.lines().filter(|l| !l.trim().is_empty()) {
        let record: serde_json::Value = serde_json::from_str(line)?;
        let relevant = record["document"].as_str().map(|d| format!("{collection}/{d}")).into_iter().collect();
        let gold = record["answer_any"].as_array().into_iter().flatten().filter_map(|a| a.as_str()).map(fold).collect();
        asks.push(Ask { id: string(&record, "id"), text: string(&record, "question"), gold, relevant, first_half: true });
    }
    Ok(asks)
}

fn retrieval(world: &mut World, folder: &str, lang: Lang) -> Result<Vec<Ask>, Failure> {
    let read = |file: &str| std::fs::read_to_string(format!("{folder}/{file}"));
    for line in read("corpus.jsonl")?.lines() {
        let record: serde_json::Value = serde_json::from_str(line)?;
        let (document, title, text) = (string(&record, "_id"), string(&record, "title").replace('_', " "), string(&record, "text"));
        for piece in chunk(&text, &[], &[], 600, 80) {
            let (document, title) = (document.clone(), title.clone());
            world.add(Piece { document, title, heading: String::new(), text: piece.text, document_start: String::new(), lang });
        }
    }
    let mut relevant: HashMap<String, HashSet<String>> = HashMap::new();
    for line in read("qrels.tsv")?.lines().skip(1) {
        let mut columns = line.split('\t');
        if let (Some(query), Some(document)) = (columns.next(), columns.next()) {
            relevant.entry(query.to_owned()).or_default().insert(document.to_owned());
        }
    }
    let mut asks = Vec::new();
    for line in read("queries.jsonl")?.lines() {
        let record: serde_json::Value = serde_json::from_str(line)?;
        let id = string(&record, "_id");
        let relevant = relevant.remove(&id).unwrap_or_default();
        let gold = record["answers"].as_array().into_iter().flatten().filter_map(|a| a.as_str()).map(fold).collect();
        // The half is a property of the document, so that no passage is seen in both.
        let hash = |d: &String| d.bytes().fold(7u32, |h, b| h.wrapping_mul(31).wrapping_add(u32::from(b)));
        let first_half = relevant.iter().min().is_some_and(|d| hash(d) % 2 == 0);
        asks.push(Ask { id, text: string(&record, "text"), gold, relevant, first_half });
    }
    Ok(asks)
}

fn string(record: &serde_json::Value, key: &str) -> String {
    record[key].as_str().unwrap_or_default().to_owned()
}

fn fold(text: &str) -> String {
    text.replace(['\u{a0}', '\u{feff}'], " ").split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

/// Whether a text holds one of the gold strings, not counting one inside a longer number.
pub fn holds(text: &str, gold: &[String]) -> bool {
    let text = fold(text);
    gold.iter().any(|a| {
        text.match_indices(a.as_str()).any(|(at, _)| {
            let digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
            let starts = a.starts_with(|c: char| c.is_ascii_digit()) && digit(text[..at].chars().next_back());
            let ends = a.ends_with(|c: char| c.is_ascii_digit()) && digit(text[at + a.len()..].chars().next());
            !starts && !ends
        })
    })
}

impl Collection {
    /// Whether the question has an answer when it is put so.
    pub fn answerable(&self, ask: &Ask, setting: Setting) -> bool {
        setting == Setting::AsIs && !ask.relevant.is_empty()
    }

    /// Searches as the server does and hands the request to `work` with the chunks behind its passages.
    pub fn with_request<T>(
        &self,
        ask: &Ask,
        setting: Setting,
        meaning: Option<&Meaning<'_>>,
        work: impl Fn(&Request<'_>, &[&Piece]) -> T,
    ) -> T {
        let vector = meaning.and_then(|m| m.embed(&[&ask.text]).pop());
        let titles: HashSet<&str> =
            self.world.pieces.iter().filter(|p| ask.relevant.contains(&p.document)).map(|p| p.title.as_str()).collect();
        let skip = |p: &Piece| match setting {
            Setting::AsIs | Setting::Cut => false,
            Setting::Absent => ask.relevant.contains(&p.document),
            Setting::Foreign => titles.contains(p.title.as_str()),
        };
        let hits = self.world.search(&ask.text, self.lang, vector.as_deref(), &skip);
        let pieces: Vec<&Piece> = hits.iter().map(|h| &self.world.pieces[h.piece]).collect();
        let cut: Vec<String> =
            if setting == Setting::Cut { pieces.iter().map(|p| without(&p.text, &ask.gold)).collect() } else { Vec::new() };
        let passages: Vec<Passage<'_>> = hits
            .iter()
            .zip(&pieces)
            .enumerate()
            .map(|(rank, (Hit { cosine, .. }, piece))| Passage {
                text: cut.get(rank).map_or(piece.text.as_str(), String::as_str),
                heading: &piece.heading,
                title: &piece.title,
                document_start: &piece.document_start,
                lang: piece.lang,
                rank,
                dense_score: *cosine,
            })
            .collect();
        let idf = |term: &str| self.world.idf(term);
        let embed = |texts: &[&str]| meaning.map(|m| m.embed(texts)).unwrap_or_default();
        let embedder = vector.as_deref().map(|v| (v, &embed as &dyn Fn(&[&str]) -> Vec<Vec<f32>>));
        work(&Request { question: &ask.text, lang: Some(self.lang), passages: &passages, idf: &idf, embedder }, &pieces)
    }
}

fn without(text: &str, gold: &[String]) -> String {
    sentences(text).into_iter().map(|r| &text[r]).filter(|s| !holds(s, gold)).collect::<Vec<_>>().join(" ")
}
