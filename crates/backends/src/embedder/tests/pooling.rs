use std::sync::{
    Arc, Mutex,
    mpsc::{Receiver, Sender, channel},
};

use super::super::{EmbedderError, Priority, pool::Pool};

/// A pool of one worker that reports each text it begins and holds the text `gate` until it is told to go on.
struct Gated {
    pool: Pool,
    begun: Receiver<String>,
    open: Sender<()>,
    order: Arc<Mutex<Vec<String>>>,
}

fn gated(capacity: usize) -> Gated {
    let (report, begun) = channel();
    let (open, gate) = channel::<()>();
    let order = Arc::new(Mutex::new(Vec::new()));
    let (gate, written) = (Arc::new(Mutex::new(gate)), Arc::clone(&order));
    let pool = Pool::start(1, capacity, move || {
        let (report, gate, written) = (report.clone(), Arc::clone(&gate), Arc::clone(&written));
        Box::new(move |text| {
            report.send(text.to_owned()).ok();
            if text == "gate" {
                gate.lock().unwrap().recv().ok();
            }
            assert!(text != "panic", "asked to");
            written.lock().unwrap().push(text.to_owned());
            Ok(vec![text.len() as f32])
        })
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
    let first = async { pool.run(texts(&["gate", "a", "b"]), Priority::Bulk).await };
    let second = async {
        assert_eq!(begun.recv().unwrap(), "gate");
        let refused = pool.run(texts(&["c"]), Priority::Bulk).await;
        open.send(()).unwrap();
        refused
    };
    let (first, second) = tokio::join!(first, second);
    assert_eq!(second, Err(EmbedderError::Overloaded { waiting: 2 }));
    assert_eq!(first, Ok(vec![vec![4.0], vec![1.0], vec![1.0]]));
    assert_eq!(pool.waiting(), 0);
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
