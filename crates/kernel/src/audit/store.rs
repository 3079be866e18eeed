//! The audit tables' statements.

use super::{Entry, Filter};
use crate::{
    Result, Timestamp, Tx, args,
    db::{Arg, Dialect, FromRow, Row},
    principal::TenantId,
};

pub(super) const COLUMNS: &str = "id, tenant_id, seq, actor, action, subject, outcome, trace_id, request_id, created_at, payload, payload_salt, payload_hash, \
                       prev_hash, hash";

impl FromRow for Entry {
    fn from_row(row: &Row) -> Result<Self> {
        let payload: Option<String> = row.get("payload")?;
        Ok(Self {
            id: row.id("id")?,
            tenant_id: row.id("tenant_id")?,
            seq: row.get("seq")?,
            actor: row.get("actor")?,
            action: row.get("action")?,
            subject: row.get("subject")?,
            outcome: row.get("outcome")?,
            trace_id: row.get("trace_id")?,
            request_id: row.get("request_id")?,
            created_at: row.time("created_at")?,
            // A payload that is no JSON any more was tampered with: it is shown as text, and the verifier finds its hash wrong.
            raw_payload: payload.clone(),
            payload: payload.map(|p| serde_json::from_str(&p).unwrap_or(serde_json::Value::String(p))),
            payload_salt: row.get("payload_salt")?,
            payload_hash: row.get("payload_hash")?,
            prev_hash: row.get("prev_hash")?,
            hash: row.get("hash")?,
        })
    }
}

/// The head of a tenant's chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    pub tenant: TenantId,
    pub seq: i64,
    pub hash: String,
    pub archived_seq: i64,
}

impl FromRow for Head {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self { tenant: row.id("tenant_id")?, seq: row.get("seq")?, hash: row.get("hash")?, archived_seq: row.get("archived_seq")? })
    }
}

/// A signed head.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Checkpoint {
    /// The tenant.
    pub tenant_id: TenantId,
    /// The entry it signs.
    pub seq: i64,
    /// That entry's hash.
    pub hash: String,
    /// The key that signed.
    pub key_id: String,
    /// Ed25519 over [`super::chain::checkpoint_message`], in hexadecimal.
    pub signature: String,
}

impl FromRow for Checkpoint {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self {
            tenant_id: row.id("tenant_id")?,
            seq: row.get("seq")?,
            hash: row.get("hash")?,
            key_id: row.get("key_id")?,
            signature: row.get("signature")?,
        })
    }
}

impl Tx {
    /// A tenant's entries that a filter lets through, in its order, behind the cursor (an id, or empty); up to `limit + 1` rows.
    pub async fn audit_entries(&mut self, tenant: TenantId, filter: &Filter, after: &str, limit: i64) -> Result<Vec<Entry>> {
        let mut args = vec![Arg::from(tenant)];
        let mut conditions = filter.conditions(&mut args);
        let (beyond, order) = if filter.oldest_first { (">", "ASC") } else { ("<", "DESC") };
        if !after.is_empty() {
            args.push(Arg::from(after));
            conditions.push_str(&format!(" AND id {beyond} ${}", args.len()));
        }
        args.push(Arg::from(limit + 1));
        let place = args.len();
        self.all(format!("SELECT {COLUMNS} FROM audit_entries WHERE tenant_id = $1{conditions} ORDER BY id {order} LIMIT ${place}"), &args)
            .await
    }

    /// How many of a tenant's entries wait for their seal.
    pub(super) async fn audit_waiting(&mut self, tenant: TenantId) -> Result<i64> {
        self.one("SELECT COUNT(*) FROM audit_entries WHERE tenant_id = $1 AND seq IS NULL", args![tenant]).await
    }

    /// Whether any entry waits for its seal.
    pub(super) async fn audit_unsealed(&mut self) -> Result<bool> {
        let id: Option<String> = self.optional("SELECT id FROM audit_entries WHERE seq IS NULL LIMIT 1", &[]).await?;
        Ok(id.is_some())
    }

    /// Entries that wait for their seal, oldest first.
    pub(super) async fn audit_to_seal(&mut self, limit: i64) -> Result<Vec<Entry>> {
        self.all(format!("SELECT {COLUMNS} FROM audit_entries WHERE seq IS NULL ORDER BY created_at, id LIMIT $1"), args![limit]).await
    }

    /// Takes the one lock that sealers of all processes share; SQLite's single writer is one already.
    pub(super) async fn audit_lock(&mut self) -> Result<()> {
        if self.dialect() == Dialect::Postgres {
            self.execute("LOCK TABLE audit_chains IN EXCLUSIVE MODE", &[]).await?;
        }
        Ok(())
    }

    /// The head of a tenant's chain.
    pub(super) async fn audit_head(&mut self, tenant: TenantId) -> Result<Option<Head>> {
        self.optional("SELECT tenant_id, seq, hash, archived_seq FROM audit_chains WHERE tenant_id = $1", args![tenant]).await
    }

    /// Every head.
    pub(super) async fn audit_heads(&mut self) -> Result<Vec<Head>> {
        self.all("SELECT tenant_id, seq, hash, archived_seq FROM audit_chains ORDER BY tenant_id", &[]).await
    }

    /// Links an entry.
    pub(super) async fn audit_link(&mut self, entry: &Entry, seq: i64, prev_hash: &str, hash: &str) -> Result<()> {
        self.execute("UPDATE audit_entries SET seq = $1, prev_hash = $2, hash = $3 WHERE id = $4", args![seq, prev_hash, hash, entry.id])
            .await?;
        Ok(())
    }

    /// Moves a head on and signs it.
    pub(super) async fn audit_checkpoint(&mut self, checkpoint: &Checkpoint, now: Timestamp) -> Result<()> {
        self.execute(
            "INSERT INTO audit_chains (tenant_id, seq, hash, archived_seq) VALUES ($1, $2, $3, 0)
             ON CONFLICT (tenant_id) DO UPDATE SET seq = $2, hash = $3",
            args![checkpoint.tenant_id, checkpoint.seq, &checkpoint.hash],
        )
        .await?;
        self.execute(
            "INSERT INTO audit_checkpoints (tenant_id, seq, hash, key_id, signature, created_at) VALUES ($1, $2, $3, $4, $5, $6)",
            args![checkpoint.tenant_id, checkpoint.seq, &checkpoint.hash, &checkpoint.key_id, &checkpoint.signature, now],
        )
        .await?;
        Ok(())
    }

    /// A tenant's sealed entries from a place on, in chain order.
    pub(super) async fn audit_sealed(&mut self, tenant: TenantId, from: i64, limit: i64) -> Result<Vec<Entry>> {
        self.all(
            format!("SELECT {COLUMNS} FROM audit_entries WHERE tenant_id = $1 AND seq >= $2 ORDER BY seq LIMIT $3"),
            args![tenant, from, limit],
        )
        .await
    }

    /// A tenant's checkpoints in chain order.
    pub(super) async fn audit_checkpoints(&mut self, tenant: TenantId) -> Result<Vec<Checkpoint>> {
        self.all("SELECT tenant_id, seq, hash, key_id, signature FROM audit_checkpoints WHERE tenant_id = $1 ORDER BY seq", args![tenant])
            .await
    }

    /// The newest checkpoint at or before a place.
    pub(super) async fn audit_checkpoint_at(&mut self, tenant: TenantId, seq: i64) -> Result<Option<Checkpoint>> {
        self.optional(
            "SELECT tenant_id, seq, hash, key_id, signature FROM audit_checkpoints WHERE tenant_id = $1 AND seq <= $2 ORDER BY seq DESC LIMIT 1",
            args![tenant, seq],
        )
        .await
    }

    /// Every tenant that has entries, sealed or not, or a head.
    pub(super) async fn audit_tenants(&mut self) -> Result<Vec<String>> {
        self.all(
            "SELECT tenant_id FROM audit_entries UNION SELECT tenant_id FROM audit_chains UNION SELECT tenant_id FROM audit_checkpoints ORDER BY 1",
            &[],
        )
        .await
    }

    /// Notes how far the archive has a tenant's chain.
    pub(super) async fn audit_archived(&mut self, tenant: TenantId, seq: i64) -> Result<()> {
        self.execute("UPDATE audit_chains SET archived_seq = $1 WHERE tenant_id = $2 AND archived_seq < $1", args![seq, tenant]).await?;
        Ok(())
    }
}
