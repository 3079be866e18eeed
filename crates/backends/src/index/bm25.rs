//! The numbers of BM25, which every engine computes by the same steps, so that scores agree to the last bit.
//!
//! What a word adds to a chunk is a whole number of the query's [`Unit`]. So sums are exact, and an engine may add words in
//! whatever order finds the best chunks soonest.

/// How soon further occurrences of a word stop counting. With [`B`] the default of Anserini (Lin and others).
pub const K1: f32 = 0.9;
/// How much a chunk's length counts.
pub const B: f32 = 0.4;

/// Inverse document frequency of a word that `df` of `total` chunks hold; the form that cannot turn negative is Lucene's.
pub fn idf(total: f32, df: f32) -> f32 {
    (1.0 + (total - df + 0.5) / (df + 0.5)).ln()
}

/// What the length of a chunk adds to the count that a word is divided by.
#[inline]
pub fn norm(length: f32, average: f32) -> f32 {
    K1 * (1.0 - B + B * length / average)
}

/// What a chunk that holds a word `count` times earns of the word's weight.
#[inline]
pub fn share(weight: f32, count: f32, norm: f32) -> f32 {
    weight * count / (count + norm)
}

/// The unit of a query's scores: the power of two that makes the best reachable score less than 2^24 units, up to where a
/// 32-bit float holds every whole number.
#[derive(Debug, Clone, Copy)]
pub struct Unit {
    per_one: f32,
}

impl Unit {
    /// The unit for scores up to `reachable`.
    pub fn of(reachable: f32) -> Self {
        let bounded = reachable.clamp(1e-6, 1e9);
        let exponent = i32::try_from(bounded.to_bits() >> 23).unwrap_or(0) - 127;
        Self { per_one: 2.0_f32.powi(23 - exponent) }
    }

    /// A score in whole units, at least one.
    #[inline]
    pub fn whole(self, score: f32) -> u32 {
        ((score * self.per_one) as u32).max(1)
    }

    /// The score of so many units.
    pub fn score(self, units: f32) -> f32 {
        units / self.per_one
    }
}
