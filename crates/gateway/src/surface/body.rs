//! The body of a chat completion: read, checked with the name of what is wrong, and turned into a request of ours.

use std::collections::{BTreeMap, HashSet};

use astrolabe_kernel::{Error, Result, http::parse_json};
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::chat::{ChatRequest, Image, Message, Part, ReasoningEffort, ResponseFormat, Role, Tool, ToolCall, ToolChoice, ToolResult};

/// Tools of a request, as OpenAI limits them.
const MAX_TOOLS: usize = 128;

/// Messages of a request.
const MAX_MESSAGES: usize = crate::conversation::MAX_MESSAGES;

/// What is asked of a chat model, in OpenAI's words.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"model": "default", "messages": [{"role": "user", "content": "Where are the office keys?"}]}))]
pub struct ChatBody {
    /// An alias of the configuration; `GET /v1/models` lists them.
    pub(crate) model: String,
    /// The conversation.
    pub(crate) messages: Vec<BodyMessage>,
    /// Whether the reply comes as server-sent events.
    pub(crate) stream: Option<bool>,
    /// Options of the stream.
    pub(crate) stream_options: Option<StreamOptions>,
    /// Tokens of the reply at most. The older name.
    pub(crate) max_tokens: Option<u32>,
    /// Tokens of the reply at most, thoughts included.
    pub(crate) max_completion_tokens: Option<u32>,
    /// 0 to 2.
    pub(crate) temperature: Option<f32>,
    /// Above 0, up to 1.
    pub(crate) top_p: Option<f32>,
    /// Replies; only 1.
    pub(crate) n: Option<u32>,
    /// A text, or up to four, that end the reply.
    #[schema(value_type = Option<Object>)]
    pub(crate) stop: Option<Value>,
    /// -2 to 2.
    pub(crate) presence_penalty: Option<f32>,
    /// -2 to 2.
    pub(crate) frequency_penalty: Option<f32>,
    /// Asks for the same reply to the same request.
    pub(crate) seed: Option<i64>,
    /// Functions that the model may call.
    pub(crate) tools: Option<Vec<BodyTool>>,
    /// `auto`, `none`, `required`, or the function to call.
    #[schema(value_type = Option<Object>)]
    pub(crate) tool_choice: Option<Value>,
    /// Whether several calls may come at once.
    pub(crate) parallel_tool_calls: Option<bool>,
    /// What the text is to be.
    pub(crate) response_format: Option<BodyFormat>,
    /// How much a reasoning model is to think: `minimal`, `low`, `medium` or `high`.
    #[schema(value_type = Option<String>)]
    pub(crate) reasoning_effort: Option<ReasoningEffort>,
    /// Who asks, in letters that mean nothing outside.
    pub(crate) user: Option<String>,
    /// Conversations with one key stay with one route.
    pub(crate) prompt_cache_key: Option<String>,
    /// Passed on to providers that speak this format.
    pub(crate) logprobs: Option<bool>,
    /// Passed on; needs `logprobs`.
    pub(crate) top_logprobs: Option<u32>,
    /// Passed on.
    pub(crate) logit_bias: Option<BTreeMap<String, f32>>,
    /// Passed on.
    pub(crate) metadata: Option<BTreeMap<String, String>>,
    /// Passed on.
    pub(crate) store: Option<bool>,
    /// Passed on.
    pub(crate) service_tier: Option<String>,
    /// Passed on.
    pub(crate) safety_identifier: Option<String>,
    /// Passed on.
    pub(crate) verbosity: Option<String>,
}

/// Options of the stream.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub(crate) struct StreamOptions {
    /// Whether the last event tells what the reply cost.
    pub(crate) include_usage: Option<bool>,
}

/// A message. What it holds beside these fields is passed on to providers that speak this format.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub(crate) struct BodyMessage {
    /// `system`, `developer`, `user`, `assistant` or `tool`.
    pub(crate) role: String,
    /// A text, or parts of type `text` and `image_url`.
    #[schema(value_type = Option<Object>)]
    pub(crate) content: Option<Value>,
    /// The calls that the assistant asked for.
    pub(crate) tool_calls: Option<Vec<BodyCall>>,
    /// The call that a message of a tool answers.
    pub(crate) tool_call_id: Option<String>,
}

/// A call that the assistant asked for.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct BodyCall {
    /// Joins call and result.
    pub(crate) id: String,
    /// The function.
    pub(crate) function: BodyFunction,
}

/// Name and arguments of a call.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct BodyFunction {
    /// The function.
    pub(crate) name: String,
    /// JSON as text.
    pub(crate) arguments: String,
}

/// A function that the model may call.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct BodyTool {
    /// `function`.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// The function.
    pub(crate) function: Option<ToolFunction>,
}

/// A function.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct ToolFunction {
    /// 1 to 64 letters, digits, `_` and `-`.
    pub(crate) name: String,
    /// What it does.
    pub(crate) description: Option<String>,
    /// A JSON Schema of an object.
    #[schema(value_type = Option<Object>)]
    pub(crate) parameters: Option<Value>,
    /// Whether the model is held to the schema.
    pub(crate) strict: Option<bool>,
}

/// What the text is to be.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct BodyFormat {
    /// `text`, `json_object` or `json_schema`.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// The schema, for `json_schema`.
    pub(crate) json_schema: Option<BodySchema>,
}

/// A schema with its name.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct BodySchema {
    /// 1 to 64 letters, digits, `_` and `-`.
    pub(crate) name: String,
    /// What it is for.
    pub(crate) description: Option<String>,
    /// The JSON Schema.
    #[schema(value_type = Option<Object>)]
    pub(crate) schema: Option<Value>,
    /// Whether the model is held to it.
    pub(crate) strict: Option<bool>,
}

fn wrong<T>(field: impl Into<String>, what: impl Into<String>) -> Result<T> {
    Err(Error::field(field, what))
}

impl ChatBody {
    /// Reads a body. What is wrong is looked for a second time, with names, only when something is.
    ///
    /// # Errors
    /// `invalid_json`; `invalid_request` naming the field.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self> {
        match serde_json::from_slice(bytes) {
            // The first byte tells a list, which serde takes for an object; U+0000 no database takes.
            Ok(body) if bytes.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'{') && !bytes.windows(6).any(|w| w == b"\\u0000") => {
                Ok(body)
            }
            _ => parse_json(bytes),
        }
    }

    /// Whether the last event is to tell the usage.
    pub(crate) fn wants_usage(&self) -> bool {
        self.stream_options.as_ref().is_some_and(|options| options.include_usage == Some(true))
    }

    /// The fields that only providers of this format know.
    pub(crate) fn passed_on(&self) -> Option<&'static str> {
        [
            ("logprobs", self.logprobs == Some(true)),
            ("top_logprobs", self.top_logprobs.is_some()),
            ("logit_bias", self.logit_bias.is_some()),
            ("verbosity", self.verbosity.is_some()),
            ("store", self.store == Some(true)),
            ("service_tier", self.service_tier.as_ref().is_some_and(|tier| tier != "auto" && tier != "default")),
        ]
        .into_iter()
        .find_map(|(name, is_set)| is_set.then_some(name))
    }

    /// The request that the body makes. Its texts are moved, not copied.
    ///
    /// # Errors
    /// `invalid_request` naming the field that is wrong, or that contradicts another.
    pub(crate) fn into_request(self) -> Result<ChatRequest> {
        if self.model.is_empty() || self.model.len() > 200 {
            return wrong("model", "name a model; GET /v1/models lists them");
        }
        if self.stream_options.is_some() && self.stream != Some(true) {
            return wrong("stream_options", "says something only where stream is true");
        }
        if self.n.is_some_and(|n| n != 1) {
            return wrong("n", "must be 1; send the request again for another reply");
        }
        let max_tokens = match (self.max_tokens, self.max_completion_tokens) {
            (Some(_), Some(_)) => return wrong("max_tokens", "give max_tokens or max_completion_tokens, not both"),
            (Some(0), _) => return wrong("max_tokens", "must be at least 1"),
            (_, Some(0)) => return wrong("max_completion_tokens", "must be at least 1"),
            (a, b) => a.or(b),
        };
        for (field, value, least, most) in [
            ("temperature", self.temperature, 0.0, 2.0),
            ("top_p", self.top_p, 0.0, 1.0),
            ("presence_penalty", self.presence_penalty, -2.0, 2.0),
            ("frequency_penalty", self.frequency_penalty, -2.0, 2.0),
        ] {
            if value.is_some_and(|v| !(least..=most).contains(&v)) {
                return wrong(field, format!("must be between {least} and {most}"));
            }
        }
        if self.top_logprobs.is_some() && self.logprobs != Some(true) {
            return wrong("top_logprobs", "says something only where logprobs is true");
        }
        for (field, value) in [("user", &self.user), ("safety_identifier", &self.safety_identifier)] {
            if value.as_ref().is_some_and(|value| value.len() > 512) {
                return wrong(field, "must have at most 512 bytes");
            }
        }
        if self.metadata.as_ref().is_some_and(|map| map.len() > 16 || map.iter().any(|(k, v)| k.len() > 64 || v.len() > 512)) {
            return wrong("metadata", "at most 16 pairs, with names of 64 and values of 512 bytes");
        }
        let tools = tools_of(self.tools)?;
        let tool_choice = choice_of(self.tool_choice.as_ref(), &tools)?;
        let response_format = format_of(self.response_format)?;
        let stop = stop_of(self.stop)?;
        Ok(ChatRequest {
            messages: messages_of(self.messages)?,
            tools,
            tool_choice,
            parallel_tool_calls: self.parallel_tool_calls,
            response_format,
            max_tokens,
            temperature: self.temperature,
            top_p: self.top_p,
            frequency_penalty: self.frequency_penalty,
            presence_penalty: self.presence_penalty,
            stop,
            seed: self.seed,
            reasoning_effort: self.reasoning_effort,
            user: self.user,
            deadline: None,
        })
    }
}

fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}

const NAME_RULE: &str = "must have 1 to 64 letters, digits, _ or -";

fn tools_of(given: Option<Vec<BodyTool>>) -> Result<Vec<Tool>> {
    let Some(given) = given else { return Ok(Vec::new()) };
    if given.len() > MAX_TOOLS {
        return wrong("tools", format!("at most {MAX_TOOLS}"));
    }
    let mut names = HashSet::new();
    let mut tools = Vec::with_capacity(given.len());
    for (i, tool) in given.into_iter().enumerate() {
        if tool.kind != "function" {
            return wrong(format!("tools[{i}].type"), "must be function");
        }
        let Some(function) = tool.function else { return wrong(format!("tools[{i}].function"), "is missing") };
        tools.push(tool_of(function, &format!("tools[{i}].function"), &mut names)?);
    }
    Ok(tools)
}

/// A function as a tool.
pub(super) fn tool_of(function: ToolFunction, at: &str, names: &mut HashSet<String>) -> Result<Tool> {
    if !is_name(&function.name) {
        return wrong(format!("{at}.name"), NAME_RULE);
    }
    if !names.insert(function.name.clone()) {
        return wrong(format!("{at}.name"), "is the name of another function already");
    }
    let parameters = match function.parameters {
        None | Some(Value::Null) => serde_json::json!({"type": "object", "properties": {}}),
        Some(schema @ Value::Object(_)) => schema,
        Some(_) => return wrong(format!("{at}.parameters"), "must be a JSON Schema of an object"),
    };
    Ok(Tool {
        name: function.name,
        description: function.description.unwrap_or_default(),
        parameters,
        strict: function.strict == Some(true),
    })
}

/// The choice among tools, in the format of chat completions and that of responses, which differ in one level.
pub(super) fn choice_of(given: Option<&Value>, tools: &[Tool]) -> Result<ToolChoice> {
    let Some(given) = given.filter(|g| !g.is_null()) else { return Ok(ToolChoice::Auto) };
    let choice = match given {
        Value::String(word) => match word.as_str() {
            "auto" => ToolChoice::Auto,
            "none" => ToolChoice::None,
            "required" => ToolChoice::Required,
            _ => return wrong("tool_choice", "must be auto, none, required or a function"),
        },
        Value::Object(object) => match object.get("function").unwrap_or(given).get("name").and_then(Value::as_str) {
            Some(name) if tools.iter().any(|tool| tool.name == name) => ToolChoice::Tool(name.to_owned()),
            Some(_) => return wrong("tool_choice", "names a function that is not among tools"),
            None => return wrong("tool_choice", "must name the function"),
        },
        _ => return wrong("tool_choice", "must be auto, none, required or a function"),
    };
    if tools.is_empty() && matches!(choice, ToolChoice::Required | ToolChoice::Tool(_)) {
        return wrong("tool_choice", "says something only where there are tools");
    }
    Ok(choice)
}

fn format_of(given: Option<BodyFormat>) -> Result<ResponseFormat> {
    let Some(given) = given else { return Ok(ResponseFormat::Text) };
    match (given.kind.as_str(), given.json_schema) {
        ("text", None) => Ok(ResponseFormat::Text),
        ("json_object", None) => Ok(ResponseFormat::JsonObject),
        ("json_schema", Some(schema)) => schema_of(schema, "response_format.json_schema"),
        ("json_schema", None) => wrong("response_format.json_schema", "is missing"),
        ("text" | "json_object", Some(_)) => wrong("response_format.json_schema", "says something only where type is json_schema"),
        _ => wrong("response_format.type", "must be text, json_object or json_schema"),
    }
}

/// A schema as what the text is to be.
pub(super) fn schema_of(given: BodySchema, at: &str) -> Result<ResponseFormat> {
    if !is_name(&given.name) {
        return wrong(format!("{at}.name"), NAME_RULE);
    }
    match given.schema {
        Some(schema @ Value::Object(_)) => {
            Ok(ResponseFormat::JsonSchema { name: given.name, description: given.description, schema, strict: given.strict == Some(true) })
        }
        _ => wrong(format!("{at}.schema"), "must be a JSON Schema"),
    }
}

fn stop_of(given: Option<Value>) -> Result<Vec<String>> {
    let texts = match given {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::String(text)) => vec![text],
        Some(Value::Array(list)) => {
            let texts: Option<Vec<_>> = list.into_iter().map(|v| if let Value::String(text) = v { Some(text) } else { None }).collect();
            match texts {
                Some(texts) => texts,
                None => return wrong("stop", "must be a text or a list of texts"),
            }
        }
        Some(_) => return wrong("stop", "must be a text or a list of texts"),
    };
    if texts.len() > 4 || texts.iter().any(String::is_empty) {
        return wrong("stop", "at most four texts, none of them empty");
    }
    Ok(texts)
}

fn messages_of(given: Vec<BodyMessage>) -> Result<Vec<Message>> {
    if given.is_empty() {
        return wrong("messages", "must have at least one message");
    }
    if given.len() > MAX_MESSAGES {
        return wrong("messages", format!("at most {MAX_MESSAGES}"));
    }
    let mut open: HashSet<String> = HashSet::new();
    let mut out = Vec::with_capacity(given.len());
    for (i, message) in given.into_iter().enumerate() {
        let at = |field: &str| format!("messages[{i}].{field}");
        let is_tool = message.role == "tool";
        if !is_tool && message.tool_call_id.is_some() {
            return wrong(at("tool_call_id"), "stands in messages of the role tool alone");
        }
        let calls = message.tool_calls.unwrap_or_default();
        if !calls.is_empty() && message.role != "assistant" {
            return wrong(at("tool_calls"), "stands in messages of the role assistant alone");
        }
        let role = match message.role.as_str() {
            "system" | "developer" => Role::System,
            "user" | "tool" => Role::User,
            "assistant" => Role::Assistant,
            _ => return wrong(at("role"), "must be system, developer, user, assistant or tool"),
        };
        let may_be_absent = !calls.is_empty();
        let mut content = parts_of(message.content, may_be_absent, role == Role::User && !is_tool, &at("content"))?;
        if is_tool {
            let Some(call_id) = message.tool_call_id else { return wrong(at("tool_call_id"), "names the call that this answers") };
            if !open.remove(&call_id) {
                return wrong(at("tool_call_id"), "answers no call of the messages before");
            }
            let text = Message { role, content }.text();
            content = vec![Part::ToolResult(ToolResult { call_id, content: text, is_error: false })];
        }
        for (j, call) in calls.into_iter().enumerate() {
            if call.id.is_empty() || !open.insert(call.id.clone()) {
                return wrong(at(&format!("tool_calls[{j}].id")), "must be an id of its own");
            }
            let BodyFunction { name, arguments } = call.function;
            content.push(Part::ToolCall(ToolCall { id: call.id, name, arguments, signature: None }));
        }
        out.push(Message { role, content });
    }
    Ok(out)
}

/// The content of a message as parts.
pub(super) fn parts_of(content: Option<Value>, may_be_absent: bool, may_have_images: bool, at: &str) -> Result<Vec<Part>> {
    let list = match content {
        Some(Value::String(text)) => return Ok(vec![Part::Text(text)]),
        None | Some(Value::Null) if may_be_absent => return Ok(Vec::new()),
        Some(Value::Array(list)) => list,
        _ => return wrong(at, "must be a text or a list of parts"),
    };
    let mut parts = Vec::with_capacity(list.len());
    for (i, part) in list.into_iter().enumerate() {
        let kind = part.get("type").and_then(Value::as_str).unwrap_or("");
        let text_in = |field: &str| part.get(field).and_then(Value::as_str).map(str::to_owned);
        parts.push(match kind {
            "text" | "input_text" | "output_text" | "refusal" => match text_in(if kind == "refusal" { "refusal" } else { "text" }) {
                Some(text) => Part::Text(text),
                None => return wrong(format!("{at}[{i}].text"), "must be a text"),
            },
            "image_url" | "input_image" if may_have_images => {
                let url = part.get("image_url").and_then(|u| u.as_str().or_else(|| u.get("url")?.as_str()));
                match url {
                    Some(url) if url.starts_with("data:") => match Image::from_data_url(url) {
                        Some(image) => Part::Image(image),
                        None => return wrong(format!("{at}[{i}].image_url"), "must be a PNG, JPEG, GIF or WebP in base64"),
                    },
                    Some(url) if url.starts_with("https://") || url.starts_with("http://") => Part::Image(Image::Url(url.to_owned())),
                    _ => return wrong(format!("{at}[{i}].image_url"), "must be an http(s) or data address"),
                }
            }
            "image_url" | "input_image" => return wrong(format!("{at}[{i}].type"), "images stand in messages of the user alone"),
            _ => return wrong(format!("{at}[{i}].type"), "must be text or image_url"),
        });
    }
    Ok(parts)
}
