//! JSON and lines of JSON: each value on a line with the path that leads to it.

use serde_json::Value;

use super::text::{Gap, TextBuilder, one_line};
use super::{ExtractError, Extracted};

pub(super) fn read(text: &str) -> Result<Extracted, ExtractError> {
    let mut out = TextBuilder::new();
    // Values after one another are how lines of JSON look to the parser. Its limit of 128 levels also bounds what `lines` calls itself.
    let values: Vec<Value> = serde_json::Deserializer::from_str(text)
        .into_iter()
        .collect::<Result<_, _>>()
        .map_err(|e| ExtractError::Damaged { what: "JSON file", detail: e.to_string() })?;
    let title = match values.as_slice() {
        [Value::Object(object)] => ["title", "name"].iter().find_map(|k| object.get(*k)?.as_str()).map(one_line),
        _ => None,
    };
    for value in &values {
        let mut gap = Gap::Paragraph;
        lines(value, &mut String::new(), &mut gap, &mut out)?;
    }
    let mut extracted = out.finish("application/json");
    extracted.title = title.filter(|t| !t.is_empty());
    Ok(extracted)
}

fn lines(value: &Value, path: &mut String, gap: &mut Gap, out: &mut TextBuilder) -> Result<(), ExtractError> {
    let kept = path.len();
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(key);
                lines(value, path, gap, out)?;
                path.truncate(kept);
            }
        }
        Value::Array(items) if items.iter().all(|i| !i.is_object() && !i.is_array()) => {
            let items: Vec<String> = items.iter().map(plain).collect();
            line(path, &items.join(", "), gap, out)?;
        }
        Value::Array(items) => {
            for item in items {
                // Each of a list of objects is a paragraph of its own.
                *gap = Gap::Paragraph;
                lines(item, path, gap, out)?;
                path.truncate(kept);
            }
        }
        other => line(path, &plain(other), gap, out)?,
    }
    Ok(())
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn line(path: &str, text: &str, gap: &mut Gap, out: &mut TextBuilder) -> Result<(), ExtractError> {
    if text.trim().is_empty() {
        return Ok(());
    }
    match path {
        "" => out.block(*gap, text)?,
        path => out.block(*gap, &format!("{path}: {text}"))?,
    }
    *gap = Gap::Line;
    Ok(())
}
