//! JSON after a schema: whether a reply keeps to it, and what to ask for when it does not.

use std::sync::Arc;

use astrolabe_kernel::{Error, Result};
use serde_json::Value;

use crate::chat::{Message, ResponseFormat};

/// Faults that a model is told of at most.
const MAX_FAULTS: usize = 10;

/// Characters of a fault that a model is told.
const MAX_FAULT: usize = 300;

/// A schema, compiled. References to other documents are refused: nothing is fetched.
pub struct Schema(jsonschema::Validator);

impl Schema {
    /// Reads a schema.
    ///
    /// # Errors
    /// `invalid_request` naming `field`, where it stands in the request.
    pub fn new(schema: &Value, field: &str) -> Result<Self> {
        // Patterns in linear time, whatever the schema says.
        let options = jsonschema::options().with_pattern_options(jsonschema::PatternOptions::regex().size_limit(1 << 20));
        let compiled = options.build(schema);
        let bad =
            |e: jsonschema::ValidationError<'_>| Error::field(field, format!("is no schema that can be used: {}", cut(&e.to_string())));
        compiled.map(Self).map_err(bad)
    }

    /// The schema that a reply has to keep to, when one was asked for; `field` is where it stands.
    ///
    /// # Errors
    /// As [`Schema::new`].
    pub(crate) fn of(format: &ResponseFormat, field: &str) -> Result<Option<Arc<Self>>> {
        match format {
            ResponseFormat::JsonSchema { schema, .. } => Self::new(schema, field).map(Arc::new).map(Some),
            _ => Ok(None),
        }
    }

    /// What of a reply breaks the schema; nothing when it keeps to it.
    pub fn faults(&self, reply: &str) -> Vec<String> {
        match serde_json::from_str::<Value>(unfenced(reply)) {
            Err(e) => vec![format!("the reply is no JSON: {e}")],
            Ok(value) => self.0.iter_errors(&value).take(MAX_FAULTS).map(|e| cut(&format!("{}: {e}", e.instance_path()))).collect(),
        }
    }

    /// Messages to put behind the conversation so that the model tries once more; nothing when the reply is as it should be.
    pub fn repair(&self, reply: &str) -> Option<[Message; 2]> {
        let faults = self.faults(reply);
        if faults.is_empty() {
            return None;
        }
        let text =
            format!("Your reply does not keep to the JSON schema:\n- {}\nReply again with the JSON alone, corrected.", faults.join("\n- "));
        Some([Message::assistant(reply), Message::user(text)])
    }

    /// The reply without the fence that models like to put around JSON, when it keeps to the schema.
    ///
    /// # Errors
    /// The first fault.
    pub fn check<'a>(&self, reply: &'a str) -> std::result::Result<&'a str, String> {
        self.faults(reply).into_iter().next().map_or(Ok(unfenced(reply)), Err)
    }
}

/// The inside of a Markdown fence around the whole reply.
fn unfenced(reply: &str) -> &str {
    let reply = reply.trim();
    let inside = reply.strip_prefix("```").and_then(|rest| rest.strip_suffix("```"));
    inside.map_or(reply, |rest| rest.strip_prefix("json").unwrap_or(rest).trim())
}

fn cut(text: &str) -> String {
    text.chars().take(MAX_FAULT).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schema() -> Schema {
        Schema::new(
            &json!({"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}, "s": {"type": "string", "pattern": "^a+$"}},
                            "required": ["n"], "additionalProperties": false}),
            "text.format.schema",
        )
        .unwrap()
    }

    #[test]
    fn a_reply_that_keeps_to_the_schema_passes_with_or_without_a_fence() {
        for reply in [r#"{"n": 1}"#, "```json\n{\"n\": 2, \"s\": \"aa\"}\n```", " ```\n{\"n\":3}``` "] {
            assert!(schema().repair(reply).is_none(), "{reply}");
            assert!(serde_json::from_str::<Value>(schema().check(reply).unwrap()).is_ok());
        }
    }

    #[test]
    fn a_reply_that_does_not_is_asked_for_once_more_with_its_faults() {
        let [said, ask] = schema().repair(r#"{"n": 0, "x": 1}"#).unwrap();
        assert_eq!(said, Message::assistant(r#"{"n": 0, "x": 1}"#));
        assert!(ask.text().contains("/n: 0 is less than the minimum of 1") && ask.text().contains("'x'"), "{}", ask.text());
        assert!(schema().repair("Sure! Here it is").unwrap()[1].text().contains("is no JSON"));
        assert!(schema().check("{}").unwrap_err().contains("\"n\" is a required property"));
    }

    #[test]
    fn a_schema_that_is_none_or_points_elsewhere_is_refused() {
        for bad in [
            json!({"type": 5}),
            json!({"$ref": "https://example.org/schema.json"}),
            json!({"$ref": "file:///etc/passwd"}),
            json!({"pattern": "("}),
        ] {
            let error = Schema::new(&bad, "text.format.schema").err().unwrap_or_else(|| panic!("{bad} was taken"));
            assert_eq!(error.fields()[0].field, "text.format.schema");
        }
    }

    #[test]
    fn a_hostile_pattern_takes_linear_time() {
        let schema = Schema::new(&json!({"type": "string", "pattern": "^(a+)+$"}), "schema").unwrap();
        assert_eq!(schema.faults(&format!("\"{}b\"", "a".repeat(20_000))).len(), 1);
    }
}
