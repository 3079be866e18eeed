//! Every operation that changes something leaves an entry in the audit log, in the same transaction.

use std::collections::{BTreeMap, BTreeSet};

use astrolabe_kernel::Principal;
use astrolabe_platform::sessions;
use axum::http::Method;
use serde_json::{Value, json};

use crate::support::{Reply, TestApp};

/// Operations that change nothing although they are no GET. Nothing may be added here; an operation that leaves this list is progress.
const NOTHING_CHANGED: &[&str] = &["POST /api/v1/search"];

/// Operations whose entry is of somebody else than the local administrator, who has no password; `accounts.rs` looks at them.
const OF_OTHERS: &[&str] =
    &["POST /api/v1/me/password", "POST /api/v1/sessions", "POST /api/v1/sessions/current/tenant", "POST /api/v1/sessions/refresh"];

/// Sources, documents, jobs and tickets to try the operations on.
struct World {
    app: TestApp,
    source: String,
}

impl World {
    async fn new() -> Self {
        let app = TestApp::new().await;
        let (source, _) = app.ingested("handbook", "keys.md", "# Keys\n\nThe office keys are kept at the reception desk.\n").await;
        Self { app, source }
    }

    /// A document that could not be read, with its failed job.
    async fn failed(&self) -> (String, String) {
        let document = self.app.upload(&self.source, "empty.md", b"").await;
        self.app.drain().await;
        let read = self.app.get(&format!("/api/v1/documents/{document}")).send().await.json();
        assert_eq!(read["state"], "failed");
        (document, read["job_id"].as_str().unwrap().to_owned())
    }

    /// A question set with one question.
    async fn question_set(&self) -> String {
        let set = json!({"name": "nightly", "questions": [{"id": "keys", "question": "Where are the keys?"}]});
        self.app.post("/api/v1/question-sets").json(set).send().await.json()["id"].as_str().unwrap().to_owned()
    }

    /// An answer, and the feedback on it.
    async fn rated(&self) -> (String, String) {
        let ask = self.app.post("/api/v1/ask").json(json!({"question": "Where are the keys?"})).send().await.json();
        let ask = ask["id"].as_str().unwrap().to_owned();
        let feedback = self.app.post(&format!("/api/v1/asks/{ask}/feedback")).json(json!({"rating": "up"})).send().await.json();
        (ask, feedback["id"].as_str().unwrap().to_owned())
    }

    /// Does an operation the way it succeeds. Returns the answer and what the entry is to be about.
    async fn perform(&self, operation: &str) -> (Reply, String) {
        let app = &self.app;
        let (method, path) = operation.split_once(' ').unwrap();
        let method: Method = method.parse().unwrap();
        let id = |reply: &Reply| reply.json()["id"].as_str().unwrap_or("").to_owned();
        match operation {
            "POST /api/v1/ask" => {
                let reply = app.post(path).json(json!({"question": "Where are the keys?"})).send().await;
                let subject = id(&reply);
                (reply, subject)
            }
            "POST /api/v1/sources" => {
                let reply = app.post(path).json(json!({"name": "another"})).send().await;
                let subject = id(&reply);
                (reply, subject)
            }
            "PATCH /api/v1/sources/{id}" => (
                app.call(method, &path.replace("{id}", &self.source)).json(json!({"description": "new"})).send().await,
                self.source.clone(),
            ),
            "DELETE /api/v1/sources/{id}" => (app.call(method, &path.replace("{id}", &self.source)).send().await, self.source.clone()),
            "POST /api/v1/sources/{id}/documents" => {
                let (content_type, body) = astrolabe_server::client::multipart(&[("new.md".to_owned(), b"# New\n\nText.".to_vec().into())]);
                let reply = app.post(&path.replace("{id}", &self.source)).body(&content_type, body).send().await;
                let subject = reply.json()["items"][0]["id"].as_str().unwrap().to_owned();
                (reply, subject)
            }
            "DELETE /api/v1/documents/{id}" | "POST /api/v1/documents/{id}/retry" => {
                let (document, _) = self.failed().await;
                (app.call(method, &path.replace("{id}", &document)).send().await, document)
            }
            "POST /api/v1/jobs/{id}/retry" => {
                let (_, job) = self.failed().await;
                (app.call(method, &path.replace("{id}", &job)).send().await, job)
            }
            "POST /api/v1/jobs/{id}/cancel" => {
                let document = app.upload(&self.source, "waits.md", b"# Waits\n\nText.").await;
                let job = app.get(&format!("/api/v1/documents/{document}")).send().await.json()["job_id"].as_str().unwrap().to_owned();
                (app.call(method, &path.replace("{id}", &job)).send().await, job)
            }
            "POST /api/v1/tickets" => {
                let reply = app.post(path).json(json!({"title": "Printer"})).send().await;
                let subject = id(&reply);
                (reply, subject)
            }
            "PATCH /api/v1/tickets/{id}" => {
                let ticket = id(&app.post("/api/v1/tickets").json(json!({"title": "Printer"})).send().await);
                (app.call(method, &path.replace("{id}", &ticket)).json(json!({"state": "closed"})).send().await, ticket)
            }
            "POST /v1/agents/run" => {
                let reply = app.post(path).json(json!({"agent": "support", "input": "Open a ticket about the printer"})).send().await;
                let subject = reply.json()["run_id"].as_str().unwrap().to_owned();
                (reply, subject)
            }
            "POST /api/v1/asks/{id}/feedback" => {
                let (ask, feedback) = self.rated().await;
                (app.post(&path.replace("{id}", &ask)).json(json!({"rating": "down", "reason": "wrong"})).send().await, feedback)
            }
            "DELETE /api/v1/asks/{id}/feedback" => {
                let (ask, feedback) = self.rated().await;
                (app.call(method, &path.replace("{id}", &ask)).send().await, feedback)
            }
            "POST /api/v1/feedback/{id}/question" => {
                let ((_, feedback), set) = (self.rated().await, self.question_set().await);
                (app.post(&path.replace("{id}", &feedback)).json(json!({"question_set_id": set})).send().await, feedback)
            }
            "POST /api/v1/index/rebuild" => {
                let reply = app.post(path).send().await;
                let subject = id(&reply);
                (reply, subject)
            }
            "POST /api/v1/question-sets" => {
                let reply = app.post(path).json(json!({"name": "nightly"})).send().await;
                let subject = id(&reply);
                (reply, subject)
            }
            "PUT /api/v1/question-sets/{id}" => {
                let set = self.question_set().await;
                (app.call(method, &path.replace("{id}", &set)).json(json!({"name": "weekly"})).send().await, set)
            }
            "DELETE /api/v1/question-sets/{id}" | "POST /api/v1/question-sets/{id}/runs" => {
                let set = self.question_set().await;
                (app.call(method, &path.replace("{id}", &set)).send().await, set)
            }
            "PUT /api/v1/question-sets/{id}/questions" => {
                let set = self.question_set().await;
                let lines = b"{\"id\":\"a\",\"question\":\"Where is the desk?\"}\n".to_vec();
                (app.call(method, &path.replace("{id}", &set)).body("application/x-ndjson", lines).send().await, set)
            }
            "POST /api/v1/question-sets/{id}/questions" => {
                let set = self.question_set().await;
                (app.post(&path.replace("{id}", &set)).json(json!({"id": "b", "question": "Where is the desk?"})).send().await, set)
            }
            "DELETE /api/v1/sessions/current" => {
                let code = sessions::new_code(&app.app.kernel, &Principal::local_admin()).await.unwrap();
                let link = app.anonymous(Method::GET, &format!("/signin?code={}", code.expose())).send().await;
                let cookie = link.header("set-cookie").split(';').next().unwrap().to_owned();
                let call = app.anonymous(method, path).header("cookie", &cookie).header("origin", "http://127.0.0.1:8080");
                (call.send().await, String::new())
            }
            "DELETE /api/v1/sessions/{id}" => {
                let code = sessions::new_code(&app.app.kernel, &Principal::local_admin()).await.unwrap();
                app.anonymous(Method::GET, &format!("/signin?code={}", code.expose())).send().await;
                let session = app.get("/api/v1/sessions").send().await.json()["items"][0]["id"].as_str().unwrap().to_owned();
                (app.call(method, &path.replace("{id}", &session)).send().await, session)
            }
            "POST /api/v1/api-keys" => {
                let reply = app.post(path).json(json!({"name": "nightly"})).send().await;
                let subject = id(&reply);
                (reply, subject)
            }
            "DELETE /api/v1/api-keys/{id}" => {
                let key = id(&app.post("/api/v1/api-keys").json(json!({"name": "nightly"})).send().await);
                (app.call(method, &path.replace("{id}", &key)).send().await, key)
            }
            "POST /api/v1/tenants" => {
                let reply = app.post(path).json(json!({"slug": "acme"})).send().await;
                let subject = id(&reply);
                (reply, subject)
            }
            "PATCH /api/v1/tenants/{id}" => {
                let tenant = id(&app.post("/api/v1/tenants").json(json!({"slug": "acme"})).send().await);
                (app.call(method, &path.replace("{id}", &tenant)).json(json!({"name": "Acme Ltd"})).send().await, tenant)
            }
            "POST /api/v1/users" => {
                let reply = app.post(path).json(json!({"email": "anna@example.com"})).send().await;
                let subject = id(&reply);
                (reply, subject)
            }
            "PATCH /api/v1/users/{id}"
            | "DELETE /api/v1/users/{id}"
            | "POST /api/v1/users/{id}/sign-out"
            | "POST /api/v1/users/{id}/link"
            | "POST /api/v1/users/{id}/password" => {
                let user = id(&app.post("/api/v1/users").json(json!({"email": "anna@example.com"})).send().await);
                let call = app.call(method.clone(), &path.replace("{id}", &user));
                let call = match path.rsplit('/').next() {
                    Some("password") => call.json(json!({"password": "seven lamps near Gdynia"})),
                    Some("{id}") if method == Method::PATCH => call.json(json!({"role": "editor"})),
                    _ => call,
                };
                (call.send().await, user)
            }
            _ => panic!("{operation} is new: say here how it is done, so that its audit entry can be looked for"),
        }
    }

    async fn entries(&self) -> BTreeMap<String, Value> {
        let reply = self.app.get("/api/v1/audit?limit=200").send().await.json();
        reply["items"].as_array().unwrap().iter().map(|e| (e["id"].as_str().unwrap().to_owned(), e.clone())).collect()
    }
}

#[tokio::test]
async fn every_operation_that_changes_something_leaves_an_entry_about_what_it_changed() {
    let description = serde_json::to_value(&TestApp::new().await.description).unwrap();
    let mut operations = BTreeSet::new();
    for (path, item) in description["paths"].as_object().unwrap() {
        operations.extend(item.as_object().unwrap().keys().filter(|m| *m != "get").map(|m| format!("{} {path}", m.to_uppercase())));
    }
    assert!(operations.len() > 10);
    assert!(NOTHING_CHANGED.iter().all(|o| operations.contains(*o)), "the list of exceptions only shrinks");
    let others = [NOTHING_CHANGED, OF_OTHERS].concat();
    for operation in operations.iter().filter(|o| !others.contains(&o.as_str())) {
        let world = World::new().await;
        let before = world.entries().await;
        let (reply, subject) = world.perform(operation).await;
        assert!((200..300).contains(&reply.status), "{operation}: {} {}", reply.status, reply.text());
        let new: Vec<Value> = world.entries().await.into_iter().filter(|(id, _)| !before.contains_key(id)).map(|(_, e)| e).collect();
        let request = reply.header("x-request-id");
        let entry = new.iter().find(|e| e["request_id"] == request && (subject.is_empty() || e["subject"] == subject));
        let entry = entry.unwrap_or_else(|| panic!("{operation} left no entry about {subject} in request {request}: {new:#?}"));
        assert_eq!((entry["outcome"].as_str(), entry["actor"].as_str()), (Some("ok"), Some("user:local-admin")), "{operation}: {entry}");
    }
}

#[tokio::test]
async fn an_operation_that_fails_changes_nothing_and_claims_nothing() {
    let world = World::new().await;
    let before = world.entries().await.len();
    let conflict = world.app.post("/api/v1/sources").json(json!({"name": "handbook"})).send().await;
    assert_eq!(conflict.status, 409);
    assert_eq!(world.app.call(Method::DELETE, "/api/v1/documents/doc_01JD3V9M7Q4R8T2W6X0Y5Z1ABC").send().await.status, 404);
    assert_eq!(world.entries().await.len(), before);
}

#[tokio::test]
async fn every_entry_is_sealed_into_the_chain_in_order() {
    let world = World::new().await;
    world.perform("POST /v1/agents/run").await;
    world.app.app.sealer().seal().await.unwrap();
    let mut seqs: Vec<i64> = world.entries().await.values().map(|e| e["seq"].as_i64().unwrap()).collect();
    seqs.sort_unstable();
    assert_eq!(seqs, (1..=i64::try_from(seqs.len()).unwrap()).collect::<Vec<_>>());
}
