//! The audit log: an entry is written in the transaction of the action it records, so neither exists without the other.
//!
//! A sealer ([`Sealer`]) links new entries into the tenant's hash chain within a second, signs the chain's head with a key that is
//! not in the database, and writes sealed entries to an archive of JSON lines. [`verify`](verify::verify) checks all of it,
//! from the database or from the archive alone.

pub mod archive;
pub mod chain;
pub mod erase;
mod filter;
mod head;
mod key;
pub mod reads;
mod sealer;
mod store;
pub mod verify;

pub use filter::Filter;
pub use head::{ChainHead, SignedHead, head};
pub use key::{PublicKey, SigningKey};
pub use reads::{AuditConfig, ReadAudit, Reads};
pub use sealer::Sealer;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    Id, Kernel, Principal, Result, Timestamp, Tx, args,
    db::Wake,
    http::{Caller, Trace},
    id::Named,
};

/// One entry as it is read back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Entry {
    /// Its id, `aud_…`.
    pub id: Id<Entry>,
    /// Whose chain it is in.
    pub tenant_id: crate::principal::TenantId,
    /// Place in the tenant's chain from 1; null until sealed (at most about a second).
    pub seq: Option<i64>,
    /// Who acted: a user, an agent or a service.
    pub actor: String,
    /// What was done, such as `agents.run` or `create_ticket`.
    pub action: String,
    /// What it was done to.
    pub subject: String,
    /// `ok`, `refused` or `failed`.
    pub outcome: String,
    /// The trace it belongs to.
    pub trace_id: String,
    /// The request it belongs to, empty for background work.
    pub request_id: String,
    /// When.
    pub created_at: Timestamp,
    /// Details; null when erased.
    #[schema(value_type = Object, nullable)]
    pub payload: Option<serde_json::Value>,
    /// The payload as it is stored, which is what was hashed; only set on entries read from the database.
    #[serde(skip)]
    pub raw_payload: Option<String>,
    /// Random salt of the payload's hash; null when erased.
    pub payload_salt: Option<String>,
    /// SHA-256 over salt and payload; what the chain holds of the payload.
    pub payload_hash: String,
    /// Hash of the entry before it; null until sealed.
    pub prev_hash: Option<String>,
    /// Hash of this entry; null until sealed.
    pub hash: Option<String>,
}

impl Named for Entry {
    const PREFIX: &'static str = "aud";
}

/// How an action ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was done.
    Ok,
    /// A rule forbade it.
    Refused,
    /// It was tried and did not work.
    Failed,
}

impl Outcome {
    /// The outcome as stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

/// What is to be recorded about an action.
pub struct Record<'a> {
    /// Who acted.
    pub principal: &'a Principal,
    /// The trace and request it belongs to.
    pub trace: &'a Trace,
    /// What was done, such as `sources.create`.
    pub action: &'a str,
    /// What it was done to: an id, or a name where there is no id.
    pub subject: String,
    /// How it ended.
    pub outcome: Outcome,
    /// Details. Personal data belongs here and nowhere else in an entry: this part can be erased.
    pub payload: serde_json::Value,
}

impl<'a> Record<'a> {
    /// An action of a caller that was done.
    pub fn of(caller: &'a Caller, action: &'a str, subject: impl std::fmt::Display, payload: serde_json::Value) -> Self {
        let Caller { principal, trace, .. } = caller;
        Self { principal, trace, action, subject: subject.to_string(), outcome: Outcome::Ok, payload }
    }
}

impl Tx {
    /// Records an action in this transaction. The sealer is woken after the commit.
    pub async fn audit(&mut self, kernel: &Kernel, record: Record<'_>) -> Result<()> {
        let salt = kernel.random.token(16);
        let payload = record.payload.to_string();
        let hash = chain::payload_hash(&salt, &payload);
        self.execute(
            "INSERT INTO audit_entries (id, tenant_id, actor, action, subject, outcome, trace_id, request_id, created_at, payload, payload_salt, payload_hash)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
            args![
                kernel.id::<Entry>(),
                record.principal.tenant,
                record.principal.id.clone(),
                record.action,
                record.subject,
                record.outcome.as_str(),
                record.trace.trace_id.clone(),
                record.trace.request_id.clone(),
                kernel.now(),
                payload,
                salt,
                hash
            ],
        )
        .await?;
        self.after_commit(Wake::Audit);
        metrics::counter!("audit_entries_total", "action" => record.action.to_owned()).increment(1);
        Ok(())
    }
}

/// Records an action that has no transaction of its own, such as a refusal.
///
/// # Errors
/// When the database cannot be written; the caller should then fail the action too.
pub async fn record(kernel: &Kernel, record: Record<'_>) -> Result<()> {
    let mut tx = kernel.db.write(record.principal.tenant).await?;
    tx.audit(kernel, record).await?;
    tx.commit().await
}

#[cfg(test)]
mod tests;
