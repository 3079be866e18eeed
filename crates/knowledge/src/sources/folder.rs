//! What is in a folder of the server, and the way to its files that does not lead out of it: links are never followed, on Linux by the kernel's
//! own word (openat2(2), `RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS`), so that a link that appears between looking and opening does not help.

use std::{
    collections::BTreeMap,
    fs::File,
    io,
    path::{Component, Path, PathBuf},
    time::UNIX_EPOCH,
};

use astrolabe_kernel::{Error, Result, error::code};

use crate::documents::{check_name, routes::RefusedFile};

/// Folders deeper than this are not looked into.
const MAX_DEPTH: usize = 64;
/// Files of a folder at most.
const MAX_FILES: usize = 100_000;
/// Refusals that are kept for people at most.
const MAX_REFUSED: usize = 50;

/// What a folder holds.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// The wanted files by the names of their documents, with what tells that one has changed.
    pub files: BTreeMap<String, String>,
    /// What cannot be used; the first of it.
    pub refused: Vec<RefusedFile>,
    /// Whether everything could be looked at, so that what is not listed is not there.
    pub complete: bool,
}

impl Listing {
    pub(super) fn refuse(&mut self, file: impl Into<String>, error: &Error) {
        if self.refused.len() < MAX_REFUSED {
            self.refused.push(RefusedFile { file: file.into(), code: error.code().name.to_owned(), message: error.message().to_owned() });
        }
    }
}

/// Checks a folder's path against the roots that the operator allows. Returns the folder without links.
///
/// # Errors
/// `invalid_request` naming `origin.path` when there is no root, it is below none of them, or it is no folder.
pub(super) fn check(roots: &[PathBuf], path: &str) -> Result<PathBuf> {
    let bad = |what: &str| Err(Error::field("origin.path", what));
    if roots.is_empty() {
        return bad("no folder may be read: the operator lists those that may in knowledge.folder_roots");
    }
    let folder = Path::new(path);
    let plain = folder.components().all(|c| matches!(c, Component::RootDir | Component::Normal(_)));
    if !folder.is_absolute() || !plain {
        return bad("must be an absolute path without `.` and `..`");
    }
    if !roots.iter().any(|root| folder.starts_with(root)) {
        return bad("must be in one of the folders that knowledge.folder_roots lists");
    }
    // What is a link may lead anywhere, so it is the place it leads to that counts.
    let Ok(real) = folder.canonicalize() else { return bad("there is no such folder, or it cannot be read") };
    if !roots.iter().filter_map(|root| root.canonicalize().ok()).any(|root| real.starts_with(root)) {
        return bad("leads out of the folders that knowledge.folder_roots lists");
    }
    if real.is_dir() { Ok(real) } else { bad("is no folder") }
}

/// Lists a folder, as [`check`] returned it: files with one of the endings, without hidden entries and links.
///
/// # Errors
/// When the folder itself cannot be read; `too_large` when it holds too much.
pub(super) fn list(folder: &Path, endings: &[String]) -> Result<Listing> {
    let mut listing = Listing { complete: true, ..Listing::default() };
    // The folder itself must be readable, or everything in it would look gone.
    std::fs::read_dir(folder)?;
    walk(folder, Path::new(""), 0, endings, &mut listing)?;
    Ok(listing)
}

fn walk(root: &Path, below: &Path, depth: usize, endings: &[String], listing: &mut Listing) -> Result<()> {
    let shown = below.to_string_lossy().into_owned();
    if depth > MAX_DEPTH {
        listing.refuse(shown, &Error::new(code::TOO_LARGE, format!("folders are looked into {MAX_DEPTH} levels deep")));
        return Ok(());
    }
    let entries: io::Result<Vec<_>> = std::fs::read_dir(root.join(below)).and_then(Iterator::collect);
    let entries = match entries {
        Ok(entries) => entries,
        Err(error) => {
            listing.complete = false;
            listing.refuse(shown, &Error::new(code::DOCUMENT_UNREADABLE, format!("the folder cannot be read: {}", error.kind())));
            return Ok(());
        }
    };
    for entry in entries.into_iter().filter(|e| !e.file_name().as_encoded_bytes().starts_with(b".")) {
        let path = below.join(entry.file_name());
        // Of the entry itself, not of what a link leads to.
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() {
            walk(root, &path, depth + 1, endings, listing)?;
            continue;
        }
        let ending = path.extension().and_then(|e| e.to_str()).unwrap_or("").to_lowercase();
        if !endings.contains(&ending) {
            continue;
        }
        let name = path.to_string_lossy().into_owned();
        if kind.is_symlink() {
            listing.refuse(name, &Error::new(code::DOCUMENT_UNREADABLE, "it is a link, and links are not followed"));
            continue;
        }
        match entry.metadata() {
            Ok(meta) if meta.is_file() => match path.to_str().map(check_name) {
                Some(Ok(())) => {
                    listing.files.insert(name, fingerprint(&meta));
                }
                Some(Err(error)) => listing.refuse(name, &error),
                None => listing.refuse(name, &Error::field("file", "the file name must be UTF-8")),
            },
            _ => {}
        }
        if listing.files.len() > MAX_FILES {
            return Err(Error::new(code::TOO_LARGE, format!("the folder holds more than {MAX_FILES} files: make several sources of it")));
        }
    }
    Ok(())
}

/// What differs when a file was changed.
pub(super) fn fingerprint(meta: &std::fs::Metadata) -> String {
    let modified = meta.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
    format!("{}-{}", meta.len(), modified.as_nanos())
}

/// Opens a file of a folder for reading.
///
/// # Errors
/// When it is gone, cannot be read, is no file any more, or a link is on the way.
pub(super) fn open(folder: &Path, name: &str) -> io::Result<File> {
    #[cfg(target_os = "linux")]
    let file: File = {
        use rustix::fs::{Mode, OFlags, ResolveFlags};
        let folder = rustix::fs::open(folder, OFlags::DIRECTORY | OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        // Without waiting, for a pipe may have taken the file's place.
        let how = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        rustix::fs::openat2(folder, name, how, Mode::empty(), beneath)?.into()
    };
    #[cfg(not(target_os = "linux"))]
    let file = {
        let path = folder.join(name);
        if path.canonicalize()? != path {
            return Err(io::Error::other("a link is on the way"));
        }
        File::open(path)?
    };
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is no file")) }
}
