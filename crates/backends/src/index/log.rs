//! The append-only file that makes the index durable.
//!
//! A header names the format, the analysis and the embedding; then come records, each `magic, lengths, checksums, head,
//! body`. A record is committed when it is on disk whole. What follows the last whole record is the trace of a write
//! that never returned, and is cut off on open. Damage before that costs the records it touches and no others.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::IndexError;
use super::record::{Body, Head};
use crate::analysis::ANALYSIS_VERSION;

/// Name of the log inside the index directory.
pub const LOG_FILE: &str = "index.log";
/// Name of a log that is being written to replace it.
const NEXT_FILE: &str = "index.log.next";

const FILE_MAGIC: [u8; 8] = *b"ASTROIDX";
/// Format number of this version. A higher one on disk is refused, a lower one is rebuilt.
pub const FORMAT: u32 = 2;
/// 0xFF never occurs in UTF-8, so no text inside a record can pass for the start of one.
const RECORD_MAGIC: [u8; 4] = [0xff, b'R', b'E', b'C'];
/// Magic, head length, body length, body checksum, head checksum (which covers the lengths and the body's checksum).
const PREFIX: u64 = 20;
/// Largest head or body. A document beyond it is refused.
pub const MAX_PART: usize = 1 << 30;

/// What a log is for. A log of another generation is replaced by an empty one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generation {
    /// Alias of the embedding model.
    pub embed_alias: String,
    /// Version of the embedding model.
    pub embed_version: String,
    /// Length of its vectors.
    pub dims: usize,
}

/// An open log.
#[derive(Debug)]
pub struct Log {
    /// The open file; readers of vectors share it.
    pub file: Arc<File>,
    /// Where it is.
    pub path: PathBuf,
    /// Bytes of whole records and the header.
    pub len: u64,
    /// Bytes of the header.
    pub header: u64,
    /// A write failed and left bytes behind `len` that could not be cut off.
    dirty: bool,
}

/// Where a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// First byte.
    pub offset: u64,
    /// Bytes.
    pub len: u64,
    /// First byte of the body.
    pub body: u64,
}

/// What reading a log found beside its records.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Scan {
    /// Bytes cut off at the end.
    pub truncated_bytes: u64,
    /// Bytes skipped before the end.
    pub damaged_bytes: u64,
}

/// One thing found while reading.
pub enum Found {
    /// A whole record.
    Record(Head, Body, Span),
    /// A record whose head is whole and whose body is not.
    Damaged(Head, Span),
}

/// Why a log that was found is not used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unusable {
    /// There is none.
    Absent,
    /// Its header cannot be read.
    Header,
    /// An older format.
    Format(u32),
    /// Other analysis or another embedding.
    Generation,
}

impl Generation {
    fn header(&self) -> Vec<u8> {
        let mut bytes = FILE_MAGIC.to_vec();
        bytes.extend_from_slice(&FORMAT.to_le_bytes());
        // The first sixteen bytes stay the same in every format, so that a newer one is known for what it is.
        let crc = crc32fast::hash(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        let mut rest = Vec::new();
        rest.extend_from_slice(&ANALYSIS_VERSION.to_le_bytes());
        rest.extend_from_slice(&(self.dims as u64).to_le_bytes());
        for text in [&self.embed_alias, &self.embed_version] {
            rest.extend_from_slice(&(text.len() as u64).to_le_bytes());
            rest.extend_from_slice(text.as_bytes());
        }
        let crc = crc32fast::hash(&rest);
        bytes.extend_from_slice(&rest);
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes
    }
}

impl Log {
    /// Opens the log of `dir` for this generation, or says why it cannot be used.
    pub fn open(dir: &Path, generation: &Generation) -> Result<Result<Self, Unusable>, IndexError> {
        let path = dir.join(LOG_FILE);
        let file = match OpenOptions::new().read(true).write(true).open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Err(Unusable::Absent)),
            Err(e) => return Err(IndexError::io("open the index log", path)(e)),
        };
        let len = file.metadata().map_err(IndexError::io("read the size of the index log", &path))?.len();
        let expected = generation.header();
        let mut found = vec![0; expected.len().min(usize::try_from(len).unwrap_or(usize::MAX))];
        file.read_exact_at(&mut found, 0).map_err(IndexError::io("read the index log", &path))?;
        if let Some(reason) = unusable(&found, &expected, &path)? {
            return Ok(Err(reason));
        }
        Ok(Ok(Self { file: Arc::new(file), path, len, header: expected.len() as u64, dirty: false }))
    }

    /// Removes what a compaction left that was cut short.
    pub fn remove_unfinished(dir: &Path) -> Result<(), IndexError> {
        let path = dir.join(NEXT_FILE);
        match std::fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(IndexError::io("remove an unfinished index log", path)(e)),
            _ => Ok(()),
        }
    }

    /// Writes an empty log under another name; [`Log::install`] puts it in place.
    pub fn create(dir: &Path, generation: &Generation) -> Result<Self, IndexError> {
        let path = dir.join(NEXT_FILE);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(&path)
            .map_err(IndexError::io("create the index log", &path))?;
        let header = generation.header();
        file.write_all_at(&header, 0).map_err(IndexError::io("write the index log", &path))?;
        let len = header.len() as u64;
        Ok(Self { file: Arc::new(file), path, len, header: len, dirty: false })
    }

    /// Makes a created log durable and gives it its final name, in one step that a crash cannot divide.
    pub fn install(&mut self, dir: &Path) -> Result<(), IndexError> {
        let path = dir.join(LOG_FILE);
        self.file.sync_all().map_err(IndexError::io("write the index log to disk", &self.path))?;
        std::fs::rename(&self.path, &path).map_err(IndexError::io("put the new index log in place", &path))?;
        File::open(dir).and_then(|d| d.sync_all()).map_err(IndexError::io("write the directory to disk", dir))?;
        self.path = path;
        Ok(())
    }

    /// Appends bytes of whole records and waits until they are on disk. On an error the log ends where it did.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), IndexError> {
        if self.dirty {
            self.file.set_len(self.len).map_err(IndexError::io("cut off an unfinished write in the index log", &self.path))?;
            self.dirty = false;
        }
        let written = self.file.write_all_at(bytes, self.len).and_then(|()| self.file.sync_data());
        if let Err(e) = written {
            self.dirty = self.file.set_len(self.len).is_err();
            return Err(IndexError::io("append to the index log", &self.path)(e));
        }
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// Appends without waiting for the disk; [`Log::install`] waits.
    pub fn copy(&mut self, bytes: &[u8]) -> Result<(), IndexError> {
        self.file.write_all_at(bytes, self.len).map_err(IndexError::io("write the index log", &self.path))?;
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// Reads all records in order, cuts off the torn tail, and reports what was skipped.
    pub fn scan(&mut self, mut found: impl FnMut(Found)) -> Result<Scan, IndexError> {
        let mut scan = Scan::default();
        let mut at = self.header;
        let mut buffer = Vec::new();
        while at < self.len {
            let step = self.record_at(at, &mut buffer)?;
            match step {
                Step::Whole(head, body, span) => {
                    at = span.offset + span.len;
                    found(Found::Record(head, body, span));
                }
                // A broken body in the last record is a write that was cut: the document keeps its earlier version.
                Step::Body(head, span) if span.offset + span.len < self.len => {
                    at = span.offset + span.len;
                    scan.damaged_bytes += span.len;
                    found(Found::Damaged(head, span));
                }
                Step::Body(..) => break,
                Step::Lost => match self.next_record(at + 1)? {
                    Some(next) => {
                        scan.damaged_bytes += next - at;
                        at = next;
                    }
                    None => break,
                },
            }
        }
        if at < self.len {
            scan.truncated_bytes = self.len - at;
            self.file
                .set_len(at)
                .and_then(|()| self.file.sync_all())
                .map_err(IndexError::io("cut off an unfinished write in the index log", &self.path))?;
            self.len = at;
        }
        Ok(scan)
    }

    fn record_at(&self, offset: u64, buffer: &mut Vec<u8>) -> Result<Step, IndexError> {
        let Some((head, body_crc, span)) = self.head_at(offset, buffer)? else { return Ok(Step::Lost) };
        buffer.resize(usize::try_from(span.offset + span.len - span.body).unwrap_or(MAX_PART), 0);
        self.read(span.body, buffer)?;
        if crc32fast::hash(buffer) != body_crc {
            return Ok(Step::Body(head, span));
        }
        Ok(match Body::decode(buffer) {
            Some(body) => Step::Whole(head, body, span),
            None => Step::Body(head, span),
        })
    }

    /// The record's head, if a whole record may start at `offset`.
    fn head_at(&self, offset: u64, buffer: &mut Vec<u8>) -> Result<Option<(Head, u32, Span)>, IndexError> {
        if self.len.saturating_sub(offset) < PREFIX {
            return Ok(None);
        }
        let mut prefix = [0_u8; 20];
        self.read(offset, &mut prefix)?;
        let field = |i: usize| u32::from_le_bytes([prefix[i], prefix[i + 1], prefix[i + 2], prefix[i + 3]]);
        let (head_len, body_len, body_crc, head_crc) = (field(4), field(8), field(12), field(16));
        let body = offset + PREFIX + u64::from(head_len);
        let end = body + u64::from(body_len);
        if prefix[..4] != RECORD_MAGIC || end > self.len {
            return Ok(None);
        }
        buffer.resize(head_len as usize, 0);
        self.read(offset + PREFIX, buffer)?;
        let mut crc = crc32fast::Hasher::new();
        crc.update(&prefix[4..16]);
        crc.update(buffer);
        if crc.finalize() != head_crc {
            return Ok(None);
        }
        let span = Span { offset, len: end - offset, body };
        Ok(Head::decode(buffer).map(|head| (head, body_crc, span)))
    }

    /// The next byte from `from` on where a record starts, after damage.
    fn next_record(&self, from: u64) -> Result<Option<u64>, IndexError> {
        let mut window = vec![0; 1 << 16];
        let mut buffer = Vec::new();
        let mut at = from;
        while at < self.len {
            let size = window.len().min(usize::try_from(self.len - at).unwrap_or(usize::MAX));
            let window = &mut window[..size];
            self.read(at, window)?;
            for i in 0..size.saturating_sub(RECORD_MAGIC.len() - 1) {
                let offset = at + i as u64;
                if window[i..].starts_with(&RECORD_MAGIC) && self.head_at(offset, &mut buffer)?.is_some() {
                    return Ok(Some(offset));
                }
            }
            if (size as u64) < 4 || at + size as u64 >= self.len {
                break;
            }
            at += size as u64 - 3;
        }
        Ok(None)
    }

    fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<(), IndexError> {
        self.file.read_exact_at(buffer, offset).map_err(IndexError::io("read the index log", &self.path))
    }

    /// The bytes of a record.
    pub fn bytes(&self, span: Span, buffer: &mut Vec<u8>) -> Result<(), IndexError> {
        buffer.resize(usize::try_from(span.len).unwrap_or(MAX_PART), 0);
        self.read(span.offset, buffer)
    }
}

enum Step {
    Whole(Head, Body, Span),
    Body(Head, Span),
    Lost,
}

fn unusable(found: &[u8], expected: &[u8], path: &Path) -> Result<Option<Unusable>, IndexError> {
    let Some((start, rest)) = found.split_at_checked(16) else { return Ok(Some(Unusable::Header)) };
    let format = u32::from_le_bytes([start[8], start[9], start[10], start[11]]);
    let crc = u32::from_le_bytes([start[12], start[13], start[14], start[15]]);
    if start[..8] != FILE_MAGIC || crc32fast::hash(&start[..12]) != crc {
        return Ok(Some(Unusable::Header));
    }
    if format > FORMAT {
        return Err(IndexError::NewerFormat { path: path.to_owned(), found: format, supported: FORMAT });
    }
    if format < FORMAT {
        return Ok(Some(Unusable::Format(format)));
    }
    Ok((rest != &expected[16..]).then_some(Unusable::Generation))
}

/// Appends a record to `out` and returns where it will be once `out` is appended at byte `base` of the log.
pub fn encode(head: &Head, body: &mut Body, out: &mut Vec<u8>, base: u64) -> Result<Span, IndexError> {
    let start = out.len();
    out.extend_from_slice(&[0; 20]);
    head.encode(out);
    let body_start = out.len();
    body.encode(out);
    let head_len = body_start - start - 20;
    let body_len = out.len() - body_start;
    let too_large = |_| IndexError::invalid("document", "its index record exceeds 1 GiB: split the document");
    if head_len.max(body_len) > MAX_PART {
        out.truncate(start);
        return Err(IndexError::invalid("document", "its index record exceeds 1 GiB: split the document"));
    }
    let body_crc = crc32fast::hash(&out[body_start..]);
    let mut prefix = [0_u8; 20];
    prefix[..4].copy_from_slice(&RECORD_MAGIC);
    prefix[4..8].copy_from_slice(&u32::try_from(head_len).map_err(too_large)?.to_le_bytes());
    prefix[8..12].copy_from_slice(&u32::try_from(body_len).map_err(too_large)?.to_le_bytes());
    prefix[12..16].copy_from_slice(&body_crc.to_le_bytes());
    let mut crc = crc32fast::Hasher::new();
    crc.update(&prefix[4..16]);
    crc.update(&out[start + 20..body_start]);
    prefix[16..].copy_from_slice(&crc.finalize().to_le_bytes());
    out[start..start + 20].copy_from_slice(&prefix);
    Ok(Span { offset: base + start as u64, len: (out.len() - start) as u64, body: base + body_start as u64 })
}
