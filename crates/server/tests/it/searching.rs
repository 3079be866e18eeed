//! What people type into a search, and what nobody should.

use serde_json::json;

use crate::support::TestApp;

/// Names of the documents found, best first.
async fn found(app: &TestApp, query: &str) -> Vec<String> {
    let reply = app.post("/api/v1/search").json(json!({ "query": query })).send().await;
    assert_eq!(reply.status, 200, "{query:?}: {}", reply.text());
    let mut names: Vec<String> = Vec::new();
    for item in reply.json()["items"].as_array().unwrap() {
        let name = item["document"].as_str().unwrap().to_owned();
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

async fn office() -> TestApp {
    let app = TestApp::new().await;
    let (source, _) = app.ingested("handbook", "leave.md", "Annual leave is 26 days. Ask for it in the portal.").await;
    for (name, text) in [
        ("unpaid.md", "Unpaid leave is granted annually by the director."),
        ("laser.md", "The laser printer on the second floor prints in colour."),
        ("ink.md", "The ink printer in the archive prints slowly."),
        ("awaria.md", "Awarię drukarki zgłoś 21 listopada 2026 r. Koszt naprawy to 10 000 zł."),
        ("сеть.md", "Если сеть не работает, позвоните дежурному. Ошибка E-4012 означает сбой."),
    ] {
        app.upload(&source, name, text.as_bytes()).await;
    }
    app.drain().await;
    app
}

#[tokio::test]
async fn operators_say_what_must_be_there_and_what_must_not() {
    let app = office().await;
    assert_eq!(found(&app, "\"annual leave\"").await, ["leave.md"]);
    assert_eq!(found(&app, "„annual leave”").await, ["leave.md"]);
    let without = found(&app, "printer -laser").await;
    assert!(without.contains(&"ink.md".to_owned()) && !without.contains(&"laser.md".to_owned()), "{without:?}");
    let without = found(&app, "leave -\"annual leave\"").await;
    assert!(without.contains(&"unpaid.md".to_owned()) && !without.contains(&"leave.md".to_owned()), "{without:?}");
    assert_eq!(found(&app, "printer +archive").await, ["ink.md"]);
    assert_eq!(found(&app, "colo*").await[0], "laser.md");
    assert!(found(&app, "+nowhere printer").await.is_empty());
}

#[tokio::test]
async fn a_typing_error_is_forgiven_and_a_code_is_not() {
    let app = office().await;
    assert_eq!(found(&app, "drukrka").await[0], "awaria.md");
    assert_eq!(found(&app, "archvie").await[0], "ink.md");
    assert_eq!(found(&app, "ошибка E-4012").await[0], "сеть.md");
    assert!(found(&app, "4013").await.is_empty(), "the next number is another thing");
}

#[tokio::test]
async fn dates_and_numbers_are_found_in_every_way_of_writing() {
    let app = office().await;
    for query in ["2026-11-21", "21.11.2026", "November 21, 2026", "21 ноября 2026", "10000", "10,000"] {
        assert_eq!(found(&app, query).await.first().map(String::as_str), Some("awaria.md"), "{query}");
    }
}

#[tokio::test]
async fn odd_queries_and_questions_are_answered_and_what_is_too_long_is_refused_by_its_field() {
    let app = office().await;
    let limit = "я".repeat(2000);
    for odd in [
        "a",
        "?",
        "-",
        "\"",
        "*",
        "the of and",
        "и в на",
        "w z na",
        "🙂",
        "👩‍👩‍👧‍👦 leave",
        "שלום עולם",
        "مرحبا بالعالم",
        "\u{202e}evael",
        "le\u{200b}ave",
        "\u{feff}",
        "сеть network sieć 网络",
        ".*\\.(md|txt)$",
        "[a-z]+(foo|bar){2,}",
        "foo AND (bar OR NOT baz) title:x^2~",
        "'; DROP TABLE chunks; --",
        "%_\\",
        "C++ -5 °C +48 600 100 200",
        "\"unbalanced",
        "+ - \"\" * -\"\"",
        &limit,
    ] {
        for (path, field) in [("/api/v1/search", "query"), ("/api/v1/ask", "question")] {
            let reply = app.post(path).json(json!({ field: odd })).send().await;
            assert_eq!(reply.status, 200, "{path} {odd:?}: {}", reply.text());
        }
    }
    for bad in ["", "   ", "\n\t", "a\0b", &"x".repeat(2001), &"слово ".repeat(17_000)] {
        for (path, field) in [("/api/v1/search", "query"), ("/api/v1/ask", "question")] {
            let reply = app.post(path).json(json!({ field: bad })).send().await;
            let named = reply.json()["errors"][0]["field"].as_str().map(str::to_owned);
            assert_eq!((reply.status, named.as_deref()), (400, Some(field)), "{path}: {}", reply.text());
        }
    }
    assert_eq!(found(&app, "le\u{200b}ave -unpaid").await[0], "leave.md", "a zero-width space is not seen");
}
