//! Cutting extracted text into chunks for search.
//!
//! A chunk is a contiguous piece of the text, cut where a reader would pause: never across a heading, else at a paragraph, a line (list item, table
//! row), a sentence, a word, and only inside a word when the word is longer than a chunk. Sections are not merged, however short: an entry of a FAQ or
//! glossary is one answer, and its own chunk gives it its own citation. The one exception is a heading without text of its own, which starts the chunk
//! of the section below it.

use super::extract::Heading;
use super::sentences::{is_table_row, list_marker, sentences};

/// Smallest chunk size that [`chunk`] works with, in characters; smaller values are raised to it.
pub const MIN_CHUNK_SIZE: usize = 40;

/// A piece of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// Position in the document, from 0.
    pub ordinal: usize,
    /// First character in the document's text.
    pub start: usize,
    /// One past the last character.
    pub end: usize,
    /// Titles of the enclosing sections, outermost first: `Guide > Network > VPN`; empty before the first heading.
    pub heading: String,
    /// The characters `start..end` of the document's text, without surrounding white space.
    pub text: String,
}

/// Cuts a text into chunks of at most `size` characters that overlap by at most `overlap` characters.
///
/// The overlap starts at a sentence, a line or else a word, and never reaches over a heading; it is limited to a third of `size`. Every character that is
/// not white space is in at least one chunk, and chunk ends strictly increase. Time is linear in the text. Headings must be those of the text, in
/// reading order. No chunk reaches over the beginning of a page (`pages`, in characters) at which no sentence is under way, so that it is told with
/// the right page.
pub fn chunk(text: &str, headings: &[Heading], pages: &[usize], size: usize, overlap: usize) -> Vec<Chunk> {
    let size = size.max(MIN_CHUNK_SIZE);
    let overlap = overlap.min(size / 3);
    let mut cutter = Cutter { chunks: Vec::new(), size, overlap };
    let mut cursor = Cursor { text, byte: 0, char: 0 };
    for section in paged(sections(headings), &pauses(text, pages)) {
        let start_byte = cursor.advance_to(section.start);
        let start = cursor.char;
        let end_byte = match section.end {
            Some(end) => cursor.advance_to(end),
            None => text.len(),
        };
        cutter.section(text.get(start_byte..end_byte).unwrap_or_default(), start, &section.path);
    }
    cutter.chunks
}

/// Walks the text once, translating character offsets to bytes.
struct Cursor<'a> {
    text: &'a str,
    byte: usize,
    char: usize,
}

impl Cursor<'_> {
    fn advance_to(&mut self, target: usize) -> usize {
        let rest = self.text.get(self.byte..).unwrap_or_default();
        let wanted = target.saturating_sub(self.char);
        let mut seen = 0usize;
        let mut bytes = rest.len();
        for (at, _) in rest.char_indices() {
            if seen == wanted {
                bytes = at;
                break;
            }
            seen += 1;
        }
        self.char += seen;
        self.byte += bytes;
        self.byte
    }
}

/// A piece of text under one heading, up to the next heading of any rank.
struct Section {
    start: usize,
    end: Option<usize>,
    path: String,
}

fn sections(headings: &[Heading]) -> Vec<Section> {
    let mut found = Vec::with_capacity(headings.len() + 1);
    let mut start = 0usize;
    let mut path: Vec<(u8, &str)> = Vec::new();
    let mut label = String::new();
    // Where the titles of headings without text begin; they join the section below.
    let mut pending: Option<usize> = None;
    for (at, heading) in headings.iter().enumerate() {
        if heading.start < start {
            continue;
        }
        if heading.start > start {
            found.push(Section { start, end: Some(heading.start), path: label.clone() });
        }
        start = pending.take().unwrap_or(heading.start);
        while path.last().is_some_and(|(level, _)| *level >= heading.level) {
            path.pop();
        }
        path.push((heading.level, &heading.title));
        label = path.iter().map(|(_, title)| *title).collect::<Vec<_>>().join(" > ");
        // Two characters are the line ends between a title and the next heading.
        if let Some(next) = headings.get(at + 1)
            && next.level > heading.level
            && next.start <= heading.start + heading.title.chars().count() + 2
        {
            pending = Some(start);
            // The empty section itself is not emitted: the next turn starts where this one did.
            start = next.start;
        }
    }
    found.push(Section { start, end: None, path: label });
    found
}

/// The beginnings of pages before which a sentence has ended.
fn pauses(text: &str, pages: &[usize]) -> Vec<usize> {
    let mut pages = pages.iter().copied().peekable();
    let (mut found, mut before) = (Vec::new(), None);
    for (at, character) in text.chars().enumerate() {
        while pages.next_if(|page| *page <= at).is_some() {
            if before.is_some_and(|c: char| !c.is_alphanumeric() && !matches!(c, ',' | '-' | '–' | '—' | '(')) {
                found.push(at);
            }
        }
        if !character.is_whitespace() {
            before = Some(character);
        }
    }
    found
}

/// Sections, cut at pauses as well.
fn paged(sections: Vec<Section>, pauses: &[usize]) -> Vec<Section> {
    let mut out = Vec::with_capacity(sections.len() + pauses.len());
    for section in sections {
        let from = pauses.partition_point(|at| *at <= section.start);
        let to = section.end.map_or(pauses.len(), |end| pauses.partition_point(|at| *at < end));
        let mut start = section.start;
        for &at in pauses.get(from..to).unwrap_or_default() {
            out.push(Section { start, end: Some(at), path: section.path.clone() });
            start = at;
        }
        out.push(Section { start, end: section.end, path: section.path });
    }
    out
}

/// A place where a section may be cut, as an offset into its characters.
#[derive(Debug, Clone, Copy)]
struct Break {
    at: usize,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// A word inside a list item or a table row.
    InnerWord,
    Word,
    /// A sentence inside a list item: poorer than one in prose.
    InnerSentence,
    /// After a line that leads in to what follows (it ends with a colon, or is a table's header).
    LeadIn,
    Sentence,
    Line,
    Paragraph,
}

struct Cutter {
    chunks: Vec<Chunk>,
    size: usize,
    overlap: usize,
}

impl Cutter {
    fn section(&mut self, text: &str, offset: usize, path: &str) {
        let chars: Vec<char> = text.chars().collect();
        let skip = |mut at: usize| {
            while chars.get(at).is_some_and(|c| c.is_whitespace()) {
                at += 1;
            }
            at
        };
        let mut last = chars.len();
        while last > 0 && chars.get(last - 1).is_some_and(|c| c.is_whitespace()) {
            last -= 1;
        }
        let mut start = skip(0);
        if start >= last {
            return;
        }
        let breaks = find_breaks(text, &chars);
        // Index of the first break after the end of the previous chunk, and after the start of the overlap: both only move forward.
        let mut from = 0usize;
        let mut end = start;
        loop {
            let rest = last - start;
            // What is left for two chunks is shared between them, so that no tail of a few words remains.
            let limit = if rest < self.size * 3 / 2 { start + (rest * 5 / 8).min(self.size) } else { start + self.size };
            let cut = if rest <= self.size {
                last
            } else {
                while breaks.get(from).is_some_and(|b| b.at <= end) {
                    from += 1;
                }
                self.best(breaks.get(from..).unwrap_or_default(), start, end, limit).unwrap_or(limit)
            };
            let mut trimmed = cut;
            while trimmed > start && chars.get(trimmed - 1).is_some_and(|c| c.is_whitespace()) {
                trimmed -= 1;
            }
            self.push(&chars, start, trimmed, offset, path);
            end = skip(cut);
            if end >= last {
                return;
            }
            start = self.overlap_start(&breaks, from, start, cut, end);
        }
    }

    /// The best break in (`end`, `limit`]: the strongest kind that leaves the chunk reasonably full, the last one of that kind.
    fn best(&self, breaks: &[Break], start: usize, end: usize, limit: usize) -> Option<usize> {
        let mut choice: Option<(usize, usize)> = None;
        for candidate in breaks.iter().take_while(|b| b.at <= limit) {
            if candidate.at <= end {
                continue;
            }
            let filled = (candidate.at - start) * 100 / self.size;
            // A full chunk cut between sentences beats a half-empty one cut between paragraphs; an item or a row is cut only when no other place is left.
            let worth = match candidate.kind {
                Kind::Paragraph => 130 + filled,
                Kind::Line => 115 + filled,
                Kind::Sentence => 100 + filled,
                Kind::InnerSentence => 60,
                Kind::LeadIn => 40 + filled,
                Kind::Word => 30 + filled,
                Kind::InnerWord => 10,
            };
            if choice.is_none_or(|(best, _)| worth >= best) {
                choice = Some((worth, candidate.at));
            }
        }
        choice.map(|(_, at)| at)
    }

    /// Where the next chunk starts: at the earliest good break within the overlap, else right after the cut.
    fn overlap_start(&self, breaks: &[Break], near: usize, start: usize, cut: usize, end: usize) -> usize {
        if end - cut > self.overlap {
            return end;
        }
        let earliest = cut.saturating_sub(self.overlap).max(start + 1);
        // All breaks of interest lie in the chunk just made, so walking back from the cut is bounded by the chunk size.
        let mut at = near;
        while breaks.get(at).is_some_and(|b| b.at < cut) {
            at += 1;
        }
        let mut sentence = None;
        let mut word = None;
        for candidate in breaks.get(..at).unwrap_or_default().iter().rev() {
            if candidate.at < earliest {
                break;
            }
            match candidate.kind {
                Kind::Word => word = Some(candidate.at),
                Kind::InnerWord | Kind::InnerSentence | Kind::LeadIn => {}
                _ => sentence = Some(candidate.at),
            }
        }
        let cut_kind = breaks.get(at).filter(|b| b.at == cut).map(|b| b.kind);
        match (sentence, cut_kind) {
            (Some(at), _) => at,
            // After a whole paragraph, item or row, half a sentence of it would only be noise.
            (None, Some(Kind::Paragraph | Kind::Line | Kind::LeadIn)) => end,
            (None, _) => word.unwrap_or(end),
        }
    }

    fn push(&mut self, chars: &[char], start: usize, end: usize, offset: usize, path: &str) {
        self.chunks.push(Chunk {
            ordinal: self.chunks.len(),
            start: offset + start,
            end: offset + end,
            heading: path.to_owned(),
            text: chars.get(start..end).unwrap_or_default().iter().collect(),
        });
    }
}

/// All breaks of a section in order; a break is the first character after the pause.
fn find_breaks(text: &str, chars: &[char]) -> Vec<Break> {
    // Sentence starts as character offsets: both lists are in order, so one walk is enough.
    let mut starts = sentences(text).into_iter().map(|r| r.start).peekable();
    let mut breaks = Vec::new();
    let mut at = 0usize;
    let mut byte = 0usize;
    let mut line_item = false;
    let mut previous_line = String::new();
    let mut empty_lines = 0usize;
    let mut previous_row = false;
    for line in text.split_inclusive('\n') {
        let content = line.trim();
        let row = is_table_row(content);
        let item = list_marker(line).is_some();
        let line_chars = line.chars().count();
        if content.is_empty() {
            empty_lines += 1;
        } else {
            let lead = line.chars().take_while(|c| c.is_whitespace()).count();
            if at + lead > 0 && !previous_line.is_empty() {
                let header = row && previous_row_is_header(&previous_line, previous_row);
                let kind = if previous_line.ends_with(':') || header {
                    Kind::LeadIn
                } else if empty_lines > 0 {
                    Kind::Paragraph
                } else {
                    Kind::Line
                };
                breaks.push(Break { at: at + lead, kind });
            }
            line_item = item || row || (line_item && lead > 0);
            inner_breaks(line, at, byte, lead, line_item, &mut starts, &mut breaks);
            previous_row = row && is_table_row(&previous_line) && empty_lines == 0;
            previous_line.clear();
            previous_line.push_str(content);
            empty_lines = 0;
        }
        at += line_chars;
        byte += line.len();
    }
    debug_assert!(breaks.iter().all(|b| b.at <= chars.len()));
    breaks
}

/// The row before is a header when it is the first row of its table.
fn previous_row_is_header(previous_line: &str, previous_row: bool) -> bool {
    is_table_row(previous_line) && !previous_row
}

/// Sentence and word breaks inside one line.
fn inner_breaks(
    line: &str,
    at: usize,
    byte: usize,
    lead: usize,
    inside_item: bool,
    starts: &mut std::iter::Peekable<impl Iterator<Item = usize>>,
    breaks: &mut Vec<Break>,
) {
    let mut space_before = true;
    for (index, (offset, c)) in line.char_indices().enumerate() {
        while starts.peek().is_some_and(|s| *s < byte + offset) {
            starts.next();
        }
        let sentence = starts.peek() == Some(&(byte + offset));
        if index > lead && !c.is_whitespace() {
            if sentence {
                breaks.push(Break { at: at + index, kind: if inside_item { Kind::InnerSentence } else { Kind::Sentence } });
            } else if space_before {
                breaks.push(Break { at: at + index, kind: if inside_item { Kind::InnerWord } else { Kind::Word } });
            }
        }
        space_before = c.is_whitespace();
    }
}

#[cfg(test)]
mod tests;
