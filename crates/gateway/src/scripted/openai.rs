//! OpenAI's side of its format: `GET /v1/models`, `POST /v1/chat/completions`, `POST /v1/embeddings`.

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    asked::{Asked, fields, shape},
    plan::{Answer, Wire},
    rules::Behaviour,
};
use crate::{
    chat::{Image, Message, Part, Role, ToolCall, ToolResult},
    openai::wire::WireUsage,
};

/// The format.
#[derive(Debug)]
pub struct OpenAiWire;

#[derive(Deserialize)]
struct Request {
    #[serde(default)]
    model: String,
    messages: Vec<Said>,
    #[serde(default)]
    stream: bool,
    #[serde(default)]
    stream_options: Option<Options>,
    #[serde(default)]
    tools: Vec<Tool>,
    #[serde(default)]
    tool_choice: Option<Choice>,
    #[serde(default)]
    response_format: Option<Format>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    #[serde(default)]
    include_usage: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    role: Speaker,
    #[serde(default)]
    content: Option<Content>,
    #[serde(default)]
    tool_calls: Option<Vec<Call>>,
    #[serde(default)]
    tool_call_id: Option<String>,
    #[serde(default, rename = "name")]
    _name: Option<String>,
    #[serde(default, rename = "refusal")]
    _refusal: Option<String>,
    #[serde(default, rename = "annotations")]
    _annotations: Option<Value>,
    #[serde(default, rename = "audio")]
    _audio: Option<Value>,
    #[serde(default, rename = "function_call")]
    _function_call: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Speaker {
    System,
    Developer,
    User,
    Assistant,
    Tool,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Parts(Vec<ContentPart>),
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
enum ContentPart {
    Text { text: String },
    ImageUrl { image_url: ImageUrl },
}

#[derive(Deserialize)]
struct ImageUrl {
    url: String,
}

#[derive(Deserialize)]
struct Call {
    id: String,
    function: Function,
}

#[derive(Deserialize)]
struct Function {
    name: String,
    #[serde(default)]
    arguments: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tool {
    r#type: String,
    function: Declaration,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Declaration {
    name: String,
    #[serde(default, rename = "description")]
    _description: Option<String>,
    #[serde(default)]
    parameters: Value,
    #[serde(default, rename = "strict")]
    _strict: Option<bool>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Choice {
    Word(String),
    Tool { function: Name },
}

#[derive(Deserialize)]
struct Name {
    name: String,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
enum Format {
    Text,
    JsonObject,
    JsonSchema { json_schema: Schema },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Schema {
    name: String,
    #[serde(default, rename = "description")]
    _description: Option<String>,
    schema: Value,
    #[serde(default, rename = "strict")]
    _strict: Option<bool>,
}

impl Wire for OpenAiWire {
    fn parse(&self, body: &Value) -> Result<Asked, String> {
        let request: Request = shape(body)?;
        if request.tools.iter().any(|t| t.r#type != "function" || !(t.function.parameters.is_object() || t.function.parameters.is_null())) {
            return Err("tools: the type must be function and parameters a JSON Schema".to_owned());
        }
        if let Some(Format::JsonSchema { json_schema }) = &request.response_format
            && (json_schema.name.is_empty() || !json_schema.schema.is_object())
        {
            return Err("response_format: json_schema needs a name and a schema".to_owned());
        }
        let tools: Vec<String> = request.tools.into_iter().map(|t| t.function.name).collect();
        let forced = match request.tool_choice {
            Some(Choice::Tool { function }) if tools.contains(&function.name) => Some(function.name),
            Some(Choice::Tool { .. }) => return Err("tool_choice: names no tool of the request".to_owned()),
            Some(Choice::Word(word)) if !["auto", "none", "required"].contains(&word.as_str()) => {
                return Err("tool_choice: must be auto, none, required or a tool".to_owned());
            }
            Some(Choice::Word(_)) if tools.is_empty() => return Err("tool_choice: only with tools".to_owned()),
            _ => None,
        };
        Ok(Asked {
            model: request.model,
            messages: request.messages.into_iter().map(message).collect::<Result<_, _>>()?,
            stream: request.stream,
            include_usage: request.stream_options.is_some_and(|o| o.include_usage),
            tools,
            forced,
            fields: fields(body),
        })
    }

    fn stream_type(&self) -> &'static str {
        "text/event-stream"
    }

    fn begin(&self, answer: &Answer<'_>, behaviour: &Behaviour) -> Vec<Bytes> {
        vec![chunk(answer, behaviour, &choice(json!({"role": "assistant", "content": ""}), Value::Null), Value::Null)]
    }

    fn text(&self, answer: &Answer<'_>, behaviour: &Behaviour, piece: &str) -> Bytes {
        chunk(answer, behaviour, &choice(json!({"content": piece}), Value::Null), Value::Null)
    }

    fn call(&self, answer: &Answer<'_>, behaviour: &Behaviour, index: usize) -> Vec<Bytes> {
        let (name, arguments) = &answer.calls[index];
        let first = json!({"index": index, "id": answer.call_id(index), "type": "function", "function": {"name": name, "arguments": ""}});
        let (one, two) = halves(arguments);
        let more = |arguments: &str| json!({"tool_calls": [{"index": index, "function": {"arguments": arguments}}]});
        [json!({"tool_calls": [first]}), more(one), more(two)]
            .into_iter()
            .map(|delta| chunk(answer, behaviour, &choice(delta, Value::Null), Value::Null))
            .collect()
    }

    fn end(&self, answer: &Answer<'_>, behaviour: &Behaviour) -> Vec<Bytes> {
        let mut out = vec![chunk(answer, behaviour, &choice(json!({}), answer.finish(behaviour).into()), Value::Null)];
        if answer.include_usage && !behaviour.no_usage {
            out.push(chunk(answer, behaviour, &json!([]), usage(answer.usage)));
        }
        out.push(event("[DONE]", behaviour));
        out
    }

    fn event(&self, data: &[u8], behaviour: &Behaviour) -> Bytes {
        sse(data, behaviour)
    }

    fn error_event(&self, behaviour: &Behaviour) -> Bytes {
        sse(self.error(500, "the script says so").to_string().as_bytes(), behaviour)
    }

    fn comment(&self, behaviour: &Behaviour) -> Option<Bytes> {
        Some(comment(behaviour))
    }

    fn whole(&self, answer: &Answer<'_>, behaviour: &Behaviour) -> Value {
        let mut message = json!({"role": "assistant", "content": answer.text});
        if !answer.calls.is_empty() {
            let call = |(index, (name, arguments)): (usize, &(String, String))| json!({"id": answer.call_id(index), "type": "function", "function": {"name": name, "arguments": arguments}});
            message["tool_calls"] = answer.calls.iter().enumerate().map(call).collect();
            if answer.text.is_empty() {
                message["content"] = Value::Null;
            }
        }
        let mut body = json!({
            "id": format!("chatcmpl-{}", answer.number), "object": "chat.completion", "created": 0, "model": answer.model,
            "choices": [{"index": 0, "message": message, "finish_reason": answer.finish(behaviour)}],
        });
        if !behaviour.no_usage {
            body["usage"] = usage(answer.usage);
        }
        body
    }

    fn error(&self, status: u16, message: &str) -> Value {
        let kind = match status {
            401 => "authentication_error",
            429 => "rate_limit_error",
            400..=499 => "invalid_request_error",
            _ => "server_error",
        };
        json!({"error": {"message": message, "type": kind, "param": null, "code": null}})
    }
}

fn message(said: Said) -> Result<Message, String> {
    let mut content = match said.content {
        None => Vec::new(),
        Some(Content::Text(text)) => vec![Part::Text(text)],
        Some(Content::Parts(parts)) => parts
            .into_iter()
            .map(|part| match part {
                ContentPart::Text { text } => Part::Text(text),
                ContentPart::ImageUrl { image_url: ImageUrl { url } } => Part::Image(Image::from_data_url(&url).unwrap_or(Image::Url(url))),
            })
            .collect(),
    };
    let role = match said.role {
        Speaker::System | Speaker::Developer => Role::System,
        Speaker::User => Role::User,
        Speaker::Assistant => Role::Assistant,
        Speaker::Tool => {
            let call_id = said.tool_call_id.ok_or("messages: a message of a tool needs tool_call_id")?;
            let text = Message { role: Role::User, content }.text();
            return Ok(Message::tool_results([ToolResult { call_id, content: text, is_error: false }]));
        }
    };
    let calls = said.tool_calls.unwrap_or_default();
    content.extend(
        calls
            .into_iter()
            .map(|c| Part::ToolCall(ToolCall { id: c.id, name: c.function.name, arguments: c.function.arguments, signature: None })),
    );
    Ok(Message { role, content })
}

fn choice(delta: Value, finish: Value) -> Value {
    json!([{"index": 0, "delta": delta, "finish_reason": finish}])
}

fn chunk(answer: &Answer<'_>, behaviour: &Behaviour, choices: &Value, usage: Value) -> Bytes {
    let mut body = json!({
        "id": format!("chatcmpl-{}", answer.number), "object": "chat.completion.chunk", "created": 0, "model": answer.model, "choices": choices,
    });
    if !usage.is_null() {
        body["usage"] = usage;
    }
    event(&body.to_string(), behaviour)
}

fn event(data: &str, behaviour: &Behaviour) -> Bytes {
    sse(data.as_bytes(), behaviour)
}

fn line_end(behaviour: &Behaviour) -> &'static [u8] {
    if behaviour.crlf { b"\r\n" } else { b"\n" }
}

/// A server-sent event.
pub(super) fn sse(data: &[u8], behaviour: &Behaviour) -> Bytes {
    let end = line_end(behaviour);
    [b"data: ", data, end, end].concat().into()
}

/// A comment of server-sent events.
pub(super) fn comment(behaviour: &Behaviour) -> Bytes {
    let end = line_end(behaviour);
    [b": working", end, end].concat().into()
}

/// A text in two pieces, cut between two characters.
pub(super) fn halves(text: &str) -> (&str, &str) {
    let middle = (text.len() / 2..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
    text.split_at(middle)
}

fn usage(usage: WireUsage) -> Value {
    let mut body = json!(usage);
    body["total_tokens"] = (usage.prompt_tokens + usage.completion_tokens).into();
    body
}

#[derive(Deserialize)]
struct EmbedBody {
    #[serde(default)]
    model: String,
    input: Input,
    #[serde(default)]
    dimensions: Option<usize>,
    #[serde(default)]
    encoding_format: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Input {
    One(String),
    Many(Vec<String>),
}

/// The answer of `POST /v1/embeddings`.
///
/// # Errors
/// What is wrong with the request, in words.
pub(super) fn embeddings(body: &Value) -> Result<Value, String> {
    let request: EmbedBody = shape(body)?;
    let inputs = match request.input {
        Input::One(text) => vec![text],
        Input::Many(texts) => texts,
    };
    if inputs.is_empty() || inputs.iter().any(String::is_empty) {
        return Err("input: must be texts that are not empty".to_owned());
    }
    let tokens: u64 = inputs.iter().map(|t| super::asked::words(t)).sum();
    let as_base64 = request.encoding_format.as_deref() == Some("base64");
    let item = |(index, text): (usize, &String)| {
        let vector = super::plan::vector(text, request.dimensions);
        let embedding =
            if as_base64 { STANDARD.encode(vector.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<_>>()).into() } else { json!(vector) };
        json!({"object": "embedding", "index": index, "embedding": embedding})
    };
    Ok(json!({
        "object": "list", "model": request.model, "data": inputs.iter().enumerate().map(item).collect::<Vec<_>>(),
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }))
}
