//! From bytes to a string: byte order marks, declared charsets, UTF-8, UTF-16, and the legacy encodings of European text.

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};

use super::ExtractError;

/// A decoded file.
pub(super) struct Decoded {
    pub text: String,
    /// WHATWG name of the encoding.
    pub encoding: &'static str,
    pub warnings: Vec<String>,
}

/// Decodes a file. A byte order mark wins; then valid UTF-8 with letters beyond ASCII (no legacy text looks like that by accident), then the declared
/// charset, then a guess that must look like language. Damaged UTF-8 is refused rather than decoded as something else.
pub(super) fn decode(bytes: &[u8], declared: Option<&str>) -> Result<Decoded, ExtractError> {
    if bytes.starts_with(b"\xff\xfe\x00\x00") || bytes.starts_with(b"\x00\x00\xfe\xff") {
        return Err(ExtractError::Undecodable { detail: "it is UTF-32".to_owned() });
    }
    if let Some((encoding, mark)) = Encoding::for_bom(bytes) {
        return strict(encoding, bytes.get(mark..).unwrap_or_default(), mark);
    }
    if let Some(encoding) = utf16_guess(bytes) {
        return strict(encoding, bytes, 0);
    }
    let utf8 = std::str::from_utf8(bytes);
    let declared_encoding = declared.and_then(|label| Encoding::for_label(label.as_bytes()));
    let mut warnings = Vec::new();
    if let (Some(label), None) = (declared, declared_encoding) {
        warnings.push(format!("the declared charset `{}` is unknown and was ignored", label.chars().take(40).collect::<String>()));
    }
    match utf8 {
        Ok(text) => {
            if let Some(other) = declared_encoding
                && other != UTF_8
                && !text.is_ascii()
                && other.name().starts_with("UTF-16").eq(&false)
            {
                warnings.push(format!("the file declares {} but is UTF-8, and was read as UTF-8", other.name()));
            }
            Ok(Decoded { text: text.to_owned(), encoding: UTF_8.name(), warnings })
        }
        Err(error) => {
            if let Some(encoding) = declared_encoding
                && encoding != UTF_8
                && !encoding.name().starts_with("UTF-16")
            {
                let (text, had_errors) = encoding.decode_without_bom_handling(bytes);
                if !had_errors && plausible(&text) {
                    return Ok(Decoded { text: text.into_owned(), encoding: encoding.name(), warnings });
                }
            }
            if mostly_utf8(bytes) {
                return Err(ExtractError::Undecodable { detail: format!("byte {} is not valid UTF-8", error.valid_up_to()) });
            }
            let guessed = guess(bytes).ok_or_else(|| ExtractError::Undecodable {
                detail: format!("byte {} is not valid UTF-8 and no other encoding fits", error.valid_up_to()),
            })?;
            Ok(Decoded { text: guessed.0, encoding: guessed.1, warnings })
        }
    }
}

/// The charset an HTML document declares in a `meta` tag of its first kilobytes (WHATWG prescan, simplified to one pass).
pub(super) fn html_charset(bytes: &[u8]) -> Option<String> {
    let head = bytes.get(..bytes.len().min(4096)).unwrap_or_default();
    let head: String = head.iter().map(|b| if b.is_ascii() { char::from(b.to_ascii_lowercase()) } else { ' ' }).collect();
    let mut rest = head.as_str();
    while let Some(at) = rest.find("<meta") {
        rest = rest.get(at + 5..)?;
        let tag = rest.split('>').next()?;
        if let Some(at) = tag.find("charset") {
            let value = tag.get(at + 7..)?.trim_start().strip_prefix('=').map(str::trim_start);
            if let Some(value) = value {
                let label: String = value
                    .trim_start_matches(['"', '\''])
                    .chars()
                    .take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | ':' | '.'))
                    .collect();
                if !label.is_empty() {
                    return Some(label);
                }
            }
        }
    }
    None
}

/// UTF-16 without a byte order mark: NUL bytes (the high halves of ASCII) at one parity only, and a decoding without lone surrogates.
pub(super) fn utf16_guess(bytes: &[u8]) -> Option<&'static Encoding> {
    if let Some((encoding, _)) = Encoding::for_bom(bytes) {
        return (encoding != UTF_8).then_some(encoding);
    }
    if bytes.len() < 4 || !bytes.len().is_multiple_of(2) {
        return None;
    }
    let (mut even, mut odd) = (0usize, 0usize);
    for (at, byte) in bytes.iter().enumerate() {
        if *byte == 0 {
            if at % 2 == 0 { even += 1 } else { odd += 1 }
        }
    }
    // A twentieth of the units is about the share of spaces and digits in Cyrillic text, where only those have a NUL half.
    let enough = bytes.len() / 2 / 20;
    let encoding = match (even, odd) {
        (0, n) if n > enough => UTF_16LE,
        (n, 0) if n > enough => UTF_16BE,
        _ => return None,
    };
    let sample = bytes.get(..bytes.len().min(1 << 16)).unwrap_or_default();
    let (text, _) = encoding.decode_without_bom_handling(sample);
    plausible(&text).then_some(encoding)
}

fn strict(encoding: &'static Encoding, bytes: &[u8], offset: usize) -> Result<Decoded, ExtractError> {
    let (text, had_errors) = encoding.decode_without_bom_handling(bytes);
    if had_errors {
        let detail = match std::str::from_utf8(bytes) {
            Err(error) if encoding == UTF_8 => {
                format!("byte {} is not valid UTF-8", error.valid_up_to() + offset)
            }
            _ => format!("it is marked as {} but is not valid {}", encoding.name(), encoding.name()),
        };
        return Err(ExtractError::Undecodable { detail });
    }
    Ok(Decoded { text: text.into_owned(), encoding: encoding.name(), warnings: Vec::new() })
}

/// More well-formed multi-byte sequences than broken ones: a UTF-8 file with a few bad bytes.
fn mostly_utf8(bytes: &[u8]) -> bool {
    let (mut good, mut bad) = (0usize, 0usize);
    for part in bytes.utf8_chunks() {
        good += part.valid().bytes().filter(|b| *b >= 0xc2).count();
        bad += usize::from(!part.invalid().is_empty());
    }
    good > bad
}

fn guess(bytes: &[u8]) -> Option<(String, &'static str)> {
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
    // The head of a file tells its encoding; reading 1 MiB keeps the cost constant.
    detector.feed(bytes.get(..bytes.len().min(1 << 20)).unwrap_or_default(), true);
    let encoding = detector.guess(None, Utf8Detection::Deny);
    let (text, had_errors) = encoding.decode_without_bom_handling(bytes);
    (!had_errors && plausible(&text)).then(|| (text.into_owned(), encoding.name()))
}

/// Does decoded text look like language? A wrong single-byte decoding shows control characters, symbols in the middle of words, words that mix
/// scripts, and capitals inside words; real text shows few of these.
fn plausible(text: &str) -> bool {
    let (mut odd, mut high, mut high_letters) = (0usize, 0usize, 0usize);
    let mut previous = ' ';
    for c in text.chars() {
        if c == '\u{fffd}' || (c.is_control() && !matches!(c, '\n' | '\r' | '\t' | '\u{c}')) {
            odd += 4;
        } else if !c.is_ascii() {
            high += 1;
            if c.is_alphabetic() {
                high_letters += 1;
                let mixed = previous.is_ascii_alphabetic() && is_cyrillic(c) || is_cyrillic(previous) && !is_cyrillic(c);
                let capital_inside = c.is_uppercase() && previous.is_lowercase();
                odd += usize::from(mixed || capital_inside);
            } else if !is_typography(c) {
                odd += 1;
            }
        }
        previous = c;
    }
    let limit = (high / 8).max(usize::from(high > 0 && high_letters * 2 >= high));
    odd <= limit
}

fn is_cyrillic(c: char) -> bool {
    matches!(c, '\u{400}'..='\u{52f}')
}

fn is_typography(c: char) -> bool {
    matches!(
        c,
        '\u{a0}'
            | '«'
            | '»'
            | '§'
            | '°'
            | '©'
            | '®'
            | '·'
            | '±'
            | '²'
            | '³'
            | '½'
            | '¼'
            | '¾'
            | '×'
            | '€'
            | '£'
            | '№'
            | '™'
            | '\u{ad}'
            | '\u{85}'
    ) || matches!(c, '\u{2010}'..='\u{2044}' | '\u{2190}'..='\u{21ff}' | '\u{2500}'..='\u{25ff}' | '\u{3000}'..='\u{303f}' | '\u{ff00}'..='\u{ffef}')
}
