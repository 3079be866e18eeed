//! Putting ranked lists together, and keeping a list from saying one thing ten times.

use std::collections::HashMap;

use super::Hit;

/// The constant of reciprocal rank fusion (Cormack, Clarke, Büttcher 2009): how little the first ranks differ.
pub const RRF_K: f32 = 60.0;

/// Coverage at or below which the embedder does not know a language, and the weight of meaning there.
const UNKNOWN: (f32, f32) = (0.3, 0.1);
/// Coverage from which on it knows it, and the weight of meaning there.
const KNOWN: (f32, f32) = (0.7, 0.5);

/// A chunk in a fused list.
#[derive(Debug, Clone, PartialEq)]
pub struct Fused {
    /// The chunk.
    pub chunk_id: String,
    /// Its document.
    pub document_id: String,
    /// [`rrf`]: sum of `weight / (k + rank)` over the lists that hold it. [`fuse`]: 0 to 1.
    pub score: f32,
    /// Its rank in each list, from 1, in the order of the lists given.
    pub ranks: Vec<Option<usize>>,
}

/// How much meaning counts beside words, 0 to 1, for a query that the embedder knows to `coverage` (0 to 1): a straight line between two measured
/// points, held at its ends (`docs/adr/0014-fusion.md`).
#[must_use]
pub fn dense_weight(coverage: f32) -> f32 {
    let along = ((coverage - UNKNOWN.0) / (KNOWN.0 - UNKNOWN.0)).clamp(0.0, 1.0);
    UNKNOWN.1 + along * (KNOWN.1 - UNKNOWN.1)
}

/// Score fusion of both sides: `(1 - w) * share + w * (cosine - floor)`, where `share` is [`Hit::share`] of the side of words, `floor` the lowest
/// cosine among the candidates, and `w` the weight of meaning, [`dense_weight`] by default. So each side counts by how sure it is: a chunk that
/// holds all that is rare in the query has a share near 1, one that shares a word has little; and a cosine counts by how far it stands out from
/// what the embedder finds for any query. A chunk that one side did not find has nothing from it. With one side alone, the score is that side's.
///
/// Best first; equal scores by chunk id. The ranks are those by words and by meaning, in this order.
#[must_use]
pub fn fuse(lexical: &[Hit], dense: &[Hit], weight: f32) -> Vec<Fused> {
    let (weight, floor) = match (lexical.last(), dense.last()) {
        (_, None) => (0.0, 0.0),
        (None, Some(_)) => (1.0, 0.0),
        (Some(_), Some(lowest)) => (weight.clamp(0.0, 1.0), lowest.score.max(0.0)),
    };
    let words = |hit: &Hit| (1.0 - weight) * hit.share;
    let meaning = |hit: &Hit| weight * (hit.score - floor).max(0.0);
    let mut fused = join(&[lexical, dense], |list, _, hit| if list == 0 { words(hit) } else { meaning(hit) });
    fused.iter_mut().for_each(|f| f.score = f.score.clamp(0.0, 1.0));
    fused
}

/// Reciprocal rank fusion of lists with weights. Best first; equal scores by chunk id. A chunk that a list repeats
/// counts at its first rank. It needs no scores that compare; where they do, [`fuse`] is better.
#[must_use]
pub fn rrf(lists: &[(f32, &[Hit])], k: f32) -> Vec<Fused> {
    let hits: Vec<&[Hit]> = lists.iter().map(|(_, hits)| *hits).collect();
    join(&hits, |list, rank, _| lists[list].0 / (k + rank as f32))
}

/// Sums what `worth` gives a hit by its list and its rank, from 1.
fn join(lists: &[&[Hit]], worth: impl Fn(usize, usize, &Hit) -> f32) -> Vec<Fused> {
    let mut fused: Vec<Fused> = Vec::new();
    let mut by_id: HashMap<&str, usize> = HashMap::new();
    for (list, hits) in lists.iter().enumerate() {
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
                entry.score += worth(list, i + 1, hit);
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
