//! Links new entries into the chain, signs the heads, and copies sealed entries to the archive.

use std::time::Duration;

use super::{SigningKey, archive::Archive, chain, store::Checkpoint};
use crate::{Kernel, Result};

/// Entries linked in one transaction; a batch of this size takes a few milliseconds.
const BATCH: i64 = 500;
/// An entry is sealed at most about this long after its commit.
const PAUSE: Duration = Duration::from_millis(250);
/// How often the sealer looks without a wake: other processes write entries too.
const POLL: Duration = Duration::from_secs(1);

/// The background task that seals.
#[derive(Clone)]
pub struct Sealer {
    kernel: Kernel,
    key: SigningKey,
    archive: Option<Archive>,
}

impl Sealer {
    /// A sealer that signs with `key` and writes to `archive` when there is one.
    pub fn new(kernel: Kernel, key: SigningKey, archive: Option<Archive>) -> Self {
        Self { kernel, key, archive }
    }

    /// Starts sealing; what is unsealed when the process stops is sealed before it ends, or by the next process.
    pub fn start(&self) {
        let sealer = self.clone();
        self.kernel.lifecycle.spawn("audit sealer", async move {
            loop {
                sealer.turn().await;
                if sealer.kernel.lifecycle.is_stopping() {
                    return sealer.turn().await;
                }
                tokio::select! {
                    () = sealer.kernel.db.wakes().audit() => tokio::time::sleep(PAUSE).await,
                    () = tokio::time::sleep(POLL) => {}
                    () = sealer.kernel.lifecycle.stopping() => {}
                }
            }
        });
    }

    async fn turn(&self) {
        if let Err(error) = self.seal().await {
            metrics::counter!("audit_errors_total", "step" => "seal").increment(1);
            tracing::error!(error = ?error, "audit entries could not be sealed");
        }
        if let Err(error) = self.deliver().await {
            metrics::counter!("audit_errors_total", "step" => "archive").increment(1);
            tracing::error!(error = ?error, "sealed audit entries could not be archived");
        }
    }

    /// Seals everything that waits. Returns how many entries were sealed.
    ///
    /// # Errors
    /// When the database cannot be written; nothing is half-linked then.
    pub async fn seal(&self) -> Result<u64> {
        let mut sealed = 0;
        while self.kernel.db.read().await?.audit_unsealed().await? {
            sealed += self.seal_batch().await?;
        }
        Ok(sealed)
    }

    async fn seal_batch(&self) -> Result<u64> {
        let now = self.kernel.now();
        let mut tx = self.kernel.db.write().await?;
        tx.audit_lock().await?;
        let entries = tx.audit_to_seal(BATCH).await?;
        let mut heads: Vec<(crate::principal::TenantId, i64, String)> = Vec::new();
        for entry in &entries {
            let place = match heads.iter().position(|(tenant, ..)| *tenant == entry.tenant_id) {
                Some(place) => place,
                None => {
                    let head = tx.audit_head(entry.tenant_id).await?;
                    let (seq, hash) = head.map_or((0, chain::GENESIS.to_owned()), |h| (h.seq, h.hash));
                    heads.push((entry.tenant_id, seq, hash));
                    heads.len() - 1
                }
            };
            let (_, seq, hash) = &mut heads[place];
            let next = chain::entry_hash(entry, *seq + 1, hash);
            tx.audit_link(entry, *seq + 1, hash, &next).await?;
            *seq += 1;
            *hash = next;
        }
        for (tenant, seq, hash) in heads {
            let signature = self.key.sign(&chain::checkpoint_message(&tenant.to_string(), seq, &hash));
            let checkpoint = Checkpoint { tenant_id: tenant, seq, hash, key_id: self.key.id().to_owned(), signature };
            tx.audit_checkpoint(&checkpoint, now).await?;
            // The head goes to the log as well: whoever keeps the log can prove that the chain was not cut.
            tracing::info!(tenant_id = %tenant, audit_head = format!("{seq}:{}", checkpoint.hash), "sealed audit entries");
        }
        tx.commit().await?;
        metrics::counter!("audit_sealed_total").increment(entries.len() as u64);
        Ok(entries.len() as u64)
    }

    /// Copies sealed entries that the archive does not have yet. A repeat after a crash writes the same file again.
    ///
    /// # Errors
    /// When the archive or the database cannot be written; the entries stay due.
    pub async fn deliver(&self) -> Result<()> {
        let Some(archive) = &self.archive else { return Ok(()) };
        let heads = self.kernel.db.read().await?.audit_heads().await?;
        for head in heads {
            let mut from = head.archived_seq + 1;
            while from <= head.seq {
                let mut tx = self.kernel.db.read().await?;
                let entries = tx.audit_sealed(head.tenant, from, BATCH).await?;
                let Some(last) = entries.last().and_then(|e| e.seq) else { break };
                let checkpoint = tx.audit_checkpoint_at(head.tenant, last).await?;
                drop(tx);
                archive.write(&entries, checkpoint.as_ref()).await?;
                let mut tx = self.kernel.db.write().await?;
                tx.audit_archived(head.tenant, last).await?;
                tx.commit().await?;
                metrics::counter!("audit_archived_total").increment(entries.len() as u64);
                from = last + 1;
            }
        }
        Ok(())
    }
}
