//! Reading audit entries.

use astrolabe_kernel::{
    Error, Result,
    audit::Entry,
    http::{CommonProblems, Json, May, Query},
    page::{Page, page_limit, read_cursor},
    principal::right,
};
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::Platform;

/// Which entries to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AuditQuery {
    /// Only entries of this action, such as `agents.run` or `create_ticket`.
    #[param(min_length = 1, max_length = 100, pattern = "^[a-z0-9_.]{1,100}$", example = "agents.run")]
    pub action: Option<String>,
    /// How many items at most.
    #[param(minimum = 1, maximum = 200, default = 50, example = 20)]
    pub limit: Option<u32>,
    /// The `next_cursor` of the page before; absent for the first page.
    #[param(min_length = 1, max_length = 200, pattern = "^[A-Za-z0-9_.~-]{1,200}$", example = "src_01JD3V9M7Q4R8T2W6X0Y5Z1ABC")]
    #[serde(default, deserialize_with = "read_cursor")]
    pub cursor: Option<String>,
}

/// List audit entries
///
/// The entries of the caller's tenant, newest first. An entry is in the chain, with `seq` and `hash`, about a second after its action.
#[utoipa::path(get, path = "/api/v1/audit", tag = "audit", params(AuditQuery),
    responses((status = 200, description = "A page of entries.", body = Page<Entry>), CommonProblems, right::ReadAudit))]
pub async fn list_audit_entries(
    State(platform): State<Platform>,
    caller: May<right::ReadAudit>,
    Query(query): Query<AuditQuery>,
) -> Result<Json<Page<Entry>>> {
    let limit = page_limit(query.limit)?;
    let action = query.action.as_deref();
    if action.is_some_and(|a| {
        !(1..=100).contains(&a.len()) || !a.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_.".contains(&b))
    }) {
        return Err(Error::field("action", "must be the name of an action, such as agents.run"));
    }
    let mut tx = platform.kernel().db.read(caller.principal.tenant).await?;
    let rows = tx.audit_entries(caller.principal.tenant, action.unwrap_or(""), query.cursor.as_deref().unwrap_or(""), limit).await?;
    Ok(Json(Page::of(rows, limit, |e| e.id.to_string())))
}
