//! Versions of what two people may edit at once (RFC 9110, 8.8.3 and 13.1.1).

use axum::{
    http::{HeaderMap, HeaderValue, header},
    response::{IntoResponse, Response},
};

use crate::{Error, Result, error::code};

/// An answer with the version as its `ETag`.
pub fn with(version: i64, body: impl IntoResponse) -> Response {
    let mut response = body.into_response();
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{version}\"")) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

/// Refuses a change of another version than the one that was read. Without `If-Match` there is nothing to compare.
///
/// # Errors
/// `precondition_failed`, with the present `ETag`.
pub fn check(headers: &HeaderMap, version: i64) -> Result<()> {
    let tag = format!("\"{version}\"");
    match headers.get(header::IF_MATCH) {
        Some(wanted) if !wanted.to_str().is_ok_and(|w| w.split(',').map(str::trim).any(|w| w == "*" || w == tag)) => {
            Err(Error::new(code::PRECONDITION_FAILED, format!("If-Match: somebody changed it since; it has the ETag {tag} now")))
        }
        _ => Ok(()),
    }
}
