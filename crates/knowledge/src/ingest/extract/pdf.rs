//! PDF documents (ISO 32000): the text of each page, without what stands on top and at the bottom of all of them.

use std::collections::HashMap;

use pdf_extract::{Document, Object, output_doc_page};

use super::pdf_layout::Layout;
use super::text::TextBuilder;
use super::{ExtractError, Extracted, txt};

const WHAT: &str = "PDF document";
/// Pages at most.
const MAX_PAGES: usize = 5_000;
/// Pages from which on lines that repeat are told from text.
const MIN_PAGES: usize = 4;

pub(super) fn read(bytes: &[u8]) -> Result<Extracted, ExtractError> {
    let damaged = |detail: String| ExtractError::Damaged { what: WHAT, detail };
    let mut document = Document::load_mem(bytes).map_err(|e| damaged(e.to_string()))?;
    // Many are locked against printing with a password that is empty, and may be read by anyone.
    if document.is_encrypted() && document.decrypt("").is_err() {
        return Err(ExtractError::Encrypted { what: WHAT });
    }
    spell_widths_out(&mut document);
    let count = document.get_pages().len();
    if count > MAX_PAGES {
        return Err(ExtractError::TooLarge { found: count, limit: MAX_PAGES, unit: "pages" });
    }
    let mut pages = Vec::with_capacity(count);
    let mut unread = 0;
    for number in 1..=u32::try_from(count).unwrap_or(u32::MAX) {
        let mut layout = Layout::default();
        // The library answers some faults of a page with a panic: such a page is left out, and the others are read.
        let read = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| output_doc_page(&document, &mut layout, number)));
        if !matches!(read, Ok(Ok(()))) {
            unread += 1;
        }
        pages.push(layout.text);
    }
    if count > 0 && unread == count {
        return Err(damaged("none of its pages can be read".to_owned()));
    }
    let repeated = repeated_lines(&pages);
    let mut out = TextBuilder::new();
    for page in &pages {
        out.page();
        let mut lines: Vec<&str> = page.lines().collect();
        for place in edges(&lines) {
            if lines.get(place).is_some_and(|line| repeated.contains_key(&shape(line))) {
                lines.get_mut(place).into_iter().for_each(|line| *line = "");
            }
        }
        out.extracted(&txt::read(&joined(&lines))?, 0)?;
    }
    if out.is_empty() {
        return Err(ExtractError::NoText { what: WHAT });
    }
    let mut extracted = out.finish("application/pdf");
    if unread > 0 {
        extracted.warnings.push(format!("{unread} of {count} pages cannot be read"));
    }
    Ok(extracted)
}

/// Joins a line with the one before it when it goes on with a small letter: in narrow columns lines are too short to be told from those of lists by
/// their length.
fn joined(lines: &[&str]) -> String {
    let mut out = String::new();
    for line in lines {
        let goes_on =
            line.trim_start().starts_with(char::is_lowercase) && out.ends_with(|c: char| c.is_alphanumeric() || matches!(c, ',' | ')'));
        if !out.is_empty() {
            out.push(if goes_on { ' ' } else { '\n' });
        }
        out.push_str(line.trim_end());
    }
    out
}

/// Writes the widths of glyphs that fonts give by ranges (`first last width`) as lists (`first [width …]`): ISO 32000-1, 9.7.4.3, knows both, and the
/// library reads the first form wrongly, which tears words apart.
fn spell_widths_out(document: &mut Document) {
    let fonts: Vec<_> = document
        .objects
        .iter()
        .filter_map(|(id, object)| Some((*id, object.as_dict().ok()?.get(b"W").ok()?)))
        .filter_map(|(id, widths)| Some((id, spelled_out(document, widths)?)))
        .collect();
    for (id, widths) in fonts {
        if let Ok(font) = document.get_dictionary_mut(id) {
            font.set("W", widths);
        }
    }
}

fn spelled_out(document: &Document, widths: &Object) -> Option<Object> {
    let resolved = |object: &Object| document.dereference(object).ok().map(|(_, object)| object.clone());
    let Object::Array(widths) = resolved(widths)? else { return None };
    let (mut out, mut rest) = (Vec::new(), widths.as_slice());
    while let [first, second, more @ ..] = rest {
        let (first, second) = (resolved(first)?, resolved(second)?);
        match (second, more) {
            (list @ Object::Array(_), more) => {
                out.extend([first, list]);
                rest = more;
            }
            (last, [width, more @ ..]) => {
                let count = last.as_i64().ok()?.checked_sub(first.as_i64().ok()?)?.checked_add(1)?;
                // Codes have two bytes.
                let count = usize::try_from(count).ok().filter(|count| *count <= 0x1_0000)?;
                out.extend([first, Object::Array(vec![resolved(width)?; count])]);
                rest = more;
            }
            _ => return None,
        }
    }
    Some(Object::Array(out))
}

/// A line without what changes from page to page.
fn shape(line: &str) -> String {
    let words = line.split_whitespace().collect::<Vec<_>>().join(" ");
    words.chars().map(|c| if c.is_ascii_digit() { '#' } else { c }).collect()
}

/// The places of the first two and the last two lines of a page that have text.
fn edges(lines: &[&str]) -> Vec<usize> {
    let used: Vec<usize> = lines.iter().enumerate().filter(|(_, l)| !l.trim().is_empty()).map(|(i, _)| i).collect();
    let mut edges: Vec<usize> = used.iter().take(2).chain(used.iter().rev().take(2)).copied().collect();
    edges.sort_unstable();
    edges.dedup();
    edges
}

/// First and last lines that most pages have.
fn repeated_lines(pages: &[String]) -> HashMap<String, usize> {
    let mut seen: HashMap<String, usize> = HashMap::new();
    if pages.len() < MIN_PAGES {
        return seen;
    }
    for page in pages {
        let lines: Vec<&str> = page.lines().collect();
        let mut shapes: Vec<String> = edges(&lines).into_iter().filter_map(|place| lines.get(place)).map(|l| shape(l)).collect();
        shapes.sort();
        shapes.dedup();
        for shape in shapes {
            *seen.entry(shape).or_default() += 1;
        }
    }
    seen.retain(|_, count| *count * 10 >= pages.len() * 6);
    seen
}
