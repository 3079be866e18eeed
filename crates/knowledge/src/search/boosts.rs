//! What a source's settings add to a document's score or take from it: how old it is, and what it is tagged.

use std::collections::BTreeMap;

use astrolabe_kernel::{Error, Result, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How the documents of a source rank beside others. The default changes nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Ranking {
    /// How much of its score a document loses with age, 0 to 1: nothing at 0, the default; at 0.5 a very old one keeps half.
    #[schema(minimum = 0, maximum = 1)]
    pub freshness: f64,
    /// After how many days half of that is lost; 180 by default.
    #[schema(minimum = 1, maximum = 36500)]
    pub half_life_days: u32,
    /// By tag of a document, what its score is multiplied by: 0.1 to 10, at most 32 tags.
    #[schema(value_type = BTreeMap<crate::sources::Tag, Factor>)]
    pub tags: BTreeMap<String, f64>,
}

/// What a score is multiplied by.
#[derive(Debug, ToSchema)]
#[schema(minimum = 0.1, maximum = 10)]
pub struct Factor(#[expect(dead_code, reason = "only its description is used")] f64);

impl Default for Ranking {
    fn default() -> Self {
        Self { freshness: 0.0, half_life_days: 180, tags: BTreeMap::new() }
    }
}

/// A factor on a score, and where it came from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Boost {
    /// `freshness`, or `tag:` and the tag.
    pub from: String,
    /// What the score was multiplied by.
    pub factor: f64,
}

impl Ranking {
    /// Checks the settings.
    ///
    /// # Errors
    /// `invalid_request` naming the first wrong field.
    pub fn validate(&self) -> Result<()> {
        if !(0.0..=1.0).contains(&self.freshness) {
            return Err(Error::field("ranking.freshness", "must be between 0 and 1"));
        }
        if !(1..=36_500).contains(&self.half_life_days) {
            return Err(Error::field("ranking.half_life_days", "must be between 1 and 36500"));
        }
        if self.tags.len() > 32 {
            return Err(Error::field("ranking.tags", "must be at most 32"));
        }
        for (tag, factor) in &self.tags {
            if tag.is_empty() || tag.chars().count() > 64 || tag.contains('\0') {
                return Err(Error::field("ranking.tags", "must have tags of 1 to 64 characters, without NUL"));
            }
            if !(0.1..=10.0).contains(factor) {
                return Err(Error::field(format!("ranking.tags.{tag}"), "must be between 0.1 and 10"));
            }
        }
        Ok(())
    }

    /// The factors on the score of a document that changed at `updated_at` and has these tags; those of 1 are left out.
    pub fn boosts(&self, updated_at: Timestamp, tags: &[String], now: Timestamp) -> Vec<Boost> {
        let mut boosts = Vec::new();
        if self.freshness > 0.0 {
            let days = (now.micros().saturating_sub(updated_at.micros()).max(0)) as f64 / 86_400e6;
            let left = 0.5_f64.powf(days / f64::from(self.half_life_days));
            boosts.push(Boost { from: "freshness".to_owned(), factor: 1.0 - self.freshness * (1.0 - left) });
        }
        let tagged = self.tags.iter().filter(|(tag, _)| tags.contains(tag));
        boosts.extend(tagged.map(|(tag, factor)| Boost { from: format!("tag:{tag}"), factor: *factor }));
        boosts.retain(|b| b.factor != 1.0);
        boosts
    }
}
