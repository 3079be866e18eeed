//! The socket of the scripted provider: the operations of three providers at the paths where these serve them.

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
    extract::{DefaultBodyLimit, OriginalUri, Path, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
    serve::ListenerExt,
};
use futures_util::stream;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::{
    asked::{Asked, words},
    bedrock::{self, BedrockWire},
    gemini::{self, GeminiWire},
    openai::{self, OpenAiWire},
    plan::{self, Answer, Step, Wire},
    rules::{Behaviour, Fault, Rule, Script},
};
use crate::{
    bedrock::sign::{self, Keys, Signed},
    openai::wire::WireUsage,
};

/// Bytes of a request.
const MAX_REQUEST: usize = 32 * 1024 * 1024;

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
            .route("/v1/embeddings", post(embed))
            .route("/model/{model}/{operation}", post(bedrock_operation))
            .route("/v1beta/models", get(gemini_models))
            .route("/v1beta/models/{operation}", post(gemini_operation))
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

    /// Its address without a path, as Bedrock's.
    pub fn root(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Its address as Gemini's.
    pub fn gemini_url(&self) -> String {
        format!("http://{}/v1beta", self.address)
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

async fn models(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    if let Some(refused) = shared.refuse_key(&OpenAiWire, bearer(&headers)) {
        return refused;
    }
    Json(json!({"object": "list", "data": [{"id": MODEL, "object": "model", "created": 0, "owned_by": "astrolabe"}]})).into_response()
}

async fn gemini_models(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    if let Some(refused) = shared.refuse_key(&GeminiWire, google_key(&headers)) {
        return refused;
    }
    Json(json!({"models": [{"name": format!("models/{MODEL}"), "supportedGenerationMethods": ["generateContent"]}]})).into_response()
}

async fn complete(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    let refused = shared.refuse_key(&OpenAiWire, bearer(&headers));
    reply(&shared, &OpenAiWire, &body, refused, None, None).await
}

async fn embed(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    let refused = shared.refuse_key(&OpenAiWire, bearer(&headers));
    vectors(&shared, &OpenAiWire, &body, refused, openai::embeddings)
}

async fn bedrock_operation(
    State(shared): State<Arc<Shared>>,
    Path((model, operation)): Path<(String, String)>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let wire = &BedrockWire;
    let key = match headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok()) {
        Some(text) if text.starts_with("AWS4-HMAC-SHA256 ") => {
            let right = is_signed(text, &shared.script.api_key, uri.path(), &headers, &body);
            if right { shared.script.api_key.as_str() } else { "a signature that does not fit" }
        }
        _ => bearer(&headers),
    };
    let refused = shared.refuse_key(wire, key);
    match operation.as_str() {
        "converse" => reply(&shared, wire, &body, refused, Some(&model), Some(false)).await,
        "converse-stream" => reply(&shared, wire, &body, refused, Some(&model), Some(true)).await,
        "invoke" => vectors(&shared, wire, &body, refused, bedrock::invoke),
        _ => refuse(wire, 404, "there is no such operation"),
    }
}

async fn gemini_operation(State(shared): State<Arc<Shared>>, Path(operation): Path<String>, headers: HeaderMap, body: Bytes) -> Response {
    let wire = &GeminiWire;
    let refused = shared.refuse_key(wire, google_key(&headers));
    match operation.rsplit_once(':') {
        Some((model, "generateContent")) => reply(&shared, wire, &body, refused, Some(model), Some(false)).await,
        Some((model, "streamGenerateContent")) => reply(&shared, wire, &body, refused, Some(model), Some(true)).await,
        Some((_, "batchEmbedContents")) => vectors(&shared, wire, &body, refused, gemini::embeddings),
        _ => refuse(wire, 404, "there is no such operation"),
    }
}

fn bearer(headers: &HeaderMap) -> &str {
    headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok()).and_then(|v| v.strip_prefix("Bearer ")).unwrap_or("")
}

fn google_key(headers: &HeaderMap) -> &str {
    headers.get("x-goog-api-key").and_then(|v| v.to_str().ok()).unwrap_or("")
}

/// Whether `authorization` is the signature of the request with `secret`.
fn is_signed(authorization: &str, secret: &str, path: &str, headers: &HeaderMap, body: &[u8]) -> bool {
    let field = |name: &str| authorization.split([' ', ',']).find_map(|part| part.trim().strip_prefix(name)).unwrap_or("");
    let credential: Vec<&str> = field("Credential=").split('/').collect();
    let [access_key_id, _, region, service, "aws4_request"] = credential[..] else {
        return false;
    };
    let value = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or("");
    let signed_headers: Vec<(&str, &str)> = field("SignedHeaders=").split(';').map(|name| (name, value(name))).collect();
    if !["host", "x-amz-date"].iter().all(|name| signed_headers.iter().any(|(signed, _)| signed == name)) {
        return false;
    }
    let keys = Keys {
        access_key_id: access_key_id.to_owned(),
        secret_access_key: astrolabe_kernel::config::Secret::new(secret),
        session_token: astrolabe_kernel::config::Secret::default(),
    };
    let signed = Signed { method: "POST", path, headers: &signed_headers, body, region, service, date: value("x-amz-date") };
    sign::authorization(&keys, &signed).split("Signature=").nth(1) == Some(field("Signature="))
}

/// Answers a request for vectors.
fn vectors(
    shared: &Arc<Shared>,
    wire: &dyn Wire,
    body: &[u8],
    refused: Option<Response>,
    answer: fn(&Value) -> std::result::Result<Value, String>,
) -> Response {
    if let Some(refused) = refused {
        return refused;
    }
    let body: Value = match serde_json::from_slice(body) {
        Ok(body) => body,
        Err(e) => return refuse(wire, 400, &format!("the request is not JSON: {e}")),
    };
    shared.keep(&body);
    match answer(&body) {
        Ok(answer) => Json(answer).into_response(),
        Err(e) => refuse(wire, 400, &e),
    }
}

/// Answers a request for a reply. Model and streaming stand in the path of some formats.
async fn reply(
    shared: &Arc<Shared>,
    wire: &dyn Wire,
    body: &[u8],
    refused: Option<Response>,
    model: Option<&str>,
    stream: Option<bool>,
) -> Response {
    let number = shared.requests.fetch_add(1, Ordering::SeqCst) + 1;
    if let Some(refused) = refused {
        return refused;
    }
    let body: Value = match serde_json::from_slice(body) {
        Ok(body) => body,
        Err(e) => return refuse(wire, 400, &format!("the request is not JSON: {e}")),
    };
    shared.keep(&body);
    let asked = match wire.parse(&body) {
        Ok(asked) => asked,
        Err(e) => return refuse(wire, 400, &e),
    };
    let Some((rule, captures)) = shared.choose(&asked) else {
        return refuse(wire, 400, "no rule of the script fits the last message of the user");
    };
    let mut text = rule.answer.fill(&asked, &captures);
    let behaviour = &rule.behaviour;
    if let Some(field) = behaviour.refuses.iter().find(|f| asked.fields.contains(f)) {
        return refuse(wire, 400, &format!("Unsupported parameter: '{field}' is not supported with this model."));
    }
    if behaviour.delay_ms > 0 {
        tokio::time::sleep(Duration::from_millis(behaviour.delay_ms)).await;
    }
    if behaviour.fault == Some(Fault::Hang) && behaviour.fault_after == 0 {
        let _open = Open::new(shared);
        shared.lifecycle.stopping().await;
    }
    if let Some(status) = behaviour.status {
        return scripted_error(wire, status, &text, behaviour);
    }
    if behaviour.fault == Some(Fault::Html) {
        return ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], "<html><body>It works!</body></html>").into_response();
    }
    let mut calls: Vec<(String, String)> =
        rule.calls.iter().map(|(name, arguments)| (name.clone(), arguments.fill(&asked, &captures))).collect();
    // A model that has to call a tool gives its answer as the arguments.
    if let Some(forced) = asked.forced.as_ref().filter(|_| calls.is_empty() && text.starts_with('{')) {
        calls.push((forced.clone(), std::mem::take(&mut text)));
    }
    let counted = WireUsage {
        prompt_tokens: asked.words(),
        completion_tokens: words(&text) + calls.iter().map(|(_, arguments)| words(arguments)).sum::<u64>(),
        ..WireUsage::default()
    };
    let asked_model = model.unwrap_or(&asked.model);
    let answer = Answer {
        number,
        model: if asked_model.is_empty() { MODEL } else { asked_model },
        text: &text,
        calls: &calls,
        usage: behaviour.usage.unwrap_or(counted),
        include_usage: asked.include_usage,
    };
    let streams = stream.unwrap_or(asked.stream) && !behaviour.never_stream;
    let (kind, steps) = if streams {
        (wire.stream_type(), plan::stream(wire, behaviour, &answer))
    } else {
        ("application/json", plan::whole(wire, behaviour, &answer))
    };
    let kind = behaviour.content_type.clone().unwrap_or_else(|| kind.to_owned());
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-cache".to_owned())], body_of(shared, steps)).into_response()
}

fn scripted_error(wire: &dyn Wire, status: u16, text: &str, behaviour: &Behaviour) -> Response {
    let message = if text.is_empty() { "the script says so" } else { text };
    let mut response = refuse(wire, status, message);
    if let Some(value) = behaviour.retry_after.as_deref().and_then(|v| v.parse().ok()) {
        response.headers_mut().insert(header::RETRY_AFTER, value);
    }
    response
}

fn refuse(wire: &dyn Wire, status: u16, message: &str) -> Response {
    let code = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (code, Json(wire.error(status, message))).into_response();
    if let Some(name) = wire.error_name(status) {
        response.headers_mut().insert("x-amzn-errortype", header::HeaderValue::from_static(name));
    }
    response
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
                Step::Murmur(_) if open.0.lifecycle.is_stopping() => return None,
                Step::Murmur(comment) => {
                    tokio::time::sleep(MURMUR).await;
                    steps.push_front(Step::Murmur(comment.clone()));
                    return Some((Ok(comment), (steps, open)));
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
    fn refuse_key(&self, wire: &dyn Wire, sent: &str) -> Option<Response> {
        let right = self.script.api_key.is_empty() || sent == self.script.api_key;
        // Like the providers that quote the key, so that we prove that it goes no further.
        (!right).then(|| refuse(wire, 401, &format!("incorrect API key provided: {sent}")))
    }

    fn keep(&self, body: &Value) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(body.clone());
    }

    /// The first rule that fits and is not used up, with what it captured. Choosing it uses it.
    fn choose(&self, asked: &Asked) -> Option<(&Rule, Vec<String>)> {
        let (user, after_tools) = (asked.user(), asked.results().is_some());
        let lower = user.to_lowercase();
        let mut served = self.served.lock().unwrap_or_else(PoisonError::into_inner);
        self.script.rules.iter().zip(served.iter_mut()).find_map(|(rule, served)| {
            if rule.times.is_some_and(|times| *served >= times) || (rule.after_tools && !after_tools) {
                return None;
            }
            let captures = rule.fit(&user, &lower)?;
            *served += 1;
            Some((rule, captures))
        })
    }
}
