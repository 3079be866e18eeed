//! Token buckets in a table of fixed size: no growth, no sweep, no allocation, and a lock that only callers of the same eight slots share.
//!
//! A bucket is one number, the time at which it will be full again (GCRA, ITU-T I.371, the "virtual scheduling algorithm"). A bucket that is
//! full is the same as none, so its slot is free. When all eight slots of a set are in use, a newcomer takes over the one that is nearest to
//! full, with what was taken from it ("space saving", Metwally et al. 2005): so a flood of callers can make some share a bucket, but nobody
//! can get more than its limit by crowding its own bucket out.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use crate::Timestamp;

/// Slots of a set.
const WAYS: usize = 8;
/// The time in which an empty bucket fills.
const WINDOW: i64 = 60_000_000;
/// The highest limit: one request a microsecond.
pub(super) const MOST: u32 = 60_000_000;

#[derive(Clone, Copy, Default)]
struct Slot {
    key: u64,
    /// When the bucket will be full, in microseconds since 1970.
    full_at: i64,
}

/// The buckets of one limit.
pub(super) struct Buckets {
    sets: Box<[Mutex<[Slot; WAYS]>]>,
    per_minute: u32,
    /// Microseconds in which one request comes back.
    interval: i64,
}

/// What a bucket said to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Taken {
    /// When to come back, for a request that was refused.
    pub wait: Option<Duration>,
    /// Requests that may still come at once.
    pub remaining: u32,
    /// Until the bucket is full again.
    pub full_in: Duration,
}

impl Buckets {
    /// Buckets of `per_minute` requests (at least 1) for about `callers` at the same time.
    pub fn new(per_minute: u32, callers: usize) -> Self {
        let per_minute = per_minute.clamp(1, MOST);
        let sets = (0..callers.div_ceil(WAYS).next_power_of_two()).map(|_| Mutex::default()).collect();
        Self { sets, per_minute, interval: WINDOW / i64::from(per_minute) }
    }

    pub fn per_minute(&self) -> u32 {
        self.per_minute
    }

    /// Takes one request out of the bucket of `key`, a well-mixed hash.
    pub fn take(&self, key: u64, now: Timestamp) -> Taken {
        let now = now.micros();
        // The high bits choose the set, and the whole key the slot.
        let set = &self.sets[(key >> 32) as usize & (self.sets.len() - 1)];
        let mut slots = set.lock().unwrap_or_else(PoisonError::into_inner);
        let at = slots.iter().position(|s| s.key == key);
        let at = at.or_else(|| (0..WAYS).min_by_key(|i| slots[*i].full_at)).unwrap_or(0);
        let slot = &mut slots[at];
        // No bucket takes longer to fill than the window, so what says otherwise was written before the clock was set back.
        let base = slot.full_at.clamp(now, now.saturating_add(WINDOW));
        let full_at = base.saturating_add(self.interval);
        let over = full_at - now - WINDOW;
        if over > 0 {
            return Taken { wait: Some(micros(over)), remaining: 0, full_in: micros(base - now) };
        }
        *slot = Slot { key, full_at };
        let remaining = u32::try_from(-over / self.interval).unwrap_or(0);
        Taken { wait: None, remaining, full_in: micros(full_at - now) }
    }
}

fn micros(n: i64) -> Duration {
    Duration::from_micros(u64::try_from(n).unwrap_or(0))
}
