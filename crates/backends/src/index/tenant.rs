//! One tenant's chunks in memory. Nothing in here knows another tenant, so no statistic can leak.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};

use super::log::Span;
use super::postings::Postings;
use super::record::{Body, Head};
use super::vectors::Vectors;
use super::{DocumentState, Filter};
use crate::analysis::Lang;

/// A document's entry.
#[derive(Debug)]
struct Document {
    document_id: Box<str>,
    source_id: Box<str>,
    mime: Box<str>,
    tags: Box<[Box<str>]>,
    /// Who may read it; `None` for everybody.
    readers: Option<Box<[Box<str>]>>,
    updated_at: i64,
    version: i64,
    /// Its slots, one after the other.
    first: u32,
    chunks: u32,
    vectors: u32,
    span: Span,
    live: bool,
}

/// One tenant's documents, chunks, postings and vectors. Chunks get ascending slot numbers and keep them; a chunk that
/// is gone stays as a dead slot until the log is compacted.
#[derive(Debug)]
pub struct Tenant {
    documents: Vec<Document>,
    by_id: HashMap<Box<str>, u32>,
    /// Chunk ids, one after the other.
    chunk_ids: String,
    /// Where each slot's id ends.
    id_ends: Vec<usize>,
    document_of: Vec<u32>,
    langs: Vec<Lang>,
    lengths: Vec<u32>,
    live_chunks: u32,
    live_length: u64,
    terms: HashMap<Box<str>, u32>,
    postings: Vec<Postings>,
    vectors: Vectors,
}

/// The chunks a query may see.
pub struct Allowed {
    /// By document; `None` allows every live one.
    documents: Option<Vec<bool>>,
    /// By slot, where words are required or excluded; `None` allows every one.
    slots: Option<Vec<bool>>,
    lang: Option<Lang>,
}

impl Tenant {
    /// An empty tenant for vectors of `dims` components.
    pub fn new(dims: usize) -> Self {
        Self {
            documents: Vec::new(),
            by_id: HashMap::new(),
            chunk_ids: String::new(),
            id_ends: Vec::new(),
            document_of: Vec::new(),
            langs: Vec::new(),
            lengths: Vec::new(),
            live_chunks: 0,
            live_length: 0,
            terms: HashMap::new(),
            postings: Vec::new(),
            vectors: Vectors::new(dims),
        }
    }

    /// Puts a document in, in place of its earlier version. Returns the bytes of the record that died.
    pub fn replace(&mut self, head: &Head, body: Body, span: Span) -> u64 {
        let dead = self.remove(&head.document_id);
        let number = to_u32(self.documents.len());
        let first = to_u32(self.document_of.len());
        let (mut chunks, mut vectors) = (0, 0);
        for chunk in body.chunks {
            let slot = to_u32(self.document_of.len());
            chunks += 1;
            self.chunk_ids.push_str(&chunk.chunk_id);
            self.id_ends.push(self.chunk_ids.len());
            self.document_of.push(number);
            self.langs.push(chunk.lang);
            self.lengths.push(chunk.length);
            self.live_length += u64::from(chunk.length);
            for (term, count) in chunk.terms {
                let id = match self.terms.get(term.as_str()) {
                    Some(id) => *id,
                    None => {
                        let id = to_u32(self.postings.len());
                        self.terms.insert(term.into_boxed_str(), id);
                        self.postings.push(Postings::default());
                        id
                    }
                };
                self.postings[id as usize].push(slot, count);
            }
            if let Some((offset, vector)) = chunk.vector {
                vectors += 1;
                self.vectors.push(slot, span.body + offset as u64, &vector);
            }
        }
        self.live_chunks += chunks;
        self.by_id.insert(head.document_id.as_str().into(), number);
        self.documents.push(Document {
            document_id: head.document_id.as_str().into(),
            source_id: head.source_id.as_str().into(),
            mime: body.mime.into_boxed_str(),
            tags: boxed(body.tags),
            readers: body.readers.map(boxed),
            updated_at: body.updated_at,
            version: head.version,
            first,
            chunks,
            vectors,
            span,
            live: true,
        });
        dead
    }

    /// Takes a document out. Returns the bytes of the record that died, 0 when there was none.
    pub fn remove(&mut self, document_id: &str) -> u64 {
        let Some(number) = self.by_id.remove(document_id) else { return 0 };
        let document = &mut self.documents[number as usize];
        document.live = false;
        self.live_chunks -= document.chunks;
        let slots = document.first as usize..(document.first + document.chunks) as usize;
        self.live_length -= self.lengths[slots].iter().map(|l| u64::from(*l)).sum::<u64>();
        document.span.len
    }

    /// Takes all documents of a source out. Returns the bytes of the records that died.
    pub fn remove_source(&mut self, source_id: &str) -> u64 {
        let of_source: Vec<Box<str>> = self.live().filter(|d| &*d.source_id == source_id).map(|d| d.document_id.clone()).collect();
        of_source.iter().map(|id| self.remove(id)).sum()
    }

    fn live(&self) -> impl Iterator<Item = &Document> {
        self.documents.iter().filter(|d| d.live)
    }

    /// The version of a document.
    pub fn version(&self, document_id: &str) -> Option<i64> {
        self.by_id.get(document_id).map(|number| self.documents[*number as usize].version)
    }

    /// Whether a source has a document.
    pub fn has_source(&self, source_id: &str) -> bool {
        self.live().any(|d| &*d.source_id == source_id)
    }

    /// Whether no document is left.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// The live documents.
    pub fn states<'a>(&'a self, tenant: &'a str) -> impl Iterator<Item = DocumentState> + 'a {
        self.live().map(move |d| DocumentState {
            tenant: tenant.to_owned(),
            source_id: d.source_id.to_string(),
            document_id: d.document_id.to_string(),
            version: d.version,
            chunks: d.chunks,
            vectors: d.vectors,
        })
    }

    /// Live documents, their chunks, and those with a vector.
    pub fn totals(&self) -> (usize, usize, usize) {
        (self.by_id.len(), self.live_chunks as usize, self.live().map(|d| d.vectors as usize).sum())
    }

    /// The records of the live documents.
    pub fn spans(&self) -> impl Iterator<Item = Span> {
        self.live().map(|d| d.span)
    }

    /// Which chunks `filter` allows.
    pub fn allowed(&self, filter: &Filter) -> Allowed {
        Allowed { documents: self.allowed_documents(filter), slots: self.allowed_slots(filter), lang: filter.lang }
    }

    fn allowed_documents(&self, filter: &Filter) -> Option<Vec<bool>> {
        let Filter { sources, documents, readers, tags, mimes, updated_from, updated_until, .. } = filter;
        let lists = [sources, documents, readers, tags, mimes];
        let free = lists.iter().all(|list| list.is_none()) && updated_from.is_none() && updated_until.is_none();
        if free && self.documents.len() == self.by_id.len() {
            return None;
        }
        let [sources, documents, readers, tags, mimes] =
            lists.map(|list| list.as_ref().map(|list| list.iter().map(String::as_str).collect::<HashSet<&str>>()));
        let among = |set: &Option<HashSet<&str>>, id: &str| set.as_ref().is_none_or(|set| set.contains(id));
        let any = |set: &Option<HashSet<&str>>, ids: &[Box<str>]| set.as_ref().is_none_or(|set| ids.iter().any(|id| set.contains(&**id)));
        let allowed = self.documents.iter().map(|d| {
            d.live
                && among(&sources, &d.source_id)
                && among(&documents, &d.document_id)
                && among(&mimes, &d.mime)
                && any(&tags, &d.tags)
                && d.readers.as_ref().is_none_or(|ids| any(&readers, ids))
                && updated_from.is_none_or(|from| d.updated_at >= from)
                && updated_until.is_none_or(|until| d.updated_at < until)
        });
        Some(allowed.collect())
    }

    /// The slots with the required words and without the excluded ones; `None` when there are no such words.
    fn allowed_slots(&self, filter: &Filter) -> Option<Vec<bool>> {
        if filter.all_of.is_empty() && filter.none_of.is_empty() {
            return None;
        }
        let holding = |terms: &[String]| {
            let mut slots = vec![false; self.slots()];
            for (slot, _) in terms.iter().filter_map(|term| self.postings(term)).flat_map(Postings::iter) {
                slots[slot as usize] = true;
            }
            slots
        };
        let mut allowed: Vec<bool> = holding(&filter.none_of).into_iter().map(|held| !held).collect();
        for group in &filter.all_of {
            allowed.iter_mut().zip(holding(group)).for_each(|(allowed, held)| *allowed &= held);
        }
        Some(allowed)
    }

    /// Whether a chunk is allowed.
    pub fn allows(&self, allowed: &Allowed, slot: u32) -> bool {
        let slot = slot as usize;
        allowed.documents.as_ref().is_none_or(|d| d[self.document_of[slot] as usize])
            && allowed.slots.as_ref().is_none_or(|s| s[slot])
            && allowed.lang.is_none_or(|lang| self.langs[slot] == lang)
    }

    /// How many chunks are allowed.
    pub fn count(&self, allowed: &Allowed) -> u64 {
        let slots = 0..to_u32(self.slots());
        // Slots of dead documents are not allowed: where there are any, `documents` is there to say so.
        slots.filter(|slot| self.allows(allowed, *slot)).count() as u64
    }

    /// Whether a chunk is live.
    pub fn is_live(&self, slot: u32) -> bool {
        self.documents[self.document_of[slot as usize] as usize].live
    }

    /// The chunk's id.
    pub fn chunk_id(&self, slot: u32) -> &str {
        let slot = slot as usize;
        let start = if slot == 0 { 0 } else { self.id_ends[slot - 1] };
        &self.chunk_ids[start..self.id_ends[slot]]
    }

    /// The id of the chunk's document.
    pub fn document_id(&self, slot: u32) -> &str {
        &self.documents[self.document_of[slot as usize] as usize].document_id
    }

    /// The slot of a chunk of a document.
    pub fn slot(&self, document_id: &str, chunk_id: &str) -> Option<u32> {
        let document = &self.documents[*self.by_id.get(document_id)? as usize];
        (document.first..document.first + document.chunks).find(|slot| self.chunk_id(*slot) == chunk_id)
    }

    /// Order of equal scores.
    pub fn ties(&self, a: u32, b: u32) -> Ordering {
        self.chunk_id(a).cmp(self.chunk_id(b))
    }

    /// A term's postings.
    pub fn postings(&self, term: &str) -> Option<&Postings> {
        self.terms.get(term).map(|id| &self.postings[*id as usize])
    }

    /// A chunk's length in words.
    pub fn length(&self, slot: u32) -> u32 {
        self.lengths[slot as usize]
    }

    /// Slots, dead ones included.
    pub fn slots(&self) -> usize {
        self.document_of.len()
    }

    /// Whether a slot is dead.
    pub fn has_dead(&self) -> bool {
        self.documents.len() != self.by_id.len()
    }

    /// Live chunks, and their words together.
    pub fn live_totals(&self) -> (u32, u64) {
        (self.live_chunks, self.live_length)
    }

    /// The vectors.
    pub fn vectors(&self) -> &Vectors {
        &self.vectors
    }
}

fn boxed(texts: Vec<String>) -> Box<[Box<str>]> {
    texts.into_iter().map(String::into_boxed_str).collect()
}

/// Slots and documents are numbered by 32 bits: four billion chunks, beyond what memory holds.
fn to_u32(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
