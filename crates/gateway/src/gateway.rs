//! The handle that the rest of the product calls.

use std::{
    pin::Pin,
    sync::{Arc, PoisonError, RwLock},
    task::{Context, Poll},
    time::Duration,
};

use astrolabe_kernel::{Clock, Lifecycle, Random, Result, Timestamp, egress::Egress};
use futures_util::{
    Stream, StreamExt,
    stream::{self, BoxStream},
};
use serde::Serialize;
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

use crate::{
    chat::{ChatDelta, ChatEnd, ChatReply, ChatRequest},
    collect::Collector,
    config::GatewayConfig,
    conversation::normalise,
    error::{ModelGatewayError, Stage},
    provider::{Call, Limits, Provider, ReplyStream},
    retry,
};

/// How often the provider is asked whether it is there: when it was at the last time, and when it was not.
const PROBE_EVERY: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(10));

/// How long such a question may take.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// What is known about the provider, for `/readyz`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "status", content = "detail", rename_all = "snake_case")]
pub enum Status {
    /// No chat model is configured.
    NotConfigured,
    /// Nothing is known yet.
    Loading,
    /// It answered the last time.
    Ok,
    /// It did not, or it refused the key; in words.
    ConnectionFailed(String),
}

impl Status {
    /// The word that `/readyz` shows.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::NotConfigured => "not_configured",
            Self::Loading => "loading",
            Self::Ok => "ok",
            Self::ConnectionFailed(_) => "connection_failed",
        }
    }

    /// What went wrong, when something did.
    pub fn detail(&self) -> Option<&str> {
        match self {
            Self::ConnectionFailed(detail) => Some(detail),
            _ => None,
        }
    }
}

/// The one way to a chat model. Cheap to clone; making one connects to nothing.
#[derive(Clone)]
pub struct Gateway(Arc<Inner>);

struct Inner {
    config: GatewayConfig,
    provider: Option<Arc<dyn Provider>>,
    pace: Pace,
    clock: Clock,
    random: Random,
    status: RwLock<Status>,
    in_flight: Arc<Semaphore>,
    /// Wakes the watch when a call failed although the provider was there at the last time.
    doubt: Notify,
}

/// The waits of a call, as durations.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    pub(crate) whole: Duration,
    pub(crate) first_token: Duration,
    pub(crate) idle: Duration,
    pub(crate) backoff: Duration,
}

impl Gateway {
    /// A gateway with these settings.
    ///
    /// # Errors
    /// `invalid_config` naming the setting that cannot work.
    pub fn from_config(config: GatewayConfig, egress: Egress, clock: Clock, random: Random) -> Result<Self> {
        let pace = Pace {
            whole: Duration::from_secs(config.timeout_s),
            first_token: Duration::from_secs(config.first_token_timeout_s),
            idle: Duration::from_secs(config.idle_timeout_s),
            backoff: retry::BACKOFF,
        };
        Self::with_pace(config, pace, egress, clock, random)
    }

    pub(crate) fn with_pace(mut config: GatewayConfig, pace: Pace, egress: Egress, clock: Clock, random: Random) -> Result<Self> {
        config.validate()?;
        config.name = config.model().to_owned();
        let provider = config.provider(&egress, &clock);
        let status = if config.is_configured() { Status::Loading } else { Status::NotConfigured };
        let in_flight = Arc::new(Semaphore::new(config.concurrency.min(Semaphore::MAX_PERMITS)));
        Ok(Self(Arc::new(Inner { config, provider, pace, clock, random, status: RwLock::new(status), in_flight, doubt: Notify::new() })))
    }

    /// Whether a chat model is configured. Without one, callers answer in their own way and say so.
    pub fn is_configured(&self) -> bool {
        self.0.provider.is_some()
    }

    /// The model's configured name; empty when there is none.
    pub fn model(&self) -> &str {
        &self.0.config.name
    }

    /// What is known about the provider. Never waits: it is the result of the last probe or call.
    pub fn status(&self) -> Status {
        self.0.status.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks the provider now and then, in the background, whether it is there. The first question is asked at once.
    pub fn watch(&self, lifecycle: &Lifecycle) {
        if !self.is_configured() {
            return;
        }
        let (gateway, life) = (self.clone(), lifecycle.clone());
        lifecycle.spawn("model-probe", async move {
            while !life.is_stopping() {
                let pause = if gateway.probe().await == Status::Ok { PROBE_EVERY.0 } else { PROBE_EVERY.1 };
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = gateway.0.doubt.notified() => {}
                    () = life.stopping() => break,
                }
            }
        });
    }

    /// Asks the provider for its models and remembers what that says about it. Servers without such a list are there all the same.
    pub async fn probe(&self) -> Status {
        let Some(provider) = &self.0.provider else {
            return Status::NotConfigured;
        };
        let status = match provider.probe(Instant::now() + PROBE_TIMEOUT).await {
            Ok(()) => Status::Ok,
            Err(e) => Status::ConnectionFailed(e.message().to_owned()),
        };
        self.remember(status.clone());
        status
    }

    fn remember(&self, status: Status) {
        let mut known = self.0.status.write().unwrap_or_else(PoisonError::into_inner);
        if *known != status {
            match &status {
                Status::ConnectionFailed(detail) => tracing::warn!(model = self.model(), "the chat model is not available: {detail}"),
                _ => tracing::info!(model = self.model(), "the chat model is available"),
            }
            *known = status;
        }
    }

    /// Asks for a reply and waits for all of it.
    ///
    /// # Errors
    /// As [`Gateway::chat_stream`], also for what happens in the middle.
    pub async fn chat(&self, request: ChatRequest) -> Result<ChatReply, ModelGatewayError> {
        let mut stream = self.chat_stream(request).await?;
        let mut collector = Collector::default();
        // Read to the last, so that the connection can be used again.
        while let Some(piece) = stream.next().await {
            collector.push(piece?);
        }
        collector.finish()
    }

    /// Asks for a reply and waits until its first piece is there; failures up to then are repeated where that makes sense. Dropping the
    /// stream, or this future, tells the provider to stop.
    ///
    /// # Errors
    /// Every kind of [`ModelGatewayError`].
    #[tracing::instrument(name = "model", skip_all, fields(provider = self.model(), otel.kind = "client"))]
    pub async fn chat_stream(&self, request: ChatRequest) -> Result<ChatStream, ModelGatewayError> {
        let mut meter = Meter::new(self);
        match self.open(request).await {
            Ok((first, reply, permit)) => {
                let state = Flow { first: Some(first), reply, meter, gateway: self.clone(), over: false, _permit: permit };
                Ok(ChatStream(stream::unfold(state, Flow::step).boxed()))
            }
            Err(e) => {
                meter.failed(&e);
                self.learn(&e);
                Err(e)
            }
        }
    }

    async fn open(&self, mut request: ChatRequest) -> Result<(ChatDelta, ReplyStream, OwnedSemaphorePermit), ModelGatewayError> {
        let Some(provider) = &self.0.provider else {
            return Err(ModelGatewayError::NotConfigured);
        };
        let config = &self.0.config;
        request.messages = normalise(request.messages).map_err(ModelGatewayError::Invalid)?;
        // What is not configured is not sent, whatever the request wishes: the model behind the name may refuse it.
        request.max_tokens = (config.max_tokens > 0).then(|| request.max_tokens.unwrap_or(config.max_tokens).clamp(1, config.max_tokens));
        request.temperature = (config.temperature >= 0.0).then(|| clamp_temperature(request.temperature, config.temperature));
        let permit =
            Arc::clone(&self.0.in_flight).try_acquire_owned().map_err(|_| ModelGatewayError::ProviderOverloaded { retry_after: None })?;
        let allowed = match request.deadline {
            Some(deadline) => deadline.since(self.0.clock.now()).min(self.0.pace.whole),
            None => self.0.pace.whole,
        };
        let (request, whole) = (Arc::new(request), Instant::now() + allowed);
        for attempt in 0.. {
            let limits = Limits { first: Instant::now() + self.0.pace.first_token, idle: self.0.pace.idle, whole };
            let error = match provider.stream(Call { model: &config.name, request: &request, limits }).await {
                Ok(mut reply) => match reply.next().await? {
                    Some(first) => return Ok((first, reply, permit)),
                    None => return Err(ModelGatewayError::Protocol { detail: "the reply has neither text nor end".to_owned() }),
                },
                Err(e) => e,
            };
            let left = whole.saturating_duration_since(Instant::now());
            let Some(wait) = retry::delay(&error, attempt, self.0.pace.backoff, left, &self.0.random) else {
                return Err(error);
            };
            metrics::counter!("model_retries_total", "model" => config.name.clone(), "kind" => error.kind()).increment(1);
            tracing::info!(model = config.name, kind = error.kind(), wait_ms = wait.as_millis() as u64, "the model is asked again");
            tokio::time::sleep(wait).await;
        }
        Err(ModelGatewayError::ProviderTimeout { stage: Stage::Whole })
    }

    /// What a failed call says about the provider: a refused key or an unknown model is certain; a failure may be the request's own
    /// fault, so it only brings the next probe forward.
    fn learn(&self, error: &ModelGatewayError) {
        match error {
            ModelGatewayError::Refused { status: None | Some(401 | 403 | 404), .. } => {
                self.remember(Status::ConnectionFailed(error.to_string()))
            }
            ModelGatewayError::ProviderServerError { .. } | ModelGatewayError::ProviderTimeout { .. } if self.status() == Status::Ok => {
                self.0.doubt.notify_one();
            }
            _ => {}
        }
    }
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gateway").field("config", &self.0.config).field("status", &self.status()).finish_non_exhaustive()
    }
}

/// The request's wish within 0 and 2, or the configured value when there is none or it is no number.
fn clamp_temperature(wish: Option<f32>, configured: f32) -> f32 {
    wish.filter(|t| !t.is_nan()).unwrap_or(configured).clamp(0.0, 2.0)
}

/// A reply as it arrives: texts, then one end, then nothing; or an error, then nothing.
pub struct ChatStream(BoxStream<'static, Result<ChatDelta, ModelGatewayError>>);

impl Stream for ChatStream {
    type Item = Result<ChatDelta, ModelGatewayError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.as_mut().poll_next(cx)
    }
}

impl std::fmt::Debug for ChatStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ChatStream")
    }
}

/// What a stream holds between two pieces.
struct Flow {
    first: Option<ChatDelta>,
    reply: ReplyStream,
    meter: Meter,
    gateway: Gateway,
    over: bool,
    /// Its place among the replies in flight.
    _permit: OwnedSemaphorePermit,
}

impl Flow {
    async fn step(mut self) -> Option<(Result<ChatDelta, ModelGatewayError>, Self)> {
        if self.over {
            return None;
        }
        let next = match self.first.take() {
            Some(first) => Ok(Some(first)),
            None => self.reply.next().await,
        };
        let item = match next {
            Ok(Some(delta)) => {
                if let ChatDelta::End(end) = &delta {
                    self.meter.finished(end);
                    self.gateway.remember(Status::Ok);
                }
                Ok(delta)
            }
            Ok(None) => return None,
            Err(e) => {
                self.meter.failed(&e);
                self.over = true;
                Err(e)
            }
        };
        Some((item, self))
    }
}

/// Measures one call, from asking to the end, and says once how it went; a call that is dropped counts as `canceled`.
struct Meter {
    clock: Clock,
    model: String,
    started: Timestamp,
    done: bool,
}

impl Meter {
    fn new(gateway: &Gateway) -> Self {
        let clock = gateway.0.clock.clone();
        Self { started: clock.now(), clock, model: gateway.model().to_owned(), done: !gateway.is_configured() }
    }

    fn finished(&mut self, end: &ChatEnd) {
        // The configured name, not the provider's: a label that the other side chooses has no bound.
        for (kind, tokens) in [("prompt", end.usage.input), ("completion", end.usage.output)] {
            metrics::counter!("model_tokens_total", "model" => self.model.clone(), "kind" => kind).increment(tokens);
        }
        self.close("ok");
    }

    fn failed(&mut self, error: &ModelGatewayError) {
        if !self.done {
            metrics::counter!("model_errors_total", "model" => self.model.clone(), "kind" => error.kind()).increment(1);
            tracing::warn!(model = self.model, kind = error.kind(), error = ?error, "the model did not answer");
        }
        self.close("error");
    }

    fn close(&mut self, outcome: &'static str) {
        if !std::mem::replace(&mut self.done, true) {
            let seconds = self.clock.now().since(self.started).as_secs_f64();
            metrics::histogram!("model_request_duration_seconds", "model" => self.model.clone(), "outcome" => outcome).record(seconds);
        }
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.close("canceled");
    }
}
