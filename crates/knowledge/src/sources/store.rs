//! The source table's statements.

use std::collections::{BTreeMap, HashMap};

use astrolabe_kernel::{
    Id, Result, Timestamp, Tx, args,
    db::{Arg, Dialect, FromRow, Row},
    principal::TenantId,
};

use super::Source;
use crate::{search::Ranking, uploads};

impl FromRow for Source {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self {
            id: row.id("id")?,
            name: row.get("name")?,
            description: row.get("description")?,
            tags: row.json("tags")?,
            chunk_size: row.get("chunk_size")?,
            chunk_overlap: row.get("chunk_overlap")?,
            readers: if row.is_null("readers")? { None } else { Some(row.json("readers")?) },
            ranking: row.json("ranking")?,
            origin: if row.is_null("origin")? { None } else { Some(row.json("origin")?) },
            scanned_at: row.optional_time("scanned_at")?,
            document_count: 0,
            chunk_count: 0,
            documents_by_state: BTreeMap::new(),
            created_at: row.time("created_at")?,
            updated_at: row.time("updated_at")?,
        })
    }
}

const COLUMNS: &str =
    "id, name, description, tags, chunk_size, chunk_overlap, readers, ranking, origin, scanned_at, created_at, updated_at";

/// One source.
pub async fn get(tx: &mut Tx, tenant: TenantId, id: Id<Source>) -> Result<Option<Source>> {
    let source = tx.optional(format!("SELECT {COLUMNS} FROM sources WHERE tenant_id = $1 AND id = $2"), args![tenant, id]).await?;
    with_counts(tx, tenant, source).await
}

/// Whether a source is there, and keeps it there until the transaction ends.
pub async fn hold(tx: &mut Tx, tenant: TenantId, id: Id<Source>) -> Result<bool> {
    let locking = if tx.dialect() == Dialect::Postgres { " FOR KEY SHARE" } else { "" };
    let there: Option<String> =
        tx.optional(format!("SELECT id FROM sources WHERE tenant_id = $1 AND id = $2{locking}"), args![tenant, id]).await?;
    Ok(there.is_some())
}

/// One source, to be changed in this transaction: until it ends, nobody adds documents to it.
pub async fn lock(tx: &mut Tx, tenant: TenantId, id: Id<Source>) -> Result<Option<Source>> {
    if tx.dialect() == Dialect::Postgres {
        tx.optional::<String>("SELECT id FROM sources WHERE tenant_id = $1 AND id = $2 FOR UPDATE", args![tenant, id]).await?;
    }
    get(tx, tenant, id).await
}

/// One source by its name.
pub async fn by_name(tx: &mut Tx, tenant: TenantId, name: &str) -> Result<Option<Source>> {
    let source = tx.optional(format!("SELECT {COLUMNS} FROM sources WHERE tenant_id = $1 AND name = $2"), args![tenant, name]).await?;
    with_counts(tx, tenant, source).await
}

/// Sources by age, oldest first, after the cursor, of `only` or of all; up to `limit + 1` rows.
pub async fn page(tx: &mut Tx, tenant: TenantId, only: Option<&[Id<Source>]>, after: &str, limit: i64) -> Result<Vec<Source>> {
    let mut args: Vec<Arg> = vec![Arg::from(tenant), Arg::from(after), Arg::from(limit + 1)];
    let mut condition = String::new();
    if let Some(only) = only {
        let places: Vec<String> = (0..only.len()).map(|i| format!("${}", i + 4)).collect();
        // An empty list is no SQL.
        condition = format!(" AND id IN ({})", if places.is_empty() { "NULL".to_owned() } else { places.join(", ") });
        args.extend(only.iter().map(|id| Arg::from(*id)));
    }
    let sql = format!("SELECT {COLUMNS} FROM sources WHERE tenant_id = $1 AND id > $2{condition} ORDER BY id LIMIT $3");
    let mut sources: Vec<Source> = tx.all(sql, &args).await?;
    count(tx, tenant, &mut sources).await?;
    Ok(sources)
}

/// How the documents of each source rank, of those sources that say something about it.
pub async fn rankings(tx: &mut Tx, tenant: TenantId) -> Result<HashMap<Id<Source>, Ranking>> {
    struct One(Id<Source>, Ranking);
    impl FromRow for One {
        fn from_row(row: &Row) -> Result<Self> {
            Ok(Self(row.id("id")?, row.json("ranking")?))
        }
    }
    let rows: Vec<One> = tx.all("SELECT id, ranking FROM sources WHERE tenant_id = $1", args![tenant]).await?;
    Ok(rows.into_iter().filter(|r| r.1 != Ranking::default()).map(|r| (r.0, r.1)).collect())
}

async fn with_counts(tx: &mut Tx, tenant: TenantId, source: Option<Source>) -> Result<Option<Source>> {
    let mut sources: Vec<Source> = source.into_iter().collect();
    count(tx, tenant, &mut sources).await?;
    Ok(sources.pop())
}

struct Count {
    source: Id<Source>,
    state: String,
    documents: i64,
    chunks: i64,
}

impl FromRow for Count {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self { source: row.id("source_id")?, state: row.get("state")?, documents: row.get("documents")?, chunks: row.get("chunks")? })
    }
}

async fn count(tx: &mut Tx, tenant: TenantId, sources: &mut [Source]) -> Result<()> {
    if sources.is_empty() {
        return Ok(());
    }
    let counts: Vec<Count> = tx
        .all(
            "SELECT source_id, state, COUNT(*) AS documents, CAST(SUM(chunk_count) AS BIGINT) AS chunks FROM documents WHERE tenant_id = $1
             GROUP BY source_id, state",
            args![tenant],
        )
        .await?;
    for source in sources {
        source.documents_by_state = ["queued", "running", "ready", "failed", "canceled"].map(|s| (s.to_owned(), 0)).into();
        for count in counts.iter().filter(|c| c.source == source.id) {
            source.document_count += count.documents;
            source.chunk_count += count.chunks;
            source.documents_by_state.insert(count.state.clone(), count.documents);
        }
    }
    Ok(())
}

/// Adds a source.
pub async fn insert(tx: &mut Tx, tenant: TenantId, source: &Source) -> Result<()> {
    tx.execute(
        "INSERT INTO sources (id, tenant_id, name, description, tags, chunk_size, chunk_overlap, created_at, updated_at, readers, ranking, origin)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8, $9, $10, $11)",
        args![
            source.id,
            tenant,
            &source.name,
            &source.description,
            serde_json::json!(source.tags),
            source.chunk_size,
            source.chunk_overlap,
            source.created_at,
            source.readers.as_ref().map(|ids| serde_json::json!(ids)),
            serde_json::json!(source.ranking),
            source.origin.as_ref().map(|origin| serde_json::json!(origin))
        ],
    )
    .await?;
    Ok(())
}

/// Changes name, description, tags, readers and ranking.
pub async fn update(tx: &mut Tx, tenant: TenantId, source: &Source, now: Timestamp) -> Result<()> {
    tx.execute(
        "UPDATE sources SET name = $1, description = $2, tags = $3, updated_at = $4, readers = $7, ranking = $8 WHERE tenant_id = $5 AND id = $6",
        args![
            &source.name,
            &source.description,
            serde_json::json!(source.tags),
            now,
            tenant,
            source.id,
            source.readers.as_ref().map(|ids| serde_json::json!(ids)),
            serde_json::json!(source.ranking)
        ],
    )
    .await?;
    Ok(())
}

/// Removes a source with everything in it.
pub async fn delete(tx: &mut Tx, tenant: TenantId, id: Id<Source>) -> Result<()> {
    uploads::store::delete_of_source(tx, tenant, id).await?;
    for sql in [
        "DELETE FROM chunks WHERE tenant_id = $1 AND source_id = $2",
        "DELETE FROM document_texts WHERE tenant_id = $1 AND document_id IN (SELECT id FROM documents WHERE tenant_id = $1 AND source_id = $2)",
        "DELETE FROM documents WHERE tenant_id = $1 AND source_id = $2",
        "DELETE FROM source_entries WHERE tenant_id = $1 AND source_id = $2",
        "DELETE FROM sources WHERE tenant_id = $1 AND id = $2",
    ] {
        tx.execute(sql, args![tenant, id]).await?;
    }
    tx.clear_stream(tenant, &super::stream(id)).await
}

/// The names of the sources whose lists of readers name a person, at most a thousand.
pub async fn read_by(tx: &mut Tx, tenant: TenantId, principal: &str) -> Result<Vec<String>> {
    let quoted = serde_json::Value::from(principal).to_string();
    let sql = "SELECT name FROM sources WHERE tenant_id = $1 AND REPLACE(readers, $2, '') <> readers ORDER BY name LIMIT 1000";
    tx.all(sql, args![tenant, quoted]).await
}

/// Puts another name for a person into lists of readers. Returns in how many.
pub async fn rename_reader(tx: &mut Tx, tenant: TenantId, principal: &str, name: &str) -> Result<u64> {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let sql = "UPDATE sources SET readers = REPLACE(readers, $2, $3) WHERE tenant_id = $1 AND REPLACE(readers, $2, '') <> readers";
    tx.execute(sql, args![tenant, quoted(principal), quoted(name)]).await
}

/// The sources of all tenants whose origin was not looked at since `before`, at most a hundred.
pub async fn due_for_scan(tx: &mut Tx, before: Timestamp) -> Result<Vec<(TenantId, Id<Source>)>> {
    struct Due(TenantId, Id<Source>);
    impl FromRow for Due {
        fn from_row(row: &Row) -> Result<Self> {
            Ok(Self(row.id("tenant_id")?, row.id("id")?))
        }
    }
    let sql =
        "SELECT tenant_id, id FROM sources WHERE origin IS NOT NULL AND (scanned_at IS NULL OR scanned_at <= $1) ORDER BY id LIMIT 100";
    let due: Vec<Due> = tx.all(sql, args![before]).await?;
    Ok(due.into_iter().map(|d| (d.0, d.1)).collect())
}

/// Notes that a source's origin was looked at.
pub async fn scanned(tx: &mut Tx, tenant: TenantId, id: Id<Source>, now: Timestamp) -> Result<()> {
    tx.execute("UPDATE sources SET scanned_at = $3 WHERE tenant_id = $1 AND id = $2", args![tenant, id, now]).await?;
    Ok(())
}

/// What was found at a source's origin: names and what tells that one has changed.
pub async fn entries(tx: &mut Tx, tenant: TenantId, id: Id<Source>) -> Result<BTreeMap<String, String>> {
    struct Entry(String, String);
    impl FromRow for Entry {
        fn from_row(row: &Row) -> Result<Self> {
            Ok(Self(row.get("name")?, row.get("fingerprint")?))
        }
    }
    let sql = "SELECT name, fingerprint FROM source_entries WHERE tenant_id = $1 AND source_id = $2";
    let entries: Vec<Entry> = tx.all(sql, args![tenant, id]).await?;
    Ok(entries.into_iter().map(|e| (e.0, e.1)).collect())
}

/// Notes what was found under a name.
pub async fn put_entry(tx: &mut Tx, tenant: TenantId, id: Id<Source>, name: &str, fingerprint: &str) -> Result<()> {
    let sql = "INSERT INTO source_entries (source_id, name, tenant_id, fingerprint) VALUES ($1, $2, $3, $4)
               ON CONFLICT (source_id, name) DO UPDATE SET fingerprint = excluded.fingerprint";
    tx.execute(sql, args![id, name, tenant, fingerprint]).await?;
    Ok(())
}

/// Forgets a name.
pub async fn delete_entry(tx: &mut Tx, tenant: TenantId, id: Id<Source>, name: &str) -> Result<()> {
    tx.execute("DELETE FROM source_entries WHERE tenant_id = $1 AND source_id = $2 AND name = $3", args![tenant, id, name]).await?;
    Ok(())
}
