//! One error type. A [`Code`] is public and stable, the message is for people, and what is internal cannot be printed by accident.
//!
//! Every code stands in one table ([`code`]), which is rendered to `docs/generated/errors.md`; a code belongs to one of the
//! [`Kind`]s, and a kind has one HTTP status and one CLI exit code.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The result of nearly everything.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What sort of failure it is: decides the HTTP status and the CLI exit code, nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The request cannot be understood or breaks a rule (400, exit 2).
    Invalid,
    /// Nobody has said who they are, or the proof is bad (401, exit 4).
    Unauthenticated,
    /// The caller may not do this (403, exit 4).
    Forbidden,
    /// There is no such thing, or it belongs to somebody else (404, exit 5).
    NotFound,
    /// It collides with the present state (409, exit 6).
    Conflict,
    /// It is larger than the limit (413, exit 2).
    TooLarge,
    /// The kind of content is not accepted (415, exit 2).
    Unsupported,
    /// Too much at once (429, exit 7).
    Limited,
    /// A defect of ours (500, exit 1).
    Internal,
    /// A server we depend on failed (502, exit 7).
    Upstream,
    /// Not now (503, exit 7).
    Unavailable,
    /// It took too long (504, exit 7).
    Timeout,
}

impl Kind {
    /// The HTTP status of errors of this kind.
    pub fn status(self) -> u16 {
        match self {
            Self::Invalid => 400,
            Self::Unauthenticated => 401,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::Conflict => 409,
            Self::TooLarge => 413,
            Self::Unsupported => 415,
            Self::Limited => 429,
            Self::Internal => 500,
            Self::Upstream => 502,
            Self::Unavailable => 503,
            Self::Timeout => 504,
        }
    }

    /// The exit code of a command that ends with an error of this kind.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Internal => 1,
            Self::Invalid | Self::TooLarge | Self::Unsupported => 2,
            Self::Unauthenticated | Self::Forbidden => 4,
            Self::NotFound => 5,
            Self::Conflict => 6,
            Self::Limited | Self::Upstream | Self::Unavailable | Self::Timeout => 7,
        }
    }
}

/// A public error code: stable for ever, in the table below and in `docs/generated/errors.md`.
#[derive(Debug, PartialEq, Eq)]
pub struct Code {
    /// The code as callers compare it, such as `source_exists`.
    pub name: &'static str,
    /// Its kind.
    pub kind: Kind,
    /// A short title, the same for every occurrence (RFC 9457 `title`).
    pub title: &'static str,
    /// What the caller can do about it.
    pub remedy: &'static str,
}

macro_rules! codes {
    ($($constant:ident = $name:literal, $kind:ident, $title:literal, $remedy:literal;)*) => {
        /// The table of public codes.
        pub mod code {
            use super::{Code, Kind};
            $(
                #[doc = concat!($title, ". ", $remedy, ".")]
                pub const $constant: &Code = &Code { name: $name, kind: Kind::$kind, title: $title, remedy: $remedy };
            )*
            /// Every code, in the table's order.
            pub const ALL: &[&Code] = &[$($constant),*];
        }
    };
}

codes! {
    INVALID_REQUEST = "invalid_request", Invalid, "Invalid request", "Correct the fields that `errors` names";
    INVALID_JSON = "invalid_json", Invalid, "Invalid JSON", "Send a JSON body that matches the schema in /docs";
    INVALID_ID = "invalid_id", Invalid, "Invalid id", "Use the id exactly as the API returned it";
    INVALID_HEADER = "invalid_header", Invalid, "Invalid header", "Correct the header that the detail names";
    INVALID_HOST = "invalid_host", Forbidden, "Host not allowed", "Reach the server by its address, or add the name to server.allowed_hosts";
    INVALID_ORIGIN = "invalid_origin", Forbidden, "Origin not allowed", "Send the request from the page that this server serves, or with a bearer token";
    MISSING_TOKEN = "missing_token", Unauthenticated, "Sign-in needed", "Send `Authorization: Bearer <token>`, or open the one-time link that `astrolabe login-link` prints";
    INVALID_TOKEN = "invalid_token", Unauthenticated, "Invalid token", "Use the token in the data directory's `token` file, or a fresh one of the issuer";
    TOKEN_EXPIRED = "token_expired", Unauthenticated, "The token has expired", "Get a fresh token, and send it before its `exp`";
    TOKEN_NOT_YET_VALID = "token_not_yet_valid", Unauthenticated, "The token is not valid yet", "Wait until its `nbf`, or set the clocks of issuer and server";
    INVALID_ISSUER = "invalid_issuer", Unauthenticated, "The token is of another issuer", "Sign in at the issuer that this server trusts: `oidc.issuer`, or the server itself";
    INVALID_AUDIENCE = "invalid_audience", Unauthenticated, "The token is for somebody else", "Ask the issuer for a token whose `aud` is one of `oidc.audience`";
    INVALID_CREDENTIALS = "invalid_credentials", Unauthenticated, "Wrong e-mail or password", "Check both; who forgot the password asks an administrator for a one-time link";
    INSUFFICIENT_SCOPE = "insufficient_scope", Forbidden, "Key without that scope", "Use a key that was made for the right which the detail names";
    FORBIDDEN = "forbidden", Forbidden, "Not allowed", "Ask an administrator for the role that the detail names";
    NOT_FOUND = "not_found", NotFound, "Not found", "Check the id; what belongs to somebody else looks the same as what is missing";
    METHOD_NOT_ALLOWED = "method_not_allowed", Invalid, "Method not allowed", "Use one of the methods in the Allow header";
    CONFLICT = "conflict", Conflict, "Conflict", "Read the present state and try again";
    PRECONDITION_FAILED = "precondition_failed", Conflict, "Changed in the meantime", "Read it again, and repeat the change with its new ETag in If-Match";
    SOURCE_EXISTS = "source_exists", Conflict, "Source exists", "Choose another name, or add to the source that has it";
    INVALID_STATE = "invalid_state", Conflict, "Not possible in this state", "Wait for, or change, the state that the detail names";
    IDEMPOTENCY_CONFLICT = "idempotency_conflict", Conflict, "Idempotency key used otherwise", "Use a new key for a different request";
    IDEMPOTENCY_KEY_REUSED = "idempotency_key_reused", Conflict, "Idempotency key used for another request", "Use a new key for a different request, and the same request for a repeat";
    IDEMPOTENCY_IN_PROGRESS = "idempotency_in_progress", Conflict, "The same request is still running", "Repeat it after the time in Retry-After";
    TOO_LARGE = "too_large", TooLarge, "Too large", "Send less, or raise the limit that the detail names";
    URL_TOO_LONG = "url_too_long", TooLarge, "The address is too long", "Send long values in the body of a POST";
    HEADERS_TOO_LARGE = "headers_too_large", TooLarge, "Headers too large", "Send fewer or shorter headers; clear the cookies of this site";
    BODY_TIMEOUT = "body_timeout", Timeout, "The body came too slowly", "Send the request again over a better connection, or in smaller pieces";
    UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type", Unsupported, "Kind of content not accepted", "Send one of the kinds that the detail names";
    DOCUMENT_EMPTY = "document_empty", Invalid, "The document has no text", "Add text to the document and upload it again";
    DOCUMENT_UNREADABLE = "document_unreadable", Invalid, "The document cannot be read", "Do what the detail says and upload it again";
    EXTRACTION_FAILED = "extraction_failed", Invalid, "The document could not be parsed", "Simplify the document and upload it again";
    UNKNOWN_AGENT = "unknown_agent", Invalid, "Unknown agent", "Use one of the agents that GET /api/v1/agents lists";
    UNKNOWN_TOOL = "unknown_tool", Invalid, "Unknown tool", "Use one of the tools that the agent lists";
    TOOL_NOT_CONFIGURED = "tool_not_configured", Unavailable, "Tool not configured", "Configure the setting that the detail names";
    NOT_CONFIGURED = "not_configured", Unavailable, "Not configured", "Set what the detail names";
    TOOL_REFUSED = "tool_refused", Forbidden, "Tool refused", "Ask an administrator for one of the tool's roles";
    POLICY_REFUSED = "policy_refused", Forbidden, "Refused by a policy", "Ask an administrator of the tenant about the policy that the detail names";
    FEATURE_OFF = "feature_off", Forbidden, "Turned off for this tenant", "Ask an administrator of the tenant to turn on the flag that the detail names";
    RATE_LIMITED = "rate_limited", Limited, "Too many requests", "Repeat after the time in Retry-After";
    BUDGET_EXCEEDED = "budget_exceeded", Limited, "The budget is used up", "Wait until the period ends, or ask an administrator of the tenant for more";
    INPUT_REFUSED = "input_refused", Invalid, "Refused by a guardrail", "Take out what the detail names; an administrator can change the rule";
    INPUT_TOO_LONG = "input_too_long", TooLarge, "Too long for the model", "Shorten the conversation to the limit that the detail names";
    PERSONAL_DATA_REFUSED = "personal_data_refused", Invalid, "Personal data or secrets in the text", "Take out the kind of data that the detail names";
    OUTPUT_REFUSED = "output_refused", Upstream, "The answer was stopped by a guardrail", "Ask in another way; an administrator can change the rule that the detail names";
    OUTPUT_INVALID = "output_invalid", Upstream, "The answer does not keep to the schema", "Simplify the schema, or use a model that is held to it";
    OVERLOADED = "overloaded", Unavailable, "Overloaded", "Repeat after the time in Retry-After";
    WARMING_UP = "warming_up", Unavailable, "Service warming up", "Repeat after the time in Retry-After";
    MAINTENANCE = "maintenance", Unavailable, "Read-only for maintenance", "Repeat after the time in Retry-After; reading works meanwhile";
    SHUTTING_DOWN = "shutting_down", Unavailable, "Shutting down", "Repeat the request; another process will answer";
    STORAGE_FULL = "storage_full", Unavailable, "Storage is full", "Free disk space on the server, then repeat";
    STORAGE_READ_ONLY = "storage_read_only", Unavailable, "Storage is read-only", "Make the data directory writable, then repeat";
    DATABASE_UNAVAILABLE = "database_unavailable", Unavailable, "The database does not answer", "Repeat after the time in Retry-After; the operator's log says what the database said";
    UPSTREAM_FAILED = "upstream_failed", Upstream, "A server we depend on failed", "Repeat later; the detail names the server";
    UPSTREAM_TIMEOUT = "upstream_timeout", Timeout, "A server we depend on was too slow", "Repeat later; the detail names the server";
    EGRESS_REFUSED = "egress_refused", Forbidden, "Connection refused by policy", "Allow the address in [egress], or turn offline mode off";
    TIMED_OUT = "timed_out", Timeout, "The request took too long", "Ask for less at once, or repeat later";
    INVALID_CONFIG = "invalid_config", Invalid, "Invalid configuration", "Correct the setting that the detail names; `astrolabe config show` prints them all";
    DATA_DIR_BUSY = "data_dir_busy", Conflict, "The data directory is in use", "Stop the other process, or choose another --data-dir";
    DATA_DIR_NEWER = "data_dir_newer", Conflict, "The data is of a newer version", "Use the newer astrolabe, or restore a backup made by this version";
    DATA_DIR_UNUSABLE = "data_dir_unusable", Unavailable, "The data directory cannot be used", "Check that it exists, is a folder and can be written";
    ADDRESS_IN_USE = "address_in_use", Conflict, "The address is in use", "Stop the other process, or choose another --listen";
    MIGRATION_NEEDED = "migration_needed", Conflict, "The database is not up to date", "Run `astrolabe migrate`";
    AUDIT_BROKEN = "audit_broken", Conflict, "The audit chain is broken", "Keep a copy of the database and of the archive, and compare them from the entry that the detail names";
    BACKUP_INVALID = "backup_invalid", Invalid, "Not a usable backup", "Use a file that `astrolabe backup` wrote completely";
    MODEL_NOT_CONFIGURED = "model_not_configured", Unavailable, "No chat model configured", "Set model.base_url and model.name";
    MODEL_INVALID = "model_invalid", Invalid, "The model cannot be used", "Run `make models` again";
    SERVER_UNREACHABLE = "server_unreachable", Unavailable, "The server does not answer", "Start it with `astrolabe serve`, or check --server";
    INTERNAL = "internal", Internal, "Internal error", "Repeat; if it stays, report the trace_id to the operator";
}

/// One field of a request and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FieldError {
    /// Path of the field, such as `sources[1]`.
    pub field: String,
    /// What is wrong and how to mend it.
    pub message: String,
}

/// An error with a public face (code, message, fields) and an internal side that only logs see.
pub struct Error(Box<Inner>);

struct Inner {
    code: &'static Code,
    message: String,
    fields: Vec<FieldError>,
    retry_after: Option<Duration>,
    internal: Option<String>,
}

impl Error {
    /// An error of that code; `message` is public, lower-case, without a final period.
    pub fn new(code: &'static Code, message: impl Into<String>) -> Self {
        Self(Box::new(Inner { code, message: message.into(), fields: Vec::new(), retry_after: None, internal: None }))
    }

    /// `invalid_request` about one field.
    pub fn field(field: impl Into<String>, message: impl Into<String>) -> Self {
        let (field, message) = (field.into(), message.into());
        let mut error = Self::new(code::INVALID_REQUEST, format!("{field}: {message}"));
        error.0.fields.push(FieldError { field, message });
        error
    }

    /// `not_found`, with the same words for what is missing and what belongs to somebody else.
    pub fn not_found(noun: &str) -> Self {
        Self::new(code::NOT_FOUND, format!("there is no such {noun}"))
    }

    /// `forbidden`.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(code::FORBIDDEN, message)
    }

    /// `internal`; what happened goes to the log and never to the caller.
    pub fn internal(what: impl fmt::Display) -> Self {
        Self::new(code::INTERNAL, "something went wrong on our side").with_internal(what)
    }

    /// Adds a field to the list of wrong ones.
    #[must_use]
    pub fn and_field(mut self, field: impl Into<String>, message: impl Into<String>) -> Self {
        self.0.fields.push(FieldError { field: field.into(), message: message.into() });
        self
    }

    /// Says when trying again makes sense; becomes `Retry-After`.
    #[must_use]
    pub fn with_retry_after(mut self, after: Duration) -> Self {
        self.0.retry_after = Some(after);
        self
    }

    /// Adds what only the log may see.
    #[must_use]
    pub fn with_internal(mut self, what: impl fmt::Display) -> Self {
        self.0.internal = Some(what.to_string());
        self
    }

    /// The public code.
    pub fn code(&self) -> &'static Code {
        self.0.code
    }

    /// The kind of the code.
    pub fn kind(&self) -> Kind {
        self.0.code.kind
    }

    /// The public message.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The wrong fields, empty when the error is not about fields.
    pub fn fields(&self) -> &[FieldError] {
        &self.0.fields
    }

    /// When to try again.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// What only the log may see.
    pub fn internal_detail(&self) -> Option<&str> {
        self.0.internal.as_deref()
    }

    /// Whether the same attempt may succeed later: it depends on load or on another server, not on the request.
    pub fn is_transient(&self) -> bool {
        matches!(self.kind(), Kind::Limited | Kind::Upstream | Kind::Unavailable | Kind::Timeout | Kind::Internal)
    }
}

/// Prints the public message; the internal side is read with [`Error::internal_detail`] alone.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

/// Prints code, message and the internal side: for logs and failed tests, never for callers.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.code.name, self.0.message)?;
        match &self.0.internal {
            Some(internal) => write!(f, " ({internal})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        use std::io::ErrorKind;
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
                Self::new(code::STORAGE_FULL, "no space is left on the disk").with_internal(error)
            }
            ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied => {
                Self::new(code::STORAGE_READ_ONLY, "the data directory cannot be written").with_internal(error)
            }
            ErrorKind::NotADirectory => {
                Self::new(code::DATA_DIR_UNUSABLE, "there is a file in the data directory where a folder should be").with_internal(error)
            }
            _ => Self::internal(error),
        }
    }
}

/// The table of codes as Markdown, for `docs/generated/errors.md`.
pub fn codes_markdown() -> String {
    use std::fmt::Write;
    let mut out = String::from(
        "# Error codes\n\nGenerated from `crates/kernel/src/error.rs`. Every error of the HTTP API is `application/problem+json` (RFC 9457) with one of these \
         in `code`; the command line prints the same message and ends with the exit code.\n\n\
         | code | status | exit | title | what to do |\n| --- | --- | --- | --- | --- |\n",
    );
    for code in code::ALL {
        let _ = writeln!(out, "| `{}` | {} | {} | {} | {} |", code.name, status_of(code), code.kind.exit_code(), code.title, code.remedy);
    }
    out
}

/// The HTTP status of a code: that of its kind, but for those that HTTP itself names.
pub fn status_of(code: &Code) -> u16 {
    match code.name {
        "method_not_allowed" => 405,
        "precondition_failed" => 412,
        "body_timeout" => 408,
        "url_too_long" => 414,
        "idempotency_key_reused" => 422,
        "headers_too_large" => 431,
        "storage_full" => 507,
        _ => code.kind.status(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_public_code_is_unique_and_says_what_to_do() {
        let mut names: Vec<_> = code::ALL.iter().map(|c| c.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), code::ALL.len());
        assert!(code::ALL.iter().all(|c| !c.remedy.is_empty() && !c.title.is_empty()));
    }

    #[test]
    fn the_internal_side_is_not_in_what_a_caller_reads() {
        let error = Error::internal("password=hunter2");
        assert!(!error.to_string().contains("hunter2"));
    }
}
