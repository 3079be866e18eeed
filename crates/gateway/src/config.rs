//! The section `model` of the configuration.

use std::sync::Arc;

use astrolabe_kernel::{Clock, Error, Result, config::Secret, egress::Egress, error::code};
use serde::{Deserialize, Serialize};

use crate::{openai::OpenAi, provider::Provider};

/// The prefix of [`GatewayConfig::name`] that asks for the scripted provider; what follows is the path of its rules file.
pub const SCRIPTED: &str = "scripted/";

/// Which chat model to use and within what limits. The default has no model, which is a complete configuration: answers are then
/// extractive and plans come from keywords.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GatewayConfig {
    /// Address of an OpenAI-compatible API, up to and including its version, such as `http://127.0.0.1:11434/v1`. Empty: no model.
    pub base_url: String,
    /// Sent as bearer token when set.
    pub api_key: Secret,
    /// The model's name at the provider, or `scripted/FILE`.
    pub name: String,
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

impl Default for GatewayConfig {
    fn default() -> Self {
        Self {
            base_url: String::new(),
            api_key: Secret::default(),
            name: String::new(),
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
        !self.base_url.trim().is_empty()
    }

    /// The adapter for the configured provider; nothing when there is none.
    pub fn provider(&self, egress: &Egress, clock: &Clock) -> Option<Arc<dyn Provider>> {
        self.is_configured().then(|| Arc::new(OpenAi::new(&self.base_url, self.api_key.clone(), egress.clone(), clock.clone())) as _)
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
        if !self.is_configured() {
            return match self.name.trim() {
                "" => Ok(()),
                name if name.starts_with(SCRIPTED) => Ok(()),
                _ => bad("model.base_url: name the provider's address, such as https://api.openai.com/v1, beside model.name"),
            };
        }
        let url = self.base_url.trim();
        if !(url.starts_with("http://") || url.starts_with("https://")) {
            return bad("model.base_url: write it as http://host:port/v1");
        }
        if url.contains(['?', '#']) {
            return bad("model.base_url: end it with the API's version, without ? or #");
        }
        if self.name.trim().is_empty() {
            return bad("model.name: name the model that model.base_url serves");
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
            (GatewayConfig { name: " ".to_owned(), ..base.clone() }, "model.name"),
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
}
