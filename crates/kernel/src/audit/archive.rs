//! The local archive: `audits/yyyy/mm/dd/part-<tenant>-<first>-<last>.jsonl`, one entry a line, and `heads.jsonl` with signed heads.
//!
//! A part is named by the entries it holds and put in place by a rename, so writing it twice changes nothing.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use super::{Entry, store::Checkpoint};
use crate::{Error, Result};

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
