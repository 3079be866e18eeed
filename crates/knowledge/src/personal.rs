//! What this domain holds about people: their questions with the answers, what they think of answers, and their names in the sets, runs and lists
//! of readers that others go on using.

use astrolabe_kernel::{
    Error, Id, Result, Tx,
    error::code,
    personal::{Held, People, Person, PersonalData},
};
use futures_util::future::BoxFuture;
use serde_json::json;

use crate::{
    Knowledge,
    answers::{self, ASKS, Answer},
    feedback, question_sets, sources,
};

impl Knowledge {
    /// Offers what this domain holds about people.
    pub fn personal_data(&self, people: &mut People) {
        people.add(Feedback);
        people.add(Asks(self.clone()));
        people.add(Names);
    }
}

struct Asks(Knowledge);

impl PersonalData for Asks {
    fn name(&self) -> &'static str {
        "asks"
    }

    fn export<'a>(&'a self, tx: &'a mut Tx, person: &'a Person, after: &'a str, limit: i64) -> BoxFuture<'a, Result<Vec<Held>>> {
        Box::pin(async move {
            let asks = answers::store::of_person(tx, person.tenant, &person.id, after, limit).await?;
            Ok(asks.into_iter().map(|a| Held { key: a.id.to_string(), record: json!(a) }).collect())
        })
    }

    fn erase<'a>(&'a self, tx: &'a mut Tx, person: &'a Person, limit: i64) -> BoxFuture<'a, Result<u64>> {
        Box::pin(async move {
            let ended: Vec<Id<Answer>> = answers::store::ended(tx, person.tenant, &person.id, limit).await?;
            for id in &ended {
                tx.clear_stream(person.tenant, &ASKS.stream(id)).await?;
                answers::store::delete(tx, person.tenant, *id).await?;
            }
            if ended.is_empty() && !answers::store::of_person(tx, person.tenant, &person.id, "", 1).await?.is_empty() {
                return Err(Error::new(code::OVERLOADED, "a question of the person's is still being answered"));
            }
            self.0.answers.forget_tenant(person.tenant);
            Ok(ended.len() as u64)
        })
    }
}

struct Feedback;

impl PersonalData for Feedback {
    fn name(&self) -> &'static str {
        "feedback"
    }

    fn export<'a>(&'a self, tx: &'a mut Tx, person: &'a Person, after: &'a str, limit: i64) -> BoxFuture<'a, Result<Vec<Held>>> {
        Box::pin(async move {
            let given = feedback::store::of_person(tx, person.tenant, &person.id, after, limit).await?;
            Ok(given.into_iter().map(|f| Held { key: f.id.to_string(), record: json!(f) }).collect())
        })
    }

    fn erase<'a>(&'a self, tx: &'a mut Tx, person: &'a Person, limit: i64) -> BoxFuture<'a, Result<u64>> {
        Box::pin(async move { feedback::store::delete_of_person(tx, person.tenant, &person.id, limit).await })
    }
}

/// The person's id in rows that stay: who made a question set, who started its run, who may read a source.
struct Names;

impl PersonalData for Names {
    fn name(&self) -> &'static str {
        "names"
    }

    fn export<'a>(&'a self, tx: &'a mut Tx, person: &'a Person, after: &'a str, _: i64) -> BoxFuture<'a, Result<Vec<Held>>> {
        Box::pin(async move {
            if !after.is_empty() {
                return Ok(Vec::new());
            }
            let sets = question_sets::store::made_by(tx, person.tenant, &person.id).await?;
            let sources = sources::store::read_by(tx, person.tenant, &person.id).await?;
            Ok(vec![Held { key: "names".to_owned(), record: json!({"question_sets": sets, "reader_of_sources": sources}) }])
        })
    }

    fn erase<'a>(&'a self, tx: &'a mut Tx, person: &'a Person, _: i64) -> BoxFuture<'a, Result<u64>> {
        Box::pin(async move {
            let sets = question_sets::store::rename_person(tx, person.tenant, &person.id, &person.pseudonym).await?;
            Ok(sets + sources::store::rename_reader(tx, person.tenant, &person.id, &person.pseudonym).await?)
        })
    }
}
