//! Finding the files of folders: in a stable order, without following links in circles, and with a line for each that cannot be used.

use std::{
    collections::{BTreeMap, HashSet},
    path::{Path, PathBuf},
};

use astrolabe_knowledge::ingest::extract::FOLDER_ENDINGS;

use super::{FIRST_FILES, Failure};

/// Folders deeper than this are not looked into.
const MAX_DEPTH: usize = 64;

/// A file to ingest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Where it is.
    pub path: PathBuf,
    /// What the document is called: the path below the folder that was named, with forward slashes.
    pub name: String,
    /// Bytes, as the file system says.
    pub size: u64,
}

/// What was found at some paths.
#[derive(Debug, Default)]
pub struct Files {
    /// Files to ingest, in the order of their paths.
    pub found: Vec<Found>,
    /// What cannot be used.
    pub failures: Vec<Failure>,
    /// How many files of other kinds were left out, by their ending in small letters; empty for files without one.
    pub left_out: BTreeMap<String, usize>,
}

impl Files {
    /// What was left out, the commonest kinds first: `12 files of other kinds (9 pdf, 3 png)`. `None` when nothing was.
    pub fn left_out(&self) -> Option<String> {
        const KINDS: usize = 5;
        let total: usize = self.left_out.values().sum();
        let mut kinds: Vec<(&str, usize)> = self.left_out.iter().map(|(e, n)| (e.as_str(), *n)).collect();
        kinds.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
        let mut named: Vec<String> = kinds
            .iter()
            .take(KINDS)
            .map(|(e, n)| if e.is_empty() { format!("{n} without an ending") } else { format!("{n} {e}") })
            .collect();
        if kinds.len() > KINDS {
            named.push("…".to_owned());
        }
        (total > 0).then(|| format!("{total} {} of other kinds ({})", if total == 1 { "file" } else { "files" }, named.join(", ")))
    }

    fn fail(&mut self, path: &Path, code: &str, message: impl Into<String>) {
        self.failures.push(Failure { file: path.display().to_string(), code: code.into(), message: message.into() });
    }
}

/// Walks files and folders. Hidden entries of folders are left out; links are followed once.
pub fn walk(paths: &[PathBuf]) -> Files {
    let mut files = Files::default();
    let mut seen = HashSet::new();
    for path in paths {
        match std::fs::metadata(path) {
            Ok(meta) if meta.is_dir() => folder(path, path, 0, &mut seen, &mut files),
            Ok(meta) if meta.is_file() => {
                let name = path.file_name().map(PathBuf::from).unwrap_or_default();
                add(path, &name, meta.len(), &mut files);
            }
            Ok(_) => files.fail(path, "unreadable", "it is neither a file nor a folder"),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => files.fail(path, "not_found", "there is no such file or folder"),
            Err(error) => files.fail(path, "unreadable", format!("it cannot be read: {}", error.kind())),
        }
    }
    files
}

fn folder(root: &Path, path: &Path, depth: usize, seen: &mut HashSet<PathBuf>, files: &mut Files) {
    // A link may lead to a folder above itself; the real path tells that we were here.
    match path.canonicalize() {
        Ok(real) if seen.contains(&real) => return files.fail(path, "link_loop", "the folder was walked already; a link leads back to it"),
        Ok(_) if depth > MAX_DEPTH => return files.fail(path, "too_deep", format!("folders are walked {MAX_DEPTH} levels deep")),
        Ok(real) => {
            seen.insert(real);
        }
        Err(error) => return files.fail(path, "unreadable", format!("the folder cannot be opened: {}", error.kind())),
    }
    let listing = match std::fs::read_dir(path) {
        Ok(listing) => listing,
        Err(error) => return files.fail(path, "unreadable", format!("the folder cannot be read: {}", error.kind())),
    };
    let mut entries = Vec::new();
    for entry in listing {
        match entry {
            Ok(entry) => entries.push(entry.path()),
            Err(error) => files.fail(path, "unreadable", format!("an entry of the folder cannot be read: {}", error.kind())),
        }
    }
    entries.sort();
    for entry in entries {
        if entry.file_name().is_some_and(|n| n.as_encoded_bytes().starts_with(b".")) {
            continue;
        }
        match std::fs::metadata(&entry) {
            Ok(meta) if meta.is_dir() => folder(root, &entry, depth + 1, seen, files),
            Ok(meta) if meta.is_file() && wanted(&entry) => {
                let name = entry.strip_prefix(root).map_or_else(|_| entry.clone(), Path::to_path_buf);
                add(&entry, &name, meta.len(), files);
            }
            Ok(meta) if meta.is_file() => *files.left_out.entry(ending(&entry)).or_default() += 1,
            Ok(_) => {}
            Err(error) => {
                let link = entry.is_symlink();
                files.fail(
                    &entry,
                    "unreadable",
                    if link { "the link leads nowhere".into() } else { format!("it cannot be read: {}", error.kind()) },
                );
            }
        }
    }
}

/// Whether a file of a folder is taken; one that is named itself is always sent, and the server says what it thinks of it.
fn wanted(path: &Path) -> bool {
    FOLDER_ENDINGS.contains(&ending(path).as_str())
}

fn ending(path: &Path) -> String {
    path.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default()
}

fn add(path: &Path, name: &Path, size: u64, files: &mut Files) {
    let parts: Option<Vec<&str>> = name.components().map(|c| c.as_os_str().to_str()).collect();
    match parts {
        Some(parts) => files.found.push(Found { path: path.to_path_buf(), name: parts.join("/"), size }),
        None => files.fail(path, "invalid_name", "its name is not valid UTF-8: rename it"),
    }
}

/// Cuts files into uploads: a few files first, so that the server has work while it gets the others, then twice as many each time.
pub(super) fn batches(files: Vec<Found>, max_files: usize, max_bytes: u64) -> Vec<Vec<Found>> {
    let mut all: Vec<Vec<Found>> = Vec::new();
    let mut bytes = 0;
    for file in files {
        let room = max_files.min(FIRST_FILES << all.len().saturating_sub(1).min(16));
        let fits = all.last().is_some_and(|last| last.len() < room && bytes + file.size <= max_bytes);
        bytes = if fits { bytes + file.size } else { file.size };
        match all.last_mut() {
            Some(last) if fits => last.push(file),
            _ => all.push(vec![file]),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_walked_in_order_and_names_are_paths_below_it() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("b/c")).unwrap();
        for name in ["z.md", "b/a.txt", "b/c/d.HTML", "b/skip.png", "b/more.PNG", "LICENCE", ".hidden.md"] {
            std::fs::write(root.path().join(name), "x").unwrap();
        }
        let files = walk(&[root.path().to_path_buf()]);
        let names: Vec<_> = files.found.iter().map(|f| f.name.as_str()).collect();
        assert_eq!(names, ["b/a.txt", "b/c/d.HTML", "z.md"]);
        assert!(files.failures.is_empty());
        assert_eq!(files.left_out().as_deref(), Some("3 files of other kinds (2 png, 1 without an ending)"));
    }

    #[cfg(unix)]
    #[test]
    fn a_link_that_leads_back_a_link_that_leads_nowhere_and_a_name_that_is_no_text_are_told_one_by_one() {
        use std::os::unix::{ffi::OsStrExt, fs::symlink};
        let root = tempfile::tempdir().unwrap();
        symlink(root.path(), root.path().join("again")).unwrap();
        symlink(root.path().join("nowhere"), root.path().join("dangling.md")).unwrap();
        std::fs::write(root.path().join(std::ffi::OsStr::from_bytes(b"bad\xff.md")), "x").unwrap();
        std::fs::write(root.path().join("good.md"), "x").unwrap();
        let files = walk(&[root.path().to_path_buf(), root.path().join("missing")]);
        assert_eq!(files.found.len(), 1);
        let mut codes: Vec<_> = files.failures.iter().map(|f| f.code.as_str()).collect();
        codes.sort_unstable();
        assert_eq!(codes, ["invalid_name", "link_loop", "not_found", "unreadable"]);
    }

    #[test]
    fn a_batch_holds_at_most_so_many_files_and_bytes_and_the_first_ones_are_small() {
        let file = |size| Found { path: PathBuf::new(), name: String::new(), size };
        let sizes: Vec<Vec<u64>> = batches(vec![file(5), file(5), file(1), file(50), file(1), file(1), file(1), file(1)], 3, 10)
            .iter()
            .map(|b| b.iter().map(|f| f.size).collect())
            .collect();
        assert_eq!(sizes, [vec![5, 5], vec![1], vec![50], vec![1, 1, 1], vec![1]]);
        let counts: Vec<usize> = batches((0..100).map(|_| file(0)).collect(), 32, 10).iter().map(Vec::len).collect();
        assert_eq!(counts, [4, 8, 16, 32, 32, 8]);
    }
}
