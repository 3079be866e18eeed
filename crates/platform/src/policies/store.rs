//! The tables of policies.

use astrolabe_kernel::{
    Id, Result, Tx, args,
    db::{FromRow, Row},
    principal::TenantId,
};

use super::Policy;

const COLUMNS: &str = "id, name, description, text, enabled, version, created_by, created_at, updated_at";

impl FromRow for Policy {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self {
            id: row.id("id")?,
            name: row.get("name")?,
            description: row.get("description")?,
            text: row.get("text")?,
            enabled: row.get("enabled")?,
            version: row.get("version")?,
            created_by: row.get("created_by")?,
            created_at: row.time("created_at")?,
            updated_at: row.time("updated_at")?,
        })
    }
}

/// How often the tenant's policies have changed; 0 when they never have.
pub async fn version(tx: &mut Tx, tenant: TenantId) -> Result<i64> {
    let version = tx.optional("SELECT version FROM policy_versions WHERE tenant_id = $1", args![tenant]).await?;
    Ok(version.unwrap_or(0))
}

/// Notes that the tenant's policies change. Whoever changes them calls it first, so that two wait for each other.
pub async fn touch(tx: &mut Tx, tenant: TenantId) -> Result<()> {
    tx.execute(
        "INSERT INTO policy_versions (tenant_id, version) VALUES ($1, 1)
         ON CONFLICT (tenant_id) DO UPDATE SET version = policy_versions.version + 1",
        args![tenant],
    )
    .await?;
    Ok(())
}

/// How many policies the tenant has.
pub async fn count(tx: &mut Tx, tenant: TenantId) -> Result<i64> {
    tx.one("SELECT COUNT(*) FROM policies WHERE tenant_id = $1", args![tenant]).await
}

/// The policies in force, oldest first.
pub async fn enabled(tx: &mut Tx, tenant: TenantId) -> Result<Vec<Policy>> {
    tx.all(format!("SELECT {COLUMNS} FROM policies WHERE tenant_id = $1 AND enabled ORDER BY id"), args![tenant]).await
}

/// One policy.
pub async fn get(tx: &mut Tx, tenant: TenantId, id: Id<Policy>) -> Result<Option<Policy>> {
    tx.optional(format!("SELECT {COLUMNS} FROM policies WHERE tenant_id = $1 AND id = $2"), args![tenant, id]).await
}

/// The tenant's policies, newest first, after the cursor; up to `limit + 1` rows.
pub async fn page(tx: &mut Tx, tenant: TenantId, after: &str, limit: i64) -> Result<Vec<Policy>> {
    tx.all(
        format!("SELECT {COLUMNS} FROM policies WHERE tenant_id = $1 AND ($2 = '' OR id < $2) ORDER BY id DESC LIMIT $3"),
        args![tenant, after, limit + 1],
    )
    .await
}

/// Adds a policy.
pub async fn insert(tx: &mut Tx, tenant: TenantId, p: &Policy) -> Result<()> {
    tx.execute(
        "INSERT INTO policies (id, tenant_id, name, description, text, enabled, version, created_by, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        args![p.id, tenant, &p.name, &p.description, &p.text, p.enabled, p.version, &p.created_by, p.created_at, p.updated_at],
    )
    .await?;
    Ok(())
}

/// Writes a policy's changeable fields and its version.
pub async fn update(tx: &mut Tx, tenant: TenantId, p: &Policy) -> Result<()> {
    tx.execute(
        "UPDATE policies SET name = $1, description = $2, text = $3, enabled = $4, version = $5, updated_at = $6 WHERE tenant_id = $7 AND id = $8",
        args![&p.name, &p.description, &p.text, p.enabled, p.version, p.updated_at, tenant, p.id],
    )
    .await?;
    Ok(())
}

/// Removes a policy.
pub async fn delete(tx: &mut Tx, tenant: TenantId, id: Id<Policy>) -> Result<()> {
    tx.execute("DELETE FROM policies WHERE tenant_id = $1 AND id = $2", args![tenant, id]).await?;
    Ok(())
}
