//! What a repeat gets under its idempotency key, and what it does not.

use axum::http::Method;
use serde_json::json;

use crate::support::{Reply, TestApp};

fn form(boundary: &str, files: &[(&str, &str)]) -> String {
    let parts: String = files
        .iter()
        .map(|(name, text)| format!("--{boundary}\r\ncontent-disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\r\n{text}\r\n"))
        .collect();
    format!("{parts}--{boundary}--\r\n")
}

async fn upload(app: &TestApp, path: &str, key: &str, boundary: &str, files: &[(&str, &str)]) -> Reply {
    let kind = format!("multipart/form-data; boundary={boundary}");
    app.post(path).header("idempotency-key", key).body(&kind, form(boundary, files)).send().await
}

async fn documents(app: &TestApp, path: &str) -> usize {
    app.get(path).send().await.json()["items"].as_array().unwrap().len()
}

async fn source(app: &TestApp) -> String {
    let made = app.post("/api/v1/sources").json(json!({"name": "s"})).send().await.json();
    format!("/api/v1/sources/{}/documents", made["id"].as_str().unwrap())
}

#[tokio::test]
async fn a_refusal_is_repeated_with_its_ids_and_a_corrected_request_needs_another_key() {
    let app = TestApp::new().await;
    let post = |key: &str, body: serde_json::Value| app.post("/api/v1/sources").header("idempotency-key", key).json(body).send();
    let first = post("k", json!({"name": ""})).await;
    let again = post("k", json!({"name": ""})).await;
    assert_eq!((first.status, again.status, &first.body), (400, 400, &again.body));
    assert_eq!((again.header("content-type"), again.header("idempotency-replayed")), ("application/problem+json", "true"));
    assert_eq!(again.json()["request_id"], first.header("x-request-id"), "the document is that of the first request");
    assert_ne!(again.header("x-request-id"), first.header("x-request-id"), "and the header that of this one");
    let corrected = post("k", json!({"name": "a"})).await;
    assert_eq!((corrected.status, corrected.code().as_str()), (422, "idempotency_key_reused"));
    assert_eq!(post("k2", json!({"name": "a"})).await.status, 201);
}

#[tokio::test]
async fn a_key_is_its_callers_and_bound_to_path_and_query() {
    let app = TestApp::new().await;
    let path = source(&app).await;
    let retried = |path: String| app.post(&path).header("idempotency-key", "k").json(json!({"name": "b"})).send();
    assert_eq!(retried("/api/v1/sources".to_owned()).await.status, 201);
    for other in ["/api/v1/question-sets".to_owned(), path, "/api/v1/sources?x=1".to_owned()] {
        let reply = retried(other.clone()).await;
        assert_eq!((reply.status, reply.code().as_str()), (422, "idempotency_key_reused"), "{other}");
    }
    let read = app.call(Method::GET, "/api/v1/sources").header("idempotency-key", "k").send().await;
    assert_eq!((read.status, read.header("idempotency-replayed")), (200, ""), "what reads needs no key and ignores it");
}

#[tokio::test]
async fn the_repeat_of_an_upload_gets_the_first_answer_although_its_boundary_is_another() {
    let app = TestApp::new().await;
    let path = source(&app).await;
    let files = &[("a.md", "# A\n\nText of a."), ("b.md", "# B\n\nText of b.")];
    let first = upload(&app, &path, "k", "first", files).await;
    assert_eq!(first.status, 202, "{}", first.text());
    app.drain().await;
    let again = upload(&app, &path, "k", "------second", files).await;
    assert_eq!((again.status, &again.body, again.header("idempotency-replayed")), (202, &first.body, "true"));
    for other in [&[("a.md", "# A\n\nText of a.")][..], &[("a.md", "# A\n\nText of c."), ("b.md", "# B\n\nText of b.")], &[]] {
        let reply = upload(&app, &path, "k", "first", other).await;
        assert_eq!((reply.status, reply.code().as_str()), (422, "idempotency_key_reused"), "{}", reply.text());
    }
    let tagged = upload(&app, &format!("{path}?tags=x"), "k", "first", files).await;
    assert_eq!(tagged.code(), "idempotency_key_reused");
    assert_eq!(documents(&app, &path).await, 2);
}

#[tokio::test]
async fn an_upload_that_breaks_off_or_is_refused_leaves_its_key_free() {
    let app = TestApp::with(&[("knowledge.max_document_bytes", "1000")]).await;
    let path = source(&app).await;
    let half = &form("b", &[("a.md", "# A\n\nText of a.")])[..60];
    let broken = app.post(&path).header("idempotency-key", "k").body("multipart/form-data; boundary=b", half.to_owned()).send().await;
    assert_eq!(broken.status, 400, "{}", broken.text());
    let nowhere = upload(&app, "/api/v1/sources/src_01JD3V9M7Q4R8T2W6X0Y5Z1ABC/documents", "j", "b", &[("a.md", "text")]).await;
    assert_eq!(nowhere.status, 404);
    assert_eq!(upload(&app, &path, "k", "b", &[("a.md", "# A\n\nText of a.")]).await.status, 202);
    assert_eq!(upload(&app, &path, "j", "b", &[("b.md", "# B\n\nText of b.")]).await.status, 202);
    let large = "x".repeat(2000);
    let refused = upload(&app, &path, "l", "b", &[("c.md", &large)]).await;
    assert_eq!(refused.status, 413);
    let again = upload(&app, &path, "l", "c", &[("c.md", &large)]).await;
    assert_eq!(
        (again.status, again.header("idempotency-replayed"), &again.body),
        (413, "true", &refused.body),
        "read to its end and refused"
    );
    assert_eq!(documents(&app, &path).await, 2);
}
