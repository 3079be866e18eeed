//! What a job promises; with `TEST_POSTGRES_URI` these run on PostgreSQL.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::future::BoxFuture;
use serde_json::json;

use super::{
    claim::{Terms, Turns},
    *,
};
use crate::{principal::default_tenant, testing::TestKernel};

type Work = Box<dyn for<'a> Fn(&'a Context) -> BoxFuture<'a, Result<()>> + Send + Sync>;

struct Tested {
    work: Work,
    ended: AtomicUsize,
}

impl Handler for Tested {
    fn kind(&self) -> &'static str {
        "tested"
    }

    fn run<'a>(&'a self, context: &'a Context) -> BoxFuture<'a, Result<()>> {
        (self.work)(context)
    }

    fn ended<'a>(&'a self, _: &'a mut Tx, _: &'a Job, _: Timestamp) -> BoxFuture<'a, Result<()>> {
        Box::pin(async {
            self.ended.fetch_add(1, Ordering::SeqCst);
            Ok(())
        })
    }
}

struct Setup {
    test: TestKernel,
    handler: Arc<Tested>,
    runner: Runner,
}

async fn setup(work: Work) -> Setup {
    let test = TestKernel::new(&[]).await;
    let handler = Arc::new(Tested { work, ended: AtomicUsize::new(0) });
    let mut registry = Registry::default();
    registry.add(handler.clone());
    let runner = Runner::new(test.kernel.clone(), registry, RunnerConfig::default(), "worker".to_owned());
    Setup { test, handler, runner }
}

impl Setup {
    async fn enqueue(&self) -> Id<Job> {
        let kernel = &self.test.kernel;
        let id = kernel.id();
        let mut tx = kernel.db.write(default_tenant()).await.unwrap();
        let job = NewJob::new(id, default_tenant(), "tested", "s", json!({}));
        tx.enqueue(job, kernel.now()).await.unwrap();
        tx.commit().await.unwrap();
        id
    }

    async fn job(&self, id: Id<Job>) -> Job {
        self.test.kernel.db.read(default_tenant()).await.unwrap().job(default_tenant(), id).await.unwrap().unwrap()
    }
}

async fn claim(tx: &mut Tx, owner: &str, now: Timestamp) -> Option<Job> {
    let (kinds, turns) = (BTreeMap::new(), Turns::default());
    tx.claim(&Terms { owner, lease: Duration::from_secs(10), per_tenant: 0, kinds: &kinds, turns: &turns }, now).await.unwrap()
}

#[tokio::test]
async fn a_job_that_does_its_work_is_ready() {
    let s = setup(Box::new(|c| Box::pin(async { c.progress("half", 1, 2).await }))).await;
    let id = s.enqueue().await;
    assert!(s.runner.run_one().await.unwrap());
    let job = s.job(id).await;
    assert_eq!((job.state, job.attempts, job.stage.as_str(), job.done, job.total), (JobState::Ready, 1, "half", 1, 2));
    assert!(!s.runner.run_one().await.unwrap());
}

#[tokio::test]
async fn progress_between_two_writes_comes_to_the_row_with_the_next_transaction_of_the_job() {
    let s = setup(Box::new(|c| {
        Box::pin(async {
            let seen =
                async || c.kernel.db.read(default_tenant()).await.unwrap().job(default_tenant(), c.job.id).await.unwrap().unwrap().done;
            c.progress("count", 1, 4).await?;
            assert_eq!(seen().await, 0, "half a second has not gone by");
            c.write().await?.commit().await?;
            assert_eq!(seen().await, 1);
            c.kernel.clock.advance(Duration::from_millis(500));
            c.progress("count", 2, 4).await?;
            assert_eq!(seen().await, 2);
            c.progress("count", 3, 4).await
        })
    }))
    .await;
    let id = s.enqueue().await;
    assert!(s.runner.run_one().await.unwrap());
    let job = s.job(id).await;
    assert_eq!((job.state, job.stage.as_str(), job.done, job.total), (JobState::Ready, "count", 3, 4));
}

#[tokio::test]
async fn a_job_that_ends_itself_is_ready_with_its_last_change_and_stays_so() {
    let s = setup(Box::new(|c| {
        Box::pin(async {
            c.progress("all", 2, 2).await?;
            c.commit_ready(c.write().await?).await?;
            Err(Error::new(code::INTERNAL, "too late to matter"))
        })
    }))
    .await;
    let id = s.enqueue().await;
    assert!(s.runner.run_one().await.unwrap());
    let job = s.job(id).await;
    assert_eq!((job.state, job.done, job.error.is_none()), (JobState::Ready, 2, true));
    assert_eq!(s.handler.ended.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_job_enqueued_in_a_transaction_that_is_dropped_does_not_exist() {
    let s = setup(Box::new(|_| Box::pin(async { Ok(()) }))).await;
    let kernel = &s.test.kernel;
    let mut tx = kernel.db.write(default_tenant()).await.unwrap();
    let job = NewJob::new(kernel.id(), default_tenant(), "tested", "s", json!({}));
    tx.enqueue(job, kernel.now()).await.unwrap();
    drop(tx);
    assert!(!s.runner.run_one().await.unwrap());
}

#[tokio::test]
async fn a_passing_fault_is_tried_again_later_and_given_up_after_three_attempts() {
    let s = setup(Box::new(|_| Box::pin(async { Err(Error::new(code::UPSTREAM_FAILED, "the other server is down")) }))).await;
    let id = s.enqueue().await;
    for attempt in 1..=3 {
        assert!(s.runner.run_one().await.unwrap());
        let job = s.job(id).await;
        assert_eq!(job.attempts, attempt);
        assert_eq!(job.error.unwrap().code, "upstream_failed");
        assert_eq!(job.state, if attempt < 3 { JobState::Queued } else { JobState::Failed });
        assert!(!s.runner.run_one().await.unwrap(), "the next attempt is due only later");
        s.test.kernel.clock.advance(Duration::from_secs(60));
    }
    assert_eq!(s.handler.ended.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_lasting_fault_fails_at_once_with_its_reason() {
    let s = setup(Box::new(|_| Box::pin(async { Err(Error::new(code::DOCUMENT_EMPTY, "the file has no text")) }))).await;
    let id = s.enqueue().await;
    s.runner.run_one().await.unwrap();
    let job = s.job(id).await;
    assert_eq!((job.state, job.attempts), (JobState::Failed, 1));
    assert_eq!(job.error.unwrap().message, "the file has no text");
}

#[tokio::test]
async fn a_panic_is_contained_counted_as_an_attempt_and_never_shown() {
    let s = setup(Box::new(|_| Box::pin(async { panic!("secret detail") }))).await;
    let id = s.enqueue().await;
    s.runner.run_one().await.unwrap();
    let job = s.job(id).await;
    assert_eq!((job.state, job.attempts), (JobState::Queued, 1));
    assert!(!job.error.unwrap().message.contains("secret"));
}

#[tokio::test]
async fn a_worker_that_lost_its_lease_cannot_write() {
    let s = setup(Box::new(|c| {
        Box::pin(async move {
            // Another worker claims the job meanwhile, as if this one had been asleep beyond its lease.
            c.kernel.clock.advance(Duration::from_secs(60));
            let mut tx = c.kernel.db.write(default_tenant()).await?;
            let again = claim(&mut tx, "other", c.kernel.now()).await.expect("the lease ran out");
            tx.commit().await?;
            assert!(again.fence > c.job.fence);
            c.progress("late", 1, 1).await
        })
    }))
    .await;
    let id = s.enqueue().await;
    s.runner.run_one().await.unwrap();
    let job = s.job(id).await;
    assert_eq!((job.state, job.attempts, job.deaths, job.stage.as_str()), (JobState::Running, 1, 1, ""), "the other worker still has it");
}

#[tokio::test]
async fn a_queued_job_is_canceled_at_once_and_a_running_one_within_a_second() {
    let s = setup(Box::new(|c| {
        Box::pin(async move {
            c.stopped().await;
            Ok(())
        })
    }))
    .await;
    let queued = s.enqueue().await;
    let kernel = s.test.kernel.clone();
    let mut tx = kernel.db.write(default_tenant()).await.unwrap();
    assert_eq!(tx.request_cancel(default_tenant(), queued, kernel.now()).await.unwrap().state, JobState::Canceled);
    tx.commit().await.unwrap();
    let running = s.enqueue().await;
    let cancel = async {
        loop {
            let mut tx = kernel.db.write(default_tenant()).await.unwrap();
            let job = tx.request_cancel(default_tenant(), running, kernel.now()).await.unwrap();
            if job.state == JobState::Running {
                return tx.commit().await.unwrap();
            }
            drop(tx);
            tokio::task::yield_now().await;
        }
    };
    // The request comes only once the job runs: a queued one would end without ever starting.
    let wait = async {
        while s.job(running).await.state != JobState::Running {
            tokio::task::yield_now().await;
        }
        cancel.await;
    };
    let started = std::time::Instant::now();
    let (ran, ()) = tokio::join!(s.runner.run_one(), wait);
    assert!(ran.unwrap());
    assert_eq!(s.job(running).await.state, JobState::Canceled);
    assert_eq!(s.handler.ended.load(Ordering::SeqCst), 1);
    assert!(started.elapsed() < Duration::from_secs(5), "a hang would have been seen as one");
}

#[tokio::test]
async fn a_failed_job_can_be_retried_and_a_ready_one_cannot() {
    let s =
        setup(Box::new(|c| Box::pin(async move { if c.job.fence == 1 { Err(Error::new(code::DOCUMENT_EMPTY, "no")) } else { Ok(()) } })))
            .await;
    let id = s.enqueue().await;
    s.runner.run_one().await.unwrap();
    let kernel = &s.test.kernel;
    let mut tx = kernel.db.write(default_tenant()).await.unwrap();
    tx.retry_job(default_tenant(), id, kernel.now()).await.unwrap();
    tx.commit().await.unwrap();
    assert!(s.runner.run_one().await.unwrap());
    assert_eq!(s.job(id).await.state, JobState::Ready);
    let mut tx = kernel.db.write(default_tenant()).await.unwrap();
    assert_eq!(tx.retry_job(default_tenant(), id, kernel.now()).await.unwrap_err().code().name, "invalid_state");
    assert_eq!(tx.retry_job(crate::Id::derived(b"other"), id, kernel.now()).await.unwrap_err().code().name, "not_found");
}

#[tokio::test]
async fn many_workers_run_each_job_once() {
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = runs.clone();
    let s = setup(Box::new(move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        Box::pin(async { Ok(()) })
    }))
    .await;
    for _ in 0..40 {
        s.enqueue().await;
    }
    let workers = (0..8).map(|_| async { while s.runner.run_one().await.unwrap() {} });
    futures_util::future::join_all(workers).await;
    // A worker that found the others' locked rows may have stopped early; what is left is done here.
    while s.runner.run_one().await.unwrap() {}
    assert_eq!(runs.load(Ordering::SeqCst), 40);
}

#[tokio::test]
async fn a_stopping_process_gives_its_job_back_without_spending_an_attempt() {
    let s = setup(Box::new(|_| Box::pin(std::future::pending()))).await;
    let id = s.enqueue().await;
    let life = s.test.kernel.lifecycle.clone();
    let stop = async {
        while s.job(id).await.state != JobState::Running {
            tokio::task::yield_now().await;
        }
        life.begin_stop();
    };
    let (ran, ()) = tokio::join!(s.runner.run_one(), stop);
    ran.unwrap();
    let job = s.job(id).await;
    assert_eq!((job.state, job.attempts), (JobState::Queued, 0));
}

#[tokio::test]
async fn a_part_that_stopped_alone_spends_attempts_instead_of_spinning() {
    let s = setup(Box::new(|_| Box::pin(async { Err(Error::new(code::SHUTTING_DOWN, "the embedder has stopped")) }))).await;
    let id = s.enqueue().await;
    s.runner.run_one().await.unwrap();
    let job = s.job(id).await;
    assert_eq!((job.state, job.attempts), (JobState::Queued, 1));
    assert!(!s.runner.run_one().await.unwrap(), "the next attempt is due only later");
}

#[tokio::test]
async fn a_job_survives_ten_dead_processes_with_its_attempts_unspent_and_is_given_up_after_the_eleventh() {
    let s = setup(Box::new(|_| Box::pin(async { Ok(()) }))).await;
    let survivor = s.enqueue().await;
    s.test.kernel.clock.advance(Duration::from_millis(1));
    let killer = s.enqueue().await;
    let die = async |id: Id<Job>| {
        // A process claims the job and is never heard of again.
        let mut tx = s.test.kernel.db.write(default_tenant()).await.unwrap();
        let claimed = claim(&mut tx, "dead", s.test.kernel.now()).await.unwrap();
        assert_eq!(claimed.id, id);
        tx.commit().await.unwrap();
        s.test.kernel.clock.advance(Duration::from_secs(11));
    };
    for _ in 0..10 {
        die(survivor).await;
    }
    assert!(s.runner.run_one().await.unwrap());
    let job = s.job(survivor).await;
    assert_eq!((job.state, job.attempts, job.deaths), (JobState::Ready, 1, 10));
    for _ in 0..11 {
        die(killer).await;
    }
    assert!(s.runner.run_one().await.unwrap());
    let job = s.job(killer).await;
    assert_eq!(job.state, JobState::Failed);
    assert!(job.error.unwrap().message.contains("died 11 times"));
    assert_eq!(s.handler.ended.load(Ordering::SeqCst), 1, "its subject is brought to the same end");
}

/// Enqueues a job and claims nothing.
async fn waiting(kernel: &Kernel, tenant: TenantId, kind: &'static str, how: impl FnOnce(&mut NewJob<'_>)) -> Id<Job> {
    let mut job = NewJob::new(kernel.id(), tenant, kind, "s", json!({}));
    how(&mut job);
    let mut tx = kernel.db.write(tenant).await.unwrap();
    let id = tx.enqueue(job, kernel.now()).await.unwrap();
    tx.commit().await.unwrap();
    kernel.clock.advance(Duration::from_millis(2));
    id
}

async fn claimed(kernel: &Kernel, terms: &Terms<'_>) -> Option<Job> {
    let mut tx = kernel.db.write_all().await.unwrap();
    let job = tx.claim(terms, kernel.now()).await.unwrap();
    tx.commit().await.unwrap();
    job
}

#[tokio::test]
async fn a_tenant_with_many_jobs_does_not_hold_up_the_single_job_of_another() {
    let test = TestKernel::new(&[]).await;
    let (kernel, big, small) = (&test.kernel, default_tenant(), crate::Id::derived(b"small"));
    for _ in 0..50 {
        waiting(kernel, big, "tested", |job| job.priority = 9).await;
    }
    let (kinds, turns) = (BTreeMap::new(), Turns::default());
    let terms = Terms { owner: "w", lease: Duration::from_secs(60), per_tenant: 0, kinds: &kinds, turns: &turns };
    for _ in 0..3 {
        assert_eq!(claimed(kernel, &terms).await.unwrap().tenant, big);
    }
    let only = waiting(kernel, small, "tested", |_| {}).await;
    assert_eq!(claimed(kernel, &terms).await.unwrap().id, only);
    // With one worker nothing runs when the next job is chosen, and the tenants take turns.
    let mut tx = kernel.db.write_all().await.unwrap();
    tx.execute("DELETE FROM jobs WHERE state = 'running'", &[]).await.unwrap();
    tx.commit().await.unwrap();
    for _ in 0..4 {
        waiting(kernel, small, "tested", |_| {}).await;
    }
    let mut served = Vec::new();
    for _ in 0..6 {
        let job = claimed(kernel, &terms).await.unwrap();
        served.push(job.tenant == small);
        let mut tx = kernel.db.write(job.tenant).await.unwrap();
        tx.end(&job, JobState::Ready, None, kernel.now()).await.unwrap();
        tx.commit().await.unwrap();
    }
    assert_eq!(served.iter().filter(|small| **small).count(), 3, "{served:?}");
}

#[tokio::test]
async fn no_more_jobs_of_a_kind_or_of_a_tenant_run_than_their_limits_allow() {
    let test = TestKernel::new(&[]).await;
    let (kernel, one, other) = (&test.kernel, default_tenant(), crate::Id::derived(b"other"));
    for tenant in [one, one, one, other] {
        waiting(kernel, tenant, "heavy", |job| job.priority = 1).await;
        waiting(kernel, tenant, "light", |_| {}).await;
    }
    let (kinds, turns) = (BTreeMap::from([("heavy", 2)]), Turns::default());
    let terms = Terms { owner: "w", lease: Duration::from_secs(60), per_tenant: 3, kinds: &kinds, turns: &turns };
    let mut running = Vec::new();
    while let Some(job) = claimed(kernel, &terms).await {
        running.push(job);
    }
    let of = |tenant| running.iter().filter(|j| j.tenant == tenant).count();
    assert_eq!(running.iter().filter(|j| j.kind == "heavy").count(), 2);
    assert_eq!((of(one), of(other)), (3, 2), "{running:?}");
    let heavy = running.iter().find(|j| j.kind == "heavy").unwrap();
    let mut tx = kernel.db.write(heavy.tenant).await.unwrap();
    tx.end(heavy, JobState::Ready, None, kernel.now()).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(claimed(kernel, &terms).await.unwrap().kind, "heavy", "its place is free again");
}

#[tokio::test]
async fn of_open_jobs_with_the_same_key_there_is_one_and_a_delayed_one_waits_for_its_time() {
    let test = TestKernel::new(&[]).await;
    let (kernel, tenant) = (&test.kernel, default_tenant());
    let first = waiting(kernel, tenant, "tested", |job| job.key = Some("nightly")).await;
    assert_eq!(waiting(kernel, tenant, "tested", |job| job.key = Some("nightly")).await, first);
    assert_ne!(waiting(kernel, crate::Id::derived(b"other"), "tested", |job| job.key = Some("nightly")).await, first);
    let job = claimed_here(kernel).await.unwrap();
    assert_eq!(waiting(kernel, tenant, "tested", |job| job.key = Some("nightly")).await, first, "it runs");
    let mut tx = kernel.db.write(job.tenant).await.unwrap();
    tx.end(&job, JobState::Failed, None, kernel.now()).await.unwrap();
    tx.commit().await.unwrap();
    let (key, other) = (job.tenant == tenant, claimed_here(kernel).await.unwrap());
    assert!(key && other.tenant != tenant);
    let second = waiting(kernel, tenant, "tested", |job| (job.key, job.delay) = (Some("nightly"), Duration::from_secs(30))).await;
    assert_ne!(second, first, "the first one is over");
    let mut tx = kernel.db.write(tenant).await.unwrap();
    assert_eq!(tx.retry_job(tenant, first, kernel.now()).await.unwrap_err().code(), code::INVALID_STATE);
    drop(tx);
    assert!(claimed_here(kernel).await.is_none(), "it is not due yet");
    kernel.clock.advance(Duration::from_secs(30));
    assert!(kernel.db.read(tenant).await.unwrap().job(tenant, second).await.unwrap().is_some());
}

async fn claimed_here(kernel: &Kernel) -> Option<Job> {
    let (kinds, turns) = (BTreeMap::new(), Turns::default());
    claimed(kernel, &Terms { owner: "w", lease: Duration::from_secs(600), per_tenant: 0, kinds: &kinds, turns: &turns }).await
}

#[tokio::test]
async fn what_went_wrong_with_each_attempt_is_kept_and_an_attempt_that_went_well_leaves_nothing() {
    let s = setup(Box::new(|_| Box::pin(async { Err(Error::new(code::UPSTREAM_FAILED, "the other server is down")) }))).await;
    let id = s.enqueue().await;
    let kernel = &s.test.kernel;
    let mut tx = kernel.db.write(default_tenant()).await.unwrap();
    claim(&mut tx, "the one that dies", kernel.now()).await.unwrap();
    tx.commit().await.unwrap();
    for _ in 0..3 {
        kernel.clock.advance(Duration::from_secs(60));
        s.runner.run_one().await.unwrap();
    }
    let attempts = async || kernel.db.read(default_tenant()).await.unwrap().job_attempts(default_tenant(), id).await.unwrap();
    let told: Vec<_> = attempts().await.iter().map(|a| (a.outcome.clone(), a.error.as_ref().map(|e| e.code.clone()))).collect();
    let failed = Some("upstream_failed".to_owned());
    let expected = [("died", None), ("tried_again", failed.clone()), ("tried_again", failed.clone()), ("failed", failed)];
    assert_eq!(told, expected.map(|(outcome, error)| (outcome.to_owned(), error)));
    let well = setup(Box::new(|_| Box::pin(async { Ok(()) }))).await;
    let id = well.enqueue().await;
    well.runner.run_one().await.unwrap();
    assert!(well.test.kernel.db.read(default_tenant()).await.unwrap().job_attempts(default_tenant(), id).await.unwrap().is_empty());
}

#[tokio::test]
async fn tenants_that_can_run_nothing_now_do_not_hide_one_that_can() {
    let test = TestKernel::new(&[]).await;
    let kernel = &test.kernel;
    let mut tenants: Vec<TenantId> = (0..200_u32).map(|i| crate::Id::derived(&i.to_be_bytes())).collect();
    tenants.sort();
    let last = tenants.pop().unwrap();
    let (kinds, turns) = (BTreeMap::from([("heavy", 1)]), Turns::default());
    let terms = Terms { owner: "w", lease: Duration::from_secs(600), per_tenant: 0, kinds: &kinds, turns: &turns };
    waiting(kernel, last, "heavy", |_| {}).await;
    assert_eq!(claimed(kernel, &terms).await.unwrap().kind, "heavy");
    for (i, tenant) in tenants.iter().enumerate() {
        match i % 2 {
            0 => waiting(kernel, *tenant, "tested", |job| job.delay = Duration::from_secs(3600)).await,
            _ => waiting(kernel, *tenant, "heavy", |job| job.priority = 9).await,
        };
    }
    assert!(claimed(kernel, &terms).await.is_none());
    let due = waiting(kernel, last, "tested", |_| {}).await;
    assert_eq!(claimed(kernel, &terms).await.map(|job| job.id), Some(due));
}

#[tokio::test]
async fn a_job_whose_end_was_asked_for_never_goes_back_to_wait() {
    let test = TestKernel::new(&[]).await;
    let kernel = &test.kernel;
    let id = waiting(kernel, default_tenant(), "tested", |_| {}).await;
    let job = claimed_here(kernel).await.unwrap();
    let mut tx = kernel.db.write(job.tenant).await.unwrap();
    tx.request_cancel(job.tenant, id, kernel.now()).await.unwrap();
    assert!(!tx.requeue(&job, kernel.now(), None, false, kernel.now()).await.unwrap());
    assert!(tx.end(&job, JobState::Canceled, None, kernel.now()).await.unwrap());
}

#[tokio::test]
async fn a_running_job_is_as_old_as_its_attempt_and_a_queued_one_as_its_wait() {
    let test = TestKernel::new(&[]).await;
    let kernel = &test.kernel;
    let start = kernel.now();
    waiting(kernel, default_tenant(), "tested", |_| {}).await;
    let job = claimed_here(kernel).await.unwrap();
    let began = kernel.now();
    kernel.clock.advance(Duration::from_secs(100));
    let mut tx = kernel.db.write(job.tenant).await.unwrap();
    assert!(tx.renew(job.id, job.fence, kernel.now(), Duration::from_secs(10)).await.unwrap());
    tx.commit().await.unwrap();
    waiting(kernel, default_tenant(), "tested", |job| job.delay = Duration::from_secs(5)).await;
    let counts = kernel.db.read_all().await.unwrap().job_counts().await.unwrap();
    let oldest = |state: &str| counts.iter().find(|c| c.state == state).unwrap().oldest.since(start);
    assert_eq!((oldest("running"), oldest("queued")), (began.since(start), began.since(start) + Duration::from_secs(105)));
}

#[tokio::test]
async fn pruning_takes_a_job_with_its_attempts_and_leaves_those_of_others() {
    let s = setup(Box::new(|_| Box::pin(async { Err(Error::new(code::UPSTREAM_FAILED, "down")) }))).await;
    let kernel = &s.test.kernel;
    let (mut gone, mut stays) = (s.enqueue().await, s.enqueue().await);
    for _ in 0..2 {
        s.runner.run_one().await.unwrap();
    }
    (gone, stays) = (gone.min(stays), gone.max(stays));
    let mut tx = kernel.db.write(default_tenant()).await.unwrap();
    for id in [gone, stays] {
        tx.request_cancel(default_tenant(), id, kernel.now()).await.unwrap();
    }
    assert_eq!(tx.prune_jobs(kernel.now().plus(Duration::from_secs(1)), 1).await.unwrap(), 1);
    assert!(tx.job(default_tenant(), gone).await.unwrap().is_none());
    assert!(tx.job_attempts(default_tenant(), gone).await.unwrap().is_empty());
    assert_eq!(tx.job_attempts(default_tenant(), stays).await.unwrap().len(), 1);
}
