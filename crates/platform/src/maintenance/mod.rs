//! The maintenance switch of the installation: while it is read-only, whoever wants to change something is told when to come back.
//!
//! The switch is a row, so it is in force on every process within two seconds and after a restart. What callers asked for before goes on:
//! jobs, runs and answers are finished. The program's own records, such as audit entries and the time a session was last used, are still
//! written.

pub mod routes;
mod store;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use astrolabe_kernel::{Error, Result, Timestamp, error::code};
use axum::{
    extract::{MatchedPath, Request, State},
    http::Method,
    middleware::Next,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Platform;

/// When to come back when nobody said until when it takes.
const COME_BACK: Duration = Duration::from_secs(60);
/// The longest that a caller is sent away for: plans change.
const LONGEST: Duration = Duration::from_secs(3600);

/// What changes nothing that matters, although it is not a GET, and what a read-only installation must do all the same: the switch itself
/// and signing out. Opening a one-time link is a GET.
const ALLOWED: &[(Method, &str)] = &[
    (Method::PUT, "/api/v1/maintenance"),
    (Method::DELETE, "/api/v1/sessions/current"),
    (Method::POST, "/api/v1/search"),
    (Method::POST, "/api/v1/policies/simulate"),
    (Method::POST, "/api/v1/policies/{id}/simulate"),
];

/// Whether changes are accepted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MaintenanceMode {
    /// They are.
    #[default]
    Off,
    /// They are refused with 503.
    ReadOnly,
}

/// The state of the switch.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Maintenance {
    /// Whether changes are accepted.
    pub mode: MaintenanceMode,
    /// What people are told, such as the reason.
    #[serde(default)]
    #[schema(max_length = 500, example = "the database moves to a larger machine")]
    pub message: String,
    /// When it is expected to end. People are told; it does not end by itself, because nobody knows whether the work is done.
    #[serde(default)]
    pub until: Option<Timestamp>,
}

impl Maintenance {
    fn validate(&self) -> Result<()> {
        if self.message.chars().count() > 500 || self.message.chars().any(char::is_control) {
            return Err(Error::field("message", "must be at most 500 characters without control characters"));
        }
        Ok(())
    }

    /// What a change is answered with.
    fn refusal(&self, now: Timestamp) -> Error {
        let after = self.until.map(|until| until.since(now)).filter(|left| !left.is_zero()).unwrap_or(COME_BACK);
        let text = match self.message.as_str() {
            "" => "changes are not accepted during maintenance".to_owned(),
            message => format!("changes are not accepted during maintenance: {message}"),
        };
        Error::new(code::MAINTENANCE, text).with_retry_after(after.clamp(Duration::from_secs(1), LONGEST))
    }
}

impl Platform {
    /// The state of the switch, at most two seconds old.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn maintenance(&self) -> Result<Arc<Maintenance>> {
        let now = self.kernel().now();
        if let Some(fresh) = self.0.maintenance.get(&(), now) {
            return Ok(fresh);
        }
        let state = Arc::new(store::get(&mut self.kernel().db.read_all().await?).await?.unwrap_or_default());
        self.0.maintenance.put((), now, state.clone());
        Ok(state)
    }
}

/// Middleware for routes behind sign-in: refuses changes while the installation is read-only. A switch that cannot be read refuses them, too.
pub async fn guard(State(platform): State<Platform>, request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>().map_or("", |p| p.as_str());
    let reads = request.method().is_safe() || ALLOWED.iter().any(|(method, allowed)| method == request.method() && *allowed == path);
    if !reads {
        match platform.maintenance().await {
            Ok(state) if state.mode == MaintenanceMode::ReadOnly => return state.refusal(platform.kernel().now()).into_response(),
            Ok(_) => {}
            Err(error) => return error.into_response(),
        }
    }
    next.run(request).await
}
