//! `GET /v1/models`.

use astrolabe_kernel::{
    Result,
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
    fn models(&self) -> Vec<Model> {
        let mut names = self.0.models.gateway().names();
        names.extend(self.0.embedders.iter().filter_map(|embedder| (embedder.name)()));
        names.sort();
        names.dedup();
        names.into_iter().map(|id| Model { id, object: "model", created: 0, owned_by: "astrolabe" }).collect()
    }
}

/// List models
///
/// As OpenAI's endpoint of this name: the aliases of chat models, and the embedding models of this process.
#[utoipa::path(get, path = "/v1/models", tag = "models",
    responses((status = 200, description = "Done.", body = ModelList), CommonProblems, right::UseModels))]
pub async fn list_models(State(surface): State<Surface>, _caller: May<right::UseModels>) -> Result<Json<ModelList>> {
    std::future::ready(Ok(Json(ModelList { object: "list", data: surface.models() }))).await
}

/// Read a model
#[utoipa::path(get, path = "/v1/models/{model}", tag = "models", params(("model" = String, Path, description = "The name.", example = "default")),
    responses((status = 200, description = "Done.", body = Model), CommonProblems, right::UseModels, NotFoundProblem))]
pub async fn get_model(State(surface): State<Surface>, _caller: May<right::UseModels>, Path(model): Path<String>) -> Result<Json<Model>> {
    let found = surface.models().into_iter().find(|m| m.id == model);
    std::future::ready(found.map(Json).ok_or_else(|| no_such_model(&model))).await
}
