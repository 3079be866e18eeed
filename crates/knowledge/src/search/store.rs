//! What a search shows of a chunk.

use std::collections::BTreeMap;

use astrolabe_kernel::{
    Id, Result, Tx, args,
    db::{Arg, FromRow, Row},
    principal::TenantId,
};

use super::{Found, Ranks};
use crate::{ingest::ChunkId, sources::Source};

impl FromRow for Found {
    fn from_row(row: &Row) -> Result<Self> {
        let (chunk_id, ordinal): (ChunkId, i64) = (row.id("id")?, row.get("ordinal")?);
        Ok(Self {
            chunk_id,
            chunk_ids: vec![chunk_id],
            document_id: row.id("document_id")?,
            document: row.get("document")?,
            source_id: row.id("source_id")?,
            source: row.get("source")?,
            heading: row.get("heading")?,
            start: row.get("start_at")?,
            end: row.get("end_at")?,
            text: row.get("text")?,
            highlights: Vec::new(),
            score: 0.0,
            lang: row.get("lang")?,
            mime: row.get("mime")?,
            tags: row.json("tags")?,
            updated_at: row.time("updated_at")?,
            page: row.get("page")?,
            ranks: Ranks::default(),
            folded: 0,
            explanation: None,
            title: row.get("title")?,
            text_hash: row.get("text_hash")?,
            ordinals: (ordinal, ordinal),
            fused: 0.0,
            boosts: Vec::new(),
            dense: None,
            lexical: None,
        })
    }
}

/// The chunks of these ids that are there, in no promised order.
pub async fn chunks(tx: &mut Tx, tenant: TenantId, ids: &[&str]) -> Result<Vec<Found>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let places: Vec<String> = (0..ids.len()).map(|i| format!("${}", i + 2)).collect();
    let mut args: Vec<Arg> = vec![Arg::from(tenant)];
    args.extend(ids.iter().map(|id| Arg::from(*id)));
    tx.all(
        format!(
            "SELECT c.id, c.document_id, c.ordinal, d.name AS document, d.title, d.mime, d.tags, d.updated_at, c.source_id, s.name AS source, c.heading,
                    c.start_at, c.end_at, c.text, c.text_hash, c.lang, c.page
             FROM chunks c JOIN documents d ON d.id = c.document_id JOIN sources s ON s.id = c.source_id
             WHERE c.tenant_id = $1 AND c.id IN ({})",
            places.join(", ")
        ),
        &args,
    )
    .await
}

/// Reads the text of a passage's range again: white space between chunks is in the document's text alone.
pub async fn read_passage(tx: &mut Tx, tenant: TenantId, passage: &mut Found) -> Result<()> {
    let text: Option<String> = tx
        .optional(
            "SELECT SUBSTR(text, CAST($1 AS INTEGER), CAST($2 AS INTEGER)) AS text FROM document_texts WHERE tenant_id = $3 AND document_id = $4",
            args![passage.start + 1, passage.end - passage.start, tenant, passage.document_id],
        )
        .await?;
    if let Some(text) = text {
        passage.text = text;
    }
    Ok(())
}

/// The sources with the most documents, by id and name.
pub async fn source_names(tx: &mut Tx, tenant: TenantId, limit: usize) -> Result<Vec<(Id<Source>, String)>> {
    struct Named(Id<Source>, String);
    impl FromRow for Named {
        fn from_row(row: &Row) -> Result<Self> {
            Ok(Self(row.id("id")?, row.get("name")?))
        }
    }
    let rows: Vec<Named> = tx
        .all(
            "SELECT s.id, s.name FROM sources s WHERE s.tenant_id = $1
             ORDER BY (SELECT COUNT(*) FROM documents d WHERE d.tenant_id = $1 AND d.source_id = s.id) DESC, s.id LIMIT $2",
            args![tenant, i64::try_from(limit).unwrap_or(i64::MAX)],
        )
        .await?;
    Ok(rows.into_iter().map(|r| (r.0, r.1)).collect())
}

/// The tags with the most documents.
pub async fn tags(tx: &mut Tx, tenant: TenantId, limit: usize) -> Result<Vec<String>> {
    struct Tags(Vec<String>, i64);
    impl FromRow for Tags {
        fn from_row(row: &Row) -> Result<Self> {
            Ok(Self(row.json("tags")?, row.get("documents")?))
        }
    }
    let rows: Vec<Tags> = tx
        .all(
            "SELECT tags, COUNT(*) AS documents FROM documents WHERE tenant_id = $1 AND tags <> '[]' GROUP BY tags ORDER BY documents DESC LIMIT 1000",
            args![tenant],
        )
        .await?;
    let mut counts: BTreeMap<String, i64> = BTreeMap::new();
    for row in rows {
        row.0.into_iter().for_each(|tag| *counts.entry(tag).or_default() += row.1);
    }
    let mut tags: Vec<(String, i64)> = counts.into_iter().collect();
    tags.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    tags.truncate(limit);
    Ok(tags.into_iter().map(|(tag, _)| tag).collect())
}

/// The media types with the most documents.
pub async fn mimes(tx: &mut Tx, tenant: TenantId, limit: usize) -> Result<Vec<String>> {
    tx.all(
        "SELECT mime FROM documents WHERE tenant_id = $1 AND mime <> '' GROUP BY mime ORDER BY COUNT(*) DESC, mime LIMIT $2",
        args![tenant, i64::try_from(limit).unwrap_or(i64::MAX)],
    )
    .await
}
