//! Glyphs on a page to lines and paragraphs, by where they stand: most programs that write PDF say nothing of words or lines.

use pdf_extract::{MediaBox, OutputDev, OutputError, Transform};

/// A gap between two glyphs from which on it is a space, in parts of the size of the type. Spaces are a quarter to a third of it, and in justified
/// lines a little less; pairs that are moved apart, and widths that are rounded, come to an eighth at most.
const SPACE: f64 = 0.17;
/// How far a glyph may stand above or below its line, in parts of the size of the type: superscripts do.
const SAME_LINE: f64 = 0.5;
/// A distance between lines from which on a paragraph begins, in parts of the size of the type. Lines are usually 1.2 apart.
const PARAGRAPH: f64 = 1.75;
/// How much larger or smaller the type of a line is when it belongs to another paragraph, in parts.
const HEADING: f64 = 0.15;
/// Bytes of text on a page at most: a page that draws the same text again and again is no document.
const MAX_PAGE: usize = 4 << 20;

/// Collects the text of a page.
#[derive(Default)]
pub(super) struct Layout {
    pub text: String,
    height: f64,
    last: Option<Glyph>,
}

/// Where a glyph stands: its left edge, its base line counted from the top, its right edge, and the size of the type.
#[derive(Clone, Copy)]
struct Glyph {
    x: f64,
    y: f64,
    end: f64,
    size: f64,
}

impl Layout {
    fn put(&mut self, glyph: Glyph, text: &str) {
        if let Some(last) = self.last {
            let size = last.size.max(glyph.size).max(1.0);
            let down = glyph.y - last.y;
            if down.abs() > SAME_LINE * size {
                // Upwards is another column, or something that stands apart; larger type is a heading, or what comes after one.
                let apart = down > PARAGRAPH * size || down < 0.0 || (last.size / glyph.size - 1.0).abs() > HEADING;
                self.text.push_str(if apart { "\n\n" } else { "\n" });
            } else if glyph.x - last.end > SPACE * size || glyph.x < last.x - size {
                self.space();
            }
        }
        self.text.push_str(text);
        self.last = Some(glyph);
    }

    fn space(&mut self) {
        if !self.text.ends_with([' ', '\n']) {
            self.text.push(' ');
        }
    }
}

impl OutputDev for Layout {
    fn begin_page(&mut self, _: u32, page: &MediaBox, _: Option<(f64, f64, f64, f64)>) -> Result<(), OutputError> {
        self.height = page.ury;
        Ok(())
    }

    fn end_page(&mut self) -> Result<(), OutputError> {
        Ok(())
    }

    fn output_character(&mut self, at: &Transform, width: f64, _: f64, font_size: f64, text: &str) -> Result<(), OutputError> {
        if self.text.len() > MAX_PAGE {
            return Ok(());
        }
        let scale = (at.m11 * at.m22 - at.m12 * at.m21).abs().sqrt();
        let size = font_size.abs() * scale;
        let glyph = Glyph { x: at.m31, y: self.height - at.m32, end: at.m31 + width * size, size };
        self.put(glyph, text);
        Ok(())
    }

    fn begin_word(&mut self) -> Result<(), OutputError> {
        Ok(())
    }

    fn end_word(&mut self) -> Result<(), OutputError> {
        Ok(())
    }

    fn end_line(&mut self) -> Result<(), OutputError> {
        Ok(())
    }
}
