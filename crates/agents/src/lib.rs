//! Agents: they plan, call tools under the tools' roles, answer from the documents when no tool applies, and leave a trail.
//!
//! Reading order: [`agents`] says who there is; [`planner`] turns words into a plan; [`tools`] is the one place where a tool is called,
//! roles checked and audit written; [`tickets`] is what the ticket tool writes; [`runs`] puts it together.

pub mod agents;
pub mod planner;
pub mod runs;
pub mod tickets;
pub mod tools;

use std::sync::Arc;

use astrolabe_gateway::Gateway;
use astrolabe_kernel::{
    Kernel,
    db::{Migration, Migrations},
};
use astrolabe_knowledge::Knowledge;
pub use tools::ToolsConfig;
use utoipa_axum::{router::OpenApiRouter, routes};

/// This domain's tables.
pub const MIGRATIONS: Migrations = Migrations {
    domain: "agents",
    steps: &[
        Migration { version: 1, name: "tickets", sql: include_str!("../migrations/0001_tickets.sql") },
        Migration { version: 2, name: "runs", sql: include_str!("../migrations/0002_runs.sql") },
    ],
};

/// Gives the value of our own metrics to the metrics tool: name, labels and value of every series.
pub type OwnMetrics = Arc<dyn Fn() -> Vec<(String, String, f64)> + Send + Sync>;

/// The state that routes share; cheap to clone.
#[derive(Clone)]
pub struct Agents {
    pub(crate) kernel: Kernel,
    pub(crate) knowledge: Knowledge,
    pub(crate) gateway: Gateway,
    pub(crate) config: Arc<ToolsConfig>,
    pub(crate) own_metrics: OwnMetrics,
    pub(crate) slots: Arc<tokio::sync::Semaphore>,
}

/// Runs at the same time; more are refused.
const MAX_RUNS: usize = 64;

impl Agents {
    /// The domain.
    pub fn new(kernel: Kernel, knowledge: Knowledge, gateway: Gateway, config: ToolsConfig, own_metrics: OwnMetrics) -> Self {
        let slots = Arc::new(tokio::sync::Semaphore::new(MAX_RUNS));
        Self { kernel, knowledge, gateway, config: Arc::new(config), own_metrics, slots }
    }
}

/// Every endpoint of this domain.
pub fn routes(agents: Agents) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(runs::routes::run_agent))
        .routes(routes!(runs::routes::list_runs))
        .routes(routes!(runs::routes::get_run))
        .routes(routes!(runs::routes::stream_run_events))
        .routes(routes!(agents::routes::list_agents))
        .routes(routes!(tickets::routes::list_tickets, tickets::routes::create_ticket))
        .routes(routes!(tickets::routes::get_ticket, tickets::routes::update_ticket))
        .with_state(agents)
}
