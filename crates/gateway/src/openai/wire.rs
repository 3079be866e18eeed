//! The JSON that comes back. Unknown fields are ignored and absent ones have defaults, because providers differ.

use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, Visitor},
};
use serde_json::Value;

use crate::chat::{FinishReason, Usage};

/// One event of a streamed reply, or a whole reply: they differ in `delta` and `message` alone.
#[derive(Debug, Default, Deserialize)]
pub struct Completion {
    /// The model as the provider names it.
    #[serde(default)]
    pub model: Option<String>,
    /// The alternatives; we ask for one. Empty in the event that carries the usage.
    #[serde(default, deserialize_with = "or_default")]
    pub choices: Vec<Choice>,
    /// What the reply cost.
    #[serde(default)]
    pub usage: Option<WireUsage>,
    /// A failure in the middle of a stream, or behind a status of success.
    #[serde(default)]
    pub error: Option<Value>,
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
    /// Why it ended, when it has.
    pub fn finish(&self) -> Option<FinishReason> {
        self.finish_reason.as_deref().filter(|r| !r.is_empty()).map(finish_of)
    }
}

/// The provider's word as ours.
fn finish_of(word: &str) -> FinishReason {
    match word {
        "stop" | "eos" | "eos_token" | "end_turn" | "stop_sequence" => FinishReason::Stop,
        "length" | "max_tokens" => FinishReason::Length,
        "tool_calls" | "function_call" | "tool_use" => FinishReason::ToolCalls,
        "content_filter" => FinishReason::ContentFilter,
        _ => FinishReason::Other,
    }
}

/// A message or a piece of one.
#[derive(Debug, Default, Deserialize)]
pub struct Content {
    /// Its text: a string, or parts of which some have text.
    #[serde(default)]
    pub content: Option<TextOrParts>,
    /// What the model says instead of an answer that it will not give.
    #[serde(default)]
    pub refusal: Option<String>,
    /// Calls, or pieces of them.
    #[serde(default, deserialize_with = "or_default")]
    pub tool_calls: Vec<WireToolCall>,
}

impl Content {
    /// The text of it, empty when there is none.
    pub fn text(&mut self) -> String {
        let text = match self.content.take() {
            None => String::new(),
            Some(TextOrParts::Text(text)) => text,
            Some(TextOrParts::Parts(parts)) => parts.into_iter().filter_map(|p| p.text).collect(),
        };
        match self.refusal.take() {
            Some(refusal) if text.is_empty() => refusal,
            _ => text,
        }
    }
}

/// Text as a string or as parts.
#[derive(Debug)]
pub enum TextOrParts {
    /// A string.
    Text(String),
    /// Parts, as Mistral sends them.
    Parts(Vec<TextPart>),
}

// By hand: what serde derives for such a type copies every piece of every stream once more.
impl<'de> Deserialize<'de> for TextOrParts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = TextOrParts;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text or a list of parts")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<TextOrParts, E> {
                Ok(TextOrParts::Text(text.to_owned()))
            }

            fn visit_string<E: de::Error>(self, text: String) -> Result<TextOrParts, E> {
                Ok(TextOrParts::Text(text))
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, parts: A) -> Result<TextOrParts, A::Error> {
                Vec::deserialize(de::value::SeqAccessDeserializer::new(parts)).map(TextOrParts::Parts)
            }
        }

        deserializer.deserialize_any(Either)
    }
}

/// A part of a text.
#[derive(Debug, Deserialize)]
pub struct TextPart {
    /// The text, when it is a part with one.
    #[serde(default)]
    pub text: Option<String>,
}

/// A call, or a piece of one.
#[derive(Debug, Default, Deserialize)]
pub struct WireToolCall {
    /// Which call of the reply; some servers leave it out, or send 0 with every one.
    #[serde(default)]
    pub index: Option<u64>,
    /// The call's id, in its first piece.
    #[serde(default)]
    pub id: Option<String>,
    /// Name and arguments.
    #[serde(default, deserialize_with = "or_default")]
    pub function: WireFunction,
}

/// Name and arguments of a call.
#[derive(Debug, Default, Deserialize)]
pub struct WireFunction {
    /// The tool, in the first piece.
    #[serde(default)]
    pub name: Option<String>,
    /// JSON as text, or from some servers the JSON itself.
    #[serde(default)]
    pub arguments: Option<Value>,
}

/// What a reply cost.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct WireUsage {
    /// Tokens read.
    #[serde(default, deserialize_with = "or_default")]
    pub prompt_tokens: u64,
    /// Tokens written.
    #[serde(default, deserialize_with = "or_default")]
    pub completion_tokens: u64,
    /// Of the tokens read.
    #[serde(default, deserialize_with = "or_default")]
    pub prompt_tokens_details: PromptDetails,
    /// Of the tokens written.
    #[serde(default, deserialize_with = "or_default")]
    pub completion_tokens_details: CompletionDetails,
}

/// Of the tokens read.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct PromptDetails {
    /// Those that were known already.
    #[serde(default, deserialize_with = "or_default")]
    pub cached_tokens: u64,
}

/// Of the tokens written.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct CompletionDetails {
    /// Those that were thoughts.
    #[serde(default, deserialize_with = "or_default")]
    pub reasoning_tokens: u64,
}

impl From<WireUsage> for Usage {
    fn from(usage: WireUsage) -> Self {
        Self {
            input: usage.prompt_tokens,
            output: usage.completion_tokens,
            cached: usage.prompt_tokens_details.cached_tokens,
            reasoning: usage.completion_tokens_details.reasoning_tokens,
            estimated: false,
        }
    }
}

impl From<Usage> for WireUsage {
    fn from(usage: Usage) -> Self {
        Self {
            prompt_tokens: usage.input,
            completion_tokens: usage.output,
            prompt_tokens_details: PromptDetails { cached_tokens: usage.cached },
            completion_tokens_details: CompletionDetails { reasoning_tokens: usage.reasoning },
        }
    }
}

/// The answer of `GET /models`.
#[derive(Debug, Default, Deserialize)]
pub struct ModelList {
    /// The models.
    #[serde(default, deserialize_with = "or_default")]
    pub data: Vec<ListedModel>,
}

/// A model of a list.
#[derive(Debug, Default, Deserialize)]
pub struct ListedModel {
    /// Its name.
    #[serde(default)]
    pub id: String,
}

/// Takes `null` for the default: many servers write it where others leave the field out.
pub(crate) fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// The text and the code of an error as providers send it: `{"error":{"message","type","code"}}`, `{"error":"…"}`, `{"message":"…"}` or
/// plain text. At most 300 characters: it goes to the log.
pub fn error_text(body: &[u8]) -> String {
    let json: Value = serde_json::from_slice(body).unwrap_or_default();
    // Google sends errors of a stream as a list.
    let json = json.get(0).unwrap_or(&json);
    let text = match json.get("error").unwrap_or(json) {
        serde_json::Value::String(text) => text.clone(),
        error @ serde_json::Value::Object(_) => {
            let field =
                |name: &str| error.get(name).map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned)).filter(|t| t != "null");
            match (field("code").or_else(|| field("type")), field("message").or_else(|| field("Message"))) {
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
