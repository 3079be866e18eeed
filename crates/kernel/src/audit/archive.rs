//! The local archive: `audits/yyyy/mm/dd/part-<tenant>-<first>-<last>.jsonl`, one entry a line, and `heads.jsonl` with signed heads.
//!
//! Payloads that were erased from the log are taken out of the parts as well: `erased-<tenant>` tells up to which entry of the chain that was done.
//!
//! A part is named by the entries it holds and put in place by a rename, so writing it twice changes nothing.

use std::{
    collections::HashSet,
    io::Write,
    path::{Path, PathBuf},
};

use super::{Entry, store::Checkpoint};
use crate::{Error, Id, Result, principal::TenantId};

/// A folder of archived entries.
#[derive(Clone, Debug)]
pub struct Archive {
    root: PathBuf,
}

impl Archive {
    /// The archive in a folder, which is made when the first part is written.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Writes consecutive entries of one tenant as a part, and the signed head that covers them.
    pub(super) async fn write(&self, entries: &[Entry], checkpoint: Option<&Checkpoint>) -> Result<()> {
        let (Some(first), Some(last)) = (entries.first(), entries.last()) else { return Ok(()) };
        let day = first.created_at.to_string();
        let (Some(date), Some(from), Some(to)) = (day.get(..10), first.seq, last.seq) else {
            return Err(Error::internal(format_args!("entry {} is not sealed", first.id)));
        };
        let folder = self.root.join("audits").join(date.replace('-', "/"));
        let part = folder.join(format!("part-{}-{from:012}-{to:012}.jsonl", first.tenant_id));
        let mut text = String::new();
        for entry in entries {
            text.push_str(&serde_json::to_string(entry).map_err(Error::internal)?);
            text.push('\n');
        }
        let head = checkpoint.map(serde_json::to_string).transpose().map_err(Error::internal)?;
        let heads = self.root.join("audits").join("heads.jsonl");
        tokio::task::spawn_blocking(move || {
            std::fs::create_dir_all(&folder)?;
            let temporary = part.with_extension("tmp");
            let mut file = std::fs::File::create(&temporary)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            std::fs::rename(&temporary, &part)?;
            std::fs::File::open(&folder)?.sync_all()?;
            if let Some(head) = head {
                let mut file = std::fs::File::options().create(true).append(true).open(heads)?;
                file.write_all(format!("{head}\n").as_bytes())?;
                file.sync_all()?;
            }
            Ok::<_, std::io::Error>(())
        })
        .await
        .map_err(Error::internal)?
        .map_err(Error::from)
    }

    /// Takes the payloads of entries out of a tenant's parts, where they stand at `places`. A part is replaced by a rename; repeating it changes
    /// nothing. Returns how many parts were replaced.
    ///
    /// # Errors
    /// When a part cannot be read or written.
    pub(super) async fn erase(&self, tenant: TenantId, ids: HashSet<Id<Entry>>, places: Vec<i64>) -> Result<usize> {
        let base = self.root.join("audits");
        let prefix = format!("part-{tenant}-");
        tokio::task::spawn_blocking(move || {
            let mut replaced = 0;
            for path in parts(&base)? {
                let name = path.file_stem().and_then(|n| n.to_str()).unwrap_or("");
                let range = name.strip_prefix(&prefix).and_then(|range| range.split_once('-'));
                let Some((Ok(first), Ok(last))) = range.map(|(a, b)| (a.parse::<i64>(), b.parse::<i64>())) else { continue };
                if places.iter().any(|seq| (first..=last).contains(seq)) && blank(&path, &ids)? {
                    replaced += 1;
                }
            }
            Ok(replaced)
        })
        .await
        .map_err(Error::internal)?
    }

    /// How far a tenant's erasures were applied to this archive.
    pub(super) fn erased_until(&self, tenant: TenantId) -> i64 {
        let text = std::fs::read_to_string(self.marker(tenant)).unwrap_or_default();
        text.trim().parse().unwrap_or(0)
    }

    /// Notes how far a tenant's erasures were applied to this archive.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn note_erased(&self, tenant: TenantId, seq: i64) -> Result<()> {
        Ok(std::fs::write(self.marker(tenant), format!("{seq}\n"))?)
    }

    fn marker(&self, tenant: TenantId) -> PathBuf {
        self.root.join("audits").join(format!("erased-{tenant}"))
    }

    /// Every archived entry and head, in no promised order. A line cut by a crash at the end of `heads.jsonl` is left out.
    ///
    /// # Errors
    /// `not_found` when there is no archive; `audit_broken` naming the file of a line that is no entry.
    pub fn read(root: &Path) -> Result<(Vec<Entry>, Vec<Checkpoint>)> {
        let base = root.join("audits");
        let mut entries = Vec::new();
        let mut heads = Vec::new();
        let mut folders = vec![base.clone()];
        while let Some(folder) = folders.pop() {
            let listing = std::fs::read_dir(&folder).map_err(|e| Error::not_found("archive").with_internal(e))?;
            for item in listing {
                let path = item?.path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|e| e == "jsonl") {
                    let text = std::fs::read_to_string(&path)?;
                    let is_heads = path.file_name().is_some_and(|n| n == "heads.jsonl");
                    for line in text.lines().filter(|l| !l.is_empty()) {
                        if is_heads {
                            heads.extend(serde_json::from_str::<Checkpoint>(line).ok());
                        } else {
                            entries.push(serde_json::from_str::<Entry>(line).map_err(|e| {
                                Error::new(
                                    crate::error::code::AUDIT_BROKEN,
                                    format!("{} has a line that is no audit entry", path.display()),
                                )
                                .with_internal(e)
                            })?);
                        }
                    }
                }
            }
        }
        Ok((entries, heads))
    }
}

/// The parts below a folder.
fn parts(base: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![base.to_owned()];
    while let Some(folder) = folders.pop() {
        let listing = match std::fs::read_dir(&folder) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            listing => listing?,
        };
        for item in listing {
            let path = item?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "jsonl") {
                found.push(path);
            }
        }
    }
    Ok(found)
}

/// Takes the payloads of entries out of a part. Returns whether there were any. Other lines stay byte for byte.
fn blank(part: &Path, ids: &HashSet<Id<Entry>>) -> Result<bool> {
    let text = std::fs::read_to_string(part)?;
    let mut changed = false;
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        match serde_json::from_str::<Entry>(line) {
            Ok(mut entry) if ids.contains(&entry.id) && (entry.payload.is_some() || entry.payload_salt.is_some()) => {
                (entry.payload, entry.payload_salt, changed) = (None, None, true);
                out.push_str(&serde_json::to_string(&entry).map_err(Error::internal)?);
            }
            _ => out.push_str(line),
        }
        out.push('\n');
    }
    if changed {
        let temporary = part.with_extension("tmp");
        let mut file = std::fs::File::create(&temporary)?;
        file.write_all(out.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&temporary, part)?;
        if let Some(folder) = part.parent() {
            std::fs::File::open(folder)?.sync_all()?;
        }
    }
    Ok(changed)
}
