//! What this domain holds about people: the runs they started, and their names on the tickets that they opened.

use astrolabe_kernel::{
    Error, Result, Tx,
    error::code,
    personal::{Held, People, Person, PersonalData},
};
use futures_util::future::BoxFuture;
use serde_json::json;

use crate::{
    Agents,
    runs::{self, RUNS},
    tickets,
};

impl Agents {
    /// Offers what this domain holds about people.
    pub fn personal_data(&self, people: &mut People) {
        people.add(Runs);
        people.add(Tickets);
    }
}

struct Runs;

impl PersonalData for Runs {
    fn name(&self) -> &'static str {
        "runs"
    }

    fn export<'a>(&'a self, tx: &'a mut Tx, person: &'a Person, after: &'a str, limit: i64) -> BoxFuture<'a, Result<Vec<Held>>> {
        Box::pin(async move {
            let runs = runs::store::of_person(tx, person.tenant, &person.id, after, limit).await?;
            Ok(runs.into_iter().map(|r| Held { key: r.id.to_string(), record: json!(r) }).collect())
        })
    }

    fn erase<'a>(&'a self, tx: &'a mut Tx, person: &'a Person, limit: i64) -> BoxFuture<'a, Result<u64>> {
        Box::pin(async move {
            let runs = runs::store::of_person(tx, person.tenant, &person.id, "", limit).await?;
            let mut erased = 0;
            for run in &runs {
                if runs::store::delete_ended(tx, person.tenant, run.id).await? {
                    tx.clear_stream(person.tenant, &RUNS.stream(run.id)).await?;
                    erased += 1;
                }
            }
            if erased == 0 && !runs.is_empty() {
                return Err(Error::new(code::OVERLOADED, "a run of the person's is still being worked on"));
            }
            Ok(erased + runs::store::delete_effects(tx, person.tenant, &person.id).await?)
        })
    }
}

/// A ticket is the tenant's: it stays, with another name on it.
struct Tickets;

impl PersonalData for Tickets {
    fn name(&self) -> &'static str {
        "tickets"
    }

    fn export<'a>(&'a self, tx: &'a mut Tx, person: &'a Person, after: &'a str, limit: i64) -> BoxFuture<'a, Result<Vec<Held>>> {
        Box::pin(async move {
            let tickets = tickets::store::of_person(tx, person.tenant, &person.id, after, limit).await?;
            Ok(tickets.into_iter().map(|t| Held { key: t.id.to_string(), record: json!(t) }).collect())
        })
    }

    fn erase<'a>(&'a self, tx: &'a mut Tx, person: &'a Person, _: i64) -> BoxFuture<'a, Result<u64>> {
        Box::pin(async move { tickets::store::rename_person(tx, person.tenant, &person.id, &person.pseudonym).await })
    }
}
