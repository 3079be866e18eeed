//! The section `model` of the configuration.

use std::sync::Arc;

use astrolabe_kernel::{Clock, Error, Result, config::Secret, egress::Egress, error::code};
use serde::{Deserialize, Serialize};

use crate::{
    bedrock::{Bedrock, Credentials, sign::Keys},
    gemini::Gemini,
    openai::OpenAi,
    provider::Provider,
};

/// OpenAI's public address.
const OPENAI: &str = "https://api.openai.com/v1";

/// The models that are asked when none is named: the small ones, which cost little and answer soon.
const OPENAI_MODEL: &str = "gpt-4.1-mini";
const GEMINI_MODEL: &str = "gemini-2.5-flash";

/// The prefix of [`GatewayConfig::name`] that asks for the scripted provider; what follows is the path of its rules file.
pub const SCRIPTED: &str = "scripted/";

/// Which chat model to use and within what limits. The default has no model, which is a complete configuration: answers are then
/// extractive and plans come from keywords.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GatewayConfig {
    /// `openai`, `vllm`, `bedrock` or `gemini`. Empty: what the other settings say, see [`GatewayConfig::kind`].
    pub provider: String,
    /// The provider's address, up to and including its API's version, such as `http://127.0.0.1:11434/v1`. Empty: its public address.
    pub base_url: String,
    /// The provider's key: OpenAI's, or whichever when `provider` is named.
    pub api_key: Secret,
    /// The model's name at the provider, or `scripted/FILE`. Empty: the provider's usual one.
    pub name: String,
    /// Google's key, before `api_key`.
    pub google_api_key: Secret,
    /// The region in which Bedrock is asked, before `aws_region`.
    pub bedrock_region: String,
    /// The model or inference profile at Bedrock, when `name` says nothing.
    pub bedrock_model: String,
    /// A key of Bedrock itself, instead of AWS's keys and before `api_key`.
    pub bedrock_api_key: Secret,
    /// The region of everything at AWS.
    pub aws_region: String,
    /// Which key of AWS signs.
    pub aws_access_key_id: String,
    /// That key.
    pub aws_secret_access_key: Secret,
    /// Belongs to a key that expires.
    pub aws_session_token: Secret,
    /// Seconds that a whole reply may take.
    pub timeout_s: u64,
    /// Seconds until the provider has to send its first event. Long prompts on a CPU need them.
    pub first_token_timeout_s: u64,
    /// Seconds of silence after which a stream that has begun counts as dead.
    pub idle_timeout_s: u64,
    /// Tokens a reply may have; a request may ask for fewer. 0 says nothing to the provider: reasoning models refuse the parameter.
    pub max_tokens: u32,
    /// 0 to 2; what a request without a wish gets. Below 0 says nothing to the provider: reasoning models refuse the parameter.
    pub temperature: f32,
    /// Replies in flight at once, at most; fewer while the provider complains.
    pub concurrency: usize,
    /// Callers that wait for one of those; further ones are refused with `overloaded`.
    pub queue: usize,
    /// A file with further providers and aliases, read again when it changes ([`crate::routing`]). Empty: none.
    pub routes_file: String,
}

/// The wire formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// OpenAI itself.
    OpenAi,
    /// Another server that speaks OpenAI's format.
    Compatible,
    /// AWS Bedrock.
    Bedrock,
    /// Google Gemini.
    Gemini,
}

impl Default for GatewayConfig {
    fn default() -> Self {
        Self {
            provider: String::new(),
            base_url: String::new(),
            api_key: Secret::default(),
            name: String::new(),
            google_api_key: Secret::default(),
            bedrock_region: String::new(),
            bedrock_model: String::new(),
            bedrock_api_key: Secret::default(),
            aws_region: String::new(),
            aws_access_key_id: String::new(),
            aws_secret_access_key: Secret::default(),
            aws_session_token: Secret::default(),
            timeout_s: 180,
            first_token_timeout_s: 60,
            idle_timeout_s: 30,
            max_tokens: 0,
            temperature: -1.0,
            concurrency: 32,
            queue: 128,
            routes_file: String::new(),
        }
    }
}

impl GatewayConfig {
    /// Whether a chat model is configured.
    pub fn is_configured(&self) -> bool {
        self.kind().is_some()
    }

    /// Which format is spoken: the named one; else that of an address; else that of the first key or model that is there, OpenAI's before
    /// Google's before Bedrock's. Nothing when nothing is configured, or a scripted model has no address yet.
    pub fn kind(&self) -> Option<Kind> {
        let is_set = |text: &str| !text.trim().is_empty();
        if self.scripted_file().is_some() && !is_set(&self.base_url) {
            return None;
        }
        match self.provider.trim().to_ascii_lowercase().as_str() {
            "openai" if is_set(&self.base_url) => Some(Kind::Compatible),
            "openai" => Some(Kind::OpenAi),
            "vllm" | "ollama" | "llama.cpp" => Some(Kind::Compatible),
            "bedrock" => Some(Kind::Bedrock),
            "gemini" | "google" => Some(Kind::Gemini),
            _ if is_set(&self.base_url) => Some(Kind::Compatible),
            _ if !self.api_key.is_empty() => Some(Kind::OpenAi),
            _ if !self.google_api_key.is_empty() => Some(Kind::Gemini),
            _ if is_set(&self.bedrock_model) => Some(Kind::Bedrock),
            _ => None,
        }
    }

    /// The model to ask for: the named one, else the provider's usual one; `default` for a server that is asked for its only one. Empty
    /// without a provider.
    pub fn model(&self) -> &str {
        let (name, bedrock) = (self.name.trim(), self.bedrock_model.trim());
        match self.kind() {
            _ if !name.is_empty() => name,
            None => "",
            Some(Kind::OpenAi) => OPENAI_MODEL,
            Some(Kind::Compatible) => crate::openai::ONLY,
            Some(Kind::Bedrock) => bedrock,
            Some(Kind::Gemini) => GEMINI_MODEL,
        }
    }

    /// The adapter for the configured provider; nothing when there is none.
    pub fn provider(&self, egress: &Egress, clock: &Clock) -> Option<Arc<dyn Provider>> {
        let (egress, clock, base_url) = (egress.clone(), clock.clone(), self.base_url.trim());
        Some(match self.kind()? {
            Kind::OpenAi if base_url.is_empty() => Arc::new(OpenAi::new(OPENAI, self.api_key.clone(), egress, clock)),
            Kind::OpenAi | Kind::Compatible => Arc::new(OpenAi::new(base_url, self.api_key.clone(), egress, clock)),
            Kind::Bedrock => Arc::new(Bedrock::new(base_url, self.region(), self.aws_credentials(), egress, clock)),
            Kind::Gemini => {
                let key = if self.google_api_key.is_empty() { &self.api_key } else { &self.google_api_key };
                Arc::new(Gemini::new(base_url, key.clone(), egress, clock))
            }
        })
    }

    fn region(&self) -> &str {
        match self.bedrock_region.trim() {
            "" => self.aws_region.trim(),
            region => region,
        }
    }

    fn has_aws_keys(&self) -> bool {
        !self.aws_access_key_id.trim().is_empty() && !self.aws_secret_access_key.is_empty()
    }

    /// A key of Bedrock before AWS's keys before a key that may be another provider's.
    fn aws_credentials(&self) -> Credentials {
        if !self.bedrock_api_key.is_empty() {
            return Credentials::Bearer(self.bedrock_api_key.clone());
        }
        if self.has_aws_keys() {
            return Credentials::Keys(Keys {
                access_key_id: self.aws_access_key_id.trim().to_owned(),
                secret_access_key: self.aws_secret_access_key.clone(),
                session_token: self.aws_session_token.clone(),
            });
        }
        Credentials::Bearer(self.api_key.clone())
    }

    /// Whether two settings are the same, secrets included.
    pub fn is_same(&self, other: &Self) -> bool {
        let secrets = |c: &Self| {
            [&c.api_key, &c.google_api_key, &c.bedrock_api_key, &c.aws_secret_access_key, &c.aws_session_token]
                .map(|s| s.expose().to_owned())
        };
        format!("{self:?}") == format!("{other:?}") && secrets(self) == secrets(other)
    }

    /// The path of the rules file when the scripted provider is asked for.
    pub fn scripted_file(&self) -> Option<&str> {
        self.name.trim().strip_prefix(SCRIPTED).filter(|file| !file.is_empty())
    }

    /// Says which setting cannot work.
    ///
    /// # Errors
    /// `invalid_config`.
    pub fn validate(&self) -> Result<()> {
        let bad = |what: &str| Err(Error::new(code::INVALID_CONFIG, what));
        let provider = self.provider.trim().to_ascii_lowercase();
        if !["", "openai", "vllm", "ollama", "llama.cpp", "bedrock", "gemini", "google"].contains(&provider.as_str()) {
            return bad("model.provider: must be openai, vllm, bedrock or gemini");
        }
        let Some(kind) = self.kind() else {
            return match self.name.trim() {
                "" => Ok(()),
                name if name.starts_with(SCRIPTED) => Ok(()),
                _ => bad("model.base_url: name the provider's address, such as https://api.openai.com/v1, beside model.name"),
            };
        };
        let url = self.base_url.trim();
        if url.is_empty() && kind == Kind::Compatible {
            return bad("model.base_url: name the server's address, such as http://127.0.0.1:8000/v1");
        }
        if !(url.is_empty() || url.starts_with("http://") || url.starts_with("https://")) {
            return bad("model.base_url: write it as http://host:port/v1");
        }
        if url.contains(['?', '#']) {
            return bad("model.base_url: end it with the API's version, without ? or #");
        }
        match kind {
            Kind::OpenAi if self.api_key.is_empty() => return bad("model.api_key: set OpenAI's key, such as with OPENAI_API_KEY"),
            Kind::Gemini if self.google_api_key.is_empty() && self.api_key.is_empty() && url.is_empty() => {
                return bad("model.google_api_key: set Google's key, such as with GOOGLE_API_KEY");
            }
            Kind::Bedrock if self.model().is_empty() => return bad("model.bedrock_model: name the model, such as with BEDROCK_MODEL"),
            Kind::Bedrock if !is_region(self.region()) => {
                return bad("model.bedrock_region: name the region as AWS does, such as eu-central-1, or set BEDROCK_REGION");
            }
            Kind::Bedrock if !self.has_aws_keys() && self.bedrock_api_key.is_empty() && self.api_key.is_empty() => {
                return bad(
                    "model.aws_access_key_id: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_BEARER_TOKEN_BEDROCK, for Bedrock",
                );
            }
            _ => {}
        }
        if self.temperature.is_nan() || self.temperature > 2.0 {
            return bad("model.temperature: must be between 0 and 2, or -1 to leave it to the model");
        }
        if !(1..=100_000).contains(&self.concurrency) {
            return bad("model.concurrency: must be between 1 and 100000");
        }
        if self.queue > 100_000 {
            return bad("model.queue: must be between 0 and 100000");
        }
        if [self.timeout_s, self.first_token_timeout_s, self.idle_timeout_s].iter().any(|s| !(1..=86_400).contains(s)) {
            return bad("model.timeout_s, model.first_token_timeout_s and model.idle_timeout_s: must be between 1 and 86400");
        }
        Ok(())
    }
}

/// Whether a text can be a region of AWS; it becomes part of an address.
fn is_region(text: &str) -> bool {
    (5..=30).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_model_is_a_valid_configuration() {
        GatewayConfig::default().validate().unwrap();
        assert!(!GatewayConfig::default().is_configured());
    }

    #[test]
    fn a_setting_that_cannot_work_is_named() {
        let base = GatewayConfig { base_url: "http://127.0.0.1:1/v1".to_owned(), name: "m".to_owned(), ..GatewayConfig::default() };
        base.validate().unwrap();
        for (config, key) in [
            (GatewayConfig { base_url: String::new(), ..base.clone() }, "model.base_url"),
            (GatewayConfig { base_url: "127.0.0.1:1".to_owned(), ..base.clone() }, "model.base_url"),
            (GatewayConfig { base_url: "http://h/v1?key=x".to_owned(), ..base.clone() }, "model.base_url"),
            (GatewayConfig { provider: "claude".to_owned(), ..base.clone() }, "model.provider"),
            (GatewayConfig { temperature: f32::NAN, ..base.clone() }, "model.temperature"),
            (GatewayConfig { temperature: 2.5, ..base.clone() }, "model.temperature"),
            (GatewayConfig { concurrency: 0, ..base.clone() }, "model.concurrency"),
            (GatewayConfig { concurrency: usize::MAX, ..base.clone() }, "model.concurrency"),
            (GatewayConfig { timeout_s: 0, ..base.clone() }, "model.timeout_s"),
            (GatewayConfig { timeout_s: u64::MAX, ..base }, "model.timeout_s"),
        ] {
            let error = config.validate().unwrap_err();
            assert!(error.message().starts_with(key), "{error}");
        }
    }

    fn with(pairs: &[(&str, &str)]) -> GatewayConfig {
        let map: serde_json::Map<_, _> = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).into())).collect();
        serde_json::from_value(map.into()).unwrap()
    }

    #[test]
    fn a_key_or_an_address_alone_is_a_complete_configuration() {
        for (pairs, kind, model) in [
            (&[("api_key", "k")][..], Kind::OpenAi, "gpt-4.1-mini"),
            (&[("provider", "openai"), ("api_key", "k"), ("google_api_key", "g")], Kind::OpenAi, "gpt-4.1-mini"),
            (&[("google_api_key", "g")], Kind::Gemini, "gemini-2.5-flash"),
            (&[("provider", "Gemini"), ("api_key", "k"), ("name", "gemini-x")], Kind::Gemini, "gemini-x"),
            (&[("base_url", "http://h:8000")], Kind::Compatible, "default"),
            (&[("provider", "vllm"), ("base_url", "http://h:8000"), ("google_api_key", "g")], Kind::Compatible, "default"),
            (
                &[
                    ("bedrock_model", "amazon.nova"),
                    ("bedrock_region", "eu-west-1"),
                    ("aws_access_key_id", "a"),
                    ("aws_secret_access_key", "s"),
                ],
                Kind::Bedrock,
                "amazon.nova",
            ),
            (&[("provider", "bedrock"), ("bedrock_model", "m"), ("aws_region", "eu-west-1"), ("bedrock_api_key", "b")], Kind::Bedrock, "m"),
        ] {
            let config = with(pairs);
            config.validate().unwrap();
            assert_eq!((config.kind(), config.model()), (Some(kind), model), "{pairs:?}");
        }
    }

    #[test]
    fn a_provider_that_lacks_something_says_what_to_set() {
        for (pairs, key) in [
            (&[("provider", "openai")][..], "model.api_key"),
            (&[("provider", "vllm")], "model.base_url"),
            (&[("provider", "gemini")], "model.google_api_key"),
            (&[("provider", "bedrock")], "model.bedrock_model"),
            (&[("bedrock_model", "m")], "model.bedrock_region"),
            (&[("bedrock_model", "m"), ("aws_region", "evil.example/")], "model.bedrock_region"),
            (&[("bedrock_model", "m"), ("aws_region", "eu-west-1"), ("aws_access_key_id", "a")], "model.aws_access_key_id"),
        ] {
            let error = with(pairs).validate().unwrap_err();
            assert!(error.message().starts_with(key), "{error}");
        }
    }

    #[test]
    fn secrets_do_not_show_and_still_make_a_difference() {
        let names = ["api_key", "google_api_key", "bedrock_api_key", "aws_secret_access_key", "aws_session_token"];
        for name in names {
            let config = with(&[(name, "hunter2")]);
            assert!(!format!("{config:?}").contains("hunter2"), "{name}");
            assert!(config.is_same(&config) && !config.is_same(&with(&[(name, "hunter3")])), "{name}");
        }
    }
}
