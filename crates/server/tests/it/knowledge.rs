//! Sources, documents and search over HTTP.

use astrolabe_kernel::{Principal, Role, principal::default_tenant};
use axum::http::Method;
use serde_json::{Value, json};

use crate::support::TestApp;

const GULLS: &str = "# Lighthouse\n\nThe lighthouse keeper counts gulls.";

async fn source(app: &TestApp, name: &str) -> String {
    app.post("/api/v1/sources").json(json!({ "name": name })).send().await.json()["id"].as_str().unwrap().to_owned()
}

fn form(files: &[(&str, &[u8])]) -> (String, axum::body::Bytes) {
    let files: Vec<_> = files.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec().into())).collect();
    astrolabe_server::client::multipart(&files)
}

async fn document(app: &TestApp, id: &str) -> Value {
    app.get(&format!("/api/v1/documents/{id}")).send().await.json()
}

#[tokio::test]
async fn a_source_is_made_read_changed_and_deleted() {
    let app = TestApp::new().await;
    let made = app.post("/api/v1/sources").json(json!({"name": "Podręcznik", "tags": ["hr"], "chunk_size": 400})).send().await;
    assert_eq!(made.status, 201, "{}", made.text());
    let made = made.json();
    assert_eq!(
        (made["chunk_size"].as_i64(), made["chunk_overlap"].as_i64(), made["document_count"].as_i64()),
        (Some(400), Some(80), Some(0))
    );
    assert_eq!(made["documents_by_state"], json!({"queued": 0, "running": 0, "ready": 0, "failed": 0, "canceled": 0}));
    let path = format!("/api/v1/sources/{}", made["id"].as_str().unwrap());
    assert_eq!(app.get(&path).send().await.json(), made);
    let taken = app.post("/api/v1/sources").json(json!({"name": "Podręcznik"})).send().await;
    assert_eq!((taken.status, taken.code().as_str()), (409, "source_exists"));
    let renamed = app.call(Method::PATCH, &path).json(json!({"name": "Handbook"})).send().await.json();
    assert_eq!((renamed["name"].as_str(), &renamed["tags"]), (Some("Handbook"), &json!(["hr"])));
    assert_eq!(app.call(Method::DELETE, &path).send().await.status, 204);
    let gone = app.get(&path).send().await;
    assert_eq!((gone.status, gone.code().as_str()), (404, "not_found"));
    assert_eq!(app.get("/api/v1/sources").send().await.json()["items"], json!([]));
}

#[tokio::test]
async fn a_wrong_field_of_a_source_is_named() {
    let app = TestApp::new().await;
    for (body, field) in [
        (json!({}), "name"),
        (json!({"name": ""}), "name"),
        (json!({"name": "a/b"}), "name"),
        (json!({"name": "a", "chunk_size": 5}), "chunk_size"),
        (json!({"name": "a", "chunk_overlap": -1}), "chunk_overlap"),
        (json!({"name": "a", "tags": ["x", ""]}), "tags[1]"),
        (json!({"name": "a", "tag": ["x"]}), "tag"),
        (json!({"name": 7}), "name"),
    ] {
        let reply = app.post("/api/v1/sources").json(body).send().await;
        assert_eq!((reply.status, reply.json()["errors"][0]["field"].as_str()), (400, Some(field)), "{}", reply.text());
    }
}

#[tokio::test]
async fn an_upload_of_many_kinds_of_files_becomes_ready_and_the_source_tells_so() {
    let app = TestApp::new().await;
    let source = source(&app, "handbook").await;
    let html = "<html><body><h1>Seals</h1><p>Seals sleep on the rocks.</p></body></html>";
    let (content_type, body) =
        form(&[("guide/gulls.md", GULLS.as_bytes()), ("foki.txt", "Foki śpią na skałach.".as_bytes()), ("seals.html", html.as_bytes())]);
    let reply = app.post(&format!("/api/v1/sources/{source}/documents")).body(&content_type, body).send().await;
    assert_eq!(reply.status, 202, "{}", reply.text());
    let items = reply.json()["items"].as_array().unwrap().clone();
    assert_eq!(
        items.iter().map(|d| (d["name"].as_str().unwrap(), d["state"].as_str().unwrap())).collect::<Vec<_>>(),
        [("guide/gulls.md", "queued"), ("foki.txt", "queued"), ("seals.html", "queued"),]
    );
    app.drain().await;
    let counted = app.get(&format!("/api/v1/sources/{source}")).send().await.json();
    assert_eq!((counted["document_count"].as_i64(), counted["documents_by_state"]["ready"].as_i64()), (Some(3), Some(3)));
    let foki = document(&app, items[1]["id"].as_str().unwrap()).await;
    assert_eq!((foki["lang"].as_str(), foki["mime"].as_str(), foki["size"].as_i64()), (Some("pl"), Some("text/plain"), Some(24)));
    let content = app.get(&format!("/api/v1/documents/{}/content", items[2]["id"].as_str().unwrap())).send().await.json();
    assert_eq!(
        (content["text"].as_str(), content["headings"][0]["title"].as_str()),
        (Some("Seals\n\nSeals sleep on the rocks."), Some("Seals"))
    );
    assert_eq!(app.get(&format!("/api/v1/sources/{source}/documents?state=failed")).send().await.json()["items"], json!([]));
}

#[tokio::test]
async fn a_search_finds_a_passage_where_it_is_and_how_it_was_found() {
    let app = TestApp::new().await;
    let (source, id) = app.ingested("handbook", "gulls.md", GULLS).await;
    let reply = app.post("/api/v1/search").json(json!({"query": "who counts gulls?", "sources": ["handbook"]})).send().await.json();
    assert_eq!(reply["mode"], "lexical");
    let item = &reply["items"][0];
    assert_eq!(
        (item["document_id"].as_str(), item["source_id"].as_str(), item["heading"].as_str()),
        (Some(&*id), Some(&*source), Some("Lighthouse"))
    );
    assert_eq!(item["ranks"], json!({"dense": null, "lexical": 1}));
    let content = app.get(&format!("/api/v1/documents/{id}/content")).send().await.json();
    let (start, end) = (item["start"].as_u64().unwrap() as usize, item["end"].as_u64().unwrap() as usize);
    assert_eq!(content["text"].as_str().unwrap().chars().skip(start).take(end - start).collect::<String>(), item["text"].as_str().unwrap());
    let nothing = app.post("/api/v1/search").json(json!({"query": "tungsten"})).send().await.json();
    assert_eq!(nothing["items"], json!([]));
}

#[tokio::test]
async fn a_file_that_cannot_be_read_fails_alone_and_its_reason_is_in_its_row() {
    let app = TestApp::new().await;
    let source = source(&app, "handbook").await;
    let (content_type, body) =
        form(&[("good.md", GULLS.as_bytes()), ("photo.md", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\0"), ("empty.txt", b"")]);
    let items = app.post(&format!("/api/v1/sources/{source}/documents")).body(&content_type, body).send().await.json()["items"].clone();
    app.drain().await;
    let mut found = Vec::new();
    for item in items.as_array().unwrap() {
        let read = document(&app, item["id"].as_str().unwrap()).await;
        found.push((read["state"].as_str().unwrap().to_owned(), read["error"]["code"].as_str().map(str::to_owned)));
    }
    assert_eq!(
        found,
        [
            ("ready".to_owned(), None),
            ("failed".to_owned(), Some("unsupported_media_type".to_owned())),
            ("failed".to_owned(), Some("document_empty".to_owned())),
        ]
    );
    let content = app.get(&format!("/api/v1/documents/{}/content", items[2]["id"].as_str().unwrap())).send().await;
    assert_eq!((content.status, content.code().as_str()), (409, "invalid_state"));
    let retried = app.post(&format!("/api/v1/documents/{}/retry", items[2]["id"].as_str().unwrap())).send().await;
    assert_eq!((retried.status, retried.json()["state"].as_str()), (202, Some("queued")));
    let ready = app.post(&format!("/api/v1/documents/{}/retry", items[0]["id"].as_str().unwrap())).send().await;
    assert_eq!((ready.status, ready.code().as_str()), (409, "invalid_state"));
}

#[tokio::test]
async fn what_is_deleted_is_gone_from_every_list_and_search() {
    let app = TestApp::new().await;
    let (source, id) = app.ingested("handbook", "gulls.md", GULLS).await;
    assert_eq!(app.call(Method::DELETE, &format!("/api/v1/documents/{id}")).send().await.status, 204);
    for path in [format!("/api/v1/documents/{id}"), format!("/api/v1/documents/{id}/content")] {
        assert_eq!(app.get(&path).send().await.status, 404, "{path}");
    }
    assert_eq!(app.get(&format!("/api/v1/sources/{source}/documents")).send().await.json()["items"], json!([]));
    assert_eq!(app.post("/api/v1/search").json(json!({"query": "gulls"})).send().await.json()["items"], json!([]));
    let asked = app.post("/api/v1/ask").json(json!({"question": "Who counts gulls?"})).send().await.json();
    assert_eq!(asked["answered"], false);
}

#[tokio::test]
async fn the_events_of_a_source_resume_behind_what_was_seen() {
    let app = TestApp::with(&[("server.stream_idle_s", "1")]).await;
    let (source, _) = app.ingested("handbook", "gulls.md", GULLS).await;
    let path = format!("/api/v1/sources/{source}/events");
    // Nothing more happens, so the stream ends by its idle limit.
    let whole = app.get(&path).send().await.events();
    assert_eq!(
        whole.iter().map(|e| (e.seq, e.kind.as_str())).collect::<Vec<_>>(),
        [(1, "document.queued"), (2, "document.running"), (3, "document.ready"),]
    );
    assert_eq!(
        (whole[2].data["name"].as_str(), whole[2].data["state"].as_str(), whole[2].data["chunks"].as_i64()),
        (Some("gulls.md"), Some("ready"), Some(1))
    );
    let rest = app.get(&path).header("last-event-id", "1").header("accept", "application/x-ndjson").send().await.events();
    assert_eq!(rest, &whole[1..]);
}

#[tokio::test]
async fn a_stream_from_now_on_begins_with_what_is_new_and_knows_where_it_is() {
    let app = TestApp::with(&[("server.stream_idle_s", "1")]).await;
    let (source, _) = app.ingested("handbook", "gulls.md", GULLS).await;
    let path = format!("/api/v1/sources/{source}/events");
    // What happens once the answer's head is there is in the stream.
    let opened = app.get(&format!("{path}?after=latest")).open().await;
    let new = app.upload(&source, "seals.md", b"# Seals").await;
    let latest = opened.read().await;
    assert!(
        latest.text().starts_with("retry: 1000\n\nid: 3\n\n"),
        "a reader that is cut before the first event resumes: {}",
        latest.text()
    );
    let events = latest.events();
    assert_eq!(
        events.iter().map(|e| (e.seq, e.data["document_id"].as_str().unwrap())).collect::<Vec<_>>(),
        [(4, new.as_str())],
        "{events:?}"
    );
    app.drain().await;
    let rest = app.get(&format!("{path}?after=latest")).header("last-event-id", "3").send().await.events();
    assert_eq!(rest.iter().map(|e| e.seq).collect::<Vec<_>>(), [4, 5, 6], "what was seen last counts, not what is latest");
    for wrong in ["newest", "-1", "+1", "1.0", "9999999999999999", ""] {
        let reply = app.get(&format!("{path}?after={}", wrong.replace('+', "%2B"))).send().await;
        assert_eq!((reply.status, reply.json()["errors"][0]["field"].as_str()), (400, Some("after")), "{wrong}");
    }
}

#[tokio::test]
async fn a_bad_file_of_an_upload_is_told_and_keeps_no_other_out() {
    let app = TestApp::with(&[("knowledge.max_document_bytes", "100")]).await;
    let source = source(&app, "handbook").await;
    let path = format!("/api/v1/sources/{source}/documents");
    let (content_type, body) =
        form(&[("gulls.md", GULLS.as_bytes()), ("huge.md", &[b'x'; 300]), ("../up.md", b"# Up"), ("seals.md", b"# Seals")]);
    let reply = app.post(&path).body(&content_type, body).send().await;
    assert_eq!(reply.status, 202, "{}", reply.text());
    let (items, refused) = (reply.json()["items"].clone(), reply.json()["refused"].clone());
    let names = |list: &Value, key: &str| list.as_array().unwrap().iter().map(|i| i[key].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(names(&items, "name"), ["gulls.md", "seals.md"]);
    assert_eq!(
        (names(&refused, "file"), names(&refused, "code")),
        (vec!["huge.md".to_owned(), "../up.md".to_owned()], vec!["too_large".to_owned(), "invalid_request".to_owned()],)
    );
    assert!(refused[0]["message"].as_str().unwrap().contains("knowledge.max_document_bytes"), "{refused}");
    let (content_type, body) = form(&[("huge.md", &[b'x'; 300])]);
    assert_eq!(app.post(&path).body(&content_type, body).send().await.code(), "too_large", "a file alone is refused as ever");
    assert_eq!(app.get(&path).send().await.json()["items"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn an_upload_that_breaks_off_adds_nothing() {
    let app = TestApp::new().await;
    let source = source(&app, "handbook").await;
    let path = format!("/api/v1/sources/{source}/documents");
    let (content_type, body) = form(&[("gulls.md", GULLS.as_bytes()), ("seals.md", b"# Seals")]);
    for length in [body.len() / 2, body.len() - 60, body.len() - 4] {
        let reply = app.post(&path).body(&content_type, body.slice(..length)).send().await;
        assert_eq!((reply.status, reply.json()["errors"][0]["field"].as_str()), (400, Some("file")), "{length}: {}", reply.text());
    }
    // The same over a socket whose other end is gone in the middle.
    let address = app.listen().await;
    for length in [body.len() / 2, body.len() - 60] {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {}\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\n\r\n",
            app.app.token.expose(),
            body.len()
        );
        socket.write_all(head.as_bytes()).await.unwrap();
        socket.write_all(&body[..length]).await.unwrap();
        socket.shutdown().await.unwrap();
        let _ = socket.read_to_end(&mut Vec::new()).await;
    }
    assert_eq!(app.get(&path).send().await.json()["items"], json!([]));
    assert_eq!(app.get("/api/v1/jobs").send().await.json()["items"], json!([]));
}

#[tokio::test]
async fn a_job_about_a_document_that_somebody_may_not_read_is_not_there_for_him() {
    let app = TestApp::new().await;
    let (open, closed) = (source(&app, "open").await, source(&app, "closed").await);
    let readers = json!({"readers": ["user:ben"]});
    assert_eq!(app.call(Method::PATCH, &format!("/api/v1/sources/{closed}")).json(readers).send().await.status, 200);
    let mut documents = Vec::new();
    for (number, source) in [&open, &closed, &closed, &open, &closed].into_iter().enumerate() {
        let (kind, body) =
            form(&[("gulls.md".to_owned() + &"x".repeat(number), GULLS.as_bytes())].each_ref().map(|(n, b)| (n.as_str(), *b)));
        let made = app.post(&format!("/api/v1/sources/{source}/documents")).body(&kind, body).send().await.json();
        documents.push(made["items"][0].clone());
        // Ids of the same millisecond have no order.
        app.app.kernel.clock.advance(std::time::Duration::from_millis(2));
    }
    let as_role = |name: &str, role| Principal::new(format!("user:{name}"), name, default_tenant(), role, Vec::new(), "token");
    let (ann, ben) = (as_role("ann", Role::Editor), as_role("ben", Role::Viewer));
    let subjects = async |who: &Principal| {
        let (mut all, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = app.acting(who, Method::GET, &format!("/api/v1/jobs?limit=2{cursor}")).send().await.json();
            all.extend(page["items"].as_array().unwrap().iter().map(|job| job["subject"].as_str().unwrap().to_owned()));
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return all,
            }
        }
    };
    let id = |i: usize| documents[i]["id"].as_str().unwrap().to_owned();
    assert_eq!(subjects(&ben).await, [id(4), id(3), id(2), id(1), id(0)]);
    assert_eq!(subjects(&ann).await, [id(3), id(0)]);
    let job = documents[1]["job_id"].as_str().unwrap();
    assert_eq!(app.acting(&ben, Method::GET, &format!("/api/v1/jobs/{job}")).send().await.status, 200);
    for (method, path) in [(Method::GET, ""), (Method::POST, "/cancel"), (Method::POST, "/retry")] {
        let there = app.acting(&ann, method.clone(), &format!("/api/v1/jobs/{job}{path}")).send().await;
        assert_eq!((there.status, there.code().as_str()), (404, "not_found"), "{path}");
    }
    assert_eq!(app.get(&format!("/api/v1/jobs/{job}")).send().await.json()["state"], "queued", "nothing was canceled");
}

#[tokio::test]
async fn a_job_is_followed_to_its_end_and_what_failed_is_listed_with_its_attempts_and_retried_all_at_once() {
    let app = TestApp::new().await;
    let source = source(&app, "handbook").await;
    let mut jobs = Vec::new();
    for name in ["empty.md", "blank.md"] {
        let (kind, body) = form(&[(name, b" ")]);
        let made = app.post(&format!("/api/v1/sources/{source}/documents")).body(&kind, body).send().await.json();
        jobs.push(made["items"][0]["job_id"].as_str().unwrap().to_owned());
        app.app.kernel.clock.advance(std::time::Duration::from_millis(2));
    }
    let events = format!("/api/v1/jobs/{}/events", jobs[0]);
    let stream = app.get(&events).header("accept", "application/x-ndjson").open().await;
    app.drain().await;
    let lines: Vec<Value> = stream.read().await.text().lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let last = lines.last().unwrap();
    assert_eq!((last["event"].as_str(), last["data"]["state"].as_str()), (Some("failed"), Some("failed")));
    assert_eq!(last["seq"], last["data"]["version"]);
    let seen = app.get(&events).header("accept", "application/x-ndjson").header("last-event-id", &last["seq"].to_string()).send().await;
    assert_eq!((seen.status, seen.text().as_str()), (200, ""), "who has seen the end waits for nothing");

    let letters = app.get("/api/v1/dead-letters?kind=ingest_document").send().await.json();
    let ids: Vec<_> = letters["items"].as_array().unwrap().iter().map(|l| l["id"].as_str().unwrap()).collect();
    assert_eq!(ids, [jobs[1].as_str(), jobs[0].as_str()]);
    let attempt = &letters["items"][0]["history"][0];
    assert_eq!((attempt["outcome"].as_str(), attempt["error"]["code"].as_str()), (Some("failed"), Some("document_empty")));
    assert_eq!(app.get(&format!("/api/v1/jobs/{}", jobs[0])).send().await.json()["history"].as_array().unwrap().len(), 1);

    let retried = app.post("/api/v1/dead-letters/retry").json(json!({"kind": "ingest_document"})).send().await.json();
    assert_eq!(retried, json!({"retried": 2, "more": false}));
    assert_eq!(app.get(&format!("/api/v1/jobs/{}", jobs[1])).send().await.json()["state"], "queued");
    app.drain().await;
    let again = app.get(&format!("/api/v1/jobs/{}", jobs[1])).send().await.json();
    assert_eq!((again["state"].as_str(), again["history"].as_array().unwrap().len()), (Some("failed"), 2));
    let none = app.post("/api/v1/dead-letters/retry").json(json!({"kind": "rebuild_index"})).send().await.json();
    assert_eq!(none["retried"], 0);
}
