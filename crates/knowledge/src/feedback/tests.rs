use astrolabe_kernel::{
    Error, Id, Role,
    http::{Json, Path, Query},
    principal::right,
};
use axum::extract::State;

use super::{
    Feedback, NewFeedback, QuestionFromFeedback, Rating, Reason,
    routes::{FeedbackQuery, get_own_feedback, give_feedback, list_feedback, make_question, withdraw_feedback},
};
use crate::{
    answers::Answer,
    question_sets::{NewQuestionSet, QuestionSet, QuestionSetContent, routes::create_question_set},
    tests::support::Setup,
};

fn down(reason: Option<Reason>, comment: &str) -> NewFeedback {
    NewFeedback { rating: Rating::Down, reason, comment: comment.to_owned() }
}

impl Setup {
    async fn feedback(&self, ask: Id<Answer>, new: NewFeedback) -> Result<Feedback, Error> {
        self.kernel.clock.advance(std::time::Duration::from_millis(1));
        give_feedback(State(self.knowledge.clone()), self.caller.clone().may().unwrap(), Path(ask), Json(new)).await.map(|f| f.0)
    }

    async fn listed(&self, rating: Option<Rating>) -> Vec<Feedback> {
        let query = FeedbackQuery { rating, ..FeedbackQuery::default() };
        list_feedback(State(self.knowledge.clone()), self.caller.clone().may().unwrap(), Query(query)).await.unwrap().0.items
    }

    async fn empty_set(&self) -> QuestionSet {
        let new = NewQuestionSet { name: "from people".to_owned(), ..NewQuestionSet::default() };
        let response = create_question_set(State(self.knowledge.clone()), self.caller.clone().may().unwrap(), Json(new)).await.unwrap();
        let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        serde_json::from_slice::<QuestionSetContent>(&bytes).unwrap().set
    }
}

async fn answered() -> (Setup, Answer) {
    let setup = Setup::new().await;
    let source = setup.source("manuals").await;
    setup.ingest(&source, "backup.md", "# Backups\n\nBackups are kept for 35 days. After that they are deleted.\n").await;
    let answer = setup.ask("How long are backups kept?").await;
    assert!(answer.answered);
    (setup, answer)
}

#[tokio::test]
async fn a_second_word_on_an_answer_takes_the_place_of_the_first() {
    let (setup, answer) = answered().await;
    let first = setup.feedback(answer.id, down(Some(Reason::Wrong), "no")).await.unwrap();
    assert_eq!((first.documents.as_slice(), first.answered), (["backup.md".to_owned()].as_slice(), true));
    let second = setup.feedback(answer.id, NewFeedback { rating: Rating::Up, reason: None, comment: String::new() }).await.unwrap();
    assert_eq!((second.id, second.rating, second.reason), (first.id, Rating::Up, None));
    assert_eq!(setup.listed(None).await, std::slice::from_ref(&second));
    assert!(setup.listed(Some(Rating::Down)).await.is_empty());
    let own = || get_own_feedback(State(setup.knowledge.clone()), setup.caller.clone().may().unwrap(), Path(answer.id));
    assert_eq!(own().await.unwrap().0.feedback, Some(second));
    withdraw_feedback(State(setup.knowledge.clone()), setup.caller.clone().may().unwrap(), Path(answer.id)).await.unwrap();
    assert_eq!(own().await.unwrap().0.feedback, None);
}

#[tokio::test]
async fn only_the_person_who_asked_may_rate_and_only_an_editor_reads_what_others_said() {
    let (setup, answer) = answered().await;
    let mut other = setup.caller.clone();
    other.principal.id = "user:other".to_owned();
    other.principal.role = Role::Viewer;
    let given = give_feedback(State(setup.knowledge.clone()), other.clone().may().unwrap(), Path(answer.id), Json(down(None, ""))).await;
    assert_eq!(given.unwrap_err().code().name, "not_found");
    assert!(other.may::<right::ManageQuality>().is_err(), "nor what others say of theirs");
}

#[tokio::test]
async fn an_answer_is_not_shown_to_an_editor_who_may_not_read_every_source() {
    let (setup, answer) = answered().await;
    setup.feedback(answer.id, down(None, "no")).await.unwrap();
    let mut tx = setup.kernel.db.write_all().await.unwrap();
    tx.execute("UPDATE sources SET readers = '[]'", &[]).await.unwrap();
    tx.commit().await.unwrap();
    let mut editor = setup.caller.clone();
    (editor.principal.id, editor.principal.role) = ("user:editor".to_owned(), Role::Editor);
    let listed =
        list_feedback(State(setup.knowledge.clone()), editor.may().unwrap(), Query(FeedbackQuery::default())).await.unwrap().0.items;
    assert_eq!((listed[0].answer.as_str(), listed[0].documents.len(), listed[0].comment.as_str()), ("", 0, "no"));
    assert!(!setup.listed(None).await[0].answer.is_empty(), "whoever manages the tenant reads all of it");
}

#[tokio::test]
async fn a_good_answer_may_lack_something_and_a_comment_has_a_limit() {
    let (setup, answer) = answered().await;
    let new = NewFeedback { rating: Rating::Up, reason: Some(Reason::Other), comment: String::new() };
    assert_eq!(setup.feedback(answer.id, new).await.unwrap().reason, Some(Reason::Other));
    let long = "x".repeat(2001);
    assert_eq!(setup.feedback(answer.id, down(None, &long)).await.unwrap_err().fields()[0].field, "comment");
}

#[tokio::test]
async fn feedback_becomes_a_question_once() {
    let (setup, answer) = answered().await;
    let set = setup.empty_set().await;
    let feedback = setup.feedback(answer.id, down(Some(Reason::Incomplete), "and then?")).await.unwrap();
    let make = || {
        let request = QuestionFromFeedback {
            question_set_id: set.id,
            id: None,
            answerable: None,
            document: None,
            answer_any: vec!["deleted".to_owned()],
            answer_patterns: Vec::new(),
        };
        make_question(State(setup.knowledge.clone()), setup.caller.clone().may().unwrap(), Path(feedback.id), Json(request))
    };
    let question = make().await.unwrap().1.0;
    assert_eq!((question.question.as_str(), question.note.as_str()), ("How long are backups kept?", "and then?"));
    assert_eq!(question.answer_any, ["deleted"]);
    assert_eq!(make().await.unwrap_err().code().name, "conflict");
    assert_eq!(setup.listed(None).await[0].question_set_id, Some(set.id));
}

#[tokio::test]
async fn what_is_expected_of_a_question_follows_from_the_feedback() {
    let (setup, answer) = answered().await;
    let set = setup.empty_set().await;
    let mut feedback = setup.feedback(answer.id, NewFeedback { rating: Rating::Up, reason: None, comment: String::new() }).await.unwrap();
    let plain = || QuestionFromFeedback {
        question_set_id: set.id,
        id: None,
        answerable: None,
        document: None,
        answer_any: Vec::new(),
        answer_patterns: Vec::new(),
    };
    let question = plain().question(&feedback);
    assert_eq!((question.answerable, question.document.as_deref()), (true, Some("backup.md")));
    feedback.answered = false;
    assert!(!plain().question(&feedback).answerable, "it was right that nothing was found");
    (feedback.rating, feedback.reason) = (Rating::Down, Some(Reason::NotFound));
    let question = plain().question(&feedback);
    assert_eq!((question.answerable, question.document), (true, None));
    feedback.reason = Some(Reason::SourceMissing);
    assert!(!plain().question(&feedback).answerable);
    let named = QuestionFromFeedback { document: Some("backup.md".to_owned()), ..plain() };
    assert!(named.question(&feedback).answerable);
}
