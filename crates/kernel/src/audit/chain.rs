//! What is hashed and signed, byte by byte. A verifier in another language needs nothing but this file.

use sha2::{Digest, Sha256};

use super::Entry;

/// The `prev_hash` of a tenant's first entry.
pub const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// SHA-256 of `payload v1`, salt and payload, each with its length; in hexadecimal.
pub fn payload_hash(salt: &str, payload: &str) -> String {
    hash_parts(&["astrolabe audit payload v1", salt, payload])
}

/// The hash of an entry at a place behind a hash: SHA-256 over the parts in this order, each preceded by its length in bytes as a
/// big-endian 64-bit number, so that no two different entries give the same bytes; in hexadecimal.
pub fn entry_hash(entry: &Entry, seq: i64, prev_hash: &str) -> String {
    hash_parts(&[
        "astrolabe audit entry v1",
        &entry.tenant_id.to_string(),
        &seq.to_string(),
        prev_hash,
        &entry.id.to_string(),
        &entry.actor,
        &entry.action,
        &entry.subject,
        &entry.outcome,
        &entry.trace_id,
        &entry.request_id,
        &entry.created_at.micros().to_string(),
        &entry.payload_hash,
    ])
}

/// The bytes that a checkpoint signs: the tenant's head at a sequence number.
pub fn checkpoint_message(tenant: &str, seq: i64, hash: &str) -> Vec<u8> {
    format!("astrolabe audit checkpoint v1\n{tenant}\n{seq}\n{hash}\n").into_bytes()
}

fn hash_parts(parts: &[&str]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part.as_bytes());
    }
    hex::encode(hasher.finalize())
}
