//! The socket of the scripted provider: `GET /v1/models` and `POST /v1/chat/completions`, as OpenAI serves them.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use astrolabe_kernel::{Error, Lifecycle, Result, error::code};
use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
    serve::ListenerExt,
};
use futures_util::stream;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::{
    plan::{self, Answer, Step},
    rules::{Behaviour, Fault, Rule, Script},
};
use crate::{
    chat::{Message, Part, Role},
    openai::wire::WireUsage,
};

/// Bytes of a request.
const MAX_REQUEST: usize = 8 * 1024 * 1024;

/// Between two comments of a server that otherwise hangs.
const MURMUR: Duration = Duration::from_millis(10);

/// Requests that are kept to be looked at.
const KEPT: usize = 32;

/// The name that `GET /v1/models` lists; every other name is served too.
const MODEL: &str = "scripted";

/// A running scripted provider. It stops with the lifecycle that it was started under.
#[derive(Clone)]
pub struct ScriptedServer {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    script: Script,
    /// How often each rule has served.
    served: Mutex<Vec<u32>>,
    requests: AtomicU64,
    kept: Mutex<VecDeque<Value>>,
    /// Answers that are being sent.
    open: watch::Sender<usize>,
    lifecycle: Lifecycle,
}

impl ScriptedServer {
    /// Serves `script` at `address`; port 0 takes a free one.
    ///
    /// # Errors
    /// `address_in_use` when the address cannot be listened on.
    pub async fn start(script: Script, address: SocketAddr, lifecycle: &Lifecycle) -> Result<Self> {
        let unusable = |e| Error::new(code::ADDRESS_IN_USE, format!("the scripted model cannot listen on {address}")).with_internal(e);
        let listener = tokio::net::TcpListener::bind(address).await.map_err(unusable)?;
        let address = listener.local_addr()?;
        // Without it the kernel holds a small event back until the one before is acknowledged, up to 40 ms.
        let listener = listener.tap_io(|socket| {
            if let Err(e) = socket.set_nodelay(true) {
                tracing::debug!(error = %e, "the socket keeps its delay");
            }
        });
        let shared = Arc::new(Shared {
            served: Mutex::new(vec![0; script.rules.len()]),
            script,
            requests: AtomicU64::new(0),
            kept: Mutex::default(),
            open: watch::Sender::new(0),
            lifecycle: lifecycle.clone(),
        });
        let app = Router::new()
            .route("/v1/models", get(models))
            .route("/v1/chat/completions", post(complete))
            .layer(DefaultBodyLimit::max(MAX_REQUEST))
            .with_state(Arc::clone(&shared));
        let life = lifecycle.clone();
        lifecycle.spawn("scripted-model", async move {
            let stop = async move { life.stopping().await };
            if let Err(e) = axum::serve(listener, app).with_graceful_shutdown(stop).await {
                tracing::error!(error = %e, "the scripted model has stopped");
            }
        });
        Ok(Self { address, shared })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What to configure as `model.base_url`.
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// How many completions were asked for.
    pub fn requests(&self) -> u64 {
        self.shared.requests.load(Ordering::SeqCst)
    }

    /// The bodies of the last completions that were asked for, at most 32, oldest first.
    pub fn bodies(&self) -> Vec<Value> {
        self.shared.kept.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// Waits until `count` answers are being sent. An answer ends with its last byte, or when the caller hangs up.
    pub async fn until_open(&self, count: usize) {
        // The sender lives in `shared`, so the channel cannot close while we wait.
        let _ = self.shared.open.subscribe().wait_for(|open| *open == count).await;
    }
}

impl std::fmt::Debug for ScriptedServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ScriptedServer({})", self.address)
    }
}

#[derive(Deserialize)]
struct Request {
    #[serde(default)]
    model: String,
    messages: Vec<Said>,
    #[serde(default)]
    stream: bool,
    #[serde(default)]
    stream_options: Options,
}

#[derive(Deserialize)]
struct Said {
    role: Role,
    content: String,
}

#[derive(Default, Deserialize)]
struct Options {
    #[serde(default)]
    include_usage: bool,
}

async fn models(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    if let Some(refused) = shared.refuse_key(&headers) {
        return refused;
    }
    Json(json!({"object": "list", "data": [{"id": MODEL, "object": "model", "created": 0, "owned_by": "astrolabe"}]})).into_response()
}

async fn complete(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    let number = shared.requests.fetch_add(1, Ordering::SeqCst) + 1;
    if let Some(refused) = shared.refuse_key(&headers) {
        return refused;
    }
    let mut fields = Vec::new();
    let request: Request = match serde_json::from_slice::<Value>(&body) {
        Ok(value) => {
            fields.extend(value.as_object().into_iter().flat_map(|o| o.keys().cloned()));
            let mut kept = shared.kept.lock().unwrap_or_else(PoisonError::into_inner);
            if kept.len() == KEPT {
                kept.pop_front();
            }
            kept.push_back(value.clone());
            drop(kept);
            match serde_json::from_value(value) {
                Ok(request) => request,
                Err(e) => return refuse(StatusCode::BAD_REQUEST, &format!("the request has not the expected shape: {e}")),
            }
        }
        Err(e) => return refuse(StatusCode::BAD_REQUEST, &format!("the request is not JSON: {e}")),
    };
    let user = request.messages.iter().rev().find(|m| m.role == Role::User).map_or("", |m| m.content.as_str());
    let Some((rule, captures)) = shared.choose(user) else {
        return refuse(StatusCode::BAD_REQUEST, "no rule of the script fits the last message of the user");
    };
    let messages: Vec<Message> =
        request.messages.iter().map(|m| Message { role: m.role, content: vec![Part::Text(m.content.clone())] }).collect();
    let text = rule.answer.fill(&messages, user, &captures);
    let behaviour = &rule.behaviour;
    if let Some(field) = behaviour.refuses.iter().find(|f| fields.contains(f)) {
        return refuse(StatusCode::BAD_REQUEST, &format!("Unsupported parameter: '{field}' is not supported with this model."));
    }
    if behaviour.delay_ms > 0 {
        tokio::time::sleep(Duration::from_millis(behaviour.delay_ms)).await;
    }
    if behaviour.fault == Some(Fault::Hang) && behaviour.fault_after == 0 {
        let _open = Open::new(&shared);
        shared.lifecycle.stopping().await;
    }
    if let Some(status) = behaviour.status {
        return scripted_error(status, &text, behaviour);
    }
    if behaviour.fault == Some(Fault::Html) {
        return ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], "<html><body>It works!</body></html>").into_response();
    }
    let words = |text: &str| text.split_whitespace().count() as u64;
    let counted = WireUsage {
        prompt_tokens: request.messages.iter().map(|m| words(&m.content)).sum(),
        completion_tokens: words(&text),
        ..WireUsage::default()
    };
    let answer = Answer {
        number,
        model: if request.model.is_empty() { MODEL } else { &request.model },
        text: &text,
        usage: behaviour.usage.unwrap_or(counted),
        include_usage: request.stream_options.include_usage,
    };
    let streams = request.stream && !behaviour.never_stream;
    let (kind, steps) = if streams {
        ("text/event-stream", plan::stream(behaviour, &answer))
    } else {
        ("application/json", plan::whole(behaviour, &answer))
    };
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-cache")], body_of(&shared, steps)).into_response()
}

fn scripted_error(status: u16, text: &str, behaviour: &Behaviour) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let message = if text.is_empty() { "the script says so" } else { text };
    let mut response = refuse(status, message);
    if let Some(value) = behaviour.retry_after.as_deref().and_then(|v| v.parse().ok()) {
        response.headers_mut().insert(header::RETRY_AFTER, value);
    }
    response
}

fn refuse(status: StatusCode, message: &str) -> Response {
    let kind = match status.as_u16() {
        401 => "authentication_error",
        429 => "rate_limit_error",
        400..=499 => "invalid_request_error",
        _ => "server_error",
    };
    (status, Json(plan::error(message, kind))).into_response()
}

/// A body that goes through the steps; it counts as open until it ends or is dropped.
fn body_of(shared: &Arc<Shared>, steps: Vec<Step>) -> Body {
    let state = (VecDeque::from(steps), Open::new(shared));
    Body::from_stream(stream::unfold(state, |(mut steps, open)| async move {
        loop {
            match steps.pop_front()? {
                Step::Send(bytes) => {
                    // Gives the socket a turn, so that what is cut into runs is also sent in runs.
                    tokio::task::yield_now().await;
                    return Some((Ok(bytes), (steps, open)));
                }
                Step::Pause(pause) => tokio::time::sleep(pause).await,
                Step::Hang => open.0.lifecycle.stopping().await,
                Step::Murmur if open.0.lifecycle.is_stopping() => return None,
                Step::Murmur => {
                    tokio::time::sleep(MURMUR).await;
                    steps.push_front(Step::Murmur);
                    return Some((Ok(Bytes::from_static(b": working\n\n")), (steps, open)));
                }
                Step::Cut => {
                    // What was sent before leaves the server's buffer while the body waits, and would be lost with it otherwise.
                    tokio::task::yield_now().await;
                    return Some((Err(std::io::Error::other("the script cuts the connection")), (steps, open)));
                }
            }
        }
    }))
}

/// Counts an answer that is being sent.
struct Open(Arc<Shared>);

impl Open {
    fn new(shared: &Arc<Shared>) -> Self {
        shared.open.send_modify(|open| *open += 1);
        Self(Arc::clone(shared))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.send_modify(|open| *open -= 1);
    }
}

impl Shared {
    fn refuse_key(&self, headers: &HeaderMap) -> Option<Response> {
        let sent = headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok()).and_then(|v| v.strip_prefix("Bearer ")).unwrap_or("");
        let right = self.script.api_key.is_empty() || sent == self.script.api_key;
        // Like the providers that quote the key, so that we prove that it goes no further.
        (!right).then(|| refuse(StatusCode::UNAUTHORIZED, &format!("incorrect API key provided: {sent}")))
    }

    /// The first rule that fits and is not used up, with what it captured. Choosing it uses it.
    fn choose(&self, user: &str) -> Option<(&Rule, Vec<String>)> {
        let mut served = self.served.lock().unwrap_or_else(PoisonError::into_inner);
        self.script.rules.iter().zip(served.iter_mut()).find_map(|(rule, served)| {
            if rule.times.is_some_and(|times| *served >= times) {
                return None;
            }
            let captures = rule.fit(user)?;
            *served += 1;
            Some((rule, captures))
        })
    }
}
