//! Who may not read a source finds nothing of it, by any door, from the moment its readers change.

use astrolabe_kernel::{
    Principal, Role,
    http::{Caller, Json, Path, Query},
    page::PageQuery,
};
use axum::extract::State;

use super::Setup;
use crate::{
    answers::AskRequest,
    documents::routes as documents,
    search::{Only, Search, request::SearchRequest, routes::run},
    sources::{NewSource, Source, SourceChange, routes},
};

/// A viewer of that id with a capability.
fn viewer(s: &Setup, id: &str, capability: &str) -> Caller {
    let principal = Principal {
        id: format!("user:{id}"),
        name: id.to_owned(),
        role: Role::Viewer,
        capabilities: vec![capability.to_owned()],
        ..s.caller.principal.clone()
    };
    Caller { principal, ..s.caller.clone() }
}

async fn search(s: &Setup, caller: &Caller, sources: Option<&str>) -> astrolabe_kernel::Result<Vec<String>> {
    let request: SearchRequest =
        serde_json::from_value(serde_json::json!({"query": "lighthouse keeper", "sources": sources.map(|s| vec![s])})).unwrap();
    Ok(run(&s.knowledge, caller, &request).await?.items.into_iter().map(|f| f.document).collect())
}

async fn set_readers(s: &Setup, source: &Source, readers: Option<&[&str]>) {
    let readers = Some(readers.map(|ids| ids.iter().map(|id| (*id).to_owned()).collect()));
    let change = SourceChange { readers, ..SourceChange::default() };
    routes::update_source(State(s.knowledge.clone()), s.caller.clone().may().unwrap(), Path(source.id), Json(change)).await.unwrap();
}

async fn filled() -> (Setup, Source, Source) {
    let s = Setup::new().await;
    let (open, closed) = (s.source("open").await, s.source("closed").await);
    s.ingest(&open, "open.md", "The lighthouse keeper counts gulls.").await;
    s.ingest(&closed, "closed.md", "The lighthouse keeper hides the spare key under the third step.").await;
    (s, open, closed)
}

#[tokio::test]
async fn a_change_of_readers_is_in_force_with_the_next_search() {
    let (s, _, closed) = filled().await;
    let (ann, bob) = (viewer(&s, "ann", "hr"), viewer(&s, "bob", "it"));
    assert_eq!(search(&s, &bob, None).await.unwrap().len(), 2);
    set_readers(&s, &closed, Some(&["user:ann"])).await;
    assert_eq!(search(&s, &bob, None).await.unwrap(), ["open.md"]);
    assert_eq!(search(&s, &ann, None).await.unwrap().len(), 2);
    assert_eq!(search(&s, &s.caller, None).await.unwrap().len(), 2, "who manages the tenant reads everything");
    set_readers(&s, &closed, Some(&["it"])).await;
    assert_eq!(search(&s, &bob, None).await.unwrap().len(), 2, "by a capability");
    assert_eq!(search(&s, &ann, None).await.unwrap(), ["open.md"]);
    set_readers(&s, &closed, Some(&[])).await;
    assert_eq!(search(&s, &bob, None).await.unwrap(), ["open.md"]);
    set_readers(&s, &closed, None).await;
    assert_eq!(search(&s, &ann, None).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_source_without_rights_looks_exactly_like_one_that_is_not_there() {
    let (s, open, closed) = filled().await;
    set_readers(&s, &closed, Some(&["user:ann"])).await;
    let bob = viewer(&s, "bob", "it");
    let knowledge = || State(s.knowledge.clone());
    for name in ["closed", &closed.id.to_string()] {
        let refused = search(&s, &bob, Some(name)).await.unwrap_err();
        let absent = search(&s, &bob, Some("absent")).await.unwrap_err();
        assert_eq!((refused.code().name, refused.message()), (absent.code().name, absent.message()));
    }
    assert_eq!(search(&s, &bob, Some("open")).await.unwrap(), ["open.md"]);
    let listed = routes::list_sources(knowledge(), bob.clone().may().unwrap(), Query(PageQuery::default())).await.unwrap().0.items;
    assert_eq!(listed.iter().map(|s| s.id).collect::<Vec<_>>(), [open.id]);
    let hidden = s.search("spare key").await[0].document_id;
    let errors = [
        routes::get_source(knowledge(), bob.clone().may().unwrap(), Path(closed.id)).await.err().unwrap(),
        documents::get_document(knowledge(), bob.clone().may().unwrap(), Path(hidden)).await.err().unwrap(),
        documents::get_document_content(knowledge(), bob.clone().may().unwrap(), Path(hidden)).await.err().unwrap(),
    ];
    assert!(errors.iter().all(|e| e.code().name == "not_found"), "{errors:?}");
    // An editor without the right may not change or delete it either.
    let editor = Caller { principal: Principal { role: Role::Editor, ..bob.principal.clone() }, ..bob };
    let change = SourceChange { readers: Some(None), ..SourceChange::default() };
    assert!(routes::update_source(knowledge(), editor.clone().may().unwrap(), Path(closed.id), Json(change)).await.is_err());
    assert!(routes::delete_source(knowledge(), editor.clone().may().unwrap(), Path(closed.id)).await.is_err());
    assert!(s.knowledge.remove_document(&editor, hidden).await.is_err());
}

#[tokio::test]
async fn whatever_sources_a_caller_inside_the_process_names_the_search_leaves_out_what_may_not_be_read() {
    let (s, open, closed) = filled().await;
    set_readers(&s, &closed, Some(&["user:ann"])).await;
    let bob = viewer(&s, "bob", "it").principal;
    for (sources, allowed) in
        [(None, vec![open.id]), (Some(vec![closed.id]), vec![]), (Some(vec![closed.id, open.id]), vec![open.id]), (Some(vec![]), vec![])]
    {
        let search = Search { only: Only { sources: sources.clone(), ..Only::default() }, ..Search::new("lighthouse keeper", 10) };
        let found = s.knowledge.search(&bob, &search).await.unwrap().found;
        assert_eq!(found.iter().map(|f| f.source_id).collect::<Vec<_>>(), allowed, "{sources:?}");
        let documents = s.knowledge.find_documents(&bob, &search).await.unwrap().found;
        assert_eq!(documents.iter().map(|d| d.source_id).collect::<Vec<_>>(), allowed, "{sources:?}");
        assert_eq!(s.knowledge.document_ids(&bob, &search).await.unwrap().len(), allowed.len(), "{sources:?}");
        assert_eq!(s.knowledge.count_matching(&bob, &search).await.unwrap(), allowed.len() as u64, "{sources:?}");
        let facets = s.knowledge.facets(&bob, &search).await.unwrap();
        assert_eq!(facets.sources.iter().map(|f| f.source_id).collect::<Vec<_>>(), allowed, "{sources:?}");
    }
}

#[tokio::test]
async fn an_answer_cites_nothing_that_its_reader_may_not_read() {
    let (s, _, closed) = filled().await;
    set_readers(&s, &closed, Some(&["user:ann"])).await;
    let ask = async |caller: &Caller| {
        let request = AskRequest { question: "Where does the lighthouse keeper hide the spare key?".to_owned(), ..AskRequest::default() };
        s.knowledge.start_ask(caller, request).await.unwrap().result().await.unwrap()
    };
    let told = ask(&viewer(&s, "ann", "hr")).await;
    assert!(told.answer.contains("third step") && told.citations.iter().any(|c| c.document == "closed.md"), "{told:?}");
    let kept = ask(&viewer(&s, "bob", "it")).await;
    assert!(!kept.answer.contains("third step") && kept.citations.iter().all(|c| c.document != "closed.md"), "{kept:?}");
}

#[tokio::test]
async fn a_list_of_readers_that_cannot_be_one_is_refused_by_its_field() {
    let s = Setup::new().await;
    let create = async |readers: Vec<String>| {
        let new = NewSource { name: "x".to_owned(), readers: Some(readers), ..NewSource::default() };
        routes::create_source(State(s.knowledge.clone()), s.caller.clone().may().unwrap(), Json(new)).await
    };
    for (readers, field) in [
        (vec![String::new()], "readers[0]"),
        (vec!["a".to_owned(), "b\0".to_owned()], "readers[1]"),
        (vec!["a".to_owned(); 1001], "readers"),
    ] {
        assert_eq!(create(readers).await.err().unwrap().fields()[0].field, field);
    }
    assert_eq!(create(vec!["user:ann".to_owned()]).await.unwrap().1.0.readers.unwrap(), ["user:ann"]);
}
