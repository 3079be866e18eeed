//! Spans to a collector: OTLP over HTTP with protobuf, through the door to the network like everything else.
//!
//! Finished spans wait in a bounded queue; a task sends them in batches. What does not fit, or cannot be delivered after a few
//! attempts, is dropped and counted in `otlp_spans_dropped_total`: telemetry never slows or stops the product.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::mpsc::{self, Receiver, Sender, error::TrySendError};

use super::{fields::Fields, wire};
use crate::{
    Error, Lifecycle, Random, Result, Timestamp,
    egress::{Egress, Method, Trust},
    error::code,
};

/// Spans that wait at most; about a megabyte.
const QUEUE: usize = 2048;

/// Spans sent at once at most.
const BATCH: usize = 512;

/// How long the first span of a batch waits for others.
const LINGER: Duration = Duration::from_secs(2);

/// Attempts to deliver a batch, and the wait before the second; it doubles.
const ATTEMPTS: (u32, Duration) = (4, Duration::from_millis(500));

/// Limits of one attempt, and of the last one before the process ends.
const TIMEOUTS: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(2));

/// A span that has ended.
#[derive(Debug, Clone)]
pub(super) struct Finished {
    pub name: &'static str,
    pub trace_id: [u8; 16],
    pub span_id: [u8; 8],
    pub parent_id: Option<[u8; 8]>,
    pub started: Timestamp,
    pub ended: Timestamp,
    pub fields: Fields,
    pub failed: Option<String>,
}

/// The near end of the queue.
#[derive(Clone)]
pub(super) struct Exporter(Sender<Finished>);

impl Exporter {
    /// Hands over a span; drops it when the queue is full or nobody exports any more.
    pub fn push(&self, span: Finished) {
        match self.0.try_send(span) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => dropped("queue_full", 1),
            Err(TrySendError::Closed(_)) => dropped("stopped", 1),
        }
    }
}

fn dropped(reason: &'static str, spans: usize) {
    ::metrics::counter!("otlp_spans_dropped_total", "reason" => reason).increment(spans as u64);
}

/// The far end of the queue, until [`Export::start`] takes it.
pub(super) struct Export {
    url: String,
    spans: Mutex<Option<Receiver<Finished>>>,
    instance: String,
}

impl Export {
    /// A queue for the collector at `endpoint` (with or without `/v1/traces`).
    ///
    /// # Errors
    /// `invalid_config` when it is not an http(s) address.
    pub fn new(endpoint: &str, random: &Random) -> Result<(Exporter, Self)> {
        let base = endpoint.trim().trim_end_matches('/');
        let url = if base.ends_with("/v1/traces") { base.to_owned() } else { format!("{base}/v1/traces") };
        let parsed = reqwest::Url::parse(&url).ok().filter(|u| matches!(u.scheme(), "http" | "https") && u.has_host());
        if parsed.is_none() {
            return Err(Error::new(code::INVALID_CONFIG, "telemetry.otlp_endpoint: write it as http://host:4318"));
        }
        let (sender, receiver) = mpsc::channel(QUEUE);
        let mut instance = [0; 16];
        random.fill(&mut instance);
        Ok((Exporter(sender), Self { url, spans: Mutex::new(Some(receiver)), instance: hex::encode(instance) }))
    }

    /// Starts sending; ends with the lifecycle's soft stop, after a last attempt at what is waiting. Called again, it does nothing.
    ///
    /// # Errors
    /// `egress_refused` when the policy forbids the collector's address.
    pub fn start(&self, lifecycle: &Lifecycle, egress: &Egress) -> Result<()> {
        egress.check_url(Trust::Operator, &self.url)?;
        let Some(spans) = self.spans.lock().unwrap_or_else(PoisonError::into_inner).take() else { return Ok(()) };
        let task = Task { url: self.url.clone(), instance: self.instance.clone(), egress: egress.clone(), spans, failing: false };
        lifecycle.spawn("otlp export", task.run(lifecycle.clone()));
        Ok(())
    }
}

struct Task {
    url: String,
    instance: String,
    egress: Egress,
    spans: Receiver<Finished>,
    failing: bool,
}

impl Task {
    async fn run(mut self, lifecycle: Lifecycle) {
        loop {
            let mut batch = Vec::new();
            tokio::select! {
                got = self.spans.recv_many(&mut batch, BATCH) => if got == 0 { return },
                () = lifecycle.stopping() => return self.finish(batch).await,
            }
            let full = async { while batch.len() < BATCH && self.spans.recv_many(&mut batch, BATCH).await > 0 {} };
            tokio::select! {
                _ = tokio::time::timeout(LINGER, full) => {}
                () = lifecycle.stopping() => {}
            }
            if lifecycle.is_stopping() {
                return self.finish(batch).await;
            }
            self.deliver(&batch, &lifecycle).await;
        }
    }

    /// One attempt at everything that is waiting.
    async fn finish(mut self, mut batch: Vec<Finished>) {
        self.spans.close();
        while let Ok(span) = self.spans.try_recv() {
            batch.push(span);
        }
        if !batch.is_empty() {
            let sent = self.send(&batch, TIMEOUTS.1).await;
            self.report(sent.map_err(|(error, _)| error), batch.len());
        }
    }

    async fn deliver(&mut self, batch: &[Finished], lifecycle: &Lifecycle) {
        let mut wait = ATTEMPTS.1;
        for attempt in 1.. {
            let again = match self.send(batch, TIMEOUTS.0).await {
                Ok(()) => return self.report(Ok(()), batch.len()),
                Err((error, None)) => return self.report(Err(error), batch.len()),
                Err((error, Some(_))) if attempt == ATTEMPTS.0 => return self.report(Err(error), batch.len()),
                Err((_, Some(after))) => after.max(wait),
            };
            tokio::select! {
                () = tokio::time::sleep(again) => {}
                // What is left of the grace is for one more attempt.
                () = lifecycle.stopping() => {}
            }
            wait *= 2;
        }
    }

    /// Sends a batch. With the error comes how long to wait at least before trying again, when that makes sense.
    async fn send(&self, batch: &[Finished], timeout: Duration) -> Result<(), (Error, Option<Duration>)> {
        let version = env!("CARGO_PKG_VERSION");
        let resource = [("service.name", "astrolabe"), ("service.version", version), ("service.instance.id", &self.instance)];
        let body = wire::request(&resource, ("astrolabe", version), batch);
        let request = self.egress.request("otlp", Trust::Operator, Method::POST, &self.url).map_err(|e| (e, None))?;
        let request = request.header("content-type", "application/x-protobuf").timeout(timeout).body(body);
        let response = request.send().await.map_err(|e| {
            let again = e.is_transient().then_some(Duration::ZERO);
            (e, again)
        })?;
        // The statuses that OTLP/HTTP calls retryable.
        let again = matches!(response.status().as_u16(), 429 | 502 | 503 | 504).then(|| {
            let seconds = response.header("retry-after").and_then(|v| v.trim().parse().ok()).unwrap_or(0);
            Duration::from_secs(seconds).min(Duration::from_secs(30))
        });
        response.success().map(|_| ()).map_err(|e| (e, again))
    }

    /// Counts, and says once when it stops working and once when it works again.
    fn report(&mut self, sent: Result<()>, spans: usize) {
        match sent {
            Ok(()) => {
                ::metrics::counter!("otlp_spans_exported_total").increment(spans as u64);
                if std::mem::take(&mut self.failing) {
                    tracing::info!("traces reach the collector again");
                }
            }
            Err(error) => {
                dropped("not_delivered", spans);
                if !std::mem::replace(&mut self.failing, true) {
                    tracing::warn!(error = ?error, "traces do not reach the collector at telemetry.otlp_endpoint; they are dropped until they do");
                }
            }
        }
    }
}
