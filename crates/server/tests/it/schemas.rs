//! Replies that have to keep to a JSON Schema, over both of OpenAI's endpoints.

use astrolabe_gateway::scripted::{Script, ScriptedServer};
use astrolabe_kernel::Lifecycle;
use serde_json::{Value, json};

use crate::support::{Reply, TestApp};

const GOOD: &str = r#"{"n": 2}"#;
const BAD: &str = r#"{"n": "two"}"#;

struct World {
    app: TestApp,
    provider: ScriptedServer,
}

impl World {
    /// A model that gives these answers, one after the other.
    async fn new(answers: &[&str]) -> Self {
        let rule = |answer: &&str| {
            format!("[[rules]]\ntimes = 1\nanswer = '''{answer}'''\nusage = {{ prompt_tokens = 7, completion_tokens = 5 }}\n")
        };
        let rules: String = answers.iter().map(rule).collect();
        Self::with(&rules).await
    }

    async fn with(rules: &str) -> Self {
        let provider =
            ScriptedServer::start(Script::from_toml(rules).unwrap(), ([127, 0, 0, 1], 0).into(), &Lifecycle::new()).await.unwrap();
        let app = TestApp::with(&[("model.base_url", &provider.base_url()), ("model.name", "behind")]).await;
        Self { app, provider }
    }

    async fn chat(&self, change: Value) -> Reply {
        let format = json!({"type": "json_schema", "json_schema": {"name": "number", "schema": schema()}});
        let mut body =
            json!({"model": "default", "messages": [{"role": "user", "content": "a number, please"}], "response_format": format});
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        self.app.post("/v1/chat/completions").json(body).send().await
    }

    async fn response(&self, change: Value) -> Reply {
        let format = json!({"type": "json_schema", "name": "number", "schema": schema()});
        let mut body = json!({"model": "default", "input": "a number, please", "text": {"format": format}});
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        self.app.post("/v1/responses").json(body).send().await
    }
}

fn schema() -> Value {
    json!({"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": false})
}

fn events(reply: &Reply) -> Vec<Value> {
    let data =
        reply.text().split("\n\n").filter_map(|e| e.lines().find_map(|l| l.strip_prefix("data: "))).map(str::to_owned).collect::<Vec<_>>();
    data.iter().filter(|d| *d != "[DONE]").map(|d| serde_json::from_str(d).unwrap()).collect()
}

#[tokio::test]
async fn a_reply_that_keeps_to_its_schema_is_given_without_the_fence_around_it() {
    let world = World::new(&[GOOD, "```json\n{\"n\": 3}\n```", GOOD]).await;
    assert_eq!(world.chat(json!({})).await.json()["choices"][0]["message"]["content"], GOOD);
    assert_eq!(world.chat(json!({})).await.json()["choices"][0]["message"]["content"], "{\"n\": 3}");
    assert_eq!(world.response(json!({})).await.json()["output"][0]["content"][0]["text"], GOOD);
    assert_eq!(world.provider.requests(), 3);
    assert_eq!(world.provider.bodies()[0]["response_format"]["json_schema"]["schema"], schema());
}

#[tokio::test]
async fn a_reply_that_breaks_its_schema_is_asked_for_once_more_with_its_faults_and_both_are_paid() {
    let world = World::new(&[BAD, GOOD, "Sure!", GOOD]).await;
    let reply = world.chat(json!({})).await;
    assert_eq!(reply.json()["choices"][0]["message"]["content"], GOOD, "{}", reply.text());
    assert_eq!(reply.json()["usage"]["total_tokens"], 24, "the usage is that of both");
    let sent = world.provider.bodies()[1]["messages"].clone();
    assert_eq!((sent.as_array().unwrap().len(), &sent[1]["content"]), (3, &json!(BAD)));
    assert!(sent[2]["content"].as_str().unwrap().contains("/n"), "{sent}");
    assert_eq!(world.response(json!({})).await.json()["output"][0]["content"][0]["text"], GOOD);
    world.app.app.ledger.flush().await.unwrap();
    let total = world.app.get("/api/v1/usage").send().await.json()["total"].clone();
    assert_eq!((&total["requests"], &total["output_tokens"]), (&json!(4), &json!(20)));
}

#[tokio::test]
async fn a_model_that_breaks_its_schema_twice_is_an_error_that_says_how() {
    let world = World::new(&[BAD, BAD, BAD, BAD]).await;
    for reply in [world.chat(json!({})).await, world.response(json!({})).await] {
        let error = &reply.json()["error"];
        assert_eq!((reply.status, &error["code"]), (502, &json!("output_invalid")), "{}", reply.text());
        assert!(error["message"].as_str().unwrap().contains("/n"), "{error}");
    }
    assert_eq!(world.provider.requests(), 4, "one more try each, and no third");
}

#[tokio::test]
async fn a_stream_that_breaks_its_schema_ends_with_an_error_of_the_apis_own_shape() {
    let world = World::new(&[BAD, GOOD, BAD, GOOD]).await;
    let broken = world.chat(json!({"stream": true})).await;
    assert_eq!(broken.status, 200);
    let last = events(&broken).pop().unwrap();
    assert_eq!(last["error"]["code"], "output_invalid", "{}", broken.text());
    assert!(!broken.text().contains("[DONE]") && !broken.text().contains("\"finish_reason\":\"stop\""), "{}", broken.text());
    let good = world.chat(json!({"stream": true})).await;
    assert!(good.text().contains("[DONE]") && !good.text().contains("\"error\""), "{}", good.text());
    let broken = events(&world.response(json!({"stream": true})).await).pop().unwrap();
    assert_eq!((&broken["type"], &broken["response"]["status"]), (&json!("response.failed"), &json!("failed")), "{broken}");
    assert!(broken["response"]["error"]["message"].as_str().unwrap().contains("schema"), "{broken}");
    let good = events(&world.response(json!({"stream": true})).await).pop().unwrap();
    assert_eq!(good["type"], "response.completed", "{good}");
    assert_eq!(world.provider.requests(), 4, "what was said cannot be asked for again");
}

#[tokio::test]
async fn a_reply_that_was_cut_or_asks_for_a_tool_is_left_as_it_is() {
    let rules =
        "[[rules]]\ntimes = 2\nanswer = '{\"n\": '\nfinish_reason = \"length\"\n[[rules]]\ncalls = [{ name = \"f\", arguments = '{}' }]";
    let world = World::with(rules).await;
    for stream in [false, true] {
        let cut = world.chat(json!({"stream": stream})).await;
        assert!(cut.status == 200 && cut.text().contains("\"finish_reason\":\"length\""), "{}", cut.text());
    }
    let tool = json!([{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]);
    for stream in [false, true] {
        let call = world.chat(json!({"stream": stream, "tools": tool})).await;
        assert!(call.status == 200 && call.text().contains("\"finish_reason\":\"tool_calls\""), "{}", call.text());
    }
    assert_eq!(world.provider.requests(), 4);
}

#[tokio::test]
async fn a_schema_that_cannot_be_used_is_named_and_so_is_a_field_that_would_be_lost() {
    let world = World::new(&[GOOD]).await;
    let format = json!({"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": 5}}});
    let text = json!({"format": {"type": "json_schema", "name": "x", "schema": {"$ref": "https://example.org/a.json"}}});
    for (reply, param) in [
        (world.chat(json!({"response_format": format})).await, "response_format.json_schema.schema"),
        (world.response(json!({"text": text})).await, "text.format.schema"),
        (world.chat(json!({"logprobs": true})).await, "logprobs"),
    ] {
        assert_eq!((reply.status, reply.json()["error"]["param"].as_str()), (400, Some(param)), "{}", reply.text());
    }
    assert_eq!(world.provider.requests(), 0);
}
