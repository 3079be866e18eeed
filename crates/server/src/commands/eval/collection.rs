//! A collection in the layout of BEIR: ingest, search every query, compare with the judgements.

use std::path::PathBuf;

use astrolabe_kernel::Result;
use astrolabe_knowledge::eval::{
    beir::{Collection, read_queries},
    metrics::{figures, mean, percentile},
};
use serde::Serialize;

use super::{
    super::progress::Progress,
    Eval, Mode,
    answers::{self, Answers},
    millis, rounded,
    scratch::{Ingested, Place},
};
use crate::{
    cli::{Context, Done},
    output::write_err,
};

/// Documents that are asked for: recall is looked at as far as this.
const DEPTH: usize = 100;

/// What one way of searching reaches.
#[derive(Debug, Clone, Serialize)]
struct Report {
    mode: &'static str,
    engine: &'static str,
    documents: usize,
    chunks: i64,
    queries: usize,
    #[serde(rename = "ndcg@10")]
    ndcg_10: f64,
    #[serde(rename = "recall@10")]
    recall_10: f64,
    #[serde(rename = "recall@100")]
    recall_100: f64,
    #[serde(rename = "mrr@10")]
    mrr_10: f64,
    ingest_s: f64,
    p50_ms: f64,
    p95_ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    answers: Option<Answers>,
}

pub(super) async fn run(context: &Context, args: &Eval, [corpus, queries, qrels]: [&PathBuf; 3]) -> Result<Done> {
    // Everything is read before anything is made: a typing error must not cost an ingest.
    let collection = Collection::read(corpus, queries, qrels)?;
    let foreign = match &args.unanswerable {
        Some(file) => read_queries(file, "--unanswerable")?,
        None => Vec::new(),
    };
    for note in &collection.notes {
        // Also with --json: the figures are of something else than the files seem to say.
        write_err(&format!("note: {note}"));
    }
    let place = Place::open(context, args.engine).await?;
    let reports = measure(context, args, &place, &collection, &foreign).await;
    place.close().await;
    print(context, &reports?)?;
    Ok(Done::All)
}

async fn measure(
    context: &Context,
    args: &Eval,
    place: &Place,
    collection: &Collection,
    foreign: &[astrolabe_knowledge::eval::beir::Query],
) -> Result<Vec<Report>> {
    if let (Some(mode), Some(first)) = (args.modes.iter().find(|m| **m != Mode::Lexical), collection.queries.first()) {
        // Says now, and not after the ingest, that there is no model.
        place.app()?.knowledge.rank_documents(&astrolabe_kernel::Principal::local_admin(), &first.text, (*mode).into(), 1).await?;
    }
    let ingested = place.ingest(context, &collection.documents).await?;
    let mut reports = Vec::with_capacity(args.modes.len());
    for mode in &args.modes {
        reports.push(search(context, args, *mode, place, collection, &ingested).await?);
    }
    if args.answers {
        let answers = answers::measure(context, place, collection, &ingested, foreign).await?;
        for report in &mut reports {
            report.answers = Some(answers.clone());
        }
    }
    Ok(reports)
}

async fn search(context: &Context, args: &Eval, mode: Mode, place: &Place, collection: &Collection, ingested: &Ingested) -> Result<Report> {
    let progress = Progress::new(context.output, "queries", collection.queries.len());
    let mut all = Vec::with_capacity(collection.queries.len());
    let mut times = Vec::with_capacity(collection.queries.len());
    for query in &collection.queries {
        let (found, took) = place.search(ingested, &query.text, mode.into(), DEPTH).await?;
        let ranked: Vec<&str> = found.iter().filter_map(|at| collection.documents.get(*at)).map(|d| d.id.as_str()).collect();
        if let Some(judged) = collection.judgements.get(&query.id) {
            all.push(figures(&ranked, judged));
        }
        times.push(took);
        progress.step(1);
    }
    progress.finish();
    let mean = mean(&all);
    Ok(Report {
        mode: match mode {
            Mode::Lexical => "lexical",
            Mode::Dense => "dense",
            Mode::Hybrid => "hybrid",
        },
        engine: args.engine.as_str(),
        documents: ingested.documents,
        chunks: ingested.chunks,
        queries: all.len(),
        ndcg_10: rounded(mean.ndcg_10),
        recall_10: rounded(mean.recall_10),
        recall_100: rounded(mean.recall_100),
        mrr_10: rounded(mean.mrr_10),
        ingest_s: millis(ingested.seconds),
        p50_ms: millis(percentile(&times, 0.5)),
        p95_ms: millis(percentile(&times, 0.95)),
        answers: None,
    })
}

fn print(context: &Context, reports: &[Report]) -> Result<()> {
    match reports {
        [one] => context.output.document(one)?,
        several => context.output.document(&several)?,
    }
    if let Some(first) = reports.first() {
        context.output.line(format!(
            "{} documents in {} chunks, {} queries, engine {}, ingested in {:.1} s",
            first.documents, first.chunks, first.queries, first.engine, first.ingest_s
        ));
    }
    context.output.line("");
    context.output.line("mode       nDCG@10  recall@10  recall@100   MRR@10   p50 ms   p95 ms");
    for r in reports {
        context.output.line(format!(
            "{:<9} {:>8.4} {:>10.4} {:>11.4} {:>8.4} {:>8.2} {:>8.2}",
            r.mode, r.ndcg_10, r.recall_10, r.recall_100, r.mrr_10, r.p50_ms, r.p95_ms
        ));
    }
    if let Some(answers) = reports.first().and_then(|r| r.answers.as_ref()) {
        context.output.line("");
        for line in answers.lines() {
            context.output.line(line);
        }
    }
    Ok(())
}
