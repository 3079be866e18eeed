//! What usage says about a person.

use astrolabe_kernel::{
    Result, Tx,
    personal::{Held, Person, PersonalData},
};
use futures_util::future::BoxFuture;
use serde_json::json;

use super::store;

/// Records of usage: handed over as they are; when a person is erased, the sums stay under the pseudonym, for they are the books.
pub struct Usage;

impl PersonalData for Usage {
    fn name(&self) -> &'static str {
        "usage"
    }

    fn export<'a>(&'a self, tx: &'a mut Tx, person: &'a Person, after: &'a str, limit: i64) -> BoxFuture<'a, Result<Vec<Held>>> {
        Box::pin(async move {
            let rows = store::of_person(tx, person.tenant, &person.id, after, limit).await?;
            let held = |r: store::Personal| {
                let [alias, provider, model, outcome] = r.words;
                let record = json!({"id": r.id, "alias": alias, "provider": provider, "model": model, "outcome": outcome, "input_tokens": r.tokens[0],
                                    "output_tokens": r.tokens[1], "cost_micro_usd": r.cost, "started_at": r.at});
                Held { key: r.id, record }
            };
            Ok(rows.into_iter().map(held).collect())
        })
    }

    fn erase<'a>(&'a self, tx: &'a mut Tx, person: &'a Person, limit: i64) -> BoxFuture<'a, Result<u64>> {
        Box::pin(store::rename_person(tx, person.tenant, &person.id, &person.pseudonym, limit))
    }
}
