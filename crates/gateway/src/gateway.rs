//! What there is to ask: aliases with their routes, and how their providers are doing. Calls are made by [`crate::models`].

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    path::Path,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::{Duration, SystemTime},
};

use astrolabe_kernel::{Clock, Lifecycle, Random, Result, Timestamp, egress::Egress};
use serde::Serialize;
use tokio::{sync::Notify, time::Instant};

use crate::{
    chat::{ChatRequest, Role, Usage},
    config::GatewayConfig,
    error::ModelGatewayError,
    routing::{Alias, DEFAULT, Parameters, Route, RoutesFile, Table, Trip, Upstream},
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

/// The chat models. Cheap to clone; making one connects to nothing.
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

    /// Whether there is a file of routes.
    pub fn has_routes_file(&self) -> bool {
        !self.0.config.routes_file.trim().is_empty()
    }

    /// Reads the file of routes again when it has changed.
    pub(crate) fn reload_if_changed(&self) {
        let path = self.0.config.routes_file.trim();
        if !path.is_empty() && changed_at(path) != *self.0.changed.lock().unwrap_or_else(PoisonError::into_inner) {
            self.reload();
        }
    }

    /// Reads the file of routes again, and says in the log how that went.
    pub fn reload(&self) {
        let path = self.0.config.routes_file.trim();
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
        if self.has_routes_file() {
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

    pub(crate) fn remember(&self, status: Status) {
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

impl std::fmt::Debug for Gateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gateway").field("config", &self.0.config).field("status", &self.status()).finish_non_exhaustive()
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
