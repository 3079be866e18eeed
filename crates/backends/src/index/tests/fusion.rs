use super::*;
use crate::index::{RRF_K, dense_weight, fuse, mmr, rrf};

fn list(ids: &[&str]) -> Vec<Hit> {
    ids.iter().map(|id| Hit { chunk_id: (*id).to_owned(), document_id: format!("d{id}"), score: 1.0, share: 1.0 }).collect()
}

#[test]
fn a_chunk_high_in_both_lists_comes_first_and_keeps_its_ranks() {
    let (dense, lexical) = (list(&["x", "both", "y"]), list(&["both", "z"]));
    let fused = rrf(&[(1.0, &dense), (1.0, &lexical)], RRF_K);
    assert_eq!(fused[0].chunk_id, "both");
    assert_eq!(fused[0].ranks, [Some(2), Some(1)]);
    assert!((fused[0].score - (1.0 / 62.0 + 1.0 / 61.0)).abs() < 1e-7);
    assert_eq!(fused.iter().find(|f| f.chunk_id == "z").unwrap().ranks, [None, Some(2)]);
}

#[test]
fn equal_fused_scores_are_ordered_by_chunk_id() {
    let fused = rrf(&[(1.0, &list(&["b"])), (1.0, &list(&["a"]))], RRF_K);
    assert_eq!(fused.iter().map(|f| f.chunk_id.as_str()).collect::<Vec<_>>(), ["a", "b"]);
}

#[test]
fn a_list_of_weight_zero_adds_nothing() {
    let fused = rrf(&[(1.0, &list(&["a", "b"])), (0.0, &list(&["b", "a"]))], RRF_K);
    assert_eq!(fused[0].chunk_id, "a");
}

#[test]
fn no_lists_fuse_to_nothing() {
    assert!(rrf(&[], RRF_K).is_empty());
    assert!(rrf(&[(1.0, &[])], RRF_K).is_empty());
}

#[test]
fn diversity_passes_over_a_repetition() {
    let relevance = [0.9, 0.89, 0.5];
    let similar = |a: usize, b: usize| if a + b == 1 { 1.0 } else { 0.0 };
    assert_eq!(mmr(&relevance, similar, 0.5, 2), [0, 2]);
    assert_eq!(mmr(&relevance, similar, 1.0, 3), [0, 1, 2]);
    assert!(mmr(&[], similar, 0.5, 3).is_empty());
    assert!(mmr(&relevance, similar, 0.5, 0).is_empty());
}

fn scored(hits: &[(&str, f32)]) -> Vec<Hit> {
    hits.iter().map(|(id, score)| Hit { chunk_id: (*id).to_owned(), document_id: "d".to_owned(), score: *score, share: *score }).collect()
}

#[test]
fn a_side_counts_by_how_sure_it_is() {
    // Every chunk is about as near as every other: the words decide.
    let flat = scored(&[("b", 0.31), ("a", 0.305), ("c", 0.3)]);
    assert_eq!(fuse(&scored(&[("a", 0.9), ("b", 0.2)]), &flat, 0.5)[0].chunk_id, "a");
    // One chunk stands out by meaning, and the words found little: meaning decides.
    let clear = scored(&[("b", 0.8), ("a", 0.2), ("c", 0.1)]);
    assert_eq!(fuse(&scored(&[("a", 0.2), ("b", 0.1)]), &clear, 0.5)[0].chunk_id, "b");
}

#[test]
fn one_side_alone_keeps_its_order_and_its_scores() {
    let hits = scored(&[("a", 0.9), ("b", 0.4)]);
    for fused in [fuse(&hits, &[], 0.5), fuse(&[], &hits, 0.5)] {
        assert_eq!(fused.iter().map(|f| (f.chunk_id.as_str(), f.score)).collect::<Vec<_>>(), [("a", 0.9), ("b", 0.4)]);
    }
    assert!(fuse(&[], &[], 0.5).is_empty());
}

#[test]
fn a_fused_score_is_between_0_and_1_and_ranks_are_by_words_then_by_meaning() {
    let fused = fuse(&scored(&[("a", 1.0), ("b", 0.5)]), &scored(&[("b", 1.0), ("c", -0.2)]), 0.5);
    assert!(fused.iter().all(|f| (0.0..=1.0).contains(&f.score)), "{fused:?}");
    assert_eq!(fused.iter().find(|f| f.chunk_id == "b").unwrap().ranks, [Some(2), Some(1)]);
}

#[test]
fn meaning_counts_more_the_better_the_embedder_knows_the_words() {
    let weights: Vec<f32> = (0..=10).map(|i| dense_weight(i as f32 / 10.0)).collect();
    assert!(weights.windows(2).all(|w| w[0] <= w[1]) && weights[0] > 0.0 && weights[10] <= 0.5, "{weights:?}");
    assert!(dense_weight(0.9) > 2.0 * dense_weight(0.2));
}
