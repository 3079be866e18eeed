//! A request to the router and its answer.

use astrolabe_kernel::http::Peer;
use axum::{
    Router,
    body::{Body, Bytes},
    http::{HeaderMap, Method, Request, header},
};
use http_body_util::BodyExt;
use serde_json::Value;
use tower::ServiceExt;

/// A request that has not been sent.
pub struct Call {
    router: Router,
    request: axum::http::request::Builder,
    body: Body,
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Reply {
    /// The status as a number.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Call {
    /// A request with the `Host` of a local caller.
    pub fn new(router: Router, method: Method, path: &str) -> Self {
        let request = Request::builder().method(method).uri(path).header(header::HOST, "127.0.0.1:8080");
        Self { router, request, body: Body::empty() }
    }

    /// Adds a header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.request = self.request.header(name, value);
        self
    }

    /// Sets a header to any bytes that a header may have, in the place of what was there.
    pub fn bytes(mut self, name: &'static str, value: &[u8]) -> Self {
        if let Some(headers) = self.request.headers_mut() {
            headers.insert(name, axum::http::HeaderValue::from_bytes(value).unwrap());
        }
        self
    }

    /// Replaces the `Host`.
    pub fn host(mut self, host: &str) -> Self {
        if let Some(headers) = self.request.headers_mut() {
            headers.insert(header::HOST, host.parse().unwrap());
        }
        self
    }

    /// Lets it come over a socket from this address.
    pub fn from(mut self, address: &str) -> Self {
        self.request = self.request.extension(Peer(address.parse().unwrap()));
        self
    }

    /// Signs in with a token.
    pub fn token(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    /// Sets a JSON body.
    pub fn json(self, value: Value) -> Self {
        self.body("application/json", Bytes::from(value.to_string()))
    }

    /// Sets a body of any kind.
    pub fn body(mut self, content_type: &str, body: impl Into<Bytes>) -> Self {
        self.body = Body::from(body.into());
        self.header("content-type", content_type)
    }

    /// Sends it and reads the whole answer.
    pub async fn send(self) -> Reply {
        self.open().await.read().await
    }

    /// Sends it and waits for the answer's head.
    pub async fn open(self) -> Opened {
        let request = self.request.body(self.body).unwrap();
        Opened(self.router.oneshot(request).await.unwrap())
    }
}

/// An answer whose body is still to come.
pub struct Opened(axum::response::Response);

impl Opened {
    /// The status as a number.
    pub fn status(&self) -> u16 {
        self.0.status().as_u16()
    }

    /// Reads the body to its end.
    pub async fn read(self) -> Reply {
        let (parts, body) = self.0.into_parts();
        Reply { status: parts.status.as_u16(), headers: parts.headers, body: body.collect().await.unwrap().to_bytes() }
    }
}

impl Reply {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// All values of a header.
    pub fn headers(&self, name: &str) -> Vec<String> {
        self.headers.get_all(name).iter().map(|v| v.to_str().unwrap().to_owned()).collect()
    }

    /// A header as text, empty when it is not there.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or("")
    }

    /// The public code of a problem.
    pub fn code(&self) -> String {
        let body = self.json();
        // Models answer in OpenAI's shape.
        body["code"].as_str().or(body["error"]["code"].as_str()).unwrap_or("").to_owned()
    }
}
