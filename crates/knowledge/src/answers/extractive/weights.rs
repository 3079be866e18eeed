//! Weights of the scorer, as `examples/calibrate.rs` printed them. How they were found and what they reach: `docs/adr/0009-extractive-answers.md`.

use astrolabe_backends::analysis::Lang;

use super::features::{FEATURES, Features};

/// Features of the answer as a whole: those of the best sentence, its score, and its lead over the next one.
pub const ANSWER_FEATURES: usize = FEATURES + 2;

/// Two linear models: one ranks sentences, one tells whether the best of them answers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Model {
    /// Weights of the score by which sentences are ranked.
    pub rank: Features,
    /// Weights of the log-odds that the best sentence answers.
    pub answer: [f32; ANSWER_FEATURES],
    /// Least probability for an answer to be given.
    pub threshold: f32,
}

impl Model {
    /// The calibrated model for a language, with or without an embedder.
    #[must_use]
    pub fn for_language(lang: Lang, embedder: bool) -> Self {
        if embedder && Self::uses_similarity(lang) {
            return Self { rank: RANK_SIMILAR, answer: ANSWER_SIMILAR, threshold: 0.25 };
        }
        let threshold = match lang {
            // Polish questions share fewer word forms with their answers, so the same evidence weighs more.
            Lang::Pl => 0.2,
            Lang::Ru => 0.27,
            Lang::En | Lang::Other => 0.28,
        };
        Self { rank: RANK, answer: ANSWER, threshold }
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
        1.0 / (1.0 + (-dot(&self.answer, features)).exp())
    }
}

fn dot(weights: &[f32], features: &[f32]) -> f32 {
    weights.iter().zip(features).map(|(w, f)| w * f).sum()
}

const RANK: Features = [
    -0.00, 3.39, 3.59, 2.88, 0.41, 0.30, 0.25, -0.75, -0.14, -0.00, 1.24, -0.99, -0.26, -0.30, -0.03, 0.70, 0.14, 2.03, 0.42, -0.18, -0.09,
    0.00, 0.93, 0.00, 0.00,
];
const ANSWER: [f32; ANSWER_FEATURES] = [
    -2.33, 0.67, 1.42, 2.17, -0.92, -1.19, -1.01, -0.07, -1.80, 1.11, 0.06, -2.73, -1.53, 1.09, 0.27, 0.78, 0.30, -1.23, -0.29, 0.00, 0.00,
    0.00, 0.80, 0.00, 0.00, 0.64, 1.12,
];
const RANK_SIMILAR: Features = [
    -0.00, 2.17, 2.79, 2.00, 0.28, -0.46, 0.32, -0.65, -0.12, -0.00, 1.25, -0.86, -0.42, -0.37, 0.07, 0.70, 0.13, 1.25, 0.77, -0.08, -0.12,
    0.00, 0.94, 3.41, 3.26,
];
const ANSWER_SIMILAR: [f32; ANSWER_FEATURES] = [
    -3.29, 0.36, 1.21, 1.78, -1.23, -1.17, -1.02, -0.09, -1.89, 1.23, -0.00, -2.75, -1.51, 0.90, 0.34, 0.67, 0.74, -1.57, 0.24, 0.00, 0.00,
    0.00, 0.77, 1.30, 0.65, 1.02, 0.93,
];
