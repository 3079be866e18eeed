//! API keys: how programs sign in. A key acts as the person who made it, never beyond that person's present roles, and only within the rights
//! that it was made for.
//!
//! A key is `astro_` and 32 random bytes. It is shown once; only its SHA-256 is stored, which for values of that entropy is as good as a slow
//! hash and takes a microsecond.

pub mod personal;
pub mod routes;
mod store;
#[cfg(test)]
mod tests;

use std::time::Duration;

use astrolabe_kernel::{
    Error, Id, Kernel, Principal, Result, Timestamp,
    audit::Record,
    config::Secret,
    error::code,
    http::Caller,
    id::Named,
    principal::{Right, Rights},
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use crate::sessions::digest;

/// Keys that one person may have at the same time in a tenant.
pub const MAX_KEYS: i64 = 100;
/// How long a key may be made for at most, in days.
pub const MAX_DAYS: u32 = 3660;
/// How precisely the last use of a key is kept: writing it with every request would make every read a write.
const TOUCH: Duration = Duration::from_secs(60);

/// A key, as its owner and those who manage keys see it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ApiKey {
    /// Its id, `key_…`.
    pub id: Id<ApiKey>,
    /// What it is for, for people.
    pub name: String,
    /// Whom it acts as.
    #[schema(example = "user:local-admin")]
    pub owner: String,
    /// Its last four characters.
    pub hint: String,
    /// The rights that it was made for; null for all of its owner's.
    #[schema(value_type = Option<Vec<Right>>)]
    pub scopes: Option<Vec<Right>>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends; null for never.
    pub expires_at: Option<Timestamp>,
    /// When it was last used, to the minute; null for never.
    pub last_used_at: Option<Timestamp>,
    /// When it was revoked; null while it can be used.
    pub revoked_at: Option<Timestamp>,
}

impl Named for ApiKey {
    const PREFIX: &'static str = "key";
}

/// A key to make.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "nightly ingest", "scopes": ["read_knowledge", "write_knowledge"], "expires_in_days": 90}))]
pub struct NewApiKey {
    /// What it is for, for people.
    #[schema(min_length = 1, max_length = 100, pattern = "^[^\\u0000]*$")]
    pub name: String,
    /// The rights that it is for; all of the owner's when absent or null.
    #[serde(default)]
    #[schema(min_items = 1, max_items = 64)]
    pub scopes: Option<Vec<Right>>,
    /// Days until it ends; never when absent or null.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 3660)]
    pub expires_in_days: Option<u32>,
}

impl NewApiKey {
    /// Checks the fields.
    ///
    /// # Errors
    /// `invalid_request` naming the first wrong field.
    pub fn validate(&self) -> Result<()> {
        if self.name.trim().is_empty() || self.name.chars().count() > 100 {
            return Err(Error::field("name", "must be 1 to 100 characters"));
        }
        if self.scopes.as_ref().is_some_and(|s| s.is_empty() || s.len() > 64) {
            return Err(Error::field("scopes", "must be 1 to 64 rights, or null for all that the owner has"));
        }
        if self.expires_in_days.is_some_and(|days| !(1..=MAX_DAYS).contains(&days)) {
            return Err(Error::field("expires_in_days", format!("must be between 1 and {MAX_DAYS}")));
        }
        Ok(())
    }
}

/// A key that can be used, as sign-in needs it.
#[derive(Debug, Clone)]
pub(crate) struct Usable {
    pub id: Id<ApiKey>,
    pub tenant: astrolabe_kernel::principal::TenantId,
    pub owner: String,
    pub scope: Rights,
    pub last_used_at: Option<Timestamp>,
    pub expires_at: Option<Timestamp>,
}

impl Usable {
    /// When it ends by itself.
    pub fn until(&self) -> Timestamp {
        self.expires_at.unwrap_or(Timestamp::from_micros(i64::MAX))
    }

    /// Its owner, narrowed to what the key is for.
    pub fn narrow(&self, owner: Principal) -> Principal {
        Principal { scope: self.scope.and(owner.scope), credential: format!("key:{}", self.id), ..owner }
    }
}

/// Makes a key for the caller and records it. Returns the key with its secret, which is not kept.
///
/// # Errors
/// `invalid_request` naming a wrong field; `insufficient_scope` when the caller's own key does not reach as far as the new one would;
/// `conflict` when the caller has [`MAX_KEYS`] already.
pub async fn make(kernel: &Kernel, caller: &Caller, new: &NewApiKey) -> Result<(ApiKey, Secret)> {
    new.validate()?;
    let Principal { tenant, id: owner, scope, .. } = &caller.principal;
    let asked = new.scopes.as_ref().map_or(Rights::ALL, |s| s.iter().copied().collect());
    if asked.and(*scope) != asked {
        return Err(Error::new(code::INSUFFICIENT_SCOPE, "a key can make only keys for the rights that it was made for itself"));
    }
    let secret = format!("astro_{}", kernel.random.token(32));
    let now = kernel.now();
    let key = ApiKey {
        id: kernel.id(),
        name: new.name.trim().to_owned(),
        owner: owner.clone(),
        hint: secret[secret.len() - 4..].to_owned(),
        scopes: new.scopes.clone(),
        created_at: now,
        expires_at: new.expires_in_days.map(|days| now.plus(Duration::from_secs(u64::from(days) * 24 * 3600))),
        last_used_at: None,
        revoked_at: None,
    };
    let mut tx = kernel.db.write(*tenant).await?;
    if store::count_live(&mut tx, *tenant, owner, now).await? >= MAX_KEYS {
        return Err(Error::new(code::CONFLICT, format!("{MAX_KEYS} keys are there already: revoke one that is not needed")));
    }
    store::insert(&mut tx, *tenant, &key, &hex::encode(digest(&secret))).await?;
    let payload = json!({"name": key.name, "scopes": key.scopes, "expires_at": key.expires_at});
    tx.audit(kernel, Record::of(caller, "api_keys.create", key.id, payload)).await?;
    tx.commit().await?;
    Ok((key, Secret::new(secret)))
}

/// Revokes a key of the caller's, or anybody's in the tenant for those who manage keys. A key that is revoked already stays as it is.
///
/// # Errors
/// `not_found` when there is none that the caller may see.
pub async fn revoke(kernel: &Kernel, caller: &Caller, id: Id<ApiKey>) -> Result<ApiKey> {
    let tenant = caller.principal.tenant;
    let mut tx = kernel.db.write(tenant).await?;
    let mut key = visible(caller, store::get(&mut tx, tenant, id).await?)?;
    if key.revoked_at.is_none() {
        key.revoked_at = Some(kernel.now());
        store::revoke(&mut tx, tenant, id, kernel.now()).await?;
        tx.audit(kernel, Record::of(caller, "api_keys.revoke", id, json!({"name": key.name, "owner": key.owner}))).await?;
    }
    tx.commit().await?;
    Ok(key)
}

/// The key if the caller may see it: its owner, or who manages keys.
fn visible(caller: &Caller, key: Option<ApiKey>) -> Result<ApiKey> {
    let may = |k: &ApiKey| k.owner == caller.principal.id || caller.principal.require(Right::ManageKeys).is_ok();
    key.filter(may).ok_or_else(|| Error::not_found("API key"))
}

/// The key that a secret opens, when it can be used now; its last use is noted.
///
/// # Errors
/// When the database cannot be read.
pub(crate) async fn find(kernel: &Kernel, hash: &str) -> Result<Option<Usable>> {
    let now = kernel.now();
    let Some(key) = store::usable(&mut kernel.db.read_all().await?, hash, now).await? else { return Ok(None) };
    if key.last_used_at.is_none_or(|last| now.since(last) > TOUCH) {
        let mut tx = kernel.db.write(key.tenant).await?;
        store::touch(&mut tx, key.tenant, key.id, now).await?;
        tx.commit().await?;
    }
    Ok(Some(key))
}
