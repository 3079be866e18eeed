//! Evidence that a sentence answers a question, as numbers.

use super::candidates::{Bag, Candidate, Shape, Surroundings};
use super::holdings::{Holdings, holdings};
use super::kinds::Kind;
use super::question::{Concept, Question};
use super::{Embedding, Passage, families, ranges};
use astrolabe_backends::analysis::Lang;

/// Number of features.
pub const FEATURES: usize = 49;

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
    "known_word_missing",
    "heaviest_known_missing",
    "passage_share",
    "passage_lead",
    "passage_match",
    "asks_nothing_particular",
    "few_words",
    "sentence_similarity",
    "passage_similarity",
    "named_coverage",
    "exact_coverage",
    "last_missing",
    "second_missing",
    "heaviest_missing",
    "other_name",
    "other_whom",
    "sure_kind_absent",
    "bare_row",
    "yes_or_no",
    "rivals",
    "heaviest_unseen",
    "has_name",
    "contrary",
    "unseen_yes_no",
    "asks_for_a_sum",
    "asks_for_a_person",
];

/// Place of the sentence's similarity among the features.
pub(super) const SENTENCE_SIMILARITY: usize = 30;

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
    if best >= 0.6 || concept.identifies {
        return best;
    }
    let Some(stem) = concept.alternatives.first().map(|a| a.text.as_str()) else { return best };
    let length = stem.chars().count();
    if length < 5 {
        return best.max(family(bag, concept));
    }
    // A name is cut less by its endings than a word by its derivations.
    let share = if concept.entity { 8 } else { 7 };
    let similar = bag.positions.keys().any(|term| {
        let other = term.chars().count();
        let common = stem.chars().zip(term.chars()).take_while(|(a, b)| a == b).count();
        common >= 5 && common * 10 >= length.max(other) * share || common >= 3 && alternate(stem, term, common)
    });
    if similar {
        return best.max(0.6);
    }
    best.max(family(bag, concept))
}

/// What a word of the concept's family in the bag is worth.
fn family(bag: &Bag, concept: &Concept) -> f32 {
    let related = |term: &String| !term.starts_with(families::KIN) && families::related(term, &concept.roots, concept.lang);
    if !concept.roots.is_empty() && bag.positions.keys().any(related) { families::FAMILY } else { 0.0 }
}

/// Whether two stems differ behind a common beginning as Polish forms of one word do: `febr` and `febrz`, `ksiąg` and `książ`.
fn alternate(a: &str, b: &str, common: usize) -> bool {
    const PAIRS: &[(&str, &str)] = &[
        ("r", "rz"),
        ("d", "dz"),
        ("t", "c"),
        ("t", "ć"),
        ("k", "c"),
        ("k", "cz"),
        ("g", "ż"),
        ("g", "dz"),
        ("ch", "sz"),
        ("s", "ś"),
        ("z", "ź"),
        ("n", "ń"),
        ("ł", "l"),
    ];
    let rest = |word: &str| word.chars().skip(common).collect::<String>();
    // The common beginning may hold the first letter of the longer sound: `febr|z`.
    let with_last = |word: &str| word.chars().skip(common.saturating_sub(1)).collect::<String>();
    let pair = |x: &str, y: &str| PAIRS.iter().any(|(p, q)| (*p == x && *q == y) || (*p == y && *q == x));
    pair(&rest(a), &rest(b)) || pair(&with_last(a), &with_last(b))
}

/// Whether a bag holds the number, ordinal or letter `which` beside its noun.
fn holds_pair(bag: &Bag, which: &Concept, noun: &Concept) -> f32 {
    let places =
        |c: &Concept| -> Vec<u32> { c.alternatives.iter().filter_map(|a| bag.positions.get(&a.text)).flatten().copied().collect() };
    let nouns = places(noun);
    f32::from(u8::from(places(which).iter().any(|at| nouns.iter().any(|n| n.abs_diff(*at) <= 2))))
}

pub(super) struct Extractor<'a> {
    pub question: &'a Question,
    pub passages: &'a [Passage<'a>],
    pub surroundings: &'a [Surroundings],
    /// The passages' standing by the question's words.
    pub standings: &'a [Standing],
    /// Whether some passage holds each concept of the question.
    pub found: &'a [bool],
    /// Similarities of sentences to the question, by candidate; empty without an embedder.
    pub similarities: &'a [Option<f32>],
}

/// How a passage stands among the others by the question's words.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Standing {
    /// From 0.
    pub rank: usize,
    /// Share of the score that a passage with every word again and again would have.
    pub matched: f32,
    /// Score beside the best one's, 0 to 1.
    pub share: f32,
    /// Lead over the best other passage, as a share of its own score; -1 to 1.
    pub lead: f32,
}

/// Ranks passages by the question's words (BM25's saturation and length norm, k1 0.9, b 0.4, over the concepts' weights). The fused order of the search
/// is not used: where the embedder does not know the language, it says little about where an answer is.
pub(super) fn rank_passages(question: &Question, passages: &[Passage<'_>], surroundings: &[Surroundings]) -> Vec<Standing> {
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
    let of = |at: usize| scores.get(at).copied().unwrap_or(0.0);
    order.sort_by(|a, b| of(*b).total_cmp(&of(*a)).then_with(|| passages.get(*a).map(|p| p.rank).cmp(&passages.get(*b).map(|p| p.rank))));
    let best = order.first().map_or(0.0, |at| of(*at));
    let second = order.get(1).map_or(0.0, |at| of(*at));
    let mut standings = vec![Standing::default(); passages.len()];
    for (rank, at) in order.into_iter().enumerate() {
        let own = of(at);
        let rival = if rank == 0 { second } else { best };
        if let Some(slot) = standings.get_mut(at) {
            *slot = Standing {
                rank,
                matched: own / 1.9,
                share: if best > 0.0 { own / best } else { 0.0 },
                lead: if own > 0.0 { ((own - rival) / own).max(-1.0) } else { -1.0 },
            };
        }
    }
    standings
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
        let (mut known_missing, mut heaviest_missing) = (0.0f32, 0.0f32);
        let (mut named_coverage, mut exact, mut heaviest_unseen) = (0.0f32, 0.0f32, 0.0f32);
        let mut missing: Vec<(f32, f32)> = Vec::new();
        let heaviest = question.concepts.iter().map(|c| c.weight).fold(f32::MIN_POSITIVE, f32::max);
        let text = self.passages.get(candidate.passage).map_or("", |p| p.text);
        let sentence = text.get(candidate.bytes.clone()).unwrap_or_default();
        let in_range = ranges::holds_value(sentence, &question.values);
        for (number, concept) in question.concepts.iter().enumerate() {
            let noun = concept.of.and_then(|i| question.concepts.get(i));
            let in_bag = |bag: &Bag| noun.map_or_else(|| holds(bag, concept), |noun| holds_pair(bag, concept, noun));
            let mut in_own = in_bag(&candidate.own);
            if noun.is_some() && in_own == 0.0 && (candidate.shape == Shape::Row && holds(&candidate.own, concept) > 0.0 || in_range) {
                // The noun is the name of the column, or the number lies in a range: "years 7 to 11".
                in_own = 0.9;
            }
            let in_heading = in_bag(heading);
            let in_all = in_bag(all).max(in_own);
            let named = in_own.max(HEADING * in_heading).max(LEAD * in_bag(&candidate.lead));
            let best = named.max(NEXT * in_bag(&candidate.next)).max(PASSAGE * in_all);
            own += concept.weight * in_own;
            named_coverage += concept.weight * named;
            exact += concept.weight
                * f32::from(u8::from(
                    concept.alternatives.iter().any(|a| a.weight >= 0.9 && candidate.own.positions.contains_key(&a.text)),
                ));
            missing.push((concept.weight, 1.0 - named));
            title += concept.weight * in_heading;
            context += concept.weight * best;
            passage += concept.weight * in_all;
            rarest = rarest.max(concept.weight * (1.0 - best));
            // A word that the documents use, but not here, is hardly a paraphrase: here something else is meant.
            if self.found.get(number).is_some_and(|f| *f) {
                known_missing += concept.weight * (1.0 - named);
                heaviest_missing = heaviest_missing.max(concept.weight / heaviest * (1.0 - named));
            } else {
                unseen += concept.weight;
                heaviest_unseen = heaviest_unseen.max(concept.weight / heaviest);
            }
            if concept.entity {
                // What is only said further on is another thing's name.
                entity_context = entity_context.max(1.0 - named);
                entity_passage = entity_passage.max(1.0 - in_all);
                if concept.identifies {
                    code_context = code_context.max(1.0 - named);
                }
            }
        }
        let asked = |word: &str| question.words.contains(word);
        let header = candidate.header.as_ref().and_then(|h| text.get(h.clone()));
        let held = holdings(sentence, &asked);
        let asks = question.kind != Kind::Any;
        let beside = self.count_beside_noun(candidate, &held);
        let mut kind = held.match_of(question.kind);
        if let Some(header) = header.filter(|_| kind < 1.0) {
            kind = kind.max(holdings(&with_units(header, sentence), &asked).match_of(question.kind));
            if matches!(question.kind, Kind::Room | Kind::Phone) {
                // A column of rooms or telephone numbers says so in its name only.
                kind = kind.max(holdings(&format!("{header} | {sentence}"), &asked).match_of(question.kind));
            }
        }
        if let Some(role) = question.role.and_then(|i| question.concepts.get(i))
            && holds(&candidate.own, role) == 0.0
            && holds(&candidate.lead, role) == 0.0
            && holds(heading, role) == 0.0
        {
            // Some person's name is not the name of the person in that role.
            kind = 0.0;
        } else if question.role.is_some() && (self.role_elsewhere(candidate, heading) || self.role_of_another(candidate, sentence)) {
            // The head of one thing is not the head of another.
            kind *= 0.25;
        }
        if question.total && held.bounded {
            // How many one may borrow is not how many there are.
            kind *= 0.25;
        }
        if question.kind == Kind::Count && !question.focus.is_empty() && beside == 0.0 {
            // Some number is not the number of the things asked for; in a row the thing may be the column's name.
            kind *= if candidate.shape == Shape::Row { 0.5 } else { 0.25 };
        }
        let passage_kind = if asks && kind < 1.0 { holdings(text, &asked).match_of(question.kind) } else { 1.0 };
        let standing = self.standings.get(candidate.passage).copied().unwrap_or_default();
        let rank = standing.rank;
        let in_range =
            in_range || !question.durations.is_empty() && ranges::same_duration(&question.durations, &ranges::durations(sentence));
        let strong = |m: &&(f32, f32)| m.0 >= 0.4 * heaviest;
        let last = missing.iter().rev().find(strong).map_or(0.0, |m| m.1);
        let top_missing = missing.iter().max_by(|a, b| a.0.total_cmp(&b.0)).map_or(0.0, |m| m.1);
        let mut lacks: Vec<f32> = missing.iter().map(|m| m.0 * m.1).collect();
        lacks.sort_by(|a, b| b.total_cmp(a));
        let second = lacks.get(1).copied().unwrap_or(0.0);
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
            f32::from(u8::from(in_range)),
            known_missing,
            heaviest_missing,
            standing.share,
            standing.lead,
            standing.matched,
            f32::from(u8::from(!asks)),
            1.0 / question.concepts.len().max(1) as f32,
            self.similarities.get(at).copied().flatten().unwrap_or(0.0),
            self.passages.get(candidate.passage).and_then(|p| p.dense_score).unwrap_or(0.0),
            named_coverage,
            exact,
            last,
            second,
            top_missing,
            f32::from(u8::from(self.elsewhere(candidate))),
            f32::from(u8::from(self.for_another(candidate))),
            if question.kind.is_unmistakable() { 1.0 - kind } else { 0.0 },
            f32::from(u8::from(candidate.shape == Shape::Row && own < 0.15)),
            f32::from(u8::from(question.yes_or_no)),
            self.standings.iter().filter(|s| s.share >= 0.8).count() as f32 / 10.0,
            heaviest_unseen,
            f32::from(u8::from(question.concepts.iter().any(|c| c.entity))),
            f32::from(u8::from(question.contrasts.iter().any(|c| c.contradicts(&candidate.own, &[heading, &candidate.lead])))),
            if question.yes_or_no { heaviest_unseen } else { 0.0 },
            f32::from(u8::from(question.kind == Kind::Money)),
            f32::from(u8::from(matches!(question.kind, Kind::Person | Kind::PersonName))),
        ];
        f.copy_from_slice(&values);
        f
    }

    /// Whether the question says whose role it asks for, and neither sentence nor headings name any of it.
    fn role_elsewhere(&self, candidate: &Candidate, heading: &Bag) -> bool {
        let role = self.question.role.and_then(|i| self.question.concepts.get(i)).map_or(0.0, |c| c.weight);
        let others: Vec<&Concept> = self
            .question
            .concepts
            .iter()
            .enumerate()
            // What stands everywhere is the house itself: "the president of the cooperative" is simply the president.
            .filter(|(i, c)| Some(*i) != self.question.role && c.weight >= 0.5 * role && !self.common(c))
            .map(|(_, c)| c)
            .collect();
        !others.is_empty() && others.iter().all(|c| holds(&candidate.own, c) == 0.0 && holds(heading, c) == 0.0)
    }

    /// Whether the role is that of something the question does not name: "kierownik magazynów" where the "kierownik rejonu" is asked for. Polish and Russian put
    /// it right behind the role; a name behind it has a capital.
    fn role_of_another(&self, candidate: &Candidate, sentence: &str) -> bool {
        let Some(at) = self.question.role.filter(|_| matches!(self.question.lang, Lang::Pl | Lang::Ru)) else { return false };
        let (Some(role), true) = (self.question.concepts.get(at), at + 1 < self.question.concepts.len()) else { return false };
        let stated: Vec<u32> =
            role.alternatives.iter().filter_map(|a| candidate.own.positions.get(&a.text)).flatten().map(|p| p + 1).collect();
        let named = |position: u32| {
            let mut words = candidate.own.positions.iter().filter(|(_, at)| at.contains(&position)).map(|(term, _)| term);
            words.any(|term| self.question.concepts.iter().any(|c| c.alternatives.iter().any(|a| a.text == *term)))
        };
        let small = |position: u32| {
            let start = candidate.own.starts.iter().find(|(_, p)| *p == position).map(|(start, _)| *start);
            let before = start.and_then(|s| sentence.get(..s)).unwrap_or_default();
            start.and_then(|s| sentence.get(s..)?.chars().next()).is_some_and(char::is_lowercase)
                && before.ends_with(' ')
                && !before.trim_end().ends_with([',', '–', '—', ':'])
        };
        !stated.is_empty() && stated.iter().all(|position| small(*position) && !named(*position))
    }

    /// Whether some name of the question is known to the passages but stands neither in the sentence's passage nor its headings.
    fn elsewhere(&self, candidate: &Candidate) -> bool {
        let Some(own) = self.surroundings.get(candidate.passage) else { return false };
        let known = self.question.concepts.iter().zip(self.found).filter(|(c, found)| **found && c.entity && c.of.is_none());
        known.into_iter().any(|(c, _)| !may_hold(&own.all, c))
    }

    /// Whether the question says for whom, and neither the sentence nor what stands above it does.
    fn for_another(&self, candidate: &Candidate) -> bool {
        let Some(around) = self.surroundings.get(candidate.passage) else { return false };
        let near = |c: &Concept| [&candidate.own, &candidate.lead, &around.heading].iter().any(|bag| holds(bag, c) > 0.0);
        self.question.whom.iter().filter_map(|i| self.question.concepts.get(*i)).any(|c| !near(c))
    }

    /// Whether at least a quarter of the passages hold a concept.
    fn common(&self, concept: &Concept) -> bool {
        4 * self.surroundings.iter().filter(|s| holds(&s.all, concept) >= 0.6).count() >= self.surroundings.len()
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

/// Whether a bag holds a name in whatever form: names are inflected more freely than stemmers know.
fn may_hold(bag: &Bag, concept: &Concept) -> bool {
    let beginning: String = concept.surface.chars().take(4).collect();
    holds(bag, concept) > 0.0 || bag.positions.keys().any(|term| term.trim_start_matches('~').starts_with(&beginning))
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
