//! Blobs: the bytes of documents as they were sent, named by the SHA-256 of their content, so equal bytes are stored once.
//!
//! The store is a folder, or with the feature `s3` a bucket; both behave the same. The folder keeps them under `<root>/ab/abcdef…`; a blob appears by a rename after its bytes are on disk, so a killed
//! process leaves whole blobs and temporary files, never halves. Large uploads arrive in parts ([`Part`]).

mod parts;
#[cfg(feature = "s3")]
mod s3;
#[cfg(test)]
#[cfg(feature = "s3")]
mod tests_s3;

use std::{
    io::Read,
    path::{Path, PathBuf},
    time::Duration,
};

use astrolabe_kernel::{Clock, Error, Result, config::Secret, egress::Egress, error::code};
pub use parts::{Address, Part, PartWriter};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tokio::io::AsyncWriteExt;

/// The section `blobs` of the configuration.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlobsConfig {
    /// `s3://BUCKET` or `s3://BUCKET/FOLDER`; empty for the data directory.
    pub url: String,
    /// The address of a server with S3's protocol; empty for Amazon's in `region`.
    pub endpoint: String,
    /// The same as senders of large uploads reach it; empty for `endpoint`.
    pub public_endpoint: String,
    /// The bucket's region.
    pub region: String,
    /// The name of the key that requests are signed with.
    pub access_key_id: String,
    /// The key itself.
    pub secret_access_key: Secret,
}

/// The blob store, cheap to clone: a folder, or a bucket with a folder for what is on its way to it.
#[derive(Clone, Debug)]
pub struct BlobStore {
    root: PathBuf,
    #[cfg(feature = "s3")]
    s3: Option<std::sync::Arc<s3::S3>>,
}

/// A stored blob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob {
    /// SHA-256 of the bytes, in hexadecimal.
    pub hash: String,
    /// How many bytes.
    pub size: u64,
}

/// A blob that is being written; dropped without [`BlobWriter::finish`] it leaves nothing.
pub struct BlobWriter {
    store: BlobStore,
    file: tokio::fs::File,
    path: tempfile::TempPath,
    hasher: Sha256,
    size: u64,
    limit: u64,
}

impl BlobStore {
    /// Opens the store in a folder, making it when it is missing and clearing what a killed process left half-written.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn open(root: &Path) -> Result<Self> {
        let incoming = root.join("incoming");
        std::fs::create_dir_all(&incoming)?;
        for entry in std::fs::read_dir(&incoming)? {
            std::fs::remove_file(entry?.path())?;
        }
        Ok(Self {
            root: root.to_owned(),
            #[cfg(feature = "s3")]
            s3: None,
        })
    }

    /// Opens the store that the configuration names; a bucket is not asked yet.
    ///
    /// # Errors
    /// As [`BlobStore::open`]; `invalid_config` naming the setting.
    pub fn open_with(root: &Path, config: &BlobsConfig, egress: &Egress, clock: &Clock) -> Result<Self> {
        let local = Self::open(root)?;
        if config.url.is_empty() {
            return Ok(local);
        }
        #[cfg(feature = "s3")]
        {
            let s3 = s3::S3::new(config, egress.clone(), clock.clone())?;
            Ok(Self { s3: Some(std::sync::Arc::new(s3)), ..local })
        }
        #[cfg(not(feature = "s3"))]
        {
            let _ = (egress, clock);
            Err(Error::new(code::INVALID_CONFIG, "blobs.url: this build has no S3: build it with the feature `s3`, or leave it empty"))
        }
    }

    /// Starts a blob of at most `limit` bytes.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn writer(&self, limit: u64) -> Result<BlobWriter> {
        let (file, path) = tempfile::NamedTempFile::new_in(self.root.join("incoming"))?.into_parts();
        Ok(BlobWriter { store: self.clone(), file: tokio::fs::File::from_std(file), path, hasher: Sha256::new(), size: 0, limit })
    }

    /// The bytes of a blob, or `None` when there is no such blob.
    ///
    /// # Errors
    /// When the disk cannot be read, and `document_unreadable` when the bytes are not those that were stored.
    pub async fn get(&self, hash: &str) -> Result<Option<Vec<u8>>> {
        let Some(path) = self.path(hash) else { return Ok(None) };
        let expected = hash.to_owned();
        #[cfg(feature = "s3")]
        if let Some(s3) = &self.s3 {
            let found = s3.get(hash).await?;
            return match found {
                Some(bytes) if hex::encode(Sha256::digest(&bytes)) != expected => Err(changed(expected)),
                found => Ok(found),
            };
        }
        tokio::task::spawn_blocking(move || {
            let mut bytes = Vec::new();
            match std::fs::File::open(&path) {
                Ok(mut file) => file.read_to_end(&mut bytes)?,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(error.into()),
            };
            if hex::encode(Sha256::digest(&bytes)) == expected { Ok(Some(bytes)) } else { Err(changed(expected)) }
        })
        .await
        .map_err(Error::internal)?
    }

    /// Removes a blob; one that is not there is as good as removed.
    ///
    /// # Errors
    /// When the disk cannot be written.
    pub async fn delete(&self, hash: &str) -> Result<()> {
        let Some(path) = self.path(hash) else { return Ok(()) };
        #[cfg(feature = "s3")]
        if let Some(s3) = &self.s3 {
            return s3.delete(hash).await;
        }
        match tokio::fs::remove_file(path).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// The names of blobs that were written longer ago than `age`.
    ///
    /// # Errors
    /// When the folder or the bucket cannot be read.
    pub async fn older_than(&self, age: Duration) -> Result<Vec<String>> {
        #[cfg(feature = "s3")]
        if let Some(s3) = &self.s3 {
            return s3.older_than(age).await;
        }
        let store = self.clone();
        tokio::task::spawn_blocking(move || store.files_older_than(age)).await.map_err(Error::internal)?
    }

    fn files_older_than(&self, age: Duration) -> Result<Vec<String>> {
        let mut names = Vec::new();
        for folder in std::fs::read_dir(&self.root)? {
            let folder = folder?.path();
            if !folder.is_dir() || folder.file_name().is_none_or(|n| n.len() != 2) {
                continue;
            }
            for file in std::fs::read_dir(folder)? {
                let file = file?;
                let old = file.metadata()?.modified()?.elapsed().is_ok_and(|e| e > age);
                if let (true, Ok(name)) = (old, file.file_name().into_string()) {
                    names.push(name);
                }
            }
        }
        Ok(names)
    }

    /// How long ago a blob was written, or `None` when there is none.
    ///
    /// # Errors
    /// When the bucket cannot be asked.
    pub async fn age(&self, hash: &str) -> Result<Option<Duration>> {
        let Some(path) = self.path(hash) else { return Ok(None) };
        #[cfg(feature = "s3")]
        if let Some(s3) = &self.s3 {
            return s3.age(hash).await;
        }
        let written = tokio::fs::metadata(path).await.and_then(|m| m.modified());
        Ok(written.ok().and_then(|at| at.elapsed().ok()))
    }

    /// Where a blob is, or `None` when the text is no hash: a name from outside must not become a path.
    pub fn path(&self, hash: &str) -> Option<PathBuf> {
        (hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)))
            .then(|| self.root.join(&hash[..2]).join(hash))
    }
}

impl BlobWriter {
    /// Adds bytes.
    ///
    /// # Errors
    /// `too_large` beyond the limit, `storage_full` when the disk is.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.size += bytes.len() as u64;
        if self.size > self.limit {
            return Err(Error::new(
                code::TOO_LARGE,
                format!("the file is larger than {} bytes (knowledge.max_document_bytes)", self.limit),
            ));
        }
        self.hasher.update(bytes);
        self.file.write_all(bytes).await?;
        Ok(())
    }

    /// Puts the blob in place and returns its name. Bytes that are stored already are not stored again.
    ///
    /// # Errors
    /// `storage_full` when the disk is.
    pub async fn finish(mut self) -> Result<Blob> {
        self.file.flush().await?;
        self.file.sync_all().await?;
        let hash = hex::encode(self.hasher.finalize());
        #[cfg(feature = "s3")]
        if let Some(s3) = &self.store.s3 {
            let bytes = tokio::fs::read(&self.path).await?;
            s3.put(&hash, bytes.into()).await?;
            return Ok(Blob { hash, size: self.size });
        }
        let (root, path, name) = (self.store.root, self.path, hash.clone());
        tokio::task::spawn_blocking(move || place(&root, &name, path)).await.map_err(Error::internal)??;
        Ok(Blob { hash, size: self.size })
    }
}

/// What is said of bytes that do not have the hash they are stored under.
fn changed(hash: String) -> Error {
    Error::new(code::DOCUMENT_UNREADABLE, "the document's bytes were changed in the blob store: upload it again").with_internal(hash)
}

/// Moves a file whose bytes are on disk to where the blob of that hash is.
fn place(root: &Path, hash: &str, path: tempfile::TempPath) -> std::io::Result<()> {
    let folder = root.join(&hash[..2]);
    std::fs::create_dir_all(&folder)?;
    path.persist(folder.join(hash)).map_err(|e| e.error)?;
    // Without this the rename itself may be lost in a power cut.
    std::fs::File::open(&folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn equal_bytes_are_stored_once_and_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let store = BlobStore::open(folder.path()).unwrap();
        let mut names = Vec::new();
        for _ in 0..2 {
            let mut writer = store.writer(100).unwrap();
            writer.write(b"hello ").await.unwrap();
            writer.write(b"world").await.unwrap();
            names.push(writer.finish().await.unwrap());
        }
        assert_eq!(names[0], names[1]);
        assert_eq!(store.get(&names[0].hash).await.unwrap().as_deref(), Some(&b"hello world"[..]));
    }

    #[tokio::test]
    async fn a_blob_beyond_the_limit_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let store = BlobStore::open(folder.path()).unwrap();
        let mut writer = store.writer(3).unwrap();
        assert_eq!(writer.write(b"four").await.unwrap_err().code().name, "too_large");
        drop(writer);
        assert_eq!(std::fs::read_dir(folder.path().join("incoming")).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn a_blob_that_was_changed_on_disk_is_not_handed_out() {
        let folder = tempfile::tempdir().unwrap();
        let store = BlobStore::open(folder.path()).unwrap();
        let mut writer = store.writer(100).unwrap();
        writer.write(b"good").await.unwrap();
        let blob = writer.finish().await.unwrap();
        std::fs::write(store.path(&blob.hash).unwrap(), b"evil").unwrap();
        assert!(store.get(&blob.hash).await.is_err());
    }

    #[test]
    fn a_name_that_is_no_hash_is_no_path() {
        let folder = tempfile::tempdir().unwrap();
        let store = BlobStore::open(folder.path()).unwrap();
        assert_eq!(store.path("../../etc/passwd"), None);
    }
}
