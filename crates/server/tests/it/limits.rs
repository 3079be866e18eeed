//! What is too large, too slow or too much.

use std::time::Duration;

use astrolabe_server::listener::Limits;
use axum::http::Method;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::TestApp;

/// Sends bytes over a socket and reads until the server closes it.
async fn exchange(address: std::net::SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn a_body_above_the_limit_is_refused() {
    let app = TestApp::with(&[("server.max_body_bytes", "1000")]).await;
    let reply = app.post("/api/v1/sources").json(json!({"name": "a", "description": "x".repeat(1500)})).send().await;
    assert_eq!((reply.status, reply.code().as_str()), (413, "too_large"));
    assert!(reply.json()["detail"].as_str().unwrap().contains("server.max_body_bytes"));
}

#[tokio::test]
async fn a_body_that_is_announced_as_too_large_is_not_waited_for() {
    let app = TestApp::new().await;
    let address = app.listen().await;
    let token = app.app.token.expose();
    let head = format!(
        "POST /api/v1/sources HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\ncontent-length: 99999999999\r\n\r\n"
    );
    let answer = exchange(address, head.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("server.max_body_bytes"), "{answer}");
}

#[tokio::test]
async fn a_body_that_breaks_off_is_called_unreadable_with_a_key_or_without() {
    let app = TestApp::new().await;
    let address = app.listen().await;
    let token = app.app.token.expose();
    for key in ["", "idempotency-key: k\r\n"] {
        let head = format!(
            "POST /api/v1/ask HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nauthorization: Bearer {token}\r\n{key}\
             content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n"
        );
        let answer = exchange(address, head.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("could not be read"), "{key}: {answer}");
    }
}

#[tokio::test]
async fn a_request_over_a_socket_is_answered_and_a_head_that_is_too_large_is_not() {
    let app = TestApp::new().await;
    let address = app.listen().await;
    let answer = exchange(address, b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("{\"status\":\"ok\"}"), "{answer}");
    let mut large = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nx: ".to_vec();
    large.extend(std::iter::repeat_n(b'y', 70_000));
    let answer = exchange(address, &large).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
}

#[tokio::test]
async fn a_connection_above_the_limit_is_told_to_come_back() {
    let app = TestApp::new().await;
    let address = app.listen_with(Limits { connections: 1, ..app.app.config.server.connection_limits() }).await;
    let mut first = TcpStream::connect(address).await.unwrap();
    first.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut begun = [0u8; 12];
    first.read_exact(&mut begun).await.unwrap();
    assert_eq!(&begun, b"HTTP/1.1 200");
    let refused = exchange(address, b"").await;
    assert!(refused.starts_with("HTTP/1.1 503") && refused.contains("retry-after: 1") && refused.contains("overloaded"), "{refused}");
}

#[tokio::test]
async fn a_connection_that_says_nothing_is_closed() {
    let app = TestApp::new().await;
    let address = app.listen_with(Limits { header_timeout: Duration::from_millis(50), ..app.app.config.server.connection_limits() }).await;
    // Half a preface of HTTP/2 and half a head of HTTP/1.1: both end when the server closes them, or the test hangs.
    for half in [&b""[..], b"PRI * HT", b"GET / HTTP/1.1\r\nho"] {
        exchange(address, half).await;
    }
}

#[tokio::test]
async fn a_soft_stop_finishes_what_has_begun_and_takes_nothing_new() {
    let app = TestApp::new().await;
    let address = app.listen().await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream
        .write_all(b"POST /api/v1/sources HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 12\r\n")
        .await
        .unwrap();
    stream.write_all(format!("authorization: Bearer {}\r\n\r\n{{\"name\"", app.app.token.expose()).as_bytes()).await.unwrap();
    // The request has reached the server when another one on the same port has been answered.
    exchange(address, b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await;
    app.app.kernel.lifecycle.begin_stop();
    stream.write_all(b":\"a\"}").await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    assert!(app.app.stop(Duration::from_secs(30)).await, "nothing is left running");
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn an_open_stream_ends_with_the_process() {
    let app = TestApp::new().await;
    let (source, _) = app.ingested("s", "a.md", "# A\n\nText.").await;
    let address = app.listen().await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "GET /api/v1/sources/{source}/events HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\n\r\n",
        app.app.token.expose()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains("document.ready") {
        let mut piece = [0u8; 4096];
        let n = stream.read(&mut piece).await.unwrap();
        assert!(n > 0, "the stream ended early");
        seen.extend_from_slice(&piece[..n]);
    }
    let stopped = app.app.stop(Duration::from_secs(30));
    let mut rest = Vec::new();
    let (clean, _) = tokio::join!(stopped, stream.read_to_end(&mut rest));
    assert!(clean);
}

#[tokio::test]
async fn a_compressed_page_says_so_and_a_stream_is_never_compressed() {
    let app = TestApp::new().await;
    let docs = app.anonymous(Method::GET, "/docs").header("accept-encoding", "gzip").send().await;
    assert_eq!(docs.header("content-encoding"), "gzip");
    let plain = app.anonymous(Method::GET, "/docs").send().await;
    assert!(docs.body.len() * 4 < plain.body.len());
}
