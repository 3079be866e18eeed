//! The endpoints that probes, dashboards and people without a token read: alive, ready, metrics, version.
//!
//! [`System`] exists before the database is open, so that the process answers from its first milliseconds; [`System::opened`] tells
//! it later what there is to report.

use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::{Arc, OnceLock},
    time::Duration,
};

use astrolabe_kernel::{
    Db, Lifecycle, Timestamp,
    db::Plan,
    http::{Json, OpenProblems},
};
use astrolabe_kernel::{http::Routes, routes};
use astrolabe_platform::maintenance::Maintenance;
use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The version of the program.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The revision it was built from.
pub const GIT_SHA: &str = env!("ASTROLABE_GIT_SHA");
/// The version of the API under `/api`.
pub const API_VERSION: &str = "v1";
/// The title of every answer that says to come back a little later.
pub const WARMING_TITLE: &str = "Service warming up";
/// A database that does not answer a probe by then is not well.
const PROBE: Duration = Duration::from_secs(2);

/// How one dependency is doing.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Dependency {
    /// `ok`, `loading`, `not_configured`, `connection_failed`, or `off` for a protection of the database that is not in force.
    #[schema(pattern = "^(ok|loading|not_configured|connection_failed|off)$")]
    pub status: String,
    /// Whether nothing works without it.
    pub required: bool,
    /// For people.
    pub detail: String,
}

/// A dependency with its name.
#[derive(Debug, Clone)]
pub struct Named {
    /// Its name, such as `index`.
    pub name: &'static str,
    /// How it is doing.
    pub dependency: Dependency,
}

/// Whether the service can work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Everything is there.
    Ready,
    /// Something that is required is still missing.
    Warming,
    /// It works, but something optional is missing: `degraded` names it.
    Degraded,
    /// The process is ending.
    Stopping,
}

/// How far the database's schema is.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
pub struct SchemaState {
    /// The last step of each domain, such as 7 of `kernel`.
    pub versions: BTreeMap<String, u32>,
    /// Steps applied.
    pub applied: usize,
    /// Steps to come.
    pub pending: usize,
}

impl SchemaState {
    /// The state once a plan was carried out.
    pub fn after(plan: &Plan) -> Self {
        let mut versions = BTreeMap::new();
        for (domain, step) in plan.applied.iter().chain(&plan.pending).filter_map(|step| step.split_once('/')) {
            let number = step.split('_').next().and_then(|n| n.parse::<u32>().ok()).unwrap_or(0);
            let newest: &mut u32 = versions.entry(domain.to_owned()).or_default();
            *newest = number.max(*newest);
        }
        Self { versions, applied: plan.applied.len() + plan.pending.len(), pending: 0 }
    }
}

/// The answer of the readiness probes.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Readiness {
    /// Whether the service can work.
    pub status: Status,
    /// `Service warming up` while it is not ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The version of the program.
    pub version: String,
    /// Names of optional dependencies that are missing or broken.
    pub degraded: Vec<String>,
    /// Every dependency by name.
    pub dependencies: BTreeMap<String, Dependency>,
    /// The database's schema.
    pub schema: SchemaState,
    /// Whether connections to the outside are refused.
    pub offline: bool,
    /// The maintenance switch; absent while it cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maintenance: Option<Maintenance>,
}

/// The health of the process, as A-01 and S-05 want it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// Always the same word while the process lives.
    pub status: String,
}

/// The build that answers.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Version {
    /// `astrolabe`.
    pub name: String,
    /// The version of the program.
    pub version: String,
    /// The revision it was built from, or `unknown`.
    pub git_sha: String,
    /// The version of the API.
    pub api_version: String,
    /// The maintenance switch of the installation that answers; absent while it cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maintenance: Option<Maintenance>,
}

impl Version {
    /// The version of this build.
    pub fn this() -> Self {
        Self {
            name: "astrolabe".into(),
            version: VERSION.into(),
            git_sha: GIT_SHA.into(),
            api_version: API_VERSION.into(),
            maintenance: None,
        }
    }
}

/// What has to be asked for, such as the dependencies: an index may be a network away.
pub type Asked<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What is there to report once the data directory is open.
pub struct Opened {
    /// The kinds of jobs that there may be.
    pub job_kinds: Vec<&'static str>,
    /// The database.
    pub db: Db,
    /// The state of its schema.
    pub schema: SchemaState,
    /// The dependencies beside the database.
    pub dependencies: Box<dyn Fn() -> Asked<Vec<Named>> + Send + Sync>,
    /// The maintenance switch, when it can be read.
    pub maintenance: Box<dyn Fn() -> Asked<Option<Maintenance>> + Send + Sync>,
    /// The time, for ages.
    pub now: Box<dyn Fn() -> Timestamp + Send + Sync>,
}

/// What the system endpoints know; clones are the same.
#[derive(Clone)]
pub struct System(Arc<Inner>);

struct Inner {
    lifecycle: Lifecycle,
    offline: bool,
    metrics: Arc<dyn Fn() -> String + Send + Sync>,
    opened: OnceLock<Opened>,
}

impl System {
    /// A system that is warming up. `metrics` renders what was measured in the Prometheus text format.
    pub fn new(lifecycle: Lifecycle, offline: bool, metrics: impl Fn() -> String + Send + Sync + 'static) -> Self {
        Self(Arc::new(Inner { lifecycle, offline, metrics: Arc::new(metrics), opened: OnceLock::new() }))
    }

    /// The same process as its first router knows it, which answers nothing else yet: it is never ready, also in the moment between the
    /// opening of everything and the router that answers.
    #[must_use]
    pub fn warming(&self) -> Self {
        let Inner { lifecycle, offline, metrics, .. } = &*self.0;
        Self(Arc::new(Inner { lifecycle: lifecycle.clone(), offline: *offline, metrics: Arc::clone(metrics), opened: OnceLock::new() }))
    }

    /// Tells what there is to report from now on. Only the first call counts.
    pub fn opened(&self, opened: Opened) {
        let _ = self.0.opened.set(opened);
    }

    /// Whether the service can work now, asking the database.
    pub async fn readiness(&self) -> Readiness {
        let mut dependencies = BTreeMap::new();
        let mut schema = SchemaState::default();
        let loading = || Dependency { status: "loading".into(), required: true, detail: "opening".into() };
        match self.0.opened.get() {
            None => {
                dependencies.insert("database".to_owned(), loading());
            }
            Some(opened) => {
                schema = opened.schema.clone();
                let alive = tokio::time::timeout(PROBE, async {
                    opened.db.read_all().await?.one::<i64>("SELECT CAST(1 AS BIGINT) AS one", &[]).await
                });
                let database = match alive.await {
                    Ok(Ok(_)) => Dependency { status: "ok".into(), required: true, detail: opened.db.dialect().as_str().into() },
                    Ok(Err(error)) => Dependency { status: "connection_failed".into(), required: true, detail: error.message().into() },
                    Err(_) => {
                        Dependency { status: "connection_failed".into(), required: true, detail: "does not answer within 2 seconds".into() }
                    }
                };
                dependencies.insert("database".to_owned(), database);
                let late =
                    || Dependency { status: "connection_failed".into(), required: true, detail: "does not answer within 2 seconds".into() };
                match tokio::time::timeout(PROBE, (opened.dependencies)()).await {
                    Ok(others) => dependencies.extend(others.into_iter().map(|n| (n.name.to_owned(), n.dependency))),
                    // Of these, only the index may have to ask somebody.
                    Err(_) => drop(dependencies.insert("index".to_owned(), late())),
                }
            }
        }
        let blocked = dependencies.values().any(|d| d.required && d.status != "ok");
        let degraded: Vec<String> = dependencies
            .iter()
            // A chat model that nobody configured is a choice; an embedder that is missing makes search worse than it should be.
            .filter(|(name, d)| !d.required && d.status != "ok" && !(d.status == "not_configured" && *name == "chat_model"))
            .map(|(name, _)| name.clone())
            .collect();
        let (status, title) = if self.0.lifecycle.is_stopping() {
            (Status::Stopping, Some("Shutting down".to_owned()))
        } else if blocked {
            (Status::Warming, Some(WARMING_TITLE.to_owned()))
        } else if degraded.is_empty() {
            (Status::Ready, None)
        } else {
            (Status::Degraded, None)
        };
        let maintenance = self.maintenance().await;
        Readiness { status, title, version: VERSION.to_owned(), degraded, dependencies, schema, offline: self.0.offline, maintenance }
    }

    async fn maintenance(&self) -> Option<Maintenance> {
        let asked = (self.0.opened.get()?.maintenance)();
        tokio::time::timeout(PROBE, asked).await.ok().flatten()
    }

    /// Brings the gauges that are read, not counted, up to date.
    async fn refresh_gauges(&self) {
        let Some(opened) = self.0.opened.get() else { return };
        let (size, available) = opened.db.pool_size();
        metrics::gauge!("db_connection_pool_size").set(f64::from(size));
        metrics::gauge!("db_connection_pool_available").set(f64::from(available));
        let counts = async { opened.db.read_all().await?.job_counts().await };
        match tokio::time::timeout(PROBE, counts).await {
            Ok(Ok(counts)) => {
                let now = (opened.now)();
                // What is no more has to be told as none: a gauge stays at what it was.
                for kind in &opened.job_kinds {
                    for state in ["queued", "running", "failed"] {
                        let count = counts.iter().find(|c| c.kind == *kind && c.state == state);
                        metrics::gauge!("jobs", "kind" => *kind, "state" => state).set(count.map_or(0.0, |c| c.count as f64));
                        let age = count.map_or(0.0, |c| now.since(c.oldest).as_secs_f64());
                        metrics::gauge!("jobs_oldest_age_seconds", "kind" => *kind, "state" => state).set(age);
                    }
                }
            }
            Ok(Err(error)) => tracing::warn!(error = ?error, "jobs could not be counted for the metrics"),
            Err(_) => tracing::warn!("jobs could not be counted for the metrics in time"),
        }
    }
}

/// The system endpoints, all open.
pub fn routes(system: System) -> Routes {
    Routes::new()
        .routes(routes!(get_health))
        .routes(routes!(get_healthz))
        .routes(routes!(get_readyz))
        .routes(routes!(get_ready))
        .routes(routes!(get_startup))
        .routes(routes!(get_metrics))
        .routes(routes!(get_version))
        .with_state(system)
}

/// Is the process alive
///
/// Says `healthy` as long as the process answers at all; use `/readyz` to ask whether it can work.
#[utoipa::path(get, path = "/health", tag = "system", security(()), responses((status = 200, description = "Alive.", body = Health), OpenProblems))]
async fn get_health() -> Json<Health> {
    std::future::ready(Json(Health { status: "healthy".into() })).await
}

/// Is the process alive, for liveness probes
#[utoipa::path(get, path = "/healthz", tag = "system", security(()), responses((status = 200, description = "Alive.", body = Health), OpenProblems))]
async fn get_healthz() -> Json<Health> {
    std::future::ready(Json(Health { status: "ok".into() })).await
}

/// Can the process work, for readiness probes
///
/// Names every dependency. 503 until all required ones are there; `degraded` names optional ones that are missing.
#[utoipa::path(get, path = "/readyz", tag = "system", security(()), responses(
    (status = 200, description = "It works, possibly without something optional.", body = Readiness),
    (status = 503, description = "Something required is missing: warming up, or stopping.", body = Readiness),
    (status = 500, description = "A defect of ours.", body = astrolabe_kernel::http::Problem, content_type = "application/problem+json")))]
async fn get_readyz(State(system): State<System>) -> Response {
    readiness(&system).await
}

/// The same as `/readyz`
#[utoipa::path(get, path = "/ready", tag = "system", security(()), responses(
    (status = 200, description = "It works, possibly without something optional.", body = Readiness),
    (status = 503, description = "Something required is missing: warming up, or stopping.", body = Readiness),
    (status = 500, description = "A defect of ours.", body = astrolabe_kernel::http::Problem, content_type = "application/problem+json")))]
async fn get_ready(State(system): State<System>) -> Response {
    readiness(&system).await
}

/// The same as `/readyz`, for startup probes
#[utoipa::path(get, path = "/startup", tag = "system", security(()), responses(
    (status = 200, description = "It works, possibly without something optional.", body = Readiness),
    (status = 503, description = "Something required is missing: warming up, or stopping.", body = Readiness),
    (status = 500, description = "A defect of ours.", body = astrolabe_kernel::http::Problem, content_type = "application/problem+json")))]
async fn get_startup(State(system): State<System>) -> Response {
    readiness(&system).await
}

async fn readiness(system: &System) -> Response {
    let readiness = system.readiness().await;
    let headers = [(header::CACHE_CONTROL, "no-store")];
    match readiness.status {
        Status::Ready | Status::Degraded => (headers, Json(readiness)).into_response(),
        Status::Warming | Status::Stopping => {
            (StatusCode::SERVICE_UNAVAILABLE, headers, [(header::RETRY_AFTER, "1")], Json(readiness)).into_response()
        }
    }
}

/// What was measured, for Prometheus
#[utoipa::path(get, path = "/metrics", tag = "system", security(()), responses(
    (status = 200, description = "Metrics in the Prometheus text format.", body = String, content_type = "text/plain"), OpenProblems))]
async fn get_metrics(State(system): State<System>) -> Response {
    system.refresh_gauges().await;
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8"), (header::CACHE_CONTROL, "no-store")], (system.0.metrics)())
        .into_response()
}

/// The build that answers
#[utoipa::path(get, path = "/api/version", tag = "system", security(()), responses((status = 200, description = "The build.", body = Version), OpenProblems))]
async fn get_version(State(system): State<System>) -> Json<Version> {
    Json(Version { maintenance: system.maintenance().await, ..Version::this() })
}
