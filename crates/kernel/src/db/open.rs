//! Opening a database by the scheme of its URL.

use std::{path::Path, str::FromStr, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use sqlx::{
    ConnectOptions, Connection, SqliteConnection,
    pool::PoolConnectionMetadata,
    postgres::{PgConnectOptions, PgPoolOptions},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use super::{Db, Pools, Wakes, fence::Fence};
use crate::{Error, Result, error::code};

/// How to reach the PostgreSQL server of a URL. The forms of Python's drivers are understood, too: `postgresql+asyncpg://`, its `ssl` for
/// `sslmode`, and no host at all where `?host=/cloudsql/…` names the folder of a socket.
///
/// # Errors
/// `invalid_config` for another scheme or an unreadable URL; the message does not repeat it.
pub(super) fn server(url: &str) -> Result<PgConnectOptions> {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", ""));
    if !matches!(scheme, "postgres" | "postgresql" | "postgresql+asyncpg" | "postgresql+psycopg" | "postgresql+psycopg2") {
        return Err(Error::new(code::INVALID_CONFIG, "database.url: must start with sqlite:// or postgres://"));
    }
    let (place, parameters) = rest.split_once('?').unwrap_or((rest, ""));
    let parameters: Vec<String> =
        parameters.split('&').map(|p| p.strip_prefix("ssl=").map_or(p.to_owned(), |mode| format!("sslmode={mode}"))).collect();
    // A URL with a user must have a host; the one of the parameters counts.
    let place = place.replacen("@/", "@localhost/", 1);
    let options = PgConnectOptions::from_str(&format!("postgres://{place}?{}", parameters.join("&")))
        .map_err(|e| Error::new(code::INVALID_CONFIG, "database.url: is not a PostgreSQL URL").with_internal(e))?;
    Ok(options.application_name("astrolabe").disable_statement_logging())
}

const ACQUIRE: Duration = Duration::from_secs(10);

/// How often, and after which pause, opening is tried again while another process switches the journal mode of a new file: five seconds in all.
const MODE_TRIES: u32 = 100;
const MODE_PAUSE: Duration = Duration::from_millis(50);

/// SQLITE_BUSY (5).
fn is_busy(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(|e| e.code()).is_some_and(|code| code == "5")
}

/// Whether a connection may be used again. SQLite rolls a transaction back by itself when the disk is full; the driver then takes the
/// connection for one inside a transaction for ever. It is given up for a new one, or no write would work again after space was made.
fn usable(connection: &mut SqliteConnection, _: PoolConnectionMetadata) -> BoxFuture<'_, sqlx::Result<bool>> {
    Box::pin(std::future::ready(Ok(!connection.is_in_transaction())))
}

impl Db {
    /// Opens `sqlite://path` (created when missing) or `postgres://…` (also `postgresql://`, `postgresql+asyncpg://`).
    /// `connections` bounds the pool of readers on SQLite and the whole pool on PostgreSQL.
    ///
    /// # Errors
    /// `invalid_config` for another scheme or an unreadable URL, `data_dir_unusable` when the file cannot be opened,
    /// `upstream_failed` when the server does not answer. No message repeats the URL, which may hold a password.
    pub async fn open(url: &str, connections: u32) -> Result<Self> {
        if let Some(path) = url.strip_prefix("sqlite://").or_else(|| url.strip_prefix("sqlite:")) {
            return Self::open_sqlite(Path::new(path), connections).await;
        }
        let options = server(url)?;
        let pool = PgPoolOptions::new()
            .max_connections(connections.max(4))
            .acquire_timeout(ACQUIRE)
            .connect_with(options)
            .await
            .map_err(|e| Error::new(code::UPSTREAM_FAILED, "PostgreSQL does not answer at database.url").with_internal(e))?;
        let db = Self::on(Pools::Postgres(pool));
        db.look_at_fence().await?;
        Ok(db)
    }

    async fn open_sqlite(path: &Path, connections: u32) -> Result<Self> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // FULL, not NORMAL: what was answered must survive a power cut, not only a killed process.
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(ACQUIRE)
            .pragma("cache_size", "-2000")
            .disable_statement_logging();
        let unusable = |e: sqlx::Error| match super::explain(e, "open") {
            told if told.kind() != crate::Kind::Internal => told,
            other => Error::new(
                code::DATA_DIR_UNUSABLE,
                "the database file cannot be opened: check that the data directory is writable and the disk is not full",
            )
            .with_internal(format_args!("{other:?}")),
        };
        // The writer opens first, so that the readers find the file and its journal mode.
        let writer = || {
            let pool = SqlitePoolOptions::new().before_acquire(usable).max_connections(1).acquire_timeout(ACQUIRE * 3);
            pool.connect_with(options.clone())
        };
        // A new file is switched to its journal mode by one process at a time, and SQLite refuses the others instead of letting them wait.
        let mut write = writer().await;
        for _ in 0..MODE_TRIES {
            match &write {
                Err(error) if is_busy(error) => tokio::time::sleep(MODE_PAUSE).await,
                _ => break,
            }
            write = writer().await;
        }
        let write = write.map_err(unusable)?;
        let read = SqlitePoolOptions::new()
            .before_acquire(usable)
            .max_connections(connections.max(1))
            .min_connections(0)
            .acquire_timeout(ACQUIRE)
            .connect_lazy_with(options.pragma("query_only", "true"));
        Ok(Self::on(Pools::Sqlite { read, write }))
    }

    /// The settings of the PostgreSQL server that let a crash lose or damage what was committed, each as `fsync = off`; none on SQLite.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn unsafe_durability(&self) -> Result<Vec<String>> {
        if self.dialect() == super::Dialect::Sqlite {
            return Ok(Vec::new());
        }
        let sql =
            "SELECT name || ' = ' || current_setting(name) FROM unnest(ARRAY['fsync', 'synchronous_commit', 'full_page_writes']) AS name
                   WHERE current_setting(name) = 'off'";
        self.read_all().await?.all(sql, &[]).await
    }

    fn on(pools: Pools) -> Self {
        Self { pools, wakes: Arc::new(Wakes::default()), fence: Arc::new(Fence::new()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_other_products_mean_what_they_mean_there() {
        for (url, host, socket, database) in [
            ("postgres://u:p@db:6432/app", "db", None, "app"),
            ("postgresql+asyncpg://u:p@db/app", "db", None, "app"),
            ("postgresql+psycopg2://u@db/app?sslmode=disable", "db", None, "app"),
            ("postgresql+asyncpg://u:p@/app?host=/cloudsql/p:r:i", "localhost", Some("/cloudsql/p:r:i"), "app"),
            ("postgresql://u:p@localhost/app?host=/cloudsql/p:r:i", "localhost", Some("/cloudsql/p:r:i"), "app"),
            ("postgres:///app?host=/run/postgresql&user=u", "localhost", Some("/run/postgresql"), "app"),
        ] {
            let options = server(url).unwrap();
            assert_eq!(options.get_socket().map(|s| s.to_str().unwrap().to_owned()).as_deref(), socket, "{url}");
            if socket.is_none() {
                assert_eq!(options.get_host(), host, "{url}");
            }
            assert_eq!((options.get_username(), options.get_database()), ("u", Some(database)), "{url}");
        }
        let ssl = format!("{:?}", server("postgresql+asyncpg://u@db/app?ssl=require").unwrap().get_ssl_mode());
        assert_eq!(ssl, "Require");
    }
}
