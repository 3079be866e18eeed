//! Links new entries into the chain, signs the heads, and copies sealed entries to the archive.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use super::{
    PublicKey, SigningKey,
    archive::Archive,
    chain,
    erase::listed,
    store::{Checkpoint, Head},
};
use crate::{Error, Kernel, Result, Tx, error::code, principal::TenantId};

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
    /// The heads that this process signed last. The key must not be lent to whoever rewrites the database while it runs.
    signed: Arc<Mutex<HashMap<TenantId, (i64, String)>>>,
    /// How far the erasures of each chain were applied to the archive.
    erased: Arc<Mutex<HashMap<TenantId, i64>>>,
}

impl Sealer {
    /// A sealer that signs with `key` and writes to `archive` when there is one.
    pub fn new(kernel: Kernel, key: SigningKey, archive: Option<Archive>) -> Self {
        Self { kernel, key, archive, signed: Arc::default(), erased: Arc::default() }
    }

    /// The public half of the key that signs.
    pub fn public_key(&self) -> PublicKey {
        self.key.public()
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
    /// When the database cannot be written, and `audit_broken` when a chain does not hold the head that this process signed last; nothing
    /// is half-linked then.
    pub async fn seal(&self) -> Result<u64> {
        let mut sealed = 0;
        while self.kernel.db.read_all().await?.audit_unsealed().await? {
            sealed += self.seal_batch().await?;
        }
        Ok(sealed)
    }

    async fn seal_batch(&self) -> Result<u64> {
        let now = self.kernel.now();
        let mut tx = self.kernel.db.write_all().await?;
        tx.audit_lock().await?;
        let entries = tx.audit_to_seal(BATCH).await?;
        let mut heads: Vec<(TenantId, i64, String)> = Vec::new();
        for entry in &entries {
            let place = match heads.iter().position(|(tenant, ..)| *tenant == entry.tenant_id) {
                Some(place) => place,
                None => {
                    let head = tx.audit_head(entry.tenant_id).await?;
                    self.check_signed(&mut tx, entry.tenant_id, head.as_ref()).await?;
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
        let mut sealed = Vec::new();
        for (tenant, seq, hash) in heads {
            sealed.push((tenant, (seq, hash.clone())));
            let signature = self.key.sign(&chain::checkpoint_message(&tenant.to_string(), seq, &hash));
            let checkpoint = Checkpoint { tenant_id: tenant, seq, hash, key_id: self.key.id().to_owned(), signature };
            tx.audit_checkpoint(&checkpoint, now).await?;
            // The head goes to the log as well: whoever keeps the log can prove that the chain was not cut.
            tracing::info!(tenant_id = %tenant, audit_head = format!("{seq}:{}", checkpoint.hash), "sealed audit entries");
        }
        tx.commit().await?;
        self.signed.lock().unwrap_or_else(PoisonError::into_inner).extend(sealed);
        metrics::counter!("audit_sealed_total").increment(entries.len() as u64);
        Ok(entries.len() as u64)
    }

    /// Requires that a chain still holds the head that this process signed last; another process may have gone on from there.
    async fn check_signed(&self, tx: &mut Tx, tenant: TenantId, head: Option<&Head>) -> Result<()> {
        let known = self.signed.lock().unwrap_or_else(PoisonError::into_inner).get(&tenant).cloned();
        let Some((seq, hash)) = known else { return Ok(()) };
        let holds = match head {
            Some(head) if head.seq == seq => head.hash == hash,
            Some(head) if head.seq > seq => {
                tx.audit_sealed(tenant, seq, 1).await?.first().is_some_and(|e| e.seq == Some(seq) && e.hash.as_deref() == Some(&hash))
            }
            _ => false,
        };
        if holds {
            return Ok(());
        }
        let text =
            format!("the audit chain no longer holds entry {seq} as it was signed: it was rewritten, and new entries are not sealed");
        Err(Error::new(code::AUDIT_BROKEN, text).with_internal(format_args!("tenant {tenant}, signed head {seq}:{hash}")))
    }

    /// Copies sealed entries that the archive does not have yet. A repeat after a crash writes the same file again.
    ///
    /// # Errors
    /// When the archive or the database cannot be written; the entries stay due.
    pub async fn deliver(&self) -> Result<()> {
        let Some(archive) = &self.archive else { return Ok(()) };
        let heads = self.kernel.db.read_all().await?.audit_heads().await?;
        for head in heads {
            let mut from = head.archived_seq + 1;
            while from <= head.seq {
                let mut tx = self.kernel.db.read(head.tenant).await?;
                let entries = tx.audit_sealed(head.tenant, from, BATCH).await?;
                let Some(last) = entries.last().and_then(|e| e.seq) else { break };
                let checkpoint = tx.audit_checkpoint_at(head.tenant, last).await?;
                drop(tx);
                archive.write(&entries, checkpoint.as_ref()).await?;
                let mut tx = self.kernel.db.write(head.tenant).await?;
                tx.audit_archived(head.tenant, last).await?;
                tx.commit().await?;
                metrics::counter!("audit_archived_total").increment(entries.len() as u64);
                from = last + 1;
            }
            self.erase_archived(archive, head.tenant, head.seq).await?;
        }
        Ok(())
    }

    /// Takes the payloads out of this process's archive that the chain lists as erased, up to a place in it. Every process does it for its own
    /// archive, when it next has a look at the chain.
    async fn erase_archived(&self, archive: &Archive, tenant: TenantId, until: i64) -> Result<()> {
        let known = self.erased.lock().unwrap_or_else(PoisonError::into_inner).get(&tenant).copied();
        let after = known.unwrap_or_else(|| archive.erased_until(tenant));
        if after >= until {
            return Ok(());
        }
        let mut tx = self.kernel.db.read(tenant).await?;
        for entry in tx.audit_erasures(tenant, Some((after, until))).await? {
            let ids = listed(&entry);
            let places = tx.audit_places(tenant, &ids).await?;
            let parts = archive.erase(tenant, ids.into_iter().collect(), places).await?;
            if let Some(seq) = entry.seq {
                archive.note_erased(tenant, seq)?;
            }
            tracing::info!(tenant_id = %tenant, parts, "erased payloads from the audit archive");
        }
        self.erased.lock().unwrap_or_else(PoisonError::into_inner).insert(tenant, until);
        Ok(())
    }
}
