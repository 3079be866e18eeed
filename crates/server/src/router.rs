//! Every path of the server in one place, and the layers around them.
//!
//! From the outside in: security headers, compression, [`observe`] (ids, log, metrics, panics, problem documents, time limit),
//! [`guard`] (`Host` and `Origin`), body limit; and for `/api/v1` and `/v1` sign-in and idempotency.

use std::sync::{Arc, OnceLock};

use astrolabe_kernel::{
    Clock, Error, Random,
    error::code,
    http::{Observer, OpenProblems, guard, method_not_allowed, not_found, observe},
    idempotency,
};
use astrolabe_platform::sessions::authenticate;
use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Request, State},
    http::{HeaderMap, HeaderValue, header},
    middleware::{Next, from_fn_with_state},
    response::{Html, IntoResponse, Response},
};
use serde_json::Value;
use tower::ServiceExt;
use tower_http::compression::{
    CompressionLayer,
    predicate::{DefaultPredicate, NotForContentType, Predicate},
};
use utoipa::openapi::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    api,
    app::App,
    config::ServerConfig,
    docs, headers,
    system::{self, System},
    web,
};

/// The paths of an app that is open, with the description of its API.
pub fn full(app: &App) -> (Router, OpenApi) {
    let documents = Documents::default();
    let keys = idempotency::Keys { kernel: app.kernel.clone(), time_limit: app.config.server.request_timeout() };
    let signed_in = OpenApiRouter::new()
        .merge(astrolabe_platform::routes(app.platform.clone()))
        .merge(astrolabe_knowledge::routes(app.knowledge.clone()))
        .merge(astrolabe_agents::routes(app.agents.clone()))
        .layer(from_fn_with_state(keys, idempotency::once))
        .layer(from_fn_with_state(app.platform.clone(), authenticate));
    let pages = OpenApiRouter::new()
        .routes(routes!(get_openapi))
        .routes(routes!(get_docs))
        .routes(routes!(get_style))
        .with_state(documents.clone());
    let open = OpenApiRouter::new()
        .merge(system::routes(app.system.clone()))
        .merge(astrolabe_platform::public_routes(app.platform.clone()))
        .merge(astrolabe_platform::identity::public_routes(app.identity.clone()))
        .merge(pages);
    let base = api::base(&app.config.server.public_url);
    let (router, description) = OpenApiRouter::with_openapi(base).merge(signed_in).merge(open).split_for_parts();
    documents.describe(&description);
    let unknown = Router::new().fallback(not_found).layer(from_fn_with_state(app.platform.clone(), authenticate));
    let router = router.fallback(move |request: Request| elsewhere(unknown, request)).method_not_allowed_fallback(method_not_allowed);
    (layers(router, &app.config.server, app.kernel.clock.clone(), app.kernel.random.clone()), description)
}

/// The paths of a process whose data directory is not open yet: probes answer, everything else says to come back.
pub fn warming(system: System, config: &ServerConfig, clock: Clock, random: Random) -> Router {
    let (router, _) = OpenApiRouter::new().merge(system::routes(system)).split_for_parts();
    layers(router.fallback(warming_up).method_not_allowed_fallback(method_not_allowed), config, clock, random)
}

async fn warming_up() -> Error {
    let error = Error::new(code::WARMING_UP, "the data directory is being opened").with_retry_after(std::time::Duration::from_secs(1));
    std::future::ready(error).await
}

fn layers(router: Router, config: &ServerConfig, clock: Clock, random: Random) -> Router {
    let observer = Observer { clock, random, time_limit: config.request_timeout() };
    let hosts: Arc<[String]> = config.hosts().into();
    // A compressor waits for more data, which is the opposite of a stream.
    let compressible = DefaultPredicate::new().and(NotForContentType::const_new("application/x-ndjson"));
    router
        .layer(DefaultBodyLimit::max(config.max_body_bytes))
        .layer(from_fn_with_state(config.max_body_bytes, refuse_announced))
        .layer(from_fn_with_state(hosts, guard))
        .layer(from_fn_with_state(observer, observe))
        .layer(CompressionLayer::new().compress_when(compressible))
        .layer(from_fn_with_state(config.is_https(), headers::secure))
}

/// Refuses a body whose announced length is over the limit before a byte of it is waited for. Uploads have limits of their own.
async fn refuse_announced(State(limit): State<usize>, request: Request, next: Next) -> Response {
    if announced(request.headers()) > limit as u64 {
        return Error::new(code::TOO_LARGE, "the body is larger than server.max_body_bytes allows").into_response();
    }
    next.run(request).await
}

/// The length that a body is said to have; 0 for what is no body of ours to judge.
fn announced(headers: &HeaderMap) -> u64 {
    let text = |name| headers.get(name).and_then(|v: &HeaderValue| v.to_str().ok()).unwrap_or("");
    let upload = text(header::CONTENT_TYPE).starts_with("multipart/");
    if upload { 0 } else { text(header::CONTENT_LENGTH).parse().unwrap_or(0) }
}

/// What no endpoint serves: the page, or "not found" for callers of the API, who must sign in even to hear that.
async fn elsewhere(unknown: Router, request: Request) -> Response {
    let path = request.uri().path();
    if path.starts_with("/api/v1/") || path.starts_with("/v1/") {
        return unknown.oneshot(request).await.unwrap_or_else(|never| match never {});
    }
    web::serve(request).await
}

/// The description of the API in both forms, made once the router is complete.
#[derive(Clone, Default)]
struct Documents(Arc<OnceLock<(Bytes, String)>>);

impl Documents {
    fn describe(&self, description: &OpenApi) {
        let json = serde_json::to_value(description).unwrap_or(Value::Null);
        let page = docs::page(&json);
        let _ = self.0.set((Bytes::from(json.to_string()), page));
    }

    fn get(&self) -> (Bytes, String) {
        self.0.get().cloned().unwrap_or_default()
    }
}

/// The description of the API
#[utoipa::path(get, path = "/api/openapi.json", tag = "system", security(()),
    responses((status = 200, description = "OpenAPI 3.1.", body = Object, content_type = "application/json"), OpenProblems))]
async fn get_openapi(State(documents): State<Documents>) -> Response {
    let (json, _) = std::future::ready(documents.get()).await;
    ([(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-cache")], json).into_response()
}

/// The description of the API for people
#[utoipa::path(get, path = "/docs", tag = "system", security(()),
    responses((status = 200, description = "A page without scripts.", body = String, content_type = "text/html"), OpenProblems))]
async fn get_docs(State(documents): State<Documents>) -> Response {
    let (_, page) = std::future::ready(documents.get()).await;
    ([(header::CACHE_CONTROL, "no-cache")], Html(page)).into_response()
}

/// The style sheet of the plain pages
#[utoipa::path(get, path = "/docs/style.css", tag = "system", security(()),
    responses((status = 200, description = "CSS.", body = String, content_type = "text/css"), OpenProblems))]
async fn get_style() -> Response {
    let headers = [(header::CONTENT_TYPE, "text/css; charset=utf-8"), (header::CACHE_CONTROL, "public, max-age=3600")];
    std::future::ready((headers, docs::STYLE).into_response()).await
}
