//! The answer that is kept, and how it is given again.

use std::collections::BTreeMap;

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::Response,
};
use serde_json::Value;

use super::store::Stored;
use crate::http::ShownOnce;

/// Headers that belong to an answer, beside its content type. Those about the connection, the request and the caller's limits do not.
const KEPT: &[HeaderName] = &[
    header::CACHE_CONTROL,
    header::CONTENT_DISPOSITION,
    header::CONTENT_LANGUAGE,
    header::CONTENT_LOCATION,
    header::ETAG,
    header::LAST_MODIFIED,
    header::LINK,
    header::LOCATION,
];
/// Tells a repeat that it got the first answer.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// Tells a repeat which fields of the first answer were shown once and are not there any more.
const OMITTED: HeaderName = HeaderName::from_static("idempotency-omitted");

/// An answer as it is kept.
#[derive(Debug)]
pub(super) struct Reply {
    pub status: i64,
    pub content_type: Option<String>,
    /// A JSON object of header names and values.
    pub headers: String,
    pub body: Vec<u8>,
}

impl Reply {
    /// What is kept of an answer: all of its body, but for what is shown once.
    pub fn of(status: StatusCode, headers: &HeaderMap, body: &Bytes, once: Option<ShownOnce>) -> Self {
        let text = |name: &HeaderName| headers.get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
        let mut kept: BTreeMap<String, String> = KEPT.iter().filter_map(|name| Some((name.to_string(), text(name)?))).collect();
        let body = match once {
            None => body.to_vec(),
            Some(once) => {
                kept.insert(OMITTED.to_string(), once.0.join(", "));
                without(body, once.0)
            }
        };
        let headers = serde_json::to_string(&kept).unwrap_or_default();
        Self { status: i64::from(status.as_u16()), content_type: text(&header::CONTENT_TYPE), headers, body }
    }
}

/// JSON without the values at these pointers (RFC 6901). What is no JSON is not kept at all: it could hide anything.
fn without(body: &[u8], pointers: &[&str]) -> Vec<u8> {
    let Ok(mut value) = serde_json::from_slice::<Value>(body) else { return Vec::new() };
    for pointer in pointers {
        let Some((parent, name)) = pointer.rsplit_once('/') else { continue };
        let name = name.replace("~1", "/").replace("~0", "~");
        match value.pointer_mut(parent) {
            Some(Value::Object(map)) => drop(map.remove(&name)),
            Some(Value::Array(items)) => {
                if let Some(item) = name.parse::<usize>().ok().and_then(|at| items.get_mut(at)) {
                    *item = Value::Null;
                }
            }
            _ => {}
        }
    }
    value.to_string().into_bytes()
}

/// Gives a kept answer again.
pub(super) fn replay(stored: Stored) -> Response {
    let mut response = Response::new(Body::from(stored.body.unwrap_or_default()));
    let status = stored.status.and_then(|s| u16::try_from(s).ok()).and_then(|s| StatusCode::from_u16(s).ok());
    *response.status_mut() = status.unwrap_or(StatusCode::OK);
    let kept: BTreeMap<String, String> = stored.headers.as_deref().and_then(|h| serde_json::from_str(h).ok()).unwrap_or_default();
    let content_type = stored.content_type.map(|value| (header::CONTENT_TYPE.to_string(), value));
    let headers = response.headers_mut();
    for (name, value) in kept.into_iter().chain(content_type) {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            headers.insert(name, value);
        }
    }
    headers.insert(REPLAYED, HeaderValue::from_static("true"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_once_is_not_kept_wherever_it_stands() {
        let body = br#"{"id":"key_1","secret":"astro_x","inner":{"tokens":["a","b"],"keep":1}}"#;
        let kept = without(body, &["/secret", "/inner/tokens", "/missing/field"]);
        assert_eq!(String::from_utf8(kept).unwrap(), r#"{"id":"key_1","inner":{"keep":1}}"#);
        assert_eq!(without(br#"["a","b"]"#, &["/1"]), br#"["a",null]"#);
        assert_eq!(without(b"astro_x", &["/secret"]), b"");
    }
}
