//! Gemini's side of its format: `POST /v1beta/models/{model}:generateContent`, `…:streamGenerateContent` and `…:batchEmbedContents`.
//!
//! Names of fields come in camel case or as the API's definition has them (`mime_type`): the API reads both, and Google's SDK writes both.

use std::collections::VecDeque;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    asked::{Asked, fields, shape},
    openai::{comment, sse},
    plan::{Answer, Wire},
    rules::Behaviour,
};
use crate::chat::{Image, ImageKind, Message, Part, Role, ToolCall, ToolResult};

/// The format.
#[derive(Debug)]
pub struct GeminiWire;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Request {
    contents: Vec<Content>,
    #[serde(default, alias = "system_instruction")]
    system_instruction: Option<Content>,
    #[serde(default)]
    tools: Vec<Tools>,
    #[serde(default, alias = "tool_config")]
    tool_config: Option<ToolConfig>,
    #[serde(default, alias = "generation_config")]
    generation_config: Option<Config>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    #[serde(default)]
    role: Option<String>,
    parts: Vec<WirePart>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct WirePart {
    #[serde(default)]
    text: Option<String>,
    #[serde(default, alias = "inline_data")]
    inline_data: Option<Blob>,
    #[serde(default, alias = "function_call")]
    function_call: Option<Call>,
    #[serde(default, alias = "function_response")]
    function_response: Option<Response>,
    #[serde(default, alias = "thought_signature")]
    thought_signature: Option<String>,
    #[serde(default)]
    thought: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Blob {
    #[serde(alias = "mime_type")]
    mime_type: String,
    data: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Call {
    #[serde(default)]
    id: Option<String>,
    name: String,
    #[serde(default)]
    args: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Response {
    #[serde(default)]
    id: Option<String>,
    name: String,
    response: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Tools {
    #[serde(alias = "function_declarations")]
    function_declarations: Vec<Declaration>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Declaration {
    name: String,
    #[serde(default, rename = "description")]
    _description: Option<String>,
    #[serde(default, rename = "parameters")]
    _parameters: Option<Map<String, Value>>,
    #[serde(default, rename = "parametersJsonSchema", alias = "parameters_json_schema")]
    _parameters_json_schema: Option<Map<String, Value>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ToolConfig {
    #[serde(alias = "function_calling_config")]
    function_calling_config: Calling,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Calling {
    mode: Mode,
    #[serde(default, alias = "allowed_function_names")]
    allowed_function_names: Vec<String>,
}

#[derive(PartialEq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum Mode {
    Auto,
    Any,
    None,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Config {
    #[serde(default, rename = "maxOutputTokens", alias = "max_output_tokens")]
    _max_output_tokens: Option<u32>,
    #[serde(default, rename = "temperature")]
    _temperature: Option<f32>,
    #[serde(default, rename = "topP", alias = "top_p")]
    _top_p: Option<f32>,
    #[serde(default, rename = "frequencyPenalty", alias = "frequency_penalty")]
    _frequency_penalty: Option<f32>,
    #[serde(default, rename = "presencePenalty", alias = "presence_penalty")]
    _presence_penalty: Option<f32>,
    #[serde(default, rename = "stopSequences", alias = "stop_sequences")]
    _stop_sequences: Option<Vec<String>>,
    #[serde(default, rename = "seed")]
    _seed: Option<i32>,
    #[serde(default, alias = "response_mime_type")]
    response_mime_type: Option<String>,
    #[serde(default, alias = "response_schema")]
    response_schema: Option<Map<String, Value>>,
    #[serde(default, alias = "response_json_schema")]
    response_json_schema: Option<Map<String, Value>>,
    #[serde(default, rename = "thinkingConfig", alias = "thinking_config")]
    _thinking_config: Option<Value>,
}

impl Wire for GeminiWire {
    fn parse(&self, body: &Value) -> Result<Asked, String> {
        let request: Request = shape(body)?;
        if let Some(config) = &request.generation_config {
            let has_schema = config.response_schema.is_some() || config.response_json_schema.is_some();
            if has_schema && config.response_mime_type.as_deref() != Some("application/json") {
                return Err("generationConfig: a schema needs responseMimeType application/json".to_owned());
            }
        }
        let mut messages = Vec::new();
        let mut calls = Calls::default();
        if let Some(system) = request.system_instruction {
            messages.push(Message { role: Role::System, content: calls.parts(system.parts)? });
        }
        for content in request.contents {
            let role = match content.role.as_deref() {
                None | Some("user" | "function") => Role::User,
                Some("model") => Role::Assistant,
                Some(_) => return Err("Please use a valid role: user, model.".to_owned()),
            };
            if content.parts.is_empty() {
                return Err("contents: must have parts".to_owned());
            }
            messages.push(Message { role, content: calls.parts(content.parts)? });
        }
        let tools: Vec<String> = request.tools.into_iter().flat_map(|t| t.function_declarations).map(|d| d.name).collect();
        let calling = request.tool_config.map(|c| c.function_calling_config);
        let forced = match calling {
            Some(Calling { mode: Mode::Any, allowed_function_names }) => match allowed_function_names.as_slice() {
                [one] if tools.contains(one) => Some(one.clone()),
                names if names.iter().all(|n| tools.contains(n)) => None,
                _ => return Err("toolConfig: allowedFunctionNames names no tool of the request".to_owned()),
            },
            _ => None,
        };
        Ok(Asked { messages, include_usage: true, tools, forced, fields: fields(body), ..Asked::default() })
    }

    fn stream_type(&self) -> &'static str {
        "text/event-stream"
    }

    fn begin(&self, _: &Answer<'_>, _: &Behaviour) -> Vec<Bytes> {
        Vec::new()
    }

    fn text(&self, answer: &Answer<'_>, behaviour: &Behaviour, piece: &str) -> Bytes {
        event(&body(answer, vec![json!({"text": piece})], Value::Null), behaviour)
    }

    fn call(&self, answer: &Answer<'_>, behaviour: &Behaviour, index: usize) -> Vec<Bytes> {
        vec![event(&body(answer, vec![call(answer, index)], Value::Null), behaviour)]
    }

    fn end(&self, answer: &Answer<'_>, behaviour: &Behaviour) -> Vec<Bytes> {
        let mut last = body(answer, vec![json!({"text": ""})], finish(answer, behaviour).into());
        if !behaviour.no_usage {
            last["usageMetadata"] = usage(answer);
        }
        vec![event(&last, behaviour)]
    }

    fn event(&self, data: &[u8], behaviour: &Behaviour) -> Bytes {
        sse(data, behaviour)
    }

    fn error_event(&self, behaviour: &Behaviour) -> Bytes {
        event(&self.error(503, "the script says so"), behaviour)
    }

    fn comment(&self, behaviour: &Behaviour) -> Option<Bytes> {
        Some(comment(behaviour))
    }

    fn whole(&self, answer: &Answer<'_>, behaviour: &Behaviour) -> Value {
        let mut parts = Vec::new();
        if !answer.text.is_empty() || answer.calls.is_empty() {
            parts.push(json!({"text": answer.text}));
        }
        parts.extend((0..answer.calls.len()).map(|index| call(answer, index)));
        let mut whole = body(answer, parts, finish(answer, behaviour).into());
        if !behaviour.no_usage {
            whole["usageMetadata"] = usage(answer);
        }
        whole
    }

    fn error(&self, status: u16, message: &str) -> Value {
        let name = match status {
            400 => "INVALID_ARGUMENT",
            401 => "UNAUTHENTICATED",
            403 => "PERMISSION_DENIED",
            404 => "NOT_FOUND",
            429 => "RESOURCE_EXHAUSTED",
            503 => "UNAVAILABLE",
            504 => "DEADLINE_EXCEEDED",
            _ => "INTERNAL",
        };
        json!({"error": {"code": status, "message": message, "status": name}})
    }
}

/// The calls of a conversation that wait for their results: without ids they are joined by name and order.
#[derive(Default)]
struct Calls {
    open: VecDeque<(String, String)>,
    made: usize,
}

impl Calls {
    fn parts(&mut self, parts: Vec<WirePart>) -> Result<Vec<Part>, String> {
        parts.into_iter().filter(|p| p.thought != Some(true)).map(|p| self.part(p)).collect()
    }

    fn part(&mut self, part: WirePart) -> Result<Part, String> {
        Ok(match part {
            WirePart { text: Some(text), .. } => Part::Text(text),
            WirePart { inline_data: Some(blob), .. } => {
                let kind = ImageKind::from_media_type(&blob.mime_type).ok_or("inlineData: unsupported mimeType")?;
                Part::Image(Image::Inline { kind, base64: blob.data })
            }
            WirePart { function_call: Some(call), thought_signature, .. } => {
                self.made += 1;
                let id = call.id.unwrap_or_else(|| format!("call-{}", self.made));
                self.open.push_back((id.clone(), call.name.clone()));
                Part::ToolCall(ToolCall {
                    id,
                    name: call.name,
                    arguments: Value::Object(call.args).to_string(),
                    signature: thought_signature,
                })
            }
            WirePart { function_response: Some(result), .. } => {
                let fits = |(id, name): &(String, String)| *name == result.name && result.id.as_ref().is_none_or(|r| r == id);
                let at = self.open.iter().position(fits).ok_or("a function response answers no function call")?;
                let (call_id, _) = self.open.remove(at).unwrap_or_default();
                let output = result.response.get("output").or_else(|| result.response.get("error")).and_then(Value::as_str);
                let is_error = result.response.contains_key("error");
                let content = output.map_or_else(|| Value::Object(result.response.clone()).to_string(), str::to_owned);
                Part::ToolResult(ToolResult { call_id, content, is_error })
            }
            WirePart { .. } => return Err("contents.parts: must have one initialized field".to_owned()),
        })
    }
}

fn event(body: &Value, behaviour: &Behaviour) -> Bytes {
    sse(body.to_string().as_bytes(), behaviour)
}

fn body(answer: &Answer<'_>, parts: Vec<Value>, finish: Value) -> Value {
    let mut candidate = json!({"content": {"role": "model", "parts": parts}, "index": 0});
    if !finish.is_null() {
        candidate["finishReason"] = finish;
    }
    json!({"candidates": [candidate], "modelVersion": answer.model, "responseId": answer.number.to_string()})
}

fn call(answer: &Answer<'_>, index: usize) -> Value {
    let (name, arguments) = &answer.calls[index];
    let args: Value = serde_json::from_str(arguments).unwrap_or_default();
    json!({"functionCall": {"id": answer.call_id(index), "name": name, "args": args}, "thoughtSignature": "c2lnbmF0dXJl"})
}

fn finish(answer: &Answer<'_>, behaviour: &Behaviour) -> &'static str {
    match answer.finish(behaviour) {
        "length" => "MAX_TOKENS",
        "content_filter" => "SAFETY",
        _ => "STOP",
    }
}

fn usage(answer: &Answer<'_>) -> Value {
    let usage = answer.usage;
    let (cached, thoughts) = (usage.prompt_tokens_details.cached_tokens, usage.completion_tokens_details.reasoning_tokens);
    json!({
        // Thoughts are counted apart there.
        "promptTokenCount": usage.prompt_tokens, "candidatesTokenCount": usage.completion_tokens.saturating_sub(thoughts),
        "thoughtsTokenCount": thoughts, "cachedContentTokenCount": cached,
        "totalTokenCount": usage.prompt_tokens + usage.completion_tokens,
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Batch {
    requests: Vec<One>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct One {
    #[serde(rename = "model")]
    _model: String,
    content: Content,
    #[serde(default, alias = "output_dimensionality")]
    output_dimensionality: Option<usize>,
    #[serde(default, rename = "taskType", alias = "task_type")]
    _task_type: Option<String>,
}

/// The answer of `batchEmbedContents`.
///
/// # Errors
/// What is wrong with the request, in words.
pub(super) fn embeddings(body: &Value) -> Result<Value, String> {
    let request: Batch = shape(body)?;
    if request.requests.len() > 100 {
        return Err("BatchEmbedContentsRequest.requests: at most 100 requests can be in one batch".to_owned());
    }
    let embedding = |one: One| {
        let text: Vec<String> = one.content.parts.into_iter().filter_map(|p| p.text).collect();
        json!({"values": super::plan::vector(&text.join(" "), one.output_dimensionality)})
    };
    Ok(json!({"embeddings": request.requests.into_iter().map(embedding).collect::<Vec<_>>()}))
}
