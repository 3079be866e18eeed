//! `GET /v1/models`.

use astrolabe_kernel::{
    Principal, Result,
    http::{CommonProblems, Json, May, NotFoundProblem, Path},
    principal::right,
};
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Surface, errors::no_such_model};

/// A model that can be asked for.
#[derive(Debug, Serialize, ToSchema)]
pub struct Model {
    /// Its name.
    id: String,
    /// Always `model`.
    object: &'static str,
    /// Always 0; the names are of the configuration.
    created: i64,
    /// Always `astrolabe`.
    owned_by: &'static str,
}

/// The models.
#[derive(Debug, Serialize, ToSchema)]
pub struct ModelList {
    /// Always `list`.
    object: &'static str,
    /// By name.
    data: Vec<Model>,
}

impl Surface {
    async fn models(&self, principal: &Principal) -> Result<Vec<Model>> {
        let mut names = self.0.models.gateway().names();
        names.extend(self.0.embedders.iter().filter_map(|embedder| (embedder.name)()));
        names.extend(self.source_names(principal).await?);
        names.sort();
        names.dedup();
        Ok(names.into_iter().map(|id| Model { id, object: "model", created: 0, owned_by: "astrolabe" }).collect())
    }
}

/// List models
///
/// As OpenAI's endpoint of this name: the aliases of chat models, the embedding models of this process, and the sources that the caller may ask
/// (`astrolabe/<source>`).
#[utoipa::path(get, path = "/v1/models", tag = "models",
    responses((status = 200, description = "Done.", body = ModelList), CommonProblems, right::UseModels))]
pub async fn list_models(State(surface): State<Surface>, caller: May<right::UseModels>) -> Result<Json<ModelList>> {
    Ok(Json(ModelList { object: "list", data: surface.models(&caller.principal).await? }))
}

/// Read a model
#[utoipa::path(get, path = "/v1/models/{model}", tag = "models", params(("model" = String, Path, description = "The name.", example = "default")),
    responses((status = 200, description = "Done.", body = Model), CommonProblems, right::UseModels, NotFoundProblem))]
pub async fn get_model(State(surface): State<Surface>, caller: May<right::UseModels>, Path(model): Path<String>) -> Result<Json<Model>> {
    let found = surface.models(&caller.principal).await?.into_iter().find(|m| m.id == model);
    found.map(Json).ok_or_else(|| no_such_model(&model))
}
