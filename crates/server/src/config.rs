//! The settings of the program: the defaults file with its aliases, and the sections as types.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use astrolabe_kernel::{
    Error, Result,
    audit::AuditConfig,
    config::{Schema, Settings},
    error::code,
    http::{Origins, TrustedProxies},
    limits::{self, LimitsConfig},
    retention::Retention,
};
use astrolabe_platform::identity::config::{IdentityConfig, OidcConfig};
use serde::Deserialize;

use crate::listener::Limits;

/// The defaults, which are the documentation, and what else is known about the keys.
pub const SCHEMA: Schema = Schema {
    defaults: include_str!("config.default.toml"),
    secrets: &[
        "blobs.secret_access_key",
        "model.api_key",
        "model.google_api_key",
        "model.bedrock_api_key",
        "model.aws_secret_access_key",
        "model.aws_session_token",
        "tools.tickets_token",
        "tools.restart_webhook_token",
        "oidc.client_secret",
        "identity.secret_key",
        "identity.jwt_secret_key",
    ],
    aliases: &[
        ("PORT", "server.listen"),
        ("APP_ENV", "server.environment"),
        ("DATABASE_URL", "database.url"),
        ("LOG_LEVEL", "log.level"),
        ("OIDC_ISSUER", "oidc.issuer"),
        ("OIDC_AUDIENCE", "oidc.audience"),
        ("OIDC_JWKS_URL", "oidc.jwks_url"),
        ("SECRET_KEY", "identity.secret_key"),
        ("JWT_SECRET_KEY", "identity.jwt_secret_key"),
        ("OPENAI_API_KEY", "model.api_key"),
        ("VLLM_URL", "model.base_url"),
        ("MODEL_PROVIDER", "model.provider"),
        ("GOOGLE_API_KEY", "model.google_api_key"),
        ("BEDROCK_REGION", "model.bedrock_region"),
        ("BEDROCK_MODEL", "model.bedrock_model"),
        ("AWS_BEARER_TOKEN_BEDROCK", "model.bedrock_api_key"),
        ("AWS_REGION", "model.aws_region"),
        ("AWS_ACCESS_KEY_ID", "model.aws_access_key_id"),
        ("AWS_SECRET_ACCESS_KEY", "model.aws_secret_access_key"),
        ("AWS_SESSION_TOKEN", "model.aws_session_token"),
        ("TICKETS_URL", "tools.tickets_url"),
        ("PROMETHEUS_URL", "tools.prometheus_url"),
    ],
    other_env: &["ASTROLABE_DATA_DIR", "ASTROLABE_CONFIG", "ASTROLABE_SERVER", "ASTROLABE_TOKEN", "ASTROLABE_URL"],
};

/// Names that operators set for the products that Astrolabe stands in for, and that this version does nothing with. A server that
/// starts with one of them says so, because silence would look like obedience.
pub const UNUSED_ENV: &[&str] = &[
    "API_VERSION",
    "REDIS_URL",
    "NATS_URL",
    "QDRANT_URL",
    "S3_AUDIT_BUCKET",
    "ES_URL",
    "ES_INDEX_AUDIT",
    "NEO4J_URI",
    "NEO4J_PASSWORD",
    "DATABASE_URL_CLOUD",
    "POSTGRES_PASSWORD",
    "DATABASE_PASSWORD",
];

/// The section `server`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerConfig {
    /// What this process does.
    pub roles: Vec<Role>,
    /// What the server is for; `production` refuses to start without an issuer and with defaults that everybody knows.
    pub environment: String,
    /// Where to listen, `host:port`.
    pub listen: String,
    /// The address for browsers; empty for the listening address.
    pub public_url: String,
    /// Names under which requests are accepted.
    pub allowed_hosts: Vec<String>,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<String>,
    /// Origins of other pages that may use the API.
    pub cors_origins: Vec<String>,
    /// Connections at the same time.
    pub max_connections: usize,
    /// Bytes of a body.
    pub max_body_bytes: usize,
    /// Seconds for the head of a request.
    pub header_timeout_s: u64,
    /// Seconds that a body may keep the server waiting.
    pub body_timeout_s: u64,
    /// Seconds that a connection may take nothing of its answer.
    pub write_timeout_s: u64,
    /// Seconds until an answer begins.
    pub request_timeout_s: u64,
    /// Seconds of silence of a stream.
    pub stream_idle_s: u64,
    /// Seconds for a soft stop.
    pub shutdown_grace_s: u64,
}

impl ServerConfig {
    /// How long a soft stop may take.
    pub fn shutdown_grace(&self) -> Duration {
        Duration::from_secs(self.shutdown_grace_s)
    }

    /// How long an answer may take to begin.
    pub fn request_timeout(&self) -> Duration {
        Duration::from_secs(self.request_timeout_s.max(1))
    }

    /// How long a body may keep the server waiting.
    pub fn body_timeout(&self) -> Duration {
        Duration::from_secs(self.body_timeout_s.max(1))
    }

    /// The limits of connections.
    pub fn connection_limits(&self) -> Limits {
        Limits {
            connections: self.max_connections,
            header_timeout: Duration::from_secs(self.header_timeout_s),
            write_timeout: Duration::from_secs(self.write_timeout_s),
        }
    }

    /// Whether the process serves models to others and does nothing else.
    pub fn serves_models_alone(&self) -> bool {
        self.roles == [Role::Models]
    }

    /// Whether this is said to be in production.
    pub fn is_production(&self) -> bool {
        ["production", "prod"].iter().any(|name| self.environment.trim().eq_ignore_ascii_case(name))
    }

    /// Whether browsers reach the server over https.
    pub fn is_https(&self) -> bool {
        self.public_url.starts_with("https://")
    }

    /// The names under which requests are accepted, that of the public address included.
    pub fn hosts(&self) -> Vec<String> {
        let public = self.public_url.split_once("://").map(|(_, rest)| rest.split('/').next().unwrap_or("").to_owned());
        self.allowed_hosts.iter().cloned().chain(public.filter(|h| !h.is_empty())).collect()
    }

    /// Under which names, and from which pages, requests are accepted.
    pub fn origins(&self) -> Origins {
        Origins { hosts: self.hosts().into(), cross: self.cors_origins.clone().into() }
    }

    /// The proxies whose `X-Forwarded-For` is believed.
    ///
    /// # Errors
    /// `invalid_config` naming the one that is no address and no network.
    pub fn proxies(&self) -> Result<TrustedProxies> {
        TrustedProxies::parse(&self.trusted_proxies)
    }

    /// The address to print for people when the server listens on `bound`.
    pub fn url(&self, bound: SocketAddr) -> String {
        if !self.public_url.is_empty() {
            return self.public_url.trim_end_matches('/').to_owned();
        }
        let host = match bound.ip() {
            ip if ip.is_unspecified() => "127.0.0.1".to_owned(),
            std::net::IpAddr::V6(ip) => format!("[{ip}]"),
            ip => ip.to_string(),
        };
        format!("http://{host}:{}", bound.port())
    }
}

/// The section `database`.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatabaseConfig {
    /// The URL; empty for the file in the data directory. It may hold a password, so it is never printed.
    pub url: String,
    /// Connections at the same time.
    pub connections: u32,
    /// Whether a server that may lose what was committed is good enough.
    pub allow_unsafe_durability: bool,
}

/// What a process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// It answers requests: the API and the page.
    Api,
    /// It runs jobs, and keeps house.
    Worker,
    /// It serves models to others, with the keys and budgets for that, and nothing else.
    Models,
}

/// The section `jobs`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobsConfig {
    /// Jobs at the same time.
    pub workers: usize,
    /// Jobs of one tenant at the same time in the whole installation; 0 for any number.
    pub per_tenant: u32,
}

/// The section `models`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelsConfig {
    /// The folder with models.
    pub dir: PathBuf,
}

/// The section `usage`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UsageConfig {
    /// The operator's list of prices; empty for the one that is built in.
    pub prices: PathBuf,
}

/// Every section, checked.
#[derive(Clone)]
pub struct Config {
    /// The layers, for `config show` and for sections that other crates read.
    pub settings: Settings,
    /// How the server is reached.
    pub server: ServerConfig,
    /// The proxies of `server`, read.
    pub proxies: TrustedProxies,
    /// How much callers may ask for.
    pub limits: LimitsConfig,
    /// Where records are kept.
    pub database: DatabaseConfig,
    /// Background work.
    pub jobs: JobsConfig,
    /// Model weights.
    pub models: ModelsConfig,
    /// `usage`.
    pub usage: UsageConfig,
    /// How long what nobody reads any more is kept.
    pub retention: Retention,
    /// The issuer outside.
    pub oidc: OidcConfig,
    /// Our own keys.
    pub identity: IdentityConfig,
    /// What is recorded.
    pub audit: AuditConfig,
}

/// Where models are when no setting says so: one folder a person, as the XDG Base Directory Specification has it; `scripts/models.sh`
/// looks at the same place.
fn models_folder(env: &[(String, String)]) -> PathBuf {
    let of = |name: &str| env.iter().find(|(n, v)| n == name && !v.is_empty()).map(|(_, v)| PathBuf::from(v));
    let data = of("XDG_DATA_HOME").or_else(|| of("HOME").map(|home| home.join(".local/share")));
    data.map_or_else(|| PathBuf::from("models"), |data| data.join("astrolabe/models"))
}

/// The most seconds that a limit may have: what is added to the time of day must not overflow.
const DAY: u64 = 24 * 3600;

fn within(key: &str, value: u64, least: u64, most: u64) -> Result<()> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(Error::new(code::INVALID_CONFIG, format!("{key}: must be between {least} and {most}")))
}

/// An origin as browsers send it (RFC 6454): compared byte by byte, so a path or a slash at the end would never match.
fn check_origin(origin: &str) -> Result<()> {
    let rest = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
    let exact =
        |rest: &str| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_graphic() && !b.is_ascii_uppercase() && !b"/*?#@".contains(&b));
    match rest.is_some_and(exact) {
        true => Ok(()),
        false => Err(Error::new(
            code::INVALID_CONFIG,
            format!("server.cors_origins: write {origin} as https://name or https://name:port, without a path or a *"),
        )),
    }
}

impl Config {
    /// The settings as they are in force after all layers.
    ///
    /// # Errors
    /// `invalid_config` naming the setting that cannot work.
    pub fn new(settings: Settings) -> Result<Self> {
        let server: ServerConfig = settings.section("server")?;
        if !server.public_url.is_empty() && !server.public_url.starts_with("http://") && !server.public_url.starts_with("https://") {
            return Err(Error::new(code::INVALID_CONFIG, "server.public_url: write it as https://name"));
        }
        within("server.max_connections", server.max_connections as u64, 1, 1_000_000)?;
        within("server.max_body_bytes", server.max_body_bytes as u64, 1, 1 << 30)?;
        within("server.header_timeout_s", server.header_timeout_s, 1, DAY)?;
        within("server.body_timeout_s", server.body_timeout_s, 1, DAY)?;
        within("server.write_timeout_s", server.write_timeout_s, 1, DAY)?;
        within("server.request_timeout_s", server.request_timeout_s, 1, DAY)?;
        within("server.stream_idle_s", server.stream_idle_s, 1, DAY)?;
        within("server.shutdown_grace_s", server.shutdown_grace_s, 0, DAY)?;
        let proxies = server.proxies()?;
        for origin in &server.cors_origins {
            check_origin(origin)?;
        }
        if server.roles.is_empty() {
            return Err(Error::new(code::INVALID_CONFIG, "server.roles: is empty; name api, worker, or both, or models"));
        }
        let limits: LimitsConfig = settings.section("limits")?;
        limits::validate(&limits)?;
        let jobs: JobsConfig = settings.section("jobs")?;
        within("jobs.workers", jobs.workers as u64, 1, 256)?;
        within("jobs.per_tenant", u64::from(jobs.per_tenant), 0, 10_000)?;
        let database: DatabaseConfig = settings.section("database")?;
        within("database.connections", u64::from(database.connections), 1, 1000)?;
        settings.section::<astrolabe_knowledge::KnowledgeConfig>("knowledge")?.validate()?;
        let retention: Retention = settings.section("retention")?;
        let oidc: OidcConfig = settings.section("oidc")?;
        oidc.validate()?;
        let identity: IdentityConfig = settings.section("identity")?;
        within("identity.key_days", u64::from(identity.key_days), 0, 3650)?;
        let audit = settings.section("audit")?;
        Ok(Self {
            server,
            proxies,
            limits,
            database,
            jobs,
            models: settings.section("models")?,
            usage: settings.section("usage")?,
            retention,
            audit,
            oidc,
            identity,
            settings,
        })
    }

    /// The layers of a process: defaults, `file`, environment, then `flags` as `(key, value, name of the flag)`.
    ///
    /// # Errors
    /// `invalid_config` naming what is wrong and where it came from.
    pub fn load(file: Option<&std::path::Path>, env: Vec<(String, String)>, flags: &[(String, String, String)]) -> Result<Self> {
        let models = models_folder(&env);
        let mut settings = Settings::defaults(SCHEMA)?;
        if let Some(file) = file {
            settings.add_file(file)?;
        }
        settings.add_env(env)?;
        for (key, value, origin) in flags {
            settings.set(key, value, origin)?;
        }
        let mut config = Self::new(settings)?;
        if config.models.dir.as_os_str().is_empty() {
            config.models.dir = models;
        }
        Ok(config)
    }
}

/// The environment of this process. A value that is no text is an error for our names, and nobody's business otherwise.
///
/// # Errors
/// `invalid_config` naming the variable.
pub fn environment() -> Result<Vec<(String, String)>> {
    std::env::vars_os()
        .filter_map(|(name, value)| {
            let name = name.into_string().ok()?;
            let ours = name.starts_with("ASTROLABE_") || SCHEMA.aliases.iter().any(|(alias, _)| *alias == name);
            match value.into_string() {
                Ok(value) => Some(Ok((name, value))),
                Err(_) if ours => {
                    Some(Err(Error::new(code::INVALID_CONFIG, format!("the environment variable {name} is not valid UTF-8"))))
                }
                Err(_) => None,
            }
        })
        .collect()
}

/// Which names of [`UNUSED_ENV`] are set.
pub fn unused(env: &[(String, String)]) -> Vec<&'static str> {
    UNUSED_ENV.iter().copied().filter(|name| env.iter().any(|(n, v)| n == name && !v.is_empty())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_a_complete_configuration_and_every_key_is_explained() {
        let config = Config::load(None, Vec::new(), &[]).unwrap();
        assert_eq!(config.server.listen, "127.0.0.1:8080");
        let mut comment = false;
        for line in SCHEMA.defaults.lines().filter(|l| !l.is_empty()) {
            assert!(comment || line.starts_with('#'), "no comment above {line}");
            comment = line.starts_with('#');
        }
    }

    #[test]
    fn a_limit_that_nothing_can_keep_is_refused_by_its_name() {
        for key in [
            "server.max_connections",
            "server.max_body_bytes",
            "server.header_timeout_s",
            "server.body_timeout_s",
            "server.write_timeout_s",
            "server.request_timeout_s",
            "server.stream_idle_s",
            "server.shutdown_grace_s",
            "jobs.workers",
            "database.connections",
            "knowledge.max_asks",
            "knowledge.embed_threads",
            "knowledge.max_upload_files",
            "knowledge.upload_hours",
            "knowledge.scan_minutes",
            "knowledge.max_document_bytes",
            "identity.key_days",
        ] {
            let may_be_none = ["server.shutdown_grace_s", "knowledge.embed_threads", "identity.key_days"].contains(&key);
            for value in ["9223372036854775807", "0", "-1"] {
                let loaded = Config::load(None, Vec::new(), &[(key.to_owned(), value.to_owned(), "--set".to_owned())]);
                match loaded {
                    Err(error) => assert!(error.message().starts_with(key), "{key} = {value}: {error}"),
                    Ok(_) => assert!(value == "0" && may_be_none, "{key} = {value} is accepted"),
                }
            }
        }
    }

    #[test]
    fn an_origin_that_could_never_match_and_a_proxy_that_is_no_network_are_refused() {
        let load = |key: &str, value: &str| Config::load(None, Vec::new(), &[(key.to_owned(), value.to_owned(), "--set".to_owned())]);
        for bad in ["*", "app.example.com", "https://app.example.com/", "https://*.example.com", "https://App.example.com", "null"] {
            let error = load("server.cors_origins", bad).err().unwrap();
            assert!(error.message().starts_with("server.cors_origins"), "{bad}: {error}");
        }
        assert_eq!(load("server.cors_origins", "https://app.example.com:8443").unwrap().server.origins().cross.len(), 1);
        assert!(load("server.trusted_proxies", "10.0.0.0/33").err().unwrap().message().starts_with("server.trusted_proxies"));
        assert!(load("limits.ask_per_minute", "4000000000").err().unwrap().message().starts_with("limits.ask_per_minute"));
    }

    #[test]
    fn the_names_that_operators_know_are_a_complete_choice_of_a_model() {
        let aws = [("AWS_ACCESS_KEY_ID", "AKID"), ("AWS_SECRET_ACCESS_KEY", "hunter2"), ("AWS_SESSION_TOKEN", "hunter2")];
        let bedrock = [("BEDROCK_MODEL", "amazon.nova-lite-v1:0"), ("BEDROCK_REGION", "eu-central-1")];
        let with_aws = [&bedrock[..], &aws[..]].concat();
        let with_key = [&bedrock[..1], &[("AWS_REGION", "eu-west-1"), ("AWS_BEARER_TOKEN_BEDROCK", "hunter2")]].concat();
        let all = [&[("MODEL_PROVIDER", "gemini"), ("OPENAI_API_KEY", "hunter2"), ("GOOGLE_API_KEY", "hunter2")], &with_aws[..]].concat();
        for (env, model) in [
            (&[("OPENAI_API_KEY", "hunter2")][..], "gpt-4.1-mini"),
            (&[("GOOGLE_API_KEY", "hunter2")], "gemini-2.5-flash"),
            (&[("VLLM_URL", "http://127.0.0.1:8000")], "default"),
            (&with_aws, "amazon.nova-lite-v1:0"),
            (&with_key, "amazon.nova-lite-v1:0"),
            (&all, "gemini-2.5-flash"),
            (&[], ""),
        ] {
            let config = Config::load(None, env.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect(), &[]).unwrap();
            let gateway: astrolabe_gateway::GatewayConfig = config.settings.section("model").unwrap();
            gateway.validate().unwrap();
            assert_eq!((gateway.model(), gateway.is_configured()), (model, !env.is_empty()), "{env:?}");
            assert!(!serde_json::to_string(&config.settings.show()).unwrap().contains("hunter2"), "{env:?}");
        }
    }

    #[test]
    fn the_names_that_operators_know_set_the_issuer_and_the_secret_which_is_not_shown() {
        let env = |pairs: &[(&str, &str)]| pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect::<Vec<_>>();
        let set = [
            ("OIDC_ISSUER", "https://id.example.com"),
            ("OIDC_AUDIENCE", "astrolabe, https://docs.example.com"),
            ("OIDC_JWKS_URL", "https://id.example.com/keys"),
            ("SECRET_KEY", "kX3v9Qm2Zt7Lr5Wp8Yc1Nf6Hb4Jd0SgA"),
        ];
        let config = Config::load(None, env(&set), &[]).unwrap();
        assert_eq!(config.oidc.audience, ["astrolabe", "https://docs.example.com"]);
        assert_eq!(config.oidc.jwks_url, "https://id.example.com/keys");
        assert!(!config.identity.secret_key.is_empty());
        assert!(!serde_json::to_string(&config.settings.show()).unwrap().contains("kX3v9Qm2"));
        for (unlike, key) in [
            (&[("OIDC_ISSUER", "http://id.example.com"), ("OIDC_AUDIENCE", "a")][..], "oidc.issuer"),
            (&[("OIDC_ISSUER", "https://id.example.com")], "oidc.audience"),
            (&[("OIDC_AUDIENCE", "a")], "oidc.issuer"),
        ] {
            let error = Config::load(None, env(unlike), &[]).err().unwrap();
            assert!(error.message().starts_with(key), "{error}");
        }
    }

    #[test]
    fn the_public_address_is_an_allowed_host_and_makes_cookies_secure() {
        let flags = [("server.public_url".to_owned(), "https://docs.example.com/".to_owned(), "--set".to_owned())];
        let config = Config::load(None, Vec::new(), &flags).unwrap();
        assert_eq!(config.server.hosts(), ["docs.example.com"]);
        assert!(config.server.is_https());
        assert_eq!(config.server.url("127.0.0.1:80".parse().unwrap()), "https://docs.example.com");
    }

    #[test]
    fn a_wildcard_address_is_printed_as_one_that_can_be_opened() {
        let config = Config::load(None, Vec::new(), &[]).unwrap();
        assert_eq!(config.server.url("0.0.0.0:9000".parse().unwrap()), "http://127.0.0.1:9000");
        assert_eq!(config.server.url("[::1]:9000".parse().unwrap()), "http://[::1]:9000");
    }
}
