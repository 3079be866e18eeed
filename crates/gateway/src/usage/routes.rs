//! Endpoints of usage and budgets.

use astrolabe_kernel::{
    Error, Id, Result, Tx,
    audit::Record,
    db::is_unique_violation,
    error::code,
    http::{
        BodyProblems, Caller, CommonProblems, ConflictProblem, Json, May, NotFoundProblem, Path, PreconditionProblem, Query, Routes, etag,
    },
    page::{Page, PageQuery},
    principal::right,
    routes,
};
use axum::{
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};

use super::{
    Ledger,
    budgets::{self, Budget, MAX_BUDGETS, NewBudget},
    store::{self, Sum},
};

/// Days of one report at most.
const MAX_DAYS: i64 = 400;

/// Groups of one report at most: the most expensive ones.
const MAX_GROUPS: i64 = 1000;

/// By what usage is summed up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// By day, in UTC.
    #[default]
    Day,
    /// By the model that was asked.
    Model,
    /// By the provider.
    Provider,
    /// By the name under which the model was asked for.
    Alias,
    /// By the person or service on whose behalf it was.
    Person,
    /// By API key.
    Key,
    /// By agent.
    Agent,
}

impl By {
    fn column(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Model => "model",
            Self::Provider => "provider",
            Self::Alias => "alias",
            Self::Person => "principal_id",
            Self::Key => "key_id",
            Self::Agent => "agent",
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Model => "model",
            Self::Provider => "provider",
            Self::Alias => "alias",
            Self::Person => "person",
            Self::Key => "key",
            Self::Agent => "agent",
        }
    }
}

/// Which usage to sum up.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct UsageQuery {
    /// The first day, in UTC; 29 days before `until` when absent.
    #[param(pattern = "^[0-9]{4}-[0-9]{2}-[0-9]{2}$", example = "2026-01-01")]
    pub from: Option<String>,
    /// The last day, in UTC; today when absent. A report has at most 400 days.
    #[param(pattern = "^[0-9]{4}-[0-9]{2}-[0-9]{2}$", example = "2026-01-31")]
    pub until: Option<String>,
    /// By what; by day when absent.
    #[param(inline, example = "model")]
    pub by: Option<By>,
}

/// Sums of usage.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct UsageSum {
    /// What they are the sums of: a day, a model, the id of a person, …; empty where there was none, such as no agent.
    pub key: String,
    /// Requests to providers, repeated ones included.
    pub requests: i64,
    /// Those of them that were not answered in full.
    pub failed: i64,
    /// Those whose tokens we counted, because the provider did not.
    pub estimated: i64,
    /// Those of models without a price; `cost_micro_usd` leaves them out.
    pub unpriced: i64,
    /// Tokens read by models, `cached_tokens` included.
    pub input_tokens: i64,
    /// Tokens written by models, `reasoning_tokens` included.
    pub output_tokens: i64,
    /// Tokens read that the provider knew already.
    pub cached_tokens: i64,
    /// Tokens written that were thoughts.
    pub reasoning_tokens: i64,
    /// Millionths of a US dollar, after the price list of the day.
    pub cost_micro_usd: i64,
}

impl UsageSum {
    fn of(sum: &Sum, by: By) -> Self {
        let key = match by {
            By::Day => sum.key.parse().map_or_else(|_| sum.key.clone(), |day| budgets::date(day).to_string()),
            _ => sum.key.clone(),
        };
        let [requests, failed, estimated, unpriced, input_tokens, output_tokens, cached_tokens, reasoning_tokens, cost_micro_usd] =
            sum.numbers;
        Self { key, requests, failed, estimated, unpriced, input_tokens, output_tokens, cached_tokens, reasoning_tokens, cost_micro_usd }
    }

    fn numbers(&self) -> [i64; 9] {
        [
            self.requests,
            self.failed,
            self.estimated,
            self.unpriced,
            self.input_tokens,
            self.output_tokens,
            self.cached_tokens,
            self.reasoning_tokens,
            self.cost_micro_usd,
        ]
    }
}

/// What models cost.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct UsageReport {
    /// The first day, in UTC.
    pub from: String,
    /// The last day, in UTC.
    pub until: String,
    /// By what it is summed up.
    pub by: By,
    /// All days and everybody together; its `key` is empty.
    pub total: UsageSum,
    /// Days in their order, days without usage left out; everything else with the most expensive first, at most 1000.
    pub items: Vec<UsageSum>,
}

/// A budget and how much of it is used.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct BudgetState {
    /// The budget.
    #[serde(flatten)]
    pub budget: Budget,
    /// What is used in this day or month, in the budget's unit; of a budget for everyone (`*`) by whoever used most.
    pub used: i64,
}

/// Sum up what models cost.
///
/// From the records of the requests to providers, which appear here within a second. Days are those of UTC.
#[utoipa::path(get, path = "/api/v1/usage", tag = "usage", params(UsageQuery),
    responses((status = 200, description = "The sums.", body = UsageReport), CommonProblems, right::ReadUsage))]
pub async fn get_usage(
    State(ledger): State<Ledger>,
    caller: May<right::ReadUsage>,
    Query(query): Query<UsageQuery>,
) -> Result<Json<UsageReport>> {
    report(&ledger, &caller, &query).await.map(Json)
}

/// Export what models cost.
///
/// The same sums as lines of comma-separated values (RFC 4180) with a line of headings.
#[utoipa::path(get, path = "/api/v1/usage/export", tag = "usage", params(UsageQuery),
    responses((status = 200, description = "The sums.", body = String, content_type = "text/csv"), CommonProblems, right::ReadUsage))]
pub async fn export_usage(
    State(ledger): State<Ledger>,
    caller: May<right::ReadUsage>,
    Query(query): Query<UsageQuery>,
) -> Result<Response> {
    let report = report(&ledger, &caller, &query).await?;
    let mut text = format!(
        "{},requests,failed,estimated,unpriced,input_tokens,output_tokens,cached_tokens,reasoning_tokens,cost_micro_usd\r\n",
        report.by.word()
    );
    for item in &report.items {
        text.push_str(&cell(&item.key));
        item.numbers().iter().for_each(|n| text.push_str(&format!(",{n}")));
        text.push_str("\r\n");
    }
    let file = format!("attachment; filename=\"usage-by-{}-{}-{}.csv\"", report.by.word(), report.from, report.until);
    let mut response = text.into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8; header=present"));
    response.headers_mut().insert(header::CONTENT_DISPOSITION, HeaderValue::from_str(&file).map_err(Error::internal)?);
    Ok(response)
}

/// A cell that a spreadsheet takes for text: what looks like a formula gets an apostrophe before it.
pub(super) fn cell(text: &str) -> String {
    let text = if text.starts_with(['=', '+', '-', '@', '\t']) { format!("'{text}") } else { text.to_owned() };
    if text.contains([',', '"', '\r', '\n']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

async fn report(ledger: &Ledger, caller: &Caller, query: &UsageQuery) -> Result<UsageReport> {
    let day = |name: &str, text: &Option<String>| match text {
        None => Ok(None),
        Some(text) => match text.parse::<jiff::civil::Date>() {
            Ok(date) if text.len() == 10 && date.year() >= 1970 => Ok(Some(budgets::day_of(date))),
            _ => Err(Error::field(name, "must be a day such as 2026-01-31")),
        },
    };
    let (today, _) = budgets::days(ledger.kernel().now());
    let until = day("until", &query.until)?.unwrap_or(today);
    let from = day("from", &query.from)?.unwrap_or(until - 29);
    if from > until || until - from >= MAX_DAYS {
        return Err(Error::field("from", format!("must not be after until, nor more than {MAX_DAYS} days before it")));
    }
    let (tenant, by) = (caller.principal.tenant, query.by.unwrap_or_default());
    let mut tx = ledger.kernel().db.read(tenant).await?;
    let total = store::sums(&mut tx, tenant, "tenant_id", from, until, 1).await?;
    let items = store::sums(&mut tx, tenant, by.column(), from, until, MAX_GROUPS).await?;
    let total = total.first().map(|sum| UsageSum { key: String::new(), ..UsageSum::of(sum, By::Model) }).unwrap_or_default();
    let items = items.iter().map(|sum| UsageSum::of(sum, by)).collect();
    Ok(UsageReport { from: budgets::date(from).to_string(), until: budgets::date(until).to_string(), by, total, items })
}

/// List budgets, newest first, with what is used of them.
#[utoipa::path(get, path = "/api/v1/budgets", tag = "usage", params(PageQuery),
    responses((status = 200, description = "A page.", body = Page<BudgetState>), CommonProblems, right::ReadUsage))]
pub async fn list_budgets(
    State(ledger): State<Ledger>,
    caller: May<right::ReadUsage>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<BudgetState>>> {
    let (limit, tenant) = (page.limit()?, caller.principal.tenant);
    let mut tx = ledger.kernel().db.read(tenant).await?;
    let rows = store::budgets(&mut tx, tenant, page.after(), limit).await?;
    let spenders = spenders(&ledger, &mut tx, &caller).await?;
    Ok(Json(Page::of(rows, limit, |b| b.id.to_string()).map(|budget| BudgetState { used: budgets::used(&budget, &spenders), budget })))
}

async fn spenders(ledger: &Ledger, tx: &mut Tx, caller: &Caller) -> Result<Vec<store::Spender>> {
    let (day, month) = budgets::days(ledger.kernel().now());
    store::spent(tx, caller.principal.tenant, day, month).await
}

/// Make a budget.
///
/// In force in this process at once, and everywhere within two seconds. There is one budget for each scope, subject, period and unit; a tenant has
/// at most 500.
#[utoipa::path(post, path = "/api/v1/budgets", tag = "usage", request_body = NewBudget,
    responses((status = 201, description = "Made.", body = Budget), CommonProblems, right::ManageBudgets, ConflictProblem, BodyProblems))]
pub async fn create_budget(
    State(ledger): State<Ledger>,
    caller: May<right::ManageBudgets>,
    Json(new): Json<NewBudget>,
) -> Result<Response> {
    new.validate()?;
    let (kernel, tenant, now) = (ledger.kernel(), caller.principal.tenant, ledger.kernel().now());
    let budget = Budget {
        id: kernel.id(),
        scope: new.scope,
        subject: new.subject,
        period: new.period,
        unit: new.unit,
        amount: new.amount,
        warn_at: new.warn_at,
        action: new.action,
        version: 1,
        created_by: caller.principal.id.clone(),
        created_at: now,
        updated_at: now,
    };
    let mut tx = kernel.db.write(tenant).await?;
    if store::count_budgets(&mut tx, tenant).await? >= MAX_BUDGETS {
        return Err(Error::new(code::CONFLICT, format!("a tenant has at most {MAX_BUDGETS} budgets: delete one first")));
    }
    store::insert_budget(&mut tx, tenant, &budget).await.map_err(taken)?;
    commit(&ledger, tx, &caller, "budgets.create", &budget).await?;
    Ok((StatusCode::CREATED, etag::with(budget.version, Json(budget))).into_response())
}

/// Read a budget. `ETag` is its version.
#[utoipa::path(get, path = "/api/v1/budgets/{id}", tag = "usage", params(("id" = Id<Budget>, Path)),
    responses((status = 200, description = "The budget.", body = BudgetState), CommonProblems, right::ReadUsage, NotFoundProblem))]
pub async fn get_budget(State(ledger): State<Ledger>, caller: May<right::ReadUsage>, Path(id): Path<Id<Budget>>) -> Result<Response> {
    let mut tx = ledger.kernel().db.read(caller.principal.tenant).await?;
    let budget = store::find_budget(&mut tx, caller.principal.tenant, id).await?.ok_or_else(missing)?;
    let used = budgets::used(&budget, &spenders(&ledger, &mut tx, &caller).await?);
    Ok(etag::with(budget.version, Json(BudgetState { budget, used })))
}

/// Replace a budget: what is absent gets its default.
///
/// With `If-Match` and the `ETag` that was read, a change that somebody made in the meantime is not overwritten.
#[utoipa::path(put, path = "/api/v1/budgets/{id}", tag = "usage",
    params(("id" = Id<Budget>, Path), ("If-Match" = Option<String>, Header, description = "The `ETag` of the budget as it was read.", example = "\"1\"")),
    request_body = NewBudget,
    responses((status = 200, description = "The budget as it is now.", body = Budget), CommonProblems, right::ManageBudgets, NotFoundProblem, ConflictProblem,
              PreconditionProblem, BodyProblems))]
pub async fn replace_budget(
    State(ledger): State<Ledger>,
    caller: May<right::ManageBudgets>,
    Path(id): Path<Id<Budget>>,
    headers: HeaderMap,
    Json(new): Json<NewBudget>,
) -> Result<Response> {
    new.validate()?;
    let (kernel, tenant) = (ledger.kernel(), caller.principal.tenant);
    let mut tx = kernel.db.write(tenant).await?;
    let mut budget = store::lock_budget(&mut tx, tenant, id).await?.ok_or_else(missing)?;
    etag::check(&headers, budget.version)?;
    (budget.scope, budget.subject, budget.period, budget.unit) = (new.scope, new.subject, new.period, new.unit);
    (budget.amount, budget.warn_at, budget.action) = (new.amount, new.warn_at, new.action);
    budget.version += 1;
    budget.updated_at = kernel.now();
    store::update_budget(&mut tx, tenant, &budget).await.map_err(taken)?;
    commit(&ledger, tx, &caller, "budgets.update", &budget).await?;
    Ok(etag::with(budget.version, Json(budget)))
}

/// Delete a budget.
#[utoipa::path(delete, path = "/api/v1/budgets/{id}", tag = "usage",
    params(("id" = Id<Budget>, Path), ("If-Match" = Option<String>, Header, description = "The `ETag` of the budget as it was read.", example = "\"1\"")),
    responses((status = 204, description = "Gone."), CommonProblems, right::ManageBudgets, NotFoundProblem, PreconditionProblem))]
pub async fn delete_budget(
    State(ledger): State<Ledger>,
    caller: May<right::ManageBudgets>,
    Path(id): Path<Id<Budget>>,
    headers: HeaderMap,
) -> Result<StatusCode> {
    let tenant = caller.principal.tenant;
    let mut tx = ledger.kernel().db.write(tenant).await?;
    let budget = store::lock_budget(&mut tx, tenant, id).await?.ok_or_else(missing)?;
    etag::check(&headers, budget.version)?;
    store::delete_budget(&mut tx, tenant, id).await?;
    commit(&ledger, tx, &caller, "budgets.delete", &budget).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Records a change, makes it, and has this process ask the budgets as they are now.
async fn commit(ledger: &Ledger, mut tx: Tx, caller: &Caller, action: &str, budget: &Budget) -> Result<()> {
    let payload = json!({"scope": budget.scope, "subject": budget.subject, "period": budget.period, "unit": budget.unit, "amount": budget.amount,
                         "warn_at": budget.warn_at, "action": budget.action, "version": budget.version});
    tx.audit(ledger.kernel(), Record::of(caller, action, budget.id, payload)).await?;
    tx.commit().await?;
    ledger.reread(caller.principal.tenant).await;
    Ok(())
}

fn missing() -> Error {
    Error::not_found("budget")
}

fn taken(error: Error) -> Error {
    if is_unique_violation(&error) {
        return Error::new(code::CONFLICT, "subject: there is a budget of this scope, subject, period and unit already")
            .and_field("subject", "is taken");
    }
    error
}

/// The endpoints of usage and budgets.
pub fn routes(ledger: Ledger) -> Routes {
    Routes::new()
        .routes(routes!(get_usage))
        .routes(routes!(export_usage))
        .routes(routes!(list_budgets, create_budget))
        .routes(routes!(get_budget, replace_budget, delete_budget))
        .with_state(ledger)
}
