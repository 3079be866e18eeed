//! Starting background tasks and stopping them in order: first a soft stop (finish what you do, take nothing new), then a hard
//! one (drop it). Every task is tracked, so nothing outlives the process's last line.

use std::{future::Future, time::Duration};

use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Instrument;

use crate::{Error, Result, error::code};

/// Handles to both stops and to the tracker; clones are the same lifecycle.
#[derive(Clone, Default)]
pub struct Lifecycle {
    soft: CancellationToken,
    hard: CancellationToken,
    tasks: TaskTracker,
}

impl Lifecycle {
    /// A lifecycle that runs until [`Lifecycle::stop`].
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs a task until it ends or the hard stop drops it. `name` is for the log line of a panic, which is contained and counted.
    pub fn spawn<F>(&self, name: &'static str, task: F) -> tokio::task::JoinHandle<Option<F::Output>>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let hard = self.hard.clone();
        self.tasks.spawn(async move {
            let contained = futures_util::FutureExt::catch_unwind(std::panic::AssertUnwindSafe(task));
            tokio::select! {
                done = contained => match done {
                    Ok(value) => Some(value),
                    Err(panic) => {
                        report_panic(name, panic.as_ref());
                        None
                    }
                },
                () = hard.cancelled() => None,
            }
        })
    }

    /// Does work to its end although whoever waits for it may be dropped, as a handler is whose caller hangs up.
    ///
    /// # Errors
    /// Those of the work; `shutting_down` when the hard stop cut it; `internal` when it panicked.
    pub async fn shielded<T: Send + 'static>(
        &self,
        name: &'static str,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        let task = self.spawn(name, work.in_current_span());
        task.await.ok().flatten().unwrap_or_else(|| match self.is_stopping() {
            true => Err(Error::new(code::SHUTTING_DOWN, "the process is stopping")),
            false => Err(Error::internal(format_args!("{name}: it came to no end"))),
        })
    }

    /// Resolves when no new work should be taken.
    pub async fn stopping(&self) {
        self.soft.cancelled().await;
    }

    /// Whether no new work should be taken.
    pub fn is_stopping(&self) -> bool {
        self.soft.is_cancelled()
    }

    /// Asks everyone to finish, without waiting.
    pub fn begin_stop(&self) {
        self.soft.cancel();
    }

    /// Asks everyone to finish, waits up to `grace`, then drops what is left. Returns whether all ended by themselves.
    pub async fn stop(&self, grace: Duration) -> bool {
        self.soft.cancel();
        self.tasks.close();
        let clean = tokio::time::timeout(grace, self.tasks.wait()).await.is_ok();
        self.hard.cancel();
        self.tasks.wait().await;
        clean
    }
}

/// Does work whose panic becomes an error, counted and logged: for tasks that others wait for.
///
/// # Errors
/// Those of the work; `internal` for a panic.
pub async fn contained<T>(name: &'static str, work: impl Future<Output = Result<T>>) -> Result<T> {
    let result = futures_util::FutureExt::catch_unwind(std::panic::AssertUnwindSafe(work)).await;
    result.unwrap_or_else(|panic| {
        report_panic(name, panic.as_ref());
        Err(Error::internal(format_args!("panic: {}", panic_message(panic.as_ref()))))
    })
}

/// Counts and logs a contained panic.
pub fn report_panic(name: &'static str, panic: &(dyn std::any::Any + Send)) {
    metrics::counter!("panics_total", "task" => name).increment(1);
    tracing::error!(task = name, panic = panic_message(panic), "a task panicked and was contained");
}

/// The text of a panic, or a fixed phrase when it has none.
pub fn panic_message(panic: &(dyn std::any::Any + Send)) -> &str {
    panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("a panic without text")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_soft_stop_lets_a_task_finish() {
        let life = Lifecycle::new();
        let inner = life.clone();
        let task = life.spawn("t", async move {
            inner.stopping().await;
            7
        });
        assert!(life.stop(Duration::from_secs(5)).await);
        assert_eq!(task.await.unwrap(), Some(7));
    }

    #[tokio::test]
    async fn a_hard_stop_drops_what_does_not_finish() {
        let life = Lifecycle::new();
        let task = life.spawn("t", std::future::pending::<()>());
        assert!(!life.stop(Duration::from_millis(1)).await);
        assert_eq!(task.await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_panic_in_a_task_is_contained() {
        let life = Lifecycle::new();
        let task = life.spawn("t", async { panic!("no") });
        assert!(matches!(task.await, Ok(None::<()>)));
    }
}
