//! The API that others call, in OpenAI's words: `/v1/chat/completions`, `/v1/embeddings`, `/v1/models`, `/v1/responses`.
//!
//! A request is read and checked once. A provider that speaks the same format gets the caller's bytes with only the model's name changed, and
//! the caller gets the provider's bytes; for other providers both are written anew. The call itself is made by [`crate::models`].

mod answer;
mod body;
mod chat;
mod embeddings;
mod encode;
pub mod errors;
pub(crate) mod forward;
mod models;
mod responses;
mod runs;
mod sources;
pub(crate) mod splice;

use std::sync::Arc;

use astrolabe_kernel::{
    Error, Kernel, Result, Timestamp,
    error::code,
    http::{Caller, Routes},
    routes,
};
use axum::{
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures_util::{StreamExt, future::BoxFuture, stream::BoxStream};

pub use self::sources::{Answerer, Asking};
use self::{responses::Responses, runs::Runs};
use crate::{chat::EmbedReply, models::Models};

/// Models of this process that embed: the name, and the function that does it.
#[derive(Clone)]
pub struct LocalEmbedder {
    /// The name that callers ask for; nothing while there is no model.
    pub name: Arc<dyn Fn() -> Option<String> + Send + Sync>,
    /// Embeds texts; `model_not_configured` while there is no model.
    pub embed: Arc<dyn Fn(Vec<String>) -> BoxFuture<'static, Result<EmbedReply>> + Send + Sync>,
}

/// The public API of models. Cheap to clone.
#[derive(Clone)]
pub struct Surface(Arc<Inner>);

struct Inner {
    kernel: Kernel,
    models: Models,
    embedders: Vec<LocalEmbedder>,
    answerer: Option<Answerer>,
    runs: Arc<Runs>,
    responses: Responses,
}

impl Surface {
    /// The API of these models, and of sources that answer as models do.
    pub fn new(kernel: Kernel, models: Models, embedders: Vec<LocalEmbedder>, answerer: Option<Answerer>) -> Self {
        Self(Arc::new(Inner { kernel, models, embedders, answerer, runs: Arc::default(), responses: Responses::default() }))
    }

    fn now_s(&self) -> i64 {
        self.0.kernel.now().micros() / 1_000_000
    }
}

/// The paths of the API. They keep their own idempotency keys, so they go beside the layer that keeps those of others.
pub fn routes(surface: Surface) -> Routes {
    Routes::new()
        .routes(routes!(chat::create_chat_completion))
        .routes(routes!(embeddings::create_embeddings))
        .routes(routes!(models::list_models))
        .routes(routes!(models::get_model))
        .routes(routes!(responses::routes::create_response))
        .routes(routes!(responses::routes::get_response))
        .routes(routes!(responses::routes::cancel_response))
        .with_state(surface)
}

/// What a caller gets.
pub(crate) enum Answer {
    /// A body of JSON.
    Whole(Bytes),
    /// Server-sent events; a failure is the last of them.
    Stream(BoxStream<'static, Bytes>),
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        match self {
            Self::Whole(body) => ([(header::CONTENT_TYPE, "application/json")], body).into_response(),
            Self::Stream(pieces) => {
                let headers = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-cache")];
                let body = axum::body::Body::from_stream(pieces.map(Ok::<_, std::convert::Infallible>));
                (headers, body).into_response()
            }
        }
    }
}

/// When the caller stops waiting, as the headers say: ours in seconds, or what OpenAI's clients send about their own time-outs.
fn deadline(headers: &HeaderMap, now: Timestamp) -> Result<Option<Timestamp>> {
    let seconds =
        |name: &str| headers.get(name).map(|value| value.to_str().ok()?.trim().parse::<f64>().ok().filter(|s| *s > 0.0 && *s < 1e6));
    let given = match seconds("x-request-timeout") {
        Some(None) => return Err(Error::new(code::INVALID_HEADER, "x-request-timeout: must be a number of seconds above 0")),
        Some(given) => given,
        None => seconds("x-stainless-timeout").or_else(|| seconds("x-stainless-read-timeout")).flatten(),
    };
    Ok(given.map(|s| now.plus(std::time::Duration::from_secs_f64(s))))
}

/// The key under which a request is done once.
fn idempotency(headers: &HeaderMap, caller: &Caller) -> Result<Option<runs::Key>> {
    Ok(astrolabe_kernel::http::idempotency_key(headers)?.map(|key| (caller.principal.tenant, caller.principal.id.clone(), key)))
}
