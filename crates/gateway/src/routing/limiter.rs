//! How many calls a provider gets at a time: as many as it takes without complaint, and a short queue in front of it.
//!
//! Additive increase, multiplicative decrease, as TCP does it (RFC 5681, section 3.1): each answer while the places are in use adds a
//! fraction of a place, each complaint takes three tenths of them away, at most once a second.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use astrolabe_kernel::{Clock, Timestamp};
use tokio::{
    sync::oneshot,
    time::{Instant, timeout_at},
};

/// What is left of the places after a complaint.
const DECREASE: f64 = 0.7;

/// Complaints about the same rush count once.
const BETWEEN_DECREASES: Duration = Duration::from_secs(1);

/// How long a call waits for its place.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// The places of one provider. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Limiter(Arc<Inner>);

struct Inner {
    state: Mutex<State>,
    most: usize,
    queue: usize,
    clock: Clock,
    provider: String,
}

#[derive(Debug)]
struct State {
    limit: f64,
    taken: usize,
    waiting: VecDeque<oneshot::Sender<Place>>,
    decreased: Timestamp,
}

impl State {
    fn has_room(&self) -> bool {
        // The limit is at least one.
        (self.taken as f64) < self.limit.floor()
    }
}

impl Limiter {
    /// `most` places, and as many callers in the queue as `queue` says.
    pub(crate) fn new(clock: Clock, provider: &str, most: usize, queue: usize) -> Self {
        let state =
            State { limit: most.max(1) as f64, taken: 0, waiting: VecDeque::new(), decreased: Timestamp::from_micros(i64::MIN / 2) };
        Self(Arc::new(Inner { state: Mutex::new(state), most: most.max(1), queue, clock, provider: provider.to_owned() }))
    }

    /// A place, at once or after a wait that ends by `until`. Nothing when the queue is full or the wait was in vain.
    pub(crate) async fn enter(&self, until: Instant) -> Option<Place> {
        let receiver = {
            let mut state = self.0.lock();
            if state.has_room() {
                state.taken += 1;
                return Some(Place(Some(Arc::clone(&self.0))));
            }
            state.waiting.retain(|waiting| !waiting.is_closed());
            if state.waiting.len() >= self.0.queue {
                return None;
            }
            let (sender, receiver) = oneshot::channel();
            state.waiting.push_back(sender);
            self.0.tell_queue(&state);
            receiver
        };
        timeout_at(until.min(Instant::now() + LONGEST_WAIT), receiver).await.ok()?.ok()
    }

    /// The provider answered.
    pub(crate) fn succeeded(&self) {
        let mut state = self.0.lock();
        let most = self.0.most as f64;
        // A limit that nobody came near has not been tried.
        if state.limit < most && state.taken as f64 * 2.0 >= state.limit {
            state.limit = (state.limit + 1.0 / state.limit).min(most);
            self.0.tell_limit(&state);
            self.0.hand_over(&mut state);
        }
    }

    /// The provider has too much to do.
    pub(crate) fn overloaded(&self) {
        let mut state = self.0.lock();
        let now = self.0.clock.now();
        if now.since(state.decreased) >= BETWEEN_DECREASES {
            state.decreased = now;
            state.limit = (state.limit * DECREASE).max(1.0);
            self.0.tell_limit(&state);
        }
    }
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Limiter({})", self.provider)
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives free places to those who wait.
    fn hand_over(self: &Arc<Self>, state: &mut State) {
        let before = state.waiting.len();
        while state.has_room()
            && let Some(next) = state.waiting.pop_front()
        {
            match next.send(Place(Some(Arc::clone(self)))) {
                Ok(()) => state.taken += 1,
                // Nobody waits there any more. The place was never counted, so it must not be given back.
                Err(mut place) => place.0 = None,
            }
        }
        if before > 0 {
            self.tell_queue(state);
        }
    }

    fn tell_queue(&self, state: &State) {
        metrics::gauge!("model_queue_length", "provider" => self.provider.clone()).set(state.waiting.len() as f64);
    }

    fn tell_limit(&self, state: &State) {
        metrics::gauge!("model_concurrency_limit", "provider" => self.provider.clone()).set(state.limit.floor());
    }
}

/// A place at a provider; dropping it gives it to the next.
#[derive(Debug)]
pub(crate) struct Place(Option<Arc<Inner>>);

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(inner) = self.0.take() {
            let mut state = inner.lock();
            state.taken -= 1;
            inner.hand_over(&mut state);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn limiter(most: usize, queue: usize) -> (Limiter, Clock) {
        let clock = Clock::manual(Timestamp::from_micros(1_000_000));
        (Limiter::new(clock.clone(), "p", most, queue), clock)
    }

    fn later() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    #[tokio::test]
    async fn places_are_handed_on_in_order_and_a_full_queue_refuses_at_once() {
        let (limiter, _) = limiter(1, 2);
        let first = limiter.enter(later()).await.unwrap();
        let (mut second, mut third) = (Box::pin(limiter.enter(later())), Box::pin(limiter.enter(later())));
        assert!((&mut second).now_or_never().is_none() && (&mut third).now_or_never().is_none());
        assert!(limiter.enter(later()).now_or_never().unwrap().is_none(), "the queue is full");
        drop(first);
        let place = (&mut second).now_or_never().unwrap().unwrap();
        assert!((&mut third).now_or_never().is_none());
        drop(place);
        assert!((&mut third).now_or_never().unwrap().is_some());
    }

    #[tokio::test]
    async fn who_stops_waiting_loses_no_place_for_the_others() {
        let (limiter, _) = limiter(1, 8);
        let first = limiter.enter(later()).await.unwrap();
        let mut gone = Box::pin(limiter.enter(later()));
        assert!((&mut gone).now_or_never().is_none());
        // Dropped before its place comes, and after.
        drop(gone);
        let mut handed = Box::pin(limiter.enter(later()));
        assert!((&mut handed).now_or_never().is_none());
        drop(first);
        drop(handed);
        let place = limiter.enter(later()).now_or_never().unwrap();
        assert!(place.is_some());
        assert!(limiter.enter(Instant::now()).await.is_none(), "a wait that is over is in vain");
    }

    #[tokio::test]
    async fn complaints_take_places_away_and_answers_bring_them_back() {
        let (limiter, clock) = limiter(10, 0);
        limiter.overloaded();
        limiter.overloaded();
        let taken = |limiter: &Limiter| {
            let mut places = Vec::new();
            while let Some(place) = limiter.enter(Instant::now()).now_or_never().unwrap() {
                places.push(place);
            }
            places
        };
        assert_eq!(taken(&limiter).len(), 7, "one rush counts once");
        for _ in 0..100 {
            clock.advance(BETWEEN_DECREASES);
            limiter.overloaded();
        }
        assert_eq!(taken(&limiter).len(), 1, "there is always one");
        for _ in 0..200 {
            let places = taken(&limiter);
            limiter.succeeded();
            drop(places);
        }
        assert_eq!(taken(&limiter).len(), 10);
        clock.advance(BETWEEN_DECREASES);
        limiter.overloaded();
        (0..1000).for_each(|_| limiter.succeeded());
        assert!(taken(&limiter).len() < 10, "answers of an idle provider say nothing about its limit");
    }
}
