//! The job that looks at where a source's documents come from: adds what is new, replaces what has changed, removes what is gone.

use std::{io, path::Path, sync::Arc};

use astrolabe_backends::blob::Blob;
use astrolabe_kernel::{
    Error, Id, Principal, Result, Timestamp, Tx,
    error::code,
    http::{Caller, Trace},
    jobs::{Context, Handler, Job, NewJob},
    principal::TenantId,
};
use futures_util::future::BoxFuture;
use serde_json::json;
use tokio::io::AsyncReadExt;

use super::{Origin, Source, folder, rights, store};
use crate::{
    Knowledge,
    documents::{self, Upload},
};

/// The kind of job that looks at where documents come from.
pub const KIND: &str = "scan_source";

/// Documents that are added or removed in one transaction.
const BATCH: usize = 16;

/// Looks at where a source's documents come from.
pub struct ScanSource(pub Knowledge);

impl Handler for ScanSource {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn run<'a>(&'a self, context: &'a Context) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.scan(context))
    }

    /// A scan that failed is due again as if it had been done: the next one may find what was missing.
    fn ended<'a>(&'a self, tx: &'a mut Tx, job: &'a Job, now: Timestamp) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let Ok(source) = job.subject.parse::<Id<Source>>() else { return Ok(()) };
            store::scanned(tx, job.tenant, source, now).await
        })
    }

    /// Who may read the source.
    fn may_read<'a>(&'a self, tx: &'a mut Tx, principal: &'a Principal, job: &'a Job) -> BoxFuture<'a, Result<bool>> {
        Box::pin(async move {
            let Ok(source) = job.subject.parse::<Id<Source>>() else { return Ok(false) };
            match rights::require(tx, principal, source, "job").await {
                Ok(()) => Ok(true),
                Err(error) if error.code() == code::NOT_FOUND => Ok(rights::reader_ids(principal).is_none()),
                Err(error) => Err(error),
            }
        })
    }
}

/// Enqueues a scan of a source; one that waits or runs already is enough.
pub(super) async fn enqueue(tx: &mut Tx, tenant: TenantId, source: Id<Source>, job: Id<Job>, now: Timestamp) -> Result<()> {
    let (subject, key) = (source.to_string(), format!("{KIND}:{source}"));
    let new = NewJob { key: Some(&key), ..NewJob::new(job, tenant, KIND, &subject, json!({})) };
    tx.enqueue(new, now).await.map(drop)
}

/// What a scan did.
#[derive(Debug, Default)]
struct Done {
    added: i64,
    changed: i64,
    removed: i64,
}

impl ScanSource {
    async fn scan(&self, context: &Context) -> Result<()> {
        let (tenant, knowledge) = (context.job.tenant, &self.0);
        let id: Id<Source> = context.job.subject.parse()?;
        let mut tx = knowledge.kernel.db.read(tenant).await?;
        let Some(source) = store::get(&mut tx, tenant, id).await? else { return Ok(()) };
        let known = store::entries(&mut tx, tenant, id).await?;
        drop(tx);
        let Some(Origin::Folder { path, endings }) = source.origin else { return Ok(()) };
        let roots = knowledge.config.folder_roots.clone();
        let (folder, mut listing) = tokio::task::spawn_blocking(move || {
            let folder = folder::check(&roots, &path)?;
            let listing = folder::list(&folder, &endings)?;
            Ok::<_, Error>((Arc::<Path>::from(folder), listing))
        })
        .await
        .map_err(Error::internal)??;
        let caller = Caller {
            principal: Principal::service("folder", tenant),
            trace: Trace::background(&knowledge.kernel.random),
            idempotency_key: None,
            address: None,
        };
        let mut done = Done::default();
        let new: Vec<String> = listing.files.iter().filter(|(n, print)| known.get(*n) != Some(*print)).map(|(n, _)| n.clone()).collect();
        let total = i64::try_from(new.len()).unwrap_or(i64::MAX);
        for (i, names) in new.chunks(BATCH).enumerate() {
            context.progress("read", i64::try_from(i * BATCH).unwrap_or(total), total).await?;
            let mut files = Vec::new();
            for name in names {
                match self.store(&folder, name).await {
                    Ok(Some(file)) => files.push(file),
                    Ok(None) => {}
                    Err(error) if error.is_transient() => return Err(error),
                    Err(error) => listing.refuse(name, &error),
                }
            }
            self.add(context, &caller, id, &files, &mut done).await?;
        }
        let gone: Vec<&String> = known.keys().filter(|name| !listing.files.contains_key(*name)).collect();
        // A folder that is empty all at once is one whose disk is not there: nothing is removed because of it.
        let vanished = listing.files.is_empty() && gone.len() > 1;
        if listing.complete && !vanished {
            for names in gone.chunks(BATCH) {
                self.remove(context, &caller, id, names, &mut done).await?;
            }
        }
        let (mut tx, now) = (context.write().await?, knowledge.kernel.now());
        store::scanned(&mut tx, tenant, id, now).await?;
        if vanished || !listing.refused.is_empty() || done.added + done.changed + done.removed > 0 {
            let Done { added, changed, removed } = done;
            let data = json!({
                "source_id": id, "added": added, "changed": changed, "removed": removed, "refused": listing.refused, "empty": vanished,
            });
            tx.append_event(tenant, &super::stream(id), "source.scanned", &data, now).await?;
        }
        context.commit_ready(tx).await
    }

    /// Stores a file's bytes. Nothing when it is gone meanwhile.
    async fn store(&self, folder: &Arc<Path>, name: &str) -> Result<Option<(String, String, Blob)>> {
        let (folder, wanted) = (Arc::clone(folder), name.to_owned());
        let opened = tokio::task::spawn_blocking(move || {
            let file = folder::open(&folder, &wanted)?;
            let print = folder::fingerprint(&file.metadata()?);
            Ok::<_, io::Error>((file, print))
        });
        let (file, print) = match opened.await.map_err(Error::internal)? {
            Ok(opened) => opened,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                return Err(Error::new(code::DOCUMENT_UNREADABLE, "the file cannot be opened for reading").with_internal(error));
            }
        };
        let mut file = tokio::fs::File::from_std(file);
        let mut writer = self.0.blobs.writer(self.0.config.max_document_bytes)?;
        let mut buffer = vec![0; 256 << 10];
        loop {
            let read = file.read(&mut buffer).await?;
            if read == 0 {
                return Ok(Some((name.to_owned(), print, writer.finish().await?)));
            }
            writer.write(&buffer[..read]).await?;
        }
    }

    /// Documents, their jobs and what tells that they changed, in one transaction.
    async fn add(
        &self,
        context: &Context,
        caller: &Caller,
        source: Id<Source>,
        files: &[(String, String, Blob)],
        done: &mut Done,
    ) -> Result<()> {
        if files.is_empty() {
            return Ok(());
        }
        let uploads: Vec<Upload<'_>> = files.iter().map(|(name, _, blob)| Upload { name, blob: blob.clone(), tags: &[] }).collect();
        let mut tx = context.write().await?;
        let documents = self.0.put_documents_in(&mut tx, caller, source, &uploads).await?;
        for (name, print, _) in files {
            store::put_entry(&mut tx, context.job.tenant, source, name, print).await?;
        }
        tx.commit().await?;
        let new = documents.iter().filter(|d| d.version == 1).count();
        done.added += i64::try_from(new).unwrap_or(i64::MAX);
        done.changed += i64::try_from(documents.len() - new).unwrap_or(i64::MAX);
        Ok(())
    }

    async fn remove(&self, context: &Context, caller: &Caller, source: Id<Source>, names: &[&String], done: &mut Done) -> Result<()> {
        let tenant = context.job.tenant;
        let mut tx = context.write().await?;
        let mut removed = Vec::new();
        for name in names {
            if let Some(document) = documents::store::lock_by_name(&mut tx, tenant, source, name).await? {
                self.0.remove_document_in(&mut tx, caller, &document).await?;
                removed.push(document.id);
            }
            store::delete_entry(&mut tx, tenant, source, name).await?;
        }
        tx.commit().await?;
        done.removed += i64::try_from(removed.len()).unwrap_or(i64::MAX);
        for id in removed {
            self.0.index_delete_document(tenant, id).await;
        }
        Ok(())
    }
}

impl Knowledge {
    /// Enqueues a scan of every source that is due for one. Returns of how many.
    ///
    /// # Errors
    /// When the database cannot be read or written.
    pub(crate) async fn scan_what_is_due(&self) -> Result<usize> {
        let now = self.kernel.now();
        let before = now.minus(std::time::Duration::from_secs(60 * u64::from(self.config.scan_minutes)));
        let due = store::due_for_scan(&mut self.kernel.db.read_all().await?, before).await?;
        for (tenant, source) in &due {
            let mut tx = self.kernel.db.write(*tenant).await?;
            enqueue(&mut tx, *tenant, *source, self.kernel.id(), now).await?;
            tx.commit().await?;
        }
        Ok(due.len())
    }
}
