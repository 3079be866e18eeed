//! The table of keys.

use super::{KEPT, reply::Reply};
use crate::{
    Id, Principal, Result, Timestamp, Tx, args,
    db::{FromRow, Row},
    processes::Process,
};

/// A key, who holds it, and its answer when there is one.
pub(super) struct Stored {
    pub request_hash: String,
    pub status: Option<i64>,
    pub content_type: Option<String>,
    pub headers: Option<String>,
    pub body: Option<Vec<u8>>,
    pub created_at: Timestamp,
    pub taken_at: Timestamp,
    pub attempt: i64,
    pub process: Option<Id<Process>>,
    pub alive_until: Option<Timestamp>,
}

impl FromRow for Stored {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self {
            request_hash: row.get("request_hash")?,
            status: row.get("status")?,
            content_type: row.get("content_type")?,
            headers: row.get("headers")?,
            body: row.get("body")?,
            created_at: row.time("created_at")?,
            taken_at: row.time("taken_at")?,
            attempt: row.get("attempt")?,
            process: row.optional_id("process_id")?,
            alive_until: row.optional_time("alive_until")?,
        })
    }
}

impl Tx {
    pub(super) async fn idempotent(&mut self, principal: &Principal, key: &str) -> Result<Option<Stored>> {
        self.optional(
            "SELECT k.request_hash, k.status, k.content_type, k.headers, k.body, k.created_at, k.taken_at, k.attempt, k.process_id, p.alive_until
             FROM idempotency_keys k LEFT JOIN processes p ON p.id = k.process_id
             WHERE k.tenant_id = $1 AND k.principal_id = $2 AND k.key = $3",
            args![principal.tenant, &principal.id, key],
        )
        .await
    }

    pub(super) async fn begin_idempotent(
        &mut self,
        principal: &Principal,
        key: &str,
        request_hash: &str,
        process: Id<Process>,
        now: Timestamp,
    ) -> Result<()> {
        self.execute(
            "INSERT INTO idempotency_keys (tenant_id, principal_id, key, request_hash, created_at, taken_at, process_id)
             VALUES ($1, $2, $3, $4, $5, $5, $6)",
            args![principal.tenant, &principal.id, key, request_hash, now, process],
        )
        .await?;
        Ok(())
    }

    /// Takes over an entry that nobody holds. Returns whether nobody else did so first.
    #[expect(clippy::too_many_arguments, reason = "the columns of one statement")]
    pub(super) async fn take_idempotent(
        &mut self,
        principal: &Principal,
        key: &str,
        request_hash: &str,
        process: Id<Process>,
        since: Timestamp,
        now: Timestamp,
        attempt: i64,
    ) -> Result<bool> {
        let taken = self
            .execute(
                "UPDATE idempotency_keys SET request_hash = $1, status = NULL, content_type = NULL, headers = NULL, body = NULL, created_at = $2,
                                             taken_at = $3, process_id = $4, attempt = attempt + 1
                 WHERE tenant_id = $5 AND principal_id = $6 AND key = $7 AND attempt = $8",
                args![request_hash, since, now, process, principal.tenant, &principal.id, key, attempt],
            )
            .await?;
        Ok(taken == 1)
    }

    /// Keeps the answer, under what is known of the request now that it was read to its end.
    pub(super) async fn finish_idempotent(
        &mut self,
        principal: &Principal,
        key: &str,
        attempt: i64,
        request_hash: &str,
        reply: &Reply,
    ) -> Result<()> {
        self.execute(
            "UPDATE idempotency_keys SET request_hash = $1, status = $2, content_type = $3, headers = $4, body = $5, process_id = NULL
             WHERE tenant_id = $6 AND principal_id = $7 AND key = $8 AND attempt = $9",
            args![
                request_hash,
                reply.status,
                reply.content_type.as_deref(),
                &reply.headers,
                reply.body.as_slice(),
                principal.tenant,
                &principal.id,
                key,
                attempt
            ],
        )
        .await?;
        Ok(())
    }

    /// Leaves the key bound to its request, with nobody working on it.
    pub(super) async fn release_idempotent(&mut self, principal: &Principal, key: &str, attempt: i64) -> Result<()> {
        self.execute(
            "UPDATE idempotency_keys SET process_id = NULL WHERE tenant_id = $1 AND principal_id = $2 AND key = $3 AND attempt = $4",
            args![principal.tenant, &principal.id, key, attempt],
        )
        .await?;
        Ok(())
    }

    pub(super) async fn forget_idempotent(&mut self, principal: &Principal, key: &str, attempt: i64) -> Result<()> {
        self.execute(
            "DELETE FROM idempotency_keys WHERE tenant_id = $1 AND principal_id = $2 AND key = $3 AND attempt = $4",
            args![principal.tenant, &principal.id, key, attempt],
        )
        .await?;
        Ok(())
    }

    /// Removes keys that are older than a day, with their answers.
    pub async fn prune_idempotency_keys(&mut self, now: Timestamp) -> Result<u64> {
        self.execute("DELETE FROM idempotency_keys WHERE created_at < $1", args![now.minus(KEPT)]).await
    }
}
