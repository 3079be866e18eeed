//! Sources that answer as if they were models: `astrolabe/<source>` is the name, the answer is that of a question to the source.

use std::sync::Arc;

use astrolabe_kernel::{
    Error, Result,
    events::{Event, Reader},
    http::Caller,
    principal::{Principal, Right},
};
use bytes::Bytes;
use futures_util::{StreamExt, future::BoxFuture, stream};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Answer, Surface,
    encode::{self, Envelope},
    errors,
};
use crate::{
    chat::{ChatDelta, ChatEnd, ChatReply, ChatRequest, FinishReason, ResponseFormat, Role},
    tokens,
};

/// What stands before the name of a source.
pub(crate) const PREFIX: &str = "astrolabe/";

/// The sources, as somebody may ask them.
#[derive(Clone)]
pub struct Answerer {
    /// The names of those that a caller may read.
    pub names: Arc<dyn Fn(Principal) -> BoxFuture<'static, Result<Vec<String>>> + Send + Sync>,
    /// Asks one of them, by its name, a question. `not_found` when the caller may not read it, as when there is none.
    pub ask: Arc<dyn Fn(Caller, String, String) -> BoxFuture<'static, Result<Asking>> + Send + Sync>,
}

/// A question that is being answered.
pub struct Asking {
    /// The stream of its events, of which `answer.delta` have the text in pieces.
    pub stream: String,
    /// The events that end it.
    pub ends: [&'static str; 2],
    /// The answer's text and its citations, as `POST /api/v1/ask` has them.
    pub answer: BoxFuture<'static, Result<(String, Value)>>,
}

impl Surface {
    /// The names that a caller may ask for beside models.
    pub(super) async fn source_names(&self, principal: &Principal) -> Result<Vec<String>> {
        match &self.0.answerer {
            Some(answerer) if principal.require(Right::AskQuestions).is_ok() => {
                let names = (answerer.names)(principal.clone()).await?;
                Ok(names.into_iter().map(|name| format!("{PREFIX}{name}")).collect())
            }
            _ => Ok(Vec::new()),
        }
    }

    /// Answers the last question of a conversation from a source.
    ///
    /// # Errors
    /// `forbidden` to who may not ask; `not_found`; `invalid_request` for what an answer cannot be; what keeps the answer from being made.
    pub(super) async fn answer_of_source(
        &self,
        caller: Caller,
        source: &str,
        request: ChatRequest,
        envelope: Envelope,
        stream: bool,
    ) -> Result<Answer> {
        let answerer = self.0.answerer.as_ref().ok_or_else(|| errors::no_such_model(&envelope.model))?;
        caller.principal.require(Right::AskQuestions)?;
        self.0.kernel.policies.allow_operation(&caller, Right::AskQuestions).await?;
        if !request.tools.is_empty() {
            return Err(Error::field("tools", "a source calls no tools"));
        }
        if request.response_format != ResponseFormat::Text {
            return Err(Error::field("response_format", "a source answers in text alone"));
        }
        let last = request.messages.iter().rev().find(|message| message.role == Role::User);
        let question = last.map(|message| message.text()).filter(|text| !text.trim().is_empty());
        let question = question.ok_or_else(|| Error::field("messages", "must have a question of the user"))?;
        let tenant = caller.principal.tenant;
        let input = tokens::count(&question);
        let asking = (answerer.ask)(caller, source.to_owned(), question).await.map_err(|error| in_our_words(error, &envelope))?;
        if !stream {
            let (text, citations) = asking.answer.await?;
            return Ok(Answer::Whole(whole(&envelope, input, text, &citations)?));
        }
        let reader = Reader::new(&self.0.kernel, tenant, asking.stream.clone(), 0);
        let mut telling = Telling { reader, asking: Some(asking), envelope, input, text: String::new(), is_first: true };
        // Whoever can still be told with a status is.
        let first = telling.next().await?;
        let rest = stream::unfold(telling, |mut telling| async move {
            telling.asking.as_ref()?;
            let bytes = match telling.next().await {
                Ok(bytes) => bytes,
                Err(error) => {
                    telling.asking = None;
                    errors::event(&error)
                }
            };
            Some((bytes, telling))
        });
        Ok(Answer::Stream(stream::iter([first]).chain(rest).boxed()))
    }
}

/// The errors of a question in the words of a chat completion.
fn in_our_words(error: Error, envelope: &Envelope) -> Error {
    match error.fields().first().map(|field| field.field.as_str()) {
        Some(field) if field.starts_with("sources") => errors::no_such_model(&envelope.model),
        Some("question") => Error::field("messages", error.fields().first().map_or_else(String::new, |field| field.message.clone())),
        _ => error,
    }
}

/// The places of the citations in the text, as OpenAI's annotations have them.
fn annotations(text: &str, citations: &Value) -> Value {
    let mut found = Vec::new();
    for citation in citations.as_array().into_iter().flatten() {
        let marker = format!("[{}]", citation["n"]);
        for (at, _) in text.match_indices(&marker) {
            let start = text[..at].chars().count();
            let id = citation["document_id"].as_str().unwrap_or_default();
            let place = json!({"start_index": start, "end_index": start + marker.len(), "title": citation["document"],
                               "url": format!("/api/v1/documents/{id}/content")});
            found.push(json!({"type": "url_citation", "url_citation": place}));
        }
    }
    Value::Array(found)
}

fn end(envelope: &Envelope, input: u64, text: &str) -> ChatEnd {
    let usage = crate::chat::Usage { input, output: tokens::count(text), estimated: true, ..Default::default() };
    ChatEnd { finish_reason: FinishReason::Stop, usage, model: envelope.model.clone() }
}

fn whole(envelope: &Envelope, input: u64, text: String, citations: &Value) -> Result<Bytes> {
    let ChatEnd { finish_reason, usage, model } = end(envelope, input, &text);
    let annotations = annotations(&text, citations);
    let reply = ChatReply { text, tool_calls: Vec::new(), finish_reason, usage, model };
    let mut body: Value = serde_json::from_slice(&encode::whole(envelope, &reply)).map_err(Error::internal)?;
    body["choices"][0]["message"]["annotations"] = annotations;
    body["citations"] = citations.clone();
    Ok(body.to_string().into())
}

/// The data of `answer.delta`.
#[derive(Deserialize)]
struct Delta {
    text: String,
}

/// An answer on its way to a caller who reads it in pieces.
struct Telling {
    reader: Reader,
    /// Nothing when everything is told.
    asking: Option<Asking>,
    envelope: Envelope,
    input: u64,
    text: String,
    is_first: bool,
}

impl Telling {
    /// The next events, the last of them with the citations.
    async fn next(&mut self) -> Result<Bytes> {
        loop {
            let events = self.reader.next().await?;
            let Some(ends) = self.asking.as_ref().map(|asking| asking.ends) else { return Ok(Bytes::new()) };
            let mut out = Vec::new();
            for Event { kind, data, .. } in events {
                if kind == "answer.delta" {
                    let Delta { text: piece } = serde_json::from_str(&data).map_err(Error::internal)?;
                    self.text.push_str(&piece);
                    out.extend_from_slice(&self.envelope.events(&ChatDelta::Text(piece), std::mem::take(&mut self.is_first)));
                } else if ends.contains(&kind.as_str()) {
                    let asking = self.asking.take().ok_or_else(|| Error::internal("an answer ended twice"))?;
                    let (_, citations) = asking.answer.await?;
                    out.extend_from_slice(&self.envelope.cited(&annotations(&self.text, &citations), &citations, self.is_first));
                    let end = end(&self.envelope, self.input, &self.text);
                    out.extend_from_slice(&self.envelope.events(&ChatDelta::End(end), false));
                }
            }
            if !out.is_empty() {
                return Ok(out.into());
            }
        }
    }
}
