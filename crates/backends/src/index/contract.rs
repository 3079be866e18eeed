//! What every engine promises.

use std::{fmt::Debug, pin::Pin};

use super::{DocumentState, Filter, Hit, IndexDocument, IndexError, IndexStats};
use crate::analysis::{Lookup, Near, QueryTerm};

/// What an engine will have done or found.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = Result<T, IndexError>> + Send + 'a>>;

/// The index of one generation: one embedding model in one version, one version of the analysis. Shared as
/// `Arc<dyn SearchIndex>`.
///
/// Nothing of one tenant is in another's results, scores or counts. What a finished call wrote is in every later
/// answer, of this process and of every other that shares the index, and survives the end of the process. A call that
/// fails changes nothing. Calls may be dropped while they wait; a write that was dropped has happened wholly or not at
/// all.
///
/// The engines agree on the order of words exactly, except that scores may differ in the last bit of their float, and
/// on vectors up to their precision: an engine may keep vectors of half precision (2⁻¹¹ of a component), and may
/// search them approximately where more than some ten thousand are allowed; recall@10 is then 0.98 or better.
pub trait SearchIndex: Debug + Send + Sync {
    /// Puts documents in, each in place of its earlier version. Of two with one id the later one counts. A document
    /// without chunks is known, and found by nothing.
    ///
    /// # Errors
    /// `Invalid` naming the field: an empty id, a NUL in any id, tag, reader or media type, two chunks of one id in a
    /// document, a vector without a direction (NaN, infinite or all zero). `Dimensions` for a vector of another length
    /// than the generation's. `Stale` when a newer version is in; the same version may be put in again. One refused
    /// document refuses all.
    fn replace_documents(&self, documents: Vec<IndexDocument>) -> Pending<'_, ()>;

    /// Takes a document out. Nothing happens when it is not in.
    ///
    /// # Errors
    /// A failed write.
    fn delete_document<'a>(&'a self, tenant: &'a str, document_id: &'a str) -> Pending<'a, ()>;

    /// Takes all documents of a source out. Nothing happens when there are none.
    ///
    /// # Errors
    /// A failed write.
    fn delete_source<'a>(&'a self, tenant: &'a str, source_id: &'a str) -> Pending<'a, ()>;

    /// The `k` allowed chunks whose vectors are nearest to `vector` by cosine, best first, equal scores by chunk id.
    /// Chunks without a vector are not found.
    ///
    /// # Errors
    /// `Dimensions` or `Invalid` about the vector, or a failed read.
    fn dense<'a>(&'a self, filter: &'a Filter, vector: &'a [f32], k: usize) -> Pending<'a, Vec<Hit>>;

    /// The `k` allowed chunks that match the words of an analysed query best by BM25 over the tenant's statistics, best
    /// first, equal scores by chunk id. The filter changes which chunks are shown and no score.
    ///
    /// # Errors
    /// A failed read.
    fn lexical<'a>(&'a self, filter: &'a Filter, terms: &'a [QueryTerm], k: usize) -> Pending<'a, Vec<Hit>>;

    /// How many chunks `filter` allows, exactly.
    ///
    /// # Errors
    /// A failed read.
    fn count<'a>(&'a self, filter: &'a Filter) -> Pending<'a, u64>;

    /// Inverse document frequency of each index term over a tenant's chunks, `ln(1 + (N - df + 0.5) / (df + 0.5))`; a
    /// term in no chunk has the highest, and a tenant without chunks has 0 for all.
    ///
    /// # Errors
    /// A failed read.
    fn idf<'a>(&'a self, tenant: &'a str, terms: &'a [String]) -> Pending<'a, Vec<f32>>;

    /// For each word of a query the terms of the tenant's chunks to use beside it: typing errors of a word that no chunk
    /// has, beginnings, families. The rules are those of [`Pattern`](crate::analysis::Pattern), so engines agree.
    ///
    /// # Errors
    /// A failed read.
    fn near_terms<'a>(&'a self, tenant: &'a str, lookups: &'a [Lookup]) -> Pending<'a, Vec<Vec<Near>>>;

    /// The vector (length 1) of each chunk, named by document and chunk id; `None` for a chunk that is not in or has none.
    ///
    /// # Errors
    /// A failed read.
    fn vectors<'a>(&'a self, tenant: &'a str, chunks: &'a [(String, String)]) -> Pending<'a, Vec<Option<Vec<f32>>>>;

    /// Every document of every tenant, ordered by tenant and document id.
    ///
    /// # Errors
    /// A failed read.
    fn documents(&self) -> Pending<'_, Vec<DocumentState>>;

    /// Sizes.
    ///
    /// # Errors
    /// A failed read.
    fn stats(&self) -> Pending<'_, IndexStats>;

    /// Brings what the engine keeps beside the documents into shape for searching: merges what single writes left, builds what
    /// large indexes are searched by. Searches go on meanwhile, and find the same
    /// before and after. To be called at the start, after many writes, and now and then.
    ///
    /// # Errors
    /// A failed read or write; whatever was not done is done by the next call.
    fn maintain(&self) -> Pending<'_, ()>;

    /// Takes everything out, of every tenant, to be built again from SQL.
    ///
    /// # Errors
    /// A failed write.
    fn clear(&self) -> Pending<'_, ()>;

    /// The engine's name: `embedded` or `postgres`.
    fn kind(&self) -> &'static str;
}
