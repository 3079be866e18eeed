//! Endpoints of policies. None of them asks the policies themselves: what shuts everybody out can be taken back here.

use astrolabe_kernel::{
    Error, Id, Result, Tx,
    audit::Record,
    db::is_unique_violation,
    error::code,
    http::{BodyProblems, Caller, CommonProblems, ConflictProblem, Json, May, NotFoundProblem, Path, PreconditionProblem, Query},
    page::{Page, PageQuery},
    principal::right,
};
use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use serde_json::json;

use super::{MAX_POLICIES, NewPolicy, Policy, PolicyFault, Simulation, SimulationRequest, store};
use crate::{Platform, etag};

/// List policies, newest first.
#[utoipa::path(get, path = "/api/v1/policies", tag = "policies", params(PageQuery),
    responses((status = 200, description = "A page.", body = Page<Policy>), CommonProblems, right::ManagePolicies))]
pub async fn list_policies(
    State(platform): State<Platform>,
    caller: May<right::ManagePolicies>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<Policy>>> {
    let limit = page.limit()?;
    let mut tx = platform.kernel().db.read(caller.principal.tenant).await?;
    let rows = store::page(&mut tx, caller.principal.tenant, page.after(), limit).await?;
    Ok(Json(Page::of(rows, limit, |p| p.id.to_string())))
}

/// Make a policy.
///
/// The text is one statement of Cedar, `permit` or `forbid`. It is checked before it is saved: `errors` names line and column of what is
/// wrong. Policies only narrow what roles allow. A tenant has at most 500.
#[utoipa::path(post, path = "/api/v1/policies", tag = "policies", request_body = NewPolicy,
    responses((status = 201, description = "Made; in force everywhere within two seconds.", body = Policy), CommonProblems, right::ManagePolicies, ConflictProblem, BodyProblems))]
pub async fn create_policy(
    State(platform): State<Platform>,
    caller: May<right::ManagePolicies>,
    Json(new): Json<NewPolicy>,
) -> Result<Response> {
    let (kernel, tenant, now) = (platform.kernel(), caller.principal.tenant, platform.kernel().now());
    check(&platform, &new)?;
    let policy = Policy {
        id: kernel.id(),
        name: new.name,
        description: new.description,
        text: new.text,
        enabled: new.enabled,
        version: 1,
        created_by: caller.principal.id.clone(),
        created_at: now,
        updated_at: now,
    };
    let mut tx = kernel.db.write(caller.principal.tenant).await?;
    store::touch(&mut tx, tenant).await?;
    if store::count(&mut tx, tenant).await? >= MAX_POLICIES {
        return Err(Error::new(code::CONFLICT, format!("a tenant has at most {MAX_POLICIES} policies: delete one first")));
    }
    store::insert(&mut tx, tenant, &policy).await.map_err(|e| taken(e, &policy.name))?;
    commit(&platform, tx, &caller, "policies.create", &policy).await?;
    Ok((StatusCode::CREATED, etag::with(policy.version, Json(policy))).into_response())
}

/// Read a policy. `ETag` is its version.
#[utoipa::path(get, path = "/api/v1/policies/{id}", tag = "policies", params(("id" = Id<Policy>, Path)),
    responses((status = 200, description = "The policy.", body = Policy), CommonProblems, right::ManagePolicies, NotFoundProblem))]
pub async fn get_policy(
    State(platform): State<Platform>,
    caller: May<right::ManagePolicies>,
    Path(id): Path<Id<Policy>>,
) -> Result<Response> {
    let policy = store::get(&mut platform.kernel().db.read(caller.principal.tenant).await?, caller.principal.tenant, id)
        .await?
        .ok_or_else(missing)?;
    Ok(etag::with(policy.version, Json(policy)))
}

/// Replace a policy: what is absent gets its default.
///
/// With `If-Match` and the `ETag` that was read, a change that somebody made in the meantime is not overwritten.
#[utoipa::path(put, path = "/api/v1/policies/{id}", tag = "policies",
    params(("id" = Id<Policy>, Path), ("If-Match" = Option<String>, Header, description = "The `ETag` of the policy as it was read.", example = "\"1\"")),
    request_body = NewPolicy,
    responses((status = 200, description = "The policy as it is now.", body = Policy), CommonProblems, right::ManagePolicies, NotFoundProblem, ConflictProblem,
              PreconditionProblem, BodyProblems))]
pub async fn replace_policy(
    State(platform): State<Platform>,
    caller: May<right::ManagePolicies>,
    Path(id): Path<Id<Policy>>,
    headers: HeaderMap,
    Json(new): Json<NewPolicy>,
) -> Result<Response> {
    let (kernel, tenant) = (platform.kernel(), caller.principal.tenant);
    check(&platform, &new)?;
    let mut tx = kernel.db.write(caller.principal.tenant).await?;
    store::touch(&mut tx, tenant).await?;
    let mut policy = store::get(&mut tx, tenant, id).await?.ok_or_else(missing)?;
    etag::check(&headers, policy.version)?;
    (policy.name, policy.description, policy.text, policy.enabled) = (new.name, new.description, new.text, new.enabled);
    policy.version += 1;
    policy.updated_at = kernel.now();
    store::update(&mut tx, tenant, &policy).await.map_err(|e| taken(e, &policy.name))?;
    commit(&platform, tx, &caller, "policies.update", &policy).await?;
    Ok(etag::with(policy.version, Json(policy)))
}

/// Delete a policy.
#[utoipa::path(delete, path = "/api/v1/policies/{id}", tag = "policies",
    params(("id" = Id<Policy>, Path), ("If-Match" = Option<String>, Header, description = "The `ETag` of the policy as it was read.", example = "\"1\"")),
    responses((status = 204, description = "Gone."), CommonProblems, right::ManagePolicies, NotFoundProblem, PreconditionProblem))]
pub async fn delete_policy(
    State(platform): State<Platform>,
    caller: May<right::ManagePolicies>,
    Path(id): Path<Id<Policy>>,
    headers: HeaderMap,
) -> Result<StatusCode> {
    let tenant = caller.principal.tenant;
    let mut tx = platform.kernel().db.write(caller.principal.tenant).await?;
    store::touch(&mut tx, tenant).await?;
    let policy = store::get(&mut tx, tenant, id).await?.ok_or_else(missing)?;
    etag::check(&headers, policy.version)?;
    store::delete(&mut tx, tenant, id).await?;
    commit(&platform, tx, &caller, "policies.delete", &policy).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Try a text out that is not saved.
///
/// Tells what the policies in force would say with this text beside them; without a text, what they say. Nothing is done and nothing is
/// kept. Roles are not looked at.
#[utoipa::path(post, path = "/api/v1/policies/simulate", tag = "policies", request_body = SimulationRequest,
    responses((status = 200, description = "What would be decided, and by which policies.", body = Simulation), CommonProblems, right::ManagePolicies, ConflictProblem, BodyProblems))]
pub async fn simulate_policies(
    State(platform): State<Platform>,
    caller: May<right::ManagePolicies>,
    Json(request): Json<SimulationRequest>,
) -> Result<Json<Simulation>> {
    platform.simulate(caller.principal.tenant, None, request).await.map(Json)
}

/// Try a policy out.
///
/// Tells what the policies in force would say with this one among them, as it is saved, enabled or not, or with `text` in its place.
#[utoipa::path(post, path = "/api/v1/policies/{id}/simulate", tag = "policies", params(("id" = Id<Policy>, Path)), request_body = SimulationRequest,
    responses((status = 200, description = "What would be decided, and by which policies.", body = Simulation), CommonProblems, right::ManagePolicies, NotFoundProblem,
              ConflictProblem, BodyProblems))]
pub async fn simulate_policy(
    State(platform): State<Platform>,
    caller: May<right::ManagePolicies>,
    Path(id): Path<Id<Policy>>,
    Json(request): Json<SimulationRequest>,
) -> Result<Json<Simulation>> {
    let policy = store::get(&mut platform.kernel().db.read(caller.principal.tenant).await?, caller.principal.tenant, id)
        .await?
        .ok_or_else(missing)?;
    platform.simulate(caller.principal.tenant, Some(policy), request).await.map(Json)
}

/// Refuses a policy that could not be applied.
fn check(platform: &Platform, new: &NewPolicy) -> Result<()> {
    new.validate()?;
    match platform.0.policies.language()?.read("text", &new.text) {
        Ok(_) => Ok(()),
        Err(faults) => {
            let words = |f: &PolicyFault| format!("line {}, column {}: {}", f.line, f.column, f.message);
            let mut faults = faults.iter();
            let first = Error::field("text", faults.next().map_or_else(|| "is no policy".to_owned(), words));
            Err(faults.fold(first, |error, f| error.and_field("text", words(f))))
        }
    }
}

/// Records a change, makes it, and has this process read it at the next question.
async fn commit(platform: &Platform, mut tx: Tx, caller: &Caller, action: &str, policy: &Policy) -> Result<()> {
    let payload = json!({"name": policy.name, "version": policy.version, "enabled": policy.enabled, "text": policy.text});
    tx.audit(platform.kernel(), Record::of(caller, action, policy.id, payload)).await?;
    tx.commit().await?;
    platform.0.policies.loaded.expire(&caller.principal.tenant);
    Ok(())
}

fn missing() -> Error {
    Error::not_found("policy")
}

fn taken(error: Error, name: &str) -> Error {
    if is_unique_violation(&error) {
        return Error::new(code::CONFLICT, format!("name: there is a policy named {name:?} already")).and_field("name", "is taken");
    }
    error
}
