//! The local journal: what is about to be asked of a provider, and how it ended, a line each.
//!
//! A line is written before the provider is called and is not synced: it survives the death of the process, not that of the machine.
//! The journal is a folder of segments. A segment is deleted when everything it began stands in SQL; what is found in the folder at a
//! start is what a process that died did not get there.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use astrolabe_kernel::{Error, Id, Random, Result, error::code};
use serde::{Deserialize, Serialize};

use super::{Outcome, UsageRecord};

/// Bytes after which a segment is closed and another begun.
const SEGMENT: u64 = 8 << 20;

/// The longest line that is read back; longer ones were not written by us.
const MAX_LINE: usize = 64 << 10;

/// A line: what was begun with what is known before the call, or what came of it.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line<R> {
    Begin(R),
    End(R),
}

/// The journal of this process.
pub(super) struct Journal {
    folder: PathBuf,
    random: Random,
    active: Mutex<Arc<Segment>>,
}

/// A file of the journal.
pub(super) struct Segment {
    path: PathBuf,
    file: File,
    written: AtomicU64,
    /// What was begun here and is not in SQL.
    open: AtomicU64,
    closed: AtomicBool,
}

impl Journal {
    /// A journal in a folder, which is made when it is missing.
    pub(super) fn open(folder: &Path, random: &Random) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let active = Mutex::new(Arc::new(Segment::make(folder, random)?));
        Ok(Self { folder: folder.to_owned(), random: random.clone(), active })
    }

    /// Notes what is about to be asked. The segment is where its end has to be noted.
    ///
    /// # Errors
    /// `storage_full` when the line cannot be written: then the provider must not be called.
    pub(super) fn begin(&self, record: &UsageRecord) -> Result<Arc<Segment>> {
        let segment = {
            let mut active = self.active.lock().unwrap_or_else(PoisonError::into_inner);
            if active.written.load(Ordering::Relaxed) >= SEGMENT {
                let next = Arc::new(Segment::make(&self.folder, &self.random)?);
                std::mem::replace(&mut *active, next).close();
            }
            // Counted under the lock, so that a segment is never found done while something begins in it.
            active.open.fetch_add(1, Ordering::AcqRel);
            active.clone()
        };
        match segment.append(&Line::Begin(record)) {
            Ok(()) => Ok(segment),
            Err(e) => {
                segment.settle();
                Err(Error::new(code::STORAGE_FULL, "the journal of usage cannot be written, and no model is called without it")
                    .with_internal(e))
            }
        }
    }

    /// Leaves nothing behind when everything is in SQL: for an orderly stop.
    pub(super) fn close(&self) {
        self.active.lock().unwrap_or_else(PoisonError::into_inner).close();
    }
}

impl Segment {
    fn make(folder: &Path, random: &Random) -> Result<Self> {
        let path = folder.join(format!("{}.jsonl", random.token(12)));
        let mut options = File::options();
        options.create_new(true).append(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(&path)?;
        Ok(Self { path, file, written: AtomicU64::new(0), open: AtomicU64::new(0), closed: AtomicBool::new(false) })
    }

    /// Notes how something ended that began here. A line that cannot be written makes the record an estimate after a crash, and nothing else.
    pub(super) fn end(&self, record: &UsageRecord) {
        if let Err(error) = self.append(&Line::End(record)) {
            tracing::warn!(%error, "the end of a model call could not be written to the journal");
        }
    }

    /// One `write` of the whole line: the system keeps lines of several threads apart in a file that is opened for appending.
    fn append(&self, line: &Line<&UsageRecord>) -> std::io::Result<()> {
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        self.written.fetch_add(text.len() as u64, Ordering::Relaxed);
        (&self.file).write_all(&text)
    }

    /// Something that began here is in SQL.
    pub(super) fn settle(&self) {
        if self.open.fetch_sub(1, Ordering::AcqRel) == 1 && self.closed.load(Ordering::Acquire) {
            self.remove();
        }
    }

    fn close(&self) {
        self.closed.store(true, Ordering::Release);
        if self.open.load(Ordering::Acquire) == 0 {
            self.remove();
        }
    }

    fn remove(&self) {
        // Both the last settle and the close may come here.
        if let Err(error) = fs::remove_file(&self.path)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(%error, "a journal of usage that is done with could not be removed");
        }
    }
}

/// What processes that died left: the files, and the records they make. Of what has no end, the record says so.
pub(super) fn left_behind(folder: &Path) -> Result<Vec<(PathBuf, Vec<UsageRecord>)>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(e.into()),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "jsonl") {
            let records = read(&path)?;
            found.push((path, records));
        }
    }
    Ok(found)
}

fn read(path: &Path) -> Result<Vec<UsageRecord>> {
    let mut records: BTreeMap<Id<UsageRecord>, UsageRecord> = BTreeMap::new();
    let mut reader = BufReader::new(File::open(path)?);
    let (mut line, mut broken) = (Vec::new(), 0u64);
    loop {
        line.clear();
        if reader.read_until(b'\n', &mut line)? == 0 {
            break;
        }
        match serde_json::from_slice(&line) {
            _ if line.len() > MAX_LINE => broken += 1,
            Ok(Line::Begin(mut record @ UsageRecord { .. })) => {
                record.outcome = Outcome::Cut;
                record.tokens.estimated = true;
                records.entry(record.id).or_insert(record);
            }
            Ok(Line::End(record)) => {
                records.insert(record.id, record);
            }
            Err(_) => broken += 1,
        }
    }
    if broken > 0 {
        // The last line of a disk that was full is cut; its call was refused.
        tracing::warn!(broken, path = %path.display(), "lines of the journal of usage could not be read");
    }
    Ok(records.into_values().collect())
}
