//! The agents there are.

pub mod routes;

use astrolabe_kernel::{Error, Result, error::code};
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
    /// Every agent.
    pub const ALL: [Self; 2] = [Self::Support, Self::Ops];

    /// The agent of a name.
    ///
    /// # Errors
    /// `unknown_agent` listing those there are.
    pub fn parse(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|a| a.as_str() == name).ok_or_else(|| {
            let text = format!("there is no such agent; there are {}", Self::ALL.map(Self::as_str).join(", "));
            Error::new(code::UNKNOWN_AGENT, text).and_field("agent", "is not an agent")
        })
    }

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
