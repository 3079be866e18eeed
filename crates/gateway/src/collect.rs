//! Puts the pieces of a reply together.

use crate::{
    chat::{ChatDelta, ChatEnd, ChatReply, ToolCall},
    error::{ModelGatewayError, protocol},
};

/// Calls that one reply may ask for.
pub const MAX_TOOL_CALLS: usize = 128;

/// A reply that is being put together. What it takes has been bounded by the adapter.
#[derive(Debug, Default)]
pub struct Collector {
    text: String,
    calls: Vec<ToolCall>,
    end: Option<ChatEnd>,
}

impl Collector {
    /// Takes the next piece.
    pub fn push(&mut self, delta: ChatDelta) {
        match delta {
            ChatDelta::Text(more) => self.text.push_str(&more),
            ChatDelta::ToolCall(piece) => {
                if piece.index == self.calls.len() && self.calls.len() < MAX_TOOL_CALLS {
                    self.calls.push(ToolCall { id: String::new(), name: String::new(), arguments: String::new(), signature: None });
                }
                let Some(call) = self.calls.get_mut(piece.index) else { return };
                if let Some(id) = piece.id {
                    call.id = id;
                }
                if let Some(name) = piece.name {
                    call.name = name;
                }
                call.arguments.push_str(&piece.arguments);
                call.signature = piece.signature.or(call.signature.take());
            }
            ChatDelta::End(end) => self.end = Some(end),
        }
    }

    /// The whole reply. A call without arguments has `{}`.
    ///
    /// # Errors
    /// `Protocol` when there was no end.
    pub fn finish(self) -> Result<ChatReply, ModelGatewayError> {
        let ChatEnd { finish_reason, usage, model } = self.end.ok_or_else(|| protocol("the stream gave no end"))?;
        let mut tool_calls = self.calls;
        for call in tool_calls.iter_mut().filter(|c| c.arguments.trim().is_empty()) {
            call.arguments = "{}".to_owned();
        }
        Ok(ChatReply { text: self.text, tool_calls, finish_reason, usage, model })
    }
}
