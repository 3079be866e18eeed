//! The application: every domain opened on one data directory, and the background work between them.
//!
//! `serve`, the commands that work alone on a data directory and the tests open the same [`App`].

use std::{path::PathBuf, sync::Arc, time::Duration};

use astrolabe_agents::{Agents, OwnMetrics, runs::RAG_ONLY, tools::ToolName};
use astrolabe_backends::blob::BlobsConfig;
use astrolabe_gateway::{
    Gateway, GatewayConfig, Models,
    guardrails::Guardrails,
    usage::{self, Ledger, prices::Prices},
};
use astrolabe_kernel::{
    Clock, Db, Error, Kernel, Lifecycle, Random, Result,
    audit::{Reads, Sealer, SigningKey, archive::Archive, erase::AuditPayloads},
    config::Secret,
    db::{Dialect, KERNEL, Migrations, Plan, SecondFence},
    egress::Egress,
    error::code,
    jobs::{Registry, Runner, RunnerConfig},
    personal::{KeptAnswers, People},
    policy::{self, Action},
    processes::LEASE,
    retention::{self, Retention},
    telemetry::recorder,
};
use astrolabe_knowledge::{
    Knowledge, KnowledgeConfig, Paths,
    feedback::FEEDBACK,
    ingest::extractor::{Extractor, Sandbox},
};
use astrolabe_platform::{Catalogue, Platform, accounts, api_keys, audit::Console, identity::Identity, privacy::Privacy, sessions};
use tokio::sync::OnceCell;

use crate::{
    config::{Config, Role},
    data_dir::DataDir,
    system::{Dependency, Named, Opened, SchemaState, System},
};

/// The tables of every domain, in the order of their making.
pub const MIGRATIONS: &[Migrations] =
    &[KERNEL, astrolabe_platform::MIGRATIONS, astrolabe_gateway::MIGRATIONS, astrolabe_knowledge::MIGRATIONS, astrolabe_agents::MIGRATIONS];

/// How often things that are past their time are removed.
const HOUSEKEEPING: Duration = Duration::from_secs(3600);

/// What an [`App`] is opened with: the handles that a test replaces, and the settings.
#[derive(Clone)]
pub struct Parts {
    /// The settings.
    pub config: Arc<Config>,
    /// Where the data is.
    pub data_dir: DataDir,
    /// Where the time comes from.
    pub clock: Clock,
    /// Where randomness comes from.
    pub random: Random,
    /// Starts and stops background tasks.
    pub lifecycle: Lifecycle,
    /// Where documents are read.
    pub extractor: Extractor,
}

impl Parts {
    /// The parts of a real process: the system's clock and randomness, and a child process for documents.
    ///
    /// # Errors
    /// When the program cannot tell where it is.
    pub fn real(config: Config, data_dir: DataDir) -> Result<Self> {
        let program = std::env::current_exe().map_err(Error::internal)?;
        Ok(Self {
            config: Arc::new(config),
            data_dir,
            clock: Clock::System,
            random: Random::system(),
            lifecycle: Lifecycle::new(),
            extractor: Extractor::Child(program),
        })
    }

    /// The URL of the database: the configured one, or the file in the data directory.
    ///
    /// # Errors
    /// As [`DataDir::database_url`].
    pub fn database_url(&self) -> Result<String> {
        match self.config.database.url.as_str() {
            "" => self.data_dir.database_url(),
            url => Ok(url.to_owned()),
        }
    }

    /// Opens the database, without migrating.
    ///
    /// # Errors
    /// As [`Db::open`]; `invalid_config` when its server may lose what was committed and nobody allowed that.
    pub async fn database(&self, connections: u32) -> Result<Db> {
        let db = Db::open(&self.database_url()?, connections).await?;
        let risks = db.unsafe_durability().await?;
        if risks.is_empty() || self.config.database.allow_unsafe_durability {
            return Ok(db);
        }
        db.close().await;
        let fix: Vec<String> = risks.iter().map(|risk| risk.replace("= off", "= on")).collect();
        Err(Error::new(
            code::INVALID_CONFIG,
            format!(
                "PostgreSQL runs with {}, so a crash can lose or damage what was answered: set {} on the server, or accept it with \
                 database.allow_unsafe_durability = true",
                risks.join(", "),
                fix.join(", ")
            ),
        ))
    }

    /// Opens the database and the door to the network, without any domain and without migrating.
    ///
    /// # Errors
    /// As [`Parts::database`] and [`Egress::new`].
    pub async fn kernel(&self) -> Result<Kernel> {
        Ok(Kernel {
            clock: self.clock.clone(),
            random: self.random.clone(),
            db: self.database(self.config.database.connections).await?,
            lifecycle: self.lifecycle.clone(),
            egress: Egress::new(self.config.settings.section("egress")?)?,
            stream_idle: Duration::from_secs(self.config.server.stream_idle_s.max(1)),
            reads: Reads::new(&self.config.audit),
            process: astrolabe_kernel::Id::new(self.clock.now(), &self.random),
            policies: astrolabe_kernel::policy::Policies::default(),
            flags: astrolabe_kernel::flags::Flags::default(),
        })
    }

    /// Both issuers of tokens, of which nothing is read yet.
    ///
    /// # Errors
    /// As [`Identity::new`].
    pub fn identity(&self, kernel: &Kernel) -> Result<Identity> {
        let config = &self.config;
        Identity::new(kernel, config.oidc.clone(), config.identity.clone(), &config.server.public_url, self.data_dir.secret_file())
    }

    /// Where the files of the knowledge domain are.
    ///
    /// # Errors
    /// As [`Parts::blobs`].
    pub fn paths(&self) -> Result<Paths> {
        let (blobs, index) = (self.data_dir.join("blobs"), self.data_dir.join("index"));
        Ok(Paths { blobs, store: self.blobs()?, index, models: self.models() })
    }

    /// Where the bytes of documents are.
    ///
    /// # Errors
    /// `invalid_config` when a setting is of another type.
    pub fn blobs(&self) -> Result<BlobsConfig> {
        self.config.settings.section("blobs")
    }

    fn models(&self) -> PathBuf {
        self.config.models.dir.clone()
    }
}

/// Every domain on one data directory.
pub struct App {
    /// The handles that nearly everything needs.
    pub kernel: Kernel,
    /// The settings.
    pub config: Arc<Config>,
    /// Where the data is.
    pub data_dir: DataDir,
    /// The bearer token of the data directory.
    pub token: Secret,
    /// What probes read.
    pub system: System,
    /// Sign-in and the jobs console.
    pub platform: Platform,
    /// The verifier of tokens, the issuer outside, and our own keys.
    pub identity: Identity,
    /// The audit console.
    pub console: Console,
    /// Export and erasure of one person's data.
    pub privacy: Privacy,
    /// Sources, documents, search and answers.
    pub knowledge: Knowledge,
    /// Agents, their tools, runs and tickets.
    pub agents: Agents,
    /// The chat model, when there is one.
    pub gateway: Gateway,
    /// What calls of models cost, and what is left of budgets.
    pub ledger: Ledger,
    /// The one way to call models, under the rules and with the books.
    pub models: Models,
    /// What was applied when the app was opened.
    pub plan: Plan,
    registry: Registry,
    sealer: Sealer,
}

impl App {
    /// Opens the data directory: brings the database to this version's schema, reads or makes token and keys, and opens every domain.
    /// Nothing runs in the background until [`App::start`].
    ///
    /// # Errors
    /// What each of them says; a half-opened app leaves nothing behind.
    pub async fn open(parts: &Parts, system: System) -> Result<Self> {
        let kernel = parts.kernel().await?;
        let plan = kernel.db.migrate(MIGRATIONS, &kernel.clock, false).await?;
        kernel.enter_process().await?;
        let token = sessions::token(&parts.data_dir.token_file(), &kernel.random)?;
        let key_file = parts.data_dir.audit_key();
        if let Some(folder) = key_file.parent() {
            private_folder(folder)?;
        }
        let key = SigningKey::load_or_create(&key_file, &kernel.random)?;
        let sealer = Sealer::new(kernel.clone(), key, Some(Archive::new(parts.data_dir.archive())));

        let mut model: GatewayConfig = parts.config.settings.section("model")?;
        let here = std::env::current_dir().map_err(Error::internal)?;
        astrolabe_gateway::scripted::start_if_configured(&mut model, &here, &kernel.lifecycle).await?;
        let gateway = Gateway::from_config(model, kernel.egress.clone(), kernel.clock.clone(), kernel.random.clone())?;

        let prices = match parts.config.usage.prices.as_os_str().is_empty() {
            true => Prices::built_in()?,
            false => Prices::with_file(&parts.config.usage.prices)?,
        };
        // Whatever a process that died has not told the database comes first.
        let ledger = Ledger::open(kernel.clone(), &parts.data_dir.join("usage"), prices).await?;
        let guardrails = Guardrails::new(&parts.config.settings.section("guardrails")?)?;

        let models = Models::new(gateway.clone(), Some(ledger.clone()), guardrails);

        let config: KnowledgeConfig = parts.config.settings.section("knowledge")?;
        let knowledge = Knowledge::open(kernel.clone(), config, parts.paths()?, parts.extractor.clone(), models.clone())?;
        let mut registry = Registry::default();
        knowledge.register(&mut registry);
        let own: OwnMetrics = Arc::new(own_metrics);
        let settings = &parts.config.settings;
        let (limits, tools) = (settings.section("agents")?, settings.section("tools")?);
        let agents = Agents::new(kernel.clone(), knowledge.clone(), models.clone(), limits, tools, own)?;
        agents.end_abandoned_runs().await?;
        let mut people = People::default();
        // First of all what signs in, so that nothing new comes in while the rest is gone through.
        people.add(sessions::personal::Sessions);
        people.add(api_keys::personal::ApiKeys);
        people.add(accounts::personal::Memberships);
        knowledge.personal_data(&mut people);
        agents.personal_data(&mut people);
        people.add(usage::personal::Usage);
        people.add(KeptAnswers);
        // Last, for what the others did may be in it.
        people.add(AuditPayloads { kernel: kernel.clone() });
        let privacy = Privacy::new(kernel.clone(), people);
        privacy.register(&mut registry);
        let console = Console::new(kernel.clone(), sealer.public_key());
        let identity = parts.identity(&kernel)?;
        let platform =
            Platform::new(kernel.clone(), &token, registry.clone(), parts.config.server.is_https(), identity.clone(), catalogue());

        system.opened(Opened {
            job_kinds: registry.kinds().collect(),
            db: kernel.db.clone(),
            schema: SchemaState::after(&plan),
            dependencies: {
                let (knowledge, gateway, identity, db) = (knowledge.clone(), gateway.clone(), identity.clone(), kernel.db.clone());
                let durability = durability(&db).await?;
                let (extractor, sandbox) = (parts.extractor.clone(), Arc::new(OnceCell::new()));
                // A gateway opens no index, so it does not wait for one.
                let knowledge = (!parts.config.server.serves_models_alone()).then_some(knowledge);
                Box::new(move || {
                    let (knowledge, gateway, identity) = (knowledge.clone(), gateway.clone(), identity.clone());
                    let (extractor, sandbox) = (extractor.clone(), sandbox.clone());
                    let of_database = row_level_security(&db).into_iter().chain(durability.clone()).collect::<Vec<_>>();
                    Box::pin(async move {
                        let extraction = if knowledge.is_some() { extraction(&extractor, &sandbox).await } else { None };
                        let others = dependencies(knowledge.as_ref(), &gateway, &identity).await;
                        others.into_iter().chain(of_database).chain(extraction).collect()
                    })
                })
            },
            maintenance: {
                let platform = platform.clone();
                Box::new(move || {
                    let platform = platform.clone();
                    Box::pin(async move { platform.maintenance().await.ok().map(|state| (*state).clone()) })
                })
            },
            now: {
                let clock = kernel.clock.clone();
                Box::new(move || clock.now())
            },
        });
        let (config, data_dir) = (parts.config.clone(), parts.data_dir.clone());
        Ok(Self {
            kernel,
            config,
            data_dir,
            token,
            system,
            platform,
            console,
            privacy,
            identity,
            knowledge,
            agents,
            gateway,
            ledger,
            models,
            plan,
            registry,
            sealer,
        })
    }

    /// Starts what runs in the background: the sealer, the loading of model and index, then the job workers.
    pub fn start(&self) {
        self.kernel.stay_alive();
        self.kernel.watch_reads();
        self.sealer.start();
        self.ledger.start();
        self.gateway.watch(&self.kernel.lifecycle);
        if let Some(issuer) = self.identity.issuer().cloned() {
            self.kernel.lifecycle.spawn("oidc keys at start", async move { issuer.warm().await });
        }
        let runner_config = RunnerConfig {
            workers: if self.does(Role::Worker) { self.config.jobs.workers } else { 0 },
            per_tenant: i64::from(self.config.jobs.per_tenant),
            ..RunnerConfig::default()
        };
        let owner = format!("{}-{}", std::process::id(), self.kernel.random.token(6));
        let runner = Runner::new(self.kernel.clone(), self.registry.clone(), runner_config, owner);
        // A gateway has no index and no jobs.
        if !self.config.server.serves_models_alone() {
            let knowledge = self.knowledge.clone();
            self.kernel.lifecycle.spawn("knowledge", async move {
                match knowledge.start().await {
                    // Jobs write to the index, so they wait for it.
                    Ok(()) => runner.start(),
                    Err(error) => tracing::error!(error = ?error, "the search index could not be opened; no jobs are run"),
                }
            });
        }
        if self.does(Role::Worker) || self.kernel.db.dialect() == Dialect::Sqlite {
            let (kernel, retention, privacy) = (self.kernel.clone(), self.config.retention.clone(), self.privacy.clone());
            let (platform, identity, agents) = (self.platform.clone(), self.identity.clone(), self.agents.clone());
            self.kernel.lifecycle.spawn("housekeeping", async move {
                keep_house(&kernel, &retention, &platform, &privacy, &identity, &agents).await;
            });
        }
        if self.kernel.db.dialect() == Dialect::Postgres {
            let (kernel, knowledge, agents) = (self.kernel.clone(), self.knowledge.clone(), self.agents.clone());
            self.kernel.lifecycle.spawn("abandoned work", async move { watch_others(&kernel, &knowledge, &agents).await });
        }
    }

    /// Whether this process has a role.
    pub fn does(&self, role: Role) -> bool {
        self.config.server.roles.contains(&role)
    }

    /// Workers without threads of their own, for tests that drain the queue by hand.
    pub fn runner(&self) -> Runner {
        Runner::new(self.kernel.clone(), self.registry.clone(), RunnerConfig::default(), "by-hand".to_owned())
    }

    /// The sealer, for tests and commands that seal by hand.
    pub fn sealer(&self) -> &Sealer {
        &self.sealer
    }

    /// Stops everything in order and closes the database. Returns whether all ended within `grace`.
    pub async fn stop(&self, grace: Duration) -> bool {
        let clean = self.kernel.lifecycle.stop(grace).await;
        // What was read by requests that the stop found running.
        if let Err(error) = self.kernel.write_reads().await {
            tracing::error!(error = ?error, "who read what could not be recorded");
        }
        // A database that is gone must not hold up the stop: without its leave a process is taken for dead a moment later.
        let _ = tokio::time::timeout(Duration::from_secs(2), self.kernel.leave_process()).await;
        self.kernel.db.close().await;
        clean
    }
}

/// What policies may speak of, and the flags that something reads.
fn catalogue() -> Catalogue {
    let operations = policy::operations().map(Action::operation);
    Catalogue { actions: operations.chain(ToolName::ALL.map(ToolName::action)).collect(), flags: vec![&RAG_ONLY, &FEEDBACK] }
}

/// Our own metrics for the metrics tool: name, labels as `name="value"` and value of every series.
fn own_metrics() -> Vec<(String, String, f64)> {
    let labels =
        |l: &std::collections::BTreeMap<String, String>| l.iter().map(|(k, v)| format!("{k}=\"{v}\"")).collect::<Vec<_>>().join(",");
    recorder().snapshot().into_iter().map(|s| (s.name.clone(), labels(&s.labels), s.value)).collect()
}

/// Whether PostgreSQL holds every transaction to its tenant; SQLite has no such fence, and nobody else opens its file.
fn row_level_security(db: &Db) -> Option<Named> {
    let (status, detail) = match db.second_fence() {
        SecondFence::None => return None,
        SecondFence::Up => ("ok", "every transaction is held to its tenant".to_owned()),
        SecondFence::Off(reason) => ("off", reason),
    };
    Some(Named { name: "row_level_security", dependency: Dependency { status: status.to_owned(), required: false, detail } })
}

/// What holds the process back that reads documents, as it found itself; asked once, and again until it answers.
async fn extraction(extractor: &Extractor, found: &OnceCell<Option<Sandbox>>) -> Option<Named> {
    let (status, detail) = match found.get_or_try_init(|| extractor.sandbox()).await {
        Ok(None) => return None,
        Ok(Some(sandbox)) if sandbox.missing.is_empty() => ("ok", sandbox.in_force.join(", ")),
        Ok(Some(sandbox)) => ("off", format!("{}; not in force: {}", sandbox.in_force.join(", "), sandbox.missing.join(", "))),
        Err(error) => ("off", format!("documents cannot be read: {}", error.message())),
    };
    Some(Named { name: "extraction", dependency: Dependency { status: status.to_owned(), required: false, detail } })
}

/// What PostgreSQL promises of a commit, as it was at the start.
async fn durability(db: &Db) -> Result<Option<Named>> {
    if db.dialect() == Dialect::Sqlite {
        return Ok(None);
    }
    let risks = db.unsafe_durability().await?;
    let (status, detail) = match risks.is_empty() {
        true => ("ok", "what was answered survives a crash".to_owned()),
        false => (
            "off",
            format!("{}, allowed by database.allow_unsafe_durability: a crash can lose or damage what was answered", risks.join(", ")),
        ),
    };
    Ok(Some(Named { name: "durability", dependency: Dependency { status: status.to_owned(), required: false, detail } }))
}

async fn dependencies(knowledge: Option<&Knowledge>, gateway: &Gateway, identity: &Identity) -> Vec<Named> {
    let of_knowledge = match knowledge {
        Some(knowledge) => knowledge.dependencies().await,
        None => Vec::new(),
    };
    let mut all: Vec<Named> = of_knowledge
        .into_iter()
        .map(|d| Named { name: d.name, dependency: Dependency { status: d.status.to_owned(), required: d.required, detail: d.detail } })
        .collect();
    let status = gateway.status();
    let detail = match status.detail() {
        Some(what) => what.to_owned(),
        None if gateway.is_configured() => gateway.model().to_owned(),
        None => "answers are put together from sentences of the documents".to_owned(),
    };
    all.push(Named { name: "chat_model", dependency: Dependency { status: status.as_str().to_owned(), required: false, detail } });
    if identity.keys().only_verifies() {
        let detail = "no access tokens are issued here: set the SECRET_KEY of the other processes".to_owned();
        all.push(Named { name: "signing_keys", dependency: Dependency { status: "off".to_owned(), required: false, detail } });
    }
    if let Some(issuer) = identity.issuer() {
        let known = issuer.status();
        let (status, detail) = match (known.failure, known.keys) {
            (Some(failure), _) => ("connection_failed", failure),
            (None, Some(keys)) => ("ok", format!("{keys} keys")),
            (None, None) => ("loading", "its keys are being fetched".to_owned()),
        };
        all.push(Named { name: "oidc", dependency: Dependency { status: status.to_owned(), required: false, detail } });
    }
    all
}

async fn keep_house(kernel: &Kernel, retention: &Retention, platform: &Platform, privacy: &Privacy, identity: &Identity, agents: &Agents) {
    loop {
        let pruned = async {
            retention::prune(kernel, retention).await?;
            platform.prune_sessions().await?;
            privacy.prune().await?;
            agents.prune_effects().await?;
            identity.keys().keep().await
        };
        if let Err(error) = pruned.await {
            tracing::warn!(error = ?error, "what is past its time could not be removed");
        }
        tokio::select! {
            () = tokio::time::sleep(HOUSEKEEPING) => {}
            () = kernel.lifecycle.stopping() => return,
        }
    }
}

/// Ends what other processes on the database leave behind when they die: on SQLite there is none, and the next start does it.
async fn watch_others(kernel: &Kernel, knowledge: &Knowledge, agents: &Agents) {
    while tokio::time::timeout(LEASE, kernel.lifecycle.stopping()).await.is_err() {
        let ended = async { Ok::<_, Error>(knowledge.end_abandoned_asks().await? + agents.end_abandoned_runs().await?) };
        match ended.await {
            Ok(0) => {}
            Ok(ended) => tracing::warn!(ended, "ended what a process left undone that died"),
            Err(error) => tracing::warn!(error = ?error, "what dead processes left undone could not be ended"),
        }
    }
}

/// Makes a folder that only its owner may look into.
///
/// # Errors
/// When it cannot be made.
pub fn private_folder(path: &std::path::Path) -> Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)?;
    Ok(())
}
