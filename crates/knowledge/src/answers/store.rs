//! The ask table's statements.

use astrolabe_kernel::{
    Error, Id, Result, Timestamp, Tx, args,
    db::{Dialect, FromRow, Row},
    principal::TenantId,
};

use super::{Answer, Ask, AskState};
use crate::documents::Document;

const COLUMNS: &str = "id, question, state, answer, trace_id, created_at";

impl FromRow for Ask {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self {
            id: row.id("id")?,
            question: row.get("question")?,
            state: match row.get::<String>("state")?.as_str() {
                "running" => AskState::Running,
                "completed" => AskState::Completed,
                "failed" => AskState::Failed,
                other => return Err(Error::internal(format_args!("{other:?} is not a state of an ask"))),
            },
            answer: if row.is_null("answer")? { None } else { Some(row.json("answer")?) },
            trace_id: row.get("trace_id")?,
            created_at: row.time("created_at")?,
        })
    }
}

/// Adds a running ask.
pub async fn insert(tx: &mut Tx, tenant: TenantId, principal: &str, ask: &Ask) -> Result<()> {
    tx.execute(
        "INSERT INTO asks (id, tenant_id, principal_id, question, state, trace_id, created_at) VALUES ($1, $2, $3, $4, 'running', $5, $6)",
        args![ask.id, tenant, principal, &ask.question, &ask.trace_id, ask.created_at],
    )
    .await?;
    Ok(())
}

/// Ends an ask with its answer, or without one.
pub async fn finish(tx: &mut Tx, tenant: TenantId, id: Id<Answer>, answer: Option<&Answer>, now: Timestamp) -> Result<()> {
    let state = if answer.is_some() { "completed" } else { "failed" };
    let json = answer.map(|a| serde_json::to_string(a).map_err(Error::internal)).transpose()?;
    tx.execute(
        "UPDATE asks SET state = $1, answer = $2, finished_at = $3 WHERE tenant_id = $4 AND id = $5",
        args![state, json, now, tenant, id],
    )
    .await?;
    Ok(())
}

/// One ask of a principal.
pub async fn get(tx: &mut Tx, tenant: TenantId, principal: &str, id: Id<Answer>) -> Result<Option<Ask>> {
    tx.optional(format!("SELECT {COLUMNS} FROM asks WHERE tenant_id = $1 AND principal_id = $2 AND id = $3"), args![tenant, principal, id])
        .await
}

/// A principal's asks, newest first, after the cursor; up to `limit + 1` rows.
pub async fn page(tx: &mut Tx, tenant: TenantId, principal: &str, after: &str, limit: i64) -> Result<Vec<Ask>> {
    tx.all(
        format!("SELECT {COLUMNS} FROM asks WHERE tenant_id = $1 AND principal_id = $2 AND ($3 = '' OR id < $3) ORDER BY id DESC LIMIT $4"),
        args![tenant, principal, after, limit + 1],
    )
    .await
}

/// The first characters of documents' texts.
pub async fn document_starts(tx: &mut Tx, tenant: TenantId, ids: &[Id<Document>], length: i64) -> Result<Vec<(Id<Document>, String)>> {
    let mut starts: Vec<(Id<Document>, String)> = Vec::new();
    for id in ids {
        if starts.iter().any(|(known, _)| known == id) {
            continue;
        }
        let start: Option<String> = tx
            .optional(
                "SELECT SUBSTR(text, 1, CAST($1 AS INTEGER)) AS start FROM document_texts WHERE tenant_id = $2 AND document_id = $3",
                args![length, tenant, *id],
            )
            .await?;
        starts.push((*id, start.unwrap_or_default()));
    }
    Ok(starts)
}

/// Asks that no process works on any more. SQLite has one process, which has just started; on PostgreSQL others may be at work, so
/// only what is older than any ask may take counts.
pub async fn abandoned(tx: &mut Tx, now: Timestamp) -> Result<Vec<(TenantId, Id<Answer>)>> {
    struct Abandoned(TenantId, Id<Answer>);
    impl FromRow for Abandoned {
        fn from_row(row: &Row) -> Result<Self> {
            Ok(Self(row.id("tenant_id")?, row.id("id")?))
        }
    }
    let before = match tx.dialect() {
        // Also what a clock that was set back since calls the future.
        Dialect::Sqlite => Timestamp::from_micros(i64::MAX),
        Dialect::Postgres => now.minus(std::time::Duration::from_secs(600)),
    };
    let rows: Vec<Abandoned> =
        tx.all("SELECT tenant_id, id FROM asks WHERE state = 'running' AND created_at <= $1 LIMIT 1000", args![before]).await?;
    Ok(rows.into_iter().map(|a| (a.0, a.1)).collect())
}
