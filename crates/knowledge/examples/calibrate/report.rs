//! What a model reaches on a collection.

use std::collections::HashMap;
use std::io::Write;

use astrolabe_backends::analysis::Lang;
use astrolabe_knowledge::answers::extractive::{
    Extract, FEATURE_NAMES, Model, Scored, describe, evidence, extract_answer, extract_with, render,
};

use crate::Failure;
use crate::collection::{Ask, Collection, Setting, holds};
use crate::world::Meaning;

/// What came of one question.
#[derive(Clone, Copy)]
pub struct Outcome {
    pub confidence: f32,
    pub answered: bool,
    /// A gold string in the answer and in a cited passage of the right document; the right document alone where there are no gold strings.
    pub gold: bool,
    /// The right document cited.
    pub cited: bool,
}

/// Asks one question.
pub fn ask(
    collection: &Collection,
    ask: &Ask,
    setting: Setting,
    model: Option<&Model>,
    meaning: Option<&Meaning<'_>>,
) -> (Outcome, Extract, String) {
    collection.with_request(ask, setting, meaning, |request, pieces| {
        let extract = model.map_or_else(|| extract_answer(request), |m| extract_with(request, m));
        let (text, cited) = render(&extract);
        let right: Vec<_> = cited.iter().map(|p| pieces[*p]).filter(|p| ask.relevant.contains(&p.document)).collect();
        let gold = ask.gold.is_empty() || holds(&text, &ask.gold) && right.iter().any(|p| holds(&p.text, &ask.gold));
        let outcome = Outcome {
            confidence: extract.confidence,
            answered: extract.answered,
            gold: gold && !right.is_empty(),
            cited: !right.is_empty(),
        };
        (outcome, extract, text)
    })
}

/// Right answers of a collection of documents, as `astrolabe eval --questions` counts them; answerable and unanswerable.
#[derive(Default, Clone, Copy)]
pub struct Office {
    pub right: (usize, usize),
    pub of: (usize, usize),
}

/// Asks a collection of documents.
pub fn office(
    out: &mut impl Write,
    collection: &Collection,
    model: Option<&Model>,
    meaning: Option<&Meaning<'_>>,
    wrong: bool,
) -> Result<Office, Failure> {
    let mut office = Office::default();
    for one in &collection.asks {
        let (outcome, _, text) = ask(collection, one, Setting::AsIs, model, meaning);
        let answerable = !one.relevant.is_empty();
        let right = if answerable { outcome.answered && outcome.gold } else { !outcome.answered };
        let slot = if answerable { (&mut office.right.0, &mut office.of.0) } else { (&mut office.right.1, &mut office.of.1) };
        *slot.0 += usize::from(right);
        *slot.1 += 1;
        if !right && wrong {
            writeln!(
                out,
                "   {} {:.2} {}{} | {}",
                one.id,
                outcome.confidence,
                if answerable { "" } else { "(unanswerable) " },
                one.text,
                text.replace('\n', " / ")
            )?;
            why(out, collection, one, meaning)?;
        }
    }
    let Office { right, of } = office;
    writeln!(
        out,
        "{:24} {:3}/{:3}   answerable {:3}/{:3}   unanswerable {:3}/{:3}",
        collection.name,
        right.0 + right.1,
        of.0 + of.1,
        right.0,
        of.0,
        right.1,
        of.1
    )?;
    Ok(office)
}

/// Asks a retrieval collection (the second half of its questions when it was trained on the first).
pub fn retrieval(
    out: &mut impl Write,
    collection: &Collection,
    strangers: &[&Collection],
    model: Option<&Model>,
    meaning: Option<&Meaning<'_>>,
    halved: bool,
) -> Result<(), Failure> {
    let asks = || collection.asks.iter().filter(|a| !halved || !a.first_half);
    let put = |setting| asks().map(|a| ask(collection, a, setting, model, meaning).0).collect::<Vec<_>>();
    let gold = collection.asks.iter().any(|a| !a.gold.is_empty());
    let answerable = put(Setting::AsIs);
    let mut without = vec![("absent".to_owned(), put(Setting::Absent)), ("foreign".to_owned(), put(Setting::Foreign))];
    if gold {
        without.push(("cut".to_owned(), put(Setting::Cut)));
    }
    for stranger in strangers {
        // At most 300 of a stranger's questions: their share is known well enough then.
        let every = stranger.asks.len().div_ceil(300);
        let outcomes = stranger.asks.iter().step_by(every).map(|a| ask(collection, a, Setting::AsIs, model, meaning).0).collect();
        without.push((stranger.name.clone(), outcomes));
    }
    let share = |n: usize, of: usize| n as f32 / of.max(1) as f32;
    let mut line = |label: &str, at: &dyn Fn(&Outcome) -> bool| -> Result<(), Failure> {
        let answered: Vec<&Outcome> = answerable.iter().filter(|o| at(o)).collect();
        let gold = answered.iter().filter(|o| o.gold).count();
        let cited = answered.iter().filter(|o| o.cited).count();
        write!(
            out,
            "{:16} {label:8} refused {:.3}  of answered: gold {:.3} cited {:.3}  refused:",
            collection.name,
            1.0 - share(answered.len(), answerable.len()),
            share(gold, answered.len()),
            share(cited, answered.len())
        )?;
        for (name, outcomes) in &without {
            write!(out, " {name} {:.3}", 1.0 - share(outcomes.iter().filter(|o| at(o)).count(), outcomes.len()))?;
        }
        writeln!(out)?;
        Ok(())
    };
    line("shipped", &|o| o.answered)?;
    let mut confidences: Vec<f32> = answerable.iter().map(|o| o.confidence).collect();
    confidences.sort_by(f32::total_cmp);
    if let Some(tenth) = confidences.get(confidences.len() / 10).copied() {
        line(&format!("{tenth:.3}"), &|o| o.confidence >= tenth)?;
    }
    Ok(())
}

/// Prints what a wrong answer was made from: the question's concepts, and the evidence of the first sentence and of the first that holds the gold string.
fn why(out: &mut impl Write, collection: &Collection, ask: &Ask, meaning: Option<&Meaning<'_>>) -> Result<(), Failure> {
    let model = Model::for_language(collection.lang, meaning.is_some());
    let (concepts, mut sentences) = collection.with_request(ask, Setting::AsIs, meaning, |request, pieces| {
        let scored = evidence(request);
        let right = |s: &Scored| ask.relevant.contains(&pieces[s.passage].document) && holds(&s.text, &ask.gold);
        (describe(request), scored.into_iter().map(|s| (model.score(&s.features), right(&s), s)).collect::<Vec<_>>())
    });
    sentences.sort_by(|a, b| b.0.total_cmp(&a.0));
    writeln!(out, "      {concepts}")?;
    let gold = sentences.iter().position(|s| s.1).unwrap_or(0);
    for at in if gold == 0 { vec![0] } else { vec![0, gold] } {
        if let Some((score, _, sentence)) = sentences.get(at) {
            let features: Vec<String> =
                FEATURE_NAMES.iter().zip(sentence.features).filter(|(_, v)| v.abs() > 0.005).map(|(n, v)| format!("{n} {v:.2}")).collect();
            writeln!(out, "      {at}: {score:.2} {} | {}", sentence.text.replace('\n', " / "), features.join(", "))?;
        }
    }
    Ok(())
}

/// What comes right of collections of documents at each threshold, a line a language; the best threshold of each.
pub fn sweep(out: &mut impl Write, outcomes: &[(Lang, Outcome, bool)]) -> Result<HashMap<Lang, f32>, Failure> {
    let mut chosen = HashMap::new();
    for lang in [Lang::En, Lang::Pl, Lang::Ru] {
        let of_lang: Vec<(&Outcome, bool)> = outcomes.iter().filter(|(l, ..)| *l == lang).map(|(_, o, a)| (o, *a)).collect();
        if of_lang.is_empty() {
            continue;
        }
        write!(out, "  {:3}", lang.code())?;
        let mut best = (0, 0.25);
        for step in 2..20 {
            let threshold = step as f32 * 0.025;
            let right = of_lang.iter().filter(|(o, a)| *a && o.confidence >= threshold && o.gold).count();
            let refused = of_lang.iter().filter(|(o, a)| !*a && o.confidence < threshold).count();
            write!(out, " {threshold:.2}:{right}+{refused}={}", right + refused)?;
            if right + refused > best.0 {
                best = (right + refused, threshold);
            }
        }
        chosen.insert(lang, best.1);
        let answerable = of_lang.iter().filter(|(_, a)| *a).count();
        writeln!(out, "  of {answerable}+{}", of_lang.len() - answerable)?;
    }
    Ok(chosen)
}

/// The shipped model on every collection.
pub fn shipped(out: &mut impl Write, collections: &[Collection], meaning: Option<&Meaning<'_>>, wrong: bool) -> Result<(), Failure> {
    let mut outcomes = Vec::new();
    for collection in collections {
        if collection.office {
            office(out, collection, None, meaning, wrong)?;
            let eager = Model { threshold: -1.0, ..Model::for_language(collection.lang, meaning.is_some()) };
            outcomes.extend(
                collection
                    .asks
                    .iter()
                    .map(|one| (collection.lang, ask(collection, one, Setting::AsIs, Some(&eager), meaning).0, !one.relevant.is_empty())),
            );
        } else if collection.asks.iter().any(|a| !a.gold.is_empty()) || collection.name.contains("poquad") {
            let strangers: Vec<&Collection> =
                collections.iter().filter(|c| !c.office && c.lang == collection.lang && c.name != collection.name).collect();
            retrieval(out, collection, &strangers, None, meaning, false)?;
        }
    }
    sweep(out, &outcomes)?;
    Ok(())
}
