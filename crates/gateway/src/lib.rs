//! Models behind one door.
//!
//! Reading order: [`chat`] has the words (request, reply, usage), [`conversation`] the rules of a conversation, [`config`] the settings,
//! [`error`] what can go wrong; [`provider`] is the seam behind which [`openai`] speaks a wire format; [`gateway`] knows the models,
//! [`models`] is the one way to ask them, for the product and for others; [`scripted`] is a provider that follows a file of rules, for
//! tests, demonstrations and work on the product without a model.
//!
//! [`routing`] goes from an alias to a model of a provider, with fallbacks, retries, breakers and queues; [`surface`] is the API that others call.
//! [`guardrails`] look at what goes in and comes out, [`usage`] has the books and the budgets.
//!
//! A call is repeated only before its first text has reached the caller. Everything that a provider sends is data: bounded in size,
//! checked in form, never trusted.

pub mod bedrock;
pub mod chat;
pub mod collect;
pub mod config;
#[cfg(test)]
mod contract;
pub mod conversation;
pub mod error;
pub mod gateway;
pub mod gemini;
pub mod guardrails;
pub mod models;
pub mod openai;
pub mod provider;
pub mod retry;
pub mod routing;
pub mod scripted;
pub mod sse;
pub mod surface;
#[cfg(test)]
mod tests;
pub mod tokens;
pub mod usage;

use astrolabe_kernel::db::{Migration, Migrations};
pub use chat::{ChatDelta, ChatEnd, ChatReply, ChatRequest, EmbedReply, EmbedRequest, FinishReason, Message, Role, Usage};
pub use config::GatewayConfig;
pub use error::ModelGatewayError;
pub use gateway::{Gateway, Status};
pub use models::Models;

/// This domain's tables.
pub const MIGRATIONS: Migrations = Migrations {
    domain: "gateway",
    steps: &[
        Migration { version: 1, name: "usage", sql: include_str!("../migrations/0001_usage.sql") },
        Migration { version: 46, name: "purpose", sql: include_str!("../migrations/0046_purpose.sql") },
    ],
};
