//! The one way to SQL: SQLite or PostgreSQL behind one text.
//!
//! A statement is written once, with `$1` placeholders that both engines understand, over four column types: `TEXT`, `BIGINT`,
//! `BOOLEAN` and bytes (`{{blob}}` in migrations). Times are microseconds in `BIGINT`, JSON is `TEXT`; views with readable
//! times and `jsonb` are there for operators (`docs/adr/0001-sql-seam.md`).
//!
//! A transaction names whose rows it is about: `db.read(tenant)`, or `db.read_all()` in the few places that work across tenants.
//! PostgreSQL holds it to that ([`Scope`]).
//!
//! A [`Tx`] rolls back when it is dropped. What it appended to event streams and enqueued wakes its readers after the commit.

mod args;
mod fence;
mod migrate;
mod open;
mod row;
mod scope;
mod scratch;
mod wakes;

use std::{borrow::Cow, sync::Arc, time::Instant};

pub use args::Arg;
pub use fence::{APP_ROLE, SecondFence};
pub use migrate::{KERNEL, Migration, Migrations, Plan};
pub use row::{Column, FromRow, Row};
pub use scope::Scope;
pub use scratch::Scratch;
use sqlx::{AssertSqlSafe, Postgres, SqlSafeStr, Sqlite, Transaction, pool::Pool};
pub use wakes::{StreamWatch, Wakes};

use crate::{Error, Result, error::code};

/// Statement arguments: `args![id, name, now]`.
#[macro_export]
macro_rules! args {
    ($($value:expr),* $(,)?) => { &[$($crate::db::Arg::from($value)),*] };
}

/// Which engine is behind a [`Db`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// The embedded default.
    Sqlite,
    /// PostgreSQL 15 or newer.
    Postgres,
}

impl Dialect {
    /// The engine's name as `/readyz` shows it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
        }
    }
}

/// The database, cheap to clone.
#[derive(Clone)]
pub struct Db {
    pools: Pools,
    wakes: Arc<Wakes>,
    fence: Arc<fence::Fence>,
}

#[derive(Clone)]
enum Pools {
    /// SQLite allows one writer, so writers wait for one connection instead of failing with "database is locked".
    Sqlite {
        read: Pool<Sqlite>,
        write: Pool<Sqlite>,
    },
    Postgres(Pool<Postgres>),
}

impl Db {
    /// The engine.
    pub fn dialect(&self) -> Dialect {
        match self.pools {
            Pools::Sqlite { .. } => Dialect::Sqlite,
            Pools::Postgres(_) => Dialect::Postgres,
        }
    }

    /// A transaction that only reads, of one tenant's rows, on a consistent snapshot of each statement (of the whole on SQLite).
    pub async fn read(&self, scope: impl Into<Scope>) -> Result<Tx> {
        self.begin(&scope.into(), false).await
    }

    /// A transaction that may write one tenant's rows. On SQLite it holds the only writer, so do not wait for anything else inside it.
    pub async fn write(&self, scope: impl Into<Scope>) -> Result<Tx> {
        self.begin(&scope.into(), true).await
    }

    /// As [`Db::read`] across tenants: for what has no tenant, such as the sealer, a backup, or the search for the session of a cookie.
    pub async fn read_all(&self) -> Result<Tx> {
        self.begin(&Scope::ALL, false).await
    }

    /// As [`Db::write`] across tenants: for what has no tenant, such as the claim of the next job, the sealer and retention.
    pub async fn write_all(&self) -> Result<Tx> {
        self.begin(&Scope::ALL, true).await
    }

    /// A transaction that makes, changes or drops tables, with the rights of the role that connected. It sees every tenant's rows.
    pub async fn write_schema(&self) -> Result<Tx> {
        self.begin_with(format!("BEGIN; SET LOCAL astrolabe.tenant = '{}'", Scope::ALL.mark()), true).await
    }

    async fn begin(&self, scope: &Scope, writes: bool) -> Result<Tx> {
        self.begin_with(self.fence.begin(scope), writes).await
    }

    /// `begin` is for PostgreSQL.
    async fn begin_with(&self, begin: String, writes: bool) -> Result<Tx> {
        let failed = |e| explain(e, "begin");
        let kind = match &self.pools {
            Pools::Sqlite { write, .. } if writes => TxKind::Sqlite(write.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?),
            Pools::Sqlite { read, .. } => TxKind::Sqlite(read.begin().await.map_err(failed)?),
            Pools::Postgres(pool) => TxKind::Postgres(pool.begin_with(AssertSqlSafe(begin)).await.map_err(failed)?),
        };
        Ok(Tx { kind, wakes: self.wakes.clone(), pending: Vec::new() })
    }

    /// Who waits for events and jobs in this process.
    pub fn wakes(&self) -> &Wakes {
        &self.wakes
    }

    /// Connections that may be open, and those of them that are free now.
    pub fn pool_size(&self) -> (u32, u32) {
        fn count<D: sqlx::Database>(pool: &Pool<D>) -> (u32, u32) {
            let max = pool.options().get_max_connections();
            let busy = pool.size().saturating_sub(u32::try_from(pool.num_idle()).unwrap_or(u32::MAX));
            (max, max.saturating_sub(busy))
        }
        match &self.pools {
            Pools::Sqlite { read, write } => {
                let ((a, b), (c, d)) = (count(read), count(write));
                (a + c, b + d)
            }
            Pools::Postgres(pool) => count(pool),
        }
    }

    /// Copies the whole SQLite database to a new file, consistent while others write.
    ///
    /// # Errors
    /// `invalid_request` on PostgreSQL, which has tools of its own for it.
    pub async fn copy_to(&self, file: &std::path::Path) -> Result<()> {
        let Pools::Sqlite { read, .. } = &self.pools else {
            return Err(Error::new(code::INVALID_REQUEST, "this backup is for the embedded store: use pg_dump for PostgreSQL"));
        };
        let path = file.to_str().ok_or_else(|| Error::new(code::INVALID_REQUEST, "the backup's folder must have a UTF-8 path"))?;
        // Readers may not write, not even another file, so one connection is freed for it and then closed, not given back.
        let mut connection = read.acquire().await.map_err(|e| explain(e, "acquire"))?;
        let copied = async {
            sqlx::query("PRAGMA query_only = false").execute(&mut *connection).await?;
            sqlx::query("VACUUM INTO $1").bind(path).execute(&mut *connection).await
        };
        let copied = copied.await;
        connection.close().await.map_err(|e| explain(e, "close"))?;
        copied.map_err(|e| explain(e, "vacuum into"))?;
        Ok(())
    }

    /// Closes every connection; on SQLite the write-ahead log is folded into the file.
    pub async fn close(&self) {
        match &self.pools {
            Pools::Sqlite { read, write } => {
                read.close().await;
                write.close().await;
            }
            Pools::Postgres(pool) => pool.close().await,
        }
    }
}

/// A transaction; rolls back when dropped without [`Tx::commit`].
pub struct Tx {
    kind: TxKind,
    wakes: Arc<Wakes>,
    pending: Vec<Wake>,
}

enum TxKind {
    Sqlite(Transaction<'static, Sqlite>),
    Postgres(Transaction<'static, Postgres>),
}

/// What to wake when a transaction has committed.
pub(crate) enum Wake {
    Stream(String),
    Jobs,
    Audit,
}

/// Runs one statement on the engine at hand, with its arguments bound, its time measured and its error explained.
macro_rules! run {
    ($tx:expr, $sql:expr, $args:expr, $method:ident) => {{
        let sql: Cow<'static, str> = $sql.into();
        let verb = verb(&sql);
        let text = sql.clone();
        let started = Instant::now();
        let safe = match sql {
            Cow::Borrowed(sql) => sql.into_sql_str(),
            Cow::Owned(sql) => AssertSqlSafe(sql).into_sql_str(),
        };
        let result = match &mut $tx.kind {
            TxKind::Sqlite(tx) => args::bind_sqlite(sqlx::query(safe), $args).$method(&mut **tx).await.map(Into::into),
            TxKind::Postgres(tx) => args::bind_postgres(sqlx::query(safe), $args).$method(&mut **tx).await.map(Into::into),
        };
        metrics::histogram!("db_query_duration_seconds", "operation" => verb).record(started.elapsed().as_secs_f64());
        result.map_err(|e| explain(e, &text))
    }};
}

impl Tx {
    /// The engine, for the few statements that must differ.
    pub fn dialect(&self) -> Dialect {
        match self.kind {
            TxKind::Sqlite(_) => Dialect::Sqlite,
            TxKind::Postgres(_) => Dialect::Postgres,
        }
    }

    /// The end of a `SELECT` whose rows nobody else may change until this transaction ends. SQLite has one writer at a time anyway.
    pub fn locking(&self) -> &'static str {
        if self.dialect() == Dialect::Postgres { " FOR UPDATE" } else { "" }
    }

    /// Every row.
    pub async fn all<T: FromRow>(&mut self, sql: impl Into<Cow<'static, str>>, args: &[Arg]) -> Result<Vec<T>> {
        let rows: row::Rows = run!(self, sql, args, fetch_all)?;
        rows.0.iter().map(T::from_row).collect()
    }

    /// The first row, or `None` when there is none.
    pub async fn optional<T: FromRow>(&mut self, sql: impl Into<Cow<'static, str>>, args: &[Arg]) -> Result<Option<T>> {
        let row: row::MaybeRow = run!(self, sql, args, fetch_optional)?;
        row.0.as_ref().map(T::from_row).transpose()
    }

    /// The first row of a statement that always has one, such as a count or `RETURNING`.
    pub async fn one<T: FromRow>(&mut self, sql: impl Into<Cow<'static, str>>, args: &[Arg]) -> Result<T> {
        self.optional(sql, args).await?.ok_or_else(|| Error::internal("a statement that always has a row had none"))
    }

    /// Runs a statement and tells how many rows it changed.
    pub async fn execute(&mut self, sql: impl Into<Cow<'static, str>>, args: &[Arg]) -> Result<u64> {
        let done: row::Changed = run!(self, sql, args, execute)?;
        Ok(done.0)
    }

    /// Commits, then wakes who waits for what was written.
    pub async fn commit(self) -> Result<()> {
        let started = Instant::now();
        match self.kind {
            TxKind::Sqlite(tx) => tx.commit().await,
            TxKind::Postgres(tx) => tx.commit().await,
        }
        .map_err(|e| explain(e, "commit"))?;
        metrics::histogram!("db_query_duration_seconds", "operation" => "commit").record(started.elapsed().as_secs_f64());
        for wake in self.pending {
            self.wakes.wake(&wake);
        }
        Ok(())
    }

    pub(crate) fn after_commit(&mut self, wake: Wake) {
        self.pending.push(wake);
    }
}

/// The statement's first word as a metric label, from a fixed set.
fn verb(sql: &str) -> &'static str {
    let word = sql.trim_start().split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or("");
    ["select", "insert", "update", "delete", "with"].into_iter().find(|v| word.eq_ignore_ascii_case(v)).unwrap_or("other")
}

/// Turns a driver error into one of ours: what is wrong with disk, file or server is told to people, the rest is internal.
pub(crate) fn explain(error: sqlx::Error, doing: &str) -> Error {
    let busy = || {
        Error::new(code::OVERLOADED, "no database connection was free in time: all are busy, or the database does not answer")
            .with_retry_after(std::time::Duration::from_secs(1))
    };
    let gone = |e: &sqlx::Error| {
        let error = Error::new(code::DATABASE_UNAVAILABLE, "the database does not answer").with_internal(e);
        error.with_retry_after(std::time::Duration::from_secs(5))
    };
    match &error {
        sqlx::Error::Database(db) => match complaint(db.as_ref()) {
            Some(Complaint::Full) => Error::new(code::STORAGE_FULL, "no space is left for the database").with_internal(&error),
            Some(Complaint::ReadOnly) => Error::new(code::STORAGE_READ_ONLY, "the database cannot be written").with_internal(&error),
            Some(Complaint::Damaged) => Error::new(code::DATA_DIR_UNUSABLE, DAMAGED).with_internal(&error),
            Some(Complaint::Failing) => Error::new(code::DATA_DIR_UNUSABLE, FAILING).with_internal(&error),
            Some(Complaint::Gone) => gone(&error),
            None => internal(&error, doing),
        },
        sqlx::Error::PoolTimedOut => busy(),
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => gone(&error),
        _ => internal(&error, doing),
    }
}

fn internal(error: &sqlx::Error, doing: &str) -> Error {
    Error::internal(format_args!("{error}; statement: {}", doing.split_whitespace().collect::<Vec<_>>().join(" ")))
}

/// What to say of a database file that is no whole one.
const DAMAGED: &str = "the database file is damaged: stop the server and restore a backup";
/// What to say when the system refuses to read or write a database file.
const FAILING: &str = "the database file cannot be read or written: the disk is full or failing";

/// What a database complains of that is not the statement's fault.
enum Complaint {
    Full,
    ReadOnly,
    Damaged,
    Failing,
    Gone,
}

/// SQLite's result codes are numbers, with extended ones in the upper bits; PostgreSQL's are five characters, and a number among them is told
/// by its length.
fn complaint(error: &dyn sqlx::error::DatabaseError) -> Option<Complaint> {
    let code = error.code()?;
    if code.len() == 5 {
        return match &*code {
            "53100" => Some(Complaint::Full),
            // The server is shutting down, starting, or has lost the connection (classes 57P and 08).
            code if code.starts_with("57P") || code.starts_with("08") => Some(Complaint::Gone),
            _ => None,
        };
    }
    match code.parse::<i64>().ok()? & 0xff {
        8 => Some(Complaint::ReadOnly),
        10 => Some(Complaint::Failing),
        11 | 26 => Some(Complaint::Damaged),
        13 => Some(Complaint::Full),
        _ => None,
    }
}

/// Whether an error says that a unique key is taken already; `store.rs` files turn it into their own conflict.
pub fn is_unique_violation(error: &Error) -> bool {
    error
        .internal_detail()
        .is_some_and(|d| d.contains("UNIQUE constraint failed") || d.contains("duplicate key value violates unique constraint"))
}

#[cfg(test)]
mod tests;
