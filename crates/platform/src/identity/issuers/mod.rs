//! An issuer outside: its discovery document, its keys, and tokens verified with them.
//!
//! Keys are fetched when the first token needs them, again when the issuer's `max-age` is over, and when a token names a key that is not
//! among them. However many tokens ask, there is one fetch at a time and at most one in [`BETWEEN`], so that nobody can make us flood the issuer with
//! invented keys. When the issuer is down, the last keys stay good for [`STALE`].

mod discovery;
#[cfg(test)]
mod oidc_tests;
#[cfg(test)]
mod tests;

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use astrolabe_kernel::{
    Error, Kernel, Result, Timestamp,
    egress::{Method, Response, Trust},
    error::{Code, code},
};
pub use discovery::Discovery;
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::{
    config::{OidcConfig, secure},
    tokens::{self, Claims, Expectations, KeySet, MAX_SET, Verifier},
};

/// Between two fetches from one issuer, whether they succeed or not.
pub const BETWEEN: Duration = Duration::from_secs(30);
/// How long keys are used that could not be fetched again.
pub const STALE: Duration = Duration::from_secs(24 * 3600);
/// How long keys are taken for fresh: what `max-age` says, within these; the third when it says nothing.
const FRESH: (Duration, Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(24 * 3600), Duration::from_secs(3600));
/// How long one answer of the issuer may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The issuer of the section `oidc`; clones are the same issuer.
#[derive(Clone)]
pub struct Issuer(Arc<Inner>);

struct Inner {
    kernel: Kernel,
    config: OidcConfig,
    expect: Expectations,
    state: RwLock<State>,
    /// Held by the one who fetches.
    fetching: Arc<Mutex<()>>,
}

#[derive(Default)]
struct State {
    published: Option<Published>,
    discovery: Option<Arc<Discovery>>,
    /// When a fetch was last begun.
    tried_at: Option<Timestamp>,
    /// What was wrong with the last fetch.
    failure: Option<(&'static Code, String)>,
}

/// Keys as they were fetched.
#[derive(Clone)]
struct Published {
    keys: Arc<KeySet>,
    fetched_at: Timestamp,
    fresh_until: Timestamp,
}

/// What is known of an issuer, for `/readyz`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuerStatus {
    /// Keys that can be used; nothing when they were never fetched.
    pub keys: Option<usize>,
    /// Why the last fetch failed; nothing when it did not.
    pub failure: Option<String>,
}

impl Issuer {
    /// The issuer of a section, or nothing when none is configured. Nothing is fetched yet.
    ///
    /// # Errors
    /// As [`OidcConfig::validate`].
    pub fn new(kernel: Kernel, config: OidcConfig) -> Result<Option<Self>> {
        config.validate()?;
        if !config.is_configured() {
            return Ok(None);
        }
        let expect = Expectations::access(config.issuer.as_str(), config.audience.clone());
        Ok(Some(Self(Arc::new(Inner { kernel, config, expect, state: RwLock::default(), fetching: Arc::default() }))))
    }

    /// The settings.
    pub fn config(&self) -> &OidcConfig {
        &self.0.config
    }

    /// Verifies an access token.
    ///
    /// # Errors
    /// Those of [`Verifier::verify`]; `upstream_failed` or `upstream_timeout` when the issuer's keys cannot be had.
    pub async fn verify(&self, token: &str) -> Result<Claims> {
        self.verify_as(token, &self.0.expect).await
    }

    /// Verifies the ID token of a sign-in that was begun with this `nonce`.
    ///
    /// # Errors
    /// As [`Issuer::verify`]; `invalid_token` when it belongs to another sign-in.
    pub async fn verify_id(&self, token: &str, nonce: &str) -> Result<Claims> {
        let expect = Expectations::id(self.0.config.issuer.as_str(), self.0.config.client_id.as_str());
        let claims = self.verify_as(token, &expect).await?;
        match claims.text("nonce") == Some(nonce) {
            true => Ok(claims),
            false => Err(Error::new(code::INVALID_TOKEN, "the ID token belongs to another sign-in (`nonce`)")),
        }
    }

    async fn verify_as(&self, token: &str, expect: &Expectations) -> Result<Claims> {
        let kid = tokens::look(token)?.kid;
        let mut published = self.published().await?;
        if kid.as_deref().is_some_and(|kid| !published.keys.has(kid)) {
            published = self.newer_than(published).await;
        }
        Verifier { keys: &published.keys, expect }.verify(token, self.0.kernel.now())
    }

    /// The discovery document, for those who begin a sign-in.
    ///
    /// # Errors
    /// `upstream_failed` or `upstream_timeout` when it cannot be had.
    pub async fn discovery(&self) -> Result<Arc<Discovery>> {
        self.published().await?;
        let found = self.read(|state| state.discovery.clone());
        found.ok_or_else(|| Error::new(code::UPSTREAM_FAILED, "the OpenID Connect issuer has no discovery document that can be used"))
    }

    /// What is known of the issuer now; asks nobody.
    pub fn status(&self) -> IssuerStatus {
        self.read(|state| IssuerStatus {
            keys: state.published.as_ref().map(|p| p.keys.len()),
            failure: state.failure.as_ref().map(|(_, message)| message.clone()),
        })
    }

    /// Fetches the keys before anybody needs them. A failure is logged, and shows in [`Issuer::status`].
    pub async fn warm(&self) {
        let _ = self.published().await;
    }

    fn read<T>(&self, what: impl FnOnce(&State) -> T) -> T {
        what(&self.0.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn change(&self, how: impl FnOnce(&mut State)) {
        how(&mut self.0.state.write().unwrap_or_else(PoisonError::into_inner));
    }

    /// Keys that may be used at a time, fresh or not.
    fn usable(&self, now: Timestamp) -> Option<Published> {
        self.read(|state| state.published.clone()).filter(|p| now.since(p.fetched_at) < STALE)
    }

    /// The keys to verify with: fresh ones, else newly fetched, else the last that were.
    async fn published(&self) -> Result<Published> {
        let now = self.0.kernel.now();
        let held = self.usable(now);
        if let Some(fresh) = held.as_ref().filter(|p| now < p.fresh_until) {
            return Ok(fresh.clone());
        }
        // With keys in hand nobody waits for somebody else's fetch; without, all do.
        let turn = match &held {
            Some(_) => self.0.fetching.clone().try_lock_owned().ok(),
            None => Some(self.0.fetching.clone().lock_owned().await),
        };
        if let Some(turn) = turn {
            let already = self.usable(now).is_some_and(|p| now < p.fresh_until);
            if !already {
                self.fetch_if_due(turn).await;
            }
        }
        self.usable(self.0.kernel.now()).ok_or_else(|| self.failure())
    }

    /// Keys that were fetched after these, when it is time for that; else these.
    async fn newer_than(&self, held: Published) -> Published {
        let turn = self.0.fetching.clone().lock_owned().await;
        let now = self.0.kernel.now();
        match self.usable(now) {
            // Whoever had the turn before fetched them.
            Some(newer) if newer.fetched_at > held.fetched_at || !Arc::ptr_eq(&newer.keys, &held.keys) => newer,
            _ => {
                self.fetch_if_due(turn).await;
                self.usable(now).unwrap_or(held)
            }
        }
    }

    fn failure(&self) -> Error {
        let (code, message, tried_at) = self.read(|state| {
            let (code, message) = state.failure.clone().unwrap_or((code::UPSTREAM_FAILED, "the issuer's keys were not fetched".to_owned()));
            (code, message, state.tried_at)
        });
        let waited = tried_at.map_or(BETWEEN, |at| self.0.kernel.now().since(at));
        Error::new(code, message).with_retry_after(BETWEEN.saturating_sub(waited))
    }

    /// Fetches once, unless it is too early for that. Who waits may go away; the fetch does not.
    async fn fetch_if_due(&self, turn: OwnedMutexGuard<()>) {
        let now = self.0.kernel.now();
        if self.read(|state| state.tried_at).is_some_and(|at| now.since(at) < BETWEEN) {
            return;
        }
        self.change(|state| state.tried_at = Some(now));
        let this = self.clone();
        let fetched = self.0.kernel.lifecycle.shielded("oidc keys", async move {
            if let Err(error) = this.fetch(now).await {
                this.change(|state| state.failure = Some((error.code(), error.message().to_owned())));
                metrics::counter!("oidc_key_fetches_total", "outcome" => "failed").increment(1);
                tracing::warn!(error = ?error, "the keys of the OpenID Connect issuer could not be fetched");
            }
            drop(turn);
            Ok(())
        });
        // Nothing but a stop or a panic is left, and both have been reported.
        let _ = fetched.await;
    }

    async fn fetch(&self, now: Timestamp) -> Result<()> {
        let config = &self.0.config;
        // With an address of its own for the keys, the document is needed for sign-in alone.
        let discovery = match config.jwks_url.is_empty() {
            true => Some(self.fetch_discovery().await?),
            false if config.client_id.is_empty() => None,
            false => self.fetch_discovery().await.map_err(|e| tracing::warn!(error = ?e, "the issuer has no discovery document")).ok(),
        };
        let url = match &discovery {
            Some(discovery) if config.jwks_url.is_empty() => discovery.jwks_uri.as_str(),
            _ => config.jwks_url.as_str(),
        };
        let response = self.get(url).await?;
        let life = lifetime(response.header("cache-control").unwrap_or(""));
        let keys = KeySet::parse(&response.bytes(MAX_SET).await?)
            .map_err(|e| Error::new(code::UPSTREAM_FAILED, "the OpenID Connect issuer sent no key set").with_internal(e.message()))?;
        metrics::counter!("oidc_key_fetches_total", "outcome" => "ok").increment(1);
        tracing::info!(keys = keys.len(), left_out = keys.left_out().join("; "), "fetched the keys of the OpenID Connect issuer");
        if keys.is_empty() {
            tracing::warn!("the OpenID Connect issuer publishes no key that can be used, so its tokens are refused");
        }
        self.change(|state| {
            state.published = Some(Published { keys: Arc::new(keys), fetched_at: now, fresh_until: now.plus(life) });
            state.discovery = discovery.map(Arc::new).or_else(|| state.discovery.take());
            state.failure = None;
        });
        Ok(())
    }

    async fn fetch_discovery(&self) -> Result<Discovery> {
        let issuer = &self.0.config.issuer;
        // OpenID Connect Discovery, section 4: a slash at the end of the issuer goes.
        let url = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        Discovery::parse(&self.get(&url).await?.bytes(MAX_SET).await?, issuer)
    }

    async fn get(&self, url: &str) -> Result<Response> {
        let request = self.0.kernel.egress.request("oidc", Trust::Operator, Method::GET, url)?;
        request.header("accept", "application/json").timeout(TIMEOUT).send().await?.success()
    }
}

/// How long an answer may be kept (RFC 9111, section 5.2.2), within our bounds.
fn lifetime(cache_control: &str) -> Duration {
    let (least, most, usual) = FRESH;
    let mut life = usual;
    for directive in cache_control.split(',').map(|d| d.trim().to_ascii_lowercase()) {
        if directive == "no-store" || directive == "no-cache" {
            return least;
        }
        if let Some(seconds) = directive.strip_prefix("max-age=") {
            life = seconds.trim_matches('"').parse().map_or(least, Duration::from_secs);
        }
    }
    life.clamp(least, most)
}
