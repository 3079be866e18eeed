//! The budget of retries that all calls of a provider share, so that a provider that fails is not asked much more often than one that works.

use std::sync::atomic::{AtomicI64, Ordering};

/// What a call pays in, in thousandths of a retry: ten calls pay for one.
const PAID_IN: i64 = 100;

/// What a retry costs.
const RETRY: i64 = 1_000;

/// What the budget holds at most, and at first: a provider that nobody used for a while may be asked again all the same.
const HELD: i64 = 10 * RETRY;

/// A bucket of retries.
#[derive(Debug)]
pub(crate) struct RetryBudget(AtomicI64);

impl Default for RetryBudget {
    fn default() -> Self {
        Self(AtomicI64::new(HELD))
    }
}

impl RetryBudget {
    /// A call is made.
    pub(crate) fn pay_in(&self) {
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |held| Some((held + PAID_IN).min(HELD)));
    }

    /// Takes a retry out; whether there was one.
    pub(crate) fn take(&self) -> bool {
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |held| (held >= RETRY).then_some(held - RETRY)).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_are_a_tenth_of_the_calls_once_the_reserve_is_spent() {
        let budget = RetryBudget::default();
        assert_eq!((0..100).filter(|_| budget.take()).count(), 10);
        let mut retries = 0;
        for _ in 0..1_000 {
            budget.pay_in();
            retries += usize::from(budget.take());
        }
        assert_eq!(retries, 100);
        (0..10_000).for_each(|_| budget.pay_in());
        assert_eq!((0..100).filter(|_| budget.take()).count(), 10, "what is held has a limit");
    }
}
