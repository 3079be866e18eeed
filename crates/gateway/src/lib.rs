//! Models behind one door.
//!
//! Reading order: [`chat`] has the words (request, reply, usage), [`conversation`] the rules of a conversation, [`config`] the settings,
//! [`error`] what can go wrong; [`provider`] is the seam behind which [`openai`] speaks a wire format; [`gateway`] is the handle that the
//! rest of the product calls; [`scripted`] is a provider that follows a file of rules, for tests, demonstrations and work on the product
//! without a model.
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
pub mod openai;
pub mod provider;
pub mod retry;
pub mod scripted;
pub mod sse;
#[cfg(test)]
mod tests;
pub mod tokens;

pub use chat::{ChatDelta, ChatEnd, ChatReply, ChatRequest, EmbedReply, EmbedRequest, FinishReason, Message, Role, Usage};
pub use config::GatewayConfig;
pub use error::ModelGatewayError;
pub use gateway::{ChatStream, Gateway, Status};
