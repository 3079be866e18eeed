//! The run table's statements.

use astrolabe_kernel::{
    Error, Id, Result, Timestamp, Tx, args,
    db::{Dialect, FromRow, Row},
    principal::TenantId,
};

use super::{Run, RunResult, RunState};
use crate::agents::AgentName;

const COLUMNS: &str = "id, agent, input, meta, state, result, trace_id, created_at, started_at";

impl FromRow for Run {
    fn from_row(row: &Row) -> Result<Self> {
        let (agent, state): (String, String) = (row.get("agent")?, row.get("state")?);
        Ok(Self {
            id: row.id("id")?,
            agent: [AgentName::Support, AgentName::Ops]
                .into_iter()
                .find(|a| a.as_str() == agent)
                .ok_or_else(|| Error::internal(format_args!("{agent:?} is not an agent")))?,
            input: row.get("input")?,
            meta: row.json("meta")?,
            state: match state.as_str() {
                "running" if row.is_null("started_at")? => RunState::Queued,
                "running" => RunState::Running,
                "completed" => RunState::Completed,
                "failed" => RunState::Failed,
                other => return Err(Error::internal(format_args!("{other:?} is not a state of a run"))),
            },
            result: if row.is_null("result")? { None } else { Some(row.json("result")?) },
            trace_id: row.get("trace_id")?,
            created_at: row.time("created_at")?,
        })
    }
}

/// Adds a run that is worked on, or waits for it.
pub async fn insert(tx: &mut Tx, tenant: TenantId, principal: &str, run: &Run) -> Result<()> {
    tx.execute(
        "INSERT INTO runs (id, tenant_id, principal_id, agent, input, meta, state, trace_id, created_at, started_at)
         VALUES ($1, $2, $3, $4, $5, $6, 'running', $7, $8, $9)",
        args![
            run.id,
            tenant,
            principal,
            run.agent.as_str(),
            &run.input,
            &run.meta,
            &run.trace_id,
            run.created_at,
            (run.state == RunState::Running).then_some(run.created_at)
        ],
    )
    .await?;
    Ok(())
}

/// Notes that a run has got its slot.
pub async fn start(tx: &mut Tx, tenant: TenantId, id: Id<Run>, now: Timestamp) -> Result<()> {
    tx.execute("UPDATE runs SET started_at = $1 WHERE tenant_id = $2 AND id = $3", args![now, tenant, id]).await?;
    Ok(())
}

/// Ends a run with its result, or without one.
pub async fn finish(tx: &mut Tx, tenant: TenantId, id: Id<Run>, result: Option<&RunResult>, now: Timestamp) -> Result<()> {
    let state = if result.is_some() { "completed" } else { "failed" };
    let json = result.map(|r| serde_json::to_string(r).map_err(Error::internal)).transpose()?;
    tx.execute(
        "UPDATE runs SET state = $1, result = $2, finished_at = $3 WHERE tenant_id = $4 AND id = $5",
        args![state, json, now, tenant, id],
    )
    .await?;
    Ok(())
}

/// One run of a principal.
pub async fn get(tx: &mut Tx, tenant: TenantId, principal: &str, id: Id<Run>) -> Result<Option<Run>> {
    tx.optional(format!("SELECT {COLUMNS} FROM runs WHERE tenant_id = $1 AND principal_id = $2 AND id = $3"), args![tenant, principal, id])
        .await
}

/// A principal's runs, newest first, after the cursor; up to `limit + 1` rows.
pub async fn page(tx: &mut Tx, tenant: TenantId, principal: &str, after: &str, limit: i64) -> Result<Vec<Run>> {
    tx.all(
        format!("SELECT {COLUMNS} FROM runs WHERE tenant_id = $1 AND principal_id = $2 AND ($3 = '' OR id < $3) ORDER BY id DESC LIMIT $4"),
        args![tenant, principal, after, limit + 1],
    )
    .await
}

/// Runs that no process works on any more. SQLite has one process, which has just started; on PostgreSQL others may be at work, so only what
/// is older than any run may take counts.
pub async fn abandoned(tx: &mut Tx, now: Timestamp) -> Result<Vec<(TenantId, Id<Run>)>> {
    struct Abandoned(TenantId, Id<Run>);
    impl FromRow for Abandoned {
        fn from_row(row: &Row) -> Result<Self> {
            Ok(Self(row.id("tenant_id")?, row.id("id")?))
        }
    }
    let before = match tx.dialect() {
        // Also what a clock that was set back since calls the future.
        Dialect::Sqlite => Timestamp::from_micros(i64::MAX),
        Dialect::Postgres => now.minus(std::time::Duration::from_secs(1200)),
    };
    let rows: Vec<Abandoned> =
        tx.all("SELECT tenant_id, id FROM runs WHERE state = 'running' AND created_at <= $1 LIMIT 1000", args![before]).await?;
    Ok(rows.into_iter().map(|a| (a.0, a.1)).collect())
}
