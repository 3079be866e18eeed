//! Short ways for the tests of this crate: calls without rules and books.

use std::sync::Arc;

use astrolabe_kernel::principal::default_tenant;

use super::{Asked, Live, Models};
use crate::{
    chat::{ChatReply, ChatRequest},
    error::ModelGatewayError,
    gateway::{Gateway, Wishes},
    guardrails::Guardrails,
    routing::Alias,
    usage::{Purpose, Who},
};

fn nobody() -> Who {
    Who { tenant: default_tenant(), principal: "user:test".to_owned(), key: String::new(), agent: String::new() }
}

impl Gateway {
    pub(crate) async fn chat(&self, request: ChatRequest) -> Result<ChatReply, ModelGatewayError> {
        self.chat_stream(request).await?.collect().await
    }

    pub(crate) async fn chat_stream(&self, request: ChatRequest) -> Result<Live, ModelGatewayError> {
        Models::new(self.clone(), None, Guardrails::default()).stream(nobody(), Purpose::Ask, request).await
    }

    pub(crate) async fn chat_on(&self, alias: Arc<Alias>, request: ChatRequest) -> Result<ChatReply, ModelGatewayError> {
        let models = Models::new(self.clone(), None, Guardrails::default());
        models.live(Asked::new(nobody(), Purpose::Api, Wishes::OfTheCaller, alias, request)).await?.collect().await
    }
}
