//! The table of tenants.

use astrolabe_kernel::{
    Result, Tx, args,
    db::{FromRow, Row},
    principal::TenantId,
};

use super::{State, Tenant};

const COLUMNS: &str = "id, slug, name, state, version, created_at, updated_at";

impl FromRow for Tenant {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self {
            id: row.id("id")?,
            slug: row.get("slug")?,
            name: row.get("name")?,
            state: State::of_stored(&row.get::<String>("state")?),
            version: row.get("version")?,
            created_at: row.time("created_at")?,
            updated_at: row.time("updated_at")?,
        })
    }
}

pub(crate) async fn insert(tx: &mut Tx, tenant: &Tenant) -> Result<()> {
    tx.execute(
        "INSERT INTO tenants (id, slug, name, state, version, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $6)",
        args![tenant.id, &tenant.slug, &tenant.name, tenant.state.as_str(), tenant.version, tenant.created_at],
    )
    .await?;
    Ok(())
}

pub(crate) async fn update(tx: &mut Tx, tenant: &Tenant) -> Result<()> {
    tx.execute(
        "UPDATE tenants SET name = $2, state = $3, version = $4, updated_at = $5 WHERE id = $1",
        args![tenant.id, &tenant.name, tenant.state.as_str(), tenant.version, tenant.updated_at],
    )
    .await?;
    Ok(())
}

pub(crate) async fn get(tx: &mut Tx, id: TenantId) -> Result<Option<Tenant>> {
    tx.optional(format!("SELECT {COLUMNS} FROM tenants WHERE id = $1"), args![id]).await
}

/// As [`get`], and nobody else may change it until the transaction ends.
pub(crate) async fn lock(tx: &mut Tx, id: TenantId) -> Result<Option<Tenant>> {
    tx.optional(format!("SELECT {COLUMNS} FROM tenants WHERE id = $1{}", tx.locking()), args![id]).await
}

pub(crate) async fn by_slug(tx: &mut Tx, slug: &str) -> Result<Option<Tenant>> {
    tx.optional(format!("SELECT {COLUMNS} FROM tenants WHERE slug = $1"), args![slug]).await
}

/// Up to `limit + 1` tenants behind the cursor, in the order of their ids.
pub(crate) async fn page(tx: &mut Tx, after: &str, limit: i64) -> Result<Vec<Tenant>> {
    tx.all(format!("SELECT {COLUMNS} FROM tenants WHERE id > $1 ORDER BY id LIMIT $2"), args![after, limit + 1]).await
}

/// The active tenants of a user's active memberships, by slug.
pub(crate) async fn of_user(tx: &mut Tx, user: &str, limit: i64) -> Result<Vec<Tenant>> {
    tx.all(
        "SELECT t.id, t.slug, t.name, t.state, t.version, t.created_at, t.updated_at FROM tenants t
             JOIN memberships m ON m.tenant_id = t.id
             WHERE m.user_id = $1 AND m.state = 'active' AND t.state = 'active' ORDER BY t.slug LIMIT $2",
        args![user, limit],
    )
    .await
}
