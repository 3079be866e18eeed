//! What a server that is said to be in production refuses to start with. Each refusal names the variable and what to write.

use std::net::SocketAddr;

use astrolabe_kernel::{Error, Result, error::code};

use crate::config::Config;

/// Passwords that images, guides and examples come with. What is compared with them is folded to lower case.
const DEFAULTS: &[&str] = &[
    "123456",
    "12345678",
    "admin",
    "administrator",
    "astrolabe",
    "changeit",
    "changeme",
    "change-me",
    "change_me",
    "default",
    "demo",
    "example",
    "guest",
    "letmein",
    "minioadmin",
    "pass",
    "passw0rd",
    "password",
    "postgres",
    "qwerty",
    "root",
    "secret",
    "test",
    "user",
    "your-password",
    "your_password",
];

/// Refuses what must not be in production. In other environments everything is allowed.
///
/// # Errors
/// `invalid_config` naming the variable.
pub fn check(config: &Config) -> Result<()> {
    if !config.server.is_production() {
        return Ok(());
    }
    let refuse = |what: &str| Err(Error::new(code::INVALID_CONFIG, format!("{what} (APP_ENV is production)")));
    let (oidc, identity) = (&config.oidc, &config.identity);
    let own = !identity.secret_key.is_empty() || !identity.jwt_secret_key.is_empty();
    if !oidc.is_configured() && !own {
        return refuse(
            "SECRET_KEY: is not set, and neither is OIDC_ISSUER, so nobody can issue tokens: set SECRET_KEY to 32 random characters, as `openssl rand -base64 32` \
             makes them, or OIDC_ISSUER and OIDC_AUDIENCE to those of your provider",
        );
    }
    for (name, url) in [("OIDC_ISSUER", &oidc.issuer), ("OIDC_JWKS_URL", &oidc.jwks_url)] {
        if url.trim().to_ascii_lowercase().starts_with("http://") {
            return refuse(&format!(
                "{name}: is plain http, over which anybody on the way could sign in as anybody: write its https address"
            ));
        }
    }
    for (name, secret) in [
        ("SECRET_KEY", &identity.secret_key),
        ("JWT_SECRET_KEY", &identity.jwt_secret_key),
        ("ASTROLABE_OIDC_CLIENT_SECRET", &oidc.client_secret),
    ] {
        if is_default(secret.expose()) {
            return refuse(&format!("{name}: is a default that everybody knows: set it to one of your own"));
        }
    }
    if password_of(&config.database.url).is_some_and(is_default) {
        return refuse("DATABASE_URL: has a default password that everybody knows: give the database's user another, and write it there");
    }
    Ok(())
}

fn is_default(secret: &str) -> bool {
    DEFAULTS.contains(&secret.trim().to_lowercase().as_str())
}

/// The password in a URL.
fn password_of(url: &str) -> Option<&str> {
    let authority = url.split_once("://")?.1.split(['/', '?', '#']).next()?;
    authority.rsplit_once('@')?.0.split_once(':').map(|(_, password)| password)
}

/// What to say aloud of a server that others can reach although nobody has an account and no issuer is trusted: only the administrator's token
/// and links open it, which were meant for one person on one machine.
pub fn warning(config: &Config, bound: SocketAddr, accounts: i64) -> Option<String> {
    let alone = accounts == 0 && !config.oidc.is_configured();
    (alone && !bound.ip().is_loopback()).then(|| {
        format!(
            "the server listens on {bound}, where other machines reach it, and there is no account and no issuer: make accounts with `astrolabe user add`, or set \
             OIDC_ISSUER; until then the data directory's token is all there is, and whoever has it is administrator"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "kX3v9Qm2Zt7Lr5Wp8Yc1Nf6Hb4Jd0SgA";

    fn load(pairs: &[(&str, &str)]) -> Config {
        Config::load(None, pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect(), &[]).unwrap()
    }

    #[test]
    fn production_starts_with_an_issuer_and_without_what_everybody_knows() {
        let production = ("APP_ENV", "production");
        let issuer = [("OIDC_ISSUER", "https://id.example.com"), ("OIDC_AUDIENCE", "astrolabe")];
        let own = ("SECRET_KEY", SECRET);
        for good in [
            vec![],
            vec![("APP_ENV", "development")],
            vec![production, own],
            vec![production, ("JWT_SECRET_KEY", SECRET)],
            vec![production, issuer[0], issuer[1]],
            vec![("APP_ENV", "Production"), own, ("DATABASE_URL", "postgres://astro:kX3v9Qm2@db/astro")],
            vec![("DATABASE_URL", "postgres://postgres:postgres@db/astro")],
        ] {
            check(&load(&good)).unwrap();
        }
        let local = [("OIDC_ISSUER", "http://127.0.0.1:9000"), ("OIDC_AUDIENCE", "astrolabe")];
        for (bad, names) in [
            (vec![production], "SECRET_KEY: "),
            (vec![production, local[0], local[1]], "OIDC_ISSUER: "),
            (vec![production, issuer[0], issuer[1], ("OIDC_JWKS_URL", "http://localhost/keys")], "OIDC_JWKS_URL: "),
            (vec![production, ("SECRET_KEY", "changeme")], "SECRET_KEY: "),
            (vec![production, own, ("DATABASE_URL", "postgres://postgres:Postgres@db/astro")], "DATABASE_URL: "),
            (vec![production, own, ("ASTROLABE_OIDC_CLIENT_SECRET", "secret"), issuer[0], issuer[1]], "ASTROLABE_OIDC_CLIENT_SECRET: "),
        ] {
            let error = check(&load(&bad)).unwrap_err();
            assert!(error.code() == code::INVALID_CONFIG && error.message().starts_with(names), "{error}");
            assert!(!error.message().contains("Postgres@"));
        }
    }

    #[test]
    fn a_server_that_others_reach_and_that_has_no_accounts_is_warned_about() {
        let (open, closed) = ("0.0.0.0:8080".parse().unwrap(), "127.0.0.1:8080".parse().unwrap());
        let plain = load(&[]);
        assert!(warning(&plain, open, 0).is_some_and(|w| w.contains("astrolabe user add") && w.contains("OIDC_ISSUER")));
        assert_eq!((warning(&plain, closed, 0), warning(&plain, open, 1)), (None, None));
        let issuer = load(&[("OIDC_ISSUER", "https://id.example.com"), ("OIDC_AUDIENCE", "astrolabe")]);
        assert_eq!(warning(&issuer, open, 0), None);
    }
}
