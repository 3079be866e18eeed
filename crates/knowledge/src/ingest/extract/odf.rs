//! Texts and presentations of OpenDocument (OASIS ODF 1.3, part 3): headings, paragraphs, lists, tables, slides.

use super::container::Container;
use super::text::{Gap, TextBuilder, one_line};
use super::xml::{Token, attribute, walk};
use super::{ExtractError, Extracted};

const WHAT: &str = "OpenDocument file";

pub(super) fn read(bytes: &[u8], mime: &'static str) -> Result<Extracted, ExtractError> {
    let mut zip = Container::open(bytes, WHAT)?;
    if zip.xml("META-INF/manifest.xml")?.is_some_and(|manifest| manifest.contains("encryption-data")) {
        return Err(ExtractError::Encrypted { what: WHAT });
    }
    let content = zip.xml("content.xml")?.ok_or(ExtractError::Damaged { what: WHAT, detail: "it has no content.xml".to_owned() })?;
    let mut out = TextBuilder::new();
    body(&content, &mut out)?;
    let mut extracted = out.finish(mime);
    if let Some(meta) = zip.xml("meta.xml")? {
        let (title, lang) = about(&meta)?;
        extracted.title = extracted.title.or(title);
        extracted.lang = lang;
    }
    Ok(extracted)
}

/// Title and language in the properties.
fn about(meta: &str) -> Result<(Option<String>, Option<String>), ExtractError> {
    let (mut title, mut lang, mut inside) = (String::new(), String::new(), "");
    walk(meta, WHAT, |token| {
        match token {
            Token::Open("title", _) => inside = "title",
            Token::Open("language", _) => inside = "language",
            Token::Close(_) => inside = "",
            Token::Text(text) if inside == "title" => title.push_str(&text),
            Token::Text(text) if inside == "language" => lang.push_str(&text),
            _ => {}
        }
        Ok(())
    })?;
    let lang = lang.split(['-', '_']).next().unwrap_or_default().trim().to_lowercase();
    Ok((Some(one_line(&title)).filter(|t| !t.is_empty()), Some(lang).filter(|l| !l.is_empty())))
}

fn body(content: &str, out: &mut TextBuilder) -> Result<(), ExtractError> {
    // Notes and text boxes stand inside paragraphs.
    let mut open: Vec<String> = Vec::new();
    let (mut left_out, mut items, mut level, mut title) = (0_usize, 0_usize, 1_u8, false);
    let (mut tables, mut cells, mut first_row) = (0_usize, Vec::<String>::new(), false);
    walk(content, WHAT, |token| {
        match token {
            Token::Open("annotation" | "tracked-changes" | "note-citation", _) => left_out += 1,
            Token::Close("annotation" | "tracked-changes" | "note-citation") => left_out = left_out.saturating_sub(1),
            _ if left_out > 0 => {}
            Token::Open("h", element) => {
                level = attribute(element, "outline-level").and_then(|l| l.parse().ok()).unwrap_or(1);
                open.push(String::new());
            }
            Token::Open("p", _) => open.push(String::new()),
            Token::Open("page", _) => out.page(),
            Token::Open("frame", element) => title = attribute(element, "class").is_some_and(|c| c == "title"),
            Token::Close("frame") => title = false,
            Token::Open("list-item", _) => items += 1,
            Token::Close("list-item") => items = items.saturating_sub(1),
            Token::Open("table", _) => (tables, first_row) = (tables + 1, tables == 0),
            Token::Close("table") => tables = tables.saturating_sub(1),
            Token::Open("table-cell", _) if tables == 1 => cells.push(String::new()),
            Token::Open("s", element) => {
                let spaces = attribute(element, "c").and_then(|c| c.parse::<usize>().ok()).unwrap_or(1);
                open.last_mut().into_iter().for_each(|text| text.push_str(&" ".repeat(spaces.min(20))));
            }
            Token::Open("tab", _) => open.last_mut().into_iter().for_each(|text| text.push(' ')),
            Token::Open("line-break", _) => open.last_mut().into_iter().for_each(|text| text.push('\n')),
            Token::Text(text) => open.last_mut().into_iter().for_each(|open| open.push_str(&text)),
            Token::Close(name @ ("h" | "p")) => {
                let text = open.pop().unwrap_or_default();
                match cells.last_mut() {
                    Some(cell) if tables > 0 => {
                        cell.push(' ');
                        cell.push_str(&text);
                    }
                    _ if name == "h" => out.heading(level, &text)?,
                    _ if title => out.heading(2, &text)?,
                    _ if items > 0 => out.item(&text)?,
                    _ => out.block(Gap::Paragraph, &text)?,
                }
            }
            Token::Close("table-row") if tables == 1 => {
                let row: Vec<String> = cells.drain(..).map(|c| one_line(&c)).collect();
                out.row(&row, first_row)?;
                first_row = false;
            }
            _ => {}
        }
        Ok(())
    })
}
