//! What the program tells about itself: log lines, metrics and traces.
//!
//! [`init`] sets up logging first thing in the process; [`Guard::start`] begins what needs a runtime and the network; [`recorder`]
//! gives the metrics. A span of ours carries a `trace_id`, which it names itself (a request's, a job's) or takes from the span
//! around it. Log lines and exported spans read it from the same place, so they cannot disagree.
//!
//! Fields that operators rely on, set on spans once and thereby on every line inside them: `trace_id`, `request_id`, `tenant_id`,
//! `principal`, `provider`, `status`, `tool`, `agent`, `doc_id`, `job_id`.

mod fields;
mod layer;
mod logs;
mod metrics;
mod names;
mod otlp;
mod sink;
#[cfg(test)]
mod tests;
mod wire;

use std::path::PathBuf;

pub use layer::{parent_span_id, traceparent};
pub use logs::Format;
pub use metrics::{Recorder, Sample, markdown as metrics_markdown, recorder};
pub use names::{METRICS, Metric, MetricKind};
use serde::{Deserialize, Serialize};
use tracing::Dispatch;
use tracing_subscriber::layer::{Layer, SubscriberExt};

use self::{
    fields::{Fields, Value},
    layer::{Telemetry, Wanted},
    logs::{Line, Style},
    otlp::Export,
    sink::{Daily, Output, Sink},
};
use crate::{Clock, Error, Lifecycle, Random, Result, egress::Egress};

/// The section `log` of the configuration.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// `error`, `warn`, `info`, `debug` or `trace`, or filters such as `info,astrolabe_knowledge=debug`.
    pub level: String,
    /// How lines look.
    pub format: Format,
    /// Folder for one file a day; empty for standard error.
    pub dir: PathBuf,
    /// Days that files are kept, today included.
    pub keep_days: u32,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { level: "info".to_owned(), format: Format::Auto, dir: PathBuf::new(), keep_days: 7 }
    }
}

/// The section `telemetry` of the configuration.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TelemetryConfig {
    /// Address of an OTLP collector that speaks HTTP, such as `http://127.0.0.1:4318`; empty for none.
    pub otlp_endpoint: String,
}

/// Keeps logging alive; dropped at the end of the process, it writes the last lines.
#[must_use = "logging ends when the guard is dropped"]
pub struct Guard {
    sink: Sink,
    export: Option<Export>,
}

/// Sets up logging for the process, and the beginning of the trace export when it is configured. Panics become log lines, too.
///
/// # Errors
/// `invalid_config` when the level, the folder or the collector's address cannot be used; `internal` when called twice.
pub fn init(log: &LogConfig, telemetry: &TelemetryConfig, clock: Clock, random: Random) -> Result<Guard> {
    let (dispatch, guard) = build(log, telemetry, clock, random, Box::new(std::io::stderr()))?;
    tracing::dispatcher::set_global_default(dispatch).map_err(|_| Error::internal("logging is already set up"))?;
    std::panic::set_hook(Box::new(|panic| {
        let location = panic.location().map(ToString::to_string);
        let name = std::thread::current().name().map(str::to_owned);
        let payload = crate::lifecycle::panic_message(panic.payload());
        tracing::error!(panic = payload, location, thread = name, "a thread panicked");
    }));
    Ok(guard)
}

/// A subscriber that logs to `stream`, or to files when a folder is configured.
fn build(
    log: &LogConfig,
    telemetry: &TelemetryConfig,
    clock: Clock,
    random: Random,
    stream: Box<dyn std::io::Write + Send>,
) -> Result<(Dispatch, Guard)> {
    let filter = layer::parse_filter(&log.level)?;
    let to_file = !log.dir.as_os_str().is_empty();
    let style = log.format.style(to_file);
    let output =
        if to_file { Output::Daily(Daily::open(log.dir.clone(), log.keep_days, clock.clone())?, stream) } else { Output::Stream(stream) };
    let (exporter, export) = match telemetry.otlp_endpoint.trim() {
        "" => (None, None),
        endpoint => Export::new(endpoint, &random).map(|(exporter, export)| (Some(exporter), Some(export)))?,
    };
    let sink = Sink::start(output, note(style, clock.clone()))?;
    let layer = Telemetry { clock, random, sink: sink.clone(), style, exporter };
    let subscriber = tracing_subscriber::registry().with(layer.with_filter(Wanted(filter)));
    Ok((Dispatch::new(subscriber), Guard { sink, export }))
}

/// Makes the line that admits to missing lines.
fn note(style: Style, clock: Clock) -> impl Fn(u64) -> Vec<u8> + Send {
    move |lines| {
        let message = Value::Text("log lines were dropped because they could not be written fast enough".to_owned());
        let fields = Fields::from_pairs(vec![("message", message), ("lines", Value::Int(lines.cast_signed()))]);
        Line { at: clock.now(), level: tracing::Level::WARN, target: module_path!(), span: "", fields: &[&fields] }.render(style)
    }
}

impl Guard {
    /// Starts what runs beside the product: the upkeep of the metrics and the export of traces. Call it when the door to the network
    /// is there; calling it again does nothing more.
    ///
    /// # Errors
    /// `egress_refused` when the policy forbids the collector's address.
    pub fn start(&self, lifecycle: &Lifecycle, egress: &Egress) -> Result<()> {
        if let Some(export) = &self.export {
            export.start(lifecycle, egress)?;
        }
        recorder().start_upkeep(lifecycle);
        Ok(())
    }

    /// Waits until every line handed over so far is written, for two seconds at most. Returns whether it was.
    pub fn flush(&self) -> bool {
        self.sink.flush()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.sink.close();
    }
}
