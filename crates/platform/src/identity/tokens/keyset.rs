//! Sets of public keys (RFC 7517, 7518 and 8037), and checking a signature with one of them.
//!
//! A key that cannot be used is left out with a reason (RFC 7517, section 5), so that an issuer may publish keys for other purposes. What
//! is left has exactly the algorithms that its type, curve and `alg` allow: the token cannot choose (RFC 8725, section 3.1).

use std::collections::HashMap;

use astrolabe_kernel::{Error, Result};
use ed25519_dalek::VerifyingKey;
use ring::signature::{self, RsaPublicKeyComponents, UnparsedPublicKey};
use serde_json::{Map, Value};

use super::{
    Algorithm, json,
    jws::{MAX_KID, base64url, invalid},
};

/// Bytes of a key set at most.
pub const MAX_SET: usize = 256 * 1024;
/// Keys in a set at most.
const MAX_KEYS: usize = 100;
/// Bits of an RSA modulus at least (RFC 7518, section 3.3) and at most: more cost a caller nothing and us a lot.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// The usable keys of a set.
#[derive(Debug, Clone, Default)]
pub struct KeySet {
    keys: Vec<Key>,
    left_out: Vec<String>,
}

#[derive(Debug, Clone)]
struct Key {
    kid: Option<String>,
    algorithms: Vec<Algorithm>,
    public: Public,
}

#[derive(Debug, Clone)]
enum Public {
    Ed25519(Box<VerifyingKey>),
    /// An uncompressed point.
    P256(Vec<u8>),
    P384(Vec<u8>),
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
}

impl KeySet {
    /// Reads a JWK set. It may turn out to have no usable key, in which case it verifies nothing.
    ///
    /// # Errors
    /// `invalid_request` when it is not a set at all: no JSON object, a member twice, no array `keys`, or too large.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let bad = |what: &str| Error::field("jwks", what);
        if bytes.len() > MAX_SET {
            return Err(bad("is too large"));
        }
        let set = json::object(bytes).map_err(bad)?;
        let Some(Value::Array(entries)) = set.get("keys") else { return Err(bad("has no array `keys`")) };
        if entries.len() > MAX_KEYS {
            return Err(bad("has more than 100 keys"));
        }
        let mut times: HashMap<&str, usize> = HashMap::new();
        for kid in entries.iter().filter_map(|k| k.get("kid")?.as_str()) {
            *times.entry(kid).or_default() += 1;
        }
        let mut out = Self::default();
        for (place, entry) in entries.iter().enumerate() {
            let read = entry.as_object().ok_or_else(|| "it is no object".to_owned()).and_then(Key::read).and_then(|key| {
                // Which of two is meant would be the guess of whoever asks first.
                let twice = key.kid.as_deref().is_some_and(|kid| times.get(kid).is_some_and(|n| *n > 1));
                if twice { Err("its `kid` stands on more than one key".to_owned()) } else { Ok(key) }
            });
            match read {
                Ok(key) => out.keys.push(key),
                Err(why) => out.left_out.push(format!("keys[{place}]: {why}")),
            }
        }
        Ok(out)
    }

    /// How many keys can be used.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether no key can be used.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Why the other entries of the set are left out, for the operator's log: places and reasons, no key material.
    pub fn left_out(&self) -> &[String] {
        &self.left_out
    }

    /// Whether a key has this id.
    pub fn has(&self, kid: &str) -> bool {
        self.keys.iter().any(|key| key.kid.as_deref() == Some(kid))
    }

    /// The key that a token means.
    fn find(&self, kid: Option<&str>) -> Result<&Key> {
        match kid {
            Some(kid) => self
                .keys
                .iter()
                .find(|key| key.kid.as_deref() == Some(kid))
                .ok_or_else(|| invalid("the token's `kid` names no key that the issuer publishes for signatures")),
            None => match self.keys.as_slice() {
                [only] => Ok(only),
                [] => Err(invalid("the issuer publishes no key that can be used")),
                _ => Err(invalid("the token's header has no `kid`, and the issuer has several keys")),
            },
        }
    }

    /// Checks a signature.
    ///
    /// # Errors
    /// `invalid_token` when no key is meant, the key is for other algorithms, or the signature is not its own.
    pub(super) fn check(&self, kid: Option<&str>, algorithm: Algorithm, signed: &[u8], signature: &[u8]) -> Result<()> {
        let key = self.find(kid)?;
        if !key.algorithms.contains(&algorithm) {
            return Err(invalid("the token's `alg` is not one of its key"));
        }
        match key.public.verify(algorithm, signed, signature) {
            true => Ok(()),
            false => Err(invalid("the token's signature does not fit")),
        }
    }
}

impl Public {
    fn verify(&self, algorithm: Algorithm, signed: &[u8], signature: &[u8]) -> bool {
        match (self, algorithm) {
            (Self::Ed25519(key), Algorithm::EdDSA) => {
                // The strict check refuses points of small order, for which one signature fits many messages.
                ed25519_dalek::Signature::from_slice(signature).is_ok_and(|s| key.verify_strict(signed, &s).is_ok())
            }
            (Self::P256(point), Algorithm::ES256) => {
                UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, point).verify(signed, signature).is_ok()
            }
            (Self::P384(point), Algorithm::ES384) => {
                UnparsedPublicKey::new(&signature::ECDSA_P384_SHA384_FIXED, point).verify(signed, signature).is_ok()
            }
            (Self::Rsa { n, e }, algorithm) => {
                algorithm.rsa().is_some_and(|how| RsaPublicKeyComponents { n, e }.verify(how, signed, signature).is_ok())
            }
            _ => false,
        }
    }
}

impl Algorithm {
    fn rsa(self) -> Option<&'static signature::RsaParameters> {
        Some(match self {
            Self::RS256 => &signature::RSA_PKCS1_2048_8192_SHA256,
            Self::RS384 => &signature::RSA_PKCS1_2048_8192_SHA384,
            Self::RS512 => &signature::RSA_PKCS1_2048_8192_SHA512,
            Self::PS256 => &signature::RSA_PSS_2048_8192_SHA256,
            Self::PS384 => &signature::RSA_PSS_2048_8192_SHA384,
            Self::PS512 => &signature::RSA_PSS_2048_8192_SHA512,
            Self::EdDSA | Self::ES256 | Self::ES384 => return None,
        })
    }
}

/// Members that only secret keys have (RFC 7518, sections 6.2.2, 6.3.2 and 6.4.1).
const SECRET: &[&str] = &["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

impl Key {
    fn read(jwk: &Map<String, Value>) -> Result<Self, String> {
        let text = |name: &str| match jwk.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str())),
            Some(_) => Err(format!("its `{name}` is no text")),
        };
        let kty = text("kty")?.ok_or("it has no `kty`")?;
        if kty == "oct" {
            return Err("it is a shared secret, with which whoever verifies could sign".to_owned());
        }
        if SECRET.iter().any(|name| jwk.contains_key(*name)) {
            return Err("its private half is published, so anybody can sign with it".to_owned());
        }
        if text("use")?.is_some_and(|it| it != "sig") {
            return Err("its `use` is not `sig`".to_owned());
        }
        check_operations(jwk.get("key_ops"))?;
        let kid = text("kid")?;
        if kid.is_some_and(|kid| !(1..=MAX_KID).contains(&kid.len())) {
            return Err(format!("its `kid` has not between 1 and {MAX_KID} bytes"));
        }
        let number = |name: &str| {
            let text = text(name)?.ok_or_else(|| format!("it has no `{name}`"))?;
            base64url(text).ok_or_else(|| format!("its `{name}` is not base 64 for URLs without padding"))
        };
        let (public, algorithms) = match (kty, text("crv")?) {
            ("OKP", Some("Ed25519")) => (ed25519(&number("x")?)?, vec![Algorithm::EdDSA]),
            ("EC", Some("P-256")) => (Public::P256(point(32, &number("x")?, &number("y")?)?), vec![Algorithm::ES256]),
            ("EC", Some("P-384")) => (Public::P384(point(48, &number("x")?, &number("y")?)?), vec![Algorithm::ES384]),
            ("OKP" | "EC", _) => return Err("its `crv` is not one of Ed25519, P-256, P-384".to_owned()),
            ("RSA", None) => (rsa(number("n")?, number("e")?)?, Algorithm::ALL.iter().copied().filter(|a| a.rsa().is_some()).collect()),
            ("RSA", Some(_)) => return Err("it is of RSA and has a `crv`".to_owned()),
            _ => return Err("its `kty` is not one of OKP, EC, RSA".to_owned()),
        };
        let algorithms = match text("alg")? {
            None => algorithms,
            Some(name) => match Algorithm::parse(name).filter(|a| algorithms.contains(a)) {
                Some(one) => vec![one],
                None => return Err("its `alg` is not accepted, or not one of its type and curve".to_owned()),
            },
        };
        Ok(Self { kid: kid.map(str::to_owned), algorithms, public })
    }
}

/// `key_ops`, when it is there, is a list of words, none twice, with `verify` among them (RFC 7517, section 4.3).
fn check_operations(operations: Option<&Value>) -> Result<(), String> {
    let Some(operations) = operations else { return Ok(()) };
    let words: Option<Vec<&str>> = operations.as_array().and_then(|list| list.iter().map(Value::as_str).collect());
    let mut words = words.ok_or("its `key_ops` is no list of words")?;
    let length = words.len();
    words.sort_unstable();
    words.dedup();
    match words.len() == length && words.contains(&"verify") {
        true => Ok(()),
        false => Err("its `key_ops` has not `verify`, or a word twice".to_owned()),
    }
}

fn ed25519(x: &[u8]) -> Result<Public, String> {
    let bytes = x.try_into().map_err(|_| "its `x` has not 32 bytes")?;
    match VerifyingKey::from_bytes(bytes) {
        Ok(key) if !key.is_weak() => Ok(Public::Ed25519(Box::new(key))),
        _ => Err("its `x` is no point that signs".to_owned()),
    }
}

/// The uncompressed form of a point. That it lies on the curve is checked with each signature.
fn point(size: usize, x: &[u8], y: &[u8]) -> Result<Vec<u8>, String> {
    match x.len() == size && y.len() == size {
        true => Ok([&[4], x, y].concat()),
        false => Err(format!("its `x` and `y` have not {size} bytes each")),
    }
}

/// Numbers have no leading zeros (RFC 7518, section 2). The exponent is what FIPS 186-5 asks for (odd, over 2^16) and the library computes (below 2^33).
fn rsa(n: Vec<u8>, e: Vec<u8>) -> Result<Public, String> {
    if n.first() == Some(&0) || e.first() == Some(&0) {
        return Err("its numbers have leading zeros".to_owned());
    }
    let bits = n.len() * 8 - n.first().map_or(0, |b| b.leading_zeros() as usize);
    if !RSA_BITS.contains(&bits) || n.last().is_none_or(|b| b % 2 == 0) {
        return Err(format!("its modulus has not between {} and {} bits, or is even", RSA_BITS.start(), RSA_BITS.end()));
    }
    let exponent = e.iter().take(8).fold(0u64, |sum, b| sum << 8 | u64::from(*b));
    if e.len() > 5 || !(65_537..1 << 33).contains(&exponent) || exponent % 2 == 0 {
        return Err("its exponent is not an odd number between 2^16 and 2^33".to_owned());
    }
    Ok(Public::Rsa { n, e })
}
