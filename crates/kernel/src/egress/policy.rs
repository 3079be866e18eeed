//! Which URL and which address may be connected to, and why not.

use std::{collections::HashSet, fmt, net::IpAddr};

use reqwest::Url;

use super::{
    EgressConfig, Trust,
    address::{is_local, is_metadata, is_public},
};

/// Why a connection is not made. Travels through the HTTP client as the cause of its error and is found again there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    /// Label of the metric, one of a handful.
    pub(super) reason: &'static str,
    /// Public message; names the host alone.
    pub(super) message: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Refusal {}

fn refuse<T>(reason: &'static str, message: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal { reason, message: message.into() })
}

/// The rules of one configuration.
#[derive(Debug)]
pub(super) struct Policy {
    offline: bool,
    local: HashSet<String>,
    allowed: HashSet<String>,
    user_ports: Vec<u16>,
}

impl Policy {
    pub(super) fn new(config: &EgressConfig) -> Self {
        let set = |hosts: &[String]| hosts.iter().map(|h| normal(h)).filter(|h| !h.is_empty()).collect();
        Self {
            offline: config.offline,
            local: set(&config.local_hosts),
            allowed: set(&config.allow_hosts),
            user_ports: config.user_ports.clone(),
        }
    }

    pub(super) fn is_offline(&self) -> bool {
        self.offline
    }

    /// Judges a URL before anything is sent: scheme, credentials, port, and the host as far as it can be judged without asking DNS.
    pub(super) fn check_url(&self, url: &Url, trust: Trust) -> Result<(), Refusal> {
        if !matches!(url.scheme(), "http" | "https") {
            return refuse("scheme", format!("only http and https addresses may be opened, not {}", url.scheme()));
        }
        let Some(host) = url.host_str() else {
            return refuse("scheme", "the address names no host");
        };
        let host = normal(host);
        if trust == Trust::User && !self.allowed.contains(&host) {
            if !url.username().is_empty() || url.password().is_some() {
                return refuse("credentials", "an address with a user name or password in it may not be opened");
            }
            let port = url.port_or_known_default().unwrap_or(0);
            if !self.user_ports.contains(&port) {
                return refuse("port", format!("port {port} of {host} may not be opened; egress.user_ports lists those that may"));
            }
        }
        match host.parse::<IpAddr>() {
            Ok(ip) => self.check_address(&host, ip, trust),
            Err(_) => self.check_name(&host),
        }
    }

    /// Judges a name before DNS is asked, so that offline mode does not even send the question.
    pub(super) fn check_name(&self, name: &str) -> Result<(), Refusal> {
        let name = normal(name);
        if self.offline && !is_localhost(&name) && !self.local.contains(&name) {
            return refuse(
                "offline",
                format!("offline mode does not open {name}; if it is a host of the local network, add it to egress.local_hosts"),
            );
        }
        Ok(())
    }

    /// Judges the address that is really connected to; `host` is what the URL called it.
    pub(super) fn check_address(&self, host: &str, ip: IpAddr, trust: Trust) -> Result<(), Refusal> {
        let host = normal(host);
        if is_metadata(ip) {
            return refuse("metadata", format!("{host} leads to a cloud metadata address, which is never opened"));
        }
        if self.offline && !is_local(ip) && !self.local.contains(&ip.to_canonical().to_string()) {
            return refuse("offline", format!("offline mode opens only loopback and private network addresses, and {host} is neither"));
        }
        if trust == Trust::User && !is_public(ip) && !self.allowed.contains(&host) {
            return refuse("private", format!("{host} is not a public address; an administrator can add it to egress.allow_hosts"));
        }
        Ok(())
    }

    /// Judges a redirect: nobody is led further than he was trusted to go.
    pub(super) fn check_redirect(&self, next: &Url, previous: &[Url], trust: Trust) -> Result<(), Refusal> {
        // `previous` starts with the address that was asked for, so its length is the number of this hop.
        if previous.len() > super::MAX_REDIRECTS {
            return refuse("redirect", format!("more than {} redirects", super::MAX_REDIRECTS));
        }
        if trust == Trust::Operator && previous.first().is_none_or(|first| first.origin() != next.origin()) {
            return refuse("redirect", "the configured address redirects to another server; configure the final address");
        }
        self.check_url(next, trust)
    }
}

/// `localhost` and names below it mean this machine and need no DNS (RFC 6761).
pub(super) fn is_localhost(name: &str) -> bool {
    let name = normal(name);
    name == "localhost" || name.ends_with(".localhost")
}

/// One spelling per host: lower case, no root dot, no brackets around IPv6.
fn normal(host: &str) -> String {
    host.trim().trim_start_matches('[').trim_end_matches(']').trim_end_matches('.').to_ascii_lowercase()
}
