//! The search index: one contract, [`SearchIndex`], and its engines.
//!
//! The embedded engine ([`EmbeddedIndex`], behind [`Embedded`]) searches in memory and is durable through one append-only
//! file per index generation: `docs/adr/0008-embedded-index.md`. SQL stays the truth for every engine: the caller
//! compares [`SearchIndex::documents`] with it after opening, and indexes again what is missing or older.

mod bits;
mod bm25;
mod check;
mod contract;
mod dictionary;
mod embedded;
mod error;
mod fusion;
mod lexical;
mod lists;
mod lists_file;
mod log;
mod postgres;
mod postings;
mod record;
mod store;
mod tenant;
mod topk;
mod vectors;

#[cfg(test)]
mod tests;

use std::fs::File;

use crate::analysis::Lang;

pub use contract::{Pending, SearchIndex};
pub use embedded::Embedded;
pub use error::IndexError;
pub use fusion::{Fused, RRF_K, dense_weight, fuse, mmr, rrf};
pub use postgres::PostgresIndex;
pub use store::EmbeddedIndex;

/// A document with everything the index keeps of it. The embedding's alias and version belong to the generation.
#[derive(Debug, Clone, PartialEq)]
pub struct IndexDocument {
    /// The tenant that owns it.
    pub tenant: String,
    /// Its source.
    pub source_id: String,
    /// Its id, unique in the tenant.
    pub document_id: String,
    /// Its version; an older one than the indexed is refused.
    pub version: i64,
    /// Media type.
    pub mime: String,
    /// Tags.
    pub tags: Vec<String>,
    /// Ids of those who may read it, opaque here; `None` for everybody of the tenant, an empty list for nobody.
    pub readers: Option<Vec<String>>,
    /// When it changed, in microseconds since 1970 UTC.
    pub updated_at: i64,
    /// Its chunks in reading order; none is allowed, and makes a document known that has no text.
    pub chunks: Vec<IndexChunk>,
}

/// A chunk of a document.
#[derive(Debug, Clone, PartialEq)]
pub struct IndexChunk {
    /// Its id, unique in the document.
    pub chunk_id: String,
    /// The language its words are analysed in.
    pub lang: Lang,
    /// The page it is on, from 1.
    pub page: Option<u32>,
    /// Title of the document and heading path, searched like the text.
    pub title: String,
    /// The text.
    pub text: String,
    /// Its embedding, of the generation's dimensions; scaled to length 1. `None` without an embedder.
    pub vector: Option<Vec<f32>>,
}

/// What a search may see. Applied before ranking, all fields together. An empty list allows nothing; `None` allows
/// everything. Text is compared byte by byte.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// The tenant; always required.
    pub tenant: String,
    /// Only these sources.
    pub sources: Option<Vec<String>>,
    /// Only these documents.
    pub documents: Option<Vec<String>>,
    /// Only documents without a list of readers, or with one of these ids in it. `None` reads everything of the tenant;
    /// an empty list reads what has no list of readers.
    pub readers: Option<Vec<String>>,
    /// Only documents with at least one of these tags.
    pub tags: Option<Vec<String>>,
    /// Only chunks in this language.
    pub lang: Option<Lang>,
    /// Only documents of one of these media types.
    pub mimes: Option<Vec<String>>,
    /// Only documents that changed at this moment or later, in microseconds since 1970 UTC.
    pub updated_from: Option<i64>,
    /// Only documents that changed before this moment.
    pub updated_until: Option<i64>,
    /// Only chunks that hold at least one index term of each group: words that a query requires.
    pub all_of: Vec<Vec<String>>,
    /// Only chunks that hold none of these index terms: words that a query excludes.
    pub none_of: Vec<String>,
}

impl Filter {
    /// Everything of a tenant.
    #[must_use]
    pub fn tenant(tenant: impl Into<String>) -> Self {
        Self { tenant: tenant.into(), ..Self::default() }
    }
}

/// A chunk that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    /// The chunk.
    pub chunk_id: String,
    /// Its document.
    pub document_id: String,
    /// Cosine similarity (-1 to 1), or the BM25 score (above 0).
    pub score: f32,
    /// How much of the query the chunk covers, from 0 to 1: the cosine where positive, or the BM25 score divided by
    /// the score of a chunk that would hold every word of the query without end. Comparable between queries.
    pub share: f32,
}

/// A document in the index, to compare with SQL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentState {
    /// Its tenant.
    pub tenant: String,
    /// Its source.
    pub source_id: String,
    /// Its id.
    pub document_id: String,
    /// The version that is indexed.
    pub version: i64,
    /// Its chunks.
    pub chunks: u32,
    /// Those with a vector.
    pub vectors: u32,
}

/// What opening found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OpenReport {
    /// Live documents.
    pub documents: usize,
    /// Live chunks.
    pub chunks: usize,
    /// Bytes of an unfinished write that were cut off.
    pub truncated_bytes: u64,
    /// Bytes of damaged records that were skipped.
    pub damaged_bytes: u64,
    /// Tenant and document of the damaged records that could still be told by name. They are not in the index.
    pub damaged: Vec<(String, String)>,
    /// The directory held no log that fits this generation, and the index is empty: index everything again.
    pub rebuilt: bool,
    /// One sentence on why it was rebuilt or what was skipped; `None` when all is well or the directory is new.
    pub notice: Option<String>,
}

/// Sizes of an index, over all tenants.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct IndexStats {
    /// Live documents.
    pub documents: usize,
    /// Live chunks.
    pub chunks: usize,
    /// Live chunks with a vector.
    pub vectors: usize,
    /// Bytes of the log, or of the tables.
    pub bytes_on_disk: u64,
    /// Share of them that live documents need, 0 to 1.
    pub live_ratio: f64,
}

/// A consistent state of the index for a backup: copy the first `len` bytes of `file`. Later writes and compactions
/// do not touch them.
#[derive(Debug)]
pub struct Snapshot {
    /// The log, opened for reading at its start; independent of the index's own position.
    pub file: File,
    /// Bytes to copy.
    pub len: u64,
    /// The name the copy must have in its directory.
    pub file_name: &'static str,
}
