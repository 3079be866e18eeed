//! Where a text holds the words of a query.

use astrolabe_backends::analysis::{Lang, Query, QueryTerm, analyse};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Ranges of one text at most.
const MOST: usize = 200;

/// A range of characters of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Span {
    /// First character.
    pub start: usize,
    /// One past the last character.
    pub end: usize,
}

/// The ranges of characters at which `text` holds a word of the query in any of its forms, in reading order; ranges that touch are one. At most
/// 200.
pub fn highlights(text: &str, lang: Lang, query: &Query) -> Vec<Span> {
    let mut bytes: Vec<(usize, usize)> = Vec::new();
    for term in analyse(text, lang) {
        if !query.terms.iter().any(|word| holds(word, &term.text)) {
            continue;
        }
        let full = bytes.len() == MOST;
        match bytes.last_mut() {
            Some(last) if term.start <= last.1 => last.1 = last.1.max(term.end),
            _ if full => break,
            _ => bytes.push((term.start, term.end)),
        }
    }
    in_characters(text, &bytes)
}

/// Which of the query's words a text holds: for each one its number in the query and the index term that was found.
pub fn matched(text: &str, lang: Lang, query: &Query) -> Vec<(usize, String)> {
    let terms = analyse(text, lang);
    let held = |word: &QueryTerm| word.alternatives.iter().find(|a| terms.iter().any(|t| t.text == a.text)).map(|a| a.text.clone());
    query.terms.iter().enumerate().filter_map(|(i, word)| held(word).map(|form| (i, form))).collect()
}

fn holds(word: &QueryTerm, term: &str) -> bool {
    word.alternatives.iter().any(|a| a.text == term)
}

/// Ascending ranges of bytes as ranges of characters.
fn in_characters(text: &str, ranges: &[(usize, usize)]) -> Vec<Span> {
    let (mut byte, mut character) = (0, 0);
    let mut to = |target: usize| {
        character += text.get(byte..target).map_or(0, |between| between.chars().count());
        byte = target;
        character
    };
    ranges.iter().map(|(start, end)| Span { start: to(*start), end: to(*end) }).collect()
}
