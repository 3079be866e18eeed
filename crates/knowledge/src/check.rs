//! Looking after the files of this domain without running it: what a backup must hold, and whether everything is there.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use astrolabe_backends::embedder::{Embedder, Precision};
use astrolabe_kernel::{
    Db, Result,
    db::{Dialect, FromRow, Row},
};

use crate::{
    documents::store,
    index::{self, IndexEngine},
};

/// A content that documents have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// SHA-256 of the bytes, in hexadecimal.
    pub hash: String,
    /// Bytes.
    pub size: i64,
    /// A document that has it, for messages.
    pub document: String,
}

impl FromRow for Content {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self { hash: row.get("content_hash")?, size: row.get("size")?, document: row.get("document")? })
    }
}

/// Every content that a document has, of all tenants.
///
/// # Errors
/// When the database cannot be read.
pub async fn contents(db: &Db) -> Result<Vec<Content>> {
    db.read_all()
        .await?
        .all(
            "SELECT content_hash, MAX(size) AS size, MIN(name) AS document FROM documents WHERE content_hash <> '' GROUP BY content_hash ORDER BY content_hash",
            &[],
        )
        .await
}

/// Where a content is below the blob folder. It is only read here: opening the store clears what a running server is writing.
pub fn blob_path(blobs: &Path, hash: &str) -> Option<PathBuf> {
    (hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit())).then(|| blobs.join(&hash[..2]).join(hash))
}

/// How the index differs from SQL.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IndexDifference {
    /// Documents that SQL says can be found and that the index lacks, or has in another version.
    pub missing: usize,
    /// Documents that the index has and SQL does not.
    pub surplus: usize,
    /// Documents that agree.
    pub equal: usize,
    /// What opening repaired.
    pub notice: Option<String>,
}

/// The embedding model in a folder: alias, version and number of dimensions; nothing when there is none.
///
/// # Errors
/// In words, when there is a model that cannot be used.
pub fn model(models: &Path, precision: Precision) -> std::result::Result<Option<(String, String, usize)>, String> {
    match Embedder::load_from_models_dir(models, 1, precision) {
        Ok(Some(e)) => Ok(Some((e.alias().to_owned(), e.version().to_owned(), e.dims()))),
        Ok(None) => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

/// Compares the index with SQL, of the generation that `model` makes. Needs the data directory for itself.
///
/// # Errors
/// When the database or the index cannot be read.
pub async fn compare_index(db: &Db, engine: IndexEngine, index: &Path, model: Option<(String, String, usize)>) -> Result<IndexDifference> {
    let mut known: HashMap<String, i64> = HashMap::new();
    for document in store::indexed(&mut db.read_all().await?).await? {
        known.insert(document.id.to_string(), document.version);
    }
    let (alias, version) = model.as_ref().map_or(("words", "1"), |(alias, version, _)| (alias, version));
    if engine == IndexEngine::Embedded || db.dialect() == Dialect::Sqlite {
        // Opening would make the folder, and nothing is to be changed here.
        let folder = index.join(index::generation(alias, version));
        if !folder.try_exists()? {
            return Ok(IndexDifference { missing: known.len(), ..IndexDifference::default() });
        }
    }
    let opened = index::open(db, engine, index, model).await?;
    let mut difference = IndexDifference { notice: opened.repaired.or(opened.instead), ..IndexDifference::default() };
    for state in opened.index.documents().await.map_err(index::index_error)? {
        match known.remove(&state.document_id) {
            Some(version) if version == state.version => difference.equal += 1,
            Some(_) => difference.missing += 1,
            None => difference.surplus += 1,
        }
    }
    difference.missing += known.len();
    Ok(difference)
}
