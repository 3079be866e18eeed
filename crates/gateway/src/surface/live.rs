//! One call of a chat model for somebody outside: guardrails and budget before it, the routes, the books after it.

use std::sync::Arc;

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
    chat::{ChatDelta, ChatReply, ChatRequest, Usage},
    conversation::normalise,
    error::ModelGatewayError,
    gateway::{Meter, Wishes},
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
    over: bool,
}

impl Live {
    /// The next piece; nothing after the end or an error.
    pub(crate) async fn next(&mut self) -> Option<Result<ChatDelta>> {
        if self.over {
            return None;
        }
        let next = match self.first.take() {
            Some(first) => Ok(Some(first)),
            None => self.reply.next().await,
        };
        match next {
            Ok(Some(delta)) => {
                match &delta {
                    ChatDelta::Text(text) => self.books.wrote(text),
                    ChatDelta::ToolCall(piece) => self.books.wrote(&piece.arguments),
                    ChatDelta::End(end) => self.books.finished(Some(end.usage)),
                }
                Some(Ok(delta))
            }
            Ok(None) => {
                self.over = true;
                None
            }
            Err(error) => {
                self.over = true;
                self.books.failed(&error);
                Some(Err(told(error)))
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
            Begun::TypedWhole(reply) => {
                books.finished(Some(reply.usage));
                Answer::Whole(encode::whole(&envelope, &reply))
            }
            Begun::Forward { first, forward } => Answer::Stream(passed_on(first, forward, books)),
            Begun::Typed { first, reply } => {
                debug_assert!(stream, "only streams come in pieces");
                let live = Live { first: Some(first), reply, books, over: false };
                Answer::Stream(written(live, envelope))
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
            (Begun::Typed { first, reply }, books) => Ok(Live { first: Some(first), reply, books, over: false }),
            _ => Err(Error::internal("a reply that is read was passed on")),
        }
    }

    async fn begin(&self, asked: Asked) -> Result<(Begun, Books)> {
        let gateway = &self.0.gateway;
        let Asked { principal, alias, mut request, raw, stream, envelope, key, deadline } = asked;
        let (alias, raw, envelope) = (&*alias, raw.as_ref(), &envelope);
        // Before the call: guardrails look at `request` here, and take `raw` away where they change it or have to read the reply.
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
                            let response =
                                limits.wait(first, crate::error::Stage::FirstToken, provider.forward(body, stream)).await??;
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
            Ok(Won { value: (begun, attempt), place }) => Ok((begun, Books { meter, attempt, _call: call, place })),
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
