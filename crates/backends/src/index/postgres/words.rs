//! Searching by words, and keeping the posting lists short.

use std::collections::{HashMap, HashSet};

use astrolabe_kernel::{
    Tx, args,
    db::{FromRow, Row},
};

use super::filter::Condition;
use super::postings::{Lists, ORDINAL_BITS, pack, unpack};
use super::text::{numbers, texts};
use super::{PostgresIndex, Tenant, database};
use crate::analysis::QueryTerm;
use crate::index::{Filter, Hit, IndexError};

/// Rows of one term that are worth merging.
const MERGE_ROWS: i64 = 16;
/// Dead documents that are worth cleaning up.
const MERGE_DEAD: i64 = 500;
/// Terms merged in one transaction.
const MERGE_TERMS: i64 = 2000;

struct Posting {
    term: String,
    entries: Vec<u8>,
}

impl FromRow for Posting {
    fn from_row(row: &Row) -> astrolabe_kernel::Result<Self> {
        Ok(Self { term: row.get("term")?, entries: row.get("entries")? })
    }
}

struct Named {
    slot: i64,
    chunk_id: String,
    document_id: String,
}

impl FromRow for Named {
    fn from_row(row: &Row) -> astrolabe_kernel::Result<Self> {
        Ok(Self { slot: row.get("slot")?, chunk_id: row.get("chunk_id")?, document_id: row.get("document_id")? })
    }
}

impl PostgresIndex {
    /// The posting lists of some terms.
    pub(super) async fn lists<'a>(&self, tx: &mut Tx, tenant: &Tenant, terms: impl Iterator<Item = &'a str>) -> Result<Lists, IndexError> {
        let terms: HashSet<&str> = terms.collect();
        let rows: Vec<Posting> = tx
            .all(
                format!(
                    "SELECT term, entries FROM {} WHERE tenant = $1 AND term = ANY($2::text[]) ORDER BY term, segment",
                    self.names.postings
                ),
                args![tenant.number, texts(terms)],
            )
            .await
            .map_err(database)?;
        let dead = self.dead(tx, tenant.number).await?;
        let mut lists = Lists { totals: (tenant.chunks, tenant.words), lists: HashMap::new() };
        for row in rows {
            lists.add(row.term, &row.entries, &dead);
        }
        Ok(lists)
    }

    async fn dead(&self, tx: &mut Tx, tenant: i64) -> Result<HashSet<i64>, IndexError> {
        let dead: Vec<i64> =
            tx.all(format!("SELECT number FROM {} WHERE tenant = $1", self.names.dead), args![tenant]).await.map_err(database)?;
        Ok(dead.into_iter().collect())
    }

    pub(super) async fn search_words(&self, filter: &Filter, terms: &[QueryTerm], k: usize) -> Result<Vec<Hit>, IndexError> {
        let Some((mut tx, tenant)) = self.of_tenant(&filter.tenant).await? else { return Ok(Vec::new()) };
        let words = terms.iter().flat_map(|term| &term.alternatives).map(|a| a.text.as_str());
        let lists = self.lists(&mut tx, &tenant, words).await?;
        let (mut scores, reachable) = lists.scores(terms);
        if let Some(wanted) = filter.lang {
            scores.retain(|(.., lang)| *lang == wanted);
        }
        let condition = Condition::new(filter, tenant.number);
        if !filter.all_of.is_empty() {
            let slots = self.slots_with_words(&mut tx, filter, &tenant, &condition).await?;
            scores.retain(|(slot, ..)| slots.binary_search(slot).is_ok());
        } else {
            if !condition.all_documents && !scores.is_empty() {
                let documents = self.allowed_documents(&mut tx, &condition).await?;
                scores.retain(|(slot, ..)| documents.binary_search(&(slot >> ORDINAL_BITS)).is_ok());
            }
            if !filter.none_of.is_empty() {
                let excluded = self.lists(&mut tx, &tenant, filter.none_of.iter().map(String::as_str)).await?.holding(&filter.none_of);
                scores.retain(|(slot, ..)| !excluded.contains_key(slot));
            }
        }
        if k == 0 || scores.is_empty() {
            return Ok(Vec::new());
        }
        if scores.len() > k {
            let (_, last, _) = scores.select_nth_unstable_by(k - 1, |a, b| b.1.total_cmp(&a.1));
            // All that score like the last one are named, because their ids decide which of them is in.
            let floor = last.1;
            scores.retain(|(_, score, _)| *score >= floor);
        }
        let score: HashMap<i64, f32> = scores.iter().map(|(slot, score, _)| (*slot, *score)).collect();
        let named: Vec<Named> = tx
            .all(
                format!(
                    "SELECT c.slot, c.chunk_id, d.document_id FROM {} c JOIN {} d ON d.number = c.document AND d.tenant = c.tenant
                     WHERE c.tenant = $1 AND c.slot = ANY($2::bigint[])",
                    self.names.chunks, self.names.documents
                ),
                args![tenant.number, numbers(score.keys().copied())],
            )
            .await
            .map_err(database)?;
        let mut hits: Vec<Hit> = named
            .into_iter()
            .map(|named| {
                let score = score.get(&named.slot).copied().unwrap_or_default();
                let share = (score / reachable.max(f32::MIN_POSITIVE)).clamp(0.0, 1.0);
                Hit { chunk_id: named.chunk_id, document_id: named.document_id, score, share }
            })
            .collect();
        hits.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.chunk_id.cmp(&b.chunk_id)));
        hits.truncate(k);
        Ok(hits)
    }

    pub(super) async fn frequencies(&self, tenant: &str, terms: &[String]) -> Result<Vec<f32>, IndexError> {
        let Some((mut tx, tenant)) = self.of_tenant(tenant).await? else { return Ok(vec![0.0; terms.len()]) };
        let lists = self.lists(&mut tx, &tenant, terms.iter().map(String::as_str)).await?;
        Ok(terms.iter().map(|term| lists.idf(term)).collect())
    }

    /// Makes one row of the many that single writes leave of a term, and drops the words of documents that are gone.
    pub(super) async fn merge_postings(&self) -> Result<(), IndexError> {
        let tenants: Vec<i64> = self
            .db
            .read_all()
            .await
            .map_err(database)?
            .all(format!("SELECT number FROM {} ORDER BY number", self.names.tenants), &[])
            .await
            .map_err(database)?;
        for tenant in tenants {
            let mut tx = self.db.read_all().await.map_err(database)?;
            let dead: Vec<i64> =
                tx.all(format!("SELECT number FROM {} WHERE tenant = $1", self.names.dead), args![tenant]).await.map_err(database)?;
            drop(tx);
            let clean = i64::try_from(dead.len()).unwrap_or(i64::MAX) >= MERGE_DEAD;
            let mut after = String::new();
            while let Some(last) = self.merge_some(tenant, &after, if clean { 1 } else { MERGE_ROWS }).await? {
                after = last;
            }
            if clean {
                // Every list was written again without them.
                let mut tx = self.db.write_all().await.map_err(database)?;
                tx.execute(
                    format!("DELETE FROM {} WHERE tenant = $1 AND number = ANY($2::bigint[])", self.names.dead),
                    args![tenant, numbers(dead)],
                )
                .await
                .map_err(database)?;
                tx.commit().await.map_err(database)?;
            }
        }
        Ok(())
    }

    /// Merges the next terms behind `after` that have at least `rows` rows, and returns the last of them.
    async fn merge_some(&self, tenant: i64, after: &str, rows: i64) -> Result<Option<String>, IndexError> {
        let table = &self.names.postings;
        let mut tx = self.db.write_all().await.map_err(database)?;
        // The tenant's writers wait, so that no row comes between reading and writing.
        let held: Option<i64> = tx
            .optional(format!("SELECT number FROM {} WHERE number = $1 FOR UPDATE", self.names.tenants), args![tenant])
            .await
            .map_err(database)?;
        if held.is_none() {
            return Ok(None);
        }
        let dead = self.dead(&mut tx, tenant).await?;
        let taken: Vec<Posting> = tx
            .all(
                format!(
                    "WITH terms AS (SELECT term FROM {table} WHERE tenant = $1 AND term > $2 GROUP BY term HAVING COUNT(*) >= $3 ORDER BY term LIMIT $4),
                          taken AS (DELETE FROM {table} p USING terms t WHERE p.tenant = $1 AND p.term = t.term RETURNING p.term, p.segment, p.entries)
                     SELECT term, entries FROM taken ORDER BY term, segment"
                ),
                args![tenant, after, rows, MERGE_TERMS],
            )
            .await
            .map_err(database)?;
        let Some(last) = taken.last().map(|row| row.term.clone()) else { return Ok(None) };
        let mut merged = Vec::new();
        for rows in taken.chunk_by(|a, b| a.term == b.term) {
            let mut entries = Vec::new();
            rows.iter().for_each(|row| unpack(&row.entries, &mut entries));
            entries.retain(|entry| !dead.contains(&entry.document()));
            entries.sort_unstable_by_key(|entry| entry.slot);
            if !entries.is_empty() {
                merged.push(serde_json::json!({"term": rows[0].term, "entries": hex::encode(pack(&entries))}));
            }
        }
        // Segment 0 lies before those of all writes.
        tx.execute(
            format!(
                "INSERT INTO {table} (tenant, term, segment, entries) SELECT $1, term, 0, decode(entries, 'hex')
                 FROM json_to_recordset($2::json) AS r(term text, entries text)"
            ),
            args![tenant, serde_json::Value::from(merged)],
        )
        .await
        .map_err(database)?;
        tx.commit().await.map_err(database)?;
        Ok(Some(last))
    }
}
