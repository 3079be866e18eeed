//! The table of uploads.

use astrolabe_kernel::{
    Error, Id, Result, Timestamp, Tx, args,
    config::Secret,
    db::{FromRow, Row},
    principal::TenantId,
};

use super::{Found, Upload, UploadState, part_count};
use crate::{documents::Document, sources::Source};

const COLUMNS: &str =
    "id, tenant_id, source_id, name, size, sha256, part_size, tags, secret, state, document_id, created_at, expires_at, handle";

impl FromRow for Found {
    fn from_row(row: &Row) -> Result<Self> {
        let (size, part_size) = (row.get("size")?, row.get("part_size")?);
        let upload = Upload {
            id: row.id("id")?,
            source_id: row.id("source_id")?,
            name: row.get("name")?,
            size,
            sha256: row.get("sha256")?,
            part_size,
            part_count: part_count(size, part_size),
            tags: row.json("tags")?,
            state: match row.get::<String>("state")?.as_str() {
                "open" => UploadState::Open,
                "complete" => UploadState::Complete,
                other => return Err(Error::internal(format_args!("{other:?} is no state of an upload"))),
            },
            document_id: row.optional_id("document_id")?,
            created_at: row.time("created_at")?,
            expires_at: row.time("expires_at")?,
        };
        Ok(Self { upload, handle: row.get("handle")?, secret: Secret::new(row.get::<String>("secret")?) })
    }
}

/// One upload.
pub async fn get(tx: &mut Tx, tenant: TenantId, id: Id<Upload>) -> Result<Option<Found>> {
    tx.optional(format!("SELECT {COLUMNS} FROM uploads WHERE tenant_id = $1 AND id = $2"), args![tenant, id]).await
}

/// One upload of whatever tenant, for an address that proves itself by its signature.
pub async fn find(tx: &mut Tx, id: Id<Upload>) -> Result<Option<Found>> {
    tx.optional(format!("SELECT {COLUMNS} FROM uploads WHERE id = $1"), args![id]).await
}

/// One upload, to be changed in this transaction.
pub async fn lock(tx: &mut Tx, tenant: TenantId, id: Id<Upload>) -> Result<Option<Upload>> {
    let locking = tx.locking();
    let sql = format!("SELECT {COLUMNS} FROM uploads WHERE tenant_id = $1 AND id = $2{locking}");
    Ok(tx.optional::<Found>(sql, args![tenant, id]).await?.map(|f| f.upload))
}

/// The open uploads of a source by age, oldest first, after the cursor; up to `limit + 1` rows.
pub async fn page(tx: &mut Tx, tenant: TenantId, source: Id<Source>, after: &str, limit: i64) -> Result<Vec<Upload>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM uploads WHERE tenant_id = $1 AND source_id = $2 AND state = 'open' AND id > $3 ORDER BY id LIMIT $4"
    );
    let found: Vec<Found> = tx.all(sql, args![tenant, source, after, limit + 1]).await?;
    Ok(found.into_iter().map(|f| f.upload).collect())
}

/// How many uploads of a tenant are open.
pub async fn open_uploads(tx: &mut Tx, tenant: TenantId) -> Result<i64> {
    tx.one("SELECT COUNT(*) FROM uploads WHERE tenant_id = $1 AND state = 'open'", args![tenant]).await
}

/// Adds an upload.
pub async fn insert(tx: &mut Tx, tenant: TenantId, Found { upload, handle, secret }: &Found) -> Result<()> {
    tx.execute(
        format!("INSERT INTO uploads ({COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'open', NULL, $10, $11, $12)"),
        args![
            upload.id,
            tenant,
            upload.source_id,
            &upload.name,
            upload.size,
            &upload.sha256,
            upload.part_size,
            serde_json::json!(upload.tags),
            secret.expose(),
            upload.created_at,
            upload.expires_at,
            handle
        ],
    )
    .await?;
    Ok(())
}

/// Ends an upload with its document.
pub async fn complete(tx: &mut Tx, tenant: TenantId, id: Id<Upload>, document: Id<Document>, until: Timestamp) -> Result<()> {
    let sql = "UPDATE uploads SET state = 'complete', document_id = $3, expires_at = $4 WHERE tenant_id = $1 AND id = $2";
    tx.execute(sql, args![tenant, id, document, until]).await?;
    Ok(())
}

/// Removes an upload that is open. Returns whether it was there.
pub async fn delete_open(tx: &mut Tx, tenant: TenantId, id: Id<Upload>) -> Result<bool> {
    let sql = "DELETE FROM uploads WHERE tenant_id = $1 AND id = $2 AND state = 'open'";
    Ok(tx.execute(sql, args![tenant, id]).await? > 0)
}

/// Removes the uploads of a source that goes.
pub async fn delete_of_source(tx: &mut Tx, tenant: TenantId, source: Id<Source>) -> Result<()> {
    tx.execute("DELETE FROM uploads WHERE tenant_id = $1 AND source_id = $2", args![tenant, source]).await?;
    Ok(())
}

/// Removes the uploads of all tenants that are past their time. Returns which.
pub async fn delete_expired(tx: &mut Tx, now: Timestamp) -> Result<Vec<Found>> {
    tx.all(format!("DELETE FROM uploads WHERE expires_at <= $1 RETURNING {COLUMNS}"), args![now]).await
}
