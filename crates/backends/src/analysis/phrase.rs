//! Whether a text holds a phrase.

use std::collections::HashSet;

use super::{Alternative, Lang, analyse};

/// Words that have to stand next to each other, in this order. Endings may differ: a word is compared by its index
/// terms, as everywhere in a search.
#[derive(Debug, Clone, PartialEq)]
pub struct Phrase {
    /// The forms of each word.
    pub words: Vec<Vec<Alternative>>,
    /// First byte of its text in the query, behind the quote.
    pub start: usize,
    /// Byte after its text.
    pub end: usize,
}

/// Whether `text`, which is in `lang`, holds the phrase. A phrase without words is in every text.
#[must_use]
pub fn phrase_in(phrase: &Phrase, text: &str, lang: Lang) -> bool {
    let Some(first) = phrase.words.first() else { return true };
    let terms = analyse(text, lang);
    let places = |word: &[Alternative]| -> HashSet<u32> {
        terms.iter().filter(|t| word.iter().any(|a| a.text == t.text)).map(|t| t.position).collect()
    };
    let mut starts = places(first);
    for (word, offset) in phrase.words[1..].iter().zip(1..) {
        if starts.is_empty() {
            return false;
        }
        let here = places(word);
        starts.retain(|start| here.contains(&(start + offset)));
    }
    !starts.is_empty()
}
