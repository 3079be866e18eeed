//! Sign-in, the audit console and the jobs console: what an operator sees of the installation itself.
//!
//! Reading order: [`sessions`] decides who a request comes from, for every other domain; [`identity`] says what a token is worth; [`api_keys`] is how
//! programs sign in; [`audit`] and [`jobs`] let people read and
//! steer what the kernel records and runs.
//!
//! Invariant: nothing behind [`sessions::authenticate`] runs without a [`Principal`](astrolabe_kernel::Principal).

pub mod api_keys;
pub mod audit;
pub mod identity;
pub mod jobs;
pub mod sessions;

use std::sync::Arc;

use astrolabe_kernel::{
    Kernel,
    config::Secret,
    db::{Migration, Migrations},
    jobs::Registry,
};
use utoipa_axum::{router::OpenApiRouter, routes};

/// This domain's tables.
pub const MIGRATIONS: Migrations = Migrations {
    domain: "platform",
    steps: &[
        Migration { version: 1, name: "sessions", sql: include_str!("../migrations/0001_sessions.sql") },
        Migration { version: 2, name: "signing_keys", sql: include_str!("../migrations/0002_signing_keys.sql") },
        Migration { version: 20, name: "api_keys", sql: include_str!("../migrations/0020_api_keys.sql") },
    ],
};

/// What the routes and the sign-in middleware share; clones are the same platform.
#[derive(Clone)]
pub struct Platform(Arc<Inner>);

struct Inner {
    kernel: Kernel,
    registry: Registry,
    token_hash: sessions::Digest,
    secure_cookies: bool,
    refusals: sessions::Refusals,
}

impl Platform {
    /// The platform of a data directory. `token` is the directory's token; `registry` holds the handlers of every kind of job, so
    /// that a job that is canceled from here brings its subject to the same end; `secure_cookies` is set when browsers reach the
    /// server over https, possibly through a proxy.
    pub fn new(kernel: Kernel, token: &Secret, registry: Registry, secure_cookies: bool) -> Self {
        let token_hash = sessions::digest(token.expose());
        Self(Arc::new(Inner { kernel, registry, token_hash, secure_cookies, refusals: sessions::Refusals::default() }))
    }

    /// The handles of the process.
    pub fn kernel(&self) -> &Kernel {
        &self.0.kernel
    }
}

/// The endpoints behind sign-in.
pub fn routes(platform: Platform) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(sessions::routes::get_me))
        .routes(routes!(sessions::routes::end_current_session))
        .routes(routes!(api_keys::routes::list_api_keys, api_keys::routes::create_api_key))
        .routes(routes!(api_keys::routes::get_api_key, api_keys::routes::revoke_api_key))
        .routes(routes!(audit::routes::list_audit_entries))
        .routes(routes!(jobs::routes::list_jobs))
        .routes(routes!(jobs::routes::get_job))
        .routes(routes!(jobs::routes::cancel_job))
        .routes(routes!(jobs::routes::retry_job))
        .with_state(platform)
}

/// The endpoints that are open: reviewed with care, for they have no caller.
pub fn public_routes(platform: Platform) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(sessions::routes::sign_in)).with_state(platform)
}
