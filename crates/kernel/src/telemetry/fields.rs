//! The fields of spans and log lines: typed, bounded, and without the secrets in them.

use std::{borrow::Cow, fmt};

use tracing::field::{Field, Visit};

use crate::mask;

/// Bytes of one text at most; the rest is cut, because a log line is no place for a document.
const MAX_TEXT: usize = 16 * 1024;

/// What stands where a secret stood.
const REDACTED: &str = "[redacted]";

/// Names whose values are never written, whatever they hold. A field matches as a whole or behind an underscore (`smtp_password`).
const SECRET_NAMES: &[&str] =
    &["password", "token", "secret", "authorization", "api_key", "apikey", "cookie", "set_cookie", "set-cookie", "private_key", "email"];

/// A value as logs and traces carry it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Text(String),
    Int(i64),
    Float(f64),
    Bool(bool),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Int(number) => number.fmt(f),
            Self::Float(number) => number.fmt(f),
            Self::Bool(yes) => yes.fmt(f),
        }
    }
}

/// Fields in the order in which they were given; a later value of the same name replaces the earlier.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Fields(Vec<(&'static str, Value)>);

impl Fields {
    /// The fields that `record` hands to a visitor.
    pub fn of(record: impl FnOnce(&mut dyn Visit)) -> Self {
        let mut fields = Self::default();
        record(&mut fields);
        fields
    }

    /// Fields that are known to hold no secret.
    pub fn from_pairs(pairs: Vec<(&'static str, Value)>) -> Self {
        Self(pairs)
    }

    /// A field by name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(n, _)| *n == name).map(|(_, value)| value)
    }

    /// A field by name, when it is a text.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.get(name) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &Value)> {
        self.0.iter().map(|(name, value)| (*name, value))
    }

    fn put(&mut self, field: &Field, value: Value) {
        let name = field.name();
        let value = if is_secret(name) { Value::Text(REDACTED.to_owned()) } else { value };
        match self.0.iter_mut().find(|(n, _)| *n == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name, value)),
        }
    }

    fn put_text(&mut self, field: &Field, text: &str) {
        let text = scrub(cut(text));
        self.put(field, Value::Text(mask::emails(&text).into_owned()));
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = Bounded(String::new());
        // A text that is cut reports an error on purpose: it stops a long value from being formatted to its end.
        let _ = fmt::write(&mut text, format_args!("{value:?}"));
        self.put_text(field, &text.0);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put_text(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, Value::Int(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        // What does not fit keeps all its digits as text.
        self.put(field, i64::try_from(value).map_or_else(|_| Value::Text(value.to_string()), Value::Int));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        // JSON has no infinity and no "not a number".
        self.put(field, if value.is_finite() { Value::Float(value) } else { Value::Text(value.to_string()) });
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, Value::Bool(value));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.put_text(field, &value.to_string());
    }
}

/// A text that stops growing at the limit.
struct Bounded(String);

impl fmt::Write for Bounded {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        if self.0.len() > MAX_TEXT {
            return Err(fmt::Error);
        }
        self.0.push_str(part);
        Ok(())
    }
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_TEXT)]
}

/// Whether a field of that name is never written out.
pub(super) fn is_secret(name: &str) -> bool {
    let ends_so = |secret: &&str| {
        let Some(start) = name.len().checked_sub(secret.len()) else { return false };
        name.as_bytes()[start..].eq_ignore_ascii_case(secret.as_bytes()) && (start == 0 || b"_.-".contains(&name.as_bytes()[start - 1]))
    };
    SECRET_NAMES.iter().any(ends_so)
}

/// Takes out what looks like a credential inside a longer text, such as the message of somebody else's error: bearer tokens, our
/// own tokens (`astro_…`) and passwords in URLs. A second line of defence; the first is not to log them.
pub(super) fn scrub(text: &str) -> Cow<'_, str> {
    if !["earer ", "astro_", "://"].iter().any(|mark| text.contains(mark)) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let found = [("Bearer ", true), ("bearer ", true), ("astro_", true), ("://", false)]
            .iter()
            .filter_map(|(mark, token)| rest.find(mark).map(|at| (at, at + mark.len(), *token)))
            .min();
        let Some((_, from, is_token)) = found else { break };
        out.push_str(&rest[..from]);
        rest = &rest[from..];
        if is_token {
            let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || "-._~+/=".contains(c))).unwrap_or(rest.len());
            // Shorter than any token is a word of prose.
            if end >= 8 {
                out.push_str(REDACTED);
                rest = &rest[end..];
            }
        } else {
            let end = rest.find(|c: char| c.is_whitespace() || "/?#\"'<>".contains(c)).unwrap_or(rest.len());
            if let Some(at) = rest[..end].rfind('@') {
                out.push_str(REDACTED);
                rest = &rest[at..];
            }
        }
    }
    out.push_str(rest);
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_known_by_its_name_also_behind_a_prefix() {
        for name in ["password", "token", "Authorization", "api_key", "set-cookie", "smtp_password", "model.api_key"] {
            assert!(is_secret(name), "{name}");
        }
        for name in ["tokens", "trace_id", "secretary", "token_count", "cookies", "monkey"] {
            assert!(!is_secret(name), "{name}");
        }
    }

    #[test]
    fn a_credential_inside_a_text_is_taken_out() {
        for (text, clean) in [
            ("sent Authorization: Bearer abcdef0123456789, got 401", "sent Authorization: Bearer [redacted], got 401"),
            ("token astro_abcDEF-123456_x is old", "token astro_[redacted] is old"),
            ("postgres://me:hunter2@db:5432/x failed", "postgres://[redacted]@db:5432/x failed"),
            ("see https://example.org/a@b and http://x", "see https://example.org/a@b and http://x"),
            ("the bearer of news", "the bearer of news"),
            ("Zażółć ://", "Zażółć ://"),
        ] {
            assert_eq!(scrub(text), clean);
        }
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let long = "ż".repeat(MAX_TEXT);
        assert_eq!(cut(&long).len(), MAX_TEXT);
        assert_eq!(cut("ż"), "ż");
    }
}
