//! Operations that were refused for lack of rights leave an entry, whoever refused them: the handler's arguments, its code, or a policy.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use astrolabe_kernel::{
    Principal, Timestamp,
    audit::{Outcome, Record, record},
    error::code,
    http::{Trace, refusal},
};
use axum::{
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::Response,
};
use serde_json::json;

use super::Console;

/// The action of these entries; their subject is the operation.
pub const ACTION: &str = "access.refused";
/// The same caller is recorded at the same operation at most this often, with how many attempts there were: who repeats must not fill the disk.
const PAUSE: Duration = Duration::from_secs(10);
/// Callers and operations that are counted at the same time.
const COUNTED: usize = 4096;

/// Who was refused what, and how often since the last entry.
#[derive(Default)]
pub(super) struct Counts(Mutex<HashMap<(String, String), Count>>);

/// When an entry was last written, and the attempts since.
struct Count {
    last: Timestamp,
    attempts: u64,
}

impl Counts {
    /// Counts an attempt; returns how many to record when it is time.
    fn due(&self, now: Timestamp, principal: &Principal, operation: &str) -> Option<u64> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.len() >= COUNTED {
            counts.retain(|_, count| now.since(count.last) < PAUSE);
            if counts.len() >= COUNTED {
                counts.clear();
            }
        }
        let key = (format!("{}/{}", principal.tenant, principal.id), operation.to_owned());
        match counts.get_mut(&key) {
            Some(count) => {
                count.attempts += 1;
                if now.since(count.last) < PAUSE {
                    return None;
                }
                count.last = now;
                Some(std::mem::take(&mut count.attempts))
            }
            None => {
                counts.insert(key, Count { last: now, attempts: 0 });
                Some(1)
            }
        }
    }
}

/// Middleware behind sign-in: records requests that are answered with `forbidden` or `insufficient_scope`.
pub async fn refusals(State(console): State<Console>, request: Request, next: Next) -> Response {
    let extensions = request.extensions();
    let caller = extensions.get::<Principal>().cloned().zip(extensions.get::<Trace>().cloned());
    let matched = extensions.get::<MatchedPath>().map_or("unmatched", MatchedPath::as_str);
    let operation = format!("{} {matched}", request.method());
    let path = request.uri().path().to_owned();
    let response = next.run(request).await;
    let refused = refusal(&response).map(|error| (error.code(), error.message().to_owned()));
    if let (Some((principal, trace)), Some((code, why))) = (caller, refused)
        && (code == code::FORBIDDEN || code == code::INSUFFICIENT_SCOPE)
    {
        metrics::counter!("access_refused_total", "reason" => code.name).increment(1);
        let kernel = &console.0.kernel;
        if let Some(attempts) = console.0.refused.due(kernel.now(), &principal, &operation) {
            let payload = json!({"path": path, "code": code.name, "reason": why, "attempts": attempts});
            let refused =
                Record { principal: &principal, trace: &trace, action: ACTION, subject: operation, outcome: Outcome::Refused, payload };
            if let Err(error) = record(kernel, refused).await {
                metrics::counter!("audit_errors_total", "step" => "refusal").increment(1);
                tracing::error!(error = ?error, "a refused request could not be recorded");
            }
        }
    }
    response
}
