//! One tenant's chunks in memory. Nothing in here knows another tenant, so no statistic can leak.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};

use super::bits::Bits;
use super::dictionary::Dictionary;
use super::log::Span;
use super::postings::Postings;
use super::record::{Body, Head};
use super::vectors::{Layout, Vectors};
use super::{DocumentState, Filter};
use crate::analysis::{Lang, Lookup, Near};

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
    /// Documents of each source, dead ones included.
    by_source: HashMap<Box<str>, Vec<u32>>,
    /// Slots of live documents.
    live: Bits,
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
    dictionary: Dictionary,
    postings: Vec<Postings>,
    vectors: Vectors,
}

/// The chunks a query may see.
pub struct Allowed {
    /// `None` allows every one; then none is dead.
    slots: Option<Bits>,
    count: usize,
}

impl Allowed {
    /// The first allowed slot that is not below `from`; it may lie behind the last one.
    pub fn next(&self, from: u32) -> Option<u32> {
        self.slots.as_ref().map_or(Some(from), |slots| slots.next(from))
    }

    /// The allowed slots; `None` when all are.
    pub fn slots(&self) -> Option<&Bits> {
        self.slots.as_ref()
    }

    /// How many chunks are allowed.
    pub fn count(&self) -> usize {
        self.count
    }
}

impl Tenant {
    /// An empty tenant for vectors of `dims` components.
    pub fn new(dims: usize) -> Self {
        Self {
            documents: Vec::new(),
            by_id: HashMap::new(),
            by_source: HashMap::new(),
            live: Bits::default(),
            chunk_ids: String::new(),
            id_ends: Vec::new(),
            document_of: Vec::new(),
            langs: Vec::new(),
            lengths: Vec::new(),
            live_chunks: 0,
            live_length: 0,
            terms: HashMap::new(),
            dictionary: Dictionary::default(),
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
                        self.dictionary.add(&term);
                        self.terms.insert(term.into_boxed_str(), id);
                        self.postings.push(Postings::default());
                        id
                    }
                };
                self.postings[id as usize].push(slot, count, &self.lengths);
            }
            if let Some((offset, vector)) = chunk.vector {
                vectors += 1;
                self.vectors.push(slot, span.body + offset as u64, &vector);
            }
        }
        self.live_chunks += chunks;
        self.live.set(first..first + chunks, true);
        self.by_source.entry(head.source_id.as_str().into()).or_default().push(number);
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
        self.live.set(document.first..document.first + document.chunks, false);
        let slots = document.first as usize..(document.first + document.chunks) as usize;
        self.live_length -= self.lengths[slots].iter().map(|l| u64::from(*l)).sum::<u64>();
        document.span.len
    }

    /// Takes all documents of a source out. Returns the bytes of the records that died.
    pub fn remove_source(&mut self, source_id: &str) -> u64 {
        let of_source: Vec<Box<str>> =
            self.live_documents().filter(|d| &*d.source_id == source_id).map(|d| d.document_id.clone()).collect();
        of_source.iter().map(|id| self.remove(id)).sum()
    }

    fn live_documents(&self) -> impl Iterator<Item = &Document> {
        self.documents.iter().filter(|d| d.live)
    }

    /// The version of a document.
    pub fn version(&self, document_id: &str) -> Option<i64> {
        self.by_id.get(document_id).map(|number| self.documents[*number as usize].version)
    }

    /// Whether a source has a document.
    pub fn has_source(&self, source_id: &str) -> bool {
        self.live_documents().any(|d| &*d.source_id == source_id)
    }

    /// Whether no document is left.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// The live documents.
    pub fn states<'a>(&'a self, tenant: &'a str) -> impl Iterator<Item = DocumentState> + 'a {
        self.live_documents().map(move |d| DocumentState {
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
        (self.by_id.len(), self.live_chunks as usize, self.live_documents().map(|d| d.vectors as usize).sum())
    }

    /// The records of the live documents.
    pub fn spans(&self) -> impl Iterator<Item = Span> {
        self.live_documents().map(|d| d.span)
    }

    /// Which chunks `filter` allows.
    pub fn allowed(&self, filter: &Filter) -> Allowed {
        let mut slots = match self.allowed_documents(filter) {
            Some(documents) => {
                let mut slots = Bits::new(self.slots());
                documents.for_each(|d| slots.set(d.first..d.first + d.chunks, true));
                slots
            }
            None if filter.lang.is_none() && filter.all_of.is_empty() && filter.none_of.is_empty() && !self.has_dead() => {
                return Allowed { slots: None, count: self.slots() };
            }
            None => self.live.clone(),
        };
        if let Some(lang) = filter.lang {
            slots = slots.iter().filter(|slot| self.langs[*slot as usize] == lang).collect();
        }
        let holding = |terms: &[String]| terms.iter().filter_map(|term| self.postings(term)).flat_map(Postings::slots).collect::<Bits>();
        filter.all_of.iter().for_each(|group| slots.keep(&holding(group)));
        slots.subtract(&holding(&filter.none_of));
        Allowed { count: slots.count(), slots: Some(slots) }
    }

    /// The live documents that the filter's fields of documents allow; `None` when it has none of these.
    fn allowed_documents<'a>(&'a self, filter: &'a Filter) -> Option<impl Iterator<Item = &'a Document>> {
        let Filter { sources, documents, readers, tags, mimes, updated_from, updated_until, .. } = filter;
        let lists = [sources, documents, readers, tags, mimes];
        if lists.iter().all(|list| list.is_none()) && updated_from.is_none() && updated_until.is_none() {
            return None;
        }
        // The fields that an index knows name the documents to look at; a filter by source should not cost what the others hold.
        let named: Box<dyn Iterator<Item = u32>> = match (documents, sources) {
            (Some(ids), _) => Box::new(ids.iter().filter_map(|id| self.by_id.get(id.as_str())).copied()),
            (None, Some(ids)) => Box::new(ids.iter().filter_map(|id| self.by_source.get(id.as_str())).flatten().copied()),
            (None, None) => Box::new(0..to_u32(self.documents.len())),
        };
        let [sources, _, readers, tags, mimes] =
            lists.map(|list| list.as_ref().map(|list| list.iter().map(String::as_str).collect::<HashSet<&str>>()));
        let among = |set: &Option<HashSet<&str>>, id: &str| set.as_ref().is_none_or(|set| set.contains(id));
        let any = |set: &Option<HashSet<&str>>, ids: &[Box<str>]| set.as_ref().is_none_or(|set| ids.iter().any(|id| set.contains(&**id)));
        Some(named.map(|number| &self.documents[number as usize]).filter(move |d| {
            d.live
                && among(&sources, &d.source_id)
                && among(&mimes, &d.mime)
                && any(&tags, &d.tags)
                && d.readers.as_ref().is_none_or(|ids| any(&readers, ids))
                && updated_from.is_none_or(|from| d.updated_at >= from)
                && updated_until.is_none_or(|until| d.updated_at < until)
        }))
    }

    /// Whether a chunk is live.
    pub fn is_live(&self, slot: u32) -> bool {
        self.live.contains(slot)
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

    /// The length of every chunk in words.
    pub fn lengths(&self) -> &[u32] {
        &self.lengths
    }

    /// The slots of live documents; `None` when no document is dead.
    pub fn live(&self) -> Option<&Bits> {
        self.has_dead().then_some(&self.live)
    }

    /// The terms to use beside each word of a query.
    pub fn near(&self, lookups: &[Lookup]) -> Vec<Vec<Near>> {
        let frequency = |term: &str| self.postings(term).map_or(0, |p| p.count(self.live()));
        let near = |lookup: &Lookup| {
            let known = !lookup.typos.is_empty() && lookup.forms.iter().any(|form| frequency(form) > 0);
            lookup.patterns(known).flat_map(|pattern| pattern.best(self.dictionary.candidates(pattern), frequency)).collect()
        };
        lookups.iter().map(near).collect()
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

    /// Puts the vectors where a layout of theirs says.
    pub fn rearrange(&mut self, layout: Layout) {
        self.vectors.rearrange(layout);
    }
}

fn boxed(texts: Vec<String>) -> Box<[Box<str>]> {
    texts.into_iter().map(String::into_boxed_str).collect()
}

/// Slots and documents are numbered by 32 bits: four billion chunks, beyond what memory holds.
fn to_u32(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
