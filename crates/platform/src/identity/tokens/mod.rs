//! The one verifier of tokens: strict as RFC 8725 ("JSON Web Token Best Current Practices") and its revision ask, for access tokens (RFC 9068 and
//! those of providers that are older than it) and for ID tokens of OpenID Connect.
//!
//! It is pure: keys, expectations and the time come in, claims or an [`Error`] go out. Signatures are checked by `ring` and
//! `ed25519-dalek`, which the server has anyway; the reading around them is ours, because there the general libraries are lax: they take members
//! that stand twice, dates as text, and whatever `alg` a key could do.
//!
//! Which code a refusal has: what is wrong with `iss`, or that it is missing, is `invalid_issuer`; the same of `aud` is `invalid_audience`;
//! `exp` in the past is `token_expired`; `nbf` or `iat` in the future is `token_not_yet_valid`; everything else is `invalid_token`. They are
//! looked at in this order behind form, signature and kind, and the first decides.

mod claims;
mod json;
mod jws;
mod keyset;
mod roles;
#[cfg(test)]
mod tests;

use std::time::Duration;

use astrolabe_kernel::{Error, Result, Timestamp, error::code};
pub use claims::Claims;
pub(in crate::identity) use json::object as parse_object;
pub use jws::MAX_TOKEN;
use jws::{Parts, invalid};
pub use keyset::{KeySet, MAX_SET};
pub use roles::{MAX_ROLES, roles};
use serde_json::{Map, Value};

/// How far the clocks of an issuer and ours may differ, unless somebody says otherwise.
pub const LEEWAY: Duration = Duration::from_secs(60);

/// The signature algorithms that are accepted (RFC 7518, section 3.1; RFC 8037): public keys only, so `none` and `HS…` cannot even be named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// Ed25519.
    EdDSA,
    /// ECDSA on P-256 with SHA-256.
    ES256,
    /// ECDSA on P-384 with SHA-384.
    ES384,
    /// RSA, PKCS #1 v1.5, SHA-256.
    RS256,
    /// RSA, PKCS #1 v1.5, SHA-384.
    RS384,
    /// RSA, PKCS #1 v1.5, SHA-512.
    RS512,
    /// RSA, PSS, SHA-256.
    PS256,
    /// RSA, PSS, SHA-384.
    PS384,
    /// RSA, PSS, SHA-512.
    PS512,
}

impl Algorithm {
    /// All of them.
    pub const ALL: &[Self] =
        &[Self::EdDSA, Self::ES256, Self::ES384, Self::RS256, Self::RS384, Self::RS512, Self::PS256, Self::PS384, Self::PS512];

    /// The name in `alg`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EdDSA => "EdDSA",
            Self::ES256 => "ES256",
            Self::ES384 => "ES384",
            Self::RS256 => "RS256",
            Self::RS384 => "RS384",
            Self::RS512 => "RS512",
            Self::PS256 => "PS256",
            Self::PS384 => "PS384",
            Self::PS512 => "PS512",
        }
    }

    /// By its name, which is case-sensitive.
    fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|a| a.as_str() == name)
    }

    fn names() -> String {
        Self::ALL.iter().map(|a| a.as_str()).collect::<Vec<_>>().join(", ")
    }
}

/// What a token is taken for. One kind is never taken for another (RFC 8725, section 3.12).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It opens an API.
    Access,
    /// It tells a client who has just signed in (OpenID Connect Core, section 2). Who asked for it compares `nonce` as well.
    Id,
}

/// What must be true of a token beside its signature.
#[derive(Debug, Clone)]
pub struct Expectations {
    /// `iss`, character by character.
    pub issuer: String,
    /// One of these must be in `aud`. Empty refuses every token.
    pub audiences: Vec<String>,
    /// How far the clocks may differ.
    pub leeway: Duration,
    /// What `typ` may be, in lower case and without `application/`; an empty text stands for no `typ`.
    pub types: Vec<String>,
    /// What the token is taken for.
    pub kind: Kind,
    /// How long a token may live, from `iat` (which is then needed) to `exp`.
    pub max_life: Option<Duration>,
}

impl Expectations {
    /// Of access tokens: `typ` is absent, `JWT` or `at+jwt`.
    pub fn access(issuer: impl Into<String>, audiences: Vec<String>) -> Self {
        let types = ["", "jwt", "at+jwt"].map(str::to_owned).to_vec();
        Self { issuer: issuer.into(), audiences, leeway: LEEWAY, types, kind: Kind::Access, max_life: None }
    }

    /// Of ID tokens: they are for the client alone, and `typ` is absent or `JWT`.
    pub fn id(issuer: impl Into<String>, client_id: impl Into<String>) -> Self {
        let types = ["", "jwt"].map(str::to_owned).to_vec();
        Self { types, kind: Kind::Id, ..Self::access(issuer, vec![client_id.into()]) }
    }
}

/// Keys and expectations, against which tokens are verified.
#[derive(Debug, Clone, Copy)]
pub struct Verifier<'a> {
    /// The issuer's keys.
    pub keys: &'a KeySet,
    /// What must be true beside the signature.
    pub expect: &'a Expectations,
}

impl Verifier<'_> {
    /// Verifies a token at a time.
    ///
    /// # Errors
    /// `missing_token`, `invalid_token`, `invalid_issuer`, `invalid_audience`, `token_expired` or `token_not_yet_valid`; the message says which rule is
    /// broken and repeats nothing of the token.
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<Claims> {
        let parts = Parts::of(token)?;
        let typ = parts.typ.as_deref().unwrap_or("").to_ascii_lowercase();
        // The prefix is left out by rule (RFC 7515, section 4.1.9), and written by some all the same.
        if !self.expect.types.iter().any(|t| t == typ.strip_prefix("application/").unwrap_or(&typ)) {
            return Err(invalid("the token's `typ` is that of another kind of token"));
        }
        self.keys.check(parts.kid.as_deref(), parts.algorithm, parts.signed, &parts.signature)?;
        let map = parts.claims()?;
        self.check_kind(&map, &typ)?;
        if map.get("iss").and_then(Value::as_str) != Some(self.expect.issuer.as_str()) {
            return Err(Error::new(code::INVALID_ISSUER, "the token's `iss` is not the issuer that is trusted here"));
        }
        let audience = self.audience(&map)?;
        let (issued_at, expires_at) = self.times(&map, now)?;
        Claims::of(map, audience, issued_at, expires_at)
    }

    /// Tells access tokens from ID, refresh and logout tokens by the claims that only those have.
    fn check_kind(&self, map: &Map<String, Value>, typ: &str) -> Result<()> {
        // Back-Channel Logout and security events (RFC 8417) have the same issuer, audience and keys.
        if map.contains_key("events") {
            return Err(invalid("this is a token about an event, not one that opens something"));
        }
        // Keycloak and Cognito say the kind in a claim; the others must be told apart by what belongs to a sign-in.
        let word = |name: &str| map.get(name).and_then(Value::as_str).map(str::to_ascii_lowercase);
        let said = word("typ").or_else(|| word("token_use"));
        let of_id = match said.as_deref() {
            Some("id") => true,
            Some("refresh" | "offline" | "logout" | "dpop") => return Err(invalid("this is a token of another kind")),
            Some("bearer" | "access") => false,
            _ => {
                ["at_hash", "c_hash", "s_hash"].iter().any(|c| map.contains_key(*c))
                    || (map.contains_key("nonce") && !typ.ends_with("at+jwt"))
            }
        };
        match self.expect.kind {
            Kind::Access if of_id => return Err(invalid("this is an ID token; send the access token")),
            // Whose key it is bound to (RFC 7800, 8705, 9449) is not proven by a bearer.
            Kind::Access if map.contains_key("cnf") => return Err(invalid("the token is bound to a key (`cnf`); get one without")),
            Kind::Access => {}
            // Access tokens say their scope or their client.
            Kind::Id
                if matches!(said.as_deref(), Some("bearer" | "access")) || map.contains_key("scope") || map.contains_key("client_id") =>
            {
                return Err(invalid("this is an access token, and an ID token was expected"));
            }
            Kind::Id => {}
        }
        Ok(())
    }

    fn audience(&self, map: &Map<String, Value>) -> Result<Vec<String>> {
        let wrong = |what: &str| Error::new(code::INVALID_AUDIENCE, what);
        let audience: Vec<String> = match map.get("aud") {
            Some(Value::String(one)) => vec![one.clone()],
            Some(Value::Array(list)) => {
                let texts: Option<_> = list.iter().map(|a| a.as_str().map(str::to_owned)).collect();
                texts.ok_or_else(|| wrong("the token's `aud` has something else than texts in it"))?
            }
            Some(_) => return Err(wrong("the token's `aud` is neither a text nor a list of texts")),
            None => return Err(wrong("the token has no `aud`")),
        };
        if !audience.iter().any(|a| self.expect.audiences.contains(a)) {
            return Err(wrong("the token's `aud` does not name this server"));
        }
        // OpenID Connect Core, section 3.1.3.7: of several audiences, `azp` says to whom it was issued.
        if self.expect.kind == Kind::Id {
            let party = map.get("azp").map(|a| a.as_str().is_some_and(|a| self.expect.audiences.iter().any(|ours| ours == a)));
            if party == Some(false) || (party.is_none() && audience.len() > 1) {
                return Err(wrong("the ID token was issued to another client (`azp`)"));
            }
        }
        Ok(audience)
    }

    fn times(&self, map: &Map<String, Value>, now: Timestamp) -> Result<(Option<Timestamp>, Timestamp)> {
        let expires_at = date(map, "exp")?.ok_or_else(|| invalid("the token has no `exp`"))?;
        let (issued_at, not_before) = (date(map, "iat")?, date(map, "nbf")?);
        if now >= expires_at.plus(self.expect.leeway) {
            return Err(Error::new(code::TOKEN_EXPIRED, "the token's `exp` is in the past"));
        }
        let latest = now.plus(self.expect.leeway);
        for (name, time) in [("nbf", not_before), ("iat", issued_at)] {
            if time.is_some_and(|time| time > latest) {
                return Err(Error::new(code::TOKEN_NOT_YET_VALID, format!("the token's `{name}` is in the future")));
            }
        }
        if issued_at.max(not_before).is_some_and(|start| start >= expires_at) {
            return Err(invalid("the token ends before it begins"));
        }
        if let Some(most) = self.expect.max_life {
            let issued = issued_at.ok_or_else(|| invalid("the token has no `iat`"))?;
            if expires_at.since(issued) > most {
                return Err(invalid("the token lives longer than is accepted here"));
            }
        }
        Ok((issued_at, expires_at))
    }
}

/// The last second of the year 9999: what is later is a mistake or an attempt to overflow somebody.
const LAST: f64 = 253_402_300_799.0;

/// A NumericDate (RFC 7519, section 2): seconds, whole or not, as a JSON number and nothing else.
fn date(map: &Map<String, Value>, name: &str) -> Result<Option<Timestamp>> {
    let Some(value) = map.get(name) else { return Ok(None) };
    let seconds = match value {
        Value::Number(number) => number.as_f64().filter(|s| s.is_sign_positive() && *s <= LAST),
        _ => None,
    };
    let seconds = seconds.ok_or_else(|| invalid(format!("the token's `{name}` is not a number of seconds since 1970")))?;
    // Below 2^58 microseconds, so the cast is exact to some microseconds.
    Ok(Some(Timestamp::from_micros((seconds * 1e6) as i64)))
}

/// What a token says of itself before anything is proven: good for choosing whose keys to try, and for nothing else.
#[derive(Debug)]
pub struct Unproven {
    /// The key it names.
    pub kid: Option<String>,
    /// Who it says issued it.
    pub issuer: Option<String>,
}

/// Looks at a token without verifying it.
///
/// # Errors
/// `missing_token`, or `invalid_token` when its form alone is wrong.
pub fn look(token: &str) -> Result<Unproven> {
    let parts = Parts::of(token)?;
    let issuer = parts.claims()?.get("iss").and_then(Value::as_str).map(str::to_owned);
    Ok(Unproven { kid: parts.kid, issuer })
}
