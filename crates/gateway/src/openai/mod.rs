//! The wire format of OpenAI's chat completions and embeddings, as OpenAI, vLLM, llama.cpp, Ollama and most others speak it.
//!
//! Reading is generous, because these servers differ; writing keeps to the fields that all of them know.

pub(crate) mod decode;
mod embed;
pub(crate) mod request;
pub mod wire;

use astrolabe_kernel::{
    Clock,
    config::Secret,
    egress::{Egress, Method, Request, Response},
};
use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt};
use tokio::{sync::OnceCell, time::Instant};

use self::{decode::Decoder, request::CompletionRequest, wire::error_text};
use crate::{
    chat::{ChatReply, ChatRequest, EmbedReply, EmbedRequest},
    error::{ModelGatewayError, Stage, protocol},
    provider::{
        Call, Door, Provider, ReplyStream, read_whole,
        reply::{Out, complete},
        within,
    },
};

/// Media types of a stream; some providers forget it.
const STREAMS: &[&str] = &["text/event-stream", ""];

/// Asks for the one model that a server has, whatever its name.
pub(crate) const ONLY: &str = "default";

/// A server that speaks OpenAI's format.
#[derive(Debug)]
pub struct OpenAi {
    door: Door,
    base_url: String,
    api_key: Secret,
    /// Whether it is OpenAI itself, whose models refuse `max_tokens`; others do not know `max_completion_tokens`.
    is_openai: bool,
    /// The one model of a server that was configured without a name.
    only: OnceCell<String>,
}

impl OpenAi {
    /// An adapter; it connects to nothing. `base_url` is the address up to the API's version; `/v1` is added to an address without a path.
    pub fn new(base_url: &str, api_key: Secret, egress: Egress, clock: Clock) -> Self {
        let base_url = with_version(base_url);
        let host = base_url.split('/').nth(2).unwrap_or("");
        let is_openai = host == "api.openai.com" || host.ends_with(".openai.azure.com");
        let door = Door { egress, clock, secrets: vec![api_key.clone()] };
        Self { door, base_url, api_key, is_openai, only: OnceCell::new() }
    }

    fn request(&self, method: Method, path: &str) -> Result<Request, ModelGatewayError> {
        Ok(self.door.request(method, &format!("{}{path}", self.base_url))?.bearer(self.api_key.expose()))
    }

    /// The name to ask for: the configured one; for [`ONLY`] the first of the server's list.
    async fn model<'a>(&'a self, configured: &'a str) -> Result<&'a str, ModelGatewayError> {
        if configured != ONLY {
            return Ok(configured);
        }
        let ask = async {
            let mut response = self.door.send(self.request(Method::GET, "/models")?, error_text).await?;
            let list: wire::ModelList = serde_json::from_slice(&read_whole(&mut response).await?)
                .map_err(|e| protocol(format!("the list of models is not the expected JSON: {e}")))?;
            list.data.into_iter().map(|m| m.id).find(|id| !id.is_empty()).ok_or_else(|| protocol("the provider lists no model"))
        };
        self.only.get_or_try_init(|| ask).await.map(String::as_str)
    }

    fn body<'a>(&'a self, model: &'a str, request: &'a ChatRequest, stream: bool) -> CompletionRequest<'a> {
        CompletionRequest::new(model, request, stream, self.is_openai)
    }
}

impl Provider for OpenAi {
    fn complete<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Result<ChatReply, ModelGatewayError>> {
        async move {
            let (model, response) = within(call.limits.whole, async {
                let model = self.model(call.model).await?;
                let request = self.request(Method::POST, "/chat/completions")?.json(&self.body(model, call.request, false));
                Ok::<_, ModelGatewayError>((model, self.door.send(request, error_text).await?))
            })
            .await??;
            let out = Out::new(model, call.request);
            complete(response, Box::new(Decoder::default()), out, call.limits, STREAMS).await
        }
        .boxed()
    }

    fn stream<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Result<ReplyStream, ModelGatewayError>> {
        async move {
            let sent = async {
                let model = self.model(call.model).await?;
                let request = self.request(Method::POST, "/chat/completions")?.header("accept", "text/event-stream");
                let request = request.json(&self.body(model, call.request, true));
                Ok::<_, ModelGatewayError>((model, self.door.send(request, error_text).await?))
            };
            let (model, response) = call.limits.wait(call.limits.first, Stage::FirstToken, sent).await??;
            let out = Out::new(model, call.request);
            ReplyStream::open(response, Box::new(Decoder::default()), out, call.limits, STREAMS).await
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
            let model = self.model(model).await?;
            let body = embed::Body { model, input: &request.inputs, dimensions: request.dimensions, encoding_format: "float" };
            let mut response = self.door.send(self.request(Method::POST, "/embeddings")?.json(&body), error_text).await?;
            embed::read(&read_whole(&mut response).await?, model, request)
        };
        async move { within(whole, ask).await? }.boxed()
    }

    fn forwards(&self, model: &str) -> bool {
        model != ONLY
    }

    fn forward(&self, body: Bytes, stream: bool) -> BoxFuture<'_, Result<Response, ModelGatewayError>> {
        async move {
            let accept = if stream { "text/event-stream" } else { "application/json" };
            let request = self.request(Method::POST, "/chat/completions")?.header("accept", accept);
            self.door.send(request.header("content-type", "application/json").body(body), error_text).await
        }
        .boxed()
    }

    fn probe(&self, whole: Instant) -> BoxFuture<'_, astrolabe_kernel::Result<()>> {
        self.door.probe(self.request(Method::GET, "/models"), whole, &[401, 403]).boxed()
    }
}

/// The address with its version: one without a path gets `/v1`.
fn with_version(url: &str) -> String {
    let url = url.trim().trim_end_matches('/');
    let has_path = url.split_once("://").is_some_and(|(_, rest)| rest.contains('/'));
    if has_path { url.to_owned() } else { format!("{url}/v1") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_without_a_path_gets_the_version() {
        for (given, made) in [
            ("http://h:1", "http://h:1/v1"),
            (" http://h:1/ ", "http://h:1/v1"),
            ("http://h:1/v1/", "http://h:1/v1"),
            ("https://h/openai/deployments/x", "https://h/openai/deployments/x"),
            ("https://h/v1beta/openai/", "https://h/v1beta/openai"),
        ] {
            assert_eq!(with_version(given), made);
        }
    }
}
