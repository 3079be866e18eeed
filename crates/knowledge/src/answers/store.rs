//! The ask table's statements.

use astrolabe_kernel::{
    Error, Id, Result, Tx, args,
    db::{FromRow, Row},
    principal::TenantId,
    processes::Process,
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

/// Adds an ask that a process answers.
pub async fn insert(tx: &mut Tx, tenant: TenantId, principal: &str, process: Id<Process>, ask: &Ask) -> Result<()> {
    tx.execute(
        "INSERT INTO asks (id, tenant_id, principal_id, question, state, trace_id, created_at, process_id) VALUES ($1, $2, $3, $4, 'running', $5, $6, $7)",
        args![ask.id, tenant, principal, &ask.question, &ask.trace_id, ask.created_at, process],
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

/// A person's asks in the order of their making, behind an id.
pub async fn of_person(tx: &mut Tx, tenant: TenantId, principal: &str, after: &str, limit: i64) -> Result<Vec<Ask>> {
    tx.all(
        format!("SELECT {COLUMNS} FROM asks WHERE tenant_id = $1 AND principal_id = $2 AND ($3 = '' OR id > $3) ORDER BY id LIMIT $4"),
        args![tenant, principal, after, limit],
    )
    .await
}

/// The ids of a person's asks that are over.
pub async fn ended(tx: &mut Tx, tenant: TenantId, principal: &str, limit: i64) -> Result<Vec<Id<Answer>>> {
    let sql = "SELECT id FROM asks WHERE tenant_id = $1 AND principal_id = $2 AND state <> 'running' ORDER BY id LIMIT $3";
    let ids: Vec<String> = tx.all(sql, args![tenant, principal, limit]).await?;
    ids.into_iter().map(|id| id.parse().map_err(Error::internal)).collect()
}

/// Removes an ask.
pub async fn delete(tx: &mut Tx, tenant: TenantId, id: Id<Answer>) -> Result<()> {
    tx.execute("DELETE FROM asks WHERE tenant_id = $1 AND id = $2", args![tenant, id]).await?;
    Ok(())
}
