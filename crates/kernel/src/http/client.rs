//! Whose address a request comes from: that of the socket, or what a trusted proxy says of it.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use axum::{
    extract::{FromRequestParts, Request, State},
    http::{HeaderMap, request::Parts},
    middleware::Next,
    response::Response,
};
use ipnet::IpNet;

use crate::{Error, Result, error::code};

/// Hops of `X-Forwarded-For` that are looked at, from the nearest on; nobody has more proxies in a row.
const MAX_HOPS: usize = 32;

/// The other end of the connection, put into a request's extensions by whoever accepted it. Absent in requests that a command makes in
/// its own process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub IpAddr);

/// Where a request comes from, as far as it can be believed: the socket's other end, or, when that is one of `server.trusted_proxies`, the
/// last hop of `X-Forwarded-For` that is not one of them. Loopback for requests that were made in this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClientAddress(pub IpAddr);

impl ClientAddress {
    /// What limits count by: an IPv4 address, or the /64 of an IPv6 one, of which every host has 2^64 addresses.
    #[must_use]
    pub fn network(self) -> IpAddr {
        match self.0.to_canonical() {
            IpAddr::V6(v6) => {
                let [a, b, c, d, ..] = v6.segments();
                IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
            }
            v4 => v4,
        }
    }
}

impl<S: Sync> FromRequestParts<S> for ClientAddress {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(std::future::ready(parts.extensions.get::<Self>().copied()).await.unwrap_or(Self(IpAddr::V4(Ipv4Addr::LOCALHOST))))
    }
}

/// The networks whose `X-Forwarded-For` is believed.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies(Arc<[IpNet]>);

impl TrustedProxies {
    /// Reads addresses and networks such as `10.0.0.0/8`.
    ///
    /// # Errors
    /// `invalid_config` naming the one that is neither.
    pub fn parse(list: &[String]) -> Result<Self> {
        let network = |text: &String| {
            let text = text.trim();
            text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from)).map_err(|_| {
                Error::new(code::INVALID_CONFIG, format!("server.trusted_proxies: {text} is no address and no network such as 10.0.0.0/8"))
            })
        };
        Ok(Self(list.iter().map(network).collect::<Result<_>>()?))
    }

    fn trusts(&self, ip: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&ip))
    }

    /// Goes from the socket towards the client as long as each hop is trusted to tell who spoke to it. What comes before the first hop that
    /// is not trusted, or is no address, may be made up and is not looked at.
    fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        let values: Vec<&str> = headers.get_all("x-forwarded-for").iter().filter_map(|v| v.to_str().ok()).collect();
        let hops = values.iter().rev().flat_map(|value| value.rsplit(',')).take(MAX_HOPS);
        for hop in hops {
            let Some(ip) = Some(client).filter(|c| self.trusts(*c)).and_then(|_| address(hop.trim())) else { break };
            client = ip;
        }
        client
    }
}

/// An address as proxies write it: plain, with a port, or in brackets.
fn address(text: &str) -> Option<IpAddr> {
    let plain = text.parse::<IpAddr>().ok();
    let with_port = || text.parse::<std::net::SocketAddr>().ok().map(|a| a.ip());
    let in_brackets = || text.strip_prefix('[')?.strip_suffix(']')?.parse::<IpAddr>().ok();
    plain.or_else(with_port).or_else(in_brackets).map(|ip| ip.to_canonical())
}

/// Middleware that finds out the [`ClientAddress`] of every request that came over a socket.
pub async fn client_address(State(proxies): State<TrustedProxies>, mut request: Request, next: Next) -> Response {
    if let Some(Peer(peer)) = request.extensions().get::<Peer>().copied() {
        let client = proxies.client(peer, request.headers());
        request.extensions_mut().insert(ClientAddress(client));
    }
    next.run(request).await
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn client(trusted: &[&str], peer: &str, forwarded: &[&str]) -> String {
        let trusted: Vec<String> = trusted.iter().map(|t| (*t).to_owned()).collect();
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        TrustedProxies::parse(&trusted).unwrap().client(peer.parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn a_stranger_is_not_believed_whom_it_says_it_forwards_for() {
        assert_eq!(client(&[], "203.0.113.9", &["198.51.100.1"]), "203.0.113.9");
        assert_eq!(client(&["10.0.0.0/8"], "203.0.113.9", &["198.51.100.1"]), "203.0.113.9");
    }

    #[test]
    fn behind_trusted_proxies_the_last_hop_that_is_none_of_them_counts() {
        let trusted = &["10.0.0.0/8", "192.0.2.7", "fd00::/8"];
        assert_eq!(client(trusted, "10.1.1.1", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(client(trusted, "10.1.1.1", &["6.6.6.6, 198.51.100.1, 192.0.2.7"]), "198.51.100.1", "what is left of it is made up");
        assert_eq!(client(trusted, "10.1.1.1", &["6.6.6.6, 198.51.100.1", "10.2.2.2"]), "198.51.100.1", "two headers are one list");
        assert_eq!(client(trusted, "::ffff:10.1.1.1", &["198.51.100.1:4711"]), "198.51.100.1");
        assert_eq!(client(trusted, "fd00::1", &["[2001:db8::5]:443"]), "2001:db8::5");
        assert_eq!(client(trusted, "10.1.1.1", &["10.9.9.9"]), "10.9.9.9", "when all are trusted, the farthest");
    }

    #[test]
    fn a_hop_that_is_no_address_ends_the_search_at_the_proxy_that_wrote_it() {
        for bad in ["unknown", "", "evil\" 1.1.1.1", "1.2.3.4.5", "198.51.100.1, \u{ff}", ", ,"] {
            assert_eq!(client(&["10.0.0.0/8"], "10.1.1.1", &[bad]), "10.1.1.1", "{bad:?}");
        }
        let long = "10.0.0.1,".repeat(10_000);
        assert_eq!(client(&["10.0.0.0/8"], "10.1.1.1", &[long.trim_end_matches(',')]), "10.0.0.1");
    }

    #[test]
    fn a_setting_that_is_no_network_is_named() {
        let error = TrustedProxies::parse(&["proxy.local".to_owned()]).unwrap_err();
        assert!(error.message().contains("server.trusted_proxies: proxy.local"), "{error}");
    }

    #[test]
    fn limits_count_an_ipv6_host_by_its_network() {
        let of = |text: &str| ClientAddress(text.parse().unwrap()).network().to_string();
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!((of("198.51.100.1"), of("::ffff:198.51.100.1")), ("198.51.100.1".to_owned(), "198.51.100.1".to_owned()));
    }
}
