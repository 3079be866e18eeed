//! Answers that were made before. The same question of the same caller, over the same passages, is not worked out twice.
//!
//! The passages are searched for each time, and their ids and contents are in the key: a changed, deleted or newly found document makes another key, so
//! no stale answer can be given. Kept in memory only, and bounded.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use astrolabe_kernel::{Id, Principal, principal::TenantId};
use sha2::{Digest, Sha256};
use unicode_normalization::UnicodeNormalization;

use super::{Answer, Citation, Mode};
use crate::{
    search::{Results, Retrieval},
    sources::Source,
};

/// Most answers kept.
const MAX_ANSWERS: usize = 2_000;
/// Most bytes kept, by the texts of the answers and their citations.
const MAX_BYTES: usize = 16 << 20;

/// What makes two asks the same: tenant, the caller (whose rights decide what it may read), question, language, passages, limit, sources and who answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key([u8; 32]);

impl Key {
    /// The key of a question over what was found for it. `model` is the chat model's name, empty when sentences are picked.
    pub(crate) fn new(principal: &Principal, question: &str, sources: Option<&[Id<Source>]>, results: &Results, model: &str) -> Self {
        let mut hash = Sha256::new();
        let mut add = |part: &str| {
            // Each part with its length, so that no two lists of parts run together to the same bytes.
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        };
        add(&principal.tenant.to_string());
        add(&principal.id);
        add(&normalised(question));
        add(results.query.lang.code());
        add(model);
        add(if results.retrieval == Retrieval::Hybrid { "hybrid" } else { "lexical" });
        let mut sources: Vec<String> = sources.map(|ids| ids.iter().map(ToString::to_string).collect()).unwrap_or_default();
        sources.sort();
        add(&sources.join(" "));
        for found in &results.found {
            // A chunk's id comes of its document's id and version; names and the text are what a citation repeats.
            add(&found.chunk_id.to_string());
            add(&found.text_hash);
            add(&found.document);
            add(&found.source);
        }
        Self(hash.finalize().into())
    }
}

/// A question without what makes no difference: letter case, kinds of white space and of the same character, marks at the end.
fn normalised(question: &str) -> String {
    let folded = question.nfkc().collect::<String>().to_lowercase();
    folded.split_whitespace().collect::<Vec<_>>().join(" ").trim_end_matches([' ', '?', '!', '.', '…']).to_owned()
}

/// The part of an answer that does not belong to one ask.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Made {
    answer: String,
    answered: bool,
    citations: Vec<Citation>,
    mode: Mode,
}

impl Made {
    /// What of an answer may be given again; nothing of one that something went wrong with.
    pub(crate) fn of(answer: &Answer) -> Option<Self> {
        let whole = answer.notices.iter().all(|notice| notice == "no_embedder");
        whole.then(|| Self {
            answer: answer.answer.clone(),
            answered: answer.answered,
            citations: answer.citations.clone(),
            mode: answer.mode,
        })
    }

    /// Puts it into an ask's answer.
    pub(crate) fn fill(self, answer: &mut Answer) {
        (answer.answer, answer.answered, answer.citations, answer.mode) = (self.answer, self.answered, self.citations, self.mode);
    }

    fn bytes(&self) -> usize {
        let of = |c: &Citation| c.text.len() + c.heading.len() + c.document.len() + c.source.len() + size_of::<Citation>();
        self.answer.len() + self.citations.iter().map(of).sum::<usize>() + size_of::<Entry>()
    }
}

#[derive(Debug)]
struct Entry {
    tenant: TenantId,
    made: Made,
    bytes: usize,
    used: u64,
}

#[derive(Debug, Default)]
struct State {
    entries: HashMap<Key, Entry>,
    bytes: usize,
    /// Counts uses; the entry with the lowest number was used longest ago.
    clock: u64,
}

/// The answers kept in memory.
#[derive(Debug, Default)]
pub(crate) struct AnswerCache(Mutex<State>);

impl AnswerCache {
    fn state(&self) -> MutexGuard<'_, State> {
        // Whoever panicked with the lock left whole entries: at worst the count of bytes is too high.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An answer that was made before.
    pub(crate) fn get(&self, key: &Key) -> Option<Made> {
        let mut state = self.state();
        state.clock += 1;
        let now = state.clock;
        let made = state.entries.get_mut(key).map(|entry| {
            entry.used = now;
            entry.made.clone()
        });
        metrics::counter!("answer_cache_total", "result" => if made.is_some() { "hit" } else { "miss" }).increment(1);
        made
    }

    /// Keeps an answer, in place of those used longest ago when it is full.
    pub(crate) fn put(&self, tenant: TenantId, key: Key, made: Made) {
        let bytes = made.bytes();
        if bytes > MAX_BYTES / 16 {
            return;
        }
        let mut state = self.state();
        state.clock += 1;
        let used = state.clock;
        if let Some(old) = state.entries.insert(key, Entry { tenant, made, bytes, used }) {
            state.bytes -= old.bytes;
        }
        state.bytes += bytes;
        if state.entries.len() > MAX_ANSWERS || state.bytes > MAX_BYTES {
            // An eighth at a time, so that a full cache is not sorted for each answer.
            let mut order: Vec<(u64, Key)> = state.entries.iter().map(|(key, entry)| (entry.used, *key)).collect();
            order.sort_unstable_by_key(|(used, _)| *used);
            for (_, key) in order.into_iter().take(MAX_ANSWERS / 8) {
                if let Some(old) = state.entries.remove(&key) {
                    state.bytes -= old.bytes;
                }
            }
        }
    }

    /// Forgets what a tenant's people were answered: whose answer it was cannot be told from a key.
    pub(crate) fn forget_tenant(&self, tenant: TenantId) {
        let mut state = self.state();
        let mut freed = 0;
        state.entries.retain(|_, entry| {
            let gone = entry.tenant == tenant;
            freed += if gone { entry.bytes } else { 0 };
            !gone
        });
        state.bytes -= freed;
    }

    /// Forgets what cites a source that is gone, and what a tenant's source may have been named in.
    pub(crate) fn forget_source(&self, tenant: TenantId, source: Id<Source>) {
        let mut state = self.state();
        let mut freed = 0;
        state.entries.retain(|_, entry| {
            let gone = entry.tenant == tenant && entry.made.citations.iter().any(|c| c.source_id == source);
            freed += if gone { entry.bytes } else { 0 };
            !gone
        });
        state.bytes -= freed;
    }

    /// Answers and bytes kept.
    #[cfg(test)]
    pub(crate) fn size(&self) -> (usize, usize) {
        let state = self.state();
        (state.entries.len(), state.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(text: &str) -> Made {
        Made { answer: text.to_owned(), answered: true, citations: Vec::new(), mode: Mode::Extractive }
    }

    fn key(number: u64) -> Key {
        Key(Sha256::digest(number.to_le_bytes()).into())
    }

    #[test]
    fn the_same_question_is_the_same_in_other_letters_and_spaces() {
        assert_eq!(normalised("  How  long?! "), normalised("how long"));
        assert_eq!(normalised("Ile\u{a0}dni"), "ile dni");
        assert_ne!(normalised("theatre 5"), normalised("theatre 6"));
    }

    #[test]
    fn a_full_cache_forgets_what_was_used_longest_ago() {
        let (cache, tenant) = (AnswerCache::default(), Id::derived(b"tenant"));
        for number in 0..MAX_ANSWERS as u64 {
            cache.put(tenant, key(number), made("x"));
        }
        assert!(cache.get(&key(0)).is_some(), "and so it is used last");
        cache.put(tenant, key(u64::MAX), made("x"));
        assert!(cache.get(&key(0)).is_some() && cache.get(&key(1)).is_none());
        assert!(cache.size().0 <= MAX_ANSWERS);
    }

    #[test]
    fn answers_of_many_bytes_are_bounded_too() {
        let (cache, tenant) = (AnswerCache::default(), Id::derived(b"tenant"));
        let long = "x".repeat(MAX_BYTES / 20);
        for number in 0..100 {
            cache.put(tenant, key(number), made(&long));
            assert!(cache.size().1 <= MAX_BYTES);
        }
        cache.put(tenant, key(7), made(&"x".repeat(MAX_BYTES / 8)));
        let before = cache.size();
        cache.put(tenant, key(1_000), made(&"x".repeat(MAX_BYTES / 8)));
        assert_eq!(cache.size(), before, "one that is too large for the whole is not kept");
    }
}
