//! Evidence that a sentence answers a question, as numbers.

use super::candidates::{Bag, Candidate, Shape, Surroundings};
use super::holdings::{Holdings, holdings};
use super::kinds::Kind;
use super::question::{Concept, Question};
use super::{Embedding, Passage};

/// Number of features.
pub const FEATURES: usize = 23;

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
    /// Similarities of sentences to the question, by candidate; empty without an embedder.
    pub similarities: &'a [Option<f32>],
}

impl Extractor<'_> {
    pub(super) fn features(&self, at: usize, candidate: &Candidate) -> Features {
        let question = self.question;
        let empty = Bag::default();
        let around = self.surroundings.get(candidate.passage);
        let heading = around.map_or(&empty, |s| &s.heading);
        let all = around.map_or(&empty, |s| &s.all);
        let (mut own, mut context, mut passage, mut title) = (0.0f32, 0.0f32, 0.0f32, 0.0f32);
        let (mut rarest, mut entity_context, mut entity_passage, mut unseen) = (0.0f32, 0.0f32, 0.0f32, 0.0f32);
        for concept in &question.concepts {
            let in_own = holds(&candidate.own, concept);
            let in_heading = holds(heading, concept);
            let in_all = holds(all, concept);
            let best = in_own
                .max(HEADING * in_heading)
                .max(LEAD * holds(&candidate.lead, concept))
                .max(NEXT * holds(&candidate.next, concept))
                .max(PASSAGE * in_all);
            own += concept.weight * in_own;
            title += concept.weight * in_heading;
            context += concept.weight * best;
            passage += concept.weight * in_all;
            rarest = rarest.max(concept.weight * (1.0 - best));
            if concept.entity {
                entity_context += concept.weight * (1.0 - best);
                entity_passage += concept.weight * (1.0 - in_all);
            }
            if concept.unseen {
                unseen += concept.weight;
            }
        }
        let text = self.passages.get(candidate.passage).map_or("", |p| p.text);
        let sentence = text.get(candidate.bytes.clone()).unwrap_or_default();
        let asked = |word: &str| question.words.contains(word);
        let held = holdings(sentence, &asked);
        let asks = question.kind != Kind::Any;
        let kind = held.match_of(question.kind);
        let passage_kind = if asks && kind < 1.0 { holdings(text, &asked).match_of(question.kind) } else { 1.0 };
        let rank = self.passages.get(candidate.passage).map_or(usize::MAX, |p| p.rank);
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
            unseen,
            if asks { kind } else { 0.0 },
            if question.kind.is_plain_to_see() { 1.0 - kind } else { 0.0 },
            if asks && !question.kind.is_plain_to_see() { 1.0 - kind } else { 0.0 },
            1.0 - passage_kind,
            self.count_beside_noun(candidate, &held),
            self.adjacency(candidate),
            f32::from(u8::from(rank == 0)),
            1.0 / (1.0 + rank as f32).sqrt(),
            ((length - 150.0) / 300.0).clamp(-0.5, 1.0),
            f32::from(u8::from(length < 25.0)),
            f32::from(u8::from(candidate.shape != Shape::Prose)),
            f32::from(u8::from(candidate.opens_section)),
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
        let Some(concept) = self.question.focus.and_then(|i| self.question.concepts.get(i)) else { return 0.0 };
        let near = concept.alternatives.iter().filter_map(|a| candidate.own.positions.get(&a.text)).flatten().any(|position| {
            held.counts_at.iter().any(|number| {
                let distance = i64::from(*position) - *number as i64;
                (-3..=5).contains(&distance)
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

/// Cosine similarity; vectors of an embedder are normalised, but a caller's need not be.
pub(super) fn cosine(a: &[f32], b: &Embedding) -> f32 {
    let dot: f32 = a.iter().zip(b).map(|(x, y)| x * y).sum();
    let norm = |v: &[f32]| v.iter().map(|x| x * x).sum::<f32>().sqrt();
    let scale = norm(a) * norm(b);
    if scale > 0.0 && dot.is_finite() { dot / scale } else { 0.0 }
}
