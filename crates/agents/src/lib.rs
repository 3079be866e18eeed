//! Agents: they plan, call tools under the tools' roles, answer from the documents when no tool applies, and leave a trail.
//!
//! Reading order: [`agents`] says who there is; [`planner`] turns words into a plan; [`tools`] is the one place where a tool is called,
//! roles checked and audit written; [`tickets`] is what the ticket tool writes; [`runs`] puts it together.

pub mod agents;
mod personal;
pub mod planner;
pub mod runs;
pub mod tickets;
pub mod tools;

use std::sync::Arc;

use astrolabe_gateway::Models;
use astrolabe_kernel::{
    Error, Kernel, Result,
    db::{Migration, Migrations},
    error::code,
};
use astrolabe_kernel::{http::Routes, routes};
use astrolabe_knowledge::Knowledge;
use serde::Deserialize;
use tokio::sync::Semaphore;
pub use tools::ToolsConfig;

use crate::agents::AgentName;

/// This domain's tables.
pub const MIGRATIONS: Migrations = Migrations {
    domain: "agents",
    steps: &[
        Migration { version: 1, name: "tickets", sql: include_str!("../migrations/0001_tickets.sql") },
        Migration { version: 2, name: "runs", sql: include_str!("../migrations/0002_runs.sql") },
        Migration { version: 3, name: "effects", sql: include_str!("../migrations/0003_effects.sql") },
        Migration { version: 4, name: "run_processes", sql: include_str!("../migrations/0004_run_processes.sql") },
    ],
};

/// Gives the value of our own metrics to the metrics tool: name, labels and value of every series.
pub type OwnMetrics = Arc<dyn Fn() -> Vec<(String, String, f64)> + Send + Sync>;

/// The state that routes share; cheap to clone.
#[derive(Clone)]
pub struct Agents {
    pub(crate) kernel: Kernel,
    pub(crate) knowledge: Knowledge,
    pub(crate) models: Models,
    pub(crate) config: Arc<ToolsConfig>,
    pub(crate) own_metrics: OwnMetrics,
    /// Agents that plan no tools.
    pub(crate) rag_only: Arc<[AgentName]>,
    /// One for each run that is worked on or waits.
    pub(crate) places: Arc<Semaphore>,
    /// One for each run that is worked on.
    pub(crate) slots: Arc<Semaphore>,
}

/// The section `agents` of the configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentsConfig {
    /// Runs that are worked on at the same time.
    pub max_runs: usize,
    /// Runs that may wait for one of those to end; further ones are refused.
    pub max_queued: usize,
    /// Agents that answer from the documents and plan no tools, whatever the tenant's flag says.
    #[serde(default)]
    pub rag_only: Vec<AgentName>,
}

impl Agents {
    /// The domain.
    ///
    /// # Errors
    /// `invalid_config` when no run could ever be worked on.
    pub fn new(
        kernel: Kernel,
        knowledge: Knowledge,
        models: Models,
        limits: AgentsConfig,
        tools: ToolsConfig,
        own_metrics: OwnMetrics,
    ) -> Result<Self> {
        if !(1..=10_000).contains(&limits.max_runs) || limits.max_queued > 100_000 {
            return Err(Error::new(code::INVALID_CONFIG, "agents.max_runs: must be 1 to 10000, and agents.max_queued 0 to 100000"));
        }
        let places = Arc::new(Semaphore::new(limits.max_runs + limits.max_queued));
        let slots = Arc::new(Semaphore::new(limits.max_runs));
        Ok(Self { kernel, knowledge, models, config: Arc::new(tools), own_metrics, rag_only: limits.rag_only.into(), places, slots })
    }
}

/// Every endpoint of this domain.
pub fn routes(agents: Agents) -> Routes {
    Routes::new()
        .routes(routes!(runs::routes::run_agent))
        .routes(routes!(runs::routes::list_runs))
        .routes(routes!(runs::routes::get_run))
        .routes(routes!(runs::routes::stream_run_events))
        .routes(routes!(agents::routes::list_agents))
        .routes(routes!(tickets::routes::list_tickets, tickets::routes::create_ticket))
        .routes(routes!(tickets::routes::get_ticket, tickets::routes::update_ticket))
        .with_state(agents)
}
