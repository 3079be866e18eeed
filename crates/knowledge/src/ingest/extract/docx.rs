//! Word-processor documents of Office Open XML (ECMA-376, part 1, section 17): paragraphs, headings by their style, lists, tables, notes.

use std::collections::HashMap;

use super::container::Container;
use super::text::{Gap, TextBuilder, one_line};
use super::xml::{Token, attribute, walk};
use super::{ExtractError, Extracted};

const WHAT: &str = "Word document";

pub(super) fn read(bytes: &[u8]) -> Result<Extracted, ExtractError> {
    let mut zip = Container::open(bytes, WHAT)?;
    let styles = match zip.xml("word/styles.xml")? {
        Some(styles) => read_styles(&styles)?,
        None => HashMap::new(),
    };
    let mut out = TextBuilder::new();
    let body =
        zip.xml("word/document.xml")?.ok_or(ExtractError::Damaged { what: WHAT, detail: "it has no word/document.xml".to_owned() })?;
    paragraphs(&body, &styles, &mut out)?;
    for notes in ["word/footnotes.xml", "word/endnotes.xml"] {
        if let Some(notes) = zip.xml(notes)? {
            paragraphs(&notes, &HashMap::new(), &mut out)?;
        }
    }
    let mut extracted = out.finish("application/vnd.openxmlformats-officedocument.wordprocessingml.document");
    if extracted.title.is_none() {
        extracted.title = core_title(&mut zip)?;
    }
    Ok(extracted)
}

/// The title in the properties of an Office Open XML document.
pub(super) fn core_title(zip: &mut Container<'_>) -> Result<Option<String>, ExtractError> {
    let Some(core) = zip.xml("docProps/core.xml")? else { return Ok(None) };
    let (mut title, mut inside) = (String::new(), false);
    walk(&core, WHAT, |token| {
        match token {
            Token::Open("title", _) => inside = true,
            Token::Close("title") => inside = false,
            Token::Text(text) if inside => title.push_str(&text),
            _ => {}
        }
        Ok(())
    })?;
    Ok(Some(one_line(&title)).filter(|t| !t.is_empty()))
}

/// What a style makes of a paragraph.
#[derive(Clone, Copy)]
enum Style {
    Heading(u8),
    Item,
}

/// Styles of headings and lists, by their ids. Word names them in the language of the program, but their outline level is a number.
fn read_styles(source: &str) -> Result<HashMap<String, Style>, ExtractError> {
    let (mut styles, mut id) = (HashMap::new(), String::new());
    walk(source, WHAT, |token| {
        if let Token::Open(name, element) = token {
            match name {
                "style" => id = attribute(element, "styleId").unwrap_or_default(),
                "name" => {
                    let name = attribute(element, "val").unwrap_or_default().to_lowercase();
                    let level = match name.strip_prefix("heading ").map(str::parse::<u8>) {
                        Some(Ok(level)) => Some(level),
                        _ => (name == "title").then_some(1),
                    };
                    styles.extend(level.map(|level| (id.clone(), Style::Heading(level))));
                }
                "outlineLvl" => {
                    if let Some(level) = attribute(element, "val").and_then(|v| v.parse::<u8>().ok()).filter(|l| *l < 9) {
                        styles.entry(id.clone()).or_insert(Style::Heading(level + 1));
                    }
                }
                "numPr" => {
                    styles.entry(id.clone()).or_insert(Style::Item);
                }
                _ => {}
            }
        }
        Ok(())
    })?;
    Ok(styles)
}

/// A paragraph that is being read.
#[derive(Default)]
struct Paragraph {
    text: String,
    level: Option<u8>,
    item: bool,
}

fn paragraphs(source: &str, styles: &HashMap<String, Style>, out: &mut TextBuilder) -> Result<(), ExtractError> {
    // Text boxes stand inside paragraphs and hold paragraphs; tables stand inside cells of tables.
    let mut open: Vec<Paragraph> = Vec::new();
    let (mut tables, mut cells, mut first_row) = (0_usize, Vec::<String>::new(), false);
    let (mut in_text, mut left_out) = (false, 0_usize);
    walk(source, WHAT, |token| {
        match token {
            // What older programs show in place of what stands beside it.
            Token::Open("Fallback", _) => left_out += 1,
            Token::Close("Fallback") => left_out = left_out.saturating_sub(1),
            _ if left_out > 0 => {}
            Token::Open("p", _) => open.push(Paragraph::default()),
            Token::Open("t", _) => in_text = true,
            Token::Close("t") => in_text = false,
            Token::Text(text) if in_text => open.last_mut().into_iter().for_each(|p| p.text.push_str(&text)),
            Token::Open(name, element) => {
                let Some(paragraph) = open.last_mut() else {
                    match name {
                        "tbl" => (tables, first_row) = (tables + 1, tables == 0),
                        "tc" if tables == 1 => cells.push(String::new()),
                        _ => {}
                    }
                    return Ok(());
                };
                match name {
                    "pStyle" => match attribute(element, "val").and_then(|id| styles.get(&id).copied()) {
                        Some(Style::Heading(level)) => paragraph.level = Some(level),
                        Some(Style::Item) => paragraph.item = true,
                        None => {}
                    },
                    "outlineLvl" => {
                        let level = attribute(element, "val").and_then(|v| v.parse::<u8>().ok()).filter(|l| *l < 9);
                        paragraph.level = paragraph.level.or(level.map(|l| l + 1));
                    }
                    "numPr" => paragraph.item = true,
                    "tab" => paragraph.text.push(' '),
                    "br" | "cr" => paragraph.text.push('\n'),
                    "noBreakHyphen" => paragraph.text.push('-'),
                    _ => {}
                }
            }
            Token::Close("p") => {
                let paragraph = open.pop().unwrap_or_default();
                match (cells.last_mut(), paragraph.level) {
                    (Some(cell), _) if tables > 0 => {
                        cell.push(' ');
                        cell.push_str(&paragraph.text);
                    }
                    (_, Some(level)) => out.heading(level, &paragraph.text)?,
                    _ if paragraph.item => out.item(&paragraph.text)?,
                    _ => out.block(Gap::Paragraph, &paragraph.text)?,
                }
            }
            Token::Close("tr") if tables == 1 => {
                let row: Vec<String> = cells.drain(..).map(|c| one_line(&c)).collect();
                out.row(&row, first_row)?;
                first_row = false;
            }
            Token::Close("tbl") => tables = tables.saturating_sub(1),
            _ => {}
        }
        Ok(())
    })
}
