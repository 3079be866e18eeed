//! The paths that probes and people without a token read.

use axum::http::Method;
use serde_json::json;

use crate::support::TestApp;

#[tokio::test]
async fn the_probes_answer_to_the_letter_without_a_token() {
    let app = TestApp::new().await;
    let get = |path: &'static str| app.anonymous(Method::GET, path).send();
    assert_eq!(get("/health").await.json(), json!({"status": "healthy"}));
    assert_eq!(get("/healthz").await.json(), json!({"status": "ok"}));
    for path in ["/readyz", "/ready", "/startup"] {
        let reply = get(path).await;
        assert_eq!(reply.status, 200, "{path}");
        assert_eq!(reply.json()["dependencies"]["database"]["status"], "ok");
    }
    let version = get("/api/version").await.json();
    assert_eq!((version["name"].as_str(), version["api_version"].as_str()), (Some("astrolabe"), Some("v1")));
}

#[tokio::test]
async fn a_missing_embedder_degrades_and_is_named_and_a_missing_chat_model_is_a_choice() {
    let app = TestApp::new().await;
    let ready = app.anonymous(Method::GET, "/readyz").send().await.json();
    assert_eq!(ready["status"], "degraded");
    // The PostgreSQL server for tests is not a durable one.
    let mut degraded = ready["degraded"].as_array().unwrap().clone();
    degraded.retain(|name| name != "durability");
    assert_eq!(degraded, [json!("embedder")]);
    assert_eq!(ready["dependencies"]["chat_model"]["status"], "not_configured");
    assert_eq!(ready["schema"]["pending"], 0);
}

#[tokio::test]
async fn a_stopping_process_is_not_ready_but_alive() {
    let app = TestApp::new().await;
    app.app.kernel.lifecycle.begin_stop();
    let ready = app.anonymous(Method::GET, "/readyz").send().await;
    assert_eq!(ready.status, 503);
    assert_eq!(ready.json()["title"], "Shutting down");
    assert_eq!(app.anonymous(Method::GET, "/healthz").send().await.status, 200);
}

#[tokio::test]
async fn a_process_whose_data_is_not_open_yet_answers_probes_and_sends_others_away_for_a_moment() {
    let app = TestApp::new().await;
    let system = astrolabe_server::system::System::new(app.app.kernel.lifecycle.clone(), false, String::new);
    let kernel = &app.app.kernel;
    let router = astrolabe_server::router::warming(system, &app.app.config, kernel.clock.clone(), kernel.random.clone());
    let call = |path: &str| crate::support::Call::new(router.clone(), Method::GET, path);
    assert_eq!(call("/healthz").send().await.status, 200);
    let ready = call("/readyz").send().await;
    assert_eq!((ready.status, ready.json()["title"].as_str().unwrap()), (503, "Service warming up"));
    let other = call("/api/v1/sources").send().await;
    assert_eq!((other.status, other.json()["title"].as_str().unwrap()), (503, "Service warming up"));
    assert_eq!(other.header("retry-after"), "1");
    assert_eq!(other.header("content-type"), "application/problem+json");
}

#[tokio::test]
async fn metrics_have_the_names_that_operators_know() {
    let app = TestApp::new().await;
    app.get("/api/v1/me").send().await;
    let reply = app.anonymous(Method::GET, "/metrics").send().await;
    assert!(reply.header("content-type").starts_with("text/plain"));
    let text = reply.text();
    for name in [
        "http_requests_total",
        "http_request_duration_seconds",
        "db_connection_pool_size",
        "db_connection_pool_available",
        "agent_tasks_queued",
        "agent_tasks_running",
        "agent_tasks_completed_total",
        "agent_tasks_failed_total",
        "sse_connections_active",
        "sse_connections_total",
        "db_query_duration_seconds",
        "jobs_oldest_age_seconds",
    ] {
        assert!(text.contains(name), "{name} is missing");
    }
    assert!(text.contains("path=\"/api/v1/me\""), "the path label is the route's template");
}

#[tokio::test]
async fn the_metrics_that_operators_know_move_with_what_they_count() {
    let app = TestApp::new().await;
    let read = async || app.anonymous(Method::GET, "/metrics").send().await.text();
    // The sum over the series that begin so. Other tests of the process may count, too, so counters grow at least by what is done here.
    let value = |text: &str, series: &str| -> f64 {
        text.lines().filter(|l| l.starts_with(series)).map(|l| l.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
    };
    let before = read().await;
    let source = app.post("/api/v1/sources").json(json!({"name": "handbook"})).send().await.json()["id"].as_str().unwrap().to_owned();
    let run = async |input: &str| app.post("/v1/agents/run").json(json!({"agent": "support", "input": input})).send().await.status;
    assert_eq!(run("Open a ticket about the printer").await, 200);
    let stream = app.get(&format!("/api/v1/sources/{source}/events")).open().await;
    let reading = app.app.kernel.db.read_all().await.unwrap();
    let during = read().await;
    assert!(value(&during, "sse_connections_active ") >= 1.0);
    assert!(value(&during, "db_connection_pool_available ") < value(&during, "db_connection_pool_size "));
    drop((stream, reading));
    // A run that looks for an answer cannot end well without the table of asks.
    let mut tx = app.app.kernel.db.write_schema().await.unwrap();
    tx.execute("ALTER TABLE asks RENAME TO elsewhere", &[]).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(run("How long are backups kept?").await, 500);
    let after = read().await;
    for series in [
        "http_requests_total{method=\"POST\",path=\"/v1/agents/run\",status=\"200\"} ",
        "http_requests_total{method=\"POST\",path=\"/v1/agents/run\",status=\"500\"} ",
        "http_request_duration_seconds_count{method=\"POST\",path=\"/v1/agents/run\"} ",
        "agent_tasks_completed_total ",
        "agent_tasks_failed_total ",
        "sse_connections_total ",
        "db_query_duration_seconds_count{operation=\"select\"} ",
        "db_query_duration_seconds_count{operation=\"insert\"} ",
        "db_query_duration_seconds_count{operation=\"commit\"} ",
        "tool_calls_total{tool=\"create_ticket\",status=\"ok\"} ",
        "audit_entries_total{action=\"agents.run\"} ",
    ] {
        assert!(value(&after, series) > value(&before, series), "{series}: {after}");
    }
}

#[test]
fn a_requests_log_lines_name_trace_request_and_tenant_and_hold_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    let binary = crate::support::Binary::new(folder.path());
    let server = binary.serve();
    let raw = crate::support::Raw::new(&binary, &server);
    let headers = "content-type: application/json\r\nx-request-id: mine-7\r\n";
    let (status, _) = raw.call("POST", "/api/v1/tickets", headers, r#"{"title": "who keeps the goats?"}"#).unwrap();
    assert_eq!(status, 201);
    let headers = "content-type: application/json\r\nx-request-id: mine-8\r\n";
    let run = r#"{"agent": "support", "input": "Open a ticket about the goats"}"#;
    assert_eq!(raw.call("POST", "/v1/agents/run", headers, run).unwrap().0, 200);
    let token = std::fs::read_to_string(binary.data_dir().join("token")).unwrap();
    let lines: Vec<serde_json::Value> = server.stop().iter().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let text = format!("{lines:#?}");
    assert!(!text.contains(token.trim()) && !text.contains("goats"), "neither secrets nor what people write: {text}");
    let request = lines.iter().find(|l| l["message"] == "request" && l["request_id"] == "mine-7").unwrap_or_else(|| panic!("{text}"));
    for (field, value) in
        [("method", json!("POST")), ("path", json!("/api/v1/tickets")), ("status", json!(201)), ("severity", json!("INFO"))]
    {
        assert_eq!(request[field], value, "{request}");
    }
    let tool = lines.iter().find(|l| l["message"] == "called a tool").unwrap_or_else(|| panic!("{text}"));
    for (field, value) in [("request_id", "mine-8"), ("tool", "create_ticket"), ("agent", "support"), ("status", "ok")] {
        assert_eq!(tool[field], value, "what is done for a request is logged under it: {tool}");
    }
    assert!(tool["tenant_id"].as_str().is_some_and(|t| t.starts_with("ten_")), "{tool}");
    assert_eq!(request["trace_id"].as_str().map(str::len), Some(32), "{request}");
    assert!(request["tenant_id"].as_str().is_some_and(|t| t.starts_with("ten_")) && request["latency_ms"].is_number(), "{request}");
}

#[tokio::test]
async fn a_request_whose_caller_hangs_up_is_counted_too() {
    let service = crate::support::Receiver::silent(json!({"id": "INC-7"})).await;
    let app = TestApp::with(&[("tools.tickets_url", &service.url)]).await;
    let run = app.post("/v1/agents/run").json(json!({"agent": "support", "input": "Open a ticket about the printer"})).send();
    tokio::select! {
        _ = run => panic!("the service answers nobody yet"),
        () = service.arrival() => {}
    }
    let text = app.anonymous(Method::GET, "/metrics").send().await.text();
    let counted =
        |line: &&str| line.starts_with("http_requests_total") && line.contains("status=\"499\"") && line.contains("/v1/agents/run");
    assert!(text.lines().any(|line| counted(&line)), "{text}");
}

#[tokio::test]
async fn a_probe_that_reads_the_head_alone_is_answered_under_any_name() {
    let app = TestApp::new().await;
    for path in ["/health", "/healthz", "/readyz", "/metrics"] {
        assert_eq!(app.anonymous(Method::HEAD, path).host("balancer.example").send().await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn every_answer_tells_the_browser_to_be_careful_and_carries_its_ids() {
    let app = TestApp::new().await;
    for path in ["/", "/docs", "/healthz", "/api/v1/me", "/nothing/here.txt", "/api/v1/jobs/job_x"] {
        let reply = app.get(path).send().await;
        assert!(reply.header("content-security-policy").contains("default-src 'self'"), "{path}");
        assert!(reply.header("content-security-policy").contains("frame-ancestors 'none'"), "{path}");
        assert_eq!(reply.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(reply.header("referrer-policy"), "no-referrer", "{path}");
        assert_eq!(reply.header("cross-origin-resource-policy"), "same-origin", "{path}");
        assert_eq!(reply.header("x-request-id").len(), 32, "{path}");
    }
    let reply = app.get("/healthz").header("x-request-id", "mine-1").send().await;
    assert_eq!(reply.header("x-request-id"), "mine-1");
}

#[tokio::test]
async fn the_page_is_served_for_its_places_and_not_for_files_that_are_not_there() {
    let app = TestApp::new().await;
    let page = |path: &str| app.anonymous(Method::GET, path).header("accept", "text/html").send();
    for path in ["/", "/sources", "/sources/src_1/documents"] {
        let reply = page(path).await;
        assert_eq!(reply.status, 200, "{path}");
        assert!(reply.header("content-type").starts_with("text/html"), "{path}");
        assert!(!reply.text().contains("<script>"), "{path}: nothing inline");
    }
    for path in ["/assets/gone.js", "/favicon.ico", "/api/nothing", "/api/v2/x"] {
        assert_eq!(page(path).await.status, 404, "{path}");
    }
    let refused = app.anonymous(Method::POST, "/sources").header("accept", "text/html").send().await;
    assert_eq!((refused.status, refused.header("allow")), (405, "GET,HEAD"));
}

#[tokio::test]
async fn a_process_on_sqlite_that_would_do_half_of_the_work_says_where_it_can() {
    let folder = tempfile::tempdir().unwrap();
    if std::env::vars().any(|(name, value)| name == "TEST_POSTGRES_URI" && !value.is_empty()) {
        return;
    }
    let ended = crate::support::Binary::new(folder.path()).run(&["serve", "--listen", "127.0.0.1:0", "--role", "worker"]);
    assert!(ended.err.contains("server.roles: with SQLite"), "{}", ended.err);
    let ended = crate::support::Binary::new(folder.path()).run(&["serve", "--listen", "127.0.0.1:0", "--role", "sleeper"]);
    assert!(ended.err.contains("server.roles"), "{}", ended.err);
}

#[tokio::test]
async fn a_worker_beside_an_api_does_its_jobs_and_answers_nothing_but_probes() {
    let Some((_, server)) = std::env::vars().find(|(name, value)| name == "TEST_POSTGRES_URI" && !value.is_empty()) else { return };
    let folder = tempfile::tempdir().unwrap();
    drop(server);
    let url = astrolabe_kernel::testing::database_url(folder.path()).await;
    let process = |name: &str| {
        let home = folder.path().join(name);
        std::fs::create_dir_all(&home).unwrap();
        crate::support::Binary::new(&home).database(&url).env("SECRET_KEY", "k9QmVt7Xw2RzLp4Ns8YbHc3Jd6Fg1Ae5")
    };
    let (api, worker) = (process("api"), process("worker"));
    let serving = api.serve_with(&["--role", "api"]);
    let caller = crate::support::Raw::new(&api, &serving);
    let source = caller.post("/api/v1/sources", &serde_json::json!({"name": "shared"})).unwrap().1;
    let boundary = "content-type: multipart/form-data; boundary=b\r\n";
    let form = "--b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.md\"\r\n\r\nGulls.\r\n--b--\r\n";
    let made = caller.call("POST", &format!("/api/v1/sources/{}/documents", source["id"].as_str().unwrap()), boundary, form).unwrap();
    assert_eq!(made.0, 202, "{}", made.1);
    let job = made.1["items"][0]["job_id"].as_str().unwrap().to_owned();
    assert_eq!(caller.call("GET", &format!("/api/v1/jobs/{job}"), "", "").unwrap().1["state"], "queued", "nobody here does jobs");
    let working = worker.serve_with(&["--role", "worker"]);
    let mut events = caller.events(&format!("/api/v1/jobs/{job}/events"), 0).unwrap();
    assert!(events.any(|event| event.kind == "failed" || event.kind == "ready"), "the worker came for it");
    let probes = crate::support::Raw::new(&worker, &working);
    assert_eq!(probes.call("GET", "/api/v1/me", "", "").unwrap().0, 404);
    assert_eq!(probes.call("GET", "/healthz", "", "").unwrap().0, 200);
}
