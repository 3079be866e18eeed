//! Uploads in parts on the real binary: what a cut connection, a kill and a full disk leave.

use std::{fs, io::Write, net::TcpStream};

use serde_json::json;
use sha2::{Digest, Sha256};

use crate::support::{Binary, Raw, Server};

fn sum(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// Sends bytes to a part's address as a program without any token does. Returns the status.
fn put(server: &Server, url: &str, bytes: &[u8]) -> u16 {
    let mut socket = TcpStream::connect(server.url.trim_start_matches("http://")).unwrap();
    write!(socket, "PUT {url} HTTP/1.0\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n", bytes.len()).unwrap();
    socket.write_all(bytes).unwrap();
    let mut reply = String::new();
    std::io::Read::read_to_string(&mut socket, &mut reply).unwrap();
    reply.split(' ').nth(1).unwrap().parse().unwrap()
}

#[test]
fn an_upload_survives_a_cut_connection_and_a_killed_server_and_becomes_one_document() {
    let folder = tempfile::tempdir().unwrap();
    let binary = Binary::new(folder.path());
    let mut text = b"# The press\n\nThe press in hall seven weighs nine tonnes.\n\n".to_vec();
    text.resize(5 << 20, b' ');
    text.extend_from_slice(b"\n\nThe crane above it lifts twelve tonnes.\n");
    let parts: Vec<&[u8]> = text.chunks(5 << 20).collect();

    let server = binary.serve();
    let raw = Raw::new(&binary, &server);
    let (_, source) = raw.post("/api/v1/sources", &json!({"name": "manuals"})).unwrap();
    let uploads = format!("/api/v1/sources/{}/uploads", source["id"].as_str().unwrap());
    let sums: Vec<String> = parts.iter().map(|p| sum(p)).collect();
    let new = json!({"name": "press.txt", "size": text.len(), "sha256": sum(&text), "part_size": 5 << 20, "checksums": sums});
    let (status, begun) = raw.post(&uploads, &new).unwrap();
    assert_eq!(status, 201, "{begun}");
    let url = |i: usize| begun["parts"][i]["url"].as_str().unwrap();
    assert_eq!(put(&server, url(1), parts[1]), 200);
    // The first part stops in the middle, and then so does everything.
    let mut socket = TcpStream::connect(server.url.trim_start_matches("http://")).unwrap();
    write!(socket, "PUT {} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n", url(0), parts[0].len()).unwrap();
    socket.write_all(&parts[0][..1 << 20]).unwrap();
    server.kill();
    server.wait();
    drop(socket);

    let server = binary.serve();
    let raw = Raw::new(&binary, &server);
    let upload = format!("/api/v1/uploads/{}", begun["id"].as_str().unwrap());
    let (_, read) = raw.call("GET", &upload, "", "").unwrap();
    assert_eq!(read["received"], json!([{"number": 2, "size": parts[1].len(), "sha256": sums[1]}]));
    let (status, early) = raw.post(&format!("{upload}/complete"), &json!({})).unwrap();
    assert_eq!((status, early["code"].as_str()), (409, Some("invalid_state")));
    assert_eq!(put(&server, &url(0).replace("size=", "size=1"), b""), 403);
    assert_eq!(put(&server, url(0), parts[0]), 200);
    let (status, document) = raw.post(&format!("{upload}/complete"), &json!({})).unwrap();
    assert_eq!(status, 202, "{document}");
    server.kill();
    server.wait();

    let server = binary.serve();
    let raw = Raw::new(&binary, &server);
    let (_, again) = raw.post(&format!("{upload}/complete"), &json!({})).unwrap();
    assert_eq!((&again["id"], &again["version"]), (&document["id"], &json!(1)));
    let stored = binary.data_dir().join("blobs").join(&sum(&text)[..2]).join(sum(&text));
    assert_eq!(fs::read(stored).unwrap(), text);
    let (_, listed) = raw.call("GET", &uploads.replace("uploads", "documents"), "", "").unwrap();
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    server.stop();
}

/// Serves on a disk of 24 MB that is filled up between two parts: the second is refused, and goes in once there is room.
#[cfg(target_os = "linux")]
const FULL_DISK: &str = r#"
    mount -t tmpfs -o size=24m none "$ASTROLABE_DATA_DIR" || exit 99
    "$1" serve --listen 127.0.0.1:0 >"$2/log" 2>&1 & server=$!
    trap 'kill $server; wait $server' EXIT
    until [ -s "$ASTROLABE_DATA_DIR/token" ] && url=$(grep -o 'http://[0-9.:]*' "$ASTROLABE_DATA_DIR/lock") && curl -sf "$url/readyz" >/dev/null
    do kill -0 $server || exit 98; done
    api() { curl -s -H "authorization: Bearer $(cat "$ASTROLABE_DATA_DIR/token")" -H 'content-type: application/json' "$@"; }
    field() { grep -o "\"$1\":\"[^\"]*\"" | head -n "${2:-1}" | tail -n 1 | cut -d '"' -f 4; }
    put() { curl -s -o "$2/reply" -w 'PUT %{http_code}\n' -X PUT --data-binary "@$2/part$3" "$url$4"; }
    source=$(api -d '{"name": "sea"}' "$url/api/v1/sources" | field id)
    begun=$(api -d "@$2/new" "$url/api/v1/sources/$source/uploads")
    put "$1" "$2" 1 "$(echo "$begun" | field url 1)"
    dd if=/dev/zero of="$ASTROLABE_DATA_DIR/of-others" bs=64k 2>/dev/null
    truncate -s -2M "$ASTROLABE_DATA_DIR/of-others"
    put "$1" "$2" 2 "$(echo "$begun" | field url 2)"
    cat "$2/reply"; echo
    rm "$ASTROLABE_DATA_DIR/of-others"
    put "$1" "$2" 2 "$(echo "$begun" | field url 2)"
    api -o "$2/reply" -w 'COMPLETE %{http_code}\n' -d '{}' "$url/api/v1/uploads/$(echo "$begun" | field id)/complete"
"#;

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_refuses_a_part_with_507_and_keeps_those_that_came_before() {
    let folder = tempfile::tempdir().unwrap();
    let binary = Binary::new(folder.path());
    fs::create_dir(binary.data_dir()).unwrap();
    let text = "The keeper writes a line of the log.\n".repeat((10 << 20) / 37).into_bytes();
    let parts: Vec<&[u8]> = text.chunks(5 << 20).collect();
    for (i, part) in parts.iter().enumerate() {
        fs::write(folder.path().join(format!("part{}", i + 1)), part).unwrap();
    }
    let sums: Vec<String> = parts.iter().map(|p| sum(p)).collect();
    let new = json!({"name": "log.txt", "size": text.len(), "sha256": sum(&text), "part_size": 5 << 20, "checksums": sums});
    fs::write(folder.path().join("new"), new.to_string()).unwrap();
    let plain = binary.command(&[]);
    let mut command = std::process::Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", FULL_DISK, "sh"]).arg(plain.get_program()).arg(folder.path());
    command.env_clear().envs(plain.get_envs().filter_map(|(k, v)| Some((k, v?)))).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    let Ok(output) = command.output() else {
        eprintln!("SKIPPED: there is no `unshare`, so no disk can be filled");
        return;
    };
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.code() == Some(99) || err.contains("unshare failed") || err.contains("curl: not found") {
        eprintln!("SKIPPED: this machine gives no namespace with a file system of its own, or has no `curl`: {err}");
        return;
    }
    let log = fs::read_to_string(folder.path().join("log")).unwrap_or_default();
    let told: Vec<&str> = out.lines().filter(|l| l.starts_with("PUT") || l.starts_with("COMPLETE")).collect();
    assert_eq!(told, ["PUT 200", "PUT 507", "PUT 200", "COMPLETE 202"], "{out} {err} {log}");
    assert!(out.contains("storage_full"), "{out}");
}
