//! One call of a chat model for somebody outside: guardrails and budget before it, the routes, the books after it.

use std::{collections::VecDeque, sync::Arc};

use astrolabe_kernel::{Error, Principal, Result, Timestamp};
use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, stream};

use super::{
    Answer, Surface,
    encode::{self, Envelope},
    errors::{self, told},
    forward::{self, Forward, Heard},
    splice::spliced,
};
use crate::{
    chat::{ChatDelta, ChatReply, ChatRequest, ToolCallDelta, Usage},
    conversation::normalise,
    error::ModelGatewayError,
    gateway::{Meter, Wishes},
    guardrails::{Guard, stream::StreamGuard},
    provider::{Call, ReplyStream},
    routing::{Alias, Held, Won, travel},
    tokens,
    usage::{self, Attempt, Outcome, Wanted, Who},
};

/// A call that was read and checked.
pub(crate) struct Asked {
    pub(crate) principal: Principal,
    pub(crate) alias: Arc<Alias>,
    pub(crate) request: ChatRequest,
    /// The caller's own bytes, which providers of the same format get; nothing when they have to be written anew.
    pub(crate) raw: Option<Bytes>,
    /// Whether the reply comes in pieces.
    pub(crate) stream: bool,
    /// What all events of the reply share.
    pub(crate) envelope: Envelope,
    /// Names the conversation, for routes that keep theirs.
    pub(crate) key: Option<u64>,
    pub(crate) deadline: Option<Timestamp>,
}

/// What a call has begun to say.
enum Begun {
    Forward { first: Heard, forward: Forward },
    ForwardWhole { body: Bytes, usage: Option<Usage> },
    Typed { first: ChatDelta, reply: ReplyStream },
    TypedWhole(ChatReply),
}

/// The books of one call, from the reply's first byte to its last; dropped before, the call counts as canceled.
pub(crate) struct Books {
    meter: Meter,
    attempt: Option<Attempt>,
    /// What looks at the reply; nothing when no rule does.
    guard: Option<Guard>,
    /// Holds the call's budget back.
    _call: Option<usage::Call>,
    place: Held,
}

impl Books {
    fn wrote(&mut self, text: &str) {
        if let Some(attempt) = &mut self.attempt {
            attempt.wrote(text);
        }
    }

    fn finished(&mut self, usage: Option<Usage>) {
        self.meter.finished(&usage.unwrap_or_default());
        if let Some(attempt) = self.attempt.take() {
            attempt.finish(Outcome::Ok, usage);
        }
    }

    /// A guardrail stopped the reply.
    fn blocked(&mut self) {
        if let Some(attempt) = self.attempt.take() {
            attempt.finish(Outcome::Blocked, None);
        }
    }

    fn failed(&mut self, error: &ModelGatewayError) {
        self.meter.failed(error);
        self.place.broke(error);
        if let Some(attempt) = self.attempt.take() {
            attempt.finish(outcome_of(error), None);
        }
    }
}

fn outcome_of(error: &ModelGatewayError) -> Outcome {
    match error {
        ModelGatewayError::ProviderTimeout { .. } => Outcome::Timeout,
        ModelGatewayError::Filtered { .. } => Outcome::Blocked,
        _ => Outcome::Failed,
    }
}

/// A reply in pieces of ours.
pub(crate) struct Live {
    first: Option<ChatDelta>,
    reply: ReplyStream,
    books: Books,
    guarded: Option<Guarded>,
    /// Pieces that are given before the reply is read on.
    ready: VecDeque<ChatDelta>,
    over: bool,
}

/// What holds pieces back until the rules have seen enough of them.
struct Guarded {
    guard: Guard,
    stream: StreamGuard,
    /// Calls are given whole: what was masked in the request is put back into JSON.
    calls: Vec<ToolCallDelta>,
}

impl Guarded {
    /// Takes a piece; what may go on is put behind `ready`.
    fn take(&mut self, delta: ChatDelta, ready: &mut VecDeque<ChatDelta>) -> Result<()> {
        let text = match &delta {
            ChatDelta::Text(text) => self.stream.push(text)?,
            ChatDelta::ToolCall(piece) => {
                match self.calls.iter_mut().find(|call| call.index == piece.index) {
                    Some(call) => call.arguments.push_str(&piece.arguments),
                    None => self.calls.push(piece.clone()),
                }
                return Ok(());
            }
            ChatDelta::End(_) => self.stream.finish()?,
        };
        ready.extend((!text.is_empty()).then_some(ChatDelta::Text(text)));
        if let ChatDelta::End(_) = delta {
            for mut call in self.calls.drain(..) {
                self.guard.arguments(&mut call.arguments);
                ready.push_back(ChatDelta::ToolCall(call));
            }
            ready.push_back(delta);
        }
        Ok(())
    }
}

impl Live {
    fn new(first: ChatDelta, reply: ReplyStream, mut books: Books) -> Self {
        let guarded = books.guard.take().map(|guard| Guarded { stream: guard.stream(), guard, calls: Vec::new() });
        Self { first: Some(first), reply, books, guarded, ready: VecDeque::new(), over: false }
    }

    /// The next piece; nothing after the end or an error.
    pub(crate) async fn next(&mut self) -> Option<Result<ChatDelta>> {
        loop {
            if let Some(delta) = self.ready.pop_front() {
                return Some(Ok(delta));
            }
            if self.over {
                return None;
            }
            let next = match self.first.take() {
                Some(first) => Ok(Some(first)),
                None => self.reply.next().await,
            };
            let delta = match next {
                Ok(Some(delta)) => delta,
                Ok(None) => {
                    self.over = true;
                    return None;
                }
                Err(error) => {
                    self.over = true;
                    self.books.failed(&error);
                    return Some(Err(told(error)));
                }
            };
            match &delta {
                ChatDelta::Text(text) => self.books.wrote(text),
                ChatDelta::ToolCall(piece) => self.books.wrote(&piece.arguments),
                ChatDelta::End(_) => {}
            }
            let usage = if let ChatDelta::End(end) = &delta { Some(end.usage) } else { None };
            if let Some(guarded) = &mut self.guarded
                && let Err(error) = guarded.take(delta.clone(), &mut self.ready)
            {
                self.over = true;
                self.ready.clear();
                self.books.blocked();
                return Some(Err(error));
            }
            if usage.is_some() {
                self.books.finished(usage);
            }
            if self.guarded.is_none() {
                return Some(Ok(delta));
            }
        }
    }
}

impl Surface {
    /// Makes a call and gives what its caller is to get.
    ///
    /// # Errors
    /// What goes wrong before the first byte; what does later is the last event of the stream.
    pub(crate) async fn answer(&self, asked: Asked) -> Result<Answer> {
        let (stream, envelope) = (asked.stream, asked.envelope.clone());
        let (begun, mut books) = self.begin(asked).await?;
        Ok(match begun {
            Begun::ForwardWhole { body, usage } => {
                books.finished(usage);
                Answer::Whole(body)
            }
            Begun::TypedWhole(mut reply) => {
                if let Some(guard) = books.guard.take() {
                    if let Err(error) = guard.output(&mut reply.text) {
                        books.blocked();
                        return Err(error);
                    }
                    reply.tool_calls.iter_mut().for_each(|call| guard.arguments(&mut call.arguments));
                }
                books.finished(Some(reply.usage));
                Answer::Whole(encode::whole(&envelope, &reply))
            }
            Begun::Forward { first, forward } => Answer::Stream(passed_on(first, forward, books)),
            Begun::Typed { first, reply } => {
                debug_assert!(stream, "only streams come in pieces");
                Answer::Stream(written(Live::new(first, reply, books), envelope))
            }
        })
    }

    /// Makes a call whose reply is read in pieces of ours.
    ///
    /// # Errors
    /// As [`Surface::answer`].
    pub(crate) async fn live(&self, asked: Asked) -> Result<Live> {
        let asked = Asked { raw: None, stream: true, ..asked };
        match self.begin(asked).await? {
            (Begun::Typed { first, reply }, books) => Ok(Live::new(first, reply, books)),
            _ => Err(Error::internal("a reply that is read was passed on")),
        }
    }

    async fn begin(&self, asked: Asked) -> Result<(Begun, Books)> {
        let gateway = &self.0.gateway;
        let Asked { principal, alias, mut request, raw, stream, envelope, key, deadline } = asked;
        let (alias, envelope) = (&*alias, &envelope);
        let mut guard = self.0.guardrails.call(&alias.name, principal.tenant);
        // Rules may change what is sent, and have to read what comes back, so both are written anew.
        let raw = raw.as_ref().filter(|_| guard.is_idle());
        guard.request(&mut request)?;
        let guard = (!guard.is_idle()).then_some(guard);
        let call = match (&self.0.ledger, alias.routes.first()) {
            (Some(ledger), Some(route)) => {
                let output = u64::from(request.max_tokens.or(route.parameters.max_tokens).unwrap_or(0));
                let tokens = tokens::estimate(&request, output);
                let wanted = Wanted { alias: &alias.name, provider: &route.upstream.name, model: &route.model, tokens };
                Some(ledger.begin(Who::of(&principal), wanted).await?)
            }
            _ => None,
        };
        let is_forwarded = |route: &crate::routing::Route| raw.is_some() && route.upstream.provider.forwards(&route.model);
        if !alias.routes.iter().all(|route| is_forwarded(route)) {
            request.messages = normalise(std::mem::take(&mut request.messages))?;
        }
        let (request, books) = (Arc::new(request), call.as_ref());
        let counts = stream && !envelope.shows_usage && self.0.ledger.is_some();
        let mut meter = gateway.meter(alias);
        let won = travel(alias, gateway.trip(alias, key, deadline), |route, limits| {
            let raw = raw.filter(|_| is_forwarded(&route));
            let request = Wishes::OfTheCaller.on(&route, &request);
            async move {
                let mut attempt = match books {
                    Some(call) => Some(call.attempt(&route.upstream.name, &route.model).map_err(ModelGatewayError::Invalid)?),
                    None => None,
                };
                let provider = &route.upstream.provider;
                let call = Call { model: &route.model, request: &request, limits };
                let begun = async {
                    Ok(match raw {
                        Some(raw) => {
                            let body = spliced(raw, &route.model, &route.parameters, counts)?;
                            let first = if stream { limits.first } else { limits.whole };
                            let response = limits.wait(first, crate::error::Stage::FirstToken, provider.forward(body, stream)).await??;
                            match stream {
                                true => {
                                    let (first, forward) = Forward::open(response, limits, envelope.shows_usage).await?;
                                    Begun::Forward { first, forward }
                                }
                                false => {
                                    let (body, usage) = forward::whole(response, limits).await?;
                                    Begun::ForwardWhole { body, usage }
                                }
                            }
                        }
                        None if stream => {
                            let mut reply = provider.stream(call).await?;
                            let first = reply.next().await?.ok_or_else(|| crate::error::protocol("the reply has neither text nor end"))?;
                            Begun::Typed { first, reply }
                        }
                        None => Begun::TypedWhole(provider.complete(call).await?),
                    })
                };
                match begun.await {
                    Ok(begun) => {
                        if let Some(attempt) = &mut attempt {
                            attempt.first_token();
                        }
                        Ok((begun, attempt))
                    }
                    Err(error) => {
                        if let Some(attempt) = attempt {
                            attempt.finish(outcome_of(&error), None);
                        }
                        Err(error)
                    }
                }
            }
            .boxed()
        })
        .await;
        match won {
            Ok(Won { value: (begun, attempt), place }) => Ok((begun, Books { meter, attempt, guard, _call: call, place })),
            Err(error) => {
                meter.failed(&error);
                gateway.learn(alias, &error);
                Err(told(error))
            }
        }
    }
}

/// The events of a provider, as they are.
fn passed_on(first: Heard, forward: Forward, books: Books) -> stream::BoxStream<'static, Bytes> {
    struct Passing {
        first: Option<Heard>,
        forward: Forward,
        books: Books,
        over: bool,
    }
    let state = Passing { first: Some(first), forward, books, over: false };
    stream::unfold(state, |mut state| async move {
        if state.over {
            return None;
        }
        let next = match state.first.take() {
            Some(first) => Ok(Some(first)),
            None => state.forward.next().await,
        };
        match next {
            Ok(Some(heard)) => {
                state.books.wrote(&heard.text);
                Some((heard.bytes, state))
            }
            Ok(None) => {
                state.books.finished(state.forward.usage());
                None
            }
            Err(error) => {
                state.over = true;
                state.books.failed(&error);
                Some((errors::event(&told(error)), state))
            }
        }
    })
    .boxed()
}

/// The pieces of a reply as events.
fn written(live: Live, envelope: Envelope) -> stream::BoxStream<'static, Bytes> {
    stream::unfold((live, envelope, true), |(mut live, envelope, is_first)| async move {
        let bytes = match live.next().await? {
            Ok(piece) => envelope.events(&piece, is_first),
            Err(error) => errors::event(&error),
        };
        Some((bytes, (live, envelope, false)))
    })
    .boxed()
}
