//! Erasing payloads, so that the chain stays whole.
//!
//! What an entry says of a person beyond their id is in its payload, of which the chain holds the salted hash alone. Erasing takes payload and salt
//! away, and lists the entries in one of its own ([`ERASED`]), in the same transaction. The verifier takes a payload that is missing for a defect
//! unless such an entry names it. The archive follows the chain: each process blanks the payloads in its own parts once the listing entry is sealed.

use futures_util::future::BoxFuture;

use super::{Entry, Outcome, Record};
use crate::{
    Id, Kernel, Principal, Result, Tx, args,
    db::Arg,
    http::Trace,
    personal::{Held, Person, PersonalData},
    principal::TenantId,
};

/// The action of entries that list erased payloads: `{"entries": ["aud_…"]}`. They hold no personal data and are never erased themselves.
pub const ERASED: &str = "audit.erase";

/// Which entries are about a person: it acted, it was acted upon, or the payload names it as a value of its own. Texts are compared exactly, for an
/// id may hold characters that mean something in a pattern.
const ABOUT: &str =
    "tenant_id = $1 AND payload IS NOT NULL AND action <> $2 AND (actor = $3 OR subject = $3 OR REPLACE(payload, $4, '') <> payload)";

/// Audit payloads about people.
pub struct AuditPayloads {
    /// The handles of the process.
    pub kernel: Kernel,
}

impl PersonalData for AuditPayloads {
    fn name(&self) -> &'static str {
        "audit"
    }

    fn export<'a>(&'a self, tx: &'a mut Tx, person: &'a Person, after: &'a str, limit: i64) -> BoxFuture<'a, Result<Vec<Held>>> {
        Box::pin(async move {
            let mut args = about(person);
            args.extend([Arg::from(after), Arg::from(limit)]);
            let columns = super::store::COLUMNS;
            let sql = format!("SELECT {columns} FROM audit_entries WHERE {ABOUT} AND id > $5 ORDER BY id LIMIT $6");
            let entries: Vec<Entry> = tx.all(sql, &args).await?;
            entries
                .into_iter()
                .map(|e| Ok(Held { key: e.id.to_string(), record: serde_json::to_value(e).map_err(crate::Error::internal)? }))
                .collect()
        })
    }

    fn erase<'a>(&'a self, tx: &'a mut Tx, person: &'a Person, limit: i64) -> BoxFuture<'a, Result<u64>> {
        Box::pin(async move {
            let mut args = about(person);
            args.push(Arg::from(limit));
            let ids: Vec<String> = tx.all(format!("SELECT id FROM audit_entries WHERE {ABOUT} ORDER BY id LIMIT $5"), &args).await?;
            if ids.is_empty() {
                return Ok(0);
            }
            for id in &ids {
                let sql = "UPDATE audit_entries SET payload = NULL, payload_salt = NULL WHERE tenant_id = $1 AND id = $2";
                tx.execute(sql, args![person.tenant, id]).await?;
            }
            let record = Record {
                principal: &Principal::service("privacy", person.tenant),
                trace: &Trace::background(&self.kernel.random),
                action: ERASED,
                subject: "audit".to_owned(),
                outcome: Outcome::Ok,
                payload: serde_json::json!({"entries": ids}),
            };
            tx.audit(&self.kernel, record).await?;
            Ok(ids.len() as u64)
        })
    }
}

fn about(person: &Person) -> Vec<Arg> {
    let quoted = serde_json::Value::from(person.id.as_str()).to_string();
    vec![Arg::from(person.tenant), Arg::from(ERASED), Arg::from(&person.id), Arg::from(quoted)]
}

/// The entries whose payloads an entry lists as erased.
pub(super) fn listed(entry: &Entry) -> Vec<Id<Entry>> {
    if entry.action != ERASED {
        return Vec::new();
    }
    let list = entry.payload.as_ref().and_then(|p| p["entries"].as_array());
    list.into_iter().flatten().filter_map(|id| id.as_str()?.parse().ok()).collect()
}

impl Tx {
    /// The entries of a tenant that list erased payloads, of those between two places; all of them when `sealed` is not given.
    pub(super) async fn audit_erasures(&mut self, tenant: TenantId, sealed: Option<(i64, i64)>) -> Result<Vec<Entry>> {
        let columns = super::store::COLUMNS;
        let base = format!("SELECT {columns} FROM audit_entries WHERE tenant_id = $1 AND action = $2");
        match sealed {
            Some((after, until)) => {
                self.all(format!("{base} AND seq > $3 AND seq <= $4 ORDER BY seq"), args![tenant, ERASED, after, until]).await
            }
            None => self.all(format!("{base} ORDER BY id"), args![tenant, ERASED]).await,
        }
    }

    /// The places of entries.
    pub(super) async fn audit_places(&mut self, tenant: TenantId, ids: &[Id<Entry>]) -> Result<Vec<i64>> {
        let mut places = Vec::new();
        for id in ids {
            let seq: Option<i64> = self
                .optional("SELECT seq FROM audit_entries WHERE tenant_id = $1 AND id = $2 AND seq IS NOT NULL", args![tenant, *id])
                .await?;
            places.extend(seq);
        }
        Ok(places)
    }
}
