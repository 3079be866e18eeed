//! How a passage's score came about.

use astrolabe_backends::{analysis::Lang, index::SearchIndex};
use astrolabe_kernel::{Result, principal::TenantId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Boost, Found, highlight::matched, run::Sides};
use crate::runtime::index_error;

/// How a score came about. Raw scores and how rare a word is are shown only to those who may read everything of the tenant, because they are
/// computed over everything; others get ranks, words and boosts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Explanation {
    /// What the side of words said; null when it did not find the chunk.
    pub lexical: Option<SideScore>,
    /// What the side of meaning said; null when it did not find the chunk.
    pub dense: Option<SideScore>,
    /// How well the embedding model knows the query's words, 0 to 1, which decides how much the side of meaning counts; null when it was not asked.
    pub coverage: Option<f32>,
    /// The score of both sides together, 0 to 1, before the boosts.
    pub fused: Option<f32>,
    /// What the source's settings multiplied it by.
    pub boosts: Vec<Boost>,
    /// The query's words that the chunk, its title or its headings have.
    pub matched: Vec<MatchedWord>,
    /// Whether scores are kept back because the caller may not read everything.
    pub restricted: bool,
}

/// What one side of the index said of a chunk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SideScore {
    /// Its rank on this side, from 1.
    pub rank: usize,
    /// BM25, or the cosine.
    pub score: Option<f32>,
    /// The score as a share of the highest that the query could reach, 0 to 1.
    pub share: Option<f32>,
}

/// A word of the query that a chunk has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MatchedWord {
    /// The word as it stands in the query.
    pub word: String,
    /// The form that was found: a stem, or a form without diacritics behind `~`.
    pub form: String,
    /// How rare the form is in the tenant's chunks (inverse document frequency).
    pub idf: Option<f32>,
}

/// What is the same for all passages of a search.
pub(super) struct Explainer<'a> {
    sides: &'a Sides,
    text: &'a str,
    open: bool,
    /// Idf of each form of each word.
    idf: std::collections::HashMap<String, f32>,
}

impl<'a> Explainer<'a> {
    /// Looks up how rare the query's words are, where the caller may know.
    pub async fn new(index: &dyn SearchIndex, tenant: TenantId, text: &'a str, sides: &'a Sides, open: bool) -> Result<Self> {
        let forms: Vec<String> = sides.query.terms.iter().flat_map(|t| t.alternatives.iter().map(|a| a.text.clone())).collect();
        let idf = if open { index.idf(&tenant.to_string(), &forms).await.map_err(index_error)? } else { Vec::new() };
        Ok(Self { sides, text, open, idf: forms.into_iter().zip(idf).collect() })
    }

    /// The explanation of a passage.
    pub fn explain(&self, passage: &Found) -> Explanation {
        let side = |rank: Option<usize>, hits: &[astrolabe_backends::index::Hit]| {
            let hit = rank.and_then(|rank| hits.get(rank - 1)).filter(|_| self.open);
            rank.map(|rank| SideScore { rank, score: hit.map(|h| h.score), share: hit.map(|h| h.share) })
        };
        let searched = format!("{} {}\n{}", passage.title, passage.heading, passage.text);
        let terms = &self.sides.query.terms;
        let matched = matched(&searched, Lang::from_code(&passage.lang), &self.sides.query).into_iter().map(|(at, form)| MatchedWord {
            word: self.text.get(terms[at].start..terms[at].end).unwrap_or_default().to_owned(),
            idf: self.idf.get(&form).copied(),
            form,
        });
        Explanation {
            lexical: side(passage.ranks.lexical, &self.sides.lexical),
            dense: side(passage.ranks.dense, &self.sides.dense),
            coverage: self.sides.vector.is_some().then_some(self.sides.coverage),
            fused: self.open.then_some(passage.fused),
            boosts: passage.boosts.clone(),
            matched: matched.collect(),
            restricted: !self.open,
        }
    }
}
