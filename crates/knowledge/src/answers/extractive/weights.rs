//! Weights of the scorer, as `examples/calibrate` printed them. How they were found and what they reach: `docs/adr/0009-extractive-answers.md`.

use std::borrow::Cow;

use astrolabe_backends::analysis::Lang;

use super::features::{FEATURES, Features};
use super::{trees_similar, trees_words};

/// Features of the answer as a whole: those of the best sentence, its score, and its lead over the next one.
pub const ANSWER_FEATURES: usize = FEATURES + 2;

/// A decision tree of depth three.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tree {
    /// The feature that each node asks, by level from left to right.
    pub features: [u8; 7],
    /// A value above the cut goes to the right.
    pub cuts: [f32; 7],
    /// What the tree adds to the log-odds, from left to right.
    pub leaves: [f32; 8],
}

impl Tree {
    fn value(&self, features: &[f32; ANSWER_FEATURES]) -> f32 {
        let mut node = 0;
        while let (Some(feature), Some(cut)) = (self.features.get(node), self.cuts.get(node)) {
            node = 2 * node + 1 + usize::from(features.get(usize::from(*feature)).is_some_and(|value| value > cut));
        }
        self.leaves.get(node - self.features.len()).copied().unwrap_or(0.0)
    }
}

/// A tree in a table.
pub(super) const fn t(features: [u8; 7], cuts: [f32; 7], leaves: [f32; 8]) -> Tree {
    Tree { features, cuts, leaves }
}

/// A linear model ranks sentences, boosted trees tell whether the best of them answers.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// Weights of the score by which sentences are ranked.
    pub rank: Features,
    /// Trees whose sum is the log-odds that the best sentence answers.
    pub trees: Cow<'static, [Tree]>,
    /// Least probability for an answer to be given.
    pub threshold: f32,
}

impl Model {
    /// The calibrated model for a language, with or without an embedder.
    #[must_use]
    pub fn for_language(lang: Lang, embedder: bool) -> Self {
        if embedder && Self::uses_similarity(lang) {
            return Self { rank: RANK_SIMILAR, trees: Cow::Borrowed(trees_similar::TREES), threshold: 0.25 };
        }
        let threshold = match lang {
            Lang::Pl => 0.30,
            Lang::Ru => 0.18,
            Lang::En | Lang::Other => 0.25,
        };
        Self { rank: RANK, trees: Cow::Borrowed(trees_words::TREES), threshold }
    }

    /// Whether sentence vectors help in a language. The embedder is trained on English; in Russian its similarities added nothing in calibration, and
    /// for Polish there was nothing to train on, so there the time for embedding sentences is saved.
    #[must_use]
    pub fn uses_similarity(lang: Lang) -> bool {
        matches!(lang, Lang::En)
    }

    /// The score of a sentence; differences count, the height does not.
    #[must_use]
    pub fn score(&self, features: &Features) -> f32 {
        dot(&self.rank, features)
    }

    /// The evidence for the answer as a whole, from the best sentence, its score and the score of the next one.
    #[must_use]
    pub fn answer_features(best: &Features, score: f32, next: f32) -> [f32; ANSWER_FEATURES] {
        let mut all = [0.0; ANSWER_FEATURES];
        for (slot, value) in all.iter_mut().zip(best.iter().copied().chain([score / 10.0, (score - next).clamp(0.0, 3.0) / 3.0])) {
            *slot = value;
        }
        all
    }

    /// The probability that the best sentence answers.
    #[must_use]
    pub fn probability(&self, features: &[f32; ANSWER_FEATURES]) -> f32 {
        let odds: f32 = self.trees.iter().map(|tree| tree.value(features)).sum();
        1.0 / (1.0 + (-odds).exp())
    }
}

fn dot(weights: &[f32], features: &[f32]) -> f32 {
    weights.iter().zip(features).map(|(w, f)| w * f).sum()
}

const RANK: Features = [
    0.00, 2.51, 2.37, 1.18, 1.50, 0.65, -0.37, -0.17, 0.30, 0.00, 2.22, -1.67, -0.74, -0.99, 0.08, 0.12, -0.33, 0.84, 0.62, 0.32, 0.48,
    0.08, 1.15, -3.15, -0.62, 0.97, 0.88, 0.34, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00,
    0.00, 0.00, 0.00, 0.00, 0.00, 0.00,
];
const RANK_SIMILAR: Features = [
    0.00, 1.61, 1.82, 1.25, 0.90, -0.87, 0.12, -0.43, -0.85, 0.00, 1.69, -1.17, -0.64, -1.42, 0.34, 0.26, 0.14, 0.33, 1.05, -0.08, 1.19,
    -0.76, 1.28, -1.91, 0.07, 0.71, 0.88, 0.65, 0.00, 0.00, 3.68, 2.95, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00,
    0.00, 0.00, 0.00, 0.00, 0.00, 0.00,
];
