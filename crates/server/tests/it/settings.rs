//! Settings, feature flags and the maintenance switch, over HTTP and from the command line.

use astrolabe_kernel::Principal;
use astrolabe_platform::sessions;
use axum::http::Method;
use serde_json::{Value, json};

use crate::support::{Binary, Call, Reply, TestApp};

async fn change(app: &TestApp, body: Value) -> Reply {
    app.call(Method::PATCH, "/api/v1/settings").json(body).send().await
}

async fn switch(app: &TestApp, body: Value) -> Reply {
    app.call(Method::PUT, "/api/v1/maintenance").json(body).send().await
}

fn run(input: &str, tool_calls: Value) -> Value {
    json!({"agent": "support", "input": input, "tool_calls": tool_calls, "meta": {}})
}

#[tokio::test]
async fn settings_have_defaults_and_change_under_their_version() {
    let app = TestApp::new().await;
    let first = app.get("/api/v1/settings").send().await;
    let settings = first.json();
    assert_eq!((first.header("etag"), settings["name"].as_str(), settings["time_zone"].as_str()), ("\"0\"", Some("default"), Some("UTC")));
    assert_eq!((&settings["flags"]["rag_only"]["value"], &settings["flags"]["feedback"]["value"]), (&json!(0), &json!(true)));
    let body = json!({"name": "Depot", "time_zone": "Europe/Warsaw", "flags": {"rag_only": 25}});
    let changed = app.call(Method::PATCH, "/api/v1/settings").header("if-match", "\"0\"").json(body).send().await;
    assert_eq!((changed.status, changed.header("etag")), (200, "\"1\""));
    let settings = changed.json();
    assert_eq!(settings, app.get("/api/v1/settings").send().await.json());
    assert_eq!((&settings["flags"]["rag_only"]["value"], &settings["flags"]["rag_only"]["default"]), (&json!(25), &json!(0)));
    let late = app.call(Method::PATCH, "/api/v1/settings").header("if-match", "\"0\"").json(json!({"name": "x"})).send().await;
    assert_eq!((late.status, late.code().as_str()), (412, "precondition_failed"));
    assert_eq!(app.actions().await[0], "settings.update");
    let again = app.restarted().await;
    assert_eq!(again.get("/api/v1/settings").send().await.json(), settings);
}

#[tokio::test]
async fn agents_answer_from_the_documents_alone_when_the_flag_says_so() {
    let app = TestApp::new().await;
    app.ingested("handbook", "keys.md", "# Keys\n\nThe office keys are kept at the reception desk.\n").await;
    let input = "Open a ticket: where are the office keys kept?";
    assert_eq!(change(&app, json!({"flags": {"rag_only": 100}})).await.status, 200);
    let result = app.post("/v1/agents/run").json(run(input, json!([]))).send().await.json();
    assert_eq!((&result["used_tools"], &result["notices"][0]), (&json!([]), &json!("rag_only")), "{result}");
    let call = json!([{"name": "create_ticket", "arguments": {"title": "keys"}}]);
    let asked_for = app.post("/v1/agents/run").json(run(input, call)).send().await.json();
    assert_eq!(asked_for["used_tools"][0]["status"], "ok", "nothing was planned there");
    assert_eq!(change(&app, json!({"flags": {"rag_only": 0}})).await.status, 200);
    let planned = app.post("/v1/agents/run").json(run("Open a ticket: the network is down", json!([]))).send().await.json();
    assert_eq!(planned["used_tools"][0]["name"], "create_ticket", "{planned}");
}

#[tokio::test]
async fn feedback_can_be_turned_off() {
    let app = TestApp::new().await;
    app.ingested("handbook", "keys.md", "# Keys\n\nThe office keys are kept at the reception desk.\n").await;
    let ask = app.post("/api/v1/ask").json(json!({"question": "Where are the office keys kept?"})).send().await.json();
    let path = format!("/api/v1/asks/{}/feedback", ask["id"].as_str().unwrap());
    assert_eq!(change(&app, json!({"flags": {"feedback": false}})).await.status, 200);
    let refused = app.post(&path).json(json!({"rating": "up"})).send().await;
    assert_eq!((refused.status, refused.code().as_str()), (403, "feature_off"));
    assert_eq!(change(&app, json!({"flags": {"feedback": null}})).await.status, 200);
    assert_eq!(app.post(&path).json(json!({"rating": "up"})).send().await.status, 200);
}

#[tokio::test]
async fn during_maintenance_nothing_is_changed_and_everything_is_read() {
    let app = TestApp::new().await;
    let (source, _) = app.ingested("handbook", "keys.md", "# Keys\n\nThe office keys are kept at the reception desk.\n").await;
    let state = json!({"mode": "read_only", "message": "the database moves", "until": "2026-01-01T00:05:00Z"});
    let set = switch(&app, state).await;
    assert_eq!(set.status, 200, "{}", set.text());
    let source = format!("/api/v1/sources/{source}");
    for (method, path, body) in [
        (Method::POST, "/api/v1/sources", json!({"name": "new"})),
        (Method::PATCH, source.as_str(), json!({"name": "new"})),
        (Method::DELETE, source.as_str(), Value::Null),
        (Method::POST, "/api/v1/ask", json!({"question": "Where?"})),
        (Method::POST, "/v1/agents/run", run("Where?", json!([]))),
        (Method::PATCH, "/api/v1/settings", json!({"name": "x"})),
    ] {
        let reply = app.call(method.clone(), path).header("idempotency-key", "k").json(body).send().await;
        assert_eq!((reply.status, reply.code().as_str(), reply.header("retry-after")), (503, "maintenance", "300"), "{method} {path}");
        assert!(reply.json()["detail"].as_str().unwrap().contains("the database moves"));
    }
    assert_eq!(app.get(&source).send().await.status, 200);
    assert_eq!(app.post("/api/v1/search").json(json!({"query": "keys"})).send().await.status, 200);
    let anonymous = app.anonymous(Method::POST, "/api/v1/sources").json(json!({"name": "new"})).send().await;
    assert_eq!(anonymous.status, 401, "who has not signed in is told so first");
    let code = sessions::new_code(&app.app.kernel, &Principal::local_admin()).await.unwrap();
    let signed_in = app.anonymous(Method::GET, &format!("/signin?code={}", code.expose())).send().await;
    let cookie = signed_in.header("set-cookie").split(';').next().unwrap().to_owned();
    let out = Call::new(app.router.clone(), Method::DELETE, "/api/v1/sessions/current")
        .header("cookie", &cookie)
        .header("x-requested-with", "test")
        .send()
        .await;
    assert_eq!((signed_in.status, out.status), (303, 204));

    let app = app.restarted().await;
    for path in ["/readyz", "/api/version"] {
        let state = app.anonymous(Method::GET, path).send().await.json()["maintenance"].clone();
        assert_eq!(
            state,
            json!({"mode": "read_only", "message": "the database moves", "until": "2026-01-01T00:05:00.000000Z"}),
            "it survives a restart"
        );
    }
    assert_eq!(switch(&app, json!({"mode": "off"})).await.status, 200);
    assert_eq!(app.post("/api/v1/sources").json(json!({"name": "new"})).send().await.status, 201);
    assert_eq!(app.anonymous(Method::GET, "/api/version").send().await.json()["maintenance"]["mode"], "off");
    let set: Vec<String> = app.actions().await.into_iter().filter(|a| a == "maintenance.set").collect();
    assert_eq!(set.len(), 2);
}

#[test]
fn the_command_turns_maintenance_on_and_off_with_and_without_a_server() {
    let folder = tempfile::tempdir().unwrap();
    let binary = Binary::new(folder.path());
    let server = binary.serve();
    let on = binary.run(&["maintenance", "on", "--message", "moving", "--json"]);
    assert_eq!((on.code, on.json()["mode"].as_str(), on.json()["message"].as_str()), (0, Some("read_only"), Some("moving")), "{on:?}");
    server.stop();
    let status = binary.run(&["maintenance", "status"]);
    assert_eq!((status.code, status.out.trim()), (0, "changes are refused: moving"), "{status:?}");
    let refused = binary.run(&["maintenance", "on", "--until", "soon"]);
    assert_eq!(refused.code, 2, "{refused:?}");
    let off = binary.run(&["maintenance", "off"]);
    assert_eq!((off.code, off.out.trim()), (0, "changes are accepted"), "{off:?}");
}

#[tokio::test]
async fn an_agent_that_is_configured_so_answers_from_the_documents_alone() {
    let app = TestApp::with(&[("agents.rag_only", "support")]).await;
    let run = async |agent: &str| {
        let body = json!({"agent": agent, "input": "Open a ticket about the network incident"});
        app.post("/v1/agents/run").json(body).send().await.json()
    };
    let (support, ops) = (run("support").await, run("ops").await);
    assert_eq!((&support["used_tools"], &support["notices"][0]), (&json!([]), &json!("rag_only")), "{support}");
    assert_eq!(ops["used_tools"][0]["name"], "create_ticket", "{ops}");
}
