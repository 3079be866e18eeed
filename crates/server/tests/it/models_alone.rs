//! The real binary as a gateway of models and nothing else, and its file of routes.

use std::{fs, time::Duration};

use serde_json::{Value, json};

use crate::support::{Binary, Raw};

fn rules(folder: &std::path::Path, name: &str, answer: &str) -> String {
    let file = folder.join(name);
    fs::write(&file, format!("[[rules]]\nanswer = \"{answer}\"\nusage = {{ prompt_tokens = 7, completion_tokens = 5 }}")).unwrap();
    format!("scripted/{}", file.display())
}

fn get(raw: &Raw, path: &str) -> (u16, Value) {
    raw.call("GET", path, "", "").unwrap()
}

#[test]
fn a_gateway_alone_serves_models_with_keys_and_books_and_no_documents() {
    let folder = tempfile::tempdir().unwrap();
    let binary = Binary::new(folder.path()).env("ASTROLABE_MODEL_NAME", &rules(folder.path(), "rules.toml", "one two"));
    let server = binary.serve_with(&["--role", "models"]);
    let raw = Raw::new(&binary, &server);
    assert_eq!(get(&raw, "/readyz").0, 200, "it waits for no index");
    assert_eq!(get(&raw, "/v1/models").1["data"][0]["id"], "default");
    let body = json!({"model": "default", "messages": [{"role": "user", "content": "hello"}]});
    let (status, reply) = raw.post("/v1/chat/completions", &body).unwrap();
    assert_eq!((status, &reply["choices"][0]["message"]["content"]), (200, &json!("one two")), "{reply}");
    let (status, key) = raw.post("/api/v1/api-keys", &json!({"name": "app"})).unwrap();
    assert_eq!(status, 201, "{key}");
    for path in ["/api/v1/sources", "/api/v1/asks", "/v1/agents"] {
        assert_eq!(get(&raw, path).0, 404, "{path}");
    }
    drop(server.stop());
    // The same folder, later, as the whole product.
    let server = binary.serve();
    let raw = Raw::new(&binary, &server);
    let total = get(&raw, "/api/v1/usage?by=alias").1["total"].clone();
    assert_eq!((&total["requests"], &total["output_tokens"]), (&json!(1), &json!(5)), "{total}");
    assert_eq!(get(&raw, "/api/v1/sources").0, 200);
    drop(server.stop());
}

#[test]
fn a_hangup_has_the_file_of_routes_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("routes.toml");
    let text = |alias: &str| {
        format!(
            "[providers.p]\nbase_url = \"http://127.0.0.1:9/v1\"\n[aliases.{alias}]\nroutes = [{{ provider = \"p\", model = \"m\" }}]\n"
        )
    };
    // The look at the file that is taken every two seconds sees no change: the time of the file stays.
    let at = std::time::UNIX_EPOCH + Duration::from_secs(2_000_000_000);
    let write = |alias: &str| {
        fs::write(&file, text(alias)).unwrap();
        fs::File::options().write(true).open(&file).unwrap().set_modified(at).unwrap();
    };
    write("before");
    let binary = Binary::new(folder.path()).env("ASTROLABE_MODEL_ROUTES_FILE", file.to_str().unwrap());
    let server = binary.serve_with(&["--role", "models"]);
    let raw = Raw::new(&binary, &server);
    assert_eq!(get(&raw, "/v1/models").1["data"][0]["id"], "before");
    write("after");
    server.hangup();
    while get(&raw, "/v1/models").1["data"][0]["id"] != "after" {}
    drop(server.stop());
}
