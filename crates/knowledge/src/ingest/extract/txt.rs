//! Plain text: characters cleaned, words hyphenated at a line end joined, wrapped lines joined, underlined headings found.

use super::text::{Gap, TextBuilder, clean};
use super::{ExtractError, Extracted};

/// Shortest longest-line of a paragraph that counts as wrapped by an editor rather than broken by the author.
const MIN_WRAP_COLUMN: usize = 45;

/// Longest line that can be a heading, in characters.
const MAX_TITLE: usize = 90;

pub(super) fn read(text: &str) -> Result<Extracted, ExtractError> {
    let clean = clean(text, true);
    let mut paragraphs: Vec<Vec<&str>> = vec![Vec::new()];
    for line in clean.lines() {
        match paragraphs.last_mut() {
            Some(last) if !line.trim().is_empty() => last.push(line),
            Some(last) if !last.is_empty() => paragraphs.push(Vec::new()),
            _ => {}
        }
    }
    paragraphs.retain(|p| !p.is_empty());
    let mut out = TextBuilder::new();
    for (at, lines) in paragraphs.iter().enumerate() {
        let next = paragraphs.get(at + 1).map(Vec::as_slice);
        let (heading, used) = heading_of(lines, next, at == 0);
        if let (Some(level), Some(title)) = (heading, lines.first()) {
            out.heading(level, title)?;
        }
        let rest = lines.get(used..).unwrap_or_default();
        if !rest.is_empty() {
            out.block(Gap::Paragraph, &unwrap_lines(rest))?;
        }
    }
    Ok(out.finish("text/plain"))
}

/// The rank of the heading a paragraph starts with, and how many of its lines it takes. Plain text has no marks for headings, so these are habits of
/// people who write it: a line underlined with `=` or `-`; capitals or a short first line as the title; `3. Scope`, `§ 3. Scope` or capitals above text;
/// a short line above indented text, as in glossaries and lists of codes.
fn heading_of(lines: &[&str], next: Option<&[&str]>, first: bool) -> (Option<u8>, usize) {
    let Some(title) = lines.first().filter(|l| l.chars().count() <= MAX_TITLE && !l.starts_with(' ') && !tabular(l)) else {
        return (None, 0);
    };
    if let Some(level) = lines.get(1).and_then(|rule| underline(rule)) {
        return (Some(level), 2);
    }
    let open_end = !title.trim_end().ends_with(['.', ',', ';', ':', '!', '?']);
    let capitals = title.chars().filter(|c| c.is_alphabetic()).count() > 3 && !title.chars().any(char::is_lowercase);
    if first && open_end && (capitals || lines.len() == 1 && next.is_some()) && !starts_item(title) {
        return (Some(1), 1);
    }
    let body_follows = lines.len() > 1 || next.is_some_and(|n| n.first().is_none_or(|l| numbering(l).is_none()));
    if !open_end || !body_follows {
        return (None, 0);
    }
    match numbering(title) {
        // `1. Purpose` must stand alone, else it is an item of a list; `§ 1. Purpose` is a heading even on top of its text.
        Some((depth, section_sign)) if section_sign || lines.len() == 1 => return (Some(2 + depth.min(3)), 1),
        _ => {}
    }
    if capitals && !starts_item(title) {
        return (Some(2), 1);
    }
    let indented = lines.len() > 1 && lines.iter().skip(1).all(|l| l.starts_with("  "));
    if indented && !starts_item(title) && title.chars().count() <= 60 {
        return (Some(3), 1);
    }
    (None, 0)
}

/// `2.` → depth 0, `2.1` → 1, `§ 2.` with the section sign.
fn numbering(line: &str) -> Option<(u8, bool)> {
    let sign = line.starts_with('§');
    let body = line.trim_start_matches(['§', ' ']);
    let number: String = body.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
    let rest = body.get(number.len()..)?;
    let dots = number.trim_end_matches('.').matches('.').count();
    let starts_with_number = number.starts_with(|c: char| c.is_ascii_digit()) && number.len() <= 8;
    (starts_with_number && (sign || number.contains('.')) && rest.starts_with(' ') && rest.trim_start().starts_with(char::is_alphabetic))
        .then_some((u8::try_from(dots).unwrap_or(3), sign))
}

fn underline(line: &str) -> Option<u8> {
    let line = line.trim();
    if line.len() < 3 {
        return None;
    }
    if line.bytes().all(|b| b == b'=') {
        Some(1)
    } else if line.bytes().all(|b| b == b'-') {
        Some(2)
    } else {
        None
    }
}

/// Joins lines that were wrapped: a line end is a wrap when the first word of the next line would not have fitted into the longest line of the
/// paragraph, and when neither line is a list item, a table row or code by its look.
fn unwrap_lines(lines: &[&str]) -> String {
    let column = lines.iter().map(|l| l.chars().count()).max().unwrap_or(0);
    let mut joined = String::new();
    let mut before: Option<&str> = None;
    for line in lines {
        let Some(previous) = before.replace(line) else {
            joined.push_str(line);
            continue;
        };
        if dehyphenate(&mut joined, line) {
            continue;
        }
        let first_word = line.split_whitespace().next().map_or(0, |w| w.chars().count());
        let wrapped = column >= MIN_WRAP_COLUMN
            && previous.chars().count() + 1 + first_word > column
            && !starts_item(line)
            && !tabular(line)
            && !tabular(previous)
            && (!line.starts_with("    ") || previous.starts_with(' '));
        if wrapped {
            joined.push(' ');
            joined.push_str(line.trim_start());
        } else {
            joined.push('\n');
            joined.push_str(line);
        }
    }
    joined
}

/// `informa-` + `tion` → `information`; only between lower-case letters, so that `A-` and numbers stay.
fn dehyphenate(joined: &mut String, line: &str) -> bool {
    let mut tail = joined.chars().rev();
    let hyphen = matches!(tail.next(), Some('-' | '\u{2010}'));
    let letters = tail.take_while(|c| c.is_alphabetic()).take(2).filter(|c| c.is_lowercase()).count();
    let start = line.trim_start();
    let lower = start.chars().take(2).filter(|c| c.is_lowercase()).count();
    if !hyphen || letters < 2 || lower < 2 {
        return false;
    }
    joined.pop();
    joined.push_str(start);
    true
}

fn starts_item(line: &str) -> bool {
    crate::ingest::sentences::list_marker(line).is_some()
}

fn tabular(line: &str) -> bool {
    line.contains(" | ") || line.contains("    ") && line.trim().contains("    ")
}
