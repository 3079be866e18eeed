//! The agents there are.

pub mod routes;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::tools::ToolName;

/// An agent by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AgentName {
    /// Helps employees: answers from the documents, opens tickets.
    Support,
    /// Helps operations: also reads metrics and restarts services.
    Ops,
}

impl AgentName {
    /// The name as callers write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Support => "support",
            Self::Ops => "ops",
        }
    }

    /// What it is for.
    pub fn description(self) -> &'static str {
        match self {
            Self::Support => "Answers from the documents, opens tickets and tells the weather",
            Self::Ops => "Reads metrics, restarts services, opens tickets and answers from the documents",
        }
    }

    /// The tools it may plan with; a tool's own roles hold beside this.
    pub fn tools(self) -> &'static [ToolName] {
        match self {
            Self::Support => &[ToolName::CreateTicket, ToolName::GetWeather],
            Self::Ops => &[ToolName::GetMetrics, ToolName::RestartService, ToolName::CreateTicket, ToolName::GetWeather],
        }
    }
}
