//! Headers that ask for what we do not do: other algorithms, keys of the token's own choice, extensions.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use super::*;
use crate::identity::testing::STRANGER;

const BAD: &str = "invalid_token";

/// A token with a header of `none`, and this for a signature.
fn unsigned(alg: &str, signature: &str) -> String {
    let claims = attack("", "").claims.to_string();
    format!("{}.{}.{signature}", b64(json!({"alg": alg, "typ": "JWT"}).to_string()), b64(claims))
}

/// A token signed with HMAC by a secret, with the key id of a public key.
fn hmac(alg: &str, how: ring::hmac::Algorithm, secret: &[u8], kid: &str) -> String {
    let signed = format!("{}.{}", b64(json!({"alg": alg, "typ": "JWT", "kid": kid}).to_string()), b64(attack("", "").claims.to_string()));
    let tag = ring::hmac::sign(&ring::hmac::Key::new(how, secret), signed.as_bytes());
    format!("{signed}.{}", b64(tag))
}

/// A token signed with a stranger's key.
fn forged(algorithm: Algorithm, header: Value) -> String {
    STRANGER.token(algorithm, header.to_string(), attack("", "").claims.to_string())
}

pub fn cases() -> Vec<Case> {
    let rsa = ISSUER.jwk(Algorithm::RS256);
    let modulus = URL_SAFE_NO_PAD.decode(rsa["n"].as_str().unwrap()).unwrap();
    let ed = URL_SAFE_NO_PAD.decode(ISSUER.jwk(Algorithm::EdDSA)["x"].as_str().unwrap()).unwrap();
    let secret = b"a shared secret of thirty-two by";
    let oct = json!({"kty": "oct", "kid": "secret", "use": "sig", "alg": "HS256", "k": b64(secret)});
    let own = STRANGER.jwk(Algorithm::EdDSA);
    let url = "https://attacker.example/keys.json";
    vec![
        attack("`none` with no signature", BAD).token(unsigned("none", "")),
        attack("`none` with a signature", BAD).token(unsigned("none", &b64("x"))),
        attack("`None`", BAD).token(unsigned("None", "")),
        attack("`NONE` with a signature", BAD).token(unsigned("NONE", &b64("x"))),
        attack("`nOnE` with a signature", BAD).token(unsigned("nOnE", &b64("x"))),
        attack("`none` over a good signature", BAD).header("alg", "none"),
        attack("HS256 with the RSA modulus for a secret", BAD).token(hmac("HS256", ring::hmac::HMAC_SHA256, &modulus, "RS256")),
        attack("HS256 with the JWK for a secret", BAD).token(hmac("HS256", ring::hmac::HMAC_SHA256, rsa.to_string().as_bytes(), "RS256")),
        attack("HS384 with the RSA modulus for a secret", BAD).token(hmac("HS384", ring::hmac::HMAC_SHA384, &modulus, "RS256")),
        attack("HS512 with the Ed25519 key for a secret", BAD).token(hmac("HS512", ring::hmac::HMAC_SHA512, &ed, "EdDSA")),
        attack("HS256 with an empty secret", BAD).token(hmac("HS256", ring::hmac::HMAC_SHA256, b"", "EdDSA")),
        attack("HS256 with the shared secret of the set", BAD).keys([ISSUER.jwk(Algorithm::EdDSA), oct.clone()]).token(hmac(
            "HS256",
            ring::hmac::HMAC_SHA256,
            secret,
            "secret",
        )),
        attack("HS256 with a set of nothing but a shared secret", BAD).keys([oct.clone()]).token(hmac(
            "HS256",
            ring::hmac::HMAC_SHA256,
            secret,
            "secret",
        )),
        attack("EdDSA said over an HMAC with the shared secret", BAD).keys([oct]).token(hmac(
            "EdDSA",
            ring::hmac::HMAC_SHA256,
            secret,
            "secret",
        )),
        attack("no `alg`", BAD).no_header("alg"),
        attack("an empty `alg`", BAD).header("alg", ""),
        attack("`alg` that is null", BAD).header("alg", Value::Null),
        attack("`alg` that is a list", BAD).header("alg", json!(["EdDSA"])),
        attack("`alg` that is a number", BAD).header("alg", 1),
        attack("`alg` in small letters", BAD).header("alg", "eddsa"),
        attack("`alg` with a space", BAD).header("alg", "EdDSA "),
        attack("`alg` with a zero byte", BAD).header("alg", "EdDSA\0"),
        attack("`alg` of a curve we do not take", BAD).header("alg", "ES256K"),
        attack("`alg` of P-521", BAD).header("alg", "ES512"),
        attack("`alg` of Ed448", BAD).header("alg", "Ed448"),
        attack("RS1", BAD).header("alg", "RS1"),
        attack("`alg` of key encryption", BAD).header("alg", "RSA-OAEP-256"),
        attack("`alg` `dir` of encrypted tokens", BAD).header("alg", "dir").header("enc", "A256GCM"),
        attack("a password for a key (PBES2)", BAD).header("alg", "PBES2-HS256+A128KW").header("p2c", 2_000_000_000),
        attack("`p2c` in a signed token", BAD).header("p2c", 1_000_000),
        attack("ES256 said of an EdDSA key", BAD).header("alg", "ES256"),
        attack("RS256 said of a PS256 key", BAD).by(Algorithm::PS256).header("alg", "RS256"),
        attack("`jku`", BAD).token(forged(Algorithm::EdDSA, json!({"alg": "EdDSA", "kid": "EdDSA", "jku": url}))),
        attack("`jku` over a good signature", BAD).header("jku", format!("{ISS}/jwks.json")),
        attack("`x5u`", BAD).token(forged(Algorithm::ES256, json!({"alg": "ES256", "kid": "ES256", "x5u": url}))),
        attack("`x5u` over a good signature", BAD).header("x5u", url),
        attack("`x5c` with a certificate of the attacker", BAD).header("x5c", json!(["MIIB"])),
        attack("a `jwk` of the attacker inside", BAD).token(forged(Algorithm::EdDSA, json!({"alg": "EdDSA", "jwk": own}))),
        attack("a `jwk` of the attacker with the issuer's `kid`", BAD)
            .token(forged(Algorithm::EdDSA, json!({"alg": "EdDSA", "kid": "EdDSA", "jwk": own}))),
        attack("the issuer's own `jwk` inside", BAD).header("jwk", ISSUER.jwk(Algorithm::EdDSA)),
        attack("`jwk` that is null", BAD).header("jwk", Value::Null),
        attack("`crit` with an unknown name", BAD).header("crit", json!(["exp2"])).header("exp2", 1),
        attack("`crit` that is empty", BAD).header("crit", json!([])),
        attack("`crit` that names `alg`", BAD).header("crit", json!(["alg"])),
        attack("`crit` that is null", BAD).header("crit", Value::Null),
        attack("`b64` false with `crit`", BAD).header("b64", false).header("crit", json!(["b64"])),
        attack("`b64` false alone", BAD).header("b64", false),
        attack("`b64` true", BAD).header("b64", true),
        attack("`zip`", BAD).header("zip", "DEF"),
        attack("`enc`", BAD).header("enc", "A256GCM"),
        attack("`cty` of a nested token", BAD).header("cty", "JWT"),
        attack("a nested token for claims", BAD).texts(attack("", "").header.to_string(), attack("", "").signed()),
        attack("`kid` that is a number", BAD).header("kid", 1),
        attack("`kid` that is null", BAD).header("kid", Value::Null),
        attack("`kid` that is empty", BAD).header("kid", ""),
        attack("`kid` that is a path", BAD).header("kid", "../../../../dev/null"),
        attack("`kid` that is SQL", BAD).header("kid", "' OR 1=1 --"),
        attack("`kid` of a kilobyte", BAD).header("kid", "k".repeat(1000)),
        attack("`kid` with a zero byte", BAD).header("kid", "EdDSA\0"),
        attack("`kid` in other letters", BAD).header("kid", "eddsa"),
        attack("an unknown `kid`", BAD).header("kid", "unknown"),
        attack("no `kid` with several keys", BAD).no_header("kid"),
        attack("a `kid` of another key", BAD).header("kid", "ES256"),
        attack("a key that is not the issuer's", BAD).token(forged(Algorithm::EdDSA, json!({"alg": "EdDSA", "kid": "EdDSA"}))),
        attack("a P-256 key that is not the issuer's", BAD).token(forged(Algorithm::ES256, json!({"alg": "ES256", "kid": "ES256"}))),
        attack("a signature of zeros", BAD).by(Algorithm::ES256).changed(zeros(64)),
        attack("a P-384 signature of zeros", BAD).by(Algorithm::ES384).changed(zeros(96)),
        attack("an Ed25519 signature of zeros", BAD).changed(zeros(64)),
        attack("an RSA signature of zeros", BAD).by(Algorithm::RS256).changed(zeros(256)),
        attack("a PSS signature of zeros", BAD).by(Algorithm::PS256).changed(zeros(256)),
        attack("a signature of one byte", BAD).changed(zeros(1)),
        attack("a signature twice", BAD).changed(|t| {
            let (rest, signature) = t.rsplit_once('.').unwrap();
            let bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
            format!("{rest}.{}", b64([bytes.clone(), bytes].concat()))
        }),
        attack("a P-256 signature in DER", BAD).by(Algorithm::ES256).changed(der),
        attack("the signature of other claims", BAD).changed(|t| {
            let (_, signature) = t.rsplit_once('.').unwrap();
            let case = attack("", "").claim("sub", "admin");
            format!("{}.{signature}", case.signed().rsplit_once('.').unwrap().0)
        }),
        good("`x5t`, a hint that some providers send").header("x5t", "abc").header("x5t#S256", "def"),
        good("a header member of an extension that is not critical").header("https://example.com/x", 1),
    ]
}

fn zeros(length: usize) -> impl FnOnce(&str) -> String {
    move |token| format!("{}.{}", token.rsplit_once('.').unwrap().0, b64(vec![0; length]))
}

/// The two numbers of a signature as TLS has them, where RFC 7518 wants 32 bytes each.
fn der(token: &str) -> String {
    let (rest, signature) = token.rsplit_once('.').unwrap();
    let bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let number = |n: &[u8]| [&[2, 33, 0], n].concat();
    let both = [number(&bytes[..32]), number(&bytes[32..])].concat();
    format!("{rest}.{}", b64([vec![48, u8::try_from(both.len()).unwrap()], both].concat()))
}
