//! Who a token speaks of: the one verifier, the issuer outside, and our own keys.
//!
//! [`tokens`] verifies and knows neither network nor database. [`issuers`] fetches and keeps the keys of the issuer that the section `oidc` names.
//! [`keys`] has the keys of the built-in issuer, and signs. [`Identity`] chooses between the two by `iss`.

pub mod config;
pub mod issuers;
pub mod keys;
#[cfg(test)]
mod testing;
pub mod tokens;

use std::{path::PathBuf, sync::Arc};

use astrolabe_kernel::{Error, Kernel, Result, error::code};
use astrolabe_kernel::{http::Routes, routes};

use self::{
    config::{IdentityConfig, OidcConfig},
    issuers::Issuer,
    keys::Keys,
    tokens::Claims,
};

/// Both issuers of an installation; clones are the same.
#[derive(Clone)]
pub struct Identity(Arc<Inner>);

struct Inner {
    issuer: Option<Issuer>,
    keys: Keys,
    public_url: String,
}

/// Who vouches for the claims of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// This server itself.
    BuiltIn,
    /// The issuer of the section `oidc`.
    Outside,
}

impl Identity {
    /// The issuers that the settings name. Nothing is read or fetched yet. `secret_file` holds the installation's secret when no setting does.
    ///
    /// # Errors
    /// `invalid_config` naming the setting of the section `oidc` that cannot work.
    pub fn new(kernel: &Kernel, oidc: OidcConfig, config: IdentityConfig, public_url: &str, secret_file: PathBuf) -> Result<Self> {
        let public_url = public_url.trim_end_matches('/').to_owned();
        let keys = Keys::new(kernel.clone(), config, &public_url, secret_file);
        if oidc.issuer == keys.issuer() {
            return Err(Error::new(
                code::INVALID_CONFIG,
                "oidc.issuer: is this server itself, which needs no entry; name another or leave it empty",
            ));
        }
        Ok(Self(Arc::new(Inner { issuer: Issuer::new(kernel.clone(), oidc)?, keys, public_url })))
    }

    /// The issuer outside, when there is one.
    pub fn issuer(&self) -> Option<&Issuer> {
        self.0.issuer.as_ref()
    }

    /// Our own keys.
    pub fn keys(&self) -> &Keys {
        &self.0.keys
    }

    /// The configured public address without a slash at its end; empty when there is none.
    pub fn public_url(&self) -> &str {
        &self.0.public_url
    }

    /// Verifies an access token of either issuer. The token's own word chooses whose keys are tried, and is then proven by them.
    ///
    /// # Errors
    /// Those of [`tokens::Verifier::verify`]; `upstream_failed` or `upstream_timeout` when the keys of the issuer outside cannot be had.
    pub async fn verify(&self, token: &str) -> Result<(Claims, Origin)> {
        let said = tokens::look(token)?.issuer;
        let said = said.as_deref();
        if said == Some(self.keys().issuer()) {
            return Ok((self.keys().verify(token).await?, Origin::BuiltIn));
        }
        match self.issuer() {
            Some(issuer) if said == Some(issuer.config().issuer.as_str()) => Ok((issuer.verify(token).await?, Origin::Outside)),
            _ => Err(Error::new(code::INVALID_ISSUER, "the token's `iss` is not an issuer that is trusted here")),
        }
    }
}

/// The open endpoints: keys and metadata.
pub fn public_routes(identity: Identity) -> Routes {
    Routes::new().routes(routes!(keys::routes::get_jwks)).routes(routes!(keys::routes::get_protected_resource)).with_state(identity)
}
