//! One call: guardrails and budget before it, the routes, and what it has begun to say.

use std::sync::Arc;

use astrolabe_kernel::Timestamp;
use bytes::Bytes;
use futures_util::FutureExt;

use super::{Books, Live, Models, books::outcome_of, live::Opened};
use crate::{
    chat::{ChatReply, ChatRequest, FinishReason, Usage},
    conversation::normalise,
    error::{ModelGatewayError, Stage, protocol},
    gateway::{Wishes, conversation_key},
    guardrails::schema::Schema,
    provider::Call,
    routing::{Alias, DEFAULT, Route, Won, travel},
    surface::{
        forward::{self, Forward, Heard},
        splice::spliced,
    },
    tokens,
    usage::{Attempt, Purpose, Wanted, Who},
};

/// A call that was read and checked.
#[derive(Clone)]
pub(crate) struct Asked {
    pub(crate) who: Who,
    pub(crate) purpose: Purpose,
    pub(crate) wishes: Wishes,
    pub(crate) alias: Arc<Alias>,
    pub(crate) request: ChatRequest,
    /// The caller's own bytes, which providers of the same format get; nothing when they have to be written anew.
    pub(crate) raw: Option<Bytes>,
    /// A field of those bytes that is lost when they are written anew.
    pub(crate) passed_on: Option<&'static str>,
    /// What the text has to keep to.
    pub(crate) schema: Option<Arc<Schema>>,
    /// Whether the caller of a stream that is passed on wants the event with the usage.
    pub(crate) shows_usage: bool,
    /// Names the conversation, for routes that keep theirs; what was said first does when it is absent.
    pub(crate) key: Option<u64>,
    pub(crate) deadline: Option<Timestamp>,
}

impl Asked {
    pub(crate) fn new(who: Who, purpose: Purpose, wishes: Wishes, alias: Arc<Alias>, request: ChatRequest) -> Self {
        let deadline = request.deadline;
        Self { who, purpose, wishes, alias, request, raw: None, passed_on: None, schema: None, shows_usage: false, key: None, deadline }
    }
}

/// What a call has begun to say.
#[expect(clippy::large_enum_variant, reason = "there is one per call, and the large one is the usual one")]
pub(crate) enum Begun {
    Forward { first: Heard, forward: Forward },
    ForwardWhole { body: Bytes, usage: Option<Usage> },
    Typed(Box<Opened>),
    TypedWhole(ChatReply),
}

/// A whole reply.
pub(crate) enum Whole {
    /// The provider's own bytes.
    Forward(Bytes),
    Typed(ChatReply),
}

impl Models {
    /// Makes a call whose reply is read in pieces of ours.
    ///
    /// # Errors
    /// What goes wrong before the first piece.
    pub(crate) async fn live(&self, mut asked: Asked) -> Result<Live, ModelGatewayError> {
        asked.raw = None;
        let schema = asked.schema.clone();
        // Boxed: all that a call may do is too much for a compiler to lay out inside whoever asks.
        match Box::pin(self.begin(asked, true)).await? {
            (Begun::Typed(opened), books) => Ok(Live::new(*opened, books, schema)),
            _ => Err(protocol("a reply that is read was passed on")),
        }
    }

    /// Makes a call and waits for all of its reply, which keeps to its schema: one that does not is asked for once more.
    ///
    /// # Errors
    /// Every kind of [`ModelGatewayError`].
    pub(crate) async fn whole(&self, asked: Asked) -> Result<Whole, ModelGatewayError> {
        let Some(schema) = asked.schema.clone() else { return self.whole_once(asked).await };
        let mut again = Asked { raw: None, ..asked.clone() };
        let mut reply = match self.whole_once(asked).await? {
            Whole::Typed(reply) if is_to_keep(&reply) => reply,
            whole => return Ok(whole),
        };
        if let Some(messages) = schema.repair(&reply.text) {
            metrics::counter!("model_schema_repairs_total").increment(1);
            again.request.messages.extend(messages);
            let first = reply.usage;
            reply = match self.whole_once(again).await? {
                Whole::Typed(second) => ChatReply { usage: both(first, second.usage), ..second },
                whole @ Whole::Forward(_) => return Ok(whole),
            };
            if !is_to_keep(&reply) {
                return Ok(Whole::Typed(reply));
            }
        }
        match schema.check(&reply.text) {
            Ok(text) => reply.text = text.to_owned(),
            Err(fault) => return Err(ModelGatewayError::Broken { fault }),
        }
        Ok(Whole::Typed(reply))
    }

    async fn whole_once(&self, asked: Asked) -> Result<Whole, ModelGatewayError> {
        match Box::pin(self.begin(asked, false)).await? {
            (Begun::ForwardWhole { body, usage }, mut books) => {
                books.finished(usage);
                Ok(Whole::Forward(body))
            }
            (Begun::TypedWhole(reply), mut books) => {
                books.finished(Some(reply.usage));
                Ok(Whole::Typed(reply))
            }
            _ => Err(protocol("a whole reply came in pieces")),
        }
    }

    /// Makes a call, up to the first byte of its reply that may be shown.
    #[tracing::instrument(name = "model", skip_all, fields(alias = asked.alias.name, otel.kind = "client"))]
    pub(crate) async fn begin(&self, asked: Asked, stream: bool) -> Result<(Begun, Books), ModelGatewayError> {
        let gateway = self.gateway();
        let Asked { who, purpose, wishes, alias, mut request, raw, passed_on, schema, shows_usage, key, deadline } = asked;
        let alias = &*alias;
        let key = key.or_else(|| alias.sticky.then(|| conversation_key(&request)));
        let mut guard = self.guardrails().call(&alias.name, who.tenant);
        // Rules may change what is sent, and have to read what comes back, as has a schema; so both are written anew.
        let is_anew = !guard.is_idle() || schema.is_some();
        if let Some(field) = passed_on.filter(|_| is_anew) {
            let why = "does not go together with a schema for the reply, or with the rules that apply to this call";
            return Err(ModelGatewayError::Invalid(astrolabe_kernel::Error::field(field, why)));
        }
        let raw = raw.as_ref().filter(|_| !is_anew);
        guard.request(&mut request).map_err(ModelGatewayError::Invalid)?;
        let guard = (!guard.is_idle()).then_some(guard);
        let call = match (self.ledger(), alias.routes.first()) {
            (Some(ledger), Some(route)) => {
                let output = u64::from(request.max_tokens.or(route.parameters.max_tokens).unwrap_or(0));
                let tokens = tokens::estimate(&request, output);
                let wanted = Wanted { purpose, alias: &alias.name, provider: &route.upstream.name, model: &route.model, tokens };
                Some(ledger.begin(who, wanted).await.map_err(ModelGatewayError::Invalid)?)
            }
            _ => None,
        };
        let is_forwarded = |route: &Route| raw.is_some() && route.upstream.provider.forwards(&route.model);
        if !alias.routes.iter().all(|route| is_forwarded(route)) {
            request.messages = normalise(std::mem::take(&mut request.messages)).map_err(ModelGatewayError::Invalid)?;
        }
        let (request, books, rules) = (Arc::new(request), call.as_ref(), guard.as_ref());
        let counts = stream && !shows_usage && call.is_some();
        let mut meter = gateway.meter(alias);
        let won = travel(alias, gateway.trip(alias, key, deadline), |route, limits| {
            let raw = raw.filter(|_| is_forwarded(&route));
            let request = wishes.on(&route, &request);
            async move {
                let mut attempt = match books {
                    Some(call) => Some(call.attempt(&route.upstream.name, &route.model).map_err(ModelGatewayError::Invalid)?),
                    None => None,
                };
                let provider = &route.upstream.provider;
                let call = Call { model: &route.model, request: &request, limits };
                // What a reply cost that a rule then blocked.
                let mut cost = None;
                let begun = async {
                    Ok(match raw {
                        Some(raw) => {
                            let body = spliced(raw, &route.model, &route.parameters, counts)?;
                            let first = if stream { limits.first } else { limits.whole };
                            let response = limits.wait(first, Stage::FirstToken, provider.forward(body, stream)).await??;
                            match stream {
                                true => {
                                    let (first, forward) = Forward::open(response, limits, shows_usage).await?;
                                    Begun::Forward { first, forward }
                                }
                                false => {
                                    let (body, usage) = forward::whole(response, limits).await?;
                                    Begun::ForwardWhole { body, usage }
                                }
                            }
                        }
                        None if stream => {
                            let mut opened = Opened::new(provider.stream(call).await?, rules.cloned());
                            if !opened.read(|text| note(attempt.as_mut(), text)).await? {
                                return Err(protocol("the reply has neither text nor end"));
                            }
                            Begun::Typed(Box::new(opened))
                        }
                        None => {
                            let mut reply = provider.complete(call).await?;
                            if let Some(rules) = rules {
                                cost = Some(reply.usage);
                                rules.output(&mut reply.text).map_err(ModelGatewayError::Blocked)?;
                                reply.tool_calls.iter_mut().for_each(|call| rules.arguments(&mut call.arguments));
                            }
                            Begun::TypedWhole(reply)
                        }
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
                            attempt.finish(outcome_of(&error), cost);
                        }
                        Err(error)
                    }
                }
            }
            .boxed()
        })
        .await;
        match won {
            Ok(Won { value: (begun, attempt), place }) => {
                let told = (alias.name == DEFAULT).then(|| gateway.clone());
                Ok((begun, Books { meter, attempt, _call: call, place, told }))
            }
            Err(error) => {
                meter.failed(&error);
                gateway.learn(alias, &error);
                Err(error)
            }
        }
    }
}

/// A piece of a reply came, the first of them or another.
fn note(attempt: Option<&mut Attempt>, text: &str) {
    if let Some(attempt) = attempt {
        attempt.first_token();
        attempt.wrote(text);
    }
}

/// Whether a schema is for this reply: not when it is cut, or asks for a tool first.
fn is_to_keep(reply: &ChatReply) -> bool {
    reply.tool_calls.is_empty() && matches!(reply.finish_reason, FinishReason::Stop | FinishReason::Other)
}

/// What two calls cost that are one to whoever asked.
fn both(a: Usage, b: Usage) -> Usage {
    Usage {
        input: a.input.saturating_add(b.input),
        output: a.output.saturating_add(b.output),
        cached: a.cached.saturating_add(b.cached),
        reasoning: a.reasoning.saturating_add(b.reasoning),
        estimated: a.estimated || b.estimated,
    }
}
