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
        let _ = embedder;
        // Polish questions share fewer word forms with their answers, so the same evidence weighs more.
        Self { rank: RANK, answer: ANSWER, threshold: if lang == Lang::Pl { 0.27 } else { 0.4 } }
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
    0.0, 3.31, 3.54, 2.92, 0.39, 0.16, -0.41, -1.30, 0.0, 0.74, -1.5, -0.74, -0.25, 1.04, 0.70, 0.13, 2.11, 0.48, -0.17, -0.08, 0.0, 0.0,
    0.0,
];
const ANSWER: [f32; ANSWER_FEATURES] = [
    -3.71, 0.79, 1.47, 2.17, -1.25, -1.37, -0.50, -1.03, 1.40, 0.3, -1.5, -0.4, -0.61, 0.26, 0.53, 1.80, -1.84, -0.12, 0.0, 0.0, 0.0, 0.0,
    0.0, 1.23, 0.89,
];
