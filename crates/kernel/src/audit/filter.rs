//! Which entries a reader wants, and in which order.

use serde::Serialize;

use crate::{Error, Result, Timestamp, db::Arg};

/// The longest value of a filter, in characters.
const LONGEST: usize = 200;

/// Which entries of a tenant's log are wanted; what is `None` does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Filter {
    /// Only entries of this actor, such as `user:local-admin`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// Only entries of this action, such as `agents.run`; with `.*` at its end of all that begin with what stands before the star.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// Only entries about this subject, such as the id of a document.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Only entries that ended like this: `ok`, `refused` or `failed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// Only entries of this trace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// Only entries about this document, or whose payload names it: who changed it, read it, or was shown some of it by a search or an answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub document: Option<String>,
    /// Only entries of this moment or later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Only entries before this moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Oldest first instead of newest first.
    pub oldest_first: bool,
}

impl Filter {
    /// Requires that the values can be those of an entry.
    ///
    /// # Errors
    /// `invalid_request` naming the field.
    pub fn check(&self) -> Result<()> {
        if let Some(action) = &self.action {
            let name = action.strip_suffix(".*").unwrap_or(action);
            let plain = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_.".contains(&b));
            if !plain || name.is_empty() || name.len() > 100 {
                return Err(Error::field(
                    "action",
                    "must be the name of an action, such as agents.run, or the beginning of some: agents.*",
                ));
            }
        }
        for (field, value) in [("actor", &self.actor), ("subject", &self.subject), ("trace_id", &self.trace_id)] {
            if value.as_ref().is_some_and(|v| v.is_empty() || v.chars().count() > LONGEST || v.contains('\0')) {
                return Err(Error::field(field, format!("must have 1 to {LONGEST} characters")));
            }
        }
        if self
            .document
            .as_ref()
            .is_some_and(|d| !d.starts_with("doc_") || d.len() != 30 || !d.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'))
        {
            return Err(Error::field("document", "must be the id of a document"));
        }
        if self.outcome.as_ref().is_some_and(|o| !["ok", "refused", "failed"].contains(&o.as_str())) {
            return Err(Error::field("outcome", "must be ok, refused or failed"));
        }
        Ok(())
    }

    /// The conditions beyond the tenant's, with their arguments put behind those that are there. Only what is asked for is written, so that the
    /// database can use an index.
    pub(super) fn conditions(&self, args: &mut Vec<Arg>) -> String {
        let mut sql = String::new();
        let mut and = |condition: &str, arg: Arg| {
            args.push(arg);
            sql.push_str(" AND ");
            sql.push_str(&condition.replace('?', &format!("${}", args.len())));
        };
        for (column, value) in
            [("actor", &self.actor), ("subject", &self.subject), ("outcome", &self.outcome), ("trace_id", &self.trace_id)]
        {
            if let Some(value) = value {
                and(&format!("{column} = ?"), Arg::from(value.as_str()));
            }
        }
        match self.action.as_deref() {
            // Ranges of text depend on the collation of the server, the first characters do not.
            Some(action) if action.ends_with('*') => {
                let start = action.trim_end_matches('*');
                and(&format!("SUBSTR(action, 1, {}) = ?", start.len()), Arg::from(start));
            }
            Some(action) => and("action = ?", Arg::from(action)),
            None => {}
        }
        if let Some(document) = &self.document {
            // The underscore of an id stands for any character, which the digits behind it make harmless.
            and("(subject = ? OR payload LIKE '%\"' || ? || '\"%')", Arg::from(document.as_str()));
        }
        if let Some(since) = self.since {
            and("created_at >= ?", Arg::from(since));
        }
        if let Some(until) = self.until {
            and("created_at < ?", Arg::from(until));
        }
        sql
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_no_entry_can_have_is_refused_by_its_name() {
        let refused = |filter: Filter| filter.check().unwrap_err().fields()[0].field.clone();
        for action in ["", ".*", "*", "Agents.run", "agents.%", "agents.*.*", "a*", &"a".repeat(101)] {
            let filter = Filter { action: Some(action.to_owned()), ..Filter::default() };
            assert_eq!(refused(filter), "action", "{action}");
        }
        assert_eq!(refused(Filter { outcome: Some("good".to_owned()), ..Filter::default() }), "outcome");
        assert_eq!(refused(Filter { actor: Some(String::new()), ..Filter::default() }), "actor");
        assert_eq!(refused(Filter { subject: Some("x".repeat(201)), ..Filter::default() }), "subject");
        Filter { action: Some("agents.*".to_owned()), outcome: Some("ok".to_owned()), ..Filter::default() }.check().unwrap();
    }
}
