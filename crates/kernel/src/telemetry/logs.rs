//! How a log line looks: one JSON object for machines, or one readable line for a terminal. Neither can be broken by what is in it:
//! line breaks and other control characters are escaped.

use std::{fmt::Write, io::IsTerminal};

use serde::{Deserialize, Serialize};
use tracing::Level;

use super::fields::{Fields, Value};
use crate::Timestamp;

/// How log lines look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Text on a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// One JSON object a line.
    Json,
    /// One readable line, in colour on a terminal unless `NO_COLOR` is set.
    Text,
}

/// A format with everything decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Json,
    Text { colour: bool },
}

impl Format {
    /// What it means for standard error (`to_file` false) or for a file.
    pub(super) fn style(self, to_file: bool) -> Style {
        let terminal = !to_file && std::io::stderr().is_terminal();
        match self {
            Self::Auto if !terminal => Style::Json,
            Self::Json => Style::Json,
            // https://no-color.org: present and not empty. A convention of terminals and no setting of ours, hence read here.
            Self::Auto | Self::Text => Style::Text { colour: terminal && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty()) },
        }
    }
}

/// What a line is made of.
pub(super) struct Line<'a> {
    pub at: Timestamp,
    pub level: Level,
    pub target: &'a str,
    /// The name of the innermost span, empty outside of any.
    pub span: &'a str,
    /// The event's own fields first, then those of its spans from the innermost out: the first of a name counts.
    pub fields: &'a [&'a Fields],
}

/// Names that the line itself has.
const OWN_NAMES: &[&str] = &["timestamp", "severity", "message", "target", "span"];

impl Line<'_> {
    /// The line with its line break.
    pub fn render(&self, style: Style) -> Vec<u8> {
        let mut out = String::with_capacity(256);
        match style {
            Style::Json => self.json(&mut out),
            Style::Text { colour } => self.text(&mut out, colour),
        }
        out.push('\n');
        out.into_bytes()
    }

    fn message(&self) -> &str {
        self.fields.first().and_then(|own| own.text("message")).unwrap_or("")
    }

    /// Every field but the message and what steers the export of spans (`otel.…`), the inner one of each name.
    fn each(&self) -> impl Iterator<Item = (&'static str, &Value)> {
        self.fields.iter().enumerate().flat_map(move |(depth, fields)| {
            let seen = &self.fields[..depth];
            fields.iter().filter(move |(name, _)| {
                !(depth == 0 && *name == "message" || name.starts_with("otel.")) && seen.iter().all(|inner| inner.get(name).is_none())
            })
        })
    }

    fn json(&self, out: &mut String) {
        let _ = write!(out, "{{\"timestamp\":\"{}\",\"severity\":\"{}\",\"message\":", self.at, severity(self.level));
        quote(self.message(), out);
        out.push_str(",\"target\":");
        quote(self.target, out);
        for (name, value) in self.each() {
            // A field must not pass for the line's own.
            out.push_str(if OWN_NAMES.contains(&name) { ",\"field_" } else { ",\"" });
            escape(name, true, out);
            out.push_str("\":");
            match value {
                Value::Text(text) => quote(text, out),
                other => {
                    let _ = write!(out, "{other}");
                }
            }
        }
        if !self.span.is_empty() {
            out.push_str(",\"span\":");
            quote(self.span, out);
        }
        out.push('}');
    }

    fn text(&self, out: &mut String, colour: bool) {
        let paint = |code: &'static str| if colour { code } else { "" };
        let (reset, dim) = (paint("\x1b[0m"), paint("\x1b[2m"));
        let tint = paint(match self.level {
            Level::ERROR => "\x1b[1;31m",
            Level::WARN => "\x1b[33m",
            Level::INFO => "\x1b[32m",
            _ => "\x1b[36m",
        });
        let time = self.at.to_string();
        let _ = write!(out, "{dim}{}{reset} {tint}{:<7}{reset} ", time.get(11..23).unwrap_or(&time), severity(self.level));
        if !self.span.is_empty() && self.span != self.message() {
            let _ = write!(out, "{dim}{}:{reset} ", self.span);
        }
        escape(self.message(), false, out);
        for (name, value) in self.each() {
            // The trace is enough to find the rest in a JSON log; a terminal is narrow.
            if !matches!(name, "request_id" | "span_id" | "parent_span_id") {
                let _ = write!(out, "  {dim}{name}={reset}");
                escape(&value.to_string(), false, out);
            }
        }
    }
}

/// The level as the word that log collectors know.
pub(super) fn severity(level: Level) -> &'static str {
    match level {
        Level::ERROR => "ERROR",
        Level::WARN => "WARNING",
        Level::INFO => "INFO",
        _ => "DEBUG",
    }
}

fn quote(text: &str, out: &mut String) {
    out.push('"');
    escape(text, true, out);
    out.push('"');
}

/// Writes text with everything escaped, in JSON's way, that could end a line, move a cursor or turn the reading direction; for JSON
/// also what ends a string.
fn escape(text: &str, json: bool, out: &mut String) {
    for c in text.chars() {
        match c {
            '"' if json => out.push_str("\\\""),
            '\\' if json => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}') => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
}
