//! Who read which document is in the audit log, and costs a reader next to nothing.

use astrolabe_kernel::{Principal, Role, principal::default_tenant};
use axum::http::Method;
use serde_json::{Value, json};

use crate::support::TestApp;

async fn entries(app: &TestApp, query: &str) -> Vec<Value> {
    app.get(&format!("/api/v1/audit?{query}")).send().await.json()["items"].as_array().unwrap().clone()
}

const KEYS: &str = "# Keys\n\nThe office keys are kept at the reception desk.\n";

#[tokio::test]
async fn documents_searches_and_answers_say_who_got_which_documents() {
    let app = TestApp::new().await;
    let (_, document) = app.ingested("handbook", "keys.md", KEYS).await;
    let ann = Principal::new("user:ann", "Ann", default_tenant(), Role::Viewer, Vec::new(), "token");
    let get = |path: String| app.acting(&ann, Method::GET, &path);
    let content = get(format!("/api/v1/documents/{document}/content")).send().await;
    get(format!("/api/v1/documents/{document}")).send().await;
    get("/api/v1/search?query=keys".to_owned()).send().await;
    app.acting(&ann, Method::POST, "/api/v1/search").json(json!({"query": "keys", "group": "document"})).send().await;
    let ask = app.acting(&ann, Method::POST, "/api/v1/ask").json(json!({"question": "Where are the keys?"})).send().await.json();

    let found = entries(&app, &format!("actor=user:ann&document={document}&limit=50")).await;
    let mut actions: Vec<(&str, &str)> =
        found.iter().map(|e| (e["action"].as_str().unwrap(), e["payload"]["part"].as_str().unwrap_or(""))).collect();
    actions.sort_unstable();
    let expected = [("ask.documents", ""), ("documents.read", "content"), ("documents.read", "record"), ("search", ""), ("search", "")];
    assert_eq!(actions, expected);
    for entry in &found {
        let named = entry["subject"] == document || entry["payload"] == json!({"documents": [document], "count": 1});
        assert!(named && entry["outcome"] == "ok", "{entry}");
    }
    let read = found.iter().find(|e| e["payload"]["part"] == "content").unwrap();
    assert_eq!((&read["subject"], read["trace_id"].as_str()), (&json!(document), Some(content.header("x-trace-id"))));
    assert!(found.iter().any(|e| e["action"] == "ask.documents" && e["subject"] == ask["id"]));
    assert!(!entries(&app, "action=search").await.iter().any(|e| e.to_string().contains("keys")), "what was searched for is not kept");
}

#[tokio::test]
async fn what_was_not_found_or_not_allowed_was_not_read() {
    let app = TestApp::new().await;
    let (source, document) = app.ingested("handbook", "keys.md", KEYS).await;
    let closed = json!({"readers": ["user:ben"]});
    let patched = app.call(Method::PATCH, &format!("/api/v1/sources/{source}")).json(closed).send().await;
    assert_eq!(patched.status, 200, "{}", patched.text());
    let ann = Principal::new("user:ann", "Ann", default_tenant(), Role::Viewer, Vec::new(), "token");
    assert_eq!(app.acting(&ann, Method::GET, &format!("/api/v1/documents/{document}/content")).send().await.status, 404);
    app.acting(&ann, Method::GET, "/api/v1/search?query=keys").send().await;
    let found = entries(&app, "actor=user:ann").await;
    assert_eq!(found.iter().map(|e| &e["payload"]["count"]).collect::<Vec<_>>(), [&json!(0)], "a search that showed nothing says so");
    app.get("/api/v1/documents/doc_01JD3V9M7Q4R8T2W6X0Y5Z1ABC/content").send().await;
    let upload = app.upload(&source, "waits.md", b"# Waits").await;
    app.get(&format!("/api/v1/documents/{upload}")).send().await;
    assert_eq!(entries(&app, "action=documents.read").await.len(), 0, "it is not there, or not ready");
}

#[tokio::test]
async fn an_operator_decides_which_reads_are_recorded() {
    for (reads, expected) in [("all", vec!["documents.read", "search"]), ("documents", vec!["documents.read"]), ("off", vec![])] {
        let app = TestApp::with(&[("audit.reads", reads)]).await;
        let (_, document) = app.ingested("handbook", "keys.md", KEYS).await;
        app.get(&format!("/api/v1/documents/{document}/content")).send().await;
        app.get("/api/v1/search?query=keys").send().await;
        let mut actions = app.actions().await;
        actions.retain(|a| a == "documents.read" || a == "search");
        actions.sort_unstable();
        assert_eq!(actions, expected, "{reads}");
    }
}

#[tokio::test]
async fn a_hundred_searches_are_recorded_in_one_transaction() {
    let app = TestApp::new().await;
    app.ingested("handbook", "keys.md", KEYS).await;
    let count = async |table: &str| -> i64 {
        let sql = format!("SELECT COUNT(*) FROM {table} WHERE action = 'search'");
        app.app.kernel.db.read_all().await.unwrap().one(sql, &[]).await.unwrap()
    };
    for _ in 0..100 {
        assert_eq!(app.get("/api/v1/search?query=keys").send().await.status, 200);
    }
    assert_eq!(count("audit_entries").await, 0, "no search waited for a transaction");
    app.app.kernel.write_reads().await.unwrap();
    assert_eq!(count("audit_entries").await, 100);
}
