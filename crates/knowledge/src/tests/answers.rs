//! Answers without a chat model, and the asks that hold them.

use astrolabe_kernel::{Id, http::Path};
use axum::extract::State;
use serde_json::Value;

use super::{Setup, support::With};
use crate::{
    KnowledgeConfig,
    answers::{ASKS, Answer, AskRequest, AskState, Mode, not_found_text, store},
    documents::routes,
};
use astrolabe_backends::analysis::Lang;

const LEAVE: &str = "# Leave\n\n## Length\n\nEvery employee has 26 days of paid leave a year. Days that were not taken expire on 30 September.\n\n\
                     ## Request\n\nA leave request goes to the manager seven days before the first day.\n";
const SAMOCHODY: &str = "# Samochody służbowe\n\nSamochód służbowy należy zwrócić do garażu przy ulicy Morskiej do godziny 18:00.\n";

async fn filled() -> Setup {
    let s = Setup::new().await;
    let source = s.source("handbook").await;
    s.upload(&source, "leave.md", LEAVE).await;
    s.upload(&source, "samochody.md", SAMOCHODY).await;
    s.drain().await;
    s
}

/// Every citation's range must hold the cited text in the document it names.
async fn check_citations(s: &Setup, answer: &Answer) {
    for citation in &answer.citations {
        let content = routes::get_document_content(State(s.knowledge.clone()), s.caller.clone().may().unwrap(), Path(citation.document_id))
            .await
            .unwrap()
            .0;
        let (start, length) = (usize::try_from(citation.start).unwrap(), usize::try_from(citation.end - citation.start).unwrap());
        let text: String = content.text.chars().skip(start).take(length).collect();
        assert_eq!(text, citation.text);
        assert_eq!(content.name, citation.document);
        assert!(answer.answer.contains(&format!("[{}]", citation.n)), "{answer:?}");
        assert!((0.0..=1.0).contains(&citation.score));
    }
}

#[tokio::test]
async fn an_answer_is_made_of_the_sources_sentences_and_cites_where_they_are() {
    let s = filled().await;
    let answer = s.ask("How many days of paid leave does an employee have?").await;
    assert!(answer.answered && answer.answer.contains("26 days"), "{answer:?}");
    assert_eq!((answer.mode, answer.lang.as_str()), (Mode::Extractive, "en"));
    assert_eq!((answer.citations[0].document.as_str(), answer.citations[0].heading.as_str()), ("leave.md", "Leave > Length"));
    check_citations(&s, &answer).await;
}

#[tokio::test]
async fn an_offset_counts_characters_and_not_bytes() {
    let s = filled().await;
    let answer = s.ask("Do której godziny należy zwrócić samochód służbowy?").await;
    assert!(answer.answered && answer.answer.contains("18:00"), "{answer:?}");
    assert_eq!(answer.lang, "pl");
    check_citations(&s, &answer).await;
}

#[tokio::test]
async fn what_the_sources_do_not_answer_is_said_in_the_questions_language() {
    let s = filled().await;
    for (question, lang, code) in [
        ("What is the melting point of tungsten?", Lang::En, "en"),
        ("Jaka jest temperatura topnienia wolframu?", Lang::Pl, "pl"),
        ("Какова температура плавления вольфрама?", Lang::Ru, "ru"),
    ] {
        let answer = s.ask(question).await;
        assert!(!answer.answered && answer.citations.is_empty(), "{answer:?}");
        assert_eq!((answer.answer.as_str(), answer.lang.as_str()), (not_found_text(lang), code));
    }
}

#[tokio::test]
async fn each_citation_tells_how_its_passage_was_found_when_asked_to() {
    let s = filled().await;
    let ask = async |explain| {
        let question = "How many days of paid leave are there?".to_owned();
        let request = AskRequest { question, explain, ..AskRequest::default() };
        s.knowledge.start_ask(&s.caller, request).await.unwrap().result().await.unwrap()
    };
    let plain = ask(None).await;
    assert!(plain.answered && plain.citations.iter().all(|c| c.explanation.is_none()), "{plain:?}");
    // The answer is kept by now, and the kept one has no explanations.
    let explained = ask(Some(true)).await;
    assert_eq!(explained.answer, plain.answer);
    let why = explained.citations[0].explanation.as_ref().unwrap();
    assert!(why.lexical.as_ref().is_some_and(|side| side.rank > 0 && side.score.is_some()), "{why:?}");
    assert!(why.matched.iter().any(|m| m.word == "leave"), "{why:?}");
    assert!(ask(Some(false)).await.citations.iter().all(|c| c.explanation.is_none()));
}

#[tokio::test]
async fn only_the_chosen_sources_answer() {
    let s = filled().await;
    s.source("empty").await;
    let question = "How many days of paid leave are there?".to_owned();
    let request = AskRequest { question, sources: Some(vec!["empty".to_owned()]), ..AskRequest::default() };
    let answer = s.knowledge.start_ask(&s.caller, request.clone()).await.unwrap().result().await.unwrap();
    assert!(!answer.answered);
    let unknown = AskRequest { sources: Some(vec!["handbook".to_owned(), "nowhere".to_owned()]), ..request };
    let error = s.knowledge.start_ask(&s.caller, unknown).await.err().unwrap();
    assert_eq!(error.fields()[0].field, "sources[1]");
}

#[tokio::test]
async fn an_ask_is_a_row_and_its_events_end_with_the_whole_answer() {
    let s = filled().await;
    let answer = s.ask("How many days of paid leave does an employee have?").await;
    let events = s.events(&ASKS.stream(answer.id)).await;
    let kinds: Vec<&str> = events.iter().map(|e| e.kind.as_str()).collect();
    assert_eq!((kinds[0], kinds[1], *kinds.last().unwrap()), ("ask.started", "ask.retrieved", "ask.completed"));
    assert!(kinds[2..kinds.len() - 1].iter().all(|k| *k == "answer.delta") && kinds.len() > 3, "{kinds:?}");
    assert_eq!(events.iter().map(|e| e.seq).collect::<Vec<_>>(), (1..=events.len() as i64).collect::<Vec<_>>());
    let started: Value = serde_json::from_str(&events[0].data).unwrap();
    assert_eq!(started["id"], answer.id.to_string());
    let told: String = events.iter().filter(|e| e.kind == "answer.delta").map(|e| delta(&e.data)).collect();
    assert_eq!(told, answer.answer);
    assert_eq!(serde_json::from_str::<Answer>(&events.last().unwrap().data).unwrap(), answer);
    let row = store::get(
        &mut s.kernel.db.read(s.caller.principal.tenant).await.unwrap(),
        s.caller.principal.tenant,
        &s.caller.principal.id,
        answer.id,
    )
    .await
    .unwrap()
    .unwrap();
    assert_eq!((row.state, row.answer), (AskState::Completed, Some(answer)));
}

fn delta(data: &str) -> String {
    serde_json::from_str::<Value>(data).unwrap()["text"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn an_ask_of_somebody_else_looks_like_a_missing_one() {
    let s = filled().await;
    let answer = s.ask("How many days of paid leave are there?").await;
    let mut tx = s.kernel.db.read_all().await.unwrap();
    let tenant = s.caller.principal.tenant;
    assert!(store::get(&mut tx, tenant, "user:other", answer.id).await.unwrap().is_none());
    assert!(store::get(&mut tx, Id::derived(b"another tenant"), &s.caller.principal.id, answer.id).await.unwrap().is_none());
    assert!(store::page(&mut tx, tenant, "user:other", "", 10).await.unwrap().is_empty());
    assert_eq!(store::page(&mut tx, tenant, &s.caller.principal.id, "", 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn an_ask_that_a_dead_process_left_behind_is_failed_at_the_next_start() {
    let s = filled().await;
    let answer = s.ask("How many days of paid leave are there?").await;
    let tenant = s.caller.principal.tenant;
    // As a process leaves it that dies while it answers.
    let mut tx = s.kernel.db.write(tenant).await.unwrap();
    let left = crate::answers::Ask {
        id: s.kernel.id(),
        question: "left behind".to_owned(),
        state: AskState::Running,
        answer: None,
        trace_id: answer.trace_id.clone(),
        created_at: s.kernel.now(),
    };
    store::insert(&mut tx, tenant, &s.caller.principal.id, s.kernel.id(), &left).await.unwrap();
    tx.append_event(tenant, &ASKS.stream(left.id), "ask.started", &serde_json::json!({}), s.kernel.now()).await.unwrap();
    tx.commit().await.unwrap();
    let s = s.restart().await;
    let mut tx = s.kernel.db.read(tenant).await.unwrap();
    let row = store::get(&mut tx, tenant, &s.caller.principal.id, left.id).await.unwrap().unwrap();
    assert_eq!((row.state, row.answer), (AskState::Failed, None));
    let events = s.events(&ASKS.stream(left.id)).await;
    assert_eq!(events.iter().map(|e| (e.seq, e.kind.as_str())).collect::<Vec<_>>(), [(1, "ask.started"), (2, "ask.failed")]);
    assert!(events[1].data.contains("ask again"), "{}", events[1].data);
    assert_eq!(s.events(&ASKS.stream(answer.id)).await.last().unwrap().kind, "ask.completed", "a finished one is left alone");
}

#[tokio::test]
async fn more_questions_than_may_be_answered_at_once_are_refused_with_a_time_to_come_back() {
    let s = Setup::with(With { config: KnowledgeConfig { max_asks: 0, ..KnowledgeConfig::default() }, ..With::default() }).await;
    let request = AskRequest { question: "why?".to_owned(), ..AskRequest::default() };
    let error = s.knowledge.start_ask(&s.caller, request).await.err().unwrap();
    assert_eq!((error.code().name, error.kind().status()), ("overloaded", 503));
    assert!(error.retry_after().is_some() && error.message().contains("knowledge.max_asks"));
}

#[tokio::test]
async fn a_question_while_the_index_loads_is_told_to_come_back() {
    let test = astrolabe_kernel::testing::TestKernel::new(&[crate::MIGRATIONS]).await;
    let s = Setup::closed(test, With::default()).await;
    let request = AskRequest { question: "why?".to_owned(), ..AskRequest::default() };
    let error = s.knowledge.start_ask(&s.caller, request).await.err().unwrap();
    assert_eq!(error.code().name, "warming_up");
    assert!(error.retry_after().is_some());
}

#[tokio::test]
async fn a_question_that_is_none_is_refused_with_its_field() {
    let s = Setup::new().await;
    for (question, limit, field) in [
        ("", None, "question"),
        (" \n", None, "question"),
        (&*"x".repeat(2001), None, "question"),
        ("why?", Some(0), "limit"),
        ("why?", Some(21), "limit"),
    ] {
        let request = AskRequest { question: question.to_owned(), limit, ..AskRequest::default() };
        let error = s.knowledge.start_ask(&s.caller, request).await.err().unwrap();
        assert_eq!(error.fields()[0].field, field);
    }
}
