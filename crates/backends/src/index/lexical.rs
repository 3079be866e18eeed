//! BM25 over one tenant's postings.
//!
//! Score of a chunk: for each word of the query `idf * tf / (tf + k1 * (1 - b + b * length / average))`, with
//! `idf = ln(1 + (N - df + 0.5) / (df + 0.5))` (Robertson and Zaragoza, "The Probabilistic Relevance Framework", 2009;
//! the idf that cannot turn negative is Lucene's). k1 = 0.9 and b = 0.4 are the defaults of Anserini (Lin and others).
//!
//! N, df and the average are those of the tenant's live chunks, whatever the filter: scores stay comparable between
//! filters, and other tenants cannot move them. Inside a tenant a score tells how common a word is in all its sources,
//! so raw scores are for those who may read them all; the order and the chunks shown never go beyond the filter.

use super::tenant::{Allowed, Tenant};
use super::topk::{Scored, TopK};
use crate::analysis::QueryTerm;

const K1: f32 = 0.9;
const B: f32 = 0.4;

/// Inverse document frequency of a term among the tenant's live chunks.
pub fn idf(tenant: &Tenant, term: &str) -> f32 {
    let (chunks, _) = tenant.live_totals();
    let df = tenant.postings(term).map_or(0, |p| p.iter().filter(|(slot, _)| tenant.is_live(*slot)).count());
    weight(count(chunks), count(u32::try_from(df).unwrap_or(u32::MAX)))
}

fn weight(total: f32, df: f32) -> f32 {
    (1.0 + (total - df + 0.5) / (df + 0.5)).ln()
}

/// The best `k` allowed chunks, and the best score that a chunk could reach.
pub fn search(tenant: &Tenant, allowed: &Allowed, terms: &[QueryTerm], k: usize) -> (Vec<Scored>, f32) {
    let (chunks, words) = tenant.live_totals();
    if chunks == 0 || k == 0 {
        return (Vec::new(), 0.0);
    }
    let total = count(chunks);
    let average = ((words as f64 / f64::from(chunks)) as f32).max(1.0);
    let check_live = tenant.has_dead();
    let mut scores = vec![0.0_f32; tenant.slots()];
    let mut best = vec![0.0_f32; tenant.slots()];
    let mut matched = Vec::new();
    let mut hits = Vec::new();
    let mut reachable = 0.0;
    for term in terms {
        matched.clear();
        for alternative in &term.alternatives {
            let Some(postings) = tenant.postings(&alternative.text) else { continue };
            for (slot, tf) in postings.iter().filter(|(slot, _)| !check_live || tenant.is_live(*slot)) {
                let (tf, length) = (count(tf), count(tenant.length(slot)));
                let share = alternative.weight * tf / (tf + K1 * (1.0 - B + B * length / average));
                let known = &mut best[slot as usize];
                if *known == 0.0 {
                    matched.push(slot);
                }
                *known = known.max(share);
            }
        }
        // The group is one word: its frequency is that of the chunks that hold any of its forms.
        let df = count(u32::try_from(matched.len()).unwrap_or(u32::MAX));
        let idf = weight(total, df) * term.weight;
        reachable += idf;
        for slot in &matched {
            let share = std::mem::take(&mut best[*slot as usize]);
            let score = &mut scores[*slot as usize];
            if *score == 0.0 {
                hits.push(*slot);
            }
            *score += idf * share;
        }
    }
    let mut top = TopK::new(k, |a, b| tenant.ties(a, b));
    for slot in hits.into_iter().filter(|slot| tenant.allows(allowed, *slot)) {
        top.push(slot, scores[slot as usize]);
    }
    (top.into_sorted(), reachable)
}
fn count(n: u32) -> f32 {
    n as f32
}
