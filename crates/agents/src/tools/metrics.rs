//! `get_metrics` of `metrics`: from Prometheus when it is configured, else our own figures.

use astrolabe_kernel::{
    Error, Result,
    egress::{Method, Trust},
    error::code,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{MAX_REPLY, ToolContext, ToolOutput, say};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Metric {
    Latency,
    Errors,
    Requests,
    Memory,
    Cpu,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Arguments {
    #[serde(default)]
    metric: Option<Metric>,
    #[serde(default)]
    service: Option<String>,
}

/// What was measured: a label and a value with its unit.
type Figure = (String, f64, &'static str);

pub(super) async fn get(context: &ToolContext<'_>, arguments: Arguments) -> Result<ToolOutput> {
    if let Some(service) = &arguments.service
        && (service.is_empty() || service.len() > 100 || !service.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:/".contains(&b)))
    {
        return Err(Error::field("get_metrics.arguments.service", "must be 1 to 100 letters, digits, dots, dashes, colons or underscores"));
    }
    let (origin, figures) = if context.agents.config.prometheus_url.is_empty() {
        if arguments.service.as_deref().is_some_and(|s| s != "astrolabe") {
            let text = "only our own metrics can be read: set tools.prometheus_url (PROMETHEUS_URL) to ask about other services";
            return Err(Error::new(code::TOOL_NOT_CONFIGURED, text));
        }
        ("astrolabe", own(&context.agents.own_metrics, arguments.metric))
    } else {
        ("prometheus", prometheus(context, &arguments).await?)
    };
    let result = json!({
        "origin": origin,
        "service": arguments.service,
        "figures": figures.iter().map(|(name, value, unit)| json!({"name": name, "value": value, "unit": unit})).collect::<Vec<_>>(),
    });
    let about = arguments.service.as_deref().unwrap_or(origin);
    let text = if figures.is_empty() {
        let none = say(context.lang, "No figures for", "Brak danych dla", "Нет данных для");
        format!("{none} {about}.")
    } else {
        let title = say(context.lang, "Metrics of", "Metryki", "Метрики");
        let lines: Vec<String> = figures.iter().map(|(name, value, unit)| format!("- {name}: {}{unit}", number(*value))).collect();
        format!("{title} {about}:\n{}", lines.join("\n"))
    };
    Ok(ToolOutput { result, text })
}

fn number(value: f64) -> String {
    if value.abs() >= 100.0 || value.fract() == 0.0 { format!("{value:.0}") } else { format!("{value:.4}") }
}

/// Our own figures, from the same registry as `/metrics`.
fn own(read: &crate::OwnMetrics, wanted: Option<Metric>) -> Vec<Figure> {
    let samples = read();
    // Folded from 0.0, because the sum of no numbers is -0.
    let sum = |name: &str, keep: &dyn Fn(&str) -> bool| -> f64 {
        samples.iter().filter(|(n, l, _)| n == name && keep(l)).fold(0.0, |sum, (.., value)| sum + value)
    };
    let all = |_: &str| true;
    let requests = sum("http_requests_total", &all);
    let errors = sum("http_requests_total", &|labels| labels.contains("status=\"5"));
    let seconds = sum("http_request_duration_seconds_sum", &all);
    let count = sum("http_request_duration_seconds_count", &all);
    let figures: Vec<(Metric, Figure)> = vec![
        (Metric::Requests, ("http_requests_total".to_owned(), requests, "")),
        (Metric::Errors, ("http 5xx share".to_owned(), if requests > 0.0 { errors / requests } else { 0.0 }, "")),
        (Metric::Latency, ("http mean latency".to_owned(), if count > 0.0 { seconds / count * 1000.0 } else { 0.0 }, " ms")),
        (Metric::Memory, ("resident memory".to_owned(), sum("process_resident_memory_bytes", &all) / 1_048_576.0, " MiB")),
        (Metric::Cpu, ("cpu time".to_owned(), sum("process_cpu_seconds_total", &all), " s")),
    ];
    figures.into_iter().filter(|(m, _)| wanted.is_none_or(|w| w == *m)).map(|(_, f)| f).collect()
}

async fn prometheus(context: &ToolContext<'_>, arguments: &Arguments) -> Result<Vec<Figure>> {
    let selector = arguments.service.as_ref().map_or_else(String::new, |s| format!("{{job=\"{s}\"}}"));
    let by = |status: &str| match &arguments.service {
        Some(s) => format!("{{job=\"{s}\",{status}}}"),
        None => format!("{{{status}}}"),
    };
    let queries: [(Metric, &str, String, &'static str); 5] = [
        (Metric::Requests, "requests per second", format!("sum(rate(http_requests_total{selector}[5m]))"), "/s"),
        (
            Metric::Errors,
            "5xx share",
            format!("sum(rate(http_requests_total{}[5m])) / sum(rate(http_requests_total{selector}[5m]))", by("status=~\"5..\"")),
            "",
        ),
        (
            Metric::Latency,
            "p95 latency",
            format!("1000 * histogram_quantile(0.95, sum by (le) (rate(http_request_duration_seconds_bucket{selector}[5m])))"),
            " ms",
        ),
        (Metric::Memory, "resident memory", format!("sum(process_resident_memory_bytes{selector}) / 1048576"), " MiB"),
        (Metric::Cpu, "cpu", format!("sum(rate(process_cpu_seconds_total{selector}[5m]))"), " cores"),
    ];
    let mut figures = Vec::new();
    let base = context.agents.config.prometheus_url.trim_end_matches('/');
    for (metric, name, query, unit) in queries {
        if arguments.metric.is_some_and(|m| m != metric) {
            continue;
        }
        let url = format!("{base}/api/v1/query");
        let request = context.agents.kernel.egress.request("prometheus", Trust::Operator, Method::GET, &url)?.query(&[("query", query)]);
        let reply: Value = request.send().await?.success()?.json(MAX_REPLY).await?;
        if reply["status"] != "success" {
            return Err(Error::new(code::UPSTREAM_FAILED, "Prometheus refused the query"));
        }
        let value = reply["data"]["result"][0]["value"][1].as_str().and_then(|v| v.parse::<f64>().ok()).filter(|v| v.is_finite());
        if let Some(value) = value {
            figures.push((name.to_owned(), value, unit));
        }
    }
    Ok(figures)
}
