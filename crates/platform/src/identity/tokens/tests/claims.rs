//! Claims that are missing, of a wrong type, of another issuer, for somebody else, or of another time.

use super::*;

const BAD: &str = "invalid_token";
const ISSUER_CODE: &str = "invalid_issuer";
const AUDIENCE: &str = "invalid_audience";
const EXPIRED: &str = "token_expired";
const EARLY: &str = "token_not_yet_valid";

/// The good token with one claim as JSON text, for numbers that a value cannot hold.
fn literal(name: &'static str, code: &'static str, claim: &str, text: &str) -> Case {
    let case = attack(name, code).no_claim(claim);
    let claims = case.claims.to_string().replacen('{', &format!("{{\"{claim}\":{text},"), 1);
    let header = case.header.to_string();
    case.texts(header, claims)
}

pub fn cases() -> Vec<Case> {
    vec![
        attack("no `iss`", ISSUER_CODE).no_claim("iss"),
        attack("another `iss`", ISSUER_CODE).claim("iss", "https://attacker.example"),
        attack("`iss` with a slash more", ISSUER_CODE).claim("iss", format!("{ISS}/")),
        attack("`iss` with something behind it", ISSUER_CODE).claim("iss", format!("{ISS}.attacker.example")),
        attack("`iss` in capitals", ISSUER_CODE).claim("iss", ISS.to_uppercase()),
        attack("`iss` over http", ISSUER_CODE).claim("iss", ISS.replace("https", "http")),
        attack("`iss` with a port", ISSUER_CODE).claim("iss", format!("{ISS}:443")),
        attack("`iss` with a space", ISSUER_CODE).claim("iss", format!("{ISS} ")),
        attack("an empty `iss`", ISSUER_CODE).claim("iss", ""),
        attack("`iss` that is null", ISSUER_CODE).claim("iss", Value::Null),
        attack("`iss` that is a list", ISSUER_CODE).claim("iss", json!([ISS])),
        attack("`iss` that is an object", ISSUER_CODE).claim("iss", json!({"url": ISS})),
        attack("`iss` with letters that look the same", ISSUER_CODE).claim("iss", ISS.replace('e', "\u{435}")),
        attack("no `aud`", AUDIENCE).no_claim("aud"),
        attack("another `aud`", AUDIENCE).claim("aud", "another-api"),
        attack("`aud` that contains ours", AUDIENCE).claim("aud", format!("{AUD}-admin")),
        attack("`aud` in capitals", AUDIENCE).claim("aud", AUD.to_uppercase()),
        attack("several of `aud` in one text", AUDIENCE).claim("aud", format!("other {AUD}")),
        attack("an empty `aud`", AUDIENCE).claim("aud", ""),
        attack("an empty list for `aud`", AUDIENCE).claim("aud", json!([])),
        attack("a list of others for `aud`", AUDIENCE).claim("aud", json!(["a", "b"])),
        attack("a list with a number for `aud`", AUDIENCE).claim("aud", json!([AUD, 1])),
        attack("a list in a list for `aud`", AUDIENCE).claim("aud", json!([[AUD]])),
        attack("`aud` that is null", AUDIENCE).claim("aud", Value::Null),
        attack("`aud` that is true", AUDIENCE).claim("aud", true),
        attack("`aud` that is an object", AUDIENCE).claim("aud", json!({AUD: true})),
        attack("`aud` that is a star", AUDIENCE).claim("aud", "*"),
        attack("no audience of ours", AUDIENCE).expect(|e| e.audiences.clear()),
        attack("no `exp`", BAD).no_claim("exp"),
        attack("`exp` in the past", EXPIRED).claim("exp", NOW - 3600),
        attack("`exp` at zero", EXPIRED).claim("exp", 0),
        attack("`exp` at the end of the leeway", EXPIRED).claim("exp", NOW - 60),
        attack("`exp` as a text", BAD).claim("exp", (NOW + 600).to_string()),
        attack("`exp` as a date", BAD).claim("exp", "2030-01-01T00:00:00Z"),
        attack("`exp` as an empty text", BAD).claim("exp", ""),
        attack("`exp` that is null", BAD).claim("exp", Value::Null),
        attack("`exp` that is true", BAD).claim("exp", true),
        attack("`exp` that is a list", BAD).claim("exp", json!([NOW + 600])),
        attack("`exp` that is an object", BAD).claim("exp", json!({"seconds": NOW + 600})),
        attack("`exp` below zero", BAD).claim("exp", -1),
        literal("`exp` of minus zero", BAD, "exp", "-0.0"),
        literal("`exp` that is NaN", BAD, "exp", "NaN"),
        literal("`exp` that is Infinity", BAD, "exp", "Infinity"),
        literal("`exp` over every number", BAD, "exp", "1e999"),
        literal("`exp` over every date", BAD, "exp", "1e30"),
        literal("`exp` over 64 bits", BAD, "exp", "18446744073709551616"),
        literal("`exp` that overflows when it becomes microseconds", BAD, "exp", "9223372036854775807"),
        literal("`exp` in milliseconds", BAD, "exp", "1798761600000"),
        literal("`exp` in hexadecimal", BAD, "exp", "0x7fffffff"),
        literal("`exp` with a leading zero", BAD, "exp", "01798761600"),
        literal("`exp` with a plus", BAD, "exp", "+1798761600"),
        literal("a fraction of `exp` in the past", EXPIRED, "exp", &format!("{}.5", NOW - 61)),
        attack("`nbf` in the future", EARLY).claim("nbf", NOW + 300),
        attack("`nbf` just beyond the leeway", EARLY).claim("nbf", NOW + 61),
        attack("`nbf` as a text", BAD).claim("nbf", "0"),
        attack("`nbf` that is null", BAD).claim("nbf", Value::Null),
        attack("`nbf` below zero", BAD).claim("nbf", -5),
        attack("`nbf` over every date", BAD).claim("nbf", 1e300),
        attack("`iat` in the future", EARLY).claim("iat", NOW + 300),
        attack("`iat` as a text", BAD).claim("iat", NOW.to_string()),
        attack("`iat` that is false", BAD).claim("iat", false),
        attack("`iat` below zero", BAD).claim("iat", -1),
        attack("a token that ends before it begins", BAD).claim("exp", NOW - 30).claim("iat", NOW - 20),
        attack("a token that ends when it begins", BAD).claim("exp", NOW + 10).claim("nbf", NOW + 10),
        attack("no `sub`", BAD).no_claim("sub"),
        attack("an empty `sub`", BAD).claim("sub", ""),
        attack("`sub` that is null", BAD).claim("sub", Value::Null),
        attack("`sub` that is a number", BAD).claim("sub", 1),
        attack("`sub` that is a list", BAD).claim("sub", json!(["user-1"])),
        attack("`sub` that is an object", BAD).claim("sub", json!({"$ne": ""})),
        attack("`sub` of 256 characters", BAD).claim("sub", "s".repeat(256)),
        attack("`sub` with a zero byte", BAD).claim("sub", "user-1\0admin"),
        attack("`sub` with a line break", BAD).claim("sub", "user-1\nadmin"),
        attack("`jti` that is a number", BAD).claim("jti", 7),
        attack("`jti` of a kilobyte", BAD).claim("jti", "j".repeat(1000)),
        attack("`sid` that is a list", BAD).claim("sid", json!(["s"])),
        attack("no claims at all", ISSUER_CODE).texts(attack("", "").header.to_string(), "{}"),
        good("several of `aud` in a list, ours among them").claim("aud", json!(["other", AUD])),
        good("`exp` with a fraction").claim("exp", NOW as f64 + 0.5),
        literal("`exp` with an exponent", "", "exp", "1.8e9"),
        good("`exp` inside the leeway").claim("exp", NOW - 59).claim("iat", NOW - 600),
        good("`nbf` inside the leeway").claim("nbf", NOW + 60),
        good("no `iat`").no_claim("iat"),
        good("`sub` of 255 characters that are not ASCII").claim("sub", "\u{142}".repeat(255)),
        good("claims of an application").claim("email", "a@example.com").claim("https://example.com/x", json!({"a": [1, null, true]})),
    ]
}
