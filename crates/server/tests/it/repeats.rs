//! Requests that are repeated under their idempotency key: after an answer, after a hang-up, and after the death of the process.

use std::time::Duration;

use astrolabe_kernel::{Db, testing};
use serde_json::{Value, json};

use crate::support::{Binary, Call, Raw, Receiver, TestApp};

const TICKET: &str = "Utwórz ticket dla incydentu sieci";

fn body(agent: &str, input: &str) -> Value {
    json!({"agent": agent, "input": input, "tool_calls": [], "meta": {}})
}

fn keyed(app: &TestApp, request: Value) -> Call {
    app.post("/v1/agents/run").header("x-idempotency-key", "k").json(request)
}

async fn tickets(app: &TestApp) -> Vec<Value> {
    app.get("/api/v1/tickets").send().await.json()["items"].as_array().unwrap().clone()
}

async fn change(db: &Db, sql: &'static str) {
    let mut tx = db.write_all().await.unwrap();
    tx.execute(sql, &[]).await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn what_a_dead_process_did_and_did_not_answer_is_not_done_again() {
    let app = TestApp::new().await;
    let first = keyed(&app, body("support", TICKET)).send().await.json();
    // As it is when the process dies between the effect and the answer.
    change(
        &app.app.kernel.db,
        "UPDATE idempotency_keys SET status = NULL, content_type = NULL, body = NULL, process_id = 'prc_00000000000000000000000000'",
    )
    .await;
    let app = app.restarted().await;
    let again = keyed(&app, body("support", TICKET)).send().await;
    assert_eq!(again.status, 200, "{}", again.text());
    let ticket = |result: &Value| result["used_tools"][0]["result"]["ticket"]["id"].clone();
    assert_eq!(ticket(&again.json()), ticket(&first), "the repeat finds the ticket that is there");
    assert_eq!(tickets(&app).await.len(), 1);
    assert_eq!(
        keyed(&app, body("support", "Utwórz ticket dla drukarki")).send().await.code(),
        "idempotency_key_reused",
        "the key is bound"
    );
}

#[tokio::test]
async fn a_key_of_another_living_process_is_waited_for_until_its_lease_is_over() {
    let app = TestApp::new().await;
    assert_eq!(keyed(&app, body("support", TICKET)).send().await.status, 200);
    let kernel = &app.app.kernel;
    let mut tx = kernel.db.write_all().await.unwrap();
    let lease = astrolabe_kernel::processes::LEASE;
    let other = "prc_00000000000000000000000000";
    let args = astrolabe_kernel::args![other, kernel.now(), kernel.now().plus(lease)];
    tx.execute("INSERT INTO processes (id, started_at, alive_until) VALUES ($1, $2, $3)", args).await.unwrap();
    tx.execute("UPDATE idempotency_keys SET status = NULL, process_id = $1", astrolabe_kernel::args![other]).await.unwrap();
    tx.commit().await.unwrap();
    let wait = keyed(&app, body("support", TICKET)).send().await;
    assert_eq!((wait.status, wait.code().as_str()), (409, "idempotency_in_progress"));
    app.advance(lease);
    assert_eq!(keyed(&app, body("support", TICKET)).send().await.status, 200);
    assert_eq!(tickets(&app).await.len(), 1);
}

#[tokio::test]
async fn who_hangs_up_and_comes_again_finds_the_first_request_not_a_second_one_beside_it() {
    let service = Receiver::silent(json!({"id": "INC-7"})).await;
    let app = TestApp::with(&[("tools.tickets_url", &service.url)]).await;
    {
        let first = keyed(&app, body("support", TICKET)).send();
        tokio::select! {
            _ = first => panic!("the service answers nobody yet"),
            () = service.arrival() => {}
        }
    }
    let wait = keyed(&app, body("support", TICKET)).send().await;
    assert_eq!((wait.status, wait.code().as_str()), (409, "idempotency_in_progress"));
    service.let_answer();
    // The run's stream ends with the run; the answer is kept a moment later.
    let run = app.get("/api/v1/runs").send().await.json()["items"][0]["id"].as_str().unwrap().to_owned();
    app.get(&format!("/api/v1/runs/{run}/events")).header("accept", "text/event-stream").send().await;
    let again = loop {
        let reply = keyed(&app, body("support", TICKET)).send().await;
        if reply.status != 409 {
            break reply;
        }
    };
    assert_eq!((again.status, again.json()["run_id"].as_str()), (200, Some(run.as_str())), "{}", again.text());
    assert_eq!((service.received().len(), tickets(&app).await.len()), (1, 1));
}

#[tokio::test]
async fn a_stream_holds_its_key_until_it_ends() {
    let service = Receiver::silent(json!({"id": "INC-7"})).await;
    let app = TestApp::with(&[("tools.tickets_url", &service.url)]).await;
    let streamed = || keyed(&app, body("support", TICKET)).header("accept", "text/event-stream").send();
    let second = async {
        service.arrival().await;
        let wait = streamed().await;
        service.let_answer();
        wait
    };
    let (first, wait) = tokio::join!(streamed(), second);
    assert_eq!((wait.status, wait.code().as_str()), (409, "idempotency_in_progress"));
    assert_eq!(first.events().last().unwrap().kind, "run.completed");
    assert_eq!(streamed().await.status, 200, "who has read it to its end need not wait");
    assert_eq!((service.received().len(), tickets(&app).await.len()), (1, 1));
}

#[tokio::test]
async fn a_key_that_is_none_or_two_is_refused() {
    let app = TestApp::new().await;
    let long = "k".repeat(201);
    for headers in [
        &[("idempotency-key", "")][..],
        &[("idempotency-key", "a b")],
        &[("x-idempotency-key", "a\tb")],
        &[("idempotency-key", &long)],
        &[("idempotency-key", "a"), ("x-idempotency-key", "b")],
        &[("idempotency-key", "a"), ("idempotency-key", "b")],
    ] {
        let call = app.post("/v1/agents/run").json(body("support", TICKET));
        let reply = headers.iter().fold(call, |call, (name, value)| call.header(name, value)).send().await;
        assert_eq!((reply.status, reply.code().as_str()), (400, "invalid_header"), "{headers:?}: {}", reply.text());
    }
    let twice = app.post("/v1/agents/run").header("idempotency-key", "a").header("x-idempotency-key", "a").json(body("support", TICKET));
    assert_eq!(twice.send().await.status, 200, "the same key under both names is one");
    assert_eq!(tickets(&app).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_is_killed_mid_run_frees_its_key_and_the_repeat_has_the_effect_once() {
    let service = Receiver::silent(json!({"id": "INC-7"})).await;
    let folder = tempfile::tempdir().unwrap();
    let url = testing::database_url(folder.path()).await;
    let binary = Binary::new(folder.path()).env("TICKETS_URL", &service.url).database(&url);
    let server = binary.serve();
    let raw = Raw::new(&binary, &server);
    let send = |raw: Raw, input: &'static str| {
        move || {
            let headers = "content-type: application/json\r\nx-idempotency-key: k\r\n";
            raw.call("POST", "/v1/agents/run", headers, &body("support", input).to_string())
        }
    };
    let first = tokio::task::spawn_blocking(send(raw, TICKET));
    service.arrival().await;
    server.kill();
    assert_eq!(first.await.unwrap(), None, "nobody was answered");
    server.wait();
    service.let_answer();
    if url.starts_with("postgres") {
        // As it is when the dead process's lease is over; on SQLite the next start knows at once.
        change(&Db::open(&url, 4).await.unwrap(), "UPDATE processes SET alive_until = 0").await;
    }
    let server = binary.serve();
    let raw = Raw::new(&binary, &server);
    let (status, other) = tokio::task::spawn_blocking(send(raw.clone(), "Utwórz ticket dla drukarki")).await.unwrap().unwrap();
    assert_eq!((status, other["code"].as_str()), (422, Some("idempotency_key_reused")), "the key stays bound to its request");
    let (status, result) = tokio::task::spawn_blocking(send(raw.clone(), TICKET)).await.unwrap().unwrap();
    assert_eq!((status, result["used_tools"][0]["status"].as_str()), (200, Some("ok")), "{result}");
    let (_, again) = tokio::task::spawn_blocking(send(raw.clone(), TICKET)).await.unwrap().unwrap();
    assert_eq!(again["run_id"], result["run_id"]);
    let received = service.received();
    assert_eq!(received.len(), 2, "once by each process, for nobody knows what the service made of the first");
    assert_eq!(received[0].header("idempotency-key"), received[1].header("idempotency-key"), "under one key, so that the service knows");
    let (_, listed) = tokio::task::spawn_blocking(move || raw.call("GET", "/api/v1/tickets", "", "")).await.unwrap().unwrap();
    assert_eq!(listed["items"].as_array().unwrap().len(), 1, "{listed}");
}

#[tokio::test]
async fn an_effect_that_happened_is_not_asked_for_again() {
    let webhook = Receiver::start(json!({})).await;
    let app = TestApp::with(&[("tools.restart_webhook_url", &webhook.url)]).await;
    for _ in 0..3 {
        // A streamed answer is not kept, so the run itself is repeated.
        let call = keyed(&app, body("ops", "Restart the service payments")).header("accept", "text/event-stream");
        let events = call.send().await.events();
        assert_eq!(events.last().unwrap().data["used_tools"][0]["status"], "ok", "{events:?}");
    }
    assert_eq!(webhook.received().len(), 1);
    let later = keyed(&app, body("ops", "Restart the service payments")).send().await;
    assert_eq!(later.status, 200);
    assert_eq!(webhook.received().len(), 1);
    app.advance(Duration::from_secs(25 * 3600));
    assert_eq!(keyed(&app, body("ops", "Restart the service payments")).send().await.status, 200);
    assert_eq!(webhook.received().len(), 2, "a day later the key names another request");
}

#[tokio::test]
async fn a_repeat_that_would_call_with_other_arguments_is_refused_instead() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rules.toml");
    let plan = |title: &str| format!(r#"{{"steps": [{{"name": "create_ticket", "arguments": {{"title": "{title}"}}}}]}}"#);
    std::fs::write(&file, format!("[[rules]]\ntimes = 1\nanswer = '{}'\n[[rules]]\nanswer = '{}'\n", plan("one"), plan("two"))).unwrap();
    let app = TestApp::with(&[("model.name", &format!("scripted/{}", file.display()))]).await;
    let streamed = |request: Value| keyed(&app, request).header("accept", "text/event-stream");
    let first = streamed(body("support", TICKET)).send().await.events();
    assert_eq!(first.last().unwrap().kind, "run.completed", "{first:?}");
    let second = streamed(body("support", TICKET)).send().await.events();
    let last = second.last().unwrap();
    assert_eq!((last.kind.as_str(), last.data["code"].as_str()), ("run.failed", Some("idempotency_conflict")), "{second:?}");
    let third = keyed(&app, body("support", TICKET)).send().await;
    assert_eq!((third.status, third.code().as_str()), (409, "idempotency_conflict"));
    let tickets = tickets(&app).await;
    assert_eq!((tickets.len(), tickets[0]["title"].as_str()), (1, Some("one")));
}

#[tokio::test]
async fn runs_beyond_the_limit_wait_and_further_ones_are_refused() {
    let service = Receiver::silent(json!({"id": "INC-7"})).await;
    let app = TestApp::with(&[("tools.tickets_url", &service.url), ("agents.max_runs", "1"), ("agents.max_queued", "1")]).await;
    let send = || app.post("/v1/agents/run").json(body("support", TICKET)).send();
    // Ids of one millisecond, at which the clock stands, have no order.
    let runs = || async {
        let items = app.get("/api/v1/runs").send().await.json()["items"].clone();
        let mut runs: Vec<(String, String)> = items
            .as_array()
            .unwrap()
            .iter()
            .map(|r| (r["state"].as_str().unwrap().to_owned(), r["id"].as_str().unwrap().to_owned()))
            .collect();
        runs.sort();
        runs
    };
    let gauge = |name: &str| astrolabe_kernel::telemetry::recorder().snapshot().into_iter().find(|s| s.name == name).unwrap().value;
    let third = async {
        service.arrival().await;
        let queued = loop {
            let runs = runs().await;
            if runs.len() == 2 {
                assert_eq!((runs[0].0.as_str(), runs[1].0.as_str()), ("queued", "running"));
                break runs[0].1.clone();
            }
        };
        assert!(gauge("agent_tasks_queued") >= 1.0 && gauge("agent_tasks_running") >= 1.0);
        let refused = send().await;
        service.let_answer();
        (refused, queued)
    };
    let (first, second, (refused, queued)) = tokio::join!(send(), send(), third);
    assert_eq!((refused.status, refused.code().as_str()), (503, "overloaded"));
    assert!(refused.header("retry-after").parse::<u64>().unwrap() > 0);
    assert_eq!((first.status, second.status), (200, 200));
    assert!(runs().await.iter().all(|(state, _)| state == "completed"));
    let events = app.get(&format!("/api/v1/runs/{queued}/events")).send().await.events();
    let kinds: Vec<&str> = events.iter().map(|e| e.kind.as_str()).take(2).collect();
    assert_eq!(kinds, ["run.queued", "run.started"]);
}
