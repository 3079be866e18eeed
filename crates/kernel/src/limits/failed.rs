//! Guesses at a password: after a few that failed, one has to wait, each time twice as long. Counted by account, so that many addresses do not
//! help, and by address, so that many accounts do not.

use std::{
    hash::{BuildHasher, RandomState},
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use crate::{Error, Result, Timestamp, error::code, http::ClientAddress};

/// Failures of an account that cost nothing but the attempt.
const FREE_ACCOUNT: u32 = 5;
/// Failures of an address that cost nothing: behind one there may be an office full of people.
const FREE_ADDRESS: u32 = 20;
/// The first wait; each further failure doubles it.
const FIRST: Duration = Duration::from_secs(1);
/// The longest wait: long enough against guessing, short enough for an owner whose account somebody else guesses at.
const LONGEST: Duration = Duration::from_secs(15 * 60);
/// Without a failure for this long, earlier ones are forgotten.
const FORGOTTEN: Duration = Duration::from_secs(3600);
/// Accounts, and addresses, that are remembered.
const REMEMBERED: usize = 8192;
/// Slots that a name can be in.
const WAYS: usize = 8;

/// Failed attempts to sign in. Every attempt is checked first and told how it ended afterwards:
///
/// ```ignore
/// failed_attempts.check(&name, address, now)?;
/// if password_is_right { failed_attempts.succeeded(&name, address) } else { failed_attempts.failed(&name, address, now) }
/// ```
///
/// An attempt counts as failed from its check on, so a hundred at once are no way around the wait; one that is given up in between stays counted.
/// Names of accounts are compared as they are given: fold their case before. Whether an account exists plays no part, so nothing is told by it.
pub struct FailedAttempts {
    accounts: Table,
    addresses: Table,
    hasher: RandomState,
}

impl Default for FailedAttempts {
    fn default() -> Self {
        Self { accounts: Table::new(FREE_ACCOUNT), addresses: Table::new(FREE_ADDRESS), hasher: RandomState::new() }
    }
}

impl FailedAttempts {
    /// Lets an attempt pass, or says when to come back.
    ///
    /// # Errors
    /// `rate_limited` with the wait, the same for an account that there is and one that there is not.
    pub fn check(&self, account: &str, address: ClientAddress, now: Timestamp) -> Result<()> {
        let (account, address) = self.keys(account, address);
        let wait = self.accounts.wait(account, now).max(self.addresses.wait(address, now));
        if !wait.is_zero() {
            metrics::counter!("sign_in_delayed_total").increment(1);
            return Err(Error::new(code::RATE_LIMITED, "too many attempts to sign in failed; wait before the next").with_retry_after(wait));
        }
        self.accounts.count(account, now);
        self.addresses.count(address, now);
        Ok(())
    }

    /// The attempt was wrong: the wait begins now, not when the attempt began.
    pub fn failed(&self, account: &str, address: ClientAddress, now: Timestamp) {
        let (account, address) = self.keys(account, address);
        self.accounts.start_wait(account, now);
        self.addresses.start_wait(address, now);
    }

    /// The attempt was right: the account's failures are forgotten, and the address gets this attempt back. Its other failures stay, or whoever
    /// has an account could guess at others for ever.
    pub fn succeeded(&self, account: &str, address: ClientAddress) {
        let (account, address) = self.keys(account, address);
        self.accounts.clear(account);
        self.addresses.take_back(address);
    }

    fn keys(&self, account: &str, address: ClientAddress) -> (u64, u64) {
        (self.hasher.hash_one(account), self.hasher.hash_one::<IpAddr>(address.network()))
    }
}

#[derive(Clone, Copy)]
struct Entry {
    key: u64,
    failures: u32,
    last: Timestamp,
    until: Timestamp,
}

const EMPTY: Entry = Entry { key: 0, failures: 0, last: Timestamp::from_micros(0), until: Timestamp::from_micros(0) };

/// A table of fixed size. When a name finds its slots full, the one with the fewest failures makes room: made-up names do not crowd out the
/// account that is being guessed at.
struct Table {
    sets: Box<[Mutex<[Entry; WAYS]>]>,
    free: u32,
}

impl Table {
    fn new(free: u32) -> Self {
        Self { sets: (0..REMEMBERED / WAYS).map(|_| Mutex::new([EMPTY; WAYS])).collect(), free }
    }

    fn set(&self, key: u64) -> std::sync::MutexGuard<'_, [Entry; WAYS]> {
        self.sets[(key >> 32) as usize % self.sets.len()].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, key: u64, then: impl FnOnce(&mut Entry) -> T) -> Option<T> {
        self.set(key).iter_mut().find(|e| e.key == key && e.failures > 0).map(then)
    }

    fn wait(&self, key: u64, now: Timestamp) -> Duration {
        // A wait is never longer than the longest, whatever the clock did meanwhile.
        self.with(key, |e| e.until.since(now).min(LONGEST)).unwrap_or_default()
    }

    fn count(&self, key: u64, now: Timestamp) {
        let mut set = self.set(key);
        let at = set.iter().position(|e| e.key == key);
        let rank = |e: &Entry| (if now.since(e.last) > FORGOTTEN { 0 } else { e.failures }, e.last);
        let at = at.or_else(|| (0..WAYS).min_by_key(|i| rank(&set[*i]))).unwrap_or(0);
        let entry = &mut set[at];
        if entry.key != key || now.since(entry.last) > FORGOTTEN {
            *entry = Entry { key, ..EMPTY };
        }
        entry.failures = entry.failures.saturating_add(1);
        entry.last = now;
        entry.until = now.plus(self.pause(entry.failures));
    }

    fn start_wait(&self, key: u64, now: Timestamp) {
        self.with(key, |e| {
            e.last = now;
            e.until = now.plus(self.pause(e.failures));
        });
    }

    fn clear(&self, key: u64) {
        self.with(key, |e| *e = EMPTY);
    }

    fn take_back(&self, key: u64) {
        self.with(key, |e| {
            e.failures -= 1;
            e.until = e.last.plus(self.pause(e.failures));
        });
    }

    /// How long to wait after that many failures.
    fn pause(&self, failures: u32) -> Duration {
        match failures.checked_sub(self.free) {
            None => Duration::ZERO,
            Some(beyond) => FIRST.saturating_mul(1u32.checked_shl(beyond.min(31)).unwrap_or(u32::MAX)).min(LONGEST),
        }
    }
}
