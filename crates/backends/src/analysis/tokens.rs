//! Splits text into words and compounds, with the bytes they came from.
//!
//! A compound is a run of words held together by single joiners: `E-4012`, `foo.bar_baz`, `src/main.rs`, `10:30`,
//! `a@b.org`, `high-speed`. The analyser keeps it whole and takes it apart as well.

use super::MAX_TERM_CHARS;
use super::fold::{is_ignorable, is_unsegmented, is_word};

/// One word of a compound: the raw text and its bytes in the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part<'a> {
    /// The word as written.
    pub raw: &'a str,
    /// First byte in the source text.
    pub start: usize,
    /// Byte after the last one.
    pub end: usize,
}

/// A word, or words held together by joiners. `joiners[i]` stands between `parts[i]` and `parts[i + 1]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compound<'a> {
    /// At least one word.
    pub parts: Vec<Part<'a>>,
    /// One fewer than `parts`.
    pub joiners: Vec<char>,
    /// `++` or `#` behind a short name, as in C++ and C#.
    pub suffix: &'static str,
}

/// Words that one compound holds at most; a longer chain is cut into several.
const MAX_PARTS: usize = 16;
/// Characters of a run without spaces that are taken at a time.
const MAX_RUN: usize = 32;

/// Splits `text` into compounds, in reading order.
#[must_use]
pub fn compounds(text: &str) -> Vec<Compound<'_>> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(skip) = text[at..].find(is_word) {
        let (compound, next) = compound_at(text, at + skip);
        found.push(compound);
        at = next;
    }
    found
}

fn compound_at(text: &str, start: usize) -> (Compound<'_>, usize) {
    let mut parts = Vec::with_capacity(1);
    let mut joiners = Vec::new();
    let mut at = start;
    loop {
        let mut part = word_at(text, at);
        at = part.end;
        // "user's", "Peugeot'em": the ending behind an apostrophe is inflection, not a word.
        if let Some(end) = inflection_end(text, &part) {
            part.end = end;
            at = end;
        }
        parts.push(part);
        if parts.len() == MAX_PARTS {
            break;
        }
        match joiner_at(text, at, &part).or_else(|| thousands_at(text, at, &parts, &joiners)) {
            Some((joiner, next)) => {
                joiners.push(joiner);
                at = next;
            }
            None => break,
        }
    }
    let mut suffix = "";
    if parts.len() == 1 && parts[0].raw.chars().count() <= 2 && parts[0].raw.chars().all(char::is_alphabetic) {
        for candidate in ["++", "#"] {
            if text[at..].starts_with(candidate) && !text[at + candidate.len()..].starts_with(is_word) {
                suffix = candidate;
                at += candidate.len();
                break;
            }
        }
    }
    (Compound { parts, joiners, suffix }, at)
}

fn word_at(text: &str, start: usize) -> Part<'_> {
    let len = text[start..].find(|c| !is_word(c) && !is_ignorable(c)).unwrap_or(text.len() - start);
    let mut word = &text[start..start + len];
    if is_unsegmented(word)
        && let Some((end, _)) = word.char_indices().nth(MAX_RUN)
    {
        word = &word[..end];
    }
    let raw = word.trim_end_matches(is_ignorable);
    Part { raw, start, end: start + raw.len() }
}

fn is_apostrophe(c: char) -> bool {
    matches!(c, '\'' | '\u{2019}' | '\u{2bc}')
}

/// Where the inflection behind an apostrophe ends: at most three letters behind a word of at least two.
fn inflection_end(text: &str, part: &Part<'_>) -> Option<usize> {
    let apostrophe = text[part.end..].chars().next().filter(|c| is_apostrophe(*c))?;
    let from = part.end + apostrophe.len_utf8();
    let ending = text[from..].find(|c| !is_word(c)).map_or(&text[from..], |len| &text[from..from + len]);
    let letters = ending.chars().count();
    let fits = (1..=3).contains(&letters) && ending.chars().all(char::is_alphabetic) && part.raw.chars().count() >= 2;
    fits.then_some(from + ending.len())
}

/// The joiner at byte `at` (folded to one character) and the byte where the next word starts.
fn joiner_at(text: &str, at: usize, before: &Part<'_>) -> Option<(char, usize)> {
    let mut rest = text[at..].chars();
    let c = rest.next()?;
    let folded = match c {
        '-' | '\u{2010}' | '\u{2011}' => '-',
        '_' | '.' | ',' | '/' | ':' | '@' | '&' => c,
        '\\' => '/',
        c if is_apostrophe(c) => '\'',
        // A no-break space between digits groups thousands.
        '\u{a0}' | '\u{202f}' | '\u{2009}' => ' ',
        _ => return None,
    };
    let mut next = at + c.len_utf8();
    if matches!(folded, '_' | ':') && text[next..].starts_with(c) {
        next += c.len_utf8();
    }
    let after = text[next..].chars().next().filter(|c| is_word(*c))?;
    let digit_before = before.raw.ends_with(|c: char| c.is_ascii_digit());
    let fits = match folded {
        ',' => digit_before && after.is_ascii_digit(),
        ' ' => digit_before && before.raw.len() <= 3 && leading_digits(&text[next..]) == 3,
        '&' | '\'' => !digit_before && after.is_alphabetic(),
        _ => true,
    };
    fits.then_some((folded, next))
}

/// A plain space between the groups of a number: "12 500". Every group has three digits but the first, and a number
/// does not begin with zero.
fn thousands_at(text: &str, at: usize, parts: &[Part<'_>], joiners: &[char]) -> Option<(char, usize)> {
    let rest = text[at..].strip_prefix(' ')?;
    let first = parts.first()?.raw;
    let number = first.len() <= 3 && first.bytes().all(|b| b.is_ascii_digit()) && !first.starts_with('0');
    (number && joiners.iter().all(|j| *j == ' ') && leading_digits(rest) == 3).then_some((' ', at + 1))
}

fn leading_digits(text: &str) -> usize {
    text.find(|c: char| !c.is_ascii_digit()).map_or(text.len(), |len| if text[len..].starts_with(is_word) { 0 } else { len })
}

/// Splits a word at case and digit changes: `getUserName`, `HTTPServer`, `E4012`. Pieces of one character are left
/// out, since they match everything. Returns nothing for a word of one piece.
#[must_use]
pub fn pieces(word: &str) -> Vec<&str> {
    let plain = word.bytes().all(|b| b.is_ascii_lowercase());
    if plain || word.len() > MAX_TERM_CHARS {
        return Vec::new();
    }
    let chars: Vec<(usize, char)> = word.char_indices().collect();
    let mut cuts = vec![0];
    for i in 1..chars.len() {
        let (before, here) = (chars[i - 1].1, chars[i].1);
        let after = chars.get(i + 1).map(|(_, c)| *c);
        let camel = before.is_lowercase() && here.is_uppercase();
        let acronym = before.is_uppercase() && here.is_uppercase() && after.is_some_and(char::is_lowercase);
        let digits = before.is_ascii_digit() != here.is_ascii_digit();
        if camel || acronym || digits {
            cuts.push(chars[i].0);
        }
    }
    if cuts.len() == 1 {
        return Vec::new();
    }
    cuts.push(word.len());
    cuts.windows(2).map(|cut| &word[cut[0]..cut[1]]).filter(|piece| piece.chars().nth(1).is_some()).collect()
}
