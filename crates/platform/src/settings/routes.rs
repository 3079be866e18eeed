//! Endpoints of a tenant's settings.

use astrolabe_kernel::{
    Error, Result,
    audit::Record,
    error::code,
    http::{BodyProblems, CommonProblems, ConflictProblem, Json, May, PreconditionProblem},
    principal::right,
};
use axum::{extract::State, http::HeaderMap, response::Response};
use serde_json::json;

use super::{Settings, SettingsChange, store};
use crate::{Platform, etag, tenants};

/// Read the tenant's settings. `ETag` is their version.
#[utoipa::path(get, path = "/api/v1/settings", tag = "settings",
    responses((status = 200, description = "The settings, with every flag that there is.", body = Settings), CommonProblems, right::ReadKnowledge))]
pub async fn get_settings(State(platform): State<Platform>, caller: May<right::ReadKnowledge>) -> Result<Response> {
    let settings = platform.settings(caller.principal.tenant).await?.settings.clone();
    Ok(etag::with(settings.version, Json(settings)))
}

/// Change the tenant's settings: what is absent stays.
///
/// In force everywhere within two seconds. With `If-Match` and the `ETag` that was read, a change that somebody made in the meantime is
/// not overwritten.
#[utoipa::path(patch, path = "/api/v1/settings", tag = "settings",
    params(("If-Match" = Option<String>, Header, description = "The `ETag` of the settings as they were read.", example = "\"1\"")),
    request_body = SettingsChange,
    responses((status = 200, description = "The settings as they are now.", body = Settings), CommonProblems, right::ManageSettings, ConflictProblem,
              PreconditionProblem, BodyProblems))]
pub async fn change_settings(
    State(platform): State<Platform>,
    caller: May<right::ManageSettings>,
    headers: HeaderMap,
    Json(change): Json<SettingsChange>,
) -> Result<Response> {
    let (kernel, tenant) = (platform.kernel(), caller.principal.tenant);
    let mut tx = kernel.db.write(caller.principal.tenant).await?;
    let mut stored = store::get(&mut tx, tenant).await?.unwrap_or_default();
    etag::check(&headers, stored.version)?;
    stored.apply(&change, &platform.0.flags)?;
    let (before, now) = (stored.version, kernel.now());
    stored.version += 1;
    stored.updated_at = Some(now);
    if !store::put(&mut tx, tenant, &stored, before, now).await? {
        return Err(Error::new(code::CONFLICT, "somebody else changed the settings at the same moment: read them and try again"));
    }
    if let Some(name) = &change.name {
        let mut home = tenants::store::lock(&mut tx, tenant).await?.ok_or_else(|| Error::not_found("tenant"))?;
        (home.name, home.version, home.updated_at) = (name.clone(), home.version + 1, now);
        tenants::store::update(&mut tx, &home).await?;
    }
    let payload = json!({"name": change.name, "time_zone": change.time_zone, "flags": change.flags, "version": stored.version});
    tx.audit(kernel, Record::of(&caller, "settings.update", tenant, payload)).await?;
    tx.commit().await?;
    platform.0.settings.expire(&tenant);
    Ok(etag::with(stored.version, Json(stored.shown(&platform.0.flags))))
}
