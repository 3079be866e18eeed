//! E-mail messages (RFC 5322, MIME): who wrote what to whom, and what was attached.

use mail_parser::{Address, MessageParser, MimeHeaders};

use super::archive::{Budget, attached};
use super::text::{Gap, TextBuilder, one_line};
use super::{ExtractError, Extracted, html, txt};

pub(super) fn read(bytes: &[u8], budget: &mut Budget) -> Result<Extracted, ExtractError> {
    let message = MessageParser::default()
        .parse(bytes)
        .ok_or_else(|| ExtractError::Damaged { what: "e-mail message", detail: "it has no headers".to_owned() })?;
    let mut out = TextBuilder::new();
    let subject = one_line(message.subject().unwrap_or_default());
    if !subject.is_empty() {
        out.heading(1, &subject)?;
    }
    for (name, people) in [("From", message.from()), ("To", message.to()), ("Cc", message.cc())] {
        let people = people.map(addresses).unwrap_or_default();
        if !people.is_empty() {
            out.block(Gap::Line, &format!("{name}: {people}"))?;
        }
    }
    if let Some(date) = message.date() {
        out.block(Gap::Line, &format!("Date: {}", date.to_rfc3339()))?;
    }
    let plain = (0..message.text_body_count()).filter_map(|i| message.body_text(i)).collect::<Vec<_>>().join("\n\n");
    match message.body_html(0) {
        // Where there is only HTML, the parser's own plain text of it would lose tables and lists.
        Some(page) if message.text_body.iter().all(|part| message.html_body.contains(part)) && page.contains('<') => {
            html::append_fragment(&page, &mut out)?;
        }
        _ => out.extracted(&txt::read(&plain)?, 1)?,
    }
    let mut warnings = Vec::new();
    for part in message.attachments() {
        let name = part.attachment_name().unwrap_or("attachment").to_owned();
        attached(part.contents(), &name, budget, &mut out, &mut warnings)?;
    }
    let mut extracted = out.finish("message/rfc822");
    extracted.warnings = warnings;
    Ok(extracted)
}

fn addresses(list: &Address<'_>) -> String {
    let one = |a: &mail_parser::Addr<'_>| match (a.name(), a.address()) {
        (Some(name), Some(address)) => format!("{name} <{address}>"),
        (name, address) => name.or(address).unwrap_or_default().to_owned(),
    };
    one_line(&list.iter().map(one).collect::<Vec<_>>().join(", "))
}
