//! Whose rows a transaction is about.

use crate::{Error, Result, principal::TenantId};

/// Whose rows a transaction is about: one tenant's, or everybody's. A transaction on PostgreSQL tells the server, whose row-level security
/// hides and refuses all others, so that a statement with a wrong `WHERE` finds nothing instead of somebody else's rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope(Name);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Name {
    All,
    /// Letters, digits, `_` and `-`.
    One(String),
}

/// The longest name of a tenant.
const LONGEST: usize = 64;

impl Scope {
    /// Everybody's rows; [`Db::read_all`](super::Db::read_all) and its sister say it.
    pub(super) const ALL: Self = Self(Name::All);

    /// The rows of a tenant that is known by its name only, as the search index knows it.
    ///
    /// # Errors
    /// `internal` for a name that no tenant can have: other characters than letters, digits, `_` and `-`, none at all, or more than 64.
    pub fn named(name: &str) -> Result<Self> {
        let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        if !plain || name.is_empty() || name.len() > LONGEST {
            return Err(Error::internal(format_args!("{name:?} cannot be the name of a tenant")));
        }
        Ok(Self(Name::One(name.to_owned())))
    }

    /// What the policies compare a row's tenant with. No tenant can be called `*`.
    pub(super) fn mark(&self) -> &str {
        match &self.0 {
            Name::All => "*",
            Name::One(name) => name,
        }
    }
}

impl From<TenantId> for Scope {
    fn from(tenant: TenantId) -> Self {
        // An id is a prefix, an underscore and 26 digits of base 32.
        Self(Name::One(tenant.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_could_end_the_statement_is_refused() {
        for name in ["", "*", "a'b", "a b", "a;b", "a\\b", "ä", "a\0", &"a".repeat(65)] {
            assert!(Scope::named(name).is_err(), "{name:?}");
        }
        assert_eq!(Scope::named("ten_-9A").unwrap().mark(), "ten_-9A");
        let tenant = crate::principal::default_tenant();
        assert_eq!(Scope::from(tenant), Scope::named(&tenant.to_string()).unwrap());
    }
}
