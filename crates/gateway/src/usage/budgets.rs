//! Budgets: how much a tenant, a person, a key or an agent may spend in a day or a month, and the book in memory that is asked before a call.
//!
//! What others spend is read from SQL every two seconds; what this process has begun and not yet written is counted on top at once. So two
//! processes may together spend more than a budget by what they begin within those two seconds, and one alone by nothing.

use std::collections::HashMap;

use astrolabe_kernel::{Error, Id, Result, Timestamp, error::code, id::Named};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Who, store};

/// Budgets of a tenant at most: all of them are looked at before a call.
pub const MAX_BUDGETS: i64 = 500;

/// The most that a budget may hold: a thousand million dollars, or as many million tokens.
pub const MAX_AMOUNT: i64 = 1_000_000_000_000_000;

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$variant_doc])* $variant),* }

        impl $name {
            /// The word as stored and sent.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }
        }
    };
}

words! {
    /// Whose spending a budget is about.
    Scope {
        /// The whole tenant.
        Tenant = "tenant",
        /// A person or service, by the id of its principal.
        User = "user",
        /// An API key.
        Key = "key",
        /// An agent, by its name.
        Agent = "agent",
    }
}

words! {
    /// How long a budget lasts. Both begin at midnight UTC.
    Period {
        /// A day.
        Day = "day",
        /// A calendar month.
        Month = "month",
    }
}

words! {
    /// What is counted.
    Unit {
        /// Millionths of a US dollar; models without a price cost nothing.
        MicroUsd = "micro_usd",
        /// Tokens, in and out.
        Tokens = "tokens",
    }
}

words! {
    /// What happens when a budget is used up.
    Action {
        /// It is noted: in the log, in a metric, and in the list of budgets.
        Warn = "warn",
        /// Calls are refused with `budget_exceeded` until the period ends.
        Block = "block",
    }
}

/// What may be spent.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewBudget {
    /// Whose spending it is about.
    pub scope: Scope,
    /// The id of the person (`user:usr_…`) or key (`key_…`), or the agent's name; `*` gives everyone of that scope as much. Absent for the tenant.
    #[serde(default)]
    #[schema(max_length = 200, example = "*")]
    pub subject: String,
    /// How long it lasts.
    pub period: Period,
    /// What is counted.
    pub unit: Unit,
    /// How much: micro-USD (`5000000` are five dollars) or tokens.
    #[schema(minimum = 0, maximum = 1_000_000_000_000_000_i64, example = 5_000_000)]
    pub amount: i64,
    /// From how many per cent on it is noted that little is left.
    #[serde(default = "eighty")]
    #[schema(minimum = 1, maximum = 100, default = 80, example = 80)]
    pub warn_at: i64,
    /// What happens when it is used up.
    #[serde(default = "block")]
    pub action: Action,
}

fn eighty() -> i64 {
    80
}

fn block() -> Action {
    Action::Block
}

impl NewBudget {
    /// Says what cannot be.
    ///
    /// # Errors
    /// `invalid_request` naming the field.
    pub fn validate(&self) -> Result<()> {
        if (self.scope == Scope::Tenant) != self.subject.is_empty() {
            return Err(Error::field("subject", "must be empty for the scope tenant, and name somebody or be * for the others"));
        }
        if self.subject.chars().count() > 200 || self.subject.chars().any(char::is_control) {
            return Err(Error::field("subject", "must have at most 200 characters, none of them control characters"));
        }
        if !(0..=MAX_AMOUNT).contains(&self.amount) {
            return Err(Error::field("amount", format!("must be 0 to {MAX_AMOUNT}")));
        }
        if !(1..=100).contains(&self.warn_at) {
            return Err(Error::field("warn_at", "must be 1 to 100"));
        }
        Ok(())
    }
}

/// A budget.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Budget {
    /// Its id.
    pub id: Id<Budget>,
    /// Whose spending it is about.
    pub scope: Scope,
    /// Person, key or agent; `*` for everyone of that scope; empty for the tenant.
    pub subject: String,
    /// How long it lasts.
    pub period: Period,
    /// What is counted.
    pub unit: Unit,
    /// How much: micro-USD or tokens.
    pub amount: i64,
    /// From how many per cent on it is noted that little is left.
    pub warn_at: i64,
    /// What happens when it is used up.
    pub action: Action,
    /// Grows with every change; the `ETag`.
    pub version: i64,
    /// Who made it.
    pub created_by: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was changed the last time.
    pub updated_at: Timestamp,
}

impl Named for Budget {
    const PREFIX: &'static str = "bud";
}

/// An amount in both units.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spent {
    /// Millionths of a US dollar.
    pub micro_usd: i64,
    /// Tokens in and out.
    pub tokens: i64,
}

impl Spent {
    fn add(&mut self, other: Self, sign: i64) {
        self.micro_usd = self.micro_usd.saturating_add(other.micro_usd * sign);
        self.tokens = self.tokens.saturating_add(other.tokens * sign);
    }

    /// The part that a budget counts.
    pub fn of(self, unit: Unit) -> i64 {
        match unit {
            Unit::MicroUsd => self.micro_usd,
            Unit::Tokens => self.tokens,
        }
    }
}

type Key = (Scope, String);

/// A tenant's budgets and what is spent of them, as this process knows it.
#[derive(Default)]
pub(super) struct Book {
    budgets: Vec<Budget>,
    /// What stands in SQL: of the day and of the month.
    spent: HashMap<Key, [Spent; 2]>,
    /// What calls have held back, and what is on its way to SQL.
    held: HashMap<Key, Spent>,
    day: i64,
    month: i64,
    /// When it was asked the last time.
    pub(super) used_at: Option<Timestamp>,
}

/// What a call is told besides that it may go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The budget of which little or nothing is left.
    pub budget: Id<Budget>,
    /// How much of it is used, in per cent.
    pub used: i64,
}

impl Book {
    /// A book with what SQL says now.
    pub(super) fn read(&mut self, budgets: Vec<Budget>, spenders: Vec<store::Spender>, day: i64, month: i64) {
        self.spent.clear();
        for spender in spenders {
            for key in keys(&spender.who) {
                let sum = self.spent.entry(key).or_default();
                sum.iter_mut().zip(spender.spent).for_each(|(s, more)| s.add(more, 1));
            }
        }
        (self.budgets, self.day, self.month) = (budgets, day, month);
        self.held.retain(|_, held| *held != Spent::default());
    }

    /// Whether anybody has to be asked at all.
    pub(super) fn is_empty(&self) -> bool {
        self.budgets.is_empty()
    }

    /// Asks every budget that the caller falls under and holds `cost` back.
    ///
    /// # Errors
    /// `budget_exceeded` naming the budget, with the end of its period as `Retry-After`.
    pub(super) fn hold(&mut self, who: &Who, cost: Spent, now: Timestamp) -> Result<Vec<Warning>> {
        let (today, month) = days(now);
        let keys = keys(&names(who));
        let mut warnings = Vec::new();
        for budget in &self.budgets {
            let Some(key) = keys.iter().find(|(scope, _)| *scope == budget.scope) else { continue };
            if budget.scope != Scope::Tenant && budget.subject != "*" && budget.subject != key.1 {
                continue;
            }
            // Of a day or month that is over nothing counts, however old the book is.
            let stale = match budget.period {
                Period::Day => today != self.day,
                Period::Month => month != self.month,
            };
            let known = self.spent.get(key).map_or(Spent::default(), |s| s[usize::from(budget.period == Period::Month)]);
            let known = if stale { Spent::default() } else { known };
            let held = self.held.get(key).copied().unwrap_or_default();
            let used = known.of(budget.unit).saturating_add(held.of(budget.unit));
            if used.saturating_add(cost.of(budget.unit)) > budget.amount || used >= budget.amount {
                if budget.action == Action::Block {
                    metrics::counter!("model_budget_refused_total", "scope" => budget.scope.as_str()).increment(1);
                    return Err(refused(budget, now));
                }
                warnings.push(Warning { budget: budget.id, used: percent(used, budget.amount) });
            } else if percent(used, budget.amount) >= budget.warn_at {
                warnings.push(Warning { budget: budget.id, used: percent(used, budget.amount) });
            }
        }
        for warning in &warnings {
            metrics::counter!("model_budget_warned_total").increment(1);
            tracing::debug!(budget = %warning.budget, used = warning.used, "little is left of a budget");
        }
        keys.into_iter().for_each(|key| self.held.entry(key).or_default().add(cost, 1));
        Ok(warnings)
    }

    /// Changes what is held back: what was expected goes, what it was comes.
    pub(super) fn change(&mut self, who: &Who, amount: Spent, sign: i64) {
        keys(&names(who)).into_iter().for_each(|key| self.held.entry(key).or_default().add(amount, sign));
    }

    /// What was held back stands in SQL now.
    pub(super) fn written(&mut self, who: &Who, amount: Spent) {
        for key in keys(&names(who)) {
            self.held.entry(key.clone()).or_default().add(amount, -1);
            self.spent.entry(key).or_default().iter_mut().for_each(|s| s.add(amount, 1));
        }
    }
}

fn percent(used: i64, amount: i64) -> i64 {
    if amount == 0 { 100 } else { i64::try_from(i128::from(used) * 100 / i128::from(amount)).unwrap_or(i64::MAX) }
}

fn refused(budget: &Budget, now: Timestamp) -> Error {
    let whose = match budget.scope {
        Scope::Tenant => "the tenant's",
        Scope::User => "your",
        Scope::Key => "the key's",
        Scope::Agent => "the agent's",
    };
    let message = format!("{whose} budget {} for this {} is used up or would be by this call", budget.id, budget.period.as_str());
    Error::new(code::BUDGET_EXCEEDED, message).with_retry_after(std::time::Duration::from_micros(left(budget.period, now)))
}

fn names(who: &Who) -> [String; 3] {
    [who.principal.clone(), who.key.clone(), who.agent.clone()]
}

/// Under which keys somebody's spending counts.
fn keys([person, key, agent]: &[String; 3]) -> Vec<Key> {
    let named = [(Scope::User, person), (Scope::Key, key), (Scope::Agent, agent)];
    let named = named.into_iter().filter(|(_, name)| !name.is_empty()).map(|(scope, name)| (scope, name.clone()));
    std::iter::once((Scope::Tenant, String::new())).chain(named).collect()
}

/// The day, and the first day of its month, as days since 1970.
pub(super) fn days(now: Timestamp) -> (i64, i64) {
    let day = now.micros().div_euclid(store::DAY);
    let date = date(day);
    (day, day - i64::from(date.day()) + 1)
}

/// The date of a day since 1970; the last one that there is for later ones.
pub(super) fn date(day: i64) -> jiff::civil::Date {
    jiff::civil::date(1970, 1, 1).checked_add(jiff::Span::new().try_days(day).unwrap_or_default()).unwrap_or(jiff::civil::Date::MAX)
}

/// The day since 1970 of a date.
pub(super) fn day_of(date: jiff::civil::Date) -> i64 {
    i64::from(jiff::civil::date(1970, 1, 1).until(date).map_or(0, |span| span.get_days()))
}

/// Microseconds until a period ends.
fn left(period: Period, now: Timestamp) -> u64 {
    let (today, month) = days(now);
    let end = match period {
        Period::Day => today + 1,
        Period::Month => month + i64::from(date(month).days_in_month()),
    };
    u64::try_from(end * store::DAY - now.micros()).unwrap_or(0)
}

/// How much of a budget is used, from what stands in SQL: for `*` by whoever has spent most.
pub(super) fn used(budget: &Budget, spenders: &[store::Spender]) -> i64 {
    let mut sums: HashMap<Key, i64> = HashMap::new();
    for spender in spenders {
        let spent = spender.spent[usize::from(budget.period == Period::Month)].of(budget.unit);
        for key in keys(&spender.who).into_iter().filter(|(scope, _)| *scope == budget.scope) {
            *sums.entry(key).or_default() += spent;
        }
    }
    match budget.subject.as_str() {
        "*" => sums.into_values().max().unwrap_or(0),
        subject => sums.get(&(budget.scope, subject.to_owned())).copied().unwrap_or(0),
    }
}
