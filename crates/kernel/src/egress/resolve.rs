//! Names to addresses, with the policy between the answer and the connection: what passes here is what is connected to, so a name
//! cannot show one address to a check and another to the socket.

use std::{
    future::Future,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    pin::Pin,
    sync::Arc,
};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::{
    Trust,
    policy::{Policy, Refusal, is_localhost},
};

/// The question to DNS, replaceable so that tests need none.
pub(super) type Lookup = Arc<dyn Fn(String) -> Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>> + Send + Sync>;

/// Asks the operating system.
pub(super) fn system_lookup() -> Lookup {
    Arc::new(|name| Box::pin(async move { Ok(tokio::net::lookup_host((name.as_str(), 0)).await?.map(|a| a.ip()).collect()) }))
}

/// The resolver that a client of one trust uses.
pub(super) struct GuardedResolver {
    pub(super) policy: Arc<Policy>,
    pub(super) trust: Trust,
    pub(super) lookup: Lookup,
}

impl GuardedResolver {
    /// The addresses of `name` that may be connected to; a refusal when it has some and none of them may.
    async fn addresses(
        policy: &Policy,
        trust: Trust,
        lookup: Lookup,
        name: &str,
    ) -> Result<Vec<IpAddr>, Box<dyn std::error::Error + Send + Sync>> {
        policy.check_name(name)?;
        let found = if is_localhost(name) {
            vec![IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)]
        } else {
            lookup(name.to_owned()).await?
        };
        let mut refused: Option<Refusal> = None;
        let mut allowed = Vec::with_capacity(found.len());
        for ip in found {
            match policy.check_address(name, ip, trust) {
                Ok(()) => allowed.push(ip),
                Err(refusal) => refused = Some(refusal),
            }
        }
        match refused {
            Some(refusal) if allowed.is_empty() => Err(refusal.into()),
            _ => Ok(allowed),
        }
    }
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (policy, trust, lookup) = (Arc::clone(&self.policy), self.trust, Arc::clone(&self.lookup));
        Box::pin(async move {
            let addresses = Self::addresses(&policy, trust, lookup, name.as_str()).await?;
            // Port 0 is replaced by the port of the URL.
            Ok(Box::new(addresses.into_iter().map(|ip| SocketAddr::new(ip, 0))) as Addrs)
        })
    }
}
