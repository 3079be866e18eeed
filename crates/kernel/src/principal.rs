//! Who is asking, for which tenant, and what it may do. No function that touches tenant data works without one.
//!
//! [`Right`] is the whole policy of operations in one table: what may be done, and which roles may do it. A handler asks for a right in its
//! arguments ([`May`](crate::http::May)); `docs/generated/access.md` shows which operation asks for which.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Error, Id, Result, error::code, id::Named};

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

/// A place in the lattice, each role including the ones before it: `viewer < editor < tenant_admin < admin`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Outside the lattice: somebody with capability roles alone, such as an auditor.
    None,
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
    /// The lattice from the bottom up, without [`Role::None`].
    pub const LATTICE: [Self; 4] = [Self::Viewer, Self::Editor, Self::TenantAdmin, Self::Admin];

    /// The role's name as callers write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Viewer => "viewer",
            Self::Editor => "editor",
            Self::TenantAdmin => "tenant_admin",
            Self::Admin => "admin",
        }
    }

    /// The role of the lattice that a name stands for; `researcher` is an editor.
    pub fn of_name(name: &str) -> Option<Self> {
        match name {
            "researcher" => Some(Self::Editor),
            _ => Self::LATTICE.into_iter().find(|role| role.as_str() == name),
        }
    }
}

/// The capability role that reads audit entries and nothing else; it stands beside the lattice.
pub const AUDITOR: &str = "auditor";

macro_rules! rights {
    ($($right:ident = $name:literal, $least:ident, $auditor:literal, $what:literal;)*) => {
        /// What an operation may ask of its caller. The variants are the table of `docs/generated/access.md`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum Right {
            $(#[doc = concat!($what, ".")] $right),*
        }

        impl Right {
            /// Every right, in the table's order.
            pub const ALL: &[Self] = &[$(Self::$right),*];

            /// Its name: the scope of an API key, and the action of a policy.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$right => $name),* }
            }

            /// The lowest role of the lattice that has it. [`Role::None`]: everybody who is signed in.
            pub const fn least_role(self) -> Role {
                match self { $(Self::$right => Role::$least),* }
            }

            /// Whether an auditor has it, whatever else it is.
            pub const fn is_auditors(self) -> bool {
                match self { $(Self::$right => $auditor),* }
            }

            /// What it allows, for people.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$right => $what),* }
            }
        }

        /// The rights as types, for the arguments of handlers: `caller: May<right::WriteKnowledge>`.
        pub mod right {
            use super::{Asked, Right};
            $(
                #[doc = concat!("Asks for [`Right::", stringify!($right), "`]: ", $what, ".")]
                #[derive(Debug, Clone, Copy)]
                pub struct $right;
                impl Asked for $right {
                    const RIGHT: Right = Right::$right;
                }
                impl utoipa::IntoResponses for $right {
                    fn responses() -> crate::http::Responses {
                        crate::http::refused_without(Right::$right)
                    }
                }
            )*
        }
    };
}

/// A right as a type.
pub trait Asked: Send + Sync + 'static {
    /// The right.
    const RIGHT: Right;
}

rights! {
    OwnAccount = "own_account", None, true, "See and change one's own account, sessions and keys";
    ReadKnowledge = "read_knowledge", Viewer, false, "Search, and read sources and documents that one is a reader of";
    AskQuestions = "ask_questions", Viewer, false, "Ask questions, read one's own answers and rate them";
    WriteKnowledge = "write_knowledge", Editor, false, "Make and change sources, add and delete documents";
    ReadQuality = "read_quality", Viewer, false, "Read question sets and their results";
    ManageQuality = "manage_quality", Editor, false, "Change and run question sets, read the feedback of others";
    RunAgents = "run_agents", Viewer, false, "Run agents and read one's own runs; each tool has roles of its own";
    UseModels = "use_models", Viewer, false, "Call chat and embedding models by themselves";
    ReadTickets = "read_tickets", Viewer, false, "Read tickets";
    OpenTickets = "open_tickets", Viewer, false, "Open tickets";
    ManageTickets = "manage_tickets", Editor, false, "Change tickets";
    ReadJobs = "read_jobs", Viewer, false, "See background work";
    ManageJobs = "manage_jobs", Editor, false, "Cancel and repeat background work";
    ReadAudit = "read_audit", TenantAdmin, true, "Read and export the audit entries of the tenant";
    ManageUsers = "manage_users", TenantAdmin, false, "Add people to the tenant, set their roles, suspend, export and erase them";
    ManageKeys = "manage_keys", TenantAdmin, false, "See and revoke everybody's API keys in the tenant";
    ManagePolicies = "manage_policies", TenantAdmin, false, "Write the tenant's policies and try them out";
    ManageSettings = "manage_settings", TenantAdmin, false, "Change the tenant's settings and feature flags";
    ReadUsage = "read_usage", TenantAdmin, false, "See what models cost the tenant, by day, model and person";
    ManageBudgets = "manage_budgets", TenantAdmin, false, "Set budgets for the tenant, its people, keys and agents";
    ManageTenants = "manage_tenants", Admin, false, "Make and change tenants";
    ManageInstallation = "manage_installation", Admin, false, "Rebuild the index, switch to maintenance, rotate signing keys";
}

/// A set of rights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rights(u64);

impl Rights {
    /// Every right.
    pub const ALL: Self = Self(u64::MAX);

    /// Whether the set holds a right.
    pub const fn has(self, right: Right) -> bool {
        self.0 & (1 << right as u64) != 0
    }

    /// The set with one more.
    #[must_use]
    pub const fn with(self, right: Right) -> Self {
        Self(self.0 | (1 << right as u64))
    }

    /// What is in both sets.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The rights that a role and capability roles give.
    pub fn of(role: Role, capabilities: &[String]) -> Self {
        let auditor = capabilities.iter().any(|c| c == AUDITOR);
        let has = |r: &&Right| role >= r.least_role() || auditor && r.is_auditors();
        Right::ALL.iter().filter(has).fold(Self::default(), |set, r| set.with(*r))
    }

    /// Those in the set, in the table's order.
    pub fn list(self) -> Vec<Right> {
        Right::ALL.iter().copied().filter(|r| self.has(*r)).collect()
    }
}

impl FromIterator<Right> for Rights {
    fn from_iter<I: IntoIterator<Item = Right>>(rights: I) -> Self {
        rights.into_iter().fold(Self::default(), Self::with)
    }
}

/// The caller: who it is, which tenant it acts in, and what it may do.
#[derive(Debug, Clone)]
pub struct Principal {
    /// Stable id such as `user:usr_01J…` or `service:ingest`; the `actor` of audit entries.
    pub id: String,
    /// Name for people.
    pub name: String,
    /// The tenant whose data the caller sees.
    pub tenant: TenantId,
    /// The caller's place in the lattice.
    pub role: Role,
    /// Free-form capability roles that tools ask for, such as `sre`.
    pub capabilities: Vec<String>,
    /// What it came with, such as `token`, `session:ses_01J…` or `key:key_01J…`. Limits on streams count by it.
    pub credential: String,
    /// The rights that an API key was made for; everything else is refused. [`Rights::ALL`] for other credentials.
    pub scope: Rights,
}

impl Principal {
    /// Somebody in a tenant, with a credential that is not limited to some rights.
    pub fn new(
        id: impl Into<String>,
        name: impl Into<String>,
        tenant: TenantId,
        role: Role,
        capabilities: Vec<String>,
        credential: impl Into<String>,
    ) -> Self {
        Self { id: id.into(), name: name.into(), tenant, role, capabilities, credential: credential.into(), scope: Rights::ALL }
    }

    /// The administrator of an installation with one local user.
    pub fn local_admin() -> Self {
        Self::new("user:local-admin", "Local administrator", default_tenant(), Role::Admin, Vec::new(), "token")
    }

    /// A background service acting for a tenant, such as `ingest`.
    pub fn service(name: &str, tenant: TenantId) -> Self {
        Self::new(format!("service:{name}"), name, tenant, Role::TenantAdmin, Vec::new(), format!("service:{name}"))
    }

    /// What the caller may do: what its roles give, as far as its credential reaches.
    pub fn rights(&self) -> Rights {
        Rights::of(self.role, &self.capabilities).and(self.scope)
    }

    /// Requires a right.
    ///
    /// # Errors
    /// `forbidden` naming the right and the role that has it; `insufficient_scope` when the roles would do but the key was not made for it.
    pub fn require(&self, right: Right) -> Result<()> {
        let by_role = self.role >= right.least_role() || right.is_auditors() && self.is_auditor();
        if by_role && self.scope.has(right) {
            return Ok(());
        }
        let name = right.as_str();
        if by_role && self.credential.starts_with("session:") {
            return Err(Error::forbidden("the password has to be changed first: POST /api/v1/me/password"));
        }
        if by_role {
            return Err(Error::new(code::INSUFFICIENT_SCOPE, format!("the key was not made for {name}; make one with that scope")));
        }
        let role = right.least_role().as_str();
        Err(Error::forbidden(format!("this needs the right {name}, which the role {role} has; ask an administrator for it")))
    }

    /// Whether the caller is an auditor, beside whatever its role is.
    pub fn is_auditor(&self) -> bool {
        self.capabilities.iter().any(|c| c == AUDITOR)
    }

    /// Whether any of `wanted` is the caller's role, one below it, or one of its capabilities.
    pub fn has_any(&self, wanted: &[String]) -> bool {
        wanted.iter().any(|w| self.capabilities.contains(w) || Role::of_name(w).is_some_and(|role| self.role >= role))
    }
}

/// The table of rights and, from the description of the API, which operation asks for which, for `docs/generated/access.md`.
/// `operations` holds method, path and the name of the right; `None` for open operations.
pub fn access_markdown(operations: &[(String, String, Option<String>)]) -> String {
    use std::fmt::Write;
    let mut out = String::from(
        "# Access\n\nGenerated from the table of rights in `crates/kernel/src/principal.rs` and from the arguments of the handlers. Roles include those \
         before them: `viewer < editor < tenant_admin < admin`; `researcher` is another name of `editor`. `auditor` stands beside them. What belongs to \
         another tenant, or to somebody else, is answered with the same 404 as what is not there.\n\n## Rights\n\n\
         | right | allows | viewer | editor | tenant_admin | admin | auditor |\n| --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for right in Right::ALL {
        let mark = |yes: bool| if yes { "yes" } else { "" };
        let _ = write!(out, "| `{}` | {} |", right.as_str(), right.meaning());
        for role in Role::LATTICE {
            let _ = write!(out, " {} |", mark(role >= right.least_role()));
        }
        let _ = writeln!(out, " {} |", mark(right.is_auditors() || right.least_role() == Role::None));
    }
    out.push_str("\n## Operations\n\n| operation | right |\n| --- | --- |\n");
    for (method, path, right) in operations {
        let right = right.as_ref().map_or_else(|| "open".to_owned(), |r| format!("`{r}`"));
        let _ = writeln!(out, "| `{method} {path}` | {right} |");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn somebody(role: Role, capabilities: &[&str]) -> Principal {
        Principal::new("user:a", "A", default_tenant(), role, capabilities.iter().map(|c| (*c).to_owned()).collect(), "token")
    }

    #[test]
    fn a_higher_role_has_every_right_of_a_lower_one() {
        for pair in Role::LATTICE.windows(2) {
            let (low, high) = (somebody(pair[0], &[]).rights(), somebody(pair[1], &[]).rights());
            assert_eq!(low.and(high), low);
            assert_ne!(low, high);
        }
    }

    #[test]
    fn an_auditor_reads_audit_entries_and_its_own_account_and_nothing_else() {
        assert_eq!(somebody(Role::None, &[AUDITOR]).rights().list(), [Right::OwnAccount, Right::ReadAudit]);
        assert_eq!(somebody(Role::None, &["sre"]).rights().list(), [Right::OwnAccount]);
    }

    #[test]
    fn a_credential_narrows_what_a_role_gives_and_never_widens_it() {
        let mut key = somebody(Role::Viewer, &[]);
        key.credential = "key:key_1".to_owned();
        key.scope = [Right::ReadKnowledge, Right::WriteKnowledge].into_iter().collect();
        assert_eq!(key.rights().list(), [Right::ReadKnowledge]);
        assert_eq!(key.require(Right::AskQuestions).unwrap_err().code(), code::INSUFFICIENT_SCOPE);
        assert_eq!(key.require(Right::WriteKnowledge).unwrap_err().code(), code::FORBIDDEN);
    }

    #[test]
    fn a_tool_that_wants_a_role_takes_higher_ones_and_capabilities() {
        let wanted = ["editor".to_owned(), "sre".to_owned()];
        assert!(somebody(Role::Admin, &[]).has_any(&wanted) && somebody(Role::Viewer, &["sre"]).has_any(&wanted));
        assert!(!somebody(Role::Viewer, &["it"]).has_any(&wanted) && somebody(Role::Editor, &[]).has_any(&["researcher".to_owned()]));
    }
}
