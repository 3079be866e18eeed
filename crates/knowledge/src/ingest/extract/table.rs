//! Tables of separated values (RFC 4180 and its relatives): rows as rows, whatever separates them.

use super::text::{TextBuilder, one_line};
use super::{ExtractError, Extracted};

/// What may separate values.
const SEPARATORS: [u8; 4] = [b',', b';', b'\t', b'|'];

pub(super) fn read(text: &str) -> Result<Extracted, ExtractError> {
    let mut rows = csv::ReaderBuilder::new().has_headers(false).flexible(true).delimiter(separator(text)).from_reader(text.as_bytes());
    let mut out = TextBuilder::new();
    let mut first = true;
    for row in rows.records() {
        // The text is UTF-8 and rows may be of any length, so nothing is left to go wrong but the reading itself.
        let row = row.map_err(|e| ExtractError::Damaged { what: "table", detail: e.to_string() })?;
        out.row(&row.iter().map(one_line).collect::<Vec<_>>(), first)?;
        first = false;
    }
    Ok(out.finish("text/csv"))
}

/// The sign that the first lines have equally often, and most often.
fn separator(text: &str) -> u8 {
    let lines: Vec<&str> = text.lines().filter(|l| !l.trim().is_empty()).take(10).collect();
    let of = |sign: u8| {
        let counts: Vec<usize> = lines.iter().map(|l| unquoted(l, sign)).collect();
        let (least, most) = (counts.iter().min().copied().unwrap_or(0), counts.iter().max().copied().unwrap_or(0));
        (least == most, least)
    };
    let best = SEPARATORS.into_iter().map(|sign| (of(sign), sign)).filter(|((_, least), _)| *least > 0).max_by_key(|(score, _)| *score);
    best.map_or(b',', |(_, sign)| sign)
}

fn unquoted(line: &str, sign: u8) -> usize {
    let mut quoted = false;
    line.bytes()
        .filter(|b| {
            quoted ^= *b == b'"';
            !quoted && *b == sign
        })
        .count()
}
