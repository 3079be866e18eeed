//! What was masked in a request, so that it can be put back into the answer. It lives as long as the call and is printed nowhere.

use serde_json::Value;

use super::PersonalKind;

/// The longest placeholder, `[CARD_4294967295]` and the like.
pub(super) const LONGEST: usize = 32;

/// Placeholders and what they stand for.
#[derive(Clone, Default)]
pub(super) struct Vault(Vec<(PersonalKind, String, String)>);

impl Vault {
    /// The placeholder for a value; the same one for the same value.
    pub(super) fn placeholder(&mut self, kind: PersonalKind, value: &str) -> String {
        let mut count = 0;
        for (_, placeholder, known) in self.0.iter().filter(|(k, ..)| *k == kind) {
            if known == value {
                return placeholder.clone();
            }
            count += 1;
        }
        let placeholder = format!("[{}_{}]", kind.tag(), count + 1);
        self.0.push((kind, placeholder.clone(), value.to_owned()));
        placeholder
    }

    /// Whether nothing was masked.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn value(&self, placeholder: &str) -> Option<&str> {
        self.0.iter().find(|(_, p, _)| p == placeholder).map(|(.., value)| value.as_str())
    }

    /// The text with every placeholder replaced; nothing when there is none in it.
    pub(super) fn restore(&self, text: &str) -> Option<String> {
        if self.is_empty() || !text.contains('[') {
            return None;
        }
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find('[') {
            out.push_str(&rest[..at]);
            rest = &rest[at..];
            let close = rest.as_bytes().iter().take(LONGEST).position(|b| *b == b']');
            match close.and_then(|end| self.value(&rest[..=end]).map(|value| (end, value))) {
                Some((end, value)) => {
                    out.push_str(value);
                    rest = &rest[end + 1..];
                }
                None => {
                    out.push('[');
                    rest = &rest[1..];
                }
            }
        }
        out.push_str(rest);
        Some(out)
    }

    /// As [`Vault::restore`] in the strings of JSON; in the plain text when it is none.
    pub(super) fn restore_json(&self, json: &str) -> Option<String> {
        if self.is_empty() || !json.contains('[') {
            return None;
        }
        match serde_json::from_str::<Value>(json) {
            Ok(mut value) => {
                self.walk(&mut value);
                Some(value.to_string())
            }
            Err(_) => self.restore(json),
        }
    }

    fn walk(&self, value: &mut Value) {
        match value {
            Value::String(text) => {
                if let Some(restored) = self.restore(text) {
                    *text = restored;
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|v| self.walk(v)),
            Value::Object(fields) => fields.values_mut().for_each(|v| self.walk(v)),
            _ => {}
        }
    }
}
