//! Reading, exporting and proving the audit log.

use std::time::Duration;

use astrolabe_kernel::{
    Id, Principal, Role, Timestamp,
    audit::{Outcome, Record, record},
    http::Trace,
    principal::{AUDITOR, TenantId, default_tenant},
};
use axum::http::Method;
use serde_json::{Value, json};

use crate::support::TestApp;

/// Writes an entry a second later than the one before.
async fn act(app: &TestApp, tenant: TenantId, actor: &str, action: &str, subject: &str, outcome: Outcome) {
    let kernel = &app.app.kernel;
    let principal = Principal::new(actor, "Somebody", tenant, Role::Viewer, Vec::new(), "token");
    let trace = Trace { trace_id: format!("trace-of-{subject}"), request_id: String::new() };
    let entry = Record { principal: &principal, trace: &trace, action, subject: subject.to_owned(), outcome, payload: json!({}) };
    record(kernel, entry).await.unwrap();
    app.advance(Duration::from_secs(1));
}

fn other_tenant() -> TenantId {
    Id::derived(b"another tenant")
}

/// Five entries of the default tenant, and two of another.
async fn filled() -> TestApp {
    let app = TestApp::new().await;
    for (tenant, actor, action, subject, outcome) in [
        (default_tenant(), "user:ann", "agents.run", "run_1", Outcome::Ok),
        (default_tenant(), "user:ben", "agents.stop", "run_1", Outcome::Failed),
        (other_tenant(), "user:ann", "agents.run", "foreign", Outcome::Ok),
        (default_tenant(), "user:ann", "agents_other", "run_2", Outcome::Ok),
        (default_tenant(), "user:ben", "sources.create", "src_1", Outcome::Refused),
        (other_tenant(), "user:ann", "sources.create", "foreign", Outcome::Ok),
        (default_tenant(), "user:ann", "sources.create", "src_2", Outcome::Ok),
    ] {
        act(&app, tenant, actor, action, subject, outcome).await;
    }
    app
}

async fn subjects(app: &TestApp, query: &str) -> Vec<String> {
    let reply = app.get(&format!("/api/v1/audit?{query}")).send().await;
    assert_eq!(reply.status, 200, "{query}: {}", reply.text());
    reply.json()["items"].as_array().unwrap().iter().map(|e| e["subject"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn entries_are_found_by_every_filter_and_by_several_at_once() {
    let app = filled().await;
    // The entries were written at seconds 0, 1, 3, 4 and 6 of the year.
    for (query, expected) in [
        ("", vec!["src_2", "src_1", "run_2", "run_1", "run_1"]),
        ("order=oldest", vec!["run_1", "run_1", "run_2", "src_1", "src_2"]),
        ("actor=user:ben", vec!["src_1", "run_1"]),
        ("action=agents.run", vec!["run_1"]),
        ("action=agents.*", vec!["run_1", "run_1"]),
        ("action=agents", vec![]),
        ("subject=run_1", vec!["run_1", "run_1"]),
        ("outcome=refused", vec!["src_1"]),
        ("trace_id=trace-of-run_2", vec!["run_2"]),
        ("since=2026-01-01T00:00:04Z", vec!["src_2", "src_1"]),
        ("until=2026-01-01T00:00:01Z", vec!["run_1"]),
        ("since=2026-01-01T01:00:01%2B01:00&until=2026-01-01T00:00:04Z", vec!["run_2", "run_1"]),
        ("actor=user:ann&action=sources.*&outcome=ok&order=oldest", vec!["src_2"]),
    ] {
        assert_eq!(subjects(&app, query).await, expected, "{query}");
    }
}

#[tokio::test]
async fn a_filter_that_cannot_be_is_refused_by_its_name() {
    let app = TestApp::new().await;
    for (query, field) in [
        ("actor=", "actor"),
        ("action=A", "action"),
        ("action=*", "action"),
        ("subject=", "subject"),
        ("outcome=fine", "outcome"),
        ("trace_id=", "trace_id"),
        ("since=yesterday", "since"),
        ("until=12", "until"),
        ("order=upwards", "order"),
        ("cursor=a%20b", "cursor"),
        ("colour=red", "colour"),
    ] {
        for path in ["/api/v1/audit", "/api/v1/audit/export"] {
            let reply = app.get(&format!("{path}?{query}")).send().await;
            assert_eq!((reply.status, reply.json()["errors"][0]["field"].as_str()), (400, Some(field)), "{path}?{query}");
        }
    }
    for anchor in ["", "1", "0:00", "x:y"] {
        let reply = app.get(&format!("/api/v1/audit/verify?anchor={anchor}")).send().await;
        assert_eq!((reply.status, reply.json()["errors"][0]["field"].as_str()), (400, Some("anchor")), "{anchor}");
    }
}

#[tokio::test]
async fn pages_follow_each_other_in_both_orders_and_a_cursor_of_another_tenant_is_worth_no_more_than_a_made_up_one() {
    let app = filled().await;
    for order in ["newest", "oldest"] {
        let mut all = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = app.get(&format!("/api/v1/audit?order={order}&limit=2{cursor}")).send().await.json();
            all.extend(page["items"].as_array().unwrap().iter().map(|e| e["subject"].as_str().unwrap().to_owned()));
            let Some(next) = page["next_cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        let mut expected = ["src_2", "src_1", "run_2", "run_1", "run_1"];
        if order == "oldest" {
            expected.reverse();
        }
        assert_eq!(all, expected);
    }
    let ann = Principal::new("user:ann", "Ann", other_tenant(), Role::TenantAdmin, Vec::new(), "token");
    let foreign = app.acting(&ann, Method::GET, "/api/v1/audit?limit=1").send().await.json();
    let foreign = foreign["next_cursor"].as_str().unwrap();
    // The same moment with other random digits: an id that was never given out.
    let made_up = format!("{}0000000000000000", &foreign[..foreign.len() - 16]);
    let replies = [foreign, &made_up].map(|c| app.get(&format!("/api/v1/audit?cursor={c}")).send());
    let [a, b] = replies;
    assert_eq!(a.await.text(), b.await.text());
    let all = app.acting(&ann, Method::GET, "/api/v1/audit").send().await.json();
    assert!(all["items"].as_array().unwrap().iter().all(|e| e["subject"] == "foreign"), "{all}");
}

/// The lines of an export.
async fn exported(app: &TestApp, query: &str) -> Vec<Value> {
    let reply = app.get(&format!("/api/v1/audit/export?{query}")).send().await;
    assert_eq!((reply.status, reply.header("content-type")), (200, "application/x-ndjson"), "{}", reply.text());
    reply.text().lines().map(|l| serde_json::from_str(l).unwrap()).collect()
}

#[tokio::test]
async fn an_export_has_every_entry_once_says_that_it_is_complete_and_is_an_entry_itself() {
    let app = filled().await;
    for i in 0..1100 {
        act(&app, default_tenant(), "user:cy", "things.change", &format!("thing_{i}"), Outcome::Ok).await;
    }
    let lines = exported(&app, "action=things.*&order=oldest").await;
    let subjects: Vec<&str> = lines[..1100].iter().map(|l| l["subject"].as_str().unwrap()).collect();
    assert_eq!(subjects, (0..1100).map(|i| format!("thing_{i}")).collect::<Vec<_>>());
    assert_eq!(lines.len(), 1101);
    assert_eq!(lines[1100]["end"]["entries"], 1100);
    app.advance(Duration::from_secs(1));
    assert_eq!(exported(&app, "actor=user:nobody").await[0]["end"]["entries"], 0);
    let record = app.get("/api/v1/audit?action=audit.export&order=oldest").send().await.json();
    assert_eq!(record["items"][0]["payload"]["filter"], json!({"action": "things.*", "oldest_first": true}));
}

#[tokio::test]
async fn an_export_that_cannot_be_finished_says_so_and_where_to_go_on() {
    let app = TestApp::new().await;
    for i in 0..600 {
        act(&app, default_tenant(), "user:cy", "things.change", &format!("thing_{i}"), Outcome::Ok).await;
    }
    let opened = app.get("/api/v1/audit/export?action=things.*&order=oldest").open().await;
    app.app.kernel.lifecycle.begin_stop();
    let text = opened.read().await.text();
    let lines: Vec<Value> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let end = &lines.last().unwrap()["error"];
    assert_eq!((end["code"].as_str(), end["entries"].as_u64()), (Some("shutting_down"), Some(lines.len() as u64 - 1)), "{end}");
}

#[tokio::test]
async fn the_head_and_the_verdict_of_the_server_are_those_of_the_command_line() {
    let app = filled().await;
    let empty = app.get("/api/v1/audit/head").send().await.json();
    assert_eq!((empty["seq"].as_i64(), empty["anchor"].as_str(), empty["unsealed"].as_i64()), (Some(0), None, Some(5)));
    app.app.sealer().seal().await.unwrap();
    app.app.sealer().deliver().await.unwrap();
    let head = app.get("/api/v1/audit/head").send().await.json();
    assert_eq!((head["seq"].as_i64(), head["archived_seq"].as_i64(), head["unsealed"].as_i64()), (Some(5), Some(5), Some(0)), "{head}");
    let key = astrolabe_kernel::audit::PublicKey::from_pem(head["public_key"].as_str().unwrap()).unwrap();
    assert_eq!((key.id(), head["checkpoint"]["key_id"].as_str()), (head["key_id"].as_str().unwrap(), head["key_id"].as_str()));
    let message = format!(
        "astrolabe audit checkpoint v1\n{}\n{}\n{}\n",
        head["tenant_id"].as_str().unwrap(),
        head["seq"],
        head["hash"].as_str().unwrap()
    );
    assert!(key.verify(message.as_bytes(), head["checkpoint"]["signature"].as_str().unwrap()));

    let anchor = head["anchor"].as_str().unwrap();
    let whole = app.get(&format!("/api/v1/audit/verify?anchor={anchor}")).send().await.json();
    assert_eq!((whole["ok"].as_bool(), whole["anchors"].as_i64(), whole["chains"][0]["verified"].as_i64()), (Some(true), Some(1), Some(5)));
    assert_eq!(whole["chains"].as_array().unwrap().len(), 1, "the chain of the caller's tenant and no other");
    let mut tx = app.app.kernel.db.write_all().await.unwrap();
    tx.execute("UPDATE audit_entries SET actor = 'user:mallory' WHERE subject = 'src_1'", &[]).await.unwrap();
    tx.commit().await.unwrap();
    let broken = app.get("/api/v1/audit/verify").send().await.json();
    assert_eq!((broken["ok"].as_bool(), broken["chains"][0]["defects"].as_array().unwrap().len()), (Some(false), 1), "{broken}");
}

#[tokio::test]
async fn an_auditor_reads_the_log_in_every_form_and_nothing_else() {
    let app = filled().await;
    let auditor = Principal::new("user:aud", "Aud", default_tenant(), Role::None, vec![AUDITOR.to_owned()], "token");
    let api = serde_json::to_value(app.description.make()).unwrap();
    let mut may = Vec::new();
    for (method, path, right) in crate::openapi::operations(&api) {
        if right.is_none() {
            continue;
        }
        let id = path.replace("{id}", "src_01JD3V9M7Q4R8T2W6X0Y5Z1ABC").replace("{run_id}", "src_01JD3V9M7Q4R8T2W6X0Y5Z1ABC");
        if app.acting(&auditor, method.parse().unwrap(), &id).send().await.status != 403 {
            may.push(format!("{method} {path}"));
        }
    }
    let own: Vec<String> = crate::openapi::operations(&api)
        .into_iter()
        .filter(|o| o.2.as_deref() == Some("own_account"))
        .map(|o| format!("{} {}", o.0, o.1))
        .collect();
    may.retain(|o| !own.contains(o));
    assert_eq!(may, ["GET /api/v1/audit", "GET /api/v1/audit/export", "GET /api/v1/audit/head", "GET /api/v1/audit/verify"]);
    let editor = Principal::new("user:ed", "Ed", default_tenant(), Role::Editor, Vec::new(), "token");
    assert_eq!(app.acting(&editor, Method::GET, "/api/v1/audit/export").send().await.status, 403);
}

#[tokio::test]
async fn entries_have_times_that_filters_read_back() {
    let app = filled().await;
    let page = app.get("/api/v1/audit?subject=src_1").send().await.json();
    let at: Timestamp = serde_json::from_value(page["items"][0]["created_at"].clone()).unwrap();
    let until = at.plus(Duration::from_micros(1));
    assert_eq!(subjects(&app, &format!("since={at}&until={until}")).await, ["src_1"]);
}
