//! The JSON on the wire. Reading is generous (unknown fields are ignored, absent ones have defaults), because providers differ;
//! writing keeps to the fields that all of them know.

use serde::{Deserialize, Serialize};

use crate::chat::{FinishReason, Message, Usage};

/// The body of `POST /chat/completions`.
#[derive(Debug, Serialize)]
pub struct CompletionRequest<'a> {
    /// The model's name at the provider.
    pub model: &'a str,
    /// The conversation.
    pub messages: &'a [Message],
    /// Whether the reply comes as events.
    pub stream: bool,
    /// Asks for the usage in the last event.
    pub stream_options: StreamOptions,
    /// Tokens the reply may have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u32>,
    /// 0 to 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f32>,
}

/// Options of a streamed reply.
#[derive(Debug, Serialize)]
pub struct StreamOptions {
    /// Whether an event with the usage is wanted.
    pub include_usage: bool,
}

/// One event of a streamed reply, or a whole reply: they differ in `delta` and `message` alone.
#[derive(Debug, Default, Deserialize)]
pub struct Completion {
    /// The model as the provider names it.
    #[serde(default)]
    pub model: Option<String>,
    /// The alternatives; we ask for one. Empty in the event that carries the usage.
    #[serde(default)]
    pub choices: Vec<Choice>,
    /// What the reply cost.
    #[serde(default)]
    pub usage: Option<WireUsage>,
    /// A failure in the middle of a stream.
    #[serde(default)]
    pub error: Option<serde_json::Value>,
}

/// One alternative.
#[derive(Debug, Default, Deserialize)]
pub struct Choice {
    /// The next piece, in a stream.
    #[serde(default)]
    pub delta: Option<Content>,
    /// The whole, outside a stream.
    #[serde(default)]
    pub message: Option<Content>,
    /// Why it ended, when it has.
    #[serde(default)]
    pub finish_reason: Option<String>,
}

impl Choice {
    /// The text of it, empty when there is none.
    pub fn text(&mut self) -> String {
        let content = self.delta.take().or_else(|| self.message.take());
        content.and_then(|c| c.content).unwrap_or_default()
    }

    /// Why it ended, when it has.
    pub fn finish(&self) -> Option<FinishReason> {
        self.finish_reason.as_deref().filter(|r| !r.is_empty()).map(FinishReason::from_wire)
    }
}

/// A message or a piece of one.
#[derive(Debug, Default, Deserialize)]
pub struct Content {
    /// Its text.
    #[serde(default)]
    pub content: Option<String>,
}

/// What a reply cost.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct WireUsage {
    /// Tokens read.
    #[serde(default)]
    pub prompt_tokens: u64,
    /// Tokens written.
    #[serde(default)]
    pub completion_tokens: u64,
}

impl From<WireUsage> for Usage {
    fn from(usage: WireUsage) -> Self {
        Self { prompt_tokens: usage.prompt_tokens, completion_tokens: usage.completion_tokens, estimated: false }
    }
}

/// The text and the code of an error as providers send it: `{"error":{"message","type","code"}}`, `{"error":"…"}`, `{"message":"…"}` or
/// plain text. At most 300 characters: it goes to the log.
pub fn error_text(body: &[u8]) -> String {
    let json: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let text = match json.get("error").unwrap_or(&json) {
        serde_json::Value::String(text) => text.clone(),
        error @ serde_json::Value::Object(_) => {
            let field =
                |name: &str| error.get(name).map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned)).filter(|t| t != "null");
            match (field("code").or_else(|| field("type")), field("message")) {
                (Some(code), Some(message)) => format!("{code}: {message}"),
                (Some(text), None) | (None, Some(text)) => text,
                (None, None) => String::from_utf8_lossy(body).into_owned(),
            }
        }
        _ => String::from_utf8_lossy(body).into_owned(),
    };
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_read_in_every_shape_that_providers_use() {
        for (body, text) in [
            (r#"{"error":{"message":"slow down","type":"rate","code":"rate_limit_exceeded"}}"#, "rate_limit_exceeded: slow down"),
            (r#"{"error":{"message":"slow down","type":"rate","code":null}}"#, "rate: slow down"),
            (r#"{"error":"model not found"}"#, "model not found"),
            (r#"{"object":"error","message":"too long","code":400}"#, "400: too long"),
            ("<html>Bad\nGateway</html>", "<html>Bad Gateway</html>"),
        ] {
            assert_eq!(error_text(body.as_bytes()), text);
        }
        assert_eq!(error_text(&[b'x'; 1000]).len(), 300);
    }
}
