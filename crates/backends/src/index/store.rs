//! Opening, writing, reading and compacting an index.

use std::collections::HashMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use super::check::{checked, unit};
use super::error::IndexError;
use super::lists::Lists;
use super::lists_file::{self, Saved};
use super::log::{Found, Generation, LOG_FILE, Log, Span, Unusable, encode};
use super::record::{Body, Change, Head, body_of, take_vector};
use super::tenant::Tenant;
use super::topk::TopK;
use super::vectors::{CodedQuery, inner_product};
use super::{DocumentState, Filter, Hit, IndexDocument, IndexStats, OpenReport, Snapshot};
use crate::analysis::{Lookup, Near, QueryTerm};

/// Name of the file that keeps a second process out.
const LOCK_FILE: &str = "index.lock";
/// Dead bytes below this are not worth a compaction.
const COMPACT_FLOOR: u64 = 1 << 20;
/// The lists are saved again when their vectors have grown by one part of this many.
const SAVE_SHARE: usize = 8;
/// Candidates of the coded scan whose full vectors are read, at least and per hit asked for.
const CANDIDATES: (usize, usize) = (64, 4);

/// The index of one generation. Shared by reference between threads; every method takes `&self`.
#[derive(Debug)]
pub struct EmbeddedIndex {
    dir: PathBuf,
    generation: Generation,
    writer: Mutex<Writer>,
    state: RwLock<State>,
    /// Held as long as the index is open.
    _lock: File,
}

#[derive(Debug)]
struct Writer {
    log: Log,
    /// Dead bytes at which the next compaction is tried; raised when one fails.
    compact_at: u64,
    /// Vectors whose lists are on disk.
    saved_rows: usize,
}

/// What readers see.
#[derive(Debug)]
struct State {
    /// The log the vectors' offsets refer to.
    file: Arc<File>,
    path: PathBuf,
    tenants: HashMap<String, Tenant>,
    /// Bytes of the log, and those that no live document needs.
    bytes: u64,
    dead_bytes: u64,
}

impl EmbeddedIndex {
    /// Opens the index in `dir`, making the directory and an empty index when there is none.
    ///
    /// A log of another embedding, dimension, analysis or older format, or one whose header is damaged, is replaced by
    /// an empty one and reported as rebuilt. An unfinished write at the end is cut off; damaged records are skipped.
    ///
    /// # Errors
    /// The directory cannot be made, read or written, is in use by another process, or holds a newer format.
    pub fn open(dir: &Path, embed_alias: &str, embed_version: &str, dims: usize) -> Result<(Self, OpenReport), IndexError> {
        if dims == 0 {
            return Err(IndexError::invalid("dims", "must be at least 1"));
        }
        let generation = Generation { embed_alias: embed_alias.to_owned(), embed_version: embed_version.to_owned(), dims };
        std::fs::create_dir_all(dir).map_err(IndexError::io("create the index directory", dir))?;
        let lock = lock(dir)?;
        Log::remove_unfinished(dir)?;
        let mut report = OpenReport::default();
        let mut log = match Log::open(dir, &generation)? {
            Ok(log) => log,
            Err(reason) => {
                report.rebuilt = true;
                report.notice = notice(&reason);
                let mut log = Log::create(dir, &generation)?;
                log.install(dir)?;
                log
            }
        };
        let mut state = load(&mut log, dims, &mut report)?;
        let saved_rows = state.take_lists(lists_file::read(dir, dims));
        let writer = Writer { log, compact_at: COMPACT_FLOOR, saved_rows };
        let index = Self { dir: dir.to_owned(), generation, writer: Mutex::new(writer), state: RwLock::new(state), _lock: lock };
        index.keep_lists(&mut index.writer());
        Ok((index, report))
    }

    /// Puts a document in, in place of its earlier version; on disk when this returns.
    ///
    /// # Errors
    /// An empty id, two chunks of one id, a vector of other dimensions or without a direction, a newer version in the
    /// index, a record over 1 GiB, or a failed write. The index is then unchanged.
    pub fn replace_document(&self, document: IndexDocument) -> Result<(), IndexError> {
        self.replace_documents(vec![document])
    }

    /// Puts several documents in with one write to disk, which is what a rebuild wants. Each is atomic by itself: a
    /// crash may leave the first of them.
    ///
    /// # Errors
    /// As [`EmbeddedIndex::replace_document`]; one refused document refuses all.
    pub fn replace_documents(&self, documents: Vec<IndexDocument>) -> Result<(), IndexError> {
        // Analysis is the costly part, and needs no lock.
        let mut changes = Vec::with_capacity(documents.len());
        for document in documents {
            let document = checked(document, self.generation.dims)?;
            let head = Head {
                change: Change::Replace,
                tenant: document.tenant.clone(),
                source_id: document.source_id.clone(),
                document_id: document.document_id.clone(),
                version: document.version,
            };
            changes.push((head, body_of(document)));
        }
        let mut writer = self.writer();
        for (head, _) in &changes {
            let have = self.read(|state| state.tenants.get(&head.tenant).and_then(|t| t.version(&head.document_id)));
            if let Some(have) = have.filter(|have| *have > head.version) {
                return Err(IndexError::Stale { document_id: head.document_id.clone(), have, given: head.version });
            }
        }
        self.commit(&mut writer, changes)
    }

    /// Takes a document out; on disk when this returns. Nothing happens when it is not in.
    ///
    /// # Errors
    /// A failed write; the index is then unchanged.
    pub fn delete_document(&self, tenant: &str, document_id: &str) -> Result<(), IndexError> {
        let mut writer = self.writer();
        if self.read(|state| state.tenants.get(tenant).is_none_or(|t| t.version(document_id).is_none())) {
            return Ok(());
        }
        self.commit(&mut writer, vec![deletion(Change::DeleteDocument, tenant, "", document_id)])
    }

    /// Takes all documents of a source out; on disk when this returns. Nothing happens when there are none.
    ///
    /// # Errors
    /// A failed write; the index is then unchanged.
    pub fn delete_source(&self, tenant: &str, source_id: &str) -> Result<(), IndexError> {
        let mut writer = self.writer();
        if self.read(|state| state.tenants.get(tenant).is_none_or(|t| !t.has_source(source_id))) {
            return Ok(());
        }
        self.commit(&mut writer, vec![deletion(Change::DeleteSource, tenant, source_id, "")])
    }

    /// Every document in the index, ordered by tenant and document id.
    #[must_use]
    pub fn documents(&self) -> Vec<DocumentState> {
        let mut documents: Vec<DocumentState> = self.read(|state| state.tenants.iter().flat_map(|(tenant, t)| t.states(tenant)).collect());
        documents.sort_by(|a, b| (&a.tenant, &a.document_id).cmp(&(&b.tenant, &b.document_id)));
        documents
    }

    /// The `k` allowed chunks whose vectors are nearest to `vector` by cosine, best first, equal scores by chunk id.
    ///
    /// All allowed vectors are scanned in their 8-bit form; the best are scored by their full vectors.
    ///
    /// # Errors
    /// A vector of other dimensions or without a direction, or a failed read.
    pub fn dense(&self, filter: &Filter, vector: &[f32], k: usize) -> Result<Vec<Hit>, IndexError> {
        let query = unit(vector, self.generation.dims)?;
        self.read(|state| {
            let Some(tenant) = state.tenants.get(&filter.tenant) else { return Ok(Vec::new()) };
            let allowed = tenant.allowed(filter);
            let mut near = TopK::new(k.saturating_mul(CANDIDATES.1).max(k.saturating_add(CANDIDATES.0)), |a, b| tenant.ties(a, b));
            tenant.vectors().scan(&CodedQuery::new(&query), &allowed, |slot, score| near.push(slot, score));
            let mut top = TopK::new(k, |a, b| tenant.ties(a, b));
            for candidate in near.into_sorted() {
                if let Some(vector) = state.vector(tenant, candidate.slot, self.generation.dims)? {
                    top.push(candidate.slot, inner_product(&query, &vector));
                }
            }
            Ok(hits(tenant, top.into_sorted(), 1.0))
        })
    }

    /// The `k` allowed chunks that match the words of an analysed query best by BM25, equal scores by chunk id.
    #[must_use]
    pub fn lexical(&self, filter: &Filter, terms: &[QueryTerm], k: usize) -> Vec<Hit> {
        self.read(|state| {
            let Some(tenant) = state.tenants.get(&filter.tenant) else { return Vec::new() };
            let (top, reachable) = super::lexical::search(tenant, &tenant.allowed(filter), terms, k);
            hits(tenant, top, reachable)
        })
    }

    /// How many chunks `filter` allows.
    #[must_use]
    pub fn count(&self, filter: &Filter) -> u64 {
        self.read(|state| state.tenants.get(&filter.tenant).map_or(0, |tenant| tenant.allowed(filter).count() as u64))
    }

    /// Inverse document frequency of an index term over a tenant's chunks, `ln(1 + (N - df + 0.5) / (df + 0.5))`; a term in no
    /// chunk has the highest.
    pub fn idf(&self, tenant: &str, term: &str) -> f32 {
        self.read(|state| {
            state.tenants.get(tenant).filter(|t| t.live_totals().0 > 0).map_or(0.0, |tenant| super::lexical::idf(tenant, term))
        })
    }

    /// The terms to use beside each word of a query, by [`SearchIndex::near_terms`](super::SearchIndex::near_terms).
    pub fn near_terms(&self, tenant: &str, lookups: &[Lookup]) -> Vec<Vec<Near>> {
        self.read(|state| state.tenants.get(tenant).map_or_else(|| vec![Vec::new(); lookups.len()], |tenant| tenant.near(lookups)))
    }

    /// The vector of a chunk (length 1), if it has one.
    ///
    /// # Errors
    /// A failed read.
    pub fn vector(&self, tenant: &str, document_id: &str, chunk_id: &str) -> Result<Option<Vec<f32>>, IndexError> {
        self.read(|state| {
            let Some(tenant) = state.tenants.get(tenant) else { return Ok(None) };
            let Some(slot) = tenant.slot(document_id, chunk_id) else { return Ok(None) };
            state.vector(tenant, slot, self.generation.dims)
        })
    }

    /// Sizes. Does not wait for writers.
    #[must_use]
    pub fn stats(&self) -> IndexStats {
        self.read(|state| {
            let (mut documents, mut chunks, mut vectors) = (0, 0, 0);
            for tenant in state.tenants.values() {
                let totals = tenant.totals();
                documents += totals.0;
                chunks += totals.1;
                vectors += totals.2;
            }
            let live_ratio = 1.0 - state.dead_bytes as f64 / state.bytes.max(1) as f64;
            IndexStats { documents, chunks, vectors, bytes_on_disk: state.bytes, live_ratio }
        })
    }

    /// Takes everything out, of every tenant.
    ///
    /// # Errors
    /// A failed write; the index is then unchanged.
    pub fn clear(&self) -> Result<(), IndexError> {
        let mut writer = self.writer();
        let mut next = Log::create(&self.dir, &self.generation)?;
        next.install(&self.dir)?;
        let state = load(&mut next, self.generation.dims, &mut OpenReport::default())?;
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = state;
        writer.log = next;
        writer.compact_at = COMPACT_FLOOR;
        Ok(())
    }

    /// A consistent state for a backup. Its bytes, copied to a file of its name, are a valid index.
    ///
    /// # Errors
    /// The log cannot be opened for reading.
    pub fn snapshot(&self) -> Result<Snapshot, IndexError> {
        let writer = self.writer();
        let file = File::open(&writer.log.path).map_err(IndexError::io("open the index log", &writer.log.path))?;
        Ok(Snapshot { file, len: writer.log.len, file_name: LOG_FILE })
    }

    /// Rewrites the log with the live documents only. Runs by itself when more than half of the log and more than
    /// 1 MiB is dead. Readers go on meanwhile; writers wait.
    ///
    /// # Errors
    /// A failed write, or records that can no longer be read. The index and its log are then unchanged.
    pub fn compact(&self) -> Result<(), IndexError> {
        let mut writer = self.writer();
        self.compact_locked(&mut writer)
    }

    fn compact_locked(&self, writer: &mut Writer) -> Result<(), IndexError> {
        let mut spans: Vec<Span> = self.read(|state| state.tenants.values().flat_map(Tenant::spans).collect());
        spans.sort_by_key(|span| span.offset);
        let mut next = Log::create(&self.dir, &self.generation)?;
        let mut buffer = Vec::new();
        for span in spans {
            writer.log.bytes(span, &mut buffer)?;
            next.copy(&buffer)?;
        }
        // Reading it back proves that every record is whole before the old log is given up.
        let whole = next.len;
        let mut report = OpenReport::default();
        let state = load(&mut next, self.generation.dims, &mut report)?;
        if report.damaged_bytes > 0 || next.len != whole {
            let documents = report.damaged.into_iter().map(|(_, document)| document).collect();
            return Err(IndexError::Damaged { path: writer.log.path.clone(), documents });
        }
        next.install(&self.dir)?;
        let mut state = State { path: next.path.clone(), ..state };
        // The records, and so the vectors, are in the order they were in.
        state.take_lists(self.read(State::live_lists));
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = state;
        writer.log = next;
        writer.compact_at = COMPACT_FLOOR;
        writer.saved_rows = 0;
        self.keep_lists(writer);
        Ok(())
    }

    /// Log first, then memory.
    fn commit(&self, writer: &mut Writer, mut changes: Vec<(Head, Body)>) -> Result<(), IndexError> {
        let mut bytes = Vec::new();
        let mut spans = Vec::with_capacity(changes.len());
        for (head, body) in &mut changes {
            spans.push(encode(head, body, &mut bytes, writer.log.len)?);
        }
        writer.log.append(&bytes)?;
        let dead_bytes = {
            let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
            for ((head, body), span) in changes.into_iter().zip(spans) {
                let dead = state.apply(&head, body, span, self.generation.dims);
                state.dead_bytes += dead;
            }
            state.bytes = writer.log.len;
            state.dead_bytes
        };
        self.keep_lists(writer);
        if dead_bytes > writer.compact_at
            && dead_bytes * 2 > writer.log.len
            && let Err(e) = self.compact_locked(writer)
        {
            // The write itself has succeeded. Trying again at once would fail again.
            writer.compact_at = dead_bytes * 2;
            tracing::warn!(error = %e, dead_bytes, "compaction of the index log failed, it goes on as it is");
        }
        Ok(())
    }

    /// Makes the lists that many vectors need, and saves them now and then, so that opening need not make them again.
    /// Readers go on meanwhile: only the holder of the writer changes the state.
    fn keep_lists(&self, writer: &mut Writer) {
        let due: Vec<String> =
            self.read(|state| state.tenants.iter().filter(|(_, t)| t.vectors().wants_lists()).map(|(name, _)| name.clone()).collect());
        for name in &due {
            let Some(layout) = self.read(|state| state.tenants.get(name).map(|t| t.vectors().in_new_lists())) else { continue };
            let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
            if let Some(tenant) = state.tenants.get_mut(name) {
                tenant.rearrange(layout);
            }
        }
        let rows = self.read(|state| state.tenants.values().filter(|t| t.vectors().lists().is_some()).map(|t| t.vectors().len()).sum());
        if due.is_empty() && rows <= writer.saved_rows + writer.saved_rows / SAVE_SHARE {
            return;
        }
        let saved: Vec<Saved> = self.read(|state| state.tenants.iter().filter_map(|(name, t)| Saved::of(name, t.vectors())).collect());
        match lists_file::write(&self.dir, &saved) {
            Ok(()) => writer.saved_rows = rows,
            // They are in memory; without the file, the next opening makes them again.
            Err(e) => tracing::warn!(error = %e, "the vector lists could not be saved"),
        }
    }

    /// Puts another file in the log's place, to make writes fail.
    #[cfg(test)]
    pub(super) fn swap_log_file(&self, file: Arc<File>) -> Arc<File> {
        std::mem::replace(&mut self.writer().log.file, file)
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read<T>(&self, with: impl FnOnce(&State) -> T) -> T {
        with(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl State {
    /// Applies a change and returns the bytes of the log that died by it.
    fn apply(&mut self, head: &Head, body: Body, span: Span, dims: usize) -> u64 {
        let tenant = self.tenants.entry(head.tenant.clone()).or_insert_with(|| Tenant::new(dims));
        let dead = match head.change {
            Change::Replace => tenant.replace(head, body, span),
            Change::DeleteDocument => tenant.remove(&head.document_id) + span.len,
            Change::DeleteSource => tenant.remove_source(&head.source_id) + span.len,
        };
        if tenant.is_empty() {
            self.tenants.remove(&head.tenant);
        }
        dead
    }

    /// Puts vectors into the lists that were saved for them, and returns how many that are. Lists of other vectors are left out.
    fn take_lists(&mut self, saved: Vec<Saved>) -> usize {
        let mut rows = 0;
        for saved in saved {
            let Some(tenant) = self.tenants.get_mut(&saved.tenant).filter(|t| saved.fits(t.vectors())) else { continue };
            rows += saved.assigned.len();
            let layout = tenant.vectors().in_lists(Lists::new(saved.centres, saved.trained), &saved.assigned);
            tenant.rearrange(layout);
        }
        rows
    }

    /// The lists of the live vectors, as they will be once the dead are gone.
    fn live_lists(&self) -> Vec<Saved> {
        let of = |(name, tenant): (&String, &Tenant)| {
            let vectors = tenant.vectors();
            let assigned = vectors.rows().filter(|(slot, _)| tenant.is_live(*slot)).map(|(_, list)| list).collect::<Option<_>>()?;
            let lists = vectors.lists()?;
            Some(Saved { tenant: name.clone(), trained: lists.trained(), centres: lists.centres().clone(), assigned, checksum: None })
        };
        self.tenants.iter().filter_map(of).collect()
    }

    fn vector(&self, tenant: &Tenant, slot: u32, dims: usize) -> Result<Option<Vec<f32>>, IndexError> {
        let Some(offset) = tenant.vectors().offset_of(slot) else { return Ok(None) };
        let mut bytes = vec![0; dims * 4];
        self.file.read_exact_at(&mut bytes, offset).map_err(IndexError::io("read a vector of the index log", &self.path))?;
        Ok(take_vector(&mut bytes.as_slice(), dims))
    }
}

/// Reads the whole log into memory.
fn load(log: &mut Log, dims: usize, report: &mut OpenReport) -> Result<State, IndexError> {
    let mut state = State { file: Arc::clone(&log.file), path: log.path.clone(), tenants: HashMap::new(), bytes: 0, dead_bytes: 0 };
    let mut dead = 0;
    let mut damaged = Vec::new();
    let scan = log.scan(|found| match found {
        Found::Record(head, body, span) => {
            // A later whole record makes the damage to an earlier one harmless.
            damaged.retain(|(tenant, document)| *tenant != head.tenant || *document != head.document_id);
            let fits = body.chunks.iter().all(|c| c.vector.as_ref().is_none_or(|(_, v)| v.len() == dims));
            dead += if fits { state.apply(&head, body, span, dims) } else { span.len };
        }
        Found::Damaged(head, span) if head.change != Change::Replace => {
            // A deletion says everything in its head.
            dead += state.apply(&head, empty_body(), span, dims);
        }
        Found::Damaged(head, span) => {
            // The earlier version is out of date; better missing and reported than stale and found.
            let gone = Head { change: Change::DeleteDocument, ..head };
            dead += state.apply(&gone, empty_body(), span, dims);
            damaged.push((gone.tenant, gone.document_id));
        }
    })?;
    // Bytes without a readable head belong to nobody.
    let unnamed = log.len - log.header - dead - state.tenants.values().flat_map(Tenant::spans).map(|s| s.len).sum::<u64>();
    report.truncated_bytes = scan.truncated_bytes;
    report.damaged_bytes = scan.damaged_bytes;
    report.damaged = damaged;
    for tenant in state.tenants.values() {
        for document in tenant.states("") {
            report.documents += 1;
            report.chunks += document.chunks as usize;
        }
    }
    if scan.damaged_bytes > 0 {
        report.notice =
            Some(format!("{} damaged bytes of the index log were skipped: index the missing documents again", scan.damaged_bytes));
    }
    state.bytes = log.len;
    state.dead_bytes = dead + unnamed;
    Ok(state)
}

fn lock(dir: &Path) -> Result<File, IndexError> {
    let path = dir.join(LOCK_FILE);
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(IndexError::io("open the lock of the index directory", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(IndexError::Locked { path: dir.to_owned() }),
        Err(TryLockError::Error(e)) => Err(IndexError::io("lock the index directory", path)(e)),
    }
}

fn notice(reason: &Unusable) -> Option<String> {
    match reason {
        Unusable::Absent => None,
        Unusable::Header => Some("the header of the index log is damaged, the index starts empty".to_owned()),
        Unusable::Format(found) => Some(format!("the index log has the older format {found}, the index starts empty")),
        Unusable::Generation => Some("the index log belongs to another embedding or analysis, the index starts empty".to_owned()),
    }
}

fn deletion(change: Change, tenant: &str, source_id: &str, document_id: &str) -> (Head, Body) {
    let head = Head { change, tenant: tenant.to_owned(), source_id: source_id.to_owned(), document_id: document_id.to_owned(), version: 0 };
    (head, empty_body())
}

fn empty_body() -> Body {
    Body { mime: String::new(), tags: Vec::new(), readers: None, updated_at: 0, chunks: Vec::new() }
}

fn hits(tenant: &Tenant, top: Vec<super::topk::Scored>, reachable: f32) -> Vec<Hit> {
    top.into_iter()
        .map(|scored| Hit {
            chunk_id: tenant.chunk_id(scored.slot).to_owned(),
            document_id: tenant.document_id(scored.slot).to_owned(),
            score: scored.score,
            share: (scored.score / reachable.max(f32::MIN_POSITIVE)).clamp(0.0, 1.0),
        })
        .collect()
}
