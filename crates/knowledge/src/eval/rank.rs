//! Ranking whole documents, as retrieval collections judge them.

use std::collections::HashSet;

use astrolabe_backends::{
    analysis::analyse_query,
    embedder::Priority,
    index::{Filter, RRF_K, rrf},
};
use astrolabe_kernel::{Error, Id, Principal, Result, error::code};
use serde::{Deserialize, Serialize};

use crate::{Knowledge, documents::Document, ingest::jobs::embed, runtime::index_error};

/// Candidates a side brings when whole documents are wanted: several chunks of a document are one result.
const CANDIDATES: usize = 600;

/// Which sides of the search are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SearchMode {
    /// By words.
    Lexical,
    /// By meaning.
    Dense,
    /// By both, fused.
    Hybrid,
}

impl Knowledge {
    /// Up to `limit` documents of the caller's tenant, best first.
    ///
    /// # Errors
    /// `warming_up` while the index loads; `invalid_state` for a mode that needs the embedding model when there is none.
    pub async fn rank_documents(&self, principal: &Principal, question: &str, mode: SearchMode, limit: usize) -> Result<Vec<Id<Document>>> {
        let index = self.index()?;
        let query = analyse_query(question, None);
        let vector = match (mode, self.embedder()) {
            (SearchMode::Lexical, _) => None,
            (_, Some(embedder)) => embed(&embedder, vec![question.to_owned()], Priority::Interactive).await?.pop(),
            (_, None) => {
                return Err(Error::new(
                    code::INVALID_STATE,
                    "dense and hybrid need the embedding model, which is not there: run `make models`",
                ));
            }
        };
        let weight = crate::search::dense_weight(query.lang);
        let filter = Filter::tenant(principal.tenant.to_string());
        let lexical = match mode {
            SearchMode::Dense => Vec::new(),
            _ => index.lexical(&filter, &query.terms, CANDIDATES).await.map_err(index_error)?,
        };
        let dense = match &vector {
            Some(vector) => index.dense(&filter, vector, CANDIDATES).await.map_err(index_error)?,
            None => Vec::new(),
        };
        let fused = rrf(&[(1.0, &lexical), (if mode == SearchMode::Dense { 1.0 } else { weight }, &dense)], RRF_K);
        let mut seen = HashSet::new();
        let best = fused.into_iter().filter(|hit| seen.insert(hit.document_id.clone())).take(limit);
        best.map(|hit| hit.document_id.parse()).collect()
    }
}
