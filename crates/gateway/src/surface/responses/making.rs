//! A response in the making: from the pieces of a reply to items, events and the object that is shown.

use std::sync::Arc;

use astrolabe_kernel::Error;
use serde_json::{Value, json};

use super::super::errors;
use crate::{
    chat::{ChatDelta, ChatReply, FinishReason, ToolCallDelta, Usage},
    collect::Collector,
};

/// What stays the same while a response is made.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    pub(super) id: String,
    pub(super) created: i64,
    pub(super) model: String,
    /// Fields of the request that the response repeats.
    pub(super) echo: Value,
}

impl Frame {
    /// The object as it is shown.
    pub(super) fn shown(&self, status: &str, output: &[Value], usage: Option<&Usage>, error: Option<&Error>, cut: Option<&str>) -> Value {
        let mut shown = json!({
            "id": self.id,
            "object": "response",
            "created_at": self.created,
            "status": status,
            "model": self.model,
            "output": output,
            "usage": usage.map(|usage| json!({
                "input_tokens": usage.input,
                "input_tokens_details": {"cached_tokens": usage.cached},
                "output_tokens": usage.output,
                "output_tokens_details": {"reasoning_tokens": usage.reasoning},
                "total_tokens": usage.input + usage.output,
            })),
            "error": error.map(|e| json!({"code": "server_error", "message": e.message()})),
            "incomplete_details": cut.map(|reason| json!({"reason": reason})),
        });
        if let (Value::Object(shown), Value::Object(echo)) = (&mut shown, &self.echo) {
            shown.extend(echo.clone());
        }
        shown
    }
}

/// Puts pieces together and makes the events of them.
pub(super) struct Making {
    frame: Arc<Frame>,
    collector: Collector,
    sequence: u64,
    output: Vec<Value>,
    text: String,
    text_open: bool,
    calls: Vec<Call>,
}

struct Call {
    item: String,
    output_index: usize,
    call_id: String,
    name: String,
    arguments: String,
}

/// How it ended: the object to show, and the whole reply for whoever goes on.
pub(super) struct Made {
    pub(super) shown: Value,
    pub(super) reply: Option<ChatReply>,
}

impl Making {
    pub(super) fn new(frame: Arc<Frame>) -> Self {
        Self {
            frame,
            collector: Collector::default(),
            sequence: 0,
            output: Vec::new(),
            text: String::new(),
            text_open: false,
            calls: Vec::new(),
        }
    }

    fn event(&mut self, kind: &str, mut data: Value) -> String {
        data["type"] = json!(kind);
        data["sequence_number"] = json!(self.sequence);
        self.sequence += 1;
        format!("event: {kind}\ndata: {data}\n\n")
    }

    /// The first events.
    pub(super) fn begin(&mut self) -> String {
        let response = self.frame.shown("in_progress", &[], None, None, None);
        self.event("response.created", json!({"response": response})) + &self.event("response.in_progress", json!({"response": response}))
    }

    fn message_id(&self) -> String {
        self.frame.id.replacen("resp_", "msg_", 1)
    }

    fn message(&self, status: &str) -> Value {
        let content = match status {
            "completed" => json!([{"type": "output_text", "text": self.text, "annotations": []}]),
            _ => json!([]),
        };
        json!({"id": self.message_id(), "type": "message", "role": "assistant", "status": status, "content": content})
    }

    /// Takes a piece; its events.
    pub(super) fn push(&mut self, delta: ChatDelta) -> String {
        self.collector.push(delta.clone());
        match delta {
            ChatDelta::Text(text) => {
                let mut out = String::new();
                if !self.text_open {
                    self.text_open = true;
                    let item = self.message("in_progress");
                    let part = json!({"type": "output_text", "text": "", "annotations": []});
                    let place = json!({"item_id": self.message_id(), "output_index": self.output.len(), "content_index": 0, "part": part});
                    out += &self.event("response.output_item.added", json!({"output_index": self.output.len(), "item": item}));
                    out += &self.event("response.content_part.added", place);
                }
                self.text.push_str(&text);
                let data = json!({"item_id": self.message_id(), "output_index": self.output.len(), "content_index": 0, "delta": text, "logprobs": []});
                out + &self.event("response.output_text.delta", data)
            }
            ChatDelta::ToolCall(piece) => self.push_call(piece),
            ChatDelta::End(_) => String::new(),
        }
    }

    fn push_call(&mut self, piece: ToolCallDelta) -> String {
        let mut out = self.close_text();
        if piece.index == self.calls.len() {
            let (call_id, name) = (piece.id.unwrap_or_default(), piece.name.unwrap_or_default());
            let item = format!("fc_{}_{}", self.frame.id.trim_start_matches("resp_"), piece.index);
            let call = Call { item, output_index: self.output.len() + piece.index, call_id, name, arguments: String::new() };
            let data = json!({"output_index": call.output_index, "item": call.item("in_progress")});
            out += &self.event("response.output_item.added", data);
            self.calls.push(call);
        }
        let Some(call) = self.calls.get_mut(piece.index) else { return out };
        call.arguments.push_str(&piece.arguments);
        let data = json!({"item_id": call.item, "output_index": call.output_index, "delta": piece.arguments});
        match piece.arguments.is_empty() {
            true => out,
            false => out + &self.event("response.function_call_arguments.delta", data),
        }
    }

    fn close_text(&mut self) -> String {
        if !self.text_open {
            return String::new();
        }
        self.text_open = false;
        let (id, index) = (self.message_id(), self.output.len());
        let part = json!({"type": "output_text", "text": self.text, "annotations": []});
        let item = self.message("completed");
        let done = json!({"item_id": id, "output_index": index, "content_index": 0, "text": self.text, "logprobs": []});
        let mut out = self.event("response.output_text.done", done);
        out += &self.event("response.content_part.done", json!({"item_id": id, "output_index": index, "content_index": 0, "part": part}));
        out += &self.event("response.output_item.done", json!({"output_index": index, "item": item}));
        self.output.push(item);
        out
    }

    /// The reply is over; its last events.
    pub(super) fn end(mut self, error: Option<Error>) -> (String, Made) {
        let mut out = self.close_text();
        for call in std::mem::take(&mut self.calls) {
            let done = json!({"item_id": call.item, "output_index": call.output_index, "arguments": call.arguments, "name": call.name});
            out += &self.event("response.function_call_arguments.done", done);
            let item = call.item("completed");
            out += &self.event("response.output_item.done", json!({"output_index": call.output_index, "item": item}));
            self.output.push(item);
        }
        let collected = std::mem::take(&mut self.collector).finish();
        let (kind, shown, reply) = match (error, collected) {
            (None, Ok(reply)) => {
                let cut = match reply.finish_reason {
                    FinishReason::Length => Some("max_output_tokens"),
                    FinishReason::ContentFilter => Some("content_filter"),
                    _ => None,
                };
                let status = if cut.is_some() { "incomplete" } else { "completed" };
                let shown = self.frame.shown(status, &self.output, Some(&reply.usage), None, cut);
                (if cut.is_some() { "response.incomplete" } else { "response.completed" }, shown, Some(reply))
            }
            (error, collected) => {
                let error =
                    error.or_else(|| collected.err().map(errors::told)).unwrap_or_else(|| Error::internal("a reply without an end"));
                ("response.failed", self.frame.shown("failed", &self.output, None, Some(&error), None), None)
            }
        };
        out += &self.event(kind, json!({"response": shown}));
        (out, Made { shown, reply })
    }
}

impl Call {
    fn item(&self, status: &str) -> Value {
        json!({"id": self.item, "type": "function_call", "status": status, "call_id": self.call_id, "name": self.name, "arguments": self.arguments})
    }
}
