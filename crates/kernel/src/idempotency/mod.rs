//! Requests that carry an idempotency key are done once: a repeat gets the first answer, byte for byte but for what is shown once
//! ([`ShownOnce`]); a different request under the same key is refused, and one that comes while the first still runs is told to wait.
//!
//! A request under a key goes on when its caller hangs up, so that the repeat finds its answer. When its process dies, when it fails, or
//! when it outlives its time limit, the key stays bound to the request's content but is free for its repeat.

mod content;
mod reply;
mod store;
#[cfg(test)]
mod tests;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    body::{Body, Bytes},
    extract::{Request, State},
    http::{Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures_util::{StreamExt, TryStreamExt};
use http_body_util::{BodyExt, LengthLimitError};
use sha2::{Digest, Sha256};

use self::{content::Fingerprint, reply::Reply, store::Stored};
use crate::{
    Error, Kernel, Principal, Result, Timestamp, Tx,
    error::code,
    http::{ShownOnce, Trace},
};

/// How long a key is bound to its request, and an answer is kept.
pub const KEPT: Duration = Duration::from_secs(24 * 3600);
/// A request that has held its key for this much longer than its time limit is taken for lost, whoever works on it.
const SLACK: Duration = Duration::from_secs(60);
/// Larger requests are refused, and larger answers are not kept.
const MAX_BODY: usize = 4 << 20;

/// What the middleware needs.
#[derive(Clone)]
pub struct Keys {
    /// Where keys are kept.
    pub kernel: Kernel,
    /// How long a request may take, as for requests without a key.
    pub time_limit: Duration,
}

/// In a request's extensions: names it among all requests of its caller for as long as its key is bound to it.
#[derive(Debug, Clone)]
pub(crate) struct Named(pub String);

impl Stored {
    /// Whether the key can be that of a request with this method and address, and this content as far as it is known.
    fn may_be(&self, head: &str, content: Option<&str>) -> bool {
        let (known_head, known) = self.request_hash.split_once(':').unwrap_or((&self.request_hash, ""));
        known_head == head && (known.is_empty() || content.is_none_or(|content| content == known))
    }

    /// Whether somebody works on the request.
    fn is_held(&self, keys: &Keys, now: Timestamp) -> bool {
        let alive = self.process.is_some_and(|p| p == keys.kernel.process || self.alive_until.is_some_and(|until| until > now));
        alive && now.since(self.taken_at) <= keys.time_limit + SLACK
    }
}

/// Middleware for routes behind sign-in. Streams are not kept: they are logs that can be read again by themselves. Their key is held until they
/// end, or their reader hangs up.
pub async fn once(State(keys): State<Keys>, request: Request, next: Next) -> Response {
    match run(keys, request, next).await {
        Ok(response) => response,
        Err(error) => error.into_response(),
    }
}

async fn run(keys: Keys, request: Request, next: Next) -> Result<Response> {
    let key = crate::http::idempotency_key(request.headers())?;
    let (Some(key), Some(principal), &Method::POST) = (key, request.extensions().get::<Principal>().cloned(), request.method()) else {
        return Ok(next.run(request).await);
    };
    let head = short_hash(&[request.method().as_str(), &request.uri().to_string()]);
    if let Some(boundary) = content::boundary(request.headers()) {
        return upload(keys, principal, key, head, Fingerprint::new(&boundary), request, next).await;
    }
    let (parts, body) = request.into_parts();
    let limited = http_body_util::Limited::new(body, MAX_BODY);
    let bytes: Bytes = limited
        .collect()
        .await
        .map_err(|error| match error.is::<LengthLimitError>() {
            true => Error::new(code::TOO_LARGE, "a request with an idempotency key must be smaller than 4 MiB"),
            false => Error::new(code::INVALID_REQUEST, "the body could not be read"),
        })?
        .to_bytes();
    let content = hex::encode(Sha256::digest(&bytes));
    match claim(&keys, &principal, &key, &head, Some(&content)).await? {
        Claim::Kept(stored) => Ok(reply::replay(*stored)),
        Claim::Ours(entry) => work(keys, entry, Request::from_parts(parts, Body::from(bytes)), next).await,
    }
}

/// An upload is not held in memory: what it is shows while it is read. So a repeat is compared with what is known at its end, and when that
/// is nothing, because the first attempt died on the way, the repeat is taken for the same.
async fn upload(
    keys: Keys,
    principal: Principal,
    key: String,
    head: String,
    mut fingerprint: Fingerprint,
    request: Request,
    next: Next,
) -> Result<Response> {
    match claim(&keys, &principal, &key, &head, None).await? {
        Claim::Kept(stored) => {
            let known = stored.request_hash.split_once(':').map_or("", |(_, content)| content);
            let size = known.split_once('-').and_then(|(size, _)| size.parse::<u64>().ok()).unwrap_or(0);
            let mut body = request.into_body().into_data_stream();
            while let Some(bytes) = body.next().await {
                fingerprint.feed(&bytes.map_err(|_| Error::new(code::INVALID_REQUEST, "the body could not be read"))?);
                if fingerprint.size() > size {
                    return Err(reused());
                }
            }
            if fingerprint.finish().as_deref() == Some(known) { Ok(reply::replay(*stored)) } else { Err(reused()) }
        }
        Claim::Ours(mut entry) => {
            let shared = Arc::new(Mutex::new(fingerprint));
            entry.upload = Some(shared.clone());
            let request = request.map(|body| {
                Body::from_stream(body.into_data_stream().inspect_ok(move |bytes| {
                    shared.lock().unwrap_or_else(PoisonError::into_inner).feed(bytes);
                }))
            });
            work(keys, entry, request, next).await
        }
    }
}

async fn work(keys: Keys, entry: Box<Entry>, mut request: Request, next: Next) -> Result<Response> {
    request.extensions_mut().insert(Named(format!("{} {}", entry.key, entry.since.micros())));
    let (kernel, limit) = (keys.kernel, keys.time_limit);
    let trace = request.extensions().get::<Trace>().cloned().unwrap_or_else(|| Trace::background(&kernel.random));
    let path = request.uri().path().to_owned();
    let work = async move {
        match tokio::time::timeout(limit, next.run(request)).await {
            Ok(response) => entry.answered(response, &trace, &path).await,
            Err(_) => Err(Error::new(code::TIMED_OUT, "the request took longer than server.request_timeout_s allows")),
        }
    };
    // Who hangs up and comes again must find the first request's answer, not start a second one beside it.
    kernel.lifecycle.shielded("idempotent request", work).await
}

/// What is to be done about a request.
enum Claim {
    /// It was answered before.
    Kept(Box<Stored>),
    /// It is ours to work on.
    Ours(Box<Entry>),
}

/// The key is bound to `head:content`: method and address, and what the request holds, as soon as that is known.
async fn claim(keys: &Keys, principal: &Principal, key: &str, head: &str, content: Option<&str>) -> Result<Claim> {
    let kernel = &keys.kernel;
    let now = kernel.now();
    let request_hash = format!("{head}:{}", content.unwrap_or(""));
    let mut tx = kernel.db.write(principal.tenant).await?;
    let (since, attempt) = match tx.idempotent(principal, key).await? {
        None => {
            let begun = tx.begin_idempotent(principal, key, &request_hash, kernel.process, now).await;
            begun.map_err(|e| if crate::db::is_unique_violation(&e) { in_progress() } else { e })?;
            (now, 1)
        }
        Some(stored) => {
            let expired = now.since(stored.created_at) > KEPT;
            if !expired {
                if !stored.may_be(head, content) {
                    return Err(reused());
                }
                if stored.status.is_some() {
                    return Ok(Claim::Kept(Box::new(stored)));
                }
                if stored.is_held(keys, now) {
                    return Err(in_progress());
                }
            }
            let since = if expired { now } else { stored.created_at };
            if !tx.take_idempotent(principal, key, &request_hash, kernel.process, since, now, stored.attempt).await? {
                return Err(in_progress());
            }
            (since, stored.attempt + 1)
        }
    };
    tx.commit().await?;
    let (kernel, principal, key) = (kernel.clone(), principal.clone(), key.to_owned());
    Ok(Claim::Ours(Box::new(Entry { kernel, principal, key, request_hash, upload: None, since, attempt, open: true })))
}

fn short_hash(parts: &[&str]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
        hasher.update([0]);
    }
    hex::encode(&hasher.finalize()[..16])
}

fn reused() -> Error {
    Error::new(code::IDEMPOTENCY_KEY_REUSED, "this idempotency key was used for a different request")
}

fn in_progress() -> Error {
    Error::new(code::IDEMPOTENCY_IN_PROGRESS, "a request with this idempotency key is still running")
        .with_retry_after(Duration::from_secs(1))
}

/// Whether the first answer is what every repeat should get. Not what failed on our side, and not what is about the caller or the moment
/// instead of the request: a repeat may do better then, and nothing was done yet.
fn is_final(status: StatusCode) -> bool {
    let about_the_moment = [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN, StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS];
    !status.is_server_error() && !about_the_moment.contains(&status)
}

/// A key that this process holds for a request. Dropped without an answer, it is free for the repeat.
struct Entry {
    kernel: Kernel,
    principal: Principal,
    key: String,
    request_hash: String,
    /// Of an upload, what was read of it.
    upload: Option<Arc<Mutex<Fingerprint>>>,
    /// Since when the key is bound to the request.
    since: Timestamp,
    /// Fences: whoever was taken for dead must not write over, or free, the entry of the repeat that took its place.
    attempt: i64,
    open: bool,
}

impl Entry {
    /// Keeps the answer, when it is one that a repeat should get.
    async fn answered(mut self, response: Response, trace: &Trace, path: &str) -> Result<Response> {
        let (mut parts, body) = response.into_parts();
        let stream = parts.headers.get(header::CONTENT_TYPE).is_some_and(|v| v == "text/event-stream" || v == "application/x-ndjson");
        if stream {
            return Ok(Response::from_parts(parts, self.held_by(body)));
        }
        if parts.status.is_server_error() {
            // Free before the caller hears of it, who may come again at once. When even that fails, it is tried again behind the answer.
            let freed = self.close(|e, tx| Box::pin(tx.release_idempotent(&e.principal, &e.key, e.attempt))).await;
            if let Err(error) = freed {
                tracing::warn!(error = ?error, "an idempotency key could not be freed after a failure");
            }
            return Ok(Response::from_parts(parts, body));
        }
        let read = self.upload.as_ref().map(|u| u.lock().unwrap_or_else(PoisonError::into_inner).finish());
        if let Some(Some(content)) = &read {
            self.request_hash.push_str(content);
        }
        if !is_final(parts.status) || read == Some(None) {
            // Nothing was done, so the key is not used up. What an upload was refused for without being read may be in order the next time.
            self.close(|e, tx| Box::pin(tx.forget_idempotent(&e.principal, &e.key, e.attempt))).await?;
            return Ok(Response::from_parts(parts, body));
        }
        let bytes = body.collect().await.map_err(Error::internal)?.to_bytes();
        let once = parts.extensions.remove::<ShownOnce>();
        let reply = match crate::http::as_sent(&parts, trace, path) {
            // An error becomes a document on its way out; the repeat gets the same one, ids and all.
            Some((headers, document)) => Reply::of(parts.status, &headers, &document, None),
            None => Reply::of(parts.status, &parts.headers, &bytes, once),
        };
        if reply.body.len() <= MAX_BODY {
            self.close(move |e, tx| {
                Box::pin(async move { tx.finish_idempotent(&e.principal, &e.key, e.attempt, &e.request_hash, &reply).await })
            })
            .await?;
        }
        Ok(Response::from_parts(parts, Body::from(bytes)))
    }

    /// A stream that holds the key until its last byte: who has read it to the end may come again at once.
    fn held_by(self, stream: Body) -> Body {
        Body::from_stream(futures_util::stream::unfold((stream.into_data_stream(), self), |(mut stream, mut entry)| async move {
            let next = stream.next().await;
            if next.is_none()
                && let Err(error) = entry.close(|e, tx| Box::pin(tx.release_idempotent(&e.principal, &e.key, e.attempt))).await
            {
                tracing::warn!(error = ?error, "an idempotency key could not be freed at the end of its stream");
            }
            Some((next?, (stream, entry)))
        }))
    }

    /// Writes how it ended.
    async fn close(
        &mut self,
        write: impl for<'a> FnOnce(&'a Self, &'a mut Tx) -> futures_util::future::BoxFuture<'a, Result<()>>,
    ) -> Result<()> {
        let mut tx = self.kernel.db.write(self.principal.tenant).await?;
        write(self, &mut tx).await?;
        tx.commit().await?;
        self.open = false;
        Ok(())
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if !self.open {
            return;
        }
        let (kernel, principal, key, attempt) = (self.kernel.clone(), self.principal.clone(), self.key.clone(), self.attempt);
        self.kernel.lifecycle.spawn("idempotency", async move {
            let result = async {
                let mut tx = kernel.db.write(principal.tenant).await?;
                tx.release_idempotent(&principal, &key, attempt).await?;
                tx.commit().await
            };
            if let Err(error) = result.await {
                tracing::warn!(error = ?error, "an idempotency key could not be freed; it is free a minute after the request's time limit");
            }
        });
    }
}
