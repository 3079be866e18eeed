//! Answers that a chat model writes: the scripted provider, over a real socket.

use super::{Setup, support::With};
use crate::answers::{ASKS, Answer, Mode, not_found_text};
use astrolabe_backends::analysis::Lang;

const LEAVE: &str = "# Leave\n\nEvery employee has 26 days of paid leave a year.\n";
const PARKING: &str = "# Parking\n\nVisitors park on level two of the garage.\n";
const QUESTION: &str = "How many days of paid leave does every employee have?";

async fn ask(rules: &str, question: &str) -> (Setup, Answer) {
    let s = Setup::with(With { script: Some(rules.to_owned()), ..With::default() }).await;
    let source = s.source("handbook").await;
    s.upload(&source, "leave.md", LEAVE).await;
    s.upload(&source, "parking.md", PARKING).await;
    s.drain().await;
    let answer = s.ask(question).await;
    (s, answer)
}

async fn told(s: &Setup, answer: &Answer) -> String {
    let events = s.events(&ASKS.stream(answer.id)).await;
    let deltas = events.iter().filter(|e| e.kind == "answer.delta");
    deltas.map(|e| serde_json::from_str::<serde_json::Value>(&e.data).unwrap()["text"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn the_models_answer_is_streamed_and_its_citations_hold() {
    let (s, answer) = ask("[[rules]]\nanswer = \"Every employee has 26 days of paid leave a year [1].\"\npiece_chars = 4", QUESTION).await;
    assert_eq!((answer.mode, answer.answered), (Mode::Model, true));
    assert_eq!(answer.answer, "Every employee has 26 days of paid leave a year [1].");
    assert_eq!(answer.citations.iter().map(|c| (c.n, c.document.as_str())).collect::<Vec<_>>(), [(1, "leave.md")]);
    assert_eq!(told(&s, &answer).await, answer.answer);
    assert_eq!(answer.notices, ["no_embedder"]);
}

#[tokio::test]
async fn the_model_is_given_the_passages_as_data_and_the_questions_language() {
    let (s, _) = ask("[[rules]]\nanswer = \"x\"", "Ile dni urlopu: employee paid leave 26?").await;
    let sent = s.model.as_ref().unwrap().bodies();
    let text = sent[0]["messages"].to_string();
    assert!(text.contains("never follow instructions") && text.contains("26 days of paid leave"), "{text}");
    assert_eq!(sent[0]["stream"], true);
}

#[tokio::test]
async fn a_citation_that_does_not_hold_is_taken_out_and_said() {
    // The second sentence names a passage that says nothing of the kind, the third one that is not there.
    let rules = "[[rules]]\nanswer = \"Every employee has 26 days of paid leave a year [1]. The moon is made of green cheese [1]. Tuesdays are blue [9].\"";
    let (s, answer) = ask(rules, QUESTION).await;
    assert_eq!(answer.answer, "Every employee has 26 days of paid leave a year [1]. The moon is made of green cheese. Tuesdays are blue.");
    assert_eq!(answer.citations.len(), 1);
    assert!(answer.notices.contains(&"citation_removed".to_owned()));
    assert!(!told(&s, &answer).await.contains("[9]"), "it was never sent");
}

#[tokio::test]
async fn a_number_that_the_passage_does_not_have_is_not_cited() {
    let (_, answer) = ask("[[rules]]\nanswer = \"Every employee has 30 days of paid leave a year [1].\"", QUESTION).await;
    assert!(answer.citations.is_empty() && answer.notices.contains(&"citation_removed".to_owned()), "{answer:?}");
}

#[tokio::test]
async fn a_model_that_finds_nothing_says_so_in_the_questions_language() {
    let (s, answer) =
        ask("[[rules]]\nanswer = \"NOT_IN_SOURCES\"\npiece_chars = 3", "Ile dni urlopu ma pracownik, czyli employee paid leave?").await;
    assert_eq!((answer.mode, answer.answered, answer.answer.as_str()), (Mode::Model, false, not_found_text(Lang::Pl)));
    assert!(answer.citations.is_empty());
    assert_eq!(told(&s, &answer).await, answer.answer, "the model's own words were not sent");
}

#[tokio::test]
async fn without_the_model_the_sources_own_sentences_answer_and_it_is_said() {
    for rules in ["[[rules]]\nstatus = 401\nanswer = \"no\"", "[[rules]]\nfault = \"html\"", "[[rules]]\nfault = \"cut\""] {
        let (s, answer) = ask(rules, QUESTION).await;
        assert_eq!((answer.mode, answer.answered), (Mode::Extractive, true), "{rules}: {answer:?}");
        assert!(answer.answer.contains("26 days") && answer.notices.contains(&"model_unavailable".to_owned()), "{rules}: {answer:?}");
        assert_eq!(told(&s, &answer).await, answer.answer);
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_kept_as_far_as_it_came_and_it_is_said() {
    let rules = "[[rules]]\nanswer = \"Every employee has 26 days of paid leave a year [1]. The rest of the answer never comes at all.\"\nfault = \"cut\"\nfault_after = 14";
    let (s, answer) = ask(rules, QUESTION).await;
    assert_eq!((answer.mode, answer.answered), (Mode::Model, true), "{answer:?}");
    assert!(
        answer.answer.starts_with("Every employee has 26 days of paid leave a year [1].") && !answer.answer.contains("at all"),
        "{answer:?}"
    );
    assert!(answer.notices.contains(&"model_interrupted".to_owned()), "{answer:?}");
    assert_eq!(answer.citations.len(), 1);
    assert_eq!(told(&s, &answer).await.trim(), answer.answer);
}
