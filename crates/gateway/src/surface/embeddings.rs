//! `POST /v1/embeddings`.

use astrolabe_kernel::{
    Error, Result,
    http::{BodyProblems, CommonProblems, Json, May, NotFoundProblem, UpstreamProblem},
    principal::right,
};
use axum::{extract::State, http::HeaderMap};
use base64::Engine;
use futures_util::FutureExt;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;
use utoipa::ToSchema;

use super::{
    LocalEmbedder, Surface, deadline,
    errors::{no_such_model, told},
};
use crate::{
    chat::{EmbedReply, EmbedRequest, Usage},
    error::ModelGatewayError,
    routing::travel,
    tokens::Counter,
    usage::{IN_PROCESS, Outcome, Purpose, Wanted, Who},
};

/// Texts of a request, as OpenAI limits them.
const MAX_INPUTS: usize = 2_048;

/// Bytes of a text; more than any embedding model reads.
const MAX_INPUT: usize = 256 * 1024;

/// Texts to embed, in OpenAI's words.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"model": "default", "input": ["Where are the office keys?"]}))]
pub struct EmbeddingBody {
    /// An embedding model of this process, or an alias.
    model: String,
    /// A text or up to 2,048; tokens are not taken.
    #[schema(value_type = Object)]
    input: Value,
    /// `float` or `base64`.
    encoding_format: Option<String>,
    /// Numbers per vector, where the model offers a choice.
    dimensions: Option<u32>,
    /// Who asks; not used.
    user: Option<String>,
}

impl EmbeddingBody {
    fn inputs(input: Value) -> Result<Vec<String>> {
        let texts = match input {
            Value::String(text) => vec![text],
            Value::Array(list) if list.len() > MAX_INPUTS => return Err(Error::field("input", format!("at most {MAX_INPUTS} texts"))),
            Value::Array(list) => {
                let texts: Option<Vec<_>> = list.into_iter().map(|v| if let Value::String(text) = v { Some(text) } else { None }).collect();
                texts.ok_or_else(|| Error::field("input", "must be texts; tokens mean something else to every model"))?
            }
            _ => return Err(Error::field("input", "must be a text or a list of texts")),
        };
        if texts.is_empty() || texts.iter().any(|text| text.trim().is_empty()) {
            return Err(Error::field("input", "must have a text, and none that is empty"));
        }
        if texts.iter().any(|text| text.len() > MAX_INPUT) {
            return Err(Error::field("input", format!("a text has at most {MAX_INPUT} bytes")));
        }
        Ok(texts)
    }
}

/// Embed texts
///
/// As OpenAI's endpoint of this name. Errors have OpenAI's shape.
#[utoipa::path(post, path = "/v1/embeddings", tag = "models", request_body = EmbeddingBody,
    responses((status = 200, description = "The vectors.", body = Object), CommonProblems, right::UseModels, NotFoundProblem, BodyProblems,
        UpstreamProblem))]
pub async fn create_embeddings(
    State(surface): State<Surface>,
    caller: May<right::UseModels>,
    headers: HeaderMap,
    Json(body): Json<EmbeddingBody>,
) -> Result<Json<Value>> {
    let in_base64 = match body.encoding_format.as_deref() {
        None | Some("float") => false,
        Some("base64") => true,
        Some(_) => return Err(Error::field("encoding_format", "must be float or base64")),
    };
    if body.user.as_ref().is_some_and(|user| user.len() > 512) {
        return Err(Error::field("user", "must have at most 512 bytes"));
    }
    if body.dimensions == Some(0) {
        return Err(Error::field("dimensions", "must be at least 1"));
    }
    let mut inputs = EmbeddingBody::inputs(body.input)?;
    let mut guard = surface.0.models.guardrails().call(&body.model, caller.principal.tenant);
    inputs.iter_mut().try_for_each(|text| guard.input(text))?;
    let local = surface.0.embedders.iter().find(|embedder| (embedder.name)().is_some_and(|name| name == body.model));
    let reply = match local {
        Some(_) if body.dimensions.is_some() => return Err(Error::field("dimensions", "this model has vectors of one length")),
        Some(local) => surface.embed_here(&caller, &body.model, local, inputs).await?,
        None => {
            let request = EmbedRequest { inputs, dimensions: body.dimensions, deadline: deadline(&headers, surface.0.kernel.now())? };
            surface.embed(&caller, &body.model, request).await?
        }
    };
    let data: Vec<Value> = reply
        .vectors
        .into_iter()
        .enumerate()
        .map(|(index, vector)| {
            let embedding = match in_base64 {
                true => {
                    let bytes: Vec<u8> = vector.iter().flat_map(|x| x.to_le_bytes()).collect();
                    Value::from(base64::engine::general_purpose::STANDARD.encode(bytes))
                }
                false => Value::from(vector),
            };
            json!({"object": "embedding", "index": index, "embedding": embedding})
        })
        .collect();
    let usage = json!({"prompt_tokens": reply.usage.input, "total_tokens": reply.usage.input});
    Ok(Json(json!({"object": "list", "model": body.model, "data": data, "usage": usage})))
}

/// Our own count of what is embedded, before anybody else has counted.
fn counted(inputs: &[String]) -> Usage {
    let mut counter = Counter::default();
    inputs.iter().for_each(|text| counter.push(text));
    Usage { input: counter.total(), estimated: true, ..Usage::default() }
}

impl Surface {
    /// Embeds in this process, which is in the books as what providers do is, and costs nothing.
    async fn embed_here(
        &self,
        caller: &May<right::UseModels>,
        name: &str,
        local: &LocalEmbedder,
        inputs: Vec<String>,
    ) -> Result<EmbedReply> {
        let Some(ledger) = self.0.models.ledger() else { return (local.embed)(inputs).await };
        let wanted = Wanted { purpose: Purpose::Api, alias: name, provider: IN_PROCESS, model: name, tokens: counted(&inputs) };
        let call = ledger.begin(Who::of(&caller.principal), wanted).await?;
        let attempt = call.attempt(IN_PROCESS, name)?;
        match (local.embed)(inputs).await {
            Ok(reply) => {
                attempt.finish(Outcome::Ok, Some(reply.usage));
                Ok(reply)
            }
            Err(error) => {
                attempt.finish(Outcome::Failed, None);
                Err(error)
            }
        }
    }

    /// Embeds at a provider.
    async fn embed(&self, caller: &May<right::UseModels>, name: &str, request: EmbedRequest) -> Result<EmbedReply> {
        let gateway = self.0.models.gateway();
        let alias = gateway.alias(name).ok_or_else(|| no_such_model(name))?;
        let call = match (self.0.models.ledger(), alias.routes.first()) {
            (Some(ledger), Some(route)) => {
                let (provider, model) = (&route.upstream.name, &route.model);
                let wanted = Wanted { purpose: Purpose::Api, alias: &alias.name, provider, model, tokens: counted(&request.inputs) };
                Some(ledger.begin(Who::of(&caller.principal), wanted).await?)
            }
            _ => None,
        };
        let mut meter = gateway.meter(&alias);
        let (request, books) = (&request, call.as_ref());
        let won = travel(&alias, gateway.trip(&alias, None, request.deadline), |route, limits| {
            async move {
                let attempt = match books {
                    Some(call) => Some(call.attempt(&route.upstream.name, &route.model).map_err(ModelGatewayError::Invalid)?),
                    None => None,
                };
                let whole: Instant = limits.whole;
                let reply = route.upstream.provider.embed(&route.model, request, whole).await;
                if let Some(attempt) = attempt {
                    match &reply {
                        Ok(reply) => attempt.finish(Outcome::Ok, Some(reply.usage)),
                        Err(ModelGatewayError::ProviderTimeout { .. }) => attempt.finish(Outcome::Timeout, None),
                        Err(_) => attempt.finish(Outcome::Failed, None),
                    }
                }
                reply
            }
            .boxed()
        })
        .await;
        match won {
            Ok(won) => {
                meter.finished(&won.value.usage);
                Ok(won.value)
            }
            Err(error) => {
                meter.failed(&error);
                Err(told(error))
            }
        }
    }
}
