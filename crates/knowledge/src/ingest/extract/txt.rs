//! Plain text: characters cleaned, words hyphenated at a line end joined, wrapped lines joined, underlined headings found.

use super::text::{Gap, TextBuilder, clean};
use super::{ExtractError, Extracted};

/// Shortest longest-line of a paragraph that counts as wrapped by an editor rather than broken by the author.
const MIN_WRAP_COLUMN: usize = 45;

pub(super) fn read(text: &str) -> Result<Extracted, ExtractError> {
    let clean = clean(text, true);
    let mut out = TextBuilder::new();
    let mut paragraph: Vec<&str> = Vec::new();
    for line in clean.lines().chain(std::iter::once("")) {
        if line.trim().is_empty() {
            write_paragraph(&paragraph, &mut out)?;
            paragraph.clear();
        } else {
            paragraph.push(line);
        }
    }
    Ok(out.finish("text/plain"))
}

fn write_paragraph(lines: &[&str], out: &mut TextBuilder) -> Result<(), ExtractError> {
    let mut rest = lines;
    // Underlined headings: a short line over a rule of `=` or `-`.
    if let [title, rule, ..] = rest
        && let Some(level) = underline(rule)
        && title.chars().count() <= 120
        && !title.contains('|')
    {
        out.heading(level, title)?;
        rest = rest.get(2..).unwrap_or_default();
    }
    if rest.is_empty() {
        return Ok(());
    }
    out.block(Gap::Paragraph, &unwrap_lines(rest))
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
        let first_word = line
            .split_whitespace()
            .next()
            .map_or(0, |w| w.chars().count());
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
    let letters = tail
        .take_while(|c| c.is_alphabetic())
        .take(2)
        .filter(|c| c.is_lowercase())
        .count();
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
