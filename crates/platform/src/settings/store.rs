//! The table of settings.

use astrolabe_kernel::{
    Result, Timestamp, Tx, args,
    db::{FromRow, Row},
    principal::TenantId,
};

use super::Stored;

impl FromRow for Stored {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self {
            name: row.get("name")?,
            time_zone: row.get("time_zone")?,
            flags: row.json("flags")?,
            version: row.get("version")?,
            updated_at: Some(row.time("updated_at")?),
        })
    }
}

/// A tenant's row, when something was ever set.
pub async fn get(tx: &mut Tx, tenant: TenantId) -> Result<Option<Stored>> {
    tx.optional("SELECT name, time_zone, flags, version, updated_at FROM tenant_settings WHERE tenant_id = $1", args![tenant]).await
}

/// Writes a tenant's row over the one of the version that was read. Returns whether that was still there.
pub async fn put(tx: &mut Tx, tenant: TenantId, s: &Stored, before: i64, now: Timestamp) -> Result<bool> {
    let written = tx
        .execute(
            "INSERT INTO tenant_settings (tenant_id, name, time_zone, flags, version, updated_at) VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (tenant_id) DO UPDATE SET name = $2, time_zone = $3, flags = $4, version = $5, updated_at = $6
             WHERE tenant_settings.version = $7",
            args![tenant, &s.name, &s.time_zone, serde_json::json!(s.flags), s.version, now, before],
        )
        .await?;
    Ok(written == 1)
}
