//! People: accounts, and their memberships of tenants.
//!
//! An account is of the whole installation and has one home tenant; a membership gives it a role in one tenant. What a tenant's
//! administrators see and change is the membership, so a tenant that adds an e-mail learns nothing of an account that is already there.
//!
//! Nobody gives a role above his own, nobody touches somebody above him, and the installation keeps an administrator.

pub mod passwords;
pub mod personal;
pub mod routes;
pub(crate) mod store;
#[cfg(test)]
mod tests;

use astrolabe_kernel::{Error, Id, Principal, Result, Role, Timestamp, error::code, id::Named, principal::TenantId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use crate::tenants::State;

/// Marks the ids of users: `usr_…`.
#[derive(Debug, ToSchema)]
pub struct User;
impl Named for User {
    const PREFIX: &'static str = "usr";
}

/// The id of a user.
pub type UserId = Id<User>;

/// Characters of an e-mail address at most (RFC 5321, section 4.5.3.1.3, without the brackets).
pub const MAX_EMAIL: usize = 254;
/// Capabilities of a membership at most.
pub const MAX_CAPABILITIES: usize = 64;
/// Characters of a capability at most.
const MAX_CAPABILITY: usize = 128;

/// The principal's id of a user.
pub fn principal_id(user: UserId) -> String {
    format!("user:{user}")
}

/// The user of a principal's id; nothing for the local administrator, services and keys.
pub fn user_of(principal: &Principal) -> Option<UserId> {
    principal.id.strip_prefix("user:")?.parse().ok()
}

/// An account, as it is stored.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    pub id: UserId,
    pub home: TenantId,
    pub email: Option<String>,
    pub name: String,
    pub state: State,
    pub password_hash: Option<String>,
    pub must_change: bool,
    /// The issuer outside that vouches for it.
    pub issuer: Option<String>,
    pub subject: Option<String>,
    pub created_at: Timestamp,
    pub last_seen_at: Option<Timestamp>,
}

/// A member of a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Member {
    /// The user's id.
    pub id: UserId,
    /// The e-mail, in lower case; null for people of an issuer outside who have none.
    #[schema(example = "anna@example.com")]
    pub email: Option<String>,
    /// The name in this tenant.
    pub name: String,
    /// The place in the lattice.
    pub role: Role,
    /// Capability roles.
    pub capabilities: Vec<String>,
    /// Whether the user may act in this tenant.
    pub state: State,
    /// Since when the user is a member.
    pub created_at: Timestamp,
    /// When the membership was last changed.
    pub updated_at: Timestamp,
    /// The account behind it, for those who manage the installation; absent for others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountView>,
    /// Counts its changes; the `ETag`.
    #[serde(skip)]
    pub version: i64,
}

/// An account, as those see it who manage the installation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AccountView {
    /// The tenant that it was made in.
    pub home_tenant_id: TenantId,
    /// Whether it may act anywhere.
    pub state: State,
    /// Whether it has a password.
    pub has_password: bool,
    /// Whether the password has to be changed first.
    pub must_change: bool,
    /// The issuer outside that vouches for it; null for a local account.
    pub issuer: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last used, to the minute.
    pub last_seen_at: Option<Timestamp>,
}

impl From<&Account> for AccountView {
    fn from(account: &Account) -> Self {
        Self {
            home_tenant_id: account.home,
            state: account.state,
            has_password: account.password_hash.is_some(),
            must_change: account.must_change,
            issuer: account.issuer.clone(),
            created_at: account.created_at,
            last_seen_at: account.last_seen_at,
        }
    }
}

/// A person to add to the tenant.
#[derive(Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewMember {
    /// The e-mail; the account that has it is added, or one is made.
    #[schema(min_length = 3, max_length = 254, example = "anna@example.com")]
    pub email: String,
    /// The name in this tenant; what is before the `@` when absent.
    #[schema(min_length = 1, max_length = 200, example = "Anna Nowak")]
    pub name: Option<String>,
    /// The place in the lattice; `viewer` when absent, and not above the caller's.
    pub role: Option<Role>,
    /// Capability roles, such as `sre` or `auditor`.
    #[serde(default)]
    #[schema(max_items = 64, example = json!(["sre"]))]
    pub capabilities: Vec<String>,
    /// A first password, of a new account only; needs the right `manage_tenants`.
    #[schema(min_length = 12, max_length = 256, format = Password)]
    pub password: Option<String>,
    /// Whether that password has to be changed at the first sign-in; true when absent.
    pub must_change: Option<bool>,
}

/// What to change of a member; what is absent stays.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MemberChange {
    /// The name in this tenant.
    #[schema(min_length = 1, max_length = 200, example = "Anna Nowak")]
    pub name: Option<String>,
    /// The place in the lattice, not above the caller's.
    pub role: Option<Role>,
    /// All capability roles.
    #[schema(max_items = 64, example = json!(["sre"]))]
    pub capabilities: Option<Vec<String>>,
    /// Whether the user may act in this tenant.
    pub state: Option<State>,
    /// Whether the account may act anywhere; needs the right `manage_tenants`.
    pub account_state: Option<State>,
}

/// Checks an e-mail address and folds it: one `@` with something on both sides, no spaces and no control characters. Whether
/// it exists is found out by whoever sends something there.
///
/// # Errors
/// `invalid_request` naming `email`.
pub fn fold_email(email: &str) -> Result<String> {
    let email = email.trim().to_lowercase();
    let plain = !email.contains(|c: char| c.is_whitespace() || c.is_control() || matches!(c, '<' | '>' | ',' | ';' | '"'));
    let halves = email.split_once('@').is_some_and(|(local, host)| !local.is_empty() && !host.is_empty() && !host.contains('@'));
    if plain && halves && email.len() <= MAX_EMAIL {
        return Ok(email);
    }
    Err(Error::field("email", "must be an e-mail address such as anna@example.com"))
}

/// Checks capability roles, sorts them and drops repeats.
///
/// # Errors
/// `invalid_request` naming `capabilities`: too many, too long, control characters or commas, or the name of a role of the lattice.
pub fn check_capabilities(names: Vec<String>) -> Result<Vec<String>> {
    let refuse = |what: String| Err(Error::field("capabilities", what));
    let mut names: Vec<String> = names.into_iter().map(|n| n.trim().to_owned()).collect();
    names.sort_unstable();
    names.dedup();
    if names.len() > MAX_CAPABILITIES {
        return refuse(format!("must be at most {MAX_CAPABILITIES}"));
    }
    for name in &names {
        if !(1..=MAX_CAPABILITY).contains(&name.chars().count()) || name.contains(|c: char| c.is_control() || c == ',') {
            return refuse(format!("must each be 1 to {MAX_CAPABILITY} characters without commas and control characters"));
        }
        if Role::of_name(name).is_some() || name == "none" {
            return refuse(format!("{name} is a role: give it as `role`"));
        }
    }
    Ok(names)
}

/// Refuses a change of somebody above the caller.
pub(crate) fn check_not_above(caller: &Principal, theirs: Role) -> Result<()> {
    if theirs <= caller.role {
        return Ok(());
    }
    let (theirs, own) = (theirs.as_str(), caller.role.as_str());
    Err(Error::forbidden(format!("this is a {theirs}, whom a {own} cannot change; ask a {theirs}")))
}

/// Refuses to give a role above the caller's.
pub(crate) fn check_may_give(caller: &Principal, role: Role) -> Result<()> {
    if role <= caller.role {
        return Ok(());
    }
    let (role, own) = (role.as_str(), caller.role.as_str());
    Err(Error::forbidden(format!("role: a {own} cannot make somebody a {role}; ask a {role}")))
}

/// Why the last administrator stays.
pub(crate) fn last_admin() -> Error {
    Error::new(code::INVALID_STATE, "this is the last active administrator of the installation; make somebody else admin first")
}

/// A role as stored.
pub(crate) fn stored_role(text: &str) -> Role {
    Role::of_name(text).unwrap_or(Role::None)
}
