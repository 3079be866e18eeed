//! The commands, run as the real binary.

use serde_json::Value;

use crate::support::Binary;

const GUIDE: &str = "# Backups\n\n## How long are backups kept?\n\nBackups are kept for 35 days. After that they are deleted.\n\n## Restoring\n\nStop the server before \
                     you restore a backup.\n";

/// A data directory and a folder with documents to ingest.
fn setup() -> (tempfile::TempDir, Binary, String) {
    let folder = tempfile::tempdir().unwrap();
    let documents = folder.path().join("documents");
    std::fs::create_dir_all(documents.join("deep/er")).unwrap();
    std::fs::write(documents.join("guide.md"), GUIDE).unwrap();
    std::fs::write(documents.join("deep/er/pl.txt"), "Kopie zapasowe są przechowywane przez 35 dni.\n").unwrap();
    std::fs::write(documents.join("deep/page.html"), "<html><body><h1>Pumps</h1><p>The pump is serviced every spring.</p></body></html>")
        .unwrap();
    std::fs::write(documents.join("deep/empty.md"), "").unwrap();
    let binary = Binary::new(folder.path());
    let path = documents.to_str().unwrap().to_owned();
    (folder, binary, path)
}

fn check_ingest(summary: &Value) {
    assert_eq!((summary["files"].as_u64(), summary["ready"].as_u64()), (Some(4), Some(3)), "{summary}");
    assert_eq!(summary["failed"].as_array().unwrap().len(), 1, "{summary}");
    assert_eq!(
        (summary["failed"][0]["file"].as_str(), summary["failed"][0]["code"].as_str()),
        (Some("deep/empty.md"), Some("document_empty"))
    );
}

fn check_answer(binary: &Binary, more: &[&str]) {
    let mut args = vec!["ask", "how long are backups kept?", "--json"];
    args.extend_from_slice(more);
    let ended = binary.run(&args);
    assert_eq!(ended.code, 0, "{ended:?}");
    let answer = ended.json();
    assert!(answer["answer"].as_str().unwrap().contains("35 days"), "{answer}");
    assert_eq!((answer["citations"][0]["document"].as_str(), answer["mode"].as_str()), (Some("guide.md"), Some("extractive")));
}

#[test]
fn documents_are_ingested_and_asked_without_a_server() {
    let (_folder, binary, documents) = setup();
    let ended = binary.run(&["ingest", &documents, "--source", "manuals", "--tags", "a,b", "--json"]);
    assert_eq!(ended.code, 3, "one file of four is empty: {ended:?}");
    check_ingest(&ended.json());
    check_answer(&binary, &["--source", "manuals"]);

    let again = binary.run(&["ingest", &documents, "--source", "manuals", "--json"]).json();
    check_ingest(&again);
    let found = binary.run(&["search", "pump spring", "--json"]);
    assert_eq!(found.json()["items"][0]["document"], "deep/page.html");
    let text = binary.run(&["search", "pump spring"]);
    assert!(text.out.starts_with("1. manuals / deep/page.html"), "{}", text.out);
    let explained = binary.run(&["ask", "how long are backups kept?", "--explain"]);
    assert!(explained.out.contains("\n    words: rank 1, "), "{}", explained.out);
    let nothing = binary.run(&["ask", "who painted the ceiling of the chapel?"]);
    assert_eq!(nothing.code, 3, "{nothing:?}");
    assert_eq!(binary.run(&["ask", "x", "--source", "nowhere"]).code, 5);
}

#[test]
fn a_running_server_is_found_and_used() {
    let (folder, binary, documents) = setup();
    let server = binary.serve();
    let ended = binary.run(&["ingest", &documents, "--source", "manuals", "--json"]);
    check_ingest(&ended.json());
    check_answer(&binary, &[]);
    // From elsewhere, with address and token.
    let token = std::fs::read_to_string(binary.data_dir().join("token")).unwrap();
    let elsewhere = binary.on(&folder.path().join("nothing-here"));
    check_answer(&elsewhere, &["--server", &server.url, "--token", token.trim()]);
    let wrong = elsewhere.run(&["ask", "x", "--server", &server.url, "--token", "astro_wrong"]);
    assert_eq!(wrong.code, 4, "{wrong:?}");
    server.stop();
    let gone = elsewhere.run(&["ask", "x", "--server", "http://127.0.0.1:9", "--token", "astro_x", "--json"]);
    assert_eq!((gone.code, gone.json()["error"]["code"].as_str().unwrap()), (7, "server_unreachable"));
}

#[test]
fn the_index_is_built_again_on_command_and_a_damaged_one_by_itself() {
    let (folder, plain, documents) = setup();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let binary = plain.database(&runtime.block_on(astrolabe_kernel::testing::database_url(folder.path())));
    let found = || binary.run(&["search", "pump spring", "--json"]).json()["items"][0]["document"].clone();
    assert_eq!(binary.run(&["reindex"]).code, 7, "there is no data directory yet");
    check_ingest(&binary.run(&["ingest", &documents, "--source", "manuals", "--json"]).json());
    let alone = binary.run(&["reindex", "--json"]);
    assert_eq!((alone.code, alone.json()["documents"].as_u64()), (0, Some(3)), "{alone:?}");
    assert_eq!(found(), "deep/page.html");

    let log = binary.data_dir().join("index/words-1/index.log");
    let embedded = log.try_exists().unwrap();
    let damage = || {
        if embedded {
            std::fs::write(&log, b"ASTROIDX and then nothing that makes sense").unwrap()
        }
    };
    damage();
    assert_eq!(found(), "deep/page.html");
    damage();
    let server = binary.serve();
    let remote = binary.run(&["reindex"]);
    assert_eq!(remote.code, 0, "{remote:?}");
    assert!(remote.out.starts_with("the search index holds 3 documents again"), "{remote:?}");
    assert_eq!(found(), "deep/page.html");
    let log = server.stop();
    assert_eq!(log.iter().any(|line| line.contains("the search index was repaired")), embedded, "{log:?}");
    assert_eq!(binary.run(&["check"]).code, 0);
}

#[test]
fn a_link_of_the_command_line_signs_a_browser_in_while_the_server_runs() {
    let folder = tempfile::tempdir().unwrap();
    let binary = Binary::new(folder.path());
    let server = binary.serve();
    let first = server.first.clone();
    let link = binary.run(&["login-link", "--json"]).json()["link"].as_str().unwrap().to_owned();
    assert!(link.starts_with(&format!("{}/signin?code=", server.url)), "{link}");
    let answer = get(&link);
    assert!(answer.starts_with("HTTP/1.1 303") && answer.contains("astrolabe_session="), "{answer}");
    assert!(get(&link).starts_with("HTTP/1.1 401"));

    let token = std::fs::read_to_string(binary.data_dir().join("token")).unwrap();
    let lines: Vec<String> = first.into_iter().chain(server.stop()).collect();
    assert!(!lines.iter().any(|l| l.contains(token.trim())), "the token is never printed");
    let code = link.split_once("code=").unwrap().1;
    assert!(!lines.iter().any(|l| l.contains(code)), "nor is a code that was used");
}

/// A GET over a plain socket; the head and body of the answer.
fn get(url: &str) -> String {
    use std::io::{Read, Write};
    let (host, path) = url.trim_start_matches("http://").split_once('/').unwrap();
    let mut stream = std::net::TcpStream::connect(host).unwrap();
    write!(stream, "GET /{path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_second_signal_ends_at_once_and_a_first_one_softly() {
    let folder = tempfile::tempdir().unwrap();
    let binary = Binary::new(folder.path());
    let lines = binary.serve().stop();
    assert!(lines.iter().any(|l| l.contains("\"stopped\"") && l.contains("\"clean\":true")), "{lines:#?}");
    let server = binary.serve();
    server.kill();
    assert_eq!(server.wait().0, -1);
    assert_eq!(binary.run(&["check"]).code, 0, "a killed server leaves nothing half-written");
}

#[test]
fn settings_show_where_they_came_from_and_hide_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.toml");
    std::fs::write(&file, "[server]\nmax_connections = 7\n").unwrap();
    let secret = folder.path().join("key");
    std::fs::write(&secret, "sk-from-a-file\n").unwrap();
    let binary = Binary::new(folder.path()).env("PORT", "9000").env("OPENAI_API_KEY_FILE", secret.to_str().unwrap());
    let ended = binary.run(&["config", "show", "--json", "--config", file.to_str().unwrap(), "--set", "jobs.workers=3"]);
    let shown = ended.json();
    let find = |key: &str| shown.as_array().unwrap().iter().find(|s| s["key"] == key).unwrap().clone();
    assert_eq!((find("server.listen")["value"].as_str(), find("server.listen")["origin"].as_str()), (Some("127.0.0.1:9000"), Some("PORT")));
    assert_eq!(find("server.max_connections")["value"], 7);
    assert_eq!(find("jobs.workers")["origin"], "--set");
    assert_eq!(find("model.api_key")["value"], "[redacted]");
    assert!(!ended.out.contains("sk-from-a-file"));
    let unknown = binary.run(&["config", "show", "--set", "jobs.wokers=3"]);
    assert_eq!(unknown.code, 2);
    assert!(unknown.err.contains("did you mean jobs.workers?"), "{}", unknown.err);
}

#[test]
fn names_of_other_products_that_are_not_used_are_admitted() {
    let folder = tempfile::tempdir().unwrap();
    let lines = Binary::new(folder.path()).env("REDIS_URL", "redis://r").env("QDRANT_URL", "http://q").serve().stop();
    let warned: Vec<&String> = lines.iter().filter(|l| l.contains("not used by this version")).collect();
    assert_eq!(warned.len(), 1, "{lines:#?}");
    assert!(warned[0].contains("REDIS_URL, QDRANT_URL"), "{warned:?}");
    assert!(!lines.iter().any(|l| l.contains("redis://r")), "values are not printed");
}

#[test]
fn migrations_can_be_looked_at_before_they_are_applied() {
    let folder = tempfile::tempdir().unwrap();
    let binary = Binary::new(folder.path());
    let plan = binary.run(&["migrate", "--dry-run", "--json"]).json();
    assert!(plan["pending"].as_array().unwrap().iter().any(|m| m == "kernel/0001_events"), "{plan}");
    assert_eq!(binary.run(&["check"]).code, 3, "nothing was applied yet");
    assert!(binary.run(&["migrate"]).out.contains("applied kernel/0001_events"));
    assert!(binary.run(&["migrate"]).out.contains("up to date"));
}

#[test]
fn the_description_and_the_version_are_printed_without_a_server() {
    let folder = tempfile::tempdir().unwrap();
    let binary = Binary::new(folder.path());
    let api = binary.run(&["openapi"]).json();
    assert!(api["paths"]["/api/v1/me"]["get"].is_object());
    assert_eq!(binary.run(&["version", "--json"]).json()["name"], "astrolabe");
    assert!(!binary.data_dir().try_exists().unwrap(), "neither makes a data directory");
}

#[test]
fn help_teaches_and_wrong_usage_has_its_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let binary = Binary::new(folder.path());
    for command in ["serve", "ingest", "ask", "search", "backup", "restore", "check", "migrate", "login-link", "seed"] {
        let help = binary.run(&[command, "--help"]);
        assert_eq!(help.code, 0);
        assert!(help.out.contains("Example"), "{command} shows no example");
        assert!(help.out.contains("--data-dir") && help.out.contains("--json"), "{command}");
    }
    assert_eq!(binary.run(&["bake"]).code, 2);
    assert_eq!(binary.run(&["ingest", "x"]).code, 2, "--source is missing");
    let nothing = binary.run(&["ingest", "/nowhere/at all", "--source", "empty"]);
    assert_eq!(nothing.code, 2);
    assert!(nothing.err.contains("/nowhere/at all: there is no such file or folder"), "{}", nothing.err);
    for shell in ["bash", "zsh", "fish"] {
        assert!(binary.run(&["completions", shell]).out.contains("login-link"), "{shell}");
    }
}

#[test]
fn examples_become_sources_and_seeding_twice_changes_nothing() {
    let (_folder, binary, documents) = setup();
    let examples = std::path::Path::new(&documents).parent().unwrap();
    let args = ["seed", "--examples", examples.to_str().unwrap(), "--json"];
    let seeded = binary.run(&args).json();
    assert!(seeded["sources"].as_array().unwrap().iter().any(|s| s == "documents"), "{seeded}");
    let again = binary.run(&args).json();
    assert_eq!(seeded["ready"], again["ready"]);
    assert_eq!(binary.run(&["seed", "--examples", "nowhere"]).code, 2);
}

#[test]
fn a_hostile_document_is_read_in_a_child_without_an_environment() {
    use std::{io::Write, process::Stdio};
    let folder = tempfile::tempdir().unwrap();
    let binary = Binary::new(folder.path());
    let read = |bytes: &[u8], name: &str| {
        let mut child = binary.command(&["extract", "--name", name]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(bytes).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success());
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    assert_eq!(read(GUIDE.as_bytes(), "guide.md")["text"]["title"], "Backups");
    assert!(read(b"%PDF-1.7 \x00\x01\x02", "a.pdf")["refused"]["message"].is_string());
}

#[test]
fn the_process_that_reads_documents_can_open_no_file_and_no_socket() {
    let folder = tempfile::tempdir().unwrap();
    let output = Binary::new(folder.path()).command(&["extract", "--check"]).env_clear().output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let sandbox: Value = serde_json::from_slice(&output.stdout).unwrap();
    let of = |name: &str| sandbox[name].as_array().unwrap().iter().map(|v| v.as_str().unwrap().to_owned()).collect::<Vec<_>>();
    for needed in ["1024 MiB of memory", "30 s of processor time", "no files", "no sockets", "no environment"] {
        assert!(of("in_force").iter().any(|f| f == needed), "{sandbox}");
    }
    assert!(of("missing").iter().all(|m| m.contains("Landlock") || m == "no new privileges"), "{sandbox}");
}

#[test]
fn documents_of_every_kind_are_found_by_a_sentence_in_them_with_their_page() {
    let folder = tempfile::tempdir().unwrap();
    let binary = Binary::new(folder.path());
    let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/../knowledge/src/ingest/extract/fixtures");
    let ended = binary.run(&["ingest", fixtures, "--source", "mixed", "--json"]);
    assert_eq!(ended.code, 3, "{ended:?}");
    let summary = ended.json();
    let mut failed: Vec<(&str, &str)> =
        summary["failed"].as_array().unwrap().iter().map(|f| (f["file"].as_str().unwrap(), f["code"].as_str().unwrap())).collect();
    failed.sort_unstable();
    assert_eq!(failed, [("locked.pdf", "document_unreadable"), ("scan.pdf", "document_empty")]);
    for (query, document, page) in [
        ("pracę zdalną przełożonemu", "regulations.docx", None),
        ("заявление на отпуск", "regulations.docx", None),
        ("Gdynia Tuesday", "upgrade.pptx", Some(2)),
        ("Подшипник", "stock.xlsx", Some(1)),
        ("Анна 112", "contacts.xls", Some(1)),
        ("śrubokręt", "manual.odt", None),
        ("sobota Marek dyżury", "duties.ods", Some(1)),
        ("north gate closes", "handbook.epub", None),
        ("new pump costs", "report.pdf", Some(3)),
        ("отчёт о командировке", "letter.pdf", Some(2)),
        ("pompa numer trzy", "pump.eml", None),
    ] {
        let found = binary.run(&["search", query, "--json"]).json();
        let first = &found["items"][0];
        let same = [document, "no-printing.pdf"];
        assert!(same.contains(&first["document"].as_str().unwrap_or_default()), "{query}: {found}");
        assert_eq!(first["page"].as_i64(), page, "{query}: {first}");
    }
}

#[test]
fn the_audit_log_is_listed_and_exported_with_and_without_a_server() {
    let (folder, binary, documents) = setup();
    binary.run(&["ingest", &documents, "--source", "manuals"]);
    let list = |args: &[&str]| binary.run(&[&["audit", "list"], args].concat());
    let check = || {
        let all = list(&["--action", "documents.add", "--order", "oldest", "--json"]).json();
        let actions: Vec<&str> = all["items"].as_array().unwrap().iter().map(|e| e["action"].as_str().unwrap()).collect();
        assert_eq!(actions, ["documents.add"; 4]);
        let text = list(&["--action", "sources.create", "--outcome", "ok"]);
        assert!(text.out.trim_end().contains("user:local-admin  sources.create  src_"), "{text:?}");
        assert_eq!(list(&["--since", "yesterday"]).code, 2);
        let first = list(&["--limit", "1", "--json"]).json();
        assert_eq!(list(&["--limit", "1", "--cursor", first["next_cursor"].as_str().unwrap(), "--json"]).code, 0);

        let file = folder.path().join("audit.jsonl");
        let ended = binary.run(&["audit", "export", "--action", "documents.add", "--output", file.to_str().unwrap()]);
        assert_eq!(ended.code, 0, "{ended:?}");
        let lines = std::fs::read_to_string(&file).unwrap();
        assert_eq!(lines.lines().count(), 5);
        assert!(lines.lines().last().unwrap().starts_with(r#"{"end":{"entries":4,"#), "{lines}");
        let out = binary.run(&["audit", "export", "--action", "documents.add"]);
        assert_eq!(out.out.lines().count(), 5, "{out:?}");
    };
    check();
    let server = binary.serve();
    check();
    server.stop();
}
