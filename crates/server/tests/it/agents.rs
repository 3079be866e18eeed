//! Agents over HTTP: the shape of A-02, tools under their roles and against real services, and effects that happen once.

use std::collections::BTreeSet;

use axum::http::Method;
use serde_json::{Value, json};

use crate::support::{Receiver, Reply, TestApp};

const TICKET: &str = "Utwórz ticket dla incydentu sieci";

fn body(agent: &str, input: &str) -> Value {
    json!({"agent": agent, "input": input, "tool_calls": [], "meta": {"user": "alice"}})
}

async fn run(app: &TestApp, agent: &str, input: &str) -> Value {
    let reply = app.post("/v1/agents/run").json(body(agent, input)).send().await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()
}

async fn keyed(app: &TestApp, header: &str, key: &str) -> Reply {
    app.post("/v1/agents/run").header(header, key).json(body("support", TICKET)).send().await
}

async fn tickets(app: &TestApp) -> Vec<Value> {
    app.get("/api/v1/tickets").send().await.json()["items"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_run_has_the_notes_shape_and_answers_from_the_documents_when_no_tool_applies() {
    let app = TestApp::new().await;
    app.ingested("handbook", "keys.md", "# Keys\n\nThe office keys are kept at the reception desk.\n").await;
    let result = run(&app, "support", "Where are the office keys kept?").await;
    let keys: BTreeSet<&str> = result.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["agent", "citations", "errors", "notices", "output", "run_id", "trace_id", "used_tools"].into());
    assert!(result["output"].as_str().unwrap().contains("reception desk"), "{result}");
    assert_eq!(
        (&result["used_tools"], &result["errors"], result["citations"][0]["document"].as_str()),
        (&json!([]), &json!([]), Some("keys.md"))
    );
    let stored = app.get(&format!("/api/v1/runs/{}", result["run_id"].as_str().unwrap())).send().await.json();
    assert_eq!((&stored["result"], stored["state"].as_str(), &stored["meta"]), (&result, Some("completed"), &json!({"user": "alice"})));
    assert!(tickets(&app).await.is_empty());
}

#[tokio::test]
async fn the_notes_own_request_opens_exactly_one_ticket() {
    let app = TestApp::new().await;
    let result = run(&app, "support", TICKET).await;
    assert_eq!((result["used_tools"][0]["name"].as_str(), result["used_tools"][0]["status"].as_str()), (Some("create_ticket"), Some("ok")));
    assert!(result["output"].as_str().unwrap().starts_with("Utworzono zgłoszenie"), "{result}");
    let tickets = tickets(&app).await;
    assert_eq!(tickets.len(), 1);
    assert!(tickets[0]["title"].as_str().unwrap().contains("incydentu sieci"), "{tickets:?}");
    assert_eq!(tickets[0], result["used_tools"][0]["result"]["ticket"]);
}

#[tokio::test]
async fn a_question_about_tickets_opens_none() {
    let app = TestApp::new().await;
    for input in [
        "Jak utworzyć ticket dla incydentu sieci?",
        "How do I open a ticket?",
        "Не создавай заявку, где инструкция?",
        "The ticket was open all week",
    ] {
        let result = run(&app, "support", input).await;
        assert_eq!(result["used_tools"], json!([]), "{input}");
    }
    assert!(tickets(&app).await.is_empty());
}

#[tokio::test]
async fn the_repeat_of_a_run_under_its_key_gets_the_first_answer_and_opens_nothing() {
    for header in ["X-Idempotency-Key", "Idempotency-Key"] {
        let app = TestApp::new().await;
        let first = keyed(&app, header, "k-1").await;
        let again = keyed(&app, header, "k-1").await;
        assert_eq!((first.status, again.status), (200, 200));
        assert_eq!(first.json(), again.json());
        assert_eq!(again.header("idempotency-replayed"), "true");
        assert_eq!(tickets(&app).await.len(), 1, "{header}");
        let app = app.restarted().await;
        let later = keyed(&app, header, "k-1").await;
        assert_eq!(later.json(), first.json(), "also from a new process");
        assert_eq!(tickets(&app).await.len(), 1);
        assert_eq!(keyed(&app, header, "k-2").await.status, 200);
        assert_eq!(tickets(&app).await.len(), 2, "another key is another request");
    }
}

#[tokio::test]
async fn a_caller_who_hangs_up_leaves_no_run_that_nobody_works_on() {
    let app = TestApp::new().await;
    for n in 1..=20 {
        let recorded = async {
            loop {
                let mut tx = app.app.kernel.db.read_all().await.unwrap();
                if tx.one::<i64>("SELECT COUNT(*) FROM runs", &[]).await.unwrap() == n {
                    return;
                }
            }
        };
        tokio::select! {
            biased;
            () = recorded => {}
            _ = app.post("/v1/agents/run").json(body("support", TICKET)).send() => {}
        }
    }
    let runs = app.get("/api/v1/runs").send().await.json()["items"].clone();
    for run in runs.as_array().unwrap() {
        let events = app.get(&format!("/api/v1/runs/{}/events", run["id"].as_str().unwrap())).send().await.events();
        assert_eq!(events.last().unwrap().kind, "run.completed", "{events:?}");
    }
    assert_eq!(tickets(&app).await.len(), 20);
}

#[tokio::test]
async fn the_same_request_ten_times_at_once_is_done_once() {
    let app = TestApp::new().await;
    let replies = futures_util::future::join_all((0..10).map(|_| keyed(&app, "x-idempotency-key", "k"))).await;
    assert!(replies.iter().any(|r| r.status == 200));
    for reply in &replies {
        assert!(reply.status == 200 || reply.code() == "idempotency_in_progress", "{}", reply.text());
    }
    assert_eq!(tickets(&app).await.len(), 1);
    assert_eq!(keyed(&app, "x-idempotency-key", "k").await.status, 200);
    assert_eq!(tickets(&app).await.len(), 1);
}

#[tokio::test]
async fn a_key_that_was_used_for_another_request_is_refused() {
    let app = TestApp::new().await;
    assert_eq!(keyed(&app, "idempotency-key", "k").await.status, 200);
    let other = app.post("/v1/agents/run").header("idempotency-key", "k").json(body("support", "Utwórz ticket dla drukarki")).send().await;
    assert_eq!((other.status, other.code().as_str()), (422, "idempotency_key_reused"));
    let elsewhere = app.post("/api/v1/tickets").header("idempotency-key", "k").json(json!({"title": "x"})).send().await;
    assert_eq!((elsewhere.status, elsewhere.code().as_str()), (422, "idempotency_key_reused"));
    assert_eq!(tickets(&app).await.len(), 1);
    for key in ["", &"k".repeat(201), "żółw"] {
        let reply = app.post("/v1/agents/run").header("idempotency-key", key).json(body("support", TICKET)).send().await;
        assert_eq!((reply.status, reply.code().as_str()), (400, "invalid_header"), "{key:?}");
    }
}

#[tokio::test]
async fn a_corrected_request_needs_a_key_of_its_own() {
    let app = TestApp::new().await;
    let wrong = app.post("/v1/agents/run").header("idempotency-key", "k").json(json!({"agent": "support", "input": " "})).send().await;
    assert_eq!(wrong.status, 400);
    assert_eq!(keyed(&app, "idempotency-key", "k").await.code(), "idempotency_key_reused");
    assert_eq!(keyed(&app, "idempotency-key", "k2").await.status, 200);
    assert_eq!(tickets(&app).await.len(), 1);
}

#[tokio::test]
async fn a_repeat_while_the_first_still_runs_is_told_to_wait() {
    let service = Receiver::silent(json!({"id": "INC-7"})).await;
    let app = TestApp::with(&[("tools.tickets_url", &service.url)]).await;
    let repeat = async {
        service.arrival().await;
        let reply = keyed(&app, "idempotency-key", "k").await;
        service.let_answer();
        reply
    };
    let (first, repeat) = tokio::join!(keyed(&app, "idempotency-key", "k"), repeat);
    assert_eq!((repeat.status, repeat.code().as_str()), (409, "idempotency_in_progress"));
    assert!(repeat.header("retry-after").parse::<u64>().unwrap() > 0);
    assert_eq!(first.status, 200, "{}", first.text());
    assert_eq!(service.received().len(), 1);
}

#[tokio::test]
async fn tool_calls_in_the_request_are_the_plan() {
    let app = TestApp::new().await;
    let calls = json!([
        {"name": "create_ticket", "arguments": {"title": "Router in hall B", "priority": "high"}},
        {"name": "get_metrics", "arguments": {"metric": "requests"}},
    ]);
    let request = json!({"agent": "ops", "input": "What is the meaning of this?", "tool_calls": calls});
    let result = app.post("/v1/agents/run").json(request).send().await.json();
    let used: Vec<_> =
        result["used_tools"].as_array().unwrap().iter().map(|t| (t["name"].as_str().unwrap(), t["status"].as_str().unwrap())).collect();
    assert_eq!(used, [("create_ticket", "ok"), ("get_metrics", "ok")], "{result}");
    assert_eq!(result["used_tools"][1]["result"]["figures"][0]["name"], "http_requests_total");
    let tickets = tickets(&app).await;
    assert_eq!((tickets.len(), tickets[0]["title"].as_str(), tickets[0]["priority"].as_str()), (1, Some("Router in hall B"), Some("high")));
}

#[tokio::test]
async fn a_call_that_is_none_of_the_agents_is_refused_before_anything_happens() {
    let app = TestApp::new().await;
    for (calls, status, code, field) in [
        (
            json!([{"name": "create_ticket", "arguments": {"title": "x"}}, {"name": "format_disk"}]),
            400,
            "unknown_tool",
            "tool_calls[1].name",
        ),
        (json!([{"name": "restart_service", "arguments": {"service": "x"}}]), 403, "tool_refused", "tool_calls[0].name"),
        (json!([{"name": "create_ticket", "arguments": []}]), 400, "invalid_request", "tool_calls[0].arguments"),
        (json!([{"name": "create_ticket", "sudo": true}]), 400, "invalid_request", "tool_calls[0].sudo"),
        (json!([["create_ticket", {"title": "x"}]]), 400, "invalid_request", "tool_calls[0]"),
        (json!([{"name": "create_ticket"}, [["create_ticket"]]]), 400, "invalid_request", "tool_calls[1][0]"),
        (json!([[]]), 400, "invalid_request", "tool_calls[0]"),
        (json!([{"name": "create_ticket", "arguments": "{}"}]), 400, "invalid_request", "tool_calls[0].arguments"),
        (json!([{"name": "create_ticket", "arguments": null}]), 400, "invalid_request", "tool_calls[0].arguments"),
        (json!([{"name": ["create_ticket"]}]), 400, "invalid_request", "tool_calls[0].name"),
        (json!([null]), 400, "invalid_request", "tool_calls[0]"),
        (json!(["create_ticket"]), 400, "invalid_request", "tool_calls[0]"),
        (json!({"name": "create_ticket"}), 400, "invalid_request", "tool_calls"),
    ] {
        let reply = app.post("/v1/agents/run").json(json!({"agent": "support", "input": "do it", "tool_calls": calls})).send().await;
        assert_eq!((reply.status, reply.code().as_str()), (status, code), "{}", reply.text());
        assert_eq!(reply.json()["errors"].as_array().unwrap().last().unwrap()["field"], field);
    }
    for (request, field) in [
        (json!({"agent": 5, "input": "x"}), "agent"),
        (json!({"agent": ["support"], "input": "x"}), "agent"),
        (json!({"agent": {"support": null}, "input": "x"}), "agent"),
        (json!({"agent": "support", "input": ["x"]}), "input"),
        (json!({"agent": "support", "input": "x", "meta": [["user", "alice"]]}), "meta"),
        (json!({"agent": "support", "input": "x", "tool_calls": null}), "tool_calls"),
        (json!(["support", "x", [], {}]), "body"),
        (json!(null), "body"),
    ] {
        let reply = app.post("/v1/agents/run").json(request).send().await;
        assert_eq!((reply.status, reply.json()["errors"][0]["field"].as_str()), (400, Some(field)), "{}", reply.text());
    }
    let nobody = app.post("/v1/agents/run").json(json!({"agent": "root", "input": "x"})).send().await;
    assert_eq!((nobody.status, nobody.code().as_str()), (400, "unknown_agent"), "{}", nobody.text());
    assert_eq!(nobody.json()["errors"][0]["field"], "agent");
    let calls = json!([{"name": "create_ticket", "arguments": {"title": "x", "priority": {"low": null}}}]);
    let result = app.post("/v1/agents/run").json(json!({"agent": "support", "input": "x", "tool_calls": calls})).send().await.json();
    assert_eq!(result["errors"][0]["code"], "invalid_request", "{result}");
    assert!(tickets(&app).await.is_empty());
}

#[tokio::test]
async fn a_wrong_argument_is_named_and_the_other_steps_run() {
    let app = TestApp::new().await;
    let calls = json!([{"name": "create_ticket", "arguments": {"title": "", "colour": "red"}}, {"name": "create_ticket", "arguments": {"title": "good"}}]);
    let result = app.post("/v1/agents/run").json(json!({"agent": "support", "input": "x", "tool_calls": calls})).send().await.json();
    assert_eq!((result["used_tools"][0]["status"].as_str(), result["used_tools"][1]["status"].as_str()), (Some("failed"), Some("ok")));
    assert_eq!(
        (result["errors"][0]["tool"].as_str(), result["errors"][0]["code"].as_str()),
        (Some("create_ticket"), Some("invalid_request"))
    );
    assert!(result["errors"][0]["message"].as_str().unwrap().contains("colour"), "{result}");
    assert_eq!(tickets(&app).await.len(), 1);
}

#[tokio::test]
async fn a_tool_whose_roles_the_caller_lacks_is_refused_and_the_refusal_is_in_the_audit_log() {
    let app = TestApp::with(&[("tools.restart_service_roles", "sre"), ("tools.restart_webhook_url", "http://127.0.0.1:9/restart")]).await;
    let result = run(&app, "ops", "Restart the service payments").await;
    assert_eq!(
        (result["used_tools"][0]["name"].as_str(), result["used_tools"][0]["status"].as_str()),
        (Some("restart_service"), Some("refused")),
        "{result}"
    );
    assert_eq!(result["errors"][0]["code"], "tool_refused");
    assert!(result["output"].as_str().unwrap().contains("sre"), "{result}");
    let audit = app.get("/api/v1/audit?action=restart_service").send().await.json();
    assert_eq!(
        (audit["items"][0]["outcome"].as_str(), audit["items"][0]["trace_id"].as_str()),
        (Some("refused"), result["trace_id"].as_str()),
        "{audit}"
    );
    let ops = app.get("/api/v1/agents").send().await.json();
    let tool = ops["items"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|a| a["tools"].as_array().unwrap())
        .find(|t| t["name"] == "restart_service")
        .unwrap()
        .clone();
    assert_eq!(
        (tool["allowed"].as_bool(), tool["configured"].as_bool(), &tool["allowed_roles"]),
        (Some(false), Some(true), &json!(["sre"]))
    );
}

#[tokio::test]
async fn a_tool_that_is_not_configured_says_which_setting_it_needs() {
    let app = TestApp::new().await;
    for (agent, input, tool, setting) in [
        ("ops", "Restart the service payments", "restart_service", "tools.restart_webhook_url"),
        ("support", "What is the weather in Gdańsk?", "get_weather", "tools.weather_url"),
        ("ops", "Show me the latency of payments", "get_metrics", "tools.prometheus_url"),
    ] {
        let result = run(&app, agent, input).await;
        assert_eq!(
            (result["used_tools"][0]["name"].as_str(), result["used_tools"][0]["status"].as_str()),
            (Some(tool), Some("failed")),
            "{result}"
        );
        assert_eq!(result["errors"][0]["code"], "tool_not_configured");
        let output = result["output"].as_str().unwrap();
        assert!(output.contains(setting) && output.matches(tool).count() == 1, "{result}");
    }
}

#[tokio::test]
async fn a_share_of_errors_without_errors_is_zero_and_not_minus_zero() {
    let app = TestApp::new().await;
    let result = run(&app, "ops", "Show me the metrics").await;
    assert!(result["output"].as_str().unwrap().contains("http 5xx share: 0"), "{result}");
}

#[tokio::test]
async fn a_ticket_goes_to_the_configured_service_with_its_token_and_key() {
    let service = Receiver::start(json!({"key": "INC-7"})).await;
    let app = TestApp::with(&[("tools.tickets_url", &format!("{}/tickets", service.url)), ("tools.tickets_token", "s3cret-token")]).await;
    let result = keyed(&app, "idempotency-key", "k").await.json();
    assert!(result["output"].as_str().unwrap().contains("INC-7"), "{result}");
    let received = service.received();
    assert_eq!((received.len(), received[0].method.as_str(), received[0].uri.as_str()), (1, "POST", "/tickets"));
    assert_eq!(received[0].header("authorization"), "Bearer s3cret-token");
    assert!(received[0].header("idempotency-key").starts_with("eff_"));
    assert!(received[0].body["title"].as_str().unwrap().contains("incydentu sieci"), "{received:?}");
    assert_eq!(tickets(&app).await[0]["external_id"], "INC-7");
    assert!(!app.get("/api/v1/audit?limit=200").send().await.text().contains("s3cret-token"));
}

#[tokio::test]
async fn a_service_that_refuses_is_told_and_no_ticket_is_kept() {
    for answer in [Receiver::refusing(500).await, Receiver::start(json!({"message": "thanks"})).await] {
        let app = TestApp::with(&[("tools.tickets_url", &answer.url)]).await;
        let result = run(&app, "support", TICKET).await;
        assert_eq!(
            (result["used_tools"][0]["status"].as_str(), result["errors"][0]["code"].as_str()),
            (Some("failed"), Some("upstream_failed")),
            "{result}"
        );
        assert!(tickets(&app).await.is_empty());
    }
}

#[tokio::test]
async fn metrics_come_from_prometheus_when_it_is_configured() {
    let service = Receiver::start(
        json!({"status": "success", "data": {"resultType": "vector", "result": [{"metric": {}, "value": [1.0, "412.5"]}]}}),
    )
    .await;
    let app = TestApp::with(&[("tools.prometheus_url", &service.url)]).await;
    let result = run(&app, "ops", "Pokaż opóźnienia usługi payments").await;
    assert_eq!(
        (result["used_tools"][0]["name"].as_str(), result["used_tools"][0]["status"].as_str()),
        (Some("get_metrics"), Some("ok")),
        "{result}"
    );
    assert_eq!(result["used_tools"][0]["result"]["origin"], "prometheus");
    assert_eq!(result["used_tools"][0]["result"]["figures"][0]["value"], 412.5);
    let received = service.received();
    assert!(received.iter().all(|r| r.uri.starts_with("/api/v1/query?query=")), "{received:?}");
    assert!(received.iter().any(|r| r.uri.contains("histogram_quantile") && r.uri.contains("payments")), "{received:?}");
}

#[tokio::test]
async fn a_restart_is_asked_of_the_webhook_and_the_weather_of_its_service() {
    let (webhook, weather) = (Receiver::start(json!({})).await, Receiver::start(json!({"temperature": 12, "sky": "clear"})).await);
    let app = TestApp::with(&[
        ("tools.restart_webhook_url", &webhook.url),
        ("tools.restart_webhook_token", "hook"),
        ("tools.weather_url", &weather.url),
    ])
    .await;
    let result = run(&app, "ops", "Перезапусти сервис payments").await;
    assert_eq!(
        (result["used_tools"][0]["name"].as_str(), result["used_tools"][0]["status"].as_str()),
        (Some("restart_service"), Some("ok")),
        "{result}"
    );
    let received = webhook.received();
    assert_eq!(
        (received.len(), received[0].header("authorization"), received[0].body["service"].as_str()),
        (1, "Bearer hook", Some("payments"))
    );
    assert!(!received[0].header("idempotency-key").is_empty());
    let result = run(&app, "support", "What is the weather in Gdańsk?").await;
    assert!(result["output"].as_str().unwrap().contains("temperature: 12"), "{result}");
    assert!(weather.received()[0].uri.contains("city=Gda"), "{:?}", weather.received());
}

#[tokio::test]
async fn offline_no_tool_leaves_the_house() {
    let settings = [
        ("egress.offline", "true"),
        ("tools.weather_url", "http://198.51.100.7/weather"),
        ("tools.tickets_url", "https://tickets.example.com/"),
    ];
    let app = TestApp::with(&settings).await;
    for (input, tool) in [("What is the weather in Gdańsk?", "get_weather"), (TICKET, "create_ticket")] {
        let result = run(&app, "support", input).await;
        assert_eq!(
            (result["errors"][0]["tool"].as_str(), result["errors"][0]["code"].as_str()),
            (Some(tool), Some("egress_refused")),
            "{result}"
        );
    }
    assert!(tickets(&app).await.is_empty());
    let local = Receiver::start(json!({"temperature": 12})).await;
    let app = TestApp::with(&[("egress.offline", "true"), ("tools.weather_url", &local.url)]).await;
    let result = run(&app, "support", "What is the weather in Gdańsk?").await;
    assert_eq!(result["used_tools"][0]["status"], "ok", "this machine is not outside: {result}");
}

#[tokio::test]
async fn a_run_streams_its_steps_and_the_stream_resumes() {
    let app = TestApp::new().await;
    let reply = app.post("/v1/agents/run").header("accept", "text/event-stream").json(body("support", TICKET)).send().await;
    let events = reply.events();
    let kinds: Vec<&str> = events.iter().map(|e| e.kind.as_str()).collect();
    assert_eq!(kinds, ["run.started", "step.started", "step.completed", "run.completed"]);
    assert_eq!(events.iter().map(|e| e.seq).collect::<Vec<_>>(), [1, 2, 3, 4]);
    let id = events[0].data["run_id"].as_str().unwrap().to_owned();
    assert_eq!(events[3].data["run_id"], json!(id));
    for cut in 0..=4 {
        let rest = app.get(&format!("/api/v1/runs/{id}/events")).header("last-event-id", &cut.to_string()).send().await;
        assert_eq!(rest.events(), &events[cut..]);
    }
    assert_eq!(tickets(&app).await.len(), 1);
}

#[tokio::test]
async fn a_streamed_run_under_a_key_has_its_effect_once() {
    let app = TestApp::new().await;
    for _ in 0..2 {
        let call = app.post("/v1/agents/run").header("accept", "text/event-stream").header("idempotency-key", "k");
        let events = call.json(body("support", TICKET)).send().await.events();
        assert_eq!(events.last().unwrap().kind, "run.completed");
    }
    assert_eq!(tickets(&app).await.len(), 1);
}

#[tokio::test]
async fn tickets_are_opened_changed_and_listed_by_people_too() {
    let app = TestApp::new().await;
    let made = app.post("/api/v1/tickets").json(json!({"title": "Printer", "description": "Jams", "priority": "low"})).send().await;
    assert_eq!(made.status, 201, "{}", made.text());
    let id = made.json()["id"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/tickets/{id}");
    let changed = app.call(Method::PATCH, &path).json(json!({"state": "closed"})).send().await.json();
    assert_eq!(
        (changed["state"].as_str(), changed["title"].as_str(), changed["priority"].as_str()),
        (Some("closed"), Some("Printer"), Some("low"))
    );
    assert_eq!(app.get(&path).send().await.json(), changed);
    assert_eq!(app.get("/api/v1/tickets?state=open").send().await.json()["items"], json!([]));
    for (body, field) in [
        (json!({"title": " "}), "title"),
        (json!({}), "title"),
        (json!({"title": "x", "urgency": 1}), "urgency"),
        (json!({"title": "x", "priority": "asap"}), "priority"),
    ] {
        let reply = app.post("/api/v1/tickets").json(body).send().await;
        assert_eq!((reply.status, reply.json()["errors"][0]["field"].as_str()), (400, Some(field)), "{}", reply.text());
    }
}
