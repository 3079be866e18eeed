//! A run: one request to an agent, from its plan to its answer, stored as a dialogue.

pub mod routes;
mod run;
pub(crate) mod store;

use astrolabe_kernel::{Id, Timestamp, id::Named, work::Kind};
use astrolabe_knowledge::answers::Citation;
pub use run::RAG_ONLY;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::{
    agents::AgentName,
    tools::{ToolCall, ToolName},
};

/// A request to an agent.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"agent": "support", "input": "Utwórz ticket dla incydentu sieci", "tool_calls": [], "meta": {"user": "alice"}}))]
pub struct RunRequest {
    /// Which agent.
    #[schema(value_type = AgentName)]
    pub agent: String,
    /// What the person wrote.
    #[schema(min_length = 1, max_length = 8000, pattern = "^[^\\u0000]*[^\\s\\u0000][^\\u0000]*$")]
    pub input: String,
    /// Calls to run as the plan, under the same checks; when empty the agent plans by itself.
    #[serde(default)]
    #[schema(max_items = 10)]
    pub tool_calls: Vec<ToolCall>,
    /// Whatever the caller wants to keep with the dialogue, such as `{"user": "alice"}`.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub meta: serde_json::Map<String, Value>,
}

/// What an agent answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RunResult {
    /// The run's id, `run_…`.
    pub run_id: Id<Run>,
    /// The agent.
    pub agent: AgentName,
    /// The answer, in the input's language.
    pub output: String,
    /// The tools that were called, in order.
    pub used_tools: Vec<UsedTool>,
    /// What the answer rests on, when it came from the documents.
    pub citations: Vec<Citation>,
    /// What went wrong on the way.
    pub errors: Vec<RunError>,
    /// What was missing or degraded, as in answers.
    pub notices: Vec<String>,
    /// The request's trace.
    pub trace_id: String,
}

/// A tool that was called.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct UsedTool {
    /// Which.
    pub name: ToolName,
    /// With what.
    #[schema(value_type = Object)]
    pub arguments: Value,
    /// How it ended: `ok`, `refused` or `failed`.
    pub status: String,
    /// What it answered; null when it did not.
    pub result: Option<Value>,
}

/// Something that went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RunError {
    /// The tool it happened in; null when in none.
    pub tool: Option<String>,
    /// A public code.
    pub code: String,
    /// For people.
    pub message: String,
}

/// A stored run: the dialogue.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Run {
    /// Its id, `run_…`.
    pub id: Id<Run>,
    /// The agent.
    pub agent: AgentName,
    /// What the person wrote.
    pub input: String,
    /// What the caller wanted to keep with it.
    #[schema(value_type = Object)]
    pub meta: Value,
    /// Where it stands.
    pub state: RunState,
    /// What was answered, when it is completed.
    pub result: Option<RunResult>,
    /// The request's trace.
    pub trace_id: String,
    /// When it was asked.
    pub created_at: Timestamp,
}

impl Named for Run {
    const PREFIX: &'static str = "run";
}

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// It waits for a slot: as many runs as `agents.max_runs` allows are being worked on.
    Queued,
    /// It is being worked on.
    Running,
    /// It has its answer.
    Completed,
    /// There will be none.
    Failed,
}

/// Runs as the work that they are.
pub(crate) static RUNS: Kind = Kind {
    table: "runs",
    result: "result",
    noun: "run",
    ends: ["run.completed", "run.failed"],
    action: "agents.run",
    abandoned: "the process stopped before the run came to its end; repeat the request",
};
