//! Models behind one door.
//!
//! Reading order: [`chat`] has the words (conversation, reply, usage), [`config`] the settings, [`error`] what can go wrong;
//! [`gateway`] is the handle that the rest of the product calls; [`openai`] speaks to a provider over the network; [`scripted`] is
//! a provider that follows a file of rules, for tests, demonstrations and work on the product without a model.
//!
//! A call is repeated only before its first text has reached the caller. Everything that a provider sends is data: bounded in size,
//! checked in form, never trusted.

pub mod chat;
pub mod config;
pub mod error;
pub mod gateway;
pub mod openai;
pub mod retry;
pub mod scripted;
#[cfg(test)]
mod tests;

pub use chat::{ChatDelta, ChatEnd, ChatReply, ChatRequest, FinishReason, Message, Role, Usage};
pub use config::GatewayConfig;
pub use error::ModelGatewayError;
pub use gateway::{ChatStream, Gateway, Status};
