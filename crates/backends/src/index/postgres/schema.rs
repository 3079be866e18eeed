//! The tables of a generation, how they come to life, and how they go.

use astrolabe_kernel::{Db, Tx, args};

use super::{PostgresIndex, database, dense::EXACT};
use crate::{analysis::ANALYSIS_VERSION, index::IndexError};

/// Rises when tables of an older version can no longer be used.
const FORMAT: i64 = 1;
/// pgvector indexes half-precision vectors up to this length; longer ones are searched exactly.
const MAX_INDEXED_DIMS: usize = 4000;
/// Microseconds after which a generation that no process has opened or kept is removed.
const UNUSED: i64 = 24 * 3600 * 1_000_000;
/// Keeps processes that start together from making the same tables; any constant will do that nothing else uses.
const LOCK: i64 = 0x4153_5452_4958;

/// The names of a generation's tables.
#[derive(Debug, Clone)]
pub struct Names {
    /// The generation.
    pub generation: String,
    /// Tenants with their totals.
    pub tenants: String,
    /// Documents with what filters look at.
    pub documents: String,
    /// Chunks with their vectors.
    pub chunks: String,
    /// Words.
    pub postings: String,
    /// Numbers of documents that are gone and whose words are still in the postings.
    pub dead: String,
    /// The index over vectors.
    pub hnsw: String,
}

impl Names {
    fn new(alias: &str, version: &str, dims: usize) -> Self {
        use sha2::Digest;
        let what = format!("{FORMAT} {ANALYSIS_VERSION} {dims} {alias:?} {version:?}");
        Self::of(format!("search_{}", hex::encode(&sha2::Sha256::digest(what)[..6])))
    }

    fn of(generation: String) -> Self {
        let name = |what: &str| format!("{generation}_{what}");
        Self {
            tenants: name("tenants"),
            documents: name("documents"),
            chunks: name("chunks"),
            postings: name("postings"),
            dead: name("dead"),
            hnsw: name("hnsw"),
            generation,
        }
    }

    /// The tables, those first that others depend on.
    pub fn tables(&self) -> [&str; 5] {
        [&self.tenants, &self.documents, &self.chunks, &self.postings, &self.dead]
    }
}

/// Makes what is missing of a generation's tables and notes that it is in use.
pub async fn open(db: Db, alias: &str, version: &str, dims: usize) -> Result<PostgresIndex, IndexError> {
    if dims > 0 {
        extension(&db).await?;
    }
    let names = Names::new(alias, version, dims);
    let mut tx = db.write_schema().await.map_err(database)?;
    lock(&mut tx, LOCK).await?;
    for statement in tables(&names, dims) {
        tx.execute(statement, &[]).await.map_err(database)?;
    }
    fence(&mut tx, &names).await.map_err(database)?;
    tx.execute(
        format!(
            "INSERT INTO search_generations (name, alias, version, dims, used_at) VALUES ($1, $2, $3, $4, {NOW})
             ON CONFLICT (name) DO UPDATE SET used_at = {NOW}"
        ),
        args![&names.generation, alias, version, dims],
    )
    .await
    .map_err(database)?;
    tx.commit().await.map_err(database)?;
    db.look_at_fence().await.map_err(database)?;
    Ok(PostgresIndex { db, names, dims, exact: EXACT })
}

/// Row-level security for what a generation holds: tenants stand in one table by name, and by its number in the others.
async fn fence(tx: &mut Tx, names: &Names) -> astrolabe_kernel::Result<()> {
    const NAMED: &str = "tenant = (SELECT current_setting('astrolabe.tenant', true))";
    let numbered = format!("tenant = (SELECT number FROM {} WHERE {NAMED})", names.tenants);
    for table in names.tables() {
        tx.fence(table, if table == names.tenants { NAMED } else { &numbered }).await?;
    }
    tx.admit().await
}

/// The database's time, which is the same for every process.
const NOW: &str = "CAST(EXTRACT(EPOCH FROM now()) * 1000000 AS BIGINT)";

/// Waits for a lock that lasts until the transaction ends.
pub async fn lock(tx: &mut Tx, key: i64) -> Result<(), IndexError> {
    tx.one::<String>("SELECT CAST(pg_advisory_xact_lock($1) AS TEXT)", args![key]).await.map_err(database)?;
    Ok(())
}

/// Makes sure that the server has pgvector with what we need of it.
async fn extension(db: &Db) -> Result<(), IndexError> {
    let unusable = |reason: String| IndexError::Unusable { reason };
    const INSTALL: &str = "install pgvector 0.8 or newer on the PostgreSQL server, or set knowledge.index_engine to embedded";
    let installed = "SELECT extversion FROM pg_extension WHERE extname = 'vector'";
    let mut tx = db.write_schema().await.map_err(database)?;
    let mut found: Option<String> = tx.optional(installed, &[]).await.map_err(database)?;
    if found.is_none() {
        let offered = "SELECT default_version FROM pg_available_extensions WHERE name = 'vector'";
        if tx.optional::<String>(offered, &[]).await.map_err(database)?.is_none() {
            return Err(unusable(format!("the PostgreSQL server has no extension `vector`: {INSTALL}")));
        }
        lock(&mut tx, LOCK).await?;
        if let Err(error) = tx.execute("CREATE EXTENSION IF NOT EXISTS vector", &[]).await {
            let why = error.internal_detail().unwrap_or_default().split(';').next().unwrap_or_default();
            let why = why.trim_start_matches("error returned from database: ");
            return Err(unusable(format!(
                "the extension `vector` cannot be created ({why}): let a superuser run `CREATE EXTENSION vector` in this database, or set \
                 knowledge.index_engine to embedded"
            )));
        }
        found = tx.optional(installed, &[]).await.map_err(database)?;
        tx.commit().await.map_err(database)?;
    }
    let version = found.unwrap_or_default();
    let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    if (parts.next().unwrap_or(0), parts.next().unwrap_or(0)) < (0, 8) {
        return Err(unusable(format!("the extension `vector` is of version {version}: {INSTALL}")));
    }
    Ok(())
}

fn tables(names: &Names, dims: usize) -> Vec<String> {
    let Names { tenants, documents, chunks, postings, dead, .. } = names;
    let vector = if dims > 0 { format!(", vector halfvec({dims})") } else { String::new() };
    vec![
        "CREATE TABLE IF NOT EXISTS search_generations (
             name TEXT NOT NULL PRIMARY KEY, alias TEXT NOT NULL, version TEXT NOT NULL, dims BIGINT NOT NULL, used_at BIGINT NOT NULL)"
            .to_owned(),
        format!(
            "CREATE TABLE IF NOT EXISTS {tenants} (
                 number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, tenant TEXT COLLATE \"C\" NOT NULL UNIQUE,
                 documents BIGINT NOT NULL DEFAULT 0, chunks BIGINT NOT NULL DEFAULT 0, vectors BIGINT NOT NULL DEFAULT 0, words BIGINT NOT NULL DEFAULT 0)"
        ),
        format!(
            "CREATE TABLE IF NOT EXISTS {documents} (
                 number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, tenant BIGINT NOT NULL, document_id TEXT COLLATE \"C\" NOT NULL,
                 source_id TEXT COLLATE \"C\" NOT NULL, version BIGINT NOT NULL, mime TEXT COLLATE \"C\" NOT NULL, tags TEXT[] NOT NULL, readers TEXT[],
                 updated_at BIGINT NOT NULL, chunks BIGINT NOT NULL, vectors BIGINT NOT NULL, words BIGINT NOT NULL, UNIQUE (tenant, document_id))"
        ),
        format!("CREATE INDEX IF NOT EXISTS {documents}_source ON {documents} (tenant, source_id)"),
        format!(
            "CREATE TABLE IF NOT EXISTS {chunks} (
                 slot BIGINT NOT NULL PRIMARY KEY, tenant BIGINT NOT NULL, document BIGINT NOT NULL, chunk_id TEXT COLLATE \"C\" NOT NULL,
                 lang SMALLINT NOT NULL, page BIGINT{vector})"
        ),
        format!("CREATE INDEX IF NOT EXISTS {chunks}_document ON {chunks} (document)"),
        format!(
            "CREATE TABLE IF NOT EXISTS {postings} (
                 tenant BIGINT NOT NULL, term TEXT COLLATE \"C\" NOT NULL, segment BIGINT NOT NULL, entries BYTEA NOT NULL,
                 PRIMARY KEY (tenant, term, segment))"
        ),
        format!("CREATE TABLE IF NOT EXISTS {dead} (tenant BIGINT NOT NULL, number BIGINT NOT NULL, PRIMARY KEY (tenant, number))"),
    ]
}

impl PostgresIndex {
    /// Notes that this generation is in use, and removes those that no process has used for a day.
    pub(super) async fn sweep(&self) -> Result<(), IndexError> {
        let mut tx = self.db.write_schema().await.map_err(database)?;
        lock(&mut tx, LOCK).await?;
        tx.execute(format!("UPDATE search_generations SET used_at = {NOW} WHERE name = $1"), args![&self.names.generation])
            .await
            .map_err(database)?;
        let unused: Vec<String> =
            tx.all(format!("SELECT name FROM search_generations WHERE used_at < {NOW} - $1"), args![UNUSED]).await.map_err(database)?;
        for generation in unused {
            for table in Names::of(generation.clone()).tables().iter().rev() {
                tx.execute(format!("DROP TABLE IF EXISTS {table}"), &[]).await.map_err(database)?;
            }
            tx.execute("DELETE FROM search_generations WHERE name = $1", args![&generation]).await.map_err(database)?;
            tracing::info!(generation, "removed an index generation that no process uses");
        }
        tx.commit().await.map_err(database)
    }

    /// Makes the index over vectors, when there are enough of them that it is used and it is not there. Searches go on
    /// meanwhile; writers wait.
    pub(super) async fn index_vectors(&self) -> Result<(), IndexError> {
        if self.dims == 0 || self.dims > MAX_INDEXED_DIMS {
            return Ok(());
        }
        let Names { tenants, chunks, hnsw, .. } = &self.names;
        let wanted = format!("SELECT COALESCE(MAX(vectors), 0) >= $1 AND to_regclass('{hnsw}') IS NULL AS wanted FROM {tenants}");
        let mut tx = self.db.write_schema().await.map_err(database)?;
        if !tx.one::<bool>(wanted.clone(), args![self.exact]).await.map_err(database)? {
            return Ok(());
        }
        // One process builds; the others find it done.
        if !tx.one::<bool>("SELECT pg_try_advisory_xact_lock($1)", args![LOCK + 1]).await.map_err(database)? {
            return Ok(());
        }
        let create = format!("CREATE INDEX IF NOT EXISTS {hnsw} ON {chunks} USING hnsw (vector halfvec_ip_ops)");
        // The graph is built several times faster where it fits in memory.
        tx.one::<String>(
            "SELECT set_config('maintenance_work_mem', CAST(GREATEST(pg_size_bytes(current_setting('maintenance_work_mem')), 536870912) / 1024 AS TEXT) || 'kB', true)",
            &[],
        )
        .await
        .map_err(database)?;
        tx.execute(create, &[]).await.map_err(database)?;
        tx.commit().await.map_err(database)?;
        tracing::info!(index = hnsw, "built the index over vectors");
        Ok(())
    }

    /// Takes everything out, of every tenant.
    pub(super) async fn empty(&self) -> Result<(), IndexError> {
        let mut tx = self.db.write_schema().await.map_err(database)?;
        lock(&mut tx, LOCK).await?;
        tx.execute(format!("DROP INDEX IF EXISTS {}", self.names.hnsw), &[]).await.map_err(database)?;
        for table in self.names.tables() {
            tx.execute(format!("TRUNCATE TABLE {table}"), &[]).await.map_err(database)?;
        }
        tx.commit().await.map_err(database)
    }
}
