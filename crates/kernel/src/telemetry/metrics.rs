//! The metrics of the process and how they are read: as Prometheus text, and as samples for our own tools.

use std::{
    collections::BTreeMap,
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use super::names::{METRICS, Metric, MetricKind, PROCESS};
use crate::Lifecycle;

/// How often recorded durations are folded into their buckets, so that memory stays small between scrapes.
const UPKEEP: Duration = Duration::from_secs(5);

/// The metrics of this process.
pub struct Recorder {
    handle: PrometheusHandle,
    kept_up: AtomicBool,
}

/// The metrics of this process. The first call begins to record, with every metric that needs no label at 0; later calls give the
/// same recorder.
pub fn recorder() -> &'static Recorder {
    static RECORDER: OnceLock<Recorder> = OnceLock::new();
    RECORDER.get_or_init(|| {
        let mut builder = PrometheusBuilder::new();
        for metric in METRICS {
            if let MetricKind::Histogram(buckets) = metric.kind {
                // Only an empty list of buckets is refused, and a test sees to it that there is none.
                builder = match builder.set_buckets_for_metric(Matcher::Full(metric.name.to_owned()), buckets) {
                    Ok(builder) => builder,
                    Err(_) => PrometheusBuilder::new(),
                };
            }
        }
        let recorder = builder.build_recorder();
        let handle = recorder.handle();
        if ::metrics::set_global_recorder(recorder).is_err() {
            tracing::error!("another recorder of metrics was there first; /metrics stays empty");
        }
        METRICS.iter().for_each(introduce);
        Recorder { handle, kept_up: AtomicBool::new(false) }
    })
}

/// Explains a metric, and shows it at 0 where a series can be known before anything happened.
fn introduce(metric: &Metric) {
    let Metric { name, kind, labels, help } = *metric;
    match kind {
        MetricKind::Counter => ::metrics::describe_counter!(name, help),
        MetricKind::Gauge => ::metrics::describe_gauge!(name, help),
        MetricKind::Histogram(_) => ::metrics::describe_histogram!(name, help),
    }
    // Dashboards of these two must not be empty before the first request.
    match name {
        "http_requests_total" => ::metrics::counter!(name, "method" => "GET", "path" => "/healthz", "status" => "200").absolute(0),
        "http_request_duration_seconds" => drop(::metrics::histogram!(name, "method" => "GET", "path" => "/healthz")),
        _ => {}
    }
    if labels.is_empty() {
        match kind {
            MetricKind::Counter => ::metrics::counter!(name).absolute(0),
            MetricKind::Gauge => ::metrics::gauge!(name).set(0.0),
            MetricKind::Histogram(_) => drop(::metrics::histogram!(name)),
        }
    }
}

/// One number that `/metrics` shows.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The name, with `_sum`, `_count` or `_bucket` behind it for histograms.
    pub name: String,
    /// The labels by name.
    pub labels: BTreeMap<String, String>,
    /// The value.
    pub value: f64,
}

impl Recorder {
    /// Everything in Prometheus's text format 0.0.4.
    pub fn render(&self) -> String {
        let mut out = self.handle.render();
        process_metrics(&mut out);
        out
    }

    /// Everything as numbers, for the tool that reads our own metrics when there is no Prometheus server.
    pub fn snapshot(&self) -> Vec<Sample> {
        self.render().lines().filter_map(parse).collect()
    }

    /// Folds recorded durations into their buckets from time to time, until the soft stop. Calling it again does nothing more.
    pub fn start_upkeep(&'static self, lifecycle: &Lifecycle) {
        if self.kept_up.swap(true, Ordering::Relaxed) {
            return;
        }
        let stop = lifecycle.clone();
        lifecycle.spawn("metrics upkeep", async move {
            while tokio::time::timeout(UPKEEP, stop.stopping()).await.is_err() {
                self.handle.run_upkeep();
            }
            self.kept_up.store(false, Ordering::Relaxed);
        });
    }
}

/// Reads a line `name{label="value",…} number` of the text format; nothing for comments.
fn parse(line: &str) -> Option<Sample> {
    if line.starts_with('#') {
        return None;
    }
    let (series, value) = line.rsplit_once(' ')?;
    let value = value.parse().ok()?;
    let Some((name, inside)) = series.strip_suffix('}').and_then(|s| s.split_once('{')) else {
        return Some(Sample { name: series.to_owned(), labels: BTreeMap::new(), value });
    };
    let mut labels = BTreeMap::new();
    let mut rest = inside;
    while let Some((label, quoted)) = rest.split_once("=\"") {
        let mut text = String::new();
        let mut characters = quoted.char_indices();
        let end = loop {
            match characters.next()? {
                (_, '\\') => text.push(match characters.next()?.1 {
                    'n' => '\n',
                    other => other,
                }),
                (at, '"') => break at + 1,
                (_, c) => text.push(c),
            }
        };
        labels.insert(label.to_owned(), text);
        rest = quoted[end..].strip_prefix(',').unwrap_or("");
    }
    Some(Sample { name: name.to_owned(), labels, value })
}

/// Adds what the system knows about this process, as far as it tells.
fn process_metrics(out: &mut String) {
    use std::fmt::Write;
    for metric in PROCESS {
        let value = match metric.name {
            "process_cpu_seconds_total" => cpu_seconds(),
            "process_resident_memory_bytes" => resident_bytes(),
            "process_open_fds" => std::fs::read_dir("/proc/self/fd").ok().map(|entries| entries.count() as f64),
            _ => start_seconds(),
        };
        if let Some(value) = value {
            let kind = if metric.kind == MetricKind::Counter { "counter" } else { "gauge" };
            let _ = write!(out, "# HELP {0} {1}\n# TYPE {0} {kind}\n{0} {value}\n\n", metric.name, metric.help);
        }
    }
}

/// Clock ticks a second in `/proc`: 100 on every architecture we build for (`USER_HZ`; proc(5)).
const TICKS: f64 = 100.0;

/// A numeric field of `/proc/self/stat` by its number in proc(5). The second field, the program's name, may contain spaces.
fn stat_field(number: usize) -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(number.checked_sub(3)?)?.parse().ok()
}

fn cpu_seconds() -> Option<f64> {
    Some((stat_field(14)? + stat_field(15)?) / TICKS)
}

fn resident_bytes() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<f64>().ok().map(|kilobytes| kilobytes * 1024.0)
}

fn start_seconds() -> Option<f64> {
    let boot = std::fs::read_to_string("/proc/stat").ok()?;
    let boot: f64 = boot.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    Some(boot + stat_field(22)? / TICKS)
}

/// The table of metrics as Markdown, for `docs/generated/metrics.md`.
pub fn markdown() -> String {
    use std::fmt::Write;
    let mut out = String::from(
        "# Metrics\n\nGenerated from `crates/kernel/src/telemetry/names.rs`. `GET /metrics` shows them in Prometheus's text format. Metrics with labels appear \
         with their first event; those of the process only where there is `/proc`.\n\n| metric | kind | labels | meaning |\n| --- | --- | --- | --- |\n",
    );
    for Metric { name, kind, labels, help } in METRICS.iter().chain(PROCESS) {
        let kind = match kind {
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
            MetricKind::Histogram(_) => "histogram",
        };
        let labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
        let _ = writeln!(out, "| `{name}` | {kind} | {} | {help} |", labels.join(", "));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_text_format_is_read_back_with_its_labels() {
        let sample = parse(r#"x_total{path="/a,b=\"c\"",kind="d\\e\nf"} 2.5"#).unwrap();
        assert_eq!((sample.name.as_str(), sample.value), ("x_total", 2.5));
        assert_eq!(sample.labels["path"], "/a,b=\"c\"");
        assert_eq!(sample.labels["kind"], "d\\e\nf");
        assert_eq!(parse("# HELP x y"), None);
        assert_eq!(parse(""), None);
    }
}
