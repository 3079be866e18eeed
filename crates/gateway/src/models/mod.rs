//! The one way to a model, for the product and for others: guardrails and budgets before the call, the routes, the books after it.
//!
//! ```text
//! let mut reply = models.stream(Who::of(&principal), Purpose::Ask, request).await?;   // or models.chat(…) for all of it at once
//! while let Some(piece) = reply.next().await { … }                                    // dropped before its end, it counts as canceled
//! ```
//!
//! [`call`] makes a call, [`live`] reads its reply in pieces, [`books`] is where either says what became of it.

mod books;
mod call;
mod live;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use self::live::Live;
pub(crate) use self::{
    books::Books,
    call::{Asked, Begun, Whole},
};
use crate::{
    chat::{ChatReply, ChatRequest},
    collect::Collector,
    error::ModelGatewayError,
    gateway::{Gateway, Wishes},
    guardrails::Guardrails,
    routing::DEFAULT,
    usage::{Ledger, Purpose, Who},
};

/// Models as they may be called. Cheap to clone.
#[derive(Clone)]
pub struct Models(Arc<Inner>);

struct Inner {
    gateway: Gateway,
    ledger: Option<Ledger>,
    guardrails: Guardrails,
}

impl Models {
    /// These models under these rules. Without a ledger nothing is counted and no budget holds.
    pub fn new(gateway: Gateway, ledger: Option<Ledger>, guardrails: Guardrails) -> Self {
        Self(Arc::new(Inner { gateway, ledger, guardrails }))
    }

    /// What is known of the models.
    pub fn gateway(&self) -> &Gateway {
        &self.0.gateway
    }

    pub(crate) fn ledger(&self) -> Option<&Ledger> {
        self.0.ledger.as_ref()
    }

    pub(crate) fn guardrails(&self) -> &Guardrails {
        &self.0.guardrails
    }

    /// Asks the model that the product uses and waits until the first piece of its reply may be shown; failures up to then are repeated
    /// where that makes sense. Dropping the reply, or this future, tells the provider to stop. What no route's settings speak of is not
    /// sent, whatever the request wishes: the model behind the name may refuse it.
    ///
    /// # Errors
    /// Every kind of [`ModelGatewayError`]. One for which [`ModelGatewayError::is_ours`] holds is a rule's or a budget's: whoever asked has
    /// to hear of it.
    pub async fn stream(&self, who: Who, purpose: Purpose, request: ChatRequest) -> Result<Live, ModelGatewayError> {
        let alias = self.0.gateway.alias(DEFAULT).ok_or(ModelGatewayError::NotConfigured)?;
        self.live(Asked::new(who, purpose, Wishes::OfTheProduct, alias, request)).await
    }

    /// As [`Models::stream`], and waits for all of the reply.
    ///
    /// # Errors
    /// As [`Models::stream`], also for what happens in the middle.
    pub async fn chat(&self, who: Who, purpose: Purpose, request: ChatRequest) -> Result<ChatReply, ModelGatewayError> {
        self.stream(who, purpose, request).await?.collect().await
    }
}

impl Live {
    /// Reads the reply to its last piece, so that the connection can be used again.
    pub(crate) async fn collect(mut self) -> Result<ChatReply, ModelGatewayError> {
        let mut collector = Collector::default();
        while let Some(piece) = self.next().await {
            collector.push(piece?);
        }
        collector.finish()
    }
}
