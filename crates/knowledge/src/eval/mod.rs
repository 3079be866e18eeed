//! Measuring search and answers: collections of judged queries, the figures that are usual for them, and the wording of answers compared
//! with what was expected.
//!
//! [`beir`] reads a collection; [`metrics`] computes nDCG, recall and MRR of ranked documents; [`text`] tells whether a text holds a gold
//! string. None of it touches the database: `astrolabe eval` and the runs of question sets ([`crate::question_sets`]) are built on it.

pub mod beir;
pub mod metrics;
pub mod rank;
pub mod text;

#[cfg(test)]
mod tests;
