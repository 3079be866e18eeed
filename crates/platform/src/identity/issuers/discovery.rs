//! The discovery document of an issuer (OpenID Connect Discovery 1.0, section 3).

use astrolabe_kernel::{Error, Result, error::code};
use serde::Deserialize;
use serde_json::Value;

use super::secure;
use crate::identity::tokens::parse_object;

/// What we read of the document; the rest is left alone.
#[derive(Debug, Clone, Deserialize)]
pub struct Discovery {
    /// The issuer, the same as configured.
    pub issuer: String,
    /// Where its keys are.
    pub jwks_uri: String,
    /// Where a sign-in begins.
    #[serde(default)]
    pub authorization_endpoint: String,
    /// Where a code becomes tokens.
    #[serde(default)]
    pub token_endpoint: String,
    /// Where a session at the issuer is ended; empty when it cannot be.
    #[serde(default)]
    pub end_session_endpoint: String,
    /// The methods of proof key for code exchange that it knows (RFC 8414, section 2).
    #[serde(default)]
    pub code_challenge_methods_supported: Vec<String>,
    /// How its token endpoint takes a client's proof.
    #[serde(default)]
    pub token_endpoint_auth_methods_supported: Vec<String>,
    /// Whether it names itself in the answer to a sign-in (RFC 9207).
    #[serde(default)]
    pub authorization_response_iss_parameter_supported: bool,
}

impl Discovery {
    /// Reads the document of an issuer.
    ///
    /// # Errors
    /// `upstream_failed` when it is of another issuer (RFC 8414, section 3.3), is no such document, or leads to plain http.
    pub(super) fn parse(bytes: &[u8], issuer: &str) -> Result<Self> {
        let wrong = |what: &str| Error::new(code::UPSTREAM_FAILED, format!("the discovery document of the OpenID Connect issuer {what}"));
        let map = parse_object(bytes).map_err(wrong)?;
        if map.get("issuer").and_then(Value::as_str) != Some(issuer) {
            return Err(wrong("names another issuer than oidc.issuer; they must be the same, character by character"));
        }
        let found: Self = serde_json::from_value(Value::Object(map)).map_err(|e| wrong("lacks what it must have").with_internal(e))?;
        let links = [
            ("jwks_uri", &found.jwks_uri),
            ("authorization_endpoint", &found.authorization_endpoint),
            ("token_endpoint", &found.token_endpoint),
            ("end_session_endpoint", &found.end_session_endpoint),
        ];
        for (name, url) in links {
            if name == "jwks_uri" || !url.is_empty() {
                secure(name, url).map_err(|_| wrong(&format!("has a {name} that is not https")))?;
            }
        }
        Ok(found)
    }
}
