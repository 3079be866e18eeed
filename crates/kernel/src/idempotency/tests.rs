use std::sync::atomic::{AtomicU32, Ordering};

use axum::{Extension, Router, http::HeaderMap, http::Request, middleware::from_fn_with_state, response::IntoResponse, routing::post};
use tower::ServiceExt;

use super::*;
use crate::{
    http::{Json, Observer, observe},
    testing::TestKernel,
};

/// A router whose handlers count how often they ran; `answer` tells the status that `/status` has.
fn router(test: &TestKernel, calls: &Arc<AtomicU32>) -> Router {
    let keys = Keys { kernel: test.kernel.clone(), time_limit: Duration::from_secs(10) };
    let observer = Observer { clock: test.kernel.clock.clone(), random: test.kernel.random.clone(), time_limit: Duration::from_secs(10) };
    let count = calls.clone();
    let key = move || async move {
        let n = count.fetch_add(1, Ordering::SeqCst);
        let body = serde_json::json!({"id": format!("key_{n}"), "secret": "astro_x"});
        (StatusCode::CREATED, [("location", "/keys/0"), ("etag", "\"1\""), ("set-cookie", "a=b")], ShownOnce(&["/secret"]), Json(body))
    };
    let count = calls.clone();
    let status = move |headers: HeaderMap| async move {
        count.fetch_add(1, Ordering::SeqCst);
        match headers["x-answer"].to_str().unwrap() {
            "rate_limited" => Error::new(code::RATE_LIMITED, "wait").into_response(),
            "overloaded" => Error::new(code::OVERLOADED, "wait").into_response(),
            "forbidden" => Error::forbidden("no").into_response(),
            "conflict" => Error::new(code::CONFLICT, "no").into_response(),
            "not_found" => Error::not_found("thing").into_response(),
            "see_other" => (StatusCode::SEE_OTHER, [("location", "/there")]).into_response(),
            _ => (StatusCode::OK, Body::from(vec![0u8, 159, 146, 150])).into_response(),
        }
    };
    Router::new()
        .route("/keys", post(key))
        .route("/status", post(status))
        .layer(from_fn_with_state(keys, once))
        .layer(Extension(Principal::local_admin()))
        .layer(from_fn_with_state(observer, observe))
}

async fn send(router: &Router, path: &str, answer: &str) -> (StatusCode, HeaderMap, Bytes) {
    let request = Request::builder().method("POST").uri(path).header("idempotency-key", answer).header("x-answer", answer);
    let response = router.clone().oneshot(request.body(Body::from("{}")).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    (parts.status, parts.headers, body.collect().await.unwrap().to_bytes())
}

#[tokio::test]
async fn what_is_shown_once_is_not_in_the_repeat_and_not_in_the_database() {
    let test = TestKernel::new(&[]).await;
    let calls = Arc::default();
    let router = router(&test, &calls);
    let (status, headers, body) = send(&router, "/keys", "k").await;
    assert_eq!((status, &body[..]), (StatusCode::CREATED, &br#"{"id":"key_0","secret":"astro_x"}"#[..]));
    assert!(!headers.contains_key("idempotency-omitted"));
    let (status, headers, body) = send(&router, "/keys", "k").await;
    assert_eq!((status, &body[..]), (StatusCode::CREATED, &br#"{"id":"key_0"}"#[..]));
    for (name, value) in [
        ("idempotency-replayed", "true"),
        ("idempotency-omitted", "/secret"),
        ("location", "/keys/0"),
        ("etag", "\"1\""),
        ("content-type", "application/json"),
    ] {
        assert_eq!(headers[name], value, "{name}");
    }
    assert!(!headers.contains_key("set-cookie"), "a cookie is a secret");
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    let mut tx = test.kernel.db.write_all().await.unwrap();
    let kept: Vec<u8> = tx.one("SELECT body FROM idempotency_keys", &[]).await.unwrap();
    assert!(!String::from_utf8_lossy(&kept).contains("astro_x"));
}

#[tokio::test]
async fn an_answer_about_the_request_is_kept_byte_for_byte_and_one_about_the_moment_is_not() {
    let test = TestKernel::new(&[]).await;
    let calls: Arc<AtomicU32> = Arc::default();
    let router = router(&test, &calls);
    for (answer, kept) in [
        ("ok", true),
        ("see_other", true),
        ("not_found", true),
        ("conflict", true),
        ("forbidden", false),
        ("rate_limited", false),
        ("overloaded", false),
    ] {
        let before = calls.load(Ordering::SeqCst);
        let (status, _, body) = send(&router, "/status", answer).await;
        let (again, headers, repeated) = send(&router, "/status", answer).await;
        assert_eq!(status, again, "{answer}");
        assert_eq!((headers.contains_key("idempotency-replayed"), body == repeated), (kept, kept), "{answer}");
        assert_eq!(calls.load(Ordering::SeqCst) - before, if kept { 1 } else { 2 }, "{answer}");
    }
}
