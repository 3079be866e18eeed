//! Every metric of the program in one table: what the code may use, what `/metrics` explains and what the documentation lists.
//!
//! Names follow Prometheus: base units, `_total` on counters. Labels come from small fixed sets, never from what a user typed.

/// What sort of number a metric is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum MetricKind {
    /// Only grows; starts at 0 with the process.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts by size, in the buckets below these upper bounds.
    Histogram(&'static [f64]),
}

/// A metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// What sort of number it is.
    pub kind: MetricKind,
    /// Its labels.
    pub labels: &'static [&'static str],
    /// What it counts or measures, and in which unit.
    pub help: &'static str,
}

/// Upper bounds in seconds for statements of a database.
const QUICK: &[f64] = &[0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5];

/// Upper bounds in seconds for what a person waits for; 0.5, 2, 3 and 5 are the limits that alerts and goals name.
const WAITED_FOR: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0];

/// Upper bounds in seconds for work that may take minutes.
const LONG: &[f64] = &[0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0];

const fn counter(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Metric {
    Metric { name, kind: MetricKind::Counter, labels, help }
}

const fn gauge(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Metric {
    Metric { name, kind: MetricKind::Gauge, labels, help }
}

const fn histogram(name: &'static str, labels: &'static [&'static str], buckets: &'static [f64], help: &'static str) -> Metric {
    Metric { name, kind: MetricKind::Histogram(buckets), labels, help }
}

/// Every metric, in the order of the documentation.
pub const METRICS: &[Metric] = &[
    counter("http_requests_total", &["method", "path", "status"], "Requests answered; `path` is the route's template"),
    histogram("http_request_duration_seconds", &["method", "path"], WAITED_FOR, "Seconds until an answer begins"),
    counter("connections_refused_total", &[], "Connections refused because server.max_connections were open"),
    counter("auth_refused_total", &["reason"], "Requests refused for a missing or bad token"),
    counter("rate_limited_total", &["class", "scope"], "Requests refused because their caller, address or tenant made too many"),
    counter("sign_in_delayed_total", &[], "Attempts to sign in refused because too many before them failed"),
    counter("oidc_key_fetches_total", &["outcome"], "Fetches of the keys of the OpenID Connect issuer, by how they ended: ok or failed"),
    counter("signing_key_rotations_total", &[], "Times that another key took over signing our tokens"),
    counter("panics_total", &["task"], "Panics contained; each is a defect"),
    gauge("sse_connections_active", &[], "Event streams open now"),
    counter("sse_connections_total", &[], "Event streams opened"),
    counter("streams_ended_total", &["reason"], "Event streams ended because their credential did not hold any more"),
    counter("streams_refused_total", &["scope"], "Event streams refused because their credential or tenant had too many open"),
    gauge("db_connection_pool_size", &[], "Database connections that may be open"),
    gauge("db_connection_pool_available", &[], "Database connections of those that are free"),
    histogram(
        "db_query_duration_seconds",
        &["operation"],
        QUICK,
        "Seconds that statements took; `operation` is their first word, or commit",
    ),
    gauge("jobs", &["kind", "state"], "Jobs queued and running, and those that failed and wait for somebody to look"),
    gauge(
        "jobs_oldest_age_seconds",
        &["kind", "state"],
        "Seconds since the oldest queued job was due, a running one was last heard of, a failed one failed; grows when one is stuck",
    ),
    counter("jobs_failed_total", &["kind"], "Jobs that failed for good"),
    histogram("job_duration_seconds", &["kind", "outcome"], LONG, "Seconds that attempts of jobs took"),
    gauge("agent_tasks_queued", &[], "Agent tasks waiting"),
    gauge("agent_tasks_running", &[], "Agent tasks running"),
    counter("agent_tasks_completed_total", &[], "Agent tasks completed"),
    counter("agent_tasks_failed_total", &[], "Agent tasks failed"),
    counter("policy_decisions_total", &["outcome"], "Questions put to the policies, by what came of them: allowed, refused or failed"),
    counter("tool_calls_total", &["tool", "status"], "Calls of agents' tools, by how they ended"),
    histogram("tool_duration_seconds", &["tool"], WAITED_FOR, "Seconds that tools of agents took"),
    histogram("search_duration_seconds", &["mode"], WAITED_FOR, "Seconds that searches took; `mode` is hybrid or lexical"),
    counter("answer_cache_total", &["result"], "Asks whose answer was known (`result` is hit) or had to be made (miss)"),
    histogram("embed_duration_seconds", &[], WAITED_FOR, "Seconds that embedding calls took"),
    histogram("model_request_duration_seconds", &["model", "outcome"], LONG, "Seconds that replies of chat models took"),
    counter("model_errors_total", &["model", "kind"], "Replies of chat models that failed, by the kind of failure"),
    counter("model_retries_total", &["model", "kind"], "Requests to chat models that were repeated after a wait"),
    histogram(
        "model_provider_duration_seconds",
        &["provider", "outcome"],
        LONG,
        "Seconds until providers of models began to answer, or failed, by outcome",
    ),
    histogram("model_backoff_seconds", &["provider"], WAITED_FOR, "Seconds that were waited before a request to a provider was repeated"),
    counter("model_fallbacks_total", &["alias", "kind"], "Calls that went on to the next route of an alias, by the kind of failure"),
    counter("model_schema_repairs_total", &[], "Replies that broke the JSON Schema that was asked for, and were asked for once more"),
    counter("model_queue_refused_total", &["provider"], "Calls that found no place at a provider, nor in the queue before it"),
    gauge("model_queue_length", &["provider"], "Calls that wait for a place at a provider"),
    gauge("model_concurrency_limit", &["provider"], "Calls that a provider is given at a time, once it has complained"),
    gauge("model_breaker_open", &["provider", "model"], "1 while a model that failed is left alone"),
    counter("model_routes_reloads_total", &["outcome"], "Times that the file of routes was read again, by outcome"),
    counter("model_tokens_total", &["model", "kind"], "Tokens sent to and received from chat models"),
    counter("model_usage_records_total", &["outcome"], "Requests to providers of models that ended, by how"),
    gauge("model_usage_pending", &[], "Usage records that wait to be written to the database"),
    counter("model_budget_refused_total", &["scope"], "Model calls refused because a budget was used up"),
    counter("model_budget_warned_total", &[], "Model calls let through although little or nothing was left of a budget"),
    counter("guardrail_hits_total", &["rule", "mode", "side"], "Texts in which a guardrail found something; `side` is input or output"),
    counter("egress_connections_total", &["purpose"], "Connections to other servers that were let through"),
    counter("egress_refused_total", &["reason"], "Requests to other servers that the policy refused"),
    counter("audit_entries_total", &["action"], "Audit entries written"),
    counter("audit_read_batches_total", &[], "Transactions that recorded who read what, many reads at a time"),
    counter("audit_sealed_total", &[], "Audit entries sealed into their chain"),
    counter("audit_archived_total", &[], "Audit entries written to the archive"),
    counter("audit_errors_total", &["step"], "Failures to write, seal or archive audit entries"),
    counter("access_refused_total", &["reason"], "Requests that were refused for lack of rights"),
    counter("log_lines_dropped_total", &["reason"], "Log lines that could not be written"),
    counter("otlp_spans_exported_total", &[], "Spans that the collector took"),
    counter("otlp_spans_dropped_total", &["reason"], "Spans that did not reach the collector"),
];

/// Read from the system with each scrape; absent where there is no `/proc`.
pub(super) const PROCESS: &[Metric] = &[
    counter("process_cpu_seconds_total", &[], "Seconds of processor time used"),
    gauge("process_resident_memory_bytes", &[], "Bytes of memory in use (resident)"),
    gauge("process_open_fds", &[], "File descriptors open"),
    gauge("process_start_time_seconds", &[], "When the process started, in seconds since 1970"),
];
