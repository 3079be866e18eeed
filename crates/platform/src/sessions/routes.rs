//! Signing in: the one-time link, e-mail and password, and refresh tokens. These endpoints are open, for they have no caller yet.

use std::time::Duration;

use astrolabe_kernel::{
    Error, Id, Principal, Result, Tx,
    audit::{Outcome, Record},
    error::code,
    http::{BodyProblems, ClientAddress, Json, OpenProblems, Query, Trace},
    principal::TenantId,
};
use axum::{
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{Html, IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};

use super::{
    COOKIE, MAX_SESSIONS, SESSION_IDLE, SESSION_LIFE, Session, digest,
    store::{NewSession, Sessions},
};
use crate::{
    Platform,
    access::{SignInProblem, invalid},
    accounts::{self, State as Standing, UserId, fold_email, passwords::LENGTH, principal_id},
    identity::keys::{ACCESS_LIFE, Grant},
    tenants,
};

/// The code of a one-time link.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct SignInQuery {
    /// The code of the link that `astrolabe login-link` prints.
    #[param(min_length = 1, max_length = 100, pattern = "^[A-Za-z0-9_-]{1,100}$", example = "q5Wn3kV8pYtL0xRb2mZc7uHdJ9sGfE4aQ6iOvT1yXwM")]
    pub code: String,
}

/// E-mail and password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignIn {
    /// The account's e-mail.
    #[schema(min_length = 3, max_length = 254, example = "anna@example.com")]
    pub email: String,
    /// The account's password.
    #[schema(min_length = 1, max_length = 256, format = Password)]
    pub password: String,
    /// The slug of the tenant to act in; the account's home when absent.
    #[schema(min_length = 1, max_length = 63, example = "acme")]
    pub tenant: Option<String>,
    /// True for tokens in the answer, as programs want them, instead of a cookie.
    #[serde(default)]
    pub tokens: bool,
}

/// A refresh token.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RefreshRequest {
    /// The refresh token of the last sign-in or refresh.
    #[schema(min_length = 1, max_length = 100, example = "q5Wn3kV8pYtL0xRb2mZc7uHdJ9sGfE4aQ6iOvT1yXwM")]
    pub refresh_token: String,
}

/// A session that began, or went on.
#[derive(Serialize, ToSchema)]
pub struct SignedIn {
    /// The session.
    pub session: Id<Session>,
    /// Whether nothing is allowed until the password was changed, with `POST /api/v1/me/password`.
    pub must_change: bool,
    /// The access token; only when tokens were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_token: Option<String>,
    /// `Bearer`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_type: Option<&'static str>,
    /// Seconds until the access token ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_in: Option<u64>,
    /// Good for one refresh. One that is used a second time ends the session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<String>,
}

/// Open a one-time link
///
/// Signs the browser in and leads it to the page. A link works once, for 15 minutes.
#[utoipa::path(get, path = "/signin", tag = "session", params(SignInQuery), security(()),
    responses(
        (status = 303, description = "Signed in: the cookie is set, go to the page.",
            headers(("Location" = String, description = "The page."), ("Set-Cookie" = String, description = "The session."))),
        (status = 401, description = "The code is wrong, was used, or is too old.", content_type = "text/html", body = String),
        OpenProblems))]
pub async fn sign_in(
    State(platform): State<Platform>,
    trace: Trace,
    headers: HeaderMap,
    Query(query): Query<SignInQuery>,
) -> Result<Response> {
    if !(1..=100).contains(&query.code.len()) || !query.code.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-') {
        return Err(Error::field("code", "must be the code of a link that `astrolabe login-link` printed"));
    }
    let to_page = [(header::LOCATION, HeaderValue::from_static("/")), (header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    match open_link(&platform, &trace, &headers, &query.code).await? {
        Opened::Session(cookie) => {
            let cookie = [(header::SET_COOKIE, set_cookie(&cookie, SESSION_LIFE.as_secs(), platform.0.secure_cookies))];
            Ok((StatusCode::SEE_OTHER, to_page, cookie).into_response())
        }
        Opened::Joined => Ok((StatusCode::SEE_OTHER, to_page).into_response()),
        Opened::Refused => {
            platform.refused(&invalid(), Some(trace), "sign-in link").await;
            Ok((StatusCode::UNAUTHORIZED, [(header::CACHE_CONTROL, "no-store")], Html(REFUSED)).into_response())
        }
    }
}

/// What became of a link.
enum Opened {
    /// A session began; the value of its cookie.
    Session(String),
    /// Its owner has an account, and signs in with what belongs to that.
    Joined,
    /// The code cannot be used.
    Refused,
}

/// Exchanges a code for a session.
async fn open_link(platform: &Platform, trace: &Trace, headers: &HeaderMap, code: &str) -> Result<Opened> {
    let kernel = platform.kernel();
    let mut tx = kernel.db.write_all().await?;
    let Some(code) = tx.take_code(&hex::encode(digest(code)), kernel.now()).await? else { return Ok(Opened::Refused) };
    let began = match code.user {
        _ if code.joins => Opened::Joined,
        None => Opened::Session(start(platform, &mut tx, trace, headers, &Start::local_admin()).await?.cookie),
        Some(user) => match entrant(&mut tx, user, Some(code.tenant)).await? {
            Some(start_as) => {
                let start_as = Start { method: "link", ..start_as };
                Opened::Session(start(platform, &mut tx, trace, headers, &start_as).await?.cookie)
            }
            None => Opened::Refused,
        },
    };
    tx.commit().await?;
    Ok(began)
}

/// Whose session is to begin, where and how.
pub(super) struct Start {
    pub principal: Principal,
    pub user: Option<UserId>,
    pub method: &'static str,
    pub must_change: bool,
    /// How long it lasts at most.
    pub life: Duration,
}

impl Start {
    fn local_admin() -> Self {
        Self { principal: Principal::local_admin(), user: None, method: "link", must_change: false, life: SESSION_LIFE }
    }
}

/// Somebody who may act in a tenant: the one that is asked for, else his home, else the first of those that he is a member of.
async fn entrant(tx: &mut Tx, user: UserId, tenant: Option<TenantId>) -> Result<Option<Start>> {
    let Some(account) = accounts::store::account(tx, user).await?.filter(|a| a.state == Standing::Active) else { return Ok(None) };
    let tenants = tenants::store::of_user(tx, &user.to_string(), 1000).await?;
    let found = match tenant {
        Some(tenant) => tenants.iter().find(|t| t.id == tenant),
        None => tenants.iter().find(|t| t.id == account.home).or(tenants.first()),
    };
    let Some(tenant) = found.map(|t| t.id) else { return Ok(None) };
    let Some(member) = accounts::store::member(tx, tenant, user).await? else { return Ok(None) };
    let principal = Principal::new(principal_id(user), member.name, tenant, member.role, member.capabilities, "sign-in");
    Ok(Some(Start { principal, user: Some(user), method: "password", must_change: account.must_change, life: SESSION_LIFE }))
}

/// A session that began.
pub(super) struct Started {
    pub id: Id<Session>,
    pub cookie: String,
}

/// Begins a session and records it.
pub(super) async fn start(platform: &Platform, tx: &mut Tx, trace: &Trace, headers: &HeaderMap, start: &Start) -> Result<Started> {
    let (kernel, now) = (platform.kernel(), platform.kernel().now());
    let principal = &start.principal;
    tx.prune_sessions(now, now.minus(SESSION_IDLE)).await?;
    tx.keep_newest_sessions(&principal.id, MAX_SESSIONS - 1).await?;
    let (id, cookie) = (kernel.id::<Session>(), kernel.random.token(32));
    // Who takes tokens has no cookie, and nothing has this for its hash.
    let hash = if start.method == "token" { id.to_string() } else { hex::encode(digest(&cookie)) };
    tx.insert_session(NewSession {
        id,
        tenant: principal.tenant,
        principal: &principal.id,
        user: start.user,
        method: start.method,
        client: &client(headers),
        hash: &hash,
        now,
        expires_at: now.plus(start.life),
    })
    .await?;
    if let Some(user) = start.user {
        accounts::store::seen(tx, user, now).await?;
    }
    let payload = json!({ "method": start.method });
    let record = Record { principal, trace, action: "sessions.start", subject: id.to_string(), outcome: Outcome::Ok, payload };
    tx.audit(kernel, record).await?;
    Ok(Started { id, cookie })
}

/// What a client calls itself, for the list of sessions: 200 characters at most.
fn client(headers: &HeaderMap) -> String {
    let said = headers.get(header::USER_AGENT).and_then(|v| v.to_str().ok()).unwrap_or("");
    said.chars().take(200).collect()
}

/// Sign in with e-mail and password
///
/// Sets the page's cookie or, with `tokens`, answers an access token for ten minutes and a refresh token. A wrong e-mail and a wrong password
/// look the same and take the same time; after some that were wrong one has to wait.
#[utoipa::path(post, path = "/api/v1/sessions", tag = "session", request_body = SignIn, security(()),
    responses(
        (status = 201, description = "Signed in.", body = SignedIn, headers(("Set-Cookie" = Option<String>, description = "The session, unless tokens were asked for."))),
        OpenProblems, SignInProblem, BodyProblems))]
pub async fn create_session(
    State(platform): State<Platform>,
    trace: Trace,
    address: ClientAddress,
    headers: HeaderMap,
    Json(wish): Json<SignIn>,
) -> Result<Response> {
    let email = fold_email(&wish.email)?;
    if !(1..=*LENGTH.end()).contains(&wish.password.chars().count()) {
        return Err(Error::field("password", format!("must be 1 to {} characters", LENGTH.end())));
    }
    let kernel = platform.kernel();
    platform.0.attempts.check(&email, address, kernel.now())?;
    let account = accounts::store::account_by_email(&mut kernel.db.read_all().await?, &email).await?;
    let hash = account.as_ref().and_then(|a| a.password_hash.clone());
    let right = platform.0.passwords.verify(&wish.password, hash.clone()).await?;
    let signed_in = match account.filter(|_| right) {
        Some(account) => begin(&platform, &trace, &headers, &wish, account.id, hash).await?,
        None => None,
    };
    match signed_in {
        Some((start, started)) => {
            platform.0.attempts.succeeded(&email, address);
            answer(&platform, wish.tokens, start, started).await
        }
        None => {
            platform.0.attempts.failed(&email, address, kernel.now());
            let error = Error::new(code::INVALID_CREDENTIALS, "e-mail, password or tenant is wrong, or the account may not be used");
            platform.refused(&error, Some(trace), "password").await;
            Err(error)
        }
    }
}

/// Begins the session of somebody whose password is right; nothing when he may not act, or the password was changed meanwhile.
async fn begin(
    platform: &Platform,
    trace: &Trace,
    headers: &HeaderMap,
    wish: &SignIn,
    user: UserId,
    hash: Option<String>,
) -> Result<Option<(Start, Started)>> {
    let mut tx = platform.kernel().db.write_all().await?;
    if accounts::store::account(&mut tx, user).await?.is_none_or(|a| a.password_hash != hash) {
        return Ok(None);
    }
    let tenant = match &wish.tenant {
        None => None,
        Some(slug) => match tenants::store::by_slug(&mut tx, slug).await? {
            Some(tenant) => Some(tenant.id),
            None => return Ok(None),
        },
    };
    let Some(mut entrant) = entrant(&mut tx, user, tenant).await? else { return Ok(None) };
    if wish.tokens {
        entrant.method = "token";
    }
    let started = start(platform, &mut tx, trace, headers, &entrant).await?;
    tx.commit().await?;
    Ok(Some((entrant, started)))
}

async fn answer(platform: &Platform, tokens: bool, start: Start, started: Started) -> Result<Response> {
    let Start { principal, user, must_change, .. } = start;
    if !tokens {
        let signed_in = bare(started.id, must_change);
        let cookie = set_cookie(&started.cookie, SESSION_LIFE.as_secs(), platform.0.secure_cookies);
        let headers = [(header::SET_COOKIE, cookie), (header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
        return Ok((StatusCode::CREATED, headers, Json(signed_in)).into_response());
    }
    let kernel = platform.kernel();
    let refresh = kernel.random.token(32);
    let signed_in = with_tokens(platform, started.id, user, must_change, refresh.clone()).await?;
    let mut tx = kernel.db.write(principal.tenant).await?;
    tx.insert_refresh(&hex::encode(digest(&refresh)), principal.tenant, started.id, kernel.now()).await?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, [(header::CACHE_CONTROL, "no-store")], Json(signed_in)).into_response())
}

fn bare(session: Id<Session>, must_change: bool) -> SignedIn {
    SignedIn { session, must_change, access_token: None, token_type: None, expires_in: None, refresh_token: None }
}

/// A session with a fresh access token of our own. What its bearer may do is asked of the database, so it says no roles.
async fn with_tokens(
    platform: &Platform,
    session: Id<Session>,
    user: Option<UserId>,
    must_change: bool,
    refresh: String,
) -> Result<SignedIn> {
    let subject = user.map_or_else(|| "local-admin".to_owned(), |u| u.to_string());
    let grant = Grant { subject: &subject, session: Some(&session.to_string()), claims: serde_json::Map::new() };
    let issued = platform.0.identity.keys().issue(grant).await?;
    Ok(SignedIn {
        access_token: Some(issued.token.expose().to_owned()),
        token_type: Some("Bearer"),
        expires_in: Some(ACCESS_LIFE.as_secs()),
        refresh_token: Some(refresh),
        ..bare(session, must_change)
    })
}

/// Exchange a refresh token
///
/// Answers a new access token and a new refresh token; the one that was sent is used up. One that comes a second time ends the session, for then two
/// have it.
#[utoipa::path(post, path = "/api/v1/sessions/refresh", tag = "session", request_body = RefreshRequest, security(()),
    responses((status = 200, description = "The session goes on.", body = SignedIn), OpenProblems, SignInProblem, BodyProblems))]
pub async fn refresh_session(State(platform): State<Platform>, trace: Trace, Json(wish): Json<RefreshRequest>) -> Result<Response> {
    match refresh(&platform, &trace, &wish.refresh_token).await {
        Ok(signed_in) => Ok(([(header::CACHE_CONTROL, "no-store")], Json(signed_in)).into_response()),
        Err(error) => {
            platform.refused(&error, Some(trace), "refresh token").await;
            Err(error)
        }
    }
}

async fn refresh(platform: &Platform, trace: &Trace, token: &str) -> Result<SignedIn> {
    let (kernel, hash) = (platform.kernel(), hex::encode(digest(token)));
    let known = kernel.db.read_all().await?.refresh(&hash).await?.ok_or_else(invalid)?;
    if known.used {
        return reused(platform, trace, known.session).await;
    }
    let standing = platform.session_standing("", &known.session.to_string(), kernel.now()).await?;
    // Signed before the transaction, which must not wait for anything.
    let next = kernel.random.token(32);
    let must_change = standing.must_change();
    let signed_in = with_tokens(platform, known.session, standing.user, must_change, next.clone()).await?;
    let mut tx = kernel.db.write(known.tenant).await?;
    if !tx.use_refresh(&hash, kernel.now()).await? {
        drop(tx);
        return reused(platform, trace, known.session).await;
    }
    tx.insert_refresh(&hex::encode(digest(&next)), known.tenant, known.session, kernel.now()).await?;
    tx.commit().await?;
    Ok(signed_in)
}

/// Ends a session one of whose refresh tokens came twice: one of the two who sent it should not have it, and nobody can tell which.
async fn reused(platform: &Platform, trace: &Trace, session: Id<Session>) -> Result<SignedIn> {
    let kernel = platform.kernel();
    let mut tx = kernel.db.write_all().await?;
    if let Some(found) = tx.session("", &session.to_string()).await? {
        let owner = found.user.map_or_else(|| Principal::local_admin().id, principal_id);
        tx.delete_session(session, &owner).await?;
        let name = found.member.map_or_else(String::new, |m| m.name);
        let principal = Principal { id: owner, name, tenant: found.tenant, ..Principal::local_admin() };
        let record = Record {
            principal: &principal,
            trace,
            action: "sessions.reuse",
            subject: session.to_string(),
            outcome: Outcome::Refused,
            payload: json!({}),
        };
        tx.audit(kernel, record).await?;
        tracing::warn!(session = %session, "a refresh token came a second time; its session was ended");
    }
    tx.commit().await?;
    platform.forget_session(session);
    Err(invalid())
}

pub(super) fn set_cookie(value: &str, life: u64, secure: bool) -> HeaderValue {
    let secure = if secure { "; Secure" } else { "" };
    HeaderValue::from_str(&format!("{COOKIE}={value}; Path=/; Max-Age={life}; HttpOnly; SameSite=Strict{secure}"))
        .unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// No script and no style in it: the content security policy of the server forbids both inline.
const REFUSED: &str = "<!doctype html>
<html lang=\"en\">
<head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\"><title>This link cannot be used - Astrolabe</title>
<link rel=\"stylesheet\" href=\"/docs/style.css\"></head>
<body><main class=\"note\">
<h1>This sign-in link cannot be used</h1>
<p>A link works once and for 15 minutes. This one was used before, is older than that, or was not copied completely.</p>
<p>Make a new one on the machine that runs Astrolabe, and open it in this browser:</p>
<pre><code>astrolabe login-link</code></pre>
<p>Add <code>--data-dir DIR</code> when the data is not in the folder <code>data</code>.</p>
</main></body>
</html>
";
