//! Endpoints of API keys.

use astrolabe_kernel::{
    Id, Result,
    http::{BodyProblems, CommonProblems, ConflictProblem, Json, May, NotFoundProblem, Path, Query, ShownOnce},
    page::{Page, page_limit, read_cursor},
    principal::{Right, right},
};
use axum::{extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{ApiKey, NewApiKey, make, revoke, store, visible};
use crate::Platform;

/// Which keys to list.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ApiKeyQuery {
    /// Whether to list everybody's in the tenant, which needs the right `manage_keys`.
    #[param(default = false, example = false)]
    pub all: Option<bool>,
    /// How many at most.
    #[param(minimum = 1, maximum = 200, default = 50, example = 20)]
    pub limit: Option<u32>,
    /// The `next_cursor` of the page before.
    #[param(min_length = 1, max_length = 200, pattern = "^[A-Za-z0-9_.~-]{1,200}$", example = "key_01JD3V9M7Q4R8T2W6X0Y5Z1ABC")]
    #[serde(default, deserialize_with = "read_cursor")]
    pub cursor: Option<String>,
}

/// A key that was made just now.
#[derive(Debug, Serialize, ToSchema)]
pub struct MadeApiKey {
    /// The key.
    #[serde(flatten)]
    pub key: ApiKey,
    /// What to send as bearer token. It is shown this once and cannot be read again.
    #[schema(example = "astro_q5Wn3kV8pYtL0xRb2mZc7uHdJ9sGfE4aQ6iOvT1yXwM")]
    pub secret: String,
}

/// List API keys
///
/// One's own, newest first; those who manage keys can list everybody's in the tenant.
#[utoipa::path(get, path = "/api/v1/api-keys", tag = "api keys", params(ApiKeyQuery),
    responses((status = 200, description = "A page.", body = Page<ApiKey>), CommonProblems, right::OwnAccount))]
pub async fn list_api_keys(
    State(platform): State<Platform>,
    caller: May<right::OwnAccount>,
    Query(query): Query<ApiKeyQuery>,
) -> Result<Json<Page<ApiKey>>> {
    let all = query.all.unwrap_or(false);
    if all {
        caller.principal.require(Right::ManageKeys)?;
    }
    let limit = page_limit(query.limit)?;
    let tenant = caller.principal.tenant;
    let owner = if all { "" } else { caller.principal.id.as_str() };
    let mut tx = platform.kernel().db.read(tenant).await?;
    let rows = store::page(&mut tx, tenant, owner, query.cursor.as_deref().unwrap_or(""), limit).await?;
    Ok(Json(Page::of(rows, limit, |k| k.id.to_string())))
}

/// Make an API key
///
/// The key acts as the caller, never beyond the caller's roles at the time of its use. Its secret is in this answer and nowhere else.
#[utoipa::path(post, path = "/api/v1/api-keys", tag = "api keys", request_body = NewApiKey,
    responses((status = 201, description = "Made.", body = MadeApiKey), CommonProblems, right::OwnAccount, ConflictProblem, BodyProblems))]
pub async fn create_api_key(
    State(platform): State<Platform>,
    caller: May<right::OwnAccount>,
    Json(new): Json<NewApiKey>,
) -> Result<(StatusCode, ShownOnce, Json<MadeApiKey>)> {
    let (key, secret) = make(platform.kernel(), &caller, &new).await?;
    Ok((StatusCode::CREATED, ShownOnce(&["/secret"]), Json(MadeApiKey { key, secret: secret.expose().to_owned() })))
}

/// Read an API key.
#[utoipa::path(get, path = "/api/v1/api-keys/{id}", tag = "api keys", params(("id" = Id<ApiKey>, Path)),
    responses((status = 200, description = "The key, without its secret.", body = ApiKey), CommonProblems, right::OwnAccount, NotFoundProblem))]
pub async fn get_api_key(
    State(platform): State<Platform>,
    caller: May<right::OwnAccount>,
    Path(id): Path<Id<ApiKey>>,
) -> Result<Json<ApiKey>> {
    let tenant = caller.principal.tenant;
    let key = store::get(&mut platform.kernel().db.read(tenant).await?, tenant, id).await?;
    visible(&caller, key).map(Json)
}

/// Revoke an API key
///
/// It stays in the list, and is refused everywhere within five seconds.
#[utoipa::path(delete, path = "/api/v1/api-keys/{id}", tag = "api keys", params(("id" = Id<ApiKey>, Path)),
    responses((status = 200, description = "The key, revoked.", body = ApiKey), CommonProblems, right::OwnAccount, NotFoundProblem))]
pub async fn revoke_api_key(
    State(platform): State<Platform>,
    caller: May<right::OwnAccount>,
    Path(id): Path<Id<ApiKey>>,
) -> Result<Json<ApiKey>> {
    let key = revoke(platform.kernel(), &caller, id).await?;
    platform.forget_key(id);
    Ok(Json(key))
}
