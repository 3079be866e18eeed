//! Character folding: what two spellings of a word have in common before any language is known.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::{decompose_canonical, is_combining_mark};

/// Prefix of an index term that was reached by dropping diacritics. No token can contain it, so a folded form never
/// meets a word that was really written that way, and the query decides what such a match is worth.
pub const FOLDED: char = '~';

/// Characters that a reader does not see and that split words for no reason: soft hyphen, zero-width characters, the
/// byte order mark.
#[must_use]
pub fn is_ignorable(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}')
}

/// Whether `c` can be part of a word. Vulgar fractions are numbers to Unicode, but "6½" is not the word "61⁄2".
#[must_use]
pub fn is_word(c: char) -> bool {
    (c.is_alphanumeric() && !matches!(c, '\u{bc}'..='\u{be}' | '\u{2150}'..='\u{215f}')) || is_combining_mark(c)
}

/// Compatibility-folds and lower-cases one token: NFKC, lower case, `ё` to `е`, stress marks and ignorable characters
/// dropped. Letters with their own place in an alphabet (`ł`, `ó`, `й`) stay.
#[must_use]
pub fn normalise(token: &str) -> String {
    if token.is_ascii() {
        return token.to_ascii_lowercase();
    }
    token
        .chars()
        .filter(|c| !is_ignorable(*c))
        .nfkc()
        .flat_map(char::to_lowercase)
        .filter(|c| is_word(*c) && !is_combining_mark(*c))
        .map(|c| if c == 'ё' { 'е' } else { c })
        .collect()
}

/// Drops Latin diacritics: `żółw` becomes `zolw`, `straße` becomes `strasse`. Other scripts stay as they are, because
/// `й` without its breve is another letter. Returns `None` when nothing changes.
#[must_use]
pub fn without_diacritics(word: &str) -> Option<String> {
    if word.is_ascii() {
        return None;
    }
    let mut folded = String::with_capacity(word.len());
    for c in word.chars() {
        match c {
            'ł' => folded.push('l'),
            'ø' => folded.push('o'),
            'đ' | 'ð' => folded.push('d'),
            'ı' => folded.push('i'),
            'ß' => folded.push_str("ss"),
            'æ' => folded.push_str("ae"),
            'œ' => folded.push_str("oe"),
            'þ' => folded.push_str("th"),
            _ => {
                let mut base = None;
                decompose_canonical(c, |part| base = base.or(Some(part)));
                folded.push(base.filter(char::is_ascii).unwrap_or(c));
            }
        }
    }
    (folded != word).then_some(folded)
}

/// Scripts written without spaces: a run of them is a sentence, not a word.
#[must_use]
pub fn is_unsegmented(word: &str) -> bool {
    word.chars().any(|c| matches!(c, '\u{e00}'..='\u{eff}' | '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}'))
}
