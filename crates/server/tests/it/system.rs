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
    assert_eq!(ready["degraded"], json!(["embedder"]));
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
    let router = astrolabe_server::router::warming(system, &app.app.config.server, kernel.clock.clone(), kernel.random.clone());
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
