//! Tenants: whose data is kept apart from whose.
//!
//! A tenant that is suspended keeps its data, and nobody acts in it. The default tenant is there from the first start on; the local
//! administrator acts in it, so it cannot be suspended.

pub mod routes;
pub(crate) mod store;
#[cfg(test)]
mod tests;

use astrolabe_kernel::{Error, Result, Timestamp, principal::TenantId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Characters of a slug at most: a label of a host name (RFC 1035, section 2.3.4).
pub const MAX_SLUG: usize = 63;
/// Characters of a name at most.
pub const MAX_NAME: usize = 200;

/// Whether somebody, or a whole tenant, may act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// May act.
    Active,
    /// Is refused at every door, and keeps what it has.
    Suspended,
}

impl State {
    /// The state as stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
        }
    }

    /// What was stored; whatever is not `active` is suspended.
    pub(crate) fn of_stored(text: &str) -> Self {
        if text == "active" { Self::Active } else { Self::Suspended }
    }
}

/// A tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Tenant {
    /// Its id.
    pub id: TenantId,
    /// Its short name in addresses, claims and commands; never changes.
    #[schema(example = "acme")]
    pub slug: String,
    /// Its name for people.
    pub name: String,
    /// Whether it may act.
    pub state: State,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// Counts its changes; the `ETag`.
    #[serde(skip)]
    pub version: i64,
}

/// A tenant to make.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTenant {
    /// Lower-case letters, digits and hyphens between them, 1 to 63.
    #[schema(min_length = 1, max_length = 63, pattern = "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", example = "acme")]
    pub slug: String,
    /// Its name for people; the slug when absent.
    #[schema(min_length = 1, max_length = 200, example = "Acme Ltd")]
    pub name: Option<String>,
}

/// What to change of a tenant; what is absent stays.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TenantChange {
    /// Its name for people.
    #[schema(min_length = 1, max_length = 200, example = "Acme Ltd")]
    pub name: Option<String>,
    /// Whether it may act.
    pub state: Option<State>,
}

/// Checks a slug.
///
/// # Errors
/// `invalid_request` naming `slug`.
pub fn check_slug(slug: &str) -> Result<()> {
    let inner = slug.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if inner && (1..=MAX_SLUG).contains(&slug.len()) && !slug.starts_with('-') && !slug.ends_with('-') {
        return Ok(());
    }
    Err(Error::field("slug", format!("must be 1 to {MAX_SLUG} lower-case letters and digits, with hyphens between them")))
}

/// Checks a name for people, of a tenant or a person, and trims it.
///
/// # Errors
/// `invalid_request` naming `name`.
pub fn check_name(name: &str) -> Result<String> {
    let name = name.trim();
    if (1..=MAX_NAME).contains(&name.chars().count()) && !name.contains(char::is_control) {
        return Ok(name.to_owned());
    }
    Err(Error::field("name", format!("must be 1 to {MAX_NAME} characters without control characters")))
}
