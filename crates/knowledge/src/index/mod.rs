//! Which search index there is, keeping it at what SQL says, and building it again.

pub(crate) mod jobs;
pub mod routes;

use std::{collections::HashMap, path::Path, sync::Arc, time::Duration};

use astrolabe_backends::{
    embedder::Embedder,
    index::{DocumentState, Embedded, EmbeddedIndex, IndexDocument, IndexError, PostgresIndex, SearchIndex},
};
use astrolabe_kernel::{Db, Error, Id, Result, Tx, args, db::Dialect, error::code, principal::TenantId};
use serde::Deserialize;

use crate::{
    Knowledge,
    documents::{
        Document,
        store::{self, Indexed},
    },
    ingest::{Piece, index_document},
};

/// How often the index is brought into shape while the process runs.
const UPKEEP: Duration = Duration::from_secs(300);
/// Documents read from SQL and put in at a time, and their chunks, unless one document has more.
const BATCH: (usize, i64) = (64, 4_000);
/// Keeps processes from bringing one shared index to what SQL says at the same time; any constant will do that nothing else uses.
const RECONCILE_LOCK: i64 = 0x4153_5452_5243;

/// Where the search index is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IndexEngine {
    /// In the database where that is PostgreSQL with pgvector, else in the data directory.
    #[default]
    Auto,
    /// In the data directory; every process has one of its own.
    Embedded,
    /// In the PostgreSQL database, shared by all processes.
    Postgres,
}

/// An open index.
pub(crate) struct Opened {
    pub index: Arc<dyn SearchIndex>,
    /// What opening repaired.
    pub repaired: Option<String>,
    /// Why it is not the engine that one would expect.
    pub instead: Option<String>,
}

/// What the vectors of a generation are made by: alias, version and number of dimensions. `None` searches by words alone.
pub(crate) type Model = Option<(String, String, usize)>;

/// Opens the index of a generation on the engine that is wanted and can be had.
pub(crate) async fn open(db: &Db, engine: IndexEngine, root: &Path, model: Model) -> Result<Opened> {
    let mut instead = None;
    if engine == IndexEngine::Postgres || (engine == IndexEngine::Auto && db.dialect() == Dialect::Postgres) {
        let (alias, version, dims) = model.clone().unwrap_or_else(|| ("words".to_owned(), "1".to_owned(), 0));
        match PostgresIndex::open(db.clone(), &alias, &version, dims).await {
            Ok(index) => return Ok(Opened { index: Arc::new(index), repaired: None, instead: None }),
            Err(IndexError::Unusable { reason }) if engine == IndexEngine::Auto => {
                tracing::warn!(reason, "the search index is kept in the data directory of this process, not in PostgreSQL");
                instead = Some(reason);
            }
            Err(error) => return Err(index_error(error)),
        }
    }
    let (alias, version, dims) = model.unwrap_or_else(|| ("words".to_owned(), "1".to_owned(), 1));
    let folder = root.join(generation(&alias, &version));
    let (index, report) = tokio::task::spawn_blocking(move || EmbeddedIndex::open(&folder, &alias, &version, dims))
        .await
        .map_err(Error::internal)?
        .map_err(index_error)?;
    Ok(Opened { index: Arc::new(Embedded::new(index)), repaired: report.notice, instead })
}

/// The folder of an index generation.
pub(crate) fn generation(alias: &str, version: &str) -> String {
    format!("{}-{version}", alias.replace(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '.', "_"))
}

/// Removes the folders of other generations: SQL has the vectors, so a generation that is wanted again is rebuilt.
pub(crate) fn remove_other_generations(root: &Path, keep: &str) {
    let Ok(entries) = std::fs::read_dir(root) else { return };
    for entry in entries.flatten() {
        if entry.file_name() != keep
            && entry.path().is_dir()
            && let Err(error) = std::fs::remove_dir_all(entry.path())
        {
            tracing::warn!(error = %error, folder = %entry.path().display(), "an old index generation could not be removed");
        }
    }
}

/// An index's error as one of ours.
pub(crate) fn index_error(error: IndexError) -> Error {
    match error {
        IndexError::Io { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => {
            Error::new(code::STORAGE_FULL, "no space is left for the search index").with_internal(source)
        }
        IndexError::Io { .. } => Error::new(code::DATA_DIR_UNUSABLE, format!("the search index: {error}")),
        IndexError::Locked { .. } => Error::new(code::DATA_DIR_BUSY, error.to_string()),
        IndexError::NewerFormat { .. } => Error::new(code::DATA_DIR_NEWER, error.to_string()),
        IndexError::Unusable { reason } => Error::new(code::INVALID_CONFIG, reason),
        IndexError::Database(error) => error,
        IndexError::Interrupted => Error::new(code::SHUTTING_DOWN, error.to_string()),
        other => Error::internal(other),
    }
}

/// The first documents of a list that are read together: of one tenant, and not too many.
fn next_batch(documents: &[Indexed]) -> usize {
    let mut chunks = 0;
    let fits = documents.iter().take(BATCH.0).take_while(|d| {
        chunks += d.chunks;
        d.tenant == documents[0].tenant && chunks <= BATCH.1
    });
    fits.count().max(1)
}

impl Knowledge {
    /// Makes the index hold exactly the documents that SQL says can be found. Jobs of this and other processes may write meanwhile.
    /// `told` hears how many documents of how many are in.
    ///
    /// Where processes share the index, one of them does it at a time; the others go on without.
    pub(crate) async fn reconcile(
        &self,
        index: &dyn SearchIndex,
        embedder: Option<&Embedder>,
        told: &(dyn Fn(usize, usize) + Sync),
    ) -> Result<()> {
        let Some(_turn) = self.turn(index, "pg_try_advisory_xact_lock($1)").await? else {
            tracing::info!("another process brings the search index to what the database says");
            return Ok(());
        };
        self.bring(index, embedder, told).await
    }

    async fn bring(&self, index: &dyn SearchIndex, embedder: Option<&Embedder>, told: &(dyn Fn(usize, usize) + Sync)) -> Result<()> {
        // The index is listed before SQL: what is in the one and not in the other was deleted, not just added.
        let states = index.documents().await.map_err(index_error)?;
        let mut there: HashMap<(String, String), DocumentState> =
            states.into_iter().map(|d| ((d.tenant.clone(), d.document_id.clone()), d)).collect();
        let mut missing = store::indexed(&mut self.kernel.db.read_all().await?).await?;
        let with_vectors = embedder.is_some();
        // What is left of `there` is surplus: SQL does not know it, or has it of another tenant or in an older version.
        missing.retain(|wanted| {
            let key = (wanted.tenant.to_string(), wanted.id.to_string());
            let Some(state) = there.get(&key) else { return true };
            let same = wanted.version == state.version && (!wanted.embedded || !with_vectors || state.vectors == state.chunks);
            if wanted.version >= state.version {
                there.remove(&key);
            }
            !same
        });
        let (removed, added) = (there.len(), missing.len());
        for state in there.into_values() {
            self.take_out(index, embedder, state).await?;
        }
        let mut rest = missing.as_slice();
        while let Some(first) = rest.first() {
            let (batch, more) = rest.split_at(next_batch(rest));
            let ids: Vec<Id<Document>> = batch.iter().map(|d| d.id).collect();
            put(index, self.stored(embedder, first.tenant, &ids).await?).await?;
            rest = more;
            told(added - rest.len(), added);
        }
        if removed + added > 0 {
            tracing::info!(removed, added, "brought the search index to what the database says");
        }
        Ok(())
    }

    /// The right to reconcile a shared index until it is dropped, taken by `lock`; `None` when another process has it. Trying answers true or
    /// false, waiting answers with nothing.
    async fn turn(&self, index: &dyn SearchIndex, lock: &str) -> Result<Option<Option<Tx>>> {
        if index.kind() != "postgres" {
            return Ok(Some(None));
        }
        let mut tx = self.kernel.db.read_all().await?;
        let answer: String = tx.one(format!("SELECT CAST({lock} AS TEXT) AS answer"), args![RECONCILE_LOCK]).await?;
        Ok((answer != "false").then_some(Some(tx)))
    }

    /// Takes a document out that SQL does not have, and puts it back should SQL have it again by then.
    async fn take_out(&self, index: &dyn SearchIndex, embedder: Option<&Embedder>, state: DocumentState) -> Result<()> {
        index.delete_document(&state.tenant, &state.document_id).await.map_err(index_error)?;
        let (Ok(tenant), Ok(id)) = (state.tenant.parse(), state.document_id.parse()) else { return Ok(()) };
        put(index, self.stored(embedder, tenant, &[id]).await?).await
    }

    /// Documents of a tenant as SQL has them, for the index; without those that are not to be found.
    async fn stored(&self, embedder: Option<&Embedder>, tenant: TenantId, ids: &[Id<Document>]) -> Result<Vec<IndexDocument>> {
        let mut tx = self.kernel.db.read(tenant).await?;
        let documents = store::found(&mut tx, tenant, ids).await?;
        let vectors = match embedder {
            Some(e) => store::vectors(&mut tx, tenant, ids, e.alias(), e.version()).await?,
            None => HashMap::new(),
        };
        drop(tx);
        if embedder.is_some() {
            let complete = |pieces: &[Piece]| pieces.iter().all(|p| vectors.contains_key(&p.text_hash));
            let wrong: Vec<_> =
                documents.iter().filter(|(d, pieces)| d.embedded != complete(pieces)).map(|(d, _)| (d.id, !d.embedded)).collect();
            if !wrong.is_empty() {
                let mut tx = self.kernel.db.write(tenant).await?;
                for (id, embedded) in wrong {
                    store::set_embedded(&mut tx, tenant, id, embedded).await?;
                }
                tx.commit().await?;
            }
        }
        let document = |(mut document, pieces): (Document, Vec<Piece>)| {
            // The chunks are of the indexed version, whatever newer one is on its way.
            document.version = document.indexed_version;
            index_document(tenant, &document, pieces, |hash| vectors.get(hash).cloned())
        };
        Ok(documents.into_iter().map(document).collect())
    }

    /// Empties the index and builds it again from SQL; no text is embedded whose vector is stored. Searches find what is in by then.
    pub(crate) async fn rebuild(&self, told: &(dyn Fn(usize, usize) + Sync)) -> Result<()> {
        let index = self.index()?;
        let turn = self.turn(&*index, "pg_advisory_xact_lock($1)").await?;
        index.clear().await.map_err(index_error)?;
        self.bring(&*index, self.embedder().as_deref(), told).await?;
        drop(turn);
        index.maintain().await.map_err(index_error)
    }

    /// Puts in what a rebuild that was cut short left out.
    async fn complete(&self) -> Result<()> {
        self.reconcile(&*self.index()?, self.embedder().as_deref(), &|_, _| ()).await
    }

    /// Keeps the index in shape until the process ends.
    pub(crate) async fn upkeep(&self) {
        loop {
            let maintained = async { self.index()?.maintain().await.map_err(index_error) };
            if let Err(error) = maintained.await {
                tracing::warn!(error = ?error, "the search index could not be brought into shape; it is tried again in some minutes");
            }
            tokio::select! {
                () = tokio::time::sleep(UPKEEP) => {}
                () = self.kernel.lifecycle.stopping() => return,
            }
        }
    }
}

/// Puts documents in. One of which the index has a newer version already is left as it is: whoever put that one in read SQL later.
async fn put(index: &dyn SearchIndex, mut batch: Vec<IndexDocument>) -> Result<()> {
    while !batch.is_empty() {
        match index.replace_documents(batch.clone()).await {
            Ok(()) => return Ok(()),
            Err(IndexError::Stale { document_id, .. }) => batch.retain(|d| d.document_id != document_id),
            Err(error) => return Err(index_error(error)),
        }
    }
    Ok(())
}
