//! Tokens and the keys behind them, from outside.

use std::{io::Write, process::Stdio};

use serde_json::Value;

use crate::support::Binary;

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
