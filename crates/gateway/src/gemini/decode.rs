//! Understands a reply of generateContent and of streamGenerateContent with `alt=sse`: whole replies and events have one shape.

use serde::Deserialize;
use serde_json::Value;

use crate::{
    chat::{FinishReason, Usage},
    error::{ModelGatewayError, protocol},
    openai::wire::{error_text, or_default},
    provider::reply::{Decode, Out},
    sse::Parser,
};

/// Reads one reply.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    parser: Parser,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Event {
    #[serde(deserialize_with = "or_default")]
    candidates: Vec<Candidate>,
    prompt_feedback: Option<Feedback>,
    usage_metadata: Option<WireUsage>,
    model_version: Option<String>,
    error: Option<Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Candidate {
    #[serde(deserialize_with = "or_default")]
    content: Content,
    finish_reason: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Content {
    #[serde(deserialize_with = "or_default")]
    parts: Vec<Part>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Part {
    text: Option<String>,
    /// The text is a thought and no reply.
    thought: Option<bool>,
    function_call: Option<FunctionCall>,
    thought_signature: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct FunctionCall {
    id: Option<String>,
    name: String,
    args: Value,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Feedback {
    block_reason: Option<String>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireUsage {
    #[serde(deserialize_with = "or_default")]
    prompt_token_count: u64,
    #[serde(deserialize_with = "or_default")]
    tool_use_prompt_token_count: u64,
    #[serde(deserialize_with = "or_default")]
    candidates_token_count: u64,
    #[serde(deserialize_with = "or_default")]
    thoughts_token_count: u64,
    #[serde(deserialize_with = "or_default")]
    cached_content_token_count: u64,
}

impl From<WireUsage> for Usage {
    fn from(usage: WireUsage) -> Self {
        Self {
            input: usage.prompt_token_count.saturating_add(usage.tool_use_prompt_token_count),
            // Thoughts are counted apart there, and paid as output.
            output: usage.candidates_token_count.saturating_add(usage.thoughts_token_count),
            cached: usage.cached_content_token_count,
            reasoning: usage.thoughts_token_count,
            estimated: false,
        }
    }
}

impl Decoder {
    fn take(&mut self, json: &[u8], out: &mut Out) -> Result<(), ModelGatewayError> {
        let event: Event = serde_json::from_slice(json).map_err(|e| protocol(format!("the reply is not the expected JSON: {e}")))?;
        if event.error.as_ref().is_some_and(|e| !e.is_null()) {
            return Err(out.broken(error_text(json)));
        }
        if let Some(model) = &event.model_version {
            out.set_model(model);
        }
        if let Some(usage) = event.usage_metadata {
            out.set_usage(usage.into());
        }
        if event.prompt_feedback.and_then(|f| f.block_reason).is_some() {
            out.set_finish(FinishReason::ContentFilter);
        }
        let Some(candidate) = event.candidates.into_iter().next() else {
            return Ok(());
        };
        for part in candidate.content.parts {
            if let Some(text) = part.text.filter(|_| part.thought != Some(true)) {
                out.text(text)?;
            }
            if let Some(FunctionCall { id, name, args }) = part.function_call {
                let index = out.begin_call(id, name, part.thought_signature)?;
                out.arguments(index, if args.is_null() { "{}".to_owned() } else { args.to_string() })?;
            }
        }
        if let Some(reason) = candidate.finish_reason.filter(|r| !r.is_empty()) {
            out.set_finish(match reason.as_str() {
                "STOP" => FinishReason::Stop,
                "MAX_TOKENS" => FinishReason::Length,
                "SAFETY" | "RECITATION" | "LANGUAGE" | "BLOCKLIST" | "PROHIBITED_CONTENT" | "SPII" | "IMAGE_SAFETY" => {
                    FinishReason::ContentFilter
                }
                _ => FinishReason::Other,
            });
        }
        Ok(())
    }
}

impl Decode for Decoder {
    fn push(&mut self, bytes: &[u8], out: &mut Out) -> Result<bool, ModelGatewayError> {
        let pushed = self.parser.push(bytes).map_err(|e| protocol(e.text()));
        let mut any = false;
        while let Some(event) = self.parser.next_event() {
            any = true;
            self.take(event.data.as_bytes(), out)?;
        }
        pushed.map(|()| any)
    }

    fn finish(&mut self, out: &mut Out) -> Result<(), ModelGatewayError> {
        self.push(b"\n\n", out)?;
        // The format has no other end than that of the connection.
        if out.is_finished() {
            out.end();
        }
        Ok(())
    }

    fn whole(&mut self, body: &[u8], out: &mut Out) -> Result<(), ModelGatewayError> {
        self.take(body, out)?;
        if !out.is_finished() {
            return Err(protocol("the reply has no candidates"));
        }
        out.end();
        Ok(())
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Embeddings {
    #[serde(deserialize_with = "or_default")]
    embeddings: Vec<Embedding>,
    error: Option<Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Embedding {
    values: Vec<f32>,
}

/// The vectors of an answer of batchEmbedContents.
///
/// # Errors
/// `Protocol` when it is none; `ProviderServerError` when it is an error behind a status of success.
pub(super) fn vectors(body: &[u8]) -> Result<Vec<Vec<f32>>, ModelGatewayError> {
    let answer: Embeddings = serde_json::from_slice(body).map_err(|e| protocol(format!("the vectors are not the expected JSON: {e}")))?;
    if answer.error.is_some_and(|e| !e.is_null()) {
        return Err(ModelGatewayError::ProviderServerError { status: None, started: false, detail: error_text(body) });
    }
    Ok(answer.embeddings.into_iter().map(|e| e.values).collect())
}
