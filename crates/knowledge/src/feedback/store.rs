//! The feedback table's statements.

use astrolabe_kernel::{
    Error, Id, Result, Timestamp, Tx, args,
    db::{FromRow, Row},
    principal::TenantId,
};

use super::{Feedback, Rating};
use crate::{answers::Answer, question_sets::QuestionSet};

const COLUMNS: &str =
    "id, ask_id, principal_id, rating, reason, comment, question, answer, answered, documents, question_set_id, created_at, updated_at";

/// The value of an enumeration that is sent as it is stored.
fn word<T: serde::de::DeserializeOwned>(text: String) -> Result<T> {
    serde_json::from_value(text.into()).map_err(Error::internal)
}

impl FromRow for Feedback {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self {
            id: row.id("id")?,
            ask_id: row.id("ask_id")?,
            rating: word(row.get("rating")?)?,
            reason: row.get::<Option<String>>("reason")?.map(word).transpose()?,
            comment: row.get("comment")?,
            question: row.get("question")?,
            answer: row.get("answer")?,
            answered: row.get("answered")?,
            documents: row.json("documents")?,
            question_set_id: row.optional_id("question_set_id")?,
            created_by: row.get("principal_id")?,
            created_at: row.time("created_at")?,
            updated_at: row.time("updated_at")?,
        })
    }
}

/// A person's feedback on an ask.
pub async fn of_ask(tx: &mut Tx, tenant: TenantId, principal: &str, ask: Id<Answer>) -> Result<Option<Feedback>> {
    tx.optional(
        format!("SELECT {COLUMNS} FROM ask_feedback WHERE tenant_id = $1 AND principal_id = $2 AND ask_id = $3"),
        args![tenant, principal, ask],
    )
    .await
}

/// One feedback, to be changed in this transaction.
pub async fn lock(tx: &mut Tx, tenant: TenantId, id: Id<Feedback>) -> Result<Option<Feedback>> {
    let locking = tx.locking();
    tx.optional(format!("SELECT {COLUMNS} FROM ask_feedback WHERE tenant_id = $1 AND id = $2{locking}"), args![tenant, id]).await
}

/// Feedback of everybody, newest first, of one rating or of both, after the cursor; up to `limit + 1` rows.
pub async fn page(tx: &mut Tx, tenant: TenantId, rating: Option<Rating>, after: &str, limit: i64) -> Result<Vec<Feedback>> {
    tx.all(
        format!(
            "SELECT {COLUMNS} FROM ask_feedback WHERE tenant_id = $1 AND ($2 = '' OR rating = $2) AND ($3 = '' OR id < $3) ORDER BY id DESC LIMIT $4"
        ),
        args![tenant, rating.map_or("", Rating::as_str), after, limit + 1],
    )
    .await
}

/// Writes a person's feedback on an ask, over the one that is there.
pub async fn put(tx: &mut Tx, tenant: TenantId, f: &Feedback) -> Result<()> {
    tx.execute(
        "INSERT INTO ask_feedback (id, tenant_id, ask_id, principal_id, rating, reason, comment, question, answer, answered, documents, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
         ON CONFLICT (tenant_id, ask_id, principal_id) DO UPDATE SET rating = $5, reason = $6, comment = $7, updated_at = $13",
        args![
            f.id,
            tenant,
            f.ask_id,
            &f.created_by,
            f.rating.as_str(),
            f.reason.map(|r| r.as_str().to_owned()),
            &f.comment,
            &f.question,
            &f.answer,
            f.answered,
            serde_json::json!(f.documents),
            f.created_at,
            f.updated_at
        ],
    )
    .await?;
    Ok(())
}

/// Takes a person's feedback on an ask back. Returns whether there was one.
pub async fn delete(tx: &mut Tx, tenant: TenantId, principal: &str, ask: Id<Answer>) -> Result<bool> {
    let gone = tx
        .execute("DELETE FROM ask_feedback WHERE tenant_id = $1 AND principal_id = $2 AND ask_id = $3", args![tenant, principal, ask])
        .await?;
    Ok(gone == 1)
}

/// Notes the set that has a question made of it.
pub async fn set_question_set(tx: &mut Tx, tenant: TenantId, id: Id<Feedback>, set: Id<QuestionSet>, now: Timestamp) -> Result<()> {
    tx.execute(
        "UPDATE ask_feedback SET question_set_id = $1, updated_at = $2 WHERE tenant_id = $3 AND id = $4",
        args![set, now, tenant, id],
    )
    .await?;
    Ok(())
}

/// A person's feedback in the order of its making, behind an id.
pub async fn of_person(tx: &mut Tx, tenant: TenantId, principal: &str, after: &str, limit: i64) -> Result<Vec<Feedback>> {
    tx.all(
        format!(
            "SELECT {COLUMNS} FROM ask_feedback WHERE tenant_id = $1 AND principal_id = $2 AND ($3 = '' OR id > $3) ORDER BY id LIMIT $4"
        ),
        args![tenant, principal, after, limit],
    )
    .await
}

/// Removes some of a person's feedback. Returns how much it was.
pub async fn delete_of_person(tx: &mut Tx, tenant: TenantId, principal: &str, limit: i64) -> Result<u64> {
    let sql = "DELETE FROM ask_feedback WHERE tenant_id = $1 AND id IN
                   (SELECT id FROM ask_feedback WHERE tenant_id = $1 AND principal_id = $2 ORDER BY id LIMIT $3)";
    tx.execute(sql, args![tenant, principal, limit]).await
}
