//! Goes through everything that is held about a person.

use std::collections::BTreeMap;

use astrolabe_kernel::{
    Error, Id, Principal, Result, Timestamp, Tx,
    audit::{Outcome, Record},
    http::Trace,
    jobs::{Context, Handler, Job, JobError, JobState},
    personal::Person,
    principal::Right,
};
use futures_util::future::BoxFuture;
use serde_json::json;

use crate::{accounts, sessions::store::Sessions};

use super::{Privacy, PrivacyKind, PrivacyRequest, store};

/// The kind of these jobs.
pub(super) const KIND: &str = "privacy_request";
/// Records of one transaction.
const BATCH: i64 = 200;

/// The handler.
pub(super) struct Handling(pub Privacy);

impl Handler for Handling {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn run<'a>(&'a self, context: &'a Context) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let (id, tenant) = (subject(&context.job)?, context.job.tenant);
            let mut tx = context.write().await?;
            let request = store::get(&mut tx, tenant, id).await?.ok_or_else(|| Error::not_found("request"))?;
            store::set_state(&mut tx, tenant, id, JobState::Running, None, context.kernel.now()).await?;
            tx.commit().await?;
            let pseudonym = format!("erased:{}", context.kernel.random.token(12));
            let person = Person { tenant, id: request.person, pseudonym };
            match request.kind {
                PrivacyKind::Export => self.export(context, id, &person).await,
                PrivacyKind::Erase => self.erase(context, id, &person).await,
            }
        })
    }

    fn may_read<'a>(&'a self, _: &'a mut Tx, principal: &'a Principal, _: &'a Job) -> BoxFuture<'a, Result<bool>> {
        Box::pin(std::future::ready(Ok(principal.require(Right::ManageUsers).is_ok())))
    }

    fn ended<'a>(&'a self, tx: &'a mut Tx, job: &'a Job, now: Timestamp) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move { store::set_state(tx, job.tenant, subject(job)?, job.state, job.error.as_ref(), now).await })
    }

    fn retried<'a>(&'a self, tx: &'a mut Tx, job: &'a Job, now: Timestamp) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move { store::set_state(tx, job.tenant, subject(job)?, JobState::Queued, None::<&JobError>, now).await })
    }
}

fn subject(job: &Job) -> Result<Id<PrivacyRequest>> {
    job.subject.parse().map_err(|_| Error::internal(format_args!("{} is not the subject of a privacy request", job.subject)))
}

impl Handling {
    /// Writes the lines of an export from the beginning: a head, a line for each record, and an end, without which it is not whole.
    async fn export(&self, context: &Context, id: Id<PrivacyRequest>, person: &Person) -> Result<()> {
        let Privacy(inner) = &self.0;
        let (tenant, mut ordinal) = (person.tenant, 0);
        let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
        let mut tx = context.write().await?;
        store::clear(&mut tx, tenant, id).await?;
        let head = json!({"person": person.id, "tenant": tenant, "made_at": context.kernel.now()});
        store::add_line(&mut tx, tenant, id, ordinal, &head).await?;
        tx.commit().await?;
        let sorts = i64::try_from(inner.people.all().len()).unwrap_or(0);
        for (done, data) in inner.people.all().iter().enumerate() {
            context.progress(data.name(), i64::try_from(done).unwrap_or(0), sorts).await?;
            let mut after = String::new();
            loop {
                let held = data.export(&mut context.kernel.db.read(tenant).await?, person, &after, BATCH).await?;
                let Some(last) = held.last() else { break };
                after.clone_from(&last.key);
                *counts.entry(data.name()).or_default() += held.len() as u64;
                let mut tx = context.write().await?;
                for record in held {
                    ordinal += 1;
                    store::add_line(&mut tx, tenant, id, ordinal, &json!({"kind": data.name(), "record": record.record})).await?;
                }
                tx.commit().await?;
            }
        }
        let mut tx = context.write().await?;
        store::add_line(&mut tx, tenant, id, ordinal + 1, &json!({"end": {"records": counts}})).await?;
        store::set_records(&mut tx, tenant, id, &json!(counts)).await?;
        store::set_state(&mut tx, tenant, id, JobState::Ready, None, context.kernel.now()).await?;
        context.commit_ready(tx).await
    }

    /// Erases a batch at a time, and records at last that it is done and how much it was, not of whom.
    async fn erase(&self, context: &Context, id: Id<PrivacyRequest>, person: &Person) -> Result<()> {
        let Privacy(inner) = &self.0;
        let tenant = person.tenant;
        // What was read a moment ago is in the log before the log is gone through.
        context.kernel.write_reads().await?;
        let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
        let sorts = i64::try_from(inner.people.all().len()).unwrap_or(0);
        for (done, data) in inner.people.all().iter().enumerate() {
            context.progress(data.name(), i64::try_from(done).unwrap_or(0), sorts).await?;
            loop {
                let mut tx = context.write().await?;
                let erased = data.erase(&mut tx, person, BATCH).await?;
                tx.commit().await?;
                if erased == 0 {
                    break;
                }
                *counts.entry(data.name()).or_default() += erased;
            }
        }
        if let Some(user) = accounts::personal::user(person) {
            // Whether the account is a member elsewhere can be seen across tenants only.
            let mut tx = context.kernel.db.write_all().await?;
            if accounts::store::delete_orphan(&mut tx, user).await? {
                tx.delete_codes_of(user).await?;
            }
            tx.commit().await?;
        }
        let mut tx = context.write().await?;
        store::forget(&mut tx, tenant, &person.id, &person.pseudonym).await?;
        store::set_records(&mut tx, tenant, id, &json!(counts)).await?;
        store::set_state(&mut tx, tenant, id, JobState::Ready, None, context.kernel.now()).await?;
        let record = Record {
            principal: &Principal::service("privacy", tenant),
            trace: &Trace::background(&context.kernel.random),
            action: "privacy.erased",
            subject: id.to_string(),
            outcome: Outcome::Ok,
            payload: json!({"records": counts}),
        };
        tx.audit(&context.kernel, record).await?;
        context.commit_ready(tx).await
    }
}
