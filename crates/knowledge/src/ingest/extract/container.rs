//! Archives: ZIP files, and the many formats of documents that are ZIP files inside. Everything is read into memory within limits; names lead nowhere.

use std::{
    borrow::Cow,
    io::{Cursor, Read},
};

use zip::{ZipArchive, result::ZipError};

use super::ExtractError;

/// Entries of an archive at most.
pub(super) const MAX_ENTRIES: usize = 5_000;
/// What an archive may come to when it is unpacked, in bytes.
pub(super) const MAX_UNPACKED: u64 = 256 << 20;

/// A ZIP archive in memory.
pub(super) struct Container<'a> {
    zip: ZipArchive<Cursor<&'a [u8]>>,
    what: &'static str,
    left: u64,
}

impl<'a> Container<'a> {
    /// Opens an archive; `what` names the kind of document in errors.
    pub fn open(bytes: &'a [u8], what: &'static str) -> Result<Self, ExtractError> {
        let zip = ZipArchive::new(Cursor::new(bytes)).map_err(|e| damaged(what, &e))?;
        if zip.len() > MAX_ENTRIES {
            return Err(ExtractError::TooLarge { found: zip.len(), limit: MAX_ENTRIES, unit: "entries" });
        }
        Ok(Self { zip, what, left: MAX_UNPACKED })
    }

    /// The names of its files, in the order of the archive.
    pub fn names(&self) -> Vec<String> {
        self.zip.file_names().flatten().filter(|n| !n.ends_with('/')).map(Cow::into_owned).collect()
    }

    /// Whether it has an entry of this name.
    pub fn has(&self, name: &str) -> bool {
        self.zip.index_for_name(name).is_some()
    }

    /// The bytes of an entry; `None` when there is none of this name.
    pub fn read(&mut self, name: &str) -> Result<Option<Vec<u8>>, ExtractError> {
        let what = self.what;
        let entry = match self.zip.by_name(name) {
            Ok(entry) => entry,
            Err(ZipError::FileNotFound) => return Ok(None),
            Err(ZipError::UnsupportedArchive(why)) if why == ZipError::PASSWORD_REQUIRED => return Err(ExtractError::Encrypted { what }),
            Err(error) => return Err(damaged(what, &error)),
        };
        // What the archive says of a size is not believed: one byte more than is left is enough to know.
        let mut bytes = Vec::new();
        entry.take(self.left + 1).read_to_end(&mut bytes).map_err(|e| damaged(what, &e))?;
        let read = bytes.len() as u64;
        if read > self.left {
            return Err(ExtractError::TooLarge {
                found: usize::try_from(MAX_UNPACKED + 1).unwrap_or(usize::MAX),
                limit: usize::try_from(MAX_UNPACKED).unwrap_or(usize::MAX),
                unit: "bytes when unpacked",
            });
        }
        self.left -= read;
        Ok(Some(bytes))
    }

    /// An XML entry as text.
    pub fn xml(&mut self, name: &str) -> Result<Option<String>, ExtractError> {
        let what = self.what;
        let Some(bytes) = self.read(name)? else { return Ok(None) };
        let text = super::encoding::decode(&bytes, None).map_err(|e| ExtractError::Damaged { what, detail: format!("{name}: {e}") })?.text;
        Ok(Some(text))
    }
}

fn damaged(what: &'static str, error: &dyn std::fmt::Display) -> ExtractError {
    ExtractError::Damaged { what, detail: error.to_string() }
}

/// The path that `target` means in the folder of `from`, both inside an archive; `..` never leaves it.
pub(super) fn resolve(from: &str, target: &str) -> String {
    let target = target.split('#').next().unwrap_or(target);
    let mut parts: Vec<&str> = match target.starts_with('/') {
        true => Vec::new(),
        false => from.rsplit_once('/').map_or(Vec::new(), |(folder, _)| folder.split('/').collect()),
    };
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}
