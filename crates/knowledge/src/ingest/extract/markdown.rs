//! Markdown (CommonMark with GFM tables) to readable text: the words stay, the marks go.
//!
//! Headings become lines of their own, list items keep a bullet or number, table rows read `a | b | c`, code keeps its lines, links and images are
//! their text. Lines that the author wrapped inside a paragraph are joined, so that a line end in the result always means something.

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use super::text::{Gap, TextBuilder, one_line};
use super::{ExtractError, Extracted, front_matter, html};

/// Deepest list indentation that is shown; deeper items keep the depth of their ancestor.
const MAX_INDENT: usize = 8;

pub(super) fn read(text: &str) -> Result<Extracted, ExtractError> {
    let front = front_matter::split(text);
    let options = Options::ENABLE_TABLES
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_TASKLISTS
        | Options::ENABLE_HEADING_ATTRIBUTES;
    let body = front.body.replace('\0', "");
    let mut reader = Reader::new();
    for event in Parser::new_ext(&body, options) {
        reader.event(event)?;
    }
    reader.flush()?;
    let mut extracted = reader.out.finish("text/markdown");
    extracted.title = front.title.or(extracted.title);
    extracted.lang = front.lang;
    extracted.tags = front.tags;
    Ok(extracted)
}

/// One open list: the next number of an ordered one.
struct List {
    next: Option<u64>,
}

struct Reader {
    out: TextBuilder,
    /// Inline text of the block being read.
    inline: String,
    heading: Option<u8>,
    lists: Vec<List>,
    /// Bullet of the item whose first block has not been written yet.
    bullet: Option<String>,
    /// True between the items of a tight list, where an item directly follows the previous one.
    tight: bool,
    in_code: bool,
    in_html: bool,
    /// Cells of the table row being read.
    row: Option<Vec<String>>,
    first_row: bool,
}

impl Reader {
    fn new() -> Self {
        Self {
            out: TextBuilder::new(),
            inline: String::new(),
            heading: None,
            lists: Vec::new(),
            bullet: None,
            tight: false,
            in_code: false,
            in_html: false,
            row: None,
            first_row: false,
        }
    }

    fn event(&mut self, event: Event<'_>) -> Result<(), ExtractError> {
        match event {
            Event::Start(tag) => self.start(tag),
            Event::End(tag) => self.end(tag),
            Event::Text(text) => {
                self.inline.push_str(&text);
                Ok(())
            }
            Event::Code(code) => {
                self.inline.push_str(&code);
                Ok(())
            }
            Event::InlineMath(math) | Event::DisplayMath(math) => {
                self.inline.push_str(&math);
                Ok(())
            }
            Event::Html(html) => {
                self.inline.push_str(&html);
                Ok(())
            }
            Event::InlineHtml(html) => {
                let tag = html.to_ascii_lowercase();
                if tag.starts_with("<br") {
                    self.inline.push('\n');
                }
                Ok(())
            }
            Event::SoftBreak => {
                self.inline.push(' ');
                Ok(())
            }
            Event::HardBreak => {
                self.inline.push('\n');
                Ok(())
            }
            Event::Rule => self.flush(),
            Event::TaskListMarker(done) => {
                self.inline.push_str(if done { "[x] " } else { "[ ] " });
                Ok(())
            }
            // A marker such as [1] would read like a citation.
            Event::FootnoteReference(_) => Ok(()),
        }
    }

    fn start(&mut self, tag: Tag<'_>) -> Result<(), ExtractError> {
        match tag {
            Tag::Heading { level, .. } => {
                self.flush()?;
                self.heading = Some(level as u8);
            }
            Tag::List(first) => {
                self.flush()?;
                self.tight = !self.lists.is_empty();
                self.lists.push(List { next: first });
            }
            Tag::Item => {
                self.flush()?;
                let bullet = match self.lists.last_mut().and_then(|l| l.next.as_mut()) {
                    Some(number) => {
                        let label = format!("{number}. ");
                        *number = number.saturating_add(1);
                        label
                    }
                    None => "- ".to_owned(),
                };
                self.bullet = Some(bullet);
            }
            Tag::CodeBlock(_) => {
                self.flush()?;
                self.in_code = true;
            }
            Tag::HtmlBlock => {
                self.flush()?;
                self.in_html = true;
            }
            Tag::Table(_) => {
                self.flush()?;
                self.first_row = true;
            }
            Tag::TableHead | Tag::TableRow => self.row = Some(Vec::new()),
            Tag::TableCell => self.inline.clear(),
            Tag::Paragraph | Tag::BlockQuote(_) | Tag::FootnoteDefinition(_) => self.flush()?,
            _ => {}
        }
        Ok(())
    }

    fn end(&mut self, tag: TagEnd) -> Result<(), ExtractError> {
        match tag {
            TagEnd::Heading(_) => {
                let title = std::mem::take(&mut self.inline);
                let level = self.heading.take().unwrap_or(6);
                // A heading inside a list item would lose its bullet: the bullet is dropped, the heading kept.
                self.bullet = None;
                self.out.heading(level, &title)?;
                self.tight = false;
            }
            TagEnd::CodeBlock => {
                self.in_code = false;
                self.bullet = None;
                let code = std::mem::take(&mut self.inline);
                self.out.code(&code)?;
                self.tight = false;
            }
            TagEnd::HtmlBlock => {
                self.in_html = false;
                let source = std::mem::take(&mut self.inline);
                html::append_fragment(&source, &mut self.out)?;
                self.tight = false;
            }
            TagEnd::TableCell => {
                let cell = one_line(&std::mem::take(&mut self.inline));
                if let Some(row) = self.row.as_mut() {
                    row.push(cell);
                }
            }
            TagEnd::TableHead | TagEnd::TableRow => {
                if let Some(row) = self.row.take()
                    && row.iter().any(|c| !c.is_empty())
                {
                    let gap = if self.first_row { Gap::Paragraph } else { Gap::Line };
                    self.first_row = false;
                    self.out.block(gap, &row.join(" | "))?;
                }
            }
            TagEnd::Table => {
                self.tight = false;
                self.bullet = None;
            }
            TagEnd::Item => {
                self.flush()?;
                self.bullet = None;
                self.tight = true;
            }
            TagEnd::List(_) => {
                self.flush()?;
                self.lists.pop();
                self.tight = !self.lists.is_empty();
            }
            TagEnd::Paragraph | TagEnd::BlockQuote(_) | TagEnd::FootnoteDefinition => self.flush()?,
            _ => {}
        }
        Ok(())
    }

    /// Writes the inline text gathered so far as a paragraph or a list item.
    fn flush(&mut self) -> Result<(), ExtractError> {
        if self.in_code || self.in_html || self.row.is_some() || self.heading.is_some() {
            return Ok(());
        }
        let text = std::mem::take(&mut self.inline);
        if text.trim().is_empty() {
            return Ok(());
        }
        let bullet = self.bullet.take();
        let depth = self.lists.len().min(MAX_INDENT);
        let (gap, line) = match (&bullet, depth) {
            (Some(bullet), _) => {
                let indent = "  ".repeat(depth.saturating_sub(1));
                (if self.tight { Gap::Line } else { Gap::Paragraph }, format!("{indent}{bullet}{}", text.trim()))
            }
            // A further paragraph of the same item.
            (None, d) if d > 0 => (Gap::Line, format!("{}{}", "  ".repeat(d), text.trim())),
            _ => (Gap::Paragraph, text),
        };
        self.out.block(gap, &line)?;
        self.tight = bullet.is_some();
        Ok(())
    }
}
