//! Sources: collections of documents with their own settings.

mod folder;
pub(crate) mod jobs;
pub(crate) mod rights;
pub mod routes;
pub(crate) mod store;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use astrolabe_kernel::{Error, Id, Principal, Result, Timestamp, error::code, id::Named, principal::TenantId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Knowledge, ingest::extract::FOLDER_ENDINGS, search::Ranking};

/// A collection of documents.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Source {
    /// Its id, `src_…`.
    pub id: Id<Source>,
    /// Its name, unique in the tenant.
    pub name: String,
    /// What is in it, for people.
    pub description: String,
    /// Words to filter by.
    pub tags: Vec<String>,
    /// Characters of a chunk at most (A-19).
    pub chunk_size: i64,
    /// Characters that a chunk repeats of the one before it.
    pub chunk_overlap: i64,
    /// Ids of those who may read it, beside who manages the tenant; null for everybody in the tenant.
    pub readers: Option<Vec<String>>,
    /// How its documents rank beside others.
    pub ranking: Ranking,
    /// Where its documents come from by themselves; null when people add them.
    pub origin: Option<Origin>,
    /// When that was last looked at.
    pub scanned_at: Option<Timestamp>,
    /// How many documents it has.
    pub document_count: i64,
    /// How many chunks can be found.
    pub chunk_count: i64,
    /// How many documents are in each state: `queued`, `running`, `ready`, `failed`, `canceled`.
    pub documents_by_state: BTreeMap<String, i64>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its settings last changed.
    pub updated_at: Timestamp,
}

impl Named for Source {
    const PREFIX: &'static str = "src";
}

/// Where a source's documents come from by themselves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Origin {
    /// A folder of the server, with everything below it: files that appear, change or go do so as documents. Links are not followed, and hidden
    /// files are left out.
    Folder {
        /// Its absolute path, in one of the folders that the operator allows (`knowledge.folder_roots`).
        #[schema(min_length = 1, max_length = 1000, pattern = "^/[^\\u0000]*$", example = "/srv/manuals")]
        path: String,
        /// Endings of the files that are taken, in small letters without the dot; those of documents when absent.
        #[serde(default = "endings")]
        #[schema(min_items = 1, max_items = 128, value_type = Vec<Ending>)]
        endings: Vec<String>,
    },
}

/// The ending of a file's name, as the description shows it.
#[derive(ToSchema)]
#[schema(min_length = 1, max_length = 16, pattern = "^[a-z0-9]+$")]
#[expect(dead_code, reason = "describes the items of lists of endings")]
pub struct Ending(String);

fn endings() -> Vec<String> {
    FOLDER_ENDINGS.iter().map(|ending| (*ending).to_owned()).collect()
}

impl Origin {
    /// Checks what can be checked without looking at the disk.
    fn validate(&self) -> Result<()> {
        let Self::Folder { path, endings } = self;
        if !(1..=1000).contains(&path.chars().count()) {
            return Err(Error::field("origin.path", "must be 1 to 1000 characters"));
        }
        let plain = |e: &String| (1..=16).contains(&e.len()) && e.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        if !(1..=128).contains(&endings.len()) || !endings.iter().all(plain) {
            return Err(Error::field("origin.endings", "must be 1 to 128 endings of small letters and digits, without the dot"));
        }
        Ok(())
    }
}

/// A word to filter by, as the description shows it.
#[derive(ToSchema)]
#[schema(min_length = 1, max_length = 64, pattern = "^[^\\u0000]*$")]
#[expect(dead_code, reason = "describes the items of lists of tags")]
pub struct Tag(String);

/// The id of somebody who may read, as the description shows it.
#[derive(ToSchema)]
#[schema(min_length = 1, max_length = 200, pattern = "^[^\\u0000]*$")]
#[expect(dead_code, reason = "describes the items of lists of readers")]
pub struct Reader(String);

/// A field that is given, be it null.
fn given<'de, D: serde::Deserializer<'de>, T: Deserialize<'de>>(from: D) -> std::result::Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

/// The id or the name of a source, as the description shows it.
#[derive(ToSchema)]
#[schema(min_length = 1, max_length = 100, pattern = "^[^\\u0000]*$")]
#[expect(dead_code, reason = "describes the items of lists of sources")]
pub struct SourceName(String);

/// A source to make.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "manuals", "description": "What every device is and does", "tags": ["it"], "chunk_size": 600, "chunk_overlap": 80}))]
pub struct NewSource {
    /// Its name, unique in the tenant.
    #[schema(min_length = 1, max_length = 100, pattern = r"^[\p{L}\p{N}](?:[\p{L}\p{N} ._-]*[\p{L}\p{N}._-])?$")]
    pub name: String,
    /// What is in it, for people.
    #[serde(default)]
    #[schema(max_length = 2000, pattern = "^[^\\u0000]*$")]
    pub description: String,
    /// Words to filter by.
    #[serde(default)]
    #[schema(max_items = 32, value_type = Vec<Tag>)]
    pub tags: Vec<String>,
    /// Characters of a chunk at most; 600 when absent.
    #[serde(default)]
    #[schema(minimum = 200, maximum = 4000)]
    pub chunk_size: Option<i64>,
    /// Characters that a chunk repeats of the one before it; at most a third of `chunk_size` counts; 80 when absent.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 1000)]
    pub chunk_overlap: Option<i64>,
    /// Ids of those who may read it, beside who manages the tenant: of principals or capabilities. Everybody in the tenant when absent or null;
    /// nobody else when empty.
    #[serde(default)]
    #[schema(max_items = 1000, value_type = Option<Vec<Reader>>)]
    pub readers: Option<Vec<String>>,
    /// How its documents rank beside others: by age, by tags; no difference when absent.
    #[serde(default)]
    pub ranking: Ranking,
    /// Where its documents come from by themselves; absent or null when people add them. It stays as it is. A folder of the server takes the
    /// right `manage_installation`.
    #[serde(default)]
    pub origin: Option<Origin>,
}

/// What to change of a source; what is absent stays. Chunk settings hold for documents ingested from then on.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"description": "What every device in the depots is and does", "tags": ["it", "depots"]}))]
pub struct SourceChange {
    /// A new name.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 100, pattern = r"^[\p{L}\p{N}](?:[\p{L}\p{N} ._-]*[\p{L}\p{N}._-])?$")]
    pub name: Option<String>,
    /// A new description.
    #[serde(default)]
    #[schema(max_length = 2000, pattern = "^[^\\u0000]*$")]
    pub description: Option<String>,
    /// New tags.
    #[serde(default)]
    #[schema(max_items = 32, value_type = Option<Vec<Tag>>)]
    pub tags: Option<Vec<String>>,
    /// A new list of readers; null for everybody in the tenant. It is in force with the next search.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 1000, value_type = Option<Vec<Reader>>)]
    pub readers: Option<Option<Vec<String>>>,
    /// New settings of how its documents rank; all of them are replaced.
    #[serde(default)]
    pub ranking: Option<Ranking>,
}

impl NewSource {
    /// Checks the fields and fills in the defaults.
    ///
    /// # Errors
    /// `invalid_request` naming the first wrong field.
    pub fn validate(&self) -> Result<(i64, i64)> {
        check_name(&self.name)?;
        check_text("description", &self.description, 2000)?;
        check_tags(&self.tags)?;
        rights::check(self.readers.as_deref())?;
        self.ranking.validate()?;
        self.origin.as_ref().map_or(Ok(()), Origin::validate)?;
        let size = self.chunk_size.unwrap_or(600);
        let overlap = self.chunk_overlap.unwrap_or(80);
        if !(200..=4000).contains(&size) {
            return Err(Error::field("chunk_size", "must be between 200 and 4000"));
        }
        if !(0..=1000).contains(&overlap) {
            return Err(Error::field("chunk_overlap", "must be between 0 and 1000"));
        }
        Ok((size, overlap))
    }
}

impl SourceChange {
    /// Checks the fields that are there.
    ///
    /// # Errors
    /// `invalid_request` naming the first wrong field.
    pub fn validate(&self) -> Result<()> {
        if let Some(name) = &self.name {
            check_name(name)?;
        }
        if let Some(description) = &self.description {
            check_text("description", description, 2000)?;
        }
        rights::check(self.readers.as_ref().and_then(Option::as_deref))?;
        self.ranking.as_ref().map_or(Ok(()), Ranking::validate)?;
        self.tags.as_deref().map_or(Ok(()), check_tags)
    }
}

fn check_name(name: &str) -> Result<()> {
    let inner = |c: char| c.is_alphanumeric() || " ._-".contains(c);
    let ok = (1..=100).contains(&name.chars().count())
        && name.starts_with(char::is_alphanumeric)
        && name.chars().all(inner)
        && !name.ends_with(' ');
    if ok {
        Ok(())
    } else {
        Err(Error::field("name", "must be 1 to 100 letters, digits, spaces, dots, dashes or underscores, starting with a letter or digit"))
    }
}

fn check_text(field: &str, text: &str, max: usize) -> Result<()> {
    if text.chars().count() > max { Err(Error::field(field, format!("must be at most {max} characters"))) } else { Ok(()) }
}

pub(crate) fn check_tags(tags: &[String]) -> Result<()> {
    if tags.len() > 32 {
        return Err(Error::field("tags", "must be at most 32"));
    }
    for (i, tag) in tags.iter().enumerate() {
        if tag.is_empty() || tag.chars().count() > 64 {
            return Err(Error::field(format!("tags[{i}]"), "must be 1 to 64 characters"));
        }
    }
    Ok(())
}

fn no_such_source(field: &str) -> Error {
    let text = "there is no such source; GET /api/v1/sources lists them";
    Error::new(code::NOT_FOUND, format!("{field}: {text}")).and_field(field, text)
}

/// The event stream of a source.
pub(crate) fn stream(id: Id<Source>) -> String {
    format!("source:{id}")
}

/// Names of one list.
const MAX_NAMES: i64 = 1000;

impl Knowledge {
    /// A source of a tenant by its id or its name.
    ///
    /// # Errors
    /// `not_found` naming `field` when there is none.
    pub async fn find_source(&self, tenant: TenantId, id_or_name: &str, field: &str) -> Result<Source> {
        self.look_up_source(tenant, id_or_name).await?.ok_or_else(|| no_such_source(field))
    }

    /// The names of the sources that somebody may read, the oldest first, at most a thousand.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn source_names(&self, principal: &Principal) -> Result<Vec<String>> {
        let only = self.readable_sources(principal).await?;
        let mut tx = self.kernel.db.read(principal.tenant).await?;
        let sources = store::page(&mut tx, principal.tenant, only.as_deref(), "", MAX_NAMES - 1).await?;
        Ok(sources.into_iter().map(|source| source.name).collect())
    }

    /// A source by its id or its name for a caller, to whom one that it may not read is not there.
    ///
    /// # Errors
    /// `not_found` naming `field` when there is none.
    pub(crate) async fn find_readable_source(&self, principal: &Principal, id_or_name: &str, field: &str) -> Result<Source> {
        let found = self.look_up_source(principal.tenant, id_or_name).await?;
        found.filter(|s| rights::may_read(principal, s.readers.as_deref())).ok_or_else(|| no_such_source(field))
    }

    async fn look_up_source(&self, tenant: TenantId, id_or_name: &str) -> Result<Option<Source>> {
        let mut tx = self.kernel.db.read(tenant).await?;
        match id_or_name.parse::<Id<Source>>() {
            Ok(id) => store::get(&mut tx, tenant, id).await,
            Err(_) => store::by_name(&mut tx, tenant, id_or_name).await,
        }
    }

    /// The source of a name, made when there is none.
    ///
    /// # Errors
    /// `invalid_request` when the name cannot be one.
    pub async fn source_named(&self, caller: &astrolabe_kernel::http::Caller, name: &str) -> Result<Source> {
        let tenant = caller.principal.tenant;
        if let Some(source) = store::by_name(&mut self.kernel.db.read(tenant).await?, tenant, name).await? {
            return Ok(source);
        }
        let new = NewSource { name: name.to_owned(), ..NewSource::default() };
        match routes::create(self, caller, &new).await {
            Err(error) if error.code() == code::SOURCE_EXISTS => self.find_source(tenant, name, "source").await,
            other => other,
        }
    }
}
