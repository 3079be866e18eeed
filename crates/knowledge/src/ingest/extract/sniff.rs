//! What kind of file is this? Content first, then the name, then what the client said.

use super::{ExtractError, container::Container};

/// The kinds that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Markdown,
    Html,
    Text,
    Code,
    Table,
    Data,
    Mail,
    Rtf,
    Pdf,
    Docx,
    Pptx,
    /// A text or a presentation, with its media type.
    Odf(&'static str),
    /// A spreadsheet, with its media type.
    Sheets(&'static str),
    Epub,
    Zip,
}

const XLSX: Kind = Kind::Sheets("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet");
const XLS: Kind = Kind::Sheets("application/vnd.ms-excel");
const ODS: Kind = Kind::Sheets("application/vnd.oasis.opendocument.spreadsheet");
const ODT: Kind = Kind::Odf("application/vnd.oasis.opendocument.text");
const ODP: Kind = Kind::Odf("application/vnd.oasis.opendocument.presentation");

/// Endings of names and what they stand for.
const ENDINGS: &[(Kind, &[&str])] = &[
    (Kind::Markdown, &["md", "markdown", "mdown", "mkd", "mdx"]),
    (Kind::Html, &["html", "htm", "xhtml"]),
    (Kind::Text, &["txt", "text", "log", "rst", "adoc", "org"]),
    (Kind::Pdf, &["pdf"]),
    (Kind::Docx, &["docx", "docm", "dotx"]),
    (Kind::Pptx, &["pptx", "pptm", "ppsx"]),
    (XLSX, &["xlsx", "xlsm", "xlsb"]),
    (XLS, &["xls"]),
    (ODT, &["odt", "ott"]),
    (ODS, &["ods"]),
    (ODP, &["odp"]),
    (Kind::Epub, &["epub"]),
    (Kind::Rtf, &["rtf"]),
    (Kind::Mail, &["eml"]),
    (Kind::Table, &["csv", "tsv"]),
    (Kind::Data, &["json", "jsonl", "ndjson", "geojson"]),
    (Kind::Zip, &["zip"]),
    (
        Kind::Code,
        &[
            "rs",
            "py",
            "js",
            "mjs",
            "ts",
            "tsx",
            "jsx",
            "java",
            "c",
            "h",
            "cc",
            "cpp",
            "hpp",
            "cs",
            "go",
            "rb",
            "php",
            "sh",
            "bash",
            "sql",
            "css",
            "scss",
            "kt",
            "kts",
            "swift",
            "scala",
            "lua",
            "pl",
            "pm",
            "r",
            "ps1",
            "bat",
            "yaml",
            "yml",
            "toml",
            "ini",
            "cfg",
            "conf",
            "properties",
            "xml",
            "proto",
            "graphql",
            "tf",
            "dockerfile",
            "mk",
            "cmake",
            "vue",
            "svelte",
        ],
    ),
];

/// Endings that are taken from folders: documents. Data, source code and archives lie there for programs and are read when they are named themselves.
pub const FOLDER_ENDINGS: &[&str] = &[
    "md", "markdown", "txt", "text", "html", "htm", "xhtml", "pdf", "docx", "pptx", "xlsx", "xls", "odt", "ods", "odp", "epub", "rtf",
    "eml", "csv",
];

/// Every ending of a file's name that can be read.
pub fn endings() -> impl Iterator<Item = &'static str> {
    ENDINGS.iter().flat_map(|(_, endings)| endings.iter().copied())
}

impl Kind {
    /// Whether it is plain text to be decoded.
    pub fn is_text(self) -> bool {
        matches!(self, Self::Markdown | Self::Html | Self::Text | Self::Code | Self::Table | Self::Data)
    }

    /// What people call it.
    pub fn what(self) -> &'static str {
        match self {
            Self::Pdf => "PDF document",
            Self::Docx => "Word document",
            Self::Pptx => "presentation",
            Self::Odf(_) => "OpenDocument file",
            Self::Sheets(_) => "spreadsheet",
            Self::Epub => "electronic book",
            Self::Rtf => "RTF document",
            Self::Zip => "ZIP archive",
            Self::Mail => "e-mail message",
            _ => "text",
        }
    }
}

/// First bytes that give a binary format away.
const MAGIC: &[(&[u8], &str)] = &[
    (b"\x89PNG\r\n\x1a\n", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF87a", "a GIF image"),
    (b"GIF89a", "a GIF image"),
    (b"\x7fELF", "an ELF program"),
    (b"\x1f\x8b\x08", "a gzip archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ\x00", "an xz archive"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"%!PS", "a PostScript document"),
    (b"SQLite format 3\x00", "a SQLite database"),
    (b"OggS", "an Ogg recording"),
    (b"ID3", "an MP3 recording"),
    (b"fLaC", "a FLAC recording"),
    (b"RIFF", "a RIFF recording or image"),
    (b"II*\x00", "a TIFF image"),
    (b"MM\x00*", "a TIFF image"),
    (b"\x00asm", "a WebAssembly program"),
    (b"\xca\xfe\xba\xbe", "a compiled program"),
    (b"wOFF", "a font"),
    (b"wOF2", "a font"),
];

/// Extensions of well-known kinds that are not read, with the words that name them.
const OTHER_EXTENSIONS: &[(&[&str], &str)] = &[
    (&["doc", "pages", "wpd"], "a word-processor document of an old or closed format"),
    (&["ppt", "key"], "a presentation of an old or closed format"),
    (&["numbers"], "a spreadsheet of a closed format"),
    (&["gz", "tgz", "tar", "bz2", "xz", "7z", "rar", "zst"], "an archive that is not ZIP"),
    (&["png", "jpg", "jpeg", "gif", "webp", "svg", "bmp", "tif", "tiff", "ico"], "an image"),
    (&["mp3", "wav", "ogg", "flac", "m4a", "mp4", "mkv", "avi", "mov", "webm"], "a recording"),
    (&["msg", "mbox", "pst"], "a mailbox or a message of Outlook"),
    (&["mobi", "azw3"], "an electronic book of a closed format"),
    (&["exe", "dll", "so", "bin", "class", "o", "a", "wasm", "pyc"], "a program"),
];

/// What the first bytes, or the names of files inside, say it is; `None` for what may be text.
///
/// # Errors
/// `Unsupported` for what is binary and not read, `Encrypted` for Office documents with a password, `Damaged` for an archive that cannot be opened.
pub(super) fn kind_by_magic(bytes: &[u8], name: &str) -> Result<Option<Kind>, ExtractError> {
    let ending = extension(name);
    let by_name = ending.as_deref().and_then(kind_of_ending);
    if bytes.starts_with(b"%PDF-") {
        return Ok(Some(Kind::Pdf));
    }
    // Some programs write a line before the header (ISO 32000-1, annex H.3).
    if by_name == Some(Kind::Pdf) && bytes.get(..bytes.len().min(1024)).unwrap_or_default().windows(5).any(|w| w == b"%PDF-") {
        return Ok(Some(Kind::Pdf));
    }
    if bytes.starts_with(b"{\\rtf") {
        return Ok(Some(Kind::Rtf));
    }
    if bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(b"PK\x05\x06") {
        return kind_of_archive(bytes, by_name.map_or("ZIP archive", Kind::what)).map(Some);
    }
    if bytes.starts_with(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1") {
        let holds = |name: &str| {
            let wide: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
            bytes.windows(wide.len()).any(|w| w == wide)
        };
        return match () {
            () if holds("EncryptedPackage") => Err(ExtractError::Encrypted { what: by_name.map_or("Office document", Kind::what) }),
            () if holds("Workbook") => Ok(Some(XLS)),
            () => Err(ExtractError::Unsupported {
                looks_like: "a Microsoft Office document of before 2007 (save it in a newer format)".to_owned(),
            }),
        };
    }
    refuse_binary(bytes)?;
    Ok(None)
}

fn kind_of_archive(bytes: &[u8], what: &'static str) -> Result<Kind, ExtractError> {
    let mut zip = Container::open(bytes, what)?;
    for (entry, kind) in
        [("word/document.xml", Kind::Docx), ("ppt/presentation.xml", Kind::Pptx), ("xl/workbook.xml", XLSX), ("xl/workbook.bin", XLSX)]
    {
        if zip.has(entry) && zip.has("[Content_Types].xml") {
            return Ok(kind);
        }
    }
    let mime = if zip.has("mimetype") { zip.read("mimetype")?.unwrap_or_default() } else { Vec::new() };
    let mime = String::from_utf8_lossy(mime.get(..mime.len().min(200)).unwrap_or_default()).trim().to_owned();
    Ok(match mime.strip_prefix("application/vnd.oasis.opendocument.").map(|m| m.trim_end_matches("-template")) {
        Some("text") => ODT,
        Some("spreadsheet") => ODS,
        Some("presentation") => ODP,
        Some(other) => return Err(ExtractError::Unsupported { looks_like: format!("an OpenDocument {other}") }),
        None if mime == "application/epub+zip" || zip.has("META-INF/container.xml") => Kind::Epub,
        None => Kind::Zip,
    })
}

fn kind_of_ending(ending: &str) -> Option<Kind> {
    ENDINGS.iter().find(|(_, endings)| endings.contains(&ending)).map(|(kind, _)| *kind)
}

/// Refuses what cannot be text: known magic numbers, and NUL bytes that are not UTF-16.
fn refuse_binary(bytes: &[u8]) -> Result<(), ExtractError> {
    let unsupported = |looks_like: &str| Err(ExtractError::Unsupported { looks_like: looks_like.to_owned() });
    // Short ASCII-only magics also occur in prose ("ID3 tags are…"), so those must be followed by a byte that prose does not contain.
    for (magic, what) in MAGIC {
        if bytes.starts_with(magic) {
            let printable = magic.iter().all(|b| (0x20..0x7f).contains(b)) && !matches!(magic.first(), Some(b'%'));
            let head = bytes.get(..bytes.len().min(512)).unwrap_or_default();
            if !printable || head.iter().any(|b| *b < 9) {
                return unsupported(what);
            }
        }
    }
    if bytes.get(4..8) == Some(b"ftyp") {
        return unsupported("a video or image in an MP4 container");
    }
    if bytes.starts_with(b"MZ") && bytes.iter().take(512).any(|b| *b == 0) {
        return unsupported("a Windows program");
    }
    if bytes.contains(&0) && super::encoding::utf16_guess(bytes).is_none() {
        return unsupported("binary data (it contains NUL bytes)");
    }
    Ok(())
}

/// The kind the name or the declared content type stands for; `None` when neither says anything.
pub(super) fn kind_by_name(name: &str, mime_hint: Option<&str>) -> Result<Option<Kind>, ExtractError> {
    let ext = extension(name);
    let by_ext = ext.as_deref().and_then(kind_of_ending);
    if by_ext.is_some() {
        return Ok(by_ext);
    }
    let essence = mime_hint.and_then(|m| m.split(';').next()).map(|m| m.trim().to_ascii_lowercase());
    let by_mime = match essence.as_deref() {
        Some("text/markdown" | "text/x-markdown") => Some(Kind::Markdown),
        Some("text/html" | "application/xhtml+xml") => Some(Kind::Html),
        Some("text/csv" | "text/tab-separated-values") => Some(Kind::Table),
        Some("application/json" | "application/x-ndjson" | "application/jsonl") => Some(Kind::Data),
        Some("message/rfc822") => Some(Kind::Mail),
        _ => None,
    };
    if by_mime.is_some() {
        return Ok(by_mime);
    }
    if let Some(ext) = ext
        && let Some((_, what)) = OTHER_EXTENSIONS.iter().find(|(exts, _)| exts.contains(&ext.as_str()))
    {
        return Err(ExtractError::Unsupported { looks_like: format!("{what} (.{ext})") });
    }
    Ok(None)
}

/// The final kind: an HTML document is recognised whatever its name; a nameless text with `#` headings is Markdown.
pub(super) fn kind_by_content(text: &str, named: Option<Kind>) -> Kind {
    if !matches!(named, Some(Kind::Code | Kind::Table | Kind::Data)) && looks_like_html_document(text) {
        return Kind::Html;
    }
    match named {
        Some(kind) => kind,
        None if text.lines().take(200).any(is_atx_heading) => Kind::Markdown,
        None => Kind::Text,
    }
}

/// The `charset` parameter of a content type.
pub(super) fn charset_parameter(mime: Option<&str>) -> Option<String> {
    mime?.split(';').skip(1).find_map(|part| {
        let (key, value) = part.split_once('=')?;
        key.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches(['"', '\'']).to_owned())
    })
}

fn is_atx_heading(line: &str) -> bool {
    let rest = line.trim_start_matches('#');
    let marks = line.len() - rest.len();
    (1..=6).contains(&marks) && rest.starts_with(' ') && rest.trim().len() > 1
}

fn looks_like_html_document(text: &str) -> bool {
    let mut rest = text.trim_start_matches(['\u{feff}', ' ', '\t', '\r', '\n']);
    // An XML declaration and comments may stand before the doctype; the loop ends because every turn shortens the rest.
    loop {
        let skipped = if let Some(after) = rest.strip_prefix("<?xml") {
            after.split_once("?>").map(|(_, r)| r)
        } else if let Some(after) = rest.strip_prefix("<!--") {
            after.split_once("-->").map(|(_, r)| r)
        } else {
            None
        };
        match skipped {
            Some(r) => rest = r.trim_start(),
            None => break,
        }
    }
    let head: String = rest.chars().take(15).collect::<String>().to_ascii_lowercase();
    head.starts_with("<!doctype html") || head.starts_with("<html>") || head.starts_with("<html ") || head.starts_with("<html\n")
}

/// Lower-case extension of the last path segment, without the dot.
fn extension(name: &str) -> Option<String> {
    let file = name.rsplit(['/', '\\']).next()?;
    let (stem, ext) = file.rsplit_once('.')?;
    (!stem.is_empty() && !ext.is_empty()).then(|| ext.to_lowercase())
}
