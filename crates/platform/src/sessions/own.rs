//! One's own account and sessions.

use astrolabe_kernel::{
    Error, Id, Principal, Result, Timestamp,
    audit::Record,
    error::code,
    http::{BodyProblems, ClientAddress, CommonProblems, ConflictProblem, Json, May, NotFoundProblem, Path},
    page::Page,
    principal::{Right, TenantId, right},
};
use axum::{
    Extension,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::{CODE_LIFE, Current, MAX_SESSIONS, SESSION_IDLE, Session, routes::set_cookie, store::Sessions};
use crate::{
    Platform,
    accounts::{self, passwords, principal_id, user_of},
    tenants::{self, Tenant},
};

/// Tenants that are listed to somebody at most.
const MAX_TENANTS: i64 = 200;

/// The signed-in caller.
#[derive(Debug, Serialize, ToSchema)]
pub struct Me {
    /// Who it is.
    pub principal: Who,
    /// The e-mail of the account; null for the local administrator, and where an issuer outside tells none.
    pub email: Option<String>,
    /// Whose data it sees.
    pub tenant: Home,
    /// The tenants that the caller can switch to, this one included.
    pub tenants: Vec<Home>,
    /// The session that the request came with; null for tokens and keys without one.
    pub session: Option<Id<Session>>,
    /// Whether nothing is allowed until the password was changed.
    pub must_change: bool,
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
    /// Its short name.
    pub slug: String,
    /// Its name for people.
    pub name: String,
}

impl From<Tenant> for Home {
    fn from(tenant: Tenant) -> Self {
        Self { id: tenant.id, slug: tenant.slug, name: tenant.name }
    }
}

/// One of the caller's sessions.
#[derive(Debug, Serialize, ToSchema)]
pub struct SessionView {
    /// Its id.
    pub id: Id<Session>,
    /// The tenant that it acts in.
    pub tenant_id: TenantId,
    /// How it began: `link`, `password` or `token`.
    pub method: String,
    /// What the client called itself.
    pub client: String,
    /// Whether this request came with it.
    pub current: bool,
    /// When it began.
    pub created_at: Timestamp,
    /// When it was last used, to the minute.
    pub last_used_at: Timestamp,
    /// When it ends at the latest.
    pub expires_at: Timestamp,
}

/// The tenant to act in.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Switch {
    /// Its slug.
    #[schema(min_length = 1, max_length = 63, example = "acme")]
    pub tenant: String,
}

/// A new password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasswordChange {
    /// The password that it replaces. Not needed within 15 minutes after a one-time link was opened.
    #[schema(min_length = 1, max_length = 256, format = Password)]
    pub current_password: Option<String>,
    /// The new one.
    #[schema(min_length = 12, max_length = 256, format = Password, example = "seven lamps near Gdynia")]
    pub password: String,
}

/// The signed-in caller
///
/// Tells who the token or the session stands for, which tenant's data it sees, and to which others it can switch.
#[utoipa::path(get, path = "/api/v1/me", tag = "session", responses((status = 200, description = "The caller.", body = Me), CommonProblems, right::OwnAccount))]
pub async fn get_me(
    State(platform): State<Platform>,
    caller: May<right::OwnAccount>,
    session: Option<Extension<Current>>,
) -> Result<Json<Me>> {
    let me = caller.into_caller().principal;
    me_of(&platform, me, session.map(|s| s.0.0)).await.map(Json)
}

async fn me_of(platform: &Platform, me: Principal, session: Option<Id<Session>>) -> Result<Me> {
    let mut tx = platform.kernel().db.read_all().await?;
    let tenant = tenants::store::get(&mut tx, me.tenant).await?.ok_or_else(|| Error::internal("the caller's tenant is gone"))?;
    let (email, must_change, tenants) = match user_of(&me) {
        None => (None, false, vec![tenant.clone()]),
        Some(user) => {
            let account = accounts::store::account(&mut tx, user).await?;
            let tenants = tenants::store::of_user(&mut tx, &user.to_string(), MAX_TENANTS).await?;
            let must_change = account.as_ref().is_some_and(|a| a.must_change);
            (account.and_then(|a| a.email), must_change, tenants)
        }
    };
    let rights = me.rights().list();
    let Principal { id, name, role, capabilities, .. } = me;
    let roles = std::iter::once(role.as_str().to_owned()).chain(capabilities).collect();
    let principal = Who { id, name, roles, rights };
    Ok(Me { principal, email, tenant: tenant.into(), tenants: tenants.into_iter().map(Home::from).collect(), session, must_change })
}

/// List one's own sessions, newest first.
#[utoipa::path(get, path = "/api/v1/sessions", tag = "session",
    responses((status = 200, description = "All of them; there is no second page.", body = Page<SessionView>), CommonProblems, right::OwnAccount))]
pub async fn list_sessions(
    State(platform): State<Platform>,
    caller: May<right::OwnAccount>,
    session: Option<Extension<Current>>,
) -> Result<Json<Page<SessionView>>> {
    let now = platform.kernel().now();
    let current = session.map(|s| s.0.0);
    let mut tx = platform.kernel().db.read_all().await?;
    let sessions = tx.sessions_of(&caller.principal.id, now, now.minus(SESSION_IDLE), MAX_SESSIONS).await?;
    let view = |s: super::store::Listed| SessionView {
        id: s.id,
        tenant_id: s.tenant,
        method: s.method,
        client: s.client,
        current: current == Some(s.id),
        created_at: s.created_at,
        last_used_at: s.last_used_at,
        expires_at: s.expires_at,
    };
    Ok(Json(Page { items: sessions.into_iter().map(view).collect(), next_cursor: None }))
}

/// End one of one's own sessions.
#[utoipa::path(delete, path = "/api/v1/sessions/{id}", tag = "session", params(("id" = Id<Session>, Path)),
    responses((status = 204, description = "Ended, with its tokens."), CommonProblems, right::OwnAccount, NotFoundProblem))]
pub async fn end_session(
    State(platform): State<Platform>,
    caller: May<right::OwnAccount>,
    Path(id): Path<Id<Session>>,
) -> Result<StatusCode> {
    if !end(&platform, &caller, id).await? {
        return Err(Error::not_found("session"));
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Sign out
///
/// Ends the session that the request came with. With a token or key that has none, nothing happens.
#[utoipa::path(delete, path = "/api/v1/sessions/current", tag = "session",
    responses((status = 204, description = "Signed out; the cookie is gone."), CommonProblems, right::OwnAccount))]
pub async fn end_current_session(
    State(platform): State<Platform>,
    caller: May<right::OwnAccount>,
    session: Option<Extension<Current>>,
) -> Result<Response> {
    if let Some(Extension(Current(id))) = session {
        end(&platform, &caller, id).await?;
    }
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, set_cookie("", 0, platform.0.secure_cookies))]).into_response())
}

async fn end(platform: &Platform, caller: &May<right::OwnAccount>, id: Id<Session>) -> Result<bool> {
    let kernel = platform.kernel();
    // One's sessions may be of several tenants.
    let mut tx = kernel.db.write_all().await?;
    if tx.delete_session(id, &caller.principal.id).await? == 0 {
        return Ok(false);
    }
    tx.audit(kernel, Record::of(caller, "sessions.end", id, json!({}))).await?;
    tx.commit().await?;
    platform.forget_session(id);
    Ok(true)
}

/// Switch to another tenant
///
/// The session that the request came with acts in that tenant from now on, with the role that its owner has there.
#[utoipa::path(post, path = "/api/v1/sessions/current/tenant", tag = "session", request_body = Switch,
    responses((status = 200, description = "The caller, in the other tenant.", body = Me), CommonProblems, right::OwnAccount, NotFoundProblem,
        ConflictProblem, BodyProblems))]
pub async fn switch_tenant(
    State(platform): State<Platform>,
    caller: May<right::OwnAccount>,
    session: Option<Extension<Current>>,
    Json(wish): Json<Switch>,
) -> Result<Json<Me>> {
    let kernel = platform.kernel();
    let (Some(Extension(Current(session))), Some(user)) = (session, user_of(&caller.principal)) else {
        return Err(Error::new(code::INVALID_STATE, "this token or session is of one tenant; sign in with e-mail and password to switch"));
    };
    let mut tx = kernel.db.write_all().await?;
    let of_user = tenants::store::of_user(&mut tx, &user.to_string(), MAX_TENANTS).await?;
    let tenant = of_user.into_iter().find(|t| t.slug == wish.tenant).ok_or_else(|| Error::not_found("tenant"))?;
    let member = accounts::store::member(&mut tx, tenant.id, user).await?.ok_or_else(|| Error::not_found("tenant"))?;
    let there = Principal {
        name: member.name,
        tenant: tenant.id,
        role: member.role,
        capabilities: member.capabilities,
        ..caller.principal.clone()
    };
    if tenant.id != caller.principal.tenant {
        tx.move_session(session, tenant.id).await?;
        // Both tenants see who came and went.
        for principal in [&caller.principal, &there] {
            let mut record = Record::of(&caller, "sessions.switch", session, json!({ "to": tenant.id }));
            record.principal = principal;
            tx.audit(kernel, record).await?;
        }
    }
    tx.commit().await?;
    platform.forget_session(session);
    me_of(&platform, there, Some(session)).await.map(Json)
}

/// Change one's own password
///
/// Ends one's other sessions, their tokens and the links that wait to be opened.
#[utoipa::path(post, path = "/api/v1/me/password", tag = "session", request_body = PasswordChange,
    responses((status = 204, description = "Changed."), CommonProblems, right::OwnAccount, ConflictProblem, BodyProblems))]
pub async fn change_password(
    State(platform): State<Platform>,
    caller: May<right::OwnAccount>,
    session: Option<Extension<Current>>,
    address: ClientAddress,
    Json(change): Json<PasswordChange>,
) -> Result<StatusCode> {
    let kernel = platform.kernel();
    let none = || Error::new(code::INVALID_STATE, "the local administrator has no password: make an account with `astrolabe user add`");
    let user = user_of(&caller.principal).ok_or_else(none)?;
    let session = session.map(|s| s.0.0);
    let mut tx = kernel.db.read_all().await?;
    let account = accounts::store::account(&mut tx, user).await?.ok_or_else(|| Error::not_found("account"))?;
    let began = match session {
        Some(id) => tx.session("", &id.to_string()).await?,
        None => None,
    };
    drop(tx);
    let (Some(email), None) = (account.email.as_deref(), &account.issuer) else {
        return Err(Error::new(code::INVALID_STATE, "this account signs in at its issuer, which has its password"));
    };
    passwords::check(&change.password, &[email, &account.name, &caller.principal.name])?;
    let by_link = began.is_some_and(|s| s.method == "link" && kernel.now().since(s.created_at) <= CODE_LIFE);
    match change.current_password {
        None if by_link => {}
        None => return Err(Error::field("current_password", "is needed; who forgot it opens a new one-time link")),
        Some(current) => {
            platform.0.attempts.check(email, address, kernel.now())?;
            if !platform.0.passwords.verify(&current, account.password_hash.clone()).await? {
                platform.0.attempts.failed(email, address, kernel.now());
                return Err(Error::field("current_password", "is wrong"));
            }
            platform.0.attempts.succeeded(email, address);
            if current == change.password {
                return Err(Error::field("password", "must be another than before"));
            }
        }
    }
    let hash = platform.0.passwords.hash(&kernel.random, &change.password).await?;
    let mut tx = kernel.db.write_all().await?;
    accounts::store::set_password(&mut tx, user, &hash, false).await?;
    let ended = tx.delete_sessions_of(user, None, session).await?;
    tx.delete_codes_of(user).await?;
    tx.audit(kernel, Record::of(&caller, "accounts.password", principal_id(user), json!({ "sessions_ended": ended }))).await?;
    tx.commit().await?;
    platform.forget_user(user);
    Ok(StatusCode::NO_CONTENT)
}
