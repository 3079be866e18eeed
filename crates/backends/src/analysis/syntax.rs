//! What people type to say more than words: `"exact phrase"`, `+required`, `-excluded`, `prefix*`.
//!
//! Most queries are not typed by somebody who knows this, so a sign is an operator only where it can hardly be anything
//! else, and literal text everywhere else. A question or a sentence has no operators at all; "C++", "-5 °C", `tar -xzf`,
//! "a - b" and an unbalanced quote mean themselves.

use super::fold::is_word;

/// What a part of a query asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Plain text.
    Words,
    /// Words next to each other, in this order.
    Phrase,
    /// A word that has to be there.
    Required,
    /// A word or phrase that must not be there.
    Excluded,
    /// The beginning of a word.
    Prefix,
}

/// A part of a query: its role and the bytes of its text, operators left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// What it asks for.
    pub role: Role,
    /// First byte of its text.
    pub start: usize,
    /// Byte after its text.
    pub end: usize,
}

/// Words of a query from which on it is prose.
const PROSE_WORDS: usize = 32;
/// Letters that an excluded word has at least. Shorter ones are options of a command (`-v`, `-rf`).
const EXCLUDED_LETTERS: usize = 3;
/// Letters that a required word has at least.
const REQUIRED_LETTERS: usize = 2;
/// Letters that a prefix has at least. Fewer match half of a dictionary.
const PREFIX_LETTERS: usize = 3;

/// Splits a query into its parts, in order. Everything between operators is [`Role::Words`].
#[must_use]
pub fn segments(text: &str) -> Vec<Segment> {
    let mut found = Vec::new();
    if !is_prose(text) {
        let mut at = 0;
        let mut fresh = true;
        while let Some(c) = text[at..].chars().next() {
            if fresh && let Some((segment, next)) = operator_at(text, at) {
                found.push(segment);
                at = next;
                fresh = false;
                continue;
            }
            fresh = c.is_whitespace() || c == '(';
            at += c.len_utf8();
        }
    }
    keep_outer_exclusions(text, &mut found);
    fill(text, &found)
}

/// Whether a text is a sentence, a question or something pasted, where signs mean what they mean in prose.
fn is_prose(text: &str) -> bool {
    let text = text.trim();
    if text.ends_with(['?', '!', '.', '…', '。', '؟', '？', '！']) || text.contains(['\n', '\r']) {
        return true;
    }
    let mut words = 0;
    let mut ended = false;
    for word in text.split_whitespace() {
        words += 1;
        if words > PROSE_WORDS || (ended && word.starts_with(char::is_uppercase)) {
            return true;
        }
        ended = word.ends_with(['.', '?', '!']) && word.chars().filter(|c| c.is_alphabetic()).nth(2).is_some();
    }
    false
}

/// The operator that starts at byte `at`, which is the start of a word, and the byte behind it.
fn operator_at(text: &str, at: usize) -> Option<(Segment, usize)> {
    let rest = &text[at..];
    if let Some((start, end, next)) = quoted(text, at) {
        return Some((Segment { role: Role::Phrase, start, end }, next));
    }
    let (role, least) = match rest.chars().next()? {
        '-' => (Role::Excluded, EXCLUDED_LETTERS),
        '+' => (Role::Required, REQUIRED_LETTERS),
        _ => {
            let token = token_at(rest);
            let word = token.strip_suffix('*')?;
            let fits = word.chars().all(is_word) && word.chars().filter(|c| c.is_alphabetic()).count() >= PREFIX_LETTERS;
            return fits.then_some((Segment { role: Role::Prefix, start: at, end: at + word.len() }, at + token.len()));
        }
    };
    let from = at + 1;
    if let Some((start, end, next)) = quoted(text, from) {
        let role = if role == Role::Required { Role::Phrase } else { role };
        return Some((Segment { role, start, end }, next));
    }
    let word = token_at(&text[from..]);
    let joined = |c: char| is_word(c) || matches!(c, '-' | '_' | '.' | '/' | ':' | '@' | '\'' | '\u{2019}');
    let fits = word.starts_with(char::is_alphabetic)
        && word.ends_with(is_word)
        && word.chars().all(joined)
        && word.chars().filter(|c| is_word(*c)).count() >= least;
    fits.then_some((Segment { role, start: from, end: from + word.len() }, from + word.len()))
}

/// Text up to the next white space.
fn token_at(text: &str) -> &str {
    text.split(char::is_whitespace).next().unwrap_or_default()
}

/// The text between a quote at byte `at` and the one that closes it, and the byte behind that. A quote closes at the
/// end of a word, and something must be quoted.
fn quoted(text: &str, at: usize) -> Option<(usize, usize, usize)> {
    let closing: &[char] = match text[at..].chars().next()? {
        '"' => &['"'],
        '„' => &['”', '“', '"'],
        '“' => &['”'],
        '«' => &['»'],
        _ => return None,
    };
    let start = at + text[at..].chars().next().map_or(0, char::len_utf8);
    let end = start + text[start..].find(closing)?;
    let next = end + text[end..].chars().next().map_or(0, char::len_utf8);
    let closes = text[next..].chars().next().is_none_or(|c| c.is_whitespace() || matches!(c, ',' | ';' | ':' | ')'));
    (closes && text[start..end].contains(is_word)).then_some((start, end, next))
}

/// Exclusions stand before or behind everything else that is asked for; between other words a minus is a dash. A query
/// of nothing but exclusions asks for nothing, so they are words.
fn keep_outer_exclusions(text: &str, found: &mut Vec<Segment>) {
    let asked: Vec<Segment> =
        fill(text, found).into_iter().filter(|s| s.role != Role::Excluded && text[s.start..s.end].contains(is_word)).collect();
    let (Some(first), Some(last)) = (asked.first(), asked.last()) else {
        found.retain(|s| s.role != Role::Excluded);
        return;
    };
    found.retain(|s| s.role != Role::Excluded || s.end <= first.start || s.start >= last.end);
}

/// Adds the plain text between operators.
fn fill(text: &str, found: &[Segment]) -> Vec<Segment> {
    let mut all = Vec::with_capacity(2 * found.len() + 1);
    let mut from = 0;
    for segment in found {
        all.push(Segment { role: Role::Words, start: from, end: segment.start });
        all.push(*segment);
        from = segment.end;
    }
    all.push(Segment { role: Role::Words, start: from, end: text.len() });
    all.retain(|s| s.start < s.end);
    all
}
