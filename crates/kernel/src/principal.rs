//! Who is asking, and for which tenant. No function that touches tenant data works without one.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Error, Id, Result, id::Named};

/// Names tenants: `ten_…`.
pub struct Tenant;
impl Named for Tenant {
    const PREFIX: &'static str = "ten";
}

/// The id of a tenant; in the constructor of every query that touches tenant data.
pub type TenantId = Id<Tenant>;

/// The tenant of an installation that has not set up others.
pub fn default_tenant() -> TenantId {
    Id::derived(b"astrolabe default tenant")
}

/// What a principal may do, each role including the ones before it: `viewer < editor < tenant_admin < admin`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Asks and reads.
    Viewer,
    /// Also adds and changes knowledge, tickets and runs.
    Editor,
    /// Also manages the tenant and reads its audit entries.
    TenantAdmin,
    /// Also manages the installation.
    Admin,
}

impl Role {
    /// The role's name as callers write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Editor => "editor",
            Self::TenantAdmin => "tenant_admin",
            Self::Admin => "admin",
        }
    }
}

/// The caller: who it is, which tenant it acts in, and what it may do.
#[derive(Debug, Clone)]
pub struct Principal {
    /// Stable id such as `user:local-admin` or `job:job_01J…`; the `actor` of audit entries.
    pub id: String,
    /// Name for people.
    pub name: String,
    /// The tenant whose data the caller sees.
    pub tenant: TenantId,
    /// The caller's place in the lattice.
    pub role: Role,
    /// Free-form capability roles that tools ask for, such as `sre`.
    pub capabilities: Vec<String>,
}

impl Principal {
    /// The administrator of an installation with one local user.
    pub fn local_admin() -> Self {
        Self {
            id: "user:local-admin".to_owned(),
            name: "Local administrator".to_owned(),
            tenant: default_tenant(),
            role: Role::Admin,
            capabilities: Vec::new(),
        }
    }

    /// A background service acting for a tenant, such as `job:ingest`.
    pub fn service(name: &str, tenant: TenantId) -> Self {
        Self { id: format!("service:{name}"), name: name.to_owned(), tenant, role: Role::TenantAdmin, capabilities: Vec::new() }
    }

    /// Requires a role.
    ///
    /// # Errors
    /// `forbidden` naming the role that is missing.
    pub fn require(&self, role: Role) -> Result<()> {
        if self.role >= role {
            Ok(())
        } else {
            Err(Error::forbidden(format!("this needs the role {}; ask an administrator for it", role.as_str())))
        }
    }

    /// Whether any of `wanted` is the caller's role, one below it, or one of its capabilities.
    pub fn has_any(&self, wanted: &[String]) -> bool {
        wanted.iter().any(|w| {
            self.capabilities.contains(w)
                || [Role::Viewer, Role::Editor, Role::TenantAdmin, Role::Admin].iter().any(|r| r.as_str() == w && self.role >= *r)
        })
    }
}
