//! Errors as `application/problem+json` (RFC 9457).

use std::sync::Arc;

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Trace;
use crate::{
    Error, Kind,
    error::{FieldError, code, status_of},
};

/// An error as the caller reads it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// A URI that names the kind of problem: `urn:astrolabe:error:<code>`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The code's title, the same for every occurrence.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened this time, and how to mend it.
    pub detail: String,
    /// The path of the request.
    pub instance: String,
    /// A stable code from the table of error codes.
    pub code: String,
    /// The trace to look for in the logs.
    pub trace_id: String,
    /// The request to look for in the logs.
    pub request_id: String,
    /// The fields that are wrong, when it is about fields.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
}

/// An error travels to the outermost middleware inside the response, where the request's ids are known.
#[derive(Clone)]
pub(super) struct Carried(pub Arc<Error>);

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::from_u16(status_of(self.code())).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        response.extensions_mut().insert(Carried(Arc::new(self)));
        response
    }
}

/// The error that an answer carries, before the outermost middleware has written it as a problem document.
pub fn refusal(response: &Response) -> Option<&Error> {
    response.extensions().get::<Carried>().map(|Carried(error)| &**error)
}

/// Writes a carried error as a problem document.
pub(super) fn render(error: &Error, trace: &Trace, path: &str, mut response: Response) -> Response {
    let code = error.code();
    let problem = Problem {
        kind: format!("urn:astrolabe:error:{}", code.name),
        title: code.title.to_owned(),
        status: response.status().as_u16(),
        detail: format!(
            "{}{}",
            error.message(),
            if error.kind() == Kind::Internal { "; the log has the details under this trace_id" } else { "" }
        ),
        instance: path.to_owned(),
        code: code.name.to_owned(),
        trace_id: trace.trace_id.clone(),
        request_id: trace.request_id.clone(),
        errors: error.fields().to_vec(),
    };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    headers.remove(header::CONTENT_LENGTH);
    if code == code::MISSING_TOKEN || code == code::INVALID_TOKEN {
        let challenge = if code == code::INVALID_TOKEN { "Bearer error=\"invalid_token\"" } else { "Bearer" };
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    }
    if let Some(after) = error.retry_after() {
        // Whole seconds, rounded up: a client that comes back too early is refused again.
        headers.insert(header::RETRY_AFTER, HeaderValue::from(after.as_millis().div_ceil(1000).max(1) as u64));
    }
    *response.body_mut() = Body::from(serde_json::to_vec(&problem).unwrap_or_default());
    response
}

/// The fallback of the router.
pub async fn not_found() -> Error {
    std::future::ready(Error::new(code::NOT_FOUND, "there is nothing at this path; /docs lists the API")).await
}

/// The fallback of a path that exists with other methods.
pub async fn method_not_allowed() -> Error {
    std::future::ready(Error::new(code::METHOD_NOT_ALLOWED, "this path does not accept the method; see the Allow header")).await
}
