//! Errors as callers read them, idempotency, and methods.

use axum::http::Method;
use serde_json::json;

use crate::support::TestApp;

#[tokio::test]
async fn an_error_is_a_problem_document_with_the_ids_of_its_request() {
    let app = TestApp::new().await;
    let reply = app.get("/api/v1/jobs/job_01JD3V9M7Q4R8T2W6X0Y5Z1ABC").send().await;
    assert_eq!((reply.status, reply.header("content-type")), (404, "application/problem+json"));
    let problem = reply.json();
    assert_eq!(problem["type"], "urn:astrolabe:error:not_found");
    assert_eq!((problem["status"].as_u64(), problem["code"].as_str()), (Some(404), Some("not_found")));
    assert_eq!(problem["instance"], "/api/v1/jobs/job_01JD3V9M7Q4R8T2W6X0Y5Z1ABC");
    assert_eq!(problem["request_id"], reply.header("x-request-id"));
    assert_eq!(problem["trace_id"], reply.header("x-trace-id"));
}

#[tokio::test]
async fn a_foreign_id_an_unknown_one_and_one_of_another_shape_look_the_same() {
    let app = TestApp::new().await;
    for id in ["job_01JD3V9M7Q4R8T2W6X0Y5Z1ABC", "src_01JD3V9M7Q4R8T2W6X0Y5Z1ABC", "nonsense"] {
        assert_eq!(app.get(&format!("/api/v1/jobs/{id}")).send().await.code(), "not_found", "{id}");
    }
}

#[tokio::test]
async fn a_refused_field_is_named() {
    let app = TestApp::new().await;
    let field = |reply: crate::support::Reply| {
        assert_eq!(reply.status, 400, "{}", reply.text());
        reply.json()["errors"][0]["field"].as_str().unwrap().to_owned()
    };
    assert_eq!(field(app.get("/api/v1/jobs?limit=0").send().await), "limit");
    assert_eq!(field(app.get("/api/v1/jobs?limit=many").send().await), "limit");
    assert_eq!(field(app.get("/api/v1/jobs?state=asleep").send().await), "state");
    assert_eq!(field(app.get("/api/v1/jobs?colour=red").send().await), "colour");
    assert_eq!(field(app.get("/api/v1/jobs?kind=a-b").send().await), "kind");
    assert_eq!(field(app.get("/api/v1/audit?cursor=%20").send().await), "cursor");
    assert_eq!(field(app.get("/api/v1/audit?action=").send().await), "action");
    assert_eq!(field(app.post("/api/v1/sources").json(json!({"name": "a", "colour": "red"})).send().await), "colour");
    assert_eq!(field(app.post("/api/v1/sources").json(json!(["a"])).send().await), "body");
}

#[tokio::test]
async fn broken_json_another_kind_of_content_and_nul_are_refused_as_what_they_are() {
    let app = TestApp::new().await;
    let post = || app.post("/api/v1/sources");
    assert_eq!(post().body("application/json", "{\"name\":").send().await.code(), "invalid_json");
    assert_eq!(post().body("text/plain", "{}").send().await.code(), "unsupported_media_type");
    assert_eq!(post().json(json!({"name": "a\u{0}b"})).send().await.code(), "invalid_request");
    assert_eq!(app.get("/api/v1/jobs?kind=%00").send().await.status, 400);
}

#[tokio::test]
async fn a_wrong_method_is_told_the_right_ones() {
    let app = TestApp::new().await;
    let reply = app.call(Method::PUT, "/api/v1/me").send().await;
    assert_eq!((reply.status, reply.code().as_str()), (405, "method_not_allowed"));
    assert!(reply.header("allow").contains("GET"), "{:?}", reply.headers);
}

#[tokio::test]
async fn a_request_with_an_idempotency_key_is_done_once() {
    let app = TestApp::new().await;
    let post = |key: &str, name: &str| app.post("/api/v1/sources").header("idempotency-key", key).json(json!({ "name": name })).send();
    let first = post("k1", "once").await;
    let again = post("k1", "once").await;
    assert_eq!((first.status, again.status), (201, 201));
    assert_eq!(first.json(), again.json());
    assert_eq!(again.header("idempotency-replayed"), "true");
    let other = post("k1", "twice").await;
    assert_eq!((other.status, other.code().as_str()), (422, "idempotency_key_reused"));
    assert_eq!(post("k2", "once").await.code(), "source_exists");
    let listed = app.get("/api/v1/sources").send().await.json();
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_job_that_is_canceled_while_it_waits_takes_its_document_along_and_a_retry_brings_it_back() {
    let app = TestApp::new().await;
    let source = app.post("/api/v1/sources").json(json!({"name": "s"})).send().await.json()["id"].as_str().unwrap().to_owned();
    let document = app.upload(&source, "a.md", b"# A\n\nText of a document.").await;
    let app = &app;
    let state = |path: String| async move { app.get(&path).send().await.json()["state"].as_str().unwrap().to_owned() };
    let job = app.get(&format!("/api/v1/jobs?subject={document}&kind=ingest_document&state=queued")).send().await.json()["items"][0]["id"]
        .as_str()
        .unwrap()
        .to_owned();

    let canceled = app.post(&format!("/api/v1/jobs/{job}/cancel")).send().await;
    assert_eq!((canceled.status, canceled.json()["state"].as_str().unwrap()), (200, "canceled"));
    assert_eq!(state(format!("/api/v1/documents/{document}")).await, "canceled");
    assert_eq!(app.post(&format!("/api/v1/jobs/{job}/cancel")).send().await.code(), "invalid_state");

    let retried = app.post(&format!("/api/v1/jobs/{job}/retry")).send().await;
    assert_eq!((retried.status, retried.json()["state"].as_str().unwrap()), (200, "queued"));
    assert_eq!(state(format!("/api/v1/documents/{document}")).await, "queued");
    app.drain().await;
    assert_eq!(state(format!("/api/v1/documents/{document}")).await, "ready");
    assert_eq!(app.post(&format!("/api/v1/jobs/{job}/retry")).send().await.code(), "invalid_state");
    let actions = app.actions().await;
    assert!(actions.contains(&"jobs.cancel".to_owned()) && actions.contains(&"jobs.retry".to_owned()), "{actions:?}");
}
