//! The books of one call, from its reply's first byte to its last.

use crate::{
    chat::Usage,
    error::ModelGatewayError,
    gateway::{Gateway, Meter, Status},
    routing::Held,
    usage::{self, Attempt, Outcome},
};

/// What hears how a call went; dropped before its end, the call counts as canceled.
pub(crate) struct Books {
    pub(super) meter: Meter,
    pub(super) attempt: Option<Attempt>,
    /// Holds the call's budget back.
    pub(super) _call: Option<usage::Call>,
    pub(super) place: Held,
    /// Whom to tell that the model is there; nothing when nobody asks for that one.
    pub(super) told: Option<Gateway>,
}

impl Books {
    /// A piece of the answer came.
    pub(crate) fn wrote(&mut self, text: &str) {
        if let Some(attempt) = &mut self.attempt {
            attempt.wrote(text);
        }
    }

    /// The answer is there in full.
    pub(crate) fn finished(&mut self, usage: Option<Usage>) {
        self.meter.finished(&usage.unwrap_or_default());
        if let Some(gateway) = &self.told {
            gateway.remember(Status::Ok);
        }
        if let Some(attempt) = self.attempt.take() {
            attempt.finish(Outcome::Ok, usage);
        }
    }

    /// It broke off, or a rule of ours ended it.
    pub(crate) fn failed(&mut self, error: &ModelGatewayError) {
        self.meter.failed(error);
        self.place.broke(error);
        if let Some(attempt) = self.attempt.take() {
            attempt.finish(outcome_of(error), None);
        }
    }
}

/// What a failed attempt is in the books.
pub(super) fn outcome_of(error: &ModelGatewayError) -> Outcome {
    match error {
        ModelGatewayError::ProviderTimeout { .. } => Outcome::Timeout,
        ModelGatewayError::Filtered { .. } | ModelGatewayError::Blocked(_) => Outcome::Blocked,
        _ => Outcome::Failed,
    }
}
