//! `restart_service` of `ops_actions`: asks the configured webhook.

use astrolabe_kernel::{
    Error, Result,
    egress::{Method, Trust},
    error::code,
    http::Caller,
};
use serde::Deserialize;
use serde_json::json;

use super::{ToolContext, ToolOutput, say};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Arguments {
    service: String,
    #[serde(default)]
    reason: String,
}

pub(super) async fn restart(context: &ToolContext<'_>, effect: &str, arguments: Arguments) -> Result<ToolOutput> {
    let service = arguments.service.trim();
    if service.is_empty() || service.chars().count() > 100 || service.chars().any(char::is_control) {
        return Err(Error::field("restart_service.arguments.service", "must be 1 to 100 characters without control characters"));
    }
    let config = &context.agents.config;
    if config.restart_webhook_url.is_empty() {
        return Err(Error::new(code::TOOL_NOT_CONFIGURED, "restart_service is not configured: set tools.restart_webhook_url"));
    }
    let Caller { principal, trace, .. } = context.caller;
    let egress = &context.agents.kernel.egress;
    let request = egress
        .request("restart", Trust::Operator, Method::POST, &config.restart_webhook_url)?
        .header("idempotency-key", effect)
        .bearer(config.restart_webhook_token.expose())
        .json(&json!({"service": service, "reason": arguments.reason, "requested_by": principal.id, "trace_id": trace.trace_id}));
    let status = request.send().await?.success()?.status().as_u16();
    let text = say(context.lang, "Asked for a restart of", "Zlecono restart usługi", "Запрошен перезапуск сервиса");
    Ok(ToolOutput { text: format!("{text} {service}."), result: json!({"service": service, "status": status}) })
}
