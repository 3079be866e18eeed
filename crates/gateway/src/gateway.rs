//! The handle that the rest of the product calls.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    path::Path,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError, RwLock},
    task::{Context, Poll},
    time::{Duration, SystemTime},
};

use astrolabe_kernel::{Clock, Lifecycle, Random, Result, Timestamp, egress::Egress};
use futures_util::{
    FutureExt, Stream, StreamExt,
    stream::{self, BoxStream},
};
use serde::Serialize;
use tokio::{sync::Notify, time::Instant};

use crate::{
    chat::{ChatDelta, ChatReply, ChatRequest, Role, Usage},
    collect::Collector,
    config::GatewayConfig,
    conversation::normalise,
    error::{ModelGatewayError, protocol},
    provider::{Call, ReplyStream},
    routing::{Alias, DEFAULT, Held, Parameters, Route, RoutesFile, Table, Trip, Upstream, Won, travel},
};

/// How often the file of routes is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// The name of the provider of the section `model`.
const OWN: &str = "model";

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
    /// What the section `model` says by itself, apart from the file of routes.
    own: Option<Arc<Alias>>,
    table: RwLock<Arc<Table>>,
    /// When the file of routes was changed, as of the last look at it.
    changed: Mutex<Option<SystemTime>>,
    egress: Egress,
    clock: Clock,
    random: Random,
    status: RwLock<Status>,
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
    /// `invalid_config` naming the setting that cannot work, also in the file of routes.
    pub fn from_config(config: GatewayConfig, egress: Egress, clock: Clock, random: Random) -> Result<Self> {
        let pace = Pace::of(&config);
        Self::with_pace(config, pace, egress, clock, random)
    }

    pub(crate) fn with_pace(mut config: GatewayConfig, pace: Pace, egress: Egress, clock: Clock, random: Random) -> Result<Self> {
        config.validate()?;
        config.name = config.model().to_owned();
        let own = Upstream::new(OWN, &config, pace, &egress, &clock).map(|u| u.alias(DEFAULT, &config.name, own_parameters(&config)));
        let gateway = Self(Arc::new(Inner {
            config,
            own,
            table: RwLock::default(),
            changed: Mutex::default(),
            egress,
            clock,
            random,
            status: RwLock::new(Status::NotConfigured),
            doubt: Notify::new(),
        }));
        gateway.load()?;
        if gateway.is_configured() {
            *gateway.0.status.write().unwrap_or_else(PoisonError::into_inner) = Status::Loading;
        }
        Ok(gateway)
    }

    /// Reads the file of routes. A file that cannot be used leaves everything as it was.
    ///
    /// # Errors
    /// `invalid_config` naming what cannot work.
    pub fn load(&self) -> Result<()> {
        let path = self.0.config.routes_file.trim();
        let file = match path {
            "" => RoutesFile::default(),
            path => {
                *self.0.changed.lock().unwrap_or_else(PoisonError::into_inner) = changed_at(path);
                RoutesFile::read(Path::new(path))?
            }
        };
        let table = Table::new(self.0.own.as_ref(), &file, &self.table(), &self.0.egress, &self.0.clock);
        *self.0.table.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(table);
        Ok(())
    }

    /// Reads the file of routes again when it has changed, and says in the log how that went.
    pub(crate) fn reload_if_changed(&self) {
        let path = self.0.config.routes_file.trim();
        if path.is_empty() || changed_at(path) == *self.0.changed.lock().unwrap_or_else(PoisonError::into_inner) {
            return;
        }
        let outcome = match self.load() {
            Ok(()) => {
                tracing::info!(file = path, "the routes of models were read again");
                "ok"
            }
            Err(error) => {
                tracing::error!(file = path, error = %error, "the routes of models cannot be used; the old ones stay in force");
                "refused"
            }
        };
        metrics::counter!("model_routes_reloads_total", "outcome" => outcome).increment(1);
    }

    fn table(&self) -> Arc<Table> {
        Arc::clone(&self.0.table.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The routes behind a name; nothing when it is unknown.
    pub(crate) fn alias(&self, name: &str) -> Option<Arc<Alias>> {
        self.0.table.read().unwrap_or_else(PoisonError::into_inner).aliases.get(name).cloned()
    }

    /// The names that can be asked for.
    pub(crate) fn names(&self) -> Vec<String> {
        self.table().aliases.keys().cloned().collect()
    }

    /// What a call needs beside its routes. Calls with one key keep their route where the alias is sticky.
    pub(crate) fn trip(&self, alias: &Alias, key: Option<u64>, deadline: Option<Timestamp>) -> Trip<'_> {
        let key = match key.filter(|_| alias.sticky) {
            Some(key) => key,
            None if alias.routes.len() > 1 => self.0.random.below(u64::MAX),
            None => 0,
        };
        Trip { key, deadline, clock: &self.0.clock, random: &self.0.random }
    }

    /// Whether a chat model is configured. Without one, callers answer in their own way and say so.
    pub fn is_configured(&self) -> bool {
        self.alias(DEFAULT).is_some()
    }

    /// The model's configured name; `default` when it comes from the file of routes, empty when there is none.
    pub fn model(&self) -> &str {
        match self.0.config.name.as_str() {
            "" if self.is_configured() => DEFAULT,
            name => name,
        }
    }

    /// What is known about the provider. Never waits: it is the result of the last probe or call.
    pub fn status(&self) -> Status {
        self.0.status.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks the provider now and then, in the background, whether it is there, the first time at once; and reads the file of routes again
    /// when it changes.
    pub fn watch(&self, lifecycle: &Lifecycle) {
        if !self.0.config.routes_file.trim().is_empty() {
            let (gateway, life) = (self.clone(), lifecycle.clone());
            lifecycle.spawn("model-routes", async move {
                while !life.is_stopping() {
                    tokio::select! {
                        () = tokio::time::sleep(LOOK_EVERY) => gateway.reload_if_changed(),
                        () = life.stopping() => break,
                    }
                }
            });
        }
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
        let Some(route) = self.alias(DEFAULT).and_then(|alias| alias.routes.first().cloned()) else {
            return Status::NotConfigured;
        };
        let status = match route.upstream.provider.probe(Instant::now() + PROBE_TIMEOUT).await {
            Ok(()) => Status::Ok,
            Err(e) => Status::ConnectionFailed(e.message().to_owned()),
        };
        self.remember(status.clone());
        status
    }

    fn remember(&self, status: Status) {
        // Every call comes by here, and nearly none has news.
        if *self.0.status.read().unwrap_or_else(PoisonError::into_inner) == status {
            return;
        }
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
        collect(self.chat_stream(request).await?).await
    }

    /// Asks for a reply and waits until its first piece is there; failures up to then are repeated where that makes sense. Dropping the
    /// stream, or this future, tells the provider to stop. What no route's settings speak of is not sent, whatever the request wishes: the
    /// model behind the name may refuse it.
    ///
    /// # Errors
    /// Every kind of [`ModelGatewayError`].
    #[tracing::instrument(name = "model", skip_all, fields(provider = self.model(), otel.kind = "client"))]
    pub async fn chat_stream(&self, request: ChatRequest) -> Result<ChatStream, ModelGatewayError> {
        let alias = self.alias(DEFAULT).ok_or(ModelGatewayError::NotConfigured)?;
        self.stream_on(&alias, request, None, Wishes::OfTheProduct).await
    }

    /// As [`Gateway::chat_stream`], of any alias.
    pub(crate) async fn stream_on(
        &self,
        alias: &Alias,
        mut request: ChatRequest,
        key: Option<u64>,
        wishes: Wishes,
    ) -> Result<ChatStream, ModelGatewayError> {
        let mut meter = self.meter(alias);
        let asked = async {
            request.messages = normalise(std::mem::take(&mut request.messages)).map_err(ModelGatewayError::Invalid)?;
            let key = key.or_else(|| alias.sticky.then(|| conversation_key(&request)));
            let trip = self.trip(alias, key, request.deadline);
            let request = Arc::new(request);
            travel(alias, trip, |route, limits| {
                let request = wishes.on(&route, &request);
                async move {
                    let mut reply = route.upstream.provider.stream(Call { model: &route.model, request: &request, limits }).await?;
                    let first = reply.next().await?;
                    Ok((first.ok_or_else(|| protocol("the reply has neither text nor end"))?, reply))
                }
                .boxed()
            })
            .await
        };
        match asked.await {
            Ok(Won { value: (first, reply), place }) => {
                let state = Flow { first: Some(first), reply, meter, gateway: self.clone(), over: false, place };
                Ok(ChatStream(stream::unfold(state, Flow::step).boxed()))
            }
            Err(e) => {
                meter.failed(&e);
                self.learn(alias, &e);
                Err(e)
            }
        }
    }

    /// Measures a call of an alias.
    pub(crate) fn meter(&self, alias: &Alias) -> Meter {
        let model = match self.0.own.as_ref().is_some_and(|own| own.name == alias.name) && !self.0.config.name.is_empty() {
            true => self.0.config.name.clone(),
            false => alias.name.clone(),
        };
        Meter { started: self.0.clock.now(), clock: self.0.clock.clone(), model, done: false }
    }

    /// What a failed call says about the provider: a refused key or an unknown model is certain; a failure may be the request's own
    /// fault, so it only brings the next probe forward.
    pub(crate) fn learn(&self, alias: &Alias, error: &ModelGatewayError) {
        if alias.name != DEFAULT {
            return;
        }
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

/// Whose wishes a request has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wishes {
    /// Ours, who do not know which model is asked.
    OfTheProduct,
    /// Those of a caller, who chose the model.
    OfTheCaller,
}

impl Wishes {
    /// The request as a route sends it.
    pub(crate) fn on(self, route: &Route, request: &Arc<ChatRequest>) -> Arc<ChatRequest> {
        let parameters = &route.parameters;
        if self == Self::OfTheCaller && parameters.is_empty() {
            return Arc::clone(request);
        }
        let mut request = ChatRequest::clone(request);
        if self == Self::OfTheProduct {
            request.max_tokens = request.max_tokens.filter(|_| parameters.max_tokens.is_some());
            request.temperature =
                request.temperature.filter(|_| parameters.temperature.is_some() || parameters.default_temperature.is_some());
        }
        parameters.clamp(&mut request);
        Arc::new(request)
    }
}

/// What the section `model` says about parameters.
fn own_parameters(config: &GatewayConfig) -> Parameters {
    let temperature = (config.temperature >= 0.0).then_some(config.temperature);
    Parameters {
        max_tokens: (config.max_tokens > 0).then_some(config.max_tokens),
        temperature: temperature.map(|_| (0.0, 2.0)),
        default_temperature: temperature,
        top_p: None,
    }
}

/// Names a conversation by what the system and the user said first, which stays as it goes on.
pub(crate) fn conversation_key(request: &ChatRequest) -> u64 {
    let mut hasher = DefaultHasher::new();
    for message in &request.messages {
        message.role.hash(&mut hasher);
        message.text().hash(&mut hasher);
        if message.role == Role::User {
            break;
        }
    }
    hasher.finish()
}

/// When a file was changed; nothing when that cannot be told.
fn changed_at(path: &str) -> Option<SystemTime> {
    std::fs::metadata(path).and_then(|meta| meta.modified()).ok()
}

/// Reads a reply to its last piece, so that the connection can be used again.
pub(crate) async fn collect(mut stream: ChatStream) -> Result<ChatReply, ModelGatewayError> {
    let mut collector = Collector::default();
    while let Some(piece) = stream.next().await {
        collector.push(piece?);
    }
    collector.finish()
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gateway").field("config", &self.0.config).field("status", &self.status()).finish_non_exhaustive()
    }
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
    place: Held,
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
                    self.meter.finished(&end.usage);
                    self.gateway.remember(Status::Ok);
                }
                Ok(delta)
            }
            Ok(None) => return None,
            Err(e) => {
                self.meter.failed(&e);
                self.place.broke(&e);
                self.over = true;
                Err(e)
            }
        };
        Some((item, self))
    }
}

/// Measures one call, from asking to the end, and says once how it went; a call that is dropped counts as `canceled`.
pub(crate) struct Meter {
    clock: Clock,
    model: String,
    started: Timestamp,
    done: bool,
}

impl Meter {
    pub(crate) fn finished(&mut self, usage: &Usage) {
        // The configured name, not the provider's: a label that the other side chooses has no bound.
        for (kind, tokens) in [("prompt", usage.input), ("completion", usage.output)] {
            metrics::counter!("model_tokens_total", "model" => self.model.clone(), "kind" => kind).increment(tokens);
        }
        self.close("ok");
    }

    pub(crate) fn failed(&mut self, error: &ModelGatewayError) {
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
