//! Where a tenant's chain stands, for whoever wants to keep its head elsewhere.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{key::PublicKey, store::Checkpoint};
use crate::{Db, Result, Timestamp, principal::TenantId};

/// Where a tenant's chain stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChainHead {
    /// Whose chain it is.
    pub tenant_id: TenantId,
    /// Place of the newest sealed entry; 0 when there is none.
    pub seq: i64,
    /// That entry's hash; null when there is none.
    pub hash: Option<String>,
    /// `<seq>:<hash>`: keep it where the operator cannot change it, and give it to the verifier later. Null when there is no entry.
    pub anchor: Option<String>,
    /// Entries that still wait for their seal.
    pub unsealed: i64,
    /// How far the archive has the chain.
    pub archived_seq: i64,
    /// The newest signed head; null when nothing is signed yet.
    pub checkpoint: Option<SignedHead>,
    /// The key that signs now.
    pub key_id: String,
    /// Its public half: Ed25519, PEM (SubjectPublicKeyInfo).
    pub public_key: String,
    /// When this was read.
    pub read_at: Timestamp,
}

/// A signed head.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SignedHead {
    /// The entry it signs.
    pub seq: i64,
    /// That entry's hash.
    pub hash: String,
    /// The key that signed.
    pub key_id: String,
    /// Ed25519 in hexadecimal, over `astrolabe audit checkpoint v1`, tenant, number and hash, each with a line break behind it.
    pub signature: String,
}

impl From<Checkpoint> for SignedHead {
    fn from(checkpoint: Checkpoint) -> Self {
        let Checkpoint { seq, hash, key_id, signature, .. } = checkpoint;
        Self { seq, hash, key_id, signature }
    }
}

/// Reads where a tenant's chain stands.
///
/// # Errors
/// When the database cannot be read.
pub async fn head(db: &Db, key: &PublicKey, tenant: TenantId, now: Timestamp) -> Result<ChainHead> {
    let mut tx = db.read(tenant).await?;
    let head = tx.audit_head(tenant).await?;
    let checkpoint = tx.audit_checkpoint_at(tenant, i64::MAX).await?.map(SignedHead::from);
    let unsealed = tx.audit_waiting(tenant).await?;
    Ok(ChainHead {
        tenant_id: tenant,
        seq: head.as_ref().map_or(0, |h| h.seq),
        anchor: head.as_ref().map(|h| format!("{}:{}", h.seq, h.hash)),
        archived_seq: head.as_ref().map_or(0, |h| h.archived_seq),
        hash: head.map(|h| h.hash),
        unsealed,
        checkpoint,
        key_id: key.id().to_owned(),
        public_key: key.to_pem()?,
        read_at: now,
    })
}
