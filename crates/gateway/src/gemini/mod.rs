//! Google Gemini's own API: generateContent, streamGenerateContent and batchEmbedContents.

pub(crate) mod decode;
mod request;

use astrolabe_kernel::{
    Clock,
    config::Secret,
    egress::{Egress, Method, Request, header},
};
use futures_util::future::{BoxFuture, FutureExt};
use tokio::time::Instant;

use self::{
    decode::Decoder,
    request::{Generate, bare},
};
use crate::{
    chat::{ChatReply, EmbedReply, EmbedRequest},
    error::{ModelGatewayError, Stage},
    openai::wire::error_text,
    provider::{
        Call, Door, Provider, ReplyStream, path_segment, read_whole,
        reply::{Out, complete},
        vectors::checked,
        within,
    },
};

/// Google's public address.
pub const PUBLIC: &str = "https://generativelanguage.googleapis.com/v1beta";

/// Texts that one request for vectors may have.
const EMBED_BATCH: usize = 100;

/// The Gemini API.
#[derive(Debug)]
pub struct Gemini {
    door: Door,
    base_url: String,
    api_key: Secret,
}

impl Gemini {
    /// An adapter; it connects to nothing. An empty `base_url` is Google's public address; it ends with the API's version.
    pub fn new(base_url: &str, api_key: Secret, egress: Egress, clock: Clock) -> Self {
        let base_url = match base_url.trim().trim_end_matches('/') {
            "" => PUBLIC.to_owned(),
            url => url.to_owned(),
        };
        Self { door: Door { egress, clock, secrets: vec![api_key.clone()] }, base_url, api_key }
    }

    fn request(&self, method: Method, path: &str) -> Result<Request, ModelGatewayError> {
        let request = self.door.request(method, &format!("{}{path}", self.base_url))?;
        // In a header: an address shows in logs on the way.
        Ok(match self.api_key.expose() {
            "" => request,
            key => request.secret_header(header::HeaderName::from_static("x-goog-api-key"), key),
        })
    }

    fn operation(&self, model: &str, operation: &str) -> Result<Request, ModelGatewayError> {
        self.request(Method::POST, &format!("/models/{}:{operation}", path_segment(bare(model))))
    }
}

impl Provider for Gemini {
    fn complete<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Result<ChatReply, ModelGatewayError>> {
        async move {
            let request = self.operation(call.model, "generateContent")?.json(&Generate::new(call.model, call.request)?);
            let response = within(call.limits.whole, self.door.send(request, error_text)).await??;
            let out = Out::new(bare(call.model), call.request);
            complete(response, Box::new(Decoder::default()), out, call.limits, &["text/event-stream"]).await
        }
        .boxed()
    }

    fn stream<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Result<ReplyStream, ModelGatewayError>> {
        async move {
            let request = self.operation(call.model, "streamGenerateContent?alt=sse")?.json(&Generate::new(call.model, call.request)?);
            let response = call.limits.wait(call.limits.first, Stage::FirstToken, self.door.send(request, error_text)).await??;
            let out = Out::new(bare(call.model), call.request);
            ReplyStream::open(response, Box::new(Decoder::default()), out, call.limits, &["text/event-stream"]).await
        }
        .boxed()
    }

    fn embed<'a>(
        &'a self,
        model: &'a str,
        request: &'a EmbedRequest,
        whole: Instant,
    ) -> BoxFuture<'a, Result<EmbedReply, ModelGatewayError>> {
        let ask = async move {
            let model = bare(model);
            let mut vectors = Vec::with_capacity(request.inputs.len());
            for texts in request.inputs.chunks(EMBED_BATCH) {
                let body = request::embed(model, texts, request.dimensions);
                let mut response = self.door.send(self.operation(model, "batchEmbedContents")?.json(&body), error_text).await?;
                vectors.extend(decode::vectors(&read_whole(&mut response).await?)?);
            }
            checked(vectors, None, model.to_owned(), request)
        };
        async move { within(whole, ask).await? }.boxed()
    }

    fn probe(&self, whole: Instant) -> BoxFuture<'_, astrolabe_kernel::Result<()>> {
        // A wrong key is a bad request there.
        self.door.probe(self.request(Method::GET, "/models?pageSize=1"), whole, &[400, 401, 403]).boxed()
    }
}
