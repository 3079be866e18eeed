//! Pages of a list: `?limit=&cursor=` in, `{"items", "next_cursor"}` out.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{Error, Result};

/// The largest page a caller may ask for.
pub const MAX_LIMIT: u32 = 200;

/// Which page of a list the caller wants.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// How many items at most.
    #[param(minimum = 1, maximum = 200, default = 50, example = 20)]
    pub limit: Option<u32>,
    /// The `next_cursor` of the page before; absent for the first page.
    #[param(min_length = 1, max_length = 200, pattern = "^[A-Za-z0-9_.~-]{1,200}$", example = "src_01JD3V9M7Q4R8T2W6X0Y5Z1ABC")]
    #[serde(default, deserialize_with = "read_cursor")]
    pub cursor: Option<String>,
}

impl PageQuery {
    /// The limit, 50 when absent.
    ///
    /// # Errors
    /// `invalid_request` naming `limit` when it is not within 1..=200.
    pub fn limit(&self) -> Result<i64> {
        page_limit(self.limit)
    }

    /// The cursor as the key of the last item seen, empty for the first page.
    pub fn after(&self) -> &str {
        self.cursor.as_deref().unwrap_or("")
    }
}

/// Reads a `cursor` parameter: what [`Page::of`] gave out, which is an id. For `#[serde(default, deserialize_with)]` in queries that
/// have more parameters than [`PageQuery`].
///
/// # Errors
/// When it is empty, longer than 200 characters, or has others than letters, digits and `_.~-`.
pub fn read_cursor<'de, D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Option<String>, D::Error> {
    let cursor = Option::<String>::deserialize(deserializer)?;
    match &cursor {
        Some(text) if !(1..=200).contains(&text.len()) || !text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.~-".contains(&b)) => {
            Err(serde::de::Error::custom("must be the next_cursor of the page before"))
        }
        _ => Ok(cursor),
    }
}

/// Checks a `limit` parameter and fills in its default of 50.
///
/// # Errors
/// `invalid_request` naming `limit` when it is not within 1..=200.
pub fn page_limit(limit: Option<u32>) -> Result<i64> {
    match limit.unwrap_or(50) {
        n @ 1..=MAX_LIMIT => Ok(i64::from(n)),
        _ => Err(Error::field("limit", format!("must be between 1 and {MAX_LIMIT}"))),
    }
}

/// One page of a list.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Page<T> {
    /// The items, in the list's order.
    pub items: Vec<T>,
    /// Pass it as `cursor` to get the next page; null on the last page.
    pub next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// Makes a page from up to `limit + 1` rows: the extra row tells that there is a next page and is not shown.
    pub fn of(mut rows: Vec<T>, limit: i64, key: impl Fn(&T) -> String) -> Self {
        let limit = usize::try_from(limit).unwrap_or(0);
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next_cursor = if more { rows.last().map(key) } else { None };
        Self { items: rows, next_cursor }
    }

    /// The same page with each item changed.
    pub fn map<U>(self, change: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(change).collect(), next_cursor: self.next_cursor }
    }
}
