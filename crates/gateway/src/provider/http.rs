//! Sending a request to a provider and reading what is not a stream.

use std::time::Duration;

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

    /// Asks whether the provider is there and takes the key. A refusal whose status is not among
    /// `refusals` shows that it is there.
    ///
    /// # Errors
    /// What is wrong, in a message for people.
    pub(crate) async fn probe(
        &self,
        request: Result<Request, ModelGatewayError>,
        whole: Instant,
        refusals: &[u16],
    ) -> astrolabe_kernel::Result<()> {
        let bad = |what: String| Err(Error::new(code::UPSTREAM_FAILED, what));
        match timeout_at(whole, request?.send()).await {
            Err(_) => bad("the provider does not answer in time".to_owned()),
            Ok(response) => match response?.status().as_u16() {
                status if refusals.contains(&status) => bad(format!("the provider refuses the key with status {status}")),
                status @ 500.. => bad(format!("the provider answers with status {status}")),
                _ => Ok(()),
            },
        }
    }

    /// Our error for an answer that is not a success.
    async fn refusal(&self, response: Response, text_of: fn(&[u8]) -> String) -> ModelGatewayError {
        let status = response.status().as_u16();
        let asked = response.header(header::RETRY_AFTER.as_str()).and_then(|v| retry::parse_retry_after(v, self.clock.now()));
        let (detail, delay) = match response.bytes(MAX_ERROR_BODY).await {
            Ok(body) => (text_of(&body), retry_delay(&body)),
            Err(e) => (e.to_string(), None),
        };
        let retry_after = asked.or(delay);
        self.error_of(status, retry_after, self.redacted(detail))
    }

    /// The text without the keys that providers like to quote.
    pub(crate) fn redacted(&self, text: String) -> String {
        let keys = self.secrets.iter().filter(|s| !s.is_empty());
        keys.fold(text, |text, key| text.replace(key.expose(), "[redacted]"))
    }

    fn error_of(&self, status: u16, retry_after: Option<Duration>, detail: String) -> ModelGatewayError {
        match status {
            429 | 503 | 529 => ModelGatewayError::ProviderOverloaded { retry_after },
            408 | 504 => ModelGatewayError::ProviderTimeout { stage: Stage::FirstToken },
            500.. => ModelGatewayError::ProviderServerError { status: Some(status), started: false, detail },
            // Google says so with the status of a request that makes no sense.
            400 if detail.contains("API_KEY_INVALID") || detail.contains("API key not valid") => key_refused(status, detail),
            401 | 403 => key_refused(status, detail),
            400 | 413 | 422 if is_context_overflow(&detail) => ModelGatewayError::ContextOverflow { detail },
            _ => {
                let message = match status {
                    404 => "the model's provider does not know the model or the address; check model.name and model.base_url".to_owned(),
                    _ => format!("the model's provider refused the request with status {status}"),
                };
                ModelGatewayError::Refused { status: Some(status), error: Error::new(code::UPSTREAM_FAILED, message).with_internal(detail) }
            }
        }
    }
}

/// Google says in the body when it wants to be asked again: a detail with `"retryDelay": "34s"`.
fn retry_delay(body: &[u8]) -> Option<Duration> {
    let json: serde_json::Value = serde_json::from_slice(body).ok()?;
    let details = json.get("error")?.get("details")?.as_array()?;
    let delay = details.iter().find_map(|d| d.get("retryDelay")?.as_str()?.strip_suffix('s'))?;
    Duration::try_from_secs_f64(delay.parse().ok()?).ok()
}

fn key_refused(status: u16, detail: String) -> ModelGatewayError {
    let message = format!("the model's provider refused the key with status {status}; check model.api_key");
    // So that callers know it for what it is, whatever the provider calls it.
    let status = if status == 403 { 403 } else { 401 };
    ModelGatewayError::Refused { status: Some(status), error: Error::new(code::UPSTREAM_FAILED, message).with_internal(detail) }
}

/// Whether a refusal says that the conversation is too long for the model; every provider has its own words and no code for it.
pub(crate) fn is_context_overflow(detail: &str) -> bool {
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

/// A text as one segment of a path, percent-encoded (RFC 3986, section 2.3).
pub(crate) fn path_segment(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}
