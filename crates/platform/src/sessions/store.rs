//! The tables of codes, sessions and refresh tokens.

use astrolabe_kernel::{
    Id, Result, Role, Timestamp, Tx, args,
    db::{FromRow, Row},
    principal::TenantId,
};

use super::Session;
use crate::accounts::{UserId, stored_role};

/// A one-time code to insert.
pub(crate) struct NewCode<'a> {
    pub hash: &'a str,
    pub tenant: TenantId,
    pub user: Option<UserId>,
    pub joins: bool,
    pub now: Timestamp,
    pub expires_at: Timestamp,
}

/// A code that was used up.
pub(crate) struct TakenCode {
    pub tenant: TenantId,
    pub user: Option<UserId>,
    pub joins: bool,
}

impl FromRow for TakenCode {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self { tenant: row.id("tenant_id")?, user: row.optional_id("user_id")?, joins: row.get("joins")? })
    }
}

/// What a session's user is in the session's tenant.
pub(crate) struct SessionMember {
    pub name: String,
    pub role: Role,
    pub capabilities: Vec<String>,
    /// Account, membership and tenant are active.
    pub may_act: bool,
    pub must_change: bool,
}

/// A session with what its user is now.
pub(crate) struct Stored {
    pub id: Id<Session>,
    pub tenant: TenantId,
    pub user: Option<UserId>,
    pub method: String,
    pub created_at: Timestamp,
    pub last_used_at: Timestamp,
    pub expires_at: Timestamp,
    pub member: Option<SessionMember>,
}

impl FromRow for Stored {
    fn from_row(row: &Row) -> Result<Self> {
        let member = match row.get::<Option<String>>("role")? {
            None => None,
            Some(role) => Some(SessionMember {
                name: row.get("name")?,
                role: stored_role(&role),
                capabilities: row.json("capabilities")?,
                may_act: row.get("may_act")?,
                must_change: row.get("must_change")?,
            }),
        };
        Ok(Self {
            id: row.id("id")?,
            tenant: row.id("tenant_id")?,
            user: row.optional_id("user_id")?,
            method: row.get("method")?,
            created_at: row.time("created_at")?,
            last_used_at: row.time("last_used_at")?,
            expires_at: row.time("expires_at")?,
            member,
        })
    }
}

/// A session as its owner lists it.
pub(crate) struct Listed {
    pub id: Id<Session>,
    pub tenant: TenantId,
    pub method: String,
    pub client: String,
    pub created_at: Timestamp,
    pub last_used_at: Timestamp,
    pub expires_at: Timestamp,
}

impl FromRow for Listed {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self {
            id: row.id("id")?,
            tenant: row.id("tenant_id")?,
            method: row.get("method")?,
            client: row.get("client")?,
            created_at: row.time("created_at")?,
            last_used_at: row.time("last_used_at")?,
            expires_at: row.time("expires_at")?,
        })
    }
}

/// A session to insert.
pub(crate) struct NewSession<'a> {
    pub id: Id<Session>,
    pub tenant: TenantId,
    pub principal: &'a str,
    pub user: Option<UserId>,
    pub method: &'a str,
    pub client: &'a str,
    pub hash: &'a str,
    pub now: Timestamp,
    pub expires_at: Timestamp,
}

/// A refresh token as it is stored.
pub(crate) struct Refresh {
    pub tenant: TenantId,
    pub session: Id<Session>,
    pub used: bool,
}

impl FromRow for Refresh {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self { tenant: row.id("tenant_id")?, session: row.id("session_id")?, used: !row.is_null("used_at")? })
    }
}

/// The statements, as methods of the transaction.
pub(crate) trait Sessions {
    async fn insert_code(&mut self, code: NewCode<'_>) -> Result<()>;
    /// Uses a code up. Returns it when it was there and in time; of two who try at once one succeeds.
    async fn take_code(&mut self, hash: &str, now: Timestamp) -> Result<Option<TakenCode>>;
    async fn insert_session(&mut self, session: NewSession<'_>) -> Result<()>;
    /// A session by the hash of its cookie, or by its id; the other is empty.
    async fn session(&mut self, hash: &str, id: &str) -> Result<Option<Stored>>;
    async fn touch_session(&mut self, id: Id<Session>, user: Option<UserId>, now: Timestamp) -> Result<()>;
    /// Moves a session and its refresh tokens to another tenant.
    async fn move_session(&mut self, id: Id<Session>, tenant: TenantId) -> Result<()>;
    /// A principal's live sessions in every tenant, newest first.
    async fn sessions_of(&mut self, principal: &str, now: Timestamp, idle_since: Timestamp, limit: i64) -> Result<Vec<Listed>>;
    /// Ends a session of a principal, with its refresh tokens.
    async fn delete_session(&mut self, id: Id<Session>, principal: &str) -> Result<u64>;
    /// Ends the sessions of a user, of one tenant or of all, but for one. Returns how many.
    async fn delete_sessions_of(&mut self, user: UserId, tenant: Option<TenantId>, but: Option<Id<Session>>) -> Result<u64>;
    async fn delete_codes_of(&mut self, user: UserId) -> Result<()>;
    async fn insert_refresh(&mut self, hash: &str, tenant: TenantId, session: Id<Session>, now: Timestamp) -> Result<()>;
    async fn refresh(&mut self, hash: &str) -> Result<Option<Refresh>>;
    /// Uses a refresh token up. Returns whether it was unused; of two who try at once one succeeds.
    async fn use_refresh(&mut self, hash: &str, now: Timestamp) -> Result<bool>;
    async fn prune_codes(&mut self, tenant: TenantId, now: Timestamp) -> Result<u64>;
    /// Removes what nobody can use any more: codes past their time, sessions past theirs or unused since `idle_since`.
    async fn prune_sessions(&mut self, now: Timestamp, idle_since: Timestamp) -> Result<u64>;
    /// Removes all but the newest codes of somebody in a tenant. Returns how many.
    async fn keep_newest_codes(&mut self, tenant: TenantId, user: Option<UserId>, most: i64) -> Result<u64>;
    /// Ends all sessions of a principal but those that were used last. Returns how many.
    async fn keep_newest_sessions(&mut self, principal: &str, most: i64) -> Result<u64>;
}

/// Refresh tokens whose session is gone.
const ORPHANS: &str = "DELETE FROM refresh_tokens WHERE NOT EXISTS (SELECT 1 FROM sessions s WHERE s.id = refresh_tokens.session_id)";

impl Sessions for Tx {
    async fn insert_code(&mut self, code: NewCode<'_>) -> Result<()> {
        self.execute(
            "INSERT INTO sign_in_codes (hash, tenant_id, user_id, joins, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6)",
            args![code.hash, code.tenant, code.user, code.joins, code.now, code.expires_at],
        )
        .await?;
        Ok(())
    }

    async fn take_code(&mut self, hash: &str, now: Timestamp) -> Result<Option<TakenCode>> {
        let sql = "DELETE FROM sign_in_codes WHERE hash = $1 AND expires_at > $2 RETURNING tenant_id, user_id, joins";
        self.optional(sql, args![hash, now]).await
    }

    async fn insert_session(&mut self, session: NewSession<'_>) -> Result<()> {
        self.execute(
            "INSERT INTO sessions (id, tenant_id, principal_id, user_id, method, client, hash, created_at, last_used_at, expires_at)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8, $9)",
            args![
                session.id,
                session.tenant,
                session.principal,
                session.user,
                session.method,
                session.client,
                session.hash,
                session.now,
                session.expires_at
            ],
        )
        .await?;
        Ok(())
    }

    async fn session(&mut self, hash: &str, id: &str) -> Result<Option<Stored>> {
        let (column, value) = if id.is_empty() { ("hash", hash) } else { ("id", id) };
        let sql = format!(
            "SELECT s.id, s.tenant_id, s.user_id, s.method, s.created_at, s.last_used_at, s.expires_at, m.name, m.role, m.capabilities,
                    u.must_change, (u.state = 'active' AND m.state = 'active' AND t.state = 'active') AS may_act
                 FROM sessions s JOIN tenants t ON t.id = s.tenant_id LEFT JOIN users u ON u.id = s.user_id
                 LEFT JOIN memberships m ON m.tenant_id = s.tenant_id AND m.user_id = s.user_id
                 WHERE s.{column} = $1"
        );
        self.optional(sql, args![value]).await
    }

    async fn touch_session(&mut self, id: Id<Session>, user: Option<UserId>, now: Timestamp) -> Result<()> {
        self.execute("UPDATE sessions SET last_used_at = $1 WHERE id = $2", args![now, id]).await?;
        match user {
            Some(user) => crate::accounts::store::seen(self, user, now).await,
            None => Ok(()),
        }
    }

    async fn move_session(&mut self, id: Id<Session>, tenant: TenantId) -> Result<()> {
        self.execute("UPDATE sessions SET tenant_id = $2 WHERE id = $1", args![id, tenant]).await?;
        self.execute("UPDATE refresh_tokens SET tenant_id = $2 WHERE session_id = $1", args![id, tenant]).await?;
        Ok(())
    }

    async fn sessions_of(&mut self, principal: &str, now: Timestamp, idle_since: Timestamp, limit: i64) -> Result<Vec<Listed>> {
        let sql = "SELECT id, tenant_id, method, client, created_at, last_used_at, expires_at FROM sessions
                       WHERE principal_id = $1 AND expires_at > $2 AND last_used_at >= $3 ORDER BY id DESC LIMIT $4";
        self.all(sql, args![principal, now, idle_since, limit]).await
    }

    async fn delete_session(&mut self, id: Id<Session>, principal: &str) -> Result<u64> {
        let ended = self.execute("DELETE FROM sessions WHERE id = $1 AND principal_id = $2", args![id, principal]).await?;
        if ended > 0 {
            self.execute("DELETE FROM refresh_tokens WHERE session_id = $1", args![id]).await?;
        }
        Ok(ended)
    }

    async fn delete_sessions_of(&mut self, user: UserId, tenant: Option<TenantId>, but: Option<Id<Session>>) -> Result<u64> {
        let (tenant, but) = (tenant.map(|t| t.to_string()).unwrap_or_default(), but.map(|s| s.to_string()).unwrap_or_default());
        let which = "FROM sessions WHERE user_id = $1 AND ($2 = '' OR tenant_id = $2) AND id <> $3";
        let args = args![user, tenant, but];
        self.execute(format!("DELETE FROM refresh_tokens WHERE session_id IN (SELECT id {which})"), args).await?;
        self.execute(format!("DELETE {which}"), args).await
    }

    async fn delete_codes_of(&mut self, user: UserId) -> Result<()> {
        self.execute("DELETE FROM sign_in_codes WHERE user_id = $1", args![user]).await?;
        Ok(())
    }

    async fn insert_refresh(&mut self, hash: &str, tenant: TenantId, session: Id<Session>, now: Timestamp) -> Result<()> {
        self.execute(
            "INSERT INTO refresh_tokens (hash, tenant_id, session_id, created_at) VALUES ($1, $2, $3, $4)",
            args![hash, tenant, session, now],
        )
        .await?;
        Ok(())
    }

    async fn refresh(&mut self, hash: &str) -> Result<Option<Refresh>> {
        self.optional("SELECT tenant_id, session_id, used_at FROM refresh_tokens WHERE hash = $1", args![hash]).await
    }

    async fn use_refresh(&mut self, hash: &str, now: Timestamp) -> Result<bool> {
        Ok(self.execute("UPDATE refresh_tokens SET used_at = $2 WHERE hash = $1 AND used_at IS NULL", args![hash, now]).await? == 1)
    }

    async fn prune_codes(&mut self, tenant: TenantId, now: Timestamp) -> Result<u64> {
        self.execute("DELETE FROM sign_in_codes WHERE tenant_id = $1 AND expires_at <= $2", args![tenant, now]).await
    }

    async fn prune_sessions(&mut self, now: Timestamp, idle_since: Timestamp) -> Result<u64> {
        let codes = self.execute("DELETE FROM sign_in_codes WHERE expires_at <= $1", args![now]).await?;
        let sessions = self.execute("DELETE FROM sessions WHERE expires_at <= $1 OR last_used_at < $2", args![now, idle_since]).await?;
        if sessions > 0 {
            self.execute(ORPHANS, &[]).await?;
        }
        Ok(codes + sessions)
    }

    async fn keep_newest_codes(&mut self, tenant: TenantId, user: Option<UserId>, most: i64) -> Result<u64> {
        let user = user.map(|u| u.to_string()).unwrap_or_default();
        self.execute(
            "DELETE FROM sign_in_codes WHERE tenant_id = $1 AND COALESCE(user_id, '') = $2 AND hash NOT IN
                 (SELECT hash FROM sign_in_codes WHERE tenant_id = $1 AND COALESCE(user_id, '') = $2 ORDER BY created_at DESC, hash LIMIT $3)",
            args![tenant, user, most],
        )
        .await
    }

    async fn keep_newest_sessions(&mut self, principal: &str, most: i64) -> Result<u64> {
        let ended = self
            .execute(
                "DELETE FROM sessions WHERE principal_id = $1 AND id NOT IN
                     (SELECT id FROM sessions WHERE principal_id = $1 ORDER BY last_used_at DESC, id DESC LIMIT $2)",
                args![principal, most],
            )
            .await?;
        if ended > 0 {
            self.execute(ORPHANS, &[]).await?;
        }
        Ok(ended)
    }
}
