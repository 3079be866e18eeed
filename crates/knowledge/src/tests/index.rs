//! The index can be lost: SQL is the truth.

use std::{fs, path::PathBuf};

use astrolabe_kernel::jobs::JobState;

use super::Setup;

const SUBJECTS: [&str; 6] = ["gulls", "seals", "lanterns", "foghorns", "anchors", "barnacles"];

async fn filled() -> Setup {
    let s = Setup::new().await;
    let source = s.source("handbook").await;
    for subject in SUBJECTS {
        let text = format!(
            "# {subject}\n\nThe lighthouse keeper counts {subject} every morning.\n\n## Evening\n\nIn the evening nobody counts {subject}."
        );
        s.upload(&source, &format!("{subject}.md"), text).await;
    }
    s.drain().await;
    s
}

/// What searches find, with places and scores.
async fn results(s: &Setup) -> Vec<String> {
    let mut all = Vec::new();
    for question in ["who counts gulls?", "evening", "keeper of seals", "anchors and barnacles"] {
        all.extend(s.search(question).await.iter().map(|f| format!("{question} {} {} {:.6}", f.chunk_id, f.start, f.score)));
    }
    assert!(all.len() > 8);
    all
}

fn index_folder(s: &Setup) -> PathBuf {
    s.test.folder.path().join("index")
}

#[tokio::test]
async fn an_index_that_was_deleted_is_rebuilt_with_the_same_results() {
    let s = filled().await;
    let before = results(&s).await;
    let folder = index_folder(&s);
    let test = s.stop().await;
    fs::remove_dir_all(&folder).unwrap();
    let s = Setup::reopen(test).await;
    assert_eq!(results(&s).await, before);
    assert_eq!(s.jobs_left().await, 0, "nothing is ingested again");
}

#[tokio::test]
async fn an_index_whose_tail_is_torn_is_brought_back_to_what_sql_says() {
    for cut in [1, 7, 100, 1500] {
        let s = filled().await;
        let before = results(&s).await;
        let log = largest_file(&index_folder(&s));
        let test = s.stop().await;
        let size = fs::metadata(&log).unwrap().len();
        fs::OpenOptions::new().write(true).open(&log).unwrap().set_len(size - cut).unwrap();
        let s = Setup::reopen(test).await;
        assert_eq!(results(&s).await, before, "{cut} bytes");
    }
}

#[tokio::test]
async fn an_index_with_damaged_bytes_is_brought_back_to_what_sql_says() {
    let s = filled().await;
    let before = results(&s).await;
    let log = largest_file(&index_folder(&s));
    let test = s.stop().await;
    let mut bytes = fs::read(&log).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 20].fill(0xa5);
    fs::write(&log, bytes).unwrap();
    let s = Setup::reopen(test).await;
    assert_eq!(results(&s).await, before);
}

#[tokio::test]
async fn what_the_index_has_and_sql_has_not_is_removed_at_the_start() {
    let s = filled().await;
    let tenant = s.caller.principal.tenant;
    let gone = s.search("gulls").await[0].document_id;
    // As if the process had died between the commit and the index.
    let mut tx = s.kernel.db.write().await.unwrap();
    crate::documents::store::delete(&mut tx, tenant, gone).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(s.indexed(gone).await, 2);
    assert!(s.search("gulls").await.iter().all(|f| f.document_id != gone), "even before, SQL decides what is shown");
    let s = s.restart().await;
    assert_eq!(s.indexed(gone).await, 0);
}

#[tokio::test]
async fn a_document_without_its_bytes_is_found_as_before() {
    let s = filled().await;
    let before = results(&s).await;
    let test = s.stop().await;
    fs::remove_dir_all(test.folder.path().join("blobs")).unwrap();
    fs::remove_dir_all(test.folder.path().join("index")).unwrap();
    let s = Setup::reopen(test).await;
    assert_eq!(results(&s).await, before);
}

#[tokio::test]
async fn only_bytes_that_no_document_has_are_swept() {
    let s = filled().await;
    let kept = s.search("gulls").await[0].document_id;
    let gone = s.document(s.search("seals").await[0].document_id).await;
    s.knowledge.remove_document(&s.caller, gone.id).await.unwrap();
    assert_eq!(s.knowledge.sweep_once(std::time::Duration::from_secs(3600)).await.unwrap(), 0, "an upload may be under way");
    assert_eq!(s.knowledge.sweep_once(std::time::Duration::ZERO).await.unwrap(), 1);
    assert!(s.knowledge.blobs.get(&gone.content_hash).await.unwrap().is_none());
    let kept = s.document(kept).await;
    assert!(s.knowledge.blobs.get(&kept.content_hash).await.unwrap().is_some());
    assert_eq!(kept.state, JobState::Ready);
}

/// The index's log: by far its largest file.
fn largest_file(folder: &std::path::Path) -> PathBuf {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files.into_iter().max_by_key(|f| fs::metadata(f).unwrap().len()).unwrap()
}
