//! Ranking whole documents by their chunks.

use std::{collections::HashMap, hash::Hash};

use astrolabe_backends::analysis::{Query, analyse_query};
use astrolabe_kernel::{Id, Principal, Result, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Found, Retrieval, Search, passages::page, run::by_place};
use crate::{Knowledge, documents::Document, sources::Source};

/// How many candidates each side brings to a search for documents: several of them are one result.
const CANDIDATES: usize = 300;
/// How many it brings where nothing is read of the documents and a hundred of them are wanted.
const RANKED: usize = 600;
/// Passages shown of a document.
const PASSAGES: usize = 3;
/// What each further chunk of a document counts beside the one before it. Measured (`docs/adr/0014-fusion.md`): 0.1 gains a little where many documents
/// are relevant and costs half a point of nDCG where one is.
const DECAY: f64 = 0.02;

/// A document that was found, with its best passages.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FoundDocument {
    /// The document.
    pub document_id: Id<Document>,
    /// Its name.
    pub document: String,
    /// Its title.
    pub title: String,
    /// Its source.
    pub source_id: Id<Source>,
    /// The source's name.
    pub source: String,
    /// Media type.
    pub mime: String,
    /// Tags.
    pub tags: Vec<String>,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// How well it fits, from 0 to 1; comparable within one answer only.
    pub score: f64,
    /// How many of its chunks were among the candidates.
    pub matching_chunks: usize,
    /// Its best passages, at most three, best first.
    pub passages: Vec<Found>,
}

/// A document's score: its chunks' scores, best first, each counting a fiftieth of the one before it. So the best chunk decides, and among documents
/// with equal best chunks the one that speaks of the matter more than once is first. Takes chunks best first; gives documents best first with their
/// score and how many chunks they had, equal scores by document id.
pub fn documents_of<K: Copy + Eq + Hash + Ord>(chunks: impl Iterator<Item = (K, f64)>) -> Vec<(K, f64, usize)> {
    let mut by_document: HashMap<K, (f64, f64, usize)> = HashMap::new();
    for (document, score) in chunks {
        let (sum, factor, count) = by_document.entry(document).or_insert((0.0, 1.0 - DECAY, 0));
        *sum += score * *factor;
        *factor *= DECAY;
        *count += 1;
    }
    let mut documents: Vec<_> = by_document.into_iter().map(|(id, (score, _, count))| (id, score, count)).collect();
    documents.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    documents
}

/// What a search for documents found.
pub struct DocumentResults {
    /// Best first.
    pub found: Vec<FoundDocument>,
    /// How.
    pub retrieval: Retrieval,
    /// The analysed question.
    pub query: Query,
}

impl Knowledge {
    /// The ids of up to `search.limit` documents of the caller's tenant, best first, by their chunks alone: nothing is read of them, and what their
    /// sources say of their ranking does not count.
    ///
    /// # Errors
    /// As [`Knowledge::search`].
    pub async fn document_ids(&self, principal: &Principal, search: &Search) -> Result<Vec<Id<Document>>> {
        let sides = self.sides(principal, search, analyse_query(&search.text, None), RANKED).await?;
        let fused = sides.fused();
        let documents = documents_of(fused.iter().map(|hit| (hit.document_id.as_str(), f64::from(hit.score))));
        documents.iter().take(search.limit).map(|(id, ..)| id.parse()).collect()
    }

    /// Finds up to `search.limit` documents of the caller's tenant with their best passages, best first.
    ///
    /// # Errors
    /// As [`Knowledge::search`].
    pub async fn find_documents(&self, principal: &Principal, search: &Search) -> Result<DocumentResults> {
        let tenant = principal.tenant;
        let sides = self.sides(principal, search, analyse_query(&search.text, None), CANDIDATES).await?;
        let ranked = self.ranked(tenant, search, &sides).await?;
        let documents = documents_of(ranked.iter().map(|hit| (hit.document_id, hit.score)));
        let mut chunks: HashMap<Id<Document>, Vec<Found>> = HashMap::new();
        for hit in ranked {
            chunks.entry(hit.document_id).or_default().push(hit);
        }
        let open = self.reads_all(principal, &search.only).await?;
        let mut found = Vec::new();
        for (place, (id, score, matching_chunks)) in documents.into_iter().take(search.limit).enumerate() {
            let Some(hits) = chunks.remove(&id) else { continue };
            let mut passages = page(hits, 0, PASSAGES, search.join).passages;
            self.finish(principal, search, &sides, &mut passages).await?;
            let Some(best) = passages.first() else { continue };
            found.push(FoundDocument {
                document_id: id,
                document: best.document.clone(),
                title: best.title.clone(),
                source_id: best.source_id,
                source: best.source.clone(),
                mime: best.mime.clone(),
                tags: best.tags.clone(),
                updated_at: best.updated_at,
                score: if open { score.min(1.0) } else { by_place(place, search.limit) },
                matching_chunks,
                passages,
            });
        }
        Ok(DocumentResults { found, retrieval: sides.retrieval, query: sides.query })
    }
}
