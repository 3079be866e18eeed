//! Vectors by InvokeModel, whose body is the model's own: Amazon's Titan takes one text, Cohere's models take up to 96.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    chat::Usage,
    error::{ModelGatewayError, protocol},
};

/// Texts that one request to a model of Cohere may have.
const COHERE: usize = 96;

/// The bodies for texts.
pub(super) fn bodies(model: &str, inputs: &[String], dimensions: Option<u32>) -> Vec<Value> {
    if model.contains("cohere.") {
        return inputs.chunks(COHERE).map(|texts| json!({"texts": texts, "input_type": "search_document", "truncate": "END"})).collect();
    }
    let body = |text: &String| match dimensions {
        Some(dimensions) => json!({"inputText": text, "dimensions": dimensions}),
        None => json!({"inputText": text}),
    };
    inputs.iter().map(body).collect()
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Answer {
    embedding: Option<Vec<f32>>,
    embeddings: Option<Embeddings>,
    input_text_token_count: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Embeddings {
    Plain(Vec<Vec<f32>>),
    ByType { float: Vec<Vec<f32>> },
}

/// The vectors of an answer and the tokens that it counts.
///
/// # Errors
/// `Protocol` when it is not what we know of the two.
pub(super) fn read(body: &[u8]) -> Result<(Vec<Vec<f32>>, Option<Usage>), ModelGatewayError> {
    let answer: Answer = serde_json::from_slice(body).map_err(|e| protocol(format!("the vectors are not the expected JSON: {e}")))?;
    let usage = answer.input_text_token_count.map(|input| Usage { input, ..Usage::default() });
    match (answer.embedding, answer.embeddings) {
        (Some(vector), _) => Ok((vec![vector], usage)),
        (None, Some(Embeddings::Plain(vectors) | Embeddings::ByType { float: vectors })) => Ok((vectors, usage)),
        (None, None) => Err(protocol("the answer has no vectors")),
    }
}
