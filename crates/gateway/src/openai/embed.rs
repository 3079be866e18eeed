//! `POST /embeddings`.

use serde::{Deserialize, Serialize};

use super::wire::{WireUsage, error_text, or_default};
use crate::{
    chat::{EmbedReply, EmbedRequest, Usage},
    error::{ModelGatewayError, protocol},
    provider::vectors::checked,
};

/// The body.
#[derive(Debug, Serialize)]
pub(super) struct Body<'a> {
    pub(super) model: &'a str,
    pub(super) input: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) dimensions: Option<u32>,
    pub(super) encoding_format: &'static str,
}

#[derive(Debug, Deserialize)]
struct Answer {
    #[serde(default)]
    model: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    data: Vec<Item>,
    #[serde(default)]
    usage: Option<WireUsage>,
    #[serde(default)]
    error: Option<serde_json::Value>,
}

#[derive(Debug, Deserialize)]
struct Item {
    #[serde(default)]
    index: Option<usize>,
    embedding: Vec<f32>,
}

/// Reads the answer.
///
/// # Errors
/// `Protocol` when it is not one vector per text; `ProviderServerError` when it is an error behind a status of success.
pub(super) fn read(body: &[u8], model: &str, request: &EmbedRequest) -> Result<EmbedReply, ModelGatewayError> {
    let answer: Answer = serde_json::from_slice(body).map_err(|e| protocol(format!("the vectors are not the expected JSON: {e}")))?;
    if let Some(error) = answer.error.filter(|e| !e.is_null()) {
        let detail = error_text(error.to_string().as_bytes());
        return Err(ModelGatewayError::ProviderServerError { status: None, started: false, detail });
    }
    let mut items = answer.data;
    if items.iter().all(|i| i.index.is_some()) {
        items.sort_by_key(|i| i.index);
        if items.iter().enumerate().any(|(at, item)| item.index != Some(at)) {
            return Err(protocol("the vectors do not have the numbers of the texts"));
        }
    }
    let usage = answer.usage.filter(|u| u.prompt_tokens > 0).map(Usage::from);
    let model = answer.model.filter(|m| !m.is_empty()).map_or_else(|| model.to_owned(), |m| m.chars().take(200).collect());
    checked(items.into_iter().map(|i| i.embedding).collect(), usage, model, request)
}
