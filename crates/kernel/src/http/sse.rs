//! A stream of ours over HTTP: Server-Sent Events, or NDJSON when the caller asks for it. Both resume.

use std::{collections::VecDeque, time::Duration};

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, HeaderValue, header},
    response::Response,
};
use futures_util::stream;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    Error, Id, Kernel, Result,
    error::code,
    events::{Event, Reader},
    jobs::Job,
    principal::TenantId,
};

/// How often a silent stream shows that it is alive; proxies cut streams that are silent for longer.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// From where to read a stream. The header `Last-Event-ID` says the same and wins.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct StreamQuery {
    /// Read what comes after this sequence number; 0 or absent for the beginning, `latest` for what is new from now on.
    #[param(pattern = "^(latest|[0-9]{1,15})$", example = "latest")]
    pub after: Option<String>,
}

impl StreamQuery {
    /// The sequence number to start behind. For `latest` it is that of the stream's newest event at this moment: whoever has the answer's
    /// head in hand and then reads the present state misses nothing.
    ///
    /// # Errors
    /// `invalid_header` when `Last-Event-ID` is no number; `invalid_request` naming `after`; whatever the database says.
    pub async fn start(&self, headers: &HeaderMap, kernel: &Kernel, tenant: TenantId, stream: &str) -> Result<i64> {
        // More digits are not exact in JSON, and no stream gets that long.
        let number = |text: &str| text.parse::<i64>().ok().filter(|_| text.len() <= 15 && text.bytes().all(|b| b.is_ascii_digit()));
        if let Some(value) = headers.get("last-event-id") {
            return value.to_str().ok().and_then(|v| number(v.trim())).ok_or_else(|| {
                Error::new(code::INVALID_HEADER, "Last-Event-ID: must be the id of an event of this stream, a whole number")
            });
        }
        match self.after.as_deref() {
            None => Ok(0),
            Some("latest") => Ok(kernel.db.read(tenant).await?.stream_head(tenant, stream).await?.map_or(0, |(seq, _)| seq)),
            Some(text) => number(text).ok_or_else(|| {
                Error::field("after", "must be the id of an event of this stream, a whole number of at most 15 digits, or latest")
            }),
        }
    }
}

/// Counts an open stream as long as it lives.
struct OpenStream;

impl OpenStream {
    fn new() -> Self {
        metrics::gauge!("sse_connections_active").increment(1.0);
        metrics::counter!("sse_connections_total").increment(1);
        Self
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        metrics::gauge!("sse_connections_active").decrement(1.0);
    }
}

struct State {
    kernel: Kernel,
    reader: Reader,
    ready: VecDeque<Bytes>,
    settled: bool,
    over: bool,
    silent: Duration,
    ndjson: bool,
    terminal: &'static [&'static str],
    _open: OpenStream,
}

/// Answers with a tenant's stream from `after` on, until an event whose kind is in `terminal`, the caller's hang-up, a
/// silence of [`Kernel::stream_idle`] or the process's stop. A stream whose terminal event lies at or before `after` ends at once.
/// `headers` are the request's: `Accept: application/x-ndjson` gives one JSON object a line.
pub fn event_stream(
    kernel: &Kernel,
    tenant: TenantId,
    stream: String,
    after: i64,
    headers: &HeaderMap,
    terminal: &'static [&'static str],
) -> Response {
    respond(kernel, Reader::new(kernel, tenant, stream, after), after, headers, terminal)
}

/// Answers with how a job stands, each time that it changes, until it is over; otherwise as [`event_stream`].
pub fn job_stream(kernel: &Kernel, tenant: TenantId, job: Id<Job>, after: i64, headers: &HeaderMap) -> Response {
    respond(kernel, Reader::of_job(kernel, tenant, job, after), after, headers, &["ready", "failed", "canceled"])
}

fn respond(kernel: &Kernel, reader: Reader, after: i64, headers: &HeaderMap, terminal: &'static [&'static str]) -> Response {
    let ndjson = headers.get(header::ACCEPT).and_then(|v| v.to_str().ok()).is_some_and(|accept| accept.contains("application/x-ndjson"));
    let mut ready = VecDeque::new();
    if !ndjson {
        ready.push_back(Bytes::from_static(b"retry: 1000\n\n"));
        if after > 0 {
            // Without data it is no event, but the reader knows from now on where it is: a cut before the first event leaves no gap.
            ready.push_back(Bytes::from(format!("id: {after}\n\n")));
        }
    }
    let state = State {
        kernel: kernel.clone(),
        reader,
        ready,
        settled: false,
        over: false,
        silent: Duration::ZERO,
        ndjson,
        terminal,
        _open: OpenStream::new(),
    };
    let body = Body::from_stream(stream::unfold(state, |mut state| async move {
        let chunk = state.next().await?;
        Some((Ok::<_, std::convert::Infallible>(chunk), state))
    }));
    let mut response = Response::new(body);
    let content_type = if ndjson { "application/x-ndjson" } else { "text/event-stream" };
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform"));
    // nginx buffers otherwise, and the reader sees nothing until the end.
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

impl State {
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(chunk) = self.ready.pop_front() {
            return Some(chunk);
        }
        if self.over {
            return None;
        }
        if !self.settled {
            match self.reader.settle().await {
                // Who has seen the last event of a stream that is over waits for nothing.
                Ok(Some(kind)) if self.terminal.contains(&kind.as_str()) => return None,
                Ok(_) => self.settled = true,
                Err(error) => return self.broken(&error),
            }
        }
        let events = tokio::select! {
            events = self.reader.next() => events,
            () = tokio::time::sleep(HEARTBEAT.min(self.kernel.stream_idle)) => {
                self.silent += HEARTBEAT.min(self.kernel.stream_idle);
                self.over = self.silent >= self.kernel.stream_idle;
                return Some(Bytes::from_static(if self.ndjson { b"\n" } else { b": alive\n\n" }));
            }
            () = self.kernel.lifecycle.stopping() => return None,
        };
        match events {
            Ok(events) => {
                self.silent = Duration::ZERO;
                for event in events {
                    self.ready.push_back(self.format(&event));
                    if self.terminal.contains(&event.kind.as_str()) {
                        self.over = true;
                        break;
                    }
                }
                self.ready.pop_front()
            }
            Err(error) => self.broken(&error),
        }
    }

    /// Ends a stream that cannot be read: the caller comes back with the last id it saw, so nothing is lost.
    fn broken(&mut self, error: &Error) -> Option<Bytes> {
        tracing::error!(error = ?error, "an event stream could not be read");
        self.over = true;
        None
    }

    fn format(&self, event: &Event) -> Bytes {
        // Data is compact JSON, which has no line break to split over several `data:` lines.
        Bytes::from(if self.ndjson {
            format!("{{\"seq\":{},\"event\":\"{}\",\"data\":{}}}\n", event.seq, event.kind, event.data)
        } else {
            format!("id: {}\nevent: {}\ndata: {}\n\n", event.seq, event.kind, event.data)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{principal::default_tenant, testing::TestKernel};

    async fn append(kernel: &Kernel, kinds: &[&str]) {
        let mut tx = kernel.db.write_all().await.unwrap();
        for kind in kinds {
            tx.append_event(default_tenant(), "s", kind, &1, kernel.now()).await.unwrap();
        }
        tx.commit().await.unwrap();
    }

    async fn read(kernel: &Kernel, after: i64) -> String {
        let headers = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static("application/x-ndjson"))]);
        let response = event_stream(kernel, default_tenant(), "s".to_owned(), after, &headers, &["end"]);
        String::from_utf8(axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap().to_vec()).unwrap()
    }

    #[tokio::test]
    async fn a_reader_gets_what_is_behind_its_start_up_to_the_end() {
        let test = TestKernel::new(&[]).await;
        append(&test.kernel, &["a", "b", "end"]).await;
        let lines = read(&test.kernel, 1).await;
        assert_eq!(lines, "{\"seq\":2,\"event\":\"b\",\"data\":1}\n{\"seq\":3,\"event\":\"end\",\"data\":1}\n");
    }

    #[tokio::test]
    async fn a_reader_that_has_seen_the_end_is_not_left_waiting() {
        let test = TestKernel::new(&[]).await;
        append(&test.kernel, &["a", "end"]).await;
        for after in [2, 3, i64::MAX] {
            assert_eq!(read(&test.kernel, after).await, "", "{after}");
        }
    }

    #[tokio::test]
    async fn a_reader_that_starts_beyond_the_end_misses_nothing_new() {
        let test = TestKernel::new(&[]).await;
        append(&test.kernel, &["a"]).await;
        let mut reader = Reader::new(&test.kernel, default_tenant(), "s".to_owned(), 100);
        assert_eq!(reader.settle().await.unwrap().as_deref(), Some("a"));
        append(&test.kernel, &["b"]).await;
        assert_eq!(reader.next().await.unwrap()[0].seq, 2);
    }
}
