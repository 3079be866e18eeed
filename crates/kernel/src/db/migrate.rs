//! Migrations: one sequence per domain, written once for both engines, applied once, never edited.

use sqlx::{AssertSqlSafe, Executor, SqlSafeStr};

use super::{Db, Dialect, Tx, TxKind, explain};
use crate::{Clock, Error, Result, args, error::code};

/// One step of a domain's schema.
#[derive(Debug, Clone, Copy)]
pub struct Migration {
    /// Its place in the domain's sequence, from 1.
    pub version: i64,
    /// What it does, from its file's name.
    pub name: &'static str,
    /// The statements. `{{blob}}` is the engine's type for bytes; `{{time(c)}}` and `{{json(c)}}` make a column readable in a view.
    pub sql: &'static str,
}

/// The migrations of one domain, in order.
#[derive(Debug, Clone, Copy)]
pub struct Migrations {
    /// The domain, such as `knowledge`.
    pub domain: &'static str,
    /// Its steps.
    pub steps: &'static [Migration],
}

/// What is applied and what is to come.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Plan {
    /// `domain/0001_name` of every applied step.
    pub applied: Vec<String>,
    /// `domain/0001_name` of every step to come, in the order of their application.
    pub pending: Vec<String>,
}

/// The kernel's own tables.
pub const KERNEL: Migrations = Migrations {
    domain: "kernel",
    steps: &[
        Migration { version: 1, name: "events", sql: include_str!("../../migrations/0001_events.sql") },
        Migration { version: 2, name: "jobs", sql: include_str!("../../migrations/0002_jobs.sql") },
        Migration { version: 3, name: "audit", sql: include_str!("../../migrations/0003_audit.sql") },
        Migration { version: 4, name: "idempotency", sql: include_str!("../../migrations/0004_idempotency.sql") },
        Migration { version: 5, name: "retention", sql: include_str!("../../migrations/0005_retention.sql") },
        Migration { version: 6, name: "deaths", sql: include_str!("../../migrations/0006_deaths.sql") },
        Migration { version: 7, name: "processes", sql: include_str!("../../migrations/0007_processes.sql") },
        Migration { version: 8, name: "replies", sql: include_str!("../../migrations/0008_replies.sql") },
        Migration { version: 30, name: "audit_reading", sql: include_str!("../../migrations/0030_audit_reading.sql") },
        Migration { version: 40, name: "job_attempts", sql: include_str!("../../migrations/0040_job_attempts.sql") },
    ],
};

/// Any constant will do, as long as nothing else in the database uses it for `pg_advisory_lock`.
const ADVISORY_LOCK: i64 = 0x4153_5452_4f4c_4142;

const TABLE: &str = "CREATE TABLE IF NOT EXISTS schema_migrations (
    domain TEXT NOT NULL, version BIGINT NOT NULL, name TEXT NOT NULL, checksum TEXT NOT NULL, applied_at BIGINT NOT NULL,
    PRIMARY KEY (domain, version))";

struct Applied {
    domain: String,
    version: i64,
    name: String,
    checksum: String,
}

impl super::FromRow for Applied {
    fn from_row(row: &super::Row) -> Result<Self> {
        Ok(Self { domain: row.get("domain")?, version: row.get("version")?, name: row.get("name")?, checksum: row.get("checksum")? })
    }
}

impl Db {
    /// Applies what is missing, all in one transaction, and returns the plan as it was before. Replicas that start together
    /// wait for each other. With `dry_run` nothing is changed.
    ///
    /// # Errors
    /// `data_dir_newer` when the database knows steps that this program does not; `internal` when an applied step was edited.
    pub async fn migrate(&self, domains: &[Migrations], clock: &Clock, dry_run: bool) -> Result<Plan> {
        let mut tx = self.write_schema().await?;
        if tx.dialect() == Dialect::Postgres {
            tx.all::<LockRow>("SELECT pg_advisory_xact_lock($1)", args![ADVISORY_LOCK]).await?;
        }
        // Even when the table is there, the statement asks for the right to make tables, which a role that only serves need not have.
        if tx.dialect() == Dialect::Sqlite || tx.one::<bool>("SELECT to_regclass('schema_migrations') IS NULL", &[]).await? {
            tx.script(TABLE).await?;
        }
        let known: Vec<Applied> =
            tx.all("SELECT domain, version, name, checksum FROM schema_migrations ORDER BY domain, version", &[]).await?;
        let plan = plan(domains, &known)?;
        if dry_run {
            return Ok(plan);
        }
        for domain in domains {
            for step in domain.steps {
                let label = label(domain.domain, step.version, step.name);
                if !plan.pending.contains(&label) {
                    continue;
                }
                tx.script(&render(step.sql, tx.dialect())).await.map_err(|e| e.with_internal(format_args!("migration {label} failed")))?;
                tx.execute(
                    "INSERT INTO schema_migrations (domain, version, name, checksum, applied_at) VALUES ($1, $2, $3, $4, $5)",
                    args![domain.domain, step.version, step.name, checksum(step.sql), clock.now()],
                )
                .await?;
                tracing::debug!(migration = label, "applied a migration");
            }
        }
        if tx.dialect() == Dialect::Postgres {
            tx.script("SAVEPOINT fence").await?;
            let raised = tx.raise_fence().await;
            tx.keep(raised).await?;
            tx.script("SAVEPOINT fence").await?;
            let admitted = tx.admit().await;
            tx.keep(admitted).await?;
            tx.script("SAVEPOINT fence").await?;
            let joined = tx.join().await;
            tx.keep(joined).await?;
        }
        tx.commit().await?;
        self.look_at_fence().await?;
        Ok(plan)
    }
}

impl Tx {
    /// Keeps what was done since the savepoint, or takes it back: the database works without it, and `look_at_fence` says what is missing.
    async fn keep(&mut self, done: Result<()>) -> Result<()> {
        match done {
            Ok(()) => self.script("RELEASE SAVEPOINT fence").await,
            Err(error) => {
                tracing::warn!(error = ?error, "row-level security could not be set up as it should be");
                self.script("ROLLBACK TO SAVEPOINT fence").await
            }
        }
    }

    /// Runs several statements without arguments.
    async fn script(&mut self, sql: &str) -> Result<()> {
        let text = AssertSqlSafe(sql.to_owned()).into_sql_str();
        match &mut self.kind {
            TxKind::Sqlite(tx) => (&mut **tx).execute(sqlx::raw_sql(text)).await.map(|_| ()),
            TxKind::Postgres(tx) => (&mut **tx).execute(sqlx::raw_sql(text)).await.map(|_| ()),
        }
        .map_err(|e| explain(e, sql))
    }
}

/// `pg_advisory_xact_lock` returns a row of type void, of which nothing is read.
struct LockRow;
impl super::FromRow for LockRow {
    fn from_row(_: &super::Row) -> Result<Self> {
        Ok(Self)
    }
}

fn label(domain: &str, version: i64, name: &str) -> String {
    format!("{domain}/{version:04}_{name}")
}

fn checksum(sql: &str) -> String {
    use sha2::Digest;
    hex::encode(&sha2::Sha256::digest(sql.as_bytes())[..8])
}

fn plan(domains: &[Migrations], known: &[Applied]) -> Result<Plan> {
    let mut plan = Plan::default();
    for row in known {
        let label = label(&row.domain, row.version, &row.name);
        let Some(domain) = domains.iter().find(|d| d.domain == row.domain) else {
            return Err(newer(&label));
        };
        let Some(step) = domain.steps.iter().find(|s| s.version == row.version) else {
            return Err(newer(&label));
        };
        if checksum(step.sql) != row.checksum {
            return Err(Error::internal(format_args!("migration {label} was edited after it had been applied")));
        }
        plan.applied.push(label);
    }
    for domain in domains {
        for step in domain.steps {
            let label = label(domain.domain, step.version, step.name);
            if !plan.applied.contains(&label) {
                plan.pending.push(label);
            }
        }
    }
    Ok(plan)
}

fn newer(label: &str) -> Error {
    Error::new(
        code::DATA_DIR_NEWER,
        format!(
            "the database was written by a newer version of astrolabe (it has {label}): use that version, or restore a backup made by this one"
        ),
    )
}

/// Fills in what the engines write differently.
fn render(sql: &str, dialect: Dialect) -> String {
    let mut out = String::with_capacity(sql.len());
    let mut rest = sql;
    while let Some(start) = rest.find("{{") {
        let Some(end) = rest[start..].find("}}") else { break };
        out.push_str(&rest[..start]);
        let token = &rest[start + 2..start + end];
        let argument = token.split_once('(').map_or("", |(_, a)| a.trim_end_matches(')'));
        out.push_str(&match (token.split('(').next().unwrap_or(""), dialect) {
            ("blob", Dialect::Sqlite) => "BLOB".to_owned(),
            ("blob", Dialect::Postgres) => "BYTEA".to_owned(),
            ("time", Dialect::Sqlite) => format!("strftime('%Y-%m-%dT%H:%M:%fZ', {argument} / 1000000.0, 'unixepoch')"),
            ("time", Dialect::Postgres) => format!("to_timestamp({argument} / 1000000.0)"),
            ("json", Dialect::Sqlite) => argument.to_owned(),
            ("json", Dialect::Postgres) => format!("{argument}::jsonb"),
            _ => String::new(),
        });
        rest = &rest[start + end + 2..];
    }
    out.push_str(rest);
    out
}
