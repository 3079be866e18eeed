//! Reads one reply of a provider, event by event, under its time limits.

use std::{future::Future, time::Duration};

use astrolabe_kernel::egress::Response;
use tokio::time::{Instant, timeout_at};

use super::{
    sse::Parser,
    wire::{Completion, error_text},
};
use crate::{
    chat::{ChatDelta, ChatEnd, FinishReason, Usage},
    error::{ModelGatewayError, Stage},
};

/// Bytes of a reply that does not come as events.
const MAX_BODY: usize = 8 * 1024 * 1024;

/// Characters that a streamed reply may have; far above what `max_tokens` lets a sound provider send.
const MAX_TEXT: usize = 4 * 1024 * 1024;

/// How long a provider gets to close its stream after the last event, so that the connection can be used again.
const CLOSING: Duration = Duration::from_millis(200);

/// The waits that a reply is read under.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Until the first event, counted from the sending of the request.
    pub first: Instant,
    /// Between two events.
    pub idle: Duration,
    /// The end of everything.
    pub whole: Instant,
}

impl Limits {
    /// Waits for `work` until the earlier of `until` and the end of everything; `stage` names the former.
    ///
    /// # Errors
    /// `ProviderTimeout`.
    pub async fn wait<T>(&self, until: Instant, stage: Stage, work: impl Future<Output = T>) -> Result<T, ModelGatewayError> {
        let (until, stage) = if self.whole <= until { (self.whole, Stage::Whole) } else { (until, stage) };
        timeout_at(until, work).await.map_err(|_| ModelGatewayError::ProviderTimeout { stage })
    }
}

/// A reply that is being read. Dropping it closes the connection, which tells the provider to stop.
pub struct Reply {
    response: Response,
    parser: Parser,
    limits: Limits,
    prompt_chars: usize,
    text_chars: usize,
    model: String,
    usage: Option<Usage>,
    finish: Option<FinishReason>,
    any_event: bool,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Events,
    OneBody,
    /// The text of the one body has been given; only the end is left.
    BodyGiven,
    Closing,
    Over,
}

impl Reply {
    /// Starts reading a successful answer. `model` is what we asked for, `prompt_chars` what we sent; both serve when the provider says nothing.
    ///
    /// # Errors
    /// `Protocol` when the answer is neither a stream of events nor JSON.
    pub fn new(response: Response, limits: Limits, model: &str, prompt_chars: usize) -> Result<Self, ModelGatewayError> {
        let kind = response.header("content-type").unwrap_or("").split(';').next().unwrap_or("").trim().to_ascii_lowercase();
        let state = match kind.as_str() {
            // Some providers forget the type of a stream.
            "text/event-stream" | "" => State::Events,
            // Some answer at once although a stream was asked for.
            "application/json" => State::OneBody,
            other => return Err(protocol(format!("the answer is {}", other.chars().take(60).collect::<String>()))),
        };
        Ok(Self {
            response,
            parser: Parser::default(),
            limits,
            prompt_chars,
            text_chars: 0,
            model: model.to_owned(),
            usage: None,
            finish: None,
            any_event: false,
            state,
        })
    }

    /// The next piece; nothing after the end.
    ///
    /// # Errors
    /// `ProviderTimeout`, `ProviderServerError` or `Protocol`. Nothing comes after an error.
    pub async fn next(&mut self) -> Result<Option<ChatDelta>, ModelGatewayError> {
        let result = match self.state {
            State::Events => self.next_of_events().await.map(Some),
            State::OneBody => self.next_of_body().await.map(Some),
            State::BodyGiven => Ok(Some(self.end(State::Over))),
            State::Closing => {
                self.close().await;
                Ok(None)
            }
            State::Over => Ok(None),
        };
        if result.is_err() {
            self.state = State::Over;
        }
        result
    }

    async fn next_of_events(&mut self) -> Result<ChatDelta, ModelGatewayError> {
        loop {
            let Some(data) = self.next_event().await? else {
                // The connection ended in good order. With a finish reason nothing but `[DONE]` can be missing.
                return match self.finish {
                    Some(_) => Ok(self.end(State::Over)),
                    None => Err(self.broken("the stream ended before the reply did")),
                };
            };
            if data.trim() == "[DONE]" {
                if self.finish.is_none() && !self.any_event {
                    return Err(protocol("the stream has no reply"));
                }
                return Ok(self.end(State::Closing));
            }
            let event: Completion = serde_json::from_str(&data).map_err(|e| protocol(format!("an event is not the expected JSON: {e}")))?;
            if let Some(text) = self.take(event)? {
                return Ok(ChatDelta::Text(text));
            }
        }
    }

    async fn next_of_body(&mut self) -> Result<ChatDelta, ModelGatewayError> {
        let mut body = Vec::new();
        loop {
            let piece = self.limits.wait(self.limits.first, Stage::FirstToken, self.response.chunk()).await?;
            match piece.map_err(|e| self.broken(&format!("{e:?}")))? {
                Some(piece) if body.len() + piece.len() > MAX_BODY => return Err(protocol("the reply is longer than 8 MiB")),
                Some(piece) => body.extend_from_slice(&piece),
                None => break,
            }
        }
        let whole: Completion = serde_json::from_slice(&body).map_err(|e| protocol(format!("the reply is not the expected JSON: {e}")))?;
        let text = self.take(whole)?;
        if self.finish.is_none() {
            return Err(protocol("the reply has no choices"));
        }
        match text {
            Some(text) => {
                self.state = State::BodyGiven;
                Ok(ChatDelta::Text(text))
            }
            None => Ok(self.end(State::Over)),
        }
    }

    /// Takes over what an event says and gives its text, if it has any.
    fn take(&mut self, event: Completion) -> Result<Option<String>, ModelGatewayError> {
        self.any_event = true;
        if let Some(error) = event.error.filter(|e| !e.is_null()) {
            return Err(self.broken(&error_text(error.to_string().as_bytes())));
        }
        if let Some(model) = event.model.filter(|m| !m.is_empty()) {
            self.model = model.chars().take(200).collect();
        }
        if let Some(usage) = event.usage {
            self.usage = Some(usage.into());
        }
        let Some(mut choice) = event.choices.into_iter().next() else {
            return Ok(None);
        };
        if let Some(finish) = choice.finish() {
            self.finish = Some(finish);
        }
        let text = choice.text();
        self.text_chars += text.chars().count();
        if self.text_chars > MAX_TEXT {
            return Err(protocol("the reply is longer than 4 million characters"));
        }
        Ok((!text.is_empty()).then_some(text))
    }

    /// The data of the next event; nothing at the end of the stream. Comments do not count as a sign of life.
    async fn next_event(&mut self) -> Result<Option<String>, ModelGatewayError> {
        let (until, stage) =
            if self.any_event { (Instant::now() + self.limits.idle, Stage::Idle) } else { (self.limits.first, Stage::FirstToken) };
        loop {
            if let Some(event) = self.parser.next_event() {
                return Ok(Some(event.data));
            }
            let piece = self.limits.wait(until, stage, self.response.chunk()).await?;
            match piece.map_err(|e| self.broken(&format!("{e:?}")))? {
                Some(piece) => self.parser.push(&piece).map_err(|e| protocol(e.text()))?,
                None => {
                    self.parser.finish().map_err(|e| protocol(e.text()))?;
                    return Ok(self.parser.next_event().map(|e| e.data));
                }
            }
        }
    }

    fn end(&mut self, state: State) -> ChatDelta {
        self.state = state;
        ChatDelta::End(ChatEnd {
            finish_reason: self.finish.unwrap_or(FinishReason::Stop),
            usage: self.usage.unwrap_or_else(|| Usage::estimate(self.prompt_chars, self.text_chars)),
            model: std::mem::take(&mut self.model),
        })
    }

    /// Reads the end of a stream that is over, because only a body that was read to its end leaves a connection that can be used again.
    async fn close(&mut self) {
        self.state = State::Over;
        let until = Instant::now() + CLOSING;
        while let Ok(Ok(Some(_))) = timeout_at(until, self.response.chunk()).await {}
    }

    fn broken(&self, detail: &str) -> ModelGatewayError {
        ModelGatewayError::ProviderServerError { status: None, started: self.text_chars > 0, detail: detail.to_owned() }
    }
}

fn protocol(detail: impl Into<String>) -> ModelGatewayError {
    ModelGatewayError::Protocol { detail: detail.into() }
}
