//! Rich Text Format (Microsoft, version 1.9.1): its text, in the code page or the Unicode that it is written in.

use encoding_rs::{Encoding, WINDOWS_1252};

use super::text::{Gap, TextBuilder};
use super::{ExtractError, Extracted};

/// Groups of what is not the text of the document.
const LEFT_OUT: &[&str] = &[
    "fonttbl",
    "colortbl",
    "stylesheet",
    "info",
    "pict",
    "object",
    "header",
    "headerl",
    "headerr",
    "headerf",
    "footer",
    "footerl",
    "footerr",
    "footerf",
    "themedata",
    "colorschememapping",
    "datastore",
    "latentstyles",
    "listtable",
    "listoverridetable",
    "rsidtbl",
    "generator",
    "xmlnstbl",
    "fldinst",
    "mmathPr",
    "bkmkstart",
    "bkmkend",
    "pntext",
    "nonshppict",
];
/// Groups inside one another at most.
const MAX_DEPTH: usize = 1_000;

/// What holds until the end of a group.
#[derive(Clone, Copy)]
struct Group {
    left_out: bool,
    /// Signs after each Unicode character that stand for it in programs that know none.
    spare: usize,
}

pub(super) fn read(bytes: &[u8]) -> Result<Extracted, ExtractError> {
    let damaged = |detail: &str| ExtractError::Damaged { what: "RTF document", detail: detail.to_owned() };
    let mut reader = Reader {
        code_page: WINDOWS_1252,
        raw: Vec::new(),
        text: String::new(),
        out: TextBuilder::new(),
        cells: Vec::new(),
        in_rows: false,
    };
    let mut groups: Vec<Group> = vec![Group { left_out: false, spare: 1 }];
    let (mut at, mut skip, mut high) = (0, 0_usize, None);
    while let Some(&byte) = bytes.get(at) {
        at += 1;
        let group = groups.last().copied().ok_or_else(|| damaged("a bracket is closed that was not opened"))?;
        match byte {
            b'{' if groups.len() >= MAX_DEPTH => return Err(damaged("its groups are nested too deep")),
            b'{' => groups.push(group),
            b'}' => {
                groups.pop();
                if groups.is_empty() {
                    return Err(damaged("a bracket is closed that was not opened"));
                }
            }
            b'\r' | b'\n' => {}
            b'\\' => match bytes.get(at).copied() {
                Some(b'\'') => {
                    let code =
                        bytes.get(at + 1..at + 3).and_then(|h| std::str::from_utf8(h).ok()).and_then(|h| u8::from_str_radix(h, 16).ok());
                    at += 3;
                    match code {
                        Some(_) if skip > 0 => skip -= 1,
                        Some(code) if !group.left_out => reader.raw.push(code),
                        _ => {}
                    }
                }
                Some(b'*') => {
                    at += 1;
                    groups.last_mut().into_iter().for_each(|g| g.left_out = true);
                }
                Some(sign @ (b'\\' | b'{' | b'}')) => {
                    at += 1;
                    if !group.left_out {
                        reader.raw.push(sign);
                    }
                }
                Some(b'~') => {
                    at += 1;
                    reader.put(' ', group.left_out);
                }
                Some(b'_') => {
                    at += 1;
                    reader.put('-', group.left_out);
                }
                Some(letter) if letter.is_ascii_alphabetic() => {
                    let (word, number, end) = control(bytes, at);
                    at = end;
                    match word {
                        "u" => {
                            let unit = u16::try_from(number.unwrap_or(0).rem_euclid(0x1_0000)).unwrap_or(0);
                            skip = group.spare;
                            match (high.take(), char::from_u32(u32::from(unit))) {
                                (_, Some(character)) => reader.put(character, group.left_out),
                                (Some(high), None) => {
                                    let pair = char::decode_utf16([high, unit]).next().and_then(Result::ok);
                                    pair.into_iter().for_each(|c| reader.put(c, group.left_out));
                                }
                                (None, None) => high = Some(unit),
                            }
                        }
                        "bin" => at += usize::try_from(number.unwrap_or(0)).unwrap_or(0),
                        "uc" => groups.last_mut().into_iter().for_each(|g| g.spare = usize::try_from(number.unwrap_or(1)).unwrap_or(1)),
                        "ansicpg" => reader.code_page = code_page(number.unwrap_or(1252)),
                        word if LEFT_OUT.contains(&word) => groups.last_mut().into_iter().for_each(|g| g.left_out = true),
                        word if !group.left_out => reader.word(word)?,
                        _ => {}
                    }
                }
                Some(_) => at += 1,
                None => return Err(damaged("it ends in the middle of a word")),
            },
            _ if skip > 0 => skip -= 1,
            other if !group.left_out => reader.raw.push(other),
            _ => {}
        }
    }
    if groups.len() > 1 {
        return Err(damaged("it ends before it is closed"));
    }
    reader.paragraph()?;
    Ok(reader.out.finish("application/rtf"))
}

/// A control word, its number, and where the text goes on. One space after it belongs to it.
fn control(bytes: &[u8], from: usize) -> (&str, Option<i64>, usize) {
    let rest = bytes.get(from..).unwrap_or_default();
    let letters = rest.iter().take_while(|b| b.is_ascii_alphabetic()).count();
    let word = std::str::from_utf8(rest.get(..letters).unwrap_or_default()).unwrap_or_default();
    let after = rest.get(letters..).unwrap_or_default();
    let sign = usize::from(after.first() == Some(&b'-'));
    let digits = after.iter().skip(sign).take(10).take_while(|b| b.is_ascii_digit()).count();
    let (number, used) = match digits {
        0 => (None, 0),
        digits => (std::str::from_utf8(after.get(..sign + digits).unwrap_or_default()).ok().and_then(|n| n.parse().ok()), sign + digits),
    };
    let space = usize::from(after.get(used) == Some(&b' '));
    (word, number, from + letters + used + space)
}

fn code_page(number: i64) -> &'static Encoding {
    let label = match number {
        932 => "shift_jis".to_owned(),
        936 => "gbk".to_owned(),
        866 => "ibm866".to_owned(),
        10000 => "macintosh".to_owned(),
        number => format!("windows-{number}"),
    };
    Encoding::for_label(label.as_bytes()).unwrap_or(WINDOWS_1252)
}

struct Reader {
    code_page: &'static Encoding,
    /// Bytes in the code page that are not text yet.
    raw: Vec<u8>,
    text: String,
    out: TextBuilder,
    cells: Vec<String>,
    in_rows: bool,
}

impl Reader {
    fn put(&mut self, character: char, left_out: bool) {
        if !left_out {
            self.settle();
            self.text.push(character);
        }
    }

    /// Decodes what was collected.
    fn settle(&mut self) {
        let raw = std::mem::take(&mut self.raw);
        self.text.push_str(&self.code_page.decode_without_bom_handling(&raw).0);
    }

    fn paragraph(&mut self) -> Result<(), ExtractError> {
        self.settle();
        let text = std::mem::take(&mut self.text);
        self.out.block(Gap::Paragraph, &text)
    }

    fn word(&mut self, word: &str) -> Result<(), ExtractError> {
        let sign = match word {
            "par" | "sect" | "page" => {
                self.in_rows = false;
                return self.paragraph();
            }
            "cell" => {
                self.settle();
                let text = std::mem::take(&mut self.text);
                self.cells.push(super::text::one_line(&text));
                return Ok(());
            }
            "row" => {
                let row = std::mem::take(&mut self.cells);
                let first = !std::mem::replace(&mut self.in_rows, true);
                return self.out.row(&row, first);
            }
            "line" => '\n',
            "tab" => ' ',
            "emdash" => '—',
            "endash" => '–',
            "lquote" => '‘',
            "rquote" => '’',
            "ldblquote" => '“',
            "rdblquote" => '”',
            "bullet" => '•',
            _ => return Ok(()),
        };
        self.put(sign, false);
        Ok(())
    }
}
