//! `POST /v1/chat/completions`.

use std::hash::{DefaultHasher, Hash, Hasher};

use astrolabe_kernel::{
    Result,
    http::{BodyProblems, CommonProblems, ConflictProblem, JsonBytes, May, NotFoundProblem, UpstreamProblem},
    principal::right,
};
use axum::{
    extract::State,
    http::{HeaderMap, HeaderValue},
    response::{IntoResponse, Response},
};
use sha2::{Digest, Sha256};

use super::{Surface, body::ChatBody, deadline, encode::Envelope, errors::no_such_model, idempotency};
use crate::{
    gateway::Wishes,
    guardrails::schema::Schema,
    models::Asked,
    usage::{Purpose, Who},
};

/// Ask a chat model
///
/// As OpenAI's endpoint of this name. Errors have OpenAI's shape. With `Idempotency-Key` a repeat joins the run in flight or hears it again.
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
    let alias = surface.0.models.gateway().alias(&body.model).ok_or_else(|| no_such_model(&body.model))?;
    let stream = body.stream == Some(true);
    let envelope = Envelope {
        id: format!("chatcmpl-{}", surface.0.kernel.random.token(18)),
        created: surface.now_s(),
        model: body.model.clone(),
        shows_usage: body.wants_usage(),
    };
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
    let run = idempotency(&headers, &caller)?;
    // Hashed before the bytes go on; only a key makes that necessary.
    let fingerprint: Option<[u8; 32]> = run.as_ref().map(|_| Sha256::digest(&bytes).into());
    let asked = Asked {
        raw: Some(bytes),
        passed_on,
        schema,
        shows_usage: envelope.shows_usage,
        key,
        deadline: deadline(&headers, now)?,
        ..Asked::new(Who::of(&caller.principal), Purpose::Api, Wishes::OfTheCaller, alias, request)
    };
    let (Some(run), Some(fingerprint)) = (run, fingerprint) else {
        return Ok(surface.answer(asked, stream, envelope).await?.into_response());
    };
    let (runs, lifecycle) = (surface.0.runs.clone(), surface.0.kernel.lifecycle.clone());
    let work = async move { surface.answer(asked, stream, envelope).await };
    let (answer, joined) = Box::pin(runs.once(run, fingerprint, now, &lifecycle, work)).await?;
    let mut response = answer.into_response();
    if joined {
        response.headers_mut().insert("idempotency-replayed", HeaderValue::from_static("true"));
    }
    Ok(response)
}
