//! One person's data: what each part of the program holds about somebody, to be handed over or erased.
//!
//! A domain offers what it holds through [`PersonalData`] and nobody reaches into its tables. People are named by the ids of their principals, such
//! as `user:usr_01J…`, which stand in the rows that they left behind.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde_json::Value;

use crate::{Result, Tx, args, principal::TenantId};

/// Whose data it is about.
#[derive(Debug, Clone)]
pub struct Person {
    /// The tenant that wants it; another one's data of the same person stays.
    pub tenant: TenantId,
    /// The principal's id.
    pub id: String,
    /// What stands for the person in rows that have to stay, such as `erased:4f0c…`. It cannot be led back to the person.
    pub pseudonym: String,
}

/// A record about a person, with its key: the place to go on from.
pub struct Held {
    /// Its key, which orders the records.
    pub key: String,
    /// The record, for people who want to know what is held about them.
    pub record: Value,
}

/// A sort of data about people.
pub trait PersonalData: Send + Sync + 'static {
    /// What it is called in an export, such as `asks`.
    fn name(&self) -> &'static str;

    /// The records about a person behind the key `after`, in the order of their keys, at most `limit`.
    ///
    /// # Errors
    /// When the database cannot be read.
    fn export<'a>(&'a self, tx: &'a mut Tx, person: &'a Person, after: &'a str, limit: i64) -> BoxFuture<'a, Result<Vec<Held>>>;

    /// Erases up to `limit` records about a person, or takes the person out of those that have to stay, in the caller's transaction. Called until it
    /// says 0, so what it has done must not be found again.
    ///
    /// # Errors
    /// When the database cannot be written; a transient error when something of the person's still runs.
    fn erase<'a>(&'a self, tx: &'a mut Tx, person: &'a Person, limit: i64) -> BoxFuture<'a, Result<u64>>;
}

/// Every sort of data about people that the program holds, in the order of its erasure.
#[derive(Clone, Default)]
pub struct People(Vec<Arc<dyn PersonalData>>);

impl People {
    /// Adds a sort of data.
    pub fn add(&mut self, data: impl PersonalData) {
        self.0.push(Arc::new(data));
    }

    /// All of them.
    pub fn all(&self) -> &[Arc<dyn PersonalData>] {
        &self.0
    }
}

/// The answers that are kept for repeats of requests. They copy what the other records hold, so they are erased and not exported.
pub struct KeptAnswers;

impl PersonalData for KeptAnswers {
    fn name(&self) -> &'static str {
        "kept_answers"
    }

    fn export<'a>(&'a self, _: &'a mut Tx, _: &'a Person, _: &'a str, _: i64) -> BoxFuture<'a, Result<Vec<Held>>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    fn erase<'a>(&'a self, tx: &'a mut Tx, person: &'a Person, _: i64) -> BoxFuture<'a, Result<u64>> {
        Box::pin(async move {
            tx.execute("DELETE FROM idempotency_keys WHERE tenant_id = $1 AND principal_id = $2", args![person.tenant, &person.id]).await
        })
    }
}
