//! How much one caller may ask for: requests a minute by class, streams at the same time, and guesses at a password.
//!
//! All counting is in this process and in memory of a fixed size. With several processes, each has limits of its own.

mod buckets;
mod failed;
mod middleware;
mod streams;
#[cfg(test)]
mod tests;

use std::{
    hash::{BuildHasher, RandomState},
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

use axum::http::{HeaderValue, Method};
pub use failed::FailedAttempts;
pub use middleware::{limit, limit_address};
use serde::Deserialize;

use self::{
    buckets::{Buckets, Taken},
    streams::Streams,
};
use crate::{Clock, Error, Principal, Result, Timestamp, error::code, principal::TenantId};

/// What a request asks for, as far as limits care.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Reads what is there.
    Read,
    /// Changes something.
    Write,
    /// Makes the machine think: searches, answers, runs of agents, calls of models.
    Ask,
    /// Brings files.
    Upload,
    /// Proves who it is; counted by address, because nobody is known yet.
    SignIn,
}

impl Class {
    /// Every class.
    pub const ALL: [Self; 5] = [Self::Read, Self::Write, Self::Ask, Self::Upload, Self::SignIn];

    /// The name in settings, headers and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Ask => "ask",
            Self::Upload => "upload",
            Self::SignIn => "sign_in",
        }
    }
}

/// The section `limits`. Requests are counted by the minute, and a whole minute's may come at once; 0 is no limit.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitsConfig {
    /// Requests that read, for each caller.
    pub read_per_minute: u32,
    /// Requests that change something, for each caller.
    pub write_per_minute: u32,
    /// Searches, questions and runs, for each caller.
    pub ask_per_minute: u32,
    /// Uploads, for each caller.
    pub upload_per_minute: u32,
    /// Attempts to sign in, for each client address.
    pub sign_in_per_minute: u32,
    /// Requests that read, for each tenant.
    pub tenant_read_per_minute: u32,
    /// Requests that change something, for each tenant.
    pub tenant_write_per_minute: u32,
    /// Searches, questions and runs, for each tenant.
    pub tenant_ask_per_minute: u32,
    /// Uploads, for each tenant.
    pub tenant_upload_per_minute: u32,
    /// Streams at the same time for each token, session or key.
    pub streams_per_credential: u32,
    /// Streams at the same time for each tenant.
    pub streams_per_tenant: u32,
}

impl LimitsConfig {
    /// No limit at all: for commands that work in their own process for the operator.
    #[must_use]
    pub fn off() -> Self {
        Self::default()
    }

    /// The settings with their names, for messages and checks.
    #[must_use]
    pub fn values(&self) -> [(&'static str, u32); 11] {
        [
            ("limits.read_per_minute", self.read_per_minute),
            ("limits.write_per_minute", self.write_per_minute),
            ("limits.ask_per_minute", self.ask_per_minute),
            ("limits.upload_per_minute", self.upload_per_minute),
            ("limits.sign_in_per_minute", self.sign_in_per_minute),
            ("limits.tenant_read_per_minute", self.tenant_read_per_minute),
            ("limits.tenant_write_per_minute", self.tenant_write_per_minute),
            ("limits.tenant_ask_per_minute", self.tenant_ask_per_minute),
            ("limits.tenant_upload_per_minute", self.tenant_upload_per_minute),
            ("limits.streams_per_credential", self.streams_per_credential),
            ("limits.streams_per_tenant", self.streams_per_tenant),
        ]
    }

    /// The limits of a class: of each caller (or address), and of each tenant.
    fn of(&self, class: Class) -> (u32, u32) {
        match class {
            Class::Read => (self.read_per_minute, self.tenant_read_per_minute),
            Class::Write => (self.write_per_minute, self.tenant_write_per_minute),
            Class::Ask => (self.ask_per_minute, self.tenant_ask_per_minute),
            Class::Upload => (self.upload_per_minute, self.tenant_upload_per_minute),
            Class::SignIn => (self.sign_in_per_minute, 0),
        }
    }
}

/// Callers whose buckets a class remembers. More who ask at the same time share some.
const CALLERS: usize = 8192;
/// Tenants whose buckets a class remembers.
const TENANTS: usize = 2048;

/// The limits of a server; clones count together.
#[derive(Clone)]
pub struct Limiter(Arc<Inner>);

struct Inner {
    classes: [Limits; Class::ALL.len()],
    streams: Streams,
    classify: fn(&Method, &str) -> Class,
    clock: Clock,
    /// Keyed by chance, so that nobody can choose an id that shares a bucket with somebody else's.
    hasher: RandomState,
}

/// The limits of one class.
struct Limits {
    class: Class,
    caller: Option<Buckets>,
    tenant: Option<Buckets>,
    /// `RateLimit-Policy`, which never changes.
    policy: Option<HeaderValue>,
}

/// What became of a request at its limits.
struct Verdict<'a> {
    limits: &'a Limits,
    caller: Option<Taken>,
    tenant: Option<Taken>,
    refused: Option<Error>,
}

impl Limiter {
    /// Limits as the settings say. `classify` tells the class of a route from its method and its path's template; kernel knows no nouns.
    #[must_use]
    pub fn new(config: &LimitsConfig, clock: Clock, classify: fn(&Method, &str) -> Class) -> Self {
        let classes = Class::ALL.map(|class| {
            let (caller, tenant) = config.of(class);
            Limits {
                class,
                caller: (caller > 0).then(|| Buckets::new(caller, CALLERS)),
                tenant: (tenant > 0).then(|| Buckets::new(tenant, TENANTS)),
                policy: middleware::policy(class, caller, tenant),
            }
        });
        let streams = Streams::new(config.streams_per_credential, config.streams_per_tenant);
        Self(Arc::new(Inner { classes, streams, classify, clock, hasher: RandomState::new() }))
    }

    /// Takes a request of a signed-in caller out of its buckets, without waiting and without allocating.
    fn take(&self, class: Class, principal: &Principal, now: Timestamp) -> Verdict<'_> {
        let inner = &self.0;
        let caller = inner.hasher.hash_one((principal.tenant, principal.id.as_str()));
        self.take_keys(class, caller, Some((inner.hasher.hash_one(principal.tenant), principal.tenant)), now)
    }

    /// Takes an attempt to sign in out of the bucket of its address.
    fn take_address(&self, class: Class, address: IpAddr, now: Timestamp) -> Verdict<'_> {
        self.take_keys(class, self.0.hasher.hash_one(address), None, now)
    }

    fn take_keys(&self, class: Class, caller: u64, tenant: Option<(u64, TenantId)>, now: Timestamp) -> Verdict<'_> {
        let limits = &self.0.classes[class as usize];
        let mut verdict = Verdict { limits, caller: None, tenant: None, refused: None };
        // The caller's first: who is over its own limit must not use up what the others of its tenant may.
        if let Some(buckets) = &limits.caller {
            let taken = buckets.take(caller, now);
            verdict.caller = Some(taken);
            if let Some(wait) = taken.wait {
                let scope = if class == Class::SignIn { "address" } else { "caller" };
                verdict.refused = Some(refusal(class, scope, buckets.per_minute(), wait));
                return verdict;
            }
        }
        if let (Some(buckets), Some((key, _))) = (&limits.tenant, tenant) {
            let taken = buckets.take(key, now);
            verdict.tenant = Some(taken);
            if let Some(wait) = taken.wait {
                verdict.refused = Some(refusal(class, "tenant", buckets.per_minute(), wait));
            }
        }
        verdict
    }
}

fn refusal(class: Class, scope: &'static str, most: u32, wait: Duration) -> Error {
    let class = class.as_str();
    metrics::counter!("rate_limited_total", "class" => class, "scope" => scope).increment(1);
    let setting = if scope == "tenant" { format!("limits.tenant_{class}_per_minute") } else { format!("limits.{class}_per_minute") };
    Error::new(code::RATE_LIMITED, format!("each {scope} may make {most} requests of the kind {class} a minute ({setting})"))
        .with_retry_after(wait)
}

/// Checks the values of the section.
///
/// # Errors
/// `invalid_config` naming the setting.
pub fn validate(config: &LimitsConfig) -> Result<()> {
    match config.values().into_iter().find(|(_, value)| *value > buckets::MOST) {
        Some((name, _)) => Err(Error::new(code::INVALID_CONFIG, format!("{name}: must be between 0 and {}", buckets::MOST))),
        None => Ok(()),
    }
}
