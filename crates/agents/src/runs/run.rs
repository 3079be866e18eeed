//! Running an agent: plan, tools, and the documents when no tool applies.

use std::time::Duration;

use astrolabe_kernel::{
    Error, Result,
    audit::Record,
    error::code,
    flags::{Flag, FlagKind},
    http::Caller,
    work::Running,
};
use astrolabe_knowledge::{answers::AskRequest, detect_language};
use serde_json::json;
use tokio::sync::OwnedSemaphorePermit;

use super::{RUNS, Run, RunError, RunRequest, RunResult, RunState, UsedTool, store};
use crate::{
    Agents,
    agents::AgentName,
    tools::{ToolCall, ToolContext, ToolName, is_refusal, storable},
};

/// Agents answer from the documents without planning, for all runs or for a part of them. Tool calls that a request names are
/// still made: nothing was planned there.
pub static RAG_ONLY: Flag = Flag {
    name: "rag_only",
    kind: FlagKind::Share,
    default: 0,
    description: "Agents answer from the documents and plan no tools, for this share of runs. Tool calls that a request names itself are still made.",
};

/// The event of a run that is being worked on from now on.
const STARTED: &str = "run.started";

/// Counts a run in the metrics (C-11): as waiting, then as worked on, at last by how it ended.
struct Counted {
    waiting: bool,
    completed: bool,
}

impl Counted {
    fn waiting() -> Self {
        metrics::gauge!("agent_tasks_queued").increment(1.0);
        Self { waiting: true, completed: false }
    }

    fn starts(&mut self) {
        metrics::gauge!("agent_tasks_queued").decrement(1.0);
        metrics::gauge!("agent_tasks_running").increment(1.0);
        self.waiting = false;
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let gauge = if self.waiting { "agent_tasks_queued" } else { "agent_tasks_running" };
        metrics::gauge!(gauge).decrement(1.0);
        let name = if self.completed { "agent_tasks_completed_total" } else { "agent_tasks_failed_total" };
        metrics::counter!(name).increment(1);
    }
}

impl Agents {
    /// Records a request and starts to work on it.
    ///
    /// # Errors
    /// `invalid_request` naming the wrong field; `unknown_agent`; `unknown_tool`; `overloaded` when as many runs wait as may.
    pub async fn start_run(&self, caller: &Caller, mut request: RunRequest) -> Result<Running<Run, RunResult>> {
        if request.input.trim().is_empty() || request.input.chars().count() > 8000 {
            return Err(Error::field("input", "must be 1 to 8000 characters, not only white space"));
        }
        let agent = AgentName::parse(&request.agent)?;
        if request.tool_calls.len() > 10 {
            return Err(Error::field("tool_calls", "must be at most 10"));
        }
        for (i, call) in request.tool_calls.iter_mut().enumerate() {
            call.arguments = storable(std::mem::take(&mut call.arguments));
            if !call.arguments.is_object() {
                return Err(Error::field(format!("tool_calls[{i}].arguments"), "must be an object"));
            }
            let tool = ToolName::parse(&call.name).map_err(|e| e.and_field(format!("tool_calls[{i}].name"), "is not a tool"))?;
            if !agent.tools().contains(&tool) {
                let text = format!("the agent {} does not have the tool {}", agent.as_str(), tool.as_str());
                return Err(Error::new(code::TOOL_REFUSED, text).and_field(format!("tool_calls[{i}].name"), "is not a tool of this agent"));
            }
        }
        let meta = storable(serde_json::Value::Object(request.meta));
        if meta.to_string().len() > 20_000 {
            return Err(Error::field("meta", "must be at most 20000 bytes as JSON"));
        }
        let place = self.places.clone().try_acquire_owned().map_err(|_| {
            Error::new(code::OVERLOADED, "too many agent runs wait already (agents.max_queued)").with_retry_after(Duration::from_secs(2))
        })?;
        let slot = self.slots.clone().try_acquire_owned().ok();
        let (kernel, tenant, now) = (&self.kernel, caller.principal.tenant, self.kernel.now());
        let run = Run {
            id: kernel.id(),
            agent,
            input: request.input,
            meta,
            state: if slot.is_some() { RunState::Running } else { RunState::Queued },
            result: None,
            trace_id: caller.trace.trace_id.clone(),
            created_at: now,
        };
        let (agents, caller, calls) = (self.clone(), caller.clone(), request.tool_calls);
        let record = async move {
            let kernel = agents.kernel.clone();
            let mut tx = kernel.db.write(tenant).await?;
            store::insert(&mut tx, tenant, &caller.principal.id, kernel.process, &run).await?;
            tx.append_event(tenant, &RUNS.stream(run.id), if slot.is_some() { STARTED } else { "run.queued" }, &about(&run), now).await?;
            let payload = json!({"agent": run.agent, "input": run.input, "meta": run.meta});
            tx.audit(&kernel, Record::of(&caller, RUNS.action, run.id, payload)).await?;
            tx.commit().await?;
            let work = Work { agents, caller: caller.clone(), run: run.clone(), calls, _place: place, slot };
            Ok(RUNS.start(&kernel, &caller, run.id, run, work.run()))
        };
        kernel.lifecycle.shielded("agent run", record).await
    }

    /// Ends the runs of processes that died, so that their readers are not left waiting.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn end_abandoned_runs(&self) -> Result<u64> {
        RUNS.end_abandoned(&self.kernel).await
    }
}

struct Work {
    agents: Agents,
    caller: Caller,
    run: Run,
    calls: Vec<ToolCall>,
    /// Its place among the runs that are worked on or wait.
    _place: OwnedSemaphorePermit,
    /// Its place among those that are worked on, once it has one.
    slot: Option<OwnedSemaphorePermit>,
}

impl Work {
    /// Waits for a slot when there was none.
    async fn wait(&mut self) -> Result<()> {
        if self.slot.is_some() {
            return Ok(());
        }
        let stopping = || Error::new(code::SHUTTING_DOWN, "the process is stopping; repeat the request");
        let kernel = &self.agents.kernel;
        self.slot = tokio::select! {
            slot = self.agents.slots.clone().acquire_owned() => Some(slot.map_err(|_| stopping())?),
            () = kernel.lifecycle.stopping() => return Err(stopping()),
        };
        let (tenant, now) = (self.caller.principal.tenant, kernel.now());
        let mut tx = kernel.db.write(tenant).await?;
        store::start(&mut tx, tenant, self.run.id, now).await?;
        tx.append_event(tenant, &RUNS.stream(self.run.id), STARTED, &about(&self.run), now).await?;
        tx.commit().await
    }

    async fn run(mut self) -> Result<RunResult> {
        let mut counted = Counted::waiting();
        self.wait().await?;
        counted.starts();
        let result = self.work().await;
        counted.completed = result.is_ok();
        result
    }

    async fn work(&self) -> Result<RunResult> {
        let mut result = RunResult {
            run_id: self.run.id,
            agent: self.run.agent,
            output: String::new(),
            used_tools: Vec::new(),
            citations: Vec::new(),
            errors: Vec::new(),
            notices: Vec::new(),
            trace_id: self.run.trace_id.clone(),
        };
        let plan = if !self.calls.is_empty() {
            self.calls.clone()
        } else if self.agents.rag_only.contains(&self.run.agent)
            || self.agents.kernel.flags.holds_for(self.caller.principal.tenant, &RAG_ONLY, &self.run.id.to_string()).await?
        {
            result.notices.push("rag_only".to_owned());
            Vec::new()
        } else {
            let (plan, refused) = self.agents.plan(&self.caller.principal, self.run.agent, &self.run.input).await?;
            if let Some(error) = refused {
                tracing::warn!(error = ?error, "the model's plan was not used; planning by keywords");
                result.notices.push("keyword_planner".to_owned());
            }
            plan
        };
        let mut lines = Vec::new();
        for (i, call) in plan.iter().enumerate() {
            lines.push(self.step(i, call, &mut result).await?);
        }
        if plan.is_empty() {
            let request = AskRequest { question: shorten(&self.run.input, 2000), ..AskRequest::default() };
            let answer = self.agents.knowledge.start_ask_through(&self.caller, self.run.agent.as_str(), request).await?.result().await?;
            result.output = answer.answer;
            result.citations = answer.citations;
            result.notices.extend(answer.notices);
        } else {
            result.output = lines.join("\n");
        }
        Ok(result)
    }

    async fn step(&self, i: usize, call: &ToolCall, result: &mut RunResult) -> Result<String> {
        let name = ToolName::parse(&call.name)?;
        self.event("step.started", &json!({"step": i + 1, "tool": name, "arguments": call.arguments})).await?;
        let context = ToolContext {
            agents: &self.agents,
            caller: &self.caller,
            agent: self.run.agent.as_str(),
            lang: detect_language(&self.run.input),
            step: self.caller.idempotency_key.as_ref().map(|request| format!("{} {request} {i}", self.caller.principal.id)),
        };
        let (status, value, line) = match self.agents.execute(&context, call).await {
            Ok(output) => ("ok", Some(output.result), output.text),
            // The request is not the repeat that it says it is, so none of it is done.
            Err(error) if error.code() == code::IDEMPOTENCY_CONFLICT => return Err(error),
            Err(error) => {
                let status = if is_refusal(&error) { "refused" } else { "failed" };
                tracing::warn!(tool = name.as_str(), error = ?error, "a tool did not do what it was asked");
                result.errors.push(RunError {
                    tool: Some(name.as_str().to_owned()),
                    code: error.code().name.to_owned(),
                    message: error.message().to_owned(),
                });
                let (name, message) = (name.as_str(), error.message());
                (status, None, if message.starts_with(name) { message.to_owned() } else { format!("{name}: {message}") })
            }
        };
        self.event("step.completed", &json!({"step": i + 1, "tool": name, "status": status})).await?;
        result.used_tools.push(UsedTool { name, arguments: call.arguments.clone(), status: status.to_owned(), result: value });
        Ok(line)
    }

    async fn event(&self, kind: &str, data: &serde_json::Value) -> Result<()> {
        RUNS.event(&self.agents.kernel, self.caller.principal.tenant, self.run.id, kind, data).await
    }
}

/// What the first events of a run's stream tell.
fn about(run: &Run) -> serde_json::Value {
    json!({"run_id": run.id, "agent": run.agent, "trace_id": run.trace_id})
}

fn shorten(text: &str, limit: usize) -> String {
    text.chars().take(limit).collect()
}
