//! The API of models, in OpenAI's words, with a scripted provider behind a real socket.

use astrolabe_gateway::scripted::{Script, ScriptedServer};
use astrolabe_kernel::Lifecycle;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use crate::support::{Reply, TestApp};

/// The app on a scripted provider.
struct World {
    app: TestApp,
    provider: ScriptedServer,
}

impl World {
    async fn new(rules: &str) -> Self {
        let script = Script::from_toml(rules).unwrap();
        let provider = ScriptedServer::start(script, ([127, 0, 0, 1], 0).into(), &Lifecycle::new()).await.unwrap();
        let app = TestApp::with(&[("model.base_url", &provider.base_url()), ("model.name", "behind")]).await;
        Self { app, provider }
    }

    async fn chat(&self, body: Value) -> Reply {
        self.app.post("/v1/chat/completions").json(body).send().await
    }
}

fn hello() -> Value {
    json!({"model": "default", "messages": [{"role": "user", "content": "hello"}]})
}

fn with(change: Value) -> Value {
    let mut body = hello();
    body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    body
}

/// The data of the events of a stream.
fn events(reply: &Reply) -> Vec<String> {
    reply.text().split("\n\n").filter_map(|event| event.lines().find_map(|l| l.strip_prefix("data: "))).map(str::to_owned).collect()
}

const ANSWER: &str = "[[rules]]\nanswer = \"one two three\"\nusage = { prompt_tokens = 7, completion_tokens = 5 }";

#[tokio::test]
async fn a_completion_is_the_providers_own_and_in_the_books() {
    let world = World::new(ANSWER).await;
    let reply = world.chat(hello()).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let reply = reply.json();
    assert_eq!(reply["choices"][0]["message"]["content"], "one two three");
    assert_eq!((&reply["usage"]["prompt_tokens"], &reply["usage"]["completion_tokens"]), (&json!(7), &json!(5)));
    assert_eq!(world.provider.bodies()[0]["model"], "behind");
    world.app.app.ledger.flush().await.unwrap();
    let total = world.app.get("/api/v1/usage").send().await.json()["total"].clone();
    assert_eq!((&total["requests"], &total["input_tokens"], &total["output_tokens"]), (&json!(1), &json!(7), &json!(5)), "{total}");
}

#[tokio::test]
async fn a_stream_tells_the_usage_to_who_asks_and_the_books_have_it_either_way() {
    let world = World::new(ANSWER).await;
    for wants in [false, true] {
        let mut body = with(json!({"stream": true}));
        if wants {
            body["stream_options"] = json!({"include_usage": true});
        }
        let reply = world.chat(body).await;
        assert_eq!((reply.status, reply.header("content-type")), (200, "text/event-stream"), "{}", reply.text());
        let events = events(&reply);
        assert_eq!(events.last().unwrap(), "[DONE]");
        assert_eq!(events.iter().any(|e| e.contains("\"prompt_tokens\":7")), wants, "{events:?}");
        assert_eq!(world.provider.bodies().last().unwrap()["stream_options"]["include_usage"], true);
    }
}

#[tokio::test]
async fn what_is_wrong_is_named_in_openais_shape() {
    let world = World::new(ANSWER).await;
    let tool = json!({"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}});
    for (change, param) in [
        (json!({"model": ""}), "model"),
        (json!({"model": "nobody"}), "model"),
        (json!({"messages": []}), "messages"),
        (json!({"messages": "hello"}), "messages"),
        (json!({"messages": [{"role": "king", "content": "x"}]}), "messages[0].role"),
        (json!({"messages": [{"role": "user"}]}), "messages[0].content"),
        (json!({"messages": [{"role": "user", "content": [{"type": "video"}]}]}), "messages[0].content[0].type"),
        (json!({"messages": [{"role": "tool", "content": "x", "tool_call_id": "c"}]}), "messages[0].tool_call_id"),
        (json!({"temperature": 3}), "temperature"),
        (json!({"temperature": "hot"}), "temperature"),
        (json!({"top_p": -1}), "top_p"),
        (json!({"n": 2}), "n"),
        (json!({"max_tokens": 0}), "max_tokens"),
        (json!({"max_tokens": 5, "max_completion_tokens": 5}), "max_tokens"),
        (json!({"stream_options": {"include_usage": true}}), "stream_options"),
        (json!({"stop": ["a", "b", "c", "d", "e"]}), "stop"),
        (json!({"tool_choice": "required"}), "tool_choice"),
        (json!({"tools": [tool, tool]}), "tools[1].function.name"),
        (json!({"tools": [tool], "tool_choice": {"type": "function", "function": {"name": "g"}}}), "tool_choice"),
        (json!({"response_format": {"type": "json_schema"}}), "response_format.json_schema"),
        (json!({"response_format": {"type": "xml"}}), "response_format.type"),
        (json!({"top_logprobs": 2}), "top_logprobs"),
        (json!({"nonsense": 1}), "nonsense"),
    ] {
        let reply = world.chat(with(change.clone())).await;
        let error = &reply.json()["error"];
        assert!((400..500).contains(&reply.status), "{change}: {}", reply.text());
        assert_eq!(error["param"].as_str(), Some(param), "{change}: {}", reply.text());
        assert!(error["message"].is_string() && error["type"] == "invalid_request_error" && error["code"].is_string(), "{error}");
    }
    assert_eq!(world.provider.requests(), 0, "nothing of it was sent");
    let anonymous = world.app.anonymous(axum::http::Method::POST, "/v1/chat/completions").json(hello()).send().await;
    assert_eq!((anonymous.status, &anonymous.json()["error"]["code"]), (401, &json!("missing_token")));
    let missing = world.app.get("/v1/models/nobody").send().await;
    assert_eq!((missing.status, &missing.json()["error"]["code"]), (404, &json!("model_not_found")));
}

#[tokio::test]
async fn a_providers_failure_is_told_with_a_time_to_come_back_and_nothing_of_its_own() {
    let world = World::new("[[rules]]\nstatus = 429\nretry_after = \"60\"\nanswer = \"secret words\"").await;
    let reply = world.chat(hello()).await;
    assert_eq!((reply.status, reply.header("retry-after")), (503, "60"), "{}", reply.text());
    assert!(reply.json()["error"]["type"] == "server_error" && !reply.text().contains("secret"), "{}", reply.text());
    let world = World::new("[[rules]]\nanswer = \"a b c\"\nfault = \"cut\"\nfault_after = 2").await;
    let reply = world.chat(with(json!({"stream": true}))).await;
    let events = events(&reply);
    assert!(reply.status == 200 && events.last().unwrap().contains("\"error\""), "{events:?}");
}

#[tokio::test]
async fn a_repeat_under_a_key_hears_the_run_again_and_the_model_is_asked_once() {
    let world = World::new(ANSWER).await;
    for stream in [false, true] {
        let key = format!("key-{stream}");
        let send = || world.app.post("/v1/chat/completions").header("idempotency-key", &key).json(with(json!({"stream": stream}))).send();
        let before = world.provider.requests();
        let (first, second, third) = tokio::join!(send(), send(), send());
        let fourth = send().await;
        assert_eq!((first.status, &first.body), (200, &second.body));
        assert_eq!((&third.body, &fourth.body), (&first.body, &first.body));
        assert_eq!(fourth.header("idempotency-replayed"), "true");
        assert_eq!(world.provider.requests(), before + 1);
        let other = world.app.post("/v1/chat/completions").header("idempotency-key", &key).json(with(json!({"seed": 1}))).send().await;
        assert_eq!((other.status, &other.json()["error"]["code"]), (422, &json!("idempotency_key_reused")));
    }
}

#[tokio::test]
async fn a_failed_run_leaves_its_key_to_the_repeat() {
    let world = World::new("[[rules]]\ntimes = 1\nstatus = 400\nanswer = \"no\"\n[[rules]]\nanswer = \"yes\"").await;
    let send = || world.app.post("/v1/chat/completions").header("idempotency-key", "k").json(hello()).send();
    assert_eq!((send().await.status, send().await.status, world.provider.requests()), (400, 200, 2));
}

#[tokio::test]
async fn a_response_is_made_kept_continued_and_nobody_elses() {
    let world = World::new(ANSWER).await;
    let made = world.app.post("/v1/responses").json(json!({"model": "default", "input": "hello", "instructions": "be brief"})).send().await;
    assert_eq!(made.status, 200, "{}", made.text());
    let made = made.json();
    assert_eq!((&made["status"], &made["output"][0]["content"][0]["text"]), (&json!("completed"), &json!("one two three")));
    let id = made["id"].as_str().unwrap();
    assert_eq!(world.app.get(&format!("/v1/responses/{id}")).send().await.json(), made);
    let next = json!({"model": "default", "input": "and then?", "previous_response_id": id, "stream": true});
    let reply = world.app.post("/v1/responses").json(next).send().await;
    let kinds: Vec<_> =
        events(&reply).iter().map(|e| serde_json::from_str::<Value>(e).unwrap()["type"].as_str().unwrap().to_owned()).collect();
    assert_eq!((kinds[0].as_str(), kinds.last().unwrap().as_str()), ("response.created", "response.completed"), "{kinds:?}");
    let sent = world.provider.bodies().last().unwrap()["messages"].clone();
    assert_eq!(
        sent,
        json!([{"role": "user", "content": "hello"}, {"role": "assistant", "content": "one two three"}, {"role": "user", "content": "and then?"}])
    );
    assert_eq!(world.app.get("/v1/responses/resp_nobody").send().await.status, 404);
    let lost = json!({"model": "default", "input": "x", "previous_response_id": "resp_nobody"});
    let lost = world.app.post("/v1/responses").json(lost).send().await;
    assert_eq!((lost.status, &lost.json()["error"]["param"]), (404, &json!("previous_response_id")));
    for (change, param) in [
        (json!({"input": []}), "input"),
        (json!({"input": [{"type": "weather"}]}), "input[0].type"),
        (json!({"background": true, "stream": true}), "background"),
        (json!({"max_output_tokens": 0}), "max_output_tokens"),
        (json!({"tools": [{"type": "web_search"}]}), "tools[0].type"),
    ] {
        let mut body = json!({"model": "default", "input": "x"});
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let reply = world.app.post("/v1/responses").json(body).send().await;
        assert_eq!((reply.status, reply.json()["error"]["param"].as_str()), (400, Some(param)), "{}", reply.text());
    }
}

#[tokio::test]
async fn a_response_in_the_background_can_be_canceled() {
    let world = World::new("[[rules]]\nanswer = \"a b\"\nfault = \"hang\"\nfault_after = 1").await;
    let body = json!({"model": "default", "input": "hello", "background": true});
    let made = world.app.post("/v1/responses").json(body).send().await.json();
    assert_eq!(made["status"], "queued", "{made}");
    world.provider.until_open(1).await;
    let path = format!("/v1/responses/{}", made["id"].as_str().unwrap());
    let canceled = world.app.post(&format!("{path}/cancel")).send().await.json();
    assert_eq!(canceled["status"], "cancelled", "{canceled}");
    world.provider.until_open(0).await;
    assert_eq!(world.app.get(&path).send().await.json()["status"], "cancelled");
}

#[tokio::test]
async fn models_are_listed_and_one_that_cannot_embed_here_says_so() {
    let world = World::new(ANSWER).await;
    let list = world.app.get("/v1/models").send().await.json();
    let names: Vec<_> = list["data"].as_array().unwrap().iter().map(|m| m["id"].as_str().unwrap()).collect();
    assert_eq!(names, ["behind", "default"]);
    for (change, param) in [(json!({"input": [1, 2]}), "input"), (json!({"encoding_format": "hex"}), "encoding_format")] {
        let mut body = json!({"model": "default", "input": "x"});
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let reply = world.app.post("/v1/embeddings").json(body).send().await;
        assert_eq!((reply.status, reply.json()["error"]["param"].as_str()), (400, Some(param)), "{}", reply.text());
    }
}

#[tokio::test]
async fn a_caller_who_hangs_up_stops_the_model_within_a_tenth_of_a_second() {
    for (rules, stream) in
        [("fault = \"hang\"", false), ("fault = \"hang\"", true), ("answer = \"a b\"\nfault = \"hang\"\nfault_after = 1", true)]
    {
        let world = World::new(&format!("[[rules]]\n{rules}")).await;
        let address = world.app.listen().await;
        let body = with(json!({"stream": stream})).to_string();
        let token = world.app.app.token.expose();
        let request = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
        socket.write_all(request.as_bytes()).await.unwrap();
        world.provider.until_open(1).await;
        let begun = tokio::time::Instant::now();
        drop(socket);
        world.provider.until_open(0).await;
        assert!(begun.elapsed() < std::time::Duration::from_millis(100), "{rules} {stream}: {:?}", begun.elapsed());
    }
}
