//! How many chunks can be found, in all and by what they have in common.

use std::collections::HashMap;

use astrolabe_backends::{
    analysis::{Lang, analyse_query},
    index::Filter,
};
use astrolabe_kernel::{Id, Principal, Result};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Search, store};
use crate::{Knowledge, runtime::index_error, sources::Source};

/// Values counted of each kind at most; the ones with the most documents.
pub(super) const VALUES: usize = 50;

/// How many chunks match the filters, by what they have in common. Only values with a chunk that the caller may read are there, the most frequent
/// first; of the tenant's values of a kind, the 50 with the most documents are looked at. Where tags are asked for, only those are counted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Facets {
    /// By source.
    pub sources: Vec<SourceCount>,
    /// By tag; a chunk counts for each tag of its document.
    pub tags: Vec<ValueCount>,
    /// By language: `en`, `pl`, `ru`, or `und` for every other.
    pub langs: Vec<ValueCount>,
    /// By media type.
    pub mimes: Vec<ValueCount>,
}

/// How many chunks a source has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SourceCount {
    /// The source.
    pub source_id: Id<Source>,
    /// Its name.
    pub source: String,
    /// Chunks.
    pub count: u64,
}

/// How many chunks have a value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ValueCount {
    /// The value.
    pub value: String,
    /// Chunks.
    pub count: u64,
}

impl Knowledge {
    /// How many chunks match the search's filters, exactly. Of the query's words only those count that it requires or excludes, and a
    /// phrase as its words.
    ///
    /// # Errors
    /// `warming_up` while the index loads.
    pub async fn count_matching(&self, principal: &Principal, search: &Search) -> Result<u64> {
        let filter = self.filter_of(principal, &search.only, &analyse_query(&search.text, None)).await?;
        self.index()?.count(&filter).await.map_err(index_error)
    }

    /// The same by source, tag, language and media type.
    ///
    /// # Errors
    /// `warming_up` while the index loads.
    pub async fn facets(&self, principal: &Principal, search: &Search) -> Result<Facets> {
        let filter = self.filter_of(principal, &search.only, &analyse_query(&search.text, None)).await?;
        let mut tx = self.kernel.db.read(principal.tenant).await?;
        let sources = store::source_names(&mut tx, principal.tenant, VALUES).await?;
        let tags = store::tags(&mut tx, principal.tenant, VALUES).await?;
        let mimes = store::mimes(&mut tx, principal.tenant, VALUES).await?;
        drop(tx);
        let wanted = |only: &Option<Vec<String>>, value: &str| only.as_ref().is_none_or(|only| only.iter().any(|o| o == value));
        let one = |value: &str| Some(vec![value.to_owned()]);
        let named: HashMap<String, String> = sources.into_iter().map(|(id, name)| (id.to_string(), name)).collect();
        let sources = named.keys().filter(|id| wanted(&filter.sources, id));
        let sources = sources.map(|id| (id.clone(), Filter { sources: one(id), ..filter.clone() })).collect();
        // The index takes documents with any tag of a list, and cannot be asked for one tag beside another.
        let tags = tags.into_iter().filter(|tag| wanted(&filter.tags, tag));
        let tags = tags.map(|tag| (tag.clone(), Filter { tags: one(&tag), ..filter.clone() })).collect();
        let langs = [Lang::En, Lang::Pl, Lang::Ru, Lang::Other].into_iter().filter(|l| filter.lang.is_none_or(|only| only == *l));
        let langs = langs.map(|l| (l.code().to_owned(), Filter { lang: Some(l), ..filter.clone() })).collect();
        let mimes = mimes.into_iter().filter(|mime| wanted(&filter.mimes, mime));
        let mimes = mimes.map(|mime| (mime.clone(), Filter { mimes: one(&mime), ..filter.clone() })).collect();
        let mut by_source = Vec::new();
        for ValueCount { value, count } in self.counts(sources).await? {
            let source = named.get(&value).cloned().unwrap_or_default();
            by_source.push(SourceCount { source_id: value.parse()?, source, count });
        }
        by_source.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.source.cmp(&b.source)));
        Ok(Facets {
            sources: by_source,
            tags: self.counts(tags).await?,
            langs: self.counts(langs).await?,
            mimes: self.counts(mimes).await?,
        })
    }

    /// The values that have a chunk, the most frequent first.
    async fn counts(&self, values: Vec<(String, Filter)>) -> Result<Vec<ValueCount>> {
        let index = self.index()?;
        let mut counted = Vec::new();
        for (value, filter) in values {
            let count = index.count(&filter).await.map_err(index_error)?;
            if count > 0 {
                counted.push(ValueCount { value, count });
            }
        }
        counted.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.value.cmp(&b.value)));
        Ok(counted)
    }
}
