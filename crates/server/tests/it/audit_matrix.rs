//! Every operation that changes something leaves an entry in the audit log, in the same transaction, and so does every one that is refused for
//! lack of rights.

use std::collections::{BTreeMap, BTreeSet};

use astrolabe_kernel::{
    Principal, Role,
    principal::{Rights, default_tenant},
};
use astrolabe_platform::{audit::refusals, sessions};
use axum::http::Method;
use serde_json::{Value, json};

use crate::support::{Reply, TestApp};

/// Operations that change nothing although they are no GET: a search, whose reading is recorded in another way, calls of models, which the ledger records, what only says how a policy
/// would decide, and the parts of an upload, whose beginning and end are recorded.
const NOTHING_CHANGED: &[&str] = &[
    "POST /v1/chat/completions",
    "POST /v1/embeddings",
    "POST /v1/responses",
    "POST /v1/responses/{id}/cancel",
    "POST /api/v1/search",
    "POST /api/v1/policies/simulate",
    "POST /api/v1/policies/{id}/simulate",
    "POST /api/v1/uploads/{id}/parts",
    "PUT /uploads/{id}/parts/{number}",
];

/// Operations whose entry is of somebody else than the local administrator, who has no password; `accounts.rs` looks at them.
const OF_OTHERS: &[&str] =
    &["POST /api/v1/me/password", "POST /api/v1/sessions", "POST /api/v1/sessions/current/tenant", "POST /api/v1/sessions/refresh"];

/// Every other operation with the action of its entry. An operation without a row fails the test.
const ACTIONS: &[(&str, &str)] = &[
    ("POST /api/v1/api-keys", "api_keys.create"),
    ("DELETE /api/v1/api-keys/{id}", "api_keys.revoke"),
    ("POST /api/v1/ask", "ask"),
    ("DELETE /api/v1/asks/{id}/feedback", "feedback.withdraw"),
    ("POST /api/v1/asks/{id}/feedback", "feedback.give"),
    ("DELETE /api/v1/documents/{id}", "documents.delete"),
    ("POST /api/v1/documents/{id}/retry", "documents.retry"),
    ("POST /api/v1/budgets", "budgets.create"),
    ("PUT /api/v1/budgets/{id}", "budgets.update"),
    ("DELETE /api/v1/budgets/{id}", "budgets.delete"),
    ("POST /api/v1/feedback/{id}/question", "feedback.question"),
    ("POST /api/v1/index/rebuild", "index.rebuild"),
    ("POST /api/v1/jobs/{id}/cancel", "jobs.cancel"),
    ("POST /api/v1/jobs/{id}/retry", "jobs.retry"),
    ("POST /api/v1/dead-letters/retry", "jobs.retry"),
    ("POST /api/v1/privacy-requests", "privacy.export"),
    ("POST /api/v1/question-sets", "question_sets.create"),
    ("DELETE /api/v1/question-sets/{id}", "question_sets.delete"),
    ("PUT /api/v1/question-sets/{id}", "question_sets.update"),
    ("POST /api/v1/question-sets/{id}/questions", "question_sets.update"),
    ("PUT /api/v1/question-sets/{id}/questions", "question_sets.update"),
    ("POST /api/v1/question-sets/{id}/runs", "question_sets.run"),
    ("DELETE /api/v1/sessions/current", "sessions.end"),
    ("POST /api/v1/sources", "sources.create"),
    ("DELETE /api/v1/sources/{id}", "sources.delete"),
    ("PATCH /api/v1/sources/{id}", "sources.update"),
    ("POST /api/v1/sources/{id}/documents", "documents.add"),
    ("POST /api/v1/sources/{id}/uploads", "uploads.begin"),
    ("POST /api/v1/uploads/{id}/complete", "uploads.complete"),
    ("DELETE /api/v1/uploads/{id}", "uploads.abort"),
    ("PUT /api/v1/maintenance", "maintenance.set"),
    ("POST /api/v1/policies", "policies.create"),
    ("PUT /api/v1/policies/{id}", "policies.update"),
    ("DELETE /api/v1/policies/{id}", "policies.delete"),
    ("DELETE /api/v1/sessions/{id}", "sessions.end"),
    ("PATCH /api/v1/settings", "settings.update"),
    ("POST /api/v1/tenants", "tenants.create"),
    ("PATCH /api/v1/tenants/{id}", "tenants.update"),
    ("POST /api/v1/users", "users.add"),
    ("PATCH /api/v1/users/{id}", "users.update"),
    ("DELETE /api/v1/users/{id}", "users.remove"),
    ("POST /api/v1/users/{id}/sign-out", "users.sign_out"),
    ("POST /api/v1/users/{id}/link", "sessions.link"),
    ("POST /api/v1/users/{id}/password", "users.password"),
    ("POST /api/v1/tickets", "create_ticket"),
    ("PATCH /api/v1/tickets/{id}", "tickets.update"),
    ("POST /v1/agents/run", "agents.run"),
];

fn budget() -> Value {
    json!({"scope": "user", "subject": "*", "period": "day", "unit": "micro_usd", "amount": 5_000_000})
}

fn policy() -> Value {
    json!({"name": "no restarts", "text": "forbid (principal, action == Action::\"tool:restart_service\", resource);"})
}

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
            "POST /api/v1/api-keys" => {
                let reply = app.post(path).json(json!({"name": "nightly"})).send().await;
                let subject = id(&reply);
                (reply, subject)
            }
            "DELETE /api/v1/api-keys/{id}" => {
                let key = id(&app.post("/api/v1/api-keys").json(json!({"name": "nightly"})).send().await);
                (app.call(method, &path.replace("{id}", &key)).send().await, key)
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
            "POST /api/v1/sources/{id}/uploads" => {
                let reply = app.begin_upload(&self.source, "new.md", b"# New\n\nText.").await;
                let subject = id(&reply);
                (reply, subject)
            }
            "POST /api/v1/uploads/{id}/complete" | "DELETE /api/v1/uploads/{id}" => {
                let begun = app.begin_upload(&self.source, "new.md", b"# New\n\nText.").await;
                let address = begun.json()["parts"][0]["url"].as_str().unwrap().to_owned();
                let sent = app.anonymous(Method::PUT, &address).body("application/octet-stream", b"# New\n\nText.".to_vec()).send().await;
                assert_eq!(sent.status, 200, "{}", sent.text());
                let subject = id(&begun);
                (app.call(method, &path.replace("{id}", &subject)).send().await, subject)
            }
            "DELETE /api/v1/documents/{id}" | "POST /api/v1/documents/{id}/retry" => {
                let (document, _) = self.failed().await;
                (app.call(method, &path.replace("{id}", &document)).send().await, document)
            }
            "POST /api/v1/dead-letters/retry" => {
                let (_, job) = self.failed().await;
                (app.post(path).json(json!({"kind": "ingest_document"})).send().await, job)
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
            "POST /api/v1/privacy-requests" => {
                let reply = app.post(path).json(json!({"kind": "export", "person": "user:ann"})).send().await;
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
            "PUT /api/v1/maintenance" => (app.call(method, path).json(json!({"mode": "off"})).send().await, "installation".to_owned()),
            "PATCH /api/v1/settings" => (app.call(method, path).json(json!({"name": "Acme"})).send().await, String::new()),
            "POST /api/v1/policies" => {
                let reply = app.post(path).json(policy()).send().await;
                let subject = id(&reply);
                (reply, subject)
            }
            "PUT /api/v1/policies/{id}" => {
                let made = id(&app.post("/api/v1/policies").json(policy()).send().await);
                (app.call(method, &path.replace("{id}", &made)).json(policy()).send().await, made)
            }
            "DELETE /api/v1/policies/{id}" => {
                let made = id(&app.post("/api/v1/policies").json(policy()).send().await);
                (app.call(method, &path.replace("{id}", &made)).send().await, made)
            }
            "POST /api/v1/budgets" => {
                let reply = app.post(path).json(budget()).send().await;
                let subject = id(&reply);
                (reply, subject)
            }
            "PUT /api/v1/budgets/{id}" | "DELETE /api/v1/budgets/{id}" => {
                let made = id(&app.post("/api/v1/budgets").json(budget()).send().await);
                let call = app.call(method.clone(), &path.replace("{id}", &made));
                (if method == Method::PUT { call.json(budget()) } else { call }.send().await, made)
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

/// Every operation of the description that is no GET.
fn changing(app: &TestApp) -> BTreeSet<String> {
    let description = serde_json::to_value(app.description.make()).unwrap();
    let mut operations = BTreeSet::new();
    for (path, item) in description["paths"].as_object().unwrap() {
        operations.extend(item.as_object().unwrap().keys().filter(|m| *m != "get").map(|m| format!("{} {path}", m.to_uppercase())));
    }
    operations
}

#[tokio::test]
async fn every_operation_has_a_row_in_the_table_of_actions() {
    let others = [NOTHING_CHANGED, OF_OTHERS].concat();
    let rows: BTreeSet<String> = ACTIONS.iter().map(|(o, _)| *o).chain(others.iter().copied()).map(str::to_owned).collect();
    assert_eq!(rows, changing(&TestApp::new().await), "say which entry a new operation leaves");
    assert_eq!(rows.len(), ACTIONS.len() + others.len(), "an operation stands in the table once");
}

#[tokio::test]
async fn every_operation_that_changes_something_leaves_an_entry_about_what_it_changed() {
    for (operation, action) in ACTIONS {
        let world = World::new().await;
        let before = world.entries().await;
        let (reply, subject) = world.perform(operation).await;
        assert!((200..300).contains(&reply.status), "{operation}: {} {}", reply.status, reply.text());
        let new: Vec<Value> = world.entries().await.into_iter().filter(|(id, _)| !before.contains_key(id)).map(|(_, e)| e).collect();
        let request = reply.header("x-request-id");
        let entry = new.iter().find(|e| e["request_id"] == request && e["action"] == *action);
        let entry = entry.unwrap_or_else(|| panic!("{operation} left no entry {action} in request {request}: {new:#?}"));
        let text = |field: &str| entry[field].as_str().unwrap_or("").to_owned();
        assert_eq!((text("outcome").as_str(), text("actor").as_str()), ("ok", "user:local-admin"), "{operation}: {entry}");
        assert_eq!(text("trace_id"), reply.header("x-trace-id"), "{operation}: {entry}");
        assert!(text("subject") == subject || subject.is_empty() && !text("subject").is_empty(), "{operation} on {subject}: {entry}");
        // A world for each operation would in the end hold all connections that the server has.
        world.app.app.kernel.db.close().await;
    }
}

#[tokio::test]
async fn every_operation_that_is_refused_for_lack_of_rights_leaves_an_entry() {
    let app = TestApp::new().await;
    let nobody = Principal::new("user:nobody", "Nobody", default_tenant(), Role::None, Vec::new(), "token");
    let mut key = Principal::new("user:key", "Key", default_tenant(), Role::Admin, Vec::new(), "key");
    key.scope = Rights::default();
    let rights: BTreeMap<String, String> = crate::openapi::operations(&serde_json::to_value(app.description.make()).unwrap())
        .into_iter()
        .filter_map(|(method, path, right)| Some((format!("{method} {path}"), right?)))
        .collect();
    for operation in changing(&app) {
        // Who signs in has no rights yet.
        if !rights.contains_key(&operation) {
            continue;
        }
        let (method, path) = operation.split_once(' ').unwrap();
        let path = path.replace("{id}", "src_01JD3V9M7Q4R8T2W6X0Y5Z1ABC");
        // What everybody may do who is signed in can only be out of a key's scope.
        let callers = [(&nobody, "forbidden"), (&key, "insufficient_scope")];
        for (caller, code) in callers.into_iter().filter(|(c, _)| c.id == "user:key" || rights[&operation] != "own_account") {
            let reply = app.acting(caller, method.parse().unwrap(), &path).send().await;
            assert_eq!((reply.status, reply.code().as_str()), (403, code), "{operation}: {}", reply.text());
            let found = app.get(&format!("/api/v1/audit?actor={}&action={}&limit=1", caller.id, refusals::ACTION)).send().await.json();
            let entry = &found["items"][0];
            assert_eq!((entry["subject"].as_str(), entry["outcome"].as_str()), (Some(operation.as_str()), Some("refused")), "{entry}");
            assert_eq!(entry["trace_id"], reply.header("x-trace-id"), "{operation}");
            assert_eq!((entry["payload"]["code"].as_str(), entry["payload"]["path"].as_str()), (Some(code), Some(path.as_str())));
            // Entries of one millisecond have no order.
            app.advance(std::time::Duration::from_millis(1));
        }
    }
}

#[tokio::test]
async fn who_repeats_what_is_refused_is_counted_and_does_not_fill_the_log() {
    let app = TestApp::new().await;
    let nobody = Principal::new("user:nobody", "Nobody", default_tenant(), Role::None, Vec::new(), "token");
    for _ in 0..50 {
        assert_eq!(app.acting(&nobody, Method::GET, "/api/v1/sources").send().await.status, 403);
    }
    app.advance(std::time::Duration::from_secs(11));
    app.acting(&nobody, Method::GET, "/api/v1/sources").send().await;
    let found = app.get("/api/v1/audit?actor=user:nobody").send().await.json();
    let attempts: Vec<i64> = found["items"].as_array().unwrap().iter().map(|e| e["payload"]["attempts"].as_i64().unwrap()).collect();
    assert_eq!(attempts, [50, 1]);
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
