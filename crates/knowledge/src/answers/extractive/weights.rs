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
            return Self { rank: RANK_SIMILAR, answer: ANSWER_SIMILAR, threshold: 0.3 };
        }
        // Polish questions share fewer word forms with their answers, so the same evidence weighs more.
        Self { rank: RANK, answer: ANSWER, threshold: if lang == Lang::Pl { 0.25 } else { 0.28 } }
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
    0.00, 3.34, 3.59, 2.93, 0.41, 0.26, 0.26, -0.74, -0.40, 0.00, 1.23, -1.00, -0.26, -0.27, 0.07, 0.75, 0.08, 2.15, 0.42, -0.18, -0.09,
    0.00, 1.00, 0.00, 0.00,
];
const ANSWER: [f32; ANSWER_FEATURES] = [
    -3.04, 0.83, 1.30, 1.87, -0.90, -1.23, -0.63, -0.33, -1.50, 0.87, 0.12, -2.71, -0.95, 0.95, 0.05, 0.77, 1.49, -1.40, -0.21, 0.00, 0.00,
    0.00, 0.80, 0.00, 0.00, 0.68, 0.93,
];
const RANK_SIMILAR: Features = [
    0.00, 2.12, 2.84, 2.15, 0.28, -0.51, 0.46, -0.73, -0.40, 0.00, 1.24, -0.83, -0.44, -0.34, 0.12, 0.81, 0.06, 1.24, 0.79, -0.08, -0.13,
    0.00, 1.00, 3.38, 3.30,
];
const ANSWER_SIMILAR: [f32; ANSWER_FEATURES] = [
    -3.57, 0.52, 1.13, 1.51, -1.13, -1.12, -0.64, -0.33, -1.50, 1.06, -0.00, -2.75, -0.86, 0.72, 0.09, 0.75, 1.54, -1.75, 0.29, 0.00, 0.00,
    0.00, 0.80, 1.33, 0.33, 1.06, 0.76,
];
