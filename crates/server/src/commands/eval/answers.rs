//! Answers to the queries of a collection: whether they hold a gold string, cite a relevant document, and are refused where there is none.

use astrolabe_kernel::{
    Error, Principal, Result,
    http::{Caller, Trace},
};
use astrolabe_knowledge::{
    answers::{Answer, AskRequest},
    eval::{
        beir::{Collection, Query},
        metrics::percentile,
        text::{holds, holds_words, without_marks},
    },
};
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::Serialize;

use super::{
    super::progress::Progress,
    millis, rounded,
    scratch::{Ingested, Place},
};
use crate::cli::Context;

/// Questions asked at the same time.
const AT_ONCE: usize = 2;

/// What the answers reach. Shares are of the answered questions, but for `answered` and `refused`.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Answers {
    /// Queries with gold answers.
    questions: usize,
    /// Share of them that were answered.
    answered: f64,
    /// Share whose text holds a gold string, compared as SQuAD does.
    gold_string: f64,
    /// Share whose text holds a gold string letter by letter, but for case and white space.
    gold_string_plain: f64,
    /// Share that cite a relevant document.
    right_citation: f64,
    /// Share of all citations that are of a relevant document.
    citation_precision: f64,
    /// Queries of the foreign collection.
    unanswerable: usize,
    /// Share of them that were refused; null without a foreign collection.
    refused: Option<f64>,
    p50_ms: f64,
    p95_ms: f64,
}

impl Answers {
    /// The figures for people.
    pub fn lines(&self) -> Vec<String> {
        let percent = |share: f64| format!("{:.1} %", share * 100.0);
        let mut lines = vec![
            format!(
                "answers to {} questions: {} answered (p50 {} ms, p95 {} ms)",
                self.questions,
                percent(self.answered),
                self.p50_ms,
                self.p95_ms
            ),
            format!("  of these hold a gold string   {} (letter by letter {})", percent(self.gold_string), percent(self.gold_string_plain)),
            format!(
                "  cite a relevant document      {} (of all citations {})",
                percent(self.right_citation),
                percent(self.citation_precision)
            ),
        ];
        if let Some(refused) = self.refused {
            lines.push(format!("{} unanswerable questions: {} refused", self.unanswerable, percent(refused)));
        }
        lines
    }
}

/// Asks every query that has gold answers, and the foreign ones.
///
/// # Errors
/// `invalid_request` when no query has gold answers; what asking says.
pub(super) async fn measure(
    context: &Context,
    place: &Place,
    collection: &Collection,
    ingested: &Ingested,
    foreign: &[Query],
) -> Result<Answers> {
    let asked: Vec<&Query> = collection.queries.iter().filter(|q| !q.answers.is_empty()).collect();
    if asked.is_empty() {
        return Err(Error::field("--answers", "no query has gold `answers`"));
    }
    let progress = Progress::new(context.output, "questions", asked.len() + foreign.len());
    let (mut times, mut tally) = (Vec::new(), Tally::default());
    let mut answers = stream::iter(asked.iter().map(|query| ask(place, query))).buffered(AT_ONCE);
    while let Some((query, answer, took)) = answers.try_next().await? {
        times.push(took);
        progress.step(1);
        tally.add(query, &answer, |citation| {
            let judged = collection.judgements.get(&query.id);
            let ids = ingested.places_of(citation.document_id).iter().filter_map(|at| collection.documents.get(*at)).map(|d| &d.id);
            judged.is_some_and(|judged| ids.into_iter().any(|id| judged.get(id).is_some_and(|gain| *gain > 0.0)))
        });
    }
    drop(answers);
    let mut refused = 0usize;
    let mut answers = stream::iter(foreign.iter().map(|query| ask(place, query))).buffered(AT_ONCE);
    while let Some((_, answer, _)) = answers.try_next().await? {
        progress.step(1);
        refused += usize::from(!answer.answered);
    }
    progress.finish();
    let of_answered = |count: usize| rounded(share(count, tally.answered));
    Ok(Answers {
        questions: asked.len(),
        answered: rounded(share(tally.answered, asked.len())),
        gold_string: of_answered(tally.words),
        gold_string_plain: of_answered(tally.plain),
        right_citation: of_answered(tally.cited),
        citation_precision: rounded(share(tally.right_citations, tally.citations)),
        unanswerable: foreign.len(),
        refused: (!foreign.is_empty()).then(|| rounded(share(refused, foreign.len()))),
        p50_ms: millis(percentile(&times, 0.5)),
        p95_ms: millis(percentile(&times, 0.95)),
    })
}

/// What the answers of the answerable questions add up to.
#[derive(Default)]
struct Tally {
    answered: usize,
    words: usize,
    plain: usize,
    cited: usize,
    citations: usize,
    right_citations: usize,
}

impl Tally {
    fn add(&mut self, query: &Query, answer: &Answer, relevant: impl Fn(&astrolabe_knowledge::answers::Citation) -> bool) {
        if !answer.answered {
            return;
        }
        let text = without_marks(&answer.answer);
        let right = answer.citations.iter().filter(|c| relevant(c)).count();
        self.answered += 1;
        self.words += usize::from(query.answers.iter().any(|gold| holds_words(&text, gold)));
        self.plain += usize::from(query.answers.iter().any(|gold| holds(&text, gold)));
        self.cited += usize::from(right > 0);
        self.citations += answer.citations.len();
        self.right_citations += right;
    }
}

/// Asks as a person does, and measures the milliseconds.
async fn ask<'a>(place: &Place, query: &'a Query) -> Result<(&'a Query, Answer, f64)> {
    let app = place.app()?;
    let caller =
        Caller { principal: Principal::local_admin(), trace: Trace::background(&app.kernel.random), idempotency_key: None, address: None };
    let request = AskRequest { question: query.text.clone(), ..AskRequest::default() };
    let started = std::time::Instant::now();
    let answer = app.knowledge.start_ask(&caller, request).await?.result().await?;
    Ok((query, answer, started.elapsed().as_secs_f64() * 1000.0))
}

fn share(count: usize, of: usize) -> f64 {
    if of == 0 { 0.0 } else { count as f64 / of as f64 }
}
