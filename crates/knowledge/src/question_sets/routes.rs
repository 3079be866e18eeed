//! Endpoints of question sets and their runs.

use astrolabe_kernel::{
    Error, Id, Result, Tx,
    audit::Record,
    db::is_unique_violation,
    error::code,
    http::{
        BodyProblems, Caller, CommonProblems, ConflictProblem, Json, May, NotFoundProblem, Path, PreconditionProblem, Query, parse_json,
    },
    jobs::{JobState, NewJob},
    page::{Page, PageQuery},
    principal::right,
};
use axum::{
    body::Bytes,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;

use super::{
    KIND, MAX_QUESTIONS, NewQuestionSet, Question, QuestionSet, QuestionSetContent, QuestionSetRun, QuestionSetRunContent, plot, store,
    validate_questions,
};
use crate::Knowledge;

/// JSON lines (ndjson): one value a line.
const LINES: &str = "application/x-ndjson";

/// List question sets, oldest first.
#[utoipa::path(get, path = "/api/v1/question-sets", tag = "quality", params(PageQuery),
    responses((status = 200, description = "A page.", body = Page<QuestionSet>), CommonProblems, right::ReadQuality))]
pub async fn list_question_sets(
    State(knowledge): State<Knowledge>,
    caller: May<right::ReadQuality>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<QuestionSet>>> {
    let limit = page.limit()?;
    let mut rows =
        store::page(&mut knowledge.kernel.db.read(caller.principal.tenant).await?, caller.principal.tenant, page.after(), limit).await?;
    for set in &mut rows {
        hide_run(&knowledge, &caller, set).await?;
    }
    Ok(Json(Page::of(rows, limit, |s| s.id.to_string())))
}

/// Make a question set.
#[utoipa::path(post, path = "/api/v1/question-sets", tag = "quality", request_body = NewQuestionSet,
    responses((status = 201, description = "Made.", body = QuestionSetContent), CommonProblems, right::ManageQuality, NotFoundProblem, ConflictProblem, BodyProblems))]
pub async fn create_question_set(
    State(knowledge): State<Knowledge>,
    caller: May<right::ManageQuality>,
    Json(new): Json<NewQuestionSet>,
) -> Result<Response> {
    new.validate()?;
    let (kernel, tenant, now) = (&knowledge.kernel, caller.principal.tenant, knowledge.kernel.now());
    let sources = knowledge.resolve_sources(&caller.principal, Some(&new.sources)).await?.unwrap_or_default();
    let set = QuestionSet {
        id: kernel.id(),
        name: new.name,
        description: new.description,
        sources,
        question_count: i64::try_from(new.questions.len()).unwrap_or(i64::MAX),
        version: 1,
        last_run: None,
        created_by: caller.principal.id.clone(),
        created_at: now,
        updated_at: now,
    };
    let mut tx = kernel.db.write(tenant).await?;
    store::insert(&mut tx, tenant, &set).await.map_err(|e| taken(e, &set.name))?;
    store::replace_questions(&mut tx, tenant, set.id, &new.questions).await?;
    tx.audit(kernel, Record::of(&caller, "question_sets.create", set.id, json!({"name": set.name, "questions": set.question_count})))
        .await?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, with_tag(set.version, Json(QuestionSetContent { set, questions: new.questions }))).into_response())
}

/// Read a question set with its questions. `ETag` is its version.
#[utoipa::path(get, path = "/api/v1/question-sets/{id}", tag = "quality", params(("id" = Id<QuestionSet>, Path)),
    responses((status = 200, description = "The set.", body = QuestionSetContent), CommonProblems, right::ReadQuality, NotFoundProblem))]
pub async fn get_question_set(
    State(knowledge): State<Knowledge>,
    caller: May<right::ReadQuality>,
    Path(id): Path<Id<QuestionSet>>,
) -> Result<Response> {
    let tenant = caller.principal.tenant;
    let mut set = store::get(&mut knowledge.kernel.db.read(tenant).await?, tenant, id).await?.ok_or_else(missing)?;
    hide_run(&knowledge, &caller, &mut set).await?;
    let questions = store::questions(&mut knowledge.kernel.db.read(tenant).await?, tenant, id).await?;
    Ok(with_tag(set.version, Json(QuestionSetContent { set, questions })))
}

/// Replace a question set: what is absent gets its default.
///
/// With `If-Match` and the `ETag` that was read, a change that somebody made in the meantime is not overwritten.
#[utoipa::path(put, path = "/api/v1/question-sets/{id}", tag = "quality",
    params(("id" = Id<QuestionSet>, Path), ("If-Match" = Option<String>, Header, description = "The `ETag` of the set as it was read.", example = "\"1\"")),
    request_body = NewQuestionSet,
    responses((status = 200, description = "The set as it is now.", body = QuestionSetContent), CommonProblems, right::ManageQuality, NotFoundProblem, ConflictProblem,
              PreconditionProblem, BodyProblems))]
pub async fn replace_question_set(
    State(knowledge): State<Knowledge>,
    caller: May<right::ManageQuality>,
    Path(id): Path<Id<QuestionSet>>,
    headers: HeaderMap,
    Json(new): Json<NewQuestionSet>,
) -> Result<Response> {
    new.validate()?;
    let sources = knowledge.resolve_sources(&caller.principal, Some(&new.sources)).await?.unwrap_or_default();
    let (kernel, tenant) = (&knowledge.kernel, caller.principal.tenant);
    let mut tx = kernel.db.write(tenant).await?;
    let mut set = changeable(&mut tx, &caller, id, &headers).await?;
    (set.name, set.description, set.sources) = (new.name, new.description, sources);
    set.question_count = i64::try_from(new.questions.len()).unwrap_or(i64::MAX);
    change(&knowledge, &mut tx, &caller, &mut set).await?;
    store::replace_questions(&mut tx, tenant, id, &new.questions).await?;
    tx.commit().await?;
    hide_run(&knowledge, &caller, &mut set).await?;
    Ok(with_tag(set.version, Json(QuestionSetContent { set, questions: new.questions })))
}

/// Delete a question set with its runs.
#[utoipa::path(delete, path = "/api/v1/question-sets/{id}", tag = "quality", params(("id" = Id<QuestionSet>, Path)),
    responses((status = 204, description = "Gone."), CommonProblems, right::ManageQuality, NotFoundProblem))]
pub async fn delete_question_set(
    State(knowledge): State<Knowledge>,
    caller: May<right::ManageQuality>,
    Path(id): Path<Id<QuestionSet>>,
) -> Result<StatusCode> {
    let (kernel, tenant) = (&knowledge.kernel, caller.principal.tenant);
    let mut tx = kernel.db.write(tenant).await?;
    let set = store::lock(&mut tx, tenant, id).await?.ok_or_else(missing)?;
    if let Some(run) = store::runs(&mut tx, tenant, id, "", 1).await?.into_iter().find(|r| !r.state.is_over()) {
        // The job would go on asking for nobody.
        tx.request_cancel(tenant, run.job_id, kernel.now()).await?;
    }
    store::delete(&mut tx, tenant, id).await?;
    tx.audit(kernel, Record::of(&caller, "question_sets.delete", id, json!({"name": set.name}))).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Export a set's questions as JSON lines, which `astrolabe eval --questions` reads as well.
#[utoipa::path(get, path = "/api/v1/question-sets/{id}/questions", tag = "quality", params(("id" = Id<QuestionSet>, Path)),
    responses((status = 200, description = "One question a line.", content((Question = "application/x-ndjson"))), CommonProblems, right::ReadQuality, NotFoundProblem))]
pub async fn export_questions(
    State(knowledge): State<Knowledge>,
    caller: May<right::ReadQuality>,
    Path(id): Path<Id<QuestionSet>>,
) -> Result<Response> {
    let tenant = caller.principal.tenant;
    let mut tx = knowledge.kernel.db.read(tenant).await?;
    let set = store::get(&mut tx, tenant, id).await?.ok_or_else(missing)?;
    let mut text = String::new();
    for question in store::questions(&mut tx, tenant, id).await? {
        text.push_str(&serde_json::to_string(&question).map_err(Error::internal)?);
        text.push('\n');
    }
    let headers = [(header::CONTENT_TYPE, LINES), (header::CONTENT_DISPOSITION, "attachment; filename=\"questions.jsonl\"")];
    Ok(tagged(set.version, (headers, text).into_response()))
}

/// Import questions from JSON lines, in the place of those that are there.
#[utoipa::path(put, path = "/api/v1/question-sets/{id}/questions", tag = "quality",
    params(("id" = Id<QuestionSet>, Path), ("If-Match" = Option<String>, Header, description = "The `ETag` of the set as it was read.", example = "\"1\"")),
    request_body(content = Question, content_type = "application/x-ndjson", description = "One question a line."),
    responses((status = 200, description = "The set as it is now.", body = QuestionSetContent), CommonProblems, right::ManageQuality, NotFoundProblem, ConflictProblem,
              PreconditionProblem, BodyProblems))]
pub async fn import_questions(
    State(knowledge): State<Knowledge>,
    caller: May<right::ManageQuality>,
    Path(id): Path<Id<QuestionSet>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response> {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("");
    if content_type.split(';').next().unwrap_or("").trim() != LINES {
        return Err(Error::new(code::UNSUPPORTED_MEDIA_TYPE, "send the questions as application/x-ndjson, one JSON object a line"));
    }
    let questions = read_lines(&body)?;
    let tenant = caller.principal.tenant;
    let mut tx = knowledge.kernel.db.write(tenant).await?;
    let mut set = changeable(&mut tx, &caller, id, &headers).await?;
    set.question_count = i64::try_from(questions.len()).unwrap_or(i64::MAX);
    change(&knowledge, &mut tx, &caller, &mut set).await?;
    store::replace_questions(&mut tx, tenant, id, &questions).await?;
    tx.commit().await?;
    hide_run(&knowledge, &caller, &mut set).await?;
    Ok(with_tag(set.version, Json(QuestionSetContent { set, questions })))
}

/// Add a question to a set.
#[utoipa::path(post, path = "/api/v1/question-sets/{id}/questions", tag = "quality", params(("id" = Id<QuestionSet>, Path)), request_body = Question,
    responses((status = 201, description = "Added.", body = Question), CommonProblems, right::ManageQuality, NotFoundProblem, ConflictProblem, BodyProblems))]
pub async fn add_question(
    State(knowledge): State<Knowledge>,
    caller: May<right::ManageQuality>,
    Path(id): Path<Id<QuestionSet>>,
    Json(question): Json<Question>,
) -> Result<(StatusCode, Json<Question>)> {
    question.validate("")?;
    let mut tx = knowledge.kernel.db.write(caller.principal.tenant).await?;
    append(&knowledge, &mut tx, &caller, id, &question).await?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(question)))
}

/// Adds a question at the end of a set and records it.
///
/// # Errors
/// `not_found`; `conflict` when its id is taken or the set is full.
pub(crate) async fn append(knowledge: &Knowledge, tx: &mut Tx, caller: &Caller, id: Id<QuestionSet>, question: &Question) -> Result<()> {
    let tenant = caller.principal.tenant;
    let mut set = store::lock(tx, tenant, id).await?.ok_or_else(missing)?;
    let there = store::questions(tx, tenant, id).await?;
    if there.len() >= MAX_QUESTIONS {
        return Err(Error::new(code::CONFLICT, format!("the set has {MAX_QUESTIONS} questions, which is the limit")));
    }
    if there.iter().any(|q| q.id == question.id) {
        return Err(Error::new(code::CONFLICT, format!("id: the set has a question {:?} already", question.id)).and_field("id", "is taken"));
    }
    set.question_count += 1;
    change(knowledge, tx, caller, &mut set).await?;
    store::insert_question(tx, tenant, id, there.len(), question).await
}

/// Start a run: every question of the set is asked, as a job.
#[utoipa::path(post, path = "/api/v1/question-sets/{id}/runs", tag = "quality", params(("id" = Id<QuestionSet>, Path)),
    responses((status = 202, description = "Started.", body = QuestionSetRun), CommonProblems, right::ManageQuality, NotFoundProblem, ConflictProblem))]
pub async fn start_question_set_run(
    State(knowledge): State<Knowledge>,
    caller: May<right::ManageQuality>,
    Path(id): Path<Id<QuestionSet>>,
) -> Result<(StatusCode, Json<QuestionSetRun>)> {
    let (kernel, tenant, now) = (&knowledge.kernel, caller.principal.tenant, knowledge.kernel.now());
    let set = store::get(&mut kernel.db.read(tenant).await?, tenant, id).await?.ok_or_else(missing)?;
    require_sources(&knowledge, &caller, &set).await?;
    let mut tx = kernel.db.write(tenant).await?;
    let set = store::lock(&mut tx, tenant, id).await?.filter(|now| now.sources == set.sources).ok_or_else(missing)?;
    let questions = store::questions(&mut tx, tenant, id).await?;
    if questions.is_empty() {
        return Err(Error::new(code::INVALID_STATE, "the set has no questions: add some first"));
    }
    let run = QuestionSetRun {
        id: kernel.id(),
        question_set_id: id,
        set_version: set.version,
        job_id: kernel.id(),
        state: JobState::Queued,
        error: None,
        total: i64::try_from(questions.len()).unwrap_or(i64::MAX),
        done: 0,
        right: 0,
        figures: None,
        started_by: caller.principal.id.clone(),
        created_at: now,
        finished_at: None,
    };
    store::insert_run(&mut tx, tenant, &run, &questions).await.map_err(busy)?;
    let subject = run.id.to_string();
    tx.enqueue(NewJob::new(run.job_id, tenant, KIND, &subject, json!({})), now).await?;
    tx.audit(kernel, Record::of(&caller, "question_sets.run", id, json!({"name": set.name, "run_id": run.id}))).await?;
    tx.commit().await?;
    Ok((StatusCode::ACCEPTED, Json(run)))
}

/// List a set's runs, newest first.
#[utoipa::path(get, path = "/api/v1/question-sets/{id}/runs", tag = "quality", params(("id" = Id<QuestionSet>, Path), PageQuery),
    responses((status = 200, description = "A page.", body = Page<QuestionSetRun>), CommonProblems, right::ReadQuality, NotFoundProblem))]
pub async fn list_question_set_runs(
    State(knowledge): State<Knowledge>,
    caller: May<right::ReadQuality>,
    Path(id): Path<Id<QuestionSet>>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<QuestionSetRun>>> {
    let (limit, tenant) = (page.limit()?, caller.principal.tenant);
    let set = store::get(&mut knowledge.kernel.db.read(tenant).await?, tenant, id).await?.ok_or_else(missing)?;
    require_sources(&knowledge, &caller, &set).await?;
    let mut tx = knowledge.kernel.db.read(tenant).await?;
    let rows = store::runs(&mut tx, tenant, id, page.after(), limit).await?;
    Ok(Json(Page::of(rows, limit, |r| r.id.to_string())))
}

/// Read a run with what became of each question. `POST /api/v1/jobs/{job_id}/cancel` ends it.
#[utoipa::path(get, path = "/api/v1/question-sets/{id}/runs/{run_id}", tag = "quality",
    params(("id" = Id<QuestionSet>, Path), ("run_id" = Id<QuestionSetRun>, Path)),
    responses((status = 200, description = "The run.", body = QuestionSetRunContent), CommonProblems, right::ReadQuality, NotFoundProblem))]
pub async fn get_question_set_run(
    State(knowledge): State<Knowledge>,
    caller: May<right::ReadQuality>,
    Path((id, run)): Path<(Id<QuestionSet>, Id<QuestionSetRun>)>,
) -> Result<Json<QuestionSetRunContent>> {
    let tenant = caller.principal.tenant;
    let set = store::get(&mut knowledge.kernel.db.read(tenant).await?, tenant, id).await?.ok_or_else(|| Error::not_found("run"))?;
    require_sources(&knowledge, &caller, &set).await?;
    let mut tx = knowledge.kernel.db.read(tenant).await?;
    let run = store::run(&mut tx, tenant, Some(id), run).await?.ok_or_else(|| Error::not_found("run"))?;
    let results = store::results(&mut tx, tenant, run.id).await?;
    Ok(Json(QuestionSetRunContent { run, results }))
}

/// The set's quality over time as SVG, in the language of `Accept-Language` (English, Polish or Russian).
#[utoipa::path(get, path = "/api/v1/question-sets/{id}/plot.svg", tag = "quality", params(("id" = Id<QuestionSet>, Path)),
    responses((status = 200, description = "The plot of the newest sixty runs.", body = String, content_type = "image/svg+xml"), CommonProblems, right::ReadQuality,
              NotFoundProblem))]
pub async fn get_question_set_plot(
    State(knowledge): State<Knowledge>,
    caller: May<right::ReadQuality>,
    Path(id): Path<Id<QuestionSet>>,
    headers: HeaderMap,
) -> Result<Response> {
    let tenant = caller.principal.tenant;
    let set = store::get(&mut knowledge.kernel.db.read(tenant).await?, tenant, id).await?.ok_or_else(missing)?;
    require_sources(&knowledge, &caller, &set).await?;
    let mut tx = knowledge.kernel.db.read(tenant).await?;
    let runs = store::ready_runs(&mut tx, tenant, id, plot::MAX_RUNS).await?;
    let accept = headers.get(header::ACCEPT_LANGUAGE).and_then(|v| v.to_str().ok()).unwrap_or("");
    let svg = plot::svg(&set.name, &runs, plot::language(accept));
    let headers = [(header::CONTENT_TYPE, "image/svg+xml"), (header::CACHE_CONTROL, "no-cache"), (header::VARY, "accept-language")];
    Ok((headers, svg).into_response())
}

/// Refuses whoever may not read all that the set asks. A run asks for everybody, so its answers, and even its verdicts, would tell of sources that
/// the caller must not know of.
///
/// # Errors
/// `forbidden`.
async fn require_sources(knowledge: &Knowledge, caller: &Caller, set: &QuestionSet) -> Result<()> {
    match knowledge.readable_sources(&caller.principal).await? {
        Some(readable) if set.sources.is_empty() || set.sources.iter().any(|s| !readable.contains(s)) => Err(Error::forbidden(
            "runs of this set tell of sources that you may not read; ask for the right to read them, or name others in the set",
        )),
        _ => Ok(()),
    }
}

/// Takes the last run out of a set for a caller who may not read what it asked.
async fn hide_run(knowledge: &Knowledge, caller: &Caller, set: &mut QuestionSet) -> Result<()> {
    if set.last_run.is_some() && require_sources(knowledge, caller, set).await.is_err() {
        set.last_run = None;
    }
    Ok(())
}

/// The set, to be changed; refused when the caller read another version.
async fn changeable(tx: &mut Tx, caller: &Caller, id: Id<QuestionSet>, headers: &HeaderMap) -> Result<QuestionSet> {
    let set = store::lock(tx, caller.principal.tenant, id).await?.ok_or_else(missing)?;
    let Some(wanted) = headers.get(header::IF_MATCH) else { return Ok(set) };
    let tag = format!("\"{}\"", set.version);
    let matches = wanted.to_str().is_ok_and(|w| w.split(',').map(str::trim).any(|w| w == "*" || w == tag));
    if !matches {
        return Err(Error::new(code::PRECONDITION_FAILED, format!("If-Match: somebody changed the set since; it has the ETag {tag} now")));
    }
    Ok(set)
}

/// Writes a set that was changed and records it.
async fn change(knowledge: &Knowledge, tx: &mut Tx, caller: &Caller, set: &mut QuestionSet) -> Result<()> {
    set.version += 1;
    set.updated_at = knowledge.kernel.now();
    store::update(tx, caller.principal.tenant, set).await.map_err(|e| taken(e, &set.name))?;
    let payload = json!({"name": set.name, "version": set.version, "questions": set.question_count});
    tx.audit(&knowledge.kernel, Record::of(caller, "question_sets.update", set.id, payload)).await
}

fn read_lines(body: &[u8]) -> Result<Vec<Question>> {
    let text = std::str::from_utf8(body).map_err(|_| Error::field("body", "must be UTF-8"))?;
    let mut questions = Vec::new();
    for (number, line) in text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty()) {
        let at = format!("line {}", number + 1);
        let question: Question = parse_json(line.as_bytes()).map_err(|e| match e.fields().first() {
            Some(wrong) => Error::field(format!("{at}.{}", wrong.field), wrong.message.clone()),
            None => Error::field(at.clone(), e.message()),
        })?;
        question.validate(&at)?;
        questions.push(question);
    }
    validate_questions(&questions)?;
    Ok(questions)
}

fn with_tag<T: serde::Serialize>(version: i64, body: Json<T>) -> Response {
    tagged(version, body.into_response())
}

fn tagged(version: i64, mut response: Response) -> Response {
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{version}\"")) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

fn missing() -> Error {
    Error::not_found("question set")
}

fn taken(error: Error, name: &str) -> Error {
    if is_unique_violation(&error) {
        return Error::new(code::CONFLICT, format!("name: there is a question set named {name:?} already")).and_field("name", "is taken");
    }
    error
}

pub(super) fn busy(error: Error) -> Error {
    if is_unique_violation(&error) {
        return Error::new(code::INVALID_STATE, "a run of this set is under way: wait for it, or cancel its job");
    }
    error
}
