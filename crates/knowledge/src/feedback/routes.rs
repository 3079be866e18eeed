//! Endpoints of feedback.

use astrolabe_kernel::{
    Error, Id, Result,
    audit::Record,
    error::code,
    http::{BodyProblems, CommonProblems, ConflictProblem, Json, May, NotFoundProblem, Path, Query},
    page::{Page, page_limit, read_cursor},
    principal::right,
};
use axum::{extract::State, http::StatusCode};
use serde::Deserialize;
use serde_json::json;
use utoipa::IntoParams;

use super::{FEEDBACK, Feedback, NewFeedback, OwnFeedback, QuestionFromFeedback, Rating, store};
use crate::{
    Knowledge,
    answers::{self, Answer},
    question_sets::{self, Question},
};

/// Which feedback to list.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct FeedbackQuery {
    /// Only feedback with this rating.
    #[param(inline, example = "down")]
    pub rating: Option<Rating>,
    /// How many at most.
    #[param(minimum = 1, maximum = 200, default = 50, example = 20)]
    pub limit: Option<u32>,
    /// The `next_cursor` of the page before.
    #[param(min_length = 1, max_length = 200, pattern = "^[A-Za-z0-9_.~-]{1,200}$", example = "fbk_01JD3V9M7Q4R8T2W6X0Y5Z1ABC")]
    #[serde(default, deserialize_with = "read_cursor")]
    pub cursor: Option<String>,
}

/// Say what you think of an answer. A second word takes the place of the first.
#[utoipa::path(post, path = "/api/v1/asks/{id}/feedback", tag = "quality", params(("id" = Id<Answer>, Path)), request_body = NewFeedback,
    responses((status = 200, description = "Kept.", body = Feedback), CommonProblems, right::AskQuestions, NotFoundProblem, ConflictProblem, BodyProblems))]
pub async fn give_feedback(
    State(knowledge): State<Knowledge>,
    caller: May<right::AskQuestions>,
    Path(id): Path<Id<Answer>>,
    Json(new): Json<NewFeedback>,
) -> Result<Json<Feedback>> {
    if !knowledge.kernel.flags.is_on(caller.principal.tenant, &FEEDBACK).await? {
        return Err(Error::new(code::FEATURE_OFF, "feedback is turned off in the settings of this tenant (flag feedback)"));
    }
    new.validate()?;
    let (kernel, tenant, now) = (&knowledge.kernel, caller.principal.tenant, knowledge.kernel.now());
    let mut tx = kernel.db.write(tenant).await?;
    let ask = answers::store::get(&mut tx, tenant, &caller.principal.id, id).await?.ok_or_else(|| Error::not_found("ask"))?;
    let Some(answer) = ask.answer else {
        return Err(Error::new(code::INVALID_STATE, "the ask has no answer that could be rated"));
    };
    let before = store::of_ask(&mut tx, tenant, &caller.principal.id, id).await?;
    let mut documents: Vec<String> = Vec::new();
    for citation in answer.citations {
        if !documents.contains(&citation.document) {
            documents.push(citation.document);
        }
    }
    let feedback = Feedback {
        id: before.as_ref().map_or_else(|| kernel.id(), |b| b.id),
        ask_id: id,
        rating: new.rating,
        reason: new.reason,
        comment: new.comment,
        question: ask.question,
        answer: answer.answer,
        answered: answer.answered,
        documents,
        question_set_id: before.as_ref().and_then(|b| b.question_set_id),
        created_by: caller.principal.id.clone(),
        created_at: before.as_ref().map_or(now, |b| b.created_at),
        updated_at: now,
    };
    store::put(&mut tx, tenant, &feedback).await?;
    let payload = json!({"ask_id": id, "rating": feedback.rating, "reason": feedback.reason, "comment": feedback.comment});
    tx.audit(kernel, Record::of(&caller, "feedback.give", feedback.id, payload)).await?;
    tx.commit().await?;
    Ok(Json(feedback))
}

/// Read your feedback on an answer.
#[utoipa::path(get, path = "/api/v1/asks/{id}/feedback", tag = "quality", params(("id" = Id<Answer>, Path)),
    responses((status = 200, description = "The feedback, or null.", body = OwnFeedback), CommonProblems, right::AskQuestions, NotFoundProblem))]
pub async fn get_own_feedback(
    State(knowledge): State<Knowledge>,
    caller: May<right::AskQuestions>,
    Path(id): Path<Id<Answer>>,
) -> Result<Json<OwnFeedback>> {
    let (tenant, principal) = (caller.principal.tenant, &caller.principal.id);
    let mut tx = knowledge.kernel.db.read(tenant).await?;
    answers::store::get(&mut tx, tenant, principal, id).await?.ok_or_else(|| Error::not_found("ask"))?;
    Ok(Json(OwnFeedback { feedback: store::of_ask(&mut tx, tenant, principal, id).await? }))
}

/// Take your feedback on an answer back.
#[utoipa::path(delete, path = "/api/v1/asks/{id}/feedback", tag = "quality", params(("id" = Id<Answer>, Path)),
    responses((status = 204, description = "There is none any more."), CommonProblems, right::AskQuestions, NotFoundProblem))]
pub async fn withdraw_feedback(
    State(knowledge): State<Knowledge>,
    caller: May<right::AskQuestions>,
    Path(id): Path<Id<Answer>>,
) -> Result<StatusCode> {
    let (kernel, tenant, principal) = (&knowledge.kernel, caller.principal.tenant, &caller.principal.id);
    let mut tx = kernel.db.write(tenant).await?;
    answers::store::get(&mut tx, tenant, principal, id).await?.ok_or_else(|| Error::not_found("ask"))?;
    if let Some(feedback) = store::of_ask(&mut tx, tenant, principal, id).await?
        && store::delete(&mut tx, tenant, principal, id).await?
    {
        tx.audit(kernel, Record::of(&caller, "feedback.withdraw", feedback.id, json!({"ask_id": id}))).await?;
        tx.commit().await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

/// List everybody's feedback, newest first. Whoever may not read every source sees others' feedback without answers and documents.
#[utoipa::path(get, path = "/api/v1/feedback", tag = "quality", params(FeedbackQuery),
    responses((status = 200, description = "A page.", body = Page<Feedback>), CommonProblems, right::ManageQuality))]
pub async fn list_feedback(
    State(knowledge): State<Knowledge>,
    caller: May<right::ManageQuality>,
    Query(query): Query<FeedbackQuery>,
) -> Result<Json<Page<Feedback>>> {
    let limit = page_limit(query.limit)?;
    let restricted = knowledge.readable_sources(&caller.principal).await?.is_some();
    let mut tx = knowledge.kernel.db.read(caller.principal.tenant).await?;
    let mut rows = store::page(&mut tx, caller.principal.tenant, query.rating, query.cursor.as_deref().unwrap_or(""), limit).await?;
    for feedback in rows.iter_mut().filter(|f| restricted && f.created_by != caller.principal.id) {
        hide_answer(feedback);
    }
    Ok(Json(Page::of(rows, limit, |f| f.id.to_string())))
}

/// Make a question of feedback, in a question set.
#[utoipa::path(post, path = "/api/v1/feedback/{id}/question", tag = "quality", params(("id" = Id<Feedback>, Path)),
    request_body = QuestionFromFeedback,
    responses((status = 201, description = "Added to the set.", body = Question), CommonProblems, right::ManageQuality, NotFoundProblem, ConflictProblem, BodyProblems))]
pub async fn make_question(
    State(knowledge): State<Knowledge>,
    caller: May<right::ManageQuality>,
    Path(id): Path<Id<Feedback>>,
    Json(request): Json<QuestionFromFeedback>,
) -> Result<(StatusCode, Json<Question>)> {
    let (kernel, tenant, now) = (&knowledge.kernel, caller.principal.tenant, knowledge.kernel.now());
    let restricted = knowledge.readable_sources(&caller.principal).await?.is_some();
    let mut tx = kernel.db.write(tenant).await?;
    let mut feedback = store::lock(&mut tx, tenant, id).await?.ok_or_else(|| Error::not_found("feedback"))?;
    if restricted && feedback.created_by != caller.principal.id {
        hide_answer(&mut feedback);
    }
    let set = request.question_set_id;
    let question = request.question(&feedback);
    question.validate("")?;
    question_sets::routes::append(&knowledge, &mut tx, &caller, set, &question).await?;
    store::set_question_set(&mut tx, tenant, id, set, now).await?;
    tx.audit(kernel, Record::of(&caller, "feedback.question", id, json!({"question_set_id": set, "question": question.id}))).await?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(question)))
}

/// Takes out of somebody else's feedback what a caller may not know who may not read every source: the answer may be of one of those.
fn hide_answer(feedback: &mut Feedback) {
    feedback.answer.clear();
    feedback.documents.clear();
}
