//! Requests that carry an idempotency key are done once: a repeat gets the first answer, a different request under the same
//! key is refused, and one that comes while the first still runs is told to wait.

use std::time::Duration;

use axum::{
    body::{Body, Bytes},
    extract::{Request, State},
    http::{HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http_body_util::BodyExt;
use sha2::{Digest, Sha256};

use crate::{
    Error, Kernel, Principal, Result, Timestamp, Tx, args,
    db::{FromRow, Row},
    error::code,
    http::Trace,
};

/// How long an answer is kept.
pub const KEPT: Duration = Duration::from_secs(24 * 3600);
/// A first request that is silent for this long is taken for dead, so that its repeat may run.
const STALE: Duration = Duration::from_secs(300);
/// Larger requests are refused, and larger answers are not kept.
const MAX_BODY: usize = 4 << 20;

struct Stored {
    request_hash: String,
    status: Option<i64>,
    content_type: Option<String>,
    body: Option<Vec<u8>>,
    created_at: Timestamp,
}

impl FromRow for Stored {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self {
            request_hash: row.get("request_hash")?,
            status: row.get("status")?,
            content_type: row.get("content_type")?,
            body: row.get("body")?,
            created_at: row.time("created_at")?,
        })
    }
}

/// Middleware for routes behind sign-in. Streams are not kept: they are logs that can be read again by themselves.
pub async fn once(State(kernel): State<Kernel>, request: Request, next: Next) -> Response {
    match run(&kernel, request, next).await {
        Ok(response) => response,
        Err(error) => error.into_response(),
    }
}

async fn run(kernel: &Kernel, request: Request, next: Next) -> Result<Response> {
    let key = crate::http::idempotency_key(request.headers())?;
    let (Some(key), Some(principal), &Method::POST) = (key, request.extensions().get::<Principal>().cloned(), request.method()) else {
        return Ok(next.run(request).await);
    };
    let multipart = request.headers().get(header::CONTENT_TYPE).is_some_and(|v| v.as_bytes().starts_with(b"multipart/"));
    if multipart {
        // An upload is idempotent by its content; buffering it here would hold whole files in memory.
        return Ok(next.run(request).await);
    }
    let (parts, body) = request.into_parts();
    let limited = http_body_util::Limited::new(body, MAX_BODY);
    let bytes: Bytes = limited
        .collect()
        .await
        .map_err(|_| Error::new(code::TOO_LARGE, "a request with an idempotency key must be smaller than 4 MiB"))?
        .to_bytes();
    let mut hasher = Sha256::new();
    hasher.update(parts.method.as_str());
    hasher.update(parts.uri.to_string());
    hasher.update(&bytes);
    let request_hash = hex::encode(hasher.finalize());
    let trace_id = parts.extensions.get::<Trace>().map(|t| t.trace_id.clone()).unwrap_or_default();

    let mut tx = kernel.db.write().await?;
    if let Some(stored) = tx.idempotent(&principal, &key).await? {
        let waited = kernel.now().since(stored.created_at);
        let stale = stored.status.is_none() && waited > STALE || waited > KEPT;
        if !stale {
            drop(tx);
            return replay(stored, &request_hash);
        }
        tx.forget_idempotent(&principal, &key, stored.created_at).await?;
    }
    let begun = kernel.now();
    tx.begin_idempotent(&principal, &key, &request_hash, begun)
        .await
        .map_err(|e| if crate::db::is_unique_violation(&e) { in_progress() } else { e })?;
    tx.commit().await?;

    // If this future is dropped (the caller hung up), the entry must not block the repeat.
    let guard = Unfinished { kernel: kernel.clone(), principal: principal.clone(), key: key.clone(), begun, armed: true };
    let response = next.run(Request::from_parts(parts, Body::from(bytes))).await;
    let guard = guard.disarm();
    let (parts, body) = response.into_parts();
    let stream = parts.headers.get(header::CONTENT_TYPE).is_some_and(|v| v == "text/event-stream" || v == "application/x-ndjson");
    // Refusals and faults are not kept: the repeat may do better.
    if stream || !parts.status.is_success() {
        guard.forget().await;
        return Ok(Response::from_parts(parts, body));
    }
    let bytes = body.collect().await.map_err(Error::internal)?.to_bytes();
    if bytes.len() > MAX_BODY {
        guard.forget().await;
        return Ok(Response::from_parts(parts, Body::from(bytes)));
    }
    let content_type = parts.headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).map(str::to_owned);
    let mut tx = kernel.db.write().await?;
    tx.finish_idempotent(&principal, &key, begun, i64::from(parts.status.as_u16()), content_type, bytes.to_vec()).await?;
    tx.commit().await?;
    tracing::debug!(trace_id, "kept the answer of an idempotent request");
    Ok(Response::from_parts(parts, Body::from(bytes)))
}

fn in_progress() -> Error {
    Error::new(code::IDEMPOTENCY_IN_PROGRESS, "a request with this idempotency key is still running")
        .with_retry_after(Duration::from_secs(1))
}

fn replay(stored: Stored, request_hash: &str) -> Result<Response> {
    if stored.request_hash != request_hash {
        return Err(Error::new(code::IDEMPOTENCY_CONFLICT, "this idempotency key was used for a different request"));
    }
    let Some(status) = stored.status else { return Err(in_progress()) };
    let mut response = Response::new(Body::from(stored.body.unwrap_or_default()));
    *response.status_mut() = u16::try_from(status).ok().and_then(|s| StatusCode::from_u16(s).ok()).unwrap_or(StatusCode::OK);
    if let Some(value) = stored.content_type.and_then(|v| HeaderValue::from_str(&v).ok()) {
        response.headers_mut().insert(header::CONTENT_TYPE, value);
    }
    response.headers_mut().insert("idempotent-replayed", HeaderValue::from_static("true"));
    Ok(response)
}

/// Forgets an entry whose request did not come to an answer.
struct Unfinished {
    kernel: Kernel,
    principal: Principal,
    key: String,
    begun: Timestamp,
    armed: bool,
}

impl Unfinished {
    fn disarm(mut self) -> Self {
        self.armed = false;
        self
    }

    async fn forget(&self) {
        let result = async {
            let mut tx = self.kernel.db.write().await?;
            tx.forget_idempotent(&self.principal, &self.key, self.begun).await?;
            tx.commit().await
        };
        if let Err(error) = result.await {
            tracing::warn!(error = ?error, "an idempotency key could not be freed; it frees itself after five minutes");
        }
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if self.armed {
            let again = Self {
                kernel: self.kernel.clone(),
                principal: self.principal.clone(),
                key: self.key.clone(),
                begun: self.begun,
                armed: false,
            };
            self.kernel.lifecycle.spawn("idempotency", async move { again.forget().await });
        }
    }
}

impl Tx {
    async fn idempotent(&mut self, principal: &Principal, key: &str) -> Result<Option<Stored>> {
        self.optional(
            "SELECT request_hash, status, content_type, body, created_at FROM idempotency_keys WHERE tenant_id = $1 AND principal_id = $2 AND key = $3",
            args![principal.tenant, &principal.id, key],
        )
        .await
    }

    async fn begin_idempotent(&mut self, principal: &Principal, key: &str, request_hash: &str, now: Timestamp) -> Result<()> {
        self.execute(
            "INSERT INTO idempotency_keys (tenant_id, principal_id, key, request_hash, created_at) VALUES ($1, $2, $3, $4, $5)",
            args![principal.tenant, &principal.id, key, request_hash, now],
        )
        .await?;
        Ok(())
    }

    /// `begun` fences: whoever was taken for dead must not write over, or free, the entry of the repeat that took its place.
    async fn finish_idempotent(
        &mut self,
        principal: &Principal,
        key: &str,
        begun: Timestamp,
        status: i64,
        content_type: Option<String>,
        body: Vec<u8>,
    ) -> Result<()> {
        self.execute(
            "UPDATE idempotency_keys SET status = $1, content_type = $2, body = $3
             WHERE tenant_id = $4 AND principal_id = $5 AND key = $6 AND created_at = $7",
            args![status, content_type, body, principal.tenant, &principal.id, key, begun],
        )
        .await?;
        Ok(())
    }

    async fn forget_idempotent(&mut self, principal: &Principal, key: &str, begun: Timestamp) -> Result<()> {
        self.execute(
            "DELETE FROM idempotency_keys WHERE tenant_id = $1 AND principal_id = $2 AND key = $3 AND created_at = $4",
            args![principal.tenant, &principal.id, key, begun],
        )
        .await?;
        Ok(())
    }

    /// Removes answers that are older than a day.
    pub async fn prune_idempotency_keys(&mut self, now: Timestamp) -> Result<u64> {
        self.execute("DELETE FROM idempotency_keys WHERE created_at < $1", args![now.minus(KEPT)]).await
    }
}
