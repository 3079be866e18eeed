//! The models folder as a shelf: what is put on it is checked first, and what was there before stays for the way back.
//!
//! Of several entries of one name the first in the manifest is in force. A new version stands in a folder of its own beside the old one, and
//! becomes the one in force by one rename of the manifest: whoever reads it sees the old shelf or the new one.

use std::{
    fs::{self, File},
    io::{Read, Write},
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use super::{EmbedderError, MANIFEST_FILE, Manifest, ManifestEntry, ModelKind};

/// Files of a model at most, so that a wrong folder is not copied whole.
const MAX_FILES: usize = 100;

/// What is to be put on the shelf.
#[derive(Debug, Clone)]
pub struct NewModel {
    /// The model's name: letters, digits, `.`, `_` and `-`, at most 100.
    pub name: String,
    /// What it is for.
    pub kind: ModelKind,
    /// The name under which it is asked for; the model's name when absent.
    pub alias: Option<String>,
    /// What the SHA-256 of the weights has to be, when it is known from somewhere else.
    pub sha256: Option<String>,
}

/// What is wrong with a model on the shelf, if anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The model.
    pub entry: ManifestEntry,
    /// Whether it is the version in force.
    pub in_force: bool,
    /// What is wrong, for people.
    pub fault: Option<String>,
}

impl Manifest {
    /// Whether an entry is the one of its name that is in force.
    pub fn is_in_force(&self, entry: &ManifestEntry) -> bool {
        self.models.iter().find(|m| m.name == entry.name).is_some_and(|m| m.version == entry.version)
    }

    /// Copies the model in `folder` onto the shelf and puts it in force. Its version is the beginning of its hash. One that is there already is
    /// only put in force.
    ///
    /// # Errors
    /// `WrongHash` when the weights are others than said; `Missing`, `Unreadable`, `Unsupported` for a folder that holds no model.
    pub fn add(models_dir: &Path, folder: &Path, new: &NewModel) -> Result<ManifestEntry, EmbedderError> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if !(1..=100).contains(&new.name.len()) || !new.name.chars().all(plain) || new.name.starts_with('.') {
            return Err(EmbedderError::Unsupported(format!("{:?} cannot be a name: use letters, digits, '.', '_' and '-'", new.name)));
        }
        let weights = weights_of(folder, new.kind)?;
        let (sha256, size) = hash(&weights)?;
        if let Some(expected) = &new.sha256
            && !expected.eq_ignore_ascii_case(&sha256)
        {
            return Err(EmbedderError::WrongHash { path: weights, expected: expected.clone(), found: sha256 });
        }
        let version = sha256[..12].to_owned();
        let path = PathBuf::from(format!("{}-{version}", new.name));
        let alias = new.alias.clone().unwrap_or_else(|| new.name.clone());
        let entry = ManifestEntry { name: new.name.clone(), version, kind: new.kind, size, sha256, path, alias };

        fs::create_dir_all(models_dir).map_err(|e| unreadable(models_dir, &e))?;
        let mut manifest = Self::read(models_dir)?.unwrap_or(Self { models: Vec::new() });
        let known = manifest.models.iter().position(|m| m.name == entry.name && m.sha256 == entry.sha256);
        let entry = match known {
            // What lies there may be damaged; a good copy is at hand.
            Some(at) if check(models_dir, &manifest.models[at]).is_none() => {
                ManifestEntry { alias: entry.alias, ..manifest.models.remove(at) }
            }
            at => {
                let entry = at.map_or_else(|| entry.clone(), |at| ManifestEntry { path: entry.path.clone(), ..manifest.models.remove(at) });
                copy(folder, models_dir, &entry)?;
                entry
            }
        };
        manifest.models.insert(0, entry.clone());
        manifest.write(models_dir)?;
        Ok(entry)
    }

    /// Puts the version of a model in force that was so before the present one, and leaves that one behind it. Returns what is in force now.
    ///
    /// # Errors
    /// `Missing` when there is no manifest or no other version, `WrongHash` and the like when the other one is damaged: then nothing changes.
    pub fn roll_back(models_dir: &Path, name: &str) -> Result<ManifestEntry, EmbedderError> {
        let missing = || EmbedderError::Unsupported(format!("there is no other version of {name:?} on the shelf"));
        let mut manifest = Self::read(models_dir)?.ok_or_else(|| EmbedderError::Missing(models_dir.join(MANIFEST_FILE)))?;
        let mut places = (0..manifest.models.len()).filter(|i| manifest.models[*i].name == name);
        let (first, second) = (places.next().ok_or_else(missing)?, places.next().ok_or_else(missing)?);
        if let Some(error) = check(models_dir, &manifest.models[second]) {
            return Err(error);
        }
        manifest.models.swap(first, second);
        manifest.write(models_dir)?;
        Ok(manifest.models[first].clone())
    }

    /// Reads the weights of every model and compares their hashes.
    ///
    /// # Errors
    /// When the manifest cannot be read.
    pub fn verify(models_dir: &Path) -> Result<Vec<Verdict>, EmbedderError> {
        let Some(manifest) = Self::read(models_dir)? else { return Ok(Vec::new()) };
        let verdict = |entry: &ManifestEntry| Verdict {
            entry: entry.clone(),
            in_force: manifest.is_in_force(entry),
            fault: check(models_dir, entry).map(|e| e.to_string()),
        };
        Ok(manifest.models.iter().map(verdict).collect())
    }

    fn write(&self, models_dir: &Path) -> Result<(), EmbedderError> {
        let (path, fresh) = (models_dir.join(MANIFEST_FILE), models_dir.join(format!(".{MANIFEST_FILE}.{}", std::process::id())));
        let text = serde_json::to_vec_pretty(self).map_err(|e| EmbedderError::Corrupt(e.to_string()))?;
        let written = File::create(&fresh).and_then(|mut file| {
            file.write_all(&text)?;
            file.sync_all()
        });
        written.and_then(|()| fs::rename(&fresh, &path)).map_err(|e| unreadable(&path, &e))
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> EmbedderError {
    match error.kind() {
        std::io::ErrorKind::NotFound => EmbedderError::Missing(path.to_path_buf()),
        _ => EmbedderError::Unreadable(format!("{}: {error}", path.display())),
    }
}

/// The file with the weights: `model.safetensors`, or the one `.gguf`.
fn weights_of(folder: &Path, kind: ModelKind) -> Result<PathBuf, EmbedderError> {
    if kind == ModelKind::Embed {
        return Ok(folder.join("model.safetensors"));
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(|e| unreadable(folder, &e))? {
        let path = entry.map_err(|e| unreadable(folder, &e))?.path();
        if path.extension().is_some_and(|e| e == "gguf") {
            found.push(path);
        }
    }
    match <[PathBuf; 1]>::try_from(found) {
        Ok([one]) => Ok(one),
        Err(found) if found.is_empty() => Err(EmbedderError::Missing(folder.join("*.gguf"))),
        Err(_) => Err(EmbedderError::Unsupported(format!("{}: there are several .gguf files; a model is one", folder.display()))),
    }
}

/// SHA-256 and size of a file, read once.
fn hash(path: &Path) -> Result<(String, u64), EmbedderError> {
    let mut file = File::open(path).map_err(|e| unreadable(path, &e))?;
    let (mut hash, mut size, mut buffer) = (Sha256::new(), 0, vec![0u8; 1 << 20]);
    loop {
        match file.read(&mut buffer).map_err(|e| unreadable(path, &e))? {
            0 => break,
            n => {
                hash.update(&buffer[..n]);
                size += n as u64;
            }
        }
    }
    Ok((hash.finalize().iter().map(|b| format!("{b:02x}")).collect(), size))
}

/// What is wrong with a model that lies on the shelf.
fn check(models_dir: &Path, entry: &ManifestEntry) -> Option<EmbedderError> {
    let path = match weights_of(&models_dir.join(&entry.path), entry.kind) {
        Ok(path) => path,
        Err(error) => return Some(error),
    };
    match hash(&path) {
        Ok((found, _)) if found.eq_ignore_ascii_case(&entry.sha256) => None,
        Ok((found, _)) => Some(EmbedderError::WrongHash { path, expected: entry.sha256.clone(), found }),
        Err(error) => Some(error),
    }
}

/// Copies a folder beside its place, checks the copy, and puts it there by a rename.
fn copy(folder: &Path, models_dir: &Path, entry: &ManifestEntry) -> Result<(), EmbedderError> {
    let staging = models_dir.join(format!(".add.{}.{}", entry.version, std::process::id()));
    let copied = copy_into(folder, &staging).and_then(|()| {
        let weights = weights_of(&staging, entry.kind)?;
        let (found, _) = hash(&weights)?;
        if found != entry.sha256 {
            return Err(EmbedderError::WrongHash { path: weights, expected: entry.sha256.clone(), found });
        }
        let target = models_dir.join(&entry.path);
        // What is there is damaged, or it would not be copied again.
        match fs::remove_dir_all(&target) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(unreadable(&target, &e)),
            _ => {}
        }
        fs::rename(&staging, &target).map_err(|e| unreadable(&target, &e))
    });
    if copied.is_err() {
        let _ = fs::remove_dir_all(&staging);
    }
    copied
}

fn copy_into(from: &Path, to: &Path) -> Result<(), EmbedderError> {
    let (mut folders, mut files) = (vec![PathBuf::new()], 0);
    while let Some(inside) = folders.pop() {
        fs::create_dir_all(to.join(&inside)).map_err(|e| unreadable(to, &e))?;
        let folder = from.join(&inside);
        for entry in fs::read_dir(&folder).map_err(|e| unreadable(&folder, &e))? {
            let entry = entry.map_err(|e| unreadable(&folder, &e))?;
            let (path, name) = (entry.path(), inside.join(entry.file_name()));
            let kind = fs::metadata(&path).map_err(|e| unreadable(&path, &e))?;
            files += 1;
            if files > MAX_FILES || name.components().count() > 4 {
                return Err(EmbedderError::Unsupported(format!("{}: more than {MAX_FILES} files are no model", from.display())));
            }
            if kind.is_dir() {
                folders.push(name);
            } else if kind.is_file() {
                fs::copy(&path, to.join(&name)).map_err(|e| unreadable(&path, &e))?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(folder: &Path, weights: &[u8]) -> PathBuf {
        let path = folder.join(format!("of-{}", weights.len()));
        fs::create_dir_all(path.join("1_Pooling")).unwrap();
        fs::write(path.join("model.safetensors"), weights).unwrap();
        fs::write(path.join("1_Pooling/config.json"), "{}").unwrap();
        path
    }

    fn new() -> NewModel {
        NewModel { name: "tiny".to_owned(), kind: ModelKind::Embed, alias: None, sha256: None }
    }

    #[test]
    fn a_new_version_is_in_force_and_the_old_one_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = folder.path().join("models");
        let first = Manifest::add(&shelf, &model(folder.path(), b"one"), &new()).unwrap();
        let second = Manifest::add(&shelf, &model(folder.path(), b"second"), &new()).unwrap();
        let in_force = || Manifest::read(&shelf).unwrap().unwrap().embedding_model().unwrap().clone();
        assert_eq!(in_force(), second);
        assert!(shelf.join(&second.path).join("1_Pooling/config.json").is_file());
        assert_eq!(Manifest::roll_back(&shelf, "tiny").unwrap(), first);
        assert_eq!(in_force(), first);
        assert_eq!(Manifest::roll_back(&shelf, "tiny").unwrap(), second);
        // Adding what is there puts it in force and makes no second copy.
        assert_eq!(Manifest::add(&shelf, &model(folder.path(), b"one"), &new()).unwrap(), first);
        assert_eq!(Manifest::read(&shelf).unwrap().unwrap().models.len(), 2);
        assert!(Manifest::roll_back(&shelf, "other").is_err());
    }

    #[test]
    fn weights_of_another_hash_are_refused_and_leave_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = folder.path().join("models");
        let wrong = NewModel { sha256: Some("0".repeat(64)), ..new() };
        assert!(matches!(Manifest::add(&shelf, &model(folder.path(), b"one"), &wrong), Err(EmbedderError::WrongHash { .. })));
        assert!(!shelf.try_exists().unwrap());
    }

    #[test]
    fn a_damaged_model_is_told_is_not_rolled_back_to_and_is_mended_by_adding_it_again() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = folder.path().join("models");
        let first = Manifest::add(&shelf, &model(folder.path(), b"one"), &new()).unwrap();
        let second = Manifest::add(&shelf, &model(folder.path(), b"second"), &new()).unwrap();
        fs::write(shelf.join(&first.path).join("model.safetensors"), "0ne").unwrap();
        let told: Vec<_> =
            Manifest::verify(&shelf).unwrap().into_iter().map(|v| (v.entry.version, v.in_force, v.fault.is_some())).collect();
        assert_eq!(told, [(second.version.clone(), true, false), (first.version.clone(), false, true)]);
        assert!(matches!(Manifest::roll_back(&shelf, "tiny"), Err(EmbedderError::WrongHash { .. })));
        assert_eq!(Manifest::read(&shelf).unwrap().unwrap().embedding_model().unwrap(), &second);
        Manifest::add(&shelf, &model(folder.path(), b"one"), &new()).unwrap();
        assert!(Manifest::verify(&shelf).unwrap().iter().all(|v| v.fault.is_none()));
    }

    #[test]
    fn what_is_no_model_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = folder.path().join("models");
        assert!(matches!(Manifest::add(&shelf, folder.path(), &new()), Err(EmbedderError::Missing(_))));
        let llm = NewModel { kind: ModelKind::Llm, ..new() };
        assert!(matches!(Manifest::add(&shelf, folder.path(), &llm), Err(EmbedderError::Missing(_))));
        for name in ["", "../x", "a b", ".hidden"] {
            let bad = NewModel { name: name.to_owned(), ..new() };
            assert!(matches!(Manifest::add(&shelf, &model(folder.path(), b"one"), &bad), Err(EmbedderError::Unsupported(_))), "{name}");
        }
    }

    #[test]
    fn a_chat_model_is_one_file() {
        let folder = tempfile::tempdir().unwrap();
        let (shelf, from) = (folder.path().join("models"), folder.path().join("llm"));
        fs::create_dir(&from).unwrap();
        fs::write(from.join("a.gguf"), "GGUF").unwrap();
        let llm = NewModel { kind: ModelKind::Llm, alias: Some("local".to_owned()), ..new() };
        let entry = Manifest::add(&shelf, &from, &llm).unwrap();
        assert_eq!((entry.size, entry.alias.as_str()), (4, "local"));
        assert!(Manifest::read(&shelf).unwrap().unwrap().embedding_model().is_none());
        fs::write(from.join("b.gguf"), "GGUF").unwrap();
        assert!(matches!(Manifest::add(&shelf, &from, &llm), Err(EmbedderError::Unsupported(_))));
    }
}
