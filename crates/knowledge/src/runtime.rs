//! The state that routes and jobs share, and how it comes to life: the server answers first, then the model and the index load, and
//! the index is brought to what SQL says.

use std::{ops::Deref, path::PathBuf, sync::Arc, time::Duration};

use astrolabe_backends::{
    blob::{BlobStore, BlobsConfig},
    embedder::{Embedder, Precision, Priority},
    index::SearchIndex,
};
use astrolabe_gateway::Models;
use astrolabe_kernel::{Error, Id, Kernel, Result, error::code, jobs::Registry, principal::TenantId};
use serde::{Deserialize, Serialize};
use tokio::sync::{Semaphore, watch};

use crate::{
    answers::cache::AnswerCache,
    documents::{self, Document, store},
    index::{self, IndexEngine, Opened, generation, jobs::RebuildIndex, remove_other_generations},
    ingest::{extractor::Extractor, jobs::IngestDocument},
    question_sets::jobs::RunQuestionSet,
    sources::{Source, jobs::ScanSource},
};

pub(crate) use crate::index::index_error;

/// What was written within this time may belong to an upload or an ingest that is still on its way.
const SPARE: Duration = Duration::from_secs(3600);

/// How often it is looked which sources are due for a scan.
const LOOK: Duration = Duration::from_secs(20);

/// The section `knowledge` of the configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnowledgeConfig {
    /// Where the search index is.
    pub index_engine: IndexEngine,
    /// Whether to use the embedding model when there is one.
    pub embeddings: bool,
    /// Threads that embed; 0 means one per core.
    pub embed_threads: usize,
    /// How exactly texts are embedded.
    pub embed_precision: Precision,
    /// Bytes of a document at most.
    pub max_document_bytes: u64,
    /// Files of one upload at most.
    pub max_upload_files: usize,
    /// Hours that an upload in parts may take; what is not complete then is removed.
    pub upload_hours: u32,
    /// Folders of the server that sources may be made of, with what is below them; none when empty.
    pub folder_roots: Vec<PathBuf>,
    /// Minutes between two looks at where documents come from by themselves.
    pub scan_minutes: u32,
    /// Questions answered at the same time; more are refused.
    pub max_asks: usize,
}

impl Default for KnowledgeConfig {
    fn default() -> Self {
        Self {
            index_engine: IndexEngine::Auto,
            embeddings: true,
            embed_threads: 0,
            embed_precision: Precision::F32,
            max_document_bytes: 50 << 20,
            max_upload_files: 200,
            upload_hours: 24,
            folder_roots: Vec::new(),
            scan_minutes: 5,
            max_asks: 64,
        }
    }
}

impl KnowledgeConfig {
    /// Checks the limits.
    ///
    /// # Errors
    /// `invalid_config` naming the setting that nothing could work with.
    pub fn validate(&self) -> Result<()> {
        for (key, value, least, most) in [
            ("embed_threads", self.embed_threads as u64, 0, 256),
            ("max_document_bytes", self.max_document_bytes, 1, 512 << 20),
            ("max_upload_files", self.max_upload_files as u64, 1, 100_000),
            ("upload_hours", u64::from(self.upload_hours), 1, 720),
            ("scan_minutes", u64::from(self.scan_minutes), 1, 10_080),
            ("max_asks", self.max_asks as u64, 1, 10_000),
        ] {
            if !(least..=most).contains(&value) {
                return Err(Error::new(code::INVALID_CONFIG, format!("knowledge.{key}: must be between {least} and {most}")));
            }
        }
        Ok(())
    }
}

/// Where files are.
#[derive(Debug, Clone)]
pub struct Paths {
    /// Bytes of documents, or what is on its way to a bucket.
    pub blobs: PathBuf,
    /// The bucket, where there is one.
    pub store: BlobsConfig,
    /// Index generations.
    pub index: PathBuf,
    /// Models, shared by all data directories.
    pub models: PathBuf,
}

/// Sources, documents, search and answers; cheap to clone.
#[derive(Clone)]
pub struct Knowledge(Arc<Inner>);

/// What is behind a [`Knowledge`].
pub struct Inner {
    pub(crate) kernel: Kernel,
    pub(crate) config: KnowledgeConfig,
    pub(crate) paths: Paths,
    pub(crate) blobs: BlobStore,
    pub(crate) extractor: Extractor,
    pub(crate) models: Models,
    pub(crate) asks: Arc<Semaphore>,
    pub(crate) answers: AnswerCache,
    engine: watch::Sender<Engine>,
}

impl Deref for Knowledge {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

#[derive(Clone)]
enum Engine {
    Loading,
    Ready { index: Arc<dyn SearchIndex>, embedder: Option<Arc<Embedder>>, without: Option<String>, instead: Option<String> },
    Failed(String),
}

/// How something that this domain depends on is doing, for `/readyz`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Dependency {
    /// Its name.
    pub name: &'static str,
    /// `ok`, `loading`, `not_configured` or `connection_failed`.
    pub status: &'static str,
    /// Whether the service is not ready without it.
    pub required: bool,
    /// For people.
    pub detail: String,
}

impl Knowledge {
    /// The domain on its files. Nothing is loaded yet: see [`Knowledge::start`].
    ///
    /// # Errors
    /// When the blob folder cannot be written.
    pub fn open(kernel: Kernel, config: KnowledgeConfig, paths: Paths, extractor: Extractor, models: Models) -> Result<Self> {
        let blobs = BlobStore::open_with(&paths.blobs, &paths.store, &kernel.egress, &kernel.clock)?;
        let asks = Arc::new(Semaphore::new(config.max_asks));
        let engine = watch::channel(Engine::Loading).0;
        Ok(Self(Arc::new(Inner { kernel, config, paths, blobs, extractor, models, asks, answers: AnswerCache::default(), engine })))
    }

    /// Registers the jobs of this domain.
    pub fn register(&self, registry: &mut Registry) {
        registry.add(Arc::new(IngestDocument(self.clone())));
        registry.add(Arc::new(ScanSource(self.clone())));
        registry.add(Arc::new(RebuildIndex(self.clone())));
        registry.add(Arc::new(RunQuestionSet(self.clone())));
    }

    /// Loads the model and the index and brings the index to what SQL says. Start the job workers after it.
    ///
    /// # Errors
    /// When the index cannot be opened or SQL cannot be read; `/readyz` then says so too.
    pub async fn start(&self) -> Result<()> {
        match self.load().await {
            Ok(()) => {
                let knowledge = self.clone();
                self.kernel.lifecycle.spawn("blob sweep", async move { knowledge.sweep().await });
                let knowledge = self.clone();
                self.kernel.lifecycle.spawn("source scans", async move { knowledge.watch_origins().await });
                let knowledge = self.clone();
                self.kernel.lifecycle.spawn("index upkeep", async move { knowledge.upkeep().await });
                Ok(())
            }
            Err(error) => {
                self.engine.send_replace(Engine::Failed(error.message().to_owned()));
                Err(error)
            }
        }
    }

    async fn load(&self) -> Result<()> {
        self.end_abandoned_asks().await?;
        let (models, threads, precision) = (self.paths.models.clone(), self.config.embed_threads, self.config.embed_precision);
        let wanted = self.config.embeddings;
        let load = move || if wanted { Embedder::load_from_models_dir(&models, threads, precision) } else { Ok(None) };
        let loaded = tokio::task::spawn_blocking(load).await.map_err(Error::internal)?;
        let (embedder, without) = match loaded {
            Ok(Some(embedder)) => (Some(Arc::new(embedder)), None),
            Ok(None) if !wanted => (None, Some("knowledge.embeddings is false".to_owned())),
            Ok(None) => (None, Some("there is no embedding model: run `make models`".to_owned())),
            Err(error) => {
                tracing::error!(error = %error, "the embedding model cannot be used; searching by words alone");
                (None, Some(error.to_string()))
            }
        };
        let model = embedder.as_ref().map(|e| (e.alias().to_owned(), e.version().to_owned(), e.dims()));
        let opened = index::open(&self.kernel.db, self.config.index_engine, &self.paths.index, model.clone()).await?;
        if let Some(notice) = &opened.repaired {
            tracing::warn!(notice, "the search index was repaired");
        }
        let Opened { index, instead, .. } = opened;
        if index.kind() == "embedded" {
            let (alias, version, _) = model.unwrap_or_else(|| ("words".to_owned(), "1".to_owned(), 1));
            remove_other_generations(&self.paths.index, &generation(&alias, &version));
        }
        self.reconcile(&*index, embedder.as_deref(), &|_, _| ()).await?;
        self.engine.send_replace(Engine::Ready { index, embedder: embedder.clone(), without, instead });
        if embedder.is_some()
            && let Err(error) = self.embed_the_rest().await
        {
            tracing::warn!(error = ?error, "documents without vectors could not be queued; the next start does it");
        }
        Ok(())
    }

    /// Enqueues the documents that were ingested without a model.
    async fn embed_the_rest(&self) -> Result<()> {
        loop {
            let documents = store::not_embedded(&mut self.kernel.db.read_all().await?, 100).await?;
            if documents.is_empty() {
                return Ok(());
            }
            let mut tx = self.kernel.db.write_all().await?;
            for (tenant, mut document) in documents {
                documents::requeue(&mut tx, tenant, &mut document, self.kernel.id(), self.kernel.now()).await?;
            }
            tx.commit().await?;
        }
    }

    /// Removes blobs that no document has any more, an hour after they were written: an upload writes its blob before its row. Vectors of
    /// texts that no chunk has any more go as well.
    async fn sweep(&self) {
        loop {
            if let Err(error) = self.sweep_once(SPARE).await {
                tracing::warn!(error = ?error, "unused blobs could not be removed");
            }
            if let Err(error) = self.sweep_uploads(SPARE).await {
                tracing::warn!(error = ?error, "uploads past their time could not be removed");
            }
            if let Err(error) = self.sweep_vectors().await {
                tracing::warn!(error = ?error, "unused vectors could not be removed");
            }
            tokio::select! {
                () = tokio::time::sleep(SPARE) => {}
                () = self.kernel.lifecycle.stopping() => return,
            }
        }
    }

    /// Has the origins of sources looked at when they are due.
    async fn watch_origins(&self) {
        loop {
            if let Err(error) = self.scan_what_is_due().await {
                tracing::warn!(error = ?error, "sources could not be looked at for new documents");
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = self.kernel.lifecycle.stopping() => return,
            }
        }
    }

    pub(crate) async fn sweep_once(&self, spare: Duration) -> Result<usize> {
        let old = self.blobs.older_than(spare).await?;
        let mut removed = 0;
        for hash in old {
            if store::content_used(&mut self.kernel.db.read_all().await?, &hash).await? {
                continue;
            }
            // The same content may have been uploaded again since the folder was listed: then the file is young, and its row on its way.
            if self.blobs.age(&hash).await?.is_some_and(|age| age > spare) {
                self.blobs.delete(&hash).await?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    pub(crate) async fn sweep_vectors(&self) -> Result<u64> {
        const BATCH: i64 = 500;
        let mut removed = 0;
        loop {
            let mut tx = self.kernel.db.write_all().await?;
            let rows = store::prune_vectors(&mut tx, self.kernel.now().minus(SPARE), BATCH).await?;
            tx.commit().await?;
            removed += rows;
            if rows < BATCH.unsigned_abs() || self.kernel.lifecycle.is_stopping() {
                return Ok(removed);
            }
        }
    }

    /// The index.
    ///
    /// # Errors
    /// `warming_up` while it loads, `data_dir_unusable` when it could not be opened.
    pub(crate) fn index(&self) -> Result<Arc<dyn SearchIndex>> {
        match &*self.engine.borrow() {
            Engine::Ready { index, .. } => Ok(index.clone()),
            Engine::Loading => Err(Error::new(code::WARMING_UP, "the search index is loading").with_retry_after(Duration::from_secs(1))),
            Engine::Failed(why) => Err(Error::new(code::DATA_DIR_UNUSABLE, format!("the search index cannot be used: {why}"))),
        }
    }

    /// The name of the embedding model of this process; nothing while there is none.
    pub fn embedding_model(&self) -> Option<String> {
        self.embedder().map(|embedder| embedder.alias().to_owned())
    }

    /// The vectors of texts, for callers outside, and the tokens that they have.
    ///
    /// # Errors
    /// `model_not_configured` while there is no model.
    pub async fn embed(&self, texts: Vec<String>) -> Result<(Vec<Vec<f32>>, u64)> {
        let none = || Error::new(code::MODEL_NOT_CONFIGURED, "there is no embedding model in this process");
        let embedder = self.embedder().ok_or_else(none)?;
        let tokens = texts.iter().map(|text| embedder.count_tokens(text) as u64).sum();
        let vectors = embedder.embed(texts, Priority::Bulk).await.map_err(Error::internal)?;
        Ok((vectors, tokens))
    }

    /// The embedder, when there is one.
    pub(crate) fn embedder(&self) -> Option<Arc<Embedder>> {
        match &*self.engine.borrow() {
            Engine::Ready { embedder, .. } => embedder.clone(),
            _ => None,
        }
    }

    /// Takes a document out of the index. SQL has it no more, so where that fails its chunks are dropped from results, and the next start
    /// takes them out.
    pub(crate) async fn index_delete_document(&self, tenant: TenantId, id: Id<Document>) {
        let deleted = async {
            let index = self.index()?;
            index.delete_document(&tenant.to_string(), &id.to_string()).await.map_err(index_error)
        };
        if let Err(error) = deleted.await {
            tracing::warn!(document_id = %id, error = ?error, "a document could not be taken out of the index; the next start does it");
        }
    }

    /// Takes a source out of the index, as [`Knowledge::index_delete_document`] does a document.
    pub(crate) async fn index_delete_source(&self, tenant: TenantId, id: Id<Source>) {
        self.answers.forget_source(tenant, id);
        let deleted = async {
            let index = self.index()?;
            index.delete_source(&tenant.to_string(), &id.to_string()).await.map_err(index_error)
        };
        if let Err(error) = deleted.await {
            tracing::warn!(source_id = %id, error = ?error, "a source could not be taken out of the index; the next start does it");
        }
    }

    /// Takes a document out of the index soon; until then its chunks are dropped from results, because SQL has them no more.
    pub(crate) fn index_forget(&self, tenant: TenantId, id: Id<Document>) {
        let knowledge = self.clone();
        self.kernel.lifecycle.spawn("index", async move { knowledge.index_delete_document(tenant, id).await });
    }

    /// How index, embedder and chat model are doing.
    pub async fn dependencies(&self) -> Vec<Dependency> {
        let engine = self.engine.borrow().clone();
        let mut instead = None;
        let (index, embedder) = match engine {
            Engine::Loading => (("loading", "loading".to_owned()), ("loading", "loading".to_owned())),
            Engine::Failed(why) => (("connection_failed", why), ("not_configured", "the index comes first".to_owned())),
            Engine::Ready { index, embedder, without, instead: why } => {
                instead = why;
                let kind = index.kind();
                let index = match index.stats().await {
                    Ok(stats) => ("ok", format!("{kind}, {} documents, {} chunks", stats.documents, stats.chunks)),
                    Err(error) => ("connection_failed", format!("{kind}: {error}")),
                };
                let embedder = match (embedder, without) {
                    (Some(e), _) => ("ok", format!("{} {}, {} dimensions", e.alias(), e.version(), e.dims())),
                    (None, why) => ("not_configured", format!("searching by words alone: {}", why.as_deref().unwrap_or("no model"))),
                };
                (index, embedder)
            }
        };
        let mut all = vec![
            Dependency { name: "index", status: index.0, required: true, detail: index.1 },
            Dependency { name: "embedder", status: embedder.0, required: false, detail: embedder.1 },
        ];
        if let Some(why) = instead {
            // Searching works, but each process has an index of its own, and that is not what PostgreSQL was chosen for.
            let detail = format!("the search index is in this process's data directory: {why}");
            all.push(Dependency { name: "shared_index", status: "not_configured", required: false, detail });
        }
        all
    }

    /// Waits until the index has loaded or failed to.
    pub async fn loaded(&self) {
        let mut engine = self.engine.subscribe();
        let _ = engine.wait_for(|e| !matches!(e, Engine::Loading)).await;
    }
}
