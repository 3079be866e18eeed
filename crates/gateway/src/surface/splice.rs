//! Changes values in a JSON body without writing the rest of it anew: what a provider gets is what the caller sent, byte for byte.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{error::ModelGatewayError, routing::Parameters};

/// Where the values stand that a route may change.
#[derive(Debug, Deserialize)]
struct Places<'a> {
    #[serde(borrow)]
    model: &'a RawValue,
    #[serde(borrow, default, deserialize_with = "present")]
    max_tokens: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    max_completion_tokens: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    temperature: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    top_p: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    stream_options: Option<&'a RawValue>,
}

/// A `null` that stands there is a place like any other.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// The body as it goes to a model: with the model's own name, the parameters within the route's limits and, when `count` is set, the
/// wish for the usage of a stream. Unchanged where nothing has to change.
///
/// # Errors
/// `Protocol` never for a body that was read before.
pub(crate) fn spliced(body: &Bytes, model: &str, parameters: &Parameters, count: bool) -> Result<Bytes, ModelGatewayError> {
    let places: Places<'_> = serde_json::from_slice(body).map_err(|e| crate::error::protocol(format!("our own body: {e}")))?;
    let mut edits: Vec<(Option<&RawValue>, &str, String)> = Vec::new();
    let name = quoted(model);
    if places.model.get() != name {
        edits.push((Some(places.model), "model", name));
    }
    if !parameters.is_empty() {
        let read = |raw: Option<&RawValue>| raw.and_then(|r| r.get().parse::<f32>().ok());
        let (field, raw) = match places.max_completion_tokens.filter(|raw| raw.get() != "null") {
            Some(raw) => ("max_completion_tokens", Some(raw)),
            None => ("max_tokens", places.max_tokens),
        };
        let wish = raw.and_then(|r| r.get().parse::<u32>().ok());
        if let Some(tokens) = parameters.max_tokens(wish).filter(|tokens| Some(*tokens) != wish) {
            edits.push((raw, field, tokens.to_string()));
        }
        let temperature = read(places.temperature);
        if let Some(changed) = parameters.temperature(temperature).filter(|t| Some(*t) != temperature) {
            edits.push((places.temperature, "temperature", changed.to_string()));
        }
        let top_p = read(places.top_p);
        if let Some(changed) = parameters.top_p(top_p).filter(|p| Some(*p) != top_p) {
            edits.push((places.top_p, "top_p", changed.to_string()));
        }
    }
    if count {
        edits.push((places.stream_options, "stream_options", "{\"include_usage\":true}".to_owned()));
    }
    if edits.is_empty() {
        return Ok(body.clone());
    }
    // By where they stand; what stands nowhere yet goes to the front, behind the brace.
    let start = |raw: Option<&RawValue>| raw.map_or(0, |r| (r.get().as_ptr() as usize).wrapping_sub(body.as_ptr() as usize));
    edits.sort_by_key(|(raw, ..)| start(*raw));
    let brace = body.iter().position(|b| *b == b'{').map_or(0, |at| at + 1);
    let mut out = Vec::with_capacity(body.len() + 64);
    out.extend_from_slice(&body[..brace]);
    let mut at = brace;
    for (raw, field, value) in edits {
        match raw {
            Some(raw) => {
                let from = start(Some(raw));
                out.extend_from_slice(&body[at..from]);
                out.extend_from_slice(value.as_bytes());
                at = from + raw.get().len();
            }
            // The object is not empty: it has a model.
            None => out.extend_from_slice(format!("\"{field}\":{value},").as_bytes()),
        }
    }
    out.extend_from_slice(&body[at..]);
    Ok(out.into())
}

/// A text as JSON.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn made(body: &str, model: &str, parameters: &Parameters, count: bool) -> String {
        String::from_utf8(spliced(&Bytes::from(body.to_owned()), model, parameters, count).unwrap().to_vec()).unwrap()
    }

    #[test]
    fn what_has_not_to_change_is_the_same_bytes() {
        let body = Bytes::from_static(b" { \"model\" : \"m\", \"x\": 1.50,\"messages\":[ ] }");
        let same = spliced(&body, "m", &Parameters::default(), false).unwrap();
        assert_eq!(same.as_ptr(), body.as_ptr());
        assert_eq!(
            made(" {\"messages\" :[\"model\"],\"model\": \"a\" }", "b\"c", &Parameters::default(), false),
            " {\"messages\" :[\"model\"],\"model\": \"b\\\"c\" }"
        );
    }

    #[test]
    fn values_are_replaced_wherever_they_stand_and_added_where_they_do_not() {
        let limits =
            Parameters { max_tokens: Some(10), temperature: Some((0.5, 1.0)), default_temperature: Some(0.75), top_p: Some((0.0, 0.5)) };
        for body in [
            json!({"temperature": 2, "model": "a", "top_p": 0.9, "max_tokens": 99, "messages": []}),
            json!({"messages": [], "model": "a", "temperature": null, "max_tokens": null, "stream_options": null}),
            json!({"model": "a"}),
            json!({"max_completion_tokens": 99, "model": "a", "temperature": 0.1}),
        ] {
            let value: Value = serde_json::from_str(&made(&body.to_string(), "b", &limits, true)).unwrap();
            assert_eq!(value["model"], "b", "{body}");
            let tokens = if body["max_completion_tokens"].is_null() { &value["max_tokens"] } else { &value["max_completion_tokens"] };
            assert_eq!(*tokens, 10, "{body}");
            let temperature = match body["temperature"].as_f64() {
                None => 0.75,
                Some(t) => t.clamp(0.5, 1.0),
            };
            assert_eq!(value["temperature"], temperature, "{body}");
            assert_eq!(value["stream_options"], json!({"include_usage": true}));
            assert_eq!(
                value.as_object().unwrap().len(),
                made(&body.to_string(), "b", &limits, true).matches("\":").count() - 1,
                "no key twice"
            );
        }
    }
}
