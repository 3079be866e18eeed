//! Understands a reply in OpenAI's format.

use super::wire::{Completion, Content, WireToolCall, error_text};
use crate::{
    error::{ModelGatewayError, protocol},
    provider::reply::{Decode, Out},
    sse::Parser,
};

/// Reads one reply.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    parser: Parser,
    any_event: bool,
    /// The calls that have begun: the index and id that the provider gave them.
    calls: Vec<(Option<u64>, Option<String>)>,
}

impl Decode for Decoder {
    fn push(&mut self, bytes: &[u8], out: &mut Out) -> Result<bool, ModelGatewayError> {
        let pushed = self.parser.push(bytes).map_err(|e| protocol(e.text()));
        // What was complete before the fault is good.
        let any = self.events(out)?;
        pushed.map(|()| any)
    }

    fn finish(&mut self, out: &mut Out) -> Result<(), ModelGatewayError> {
        self.parser.finish().map_err(|e| protocol(e.text()))?;
        self.events(out)?;
        if !out.is_ended() && out.is_finished() {
            // The connection ended in good order. With a finish reason nothing but the usage and `[DONE]` can be missing.
            out.end();
        }
        Ok(())
    }

    fn whole(&mut self, body: &[u8], out: &mut Out) -> Result<(), ModelGatewayError> {
        let whole: Completion = serde_json::from_slice(body).map_err(|e| protocol(format!("the reply is not the expected JSON: {e}")))?;
        self.take(whole, out)?;
        if !out.is_finished() {
            return Err(protocol("the reply has no choices"));
        }
        out.end();
        Ok(())
    }
}

impl Decoder {
    fn events(&mut self, out: &mut Out) -> Result<bool, ModelGatewayError> {
        let mut any = false;
        while let Some(event) = self.parser.next_event() {
            any = true;
            if out.is_ended() {
                continue;
            }
            if event.data.trim() == "[DONE]" {
                if !out.is_finished() && !self.any_event {
                    return Err(protocol("the stream has no reply"));
                }
                out.end();
                continue;
            }
            let event: Completion =
                serde_json::from_str(&event.data).map_err(|e| protocol(format!("an event is not the expected JSON: {e}")))?;
            self.take(event, out)?;
        }
        Ok(any)
    }

    /// Takes over what an event says.
    fn take(&mut self, event: Completion, out: &mut Out) -> Result<(), ModelGatewayError> {
        self.any_event = true;
        if let Some(error) = event.error.filter(|e| !e.is_null()) {
            return Err(out.broken(error_text(error.to_string().as_bytes())));
        }
        if let Some(model) = &event.model {
            out.set_model(model);
        }
        if let Some(usage) = event.usage {
            out.set_usage(usage.into());
        }
        let Some(choice) = event.choices.into_iter().next() else {
            return Ok(());
        };
        if let Some(finish) = choice.finish() {
            out.set_finish(finish);
        }
        if let Some(mut content) = choice.delta.or(choice.message) {
            out.text(content.text())?;
            self.take_calls(content, out)?;
        }
        Ok(())
    }

    fn take_calls(&mut self, content: Content, out: &mut Out) -> Result<(), ModelGatewayError> {
        for piece in content.tool_calls {
            let index = match self.known(&piece) {
                Some(index) => index,
                None => {
                    let id = piece.id.filter(|id| !id.is_empty());
                    self.calls.push((piece.index, id.clone()));
                    out.begin_call(id, piece.function.name.unwrap_or_default(), None)?
                }
            };
            let arguments = match piece.function.arguments {
                None | Some(serde_json::Value::Null) => continue,
                Some(serde_json::Value::String(text)) => text,
                Some(json) => json.to_string(),
            };
            out.arguments(index, arguments)?;
        }
        Ok(())
    }

    /// The call that a piece belongs to. The id decides where there is one, because some servers give every call the index 0; a piece
    /// without both belongs to the last call, unless it brings a name.
    fn known(&self, piece: &WireToolCall) -> Option<usize> {
        if let Some(id) = piece.id.as_deref().filter(|id| !id.is_empty()) {
            let same = self.calls.iter().position(|(_, known)| known.as_deref() == Some(id));
            // A server that made no id in the first piece may make one later.
            return same
                .or_else(|| self.calls.iter().position(|(index, known)| known.is_none() && index.is_some() && *index == piece.index));
        }
        match piece.index {
            Some(index) => self.calls.iter().rposition(|(known, _)| *known == Some(index)),
            None if piece.function.name.as_deref().is_some_and(|n| !n.is_empty()) => None,
            None => self.calls.len().checked_sub(1),
        }
    }
}
