//! What a caller asks for, checked field by field.

use astrolabe_backends::analysis::Lang;
use astrolabe_kernel::{Error, Principal, Result, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{Only, Search, SearchMode, check_question};
use crate::Knowledge;

/// What to look for.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"query": "how long are backups kept", "tags": ["policy"], "limit": 5}))]
pub struct SearchRequest {
    /// Words or a question.
    #[schema(min_length = 1, max_length = 2000, pattern = "^[^\\u0000]*[^\\s\\u0000][^\\u0000]*$")]
    pub query: String,
    /// Ids or names of the sources to look in; all when absent or empty, as with the other lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 50, value_type = Option<Vec<crate::sources::SourceName>>)]
    pub sources: Option<Vec<String>>,
    /// Only documents with at least one of these tags.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 32, value_type = Option<Vec<crate::sources::Tag>>)]
    pub tags: Option<Vec<String>>,
    /// Only chunks in this language: `en`, `pl`, `ru`, or `und` for every other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^(en|pl|ru|und)$")]
    pub lang: Option<String>,
    /// Only documents of one of these media types, such as `text/markdown`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 16, value_type = Option<Vec<MediaType>>)]
    pub mimes: Option<Vec<String>>,
    /// Only documents that changed at this moment or later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_from: Option<Timestamp>,
    /// Only documents that changed before this moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_until: Option<Timestamp>,
    /// Whether to search by words, by meaning or by both; by both when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<SearchMode>,
    /// How many passages or documents at most; 10 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 100)]
    pub limit: Option<u32>,
    /// The `next_cursor` of the page before, with everything else as it was; absent for the first page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[0-9]{1,4}$")]
    pub cursor: Option<String>,
    /// How much a passage that is like a better one is put back, 0 to 1; 0 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 1)]
    pub diversity: Option<f32>,
    /// Whether chunks that follow one another in a section become one passage; true when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub join: Option<bool>,
    /// `document` for whole documents with their best passages, `passage` for passages; passages when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<Group>,
    /// Whether to count by source, tag, language and media type; false when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub facets: Option<bool>,
    /// Whether each passage tells how its score came about; false when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explain: Option<bool>,
}

/// A media type, as the description shows it.
#[derive(ToSchema)]
#[schema(min_length = 3, max_length = 100, pattern = "^[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+$")]
#[expect(dead_code, reason = "describes the items of lists of media types")]
pub struct MediaType(String);

/// What is listed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Group {
    /// Passages.
    #[default]
    Passage,
    /// Whole documents.
    Document,
}

/// The same as parameters of an address; lists are separated by commas.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct SearchParameters {
    /// Words or a question.
    #[param(min_length = 1, max_length = 2000, pattern = "^[^\\u0000]*[^\\s\\u0000][^\\u0000]*$", example = "how long are backups kept")]
    pub query: String,
    /// Ids or names of sources, separated by commas.
    #[param(max_length = 5000, pattern = "^[^\\u0000]*$", example = "manuals,handbook")]
    pub sources: Option<String>,
    /// Tags, separated by commas: documents with at least one of them.
    #[param(pattern = "^[^\\u0000,]{0,64}(,[^\\u0000,]{0,64}){0,31}$", example = "policy,it")]
    pub tags: Option<String>,
    /// Language of the chunks.
    #[param(pattern = "^(en|pl|ru|und)$", example = "en")]
    pub lang: Option<String>,
    /// Media types, separated by commas.
    #[param(
        pattern = "^([A-Za-z0-9]{1,40}/[A-Za-z0-9.+-]{1,50})?(,([A-Za-z0-9]{1,40}/[A-Za-z0-9.+-]{1,50})?){0,15}$",
        example = "text/markdown,text/html"
    )]
    pub mimes: Option<String>,
    /// Documents that changed at this moment or later.
    #[param(example = "2026-01-01T00:00:00Z")]
    pub updated_from: Option<Timestamp>,
    /// Documents that changed before this moment.
    #[param(example = "2026-12-31T00:00:00Z")]
    pub updated_until: Option<Timestamp>,
    /// By words, by meaning or by both.
    #[param(example = "hybrid")]
    pub mode: Option<SearchMode>,
    /// How many at most.
    #[param(minimum = 1, maximum = 100, default = 10, example = 10)]
    pub limit: Option<u32>,
    /// The `next_cursor` of the page before.
    #[param(pattern = "^[0-9]{1,4}$", example = "10")]
    pub cursor: Option<String>,
    /// How much a passage that is like a better one is put back.
    #[param(minimum = 0, maximum = 1, example = 0.3)]
    pub diversity: Option<f32>,
    /// Whether neighbours become one passage.
    #[param(example = true)]
    pub join: Option<bool>,
    /// Passages or whole documents.
    #[param(example = "passage")]
    pub group: Option<Group>,
    /// Whether to count by source, tag, language and media type.
    #[param(example = true)]
    pub facets: Option<bool>,
    /// Whether each passage tells how its score came about.
    #[param(example = true)]
    pub explain: Option<bool>,
}

impl From<SearchParameters> for SearchRequest {
    fn from(p: SearchParameters) -> Self {
        let list = |text: Option<String>| {
            text.map(|text| text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect::<Vec<_>>())
        };
        Self {
            query: p.query,
            sources: list(p.sources),
            tags: list(p.tags),
            lang: p.lang,
            mimes: list(p.mimes),
            updated_from: p.updated_from,
            updated_until: p.updated_until,
            mode: p.mode,
            limit: p.limit,
            cursor: p.cursor,
            diversity: p.diversity,
            join: p.join,
            group: p.group,
            facets: p.facets,
            explain: p.explain,
        }
    }
}

impl SearchRequest {
    /// Checks everything and finds the sources.
    ///
    /// # Errors
    /// `invalid_request` or `not_found` naming the wrong field.
    pub async fn checked(&self, knowledge: &Knowledge, principal: &Principal) -> Result<Search> {
        check_question("query", &self.query)?;
        let limit = self.limit.unwrap_or(10);
        if !(1..=100).contains(&limit) {
            return Err(Error::field("limit", "must be between 1 and 100"));
        }
        let diversity = self.diversity.unwrap_or(0.0);
        if !(0.0..=1.0).contains(&diversity) {
            return Err(Error::field("diversity", "must be between 0 and 1"));
        }
        let tags = self.tags.clone().filter(|tags| !tags.is_empty());
        check_list("tags", tags.as_deref(), 32, |tag| (1..=64).contains(&tag.chars().count()), "must be 1 to 64 characters")?;
        let mimes = self.mimes.clone().filter(|mimes| !mimes.is_empty());
        let media = |m: &str| m.len() <= 100 && m.split('/').count() == 2 && m.split('/').all(is_token);
        check_list("mimes", mimes.as_deref(), 16, media, "must be a media type such as text/markdown")?;
        let lang = match self.lang.as_deref() {
            None => None,
            Some("en") => Some(Lang::En),
            Some("pl") => Some(Lang::Pl),
            Some("ru") => Some(Lang::Ru),
            Some("und") => Some(Lang::Other),
            Some(_) => return Err(Error::field("lang", "must be en, pl, ru or und (every other language)")),
        };
        let from = match self.cursor.as_deref() {
            None => 0,
            Some(cursor) if (1..=4).contains(&cursor.len()) && cursor.bytes().all(|b| b.is_ascii_digit()) => cursor.parse().unwrap_or(0),
            Some(_) => return Err(Error::field("cursor", "must be the next_cursor of the page before")),
        };
        let sources = knowledge.resolve_sources(principal, self.sources.as_deref()).await?;
        Ok(Search {
            text: self.query.clone(),
            mode: self.mode.unwrap_or_default(),
            only: Only { sources, tags, lang, mimes, updated_from: self.updated_from, updated_until: self.updated_until, readers: None },
            limit: limit as usize,
            from,
            diversity,
            join: self.join.unwrap_or(true),
            explain: self.explain.unwrap_or(false),
        })
    }
}

fn check_list(field: &str, list: Option<&[String]>, most: usize, fits: impl Fn(&str) -> bool, what: &str) -> Result<()> {
    let list = list.unwrap_or_default();
    if list.len() > most {
        return Err(Error::field(field, format!("must be at most {most}")));
    }
    match list.iter().position(|item| !fits(item) || item.contains('\0')) {
        Some(at) => Err(Error::field(format!("{field}[{at}]"), what)),
        None => Ok(()),
    }
}

/// The two halves of a media type, as RFC 6838 restricts their characters.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&^_.+-".contains(&b))
}
