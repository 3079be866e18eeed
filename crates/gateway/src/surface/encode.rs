//! Our replies in OpenAI's words.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::chat::{ChatDelta, ChatEnd, ChatReply, ToolCall, Usage};

/// What all events of a reply share.
#[derive(Debug, Clone)]
pub(crate) struct Envelope {
    /// `chatcmpl-…`.
    pub(crate) id: String,
    /// Seconds since 1970.
    pub(crate) created: i64,
    /// The name that was asked for.
    pub(crate) model: String,
    /// Whether the last event tells the usage.
    pub(crate) shows_usage: bool,
}

/// The usage in the words of chat completions.
pub(crate) fn usage(usage: &Usage) -> Value {
    json!({
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.input + usage.output,
        "prompt_tokens_details": {"cached_tokens": usage.cached},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
    })
}

fn call(call: &ToolCall) -> Value {
    json!({"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}})
}

/// A whole reply.
pub(crate) fn whole(envelope: &Envelope, reply: &ChatReply) -> Bytes {
    let mut message = json!({"role": "assistant", "content": reply.text, "refusal": null});
    if !reply.tool_calls.is_empty() {
        message["tool_calls"] = reply.tool_calls.iter().map(call).collect();
        if reply.text.is_empty() {
            message["content"] = Value::Null;
        }
    }
    let choice = json!({"index": 0, "message": message, "logprobs": null, "finish_reason": reply.finish_reason.as_str()});
    let body = json!({
        "id": envelope.id,
        "object": "chat.completion",
        "created": envelope.created,
        "model": envelope.model,
        "choices": [choice],
        "usage": usage(&reply.usage),
    });
    body.to_string().into()
}

fn event(data: &Value) -> String {
    format!("data: {data}\n\n")
}

impl Envelope {
    fn chunk(&self, choices: Value) -> Value {
        json!({"id": self.id, "object": "chat.completion.chunk", "created": self.created, "model": self.model, "choices": choices})
    }

    fn delta(&self, delta: Value, finish: Option<&str>) -> String {
        event(&self.chunk(json!([{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish}])))
    }

    /// The event with the citations of an answer.
    pub(crate) fn cited(&self, annotations: &Value, citations: &Value, is_first: bool) -> Bytes {
        let mut delta = json!({"annotations": annotations});
        if is_first {
            delta["role"] = json!("assistant");
        }
        let mut chunk = self.chunk(json!([{"index": 0, "delta": delta, "logprobs": null, "finish_reason": null}]));
        chunk["citations"] = citations.clone();
        event(&chunk).into()
    }

    /// The events of a piece. The first has the role.
    pub(crate) fn events(&self, piece: &ChatDelta, is_first: bool) -> Bytes {
        let mut out = String::new();
        if is_first {
            out.push_str(&self.delta(json!({"role": "assistant", "content": ""}), None));
        }
        match piece {
            ChatDelta::Text(text) => out.push_str(&self.delta(json!({"content": text}), None)),
            ChatDelta::ToolCall(piece) => {
                let mut call = json!({"index": piece.index, "function": {"arguments": piece.arguments}});
                if let Some(id) = &piece.id {
                    (call["id"], call["type"]) = (json!(id), json!("function"));
                }
                if let Some(name) = &piece.name {
                    call["function"]["name"] = json!(name);
                }
                out.push_str(&self.delta(json!({"tool_calls": [call]}), None));
            }
            ChatDelta::End(ChatEnd { finish_reason, usage: cost, .. }) => {
                out.push_str(&self.delta(json!({}), Some(finish_reason.as_str())));
                if self.shows_usage {
                    let mut last = self.chunk(json!([]));
                    last["usage"] = usage(cost);
                    out.push_str(&event(&last));
                }
                out.push_str("data: [DONE]\n\n");
            }
        }
        out.into()
    }
}
