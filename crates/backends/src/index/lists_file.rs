//! The file that spares opening the work of finding the vectors' lists. Nothing is lost with it: a file that is missing,
//! damaged or of other vectors is left out, and the lists are made again.

use std::io;
use std::path::Path;

use super::error::IndexError;
use super::lists::Centres;
use super::postings::{put_varint, take_varint};
use super::vectors::{Codes, Vectors};

/// Name of the file inside the index directory, and while it is written.
const LISTS_FILE: &str = "index.lists";
const NEXT_FILE: &str = "index.lists.next";
/// Changes with the bytes below; another one is as good as none.
const MAGIC: [u8; 8] = *b"ASTLIST1";

/// One tenant's lists.
#[derive(Debug, Clone, PartialEq)]
pub struct Saved {
    /// The tenant.
    pub tenant: String,
    /// Vectors there were when the centres were found.
    pub trained: usize,
    /// The centres.
    pub centres: Centres,
    /// The list of each of the first rows.
    pub assigned: Vec<u16>,
    /// Checksum of these rows; `None` where they are known to be the same.
    pub checksum: Option<u32>,
}

impl Saved {
    /// The lists of a tenant's vectors, if they have any.
    pub fn of(tenant: &str, vectors: &Vectors) -> Option<Self> {
        let lists = vectors.lists()?;
        let assigned = vectors.rows().map(|(_, list)| list).collect::<Option<Vec<_>>>()?;
        let checksum = Some(vectors.checksum(assigned.len()));
        Some(Self { tenant: tenant.to_owned(), trained: lists.trained(), centres: lists.centres().clone(), assigned, checksum })
    }

    /// Whether these are lists of these vectors.
    pub fn fits(&self, vectors: &Vectors) -> bool {
        let rows = self.assigned.len();
        match self.checksum {
            Some(checksum) => rows <= vectors.len() && checksum == vectors.checksum(rows),
            None => rows == vectors.len(),
        }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.tenant.len() as u64);
        out.extend_from_slice(self.tenant.as_bytes());
        put_varint(out, self.trained as u64);
        put_varint(out, self.centres.under.len() as u64);
        self.centres.under.iter().for_each(|first| put_varint(out, u64::from(*first)));
        for centres in [&self.centres.coarse, &self.centres.fine] {
            let (codes, scales) = centres.parts();
            put_varint(out, scales.len() as u64);
            scales.iter().for_each(|scale| out.extend_from_slice(&scale.to_le_bytes()));
            out.extend(codes.iter().map(|code| code.cast_unsigned()));
        }
        out.extend_from_slice(&self.checksum.unwrap_or_default().to_le_bytes());
        put_varint(out, self.assigned.len() as u64);
        self.assigned.iter().for_each(|list| out.extend_from_slice(&list.to_le_bytes()));
    }

    fn decode(from: &mut &[u8], dims: usize) -> Option<Self> {
        let len = take_len(from)?;
        let tenant = std::str::from_utf8(take(from, len)?).ok()?.to_owned();
        let trained = take_len(from)?;
        let count = take_len(from)?;
        let under = (0..count).map(|_| u32::try_from(take_varint(from)?).ok()).collect::<Option<Vec<_>>>()?;
        let (coarse, fine) = (take_codes(from, dims)?, take_codes(from, dims)?);
        let checksum = Some(u32::from_le_bytes(take(from, 4)?.try_into().ok()?));
        let rows = take_len(from)?;
        let assigned: Vec<u16> = take(from, rows.checked_mul(2)?)?.as_chunks::<2>().0.iter().map(|x| u16::from_le_bytes(*x)).collect();
        let centres = Centres { fine, coarse, under };
        (centres.is_sound() && assigned.iter().all(|list| usize::from(*list) < centres.fine.len())).then_some(Self {
            tenant,
            trained,
            centres,
            assigned,
            checksum,
        })
    }
}

/// Writes the lists of all tenants in place of what was there.
pub fn write(dir: &Path, saved: &[Saved]) -> Result<(), IndexError> {
    let mut bytes = MAGIC.to_vec();
    saved.iter().for_each(|saved| saved.encode(&mut bytes));
    let crc = crc32fast::hash(&bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());
    let (next, path) = (dir.join(NEXT_FILE), dir.join(LISTS_FILE));
    // Not synced: what a power failure leaves is known by its checksum.
    std::fs::write(&next, &bytes).map_err(IndexError::io("write the vector lists", &next))?;
    std::fs::rename(&next, &path).map_err(IndexError::io("put the new vector lists in place", &path))
}

/// The lists that were saved; none when there is no file or it is not whole.
pub fn read(dir: &Path, dims: usize) -> Vec<Saved> {
    let path = dir.join(LISTS_FILE);
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Vec::new(),
        Err(e) => {
            tracing::warn!(error = %e, path = %path.display(), "the vector lists cannot be read and are made again");
            return Vec::new();
        }
    };
    let saved = decode(&bytes, dims);
    if saved.is_none() {
        tracing::warn!(path = %path.display(), "the vector lists are damaged and are made again");
    }
    saved.unwrap_or_default()
}

fn decode(bytes: &[u8], dims: usize) -> Option<Vec<Saved>> {
    let (body, crc) = bytes.split_last_chunk::<4>()?;
    if crc32fast::hash(body) != u32::from_le_bytes(*crc) {
        return None;
    }
    let mut from = body.strip_prefix(&MAGIC)?;
    let mut saved = Vec::new();
    while !from.is_empty() {
        saved.push(Saved::decode(&mut from, dims)?);
    }
    Some(saved)
}

fn take<'a>(from: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (bytes, rest) = from.split_at_checked(len)?;
    *from = rest;
    Some(bytes)
}

fn take_len(from: &mut &[u8]) -> Option<usize> {
    usize::try_from(take_varint(from)?).ok()
}

fn take_codes(from: &mut &[u8], dims: usize) -> Option<Codes> {
    let len = take_len(from)?;
    let scales = take(from, len.checked_mul(4)?)?.as_chunks::<4>().0.iter().map(|x| f32::from_le_bytes(*x)).collect();
    let codes = take(from, len.checked_mul(dims)?)?.iter().map(|code| code.cast_signed()).collect();
    Codes::from_parts(dims, codes, scales)
}
