//! `POST /v1/chat/completions`.

use std::hash::{DefaultHasher, Hash, Hasher};

use astrolabe_kernel::{
    Result,
    http::{BodyProblems, Caller, CommonProblems, ConflictProblem, JsonBytes, May, NotFoundProblem, UpstreamProblem},
    principal::right,
};
use axum::{
    extract::State,
    http::{HeaderMap, HeaderValue},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures_util::FutureExt;
use sha2::{Digest, Sha256};

use super::{Surface, body::ChatBody, deadline, encode::Envelope, errors::no_such_model, idempotency, sources::PREFIX};
use crate::{
    gateway::Wishes,
    guardrails::schema::Schema,
    models::Asked,
    usage::{Purpose, Who},
};

/// Ask a chat model
///
/// As OpenAI's endpoint of this name. The model `astrolabe/<source>` answers the last question from a source, with `annotations` of the message and
/// `citations` as those of `POST /api/v1/ask`. Errors have OpenAI's shape. With `Idempotency-Key` a repeat joins the run in flight or hears it again.
#[utoipa::path(post, path = "/v1/chat/completions", tag = "models", request_body = ChatBody,
    responses((status = 200, description = "A completion, or its events.", body = Object), CommonProblems, right::UseModels, NotFoundProblem,
        ConflictProblem, BodyProblems, UpstreamProblem))]
pub async fn create_chat_completion(
    State(surface): State<Surface>,
    caller: May<right::UseModels>,
    headers: HeaderMap,
    JsonBytes(bytes): JsonBytes,
) -> Result<Response> {
    let body = ChatBody::read(&bytes)?;
    let now = surface.0.kernel.now();
    let stream = body.stream == Some(true);
    let envelope = Envelope {
        id: format!("chatcmpl-{}", surface.0.kernel.random.token(18)),
        created: surface.now_s(),
        model: body.model.clone(),
        shows_usage: body.wants_usage(),
    };
    let run = idempotency(&headers, &caller)?;
    // Hashed before the bytes go on; only a key makes that necessary.
    let fingerprint: Option<[u8; 32]> = run.as_ref().map(|_| Sha256::digest(&bytes).into());
    let is_alias = surface.0.models.gateway().alias(&body.model).is_some();
    let work = match body.model.strip_prefix(PREFIX).filter(|_| !is_alias).map(str::to_owned) {
        Some(source) => {
            let (surface, request) = (surface.clone(), body.into_request()?);
            async move { surface.answer_of_source(caller.into_caller(), &source, request, envelope, stream).await }.boxed()
        }
        None => {
            let asked = asked(&surface, &caller, &headers, body, bytes, envelope.shows_usage)?;
            let surface = surface.clone();
            async move { surface.answer(asked, stream, envelope).await }.boxed()
        }
    };
    let (Some(run), Some(fingerprint)) = (run, fingerprint) else {
        return Ok(work.await?.into_response());
    };
    let (runs, lifecycle) = (surface.0.runs.clone(), surface.0.kernel.lifecycle.clone());
    let (answer, joined) = Box::pin(runs.once(run, fingerprint, now, &lifecycle, work)).await?;
    let mut response = answer.into_response();
    if joined {
        response.headers_mut().insert("idempotency-replayed", HeaderValue::from_static("true"));
    }
    Ok(response)
}

/// What a body asks of a model.
fn asked(surface: &Surface, caller: &Caller, headers: &HeaderMap, body: ChatBody, bytes: Bytes, shows_usage: bool) -> Result<Asked> {
    let alias = surface.0.models.gateway().alias(&body.model).ok_or_else(|| no_such_model(&body.model))?;
    let key = body.prompt_cache_key.as_ref().map(|key| {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        hasher.finish()
    });
    let passed_on = body.passed_on();
    if let Some(field) = passed_on
        && !alias.routes.iter().all(|route| route.upstream.provider.forwards(&route.model))
    {
        return Err(astrolabe_kernel::Error::field(field, "a provider behind this model does not know it"));
    }
    let request = body.into_request()?;
    let schema = Schema::of(&request.response_format, "response_format.json_schema.schema")?;
    Ok(Asked {
        raw: Some(bytes),
        passed_on,
        schema,
        shows_usage,
        key,
        deadline: deadline(headers, surface.0.kernel.now())?,
        ..Asked::new(Who::of(&caller.principal), Purpose::Api, Wishes::OfTheCaller, alias, request)
    })
}
