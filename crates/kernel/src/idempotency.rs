//! Requests that carry an idempotency key are done once: a repeat gets the first answer, a different request under the same
//! key is refused, and one that comes while the first still runs is told to wait.
//!
//! A request under a key goes on when its caller hangs up, so that the repeat finds its answer. When its process dies, when it fails, or
//! when it outlives its time limit, the key stays bound to the request's content but is free for its repeat.

use std::time::Duration;

use axum::{
    body::{Body, Bytes},
    extract::{Request, State},
    http::{HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures_util::StreamExt;
use http_body_util::{BodyExt, LengthLimitError};
use sha2::{Digest, Sha256};

use crate::{
    Error, Id, Kernel, Principal, Result, Timestamp, Tx, args,
    db::{FromRow, Row},
    error::code,
    processes::Process,
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

struct Stored {
    request_hash: String,
    status: Option<i64>,
    content_type: Option<String>,
    body: Option<Vec<u8>>,
    created_at: Timestamp,
    taken_at: Timestamp,
    attempt: i64,
    process: Option<Id<Process>>,
    alive_until: Option<Timestamp>,
}

impl FromRow for Stored {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self {
            request_hash: row.get("request_hash")?,
            status: row.get("status")?,
            content_type: row.get("content_type")?,
            body: row.get("body")?,
            created_at: row.time("created_at")?,
            taken_at: row.time("taken_at")?,
            attempt: row.get("attempt")?,
            process: row.optional_id("process_id")?,
            alive_until: row.optional_time("alive_until")?,
        })
    }
}

impl Stored {
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
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|v| v.as_bytes().get(..10));
    let multipart = kind.is_some_and(|k| k.eq_ignore_ascii_case(b"multipart/"));
    if multipart {
        // An upload is idempotent by its content; buffering it here would hold whole files in memory.
        return Ok(next.run(request).await);
    }
    let (mut parts, body) = request.into_parts();
    let limited = http_body_util::Limited::new(body, MAX_BODY);
    let bytes: Bytes = limited
        .collect()
        .await
        .map_err(|error| match error.is::<LengthLimitError>() {
            true => Error::new(code::TOO_LARGE, "a request with an idempotency key must be smaller than 4 MiB"),
            false => Error::new(code::INVALID_REQUEST, "the body could not be read"),
        })?
        .to_bytes();
    let mut hasher = Sha256::new();
    hasher.update(parts.method.as_str());
    hasher.update(parts.uri.to_string());
    hasher.update(&bytes);
    let request_hash = hex::encode(hasher.finalize());
    let entry = match claim(&keys, &principal, &key, &request_hash).await? {
        Claim::Kept(response) => return Ok(response),
        Claim::Ours(entry) => entry,
    };
    parts.extensions.insert(Named(format!("{key} {}", entry.since.micros())));
    let request = Request::from_parts(parts, Body::from(bytes));
    let (kernel, limit) = (keys.kernel, keys.time_limit);
    let work = async move {
        match tokio::time::timeout(limit, next.run(request)).await {
            Ok(response) => entry.answered(response).await,
            Err(_) => Err(Error::new(code::TIMED_OUT, "the request took longer than server.request_timeout_s allows")),
        }
    };
    // Who hangs up and comes again must find the first request's answer, not start a second one beside it.
    kernel.lifecycle.shielded("idempotent request", work).await
}

/// What is to be done about a request.
enum Claim {
    /// It was answered before.
    Kept(Response),
    /// It is ours to work on.
    Ours(Entry),
}

async fn claim(keys: &Keys, principal: &Principal, key: &str, request_hash: &str) -> Result<Claim> {
    let kernel = &keys.kernel;
    let now = kernel.now();
    let mut tx = kernel.db.write(principal.tenant).await?;
    let (since, attempt) = match tx.idempotent(principal, key).await? {
        None => {
            let begun = tx.begin_idempotent(principal, key, request_hash, kernel.process, now).await;
            begun.map_err(|e| if crate::db::is_unique_violation(&e) { in_progress() } else { e })?;
            (now, 1)
        }
        Some(stored) => {
            let expired = now.since(stored.created_at) > KEPT;
            if !expired {
                if stored.request_hash != request_hash {
                    return Err(Error::new(code::IDEMPOTENCY_CONFLICT, "this idempotency key was used for a different request"));
                }
                if stored.status.is_some() {
                    return Ok(Claim::Kept(replay(stored)));
                }
                if stored.is_held(keys, now) {
                    return Err(in_progress());
                }
            }
            let since = if expired { now } else { stored.created_at };
            if !tx.take_idempotent(principal, key, request_hash, kernel.process, since, now, stored.attempt).await? {
                return Err(in_progress());
            }
            (since, stored.attempt + 1)
        }
    };
    tx.commit().await?;
    let (kernel, principal, key) = (kernel.clone(), principal.clone(), key.to_owned());
    Ok(Claim::Ours(Entry { kernel, principal, key, since, attempt, open: true }))
}

fn in_progress() -> Error {
    Error::new(code::IDEMPOTENCY_IN_PROGRESS, "a request with this idempotency key is still running")
        .with_retry_after(Duration::from_secs(1))
}

fn replay(stored: Stored) -> Response {
    let mut response = Response::new(Body::from(stored.body.unwrap_or_default()));
    let status = stored.status.and_then(|s| u16::try_from(s).ok()).and_then(|s| StatusCode::from_u16(s).ok());
    *response.status_mut() = status.unwrap_or(StatusCode::OK);
    if let Some(value) = stored.content_type.and_then(|v| HeaderValue::from_str(&v).ok()) {
        response.headers_mut().insert(header::CONTENT_TYPE, value);
    }
    response.headers_mut().insert("idempotent-replayed", HeaderValue::from_static("true"));
    response
}

/// A key that this process holds for a request. Dropped without an answer, it is free for the repeat.
struct Entry {
    kernel: Kernel,
    principal: Principal,
    key: String,
    /// Since when the key is bound to the request.
    since: Timestamp,
    /// Fences: whoever was taken for dead must not write over, or free, the entry of the repeat that took its place.
    attempt: i64,
    open: bool,
}

impl Entry {
    /// Keeps the answer, when it is one that a repeat should get.
    async fn answered(mut self, response: Response) -> Result<Response> {
        let (parts, body) = response.into_parts();
        let stream = parts.headers.get(header::CONTENT_TYPE).is_some_and(|v| v == "text/event-stream" || v == "application/x-ndjson");
        if parts.status.is_client_error() {
            // Nothing was done, so the key is not used up: the corrected request may have it.
            self.close(|e, tx| Box::pin(tx.forget_idempotent(&e.principal, &e.key, e.attempt))).await?;
            return Ok(Response::from_parts(parts, body));
        }
        if stream {
            return Ok(Response::from_parts(parts, self.held_by(body)));
        }
        if !parts.status.is_success() {
            return Ok(Response::from_parts(parts, body));
        }
        let bytes = body.collect().await.map_err(Error::internal)?.to_bytes();
        if bytes.len() <= MAX_BODY {
            let content_type = parts.headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).map(str::to_owned);
            let (status, kept) = (i64::from(parts.status.as_u16()), bytes.to_vec());
            self.close(move |e, tx| Box::pin(tx.finish_idempotent(&e.principal, &e.key, e.attempt, status, content_type, kept))).await?;
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

impl Tx {
    async fn idempotent(&mut self, principal: &Principal, key: &str) -> Result<Option<Stored>> {
        self.optional(
            "SELECT k.request_hash, k.status, k.content_type, k.body, k.created_at, k.taken_at, k.attempt, k.process_id, p.alive_until
             FROM idempotency_keys k LEFT JOIN processes p ON p.id = k.process_id
             WHERE k.tenant_id = $1 AND k.principal_id = $2 AND k.key = $3",
            args![principal.tenant, &principal.id, key],
        )
        .await
    }

    async fn begin_idempotent(
        &mut self,
        principal: &Principal,
        key: &str,
        request_hash: &str,
        process: Id<Process>,
        now: Timestamp,
    ) -> Result<()> {
        self.execute(
            "INSERT INTO idempotency_keys (tenant_id, principal_id, key, request_hash, created_at, taken_at, process_id)
             VALUES ($1, $2, $3, $4, $5, $5, $6)",
            args![principal.tenant, &principal.id, key, request_hash, now, process],
        )
        .await?;
        Ok(())
    }

    /// Takes over an entry that nobody holds. Returns whether nobody else did so first.
    #[expect(clippy::too_many_arguments, reason = "the columns of one statement")]
    async fn take_idempotent(
        &mut self,
        principal: &Principal,
        key: &str,
        request_hash: &str,
        process: Id<Process>,
        since: Timestamp,
        now: Timestamp,
        attempt: i64,
    ) -> Result<bool> {
        let taken = self
            .execute(
                "UPDATE idempotency_keys SET request_hash = $1, status = NULL, content_type = NULL, body = NULL, created_at = $2, taken_at = $3,
                                             process_id = $4, attempt = attempt + 1
                 WHERE tenant_id = $5 AND principal_id = $6 AND key = $7 AND attempt = $8",
                args![request_hash, since, now, process, principal.tenant, &principal.id, key, attempt],
            )
            .await?;
        Ok(taken == 1)
    }

    async fn finish_idempotent(
        &mut self,
        principal: &Principal,
        key: &str,
        attempt: i64,
        status: i64,
        content_type: Option<String>,
        body: Vec<u8>,
    ) -> Result<()> {
        self.execute(
            "UPDATE idempotency_keys SET status = $1, content_type = $2, body = $3, process_id = NULL
             WHERE tenant_id = $4 AND principal_id = $5 AND key = $6 AND attempt = $7",
            args![status, content_type, body, principal.tenant, &principal.id, key, attempt],
        )
        .await?;
        Ok(())
    }

    /// Leaves the key bound to its request, with nobody working on it.
    async fn release_idempotent(&mut self, principal: &Principal, key: &str, attempt: i64) -> Result<()> {
        self.execute(
            "UPDATE idempotency_keys SET process_id = NULL WHERE tenant_id = $1 AND principal_id = $2 AND key = $3 AND attempt = $4",
            args![principal.tenant, &principal.id, key, attempt],
        )
        .await?;
        Ok(())
    }

    async fn forget_idempotent(&mut self, principal: &Principal, key: &str, attempt: i64) -> Result<()> {
        self.execute(
            "DELETE FROM idempotency_keys WHERE tenant_id = $1 AND principal_id = $2 AND key = $3 AND attempt = $4",
            args![principal.tenant, &principal.id, key, attempt],
        )
        .await?;
        Ok(())
    }

    /// Removes keys that are older than a day, with their answers.
    pub async fn prune_idempotency_keys(&mut self, now: Timestamp) -> Result<u64> {
        self.execute("DELETE FROM idempotency_keys WHERE created_at < $1", args![now.minus(KEPT)]).await
    }
}
