use std::sync::{
    Arc, Mutex,
    mpsc::{Receiver, Sender, channel},
};

use super::super::{
    EmbedderError, Priority,
    pool::{Colleagues, Pool, Worker},
};

/// A pool of one worker that reports each text it begins and holds the text `gate` until it is told to go on.
struct Gated {
    pool: Pool,
    begun: Receiver<String>,
    open: Sender<()>,
    order: Arc<Mutex<Vec<String>>>,
}

struct Script {
    report: Sender<String>,
    gate: Arc<Mutex<Receiver<()>>>,
    written: Arc<Mutex<Vec<String>>>,
}

impl Worker for Script {
    fn work(&mut self, texts: &[&str], colleagues: &mut dyn Colleagues) -> Vec<Vec<f32>> {
        let mut vectors = Vec::new();
        for text in texts {
            self.report.send((*text).to_owned()).ok();
            if *text == "gate" {
                self.gate.lock().unwrap().recv().ok();
            }
            assert!(*text != "panic", "asked to");
            self.written.lock().unwrap().push((*text).to_owned());
            vectors.push(vec![text.len() as f32]);
            colleagues.pause();
        }
        vectors
    }
}

fn gated(capacity: usize) -> Gated {
    let (report, begun) = channel();
    let (open, gate) = channel::<()>();
    let order = Arc::new(Mutex::new(Vec::new()));
    let (gate, written) = (Arc::new(Mutex::new(gate)), Arc::clone(&order));
    let pool = Pool::start(1, capacity, move || {
        Box::new(Script { report: report.clone(), gate: Arc::clone(&gate), written: Arc::clone(&written) })
    })
    .unwrap();
    Gated { pool, begun, open, order }
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn a_panic_fails_its_own_request_and_the_worker_goes_on() {
    let Gated { pool, .. } = gated(8);
    assert!(matches!(pool.run_blocking(texts(&["panic"]), Priority::Bulk), Err(EmbedderError::Failed(_))));
    assert_eq!(pool.run_blocking(texts(&["four"]), Priority::Bulk), Ok(vec![vec![4.0]]));
}

#[tokio::test]
async fn a_question_goes_before_documents() {
    let Gated { pool, begun, open, order } = gated(8);
    let documents = async { pool.run(texts(&["gate", "document 1", "document 2"]), Priority::Bulk).await };
    let question = async {
        assert_eq!(begun.recv().unwrap(), "gate");
        let question = pool.run(texts(&["question"]), Priority::Interactive);
        let opened = async { open.send(()).unwrap() };
        // `join!` polls in order: the question is queued before the gate opens.
        tokio::join!(question, opened).0
    };
    let (documents, question) = tokio::join!(documents, question);
    assert_eq!((documents.unwrap().len(), question.unwrap().len()), (3, 1));
    assert_eq!(*order.lock().unwrap(), ["gate", "question", "document 1", "document 2"]);
}

#[tokio::test]
async fn a_full_queue_refuses_at_once_and_keeps_what_it_has() {
    let Gated { pool, begun, open, .. } = gated(2);
    let held = async { pool.run(texts(&["gate"]), Priority::Bulk).await };
    let queued = async {
        assert_eq!(begun.recv().unwrap(), "gate");
        pool.run(texts(&["a", "b"]), Priority::Bulk).await
    };
    let refused = async {
        let refused = pool.run(texts(&["c"]), Priority::Bulk).await;
        open.send(()).unwrap();
        refused
    };
    // `join!` polls in order: what waits is queued before one more is refused.
    let (held, queued, refused) = tokio::join!(held, queued, refused);
    assert_eq!(refused, Err(EmbedderError::Overloaded { waiting: 2 }));
    assert_eq!((held, queued), (Ok(vec![vec![4.0]]), Ok(vec![vec![1.0], vec![1.0]])));
    assert_eq!(pool.waiting(), 0);
}

#[test]
fn a_panic_in_a_pass_fails_only_the_guilty_text() {
    let Gated { pool, begun, open, .. } = gated(8);
    std::thread::scope(|scope| {
        let held = scope.spawn(|| pool.run_blocking(texts(&["gate"]), Priority::Bulk));
        assert_eq!(begun.recv().unwrap(), "gate");
        let guilty = scope.spawn(|| pool.run_blocking(texts(&["panic"]), Priority::Bulk));
        let innocent = scope.spawn(|| pool.run_blocking(texts(&["four"]), Priority::Bulk));
        // Both wait for the worker, so they share its next pass.
        while pool.waiting() < 2 {
            std::thread::yield_now();
        }
        open.send(()).unwrap();
        assert_eq!(held.join().unwrap(), Ok(vec![vec![4.0]]));
        assert!(matches!(guilty.join().unwrap(), Err(EmbedderError::Failed(_))));
        assert_eq!(innocent.join().unwrap(), Ok(vec![vec![4.0]]));
    });
}

#[tokio::test]
async fn a_request_that_was_given_up_is_not_computed() {
    let Gated { pool, begun, open, order } = gated(8);
    let gate = async { pool.run(texts(&["gate"]), Priority::Bulk).await };
    let given_up = async {
        assert_eq!(begun.recv().unwrap(), "gate");
        // Polled once, which queues it, and dropped.
        let request = Box::pin(pool.run(texts(&["given up"]), Priority::Bulk));
        let nothing = async {};
        tokio::select! { biased; _ = request => unreachable!("the worker is held"), () = nothing => {} }
        open.send(()).unwrap();
    };
    tokio::join!(gate, given_up).0.unwrap();
    pool.run(texts(&["after"]), Priority::Bulk).await.unwrap();
    assert_eq!(*order.lock().unwrap(), ["gate", "after"]);
}

#[test]
fn ending_the_pool_waits_for_the_text_in_hand() {
    let Gated { pool, open, order, .. } = gated(8);
    open.send(()).unwrap();
    pool.run_blocking(texts(&["gate"]), Priority::Bulk).unwrap();
    drop(pool);
    // Every worker has let go of what it shared: none is left running.
    assert_eq!(Arc::strong_count(&order), 1);
}

#[test]
fn no_texts_are_no_work() {
    assert_eq!(gated(1).pool.run_blocking(Vec::new(), Priority::Interactive), Ok(Vec::new()));
}
