//! The middleware around every request: ids, span, metrics, log line, panics, problem documents; and the checks of `Host` and `Origin`.

use std::{net::IpAddr, sync::Arc, time::Duration};

use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, HeaderValue, Method, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures_util::FutureExt;
use tracing::Instrument;

use super::{
    Trace,
    problem::{self, Carried},
};
use crate::{Clock, Error, Random, Timestamp, error::code, lifecycle, telemetry};

/// What the observing middleware needs.
#[derive(Clone)]
pub struct Observer {
    /// For durations in the log.
    pub clock: Clock,
    /// For ids.
    pub random: Random,
    /// A request that has not begun its answer by then is refused with `timed_out`.
    pub time_limit: Duration,
}

/// The outermost middleware: gives the request its ids, contains panics, renders errors, counts and logs.
pub async fn observe(State(observer): State<Observer>, mut request: Request, next: Next) -> Response {
    let started = observer.clock.now();
    let trace = Trace::of_request(request.headers(), &observer.random);
    let method = method_label(request.method());
    let path = request.uri().path().to_owned();
    let matched = request.extensions().get::<MatchedPath>().map_or_else(|| "unmatched".to_owned(), |p| p.as_str().to_owned());
    request.extensions_mut().insert(trace.clone());
    let caller_span = request.headers().get("traceparent").and_then(|v| v.to_str().ok()).and_then(telemetry::parent_span_id);
    let span = tracing::info_span!(
        "request",
        trace_id = %trace.trace_id,
        request_id = %trace.request_id,
        parent_span_id = caller_span,
        method,
        path = matched,
        tenant_id = tracing::field::Empty,
        principal = tracing::field::Empty,
        status = tracing::field::Empty,
    );
    let mut watch = Watch { clock: observer.clock.clone(), started, span: span.clone(), method, path: matched, ended: false };
    let refused = request.uri().path_and_query().is_some_and(|p| p.as_str().contains("%00"));
    let answer = async {
        if refused {
            return Error::new(code::INVALID_REQUEST, "the address must not contain the character U+0000").into_response();
        }
        let run = std::panic::AssertUnwindSafe(next.run(request)).catch_unwind();
        match tokio::time::timeout(observer.time_limit, run).await {
            Ok(Ok(response)) => response,
            Ok(Err(panic)) => {
                lifecycle::report_panic("request", panic.as_ref());
                Error::internal(format_args!("panic: {}", lifecycle::panic_message(panic.as_ref()))).into_response()
            }
            Err(_) => Error::new(code::TIMED_OUT, "the request took longer than server.request_timeout_s allows").into_response(),
        }
    };
    let mut response = answer.instrument(span.clone()).await;
    let entered = span.enter();
    if let Some(Carried(error)) = response.extensions_mut().remove::<Carried>() {
        if error.kind().status() >= 500 {
            tracing::error!(error = ?error, code = error.code().name, "a request failed");
        } else {
            tracing::debug!(error = ?error, code = error.code().name, "a request was refused");
        }
        response = problem::render(&error, &trace, &path, response);
    }
    if let Ok(id) = HeaderValue::from_str(&trace.request_id) {
        response.headers_mut().insert("x-request-id", id);
    }
    if let Ok(id) = HeaderValue::from_str(&trace.trace_id) {
        response.headers_mut().insert("x-trace-id", id);
    }
    drop(entered);
    watch.ended(response.status().as_u16());
    response
}

/// Logs and counts a request when it ends, however it does.
struct Watch {
    clock: Clock,
    started: Timestamp,
    span: tracing::Span,
    method: &'static str,
    path: String,
    ended: bool,
}

/// What a request counts as whose caller hung up before the answer began; the number is nginx's.
const HUNG_UP: u16 = 499;

impl Watch {
    fn ended(&mut self, status: u16) {
        self.ended = true;
        let elapsed = self.clock.now().since(self.started).as_secs_f64();
        self.span.record("status", status);
        let (method, path) = (self.method, std::mem::take(&mut self.path));
        metrics::counter!("http_requests_total", "method" => method, "path" => path.clone(), "status" => status.to_string()).increment(1);
        metrics::histogram!("http_request_duration_seconds", "method" => method, "path" => path).record(elapsed);
        self.span.in_scope(|| tracing::info!(status, latency_ms = elapsed * 1000.0, "request"));
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // A request whose caller hangs up is dropped where it waits.
        if !self.ended {
            self.ended(HUNG_UP);
        }
    }
}

/// The method as a label from a fixed set: a made-up method must not make a new time series.
fn method_label(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "HEAD" => "HEAD",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}

/// Who may reach the server, and from where.
#[derive(Debug, Clone, Default)]
pub struct Origins {
    /// Names under which requests are accepted, beside addresses and `localhost`.
    pub hosts: Arc<[String]>,
    /// Origins of other pages that may send requests with a token of their own.
    pub cross: Arc<[String]>,
}

/// Refuses requests that a page of somebody else's made a browser send: the `Host` must be an address, `localhost` or an allowed
/// name (a name that was re-bound to this address is neither), and a request that changes something must not come from another
/// origin, or by a cookie alone. Probes and metrics, which hold no data of people, are read under any name.
pub async fn guard(State(origins): State<Origins>, request: Request, next: Next) -> Response {
    match check(request.method(), request.uri().path(), request.uri().authority().map(|a| a.as_str()), request.headers(), &origins) {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

const PROBES: &[&str] = &["/health", "/healthz", "/readyz", "/ready", "/startup", "/metrics"];

fn check(method: &Method, path: &str, authority: Option<&str>, headers: &HeaderMap, origins: &Origins) -> Result<(), Error> {
    if PROBES.contains(&path) && matches!(*method, Method::GET | Method::HEAD) {
        return Ok(());
    }
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = match (authority, hosts.next(), hosts.next()) {
        (_, _, Some(_)) => return Err(Error::new(code::INVALID_HEADER, "Host: must be given once")),
        (Some(authority), ..) => authority,
        (None, Some(host), None) => host.to_str().map_err(|_| Error::new(code::INVALID_HEADER, "Host: must be visible ASCII"))?,
        (None, None, None) => return Err(Error::new(code::INVALID_HEADER, "Host: is missing")),
    };
    if !host_allowed(host, &origins.hosts) {
        return Err(Error::new(
            code::INVALID_HOST,
            "this name is not allowed; reach the server by its address, or add the name to server.allowed_hosts",
        ));
    }
    if matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) {
        return Ok(());
    }
    let foreign = || Error::new(code::INVALID_ORIGIN, "the request comes from another page's origin");
    // A browser sends a cookie by itself, and a token only when a script that knows it says so.
    let by_cookie = headers.contains_key(header::COOKIE) && !headers.contains_key(header::AUTHORIZATION);
    match (headers.get(header::ORIGIN), headers.get("sec-fetch-site")) {
        (Some(origin), _) => {
            let same = origin.to_str().ok().and_then(|o| o.split_once("://")).is_some_and(|(_, o)| o.eq_ignore_ascii_case(host));
            let listed = !by_cookie && origins.cross.iter().any(|o| o.as_bytes() == origin.as_bytes());
            if same || listed { Ok(()) } else { Err(foreign()) }
        }
        (None, Some(site)) if site != "same-origin" && site != "none" => Err(foreign()),
        // An old browser tells neither. A page of somebody else's cannot set a header of this name without being asked about by us.
        (None, None) if by_cookie && !headers.contains_key("x-requested-with") => Err(Error::new(
            code::INVALID_ORIGIN,
            "nothing tells which page the request comes from: send X-Requested-With with it, or a bearer token instead of the cookie",
        )),
        (None, _) => Ok(()),
    }
}

fn host_allowed(host: &str, allowed: &[String]) -> bool {
    let is_port = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let name = match host.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((name, "")) => name,
            Some((name, port)) if port.strip_prefix(':').is_some_and(is_port) => name,
            _ => return false,
        },
        None => host.rsplit_once(':').filter(|(_, port)| is_port(port)).map_or(host, |(name, _)| name),
    };
    name.parse::<IpAddr>().is_ok()
        || name.eq_ignore_ascii_case("localhost")
        || allowed.iter().any(|a| a.eq_ignore_ascii_case(name) || a.eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(n, v)| (header::HeaderName::from_static(n), HeaderValue::from_str(v).unwrap())).collect()
    }

    fn code_of(method: Method, pairs: &[(&'static str, &str)]) -> &'static str {
        let origins = Origins { hosts: Arc::new(["docs.example.com".to_owned()]), cross: Arc::new(["https://app.example.com".to_owned()]) };
        match check(&method, "/api/v1/ask", None, &headers(pairs), &origins) {
            Ok(()) => "ok",
            Err(error) => error.code().name,
        }
    }

    #[test]
    fn a_name_that_was_bound_to_this_address_is_refused() {
        for host in
            ["evil.example:8080", "[::1].evil.example", "[::1]:80.evil.example", "127.0.0.1@evil.example", "[::1", "localhost.evil.example"]
        {
            assert_eq!(code_of(Method::GET, &[("host", host)]), "invalid_host", "{host}");
        }
        for host in ["127.0.0.1:8080", "localhost", "[::1]:8080", "docs.example.com", "10.0.0.5"] {
            assert_eq!(code_of(Method::GET, &[("host", host)]), "ok", "{host}");
        }
    }

    #[test]
    fn a_change_from_another_origin_is_refused() {
        assert_eq!(code_of(Method::POST, &[("host", "localhost:8080"), ("origin", "http://evil.example")]), "invalid_origin");
        assert_eq!(code_of(Method::POST, &[("host", "localhost:8080"), ("origin", "null")]), "invalid_origin");
        assert_eq!(code_of(Method::POST, &[("host", "localhost:8080"), ("sec-fetch-site", "cross-site")]), "invalid_origin");
        assert_eq!(code_of(Method::POST, &[("host", "localhost:8080"), ("origin", "http://localhost:8080")]), "ok");
        assert_eq!(code_of(Method::POST, &[("host", "localhost:8080")]), "ok");
    }
    #[test]
    fn a_cookie_alone_changes_nothing_when_nothing_tells_where_the_request_comes_from() {
        let host = ("host", "localhost:8080");
        let cookie = ("cookie", "astrolabe_session=x");
        assert_eq!(code_of(Method::POST, &[host, cookie]), "invalid_origin");
        assert_eq!(code_of(Method::DELETE, &[host, cookie]), "invalid_origin");
        assert_eq!(code_of(Method::GET, &[host, cookie]), "ok");
        assert_eq!(code_of(Method::POST, &[host, cookie, ("x-requested-with", "astrolabe")]), "ok");
        assert_eq!(code_of(Method::POST, &[host, cookie, ("authorization", "Bearer x")]), "ok");
        assert_eq!(code_of(Method::POST, &[host, cookie, ("origin", "http://localhost:8080")]), "ok");
        assert_eq!(code_of(Method::POST, &[host, cookie, ("sec-fetch-site", "same-origin")]), "ok");
        let forged = [host, cookie, ("x-requested-with", "x"), ("sec-fetch-site", "same-site")];
        assert_eq!(code_of(Method::POST, &forged), "invalid_origin");
    }

    #[test]
    fn a_listed_origin_may_write_with_a_token_and_not_with_a_cookie() {
        let (host, origin) = (("host", "localhost:8080"), ("origin", "https://app.example.com"));
        assert_eq!(code_of(Method::POST, &[host, origin, ("authorization", "Bearer x")]), "ok");
        assert_eq!(code_of(Method::POST, &[host, origin, ("cookie", "astrolabe_session=x")]), "invalid_origin");
        assert_eq!(code_of(Method::POST, &[host, ("origin", "https://app.example.com:444")]), "invalid_origin");
    }
}
