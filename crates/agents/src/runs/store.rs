//! The run table's statements.

use astrolabe_kernel::{
    Error, Id, Result, Timestamp, Tx, args,
    db::{FromRow, Row},
    principal::TenantId,
    processes::Process,
};

use super::{Run, RunState};
use crate::agents::AgentName;

const COLUMNS: &str = "id, agent, input, meta, state, result, trace_id, created_at, started_at";

impl FromRow for Run {
    fn from_row(row: &Row) -> Result<Self> {
        let (agent, state): (String, String) = (row.get("agent")?, row.get("state")?);
        Ok(Self {
            id: row.id("id")?,
            agent: AgentName::parse(&agent).map_err(Error::internal)?,
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

/// Adds a run that a process works on, or that waits there.
pub async fn insert(tx: &mut Tx, tenant: TenantId, principal: &str, process: Id<Process>, run: &Run) -> Result<()> {
    tx.execute(
        "INSERT INTO runs (id, tenant_id, principal_id, agent, input, meta, state, trace_id, created_at, started_at, process_id)
         VALUES ($1, $2, $3, $4, $5, $6, 'running', $7, $8, $9, $10)",
        args![
            run.id,
            tenant,
            principal,
            run.agent.as_str(),
            &run.input,
            &run.meta,
            &run.trace_id,
            run.created_at,
            (run.state == RunState::Running).then_some(run.created_at),
            process
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

/// A person's runs in the order of their making, behind an id.
pub async fn of_person(tx: &mut Tx, tenant: TenantId, principal: &str, after: &str, limit: i64) -> Result<Vec<Run>> {
    tx.all(
        format!("SELECT {COLUMNS} FROM runs WHERE tenant_id = $1 AND principal_id = $2 AND ($3 = '' OR id > $3) ORDER BY id LIMIT $4"),
        args![tenant, principal, after, limit],
    )
    .await
}

/// Removes a run that is over. Returns whether it was.
pub async fn delete_ended(tx: &mut Tx, tenant: TenantId, id: Id<Run>) -> Result<bool> {
    let gone = tx.execute("DELETE FROM runs WHERE tenant_id = $1 AND id = $2 AND state <> 'running'", args![tenant, id]).await?;
    Ok(gone == 1)
}

/// Removes what a person's steps did from the journal of effects. Returns how many they were.
pub async fn delete_effects(tx: &mut Tx, tenant: TenantId, principal: &str) -> Result<u64> {
    // A step's name begins with the caller's id and a space.
    let start = format!("{principal} ");
    let sql = format!("DELETE FROM effects WHERE tenant_id = $1 AND SUBSTR(step, 1, {}) = $2", start.chars().count());
    tx.execute(sql, args![tenant, start]).await
}
