//! The sessions of a person.

use astrolabe_kernel::{
    Result, Tx, args,
    db::{FromRow, Row},
    personal::{Held, Person, PersonalData},
};
use futures_util::future::BoxFuture;
use serde_json::json;

/// Where and how long people were signed in.
pub struct Sessions;

struct Signed(Held);

impl FromRow for Signed {
    fn from_row(row: &Row) -> Result<Self> {
        let id: String = row.get("id")?;
        let record = json!({"id": id, "created_at": row.time("created_at")?, "last_used_at": row.time("last_used_at")?, "expires_at": row.time("expires_at")?});
        Ok(Self(Held { key: id, record }))
    }
}

impl PersonalData for Sessions {
    fn name(&self) -> &'static str {
        "sessions"
    }

    fn export<'a>(&'a self, tx: &'a mut Tx, person: &'a Person, after: &'a str, limit: i64) -> BoxFuture<'a, Result<Vec<Held>>> {
        Box::pin(async move {
            let sql = "SELECT id, created_at, last_used_at, expires_at FROM sessions WHERE tenant_id = $1 AND principal_id = $2 AND id > $3
                       ORDER BY id LIMIT $4";
            let rows: Vec<Signed> = tx.all(sql, args![person.tenant, &person.id, after, limit]).await?;
            Ok(rows.into_iter().map(|Signed(held)| held).collect())
        })
    }

    fn erase<'a>(&'a self, tx: &'a mut Tx, person: &'a Person, _: i64) -> BoxFuture<'a, Result<u64>> {
        Box::pin(async move {
            tx.execute("DELETE FROM sessions WHERE tenant_id = $1 AND principal_id = $2", args![person.tenant, &person.id]).await
        })
    }
}
