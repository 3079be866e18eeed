//! Extractors: what a handler asks for in its arguments. A refusal names the field.

use std::{marker::PhantomData, net::IpAddr, ops::Deref};

use axum::{
    RequestExt,
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Request},
    http::{HeaderMap, header, request::Parts},
    response::{IntoResponse, Response},
};
use serde::{Serialize, de::DeserializeOwned};

use super::{Trace, strict};
use crate::{Error, Principal, error::code, policy::Policies, principal::Asked};

/// Who asks, and the ids of the request. Handlers get it inside [`May`], once the caller has the right that they ask for.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Who asks, for which tenant.
    pub principal: Principal,
    /// The ids of the request.
    pub trace: Trace,
    /// Names the request when it carried an idempotency key: a repeat of the same request has the same name, another request under the same
    /// key, once the key is free again, another one.
    pub idempotency_key: Option<String>,
    /// The network address of the client; absent for work without a connection.
    pub address: Option<IpAddr>,
}

impl Caller {
    async fn of(parts: &mut Parts) -> Result<Self, Error> {
        let principal = parts.extensions.get::<Principal>().cloned().ok_or_else(|| Error::new(code::MISSING_TOKEN, "sign in first"))?;
        let trace = Trace::from_request_parts(parts, &()).await?;
        // Also where nothing is done about the key, a wrong one is refused.
        idempotency_key(&parts.headers)?;
        let idempotency_key = parts.extensions.get::<crate::idempotency::Named>().map(|n| n.0.clone());
        let address = parts.extensions.get::<super::ClientAddress>().map(|a| a.0);
        Ok(Self { principal, trace, idempotency_key, address })
    }

    /// The caller with a right.
    ///
    /// # Errors
    /// As [`Principal::require`].
    pub fn may<R: Asked>(self) -> Result<May<R>, Error> {
        self.principal.require(R::RIGHT)?;
        Ok(May { caller: self, right: PhantomData })
    }
}

/// A caller that has a right: `caller: May<right::WriteKnowledge>`. A handler without one is public, and there is no other way to a
/// [`Caller`], so no handler reaches data of a tenant without saying which right it takes.
#[derive(Debug, Clone)]
pub struct May<R> {
    caller: Caller,
    right: PhantomData<R>,
}

impl<R> May<R> {
    /// The caller itself.
    pub fn into_caller(self) -> Caller {
        self.caller
    }
}

impl<R> Deref for May<R> {
    type Target = Caller;

    fn deref(&self) -> &Caller {
        &self.caller
    }
}

impl<S: Sync, R: Asked> FromRequestParts<S> for May<R> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        let may: Self = Caller::of(parts).await?.may()?;
        let policies = parts.extensions.get::<Policies>().ok_or_else(|| Error::internal("a request came without the policies"))?;
        policies.allow_operation(&may.caller, R::RIGHT).await?;
        Ok(may)
    }
}

/// The idempotency key of a request (A-16): 1 to 200 visible ASCII characters, under either name, once.
///
/// # Errors
/// `invalid_header`.
pub fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Error> {
    let mut given =
        ["idempotency-key", "x-idempotency-key"].into_iter().flat_map(|name| headers.get_all(name).iter().map(move |v| (name, v)));
    let Some((name, value)) = given.next() else { return Ok(None) };
    if given.any(|(_, other)| other != value) {
        return Err(Error::new(code::INVALID_HEADER, format!("{name}: is given twice, with different values")));
    }
    match value.to_str() {
        Ok(key) if (1..=200).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic()) => Ok(Some(key.to_owned())),
        _ => Err(Error::new(code::INVALID_HEADER, format!("{name}: must be 1 to 200 visible ASCII characters"))),
    }
}

impl<S: Sync> FromRequestParts<S> for Trace {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| Error::internal("a request passed without the observing middleware"))
    }
}

/// A JSON body, in and out.
#[derive(Debug, Clone, Copy, Default)]
pub struct Json<T>(pub T);

/// The bytes of a body that is said to be JSON, unread.
#[derive(Debug, Clone, Default)]
pub struct JsonBytes(pub Bytes);

impl<S: Send + Sync> FromRequest<S> for JsonBytes {
    type Rejection = Error;

    async fn from_request(request: Request, _: &S) -> Result<Self, Error> {
        let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("");
        let essence = content_type.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
        if essence != "application/json" && !(essence.starts_with("application/") && essence.ends_with("+json")) {
            return Err(Error::new(code::UNSUPPORTED_MEDIA_TYPE, "send the body as application/json"));
        }
        let bytes = request.extract::<Bytes, _>().await.map_err(|rejection| match rejection.status().as_u16() {
            413 => Error::new(code::TOO_LARGE, "the body is larger than server.max_body_bytes allows"),
            408 => Error::new(code::TIMED_OUT, "the body did not arrive in time"),
            _ => Error::new(code::INVALID_REQUEST, "the body could not be read"),
        })?;
        Ok(Self(bytes))
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Error;

    async fn from_request(request: Request, state: &S) -> Result<Self, Error> {
        let JsonBytes(bytes) = JsonBytes::from_request(request, state).await?;
        parse(&bytes).map(Self)
    }
}

/// Reads JSON as bodies are read: unknown fields, lists in the place of objects and U+0000 are refused.
///
/// # Errors
/// `invalid_json`; `invalid_request` naming the field.
pub fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    // PostgreSQL cannot store U+0000, so it is refused at the door, on both engines alike. Only a body that may hold one is looked at twice.
    if bytes.windows(6).any(|w| w == b"\\u0000")
        && let Ok(value) = serde_json::from_slice::<serde_json::Value>(bytes)
        && let Some(field) = find_nul("", &value)
    {
        return Err(Error::field(field, "must not contain the character U+0000"));
    }
    let read = match read(bytes) {
        // `5.0` and `5e0` are whole numbers in JSON (JSON Schema, 4.2.3), which serde takes for fractions.
        Err(error) if !error.fields().is_empty() && bytes.iter().any(|b| matches!(b, b'.' | b'e' | b'E')) => {
            let mut value = serde_json::from_slice::<serde_json::Value>(bytes).unwrap_or_default();
            if whole_numbers(&mut value) { read(value.to_string().as_bytes()).map_err(|_| error) } else { Err(error) }
        }
        result => result,
    };
    // Only where there is a list, or a second object, can one stand in the place of something else. What is no JSON was refused as such.
    let nested = bytes.contains(&b'[') || bytes.iter().filter(|b| **b == b'{').count() > 1;
    if nested && let Ok(value) = serde_json::from_slice::<serde_json::Value>(bytes) {
        if value.is_array() {
            return Err(Error::field("body", "must be an object, not a list"));
        }
        // Where serde refused a field by name, it knows better; a list in the place of a word is bad syntax to it.
        let unnamed = read.as_ref().err().is_none_or(|e| e.code() == code::INVALID_JSON);
        if unnamed && let Err((path, text)) = strict::read::<T>(&value) {
            return Err(Error::field(if path == "." { "body".to_owned() } else { path }, plain(&text)));
        }
    }
    read
}

/// What serde expected, in words that do not name types of the program.
fn plain(text: &str) -> String {
    let text = match text.split_once("expected struct ") {
        Some((before, _)) => format!("{before}expected an object"),
        None => text.to_owned(),
    };
    text.replace("invalid type: sequence", "invalid type: list")
        .replace("expected a sequence", "expected a list")
        .replace("expected a map", "expected an object")
}

/// Reads a value as bodies are read: a list or an object in the place of something else is refused.
///
/// # Errors
/// `invalid_request` naming the field, below `of`.
pub fn parse_value<T: DeserializeOwned>(value: &serde_json::Value, of: &str) -> Result<T, Error> {
    strict::read(value).map_err(|(path, text)| {
        let field = if path == "." { of.to_owned() } else { format!("{of}.{path}") };
        Error::field(field, plain(&text))
    })
}

/// Writes fractions that are whole numbers as such. Returns whether there was one.
fn whole_numbers(value: &mut serde_json::Value) -> bool {
    use serde_json::Value;
    match value {
        Value::Number(number) => match number.as_f64().filter(|f| number.is_f64() && f.fract() == 0.0 && f.abs() < 9e15) {
            // Whole and within 53 bits, so the cast loses nothing.
            Some(whole) => {
                *number = serde_json::Number::from(whole as i64);
                true
            }
            None => false,
        },
        Value::Array(items) => items.iter_mut().fold(false, |any, v| whole_numbers(v) | any),
        Value::Object(map) => map.values_mut().fold(false, |any, v| whole_numbers(v) | any),
        _ => false,
    }
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        let inner = error.into_inner();
        let text = inner.to_string();
        let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(t, _)| t).to_owned();
        if !inner.is_data() {
            return Error::new(code::INVALID_JSON, format!("the body is not valid JSON: {inner}"));
        }
        // serde names a missing or unknown field in its text, at the path of the object around it.
        let named = text.split('`').nth(1).filter(|_| text.starts_with("missing field") || text.starts_with("unknown field"));
        let field = match (path.as_str(), named) {
            ("." | "", Some(name)) => name.to_owned(),
            (path, Some(name)) if !path.ends_with(name) => format!("{path}.{name}"),
            ("." | "", None) => "body".to_owned(),
            (path, _) => path.to_owned(),
        };
        Error::field(field, plain(&text))
    })?;
    deserializer.end().map_err(|e| Error::new(code::INVALID_JSON, format!("the body has more after its JSON value: {e}")))?;
    Ok(value)
}

fn find_nul(path: &str, value: &serde_json::Value) -> Option<String> {
    use serde_json::Value;
    match value {
        Value::String(text) => text.contains('\0').then(|| if path.is_empty() { "body".to_owned() } else { path.to_owned() }),
        Value::Array(items) => items.iter().enumerate().find_map(|(i, v)| find_nul(&format!("{path}[{i}]"), v)),
        // By convention these two are whatever the caller wants to pass on; who stores them makes them storable.
        Value::Object(map) => map.iter().filter(|(k, _)| !matches!(k.as_str(), "meta" | "arguments")).find_map(|(k, v)| {
            let inner = if path.is_empty() { k.replace('\0', "") } else { format!("{path}.{k}") };
            if k.contains('\0') { Some(inner) } else { find_nul(&inner, v) }
        }),
        _ => None,
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(body) => ([(header::CONTENT_TYPE, "application/json")], body).into_response(),
            Err(error) => Error::internal(error).into_response(),
        }
    }
}

/// The query string.
#[derive(Debug, Clone, Copy)]
pub struct Query<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Query<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let query = axum::extract::Query::<T>::from_request_parts(parts, state).await.map_err(|rejection| {
            let text = std::error::Error::source(&rejection).map_or_else(|| rejection.body_text(), ToString::to_string);
            let field = match text.split('`').nth(1) {
                Some(name)
                    if text.starts_with("unknown field") || text.starts_with("missing field") || text.starts_with("duplicate field") =>
                {
                    name.to_owned()
                }
                _ => {
                    text.split(':').next().filter(|f| f.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')).unwrap_or("query").to_owned()
                }
            };
            let message = match text.strip_prefix(&format!("{field}: ")).unwrap_or(&text) {
                // What the standard library says of a text that is no number.
                "invalid digit found in string" | "cannot parse integer from empty string" => "must be a whole number, not negative",
                "number too large to fit in target type" => "is too large a number",
                other => other,
            };
            Error::field(field, message)
        })?;
        Ok(Self(query.0))
    }
}

/// The parameters in the path. An id of another shape is as unknown as one that does not exist.
#[derive(Debug, Clone, Copy)]
pub struct Path<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let path = axum::extract::Path::<T>::from_request_parts(parts, state).await.map_err(|_| Error::not_found("object"))?;
        Ok(Self(path.0))
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Ask {
        #[expect(dead_code, reason = "only its refusals are looked at")]
        question: String,
        limit: Option<u32>,
    }

    fn field_of(body: &str) -> String {
        let error = parse::<Ask>(body.as_bytes()).unwrap_err();
        error.fields().first().map_or_else(|| error.code().name.to_owned(), |f| f.field.clone())
    }

    #[test]
    fn a_refused_body_names_the_field() {
        assert_eq!(field_of(r#"{"question":"a","colour":1}"#), "colour");
        assert_eq!(field_of(r#"{}"#), "question");
        assert_eq!(field_of(r#"{"question":"a","limit":"x"}"#), "limit");
        assert_eq!(field_of(r#"{"question":"a\u0000b"}"#), "question");
        assert_eq!(field_of(r#"{"question":"#), "invalid_json");
        assert_eq!(field_of(r#"{"question":"a"} x"#), "invalid_json");
        assert_eq!(field_of("[]"), "body");
        assert_eq!(field_of(r#"{"question":"a","limit":1.5}"#), "limit");
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Plan {
        #[expect(dead_code, reason = "only its refusals are looked at")]
        steps: Vec<Ask>,
        #[expect(dead_code, reason = "only its refusals are looked at")]
        #[serde(default)]
        last: Option<Ask>,
        #[expect(dead_code, reason = "only its refusals are looked at")]
        #[serde(default)]
        kind: Option<Kind>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Kind {
        Plain,
    }

    #[test]
    fn a_list_in_the_place_of_an_object_is_refused_wherever_it_stands() {
        let field = |body: &str| parse::<Plan>(body.as_bytes()).map_err(|e| e.fields()[0].field.clone());
        assert_eq!(field(r#"{"steps":[{"question":"a"},["b",3]]}"#).unwrap_err(), "steps[1]");
        assert_eq!(field(r#"{"steps":[],"last":["b"]}"#).unwrap_err(), "last");
        assert_eq!(field(r#"[[["a"]]]"#).unwrap_err(), "body");
        assert_eq!(field(r#"{"steps":[],"kind":["plain"]}"#).unwrap_err(), "kind");
        assert_eq!(field(r#"{"steps":[],"kind":{"plain":null}}"#).unwrap_err(), "kind");
        for good in [
            r#"{"steps":[{"question":"[","limit":5.0}],"last":null,"kind":"plain"}"#,
            r#"{"steps":[],"last":{"question":"a","limit":null},"kind":null}"#,
        ] {
            field(good).unwrap();
        }
    }

    #[test]
    fn json_that_is_too_deep_is_the_callers_fault() {
        for deep in [
            "[".repeat(100_000),
            format!("{{\"question\":{}", "[".repeat(100_000)),
            format!("{{\"limit\":1.5,\"question\":{}", "{".repeat(1000)),
        ] {
            let error = parse::<Ask>(deep.as_bytes()).unwrap_err();
            assert_eq!(error.kind(), crate::Kind::Invalid, "{error:?}");
        }
    }

    #[test]
    fn a_whole_number_may_be_written_as_a_fraction() {
        assert_eq!(parse::<Ask>(br#"{"question":"a","limit":5.0}"#).unwrap().limit, Some(5));
        assert_eq!(parse::<Ask>(br#"{"question":"a","limit":5e0}"#).unwrap().limit, Some(5));
    }
}
