//! The threads that compute: one text each at a time, fed from two bounded queues.
//!
//! Computing has its own threads so that a busy model never holds up a request that needs none. What somebody waits for goes
//! first; what is read in bulk takes the rest. A worker outlives a panic: the text fails, its buffers are thrown away, and it
//! goes on with the next one.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc},
    thread::{Builder, JoinHandle},
};

use super::{EmbedderError, Priority};

/// What a worker does with a text. Each worker makes its own, so it may keep buffers.
pub(super) type Work = Box<dyn FnMut(&str) -> Answer>;
/// The vector of one text, or why there is none.
pub(super) type Answer = Result<Vec<f32>, EmbedderError>;

struct Task {
    text: String,
    index: usize,
    reply: Reply,
}

#[derive(Clone)]
enum Reply {
    Thread(mpsc::Sender<(usize, Answer)>),
    Task(tokio::sync::mpsc::UnboundedSender<(usize, Answer)>),
}

impl Reply {
    /// True when nobody waits any more: a request that was cancelled costs nothing further.
    fn is_abandoned(&self) -> bool {
        match self {
            Self::Thread(_) => false,
            Self::Task(sender) => sender.is_closed(),
        }
    }

    fn send(&self, index: usize, answer: Answer) {
        // A receiver that is gone has lost interest, which is no error.
        match self {
            Self::Thread(sender) => drop(sender.send((index, answer))),
            Self::Task(sender) => drop(sender.send((index, answer))),
        }
    }
}

#[derive(Default)]
struct Queues {
    interactive: VecDeque<Task>,
    bulk: VecDeque<Task>,
    closed: bool,
}

struct Shared {
    queues: Mutex<Queues>,
    wake: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queues> {
        // The lock only guards plain queue operations, so what a panicking thread left behind is whole.
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A fixed number of workers over two queues. Dropping it ends the workers after the text in hand and waits for them.
pub(super) struct Pool {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    capacity: usize,
}

impl Pool {
    /// Starts `threads` workers; each of the two queues holds `capacity` texts.
    ///
    /// # Errors
    /// [`EmbedderError::Failed`] when the system gives no thread.
    pub fn start(threads: usize, capacity: usize, make: impl Fn() -> Work + Send + Sync + 'static) -> Result<Self, EmbedderError> {
        let make = Arc::new(make);
        let mut pool = Self { shared: Arc::new(Shared { queues: Mutex::default(), wake: Condvar::new() }), workers: Vec::new(), capacity };
        for number in 0..threads.max(1) {
            let (shared, make) = (Arc::clone(&pool.shared), Arc::clone(&make));
            let worker = Builder::new().name(format!("embed-{number}")).spawn(move || run(&shared, &*make));
            // On an error `pool` is dropped, which ends the workers that did start.
            pool.workers.push(worker.map_err(|error| EmbedderError::Failed(format!("no thread for the embedder: {error}")))?);
        }
        Ok(pool)
    }

    /// How many texts wait, over both queues; those being computed are not counted.
    pub fn waiting(&self) -> usize {
        let queues = self.shared.lock();
        queues.interactive.len() + queues.bulk.len()
    }

    /// How many workers there are.
    pub fn threads(&self) -> usize {
        self.workers.len()
    }

    /// Computes the texts and blocks the calling thread meanwhile.
    pub fn run_blocking(&self, texts: Vec<String>, priority: Priority) -> Result<Vec<Vec<f32>>, EmbedderError> {
        let (sender, receiver) = mpsc::channel();
        let mut vectors = vec![Vec::new(); texts.len()];
        self.submit(texts, priority, &Reply::Thread(sender))?;
        for _ in 0..vectors.len() {
            let (index, answer) = receiver.recv().map_err(|_| EmbedderError::Stopped)?;
            vectors[index] = answer?;
        }
        Ok(vectors)
    }

    /// Computes the texts while the calling task waits; dropping the future gives up the texts not yet begun.
    pub async fn run(&self, texts: Vec<String>, priority: Priority) -> Result<Vec<Vec<f32>>, EmbedderError> {
        let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
        let mut vectors = vec![Vec::new(); texts.len()];
        self.submit(texts, priority, &Reply::Task(sender))?;
        for _ in 0..vectors.len() {
            let (index, answer) = receiver.recv().await.ok_or(EmbedderError::Stopped)?;
            vectors[index] = answer?;
        }
        Ok(vectors)
    }

    fn submit(&self, texts: Vec<String>, priority: Priority, reply: &Reply) -> Result<(), EmbedderError> {
        let mut queues = self.shared.lock();
        let queue = match priority {
            Priority::Interactive => &mut queues.interactive,
            Priority::Bulk => &mut queues.bulk,
        };
        // A batch goes in whole or not at all; one that is larger than the queue may have an empty queue to itself.
        if !queue.is_empty() && queue.len() + texts.len() > self.capacity {
            return Err(EmbedderError::Overloaded { waiting: queue.len() });
        }
        queue.extend(texts.into_iter().enumerate().map(|(index, text)| Task { text, index, reply: reply.clone() }));
        drop(queues);
        self.shared.wake.notify_all();
        Ok(())
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let mut queues = self.shared.lock();
        queues.closed = true;
        // Dropping the replies tells everyone who still waits.
        queues.interactive.clear();
        queues.bulk.clear();
        drop(queues);
        self.shared.wake.notify_all();
        for worker in self.workers.drain(..) {
            // A worker contains its panics; should one get through, there is nobody left to tell.
            drop(worker.join());
        }
    }
}

fn run(shared: &Shared, make: &dyn Fn() -> Work) {
    let mut work = make();
    while let Some(task) = next(shared) {
        if task.reply.is_abandoned() {
            continue;
        }
        let answer = catch_unwind(AssertUnwindSafe(|| work(&task.text))).unwrap_or_else(|_| {
            tracing::error!(characters = task.text.chars().count(), "a text made the embedder panic, the worker goes on");
            // The buffers may be half-written: start afresh.
            work = make();
            Err(EmbedderError::Failed("the embedder panicked on this text".to_owned()))
        });
        task.reply.send(task.index, answer);
    }
}

/// Waits for the next text, those of [`Priority::Interactive`] first; `None` when the pool ends.
fn next(shared: &Shared) -> Option<Task> {
    let mut queues = shared.lock();
    loop {
        if queues.closed {
            return None;
        }
        if let Some(task) = queues.interactive.pop_front() {
            return Some(task);
        }
        if let Some(task) = queues.bulk.pop_front() {
            return Some(task);
        }
        queues = shared.wake.wait(queues).unwrap_or_else(PoisonError::into_inner);
    }
}
