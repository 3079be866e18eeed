//! The table of signing keys. They belong to the installation, so no statement names a tenant.

use astrolabe_kernel::{
    Result, Timestamp, Tx, args,
    db::{FromRow, Row},
};

/// A key as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Stored {
    pub kid: String,
    pub state: String,
    /// The `x` of the JWK.
    pub public_key: String,
    /// Encrypted; nothing once it is retired.
    pub private_key: Option<Vec<u8>>,
    pub created_at: Timestamp,
    pub active_at: Option<Timestamp>,
    pub retired_at: Option<Timestamp>,
    pub expires_at: Option<Timestamp>,
}

impl FromRow for Stored {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self {
            kid: row.get("kid")?,
            state: row.get("state")?,
            public_key: row.get("public_key")?,
            private_key: row.get("private_key")?,
            created_at: row.time("created_at")?,
            active_at: row.optional_time("active_at")?,
            retired_at: row.optional_time("retired_at")?,
            expires_at: row.optional_time("expires_at")?,
        })
    }
}

/// The statements, as methods of the transaction.
pub(super) trait SigningKeys {
    /// The key that signs, the one that waits, then the retired ones that have not expired, the newest first.
    async fn signing_keys(&mut self, now: Timestamp) -> Result<Vec<Stored>>;
    /// Inserts a key unless there is one in its state. Returns whether it did.
    async fn insert_signing_key(&mut self, key: &Stored) -> Result<bool>;
    /// Ends the signing of a key and erases its private half. Returns whether it was the one that signs; of two who try at once one succeeds.
    async fn retire_signing_key(&mut self, kid: &str, now: Timestamp, expires_at: Timestamp) -> Result<bool>;
    /// The waiting key signs from now on. Returns whether there was one.
    async fn promote_signing_key(&mut self, now: Timestamp) -> Result<bool>;
    /// Ends everything that any key signed.
    async fn revoke_signing_keys(&mut self, now: Timestamp) -> Result<u64>;
    /// Removes what expired.
    async fn prune_signing_keys(&mut self, now: Timestamp) -> Result<u64>;
}

impl SigningKeys for Tx {
    async fn signing_keys(&mut self, now: Timestamp) -> Result<Vec<Stored>> {
        self.all(
            "SELECT kid, state, public_key, private_key, created_at, active_at, retired_at, expires_at FROM signing_keys
             WHERE state <> 'retired' OR expires_at > $1
             ORDER BY CASE state WHEN 'active' THEN 0 WHEN 'next' THEN 1 ELSE 2 END, retired_at DESC, kid",
            args![now],
        )
        .await
    }

    async fn insert_signing_key(&mut self, key: &Stored) -> Result<bool> {
        let inserted = self
            .execute(
                "INSERT INTO signing_keys (kid, state, public_key, private_key, created_at, active_at) VALUES ($1, $2, $3, $4, $5, $6)
                 ON CONFLICT DO NOTHING",
                args![
                    key.kid.as_str(),
                    key.state.as_str(),
                    key.public_key.as_str(),
                    key.private_key.clone(),
                    key.created_at,
                    key.active_at
                ],
            )
            .await?;
        Ok(inserted == 1)
    }

    async fn retire_signing_key(&mut self, kid: &str, now: Timestamp, expires_at: Timestamp) -> Result<bool> {
        let retired = self
            .execute(
                "UPDATE signing_keys SET state = 'retired', private_key = NULL, retired_at = $1, expires_at = $2 WHERE kid = $3 AND state = 'active'",
                args![now, expires_at, kid],
            )
            .await?;
        Ok(retired == 1)
    }

    async fn promote_signing_key(&mut self, now: Timestamp) -> Result<bool> {
        Ok(self.execute("UPDATE signing_keys SET state = 'active', active_at = $1 WHERE state = 'next'", args![now]).await? == 1)
    }

    async fn revoke_signing_keys(&mut self, now: Timestamp) -> Result<u64> {
        self.execute(
            "UPDATE signing_keys SET state = 'retired', private_key = NULL, retired_at = COALESCE(retired_at, $1), expires_at = $1
             WHERE state <> 'retired' OR expires_at > $1",
            args![now],
        )
        .await
    }

    async fn prune_signing_keys(&mut self, now: Timestamp) -> Result<u64> {
        self.execute("DELETE FROM signing_keys WHERE state = 'retired' AND expires_at <= $1", args![now]).await
    }
}
