//! Reads one reply of a provider under its time limits and bounds.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use astrolabe_kernel::egress::Response;
use tokio::time::{Instant, timeout_at};

use super::{Limits, http::read_whole};
use crate::{
    chat::{ChatDelta, ChatEnd, ChatReply, ChatRequest, FinishReason, ToolCallDelta, Usage},
    collect::{Collector, MAX_TOOL_CALLS},
    error::{ModelGatewayError, Stage, protocol},
    tokens,
};

/// Bytes of text and arguments that a reply may have; far above what a limit of tokens lets a sound provider send.
const MAX_REPLY: usize = 8 * 1024 * 1024;

/// How long a provider gets to close its stream after the last event, so that the connection can be used again.
const CLOSING: Duration = Duration::from_millis(200);

/// Understands the bytes of one reply. It has no input and output of its own, so that every cut can be tried in a test.
pub(crate) trait Decode: Send {
    /// Takes the next bytes of a stream and says whether an event was complete. Comments are no events: they are no sign of life.
    ///
    /// # Errors
    /// When the stream cannot be read on. What `out` has got before stays good.
    fn push(&mut self, bytes: &[u8], out: &mut Out) -> Result<bool, ModelGatewayError>;

    /// The stream ended in good order.
    ///
    /// # Errors
    /// When the reply was not complete.
    fn finish(&mut self, out: &mut Out) -> Result<(), ModelGatewayError>;

    /// Takes a reply that came as one body.
    ///
    /// # Errors
    /// When it is none.
    fn whole(&mut self, body: &[u8], out: &mut Out) -> Result<(), ModelGatewayError>;
}

/// What is known of a reply so far.
pub(crate) struct Out {
    ready: VecDeque<ChatDelta>,
    request: Arc<ChatRequest>,
    model: String,
    usage: Option<Usage>,
    finish: Option<FinishReason>,
    calls: usize,
    bytes: usize,
    written: tokens::Counter,
    ended: bool,
}

impl Out {
    /// Nothing yet. `model` is what we asked for; it serves when the provider does not say.
    pub(crate) fn new(model: &str, request: &Arc<ChatRequest>) -> Self {
        Self {
            ready: VecDeque::new(),
            request: Arc::clone(request),
            model: model.to_owned(),
            usage: None,
            finish: None,
            calls: 0,
            bytes: 0,
            written: tokens::Counter::default(),
            ended: false,
        }
    }

    /// The model as the provider names it.
    pub(crate) fn set_model(&mut self, model: &str) {
        if !model.is_empty() && model != self.model {
            self.model = model.chars().filter(|c| !c.is_control()).take(200).collect();
        }
    }

    /// What the provider says that it cost; the last word counts.
    pub(crate) fn set_usage(&mut self, usage: Usage) {
        self.usage = Some(usage);
    }

    /// Why the reply ended.
    pub(crate) fn set_finish(&mut self, finish: FinishReason) {
        self.finish = Some(finish);
    }

    /// Whether the provider has said why the reply ended.
    pub(crate) fn is_finished(&self) -> bool {
        self.finish.is_some()
    }

    /// Whether the end was given.
    pub(crate) fn is_ended(&self) -> bool {
        self.ended
    }

    /// More text. NUL is taken out: no database takes it as text, and no reader sees it.
    ///
    /// # Errors
    /// `Protocol` when the reply is too long.
    pub(crate) fn text(&mut self, mut text: String) -> Result<(), ModelGatewayError> {
        if text.contains('\0') {
            text.retain(|c| c != '\0');
        }
        if text.is_empty() {
            return Ok(());
        }
        self.grow(text.len())?;
        self.written.push(&text);
        self.ready.push_back(ChatDelta::Text(text));
        Ok(())
    }

    /// A call begins; its index.
    ///
    /// # Errors
    /// `Protocol` when the tool has no name or there are too many calls.
    pub(crate) fn begin_call(&mut self, id: Option<String>, name: String, signature: Option<String>) -> Result<usize, ModelGatewayError> {
        let index = self.calls;
        if index == MAX_TOOL_CALLS {
            return Err(protocol(format!("the reply asks for more than {MAX_TOOL_CALLS} tools")));
        }
        if name.is_empty() || name.len() > 256 || name.contains(char::is_control) {
            return Err(protocol("a tool call has no usable name"));
        }
        let id = match id {
            Some(id) if id.len() > 512 || id.contains(char::is_control) => return Err(protocol("a tool call has no usable id")),
            Some(id) if !id.is_empty() => id,
            // The number of calls that came before makes it unique in the conversation too.
            _ => format!("call_{}_{index}", self.request.messages.len()),
        };
        self.grow(name.len() + signature.as_ref().map_or(0, String::len))?;
        self.written.push(&name);
        self.calls += 1;
        self.ready.push_back(ChatDelta::ToolCall(ToolCallDelta {
            index,
            id: Some(id),
            name: Some(name),
            arguments: String::new(),
            signature,
        }));
        Ok(index)
    }

    /// More of the arguments of a call that has begun.
    ///
    /// # Errors
    /// `Protocol` when the reply is too long.
    pub(crate) fn arguments(&mut self, index: usize, arguments: String) -> Result<(), ModelGatewayError> {
        if arguments.is_empty() {
            return Ok(());
        }
        self.grow(arguments.len())?;
        self.written.push(&arguments);
        match self.ready.back_mut() {
            Some(ChatDelta::ToolCall(last)) if last.index == index => last.arguments.push_str(&arguments),
            _ => self.ready.push_back(ChatDelta::ToolCall(ToolCallDelta { index, arguments, ..ToolCallDelta::default() })),
        }
        Ok(())
    }

    /// The reply is complete. Nothing may follow.
    pub(crate) fn end(&mut self) {
        let finish_reason = match self.finish.unwrap_or(FinishReason::Stop) {
            // Some providers say `stop` whatever the model wants.
            FinishReason::Stop if self.calls > 0 => FinishReason::ToolCalls,
            other => other,
        };
        let usage = self.usage.unwrap_or_else(|| tokens::estimate(&self.request, self.written.total()));
        self.ready.push_back(ChatDelta::End(ChatEnd { finish_reason, usage, model: std::mem::take(&mut self.model) }));
        self.ended = true;
    }

    /// Whether anything of the reply has been given.
    pub(crate) fn has_started(&self) -> bool {
        self.bytes > 0
    }

    /// The provider failed or broke off.
    pub(crate) fn broken(&self, detail: impl Into<String>) -> ModelGatewayError {
        ModelGatewayError::ProviderServerError { status: None, started: self.bytes > 0, detail: detail.into() }
    }

    /// The next piece that is ready.
    pub(crate) fn take(&mut self) -> Option<ChatDelta> {
        self.ready.pop_front()
    }

    fn grow(&mut self, more: usize) -> Result<(), ModelGatewayError> {
        self.bytes += more;
        if self.bytes > MAX_REPLY {
            return Err(protocol("the reply is longer than 8 MiB"));
        }
        Ok(())
    }
}

/// A reply that is being read. Dropping it closes the connection, which tells the provider to stop.
pub struct ReplyStream {
    response: Response,
    decoder: Box<dyn Decode>,
    out: Out,
    limits: Limits,
    any_event: bool,
    /// Given once everything before it has been.
    failed: Option<ModelGatewayError>,
    over: bool,
}

impl ReplyStream {
    /// Starts reading a successful answer and waits for its first piece. `streams` are the media types of the provider's streams.
    pub(crate) async fn open(
        mut response: Response,
        mut decoder: Box<dyn Decode>,
        mut out: Out,
        limits: Limits,
        streams: &[&str],
    ) -> Result<Self, ModelGatewayError> {
        let mut failed = None;
        let is_stream = match media_type(&response).as_str() {
            // Some answer at once although a stream was asked for.
            "application/json" => false,
            kind if streams.contains(&kind) => true,
            other => return Err(protocol(format!("the answer is {}", other.chars().take(60).collect::<String>()))),
        };
        if !is_stream {
            let body = limits.wait(limits.first, Stage::FirstToken, read_whole(&mut response)).await??;
            failed = decoder.whole(&body, &mut out).err();
        }
        let over = !is_stream;
        let mut reply = Self { response, decoder, out, limits, any_event: false, failed, over };
        reply.fill().await;
        match reply.failed.take() {
            Some(error) if reply.out.ready.is_empty() => Err(error),
            failed => {
                reply.failed = failed;
                Ok(reply)
            }
        }
    }

    /// The next piece; nothing after the end, and nothing after an error.
    ///
    /// # Errors
    /// `ProviderTimeout`, `ProviderServerError` or `Protocol`.
    pub async fn next(&mut self) -> Result<Option<ChatDelta>, ModelGatewayError> {
        self.fill().await;
        match self.out.take() {
            Some(delta) => Ok(Some(delta)),
            None => match self.failed.take() {
                Some(error) => Err(error),
                None => {
                    self.close().await;
                    Ok(None)
                }
            },
        }
    }

    /// Reads until a piece is ready or nothing can follow.
    async fn fill(&mut self) {
        while self.out.ready.is_empty() && self.failed.is_none() && !self.out.is_ended() && !self.over {
            self.failed = self.read().await.err();
            self.over |= self.failed.is_some();
        }
    }

    /// Reads one event or more.
    async fn read(&mut self) -> Result<(), ModelGatewayError> {
        let (until, stage) =
            if self.any_event { (Instant::now() + self.limits.idle, Stage::Idle) } else { (self.limits.first, Stage::FirstToken) };
        loop {
            let piece = self.limits.wait(until, stage, self.response.chunk()).await?;
            let Some(piece) = piece.map_err(|e| self.out.broken(format!("{e:?}")))? else {
                self.over = true;
                self.decoder.finish(&mut self.out)?;
                if !self.out.is_ended() {
                    return Err(self.out.broken("the stream ended before the reply did"));
                }
                return Ok(());
            };
            if self.decoder.push(&piece, &mut self.out)? {
                self.any_event = true;
                return Ok(());
            }
        }
    }

    /// Reads the end of a stream that is over, because only a body that was read to its end leaves a connection that can be used again.
    async fn close(&mut self) {
        if std::mem::replace(&mut self.over, true) || !self.out.is_ended() {
            return;
        }
        let until = Instant::now() + CLOSING;
        while let Ok(Ok(Some(_))) = timeout_at(until, self.response.chunk()).await {}
    }
}

impl std::fmt::Debug for ReplyStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ReplyStream")
    }
}

/// Reads the answer to a request for a whole reply. Some providers stream all the same.
pub(crate) async fn complete(
    mut response: Response,
    mut decoder: Box<dyn Decode>,
    mut out: Out,
    limits: Limits,
    streams: &[&str],
) -> Result<ChatReply, ModelGatewayError> {
    let mut collector = Collector::default();
    // No stream was asked for, so what has no type is none.
    if matches!(media_type(&response).as_str(), "application/json" | "") {
        let body = super::within(limits.whole, read_whole(&mut response)).await??;
        decoder.whole(&body, &mut out)?;
        while let Some(delta) = out.take() {
            collector.push(delta);
        }
    } else {
        let mut reply = ReplyStream::open(response, decoder, out, Limits { first: limits.whole, ..limits }, streams).await?;
        while let Some(delta) = reply.next().await? {
            collector.push(delta);
        }
    }
    collector.finish()
}

/// The media type of an answer in small letters, without its parameters; empty when it has none.
fn media_type(response: &Response) -> String {
    response.header("content-type").unwrap_or("").split(';').next().unwrap_or("").trim().to_ascii_lowercase()
}
