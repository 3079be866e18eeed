//! Who may read a source. A source has a list of reader ids, or none, and then everybody in the tenant reads it.
//!
//! Rights are looked up with every request, and searches get the sources that the caller may read: a change of a list is
//! one row, and in force with the next search. The search index knows readers of single documents as well, but to write
//! a source's list into each of its documents would take as long as the source is large, and until then old rights
//! would hold.

use astrolabe_kernel::{
    Error, Id, Principal, Result, Role, Tx, args,
    db::{FromRow, Row},
};

use super::Source;
use crate::Knowledge;

/// Reader ids of a source at most.
const MAX_READERS: usize = 1000;

struct Readers {
    id: Id<Source>,
    readers: Option<Vec<String>>,
}

impl FromRow for Readers {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self { id: row.id("id")?, readers: if row.is_null("readers")? { None } else { Some(row.json("readers")?) } })
    }
}

/// The reader ids that stand for a caller: its own and those of its capabilities. `None` for whoever manages the tenant, and
/// reads everything in it.
#[must_use]
pub fn reader_ids(principal: &Principal) -> Option<Vec<String>> {
    (principal.role < Role::TenantAdmin).then(|| std::iter::once(&principal.id).chain(&principal.capabilities).cloned().collect())
}

/// Whether a caller may read what `readers` may.
#[must_use]
pub fn may_read(principal: &Principal, readers: Option<&[String]>) -> bool {
    let Some(readers) = readers else { return true };
    reader_ids(principal).is_none_or(|ids| ids.iter().any(|id| readers.contains(id)))
}

/// Checks a list of readers: at most 1,000 ids of 1 to 200 characters.
///
/// # Errors
/// `invalid_request` naming `readers`.
pub(super) fn check(readers: Option<&[String]>) -> Result<()> {
    let readers = readers.unwrap_or_default();
    if readers.len() > MAX_READERS {
        return Err(Error::field("readers", "must be at most 1000"));
    }
    match readers.iter().position(|id| id.contains('\0') || !(1..=200).contains(&id.chars().count())) {
        Some(i) => Err(Error::field(format!("readers[{i}]"), "must be 1 to 200 characters without NUL")),
        None => Ok(()),
    }
}

/// Refuses a source that the caller may not read exactly as one that is not there; `noun` is what the caller asked for.
///
/// # Errors
/// `not_found`.
pub(crate) async fn require(tx: &mut Tx, principal: &Principal, source: Id<Source>, noun: &str) -> Result<()> {
    if reader_ids(principal).is_none() {
        return Ok(());
    }
    let found: Option<Readers> =
        tx.optional("SELECT id, readers FROM sources WHERE tenant_id = $1 AND id = $2", args![principal.tenant, source]).await?;
    match found {
        Some(found) if may_read(principal, found.readers.as_deref()) => Ok(()),
        _ => Err(Error::not_found(noun)),
    }
}

impl Knowledge {
    /// The sources that a caller may read; `None` when these are all of the tenant.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub(crate) async fn readable_sources(&self, principal: &Principal) -> Result<Option<Vec<Id<Source>>>> {
        if reader_ids(principal).is_none() {
            return Ok(None);
        }
        let mut tx = self.kernel.db.read(principal.tenant).await?;
        let all: Vec<Readers> = tx.all("SELECT id, readers FROM sources WHERE tenant_id = $1", args![principal.tenant]).await?;
        let count = all.len();
        let readable: Vec<Id<Source>> = all.into_iter().filter(|s| may_read(principal, s.readers.as_deref())).map(|s| s.id).collect();
        Ok((readable.len() < count).then_some(readable))
    }
}
