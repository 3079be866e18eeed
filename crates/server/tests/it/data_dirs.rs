//! Bad data directories and bad starts: each a clear error with the way out.

use std::path::Path;

use crate::support::Binary;

fn refused(binary: &Binary, code: i32, words: &[&str]) {
    let ended = binary.run(&["serve", "--listen", "127.0.0.1:0"]);
    assert_eq!(ended.code, code, "{ended:?}");
    for word in words {
        assert!(ended.err.contains(word), "{word}: {}", ended.err);
    }
    assert!(ended.err.contains("hint: "), "{}", ended.err);
    assert!(!ended.err.contains("panicked"), "{}", ended.err);
}

fn write(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

#[test]
fn a_file_a_foreign_folder_and_a_newer_directory_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let binary = Binary::new(folder.path());
    write(binary.data_dir(), "x");
    refused(&binary, 7, &["is not a folder"]);

    let foreign = binary.on(&folder.path().join("foreign"));
    write(&foreign.data_dir().join("thesis.doc"), "x");
    refused(&foreign, 7, &["is no data directory and is not empty", "thesis.doc"]);

    let newer = binary.on(&folder.path().join("newer"));
    write(&newer.data_dir().join("FORMAT"), "2\n");
    refused(&newer, 6, &["format 2"]);
}

#[test]
fn a_database_of_a_newer_version_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let binary = Binary::new(folder.path());
    assert_eq!(binary.run(&["migrate"]).code, 0);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let url = format!("sqlite://{}", binary.data_dir().join("astrolabe.db").display());
    runtime.block_on(async {
        let db = astrolabe_kernel::Db::open(&url, 1).await.unwrap();
        let mut tx = db.write_all().await.unwrap();
        tx.execute(
            "INSERT INTO schema_migrations (domain, version, name, checksum, applied_at) VALUES ('kernel', 9999, 'future', 'x', 0)",
            &[],
        )
        .await
        .unwrap();
        tx.commit().await.unwrap();
        db.close().await;
    });
    refused(&binary, 6, &["newer version of astrolabe", "kernel/9999_future"]);
}

#[test]
fn a_damaged_token_key_or_database_is_named() {
    let folder = tempfile::tempdir().unwrap();
    for (name, file, text, word) in [
        ("a", "token", "hunter2", "holds no token"),
        ("b", "keys/audit.pem", "hello", "holds no Ed25519 key"),
        ("c", "astrolabe.db", "this is no database, but it is long enough to look like one with a header of its own", "is damaged"),
    ] {
        let binary = Binary::new(&folder.path().join(name));
        assert_eq!(binary.run(&["migrate"]).code, 0);
        write(&binary.data_dir().join(file), text);
        let ended = binary.run(&["serve", "--listen", "127.0.0.1:0"]);
        assert_ne!(ended.code, 0, "{file}");
        assert!(ended.err.contains(word), "{file}: {}", ended.err);
        assert!(!ended.err.contains("panicked") && !ended.err.contains("hunter2"), "{}", ended.err);
    }
}

#[test]
fn a_directory_whose_database_is_gone_is_not_taken_for_a_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let binary = Binary::new(folder.path());
    binary.serve().stop();
    let database = binary.data_dir().join("astrolabe.db");
    std::fs::remove_file(&database).unwrap();
    refused(&binary, 7, &["astrolabe.db is gone", "restore a backup"]);
    for command in [&["check"][..], &["audit", "verify"], &["backup", "x.tar.gz"], &["login-link"], &["ask", "why?"]] {
        let ended = binary.run(command);
        assert!(ended.code == 7 && ended.err.contains("is gone"), "{command:?}: {ended:?}");
    }
    assert!(!database.try_exists().unwrap(), "nothing was put in its place");
}

#[cfg(unix)]
#[test]
fn a_first_start_on_a_full_disk_leaves_nothing_that_stops_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let binary = Binary::new(folder.path());
    // A process that may not write a byte to a file is as badly off as one on a full disk.
    let mut poor = std::process::Command::new("sh");
    poor.args(["-c", "trap '' XFSZ; ulimit -f 0; exec \"$0\" serve --listen 127.0.0.1:0", env!("CARGO_BIN_EXE_astrolabe")]);
    let ended = poor.env_clear().env("ASTROLABE_DATA_DIR", binary.data_dir()).output().unwrap();
    assert!(!ended.status.success(), "{ended:?}");
    let left: Vec<_> = std::fs::read_dir(binary.data_dir()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(left.is_empty(), "{left:?}");
    binary.serve().stop();
}

#[test]
fn a_second_process_and_an_address_in_use_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let binary = Binary::new(folder.path());
    let server = binary.serve();
    refused(&binary, 6, &["is in use by the server at", &server.url]);
    let address = server.url.trim_start_matches("http://").to_owned();
    let other = binary.on(&folder.path().join("other"));
    let ended = other.run(&["serve", "--listen", &address]);
    assert_eq!(ended.code, 6, "{ended:?}");
    assert!(ended.err.contains(&format!("the address {address} is in use")), "{}", ended.err);
    server.stop();
}

#[test]
fn a_setting_that_cannot_work_stops_the_start_and_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let binary = Binary::new(folder.path());
    refused(&binary.clone().env("ASTROLABE_SERVER_LISTN", "x"), 2, &["did you mean ASTROLABE_SERVER_LISTEN?"]);
    refused(&binary.clone().env("ASTROLABE_JOBS_WORKERS", "0"), 2, &["jobs.workers"]);
    refused(
        &binary.clone().env("ASTROLABE_SERVER_MAX_CONNECTIONS", "9223372036854775807"),
        2,
        &["server.max_connections: must be between 1 and"],
    );
    refused(&binary.clone().env("DATABASE_URL", "mysql://me:hunter2@db/x"), 2, &["sqlite:// or postgres://"]);
    refused(&binary.clone().env("ASTROLABE_MODEL_NAME", "gpt"), 2, &["model.base_url"]);
    let ended = binary.env("DATABASE_URL", "mysql://me:hunter2@db/x").run(&["config", "show"]);
    assert!(!ended.out.contains("hunter2"));
}

#[cfg(unix)]
#[test]
fn secrets_are_readable_by_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let binary = Binary::new(folder.path());
    binary.serve().stop();
    for file in ["token", "keys/audit.pem"] {
        let mode = std::fs::metadata(binary.data_dir().join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
}
