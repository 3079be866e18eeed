//! Documents: a name in a source, the bytes behind it, and how far its ingest is.

pub mod routes;
pub(crate) mod store;

use astrolabe_kernel::{
    Error, Id, Result, Timestamp, Tx,
    audit::Record,
    db::is_unique_violation,
    error::code,
    id::Named,
    jobs::{Job, JobError, JobState, NewJob},
    principal::TenantId,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use crate::{
    Knowledge,
    ingest::{self, extract::Heading},
    sources::{self, Source},
};

/// A document of a source.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Document {
    /// Its id, `doc_…`; stays when its content is replaced.
    pub id: Id<Document>,
    /// The source it is in.
    pub source_id: Id<Source>,
    /// Its name, unique in the source: a file name, which may be a path.
    pub name: String,
    /// Media type, empty until extracted.
    pub mime: String,
    /// Bytes.
    pub size: i64,
    /// ISO 639-1 code of its language, empty until extracted or when unknown.
    pub lang: String,
    /// Its title, its name when it has none.
    pub title: String,
    /// Words to filter by.
    pub tags: Vec<String>,
    /// Where it stands.
    pub state: JobState,
    /// Why it failed.
    pub error: Option<JobError>,
    /// SHA-256 of its bytes, in hexadecimal.
    pub content_hash: String,
    /// The document of the same source that has the same content and is found in its place; null for a document of its own.
    pub duplicate_of: Option<Id<Document>>,
    /// Rises with every new content.
    pub version: i64,
    /// How many chunks can be found.
    pub chunk_count: i64,
    /// Whether its chunks can be found by meaning, not by words alone.
    pub embedded: bool,
    /// The job that ingests it, or did.
    pub job_id: Id<Job>,
    /// When it was added.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// Of which version the chunks are.
    #[serde(skip)]
    pub(crate) indexed_version: i64,
}

impl Named for Document {
    const PREFIX: &'static str = "doc";
}

/// The text that offsets of chunks and citations count in.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct DocumentContent {
    /// The document.
    pub id: Id<Document>,
    /// The source it is in.
    pub source_id: Id<Source>,
    /// Its name.
    pub name: String,
    /// Its title.
    pub title: String,
    /// Media type of the original.
    pub mime: String,
    /// The extracted text: plain, never markup to be rendered.
    pub text: String,
    /// Its sections, in reading order.
    pub headings: Vec<Heading>,
}

/// Checks a document's name: a relative path of 1 to 500 characters without control characters or steps upwards.
///
/// # Errors
/// `invalid_request` naming `file`.
pub fn check_name(name: &str) -> Result<()> {
    let bad = |what: &str| Err(Error::field("file", what));
    if !(1..=500).contains(&name.chars().count()) {
        return bad("the file name must be 1 to 500 characters");
    }
    if name.chars().any(char::is_control) {
        return bad("the file name must not contain control characters");
    }
    if name.starts_with('/') || name.contains('\\') || name.split('/').any(|part| part.is_empty() || part == "." || part == "..") {
        return bad("the file name must be a relative path with forward slashes and without empty, `.` or `..` parts");
    }
    Ok(())
}

/// What an upload brings.
#[derive(Clone)]
pub struct Upload<'a> {
    /// The document's name.
    pub name: &'a str,
    /// Its stored bytes.
    pub blob: astrolabe_backends::blob::Blob,
    /// Words to filter by.
    pub tags: &'a [String],
}

impl Knowledge {
    /// Adds documents, or gives those that are there already their new content; all of them, with their jobs and events, commit together.
    /// The same content under the same name changes nothing, except that a failed or canceled document is tried again. Returns them in the
    /// order of `uploads`.
    ///
    /// # Errors
    /// `invalid_request` about a name; `not_found` when the source is gone.
    pub async fn add_documents(
        &self,
        caller: &astrolabe_kernel::http::Caller,
        source: Id<Source>,
        uploads: &[Upload<'_>],
    ) -> Result<Vec<Document>> {
        uploads.iter().try_for_each(|u| check_name(u.name))?;
        match self.put_documents(caller, source, uploads).await {
            // Somebody added a document of one of these names at the same moment: now it is there to be replaced.
            Err(error) if is_unique_violation(&error) => self.put_documents(caller, source, uploads).await,
            result => result,
        }
    }

    async fn put_documents(
        &self,
        caller: &astrolabe_kernel::http::Caller,
        source: Id<Source>,
        uploads: &[Upload<'_>],
    ) -> Result<Vec<Document>> {
        let mut tx = self.kernel.db.write(caller.principal.tenant).await?;
        let documents = self.put_documents_in(&mut tx, caller, source, uploads).await?;
        tx.commit().await?;
        Ok(documents)
    }

    /// The same with a transaction that the caller commits. It fails with a unique violation when somebody adds a document of one of these
    /// names at the same moment; begin again then, for now it is there to be replaced.
    pub(crate) async fn put_documents_in(
        &self,
        tx: &mut Tx,
        caller: &astrolabe_kernel::http::Caller,
        source: Id<Source>,
        uploads: &[Upload<'_>],
    ) -> Result<Vec<Document>> {
        let (kernel, tenant, now) = (&self.kernel, caller.principal.tenant, self.kernel.now());
        if !sources::store::hold(tx, tenant, source).await? {
            return Err(Error::not_found("source"));
        }
        // Rows first, in the order of their names, and what everybody who adds to the source waits for (its stream) afterwards: so two who
        // add the same names never wait for each other.
        let mut order: Vec<usize> = (0..uploads.len()).collect();
        order.sort_by_key(|i| uploads[*i].name);
        let mut documents: Vec<Option<(Document, bool)>> = vec![None; uploads.len()];
        for i in order {
            let upload = &uploads[i];
            let old = store::lock_by_name(tx, tenant, source, upload.name).await?;
            documents[i] = Some(match old {
                Some(old) if old.content_hash == upload.blob.hash && !matches!(old.state, JobState::Failed | JobState::Canceled) => {
                    (old, false)
                }
                old => {
                    let document = self.with_content(old, source, upload, now);
                    store::put(tx, tenant, &document).await?;
                    (document, true)
                }
            });
        }
        let documents: Vec<(Document, bool)> = documents.into_iter().flatten().collect();
        for (document, _) in documents.iter().filter(|(_, changed)| *changed) {
            enqueue(tx, tenant, document, now).await?;
            announce(tx, tenant, document, now).await?;
            let about = json!({"name": document.name, "source_id": source, "version": document.version});
            tx.audit(kernel, Record::of(caller, "documents.add", document.id, about)).await?;
        }
        Ok(documents.into_iter().map(|(document, _)| document).collect())
    }

    /// A document with the content of an upload: the one that was there, or a new one.
    fn with_content(&self, old: Option<Document>, source: Id<Source>, upload: &Upload<'_>, now: Timestamp) -> Document {
        let (job_id, hash) = (self.kernel.id(), upload.blob.hash.clone());
        let size = i64::try_from(upload.blob.size).unwrap_or(i64::MAX);
        match old {
            Some(old) => Document {
                version: old.version + 1,
                size,
                content_hash: hash,
                tags: if upload.tags.is_empty() { old.tags.clone() } else { upload.tags.to_vec() },
                state: JobState::Queued,
                error: None,
                job_id,
                updated_at: now,
                ..old
            },
            None => Document {
                id: self.kernel.id(),
                source_id: source,
                name: upload.name.to_owned(),
                mime: String::new(),
                size,
                lang: String::new(),
                title: upload.name.to_owned(),
                tags: upload.tags.to_vec(),
                state: JobState::Queued,
                error: None,
                content_hash: hash,
                duplicate_of: None,
                version: 1,
                chunk_count: 0,
                embedded: false,
                job_id,
                created_at: now,
                updated_at: now,
                indexed_version: 0,
            },
        }
    }

    /// Starts the ingest of a failed or canceled document again.
    ///
    /// # Errors
    /// `not_found`; `invalid_state` when it neither failed nor was canceled.
    pub async fn retry(&self, caller: &astrolabe_kernel::http::Caller, id: Id<Document>) -> Result<Document> {
        let (kernel, tenant, now) = (&self.kernel, caller.principal.tenant, self.kernel.now());
        let mut tx = kernel.db.write(tenant).await?;
        let mut document = store::lock(&mut tx, tenant, id).await?.ok_or_else(|| Error::not_found("document"))?;
        sources::rights::require(&mut tx, &caller.principal, document.source_id, "document").await?;
        if !matches!(document.state, JobState::Failed | JobState::Canceled) {
            let text = format!("the document is {}: only failed and canceled ones can be retried", document.state.as_str());
            return Err(Error::new(code::INVALID_STATE, text));
        }
        requeue(&mut tx, tenant, &mut document, kernel.id(), now).await?;
        tx.audit(kernel, Record::of(caller, "documents.retry", id, json!({"name": document.name}))).await?;
        tx.commit().await?;
        Ok(document)
    }

    /// Removes a document with its chunks. A duplicate that was found in its place is ingested on its own.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn remove_document(&self, caller: &astrolabe_kernel::http::Caller, id: Id<Document>) -> Result<()> {
        let tenant = caller.principal.tenant;
        let mut tx = self.kernel.db.write(tenant).await?;
        let document = store::lock(&mut tx, tenant, id).await?.ok_or_else(|| Error::not_found("document"))?;
        sources::rights::require(&mut tx, &caller.principal, document.source_id, "document").await?;
        self.remove_document_in(&mut tx, caller, &document).await?;
        tx.commit().await?;
        self.index_delete_document(tenant, id).await;
        Ok(())
    }

    /// The same with a transaction that the caller commits, and takes the document out of the index after that.
    pub(crate) async fn remove_document_in(&self, tx: &mut Tx, caller: &astrolabe_kernel::http::Caller, document: &Document) -> Result<()> {
        let (kernel, tenant, now) = (&self.kernel, caller.principal.tenant, self.kernel.now());
        store::delete(tx, tenant, document.id).await?;
        self.promote_duplicates(tx, tenant, document.id, "", now).await?;
        let data = json!({"document_id": document.id, "name": document.name});
        tx.append_event(tenant, &sources::stream(document.source_id), "document.deleted", &data, now).await?;
        tx.audit(kernel, Record::of(caller, "documents.delete", document.id, json!({"name": document.name}))).await
    }
}

impl Knowledge {
    /// Ingests on their own the duplicates of a document that is no longer found with their content; `hash` is the content it has now,
    /// empty for none.
    pub(crate) async fn promote_duplicates(
        &self,
        tx: &mut Tx,
        tenant: TenantId,
        of: Id<Document>,
        hash: &str,
        now: Timestamp,
    ) -> Result<()> {
        while let Some(mut heir) = store::first_duplicate(tx, tenant, of, hash).await? {
            heir.duplicate_of = None;
            requeue(tx, tenant, &mut heir, self.kernel.id(), now).await?;
            store::repoint_duplicates(tx, tenant, of, &heir.content_hash, heir.id).await?;
        }
        Ok(())
    }
}

/// Puts a document back to the start of its ingest, as a new job.
pub(crate) async fn requeue(tx: &mut Tx, tenant: TenantId, document: &mut Document, job: Id<Job>, now: Timestamp) -> Result<()> {
    document.state = JobState::Queued;
    document.error = None;
    document.job_id = job;
    document.updated_at = now;
    store::put(tx, tenant, document).await?;
    enqueue(tx, tenant, document, now).await?;
    announce(tx, tenant, document, now).await
}

async fn enqueue(tx: &mut Tx, tenant: TenantId, document: &Document, now: Timestamp) -> Result<()> {
    let subject = document.id.to_string();
    let payload = json!({"document_id": document.id, "version": document.version, "found": document.indexed_version == document.version});
    tx.enqueue(NewJob::new(document.job_id, tenant, ingest::KIND, &subject, payload), now).await.map(drop)
}

/// Tells the source's readers where a document stands.
pub(crate) async fn announce(tx: &mut Tx, tenant: TenantId, document: &Document, now: Timestamp) -> Result<()> {
    let data = json!({
        "document_id": document.id, "name": document.name, "state": document.state, "error": document.error,
        "chunks": document.chunk_count, "embedded": document.embedded, "duplicate_of": document.duplicate_of,
    });
    tx.append_event(tenant, &sources::stream(document.source_id), &format!("document.{}", document.state.as_str()), &data, now).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_steps_out_of_its_source_is_refused() {
        for bad in ["", "/etc/passwd", "a/../b", "..", "a//b", "a\\b", "a\u{0}b", "a\nb", "./a"] {
            assert!(check_name(bad).is_err(), "{bad:?}");
        }
        for good in ["a.md", "guide/network.md", "Übersicht – Łódź.txt", "данные.html"] {
            assert!(check_name(good).is_ok(), "{good:?}");
        }
    }
}
