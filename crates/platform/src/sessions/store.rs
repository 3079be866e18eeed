//! The tables of codes and sessions.

use astrolabe_kernel::{
    Id, Result, Timestamp, Tx, args,
    db::{FromRow, Row},
    principal::TenantId,
};

use super::Session;

/// What is known of a session.
pub(super) struct Stored {
    pub id: Id<Session>,
    pub last_used_at: Timestamp,
    pub expires_at: Timestamp,
}

impl FromRow for Stored {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self { id: row.id("id")?, last_used_at: row.time("last_used_at")?, expires_at: row.time("expires_at")? })
    }
}

/// A session to insert.
pub(super) struct NewSession<'a> {
    pub id: Id<Session>,
    pub tenant: TenantId,
    pub principal: &'a str,
    pub hash: &'a str,
    pub now: Timestamp,
    pub expires_at: Timestamp,
}

/// The statements, as methods of the transaction.
pub(super) trait Sessions {
    async fn insert_code(&mut self, tenant: TenantId, hash: &str, now: Timestamp, expires_at: Timestamp) -> Result<()>;
    /// Uses a code up. Returns whether it was there and in time; of two who try at once one succeeds.
    async fn take_code(&mut self, hash: &str, now: Timestamp) -> Result<bool>;
    async fn insert_session(&mut self, session: NewSession<'_>) -> Result<()>;
    async fn session(&mut self, hash: &str) -> Result<Option<Stored>>;
    async fn touch_session(&mut self, id: Id<Session>, now: Timestamp) -> Result<()>;
    async fn delete_session(&mut self, id: Id<Session>) -> Result<u64>;
    /// Removes what nobody can use any more: codes past their time, sessions past theirs or unused since `idle_since`.
    async fn prune_sessions(&mut self, now: Timestamp, idle_since: Timestamp) -> Result<u64>;
    /// Removes all but the newest codes and sessions of a tenant. Returns how many.
    async fn keep_newest(&mut self, tenant: TenantId, codes: i64, sessions: i64) -> Result<u64>;
}

impl Sessions for Tx {
    async fn insert_code(&mut self, tenant: TenantId, hash: &str, now: Timestamp, expires_at: Timestamp) -> Result<()> {
        self.execute(
            "INSERT INTO sign_in_codes (hash, tenant_id, created_at, expires_at) VALUES ($1, $2, $3, $4)",
            args![hash, tenant, now, expires_at],
        )
        .await?;
        Ok(())
    }

    async fn take_code(&mut self, hash: &str, now: Timestamp) -> Result<bool> {
        Ok(self.execute("DELETE FROM sign_in_codes WHERE hash = $1 AND expires_at > $2", args![hash, now]).await? == 1)
    }

    async fn insert_session(&mut self, session: NewSession<'_>) -> Result<()> {
        self.execute(
            "INSERT INTO sessions (id, tenant_id, principal_id, hash, created_at, last_used_at, expires_at) VALUES ($1, $2, $3, $4, $5, $5, $6)",
            args![session.id, session.tenant, session.principal, session.hash, session.now, session.expires_at],
        )
        .await?;
        Ok(())
    }

    async fn session(&mut self, hash: &str) -> Result<Option<Stored>> {
        self.optional("SELECT id, last_used_at, expires_at FROM sessions WHERE hash = $1", args![hash]).await
    }

    async fn touch_session(&mut self, id: Id<Session>, now: Timestamp) -> Result<()> {
        self.execute("UPDATE sessions SET last_used_at = $1 WHERE id = $2", args![now, id]).await?;
        Ok(())
    }

    async fn delete_session(&mut self, id: Id<Session>) -> Result<u64> {
        self.execute("DELETE FROM sessions WHERE id = $1", args![id]).await
    }

    async fn prune_sessions(&mut self, now: Timestamp, idle_since: Timestamp) -> Result<u64> {
        let codes = self.execute("DELETE FROM sign_in_codes WHERE expires_at <= $1", args![now]).await?;
        let sessions = self.execute("DELETE FROM sessions WHERE expires_at <= $1 OR last_used_at < $2", args![now, idle_since]).await?;
        Ok(codes + sessions)
    }

    async fn keep_newest(&mut self, tenant: TenantId, codes: i64, sessions: i64) -> Result<u64> {
        let old_codes = self
            .execute(
                "DELETE FROM sign_in_codes WHERE tenant_id = $1 AND hash NOT IN
                     (SELECT hash FROM sign_in_codes WHERE tenant_id = $1 ORDER BY created_at DESC, hash LIMIT $2)",
                args![tenant, codes],
            )
            .await?;
        let old_sessions = self
            .execute(
                "DELETE FROM sessions WHERE tenant_id = $1 AND id NOT IN
                     (SELECT id FROM sessions WHERE tenant_id = $1 ORDER BY last_used_at DESC, id DESC LIMIT $2)",
                args![tenant, sessions],
            )
            .await?;
        Ok(old_codes + old_sessions)
    }
}
