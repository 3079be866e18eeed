//! Tokens and the keys behind them, from outside.

use std::{
    io::{Read, Write},
    process::Stdio,
    time::{Duration, Instant},
};

use astrolabe_platform::identity::{
    keys::Grant,
    tokens::{Expectations, KeySet, Verifier},
};
use axum::http::Method;
use serde_json::Value;

use crate::support::{Binary, Server, TestApp};

/// A key set and a token that a tool of somebody else signed; it is good from 2026-01-01 on, for ten minutes.
const FOREIGN: &str = include_str!("../../../platform/tests/fixtures/weak_rsa.json");
const NOW: &str = "1767225600";

/// The arguments that verify `token` with the keys in `file`.
fn verify<'a>(file: &'a str, now: &'a str, token: &'a str) -> [&'a str; 11] {
    ["token", "verify", "--jwks", file, "--issuer", "https://issuer.example", "--audience", "astrolabe", "--now", now, token]
}

#[test]
fn a_token_is_verified_on_the_command_line_without_a_data_directory() {
    let folder = tempfile::tempdir().unwrap();
    let binary = Binary::new(folder.path());
    let fixtures: Value = serde_json::from_str(FOREIGN).unwrap();
    let file = |name: &str, text: String| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let set = file("keys.json", serde_json::json!({"keys": [fixtures["sound"]["jwk"], fixtures["rsa1024"]["jwk"]]}).to_string());
    let token = fixtures["sound"]["token"].as_str().unwrap();

    let good = binary.run(&verify(&set, NOW, token));
    assert_eq!((good.code, good.json()["sub"].as_str()), (0, Some("user-1")), "{good:?}");
    assert!(!binary.data_dir().try_exists().unwrap());

    let refused = |args: &[&str], code: &str| {
        let ended = binary.run(args);
        assert_eq!((ended.code, ended.out.as_str()), (1, format!("{code}\n").as_str()), "{args:?}: {ended:?}");
        let json = binary.run(&[args, &["--json"]].concat());
        assert_eq!((json.code, json.json()["code"].as_str()), (1, Some(code)), "{json:?}");
        assert!(!json.json()["detail"].as_str().unwrap().is_empty());
    };
    refused(&verify(&set, "1767230000", token), "token_expired");
    refused(&verify(&set, "1767220000", token), "token_not_yet_valid");
    refused(&verify(&set, NOW, ""), "missing_token");
    refused(&verify(&set, NOW, "a.b.c"), "invalid_token");
    refused(&verify(&set, NOW, fixtures["rsa1024"]["token"].as_str().unwrap()), "invalid_token");
    let mut args = verify(&set, NOW, token);
    args[5] = "https://issuer.example/";
    refused(&args, "invalid_issuer");
    args[5] = "https://issuer.example";
    args[7] = "other";
    refused(&args, "invalid_audience");
    refused(&verify(&file("none.json", fixtures["sound"]["jwk"].to_string()), NOW, token), "invalid_token");
    refused(&verify(&set, NOW, &format!("-{token}")), "invalid_token");
    let weak = binary.run(&verify(&set, NOW, "a.b.c"));
    assert!(weak.err.contains("keys[1]: its modulus has not between 2048 and 8192 bits"), "{weak:?}");

    let missing = binary.run(&verify("/nowhere/keys.json", NOW, token));
    assert_eq!(missing.code, 2, "{missing:?}");
    assert_eq!(binary.run(&["token", "verify", token]).code, 2, "keys, issuer and audience must be said");

    let mut child = binary.command(&verify(&set, NOW, "-")).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(format!("{token}\n").as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[tokio::test]
async fn the_public_keys_and_the_way_to_a_token_are_open_to_everybody() {
    let app = TestApp::with(&[("oidc.issuer", "https://id.example.com"), ("oidc.audience", "astrolabe")]).await;
    let reply = app.anonymous(Method::GET, "/.well-known/jwks.json").send().await;
    assert_eq!((reply.status, reply.header("cache-control")), (200, "public, max-age=300"), "{}", reply.text());
    let issued = app.app.identity.keys().issue(Grant { subject: "user-1", ..Grant::default() }).await.unwrap();
    let set = KeySet::parse(reply.text().as_bytes()).unwrap();
    let expect = Expectations::access("astrolabe", vec!["astrolabe".to_owned()]);
    Verifier { keys: &set, expect: &expect }.verify(issued.token.expose(), app.app.kernel.now()).unwrap();
    assert!(!reply.text().contains("\"d\""));

    let reply = app.anonymous(Method::GET, "/.well-known/oauth-protected-resource").send().await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let metadata = reply.json();
    assert_eq!(metadata["authorization_servers"], serde_json::json!(["https://id.example.com"]));
    assert_eq!(metadata["bearer_methods_supported"], serde_json::json!(["header"]));
    assert!(metadata["resource"].as_str().unwrap().starts_with("http"), "{metadata}");
}

/// The ids of the keys that a server publishes.
fn published(server: &Server) -> Vec<String> {
    let host = server.url.trim_start_matches("http://");
    let mut stream = std::net::TcpStream::connect(host).unwrap();
    write!(stream, "GET /.well-known/jwks.json HTTP/1.0\r\nhost: {host}\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let body: Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
    body["keys"].as_array().unwrap().iter().map(|k| k["kid"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn keys_are_rotated_from_the_command_line_while_a_server_runs_and_a_wrong_secret_starts_none() {
    let folder = tempfile::tempdir().unwrap();
    let plain = Binary::new(folder.path());
    let good = plain.clone().env("SECRET_KEY", "kX3v9Qm2Zt7Lr5Wp8Yc1Nf6Hb4Jd0SgA");
    let server = good.serve();
    let before = published(&server);
    assert_eq!(before.len(), 2);
    let rotated = good.run(&["keys", "rotate", "--json"]);
    assert_eq!(rotated.code, 0, "{rotated:?}");
    let states: Vec<(String, String)> = rotated.json().as_array().unwrap().iter().map(|k| (text(&k["state"]), text(&k["kid"]))).collect();
    assert_eq!(states[0], ("active".to_owned(), before[1].clone()), "the next one signs");
    assert_eq!(states[2], ("retired".to_owned(), before[0].clone()));
    // Only the passing of real time makes another process look again.
    let limit = Instant::now() + Duration::from_secs(30);
    while published(&server).len() != 3 {
        assert!(Instant::now() < limit, "the server does not notice");
        std::thread::yield_now();
    }
    server.stop();

    for wrong in [plain.clone().env("SECRET_KEY", "Vb8Kq1Xz6Rn3Tm9Ls4Gw7Hd2Jf5Pc0Ya"), plain.clone()] {
        let ended = wrong.run(&["serve", "--listen", "127.0.0.1:0"]);
        assert_eq!(ended.code, 2, "{ended:?}");
        assert!(ended.err.contains("SECRET_KEY: "), "{ended:?}");
    }
    let ended = plain.clone().env("SECRET_KEY", "change-me").run(&["serve", "--listen", "127.0.0.1:0"]);
    assert!(ended.code == 2 && ended.err.contains("SECRET_KEY: is shorter than 32 characters"), "{ended:?}");
    let kept = plain.run(&["keys", "list", "--json"]).json();
    assert_eq!(kept.as_array().unwrap().len(), 3, "listing needs no secret, and nothing was overwritten");
    let revoked = plain.run(&["keys", "rotate", "--revoke", "--json"]);
    assert_eq!((revoked.code, revoked.json().as_array().unwrap().len()), (0, 2), "{revoked:?}");
    plain.serve().stop();
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}
