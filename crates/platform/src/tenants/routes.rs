//! Endpoints of tenants, for those who manage the installation.

use astrolabe_kernel::{
    Error, Result, Role,
    audit::Record,
    db::is_unique_violation,
    error::code,
    http::{BodyProblems, CommonProblems, ConflictProblem, Json, May, NotFoundProblem, Path, PreconditionProblem, Query},
    page::{Page, PageQuery},
    principal::{TenantId, default_tenant, right},
};
use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use serde_json::json;

use super::{NewTenant, State as Standing, Tenant, TenantChange, check_name, check_slug, store};
use crate::{
    Platform,
    accounts::{self, Member, user_of},
    etag,
};

/// List tenants.
#[utoipa::path(get, path = "/api/v1/tenants", tag = "tenants", params(PageQuery),
    responses((status = 200, description = "A page.", body = Page<Tenant>), CommonProblems, right::ManageTenants))]
pub async fn list_tenants(
    State(platform): State<Platform>,
    _caller: May<right::ManageTenants>,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<Tenant>>> {
    let limit = query.limit()?;
    let rows = store::page(&mut platform.kernel().db.read_all().await?, query.after(), limit).await?;
    Ok(Json(Page::of(rows, limit, |t| t.id.to_string())))
}

/// Make a tenant
///
/// Whoever makes it with an account of his own is its first administrator.
#[utoipa::path(post, path = "/api/v1/tenants", tag = "tenants", request_body = NewTenant,
    responses((status = 201, description = "Made.", body = Tenant), CommonProblems, right::ManageTenants, ConflictProblem, BodyProblems))]
pub async fn create_tenant(
    State(platform): State<Platform>,
    caller: May<right::ManageTenants>,
    Json(new): Json<NewTenant>,
) -> Result<Response> {
    check_slug(&new.slug)?;
    let (kernel, now) = (platform.kernel(), platform.kernel().now());
    let name = check_name(new.name.as_deref().unwrap_or(&new.slug))?;
    let tenant = Tenant { id: kernel.id(), slug: new.slug, name, state: Standing::Active, created_at: now, updated_at: now, version: 1 };
    let mut tx = kernel.db.write_all().await?;
    let taken = |e: Error| match is_unique_violation(&e) {
        true => Error::new(code::CONFLICT, "slug: another tenant has it; choose another"),
        false => e,
    };
    store::insert(&mut tx, &tenant).await.map_err(taken)?;
    if let Some(user) = user_of(&caller.principal) {
        let member = Member {
            id: user,
            email: None,
            name: caller.principal.name.clone(),
            role: Role::Admin,
            capabilities: Vec::new(),
            state: Standing::Active,
            created_at: now,
            updated_at: now,
            account: None,
            version: 1,
        };
        accounts::store::insert_member(&mut tx, tenant.id, &member).await?;
    }
    tx.audit(kernel, Record::of(&caller, "tenants.create", tenant.id, json!({ "slug": tenant.slug, "name": tenant.name }))).await?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, etag::with(tenant.version, Json(tenant))).into_response())
}

/// Read a tenant.
#[utoipa::path(get, path = "/api/v1/tenants/{id}", tag = "tenants", params(("id" = TenantId, Path)),
    responses((status = 200, description = "The tenant.", body = Tenant, headers(("ETag" = String, description = "Its version."))), CommonProblems,
        right::ManageTenants, NotFoundProblem))]
pub async fn get_tenant(
    State(platform): State<Platform>,
    _caller: May<right::ManageTenants>,
    Path(id): Path<TenantId>,
) -> Result<Response> {
    let tenant = store::get(&mut platform.kernel().db.read_all().await?, id).await?.ok_or_else(|| Error::not_found("tenant"))?;
    Ok(etag::with(tenant.version, Json(tenant)))
}

/// Change a tenant
///
/// A tenant that is suspended keeps its data, and its people, keys and streams are refused within five seconds. The default tenant stays active, and so
/// does one that has the last administrator of the installation.
#[utoipa::path(patch, path = "/api/v1/tenants/{id}", tag = "tenants",
    params(("id" = TenantId, Path), ("If-Match" = Option<String>, Header, description = "The `ETag` that was read.", example = "\"1\"")), request_body = TenantChange,
    responses((status = 200, description = "The tenant as it is now.", body = Tenant, headers(("ETag" = String, description = "Its version."))),
        CommonProblems, right::ManageTenants, NotFoundProblem, ConflictProblem, PreconditionProblem, BodyProblems))]
pub async fn update_tenant(
    State(platform): State<Platform>,
    caller: May<right::ManageTenants>,
    Path(id): Path<TenantId>,
    headers: HeaderMap,
    Json(change): Json<TenantChange>,
) -> Result<Response> {
    let kernel = platform.kernel();
    let mut tx = kernel.db.write_all().await?;
    let mut tenant = store::lock(&mut tx, id).await?.ok_or_else(|| Error::not_found("tenant"))?;
    etag::check(&headers, tenant.version)?;
    let suspends = change.state == Some(Standing::Suspended) && tenant.state == Standing::Active;
    if suspends && id == default_tenant() {
        return Err(Error::new(code::INVALID_STATE, "the default tenant cannot be suspended: the local administrator acts in it"));
    }
    if suspends {
        let admins = accounts::store::active_admins(&mut tx).await?;
        if admins.iter().any(|(t, _)| *t == id) && admins.iter().all(|(t, _)| *t == id) {
            return Err(accounts::last_admin());
        }
    }
    if let Some(name) = change.name {
        tenant.name = check_name(&name)?;
    }
    tenant.state = change.state.unwrap_or(tenant.state);
    tenant.version += 1;
    tenant.updated_at = kernel.now();
    store::update(&mut tx, &tenant).await?;
    tx.audit(kernel, Record::of(&caller, "tenants.update", id, json!({ "name": tenant.name, "state": tenant.state }))).await?;
    tx.commit().await?;
    platform.forget_all();
    Ok(etag::with(tenant.version, Json(tenant)))
}
