//! From an alias to a model of a provider: which routes are tried, in which order, and what happens when one fails.
//!
//! ```text
//! alias → routes of the lowest order, by weight (a conversation keeps its route) → the next order, …
//! route → a place at the provider (limiter) → the breaker of its model → the call → the next route, or a retry from the budget
//! ```

mod breaker;
mod budget;
pub(crate) mod file;
mod limiter;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use astrolabe_kernel::{Clock, Random, Timestamp, egress::Egress};
use futures_util::future::BoxFuture;
use tokio::time::Instant;

pub(crate) use self::file::{Parameters, Reason, RoutesFile};
use self::{breaker::Breaker, budget::RetryBudget, limiter::Limiter};
use crate::{
    config::GatewayConfig,
    error::{ModelGatewayError, Stage},
    gateway::Pace,
    provider::{Limits, Provider},
    retry,
};

/// The name of the alias that the product itself asks.
pub const DEFAULT: &str = "default";

/// Everything that can be asked, at one moment. A reload makes another one; calls go on with theirs.
#[derive(Debug, Default)]
pub(crate) struct Table {
    pub(crate) aliases: BTreeMap<String, Arc<Alias>>,
    upstreams: HashMap<String, Arc<Upstream>>,
}

/// A name with the routes behind it.
#[derive(Debug)]
pub(crate) struct Alias {
    pub(crate) name: String,
    pub(crate) sticky: bool,
    /// By order.
    pub(crate) routes: Vec<Arc<Route>>,
}

/// One model of one provider, as an alias uses it.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) upstream: Arc<Upstream>,
    /// The model's name at the provider.
    pub(crate) model: String,
    pub(crate) parameters: Parameters,
    weight: u32,
    order: u32,
    fallback_on: Vec<Reason>,
    breaker: Arc<Breaker>,
    id: u64,
}

/// A provider with what is known of it.
pub(crate) struct Upstream {
    pub(crate) name: String,
    pub(crate) provider: Arc<dyn Provider>,
    config: GatewayConfig,
    pace: Pace,
    limiter: Limiter,
    budget: RetryBudget,
    breakers: Mutex<HashMap<String, Arc<Breaker>>>,
    clock: Clock,
}

impl std::fmt::Debug for Upstream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upstream").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Upstream {
    /// A provider; nothing when the settings name none.
    pub(crate) fn new(name: &str, config: &GatewayConfig, pace: Pace, egress: &Egress, clock: &Clock) -> Option<Arc<Self>> {
        Some(Arc::new(Self {
            name: name.to_owned(),
            provider: config.provider(egress, clock)?,
            config: config.clone(),
            pace,
            limiter: Limiter::new(clock.clone(), name, config.concurrency, config.queue),
            budget: RetryBudget::default(),
            breakers: Mutex::default(),
            clock: clock.clone(),
        }))
    }

    /// The one breaker of a model, for all its routes.
    fn breaker(&self, model: &str) -> Arc<Breaker> {
        let mut breakers = self.breakers.lock().unwrap_or_else(PoisonError::into_inner);
        let make = || Arc::new(Breaker::new(self.clock.clone(), &self.name, model));
        Arc::clone(breakers.entry(model.to_owned()).or_insert_with(make))
    }

    /// The alias of a provider that stands in the settings by itself.
    pub(crate) fn alias(self: &Arc<Self>, name: &str, model: &str, parameters: Parameters) -> Arc<Alias> {
        let route = Route::new(self, model, parameters, 1, 0, Vec::new());
        Arc::new(Alias { name: name.to_owned(), sticky: false, routes: vec![route] })
    }
}

impl Route {
    fn new(upstream: &Arc<Upstream>, model: &str, parameters: Parameters, weight: u32, order: u32, fallback_on: Vec<Reason>) -> Arc<Self> {
        let id = mix(upstream
            .name
            .bytes()
            .chain([0])
            .chain(model.bytes())
            .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)));
        let breaker = upstream.breaker(model);
        Arc::new(Self { upstream: Arc::clone(upstream), model: model.to_owned(), parameters, weight, order, fallback_on, breaker, id })
    }

    /// Its place among routes of the same order for one key: weighted rendezvous hashing, so that a key keeps its route and a change of the
    /// routes moves few keys.
    fn score(&self, key: u64) -> f64 {
        let hash = mix(key ^ self.id);
        // Within 0 and 1, never either.
        let unit = ((hash >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
        f64::from(self.weight) / -unit.ln()
    }
}

/// Spreads the bits of a number (splitmix64).
fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

impl Alias {
    /// The routes in the order in which they are tried for a key.
    pub(crate) fn order(&self, key: u64) -> Vec<Arc<Route>> {
        let mut routes: Vec<_> = self.routes.clone();
        if routes.len() > 1 {
            routes.sort_by(|a, b| a.order.cmp(&b.order).then_with(|| b.score(key).total_cmp(&a.score(key))));
        }
        routes
    }
}

impl Table {
    /// A table of what the settings and the file say. Providers that did not change are taken over from the table before, with their
    /// breakers, limits and connections.
    pub(crate) fn new(own: Option<&Arc<Alias>>, file: &RoutesFile, before: &Self, egress: &Egress, clock: &Clock) -> Self {
        let mut upstreams = HashMap::new();
        for (name, config) in &file.providers {
            let kept = before.upstreams.get(name).filter(|upstream| upstream.config.is_same(config)).cloned();
            if let Some(upstream) = kept.or_else(|| Upstream::new(name, config, Pace::of(config), egress, clock)) {
                upstreams.insert(name.clone(), upstream);
            }
        }
        let mut aliases = BTreeMap::new();
        if let Some(own) = own {
            aliases.insert(own.name.clone(), Arc::clone(own));
            // The model's own name means the same; that of a scripted one is the path of a file.
            if let Some(route) = own.routes.first().filter(|r| !r.model.is_empty() && !r.model.starts_with(crate::config::SCRIPTED)) {
                aliases.insert(route.model.clone(), Arc::clone(own));
            }
        }
        for (name, entry) in &file.aliases {
            let routes = entry.routes.iter().filter_map(|r| {
                let upstream = upstreams.get(&r.provider)?;
                Some(Route::new(upstream, &r.model, r.parameters.clone(), r.weight, r.order, r.fallback_on.clone()))
            });
            let alias = Alias { name: name.clone(), sticky: entry.sticky, routes: routes.collect() };
            aliases.insert(name.clone(), Arc::new(alias));
        }
        Self { aliases, upstreams }
    }
}

/// What a call won: its value, and the place that it keeps until its reply is over.
#[derive(Debug)]
pub(crate) struct Won<T> {
    pub(crate) value: T,
    pub(crate) place: Held,
}

/// A place at a provider.
#[derive(Debug)]
pub(crate) struct Held {
    _place: limiter::Place,
    breaker: Arc<Breaker>,
}

impl Held {
    /// The reply broke off; nothing can be repeated, but the breaker hears of it.
    pub(crate) fn broke(&self, error: &ModelGatewayError) {
        if matches!(
            error,
            ModelGatewayError::ProviderServerError { .. }
                | ModelGatewayError::Protocol { .. }
                | ModelGatewayError::ProviderTimeout { stage: Stage::Idle }
        ) {
            self.breaker.broke();
        }
    }
}

/// What a call needs beside its routes.
#[derive(Clone)]
pub(crate) struct Trip<'a> {
    /// Chooses among routes of the same order.
    pub(crate) key: u64,
    /// The moment after which nobody waits any more.
    pub(crate) deadline: Option<Timestamp>,
    pub(crate) clock: &'a Clock,
    pub(crate) random: &'a Random,
}

/// Makes a call: on the routes of the alias in their order, with retries on the last. `call` is one attempt, up to the first byte of a
/// reply; nothing is repeated after that.
pub(crate) async fn travel<'a, T>(
    alias: &Alias,
    trip: Trip<'a>,
    mut call: impl FnMut(Arc<Route>, Limits) -> BoxFuture<'a, Result<T, ModelGatewayError>> + Send,
) -> Result<Won<T>, ModelGatewayError> {
    let routes = alias.order(trip.key);
    let mut last = ModelGatewayError::NotConfigured;
    let count = routes.len();
    for (i, route) in routes.into_iter().enumerate() {
        last = match try_route(&route, i + 1 < count, &trip, &mut call).await {
            Ok((value, place)) => return Ok(Won { value, place }),
            Err(error) if Reason::of(&error).is_some_and(|reason| i + 1 < count && route.fallback_on.contains(&reason)) => {
                metrics::counter!("model_fallbacks_total", "alias" => alias.name.clone(), "kind" => error.kind()).increment(1);
                tracing::info!(
                    alias = alias.name,
                    provider = route.upstream.name,
                    model = route.model,
                    kind = error.kind(),
                    "the next route is tried"
                );
                error
            }
            Err(error) => return Err(error),
        };
    }
    Err(last)
}

/// Tries one route; `behind` says whether there is another, which is better than waiting.
async fn try_route<'a, T>(
    route: &Arc<Route>,
    behind: bool,
    trip: &Trip<'a>,
    call: &mut (impl FnMut(Arc<Route>, Limits) -> BoxFuture<'a, Result<T, ModelGatewayError>> + Send),
) -> Result<(T, Held), ModelGatewayError> {
    let upstream = &route.upstream;
    let left = trip.deadline.map(|deadline| deadline.since(trip.clock.now()));
    let allowed = left.unwrap_or(upstream.pace.whole).min(upstream.pace.whole);
    let is_callers = allowed < upstream.pace.whole;
    let whole = Instant::now() + allowed;
    upstream.budget.pay_in();
    for attempt in 0.. {
        // Asked before the queue, which there is no point in standing in, and after it, when things may be different.
        if let Some(wait) = route.breaker.closed_for() {
            return Err(ModelGatewayError::Unavailable { retry_after: wait });
        }
        let Some(place) = upstream.limiter.enter(whole).await else {
            metrics::counter!("model_queue_refused_total", "provider" => upstream.name.clone()).increment(1);
            return Err(match Instant::now() < whole {
                true => ModelGatewayError::ProviderOverloaded { retry_after: None },
                false => ModelGatewayError::ProviderTimeout { stage: Stage::Whole },
            });
        };
        let pass = route.breaker.admit().map_err(|wait| ModelGatewayError::Unavailable { retry_after: wait })?;
        let begun = Instant::now();
        let limits = Limits { first: begun + upstream.pace.first_token, idle: upstream.pace.idle, whole };
        let outcome = call(Arc::clone(route), limits).await;
        let kind = outcome.as_ref().map_or_else(ModelGatewayError::kind, |_| "ok");
        metrics::histogram!("model_provider_duration_seconds", "provider" => upstream.name.clone(), "outcome" => kind)
            .record(begun.elapsed().as_secs_f64());
        let error = match outcome {
            Ok(value) => {
                pass.succeeded();
                upstream.limiter.succeeded();
                return Ok((value, Held { _place: place, breaker: Arc::clone(&route.breaker) }));
            }
            Err(error) => refined(error),
        };
        upstream.learn(pass, &error, is_callers);
        drop(place);
        let next_is_better = behind && Reason::of(&error).is_some_and(|reason| route.fallback_on.contains(&reason));
        if next_is_better {
            return Err(error);
        }
        let left = whole.saturating_duration_since(Instant::now());
        let Some(wait) = retry::delay(&error, attempt, upstream.pace.backoff, left, trip.random).filter(|_| upstream.budget.take()) else {
            return Err(error);
        };
        metrics::counter!("model_retries_total", "model" => route.model.clone(), "kind" => error.kind()).increment(1);
        metrics::histogram!("model_backoff_seconds", "provider" => upstream.name.clone()).record(wait.as_secs_f64());
        tracing::info!(
            provider = upstream.name,
            model = route.model,
            kind = error.kind(),
            wait_ms = wait.as_millis() as u64,
            "the model is asked again"
        );
        tokio::time::sleep(wait).await;
    }
    Err(ModelGatewayError::ProviderTimeout { stage: Stage::Whole })
}

/// Tells the filters of providers from their other refusals; they have a word in common and no status.
fn refined(error: ModelGatewayError) -> ModelGatewayError {
    match error {
        ModelGatewayError::Refused { status: Some(400), error } => {
            let detail = error.internal_detail().unwrap_or("");
            match ["content_filter", "content_policy", "ResponsibleAI", "guardrail"].iter().any(|word| detail.contains(word)) {
                true => ModelGatewayError::Filtered { detail: detail.to_owned() },
                false => ModelGatewayError::Refused { status: Some(400), error },
            }
        }
        other => other,
    }
}

impl Upstream {
    /// What a failed attempt says about the provider; `is_callers` when the end of everything was set by the caller.
    fn learn(&self, pass: breaker::Pass, error: &ModelGatewayError, is_callers: bool) {
        match error {
            ModelGatewayError::ProviderOverloaded { retry_after } => {
                self.limiter.overloaded();
                pass.failed(retry_after.map(|wait| wait.min(retry::LONGEST_RETRY_AFTER)));
            }
            // A deadline that the caller set says something about the caller.
            ModelGatewayError::ProviderTimeout { stage: Stage::Whole } if is_callers => {}
            ModelGatewayError::ProviderTimeout { .. } => {
                self.limiter.overloaded();
                pass.failed(None);
            }
            ModelGatewayError::ProviderServerError { .. } | ModelGatewayError::Protocol { .. } => pass.failed(None),
            // It answered: the request was at fault, or our settings are.
            ModelGatewayError::Refused { status: Some(_), .. }
            | ModelGatewayError::ContextOverflow { .. }
            | ModelGatewayError::Filtered { .. }
            | ModelGatewayError::Blocked(_) => pass.succeeded(),
            _ => {}
        }
    }
}

impl Pace {
    /// The waits that settings ask for.
    pub(crate) fn of(config: &GatewayConfig) -> Self {
        Self {
            whole: Duration::from_secs(config.timeout_s),
            first_token: Duration::from_secs(config.first_token_timeout_s),
            idle: Duration::from_secs(config.idle_timeout_s),
            backoff: retry::BACKOFF,
        }
    }
}
