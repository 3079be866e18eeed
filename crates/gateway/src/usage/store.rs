//! The tables of usage and budgets.

use std::collections::{BTreeMap, HashSet};

use astrolabe_kernel::{
    Id, Result, Timestamp, Tx, args,
    db::{Arg, FromRow, Row},
    principal::TenantId,
};

use super::{
    Outcome, UsageRecord,
    budgets::{Budget, Spent},
};

/// Records of one statement: as many as fit into SQLite's 32,766 placeholders many times over, few enough for one plan to be kept.
const PER_STATEMENT: usize = 50;

/// Microseconds of a day.
pub(super) const DAY: i64 = 86_400_000_000;

const RECORD: &str = "id, tenant_id, principal_id, key_id, agent, purpose, alias, provider, model, input_tokens, output_tokens, \
     cached_tokens, reasoning_tokens, cost_micro_usd, estimated, started_at, latency_us, first_token_us, outcome";
const RECORD_COLUMNS: usize = 19;

/// Adds records, each once however often it is brought, and their sums. Returns how many were new.
///
/// # Errors
/// When the database cannot be written.
pub async fn add(tx: &mut Tx, records: &[&UsageRecord]) -> Result<usize> {
    let mut new: HashSet<String> = HashSet::new();
    for some in records.chunks(PER_STATEMENT) {
        let rows = placeholders(some.len(), RECORD_COLUMNS);
        let sql = format!("INSERT INTO usage_records ({RECORD}) VALUES {rows} ON CONFLICT (id) DO NOTHING RETURNING id");
        let args: Vec<Arg> = some.iter().flat_map(|r| record_args(r)).collect();
        new.extend(tx.all::<String>(sql, &args).await?);
    }
    let mut sums: BTreeMap<[String; 7], (i64, TenantId, [i64; 9])> = BTreeMap::new();
    for r in records {
        // A record that was brought twice in one batch counts once.
        if !new.remove(&r.id.to_string()) {
            continue;
        }
        let day = r.started_at.micros().div_euclid(DAY);
        let key = [
            format!("{} {day}", r.who.tenant),
            r.who.principal.clone(),
            r.who.key.clone(),
            r.who.agent.clone(),
            r.alias.clone(),
            r.provider.clone(),
            r.model.clone(),
        ];
        let one = [
            1,
            i64::from(r.outcome != Outcome::Ok),
            i64::from(r.tokens.estimated),
            i64::from(r.cost.is_none()),
            int(r.tokens.input),
            int(r.tokens.output),
            int(r.tokens.cached),
            int(r.tokens.reasoning),
            r.cost.unwrap_or(0),
        ];
        let sum = &mut sums.entry(key).or_insert((day, r.who.tenant, [0; 9])).2;
        sum.iter_mut().zip(one).for_each(|(s, o)| *s += o);
    }
    let count = sums.values().map(|(_, _, s)| s[0]).sum::<i64>();
    // In the order of the key, so that two processes wait for each other instead of locking each other out.
    for ([_, principal, key, agent, alias, provider, model], (day, tenant, s)) in sums {
        tx.execute(
            "INSERT INTO usage_days (tenant_id, day, principal_id, key_id, agent, alias, provider, model, requests, failed, estimated, unpriced,
                                     input_tokens, output_tokens, cached_tokens, reasoning_tokens, cost_micro_usd)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
             ON CONFLICT (tenant_id, day, principal_id, key_id, agent, alias, provider, model) DO UPDATE SET
                requests = usage_days.requests + excluded.requests, failed = usage_days.failed + excluded.failed,
                estimated = usage_days.estimated + excluded.estimated, unpriced = usage_days.unpriced + excluded.unpriced,
                input_tokens = usage_days.input_tokens + excluded.input_tokens, output_tokens = usage_days.output_tokens + excluded.output_tokens,
                cached_tokens = usage_days.cached_tokens + excluded.cached_tokens,
                reasoning_tokens = usage_days.reasoning_tokens + excluded.reasoning_tokens,
                cost_micro_usd = usage_days.cost_micro_usd + excluded.cost_micro_usd",
            args![tenant, day, principal, key, agent, alias, provider, model, s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7], s[8]],
        )
        .await?;
    }
    Ok(usize::try_from(count).unwrap_or(0))
}

fn int(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn placeholders(rows: usize, columns: usize) -> String {
    let row = |r: usize| format!("({})", (1..=columns).map(|c| format!("${}", r * columns + c)).collect::<Vec<_>>().join(", "));
    (0..rows).map(row).collect::<Vec<_>>().join(", ")
}

fn record_args(r: &UsageRecord) -> [Arg; RECORD_COLUMNS] {
    [
        r.id.into(),
        r.who.tenant.into(),
        (&r.who.principal).into(),
        (&r.who.key).into(),
        (&r.who.agent).into(),
        r.purpose.as_str().into(),
        (&r.alias).into(),
        (&r.provider).into(),
        (&r.model).into(),
        r.tokens.input.into(),
        r.tokens.output.into(),
        r.tokens.cached.into(),
        r.tokens.reasoning.into(),
        r.cost.into(),
        r.tokens.estimated.into(),
        r.started_at.into(),
        r.latency.into(),
        r.first_token.into(),
        r.outcome.as_str().into(),
    ]
}

/// Sums of one value of what was grouped by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sum {
    /// The value: a day since 1970 as a number, a model, a person.
    pub key: String,
    /// Requests to providers, failed ones, those with our own count of tokens, those without a price; then tokens in, out, cached, of thoughts; then micro-USD.
    pub numbers: [i64; 9],
}

impl FromRow for Sum {
    fn from_row(row: &Row) -> Result<Self> {
        let mut numbers = [0; 9];
        for (i, number) in numbers.iter_mut().enumerate() {
            *number = row.get(&format!("n{i}"))?;
        }
        Ok(Self { key: row.get("key")?, numbers })
    }
}

const SUMS: &str = "CAST(SUM(requests) AS BIGINT) AS n0, CAST(SUM(failed) AS BIGINT) AS n1, CAST(SUM(estimated) AS BIGINT) AS n2, \
     CAST(SUM(unpriced) AS BIGINT) AS n3, CAST(SUM(input_tokens) AS BIGINT) AS n4, CAST(SUM(output_tokens) AS BIGINT) AS n5, \
     CAST(SUM(cached_tokens) AS BIGINT) AS n6, CAST(SUM(reasoning_tokens) AS BIGINT) AS n7, CAST(SUM(cost_micro_usd) AS BIGINT) AS n8";

/// The sums of the days `from..=until`, by a column of our own choosing: at most `limit` groups. Days come in their order, everything else with the most
/// expensive first.
///
/// # Errors
/// When the database cannot be read.
pub async fn sums(tx: &mut Tx, tenant: TenantId, column: &'static str, from: i64, until: i64, limit: i64) -> Result<Vec<Sum>> {
    let order = if column == "day" { "MIN(day)" } else { "n8 DESC, n0 DESC, key" };
    tx.all(
        format!(
            "SELECT CAST({column} AS TEXT) AS key, {SUMS} FROM usage_days WHERE tenant_id = $1 AND day >= $2 AND day <= $3
             GROUP BY {column} ORDER BY {order} LIMIT $4"
        ),
        args![tenant, from, until, limit],
    )
    .await
}

/// What somebody has spent today and this month.
pub struct Spender {
    /// Person, key and agent together.
    pub who: [String; 3],
    /// Since midnight and since the first of the month.
    pub spent: [Spent; 2],
}

impl FromRow for Spender {
    fn from_row(row: &Row) -> Result<Self> {
        let spent =
            |money: &str, tokens: &str| Ok::<_, astrolabe_kernel::Error>(Spent { micro_usd: row.get(money)?, tokens: row.get(tokens)? });
        Ok(Self { who: [row.get("principal_id")?, row.get("key_id")?, row.get("agent")?], spent: [spent("d0", "d1")?, spent("m0", "m1")?] })
    }
}

/// What everybody has spent today and since the first of the month, given as days.
///
/// # Errors
/// When the database cannot be read.
pub async fn spent(tx: &mut Tx, tenant: TenantId, today: i64, month: i64) -> Result<Vec<Spender>> {
    tx.all(
        "SELECT principal_id, key_id, agent,
                CAST(SUM(CASE WHEN day = $2 THEN cost_micro_usd ELSE 0 END) AS BIGINT) AS d0,
                CAST(SUM(CASE WHEN day = $2 THEN input_tokens + output_tokens ELSE 0 END) AS BIGINT) AS d1,
                CAST(SUM(cost_micro_usd) AS BIGINT) AS m0, CAST(SUM(input_tokens + output_tokens) AS BIGINT) AS m1
         FROM usage_days WHERE tenant_id = $1 AND day >= $3 AND day <= $2 GROUP BY principal_id, key_id, agent",
        args![tenant, today, month],
    )
    .await
}

const BUDGET: &str = "id, scope, subject, period, unit, amount, warn_at, action, version, created_by, created_at, updated_at";

impl FromRow for Budget {
    fn from_row(row: &Row) -> Result<Self> {
        let word = |column: &str| row.get::<String>(column).map(serde_json::Value::String);
        fn read<T: serde::de::DeserializeOwned>(value: serde_json::Value) -> Result<T> {
            serde_json::from_value(value).map_err(astrolabe_kernel::Error::internal)
        }
        Ok(Self {
            id: row.id("id")?,
            scope: read(word("scope")?)?,
            subject: row.get("subject")?,
            period: read(word("period")?)?,
            unit: read(word("unit")?)?,
            amount: row.get("amount")?,
            warn_at: row.get("warn_at")?,
            action: read(word("action")?)?,
            version: row.get("version")?,
            created_by: row.get("created_by")?,
            created_at: row.time("created_at")?,
            updated_at: row.time("updated_at")?,
        })
    }
}

/// The tenant's budgets, newest first, after the cursor; up to `limit + 1` rows.
///
/// # Errors
/// When the database cannot be read.
pub async fn budgets(tx: &mut Tx, tenant: TenantId, after: &str, limit: i64) -> Result<Vec<Budget>> {
    tx.all(
        format!("SELECT {BUDGET} FROM budgets WHERE tenant_id = $1 AND ($2 = '' OR id < $2) ORDER BY id DESC LIMIT $3"),
        args![tenant, after, limit + 1],
    )
    .await
}

/// One budget.
///
/// # Errors
/// When the database cannot be read.
pub async fn find_budget(tx: &mut Tx, tenant: TenantId, id: Id<Budget>) -> Result<Option<Budget>> {
    tx.optional(format!("SELECT {BUDGET} FROM budgets WHERE tenant_id = $1 AND id = $2"), args![tenant, id]).await
}

/// One budget, which nobody else may change until the transaction ends.
///
/// # Errors
/// When the database cannot be read.
pub async fn lock_budget(tx: &mut Tx, tenant: TenantId, id: Id<Budget>) -> Result<Option<Budget>> {
    let sql = format!("SELECT {BUDGET} FROM budgets WHERE tenant_id = $1 AND id = $2{}", tx.locking());
    tx.optional(sql, args![tenant, id]).await
}

/// How many budgets the tenant has.
///
/// # Errors
/// When the database cannot be read.
pub async fn count_budgets(tx: &mut Tx, tenant: TenantId) -> Result<i64> {
    tx.one("SELECT COUNT(*) FROM budgets WHERE tenant_id = $1", args![tenant]).await
}

/// Adds a budget.
///
/// # Errors
/// When the database cannot be written; a unique violation when there is one of the same scope, subject, period and unit.
pub async fn insert_budget(tx: &mut Tx, tenant: TenantId, b: &Budget) -> Result<()> {
    tx.execute(
        "INSERT INTO budgets (id, tenant_id, scope, subject, period, unit, amount, warn_at, action, version, created_by, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
        args![
            b.id,
            tenant,
            b.scope.as_str(),
            &b.subject,
            b.period.as_str(),
            b.unit.as_str(),
            b.amount,
            b.warn_at,
            b.action.as_str(),
            b.version,
            &b.created_by,
            b.created_at,
            b.updated_at
        ],
    )
    .await?;
    Ok(())
}

/// Writes what may change of a budget.
///
/// # Errors
/// When the database cannot be written; a unique violation as for [`insert_budget`].
pub async fn update_budget(tx: &mut Tx, tenant: TenantId, b: &Budget) -> Result<()> {
    tx.execute(
        "UPDATE budgets SET scope = $1, subject = $2, period = $3, unit = $4, amount = $5, warn_at = $6, action = $7, version = $8, updated_at = $9
         WHERE tenant_id = $10 AND id = $11",
        args![
            b.scope.as_str(),
            &b.subject,
            b.period.as_str(),
            b.unit.as_str(),
            b.amount,
            b.warn_at,
            b.action.as_str(),
            b.version,
            b.updated_at,
            tenant,
            b.id
        ],
    )
    .await?;
    Ok(())
}

/// Removes a budget.
///
/// # Errors
/// When the database cannot be written.
pub async fn delete_budget(tx: &mut Tx, tenant: TenantId, id: Id<Budget>) -> Result<()> {
    tx.execute("DELETE FROM budgets WHERE tenant_id = $1 AND id = $2", args![tenant, id]).await?;
    Ok(())
}

/// One person's record, for an export.
pub struct Personal {
    /// The record's id.
    pub id: String,
    /// Alias, provider, model and how it ended.
    pub words: [String; 4],
    /// Tokens in and out.
    pub tokens: [i64; 2],
    /// Micro-USD.
    pub cost: Option<i64>,
    /// When.
    pub at: Timestamp,
}

impl FromRow for Personal {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self {
            id: row.get("id")?,
            words: [row.get("alias")?, row.get("provider")?, row.get("model")?, row.get("outcome")?],
            tokens: [row.get("input_tokens")?, row.get("output_tokens")?],
            cost: row.get("cost_micro_usd")?,
            at: row.time("started_at")?,
        })
    }
}

/// Records of a person behind the id `after`.
///
/// # Errors
/// When the database cannot be read.
pub async fn of_person(tx: &mut Tx, tenant: TenantId, person: &str, after: &str, limit: i64) -> Result<Vec<Personal>> {
    tx.all(
        "SELECT id, alias, provider, model, outcome, input_tokens, output_tokens, cost_micro_usd, started_at FROM usage_records
         WHERE tenant_id = $1 AND principal_id = $2 AND id > $3 ORDER BY id LIMIT $4",
        args![tenant, person, after, limit],
    )
    .await
}

/// Puts a pseudonym in the place of a person, in up to `limit` records, then in the sums and budgets. Returns how many rows it changed.
///
/// # Errors
/// When the database cannot be written.
pub async fn rename_person(tx: &mut Tx, tenant: TenantId, person: &str, pseudonym: &str, limit: i64) -> Result<u64> {
    let records = tx
        .execute(
            "UPDATE usage_records SET principal_id = $1, key_id = '' WHERE tenant_id = $2 AND id IN
                (SELECT id FROM usage_records WHERE tenant_id = $2 AND principal_id = $3 ORDER BY id LIMIT $4)",
            args![pseudonym, tenant, person, limit],
        )
        .await?;
    if records > 0 {
        return Ok(records);
    }
    // The key stays in the sums: rows of two keys would become one.
    let days = tx
        .execute("UPDATE usage_days SET principal_id = $1 WHERE tenant_id = $2 AND principal_id = $3", args![pseudonym, tenant, person])
        .await?;
    let budgets = tx.execute("DELETE FROM budgets WHERE tenant_id = $1 AND scope = 'user' AND subject = $2", args![tenant, person]).await?;
    Ok(days + budgets)
}
