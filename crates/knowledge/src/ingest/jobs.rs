//! The job that ingests a document.

use std::{collections::HashMap, sync::Arc};

use astrolabe_backends::{
    analysis::{Lang, detect_language},
    embedder::{Embedder, EmbedderError, Priority},
};
use astrolabe_kernel::{
    Error, Id, Principal, Result, Timestamp, Tx,
    error::code,
    jobs::{Context, Handler, Job, JobState},
    principal::TenantId,
};
use futures_util::future::BoxFuture;
use serde::Deserialize;

use super::{KIND, Piece, embedded_text, extractor::Text, index_document, pieces};
use crate::{
    Knowledge,
    documents::{Document, announce, store},
    runtime::index_error,
    sources::{self, rights},
};

/// Texts embedded between two looks at cancel and progress.
const BATCH: usize = 32;

#[derive(Deserialize)]
struct Payload {
    document_id: Id<Document>,
    version: i64,
    /// Whether the document's chunks of this version could be found when the job was made: it brings vectors that were not there.
    #[serde(default)]
    found: bool,
}

/// Ingests documents.
pub struct IngestDocument(pub Knowledge);

impl Handler for IngestDocument {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn run<'a>(&'a self, context: &'a Context) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.ingest(context))
    }

    fn retried<'a>(&'a self, tx: &'a mut Tx, job: &'a Job, now: Timestamp) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let Ok(id) = job.subject.parse::<Id<Document>>() else { return Ok(()) };
            let Some(mut document) = store::lock(tx, job.tenant, id).await?.filter(|d| d.job_id == job.id) else { return Ok(()) };
            document.state = JobState::Queued;
            document.error = None;
            document.updated_at = now;
            store::put(tx, job.tenant, &document).await?;
            announce(tx, job.tenant, &document, now).await
        })
    }

    /// Who may read the document's source; of a document that is gone, who manages the tenant.
    fn may_read<'a>(&'a self, tx: &'a mut Tx, principal: &'a Principal, job: &'a Job) -> BoxFuture<'a, Result<bool>> {
        Box::pin(async move {
            if rights::reader_ids(principal).is_none() {
                return Ok(true);
            }
            let Ok(id) = job.subject.parse::<Id<Document>>() else { return Ok(false) };
            let Some(document) = store::get(tx, job.tenant, id).await? else { return Ok(false) };
            match rights::require(tx, principal, document.source_id, "job").await {
                Ok(()) => Ok(true),
                Err(error) if error.code() == code::NOT_FOUND => Ok(false),
                Err(error) => Err(error),
            }
        })
    }

    fn ended<'a>(&'a self, tx: &'a mut Tx, job: &'a Job, now: Timestamp) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let Ok(id) = job.subject.parse::<Id<Document>>() else { return Ok(()) };
            let Some(mut document) = store::lock(tx, job.tenant, id).await?.filter(|d| d.job_id == job.id) else { return Ok(()) };
            if document.state == JobState::Ready {
                // The work was done; what died was the process that should have said so.
                return Ok(());
            }
            let found = serde_json::from_str::<Payload>(&job.payload).is_ok_and(|p| p.found);
            document.updated_at = now;
            if found && document.indexed_version == document.version {
                // Its chunks were found before and still are: without vectors a document is found by words, which is better than not at all.
                document.state = JobState::Ready;
                document.error = None;
                store::put(tx, job.tenant, &document).await?;
                return announce(tx, job.tenant, &document, now).await;
            }
            document.state = job.state;
            document.error = job.error.clone();
            if document.indexed_version != document.version {
                // An older version may still be found; what this attempt left of the new one may not.
                store::put(tx, job.tenant, &document).await?;
            } else {
                document.indexed_version = 0;
                document.chunk_count = 0;
                store::clear_content(tx, job.tenant, id).await?;
                store::put(tx, job.tenant, &document).await?;
                self.0.promote_duplicates(tx, job.tenant, id, "", now).await?;
                self.0.index_forget(job.tenant, id);
            }
            announce(tx, job.tenant, &document, now).await
        })
    }
}

impl IngestDocument {
    /// A transaction in which the document is still this job's to change; `None` when it was deleted or a newer upload has a job of its own.
    async fn held(&self, context: &Context, payload: &Payload) -> Result<Option<(Tx, Document)>> {
        let mut tx = context.write().await?;
        let document = store::lock(&mut tx, context.job.tenant, payload.document_id).await?;
        let ours = document.filter(|d| d.version == payload.version && d.job_id == context.job.id);
        Ok(ours.map(|document| (tx, document)))
    }

    async fn ingest(&self, context: &Context) -> Result<()> {
        let payload: Payload = context.payload()?;
        let tenant = context.job.tenant;
        let Some((mut tx, mut document)) = self.held(context, &payload).await? else { return Ok(()) };
        if document.state == JobState::Ready {
            // An earlier attempt did it all, and its process died before it could say so.
            return Ok(());
        }
        let Some(source) = sources::store::get(&mut tx, tenant, document.source_id).await? else { return Ok(()) };
        document.state = JobState::Running;
        document.updated_at = context.kernel.now();
        if let Some(original) = store::original(&mut tx, tenant, source.id, &document.content_hash, document.id).await? {
            return self.as_duplicate(context, &payload, tx, document, original).await;
        }
        store::put(&mut tx, tenant, &document).await?;
        announce(&mut tx, tenant, &document, document.updated_at).await?;
        tx.commit().await?;

        let (pieces, made) = if document.indexed_version == document.version {
            // Text and chunks are there: an earlier attempt came this far, or a model has arrived since. The bytes are not needed.
            let pieces = store::pieces(&mut context.kernel.db.read(tenant).await?, tenant, document.id).await?;
            let embedded = self.embed(context, &pieces).await?;
            let Some((mut tx, _)) = self.held(context, &payload).await? else { return Ok(()) };
            document.embedded = embedded.is_some();
            let made = keep_last(&mut tx, context, embedded).await?;
            store::put(&mut tx, tenant, &document).await?;
            tx.commit().await?;
            (pieces, made)
        } else {
            let text = self.read(context, &mut document).await?;
            let pieces = pieces(&document, &text, source.chunk_size, source.chunk_overlap);
            let embedded = self.embed(context, &pieces).await?;
            let Some((mut tx, _)) = self.held(context, &payload).await? else { return Ok(()) };
            document.embedded = embedded.is_some();
            let made = keep_last(&mut tx, context, embedded).await?;
            store::hold_content(&mut tx, tenant, source.id, &document.content_hash).await?;
            if let Some(original) = store::original(&mut tx, tenant, source.id, &document.content_hash, document.id).await? {
                // Another document of the same content was read at the same time and came first.
                return self.as_duplicate(context, &payload, tx, document, original).await;
            }
            document.chunk_count = i64::try_from(pieces.len()).unwrap_or(i64::MAX);
            document.indexed_version = document.version;
            document.duplicate_of = None;
            store::replace_content(&mut tx, tenant, &document, &text.text, &text.headings, &pieces).await?;
            store::put(&mut tx, tenant, &document).await?;
            self.0.promote_duplicates(&mut tx, tenant, document.id, &document.content_hash, context.kernel.now()).await?;
            tx.commit().await?;
            (pieces, made)
        };
        self.0.index_put(tenant, &document, pieces, made).await?;
        self.finish(context, &payload, document).await
    }

    /// Extracts the document's text, and takes over what the text says about it.
    async fn read(&self, context: &Context, document: &mut Document) -> Result<Text> {
        context.progress("extract", 0, 0).await?;
        let bytes =
            self.0.blobs.get(&document.content_hash).await?.ok_or_else(|| {
                Error::new(code::DOCUMENT_UNREADABLE, "the document's bytes are gone from the blob store: upload it again")
            })?;
        let text = self.0.extractor.extract(bytes, &document.name).await?;
        document.mime = text.mime.clone();
        document.lang = match detect_language(&text.text) {
            Lang::Other => text.lang.clone().filter(|l| l.len() == 2).unwrap_or_default(),
            lang => lang.code().to_owned(),
        };
        document.title = text.title.clone().filter(|t| !t.is_empty()).unwrap_or_else(|| document.name.clone()).chars().take(300).collect();
        for tag in text.tags.iter().filter(|t| !t.is_empty() && t.chars().count() <= 64 && !t.contains('\0')).take(32) {
            if !document.tags.contains(tag) {
                document.tags.push(tag.clone());
            }
        }
        Ok(text)
    }

    /// Ends the job of a document whose content another one of its source has already.
    async fn as_duplicate(
        &self,
        context: &Context,
        payload: &Payload,
        mut tx: Tx,
        mut document: Document,
        original: Document,
    ) -> Result<()> {
        let (tenant, now) = (context.job.tenant, context.kernel.now());
        document.duplicate_of = Some(original.id);
        document.indexed_version = 0;
        document.chunk_count = 0;
        (document.mime, document.lang, document.title) = (original.mime, original.lang, original.title);
        document.embedded = original.embedded;
        store::clear_content(&mut tx, tenant, document.id).await?;
        store::put(&mut tx, tenant, &document).await?;
        store::repoint_duplicates(&mut tx, tenant, document.id, &document.content_hash, original.id).await?;
        self.0.promote_duplicates(&mut tx, tenant, document.id, "", now).await?;
        tx.commit().await?;
        self.0.index_delete_document(tenant, document.id).await;
        self.finish(context, payload, document).await
    }

    async fn finish(&self, context: &Context, payload: &Payload, mut document: Document) -> Result<()> {
        let tenant = context.job.tenant;
        let Some((mut tx, _)) = self.held(context, payload).await? else {
            if store::get(&mut context.kernel.db.read(tenant).await?, tenant, document.id).await?.is_none() {
                // Deleted after its chunks were committed: the index got them a moment too late.
                self.0.index_delete_document(tenant, document.id).await;
            }
            return Ok(());
        };
        let now = context.kernel.now();
        document.state = JobState::Ready;
        document.error = None;
        document.updated_at = now;
        store::put(&mut tx, tenant, &document).await?;
        announce(&mut tx, tenant, &document, now).await?;
        context.commit_ready(tx).await
    }

    /// Makes the vectors that are not there yet and keeps all but those of the last batch, which the caller keeps with [`keep`] in the transaction
    /// that it needs anyway.
    ///
    /// While the embedder works on a batch, the vectors of the one before are kept and the next one is looked up, so that it never waits
    /// for the database. What is kept stays kept: an attempt that dies loses two batches at most.
    async fn embed<'a>(&self, context: &Context, pieces: &'a [Piece]) -> Result<Option<Embedded<'a>>> {
        let Some(embedder) = self.0.embedder() else { return Ok(None) };
        let total = i64::try_from(pieces.len()).unwrap_or(i64::MAX);
        let (mut batches, mut done, mut last) = (pieces.chunks(BATCH), 0, Vec::new());
        let mut missing = self.without_vector(context, &embedder, batches.next().unwrap_or_default()).await?;
        loop {
            let following = batches.next();
            let texts = missing.iter().map(|p| embedded_text(&p.heading, &p.text)).collect();
            let meanwhile = async {
                if !last.is_empty() {
                    let mut tx = context.write().await?;
                    keep(&mut tx, context, &embedder, &last).await?;
                    tx.commit().await?;
                }
                context.progress("embed", i64::try_from(done).unwrap_or(total), total).await?;
                self.without_vector(context, &embedder, following.unwrap_or_default()).await
            };
            let (vectors, next) = tokio::try_join!(embed(&embedder, texts, Priority::Bulk), meanwhile)?;
            last = missing.into_iter().zip(vectors).collect();
            if following.is_none() {
                context.progress("embed", total, total).await?;
                return Ok(Some(Embedded { embedder, last }));
            }
            done += BATCH;
            missing = next;
        }
    }

    /// The pieces that have no vector of this model yet.
    async fn without_vector<'a>(&self, context: &Context, embedder: &Embedder, pieces: &'a [Piece]) -> Result<Vec<&'a Piece>> {
        if pieces.is_empty() {
            return Ok(Vec::new());
        }
        let mut tx = context.kernel.db.read(context.job.tenant).await?;
        let hashes: Vec<&str> = pieces.iter().map(|piece| piece.text_hash.as_str()).collect();
        let there = store::with_vector(&mut tx, context.job.tenant, embedder.alias(), embedder.version(), &hashes).await?;
        Ok(pieces.iter().filter(|piece| !there.contains(&piece.text_hash)).collect())
    }
}

/// What became of a document's chunks in the embedder.
struct Embedded<'a> {
    embedder: Arc<Embedder>,
    /// The chunks of the last batch with their vectors, which are not kept yet.
    last: Vec<(&'a Piece, Vec<f32>)>,
}

/// Keeps the vectors of the last batch and returns them, by the hashes of their texts.
async fn keep_last(tx: &mut Tx, context: &Context, embedded: Option<Embedded<'_>>) -> Result<HashMap<String, Vec<f32>>> {
    let Some(Embedded { embedder, last }) = embedded else { return Ok(HashMap::new()) };
    keep(tx, context, &embedder, &last).await?;
    Ok(last.into_iter().map(|(piece, vector)| (piece.text_hash.clone(), vector)).collect())
}

/// Keeps vectors.
async fn keep(tx: &mut Tx, context: &Context, embedder: &Embedder, vectors: &[(&Piece, Vec<f32>)]) -> Result<()> {
    let rows: Vec<(&str, &[f32])> = vectors.iter().map(|(piece, vector)| (piece.text_hash.as_str(), vector.as_slice())).collect();
    store::put_vectors(tx, context.job.tenant, embedder.alias(), embedder.version(), &rows, context.kernel.now()).await
}

/// Embeds texts and measures how long it took.
pub(crate) async fn embed(embedder: &Embedder, texts: Vec<String>, priority: Priority) -> Result<Vec<Vec<f32>>> {
    let started = std::time::Instant::now();
    let vectors = embedder.embed(texts, priority).await.map_err(unavailable)?;
    metrics::histogram!("embed_duration_seconds").record(started.elapsed().as_secs_f64());
    Ok(vectors)
}

/// An embedder's error as one of ours.
fn unavailable(error: EmbedderError) -> Error {
    match error {
        EmbedderError::Overloaded { .. } => {
            Error::new(code::OVERLOADED, error.to_string()).with_retry_after(std::time::Duration::from_secs(1))
        }
        EmbedderError::Stopped => Error::new(code::SHUTTING_DOWN, error.to_string()),
        other => Error::internal(other),
    }
}

impl Knowledge {
    /// Puts a document's chunks into the index with their vectors, which are read from SQL unless `vectors` has them all.
    pub(crate) async fn index_put(
        &self,
        tenant: TenantId,
        document: &Document,
        pieces: Vec<Piece>,
        vectors: HashMap<String, Vec<f32>>,
    ) -> Result<()> {
        let (knowledge, document) = (self.clone(), document.clone());
        // A job that is canceled is dropped where it waits, but a write to the index that has begun is not: so it is a task of its own, which
        // looks afterwards whether the document is still to be found.
        let put = async move { knowledge.index_put_and_look(tenant, document, pieces, vectors).await };
        self.kernel.lifecycle.shielded("index", put).await
    }

    async fn index_put_and_look(
        &self,
        tenant: TenantId,
        document: Document,
        pieces: Vec<Piece>,
        mut vectors: HashMap<String, Vec<f32>>,
    ) -> Result<()> {
        let index = self.index()?;
        if let Some(e) = self.embedder().filter(|_| !pieces.iter().all(|piece| vectors.contains_key(&piece.text_hash))) {
            vectors = store::vectors(&mut self.kernel.db.read(tenant).await?, tenant, &[document.id], e.alias(), e.version()).await?;
        }
        let id = document.id;
        let document = index_document(tenant, &document, pieces, |hash| vectors.get(hash).cloned());
        index.replace_documents(vec![document]).await.map_err(index_error)?;
        let now = store::get(&mut self.kernel.db.read(tenant).await?, tenant, id).await?;
        if now.is_none_or(|d| d.indexed_version == 0) {
            self.index_delete_document(tenant, id).await;
        }
        Ok(())
    }
}
