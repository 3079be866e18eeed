//! One person's data can be handed over and erased, and the audit log stays whole.

use std::{path::Path, time::Duration};

use astrolabe_kernel::{Principal, Role, db::Dialect, principal::default_tenant};
use axum::http::Method;
use serde_json::{Value, json};

use crate::support::{Binary, Reply, TestApp};

/// A word that stands in everything that Ann writes and nowhere else.
const MARK: &str = "Wombatowa";

fn ann() -> Principal {
    Principal::new("user:ann", "Ann", default_tenant(), Role::Editor, Vec::new(), "token")
}

/// An installation in which Ann has left something at every door.
async fn lived_in() -> TestApp {
    let app = TestApp::new().await;
    let (source, document) = app.ingested("handbook", "keys.md", "# Keys\n\nThe office keys are kept at the reception desk.\n").await;
    let post = async |path: &str, body: Value| -> Reply {
        let reply = app.acting(&ann(), Method::POST, path).header("idempotency-key", &format!("k-{path}")).json(body).send().await;
        assert!((200..300).contains(&reply.status), "{path}: {}", reply.text());
        reply
    };
    let ask =
        post("/api/v1/ask", json!({"question": format!("Where are the keys of {MARK}?")})).await.json()["id"].as_str().unwrap().to_owned();
    post(&format!("/api/v1/asks/{ask}/feedback"), json!({"rating": "down", "comment": format!("{MARK} is not there")})).await;
    let run = post("/v1/agents/run", json!({"agent": "support", "input": format!("Open a ticket about the printer of {MARK}")})).await;
    assert!(run.text().contains("create_ticket"), "{}", run.text());
    post("/api/v1/tickets", json!({"title": "Lamp", "description": "It is dark."})).await;
    post("/api/v1/question-sets", json!({"name": "nightly", "questions": []})).await;
    post("/api/v1/api-keys", json!({"name": format!("{MARK}'s script")})).await;
    app.acting(&ann(), Method::GET, &format!("/api/v1/documents/{document}/content")).send().await;
    let readers = json!({"readers": ["user:ann", "user:anna"]});
    assert_eq!(app.call(Method::PATCH, &format!("/api/v1/sources/{source}")).json(readers).send().await.status, 200);
    app
}

/// Makes a request, runs its job, and returns it as it is then.
async fn done(app: &TestApp, kind: &str, person: &str) -> Value {
    let made = app.post("/api/v1/privacy-requests").json(json!({"kind": kind, "person": person})).send().await;
    assert_eq!(made.status, 202, "{}", made.text());
    app.advance(Duration::from_secs(1));
    app.drain().await;
    app.get(&format!("/api/v1/privacy-requests/{}", made.json()["id"].as_str().unwrap())).send().await.json()
}

async fn file(app: &TestApp, request: &Value) -> Vec<Value> {
    let reply = app.get(&format!("/api/v1/privacy-requests/{}/file", request["id"].as_str().unwrap())).send().await;
    assert_eq!((reply.status, reply.header("content-type")), (200, "application/x-ndjson"), "{}", reply.text());
    reply.text().lines().map(|l| serde_json::from_str(l).unwrap()).collect()
}

/// Every row of every table as text, with the table's name.
async fn dump(app: &TestApp) -> Vec<String> {
    let mut tx = app.app.kernel.db.read_all().await.unwrap();
    let sqlite = tx.dialect() == Dialect::Sqlite;
    let tables = if sqlite {
        "SELECT name FROM sqlite_master WHERE type = 'table'"
    } else {
        "SELECT CAST(table_name AS TEXT) FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE'"
    };
    let mut rows = Vec::new();
    for table in tx.all::<String>(tables, &[]).await.unwrap() {
        let columns = if sqlite {
            let names: Vec<String> = tx.all(format!("SELECT name FROM pragma_table_info('{table}')"), &[]).await.unwrap();
            // Bytes are read as the text that they may be.
            names.iter().map(|n| format!("COALESCE(CAST(\"{n}\" AS TEXT), '')")).collect::<Vec<_>>().join(" || ' ' || ")
        } else {
            "CAST(t AS TEXT)".to_owned()
        };
        let texts: Vec<String> = tx.all(format!("SELECT {columns} FROM \"{table}\" t"), &[]).await.unwrap();
        rows.extend(texts.into_iter().map(|t| format!("{table}: {t}")));
    }
    rows
}

/// Everything below a folder as text.
fn files(folder: &Path) -> String {
    let mut text = String::new();
    for item in std::fs::read_dir(folder).unwrap() {
        let path = item.unwrap().path();
        text.push_str(&if path.is_dir() { files(&path) } else { String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned() });
    }
    text
}

async fn sealed(app: &TestApp) -> Value {
    app.app.sealer().seal().await.unwrap();
    app.app.sealer().deliver().await.unwrap();
    let verified = app.get("/api/v1/audit/verify").send().await.json();
    assert_eq!(verified["ok"], true, "{verified}");
    verified["chains"][0].clone()
}

#[tokio::test]
async fn an_export_has_what_every_domain_holds_about_the_person_and_nothing_of_others() {
    let app = lived_in().await;
    app.post("/api/v1/ask").json(json!({"question": "Where is the desk of somebody else?"})).send().await;
    let request = done(&app, "export", "user:ann").await;
    assert_eq!(request["state"], "ready", "{request}");
    let lines = file(&app, &request).await;
    assert_eq!(lines[0]["person"], "user:ann");
    let of = |kind: &str| lines.iter().filter(|l| l["kind"] == kind).map(|l| &l["record"]).collect::<Vec<_>>();
    assert!(of("asks").iter().any(|a| a["question"].as_str().unwrap().contains(MARK) && a["answer"].is_object()), "{lines:#?}");
    assert_eq!((of("feedback")[0]["comment"].as_str().unwrap(), of("runs").len()), (&*format!("{MARK} is not there"), 1));
    // The ticket that an agent opened is the agent's; the run says for whom.
    assert_eq!((of("tickets").len(), of("names")[0]["question_sets"].clone()), (1, json!(["nightly"])));
    assert_eq!(of("api_keys")[0]["name"], format!("{MARK}'s script"));
    assert!(of("runs")[0]["result"].to_string().contains("create_ticket"));
    assert!(of("audit").iter().any(|e| e["action"] == "documents.read"));
    assert!(!lines.iter().any(|l| l.to_string().contains("somebody else")));
    assert_eq!(lines.last().unwrap()["end"]["records"], request["records"]);
    let actions = app.actions().await;
    assert!(actions.contains(&"privacy.export".to_owned()) && actions.contains(&"privacy.fetch".to_owned()), "{actions:?}");
}

#[tokio::test]
async fn an_erased_person_is_nowhere_in_the_database_or_the_archive_and_the_chain_stays_whole() {
    let app = lived_in().await;
    done(&app, "export", "user:ann").await;
    let before = sealed(&app).await;
    let archive = app.app.data_dir.archive();
    assert!(files(&archive).contains(MARK) && dump(&app).await.iter().any(|row| row.contains(MARK)));

    let request = done(&app, "erase", "user:ann").await;
    assert_eq!((request["state"].as_str(), request["person"].as_str()), (Some("ready"), Some("")), "{request}");
    let after = sealed(&app).await;
    assert_eq!(after["erased"], request["records"]["audit"]);
    let anchored = app.get(&format!("/api/v1/audit/verify?anchor={}", before["head"].as_str().unwrap())).send().await.json();
    assert_eq!(anchored["ok"], true, "what was signed before is still there: {anchored}");

    let rows = dump(&app).await;
    // What somebody wrote into a ticket is the tenant's and stays; the ticket is nobody's any more.
    let left: Vec<&String> = rows.iter().filter(|r| r.contains(MARK) && !r.starts_with("tickets:")).collect();
    assert_eq!(left, Vec::<&String>::new());
    let named: Vec<&String> = rows.iter().filter(|r| r.contains("user:ann") && !r.contains("user:anna")).collect();
    assert!(named.iter().all(|r| r.starts_with("audit_entries:")), "only who acted stands in the log: {named:#?}");
    assert!(
        rows.iter().any(|r| r.starts_with("sources:") && r.contains("user:anna") && !r.contains("\"user:ann\"")),
        "others stay readers"
    );
    assert!(!files(&archive).contains(MARK));
    let erased = app.get("/api/v1/audit?action=privacy.*").send().await.json();
    assert!(!erased.to_string().contains("user:ann"), "{erased}");
    let entry = erased["items"].as_array().unwrap().iter().find(|e| e["action"] == "privacy.erased").unwrap();
    assert_eq!((entry["subject"].as_str(), &entry["payload"]["records"]), (request["id"].as_str(), &request["records"]));

    let empty = file(&app, &done(&app, "export", "user:ann").await).await;
    assert!(empty.iter().all(|l| l["kind"] != "asks" && l["kind"] != "runs" && l["kind"] != "tickets"), "{empty:#?}");
}

#[tokio::test]
async fn another_tenants_data_of_the_same_person_is_neither_handed_over_nor_erased() {
    let app = lived_in().await;
    let mut elsewhere =
        Principal::new("user:boss", "Boss", astrolabe_kernel::Id::derived(b"another tenant"), Role::TenantAdmin, Vec::new(), "token");
    for kind in ["export", "erase"] {
        let body = json!({"kind": kind, "person": "user:ann"});
        let made = app.acting(&elsewhere, Method::POST, "/api/v1/privacy-requests").json(body).send().await;
        assert_eq!(made.status, 202);
        app.drain().await;
        let id = made.json()["id"].as_str().unwrap().to_owned();
        let path = format!("/api/v1/privacy-requests/{id}");
        let request = app.acting(&elsewhere, Method::GET, &path).send().await.json();
        assert_eq!((request["state"].as_str(), request["records"]["asks"].as_i64()), (Some("ready"), None), "{request}");
        assert_eq!(app.get(&path).send().await.status, 404, "and its requests are its own");
        assert_eq!(app.get(&format!("{path}/file")).send().await.status, 404);
    }
    assert!(dump(&app).await.iter().any(|r| r.starts_with("asks:") && r.contains(MARK)));
    elsewhere.role = Role::Editor;
    assert_eq!(app.acting(&elsewhere, Method::GET, "/api/v1/privacy-requests").send().await.status, 403);
}

#[tokio::test]
async fn a_request_that_cannot_be_is_refused_and_an_export_ends_after_a_week() {
    let app = lived_in().await;
    for (kind, person) in
        [("export", "ann"), ("export", "user:"), ("export", "user:a b"), ("erase", "user:local-admin"), ("export", "service:x")]
    {
        let reply = app.post("/api/v1/privacy-requests").json(json!({"kind": kind, "person": person})).send().await;
        assert_eq!((reply.status, reply.json()["errors"][0]["field"].as_str()), (400, Some("person")), "{kind} {person}");
    }
    let request = done(&app, "export", "user:ann").await;
    let path = format!("/api/v1/privacy-requests/{}/file", request["id"].as_str().unwrap());
    app.advance(astrolabe_platform::privacy::EXPORT_LIFE + Duration::from_secs(1));
    assert_eq!(app.app.privacy.prune().await.unwrap(), 1);
    let gone = app.get(&path).send().await;
    assert_eq!((gone.status, gone.code().as_str()), (409, "invalid_state"));
    assert!(!dump(&app).await.iter().any(|r| r.starts_with("privacy_lines:")));
}

#[test]
fn a_whole_session_leaves_nothing_in_the_log_that_a_person_wrote() {
    let folder = tempfile::tempdir().unwrap();
    let documents = folder.path().join("documents");
    std::fs::create_dir_all(&documents).unwrap();
    std::fs::write(documents.join("guide.md"), format!("# Keys\n\nThe keys of {MARK} are at the desk. Write to {MARK}@example.org.\n"))
        .unwrap();
    let binary = Binary::new(folder.path())
        .env("ASTROLABE_LOG_LEVEL", "info,astrolabe_kernel=debug,astrolabe_knowledge=debug,astrolabe_agents=debug");
    let server = binary.serve();
    binary.run(&["ingest", documents.to_str().unwrap(), "--source", "manuals"]);
    binary.run(&["ask", &format!("Where are the keys of {MARK}, telephone +48 601 234 567, {MARK}@example.org?")]);
    binary.run(&["search", &format!("{MARK} 601234567"), "--json"]);
    binary.run(&["ask", &format!("{MARK}?"), "--source", &format!("{MARK}-notes")]);
    binary.run(&["audit", "list", "--actor", &format!("user:{MARK}@example.org")]);
    binary.run(&["ask", "x", "--server", &server.url, "--token", &format!("astro_{MARK}")]);
    let log = server.stop();
    assert!(log.iter().any(|l| l.contains("/api/v1/ask") && l.contains("user:local-admin")), "{log:?}");
    for planted in [MARK, "601 234 567", "601234567", "@example.org"] {
        let lines: Vec<&String> = log.iter().filter(|l| l.contains(planted)).collect();
        assert_eq!(lines, Vec::<&String>::new(), "{planted}");
    }
}

#[tokio::test]
async fn an_erased_person_has_no_account_left_unless_it_belongs_elsewhere_too() {
    let app = TestApp::new().await;
    let person = json!({"email": "wombat@example.com", "name": MARK, "role": "editor", "password": "seven lamps near Gdynia"});
    let id = app.post("/api/v1/users").json(person).send().await.json()["id"].as_str().unwrap().to_owned();
    let who = format!("user:{id}");
    let exported = file(&app, &done(&app, "export", &who).await).await;
    let held = exported.iter().find(|l| l["kind"] == "memberships").unwrap();
    assert_eq!(
        (&held["record"]["account"]["email"], &held["record"]["membership"]["role"]),
        (&json!("wombat@example.com"), &json!("editor"))
    );
    assert!(!held.to_string().contains("argon2"), "nobody needs the hash of a password");

    app.post("/api/v1/tenants").json(json!({"slug": "acme", "name": "Acme"})).send().await;
    let there = json!({"email": "wombat@example.com", "name": MARK, "role": "viewer"});
    assert!(app.post("/api/v1/users?tenant=acme").json(there).send().await.status < 300);
    assert_eq!(done(&app, "erase", &who).await["state"], "ready");
    assert_eq!(app.get(&format!("/api/v1/users/{id}")).send().await.status, 404);
    assert_eq!(app.get(&format!("/api/v1/users/{id}?tenant=acme")).send().await.status, 200, "the other tenant's member stays");

    assert_eq!(app.call(Method::DELETE, &format!("/api/v1/users/{id}?tenant=acme")).send().await.status, 204);
    let again = json!({"email": "wombat@example.com", "name": MARK, "role": "editor"});
    let id = app.post("/api/v1/users").json(again).send().await.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(done(&app, "erase", &format!("user:{id}")).await["state"], "ready");
    let rows = dump(&app).await;
    let left: Vec<_> =
        rows.iter().filter(|r| r.starts_with("users:") || r.starts_with("memberships:")).filter(|r| r.contains(MARK)).collect();
    assert_eq!(left, Vec::<&String>::new());

    let admin = json!({"email": "root@example.com", "name": "Root", "role": "admin"});
    let admin = app.post("/api/v1/users").json(admin).send().await.json()["id"].as_str().unwrap().to_owned();
    let boss = Principal::new("user:boss", "Boss", default_tenant(), Role::TenantAdmin, Vec::new(), "token");
    let wish = json!({"kind": "erase", "person": format!("user:{admin}")});
    assert_eq!(app.acting(&boss, Method::POST, "/api/v1/privacy-requests").json(wish.clone()).send().await.status, 403);
    let last = app.post("/api/v1/privacy-requests").json(wish).send().await;
    assert_eq!(last.status, 409, "the last administrator stays: {}", last.text());
}
