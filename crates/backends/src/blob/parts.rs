//! Parts of uploads that are not whole yet: `<root>/uploads/<upload>/<number>`.
//!
//! A part is one file that begins with the SHA-256 of its content. It appears by a rename, so a part and its checksum are there together or
//! not at all, and a repeat takes the place of what was sent before.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{Read, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use astrolabe_kernel::{Error, Result, error::code};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncSeekExt, AsyncWriteExt};

use super::{Blob, BlobStore, place};

/// Bytes in front of a part's content: its SHA-256.
const HEAD: usize = 32;

/// A part that has arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its place, from 1.
    pub number: u32,
    /// How many bytes.
    pub size: u64,
    /// SHA-256 of the bytes, in hexadecimal.
    pub sha256: String,
}

/// Where a part is to be sent that does not come to us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The whole address, signed.
    pub url: String,
    /// Headers that are signed with it.
    pub headers: BTreeMap<String, String>,
}

/// A part that is arriving; dropped without [`PartWriter::finish`] it leaves nothing.
pub struct PartWriter {
    file: tokio::fs::File,
    path: tempfile::TempPath,
    target: PathBuf,
    hasher: Sha256,
    part: Part,
    received: u64,
}

impl BlobStore {
    /// Begins an upload. Returns the store's own name for it, which the other functions want as `handle`; the folder has none.
    ///
    /// # Errors
    /// When the bucket refuses.
    #[cfg_attr(not(feature = "s3"), expect(clippy::unused_async, reason = "a bucket is asked"))]
    pub async fn begin(&self, upload: &str) -> Result<String> {
        #[cfg(feature = "s3")]
        if let Some(s3) = &self.s3 {
            return s3.begin(upload).await;
        }
        self.parts_folder(upload).map(|_| String::new())
    }

    /// Where a part goes that is not to come to us: to the bucket. `None` where parts come to [`BlobStore::part_writer`].
    ///
    /// # Errors
    /// When the part cannot be one.
    pub fn address(&self, upload: &str, handle: &str, part: &Part, life: Duration) -> Result<Option<Address>> {
        #[cfg(feature = "s3")]
        if let Some(s3) = &self.s3 {
            return s3.address(upload, handle, part, life).map(Some);
        }
        let _ = (upload, handle, part, life);
        Ok(None)
    }

    /// Where the parts of an upload are; an upload's name is letters, digits and underscores, so that it can be no other path.
    fn parts_folder(&self, upload: &str) -> Result<PathBuf> {
        let plain = (1..=64).contains(&upload.len()) && upload.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if plain { Ok(self.root.join("uploads").join(upload)) } else { Err(Error::internal("not the name of an upload")) }
    }

    /// Starts a part of an upload that has this size and SHA-256.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub async fn part_writer(&self, upload: &str, part: Part) -> Result<PartWriter> {
        let folder = self.parts_folder(upload)?;
        tokio::fs::create_dir_all(&folder).await?;
        let (file, path) = tempfile::NamedTempFile::new_in(self.root.join("incoming"))?.into_parts();
        let mut file = tokio::fs::File::from_std(file);
        file.write_all(&[0; HEAD]).await?;
        let target = folder.join(part.number.to_string());
        Ok(PartWriter { file, path, target, hasher: Sha256::new(), part, received: 0 })
    }

    /// The parts of an upload that have arrived, by their numbers. A bucket does not tell their checksums.
    ///
    /// # Errors
    /// When the folder or the bucket cannot be read.
    pub async fn parts(&self, upload: &str, handle: &str) -> Result<Vec<Part>> {
        #[cfg(feature = "s3")]
        if let Some(s3) = &self.s3 {
            return s3.parts(upload, handle).await;
        }
        let _ = handle;
        let folder = self.parts_folder(upload)?;
        tokio::task::spawn_blocking(move || {
            let mut parts = Vec::new();
            let entries = match std::fs::read_dir(&folder) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(parts),
                entries => entries?,
            };
            for entry in entries {
                let path = entry?.path();
                let Some(number) = path.file_name().and_then(|n| n.to_str()?.parse().ok()) else { continue };
                let (_, sha256, size) = open(&path)?;
                parts.push(Part { number, size, sha256: hex::encode(sha256) });
            }
            parts.sort_by_key(|p| p.number);
            Ok(parts)
        })
        .await
        .map_err(Error::internal)?
    }

    /// Puts the parts 1 to `count` together as a blob. The parts stay until [`BlobStore::discard`], so that a repeat finds them.
    ///
    /// # Errors
    /// `invalid_state` naming a part that is missing or was changed on disk; `storage_full` when the disk is.
    pub async fn assemble(&self, upload: &str, handle: &str, count: u32) -> Result<Blob> {
        #[cfg(feature = "s3")]
        if let Some(s3) = &self.s3 {
            return s3.assemble(upload, handle, count).await;
        }
        let _ = handle;
        let (root, folder) = (self.root.clone(), self.parts_folder(upload)?);
        tokio::task::spawn_blocking(move || {
            let mut whole = tempfile::NamedTempFile::new_in(root.join("incoming"))?;
            let (mut hasher, mut size, mut buffer) = (Sha256::new(), 0, vec![0; 1 << 20]);
            for number in 1..=count {
                let path = folder.join(number.to_string());
                let again = |what| Err(Error::new(code::INVALID_STATE, format!("part {number} {what}: send it again")));
                let (mut file, expected, _) = match open(&path) {
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => return again("is missing"),
                    opened => opened?,
                };
                let mut part = Sha256::new();
                loop {
                    let read = file.read(&mut buffer)?;
                    if read == 0 {
                        break;
                    }
                    part.update(&buffer[..read]);
                    hasher.update(&buffer[..read]);
                    whole.write_all(&buffer[..read])?;
                    size += read as u64;
                }
                if part.finalize().as_slice() != expected {
                    std::fs::remove_file(&path)?;
                    return again("was changed on disk");
                }
            }
            whole.as_file().sync_all()?;
            let hash = hex::encode(hasher.finalize());
            place(&root, &hash, whole.into_temp_path())?;
            Ok(Blob { hash, size })
        })
        .await
        .map_err(Error::internal)?
    }

    /// Removes the parts of an upload; none is as good as removed. Without a handle, what is left of one that was put together.
    ///
    /// # Errors
    /// When the disk cannot be written.
    pub async fn discard(&self, upload: &str, handle: &str) -> Result<()> {
        #[cfg(feature = "s3")]
        if let Some(s3) = &self.s3 {
            return s3.discard(upload, handle).await;
        }
        let _ = handle;
        match tokio::fs::remove_dir_all(self.parts_folder(upload)?).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// The uploads that have parts, and have got none within `age`.
    ///
    /// # Errors
    /// When the folder or the bucket cannot be read.
    pub async fn uploads_older_than(&self, age: Duration) -> Result<Vec<String>> {
        #[cfg(feature = "s3")]
        if let Some(s3) = &self.s3 {
            return s3.uploads_older_than(age).await;
        }
        let store = self.clone();
        tokio::task::spawn_blocking(move || store.folders_older_than(age)).await.map_err(Error::internal)?
    }

    fn folders_older_than(&self, age: Duration) -> Result<Vec<String>> {
        let mut names = Vec::new();
        let entries = match std::fs::read_dir(self.root.join("uploads")) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(names),
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let old = entry.metadata()?.modified()?.elapsed().is_ok_and(|e| e >= age);
            if let (true, Ok(name)) = (old, entry.file_name().into_string()) {
                names.push(name);
            }
        }
        Ok(names)
    }
}

/// A part's content to be read, its SHA-256 and its size.
fn open(path: &Path) -> std::io::Result<(File, [u8; HEAD], u64)> {
    let mut file = File::open(path)?;
    let mut head = [0; HEAD];
    file.read_exact(&mut head)?;
    let size = file.metadata()?.len().saturating_sub(HEAD as u64);
    Ok((file, head, size))
}

impl PartWriter {
    /// Adds bytes.
    ///
    /// # Errors
    /// `invalid_request` naming `body` beyond the part's size, `storage_full` when the disk is.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.received += bytes.len() as u64;
        if self.received > self.part.size {
            return Err(Error::field("body", format!("part {} has {} bytes, and more came", self.part.number, self.part.size)));
        }
        self.hasher.update(bytes);
        self.file.write_all(bytes).await?;
        Ok(())
    }

    /// Puts the part in place.
    ///
    /// # Errors
    /// `invalid_request` naming `body` when bytes are missing, or have another SHA-256; `storage_full` when the disk is.
    pub async fn finish(mut self) -> Result<()> {
        let Part { number, size, sha256 } = &self.part;
        if self.received < *size {
            return Err(Error::field("body", format!("part {number} has {size} bytes, and {} came: send it again", self.received)));
        }
        let found = self.hasher.finalize();
        if hex::encode(found) != *sha256 {
            let text = format!("part {number} arrived with the SHA-256 {}, not {sha256}: send it again", hex::encode(found));
            return Err(Error::field("body", text));
        }
        self.file.seek(std::io::SeekFrom::Start(0)).await?;
        self.file.write_all(&found).await?;
        self.file.flush().await?;
        self.file.sync_all().await?;
        let (path, target) = (self.path, self.target);
        tokio::task::spawn_blocking(move || {
            path.persist(&target).map_err(|e| e.error)?;
            // Without this the rename itself may be lost in a power cut.
            target.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
        })
        .await
        .map_err(Error::internal)??;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(number: u32, bytes: &[u8]) -> Part {
        Part { number, size: bytes.len() as u64, sha256: hex::encode(Sha256::digest(bytes)) }
    }

    async fn send(store: &BlobStore, part: Part, bytes: &[u8]) -> Result<()> {
        let mut writer = store.part_writer("upl_1", part).await?;
        writer.write(bytes).await?;
        writer.finish().await
    }

    fn field(error: &Error) -> &str {
        &error.fields()[0].field
    }

    #[tokio::test]
    async fn parts_in_any_order_make_the_whole_and_a_repeat_replaces() {
        let folder = tempfile::tempdir().unwrap();
        let store = BlobStore::open(folder.path()).unwrap();
        for (number, bytes) in [(2, &b"world"[..]), (1, b"jello "), (1, b"hello ")] {
            send(&store, part(number, bytes), bytes).await.unwrap();
        }
        assert_eq!(store.parts("upl_1", "").await.unwrap(), [part(1, b"hello "), part(2, b"world")]);
        for _ in 0..2 {
            let blob = store.assemble("upl_1", "", 2).await.unwrap();
            assert_eq!(store.get(&blob.hash).await.unwrap().as_deref(), Some(&b"hello world"[..]));
        }
        store.discard("upl_1", "").await.unwrap();
        store.discard("upl_1", "").await.unwrap();
        assert_eq!(store.parts("upl_1", "").await.unwrap(), []);
    }

    #[tokio::test]
    async fn a_part_that_is_not_what_was_announced_leaves_what_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let store = BlobStore::open(folder.path()).unwrap();
        send(&store, part(1, b"good"), b"good").await.unwrap();
        for bytes in [&b"goo"[..], b"evil", b"goods"] {
            assert_eq!(field(&send(&store, part(1, b"good"), bytes).await.unwrap_err()), "body");
        }
        assert_eq!(store.parts("upl_1", "").await.unwrap(), [part(1, b"good")]);
        assert_eq!(std::fs::read_dir(folder.path().join("incoming")).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn a_part_that_is_missing_or_was_changed_on_disk_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let store = BlobStore::open(folder.path()).unwrap();
        send(&store, part(2, b"two"), b"two").await.unwrap();
        assert!(store.assemble("upl_1", "", 2).await.unwrap_err().message().starts_with("part 1 is missing"));
        send(&store, part(1, b"one"), b"one").await.unwrap();
        let path = folder.path().join("uploads/upl_1/1");
        let mut bytes = std::fs::read(&path).unwrap();
        bytes.pop();
        bytes.push(b'E');
        std::fs::write(&path, bytes).unwrap();
        assert!(store.assemble("upl_1", "", 2).await.unwrap_err().message().starts_with("part 1 was changed"));
        assert_eq!(store.parts("upl_1", "").await.unwrap(), [part(2, b"two")]);
    }

    #[tokio::test]
    async fn a_name_that_is_no_upload_is_no_path() {
        let folder = tempfile::tempdir().unwrap();
        let store = BlobStore::open(folder.path()).unwrap();
        for bad in ["..", "", "a/b", "../../etc"] {
            assert!(store.discard(bad, "").await.is_err(), "{bad:?}");
        }
    }
}
