use std::{
    collections::BTreeMap,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::{Value as Json, json};

use super::{names::PROCESS, otlp::Finished, *};
use crate::{Timestamp, egress::EgressConfig};

/// 2026-01-01T00:00:00Z.
const START: Timestamp = Timestamp::from_micros(1_767_225_600_000_000);

/// A stream whose content a test reads.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Written {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    fn lines(&self) -> Vec<Json> {
        self.text().lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
    }
}

fn json_log(level: &str) -> LogConfig {
    LogConfig { level: level.to_owned(), format: Format::Json, ..LogConfig::default() }
}

/// Runs `work` with a log of its own and gives what was written.
fn logged(config: &LogConfig, work: impl FnOnce()) -> Written {
    let written = Written::default();
    let (dispatch, guard) =
        build(config, &TelemetryConfig::default(), Clock::manual(START), Random::seeded(1), Box::new(written.clone())).unwrap();
    tracing::dispatcher::with_default(&dispatch, work);
    assert!(guard.flush());
    written
}

#[test]
fn a_line_has_the_fields_of_all_spans_around_it_and_the_inner_one_wins() {
    let lines = logged(&json_log("info"), || {
        let outer = tracing::info_span!(
            target: "astrolabe_kernel",
            "request",
            trace_id = "0af7651916cd43dd8448eb211c80319c",
            request_id = "r1",
            tenant_id = tracing::field::Empty,
            provider = "outer"
        );
        let _outer = outer.enter();
        outer.record("tenant_id", "t1");
        let inner = tracing::info_span!(target: "astrolabe_agents", "tool", tool = "create_ticket", provider = "inner");
        let _inner = inner.enter();
        tracing::warn!(target: "astrolabe_agents", status = 502, latency_ms = 1.5, cached = false, "a tool failed");
    })
    .lines();
    let mut line = lines[0].clone();
    let span_id = line.as_object_mut().unwrap().remove("span_id").unwrap();
    assert_eq!(span_id.as_str().unwrap().len(), 16);
    let expected = json!({
        "timestamp": "2026-01-01T00:00:00.000000Z", "severity": "WARNING", "message": "a tool failed", "target": "astrolabe_agents",
        "status": 502, "latency_ms": 1.5, "cached": false, "tool": "create_ticket", "provider": "inner", "span": "tool",
        "trace_id": "0af7651916cd43dd8448eb211c80319c", "request_id": "r1", "tenant_id": "t1",
    });
    assert_eq!(line, expected);
}

#[test]
fn no_text_can_break_a_line_or_pass_for_a_field_of_the_line() {
    for format in [Format::Json, Format::Text] {
        let config = LogConfig { format, ..LogConfig::default() };
        let written = logged(&config, || {
            let nasty = "a\n{\"severity\":\"ERROR\"}\r\0\u{1b}[31m\u{85}\u{2028}\u{202e}\"\\";
            tracing::info!(target: "astrolabe", severity = "fake", value = nasty, debug = ?nasty, "{nasty}");
        });
        assert_eq!(written.text().matches('\n').count(), 1, "{}", written.text());
        assert!(!written.text().trim_end().chars().any(|c| c.is_control() || c == '\u{2028}' || c == '\u{202e}'));
        if format == Format::Json {
            assert_eq!(written.lines()[0]["severity"], "INFO");
            assert_eq!(written.lines()[0]["field_severity"], "fake");
            assert!(written.lines()[0]["value"].as_str().unwrap().contains("\n{\"severity\""));
        }
    }
}

#[test]
fn a_secret_is_never_written_wherever_it_stands() {
    let written = logged(&json_log("trace"), || {
        let span = tracing::info_span!(target: "astrolabe", "s", password = "hunter2", smtp_token = "hunter2");
        let _entered = span.enter();
        let error = crate::Error::internal("GET /x with Authorization: Bearer hunter2hunter2");
        tracing::error!(target: "astrolabe", authorization = "hunter2", api_key = ?Some("hunter2"), cookie = 12345, error = ?error, "postgres://me:hunter2@db/x");
    });
    assert!(!written.text().contains("hunter2") && !written.text().contains("12345"), "{}", written.text());
    assert_eq!(written.lines()[0]["api_key"], "[redacted]");
}

#[test]
fn a_line_keeps_its_trace_id_when_the_level_hides_the_span() {
    let lines = logged(&json_log("error"), || {
        let span = tracing::info_span!(target: "astrolabe_kernel", "request", trace_id = "0af7651916cd43dd8448eb211c80319c");
        let _entered = span.enter();
        tracing::info!(target: "astrolabe_kernel", "hidden");
        tracing::error!(target: "astrolabe_kernel", "shown");
    })
    .lines();
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0]["trace_id"], "0af7651916cd43dd8448eb211c80319c");
}

#[test]
fn a_misspelt_level_is_refused() {
    for good in ["info", "WARNING", "info,astrolabe_kernel=debug", "critical", "", "off", "info, astrolabe = trace"] {
        assert!(layer::parse_filter(good).is_ok(), "{good}");
    }
    for bad in ["inof", "info,astrolabe=debgu", "loud"] {
        let error = layer::parse_filter(bad).unwrap_err();
        assert!(error.message().starts_with("log.level: "), "{error}");
    }
}

#[test]
fn a_stream_that_cannot_be_written_loses_lines_and_nothing_else() {
    struct Broken;
    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
    }
    let (dispatch, guard) =
        build(&json_log("info"), &TelemetryConfig::default(), Clock::manual(START), Random::seeded(1), Box::new(Broken)).unwrap();
    tracing::dispatcher::with_default(&dispatch, || (0..100).for_each(|n| tracing::info!(n, "line")));
    assert!(guard.flush());
}

#[test]
fn whoever_logs_does_not_wait_for_a_stream_that_stands_still_and_the_gap_is_told() {
    struct Blocked(std::sync::mpsc::Receiver<()>, Written);
    impl Write for Blocked {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // Holds the first write until the test lets go; later ones find the sender gone.
            let _ = self.0.recv();
            self.1.write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let (release, blocked) = std::sync::mpsc::channel();
    let written = Written::default();
    let stream = Box::new(Blocked(blocked, written.clone()));
    let (dispatch, guard) = build(&json_log("info"), &TelemetryConfig::default(), Clock::manual(START), Random::seeded(1), stream).unwrap();
    let long = "x".repeat(10_000);
    tracing::dispatcher::with_default(&dispatch, || (0..2000).for_each(|n| tracing::info!(n, long, "line")));
    drop(release);
    assert!(guard.flush());
    let lines = written.lines();
    let told: i64 = lines.iter().filter_map(|line| line["lines"].as_i64()).sum();
    let kept = lines.iter().filter(|line| line["message"] == "line").count();
    assert!(kept < 2000, "the queue has no limit");
    assert_eq!(kept as i64 + told, 2000);
}

fn files(folder: &Path) -> BTreeMap<String, String> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    entries.map(|e| (e.file_name().into_string().unwrap(), std::fs::read_to_string(e.path()).unwrap())).collect()
}

#[test]
fn each_day_has_a_file_and_old_ones_go_while_foreign_ones_stay() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("logs");
    std::fs::create_dir(&dir).unwrap();
    for name in ["astrolabe.2025-12-01.log", "astrolabe.2025-12-31.log", "astrolabe.notes.log", "astrolabe.2025-12-01.log.gz"] {
        std::fs::write(dir.join(name), "old\n").unwrap();
    }
    let clock = Clock::manual(START);
    let config = LogConfig { dir: dir.clone(), keep_days: 2, ..LogConfig::default() };
    let stream = Written::default();
    let (dispatch, guard) =
        build(&config, &TelemetryConfig::default(), clock.clone(), Random::seeded(1), Box::new(stream.clone())).unwrap();
    let names = || files(&dir).into_keys().collect::<Vec<_>>();
    let foreign = ["astrolabe.2025-12-01.log.gz".to_owned(), "astrolabe.notes.log".to_owned()];
    assert_eq!(names(), [&foreign[..1], &["astrolabe.2025-12-31.log".into(), "astrolabe.2026-01-01.log".into()], &foreign[1..]].concat());
    for day in 0..3 {
        tracing::dispatcher::with_default(&dispatch, || tracing::info!(day, "a day"));
        assert!(guard.flush());
        clock.advance(Duration::from_secs(24 * 60 * 60));
    }
    assert_eq!(names(), [&foreign[..1], &["astrolabe.2026-01-02.log".into(), "astrolabe.2026-01-03.log".into()], &foreign[1..]].concat());
    let last: Json = serde_json::from_str(&files(&dir)["astrolabe.2026-01-03.log"]).unwrap();
    assert_eq!((&last["day"], &last["timestamp"]), (&json!(2), &json!("2026-01-03T00:00:00.000000Z")));
    assert_eq!(stream.text(), "");
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_sends_lines_to_standard_error() {
    let folder = tempfile::tempdir().unwrap();
    // Writing to this device fails as writing to a full disk does.
    std::os::unix::fs::symlink("/dev/full", folder.path().join("astrolabe.2026-01-01.log")).unwrap();
    let config = LogConfig { dir: folder.path().to_owned(), ..LogConfig::default() };
    let written = logged(&config, || tracing::info!("still there"));
    assert_eq!(written.lines()[0]["message"], "still there");
}

#[test]
fn a_folder_that_cannot_be_made_is_refused_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let config = LogConfig { dir: file.join("logs"), ..LogConfig::default() };
    let built = build(&config, &TelemetryConfig::default(), Clock::manual(START), Random::seeded(1), Box::new(io::sink()));
    assert!(built.err().unwrap().message().starts_with("log.dir: "));
}

#[test]
fn the_terminal_format_is_short_and_says_where_it_is() {
    let config = LogConfig { format: Format::Text, ..LogConfig::default() };
    let written = logged(&config, || {
        let span = tracing::info_span!(target: "astrolabe", "request", trace_id = "0af7651916cd43dd8448eb211c80319c", request_id = "r");
        let _entered = span.enter();
        tracing::info!(target: "astrolabe", status = 200, "answered");
    });
    assert_eq!(written.text(), "00:00:00.000 INFO    request: answered  status=200  trace_id=0af7651916cd43dd8448eb211c80319c\n");
}

#[test]
fn every_metric_of_the_notes_is_there_before_the_first_request() {
    let samples = recorder().snapshot();
    for name in [
        "http_requests_total",
        "http_request_duration_seconds_count",
        "http_request_duration_seconds_bucket",
        "db_connection_pool_size",
        "db_connection_pool_available",
        "agent_tasks_queued",
        "agent_tasks_running",
        "agent_tasks_completed_total",
        "agent_tasks_failed_total",
        "sse_connections_active",
        "sse_connections_total",
    ] {
        assert!(samples.iter().any(|sample| sample.name == name), "{name} is missing");
    }
    let first = samples.iter().find(|s| s.name == "http_requests_total" && s.labels["path"] == "/healthz").unwrap();
    assert_eq!(first.labels.keys().collect::<Vec<_>>(), ["method", "path", "status"]);
}

#[test]
#[cfg(target_os = "linux")]
fn the_process_reports_its_memory_processor_time_and_files() {
    let samples = recorder().snapshot();
    let value = |name: &str| samples.iter().find(|sample| sample.name == name).unwrap_or_else(|| panic!("{name} is missing")).value;
    assert!(value("process_resident_memory_bytes") > 1_000_000.0);
    assert!(value("process_open_fds") >= 3.0);
    assert!(value("process_cpu_seconds_total") >= 0.0);
    assert!(value("process_start_time_seconds") > 1_500_000_000.0);
}

#[test]
fn the_table_of_metrics_follows_the_rules_of_prometheus() {
    let mut names: Vec<_> = METRICS.iter().chain(PROCESS).map(|metric| metric.name).collect();
    names.sort_unstable();
    names.windows(2).for_each(|pair| assert_ne!(pair[0], pair[1]));
    for metric in METRICS {
        assert_eq!(metric.kind == MetricKind::Counter, metric.name.ends_with("_total"), "{}", metric.name);
        if let MetricKind::Histogram(buckets) = metric.kind {
            assert!(!buckets.is_empty() && buckets.is_sorted() && metric.name.ends_with("_seconds"), "{}", metric.name);
        }
        assert!(!metric.help.is_empty() && !metric.help.contains('|'), "{}", metric.name);
    }
}

#[test]
fn every_metric_in_the_code_is_in_the_table_with_its_kind_and_labels() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut used = 0;
    for file in rust_files(crates) {
        if file.ends_with("telemetry/tests.rs") || file.ends_with("telemetry/metrics.rs") {
            continue;
        }
        let text = std::fs::read_to_string(&file).unwrap();
        for kind in ["counter", "gauge", "histogram"] {
            for (at, start) in text.match_indices(&format!("metrics::{kind}!(")) {
                let call = text[at + start.len()..].split(';').next().unwrap();
                let Some(name) = call.trim_start().strip_prefix('"').and_then(|rest| rest.split('"').next()) else {
                    // A name that was chosen just before: each choice must be in the table.
                    let variable = call.split(&[',', ')']).next().unwrap().trim();
                    let (_, choice) = text[..at].rsplit_once(&format!("let {variable} = ")).unwrap();
                    let names: Vec<_> = choice.split(';').next().unwrap().split('"').skip(1).step_by(2).collect();
                    assert!(
                        !names.is_empty() && names.iter().all(|name| METRICS.iter().any(|m| m.name == *name)),
                        "{}: {names:?}",
                        file.display()
                    );
                    continue;
                };
                let metric = METRICS
                    .iter()
                    .find(|metric| metric.name == name)
                    .unwrap_or_else(|| panic!("{}: add {name} to crates/kernel/src/telemetry/names.rs", file.display()));
                let expected = match metric.kind {
                    MetricKind::Counter => "counter",
                    MetricKind::Gauge => "gauge",
                    MetricKind::Histogram(_) => "histogram",
                };
                assert_eq!(kind, expected, "{}: {name}", file.display());
                // A label is a literal in front of an arrow.
                let mut parts = call.split("=>").collect::<Vec<_>>();
                parts.pop();
                let labels: Vec<_> = parts.iter().filter_map(|part| part.trim_end().strip_suffix('"')?.rsplit('"').next()).collect();
                assert_eq!(labels, metric.labels, "{}: labels of {name}", file.display());
                used += 1;
            }
        }
    }
    assert!(used > 10, "the search finds the metrics of the code");
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(rust_files(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
    found
}

#[test]
fn spans_are_written_in_the_bytes_of_the_official_library() {
    // fixtures/otlp_request.hex: this request built with opentelemetry-proto 1.45.2 (PyPI) and written by
    // `SerializeToString(deterministic=True).hex()`.
    let text = |t: &str| Value::Text(t.to_owned());
    let request = Finished {
        name: "request",
        trace_id: std::array::from_fn(|i| i as u8 + 1),
        span_id: std::array::from_fn(|i| i as u8 + 1),
        parent_id: Some([9; 8]),
        started: START,
        ended: START.plus(Duration::from_millis(250)),
        fields: Fields::from_pairs(vec![
            ("trace_id", text("0102030405060708090a0b0c0d0e0f10")),
            ("request_id", text("abc")),
            ("method", text("POST")),
            ("path", text("/v1/agents/run")),
            ("status", Value::Int(502)),
            ("delta", Value::Int(-1)),
            ("score", Value::Float(0.5)),
            ("cached", Value::Bool(true)),
            ("title", text(&"ż".repeat(100))),
        ]),
        failed: Some("the model did not answer".to_owned()),
    };
    let search = Finished {
        name: "search",
        span_id: [7; 8],
        parent_id: None,
        ended: START.plus(Duration::from_micros(1)),
        fields: Fields::default(),
        failed: None,
        ..request.clone()
    };
    let bytes = wire::request(&[("service.name", "astrolabe")], ("astrolabe", "1.2.3"), &[request, search]);
    assert_eq!(hex::encode(bytes), include_str!("fixtures/otlp_request.hex").trim());
}

#[test]
fn a_traceparent_that_is_not_well_formed_names_no_parent() {
    assert_eq!(parent_span_id("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"), Some("b7ad6b7169203331"));
    for bad in [
        "",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-0AF7651916CD43DD8448EB211C80319C-B7AD6B7169203331-01",
    ] {
        assert_eq!(parent_span_id(bad), None, "{bad}");
    }
}

/// A collector on loopback that answers the given statuses in turn and hands over what it was sent.
async fn collector(statuses: &'static [u16]) -> (String, tokio::sync::mpsc::UnboundedReceiver<Vec<u8>>) {
    let (sender, received) = tokio::sync::mpsc::unbounded_channel();
    let next = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let take = move |headers: axum::http::HeaderMap, body: bytes::Bytes| {
        let status = statuses[next.fetch_add(1, std::sync::atomic::Ordering::SeqCst).min(statuses.len() - 1)];
        assert_eq!(headers["content-type"], "application/x-protobuf");
        let _ = sender.send(body.to_vec());
        std::future::ready(axum::http::StatusCode::from_u16(status).unwrap())
    };
    let router = axum::Router::new().route("/v1/traces", axum::routing::post(take));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    Lifecycle::new().spawn("collector", async move { axum::serve(listener, router).await });
    (format!("http://{address}"), received)
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

#[tokio::test]
async fn a_span_reaches_the_collector_with_the_trace_id_of_the_log_also_after_a_refusal() {
    let (endpoint, mut received) = collector(&[503, 200]).await;
    let written = Written::default();
    let telemetry = TelemetryConfig { otlp_endpoint: endpoint };
    let (dispatch, guard) =
        build(&json_log("info"), &telemetry, Clock::manual(START), Random::seeded(1), Box::new(written.clone())).unwrap();
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let outgoing = tracing::dispatcher::with_default(&dispatch, || {
        let request = tracing::info_span!(
            target: "astrolabe_kernel",
            "request",
            trace_id = trace,
            request_id = "r",
            method = "GET",
            path = "/x",
            parent_span_id = "b7ad6b7169203331"
        );
        let _request = request.enter();
        let tool = tracing::info_span!(target: "astrolabe_agents", "tool", tool = "get_metrics", token = "hunter2");
        let _tool = tool.enter();
        tracing::info!(target: "astrolabe_agents", "called");
        traceparent().unwrap()
    });
    assert!(guard.flush());
    let line = &written.lines()[0];
    assert_eq!(line["trace_id"], trace);
    assert_eq!(outgoing, format!("00-{trace}-{}-01", line["span_id"].as_str().unwrap()));

    let lifecycle = Lifecycle::new();
    let egress = Egress::new(EgressConfig { offline: true, ..EgressConfig::default() }).unwrap();
    guard.start(&lifecycle, &egress).unwrap();
    let refused = received.recv().await.unwrap();
    let taken = received.recv().await.unwrap();
    assert_eq!(refused, taken);
    for part in [
        &hex::decode(trace).unwrap()[..],
        &hex::decode(line["span_id"].as_str().unwrap()).unwrap(),
        &hex::decode("b7ad6b7169203331").unwrap(),
        b"GET /x",
        b"get_metrics",
        b"service.name",
    ] {
        assert!(contains(&taken, part), "{part:02x?}");
    }
    assert!(!contains(&taken, b"hunter2"));
    assert!(lifecycle.stop(Duration::from_secs(5)).await);
}

#[tokio::test]
async fn spans_that_wait_at_the_stop_are_sent_before_it_ends() {
    let (endpoint, mut received) = collector(&[200]).await;
    let telemetry = TelemetryConfig { otlp_endpoint: endpoint };
    let (dispatch, guard) = build(&json_log("info"), &telemetry, Clock::manual(START), Random::seeded(1), Box::new(io::sink())).unwrap();
    let lifecycle = Lifecycle::new();
    guard.start(&lifecycle, &Egress::new(EgressConfig::default()).unwrap()).unwrap();
    tracing::dispatcher::with_default(&dispatch, || drop(tracing::info_span!(target: "astrolabe", "last")));
    assert!(lifecycle.stop(Duration::from_secs(5)).await);
    assert!(contains(&received.recv().await.unwrap(), b"last"));
}

#[test]
fn a_collector_that_is_no_address_or_not_allowed_is_refused_at_the_start() {
    let telemetry = |endpoint: &str| TelemetryConfig { otlp_endpoint: endpoint.to_owned() };
    let built =
        |endpoint: &str| build(&json_log("info"), &telemetry(endpoint), Clock::manual(START), Random::seeded(1), Box::new(io::sink()));
    assert!(built("collector:4318").err().unwrap().message().starts_with("telemetry.otlp_endpoint: "));
    let (_, guard) = built("http://203.0.113.7:4318").unwrap();
    let egress = Egress::new(EgressConfig { offline: true, ..EgressConfig::default() }).unwrap();
    assert_eq!(guard.start(&Lifecycle::new(), &egress).unwrap_err().code().name, "egress_refused");
}
