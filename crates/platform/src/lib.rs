//! Sign-in, policies, settings, and the consoles: what an operator sees of the installation itself.
//!
//! Reading order: [`access`] decides who a request comes from, for every other domain; [`tenants`] and [`accounts`] are who there is; [`sessions`] is how
//! people sign in and [`api_keys`] how programs do; [`identity`] says what a token is worth; [`policies`] is what may be done beyond roles;
//! [`settings`] holds a tenant's name, time zone and flags, [`maintenance`] the installation's switch; [`audit`] and [`jobs`] let people read and
//! steer what the kernel records and runs, [`privacy`] is what is kept about one person.
//!
//! Invariant: nothing behind [`access::authenticate`] runs without a [`Principal`](astrolabe_kernel::Principal).

pub mod access;
pub mod accounts;
pub mod api_keys;
pub mod audit;
mod fresh;
pub mod identity;
pub mod jobs;
pub mod maintenance;
pub mod policies;
pub mod privacy;
pub mod sessions;
pub mod settings;
pub mod tenants;
#[cfg(test)]
mod testing;

use std::sync::Arc;

use astrolabe_kernel::{
    Error, Kernel, Result,
    config::Secret,
    db::{Migration, Migrations},
    error::code,
    flags::Flag,
    jobs::Registry,
    limits::FailedAttempts,
    policy::Action,
    principal::TenantId,
};
use astrolabe_kernel::{
    http::{Routes, etag},
    routes,
};

use self::{access::Verdicts, accounts::passwords::Passwords, identity::Identity};

/// This domain's tables.
pub const MIGRATIONS: Migrations = Migrations {
    domain: "platform",
    steps: &[
        Migration { version: 1, name: "sessions", sql: include_str!("../migrations/0001_sessions.sql") },
        Migration { version: 2, name: "signing_keys", sql: include_str!("../migrations/0002_signing_keys.sql") },
        Migration { version: 10, name: "accounts", sql: include_str!("../migrations/0010_accounts.sql") },
        Migration { version: 12, name: "policies", sql: include_str!("../migrations/0012_policies.sql") },
        Migration { version: 20, name: "api_keys", sql: include_str!("../migrations/0020_api_keys.sql") },
        Migration { version: 30, name: "privacy", sql: include_str!("../migrations/0030_privacy.sql") },
    ],
};

/// What the other domains have that policies and settings speak of.
#[derive(Default)]
pub struct Catalogue {
    /// What policies may name.
    pub actions: Vec<Action>,
    /// The flags that something reads.
    pub flags: Vec<&'static Flag>,
}

/// What the routes and the sign-in middleware share; clones are the same platform.
#[derive(Clone)]
pub struct Platform(Arc<Inner>);

struct Inner {
    kernel: Kernel,
    registry: Registry,
    token_hash: sessions::Digest,
    secure_cookies: bool,
    identity: Identity,
    passwords: Passwords,
    attempts: FailedAttempts,
    verdicts: Verdicts,
    refusals: sessions::Refusals,
    policies: policies::Engine,
    flags: Vec<&'static Flag>,
    settings: fresh::Fresh<TenantId, settings::InForce>,
    maintenance: fresh::Fresh<(), maintenance::Maintenance>,
}

impl Platform {
    /// The platform of a data directory. `token` is the directory's token; `registry` holds the handlers of every kind of job, so
    /// that a job that is canceled from here brings its subject to the same end; `secure_cookies` is set when browsers reach the
    /// server over https, possibly through a proxy; `identity` has the issuers whose tokens are taken. From now on the kernel's handles for policies
    /// and flags ask this platform.
    pub fn new(kernel: Kernel, token: &Secret, registry: Registry, secure_cookies: bool, identity: Identity, catalogue: Catalogue) -> Self {
        let Catalogue { actions, flags } = catalogue;
        let platform = Self(Arc::new(Inner {
            kernel,
            registry,
            token_hash: sessions::digest(token.expose()),
            secure_cookies,
            identity,
            passwords: Passwords::default(),
            attempts: FailedAttempts::default(),
            verdicts: Verdicts::default(),
            refusals: sessions::Refusals::default(),
            policies: policies::Engine::new(actions),
            flags,
            settings: fresh::Fresh::default(),
            maintenance: fresh::Fresh::default(),
        }));
        // Weak, because the platform holds the kernel, which holds these; without a platform there is nobody to say yes.
        let gone = || Error::new(code::SHUTTING_DOWN, "the process is stopping");
        let weak = Arc::downgrade(&platform.0);
        let asked = weak.clone();
        platform.kernel().policies.fill(move |question| {
            let platform = asked.upgrade().map(Self);
            Box::pin(async move { platform.ok_or_else(gone)?.decide(question).await })
        });
        platform.kernel().flags.fill(move |tenant, flag| {
            let platform = weak.upgrade().map(Self);
            Box::pin(async move { platform.ok_or_else(gone)?.flag(tenant, flag).await })
        });
        platform
    }

    /// How many accounts there are.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn accounts(&self) -> Result<i64> {
        accounts::store::accounts(&mut self.kernel().db.read_all().await?).await
    }

    /// The handles of the process.
    pub fn kernel(&self) -> &Kernel {
        &self.0.kernel
    }
}

/// The endpoints behind sign-in.
pub fn routes(platform: Platform) -> Routes {
    Routes::new()
        .routes(routes!(sessions::own::get_me))
        .routes(routes!(sessions::own::change_password))
        .routes(routes!(sessions::own::list_sessions))
        .routes(routes!(sessions::own::end_session))
        .routes(routes!(sessions::own::end_current_session))
        .routes(routes!(sessions::own::switch_tenant))
        .routes(routes!(tenants::routes::list_tenants, tenants::routes::create_tenant))
        .routes(routes!(tenants::routes::get_tenant, tenants::routes::update_tenant))
        .routes(routes!(accounts::routes::list_users, accounts::routes::create_user))
        .routes(routes!(accounts::routes::get_user, accounts::routes::update_user, accounts::routes::delete_user))
        .routes(routes!(accounts::routes::sign_out_user))
        .routes(routes!(accounts::routes::create_user_link))
        .routes(routes!(accounts::routes::set_user_password))
        .routes(routes!(accounts::routes::list_roles))
        .routes(routes!(api_keys::routes::list_api_keys, api_keys::routes::create_api_key))
        .routes(routes!(api_keys::routes::get_api_key, api_keys::routes::revoke_api_key))
        .routes(routes!(jobs::routes::list_jobs))
        .routes(routes!(jobs::routes::get_job))
        .routes(routes!(jobs::routes::cancel_job))
        .routes(routes!(jobs::routes::retry_job))
        .routes(routes!(jobs::routes::get_job_events))
        .routes(routes!(jobs::routes::list_dead_letters))
        .routes(routes!(jobs::routes::retry_dead_letters))
        .routes(routes!(policies::routes::list_policies, policies::routes::create_policy))
        .routes(routes!(policies::routes::get_policy, policies::routes::replace_policy, policies::routes::delete_policy))
        .routes(routes!(policies::routes::simulate_policies))
        .routes(routes!(policies::routes::simulate_policy))
        .routes(routes!(settings::routes::get_settings, settings::routes::change_settings))
        .routes(routes!(maintenance::routes::get_maintenance, maintenance::routes::set_maintenance))
        .with_state(platform)
}

/// The endpoints that are open: reviewed with care, for they have no caller.
pub fn public_routes(platform: Platform) -> Routes {
    Routes::new()
        .routes(routes!(sessions::routes::sign_in))
        .routes(routes!(sessions::routes::create_session))
        .routes(routes!(sessions::routes::refresh_session))
        .routes(routes!(sessions::oidc::get_sign_in_methods))
        .routes(routes!(sessions::oidc::begin_oidc))
        .routes(routes!(sessions::oidc::end_oidc))
        .with_state(platform)
}
