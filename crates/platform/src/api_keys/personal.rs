//! The API keys of a person.

use astrolabe_kernel::{
    Result, Tx,
    personal::{Held, Person, PersonalData},
};
use futures_util::future::BoxFuture;
use serde_json::json;

use super::store;

/// The keys that people made, without their secrets.
pub struct ApiKeys;

impl PersonalData for ApiKeys {
    fn name(&self) -> &'static str {
        "api_keys"
    }

    fn export<'a>(&'a self, tx: &'a mut Tx, person: &'a Person, after: &'a str, limit: i64) -> BoxFuture<'a, Result<Vec<Held>>> {
        Box::pin(async move {
            let keys = store::of_person(tx, person.tenant, &person.id, after, limit).await?;
            Ok(keys.into_iter().map(|k| Held { key: k.id.to_string(), record: json!(k) }).collect())
        })
    }

    fn erase<'a>(&'a self, tx: &'a mut Tx, person: &'a Person, _: i64) -> BoxFuture<'a, Result<u64>> {
        Box::pin(async move { store::delete_of_person(tx, person.tenant, &person.id).await })
    }
}
