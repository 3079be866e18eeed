//! Questions and answers over HTTP: the shape to the letter, and streams that resume.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::{Event, TestApp};

const HANDBOOK: &str = "# Urlopy\n\n## Wymiar\n\nPracownikowi przysługuje 26 dni urlopu wypoczynkowego w roku. Zaległe dni wygasają 30 września.\n\n\
                        ## Office keys\n\nThe office keys are kept at the reception desk in Łódź. Ask for Żaneta, who notes the key's number.\n";
const QUESTION: &str = "Where are the office keys kept?";

async fn filled() -> TestApp {
    let app = TestApp::new().await;
    app.ingested("handbook", "guide/urlopy.md", HANDBOOK).await;
    app
}

fn keys(value: &Value) -> BTreeSet<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

/// The citations' ranges, read in the documents they name.
async fn check_citations(app: &TestApp, answer: &Value) {
    for citation in answer["citations"].as_array().unwrap() {
        let id = citation["document_id"].as_str().unwrap();
        let content = app.get(&format!("/api/v1/documents/{id}/content")).send().await.json();
        let (start, end) = (citation["start"].as_u64().unwrap() as usize, citation["end"].as_u64().unwrap() as usize);
        let text: String = content["text"].as_str().unwrap().chars().skip(start).take(end - start).collect();
        assert_eq!(text, citation["text"].as_str().unwrap(), "offsets count characters of the document's text");
        assert_eq!(content["name"], citation["document"]);
    }
}

#[tokio::test]
async fn an_answer_has_its_shape_to_the_letter() {
    let app = filled().await;
    let reply = app.post("/api/v1/ask").json(json!({"question": QUESTION, "sources": ["handbook"], "limit": 5})).send().await;
    assert_eq!((reply.status, reply.header("content-type")), (200, "application/json"));
    let answer = reply.json();
    let fields = ["answer", "answered", "citations", "created_at", "id", "lang", "mode", "notices", "question", "retrieval", "trace_id"];
    assert_eq!(keys(&answer), fields.into());
    assert_eq!(
        (answer["answered"].as_bool(), answer["mode"].as_str(), answer["lang"].as_str()),
        (Some(true), Some("extractive"), Some("en"))
    );
    assert_eq!(
        (answer["question"].as_str(), answer["retrieval"].as_str(), &answer["notices"]),
        (Some(QUESTION), Some("lexical"), &json!(["no_embedder"]))
    );
    assert!(
        answer["id"].as_str().unwrap().starts_with("ask_") && answer["answer"].as_str().unwrap().contains("reception desk"),
        "{answer}"
    );
    assert_eq!(answer["trace_id"].as_str().unwrap().len(), 32);
    let citation = &answer["citations"][0];
    let fields = ["document", "document_id", "end", "heading", "n", "score", "source", "source_id", "start", "text"];
    assert_eq!(keys(citation), fields.into());
    assert_eq!(
        (citation["n"].as_i64(), citation["document"].as_str(), citation["source"].as_str()),
        (Some(1), Some("guide/urlopy.md"), Some("handbook"))
    );
    assert_eq!(citation["heading"], "Urlopy > Office keys");
    assert!(citation["score"].as_f64().is_some_and(|s| s > 0.0 && s <= 1.0));
    check_citations(&app, &answer).await;
}

#[tokio::test]
async fn an_answer_carries_the_trace_of_its_request() {
    let app = filled().await;
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let parent = format!("00-{trace}-b7ad6b7169203331-01");
    let answer = app.post("/api/v1/ask").header("traceparent", &parent).json(json!({"question": QUESTION})).send().await.json();
    assert_eq!(answer["trace_id"], trace);
}

#[tokio::test]
async fn what_the_sources_do_not_answer_is_said_in_the_questions_language() {
    let app = filled().await;
    for (question, text) in [
        ("What is the melting point of tungsten?", "Not found in the sources."),
        ("Jaka jest temperatura topnienia wolframu?", "Nie znaleziono odpowiedzi w źródłach."),
        ("Какова температура плавления вольфрама?", "В источниках ответа не найдено."),
    ] {
        let answer = app.post("/api/v1/ask").json(json!({"question": question})).send().await.json();
        assert_eq!((answer["answered"].as_bool(), answer["answer"].as_str()), (Some(false), Some(text)));
        assert_eq!(answer["citations"], json!([]));
    }
}

#[tokio::test]
async fn an_answer_in_another_language_has_its_citation_right_to_the_character() {
    let app = filled().await;
    let answer = app.post("/api/v1/ask").json(json!({"question": "Ile dni urlopu przysługuje pracownikowi?"})).send().await.json();
    assert!(answer["answer"].as_str().unwrap().contains("26 dni"), "{answer}");
    assert_eq!(answer["lang"], "pl");
    check_citations(&app, &answer).await;
}

async fn stream(app: &TestApp, accept: &str) -> Vec<Event> {
    app.post("/api/v1/ask").header("accept", accept).json(json!({"question": QUESTION})).send().await.events()
}

fn check_order(events: &[Event]) {
    assert_eq!(events.iter().map(|e| e.seq).collect::<Vec<_>>(), (1..=i64::try_from(events.len()).unwrap()).collect::<Vec<_>>());
    let kinds: Vec<&str> = events.iter().map(|e| e.kind.as_str()).collect();
    let (first, rest) = kinds.split_at(2);
    let (last, deltas) = rest.split_last().unwrap();
    assert_eq!((first, *last), (["ask.started", "ask.retrieved"].as_slice(), "ask.completed"));
    assert!(!deltas.is_empty() && deltas.iter().all(|k| *k == "answer.delta"), "{kinds:?}");
    assert_eq!(keys(&events[0].data), ["id", "question", "trace_id"].into());
    assert_eq!(keys(&events[1].data), ["passages", "retrieval"].into());
    let told: String = events.iter().filter(|e| e.kind == "answer.delta").map(|e| e.data["text"].as_str().unwrap()).collect();
    let answer = &events.last().unwrap().data;
    assert_eq!(answer["answer"], told);
    assert_eq!(answer["id"], events[0].data["id"], "the first event carries the id to resume with");
}

#[tokio::test]
async fn an_answer_streams_in_order_as_server_sent_events_and_as_lines_of_json() {
    let app = filled().await;
    for accept in ["text/event-stream", "application/x-ndjson"] {
        let events = stream(&app, accept).await;
        check_order(&events);
        check_citations(&app, &events.last().unwrap().data).await;
    }
}

#[tokio::test]
async fn a_stream_that_was_cut_resumes_with_exactly_the_rest() {
    let app = filled().await;
    let whole = stream(&app, "text/event-stream").await;
    let path = format!("/api/v1/asks/{}/events", whole[0].data["id"].as_str().unwrap());
    for cut in 0..=whole.len() {
        let rest = &whole[cut..];
        for accept in ["text/event-stream", "application/x-ndjson"] {
            let by_header = app.get(&path).header("accept", accept).header("last-event-id", &cut.to_string()).send().await;
            assert_eq!(by_header.events(), rest, "behind {cut} as {accept}");
            let by_query = app.get(&format!("{path}?after={cut}")).header("accept", accept).send().await;
            assert_eq!(by_query.events(), rest, "behind {cut} as {accept}");
        }
    }
    // The header wins, because the browser sets it by itself.
    let both = app.get(&format!("{path}?after=0")).header("last-event-id", "2").send().await;
    assert_eq!(both.events(), &whole[2..]);
    for wrong in ["x", "-1", "1.5", ""] {
        let reply = app.get(&path).header("last-event-id", wrong).send().await;
        assert_eq!((reply.status, reply.code().as_str()), (400, "invalid_header"), "{wrong:?}");
    }
}

#[tokio::test]
async fn a_stream_is_the_same_after_a_restart() {
    let app = filled().await;
    let whole = stream(&app, "text/event-stream").await;
    let id = whole[0].data["id"].as_str().unwrap().to_owned();
    let app = app.restarted().await;
    assert_eq!(app.get(&format!("/api/v1/asks/{id}/events")).send().await.events(), whole);
    assert_eq!(app.get(&format!("/api/v1/asks/{id}")).send().await.json()["answer"], whole.last().unwrap().data);
}

#[tokio::test]
async fn asks_are_kept_newest_first_page_by_page() {
    let app = filled().await;
    for question in ["one?", "two?", "three?"] {
        app.advance(std::time::Duration::from_millis(5));
        assert_eq!(app.post("/api/v1/ask").json(json!({ "question": question })).send().await.status, 200);
    }
    let first = app.get("/api/v1/asks?limit=2").send().await.json();
    let questions =
        |page: &Value| page["items"].as_array().unwrap().iter().map(|a| a["question"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(questions(&first), ["three?", "two?"]);
    let second = app.get(&format!("/api/v1/asks?limit=2&cursor={}", first["next_cursor"].as_str().unwrap())).send().await.json();
    assert_eq!((questions(&second), &second["next_cursor"]), (vec!["one?".to_owned()], &Value::Null));
    assert_eq!(first["items"][0]["state"], "completed");
}

#[tokio::test]
async fn more_questions_than_may_be_answered_at_once_are_sent_away_with_a_time() {
    let app = TestApp::with(&[("knowledge.max_asks", "1")]).await;
    app.ingested("handbook", "a.md", HANDBOOK).await;
    // One permit, and more questions at once than that: whoever does not get it is told when to come back.
    let asks = (0..12).map(|_| app.post("/api/v1/ask").json(json!({"question": QUESTION})).send());
    let replies = futures_util::future::join_all(asks).await;
    let refused: Vec<_> = replies.iter().filter(|r| r.status == 503).collect();
    assert!(!refused.is_empty() && refused.len() < replies.len(), "{:?}", replies.iter().map(|r| r.status).collect::<Vec<_>>());
    for reply in refused {
        assert_eq!(reply.code(), "overloaded");
        assert!(reply.header("retry-after").parse::<u64>().unwrap() > 0);
        assert!(reply.json()["detail"].as_str().unwrap().contains("knowledge.max_asks"));
    }
    assert_eq!(app.post("/api/v1/ask").json(json!({"question": QUESTION})).send().await.status, 200, "the place is free again");
}

async fn with_model(rules: &str) -> (TestApp, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rules.toml");
    std::fs::write(&file, rules).unwrap();
    let app = TestApp::with(&[("model.name", &format!("scripted/{}", file.display()))]).await;
    app.ingested("handbook", "keys.md", HANDBOOK).await;
    (app, folder)
}

#[tokio::test]
async fn a_configured_model_writes_the_answer_and_its_text_streams_in_pieces() {
    let rules = "[[rules]]\nanswer = \"The office keys are kept at the reception desk in Łódź [1]. Ask for Żaneta, who notes the key's number [1].\"\npause_ms = 4";
    let (app, _rules) = with_model(rules).await;
    let events = stream(&app, "text/event-stream").await;
    check_order(&events);
    let answer = &events.last().unwrap().data;
    assert_eq!((answer["mode"].as_str(), answer["answered"].as_bool()), (Some("model"), Some(true)));
    assert_eq!(
        answer["answer"],
        "The office keys are kept at the reception desk in Łódź [1]. Ask for Żaneta, who notes the key's number [1]."
    );
    check_citations(&app, answer).await;
    assert_eq!(app.anonymous(axum::http::Method::GET, "/readyz").send().await.json()["dependencies"]["chat_model"]["status"], "ok");
}

#[tokio::test]
async fn a_model_that_fails_is_replaced_by_the_sources_own_sentences_and_named() {
    let (app, _rules) = with_model("[[rules]]\nstatus = 401\nanswer = \"no\"").await;
    let answer = app.post("/api/v1/ask").json(json!({"question": QUESTION})).send().await.json();
    assert_eq!((answer["mode"].as_str(), answer["answered"].as_bool()), (Some("extractive"), Some(true)));
    assert!(answer["notices"].as_array().unwrap().contains(&json!("model_unavailable")), "{answer}");
}

#[tokio::test]
async fn an_answer_that_the_model_breaks_off_says_so() {
    let rules = "[[rules]]\nanswer = \"The office keys are kept at the reception desk in Łódź [1]. And more that never comes.\"\nfault = \"cut\"\nfault_after = 14";
    let (app, _rules) = with_model(rules).await;
    let events = stream(&app, "application/x-ndjson").await;
    let answer = &events.last().unwrap().data;
    assert_eq!(events.last().unwrap().kind, "ask.completed");
    assert!(answer["notices"].as_array().unwrap().contains(&json!("model_interrupted")), "{answer}");
}
