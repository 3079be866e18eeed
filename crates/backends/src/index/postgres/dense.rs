//! Searching by meaning: exactly where few vectors are allowed, through the graph where many are.

use astrolabe_kernel::{
    Tx,
    db::{Arg, FromRow, Row},
};

use super::filter::Condition;
use super::text::{numbers, parse_vector, texts, vector as literal};
use super::{PostgresIndex, database};
use crate::index::check::unit;
use crate::index::{Filter, Hit, IndexError};

/// Allowed vectors up to which all are compared, which costs about as much as a filtered walk over the graph by then
/// (`docs/adr/0011-postgres-index.md`).
pub const EXACT: i64 = 2_000;
/// Candidates that the graph search keeps, at least and at most (pgvector's own limit).
const EF_SEARCH: (usize, usize) = (200, 1000);
/// Vectors that the graph search looks at before it gives up, and the exact one takes over.
const MAX_SCAN: &str = "100000";

struct Near {
    chunk_id: String,
    document_id: String,
    score: f64,
}

impl FromRow for Near {
    fn from_row(row: &Row) -> astrolabe_kernel::Result<Self> {
        Ok(Self { chunk_id: row.get("chunk_id")?, document_id: row.get("document_id")?, score: row.get("score")? })
    }
}

struct Stored {
    document_id: String,
    chunk_id: String,
    vector: Option<String>,
}

impl FromRow for Stored {
    fn from_row(row: &Row) -> astrolabe_kernel::Result<Self> {
        Ok(Self { document_id: row.get("document_id")?, chunk_id: row.get("chunk_id")?, vector: row.get("vector")? })
    }
}

impl PostgresIndex {
    pub(super) async fn search_vectors(&self, filter: &Filter, vector: &[f32], k: usize) -> Result<Vec<Hit>, IndexError> {
        let query = literal(&unit(vector, self.dims)?);
        let Some((mut tx, tenant)) = self.of_tenant(&filter.tenant).await? else { return Ok(Vec::new()) };
        if k == 0 || tenant.vectors == 0 {
            return Ok(Vec::new());
        }
        let mut condition = Condition::new(filter, tenant.number);
        let documents = &self.names.documents;
        let mut allowed = tenant.vectors;
        if !condition.all_documents {
            // The language is in no document, so the arguments end before it.
            let sql = format!("SELECT CAST(COALESCE(SUM(d.vectors), 0) AS BIGINT) AS n FROM {documents} d WHERE {}", condition.documents);
            allowed = tx.one(sql, condition.document_args()).await.map_err(database)?;
        }
        if !filter.all_of.is_empty() {
            let slots = self.slots_with_words(&mut tx, filter, &tenant, &condition).await?;
            allowed = allowed.min(i64::try_from(slots.len()).unwrap_or(i64::MAX));
            let place = condition.push(numbers(slots));
            condition.chunks += &format!(" AND c.slot = ANY({place}::bigint[])");
        } else if !filter.none_of.is_empty() {
            let excluded = self.lists(&mut tx, &tenant, filter.none_of.iter().map(String::as_str)).await?.holding(&filter.none_of);
            let place = condition.push(numbers(excluded.into_keys()));
            condition.chunks += &format!(" AND c.slot <> ALL({place}::bigint[])");
        }
        if allowed == 0 {
            return Ok(Vec::new());
        }
        let near = if allowed >= self.exact && self.has_graph(&mut tx).await? {
            let near = self.through_graph(&mut tx, &condition, &query, k).await?;
            let complete = i64::try_from(near.len()).unwrap_or(i64::MAX) >= allowed.min(i64::try_from(k).unwrap_or(i64::MAX));
            if complete { near } else { self.exactly(&mut tx, &condition, &query, k).await? }
        } else {
            self.exactly(&mut tx, &condition, &query, k).await?
        };
        Ok(near
            .into_iter()
            .map(|near| {
                let score = near.score as f32;
                Hit { chunk_id: near.chunk_id, document_id: near.document_id, score, share: score.clamp(0.0, 1.0) }
            })
            .collect())
    }

    pub(super) async fn has_graph(&self, tx: &mut Tx) -> Result<bool, IndexError> {
        tx.one(format!("SELECT to_regclass('{}') IS NOT NULL AS there", self.names.hnsw), &[]).await.map_err(database)
    }

    async fn exactly(&self, tx: &mut Tx, condition: &Condition, query: &str, k: usize) -> Result<Vec<Near>, IndexError> {
        let (chunks, documents) = (&self.names.chunks, &self.names.documents);
        let mut args = condition.args.clone();
        args.extend([Arg::from(query), Arg::from(k)]);
        let (vector, limit) = (args.len() - 1, args.len());
        // Materialised, so that the graph is not used for the order.
        let sql = format!(
            "WITH near AS MATERIALIZED (
                 SELECT c.chunk_id, d.document_id, -(c.vector <#> ${vector}::halfvec) AS score
                 FROM {documents} d JOIN {chunks} c ON c.document = d.number AND c.tenant = d.tenant
                 WHERE c.vector IS NOT NULL AND {}{})
             SELECT chunk_id, document_id, score FROM near ORDER BY score DESC, chunk_id LIMIT ${limit}",
            condition.documents, condition.chunks
        );
        tx.all(sql, &args).await.map_err(database)
    }

    async fn through_graph(&self, tx: &mut Tx, condition: &Condition, query: &str, k: usize) -> Result<Vec<Near>, IndexError> {
        tx.one::<String>(graph_settings(k), &[]).await.map_err(database)?;
        let (sql, args) = self.graph_query(condition, query, k);
        tx.all(sql, &args).await.map_err(database)
    }

    /// The search through the graph as SQL; [`graph_settings`] come before it.
    pub(super) fn graph_query(&self, condition: &Condition, query: &str, k: usize) -> (String, Vec<Arg>) {
        let (chunks, documents) = (&self.names.chunks, &self.names.documents);
        let mut args = condition.args.clone();
        // Some more than wanted: the graph gives them in nearly the right order.
        args.extend([Arg::from(query), Arg::from(k.saturating_add(k / 2).max(100)), Arg::from(k)]);
        let (vector, wide, limit) = (args.len() - 2, args.len() - 1, args.len());
        let of_documents = if condition.all_documents {
            String::new()
        } else {
            format!(" AND EXISTS (SELECT 1 FROM {documents} d WHERE d.number = c.document AND {})", condition.documents)
        };
        let sql = format!(
            "WITH near AS MATERIALIZED (
                 SELECT c.chunk_id, c.document, -(c.vector <#> ${vector}::halfvec) AS score FROM {chunks} c
                 WHERE c.tenant = $1{of_documents}{} ORDER BY c.vector <#> ${vector}::halfvec LIMIT ${wide})
             SELECT n.chunk_id, d.document_id, n.score FROM near n JOIN {documents} d ON d.number = n.document
             ORDER BY n.score DESC, n.chunk_id LIMIT ${limit}",
            condition.chunks
        );
        (sql, args)
    }

    pub(super) async fn stored_vectors(&self, tenant: &str, chunks: &[(String, String)]) -> Result<Vec<Option<Vec<f32>>>, IndexError> {
        let mut found = vec![None; chunks.len()];
        let Some((mut tx, tenant)) = self.of_tenant(tenant).await? else { return Ok(found) };
        if self.dims == 0 {
            return Ok(found);
        }
        let rows: Vec<Stored> = tx
            .all(
                format!(
                    "SELECT d.document_id, c.chunk_id, CAST(c.vector AS TEXT) AS vector FROM {} d JOIN {} c ON c.document = d.number AND c.tenant = d.tenant
                     WHERE d.tenant = $1 AND d.document_id = ANY($2::text[]) AND c.chunk_id = ANY($3::text[])",
                    self.names.documents, self.names.chunks
                ),
                &[
                    Arg::from(tenant.number),
                    Arg::from(texts(chunks.iter().map(|(document, _)| document.as_str()))),
                    Arg::from(texts(chunks.iter().map(|(_, chunk)| chunk.as_str()))),
                ],
            )
            .await
            .map_err(database)?;
        for ((document, chunk), found) in chunks.iter().zip(&mut found) {
            let row = rows.iter().find(|row| row.document_id == *document && row.chunk_id == *chunk);
            *found = row.and_then(|row| parse_vector(row.vector.as_deref()?));
        }
        Ok(found)
    }
}

/// Settings of a transaction without which a filter could be planned as a scan of everything with a sort behind it.
pub(super) fn graph_settings(k: usize) -> String {
    let ef = k.saturating_mul(2).clamp(EF_SEARCH.0, EF_SEARCH.1);
    format!(
        "SELECT concat(set_config('hnsw.iterative_scan', 'relaxed_order', true), set_config('hnsw.max_scan_tuples', '{MAX_SCAN}', true),
                       set_config('hnsw.scan_mem_multiplier', '8', true), set_config('hnsw.ef_search', '{ef}', true),
                       set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true),
                       set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true),
                       set_config('enable_sort', 'off', true))"
    )
}
