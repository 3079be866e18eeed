//! Every path of the server in one place, and the layers around them.
//!
//! From the outside in: security headers, CORS, compression, [`observe`] (ids, log, metrics, panics, problem documents, time limit), limits
//! of the head, [`guard`] (`Host`, `Origin`, cookies), the client's address, body limits; and for `/api/v1` and `/v1` sign-in, limits of the
//! caller, the maintenance switch and idempotency.

use std::sync::{Arc, OnceLock};

use astrolabe_gateway::{
    EmbedReply, Usage,
    surface::{self, Answerer, Asking, LocalEmbedder, Surface},
};
use astrolabe_kernel::{
    Clock, Error, Random,
    error::code,
    http::{Observer, OpenProblems, Pace, client_address, guard, limit_head, method_not_allowed, not_found, observe, pace},
    idempotency,
    limits::{Limiter, limit, limit_address},
};
use astrolabe_kernel::{
    http::{Describe, Routes},
    routes,
};
use astrolabe_knowledge::answers::AskRequest;
use astrolabe_platform::{access::authenticate, audit::refusals::refusals, maintenance};
use axum::{
    Extension, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, header},
    middleware::{Next, from_fn, from_fn_with_state},
    response::{Html, IntoResponse, Response},
};
use serde_json::Value;
use tower::ServiceExt;
use tower_http::{
    compression::{
        CompressionLayer,
        predicate::{DefaultPredicate, NotForContentType, Predicate},
    },
    cors::CorsLayer,
};
use utoipa::openapi::OpenApi;

use crate::{
    api,
    app::App,
    classes,
    config::Config,
    docs, headers,
    system::{self, System},
    web,
};

/// The paths of an app that is open, with the description of its API.
pub fn full(app: &App) -> (Router, Description) {
    assembled(app, signed_in(app))
}

/// The paths of a process that serves models alone: their API, the keys and budgets for it, and what people need to sign in.
pub fn models_alone(app: &App) -> Router {
    assembled(app, behind_keys(app, Routes::new())).0
}

fn assembled(app: &App, signed_in: Routes) -> (Router, Description) {
    let documents = Documents::default();
    let limiter = Limiter::new(&app.config.limits, app.kernel.clock.clone(), classes::class);
    let signed_in = signed_in
        .layer(from_fn_with_state(app.platform.clone(), maintenance::guard))
        .layer(from_fn_with_state(limiter.clone(), limit))
        .layer(from_fn_with_state(app.platform.clone(), authenticate));
    let pages =
        Routes::new().routes(routes!(get_openapi)).routes(routes!(get_docs)).routes(routes!(get_style)).with_state(documents.clone());
    let open = Routes::new()
        .merge(system::routes(app.system.clone()))
        .merge(astrolabe_platform::public_routes(app.platform.clone()).layer(from_fn_with_state(limiter.clone(), limit_address)))
        .merge(astrolabe_platform::identity::public_routes(app.identity.clone()))
        .merge(
            astrolabe_knowledge::uploads::routes::public_routes(app.knowledge.clone())
                .layer(from_fn_with_state(app.platform.clone(), maintenance::guard)),
        )
        .merge(pages);
    let (router, operations) = signed_in.merge(open).into_parts();
    let description = Description { server: app.config.server.public_url.clone(), operations: operations.into() };
    documents.of(description.clone());
    let unknown = Router::new()
        .fallback(not_found)
        .layer(from_fn_with_state(limiter, limit))
        .layer(from_fn_with_state(app.platform.clone(), authenticate));
    let router = router.fallback(move |request: Request| elsewhere(unknown, request)).method_not_allowed_fallback(method_not_allowed);
    let paces = Pace { patience: app.config.server.body_timeout(), lifecycle: app.kernel.lifecycle.clone() };
    let router = router.layer(from_fn_with_state(paces, pace));
    let router = router.layer(from_fn(surface::errors::in_openais_shape));
    (layers(router, &app.config, app.kernel.clock.clone(), app.kernel.random.clone()), description)
}

/// The paths behind sign-in, which the layer around them puts a [`Principal`](astrolabe_kernel::Principal) into.
pub fn signed_in(app: &App) -> Routes {
    behind_keys(
        app,
        Routes::new().merge(astrolabe_knowledge::routes(app.knowledge.clone())).merge(astrolabe_agents::routes(app.agents.clone())),
    )
}

/// What every process that answers requests has, and `more`.
fn behind_keys(app: &App, more: Routes) -> Routes {
    let keys = idempotency::Keys { kernel: app.kernel.clone(), time_limit: app.config.server.request_timeout() };
    Routes::new()
        .merge(astrolabe_platform::routes(app.platform.clone()))
        .merge(astrolabe_platform::audit::routes(app.console.clone()))
        .merge(astrolabe_platform::privacy::routes(app.privacy.clone()))
        .merge(astrolabe_gateway::usage::routes::routes(app.ledger.clone()))
        .merge(more)
        .layer(from_fn_with_state(keys, idempotency::once))
        .merge(surface::routes(models(app)))
        .layer(from_fn_with_state(app.console.clone(), refusals))
        .layer(Extension(app.kernel.policies.clone()))
}

/// The API of models for others, with the embedding model of this process and the sources that answer as models do.
fn models(app: &App) -> Surface {
    let (name, embed) = (app.knowledge.clone(), app.knowledge.clone());
    let local = LocalEmbedder {
        name: Arc::new(move || name.embedding_model()),
        embed: Arc::new(move |texts| {
            let knowledge = embed.clone();
            Box::pin(async move {
                let (vectors, input) = knowledge.embed(texts).await?;
                let model = knowledge.embedding_model().unwrap_or_default();
                Ok(EmbedReply { vectors, usage: Usage { input, ..Usage::default() }, model })
            })
        }),
    };
    let (names, ask) = (app.knowledge.clone(), app.knowledge.clone());
    let answerer = Answerer {
        names: Arc::new(move |principal| {
            let knowledge = names.clone();
            Box::pin(async move { knowledge.source_names(&principal).await })
        }),
        ask: Arc::new(move |caller, source, question| {
            let knowledge = ask.clone();
            Box::pin(async move {
                let request = AskRequest { question, sources: Some(vec![source]), ..AskRequest::default() };
                let running = knowledge.start_ask(&caller, request).await?;
                let (stream, ends) = (running.stream().to_owned(), running.ends());
                let answer = async move {
                    let answer = running.result().await?;
                    Ok((answer.answer, serde_json::to_value(answer.citations).map_err(Error::internal)?))
                };
                Ok(Asking { stream, ends, answer: Box::pin(answer) })
            })
        }),
    };
    // A gateway alone has no index that could answer.
    let answerer = (!app.config.server.serves_models_alone()).then_some(answerer);
    Surface::new(app.kernel.clone(), app.models.clone(), vec![local], answerer)
}

/// The paths of a process that only runs jobs: probes and metrics.
pub fn probes(app: &App) -> Router {
    let (router, _) = system::routes(app.system.clone()).into_parts();
    let router = router.fallback(not_found).method_not_allowed_fallback(method_not_allowed);
    layers(router, &app.config, app.kernel.clock.clone(), app.kernel.random.clone())
}

/// The paths of a process whose data directory is not open yet: probes answer, everything else says to come back.
pub fn warming(system: System, config: &Config, clock: Clock, random: Random) -> Router {
    let (router, _) = system::routes(system).into_parts();
    layers(router.fallback(warming_up).method_not_allowed_fallback(method_not_allowed), config, clock, random)
}

async fn warming_up() -> Error {
    let error = Error::new(code::WARMING_UP, "the data directory is being opened").with_retry_after(std::time::Duration::from_secs(1));
    std::future::ready(error).await
}

fn layers(router: Router, config: &Config, clock: Clock, random: Random) -> Router {
    let server = &config.server;
    let observer = Observer { clock, random, time_limit: server.request_timeout() };
    // A compressor waits for more data, which is the opposite of a stream.
    let compressible = DefaultPredicate::new().and(NotForContentType::const_new("application/x-ndjson"));
    let router = router
        .layer(DefaultBodyLimit::max(server.max_body_bytes))
        .layer(from_fn_with_state(server.max_body_bytes, refuse_announced))
        .layer(from_fn_with_state(config.proxies.clone(), client_address))
        .layer(from_fn_with_state(server.origins(), guard))
        .layer(from_fn(limit_head))
        .layer(from_fn_with_state(observer, observe))
        .layer(CompressionLayer::new().compress_when(compressible));
    // Not even there when nobody is listed: it would answer every OPTIONS.
    let router = if server.cors_origins.is_empty() { router } else { router.layer(cors(&server.cors_origins)) };
    router.layer(from_fn_with_state(server.is_https(), headers::secure))
}

/// What browsers tell pages of the listed origins: everything that the API says and takes, but never with a cookie.
fn cors(origins: &[String]) -> CorsLayer {
    let names = |names: &[&'static str]| names.iter().copied().map(HeaderName::from_static).collect::<Vec<_>>();
    CorsLayer::new()
        .allow_origin(origins.iter().filter_map(|o| HeaderValue::from_str(o).ok()).collect::<Vec<_>>())
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        .allow_headers(names(CORS_TAKEN))
        .expose_headers(names(CORS_SHOWN))
        .max_age(std::time::Duration::from_secs(600))
}

const CORS_TAKEN: &[&str] = &[
    "accept",
    "authorization",
    "content-type",
    "idempotency-key",
    "if-match",
    "last-event-id",
    "traceparent",
    "x-idempotency-key",
    "x-request-id",
    "x-requested-with",
];

const CORS_SHOWN: &[&str] = &[
    "etag",
    "idempotency-omitted",
    "idempotency-replayed",
    "location",
    "ratelimit",
    "ratelimit-policy",
    "retry-after",
    "x-request-id",
    "x-trace-id",
];

/// Refuses a body whose announced length is over the limit before a byte of it is waited for. Uploads have limits of their own.
async fn refuse_announced(State(limit): State<usize>, request: Request, next: Next) -> Response {
    // The size of a part is in its signed address.
    let signed = request.uri().path().starts_with("/uploads/");
    if !signed && announced(request.headers()) > limit as u64 {
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

/// How the API is described.
#[derive(Clone)]
pub struct Description {
    /// The public address, or empty.
    server: String,
    operations: Arc<[Describe]>,
}

impl Description {
    /// OpenAPI 3.1 of everything that the router serves.
    pub fn make(&self) -> OpenApi {
        let mut description = api::base(&self.server);
        for describe in &*self.operations {
            describe(&mut description);
        }
        api::complete(&mut description);
        description
    }
}

/// The description of the API in both forms, made when somebody first asks for one.
#[derive(Clone, Default)]
struct Documents {
    description: Arc<OnceLock<Description>>,
    made: Arc<OnceLock<(Bytes, String)>>,
}

impl Documents {
    fn of(&self, description: Description) {
        let _ = self.description.set(description);
    }

    fn get(&self) -> (Bytes, String) {
        let make = || {
            let json = self.description.get().and_then(|d| serde_json::to_value(d.make()).ok()).unwrap_or(Value::Null);
            (Bytes::from(json.to_string()), docs::page(&json))
        };
        self.made.get_or_init(make).clone()
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
