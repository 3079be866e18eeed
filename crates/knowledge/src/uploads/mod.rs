//! Uploads in parts: begun here, sent to signed addresses, completed here. What arrived stays when a connection is cut or a process dies,
//! and a document and its job appear together when the upload is completed.

pub mod routes;
mod sign;
pub(crate) mod store;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, time::Duration};

use astrolabe_backends::blob::Blob;
use astrolabe_kernel::{
    Error, Id, Result, Timestamp, audit::Record, config::Secret, db::is_unique_violation, error::code, http::Caller, id::Named,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use crate::{
    Knowledge,
    documents::{self, Document, check_name},
    sources::{self, Source, rights},
};

/// How long a signed address holds.
pub const ADDRESS_LIFE: Duration = Duration::from_secs(3600);
/// How long a completed upload is remembered.
const REMEMBERED: Duration = Duration::from_secs(7 * 24 * 3600);
/// Bytes of a part when nobody says otherwise, and the least and the most that somebody may say: those of S3, but for the most.
const PART_SIZE: i64 = 8 << 20;
const PART_SIZES: std::ops::RangeInclusive<i64> = 5 << 20..=64 << 20;
/// Parts of an upload, and addresses given out at once, at most.
pub const MAX_PARTS: usize = 1000;
/// Unfinished uploads of a tenant at most.
const MAX_OPEN: i64 = 200;

/// Where an upload stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum UploadState {
    /// Parts may arrive.
    Open,
    /// The document is there.
    Complete,
}

/// A file that arrives in parts.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Upload {
    /// Its id, `upl_…`.
    pub id: Id<Upload>,
    /// The source that the document comes to.
    pub source_id: Id<Source>,
    /// The document's name.
    pub name: String,
    /// Bytes of the whole file.
    pub size: i64,
    /// SHA-256 of the whole file, in hexadecimal.
    pub sha256: String,
    /// Bytes of every part but the last.
    pub part_size: i64,
    /// How many parts there are.
    pub part_count: i64,
    /// Words to filter the document by.
    pub tags: Vec<String>,
    /// Where it stands.
    pub state: UploadState,
    /// The document, once complete.
    pub document_id: Option<Id<Document>>,
    /// When it was begun.
    pub created_at: Timestamp,
    /// When what is not complete is removed; of a completed one, when it is forgotten.
    pub expires_at: Timestamp,
}

impl Named for Upload {
    const PREFIX: &'static str = "upl";
}

/// A file to upload in parts.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "manuals/press.md", "size": 11, "sha256": "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9"}))]
pub struct NewUpload {
    /// The document's name: a file name, which may be a path.
    #[schema(min_length = 1, max_length = 500, pattern = "^[^\\u0000]*$")]
    pub name: String,
    /// Bytes of the whole file.
    #[schema(minimum = 1)]
    pub size: i64,
    /// SHA-256 of the whole file, in hexadecimal with small letters.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    pub sha256: String,
    /// Bytes of every part but the last, 5 to 64 MiB; 8 MiB when absent. A file that is not larger has one part.
    #[serde(default)]
    #[schema(minimum = 5_242_880, maximum = 67_108_864)]
    pub part_size: Option<i64>,
    /// SHA-256 of the parts, in order, for addresses right away; none, to ask for them later. One part alone needs none.
    #[serde(default)]
    #[schema(max_items = 1000, value_type = Vec<PartSum>)]
    pub checksums: Vec<String>,
    /// Words to filter by.
    #[serde(default)]
    #[schema(max_items = 32, value_type = Vec<sources::Tag>)]
    pub tags: Vec<String>,
}

/// The SHA-256 of a part, as the description shows it.
#[derive(ToSchema)]
#[schema(pattern = "^[0-9a-f]{64}$")]
#[expect(dead_code, reason = "describes the items of lists of checksums")]
pub struct PartSum(String);

/// Parts to get addresses for.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"parts": [{"number": 1, "sha256": "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9"}]}))]
pub struct PartsToSign {
    /// The parts.
    #[schema(min_items = 1, max_items = 1000)]
    pub parts: Vec<PartToSign>,
}

/// A part to get an address for.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PartToSign {
    /// Its place in the file, from 1.
    #[schema(minimum = 1, maximum = 1000)]
    pub number: i64,
    /// SHA-256 of its bytes, in hexadecimal with small letters.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    pub sha256: String,
}

/// Where a part is to be sent, by whoever has this: no other credential is needed.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct PartAddress {
    /// The part's place in the file, from 1.
    pub number: i64,
    /// Bytes of the part.
    pub size: i64,
    /// The method to use.
    #[schema(example = "PUT")]
    pub method: String,
    /// The address, signed for these bytes alone. One that begins with `/` is on this server.
    pub url: String,
    /// Headers to send with it, exactly so.
    pub headers: BTreeMap<String, String>,
    /// Until when it holds; then ask for another.
    pub expires_at: Timestamp,
}

/// An upload with addresses of its parts.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct UploadBegun {
    /// The upload.
    #[serde(flatten)]
    pub upload: Upload,
    /// Where the parts go whose checksums are known.
    pub parts: Vec<PartAddress>,
}

/// Addresses of parts.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SignedParts {
    /// In the order that was asked for.
    pub parts: Vec<PartAddress>,
}

/// An upload and what has arrived of it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct UploadProgress {
    /// The upload.
    #[serde(flatten)]
    pub upload: Upload,
    /// The parts that have arrived whole, by their numbers; a part that is sent again takes the place of the one before.
    pub received: Vec<ReceivedPart>,
}

/// A part that has arrived whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReceivedPart {
    /// Its place in the file, from 1.
    pub number: i64,
    /// Its bytes.
    pub size: i64,
    /// SHA-256 of its bytes, in hexadecimal; empty where the parts are in a bucket, which has checked it.
    pub sha256: String,
}

impl Upload {
    /// Bytes of a part.
    fn size_of(&self, number: i64) -> i64 {
        if number < self.part_count { self.part_size } else { self.size - self.part_size * (self.part_count - 1) }
    }
}

/// How many parts of a size a file has.
pub(crate) fn part_count(size: i64, part_size: i64) -> i64 {
    (size.max(1) - 1) / part_size.max(1) + 1
}

fn check_sum(field: &str, text: &str) -> Result<()> {
    let ok = text.len() == 64 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    if ok { Ok(()) } else { Err(Error::field(field, "must be a SHA-256 as 64 hexadecimal digits with small letters")) }
}

impl NewUpload {
    /// Checks the fields. Returns the size of a part.
    ///
    /// # Errors
    /// `invalid_request` naming the first wrong field; `too_large` beyond `limit` bytes.
    fn validate(&self, limit: u64) -> Result<i64> {
        check_name(&self.name).map_err(|e| Error::field("name", e.message().trim_start_matches("file: ")))?;
        check_sum("sha256", &self.sha256)?;
        sources::check_tags(&self.tags)?;
        if self.size < 1 {
            return Err(Error::field("size", "must be at least 1: an empty file has no text"));
        }
        if self.size.unsigned_abs() > limit {
            let text = format!("the file is larger than {limit} bytes (knowledge.max_document_bytes)");
            return Err(Error::new(code::TOO_LARGE, text.clone()).and_field("size", text));
        }
        let part_size = self.part_size.unwrap_or(PART_SIZE);
        if !PART_SIZES.contains(&part_size) {
            return Err(Error::field("part_size", format!("must be between {} and {}", PART_SIZES.start(), PART_SIZES.end())));
        }
        let count = part_count(self.size, part_size);
        if !self.checksums.is_empty() && i64::try_from(self.checksums.len()) != Ok(count) {
            return Err(Error::field("checksums", format!("must be one for each of the {count} parts, or none")));
        }
        self.checksums.iter().enumerate().try_for_each(|(i, sum)| check_sum(&format!("checksums[{i}]"), sum))?;
        Ok(part_size)
    }
}

impl Knowledge {
    /// Begins an upload into a source that the caller may read.
    async fn begin_upload(&self, caller: &Caller, source: Id<Source>, new: &NewUpload) -> Result<UploadBegun> {
        let part_size = new.validate(self.config.max_document_bytes)?;
        let (kernel, now) = (&self.kernel, self.kernel.now());
        let upload = Upload {
            id: kernel.id(),
            source_id: source,
            name: new.name.clone(),
            size: new.size,
            sha256: new.sha256.clone(),
            part_size,
            part_count: part_count(new.size, part_size),
            tags: new.tags.clone(),
            state: UploadState::Open,
            document_id: None,
            created_at: now,
            expires_at: now.plus(Duration::from_secs(3600 * u64::from(self.config.upload_hours))),
        };
        let handle = self.blobs.begin(&upload.id.to_string()).await?;
        let found = Found { upload, handle, secret: Secret::new(kernel.random.token(43)) };
        if let Err(error) = self.insert_upload(caller, &found).await {
            self.discard_parts(&found).await;
            return Err(error);
        }
        let upload = &found.upload;
        let sums = if upload.part_count == 1 { std::slice::from_ref(&upload.sha256) } else { &new.checksums[..] };
        let parts: Result<Vec<PartAddress>> =
            (1..).zip(sums).map(|(number, sum)| sign::address(&self.blobs, &found, number, sum, now)).collect();
        Ok(UploadBegun { parts: parts?, upload: found.upload })
    }

    async fn insert_upload(&self, caller: &Caller, found: &Found) -> Result<()> {
        let (kernel, tenant, upload, source) = (&self.kernel, caller.principal.tenant, &found.upload, found.upload.source_id);
        let mut tx = kernel.db.write(tenant).await?;
        if !sources::store::hold(&mut tx, tenant, source).await? {
            return Err(Error::not_found("source"));
        }
        rights::require(&mut tx, &caller.principal, source, "source").await?;
        if store::open_uploads(&mut tx, tenant).await? >= MAX_OPEN {
            let text = format!("there are {MAX_OPEN} unfinished uploads: complete or abort some of them");
            return Err(Error::new(code::INVALID_STATE, text));
        }
        store::insert(&mut tx, tenant, found).await?;
        let about = json!({"name": upload.name, "source_id": source, "size": upload.size, "sha256": upload.sha256});
        tx.audit(kernel, Record::of(caller, "uploads.begin", upload.id, about)).await?;
        tx.commit().await
    }

    /// Addresses for parts of an open upload.
    async fn sign_parts(&self, caller: &Caller, id: Id<Upload>, parts: &[PartToSign]) -> Result<Vec<PartAddress>> {
        if !(1..=MAX_PARTS).contains(&parts.len()) {
            return Err(Error::field("parts", format!("must be 1 to {MAX_PARTS}")));
        }
        let found = self.upload_of(caller, id).await?;
        let upload = &found.upload;
        if upload.state == UploadState::Complete {
            return Err(complete_already());
        }
        for (i, part) in parts.iter().enumerate() {
            if !(1..=upload.part_count).contains(&part.number) {
                return Err(Error::field(format!("parts[{i}].number"), format!("must be between 1 and {}", upload.part_count)));
            }
            check_sum(&format!("parts[{i}].sha256"), &part.sha256)?;
        }
        let now = self.kernel.now();
        parts.iter().map(|part| sign::address(&self.blobs, &found, part.number, &part.sha256, now)).collect()
    }

    /// What has arrived.
    async fn received(&self, found: &Found) -> Result<Vec<ReceivedPart>> {
        let parts = self.blobs.parts(&found.upload.id.to_string(), &found.handle).await?;
        let size = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        Ok(parts.into_iter().map(|p| ReceivedPart { number: p.number.into(), size: size(p.size), sha256: p.sha256 }).collect())
    }

    /// An upload of the caller's tenant, into a source that it may read.
    async fn upload_of(&self, caller: &Caller, id: Id<Upload>) -> Result<Found> {
        let mut tx = self.kernel.db.read(caller.principal.tenant).await?;
        let found = store::get(&mut tx, caller.principal.tenant, id).await?;
        let found = found.ok_or_else(|| Error::not_found("upload"))?;
        rights::require(&mut tx, &caller.principal, found.upload.source_id, "upload").await?;
        Ok(found)
    }

    /// Puts the parts together and adds the document. A repeat gives the same document.
    ///
    /// # Errors
    /// `not_found`; `invalid_state` naming parts that are missing; `invalid_request` when the whole is not the file that was announced, which
    /// ends the upload.
    pub(crate) async fn complete_upload(&self, caller: &Caller, id: Id<Upload>) -> Result<Document> {
        let found = self.upload_of(caller, id).await?;
        let upload = &found.upload;
        if let Some(document) = upload.document_id {
            return self.document_of(caller, document).await;
        }
        let blob = match self.gather(&found).await {
            Ok(blob) => blob,
            // Somebody else may have completed it meanwhile, and its parts are gone because of that.
            Err(error) => match self.upload_of(caller, id).await?.upload.document_id {
                Some(document) => return self.document_of(caller, document).await,
                None => return Err(error),
            },
        };
        if blob.hash != upload.sha256 {
            self.end_upload(caller, &found, "uploads.refuse").await?;
            let text =
                format!("the parts together have the SHA-256 {}, not {}: the upload is over, begin a new one", blob.hash, upload.sha256);
            return Err(Error::field("sha256", text));
        }
        let document = match self.commit_upload(caller, upload, &blob).await {
            // Somebody added a document of this name at the same moment: now it is there to be replaced.
            Err(error) if is_unique_violation(&error) => self.commit_upload(caller, upload, &blob).await,
            result => result,
        }?;
        // The bucket's own upload ended when it was put together.
        self.discard_parts(&Found { handle: String::new(), ..found }).await;
        Ok(document)
    }

    async fn gather(&self, found: &Found) -> Result<Blob> {
        let upload = &found.upload;
        let received = self.received(found).await?;
        let missing: Vec<String> =
            (1..=upload.part_count).filter(|n| !received.iter().any(|p| p.number == *n)).take(20).map(|n| n.to_string()).collect();
        // A bucket forgets the parts once they are put together, and an attempt that died may have come that far.
        if !missing.is_empty() && (found.handle.is_empty() || !received.is_empty()) {
            let text =
                format!("these parts have not arrived: {}; GET /api/v1/uploads/{} lists those that have", missing.join(", "), upload.id);
            return Err(Error::new(code::INVALID_STATE, text));
        }
        self.blobs.assemble(&upload.id.to_string(), &found.handle, u32::try_from(upload.part_count).unwrap_or(u32::MAX)).await
    }

    /// Document, job, events, audit and the end of the upload, in one transaction.
    async fn commit_upload(&self, caller: &Caller, upload: &Upload, blob: &Blob) -> Result<Document> {
        let (kernel, tenant, now) = (&self.kernel, caller.principal.tenant, self.kernel.now());
        let mut tx = kernel.db.write(tenant).await?;
        let held = store::lock(&mut tx, tenant, upload.id).await?.ok_or_else(|| Error::not_found("upload"))?;
        if let Some(document) = held.document_id {
            drop(tx);
            return self.document_of(caller, document).await;
        }
        let new = documents::Upload { name: &upload.name, blob: blob.clone(), tags: &upload.tags };
        let added = self.put_documents_in(&mut tx, caller, upload.source_id, &[new]).await?;
        let document = added.into_iter().next().ok_or_else(|| Error::internal("an upload made no document"))?;
        store::complete(&mut tx, tenant, upload.id, document.id, now.plus(REMEMBERED)).await?;
        let about = json!({"name": upload.name, "source_id": upload.source_id, "document_id": document.id});
        tx.audit(kernel, Record::of(caller, "uploads.complete", upload.id, about)).await?;
        tx.commit().await?;
        Ok(document)
    }

    async fn document_of(&self, caller: &Caller, id: Id<Document>) -> Result<Document> {
        let tenant = caller.principal.tenant;
        let document = documents::store::get(&mut self.kernel.db.read(tenant).await?, tenant, id).await?;
        document.ok_or_else(|| Error::not_found("document"))
    }

    /// Gives an open upload up, with what has arrived of it.
    async fn abort_upload(&self, caller: &Caller, id: Id<Upload>) -> Result<()> {
        let found = self.upload_of(caller, id).await?;
        if found.upload.state == UploadState::Complete {
            return Err(complete_already());
        }
        self.end_upload(caller, &found, "uploads.abort").await
    }

    async fn end_upload(&self, caller: &Caller, found: &Found, action: &'static str) -> Result<()> {
        let (tenant, upload) = (caller.principal.tenant, &found.upload);
        let mut tx = self.kernel.db.write(tenant).await?;
        if !store::delete_open(&mut tx, tenant, upload.id).await? {
            // Between reading and deleting it was completed or ended.
            return Err(Error::new(code::CONFLICT, "the upload ended at this moment: read it again"));
        }
        let about = json!({"name": upload.name, "source_id": upload.source_id});
        tx.audit(&self.kernel, Record::of(caller, action, upload.id, about)).await?;
        tx.commit().await?;
        self.discard_parts(found).await;
        Ok(())
    }

    async fn discard_parts(&self, Found { upload, handle, .. }: &Found) {
        if let Err(error) = self.blobs.discard(&upload.id.to_string(), handle).await {
            tracing::warn!(upload_id = %upload.id, error = ?error, "parts of an upload could not be removed; the sweep does it");
        }
    }

    /// Removes uploads that are past their time, and parts that belong to none and are older than `spare`: those of a deleted source, or of a
    /// process that died in between. Returns how many uploads ended.
    pub(crate) async fn sweep_uploads(&self, spare: Duration) -> Result<usize> {
        let mut tx = self.kernel.db.write_all().await?;
        let expired = store::delete_expired(&mut tx, self.kernel.now()).await?;
        tx.commit().await?;
        for found in expired.iter().filter(|f| f.upload.state == UploadState::Open) {
            self.discard_parts(found).await;
        }
        for name in self.blobs.uploads_older_than(spare).await? {
            let known = match name.parse::<Id<Upload>>() {
                Ok(id) => {
                    store::find(&mut self.kernel.db.read_all().await?, id).await?.is_some_and(|f| f.upload.state == UploadState::Open)
                }
                Err(_) => false,
            };
            if !known {
                self.blobs.discard(&name, "").await?;
            }
        }
        Ok(expired.len())
    }
}

fn complete_already() -> Error {
    Error::new(code::INVALID_STATE, "the upload is complete: its document is there")
}

/// An upload with what signs the addresses of its parts.
pub(crate) struct Found {
    pub(crate) upload: Upload,
    /// The blob store's own name for it.
    pub(crate) handle: String,
    pub(crate) secret: Secret,
}
