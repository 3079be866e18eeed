//! Sending a request to a provider and reading what is not a stream.

use astrolabe_kernel::{
    Clock, Error,
    config::Secret,
    egress::{Egress, Method, Request, Response, Trust, header},
    error::code,
};
use bytes::{Bytes, BytesMut};
use tokio::time::{Instant, timeout_at};

use crate::{
    error::{ModelGatewayError, Stage, protocol},
    retry,
};

/// Bytes of an error's body that are read.
const MAX_ERROR_BODY: usize = 64 * 1024;

/// Bytes of an answer that does not come as a stream.
pub(crate) const MAX_BODY: usize = 8 * 1024 * 1024;

/// The way out for one provider.
#[derive(Clone)]
pub(crate) struct Door {
    pub(crate) egress: Egress,
    pub(crate) clock: Clock,
    /// What must not be shown although the provider quotes it.
    pub(crate) secrets: Vec<Secret>,
}

impl std::fmt::Debug for Door {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Door")
    }
}

impl Door {
    /// A request to the provider, not sent.
    ///
    /// # Errors
    /// `Refused` when our egress policy forbids the address.
    pub(crate) fn request(&self, method: Method, url: &str) -> Result<Request, ModelGatewayError> {
        self.egress.request("model", Trust::Operator, method, url).map(Request::without_timeout).map_err(from_egress)
    }

    /// Sends a request and returns the head of an answer that is a success.
    ///
    /// # Errors
    /// What the status means; `text_of` reads the body of an error in the provider's format.
    pub(crate) async fn send(&self, request: Request, text_of: fn(&[u8]) -> String) -> Result<Response, ModelGatewayError> {
        let response = request.send().await.map_err(from_egress)?;
        if response.status().is_success() {
            return Ok(response);
        }
        Err(self.refusal(response, text_of).await)
    }

    /// Asks whether the provider is there and takes the key. Any other refusal than that of the key shows that it is there.
    ///
    /// # Errors
    /// What is wrong, in a message for people.
    pub(crate) async fn probe(&self, request: Result<Request, ModelGatewayError>, whole: Instant) -> astrolabe_kernel::Result<()> {
        let bad = |what: String| Err(Error::new(code::UPSTREAM_FAILED, what));
        match timeout_at(whole, request?.send()).await {
            Err(_) => bad("the provider does not answer in time".to_owned()),
            Ok(response) => match response?.status().as_u16() {
                status @ (401 | 403) => bad(format!("the provider refuses the key with status {status}")),
                status @ 500.. => bad(format!("the provider answers with status {status}")),
                _ => Ok(()),
            },
        }
    }

    /// Our error for an answer that is not a success.
    async fn refusal(&self, response: Response, text_of: fn(&[u8]) -> String) -> ModelGatewayError {
        let status = response.status().as_u16();
        let retry_after = response.header(header::RETRY_AFTER.as_str()).and_then(|v| retry::parse_retry_after(v, self.clock.now()));
        let detail = match response.bytes(MAX_ERROR_BODY).await {
            Ok(body) => text_of(&body),
            Err(e) => e.to_string(),
        };
        self.error_of(status, retry_after, self.redacted(detail))
    }

    /// The text without the keys that providers like to quote.
    pub(crate) fn redacted(&self, text: String) -> String {
        let keys = self.secrets.iter().filter(|s| !s.is_empty());
        keys.fold(text, |text, key| text.replace(key.expose(), "[redacted]"))
    }

    fn error_of(&self, status: u16, retry_after: Option<std::time::Duration>, detail: String) -> ModelGatewayError {
        match status {
            429 | 503 | 529 => ModelGatewayError::ProviderOverloaded { retry_after },
            408 | 504 => ModelGatewayError::ProviderTimeout { stage: Stage::FirstToken },
            500.. => ModelGatewayError::ProviderServerError { status: Some(status), started: false, detail },
            400 | 413 | 422 if is_context_overflow(&detail) => ModelGatewayError::ContextOverflow { detail },
            _ => {
                let message = match status {
                    401 | 403 => format!("the model's provider refused the key with status {status}; check model.api_key"),
                    404 => "the model's provider does not know the model or the address; check model.name and model.base_url".to_owned(),
                    _ => format!("the model's provider refused the request with status {status}"),
                };
                ModelGatewayError::Refused { status: Some(status), error: Error::new(code::UPSTREAM_FAILED, message).with_internal(detail) }
            }
        }
    }
}

/// Whether a refusal says that the conversation is too long for the model; every provider has its own words and no code for it.
fn is_context_overflow(detail: &str) -> bool {
    let detail = detail.to_ascii_lowercase();
    [
        "context_length_exceeded",
        "maximum context length",
        "context window",
        "context size",
        "exceed_context_size",
        "prompt is too long",
        "input is too long",
        "too many input tokens",
        "exceeds the maximum number of tokens",
    ]
    .iter()
    .any(|words| detail.contains(words))
}

/// The whole body of an answer, at most 8 MiB.
///
/// # Errors
/// `Protocol` when it is longer, `ProviderServerError` when the connection breaks.
pub(crate) async fn read_whole(response: &mut Response) -> Result<Bytes, ModelGatewayError> {
    let mut body = BytesMut::new();
    while let Some(piece) = response.chunk().await.map_err(from_egress)? {
        if body.len() + piece.len() > MAX_BODY {
            return Err(protocol("the reply is longer than 8 MiB"));
        }
        body.extend_from_slice(&piece);
    }
    Ok(body.freeze())
}

/// Our error for a request that brought no answer, or half of one.
pub(crate) fn from_egress(error: Error) -> ModelGatewayError {
    let found = error.code();
    if found == code::UPSTREAM_TIMEOUT {
        ModelGatewayError::ProviderTimeout { stage: Stage::FirstToken }
    } else if found == code::UPSTREAM_FAILED {
        ModelGatewayError::ProviderServerError { status: None, started: false, detail: format!("{error:?}") }
    } else {
        ModelGatewayError::Refused { status: None, error }
    }
}
