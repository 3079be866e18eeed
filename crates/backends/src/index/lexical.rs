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
//! not together reach the k-th best chunk so far cannot alone bring a chunk in (Turtle and Flood, "Query Evaluation:
//! Strategies and Optimizations", 1995, here with the bounds of blocks). The others are added up list by list, which costs a
//! few instructions a posting; then each further word is looked up in the chunks that can still reach the k-th best.

use super::bits::Bits;
use super::bm25::{self, B, K1, Unit};
use super::postings::{Best, Cursor, END, Packed, Postings};
use super::tenant::{Allowed, Tenant};
use super::topk::{Scored, TopK};
use crate::analysis::QueryTerm;

/// Slots that are bounded together, whole words of a set of bits.
const WINDOW: u32 = 4096;
/// In a window where a filter allows no more slots than this, these are looked up instead of walking the lists.
const FEW: u32 = 128;
/// How many postings can be added in the time that one chunk is looked up in.
const LOOKUP: usize = 4;
/// More than the rounding of the few operations by which a bound differs from a share.
const SLACK: f32 = 1.0 + 1e-5;
/// Lengths of chunks whose norm is kept at hand; hardly any chunk is longer.
const NORMS: usize = 512;

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
    /// What it can add in the present window at most, and about how many chunks have it there.
    bound: u32,
    entries: usize,
}

struct Form<'a> {
    cursor: Cursor<'a>,
    weight: f32,
    /// What it can add in the present window at most, about how many chunks have it there, and the slot up to which both hold for later
    /// windows, too.
    bound: u32,
    entries: usize,
    holds: u32,
}

/// How counts become scores.
struct Scale<'a> {
    average: f32,
    unit: Unit,
    lengths: &'a [u32],
    /// By length.
    norms: Vec<f32>,
}

impl<'a> Scale<'a> {
    fn new(average: f32, unit: Unit, lengths: &'a [u32]) -> Self {
        let norms = (0..NORMS).map(|length| bm25::norm(length as f32, average)).collect();
        Self { average, unit, lengths, norms }
    }

    #[inline]
    fn units(&self, slot: u32, tf: u8, weight: f32, idf: f32) -> u32 {
        let length = self.lengths[slot as usize];
        let norm = self.norms.get(length as usize).copied().unwrap_or_else(|| bm25::norm(count(length), self.average));
        self.unit.whole(idf * bm25::share(weight, f32::from(tf), norm))
    }

    fn bound(&self, best: Best, weight: f32, idf: f32) -> u32 {
        let share = weight / (1.0 + K1 * ((1.0 - B) / f32::from(best.count) + B * best.length / self.average));
        self.unit.whole(idf * share * SLACK) + 1
    }
}

impl Group<'_> {
    /// Bounds what the group can add to a chunk with a slot from `from` to before `until`.
    fn bound(&mut self, from: u32, until: u32, scale: &Scale<'_>) {
        (self.bound, self.entries) = (0, 0);
        for form in &mut self.forms {
            if form.holds < until {
                let ahead = form.cursor.ahead(from, until);
                form.bound = ahead.best.map_or(0, |best| scale.bound(best, form.weight, self.idf));
                (form.entries, form.holds) = (ahead.entries, ahead.holds);
            }
            self.bound = self.bound.max(form.bound);
            self.entries += form.entries;
        }
    }

    /// Adds what the group brings the chunks from `from` to before `until`, each chunk once, by its best form:
    /// all of them, and then they are marked on the board, or those that are `wanted` by slot and by what they have earned.
    fn add(&mut self, (from, until): (u32, u32), scale: &Scale<'_>, board: &mut Board, wanted: Option<impl Fn(u32, u32) -> bool>) {
        let idf = self.idf;
        let single = self.forms.iter().filter(|form| form.bound > 0).count() == 1;
        for form in self.forms.iter_mut().filter(|form| form.bound > 0) {
            let weight = form.weight;
            form.cursor.each(from, until, |slot, tf| {
                let at = slot - from;
                if wanted.as_ref().is_some_and(|wanted| !wanted(slot, board.earned[at as usize])) {
                    return;
                }
                let units = scale.units(slot, tf, weight, idf);
                board.earned[at as usize] += if single { units } else { board.more(at, units) };
                if wanted.is_none() {
                    board.touched[at as usize / 64] |= 1 << (at % 64);
                }
            });
        }
        board.close();
    }

    /// What the group adds to the chunk at `slot`, which is in the present window and behind those asked for before.
    fn at(&mut self, slot: u32, scale: &Scale<'_>) -> u32 {
        let mut most = 0;
        for form in self.forms.iter_mut().filter(|form| form.bound > 0) {
            form.cursor.seek(slot);
            if form.cursor.slot() == slot {
                most = most.max(scale.units(slot, form.cursor.count(), form.weight, self.idf));
            }
        }
        most
    }
}

/// What the chunks of a window have earned, by their place in it.
struct Board {
    earned: Vec<u32>,
    /// Which have earned something.
    touched: Vec<u64>,
    /// What the present word has brought each, and which have got something.
    present: Vec<u32>,
    got: Vec<u32>,
}

impl Board {
    fn new() -> Self {
        let window = WINDOW as usize;
        Self { earned: vec![0; window], touched: vec![0; window / 64], present: vec![0; window], got: Vec::new() }
    }

    /// What `units` by a form of the present word are more than other forms have brought a place so far.
    #[inline]
    fn more(&mut self, at: u32, units: u32) -> u32 {
        let before = &mut self.present[at as usize];
        if *before == 0 {
            self.got.push(at);
        }
        let more = units.saturating_sub(*before);
        *before += more;
        more
    }

    /// Ends the present word.
    fn close(&mut self) {
        for at in self.got.drain(..) {
            self.present[at as usize] = 0;
        }
    }

    /// The allowed places that have earned something; the others are cleared.
    fn places(&mut self, from: u32, allowed: Option<&Bits>, into: &mut Vec<u32>) {
        for (word, touched) in (0_u32..).zip(&mut self.touched) {
            let mut left = std::mem::take(touched);
            let may = allowed.map_or(u64::MAX, |slots| slots.word((from / 64 + word) as usize));
            while left != 0 {
                let bit = left.trailing_zeros();
                left &= left - 1;
                let at = word * 64 + bit;
                if may >> bit & 1 == 1 {
                    into.push(at);
                } else {
                    self.earned[at as usize] = 0;
                }
            }
        }
    }

    /// Keeps the places that have at least `least`; the others are cleared.
    fn keep(&mut self, least: u32, places: &mut Vec<u32>) {
        let earned = &mut self.earned;
        places.retain(|at| {
            let earned = &mut earned[*at as usize];
            let enough = *earned >= least;
            if !enough {
                *earned = 0;
            }
            enough
        });
    }
}

/// The best `k` allowed chunks, and the best score that a chunk could reach.
pub fn search(tenant: &Tenant, allowed: &Allowed, terms: &[QueryTerm], k: usize) -> (Vec<Scored>, f32) {
    let (chunks, words) = tenant.live_totals();
    if chunks == 0 || k == 0 {
        return (Vec::new(), 0.0);
    }
    let average = ((words as f64 / f64::from(chunks)) as f32).max(1.0);
    let found: Vec<Vec<(f32, &Postings)>> = terms.iter().map(|term| postings_of(tenant, term)).collect();
    // Forms whose entries are in blocks and in the tail are two forms here; a chunk is in one of them.
    let tails: Vec<Vec<Packed>> = found.iter().map(|forms| forms.iter().map(|(_, p)| p.pack_tail(tenant.lengths())).collect()).collect();
    let mut reachable = 0.0;
    let mut groups = Vec::with_capacity(terms.len());
    for ((term, forms), tails) in terms.iter().zip(&found).zip(&tails) {
        // The group is one word: its frequency is that of the chunks that hold any of its forms.
        let idf = bm25::idf(count(chunks), frequency(forms, tails, tenant) as f32) * term.weight;
        reachable += idf;
        let parts = forms.iter().zip(tails).flat_map(|((weight, p), tail)| p.packed().into_iter().chain([tail]).map(move |p| (*weight, p)));
        let forms = parts.map(|(weight, packed)| Form { cursor: Cursor::new(packed), weight, bound: 0, entries: 0, holds: 0 });
        let forms: Vec<Form<'_>> = forms.filter(|f| f.cursor.slot() != END).collect();
        groups.push(Group { idf, forms, bound: 0, entries: 0 });
    }
    groups.retain(|group| !group.forms.is_empty());
    let unit = Unit::of(reachable);
    let mut top = TopK::new(k, |a, b| tenant.ties(a, b));
    walk(&mut groups, allowed, &Scale::new(average, unit, tenant.lengths()), |slot, units| {
        // Below 2^24 units, so exact.
        top.push(slot, units as f32);
        top.floor().max(1.0) as u32
    });
    let scored = top.into_sorted().into_iter().map(|s| Scored { score: unit.score(s.score), slot: s.slot });
    (scored.collect(), reachable)
}

fn postings_of<'a>(tenant: &'a Tenant, term: &QueryTerm) -> Vec<(f32, &'a Postings)> {
    term.alternatives.iter().filter_map(|form| tenant.postings(&form.text).map(|p| (form.weight, p))).collect()
}

/// How many live chunks hold at least one of the forms.
fn frequency(forms: &[(f32, &Postings)], tails: &[Packed], tenant: &Tenant) -> usize {
    let live = tenant.live();
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

/// Offers every allowed chunk that may be among the best, with what it earned; `offer` answers with what is needed from now on.
fn walk(groups: &mut [Group<'_>], allowed: &Allowed, scale: &Scale<'_>, mut offer: impl FnMut(u32, u32) -> u32) {
    let mut floor = 1;
    // Groups by what they can add in the window, the least first, and what those up to each can add together.
    let mut order: Vec<usize> = (0..groups.len()).collect();
    let mut sums = vec![0_u32; groups.len()];
    let mut board = Board::new();
    let mut places: Vec<u32> = Vec::new();
    let mut next = 0;
    while let Some(start) = allowed.next(next) {
        let from = start / WINDOW * WINDOW;
        let until = from.saturating_add(WINDOW);
        for group in groups.iter_mut() {
            group.bound(from, until, scale);
        }
        next = groups.iter().flat_map(|g| &g.forms).map(|f| if f.bound > 0 { until } else { f.holds }).min().unwrap_or(END).max(until);
        if next == END {
            return;
        }
        order.sort_unstable_by_key(|group| groups[*group].bound);
        let mut sum = 0;
        for (i, group) in order.iter().enumerate() {
            sum += groups[*group].bound;
            sums[i] = sum;
        }
        let mut rest = sums.partition_point(|sum| *sum < floor);
        if rest == groups.len() {
            continue;
        }
        let few = allowed.slots().filter(|slots| slots.count_in(from, until) <= FEW);
        if let Some(slots) = few {
            rest = groups.len();
            places.extend(slots.within(from, until).map(|slot| slot - from));
        } else {
            for group in &order[rest..] {
                groups[*group].add((from, until), scale, &mut board, None::<fn(u32, u32) -> bool>);
            }
            board.places(from, allowed.slots(), &mut places);
        }
        for i in (0..rest).rev() {
            board.keep(floor.saturating_sub(sums[i]), &mut places);
            if places.is_empty() {
                break;
            }
            let group = &mut groups[order[i]];
            if group.entries < places.len() * LOOKUP {
                match few {
                    Some(slots) => group.add((from, until), scale, &mut board, Some(|slot, _| slots.contains(slot))),
                    None => group.add((from, until), scale, &mut board, Some(|_, earned| earned > 0)),
                }
            } else {
                for at in &places {
                    board.earned[*at as usize] += group.at(from + at, scale);
                }
            }
        }
        for at in places.drain(..) {
            let earned = std::mem::take(&mut board.earned[at as usize]);
            if earned >= floor {
                floor = offer(from + at, earned);
            }
        }
        if let Some(slots) = few {
            // Places that were given up may have earned more since.
            slots.within(from, until).for_each(|slot| board.earned[(slot - from) as usize] = 0);
        }
    }
}
