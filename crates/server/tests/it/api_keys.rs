//! API keys at the door: what a key opens, what it does not, and how it ends.

use axum::http::Method;
use serde_json::{Value, json};

use crate::support::{Binary, TestApp};

async fn made(app: &TestApp, body: Value) -> (String, String) {
    let reply = app.post("/api/v1/api-keys").json(body).send().await;
    assert_eq!(reply.status, 201, "{}", reply.text());
    let key = reply.json();
    (key["id"].as_str().unwrap().to_owned(), key["secret"].as_str().unwrap().to_owned())
}

async fn status(app: &TestApp, method: Method, path: &str, key: &str) -> (u16, String) {
    let reply = app.anonymous(method, path).token(key).send().await;
    (reply.status, if reply.status < 400 { String::new() } else { reply.code() })
}

#[tokio::test]
async fn a_key_opens_what_it_was_made_for_and_nothing_else() {
    let app = TestApp::new().await;
    let (_, reads) = made(&app, json!({"name": "reads", "scopes": ["read_knowledge"]})).await;
    assert_eq!(status(&app, Method::GET, "/api/v1/sources", &reads).await.0, 200);
    for (method, path) in [(Method::GET, "/api/v1/me"), (Method::GET, "/api/v1/tickets"), (Method::GET, "/api/v1/audit")] {
        assert_eq!(status(&app, method, path, &reads).await, (403, "insufficient_scope".to_owned()), "{path}");
    }
    let refused = app.anonymous(Method::POST, "/api/v1/sources").token(&reads).json(json!({"name": "a"})).send().await;
    assert_eq!((refused.status, refused.code().as_str()), (403, "insufficient_scope"));

    let (_, all) = made(&app, json!({"name": "everything"})).await;
    assert_eq!(status(&app, Method::GET, "/api/v1/audit", &all).await.0, 200);
    assert_eq!(app.anonymous(Method::GET, "/api/v1/me").token(&all).send().await.json()["principal"]["id"], "user:local-admin");
}

#[tokio::test]
async fn a_revoked_key_is_refused_and_its_secret_is_shown_once() {
    let app = TestApp::new().await;
    let (id, secret) = made(&app, json!({"name": "brief"})).await;
    assert_eq!(status(&app, Method::GET, "/api/v1/me", &secret).await.0, 200);
    for path in [format!("/api/v1/api-keys/{id}"), "/api/v1/api-keys".to_owned(), "/api/v1/audit".to_owned()] {
        let shown = app.get(&path).send().await;
        assert_eq!(shown.status, 200);
        assert!(!shown.text().contains(&secret), "{path}");
    }
    assert_eq!(app.call(Method::DELETE, &format!("/api/v1/api-keys/{id}")).send().await.status, 200);
    // The verdict of before may hold for five seconds.
    app.advance(std::time::Duration::from_secs(5));
    assert_eq!(status(&app, Method::GET, "/api/v1/me", &secret).await, (401, "invalid_token".to_owned()));
    let actions = app.actions().await;
    assert!(actions.contains(&"api_keys.create".to_owned()) && actions.contains(&"api_keys.revoke".to_owned()), "{actions:?}");
}

#[tokio::test]
async fn what_is_no_right_or_no_number_of_days_is_named() {
    let app = TestApp::new().await;
    for (body, field) in [
        (json!({"name": "a", "scopes": ["fly"]}), "scopes[0]"),
        (json!({"name": "a", "scopes": []}), "scopes"),
        (json!({"name": "a", "expires_in_days": 0}), "expires_in_days"),
        (json!({"name": ""}), "name"),
        (json!({"name": "a", "colour": 1}), "colour"),
    ] {
        let reply = app.post("/api/v1/api-keys").json(body.clone()).send().await;
        assert_eq!((reply.status, reply.json()["errors"][0]["field"].as_str().unwrap()), (400, field), "{body}");
    }
}

#[test]
fn the_shell_makes_lists_and_revokes_keys_with_and_without_a_server() {
    let folder = tempfile::tempdir().unwrap();
    let binary = Binary::new(folder.path());
    assert_eq!(binary.run(&["migrate"]).code, 0);
    let alone = binary.run(&["key", "add", "alone", "--scope", "read_knowledge", "--json"]);
    assert_eq!(alone.code, 0, "{alone:?}");
    let secret = alone.json()["secret"].as_str().unwrap().to_owned();
    let server = binary.serve();
    let listed = binary.run(&["key", "list", "--json"]).json();
    assert_eq!(listed["items"][0]["name"], "alone");
    let refused = binary.run(&["ask", "anything?", "--server", &server.url, "--token", &secret]);
    assert_eq!(refused.code, 4, "a key that reads may not ask: {refused:?}");
    let id = listed["items"][0]["id"].as_str().unwrap();
    assert_eq!(binary.run(&["key", "revoke", id]).code, 0);
    assert!(binary.run(&["key", "list"]).out.contains("revoked"));
    server.stop();
}
