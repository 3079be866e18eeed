//! Search over HTTP: what may be said, what is found, and what it tells of itself.

use axum::http::Method;
use serde_json::{Value, json};

use crate::support::TestApp;

/// Two sources with documents that differ in everything that can be filtered by.
async fn filled() -> TestApp {
    let app = TestApp::new().await;
    let (guide, _) =
        app.ingested("guide", "gulls.md", "# Lighthouse\n\nThe keeper of the lighthouse counts the gulls every morning.").await;
    let (notes, _) = app
        .ingested(
            "notes",
            "gulls.txt",
            "Latarnik liczy mewy każdego ranka, a wieczorem liczy foki śpiące na skałach. Po angielsku mewy nazywają się gulls.",
        )
        .await;
    tagged(&app, &guide, "seals.md", "birds,rules", "# Seals\n\nSeals sleep on the rocks while the gulls watch them.").await;
    tagged(&app, &notes, "old.html", "rules", "<h1>Gulls</h1><p>Nobody may feed the gulls on the pier.</p>").await;
    app
}

async fn tagged(app: &TestApp, source: &str, name: &str, tags: &str, text: &str) {
    let (content_type, body) = astrolabe_server::client::multipart(&[(name.to_owned(), text.as_bytes().to_vec().into())]);
    let reply = app.post(&format!("/api/v1/sources/{source}/documents?tags={tags}")).body(&content_type, body).send().await;
    assert_eq!(reply.status, 202, "{}", reply.text());
    app.drain().await;
}

async fn search(app: &TestApp, body: Value) -> Value {
    let reply = app.post("/api/v1/search").json(body).send().await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()
}

fn names(reply: &Value) -> Vec<String> {
    let mut names: Vec<String> = reply["items"].as_array().unwrap().iter().map(|i| i["document"].as_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn each_filter_narrows_what_is_found_and_what_is_counted() {
    let app = filled().await;
    let all = search(&app, json!({"query": "gulls"})).await;
    assert_eq!((names(&all).len(), all["total"].as_u64()), (4, Some(4)));
    for (filter, expected) in [
        (json!({"sources": ["notes"]}), vec!["gulls.txt", "old.html"]),
        (json!({"tags": ["birds"]}), vec!["seals.md"]),
        (json!({"tags": ["birds", "rules"]}), vec!["old.html", "seals.md"]),
        (json!({"lang": "pl"}), vec!["gulls.txt"]),
        (json!({"mimes": ["text/html"]}), vec!["old.html"]),
        (json!({"updated_until": "2020-01-01T00:00:00Z"}), vec![]),
        (json!({"updated_from": "2020-01-01T00:00:00Z", "tags": ["birds"]}), vec!["seals.md"]),
        (json!({"tags": ["nothing has this"]}), vec![]),
        (json!({"tags": [], "mimes": [], "sources": []}), vec!["gulls.md", "gulls.txt", "old.html", "seals.md"]),
    ] {
        let mut body = filter.clone();
        body["query"] = json!("gulls");
        let found = search(&app, body).await;
        assert_eq!(
            (names(&found), found["total"].as_u64()),
            (expected.iter().map(|s| (*s).to_owned()).collect(), Some(expected.len() as u64)),
            "{filter}"
        );
    }
}

#[tokio::test]
async fn a_wrong_field_of_a_search_is_named() {
    let app = filled().await;
    for (wrong, field) in [
        (json!({"query": " "}), "query"),
        (json!({}), "query"),
        (json!({"query": "gulls", "limit": 0}), "limit"),
        (json!({"query": "gulls", "limit": 101}), "limit"),
        (json!({"query": "gulls", "lang": "de"}), "lang"),
        (json!({"query": "gulls", "mimes": ["text/html", "html"]}), "mimes[1]"),
        (json!({"query": "gulls", "tags": [""]}), "tags[0]"),
        (json!({"query": "gulls", "tags": vec!["a"; 33]}), "tags"),
        (json!({"query": "gulls", "diversity": 1.5}), "diversity"),
        (json!({"query": "gulls", "cursor": "next"}), "cursor"),
        (json!({"query": "gulls", "cursor": ""}), "cursor"),
        (json!({"query": "gulls", "mode": "magic"}), "mode"),
        (json!({"query": "gulls", "updated_from": "yesterday"}), "updated_from"),
        (json!({"query": "gulls", "sources": ["nowhere"]}), "sources[0]"),
        (json!({"query": "gulls", "source": ["guide"]}), "source"),
    ] {
        let reply = app.post("/api/v1/search").json(wrong.clone()).send().await;
        assert!((400..=404).contains(&reply.status), "{wrong}: {}", reply.text());
        assert_eq!(reply.json()["errors"][0]["field"].as_str(), Some(field), "{wrong}: {}", reply.text());
    }
    for empty in [
        json!({"query": "gulls", "cursor": "5", "group": "document"}),
        json!({"query": "gulls", "updated_from": "2026-01-02T00:00:00Z", "updated_until": "2026-01-02T00:00:00Z"}),
    ] {
        let reply = app.post("/api/v1/search").json(empty.clone()).send().await;
        assert_eq!((reply.status, reply.json()["items"].as_array().map(Vec::len)), (200, Some(0)), "{empty}: {}", reply.text());
    }
    let meaning = app.post("/api/v1/search").json(json!({"query": "gulls", "mode": "dense"})).send().await;
    assert_eq!((meaning.code().as_str(), meaning.json()["errors"][0]["field"].as_str()), ("invalid_state", Some("mode")));
}

#[tokio::test]
async fn an_address_finds_what_a_request_finds() {
    let app = filled().await;
    let mut by_address = app
        .get("/api/v1/search?query=gulls%20rules&sources=guide,notes&tags=birds,rules&lang=en&limit=5&explain=true&facets=true")
        .send()
        .await
        .json();
    let body = json!({"query": "gulls rules", "sources": ["guide", "notes"], "tags": ["birds", "rules"], "lang": "en", "limit": 5, "explain": true, "facets": true});
    let mut by_request = search(&app, body).await;
    for reply in [&mut by_address, &mut by_request] {
        reply["took_ms"] = json!(0);
        reply["trace_id"] = json!("");
    }
    assert_eq!(by_address, by_request);
    assert!(!by_address["items"].as_array().unwrap().is_empty());
    let wrong = app.get("/api/v1/search?query=gulls&lang=de").send().await;
    assert_eq!((wrong.status, wrong.json()["errors"][0]["field"].as_str()), (400, Some("lang")));
}

#[tokio::test]
async fn facets_count_what_the_filters_leave() {
    let app = filled().await;
    let reply = search(&app, json!({"query": "gulls", "facets": true, "limit": 1})).await;
    let counts = |reply: &Value, kind: &str, name: &str| -> Vec<(String, u64)> {
        reply["facets"][kind]
            .as_array()
            .unwrap()
            .iter()
            .map(|v| (v[name].as_str().unwrap().to_owned(), v["count"].as_u64().unwrap()))
            .collect()
    };
    let of = |list: &[(&str, u64)]| list.iter().map(|(v, c)| ((*v).to_owned(), *c)).collect::<Vec<_>>();
    assert_eq!(counts(&reply, "sources", "source"), of(&[("guide", 2), ("notes", 2)]));
    assert_eq!(counts(&reply, "tags", "value"), of(&[("rules", 2), ("birds", 1)]));
    assert_eq!(counts(&reply, "langs", "value"), of(&[("en", 3), ("pl", 1)]));
    assert_eq!(counts(&reply, "mimes", "value"), of(&[("text/markdown", 2), ("text/html", 1), ("text/plain", 1)]));
    let reply = search(&app, json!({"query": "gulls", "facets": true, "sources": ["guide"], "tags": ["birds"]})).await;
    assert_eq!(counts(&reply, "sources", "source"), of(&[("guide", 1)]));
    assert_eq!(counts(&reply, "tags", "value"), of(&[("birds", 1)]));
    assert!(search(&app, json!({"query": "gulls"})).await.get("facets").is_none());
}

#[tokio::test]
async fn highlights_are_the_characters_of_the_words_that_were_found() {
    let app = TestApp::new().await;
    app.ingested("notes", "a.txt", "Żółw śpi, a latarnik liczył mewy. Mewa odleciała.").await;
    let reply = search(&app, json!({"query": "latarnik mewa"})).await;
    let item = &reply["items"][0];
    let text: Vec<char> = item["text"].as_str().unwrap().chars().collect();
    let marked: Vec<String> = item["highlights"]
        .as_array()
        .unwrap()
        .iter()
        .map(|h| text[h["start"].as_u64().unwrap() as usize..h["end"].as_u64().unwrap() as usize].iter().collect())
        .collect();
    assert_eq!(marked, ["latarnik", "mewy", "Mewa"]);
}

/// A text of one section that becomes several chunks.
fn long_section(subject: &str) -> String {
    let sentences: Vec<String> = (0..30).map(|i| format!("Sentence {i} tells of {subject} and of the weather on day {i}.")).collect();
    sentences.join(" ")
}

#[tokio::test]
async fn neighbours_become_one_passage_with_the_text_of_its_range() {
    let app = TestApp::new().await;
    let (_, id) =
        app.ingested("notes", "log.md", &format!("# Log\n\n{}\n\n## Other\n\n{}", long_section("gulls"), long_section("gulls"))).await;
    let apart = search(&app, json!({"query": "gulls weather", "join": false, "limit": 100})).await;
    let joined = search(&app, json!({"query": "gulls weather", "limit": 100})).await;
    let (apart, joined) = (apart["items"].as_array().unwrap(), joined["items"].as_array().unwrap());
    assert!(joined.len() < apart.len(), "{} {}", joined.len(), apart.len());
    let content = app.get(&format!("/api/v1/documents/{id}/content")).send().await.json()["text"].as_str().unwrap().to_owned();
    let mut chunks = 0;
    for passage in joined {
        let (start, end) = (passage["start"].as_u64().unwrap() as usize, passage["end"].as_u64().unwrap() as usize);
        assert_eq!(content.chars().skip(start).take(end - start).collect::<String>(), passage["text"].as_str().unwrap());
        assert!(end - start <= 2400);
        chunks += passage["chunk_ids"].as_array().unwrap().len();
    }
    assert_eq!(chunks, apart.len(), "every chunk is in one passage");
    let headings: std::collections::BTreeSet<&str> = joined.iter().map(|p| p["heading"].as_str().unwrap()).collect();
    assert_eq!(headings.into_iter().collect::<Vec<_>>(), ["Log", "Log > Other"], "sections stay apart");
}

#[tokio::test]
async fn what_says_nearly_the_same_is_shown_once_and_counted_and_another_number_is_not_the_same() {
    let app = TestApp::new().await;
    let rule = |price: u32, word: &str| {
        format!(
            "The ferry leaves the pier every morning as soon as the keeper has counted the gulls, and it carries whoever has paid {price} crowns. \
             Children travel with their parents and pay nothing, dogs travel on the deck, and bicycles are tied to the rail behind the {word}."
        )
    };
    let (source, _) = app.ingested("notes", "a.txt", &rule(12, "cabin")).await;
    for (name, text) in [("b.txt", rule(12, "bridge")), ("c.txt", rule(14, "cabin"))] {
        app.upload(&source, name, text.as_bytes()).await;
        app.drain().await;
    }
    let reply = search(&app, json!({"query": "ferry pier crowns bicycles"})).await;
    let items = reply["items"].as_array().unwrap();
    assert_eq!(items.len(), 2, "{reply}");
    let folded: u64 = items.iter().map(|i| i["folded"].as_u64().unwrap()).sum();
    assert_eq!(folded, 1);
    assert!(items.iter().any(|i| i["document"] == "c.txt" && i["folded"] == 0), "another price is another rule");
    assert_eq!(reply["total"], 3);
}

#[tokio::test]
async fn an_explanation_tells_ranks_scores_words_and_boosts() {
    let app = filled().await;
    let plain = search(&app, json!({"query": "keeper counts gulls"})).await;
    assert!(plain["items"][0].get("explanation").is_none());
    let reply = search(&app, json!({"query": "keeper counts gulls", "explain": true})).await;
    let why = &reply["items"][0]["explanation"];
    assert_eq!(
        (why["lexical"]["rank"].as_u64(), why["dense"].is_null(), why["restricted"].as_bool()),
        (Some(1), true, Some(false)),
        "{why}"
    );
    assert!(why["lexical"]["score"].as_f64().unwrap() > 0.0 && why["fused"].as_f64().unwrap() > 0.0);
    let words: Vec<&str> = why["matched"].as_array().unwrap().iter().map(|m| m["word"].as_str().unwrap()).collect();
    assert_eq!(words, ["keeper", "counts", "gulls"]);
    let idf = |at: usize| why["matched"][at]["idf"].as_f64().unwrap();
    assert!(idf(0) > idf(2), "gulls are everywhere, the keeper is rare");
}

#[tokio::test]
async fn pages_show_each_passage_once_and_end() {
    let app = TestApp::new().await;
    let (source, _) = app.ingested("notes", "0.txt", "The gull number zero sits on the pier.").await;
    for (i, word) in ["one", "two", "three", "four", "five", "six"].iter().enumerate() {
        app.upload(&source, &format!("{}.txt", i + 1), format!("The gull number {word} sits on the {word} pier, says {word}.").as_bytes())
            .await;
    }
    app.drain().await;
    let whole = names(&search(&app, json!({"query": "gull pier", "limit": 100})).await);
    assert_eq!(whole.len(), 7);
    let (mut seen, mut cursor) = (Vec::new(), Value::Null);
    for _ in 0..4 {
        let mut body = json!({"query": "gull pier", "limit": 2});
        if !cursor.is_null() {
            body["cursor"] = cursor;
        }
        let page = search(&app, body).await;
        seen.extend(names(&page));
        cursor = page["next_cursor"].clone();
    }
    assert!(cursor.is_null());
    seen.sort();
    assert_eq!(seen, whole);
}

#[tokio::test]
async fn documents_are_found_whole_with_their_best_passages() {
    let app = filled().await;
    let reply = search(&app, json!({"query": "gulls on the pier", "group": "document", "limit": 2, "explain": true})).await;
    assert_eq!(reply["items"], json!([]));
    let documents = reply["documents"].as_array().unwrap();
    assert_eq!(
        (documents.len(), documents[0]["document"].as_str(), documents[0]["tags"][0].as_str()),
        (2, Some("old.html"), Some("rules"))
    );
    assert!(documents[0]["score"].as_f64() >= documents[1]["score"].as_f64());
    let passage = &documents[0]["passages"][0];
    assert_eq!(passage["document_id"], documents[0]["document_id"]);
    assert!(!passage["highlights"].as_array().unwrap().is_empty() && passage["explanation"].is_object());
}

#[tokio::test]
async fn a_sources_settings_put_its_documents_forward_and_back() {
    let app = TestApp::new().await;
    let (source, _) = app.ingested("notes", "plain.txt", "The gulls, the gulls, the gulls of the pier.").await;
    tagged(&app, &source, "rule.txt", "rules", "Nobody may feed the gulls at the ticket office or anywhere else on these islands.").await;
    let path = format!("/api/v1/sources/{source}");
    let first = |reply: &Value| reply["items"][0]["document"].as_str().unwrap().to_owned();
    assert_eq!(first(&search(&app, json!({"query": "gulls"})).await), "plain.txt");
    for (ranking, field) in [
        (json!({"freshness": 1.5}), "ranking.freshness"),
        (json!({"half_life_days": 0}), "ranking.half_life_days"),
        (json!({"tags": {"rules": 11.0}}), "ranking.tags.rules"),
    ] {
        let reply = app.call(Method::PATCH, &path).json(json!({"ranking": ranking})).send().await;
        assert_eq!((reply.status, reply.json()["errors"][0]["field"].as_str()), (400, Some(field)), "{}", reply.text());
    }
    let changed = app.call(Method::PATCH, &path).json(json!({"ranking": {"tags": {"rules": 8.0}}})).send().await;
    assert_eq!(changed.json()["ranking"], json!({"freshness": 0.0, "half_life_days": 180, "tags": {"rules": 8.0}}));
    let reply = search(&app, json!({"query": "gulls", "explain": true})).await;
    assert_eq!(first(&reply), "rule.txt");
    assert_eq!(reply["items"][0]["explanation"]["boosts"], json!([{"from": "tag:rules", "factor": 8.0}]));
    // Another name changes nothing of the ranking.
    let renamed = app.call(Method::PATCH, &path).json(json!({"name": "renamed"})).send().await.json();
    assert_eq!(renamed["ranking"]["tags"]["rules"], 8.0);
}

#[tokio::test]
async fn signs_require_and_exclude_words_and_phrases() {
    let app = TestApp::new().await;
    let (source, _) = app.ingested("notes", "both.txt", "The printer needs toner. The paper is white.").await;
    app.upload(&source, "apart.txt", b"The white printer stands beside the paper.").await;
    app.drain().await;
    for (query, expected, total) in [
        ("printer paper", vec!["apart.txt", "both.txt"], 2),
        ("printer +toner", vec!["both.txt"], 1),
        ("printer -toner", vec!["apart.txt"], 1),
        ("\"white printer\"", vec!["apart.txt"], 2),
        ("printer -\"white printer\"", vec!["both.txt"], 2),
        ("printer +ink", vec![], 0),
    ] {
        let found = search(&app, json!({"query": query})).await;
        let expected: Vec<String> = expected.iter().map(|s| (*s).to_owned()).collect();
        assert_eq!((names(&found), found["total"].as_u64()), (expected, Some(total)), "{query}");
    }
}
