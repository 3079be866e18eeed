use super::*;
use crate::index::{RRF_K, mmr, rrf};

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
