//! Signing in, signing out, and who is signed in.

use astrolabe_kernel::{
    Kernel, Principal, Result,
    audit::{Outcome, Record},
    http::{CommonProblems, Json, May, OpenProblems, Query, Trace},
    principal::{Right, TenantId, right},
};
use axum::{
    Extension,
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{Html, IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    COOKIE, Current, MAX_CODES, MAX_SESSIONS, SESSION_IDLE, SESSION_LIFE, Session, digest,
    store::{NewSession, Sessions},
};
use crate::Platform;

/// The signed-in caller.
#[derive(Debug, Serialize, ToSchema)]
pub struct Me {
    /// Who it is.
    pub principal: Who,
    /// Whose data it sees.
    pub tenant: Home,
}

/// A principal, as its owner reads it.
#[derive(Debug, Serialize, ToSchema)]
pub struct Who {
    /// Its stable id; the `actor` of audit entries.
    #[schema(example = "user:local-admin")]
    pub id: String,
    /// Its name for people.
    pub name: String,
    /// Its roles and capabilities.
    pub roles: Vec<String>,
    /// What it may do, by the names of `docs/generated/access.md`.
    pub rights: Vec<Right>,
}

/// A tenant, as its members read it.
#[derive(Debug, Serialize, ToSchema)]
pub struct Home {
    /// Its id.
    #[schema(value_type = String)]
    pub id: TenantId,
    /// Its name for people.
    pub name: String,
}

/// The signed-in caller
///
/// Tells who the token or the session stands for, and which tenant's data it sees.
#[utoipa::path(get, path = "/api/v1/me", tag = "session", responses((status = 200, description = "The caller.", body = Me), CommonProblems, right::OwnAccount))]
pub async fn get_me(caller: May<right::OwnAccount>) -> Json<Me> {
    let me = caller.into_caller().principal;
    let rights = me.rights().list();
    let Principal { id, name, tenant, role, capabilities, .. } = me;
    let roles = std::iter::once(role.as_str().to_owned()).chain(capabilities).collect();
    std::future::ready(Json(Me { principal: Who { id, name, roles, rights }, tenant: Home { id: tenant, name: "default".to_owned() } }))
        .await
}

/// Sign out
///
/// Ends the session of the cookie that the request came with. With a bearer token there is no session to end, and nothing happens.
#[utoipa::path(delete, path = "/api/v1/sessions/current", tag = "session",
    responses((status = 204, description = "Signed out; the cookie is gone."), CommonProblems, right::OwnAccount))]
pub async fn end_current_session(
    State(platform): State<Platform>,
    caller: May<right::OwnAccount>,
    session: Option<Extension<Current>>,
) -> Result<Response> {
    if let Some(Extension(Current(id))) = session {
        let kernel = platform.kernel();
        let mut tx = kernel.db.write(caller.principal.tenant).await?;
        if tx.delete_session(id).await? > 0 {
            let record = Record {
                principal: &caller.principal,
                trace: &caller.trace,
                action: "sessions.end",
                subject: id.to_string(),
                outcome: Outcome::Ok,
                payload: serde_json::json!({}),
            };
            tx.audit(kernel, record).await?;
        }
        tx.commit().await?;
    }
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, set_cookie("", 0, platform.0.secure_cookies))]).into_response())
}

/// The code of a one-time link.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct SignInQuery {
    /// The code of the link that `astrolabe login-link` prints.
    #[param(min_length = 1, max_length = 100, pattern = "^[A-Za-z0-9_-]{1,100}$", example = "q5Wn3kV8pYtL0xRb2mZc7uHdJ9sGfE4aQ6iOvT1yXwM")]
    pub code: String,
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
pub async fn sign_in(State(platform): State<Platform>, trace: Trace, Query(query): Query<SignInQuery>) -> Result<Response> {
    let kernel = platform.kernel();
    if !(1..=100).contains(&query.code.len()) || !query.code.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-') {
        return Err(astrolabe_kernel::Error::field("code", "must be the code of a link that `astrolabe login-link` printed"));
    }
    match start_session(kernel, &trace, &query.code).await? {
        Some(cookie) => {
            let life = SESSION_LIFE.as_secs();
            let headers = [
                (header::LOCATION, HeaderValue::from_static("/")),
                (header::SET_COOKIE, set_cookie(&cookie, life, platform.0.secure_cookies)),
                (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
            ];
            Ok((StatusCode::SEE_OTHER, headers).into_response())
        }
        None => {
            platform.note_refusal(&trace, "sign-in link").await;
            Ok((StatusCode::UNAUTHORIZED, [(header::CACHE_CONTROL, "no-store")], Html(REFUSED)).into_response())
        }
    }
}

/// Exchanges a code for a session. Returns the cookie's value, or nothing when the code cannot be used.
async fn start_session(kernel: &Kernel, trace: &Trace, code: &str) -> Result<Option<String>> {
    let now = kernel.now();
    let principal = Principal::local_admin();
    let mut tx = kernel.db.write_all().await?;
    tx.prune_sessions(now, now.minus(SESSION_IDLE)).await?;
    if !tx.take_code(&hex::encode(digest(code)), now).await? {
        return tx.commit().await.map(|()| None);
    }
    tx.keep_newest(principal.tenant, MAX_CODES, MAX_SESSIONS - 1).await?;
    let cookie = kernel.random.token(32);
    let id = kernel.id::<Session>();
    let hash = hex::encode(digest(&cookie));
    tx.insert_session(NewSession {
        id,
        tenant: principal.tenant,
        principal: &principal.id,
        hash: &hash,
        now,
        expires_at: now.plus(SESSION_LIFE),
    })
    .await?;
    let record = Record {
        principal: &principal,
        trace,
        action: "sessions.start",
        subject: id.to_string(),
        outcome: Outcome::Ok,
        payload: serde_json::json!({}),
    };
    tx.audit(kernel, record).await?;
    tx.commit().await?;
    Ok(Some(cookie))
}

fn set_cookie(value: &str, life: u64, secure: bool) -> HeaderValue {
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
