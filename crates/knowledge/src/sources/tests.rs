//! Sources that are a folder of the server.

use std::{fs, os::unix::fs::symlink, path::Path, time::Duration};

use astrolabe_kernel::{
    Error, Result,
    http::{Caller, Json},
    jobs::JobState,
    principal::Role,
};
use axum::extract::State;

use super::{NewSource, Origin, Source, folder, routes};
use crate::{
    KnowledgeConfig,
    tests::support::{Setup, With},
};

/// The domain, and a folder that sources may be made of.
async fn setup() -> (Setup, tempfile::TempDir) {
    let root = tempfile::tempdir().unwrap();
    let config = KnowledgeConfig { embed_threads: 1, folder_roots: vec![root.path().to_owned()], ..KnowledgeConfig::default() };
    (Setup::with(With { config, ..With::default() }).await, root)
}

fn origin(path: &Path) -> Option<Origin> {
    Some(Origin::Folder { path: path.to_str().unwrap().to_owned(), endings: super::endings() })
}

async fn make_as(s: &Setup, caller: &Caller, path: &Path) -> Result<Source> {
    let new = NewSource { name: "manuals".to_owned(), origin: origin(path), ..NewSource::default() };
    Ok(routes::create_source(State(s.knowledge.clone()), caller.clone().may()?, Json(new)).await?.1.0)
}

async fn make(s: &Setup, path: &Path) -> Result<Source> {
    make_as(s, &s.caller, path).await
}

/// Lets the time to the next look pass, looks, and ingests what was found.
async fn look(s: &Setup) {
    s.kernel.clock.advance(Duration::from_secs(5 * 60));
    assert_eq!(s.knowledge.scan_what_is_due().await.unwrap(), 1);
    s.drain().await;
}

/// The names of a source's documents with their versions.
async fn documents(s: &Setup, source: &Source) -> Vec<(String, i64)> {
    let tenant = s.caller.principal.tenant;
    let mut tx = s.kernel.db.read(tenant).await.unwrap();
    let mut all: Vec<_> = crate::documents::store::page(&mut tx, tenant, source.id, "", "", 100)
        .await
        .unwrap()
        .into_iter()
        .map(|d| (d.name, d.version))
        .collect();
    all.sort();
    all
}

async fn scans(s: &Setup, source: &Source) -> Vec<serde_json::Value> {
    let events = s.events(&super::stream(source.id)).await;
    events.into_iter().filter(|e| e.kind == "source.scanned").map(|e| serde_json::from_str(&e.data).unwrap()).collect()
}

fn field(error: &Error) -> (&str, &str) {
    (error.code().name, error.fields().first().map_or("", |f| f.field.as_str()))
}

#[tokio::test]
async fn files_that_appear_change_and_go_do_so_as_documents() {
    let (s, root) = setup().await;
    let folder = root.path().join("manuals");
    fs::create_dir_all(folder.join("hall/seven")).unwrap();
    fs::write(folder.join("hall/seven/press.md"), "# The press\n\nThe press weighs nine tonnes.").unwrap();
    fs::write(folder.join("crane.txt"), "The crane lifts twelve tonnes.").unwrap();
    fs::write(folder.join(".hidden.md"), "hidden").unwrap();
    fs::write(folder.join("photo.png"), "no text").unwrap();
    let source = make(&s, &folder).await.unwrap();
    s.drain().await;
    assert_eq!(documents(&s, &source).await, [("crane.txt".to_owned(), 1), ("hall/seven/press.md".to_owned(), 1)]);
    assert_eq!(s.names("How much does the press weigh?").await, ["hall/seven/press.md"]);

    fs::write(folder.join("crane.txt"), "The crane lifts fourteen tonnes now.").unwrap();
    fs::remove_file(folder.join("hall/seven/press.md")).unwrap();
    fs::write(folder.join("lift.md"), "The lift carries eight people.").unwrap();
    look(&s).await;
    assert_eq!(documents(&s, &source).await, [("crane.txt".to_owned(), 2), ("lift.md".to_owned(), 1)]);
    assert_eq!(s.names("How much does the press weigh?").await, Vec::<String>::new());
    let last = scans(&s, &source).await.pop().unwrap();
    assert_eq!((&last["added"], &last["changed"], &last["removed"]), (&1.into(), &1.into(), &1.into()), "{last}");

    // Nothing has changed: nothing is done, and nothing is told.
    look(&s).await;
    assert_eq!((documents(&s, &source).await.len(), scans(&s, &source).await.len()), (2, 2));
}

#[tokio::test]
async fn documents_that_people_added_or_deleted_stay_so() {
    let (s, root) = setup().await;
    fs::write(root.path().join("crane.txt"), "The crane lifts twelve tonnes.").unwrap();
    let source = make(&s, root.path()).await.unwrap();
    s.drain().await;
    s.ingest(&source, "note.md", "The key hangs behind the door.").await;
    let crane = documents(&s, &source).await.remove(0);
    assert_eq!(crane.0, "crane.txt");
    let tenant = s.caller.principal.tenant;
    let found = crate::documents::store::lock_by_name(&mut s.kernel.db.write(tenant).await.unwrap(), tenant, source.id, "crane.txt").await;
    s.knowledge.remove_document(&s.caller, found.unwrap().unwrap().id).await.unwrap();
    look(&s).await;
    assert_eq!(documents(&s, &source).await, [("note.md".to_owned(), 1)]);
    fs::write(root.path().join("crane.txt"), "The crane lifts fourteen tonnes now.").unwrap();
    look(&s).await;
    assert_eq!(documents(&s, &source).await.len(), 2);
}

#[tokio::test]
async fn a_folder_that_is_gone_or_empty_all_at_once_takes_no_document_with_it() {
    let (s, root) = setup().await;
    let folder = root.path().join("manuals");
    fs::create_dir(&folder).unwrap();
    for name in ["a.md", "b.md"] {
        fs::write(folder.join(name), format!("The text of {name}.")).unwrap();
    }
    let source = make(&s, &folder).await.unwrap();
    s.drain().await;
    fs::rename(&folder, root.path().join("elsewhere")).unwrap();
    look(&s).await;
    assert_eq!(documents(&s, &source).await.len(), 2);
    fs::create_dir(&folder).unwrap();
    look(&s).await;
    assert_eq!(documents(&s, &source).await.len(), 2);
    assert_eq!(scans(&s, &source).await.pop().unwrap()["empty"], true);
    fs::write(folder.join("a.md"), "The text of a.md.").unwrap();
    look(&s).await;
    assert_eq!(documents(&s, &source).await.len(), 1);
}

#[tokio::test]
async fn a_link_is_not_followed_neither_when_listing_nor_when_opening() {
    let (s, root) = setup().await;
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("secret.md"), "The secret of the house.").unwrap();
    let folder = root.path().join("manuals");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("good.md"), "The good text.").unwrap();
    symlink(outside.path().join("secret.md"), folder.join("link.md")).unwrap();
    symlink(outside.path(), folder.join("linked")).unwrap();
    let source = make(&s, &folder).await.unwrap();
    s.drain().await;
    assert_eq!(documents(&s, &source).await, [("good.md".to_owned(), 1)]);
    let refused = scans(&s, &source).await.pop().unwrap()["refused"].clone();
    assert_eq!((refused[0]["file"].as_str(), refused.as_array().unwrap().len()), (Some("link.md"), 1));
    // The listing may be a moment old, and a link in the file's place by now.
    for name in ["link.md", "linked/secret.md", "../manuals/good.md", "linked"] {
        assert!(folder::open(&folder.canonicalize().unwrap(), name).is_err(), "{name}");
    }
    assert!(folder::open(&folder.canonicalize().unwrap(), "good.md").is_ok());
}

#[tokio::test]
async fn a_folder_outside_the_allowed_ones_is_refused() {
    let (s, root) = setup().await;
    let outside = tempfile::tempdir().unwrap();
    symlink(outside.path(), root.path().join("way-out")).unwrap();
    fs::write(root.path().join("file.md"), "text").unwrap();
    for bad in [
        outside.path().to_owned(),
        root.path().join("../"),
        root.path().join("way-out"),
        root.path().join("missing"),
        root.path().join("file.md"),
        Path::new("relative").to_owned(),
        Path::new("/").to_owned(),
        // Begins with the same letters, and is another folder.
        Path::new(&format!("{}x", root.path().display())).to_owned(),
    ] {
        assert_eq!(field(&make(&s, &bad).await.unwrap_err()), ("invalid_request", "origin.path"), "{}", bad.display());
    }
    assert_eq!(field(&make(&Setup::new().await, root.path()).await.unwrap_err()).0, "invalid_request");
    let mut editor = s.caller.clone();
    editor.principal.role = Role::TenantAdmin;
    assert_eq!(field(&make_as(&s, &editor, root.path()).await.unwrap_err()).0, "forbidden");
}

#[tokio::test]
async fn a_file_that_is_too_large_is_told_and_keeps_no_other_out() {
    let root = tempfile::tempdir().unwrap();
    let config = KnowledgeConfig { folder_roots: vec![root.path().to_owned()], max_document_bytes: 100, ..KnowledgeConfig::default() };
    let s = Setup::with(With { config, ..With::default() }).await;
    fs::write(root.path().join("large.md"), "x".repeat(101)).unwrap();
    fs::write(root.path().join("small.md"), "The small text.").unwrap();
    let source = make(&s, root.path()).await.unwrap();
    s.drain().await;
    assert_eq!(documents(&s, &source).await, [("small.md".to_owned(), 1)]);
    let last = scans(&s, &source).await.pop().unwrap();
    assert_eq!((last["refused"][0]["file"].as_str(), last["refused"][0]["code"].as_str()), (Some("large.md"), Some("too_large")));
}

#[tokio::test]
async fn a_folder_that_is_not_allowed_any_more_is_not_read_and_its_job_says_so() {
    let (s, root) = setup().await;
    fs::write(root.path().join("a.md"), "The text.").unwrap();
    let source = make(&s, root.path()).await.unwrap();
    s.drain().await;
    let s = s.restart().await;
    fs::write(root.path().join("b.md"), "Another text.").unwrap();
    s.kernel.clock.advance(Duration::from_secs(5 * 60));
    s.knowledge.scan_what_is_due().await.unwrap();
    while s.runner.run_one().await.unwrap() {
        s.kernel.clock.advance(Duration::from_secs(3600));
    }
    assert_eq!(documents(&s, &source).await, [("a.md".to_owned(), 1)]);
    let tenant = s.caller.principal.tenant;
    let sql = "SELECT state FROM jobs WHERE tenant_id = $1 AND kind = 'scan_source' ORDER BY id DESC LIMIT 1";
    let state: String = s.kernel.db.read(tenant).await.unwrap().one(sql, astrolabe_kernel::args![tenant]).await.unwrap();
    assert_eq!(JobState::parse(&state).unwrap(), JobState::Failed);
}
