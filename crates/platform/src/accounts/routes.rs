//! Endpoints of people, for those who manage users.
//!
//! They work on the caller's tenant; `tenant` names another for those who manage the installation.

use astrolabe_kernel::{
    Error, Principal, Result, Role, Tx,
    audit::Record,
    db::is_unique_violation,
    error::code,
    http::{BodyProblems, CommonProblems, ConflictProblem, Json, May, NotFoundProblem, Path, PreconditionProblem, Query, ShownOnce},
    page::{Page, page_limit, read_cursor},
    principal::{AUDITOR, Right, Rights, TenantId, right},
};
use axum::{
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};

use super::{
    Account, AccountView, Member, MemberChange, NewMember, State as Standing, UserId, check_capabilities, check_may_give, check_not_above,
    fold_email, last_admin, passwords, store,
};
use crate::{
    Platform, etag,
    sessions::{CODE_LIFE, insert_code, store::Sessions},
    tenants::{self, check_name},
};

/// Which people to list.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct UserQuery {
    /// The slug of another tenant than the caller's; needs the right `manage_tenants`.
    #[param(min_length = 1, max_length = 63, example = "acme")]
    pub tenant: Option<String>,
    /// Only the one with this e-mail.
    #[param(min_length = 3, max_length = 254, example = "anna@example.com")]
    pub email: Option<String>,
    /// How many at most.
    #[param(minimum = 1, maximum = 200, default = 50, example = 20)]
    pub limit: Option<u32>,
    /// The `next_cursor` of the page before.
    #[param(min_length = 1, max_length = 200, pattern = "^[A-Za-z0-9_.~-]{1,200}$", example = "usr_01JD3V9M7Q4R8T2W6X0Y5Z1ABC")]
    #[serde(default, deserialize_with = "read_cursor")]
    pub cursor: Option<String>,
}

/// Of which tenant.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct TenantQuery {
    /// The slug of another tenant than the caller's; needs the right `manage_tenants`.
    #[param(min_length = 1, max_length = 63, example = "acme")]
    pub tenant: Option<String>,
}

/// A person that was added.
#[derive(Serialize, ToSchema)]
pub struct AddedMember {
    /// The member.
    #[serde(flatten)]
    pub member: Member,
    /// The path of a one-time link for that person, to be put behind the server's address. It is shown this once.
    #[schema(example = "/signin?code=q5Wn3kV8pYtL0xRb2mZc7uHdJ9sGfE4aQ6iOvT1yXwM")]
    pub sign_in_path: String,
    /// Seconds until the link ends.
    pub expires_in: u64,
}

/// A one-time link.
#[derive(Serialize, ToSchema)]
pub struct SignInLink {
    /// Its path, to be put behind the server's address. It is shown this once.
    #[schema(example = "/signin?code=q5Wn3kV8pYtL0xRb2mZc7uHdJ9sGfE4aQ6iOvT1yXwM")]
    pub sign_in_path: String,
    /// Seconds until it ends.
    pub expires_in: u64,
}

/// A password for somebody.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPassword {
    /// The password.
    #[schema(min_length = 12, max_length = 256, format = Password, example = "seven lamps near Gdynia")]
    pub password: String,
    /// Whether it has to be changed at the next sign-in; true when absent.
    pub must_change: Option<bool>,
}

/// How many sessions were ended.
#[derive(Serialize, ToSchema)]
pub struct SignedOut {
    /// Sessions that were ended.
    pub sessions: u64,
}

/// Roles, and what they allow.
#[derive(Serialize, ToSchema)]
pub struct Roles {
    /// The lattice from the bottom up; each role has the rights of those before it.
    pub roles: Vec<RoleView>,
    /// The capability roles that members of the tenant have.
    pub capabilities: Vec<CapabilityView>,
}

/// A role of the lattice.
#[derive(Serialize, ToSchema)]
pub struct RoleView {
    /// Its name.
    pub name: Role,
    /// The rights that it gives.
    pub rights: Vec<Right>,
}

/// A capability role.
#[derive(Serialize, ToSchema)]
pub struct CapabilityView {
    /// Its name.
    pub name: String,
    /// The rights that it gives; most give none, and are what tools ask for.
    pub rights: Vec<Right>,
}

/// The tenant that an operation works on. One that the caller may not name looks like one that is not there.
async fn tenant_of(platform: &Platform, caller: &Principal, slug: Option<&str>) -> Result<TenantId> {
    let Some(slug) = slug else { return Ok(caller.tenant) };
    let found = tenants::store::by_slug(&mut platform.kernel().db.read_all().await?, slug).await?;
    let may = |t: &tenants::Tenant| t.id == caller.tenant || caller.require(Right::ManageTenants).is_ok();
    found.filter(may).map(|t| t.id).ok_or_else(|| Error::not_found("tenant"))
}

/// A transaction that may change a tenant's people. Who manages the installation may change its administrators, who are counted across tenants.
async fn write(platform: &Platform, caller: &Principal, tenant: TenantId) -> Result<Tx> {
    match caller.role {
        Role::Admin => platform.kernel().db.write_all().await,
        _ => platform.kernel().db.write(tenant).await,
    }
}

/// The member, if there is one whom the caller may change.
async fn changeable(tx: &mut Tx, caller: &Principal, tenant: TenantId, id: UserId) -> Result<Member> {
    let member = store::lock_member(tx, tenant, id).await?.ok_or_else(|| Error::not_found("user"))?;
    check_not_above(caller, member.role)?;
    Ok(member)
}

/// Refuses what would leave the installation without an administrator. Called before the change, with what it would take away.
async fn keep_an_admin(tx: &mut Tx, lost: impl Fn(TenantId, UserId) -> bool) -> Result<()> {
    let admins = store::active_admins(tx).await?;
    let (gone, left): (Vec<_>, Vec<_>) = admins.into_iter().partition(|(tenant, user)| lost(*tenant, *user));
    if !gone.is_empty() && left.is_empty() { Err(last_admin()) } else { Ok(()) }
}

/// Refuses the erasure of somebody above the caller, and of the last administrator. Who is no member any more left only records behind.
pub(crate) async fn check_erasable(tx: &mut Tx, caller: &Principal, tenant: TenantId, id: UserId) -> Result<()> {
    if store::member(tx, tenant, id).await?.is_none() {
        return Ok(());
    }
    changeable(tx, caller, tenant, id).await?;
    keep_an_admin(tx, |t, user| t == tenant && user == id).await
}

/// Adds the account to a member, for those who manage the installation.
async fn with_account(tx: &mut Tx, caller: &Principal, member: Member) -> Result<Member> {
    if caller.require(Right::ManageTenants).is_err() {
        return Ok(member);
    }
    let account = store::account(tx, member.id).await?.map(|a| AccountView::from(&a));
    Ok(Member { account, ..member })
}

/// List people
///
/// The members of the tenant.
#[utoipa::path(get, path = "/api/v1/users", tag = "users", params(UserQuery),
    responses((status = 200, description = "A page.", body = Page<Member>), CommonProblems, right::ManageUsers, NotFoundProblem))]
pub async fn list_users(
    State(platform): State<Platform>,
    caller: May<right::ManageUsers>,
    Query(query): Query<UserQuery>,
) -> Result<Json<Page<Member>>> {
    let limit = page_limit(query.limit)?;
    let email = query.email.as_deref().map(fold_email).transpose()?.unwrap_or_default();
    let tenant = tenant_of(&platform, &caller.principal, query.tenant.as_deref()).await?;
    let mut tx = platform.kernel().db.read(tenant).await?;
    let rows = store::members(&mut tx, tenant, &email, query.cursor.as_deref().unwrap_or(""), limit).await?;
    let mut page = Page::of(rows, limit, |m| m.id.to_string());
    if caller.principal.require(Right::ManageTenants).is_ok() {
        for member in &mut page.items {
            member.account = store::account(&mut tx, member.id).await?.map(|a| AccountView::from(&a));
        }
    }
    Ok(Json(page))
}

/// Add a person
///
/// Makes an account, or adds the one that has the e-mail; which of the two is not told. The answer holds a one-time link for that person: with a new
/// account it signs in, and whoever has an account already signs in with that.
#[utoipa::path(post, path = "/api/v1/users", tag = "users", params(TenantQuery), request_body = NewMember,
    responses((status = 201, description = "Added.", body = AddedMember), CommonProblems, right::ManageUsers, NotFoundProblem, ConflictProblem, BodyProblems))]
pub async fn create_user(
    State(platform): State<Platform>,
    caller: May<right::ManageUsers>,
    Query(query): Query<TenantQuery>,
    Json(new): Json<NewMember>,
) -> Result<Response> {
    let kernel = platform.kernel();
    let email = fold_email(&new.email)?;
    let name = check_name(new.name.as_deref().unwrap_or_else(|| email.split('@').next().unwrap_or(&email)))?;
    let role = new.role.unwrap_or(Role::Viewer);
    check_may_give(&caller.principal, role)?;
    let capabilities = check_capabilities(new.capabilities)?;
    let tenant = tenant_of(&platform, &caller.principal, query.tenant.as_deref()).await?;
    let password_hash = match &new.password {
        None => None,
        Some(password) => {
            caller.principal.require(Right::ManageTenants)?;
            passwords::check(password, &[&email, &name])?;
            Some(platform.0.passwords.hash(&kernel.random, password).await?)
        }
    };
    let now = kernel.now();
    // Whether the account is a member elsewhere can be seen across tenants only.
    let mut tx = platform.kernel().db.write_all().await?;
    let taken = || Error::new(code::CONFLICT, "email: this person is a member already");
    let (id, joins) = match store::account_by_email(&mut tx, &email).await? {
        Some(_) if password_hash.is_some() => {
            return Err(Error::new(code::CONFLICT, "password: there is an account with this e-mail already, which keeps its own"));
        }
        Some(account) => (account.id, is_out_of_reach(&mut tx, &caller.principal, tenant, &account).await?),
        None => {
            let account = Account {
                id: kernel.id(),
                home: tenant,
                email: Some(email.clone()),
                name: name.clone(),
                state: Standing::Active,
                must_change: password_hash.is_some() && new.must_change.unwrap_or(true),
                password_hash,
                issuer: None,
                subject: None,
                created_at: now,
                last_seen_at: None,
            };
            store::insert_account(&mut tx, &account).await.map_err(|e| if is_unique_violation(&e) { taken() } else { e })?;
            (account.id, false)
        }
    };
    let state = Standing::Active;
    let member =
        Member { id, email: Some(email), name, role, capabilities, state, created_at: now, updated_at: now, account: None, version: 1 };
    store::insert_member(&mut tx, tenant, &member).await.map_err(|e| if is_unique_violation(&e) { taken() } else { e })?;
    let code = insert_code(&mut tx, kernel, tenant, Some(id), joins).await?;
    let payload = json!({ "email": member.email, "role": member.role, "capabilities": member.capabilities });
    audit(&mut tx, &platform, &caller, tenant, "users.add", id, payload).await?;
    let member = with_account(&mut tx, &caller.principal, member).await?;
    tx.commit().await?;
    let version = member.version;
    let added = AddedMember { member, sign_in_path: path_of(&code), expires_in: CODE_LIFE.as_secs() };
    let once = ShownOnce(&["/sign_in_path"]);
    Ok((StatusCode::CREATED, [(header::CACHE_CONTROL, "no-store")], once, etag::with(version, Json(added))).into_response())
}

/// Whether a link that the caller makes must not sign in as an account: it would open what the account has in other tenants, too. That it signs nobody
/// in is not told, as it would tell of elsewhere.
async fn is_out_of_reach(tx: &mut Tx, caller: &Principal, tenant: TenantId, account: &Account) -> Result<bool> {
    if account.issuer.is_some() {
        return Ok(true);
    }
    if caller.require(Right::ManageTenants).is_ok() {
        return Ok(false);
    }
    Ok(account.home != tenant || store::is_elsewhere(tx, tenant, account.id).await?)
}

fn path_of(code: &str) -> String {
    format!("/signin?code={code}")
}

/// Records a change of a person in the tenant that he is a member of.
async fn audit<R: astrolabe_kernel::principal::Asked>(
    tx: &mut Tx,
    platform: &Platform,
    caller: &May<R>,
    tenant: TenantId,
    action: &str,
    user: UserId,
    payload: serde_json::Value,
) -> Result<()> {
    let there = Principal { tenant, ..caller.principal.clone() };
    let mut record = Record::of(caller, action, user, payload);
    record.principal = &there;
    tx.audit(platform.kernel(), record).await
}

/// Read a person.
#[utoipa::path(get, path = "/api/v1/users/{id}", tag = "users", params(("id" = UserId, Path), TenantQuery),
    responses((status = 200, description = "The member.", body = Member, headers(("ETag" = String, description = "Its version."))), CommonProblems,
        right::ManageUsers, NotFoundProblem))]
pub async fn get_user(
    State(platform): State<Platform>,
    caller: May<right::ManageUsers>,
    Path(id): Path<UserId>,
    Query(query): Query<TenantQuery>,
) -> Result<Response> {
    let tenant = tenant_of(&platform, &caller.principal, query.tenant.as_deref()).await?;
    let mut tx = platform.kernel().db.read(tenant).await?;
    let member = store::member(&mut tx, tenant, id).await?.ok_or_else(|| Error::not_found("user"))?;
    let member = with_account(&mut tx, &caller.principal, member).await?;
    Ok(etag::with(member.version, Json(member)))
}

/// Change a person
///
/// What changes is the membership of the tenant. It is in force everywhere within five seconds.
#[utoipa::path(patch, path = "/api/v1/users/{id}", tag = "users",
    params(("id" = UserId, Path), TenantQuery, ("If-Match" = Option<String>, Header, description = "The `ETag` that was read.", example = "\"1\"")),
    request_body = MemberChange,
    responses((status = 200, description = "The member as it is now.", body = Member, headers(("ETag" = String, description = "Its version."))),
        CommonProblems, right::ManageUsers, NotFoundProblem, ConflictProblem, PreconditionProblem, BodyProblems))]
pub async fn update_user(
    State(platform): State<Platform>,
    caller: May<right::ManageUsers>,
    Path(id): Path<UserId>,
    Query(query): Query<TenantQuery>,
    headers: HeaderMap,
    Json(change): Json<MemberChange>,
) -> Result<Response> {
    let tenant = tenant_of(&platform, &caller.principal, query.tenant.as_deref()).await?;
    let kernel = platform.kernel();
    let mut tx = write(&platform, &caller.principal, tenant).await?;
    let mut member = changeable(&mut tx, &caller.principal, tenant, id).await?;
    etag::check(&headers, member.version)?;
    if let Some(name) = &change.name {
        member.name = check_name(name)?;
    }
    if let Some(role) = change.role {
        check_may_give(&caller.principal, role)?;
        member.role = role;
    }
    if let Some(capabilities) = change.capabilities.clone() {
        member.capabilities = check_capabilities(capabilities)?;
    }
    member.state = change.state.unwrap_or(member.state);
    if let Some(state) = change.account_state {
        caller.principal.require(Right::ManageTenants)?;
        if state == Standing::Suspended {
            keep_an_admin(&mut tx, |_, user| user == id).await?;
        }
        store::set_account_state(&mut tx, id, state).await?;
    }
    if caller.principal.role == Role::Admin && (member.role != Role::Admin || member.state != Standing::Active) {
        keep_an_admin(&mut tx, |t, user| t == tenant && user == id).await?;
    }
    member.version += 1;
    member.updated_at = kernel.now();
    store::update_member(&mut tx, tenant, &member).await?;
    let payload = json!({
        "name": member.name, "role": member.role, "capabilities": member.capabilities, "state": member.state, "account_state": change.account_state,
    });
    audit(&mut tx, &platform, &caller, tenant, "users.update", id, payload).await?;
    let member = with_account(&mut tx, &caller.principal, member).await?;
    tx.commit().await?;
    platform.forget_user(id);
    Ok(etag::with(member.version, Json(member)))
}

/// Remove a person from the tenant
///
/// Ends the sessions there. An account that is a member of nothing any more is removed with it.
#[utoipa::path(delete, path = "/api/v1/users/{id}", tag = "users", params(("id" = UserId, Path), TenantQuery),
    responses((status = 204, description = "Removed."), CommonProblems, right::ManageUsers, NotFoundProblem, ConflictProblem))]
pub async fn delete_user(
    State(platform): State<Platform>,
    caller: May<right::ManageUsers>,
    Path(id): Path<UserId>,
    Query(query): Query<TenantQuery>,
) -> Result<StatusCode> {
    let tenant = tenant_of(&platform, &caller.principal, query.tenant.as_deref()).await?;
    // Whether the account is a member elsewhere can be seen across tenants only.
    let mut tx = platform.kernel().db.write_all().await?;
    let member = changeable(&mut tx, &caller.principal, tenant, id).await?;
    keep_an_admin(&mut tx, |t, user| t == tenant && user == id).await?;
    store::delete_member(&mut tx, tenant, id).await?;
    tx.delete_sessions_of(id, Some(tenant), None).await?;
    if store::delete_orphan(&mut tx, id).await? {
        tx.delete_codes_of(id).await?;
    }
    audit(&mut tx, &platform, &caller, tenant, "users.remove", id, json!({ "email": member.email, "role": member.role })).await?;
    tx.commit().await?;
    platform.forget_user(id);
    Ok(StatusCode::NO_CONTENT)
}

/// Sign a person out
///
/// Ends all sessions in the tenant with their tokens; those who manage the installation end them in every tenant.
#[utoipa::path(post, path = "/api/v1/users/{id}/sign-out", tag = "users", params(("id" = UserId, Path), TenantQuery),
    responses((status = 200, description = "Signed out.", body = SignedOut), CommonProblems, right::ManageUsers, NotFoundProblem, ConflictProblem))]
pub async fn sign_out_user(
    State(platform): State<Platform>,
    caller: May<right::ManageUsers>,
    Path(id): Path<UserId>,
    Query(query): Query<TenantQuery>,
) -> Result<Json<SignedOut>> {
    let tenant = tenant_of(&platform, &caller.principal, query.tenant.as_deref()).await?;
    let mut tx = write(&platform, &caller.principal, tenant).await?;
    changeable(&mut tx, &caller.principal, tenant, id).await?;
    let everywhere = caller.principal.require(Right::ManageTenants).is_ok();
    let sessions = tx.delete_sessions_of(id, Some(tenant).filter(|_| !everywhere), None).await?;
    audit(&mut tx, &platform, &caller, tenant, "users.sign_out", id, json!({ "sessions": sessions })).await?;
    tx.commit().await?;
    platform.forget_user(id);
    Ok(Json(SignedOut { sessions }))
}

/// Make a one-time link for a person
///
/// For somebody who forgot the password. Accounts of other tenants, and of an issuer outside, sign in with what they have.
#[utoipa::path(post, path = "/api/v1/users/{id}/link", tag = "users", params(("id" = UserId, Path), TenantQuery),
    responses((status = 201, description = "Made.", body = SignInLink), CommonProblems, right::ManageUsers, NotFoundProblem, ConflictProblem))]
pub async fn create_user_link(
    State(platform): State<Platform>,
    caller: May<right::ManageUsers>,
    Path(id): Path<UserId>,
    Query(query): Query<TenantQuery>,
) -> Result<Response> {
    let tenant = tenant_of(&platform, &caller.principal, query.tenant.as_deref()).await?;
    let mut tx = platform.kernel().db.write_all().await?;
    changeable(&mut tx, &caller.principal, tenant, id).await?;
    let account = store::account(&mut tx, id).await?.ok_or_else(|| Error::not_found("user"))?;
    let joins = is_out_of_reach(&mut tx, &caller.principal, tenant, &account).await?;
    let code = insert_code(&mut tx, platform.kernel(), tenant, Some(id), joins).await?;
    audit(&mut tx, &platform, &caller, tenant, "sessions.link", id, json!({})).await?;
    tx.commit().await?;
    let link = SignInLink { sign_in_path: path_of(&code), expires_in: CODE_LIFE.as_secs() };
    Ok((StatusCode::CREATED, [(header::CACHE_CONTROL, "no-store")], ShownOnce(&["/sign_in_path"]), Json(link)).into_response())
}

/// Set a person's password
///
/// Ends all sessions of the account. Those who manage a tenant make a one-time link instead.
#[utoipa::path(post, path = "/api/v1/users/{id}/password", tag = "users", params(("id" = UserId, Path), TenantQuery), request_body = NewPassword,
    responses((status = 204, description = "Set."), CommonProblems, right::ManageTenants, NotFoundProblem, ConflictProblem, BodyProblems))]
pub async fn set_user_password(
    State(platform): State<Platform>,
    caller: May<right::ManageTenants>,
    Path(id): Path<UserId>,
    Query(query): Query<TenantQuery>,
    Json(new): Json<NewPassword>,
) -> Result<StatusCode> {
    let tenant = tenant_of(&platform, &caller.principal, query.tenant.as_deref()).await?;
    let kernel = platform.kernel();
    let mut tx = kernel.db.read(tenant).await?;
    let member = store::member(&mut tx, tenant, id).await?.ok_or_else(|| Error::not_found("user"))?;
    let account = store::account(&mut tx, id).await?.ok_or_else(|| Error::not_found("user"))?;
    drop(tx);
    if account.issuer.is_some() {
        return Err(Error::new(code::INVALID_STATE, "this account signs in at its issuer, which has its password"));
    }
    passwords::check(&new.password, &[account.email.as_deref().unwrap_or(""), &account.name, &member.name])?;
    let hash = platform.0.passwords.hash(&kernel.random, &new.password).await?;
    let mut tx = kernel.db.write_all().await?;
    store::set_password(&mut tx, id, &hash, new.must_change.unwrap_or(true)).await?;
    let sessions = tx.delete_sessions_of(id, None, None).await?;
    tx.delete_codes_of(id).await?;
    audit(&mut tx, &platform, &caller, tenant, "users.password", id, json!({ "sessions_ended": sessions })).await?;
    tx.commit().await?;
    platform.forget_user(id);
    Ok(StatusCode::NO_CONTENT)
}

/// Capability roles that are looked through at most.
const MAX_LISTED: i64 = 1000;

/// List roles
///
/// The lattice, and the capability roles in use in the tenant, each with its rights.
#[utoipa::path(get, path = "/api/v1/roles", tag = "users",
    responses((status = 200, description = "All of them.", body = Roles), CommonProblems, right::OwnAccount))]
pub async fn list_roles(State(platform): State<Platform>, caller: May<right::OwnAccount>) -> Result<Json<Roles>> {
    let tenant = caller.principal.tenant;
    let mut names = store::capabilities(&mut platform.kernel().db.read(tenant).await?, tenant, MAX_LISTED).await?;
    names.insert(AUDITOR.to_owned());
    let roles = Role::LATTICE.map(|name| RoleView { name, rights: Rights::of(name, &[]).list() }).into();
    let view = |name: String| CapabilityView { rights: Rights::of(Role::None, std::slice::from_ref(&name)).list(), name };
    Ok(Json(Roles { roles, capabilities: names.into_iter().map(view).collect() }))
}
