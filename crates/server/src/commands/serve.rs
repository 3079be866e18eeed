//! `astrolabe serve`: listen first, then open the data directory, then load models; stop softly, then hard.

use std::{sync::Arc, sync::OnceLock, time::Duration};

use astrolabe_kernel::{
    Clock, Error, Lifecycle, Principal, Random, Result,
    db::Dialect,
    egress::EgressConfig,
    error::code,
    telemetry::{self, LogConfig},
};
use astrolabe_platform::sessions;
use axum::Router;
use clap::Args;

use crate::{
    app::{App, Parts},
    cli::{Context, Done},
    config::{self, Role},
    listener, output, production, router,
    system::{System, VERSION},
};

/// Run the API, the worker and the page.
#[derive(Debug, Args)]
#[command(
    after_help = "Nothing has to be configured: records, documents and keys are kept in the data directory, and only this machine can reach \
the server. Stop it with Ctrl+C: requests in progress are finished; press it again to stop at once.

Examples:
  astrolabe serve                                       on http://127.0.0.1:8080
  PORT=9000 astrolabe serve --data-dir /var/lib/astro   another port and place
  astrolabe serve --listen 0.0.0.0:8080                 for other machines, too
  DATABASE_URL=postgres://… astrolabe serve             records in PostgreSQL
  astrolabe serve --role worker                         jobs alone, beside processes that answer requests (PostgreSQL)
  astrolabe serve --role models                         the API of models alone: a gateway without documents"
)]
pub struct Serve {
    /// Address and port to listen on; `PORT` sets the port alone.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// What this process does: `api`, `worker`, or both, with a comma between them; or `models`.
    #[arg(long, value_name = "ROLES")]
    role: Option<String>,
}

/// Serves until a signal.
///
/// # Errors
/// `invalid_config`, `address_in_use`, and whatever keeps the data directory from being opened.
pub async fn run(context: &Context, args: Serve) -> Result<Done> {
    let listen = args.listen.map(|l| ("server.listen".to_owned(), l, "--listen".to_owned()));
    let role = args.role.map(|r| ("server.roles".to_owned(), r, "--role".to_owned()));
    let flags = listen.into_iter().chain(role).collect();
    let config = context.config(flags)?;
    production::check(&config)?;
    let log: LogConfig = config.settings.section("log")?;
    let random = Random::system();
    let guard = telemetry::init(&log, &config.settings.section("telemetry")?, Clock::System, random.clone())?;
    let recorder = telemetry::recorder();

    let dir = context.create_data_dir()?;
    let mut lock = dir.lock()?;
    let first_start = !dir.token_file().try_exists()?;
    let (listener, bound) = listener::bind(&config.server.listen).await?;
    let url = config.server.url(bound);
    lock.write(Some(&url))?;

    let parts = Parts::real(config, dir)?;
    let config = parts.config.clone();
    let lifecycle = parts.lifecycle.clone();
    let egress: EgressConfig = config.settings.section("egress")?;
    let system = System::new(lifecycle.clone(), egress.offline, || recorder.render());
    let current = Current::new(router::warming(system.warming(), &config, parts.clock.clone(), random));
    let limits = config.server.connection_limits();
    let routed = current.clone();
    lifecycle.spawn("listener", listener::accept(listener, lifecycle.clone(), limits, move || routed.get()));
    tracing::info!(version = VERSION, address = %bound, data_dir = %parts.data_dir.root().display(), "listening");
    say_what_is_unused();

    // Counting signals goes on while everything else stops, so it is not a part of what is waited for.
    let stop = signals(&Lifecycle::new())?;
    let opened = tokio::select! {
        opened = open(&parts, system) => opened,
        () = stop.first() => Err(Error::new(code::SHUTTING_DOWN, "stopped before the data directory was open")),
    };
    let app = match opened {
        Ok(app) => app,
        Err(error) => {
            lifecycle.stop(Duration::ZERO).await;
            return Err(error);
        }
    };
    guard.start(&lifecycle, &app.kernel.egress)?;
    current.set(match (app.does(Role::Api), app.does(Role::Models)) {
        (true, _) => router::full(&app).0,
        (false, true) => router::models_alone(&app),
        (false, false) => router::probes(&app),
    });
    app.start();
    reload_on_hangup(&app)?;
    tracing::info!(
        database = app.kernel.db.dialect().as_str(),
        migrations_applied = app.plan.pending.len(),
        offline = egress.offline,
        "the data directory is open"
    );
    if let Some(warning) = production::warning(&config, bound, app.platform.accounts().await?) {
        tracing::warn!("{warning}");
    }
    if app.does(Role::Api) {
        welcome(&app, &url, first_start).await?;
    }

    stop.first().await;
    tracing::info!("stopping: requests in progress are finished, jobs are given back");
    let grace = config.server.shutdown_grace();
    let clean = tokio::select! {
        clean = app.stop(grace) => clean,
        () = stop.second() => {
            tracing::warn!("stopping at once");
            app.stop(Duration::ZERO).await
        }
    };
    tracing::info!(clean, "stopped");
    drop(lock);
    guard.flush();
    Ok(if clean { Done::All } else { Done::Part })
}

/// Opens the app and the keys of its tokens, so that a wrong secret is told now and not to the first who asks.
async fn open(parts: &Parts, system: System) -> Result<App> {
    let app = App::open(parts, system).await?;
    if app.kernel.db.dialect() == Dialect::Sqlite
        && !app.config.server.serves_models_alone()
        && !(app.does(Role::Api) && app.does(Role::Worker))
    {
        app.stop(Duration::ZERO).await;
        let text = "server.roles: with SQLite there is one process, which has to be both api and worker, or models alone; divide the work on PostgreSQL \
                    (DATABASE_URL)";
        return Err(Error::new(code::INVALID_CONFIG, text));
    }
    match app.identity.keys().open().await {
        Ok(()) => {
            if app.identity.keys().only_verifies() {
                tracing::warn!(
                    "another process made the signing keys, and SECRET_KEY is not set here: this process verifies tokens and issues none"
                );
            }
            Ok(app)
        }
        Err(error) => {
            app.stop(Duration::ZERO).await;
            Err(error)
        }
    }
}

/// The router in force: the one that says "warming up", then the full one.
#[derive(Clone)]
struct Current {
    warming: Router,
    full: Arc<OnceLock<Router>>,
}

impl Current {
    fn new(warming: Router) -> Self {
        Self { warming, full: Arc::default() }
    }

    fn get(&self) -> Router {
        self.full.get().unwrap_or(&self.warming).clone()
    }

    fn set(&self, router: Router) {
        let _ = self.full.set(router);
    }
}

/// Reads the file of routes again at SIGHUP, as a script that has written it may want. Without such a file the signal keeps its meaning: the
/// terminal is gone.
#[cfg(unix)]
fn reload_on_hangup(app: &App) -> Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    if !app.gateway.has_routes_file() {
        return Ok(());
    }
    let mut hangup = signal(SignalKind::hangup())?;
    let (gateway, lifecycle) = (app.gateway.clone(), app.kernel.lifecycle.clone());
    app.kernel.lifecycle.spawn("hangups", async move {
        loop {
            tokio::select! {
                _ = hangup.recv() => gateway.reload(),
                () = lifecycle.stopping() => break,
            }
        }
    });
    Ok(())
}

#[cfg(not(unix))]
fn reload_on_hangup(_app: &App) -> Result<()> {
    Ok(())
}

/// The environment names of other products that somebody set and this version does not use.
fn say_what_is_unused() {
    if let Ok(env) = config::environment() {
        let names = config::unused(&env);
        if !names.is_empty() {
            tracing::warn!(names = names.join(", "), "these environment variables are set but not used by this version");
        }
    }
}

/// Tells a person at the terminal where to go. The link goes to the terminal, or out once at the first start, and never to the log.
async fn welcome(app: &App, url: &str, first_start: bool) -> Result<()> {
    let terminal = output::is_terminal();
    if !terminal && !first_start {
        return Ok(());
    }
    let code = sessions::new_code(&app.kernel, &Principal::local_admin()).await?;
    let token_file = app.data_dir.token_file();
    output::write_err(&format!(
        "
Astrolabe {VERSION} is running at {url}

  sign in   {url}/signin?code={}   (once, within 15 minutes; `astrolabe login-link` makes another)
  ask       curl -s {url}/api/v1/ask -H \"Authorization: Bearer $(cat '{}')\" -H 'Content-Type: application/json' -d '{{\"question\":\"how do I add documents?\"}}'
  read      {url}/docs
",
        code.expose(),
        token_file.display()
    ));
    Ok(())
}

/// Signals to stop, counted.
struct Stop(tokio::sync::watch::Receiver<u8>);

impl Stop {
    async fn first(&self) {
        let _ = self.0.clone().wait_for(|n| *n >= 1).await;
    }

    async fn second(&self) {
        let mut receiver = self.0.clone();
        if receiver.wait_for(|n| *n >= 2).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(unix)]
fn signals(lifecycle: &Lifecycle) -> Result<Stop> {
    use tokio::signal::unix::{SignalKind, signal};
    let (sender, receiver) = tokio::sync::watch::channel(0);
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    lifecycle.spawn("signals", async move {
        for n in 1..=2u8 {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            sender.send_replace(n);
        }
    });
    Ok(Stop(receiver))
}

#[cfg(not(unix))]
fn signals(lifecycle: &Lifecycle) -> Result<Stop> {
    let (sender, receiver) = tokio::sync::watch::channel(0);
    lifecycle.spawn("signals", async move {
        for n in 1..=2u8 {
            if tokio::signal::ctrl_c().await.is_err() {
                return;
            }
            sender.send_replace(n);
        }
    });
    Ok(Stop(receiver))
}
