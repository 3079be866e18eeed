//! The engine on PostgreSQL: vectors by pgvector, words by posting lists in rows, shared by every process on the database.
//!
//! A generation has tables of its own, named by a hash of embedding, dimensions and analysis. A write is one transaction
//! that holds its tenant's row; a read is one snapshot. Nothing is kept in the process, so nothing can be stale there.
//! Figures and reasons: `docs/adr/0011-postgres-index.md`.

mod dense;
mod filter;
mod near;
mod postings;
mod schema;
#[cfg(test)]
mod tests;
mod text;
mod words;
mod write;

use astrolabe_kernel::{
    Db, Error, Tx,
    db::{Dialect, FromRow, Row, Scope},
};

use super::{DocumentState, Filter, Hit, IndexDocument, IndexError, IndexStats, Pending, SearchIndex};
use crate::analysis::{Lookup, Near, QueryTerm};
use schema::Names;

/// The index of one generation in a PostgreSQL database. Clones share the connections.
#[derive(Clone)]
pub struct PostgresIndex {
    db: Db,
    names: Names,
    /// Length of the vectors; 0 for a generation without.
    dims: usize,
    /// Allowed vectors below which all are compared; [`dense::EXACT`], and fewer in tests.
    exact: i64,
}

impl std::fmt::Debug for PostgresIndex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresIndex").field("generation", &self.names.generation).finish_non_exhaustive()
    }
}

/// A tenant's number and totals.
struct Tenant {
    number: i64,
    chunks: i64,
    vectors: i64,
    words: i64,
}

impl FromRow for Tenant {
    fn from_row(row: &Row) -> astrolabe_kernel::Result<Self> {
        Ok(Self { number: row.get("number")?, chunks: row.get("chunks")?, vectors: row.get("vectors")?, words: row.get("words")? })
    }
}

async fn as_snapshot(tx: &mut Tx) -> Result<(), IndexError> {
    tx.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY", &[]).await.map_err(database)?;
    // Compiling a query takes longer than these take to run.
    tx.execute("SET LOCAL jit = off", &[]).await.map_err(database)?;
    Ok(())
}

/// A database's error as the index's.
fn database(error: Error) -> IndexError {
    IndexError::Database(error)
}

impl PostgresIndex {
    /// Opens the index of a generation, making its tables when there are none. `dims` 0 makes one without vectors, which
    /// needs no extension.
    ///
    /// # Errors
    /// `Unusable` with the way out when this is not PostgreSQL or pgvector 0.8 is neither there nor can be created;
    /// otherwise what the database says.
    pub async fn open(db: Db, embed_alias: &str, embed_version: &str, dims: usize) -> Result<Self, IndexError> {
        if db.dialect() != Dialect::Postgres {
            let reason = "the database is not PostgreSQL: set database.url, or set knowledge.index_engine to embedded".to_owned();
            return Err(IndexError::Unusable { reason });
        }
        schema::open(db, embed_alias, embed_version, dims).await
    }

    /// A transaction that sees one moment, of all tenants.
    async fn snapshot(&self) -> Result<Tx, IndexError> {
        let mut tx = self.db.read_all().await.map_err(database)?;
        as_snapshot(&mut tx).await?;
        Ok(tx)
    }

    /// A transaction that sees one moment of a tenant, with its number and totals; `None` when the index has nothing of it.
    async fn of_tenant(&self, name: &str) -> Result<Option<(Tx, Tenant)>, IndexError> {
        let Ok(scope) = Scope::named(name) else { return Ok(None) };
        let mut tx = self.db.read(scope).await.map_err(database)?;
        as_snapshot(&mut tx).await?;
        Ok(filter::tenant(&mut tx, &self.names.tenants, name).await?.map(|tenant| (tx, tenant)))
    }

    async fn all_documents(&self) -> Result<Vec<DocumentState>, IndexError> {
        let sql = format!(
            "SELECT t.tenant, d.source_id, d.document_id, d.version, d.chunks, d.vectors FROM {} d JOIN {} t ON t.number = d.tenant
             ORDER BY t.tenant, d.document_id",
            self.names.documents, self.names.tenants
        );
        self.snapshot().await?.all(sql, &[]).await.map_err(database)
    }

    async fn sizes(&self) -> Result<IndexStats, IndexError> {
        let bytes: Vec<String> = self.names.tables().iter().map(|table| format!("pg_total_relation_size('{table}')")).collect();
        let sql = format!(
            "SELECT CAST(COALESCE(SUM(documents), 0) AS BIGINT) AS documents, CAST(COALESCE(SUM(chunks), 0) AS BIGINT) AS chunks,
                    CAST(COALESCE(SUM(vectors), 0) AS BIGINT) AS vectors, {} AS bytes, (SELECT COUNT(*) FROM {}) AS dead FROM {}",
            bytes.join(" + "),
            self.names.dead,
            self.names.tenants
        );
        let sizes: Sizes = self.db.read_all().await.map_err(database)?.one(sql, &[]).await.map_err(database)?;
        Ok(sizes.0)
    }
}

impl FromRow for DocumentState {
    fn from_row(row: &Row) -> astrolabe_kernel::Result<Self> {
        let small = |column: &str| row.get::<i64>(column).map(|n| u32::try_from(n).unwrap_or(u32::MAX));
        Ok(Self {
            tenant: row.get("tenant")?,
            source_id: row.get("source_id")?,
            document_id: row.get("document_id")?,
            version: row.get("version")?,
            chunks: small("chunks")?,
            vectors: small("vectors")?,
        })
    }
}

struct Sizes(IndexStats);

impl FromRow for Sizes {
    fn from_row(row: &Row) -> astrolabe_kernel::Result<Self> {
        let size = |column: &str| row.get::<i64>(column).map(|n| usize::try_from(n).unwrap_or(0));
        let (documents, dead) = (size("documents")?, size("dead")?);
        Ok(Self(IndexStats {
            documents,
            chunks: size("chunks")?,
            vectors: size("vectors")?,
            bytes_on_disk: u64::try_from(row.get::<i64>("bytes")?).unwrap_or(0),
            live_ratio: documents as f64 / (documents + dead).max(1) as f64,
        }))
    }
}

impl SearchIndex for PostgresIndex {
    fn replace_documents(&self, documents: Vec<IndexDocument>) -> Pending<'_, ()> {
        Box::pin(async move {
            let dims = self.dims;
            // Analysis computes for as long as the documents are.
            let analysed = tokio::task::spawn_blocking(move || write::analysed(documents, dims)).await;
            self.put(analysed.unwrap_or(Err(IndexError::Interrupted))?).await
        })
    }

    fn delete_document<'a>(&'a self, tenant: &'a str, document_id: &'a str) -> Pending<'a, ()> {
        Box::pin(self.take_out(tenant, "document_id = $2", document_id))
    }

    fn delete_source<'a>(&'a self, tenant: &'a str, source_id: &'a str) -> Pending<'a, ()> {
        Box::pin(self.take_out(tenant, "source_id = $2", source_id))
    }

    fn dense<'a>(&'a self, filter: &'a Filter, vector: &'a [f32], k: usize) -> Pending<'a, Vec<Hit>> {
        Box::pin(self.search_vectors(filter, vector, k))
    }

    fn lexical<'a>(&'a self, filter: &'a Filter, terms: &'a [QueryTerm], k: usize) -> Pending<'a, Vec<Hit>> {
        Box::pin(self.search_words(filter, terms, k))
    }

    fn count<'a>(&'a self, filter: &'a Filter) -> Pending<'a, u64> {
        Box::pin(self.count_allowed(filter))
    }

    fn idf<'a>(&'a self, tenant: &'a str, terms: &'a [String]) -> Pending<'a, Vec<f32>> {
        Box::pin(self.frequencies(tenant, terms))
    }

    fn near_terms<'a>(&'a self, tenant: &'a str, lookups: &'a [Lookup]) -> Pending<'a, Vec<Vec<Near>>> {
        Box::pin(self.terms_near(tenant, lookups))
    }

    fn vectors<'a>(&'a self, tenant: &'a str, chunks: &'a [(String, String)]) -> Pending<'a, Vec<Option<Vec<f32>>>> {
        Box::pin(self.stored_vectors(tenant, chunks))
    }

    fn documents(&self) -> Pending<'_, Vec<DocumentState>> {
        Box::pin(self.all_documents())
    }

    fn stats(&self) -> Pending<'_, IndexStats> {
        Box::pin(self.sizes())
    }

    fn maintain(&self) -> Pending<'_, ()> {
        Box::pin(async move {
            self.sweep().await?;
            self.merge_postings().await?;
            self.index_vectors().await
        })
    }

    fn clear(&self) -> Pending<'_, ()> {
        Box::pin(self.empty())
    }

    fn kind(&self) -> &'static str {
        "postgres"
    }
}
