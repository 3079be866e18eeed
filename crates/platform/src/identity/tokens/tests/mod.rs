//! Attacks by name with the code that each must be refused with, good tokens beside them, and changes of single bytes.

mod claims;
mod forms;
mod headers;
mod kinds;
mod sets;

use std::time::Duration;

use astrolabe_kernel::testing::START;
use serde_json::{Value, json};

use super::*;
use crate::identity::testing::{ISSUER, b64};

const ISS: &str = "https://issuer.example";
const AUD: &str = "astrolabe";
/// The time of the tests, in seconds.
const NOW: i64 = START.micros() / 1_000_000;

/// A token, the issuer's keys and the expectations; at first all of them good.
struct Case {
    name: &'static str,
    code: &'static str,
    algorithm: Algorithm,
    header: Value,
    claims: Value,
    keys: Value,
    expect: Expectations,
    /// Instead of header and claims.
    token: Option<String>,
}

/// A case that is a good token with the key `EdDSA` until something is changed, and must be refused with the code.
fn attack(name: &'static str, code: &'static str) -> Case {
    let algorithm = Algorithm::EdDSA;
    Case {
        name,
        code,
        algorithm,
        header: json!({"alg": "EdDSA", "typ": "at+jwt", "kid": "EdDSA"}),
        claims: json!({"iss": ISS, "aud": AUD, "sub": "user-1", "iat": NOW - 10, "exp": NOW + 600}),
        keys: json!({ "keys": Algorithm::ALL.iter().map(|a| ISSUER.jwk(*a)).collect::<Vec<_>>() }),
        expect: Expectations::access(ISS, vec![AUD.to_owned()]),
        token: None,
    }
}

/// A case that must pass.
fn good(name: &'static str) -> Case {
    attack(name, "")
}

impl Case {
    /// Signed with another key of the issuer.
    fn by(mut self, algorithm: Algorithm) -> Self {
        self.algorithm = algorithm;
        self.header["alg"] = algorithm.as_str().into();
        self.header["kid"] = algorithm.as_str().into();
        self
    }

    fn header(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.header[name] = value.into();
        self
    }

    fn no_header(mut self, name: &str) -> Self {
        self.header.as_object_mut().unwrap().remove(name);
        self
    }

    fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.claims[name] = value.into();
        self
    }

    fn no_claim(mut self, name: &str) -> Self {
        self.claims.as_object_mut().unwrap().remove(name);
        self
    }

    /// The set of keys.
    fn keys(mut self, keys: impl IntoIterator<Item = Value>) -> Self {
        self.keys = json!({ "keys": keys.into_iter().collect::<Vec<_>>() });
        self
    }

    fn expect(mut self, change: impl FnOnce(&mut Expectations)) -> Self {
        change(&mut self.expect);
        self
    }

    /// These bytes for the token.
    fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// The good token, signed, then changed.
    fn changed(self, change: impl FnOnce(&str) -> String) -> Self {
        let token = change(&self.signed());
        self.token(token)
    }

    /// These texts for header and claims, signed.
    fn texts(self, header: impl AsRef<[u8]>, claims: impl AsRef<[u8]>) -> Self {
        let token = ISSUER.token(self.algorithm, header, claims);
        self.token(token)
    }

    fn signed(&self) -> String {
        ISSUER.token(self.algorithm, self.header.to_string(), self.claims.to_string())
    }

    fn verify(&self) -> Result<Claims> {
        let keys = KeySet::parse(self.keys.to_string().as_bytes())?;
        let token = self.token.clone().unwrap_or_else(|| self.signed());
        Verifier { keys: &keys, expect: &self.expect }.verify(&token, START)
    }
}

fn all() -> Vec<Case> {
    [forms::cases(), headers::cases(), sets::cases(), claims::cases(), kinds::cases()].into_iter().flatten().collect()
}

#[test]
fn every_attack_is_refused_with_its_code_and_every_good_token_passes() {
    let cases = all();
    let mut wrong = Vec::new();
    for case in &cases {
        let found = case.verify().map_or_else(|e| (e.code().name, e.message().to_owned()), |_| ("", String::new()));
        if found.0 != case.code {
            wrong.push(format!("{}: expected {:?}, found {found:?}", case.name, case.code));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let mut names: Vec<&str> = cases.iter().map(|c| c.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), cases.len(), "each has a name of its own");
    let attacks = cases.iter().filter(|c| !c.code.is_empty()).count();
    assert!(attacks >= 120, "{attacks} attacks");
}

#[test]
fn a_good_token_of_every_algorithm_passes_and_its_key_refuses_all_others() {
    for algorithm in Algorithm::ALL {
        let case = good("an algorithm").by(*algorithm);
        let claims = case.verify().unwrap();
        assert_eq!((claims.subject.as_str(), claims.audience.as_slice()), ("user-1", [AUD.to_owned()].as_slice()));
        for other in Algorithm::ALL.iter().filter(|a| *a != algorithm) {
            let case = good("another").by(*algorithm).header("alg", other.as_str());
            assert_eq!(case.verify().unwrap_err().code(), code::INVALID_TOKEN, "{algorithm:?} as {other:?}");
        }
    }
}

#[test]
fn every_change_of_a_single_byte_of_a_good_token_is_refused() {
    for algorithm in [Algorithm::EdDSA, Algorithm::ES256, Algorithm::RS256] {
        let case = good("a byte").by(algorithm);
        let token = case.signed();
        let keys = KeySet::parse(case.keys.to_string().as_bytes()).unwrap();
        let verifier = Verifier { keys: &keys, expect: &case.expect };
        verifier.verify(&token, START).unwrap();
        for place in 0..token.len() {
            // Without optimisation the arithmetic of Ed25519 takes a millisecond; two bytes a place are enough for it.
            let more: &[u8] = if algorithm == Algorithm::EdDSA { b"." } else { b"AB_-.=+ \n\0" };
            for byte in more.iter().copied().chain([token.as_bytes()[place] ^ 1, token.as_bytes()[place] ^ 0x20]) {
                let mut changed = token.clone().into_bytes();
                changed[place] = byte;
                let Ok(changed) = String::from_utf8(changed) else { continue };
                if changed != token {
                    assert!(verifier.verify(&changed, START).is_err(), "{algorithm:?}: byte {place} as {byte}");
                }
            }
            let (head, tail) = token.split_at(place);
            assert!(verifier.verify(head, START).is_err(), "{algorithm:?}: cut at {place}");
            assert!(verifier.verify(&format!("{head}{}", &tail[1..]), START).is_err(), "{algorithm:?}: without byte {place}");
            assert!(verifier.verify(&format!("{head}A{tail}"), START).is_err(), "{algorithm:?}: a byte before {place}");
        }
    }
}

#[test]
fn a_refusal_says_nothing_of_what_is_in_the_token() {
    for case in all() {
        if let Err(error) = case.verify() {
            let said = format!("{error:?}");
            assert!(!said.contains("user-1") && !said.contains(ISS), "{}: {said}", case.name);
        }
    }
}

#[test]
fn roles_come_from_every_place_where_providers_put_them() {
    let case = good("roles")
        .claim("roles", json!(["editor", "sre", "", "a\u{0}b", 7, ["nested"], {"role": "admin"}, "x".repeat(129)]))
        .claim("groups", "it.support")
        .claim("realm_access", json!({"roles": ["viewer", "sre"]}))
        .claim("resource_access", json!({"astrolabe": {"roles": ["tenant_admin"]}}))
        .claim("https://example.com/roles", json!(["auditor"]));
    let claims = case.verify().unwrap();
    let found = |extra: &str| roles(&claims, extra).into_iter().collect::<Vec<_>>();
    assert_eq!(found(""), ["editor", "it.support", "sre", "viewer"]);
    assert_eq!(found("resource_access.astrolabe.roles"), ["editor", "it.support", "sre", "tenant_admin", "viewer"]);
    assert_eq!(
        found("https://example.com/roles"),
        ["auditor", "editor", "it.support", "sre", "viewer"],
        "a name with dots is a name first"
    );
    for nothing in ["absent", "realm_access", "realm_access.roles.0", "sub.x", ".", "exp"] {
        assert_eq!(found(nothing).len(), 4, "{nothing}");
    }
    let many: Vec<String> = (0..1000).map(|n| format!("r{n}")).collect();
    assert_eq!(roles(&good("many").claim("roles", many).verify().unwrap(), "").len(), MAX_ROLES);
}

#[test]
fn a_scope_that_is_missing_is_named() {
    let claims = good("scope").claim("scope", "read write").verify().unwrap();
    claims.require_scope("write").unwrap();
    let error = claims.require_scope("wri").unwrap_err();
    assert_eq!(error.code(), code::INSUFFICIENT_SCOPE);
    assert!(error.message().contains("wri"));
    assert_eq!(good("scp").claim("scp", json!(["a", "b"])).verify().unwrap().scopes(), ["a", "b"]);
    assert!(good("none").verify().unwrap().require_scope("a").is_err());
}

#[test]
fn a_token_that_is_only_looked_at_tells_whose_keys_to_try() {
    let case = attack("look", "").claim("exp", 1);
    let seen = look(&case.signed()).unwrap();
    assert_eq!((seen.kid.as_deref(), seen.issuer.as_deref()), (Some("EdDSA"), Some(ISS)));
    assert_eq!(look("").unwrap_err().code(), code::MISSING_TOKEN);
    assert_eq!(look("a.b.c").unwrap_err().code(), code::INVALID_TOKEN);
    assert!(look(&format!("{}.{}.{}", b64("{\"alg\":\"EdDSA\"}"), b64("[]"), b64("x"))).is_err());
}

#[test]
fn leeway_and_a_longest_life_are_what_the_caller_says() {
    let at = |exp: i64, leeway: u64| {
        good("leeway").claim("iat", NOW - 600).claim("exp", exp).expect(|e| e.leeway = Duration::from_secs(leeway)).verify()
    };
    assert!(at(NOW - 59, 60).is_ok() && at(NOW + 1, 0).is_ok());
    assert_eq!(at(NOW - 60, 60).unwrap_err().code(), code::TOKEN_EXPIRED);
    assert_eq!(at(NOW, 0).unwrap_err().code(), code::TOKEN_EXPIRED);
    let hour = |e: &mut Expectations| e.max_life = Some(Duration::from_secs(3600));
    assert!(good("life").claim("exp", NOW - 10 + 3600).expect(hour).verify().is_ok());
    for case in [good("long").claim("exp", NOW - 10 + 3601), good("no iat").no_claim("iat")] {
        assert_eq!(case.expect(hour).verify().unwrap_err().code(), code::INVALID_TOKEN);
    }
}
