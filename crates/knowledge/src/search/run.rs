//! The way from a question to ranked passages.

use std::collections::HashMap;

use astrolabe_backends::{
    analysis::{Lang, Query, QueryTerm, analyse_query, analyse_question, phrase_in},
    embedder::{Embedder, Priority},
    index::{Filter, Fused, Hit, dense_weight, fuse, mmr},
};
use astrolabe_kernel::{Error, Id, Principal, Result, error::code, principal::TenantId};

use super::{
    Found, Only, Ranks, Results, Retrieval, Search, SearchMode, explain::Explainer, fold::Fingerprint, highlight::highlights,
    passages::page, store,
};
use crate::{Knowledge, answers::extractive::widen, ingest::jobs::embed, runtime::index_error, sources::Source};

/// How many candidates each side brings to a search for passages.
const CANDIDATES: usize = 100;
/// How many it brings to a query with phrases: chunks that have the words apart fall out afterwards.
const PHRASE_CANDIDATES: usize = 600;

/// What the sides of the index say to a query.
pub(super) struct Sides {
    pub query: Query,
    pub vector: Option<Vec<f32>>,
    pub lexical: Vec<Hit>,
    pub dense: Vec<Hit>,
    /// How well the embedder knows the words of the query, 0 to 1.
    pub coverage: f32,
    pub retrieval: Retrieval,
}

impl Sides {
    /// Both sides as one list, best first.
    pub fn fused(&self) -> Vec<Fused> {
        fuse(&self.lexical, &self.dense, dense_weight(self.coverage))
    }
}

impl Knowledge {
    /// Finds up to `limit` chunks of the caller's tenant, best first.
    ///
    /// # Errors
    /// `warming_up` while the index loads.
    pub async fn find(&self, principal: &Principal, question: &str, sources: Option<Vec<Id<Source>>>, limit: usize) -> Result<Results> {
        let only = Only { sources, ..Only::default() };
        self.search(principal, &Search { only, ..Search::new(question, limit) }).await
    }

    /// The same for an answer: synonyms of the question's words count a little, so that a question in the words of daily life finds the rule.
    ///
    /// # Errors
    /// `warming_up` while the index loads.
    pub(crate) async fn find_for_answer(&self, principal: &Principal, search: &Search) -> Result<Results> {
        let mut query = analyse_question(&search.text, None);
        widen(&mut query);
        self.search_as(principal, search, query).await
    }

    /// Finds passages of the caller's tenant, best first.
    ///
    /// # Errors
    /// `warming_up` while the index loads; `invalid_state` for a search by meaning when there is no embedding model.
    pub async fn search(&self, principal: &Principal, search: &Search) -> Result<Results> {
        self.search_as(principal, search, analyse_query(&search.text, None)).await
    }

    #[tracing::instrument(name = "search", skip_all)]
    async fn search_as(&self, principal: &Principal, search: &Search, query: Query) -> Result<Results> {
        let started = std::time::Instant::now();
        let sides = self.sides(principal, search, query, CANDIDATES).await?;
        let ranked = self.ranked(principal.tenant, search, &sides).await?;
        let page = page(ranked, search.from, search.limit, search.join);
        let mut found = page.passages;
        self.finish(principal, search, &sides, &mut found).await?;
        let mode = match sides.retrieval {
            Retrieval::Hybrid => "hybrid",
            Retrieval::Lexical => "lexical",
            Retrieval::Dense => "dense",
        };
        metrics::histogram!("search_duration_seconds", "mode" => mode).record(started.elapsed().as_secs_f64());
        let next = page.more.then_some(page.consumed);
        Ok(Results { found, retrieval: sides.retrieval, query: sides.query, vector: sides.vector, tenant: principal.tenant, next })
    }

    /// Asks the sides of the index that the search wants.
    pub(super) async fn sides(&self, principal: &Principal, search: &Search, mut query: Query, candidates: usize) -> Result<Sides> {
        let index = self.index()?;
        // Typing errors of words that no chunk has, beginnings, and relatives of a word that stem differently.
        let near = index.near_terms(&principal.tenant.to_string(), &query.lookups()).await.map_err(index_error)?;
        query.add_near(near);
        let embedder = self.embedder().filter(|_| search.mode != SearchMode::Lexical);
        if search.mode == SearchMode::Dense && embedder.is_none() {
            let text = "a search by meaning needs the embedding model, which is not there: run `make models`, or search by words";
            return Err(Error::new(code::INVALID_STATE, text).and_field("mode", text));
        }
        let (vector, coverage) = match &embedder {
            Some(embedder) => {
                let vector = embed(embedder, vec![search.text.clone()], Priority::Interactive).await?.pop();
                (vector, coverage(embedder, &search.text))
            }
            None => (None, 0.0),
        };
        let filter = self.filter_of(principal, &search.only, &query).await?;
        let phrases = query.phrases.len() + query.excluded_phrases.len();
        let candidates = if phrases > 0 { candidates.max(PHRASE_CANDIDATES) } else { candidates };
        let by_words = search.mode != SearchMode::Dense;
        let lexical = async { if by_words { index.lexical(&filter, &query.terms, candidates).await } else { Ok(Vec::new()) } };
        let dense = async {
            match &vector {
                Some(vector) => index.dense(&filter, vector, candidates).await,
                None => Ok(Vec::new()),
            }
        };
        let (lexical, dense) = tokio::try_join!(lexical, dense).map_err(index_error)?;
        let retrieval = match (by_words, vector.is_some()) {
            (true, true) => Retrieval::Hybrid,
            (true, false) => Retrieval::Lexical,
            (false, _) => Retrieval::Dense,
        };
        Ok(Sides { query, vector, lexical, dense, coverage, retrieval })
    }

    /// The fused chunks with what SQL knows of them, boosted by their sources, best first.
    pub(super) async fn ranked(&self, tenant: TenantId, search: &Search, sides: &Sides) -> Result<Vec<Found>> {
        let fused = sides.fused();
        let ids: Vec<&str> = fused.iter().map(|f| f.chunk_id.as_str()).collect();
        let mut tx = self.kernel.db.read(tenant).await?;
        let mut rows: HashMap<String, Found> = HashMap::new();
        for batch in ids.chunks(100) {
            for row in store::chunks(&mut tx, tenant, batch).await? {
                rows.insert(row.chunk_id.to_string(), row);
            }
        }
        let rankings = crate::sources::store::rankings(&mut tx, tenant).await?;
        drop(tx);
        let now = self.kernel.now();
        let mut found: Vec<Found> = Vec::with_capacity(rows.len());
        for hit in fused {
            // What was deleted a moment ago is in the index and not in SQL, which decides.
            let Some(mut row) = rows.remove(&hit.chunk_id) else { continue };
            if !holds_phrases(&row, &sides.query) {
                continue;
            }
            let boosts = rankings.get(&row.source_id).map(|r| r.boosts(row.updated_at, &row.tags, now)).unwrap_or_default();
            row.score = f64::from(hit.score) * boosts.iter().map(|b| b.factor).product::<f64>();
            row.ranks = Ranks { lexical: hit.ranks[0], dense: hit.ranks[1] };
            row.lexical = hit.ranks[0].and_then(|r| sides.lexical.get(r - 1)).map(|h| h.share);
            row.dense = hit.ranks[1].and_then(|r| sides.dense.get(r - 1)).map(|h| h.score);
            row.fused = hit.score;
            row.boosts = boosts;
            found.push(row);
        }
        // Stable: equal scores stay in the index's order.
        found.sort_by(|a, b| b.score.total_cmp(&a.score));
        if search.diversity > 0.0 { self.diversified(tenant, found, search.diversity).await } else { Ok(found) }
    }

    /// The same chunks, each put back by how much it is like a better one: by meaning where both have a vector, else by words.
    async fn diversified(&self, tenant: TenantId, found: Vec<Found>, diversity: f32) -> Result<Vec<Found>> {
        let ids: Vec<(String, String)> = found.iter().map(|f| (f.document_id.to_string(), f.chunk_id.to_string())).collect();
        let vectors = self.index()?.vectors(&tenant.to_string(), &ids).await.map_err(index_error)?;
        let prints: Vec<Fingerprint> = found.iter().map(|f| Fingerprint::of(&f.text)).collect();
        let best = found.first().map_or(1.0, |f| f.score).max(f64::MIN_POSITIVE);
        let relevance: Vec<f32> = found.iter().map(|f| (f.score / best) as f32).collect();
        let likeness = |a: usize, b: usize| match (&vectors[a], &vectors[b]) {
            (Some(x), Some(y)) => x.iter().zip(y).map(|(x, y)| x * y).sum(),
            _ => prints[a].likeness(&prints[b]),
        };
        let order = mmr(&relevance, likeness, 1.0 - diversity, found.len());
        let mut found: Vec<Option<Found>> = found.into_iter().map(Some).collect();
        Ok(order.into_iter().filter_map(|at| found[at].take()).collect())
    }

    /// Makes passages ready to be shown: whole texts, highlights, and explanations where asked for. Takes the scores from those who may not read
    /// everything: they tell how common a word is in what they may not read.
    pub(super) async fn finish(&self, principal: &Principal, search: &Search, sides: &Sides, found: &mut [Found]) -> Result<()> {
        let tenant = principal.tenant;
        let mut tx = self.kernel.db.read(tenant).await?;
        for passage in found.iter_mut() {
            if passage.chunk_ids.len() > 1 {
                store::read_passage(&mut tx, tenant, passage).await?;
            }
            passage.highlights = highlights(&passage.text, Lang::from_code(&passage.lang), &sides.query);
        }
        drop(tx);
        let open = self.reads_all(principal, &search.only).await?;
        if search.explain {
            let index = self.index()?;
            let explainer = Explainer::new(&*index, tenant, &search.text, sides, open).await?;
            found.iter_mut().for_each(|passage| passage.explanation = Some(explainer.explain(passage)));
        }
        for (place, passage) in found.iter_mut().enumerate() {
            passage.score = if open { passage.score.min(1.0) } else { by_place(search.from + place, search.limit) };
        }
        Ok(())
    }

    /// What the index may show: what was asked for, of what the caller may read at this moment, with the words that the query requires and without
    /// those it excludes. Everything that is searched or counted goes through here, so that no caller can forget the rights.
    pub(super) async fn filter_of(&self, principal: &Principal, only: &Only, query: &Query) -> Result<Filter> {
        let forms = |word: &QueryTerm| word.alternatives.iter().map(|a| a.text.clone()).collect::<Vec<String>>();
        let readable = self.readable_sources(principal).await?.map(|ids| ids.iter().map(ToString::to_string).collect::<Vec<_>>());
        let asked = only.filter(principal.tenant);
        let sources = match (asked.sources, readable) {
            (Some(asked), Some(readable)) => Some(asked.into_iter().filter(|id| readable.contains(id)).collect()),
            (asked, readable) => asked.or(readable),
        };
        Ok(Filter {
            sources,
            all_of: query.required.iter().map(forms).collect(),
            none_of: query.excluded.iter().flat_map(forms).collect(),
            ..asked
        })
    }

    /// Whether the caller may read every chunk of the tenant.
    pub(super) async fn reads_all(&self, principal: &Principal, only: &Only) -> Result<bool> {
        if self.readable_sources(principal).await?.is_some() {
            return Ok(false);
        }
        if only.readers.is_none() {
            return Ok(true);
        }
        let index = self.index()?;
        let whole = Filter::tenant(principal.tenant.to_string());
        let theirs = Filter { readers: only.readers.clone(), ..whole.clone() };
        let (all, readable) = tokio::try_join!(index.count(&whole), index.count(&theirs)).map_err(index_error)?;
        Ok(all == readable)
    }
}

/// Whether a chunk has the phrases that the query requires, in its text or in its headings, and none that it excludes.
fn holds_phrases(row: &Found, query: &Query) -> bool {
    let lang = Lang::from_code(&row.lang);
    let has = |phrase| phrase_in(phrase, &row.text, lang) || phrase_in(phrase, &row.heading, lang) || phrase_in(phrase, &row.title, lang);
    query.phrases.iter().all(has) && !query.excluded_phrases.iter().any(has)
}

/// The score shown to a caller who may not read everything: by place alone, from 1 down.
pub(super) fn by_place(place: usize, limit: usize) -> f64 {
    1.0 / (1.0 + place as f64 / limit.max(1) as f64)
}

/// How well the embedder knows the words of a text, 0 to 1: words per token. A word that a model has learned is one token or two; a word of a
/// language that it has not learned falls into pieces of one to three letters, and its vector says little.
#[must_use]
pub fn coverage(embedder: &Embedder, text: &str) -> f32 {
    let words = text.split_whitespace().count();
    let tokens = embedder.count_tokens(text).saturating_sub(2);
    if tokens == 0 { 0.0 } else { (words as f32 / tokens as f32).min(1.0) }
}
