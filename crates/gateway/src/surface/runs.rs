//! Chat completions that carry an idempotency key: a repeat joins the run in flight or hears it again; the model is never paid twice.
//!
//! A run goes on when its caller hangs up, so that the repeat finds it. What it said is kept in memory for an hour, within bounds.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use astrolabe_kernel::{Error, Lifecycle, Result, Timestamp, error::code, principal::TenantId};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use tokio::sync::watch;

use super::Answer;

/// How long a run is kept.
const KEPT: Duration = Duration::from_secs(3_600);

/// Runs that are kept, and the bytes of what they said.
const MAX_RUNS: usize = 10_000;
const MAX_BYTES: usize = 64 << 20;

/// Whose key it is: the tenant, the caller, and the key.
pub(crate) type Key = (TenantId, String, String);

/// The runs of this process.
#[derive(Debug, Default)]
pub(crate) struct Runs(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    runs: HashMap<Key, Arc<Run>>,
    /// From the oldest on.
    order: VecDeque<(Timestamp, Key)>,
    bytes: usize,
}

/// One run.
#[derive(Debug)]
struct Run {
    fingerprint: [u8; 32],
    said: Mutex<Said>,
    news: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Said {
    is_stream: Option<bool>,
    pieces: Vec<Bytes>,
    over: bool,
    failed: Option<Error>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Runs {
    /// Does `work` under a key, or joins the run that does. Whether it was joined is told beside the answer.
    ///
    /// # Errors
    /// `idempotency_key_reused` when the key is that of another request; those of the work, which frees the key.
    pub(crate) async fn once(
        self: &Arc<Self>,
        key: Key,
        fingerprint: [u8; 32],
        now: Timestamp,
        lifecycle: &Lifecycle,
        work: impl Future<Output = Result<Answer>> + Send + 'static,
    ) -> Result<(Answer, bool)> {
        let (run, joined) = {
            let mut kept = lock(&self.0);
            kept.forget(now);
            match kept.runs.get(&key) {
                Some(run) if run.fingerprint != fingerprint => {
                    return Err(Error::new(code::IDEMPOTENCY_KEY_REUSED, "this key was used for another request"));
                }
                Some(run) => (Arc::clone(run), true),
                None => {
                    let run = Arc::new(Run { fingerprint, said: Mutex::default(), news: watch::Sender::new(0) });
                    kept.runs.insert(key.clone(), Arc::clone(&run));
                    kept.order.push_back((now, key.clone()));
                    (run, false)
                }
            }
        };
        if !joined {
            let (runs, run) = (Arc::clone(self), Arc::clone(&run));
            lifecycle.spawn("chat", async move {
                // Also when the work panics or the process stops, nobody waits for ever and the key is free.
                let end = Ending { runs, run, key, good: false };
                end.record(work).await;
            });
        }
        run.answer().await.map(|answer| (answer, joined))
    }
}

impl Kept {
    fn forget(&mut self, now: Timestamp) {
        while let Some((at, key)) = self.order.front() {
            let too_many = self.runs.len() > MAX_RUNS || self.bytes > MAX_BYTES;
            let Some(run) = self.runs.get(key) else {
                self.order.pop_front();
                continue;
            };
            let is_over = lock(&run.said).over;
            if !is_over || !too_many && now.since(*at) < KEPT {
                break;
            }
            self.bytes -= run.size();
            let key = key.clone();
            self.runs.remove(&key);
            self.order.pop_front();
        }
    }
}

/// Ends a run, whatever happens.
struct Ending {
    runs: Arc<Runs>,
    run: Arc<Run>,
    key: Key,
    good: bool,
}

impl Ending {
    async fn record(mut self, work: impl Future<Output = Result<Answer>>) {
        match work.await {
            Ok(Answer::Whole(body)) => {
                self.run.tell(|said| (said.is_stream, said.pieces) = (Some(false), vec![body]));
                self.good = true;
            }
            Ok(Answer::Stream(mut pieces)) => {
                self.run.tell(|said| said.is_stream = Some(true));
                while let Some(piece) = pieces.next().await {
                    self.run.tell(|said| said.pieces.push(piece));
                }
                self.good = true;
            }
            Err(error) => self.run.tell(|said| said.failed = Some(error)),
        }
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        let began = lock(&self.run.said).is_stream == Some(true);
        self.run.tell(|said| {
            said.over = true;
            if said.is_stream.is_none() && said.failed.is_none() {
                said.failed = Some(Error::new(code::SHUTTING_DOWN, "the run was cut"));
            }
        });
        let mut kept = lock(&self.runs.0);
        if self.good || began {
            kept.bytes += self.run.size();
        } else {
            // Nothing was said, so nothing can be paid twice.
            kept.runs.remove(&self.key);
        }
    }
}

impl Run {
    fn size(&self) -> usize {
        lock(&self.said).pieces.iter().map(Bytes::len).sum()
    }

    fn tell(&self, change: impl FnOnce(&mut Said)) {
        change(&mut lock(&self.said));
        self.news.send_modify(|n| *n += 1);
    }

    /// What the run says, from its beginning.
    async fn answer(self: Arc<Self>) -> Result<Answer> {
        let mut news = self.news.subscribe();
        loop {
            {
                let said = lock(&self.said);
                match (said.is_stream, &said.failed) {
                    (_, Some(error)) => return Err(again(error)),
                    (Some(true), None) => break,
                    (Some(false), None) => return Ok(Answer::Whole(said.pieces.first().cloned().unwrap_or_default())),
                    (None, None) => {}
                }
            }
            // The sender lives in the run.
            let _ = news.changed().await;
        }
        let state = (self, news, 0);
        let pieces = stream::unfold(state, |(run, mut news, at)| async move {
            loop {
                let (piece, over) = {
                    let said = lock(&run.said);
                    (said.pieces.get(at).cloned(), said.over)
                };
                match piece {
                    Some(piece) => return Some((piece, (run, news, at + 1))),
                    None if over => return None,
                    None => {
                        let _ = news.changed().await;
                    }
                }
            }
        });
        Ok(Answer::Stream(pieces.boxed()))
    }
}

/// The same error for another who waits.
fn again(error: &Error) -> Error {
    let mut same = Error::new(error.code(), error.message());
    for field in error.fields() {
        same = same.and_field(field.field.clone(), field.message.clone());
    }
    match error.retry_after() {
        Some(after) => same.with_retry_after(after),
        None => same,
    }
}
