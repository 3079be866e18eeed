//! Proves that nobody edited the log, or says where.
//!
//! Entries must be numbered without gaps from 1, each must hash to what it says over the entry before it, payloads must match their
//! salted hashes unless an entry of the chain lists them as erased, every checkpoint must be signed by the key and name the entry's hash, and the last entry must be signed. What
//! this alone cannot see is a chain cut back to an older signed head: that takes an anchor, a head that the auditor kept
//! (`<seq>:<hash>`), which the log and the archive hold as well.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Entry, chain, erase::listed, key::PublicKey, store::Checkpoint};
use crate::{Db, Error, Id, Result, Tx, error::code, principal::TenantId};

/// A head that somebody kept: the chain must still contain it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anchor {
    /// Place in the chain.
    pub seq: i64,
    /// The hash at that place.
    pub hash: String,
}

impl std::str::FromStr for Anchor {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        text.split_once(':')
            .and_then(|(seq, hash)| {
                Some(Self { seq: seq.parse().ok().filter(|s| *s > 0)?, hash: (hash.len() == 64).then(|| hash.to_lowercase())? })
            })
            .ok_or_else(|| Error::field("anchor", "must be a head as `audit verify` prints it: <number>:<64 hexadecimal digits>"))
    }
}

/// What was found about one tenant's chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Report {
    /// The tenant.
    pub tenant_id: TenantId,
    /// Sealed entries that are in order, up to the first defect.
    pub verified: i64,
    /// Entries that still wait for their seal.
    pub unsealed: i64,
    /// Entries whose payload was erased, each listed by an entry of the chain.
    #[serde(default)]
    pub erased: i64,
    /// The head as an anchor: keep it somewhere else. Null when the chain is empty.
    pub head: Option<String>,
    /// What is wrong, empty when nothing is.
    pub defects: Vec<String>,
}

/// Verifies every tenant's chain in the database. Anchors without a tenant are checked against every chain of which one must hold it.
///
/// # Errors
/// When the database cannot be read, and `audit_broken` when a row holds what the program never wrote; other defects are in the reports.
pub async fn verify(db: &Db, key: &PublicKey, anchors: &[(Option<TenantId>, Anchor)]) -> Result<Vec<Report>> {
    let mut tx = db.read_all().await?;
    let mut reports = Vec::new();
    let mut found = vec![false; anchors.len()];
    for tenant in tx.audit_tenants().await? {
        let Ok(tenant) = tenant.parse::<TenantId>() else {
            return Err(Error::new(code::AUDIT_BROKEN, format!("{tenant:?} is not a tenant's id")));
        };
        reports.push(check(&mut tx, key, tenant, anchors, &mut found).await?);
    }
    Ok(add_anchor_defects(reports, anchors, &found))
}

/// Verifies one tenant's chain in the database.
///
/// # Errors
/// As [`verify`].
pub async fn verify_tenant(db: &Db, key: &PublicKey, tenant: TenantId, anchors: &[Anchor]) -> Result<Report> {
    let anchors: Vec<_> = anchors.iter().map(|a| (Some(tenant), a.clone())).collect();
    let mut found = vec![false; anchors.len()];
    let report = check(&mut db.read(tenant).await?, key, tenant, &anchors, &mut found).await?;
    let reports = add_anchor_defects(vec![report], &anchors, &found);
    reports.into_iter().next().ok_or_else(|| Error::internal("a report went missing"))
}

async fn check(
    tx: &mut Tx,
    key: &PublicKey,
    tenant: TenantId,
    anchors: &[(Option<TenantId>, Anchor)],
    found: &mut [bool],
) -> Result<Report> {
    let mut checker = Checker::new(tenant, key);
    checker.checkpoints = tx.audit_checkpoints(tenant).await.map_err(|e| unreadable(e, tenant))?;
    checker.prepare();
    let erasures = tx.audit_erasures(tenant, None).await.map_err(|e| unreadable(e, tenant))?;
    checker.erased = erasures.iter().filter(|e| is_whole(e)).flat_map(listed).collect();
    let mut from = Some(i64::MIN);
    while let Some(start) = from {
        let entries = tx.audit_sealed(tenant, start, 1000).await.map_err(|e| unreadable(e, tenant))?;
        for entry in &entries {
            checker.entry(entry);
            note_anchors(anchors, found, tenant, entry);
        }
        // Nothing comes after the largest number, which only somebody else can have written.
        from = entries.last().and_then(|e| e.seq?.checked_add(1));
    }
    let unsealed = tx.audit_waiting(tenant).await?;
    let recorded =
        tx.audit_head(tenant).await.map_err(|e| unreadable(e, tenant))?.map_or_else(|| (0, chain::GENESIS.to_owned()), |h| (h.seq, h.hash));
    Ok(checker.finish(unsealed, Some(recorded)))
}

/// A value that cannot be read as what it is was not written by the program, so it is a defect of the chain and not one of ours.
fn unreadable(error: Error, tenant: TenantId) -> Error {
    match error.internal_detail().filter(|detail| detail.starts_with("column ")) {
        Some(detail) => Error::new(code::AUDIT_BROKEN, format!("the audit log of tenant {tenant} was changed: {detail}")),
        None => error,
    }
}

/// Verifies entries and heads read from an archive, in any order and with repeats.
pub fn verify_archive(
    mut entries: Vec<Entry>,
    mut heads: Vec<Checkpoint>,
    key: &PublicKey,
    anchors: &[(Option<TenantId>, Anchor)],
) -> Vec<Report> {
    entries.sort_by_key(|e| (e.tenant_id, e.seq, e.id));
    // Of copies of an archive, one may have payloads erased that the other has not yet.
    entries.dedup_by(|a, kept| {
        let erased = a.id == kept.id && (a.payload.is_none() || kept.payload.is_none());
        if erased {
            let without = |e: &Entry| Entry { payload: None, payload_salt: None, ..e.clone() };
            let (a, b) = (without(a), without(kept));
            *kept = b;
            return a == *kept;
        }
        a == kept
    });
    heads.sort_by_key(|h| (h.tenant_id, h.seq));
    heads.dedup();
    let mut tenants: Vec<TenantId> = entries.iter().map(|e| e.tenant_id).chain(heads.iter().map(|h| h.tenant_id)).collect();
    tenants.sort_unstable();
    tenants.dedup();
    let mut found = vec![false; anchors.len()];
    let mut reports = Vec::new();
    for tenant in tenants {
        let mut checker = Checker::new(tenant, key);
        checker.checkpoints = heads.iter().filter(|h| h.tenant_id == tenant).cloned().collect();
        checker.prepare();
        checker.erased = entries.iter().filter(|e| e.tenant_id == tenant && is_whole(e)).flat_map(listed).collect();
        for entry in entries.iter().filter(|e| e.tenant_id == tenant) {
            checker.entry(entry);
            note_anchors(anchors, &mut found, tenant, entry);
        }
        reports.push(checker.finish(0, None));
    }
    add_anchor_defects(reports, anchors, &found)
}

fn note_anchors(anchors: &[(Option<TenantId>, Anchor)], found: &mut [bool], tenant: TenantId, entry: &Entry) {
    for ((wanted, anchor), found) in anchors.iter().zip(found) {
        let here = wanted.is_none_or(|t| t == tenant) && entry.seq == Some(anchor.seq) && entry.hash.as_deref() == Some(&anchor.hash);
        *found |= here;
    }
}

fn add_anchor_defects(mut reports: Vec<Report>, anchors: &[(Option<TenantId>, Anchor)], found: &[bool]) -> Vec<Report> {
    for ((tenant, anchor), _) in anchors.iter().zip(found).filter(|(_, found)| !**found) {
        let defect =
            format!("the chain does not contain the anchor {}:{}: entries up to it were removed or rewritten", anchor.seq, anchor.hash);
        let tenant = tenant.unwrap_or_else(crate::principal::default_tenant);
        match reports.iter_mut().find(|r| r.tenant_id == tenant) {
            Some(report) => report.defects.push(defect),
            None => reports.push(Report { tenant_id: tenant, verified: 0, unsealed: 0, erased: 0, head: None, defects: vec![defect] }),
        }
    }
    reports
}

/// Whether an entry has the payload that it was written with.
fn is_whole(entry: &Entry) -> bool {
    match (&entry.payload, &entry.payload_salt) {
        (Some(payload), Some(salt)) => {
            chain::payload_hash(salt, entry.raw_payload.as_deref().unwrap_or(&payload.to_string())) == entry.payload_hash
        }
        _ => false,
    }
}

fn missing(first: i64, last: i64) -> String {
    if first == last { format!("entry {first} is missing") } else { format!("entries {first} to {last} are missing") }
}

/// More defects than this tell nothing new.
const MAX_DEFECTS: usize = 20;

struct Checker<'a> {
    tenant: TenantId,
    key: &'a PublicKey,
    checkpoints: Vec<Checkpoint>,
    next_checkpoint: usize,
    seq: i64,
    hash: String,
    signed: i64,
    verified: i64,
    erased: HashSet<Id<Entry>>,
    erased_found: i64,
    defects: Vec<String>,
}

impl<'a> Checker<'a> {
    fn new(tenant: TenantId, key: &'a PublicKey) -> Self {
        Self {
            tenant,
            key,
            checkpoints: Vec::new(),
            next_checkpoint: 0,
            seq: 0,
            hash: chain::GENESIS.to_owned(),
            signed: 0,
            verified: 0,
            erased: HashSet::new(),
            erased_found: 0,
            defects: Vec::new(),
        }
    }

    fn defect(&mut self, text: String) {
        if self.defects.len() < MAX_DEFECTS {
            self.defects.push(text);
        }
    }

    fn prepare(&mut self) {
        for i in 0..self.checkpoints.len() {
            let c = &self.checkpoints[i];
            let message = chain::checkpoint_message(&self.tenant.to_string(), c.seq, &c.hash);
            if !self.key.verify(&message, &c.signature) {
                let text = format!("the checkpoint at entry {} is not signed by the key {}", c.seq, self.key.id());
                self.defect(text);
            }
        }
    }

    fn entry(&mut self, entry: &Entry) {
        let seq = entry.seq.unwrap_or(0);
        let next = self.seq.saturating_add(1);
        if seq <= self.seq {
            self.defect(format!("entry {seq} ({}) is there more than once", entry.id));
        } else if seq != next {
            self.defect(missing(next, seq - 1));
        }
        if entry.prev_hash.as_deref() != Some(&self.hash) {
            self.defect(format!("entry {seq} ({}) does not follow the entry before it", entry.id));
        }
        let hash = chain::entry_hash(entry, seq, entry.prev_hash.as_deref().unwrap_or(""));
        if entry.hash.as_deref() != Some(&hash) {
            self.defect(format!("entry {seq} ({}) was changed: its hash does not match", entry.id));
        }
        if entry.payload.is_none() && entry.payload_salt.is_none() && self.erased.contains(&entry.id) {
            self.erased_found += 1;
        } else if !is_whole(entry) {
            self.defect(format!("entry {seq} ({}) was changed: its payload does not match", entry.id));
        }
        self.seq = seq;
        self.hash = entry.hash.clone().unwrap_or_default();
        while let Some(checkpoint) = self.checkpoints.get(self.next_checkpoint) {
            if checkpoint.seq > seq {
                break;
            }
            if checkpoint.seq == seq {
                if checkpoint.hash != self.hash {
                    let text = format!("entry {seq} is not the one that was signed: the chain was rewritten");
                    self.defect(text);
                }
                self.signed = seq;
            }
            self.next_checkpoint += 1;
        }
        if self.defects.is_empty() {
            self.verified = seq;
        }
    }

    fn finish(mut self, unsealed: i64, recorded: Option<(i64, String)>) -> Report {
        if self.signed < self.seq {
            self.defect(format!("the entries after {} up to {} are not covered by a signed checkpoint", self.signed, self.seq));
        }
        if let Some(last) = self.checkpoints.last().map(|c| c.seq).filter(|last| *last > self.seq) {
            self.defect(format!("{}: a checkpoint signs the last of them", missing(self.seq + 1, last)));
        }
        if let Some((seq, hash)) = recorded
            && (seq, hash.as_str()) != (self.seq, if self.seq == 0 { chain::GENESIS } else { self.hash.as_str() })
        {
            self.defect(format!("the recorded head is entry {seq}, but the chain ends at entry {}", self.seq));
        }
        let head = (self.seq > 0).then(|| format!("{}:{}", self.seq, self.hash));
        Report { tenant_id: self.tenant, verified: self.verified, unsealed, erased: self.erased_found, head, defects: self.defects }
    }
}
