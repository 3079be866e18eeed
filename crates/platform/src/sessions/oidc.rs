//! Signing in at an OpenID Connect provider: the authorization code flow (OpenID Connect Core 1.0, section 3.1) with proof key (RFC 7636).
//!
//! What a sign-in that is under way must remember (`state`, `nonce`, the proof key's secret, where to go) is in a cookie that only this server can
//! read or make, so that strangers who begin sign-ins fill no table, and any process can end what another began. The cookie binds the answer to the
//! browser that asked: without it a code is worth nothing, which keeps others from signing somebody in as themselves. It is used up by the first answer.
//! A code works once, which the provider sees to (RFC 6749, section 4.1.2).

use std::time::Duration;

use astrolabe_kernel::{
    Error, Kind, Result, Timestamp,
    egress::{Method, Trust},
    error::code,
    http::{Json, OpenProblems, Query, Trace},
};
use axum::{
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use serde::{Deserialize, Serialize};
use sha2::Digest as _;
use subtle::ConstantTimeEq;
use utoipa::{IntoParams, ToSchema};

use super::{
    named_cookie,
    routes::{Start, set_cookie, start},
};
use crate::{
    Platform,
    access::{External, invalid},
    identity::issuers::{Discovery, Issuer},
};

/// The cookie of a sign-in that is under way; sent to [`CALLBACK`] alone.
const COOKIE: &str = "astrolabe_oidc";
/// Where the provider sends people back to, below the public address; what has to be registered there.
pub const CALLBACK: &str = "/signin/oidc/callback";
/// How long somebody may take at the provider.
const PATIENCE: Duration = Duration::from_secs(10 * 60);
/// How long a session lasts that a provider vouched for: it is asked again every working day, so that who left the company is out.
pub const OIDC_SESSION_LIFE: Duration = Duration::from_secs(12 * 3600);
/// How long the provider may take to exchange a code.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of the provider's answer at most.
const MAX_ANSWER: usize = 1 << 20;
/// Characters of a path to return to at most.
const MAX_RETURN: usize = 500;

/// Where to go after the sign-in.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct BeginQuery {
    /// A path of the page; `/` when absent.
    #[param(max_length = 500, pattern = "^/([A-Za-z0-9_.~-][A-Za-z0-9_.~/-]*)?$", example = "/sources")]
    pub return_to: Option<String>,
}

/// The provider's answer. Providers add parameters of their own, which are left alone.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct CallbackQuery {
    /// What becomes tokens; absent when the sign-in failed.
    #[param(max_length = 4096, example = "SplxlOBeZQQYbYS6WxSbIA")]
    pub code: Option<String>,
    /// What the sign-in was begun with.
    #[param(max_length = 200, example = "q5Wn3kV8pYtL0xRb2mZc7uHdJ9sGfE4aQ6iOvT1yXwM")]
    pub state: Option<String>,
    /// Who answers (RFC 9207).
    #[param(max_length = 500, example = "https://id.example.com")]
    pub iss: Option<String>,
    /// Why the sign-in failed (RFC 6749, section 4.1.2.1).
    #[param(max_length = 200, example = "access_denied")]
    pub error: Option<String>,
}

/// The ways to sign in that the page can offer.
#[derive(Debug, Serialize, ToSchema)]
pub struct SignInMethods {
    /// The provider of single sign-on; null when none is configured.
    pub oidc: Option<Provider>,
}

/// A provider of single sign-on.
#[derive(Debug, Serialize, ToSchema)]
pub struct Provider {
    /// Its name for people: `oidc.name`, else its host.
    #[schema(example = "id.example.com")]
    pub name: String,
    /// Where signing in there begins.
    #[schema(example = "/signin/oidc")]
    pub href: String,
}

/// What the cookie holds.
#[derive(Serialize, Deserialize)]
struct Pending {
    state: String,
    nonce: String,
    verifier: String,
    return_to: String,
    redirect_uri: String,
    until: i64,
}

/// Why a sign-in came to nothing, as the page is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Failure {
    /// The person, or the provider, said no.
    Denied,
    /// It took too long, was begun in another browser, or was answered before.
    Expired,
    /// The provider vouches for somebody who may not come in.
    Refused,
    /// The provider could not be reached, or did not answer as it should.
    Unavailable,
}

impl Failure {
    fn as_str(self) -> &'static str {
        match self {
            Self::Denied => "denied",
            Self::Expired => "expired",
            Self::Refused => "refused",
            Self::Unavailable => "unavailable",
        }
    }
}

/// The ways to sign in
///
/// What the page offers beside e-mail and password.
#[utoipa::path(get, path = "/api/sign-in", tag = "session", security(()),
    responses((status = 200, description = "The ways.", body = SignInMethods), OpenProblems))]
pub async fn get_sign_in_methods(State(platform): State<Platform>) -> Json<SignInMethods> {
    let name = |issuer: &Issuer| {
        let config = issuer.config();
        let host = config.issuer.parse::<axum::http::Uri>().ok().and_then(|u| u.host().map(str::to_owned)).unwrap_or_default();
        if config.name.is_empty() { host } else { config.name.clone() }
    };
    let oidc = issuer(&platform).map(|i| Provider { name: name(i), href: "/signin/oidc".to_owned() });
    std::future::ready(Json(SignInMethods { oidc })).await
}

/// Begin a sign-in at the provider
///
/// Sends the browser to the provider of single sign-on, which sends it back to `/signin/oidc/callback`.
#[utoipa::path(get, path = "/signin/oidc", tag = "session", params(BeginQuery), security(()),
    responses(
        (status = 303, description = "Go to the provider; or to the page with `sign_in=unavailable`, when it cannot be reached.",
            headers(("Location" = String, description = "The provider."), ("Set-Cookie" = Option<String>, description = "What the sign-in must remember."))),
        (status = 404, description = "No provider is configured.", body = astrolabe_kernel::http::Problem, content_type = "application/problem+json"),
        OpenProblems))]
pub async fn begin_oidc(State(platform): State<Platform>, headers: HeaderMap, Query(query): Query<BeginQuery>) -> Result<Response> {
    let issuer = issuer(&platform).ok_or_else(|| Error::not_found("provider of single sign-on"))?;
    let return_to = query.return_to.unwrap_or_else(|| "/".to_owned());
    if !is_own_path(&return_to) {
        return Err(Error::field("return_to", "must be a path of the page, such as /sources"));
    }
    match begin(&platform, issuer, &headers, return_to).await {
        Ok((url, cookie)) => Ok(see_other(&url, Some(cookie))),
        Err(error) => {
            tracing::warn!(error = ?error, "a sign-in at the OpenID Connect provider could not begin");
            Ok(see_other(&failed(Failure::Unavailable), None))
        }
    }
}

/// End a sign-in at the provider
///
/// The provider sends the browser here. Signs it in, and leads it to the page; or to the page with `sign_in=denied`, `expired`, `refused` or `unavailable`.
#[utoipa::path(get, path = "/signin/oidc/callback", tag = "session", params(CallbackQuery), security(()),
    responses(
        (status = 303, description = "Go to the page.",
            headers(("Location" = String, description = "The page."), ("Set-Cookie" = String, description = "The session, when somebody was signed in."))),
        (status = 404, description = "No provider is configured.", body = astrolabe_kernel::http::Problem, content_type = "application/problem+json"),
        OpenProblems))]
pub async fn end_oidc(
    State(platform): State<Platform>,
    trace: Trace,
    headers: HeaderMap,
    Query(query): Query<CallbackQuery>,
) -> Result<Response> {
    let issuer = issuer(&platform).ok_or_else(|| Error::not_found("provider of single sign-on"))?;
    let pending = pending(&platform, &headers);
    let used_up = cookie("", 0, platform.0.secure_cookies);
    let failure = match end(&platform, issuer, &trace, &headers, query, pending).await {
        Ok((session, return_to)) => {
            let session = set_cookie(&session, OIDC_SESSION_LIFE.as_secs(), platform.0.secure_cookies);
            let mut response = see_other(&return_to, Some(used_up));
            response.headers_mut().append(header::SET_COOKIE, session);
            return Ok(response);
        }
        Err(failure) => failure,
    };
    if failure != Failure::Unavailable {
        platform.refused(&invalid(), Some(trace), "oidc").await;
    }
    Ok(see_other(&failed(failure), Some(used_up)))
}

fn issuer(platform: &Platform) -> Option<&Issuer> {
    platform.0.identity.issuer().filter(|i| !i.config().client_id.is_empty())
}

async fn begin(platform: &Platform, issuer: &Issuer, headers: &HeaderMap, return_to: String) -> Result<(String, HeaderValue)> {
    let discovery = issuer.discovery().await?;
    if discovery.authorization_endpoint.is_empty() || discovery.token_endpoint.is_empty() {
        return Err(Error::new(code::UPSTREAM_FAILED, "the discovery document of the OpenID Connect issuer names no endpoints to sign in"));
    }
    let kernel = platform.kernel();
    let (state, nonce, verifier) = (kernel.random.token(32), kernel.random.token(32), kernel.random.token(32));
    let redirect_uri = format!("{}{CALLBACK}", public_url(platform, headers)?);
    let challenge = BASE64_URL_SAFE_NO_PAD.encode(sha2::Sha256::digest(verifier.as_bytes()));
    let config = issuer.config();
    let scopes = config.scopes.join(" ");
    let parameters = [
        ("response_type", "code"),
        ("client_id", config.client_id.as_str()),
        ("redirect_uri", redirect_uri.as_str()),
        ("scope", scopes.as_str()),
        ("state", state.as_str()),
        ("nonce", nonce.as_str()),
        ("code_challenge", challenge.as_str()),
        ("code_challenge_method", "S256"),
    ];
    let query = parameters.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect::<Vec<_>>().join("&");
    // RFC 6749, section 3.1: the endpoint may have a query of its own.
    let separator = if discovery.authorization_endpoint.contains('?') { '&' } else { '?' };
    let url = format!("{}{separator}{query}", discovery.authorization_endpoint);
    let until = kernel.now().plus(PATIENCE).micros();
    let pending = serde_json::to_vec(&Pending { state, nonce, verifier, return_to, redirect_uri, until }).map_err(Error::internal)?;
    let sealed = platform.0.identity.keys().seal(COOKIE, &pending).await?;
    Ok((url, cookie(&BASE64_URL_SAFE_NO_PAD.encode(sealed), PATIENCE.as_secs(), platform.0.secure_cookies)))
}

/// What the browser's cookie says of the sign-in that is under way; nothing when there is none, or it is not ours, or too old.
fn pending(platform: &Platform, headers: &HeaderMap) -> Option<Pending> {
    let sealed = BASE64_URL_SAFE_NO_PAD.decode(named_cookie(headers, COOKIE)?).ok()?;
    let opened = platform.0.identity.keys().unseal(COOKIE, &sealed)?;
    let pending: Pending = serde_json::from_slice(&opened).ok()?;
    (Timestamp::from_micros(pending.until) > platform.kernel().now()).then_some(pending)
}

/// Returns the session's cookie and where to go.
async fn end(
    platform: &Platform,
    issuer: &Issuer,
    trace: &Trace,
    headers: &HeaderMap,
    query: CallbackQuery,
    pending: Option<Pending>,
) -> std::result::Result<(String, String), Failure> {
    let pending = pending.ok_or(Failure::Expired)?;
    let state = query.state.unwrap_or_default();
    if !bool::from(state.as_bytes().ct_eq(pending.state.as_bytes())) {
        return Err(Failure::Expired);
    }
    let discovery = issuer.discovery().await.map_err(|e| unavailable(&e))?;
    // RFC 9207, section 2.4: an answer of another provider must not be taken for this one's.
    let named = query.iss.as_deref();
    if named.is_some_and(|iss| iss != discovery.issuer) || (named.is_none() && discovery.authorization_response_iss_parameter_supported) {
        return Err(Failure::Refused);
    }
    if let Some(error) = query.error {
        // Of the text that stands beside the word nothing is kept: whoever makes a link can write it.
        let known = ["access_denied", "login_required", "interaction_required", "consent_required"].contains(&error.as_str());
        return Err(if known { Failure::Denied } else { Failure::Unavailable });
    }
    let code = query.code.filter(|c| !c.is_empty()).ok_or(Failure::Expired)?;
    let tokens = exchange(platform, issuer, &discovery, &code, &pending).await?;
    let id = issuer.verify_id(&tokens.id_token, &pending.nonce).await.map_err(|e| refused(&e))?;
    // Several providers put roles into access tokens alone; one that is meant for somebody else says nothing here.
    let access = match &tokens.access_token {
        Some(token) => issuer.verify(token).await.ok().filter(|access| access.subject == id.subject),
        None => None,
    };
    let claims: Vec<_> = std::iter::once(&id).chain(&access).collect();
    let mut external = External::of(&claims, issuer.config()).ok_or(Failure::Refused)?;
    let now = platform.kernel().now();
    external.lasts_until(now.plus(OIDC_SESSION_LIFE));
    let standing = platform.welcome(external, now).await.map_err(|e| refused(&e))?;
    let begun = Start { principal: standing.principal, user: standing.user, method: "oidc", must_change: false, life: OIDC_SESSION_LIFE };
    let session = async {
        let mut tx = platform.kernel().db.write_all().await?;
        let started = start(platform, &mut tx, trace, headers, &begun).await?;
        tx.commit().await?;
        Ok(started.cookie)
    };
    Ok((session.await.map_err(|e: Error| unavailable(&e))?, pending.return_to))
}

/// What the token endpoint answers (OpenID Connect Core, section 3.1.3.3).
#[derive(Deserialize)]
struct Tokens {
    id_token: String,
    access_token: Option<String>,
}

async fn exchange(
    platform: &Platform,
    issuer: &Issuer,
    discovery: &Discovery,
    code: &str,
    pending: &Pending,
) -> std::result::Result<Tokens, Failure> {
    let config = issuer.config();
    let (id, secret) = (config.client_id.as_str(), config.client_secret.expose());
    let mut form = vec![
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", pending.redirect_uri.as_str()),
        ("code_verifier", pending.verifier.as_str()),
    ];
    let request = platform.kernel().egress.request("oidc", Trust::Operator, Method::POST, &discovery.token_endpoint);
    let mut request = request.map_err(|e| unavailable(&e))?.header("accept", "application/json").timeout(TIMEOUT);
    // OpenID Connect Discovery, section 3: without a word of the provider's, HTTP Basic it is.
    let methods = &discovery.token_endpoint_auth_methods_supported;
    if secret.is_empty() {
        form.push(("client_id", id));
    } else if methods.is_empty() || methods.iter().any(|m| m == "client_secret_basic") {
        // RFC 6749, section 2.3.1: both halves are form-encoded first.
        let basic = BASE64_STANDARD.encode(format!("{}:{}", encode(id), encode(secret)));
        request = request.secret_header(HeaderName::from_static("authorization"), &format!("Basic {basic}"));
    } else {
        form.extend([("client_id", id), ("client_secret", secret)]);
    }
    let answer = request.form(&form).send().await.map_err(|e| unavailable(&e))?;
    let status = answer.status();
    if status.is_success() {
        return answer.json(MAX_ANSWER).await.map_err(|e| unavailable(&e));
    }
    #[derive(Deserialize)]
    struct Wrong {
        error: String,
    }
    let wrong: Option<Wrong> = answer.json(MAX_ANSWER).await.ok();
    let error = wrong.map_or("", |w| if w.error == "invalid_grant" { "invalid_grant" } else { "another" });
    tracing::warn!(status = status.as_u16(), error, "the OpenID Connect provider exchanged no code");
    Err(if error == "invalid_grant" { Failure::Expired } else { Failure::Unavailable })
}

fn unavailable(error: &Error) -> Failure {
    tracing::warn!(error = ?error, "a sign-in at the OpenID Connect provider could not end");
    Failure::Unavailable
}

fn refused(error: &Error) -> Failure {
    tracing::warn!(error = ?error, "a sign-in at the OpenID Connect provider was refused");
    let ours = matches!(error.kind(), Kind::Unauthenticated | Kind::Forbidden);
    if ours { Failure::Refused } else { Failure::Unavailable }
}

/// The address that people reach the page at: the configured one, else the one that this browser used, which is of this machine then.
fn public_url(platform: &Platform, headers: &HeaderMap) -> Result<String> {
    let configured = platform.0.identity.public_url();
    if !configured.is_empty() {
        return Ok(configured.to_owned());
    }
    let host = headers.get(header::HOST).and_then(|h| h.to_str().ok());
    host.map(|host| format!("http://{host}"))
        .ok_or_else(|| Error::new(code::INVALID_CONFIG, "server.public_url: is needed for single sign-on"))
}

/// Whether a browser that is sent there stays on this page: another slash or a backslash behind the first would name a host.
fn is_own_path(path: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_.~/-".contains(&b);
    path.len() <= MAX_RETURN && path.starts_with('/') && !path.starts_with("//") && path.bytes().all(plain)
}

fn failed(failure: Failure) -> String {
    format!("/?sign_in={}", failure.as_str())
}

fn see_other(url: &str, cookie: Option<HeaderValue>) -> Response {
    let location = HeaderValue::from_str(url).unwrap_or_else(|_| HeaderValue::from_static("/"));
    let headers = [(header::LOCATION, location), (header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    let mut response = (StatusCode::SEE_OTHER, headers).into_response();
    if let Some(cookie) = cookie {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

/// Lax, because the provider's page leads here; a strict one would stay at home.
fn cookie(value: &str, life: u64, secure: bool) -> HeaderValue {
    let secure = if secure { "; Secure" } else { "" };
    HeaderValue::from_str(&format!("{COOKIE}={value}; Path={CALLBACK}; Max-Age={life}; HttpOnly; SameSite=Lax{secure}"))
        .unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// Percent-encoding of everything that RFC 3986, section 2.3 does not leave alone.
fn encode(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        match byte {
            b if b.is_ascii_alphanumeric() || b"-._~".contains(&b) => out.push(char::from(b)),
            b => out.push_str(&format!("%{b:02X}")),
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_led_to_another_page_after_a_sign_in() {
        for own in ["/", "/sources", "/sources/src_1/settings", "/a-b_c.d~e"] {
            assert!(is_own_path(own), "{own}");
        }
        for foreign in
            ["", "sources", "//evil.example", "/\\evil.example", "https://evil.example", "/a?b=//c", "/a\r\nset-cookie: a=b", "/%2F/evil"]
        {
            assert!(!is_own_path(foreign), "{foreign}");
        }
        assert!(!is_own_path(&format!("/{}", "a".repeat(MAX_RETURN))));
    }

    #[test]
    fn what_goes_into_an_address_is_encoded() {
        assert_eq!(encode("a b&c=ą/~"), "a%20b%26c%3D%C4%85%2F~");
    }
}
