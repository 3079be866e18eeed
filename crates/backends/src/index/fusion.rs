//! Putting ranked lists together, and keeping a list from saying one thing ten times.

use std::collections::HashMap;

use super::Hit;

/// The constant of reciprocal rank fusion (Cormack, Clarke, Büttcher 2009): how little the first ranks differ.
pub const RRF_K: f32 = 60.0;

/// A chunk in a fused list.
#[derive(Debug, Clone, PartialEq)]
pub struct Fused {
    /// The chunk.
    pub chunk_id: String,
    /// Its document.
    pub document_id: String,
    /// Sum of `weight / (k + rank)` over the lists that hold it.
    pub score: f32,
    /// Its rank in each list, from 1, in the order of the lists given.
    pub ranks: Vec<Option<usize>>,
}

/// Reciprocal rank fusion of lists with weights. Best first; equal scores by chunk id. A chunk that a list repeats
/// counts at its first rank.
#[must_use]
pub fn rrf(lists: &[(f32, &[Hit])], k: f32) -> Vec<Fused> {
    let mut fused: Vec<Fused> = Vec::new();
    let mut by_id: HashMap<&str, usize> = HashMap::new();
    for (list, (weight, hits)) in lists.iter().enumerate() {
        for (i, hit) in hits.iter().enumerate() {
            let at = *by_id.entry(&hit.chunk_id).or_insert_with(|| {
                fused.push(Fused {
                    chunk_id: hit.chunk_id.clone(),
                    document_id: hit.document_id.clone(),
                    score: 0.0,
                    ranks: vec![None; lists.len()],
                });
                fused.len() - 1
            });
            let entry = &mut fused[at];
            if entry.ranks[list].is_none() {
                entry.ranks[list] = Some(i + 1);
                let rank = (i + 1) as f32;
                entry.score += weight / (k + rank);
            }
        }
    }
    fused.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.chunk_id.cmp(&b.chunk_id)));
    fused
}

/// Maximal marginal relevance (Carbonell, Goldstein 1998): picks up to `k` of `relevance.len()` candidates, each time
/// the one with the highest `lambda * relevance - (1 - lambda) * highest similarity to those picked`. `lambda` 1 keeps
/// the order of relevance. Equal values take the earlier candidate. Returns indexes in the order picked.
#[must_use]
pub fn mmr(relevance: &[f32], similarity: impl Fn(usize, usize) -> f32, lambda: f32, k: usize) -> Vec<usize> {
    let mut left: Vec<usize> = (0..relevance.len()).collect();
    let mut nearest = vec![0.0_f32; relevance.len()];
    let mut picked: Vec<usize> = Vec::with_capacity(k.min(relevance.len()));
    while picked.len() < k && !left.is_empty() {
        let mut best = 0;
        for at in 1..left.len() {
            let value = |i: usize| lambda * relevance[i] - (1.0 - lambda) * nearest[i];
            if value(left[at]).total_cmp(&value(left[best])).is_gt() {
                best = at;
            }
        }
        let pick = left.remove(best);
        for other in &left {
            nearest[*other] = nearest[*other].max(similarity(pick, *other));
        }
        picked.push(pick);
    }
    picked
}
