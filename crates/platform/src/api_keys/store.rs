//! The statements on the table of API keys.

use astrolabe_kernel::{
    Id, Result, Timestamp, Tx, args,
    db::{FromRow, Row},
    principal::{Right, Rights, TenantId},
};

use super::{ApiKey, Usable};

const COLUMNS: &str = "id, name, owner, hint, scopes, created_at, expires_at, last_used_at, revoked_at";

fn scopes(row: &Row) -> Result<Option<Vec<Right>>> {
    if row.is_null("scopes")? { Ok(None) } else { row.json("scopes").map(Some) }
}

impl FromRow for ApiKey {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self {
            id: row.id("id")?,
            name: row.get("name")?,
            owner: row.get("owner")?,
            hint: row.get("hint")?,
            scopes: scopes(row)?,
            created_at: row.time("created_at")?,
            expires_at: row.optional_time("expires_at")?,
            last_used_at: row.optional_time("last_used_at")?,
            revoked_at: row.optional_time("revoked_at")?,
        })
    }
}

impl FromRow for Usable {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self {
            id: row.id("id")?,
            tenant: row.id("tenant_id")?,
            owner: row.get("owner")?,
            scope: scopes(row)?.map_or(Rights::ALL, |s| s.into_iter().collect()),
            last_used_at: row.optional_time("last_used_at")?,
            expires_at: row.optional_time("expires_at")?,
        })
    }
}

/// Adds a key under the hash of its secret.
pub async fn insert(tx: &mut Tx, tenant: TenantId, key: &ApiKey, hash: &str) -> Result<()> {
    let scopes = key.scopes.as_ref().map(|s| serde_json::json!(s).to_string());
    tx.execute(
        "INSERT INTO api_keys (id, tenant_id, owner, name, hash, hint, scopes, created_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        args![key.id, tenant, &key.owner, &key.name, hash, &key.hint, scopes, key.created_at, key.expires_at],
    )
    .await?;
    Ok(())
}

/// How many keys an owner has that can be used.
pub async fn count_live(tx: &mut Tx, tenant: TenantId, owner: &str, now: Timestamp) -> Result<i64> {
    tx.one(
        "SELECT COUNT(*) FROM api_keys WHERE tenant_id = $1 AND owner = $2 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $3)",
        args![tenant, owner, now],
    )
    .await
}

/// One key.
pub async fn get(tx: &mut Tx, tenant: TenantId, id: Id<ApiKey>) -> Result<Option<ApiKey>> {
    tx.optional(format!("SELECT {COLUMNS} FROM api_keys WHERE tenant_id = $1 AND id = $2"), args![tenant, id]).await
}

/// Keys of one owner, or of everybody (empty), newest first, after the cursor; up to `limit + 1` rows.
pub async fn page(tx: &mut Tx, tenant: TenantId, owner: &str, after: &str, limit: i64) -> Result<Vec<ApiKey>> {
    tx.all(
        format!(
            "SELECT {COLUMNS} FROM api_keys WHERE tenant_id = $1 AND ($2 = '' OR owner = $2) AND ($3 = '' OR id < $3)
             ORDER BY id DESC LIMIT $4"
        ),
        args![tenant, owner, after, limit + 1],
    )
    .await
}

/// Marks a key as revoked.
pub async fn revoke(tx: &mut Tx, tenant: TenantId, id: Id<ApiKey>, now: Timestamp) -> Result<()> {
    tx.execute("UPDATE api_keys SET revoked_at = $1 WHERE tenant_id = $2 AND id = $3 AND revoked_at IS NULL", args![now, tenant, id])
        .await?;
    Ok(())
}

/// The key under a hash, of whatever tenant, unless it is revoked or over: only from it is the tenant known.
pub async fn usable(tx: &mut Tx, hash: &str, now: Timestamp) -> Result<Option<Usable>> {
    tx.optional(
        "SELECT id, tenant_id, owner, scopes, last_used_at, expires_at FROM api_keys
         WHERE hash = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $2)",
        args![hash, now],
    )
    .await
}

/// Notes the last use of a key.
pub async fn touch(tx: &mut Tx, tenant: TenantId, id: Id<ApiKey>, now: Timestamp) -> Result<()> {
    tx.execute("UPDATE api_keys SET last_used_at = $1 WHERE tenant_id = $2 AND id = $3", args![now, tenant, id]).await?;
    Ok(())
}

/// A person's keys in the order of their making, behind an id.
pub async fn of_person(tx: &mut Tx, tenant: TenantId, owner: &str, after: &str, limit: i64) -> Result<Vec<ApiKey>> {
    tx.all(
        format!("SELECT {COLUMNS} FROM api_keys WHERE tenant_id = $1 AND owner = $2 AND ($3 = '' OR id > $3) ORDER BY id LIMIT $4"),
        args![tenant, owner, after, limit],
    )
    .await
}

/// Removes a person's keys. Returns how many they were.
pub async fn delete_of_person(tx: &mut Tx, tenant: TenantId, owner: &str) -> Result<u64> {
    tx.execute("DELETE FROM api_keys WHERE tenant_id = $1 AND owner = $2", args![tenant, owner]).await
}
