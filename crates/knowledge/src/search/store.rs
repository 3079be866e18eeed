//! What a search shows of a chunk.

use astrolabe_kernel::{
    Result, Tx,
    db::{Arg, FromRow, Row},
    principal::TenantId,
};

use super::{Found, Ranks};

impl FromRow for Found {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self {
            chunk_id: row.id("id")?,
            document_id: row.id("document_id")?,
            document: row.get("document")?,
            source_id: row.id("source_id")?,
            source: row.get("source")?,
            heading: row.get("heading")?,
            start: row.get("start_at")?,
            end: row.get("end_at")?,
            text: row.get("text")?,
            score: 0.0,
            lang: row.get("lang")?,
            page: row.get("page")?,
            ranks: Ranks::default(),
            title: row.get("title")?,
            text_hash: row.get("text_hash")?,
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
            "SELECT c.id, c.document_id, d.name AS document, d.title, c.source_id, s.name AS source, c.heading, c.start_at, c.end_at, c.text, c.text_hash,
                    c.lang, c.page
             FROM chunks c JOIN documents d ON d.id = c.document_id JOIN sources s ON s.id = c.source_id
             WHERE c.tenant_id = $1 AND c.id IN ({})",
            places.join(", ")
        ),
        &args,
    )
    .await
}
