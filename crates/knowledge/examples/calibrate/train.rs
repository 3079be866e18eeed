//! Finds the weights: a listwise softmax ranks sentences, boosted trees tell whether the best one answers.

use std::io::Write;

use astrolabe_backends::analysis::Lang;
use astrolabe_knowledge::answers::extractive::{ANSWER_FEATURES, FEATURE_NAMES, FEATURES, Features, Model, Tree, evidence};

use crate::Failure;
use crate::boost::{self, Example};
use crate::collection::{Collection, Setting, holds};
use crate::report;
use crate::world::Meaning;

/// Folds that collections of documents are dealt into.
const FOLDS: usize = 3;
/// Share of the training mass that the few questions of collections of documents get.
const OFFICE_SHARE: f32 = 0.4;

/// The sentences of one question, put in one way.
struct Row {
    features: Vec<Features>,
    /// Sentences with a gold string in a relevant document.
    gold: Vec<bool>,
    /// Sentences of a relevant document; what there is where a collection has no gold strings.
    relevant: Vec<bool>,
    has_gold: bool,
    weight: f32,
    /// For collections of documents: the fold that must not learn from it.
    fold: Option<usize>,
    /// For a collection that is only reported.
    kept_out: bool,
}

fn rows(collections: &[Collection], meaning: Option<&Meaning<'_>>) -> Vec<Row> {
    let mut rows = Vec::new();
    for (collection, fold) in collections.iter().zip(folds(collections)) {
        if collection.kept_out {
            continue;
        }
        let has_gold = collection.asks.iter().any(|a| !a.gold.is_empty());
        let settings: &[(Setting, f32)] = match (collection.office, has_gold) {
            (true, _) => &[(Setting::AsIs, 1.0)],
            (false, true) => &[(Setting::AsIs, 1.0), (Setting::Absent, 0.4), (Setting::Foreign, 0.3), (Setting::Cut, 0.3)],
            (false, false) => &[(Setting::AsIs, 0.5), (Setting::Absent, 0.25), (Setting::Foreign, 0.25)],
        };
        for ask in collection.asks.iter().filter(|a| a.first_half && (collection.office || !a.relevant.is_empty())) {
            for (setting, weight) in settings {
                rows.push(collection.with_request(ask, *setting, meaning, |request, pieces| {
                    let scored = evidence(request);
                    let right = |passage: usize| collection.answerable(ask, *setting) && ask.relevant.contains(&pieces[passage].document);
                    Row {
                        gold: scored.iter().map(|s| right(s.passage) && !ask.gold.is_empty() && holds(&s.text, &ask.gold)).collect(),
                        relevant: scored.iter().map(|s| right(s.passage)).collect(),
                        features: scored.into_iter().map(|s| s.features).collect(),
                        has_gold: has_gold || collection.office,
                        weight: *weight,
                        fold,
                        kept_out: collection.kept_out,
                    }
                }));
            }
        }
    }
    rows
}

/// The fold of each collection: none for retrieval collections, which are halved instead.
fn folds(collections: &[Collection]) -> Vec<Option<usize>> {
    let mut next = std::collections::HashMap::new();
    collections
        .iter()
        .map(|c| {
            (c.office && !c.kept_out).then(|| {
                let at = next.entry(c.lang).or_insert(0usize);
                *at += 1;
                (*at - 1) % FOLDS
            })
        })
        .collect()
}

/// What the ranking weights are drawn to: collections of encyclopedic questions hardly ever give a value that the answer states as a range.
fn rank_prior() -> Features {
    let mut prior = [0.0; FEATURES];
    for (slot, name) in prior.iter_mut().zip(FEATURE_NAMES) {
        if name == "value_in_range" {
            *slot = 1.0;
        }
    }
    prior
}

/// Adam over a function that gives the gradient of its loss.
fn descend<const N: usize>(steps: usize, rate: f32, decay: f32, prior: &[f32; N], gradient: impl Fn(&[f32; N]) -> [f32; N]) -> [f32; N] {
    let (mut w, mut m, mut v) = ([0.0f32; N], [0.0f32; N], [0.0f32; N]);
    for step in 1..=steps {
        let g = gradient(&w);
        for i in 0..N {
            // A weight with a prior is held ten times tighter.
            let g = g[i] + if prior[i] == 0.0 { decay * w[i] } else { 10.0 * decay * (w[i] - prior[i]) };
            m[i] = 0.9 * m[i] + 0.1 * g;
            v[i] = 0.999 * v[i] + 0.001 * g * g;
            let (mh, vh) = (m[i] / (1.0 - 0.9f32.powi(step as i32)), v[i] / (1.0 - 0.999f32.powi(step as i32)));
            w[i] -= rate * mh / (vh.sqrt() + 1e-8);
        }
    }
    w
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

/// Weights that give the questions of collections of documents their share.
fn weigh(rows: &[&Row]) -> Vec<f32> {
    let office: f32 = rows.iter().filter(|r| r.fold.is_some()).map(|r| r.weight).sum();
    let other: f32 = rows.iter().filter(|r| r.fold.is_none()).map(|r| r.weight).sum();

    let boost = if office > 0.0 && other > 0.0 { OFFICE_SHARE / (1.0 - OFFICE_SHARE) * other / office } else { 1.0 };
    let total = if other > 0.0 { other + office * boost } else { office };
    rows.iter().map(|r| r.weight * if r.fold.is_some() { boost } else { 1.0 } / total).collect()
}

/// Listwise softmax: the probability mass of the gold sentences among all sentences of their question.
fn train_rank(rows: &[&Row]) -> Features {
    let usable: Vec<&Row> = rows.iter().copied().filter(|r| r.gold.iter().any(|g| *g)).collect();
    let weights = weigh(&usable);
    descend::<FEATURES>(250, 0.1, 0.002, &rank_prior(), |w| {
        let mut g = [0.0f32; FEATURES];
        for (row, weight) in usable.iter().zip(&weights) {
            let scores: Vec<f32> = row.features.iter().map(|f| dot(w, f)).collect();
            let top = scores.iter().copied().fold(f32::MIN, f32::max);
            let mass: Vec<f32> = scores.iter().map(|s| (s - top).exp()).collect();
            let all: f32 = mass.iter().sum();
            let gold: f32 = mass.iter().zip(&row.gold).filter(|(_, g)| **g).map(|(m, _)| m).sum::<f32>().max(1e-9);
            for ((f, m), is_gold) in row.features.iter().zip(&mass).zip(&row.gold) {
                let share = weight * (m / all - if *is_gold { m / gold } else { 0.0 });
                if share.abs() > 1e-9 {
                    for i in 0..FEATURES {
                        g[i] += share * f[i];
                    }
                }
            }
        }
        g
    })
}

fn best_of(row: &Row, rank: &Features) -> Option<([f32; ANSWER_FEATURES], bool)> {
    let mut order: Vec<(f32, usize)> = row.features.iter().enumerate().map(|(i, f)| (dot(rank, f), i)).collect();
    order.sort_by(|a, b| b.0.total_cmp(&a.0));
    let (score, best) = *order.first()?;
    let next = order.get(1).map_or(score - 3.0, |o| o.0);
    // The answer may hold up to three sentences; one of the first two being right makes it right.
    let labels = if row.has_gold { &row.gold } else { &row.relevant };
    let right = order.iter().take(2).any(|(_, i)| labels[*i]);
    Some((Model::answer_features(&row.features[best], score, next), right))
}

/// Trains the trees over the ranking weights that are shipped, or over new ones.
fn train(rows: &[&Row], new_rank: bool, similar: bool) -> Model {
    let rank = if new_rank { train_rank(rows) } else { Model::for_language(Lang::En, similar).rank };
    let examples: Vec<Example> = rows
        .iter()
        .zip(weigh(rows))
        .filter_map(|(row, weight)| best_of(row, &rank).map(|(features, right)| (features, right, weight)))
        .collect();
    Model { rank, trees: boost::grow(&examples).into(), threshold: -1.0 }
}

/// Trains without each fold in turn and reports it on that fold; then trains on all and prints weights, retrieval collections and what was kept out.
pub fn cross_validate(
    out: &mut impl Write,
    collections: &[Collection],
    meaning: Option<&Meaning<'_>>,
    new_rank: bool,
    wrong: bool,
) -> Result<(), Failure> {
    let rows = rows(collections, meaning);
    let folds = folds(collections);
    let mut unseen: Vec<(Lang, report::Outcome, bool)> = Vec::new();
    let mut wrongs = Vec::new();
    let count = folds.iter().flatten().max().map_or(0, |m| m + 1);
    for fold in 0..count {
        let model = train(&rows.iter().filter(|r| r.fold != Some(fold)).collect::<Vec<_>>(), new_rank, meaning.is_some());
        for (collection, _) in collections.iter().zip(&folds).filter(|(_, f)| **f == Some(fold)) {
            for ask in &collection.asks {
                let (outcome, _, text) = report::ask(collection, ask, Setting::AsIs, Some(&model), meaning);
                unseen.push((collection.lang, outcome, !ask.relevant.is_empty()));
                wrongs.push((
                    collection.lang,
                    outcome,
                    !ask.relevant.is_empty(),
                    format!("{} {} | {}", collection.name, ask.id, ask.text),
                    text,
                ));
            }
        }
    }
    writeln!(out, "collections of documents, each by a model that has not seen it:")?;
    let chosen = report::sweep(out, &unseen)?;
    if wrong {
        for (lang, outcome, answerable, question, text) in &wrongs {
            let threshold = chosen.get(lang).copied().unwrap_or(0.25);
            let answered = outcome.confidence >= threshold;
            if if *answerable { !(answered && outcome.gold) } else { answered } {
                let how = if *answerable { if outcome.gold { "refused" } else { "wrong" } } else { "answered" };
                writeln!(out, "   {how} {:.2} {question} | {}", outcome.confidence, text.replace('\n', " / "))?;
            }
        }
    }
    let mut model = train(&rows.iter().filter(|r| !r.kept_out).collect::<Vec<_>>(), new_rank, meaning.is_some());
    writeln!(out, "== trained on all, {}", if meaning.is_some() { "with vectors" } else { "by words" })?;
    for (i, feature) in FEATURE_NAMES.iter().chain(["score", "lead"].iter()).enumerate() {
        let splits =
            model.trees.iter().flat_map(|t| t.features.iter().zip(t.cuts)).filter(|(f, cut)| usize::from(**f) == i && *cut < 2.0).count();
        writeln!(out, "{feature:28} rank {:8.3}  splits {splits:4}", model.rank.get(i).copied().unwrap_or(0.0))?;
    }
    writeln!(out, "rank: {:.2?}", model.rank)?;
    for Tree { features, cuts, leaves } in model.trees.iter() {
        writeln!(out, "    t({features:?}, {cuts:.4?}, {leaves:.3?}),")?;
    }
    for collection in collections {
        model.threshold = chosen.get(&collection.lang).copied().unwrap_or(0.25);
        if collection.office && collection.kept_out {
            report::office(out, collection, Some(&model), meaning, false)?;
        } else if !collection.office && !collection.kept_out {
            let strangers: Vec<&Collection> =
                collections.iter().filter(|c| !c.office && c.lang == collection.lang && c.name != collection.name).collect();
            report::retrieval(out, collection, &strangers, Some(&model), meaning, true)?;
        }
    }
    Ok(())
}
