//! The claims of a token that was verified.

use astrolabe_kernel::{Error, Result, Timestamp, error::code};
use serde_json::{Map, Value};

use super::jws::invalid;

/// Characters of `sub`, `jti` and `sid` at most (OpenID Connect Core, section 2, for `sub`).
const MAX_NAME: usize = 255;

/// The claims of a token whose signature, issuer, audience and times are right. Nothing else makes one.
#[derive(Debug, Clone, PartialEq)]
pub struct Claims {
    /// `sub`: whom the issuer speaks of; 1 to 255 characters, unique with the issuer.
    pub subject: String,
    /// `aud`, as a list.
    pub audience: Vec<String>,
    /// `iat`.
    pub issued_at: Option<Timestamp>,
    /// `exp`.
    pub expires_at: Timestamp,
    /// `jti`: this one token.
    pub id: Option<String>,
    /// `sid`: the session it belongs to.
    pub session: Option<String>,
    map: Map<String, Value>,
}

impl Claims {
    pub(super) fn of(map: Map<String, Value>, audience: Vec<String>, issued_at: Option<Timestamp>, expires_at: Timestamp) -> Result<Self> {
        let name = |claim: &str| match map.get(claim) {
            None => Ok(None),
            Some(Value::String(text)) if (1..=MAX_NAME).contains(&text.chars().count()) && !text.contains(char::is_control) => {
                Ok(Some(text.clone()))
            }
            Some(_) => Err(invalid(format!("the token's `{claim}` is not a text of 1 to {MAX_NAME} characters"))),
        };
        let subject = name("sub")?.ok_or_else(|| invalid("the token has no `sub`"))?;
        let (id, session) = (name("jti")?, name("sid")?);
        Ok(Self { subject, audience, issued_at, expires_at, id, session, map })
    }

    /// All claims as they were sent.
    pub fn raw(&self) -> &Map<String, Value> {
        &self.map
    }

    /// A claim by its name, or by a path with dots such as `resource_access.astrolabe.roles`. A name that itself has dots is tried first.
    pub fn at(&self, path: &str) -> Option<&Value> {
        self.map.get(path).or_else(|| {
            let mut names = path.split('.');
            let first = self.map.get(names.next()?)?;
            names.try_fold(first, |value, name| value.get(name))
        })
    }

    /// A claim that is a text; what is empty or has control characters is none.
    pub fn text(&self, path: &str) -> Option<&str> {
        self.at(path)?.as_str().filter(|text| !text.is_empty() && !text.contains(char::is_control))
    }

    /// The scopes: `scope`, words with a space between them (RFC 8693, section 4.2), or `scp` of providers that had it before.
    pub fn scopes(&self) -> Vec<&str> {
        match self.map.get("scope").or_else(|| self.map.get("scp")) {
            Some(Value::String(text)) => text.split(' ').filter(|word| !word.is_empty()).collect(),
            Some(Value::Array(words)) => words.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        }
    }

    /// Requires a scope.
    ///
    /// # Errors
    /// `insufficient_scope` naming it.
    pub fn require_scope(&self, scope: &str) -> Result<()> {
        match self.scopes().contains(&scope) {
            true => Ok(()),
            false => Err(Error::new(code::INSUFFICIENT_SCOPE, format!("this needs a token with the scope {scope}"))),
        }
    }
}
