//! From the bytes of an uploaded file to clean, readable text.
//!
//! [`extract`] is a pure function: bytes in, [`Extracted`] or [`ExtractError`] out. Input is hostile by assumption, so every step is linear in the
//! size of its input, no step recurses deeper than a small constant, and nothing here panics; the caller still runs it in a child process with
//! limits of its own. Reading order: [`sniff`](self) decides the kind, `encoding` turns the bytes of texts into a string, the module of the kind
//! feeds blocks to the `TextBuilder` of `text`, which cleans characters and keeps the offsets of headings and pages.

mod archive;
mod container;
mod data;
mod docx;
mod encoding;
mod epub;
mod front_matter;
mod html;
mod html_tokens;
mod html_tree;
mod mail;
mod markdown;
mod odf;
mod pdf;
mod pdf_layout;
mod rtf;
mod sheets;
mod slides;
mod sniff;
mod table;
mod text;
mod txt;
mod xml;

#[cfg(test)]
mod tests;

use std::fmt;

use sniff::Kind;
pub use sniff::{FOLDER_ENDINGS, endings};

/// Largest accepted input, in bytes.
pub const MAX_INPUT_BYTES: usize = 50 * 1024 * 1024;
/// Largest accepted result, in characters.
pub const MAX_TEXT_CHARS: usize = 20_000_000;
/// The kinds of file that [`extract`] accepts, as error messages name them.
pub const ACCEPTED_KINDS: &str = "Markdown, plain text, HTML, PDF, Word (.docx), PowerPoint (.pptx), spreadsheets (.xlsx, .xls, .ods), OpenDocument \
                                  (.odt, .odp), EPUB, RTF, CSV, JSON, e-mail (.eml), source code, and ZIP archives of these";

/// A heading of the extracted text and the section it opens.
///
/// All offsets count characters (Unicode scalar values) of [`Extracted::text`]. The heading stands alone on its line: the characters
/// `start..start + title.chars().count()` are exactly `title`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct Heading {
    /// 1 (document title) to 6.
    pub level: u8,
    /// The heading's text, one line, never empty.
    pub title: String,
    /// First character of the title line.
    pub start: usize,
    /// One past the section: the start of the next heading of the same or a higher rank, else the end of the text.
    pub end: usize,
}

/// What was read from a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extracted {
    /// The media type that the content was read as, such as `text/markdown`.
    pub mime: &'static str,
    /// Title from front matter, `<title>` or the first top-level heading.
    pub title: Option<String>,
    /// Language the file declares (front matter `lang`, `<html lang>`), lower-case primary subtag such as `pl`; not a guess.
    pub lang: Option<String>,
    /// Tags from front matter, in the order written.
    pub tags: Vec<String>,
    /// Clean text in NFC: paragraphs separated by an empty line, list items and table rows (`a | b | c`) on lines of their own. Never empty.
    pub text: String,
    /// Headings in reading order.
    pub headings: Vec<Heading>,
    /// Where each page, slide or sheet begins, as an offset in characters; empty for what has no pages.
    pub pages: Vec<usize>,
    /// WHATWG name of the encoding the bytes were decoded from, for example `UTF-8` or `windows-1250`; empty for what is no text file.
    pub encoding: String,
    /// What a person should know about the reading, in full sentences without a final period; usually empty.
    pub warnings: Vec<String>,
}

/// Why a file could not be read. The message names the reason and the way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExtractError {
    /// The content is of a kind that is not read.
    Unsupported {
        /// What the content looks like, for example `a PDF document`.
        looks_like: String,
    },
    /// The bytes are text in no encoding that could be told.
    Undecodable {
        /// What is wrong and where.
        detail: String,
    },
    /// Nothing but white space, or nothing visible.
    Empty,
    /// It has pages, but nothing on them is text: a scan, most likely.
    NoText {
        /// The kind of document.
        what: &'static str,
    },
    /// It can be read only with a password.
    Encrypted {
        /// The kind of document.
        what: &'static str,
    },
    /// It is not what a file of its kind looks like inside: cut off, mislabelled or broken.
    Damaged {
        /// The kind of document.
        what: &'static str,
        /// What is wrong.
        detail: String,
    },
    /// Over [`MAX_INPUT_BYTES`] or [`MAX_TEXT_CHARS`].
    TooLarge {
        /// The size found.
        found: usize,
        /// The limit it exceeds.
        limit: usize,
        /// What is counted, such as `bytes` or `pages`.
        unit: &'static str,
    },
}

impl fmt::Display for ExtractError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsupported { looks_like } => {
                write!(f, "the file looks like {looks_like}, which cannot be read yet; accepted kinds are {ACCEPTED_KINDS}")
            }
            Self::Undecodable { detail } => write!(f, "the text cannot be decoded: {detail}; save the file as UTF-8 and upload it again"),
            Self::Empty => write!(f, "the file has no readable text; upload a file with content"),
            Self::NoText { what } => {
                write!(f, "the {what} has no text, only pictures, as scans have; have its text recognised (OCR) and upload it again")
            }
            Self::Encrypted { what } => write!(f, "the {what} is protected by a password; save it without one and upload it again"),
            Self::Damaged { what, detail } => {
                let detail: String = detail.chars().filter(|c| !c.is_control()).take(200).collect();
                write!(f, "this is no sound {what}: {detail}; open it in the program that made it, save it anew and upload it again")
            }
            Self::TooLarge { found, limit, unit } => {
                write!(f, "the file has {found} {unit}, more than the limit of {limit} {unit}; split it into smaller files")
            }
        }
    }
}

impl std::error::Error for ExtractError {}

impl ExtractError {
    /// A stable code for API answers: `unsupported_kind`, `undecodable_text`, `empty_document`, `encrypted_document`, `damaged_document` or
    /// `document_too_large`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unsupported { .. } => "unsupported_kind",
            Self::Undecodable { .. } => "undecodable_text",
            Self::Empty | Self::NoText { .. } => "empty_document",
            Self::Encrypted { .. } => "encrypted_document",
            Self::Damaged { .. } => "damaged_document",
            Self::TooLarge { .. } => "document_too_large",
        }
    }
}

/// Reads a file into clean text with headings.
///
/// `name` is the document's name (its extension helps to tell the kind; a path is fine), `mime_hint` the content type the client sent, with or
/// without parameters. The content wins over both: a `.txt` that starts as an HTML document is read as HTML, a `.md` that is a PDF is refused.
///
/// # Errors
/// See [`ExtractError`]; every message says what to do about it.
pub fn extract(bytes: &[u8], name: &str, mime_hint: Option<&str>) -> Result<Extracted, ExtractError> {
    extract_within(bytes, name, mime_hint, &mut archive::Budget::default())
}

/// Reads a file that may be inside others.
fn extract_within(bytes: &[u8], name: &str, mime_hint: Option<&str>, budget: &mut archive::Budget) -> Result<Extracted, ExtractError> {
    if bytes.len() > MAX_INPUT_BYTES {
        return Err(ExtractError::TooLarge { found: bytes.len(), limit: MAX_INPUT_BYTES, unit: "bytes" });
    }
    if bytes.is_empty() {
        return Err(ExtractError::Empty);
    }
    let named = sniff::kind_by_name(name, mime_hint)?;
    let extracted = match sniff::kind_by_magic(bytes, name)? {
        Some(Kind::Pdf) => pdf::read(bytes)?,
        Some(Kind::Docx) => docx::read(bytes)?,
        Some(Kind::Pptx) => slides::read(bytes)?,
        Some(Kind::Odf(mime)) => odf::read(bytes, mime)?,
        Some(Kind::Sheets(mime)) => sheets::read(bytes, mime)?,
        Some(Kind::Epub) => epub::read(bytes)?,
        Some(Kind::Rtf) => rtf::read(bytes)?,
        Some(Kind::Zip) => archive::read(bytes, budget)?,
        _ => match named {
            Some(kind) if !kind.is_text() && kind != Kind::Mail => {
                return Err(ExtractError::Damaged { what: kind.what(), detail: "its content is of another kind".to_owned() });
            }
            Some(Kind::Mail) => mail::read(bytes, budget)?,
            _ => read_text(bytes, named, mime_hint)?,
        },
    };
    if !extracted.text.chars().any(char::is_alphanumeric) {
        return Err(ExtractError::Empty);
    }
    Ok(extracted)
}

fn read_text(bytes: &[u8], named: Option<Kind>, mime_hint: Option<&str>) -> Result<Extracted, ExtractError> {
    let declared = match named {
        Some(Kind::Html) => encoding::html_charset(bytes).or_else(|| sniff::charset_parameter(mime_hint)),
        _ => sniff::charset_parameter(mime_hint),
    };
    let decoded = encoding::decode(bytes, declared.as_deref())?;
    let mut extracted = match sniff::kind_by_content(&decoded.text, named) {
        Kind::Markdown => markdown::read(&decoded.text)?,
        Kind::Html => html::read(&decoded.text)?,
        Kind::Table => table::read(&decoded.text)?,
        Kind::Data => data::read(&decoded.text)?,
        Kind::Code => {
            let mut out = text::TextBuilder::new();
            out.code(&decoded.text)?;
            out.finish("text/plain")
        }
        _ => txt::read(&decoded.text)?,
    };
    extracted.encoding = decoded.encoding.to_owned();
    extracted.warnings.splice(0..0, decoded.warnings);
    Ok(extracted)
}
