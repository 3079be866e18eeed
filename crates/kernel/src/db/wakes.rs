//! Who waits in this process for an event or a job. A wake carries nothing: the reader looks into SQL.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use tokio::sync::{Notify, watch};

use super::Wake;

/// The waiting readers of one process.
#[derive(Default)]
pub struct Wakes {
    streams: Mutex<HashMap<String, watch::Sender<u64>>>,
    jobs: Notify,
    audit: Notify,
}

/// Tells when a stream may have grown.
pub struct StreamWatch(watch::Receiver<u64>);

impl StreamWatch {
    /// Resolves when the stream may have grown since the last call.
    pub async fn changed(&mut self) {
        if self.0.changed().await.is_err() {
            // The sender lives as long as the process's map; without it there is nothing to wait for but the poll.
            std::future::pending::<()>().await;
        }
    }
}

impl Wakes {
    /// Starts to watch a stream; what is written after this call wakes the watch.
    pub fn watch(&self, stream: &str) -> StreamWatch {
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        if streams.len() > 64 {
            streams.retain(|_, sender| sender.receiver_count() > 0);
        }
        let sender = streams.entry(stream.to_owned()).or_insert_with(|| watch::channel(0).0);
        StreamWatch(sender.subscribe())
    }

    /// Resolves when a job may be waiting.
    pub async fn job(&self) {
        self.jobs.notified().await;
    }

    /// Lets one more worker look for a job.
    pub fn more_jobs(&self) {
        self.jobs.notify_one();
    }

    /// Resolves when an audit entry may wait for its seal.
    pub async fn audit(&self) {
        self.audit.notified().await;
    }

    pub(super) fn wake(&self, wake: &Wake) {
        match wake {
            Wake::Stream(stream) => {
                let streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(sender) = streams.get(stream) {
                    sender.send_modify(|n| *n += 1);
                }
            }
            // `notify_one` keeps a permit when nobody waits at the moment, so a wake between two polls is not lost.
            Wake::Jobs => self.jobs.notify_one(),
            Wake::Audit => self.audit.notify_one(),
        }
    }
}
