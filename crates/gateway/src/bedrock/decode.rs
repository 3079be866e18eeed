//! Understands a reply of Converse and of ConverseStream.

use serde::Deserialize;
use serde_json::Value;

use super::{
    frames::{Message, Parser},
    request::JSON_TOOL,
};
use crate::{
    chat::{FinishReason, Usage},
    error::{ModelGatewayError, protocol},
    openai::wire::{error_text, or_default},
    provider::reply::{Decode, Out},
};

/// Reads one reply.
#[derive(Debug)]
pub(crate) struct Decoder {
    parser: Parser,
    /// The call of [`JSON_TOOL`] is the reply's text.
    json: bool,
    /// What the blocks are that have begun, by the provider's index.
    blocks: Vec<(u64, Block)>,
    /// Whether the JSON was given, so that `tool_use` means that the reply is complete.
    json_given: bool,
}

#[derive(Debug, Clone, Copy)]
enum Block {
    Call(usize),
    Json,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Whole {
    output: Option<Output>,
    stop_reason: Option<String>,
    #[serde(deserialize_with = "or_default")]
    usage: Option<WireUsage>,
    message: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Output {
    message: OutputMessage,
}

#[derive(Debug, Deserialize)]
struct OutputMessage {
    #[serde(default, deserialize_with = "or_default")]
    content: Vec<OutputBlock>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct OutputBlock {
    text: Option<String>,
    tool_use: Option<ToolUse>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ToolUse {
    tool_use_id: String,
    name: String,
    #[serde(default)]
    input: Value,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireUsage {
    #[serde(deserialize_with = "or_default")]
    input_tokens: u64,
    #[serde(deserialize_with = "or_default")]
    output_tokens: u64,
    #[serde(deserialize_with = "or_default")]
    cache_read_input_tokens: u64,
    #[serde(deserialize_with = "or_default")]
    cache_write_input_tokens: u64,
}

impl From<WireUsage> for Usage {
    fn from(usage: WireUsage) -> Self {
        Self {
            // Those of the cache are counted apart there.
            input: usage.input_tokens.saturating_add(usage.cache_read_input_tokens).saturating_add(usage.cache_write_input_tokens),
            output: usage.output_tokens,
            cached: usage.cache_read_input_tokens,
            reasoning: 0,
            estimated: false,
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Event {
    content_block_index: u64,
    start: Option<OutputStart>,
    delta: Option<Delta>,
    stop_reason: Option<String>,
    usage: Option<WireUsage>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct OutputStart {
    tool_use: Option<ToolUse>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Delta {
    text: Option<String>,
    tool_use: Option<InputDelta>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct InputDelta {
    input: String,
}

impl Decoder {
    /// A decoder for the reply to a request that wants JSON, or not.
    pub(crate) fn new(json: bool) -> Self {
        Self { parser: Parser::default(), json, blocks: Vec::new(), json_given: false }
    }

    fn take(&mut self, message: &Message, out: &mut Out) -> Result<(), ModelGatewayError> {
        match message.header(":message-type") {
            "event" => {}
            "exception" => return Err(exception(message.header(":exception-type"), &message.payload, out)),
            "error" => {
                let text = format!("{}: {}", message.header(":error-code"), message.header(":error-message"));
                return Err(out.broken(error_text(text.as_bytes())));
            }
            _ => return Err(protocol("a message of the event stream has no known type")),
        }
        let kind = message.header(":event-type");
        if !matches!(kind, "contentBlockStart" | "contentBlockDelta" | "messageStop" | "metadata") {
            return Ok(());
        }
        let event: Event =
            serde_json::from_slice(&message.payload).map_err(|e| protocol(format!("an event is not the expected JSON: {e}")))?;
        match kind {
            "contentBlockStart" => {
                if let Some(ToolUse { tool_use_id, name, .. }) = event.start.and_then(|s| s.tool_use) {
                    let block = self.begin(tool_use_id, name, out)?;
                    self.blocks.push((event.content_block_index, block));
                }
            }
            "contentBlockDelta" => {
                let delta = event.delta.unwrap_or_default();
                if let Some(text) = delta.text {
                    out.text(text)?;
                }
                if let Some(more) = delta.tool_use {
                    match self.blocks.iter().rev().find(|(index, _)| *index == event.content_block_index) {
                        Some((_, Block::Call(call))) => out.arguments(*call, more.input)?,
                        Some((_, Block::Json)) => out.text(more.input)?,
                        None => return Err(protocol("a piece of a tool call belongs to none")),
                    }
                }
            }
            "messageStop" => self.stop(event.stop_reason.as_deref().unwrap_or(""), out),
            _ => {
                if let Some(usage) = event.usage {
                    out.set_usage(usage.into());
                }
                // The last event of a stream.
                if out.is_finished() {
                    out.end();
                }
            }
        }
        Ok(())
    }

    fn begin(&mut self, id: String, name: String, out: &mut Out) -> Result<Block, ModelGatewayError> {
        if self.json && name == JSON_TOOL {
            self.json_given = true;
            return Ok(Block::Json);
        }
        out.begin_call(Some(id), name, None).map(Block::Call)
    }

    fn stop(&self, reason: &str, out: &mut Out) {
        out.set_finish(match reason {
            "end_turn" | "stop_sequence" => FinishReason::Stop,
            // The end turns `stop` into `tool_calls` when there are any beside the JSON.
            "tool_use" if self.json_given => FinishReason::Stop,
            "tool_use" => FinishReason::ToolCalls,
            "max_tokens" | "model_context_window_exceeded" => FinishReason::Length,
            "guardrail_intervened" | "content_filtered" => FinishReason::ContentFilter,
            _ => FinishReason::Other,
        });
    }
}

/// An exception within a stream; the words are AWS's names of its statuses.
fn exception(kind: &str, payload: &[u8], out: &Out) -> ModelGatewayError {
    let detail = error_text(payload);
    match kind {
        "throttlingException" | "serviceUnavailableException" if !out.has_started() => {
            ModelGatewayError::ProviderOverloaded { retry_after: None }
        }
        "validationException" if crate::provider::is_context_overflow(&detail) => ModelGatewayError::ContextOverflow { detail },
        _ => out.broken(format!("{}: {detail}", kind.chars().take(60).collect::<String>())),
    }
}

impl Decode for Decoder {
    fn push(&mut self, bytes: &[u8], out: &mut Out) -> Result<bool, ModelGatewayError> {
        self.parser.push(bytes);
        let mut any = false;
        while let Some(message) = self.parser.next_message().map_err(|e| protocol(e.text()))? {
            any = true;
            if !out.is_ended() {
                self.take(&message, out)?;
            }
        }
        Ok(any)
    }

    fn finish(&mut self, out: &mut Out) -> Result<(), ModelGatewayError> {
        self.parser.finish().map_err(|e| out.broken(e.text()))?;
        if !out.is_ended() && out.is_finished() {
            // Only the usage is missing.
            out.end();
        }
        Ok(())
    }

    fn whole(&mut self, body: &[u8], out: &mut Out) -> Result<(), ModelGatewayError> {
        let whole: Whole = serde_json::from_slice(body).map_err(|e| protocol(format!("the reply is not the expected JSON: {e}")))?;
        let Some(output) = whole.output else {
            return Err(match whole.message {
                Some(message) => out.broken(error_text(message.as_bytes())),
                None => protocol("the reply has no output"),
            });
        };
        for OutputBlock { text, tool_use } in output.message.content {
            if let Some(text) = text {
                out.text(text)?;
            }
            if let Some(ToolUse { tool_use_id, name, input }) = tool_use {
                match self.begin(tool_use_id, name, out)? {
                    Block::Call(call) => out.arguments(call, input.to_string())?,
                    Block::Json => out.text(input.to_string())?,
                }
            }
        }
        if let Some(usage) = whole.usage {
            out.set_usage(usage.into());
        }
        self.stop(whole.stop_reason.as_deref().unwrap_or(""), out);
        out.end();
        Ok(())
    }
}
