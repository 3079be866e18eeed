//! The compact form of a signed token (RFC 7515, section 7.1): three parts in base 64, and a header that asks for nothing we do not do.

use astrolabe_kernel::{Error, Result, error::code};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value};

use super::{Algorithm, json};

/// Bytes of a token at most. The largest of real issuers, with hundreds of groups, have about eight thousand.
pub const MAX_TOKEN: usize = 16 * 1024;
/// Characters of a `kid` at most.
pub(super) const MAX_KID: usize = 255;

/// Header members that name a key of the token's own choice (RFC 8725, section 3.10), change what was signed (`b64`, RFC 7797), or belong to
/// encrypted, compressed or nested tokens. Whatever says `crit` asks for an extension, and we have none.
const REFUSED: &[&str] = &["crit", "b64", "zip", "enc", "cty", "jku", "jwk", "x5u", "x5c", "epk", "apu", "apv", "iv", "tag", "p2s", "p2c"];

/// `invalid_token` with what is wrong.
pub(super) fn invalid(what: impl Into<String>) -> Error {
    Error::new(code::INVALID_TOKEN, what)
}

/// Base 64 for URLs without padding, in its one canonical form.
pub(super) fn base64url(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// A token taken apart and not verified. Nothing in it may be believed yet.
#[derive(Debug)]
pub(super) struct Parts<'a> {
    pub algorithm: Algorithm,
    pub kid: Option<String>,
    pub typ: Option<String>,
    /// What was signed: header and claims as they were sent.
    pub signed: &'a [u8],
    pub signature: Vec<u8>,
    payload: &'a str,
}

impl<'a> Parts<'a> {
    /// Takes a token apart.
    ///
    /// # Errors
    /// `missing_token` when there is nothing; `invalid_token` saying which rule it breaks.
    pub fn of(token: &'a str) -> Result<Self> {
        if token.is_empty() {
            return Err(Error::new(code::MISSING_TOKEN, "there is no token"));
        }
        if token.len() > MAX_TOKEN {
            return Err(invalid(format!("the token is longer than {MAX_TOKEN} bytes")));
        }
        let parts: Vec<&str> = token.split('.').collect();
        let &[head, payload, signature] = parts.as_slice() else {
            return Err(invalid(match parts.len() {
                5 => "the token is encrypted; send a signed one".to_owned(),
                n => format!("a signed token has three parts with dots between them, and this has {n}"),
            }));
        };
        let decoded = |part: &str, name: &str| match part {
            "" => Err(invalid(format!("the token's {name} is empty"))),
            part => base64url(part).ok_or_else(|| invalid(format!("the token's {name} is not base 64 for URLs without padding"))),
        };
        let header = json::object(&decoded(head, "header")?).map_err(|what| invalid(format!("the token's header {what}")))?;
        let (algorithm, kid, typ) = read_header(&header)?;
        let signature = decoded(signature, "signature")?;
        decoded(payload, "body")?;
        Ok(Self { algorithm, kid, typ, signed: &token.as_bytes()[..head.len() + 1 + payload.len()], signature, payload })
    }

    /// The claims.
    ///
    /// # Errors
    /// `invalid_token` when they are not one JSON object.
    pub fn claims(&self) -> Result<Map<String, Value>> {
        let bytes = base64url(self.payload).unwrap_or_default();
        json::object(&bytes).map_err(|what| invalid(format!("the token's body {what}")))
    }
}

type Header = (Algorithm, Option<String>, Option<String>);

fn read_header(header: &Map<String, Value>) -> Result<Header> {
    if let Some(name) = REFUSED.iter().find(|name| header.contains_key(**name)) {
        return Err(invalid(format!("the token's header has `{name}`, which is not accepted")));
    }
    let text = |name: &str, most: usize| match header.get(name) {
        None => Ok(None),
        Some(Value::String(text)) if (1..=most).contains(&text.len()) && !text.contains(char::is_control) => Ok(Some(text.clone())),
        Some(_) => Err(invalid(format!("the token's header has a `{name}` that is not a text of 1 to {most} bytes"))),
    };
    let algorithm = text("alg", 16)?.ok_or_else(|| invalid("the token's header has no `alg`"))?;
    let algorithm = Algorithm::parse(&algorithm)
        .ok_or_else(|| invalid(format!("the token's `alg` is not accepted; these are: {}", Algorithm::names())))?;
    Ok((algorithm, text("kid", MAX_KID)?, text("typ", 64)?))
}
