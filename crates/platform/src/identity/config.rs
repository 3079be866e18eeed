//! The sections `oidc` and `identity`.

use astrolabe_kernel::{Error, Result, Role, config::Secret, error::code};
use serde::Deserialize;

/// The section `oidc`: the issuer outside that is trusted.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OidcConfig {
    /// What `iss` has to be, and where the discovery document is. Empty: no issuer outside.
    pub issuer: String,
    /// What `aud` has to contain: one of these.
    pub audience: Vec<String>,
    /// Where the keys are, for issuers without a discovery document.
    pub jwks_url: String,
    /// A further claim with roles: a name, or a path with dots.
    pub roles_claim: String,
    /// The claim that names the tenant.
    pub tenant_claim: String,
    /// The issuer's name on the sign-in page.
    pub name: String,
    /// How the issuer knows the page.
    pub client_id: String,
    /// What proves it.
    pub client_secret: Secret,
    /// What the page asks for when somebody signs in.
    pub scopes: Vec<String>,
    /// The role of users to whom no claim gives one. Empty: they are refused.
    pub default_role: String,
}

fn bad(what: &str) -> Error {
    Error::new(code::INVALID_CONFIG, what)
}

impl OidcConfig {
    /// Whether there is an issuer outside.
    pub fn is_configured(&self) -> bool {
        !self.issuer.is_empty()
    }

    /// # Errors
    /// `invalid_config` naming the setting and what to write.
    pub fn validate(&self) -> Result<()> {
        if !self.is_configured() {
            let set = [("oidc.jwks_url", self.jwks_url.is_empty()), ("oidc.client_id", self.client_id.is_empty())];
            return match set.into_iter().find(|(_, empty)| !empty) {
                Some((key, _)) => Err(bad(&format!("oidc.issuer: is empty although {key} is set; write what the issuer puts into `iss`"))),
                None if self.audience.is_empty() => Ok(()),
                None => Err(bad("oidc.issuer: is empty although oidc.audience is set; write what the issuer puts into `iss`")),
            };
        }
        secure("oidc.issuer", &self.issuer)?;
        if self.issuer.contains(['?', '#']) {
            return Err(bad("oidc.issuer: is an address without `?` and `#` (OpenID Connect Discovery, section 3)"));
        }
        if !self.jwks_url.is_empty() {
            secure("oidc.jwks_url", &self.jwks_url)?;
        }
        if self.audience.iter().all(String::is_empty) {
            return Err(bad(
                "oidc.audience: name what the issuer puts into `aud` for this server; without it, tokens for others would open it",
            ));
        }
        if !self.client_id.is_empty() && !self.scopes.iter().any(|s| s == "openid") {
            return Err(bad("oidc.scopes: must have openid among them, without which the issuer does not say who signed in"));
        }
        if !self.default_role.is_empty() && role(&self.default_role).is_none() {
            return Err(bad("oidc.default_role: must be empty or one of viewer, editor, tenant_admin, admin"));
        }
        Ok(())
    }

    /// The role of users to whom no claim gives one.
    pub fn default_role(&self) -> Option<Role> {
        role(&self.default_role)
    }
}

fn role(name: &str) -> Option<Role> {
    [Role::Viewer, Role::Editor, Role::TenantAdmin, Role::Admin].into_iter().find(|r| r.as_str() == name)
}

/// Refuses what would carry keys or tokens in the clear: plain http goes no further than this machine.
///
/// # Errors
/// `invalid_config` naming `key`.
pub(super) fn secure(key: &str, url: &str) -> Result<()> {
    let parsed = url.parse::<axum::http::Uri>().ok().filter(|uri| uri.host().is_some_and(|h| !h.is_empty()));
    let Some(uri) = parsed else { return Err(bad(&format!("{key}: is not an address; write it as https://name/path"))) };
    if uri.authority().is_some_and(|a| a.as_str().contains('@')) {
        return Err(bad(&format!("{key}: has a name or password in it; write it as https://name/path")));
    }
    let host = uri.host().unwrap_or("").trim_matches(['[', ']']);
    let here = host.eq_ignore_ascii_case("localhost") || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    match uri.scheme_str() {
        Some("https") => Ok(()),
        Some("http") if here => Ok(()),
        Some("http") => Err(bad(&format!("{key}: is plain http, over which anybody on the way could sign in as anybody; use https"))),
        _ => Err(bad(&format!("{key}: is not an address; write it as https://name/path"))),
    }
}

/// The section `identity`: our own keys.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdentityConfig {
    /// What the stored private keys are encrypted with.
    pub secret_key: Secret,
    /// The same, used when there is no `secret_key`.
    pub jwt_secret_key: Secret,
    /// Days after which another key signs. 0: only when somebody says so.
    pub key_days: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_over_plain_http_is_refused_unless_it_is_on_this_machine() {
        for good in
            ["https://id.example.com", "https://id.example.com/realms/a", "http://127.0.0.1:5800", "http://localhost:1/x", "http://[::1]:9"]
        {
            assert!(secure("k", good).is_ok(), "{good}");
        }
        for bad in [
            "http://id.example.com",
            "http://10.0.0.1",
            "http://localhost.example.com",
            "http://127.0.0.1.example.com",
            "ftp://id.example.com",
            "file:///etc/passwd",
            "id.example.com",
            "https://",
            "https:///x",
            "https://user:secret@id.example.com",
            "",
        ] {
            let error = secure("oidc.issuer", bad).unwrap_err();
            assert!(error.message().starts_with("oidc.issuer: ") && !error.message().contains("secret"), "{bad}: {error}");
        }
    }

    #[test]
    fn half_a_configuration_is_refused_with_the_setting_that_is_missing() {
        let issuer = || OidcConfig { issuer: "https://id.example.com".to_owned(), audience: vec!["a".to_owned()], ..OidcConfig::default() };
        assert!(OidcConfig::default().validate().is_ok() && issuer().validate().is_ok());
        let refused = |config: OidcConfig| config.validate().unwrap_err().message().split(':').next().unwrap().to_owned();
        assert_eq!(refused(OidcConfig { audience: Vec::new(), ..issuer() }), "oidc.audience");
        assert_eq!(refused(OidcConfig { default_role: "root".to_owned(), ..issuer() }), "oidc.default_role");
        assert_eq!(refused(OidcConfig { issuer: String::new(), ..issuer() }), "oidc.issuer");
        assert_eq!(refused(OidcConfig { jwks_url: "https://x/keys".to_owned(), ..OidcConfig::default() }), "oidc.issuer");
        assert_eq!(refused(OidcConfig { jwks_url: "http://x/keys".to_owned(), ..issuer() }), "oidc.jwks_url");
        assert_eq!(OidcConfig { default_role: "editor".to_owned(), ..issuer() }.default_role(), Some(Role::Editor));
    }
}
