//! The ingest of a document: extract, chunk, embed, index. Each step can be repeated, so a killed process starts again where it was.
//!
//! Text and chunks are in SQL before the index has them, and the document is `ready` only after; what a crash leaves between the
//! two is put right by the job's next attempt, or by the comparison of index and SQL at start ([`crate::Knowledge::start`]).

pub mod chunk;
pub mod extract;
pub mod extractor;
pub(crate) mod jobs;
pub mod sentences;

use astrolabe_backends::{
    analysis::{Lang, detect_language},
    index::{IndexChunk, IndexDocument},
};
use astrolabe_kernel::{Id, id::Named, principal::TenantId};
use sha2::{Digest, Sha256};

use crate::documents::Document;

/// The kind of job that ingests a document.
pub const KIND: &str = "ingest_document";

/// Names chunks: `chk_…`.
pub struct Chunk;
impl Named for Chunk {
    const PREFIX: &'static str = "chk";
}

/// The id of a chunk.
pub type ChunkId = Id<Chunk>;

/// A chunk as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Piece {
    /// Its id: the same document, version and place give the same id, so a repeated step makes no second chunk.
    pub id: ChunkId,
    /// Place in the document, from 0.
    pub ordinal: i64,
    /// First character in the document's text.
    pub start: i64,
    /// One past the last character.
    pub end: i64,
    /// Heading path.
    pub heading: String,
    /// The page on which it begins, from 1; `None` where the document has no pages.
    pub page: Option<i64>,
    /// The text.
    pub text: String,
    /// SHA-256 of what is embedded.
    pub text_hash: String,
    /// Language of the text, or of the document when the text is too short to tell.
    pub lang: String,
}

/// What the embedder sees of a chunk: its heading path tells what the sentences are about.
pub fn embedded_text(heading: &str, text: &str) -> String {
    if heading.is_empty() { text.to_owned() } else { format!("{heading}\n{text}") }
}

/// Cuts an extracted text into the chunks of a document's version.
pub fn pieces(document: &Document, read: &extractor::Text, size: i64, overlap: i64) -> Vec<Piece> {
    let (size, overlap) = (usize::try_from(size).unwrap_or(600), usize::try_from(overlap).unwrap_or(80));
    let main = Lang::from_code(&document.lang);
    chunk::chunk(&read.text, &read.headings, &read.pages, size, overlap)
        .into_iter()
        .map(|c| {
            let ordinal = i64::try_from(c.ordinal).unwrap_or(i64::MAX);
            let lang = match detect_language(&c.text) {
                Lang::Other => main,
                lang => lang,
            };
            Piece {
                id: Id::derived(format!("{} {} {ordinal}", document.id, document.version).as_bytes()),
                ordinal,
                start: i64::try_from(c.start).unwrap_or(i64::MAX),
                end: i64::try_from(c.end).unwrap_or(i64::MAX),
                text_hash: hex::encode(Sha256::digest(embedded_text(&c.heading, &c.text))),
                heading: c.heading,
                page: page_of(c.start, &read.pages),
                text: c.text,
                lang: lang.code().to_owned(),
            }
        })
        .collect()
}

/// The page of a place, from 1: the last that begins at it or before it. A page is said to begin where the one before it ends, which is before the empty
/// line between the two.
fn page_of(place: usize, pages: &[usize]) -> Option<i64> {
    if pages.is_empty() {
        return None;
    }
    let page = pages.partition_point(|begin| *begin <= place).max(1);
    i64::try_from(page).ok()
}

/// A document as the index keeps it. `vectors` gives the vector of a text's hash, where there is one.
pub(crate) fn index_document(
    tenant: TenantId,
    document: &Document,
    pieces: Vec<Piece>,
    mut vectors: impl FnMut(&str) -> Option<Vec<f32>>,
) -> IndexDocument {
    IndexDocument {
        tenant: tenant.to_string(),
        source_id: document.source_id.to_string(),
        document_id: document.id.to_string(),
        version: document.version,
        mime: document.mime.clone(),
        tags: document.tags.clone(),
        readers: None,
        updated_at: document.updated_at.micros(),
        chunks: pieces
            .into_iter()
            .map(|p| IndexChunk {
                chunk_id: p.id.to_string(),
                lang: Lang::from_code(&p.lang),
                page: p.page.and_then(|page| u32::try_from(page).ok()),
                title: format!("{} {}", document.title, p.heading),
                vector: vectors(&p.text_hash),
                text: p.text,
            })
            .collect(),
    }
}
