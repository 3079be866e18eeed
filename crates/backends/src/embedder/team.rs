//! Two threads on one text: what they share, and where they meet.

use std::{
    sync::{
        Mutex, RwLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use super::tiles::Buffer;

/// Turns of the processor that a member waits before it lets others have it.
const SPINS: usize = 2_000;

/// What two members of a forward pass share.
#[derive(Default)]
pub(super) struct Team {
    /// By turns of layers, each member's queries, keys and values. A member writes its own and reads both after they met.
    pub qkv: [[RwLock<Buffer>; 2]; 2],
    /// Member 1's rows at the end.
    pub rest: Mutex<Vec<f32>>,
    arrived: AtomicUsize,
    left: AtomicBool,
}

/// Tells the other member when this one ends, as it should or by a panic.
pub(super) struct Leaving<'a>(&'a Team);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.0.left.store(true, Ordering::Release);
    }
}

impl Team {
    /// To be held while being a member.
    pub fn leaving(&self) -> Leaving<'_> {
        Leaving(self)
    }

    /// Waits for the other member; `None` when it is gone. It computes as much as this one, so the wait is short, and turning is faster
    /// than sleeping.
    pub fn meet(&self) -> Option<()> {
        let wanted = (self.arrived.fetch_add(1, Ordering::AcqRel) / 2 + 1) * 2;
        let mut spins = 0;
        while self.arrived.load(Ordering::Acquire) < wanted {
            // Whoever left after the last meeting has arrived there first, so that is looked at once more.
            if self.left.load(Ordering::Acquire) && self.arrived.load(Ordering::Acquire) < wanted {
                return None;
            }
            spins += 1;
            if spins < SPINS { std::hint::spin_loop() } else { thread::yield_now() }
        }
        Some(())
    }
}
