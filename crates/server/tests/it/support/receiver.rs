//! A small HTTP service of somebody else, for the tools that call one.

use std::sync::{Arc, Mutex};

use astrolabe_kernel::Lifecycle;
use axum::{
    Json, Router,
    body::Bytes,
    extract::{Request, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use http_body_util::BodyExt;
use serde_json::Value;
use tokio::sync::Semaphore;

/// What the service was sent.
#[derive(Debug, Clone)]
pub struct Received {
    /// The method.
    pub method: String,
    /// Path and query, decoded as far as `+` and `%20` go.
    pub uri: String,
    /// The headers.
    pub headers: axum::http::HeaderMap,
    /// The body as JSON; null when it is none.
    pub body: Value,
}

impl Received {
    /// A header as text, empty when it is not there.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or("")
    }
}

/// The service; ends with the value.
pub struct Receiver {
    /// `http://127.0.0.1:port`.
    pub url: String,
    shared: Arc<Shared>,
    lifecycle: Lifecycle,
}

struct Shared {
    received: Mutex<Vec<Received>>,
    arrivals: Semaphore,
    answers: Semaphore,
    status: StatusCode,
    answer: Value,
}

impl Receiver {
    /// A service that answers everything with this.
    pub async fn start(answer: Value) -> Self {
        Self::open(200, answer, Semaphore::MAX_PERMITS).await
    }

    /// A service that refuses everything.
    pub async fn refusing(status: u16) -> Self {
        Self::open(status, Value::Null, Semaphore::MAX_PERMITS).await
    }

    /// A service that does what it is told and keeps its answers to itself until [`Receiver::let_answer`].
    pub async fn silent(answer: Value) -> Self {
        Self::open(200, answer, 0).await
    }

    async fn open(status: u16, answer: Value, answers: usize) -> Self {
        let lifecycle = Lifecycle::new();
        let shared = Arc::new(Shared {
            received: Mutex::default(),
            arrivals: Semaphore::new(0),
            answers: Semaphore::new(answers),
            status: StatusCode::from_u16(status).unwrap(),
            answer,
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(receive).with_state(shared.clone());
        lifecycle.spawn("receiver", async move { axum::serve(listener, router).await.unwrap() });
        Self { url, shared, lifecycle }
    }

    /// Everything it was sent, oldest first.
    pub fn received(&self) -> Vec<Received> {
        self.shared.received.lock().unwrap().clone()
    }

    /// Waits until it was sent something that nobody waited for yet.
    pub async fn arrival(&self) {
        self.shared.arrivals.acquire().await.unwrap().forget();
    }

    /// Lets a silent service answer from now on.
    pub fn let_answer(&self) {
        self.shared.answers.add_permits(Semaphore::MAX_PERMITS / 2);
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.lifecycle.begin_stop();
        self.shared.answers.close();
    }
}

async fn receive(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let bytes: Bytes = body.collect().await.unwrap().to_bytes();
    shared.received.lock().unwrap().push(Received {
        method: parts.method.to_string(),
        uri: parts.uri.to_string().replace('+', " ").replace("%20", " "),
        headers: parts.headers,
        body: serde_json::from_slice(&bytes).unwrap_or(Value::Null),
    });
    shared.arrivals.add_permits(1);
    match shared.answers.acquire().await {
        Ok(permit) => permit.forget(),
        Err(_) => return StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
    (shared.status, Json(shared.answer.clone())).into_response()
}
