//! The tables of documents, their texts, chunks and vectors.

use std::collections::{HashMap, HashSet};

use astrolabe_kernel::{
    Id, Result, Timestamp, Tx, args,
    db::{Arg, Dialect, FromRow, Row},
    jobs::{JobError, JobState},
    principal::TenantId,
};

use super::Document;
use crate::{
    ingest::{Piece, extract::Heading},
    sources::Source,
};

const COLUMNS: &str = "id, source_id, name, mime, size, lang, title, tags, state, error_code, error_message, content_hash, duplicate_of, version, \
                       indexed_version, chunk_count, embedded, job_id, created_at, updated_at";

impl FromRow for Document {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self {
            id: row.id("id")?,
            source_id: row.id("source_id")?,
            name: row.get("name")?,
            mime: row.get("mime")?,
            size: row.get("size")?,
            lang: row.get("lang")?,
            title: row.get("title")?,
            tags: row.json("tags")?,
            state: JobState::parse(&row.get::<String>("state")?)?,
            error: JobError::of_row(row)?,
            content_hash: row.get("content_hash")?,
            duplicate_of: row.optional_id("duplicate_of")?,
            version: row.get("version")?,
            indexed_version: row.get("indexed_version")?,
            chunk_count: row.get("chunk_count")?,
            embedded: row.get("embedded")?,
            job_id: row.id("job_id")?,
            created_at: row.time("created_at")?,
            updated_at: row.time("updated_at")?,
        })
    }
}

/// One document.
pub async fn get(tx: &mut Tx, tenant: TenantId, id: Id<Document>) -> Result<Option<Document>> {
    tx.optional(format!("SELECT {COLUMNS} FROM documents WHERE tenant_id = $1 AND id = $2"), args![tenant, id]).await
}

/// One document, to be changed in this transaction.
pub async fn lock(tx: &mut Tx, tenant: TenantId, id: Id<Document>) -> Result<Option<Document>> {
    let locking = tx.locking();
    tx.optional(format!("SELECT {COLUMNS} FROM documents WHERE tenant_id = $1 AND id = $2{locking}"), args![tenant, id]).await
}

/// One document by its name in a source, to be changed in this transaction.
pub async fn lock_by_name(tx: &mut Tx, tenant: TenantId, source: Id<Source>, name: &str) -> Result<Option<Document>> {
    let locking = tx.locking();
    tx.optional(
        format!("SELECT {COLUMNS} FROM documents WHERE tenant_id = $1 AND source_id = $2 AND name = $3{locking}"),
        args![tenant, source, name],
    )
    .await
}

/// A source's documents, newest first, of one state or of all (empty), after the cursor; up to `limit + 1` rows.
pub async fn page(tx: &mut Tx, tenant: TenantId, source: Id<Source>, state: &str, after: &str, limit: i64) -> Result<Vec<Document>> {
    tx.all(
        format!(
            "SELECT {COLUMNS} FROM documents WHERE tenant_id = $1 AND source_id = $2 AND ($3 = '' OR state = $3) AND ($4 = '' OR id < $4)
             ORDER BY id DESC LIMIT $5"
        ),
        args![tenant, source, state, after, limit + 1],
    )
    .await
}

/// Writes a document's row.
pub async fn put(tx: &mut Tx, tenant: TenantId, d: &Document) -> Result<()> {
    tx.execute(
        "INSERT INTO documents (id, tenant_id, source_id, name, mime, size, lang, title, tags, state, error_code, error_message, content_hash, duplicate_of,
                                version, indexed_version, chunk_count, embedded, job_id, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21)
         ON CONFLICT (id) DO UPDATE SET mime = $5, size = $6, lang = $7, title = $8, tags = $9, state = $10, error_code = $11, error_message = $12,
                                content_hash = $13, duplicate_of = $14, version = $15, indexed_version = $16, chunk_count = $17, embedded = $18,
                                job_id = $19, updated_at = $21",
        args![
            d.id,
            tenant,
            d.source_id,
            &d.name,
            &d.mime,
            d.size,
            &d.lang,
            &d.title,
            serde_json::json!(d.tags),
            d.state.as_str(),
            d.error.as_ref().map(|e| e.code.clone()),
            d.error.as_ref().map(|e| e.message.clone()),
            &d.content_hash,
            d.duplicate_of,
            d.version,
            d.indexed_version,
            d.chunk_count,
            d.embedded,
            d.job_id,
            d.created_at,
            d.updated_at
        ],
    )
    .await?;
    Ok(())
}

/// Removes a document with its text and chunks.
pub async fn delete(tx: &mut Tx, tenant: TenantId, id: Id<Document>) -> Result<()> {
    for sql in [
        "DELETE FROM chunks WHERE tenant_id = $1 AND document_id = $2",
        "DELETE FROM document_texts WHERE tenant_id = $1 AND document_id = $2",
        "DELETE FROM documents WHERE tenant_id = $1 AND id = $2",
    ] {
        tx.execute(sql, args![tenant, id]).await?;
    }
    Ok(())
}

/// Removes a document's text and chunks, and leaves its row.
pub async fn clear_content(tx: &mut Tx, tenant: TenantId, id: Id<Document>) -> Result<()> {
    tx.execute("DELETE FROM chunks WHERE tenant_id = $1 AND document_id = $2", args![tenant, id]).await?;
    tx.execute("DELETE FROM document_texts WHERE tenant_id = $1 AND document_id = $2", args![tenant, id]).await?;
    Ok(())
}

/// Keeps the question which document of a source has a content to this transaction. SQLite has one writer at a time anyway.
pub async fn hold_content(tx: &mut Tx, tenant: TenantId, source: Id<Source>, hash: &str) -> Result<()> {
    if tx.dialect() == Dialect::Postgres {
        let key = format!("content {tenant} {source} {hash}");
        tx.one::<String>("SELECT CAST(pg_advisory_xact_lock(hashtextextended($1, 0)) AS TEXT)", args![key]).await?;
    }
    Ok(())
}

/// The oldest document of a source whose chunks are of this content. It stays so until the transaction ends.
pub async fn original(tx: &mut Tx, tenant: TenantId, source: Id<Source>, hash: &str, not: Id<Document>) -> Result<Option<Document>> {
    let locking = tx.locking();
    tx.optional(
        format!(
            "SELECT {COLUMNS} FROM documents WHERE tenant_id = $1 AND source_id = $2 AND content_hash = $3 AND id <> $4
             AND indexed_version = version AND duplicate_of IS NULL ORDER BY id LIMIT 1{locking}"
        ),
        args![tenant, source, hash, not],
    )
    .await
}

/// The oldest duplicate of a document that has another content than `hash`.
pub async fn first_duplicate(tx: &mut Tx, tenant: TenantId, of: Id<Document>, hash: &str) -> Result<Option<Document>> {
    let locking = tx.locking();
    tx.optional(
        format!(
            "SELECT {COLUMNS} FROM documents WHERE tenant_id = $1 AND duplicate_of = $2 AND content_hash <> $3 ORDER BY id LIMIT 1{locking}"
        ),
        args![tenant, of, hash],
    )
    .await
}

/// Makes the duplicates of one document with this content those of another.
pub async fn repoint_duplicates(tx: &mut Tx, tenant: TenantId, from: Id<Document>, hash: &str, to: Id<Document>) -> Result<()> {
    tx.execute(
        "UPDATE documents SET duplicate_of = $1 WHERE tenant_id = $2 AND duplicate_of = $3 AND content_hash = $4 AND id <> $1",
        args![to, tenant, from, hash],
    )
    .await?;
    Ok(())
}

/// A document's text and sections.
pub async fn text(tx: &mut Tx, tenant: TenantId, id: Id<Document>) -> Result<Option<(String, Vec<Heading>)>> {
    struct Text(String, Vec<Heading>);
    impl FromRow for Text {
        fn from_row(row: &Row) -> Result<Self> {
            Ok(Self(row.get("text")?, row.json("headings")?))
        }
    }
    let row: Option<Text> =
        tx.optional("SELECT text, headings FROM document_texts WHERE tenant_id = $1 AND document_id = $2", args![tenant, id]).await?;
    Ok(row.map(|t| (t.0, t.1)))
}

/// Replaces a document's text and chunks.
pub async fn replace_content(
    tx: &mut Tx,
    tenant: TenantId,
    d: &Document,
    text: &str,
    headings: &[Heading],
    pieces: &[Piece],
) -> Result<()> {
    tx.execute("DELETE FROM chunks WHERE tenant_id = $1 AND document_id = $2", args![tenant, d.id]).await?;
    tx.execute(
        "INSERT INTO document_texts (document_id, tenant_id, text, headings) VALUES ($1, $2, $3, $4)
         ON CONFLICT (document_id) DO UPDATE SET text = $3, headings = $4",
        args![d.id, tenant, text, serde_json::json!(headings)],
    )
    .await?;
    for batch in batches(pieces) {
        insert_chunks(tx, tenant, d, batch).await?;
    }
    Ok(())
}

/// How many rows one statement is about: few different statements, so that the engines keep them prepared, and far below the 32,766
/// arguments that SQLite takes.
const ROWS: [usize; 4] = [64, 16, 4, 1];

/// Rows in parts of the sizes of [`ROWS`], the largest first.
fn batches<T>(mut rows: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let size = ROWS.into_iter().find(|size| *size <= rows.len())?;
        let (batch, rest) = rows.split_at(size);
        rows = rest;
        Some(batch)
    })
}

async fn insert_chunks(tx: &mut Tx, tenant: TenantId, d: &Document, pieces: &[Piece]) -> Result<()> {
    let row = |i: usize| {
        let own: Vec<String> = (5..14).map(|n| format!("${}", n + 9 * i)).collect();
        format!("($1, $2, $3, $4, {})", own.join(", "))
    };
    let rows: Vec<String> = (0..pieces.len()).map(row).collect();
    let mut args = vec![Arg::from(tenant), d.source_id.into(), d.id.into(), d.version.into()];
    for piece in pieces {
        args.extend([
            Arg::from(piece.page),
            piece.id.into(),
            piece.ordinal.into(),
            piece.start.into(),
            piece.end.into(),
            (&piece.heading).into(),
            (&piece.text).into(),
            (&piece.text_hash).into(),
            (&piece.lang).into(),
        ]);
    }
    tx.execute(
        format!(
            "INSERT INTO chunks (tenant_id, source_id, document_id, version, page, id, ordinal, start_at, end_at, heading, text, text_hash, lang)
             VALUES {}",
            rows.join(", ")
        ),
        &args,
    )
    .await?;
    Ok(())
}

impl FromRow for Piece {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self {
            id: row.id("id")?,
            ordinal: row.get("ordinal")?,
            start: row.get("start_at")?,
            end: row.get("end_at")?,
            heading: row.get("heading")?,
            page: row.get("page")?,
            text: row.get("text")?,
            text_hash: row.get("text_hash")?,
            lang: row.get("lang")?,
        })
    }
}

/// A document's chunks in reading order.
pub async fn pieces(tx: &mut Tx, tenant: TenantId, id: Id<Document>) -> Result<Vec<Piece>> {
    tx.all(
        "SELECT id, ordinal, start_at, end_at, heading, page, text, text_hash, lang FROM chunks WHERE tenant_id = $1 AND document_id = $2 ORDER BY ordinal",
        args![tenant, id],
    )
    .await
}

/// A document that can be found.
pub struct Indexed {
    pub tenant: TenantId,
    pub id: Id<Document>,
    /// The version that its chunks are of.
    pub version: i64,
    pub chunks: i64,
    pub embedded: bool,
}

impl FromRow for Indexed {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self {
            tenant: row.id("tenant_id")?,
            id: row.id("id")?,
            version: row.get("indexed_version")?,
            chunks: row.get("chunk_count")?,
            embedded: row.get("embedded")?,
        })
    }
}

/// Every document of every tenant that can be found, a tenant's together.
pub async fn indexed(tx: &mut Tx) -> Result<Vec<Indexed>> {
    tx.all(
        "SELECT tenant_id, id, indexed_version, chunk_count, embedded FROM documents WHERE indexed_version > 0 AND duplicate_of IS NULL
         ORDER BY tenant_id, id",
        &[],
    )
    .await
}

/// Those of some documents of a tenant that can be found, each with its chunks in reading order.
pub async fn found(tx: &mut Tx, tenant: TenantId, ids: &[Id<Document>]) -> Result<Vec<(Document, Vec<Piece>)>> {
    struct Of(Id<Document>, Piece);
    impl FromRow for Of {
        fn from_row(row: &Row) -> Result<Self> {
            Ok(Self(row.id("document_id")?, Piece::from_row(row)?))
        }
    }
    let (list, args) = list_of(tenant, ids);
    let sql =
        format!("SELECT {COLUMNS} FROM documents WHERE tenant_id = $1 AND id IN ({list}) AND indexed_version > 0 AND duplicate_of IS NULL");
    let documents: Vec<Document> = tx.all(sql, &args).await?;
    let sql = format!(
        "SELECT document_id, id, ordinal, start_at, end_at, heading, page, text, text_hash, lang FROM chunks WHERE tenant_id = $1 AND document_id IN ({list})
         ORDER BY document_id, ordinal"
    );
    let mut pieces: HashMap<Id<Document>, Vec<Piece>> = HashMap::new();
    for Of(document, piece) in tx.all(sql, &args).await? {
        pieces.entry(document).or_default().push(piece);
    }
    let with_pieces = |document: Document| {
        let own = pieces.remove(&document.id).unwrap_or_default();
        (document, own)
    };
    Ok(documents.into_iter().map(with_pieces).collect())
}

/// The tenant and some ids as arguments, and the places of the ids in a statement that begins with the tenant.
fn list_of(tenant: TenantId, ids: &[Id<Document>]) -> (String, Vec<Arg>) {
    let places: Vec<String> = (0..ids.len()).map(|i| format!("${}", i + 2)).collect();
    (places.join(", "), std::iter::once(Arg::from(tenant)).chain(ids.iter().map(|id| Arg::from(*id))).collect())
}

/// Stored vectors of some documents' chunks, by the hash of their text.
pub async fn vectors(tx: &mut Tx, tenant: TenantId, ids: &[Id<Document>], alias: &str, model: &str) -> Result<HashMap<String, Vec<f32>>> {
    let (list, mut args) = list_of(tenant, ids);
    args.extend([Arg::from(alias), Arg::from(model)]);
    let (alias, model) = (ids.len() + 2, ids.len() + 3);
    let sql = format!(
        "SELECT e.text_hash, e.vector FROM embeddings e WHERE e.tenant_id = $1 AND e.alias = ${alias} AND e.model_version = ${model}
         AND e.text_hash IN (SELECT text_hash FROM chunks WHERE tenant_id = $1 AND document_id IN ({list}))"
    );
    let rows: Vec<Vector> = tx.all(sql, &args).await?;
    Ok(rows.into_iter().map(|v| (v.0, v.1)).collect())
}

struct Vector(String, Vec<f32>);

impl FromRow for Vector {
    fn from_row(row: &Row) -> Result<Self> {
        let bytes: Vec<u8> = row.get("vector")?;
        let (values, _) = bytes.as_chunks::<4>();
        Ok(Self(row.get("text_hash")?, values.iter().map(|b| f32::from_le_bytes(*b)).collect()))
    }
}

/// Those of some texts, by their hashes, that have a vector.
pub async fn with_vector(tx: &mut Tx, tenant: TenantId, alias: &str, model: &str, hashes: &[&str]) -> Result<HashSet<String>> {
    let mut found = HashSet::new();
    for hashes in batches(hashes) {
        let places: Vec<String> = (0..hashes.len()).map(|i| format!("${}", i + 4)).collect();
        let sql = format!(
            "SELECT text_hash FROM embeddings WHERE tenant_id = $1 AND alias = $2 AND model_version = $3 AND text_hash IN ({})",
            places.join(", ")
        );
        let mut args = vec![Arg::from(tenant), alias.into(), model.into()];
        args.extend(hashes.iter().map(|hash| Arg::from(*hash)));
        found.extend(tx.all::<String>(sql, &args).await?);
    }
    Ok(found)
}

/// Keeps vectors by the hashes of their texts, as little-endian 32-bit floats.
pub async fn put_vectors(
    tx: &mut Tx,
    tenant: TenantId,
    alias: &str,
    model: &str,
    vectors: &[(&str, &[f32])],
    now: Timestamp,
) -> Result<()> {
    for vectors in batches(vectors) {
        let rows: Vec<String> = (0..vectors.len()).map(|i| format!("($1, $2, $3, $4, ${}, ${})", 5 + 2 * i, 6 + 2 * i)).collect();
        let mut args = vec![Arg::from(tenant), alias.into(), model.into(), now.into()];
        for (hash, vector) in vectors {
            let bytes: Vec<u8> = vector.iter().flat_map(|v| v.to_le_bytes()).collect();
            args.extend([Arg::from(*hash), bytes.into()]);
        }
        let sql = format!(
            "INSERT INTO embeddings (tenant_id, alias, model_version, created_at, text_hash, vector) VALUES {}
             ON CONFLICT (tenant_id, alias, model_version, text_hash) DO NOTHING",
            rows.join(", ")
        );
        tx.execute(sql, &args).await?;
    }
    Ok(())
}

/// Documents that can be found by words alone, which a model that has arrived since should embed.
pub async fn not_embedded(tx: &mut Tx, limit: i64) -> Result<Vec<(TenantId, Document)>> {
    struct Both(TenantId, Document);
    impl FromRow for Both {
        fn from_row(row: &Row) -> Result<Self> {
            Ok(Self(row.id("tenant_id")?, Document::from_row(row)?))
        }
    }
    let rows: Vec<Both> = tx
        .all(
            format!(
                "SELECT tenant_id, {COLUMNS} FROM documents WHERE state = 'ready' AND embedded = FALSE AND chunk_count > 0 AND duplicate_of IS NULL
                 ORDER BY id LIMIT $1"
            ),
            args![limit],
        )
        .await?;
    Ok(rows.into_iter().map(|b| (b.0, b.1)).collect())
}

/// Notes whether every chunk of a document has a vector.
pub async fn set_embedded(tx: &mut Tx, tenant: TenantId, id: Id<Document>, embedded: bool) -> Result<()> {
    tx.execute("UPDATE documents SET embedded = $1 WHERE tenant_id = $2 AND id = $3", args![embedded, tenant, id]).await?;
    Ok(())
}

/// Whether any document of any tenant still has this content; a blob without one may be swept.
pub async fn content_used(tx: &mut Tx, hash: &str) -> Result<bool> {
    let id: Option<String> = tx.optional("SELECT id FROM documents WHERE content_hash = $1 LIMIT 1", args![hash]).await?;
    Ok(id.is_some())
}

/// Removes vectors of texts that no chunk has any more and that were made before a moment, at most `limit` of them, and tells how many it
/// removed. Younger ones may belong to a document that is being ingested.
pub async fn prune_vectors(tx: &mut Tx, before: Timestamp, limit: i64) -> Result<u64> {
    tx.execute(
        "DELETE FROM embeddings WHERE (tenant_id, alias, model_version, text_hash) IN (
             SELECT e.tenant_id, e.alias, e.model_version, e.text_hash FROM embeddings e
             WHERE e.created_at < $1 AND NOT EXISTS (SELECT 1 FROM chunks c WHERE c.tenant_id = e.tenant_id AND c.text_hash = e.text_hash) LIMIT $2)",
        args![before, limit],
    )
    .await
}
