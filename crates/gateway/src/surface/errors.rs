//! Errors in OpenAI's shape: `{"error": {"message", "type", "param", "code"}}`.

use astrolabe_kernel::{Error, error::code, http::ErrorShape};
use axum::{extract::Request, middleware::Next, response::Response};
use bytes::Bytes;
use serde_json::json;

use crate::error::ModelGatewayError;

/// The beginnings of the paths whose callers expect this shape.
const PATHS: &[&str] = &["/v1/chat/", "/v1/embeddings", "/v1/models", "/v1/responses"];

/// Whether callers of a path expect this shape.
#[must_use]
pub fn is_openais(path: &str) -> bool {
    PATHS.iter().any(|beginning| path.starts_with(beginning))
}

/// Middleware: refusals of these paths, from whichever layer, are told in OpenAI's shape.
pub async fn in_openais_shape(request: Request, next: Next) -> Response {
    let ours = is_openais(request.uri().path());
    let mut response = next.run(request).await;
    if ours {
        response.extensions_mut().insert(ErrorShape(shape));
    }
    response
}

/// The body of an error.
pub(crate) fn shape(error: &Error, status: u16) -> Bytes {
    let kind = match status {
        401 => "authentication_error",
        403 => "permission_error",
        429 if error.code() == code::BUDGET_EXCEEDED => "insufficient_quota",
        429 => "rate_limit_error",
        400..=499 => "invalid_request_error",
        _ => "server_error",
    };
    let param = error.fields().first().map(|field| field.field.as_str());
    let name = match param {
        Some("model") if error.code() == code::NOT_FOUND => "model_not_found",
        _ => error.code().name,
    };
    json!({"error": {"message": error.message(), "type": kind, "param": param, "code": name}}).to_string().into()
}

/// The event that ends a stream that cannot go on.
pub(crate) fn event(error: &Error) -> Bytes {
    let body = shape(error, error.kind().status());
    [b"data: ", &body[..], b"\n\n"].concat().into()
}

/// The error of a call as its caller is told. What a provider says about the request itself is passed on; it quotes no key.
pub(crate) fn told(error: ModelGatewayError) -> Error {
    match error {
        ModelGatewayError::Refused { status: Some(400 | 413 | 422), error } => {
            let detail = error.internal_detail().unwrap_or("it says no more").to_owned();
            Error::new(code::INVALID_REQUEST, format!("the model's provider refused the request: {detail}"))
        }
        ModelGatewayError::ContextOverflow { detail } => {
            Error::field("messages", format!("the conversation is longer than the model can read: {detail}"))
        }
        other => other.into(),
    }
}

/// The error of a name that stands for no model.
pub(crate) fn no_such_model(name: &str) -> Error {
    let shown: String = name.chars().take(100).collect();
    Error::new(code::NOT_FOUND, format!("there is no model {shown}; GET /v1/models lists them")).and_field("model", "is unknown")
}
