//! The job that ingests a document.

use astrolabe_backends::embedder::{Embedder, EmbedderError, Priority};
use astrolabe_kernel::{
    Error, Id, Result, Timestamp, Tx,
    error::code,
    jobs::{Context, Handler, Job, JobState},
};
use futures_util::future::BoxFuture;
use serde::Deserialize;

use super::{KIND, Piece, embedded_text, index_document, pieces};
use crate::{
    Knowledge,
    documents::{self, Document, announce, store},
    sources,
};

/// Texts embedded between two looks at cancel and progress.
const BATCH: usize = 16;

#[derive(Deserialize)]
struct Payload {
    document_id: Id<Document>,
    version: i64,
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
            let Some(mut document) = store::get(tx, job.tenant, id).await?.filter(|d| d.job_id == job.id) else { return Ok(()) };
            document.state = JobState::Queued;
            document.error = None;
            document.updated_at = now;
            store::put(tx, job.tenant, &document).await?;
            announce(tx, job.tenant, &document, now).await
        })
    }

    fn ended<'a>(&'a self, tx: &'a mut Tx, job: &'a Job, now: Timestamp) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let Ok(id) = job.subject.parse::<Id<Document>>() else { return Ok(()) };
            let Some(mut document) = store::get(tx, job.tenant, id).await?.filter(|d| d.job_id == job.id) else { return Ok(()) };
            document.state = job.state;
            document.error = job.error.clone();
            document.updated_at = now;
            if document.indexed_version != document.version {
                // An older version may still be found; what this attempt left of the new one may not.
                store::put(tx, job.tenant, &document).await?;
            } else {
                document.indexed_version = 0;
                document.chunk_count = 0;
                store::clear_content(tx, job.tenant, id).await?;
                store::put(tx, job.tenant, &document).await?;
                self.0.index_forget(job.tenant, id);
            }
            announce(tx, job.tenant, &document, now).await
        })
    }
}

impl IngestDocument {
    async fn ingest(&self, context: &Context) -> Result<()> {
        let payload: Payload = context.payload()?;
        let tenant = context.job.tenant;
        let mut tx = context.write().await?;
        let Some(mut document) = store::get(&mut tx, tenant, payload.document_id).await? else { return Ok(()) };
        if document.version != payload.version || document.job_id != context.job.id {
            // A newer upload has a job of its own.
            return Ok(());
        }
        let Some(source) = sources::store::get(&mut tx, tenant, document.source_id).await? else { return Ok(()) };
        document.state = JobState::Running;
        document.updated_at = context.kernel.now();
        if let Some(original) = store::original(&mut tx, tenant, source.id, &document.content_hash, document.id).await? {
            return self.as_duplicate(context, tx, document, original).await;
        }
        store::put(&mut tx, tenant, &document).await?;
        announce(&mut tx, tenant, &document, document.updated_at).await?;
        tx.commit().await?;

        context.progress("extract", 0, 0).await?;
        let bytes = self.0.blobs.get(&document.content_hash).await?.ok_or_else(|| {
            Error::new(code::DOCUMENT_UNREADABLE, "the document's bytes are gone from the blob store: upload it again")
        })?;
        let text = self.0.extractor.extract(bytes, &document.name).await?;
        document.mime = text.mime;
        document.lang = match astrolabe_backends::analysis::detect_language(&text.text) {
            astrolabe_backends::analysis::Lang::Other => text.lang.filter(|l| l.len() == 2).unwrap_or_default(),
            lang => lang.code().to_owned(),
        };
        document.title = text.title.filter(|t| !t.is_empty()).unwrap_or_else(|| document.name.clone()).chars().take(300).collect();
        for tag in text.tags.into_iter().filter(|t| !t.is_empty() && t.chars().count() <= 64).take(32) {
            if !document.tags.contains(&tag) {
                document.tags.push(tag);
            }
        }
        let pieces = pieces(&document, &text.text, &text.headings, source.chunk_size, source.chunk_overlap);
        let embedded = self.embed(context, &pieces).await?;

        let mut tx = context.write().await?;
        document.chunk_count = i64::try_from(pieces.len()).unwrap_or(i64::MAX);
        document.embedded = embedded;
        document.indexed_version = document.version;
        document.duplicate_of = None;
        store::replace_content(&mut tx, tenant, &document, &text.text, &text.headings, &pieces).await?;
        store::put(&mut tx, tenant, &document).await?;
        tx.commit().await?;

        self.0.index_put(tenant, &document, pieces).await?;
        self.finish(context, document).await
    }

    /// Ends the job of a document whose content another one of its source has already.
    async fn as_duplicate(&self, context: &Context, mut tx: Tx, mut document: Document, original: Id<Document>) -> Result<()> {
        let tenant = context.job.tenant;
        document.duplicate_of = Some(original);
        document.indexed_version = 0;
        document.chunk_count = 0;
        if let Some(first) = store::get(&mut tx, tenant, original).await? {
            (document.mime, document.lang, document.title) = (first.mime, first.lang, first.title);
            document.embedded = first.embedded;
        }
        store::clear_content(&mut tx, tenant, document.id).await?;
        store::put(&mut tx, tenant, &document).await?;
        tx.commit().await?;
        self.0.index_delete_document(tenant, document.id).await?;
        self.finish(context, document).await
    }

    async fn finish(&self, context: &Context, mut document: Document) -> Result<()> {
        let now = context.kernel.now();
        let mut tx = context.write().await?;
        document.state = JobState::Ready;
        document.error = None;
        document.updated_at = now;
        store::put(&mut tx, context.job.tenant, &document).await?;
        documents::announce(&mut tx, context.job.tenant, &document, now).await?;
        tx.commit().await
    }

    /// Makes and keeps the vectors that are not there yet. Returns whether every chunk has one.
    async fn embed(&self, context: &Context, pieces: &[Piece]) -> Result<bool> {
        let Some(embedder) = self.0.embedder() else { return Ok(false) };
        let (tenant, alias, model) = (context.job.tenant, embedder.alias().to_owned(), embedder.version().to_owned());
        let total = i64::try_from(pieces.len()).unwrap_or(i64::MAX);
        let mut done = 0;
        for batch in pieces.chunks(BATCH) {
            let mut missing: Vec<&Piece> = Vec::new();
            let mut tx = context.kernel.db.read().await?;
            for piece in batch {
                if store::vector(&mut tx, tenant, &alias, &model, &piece.text_hash).await?.is_none() {
                    missing.push(piece);
                }
            }
            drop(tx);
            if !missing.is_empty() {
                let texts = missing.iter().map(|p| embedded_text(&p.heading, &p.text)).collect();
                let vectors = embed(&embedder, texts, Priority::Bulk).await?;
                let mut tx = context.write().await?;
                for (piece, vector) in missing.iter().zip(&vectors) {
                    store::put_vector(&mut tx, tenant, &alias, &model, &piece.text_hash, vector, context.kernel.now()).await?;
                }
                tx.commit().await?;
            }
            done += batch.len();
            context.progress("embed", i64::try_from(done).unwrap_or(total), total).await?;
        }
        Ok(true)
    }
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
    /// Puts a document's chunks into the index with the vectors that SQL has for them.
    pub(crate) async fn index_put(&self, tenant: astrolabe_kernel::principal::TenantId, document: &Document, pieces: Vec<Piece>) -> Result<()> {
        let index = self.index()?;
        let vectors = match self.embedder() {
            Some(e) => store::vectors(&mut self.kernel.db.read().await?, tenant, document.id, e.alias(), e.version()).await?,
            None => Vec::new(),
        };
        let document = index_document(tenant, document, pieces, |hash| vectors.iter().find(|(h, _)| h == hash).map(|(_, v)| v.clone()));
        crate::runtime::blocking(move || index.replace_document(document)).await
    }
}
