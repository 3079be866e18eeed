mod contract;
mod durability;
pub(super) mod engines;
mod fusion;
mod rights;
mod scale;
mod search;

use std::path::Path;

use super::{EmbeddedIndex, Filter, Hit, IndexChunk, IndexDocument, OpenReport};
use crate::analysis::{Lang, analyse_query};

const DIMS: usize = 4;

fn open(dir: &Path) -> (EmbeddedIndex, OpenReport) {
    EmbeddedIndex::open(dir, "minilm", "1", DIMS).unwrap()
}

/// A document of one chunk per text, each with a vector made from its text.
fn document(tenant: &str, id: &str, version: i64, texts: &[&str]) -> IndexDocument {
    let chunks = texts
        .iter()
        .enumerate()
        .map(|(i, text)| IndexChunk {
            chunk_id: format!("{id}-{i}"),
            lang: Lang::En,
            page: Some(1),
            title: String::new(),
            text: (*text).to_owned(),
            vector: Some(vector(text)),
        })
        .collect();
    IndexDocument {
        tenant: tenant.to_owned(),
        source_id: "src".to_owned(),
        document_id: id.to_owned(),
        version,
        mime: "text/plain".to_owned(),
        tags: vec!["tag".to_owned()],
        readers: None,
        updated_at: 7,
        chunks,
    }
}

/// Letters counted in four groups: texts that share letters are near.
fn vector(text: &str) -> Vec<f32> {
    let mut vector = vec![0.1; DIMS];
    for byte in text.bytes() {
        vector[usize::from(byte) % DIMS] += 1.0;
    }
    vector
}

fn words(index: &EmbeddedIndex, filter: &Filter, query: &str) -> Vec<Hit> {
    index.lexical(filter, &analyse_query(query, Some(Lang::En)).terms, 10)
}

fn ids(hits: &[Hit]) -> Vec<&str> {
    hits.iter().map(|hit| hit.chunk_id.as_str()).collect()
}

/// Every document with its version and the chunks that a search for "common" shows: what a reader can tell of a state.
fn visible(index: &EmbeddedIndex) -> Vec<String> {
    let mut all: Vec<String> =
        index.documents().iter().map(|d| format!("{} {} v{} {}", d.tenant, d.document_id, d.version, d.chunks)).collect();
    for tenant in ["a", "b"] {
        let filter = Filter::tenant(tenant);
        all.extend(words(index, &filter, "common").iter().map(|h| format!("{tenant} {} {}", h.chunk_id, h.score.to_bits())));
        let near = index.dense(&filter, &vector("common"), 10).unwrap();
        all.extend(near.iter().map(|h| format!("{tenant} {} {}", h.chunk_id, h.score.to_bits())));
    }
    all
}
