//! What the log's records say, and their bytes.

use super::postings::{put_varint, take_varint};
use super::{IndexChunk, IndexDocument};
use crate::analysis::{Lang, analyse};
use std::collections::BTreeMap;

/// How often a title's words count beside the text's.
const TITLE_WEIGHT: u32 = 1;
/// No chunk counts a word more often; scores are flat long before.
const MAX_COUNT: u32 = 65_535;

/// A change to the index.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// A document takes the place of its earlier version.
    Replace,
    /// A document is gone.
    DeleteDocument,
    /// All documents of a source are gone.
    DeleteSource,
}

/// Whom a record is about. Checked apart from the body, so that damage to a body can still be told by name.
#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    /// The change.
    pub change: Change,
    /// Tenant of the document or source.
    pub tenant: String,
    /// The source.
    pub source_id: String,
    /// The document; empty for a source.
    pub document_id: String,
    /// The document's version.
    pub version: i64,
}

/// The body of a [`Change::Replace`].
#[derive(Debug, Clone, PartialEq)]
pub struct Body {
    /// Media type.
    pub mime: String,
    /// Tags.
    pub tags: Vec<String>,
    /// Who may read it; `None` for everybody of the tenant.
    pub readers: Option<Vec<String>>,
    /// Microseconds since 1970.
    pub updated_at: i64,
    /// The document's chunks in reading order.
    pub chunks: Vec<ChunkRecord>,
}

/// One chunk, analysed.
#[derive(Debug, Clone, PartialEq)]
pub struct ChunkRecord {
    /// The chunk.
    pub chunk_id: String,
    /// Its language.
    pub lang: Lang,
    /// Page of the document, from 1.
    pub page: Option<u32>,
    /// Length in words.
    pub length: u32,
    /// Terms with their counts, ascending by term.
    pub terms: Vec<(String, u32)>,
    /// Byte of the body where the vector starts, and the vector (length 1).
    pub vector: Option<(usize, Vec<f32>)>,
}

impl Head {
    /// Appends the head's bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(match self.change {
            Change::Replace => 1,
            Change::DeleteDocument => 2,
            Change::DeleteSource => 3,
        });
        put_str(out, &self.tenant);
        put_str(out, &self.source_id);
        put_str(out, &self.document_id);
        out.extend_from_slice(&self.version.to_le_bytes());
    }

    /// Reads a head; `None` for bytes that are none.
    pub fn decode(mut from: &[u8]) -> Option<Self> {
        let from = &mut from;
        let change = match take_byte(from)? {
            1 => Change::Replace,
            2 => Change::DeleteDocument,
            3 => Change::DeleteSource,
            _ => return None,
        };
        Some(Self { change, tenant: take_str(from)?, source_id: take_str(from)?, document_id: take_str(from)?, version: take_i64(from)? })
    }
}

/// Analyses a document into the body of its record. Vectors must be of the generation's dimensions and length 1.
pub fn body_of(document: IndexDocument) -> Body {
    let chunks = document.chunks.into_iter().map(chunk_of).collect();
    Body { mime: document.mime, tags: document.tags, readers: document.readers, updated_at: document.updated_at, chunks }
}

fn chunk_of(chunk: IndexChunk) -> ChunkRecord {
    let mut counts: BTreeMap<String, u32> = BTreeMap::new();
    let mut length = 0;
    for (text, weight) in [(&chunk.title, TITLE_WEIGHT), (&chunk.text, 1)] {
        let terms = analyse(text, chunk.lang);
        length += terms.last().map_or(0, |last| last.position + 1) * weight;
        for term in terms {
            let count = counts.entry(term.text).or_default();
            *count = (*count + weight).min(MAX_COUNT);
        }
    }
    ChunkRecord {
        chunk_id: chunk.chunk_id,
        lang: chunk.lang,
        page: chunk.page,
        length,
        terms: counts.into_iter().collect(),
        vector: chunk.vector.map(|vector| (0, vector)),
    }
}

impl Body {
    /// Appends the body's bytes and notes where each vector starts in them.
    pub fn encode(&mut self, out: &mut Vec<u8>) {
        let start = out.len();
        put_str(out, &self.mime);
        put_varint(out, self.tags.len() as u64);
        self.tags.iter().for_each(|tag| put_str(out, tag));
        put_varint(out, self.readers.as_ref().map_or(0, |readers| readers.len() as u64 + 1));
        self.readers.iter().flatten().for_each(|reader| put_str(out, reader));
        out.extend_from_slice(&self.updated_at.to_le_bytes());
        put_varint(out, self.chunks.len() as u64);
        for chunk in &mut self.chunks {
            put_str(out, &chunk.chunk_id);
            out.push(match chunk.lang {
                Lang::Other => 0,
                Lang::En => 1,
                Lang::Pl => 2,
                Lang::Ru => 3,
            });
            put_varint(out, chunk.page.map_or(0, |page| u64::from(page) + 1));
            put_varint(out, u64::from(chunk.length));
            put_varint(out, chunk.terms.len() as u64);
            for (term, count) in &chunk.terms {
                put_str(out, term);
                put_varint(out, u64::from(*count));
            }
            match &mut chunk.vector {
                None => put_varint(out, 0),
                Some((offset, vector)) => {
                    put_varint(out, vector.len() as u64);
                    *offset = out.len() - start;
                    vector.iter().for_each(|x| out.extend_from_slice(&x.to_le_bytes()));
                }
            }
        }
    }

    /// Reads a body; `None` for bytes that are none.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let from = &mut &*bytes;
        let mime = take_str(from)?;
        let tags = (0..take_len(from)?).map(|_| take_str(from)).collect::<Option<_>>()?;
        let readers = match take_len(from)? {
            0 => None,
            count => Some((1..count).map(|_| take_str(from)).collect::<Option<_>>()?),
        };
        let updated_at = take_i64(from)?;
        let count = take_len(from)?;
        let chunks = (0..count).map(|_| take_chunk(bytes.len(), from)).collect::<Option<_>>()?;
        from.is_empty().then_some(Self { mime, tags, readers, updated_at, chunks })
    }
}

fn take_chunk(total: usize, from: &mut &[u8]) -> Option<ChunkRecord> {
    let chunk_id = take_str(from)?;
    let lang = match take_byte(from)? {
        0 => Lang::Other,
        1 => Lang::En,
        2 => Lang::Pl,
        3 => Lang::Ru,
        _ => return None,
    };
    let page = match take_varint(from)? {
        0 => None,
        page => Some(u32::try_from(page - 1).ok()?),
    };
    let length = take_u32(from)?;
    let count = take_len(from)?;
    let mut terms = Vec::with_capacity(count);
    for _ in 0..count {
        terms.push((take_str(from)?, take_u32(from)?));
    }
    let dims = usize::try_from(take_varint(from)?).ok()?;
    let vector = if dims == 0 {
        None
    } else {
        let offset = total - from.len();
        Some((offset, take_vector(from, dims)?))
    };
    Some(ChunkRecord { chunk_id, lang, page, length, terms, vector })
}

/// Reads `dims` little-endian components from the front.
pub fn take_vector(from: &mut &[u8], dims: usize) -> Option<Vec<f32>> {
    let bytes = dims.checked_mul(4).and_then(|len| from.split_at_checked(len));
    let (raw, rest) = bytes?;
    *from = rest;
    Some(raw.as_chunks::<4>().0.iter().map(|x| f32::from_le_bytes(*x)).collect())
}

fn put_str(out: &mut Vec<u8>, text: &str) {
    put_varint(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

fn take_str(from: &mut &[u8]) -> Option<String> {
    let len = usize::try_from(take_varint(from)?).ok()?;
    let (raw, rest) = from.split_at_checked(len)?;
    *from = rest;
    std::str::from_utf8(raw).ok().map(str::to_owned)
}

/// A count of things that take at least one byte each, so that a damaged count reserves no memory.
fn take_len(from: &mut &[u8]) -> Option<usize> {
    usize::try_from(take_varint(from)?).ok().filter(|len| *len <= from.len())
}

fn take_u32(from: &mut &[u8]) -> Option<u32> {
    u32::try_from(take_varint(from)?).ok()
}

fn take_byte(from: &mut &[u8]) -> Option<u8> {
    let (byte, rest) = from.split_first()?;
    *from = rest;
    Some(*byte)
}

fn take_i64(from: &mut &[u8]) -> Option<i64> {
    let (raw, rest) = from.split_first_chunk::<8>()?;
    *from = rest;
    Some(i64::from_le_bytes(*raw))
}
