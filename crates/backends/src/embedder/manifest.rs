//! `manifest.json` of a models folder: which models there are, of what size and hash.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::EmbedderError;

/// The file's name inside a models folder.
pub const MANIFEST_FILE: &str = "manifest.json";

/// What lies in a models folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// In the order of preference: the first embedding model is the one that is used.
    pub models: Vec<ManifestEntry>,
}

/// One model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestEntry {
    /// The model's published name.
    pub name: String,
    /// Identifies the weights: the first 12 hex digits of their SHA-256.
    pub version: String,
    /// What it is for.
    #[serde(rename = "type")]
    pub kind: ModelKind,
    /// Bytes of the weights file.
    pub size: u64,
    /// SHA-256 of the weights file, 64 lower-case hex digits.
    pub sha256: String,
    /// The folder with `model.safetensors`, `tokenizer.json` and `config.json`; relative to the models folder, or absolute.
    pub path: PathBuf,
    /// The name under which vector indexes refer to it.
    pub alias: String,
}

/// What a model is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelKind {
    /// Turns texts into vectors.
    Embed,
    /// Writes texts.
    Llm,
}

impl Manifest {
    /// Reads the manifest of a models folder; `None` when the folder has none.
    ///
    /// # Errors
    /// [`EmbedderError::Corrupt`] when the file is not a manifest, [`EmbedderError::Unreadable`] when it cannot be read.
    pub fn read(models_dir: &Path) -> Result<Option<Self>, EmbedderError> {
        let path = models_dir.join(MANIFEST_FILE);
        match std::fs::read(&path) {
            Ok(bytes) => {
                serde_json::from_slice(&bytes).map(Some).map_err(|error| EmbedderError::Corrupt(format!("{}: {error}", path.display())))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(EmbedderError::Unreadable(format!("{}: {error}", path.display()))),
        }
    }

    /// The embedding model that is used, if there is one.
    pub fn embedding_model(&self) -> Option<&ManifestEntry> {
        self.models.iter().find(|model| model.kind == ModelKind::Embed)
    }
}
