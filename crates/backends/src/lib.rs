//! One folder per capability: the embedded engines and their adapters.

pub mod analysis;
pub mod blob;
pub mod embedder;
pub mod index;
