//! XML as the formats of office programs use it: elements by their local names, text, and nothing that refers elsewhere.

use std::borrow::Cow;

use quick_xml::{
    Reader, XmlVersion,
    events::{BytesStart, Event},
};

use super::ExtractError;

/// What stands in an XML text, in order.
pub(super) enum Token<'a> {
    /// An element begins; its local name, and it itself for its attributes.
    Open(&'a str, &'a BytesStart<'a>),
    /// An element ends.
    Close(&'a str),
    /// Text between, entities resolved. Entities that a document declares itself are left out, so none can grow.
    Text(Cow<'a, str>),
}

/// Shows every token to `see`.
pub(super) fn walk(
    source: &str,
    what: &'static str,
    mut see: impl FnMut(Token<'_>) -> Result<(), ExtractError>,
) -> Result<(), ExtractError> {
    let mut reader = Reader::from_str(source.trim_start_matches('\u{feff}'));
    loop {
        match reader
            .read_event()
            .map_err(|e| ExtractError::Damaged { what, detail: format!("its XML ends at byte {}: {e}", reader.error_position()) })?
        {
            Event::Start(start) => see(Token::Open(start.local_name().as_ref(), &start))?,
            Event::Empty(start) => {
                see(Token::Open(start.local_name().as_ref(), &start))?;
                see(Token::Close(start.local_name().as_ref()))?;
            }
            Event::End(end) => see(Token::Close(end.local_name().as_ref()))?,
            Event::Text(text) => see(Token::Text(text.xml10_content()))?,
            Event::CData(text) => see(Token::Text(text.xml10_content()))?,
            Event::GeneralRef(name) => {
                if let Some(text) = entity(&name.xml10_content(), name.resolve_char_ref().ok().flatten()) {
                    see(Token::Text(text))?;
                }
            }
            Event::Eof => return Ok(()),
            _ => {}
        }
    }
}

fn entity(name: &str, character: Option<char>) -> Option<Cow<'static, str>> {
    if let Some(character) = character {
        return Some(character.to_string().into());
    }
    Some(match name {
        "lt" => "<".into(),
        "gt" => ">".into(),
        "amp" => "&".into(),
        "apos" => "'".into(),
        "quot" => "\"".into(),
        "nbsp" => " ".into(),
        _ => return None,
    })
}

/// An attribute by its local name.
pub(super) fn attribute(element: &BytesStart<'_>, name: &str) -> Option<String> {
    let found = element.attributes().flatten().find(|a| a.key.local_name().as_ref() == name)?;
    found.normalized_value(XmlVersion::Implicit1_0).ok().map(Cow::into_owned)
}
