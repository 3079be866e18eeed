//! AWS Bedrock: Converse and ConverseStream for chat, InvokeModel for vectors, over our own HTTP client (docs/adr/0017-providers.md).
//!
//! [`sign`] proves who asks, [`frames`] reads the binary stream.

pub(crate) mod decode;
mod embed;
pub mod frames;
mod request;
pub mod sign;

use astrolabe_kernel::{
    Clock, Error,
    config::Secret,
    egress::{Egress, Method, Request, header},
};
use futures_util::{
    StreamExt, TryStreamExt,
    future::{BoxFuture, FutureExt},
    stream,
};
use serde::Serialize;
use tokio::time::Instant;

use self::{
    decode::Decoder,
    request::{Converse, wants_json},
    sign::{Keys, Signed},
};
use crate::{
    chat::{ChatReply, EmbedReply, EmbedRequest, Usage},
    error::{ModelGatewayError, Stage},
    openai::wire::error_text,
    provider::{
        Call, Door, Provider, ReplyStream, path_segment, read_whole,
        reply::{Out, complete},
        vectors::checked,
        within,
    },
};

/// The media type of a stream.
pub(crate) const STREAM: &str = "application/vnd.amazon.eventstream";

/// Requests for vectors at the same time: a model that takes one text at a time would be slow without.
const EMBED_AT_ONCE: usize = 8;

/// How we prove who asks.
#[derive(Debug, Clone)]
pub enum Credentials {
    /// By a signature.
    Keys(Keys),
    /// By a Bedrock API key.
    Bearer(Secret),
}

/// Bedrock in one region.
#[derive(Debug)]
pub struct Bedrock {
    door: Door,
    base_url: String,
    /// What the header `Host` will be.
    host: String,
    region: String,
    credentials: Credentials,
}

impl Bedrock {
    /// An adapter; it connects to nothing. An empty `base_url` is the region's public address.
    pub fn new(base_url: &str, region: &str, credentials: Credentials, egress: Egress, clock: Clock) -> Self {
        let base_url = match base_url.trim().trim_end_matches('/') {
            "" => format!("https://bedrock-runtime.{region}.amazonaws.com"),
            url => url.to_owned(),
        };
        let host = base_url.split('/').nth(2).unwrap_or("").to_owned();
        // A default port is not sent.
        let host = match base_url.split(':').next() {
            Some("https") => host.trim_end_matches(":443").to_owned(),
            _ => host.trim_end_matches(":80").to_owned(),
        };
        let secrets = match &credentials {
            Credentials::Keys(keys) => vec![keys.secret_access_key.clone(), keys.session_token.clone()],
            Credentials::Bearer(token) => vec![token.clone()],
        };
        let door = Door { egress, clock, secrets };
        Self { door, base_url, host, region: region.to_owned(), credentials }
    }

    /// A signed request to an operation of a model.
    fn request(&self, model: &str, operation: &str, body: &impl Serialize) -> Result<Request, ModelGatewayError> {
        let body = serde_json::to_vec(body).map_err(|e| ModelGatewayError::Invalid(Error::internal(e)))?;
        let url = format!("{}/model/{}/{operation}", self.base_url, path_segment(model));
        let request = self.door.request(Method::POST, &url)?.header("content-type", "application/json");
        let keys = match &self.credentials {
            Credentials::Bearer(token) => return Ok(request.bearer(token.expose()).body(body)),
            Credentials::Keys(keys) => keys,
        };
        let date = sign::date(self.door.clock.now());
        let path = url.get(url.find("://").map_or(0, |at| at + 3)..).and_then(|rest| rest.find('/').map(|at| &rest[at..])).unwrap_or("/");
        let token = keys.session_token.expose();
        let mut headers = vec![("content-type", "application/json"), ("host", self.host.as_str()), ("x-amz-date", date.as_str())];
        if !token.is_empty() {
            headers.push(("x-amz-security-token", token));
        }
        let signed = Signed { method: "POST", path, headers: &headers, body: &body, region: &self.region, service: "bedrock", date: &date };
        let authorization = sign::authorization(keys, &signed);
        let mut request = request.header("x-amz-date", &date).secret_header(header::AUTHORIZATION, &authorization);
        if !token.is_empty() {
            request = request.secret_header(header::HeaderName::from_static("x-amz-security-token"), token);
        }
        Ok(request.body(body))
    }
}

impl Provider for Bedrock {
    fn complete<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Result<ChatReply, ModelGatewayError>> {
        async move {
            let request = self.request(call.model, "converse", &Converse::new(call.request)?)?;
            let response = within(call.limits.whole, self.door.send(request, error_text)).await??;
            let out = Out::new(call.model, call.request);
            complete(response, Box::new(Decoder::new(wants_json(call.request))), out, call.limits, &[STREAM]).await
        }
        .boxed()
    }

    fn stream<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Result<ReplyStream, ModelGatewayError>> {
        async move {
            let request = self.request(call.model, "converse-stream", &Converse::new(call.request)?)?;
            let sent = self.door.send(request.header("accept", STREAM), error_text);
            let response = call.limits.wait(call.limits.first, Stage::FirstToken, sent).await??;
            let out = Out::new(call.model, call.request);
            ReplyStream::open(response, Box::new(Decoder::new(wants_json(call.request))), out, call.limits, &[STREAM]).await
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
            let bodies = embed::bodies(model, &request.inputs, request.dimensions);
            let answers: Vec<_> = stream::iter(bodies)
                .map(|body| async move {
                    let mut response = self.door.send(self.request(model, "invoke", &body)?, error_text).await?;
                    embed::read(&read_whole(&mut response).await?)
                })
                .buffered(EMBED_AT_ONCE)
                .try_collect()
                .await?;
            let counted: Option<u64> = answers.iter().map(|(_, usage)| usage.map(|u| u.input)).sum();
            let usage = counted.map(|input| Usage { input, ..Usage::default() });
            checked(answers.into_iter().flat_map(|(vectors, _)| vectors).collect(), usage, model.to_owned(), request)
        };
        async move { within(whole, ask).await? }.boxed()
    }

    fn probe(&self, whole: Instant) -> BoxFuture<'_, astrolabe_kernel::Result<()>> {
        // There is nothing to ask for there that costs nothing, so only the network is tried: any answer but a failure is one.
        self.door.probe(self.door.request(Method::GET, &self.base_url), whole, &[]).boxed()
    }
}
