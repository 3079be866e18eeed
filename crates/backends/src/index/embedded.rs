//! The embedded engine behind the contract. [`EmbeddedIndex`] blocks: writes wait for the disk, searches use the processor
//! for milliseconds. So each call runs on a thread that may block.

use std::sync::Arc;

use super::{DocumentState, EmbeddedIndex, Filter, Hit, IndexDocument, IndexError, IndexStats, Pending, SearchIndex};
use crate::analysis::{Lookup, Near, QueryTerm};

/// An [`EmbeddedIndex`] as a [`SearchIndex`]. Clones share the index.
#[derive(Debug, Clone)]
pub struct Embedded(Arc<EmbeddedIndex>);

impl Embedded {
    /// The engine on an open index.
    #[must_use]
    pub fn new(index: EmbeddedIndex) -> Self {
        Self(Arc::new(index))
    }

    /// The index itself, for what only this engine can do.
    #[must_use]
    pub fn index(&self) -> &Arc<EmbeddedIndex> {
        &self.0
    }

    /// Runs `work` on a thread that may block. A write that has begun goes on when the caller waits no more.
    fn run<T: Send + 'static>(&self, work: impl FnOnce(&EmbeddedIndex) -> Result<T, IndexError> + Send + 'static) -> Pending<'static, T> {
        let index = Arc::clone(&self.0);
        Box::pin(async move { tokio::task::spawn_blocking(move || work(&index)).await.unwrap_or(Err(IndexError::Interrupted)) })
    }
}

impl SearchIndex for Embedded {
    fn replace_documents(&self, documents: Vec<IndexDocument>) -> Pending<'_, ()> {
        self.run(move |index| index.replace_documents(documents))
    }

    fn delete_document<'a>(&'a self, tenant: &'a str, document_id: &'a str) -> Pending<'a, ()> {
        let (tenant, document_id) = (tenant.to_owned(), document_id.to_owned());
        self.run(move |index| index.delete_document(&tenant, &document_id))
    }

    fn delete_source<'a>(&'a self, tenant: &'a str, source_id: &'a str) -> Pending<'a, ()> {
        let (tenant, source_id) = (tenant.to_owned(), source_id.to_owned());
        self.run(move |index| index.delete_source(&tenant, &source_id))
    }

    fn dense<'a>(&'a self, filter: &'a Filter, vector: &'a [f32], k: usize) -> Pending<'a, Vec<Hit>> {
        let (filter, vector) = (filter.clone(), vector.to_vec());
        self.run(move |index| index.dense(&filter, &vector, k))
    }

    fn lexical<'a>(&'a self, filter: &'a Filter, terms: &'a [QueryTerm], k: usize) -> Pending<'a, Vec<Hit>> {
        let (filter, terms) = (filter.clone(), terms.to_vec());
        self.run(move |index| Ok(index.lexical(&filter, &terms, k)))
    }

    fn count<'a>(&'a self, filter: &'a Filter) -> Pending<'a, u64> {
        let filter = filter.clone();
        self.run(move |index| Ok(index.count(&filter)))
    }

    fn idf<'a>(&'a self, tenant: &'a str, terms: &'a [String]) -> Pending<'a, Vec<f32>> {
        let (tenant, terms) = (tenant.to_owned(), terms.to_vec());
        self.run(move |index| Ok(terms.iter().map(|term| index.idf(&tenant, term)).collect()))
    }

    fn near_terms<'a>(&'a self, tenant: &'a str, lookups: &'a [Lookup]) -> Pending<'a, Vec<Vec<Near>>> {
        let (tenant, lookups) = (tenant.to_owned(), lookups.to_vec());
        self.run(move |index| Ok(index.near_terms(&tenant, &lookups)))
    }

    fn vectors<'a>(&'a self, tenant: &'a str, chunks: &'a [(String, String)]) -> Pending<'a, Vec<Option<Vec<f32>>>> {
        let (tenant, chunks) = (tenant.to_owned(), chunks.to_vec());
        self.run(move |index| chunks.iter().map(|(document, chunk)| index.vector(&tenant, document, chunk)).collect())
    }

    fn documents(&self) -> Pending<'_, Vec<DocumentState>> {
        self.run(|index| Ok(index.documents()))
    }

    fn stats(&self) -> Pending<'_, IndexStats> {
        self.run(|index| Ok(index.stats()))
    }

    fn maintain(&self) -> Pending<'_, ()> {
        // Each write leaves the index in shape.
        Box::pin(std::future::ready(Ok(())))
    }

    fn clear(&self) -> Pending<'_, ()> {
        self.run(EmbeddedIndex::clear)
    }

    fn kind(&self) -> &'static str {
        "embedded"
    }
}
