//! Verdicts on credentials that were reached a moment ago.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use astrolabe_kernel::Timestamp;

use super::{Proof, Standing};
use crate::sessions::Digest;

/// How long a verdict is believed without asking the database. Together with [`super::streams::EVERY`] it stays below the five seconds within which a
/// change has to reach everybody.
pub(crate) const AGE: Duration = Duration::from_secs(2);
/// Verdicts that are remembered.
const MOST: usize = 20_000;

/// Whom a credential stands for.
pub(crate) struct Verdict {
    pub proof: Proof,
    pub standing: Standing,
    /// When the database was asked.
    pub asked_at: Timestamp,
}

/// Verdicts by the digest of the whole credential.
#[derive(Default)]
pub(crate) struct Verdicts(Mutex<State>);

#[derive(Default)]
struct State {
    by_credential: HashMap<Digest, Arc<Verdict>>,
    /// Counts what was forgotten, so that what was read before a change is not remembered after it.
    changes: u64,
}

impl Verdicts {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A verdict that can still be believed.
    pub fn get(&self, key: &Digest, now: Timestamp) -> Option<Arc<Verdict>> {
        let state = self.state();
        let verdict = state.by_credential.get(key)?;
        // A clock that was set back makes a verdict old.
        let fresh = verdict.asked_at <= now && now.since(verdict.asked_at) < AGE && now < verdict.standing.until;
        fresh.then(|| verdict.clone())
    }

    /// How often something was forgotten; taken before the database is asked and handed to [`Verdicts::put`].
    pub fn changes(&self) -> u64 {
        self.state().changes
    }

    /// Remembers a verdict, unless something was changed while it was reached.
    pub fn put(&self, key: Digest, verdict: &Arc<Verdict>, changes: u64) {
        let mut state = self.state();
        if state.changes != changes {
            return;
        }
        if state.by_credential.len() >= MOST && !state.by_credential.contains_key(&key) {
            let now = verdict.asked_at;
            state.by_credential.retain(|_, v| v.asked_at <= now && now.since(v.asked_at) < AGE);
            if state.by_credential.len() >= MOST {
                state.by_credential.clear();
            }
        }
        state.by_credential.insert(key, verdict.clone());
    }

    /// Forgets the verdicts that a change touches.
    pub fn forget(&self, touched: impl Fn(&Verdict) -> bool) {
        let mut state = self.state();
        state.changes += 1;
        state.by_credential.retain(|_, v| !touched(v));
    }
}

#[cfg(test)]
mod tests {
    use astrolabe_kernel::Principal;

    use super::*;

    fn verdict(asked_at: i64, until: i64) -> Arc<Verdict> {
        let at = |ms: i64| Timestamp::from_micros(ms * 1000);
        let standing = Standing { principal: Principal::local_admin(), session: None, user: None, until: at(until) };
        Arc::new(Verdict { proof: Proof::Cookie(String::new()), standing, asked_at: at(asked_at) })
    }

    fn known(verdicts: &Verdicts, ms: i64) -> bool {
        verdicts.get(&[1; 32], Timestamp::from_micros(ms * 1000)).is_some()
    }

    #[test]
    fn a_verdict_is_believed_for_two_seconds_and_never_beyond_the_end_of_its_credential() {
        let verdicts = Verdicts::default();
        verdicts.put([1; 32], &verdict(10_000, 11_000), 0);
        assert!(known(&verdicts, 10_999) && !known(&verdicts, 11_000), "the credential has ended");
        verdicts.put([1; 32], &verdict(10_000, 99_000), 0);
        assert!(known(&verdicts, 11_999) && !known(&verdicts, 12_000));
        assert!(!known(&verdicts, 9_999), "the clock was set back");
    }

    #[test]
    fn what_was_read_before_a_change_is_not_remembered_after_it() {
        let verdicts = Verdicts::default();
        let changes = verdicts.changes();
        verdicts.forget(|_| false);
        verdicts.put([1; 32], &verdict(10_000, 99_000), changes);
        assert!(!known(&verdicts, 10_000));
        verdicts.put([1; 32], &verdict(10_000, 99_000), verdicts.changes());
        assert!(known(&verdicts, 10_000));
        verdicts.forget(|_| true);
        assert!(!known(&verdicts, 10_000));
    }

    #[test]
    fn verdicts_do_not_gather_without_a_bound() {
        let verdicts = Verdicts::default();
        for i in 0..MOST + 10 {
            let mut key = [0; 32];
            key[..8].copy_from_slice(&i.to_le_bytes());
            verdicts.put(key, &verdict(10_000, 99_000), 0);
        }
        assert!(verdicts.state().by_credential.len() <= MOST);
    }
}
