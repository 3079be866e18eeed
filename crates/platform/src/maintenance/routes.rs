//! Endpoints of the maintenance switch.

use astrolabe_kernel::{
    Result,
    audit::Record,
    http::{BodyProblems, CommonProblems, Json, May},
    principal::right,
};
use axum::extract::State;
use serde_json::json;

use super::{Maintenance, store};
use crate::Platform;

/// Read the maintenance switch.
#[utoipa::path(get, path = "/api/v1/maintenance", tag = "settings",
    responses((status = 200, description = "Its state; also in `/readyz` and `/api/version`.", body = Maintenance), CommonProblems, right::ManageInstallation))]
pub async fn get_maintenance(State(platform): State<Platform>, _: May<right::ManageInstallation>) -> Result<Json<Maintenance>> {
    Ok(Json(Maintenance::clone(&*platform.maintenance().await?)))
}

/// Set the maintenance switch.
///
/// With `read_only`, whoever wants to change something gets 503 with `Retry-After` and the code `maintenance`, on every process within two
/// seconds, until the switch is turned off. Reading, searching, signing in and out go on.
#[utoipa::path(put, path = "/api/v1/maintenance", tag = "settings", request_body = Maintenance,
    responses((status = 200, description = "Its state now.", body = Maintenance), CommonProblems, right::ManageInstallation, BodyProblems))]
pub async fn set_maintenance(
    State(platform): State<Platform>,
    caller: May<right::ManageInstallation>,
    Json(state): Json<Maintenance>,
) -> Result<Json<Maintenance>> {
    state.validate()?;
    let kernel = platform.kernel();
    let mut tx = kernel.db.write_all().await?;
    store::put(&mut tx, &state, &caller.principal.id, kernel.now()).await?;
    let payload = json!({"mode": state.mode, "message": state.message, "until": state.until});
    tx.audit(kernel, Record::of(&caller, "maintenance.set", "installation", payload)).await?;
    tx.commit().await?;
    platform.0.maintenance.expire(&());
    tracing::warn!(mode = ?state.mode, by = caller.principal.id, "the maintenance switch was set");
    Ok(Json(state))
}
