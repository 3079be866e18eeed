//! Posting lists as PostgreSQL keeps them, and BM25 over them.
//!
//! A row holds one term's chunks of one write, packed; merging makes fewer rows of many. Lists are read whole and scored
//! here, by the same steps in the same order as the embedded engine takes them, so that scores agree.

use std::collections::{HashMap, HashSet};

use crate::analysis::{Lang, QueryTerm};
use crate::index::bm25::{self, Unit};
use crate::index::postings::{put_varint, take_varint};

/// Scores are flat long before; the embedded engine counts no further either.
const MAX_COUNT: u32 = 255;

/// Chunks of a document are numbered in the low bits of their slot, so a slot tells its document.
pub const ORDINAL_BITS: u32 = 20;

/// One chunk that holds a term.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Document number and place in the document.
    pub slot: i64,
    /// How often the chunk holds the term.
    pub count: u32,
    /// The chunk's length in words.
    pub length: u32,
    /// The chunk's language.
    pub lang: Lang,
}

impl Entry {
    /// The number of the chunk's document.
    pub fn document(&self) -> i64 {
        self.slot >> ORDINAL_BITS
    }
}

/// Packs entries, ascending by slot.
pub fn pack(entries: &[Entry]) -> Vec<u8> {
    let mut out = Vec::with_capacity(entries.len() * 5);
    let mut next = 0;
    for entry in entries {
        put_varint(&mut out, (entry.slot - next).unsigned_abs());
        put_varint(&mut out, u64::from(entry.count));
        put_varint(&mut out, (u64::from(entry.length) << 2) | u64::from(code(entry.lang)));
        next = entry.slot;
    }
    out
}

/// Unpacks what [`pack`] packed; what cannot be read ends the list.
pub fn unpack(mut bytes: &[u8], out: &mut Vec<Entry>) {
    let mut next = 0_i64;
    while let Some(gap) = take_varint(&mut bytes) {
        let (Some(count), Some(length)) = (take_varint(&mut bytes), take_varint(&mut bytes)) else { return };
        next = next.saturating_add(i64::try_from(gap).unwrap_or(i64::MAX));
        let narrow = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
        out.push(Entry { slot: next, count: narrow(count), length: narrow(length >> 2), lang: lang(length & 3) });
    }
}

/// The number of a language in a packed entry.
pub fn code(lang: Lang) -> u8 {
    match lang {
        Lang::Other => 0,
        Lang::En => 1,
        Lang::Pl => 2,
        Lang::Ru => 3,
    }
}

fn lang(code: u64) -> Lang {
    match code {
        1 => Lang::En,
        2 => Lang::Pl,
        3 => Lang::Ru,
        _ => Lang::Other,
    }
}

/// The share of a word's weight that a chunk earns.
fn share_of(weight: f32, count: u32, length: u32, average: f32) -> f32 {
    bm25::share(weight, count.min(MAX_COUNT) as f32, bm25::norm(length as f32, average))
}

/// The posting lists of some terms of a tenant, live chunks only, and the tenant's totals.
pub struct Lists {
    /// Live chunks, and their words together.
    pub totals: (i64, i64),
    /// By term.
    pub lists: HashMap<String, Vec<Entry>>,
}

impl Lists {
    /// Adds a row's entries, without those of dead documents.
    pub fn add(&mut self, term: String, packed: &[u8], dead: &HashSet<i64>) {
        let list = self.lists.entry(term).or_default();
        unpack(packed, list);
        if !dead.is_empty() {
            list.retain(|entry| !dead.contains(&entry.document()));
        }
    }

    fn of(&self, term: &str) -> &[Entry] {
        self.lists.get(term).map_or(&[], Vec::as_slice)
    }

    /// How many chunks hold a term.
    pub fn frequency(&self, term: &str) -> usize {
        self.of(term).len()
    }

    /// Inverse document frequency of a term.
    pub fn idf(&self, term: &str) -> f32 {
        if self.totals.0 == 0 { 0.0 } else { bm25::idf(self.totals.0 as f32, self.of(term).len() as f32) }
    }

    /// The chunks that hold a term of `terms`, with their languages.
    pub fn holding(&self, terms: &[String]) -> HashMap<i64, Lang> {
        terms.iter().flat_map(|term| self.of(term)).map(|entry| (entry.slot, entry.lang)).collect()
    }

    /// Every chunk that matches, with its score and language, ascending by slot; and the best score that a chunk could reach.
    pub fn scores(&self, terms: &[QueryTerm]) -> (Vec<(i64, f32, Lang)>, f32) {
        let (chunks, words) = self.totals;
        if chunks == 0 {
            return (Vec::new(), 0.0);
        }
        let average = ((words as f64 / chunks as f64) as f32).max(1.0);
        let (mut words, mut reachable) = (Vec::new(), 0.0);
        for term in terms {
            let mut best: Vec<(i64, f32, Lang)> = Vec::new();
            for alternative in &term.alternatives {
                let list = self.of(&alternative.text).iter();
                best.extend(list.map(|e| (e.slot, share_of(alternative.weight, e.count, e.length, average), e.lang)));
            }
            best.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| b.1.total_cmp(&a.1)));
            best.dedup_by_key(|b| b.0);
            let idf = bm25::idf(chunks as f32, best.len() as f32) * term.weight;
            reachable += idf;
            words.push((idf, best));
        }
        let unit = Unit::of(reachable);
        let units = |(idf, best): (f32, Vec<(i64, f32, Lang)>)| {
            best.into_iter().map(move |(slot, share, lang)| (slot, unit.whole(idf * share), lang))
        };
        let mut earned: Vec<(i64, u32, Lang)> = words.into_iter().flat_map(units).collect();
        earned.sort_unstable_by_key(|e| e.0);
        let sum = |chunk: &[(i64, u32, Lang)]| {
            let earned: u32 = chunk.iter().map(|e| e.1).sum();
            chunk.first().map(|(slot, _, lang)| (*slot, unit.score(earned as f32), *lang))
        };
        let scores = earned.chunk_by(|a, b| a.0 == b.0).filter_map(sum).collect();
        (scores, reachable)
    }
}
