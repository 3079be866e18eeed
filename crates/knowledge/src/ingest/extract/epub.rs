//! Electronic books (EPUB 3.3): the chapters in the order of the spine.

use std::collections::HashMap;

use super::container::{Container, resolve};
use super::text::{TextBuilder, one_line};
use super::xml::{Token, attribute, walk};
use super::{ExtractError, Extracted, encoding, html};

const WHAT: &str = "electronic book";

pub(super) fn read(bytes: &[u8]) -> Result<Extracted, ExtractError> {
    let mut zip = Container::open(bytes, WHAT)?;
    // Fonts may be obfuscated without the book being protected; these two algorithms are for nothing else.
    if let Some(encryption) = zip.xml("META-INF/encryption.xml")? {
        let mut protected = false;
        walk(&encryption, WHAT, |token| {
            if let Token::Open("EncryptionMethod", element) = token {
                let algorithm = attribute(element, "Algorithm").unwrap_or_default();
                protected |=
                    !algorithm.starts_with("http://www.idpf.org/2008/embedding") && !algorithm.starts_with("http://ns.adobe.com/pdf/enc");
            }
            Ok(())
        })?;
        if protected {
            return Err(ExtractError::Encrypted { what: WHAT });
        }
    }
    let damaged = |detail: &str| ExtractError::Damaged { what: WHAT, detail: detail.to_owned() };
    let container = zip.xml("META-INF/container.xml")?.ok_or_else(|| damaged("it has no META-INF/container.xml"))?;
    let mut package_path = None;
    walk(&container, WHAT, |token| {
        if let Token::Open("rootfile", element) = token {
            package_path = package_path.take().or(attribute(element, "full-path"));
        }
        Ok(())
    })?;
    let path = package_path.ok_or_else(|| damaged("it names no package"))?;
    let package = zip.xml(&path)?.ok_or_else(|| damaged("its package is missing"))?;
    let book = Package::read(&package)?;
    let mut out = TextBuilder::new();
    for id in &book.spine {
        let Some(href) = book.files.get(id) else { continue };
        let href = String::from_utf8_lossy(&percent_decoded(href)).into_owned();
        if let Some(bytes) = zip.read(&resolve(&path, &href))? {
            let declared = encoding::html_charset(&bytes);
            html::append_fragment(&encoding::decode(&bytes, declared.as_deref())?.text, &mut out)?;
        }
    }
    let mut extracted = out.finish("application/epub+zip");
    extracted.title = Some(one_line(&book.title)).filter(|t| !t.is_empty()).or(extracted.title);
    extracted.lang = book.lang.split('-').next().map(|l| l.trim().to_lowercase()).filter(|l| !l.is_empty());
    Ok(extracted)
}

#[derive(Default)]
struct Package {
    title: String,
    lang: String,
    files: HashMap<String, String>,
    spine: Vec<String>,
}

impl Package {
    fn read(source: &str) -> Result<Self, ExtractError> {
        let (mut package, mut inside) = (Self::default(), "");
        walk(source, WHAT, |token| {
            match token {
                Token::Open("title", _) if package.title.is_empty() => inside = "title",
                Token::Open("language", _) if package.lang.is_empty() => inside = "language",
                Token::Open("item", element) => {
                    if let (Some(id), Some(href)) = (attribute(element, "id"), attribute(element, "href")) {
                        package.files.insert(id, href);
                    }
                }
                Token::Open("itemref", element) => package.spine.extend(attribute(element, "idref")),
                Token::Close(_) => inside = "",
                Token::Text(text) if inside == "title" => package.title.push_str(&text),
                Token::Text(text) if inside == "language" => package.lang.push_str(&text),
                _ => {}
            }
            Ok(())
        })?;
        Ok(package)
    }
}

/// `%20` and the like as the bytes they stand for; what is not such a sign stays.
fn percent_decoded(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let (mut out, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while let Some(byte) = bytes.get(at) {
        let code = bytes.get(at + 1..at + 3).and_then(|h| std::str::from_utf8(h).ok()).and_then(|h| u8::from_str_radix(h, 16).ok());
        match code {
            Some(code) if *byte == b'%' => {
                out.push(code);
                at += 3;
            }
            _ => {
                out.push(*byte);
                at += 1;
            }
        }
    }
    out
}
