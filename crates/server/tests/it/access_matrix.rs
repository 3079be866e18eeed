//! Every operation of the route table, asked by every kind of caller, with every kind of id in every place where an id can stand.
//!
//! The table is the description of the API itself, so a new operation is in the matrix without a line here; only new places for ids in bodies and
//! queries have to be named ([`places`]), and a test fails when one is not.

use std::collections::{BTreeMap, BTreeSet};

use astrolabe_kernel::{
    Role,
    principal::{AUDITOR, Rights},
};
use axum::http::Method;
use serde_json::{Value, json};

use crate::{
    openapi::operations,
    support::{Reply, TestApp},
};

const PASSWORD: &str = "a long and quiet evening";

/// Somebody who calls, with a key of his own.
struct Caller {
    name: &'static str,
    key: String,
    rights: Rights,
}

/// Two tenants: people of every kind in the first, things of every kind in the second.
struct World {
    app: TestApp,
    api: Value,
    callers: Vec<Caller>,
    /// One id of each noun of the other tenant, by noun.
    theirs: BTreeMap<&'static str, String>,
    their_key: String,
}

fn id(reply: &Reply) -> String {
    assert!(reply.status < 300, "{}", reply.text());
    reply.json()["id"].as_str().unwrap_or_else(|| panic!("no id in {}", reply.text())).to_owned()
}

/// Adds somebody to a tenant and signs in with the password. Returns the user's id and an access token.
async fn person(app: &TestApp, tenant: &str, name: &str, role: Role, capabilities: &[&str]) -> (String, String) {
    let email = format!("{name}@{tenant}.example");
    let new = json!({"email": email, "role": role.as_str(), "capabilities": capabilities, "password": PASSWORD, "must_change": false});
    let user = id(&app.post(&format!("/api/v1/users?tenant={tenant}")).json(new).send().await);
    let signed_in =
        app.anonymous(Method::POST, "/api/v1/sessions").json(json!({"email": email, "password": PASSWORD, "tokens": true})).send().await;
    assert!(signed_in.status < 300, "{}", signed_in.text());
    (user, signed_in.json()["access_token"].as_str().unwrap().to_owned())
}

async fn key_of(app: &TestApp, token: &str) -> (String, String) {
    let made = app.anonymous(Method::POST, "/api/v1/api-keys").token(token).json(json!({"name": "matrix"})).send().await;
    (id(&made), made.json()["secret"].as_str().unwrap().to_owned())
}

impl World {
    async fn new() -> Self {
        // Thousands of requests of a few people, while the clock stands still, are what limits are against.
        let classes = ["read", "write", "ask", "upload", "sign_in", "tenant_read", "tenant_write", "tenant_ask", "tenant_upload"];
        let names = classes.map(|class| format!("limits.{class}_per_minute"));
        let app = TestApp::with(&names.each_ref().map(|name| (name.as_str(), "0"))).await;
        let made = app.post("/api/v1/tenants").json(json!({"slug": "other", "name": "Other"})).send().await;
        let mut theirs = BTreeMap::from([("tenant", id(&made))]);
        let (user, token) = person(&app, "other", "chief", Role::TenantAdmin, &[]).await;
        let (key, their_key) = key_of(&app, &token).await;
        theirs.extend([("user", user), ("key", key)]);
        fill(&app, &their_key, &mut theirs).await;
        let sessions = app.anonymous(Method::GET, "/api/v1/sessions").token(&their_key).send().await.json();
        theirs.insert("session", sessions["items"][0]["id"].as_str().unwrap().to_owned());

        let mut callers = Vec::new();
        for (name, role, capabilities) in [
            ("viewer", Role::Viewer, &[][..]),
            ("editor", Role::Editor, &[]),
            ("tenant_admin", Role::TenantAdmin, &[]),
            ("admin", Role::Admin, &[]),
            ("auditor", Role::None, &[AUDITOR]),
            ("sre", Role::None, &["sre"]),
        ] {
            let (_, token) = person(&app, "default", &name.replace('_', "-"), role, capabilities).await;
            let capabilities: Vec<String> = capabilities.iter().map(|c| (*c).to_owned()).collect();
            callers.push(Caller { name, key: key_of(&app, &token).await.1, rights: Rights::of(role, &capabilities) });
        }
        let api = serde_json::to_value(app.description.make()).unwrap();
        Self { app, api, callers, theirs, their_key }
    }

    /// The operations behind sign-in, with the right that each asks for.
    fn closed(&self) -> Vec<(Method, String, String)> {
        let all = operations(&self.api).into_iter();
        all.filter_map(|(method, path, right)| Some((method.parse().unwrap(), path, right?))).collect()
    }

    async fn ask(&self, method: &Method, path: &str, key: &str, body: Option<Value>) -> Reply {
        let call = self.app.anonymous(method.clone(), path).token(key);
        match body {
            Some(body) => call.json(body).send().await,
            None => call.send().await,
        }
    }

    fn takes_json(&self, method: &Method, path: &str) -> bool {
        let operation = &self.api["paths"][path][method.as_str().to_lowercase()];
        !operation["requestBody"]["content"]["application/json"].is_null()
    }
}

/// Makes one thing of every noun, as the owner of a key.
async fn fill(app: &TestApp, key: &str, into: &mut BTreeMap<&'static str, String>) {
    let post = async |path: &str, body: Value| app.anonymous(Method::POST, path).token(key).json(body).send().await;
    let source = id(&post("/api/v1/sources", json!({"name": "secret plans"})).await);
    let (content_type, body) = astrolabe_server::client::multipart(&[(
        "plan.md".to_owned(),
        b"# The plan\n\nThe moon base opens on 12 May 2031 with a dinner for forty guests.".to_vec().into(),
    )]);
    let uploaded =
        app.anonymous(Method::POST, &format!("/api/v1/sources/{source}/documents")).token(key).body(&content_type, body).send().await;
    let document = uploaded.json()["items"][0].clone();
    app.drain().await;
    let ask = id(&post("/api/v1/ask", json!({"question": "When does the moon base open?"})).await);
    let feedback = id(&post(&format!("/api/v1/asks/{ask}/feedback"), json!({"rating": "down", "reason": "wrong"})).await);
    let run = post("/v1/agents/run", json!({"agent": "support", "input": "When does the moon base open?"})).await;
    let set = id(&post("/api/v1/question-sets", json!({"name": "moon"})).await);
    post(&format!("/api/v1/question-sets/{set}/questions"), json!({"id": "a", "question": "When does the moon base open?"})).await;
    let set_run = id(&post(&format!("/api/v1/question-sets/{set}/runs"), json!({})).await);
    app.drain().await;
    let ticket = id(&post("/api/v1/tickets", json!({"title": "The moon base leaks"})).await);
    let upload = app.begin_upload_as(key, &source, "moon.md", b"The moon base leaks.").await;
    let budget = json!({"scope": "agent", "subject": "moon", "period": "day", "unit": "tokens", "amount": 1});
    let budget = id(&post("/api/v1/budgets", budget).await);
    into.extend([
        ("source", source),
        ("document", document["id"].as_str().unwrap().to_owned()),
        ("job", document["job_id"].as_str().unwrap().to_owned()),
        ("ask", ask),
        ("feedback", feedback),
        ("run", run.json()["run_id"].as_str().unwrap().to_owned()),
        ("question set", set),
        ("question set run", set_run),
        ("ticket", ticket),
        ("budget", budget),
        ("upload", id(&upload)),
    ]);
}

/// An id of the same kind that nothing has, and beside which nothing stands in an order of ids.
fn missing(of: &str) -> String {
    let (front, last) = of.split_at(of.len() - 1);
    format!("{front}{}", if last == "A" { "B" } else { "A" })
}

/// A reply without what differs between any two requests: ids of the request, and the ids that were asked for.
fn shape(reply: &Reply, asked: &str) -> (u16, String) {
    let mut body: Value = serde_json::from_slice(&reply.body).unwrap_or_else(|_| json!(reply.text()));
    if let Some(problem) = body.as_object_mut() {
        for name in ["trace_id", "request_id", "instance"] {
            problem.remove(name);
        }
    }
    (reply.status, body.to_string().replace(asked, "ID"))
}

/// A path with every id in it replaced by one.
fn with_id(path: &str, id: &str) -> String {
    let mut out = String::new();
    for (i, part) in path.split('/').enumerate() {
        if i > 0 {
            out.push('/');
        }
        out.push_str(if part.starts_with('{') { id } else { part });
    }
    out
}

#[tokio::test]
async fn every_operation_is_open_to_those_who_have_its_right_and_to_nobody_else() {
    let world = World::new().await;
    let nobody = "src_01JD3V9M7Q4R8T2W6X0Y5Z1ABC";
    let mut asked = 0;
    for (method, path, right) in world.closed() {
        let right = serde_json::from_value(json!(right)).unwrap();
        // Ends the session or closes the door to everybody; their rights are those of the account, which other operations show.
        let ends = path.ends_with("/sessions/current") || path == "/api/v1/maintenance" && method != Method::GET;
        let anonymous = world.app.anonymous(method.clone(), &with_id(&path, nobody)).send().await;
        assert_eq!((anonymous.status, anonymous.code().as_str()), (401, "missing_token"), "{method} {path}");
        for caller in &world.callers {
            if ends && caller.rights.has(right) {
                continue;
            }
            // A body that is wrong shows whether the right was asked for first, and changes nothing.
            let body = world.takes_json(&method, &path).then(|| json!({"nonsense": 1}));
            let reply = world.ask(&method, &with_id(&path, nobody), &caller.key, body).await;
            let refused = reply.status == 403 && reply.code() == "forbidden";
            assert_eq!(refused, !caller.rights.has(right), "{} {method} {path}: {}", caller.name, reply.text());
            assert!(reply.status < 500 && reply.status != 401, "{} {method} {path}: {}", caller.name, reply.text());
            asked += 1;
        }
    }
    assert!(asked > 300, "{asked}");
}

#[tokio::test]
async fn nobody_tells_a_thing_of_another_tenant_from_one_that_is_not_there() {
    let world = World::new().await;
    let mut probes = 0;
    // Before anybody asks for something by its id, which the audit log would repeat.
    for caller in &world.callers {
        for (method, path, _) in world.closed().into_iter().filter(|(m, path, _)| *m == Method::GET && !path.contains('{')) {
            let reply = world.ask(&method, &path, &caller.key, None).await;
            for (noun, foreign) in &world.theirs {
                // Tenants are of the installation, and who made one is in the log of whoever made it.
                let managed =
                    *noun == "tenant" && (path.starts_with("/api/v1/audit") || caller.name == "admin" && path == "/api/v1/tenants");
                assert!(managed || !reply.text().contains(foreign.as_str()), "{} sees a {noun} in {path}", caller.name);
                probes += 1;
            }
            assert!(!reply.text().contains("moon"), "{} {path}: {}", caller.name, reply.text());
        }
    }
    for (method, path, _) in world.closed().into_iter().filter(|(_, path, _)| path.contains('{')) {
        for caller in &world.callers {
            for (noun, foreign) in &world.theirs {
                // Who manages the installation manages its tenants.
                if caller.name == "admin" && path.starts_with("/api/v1/tenants/") && *noun == "tenant" {
                    continue;
                }
                let body = world.takes_json(&method, &path).then(|| json!({}));
                let gone = missing(foreign);
                let theirs = shape(&world.ask(&method, &with_id(&path, foreign), &caller.key, body.clone()).await, foreign);
                let nothing = shape(&world.ask(&method, &with_id(&path, &gone), &caller.key, body).await, &gone);
                assert_eq!(theirs, nothing, "{} {method} {path} with the id of a {noun}", caller.name);
                assert!(theirs.0 >= 400, "{} {method} {path} with the id of a {noun}: {theirs:?}", caller.name);
                probes += 1;
            }
        }
    }
    for caller in &world.callers {
        for place in places() {
            for foreign in place.nouns.iter().filter_map(|noun| world.theirs.get(noun)) {
                let gone = missing(foreign);
                let theirs = shape(&place.send(&world, &caller.key, foreign).await, foreign);
                let nothing = shape(&place.send(&world, &caller.key, &gone).await, &gone);
                assert_eq!(theirs, nothing, "{} {} {} in {}", caller.name, place.method, place.path, place.field);
                assert!(!theirs.1.contains("moon"), "{theirs:?}");
                probes += 1;
            }
        }
    }
    println!("{probes} foreign probes");
    assert!(probes >= 2000, "{probes}");
    // Nothing of it touched anything.
    for (noun, path) in
        [("source", "sources"), ("document", "documents"), ("ask", "asks"), ("ticket", "tickets"), ("key", "api-keys"), ("job", "jobs")]
    {
        let reply = world.ask(&Method::GET, &format!("/api/v1/{path}/{}", world.theirs[noun]), &world.their_key, None).await;
        assert_eq!(reply.status, 200, "{noun}: {}", reply.text());
    }
}

/// A place outside the path where an id can stand.
struct Place {
    method: Method,
    path: &'static str,
    field: &'static str,
    nouns: &'static [&'static str],
    body: fn(&str) -> Value,
}

impl Place {
    async fn send(&self, world: &World, key: &str, id: &str) -> Reply {
        match (self.body)(id) {
            Value::Null => world.ask(&self.method, &format!("{}{}={id}", self.path, self.field), key, None).await,
            body => world.ask(&self.method, self.path, key, Some(body)).await,
        }
    }
}

/// Every place of a query or a body where an id can stand.
fn places() -> Vec<Place> {
    let place = |method, path, field, nouns, body| Place { method, path, field, nouns, body };
    let query = |_: &str| Value::Null;
    let mut all = vec![
        place(Method::POST, "/api/v1/ask", "sources", &["source"][..], |id| json!({"question": "When does it open?", "sources": [id]})),
        place(
            Method::POST,
            "/v1/responses",
            "previous_response_id",
            &["run"],
            |id| json!({"model": "m", "input": "x", "previous_response_id": id}),
        ),
        place(Method::POST, "/api/v1/search", "sources", &["source"], |id| json!({"query": "open", "sources": [id]})),
        place(Method::GET, "/api/v1/search?query=open&", "sources", &["source"], query),
        place(Method::GET, "/api/v1/audit?", "document", &["document"], query),
        place(Method::GET, "/api/v1/audit?", "subject", &["document", "source", "ticket", "user", "key"], query),
        place(Method::GET, "/api/v1/jobs?", "subject", &["document", "source", "question set run"], query),
        place(Method::POST, "/api/v1/question-sets", "sources", &["source"], |id| json!({"name": "theirs", "sources": [id]})),
    ];
    for path in [
        "api-keys",
        "asks",
        "audit",
        "dead-letters",
        "budgets",
        "feedback",
        "jobs",
        "policies",
        "privacy-requests",
        "question-sets",
        "runs",
        "sessions",
        "sources",
        "tenants",
        "tickets",
        "users",
    ] {
        let path: &'static str = Box::leak(format!("/api/v1/{path}?").into_boxed_str());
        all.push(place(
            Method::GET,
            path,
            "cursor",
            &["source", "ask", "job", "ticket", "user", "key", "question set", "run", "budget"],
            query,
        ));
    }
    all
}

#[tokio::test]
async fn every_place_for_an_id_in_a_query_or_a_body_is_in_the_matrix() {
    let app = TestApp::new().await;
    let api = serde_json::to_value(app.description.make()).unwrap();
    let mut found = BTreeSet::new();
    for (path, item) in api["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            for parameter in operation["parameters"].as_array().into_iter().flatten().filter(|p| p["in"] == "query") {
                let name = parameter["name"].as_str().unwrap();
                // A trace is nobody's, and the cursor of a search is a place in its results.
                if name == "cursor" && path != "/api/v1/search"
                    || name.ends_with("_id") && name != "trace_id"
                    || ["source", "sources", "document", "subject"].contains(&name)
                {
                    found.insert(format!("{method} {path} {name}"));
                }
            }
            let body = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].as_str();
            let Some(schema) = body.and_then(|r| api.pointer(r.trim_start_matches('#'))) else { continue };
            for name in schema["properties"].as_object().into_iter().flat_map(|p| p.keys()) {
                if name.ends_with("_id") || name == "sources" {
                    found.insert(format!("{method} {path} {name}"));
                }
            }
        }
    }
    let named: BTreeSet<String> = places()
        .iter()
        .map(|p| format!("{} {} {}", p.method.as_str().to_lowercase(), p.path.split('?').next().unwrap(), p.field))
        .collect();
    // What stands in a path with an id of its own is asked by the first test of foreign ids, with a body that has no id.
    // The export takes the filters of the list by the same code, and its own entry, which names what was asked for, is in what it sends.
    let elsewhere = |place: &&String| place.contains('{') || place.contains("/audit/export");
    let missing: Vec<&String> = found.difference(&named).filter(|place| !elsewhere(place)).collect();
    assert!(missing.is_empty(), "add these to places(): {missing:#?}");
}

#[tokio::test]
async fn who_was_suspended_revoked_or_is_too_late_gets_nothing_anywhere() {
    let world = World::new().await;
    let app = &world.app;
    let (suspended, suspended_token) = person(app, "default", "suspended", Role::Admin, &[]).await;
    let (_, suspended_key) = key_of(app, &suspended_token).await;
    let (_, token) = person(app, "default", "late", Role::Admin, &[]).await;
    let (revoked, revoked_key) = key_of(app, &token).await;
    let change = app.call(Method::PATCH, &format!("/api/v1/users/{suspended}")).json(json!({"state": "suspended"})).send().await;
    assert_eq!(change.status, 200, "{}", change.text());
    let revoke = app.anonymous(Method::DELETE, &format!("/api/v1/api-keys/{revoked}")).token(&token).send().await;
    assert_eq!(revoke.status, 200, "{}", revoke.text());
    app.advance(std::time::Duration::from_secs(5));
    let refused =
        [("a suspended person's token", &suspended_token), ("a suspended person's key", &suspended_key), ("a revoked key", &revoked_key)];
    for (method, path, _) in world.closed() {
        for (who, credential) in refused {
            let reply = world.ask(&method, &with_id(&path, &world.theirs["source"]), credential, None).await;
            assert_eq!((reply.status, reply.code().as_str()), (401, "invalid_token"), "{who}: {method} {path}");
        }
    }
    // Tokens live for ten minutes, and a minute of clocks that differ.
    app.advance(std::time::Duration::from_secs(12 * 60));
    for (method, path, _) in world.closed() {
        let reply = world.ask(&method, &with_id(&path, &world.theirs["source"]), &token, None).await;
        assert_eq!((reply.status, reply.code().as_str()), (401, "token_expired"), "{method} {path}");
    }
}
