//! A retrieval collection in BEIR layout, cut and titled as the ingest does.

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;

use astrolabe_backends::analysis::{Lang, detect_language};
use astrolabe_backends::index::{IndexChunk, IndexDocument};
use astrolabe_knowledge::ingest::chunk::chunk;
use astrolabe_knowledge::ingest::embedded_text;
use astrolabe_knowledge::ingest::extract::Heading;
use serde::Deserialize;

use crate::Failure;

#[derive(Deserialize)]
struct Record {
    _id: String,
    #[serde(default)]
    title: String,
    text: String,
}

/// A query with what is relevant to it.
pub struct Question {
    pub id: String,
    pub text: String,
    pub relevant: HashMap<String, f64>,
}

/// A document as the index takes it, and what is embedded of each chunk.
pub struct Prepared {
    pub index: IndexDocument,
    pub texts: Vec<String>,
}

/// A collection.
pub struct Collection {
    pub name: String,
    pub queries: Vec<Question>,
    records: Vec<Record>,
}

impl Collection {
    pub fn read(folder: &Path) -> Result<Self, Failure> {
        let records = lines(&unpacked(&folder.join("corpus.jsonl"))?)?;
        let asked: Vec<Record> = lines(&std::fs::read_to_string(folder.join("queries.jsonl"))?)?;
        let mut relevant: HashMap<String, HashMap<String, f64>> = HashMap::new();
        for line in std::fs::read_to_string(folder.join("qrels.tsv"))?.lines().skip(1) {
            let fields: Vec<&str> = line.split('\t').collect();
            let &[query, document, score] = fields.as_slice() else { continue };
            relevant.entry(query.to_owned()).or_default().insert(document.to_owned(), score.trim().parse()?);
        }
        let queries = asked
            .into_iter()
            .filter_map(|q| relevant.remove(&q._id).map(|relevant| Question { id: q._id, text: q.text, relevant }))
            .collect();
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { name, queries, records })
    }

    /// Every document, chunked at `size` characters with an overlap of 80 under its title as heading.
    pub fn documents(&self, size: usize) -> Vec<Prepared> {
        self.records.iter().map(|record| prepare(record, size)).collect()
    }
}

fn prepare(record: &Record, size: usize) -> Prepared {
    let title = record.title.replace('_', " ");
    let (text, headings) = if title.is_empty() {
        (record.text.clone(), Vec::new())
    } else {
        (format!("{title}\n\n{}", record.text), vec![Heading { level: 1, title: title.clone(), start: 0, end: usize::MAX }])
    };
    let main = detect_language(&text);
    let mut texts = Vec::new();
    let mut chunks = Vec::new();
    for piece in chunk(&text, &headings, &[], size, 80) {
        texts.push(embedded_text(&piece.heading, &piece.text));
        let lang = match detect_language(&piece.text) {
            Lang::Other => main,
            lang => lang,
        };
        // Chunk ids tell document and place.
        let chunk_id = format!("{} {}", record._id, piece.ordinal);
        chunks.push(IndexChunk { chunk_id, lang, page: None, title: format!("{title} {}", piece.heading), text: piece.text, vector: None });
    }
    let index = IndexDocument {
        tenant: "t".to_owned(),
        source_id: "s".to_owned(),
        document_id: record._id.clone(),
        version: 1,
        mime: "text/markdown".to_owned(),
        tags: Vec::new(),
        readers: None,
        updated_at: 0,
        chunks,
    };
    Prepared { index, texts }
}

fn unpacked(path: &Path) -> Result<String, Failure> {
    if path.try_exists()? {
        return Ok(std::fs::read_to_string(path)?);
    }
    let packed = path.with_extension("jsonl.xz");
    let output = Command::new("xz").arg("-dc").arg(&packed).output()?;
    if !output.status.success() {
        return Err(format!("cannot unpack {}: {}", packed.display(), String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

fn lines<T: for<'a> Deserialize<'a>>(text: &str) -> Result<Vec<T>, serde_json::Error> {
    text.lines().filter(|line| !line.trim().is_empty()).map(serde_json::from_str).collect()
}
