//! Blobs in a bucket of S3, or of a server that speaks its protocol. Requests are signed by `rusty-s3` and sent through the one door to the
//! network; parts of uploads go from their senders to the bucket itself, by addresses that sign size and checksum (`UploadPart` of the AWS API
//! Reference, with `x-amz-checksum-sha256`).

use std::{collections::BTreeMap, time::Duration};

use astrolabe_kernel::{
    Clock, Error, Result, Timestamp,
    egress::{Egress, Method, Response, Trust},
    error::code,
};
use base64::Engine;
use bytes::Bytes;
use rusty_s3::{
    Bucket, Credentials, S3Action, UrlStyle,
    actions::{CreateMultipartUpload, ListObjectsV2},
};
use sha2::{Digest, Sha256};

use super::{Address, Blob, BlobsConfig, Part};

/// How long an address of our own requests holds.
const OWN: Duration = Duration::from_secs(300);
/// How long a request about whole contents may take.
const PATIENCE: Duration = Duration::from_secs(600);
/// Bytes of a list or another short answer at most.
const MAX_ANSWER: usize = 8 << 20;

/// A bucket, or a part of one.
pub(super) struct S3 {
    bucket: Bucket,
    /// The same bucket as callers outside reach it.
    public: Bucket,
    credentials: Credentials,
    prefix: String,
    egress: Egress,
    clock: Clock,
}

impl std::fmt::Debug for S3 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("S3").field("bucket", &self.bucket.name()).field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

fn bad(what: &str) -> Error {
    Error::new(code::INVALID_CONFIG, format!("blobs.{what}"))
}

impl S3 {
    /// The bucket of the configuration, unasked.
    ///
    /// # Errors
    /// `invalid_config` naming the setting.
    pub(super) fn new(config: &BlobsConfig, egress: Egress, clock: Clock) -> Result<Self> {
        let place = config.url.strip_prefix("s3://").ok_or_else(|| bad("url: write it as s3://BUCKET or s3://BUCKET/FOLDER"))?;
        let (name, prefix) = place.split_once('/').unwrap_or((place, ""));
        let prefix = prefix.trim_matches('/');
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
        if name.is_empty() || !prefix.chars().all(plain) {
            return Err(bad("url: write it as s3://BUCKET or s3://BUCKET/FOLDER, the folder with letters, digits, dots and dashes"));
        }
        if config.access_key_id.is_empty() || config.secret_access_key.is_empty() {
            return Err(bad("access_key_id and blobs.secret_access_key: set both"));
        }
        let open = |endpoint: &str, key: &str| {
            let amazon = format!("https://s3.{}.amazonaws.com", config.region);
            let (address, style) = if endpoint.is_empty() { (&*amazon, UrlStyle::VirtualHost) } else { (endpoint, UrlStyle::Path) };
            let address = address.parse().map_err(|_| bad(&format!("{key}: write it as https://host:port")))?;
            Bucket::new(address, style, name.to_owned(), config.region.clone()).map_err(|e| bad(&format!("{key}: {e}")))
        };
        let public = if config.public_endpoint.is_empty() { &config.endpoint } else { &config.public_endpoint };
        Ok(Self {
            bucket: open(&config.endpoint, "endpoint")?,
            public: open(public, "public_endpoint")?,
            credentials: Credentials::new(config.access_key_id.as_str(), config.secret_access_key.expose()),
            prefix: if prefix.is_empty() { String::new() } else { format!("{prefix}/") },
            egress,
            clock,
        })
    }

    fn key(&self, hash: &str) -> String {
        format!("{}{}/{hash}", self.prefix, &hash[..2])
    }

    fn upload_key(&self, upload: &str) -> String {
        format!("{}uploads/{upload}", self.prefix)
    }

    fn now(&self) -> Result<jiff::Timestamp> {
        jiff::Timestamp::from_microsecond(self.clock.now().micros()).map_err(Error::internal)
    }

    /// Sends a request. The answer of whatever status.
    async fn send<'a>(&self, method: Method, action: &impl S3Action<'a>, headers: &[(&str, &str)], body: Bytes) -> Result<Response> {
        let url = action.sign_with_time(OWN, &self.now()?);
        let mut request = self.egress.request("s3", Trust::Operator, method, url.as_str())?.timeout(PATIENCE);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        request.body(body).send().await
    }

    /// The answer of a request that is to succeed.
    async fn ask<'a>(&self, method: Method, action: &impl S3Action<'a>, headers: &[(&str, &str)], body: Bytes) -> Result<Response> {
        let response = self.send(method, action, headers, body).await?;
        if response.status().is_success() { Ok(response) } else { Err(refusal(response).await) }
    }

    /// Stores bytes under their hash.
    pub(super) async fn put(&self, hash: &str, bytes: Bytes) -> Result<()> {
        let key = self.key(hash);
        self.ask(Method::PUT, &self.bucket.put_object(Some(&self.credentials), &key), &[], bytes).await?;
        Ok(())
    }

    pub(super) async fn get(&self, hash: &str) -> Result<Option<Vec<u8>>> {
        let key = self.key(hash);
        let response = self.send(Method::GET, &self.bucket.get_object(Some(&self.credentials), &key), &[], Bytes::new()).await?;
        if response.status().as_u16() == 404 {
            return Ok(None);
        }
        if !response.status().is_success() {
            return Err(refusal(response).await);
        }
        Ok(Some(response.bytes(usize::MAX).await?.into()))
    }

    pub(super) async fn delete(&self, hash: &str) -> Result<()> {
        self.delete_key(&self.key(hash)).await
    }

    async fn delete_key(&self, key: &str) -> Result<()> {
        let response = self.send(Method::DELETE, &self.bucket.delete_object(Some(&self.credentials), key), &[], Bytes::new()).await?;
        let gone = response.status().is_success() || response.status().as_u16() == 404;
        if gone { Ok(()) } else { Err(refusal(response).await) }
    }

    /// The last steps of the keys below `folder`, and when each was written.
    async fn list(&self, folder: &str) -> Result<Vec<(String, Timestamp)>> {
        let (mut found, mut token) = (Vec::new(), None);
        loop {
            let mut action = ListObjectsV2::new(&self.bucket, Some(&self.credentials));
            action.with_prefix(format!("{}{folder}", self.prefix));
            if let Some(token) = token.take() {
                action.with_continuation_token(token);
            }
            let text = self.ask(Method::GET, &action, &[], Bytes::new()).await?.text(MAX_ANSWER).await?;
            let page = ListObjectsV2::parse_response(&text).map_err(unread)?;
            for object in page.contents {
                let written = object.last_modified.as_deref().and_then(|t| t.parse::<jiff::Timestamp>().ok());
                if let (Some(name), Some(written)) = (object.key.rsplit('/').next(), written) {
                    found.push((name.to_owned(), Timestamp::from_micros(written.as_microsecond())));
                }
            }
            match page.next_continuation_token {
                Some(next) => token = Some(next),
                None => return Ok(found),
            }
        }
    }

    /// The hashes of blobs that were written longer ago than `age`.
    pub(super) async fn older_than(&self, age: Duration) -> Result<Vec<String>> {
        let before = self.clock.now().minus(age);
        let all = self.list("").await?;
        Ok(all.into_iter().filter(|(name, written)| name.len() == 64 && *written < before).map(|(name, _)| name).collect())
    }

    /// How long ago a blob was written.
    pub(super) async fn age(&self, hash: &str) -> Result<Option<Duration>> {
        let all = self.list(&format!("{}/{hash}", &hash[..2])).await?;
        Ok(all.first().map(|(_, written)| self.clock.now().since(*written)))
    }

    /// Begins an upload. Returns the bucket's own name for it.
    pub(super) async fn begin(&self, upload: &str) -> Result<String> {
        let key = self.upload_key(upload);
        let action = self.bucket.create_multipart_upload(Some(&self.credentials), &key);
        let text = self.ask(Method::POST, &action, &[], Bytes::new()).await?.text(MAX_ANSWER).await?;
        Ok(CreateMultipartUpload::parse_response(&text).map_err(unread)?.upload_id().to_owned())
    }

    /// Where a part goes.
    pub(super) fn address(&self, upload: &str, handle: &str, part: &Part, life: Duration) -> Result<Address> {
        let number = u16::try_from(part.number).map_err(Error::internal)?;
        let sum = base64::engine::general_purpose::STANDARD.encode(hex::decode(&part.sha256).map_err(Error::internal)?);
        let headers = BTreeMap::from([("content-length".to_owned(), part.size.to_string()), ("x-amz-checksum-sha256".to_owned(), sum)]);
        let key = self.upload_key(upload);
        let mut action = self.public.upload_part(Some(&self.credentials), &key, number, handle);
        for (name, value) in &headers {
            action.headers_mut().insert(name.clone(), value.clone());
        }
        Ok(Address { url: action.sign_with_time(life, &self.now()?).into(), headers })
    }

    /// The parts that have arrived with their entity tags. Nothing when the bucket has no such upload any more.
    async fn tags(&self, upload: &str, handle: &str) -> Result<Option<Vec<(Part, String)>>> {
        let (key, mut all, mut after) = (self.upload_key(upload), Vec::new(), None::<u16>);
        loop {
            let mut action = self.bucket.list_parts(Some(&self.credentials), &key, handle);
            if let Some(after) = after {
                action.set_part_number_marker(after);
            }
            let response = self.send(Method::GET, &action, &[], Bytes::new()).await?;
            if response.status().as_u16() == 404 {
                return Ok(None);
            }
            if !response.status().is_success() {
                return Err(refusal(response).await);
            }
            let text = response.text(MAX_ANSWER).await?;
            all.extend(parts_of(&text)?);
            match element(&text, "IsTruncated") {
                Some("true") => {
                    let next = element(&text, "NextPartNumberMarker").and_then(|n| n.parse().ok()).filter(|n| Some(*n) > after);
                    after = Some(next.ok_or_else(|| unread("a list that does not end"))?);
                }
                _ => {
                    all.sort_by_key(|(part, _)| part.number);
                    return Ok(Some(all));
                }
            }
        }
    }

    pub(super) async fn parts(&self, upload: &str, handle: &str) -> Result<Vec<Part>> {
        Ok(self.tags(upload, handle).await?.unwrap_or_default().into_iter().map(|(part, _)| part).collect())
    }

    /// Puts the parts together, reads the whole once for its hash, and copies it to where that blob is, inside the bucket. What was put together
    /// stays until [`S3::discard`], so that a repeat finds it.
    pub(super) async fn assemble(&self, upload: &str, handle: &str, count: u32) -> Result<Blob> {
        let key = self.upload_key(upload);
        // After an attempt that died, some servers know of no upload any more, and some of one without parts.
        let parts = self.tags(upload, handle).await?.unwrap_or_default();
        if !parts.is_empty() {
            if let Some(number) = (1..=count).find(|n| !parts.iter().any(|(p, _)| p.number == *n)) {
                return Err(Error::new(code::INVALID_STATE, format!("part {number} is missing: send it again")));
            }
            let tags = parts.iter().filter(|(p, _)| p.number <= count).map(|(_, tag)| tag.as_str());
            let action = self.bucket.complete_multipart_upload(Some(&self.credentials), &key, handle, tags);
            let body = action.clone().body();
            let response = self.send(Method::POST, &action, &[], body.into()).await?;
            // A repeat that comes at the same time finds it completed.
            if !response.status().is_success() && response.status().as_u16() != 404 {
                return Err(refusal(response).await);
            }
        }
        let mut response = self.send(Method::GET, &self.bucket.get_object(Some(&self.credentials), &key), &[], Bytes::new()).await?;
        if response.status().as_u16() == 404 {
            return Err(Error::new(code::INVALID_STATE, "part 1 is missing: send it again"));
        }
        if !response.status().is_success() {
            return Err(refusal(response).await);
        }
        let (mut hasher, mut size) = (Sha256::new(), 0);
        while let Some(bytes) = response.chunk().await? {
            hasher.update(&bytes);
            size += bytes.len() as u64;
        }
        let hash = hex::encode(hasher.finalize());
        let (target, from) = (self.key(&hash), format!("/{}/{key}", self.bucket.name()));
        let mut copy = self.bucket.put_object(Some(&self.credentials), &target);
        copy.headers_mut().insert("x-amz-copy-source", from.clone());
        self.ask(Method::PUT, &copy, &[("x-amz-copy-source", &from)], Bytes::new()).await?;
        Ok(Blob { hash, size })
    }

    /// Removes what was put together and, when there is a handle, aborts the upload.
    pub(super) async fn discard(&self, upload: &str, handle: &str) -> Result<()> {
        let key = self.upload_key(upload);
        self.delete_key(&key).await?;
        if handle.is_empty() {
            return Ok(());
        }
        let action = self.bucket.abort_multipart_upload(Some(&self.credentials), &key, handle);
        let response = self.send(Method::DELETE, &action, &[], Bytes::new()).await?;
        let gone = response.status().is_success() || response.status().as_u16() == 404;
        if gone { Ok(()) } else { Err(refusal(response).await) }
    }

    /// The uploads that were put together longer ago than `age` and are still there.
    pub(super) async fn uploads_older_than(&self, age: Duration) -> Result<Vec<String>> {
        let before = self.clock.now().minus(age);
        Ok(self.list("uploads/").await?.into_iter().filter(|(_, written)| *written <= before).map(|(name, _)| name).collect())
    }
}

/// The parts of an answer to ListParts, with their entity tags. Read by hand, because servers differ in what they leave out and in the name of
/// the outermost element; what is inside a part is plain text.
fn parts_of(text: &str) -> Result<Vec<(Part, String)>> {
    text.split("<Part>")
        .skip(1)
        .map(|part| {
            let number = |name| element(part, name).and_then(|n| n.parse::<u64>().ok());
            let (Some(place), Some(size)) = (number("PartNumber"), number("Size")) else {
                return Err(unread("a part without number or size"));
            };
            let place = u32::try_from(place).map_err(unread)?;
            let tag = element(part, "ETag").unwrap_or_default().replace("&quot;", "\"");
            Ok((Part { number: place, size, sha256: String::new() }, tag))
        })
        .collect()
}

/// The text of the first element of a name.
fn element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.split_once(&format!("<{name}>"))?.1.split_once(&format!("</{name}>")).map(|(inner, _)| inner)
}

fn unread(error: impl std::fmt::Display) -> Error {
    Error::new(code::UPSTREAM_FAILED, "the blob store's answer is not that of S3").with_internal(error)
}

/// What a refusal means: the code of S3 goes to the log, for it may name keys.
async fn refusal(response: Response) -> Error {
    let status = response.status().as_u16();
    let text = response.text(64 << 10).await.unwrap_or_default();
    let known = element(&text, "Code").unwrap_or_default();
    let full = status == 507 || ["XMinioStorageFull", "QuotaExceeded", "InsufficientStorage"].contains(&known);
    let error = if full {
        Error::new(code::STORAGE_FULL, "no space is left in the blob store")
    } else {
        Error::new(code::UPSTREAM_FAILED, format!("the blob store answered {status}"))
    };
    error.with_internal(known)
}
