//! Limits as middleware, and what they say in headers: `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers, from its
//! 8th version on).

use std::{fmt::Write, time::Duration};

use axum::{
    body::Body,
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures_util::StreamExt;

use super::{Class, Limiter, Verdict, buckets::Taken, streams::Place};
use crate::{Error, Principal, http::ClientAddress};

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const STATE: HeaderName = HeaderName::from_static("ratelimit");

/// The policies of a class as structured fields: `"read";q=100;w=60, "tenant-read";q=1000;w=60`.
pub(super) fn policy(class: Class, caller: u32, tenant: u32) -> Option<HeaderValue> {
    let of = |name: &str, quota: u32| (quota > 0).then(|| format!("\"{name}{}\";q={quota};w=60", class.as_str()));
    let parts: Vec<String> = [of("", caller), of("tenant-", tenant)].into_iter().flatten().collect();
    (!parts.is_empty()).then(|| HeaderValue::from_str(&parts.join(", ")).ok()).flatten()
}

impl Verdict<'_> {
    /// Tells the caller what is left, in `RateLimit` for each policy: `"read";r=99;t=1`. `t` are the seconds until all of it is there again.
    fn tell(&self, headers: &mut HeaderMap) {
        let Some(policy) = &self.limits.policy else { return };
        let mut text = String::with_capacity(64);
        let mut add = |prefix: &str, taken: Option<Taken>| {
            if let Some(taken) = taken {
                let (separator, class) = (if text.is_empty() { "" } else { ", " }, self.limits.class.as_str());
                let _ = write!(text, "{separator}\"{prefix}{class}\";r={};t={}", taken.remaining, whole_seconds(taken.full_in));
            }
        };
        add("", self.caller);
        add("tenant-", self.tenant);
        if let Ok(state) = HeaderValue::try_from(text) {
            headers.insert(POLICY, policy.clone());
            headers.insert(STATE, state);
        }
    }
}

/// Rounded up, as `Retry-After` is.
fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

fn class(limiter: &Limiter, request: &Request) -> Class {
    let path = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    (limiter.0.classify)(request.method(), path)
}

/// Middleware for routes behind sign-in: takes the request out of its caller's and its tenant's bucket, and gives a stream its place.
pub async fn limit(State(limiter): State<Limiter>, request: Request, next: Next) -> Response {
    let Some(principal) = request.extensions().get::<Principal>().cloned() else {
        return Error::internal("a request reached its limits without a principal").into_response();
    };
    let verdict = limiter.take(class(&limiter, &request), &principal, limiter.0.clock.now());
    let mut response = match &verdict.refused {
        // Said below, beside the headers.
        Some(_) => Response::default(),
        None => with_place(&limiter, &principal, request, next).await,
    };
    let mut told = HeaderMap::new();
    verdict.tell(&mut told);
    if let Some(error) = verdict.refused {
        response = error.into_response();
    }
    response.headers_mut().extend(told);
    response
}

/// Middleware for routes where callers say who they are: those of the class [`Class::SignIn`] are counted by the client's address.
pub async fn limit_address(State(limiter): State<Limiter>, address: ClientAddress, request: Request, next: Next) -> Response {
    let class = class(&limiter, &request);
    if class != Class::SignIn {
        return next.run(request).await;
    }
    let mut verdict = limiter.take_address(class, address.network(), limiter.0.clock.now());
    let mut response = match verdict.refused.take() {
        Some(error) => error.into_response(),
        None => next.run(request).await,
    };
    verdict.tell(response.headers_mut());
    response
}

/// Answers a request; a stream holds a place until it ends or its reader hangs up.
async fn with_place(limiter: &Limiter, principal: &Principal, request: Request, next: Next) -> Response {
    let streams = &limiter.0.streams;
    // Taken before anything is done, so that nothing is done whose stream is then refused.
    let place = match wants_stream(&request).then(|| streams.enter(principal)).transpose() {
        Ok(place) => place,
        Err(error) => return error.into_response(),
    };
    let response = next.run(request).await;
    if !is_stream(response.headers()) {
        return response;
    }
    match place.map_or_else(|| streams.enter(principal), Ok) {
        Ok(place) => response.map(|body| holding(place, body)),
        Err(error) => error.into_response(),
    }
}

fn wants_stream(request: &Request) -> bool {
    let accepts = |kind: &str| request.headers().get_all(header::ACCEPT).iter().any(|v| v.to_str().is_ok_and(|v| v.contains(kind)));
    let path = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    path.ends_with("/events") || accepts("text/event-stream") || accepts("application/x-ndjson")
}

fn is_stream(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind == "text/event-stream" || kind == "application/x-ndjson")
}

fn holding(place: Place, body: Body) -> Body {
    Body::from_stream(body.into_data_stream().inspect(move |_| {
        let _held = &place;
    }))
}
