//! Sources.

use astrolabe_kernel::{
    Id, Principal,
    http::{Caller, Json, Path, Trace},
};
use axum::extract::State;

use super::Setup;
use crate::sources::{NewSource, SourceChange, routes, store};

fn change(name: &str) -> SourceChange {
    SourceChange { name: Some(name.to_owned()), ..SourceChange::default() }
}

#[tokio::test]
async fn a_source_is_there_with_its_defaults_when_it_was_made() {
    let s = Setup::new().await;
    let made = s.source("handbook").await;
    assert_eq!((made.chunk_size, made.chunk_overlap, made.document_count), (600, 80, 0));
    let read = routes::get_source(State(s.knowledge.clone()), s.caller.clone().may().unwrap(), Path(made.id)).await.unwrap().0;
    assert_eq!(serde_json::to_value(read).unwrap(), serde_json::to_value(&made).unwrap());
}

#[tokio::test]
async fn a_name_that_is_taken_is_a_conflict_and_the_first_source_stays() {
    let s = Setup::new().await;
    let first = s.source("handbook").await;
    let new = NewSource { name: "handbook".to_owned(), description: "another".to_owned(), ..NewSource::default() };
    let error = routes::create_source(State(s.knowledge.clone()), s.caller.clone().may().unwrap(), Json(new)).await.err().unwrap();
    assert_eq!(error.code().name, "source_exists");
    assert_eq!(error.fields()[0].field, "name");
    let mut tx = s.kernel.db.read_all().await.unwrap();
    let there = store::by_name(&mut tx, s.caller.principal.tenant, "handbook").await.unwrap().unwrap();
    assert_eq!((there.id, there.description.as_str()), (first.id, ""));
}

#[tokio::test]
async fn a_source_can_be_renamed_but_not_to_a_name_that_is_taken() {
    let s = Setup::new().await;
    let (a, _b) = (s.source("a").await, s.source("b").await);
    let renamed =
        routes::update_source(State(s.knowledge.clone()), s.caller.clone().may().unwrap(), Path(a.id), Json(change("c"))).await.unwrap().0;
    assert_eq!((renamed.id, renamed.name.as_str()), (a.id, "c"));
    let error = routes::update_source(State(s.knowledge.clone()), s.caller.clone().may().unwrap(), Path(a.id), Json(change("b")))
        .await
        .err()
        .unwrap();
    assert_eq!(error.code().name, "source_exists");
    // What is found from now on carries the new name.
    s.ingest(&renamed, "x.md", "The lighthouse keeper counts gulls.").await;
    assert_eq!(s.search("lighthouse keeper").await[0].source, "c");
}

#[tokio::test]
async fn a_deleted_source_is_not_searchable_and_leaves_no_row() {
    let s = Setup::new().await;
    let source = s.source("handbook").await;
    let document = s.ingest(&source, "x.md", "The lighthouse keeper counts gulls.").await;
    assert_eq!(s.names("lighthouse keeper").await, ["x.md"]);
    routes::delete_source(State(s.knowledge.clone()), s.caller.clone().may().unwrap(), Path(source.id)).await.unwrap();
    assert!(s.names("lighthouse keeper").await.is_empty());
    assert_eq!(s.indexed(document.id).await, 0);
    assert!(s.find_document(document.id).await.is_none());
    assert_eq!(s.source_events(&source).await, ["source.deleted"], "its watchers learn it, and nothing else is left");
    for table in ["chunks", "document_texts", "documents", "sources"] {
        let rows: i64 = s.kernel.db.read_all().await.unwrap().one(format!("SELECT COUNT(*) AS n FROM {table}"), &[]).await.unwrap();
        assert_eq!(rows, 0, "{table}");
    }
    let error = routes::delete_source(State(s.knowledge.clone()), s.caller.clone().may().unwrap(), Path(source.id)).await.unwrap_err();
    assert_eq!(error.code().name, "not_found");
}

#[tokio::test]
async fn a_source_that_is_deleted_while_its_documents_wait_leaves_nothing_to_do() {
    let s = Setup::new().await;
    let source = s.source("handbook").await;
    s.upload(&source, "x.md", "The lighthouse keeper counts gulls.").await;
    routes::delete_source(State(s.knowledge.clone()), s.caller.clone().may().unwrap(), Path(source.id)).await.unwrap();
    s.drain().await;
    assert_eq!(s.jobs_left().await, 0);
    assert!(s.names("lighthouse keeper").await.is_empty());
}

/// Somebody of another tenant.
fn stranger(s: &Setup) -> Caller {
    let principal = Principal { tenant: Id::derived(b"another tenant"), ..Principal::local_admin() };
    Caller { principal, trace: Trace::background(&s.kernel.random), idempotency_key: None, address: None }
}

#[tokio::test]
async fn what_belongs_to_another_tenant_looks_like_what_is_missing() {
    let s = Setup::new().await;
    let source = s.source("handbook").await;
    let document = s.ingest(&source, "x.md", "The lighthouse keeper counts gulls.").await;
    let stranger = stranger(&s);
    let (foreign, missing) = (source.id, s.kernel.id());
    let text = |e: astrolabe_kernel::Error| (e.code().name, e.message().to_owned());
    let state = || State(s.knowledge.clone());
    for (a, b) in [
        (
            routes::get_source(state(), stranger.clone().may().unwrap(), Path(foreign)).await.err(),
            routes::get_source(state(), stranger.clone().may().unwrap(), Path(missing)).await.err(),
        ),
        (
            routes::update_source(state(), stranger.clone().may().unwrap(), Path(foreign), Json(change("mine"))).await.err(),
            routes::update_source(state(), stranger.clone().may().unwrap(), Path(missing), Json(change("mine"))).await.err(),
        ),
        (
            routes::delete_source(state(), stranger.clone().may().unwrap(), Path(foreign)).await.err(),
            routes::delete_source(state(), stranger.clone().may().unwrap(), Path(missing)).await.err(),
        ),
        (
            s.knowledge.resolve_sources(&stranger.principal, Some(&[foreign.to_string()])).await.err(),
            s.knowledge.resolve_sources(&stranger.principal, Some(&[missing.to_string()])).await.err(),
        ),
        (
            s.knowledge.remove_document(&stranger, document.id).await.err(),
            s.knowledge.remove_document(&stranger, s.kernel.id()).await.err(),
        ),
        (s.knowledge.retry(&stranger, document.id).await.err(), s.knowledge.retry(&stranger, s.kernel.id()).await.err()),
    ] {
        assert_eq!(a.map(text), b.map(text));
    }
    // The same name is free in the other tenant, and nothing of this one is found there.
    let theirs = s.source_of(&stranger, "handbook").await;
    assert_ne!(theirs.id, source.id);
    let found = s.knowledge.find(&stranger.principal, "lighthouse keeper", None, 10).await.unwrap().found;
    assert!(found.is_empty());
    assert_eq!(s.names("lighthouse keeper").await, ["x.md"]);
}

#[test]
fn validation_names_the_field() {
    let good = || NewSource { name: "a".to_owned(), ..NewSource::default() };
    let field = |new: NewSource| new.validate().unwrap_err().fields()[0].field.clone();
    for name in ["", " a", "a ", "a/b", "-a", "a\u{0}", &"a".repeat(101)] {
        assert_eq!(field(NewSource { name: name.to_owned(), ..good() }), "name", "{name:?}");
    }
    assert_eq!(field(NewSource { description: "x".repeat(2001), ..good() }), "description");
    assert_eq!(field(NewSource { tags: vec!["a".to_owned(), String::new()], ..good() }), "tags[1]");
    assert_eq!(field(NewSource { tags: vec!["a".to_owned(); 33], ..good() }), "tags");
    assert_eq!(field(NewSource { chunk_size: Some(199), ..good() }), "chunk_size");
    assert_eq!(field(NewSource { chunk_overlap: Some(1001), ..good() }), "chunk_overlap");
    assert_eq!(field(NewSource { chunk_overlap: Some(-1), ..good() }), "chunk_overlap");
    assert_eq!(good().validate().unwrap(), (600, 80));
    assert_eq!(change("").validate().unwrap_err().fields()[0].field, "name");
    assert_eq!(
        SourceChange { tags: Some(vec!["x".repeat(65)]), ..SourceChange::default() }.validate().unwrap_err().fields()[0].field,
        "tags[0]"
    );
}
