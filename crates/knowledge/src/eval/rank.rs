//! Ranking whole documents, as retrieval collections judge them.

use astrolabe_kernel::{Error, Id, Principal, Result, error::code};

use crate::{Knowledge, documents::Document, search::Search};

pub use crate::search::SearchMode;

impl Knowledge {
    /// Up to `limit` documents of the caller's tenant, best first, as a search for documents ranks them.
    ///
    /// # Errors
    /// `warming_up` while the index loads; `invalid_state` for a mode that needs the embedding model when there is none.
    pub async fn rank_documents(&self, principal: &Principal, question: &str, mode: SearchMode, limit: usize) -> Result<Vec<Id<Document>>> {
        self.index()?;
        if mode != SearchMode::Lexical && self.embedder().is_none() {
            // A search goes on by words alone and says so; a measurement of both sides must not.
            let text = "dense and hybrid need the embedding model, which is not there: run `make models`";
            return Err(Error::new(code::INVALID_STATE, text));
        }
        self.document_ids(principal, &Search { mode, ..Search::new(question, limit) }).await
    }
}
