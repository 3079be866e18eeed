use astrolabe_backends::analysis::Lang;
use astrolabe_kernel::{
    Error, Id, args,
    http::{Json, Path},
    jobs::JobState,
};
use axum::{
    body::{Bytes, to_bytes},
    extract::State,
    http::{HeaderMap, HeaderValue, header},
    response::Response,
};

use super::{
    NewQuestionSet, Question, QuestionSet, QuestionSetContent, QuestionSetRun, RightOf, RunFigures, Verdict,
    judge::judge,
    plot,
    routes::{delete_question_set, export_questions, get_question_set_run, import_questions, replace_question_set, start_question_set_run},
    store, validate_questions,
};
use crate::{answers::Answer, tests::support::Setup};

fn question(id: &str, text: &str) -> Question {
    Question { id: id.to_owned(), question: text.to_owned(), answerable: true, ..Question::default() }
}

async fn read(response: Response) -> QuestionSetContent {
    serde_json::from_slice(&to_bytes(response.into_body(), usize::MAX).await.unwrap()).unwrap()
}

impl Setup {
    async fn question_set(&self, name: &str, questions: Vec<Question>) -> QuestionSet {
        let new = NewQuestionSet { name: name.to_owned(), questions, ..NewQuestionSet::default() };
        read(self.try_question_set(new).await.unwrap()).await.set
    }

    async fn try_question_set(&self, new: NewQuestionSet) -> Result<Response, Error> {
        self.kernel.clock.advance(std::time::Duration::from_millis(1));
        super::routes::create_question_set(State(self.knowledge.clone()), self.caller.clone().may().unwrap(), Json(new)).await
    }

    async fn start(&self, set: &QuestionSet) -> Result<QuestionSetRun, Error> {
        self.kernel.clock.advance(std::time::Duration::from_millis(1));
        start_question_set_run(State(self.knowledge.clone()), self.caller.clone().may().unwrap(), Path(set.id)).await.map(|r| r.1.0)
    }

    async fn finished(&self, set: &QuestionSet, run: &QuestionSetRun) -> super::QuestionSetRunContent {
        get_question_set_run(State(self.knowledge.clone()), self.caller.clone().may().unwrap(), Path((set.id, run.id))).await.unwrap().0
    }

    async fn replace(&self, set: Id<QuestionSet>, tag: Option<&str>, name: &str) -> Result<Response, Error> {
        let mut headers = HeaderMap::new();
        if let Some(tag) = tag {
            headers.insert(header::IF_MATCH, HeaderValue::from_str(tag).unwrap());
        }
        let new = NewQuestionSet { name: name.to_owned(), ..NewQuestionSet::default() };
        replace_question_set(State(self.knowledge.clone()), self.caller.clone().may().unwrap(), Path(set), headers, Json(new)).await
    }
}

fn backups() -> Vec<Question> {
    vec![
        Question { document: Some("backup.md".into()), answer_any: vec!["35 days".into()], ..question("a", "How long are backups kept?") },
        Question { answer_any: vec!["36 days".into()], ..question("b", "How long are backups kept?") },
        Question { answerable: false, ..question("c", "Who painted the ceiling of the chapel?") },
    ]
}

async fn with_backups() -> Setup {
    let setup = Setup::new().await;
    let source = setup.source("manuals").await;
    setup.ingest(&source, "backup.md", "# Backups\n\nBackups are kept for 35 days. After that they are deleted.\n").await;
    setup
}

#[tokio::test]
async fn a_run_asks_every_question_and_keeps_what_became_of_it() {
    let setup = with_backups().await;
    let set = setup.question_set("nightly", backups()).await;
    let run = setup.start(&set).await.unwrap();
    assert_eq!((run.state, run.total, run.done), (JobState::Queued, 3, 0));
    setup.drain().await;
    let content = setup.finished(&set, &run).await;
    let verdicts: Vec<_> = content.results.iter().map(|r| r.verdict.unwrap()).collect();
    assert_eq!(verdicts, [Verdict::Right, Verdict::WrongAnswer, Verdict::RightlyRefused]);
    assert_eq!((content.run.state, content.run.done, content.run.right), (JobState::Ready, 3, 2));
    let figures = content.run.figures.unwrap();
    assert_eq!((figures.total, figures.answerable), (RightOf { right: 2, of: 3 }, RightOf { right: 1, of: 2 }));
    assert_eq!(content.results[0].documents, ["backup.md"]);
    // The questions are asked by a service, so nobody finds them among their own asks.
    let mut tx = setup.kernel.db.read_all().await.unwrap();
    let set = store::get(&mut tx, setup.caller.principal.tenant, set.id).await.unwrap().unwrap();
    assert_eq!(set.last_run.unwrap().id, run.id);
    assert!(
        crate::answers::store::page(&mut tx, setup.caller.principal.tenant, &setup.caller.principal.id, "", 10).await.unwrap().is_empty()
    );
}

#[tokio::test]
async fn a_run_that_was_killed_goes_on_with_the_questions_that_have_no_verdict() {
    let setup = with_backups().await;
    let set = setup.question_set("nightly", backups()).await;
    let run = setup.start(&set).await.unwrap();
    let tenant = setup.caller.principal.tenant;
    let mut tx = setup.kernel.db.write(tenant).await.unwrap();
    let mut kept = store::results(&mut tx, tenant, run.id).await.unwrap().remove(0);
    kept.answer = "before the power cut".to_owned();
    store::put_result(&mut tx, tenant, run.id, 0, Verdict::Failed, &kept).await.unwrap();
    tx.commit().await.unwrap();
    setup.drain().await;
    let content = setup.finished(&set, &run).await;
    assert_eq!((content.run.state, content.run.done, content.run.right), (JobState::Ready, 3, 1));
    assert_eq!(content.results[0].answer, "before the power cut");
}

#[tokio::test]
async fn a_second_run_waits_for_the_first_and_a_canceled_one_makes_room() {
    let setup = with_backups().await;
    let set = setup.question_set("nightly", backups()).await;
    let run = setup.start(&set).await.unwrap();
    assert_eq!(setup.start(&set).await.unwrap_err().code().name, "invalid_state");
    let mut tx = setup.kernel.db.write_all().await.unwrap();
    let job = tx.request_cancel(run_tenant(&setup), run.job_id, setup.kernel.now()).await.unwrap();
    let handler = super::jobs::RunQuestionSet(setup.knowledge.clone());
    astrolabe_kernel::jobs::Handler::ended(&handler, &mut tx, &job, setup.kernel.now()).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(setup.finished(&set, &run).await.run.state, JobState::Canceled);
    let second = setup.start(&set).await.unwrap();
    setup.drain().await;
    assert_eq!(setup.finished(&set, &second).await.run.state, JobState::Ready);
}

fn run_tenant(setup: &Setup) -> astrolabe_kernel::principal::TenantId {
    setup.caller.principal.tenant
}

#[tokio::test]
async fn a_set_whose_source_is_gone_fails_its_run_and_says_why() {
    let setup = with_backups().await;
    let source = setup.source("other").await;
    let new = NewQuestionSet { name: "s".to_owned(), sources: vec!["other".to_owned()], questions: backups(), ..NewQuestionSet::default() };
    let set = read(setup.try_question_set(new).await.unwrap()).await.set;
    assert_eq!(set.sources, [source.id]);
    crate::sources::routes::delete_source(State(setup.knowledge.clone()), setup.caller.clone().may().unwrap(), Path(source.id))
        .await
        .unwrap();
    let run = setup.start(&set).await.unwrap();
    setup.drain().await;
    let content = setup.finished(&set, &run).await;
    assert_eq!((content.run.state, content.run.error.unwrap().code.as_str()), (JobState::Failed, "not_found"));
}

#[tokio::test]
async fn a_change_on_top_of_somebody_elses_is_refused() {
    let setup = Setup::new().await;
    let set = setup.question_set("one", backups()).await;
    let other = setup.question_set("two", Vec::new()).await;
    assert_eq!(setup.replace(set.id, Some("\"7\""), "three").await.unwrap_err().code().name, "precondition_failed");
    let changed = read(setup.replace(set.id, Some("\"1\""), "three").await.unwrap()).await;
    assert_eq!((changed.set.version, changed.set.name.as_str(), changed.questions.len()), (2, "three", 0));
    assert_eq!(setup.replace(set.id, Some("\"1\""), "four").await.unwrap_err().code().name, "precondition_failed");
    assert_eq!(setup.replace(other.id, None, "three").await.unwrap_err().code().name, "conflict");
    assert_eq!(setup.start(&changed.set).await.unwrap_err().code().name, "invalid_state", "a set without questions has nothing to ask");
}

#[tokio::test]
async fn what_is_exported_can_be_imported() {
    let setup = Setup::new().await;
    let set = setup.question_set("one", backups()).await;
    let response = export_questions(State(setup.knowledge.clone()), setup.caller.clone().may().unwrap(), Path(set.id)).await.unwrap();
    let lines = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    assert_eq!(lines.iter().filter(|b| **b == b'\n').count(), 3);
    let other = setup.question_set("two", Vec::new()).await;
    let import = |body: Bytes, content_type: &'static str| {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        import_questions(State(setup.knowledge.clone()), setup.caller.clone().may().unwrap(), Path(other.id), headers, body)
    };
    let there = read(import(lines, "application/x-ndjson").await.unwrap()).await;
    assert_eq!((there.questions, there.set.version), (backups(), 2));
    let wrong =
        import(Bytes::from_static(b"{\"id\":\"1\",\"question\":\"x\"}\n\n{\"id\":\"1\"}\n"), "application/x-ndjson").await.unwrap_err();
    assert_eq!(wrong.message(), "line 3.question: missing field `question`");
    let twice = b"{\"id\":\"1\",\"question\":\"x\"}\n{\"id\":\"1\",\"question\":\"y\"}";
    assert!(import(Bytes::from_static(twice), "application/x-ndjson").await.unwrap_err().message().contains("questions[0] already"));
    assert_eq!(import(Bytes::new(), "application/json").await.unwrap_err().code().name, "unsupported_media_type");
}

#[tokio::test]
async fn a_deleted_set_takes_its_runs_along() {
    let setup = with_backups().await;
    let set = setup.question_set("one", backups()).await;
    let run = setup.start(&set).await.unwrap();
    delete_question_set(State(setup.knowledge.clone()), setup.caller.clone().may().unwrap(), Path(set.id)).await.unwrap();
    setup.drain().await;
    assert_eq!(setup.jobs_left().await, 0);
    let mut tx = setup.kernel.db.read_all().await.unwrap();
    assert!(store::run(&mut tx, run_tenant(&setup), None, run.id).await.unwrap().is_none());
    assert!(store::results(&mut tx, run_tenant(&setup), run.id).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_run_tells_nothing_to_those_who_may_not_read_what_it_asked() {
    let setup = with_backups().await;
    let source = setup.source("secret").await;
    let mut tx = setup.kernel.db.write_all().await.unwrap();
    tx.execute("UPDATE sources SET readers = '[]' WHERE id = $1", args![source.id]).await.unwrap();
    tx.commit().await.unwrap();
    let open =
        NewQuestionSet { name: "open".to_owned(), sources: vec!["manuals".to_owned()], questions: backups(), ..NewQuestionSet::default() };
    let open = read(setup.try_question_set(open).await.unwrap()).await.set;
    let all = setup.question_set("all", backups()).await;
    let run = setup.start(&all).await.unwrap();
    setup.drain().await;
    let mut editor = setup.caller.clone();
    (editor.principal.id, editor.principal.role) = ("user:editor".to_owned(), astrolabe_kernel::Role::Editor);
    let knowledge = || State(setup.knowledge.clone());
    assert_eq!(
        get_question_set_run(knowledge(), editor.clone().may().unwrap(), Path((all.id, run.id))).await.unwrap_err().code().name,
        "forbidden"
    );
    assert_eq!(
        start_question_set_run(knowledge(), editor.clone().may().unwrap(), Path(all.id)).await.unwrap_err().code().name,
        "forbidden"
    );
    let shown = super::routes::get_question_set(knowledge(), editor.clone().may().unwrap(), Path(all.id)).await.unwrap();
    assert!(read(shown).await.set.last_run.is_none());
    start_question_set_run(knowledge(), editor.may().unwrap(), Path(open.id)).await.unwrap();
}

#[tokio::test]
async fn a_set_of_another_tenant_looks_like_a_missing_one() {
    let setup = Setup::new().await;
    let set = setup.question_set("one", backups()).await;
    let mut stranger = setup.caller.clone();
    stranger.principal.tenant = Id::derived(b"another tenant");
    let run = setup.start(&set).await.unwrap();
    let knowledge = || State(setup.knowledge.clone());
    assert_eq!(
        start_question_set_run(knowledge(), stranger.clone().may().unwrap(), Path(set.id)).await.unwrap_err().code().name,
        "not_found"
    );
    assert_eq!(export_questions(knowledge(), stranger.clone().may().unwrap(), Path(set.id)).await.unwrap_err().code().name, "not_found");
    assert_eq!(
        get_question_set_run(knowledge(), stranger.clone().may().unwrap(), Path((set.id, run.id))).await.unwrap_err().code().name,
        "not_found"
    );
    assert_eq!(delete_question_set(knowledge(), stranger.may().unwrap(), Path(set.id)).await.unwrap_err().code().name, "not_found");
}

fn answer(text: &str, cited: &[(&str, &str)]) -> Answer {
    let citations: Vec<_> = cited
        .iter()
        .enumerate()
        .map(|(i, (document, text))| {
            serde_json::json!({"n": i + 1, "document_id": "doc_01JD3V9M7Q4R8T2W6X0Y5Z1ABC", "document": document, "source": "s", "source_id": "src_01JD3V9M7Q4R8T2W6X0Y5Z1ABC",
                "heading": "", "start": 0, "end": 1, "score": 1.0, "text": text})
        })
        .collect();
    serde_json::from_value(serde_json::json!({"id": "ask_01JD3V9M7Q4R8T2W6X0Y5Z1ABC", "question": "q", "answer": text, "answered": !text.is_empty(), "citations": citations,
        "mode": "extractive", "lang": "en", "retrieval": "lexical", "notices": [], "trace_id": "", "created_at": "2026-01-01T00:00:00Z"}))
    .unwrap()
}

#[test]
fn an_answer_is_right_when_text_document_and_passage_are() {
    let full =
        Question { document: Some("it/sla.html".into()), answer_any: vec!["8 hours".into(), "a working day".into()], ..question("1", "q") };
    let cases = [
        (answer("Within 8\u{a0}Hours [1].", &[("docs/it/sla.html", "P2: 8 hours")]), Verdict::Right),
        (answer("Within 8 hours.", &[("it\\sla.html", "P2: 8 hours")]), Verdict::Right),
        (answer("Within 18 hours.", &[("it/sla.html", "8 hours")]), Verdict::WrongAnswer),
        (answer("Within 8 hours.", &[("it/xsla.html", "8 hours"), ("bit/sla.html", "8 hours")]), Verdict::DocumentNotCited),
        (answer("Within 8 hours.", &[("it/sla.html", "P1: 4 hours")]), Verdict::PassageNotCited),
        (answer("", &[]), Verdict::NotAnswered),
    ];
    for (given, expected) in cases {
        assert_eq!(judge(&full, &given), expected, "{}", given.answer);
    }
    let pattern = Question { answer_patterns: vec![r"within \d+ hours".into()], ..question("1", "q") };
    assert_eq!(judge(&pattern, &answer("WITHIN  8\nhours", &[])), Verdict::Right);
    assert_eq!(judge(&pattern, &answer("in 8 hours", &[])), Verdict::WrongAnswer);
    let plain = Question { answer_patterns: vec!["8 hours (P2".into(), "(a{1000}){1000}".into()], ..question("1", "q") };
    assert_eq!(judge(&plain, &answer("8 Hours (P2) or 4", &[])), Verdict::Right, "what is no pattern is looked for as it is written");
    assert_eq!(judge(&plain, &answer("8 hours", &[])), Verdict::WrongAnswer);
    assert_eq!(plain.plain_patterns().len(), 2);
    let unanswerable = Question { answerable: false, ..question("1", "q") };
    assert_eq!(judge(&unanswerable, &answer("", &[])), Verdict::RightlyRefused);
    assert_eq!(judge(&unanswerable, &answer("x", &[])), Verdict::NotRefused);
}

#[test]
fn a_question_that_cannot_be_judged_is_refused_with_its_field() {
    let refused = |q: Question| validate_questions(&[q]).unwrap_err().fields()[0].field.clone();
    assert_eq!(refused(question("", "q")), "questions[0].id");
    assert_eq!(refused(question("1", " ")), "questions[0].question");
    assert_eq!(refused(Question { answer_patterns: vec![" ".into()], ..question("1", "q") }), "questions[0].answer_patterns[0]");
    assert_eq!(refused(Question { answer_any: vec!["x".into(); 21], ..question("1", "q") }), "questions[0].answer_any");
    assert_eq!(validate_questions(&[question("1", "q"), question("1", "r")]).unwrap_err().fields()[0].field, "questions[1].id");
    assert!(validate_questions(&vec![question("1", "q"); 1001]).is_err());
}

fn ready_run(at: i64, right: i64) -> QuestionSetRun {
    let figures = RunFigures {
        total: RightOf { right, of: 20 },
        answerable: RightOf { right: right.min(15), of: 15 },
        unanswerable: RightOf { right: 4, of: 5 },
        p50_ms: 1.0,
        p95_ms: 2.0,
    };
    QuestionSetRun {
        id: Id::derived(&at.to_le_bytes()),
        question_set_id: Id::derived(b"s"),
        set_version: 1,
        job_id: Id::derived(b"j"),
        state: JobState::Ready,
        error: None,
        total: 20,
        done: 20,
        right,
        figures: Some(figures),
        started_by: "user:x".to_owned(),
        created_at: astrolabe_kernel::Timestamp::from_micros(1_767_225_600_000_000 + at * 86_400_000_000),
        finished_at: None,
    }
}

#[test]
fn the_plot_says_what_it_shows_in_the_readers_language_and_needs_no_style_sheet() {
    let runs = [ready_run(0, 10), ready_run(1, 15), ready_run(2, 17)];
    let svg = plot::svg("Night <shift> & \"co\"", &runs, Lang::Pl);
    assert!(svg.contains("<title id=\"plot-title\">Night &lt;shift&gt; &amp; &quot;co&quot;: Trafne odpowiedzi w czasie</title>"), "{svg}");
    assert!(svg.contains("17/20 trafnych w najnowszym przebiegu"), "{svg}");
    assert!(
        svg.contains("role=\"img\"") && svg.contains("currentColor") && svg.contains(">85%</text>") && svg.contains("2026-01-03"),
        "{svg}"
    );
    assert!(!svg.contains("<style") && !svg.contains("<script") && !svg.contains("style="), "{svg}");
    assert_eq!(svg.matches("<circle").count(), 3);
    assert_eq!(svg.matches("<polyline").count(), 3);
    // Points rise from run to run and stay in the field.
    assert!(svg.contains("cy=\"156.0\"") && svg.contains("cy=\"86.0\""), "{svg}");
    assert!(plot::svg("x", &[], Lang::Ru).contains("Ни один прогон ещё не завершён."));
    assert!(plot::svg("x", &runs[..1], Lang::En).contains("<circle"));
}

#[test]
fn the_language_of_the_plot_is_the_one_the_reader_likes_best() {
    for (accept, expected) in [
        ("", Lang::En),
        ("de, fr;q=0.9", Lang::En),
        ("pl-PL,pl;q=0.9,en;q=0.8", Lang::Pl),
        ("en;q=0.3, ru;q=0.7", Lang::Ru),
        ("*;q=x, PL", Lang::Pl),
    ] {
        assert_eq!(plot::language(accept), expected, "{accept}");
    }
}
