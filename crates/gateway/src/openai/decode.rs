//! Understands a reply in OpenAI's format.

use super::wire::{Completion, Content, WireToolCall, error_text};
use crate::{
    error::{ModelGatewayError, protocol},
    provider::reply::{Decode, Out},
    sse::Parser,
};

/// Reads one reply.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        chat::{ChatReply, ChatRequest, FinishReason, Usage},
        collect::Collector,
    };

    fn read(events: &[&str]) -> Result<ChatReply, ModelGatewayError> {
        let (mut decoder, mut out) = (Decoder::default(), Out::new("m", &Arc::new(ChatRequest::default())));
        for event in events {
            decoder.push(format!("data: {event}\n\n").as_bytes(), &mut out)?;
        }
        decoder.finish(&mut out)?;
        let mut collector = Collector::default();
        std::iter::from_fn(|| out.take()).for_each(|delta| collector.push(delta));
        collector.finish()
    }

    fn calls(deltas: &[&str]) -> Vec<(String, String)> {
        let mut events: Vec<String> = deltas.iter().map(|d| format!("{{\"choices\":[{{\"delta\":{{\"tool_calls\":{d}}}}}]}}")).collect();
        events.push("{\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}".to_owned());
        let reply = read(&events.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
        assert_eq!(reply.finish_reason, FinishReason::ToolCalls, "whatever the server says");
        assert!(reply.tool_calls.iter().all(|c| !c.id.is_empty()), "{reply:?}");
        reply.tool_calls.into_iter().map(|c| (c.name, c.arguments)).collect()
    }

    #[test]
    fn calls_are_put_together_whatever_a_server_says_about_them() {
        let two = [("a".to_owned(), "{\"x\":1}".to_owned()), ("b".to_owned(), "{}".to_owned())];
        let ways: [&[&str]; 7] = [
            // OpenAI and vLLM: index with every piece, id and name with the first.
            &[
                r#"[{"index":0,"id":"1","type":"function","function":{"name":"a","arguments":""}}]"#,
                r#"[{"index":0,"function":{"arguments":"{\"x\""}}]"#,
                r#"[{"index":0,"function":{"arguments":":1}"}},{"index":1,"id":"2","function":{"name":"b","arguments":"{}"}}]"#,
            ],
            // Ollama: every call whole, and all with the index 0.
            &[
                r#"[{"index":0,"id":"1","function":{"name":"a","arguments":"{\"x\":1}"}}]"#,
                r#"[{"index":0,"id":"2","function":{"name":"b","arguments":"{}"}}]"#,
            ],
            // No index.
            &[
                r#"[{"id":"1","function":{"name":"a","arguments":"{\"x\""}}]"#,
                r#"[{"function":{"arguments":":1}"}}]"#,
                r#"[{"id":"2","function":{"name":"b","arguments":null}}]"#,
            ],
            // No id, and arguments as JSON.
            &[r#"[{"function":{"name":"a","arguments":{"x":1}}},{"function":{"name":"b"}}]"#],
            // An empty id, and the name again with every piece.
            &[
                r#"[{"index":0,"id":"","function":{"name":"a","arguments":"{\"x\""}}]"#,
                r#"[{"index":0,"id":"","function":{"name":"a","arguments":":1}"}},{"index":1,"id":"","function":{"name":"b","arguments":"{}"}}]"#,
            ],
            // The id again with every piece.
            &[
                r#"[{"index":0,"id":"1","function":{"name":"a","arguments":"{\"x\""}}]"#,
                r#"[{"index":0,"id":"1","function":{"name":null,"arguments":":1}"}}]"#,
                r#"[{"index":1,"id":"2","function":{"name":"b","arguments":"{}"}}]"#,
            ],
            // Indices from 1.
            &[
                r#"[{"index":1,"id":"1","function":{"name":"a","arguments":"{\"x\":1}"}}]"#,
                r#"[{"index":2,"id":"2","function":{"name":"b","arguments":""}}]"#,
            ],
        ];
        for way in ways {
            assert_eq!(calls(way), two, "{way:?}");
        }
    }

    #[test]
    fn text_and_usage_are_found_where_servers_put_them() {
        let reply = read(&[
            r#"{"choices":null,"usage":null}"#,
            r#"{"choices":[{"delta":{"role":"assistant","content":[{"type":"text","text":"a"},{"type":"thinking","thinking":[]}]}}]}"#,
            r#"{"choices":[{"delta":{"content":"b","reasoning_content":"hm","tool_calls":null}}],"usage":{"prompt_tokens":1,"completion_tokens":1}}"#,
            r#"{"choices":[{"delta":{"content":null},"finish_reason":"eos"}],"usage":{"prompt_tokens":9,"completion_tokens":2,"prompt_tokens_details":null,"total_tokens":11}}"#,
        ])
        .unwrap();
        assert_eq!((reply.text.as_str(), reply.finish_reason), ("ab", FinishReason::Stop));
        assert_eq!(reply.usage, Usage { input: 9, output: 2, ..Usage::default() });
    }

    #[test]
    fn what_a_model_refuses_to_say_is_its_answer() {
        let reply =
            read(&[r#"{"choices":[{"delta":{"content":null,"refusal":"I cannot."}}]}"#, r#"{"choices":[{"finish_reason":"stop"}]}"#]);
        assert_eq!(reply.unwrap().text, "I cannot.");
    }

    #[test]
    fn calls_without_end_or_without_name_are_refused() {
        let endless: Vec<String> = (0..200)
            .map(|i| format!(r#"{{"choices":[{{"delta":{{"tool_calls":[{{"id":"{i}","function":{{"name":"a"}}}}]}}}}]}}"#))
            .collect();
        let nameless = [r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"1","function":{"arguments":"{}"}}]}}]}"#];
        for events in [endless.iter().map(String::as_str).collect::<Vec<_>>(), nameless.to_vec()] {
            assert!(matches!(read(&events), Err(ModelGatewayError::Protocol { .. })));
        }
    }

    #[test]
    fn a_reply_without_end_is_refused_instead_of_kept() {
        let piece = format!(r#"{{"choices":[{{"delta":{{"content":"{}"}}}}]}}"#, "x".repeat(500_000));
        assert!(matches!(read(&vec![piece.as_str(); 20]), Err(ModelGatewayError::Protocol { .. })));
    }
}
