//! What providers charge: a dated list, in millionths of a US dollar per million tokens.

use astrolabe_kernel::{Error, Result, Timestamp, error::code};
use serde::Deserialize;

use crate::chat::Usage;

/// The list that is built in; each entry names its day and its source.
const BUILT_IN: &str = include_str!("prices.toml");

/// Prices by model and day; cheap to look at, made once.
#[derive(Debug, Clone, Default)]
pub struct Prices(Vec<Price>);

/// What a model costs from a day on. Amounts are micro-USD per million tokens, so `2_500_000` is $2.50 for a million.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// The provider's name in our configuration; empty for any.
    #[serde(default)]
    pub provider: String,
    /// The model's name; a `*` before or behind stands for anything.
    pub model: String,
    /// The first day, in UTC, for which it holds.
    pub from: String,
    /// Where it was read.
    pub source: String,
    /// For tokens read.
    pub input: i64,
    /// For tokens read that the provider knew already; as `input` when absent.
    pub cached: Option<i64>,
    /// For tokens written, thoughts included.
    pub output: i64,
    #[serde(skip)]
    since: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    price: Vec<Price>,
}

impl Prices {
    /// The list that is built in.
    ///
    /// # Errors
    /// As [`Prices::parse`]; a test keeps it from happening.
    pub fn built_in() -> Result<Self> {
        Self::parse(BUILT_IN)
    }

    /// The operator's list in a file, with the one that is built in behind it.
    ///
    /// # Errors
    /// `invalid_config` when the file cannot be read, and as [`Prices::parse`].
    pub fn with_file(path: &std::path::Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .map_err(|e| Error::new(code::INVALID_CONFIG, format!("usage.prices: {} cannot be read: {e}", path.display())))?;
        let mut all = Self::parse(&text)?;
        all.0.extend(Self::built_in()?.0);
        Ok(all)
    }

    /// Reads a list in TOML: an array `price` of [`Price`].
    ///
    /// # Errors
    /// `invalid_config` naming what is wrong.
    pub fn parse(text: &str) -> Result<Self> {
        let bad = |what: String| Error::new(code::INVALID_CONFIG, format!("usage.prices: {what}"));
        let mut list = toml::from_str::<File>(text).map_err(|e| bad(e.message().to_owned()))?.price;
        for price in &mut list {
            let day: jiff::civil::Date =
                price.from.parse().map_err(|_| bad(format!("{}: from must be a day such as 2026-01-31", price.model)))?;
            let midnight = day.to_zoned(jiff::tz::TimeZone::UTC).map_err(|e| bad(e.to_string()))?;
            price.since = midnight.timestamp().as_microsecond();
            if [Some(price.input), price.cached, Some(price.output)].into_iter().flatten().any(|p| !(0..=1_000_000_000_000).contains(&p)) {
                return Err(bad(format!("{}: prices are micro-USD per million tokens, 0 to a million dollars", price.model)));
            }
        }
        // The most telling name first, then the newest day.
        list.sort_by(|a, b| {
            let key = |p: &Price| {
                (std::cmp::Reverse((!p.provider.is_empty(), !p.model.contains('*'), p.model.len())), std::cmp::Reverse(p.since))
            };
            key(a).cmp(&key(b))
        });
        Ok(Self(list))
    }

    /// The price of a model at a time.
    pub fn of(&self, provider: &str, model: &str, at: Timestamp) -> Option<&Price> {
        self.0.iter().find(|p| p.since <= at.micros() && (p.provider.is_empty() || p.provider == provider) && p.is_for(model))
    }
}

impl Price {
    fn is_for(&self, model: &str) -> bool {
        match (self.model.strip_prefix('*'), self.model.strip_suffix('*')) {
            (Some(_), Some(_)) => model.contains(self.model.trim_matches('*')),
            (Some(end), None) => model.ends_with(end),
            (None, Some(start)) => model.starts_with(start),
            (None, None) => self.model == model,
        }
    }

    /// What tokens cost in micro-USD, rounded up: a call is never free because it is small.
    pub fn cost(&self, tokens: Usage) -> i64 {
        let cached = tokens.cached.min(tokens.input);
        let part = |count: u64, price: i64| i128::from(count) * i128::from(price);
        let sum =
            part(tokens.input - cached, self.input) + part(cached, self.cached.unwrap_or(self.input)) + part(tokens.output, self.output);
        i64::try_from((sum + 999_999) / 1_000_000).unwrap_or(i64::MAX)
    }
}
