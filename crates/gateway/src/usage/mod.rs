//! What calls to models cost, who pays, and how much is left.
//!
//! A call is begun at the [`Ledger`]: its budgets are asked and its likely cost is held back, in memory. Each request to a provider is an
//! [`Attempt`]: it stands in a local [`journal`] before the provider hears of it, and becomes exactly one [`UsageRecord`] in SQL, written
//! many at a time behind the call. What a process that died left in its journal becomes records at the next start.
//!
//! ```text
//! let tokens = tokens::estimate(&request, limit);
//! let wanted = Wanted { purpose: Purpose::Api, alias: "default", provider: "openai", model: "gpt-4o-mini", tokens };
//! let call = ledger.begin(Who::of(&principal), wanted).await?;   // budget_exceeded; keep it until the reply is over
//! let mut attempt = call.attempt("openai", "gpt-4o-mini")?;      // before the provider is called, for every attempt
//! attempt.first_token();                                         // when the first piece is there
//! attempt.wrote(&piece);                                         // what is counted when the reply is cut
//! attempt.finish(Outcome::Ok, Some(usage));                      // dropped instead: `canceled`, estimated
//! ```

pub mod budgets;
mod journal;
mod ledger;
pub mod personal;
pub mod prices;
pub mod routes;
pub mod store;
#[cfg(test)]
mod tests;

use astrolabe_kernel::{Id, Principal, Timestamp, id::Named, principal::TenantId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use ledger::{Attempt, Call, IN_PROCESS, Ledger, Wanted};

use crate::chat::Usage;

/// On whose behalf a model is called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Who {
    /// The tenant that pays.
    pub tenant: TenantId,
    /// The person or service, as [`Principal::id`].
    pub principal: String,
    /// The API key, `key_…`; empty when the caller came with something else.
    pub key: String,
    /// The agent that asks for the person; empty when it is none.
    pub agent: String,
}

impl Who {
    /// A caller, without an agent.
    pub fn of(principal: &Principal) -> Self {
        let key = principal.credential.strip_prefix("key:").unwrap_or_default().to_owned();
        Self { tenant: principal.tenant, principal: principal.id.clone(), key, agent: String::new() }
    }

    /// The same caller through an agent.
    #[must_use]
    pub fn through(mut self, agent: &str) -> Self {
        agent.clone_into(&mut self.agent);
        self
    }
}

/// For what a model is asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Somebody asks it over the API; what they do with it is theirs.
    #[default]
    Api,
    /// It answers a question from the sources.
    Ask,
    /// It plans the steps of an agent.
    Plan,
}

impl Purpose {
    /// The purpose as stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Ask => "ask",
            Self::Plan => "plan",
        }
    }
}

/// How a request to a provider ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was answered in full.
    Ok,
    /// A guardrail stopped the answer.
    Blocked,
    /// The provider refused or failed, or its answer was broken.
    Failed,
    /// It took too long.
    Timeout,
    /// Whoever asked hung up.
    Canceled,
    /// The process died in the middle.
    Cut,
}

impl Outcome {
    /// The outcome as stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Blocked => "blocked",
            Self::Failed => "failed",
            Self::Timeout => "timeout",
            Self::Canceled => "canceled",
            Self::Cut => "cut",
        }
    }
}

/// What one request to a provider cost. Written once, never changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageRecord {
    /// Its id, given before the provider was called.
    pub id: Id<UsageRecord>,
    /// On whose behalf.
    pub who: Who,
    /// For what. A journal of before this was noted has none.
    #[serde(default)]
    pub purpose: Purpose,
    /// The name that the caller asked for.
    pub alias: String,
    /// The provider that was called.
    pub provider: String,
    /// The model as we asked for it.
    pub model: String,
    /// The tokens.
    pub tokens: Usage,
    /// Millionths of a US dollar; absent when the price list does not know the model.
    pub cost: Option<i64>,
    /// When the provider was called.
    pub started_at: Timestamp,
    /// Microseconds from then to the last piece.
    pub latency: i64,
    /// Microseconds from then to the first piece, when there was one.
    pub first_token: Option<i64>,
    /// How it ended.
    pub outcome: Outcome,
}

impl Named for UsageRecord {
    const PREFIX: &'static str = "use";
}
