//! The seam between the gateway and the wire formats: what an adapter has to do, and what all of them share.
//!
//! An adapter turns a request into its format and hands the bytes that come back to a decoder, a state machine without input or output
//! ([`reply::Decode`]). Sockets, waits and bounds are handled once, here.

mod http;
pub(crate) mod reply;
pub(crate) mod vectors;

use std::{fmt, sync::Arc, time::Duration};

use astrolabe_kernel::{Result, egress::Response};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::time::{Instant, timeout_at};

pub(crate) use self::http::{Door, is_context_overflow, path_segment, read_whole};
pub use self::reply::ReplyStream;
use crate::{
    chat::{ChatReply, ChatRequest, EmbedReply, EmbedRequest},
    error::{ModelGatewayError, Stage},
};

/// A provider of models, at one address and with one key. It asks once per call: retries, fallbacks and limits are the caller's.
pub trait Provider: Send + Sync + fmt::Debug {
    /// Asks for a reply and waits for all of it, until [`Limits::whole`]. The messages have been through
    /// [`crate::conversation::normalise`].
    ///
    /// # Errors
    /// Every kind of [`ModelGatewayError`] but `NotConfigured`.
    fn complete<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Result<ChatReply, ModelGatewayError>>;

    /// Asks for a reply and waits until its first piece is there. Dropping the stream, or the future, closes the connection, which tells
    /// the provider to stop. The messages have been through [`crate::conversation::normalise`].
    ///
    /// # Errors
    /// As [`Provider::complete`].
    fn stream<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Result<ReplyStream, ModelGatewayError>>;

    /// Asks for the vectors of texts, until `whole`.
    ///
    /// # Errors
    /// As [`Provider::complete`].
    fn embed<'a>(
        &'a self,
        model: &'a str,
        request: &'a EmbedRequest,
        whole: Instant,
    ) -> BoxFuture<'a, Result<EmbedReply, ModelGatewayError>>;

    /// Whether the provider speaks OpenAI's format to this model, so that [`Provider::forward`] can pass a caller's body on.
    fn forwards(&self, _model: &str) -> bool {
        false
    }

    /// Sends a chat completion in OpenAI's format as it is and waits for the head of an answer that is a success.
    ///
    /// # Errors
    /// As [`Provider::complete`].
    fn forward(&self, _body: Bytes, _stream: bool) -> BoxFuture<'_, Result<Response, ModelGatewayError>> {
        Box::pin(std::future::ready(Err(crate::error::protocol("the provider has a format of its own"))))
    }

    /// Asks, until `whole`, whether the provider is there and takes the key, as far as that can be known without spending anything.
    ///
    /// # Errors
    /// What is wrong, in a message for people.
    fn probe(&self, whole: Instant) -> BoxFuture<'_, Result<()>>;
}

/// One call.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// The model's name at the provider.
    pub model: &'a str,
    /// What is asked. Shared, because it is looked at again when the provider does not count tokens.
    pub request: &'a Arc<ChatRequest>,
    /// How long to wait.
    pub limits: Limits,
}

/// The waits that a reply is read under.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Until the first event of a stream.
    pub first: Instant,
    /// Between two events.
    pub idle: Duration,
    /// The end of everything.
    pub whole: Instant,
}

impl Limits {
    /// Waits for `work` until the earlier of `until` and the end of everything; `stage` names the former.
    ///
    /// # Errors
    /// `ProviderTimeout`.
    pub(crate) async fn wait<T>(&self, until: Instant, stage: Stage, work: impl Future<Output = T>) -> Result<T, ModelGatewayError> {
        let (until, stage) = if self.whole <= until { (self.whole, Stage::Whole) } else { (until, stage) };
        timeout_at(until, work).await.map_err(|_| ModelGatewayError::ProviderTimeout { stage })
    }
}

/// Waits for `work` until `whole`.
///
/// # Errors
/// `ProviderTimeout` of the whole.
pub(crate) async fn within<T>(whole: Instant, work: impl Future<Output = T>) -> Result<T, ModelGatewayError> {
    timeout_at(whole, work).await.map_err(|_| ModelGatewayError::ProviderTimeout { stage: Stage::Whole })
}
