//! Sources that answer as if they were models: `astrolabe/<source>` over `/v1/chat/completions`.

use astrolabe_kernel::{
    Principal, Role,
    principal::{Right, Rights, default_tenant},
};
use axum::http::Method;
use serde_json::{Value, json};

use crate::support::{Reply, TestApp};

const HANDBOOK: &str =
    "# Keys\n\n## Office keys\n\nThe office keys are kept at the reception desk in Łódź. Ask for Żaneta, who notes the number.\n";

fn body(model: &str, change: &Value) -> Value {
    let messages = json!([{"role": "user", "content": "Hello!"}, {"role": "assistant", "content": "Hello, what do you want to know?"},
                          {"role": "user", "content": "Where are the office keys kept?"}]);
    let mut body = json!({"model": model, "messages": messages});
    body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    body
}

async fn chat(app: &TestApp, model: &str, change: Value) -> Reply {
    app.post("/v1/chat/completions").json(body(model, &change)).send().await
}

fn events(reply: &Reply) -> Vec<Value> {
    let text = reply.text().to_owned();
    let data: Vec<&str> = text.split("\n\n").filter_map(|e| e.strip_prefix("data: ")).collect();
    assert_eq!(data.last(), Some(&"[DONE]"), "{}", reply.text());
    data.iter().filter(|d| **d != "[DONE]").map(|d| serde_json::from_str(d).unwrap()).collect()
}

/// The citations' places, read in the text.
fn check(text: &str, annotations: &Value, citations: &Value) {
    assert!(!annotations.as_array().unwrap().is_empty(), "{annotations}");
    for annotation in annotations.as_array().unwrap() {
        let place = &annotation["url_citation"];
        let (start, end) = (place["start_index"].as_u64().unwrap() as usize, place["end_index"].as_u64().unwrap() as usize);
        assert_eq!(text.chars().skip(start).take(end - start).collect::<String>(), "[1]");
        assert_eq!(place["title"], "keys.md");
    }
    assert_eq!((&citations[0]["n"], &citations[0]["document"]), (&json!(1), &json!("keys.md")));
}

#[tokio::test]
async fn a_source_answers_as_a_model_with_its_citations_whole_and_in_pieces() {
    let app = TestApp::new().await;
    app.ingested("handbook", "keys.md", HANDBOOK).await;
    let list = app.get("/v1/models").send().await.json();
    assert_eq!(list["data"].as_array().unwrap().iter().map(|m| m["id"].as_str().unwrap()).collect::<Vec<_>>(), ["astrolabe/handbook"]);
    assert_eq!(app.get("/v1/models/astrolabe%2Fhandbook").send().await.json()["id"], "astrolabe/handbook");
    let whole = chat(&app, "astrolabe/handbook", json!({})).await;
    assert_eq!(whole.status, 200, "{}", whole.text());
    let whole = whole.json();
    let message = &whole["choices"][0]["message"];
    let text = message["content"].as_str().unwrap();
    assert!(text.contains("reception desk") && whole["usage"]["total_tokens"].as_u64().unwrap() > 10, "{whole}");
    check(text, &message["annotations"], &whole["citations"]);
    let streamed = chat(&app, "astrolabe/handbook", json!({"stream": true, "stream_options": {"include_usage": true}})).await;
    let events = events(&streamed);
    let said: String = events.iter().filter_map(|e| e["choices"][0]["delta"]["content"].as_str()).collect();
    assert_eq!((said.as_str(), events[0]["choices"][0]["delta"]["role"].as_str()), (text, Some("assistant")));
    let cited = events.iter().find(|e| e["citations"].is_array()).unwrap();
    check(&said, &cited["choices"][0]["delta"]["annotations"], &cited["citations"]);
    assert_eq!(events.last().unwrap()["usage"], whole["usage"]);
    assert_eq!(app.actions().await.iter().filter(|action| *action == "ask").count(), 2, "they are questions like any other");
}

#[tokio::test]
async fn what_a_source_cannot_do_or_a_caller_may_not_is_refused_by_name() {
    let app = TestApp::new().await;
    app.ingested("handbook", "keys.md", HANDBOOK).await;
    let tool = json!([{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]);
    for (model, change, status, param) in [
        ("astrolabe/nothing", json!({}), 404, "model"),
        ("astrolabe/", json!({}), 404, "model"),
        ("astrolabe/handbook", json!({"tools": tool}), 400, "tools"),
        ("astrolabe/handbook", json!({"response_format": {"type": "json_object"}}), 400, "response_format"),
        ("astrolabe/handbook", json!({"messages": [{"role": "system", "content": "x"}]}), 400, "messages"),
        ("astrolabe/handbook", json!({"messages": [{"role": "user", "content": "x".repeat(3000)}]}), 400, "messages"),
        ("astrolabe/handbook", json!({"messages": [{"role": "user", "content": "x".repeat(3000)}], "stream": true}), 400, "messages"),
    ] {
        let reply = chat(&app, model, change.clone()).await;
        assert_eq!((reply.status, reply.json()["error"]["param"].as_str()), (status, Some(param)), "{model} {change}: {}", reply.text());
    }
    // A source that lists its readers is not there for others.
    let mut stranger = Principal::new("user:stranger", "stranger", default_tenant(), Role::Editor, Vec::new(), "token");
    let (secret, _) = app.ingested("secret", "keys.md", HANDBOOK).await;
    let readers = app.call(Method::PATCH, &format!("/api/v1/sources/{secret}")).json(json!({"readers": ["user:boss"]})).send().await;
    assert_eq!(readers.status, 200, "{}", readers.text());
    let names = app.acting(&stranger, Method::GET, "/v1/models").send().await.text().to_owned();
    assert!(!names.contains("astrolabe/secret"), "{names}");
    let reply = app.acting(&stranger, Method::POST, "/v1/chat/completions").json(body("astrolabe/secret", &json!({}))).send().await;
    assert_eq!(reply.status, 404, "{}", reply.text());
    // A key that was made for models alone asks no sources.
    stranger.scope = Rights::from_iter([Right::UseModels]);
    let reply = app.acting(&stranger, Method::POST, "/v1/chat/completions").json(body("astrolabe/handbook", &json!({}))).send().await;
    assert_eq!(reply.status, 403, "{}", reply.text());
    assert!(!app.acting(&stranger, Method::GET, "/v1/models").send().await.text().contains("astrolabe/"));
}
