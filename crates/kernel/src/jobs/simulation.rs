//! Workers that stall, die and come back late, in random order, on the real queue with a clock that the simulation moves. A seed gives the same
//! run again: `ASTROLABE_SIMULATION_SEED=7 cargo nextest run -p astrolabe-kernel -E 'test(simulation)'`.
//!
//! Each job has one effect, an event in the log, which is the outbox of its work: it must be there exactly once when the job is ready and not at all
//! when it is not, whatever happened to whom.

use std::collections::BTreeMap;

use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{
    claim::{Terms, Turns},
    *,
};
use crate::{Random, principal::default_tenant, testing::TestKernel};

/// Seeds of one test; there are eight of them, so that they run side by side.
const SEEDS: u64 = 250;
const STEPS: usize = 40;
const WORKERS: usize = 3;
const LEASE: Duration = Duration::from_secs(10);

/// How a worker ends its job.
#[derive(Clone, Copy, PartialEq)]
enum Guard {
    /// As the product does: under the fence.
    Fence,
    /// As if nobody had thought of leases.
    None,
}

struct World<'a> {
    kernel: &'a Kernel,
    random: Random,
    guard: Guard,
    turns: Turns,
    tenants: [TenantId; 2],
    jobs: Vec<(TenantId, Id<Job>)>,
    holding: Vec<Option<Job>>,
}

impl<'a> World<'a> {
    fn new(kernel: &'a Kernel, seed: u64, guard: Guard) -> Self {
        let holding = (0..WORKERS).map(|_| None).collect();
        let tenants = [default_tenant(), Id::derived(b"the other tenant")];
        Self { kernel, random: Random::seeded(seed), guard, turns: Turns::default(), tenants, jobs: Vec::new(), holding }
    }

    fn any<T: Copy>(&self, of: &[T]) -> Option<T> {
        (!of.is_empty()).then(|| of[usize::try_from(self.random.below(of.len() as u64)).unwrap()])
    }

    async fn step(&mut self) {
        let worker = usize::try_from(self.random.below(WORKERS as u64)).unwrap();
        match self.random.below(12) {
            0 | 1 if self.jobs.len() < 5 => self.enqueue().await,
            0..=3 => self.claim(worker).await,
            4 => self.renew(worker).await,
            5 | 6 => self.complete(worker).await,
            7 => self.fail(worker).await,
            // It dies, and whoever comes in its place knows nothing.
            8 => self.holding[worker] = None,
            9 => self.cancel().await,
            10 => self.retry().await,
            _ => self.kernel.clock.advance(Duration::from_millis(self.random.below(15_000))),
        }
    }

    async fn enqueue(&mut self) {
        let tenant = self.any(&self.tenants).unwrap();
        let id = self.kernel.id();
        let mut job = NewJob::new(id, tenant, "simulated", "s", json!({}));
        let key = format!("key-{}", self.random.below(2));
        job.key = (self.random.below(3) == 0).then_some(key.as_str());
        job.delay = Duration::from_millis(self.random.below(3) * 4_000);
        let mut tx = self.kernel.db.write(tenant).await.unwrap();
        let stands = tx.enqueue(job, self.kernel.now()).await.unwrap();
        tx.commit().await.unwrap();
        if stands == id {
            self.jobs.push((tenant, id));
        } else {
            assert!(self.jobs.contains(&(tenant, stands)), "the key stands for a job of the same tenant");
        }
    }

    async fn claim(&mut self, worker: usize) {
        if self.holding[worker].is_some() {
            return;
        }
        let owner = format!("worker-{worker}");
        let kinds = BTreeMap::new();
        let terms = Terms { owner: &owner, lease: LEASE, per_tenant: 0, kinds: &kinds, turns: &self.turns };
        let mut tx = self.kernel.db.write_all().await.unwrap();
        self.holding[worker] = tx.claim(&terms, self.kernel.now()).await.unwrap();
        tx.commit().await.unwrap();
    }

    async fn renew(&mut self, worker: usize) {
        let Some(job) = &self.holding[worker] else { return };
        let mut tx = self.kernel.db.write(job.tenant).await.unwrap();
        let ours = tx.renew(job.id, job.fence, self.kernel.now(), LEASE).await.unwrap();
        tx.commit().await.unwrap();
        if !ours {
            self.holding[worker] = None;
        }
    }

    /// Brings the effect about and ends the job, in one transaction.
    async fn complete(&mut self, worker: usize) {
        let Some(job) = self.holding[worker].take() else { return };
        let (tenant, id) = (job.tenant, job.id);
        let effect = async |tx: &mut Tx| tx.append_event(tenant, &format!("sim:{id}"), "done", &json!({}), self.kernel.now()).await;
        if self.guard == Guard::None {
            let mut tx = self.kernel.db.write(tenant).await.unwrap();
            effect(&mut tx).await.unwrap();
            let now = self.kernel.now();
            tx.execute("UPDATE jobs SET state = 'ready', finished_at = $1 WHERE id = $2", args![now, id]).await.unwrap();
            return tx.commit().await.unwrap();
        }
        let context = Context::new(self.kernel.clone(), job, CancellationToken::new());
        // Refused when the lease was lost or somebody canceled the job.
        let Ok(mut tx) = context.write().await else { return };
        effect(&mut tx).await.unwrap();
        context.commit_ready(tx).await.unwrap();
    }

    async fn fail(&mut self, worker: usize) {
        let Some(job) = self.holding[worker].take() else { return };
        let now = self.kernel.now();
        let mut tx = self.kernel.db.write(job.tenant).await.unwrap();
        let error = JobError { code: "upstream_failed".to_owned(), message: "simulated".to_owned() };
        match tx.cancel_requested(job.id, job.fence).await.unwrap() {
            Some(true) => tx.end(&job, JobState::Canceled, None, now).await.unwrap(),
            _ if self.random.below(2) == 0 => tx.requeue(&job, now.plus(Duration::from_secs(1)), Some(&error), false, now).await.unwrap(),
            _ => tx.end(&job, JobState::Failed, Some(&error), now).await.unwrap(),
        };
        tx.commit().await.unwrap();
    }

    async fn cancel(&mut self) {
        let Some((tenant, id)) = self.any(&self.jobs) else { return };
        let mut tx = self.kernel.db.write(tenant).await.unwrap();
        if tx.request_cancel(tenant, id, self.kernel.now()).await.is_ok() {
            tx.commit().await.unwrap();
        }
    }

    async fn retry(&mut self) {
        let Some((tenant, id)) = self.any(&self.jobs) else { return };
        let mut tx = self.kernel.db.write(tenant).await.unwrap();
        if tx.retry_job(tenant, id, self.kernel.now()).await.is_ok() {
            tx.commit().await.unwrap();
        }
    }

    /// One worker that never fails does what is left; then every job is over, and its effect is there as often as it should be.
    async fn settle(&mut self) -> std::result::Result<(), String> {
        self.holding.iter_mut().for_each(|held| *held = None);
        for _ in 0..200 {
            self.kernel.clock.advance(LEASE + Duration::from_secs(1));
            self.claim(0).await;
            let Some(job) = self.holding[0].clone() else { break };
            let mut tx = self.kernel.db.write(job.tenant).await.unwrap();
            let canceled = tx.cancel_requested(job.id, job.fence).await.unwrap() == Some(true);
            if canceled {
                tx.end(&job, JobState::Canceled, None, self.kernel.now()).await.unwrap();
                tx.commit().await.unwrap();
                self.holding[0] = None;
            } else {
                drop(tx);
                self.complete(0).await;
            }
        }
        for (tenant, id) in &self.jobs {
            let mut tx = self.kernel.db.read(*tenant).await.unwrap();
            let job = tx.job(*tenant, *id).await.unwrap().unwrap();
            let effects = tx.events_after(*tenant, &format!("sim:{id}"), 0, 10).await.unwrap().len();
            if !job.state.is_over() {
                return Err(format!("{id} is stuck as {}", job.state.as_str()));
            }
            let expected = usize::from(job.state == JobState::Ready);
            if effects != expected {
                return Err(format!("{id} is {} and its effect happened {effects} times", job.state.as_str()));
            }
        }
        Ok(())
    }
}

async fn run(kernel: &Kernel, seed: u64, guard: Guard) -> std::result::Result<(), String> {
    let mut world = World::new(kernel, seed, guard);
    for _ in 0..STEPS {
        world.step().await;
    }
    let outcome = world.settle().await;
    // The next seed begins with an empty queue.
    let mut tx = kernel.db.write_all().await.unwrap();
    tx.execute("DELETE FROM jobs", &[]).await.unwrap();
    tx.commit().await.unwrap();
    outcome.map_err(|what| format!("seed {seed}: {what}"))
}

async fn simulate(part: u64) {
    let test = TestKernel::new(&[]).await;
    let one = std::env::vars().find(|(name, _)| name == "ASTROLABE_SIMULATION_SEED").and_then(|(_, seed)| seed.parse().ok());
    let seeds = one.map_or(part * SEEDS..(part + 1) * SEEDS, |seed: u64| seed..seed + 1);
    for seed in seeds {
        if let Err(what) = run(&test.kernel, seed, Guard::Fence).await {
            panic!("{what}");
        }
    }
}

macro_rules! parts {
    ($($name:ident = $part:literal),+ $(,)?) => {
        $(#[tokio::test]
        async fn $name() {
            simulate($part).await;
        })+
    };
}

parts! {
    whatever_dies_stalls_or_comes_late_an_effect_happens_once_in_the_first_seeds = 0,
    whatever_dies_stalls_or_comes_late_an_effect_happens_once_in_the_second_seeds = 1,
    whatever_dies_stalls_or_comes_late_an_effect_happens_once_in_the_third_seeds = 2,
    whatever_dies_stalls_or_comes_late_an_effect_happens_once_in_the_fourth_seeds = 3,
    whatever_dies_stalls_or_comes_late_an_effect_happens_once_in_the_fifth_seeds = 4,
    whatever_dies_stalls_or_comes_late_an_effect_happens_once_in_the_sixth_seeds = 5,
    whatever_dies_stalls_or_comes_late_an_effect_happens_once_in_the_seventh_seeds = 6,
    whatever_dies_stalls_or_comes_late_an_effect_happens_once_in_the_eighth_seeds = 7,
}

#[tokio::test]
async fn without_the_check_of_the_lease_the_simulation_finds_an_effect_that_happened_twice() {
    let test = TestKernel::new(&[]).await;
    for seed in 0..SEEDS {
        if run(&test.kernel, seed, Guard::None).await.is_err_and(|what| what.contains("happened 2 times")) {
            return;
        }
    }
    panic!("{SEEDS} seeds found nothing: the simulation is blind");
}
