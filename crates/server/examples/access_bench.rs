//! What access costs a request: `bench/access/run.sh` runs it.
//!
//! The same handler stands in two routers, with everything that decides over access around it (verification of the credential, limits, rights, policies)
//! and with nothing. Calls to both alternate, so that a busy moment hits both; the difference is the cost. The share is of the whole of a plain
//! endpoint, `GET /api/v1/settings` with every layer of the product.

use std::{
    error::Error,
    io::{Write, stdout},
    sync::Arc,
    time::{Duration, Instant},
};

use astrolabe_kernel::{
    Clock, Lifecycle, Principal, Random,
    http::{May, Observer, observe},
    limits::{Class, Limiter, limit},
    policy::{Context, Resource},
    principal::right,
};
use astrolabe_knowledge::ingest::extractor::Extractor;
use astrolabe_platform::access::authenticate;
use astrolabe_server::{
    app::{App, Parts},
    config::Config,
    data_dir::DataDir,
    router,
    system::System,
};
use axum::{
    Extension, Router,
    body::{Body, to_bytes},
    http::{Method, Request},
    middleware::from_fn_with_state,
    routing::get,
};
use serde_json::{Value, json};
use tower::ServiceExt;

type Fallible<T> = Result<T, Box<dyn Error>>;

/// Calls that are timed, in rounds: the smallest quantile of the rounds is what a quiet machine would have shown.
const CALLS: usize = 20_000;
const ROUNDS: usize = 5;

async fn guarded(_: May<right::ReadKnowledge>) -> &'static str {
    std::future::ready("ok").await
}

async fn bare() -> &'static str {
    std::future::ready("ok").await
}

fn request(method: Method, path: &str, credential: (&str, &str), body: Option<&Value>) -> Fallible<Request<Body>> {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "127.0.0.1")
        .header("x-requested-with", "bench")
        .header(credential.0, credential.1);
    Ok(match body {
        Some(body) => request.header("content-type", "application/json").body(Body::from(body.to_string()))?,
        None => request.body(Body::empty())?,
    })
}

async fn call(router: &Router, method: Method, path: &str, credential: (&str, &str), body: &Value) -> Fallible<(Value, String)> {
    let response = router.clone().oneshot(request(method, path, credential, Some(body))?).await?;
    let (status, headers) = (response.status(), response.headers().clone());
    let bytes = to_bytes(response.into_body(), 1 << 20).await?;
    if !status.is_success() {
        return Err(format!("{path} answered {status}: {}", String::from_utf8_lossy(&bytes)).into());
    }
    let cookie = headers.get("set-cookie").and_then(|c| c.to_str().ok()).and_then(|c| c.split(';').next()).unwrap_or("");
    Ok((serde_json::from_slice(&bytes).unwrap_or(Value::Null), cookie.to_owned()))
}

/// Microseconds of each call: with the guards, without, and of the whole endpoint.
async fn times(routers: [&Router; 3], credential: (&str, &str)) -> Fallible<[Vec<f64>; 3]> {
    let mut times = [Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..CALLS {
        for ((router, path), times) in routers.iter().zip(["/x", "/x", "/api/v1/settings"]).zip(&mut times) {
            let (router, request) = ((*router).clone(), request(Method::GET, path, credential, None)?);
            let start = Instant::now();
            let response = router.oneshot(request).await?;
            times.push(start.elapsed().as_secs_f64() * 1e6);
            if !response.status().is_success() {
                let (status, body) = (response.status(), to_bytes(response.into_body(), 1 << 20).await?);
                return Err(format!("{path} was answered {status}: {}", String::from_utf8_lossy(&body)).into());
            }
        }
    }
    times.iter_mut().for_each(|t| t.sort_by(f64::total_cmp));
    Ok(times)
}

fn at(sorted: &[f64], share: f64) -> f64 {
    sorted.get((sorted.len() as f64 * share) as usize).copied().unwrap_or(f64::NAN)
}

/// Microseconds of a decision that nobody has asked for in this minute: each is somebody else's.
async fn decided_anew(app: &App, policies: usize) -> Fallible<Value> {
    let mut times = Vec::new();
    for i in 0..5_000 {
        let who = Principal { id: format!("user:{policies}-{i}"), ..Principal::local_admin() };
        let start = Instant::now();
        app.kernel.policies.allow(&who, "read_knowledge", &Resource::default(), &Context::default()).await?;
        times.push(start.elapsed().as_secs_f64() * 1e6);
    }
    times.sort_by(f64::total_cmp);
    Ok(json!({ "policies": policies, "p50_us": at(&times, 0.5), "p99_us": at(&times, 0.99) }))
}

async fn measure() -> Fallible<Value> {
    let folder = tempfile::tempdir()?;
    let models = folder.path().join("models").display().to_string();
    let flags = [
        ("models.dir", models.as_str()),
        ("log.level", "error"),
        ("limits.read_per_minute", "60000000"),
        ("limits.tenant_read_per_minute", "60000000"),
    ];
    let flags: Vec<_> = flags.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned(), "bench".to_owned())).collect();
    let parts = Parts {
        config: Arc::new(Config::load(None, Vec::new(), &flags)?),
        data_dir: DataDir::create(&folder.path().join("data"))?,
        clock: Clock::System,
        random: Random::system(),
        lifecycle: Lifecycle::new(),
        extractor: Extractor::InProcess,
    };
    let metrics = astrolabe_kernel::telemetry::recorder();
    let app = App::open(&parts, System::new(parts.lifecycle.clone(), false, move || metrics.render())).await?;
    let (whole, _) = router::full(&app);
    let limiter = Limiter::new(&app.config.limits, app.kernel.clock.clone(), |_, _| Class::Read);
    let with = Router::new()
        .route("/x", get(guarded))
        .layer(Extension(app.kernel.policies.clone()))
        .layer(from_fn_with_state(limiter, limit))
        .layer(from_fn_with_state(app.platform.clone(), authenticate));
    // Both are observed, so that what that costs is in neither difference.
    let observer = || Observer { clock: app.kernel.clock.clone(), random: Random::system(), time_limit: Duration::from_secs(60) };
    let with = with.layer(from_fn_with_state(observer(), observe));
    let without = Router::new().route("/x", get(bare)).layer(from_fn_with_state(observer(), observe));

    let local = format!("Bearer {}", app.token.expose());
    let local = ("authorization", local.as_str());
    let person = json!({"email": "anna@example.com", "name": "Anna", "role": "editor", "password": "seven lamps near Gdynia"});
    call(&whole, Method::POST, "/api/v1/users", local, &person).await?;
    let wish = json!({"email": "anna@example.com", "password": "seven lamps near Gdynia"});
    let change = json!({"current_password": "seven lamps near Gdynia", "password": "nine lamps near Gdansk"});
    let (_, cookie) = call(&whole, Method::POST, "/api/v1/sessions", ("x-no", "x"), &wish).await?;
    call(&whole, Method::POST, "/api/v1/me/password", ("cookie", &cookie), &change).await?;
    let wish = json!({"email": "anna@example.com", "password": "nine lamps near Gdansk", "tokens": true});
    let (tokens, _) = call(&whole, Method::POST, "/api/v1/sessions", ("x-no", "x"), &wish).await?;
    let jwt = format!("Bearer {}", tokens["access_token"].as_str().unwrap_or_default());
    let key = json!({"name": "bench", "scopes": ["read_knowledge", "own_account"]});
    let (key, _) = call(&whole, Method::POST, "/api/v1/api-keys", ("authorization", &jwt), &key).await?;
    let key = format!("Bearer {}", key["secret"].as_str().unwrap_or_default());

    // The whole of a verification, as the first request of a token or one after two seconds has it.
    let raw = jwt.trim_start_matches("Bearer ");
    let mut cold = Vec::new();
    for _ in 0..2_000 {
        let start = Instant::now();
        app.identity.verify(raw).await?;
        cold.push(start.elapsed().as_secs_f64() * 1e6);
    }
    cold.sort_by(f64::total_cmp);

    let (mut rows, mut anew) = (Vec::new(), Vec::new());
    let mut made = 0;
    for policies in [0, 20, 200] {
        while made < policies {
            let text = format!(
                "forbid (principal, action == Action::\"read_knowledge\", resource)\nwhen {{ principal.id == \"user:nobody-{made}\" && context.utc.hour > 18 }};"
            );
            call(&whole, Method::POST, "/api/v1/policies", local, &json!({"name": format!("bench {made}"), "text": text})).await?;
            made += 1;
        }
        // The engine looks for changed policies every few seconds.
        tokio::time::sleep(Duration::from_secs(3)).await;
        anew.push(decided_anew(&app, policies).await?);
        for (name, credential) in [("API key", ("authorization", key.as_str())), ("access token", ("authorization", jwt.as_str()))] {
            let mut best: Option<[f64; 6]> = None;
            for _ in 0..ROUNDS {
                let [with, without, whole] = times([&with, &without, &whole], credential).await?;
                let round = [at(&with, 0.5), at(&without, 0.5), at(&whole, 0.5), at(&with, 0.99), at(&without, 0.99), at(&whole, 0.99)];
                best = Some(best.map_or(round, |b| std::array::from_fn(|i| b[i].min(round[i]))));
            }
            let [p50, bare50, whole50, p99, bare99, whole99] = best.unwrap_or([f64::NAN; 6]);
            rows.push(json!({
                "credential": name, "policies": policies, "p50_us": p50 - bare50, "p99_us": p99 - bare99,
                "endpoint_p50_us": whole50, "endpoint_p99_us": whole99, "share": (p50 - bare50) / whole50,
            }));
        }
    }
    app.stop(Duration::from_secs(5)).await;
    Ok(json!({ "verify_p50_us": at(&cold, 0.5), "verify_p99_us": at(&cold, 0.99), "rows": rows, "anew": anew }))
}

fn main() -> Fallible<()> {
    // One thread: what is timed are steps of one request, and another thread would only move them about.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    writeln!(stdout(), "{}", runtime.block_on(measure())?)?;
    Ok(())
}
