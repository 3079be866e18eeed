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
            updated_at: row.optional_time("updated_at")?,
        })
    }
}

/// A tenant's settings; its name is that of the tenant itself. `None` for a tenant that is not there.
pub async fn get(tx: &mut Tx, tenant: TenantId) -> Result<Option<Stored>> {
    tx.optional(
        "SELECT t.name AS name, COALESCE(s.time_zone, 'UTC') AS time_zone, COALESCE(s.flags, '{}') AS flags, COALESCE(s.version, 0) AS version,
                s.updated_at AS updated_at
         FROM tenants t LEFT JOIN tenant_settings s ON s.tenant_id = t.id WHERE t.id = $1",
        args![tenant],
    )
    .await
}

/// Writes a tenant's row over the one of the version that was read. Returns whether that was still there.
pub async fn put(tx: &mut Tx, tenant: TenantId, s: &Stored, before: i64, now: Timestamp) -> Result<bool> {
    let written = tx
        .execute(
            "INSERT INTO tenant_settings (tenant_id, time_zone, flags, version, updated_at) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (tenant_id) DO UPDATE SET time_zone = $2, flags = $3, version = $4, updated_at = $5
             WHERE tenant_settings.version = $6",
            args![tenant, &s.time_zone, serde_json::json!(s.flags), s.version, now, before],
        )
        .await?;
    Ok(written == 1)
}
