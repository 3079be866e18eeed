//! The body of `POST /chat/completions`, as we write it.

use serde::Serialize;
use serde_json::Value;

use crate::chat::{ChatRequest, Image, Message, Part, ReasoningEffort, ResponseFormat, Role, Tool, ToolCall, ToolChoice};

/// The body.
#[derive(Debug, Serialize)]
pub(crate) struct CompletionRequest<'a> {
    model: &'a str,
    messages: Vec<WireMessage<'a>>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_options: Option<StreamOptions>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    frequency_penalty: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    presence_penalty: Option<f32>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    stop: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_effort: Option<ReasoningEffort>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<WireTool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<WireChoice<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parallel_tool_calls: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_format: Option<WireFormat<'a>>,
}

#[derive(Debug, Serialize)]
struct StreamOptions {
    include_usage: bool,
}

#[derive(Debug, Serialize)]
struct WireMessage<'a> {
    role: &'static str,
    content: Option<Content<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<WireCall<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_call_id: Option<&'a str>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Content<'a> {
    Text(&'a str),
    Parts(Vec<WirePart<'a>>),
}

#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum WirePart<'a> {
    Text { text: &'a str },
    ImageUrl { image_url: ImageUrl },
}

#[derive(Debug, Serialize)]
struct ImageUrl {
    url: String,
}

#[derive(Debug, Serialize)]
struct WireCall<'a> {
    id: &'a str,
    r#type: &'static str,
    function: WireFunction<'a>,
}

#[derive(Debug, Serialize)]
struct WireFunction<'a> {
    name: &'a str,
    arguments: &'a str,
}

#[derive(Debug, Serialize)]
struct WireTool<'a> {
    r#type: &'static str,
    function: Declaration<'a>,
}

#[derive(Debug, Serialize)]
struct Declaration<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    description: &'a str,
    parameters: &'a Value,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    strict: bool,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum WireChoice<'a> {
    Word(&'static str),
    Tool { r#type: &'static str, function: Name<'a> },
}

#[derive(Debug, Serialize)]
struct Name<'a> {
    name: &'a str,
}

#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum WireFormat<'a> {
    JsonObject,
    JsonSchema { json_schema: WireSchema<'a> },
}

#[derive(Debug, Serialize)]
struct WireSchema<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    schema: &'a Value,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    strict: bool,
}

impl<'a> CompletionRequest<'a> {
    /// The body for a request. `is_openai` writes the limit of tokens as OpenAI's own models want it.
    pub(crate) fn new(model: &'a str, request: &'a ChatRequest, stream: bool, is_openai: bool) -> Self {
        let has_tools = !request.tools.is_empty();
        Self {
            model,
            messages: request.messages.iter().flat_map(messages_of).collect(),
            stream,
            stream_options: stream.then_some(StreamOptions { include_usage: true }),
            max_tokens: request.max_tokens.filter(|_| !is_openai),
            max_completion_tokens: request.max_tokens.filter(|_| is_openai),
            temperature: request.temperature,
            top_p: request.top_p,
            frequency_penalty: request.frequency_penalty,
            presence_penalty: request.presence_penalty,
            stop: &request.stop,
            seed: request.seed,
            reasoning_effort: request.reasoning_effort,
            user: request.user.as_deref(),
            tools: request.tools.iter().map(tool_of).collect(),
            tool_choice: has_tools.then(|| choice_of(&request.tool_choice)).flatten(),
            parallel_tool_calls: request.parallel_tool_calls.filter(|_| has_tools),
            response_format: format_of(&request.response_format),
        }
    }
}

/// The messages of one of ours: each result of a tool is a message of its own there.
fn messages_of(message: &Message) -> impl Iterator<Item = WireMessage<'_>> {
    let results = message.content.iter().filter_map(|part| match part {
        // The format has no mark for a failure; the text says it.
        Part::ToolResult(result) => Some(WireMessage {
            role: "tool",
            content: Some(Content::Text(&result.content)),
            tool_calls: Vec::new(),
            tool_call_id: Some(&result.call_id),
        }),
        _ => None,
    });
    let role = match message.role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
    };
    let tool_calls: Vec<_> =
        message.content.iter().filter_map(|p| if let Part::ToolCall(call) = p { Some(call_of(call)) } else { None }).collect();
    let content = content_of(message);
    let rest = (content.is_some() || !tool_calls.is_empty()).then_some(WireMessage { role, content, tool_calls, tool_call_id: None });
    results.chain(rest)
}

/// Text alone goes as a string: not every server knows parts.
fn content_of(message: &Message) -> Option<Content<'_>> {
    let mut parts: Vec<WirePart<'_>> = message
        .content
        .iter()
        .filter_map(|part| match part {
            Part::Text(text) => Some(WirePart::Text { text }),
            Part::Image(Image::Url(url)) => Some(WirePart::ImageUrl { image_url: ImageUrl { url: url.clone() } }),
            Part::Image(Image::Inline { kind, base64 }) => {
                Some(WirePart::ImageUrl { image_url: ImageUrl { url: format!("data:{};base64,{base64}", kind.media_type()) } })
            }
            Part::ToolCall(_) | Part::ToolResult(_) => None,
        })
        .collect();
    match (parts.len(), parts.pop()) {
        (_, None) => None,
        (1, Some(WirePart::Text { text })) => Some(Content::Text(text)),
        (_, Some(last)) => {
            parts.push(last);
            Some(Content::Parts(parts))
        }
    }
}

fn call_of(call: &ToolCall) -> WireCall<'_> {
    WireCall { id: &call.id, r#type: "function", function: WireFunction { name: &call.name, arguments: &call.arguments } }
}

fn tool_of(tool: &Tool) -> WireTool<'_> {
    let function = Declaration { name: &tool.name, description: &tool.description, parameters: &tool.parameters, strict: tool.strict };
    WireTool { r#type: "function", function }
}

fn choice_of(choice: &ToolChoice) -> Option<WireChoice<'_>> {
    match choice {
        ToolChoice::Auto => None,
        ToolChoice::None => Some(WireChoice::Word("none")),
        ToolChoice::Required => Some(WireChoice::Word("required")),
        ToolChoice::Tool(name) => Some(WireChoice::Tool { r#type: "function", function: Name { name } }),
    }
}

fn format_of(format: &ResponseFormat) -> Option<WireFormat<'_>> {
    match format {
        ResponseFormat::Text => None,
        ResponseFormat::JsonObject => Some(WireFormat::JsonObject),
        ResponseFormat::JsonSchema { name, description, schema, strict } => {
            let json_schema = WireSchema { name, description: description.as_deref(), schema, strict: *strict };
            Some(WireFormat::JsonSchema { json_schema })
        }
    }
}
