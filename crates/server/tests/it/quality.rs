//! Feedback and question sets over HTTP.

use axum::http::Method;
use serde_json::json;

use crate::support::TestApp;

async fn app() -> TestApp {
    let app = TestApp::new().await;
    app.ingested("manuals", "backup.md", "# Backups\n\nBackups are kept for 35 days. After that they are deleted.\n").await;
    app
}

#[tokio::test]
async fn a_set_is_made_changed_run_and_plotted() {
    let app = app().await;
    let new = json!({"name": "nightly", "sources": ["manuals"], "questions": [
        {"id": "a", "question": "How long are backups kept?", "document": "backup.md", "answer_any": ["35 days"]},
        {"id": "b", "question": "Who painted the ceiling of the chapel?", "answerable": false},
    ]});
    let made = app.post("/api/v1/question-sets").json(new.clone()).send().await;
    assert_eq!((made.status, made.header("etag")), (201, "\"1\""), "{}", made.text());
    let path = format!("/api/v1/question-sets/{}", made.json()["id"].as_str().unwrap());
    assert_eq!(app.post("/api/v1/question-sets").json(new.clone()).send().await.code(), "conflict");

    let mut changed = new.clone();
    changed["description"] = json!("every night");
    let put = |tag: &'static str| app.call(Method::PUT, &path).header("if-match", tag).json(changed.clone());
    let stale = put("\"9\"").send().await;
    assert_eq!((stale.status, stale.code().as_str()), (412, "precondition_failed"));
    let done = put("\"1\"").send().await;
    assert_eq!((done.status, done.header("etag")), (200, "\"2\""), "{}", done.text());

    let lines = app.get(&format!("{path}/questions")).send().await;
    assert_eq!((lines.header("content-type"), lines.text().lines().count()), ("application/x-ndjson", 2));
    let back = app.call(Method::PUT, &format!("{path}/questions")).body("application/x-ndjson", lines.body.clone()).send().await;
    assert_eq!(back.status, 200, "{}", back.text());

    let run = app.post(&format!("{path}/runs")).send().await;
    assert_eq!(run.status, 202, "{}", run.text());
    assert_eq!(app.post(&format!("{path}/runs")).send().await.code(), "invalid_state");
    app.drain().await;
    let run = app.get(&format!("{path}/runs/{}", run.json()["id"].as_str().unwrap())).send().await.json();
    assert_eq!((run["state"].as_str(), run["figures"]["total"].clone()), (Some("ready"), json!({"right": 2, "of": 2})), "{run}");
    assert_eq!(app.get(&path).send().await.json()["last_run"]["id"], run["id"]);

    let plot = app.get(&format!("{path}/plot.svg")).header("accept-language", "ru").send().await;
    assert_eq!((plot.status, plot.header("content-type")), (200, "image/svg+xml"));
    assert!(plot.text().contains("Верные ответы во времени"), "{}", plot.text());
    assert_eq!(app.call(Method::DELETE, &path).send().await.status, 204);
    assert_eq!(app.get(&format!("{path}/plot.svg")).send().await.status, 404);
    let actions = app.actions().await;
    for action in ["question_sets.create", "question_sets.update", "question_sets.run", "question_sets.delete"] {
        assert!(actions.iter().any(|a| a == action), "{action} is not in {actions:?}");
    }
}

#[tokio::test]
async fn feedback_is_given_listed_and_made_a_question() {
    let app = app().await;
    let answer = app.post("/api/v1/ask").json(json!({"question": "How long are backups kept?"})).send().await.json();
    let path = format!("/api/v1/asks/{}/feedback", answer["id"].as_str().unwrap());
    assert_eq!(app.get(&path).send().await.json(), json!({"feedback": null}));
    let wrong = app.post(&path).json(json!({"rating": "sideways"})).send().await;
    assert_eq!((wrong.status, wrong.json()["errors"][0]["field"].as_str()), (400, Some("rating")));
    let given = app.post(&path).json(json!({"rating": "down", "reason": "incomplete", "comment": "and then?"})).send().await;
    assert_eq!(given.status, 200, "{}", given.text());
    let listed = app.get("/api/v1/feedback?rating=down").send().await.json();
    assert_eq!(listed["items"][0]["id"], given.json()["id"]);
    assert!(app.get("/api/v1/feedback?rating=up").send().await.json()["items"].as_array().unwrap().is_empty());
    let set = app.post("/api/v1/question-sets").json(json!({"name": "from people"})).send().await.json();
    let made = app
        .post(&format!("/api/v1/feedback/{}/question", given.json()["id"].as_str().unwrap()))
        .json(json!({"question_set_id": set["id"], "answer_any": ["deleted"]}))
        .send()
        .await;
    assert_eq!(made.status, 201, "{}", made.text());
    let set = app.get(&format!("/api/v1/question-sets/{}", set["id"].as_str().unwrap())).send().await.json();
    assert_eq!((set["questions"][0]["answer_any"].clone(), set["version"].as_i64()), (json!(["deleted"]), Some(2)));
    assert_eq!(app.call(Method::DELETE, &path).send().await.status, 204);
    assert_eq!(app.get("/api/v1/asks/ask_01JD3V9M7Q4R8T2W6X0Y5Z1ABC/feedback").send().await.status, 404);
    let actions = app.actions().await;
    for action in ["feedback.give", "feedback.question", "feedback.withdraw"] {
        assert!(actions.iter().any(|a| a == action), "{action} is not in {actions:?}");
    }
}
