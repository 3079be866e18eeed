//! What can go wrong between us and a provider, by what a caller can do about it.

use std::{fmt, time::Duration};

use astrolabe_kernel::error::code;

use crate::retry::LONGEST_RETRY_AFTER;

/// Which wait was too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// From sending to the first event, connecting included.
    FirstToken,
    /// Between two events.
    Idle,
    /// The whole reply, or the caller's deadline.
    Whole,
}

/// An error of the model gateway. Details come from the provider and are for logs alone.
#[derive(Debug)]
pub enum ModelGatewayError {
    /// No chat model is configured.
    NotConfigured,
    /// The conversation breaks a rule of ours.
    Invalid(astrolabe_kernel::Error),
    /// The provider was too slow.
    ProviderTimeout {
        /// Which wait was too long.
        stage: Stage,
    },
    /// The provider, or our own limit of replies in flight, has too much to do (429, 503, 529).
    ProviderOverloaded {
        /// When it wants to be asked again, if it said so.
        retry_after: Option<Duration>,
    },
    /// The provider failed again and again and is left alone for a moment.
    Unavailable {
        /// When it is tried again.
        retry_after: Duration,
    },
    /// A guardrail of ours does not let the reply through.
    Blocked(astrolabe_kernel::Error),
    /// The reply does not keep to the JSON Schema that was asked for.
    Broken {
        /// The first fault.
        fault: String,
    },
    /// A filter of the provider refused what was asked.
    Filtered {
        /// The provider's words.
        detail: String,
    },
    /// The provider could not be reached, failed (5xx) or broke off.
    ProviderServerError {
        /// The HTTP status, when there was one.
        status: Option<u16>,
        /// Whether text had reached the caller, so that the call cannot be repeated unseen.
        started: bool,
        /// What happened.
        detail: String,
    },
    /// The provider refused the request (4xx), or our own egress policy did.
    Refused {
        /// The HTTP status, when it was the provider.
        status: Option<u16>,
        /// What goes to our caller.
        error: astrolabe_kernel::Error,
    },
    /// The conversation is longer than the model can read.
    ContextOverflow {
        /// The provider's words.
        detail: String,
    },
    /// The provider sent what its protocol does not allow.
    Protocol {
        /// What it was.
        detail: String,
    },
}

impl ModelGatewayError {
    /// A short fixed word, the label of `model_errors_total`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::NotConfigured => "not_configured",
            Self::Invalid(_) => "invalid",
            Self::ProviderTimeout { .. } => "timeout",
            Self::ProviderOverloaded { .. } => "overloaded",
            Self::Unavailable { .. } => "unavailable",
            Self::Blocked(_) => "blocked",
            Self::Broken { .. } => "schema",
            Self::Filtered { .. } => "filtered",
            Self::ProviderServerError { .. } => "server_error",
            Self::Refused { .. } => "refused",
            Self::ContextOverflow { .. } => "context_overflow",
            Self::Protocol { .. } => "protocol",
        }
    }

    /// Whether a rule or a budget of ours said no, and not a provider: whoever asked has to hear of that, because asking differently, or
    /// somebody who owns the rule, is the way out.
    pub fn is_ours(&self) -> bool {
        let refusals =
            [code::BUDGET_EXCEEDED, code::INPUT_REFUSED, code::INPUT_TOO_LONG, code::PERSONAL_DATA_REFUSED, code::OUTPUT_REFUSED];
        matches!(self, Self::Invalid(error) | Self::Blocked(error) if refusals.contains(&error.code()))
    }

    /// How long to wait before asking again: what the provider asked for, at most 20 seconds; one second when it did not say.
    pub fn suggested_sleep(&self) -> Option<Duration> {
        match self {
            Self::ProviderOverloaded { retry_after } => Some(retry_after.unwrap_or(Duration::from_secs(1)).min(LONGEST_RETRY_AFTER)),
            Self::Unavailable { retry_after } => Some((*retry_after).min(LONGEST_RETRY_AFTER)),
            _ => None,
        }
    }

    /// Whether the same request may be sent again: nobody has seen any of the reply, and the failure was the provider's.
    pub fn should_retry(&self) -> bool {
        match self {
            Self::ProviderOverloaded { .. } => true,
            Self::ProviderServerError { started, status, .. } => !started && *status != Some(501),
            _ => false,
        }
    }
}

impl fmt::Display for ModelGatewayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotConfigured => f.write_str("no chat model is configured"),
            Self::Invalid(error) | Self::Blocked(error) | Self::Refused { error, .. } => error.fmt(f),
            Self::Broken { fault } => write!(f, "the model's answer breaks the schema: {fault}"),
            Self::ProviderTimeout { stage: Stage::FirstToken } => f.write_str("the model did not begin to answer in time"),
            Self::ProviderTimeout { stage: Stage::Idle } => f.write_str("the model stopped in the middle of its answer"),
            Self::ProviderTimeout { stage: Stage::Whole } => f.write_str("the model did not finish its answer in time"),
            Self::ProviderOverloaded { .. } => f.write_str("the model has too much to do"),
            Self::Unavailable { .. } => f.write_str("the model fails again and again and is left alone for a moment"),
            Self::Filtered { .. } => f.write_str("a filter of the model's provider refused the conversation"),
            Self::ProviderServerError { started: true, .. } => f.write_str("the model broke off in the middle of its answer"),
            Self::ProviderServerError { status: Some(status), .. } => write!(f, "the model's provider failed with status {status}"),
            Self::ProviderServerError { .. } => f.write_str("the model's provider cannot be reached or broke the connection"),
            Self::ContextOverflow { .. } => f.write_str("the conversation is longer than the model can read"),
            Self::Protocol { .. } => f.write_str("the model's provider sent something that is not its protocol"),
        }
    }
}

impl std::error::Error for ModelGatewayError {}

/// What a provider sent breaks its protocol.
pub(crate) fn protocol(detail: impl Into<String>) -> ModelGatewayError {
    ModelGatewayError::Protocol { detail: detail.into() }
}

impl From<ModelGatewayError> for astrolabe_kernel::Error {
    fn from(error: ModelGatewayError) -> Self {
        let message = error.to_string();
        match error {
            ModelGatewayError::NotConfigured => Self::new(code::MODEL_NOT_CONFIGURED, message),
            ModelGatewayError::Invalid(error) | ModelGatewayError::Blocked(error) | ModelGatewayError::Refused { error, .. } => error,
            ModelGatewayError::Broken { .. } => Self::new(code::OUTPUT_INVALID, message),
            ModelGatewayError::Unavailable { retry_after } => Self::new(code::OVERLOADED, message).with_retry_after(retry_after),
            ModelGatewayError::ContextOverflow { detail } | ModelGatewayError::Filtered { detail } => {
                Self::field("messages", message).with_internal(detail)
            }
            ModelGatewayError::ProviderTimeout { .. } => Self::new(code::UPSTREAM_TIMEOUT, message),
            ModelGatewayError::ProviderOverloaded { retry_after } => {
                Self::new(code::OVERLOADED, message).with_retry_after(retry_after.unwrap_or(Duration::from_secs(1)))
            }
            ModelGatewayError::ProviderServerError { detail, .. } | ModelGatewayError::Protocol { detail } => {
                Self::new(code::UPSTREAM_FAILED, message).with_internal(detail)
            }
        }
    }
}
