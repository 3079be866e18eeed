//! Reading, exporting and proving the log.

use std::time::Duration;

use astrolabe_kernel::{
    Error, Result, Timestamp,
    audit::{
        ChainHead, Entry, Filter, Record, head, record,
        verify::{Anchor, Report, verify_tenant},
    },
    error::code,
    http::{CommonProblems, Json, May, Query},
    page::{Page, page_limit, read_cursor},
    principal::right,
};
use axum::{
    extract::State,
    http::{HeaderValue, header},
    response::Response,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};

use super::{Console, export};

/// In which order entries are listed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// The newest first.
    #[default]
    Newest,
    /// The oldest first.
    Oldest,
}

/// Which entries to list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AuditQuery {
    /// Only entries of this actor.
    #[param(min_length = 1, max_length = 200, pattern = "^[^\\u0000]{1,200}$", example = "user:local-admin")]
    pub actor: Option<String>,
    /// Only entries of this action, such as `agents.run`; `agents.*` for all that begin with `agents.`.
    #[param(min_length = 1, max_length = 102, pattern = "^[a-z0-9_.]{1,100}(\\.\\*)?$", example = "sources.*")]
    pub action: Option<String>,
    /// Only entries about this subject, an id in most cases.
    #[param(min_length = 1, max_length = 200, pattern = "^[^\\u0000]{1,200}$", example = "src_01JD3V9M7Q4R8T2W6X0Y5Z1ABC")]
    pub subject: Option<String>,
    /// Only entries about this document, or that name it: who changed it, read it, or was shown some of it by a search or an answer.
    #[param(pattern = "^doc_[0-9A-Za-z]{26}$", example = "doc_01JD3V9M7Q4R8T2W6X0Y5Z1ABC")]
    pub document: Option<String>,
    /// Only entries that ended like this.
    #[param(pattern = "^(ok|refused|failed)$", example = "ok")]
    pub outcome: Option<String>,
    /// Only entries of this trace.
    #[param(min_length = 1, max_length = 200, pattern = "^[^\\u0000]{1,200}$", example = "0af7651916cd43dd8448eb211c80319c")]
    pub trace_id: Option<String>,
    /// Only entries of this moment or later (RFC 3339).
    #[param(example = "2026-01-01T00:00:00Z")]
    pub since: Option<Timestamp>,
    /// Only entries before this moment (RFC 3339).
    #[param(example = "2027-01-01T00:00:00Z")]
    pub until: Option<Timestamp>,
    /// The order, newest first when absent.
    #[param(inline, example = "newest")]
    pub order: Option<Order>,
    /// How many items at most.
    #[param(minimum = 1, maximum = 200, default = 50, example = 20)]
    pub limit: Option<u32>,
    /// The `next_cursor` of the page before; absent for the first page.
    #[param(min_length = 1, max_length = 200, pattern = "^[A-Za-z0-9_.~-]{1,200}$", example = "aud_01JD3V9M7Q4R8T2W6X0Y5Z1ABC")]
    #[serde(default, deserialize_with = "read_cursor")]
    pub cursor: Option<String>,
}

/// Which entries to export.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AuditExportQuery {
    /// Only entries of this actor.
    #[param(min_length = 1, max_length = 200, pattern = "^[^\\u0000]{1,200}$", example = "user:local-admin")]
    pub actor: Option<String>,
    /// Only entries of this action, such as `agents.run`; `agents.*` for all that begin with `agents.`.
    #[param(min_length = 1, max_length = 102, pattern = "^[a-z0-9_.]{1,100}(\\.\\*)?$", example = "sources.*")]
    pub action: Option<String>,
    /// Only entries about this subject, an id in most cases.
    #[param(min_length = 1, max_length = 200, pattern = "^[^\\u0000]{1,200}$", example = "src_01JD3V9M7Q4R8T2W6X0Y5Z1ABC")]
    pub subject: Option<String>,
    /// Only entries about this document, or that name it: who changed it, read it, or was shown some of it by a search or an answer.
    #[param(pattern = "^doc_[0-9A-Za-z]{26}$", example = "doc_01JD3V9M7Q4R8T2W6X0Y5Z1ABC")]
    pub document: Option<String>,
    /// Only entries that ended like this.
    #[param(pattern = "^(ok|refused|failed)$", example = "ok")]
    pub outcome: Option<String>,
    /// Only entries of this trace.
    #[param(min_length = 1, max_length = 200, pattern = "^[^\\u0000]{1,200}$", example = "0af7651916cd43dd8448eb211c80319c")]
    pub trace_id: Option<String>,
    /// Only entries of this moment or later (RFC 3339).
    #[param(example = "2026-01-01T00:00:00Z")]
    pub since: Option<Timestamp>,
    /// Only entries before this moment (RFC 3339); the moment of the request when absent.
    #[param(example = "2027-01-01T00:00:00Z")]
    pub until: Option<Timestamp>,
    /// The order, newest first when absent.
    #[param(inline, example = "oldest")]
    pub order: Option<Order>,
    /// Where an export that ended with an error is to go on: the `cursor` of its last line.
    #[param(min_length = 1, max_length = 200, pattern = "^[A-Za-z0-9_.~-]{1,200}$", example = "aud_01JD3V9M7Q4R8T2W6X0Y5Z1ABC")]
    #[serde(default, deserialize_with = "read_cursor")]
    pub cursor: Option<String>,
}

/// What the chain must still hold.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct VerifyQuery {
    /// A head that was kept, `<number>:<hash>`: without one, nobody can tell whether the newest entries were cut off.
    #[param(
        pattern = "^[1-9][0-9]{0,17}:[0-9a-fA-F]{64}$",
        example = "1402:9f2c1d1e5b7a4c3f8e6d2b0a9c8f7e6d5c4b3a291817161514131211100f0e0d"
    )]
    pub anchor: Option<String>,
}

/// Whether the chain is whole, as `astrolabe audit verify --json` prints it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Verified {
    /// Whether nothing is wrong.
    pub ok: bool,
    /// How many heads the chain was compared with.
    pub anchors: usize,
    /// What was found.
    pub chains: Vec<Report>,
}

/// List audit entries
///
/// The entries of the caller's tenant, newest first. An entry is in the chain, with `seq` and `hash`, about a second after its action.
#[utoipa::path(get, path = "/api/v1/audit", tag = "audit", params(AuditQuery),
    responses((status = 200, description = "A page of entries.", body = Page<Entry>), CommonProblems, right::ReadAudit))]
pub async fn list_audit_entries(
    State(console): State<Console>,
    caller: May<right::ReadAudit>,
    Query(query): Query<AuditQuery>,
) -> Result<Json<Page<Entry>>> {
    let limit = page_limit(query.limit)?;
    let AuditQuery { actor, action, subject, document, outcome, trace_id, since, until, order, cursor, .. } = query;
    let oldest_first = order == Some(Order::Oldest);
    let filter = Filter { actor, action, subject, document, outcome, trace_id, since, until, oldest_first };
    filter.check()?;
    let tenant = caller.principal.tenant;
    // What this reader read a moment ago is there.
    console.0.kernel.write_reads().await?;
    let rows = console.0.kernel.db.read(tenant).await?.audit_entries(tenant, &filter, cursor.as_deref().unwrap_or(""), limit).await?;
    Ok(Json(Page::of(rows, limit, |e| e.id.to_string())))
}

/// Export audit entries
///
/// One entry a line, as the archive has them, up to the moment of the request. The last line is `{"end": {"entries": 1402, …}}` when all were
/// sent, or `{"error": {"code": …, "cursor": …}}`: then ask again with that cursor. A file without one of the two was cut off. The export itself
/// is an entry.
#[utoipa::path(get, path = "/api/v1/audit/export", tag = "audit", params(AuditExportQuery),
    responses((status = 200, description = "The entries.", body = Entry, content_type = "application/x-ndjson"), CommonProblems, right::ReadAudit))]
pub async fn export_audit_entries(
    State(console): State<Console>,
    caller: May<right::ReadAudit>,
    Query(query): Query<AuditExportQuery>,
) -> Result<Response> {
    let AuditExportQuery { actor, action, subject, document, outcome, trace_id, since, until, order, cursor } = query;
    let oldest_first = order == Some(Order::Oldest);
    let filter = Filter { actor, action, subject, document, outcome, trace_id, since, until, oldest_first };
    filter.check()?;
    let Console(inner) = &console;
    let permit =
        inner.exports.clone().try_acquire_owned().map_err(|_| {
            Error::new(code::OVERLOADED, "the audit log is being exported by others").with_retry_after(Duration::from_secs(10))
        })?;
    let kernel = &inner.kernel;
    kernel.write_reads().await?;
    record(kernel, Record::of(&caller, "audit.export", "audit", json!({"filter": filter}))).await?;
    let body = export::lines(kernel.clone(), caller.principal.tenant, filter, cursor.unwrap_or_default(), permit);
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    headers.insert(header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment; filename=\"audit.jsonl\""));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// Read the head of the chain
///
/// Keep `anchor` where the operator cannot change it: with it, [verifying](#operation/verify_chain) also finds entries that were cut off at the end.
#[utoipa::path(get, path = "/api/v1/audit/head", tag = "audit",
    responses((status = 200, description = "Where the chain stands.", body = ChainHead), CommonProblems, right::ReadAudit))]
pub async fn get_chain_head(State(console): State<Console>, caller: May<right::ReadAudit>) -> Result<Json<ChainHead>> {
    let Console(inner) = &console;
    Ok(Json(head(&inner.kernel.db, &inner.key, caller.principal.tenant, inner.kernel.now()).await?))
}

/// Verify the chain
///
/// Goes through every entry of the caller's tenant: numbers, hashes, payloads and signatures. One at a time in a process. A log that is too long for
/// the server's time limit is verified by `astrolabe audit verify`, from the database or from the archive alone.
#[utoipa::path(get, path = "/api/v1/audit/verify", tag = "audit", params(VerifyQuery),
    responses((status = 200, description = "What was found; `ok` tells whether the chain is whole.", body = Verified), CommonProblems, right::ReadAudit))]
pub async fn verify_chain(
    State(console): State<Console>,
    caller: May<right::ReadAudit>,
    Query(query): Query<VerifyQuery>,
) -> Result<Json<Verified>> {
    let anchors: Vec<Anchor> = query.anchor.iter().map(|a| a.parse()).collect::<Result<_>>()?;
    let Console(inner) = &console;
    let _permit = inner
        .verifying
        .try_acquire()
        .map_err(|_| Error::new(code::OVERLOADED, "a chain is being verified already").with_retry_after(Duration::from_secs(10)))?;
    let report = verify_tenant(&inner.kernel.db, &inner.key, caller.principal.tenant, &anchors).await?;
    Ok(Json(Verified { ok: report.defects.is_empty(), anchors: anchors.len(), chains: vec![report] }))
}
