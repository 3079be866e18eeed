//! Tokens of one kind that are sent as another (RFC 8725, sections 2.8 and 3.12).

use super::*;

const BAD: &str = "invalid_token";

/// Expected as an ID token of the client `astrolabe`.
fn id(name: &'static str, code: &'static str) -> Case {
    attack(name, code).header("typ", "JWT").claim("nonce", "n-1").expect(|e| *e = Expectations::id(ISS, AUD))
}

pub fn cases() -> Vec<Case> {
    let logout = json!({"http://schemas.openid.net/event/backchannel-logout": {}});
    vec![
        attack("`typ` of a DPoP proof", BAD).header("typ", "dpop+jwt"),
        attack("`typ` of a logout token", BAD).header("typ", "logout+jwt"),
        attack("`typ` of a security event", BAD).header("typ", "secevent+jwt"),
        attack("`typ` of an authorization request", BAD).header("typ", "oauth-authz-req+jwt"),
        attack("`typ` of a client's assertion", BAD).header("typ", "client-authentication+jwt"),
        attack("`typ` of an introspection answer", BAD).header("typ", "token-introspection+jwt"),
        attack("`typ` of encrypted tokens", BAD).header("typ", "JWE"),
        attack("`typ` of the JSON form", BAD).header("typ", "JOSE+JSON"),
        attack("`typ` with a space", BAD).header("typ", "JWT "),
        attack("`typ` with a prefix twice", BAD).header("typ", "application/application/jwt"),
        attack("an empty `typ`", BAD).header("typ", ""),
        attack("`typ` that is null", BAD).header("typ", Value::Null),
        attack("`typ` that is a list", BAD).header("typ", json!(["JWT"])),
        attack("`typ` of a kilobyte", BAD).header("typ", "t".repeat(1000)),
        attack("no `typ` where at+jwt is asked for", BAD).no_header("typ").expect(|e| e.types = vec!["at+jwt".to_owned()]),
        attack("`typ` JWT where at+jwt is asked for", BAD).header("typ", "JWT").expect(|e| e.types = vec!["at+jwt".to_owned()]),
        attack("an ID token with `nonce`", BAD).header("typ", "JWT").claim("nonce", "n-1"),
        attack("an ID token with `nonce` and no `typ`", BAD).no_header("typ").claim("nonce", "n-1"),
        attack("an ID token with `at_hash`", BAD).header("typ", "JWT").claim("at_hash", "x"),
        attack("an ID token with `c_hash`", BAD).header("typ", "JWT").claim("c_hash", "x"),
        attack("an ID token with `s_hash` that says it is an access token", BAD).claim("s_hash", "x"),
        attack("an ID token of Keycloak", BAD).header("typ", "JWT").claim("typ", "ID"),
        attack("an ID token of Cognito", BAD).header("typ", "JWT").claim("token_use", "id"),
        attack("a refresh token of Keycloak", BAD).header("typ", "JWT").claim("typ", "Refresh"),
        attack("an offline token of Keycloak", BAD).header("typ", "JWT").claim("typ", "Offline"),
        attack("a logout token of Keycloak", BAD).header("typ", "JWT").claim("typ", "Logout"),
        attack("a logout token without `typ`", BAD).no_header("typ").claim("events", logout.clone()),
        attack("a logout token that says it is an access token", BAD).claim("events", logout.clone()),
        attack("a token that is bound to a DPoP key", BAD).claim("cnf", json!({"jkt": "x"})),
        attack("a token that is bound to a certificate", BAD).claim("cnf", json!({"x5t#S256": "x"})),
        id("an access token sent as ID token", BAD).header("typ", "at+jwt"),
        id("an access token without `typ` sent as ID token", BAD).no_header("typ").claim("scope", "openid"),
        id("an access token of Keycloak sent as ID token", BAD).claim("typ", "Bearer"),
        id("an access token of a client sent as ID token", BAD).claim("client_id", "c"),
        id("a logout token sent as ID token", BAD).claim("events", logout),
        id("an ID token of another client", "invalid_audience").claim("aud", "other"),
        id("an ID token issued to another client", "invalid_audience").claim("azp", "other"),
        id("an ID token for several that says not to whom", "invalid_audience").claim("aud", json!([AUD, "other"])),
        id("an ID token whose `azp` is a list", "invalid_audience").claim("azp", json!([AUD])),
        id("an ID token that has expired", "token_expired").claim("exp", NOW - 3600).claim("iat", NOW - 7200),
        good("no `typ`").no_header("typ"),
        good("`typ` JWT").header("typ", "JWT"),
        good("`typ` in small letters").header("typ", "jwt"),
        good("`typ` with its prefix").header("typ", "application/at+jwt"),
        good("`typ` in capitals").header("typ", "AT+JWT"),
        good("an access token of Keycloak, with `nonce` as older ones have")
            .header("typ", "JWT")
            .claim("typ", "Bearer")
            .claim("nonce", "n-1"),
        good("an access token of Cognito").header("typ", "JWT").claim("token_use", "access"),
        id("an ID token", ""),
        id("an ID token for several, issued to us", "").claim("aud", json!([AUD, "other"])).claim("azp", AUD),
        id("an ID token with hashes", "").claim("at_hash", "x").claim("c_hash", "y"),
    ]
}
