//! Presentations of Office Open XML (ECMA-376, part 1, section 19): the slides in their order, their tables, and the speaker's notes.

use std::collections::HashMap;

use quick_xml::XmlVersion;

use super::container::{Container, resolve};
use super::docx::core_title;
use super::text::{Gap, TextBuilder, one_line};
use super::xml::{Token, attribute, walk};
use super::{ExtractError, Extracted};

const WHAT: &str = "presentation";

pub(super) fn read(bytes: &[u8]) -> Result<Extracted, ExtractError> {
    let mut zip = Container::open(bytes, WHAT)?;
    let main = "ppt/presentation.xml";
    let presentation = zip.xml(main)?.ok_or_else(|| ExtractError::Damaged { what: WHAT, detail: format!("it has no {main}") })?;
    let targets = relations(&mut zip, main)?;
    let mut order: Vec<String> = Vec::new();
    walk(&presentation, WHAT, |token| {
        if let Token::Open("sldId", element) = token
            // `id` is there twice, once with a prefix: the one that names a relation.
            && let Some(id) = element.attributes().flatten().find(|a| a.key.as_ref().ends_with(":id"))
        {
            order.extend(
                id.normalized_value(XmlVersion::Implicit1_0).ok().and_then(|id| targets.get(id.as_ref()).map(|(_, target)| target.clone())),
            );
        }
        Ok(())
    })?;
    let mut out = TextBuilder::new();
    for slide in order {
        out.page();
        if let Some(source) = zip.xml(&slide)? {
            slide_text(&source, true, &mut out)?;
        }
        let notes = relations(&mut zip, &slide)?.into_values().find(|(kind, _)| kind.ends_with("/notesSlide"));
        if let Some((_, notes)) = notes
            && let Some(source) = zip.xml(&notes)?
        {
            slide_text(&source, false, &mut out)?;
        }
    }
    let mut extracted = out.finish("application/vnd.openxmlformats-officedocument.presentationml.presentation");
    extracted.title = core_title(&mut zip)?.filter(|t| !t.eq_ignore_ascii_case("powerpoint presentation")).or(extracted.title);
    Ok(extracted)
}

/// The relations of a part: kind and target by id.
fn relations(zip: &mut Container<'_>, part: &str) -> Result<HashMap<String, (String, String)>, ExtractError> {
    let (folder, file) = part.rsplit_once('/').unwrap_or(("", part));
    let mut targets = HashMap::new();
    if let Some(source) = zip.xml(&format!("{folder}/_rels/{file}.rels"))? {
        walk(&source, WHAT, |token| {
            if let Token::Open("Relationship", element) = token
                && let (Some(id), Some(kind), Some(target)) =
                    (attribute(element, "Id"), attribute(element, "Type"), attribute(element, "Target"))
                && attribute(element, "TargetMode").is_none_or(|mode| mode != "External")
            {
                targets.insert(id, (kind, resolve(part, &target)));
            }
            Ok(())
        })?;
    }
    Ok(targets)
}

/// The text of a slide or of its notes. The number and the date that stand on every slide are left out.
fn slide_text(source: &str, titles: bool, out: &mut TextBuilder) -> Result<(), ExtractError> {
    let (mut place, mut in_text, mut text) = (String::new(), false, String::new());
    let (mut cells, mut in_table, mut first_row) = (Vec::<String>::new(), false, false);
    walk(source, WHAT, |token| {
        match token {
            Token::Open("sp", _) => place.clear(),
            Token::Open("ph", element) => place = attribute(element, "type").unwrap_or_default(),
            Token::Open("t", _) => in_text = true,
            Token::Close("t") => in_text = false,
            Token::Text(part) if in_text => text.push_str(&part),
            Token::Open("br", _) => text.push(' '),
            Token::Open("tbl", _) => (in_table, first_row) = (true, true),
            Token::Close("tbl") => in_table = false,
            Token::Open("tc", _) => cells.push(String::new()),
            Token::Close("tr") => {
                let row: Vec<String> = cells.drain(..).map(|c| one_line(&c)).collect();
                out.row(&row, first_row)?;
                first_row = false;
            }
            Token::Close("p") => {
                let paragraph = std::mem::take(&mut text);
                match (cells.last_mut(), place.as_str()) {
                    (Some(cell), _) if in_table => {
                        cell.push(' ');
                        cell.push_str(&paragraph);
                    }
                    (_, "ctrTitle") if titles => out.heading(1, &paragraph)?,
                    (_, "title") if titles => out.heading(2, &paragraph)?,
                    (_, "sldNum" | "dt" | "ftr" | "hdr") => {}
                    _ => out.block(Gap::Paragraph, &paragraph)?,
                }
            }
            _ => {}
        }
        Ok(())
    })
}
