//! The one door to the network. Every HTTP request that Astrolabe makes starts with [`Egress::request`]; the lints forbid making
//! another client.
//!
//! A caller says how far the address is trusted ([`Trust`]). The policy is applied to the URL before anything is sent, to the
//! addresses that DNS answers before one of them is connected to (so a name cannot be re-bound between check and use), and to every
//! redirect. `offline = true` refuses whatever is not loopback or a private network, and does not even ask DNS about other names.
//!
//! Metrics: `egress_connections_total{purpose}` counts connections let through, `egress_refused_total{reason}` those that were not.

mod address;
mod policy;
mod request;
mod resolve;
#[cfg(test)]
mod tests;
mod tls;

use std::{
    collections::HashMap,
    fmt,
    path::PathBuf,
    sync::{
        Arc, OnceLock, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use reqwest::Url;
pub use reqwest::{Method, StatusCode, header};
use rustls::pki_types::CertificateDer;
use serde::{Deserialize, Serialize};

pub use self::request::{Request, Response};
use self::{
    policy::{Policy, Refusal},
    resolve::{GuardedResolver, Lookup},
};
use crate::{Error, Result, error::code};

/// Redirects followed at most.
const MAX_REDIRECTS: usize = 5;

/// Idle connections kept per host, and for how long.
const POOL: (usize, Duration) = (16, Duration::from_secs(60));

/// How far an address is trusted; decides which networks it may lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Trust {
    /// It stands in our configuration. Loopback and private networks are fine, cloud metadata addresses never are; redirects may not
    /// leave the server.
    Operator,
    /// A user, a document or a model gave it. Only public addresses, only http and https, only the ports of `egress.user_ports`; up to
    /// five redirects, each judged again. Never goes through `egress.proxy`, where the address could not be judged.
    User,
}

/// The section `egress` of the configuration.
#[derive(Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EgressConfig {
    /// Refuse every connection that is not to loopback or a private network address.
    pub offline: bool,
    /// Host names (or addresses) of the local network that offline mode may open. A name still has to lead to a private address.
    pub local_hosts: Vec<String>,
    /// Host names or addresses inside our network that addresses from users may open all the same, on any port.
    pub allow_hosts: Vec<String>,
    /// Ports that addresses from users may name.
    #[serde(deserialize_with = "ports")]
    pub user_ports: Vec<u16>,
    /// HTTP proxy for operator addresses outside the private networks, such as `http://proxy.corp:3128`. Empty means none; the
    /// environment is never asked.
    pub proxy: String,
    /// PEM file of further certificate authorities, for servers with certificates of your own. Empty means none.
    pub ca_file: PathBuf,
    /// Seconds until DNS, TCP and TLS together have to be done.
    pub connect_timeout_s: u64,
}

impl Default for EgressConfig {
    fn default() -> Self {
        Self {
            offline: false,
            local_hosts: Vec::new(),
            allow_hosts: Vec::new(),
            user_ports: vec![80, 443, 8080, 8443],
            proxy: String::new(),
            ca_file: PathBuf::new(),
            connect_timeout_s: 5,
        }
    }
}

/// Ports as numbers, or as the text that an environment variable gives.
fn ports<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<u16>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Port {
        Number(u16),
        Text(String),
    }
    let read = |port| match port {
        Port::Number(number) => Ok(number),
        Port::Text(text) => text.trim().parse().map_err(|_| serde::de::Error::custom(format!("{text} is not a port"))),
    };
    Vec::<Port>::deserialize(deserializer)?.into_iter().map(read).collect()
}

/// Prints everything but the proxy's address, which may hold a password.
impl fmt::Debug for EgressConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EgressConfig")
            .field("offline", &self.offline)
            .field("local_hosts", &self.local_hosts)
            .field("allow_hosts", &self.allow_hosts)
            .field("user_ports", &self.user_ports)
            .field("proxy", &if self.proxy.is_empty() { "none" } else { "set" })
            .field("ca_file", &self.ca_file)
            .field("connect_timeout_s", &self.connect_timeout_s)
            .finish()
    }
}

/// What has passed the door and what has not, since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Connections that were let through, whether or not the other side answered.
    pub connections: u64,
    /// Requests that were refused.
    pub refused: u64,
}

/// The door. Cheap to clone and cheap to make: clients, certificates and sockets come with the first request that needs them.
#[derive(Clone)]
pub struct Egress(Arc<Inner>);

struct Inner {
    policy: Arc<Policy>,
    proxy: Option<Url>,
    authorities: Vec<CertificateDer<'static>>,
    connect_timeout: Duration,
    lookup: Lookup,
    tls: OnceLock<rustls::ClientConfig>,
    clients: RwLock<HashMap<ClientKey, reqwest::Client>>,
    connections: Arc<AtomicU64>,
    refused: AtomicU64,
}

/// What a client is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct ClientKey {
    /// Labels its connections.
    purpose: &'static str,
    /// Decides its resolver and redirects.
    trust: Trust,
    /// Whether it can meet TLS. One that cannot (plain HTTP, which an operator's address never leaves) does without the certificate
    /// authorities of the system: some 100 files, 4 MB and 50 ms.
    tls: bool,
}

impl Egress {
    /// A door with these rules.
    ///
    /// # Errors
    /// `invalid_config` when the proxy is not an http(s) URL or the file of authorities cannot be used.
    pub fn new(config: EgressConfig) -> Result<Self> {
        Self::with_lookup(config, resolve::system_lookup())
    }

    fn with_lookup(config: EgressConfig, lookup: Lookup) -> Result<Self> {
        let proxy = match config.proxy.trim() {
            "" => None,
            text => match Url::parse(text) {
                Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Some(url),
                _ => return Err(Error::new(code::INVALID_CONFIG, "egress.proxy: write it as http://host:port")),
            },
        };
        let authorities = if config.ca_file.as_os_str().is_empty() { Vec::new() } else { tls::read_authorities(&config.ca_file)? };
        Ok(Self(Arc::new(Inner {
            policy: Arc::new(Policy::new(&config)),
            proxy,
            authorities,
            connect_timeout: Duration::from_secs(config.connect_timeout_s.clamp(1, 60)),
            lookup,
            tls: OnceLock::new(),
            clients: RwLock::default(),
            connections: Arc::default(),
            refused: AtomicU64::new(0),
        })))
    }

    /// Whether offline mode is on.
    pub fn is_offline(&self) -> bool {
        self.0.policy.is_offline()
    }

    /// What has passed the door and what has not.
    pub fn counts(&self) -> Counts {
        Counts { connections: self.0.connections.load(Ordering::Relaxed), refused: self.0.refused.load(Ordering::Relaxed) }
    }

    /// Starts a request. `purpose` is a fixed word for metrics and messages, such as `model` or `prometheus`.
    ///
    /// # Errors
    /// `egress_refused` when the policy forbids the address; `invalid_config` (operator) or `invalid_request` (user) when it is no URL.
    pub fn request(&self, purpose: &'static str, trust: Trust, method: Method, url: &str) -> Result<Request> {
        let url = Url::parse(url.trim()).map_err(|_| match trust {
            Trust::Operator => {
                Error::new(code::INVALID_CONFIG, format!("the address of {purpose} is not a URL; write it as http://host:port/path"))
            }
            Trust::User => Error::field("url", "not an http or https address"),
        })?;
        self.check(&url, trust)?;
        let tls = trust == Trust::User || url.scheme() == "https" || self.0.proxy.as_ref().is_some_and(|p| p.scheme() == "https");
        let client = self.client(ClientKey { purpose, trust, tls })?;
        let mut builder = client.request(method, url.clone());
        // Our own servers may join the trace; a stranger's learns nothing about us.
        if let (Trust::Operator, Some(traceparent)) = (trust, crate::telemetry::traceparent()) {
            builder = builder.header("traceparent", traceparent);
        }
        Ok(Request::new(self.clone(), purpose, &url, builder))
    }

    /// Judges an address without opening it: for validating what a user saves. A name that leads inside shows only when it is opened.
    ///
    /// # Errors
    /// As [`Egress::request`].
    pub fn check_url(&self, trust: Trust, url: &str) -> Result<()> {
        let url = Url::parse(url.trim()).map_err(|_| Error::field("url", "not an http or https address"))?;
        self.check(&url, trust)
    }

    fn check(&self, url: &Url, trust: Trust) -> Result<()> {
        self.0.policy.check_url(url, trust).map_err(|refusal| self.refuse(&refusal))
    }

    /// Counts a refusal and makes it an error: every refusal passes here once.
    fn refuse(&self, refusal: &Refusal) -> Error {
        self.0.refused.fetch_add(1, Ordering::Relaxed);
        metrics::counter!("egress_refused_total", "reason" => refusal.reason).increment(1);
        tracing::warn!(reason = refusal.reason, "egress refused: {refusal}");
        Error::new(code::EGRESS_REFUSED, refusal.message.clone())
    }

    fn client(&self, key: ClientKey) -> Result<reqwest::Client> {
        if let Some(client) = self.0.clients.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(client.clone());
        }
        let made = self.make_client(key)?;
        // Of two that were made at once the first stays, so that connections are shared.
        Ok(self.0.clients.write().unwrap_or_else(PoisonError::into_inner).entry(key).or_insert(made).clone())
    }

    fn make_client(&self, ClientKey { purpose, trust, tls }: ClientKey) -> Result<reqwest::Client> {
        let inner = &self.0;
        let tls = match inner.tls.get() {
            Some(ready) => ready.clone(),
            None if !tls => tls::without_authorities()?,
            None => {
                let made = tls::client_config(&inner.authorities)?;
                inner.tls.get_or_init(|| made).clone()
            }
        };
        let policy = Arc::clone(&inner.policy);
        let redirects =
            reqwest::redirect::Policy::custom(move |attempt| match policy.check_redirect(attempt.url(), attempt.previous(), trust) {
                Ok(()) => attempt.follow(),
                Err(refusal) => attempt.error(refusal),
            });
        #[expect(clippy::disallowed_methods, reason = "this is the one place that makes clients")]
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("astrolabe/", env!("CARGO_PKG_VERSION")))
            .tls_backend_preconfigured(tls)
            .dns_resolver(GuardedResolver { policy: Arc::clone(&inner.policy), trust, lookup: Arc::clone(&inner.lookup) })
            .redirect(redirects)
            .referer(false)
            // Who calls decides about repeating; a hidden second attempt would spoil the counting.
            .retry(reqwest::retry::never())
            .connect_timeout(inner.connect_timeout)
            .pool_max_idle_per_host(POOL.0)
            .pool_idle_timeout(POOL.1)
            .connector_layer(CountLayer { purpose, total: Arc::clone(&inner.connections) })
            .no_proxy();
        if let (Some(proxy), Trust::Operator) = (&inner.proxy, trust) {
            inner.policy.check_url(proxy, Trust::Operator).map_err(|refusal| self.refuse(&refusal))?;
            let direct = "localhost,127.0.0.0/8,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,::1,fc00::/7,fe80::/10";
            let proxy = reqwest::Proxy::all(proxy.clone()).map_err(|e| {
                Error::new(code::INVALID_CONFIG, "egress.proxy: write it as http://host:port").with_internal(e.without_url())
            })?;
            builder = builder.proxy(proxy.no_proxy(reqwest::NoProxy::from_string(direct)));
        }
        builder.build().map_err(|e| Error::internal(e.without_url()))
    }
}

impl fmt::Debug for Egress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Egress").field("offline", &self.is_offline()).finish_non_exhaustive()
    }
}

/// Counts the connections of one client, where they are made and therefore not per request.
#[derive(Clone)]
struct CountLayer {
    purpose: &'static str,
    total: Arc<AtomicU64>,
}

impl<S> tower::Layer<S> for CountLayer {
    type Service = Counted<S>;

    fn layer(&self, inner: S) -> Counted<S> {
        Counted { inner, layer: self.clone() }
    }
}

#[derive(Clone)]
struct Counted<S> {
    inner: S,
    layer: CountLayer,
}

impl<S, T> tower::Service<T> for Counted<S>
where
    S: tower::Service<T, Error = Box<dyn std::error::Error + Send + Sync>>,
    S::Future: Send + 'static,
    S::Response: 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = futures_util::future::BoxFuture<'static, Result<S::Response, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, target: T) -> Self::Future {
        let (connecting, layer) = (self.inner.call(target), self.layer.clone());
        Box::pin(async move {
            let outcome = connecting.await;
            // A name that the resolver refused has made no connection; one that failed has tried.
            if !matches!(&outcome, Err(e) if request::refusal_in(e.as_ref()).is_some()) {
                layer.total.fetch_add(1, Ordering::Relaxed);
                metrics::counter!("egress_connections_total", "purpose" => layer.purpose).increment(1);
            }
            outcome
        })
    }
}
