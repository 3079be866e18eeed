//! Brings search results to the extractive answerer, and what it picked back to citations.

use std::{cell::RefCell, collections::HashMap};

use astrolabe_backends::{analysis::Lang, embedder::Priority};
use astrolabe_kernel::{Error, Result};

use super::{
    extractive::{Passage, Request, extract_answer, render},
    run::{Rendered, citation},
    store,
};
use crate::{Knowledge, search::Results};

/// Characters of a document's start that are looked at for whether it is in force.
const START: i64 = 400;

/// Answers with sentences of what was found.
#[tracing::instrument(name = "extract_answer", skip_all)]
pub(super) async fn answer(knowledge: &Knowledge, question: &str, results: &Results) -> Result<Rendered> {
    let index = knowledge.index()?;
    let embedder = knowledge.embedder();
    let (question, found, lang) = (question.to_owned(), results.found.clone(), results.query.lang);
    let vector = results.vector.clone();
    let tenant = results.tenant;
    let ids: Vec<_> = found.iter().map(|f| f.document_id).collect();
    let starts = store::document_starts(&mut knowledge.kernel.db.read(tenant).await?, tenant, &ids, START).await?;
    tokio::task::spawn_blocking(move || {
        let passages: Vec<Passage<'_>> = found
            .iter()
            .enumerate()
            .map(|(rank, f)| Passage {
                text: &f.text,
                heading: &f.heading,
                title: &f.title,
                document_start: starts.iter().find(|(id, _)| *id == f.document_id).map_or("", |(_, text)| text),
                lang: Lang::from_code(&f.lang),
                rank,
                dense_score: f.dense,
            })
            .collect();
        let tenant = tenant.to_string();
        // A term is asked for once per sentence that has it, and an engine may be a network away.
        let (runtime, known) = (tokio::runtime::Handle::current(), RefCell::new(HashMap::<String, f32>::new()));
        let idf = |term: &str| {
            if let Some(idf) = known.borrow().get(term) {
                return *idf;
            }
            // Without a weight every word counts alike, which is what an answer can do when the index does not answer.
            let found = runtime.block_on(index.idf(&tenant, &[term.to_owned()])).unwrap_or_default();
            let idf = found.first().copied().unwrap_or(1.0);
            known.borrow_mut().insert(term.to_owned(), idf);
            idf
        };
        let embed = |sentences: &[&str]| match &embedder {
            Some(embedder) => embedder.embed_blocking(sentences, Priority::Interactive).unwrap_or_default(),
            None => Vec::new(),
        };
        let request = Request {
            question: &question,
            lang: Some(lang),
            passages: &passages,
            idf: &idf,
            embedder: vector.as_deref().map(|v| (v, &embed as &dyn Fn(&[&str]) -> Vec<Vec<f32>>)),
        };
        let extract = extract_answer(&request);
        let (text, cited) = render(&extract);
        let citations = cited.iter().enumerate().map(|(i, passage)| citation(i + 1, &found[*passage])).collect();
        Rendered { answered: extract.answered, text, citations }
    })
    .await
    .map_err(Error::internal)
}
