//! Keys that may not verify: weak, secret, ambiguous, or meant for something else.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use super::*;
use crate::identity::testing::STRANGER;

const BAD: &str = "invalid_token";

/// Tokens signed by `openssl dgst -sha256 -sign` with keys that nobody should have, and one with a sound key.
const WEAK: &str = include_str!("../../../../tests/fixtures/weak_rsa.json");

fn weak(name: &str) -> (Value, String) {
    let all: Value = serde_json::from_str(WEAK).unwrap();
    (all[name]["jwk"].clone(), all[name]["token"].as_str().unwrap().to_owned())
}

/// The issuer's key of an algorithm with one member set, or taken away by null.
fn with(algorithm: Algorithm, name: &str, value: impl Into<Value>) -> Value {
    let mut jwk = ISSUER.jwk(algorithm);
    match value.into() {
        Value::Null => jwk.as_object_mut().unwrap().remove(name),
        value => jwk.as_object_mut().unwrap().insert(name.to_owned(), value),
    };
    jwk
}

pub fn cases() -> Vec<Case> {
    use Algorithm::{ES256, ES384, EdDSA, PS256, RS256};
    let ed = || ISSUER.jwk(EdDSA);
    let lone = |name, jwk: Value| attack(name, BAD).keys([jwk]);
    let other = |kid: &str| {
        let mut jwk = STRANGER.jwk(EdDSA);
        jwk["kid"] = kid.into();
        jwk
    };
    let raw = |text: &str| URL_SAFE_NO_PAD.decode(text).unwrap();
    let padded = |name: &str| b64([&[0][..], &raw(ISSUER.jwk(RS256)[name].as_str().unwrap())].concat());
    let even = {
        let mut n = raw(ISSUER.jwk(RS256)["n"].as_str().unwrap());
        *n.last_mut().unwrap() &= 0xfe;
        b64(n)
    };
    // A point of order one: with it, a signature of zeros fits every message under the lax rule of RFC 8032.
    let neutral = b64([&[1][..], &[0; 31]].concat());
    let fixture = |name, key| {
        let (jwk, token) = weak(key);
        attack(name, BAD).keys([jwk]).token(token)
    };
    vec![
        fixture("an RSA key of 1024 bits", "rsa1024"),
        fixture("an RSA key of 2040 bits", "rsa2040"),
        fixture("an RSA exponent of 3", "exponent3"),
        Case { code: "", ..fixture("an RSA key of 2048 bits, signed elsewhere", "sound") },
        lone("an RSA exponent of 1", with(RS256, "e", "AQ")).by(RS256),
        lone("an RSA exponent that is even", with(RS256, "e", "AQAA")).by(RS256),
        lone("a huge RSA exponent", with(RS256, "e", b64([0xff; 64]))).by(RS256),
        lone("an even RSA modulus", with(RS256, "n", even)).by(RS256),
        lone("an RSA modulus of 100,000 bits", with(RS256, "n", b64([0xff; 12_500]))).by(RS256),
        lone("an RSA modulus with a leading zero", with(RS256, "n", padded("n"))).by(RS256),
        lone("an RSA exponent with a leading zero", with(RS256, "e", padded("e"))).by(RS256),
        lone("an empty RSA modulus", with(RS256, "n", "")).by(RS256),
        lone("an RSA key without exponent", with(RS256, "e", Value::Null)).by(RS256),
        lone("an RSA modulus with padding", with(RS256, "n", format!("{}==", ISSUER.jwk(RS256)["n"].as_str().unwrap()))).by(RS256),
        lone("an RSA modulus that is a number", with(RS256, "n", 65_537)).by(RS256),
        lone("an RSA key with a curve", with(RS256, "crv", "P-256")).by(RS256),
        lone("a key for encryption", with(EdDSA, "use", "enc")),
        lone("a key for an unknown use", with(EdDSA, "use", "SIG")),
        lone("`use` that is no text", with(EdDSA, "use", 1)),
        lone("a key that may only sign", with(EdDSA, "key_ops", json!(["sign"]))),
        lone("a key that may wrap keys", with(EdDSA, "key_ops", json!(["wrapKey", "deriveBits"]))),
        lone("`key_ops` with a word twice", with(EdDSA, "key_ops", json!(["verify", "verify"]))),
        lone("`key_ops` that is a text", with(EdDSA, "key_ops", "verify")),
        lone("`key_ops` that is empty", with(EdDSA, "key_ops", json!([]))),
        lone("a key whose `alg` is of another type", with(EdDSA, "alg", "RS256")),
        lone("a key whose `alg` is HS256", with(RS256, "alg", "HS256")).by(RS256),
        lone("a key whose `alg` is `none`", with(EdDSA, "alg", "none")),
        lone("a key whose `alg` is of key agreement", with(ES256, "alg", "ECDH-ES")).by(ES256),
        lone("a key whose `alg` is another one of RSA", with(RS256, "alg", "PS256")).by(RS256),
        lone("a key whose `alg` is no text", with(EdDSA, "alg", json!(["EdDSA"]))),
        lone("a P-256 key said to be of P-384", with(ES256, "crv", "P-384")).by(ES256),
        lone("a P-256 key said to be Ed25519", with(ES256, "crv", "Ed25519")).by(ES256),
        lone("a P-256 key whose `alg` is ES384", with(ES256, "alg", "ES384")).by(ES256),
        lone("a key of a curve that we do not take", with(ES256, "crv", "secp256k1")).by(ES256),
        lone("a key of X25519", with(EdDSA, "crv", "X25519")),
        lone("a key without curve", with(ES384, "crv", Value::Null)).by(ES384),
        lone("a point that is not on the curve", with(ES256, "y", b64([7; 32]))).by(ES256),
        lone("the point zero", {
            let mut jwk = with(ES256, "x", b64([0; 32]));
            jwk["y"] = b64([0; 32]).into();
            jwk
        })
        .by(ES256),
        lone("a point with short coordinates", with(ES256, "x", b64([1; 31]))).by(ES256),
        lone("a point with long coordinates", with(ES256, "x", b64([0; 33]))).by(ES256),
        lone("a point without y", with(ES256, "y", Value::Null)).by(ES256),
        lone("an Ed25519 key of 31 bytes", with(EdDSA, "x", b64([1; 31]))),
        lone("an Ed25519 key of order one", with(EdDSA, "x", neutral.clone())).changed(|t| {
            let signature = [&[1][..], &[0; 63]].concat();
            format!("{}.{}", t.rsplit_once('.').unwrap().0, b64(signature))
        }),
        lone("a key without type", with(EdDSA, "kty", Value::Null)),
        lone("a key of type `oct` with the fields of another", with(EdDSA, "kty", "oct")),
        lone("a key whose type is in small letters", with(EdDSA, "kty", "okp")),
        lone("a key whose private half is published", with(EdDSA, "d", b64([1; 32]))),
        lone("an RSA key whose factors are published", with(RS256, "p", b64([1; 32]))).by(RS256),
        lone("a key with a `kid` that is a number", with(EdDSA, "kid", 7)).header("kid", "7"),
        lone("a key with an empty `kid`", with(EdDSA, "kid", "")).no_header("kid"),
        lone("a `kid` in the token and none in the set", with(EdDSA, "kid", Value::Null)),
        attack("a `kid` on two keys, the issuer's first", BAD).keys([ed(), other("EdDSA")]),
        attack("a `kid` on two keys, the issuer's last", BAD).keys([other("EdDSA"), ed()]),
        attack("a `kid` on two keys, one of them the attacker's own", BAD).keys([ed(), other("EdDSA")]).token(STRANGER.token(
            EdDSA,
            attack("", "").header.to_string(),
            attack("", "").claims.to_string(),
        )),
        attack("a `kid` on a public key and on a shared secret", BAD).keys([ed(), json!({"kty": "oct", "kid": "EdDSA", "k": b64("x")})]),
        attack("a `kid` on keys of two types", BAD).keys([ed(), with(ES256, "kid", "EdDSA")]),
        attack("the same key twice", BAD).keys([ed(), ed()]),
        attack("a set of no keys", BAD).keys([]),
        attack("a set of no keys and no `kid`", BAD).keys([]).no_header("kid"),
        attack("a set of nothing usable", BAD).keys([json!(1), json!(null), json!("x"), json!([])]),
        attack("two keys without `kid`", BAD).keys([with(EdDSA, "kid", Value::Null), with(ES256, "kid", Value::Null)]).no_header("kid"),
        attack("another key than the only one", BAD).keys([other("EdDSA")]).no_header("kid"),
        Case { keys: json!({"keys": {"0": ed()}}), ..attack("`keys` that is an object", "invalid_request") },
        Case { keys: json!([ed()]), ..attack("a list for a set", "invalid_request") },
        Case { keys: ed(), ..attack("a key for a set", "invalid_request") },
        attack("a set of 101 keys", "invalid_request").keys((0..101).map(|n| other(&n.to_string()))),
        good("one key and no `kid`").keys([ed()]).no_header("kid"),
        good("a set with keys of other kinds beside ours").keys([
            ed(),
            json!({"kty": "oct", "kid": "a", "k": b64("x")}),
            json!({"kty": "FUTURE", "kid": "b"}),
            with(RS256, "use", "enc"),
            json!(7),
        ]),
        good("an RSA key without `alg` takes RS256").by(RS256).keys([with(RS256, "alg", Value::Null)]),
        good("an RSA key without `alg` takes PS256").by(PS256).header("kid", "RS256").keys([with(RS256, "alg", Value::Null)]),
        good("a key with `key_ops`").keys([with(EdDSA, "key_ops", json!(["verify"]))]),
        good("a `kid` twice elsewhere in the set").keys([ed(), other("b"), other("b")]),
    ]
}

#[test]
fn a_set_says_why_a_key_is_left_out_and_repeats_nothing_of_it() {
    let mut secret = ISSUER.jwk(Algorithm::EdDSA);
    secret["d"] = b64([9; 32]).into();
    let set = json!({ "keys": [secret, ISSUER.jwk(Algorithm::ES256)] }).to_string();
    let set = KeySet::parse(set.as_bytes()).unwrap();
    assert_eq!((set.len(), set.is_empty(), set.has("ES256"), set.has("EdDSA")), (1, false, true, false));
    assert_eq!(set.left_out(), ["keys[0]: its private half is published, so anybody can sign with it"]);
    assert!(!format!("{set:?}").contains(&b64([9; 32])));
}

#[test]
fn a_set_that_is_none_is_refused_whole() {
    for text in [
        "",
        "{}",
        "null",
        "[]",
        r#"{"keys":null}"#,
        r#"{"keys":[],"keys":[]}"#,
        r#"{"keys":[{"kty":"OKP","kty":"RSA"}]}"#,
        "{\"keys\":[]} x",
    ] {
        assert_eq!(KeySet::parse(text.as_bytes()).unwrap_err().code(), code::INVALID_REQUEST, "{text}");
    }
    assert!(KeySet::parse(format!("{{\"keys\":[],\"x\":\"{}\"}}", "x".repeat(MAX_SET)).as_bytes()).is_err());
}
