//! From scored sentences to the answer: choice, order, text.

use std::collections::HashSet;
use std::ops::Range;

use super::candidates::{Candidate, Shape, Surroundings, collect, shape_of};
use super::features::{Extractor, Features, SENTENCE_SIMILARITY, cosine, holds, rank_passages};
use super::kinds::Kind;
use super::question::{Concept, Question};
use super::weights::Model;
use super::{Extract, Passage, Picked, Request, Scored};
use crate::ingest::sentences::sentences;

/// Most sentences of an answer.
const MOST: usize = 3;
/// Most sentences that are embedded for one question.
const EMBEDDED: usize = 24;
/// A further sentence is added when its score is at most this far below the best one's: 2.5 is a twelfth of the odds.
const COMPANION: f32 = 2.5;
/// Share of shared words from which two sentences say the same.
const SAME: f32 = 0.75;
/// What a sentence loses whose document says that it is no longer in force.
const SUPERSEDED: f32 = 2.5;
/// Sentences judged for whether they answer.
const JUDGED: usize = 4;
/// What is left of the probability when the question asks for a thing that cannot be overlooked and the sentence lacks it.
const WITHOUT_KIND: f32 = 0.25;
/// What is left of it when the question names a code, a year or one of several numbered things, and nothing around the sentence does.
const WITHOUT_CODE: f32 = 0.3;
/// What is left of it when the sentence is a table's row and no word of the question is in it: the row is another thing's.
const OTHER_ROW: f32 = 0.4;
/// What is left of it when a name of the question stands in other passages and not in this one.
const OTHER_NAME: f32 = 0.4;
/// What is left of it when a name of the question stands further off in the same passage, where it is said of something else.
const NAME_FURTHER_OFF: f32 = 0.6;
/// What is left of it when the question says for whom, and neither sentence nor headings do.
const OTHER_WHOM: f32 = 0.45;
/// What is left of it when much of the question stands in the passages, but nowhere near the sentence.
const OTHER_SUBJECT: f32 = 0.6;
/// What is left of it when the sentence names another option than the question: the front for the rear.
const OTHER_OPTION: f32 = 0.3;
/// The share of the question's weight that is much.
const MUCH: f32 = 0.45;
/// What a line of code loses, unless the question itself names something of its kind.
const CODE: f32 = 1.0;
/// Longest list shown after its lead-in, in items.
const LIST_ITEMS: usize = 8;

/// Longest line shown whole behind a code, in characters.
const CODE_LINE: usize = 400;

struct Weighed {
    at: usize,
    score: f32,
}

struct Reading {
    question: Question,
    candidates: Vec<Candidate>,
    surroundings: Vec<Surroundings>,
    features: Vec<Features>,
}

fn read(request: &Request<'_>) -> Reading {
    let question = Question::read(request.question, request.lang, request.idf);
    let (candidates, surroundings) = collect(request.passages);
    let by_words: Vec<Features> = {
        let standings = rank_passages(&question, request.passages, &surroundings);
        let found: Vec<bool> = question.concepts.iter().map(|c| surroundings.iter().any(|s| holds(&s.all, c) >= 0.6)).collect();
        let extractor = Extractor {
            question: &question,
            passages: request.passages,
            surroundings: &surroundings,
            standings: &standings,
            found: &found,
            similarities: &[],
        };
        candidates.iter().enumerate().map(|(at, c)| extractor.features(at, c)).collect()
    };
    let features = match request.embedder {
        Some((vector, embed)) if !candidates.is_empty() && Model::uses_similarity(question.lang) => {
            let similarities = similarities(request.passages, &question, &candidates, &by_words, vector, embed);
            let mut features = by_words;
            for (row, similarity) in features.iter_mut().zip(&similarities) {
                set_similarity(row, *similarity);
            }
            features
        }
        _ => by_words,
    };
    Reading { question, candidates, surroundings, features }
}

fn set_similarity(row: &mut Features, similarity: Option<f32>) {
    if let Some(slot) = row.get_mut(SENTENCE_SIMILARITY) {
        *slot = similarity.unwrap_or(0.0);
    }
}

/// Similarities of the sentences that words rate best; the others get the lowest of those, as an embedder's time is worth more than their chance.
fn similarities(
    passages: &[Passage<'_>],
    question: &Question,
    candidates: &[Candidate],
    by_words: &[Features],
    vector: &[f32],
    embed: &super::EmbedSentences<'_>,
) -> Vec<Option<f32>> {
    let model = Model::for_language(question.lang, false);
    let mut order: Vec<usize> = (0..candidates.len()).collect();
    let rating: Vec<f32> = by_words.iter().map(|f| model.score(f)).collect();
    order.sort_by(|a, b| rating.get(*b).unwrap_or(&0.0).total_cmp(rating.get(*a).unwrap_or(&0.0)));
    order.truncate(EMBEDDED);
    let texts: Vec<&str> = order
        .iter()
        .filter_map(|at| candidates.get(*at))
        .map(|c| passages.get(c.passage).and_then(|p| p.text.get(c.bytes.clone())).unwrap_or_default())
        .collect();
    let vectors = embed(&texts);
    let mut found = vec![None; candidates.len()];
    let mut lowest = f32::MAX;
    for (at, sentence) in order.iter().zip(&vectors) {
        let value = cosine(vector, sentence);
        lowest = lowest.min(value);
        if let Some(slot) = found.get_mut(*at) {
            *slot = Some(value);
        }
    }
    if lowest < f32::MAX {
        found.iter_mut().filter(|slot| slot.is_none()).for_each(|slot| *slot = Some(lowest.min(0.2)));
    }
    found
}

pub(super) fn evidence(request: &Request<'_>) -> Vec<Scored> {
    let reading = read(request);
    reading
        .candidates
        .iter()
        .zip(&reading.features)
        .filter(|(candidate, _)| adds_something(&reading.question, candidate))
        .map(|(candidate, features)| Scored {
            passage: candidate.passage,
            text: request.passages.get(candidate.passage).and_then(|p| p.text.get(candidate.bytes.clone())).unwrap_or_default().to_owned(),
            features: *features,
        })
        .collect()
}

pub(super) fn answer(request: &Request<'_>, model: Option<&Model>) -> Extract {
    let whole = answer_one(request, model);
    if whole.answered {
        return whole;
    }
    // Two questions in one share too few words with any sentence; each may have its own.
    let Some((first, second)) = two_questions(request.question) else { return whole };
    let lang = Some(whole.lang);
    let parts = [first, second].map(|question| answer_one(&Request { question, lang, ..*request }, model));
    if !parts.iter().any(|part| part.answered) {
        return whole;
    }
    // One of them has an answer here, so the sentences that are best for both together come along.
    let calibrated = model.cloned().unwrap_or_else(|| Model::for_language(whole.lang, request.embedder.is_some()));
    let together = answer_one(request, Some(&Model { threshold: 0.0, ..calibrated }));
    let mut picked: Vec<Picked> = Vec::new();
    for piece in parts.iter().flat_map(|part| part.picked.iter().take(1)).chain(&together.picked) {
        if picked.len() < MOST && !picked.iter().any(|p| p.passage == piece.passage && p.start < piece.end && piece.start < p.end) {
            picked.push(piece.clone());
        }
    }
    picked.sort_by_key(|p| (p.passage, p.start));
    let confidence = parts.iter().map(|p| p.confidence).fold(whole.confidence, f32::max);
    Extract { answered: !picked.is_empty(), confidence, picked, ..whole }
}

/// Splits "May we go on, and how many fit?" at the conjunction before the second question word.
fn two_questions(question: &str) -> Option<(&str, &str)> {
    const WORDS: &str = "how what who when where which why jak ile kto kiedy gdzie który która które co czy jaki jaka jakie как сколько кто когда где какой какая какие что можно";
    [", and ", ", i ", ", a ", ", и ", ", а "].iter().find_map(|joint| {
        let (first, second) = question.split_once(joint)?;
        let opens = second.split_whitespace().next().is_some_and(|word| WORDS.split(' ').any(|w| w == word.to_lowercase()));
        (opens && first.split_whitespace().count() >= 3 && second.split_whitespace().count() >= 3).then_some((first, second))
    })
}

fn answer_one(request: &Request<'_>, model: Option<&Model>) -> Extract {
    let reading = read(request);
    let calibrated = Model::for_language(reading.question.lang, request.embedder.is_some());
    let model = model.unwrap_or(&calibrated);
    let asks_for_the_past = reading.question.words.iter().any(|w| w.len() == 4 && w.starts_with("20"));
    let asks_for_code =
        ["command", "komend", "poleceni", "команд"].iter().any(|stem| reading.question.words.iter().any(|w| w.starts_with(stem)));
    let mut weighed: Vec<Weighed> = reading
        .candidates
        .iter()
        .zip(&reading.features)
        .enumerate()
        .filter(|(_, (candidate, _))| adds_something(&reading.question, candidate))
        .map(|(at, (candidate, features))| {
            let superseded = !asks_for_the_past && reading.surroundings.get(candidate.passage).is_some_and(|s| s.superseded);
            Weighed {
                at,
                score: model.score(features)
                    - if superseded { SUPERSEDED } else { 0.0 }
                    - if !asks_for_code && is_code(request, candidate) { CODE } else { 0.0 },
            }
        })
        .collect();
    weighed.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.at.cmp(&b.at)));
    // The sentence that ranks first may share the most words and yet lack the thing asked for; then the next ones that have it are judged too.
    let judged = |at: usize| {
        let weight = weighed.get(at)?;
        let features = reading.features.get(weight.at)?;
        // A sentence that others outrank has no lead.
        let next = if at == 0 { weighed.get(1).map_or(weight.score - 3.0, |w| w.score) } else { weight.score };
        let mut probability = model.probability(&Model::answer_features(features, weight.score, next));
        if reading.question.kind.is_unmistakable() && kind_absence(features) > 0.7 {
            probability *= WITHOUT_KIND;
        }
        if feature(features, "code_missing_context") > 0.5 {
            probability *= WITHOUT_CODE;
        }
        let candidate = reading.candidates.get(weight.at)?;
        if candidate.shape == Shape::Row && feature(features, "own_coverage") < 0.15 {
            probability *= OTHER_ROW;
        }
        if reading.question.kind != Kind::Any && feature(features, "other_name") > 0.5 {
            probability *= OTHER_NAME;
        } else if reading.question.kind != Kind::Any
            && feature(features, "entity_missing_context") > 0.9
            && feature(features, "entity_missing_passage") < 0.1
        {
            probability *= NAME_FURTHER_OFF;
        }
        if feature(features, "other_whom") > 0.5 {
            probability *= OTHER_WHOM;
        }
        if feature(features, "contrary") > 0.5 {
            probability *= OTHER_OPTION;
        }
        if reading.question.kind != Kind::Any && feature(features, "known_word_missing") > MUCH {
            probability *= OTHER_SUBJECT;
        }
        Some((probability, at))
    };
    let lacks = |at: usize| weighed.get(at).and_then(|w| reading.features.get(w.at)).map_or(0.0, kind_absence);
    let (confidence, first) = (0..JUDGED)
        .filter(|at| *at == 0 || lacks(*at) < lacks(0))
        .filter_map(judged)
        .fold((0.0f32, 0usize), |best, one| if one.0 > best.0 { one } else { best });
    let best = weighed.get(first).map_or(0.0, |w| w.score);
    let nothing = Extract { answered: false, confidence, picked: Vec::new(), lang: reading.question.lang };
    if reading.question.concepts.is_empty() || confidence < model.threshold {
        return nothing;
    }
    let mut chosen: Vec<&Weighed> = Vec::new();
    // A companion without the thing asked for would only dilute an answer that has it.
    for candidate in weighed.iter().skip(first).chain(weighed.iter().take(first)) {
        if chosen.len() == MOST {
            break;
        }
        if reading.features.get(candidate.at).map_or(0.0, kind_absence) > lacks(first) || candidate.score < best - COMPANION {
            continue;
        }
        if !chosen.iter().any(|other| same(&reading, candidate.at, other.at)) {
            chosen.push(candidate);
        }
    }
    // Reading order: the passage of the best sentence first, then by place in the passage.
    let first_mention: Vec<usize> = chosen.iter().filter_map(|w| reading.candidates.get(w.at)).map(|c| c.passage).collect();
    chosen.sort_by_key(|w| {
        reading
            .candidates
            .get(w.at)
            .map_or((usize::MAX, 0), |c| (first_mention.iter().position(|p| *p == c.passage).unwrap_or(usize::MAX), c.bytes.start))
    });
    let mut picked: Vec<Picked> = Vec::new();
    for weighed in chosen {
        let Some(candidate) = reading.candidates.get(weighed.at) else { continue };
        let Some(passage) = request.passages.get(candidate.passage) else { continue };
        let bytes = with_rest(&reading.question, passage.text, candidate, with_list(passage.text, candidate));
        let start = passage.text.get(..bytes.start).map_or(0, |t| t.chars().count());
        let end = start + passage.text.get(bytes.clone()).map_or(0, |t| t.chars().count());
        // A list shown after its lead-in may already hold the next pick.
        if picked.iter().any(|p| p.passage == candidate.passage && p.start <= start && end <= p.end) {
            continue;
        }
        picked.push(Picked { passage: candidate.passage, start, end, text: shown(passage.text, candidate, &bytes), score: weighed.score });
    }
    Extract { answered: !picked.is_empty(), picked, ..nothing }
}

/// A shell line, a setting or a path rather than a sentence.
fn is_code(request: &Request<'_>, candidate: &Candidate) -> bool {
    let text = request.passages.get(candidate.passage).and_then(|p| p.text.get(candidate.bytes.clone())).unwrap_or_default();
    let signs =
        text.matches(['_', '=', '/', '\\', '{', '}', '<', '>', '$', '`']).count() + text.matches(" -").count() + text.matches("--").count();
    candidate.shape != Shape::Row && signs >= 2 && signs * 12 >= text.chars().count().min(120)
}

fn feature(features: &Features, name: &str) -> f32 {
    features.iter().zip(super::FEATURE_NAMES).find(|(_, n)| *n == name).map_or(0.0, |(value, _)| *value)
}

/// How far a sentence lacks the kind of thing asked for.
fn kind_absence(features: &Features) -> f32 {
    features.iter().zip(super::FEATURE_NAMES).filter(|(_, name)| name.ends_with("kind_absent")).map(|(value, _)| value).sum()
}

/// A sentence made of the question's own words, such as a lone error code, answers nothing.
fn adds_something(question: &Question, candidate: &Candidate) -> bool {
    let known = |term: &str| question.concepts.iter().any(|c| c.alternatives.iter().any(|a| a.weight >= 0.7 && a.text == term));
    let positions: HashSet<u32> = candidate.own.positions.values().flatten().copied().collect();
    let repeated: HashSet<u32> = candidate.own.positions.iter().filter(|(term, _)| known(term)).flat_map(|(_, at)| at).copied().collect();
    positions.len() > repeated.len()
}

/// Two sentences that share most of their words say the same.
fn same(reading: &Reading, a: usize, b: usize) -> bool {
    let (Some(a), Some(b)) = (reading.candidates.get(a), reading.candidates.get(b)) else { return false };
    let first: HashSet<&String> = a.own.positions.keys().collect();
    let second: HashSet<&String> = b.own.positions.keys().collect();
    let shared = first.intersection(&second).count() as f32;
    let smaller = first.len().min(second.len()) as f32;
    smaller > 0.0 && a.shape != Shape::Row && shared / smaller >= SAME && shared / (first.len().max(second.len()) as f32) >= SAME * SAME
}

/// The sentence, and after a lead-in also the list it announces.
fn with_list(text: &str, candidate: &Candidate) -> Range<usize> {
    let mut bytes = candidate.bytes.clone();
    if !candidate.leads_in {
        return bytes;
    }
    let mut items = 0usize;
    for range in sentences(text).into_iter().filter(|r| r.start >= candidate.bytes.end) {
        if shape_of(text, &range) == Shape::Prose {
            if items == 0 {
                bytes.end = range.end;
            }
            break;
        }
        items += 1;
        if items > LIST_ITEMS {
            break;
        }
        bytes.end = range.end;
    }
    bytes
}

/// What stands behind a code on its line is what the code means and what to do, though no word of the question is in it.
fn with_rest(question: &Question, text: &str, candidate: &Candidate, bytes: Range<usize>) -> Range<usize> {
    let code = |c: &Concept| c.identifies && c.of.is_none() && c.surface.chars().any(char::is_alphabetic);
    let named = question.kind == Kind::Any && question.concepts.iter().any(|c| code(c) && holds(&candidate.own, c) > 0.0);
    if !named || candidate.shape == Shape::Row || bytes != candidate.bytes {
        return bytes;
    }
    let end = text.get(bytes.end..).and_then(|rest| rest.find('\n')).map_or(text.len(), |at| bytes.end + at);
    let line = text.get(bytes.start..end).unwrap_or_default();
    if line.chars().count() > CODE_LINE { bytes } else { bytes.start..bytes.start + line.trim_end().len() }
}

/// The text shown: one line; a row reads `column: cell; column: cell`.
fn shown(text: &str, candidate: &Candidate, bytes: &Range<usize>) -> String {
    let raw = text.get(bytes.clone()).unwrap_or_default();
    if candidate.shape == Shape::Row
        && let Some(header) = candidate.header.as_ref().and_then(|h| text.get(h.clone()))
    {
        let names: Vec<&str> = header.split(" | ").map(str::trim).collect();
        let cells: Vec<&str> = raw.split(" | ").map(str::trim).collect();
        if names.len() == cells.len() {
            let pairs: Vec<String> = names
                .iter()
                .zip(&cells)
                .filter(|(_, cell)| !cell.is_empty())
                .map(|(name, cell)| if name.is_empty() { (*cell).to_owned() } else { format!("{name}: {cell}") })
                .collect();
            return pairs.join("; ");
        }
    }
    let body = match crate::ingest::sentences::list_marker(raw) {
        Some(marker) if bytes.start == candidate.bytes.start && !raw.contains('\n') => raw.get(marker..).unwrap_or(raw),
        _ => raw,
    };
    if raw.contains('\n') {
        // A lead-in with its list keeps its lines.
        return body.lines().map(str::trim_end).filter(|l| !l.trim().is_empty()).collect::<Vec<_>>().join("\n");
    }
    body.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Writes an answer: every piece followed by its citation mark. The second value lists the passages by citation number: the first is `[1]`.
#[must_use]
pub fn render(extract: &Extract) -> (String, Vec<usize>) {
    let mut order: Vec<usize> = Vec::new();
    let mut answer = String::new();
    for (at, piece) in extract.picked.iter().enumerate() {
        let number = match order.iter().position(|p| *p == piece.passage) {
            Some(at) => at + 1,
            None => {
                order.push(piece.passage);
                order.len()
            }
        };
        if at > 0 {
            answer.push(if piece.text.contains('\n') || answer.contains('\n') { '\n' } else { ' ' });
        }
        let text = piece.text.trim_end();
        // "… by Friday. [1]" and "… by Friday [1]" alike: the mark stands before the next piece, after the stop.
        answer.push_str(text);
        answer.push_str(&format!(" [{number}]"));
    }
    (answer, order)
}
