//! Figures of ranked results, defined as `trec_eval` and BEIR define them, so that they compare with published ones.

use std::collections::HashMap;

/// How relevant documents are to one query, by their id. Above 0 is relevant; what is not there, or is 0 or less, is not.
pub type Judgements = HashMap<String, f64>;

/// Figures of one query, or their mean over queries. All are between 0 and 1.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Figures {
    /// Normalised discounted cumulative gain of the first ten: the gain is the judgement itself, the discount `log2(rank + 1)`, the ideal the best
    /// order of all judged documents (Järvelin and Kekäläinen 2002; `ndcg_cut_10` of `trec_eval`).
    pub ndcg_10: f64,
    /// Share of the relevant documents that are among the first ten.
    pub recall_10: f64,
    /// Share of the relevant documents that are among the first hundred.
    pub recall_100: f64,
    /// One divided by the rank of the first relevant document, 0 when none is among the first ten.
    pub mrr_10: f64,
}

/// The figures of one query. `ranked` has the ids of documents, best first, each once.
pub fn figures(ranked: &[&str], judged: &Judgements) -> Figures {
    let gain = |id: &&str| judged.get(*id).copied().unwrap_or(0.0).max(0.0);
    let relevant = judged.values().filter(|g| **g > 0.0).count();
    if relevant == 0 {
        return Figures::default();
    }
    let mut ideal: Vec<f64> = judged.values().copied().filter(|g| *g > 0.0).collect();
    ideal.sort_by(|a, b| b.total_cmp(a));
    let found = |k: usize| ranked.iter().take(k).filter(|id| gain(id) > 0.0).count() as f64 / relevant as f64;
    let first = ranked.iter().take(10).position(|id| gain(id) > 0.0);
    Figures {
        ndcg_10: discounted(ranked.iter().map(gain)) / discounted(ideal.into_iter()),
        recall_10: found(10),
        recall_100: found(100),
        mrr_10: first.map_or(0.0, |at| 1.0 / (at as f64 + 1.0)),
    }
}

/// Discounted cumulative gain of the first ten.
fn discounted(gains: impl Iterator<Item = f64>) -> f64 {
    gains.take(10).zip(2_u32..).map(|(gain, place)| gain / f64::from(place).log2()).sum()
}

/// The mean of the figures of several queries; zeros for none.
pub fn mean(all: &[Figures]) -> Figures {
    let of = |figure: fn(&Figures) -> f64| if all.is_empty() { 0.0 } else { all.iter().map(figure).sum::<f64>() / all.len() as f64 };
    Figures { ndcg_10: of(|f| f.ndcg_10), recall_10: of(|f| f.recall_10), recall_100: of(|f| f.recall_100), mrr_10: of(|f| f.mrr_10) }
}

/// The value that a share of the values, from 0 to 1, does not exceed: the nearest-rank percentile. 0 for no values.
pub fn percentile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    // Within the length of a list, so the cast loses nothing.
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied().unwrap_or(0.0)
}
