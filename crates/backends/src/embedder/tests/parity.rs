//! The real model against vectors, tokens and character ranges that `sentence-transformers` made (see the fixture's README).

use std::{env::var_os, path::PathBuf};

use serde::Deserialize;

use super::super::{Embedder, Priority};

const TEXTS: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/embeddings/texts.jsonl"));
const VECTORS: &[u8] = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/embeddings/vectors.f16"));

#[derive(Deserialize)]
struct Reference {
    text: String,
    /// All tokens, with the two marks and without a limit.
    tokens: usize,
    /// What the model reads, without the two marks.
    ids: Vec<u32>,
    /// The character range of each token, for the shorter texts.
    ranges: Option<Vec<(usize, usize)>>,
}

/// The model of the models folder, or `None`, said aloud; with `ASTROLABE_REQUIRE_MODEL=1` its absence is a failure.
fn model() -> Option<Embedder> {
    let dir = var_os("ASTROLABE_MODELS_DIR").map(PathBuf::from).or_else(|| {
        let data =
            var_os("XDG_DATA_HOME").map(PathBuf::from).or_else(|| var_os("HOME").map(|home| PathBuf::from(home).join(".local/share")))?;
        Some(data.join("astrolabe/models"))
    })?;
    let model = Embedder::load_from_models_dir(&dir, 0).unwrap();
    if model.is_none() {
        assert!(var_os("ASTROLABE_REQUIRE_MODEL").is_none_or(|value| value != "1"), "no model in {}: run `make models`", dir.display());
        eprintln!("SKIPPED: no model in {}, so nothing was compared; run `make models`", dir.display());
    }
    model
}

fn references() -> Vec<Reference> {
    TEXTS.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// IEEE 754 half precision; the fixture has no infinities and no NaN.
fn half(bytes: [u8; 2]) -> f32 {
    let bits = u16::from_le_bytes(bytes);
    let (exponent, fraction) = (i32::from(bits >> 10 & 0x1f), f32::from(bits & 0x3ff));
    let size = if exponent == 0 { fraction * 2_f32.powi(-24) } else { (1.0 + fraction / 1024.0) * 2_f32.powi(exponent - 15) };
    if bits >> 15 == 1 { -size } else { size }
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

#[test]
fn vectors_equal_those_of_sentence_transformers() {
    let Some(model) = model() else { return };
    let references = references();
    let texts: Vec<&str> = references.iter().map(|reference| reference.text.as_str()).collect();
    let vectors = model.embed_blocking(&texts, Priority::Bulk).unwrap();
    let expected: Vec<f32> = VECTORS.as_chunks().0.iter().map(|bytes| half(*bytes)).collect();
    assert_eq!((references.len(), expected.len()), (200, 200 * model.dims()));
    let cosines: Vec<f64> = vectors.iter().zip(expected.chunks_exact(model.dims())).map(|(a, b)| cosine(a, b)).collect();
    let (worst, lowest) = cosines.iter().enumerate().min_by(|a, b| a.1.total_cmp(b.1)).unwrap();
    eprintln!("lowest cosine of 200 texts: {lowest:.8}");
    assert!(*lowest >= 0.9999, "{lowest} for {:?}", texts[worst]);
}

#[test]
fn tokens_and_their_ranges_equal_those_of_the_reference_tokenizer() {
    let Some(model) = model() else { return };
    for reference in references() {
        let tokens = model.tokens(&reference.text);
        let read = &tokens[..reference.ids.len()];
        assert_eq!(read.iter().map(|token| token.id).collect::<Vec<_>>(), reference.ids, "{:?}", reference.text);
        assert_eq!(model.count_tokens(&reference.text), reference.tokens, "{:?}", reference.text);
        if let Some(ranges) = reference.ranges {
            assert_eq!(read.iter().map(|token| (token.start, token.end)).collect::<Vec<_>>(), ranges, "{:?}", reference.text);
        }
    }
}
