//! Policies over HTTP: written, tried out, and in force where tools are called.

use axum::http::Method;
use serde_json::{Value, json};

use crate::support::{Binary, Raw, Reply, TestApp};

const NO_TICKETS: &str =
    "forbid (principal, action == Action::\"tool:create_ticket\", resource)\nwhen { principal.id == \"user:local-admin\" };";
/// Only from this network.
const OFFICE: &str = "forbid (principal, action == Action::\"tool:create_ticket\", resource)\nunless { context has address && \
                      context.address.isInRange(ip(\"10.4.0.0/16\")) };";

async fn save(app: &TestApp, name: &str, text: &str) -> Reply {
    app.post("/api/v1/policies").json(json!({"name": name, "text": text})).send().await
}

fn ticket() -> Value {
    json!({"agent": "support", "input": "Open a ticket: the network in the depot is down", "tool_calls": [], "meta": {}})
}

async fn tickets(app: &TestApp) -> usize {
    app.get("/api/v1/tickets").send().await.json()["items"].as_array().unwrap().len()
}

fn question(action: &str) -> Value {
    json!({"principal": {"id": "user:local-admin", "role": "admin"}, "action": action})
}

#[tokio::test]
async fn a_tool_that_a_policy_forbids_is_not_called_and_the_refusal_is_in_the_audit_log() {
    let app = TestApp::new().await;
    assert_eq!(save(&app, "no tickets", NO_TICKETS).await.status, 201);
    let reply = app.post("/v1/agents/run").json(ticket()).send().await;
    let result = reply.json();
    assert_eq!(reply.status, 200, "{result}");
    assert_eq!(result["used_tools"][0]["status"], "refused", "{result}");
    assert_eq!(
        result["errors"][0],
        json!({"tool": "create_ticket", "code": "policy_refused", "message": "create_ticket: forbidden by the policy \"no tickets\""})
    );
    assert_eq!(tickets(&app).await, 0);
    let entry = app.get("/api/v1/audit?action=create_ticket").send().await.json()["items"][0].clone();
    assert_eq!((entry["outcome"].as_str(), entry["payload"]["error"].as_str()), (Some("refused"), Some("policy_refused")));
    assert_eq!(entry["payload"]["reason"], "create_ticket: forbidden by the policy \"no tickets\"");
}

#[tokio::test]
async fn a_policy_about_the_network_sees_where_the_caller_comes_from() {
    let app = TestApp::new().await;
    assert_eq!(save(&app, "office", OFFICE).await.status, 201);
    for (address, made) in [("10.4.9.9", 1), ("192.0.2.1", 1), ("10.4.0.1", 2)] {
        let reply = app.post("/v1/agents/run").from(address).json(ticket()).send().await;
        assert_eq!((reply.status, tickets(&app).await), (200, made), "{address}");
    }
    app.post("/v1/agents/run").json(ticket()).send().await;
    assert_eq!(tickets(&app).await, 2, "who comes from nowhere is not in the office");
}

#[test]
fn the_address_of_a_real_connection_is_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let binary = Binary::new(folder.path());
    let server = binary.serve();
    let raw = Raw::new(&binary, &server);
    for (name, network, status) in [("loopback", "127.0.0.0/8", "ok"), ("elsewhere", "10.4.0.0/16", "refused")] {
        let text = OFFICE.replace("10.4.0.0/16", network);
        assert_eq!(raw.post("/api/v1/policies", &json!({"name": name, "text": text})).unwrap().0, 201);
        let (_, result) = raw.post("/v1/agents/run", &ticket()).unwrap();
        assert_eq!(result["used_tools"][0]["status"], status, "{result}");
    }
    server.stop();
}

#[tokio::test]
async fn a_policy_is_read_changed_and_deleted_under_its_version_and_every_change_is_recorded() {
    let app = TestApp::new().await;
    let made = save(&app, "no tickets", NO_TICKETS).await;
    assert_eq!((made.status, made.header("etag")), (201, "\"1\""));
    let path = format!("/api/v1/policies/{}", made.json()["id"].as_str().unwrap());
    assert_eq!(app.get(&path).send().await.json(), made.json());
    let body = json!({"name": "no tickets", "text": NO_TICKETS, "enabled": false});
    let put = |tag: &'static str| app.call(Method::PUT, &path).header("if-match", tag).json(body.clone());
    let changed = put("\"1\"").send().await;
    assert_eq!((changed.status, changed.header("etag"), changed.json()["enabled"].as_bool()), (200, "\"2\"", Some(false)));
    let late = put("\"1\"").send().await;
    assert_eq!((late.status, late.code().as_str()), (412, "precondition_failed"));
    assert_eq!(app.post("/v1/agents/run").json(ticket()).send().await.json()["used_tools"][0]["status"], "ok", "it is not in force");
    assert_eq!(app.call(Method::DELETE, &path).header("if-match", "\"1\"").send().await.status, 412);
    assert_eq!(app.call(Method::DELETE, &path).send().await.status, 204);
    for gone in [app.get(&path), app.call(Method::DELETE, &path), put("\"2\"")] {
        let reply = gone.send().await;
        assert_eq!((reply.status, reply.code().as_str()), (404, "not_found"));
    }
    let mut actions: Vec<String> = app.actions().await.into_iter().filter(|a| a.starts_with("policies.")).collect();
    actions.sort();
    assert_eq!(actions, ["policies.create", "policies.delete", "policies.update"]);
}

#[tokio::test]
async fn a_policy_that_could_not_be_applied_is_not_saved_and_says_where_it_is_wrong() {
    let app = TestApp::new().await;
    for (body, field, words) in [
        (
            json!({"name": "x", "text": "forbid (principal, action, resource)\nwhen { principal.rol == \"x\" };"}),
            "text",
            "line 2, column 8",
        ),
        (json!({"name": "x", "text": "forbid"}), "text", "line 1, column 7"),
        (json!({"name": "x", "text": "(".repeat(3000)}), "text", "20 deep"),
        (json!({"name": "x", "text": "x".repeat(4001)}), "text", "1 to 4000"),
        (json!({"name": "", "text": NO_TICKETS}), "name", "1 to 100"),
        (json!({"name": "x", "text": NO_TICKETS, "description": "x".repeat(1001)}), "description", "1000"),
        (json!({"name": "x", "text": NO_TICKETS, "colour": 1}), "colour", "unknown field"),
        (json!({"name": "x"}), "text", "missing field"),
    ] {
        let reply = app.post("/api/v1/policies").json(body.clone()).send().await;
        let error = reply.json()["errors"][0].clone();
        assert_eq!((reply.status, error["field"].as_str()), (400, Some(field)), "{body}: {}", reply.text());
        assert!(error["message"].as_str().unwrap().contains(words), "{error}");
    }
    assert_eq!(app.get("/api/v1/policies").send().await.json(), json!({"items": [], "next_cursor": null}));
    assert_eq!(save(&app, "one", NO_TICKETS).await.status, 201);
    let twice = save(&app, "one", NO_TICKETS).await;
    assert_eq!((twice.status, twice.code().as_str()), (409, "conflict"));
}

#[tokio::test]
async fn policies_are_listed_in_pages_newest_first() {
    let app = TestApp::new().await;
    for name in ["a", "b", "c"] {
        app.advance(std::time::Duration::from_millis(2));
        assert_eq!(save(&app, name, NO_TICKETS).await.status, 201);
    }
    let mut names = Vec::new();
    let mut path = "/api/v1/policies?limit=2".to_owned();
    loop {
        let page = app.get(&path).send().await.json();
        names.extend(page["items"].as_array().unwrap().iter().map(|p| p["name"].as_str().unwrap().to_owned()));
        match page["next_cursor"].as_str() {
            Some(cursor) => path = format!("/api/v1/policies?limit=2&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(names, ["c", "b", "a"]);
}

#[tokio::test]
async fn a_policy_can_be_tried_out_before_and_after_it_is_saved() {
    let app = TestApp::new().await;
    let ask = |path: String, body: Value| app.post(&path).json(body).send();
    let mut unsaved = question("tool:create_ticket");
    unsaved["text"] = NO_TICKETS.into();
    let reply = ask("/api/v1/policies/simulate".to_owned(), unsaved.clone()).await;
    let answer = reply.json();
    assert_eq!((reply.status, &answer["allowed"], answer["reason"].as_str()), (200, &json!(false), Some("forbidden")), "{answer}");
    assert_eq!(answer["decided_by"], json!([{"id": null, "name": "the text of the request"}]));
    let none = ask("/api/v1/policies/simulate".to_owned(), question("tool:create_ticket")).await.json();
    assert_eq!((&none["allowed"], none["reason"].as_str()), (&json!(true), Some("no_policy")), "nothing came of the first question");

    let disabled = json!({"name": "office", "text": OFFICE, "enabled": false});
    let made = app.post("/api/v1/policies").json(disabled).send().await.json();
    let path = format!("/api/v1/policies/{}/simulate", made["id"].as_str().unwrap());
    let from = |address: &str| {
        let mut body = question("tool:create_ticket");
        body["context"] = json!({"address": address, "at": "2026-03-02T09:30:00Z", "arguments": {"title": "x"}});
        body
    };
    let outside = ask(path.clone(), from("192.0.2.1")).await.json();
    assert_eq!(outside["decided_by"], json!([{"id": made["id"], "name": "office"}]));
    assert_eq!((&outside["at"], &outside["time_zone"]), (&json!("2026-03-02T09:30:00.000000Z"), &json!("UTC")));
    assert_eq!(ask(path.clone(), from("10.4.0.1")).await.json()["reason"], "not_forbidden");
    let mut edited = from("10.4.0.1");
    edited["text"] = OFFICE.replace("10.4", "10.5").into();
    assert_eq!(ask(path.clone(), edited.clone()).await.json()["reason"], "forbidden", "the new text, not the saved one");
    edited["text"] = "forbid (principal, action, resource)\nwhen { context.utc.hour > };".into();
    let broken = ask(path, edited).await.json();
    assert_eq!((&broken["allowed"], &broken["errors"][0]["line"], &broken["errors"][0]["column"]), (&Value::Null, &json!(2), &json!(27)));

    let mut wrong = question("tool:fly");
    let reply = ask("/api/v1/policies/simulate".to_owned(), wrong.clone()).await;
    assert_eq!((reply.status, reply.json()["errors"][0]["field"].as_str()), (400, Some("action")));
    wrong["action"] = "run_agents".into();
    wrong["context"] = json!({"address": "10.0.0.0/8"});
    let reply = ask("/api/v1/policies/simulate".to_owned(), wrong).await;
    assert_eq!((reply.status, reply.json()["errors"][0]["field"].as_str()), (400, Some("context.address")));
    let unknown = ask("/api/v1/policies/pol_01JD3V9M7Q4R8T2W6X0Y5Z1ABC/simulate".to_owned(), question("run_agents")).await;
    assert_eq!((unknown.status, unknown.code().as_str()), (404, "not_found"));
}

#[tokio::test]
async fn the_examples_of_the_handbook_are_policies() {
    let page = std::fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/handbook/policies.md")).unwrap();
    let app = TestApp::new().await;
    let examples: Vec<&str> = page.split("```cedar\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(examples.len() >= 5, "{}", examples.len());
    for (i, text) in examples.iter().enumerate() {
        let reply = save(&app, &i.to_string(), text).await;
        assert_eq!(reply.status, 201, "{text}: {}", reply.text());
    }
}
