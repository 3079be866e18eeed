//! The file of routes: which providers there are, and which of their models stand behind which alias.
//!
//! ```toml
//! [providers.openai]                 # the keys of [model], without `name`
//! base_url = "https://api.openai.com/v1"
//! api_key = "file:/run/secrets/openai"
//!
//! [aliases.default]
//! sticky = true                      # one conversation stays with one route
//! [[aliases.default.routes]]
//! provider = "openai"
//! model = "gpt-4.1-mini"
//! weight = 3                         # beside routes of the same order
//! order = 0                          # lower first; higher ones are fallbacks
//! max_tokens = 4096                  # at most, and for requests that say nothing
//! temperature = [0.0, 1.0]           # what is outside is moved to the edge
//! top_p = [0.1, 1.0]
//! fallback_on = ["timeout", "overloaded", "server_error", "context_overflow", "guardrail"]
//! ```

use std::{collections::BTreeMap, path::Path};

use astrolabe_kernel::{Error, Result, config::Secret, error::code};
use serde::Deserialize;

use crate::{chat::ChatRequest, config::GatewayConfig, error::ModelGatewayError};

/// Bytes of the file.
const MAX_FILE: u64 = 1 << 20;

/// Aliases of a file, and routes of an alias.
const MAX_ALIASES: usize = 1_000;
const MAX_ROUTES: usize = 32;

/// What the file says.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RoutesFile {
    #[serde(default)]
    pub(crate) providers: BTreeMap<String, GatewayConfig>,
    #[serde(default)]
    pub(crate) aliases: BTreeMap<String, AliasEntry>,
}

/// An alias.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AliasEntry {
    #[serde(default = "yes")]
    pub(crate) sticky: bool,
    pub(crate) routes: Vec<RouteEntry>,
}

fn yes() -> bool {
    true
}

/// A route.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RouteEntry {
    pub(crate) provider: String,
    pub(crate) model: String,
    #[serde(default = "one")]
    pub(crate) weight: u32,
    #[serde(default)]
    pub(crate) order: u32,
    #[serde(default = "Reason::all")]
    pub(crate) fallback_on: Vec<Reason>,
    #[serde(flatten)]
    pub(crate) parameters: Parameters,
}

fn one() -> u32 {
    1
}

/// Why the next route is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Reason {
    /// The model was too slow.
    Timeout,
    /// It has too much to do (429, 503), or is left alone because it failed.
    Overloaded,
    /// It failed, broke off before the first byte, or broke its protocol.
    ServerError,
    /// The conversation is too long for it.
    ContextOverflow,
    /// Its provider's filter refused what was asked, or a rule of ours what it answered.
    Guardrail,
}

impl Reason {
    fn all() -> Vec<Self> {
        vec![Self::Timeout, Self::Overloaded, Self::ServerError, Self::ContextOverflow, Self::Guardrail]
    }

    /// The reason in an error; nothing when no other route could do better.
    pub(crate) fn of(error: &ModelGatewayError) -> Option<Self> {
        match error {
            ModelGatewayError::ProviderTimeout { .. } => Some(Self::Timeout),
            ModelGatewayError::ProviderOverloaded { .. } | ModelGatewayError::Unavailable { .. } => Some(Self::Overloaded),
            ModelGatewayError::ProviderServerError { started: false, .. } | ModelGatewayError::Protocol { .. } => Some(Self::ServerError),
            ModelGatewayError::ContextOverflow { .. } => Some(Self::ContextOverflow),
            ModelGatewayError::Filtered { .. } | ModelGatewayError::Blocked(_) => Some(Self::Guardrail),
            _ => None,
        }
    }
}

/// What a route makes of the parameters of a request.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub(crate) struct Parameters {
    /// The most, and the value of requests without one.
    #[serde(default)]
    pub(crate) max_tokens: Option<u32>,
    /// Least and most.
    #[serde(default)]
    pub(crate) temperature: Option<(f32, f32)>,
    /// The value of requests without one.
    #[serde(default)]
    pub(crate) default_temperature: Option<f32>,
    /// Least and most.
    #[serde(default)]
    pub(crate) top_p: Option<(f32, f32)>,
}

impl Parameters {
    pub(crate) fn max_tokens(&self, wish: Option<u32>) -> Option<u32> {
        match self.max_tokens {
            Some(most) => Some(wish.unwrap_or(most).clamp(1, most)),
            None => wish,
        }
    }

    pub(crate) fn temperature(&self, wish: Option<f32>) -> Option<f32> {
        within(self.temperature, wish.filter(|t| !t.is_nan()).or(self.default_temperature))
    }

    pub(crate) fn top_p(&self, wish: Option<f32>) -> Option<f32> {
        within(self.top_p, wish.filter(|p| !p.is_nan()))
    }

    /// Whether the request changes nothing about what is sent.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Moves the parameters of a request into the route's limits.
    pub(crate) fn clamp(&self, request: &mut ChatRequest) {
        request.max_tokens = self.max_tokens(request.max_tokens);
        request.temperature = self.temperature(request.temperature);
        request.top_p = self.top_p(request.top_p);
    }
}

fn within(limits: Option<(f32, f32)>, wish: Option<f32>) -> Option<f32> {
    match limits {
        Some((least, most)) => wish.map(|w| w.clamp(least, most)),
        None => wish,
    }
}

impl RoutesFile {
    /// Reads a file and the secrets that it names.
    ///
    /// # Errors
    /// `invalid_config` naming what cannot work.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let bad = |what: String| Error::new(code::INVALID_CONFIG, format!("model.routes_file: {what}"));
        let shown = path.display();
        let size = std::fs::metadata(path).map_err(|e| bad(format!("{shown} cannot be read")).with_internal(e))?.len();
        if size > MAX_FILE {
            return Err(bad(format!("{shown} is larger than 1 MiB")));
        }
        let text = std::fs::read_to_string(path).map_err(|e| bad(format!("{shown} cannot be read")).with_internal(e))?;
        let mut file = Self::parse(&text).map_err(|e| bad(format!("{shown}: {}", e.message())))?;
        for (name, provider) in &mut file.providers {
            let secrets = [
                ("api_key", &mut provider.api_key),
                ("google_api_key", &mut provider.google_api_key),
                ("bedrock_api_key", &mut provider.bedrock_api_key),
                ("aws_secret_access_key", &mut provider.aws_secret_access_key),
            ];
            for (key, secret) in secrets {
                if let Some(file) = secret.expose().strip_prefix("file:").map(str::to_owned) {
                    let text = std::fs::read_to_string(&file)
                        .map_err(|e| bad(format!("{shown}: providers.{name}.{key}: {file} cannot be read")).with_internal(e))?;
                    *secret = Secret::new(text.trim());
                }
            }
        }
        Ok(file)
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    /// `invalid_config` naming what cannot work.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        // The parser's message quotes the line, and a line may hold a key.
        let mut file: Self = toml::from_str(text).map_err(|e| {
            let line = e.span().map_or(0, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
            Error::new(code::INVALID_CONFIG, format!("line {line}: {}", e.message()))
        })?;
        file.check()?;
        Ok(file)
    }

    fn check(&mut self) -> Result<()> {
        let bad = |what: String| Err(Error::new(code::INVALID_CONFIG, what));
        for (name, provider) in &mut self.providers {
            if !provider.name.is_empty() {
                return bad(format!("providers.{name}.name: routes name the model; leave it out"));
            }
            if !provider.is_configured() {
                return bad(format!("providers.{name}.base_url: say where the provider is, or which one in provider"));
            }
            provider.name = "-".to_owned();
            provider.validate().or_else(|e| bad(format!("providers.{name}: {}", e.message())))?;
        }
        if self.aliases.len() > MAX_ALIASES {
            return bad(format!("aliases: at most {MAX_ALIASES}"));
        }
        for (name, alias) in &self.aliases {
            let named = !name.is_empty() && name.len() <= 200 && name.chars().all(|c| c.is_ascii_graphic());
            if !named {
                return bad(format!("aliases.{name}: a name has 1 to 200 visible ASCII characters"));
            }
            if !(1..=MAX_ROUTES).contains(&alias.routes.len()) {
                return bad(format!("aliases.{name}.routes: between 1 and {MAX_ROUTES}"));
            }
            for (i, route) in alias.routes.iter().enumerate() {
                let at = |what: &str| bad(format!("aliases.{name}.routes[{i}].{what}"));
                if !self.providers.contains_key(&route.provider) {
                    return at(&format!("provider: there is no providers.{}", route.provider));
                }
                if route.model.is_empty() || route.model.len() > 200 || route.model.contains(char::is_control) {
                    return at("model: name the model at the provider");
                }
                if !(1..=1_000_000).contains(&route.weight) {
                    return at("weight: between 1 and 1000000");
                }
                let Parameters { max_tokens, temperature, default_temperature, top_p } = &route.parameters;
                if *max_tokens == Some(0) {
                    return at("max_tokens: at least 1");
                }
                let ranges = [("temperature", temperature, 2.0), ("top_p", top_p, 1.0)];
                for (key, range, most) in ranges {
                    if range.is_some_and(|(low, high)| !(0.0 <= low && low <= high && high <= most)) {
                        return at(&format!("{key}: [least, most] within 0 and {most}"));
                    }
                }
                if default_temperature.is_some_and(|t| !(0.0..=2.0).contains(&t)) {
                    return at("default_temperature: between 0 and 2");
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROVIDER: &str = "[providers.p]\nbase_url = \"http://127.0.0.1:1/v1\"\n";

    fn alias(route: &str) -> String {
        format!("{PROVIDER}[aliases.a]\nroutes = [{{ {route} }}]\n")
    }

    #[test]
    fn the_example_is_a_file_and_what_it_leaves_out_has_a_default() {
        let file = RoutesFile::parse(&alias("provider = \"p\", model = \"m\"")).unwrap();
        let alias = &file.aliases["a"];
        assert!(alias.sticky && alias.routes[0].weight == 1 && alias.routes[0].fallback_on.len() == 5);
        assert!(alias.routes[0].parameters.is_empty());
        assert!(RoutesFile::parse("").unwrap().aliases.is_empty());
    }

    #[test]
    fn what_cannot_work_is_named() {
        for (text, named) in [
            (alias("provider = \"q\", model = \"m\""), "aliases.a.routes[0].provider"),
            (alias("provider = \"p\", model = \"\""), "aliases.a.routes[0].model"),
            (alias("provider = \"p\", model = \"m\", weight = 0"), "aliases.a.routes[0].weight"),
            (alias("provider = \"p\", model = \"m\", max_tokens = 0"), "aliases.a.routes[0].max_tokens"),
            (alias("provider = \"p\", model = \"m\", temperature = [1.0, 0.5]"), "aliases.a.routes[0].temperature"),
            (alias("provider = \"p\", model = \"m\", top_p = [0.0, 1.5]"), "aliases.a.routes[0].top_p"),
            (alias("provider = \"p\", model = \"m\", wieght = 1"), "wieght"),
            (alias("provider = \"p\", model = \"m\", fallback_on = [\"rain\"]"), "rain"),
            (format!("{PROVIDER}[aliases.a]\nroutes = []\n"), "aliases.a.routes"),
            (format!("{PROVIDER}[aliases.\"a b\"]\nroutes = []\n"), "aliases.a b"),
            ("[providers.p]\n".to_owned(), "providers.p.base_url"),
            (format!("{PROVIDER}name = \"m\"\n"), "providers.p.name"),
            (format!("{PROVIDER}concurrency = 0\n"), "providers.p: model.concurrency"),
            ("[providers.p]\napi_key = sk-hunter2\n".to_owned(), "line 2"),
        ] {
            let error = RoutesFile::parse(&text).unwrap_err();
            assert!(error.message().contains(named), "{named}: {error}");
            assert!(!format!("{error:?}").contains("hunter2"));
        }
    }

    #[test]
    fn parameters_are_moved_into_the_limits() {
        let parameters =
            Parameters { max_tokens: Some(100), temperature: Some((0.2, 1.0)), default_temperature: Some(0.5), top_p: Some((0.1, 0.9)) };
        for (wish, made) in [(None, 100), (Some(7), 7), (Some(0), 1), (Some(1_000), 100)] {
            assert_eq!(parameters.max_tokens(wish), Some(made));
        }
        for (wish, made) in [(None, 0.5), (Some(0.0), 0.2), (Some(2.0), 1.0), (Some(f32::NAN), 0.5)] {
            assert_eq!(parameters.temperature(wish), Some(made));
        }
        assert_eq!((parameters.top_p(None), parameters.top_p(Some(1.0))), (None, Some(0.9)));
        assert_eq!(Parameters::default().temperature(Some(1.7)), Some(1.7));
    }
}
