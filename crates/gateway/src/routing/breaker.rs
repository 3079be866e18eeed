//! A breaker: a model that fails again and again is left alone for a moment, and then tried by one call.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use astrolabe_kernel::{Clock, Timestamp};

/// Failures in a row that open it.
const IN_A_ROW: u32 = 8;

/// Failures that open it among the last [`WINDOW`] calls.
const OF_WINDOW: u32 = 12;

/// Calls that are remembered.
const WINDOW: u32 = 20;

/// How long it stays open at first; it doubles with every probe that fails.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// How long it stays open at most, unless the provider asked for more: a model that works again is found within five seconds.
const LONGEST_PAUSE: Duration = Duration::from_secs(4);

/// The breaker of one model of one provider.
pub(crate) struct Breaker {
    state: Mutex<State>,
    clock: Clock,
    provider: String,
    model: String,
}

impl std::fmt::Debug for Breaker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Breaker({:?})", self.lock())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Calls go through. The last calls as bits, the newest lowest; 1 is a failure.
    Closed { last: u32 },
    /// No call goes through until then.
    Open { until: Timestamp, pause: Duration },
    /// One call is on its way to find out.
    Probing { pause: Duration },
}

impl Breaker {
    pub(crate) fn new(clock: Clock, provider: &str, model: &str) -> Self {
        Self { state: Mutex::new(State::Closed { last: 0 }), clock, provider: provider.to_owned(), model: model.to_owned() }
    }

    /// Lets a call through, or says for how long there is no point in asking.
    pub(crate) fn admit(self: &Arc<Self>) -> Result<Pass, Duration> {
        let mut state = self.lock();
        let probe = match *state {
            State::Closed { .. } => false,
            State::Open { until, pause } => {
                let left = until.since(self.clock.now());
                if left > Duration::ZERO {
                    return Err(left);
                }
                *state = State::Probing { pause };
                true
            }
            State::Probing { pause } => return Err(pause),
        };
        Ok(Pass { breaker: Arc::clone(self), probe, told: false })
    }

    /// For how long there is no point in asking; nothing when a call may go through.
    pub(crate) fn closed_for(&self) -> Option<Duration> {
        match *self.lock() {
            State::Closed { .. } => None,
            State::Open { until, .. } => Some(until.since(self.clock.now())).filter(|left| *left > Duration::ZERO),
            State::Probing { pause } => Some(pause),
        }
    }

    /// A reply that had begun broke off.
    pub(crate) fn broke(&self) {
        self.failed(false, None);
    }

    fn succeeded(&self, probe: bool) {
        let mut state = self.lock();
        match &mut *state {
            State::Closed { last } => *last <<= 1,
            _ if probe => {
                *state = State::Closed { last: 0 };
                self.tell(false);
            }
            // A straggler from before; the probe decides.
            _ => {}
        }
    }

    fn failed(&self, probe: bool, asked: Option<Duration>) {
        let mut state = self.lock();
        let pause = match &mut *state {
            State::Closed { last } => {
                *last = *last << 1 | 1;
                let (in_a_row, of_window) = (last.trailing_ones(), (*last & ((1 << WINDOW) - 1)).count_ones());
                if in_a_row < IN_A_ROW && of_window < OF_WINDOW {
                    return;
                }
                self.tell(true);
                FIRST_PAUSE
            }
            State::Probing { pause } if probe => (*pause * 2).min(LONGEST_PAUSE),
            _ => return,
        };
        let wait = asked.unwrap_or_default().max(pause);
        *state = State::Open { until: self.clock.now().plus(wait), pause };
    }

    fn tell(&self, open: bool) {
        metrics::gauge!("model_breaker_open", "provider" => self.provider.clone(), "model" => self.model.clone()).set(f64::from(open));
        match open {
            true => tracing::warn!(provider = self.provider, model = self.model, "the model fails; it is left alone for a moment"),
            false => tracing::info!(provider = self.provider, model = self.model, "the model works again"),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call that was let through. It says how the call went; dropped without a word, it says nothing about the model.
#[derive(Debug)]
pub(crate) struct Pass {
    breaker: Arc<Breaker>,
    probe: bool,
    told: bool,
}

impl Pass {
    /// The model answered.
    pub(crate) fn succeeded(mut self) {
        self.told = true;
        self.breaker.succeeded(self.probe);
    }

    /// The model failed; `asked` is the wait that it asked for.
    pub(crate) fn failed(mut self, asked: Option<Duration>) {
        self.told = true;
        self.breaker.failed(self.probe, asked);
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if self.probe && !self.told {
            // Nothing was found out, so the next call is the probe.
            let mut state = self.breaker.lock();
            if let State::Probing { pause } = *state {
                *state = State::Open { until: self.breaker.clock.now(), pause };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaker() -> (Arc<Breaker>, Clock) {
        let clock = Clock::manual(Timestamp::from_micros(1_000_000));
        (Arc::new(Breaker::new(clock.clone(), "p", "m")), clock)
    }

    /// Fails until it opens; how many failures that took.
    fn fail(breaker: &Arc<Breaker>) -> usize {
        let mut failures = 0;
        while let Ok(pass) = breaker.admit() {
            pass.failed(None);
            failures += 1;
        }
        failures
    }

    #[test]
    fn it_opens_within_ten_failures_and_closes_within_five_seconds_of_the_recovery() {
        let (breaker, clock) = breaker();
        assert!(fail(&breaker) <= 10);
        // However long the model was away, and in whichever moment of the pause it comes back.
        for _ in 0..20 {
            clock.advance(LONGEST_PAUSE);
            breaker.admit().unwrap().failed(None);
        }
        clock.advance(Duration::from_millis(4_900));
        breaker.admit().unwrap().succeeded();
        assert!(breaker.closed_for().is_none() && breaker.admit().is_ok() && breaker.admit().is_ok());
    }

    #[test]
    fn one_call_probes_and_the_others_wait_for_what_it_finds() {
        let (breaker, clock) = breaker();
        fail(&breaker);
        clock.advance(FIRST_PAUSE);
        let probe = breaker.admit().unwrap();
        assert!(breaker.admit().is_err());
        drop(probe);
        let probe = breaker.admit().expect("a probe that was given up leaves its place to the next");
        probe.failed(None);
        assert_eq!(breaker.admit().unwrap_err(), FIRST_PAUSE * 2, "the pause doubles");
    }

    #[test]
    fn a_model_that_fails_more_often_than_not_is_left_alone_and_one_that_fails_now_and_then_is_not() {
        let (now_and_then, _) = breaker();
        for i in 0..200 {
            let pass = now_and_then.admit().unwrap();
            if i % 3 == 0 { pass.failed(None) } else { pass.succeeded() }
        }
        let (often, _) = breaker();
        let opened = (0..200).any(|i| match often.admit() {
            Err(_) => true,
            Ok(pass) => {
                if i % 4 == 0 {
                    pass.succeeded()
                } else {
                    pass.failed(None)
                }
                false
            }
        });
        assert!(opened);
    }

    #[test]
    fn what_the_provider_asked_for_is_waited_for() {
        let (breaker, clock) = breaker();
        for _ in 0..IN_A_ROW {
            breaker.admit().unwrap().failed(Some(Duration::from_secs(17)));
        }
        clock.advance(Duration::from_secs(16));
        assert_eq!(breaker.admit().unwrap_err(), Duration::from_secs(1));
    }
}
