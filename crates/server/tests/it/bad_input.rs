//! What nobody should send, and places where nothing can be written: a clear refusal, and nothing half-written.

use std::{collections::BTreeMap, fs, path::Path};

use axum::http::Method;
use serde_json::json;

use crate::support::{Binary, Raw, TestApp};

async fn source(app: &TestApp) -> String {
    app.post("/api/v1/sources").json(json!({"name": "handbook"})).send().await.json()["id"].as_str().unwrap().to_owned()
}

/// Every operation with a JSON body, and a body that it takes.
async fn bodies(app: &TestApp) -> Vec<(Method, String, serde_json::Value)> {
    let made = async |path: &str, body: serde_json::Value| app.post(path).json(body).send().await.json()["id"].as_str().unwrap().to_owned();
    let source = source(app).await;
    let ticket = made("/api/v1/tickets", json!({"title": "x"})).await;
    let upload = made(&format!("/api/v1/sources/{source}/uploads"), json!({"name": "a.md", "size": 1, "sha256": "0".repeat(64)})).await;
    let set = made("/api/v1/question-sets", json!({"name": "nightly"})).await;
    let ask = made("/api/v1/ask", json!({"question": "text"})).await;
    let feedback = made(&format!("/api/v1/asks/{ask}/feedback"), json!({"rating": "up"})).await;
    let tenant = made("/api/v1/tenants", json!({"slug": "acme"})).await;
    let user = made("/api/v1/users", json!({"email": "anna@example.com"})).await;
    let text = "forbid (principal, action == Action::\"tool:restart_service\", resource);";
    let policy = made("/api/v1/policies", json!({"name": "no restarts", "text": text})).await;
    let budget = json!({"scope": "user", "subject": "text", "period": "day", "unit": "tokens", "amount": 1});
    let made_budget = made("/api/v1/budgets", json!({"scope": "tenant", "period": "day", "unit": "tokens", "amount": 1})).await;
    let asked = json!({"principal": {"id": "user:text", "role": "viewer"}, "action": "run_agents"});
    vec![
        (Method::POST, "/api/v1/budgets".to_owned(), budget.clone()),
        (Method::PUT, format!("/api/v1/budgets/{made_budget}"), budget),
        (Method::POST, "/api/v1/policies".to_owned(), json!({"name": "text", "text": text})),
        (Method::PUT, format!("/api/v1/policies/{policy}"), json!({"name": "text", "text": text})),
        (Method::POST, "/api/v1/policies/simulate".to_owned(), asked.clone()),
        (Method::POST, format!("/api/v1/policies/{policy}/simulate"), asked),
        (Method::PATCH, "/api/v1/settings".to_owned(), json!({"name": "text"})),
        (Method::PUT, "/api/v1/maintenance".to_owned(), json!({"mode": "off", "message": "text"})),
        (Method::POST, "/api/v1/sessions".to_owned(), json!({"email": "text@example.com", "password": "text", "tenant": "text"})),
        (Method::POST, "/api/v1/sessions/refresh".to_owned(), json!({"refresh_token": "text"})),
        (Method::POST, "/api/v1/sessions/current/tenant".to_owned(), json!({"tenant": "text"})),
        (Method::POST, "/api/v1/me/password".to_owned(), json!({"password": "text", "current_password": "text"})),
        (Method::POST, "/api/v1/tenants".to_owned(), json!({"slug": "text", "name": "text"})),
        (Method::PATCH, format!("/api/v1/tenants/{tenant}"), json!({"name": "text"})),
        (Method::POST, "/api/v1/users".to_owned(), json!({"email": "text@example.com", "name": "text"})),
        (Method::PATCH, format!("/api/v1/users/{user}"), json!({"name": "text"})),
        (Method::POST, format!("/api/v1/users/{user}/password"), json!({"password": "text"})),
        (Method::POST, format!("/api/v1/asks/{ask}/feedback"), json!({"rating": "up", "comment": "text"})),
        (Method::POST, format!("/api/v1/feedback/{feedback}/question"), json!({"question_set_id": set, "id": "text"})),
        (Method::POST, "/api/v1/api-keys".to_owned(), json!({"name": "text"})),
        (Method::POST, "/api/v1/privacy-requests".to_owned(), json!({"kind": "export", "person": "user:text"})),
        (Method::POST, "/api/v1/question-sets".to_owned(), json!({"name": "text", "description": "text"})),
        (Method::PUT, format!("/api/v1/question-sets/{set}"), json!({"name": "text", "description": "text"})),
        (Method::POST, format!("/api/v1/question-sets/{set}/questions"), json!({"id": "text", "question": "text"})),
        (Method::POST, "/api/v1/sources".to_owned(), json!({"name": "another", "description": "text"})),
        (Method::PATCH, format!("/api/v1/sources/{source}"), json!({"description": "text"})),
        (Method::POST, format!("/api/v1/sources/{source}/uploads"), json!({"name": "a.md", "size": 1, "sha256": "0".repeat(64)})),
        (Method::POST, format!("/api/v1/uploads/{upload}/parts"), json!({"parts": [{"number": 1, "sha256": "0".repeat(64)}]})),
        (Method::POST, "/api/v1/search".to_owned(), json!({"query": "text"})),
        (Method::POST, "/api/v1/ask".to_owned(), json!({"question": "text"})),
        (Method::POST, "/api/v1/dead-letters/retry".to_owned(), json!({"kind": "text"})),
        (Method::POST, "/api/v1/tickets".to_owned(), json!({"title": "text", "description": "text"})),
        (Method::PATCH, format!("/api/v1/tickets/{ticket}"), json!({"title": "text"})),
        (Method::POST, "/v1/chat/completions".to_owned(), json!({"model": "text", "messages": [{"role": "user", "content": "text"}]})),
        (Method::POST, "/v1/embeddings".to_owned(), json!({"model": "text", "input": "text"})),
        (Method::POST, "/v1/responses".to_owned(), json!({"model": "text", "input": "text"})),
        (Method::POST, "/v1/agents/run".to_owned(), json!({"agent": "support", "input": "text", "meta": {"user": "text"}})),
    ]
}

#[tokio::test]
async fn an_unknown_field_is_refused_by_name_in_every_body() {
    let app = TestApp::new().await;
    let with_body = bodies(&app).await;
    let api = serde_json::to_value(app.description.make()).unwrap();
    let described: usize = api["paths"]
        .as_object()
        .unwrap()
        .values()
        .flat_map(|i| i.as_object().unwrap().values())
        .filter(|o| !o["requestBody"]["content"]["application/json"].is_null())
        .count();
    assert_eq!(described, with_body.len(), "every operation with a JSON body is tried");
    for (method, path, mut body) in with_body {
        body["nonsense"] = json!(1);
        let reply = app.call(method.clone(), &path).json(body).send().await;
        assert_eq!(
            (reply.status, reply.json()["errors"][0]["field"].as_str().or(reply.json()["error"]["param"].as_str())),
            (400, Some("nonsense")),
            "{method} {path}: {}",
            reply.text()
        );
    }
}

#[tokio::test]
async fn a_nul_in_any_text_is_refused_by_the_fields_name() {
    let app = TestApp::new().await;
    for (method, path, body) in bodies(&app).await {
        for (field, value) in body.as_object().unwrap() {
            let Some(text) = value.as_str() else { continue };
            let mut bad = body.clone();
            bad[field] = json!(format!("{text}\0"));
            let reply = app.call(method.clone(), &path).json(bad).send().await;
            assert_eq!(
                (reply.status, reply.json()["errors"][0]["field"].as_str().or(reply.json()["error"]["param"].as_str())),
                (400, Some(&**field)),
                "{method} {path}: {}",
                reply.text()
            );
        }
    }
}

#[tokio::test]
async fn a_nul_in_what_a_caller_keeps_with_a_run_is_shown_as_what_cannot_be_shown() {
    let app = TestApp::new().await;
    let run = app.post("/v1/agents/run").json(json!({"agent": "support", "input": "text", "meta": {"us\0er": ["a\0b"]}})).send().await;
    assert_eq!(run.status, 200, "{}", run.text());
    let stored = app.get(&format!("/api/v1/runs/{}", run.json()["run_id"].as_str().unwrap())).send().await.json();
    assert_eq!(stored["meta"], json!({"us\u{fffd}er": ["a\u{fffd}b"]}));
}

#[tokio::test]
async fn bytes_that_are_no_text_in_paths_queries_and_headers_are_refused_and_the_server_goes_on() {
    let app = TestApp::new().await;
    let token = app.app.token.expose().to_owned();
    for (path, status) in [
        ("/api/v1/sources/%ff", 404),
        ("/api/v1/sources/%00", 400),
        ("/api/v1/sources/%F0%28%8C%BC/documents", 404),
        ("/api/v1/asks/..%2f..%2fetc%2fpasswd/events", 404),
    ] {
        let reply = app.get(path).send().await;
        assert_eq!((reply.status, reply.header("content-type")), (status, "application/problem+json"), "{path}: {}", reply.text());
    }
    for query in
        ["cursor=%00", "cursor=%ff%fe", "limit=0", "limit=201", "limit=-1", "limit=9999999999999999999", "limit=1&limit=2", "nonsense=1"]
    {
        let reply = app.get(&format!("/api/v1/sources?{query}")).send().await;
        assert_eq!((reply.status, reply.code().as_str()), (400, "invalid_request"), "{query}: {}", reply.text());
    }
    let address = app.listen().await;
    let exchange = |head: Vec<u8>| async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
        socket.write_all(&head).await.unwrap();
        let mut reply = Vec::new();
        let _ = socket.read_to_end(&mut reply).await;
        String::from_utf8_lossy(&reply).into_owned()
    };
    let head = |path: &[u8], header: &[u8]| {
        [
            b"GET ",
            path,
            b" HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nauthorization: Bearer ",
            token.as_bytes(),
            b"\r\n",
            header,
            b"\r\n\r\n",
        ]
        .concat()
    };
    for (path, header, status) in [
        (&b"/api/v1/me"[..], &b"last-event-id: \xff\xfe"[..], "200"),
        (b"/api/v1/me", b"x-request-id: \xff\xfe", "200"),
        (b"/api/v1/me", b"traceparent: \xff", "200"),
        (b"/api/v1/asks/ask_01JD3V9M7Q4R8T2W6X0Y5Z1ABC/events", b"last-event-id: \xff\xfe", "400"),
        (b"/api/v1/me", b"x: a\0b", "400"),
        (b"/api/v1/\xff\xfe", b"x: y", "4"),
        (b"/api/v1/me\0", b"x: y", "400"),
    ] {
        let reply = exchange(head(path, header)).await;
        assert!(reply.starts_with(&format!("HTTP/1.1 {status}")), "{}: {reply}", String::from_utf8_lossy(path));
    }
    let reply = exchange(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec()).await;
    assert!(reply.is_empty() || reply.starts_with("HTTP/1.1 400"), "a TLS greeting: {reply}");
    let again = exchange(head(b"/api/v1/me", b"x: y")).await;
    assert!(again.starts_with("HTTP/1.1 200"), "{again}");
    let metrics = app.anonymous(Method::GET, "/metrics").send().await.text();
    assert!(!metrics.lines().any(|l| l.starts_with("panics_total") && !l.ends_with(" 0")), "{metrics}");
}

/// Values that nobody sends on purpose, percent-encoded: for ids, cursors and parameters alike.
const NASTY: &[&str] = &[
    "",
    "%20",
    "%00",
    "%0d%0aset-cookie:%20a=b",
    "%ff%fe",
    "%F0%28%8C%BC",
    "..%2f..%2fetc%2fpasswd",
    "%27%20OR%201=1--",
    "-1",
    "9223372036854775808",
    "1e309",
    "NaN",
    "%5B%5D",
    "%7B%22%24gt%22:1%7D",
    "src_00000000000000000000000000",
    "src_ZZZZZZZZZZZZZZZZZZZZZZZZZZ",
    "job_01JD3V9M7Q4R8T2W6X0Y5Z1ABC",
    "%E2%80%AE%F0%9F%92%A5%CC%81",
];

#[tokio::test]
async fn no_id_and_no_parameter_of_any_operation_is_our_fault() {
    let app = TestApp::new().await;
    let api = serde_json::to_value(app.description.make()).unwrap();
    let long = "a".repeat(5000);
    let mut tried = 0;
    for (path, item) in api["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let method: Method = method.to_uppercase().parse().unwrap();
            let parameters: Vec<&str> = operation["parameters"]
                .as_array()
                .into_iter()
                .flatten()
                .filter(|p| p["in"] == "query")
                .map(|p| p["name"].as_str().unwrap())
                .collect();
            for value in NASTY.iter().copied().chain([long.as_str()]) {
                let with_ids = path.replace("{id}", if value.is_empty() { "x" } else { value });
                let mut addresses = vec![with_ids];
                let somewhere = path.replace("{id}", "src_01JD3V9M7Q4R8T2W6X0Y5Z1ABC");
                addresses.extend(parameters.iter().map(|name| format!("{somewhere}?{name}={value}")));
                for address in addresses {
                    let call = app.call(method.clone(), &address);
                    let call = if method == Method::GET { call } else { call.body("application/json", "{}") };
                    // What streams would not end here.
                    let status = call.open().await.status();
                    assert!(status < 500 || path == "/readyz" || path == "/ready", "{method} {address}: {status}");
                    tried += 1;
                }
            }
        }
    }
    assert!(tried > 1000, "{tried}");
}

#[tokio::test]
async fn no_cookie_and_no_header_is_our_fault() {
    let app = TestApp::new().await;
    let long = "a".repeat(8000);
    let values: Vec<&[u8]> =
        vec![b"", b" ", b";", b"=", b"a", b"\xff\xfe", b"\"", b"\t,\t,", b"a=b; a=c", b"1e309", b"-1", b"*/*;q=x", long.as_bytes()];
    for name in [
        "accept",
        "accept-encoding",
        "authorization",
        "content-length",
        "content-type",
        "cookie",
        "forwarded",
        "host",
        "idempotency-key",
        "if-match",
        "if-none-match",
        "last-event-id",
        "origin",
        "range",
        "sec-fetch-site",
        "traceparent",
        "x-forwarded-for",
        "x-idempotency-key",
        "x-request-id",
    ] {
        for value in &values {
            for (method, path) in
                [(Method::GET, "/api/v1/me"), (Method::GET, "/"), (Method::POST, "/api/v1/ask"), (Method::GET, "/signin?code=a")]
            {
                let call = app.call(method.clone(), path).from("127.0.0.1").bytes(name, value);
                let status = call.open().await.status();
                assert!(status < 500, "{method} {path} {name}: {}: {status}", String::from_utf8_lossy(value));
            }
        }
    }
    for cookie in
        ["astrolabe_session", "astrolabe_session=", "astrolabe_session=\u{e9}", "astrolabe_session=a; astrolabe_session=b", "=; ;=;"]
    {
        let reply = app.anonymous(Method::GET, "/api/v1/me").bytes("cookie", cookie.as_bytes()).send().await;
        assert_eq!(reply.status, 401, "{cookie}: {}", reply.text());
    }
}

#[tokio::test]
async fn no_body_of_any_operation_is_our_fault() {
    let app = TestApp::new().await;
    let deep = "[".repeat(50_000);
    let values: Vec<&[u8]> = vec![
        b"",
        b"null",
        b"0",
        b"\"\"",
        b"[]",
        b"{",
        b"{}{}",
        b"\xff\xfe",
        b"\xef\xbb\xbf{}",
        b"{\"a\":1e999}",
        b"{\"\\ud800\":1}",
        deep.as_bytes(),
    ];
    for (method, path, body) in bodies(&app).await {
        for value in &values {
            let reply = app.call(method.clone(), &path).body("application/json", value.to_vec()).send().await;
            assert!((400..500).contains(&reply.status), "{method} {path}: {}: {}", String::from_utf8_lossy(value), reply.text());
        }
        for field in body.as_object().unwrap().keys() {
            for value in [json!(null), json!(1e300), json!(-1), json!([]), json!({}), json!(true), json!("\u{fffd}\u{202e}".repeat(50_000))]
            {
                let mut bad = body.clone();
                bad[field] = value.clone();
                let reply = app.call(method.clone(), &path).json(bad).send().await;
                assert!(reply.status < 500, "{method} {path} {field} = {value}: {}", reply.text());
            }
        }
    }
}

/// The files below a folder with their sizes.
fn files(folder: &Path) -> BTreeMap<String, u64> {
    let mut all = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap().map(Result::unwrap) {
            if entry.path().is_dir() {
                folders.push(entry.path());
            } else {
                all.insert(entry.path().strip_prefix(folder).unwrap().display().to_string(), entry.metadata().unwrap().len());
            }
        }
    }
    all
}

#[tokio::test]
async fn an_upload_that_is_refused_stores_nothing() {
    let app = TestApp::with(&[("knowledge.max_document_bytes", "1000"), ("knowledge.max_upload_files", "3")]).await;
    let source = source(&app).await;
    let path = format!("/api/v1/sources/{source}/documents");
    let part =
        |name: &str, bytes: &str| format!("--b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\r\n{bytes}\r\n");
    let good = part("good.md", "text");
    for (body, status, code) in [
        (format!("{}--b--\r\n", part("large.md", &"x".repeat(1001))), 413, "too_large"),
        (format!("{}--b--\r\n", good.repeat(4)), 413, "too_large"),
        (format!("{}--b--\r\n", part("../up.md", "x")), 400, "invalid_request"),
        (format!("{}--b--\r\n", part("/etc/passwd", "x")), 400, "invalid_request"),
        (format!("{}--b--\r\n", part("a\u{1}b.md", "x")), 400, "invalid_request"),
        (format!("{}--b--\r\n", part(&"n".repeat(501), "x")), 400, "invalid_request"),
        (format!("{good}--b\r\ncontent-disposition: form-data; name=\"colour\"\r\n\r\nred\r\n--b--\r\n"), 400, "invalid_request"),
        (
            format!("{good}--b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"cut.md\"\r\n\r\nhalf a fi"),
            400,
            "invalid_request",
        ),
        ("--b--\r\n".to_owned(), 400, "invalid_request"),
        ("this is no form".to_owned(), 400, "invalid_request"),
    ] {
        let reply = app.post(&path).body("multipart/form-data; boundary=b", body.clone()).send().await;
        let shown: String = body.chars().take(200).collect();
        assert_eq!((reply.status, reply.code().as_str()), (status, code), "{shown}: {}", reply.text());
    }
    for content_type in ["multipart/form-data", "text/plain", "application/json"] {
        let reply = app.post(&path).body(content_type, good.clone()).send().await;
        assert_eq!((reply.status, reply.code().as_str()), (415, "unsupported_media_type"), "{content_type}");
    }
    assert_eq!(app.get(&path).send().await.json()["items"], json!([]));
    let left: Vec<String> = files(&app.app.data_dir.join("blobs")).into_keys().filter(|f| f.starts_with("incoming")).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_hostile_document_is_read_by_a_child_and_fails_or_is_read_alone() {
    let folder = tempfile::tempdir().unwrap();
    let documents = folder.path().join("documents");
    fs::create_dir(&documents).unwrap();
    fs::write(documents.join("deep.html"), "<div>".repeat(200_000) + "the bottom of the sea").unwrap();
    fs::write(documents.join("broken.html"), "<html><head><title>Sea</title><body><table><tr><td>the <b>tide</i> turns<script>while(1){}")
        .unwrap();
    fs::write(documents.join("latin.txt"), b"The caf\xe9 by the harbour opens at nine o'clock in the morning.".repeat(4)).unwrap();
    fs::write(
        documents.join("utf16.txt"),
        [&[0xff, 0xfe][..], &"The utf sixteen lighthouse.".encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>()].concat(),
    )
    .unwrap();
    fs::write(documents.join("nul.txt"), b"zero\0zero\0zero\0zero").unwrap();
    fs::write(documents.join("empty.txt"), b"").unwrap();
    fs::write(documents.join("picture.md"), b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\0").unwrap();
    fs::write(documents.join("good.md"), "# Harbour\n\nThe harbour master lives in the tower.").unwrap();
    let binary = Binary::new(folder.path());
    let ended = binary.run(&["ingest", documents.to_str().unwrap(), "--source", "sea", "--json"]);
    assert_eq!(ended.code, 3, "{ended:?}");
    let summary = ended.json();
    let mut failed: Vec<_> =
        summary["failed"].as_array().unwrap().iter().map(|f| (f["file"].as_str().unwrap(), f["code"].as_str().unwrap())).collect();
    failed.sort_unstable();
    assert_eq!(failed, [("empty.txt", "document_empty"), ("nul.txt", "unsupported_media_type"), ("picture.md", "unsupported_media_type")]);
    for (words, document) in [
        ("harbour master tower", "good.md"),
        ("tide turns", "broken.html"),
        ("sixteen lighthouse", "utf16.txt"),
        ("bottom of the sea", "deep.html"),
        ("café by the harbour", "latin.txt"),
    ] {
        let found = binary.run(&["search", words, "--json"]).json();
        assert_eq!(found["items"][0]["document"], document, "{words}: {found}");
    }
    assert!(!binary.run(&["search", "while", "--json"]).out.contains("while(1)"));
}

/// Makes a command run as a user that owns nothing here, when the test's own user may write everywhere.
#[cfg(unix)]
fn as_nobody(command: &mut std::process::Command) {
    use std::os::unix::process::CommandExt;
    if rustix::process::getuid().is_root() {
        command.uid(65534).gid(65534);
    }
}

#[cfg(unix)]
fn readable_only(folder: &Path) {
    use std::os::unix::fs::PermissionsExt;
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.path().is_dir() {
            readable_only(&entry.path());
        } else {
            fs::set_permissions(entry.path(), fs::Permissions::from_mode(0o444)).unwrap();
        }
    }
    fs::set_permissions(folder, fs::Permissions::from_mode(0o555)).unwrap();
}

#[cfg(unix)]
#[test]
fn a_data_directory_that_cannot_be_written_is_named_and_left_as_it_is() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let binary = Binary::new(folder.path());
    assert_eq!(binary.run(&["migrate"]).code, 0);
    let before = files(binary.data_dir());
    readable_only(binary.data_dir());
    let missing = binary.on(&folder.path().join("data/inner"));
    for (which, args) in [
        (&binary, vec!["serve", "--listen", "127.0.0.1:0"]),
        (&binary, vec!["ask", "why?"]),
        (&missing, vec!["serve", "--listen", "127.0.0.1:0"]),
    ] {
        let mut command = which.command(&args);
        as_nobody(&mut command);
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(7), "{args:?}: {text}");
        assert!(
            text.contains(which.data_dir().to_str().unwrap()) && text.contains("hint: ") && !text.contains("panicked"),
            "{args:?}: {text}"
        );
    }
    fs::set_permissions(binary.data_dir(), fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(files(binary.data_dir()), before);
}

/// Fills the disk but for some kilobytes, ingests, makes room and ingests again, each with its exit code on a line of its own.
#[cfg(target_os = "linux")]
const FULL_DISK: &str = r#"
    mount -t tmpfs -o size=8m none "$ASTROLABE_DATA_DIR" || exit 99
    "$1" migrate >/dev/null || exit 98
    for room in 0 60 400; do
        dd if=/dev/zero of="$ASTROLABE_DATA_DIR/blobs-of-others" bs=1k 2>/dev/null
        truncate -s "-${room}K" "$ASTROLABE_DATA_DIR/blobs-of-others"
        "$1" ingest "$2" --source sea --json; echo "CODE $?"
        rm "$ASTROLABE_DATA_DIR/blobs-of-others"
    done
    "$1" ingest "$2" --source sea --json; echo "CODE $?"
    "$1" check >/dev/null; echo "CODE $?"
"#;

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_named_and_what_was_refused_goes_in_once_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let documents = folder.path().join("documents");
    fs::create_dir(&documents).unwrap();
    for i in 0..40 {
        fs::write(
            documents.join(format!("{i}.md")),
            format!("# Record {i}\n\n{}", format!("The keeper writes line {i} of the log. ").repeat(60)),
        )
        .unwrap();
    }
    let binary = Binary::new(folder.path());
    fs::create_dir(binary.data_dir()).unwrap();
    let plain = binary.command(&[]);
    // A file system of a few megabytes, in a namespace of this process alone.
    let mut command = std::process::Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", FULL_DISK, "sh"]).arg(plain.get_program()).arg(&documents);
    command.env_clear().envs(plain.get_envs().filter_map(|(k, v)| Some((k, v?)))).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    let Ok(output) = command.output() else {
        eprintln!("SKIPPED: there is no `unshare`, so no disk can be filled");
        return;
    };
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if matches!(output.status.code(), Some(1 | 99)) {
        eprintln!("SKIPPED: this machine gives no namespace with a file system of its own: {err}");
        return;
    }
    let codes: Vec<&str> = out.lines().filter_map(|l| l.strip_prefix("CODE ")).collect();
    assert_eq!(codes.len(), 5, "{out} {err}");
    // Without any room nothing begins; with a little, some documents get in and the others say why they did not.
    assert_eq!((codes[0], codes[3], codes[4]), ("7", "0", "0"), "{out} {err}");
    assert!(codes[1..3].iter().all(|c| ["0", "3", "7"].contains(c)), "{out} {err}");
    assert!(out.contains("storage_full") && out.contains("no space is left") && out.contains("Free disk space"), "{out} {err}");
    assert!(!out.contains("\"internal\""), "{out}");
    assert!(!err.contains("panicked"), "{err}");
}

#[test]
fn a_killed_upload_leaves_no_half_file_behind() {
    let folder = tempfile::tempdir().unwrap();
    let binary = Binary::new(folder.path());
    let server = binary.serve();
    let raw = Raw::new(&binary, &server);
    let (_, made) = raw.post("/api/v1/sources", &json!({"name": "handbook"})).unwrap();
    let path = format!("/api/v1/sources/{}/documents", made["id"].as_str().unwrap());
    let token = fs::read_to_string(binary.data_dir().join("token")).unwrap();
    let half = format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\ncontent-type: multipart/form-data; boundary=b\r\ncontent-length: 1000000\r\n\r\n\
         --b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"half.md\"\r\n\r\n{}",
        token.trim(),
        "half a file ".repeat(20_000)
    );
    let mut socket = std::net::TcpStream::connect(server.url.trim_start_matches("http://")).unwrap();
    std::io::Write::write_all(&mut socket, half.as_bytes()).unwrap();
    server.kill();
    server.wait();
    let server = binary.serve();
    let raw = Raw::new(&binary, &server);
    let (status, listed) = raw.call("GET", &path, "", "").unwrap();
    assert_eq!((status, &listed["items"]), (200, &json!([])));
    server.stop();
    let left: Vec<String> = files(&binary.data_dir().join("blobs")).into_keys().collect();
    assert!(left.is_empty(), "{left:?}");
}
