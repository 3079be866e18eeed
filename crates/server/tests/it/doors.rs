//! What stands at the door of every request: limits of callers, addresses, origins, heads and slow ends of a connection.

use std::time::Duration;

use astrolabe_kernel::Principal;
use astrolabe_platform::sessions;
use astrolabe_server::listener::Limits;
use axum::http::Method;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::TestApp;

#[tokio::test]
async fn a_caller_over_its_limit_gets_a_problem_that_names_the_setting_and_nothing_is_done() {
    let app = TestApp::with(&[("limits.write_per_minute", "2")]).await;
    let make = |name: &str| app.post("/api/v1/sources").header("idempotency-key", name).json(json!({ "name": name })).send();
    let first = make("a").await;
    assert_eq!(first.status, 201);
    assert_eq!(first.header("ratelimit-policy"), "\"write\";q=2;w=60, \"tenant-write\";q=60000;w=60");
    assert!(first.header("ratelimit").starts_with("\"write\";r=1;t=30, "), "{}", first.header("ratelimit"));
    assert_eq!(make("b").await.status, 201);
    let refused = make("c").await;
    assert_eq!((refused.status, refused.code().as_str(), refused.header("retry-after")), (429, "rate_limited", "30"));
    assert_eq!((refused.header("content-type"), refused.header("ratelimit")), ("application/problem+json", "\"write\";r=0;t=60"));
    assert!(refused.json()["detail"].as_str().unwrap().contains("limits.write_per_minute"));
    let listed = app.get("/api/v1/sources").send().await;
    assert_eq!(listed.json()["items"].as_array().unwrap().len(), 2, "reading has a limit of its own");
    assert!(listed.header("ratelimit").starts_with("\"read\";r=59999;"));
    assert_eq!(app.get("/api/v1/no/such").send().await.header("ratelimit-policy").split(';').next(), Some("\"read\""));
    app.advance(Duration::from_secs(30));
    assert_eq!(make("c").await.status, 201, "a refused request does not use up its key");
}

#[tokio::test]
async fn attempts_to_sign_in_are_counted_by_the_address_that_trusted_proxies_tell() {
    let app = TestApp::with(&[("limits.sign_in_per_minute", "2"), ("server.trusted_proxies", "10.0.0.0/8")]).await;
    let attempt = |peer: &'static str, forwarded: &'static str| {
        app.anonymous(Method::GET, "/signin?code=wrong").from(peer).header("x-forwarded-for", forwarded).send()
    };
    assert_eq!(attempt("10.0.0.1", "198.51.100.1").await.status, 401);
    assert_eq!(attempt("10.0.0.2", "203.0.113.77, 198.51.100.1").await.status, 401);
    let refused = attempt("10.0.0.1", "198.51.100.1").await;
    assert_eq!((refused.status, refused.code().as_str(), refused.header("retry-after")), (429, "rate_limited", "30"));
    assert_eq!(attempt("10.0.0.1", "198.51.100.2").await.status, 401, "another client of the same proxy");
    for (n, forwarded) in ["1.1.1.1", "2.2.2.2", "3.3.3.3"].into_iter().enumerate() {
        let status = attempt("198.51.100.9", forwarded).await.status;
        assert_eq!(status, if n < 2 { 401 } else { 429 }, "who is no trusted proxy cannot make addresses up");
    }
}

#[tokio::test]
async fn streams_beyond_the_limit_are_refused_until_one_ends() {
    let app = TestApp::with(&[("limits.streams_per_credential", "1")]).await;
    let (source, _) = app.ingested("s", "a.md", "# A\n\nText.").await;
    let path = format!("/api/v1/sources/{source}/events");
    let open = app.get(&path).open().await;
    let refused = app.get(&path).send().await;
    assert_eq!((refused.status, refused.code().as_str(), refused.header("retry-after")), (429, "rate_limited", "5"));
    assert!(refused.json()["detail"].as_str().unwrap().contains("limits.streams_per_credential"));
    let asked = app.post("/api/v1/ask").header("accept", "text/event-stream").json(json!({"question": "What is in A?"})).send().await;
    assert_eq!(asked.status, 429);
    assert_eq!(app.get("/api/v1/asks").send().await.json()["items"], json!([]), "nothing was begun whose stream was refused");
    drop(open);
    let asked = app.post("/api/v1/ask").header("accept", "text/event-stream").json(json!({"question": "What is in A?"})).send().await;
    assert_eq!(asked.events().last().unwrap().kind, "ask.completed", "and one that is read to its end gives its place back");
    drop(app.get(&path).open().await);
}

#[tokio::test]
async fn every_answer_carries_the_headers_that_keep_a_browser_from_what_the_page_does_not_need() {
    let app = TestApp::with(&[("server.public_url", "https://docs.example.com")]).await;
    for path in ["/", "/docs", "/healthz", "/api/v1/me", "/api/v1/no/such", "/signin?code=a"] {
        let reply = app.anonymous(Method::GET, path).send().await;
        let policy = reply.header("content-security-policy");
        assert!(policy.contains("default-src 'self'") && policy.contains("frame-ancestors 'none'"), "{path}: {policy}");
        assert!(!policy.contains("unsafe-inline") && !policy.contains("unsafe-eval"), "{path}: {policy}");
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
            ("strict-transport-security", "max-age=31536000"),
        ] {
            assert_eq!(reply.header(name), value, "{path}: {name}");
        }
        assert!(reply.header("permissions-policy").contains("camera=()"), "{path}");
        assert_eq!(reply.header("access-control-allow-origin"), "", "{path}");
    }
}

#[tokio::test]
async fn a_page_elsewhere_may_use_the_api_when_it_is_listed_and_then_with_a_token_alone() {
    let app = TestApp::with(&[("server.cors_origins", "https://app.example.com")]).await;
    let preflight = |origin: &'static str| {
        let call = app.anonymous(Method::OPTIONS, "/api/v1/ask").header("origin", origin).header("access-control-request-method", "POST");
        call.header("access-control-request-headers", "authorization,content-type,idempotency-key").send()
    };
    let allowed = preflight("https://app.example.com").await;
    assert_eq!((allowed.status, allowed.header("access-control-allow-origin")), (200, "https://app.example.com"));
    assert!(allowed.header("access-control-allow-headers").contains("idempotency-key"));
    assert_eq!(allowed.header("access-control-allow-credentials"), "");
    assert_eq!(preflight("https://evil.example").await.header("access-control-allow-origin"), "");
    let post = |origin: &'static str| app.post("/api/v1/sources").header("origin", origin).json(json!({ "name": "s" })).send();
    let made = post("https://app.example.com").await;
    assert_eq!((made.status, made.header("access-control-allow-origin")), (201, "https://app.example.com"));
    assert!(made.header("access-control-expose-headers").contains("ratelimit"));
    assert_eq!(post("https://evil.example").await.code(), "invalid_origin");
    let cookie = signed_in(&app).await;
    let by_cookie = app
        .anonymous(Method::POST, "/api/v1/sources")
        .header("cookie", &cookie)
        .header("origin", "https://app.example.com")
        .json(json!({"name": "t"}));
    assert_eq!(by_cookie.send().await.code(), "invalid_origin");
    let closed = TestApp::new().await;
    let reply = closed.anonymous(Method::OPTIONS, "/api/v1/ask").header("origin", "https://app.example.com").send().await;
    assert_eq!((reply.status, reply.header("access-control-allow-origin")), (405, ""));
}

/// The cookie of a browser that opened a fresh link.
async fn signed_in(app: &TestApp) -> String {
    let code = sessions::new_code(&app.app.kernel, &Principal::local_admin()).await.unwrap();
    let reply = app.anonymous(Method::GET, &format!("/signin?code={}", code.expose())).send().await;
    reply.header("set-cookie").split(';').next().unwrap().to_owned()
}

#[tokio::test]
async fn a_write_by_cookie_says_which_page_it_comes_from() {
    let app = TestApp::new().await;
    let cookie = signed_in(&app).await;
    let post = |name: &str, headers: &'static [(&'static str, &'static str)]| {
        let call = app.anonymous(Method::POST, "/api/v1/sources").header("cookie", &cookie).json(json!({ "name": name }));
        headers.iter().fold(call, |call, (name, value)| call.header(name, value)).send()
    };
    let silent = post("a", &[]).await;
    assert_eq!((silent.status, silent.code().as_str()), (403, "invalid_origin"));
    assert_eq!(post("b", &[("x-requested-with", "astrolabe")]).await.status, 201);
    assert_eq!(post("c", &[("origin", "http://127.0.0.1:8080")]).await.status, 201);
    assert_eq!(post("d", &[("sec-fetch-site", "same-origin")]).await.status, 201);
    assert_eq!(post("e", &[("sec-fetch-site", "same-site"), ("x-requested-with", "astrolabe")]).await.status, 403);
}

async fn exchange(address: std::net::SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // The server may refuse and close before it has read everything.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn a_long_address_and_large_headers_are_refused_with_a_document_and_endless_ones_without() {
    let app = TestApp::new().await;
    let address = app.listen().await;
    let get = |path: String, headers: String| format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}\r\n");
    let many = |n: usize| (0..n).map(|i| format!("x-{i}: y\r\n")).collect::<String>();
    let large = |n: usize| format!("x: {}\r\n", "y".repeat(n));
    let long = |n: usize| format!("/healthz?{}", "a".repeat(n));
    let ok = exchange(address, get(long(32_000), many(90)).as_bytes()).await;
    assert!(ok.starts_with("HTTP/1.1 200"), "{ok}");
    for (request, status, code) in [
        (get(long(33_000), String::new()), "414", "url_too_long"),
        (get("/healthz".to_owned(), many(150)), "431", "headers_too_large"),
        (get("/healthz".to_owned(), large(33_000)), "431", "headers_too_large"),
        (get("/healthz".to_owned(), many(250)), "431", ""),
        (get("/healthz".to_owned(), large(300_000)), "431", ""),
        (get(long(70_000), String::new()), "4", ""),
    ] {
        let answer = exchange(address, request.as_bytes()).await;
        let refused = answer.starts_with(&format!("HTTP/1.1 {status}")) && answer.contains(code);
        // What is cut off while it is still being sent may end the connection before its answer is read.
        assert!(refused || (code.is_empty() && answer.is_empty()), "{status} {code}: {answer}");
    }
    let again = exchange(address, get("/healthz".to_owned(), String::new()).as_bytes()).await;
    assert!(again.starts_with("HTTP/1.1 200"));
}

/// The head of a signed-in request whose body is announced as longer than what is sent.
fn half(app: &TestApp, path: &str, kind: &str, body: &str) -> String {
    let token = app.app.token.expose();
    format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\ncontent-type: {kind}\r\ncontent-length: 1000\r\n\r\n{body}"
    )
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let app = TestApp::with(&[("server.body_timeout_s", "1")]).await;
    let (source, _) = app.ingested("s", "a.md", "# A\n\nText.").await;
    let address = app.listen().await;
    let upload = format!("/api/v1/sources/{source}/documents");
    for (path, kind, body) in [
        ("/api/v1/ask", "application/json", "{\"question\""),
        (
            upload.as_str(),
            "multipart/form-data; boundary=b",
            "--b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"b.md\"\r\n\r\nhalf",
        ),
    ] {
        let answer = exchange(address, half(&app, path, kind, body).as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("body_timeout"), "{path}: {answer}");
    }
}

#[tokio::test]
async fn a_stop_does_not_wait_its_grace_for_a_body_that_does_not_come() {
    let app = TestApp::new().await;
    let address = app.listen().await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(half(&app, "/api/v1/ask", "application/json", "{\"question\"").as_bytes()).await.unwrap();
    // The request has reached the server when another one on the same port has been answered.
    exchange(address, b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await;
    assert!(app.app.stop(Duration::from_secs(30)).await, "nothing is cut off, because nothing is waited for that long");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("shutting_down") && answer.contains("retry-after"), "{answer}");
}

#[tokio::test]
async fn a_reader_that_stands_still_loses_its_connection() {
    let app = TestApp::new().await;
    let limits = Limits { connections: 1, write_timeout: Duration::from_millis(50), ..app.app.config.server.connection_limits() };
    let address = app.listen_with(limits).await;
    let mut still = TcpStream::connect(address).await.unwrap();
    let request = "GET /api/openapi.json HTTP/1.1\r\nhost: localhost\r\n\r\n".repeat(200);
    still.write_all(request.as_bytes()).await.unwrap();
    // It holds the only place until the server gives it up.
    let mut refusals = 0;
    loop {
        let answer = exchange(address, b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await;
        if answer.starts_with("HTTP/1.1 200") {
            break;
        }
        refusals += 1;
    }
    assert!(refusals > 0, "it had the place");
    let mut rest = Vec::new();
    let _ = still.read_to_end(&mut rest).await;
    let whole = app.get("/api/openapi.json").send().await.body.len() * 200;
    assert!(rest.len() < whole, "the answer was cut off");
}
