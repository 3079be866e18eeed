//! The body of a response: OpenAI's newer words for what a chat completion is.

use std::collections::{BTreeMap, HashSet};

use astrolabe_kernel::{Error, Result};
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::super::body::{BodySchema, ToolFunction, choice_of, parts_of, schema_of, tool_of};
use crate::chat::{ChatRequest, Message, Part, ReasoningEffort, ResponseFormat, Role, ToolCall, ToolResult};

/// What is asked of a model, in the words of OpenAI's responses.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"model": "default", "input": "Where are the office keys?"}))]
pub struct ResponseBody {
    /// An alias of the configuration.
    pub(crate) model: String,
    /// A text, or items: messages, calls of functions and what those gave.
    #[schema(value_type = Object)]
    pub(crate) input: Value,
    /// What the model is to do.
    pub(crate) instructions: Option<String>,
    /// Goes on with an earlier response.
    pub(crate) previous_response_id: Option<String>,
    /// Whether the reply comes as server-sent events.
    pub(crate) stream: Option<bool>,
    /// Whether the response is made in the background, to be retrieved later.
    pub(crate) background: Option<bool>,
    /// Whether the response is kept, for an hour; so unless said otherwise.
    pub(crate) store: Option<bool>,
    /// Functions that the model may call.
    pub(crate) tools: Option<Vec<ResponseTool>>,
    /// `auto`, `none`, `required`, or the function to call.
    #[schema(value_type = Option<Object>)]
    pub(crate) tool_choice: Option<Value>,
    /// Whether several calls may come at once.
    pub(crate) parallel_tool_calls: Option<bool>,
    /// Tokens of the reply at most, thoughts included.
    pub(crate) max_output_tokens: Option<u32>,
    /// 0 to 2.
    pub(crate) temperature: Option<f32>,
    /// Above 0, up to 1.
    pub(crate) top_p: Option<f32>,
    /// What the text is to be.
    pub(crate) text: Option<TextOptions>,
    /// How much a reasoning model is to think.
    pub(crate) reasoning: Option<Reasoning>,
    /// Given back with the response.
    pub(crate) metadata: Option<BTreeMap<String, String>>,
    /// Who asks, in letters that mean nothing outside.
    pub(crate) user: Option<String>,
    /// Only `disabled`.
    pub(crate) truncation: Option<String>,
    /// Not used: all that there is comes.
    #[schema(value_type = Option<Vec<String>>)]
    pub(crate) include: Option<Vec<String>>,
}

/// A tool.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct ResponseTool {
    /// `function`.
    #[serde(rename = "type")]
    kind: String,
    /// 1 to 64 letters, digits, `_` and `-`.
    #[serde(default)]
    name: String,
    /// What it does.
    description: Option<String>,
    /// A JSON Schema of an object.
    #[schema(value_type = Option<Object>)]
    parameters: Option<Value>,
    /// Whether the model is held to the schema.
    strict: Option<bool>,
}

/// What the text is to be.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct TextOptions {
    /// The format.
    format: Option<TextFormat>,
}

/// The format of the text.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct TextFormat {
    /// `text`, `json_object` or `json_schema`.
    #[serde(rename = "type")]
    kind: String,
    /// Of the schema.
    name: Option<String>,
    /// Of the schema.
    description: Option<String>,
    /// The JSON Schema.
    #[schema(value_type = Option<Object>)]
    schema: Option<Value>,
    /// Whether the model is held to it.
    strict: Option<bool>,
}

/// How much a reasoning model is to think.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct Reasoning {
    /// `minimal`, `low`, `medium` or `high`.
    #[schema(value_type = Option<String>)]
    effort: Option<ReasoningEffort>,
}

fn wrong<T>(field: impl Into<String>, what: impl Into<String>) -> Result<T> {
    Err(Error::field(field, what))
}

impl ResponseBody {
    /// The request that the body makes, behind the messages of `before`.
    ///
    /// # Errors
    /// `invalid_request` naming the field that is wrong.
    pub(crate) fn take_request(&mut self, before: Vec<Message>) -> Result<ChatRequest> {
        if self.background == Some(true) && self.stream == Some(true) {
            return wrong("background", "cannot be streamed; retrieve the response instead");
        }
        if self.background == Some(true) && self.store == Some(false) {
            return wrong("store", "a response in the background has to be kept");
        }
        if self.max_output_tokens == Some(0) {
            return wrong("max_output_tokens", "must be at least 1");
        }
        for (field, value, most) in [("temperature", self.temperature, 2.0), ("top_p", self.top_p, 1.0)] {
            if value.is_some_and(|v| !(0.0..=most).contains(&v)) {
                return wrong(field, format!("must be between 0 and {most}"));
            }
        }
        if self.truncation.as_deref().is_some_and(|t| t != "disabled") {
            return wrong("truncation", "must be disabled; shorten the input instead");
        }
        if self.include.as_ref().is_some_and(|list| list.len() > 16) {
            return wrong("include", "at most 16");
        }
        if self.metadata.as_ref().is_some_and(|map| map.len() > 16 || map.iter().any(|(k, v)| k.len() > 64 || v.len() > 512)) {
            return wrong("metadata", "at most 16 pairs, with names of 64 and values of 512 bytes");
        }
        if self.user.as_ref().is_some_and(|user| user.len() > 512) {
            return wrong("user", "must have at most 512 bytes");
        }
        let mut names = HashSet::new();
        let mut tools = Vec::new();
        for (i, tool) in self.tools.take().unwrap_or_default().into_iter().enumerate() {
            if tool.kind != "function" {
                return wrong(format!("tools[{i}].type"), "must be function");
            }
            let ResponseTool { name, description, parameters, strict, .. } = tool;
            tools.push(tool_of(ToolFunction { name, description, parameters, strict }, &format!("tools[{i}]"), &mut names)?);
        }
        let tool_choice = choice_of(self.tool_choice.as_ref(), &tools)?;
        let response_format = match self.text.take().and_then(|text| text.format) {
            None => ResponseFormat::Text,
            Some(format) => match format.kind.as_str() {
                "text" => ResponseFormat::Text,
                "json_object" => ResponseFormat::JsonObject,
                "json_schema" => {
                    let TextFormat { name, description, schema, strict, .. } = format;
                    schema_of(BodySchema { name: name.unwrap_or_default(), description, schema, strict }, "text.format")?
                }
                _ => return wrong("text.format.type", "must be text, json_object or json_schema"),
            },
        };
        let mut messages = before;
        messages.extend(input_of(self.input.take())?);
        if let Some(instructions) = self.instructions.as_ref().filter(|text| !text.is_empty()) {
            messages.insert(0, Message::system(instructions.clone()));
        }
        Ok(ChatRequest {
            messages,
            tools,
            tool_choice,
            parallel_tool_calls: self.parallel_tool_calls,
            response_format,
            max_tokens: self.max_output_tokens,
            temperature: self.temperature,
            top_p: self.top_p,
            reasoning_effort: self.reasoning.as_ref().and_then(|r| r.effort),
            user: self.user.clone(),
            ..ChatRequest::default()
        })
    }
}

/// The input as messages. The instructions of an earlier response are no part of it.
fn input_of(input: Value) -> Result<Vec<Message>> {
    let items = match input {
        Value::String(text) => return Ok(vec![Message::user(text)]),
        Value::Array(items) if !items.is_empty() => items,
        _ => return wrong("input", "must be a text or a list of items"),
    };
    let mut out = Vec::with_capacity(items.len());
    for (i, mut item) in items.into_iter().enumerate() {
        let at = |field: &str| format!("input[{i}].{field}");
        let text = |item: &Value, field: &str| item.get(field).and_then(Value::as_str).map(str::to_owned);
        let needed = |item: &Value, field: &str| text(item, field).ok_or_else(|| Error::field(at(field), "must be a text"));
        match item.get("type").and_then(Value::as_str).unwrap_or("message") {
            "message" => {
                let role = match item.get("role").and_then(Value::as_str) {
                    Some("system" | "developer") => Role::System,
                    Some("user") => Role::User,
                    Some("assistant") => Role::Assistant,
                    _ => return wrong(at("role"), "must be system, developer, user or assistant"),
                };
                let content = item.get_mut("content").map(Value::take);
                out.push(Message { role, content: parts_of(content, false, role == Role::User, &at("content"))? });
            }
            "function_call" => {
                let call = ToolCall {
                    id: needed(&item, "call_id")?,
                    name: needed(&item, "name")?,
                    arguments: needed(&item, "arguments")?,
                    signature: None,
                };
                out.push(Message { role: Role::Assistant, content: vec![Part::ToolCall(call)] });
            }
            "function_call_output" => {
                let content = match item.get("output") {
                    Some(Value::String(text)) => text.clone(),
                    Some(Value::Array(_)) => {
                        Message { role: Role::User, content: parts_of(item.get("output").cloned(), false, false, &at("output"))? }.text()
                    }
                    _ => return wrong(at("output"), "must be a text"),
                };
                out.push(Message::tool_results([ToolResult { call_id: needed(&item, "call_id")?, content, is_error: false }]));
            }
            // What a model thought is of use to itself alone.
            "reasoning" => {}
            _ => return wrong(at("type"), "must be message, function_call or function_call_output"),
        }
    }
    Ok(out)
}
