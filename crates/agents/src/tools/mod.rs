//! Tools: what an agent may do. [`Agents::execute`] is the one place where a tool is called: it checks the roles, the arguments and the
//! audit trail, whoever made the plan.

mod effects;
mod metrics;
mod ops;
mod tickets;
mod weather;

use std::time::Duration;

use astrolabe_kernel::{
    Error, Principal, Result,
    audit::{self, Outcome, Record},
    config::Secret,
    error::code,
    http::{Caller, parse_value},
    policy::{Action, Context, Resource},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use utoipa::ToSchema;

use self::effects::Begun;
use crate::Agents;

/// The section `tools` of the configuration.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct ToolsConfig {
    /// HTTP service that receives tickets; empty keeps them here.
    pub tickets_url: String,
    /// Bearer token for it.
    pub tickets_token: Secret,
    /// Prometheus server; empty means our own metrics.
    pub prometheus_url: String,
    /// Webhook that restarts a service; empty means not configured.
    pub restart_webhook_url: String,
    /// Bearer token for it.
    pub restart_webhook_token: Secret,
    /// Service that tells the weather; empty means not configured.
    pub weather_url: String,
    /// Roles that may open tickets; any one of them is enough.
    pub create_ticket_roles: Vec<String>,
    /// Roles that may read metrics.
    pub get_metrics_roles: Vec<String>,
    /// Roles that may restart services.
    pub restart_service_roles: Vec<String>,
    /// Roles that may ask for the weather.
    pub get_weather_roles: Vec<String>,
}

/// How long a tool may take.
const TIME_LIMIT: Duration = Duration::from_secs(30);
/// Bytes of a tool's answer at most.
pub(crate) const MAX_REPLY: usize = 1 << 20;

/// A tool by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ToolName {
    /// Of `tickets_proxy`: opens a ticket.
    CreateTicket,
    /// Of `metrics`: reads figures of a service.
    GetMetrics,
    /// Of `ops_actions`: restarts a service.
    RestartService,
    /// Of `weather`: tells the weather of a place.
    GetWeather,
}

/// A tool as callers see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ToolInfo {
    /// Its name.
    pub name: ToolName,
    /// The group it belongs to: `tickets_proxy`, `metrics`, `ops_actions` or `weather`.
    pub group: String,
    /// What it does.
    pub description: String,
    /// Roles of which the caller needs one.
    pub allowed_roles: Vec<String>,
    /// Whether it changes something.
    pub side_effect: bool,
    /// Whether it can work: a tool without its address cannot.
    pub configured: bool,
    /// Whether the caller's roles allow it. A policy may still refuse a call.
    pub allowed: bool,
}

/// A call of a tool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ToolCall {
    /// Which tool.
    #[schema(value_type = ToolName)]
    pub name: String,
    /// Its arguments: see the tool's description in `GET /api/v1/agents`.
    #[serde(default = "empty_object")]
    #[schema(value_type = Object)]
    pub arguments: Value,
}

fn empty_object() -> Value {
    json!({})
}

impl ToolName {
    /// Every tool.
    pub const ALL: [Self; 4] = [Self::CreateTicket, Self::GetMetrics, Self::RestartService, Self::GetWeather];

    /// The name as callers write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CreateTicket => "create_ticket",
            Self::GetMetrics => "get_metrics",
            Self::RestartService => "restart_service",
            Self::GetWeather => "get_weather",
        }
    }

    /// The tool of a name.
    ///
    /// # Errors
    /// `unknown_tool` listing those there are.
    pub fn parse(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|t| t.as_str() == name).ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|t| t.as_str()).collect();
            Error::new(code::UNKNOWN_TOOL, format!("there is no such tool; there are {}", names.join(", ")))
        })
    }

    /// Whether it changes something in the world.
    pub fn has_side_effect(self) -> bool {
        matches!(self, Self::CreateTicket | Self::RestartService)
    }

    fn group(self) -> &'static str {
        match self {
            Self::CreateTicket => "tickets_proxy",
            Self::GetMetrics => "metrics",
            Self::RestartService => "ops_actions",
            Self::GetWeather => "weather",
        }
    }

    /// What it does and with which arguments, for people and for a planning model.
    pub fn description(self) -> &'static str {
        match self {
            Self::CreateTicket => {
                "Opens a ticket: {\"title\": text, \"description\": text, \"priority\": \"low\"|\"normal\"|\"high\"}; only the title is needed"
            }
            Self::GetMetrics => {
                "Reads figures: {\"metric\": \"latency\"|\"errors\"|\"requests\"|\"memory\"|\"cpu\", \"service\": name}; both may be left out"
            }
            Self::RestartService => "Restarts a service: {\"service\": name, \"reason\": text}; only the service is needed",
            Self::GetWeather => "Tells the weather: {\"city\": name}",
        }
    }

    /// The arguments that hold text; policies may look at them.
    fn texts(self) -> &'static [&'static str] {
        match self {
            Self::CreateTicket => &["title", "description", "priority"],
            Self::GetMetrics => &["metric", "service"],
            Self::RestartService => &["service", "reason"],
            Self::GetWeather => &["city"],
        }
    }

    /// The tool as policies speak of it.
    pub fn action(self) -> Action {
        Action::tool(self.as_str(), self.texts())
    }

    fn allowed_roles(self, config: &ToolsConfig) -> Vec<String> {
        let (configured, default): (&[String], &[&str]) = match self {
            Self::CreateTicket => (&config.create_ticket_roles, &["viewer", "it.support"]),
            Self::GetMetrics => (&config.get_metrics_roles, &["editor", "sre"]),
            Self::RestartService => (&config.restart_service_roles, &["tenant_admin", "sre"]),
            Self::GetWeather => (&config.get_weather_roles, &["viewer"]),
        };
        if configured.is_empty() { default.iter().map(|r| (*r).to_owned()).collect() } else { configured.to_vec() }
    }

    fn configured(self, config: &ToolsConfig) -> bool {
        match self {
            Self::CreateTicket | Self::GetMetrics => true,
            Self::RestartService => !config.restart_webhook_url.is_empty(),
            Self::GetWeather => !config.weather_url.is_empty(),
        }
    }

    pub(crate) fn info(self, config: &ToolsConfig, principal: &Principal) -> ToolInfo {
        let allowed_roles = self.allowed_roles(config);
        ToolInfo {
            name: self,
            group: self.group().to_owned(),
            description: self.description().to_owned(),
            allowed: principal.has_any(&allowed_roles),
            allowed_roles,
            side_effect: self.has_side_effect(),
            configured: self.configured(config),
        }
    }
}

/// What a tool answered.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ToolOutput {
    /// For the caller's program.
    pub result: Value,
    /// For people, in the question's language.
    pub text: String,
}

/// What a tool's code gets.
pub(crate) struct ToolContext<'a> {
    pub agents: &'a Agents,
    pub caller: &'a Caller,
    pub agent: &'a str,
    pub lang: astrolabe_knowledge::Lang,
    /// Names the step among all that the caller's requests with idempotency keys had; absent in a request without one.
    pub step: Option<String>,
}

impl Agents {
    /// Calls a tool for a caller.
    ///
    /// # Errors
    /// `unknown_tool`; `tool_refused` when the caller has none of its roles, `policy_refused` when a policy forbids the call (both recorded in
    /// the audit log); `invalid_request` naming a wrong argument; `tool_not_configured`; `upstream_timeout` after 30 seconds; `idempotency_conflict` when the step of a repeated request was
    /// another call before; what the tool's service said.
    #[tracing::instrument(name = "tool", skip_all, fields(tool = call.name, agent = context.agent, otel.kind = "client"))]
    pub(crate) async fn execute(&self, context: &ToolContext<'_>, call: &ToolCall) -> Result<ToolOutput> {
        let tool = ToolName::parse(&call.name)?;
        let started = std::time::Instant::now();
        let roles = tool.allowed_roles(&self.config);
        let outcome = if let Err(refusal) = self.may(context, tool, &roles, call).await {
            Err(refusal)
        } else {
            let effect = match tool.has_side_effect() {
                true => match effects::begin(context, call).await? {
                    Begun::Open(id) => Some(id),
                    Begun::Done(output) => {
                        tracing::info!(tool = tool.as_str(), agent = context.agent, "a repeated step finds what it did before");
                        return Ok(output);
                    }
                },
                false => None,
            };
            let name = effect.map(|id| id.to_string()).unwrap_or_default();
            let work = async {
                match tool {
                    ToolName::CreateTicket => tickets::create(context, &name, arguments(call)?).await,
                    ToolName::GetMetrics => metrics::get(context, arguments(call)?).await,
                    ToolName::RestartService => ops::restart(context, &name, arguments(call)?).await,
                    ToolName::GetWeather => weather::get(context, arguments(call)?).await,
                }
            };
            let outcome = match tokio::time::timeout(TIME_LIMIT, work).await {
                // Somebody else's service may send what PostgreSQL cannot hold.
                Ok(result) => {
                    result.map(|output| ToolOutput { result: storable(output.result), text: output.text.replace('\0', "\u{fffd}") })
                }
                Err(_) => Err(Error::new(code::UPSTREAM_TIMEOUT, format!("{} took longer than 30 seconds", tool.as_str()))),
            };
            if let (Some(id), Ok(output)) = (effect, &outcome) {
                effects::done(context, id, output).await?;
            }
            outcome
        };
        let status = match &outcome {
            Ok(_) => "ok",
            Err(error) if is_refusal(error) => "refused",
            Err(_) => "failed",
        };
        ::metrics::counter!("tool_calls_total", "tool" => tool.as_str(), "status" => status).increment(1);
        ::metrics::histogram!("tool_duration_seconds", "tool" => tool.as_str()).record(started.elapsed().as_secs_f64());
        tracing::info!(tool = tool.as_str(), agent = context.agent, status, "called a tool");
        // A tool that wrote a row recorded itself in the same transaction; everything else is recorded here.
        if !(outcome.is_ok() && tool == ToolName::CreateTicket) {
            let error = outcome.as_ref().err();
            let mut payload = json!({"arguments": call.arguments, "error": error.map(|e| e.code().name)});
            if let Some(error) = error.filter(|e| e.code() == code::POLICY_REFUSED) {
                payload["reason"] = json!(error.message());
            }
            let ended = match status {
                "ok" => Outcome::Ok,
                "refused" => Outcome::Refused,
                _ => Outcome::Failed,
            };
            let record =
                Record { outcome: ended, ..Record::of(context.caller, tool.as_str(), format_args!("agent:{}", context.agent), payload) };
            audit::record(&self.kernel, record).await?;
        }
        outcome
    }

    /// Roles first, then what the tenant's policies say.
    async fn may(&self, context: &ToolContext<'_>, tool: ToolName, roles: &[String], call: &ToolCall) -> Result<()> {
        let principal = &context.caller.principal;
        if !principal.has_any(roles) {
            return Err(Error::new(code::TOOL_REFUSED, format!("{} needs one of the roles {}", tool.as_str(), roles.join(", "))));
        }
        let texts =
            tool.texts().iter().filter_map(|name| Some(((*name).to_owned(), call.arguments.get(name)?.as_str()?.trim().to_owned())));
        let resource = Resource { tool: Some(tool.as_str().to_owned()) };
        let circumstances = Context { agent: Some(context.agent.to_owned()), arguments: texts.collect(), ..Context::of(context.caller) };
        self.kernel.policies.allow(principal, &tool.action().name, &resource, &circumstances).await
    }
}

/// Whether a tool was not called because the caller may not, rather than because it failed.
pub(crate) fn is_refusal(error: &Error) -> bool {
    error.code() == code::TOOL_REFUSED || error.code() == code::POLICY_REFUSED
}

fn arguments<T: DeserializeOwned>(call: &ToolCall) -> Result<T> {
    parse_value(&call.arguments, &format!("{}.arguments", call.name))
}

/// The same JSON without U+0000, which PostgreSQL cannot hold: it becomes U+FFFD, the sign for a character that cannot be shown.
pub(crate) fn storable(value: Value) -> Value {
    let clean = |text: String| if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text };
    match value {
        Value::String(text) => Value::String(clean(text)),
        Value::Array(items) => Value::Array(items.into_iter().map(storable).collect()),
        Value::Object(map) => Value::Object(map.into_iter().map(|(k, v)| (clean(k), storable(v))).collect()),
        other => other,
    }
}

/// A text in the question's language.
pub(crate) fn say<'a>(lang: astrolabe_knowledge::Lang, en: &'a str, pl: &'a str, ru: &'a str) -> &'a str {
    match lang {
        astrolabe_knowledge::Lang::Pl => pl,
        astrolabe_knowledge::Lang::Ru => ru,
        _ => en,
    }
}
