//! What commands print: text for people, or one JSON document for scripts. Results go to standard output, everything else to
//! standard error.

use std::io::{IsTerminal, Write};

use astrolabe_kernel::{Error, Result};
use serde::Serialize;

/// Where a command prints.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    /// One JSON document instead of text.
    pub json: bool,
}

impl Output {
    /// Prints a line of the result; nothing with `--json`.
    pub fn line(self, text: impl AsRef<str>) {
        if !self.json {
            write_out(text.as_ref());
        }
    }

    /// Prints the result as a document; nothing without `--json`.
    ///
    /// # Errors
    /// When it cannot be written as JSON.
    pub fn document(self, value: &impl Serialize) -> Result<()> {
        if self.json {
            write_out(&serde_json::to_string_pretty(value).map_err(Error::internal)?);
        }
        Ok(())
    }

    /// Tells a person what is going on; nothing with `--json`.
    pub fn note(self, text: impl AsRef<str>) {
        if !self.json {
            write_err(text.as_ref());
        }
    }

    /// Tells about an error: what it is, and what to do about it.
    pub fn error(self, error: &Error) {
        let code = error.code();
        if self.json {
            let fields = serde_json::to_value(error.fields()).unwrap_or_default();
            let document =
                serde_json::json!({"error": {"code": code.name, "message": error.message(), "hint": code.remedy, "errors": fields}});
            write_out(&format!("{document:#}"));
        } else {
            write_err(&format!("error: {}", error.message()));
            for field in error.fields().iter().filter(|f| !error.message().contains(&f.message)) {
                write_err(&format!("  {}: {}", field.field, field.message));
            }
            write_err(&format!("hint: {}", lower_first(code.remedy)));
        }
        if let Some(internal) = error.internal_detail() {
            tracing::debug!(internal, code = code.name, "the command failed");
            if code.name == "internal" && !self.json {
                write_err(&format!("detail: {internal}"));
            }
        }
    }
}

fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_lowercase().chain(chars).collect(),
        None => String::new(),
    }
}

/// Writes a line to standard output. A reader that went away, as `| head` does, ends nothing but the printing.
pub fn write_out(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}");
    let _ = out.flush();
}

/// Writes a line to standard error.
pub fn write_err(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Whether a person looks at standard error.
pub fn is_terminal() -> bool {
    std::io::stderr().is_terminal()
}
