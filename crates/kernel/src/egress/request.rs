//! A request on its way out and the answer to it. Both hide the HTTP client's own types, whose errors print whole URLs.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use reqwest::{
    StatusCode, Url,
    header::{HeaderMap, HeaderName, HeaderValue},
};
use serde::{Serialize, de::DeserializeOwned};

use super::{Egress, policy::Refusal};
use crate::{Error, Result, error::code};

/// How long a whole exchange may take unless the caller says otherwise.
const TOTAL_TIMEOUT: Duration = Duration::from_secs(30);

/// A request that the policy let through and that has not been sent.
#[must_use = "a request does nothing until it is sent"]
pub struct Request {
    way: Way,
    builder: reqwest::RequestBuilder,
    timeout: Option<Duration>,
}

/// What messages may say about where a request goes: never path, query or credentials, all of which hold secrets in practice.
#[derive(Clone)]
struct Way {
    egress: Egress,
    purpose: &'static str,
    origin: String,
}

impl Request {
    pub(super) fn new(egress: Egress, purpose: &'static str, url: &Url, builder: reqwest::RequestBuilder) -> Self {
        let origin = url.origin().ascii_serialization();
        Self { way: Way { egress, purpose, origin }, builder, timeout: Some(TOTAL_TIMEOUT) }
    }

    /// Adds a header. A name or value that HTTP cannot carry fails [`Request::send`].
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.builder = self.builder.header(name, value);
        self
    }

    /// Adds a header whose value logs may not show, such as an API key.
    pub fn secret_header(mut self, name: HeaderName, value: &str) -> Self {
        self.builder = match HeaderValue::from_str(value) {
            Ok(mut value) => {
                value.set_sensitive(true);
                self.builder.header(name, value)
            }
            // Fails in `send`, with the client's message, which does not quote the value.
            Err(_) => self.builder.header(name, "\n"),
        };
        self
    }

    /// Adds `Authorization: Bearer …`; nothing when the token is empty.
    pub fn bearer(mut self, token: &str) -> Self {
        if !token.is_empty() {
            self.builder = self.builder.bearer_auth(token);
        }
        self
    }

    /// Sets a JSON body.
    pub fn json<T: Serialize + ?Sized>(mut self, body: &T) -> Self {
        self.builder = self.builder.json(body);
        self
    }

    /// Sets a form body.
    pub fn form<T: Serialize + ?Sized>(mut self, body: &T) -> Self {
        self.builder = self.builder.form(body);
        self
    }

    /// Sets a multipart body.
    pub fn multipart(mut self, form: reqwest::multipart::Form) -> Self {
        self.builder = self.builder.multipart(form);
        self
    }

    /// Sets the body.
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.builder = self.builder.body(body.into());
        self
    }

    /// Adds query parameters.
    pub fn query<T: Serialize + ?Sized>(mut self, parameters: &T) -> Self {
        self.builder = self.builder.query(parameters);
        self
    }

    /// How long the whole exchange may take, the body included; 30 seconds when not said.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// No limit to the whole exchange, for streams; the caller limits the waits between the pieces. Connecting stays limited.
    pub fn without_timeout(mut self) -> Self {
        self.timeout = None;
        self
    }

    /// Sends it and waits for the head of the answer. Any status is an answer. Dropping the future gives the request up.
    ///
    /// # Errors
    /// `egress_refused`, `upstream_failed` or `upstream_timeout`.
    pub async fn send(self) -> Result<Response> {
        let Self { way, builder, timeout } = self;
        let builder = match timeout {
            Some(timeout) => builder.timeout(timeout),
            None => builder,
        };
        match builder.send().await {
            Ok(inner) => Ok(Response { way, inner }),
            Err(e) => Err(way.error(e)),
        }
    }
}

/// The head of an answer, with a body that is read in one of the bounded ways below.
#[derive(Debug)]
pub struct Response {
    way: Way,
    inner: reqwest::Response,
}

impl Response {
    /// The status.
    pub fn status(&self) -> StatusCode {
        self.inner.status()
    }

    /// The headers.
    pub fn headers(&self) -> &HeaderMap {
        self.inner.headers()
    }

    /// One header as text, when it is there and readable.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers().get(name)?.to_str().ok()
    }

    /// The answer itself when its status is a success.
    ///
    /// # Errors
    /// `upstream_failed` with the status in the message.
    pub fn success(self) -> Result<Self> {
        let status = self.status();
        if status.is_success() {
            return Ok(self);
        }
        let Way { purpose, origin, .. } = &self.way;
        Err(Error::new(code::UPSTREAM_FAILED, format!("{purpose} at {origin} answered {}", status.as_u16())))
    }

    /// The next piece of the body; nothing at its end.
    ///
    /// # Errors
    /// `upstream_failed` when the connection breaks, `upstream_timeout` when the time of the request is over.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>> {
        self.inner.chunk().await.map_err(|e| self.way.error(e))
    }

    /// The body as it arrives.
    pub fn into_stream(self) -> impl Stream<Item = Result<Bytes>> + Send + use<> {
        let way = self.way;
        self.inner.bytes_stream().map(move |piece| piece.map_err(|e| way.error(e)))
    }

    /// The whole body.
    ///
    /// # Errors
    /// As [`Response::chunk`], and `upstream_failed` when it is longer than `limit` bytes.
    pub async fn bytes(mut self, limit: usize) -> Result<Bytes> {
        let mut body = BytesMut::new();
        while let Some(piece) = self.chunk().await? {
            if body.len() + piece.len() > limit {
                return Err(self.way.failed(format!("sent more than {limit} bytes")));
            }
            body.extend_from_slice(&piece);
        }
        Ok(body.freeze())
    }

    /// The whole body as text.
    ///
    /// # Errors
    /// As [`Response::bytes`], and `upstream_failed` when it is not UTF-8.
    pub async fn text(self, limit: usize) -> Result<String> {
        let way = self.way.clone();
        String::from_utf8(self.bytes(limit).await?.into()).map_err(|_| way.failed("sent text that is not UTF-8"))
    }

    /// The whole body as JSON.
    ///
    /// # Errors
    /// As [`Response::bytes`], and `upstream_failed` when it is not JSON of that shape.
    pub async fn json<T: DeserializeOwned>(self, limit: usize) -> Result<T> {
        let way = self.way.clone();
        serde_json::from_slice(&self.bytes(limit).await?)
            .map_err(|e| way.failed("sent JSON of another shape than expected").with_internal(e))
    }
}

impl std::fmt::Debug for Way {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} at {}", self.purpose, self.origin)
    }
}

impl Way {
    fn failed(&self, what: impl AsRef<str>) -> Error {
        Error::new(code::UPSTREAM_FAILED, format!("{} at {} {}", self.purpose, self.origin, what.as_ref()))
    }

    /// Our error for the client's: the refusal that caused it, else a failure in words that name the server alone.
    fn error(&self, error: reqwest::Error) -> Error {
        if let Some(refusal) = refusal_in(&error) {
            return self.egress.refuse(refusal);
        }
        let (purpose, origin) = (self.purpose, &self.origin);
        let (timeout, connect, dns) = (error.is_timeout(), error.is_connect(), error.is_dns());
        let untrusted = find::<rustls::Error>(&error).is_some_and(|e| matches!(e, rustls::Error::InvalidCertificate(_)));
        let internal = chain(&error.without_url());
        let error = if timeout {
            Error::new(code::UPSTREAM_TIMEOUT, format!("{purpose} at {origin} did not answer in time"))
        } else if untrusted {
            self.failed("shows a certificate that is not trusted; add its authority to egress.ca_file")
        } else if dns {
            self.failed("cannot be found: its name is unknown")
        } else if connect {
            self.failed("cannot be reached")
        } else {
            self.failed("broke the connection")
        };
        error.with_internal(internal)
    }
}

/// The refusal that caused an error, however deep.
pub(super) fn refusal_in<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a Refusal> {
    find::<Refusal>(error)
}

fn find<'a, T: std::error::Error + 'static>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        // An I/O error shows the error inside it only through `get_ref`.
        if let Some(inner) = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref)
            && let Some(found) = find::<T>(inner)
        {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// The messages of an error and its causes, for the log.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut out = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        out.push_str(": ");
        out.push_str(&error.to_string());
        next = error.source();
    }
    out
}
