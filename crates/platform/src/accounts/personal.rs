//! What the tables of people hold about a person.

use astrolabe_kernel::{
    Result, Tx,
    personal::{Held, Person, PersonalData},
};
use futures_util::future::BoxFuture;
use serde_json::json;

use super::{UserId, store};

/// The memberships of people, with their accounts. The account itself goes when it is a member of nothing any more, which only a look across tenants
/// tells (`store::delete_orphan`).
pub struct Memberships;

/// The account of a person; nothing for the local administrator and for services.
pub(crate) fn user(person: &Person) -> Option<UserId> {
    person.id.strip_prefix("user:")?.parse().ok()
}

impl PersonalData for Memberships {
    fn name(&self) -> &'static str {
        "memberships"
    }

    fn export<'a>(&'a self, tx: &'a mut Tx, person: &'a Person, after: &'a str, _: i64) -> BoxFuture<'a, Result<Vec<Held>>> {
        Box::pin(async move {
            let Some(id) = user(person).filter(|_| after.is_empty()) else { return Ok(Vec::new()) };
            let Some(member) = store::member(tx, person.tenant, id).await? else { return Ok(Vec::new()) };
            let account = store::account(tx, id).await?.map(|a| {
                json!({
                    "email": a.email, "name": a.name, "state": a.state, "issuer": a.issuer, "subject": a.subject,
                    "created_at": a.created_at, "last_seen_at": a.last_seen_at,
                })
            });
            Ok(vec![Held { key: id.to_string(), record: json!({ "membership": member, "account": account }) }])
        })
    }

    fn erase<'a>(&'a self, tx: &'a mut Tx, person: &'a Person, _: i64) -> BoxFuture<'a, Result<u64>> {
        Box::pin(async move {
            match user(person) {
                Some(id) => store::delete_member(tx, person.tenant, id).await,
                None => Ok(0),
            }
        })
    }
}
