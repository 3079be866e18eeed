//! The best k of many scored slots, with a total order.

use std::cmp::Ordering;

/// A slot and its score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scored {
    /// Higher is better.
    pub score: f32,
    /// Chunk slot.
    pub slot: u32,
}

/// Keeps the best `k`; `ties` orders slots of equal score, so that the result does not depend on their numbering.
pub struct TopK<F> {
    k: usize,
    kept: Vec<Scored>,
    floor: f32,
    ties: F,
}

impl<F: Fn(u32, u32) -> Ordering> TopK<F> {
    /// An empty selection of at most `k`.
    pub fn new(k: usize, ties: F) -> Self {
        Self { k, kept: Vec::with_capacity((k * 2).min(4096)), floor: f32::NEG_INFINITY, ties }
    }

    /// A score below this is no longer needed.
    pub fn floor(&self) -> f32 {
        self.floor
    }

    /// Offers a slot.
    pub fn push(&mut self, slot: u32, score: f32) {
        if self.k == 0 || score < self.floor {
            return;
        }
        self.kept.push(Scored { score, slot });
        // Selecting once per k arrivals keeps the cost of an arrival constant.
        if self.kept.len() >= self.k.saturating_mul(2).max(64) {
            self.shrink();
        }
    }

    fn shrink(&mut self) {
        if self.kept.len() <= self.k {
            return;
        }
        let ties = &self.ties;
        let (_, worst, _) = self.kept.select_nth_unstable_by(self.k - 1, |a, b| order(a, b, ties));
        self.floor = worst.score;
        self.kept.truncate(self.k);
    }

    /// The selection, best first.
    pub fn into_sorted(mut self) -> Vec<Scored> {
        self.shrink();
        let ties = &self.ties;
        self.kept.sort_unstable_by(|a, b| order(a, b, ties));
        self.kept
    }
}

fn order(a: &Scored, b: &Scored, ties: &impl Fn(u32, u32) -> Ordering) -> Ordering {
    b.score.total_cmp(&a.score).then_with(|| ties(a.slot, b.slot))
}
