//! BM25 over one tenant's postings.
//!
//! Score of a chunk: for each word of the query `idf * tf / (tf + k1 * (1 - b + b * length / average))`, with
//! `idf = ln(1 + (N - df + 0.5) / (df + 0.5))` (Robertson and Zaragoza, "The Probabilistic Relevance Framework", 2009;
//! the numbers and their sources are in `bm25.rs`).
//!
//! N, df and the average are those of the tenant's live chunks, whatever the filter: scores stay comparable between
//! filters, and other tenants cannot move them. Inside a tenant a score tells how common a word is in all its sources,
//! so raw scores are for those who may read them all; the order and the chunks shown never go beyond the filter.
//!
//! The search is exact and does not look at every posting. In each window of slots, the words whose best scores there do
//! not together reach the k-th best chunk so far cannot alone bring a chunk in; only the chunks of the others are
//! looked at, and of these only the promising ones are scored in full (Turtle and Flood, "Query Evaluation: Strategies
//! and Optimizations", 1995, here with the bounds of blocks).

use super::bits::Bits;
use super::bm25::{self, B, K1};
use super::postings::{Best, Cursor, END, Packed, Postings};
use super::tenant::{Allowed, Tenant};
use super::topk::{Scored, TopK};
use crate::analysis::QueryTerm;

/// Slots that are bounded together.
const WINDOW: u32 = 2048;
/// Bounds are sums in another order than scores; this is more than the rounding of 256 additions.
const SLACK: f32 = 1.0 + 1e-4;

/// Inverse document frequency of a term among the tenant's live chunks.
pub fn idf(tenant: &Tenant, term: &str) -> f32 {
    let (chunks, _) = tenant.live_totals();
    let df = tenant.postings(term).map_or(0, |p| p.count(tenant.live()));
    bm25::idf(count(chunks), df as f32)
}

fn count(n: u32) -> f32 {
    n as f32
}

/// One word of the query: its forms in the index.
struct Group<'a> {
    /// The word's inverse document frequency times its weight.
    idf: f32,
    forms: Vec<Form<'a>>,
    /// The lowest slot of its forms.
    slot: u32,
    /// What it can add in the present window at most.
    bound: f32,
}

struct Form<'a> {
    cursor: Cursor<'a>,
    weight: f32,
}

/// The average length of a chunk, and the lengths of all.
#[derive(Clone, Copy)]
struct Lengths<'a> {
    average: f32,
    of: &'a [u32],
}

impl Lengths<'_> {
    fn share(self, slot: u32, tf: u8, weight: f32) -> f32 {
        bm25::share(weight, f32::from(tf), count(self.of[slot as usize]), self.average)
    }

    fn bound(self, best: Best, weight: f32) -> f32 {
        weight / (1.0 + K1 * ((1.0 - B) / f32::from(best.count) + B * best.length / self.average))
    }
}

impl Group<'_> {
    /// Bounds what the group can add to a chunk with a slot from `from` to before `until`.
    fn bound(&mut self, from: u32, until: u32, lengths: Lengths<'_>) {
        let shares = self.forms.iter_mut().filter_map(|f| f.cursor.best(from, until).map(|best| lengths.bound(best, f.weight)));
        self.bound = shares.fold(0.0, f32::max) * self.idf * SLACK;
    }

    fn seek(&mut self, target: u32) {
        self.forms.iter_mut().for_each(|f| f.cursor.seek(target));
        self.slot = self.forms.iter().map(|f| f.cursor.slot()).min().unwrap_or(END);
    }

    /// What the group adds to the chunk at `slot`, where it stands; goes on behind it.
    fn take(&mut self, slot: u32, lengths: Lengths<'_>) -> f32 {
        let (mut share, mut next) = (0.0_f32, END);
        for form in &mut self.forms {
            if form.cursor.slot() == slot {
                share = share.max(lengths.share(slot, form.cursor.count(), form.weight));
                form.cursor.step();
            }
            next = next.min(form.cursor.slot());
        }
        self.slot = next;
        self.idf * share
    }
}

/// The best `k` allowed chunks, and the best score that a chunk could reach.
pub fn search(tenant: &Tenant, allowed: &Allowed, terms: &[QueryTerm], k: usize) -> (Vec<Scored>, f32) {
    let (chunks, words) = tenant.live_totals();
    if chunks == 0 || k == 0 {
        return (Vec::new(), 0.0);
    }
    let average = ((words as f64 / f64::from(chunks)) as f32).max(1.0);
    let lengths = Lengths { average, of: tenant.lengths() };
    let found: Vec<Vec<(f32, &Postings)>> = terms.iter().map(|term| postings_of(tenant, term)).collect();
    // Forms whose entries are in blocks and in the tail are two forms here; a chunk is in one of them.
    let tails: Vec<Vec<Packed>> = found.iter().map(|forms| forms.iter().map(|(_, p)| p.pack_tail(lengths.of)).collect()).collect();
    let mut reachable = 0.0;
    let mut groups = Vec::with_capacity(terms.len());
    for ((term, forms), tails) in terms.iter().zip(&found).zip(&tails) {
        // The group is one word: its frequency is that of the chunks that hold any of its forms.
        let idf = bm25::idf(count(chunks), frequency(forms, tails, tenant.live()) as f32) * term.weight;
        reachable += idf;
        let parts = forms.iter().zip(tails).flat_map(|((weight, p), tail)| p.packed().into_iter().chain([tail]).map(move |p| (*weight, p)));
        let forms = parts.map(|(weight, packed)| Form { cursor: Cursor::new(packed), weight });
        let mut group = Group { idf, forms: forms.filter(|f| f.cursor.slot() != END).collect(), slot: END, bound: 0.0 };
        group.seek(0);
        groups.push(group);
    }
    groups.retain(|group| group.slot != END);
    let mut top = TopK::new(k, |a, b| tenant.ties(a, b));
    walk(&mut groups, allowed, lengths, |slot, score| {
        top.push(slot, score);
        top.floor()
    });
    (top.into_sorted(), reachable)
}

fn postings_of<'a>(tenant: &'a Tenant, term: &QueryTerm) -> Vec<(f32, &'a Postings)> {
    term.alternatives.iter().filter_map(|form| tenant.postings(&form.text).map(|p| (form.weight, p))).collect()
}

/// How many live chunks hold at least one of the forms.
fn frequency(forms: &[(f32, &Postings)], tails: &[Packed], live: Option<&Bits>) -> usize {
    let mut order: Vec<usize> = (0..forms.len()).collect();
    order.sort_by_key(|i| std::cmp::Reverse(forms[*i].1.len()));
    let Some((longest, others)) = order.split_first() else { return 0 };
    let mut total = forms[*longest].1.count(live);
    for (done, form) in others.iter().enumerate() {
        // The shorter lists are looked up in the longer ones.
        let counted = order[..=done].iter().flat_map(|i| forms[*i].1.packed().into_iter().chain([&tails[*i]]));
        let mut counted: Vec<Cursor<'_>> = counted.map(Cursor::new).collect();
        let new = forms[*form].1.slots().filter(|slot| live.is_none_or(|live| live.contains(*slot))).filter(|slot| {
            counted.iter_mut().all(|cursor| {
                cursor.seek(*slot);
                cursor.slot() != *slot
            })
        });
        total += new.count();
    }
    total
}

/// Offers every allowed chunk that may be among the best, with its score; `offer` answers with the score below which
/// nothing is needed any more.
fn walk(groups: &mut [Group<'_>], allowed: &Allowed, lengths: Lengths<'_>, mut offer: impl FnMut(u32, f32) -> f32) {
    let mut floor = f32::NEG_INFINITY;
    // Groups by what they can add in the window, the least first, and what those up to each can add together.
    let mut order: Vec<usize> = (0..groups.len()).collect();
    let mut sums = vec![0.0_f32; groups.len()];
    let mut added = vec![0.0_f32; groups.len()];
    let mut from = 0;
    while let Some(start) = groups.iter().map(|g| g.slot).filter(|slot| *slot != END).min().map(|slot| slot.max(from)) {
        let Some(start) = allowed.next(start) else { return };
        let until = start.saturating_add(WINDOW);
        for group in groups.iter_mut() {
            group.bound(start, until, lengths);
        }
        order.sort_unstable_by(|a, b| groups[*a].bound.total_cmp(&groups[*b].bound));
        let mut sum = 0.0;
        for (i, group) in order.iter().enumerate() {
            sum += groups[*group].bound;
            sums[i] = sum;
        }
        let rest = sums.partition_point(|sum| *sum < floor);
        let (others, leading) = order.split_at(rest);
        for group in leading {
            groups[*group].seek(start);
        }
        while let Some(slot) = leading.iter().map(|g| groups[*g].slot).min().filter(|slot| *slot < until) {
            match allowed.next(slot) {
                Some(next) if next == slot => {}
                next => {
                    let next = next.unwrap_or(END);
                    leading.iter().for_each(|g| groups[*g].seek(next));
                    continue;
                }
            }
            added.fill(0.0);
            let mut reached = 0.0;
            for group in leading {
                if groups[*group].slot == slot {
                    added[*group] = groups[*group].take(slot, lengths);
                    reached += added[*group];
                }
            }
            let promising = others.iter().enumerate().rev().all(|(i, group)| {
                if (reached + sums[i]) * SLACK < floor {
                    return false;
                }
                groups[*group].seek(slot);
                if groups[*group].slot == slot {
                    added[*group] = groups[*group].take(slot, lengths);
                    reached += added[*group];
                }
                true
            });
            if promising && reached * SLACK >= floor {
                // In the order of the query, so that the sum does not depend on the way here.
                floor = offer(slot, added.iter().sum());
            }
        }
        from = until;
        // What was passed over is behind.
        for group in groups.iter_mut().filter(|g| g.slot < from) {
            group.seek(from);
        }
    }
}
