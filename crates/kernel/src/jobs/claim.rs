//! Which job runs next.
//!
//! Tenants take turns: the next job is of the tenant that has the fewest running, and among equals of the one that this process served longest ago,
//! so ten thousand jobs of one tenant do not hold up the single job of another. Within a tenant the higher priority goes first, then the older job.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use super::{
    Job,
    queue::{COLUMNS, stream},
};
use crate::{
    Result, Timestamp, Tx, args,
    db::{Dialect, FromRow, Row, Wake},
    principal::TenantId,
};

/// What a worker claims under.
pub(super) struct Terms<'a> {
    /// The worker, as it stands in the rows.
    pub owner: &'a str,
    /// How long the claim lasts without a heartbeat.
    pub lease: Duration,
    /// Jobs of one tenant at a time; 0 for any number.
    pub per_tenant: i64,
    /// Jobs of a kind at a time, for the kinds that have a limit.
    pub kinds: &'a BTreeMap<&'static str, i64>,
    /// When this process last served each tenant.
    pub turns: &'a Turns,
}

/// When a process last served each tenant, counted in claims.
#[derive(Default)]
pub(super) struct Turns(Mutex<(u64, HashMap<TenantId, u64>)>);

impl Turns {
    fn last(&self, tenant: TenantId) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1.get(&tenant).copied().unwrap_or(0)
    }

    fn served(&self, tenant: TenantId) {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        turns.0 += 1;
        let turn = turns.0;
        turns.1.insert(tenant, turn);
    }
}

/// A tenant or a kind, and how many of its jobs run.
struct Running {
    tenant: TenantId,
    kind: String,
    count: i64,
}

impl FromRow for Running {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self { tenant: row.id("tenant_id")?, kind: row.get("kind")?, count: row.get("n")? })
    }
}

impl Tx {
    /// Claims the job that should run next: one whose lease ran out, else one that is queued and due.
    pub(super) async fn claim(&mut self, terms: &Terms<'_>, now: Timestamp) -> Result<Option<Job>> {
        let skip = if self.dialect() == Dialect::Postgres { "FOR UPDATE SKIP LOCKED" } else { "" };
        let expired: Option<String> = self
            .optional(
                format!("SELECT id FROM jobs WHERE state = 'running' AND lease_until < $1 ORDER BY lease_until LIMIT 1 {skip}"),
                args![now],
            )
            .await?;
        if let Some(id) = expired {
            self.execute(
                "INSERT INTO job_attempts (job_id, fence, tenant_id, worker, outcome, started_at, ended_at)
                 SELECT id, fence, tenant_id, COALESCE(lease_owner, ''), 'died', COALESCE(started_at, created_at), $1 FROM jobs WHERE id = $2
                 ON CONFLICT DO NOTHING",
                args![now, &id],
            )
            .await?;
            return self.take(terms, &id, "deaths = deaths + 1", now).await.map(Some);
        }
        let limited = terms.per_tenant > 0 || !terms.kinds.is_empty();
        if limited && self.dialect() == Dialect::Postgres {
            // Two who count at once would both find room for one.
            self.execute("SELECT pg_advisory_xact_lock(7310001)", &[]).await?;
        }
        let mut running = if limited { self.running().await? } else { Vec::new() };
        let of_kind = |kind: &str| running.iter().filter(|r| r.kind == kind).map(|r| r.count).sum::<i64>();
        let full: String =
            terms.kinds.iter().filter(|(kind, limit)| of_kind(kind) >= **limit).map(|(kind, _)| format!(",{kind},")).collect();
        let mut waiting = self.waiting_tenants(&full, now).await?;
        if waiting.len() > 1 && !limited {
            running = self.running().await?;
        }
        let of_tenant = |tenant: TenantId| running.iter().filter(|r| r.tenant == tenant).map(|r| r.count).sum::<i64>();
        waiting.retain(|tenant| terms.per_tenant == 0 || of_tenant(*tenant) < terms.per_tenant);
        waiting.sort_by_key(|tenant| (of_tenant(*tenant), terms.turns.last(*tenant)));
        // The first has a job that may run; the next ones are for when other workers take it meanwhile.
        for tenant in waiting {
            let sql = format!(
                "SELECT id FROM jobs WHERE tenant_id = $1 AND state = 'queued' AND run_at <= $2 AND REPLACE($3, ',' || kind || ',', '') = $3
                 ORDER BY priority DESC, run_at, id LIMIT 1 {skip}"
            );
            if let Some(id) = self.optional::<String>(sql, args![tenant, now, &full]).await? {
                terms.turns.served(tenant);
                return self.take(terms, &id, "attempts = attempts + 1", now).await.map(Some);
            }
        }
        Ok(None)
    }

    /// How many jobs of each kind each tenant has running.
    async fn running(&mut self) -> Result<Vec<Running>> {
        self.all("SELECT tenant_id, kind, COUNT(*) AS n FROM jobs WHERE state = 'running' GROUP BY tenant_id, kind", &[]).await
    }

    /// The tenants that have a job which may run now: each one is found by a look into the index behind the one before it. `full` are the kinds
    /// of which no more may run, each between commas.
    async fn waiting_tenants(&mut self, full: &str, now: Timestamp) -> Result<Vec<TenantId>> {
        let rows: Vec<String> = self
            .all(
                "WITH RECURSIVE t (tenant_id) AS (
                     SELECT MIN(tenant_id) FROM jobs WHERE state = 'queued'
                     UNION ALL
                     SELECT (SELECT MIN(j.tenant_id) FROM jobs j WHERE j.state = 'queued' AND j.tenant_id > t.tenant_id) FROM t WHERE t.tenant_id IS NOT NULL
                 ) SELECT tenant_id FROM t WHERE tenant_id IS NOT NULL AND EXISTS
                     (SELECT 1 FROM jobs d WHERE d.tenant_id = t.tenant_id AND d.state = 'queued' AND d.run_at <= $1 AND REPLACE($2, ',' || d.kind || ',', '') = $2)",
                args![now, full],
            )
            .await?;
        rows.iter().map(|id| id.parse()).collect()
    }

    async fn take(&mut self, terms: &Terms<'_>, id: &str, count: &str, now: Timestamp) -> Result<Job> {
        let sql = format!(
            "UPDATE jobs SET state = 'running', {count}, fence = fence + 1, lease_owner = $1, lease_until = $2, updated_at = $3, started_at = $3,
                    version = version + 1
             WHERE id = $4 RETURNING {COLUMNS}"
        );
        let mut job: Job = self.one(sql, args![terms.owner, now.plus(terms.lease), now, id]).await?;
        terms.owner.clone_into(&mut job.worker);
        self.after_commit(Wake::Stream(stream(job.id)));
        Ok(job)
    }
}
