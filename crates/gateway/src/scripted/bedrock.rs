//! Bedrock's side of its format: `POST /model/{model}/converse`, `…/converse-stream` and `…/invoke` of an embedding model.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    asked::{Asked, fields, shape},
    openai::halves,
    plan::{Answer, Wire},
    rules::Behaviour,
};
use crate::{
    bedrock::frames,
    chat::{Image, ImageKind, Message, Part, Role, ToolCall, ToolResult},
};

/// The format.
#[derive(Debug)]
pub struct BedrockWire;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Request {
    messages: Vec<Said>,
    #[serde(default)]
    system: Vec<Block>,
    #[serde(default, rename = "inferenceConfig")]
    _inference_config: Inference,
    #[serde(default)]
    tool_config: Option<ToolConfig>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Inference {
    #[serde(rename = "maxTokens")]
    _max_tokens: Option<u32>,
    #[serde(rename = "temperature")]
    _temperature: Option<f32>,
    #[serde(rename = "topP")]
    _top_p: Option<f32>,
    #[serde(rename = "stopSequences")]
    _stop_sequences: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    role: Speaker,
    content: Vec<Block>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Speaker {
    User,
    Assistant,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
enum Block {
    Text(String),
    #[serde(rename_all = "camelCase")]
    Image {
        format: String,
        source: Source,
    },
    #[serde(rename_all = "camelCase")]
    ToolUse {
        tool_use_id: String,
        name: String,
        input: Value,
    },
    #[serde(rename_all = "camelCase")]
    ToolResult {
        tool_use_id: String,
        content: Vec<ResultBlock>,
        #[serde(default)]
        status: Option<String>,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Source {
    bytes: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum ResultBlock {
    Text(String),
    Json(Value),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ToolConfig {
    tools: Vec<Tool>,
    #[serde(default)]
    tool_choice: Option<Choice>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Tool {
    tool_spec: Spec,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Spec {
    name: String,
    #[serde(default, rename = "description")]
    _description: Option<String>,
    input_schema: Schema,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Schema {
    json: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
enum Choice {
    Auto {},
    Any {},
    Tool { name: String },
}

impl Wire for BedrockWire {
    fn parse(&self, body: &Value) -> Result<Asked, String> {
        let request: Request = shape(body)?;
        let mut messages = Vec::new();
        if !request.system.is_empty() {
            messages.push(Message { role: Role::System, content: request.system.into_iter().map(part).collect::<Result<_, _>>()? });
        }
        let mut has_tools = false;
        for said in request.messages {
            let role = match said.role {
                Speaker::User => Role::User,
                Speaker::Assistant => Role::Assistant,
            };
            let content = said.content.into_iter().map(part).collect::<Result<Vec<_>, _>>()?;
            has_tools |= content.iter().any(|p| matches!(p, Part::ToolCall(_) | Part::ToolResult(_)));
            if content.is_empty() || messages.last().is_some_and(|last: &Message| last.role == role) {
                return Err("A conversation must alternate between user and assistant roles, without empty messages.".to_owned());
            }
            messages.push(Message { role, content });
        }
        let Some(config) = request.tool_config else {
            if has_tools {
                return Err("The toolConfig field must be defined when using toolUse and toolResult content blocks.".to_owned());
            }
            return Ok(Asked { messages, include_usage: true, fields: fields(body), ..Asked::default() });
        };
        if config.tools.is_empty() || config.tools.iter().any(|t| t.tool_spec.input_schema.json["type"] != "object") {
            return Err("toolConfig: needs tools whose inputSchema is of type object".to_owned());
        }
        let tools: Vec<String> = config.tools.into_iter().map(|t| t.tool_spec.name).collect();
        let forced = match config.tool_choice {
            Some(Choice::Tool { name }) if tools.contains(&name) => Some(name),
            Some(Choice::Tool { .. }) => return Err("toolChoice: names no tool of the request".to_owned()),
            Some(Choice::Any {} | Choice::Auto {}) | None => None,
        };
        Ok(Asked { messages, include_usage: true, tools, forced, fields: fields(body), ..Asked::default() })
    }

    fn stream_type(&self) -> &'static str {
        crate::bedrock::STREAM
    }

    fn begin(&self, _: &Answer<'_>, _: &Behaviour) -> Vec<Bytes> {
        vec![frame("messageStart", &json!({"role": "assistant"}))]
    }

    fn text(&self, _: &Answer<'_>, _: &Behaviour, piece: &str) -> Bytes {
        frame("contentBlockDelta", &json!({"contentBlockIndex": 0, "delta": {"text": piece}, "p": "abc"}))
    }

    fn call(&self, answer: &Answer<'_>, _: &Behaviour, index: usize) -> Vec<Bytes> {
        let (name, arguments) = &answer.calls[index];
        let block = index + 1;
        let delta = |input: &str| json!({"contentBlockIndex": block, "delta": {"toolUse": {"input": input}}});
        let (one, two) = halves(arguments);
        let start = json!({"contentBlockIndex": block, "start": {"toolUse": {"toolUseId": answer.call_id(index), "name": name}}});
        vec![
            frame("contentBlockStart", &start),
            frame("contentBlockDelta", &delta(one)),
            frame("contentBlockDelta", &delta(two)),
            frame("contentBlockStop", &json!({"contentBlockIndex": block})),
        ]
    }

    fn end(&self, answer: &Answer<'_>, behaviour: &Behaviour) -> Vec<Bytes> {
        let mut out = vec![
            frame("contentBlockStop", &json!({"contentBlockIndex": 0})),
            frame("messageStop", &json!({"stopReason": stop_reason(answer, behaviour)})),
        ];
        if !behaviour.no_usage {
            out.push(frame("metadata", &json!({"usage": usage(answer), "metrics": {"latencyMs": 1}})));
        }
        out
    }

    fn event(&self, data: &[u8], _: &Behaviour) -> Bytes {
        write("event", "contentBlockDelta", data)
    }

    fn error_event(&self, _: &Behaviour) -> Bytes {
        let payload = json!({"message": "the script says so"}).to_string();
        frames::write(
            &[(":exception-type", "modelStreamErrorException"), (":content-type", "application/json"), (":message-type", "exception")],
            payload.as_bytes(),
        )
        .into()
    }

    fn comment(&self, _: &Behaviour) -> Option<Bytes> {
        None
    }

    fn whole(&self, answer: &Answer<'_>, behaviour: &Behaviour) -> Value {
        let mut content = Vec::new();
        if !answer.text.is_empty() || answer.calls.is_empty() {
            content.push(json!({"text": answer.text}));
        }
        content.extend(answer.calls.iter().enumerate().map(|(index, (name, arguments))| {
            let input: Value = serde_json::from_str(arguments).unwrap_or_default();
            json!({"toolUse": {"toolUseId": answer.call_id(index), "name": name, "input": input}})
        }));
        let mut body = json!({
            "output": {"message": {"role": "assistant", "content": content}}, "stopReason": stop_reason(answer, behaviour),
            "metrics": {"latencyMs": 1},
        });
        if !behaviour.no_usage {
            body["usage"] = usage(answer);
        }
        body
    }

    fn error(&self, _: u16, message: &str) -> Value {
        json!({"message": message})
    }

    fn error_name(&self, status: u16) -> Option<&'static str> {
        Some(match status {
            401 | 403 => "AccessDeniedException",
            404 => "ResourceNotFoundException",
            408 => "ModelTimeoutException",
            429 => "ThrottlingException",
            400..=499 => "ValidationException",
            503 => "ServiceUnavailableException",
            _ => "InternalServerException",
        })
    }
}

fn part(block: Block) -> Result<Part, String> {
    Ok(match block {
        Block::Text(text) if text.is_empty() => return Err("The text field in the ContentBlock object is blank.".to_owned()),
        Block::Text(text) => Part::Text(text),
        Block::Image { format, source } => {
            let kind = ImageKind::from_media_type(&format!("image/{format}")).ok_or("image: unknown format")?;
            Part::Image(Image::Inline { kind, base64: source.bytes })
        }
        Block::ToolUse { tool_use_id, name, input } => {
            if !input.is_object() || !is_id(&tool_use_id) {
                return Err("toolUse: input must be an object and toolUseId made of letters, digits, _ and -".to_owned());
            }
            Part::ToolCall(ToolCall { id: tool_use_id, name, arguments: input.to_string(), signature: None })
        }
        Block::ToolResult { tool_use_id, content, status } => {
            let text = |block: ResultBlock| match block {
                ResultBlock::Text(text) => text,
                ResultBlock::Json(json) => json.to_string(),
            };
            let content: Vec<String> = content.into_iter().map(text).collect();
            let is_error = status.as_deref() == Some("error");
            Part::ToolResult(ToolResult { call_id: tool_use_id, content: content.join("\n\n"), is_error })
        }
    })
}

fn is_id(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}

fn frame(kind: &str, payload: &Value) -> Bytes {
    write("event", kind, payload.to_string().as_bytes())
}

fn write(message: &str, kind: &str, payload: &[u8]) -> Bytes {
    frames::write(&[(":event-type", kind), (":content-type", "application/json"), (":message-type", message)], payload).into()
}

fn stop_reason(answer: &Answer<'_>, behaviour: &Behaviour) -> &'static str {
    match answer.finish(behaviour) {
        "length" => "max_tokens",
        "tool_calls" => "tool_use",
        "content_filter" => "content_filtered",
        _ => "end_turn",
    }
}

fn usage(answer: &Answer<'_>) -> Value {
    let (usage, cached) = (answer.usage, answer.usage.prompt_tokens_details.cached_tokens);
    // What was cached is counted apart there.
    let read = usage.prompt_tokens.saturating_sub(cached);
    json!({
        "inputTokens": read, "outputTokens": usage.completion_tokens, "totalTokens": usage.prompt_tokens + usage.completion_tokens,
        "cacheReadInputTokens": cached, "cacheWriteInputTokens": 0,
    })
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Invoke {
    Titan(Titan),
    Cohere(Cohere),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Titan {
    input_text: String,
    #[serde(default)]
    dimensions: Option<usize>,
    #[serde(default, rename = "normalize")]
    _normalize: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cohere {
    texts: Vec<String>,
    #[serde(rename = "input_type")]
    _input_type: String,
    #[serde(default, rename = "truncate")]
    _truncate: Option<String>,
}

/// The answer of `POST /model/{model}/invoke`.
///
/// # Errors
/// What is wrong with the request, in words.
pub(super) fn invoke(body: &Value) -> Result<Value, String> {
    Ok(match shape(body)? {
        Invoke::Titan(request) => {
            let vector = super::plan::vector(&request.input_text, request.dimensions);
            json!({"embedding": vector, "inputTextTokenCount": super::asked::words(&request.input_text)})
        }
        Invoke::Cohere(request) => {
            let vectors: Vec<_> = request.texts.iter().map(|text| super::plan::vector(text, None)).collect();
            json!({"embeddings": vectors, "id": "1", "response_type": "embeddings_floats", "texts": request.texts})
        }
    })
}
