//! Answers that are given again, and those that must not be.

use astrolabe_kernel::{
    Id, Principal, Role,
    http::{Caller, Path},
};
use axum::{extract::State, http::StatusCode};

use super::{Setup, support::With};
use crate::{
    answers::{Answer, AskRequest},
    sources::routes,
};

const LEAVE: &str = "# Leave\n\nEvery employee has 26 days of paid leave a year.\n";
const QUESTION: &str = "How many days of paid leave does every employee have?";
const RULES: &str = "[[rules]]\nanswer = \"Every employee has 26 days of paid leave a year [1].\"";

async fn filled(script: Option<&str>) -> Setup {
    let s = Setup::with(With { script: script.map(str::to_owned), ..With::default() }).await;
    let source = s.source("handbook").await;
    s.upload(&source, "leave.md", LEAVE).await;
    s.upload(&source, "parking.md", "# Parking\n\nVisitors park on level two of the garage.\n").await;
    s.drain().await;
    s
}

fn asked_of_the_model(s: &Setup) -> u64 {
    s.model.as_ref().unwrap().requests()
}

async fn ask_as(s: &Setup, caller: &Caller, question: &str) -> Answer {
    let request = AskRequest { question: question.to_owned(), ..AskRequest::default() };
    s.knowledge.start_ask(caller, request).await.unwrap().result().await.unwrap()
}

#[tokio::test]
async fn the_same_question_over_the_same_passages_is_worked_out_once() {
    let s = filled(Some(RULES)).await;
    let first = s.ask(QUESTION).await;
    let again = s.ask("  how many days of paid leave does every   employee have ").await;
    assert_eq!(asked_of_the_model(&s), 1);
    assert_ne!(first.id, again.id, "an ask of its own");
    assert_eq!(
        (&first.answer, &first.citations, first.mode, &first.notices),
        (&again.answer, &again.citations, again.mode, &again.notices)
    );
    s.ask("How many days of leave are there?").await;
    assert_eq!(asked_of_the_model(&s), 2, "another question");
}

#[tokio::test]
async fn a_picked_answer_is_kept_too_and_a_changed_document_makes_a_new_one() {
    let s = Setup::new().await;
    let source = s.source("handbook").await;
    s.upload(&source, "leave.md", LEAVE).await;
    s.drain().await;
    let first = s.ask(QUESTION).await;
    assert!(first.answer.contains("26 days"), "{first:?}");
    assert_eq!(s.knowledge.answers.size().0, 1);
    assert_eq!(s.ask(QUESTION).await.answer, first.answer);
    assert_eq!(s.knowledge.answers.size().0, 1, "nothing was made");
    s.upload(&source, "leave.md", LEAVE.replace("26", "30")).await;
    s.drain().await;
    let changed = s.ask(QUESTION).await;
    assert!(changed.answer.contains("30 days") && !changed.answer.contains("26 days"), "{changed:?}");
    assert!(changed.citations.iter().all(|c| !c.text.contains("26 days")));
}

#[tokio::test]
async fn another_caller_and_another_tenant_never_get_it() {
    let s = filled(Some(RULES)).await;
    s.ask(QUESTION).await;
    let caller = |id: &str, tenant| {
        let principal = Principal::new(id, id, tenant, Role::Admin, Vec::new(), "token");
        Caller { principal, ..s.caller.clone() }
    };
    ask_as(&s, &caller("user:other", s.caller.principal.tenant), QUESTION).await;
    assert_eq!(asked_of_the_model(&s), 2, "somebody else may have other rights");
    let stranger = ask_as(&s, &caller(&s.caller.principal.id, Id::derived(b"another tenant")), QUESTION).await;
    assert!(!stranger.answered && stranger.citations.is_empty(), "{stranger:?}");
}

#[tokio::test]
async fn what_went_wrong_is_not_kept() {
    let s = filled(Some("[[rules]]\nstatus = 500")).await;
    for asks in 1..=2 {
        let answer = s.ask(QUESTION).await;
        assert!(answer.notices.contains(&"model_unavailable".to_owned()), "{answer:?}");
        assert_eq!(s.knowledge.answers.size().0, 0, "after {asks}");
    }
}

#[tokio::test]
async fn a_deleted_source_is_forgotten_at_once() {
    let s = filled(None).await;
    let answer = s.ask(QUESTION).await;
    assert!(answer.answered);
    let deleted = routes::delete_source(State(s.knowledge.clone()), s.caller.clone().may().unwrap(), Path(answer.citations[0].source_id))
        .await
        .unwrap();
    assert_eq!(deleted, StatusCode::NO_CONTENT);
    assert_eq!(s.knowledge.answers.size(), (0, 0));
    assert!(!s.ask(QUESTION).await.answered);
}
