//! Randomness as a handed-in value: production draws from the operating system, a test from a seed.

use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine;
use rand::{
    RngCore, SeedableRng, TryRngCore,
    rngs::{OsRng, StdRng},
};

/// Where randomness comes from, cheap to clone; clones of a seeded one share its state.
#[derive(Clone)]
pub struct Random(Source);

#[derive(Clone)]
enum Source {
    System,
    Seeded(Arc<Mutex<StdRng>>),
}

impl Random {
    /// The operating system's generator; fit for secrets.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A repeatable sequence for tests and simulations; never for secrets.
    pub fn seeded(seed: u64) -> Self {
        Self(Source::Seeded(Arc::new(Mutex::new(StdRng::seed_from_u64(seed)))))
    }

    /// Fills `bytes`.
    pub fn fill(&self, bytes: &mut [u8]) {
        match &self.0 {
            Source::System => {
                #[expect(clippy::expect_used, reason = "a machine without randomness cannot keep a secret, so nothing may go on")]
                OsRng.try_fill_bytes(bytes).expect("the operating system gives no random bytes");
            }
            Source::Seeded(rng) => rng.lock().unwrap_or_else(PoisonError::into_inner).fill_bytes(bytes),
        }
    }

    /// A number below `limit` (0 for a limit of 0), for jitter and sampling.
    pub fn below(&self, limit: u64) -> u64 {
        let mut bytes = [0u8; 8];
        self.fill(&mut bytes);
        u64::from_le_bytes(bytes).checked_rem(limit).unwrap_or(0)
    }

    /// `length` random bytes as URL-safe base 64 without padding, for tokens and codes.
    pub fn token(&self, length: usize) -> String {
        let mut bytes = vec![0u8; length];
        self.fill(&mut bytes);
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
    }
}
