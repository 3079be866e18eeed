//! The real model against vectors, tokens and character ranges that `sentence-transformers` made (see the fixture's README).

use std::{env::var_os, path::PathBuf};

use serde::Deserialize;

use super::super::{Embedder, Precision, Priority};

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
fn model(precision: Precision) -> Option<Embedder> {
    let dir = var_os("ASTROLABE_MODELS_DIR").map(PathBuf::from).or_else(|| {
        let data =
            var_os("XDG_DATA_HOME").map(PathBuf::from).or_else(|| var_os("HOME").map(|home| PathBuf::from(home).join(".local/share")))?;
        Some(data.join("astrolabe/models"))
    })?;
    let model = Embedder::load_from_models_dir(&dir, 0, precision).unwrap();
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

/// The cosine of each text's vector to the reference, and the texts.
fn cosines(model: &Embedder) -> Vec<(f64, String)> {
    let texts: Vec<String> = references().into_iter().map(|reference| reference.text).collect();
    let vectors = model.embed_blocking(&texts.iter().map(String::as_str).collect::<Vec<_>>(), Priority::Bulk).unwrap();
    let expected: Vec<f32> = VECTORS.as_chunks().0.iter().map(|bytes| half(*bytes)).collect();
    assert_eq!((texts.len(), expected.len()), (200, 200 * model.dims()));
    vectors.iter().zip(expected.chunks_exact(model.dims())).map(|(a, b)| cosine(a, b)).zip(texts).collect()
}

#[test]
fn vectors_equal_those_of_sentence_transformers() {
    let Some(model) = model(Precision::F32) else { return };
    let cosines = cosines(&model);
    let (lowest, text) = cosines.iter().min_by(|a, b| a.0.total_cmp(&b.0)).unwrap();
    eprintln!("lowest cosine of 200 texts: {lowest:.8}");
    assert!(*lowest >= 0.9999, "{lowest} for {text:?}");
}

#[test]
fn vectors_in_8_bits_stay_near_and_have_a_version_of_their_own() {
    let Some(model) = model(Precision::Int8) else { return };
    let cosines = cosines(&model);
    let (lowest, text) = cosines.iter().min_by(|a, b| a.0.total_cmp(&b.0)).unwrap();
    let mean = cosines.iter().map(|(cosine, _)| cosine).sum::<f64>() / 200.0;
    eprintln!("8 bits: mean cosine of 200 texts {mean:.6}, lowest {lowest:.6}");
    assert!(mean >= 0.99 && *lowest >= 0.95, "mean {mean}, {lowest} for {text:?}");
    assert!(model.version().ends_with("-int8"), "{}", model.version());
}

#[test]
fn a_vector_is_the_same_to_the_last_bit_whichever_texts_share_its_pass() {
    let texts: Vec<String> = references().into_iter().map(|reference| reference.text).step_by(5).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    for precision in [Precision::F32, Precision::Int8] {
        let Some(model) = model(precision) else { return };
        let together = model.embed_blocking(&texts, Priority::Bulk).unwrap();
        let reversed: Vec<&str> = texts.iter().rev().copied().collect();
        let again = model.embed_blocking(&reversed, Priority::Bulk).unwrap();
        for ((text, vector), again) in texts.iter().zip(&together).zip(again.iter().rev()) {
            assert_eq!(again, vector, "{precision:?}, other neighbours: {text:?}");
            assert_eq!(&model.embed_blocking(&[text], Priority::Interactive).unwrap()[0], vector, "{precision:?}, alone: {text:?}");
        }
    }
}

#[test]
fn tokens_and_their_ranges_equal_those_of_the_reference_tokenizer() {
    let Some(model) = model(Precision::F32) else { return };
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
