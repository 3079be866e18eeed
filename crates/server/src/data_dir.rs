//! The data directory: what is in it, whether it can be used, and who uses it.
//!
//! ```text
//! FORMAT           "1": the layout of this folder
//! astrolabe.db     records (with -wal and -shm while in use)
//! blobs/  index/   bytes of documents; the search index, which can be rebuilt
//! keys/            the key that signs the audit chain
//! audit/           sealed audit entries as JSON lines
//! token            the bearer token
//! secret_key       what stored private keys are encrypted with, unless SECRET_KEY is set
//! lock             held by the process that serves or writes alone; says where it listens
//! ```

use std::{
    fs::{File, TryLockError},
    io::{ErrorKind, Read, Seek, Write},
    path::{Path, PathBuf},
};

use astrolabe_kernel::{Error, Result, error::code};
use serde::{Deserialize, Serialize};

/// The layout that this version reads and writes.
pub const FORMAT: u32 = 1;

/// Names that may be in a data directory; a folder with others and without `FORMAT` is somebody else's.
const NAMES: &[&str] = &[
    "FORMAT",
    "astrolabe.db",
    "astrolabe.db-wal",
    "astrolabe.db-shm",
    "blobs",
    "index",
    "keys",
    "audit",
    "token",
    "secret_key",
    "lock",
    "lost+found",
    ".gitkeep",
];

/// A data directory that exists and is ours.
#[derive(Debug, Clone)]
pub struct DataDir {
    root: PathBuf,
}

/// Who holds a data directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Its process id.
    pub pid: u32,
    /// Where it listens; absent when it does not serve.
    pub url: Option<String>,
}

/// The lock on a data directory; let go when dropped, or when the process dies in any way.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

fn unusable(root: &Path, what: &str, error: std::io::Error) -> Error {
    let code = match error.kind() {
        ErrorKind::StorageFull => code::STORAGE_FULL,
        ErrorKind::ReadOnlyFilesystem => code::STORAGE_READ_ONLY,
        _ => code::DATA_DIR_UNUSABLE,
    };
    let why = match error.kind() {
        ErrorKind::PermissionDenied => "permission denied",
        ErrorKind::ReadOnlyFilesystem => "the file system is read-only",
        ErrorKind::StorageFull => "no space is left",
        ErrorKind::NotADirectory => "a part of the path is not a folder",
        _ => "the system refused",
    };
    Error::new(code, format!("the data directory {} {what}: {why}", root.display())).with_internal(error)
}

impl DataDir {
    /// The directory at `root`, made when there is none.
    ///
    /// # Errors
    /// `data_dir_unusable` when it is not a folder, not ours, or cannot be written; `data_dir_newer` when a newer version made it;
    /// `storage_full` and `storage_read_only`.
    pub fn create(root: &Path) -> Result<Self> {
        match std::fs::metadata(root) {
            Ok(meta) if !meta.is_dir() => return Err(not_a_folder(root)),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {
                std::fs::create_dir_all(root).map_err(|e| unusable(root, "cannot be made", e))?;
            }
            Err(error) => return Err(unusable(root, "cannot be opened", error)),
        }
        let root = root.canonicalize().map_err(|e| unusable(root, "cannot be opened", e))?;
        let marker = root.join("FORMAT");
        let probe = root.join(format!(".write-{}", std::process::id()));
        let written = match std::fs::read(&marker) {
            Ok(text) => {
                check_format(&root, &text)?;
                std::fs::write(&probe, "x")
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                check_ours(&root)?;
                // By a rename: half a marker on a full disk would make the folder nobody's.
                std::fs::write(&probe, format!("{FORMAT}\n")).and_then(|()| std::fs::rename(&probe, &marker))
            }
            Err(error) => return Err(unusable(&root, "cannot be read", error)),
        };
        let _ = std::fs::remove_file(&probe);
        written.map_err(|e| unusable(&root, "cannot be written", e))?;
        Ok(Self { root })
    }

    /// The directory at `root`, which must be there.
    ///
    /// # Errors
    /// As [`DataDir::create`]; `data_dir_unusable` when there is none.
    pub fn existing(root: &Path) -> Result<Self> {
        match std::fs::metadata(root) {
            Ok(meta) if !meta.is_dir() => Err(not_a_folder(root)),
            Ok(_) => match std::fs::read(root.join("FORMAT")) {
                Ok(text) => {
                    let root = root.canonicalize().map_err(|e| unusable(root, "cannot be opened", e))?;
                    check_format(&root, &text)?;
                    Ok(Self { root })
                }
                Err(error) if error.kind() == ErrorKind::NotFound => Err(Error::new(
                    code::DATA_DIR_UNUSABLE,
                    format!("{} is no data directory: name one with --data-dir, or start `astrolabe serve` to make it", root.display()),
                )),
                Err(error) => Err(unusable(root, "cannot be read", error)),
            },
            Err(error) if error.kind() == ErrorKind::NotFound => Err(Error::new(
                code::DATA_DIR_UNUSABLE,
                format!("there is no data directory {}: name one with --data-dir, or start `astrolabe serve` to make it", root.display()),
            )),
            Err(error) => Err(unusable(root, "cannot be opened", error)),
        }
    }

    /// Takes the directory for this process.
    ///
    /// # Errors
    /// `data_dir_busy` when another process has it, saying which and where it listens.
    pub fn lock(&self) -> Result<Lock> {
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false);
        let file = options.open(self.root.join("lock")).map_err(|e| unusable(&self.root, "cannot be locked", e))?;
        match file.try_lock() {
            Ok(()) => {
                let mut lock = Lock { file };
                lock.write(None)?;
                Ok(lock)
            }
            Err(TryLockError::WouldBlock) => {
                let holder = match self.holder() {
                    Some(Holder { pid, url: Some(url) }) => format!(" by the server at {url} (process {pid})"),
                    Some(Holder { pid, url: None }) => format!(" by process {pid}"),
                    None => String::new(),
                };
                Err(Error::new(code::DATA_DIR_BUSY, format!("the data directory {} is in use{holder}", self.root.display())))
            }
            Err(TryLockError::Error(error)) => Err(unusable(&self.root, "cannot be locked", error)),
        }
    }

    /// Who says in the lock file that it holds the directory; meaningful only while the lock is held.
    pub fn holder(&self) -> Option<Holder> {
        let mut text = String::new();
        File::open(self.root.join("lock")).ok()?.take(4096).read_to_string(&mut text).ok()?;
        serde_json::from_str(&text).ok()
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A path in it.
    pub fn join(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// The URL of the database file in it, which is made when the directory is new.
    ///
    /// # Errors
    /// `data_dir_unusable` when the file is gone from a directory that was in use: a new one in its place would be an empty one, and what is in
    /// the other folders would be swept away as nobody's.
    pub fn database_url(&self) -> Result<String> {
        let file = self.join("astrolabe.db");
        let there = |path: &Path| path.try_exists().map_err(|e| unusable(&self.root, "cannot be read", e));
        if there(&self.token_file())? && !there(&file)? {
            return Err(Error::new(
                code::DATA_DIR_UNUSABLE,
                format!(
                    "{} is gone, and the data directory was in use: restore a backup, set DATABASE_URL if the records are in PostgreSQL, or name a new --data-dir",
                    file.display()
                ),
            ));
        }
        Ok(format!("sqlite://{}", file.display()))
    }

    /// The file with the bearer token.
    pub fn token_file(&self) -> PathBuf {
        self.root.join("token")
    }

    /// The file with the secret that stored private keys are encrypted with, when no setting has one.
    pub fn secret_file(&self) -> PathBuf {
        self.root.join("secret_key")
    }

    /// The file with the key that signs the audit chain; the public half is beside it, ending in `.pub.pem`.
    pub fn audit_key(&self) -> PathBuf {
        self.root.join("keys").join("audit.pem")
    }

    /// The folder of the audit archive.
    pub fn archive(&self) -> PathBuf {
        self.root.join("audit")
    }
}

impl Lock {
    /// Says in the lock file who holds the directory and where it listens.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&mut self, url: Option<&str>) -> Result<()> {
        let holder = Holder { pid: std::process::id(), url: url.map(str::to_owned) };
        let text = serde_json::to_string(&holder).map_err(Error::internal)?;
        self.file.set_len(0)?;
        self.file.rewind()?;
        self.file.write_all(text.as_bytes())?;
        Ok(())
    }
}

fn not_a_folder(root: &Path) -> Error {
    Error::new(code::DATA_DIR_UNUSABLE, format!("the data directory {} is not a folder", root.display()))
}

fn check_format(root: &Path, text: &[u8]) -> Result<()> {
    match String::from_utf8_lossy(text).trim().parse::<u32>() {
        Ok(FORMAT) => Ok(()),
        Ok(newer) if newer > FORMAT => Err(Error::new(
            code::DATA_DIR_NEWER,
            format!("the data directory {} has format {newer}, and this version reads format {FORMAT}", root.display()),
        )),
        _ => Err(Error::new(
            code::DATA_DIR_UNUSABLE,
            format!("{}/FORMAT does not hold a number: restore the directory from a backup", root.display()),
        )),
    }
}

/// Refuses a folder that has things of somebody else in it: a mistyped path must not fill a home directory.
fn check_ours(root: &Path) -> Result<()> {
    for entry in std::fs::read_dir(root).map_err(|e| unusable(root, "cannot be read", e))? {
        let name = entry?.file_name();
        if !NAMES.iter().any(|n| name == *n) {
            return Err(Error::new(
                code::DATA_DIR_UNUSABLE,
                format!(
                    "{} is no data directory and is not empty (it has {}): name an empty folder",
                    root.display(),
                    name.to_string_lossy()
                ),
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_process_is_told_who_has_the_directory() {
        let folder = tempfile::tempdir().unwrap();
        let dir = DataDir::create(folder.path()).unwrap();
        let mut lock = dir.lock().unwrap();
        lock.write(Some("http://127.0.0.1:9")).unwrap();
        let error = dir.lock().unwrap_err();
        assert_eq!(error.code(), code::DATA_DIR_BUSY);
        assert!(error.message().contains("http://127.0.0.1:9"), "{error}");
        drop(lock);
        dir.lock().unwrap();
    }

    #[test]
    fn a_folder_with_foreign_things_in_it_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("thesis.doc"), "x").unwrap();
        let error = DataDir::create(folder.path()).unwrap_err();
        assert_eq!(error.code(), code::DATA_DIR_UNUSABLE);
        assert!(error.message().contains("thesis.doc"), "{error}");
    }

    #[test]
    fn a_directory_of_a_newer_version_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("FORMAT"), "99\n").unwrap();
        assert_eq!(DataDir::create(folder.path()).unwrap_err().code(), code::DATA_DIR_NEWER);
        assert_eq!(DataDir::existing(folder.path()).unwrap_err().code(), code::DATA_DIR_NEWER);
    }

    #[test]
    fn a_file_is_not_a_data_directory() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "x").unwrap();
        for path in [file.clone(), file.join("below")] {
            assert_eq!(DataDir::create(&path).unwrap_err().code(), code::DATA_DIR_UNUSABLE, "{}", path.display());
        }
    }
}
