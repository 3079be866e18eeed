//! Bringing a backup back: everything is verified before anything is written, and the data directory becomes one with its last file.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufReader, Read, Write},
    path::{Path, PathBuf},
};

use astrolabe_kernel::{Error, Result, Timestamp, error::code};
use flate2::read::GzDecoder;
use sha2::{Digest, Sha256};

use super::{FORMAT, MANIFEST, Manifest, Member, is_known, is_private, write::Hashing};
use crate::{app::MIGRATIONS, data_dir};

/// A manifest larger than this is none.
const MAX_MANIFEST: u64 = 256 << 20;

/// What was restored.
#[derive(Debug, Clone)]
pub struct Restored {
    /// What the backup holds.
    pub manifest: Manifest,
    /// Where the data that was there before is now.
    pub moved: Option<PathBuf>,
}

fn invalid(what: impl std::fmt::Display) -> Error {
    Error::new(code::BACKUP_INVALID, what.to_string())
}

/// Restores `file` into `root`, which must be missing or empty; with `force`, what is there is moved into a folder inside of it first.
/// The caller holds the lock when `root` is a data directory in use.
///
/// # Errors
/// `backup_invalid` naming what is wrong with the file; `data_dir_newer` when a newer version wrote it; `conflict` when `root` holds
/// data and `force` is not set; storage errors.
pub fn restore(file: &Path, root: &Path, force: bool, now: Timestamp) -> Result<Restored> {
    let manifest = verify(file)?;
    let old = occupied(root)?;
    if !old.is_empty() && !force {
        return Err(Error::new(
            code::CONFLICT,
            format!("{} is not empty: name another --data-dir, or use --force, which moves what is there aside", root.display()),
        ));
    }
    std::fs::create_dir_all(root)?;
    let staging = tempfile::Builder::new().prefix(".restore-").tempdir_in(root)?;
    unpack(file, &manifest, staging.path())?;
    let moved = if old.is_empty() { None } else { Some(move_aside(root, &old, now)?) };
    // FORMAT comes last: until then the folder is no data directory, and a start on half of one is refused.
    let mut names: Vec<String> = Vec::new();
    for entry in std::fs::read_dir(staging.path())? {
        names.extend(entry?.file_name().into_string());
    }
    names.sort_by_key(|n| n == "FORMAT");
    for name in names {
        std::fs::rename(staging.path().join(&name), root.join(&name))?;
    }
    File::open(root)?.sync_all()?;
    Ok(Restored { manifest, moved })
}

/// Names in the folder that count as data; none when it is missing.
fn occupied(root: &Path) -> Result<Vec<String>> {
    let listing = match std::fs::read_dir(root) {
        Ok(listing) => listing,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => {
            return Err(Error::new(code::DATA_DIR_UNUSABLE, format!("the data directory {} is not a folder", root.display())));
        }
        Err(error) => return Err(error.into()),
    };
    let mut names = Vec::new();
    for entry in listing {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if !matches!(name.as_str(), "lost+found" | "lock" | ".gitkeep") && !name.starts_with(".restore-") {
            names.push(name);
        }
    }
    Ok(names)
}

fn move_aside(root: &Path, names: &[String], now: Timestamp) -> Result<PathBuf> {
    let aside = root.join(format!("before-restore-{}", now.to_string().replace([':', '.'], "-")));
    std::fs::create_dir(&aside)?;
    // FORMAT goes first, for the same reason that it comes last.
    let mut names: Vec<&String> = names.iter().collect();
    names.sort_by_key(|n| *n != "FORMAT");
    for name in names {
        std::fs::rename(root.join(name), aside.join(name))?;
    }
    Ok(aside)
}

fn open(file: &Path) -> Result<tar::Archive<GzDecoder<BufReader<File>>>> {
    let opened = File::open(file).map_err(|e| invalid(format_args!("{} cannot be read: {}", file.display(), e.kind())))?;
    Ok(tar::Archive::new(GzDecoder::new(BufReader::with_capacity(1 << 20, opened))))
}

/// Reads the whole file and compares every member with the manifest.
fn verify(file: &Path) -> Result<Manifest> {
    let broken = |e: std::io::Error| invalid(format_args!("{} is damaged or was not written completely", file.display())).with_internal(e);
    let mut archive = open(file)?;
    let mut found: BTreeMap<String, Member> = BTreeMap::new();
    let mut manifest: Option<Manifest> = None;
    for entry in archive.entries().map_err(broken)? {
        let mut entry = entry.map_err(broken)?;
        let name = std::str::from_utf8(&entry.path_bytes()).map_err(|_| invalid("a member's name is not UTF-8"))?.to_owned();
        if manifest.is_some() {
            return Err(invalid(format_args!("{name} comes after the manifest")));
        }
        if entry.header().entry_type() != tar::EntryType::Regular {
            return Err(invalid(format_args!("{name} is a link or another kind of member that a backup does not have")));
        }
        if name == MANIFEST {
            let mut text = Vec::new();
            (&mut entry).take(MAX_MANIFEST).read_to_end(&mut text).map_err(broken)?;
            manifest = Some(serde_json::from_slice(&text).map_err(|e| invalid("the manifest cannot be read").with_internal(e))?);
            continue;
        }
        if !is_known(&name) {
            return Err(invalid(format_args!("it has a member {name} that no backup has")));
        }
        let mut hashing = Hashing { inner: &mut entry, hasher: Sha256::new(), read: 0 };
        std::io::copy(&mut hashing, &mut std::io::sink()).map_err(broken)?;
        let member = Member { size: hashing.read, sha256: hex::encode(hashing.hasher.finalize()) };
        if found.insert(name.clone(), member).is_some() {
            return Err(invalid(format_args!("{name} is in it twice")));
        }
    }
    let manifest = manifest.ok_or_else(|| invalid(format_args!("{} has no manifest: it was not written completely", file.display())))?;
    check_versions(&manifest)?;
    for (name, member) in &manifest.files {
        match found.remove(name) {
            None => return Err(invalid(format_args!("{name} is missing in it"))),
            Some(there) if there != *member => {
                return Err(invalid(format_args!("{name} was changed: its hash is not the one in the manifest")));
            }
            Some(_) => {}
        }
    }
    if let Some(name) = found.keys().next() {
        return Err(invalid(format_args!("{name} is not in its manifest")));
    }
    for needed in ["astrolabe.db", "FORMAT"] {
        if !manifest.files.contains_key(needed) {
            return Err(invalid(format_args!("{needed} is missing in it")));
        }
    }
    Ok(manifest)
}

fn check_versions(manifest: &Manifest) -> Result<()> {
    let known: Vec<String> =
        MIGRATIONS.iter().flat_map(|d| d.steps.iter().map(|s| format!("{}/{:04}_{}", d.domain, s.version, s.name))).collect();
    let newer =
        manifest.format > FORMAT || manifest.data_format > data_dir::FORMAT || manifest.migrations.iter().any(|m| !known.contains(m));
    if newer {
        let text = format!("the backup was written by astrolabe {}, which is newer than this one", manifest.version);
        return Err(Error::new(code::DATA_DIR_NEWER, text));
    }
    Ok(())
}

/// Writes the members into an empty folder, verifying them once more: the file may have changed since.
fn unpack(file: &Path, manifest: &Manifest, folder: &Path) -> Result<()> {
    for entry in open(file)?.entries()? {
        let mut entry = entry?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        if name == MANIFEST {
            continue;
        }
        let Some(member) = manifest.files.get(&name).filter(|_| is_known(&name)) else {
            return Err(invalid(format_args!("{name} appeared while it was restored")));
        };
        let path = folder.join(&name);
        if let Some(parent) = path.parent() {
            if is_private(&name) { crate::app::private_folder(parent)? } else { std::fs::create_dir_all(parent)? }
        }
        let mut options = File::options();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, if is_private(&name) { 0o600 } else { 0o640 });
        let mut out = options.open(&path)?;
        let mut hashing = Hashing { inner: &mut entry, hasher: Sha256::new(), read: 0 };
        std::io::copy(&mut hashing, &mut out)?;
        if hex::encode(hashing.hasher.finalize()) != member.sha256 {
            return Err(invalid(format_args!("{name} changed while it was restored")));
        }
        out.flush()?;
        out.sync_all()?;
    }
    Ok(())
}
