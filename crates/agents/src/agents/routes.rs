//! The endpoint that lists agents.

use astrolabe_kernel::{
    Result,
    http::{CommonProblems, Json, May},
    principal::right,
};
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::AgentName;
use crate::{Agents, tools::ToolInfo};

/// An agent as callers see it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct AgentInfo {
    /// Its name.
    pub name: AgentName,
    /// What it is for.
    pub description: String,
    /// Its tools.
    pub tools: Vec<ToolInfo>,
}

/// Every agent.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct AgentList {
    /// The agents.
    pub items: Vec<AgentInfo>,
}

/// List agents and their tools.
#[utoipa::path(get, path = "/api/v1/agents", tag = "agents",
    responses((status = 200, description = "Every agent.", body = AgentList), CommonProblems, right::RunAgents))]
pub async fn list_agents(State(agents): State<Agents>, caller: May<right::RunAgents>) -> Result<Json<AgentList>> {
    let info = |name: AgentName| AgentInfo {
        name,
        description: name.description().to_owned(),
        tools: name.tools().iter().map(|t| t.info(&agents.config, &caller.principal)).collect(),
    };
    std::future::ready(Ok(Json(AgentList { items: AgentName::ALL.map(info).into() }))).await
}
