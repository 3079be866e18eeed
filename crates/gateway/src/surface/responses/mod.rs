//! OpenAI's responses: made, streamed, kept for an hour, retrieved, continued and canceled. They are kept in this process alone.

mod body;
mod making;
pub(super) mod routes;

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use astrolabe_kernel::{Error, Principal, Result, Timestamp, principal::TenantId};
use serde_json::Value;
use tokio::sync::Notify;

use crate::chat::Message;

/// How long a response is kept.
const KEPT: Duration = Duration::from_secs(3_600);

/// Responses that are kept, and bytes of them.
const MAX_KEPT: usize = 10_000;
const MAX_BYTES: usize = 64 << 20;

/// A response that is kept.
#[derive(Debug, Clone)]
struct Kept {
    tenant: TenantId,
    principal: String,
    at: Timestamp,
    /// As it is shown.
    shown: Arc<Value>,
    /// The conversation with the reply, for the response that goes on with it; without instructions.
    messages: Arc<Vec<Message>>,
    /// Cancels one that is made in the background.
    cancel: Arc<Notify>,
    bytes: usize,
}

/// The responses of this process.
#[derive(Debug, Default)]
pub(super) struct Responses(Mutex<Store>);

#[derive(Debug, Default)]
struct Store {
    kept: HashMap<String, Kept>,
    /// From the oldest on.
    order: VecDeque<String>,
    bytes: usize,
}

impl Responses {
    fn lock(&self) -> MutexGuard<'_, Store> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a response, or what has become of it.
    fn keep(&self, id: &str, kept: Kept) {
        let mut store = self.lock();
        let now = kept.at;
        store.bytes += kept.bytes;
        match store.kept.insert(id.to_owned(), kept) {
            Some(before) => store.bytes -= before.bytes,
            None => store.order.push_back(id.to_owned()),
        }
        while let Some(oldest) = store.order.front().cloned() {
            let is_full = store.kept.len() > MAX_KEPT || store.bytes > MAX_BYTES;
            if !is_full && store.kept.get(&oldest).is_some_and(|k| now.since(k.at) < KEPT) {
                break;
            }
            store.order.pop_front();
            if let Some(gone) = store.kept.remove(&oldest) {
                store.bytes -= gone.bytes;
            }
        }
    }

    /// A response of the caller's own.
    ///
    /// # Errors
    /// `not_found`, also for those of others.
    fn of(&self, principal: &Principal, id: &str, now: Timestamp) -> Result<Kept> {
        let found = self.lock().kept.get(id).cloned();
        let is_own = |k: &Kept| k.tenant == principal.tenant && k.principal == principal.id && now.since(k.at) < KEPT;
        found.filter(is_own).ok_or_else(|| Error::not_found("response"))
    }
}
