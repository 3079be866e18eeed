//! Backup under writes, wipe, restore, check; and files that are no backups.

use std::{
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

use crate::support::{Binary, Server};

/// Writes `n` documents, each with a text of its own.
fn documents(folder: &Path, from: usize, n: usize) -> String {
    std::fs::create_dir_all(folder).unwrap();
    for i in from..from + n {
        std::fs::write(folder.join(format!("doc-{i:04}.md")), format!("# Document {i}\n\nThe reading of meter {i} is {}.\n", i * 7919))
            .unwrap();
    }
    folder.to_str().unwrap().to_owned()
}

fn ready(binary: &Binary) -> usize {
    let mut found = 0;
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let db = astrolabe_kernel::Db::open(&format!("sqlite://{}", binary.data_dir().join("astrolabe.db").display()), 1).await.unwrap();
        let count: i64 = db.read_all().await.unwrap().one("SELECT COUNT(*) FROM documents WHERE state = 'ready'", &[]).await.unwrap();
        found = usize::try_from(count).unwrap();
        db.close().await;
    });
    found
}

#[test]
fn a_backup_that_is_made_while_others_write_restores_complete() {
    let folder = tempfile::tempdir().unwrap();
    let binary = Binary::new(folder.path());
    let server: Server = binary.serve();
    let first = documents(&folder.path().join("first"), 0, 40);
    assert_eq!(binary.run(&["ingest", &first, "--source", "s"]).code, 0);

    // More documents arrive while the backup is made: some are in it, some are not, and none is in it by half.
    let done = AtomicBool::new(false);
    let file = folder.path().join("backup.tar.gz");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut round = 1;
            while !done.load(Ordering::SeqCst) {
                let more = documents(&folder.path().join(format!("more-{round}")), round * 1000, 20);
                assert_eq!(binary.run(&["ingest", &more, "--source", "s"]).code, 0);
                round += 1;
            }
        });
        let ended = binary.run(&["backup", file.to_str().unwrap(), "--json"]);
        done.store(true, Ordering::SeqCst);
        assert_eq!(ended.code, 0, "{ended:?}");
        assert_eq!(ended.json()["missing"], serde_json::json!([]));
    });
    server.stop();
    let all = ready(&binary);
    std::fs::remove_dir_all(binary.data_dir()).unwrap();

    assert_eq!(binary.run(&["restore", file.to_str().unwrap()]).code, 0);
    let restored = ready(&binary);
    assert!((40..=all).contains(&restored), "{restored} of {all}");
    let checked = binary.run(&["check", "--deep", "--json"]);
    assert_eq!(checked.code, 0, "{checked:?}");
    assert_eq!(binary.run(&["audit", "verify", "--anchor", "HEAD"]).code, 0);
    let answer = binary.run(&["search", "reading of meter 17", "--limit", "1", "--json"]).json();
    assert_eq!(answer["items"][0]["document"], "doc-0017.md");
    // What was queued in the backup is finished after the start, and the audit chain goes on where it was.
    let server = binary.serve();
    let more = documents(&folder.path().join("later"), 9000, 3);
    assert_eq!(binary.run(&["ingest", &more, "--source", "s"]).code, 0);
    server.stop();
    assert_eq!(binary.run(&["audit", "verify", "--anchor", "HEAD"]).code, 0);
}

#[test]
fn a_restore_never_overwrites_what_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let binary = Binary::new(folder.path());
    let path = documents(&folder.path().join("docs"), 0, 2);
    binary.run(&["ingest", &path, "--source", "s"]);
    let file = folder.path().join("b.tar.gz");
    let file = file.to_str().unwrap();
    assert_eq!(binary.run(&["backup", file]).code, 0);
    assert_eq!(binary.run(&["backup", file]).code, 6, "a backup does not overwrite a file");

    let refused = binary.run(&["restore", file]);
    assert_eq!(refused.code, 6, "{refused:?}");
    assert!(refused.err.contains("is not empty"), "{}", refused.err);
    let forced = binary.run(&["restore", file, "--force", "--json"]);
    assert_eq!(forced.code, 0, "{forced:?}");
    let moved = forced.json()["moved"].as_str().unwrap().to_owned();
    assert!(Path::new(&moved).join("astrolabe.db").is_file(), "what was there is still there");
    assert_eq!(binary.run(&["check"]).code, 0);

    let server = binary.serve();
    let busy = binary.run(&["restore", file, "--force"]);
    assert_eq!(busy.code, 6, "{busy:?}");
    assert!(busy.err.contains("in use"), "{}", busy.err);
    server.stop();
}

/// A tar.gz with these members, then the manifest.
fn pack(file: &Path, members: &[(&str, &[u8], tar::EntryType)], manifest: Option<&str>) {
    let out = std::fs::File::create(file).unwrap();
    let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(out, flate2::Compression::fast()));
    let mut add = |name: &str, bytes: &[u8], kind: tar::EntryType| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(0o644);
        header.set_size(bytes.len() as u64);
        // Written by hand: the builder refuses names that lead out of a folder, and this is what is tried here.
        let field = &mut header.as_old_mut().name;
        field[..name.len()].copy_from_slice(name.as_bytes());
        if kind == tar::EntryType::Symlink {
            header.set_link_name("/etc/passwd").unwrap();
        }
        header.set_cksum();
        tar.append(&header, bytes).unwrap();
    };
    for (name, bytes, kind) in members {
        add(name, bytes, *kind);
    }
    if let Some(text) = manifest {
        add("manifest.json", text.as_bytes(), tar::EntryType::Regular);
    }
    tar.into_inner().unwrap().finish().unwrap();
}

#[test]
fn a_file_that_is_no_whole_backup_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let binary = Binary::new(folder.path());
    let path = documents(&folder.path().join("docs"), 0, 2);
    binary.run(&["ingest", &path, "--source", "s"]);
    let good = folder.path().join("good.tar.gz");
    assert_eq!(binary.run(&["backup", good.to_str().unwrap()]).code, 0);
    let bytes = std::fs::read(&good).unwrap();
    let regular = tar::EntryType::Regular;
    let empty = r#"{"format":1,"data_format":1,"version":"0","created_at":"","migrations":[],"missing":[],"files":{}}"#;
    let newer = r#"{"format":9,"data_format":1,"version":"9.9.9","created_at":"","migrations":[],"missing":[],"files":{}}"#;
    let bad = folder.path().join("bad.tar.gz");
    let target = binary.on(&folder.path().join("target"));
    let refused = |what: &str, code: i32| {
        let ended = target.run(&["restore", bad.to_str().unwrap()]);
        assert_eq!(ended.code, code, "{what}: {ended:?}");
        assert!(!target.data_dir().try_exists().unwrap(), "{what}: nothing was written");
    };
    std::fs::write(&bad, &bytes[..bytes.len() / 2]).unwrap();
    refused("cut off", 2);
    std::fs::write(&bad, "hello").unwrap();
    refused("no archive", 2);
    let mut flipped = bytes.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0x55;
    std::fs::write(&bad, &flipped).unwrap();
    refused("a changed byte", 2);
    pack(&bad, &[("token", b"x", regular)], None);
    refused("no manifest", 2);
    pack(&bad, &[("token", b"x", regular)], Some(empty));
    refused("a member that the manifest does not have", 2);
    pack(&bad, &[("../escape", b"x", regular)], Some(empty));
    refused("a path that leads out", 2);
    pack(&bad, &[("token", b"", tar::EntryType::Symlink)], Some(empty));
    refused("a link", 2);
    pack(&bad, &[], Some(newer));
    refused("a newer version", 6);
    assert!(!folder.path().join("escape").try_exists().unwrap());
}

#[test]
fn a_chain_that_was_cut_is_found_against_the_archive_and_a_kept_head() {
    let folder = tempfile::tempdir().unwrap();
    let binary = Binary::new(folder.path());
    let path = documents(&folder.path().join("docs"), 0, 3);
    // Two runs, and so at least two signed heads.
    binary.run(&["ingest", &path, "--source", "s"]);
    binary.run(&["ingest", &path, "--source", "t"]);
    let verified = binary.run(&["audit", "verify", "--anchor", "HEAD", "--json"]);
    assert_eq!(verified.code, 0, "{verified:?}");
    let head = verified.json()["chains"][0]["head"].as_str().unwrap().to_owned();
    let kept = folder.path().join("kept.txt");
    std::fs::write(&kept, format!("{head}\n")).unwrap();

    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let db = astrolabe_kernel::Db::open(&format!("sqlite://{}", binary.data_dir().join("astrolabe.db").display()), 1).await.unwrap();
        let mut tx = db.write_all().await.unwrap();
        // Cut back to an older signed head, as someone with the database but without the key can.
        let older = "(SELECT seq FROM audit_checkpoints ORDER BY seq DESC LIMIT 1 OFFSET 1)";
        tx.execute(format!("DELETE FROM audit_entries WHERE seq > {older}"), &[]).await.unwrap();
        tx.execute(
            format!("UPDATE audit_chains SET seq = {older}, hash = (SELECT hash FROM audit_entries ORDER BY seq DESC LIMIT 1)"),
            &[],
        )
        .await
        .unwrap();
        tx.execute("DELETE FROM audit_checkpoints WHERE seq > (SELECT MAX(seq) FROM audit_entries)", &[]).await.unwrap();
        tx.commit().await.unwrap();
        db.close().await;
    });
    assert_eq!(binary.run(&["audit", "verify"]).code, 0, "without an anchor a shorter chain looks whole");
    for anchor in ["HEAD", head.as_str(), kept.to_str().unwrap()] {
        let ended = binary.run(&["audit", "verify", "--anchor", anchor]);
        assert_eq!(ended.code, 6, "{anchor}: {ended:?}");
        assert!(ended.out.contains("BROKEN"), "{}", ended.out);
    }
    // The archive has everything, and proves itself with the public key alone.
    let archive = binary.data_dir().join("audit");
    let key = binary.data_dir().join("keys/audit.pub.pem");
    let args = ["audit", "verify", "--archive", archive.to_str().unwrap(), "--public-key", key.to_str().unwrap(), "--anchor", &head];
    assert_eq!(binary.run(&args).code, 0);
}
