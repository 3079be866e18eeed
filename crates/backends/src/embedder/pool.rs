//! The threads that compute: a few texts each at a time, fed from two bounded queues.
//!
//! Computing has its own threads so that a busy model never holds up a request that needs none. What somebody waits for goes
//! first, also in the middle of what is read in bulk: a worker looks between two layers whether somebody waits. Texts that wait
//! together share a pass, at most as many as leave work for the other workers. A worker outlives a panic: the text fails, its
//! buffers are thrown away, and it goes on with the next one.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc},
    thread::{Builder, JoinHandle},
};

use super::{EmbedderError, Priority};

/// Texts that a worker takes at a time: enough to read the weights once for several, few enough to hand out answers steadily.
const TOGETHER: usize = 8;

/// What a thread does with texts. Each thread makes its own, so it may keep buffers.
pub(super) trait Worker {
    /// One vector per text, in order.
    fn work(&mut self, texts: &[&str], colleagues: &mut dyn Colleagues) -> Vec<Vec<f32>>;
}

/// Half of a text, for another thread.
pub(super) type Help = Box<dyn FnOnce() + Send>;

/// How a worker stands to the others of its pool.
pub(super) trait Colleagues {
    /// To be called every few milliseconds: does what cannot wait.
    fn pause(&mut self);

    /// Gives `help` to a thread that has nothing to do, if there is one; it begins at once. Says whether it was given.
    fn recruit(&mut self, help: &mut dyn FnMut() -> Help) -> bool;
}

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
    /// What colleagues asked of the threads that wait; never more than those.
    help: VecDeque<Help>,
    /// Threads that wait for work.
    idle: usize,
    interactive: VecDeque<Task>,
    bulk: VecDeque<Task>,
    closed: bool,
}

impl Queues {
    /// This worker's share of a queue, or `None` when it is empty.
    fn take(&mut self, priority: Priority, threads: usize) -> Option<Vec<Task>> {
        let queue = match priority {
            Priority::Interactive => &mut self.interactive,
            Priority::Bulk => &mut self.bulk,
        };
        let share = queue.len().div_ceil(threads).min(TOGETHER);
        (share > 0).then(|| queue.drain(..share).collect())
    }
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
    pub fn start(
        threads: usize,
        capacity: usize,
        make: impl Fn() -> Box<dyn Worker> + Send + Sync + 'static,
    ) -> Result<Self, EmbedderError> {
        let (make, threads) = (Arc::new(make), threads.max(1));
        let mut pool = Self { shared: Arc::new(Shared { queues: Mutex::default(), wake: Condvar::new() }), workers: Vec::new(), capacity };
        for number in 0..threads {
            let (shared, make) = (Arc::clone(&pool.shared), Arc::clone(&make));
            let worker = Builder::new().name(format!("embed-{number}")).spawn(move || run(&shared, threads, &*make));
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

/// What a thread does next.
enum Next {
    Texts(Vec<Task>, Priority),
    Help(Help),
}

/// In the middle of documents.
struct InBulk<'a> {
    shared: &'a Shared,
    threads: usize,
    urgent: &'a mut Box<dyn Worker>,
    make: &'a dyn Fn() -> Box<dyn Worker>,
}

impl Colleagues for InBulk<'_> {
    fn pause(&mut self) {
        while let Some(tasks) = self.shared.lock().take(Priority::Interactive, self.threads) {
            answer(tasks, self.urgent, self.make, &mut Urgent(self.shared));
        }
    }

    fn recruit(&mut self, _: &mut dyn FnMut() -> Help) -> bool {
        // Two texts on two threads are faster than one text on two.
        false
    }
}

/// With what somebody waits for.
struct Urgent<'a>(&'a Shared);

impl Colleagues for Urgent<'_> {
    fn pause(&mut self) {}

    fn recruit(&mut self, help: &mut dyn FnMut() -> Help) -> bool {
        let mut queues = self.0.lock();
        if queues.idle <= queues.help.len() || !queues.bulk.is_empty() || !queues.interactive.is_empty() {
            return false;
        }
        queues.help.push_back(help());
        drop(queues);
        self.0.wake.notify_all();
        true
    }
}

fn run(shared: &Shared, threads: usize, make: &dyn Fn() -> Box<dyn Worker>) {
    let (mut bulk, mut urgent) = (make(), make());
    while let Some(next) = next(shared, threads) {
        match next {
            Next::Texts(tasks, Priority::Interactive) => answer(tasks, &mut urgent, make, &mut Urgent(shared)),
            Next::Texts(tasks, Priority::Bulk) => {
                answer(tasks, &mut bulk, make, &mut InBulk { shared, threads, urgent: &mut urgent, make })
            }
            Next::Help(help) => {
                if catch_unwind(AssertUnwindSafe(help)).is_err() {
                    tracing::error!("helping with a text panicked, the other thread does it alone");
                }
            }
        }
    }
}

/// Computes the texts that somebody still waits for. When that panics, each is tried alone, so that only the guilty one fails.
fn answer(mut tasks: Vec<Task>, worker: &mut Box<dyn Worker>, make: &dyn Fn() -> Box<dyn Worker>, colleagues: &mut dyn Colleagues) {
    tasks.retain(|task| !task.reply.is_abandoned());
    let texts: Vec<&str> = tasks.iter().map(|task| task.text.as_str()).collect();
    if let Ok(vectors) = catch_unwind(AssertUnwindSafe(|| worker.work(&texts, colleagues))) {
        for (task, vector) in tasks.iter().zip(vectors) {
            task.reply.send(task.index, Ok(vector));
        }
        return;
    }
    // The buffers may be half-written: start afresh.
    *worker = make();
    if let [task] = tasks.as_slice() {
        tracing::error!(characters = task.text.chars().count(), "a text made the embedder panic, the worker goes on");
        task.reply.send(task.index, Err(EmbedderError::Failed("the embedder panicked on this text".to_owned())));
        return;
    }
    for task in tasks {
        answer(vec![task], worker, make, colleagues);
    }
}

/// Waits for the next work: half of a text that is begun, then texts of [`Priority::Interactive`], then others; `None` when the pool ends.
fn next(shared: &Shared, threads: usize) -> Option<Next> {
    let mut queues = shared.lock();
    loop {
        // Also when the pool ends: a colleague counts on it.
        if let Some(help) = queues.help.pop_front() {
            return Some(Next::Help(help));
        }
        if queues.closed {
            return None;
        }
        for priority in [Priority::Interactive, Priority::Bulk] {
            if let Some(tasks) = queues.take(priority, threads) {
                return Some(Next::Texts(tasks, priority));
            }
        }
        queues.idle += 1;
        queues = shared.wake.wait(queues).unwrap_or_else(PoisonError::into_inner);
        queues.idle -= 1;
    }
}
