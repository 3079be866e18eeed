//! Schemas as tables.

use std::fmt::Write;

use serde_json::{Value, json};

use super::{escape, prose, text};

fn name_of(reference: &str) -> &str {
    reference.rsplit('/').next().unwrap_or(reference)
}

fn resolve<'a>(api: &'a Value, schema: &'a Value) -> &'a Value {
    match schema["$ref"].as_str() {
        Some(reference) => &api["components"]["schemas"][name_of(reference)],
        None => schema,
    }
}

/// A schema in a few words, with links to named objects.
pub(super) fn kind(schema: &Value) -> String {
    if let Some(reference) = schema["$ref"].as_str() {
        let name = escape(name_of(reference));
        return format!("<a href=\"#object-{name}\">{name}</a>");
    }
    for key in ["oneOf", "anyOf", "allOf"] {
        if let Some(parts) = schema[key].as_array() {
            return parts.iter().map(kind).collect::<Vec<_>>().join(" or ");
        }
    }
    if let Some(values) = schema["enum"].as_array() {
        return values.iter().map(|v| format!("<code>{}</code>", escape(&v.to_string()))).collect::<Vec<_>>().join(", ");
    }
    let types = match &schema["type"] {
        Value::Array(types) => types.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" or "),
        Value::String(one) => one.clone(),
        _ => "any value".to_owned(),
    };
    let mut out = if types == "array" { format!("list of {}", kind(&schema["items"])) } else { escape(&types) };
    if let Some(format) = schema["format"].as_str() {
        let _ = write!(out, " ({})", escape(format));
    }
    for (key, words) in [
        ("minimum", "from"),
        ("maximum", "to"),
        ("minLength", "at least"),
        ("maxLength", "at most"),
        ("default", "default"),
        ("pattern", "like"),
        ("minItems", "at least"),
        ("maxItems", "at most"),
    ] {
        match &schema[key] {
            Value::Null => {}
            Value::String(value) => {
                let _ = write!(out, ", {words} <code>{}</code>", escape(value));
            }
            value => {
                let _ = write!(out, ", {words} {}", escape(&value.to_string()));
            }
        }
    }
    out
}

/// The fields of an object as a table, or nothing when the schema is no object.
pub(super) fn fields(api: &Value, schema: &Value) -> String {
    let schema = resolve(api, schema);
    let Some(properties) = schema["properties"].as_object() else { return String::new() };
    let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let mut out = String::from("<table><thead><tr><th>field</th><th>kind</th><th>meaning</th></tr></thead><tbody>");
    for (name, property) in properties {
        let mark = if required.contains(&name.as_str()) { "" } else { " <i>optional</i>" };
        let _ = write!(
            out,
            "<tr><td><code>{}</code>{mark}</td><td>{}</td><td>{}</td></tr>",
            escape(name),
            kind(property),
            prose(text(property, "description"))
        );
    }
    out.push_str("</tbody></table>");
    out
}

/// Links to every named object.
pub(super) fn index(api: &Value) -> String {
    let names = api["components"]["schemas"].as_object().into_iter().flatten();
    names.map(|(name, _)| format!("<li><a href=\"#object-{0}\">{0}</a></li>", escape(name))).collect()
}

/// Every named object.
pub(super) fn objects(api: &Value) -> String {
    let mut out = String::new();
    for (name, schema) in api["components"]["schemas"].as_object().into_iter().flatten() {
        let _ = write!(
            out,
            "<details id=\"object-{0}\"><summary><code>{0}</code></summary><p>{1}</p>",
            escape(name),
            prose(text(schema, "description"))
        );
        let table = fields(api, schema);
        if table.is_empty() {
            let _ = write!(out, "<p>{}</p>", kind(schema));
        }
        out.push_str(&table);
        out.push_str("</details>");
    }
    out
}

/// A value that shows the required fields of a schema, or its own example when it has one.
pub(super) fn example(api: &Value, schema: &Value, depth: usize) -> Value {
    let schema = resolve(api, schema);
    let given = [&schema["example"], &schema["examples"][0]].into_iter().find(|e| !e.is_null());
    if let Some(example) = given {
        return example.clone();
    }
    if depth > 4 {
        return Value::Null;
    }
    if let Some(properties) = schema["properties"].as_object() {
        let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
        return required
            .map(|name| (name.to_owned(), example(api, &properties[name], depth + 1)))
            .collect::<serde_json::Map<_, _>>()
            .into();
    }
    if let Some(first) = schema["enum"].get(0) {
        return first.clone();
    }
    match schema["type"].as_str().or_else(|| schema["type"][0].as_str()) {
        Some("string") => json!("text"),
        Some("integer" | "number") => schema.get("minimum").cloned().unwrap_or(json!(1)),
        Some("boolean") => json!(true),
        Some("array") => json!([]),
        Some("object") => json!({}),
        _ => Value::Null,
    }
}
