//! One person's data, handed over or erased (GDPR, articles 15, 17 and 20): a request is a row and a job, which goes through everything that the
//! domains hold about the person ([`astrolabe_kernel::personal`]).

mod jobs;
pub mod routes;
mod store;

use std::sync::Arc;

use astrolabe_kernel::{
    Error, Id, Kernel, Result, Timestamp,
    audit::Record,
    http::Caller,
    id::Named,
    jobs::{Job, JobError, JobState, NewJob, Registry},
    personal::People,
};
use astrolabe_kernel::{http::Routes, routes};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use crate::accounts;

/// How long an export can be fetched.
pub const EXPORT_LIFE: std::time::Duration = std::time::Duration::from_secs(7 * 24 * 3600);

/// A request to hand over or to erase one person's data.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct PrivacyRequest {
    /// Its id, `prq_…`.
    pub id: Id<PrivacyRequest>,
    /// What is asked for.
    pub kind: PrivacyKind,
    /// Whose data; empty when it was erased.
    pub person: String,
    /// Who asked for it.
    pub requested_by: String,
    /// The job that does it.
    pub job_id: Id<Job>,
    /// Where it stands.
    pub state: JobState,
    /// Why it failed.
    pub error: Option<JobError>,
    /// How many records of each sort were handed over or erased.
    #[schema(value_type = Object)]
    pub records: serde_json::Value,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it ended. An export can be fetched for a week from then on.
    pub finished_at: Option<Timestamp>,
}

impl Named for PrivacyRequest {
    const PREFIX: &'static str = "prq";
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PrivacyKind {
    /// A file with everything that is held about the person.
    Export,
    /// That it is removed; what others go on using stays without the person.
    Erase,
}

impl PrivacyKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Export => "export",
            Self::Erase => "erase",
        }
    }
}

/// A request to make.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"kind": "export", "person": "user:usr_01JD3V9M7Q4R8T2W6X0Y5Z1ABC"}))]
pub struct NewPrivacyRequest {
    /// What is asked for.
    pub kind: PrivacyKind,
    /// The id of the person's principal, as audit entries have it in `actor`. That nothing is held about somebody is no error.
    #[schema(min_length = 6, max_length = 200, pattern = "^user:[A-Za-z0-9_.@+|-]{1,195}$")]
    pub person: String,
}

/// What the endpoints and the job share; clones are the same.
#[derive(Clone)]
pub struct Privacy(Arc<Inner>);

struct Inner {
    kernel: Kernel,
    people: People,
}

impl Privacy {
    /// Over everything that is held about people.
    pub fn new(kernel: Kernel, people: People) -> Self {
        Self(Arc::new(Inner { kernel, people }))
    }

    /// Adds the jobs of the requests.
    pub fn register(&self, registry: &mut Registry) {
        registry.add(Arc::new(jobs::Handling(self.clone())));
    }

    /// Makes a request and its job.
    ///
    /// # Errors
    /// `invalid_request` naming `person`: it is no person's id, or the caller's own when it is to be erased.
    pub async fn request(&self, caller: &Caller, new: NewPrivacyRequest) -> Result<PrivacyRequest> {
        let NewPrivacyRequest { kind, person } = new;
        let name = person.strip_prefix("user:").unwrap_or("");
        if !(1..=195).contains(&name.len()) || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.@+|-".contains(&b)) {
            return Err(Error::field("person", "must be the id of a person's principal, such as user:usr_01JD3V9M7Q4R8T2W6X0Y5Z1ABC"));
        }
        if kind == PrivacyKind::Erase && person == caller.principal.id {
            return Err(Error::field("person", "is yourself: let another administrator do it"));
        }
        let kernel = &self.0.kernel;
        let (tenant, now) = (caller.principal.tenant, kernel.now());
        if let (PrivacyKind::Erase, Ok(user)) = (kind, name.parse()) {
            accounts::routes::check_erasable(&mut kernel.db.write_all().await?, &caller.principal, tenant, user).await?;
        }
        let request = PrivacyRequest {
            id: kernel.id(),
            kind,
            person,
            requested_by: caller.principal.id.clone(),
            job_id: kernel.id(),
            state: JobState::Queued,
            error: None,
            records: json!({}),
            created_at: now,
            finished_at: None,
        };
        let mut tx = kernel.db.write(tenant).await?;
        store::insert(&mut tx, tenant, &request).await?;
        let subject = request.id.to_string();
        let job = NewJob::new(request.job_id, tenant, jobs::KIND, &subject, json!({}));
        tx.enqueue(job, now).await?;
        // Who was erased is in no entry; whose data was handed over is in a payload, which an erasure takes away.
        let (action, payload) = match kind {
            PrivacyKind::Export => ("privacy.export", json!({"person": request.person})),
            PrivacyKind::Erase => ("privacy.erase", json!({})),
        };
        tx.audit(kernel, Record::of(caller, action, request.id, payload)).await?;
        tx.commit().await?;
        Ok(request)
    }

    /// Removes exports that are past their time. Returns how many requests they were of.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn prune(&self) -> Result<u64> {
        let kernel = &self.0.kernel;
        let mut tx = kernel.db.write_all().await?;
        let removed = store::prune(&mut tx, kernel.now().minus(EXPORT_LIFE)).await?;
        tx.commit().await?;
        Ok(removed)
    }
}

/// The endpoints, behind sign-in.
pub fn routes(privacy: Privacy) -> Routes {
    Routes::new()
        .routes(routes!(routes::list_privacy_requests, routes::make_privacy_request))
        .routes(routes!(routes::get_privacy_request))
        .routes(routes!(routes::get_privacy_export))
        .with_state(privacy)
}
