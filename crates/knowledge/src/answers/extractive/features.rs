//! Evidence that a sentence answers a question, as numbers.

use super::candidates::{Bag, Candidate, Shape, Surroundings};
use super::holdings::{Holdings, holdings};
use super::kinds::Kind;
use super::question::{Concept, Question};
use super::{Embedding, Passage, ranges};

/// Number of features.
pub const FEATURES: usize = 25;

/// Names of the features, for reports.
pub const FEATURE_NAMES: [&str; FEATURES] = [
    "bias",
    "own_coverage",
    "context_coverage",
    "passage_coverage",
    "heading_coverage",
    "rarest_missing_context",
    "entity_missing_context",
    "entity_missing_passage",
    "code_missing_context",
    "unseen_share",
    "kind_found",
    "plain_kind_absent",
    "loose_kind_absent",
    "kind_absent_from_passage",
    "count_beside_its_noun",
    "adjacent_concepts",
    "first_rank",
    "rank_decay",
    "long",
    "very_short",
    "row_or_item",
    "opens_section",
    "value_in_range",
    "sentence_similarity",
    "passage_similarity",
];

/// One sentence's features. All lie in about -1..1; see [`FEATURE_NAMES`].
pub type Features = [f32; FEATURES];

/// What a match in each zone is worth for the coverage in context.
const HEADING: f32 = 0.85;
const LEAD: f32 = 0.75;
const NEXT: f32 = 0.45;
const PASSAGE: f32 = 0.3;

/// How well a bag holds a concept: the weight of the best alternative, or of a long common beginning.
pub(super) fn holds(bag: &Bag, concept: &Concept) -> f32 {
    let best = concept.alternatives.iter().filter(|a| bag.positions.contains_key(&a.text)).map(|a| a.weight).fold(0.0, f32::max);
    if best >= 0.6 || concept.entity {
        return best;
    }
    let Some(stem) = concept.alternatives.first().map(|a| a.text.as_str()) else { return best };
    let length = stem.chars().count();
    if length < 5 {
        return best;
    }
    let similar = bag.positions.keys().any(|term| {
        let other = term.chars().count();
        let common = stem.chars().zip(term.chars()).take_while(|(a, b)| a == b).count();
        common >= 5 && common * 10 >= length.max(other) * 7
    });
    if similar { best.max(0.6) } else { best }
}

pub(super) struct Extractor<'a> {
    pub question: &'a Question,
    pub passages: &'a [Passage<'a>],
    pub surroundings: &'a [Surroundings],
    /// The passages' ranks by the question's words, from 0.
    pub ranks: &'a [usize],
    /// Similarities of sentences to the question, by candidate; empty without an embedder.
    pub similarities: &'a [Option<f32>],
}

/// Ranks passages by the question's words (BM25's saturation and length norm, k1 0.9, b 0.4, over the concepts' weights). The fused order of the search
/// is not used: where the embedder does not know the language, it says little about where an answer is.
pub(super) fn rank_passages(question: &Question, passages: &[Passage<'_>], surroundings: &[Surroundings]) -> Vec<usize> {
    let lengths: Vec<f32> = surroundings.iter().map(|s| s.all.starts.len() as f32).collect();
    let mean = (lengths.iter().sum::<f32>() / lengths.len().max(1) as f32).max(1.0);
    let score = |at: usize| -> f32 {
        let (Some(around), Some(length)) = (surroundings.get(at), lengths.get(at)) else { return 0.0 };
        let norm = 0.9 * (0.6 + 0.4 * length / mean);
        let one = |concept: &Concept| {
            let best = concept.alternatives.iter().filter_map(|a| around.all.positions.get(&a.text).map(|p| (a.weight, p.len() as f32)));
            best.map(|(weight, count)| weight * count * 1.9 / (count + norm)).fold(0.0, f32::max)
        };
        question.concepts.iter().map(|c| c.weight * one(c)).sum()
    };
    let scores: Vec<f32> = (0..passages.len()).map(score).collect();
    let mut order: Vec<usize> = (0..passages.len()).collect();
    order.sort_by(|a, b| {
        let (left, right) = (scores.get(*a).unwrap_or(&0.0), scores.get(*b).unwrap_or(&0.0));
        right.total_cmp(left).then_with(|| passages.get(*a).map(|p| p.rank).cmp(&passages.get(*b).map(|p| p.rank)))
    });
    let mut ranks = vec![0; passages.len()];
    for (rank, at) in order.into_iter().enumerate() {
        if let Some(slot) = ranks.get_mut(at) {
            *slot = rank;
        }
    }
    ranks
}

impl Extractor<'_> {
    pub(super) fn features(&self, at: usize, candidate: &Candidate) -> Features {
        let question = self.question;
        let empty = Bag::default();
        let around = self.surroundings.get(candidate.passage);
        let heading = around.map_or(&empty, |s| &s.heading);
        let all = around.map_or(&empty, |s| &s.all);
        let (mut own, mut context, mut passage, mut title) = (0.0f32, 0.0f32, 0.0f32, 0.0f32);
        let (mut rarest, mut entity_context, mut entity_passage, mut code_context, mut unseen) = (0.0f32, 0.0f32, 0.0f32, 0.0f32, 0.0f32);
        for concept in &question.concepts {
            let in_own = holds(&candidate.own, concept);
            let in_heading = holds(heading, concept);
            let in_all = holds(all, concept);
            let named = in_own.max(HEADING * in_heading).max(LEAD * holds(&candidate.lead, concept));
            let best = named.max(NEXT * holds(&candidate.next, concept)).max(PASSAGE * in_all);
            own += concept.weight * in_own;
            title += concept.weight * in_heading;
            context += concept.weight * best;
            passage += concept.weight * in_all;
            rarest = rarest.max(concept.weight * (1.0 - best));
            if concept.entity {
                // What is only said further on is another thing's name.
                entity_context = entity_context.max(1.0 - named);
                entity_passage = entity_passage.max(1.0 - in_all);
                if concept.surface.bytes().any(|b| b.is_ascii_digit()) {
                    code_context = code_context.max(1.0 - named);
                }
            }
            if concept.unseen {
                unseen += concept.weight;
            }
        }
        let text = self.passages.get(candidate.passage).map_or("", |p| p.text);
        let sentence = text.get(candidate.bytes.clone()).unwrap_or_default();
        let asked = |word: &str| question.words.contains(word);
        let header = candidate.header.as_ref().and_then(|h| text.get(h.clone()));
        let held = holdings(sentence, &asked);
        let asks = question.kind != Kind::Any;
        let beside = self.count_beside_noun(candidate, &held);
        let mut kind = held.match_of(question.kind);
        if let Some(header) = header.filter(|_| kind < 1.0) {
            kind = kind.max(holdings(&with_units(header, sentence), &asked).match_of(question.kind));
        }
        if let Some(role) = question.role.and_then(|i| question.concepts.get(i))
            && holds(&candidate.own, role) == 0.0
            && holds(&candidate.lead, role) == 0.0
            && holds(heading, role) == 0.0
        {
            // Some person's name is not the name of the person in that role.
            kind = 0.0;
        }
        if question.kind == Kind::Count && !question.focus.is_empty() && beside == 0.0 {
            // Some number is not the number of the things asked for.
            kind *= 0.5;
        }
        let passage_kind = if asks && kind < 1.0 { holdings(text, &asked).match_of(question.kind) } else { 1.0 };
        let rank = self.ranks.get(candidate.passage).copied().unwrap_or(usize::MAX);
        let length = sentence.chars().count() as f32;
        let mut f = [0.0f32; FEATURES];
        let values = [
            1.0,
            own,
            context,
            passage,
            title,
            rarest,
            entity_context,
            entity_passage,
            code_context,
            unseen,
            if asks { kind } else { 0.0 },
            if question.kind.is_plain_to_see() { 1.0 - kind } else { 0.0 },
            if asks && !question.kind.is_plain_to_see() { 1.0 - kind } else { 0.0 },
            1.0 - passage_kind,
            beside,
            self.adjacency(candidate),
            f32::from(u8::from(rank == 0)),
            1.0 / (1.0 + rank as f32).sqrt(),
            ((length - 150.0) / 300.0).clamp(-0.5, 1.0),
            f32::from(u8::from(length < 25.0)),
            f32::from(u8::from(candidate.shape != Shape::Prose)),
            f32::from(u8::from(candidate.opens_section)),
            f32::from(u8::from(ranges::holds_value(sentence, &question.values))),
            self.similarities.get(at).copied().flatten().unwrap_or(0.0),
            self.passages.get(candidate.passage).and_then(|p| p.dense_score).unwrap_or(0.0),
        ];
        f.copy_from_slice(&values);
        f
    }

    /// For "how many X": 1 when a number stands within four words before X or two after it.
    fn count_beside_noun(&self, candidate: &Candidate, held: &Holdings) -> f32 {
        if self.question.kind != Kind::Count || held.counts_at.is_empty() {
            return 0.0;
        }
        let focus: Vec<&Concept> = self.question.focus.iter().filter_map(|i| self.question.concepts.get(*i)).collect();
        let empty = Bag::default();
        let heading = self.surroundings.get(candidate.passage).map_or(&empty, |s| &s.heading);
        // "Electric cars" are not counted by a sentence about cars.
        let named = |c: &Concept| holds(&candidate.own, c) > 0.0 || holds(&candidate.lead, c) > 0.0 || holds(heading, c) > 0.0;
        if focus.is_empty() || !focus.iter().all(|c| named(c)) {
            return 0.0;
        }
        let places = |c: &Concept| -> Vec<u32> {
            c.alternatives.iter().filter_map(|a| candidate.own.positions.get(&a.text)).flatten().copied().collect()
        };
        let near = focus.iter().flat_map(|c| places(c)).any(|position| {
            held.counts_at.iter().any(|byte| {
                let number = candidate.own.starts.iter().take_while(|(start, _)| start <= byte).last().map_or(0, |(_, position)| *position);
                (-3..=4).contains(&(i64::from(position) - i64::from(number)))
            })
        });
        f32::from(u8::from(near))
    }

    /// Share of neighbouring concepts of the question that stand within three words of each other in the sentence.
    fn adjacency(&self, candidate: &Candidate) -> f32 {
        let mut pairs = 0.0f32;
        let mut near = 0.0f32;
        for pair in self.question.concepts.windows(2) {
            let [first, second] = pair else { continue };
            let weight = first.weight + second.weight;
            pairs += weight;
            let places = |concept: &Concept| -> Vec<u32> {
                concept.alternatives.iter().filter_map(|a| candidate.own.positions.get(&a.text)).flatten().copied().collect()
            };
            let (a, b) = (places(first), places(second));
            if a.iter().any(|x| b.iter().any(|y| x.abs_diff(*y) <= 3 && x != y)) {
                near += weight;
            }
        }
        if pairs > 0.0 { near / pairs } else { 0.0 }
    }
}

/// A row whose cells carry the units of their columns: `Fee (EUR)` over `40` reads `40 EUR`.
fn with_units(header: &str, row: &str) -> String {
    let mut cells = Vec::new();
    for (name, cell) in header.split(" | ").zip(row.split(" | ")) {
        let unit = match name.rsplit_once('(') {
            Some((_, inside)) => inside.trim_end_matches(')'),
            None => name.rsplit_once(", ").map_or("", |(_, after)| after),
        };
        cells.push(format!("{cell} {unit}"));
    }
    cells.join(" | ")
}

/// Cosine similarity; vectors of an embedder are normalised, but a caller's need not be.
pub(super) fn cosine(a: &[f32], b: &Embedding) -> f32 {
    let dot: f32 = a.iter().zip(b).map(|(x, y)| x * y).sum();
    let norm = |v: &[f32]| v.iter().map(|x| x * x).sum::<f32>().sqrt();
    let scale = norm(a) * norm(b);
    if scale > 0.0 && dot.is_finite() { dot / scale } else { 0.0 }
}
