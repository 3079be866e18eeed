//! Which processes use the database, so that what a dead one left unfinished is not waited for.
//!
//! SQLite has one process, which holds the lock on the data directory: whoever else is in the table is dead. On PostgreSQL a process is
//! alive as long as it says so in time.

use std::time::Duration;

use crate::{Id, Kernel, Result, Timestamp, Tx, args, db::Dialect, id::Named};

/// How long a process on PostgreSQL is taken for alive after it last said so.
pub const LEASE: Duration = Duration::from_secs(20);
/// How often it says so.
const BEAT: Duration = Duration::from_secs(5);
/// Processes that have been silent for this long are forgotten.
const FORGOTTEN: Duration = Duration::from_secs(24 * 3600);

/// Names processes: `prc_…`, new with every start.
pub struct Process;
impl Named for Process {
    const PREFIX: &'static str = "prc";
}

/// Until when a process that lives now is taken for alive.
fn until(dialect: Dialect, now: Timestamp) -> Timestamp {
    match dialect {
        Dialect::Sqlite => Timestamp::from_micros(i64::MAX),
        Dialect::Postgres => now.plus(LEASE),
    }
}

impl Kernel {
    /// Enters this process into the table. Call it once the schema is there, before any request.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn enter_process(&self) -> Result<()> {
        let now = self.now();
        let mut tx = self.db.write_all().await?;
        match tx.dialect() {
            Dialect::Sqlite => tx.execute("DELETE FROM processes", &[]).await?,
            Dialect::Postgres => tx.execute("DELETE FROM processes WHERE alive_until < $1", args![now.minus(FORGOTTEN)]).await?,
        };
        let alive_until = until(tx.dialect(), now);
        tx.enter(self.process, now, alive_until).await?;
        tx.commit().await
    }

    /// Keeps this process in the table until the soft stop. On SQLite there is nothing to do.
    pub fn stay_alive(&self) {
        if self.db.dialect() == Dialect::Sqlite {
            return;
        }
        let kernel = self.clone();
        self.lifecycle.spawn("process lease", async move {
            while tokio::time::timeout(BEAT, kernel.lifecycle.stopping()).await.is_err() {
                if let Err(error) = kernel.beat().await {
                    tracing::warn!(error = ?error, "the process could not say that it is alive");
                }
            }
        });
    }

    async fn beat(&self) -> Result<()> {
        let now = self.now();
        let mut tx = self.db.write_all().await?;
        let alive_until = until(tx.dialect(), now);
        tx.enter(self.process, now, alive_until).await?;
        tx.commit().await
    }

    /// Takes this process out of the table, at its very end.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn leave_process(&self) -> Result<()> {
        let mut tx = self.db.write_all().await?;
        tx.execute("DELETE FROM processes WHERE id = $1", args![self.process]).await?;
        tx.commit().await
    }
}

impl Tx {
    async fn enter(&mut self, id: Id<Process>, now: Timestamp, alive_until: Timestamp) -> Result<()> {
        self.execute(
            "INSERT INTO processes (id, started_at, alive_until) VALUES ($1, $2, $3) ON CONFLICT (id) DO UPDATE SET alive_until = $3",
            args![id, now, alive_until],
        )
        .await?;
        Ok(())
    }
}
