//! What kind of file is this? Content first, then the name, then what the client said.

use super::ExtractError;

/// The kinds that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Markdown,
    Html,
    Text,
}

/// First bytes that give a binary format away.
const MAGIC: &[(&[u8], &str)] = &[
    (b"%PDF-", "a PDF document"),
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
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Microsoft Office document"),
    (b"{\\rtf", "an RTF document"),
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

/// Extensions of well-known kinds that are text or archives but not read as documents, with the words that name them.
const OTHER_EXTENSIONS: &[(&[&str], &str)] = &[
    (&["pdf"], "a PDF document"),
    (&["doc", "docx", "odt", "rtf", "pages"], "a word-processor document"),
    (&["xls", "xlsx", "ods", "numbers"], "a spreadsheet"),
    (&["ppt", "pptx", "odp", "key"], "a presentation"),
    (&["csv", "tsv"], "a table of separated values"),
    (&["json", "jsonl", "ndjson", "yaml", "yml", "toml", "xml", "ini"], "structured data"),
    (&["zip", "gz", "tgz", "tar", "bz2", "xz", "7z", "rar", "zst"], "an archive"),
    (&["png", "jpg", "jpeg", "gif", "webp", "svg", "bmp", "tif", "tiff", "ico"], "an image"),
    (&["mp3", "wav", "ogg", "flac", "m4a", "mp4", "mkv", "avi", "mov", "webm"], "a recording"),
    (&["eml", "msg", "mbox"], "an e-mail message"),
    (&["epub", "mobi"], "an electronic book"),
    (&["exe", "dll", "so", "bin", "class", "o", "a", "wasm", "pyc"], "a program"),
    (
        &[
            "rs", "py", "js", "ts", "tsx", "jsx", "java", "c", "h", "cpp", "hpp", "cs", "go", "rb", "php", "sh", "sql", "css", "scss",
            "kt", "swift", "lua", "pl", "ps1", "bat",
        ],
        "source code",
    ),
];

/// Refuses what cannot be text: known magic numbers, and NUL bytes that are not UTF-16.
pub(super) fn refuse_binary(bytes: &[u8], name: &str) -> Result<(), ExtractError> {
    let unsupported = |looks_like: &str| Err(ExtractError::Unsupported { looks_like: looks_like.to_owned() });
    if bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(b"PK\x05\x06") {
        return unsupported(match extension(name).as_deref() {
            Some("docx" | "odt") => "a word-processor document",
            Some("xlsx" | "ods") => "a spreadsheet",
            Some("pptx" | "odp") => "a presentation",
            Some("epub") => "an electronic book",
            _ => "a ZIP archive",
        });
    }
    // Short ASCII-only magics also occur in prose ("ID3 tags are…"), so those must be followed by a byte that prose does not contain.
    for (magic, what) in MAGIC {
        if bytes.starts_with(magic) {
            let printable = magic.iter().all(|b| (0x20..0x7f).contains(b)) && !matches!(magic.first(), Some(b'%' | b'{'));
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
    let by_ext = match ext.as_deref() {
        Some("md" | "markdown" | "mdown" | "mkd" | "mdx") => Some(Kind::Markdown),
        Some("html" | "htm" | "xhtml") => Some(Kind::Html),
        Some("txt" | "text" | "log" | "rst" | "adoc" | "org") => Some(Kind::Text),
        _ => None,
    };
    if by_ext.is_some() {
        return Ok(by_ext);
    }
    let essence = mime_hint.and_then(|m| m.split(';').next()).map(|m| m.trim().to_ascii_lowercase());
    let by_mime = match essence.as_deref() {
        Some("text/markdown" | "text/x-markdown") => Some(Kind::Markdown),
        Some("text/html" | "application/xhtml+xml") => Some(Kind::Html),
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
    if looks_like_html_document(text) {
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
