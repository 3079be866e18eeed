//! The same content under several names of a source.

use astrolabe_kernel::{http::Path, jobs::JobState};
use axum::extract::State;

use super::Setup;
use crate::documents::routes;

const GULLS: &str = "# Lighthouse\n\nThe lighthouse keeper counts gulls.";
const SEALS: &str = "# Lighthouse\n\nThe lighthouse keeper counts seals.";

#[tokio::test]
async fn the_same_content_under_another_name_is_found_once() {
    let s = Setup::new().await;
    let source = s.source("handbook").await;
    let original = s.ingest(&source, "a.md", GULLS).await;
    let copy = s.ingest(&source, "b.md", GULLS).await;
    assert_eq!((copy.state, copy.duplicate_of, copy.chunk_count), (JobState::Ready, Some(original.id), 0));
    assert_eq!(s.names("gulls").await, ["a.md"]);
    assert!(s.pieces(copy.id).await.is_empty());
    let content = routes::get_document_content(State(s.knowledge.clone()), s.caller.clone().may().unwrap(), Path(copy.id)).await.unwrap().0;
    assert!(content.text.contains("gulls") && content.name == "b.md", "the copy can be read all the same");
}

#[tokio::test]
async fn the_same_content_uploaded_at_once_is_found_once() {
    let s = Setup::new().await;
    let source = s.source("handbook").await;
    for name in ["a.md", "b.md", "c.md"] {
        s.upload(&source, name, GULLS).await;
    }
    let workers = (0..3).map(|_| async { while s.runner.run_one().await.unwrap() {} });
    futures_util::future::join_all(workers).await;
    s.drain().await;
    assert_eq!(s.names("gulls").await.len(), 1);
}

#[tokio::test]
async fn a_duplicate_takes_the_place_of_its_deleted_original() {
    let s = Setup::new().await;
    let source = s.source("handbook").await;
    let original = s.ingest(&source, "a.md", GULLS).await;
    let heir = s.ingest(&source, "b.md", GULLS).await;
    let third = s.ingest(&source, "c.md", GULLS).await;
    s.knowledge.remove_document(&s.caller, original.id).await.unwrap();
    s.drain().await;
    assert_eq!(s.names("gulls").await, ["b.md"]);
    assert_eq!((s.document(heir.id).await.duplicate_of, s.document(third.id).await.duplicate_of), (None, Some(heir.id)));
}

#[tokio::test]
async fn a_duplicate_takes_the_place_of_an_original_that_got_other_content() {
    let s = Setup::new().await;
    let source = s.source("handbook").await;
    s.ingest(&source, "a.md", GULLS).await;
    let heir = s.ingest(&source, "b.md", GULLS).await;
    s.ingest(&source, "a.md", SEALS).await;
    assert_eq!(s.document(heir.id).await.duplicate_of, None);
    assert_eq!(
        s.search("gulls").await.iter().filter(|f| f.text.contains("gulls")).map(|f| f.document.as_str()).collect::<Vec<_>>(),
        ["b.md"]
    );
    assert_eq!(s.search("seals").await[0].document, "a.md");
}

#[tokio::test]
async fn a_duplicate_takes_the_place_of_an_original_that_became_a_duplicate_itself() {
    let s = Setup::new().await;
    let source = s.source("handbook").await;
    let seals = s.ingest(&source, "seals.md", SEALS).await;
    let first = s.ingest(&source, "a.md", GULLS).await;
    let heir = s.ingest(&source, "b.md", GULLS).await;
    s.ingest(&source, "a.md", SEALS).await;
    assert_eq!((s.document(first.id).await.duplicate_of, s.document(heir.id).await.duplicate_of), (Some(seals.id), None));
    assert_eq!(
        s.search("gulls").await.iter().filter(|f| f.text.contains("gulls")).map(|f| f.document.as_str()).collect::<Vec<_>>(),
        ["b.md"]
    );
}

#[tokio::test]
async fn the_same_content_in_another_source_is_a_document_of_its_own() {
    let s = Setup::new().await;
    let (one, two) = (s.source("one").await, s.source("two").await);
    s.ingest(&one, "a.md", GULLS).await;
    let other = s.ingest(&two, "a.md", GULLS).await;
    assert_eq!((other.duplicate_of, other.chunk_count), (None, 1));
    let ids = s.knowledge.resolve_sources(&s.caller.principal, Some(&["two".to_owned()])).await.unwrap();
    let found = s.knowledge.find(&s.caller.principal, "gulls", ids, 10).await.unwrap().found;
    assert_eq!(found.iter().map(|f| f.document_id).collect::<Vec<_>>(), [other.id]);
    assert_eq!(s.names("gulls").await.len(), 1, "asked about both, one passage is enough");
}
