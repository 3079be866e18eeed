//! The builder of clean text: characters normalised, blocks separated, headings located.

use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

use super::{ExtractError, Extracted, Heading, MAX_TEXT_CHARS};

/// How a block stands to the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gap {
    /// On the next line: list items, table rows.
    Line,
    /// After an empty line: paragraphs, headings, code.
    Paragraph,
}

/// Collects blocks of text into one document. Offsets count characters.
pub(super) struct TextBuilder {
    text: String,
    chars: usize,
    headings: Vec<Heading>,
    pages: Vec<usize>,
    after_item: bool,
}

impl TextBuilder {
    pub(super) fn new() -> Self {
        Self { text: String::new(), chars: 0, headings: Vec::new(), pages: Vec::new(), after_item: false }
    }

    /// True until the first block with content.
    pub(super) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Adds a block; a block without visible characters is ignored.
    pub(super) fn block(&mut self, gap: Gap, raw: &str) -> Result<(), ExtractError> {
        let clean = clean(raw, false);
        self.append(gap, clean.trim_matches('\n').trim_end())
    }

    /// Adds preformatted text: indentation and tabs (as four spaces) are kept.
    pub(super) fn code(&mut self, raw: &str) -> Result<(), ExtractError> {
        let clean = clean(raw, true);
        self.append(Gap::Paragraph, clean.trim_matches('\n').trim_end())
    }

    /// Adds an item of a list, on the line after the item before it.
    pub(super) fn item(&mut self, raw: &str) -> Result<(), ExtractError> {
        let gap = if self.after_item { Gap::Line } else { Gap::Paragraph };
        let item = clean(raw, false);
        let item = item.trim();
        if item.is_empty() {
            return Ok(());
        }
        self.append(gap, &format!("- {item}"))?;
        self.after_item = true;
        Ok(())
    }

    /// Adds a row of a table; empty cells at its end and empty rows are left out.
    pub(super) fn row(&mut self, cells: &[String], first: bool) -> Result<(), ExtractError> {
        let used = cells.iter().rposition(|c| !c.is_empty()).map_or(0, |last| last + 1);
        let row = cells.get(..used).unwrap_or_default().join(" | ");
        self.append(if first { Gap::Paragraph } else { Gap::Line }, &row)
    }

    /// Says that a page begins here.
    pub(super) fn page(&mut self) {
        self.pages.push(self.chars);
    }

    /// Adds what was read elsewhere, with its headings `deeper` ranks lower.
    pub(super) fn extracted(&mut self, other: &Extracted, deeper: u8) -> Result<(), ExtractError> {
        self.append(Gap::Paragraph, &other.text)?;
        let moved = self.chars - other.text.chars().count();
        self.headings.extend(other.headings.iter().map(|h| Heading {
            level: h.level.saturating_add(deeper).clamp(1, 6),
            title: h.title.clone(),
            start: h.start + moved,
            end: 0,
        }));
        Ok(())
    }

    /// Adds a heading on a line of its own.
    pub(super) fn heading(&mut self, level: u8, raw: &str) -> Result<(), ExtractError> {
        let title = one_line(raw);
        if !title.chars().any(char::is_alphanumeric) {
            return self.append(Gap::Paragraph, &title);
        }
        self.append(Gap::Paragraph, &title)?;
        let start = self.chars - title.chars().count();
        self.headings.push(Heading { level: level.clamp(1, 6), title, start, end: 0 });
        Ok(())
    }

    fn append(&mut self, gap: Gap, block: &str) -> Result<(), ExtractError> {
        if block.trim().is_empty() {
            return Ok(());
        }
        self.after_item = false;
        if !self.text.is_empty() {
            let separator = if gap == Gap::Line { "\n" } else { "\n\n" };
            self.text.push_str(separator);
            self.chars += separator.len();
        }
        self.text.push_str(block);
        self.chars += block.chars().count();
        if self.chars > MAX_TEXT_CHARS {
            return Err(ExtractError::TooLarge { found: self.chars, limit: MAX_TEXT_CHARS, unit: "characters" });
        }
        Ok(())
    }

    /// Closes the sections and hands over the result, with the first top-level heading as title.
    pub(super) fn finish(mut self, mime: &'static str) -> Extracted {
        // One pass from the back: `next[l]` is where a section of rank l would end.
        let mut next = [self.chars; 7];
        for heading in self.headings.iter_mut().rev() {
            let level = usize::from(heading.level);
            heading.end = next.get(level).copied().unwrap_or(self.chars);
            for end in next.iter_mut().skip(level) {
                *end = heading.start;
            }
        }
        let title = self.headings.iter().find(|h| h.level == 1).map(|h| h.title.clone());
        Extracted {
            mime,
            title,
            lang: None,
            tags: Vec::new(),
            text: self.text,
            headings: self.headings,
            pages: self.pages,
            encoding: String::new(),
            warnings: Vec::new(),
        }
    }
}

/// Collapses all white space and cleans characters: for titles and table cells.
pub(super) fn one_line(raw: &str) -> String {
    let clean = clean(raw, false);
    let mut line = String::with_capacity(clean.len());
    for word in clean.split_whitespace() {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    line
}

/// Normalises characters: NFC, one kind of line end and of space, no invisible or control characters, no spaces at line ends, at most two empty lines
/// in a row. With `keep_tabs`, tabs become four spaces instead of one.
pub(super) fn clean(raw: &str, keep_tabs: bool) -> String {
    let mut out = String::with_capacity(raw.len());
    let mut breaks = 0usize;
    let mut chars = raw.chars().peekable();
    let mut previous = '\n';
    while let Some(c) = chars.next() {
        let mapped = match c {
            '\r' => {
                if chars.peek() == Some(&'\n') {
                    continue;
                }
                '\n'
            }
            '\u{85}' | '\u{b}' | '\u{2028}' => '\n',
            '\u{c}' | '\u{2029}' => {
                line_break(&mut out, &mut breaks);
                '\n'
            }
            '\t' if keep_tabs => {
                out.push_str("   ");
                ' '
            }
            '\t' => ' ',
            '\n' => '\n',
            // Joiners carry meaning between letters of scripts that shape, and inside emoji; elsewhere they only break search.
            '\u{200c}' | '\u{200d}' if shapes(previous) && chars.peek().copied().is_some_and(shapes) => c,
            '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{180e}' => continue,
            '\u{fdd0}'..='\u{fdef}' => continue,
            c if (c as u32) & 0xfffe == 0xfffe => continue,
            c if c.is_control() => continue,
            c if c.is_whitespace() => ' ',
            c => c,
        };
        if mapped == '\n' {
            line_break(&mut out, &mut breaks);
        } else {
            if mapped != ' ' {
                breaks = 0;
            }
            out.push(mapped);
        }
        previous = mapped;
    }
    let kept = out.trim_end().len();
    out.truncate(kept);
    match is_nfc_quick(out.chars()) {
        IsNormalized::Yes => out,
        _ => out.nfc().collect(),
    }
}

fn line_break(out: &mut String, breaks: &mut usize) {
    let kept = out.trim_end_matches(' ').len();
    out.truncate(kept);
    if *breaks < 3 {
        out.push('\n');
        *breaks += 1;
    }
}

fn shapes(c: char) -> bool {
    let n = c as u32;
    n >= 0x0590 && !matches!(n, 0x1e00..=0x2bff) || matches!(n, 0x2600..=0x27bf)
}
