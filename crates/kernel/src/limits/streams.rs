//! Streams at the same time: each holds a connection and a reader for as long as its caller likes.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use crate::{Error, Principal, Result, error::code, principal::TenantId};

/// When to ask for a place again.
const AGAIN: Duration = Duration::from_secs(5);

/// The open streams by who reads them. Holds only those that are open.
pub(super) struct Streams {
    per_credential: u32,
    per_tenant: u32,
    open: Arc<Mutex<Open>>,
}

#[derive(Default)]
struct Open {
    credentials: HashMap<(TenantId, String), u32>,
    tenants: HashMap<TenantId, u32>,
}

/// A stream's place; free again when dropped.
pub(super) struct Place {
    open: Arc<Mutex<Open>>,
    credential: (TenantId, String),
}

impl Streams {
    pub fn new(per_credential: u32, per_tenant: u32) -> Self {
        Self { per_credential, per_tenant, open: Arc::default() }
    }

    /// Takes a place for a stream of this caller.
    pub fn enter(&self, principal: &Principal) -> Result<Place> {
        let credential = (principal.tenant, principal.credential.clone());
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let full = |count: Option<&u32>, most: u32| most > 0 && count.is_some_and(|n| *n >= most);
        if full(open.credentials.get(&credential), self.per_credential) {
            return Err(refusal("credential", self.per_credential));
        }
        if full(open.tenants.get(&credential.0), self.per_tenant) {
            return Err(refusal("tenant", self.per_tenant));
        }
        *open.credentials.entry(credential.clone()).or_default() += 1;
        *open.tenants.entry(credential.0).or_default() += 1;
        Ok(Place { open: self.open.clone(), credential })
    }

    #[cfg(test)]
    pub fn counted(&self) -> (usize, usize) {
        let open = self.open.lock().unwrap();
        (open.credentials.len(), open.tenants.len())
    }
}

fn refusal(scope: &'static str, most: u32) -> Error {
    metrics::counter!("streams_refused_total", "scope" => scope).increment(1);
    Error::new(code::RATE_LIMITED, format!("each {scope} may have {most} streams open (limits.streams_per_{scope}); end one of them"))
        .with_retry_after(AGAIN)
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        leave(&mut open.credentials, &self.credential);
        leave(&mut open.tenants, &self.credential.0);
    }
}

fn leave<K: Hash + Eq>(counts: &mut HashMap<K, u32>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}
