//! Streams that end when their credential does.
//!
//! A stream may be open for hours, and authorization was asked for when it began. Every [`EVERY`] it is asked again, of the verdicts first, so that a
//! thousand streams of one credential cost one question to the database.

use std::{sync::Arc, time::Duration};

use astrolabe_kernel::Kind;
use axum::{
    body::{Body, BodyDataStream},
    http::header,
    response::Response,
};
use futures_util::{StreamExt, stream};
use tokio::time::{Interval, MissedTickBehavior};

use super::verdicts::Verdict;
use crate::{Platform, sessions::Digest};

/// How often a stream asks whether its credential still holds.
pub(crate) const EVERY: Duration = Duration::from_millis(2500);

struct Watch {
    platform: Platform,
    key: Digest,
    verdict: Arc<Verdict>,
    body: BodyDataStream,
    ticks: Interval,
}

/// Has a stream end when the credential does not hold any more, or gives less than when the stream began. Other answers pass as they are.
pub(super) fn watch(platform: &Platform, key: Digest, verdict: Arc<Verdict>, response: Response) -> Response {
    let kind = response.headers().get(header::CONTENT_TYPE).map_or(&b""[..], |v| v.as_bytes());
    if !kind.starts_with(b"text/event-stream") && !kind.starts_with(b"application/x-ndjson") {
        return response;
    }
    let (parts, body) = response.into_parts();
    let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + EVERY, EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let watch = Watch { platform: platform.clone(), key, verdict, body: body.into_data_stream(), ticks };
    let body = Body::from_stream(stream::unfold(Box::new(watch), |mut watch| async move {
        loop {
            tokio::select! {
                // A stream that always has something to say must not put off the question.
                biased;
                _ = watch.ticks.tick() => {
                    if !watch.platform.still_holds(&watch.key, &watch.verdict).await {
                        metrics::counter!("streams_ended_total", "reason" => "credential").increment(1);
                        return None;
                    }
                }
                chunk = watch.body.next() => return chunk.map(|chunk| (chunk, watch)),
            }
        }
    }));
    Response::from_parts(parts, body)
}

impl Platform {
    /// Whether a credential still gives what it gave when the stream began. When nobody can say, it does not: the reader
    /// comes back and is asked then.
    pub(super) async fn still_holds(&self, key: &Digest, begun: &Verdict) -> bool {
        let now = self.kernel().now();
        let verdict = match self.0.verdicts.get(key, now) {
            Some(verdict) => verdict,
            None => match self.judge(*key, begun.proof.clone()).await {
                Ok(verdict) => verdict,
                Err(error) => {
                    if error.kind() != Kind::Unauthenticated {
                        tracing::warn!(error = ?error, "a stream is ended because nobody could say whether it may go on");
                    }
                    return false;
                }
            },
        };
        let (then, now) = (&begun.standing.principal, &verdict.standing.principal);
        let rights = then.rights();
        then.tenant == now.tenant && rights.and(now.rights()) == rights && then.capabilities.iter().all(|c| now.capabilities.contains(c))
    }
}
