//! Errors as `application/problem+json` (RFC 9457).

use std::sync::Arc;

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, IntoResponseParts, Response, ResponseParts},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Trace;
use crate::{
    Error, Kind,
    error::{Code, FieldError, code, status_of},
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

/// Headers and body of the problem document that an answer will be, when it is an error; the same bytes that the caller is sent.
pub(crate) fn as_sent(parts: &axum::http::response::Parts, trace: &Trace, path: &str) -> Option<(HeaderMap, Bytes)> {
    let Carried(error) = parts.extensions.get::<Carried>()?;
    Some((problem_headers(error), document(error, parts.status, trace, path)))
}

/// In an answer's extensions: how the body of its error is written, for callers who expect another shape than a problem document.
#[derive(Clone, Copy)]
pub struct ErrorShape(pub fn(&Error, u16) -> Bytes);

/// The error that an answer carries, before the outermost middleware has written it as a problem document.
pub fn refusal(response: &Response) -> Option<&Error> {
    response.extensions().get::<Carried>().map(|Carried(error)| &**error)
}

/// Writes a carried error as a problem document.
pub(super) fn render(error: &Error, trace: &Trace, path: &str, mut response: Response) -> Response {
    let shape = response.extensions().get::<ErrorShape>().copied();
    let document = match shape {
        Some(ErrorShape(shape)) => shape(error, response.status().as_u16()),
        None => document(error, response.status(), trace, path),
    };
    let headers = response.headers_mut();
    headers.remove(header::CONTENT_LENGTH);
    headers.extend(problem_headers(error));
    if shape.is_some() {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    *response.body_mut() = Body::from(document);
    response
}

fn document(error: &Error, status: StatusCode, trace: &Trace, path: &str) -> Bytes {
    let code = error.code();
    let problem = Problem {
        kind: format!("urn:astrolabe:error:{}", code.name),
        title: code.title.to_owned(),
        status: status.as_u16(),
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
    Bytes::from(serde_json::to_vec(&problem).unwrap_or_default())
}

fn problem_headers(error: &Error) -> HeaderMap {
    let code = error.code();
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    if let Some(challenge) = challenge(code) {
        headers.insert(header::WWW_AUTHENTICATE, challenge);
    }
    if let Some(after) = error.retry_after() {
        // Whole seconds, rounded up: a client that comes back too early is refused again.
        headers.insert(header::RETRY_AFTER, HeaderValue::from(after.as_millis().div_ceil(1000).max(1) as u64));
    }
    headers
}

/// Marks an answer that shows something once, such as a new key's secret: JSON pointers (RFC 6901) to what must not be kept. A repeat under the
/// same idempotency key gets the object without it, and the pointers in the header `Idempotency-Omitted`.
///
/// ```ignore
/// Ok((StatusCode::CREATED, ShownOnce(&["/secret"]), Json(key)))
/// ```
#[derive(Debug, Clone, Copy)]
pub struct ShownOnce(pub &'static [&'static str]);

impl IntoResponseParts for ShownOnce {
    type Error = std::convert::Infallible;

    fn into_response_parts(self, mut parts: ResponseParts) -> Result<ResponseParts, Self::Error> {
        parts.extensions_mut().insert(self);
        Ok(parts)
    }
}

/// The challenge that goes with a code (RFC 6750, section 3): nothing but the scheme when no token came, else what is wrong with it. The finer codes
/// are all `invalid_token` there; `insufficient_scope` comes with 403, which tells a client to widen the token instead of renewing it.
fn challenge(code: &'static Code) -> Option<HeaderValue> {
    if code == code::MISSING_TOKEN || code == code::INVALID_CREDENTIALS {
        return Some(HeaderValue::from_static("Bearer"));
    }
    let of_tokens = [code::INVALID_TOKEN, code::TOKEN_EXPIRED, code::TOKEN_NOT_YET_VALID, code::INVALID_ISSUER, code::INVALID_AUDIENCE];
    let error = match of_tokens.contains(&code) {
        true => "invalid_token",
        false if code == code::INSUFFICIENT_SCOPE => "insufficient_scope",
        false => return None,
    };
    HeaderValue::from_str(&format!("Bearer error=\"{error}\", error_description=\"{}\"", code.title)).ok()
}

/// The fallback of the router.
pub async fn not_found() -> Error {
    std::future::ready(Error::new(code::NOT_FOUND, "there is nothing at this path; /docs lists the API")).await
}

/// The fallback of a path that exists with other methods.
pub async fn method_not_allowed() -> Error {
    std::future::ready(Error::new(code::METHOD_NOT_ALLOWED, "this path does not accept the method; see the Allow header")).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_token_is_answered_with_the_challenge_of_rfc_6750() {
        let challenge = |code| challenge(code).map(|v| v.to_str().unwrap().to_owned());
        assert_eq!(challenge(code::MISSING_TOKEN).as_deref(), Some("Bearer"), "no error code when no token came");
        assert_eq!(
            challenge(code::TOKEN_EXPIRED).as_deref(),
            Some("Bearer error=\"invalid_token\", error_description=\"The token has expired\"")
        );
        assert!(challenge(code::INSUFFICIENT_SCOPE).unwrap().starts_with("Bearer error=\"insufficient_scope\", "));
        assert_eq!(status_of(code::INSUFFICIENT_SCOPE), 403);
        for code in [code::INVALID_TOKEN, code::TOKEN_NOT_YET_VALID, code::INVALID_ISSUER, code::INVALID_AUDIENCE] {
            assert!(challenge(code).unwrap().starts_with("Bearer error=\"invalid_token\", "));
            assert_eq!(status_of(code), 401);
        }
        assert_eq!(challenge(code::FORBIDDEN), None);
    }
}
