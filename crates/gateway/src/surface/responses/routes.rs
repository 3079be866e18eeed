//! The endpoints of responses.

use std::sync::Arc;

use astrolabe_kernel::{
    Error, Principal, Result,
    error::code,
    http::{BodyProblems, CommonProblems, ConflictProblem, Json, JsonBytes, May, NotFoundProblem, Path, UpstreamProblem, parse_json},
    principal::right,
};
use axum::{
    extract::State,
    http::HeaderMap,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::{
    super::{
        Answer, Surface, deadline,
        errors::{no_such_model, told},
        idempotency,
    },
    Kept,
    body::ResponseBody,
    making::{Frame, Made, Making},
};
use crate::{
    chat::{ChatDelta, ChatEnd, Message, Role},
    gateway::Wishes,
    guardrails::schema::Schema,
    models::{Asked, Live, Whole},
    usage::{Purpose, Who},
};

/// A response that is about to be made.
struct Order {
    frame: Arc<Frame>,
    asked: Asked,
    principal: Principal,
    /// What is kept of the conversation, without instructions.
    messages: Vec<Message>,
    keep: bool,
}

/// Make a response
///
/// As OpenAI's endpoint of this name. Errors have OpenAI's shape. Responses are kept for an hour in the process that made them.
#[utoipa::path(post, path = "/v1/responses", tag = "models", request_body = ResponseBody,
    responses((status = 200, description = "A response, or its events.", body = Object), CommonProblems, right::UseModels, NotFoundProblem,
        ConflictProblem, BodyProblems, UpstreamProblem))]
pub async fn create_response(
    State(surface): State<Surface>,
    caller: May<right::UseModels>,
    headers: HeaderMap,
    JsonBytes(bytes): JsonBytes,
) -> Result<Response> {
    use sha2::{Digest, Sha256};

    let body: ResponseBody = parse_json(&bytes)?;
    let run = idempotency(&headers, &caller)?;
    let fingerprint: [u8; 32] = Sha256::digest(&bytes).into();
    let work = start(surface.clone(), caller, headers, body);
    let Some((tenant, principal, key)) = run else {
        return Ok(work.await?.into_response());
    };
    // Keys of chat completions are others.
    let run = (tenant, principal, format!("responses {key}"));
    let (now, lifecycle) = (surface.0.kernel.now(), &surface.0.kernel.lifecycle);
    Ok(Box::pin(surface.0.runs.once(run, fingerprint, now, lifecycle, work)).await?.0.into_response())
}

async fn start(surface: Surface, caller: May<right::UseModels>, headers: HeaderMap, mut body: ResponseBody) -> Result<Answer> {
    let now = surface.0.kernel.now();
    let before = match &body.previous_response_id {
        Some(id) => match surface.0.responses.of(&caller.principal, id, now) {
            Ok(kept) => Vec::clone(&kept.messages),
            Err(_) => return Err(Error::new(code::NOT_FOUND, "there is no such response").and_field("previous_response_id", "is unknown")),
        },
        None => Vec::new(),
    };
    let alias = surface.0.models.gateway().alias(&body.model).ok_or_else(|| no_such_model(&body.model))?;
    let (streams, background, keep) = (body.stream == Some(true), body.background == Some(true), body.store != Some(false));
    let request = body.take_request(before)?;
    let schema = Schema::of(&request.response_format, "text.format.schema")?;
    let id = format!("resp_{}", surface.0.kernel.random.token(18));
    let frame = Frame { id: id.clone(), created: surface.now_s(), model: body.model.clone(), echo: echo(&body, &request) };
    let frame = Arc::new(frame);
    let has_instructions = body.instructions.as_ref().is_some_and(|text| !text.is_empty());
    let messages: Vec<Message> =
        if keep { request.messages.iter().skip(usize::from(has_instructions)).cloned().collect() } else { Vec::new() };
    let asked = Asked {
        schema,
        // Nobody waits for what is made in the background.
        deadline: if background { None } else { deadline(&headers, now)? },
        ..Asked::new(Who::of(&caller.principal), Purpose::Api, Wishes::OfTheCaller, alias, request)
    };
    let order = Order { frame, asked, principal: caller.principal.clone(), messages, keep };
    if background {
        return Ok(in_background(surface, order));
    }
    let Order { frame, asked, principal, messages, keep } = order;
    let keeper =
        Keeper { surface: surface.clone(), tenant: principal.tenant, principal: principal.id, messages, keep, cancel: Arc::default() };
    if streams {
        let live = surface.0.models.live(asked).await.map_err(told)?;
        return Ok(Answer::Stream(events(live, frame, keeper)));
    }
    let made = made(&surface, asked, &frame).await?;
    let shown = keeper.keep(&frame.id, made);
    Ok(Answer::Whole(shown.to_string().into()))
}

/// Makes a response as a whole.
async fn made(surface: &Surface, asked: Asked, frame: &Arc<Frame>) -> Result<Made> {
    let Whole::Typed(reply) = surface.0.models.whole(asked).await.map_err(told)? else {
        return Err(Error::internal("a response was passed on"));
    };
    let mut making = Making::new(Arc::clone(frame));
    let (finish_reason, usage, model) = (reply.finish_reason, reply.usage, reply.model);
    let text = (!reply.text.is_empty()).then_some(ChatDelta::Text(reply.text));
    let calls = reply.tool_calls.into_iter().enumerate().map(|(index, call)| ChatDelta::ToolCall(call.into_delta(index)));
    for piece in text.into_iter().chain(calls).chain([ChatDelta::End(ChatEnd { finish_reason, usage, model })]) {
        let _ = making.push(piece);
    }
    Ok(making.end(None).1)
}

/// What OpenAI's clients expect to find again.
fn echo(body: &ResponseBody, request: &crate::chat::ChatRequest) -> Value {
    let tools: Vec<Value> = request
        .tools
        .iter()
        .map(|t| json!({"type": "function", "name": t.name, "description": t.description, "parameters": t.parameters, "strict": t.strict}))
        .collect();
    json!({
        "instructions": body.instructions,
        "previous_response_id": body.previous_response_id,
        "metadata": body.metadata.clone().unwrap_or_default(),
        "temperature": body.temperature.unwrap_or(1.0),
        "top_p": body.top_p.unwrap_or(1.0),
        "max_output_tokens": body.max_output_tokens,
        "parallel_tool_calls": body.parallel_tool_calls.unwrap_or(true),
        "tool_choice": body.tool_choice.clone().unwrap_or_else(|| json!("auto")),
        "tools": tools,
        "background": body.background.unwrap_or(false),
        "store": body.store.unwrap_or(true),
        "truncation": "disabled",
        "user": body.user,
        "text": {"format": {"type": "text"}},
        "reasoning": {"effort": request.reasoning_effort, "summary": null},
    })
}

/// Keeps what a response becomes.
struct Keeper {
    surface: Surface,
    tenant: astrolabe_kernel::principal::TenantId,
    principal: String,
    messages: Vec<Message>,
    keep: bool,
    cancel: Arc<Notify>,
}

impl Keeper {
    fn keep(&self, id: &str, made: Made) -> Value {
        let Made { shown, reply } = made;
        if self.keep {
            let mut messages = self.messages.clone();
            messages.extend(reply.map(|reply| reply.into_message()).filter(|m| !m.content.is_empty()));
            debug_assert!(messages.iter().all(|m| m.role != Role::Assistant || !m.content.is_empty()), "an empty message says nothing");
            let bytes = shown.to_string().len() + messages.iter().map(|m| m.text().len()).sum::<usize>();
            let kept = Kept {
                tenant: self.tenant,
                principal: self.principal.clone(),
                at: self.surface.0.kernel.now(),
                shown: Arc::new(shown.clone()),
                messages: Arc::new(messages),
                cancel: Arc::clone(&self.cancel),
                bytes,
            };
            self.surface.0.responses.keep(id, kept);
        }
        shown
    }
}

/// A response as events.
fn events(live: Live, frame: Arc<Frame>, keeper: Keeper) -> stream::BoxStream<'static, Bytes> {
    struct State {
        live: Live,
        making: Option<Making>,
        frame: Arc<Frame>,
        keeper: Keeper,
        begun: bool,
    }
    let state = State { live, making: Some(Making::new(Arc::clone(&frame))), frame, keeper, begun: false };
    stream::unfold(state, |mut state| async move {
        let mut making = state.making.take()?;
        if !std::mem::replace(&mut state.begun, true) {
            let begin = making.begin();
            state.making = Some(making);
            return Some((Bytes::from(begin), state));
        }
        loop {
            let error = match state.live.next().await {
                Some(Ok(piece)) => {
                    let events = making.push(piece);
                    if events.is_empty() {
                        continue;
                    }
                    state.making = Some(making);
                    return Some((Bytes::from(events), state));
                }
                Some(Err(error)) => Some(told(error)),
                None => None,
            };
            let (events, made) = making.end(error);
            state.keeper.keep(&state.frame.id, made);
            return Some((Bytes::from(events), state));
        }
    })
    .boxed()
}

/// Makes a response that nobody waits for.
fn in_background(surface: Surface, order: Order) -> Answer {
    let Order { frame, asked, principal, messages, keep } = order;
    let cancel = Arc::new(Notify::new());
    let (tenant, principal) = (principal.tenant, principal.id);
    let keeper = Keeper { surface: surface.clone(), tenant, principal, messages, keep, cancel: Arc::clone(&cancel) };
    let queued = keeper.keep(&frame.id, Made { shown: frame.shown("queued", &[], None, None, None), reply: None });
    let lifecycle = surface.0.kernel.lifecycle.clone();
    lifecycle.spawn("response", async move {
        let work = async {
            match made(&surface, asked, &frame).await {
                Ok(made) => made,
                Err(error) => Making::new(Arc::clone(&frame)).end(Some(error)).1,
            }
        };
        let made = tokio::select! {
            made = work => made,
            () = cancel.notified() => return,
        };
        // One that was canceled at the last moment stays so.
        keeper.keep(&frame.id, made);
    });
    Answer::Whole(queued.to_string().into())
}

/// Read a response
///
/// Those of others, and those that are an hour old, are not found.
#[utoipa::path(get, path = "/v1/responses/{id}", tag = "models", params(("id" = String, Path, description = "The response.", example = "resp_3Q78HWQKQRSC4K1KZXR6")),
    responses((status = 200, description = "Done.", body = Object), CommonProblems, right::UseModels, NotFoundProblem))]
pub async fn get_response(State(surface): State<Surface>, caller: May<right::UseModels>, Path(id): Path<String>) -> Result<Json<Value>> {
    let found = surface.0.responses.of(&caller.principal, &id, surface.0.kernel.now());
    std::future::ready(found.map(|kept| Json(Value::clone(&kept.shown)))).await
}

/// Cancel a response
///
/// One that is made in the background; what is over stays as it is.
#[utoipa::path(post, path = "/v1/responses/{id}/cancel", tag = "models", params(("id" = String, Path, description = "The response.", example = "resp_3Q78HWQKQRSC4K1KZXR6")),
    responses((status = 200, description = "Done.", body = Object), CommonProblems, right::UseModels, NotFoundProblem))]
pub async fn cancel_response(State(surface): State<Surface>, caller: May<right::UseModels>, Path(id): Path<String>) -> Result<Json<Value>> {
    let kept = surface.0.responses.of(&caller.principal, &id, surface.0.kernel.now())?;
    if kept.shown["background"] != true {
        return Err(Error::field("id", "only a response that is made in the background can be canceled"));
    }
    if kept.shown["status"] != "queued" {
        return std::future::ready(Ok(Json(Value::clone(&kept.shown)))).await;
    }
    kept.cancel.notify_one();
    let mut shown = Value::clone(&kept.shown);
    shown["status"] = json!("cancelled");
    surface.0.responses.keep(&id, Kept { shown: Arc::new(shown.clone()), ..kept });
    Ok(Json(shown))
}
