//! The terms of a tenant that are near a word.

use astrolabe_kernel::{Tx, args};

use super::{PostgresIndex, Tenant, database};
use crate::analysis::{Lookup, Near, Pattern};
use crate::index::IndexError;

/// The character behind every other.
const LAST: char = '\u{10ffff}';

impl PostgresIndex {
    pub(super) async fn terms_near(&self, tenant: &str, lookups: &[Lookup]) -> Result<Vec<Vec<Near>>, IndexError> {
        let Some((mut tx, tenant)) = self.of_tenant(tenant).await? else { return Ok(vec![Vec::new(); lookups.len()]) };
        let corrected = lookups.iter().filter(|lookup| !lookup.typos.is_empty());
        let forms = self.lists(&mut tx, &tenant, corrected.flat_map(|lookup| &lookup.forms).map(String::as_str)).await?;
        let mut found = Vec::with_capacity(lookups.len());
        for lookup in lookups {
            let known = lookup.forms.iter().any(|form| forms.frequency(form) > 0);
            let mut near = Vec::new();
            for pattern in lookup.patterns(known) {
                let candidates = self.candidates(&mut tx, &tenant, pattern).await?;
                let lists = self.lists(&mut tx, &tenant, candidates.iter().map(|near| near.text.as_str())).await?;
                near.extend(pattern.best(candidates, |term| lists.frequency(term)));
            }
            found.push(near);
        }
        Ok(found)
    }

    /// The terms that fit `pattern`, by [`Pattern::candidates`]: the key of the postings gives those that begin alike.
    async fn candidates(&self, tx: &mut Tx, tenant: &Tenant, pattern: &Pattern) -> Result<Vec<Near>, IndexError> {
        let (shortest, longest) = pattern.lengths().into_inner();
        let count = |letters: usize| i64::try_from(letters).unwrap_or(i64::MAX);
        // The mark of a form without diacritics is a character of the term.
        let mark = usize::from(pattern.starts().iter().any(|start| start.starts_with('~')));
        let mut terms: Vec<String> = Vec::new();
        for start in pattern.starts() {
            let more: Vec<String> = tx
                .all(
                    format!(
                        "SELECT DISTINCT term FROM {} WHERE tenant = $1 AND term >= $2 AND term < $3 AND char_length(term) BETWEEN $4 AND $5",
                        self.names.postings
                    ),
                    args![tenant.number, &start, format!("{start}{LAST}"), count(shortest + mark), count(longest + mark)],
                )
                .await
                .map_err(database)?;
            terms.extend(more);
        }
        Ok(pattern.candidates(terms.iter().map(String::as_str)))
    }
}
