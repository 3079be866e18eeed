//! How slowly a body may come: whoever holds a request open byte by byte holds memory, a connection and, at a stop, everybody else.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use axum::{
    body::{Body, BodyDataStream, Bytes, HttpBody},
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures_util::{StreamExt, stream};
use tokio::time::Instant;

use crate::{Error, Lifecycle, error::code};

/// Bytes that pay for a second of waiting: over its patience, a body must come at least as fast.
const RATE: u32 = 1024;
/// How long a body may keep us waiting once the process stops.
const STOPPING: Duration = Duration::from_secs(2);

/// What the middleware [`pace`] needs.
#[derive(Clone)]
pub struct Pace {
    /// How long a body may keep us waiting in all. Every kilobyte that comes gives a second back, up to this again.
    pub patience: Duration,
    /// From its soft stop on, the patience is two seconds.
    pub lifecycle: Lifecycle,
}

const SLOW: u8 = 1;
const STOPPED: u8 = 2;

/// Middleware that gives up bodies that come too slowly, with `body_timeout`, or `shutting_down` when the process stops meanwhile. Only the
/// time counts in which a handler waits for the body, not that in which it is busy.
pub async fn pace(State(pace): State<Pace>, request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    let given_up = Arc::new(AtomicU8::new(0));
    let told = given_up.clone();
    let response = next.run(request.map(|body| paced(body, pace, given_up))).await;
    // Each extractor has its own words for a body that breaks off; here it is known why it did.
    let refused = response.status().is_client_error() || response.status().is_server_error();
    match told.load(Ordering::Relaxed) {
        SLOW if refused => Error::new(code::BODY_TIMEOUT, "the body came more slowly than server.body_timeout_s allows").into_response(),
        STOPPED if refused => Error::new(code::SHUTTING_DOWN, "the process is stopping, and the body was not complete")
            .with_retry_after(STOPPING)
            .into_response(),
        _ => response,
    }
}

struct Paced {
    body: BodyDataStream,
    pace: Pace,
    left: Duration,
    given_up: Arc<AtomicU8>,
}

fn paced(body: Body, pace: Pace, given_up: Arc<AtomicU8>) -> Body {
    let state = Paced { body: body.into_data_stream(), left: pace.patience, pace, given_up };
    Body::from_stream(stream::unfold(Some(state), |state| async move {
        let mut state = state?;
        match state.next().await? {
            Ok(bytes) => Some((Ok(bytes), Some(state))),
            Err(error) => Some((Err(error), None)),
        }
    }))
}

impl Paced {
    async fn next(&mut self) -> Option<Result<Bytes, axum::Error>> {
        let life = &self.pace.lifecycle;
        let most = if life.is_stopping() { STOPPING } else { self.pace.patience };
        let left = self.left.min(most);
        let stopped = async {
            life.stopping().await;
            tokio::time::sleep(STOPPING.min(left)).await;
        };
        let started = Instant::now();
        let why = tokio::select! {
            biased;
            frame = self.body.next() => {
                if let Some(Ok(bytes)) = &frame {
                    let earned = Duration::from_secs(1).saturating_mul(u32::try_from(bytes.len()).unwrap_or(u32::MAX)) / RATE;
                    self.left = (left.saturating_sub(started.elapsed()) + earned).min(most);
                }
                return frame;
            }
            () = stopped => STOPPED,
            () = tokio::time::sleep(left) => SLOW,
        };
        self.given_up.store(why, Ordering::Relaxed);
        Some(Err(axum::Error::new(Error::new(code::BODY_TIMEOUT, "the body came too slowly"))))
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    /// A body of pieces, each after a while, read under a patience of ten seconds. Returns how it ended.
    async fn read(pieces: Vec<(u64, usize)>, stop: bool) -> (bool, u8) {
        let body = Body::from_stream(stream::iter(pieces).then(|(seconds, size)| async move {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            Ok::<_, std::convert::Infallible>(Bytes::from(vec![0; size]))
        }));
        let pace = Pace { patience: Duration::from_secs(10), lifecycle: Lifecycle::new() };
        if stop {
            pace.lifecycle.begin_stop();
        }
        let given_up = Arc::new(AtomicU8::new(0));
        let whole = paced(body, pace, given_up.clone()).collect().await.is_ok();
        (whole, given_up.load(Ordering::Relaxed))
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_drips_is_given_up_and_one_that_flows_slowly_is_not() {
        assert_eq!(read(vec![(1, 1); 60], false).await, (false, SLOW), "a byte a second");
        assert_eq!(read(vec![(11, 1_000_000)], false).await, (false, SLOW), "a long silence");
        assert_eq!(read(vec![(9, 100_000), (9, 100_000)], false).await, (true, 0), "what came pays for what is waited for");
        assert_eq!(read(vec![(1, 1100); 600], false).await, (true, 0), "a kilobyte a second, for as long as it likes");
        assert_eq!(read(vec![(0, 1 << 20), (11, 1)], false).await, (false, SLOW), "but no start pays for a longer silence");
    }

    #[tokio::test(start_paused = true)]
    async fn once_the_process_stops_a_body_may_end_but_not_be_silent() {
        assert_eq!(read(vec![(1, 100_000); 60], true).await, (true, 0));
        assert_eq!(read(vec![(3, 100_000)], true).await, (false, STOPPED));
    }
}
