//! Passes the reply of a provider that speaks our format on as it is, event by event, and reads along what the books need.

use std::borrow::Cow;

use astrolabe_kernel::egress::Response;
use bytes::{Bytes, BytesMut};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::{Instant, timeout_at};

use crate::{
    chat::Usage,
    error::{ModelGatewayError, Stage, protocol},
    openai::wire::{WireUsage, error_text},
    provider::{Limits, read_whole},
    sse::MAX_EVENT,
};

/// How long a provider gets to close its stream after the last event.
const CLOSING: std::time::Duration = std::time::Duration::from_millis(200);

/// What is read of an event or of a whole reply; the rest is checked to be JSON and skipped.
#[derive(Debug, Deserialize)]
struct Seen<'a> {
    #[serde(borrow, default)]
    choices: Option<Vec<SeenChoice<'a>>>,
    #[serde(default)]
    usage: Option<WireUsage>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

#[derive(Debug, Deserialize)]
struct SeenChoice<'a> {
    #[serde(borrow, default)]
    delta: Option<SeenDelta<'a>>,
    #[serde(borrow, default)]
    finish_reason: Option<Cow<'a, str>>,
}

#[derive(Debug, Deserialize)]
struct SeenDelta<'a> {
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    tool_calls: Option<&'a RawValue>,
}

/// What a piece of a stream said, beside its bytes.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// What is passed on; empty when nothing is.
    pub(crate) bytes: Bytes,
    /// Text and arguments in it, as they stand in the JSON, for an estimate of tokens.
    pub(crate) text: String,
}

/// A stream that is passed on.
pub(crate) struct Forward {
    response: Response,
    limits: Limits,
    splitter: Splitter,
    any_event: bool,
    over: bool,
}

/// Cuts bytes into whole events and reads along. It has no input or output of its own.
#[derive(Debug, Default)]
struct Splitter {
    rest: BytesMut,
    /// Whether the caller wants the event with the usage, which we always ask for.
    shows_usage: bool,
    usage: Option<Usage>,
    finished: bool,
    done: bool,
    began: bool,
}

impl Forward {
    /// Waits for the first event of a successful answer.
    ///
    /// # Errors
    /// As those of [`Forward::next`].
    pub(crate) async fn open(response: Response, limits: Limits, shows_usage: bool) -> Result<(Heard, Self), ModelGatewayError> {
        let kind = response.header("content-type").unwrap_or("").split(';').next().unwrap_or("").trim().to_ascii_lowercase();
        if !matches!(kind.as_str(), "text/event-stream" | "") {
            return Err(protocol(format!("the answer is {}", kind.chars().take(60).collect::<String>())));
        }
        let mut forward =
            Self { response, limits, splitter: Splitter { shows_usage, ..Splitter::default() }, any_event: false, over: false };
        match forward.next().await? {
            Some(first) => Ok((first, forward)),
            None => Err(protocol("the stream has no reply")),
        }
    }

    /// The next events; nothing after the last.
    ///
    /// # Errors
    /// `ProviderTimeout`, `ProviderServerError` or `Protocol`.
    pub(crate) async fn next(&mut self) -> Result<Option<Heard>, ModelGatewayError> {
        if self.over {
            return Ok(None);
        }
        let (until, stage) =
            if self.any_event { (Instant::now() + self.limits.idle, Stage::Idle) } else { (self.limits.first, Stage::FirstToken) };
        loop {
            if self.splitter.done {
                self.over = true;
                // Only a body that was read to its end leaves a connection that can be used again.
                let until = Instant::now() + CLOSING;
                while let Ok(Ok(Some(_))) = timeout_at(until, self.response.chunk()).await {}
                return Ok(None);
            }
            let piece = self.limits.wait(until, stage, self.response.chunk()).await?;
            let heard = match piece.map_err(|e| self.splitter.broken(format!("{e:?}")))? {
                Some(piece) => self.splitter.push(piece)?,
                None => {
                    let heard = self.splitter.finish()?;
                    self.splitter.done = true;
                    heard
                }
            };
            // Comments are no sign of life.
            if self.splitter.began {
                self.any_event = true;
            }
            if !heard.bytes.is_empty() && self.any_event {
                return Ok(Some(heard));
            }
        }
    }

    /// Whether the last event was given.
    pub(crate) fn is_done(&self) -> bool {
        self.splitter.done
    }

    /// What the provider said that the reply cost.
    pub(crate) fn usage(&self) -> Option<Usage> {
        self.splitter.usage
    }
}

impl Splitter {
    fn push(&mut self, piece: Bytes) -> Result<Heard, ModelGatewayError> {
        if self.done {
            return Ok(Heard::default());
        }
        // Nearly always a piece is whole events, and goes on without a copy.
        if self.rest.is_empty() && last_end(&piece) == Some(piece.len()) {
            return self.read(piece);
        }
        if self.rest.len() + piece.len() > MAX_EVENT {
            return Err(protocol("an event of the stream is longer than 1 MiB"));
        }
        self.rest.extend_from_slice(&piece);
        match last_end(&self.rest) {
            Some(end) => {
                let whole = self.rest.split_to(end).freeze();
                self.read(whole)
            }
            None => Ok(Heard::default()),
        }
    }

    /// The stream ended. Some providers forget the last empty line, or `[DONE]`.
    fn finish(&mut self) -> Result<Heard, ModelGatewayError> {
        let mut heard = Heard::default();
        if !self.rest.is_empty() {
            self.rest.extend_from_slice(b"\n\n");
            let whole = self.rest.split().freeze();
            heard = self.read(whole)?;
        }
        if !self.done {
            if !self.finished {
                return Err(self.broken("the stream ended before the reply did".to_owned()));
            }
            heard.bytes = [&heard.bytes[..], b"data: [DONE]\n\n"].concat().into();
        }
        Ok(heard)
    }

    /// Reads whole events.
    fn read(&mut self, events: Bytes) -> Result<Heard, ModelGatewayError> {
        let text = std::str::from_utf8(&events).map_err(|_| protocol("the stream is not UTF-8"))?;
        let mut heard = Heard::default();
        // From where to where events are dropped.
        let mut kept: Option<BytesMut> = None;
        let mut at = 0;
        while at < events.len() && !self.done {
            let end = at + first_end(&events[at..]).unwrap_or(events.len() - at);
            let shown = self.event(&text[at..end], &mut heard.text)?;
            match (&mut kept, shown) {
                (None, true) => {}
                (None, false) => kept = Some(BytesMut::from(&events[..at])),
                (Some(kept), true) => kept.extend_from_slice(&events[at..end]),
                (Some(_), false) => {}
            }
            at = end;
        }
        heard.bytes = match kept {
            Some(kept) => kept.freeze(),
            None => events.slice(..at),
        };
        Ok(heard)
    }

    /// Reads one event; whether the caller sees it.
    fn event(&mut self, event: &str, into: &mut String) -> Result<bool, ModelGatewayError> {
        let mut data = event.lines().filter_map(|line| line.strip_prefix("data:")).map(str::trim);
        let Some(first) = data.next() else { return Ok(true) };
        let joined;
        let json = match data.next() {
            None => first,
            Some(second) => {
                joined = [first, second].into_iter().chain(data).collect::<Vec<_>>().join("\n");
                &joined
            }
        };
        if json == "[DONE]" {
            if !self.began {
                return Err(protocol("the stream has no reply"));
            }
            self.done = true;
            return Ok(true);
        }
        let seen: Seen<'_> = serde_json::from_str(json).map_err(|e| protocol(format!("an event is not the expected JSON: {e}")))?;
        if let Some(error) = seen.error.filter(|e| e.get() != "null") {
            return Err(self.broken(error_text(error.get().as_bytes())));
        }
        self.began = true;
        if let Some(usage) = seen.usage {
            self.usage = Some(usage.into());
        }
        let choices = seen.choices.unwrap_or_default();
        for choice in &choices {
            self.finished |= choice.finish_reason.as_ref().is_some_and(|reason| !reason.is_empty());
            if let Some(delta) = &choice.delta {
                for raw in [delta.content, delta.tool_calls].into_iter().flatten().map(RawValue::get).filter(|r| *r != "null") {
                    into.push_str(raw.trim_matches('"'));
                }
            }
        }
        Ok(!choices.is_empty() || seen.usage.is_none() || self.shows_usage)
    }

    fn broken(&self, detail: String) -> ModelGatewayError {
        ModelGatewayError::ProviderServerError { status: None, started: self.began, detail }
    }
}

/// Where the first event ends, behind its empty line.
fn first_end(bytes: &[u8]) -> Option<usize> {
    let mut from = 0;
    while let Some(at) = bytes[from..].iter().position(|b| *b == b'\n') {
        let next = from + at + 1;
        match &bytes[next..] {
            [b'\n', ..] => return Some(next + 1),
            [b'\r', b'\n', ..] => return Some(next + 2),
            _ => from = next,
        }
    }
    None
}

/// Where the last whole event ends.
fn last_end(bytes: &[u8]) -> Option<usize> {
    let mut to = bytes.len();
    while let Some(at) = bytes[..to].iter().rposition(|b| *b == b'\n') {
        if bytes[..at].ends_with(b"\n") || bytes[..at].ends_with(b"\n\r") {
            return Some(at + 1);
        }
        to = at;
    }
    None
}

/// Reads a reply that comes as one body. It is passed on as it is.
///
/// # Errors
/// As those of [`Forward::next`].
pub(crate) async fn whole(mut response: Response, limits: Limits) -> Result<(Bytes, Option<Usage>), ModelGatewayError> {
    let kind = response.header("content-type").unwrap_or("").to_ascii_lowercase();
    if !kind.starts_with("application/json") {
        return Err(protocol(format!("the answer is {}", kind.chars().take(60).collect::<String>())));
    }
    let body = limits.wait(limits.whole, Stage::Whole, read_whole(&mut response)).await??;
    let seen: Seen<'_> = serde_json::from_slice(&body).map_err(|e| protocol(format!("the reply is not the expected JSON: {e}")))?;
    if let Some(error) = seen.error.filter(|e| e.get() != "null") {
        return Err(ModelGatewayError::ProviderServerError { status: None, started: false, detail: error_text(error.get().as_bytes()) });
    }
    if seen.choices.is_none_or(|choices| choices.is_empty()) {
        return Err(protocol("the reply has no choices"));
    }
    let usage = seen.usage.map(Usage::from);
    Ok((body, usage))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = ": hello\n\ndata: {\"choices\":[{\"delta\":{\"content\":\"zażółć \\n\"}}]}\n\n\
        data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\r\n\r\n\
        data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2}}\n\ndata: [DONE]\n\n";

    fn read(pieces: &[&[u8]], shows_usage: bool) -> Result<(String, String, Option<Usage>), ModelGatewayError> {
        let mut splitter = Splitter { shows_usage, ..Splitter::default() };
        let (mut bytes, mut text) = (Vec::new(), String::new());
        for piece in pieces {
            let heard = splitter.push(Bytes::copy_from_slice(piece))?;
            bytes.extend_from_slice(&heard.bytes);
            text.push_str(&heard.text);
        }
        if !splitter.done {
            let heard = splitter.finish()?;
            bytes.extend_from_slice(&heard.bytes);
        }
        Ok((String::from_utf8(bytes).unwrap(), text, splitter.usage))
    }

    #[test]
    fn a_stream_is_passed_on_as_it_is_wherever_it_is_cut() {
        let usage = Some(Usage { input: 3, output: 2, ..Usage::default() });
        let bytes = STREAM.as_bytes();
        for cut in 0..=bytes.len() {
            let (passed, text, counted) = read(&[&bytes[..cut], &bytes[cut..]], true).unwrap();
            assert_eq!((passed.as_str(), text.as_str(), counted), (STREAM, "zażółć \\n", usage), "{cut}");
        }
        let pieces: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(read(&pieces, true).unwrap().0, STREAM);
    }

    #[test]
    fn the_event_with_the_usage_that_only_we_asked_for_is_taken_out() {
        let (passed, _, usage) = read(&[STREAM.as_bytes()], false).unwrap();
        assert!(usage.is_some() && !passed.contains("usage") && passed.ends_with("data: [DONE]\n\n"), "{passed}");
        assert_eq!(passed.len() + "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2}}\n\n".len(), STREAM.len());
    }

    #[test]
    fn a_stream_that_is_cut_is_an_error_at_every_byte_before_the_reply_was_over() {
        let over = STREAM.find("\"stop\"").unwrap() + "\"stop\"}]}".len();
        for cut in 0..over {
            let error = read(&[&STREAM.as_bytes()[..cut]], true).unwrap_err();
            assert!(
                matches!(error, ModelGatewayError::ProviderServerError { .. } | ModelGatewayError::Protocol { .. }),
                "{cut}: {error:?}"
            );
        }
        let (passed, ..) = read(&[&STREAM.as_bytes()[..STREAM.find("data: [DONE]").unwrap()]], true).unwrap();
        assert_eq!(passed, STREAM, "a forgotten [DONE] is said");
    }

    #[test]
    fn what_breaks_the_protocol_is_an_error() {
        for bad in
            [&b"data: {\"choices\":[\n\n"[..], b"data: nonsense\n\n", b"data: \xff\n\n", b"data: [DONE]\n\n", b"data: {\"choices\":7}\n\n"]
        {
            assert!(matches!(read(&[bad], true), Err(ModelGatewayError::Protocol { .. })), "{}", String::from_utf8_lossy(bad));
        }
        let long = vec![b'x'; MAX_EVENT + 1];
        assert!(matches!(read(&[&long], true), Err(ModelGatewayError::Protocol { .. })));
        let error = read(&[b"data: {\"error\":{\"message\":\"slow\"}}\n\n"], true).unwrap_err();
        assert!(matches!(error, ModelGatewayError::ProviderServerError { started: false, .. }));
    }
}
