//! The tables of requests and of the lines of exports.

use astrolabe_kernel::{
    Error, Id, Result, Timestamp, Tx, args,
    db::{FromRow, Row},
    jobs::{JobError, JobState},
    principal::TenantId,
};
use serde_json::Value;

use super::PrivacyRequest;

const COLUMNS: &str = "id, kind, person, requested_by, job_id, state, error_code, error_message, records, created_at, finished_at";

impl FromRow for PrivacyRequest {
    fn from_row(row: &Row) -> Result<Self> {
        let (kind, state): (String, String) = (row.get("kind")?, row.get("state")?);
        Ok(Self {
            id: row.id("id")?,
            kind: serde_json::from_value(kind.into()).map_err(Error::internal)?,
            person: row.get("person")?,
            requested_by: row.get("requested_by")?,
            job_id: row.id("job_id")?,
            state: JobState::parse(&state)?,
            error: JobError::of_row(row)?,
            records: row.json("records")?,
            created_at: row.time("created_at")?,
            finished_at: row.optional_time("finished_at")?,
        })
    }
}

/// Adds a request.
pub async fn insert(tx: &mut Tx, tenant: TenantId, r: &PrivacyRequest) -> Result<()> {
    tx.execute(
        "INSERT INTO privacy_requests (id, tenant_id, kind, person, requested_by, job_id, state, records, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        args![r.id, tenant, r.kind.as_str(), &r.person, &r.requested_by, r.job_id, r.state.as_str(), &r.records, r.created_at],
    )
    .await?;
    Ok(())
}

/// One request.
pub async fn get(tx: &mut Tx, tenant: TenantId, id: Id<PrivacyRequest>) -> Result<Option<PrivacyRequest>> {
    tx.optional(format!("SELECT {COLUMNS} FROM privacy_requests WHERE tenant_id = $1 AND id = $2"), args![tenant, id]).await
}

/// Requests, newest first, behind the cursor; up to `limit + 1` rows.
pub async fn page(tx: &mut Tx, tenant: TenantId, after: &str, limit: i64) -> Result<Vec<PrivacyRequest>> {
    tx.all(
        format!("SELECT {COLUMNS} FROM privacy_requests WHERE tenant_id = $1 AND ($2 = '' OR id < $2) ORDER BY id DESC LIMIT $3"),
        args![tenant, after, limit + 1],
    )
    .await
}

/// Writes where a request stands.
pub async fn set_state(
    tx: &mut Tx,
    tenant: TenantId,
    id: Id<PrivacyRequest>,
    state: JobState,
    error: Option<&JobError>,
    now: Timestamp,
) -> Result<()> {
    tx.execute(
        "UPDATE privacy_requests SET state = $1, error_code = $2, error_message = $3, finished_at = $4 WHERE tenant_id = $5 AND id = $6",
        args![state.as_str(), error.map(|e| e.code.clone()), error.map(|e| e.message.clone()), state.is_over().then_some(now), tenant, id],
    )
    .await?;
    Ok(())
}

/// Writes how many records of each sort there were.
pub async fn set_records(tx: &mut Tx, tenant: TenantId, id: Id<PrivacyRequest>, records: &Value) -> Result<()> {
    tx.execute("UPDATE privacy_requests SET records = $1 WHERE tenant_id = $2 AND id = $3", args![records, tenant, id]).await?;
    Ok(())
}

/// Removes a request's lines.
pub async fn clear(tx: &mut Tx, tenant: TenantId, id: Id<PrivacyRequest>) -> Result<()> {
    tx.execute("DELETE FROM privacy_lines WHERE tenant_id = $1 AND request_id = $2", args![tenant, id]).await?;
    Ok(())
}

/// Adds a line.
pub async fn add_line(tx: &mut Tx, tenant: TenantId, id: Id<PrivacyRequest>, ordinal: i64, line: &Value) -> Result<()> {
    tx.execute(
        "INSERT INTO privacy_lines (request_id, ordinal, tenant_id, line) VALUES ($1, $2, $3, $4)",
        args![id, ordinal, tenant, line],
    )
    .await?;
    Ok(())
}

/// Lines from a place on.
pub async fn lines(tx: &mut Tx, tenant: TenantId, id: Id<PrivacyRequest>, from: i64, limit: i64) -> Result<Vec<String>> {
    tx.all(
        "SELECT line FROM privacy_lines WHERE tenant_id = $1 AND request_id = $2 AND ordinal >= $3 ORDER BY ordinal LIMIT $4",
        args![tenant, id, from, limit],
    )
    .await
}

/// Takes a person out of every request, with the exports of its data; what it asked for itself stays under another name.
pub async fn forget(tx: &mut Tx, tenant: TenantId, person: &str, name: &str) -> Result<()> {
    let asked = "UPDATE privacy_requests SET requested_by = $3 WHERE tenant_id = $1 AND requested_by = $2";
    tx.execute(asked, args![tenant, person, name]).await?;
    tx.execute(
        "DELETE FROM privacy_lines WHERE tenant_id = $1 AND request_id IN (SELECT id FROM privacy_requests WHERE tenant_id = $1 AND person = $2)",
        args![tenant, person],
    )
    .await?;
    tx.execute("UPDATE privacy_requests SET person = '' WHERE tenant_id = $1 AND person = $2", args![tenant, person]).await?;
    Ok(())
}

/// Removes the lines and the person of exports that ended before a moment. Returns of how many requests.
pub async fn prune(tx: &mut Tx, before: Timestamp) -> Result<u64> {
    let old = "SELECT id FROM privacy_requests WHERE kind = 'export' AND person <> '' AND finished_at < $1";
    tx.execute(format!("DELETE FROM privacy_lines WHERE request_id IN ({old})"), args![before]).await?;
    tx.execute("UPDATE privacy_requests SET person = '' WHERE kind = 'export' AND person <> '' AND finished_at < $1", args![before]).await
}
