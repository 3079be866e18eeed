//! Writing a backup.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufWriter, Read, Write},
    path::{Path, PathBuf},
};

use astrolabe_kernel::{
    Db, Error, Kernel, Result, Timestamp, args,
    db::{Dialect, FromRow, Row},
    error::code,
};
use astrolabe_knowledge::check::{blob_path, contents};
use flate2::{Compression, write::GzEncoder};
use sha2::{Digest, Sha256};

use super::{FORMAT, MANIFEST, Manifest, Member, is_private};
use crate::{app::MIGRATIONS, data_dir, data_dir::DataDir, system::VERSION};

/// How often a backup is begun anew because documents were deleted while it was made.
const ATTEMPTS: usize = 3;

/// Writes a backup of a data directory to `file`, which appears when it is complete. Others may go on writing. `note` hears how far it is.
///
/// # Errors
/// `invalid_request` on PostgreSQL; `conflict` when the file is there already; storage errors.
pub async fn write(kernel: &Kernel, dir: &DataDir, file: &Path, note: impl Fn(&str)) -> Result<Manifest> {
    if kernel.db.dialect() == Dialect::Postgres {
        return Err(Error::new(
            code::INVALID_REQUEST,
            "this backup is for the embedded store: back up PostgreSQL with pg_dump, and copy the data directory beside it",
        ));
    }
    if file.try_exists()? {
        return Err(Error::new(code::CONFLICT, format!("{} is there already: choose another name", file.display())));
    }
    let folder = match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    let mut attempt = 1;
    loop {
        // Beside the backup, because that is where there is room for a copy.
        let work = tempfile::Builder::new().prefix(".astrolabe-backup-").tempdir_in(&folder).map_err(|e| {
            Error::new(code::INVALID_REQUEST, format!("the folder {} cannot be written: {}", folder.display(), e.kind())).with_internal(e)
        })?;
        note("copying the database");
        let plan = gather(kernel, dir, work.path()).await?;
        let gone = plan.missing.iter().any(|m| m.deleted);
        if gone && attempt < ATTEMPTS {
            attempt += 1;
            continue;
        }
        note(&format!("writing {} files", plan.members.len()));
        let mut partial = file.as_os_str().to_owned();
        partial.push(".partial");
        let partial = PathBuf::from(partial);
        let (target, created_at) = (file.to_owned(), kernel.now());
        return tokio::task::spawn_blocking(move || {
            let result = pack(&plan, &partial, created_at).and_then(|manifest| {
                std::fs::rename(&partial, &target)?;
                Ok(manifest)
            });
            if result.is_err() {
                let _ = std::fs::remove_file(&partial);
            }
            drop(work);
            result
        })
        .await
        .map_err(Error::internal)?;
    }
}

/// A file to put into a backup.
struct Source {
    path: PathBuf,
    name: String,
    content: Content,
}

/// How much of the file counts.
enum Content {
    /// As it is when it is opened: files that only grow, or never change.
    File,
    /// These bytes.
    Bytes(Vec<u8>),
}

/// The newest entry of a tenant's chain in the copied database.
struct Head(String, i64);

impl FromRow for Head {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self(row.get("tenant_id")?, row.get("seq")?))
    }
}

struct Missing {
    document: String,
    /// Whether the document was deleted after the copy of the database had been made.
    deleted: bool,
}

struct Plan {
    members: Vec<Source>,
    missing: Vec<Missing>,
    migrations: Vec<String>,
}

async fn gather(kernel: &Kernel, dir: &DataDir, work: &Path) -> Result<Plan> {
    let copy = work.join("astrolabe.db");
    kernel.db.copy_to(&copy).await?;
    let snapshot = Db::open(&format!("sqlite://{}", copy.display()), 1).await?;
    let migrations = snapshot.migrate(MIGRATIONS, &kernel.clock, true).await?.applied;
    let contents = contents(&snapshot).await?;
    let heads: Vec<Head> = snapshot.read_all().await?.all("SELECT tenant_id, seq FROM audit_chains", &[]).await?;
    let heads: BTreeMap<String, i64> = heads.into_iter().map(|h| (h.0, h.1)).collect();
    snapshot.close().await;

    let mut members = vec![file(copy, "astrolabe.db")];
    let mut missing = Vec::new();
    let blobs = dir.join("blobs");
    for content in contents {
        let path = blob_path(&blobs, &content.hash).filter(|p| p.is_file());
        match path {
            Some(path) => members.push(file(path, &format!("blobs/{}/{}", &content.hash[..2], content.hash))),
            None => {
                let sql = "SELECT COUNT(*) FROM documents WHERE content_hash = $1";
                let now: i64 = kernel.db.read_all().await?.one(sql, args![&content.hash]).await?;
                missing.push(Missing { document: content.document, deleted: now == 0 });
            }
        }
    }
    for (path, name) in files_below(&dir.join("index"), "index")? {
        if name.ends_with(".log") {
            members.push(file(path, &name));
        }
    }
    for (path, name) in files_below(&dir.join("keys"), "keys")? {
        members.push(file(path, &name));
    }
    for (path, name) in files_below(&dir.archive(), "audit")? {
        members.extend(archived(path, name, &heads)?);
    }
    for name in ["token", "secret_key", "FORMAT"] {
        let path = dir.join(name);
        if path.try_exists()? {
            members.push(file(path, name));
        }
    }
    Ok(Plan { members, missing, migrations })
}

fn file(path: PathBuf, name: &str) -> Source {
    Source { path, name: name.to_owned(), content: Content::File }
}

/// An archived part or the list of heads, as far as the copied database knows them: an archive that is ahead of its database would
/// look as if the database had been cut.
fn archived(path: PathBuf, name: String, heads: &BTreeMap<String, i64>) -> Result<Option<Source>> {
    let known = |tenant: &str, seq: i64| heads.get(tenant).is_some_and(|head| seq <= *head);
    let base = name.rsplit('/').next().unwrap_or("");
    if base == "heads.jsonl" {
        let keep = |line: &&str| {
            let head: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
            known(head["tenant_id"].as_str().unwrap_or(""), head["seq"].as_i64().unwrap_or(i64::MAX))
        };
        let text = std::fs::read_to_string(&path)?;
        let kept: String = text.lines().filter(keep).flat_map(|line| [line, "\n"]).collect();
        return Ok(Some(Source { path, name, content: Content::Bytes(kept.into_bytes()) }));
    }
    // part-<tenant>-<first>-<last>.jsonl
    let mut parts = base.strip_prefix("part-").and_then(|b| b.strip_suffix(".jsonl")).unwrap_or("").rsplitn(3, '-');
    let (last, _, tenant) = (parts.next().and_then(|n| n.parse().ok()), parts.next(), parts.next());
    let keep = last.zip(tenant).is_some_and(|(last, tenant)| known(tenant, last));
    Ok(keep.then_some(Source { path, name, content: Content::File }))
}

/// Every file below a folder with its name in the backup; none when there is no folder.
fn files_below(folder: &Path, name: &str) -> Result<Vec<(PathBuf, String)>> {
    let mut found = Vec::new();
    let mut folders = vec![(folder.to_owned(), name.to_owned())];
    while let Some((folder, name)) = folders.pop() {
        let listing = match std::fs::read_dir(&folder) {
            Ok(listing) => listing,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error.into()),
        };
        for entry in listing {
            let entry = entry?;
            let Ok(own) = entry.file_name().into_string() else { continue };
            let kind = entry.file_type()?;
            if kind.is_dir() {
                folders.push((entry.path(), format!("{name}/{own}")));
            } else if kind.is_file() {
                found.push((entry.path(), format!("{name}/{own}")));
            }
        }
    }
    found.sort();
    Ok(found)
}

fn pack(plan: &Plan, partial: &Path, created_at: Timestamp) -> Result<Manifest> {
    let mut options = File::options();
    options.write(true).create(true).truncate(true);
    // The file holds every document and the keys.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let out = options.open(partial)?;
    let mut tar = tar::Builder::new(GzEncoder::new(BufWriter::with_capacity(1 << 20, out), Compression::fast()));
    let mut manifest = Manifest {
        format: FORMAT,
        data_format: data_dir::FORMAT,
        version: VERSION.to_owned(),
        created_at: created_at.to_string(),
        migrations: plan.migrations.clone(),
        missing: plan.missing.iter().map(|m| m.document.clone()).collect(),
        ..Manifest::default()
    };
    for source in &plan.members {
        let member = match &source.content {
            Content::Bytes(bytes) => append(&mut tar, &source.name, bytes.len() as u64, bytes.as_slice(), created_at)?,
            Content::File => {
                let file = match File::open(&source.path) {
                    Ok(file) => file,
                    // The index drops an old log when it has written a better one; SQL has what was in it.
                    Err(e) if e.kind() == std::io::ErrorKind::NotFound && source.name.starts_with("index/") => continue,
                    Err(e) => return Err(e.into()),
                };
                // The length at this moment: a log that grows meanwhile is copied up to here.
                let size = file.metadata()?.len();
                append(&mut tar, &source.name, size, file.take(size), created_at)?
            }
        };
        manifest.files.insert(source.name.clone(), member);
    }
    let text = serde_json::to_vec_pretty(&manifest).map_err(Error::internal)?;
    append(&mut tar, MANIFEST, text.len() as u64, text.as_slice(), created_at)?;
    let out = tar.into_inner()?.finish()?.into_inner().map_err(|e| Error::from(e.into_error()))?;
    out.sync_all()?;
    Ok(manifest)
}

fn append(tar: &mut tar::Builder<impl Write>, name: &str, size: u64, bytes: impl Read, now: Timestamp) -> Result<Member> {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Regular);
    header.set_size(size);
    header.set_mode(if is_private(name) { 0o600 } else { 0o640 });
    header.set_mtime(u64::try_from(now.micros() / 1_000_000).unwrap_or(0));
    let mut hashing = Hashing { inner: bytes, hasher: Sha256::new(), read: 0 };
    tar.append_data(&mut header, name, &mut hashing)?;
    if hashing.read != size {
        return Err(Error::internal(format_args!("{name} became shorter while it was copied")));
    }
    Ok(Member { size, sha256: hex::encode(hashing.hasher.finalize()) })
}

/// Hashes what is read through it.
pub(super) struct Hashing<R> {
    pub inner: R,
    pub hasher: Sha256,
    pub read: u64,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..n]);
        self.read += n as u64;
        Ok(n)
    }
}
