//! A tokenizer for HTML in one linear pass.
//!
//! It follows the tokenization states of the WHATWG HTML standard (section 13.2.5) as far as text extraction needs them. A full parser was left
//! out, by its design and not by a timing of ours: its tree builder walks all open elements for each block element, which is quadratic in 100,000 nested `div`s, and compares each
//! attribute of a tag with all others, which is quadratic in a tag of a megabyte.

/// One piece of an HTML document.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// Text, entities not yet decoded when `raw` is false.
    Text { text: &'a str, raw: bool },
    /// A start tag with its lower-case name.
    Start { name: String, attributes: Vec<(String, &'a str)> },
    /// An end tag with its lower-case name.
    End { name: String },
}

/// Attributes kept per tag; further ones are skipped.
const MAX_ATTRIBUTES: usize = 64;
/// Longest tag name kept, in bytes; a longer one is cut, which makes it an unknown element.
const MAX_NAME: usize = 32;

/// Iterates over the tokens of a document. Comments, doctypes and processing instructions are skipped.
pub(super) struct Tokens<'a> {
    rest: &'a str,
    /// Name of the raw-text element being read, whose content is text until its end tag.
    raw_until: Option<String>,
}

impl<'a> Tokens<'a> {
    pub(super) fn new(source: &'a str) -> Self {
        Self { rest: source, raw_until: None }
    }

    fn take(&mut self, bytes: usize) -> &'a str {
        let (head, tail) = self.rest.split_at_checked(bytes).unwrap_or((self.rest, ""));
        self.rest = tail;
        head
    }

    /// Text of `script`, `style`, `title` and the like: everything up to the matching end tag.
    fn raw_text(&mut self, name: &str) -> Token<'a> {
        let bytes = self.rest.as_bytes();
        let mut from = 0usize;
        let end = loop {
            let Some(at) = memchr_from(bytes, b'<', from) else {
                break bytes.len();
            };
            let after = bytes.get(at + 1..).unwrap_or_default();
            if after.first() == Some(&b'/')
                && after.get(1..=name.len()).is_some_and(|n| n.eq_ignore_ascii_case(name.as_bytes()))
                && after.get(1 + name.len()).is_none_or(|b| b.is_ascii_whitespace() || matches!(b, b'/' | b'>'))
            {
                break at;
            }
            from = at + 1;
        };
        Token::Text { text: self.take(end), raw: !matches!(name, "title" | "textarea") }
    }

    /// Skips `<!-- … -->`, `<!doctype …>`, `<? … >` and `</…>` without a name.
    fn skip_markup_declaration(&mut self) {
        let end = if self.rest.starts_with("<!-->") {
            5
        } else if self.rest.starts_with("<!--") {
            // One scan for `-->` or `--!>`, whichever comes first.
            let bytes = self.rest.as_bytes();
            let mut from = 4usize;
            loop {
                let Some(at) = memchr_from(bytes, b'>', from) else {
                    break bytes.len();
                };
                let before = bytes.get(4..at).unwrap_or_default();
                if before.ends_with(b"--") || before.ends_with(b"--!") {
                    break at + 1;
                }
                from = at + 1;
            }
        } else if self.rest.starts_with("<![CDATA[") {
            self.rest.find("]]>").map_or(self.rest.len(), |at| at + 3)
        } else {
            self.rest.find('>').map_or(self.rest.len(), |at| at + 1)
        };
        self.take(end);
    }

    fn tag(&mut self, is_end: bool) -> Token<'a> {
        self.take(if is_end { 2 } else { 1 });
        let bytes = self.rest.as_bytes();
        let length = bytes.iter().position(|b| b.is_ascii_whitespace() || matches!(b, b'/' | b'>')).unwrap_or(bytes.len());
        let full = self.take(length);
        let cut = full.char_indices().map(|(at, _)| at).take_while(|at| *at <= MAX_NAME).last().unwrap_or(0);
        let name = if full.len() <= MAX_NAME { full } else { full.get(..cut).unwrap_or_default() }.to_ascii_lowercase();
        let attributes = self.attributes();
        if is_end {
            return Token::End { name };
        }
        if matches!(name.as_str(), "script" | "style" | "xmp" | "iframe" | "noembed" | "noframes" | "title" | "textarea" | "plaintext") {
            self.raw_until = Some(name.clone());
        }
        Token::Start { name, attributes }
    }

    /// Reads up to and including the `>` of the tag.
    fn attributes(&mut self) -> Vec<(String, &'a str)> {
        let mut found = Vec::new();
        loop {
            self.skip_while(|b| b.is_ascii_whitespace() || b == b'/');
            match self.rest.as_bytes().first() {
                None => break,
                Some(b'>') => {
                    self.take(1);
                    break;
                }
                Some(_) => {}
            }
            let bytes = self.rest.as_bytes();
            // A leading `=` belongs to the name, as the standard says; it also guarantees progress.
            let length = 1 + bytes
                .iter()
                .skip(1)
                .position(|b| b.is_ascii_whitespace() || matches!(b, b'/' | b'>' | b'='))
                .unwrap_or(bytes.len().saturating_sub(1));
            let name = self.take(self.boundary(length));
            self.skip_while(|b| b.is_ascii_whitespace());
            let mut value = "";
            if self.rest.as_bytes().first() == Some(&b'=') {
                self.take(1);
                self.skip_while(|b| b.is_ascii_whitespace());
                value = match self.rest.as_bytes().first() {
                    Some(quote @ (b'"' | b'\'')) => {
                        let quote = *quote;
                        self.take(1);
                        let end = memchr_from(self.rest.as_bytes(), quote, 0).unwrap_or(self.rest.len());
                        let value = self.take(end);
                        self.take(1);
                        value
                    }
                    _ => {
                        let end = self.rest.bytes().position(|b| b.is_ascii_whitespace() || b == b'>').unwrap_or(self.rest.len());
                        self.take(end)
                    }
                };
            }
            if found.len() < MAX_ATTRIBUTES && name.len() <= MAX_NAME {
                found.push((name.to_ascii_lowercase(), value));
            }
        }
        found
    }

    fn skip_while(&mut self, skip: impl Fn(u8) -> bool) {
        let length = self.rest.bytes().position(|b| !skip(b)).unwrap_or(self.rest.len());
        self.take(length);
    }

    /// The first character boundary at or after a byte offset.
    fn boundary(&self, mut at: usize) -> usize {
        while at < self.rest.len() && !self.rest.is_char_boundary(at) {
            at += 1;
        }
        at
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        if let Some(name) = self.raw_until.take() {
            return Some(self.raw_text(&name));
        }
        loop {
            if self.rest.is_empty() {
                return None;
            }
            let bytes = self.rest.as_bytes();
            if bytes.first() == Some(&b'<') {
                match (bytes.get(1), bytes.get(2)) {
                    (Some(b'!' | b'?'), _) => {
                        self.skip_markup_declaration();
                        continue;
                    }
                    (Some(b'/'), Some(c)) if c.is_ascii_alphabetic() => {
                        return Some(self.tag(true));
                    }
                    (Some(b'/'), Some(_)) => {
                        self.skip_markup_declaration();
                        continue;
                    }
                    (Some(c), _) if c.is_ascii_alphabetic() => return Some(self.tag(false)),
                    _ => {}
                }
            }
            // Text runs to the next `<` that can open markup; a lone `<` is text.
            let mut from = 1usize;
            let end = loop {
                let Some(at) = memchr_from(bytes, b'<', from) else {
                    break bytes.len();
                };
                if bytes.get(at + 1).is_some_and(|b| b.is_ascii_alphabetic() || matches!(b, b'/' | b'!' | b'?')) {
                    break at;
                }
                from = at + 1;
            };
            return Some(Token::Text { text: self.take(self.boundary(end)), raw: false });
        }
    }
}

fn memchr_from(bytes: &[u8], needle: u8, from: usize) -> Option<usize> {
    bytes.get(from..)?.iter().position(|b| *b == needle).map(|at| at + from)
}
