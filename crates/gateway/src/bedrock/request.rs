//! The body of Converse and ConverseStream, as we write it.

use std::{borrow::Cow, collections::BTreeSet};

use astrolabe_kernel::Error;
use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    chat::{ChatRequest, Image, ImageKind, Message, Part, ResponseFormat, Role, Tool, ToolChoice},
    error::ModelGatewayError,
};

/// The tool whose arguments are the reply when JSON is wanted: Converse has no other way to ask for it.
pub(super) const JSON_TOOL: &str = "json_reply";

/// The body.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Converse<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    system: Vec<Block<'a>>,
    messages: Vec<WireMessage<'a>>,
    inference_config: Inference<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_config: Option<ToolConfig<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Inference<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f32>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    stop_sequences: &'a [String],
}

#[derive(Debug, Serialize)]
struct WireMessage<'a> {
    role: &'static str,
    content: Vec<Block<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
enum Block<'a> {
    Text(&'a str),
    #[serde(rename_all = "camelCase")]
    Image {
        format: &'static str,
        source: Source<'a>,
    },
    #[serde(rename_all = "camelCase")]
    ToolUse {
        tool_use_id: Cow<'a, str>,
        name: &'a str,
        input: Value,
    },
    #[serde(rename_all = "camelCase")]
    ToolResult {
        tool_use_id: Cow<'a, str>,
        content: [Content<'a>; 1],
        status: &'static str,
    },
}

#[derive(Debug, Serialize)]
struct Source<'a> {
    bytes: &'a str,
}

#[derive(Debug, Serialize)]
struct Content<'a> {
    text: &'a str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ToolConfig<'a> {
    tools: Vec<WireTool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<Value>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct WireTool<'a> {
    tool_spec: ToolSpec<'a>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ToolSpec<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    description: &'a str,
    input_schema: Schema<'a>,
}

#[derive(Debug, Serialize)]
struct Schema<'a> {
    json: Cow<'a, Value>,
}

impl<'a> Converse<'a> {
    /// The body for a request.
    ///
    /// # Errors
    /// `Invalid` for a picture by address, which Converse cannot fetch.
    pub(super) fn new(request: &'a ChatRequest) -> Result<Self, ModelGatewayError> {
        let (mut system, mut messages) = (Vec::new(), Vec::new());
        for message in &request.messages {
            let content = message.content.iter().map(block).collect::<Result<Vec<_>, _>>()?;
            match message.role {
                Role::System => system.extend(content),
                Role::User => messages.push(WireMessage { role: "user", content }),
                Role::Assistant => messages.push(WireMessage { role: "assistant", content }),
            }
        }
        let inference_config = Inference {
            max_tokens: request.max_tokens,
            // Models there go up to 1.
            temperature: request.temperature.map(|t| t.min(1.0)),
            top_p: request.top_p,
            stop_sequences: &request.stop,
        };
        Ok(Self { system, messages, inference_config, tool_config: tool_config(request) })
    }
}

/// Whether the reply comes as arguments of [`JSON_TOOL`].
pub(super) fn wants_json(request: &ChatRequest) -> bool {
    !matches!(request.response_format, ResponseFormat::Text)
}

fn block(part: &Part) -> Result<Block<'_>, ModelGatewayError> {
    Ok(match part {
        Part::Text(text) => Block::Text(text),
        Part::Image(Image::Inline { kind, base64 }) => {
            let format = match kind {
                ImageKind::Png => "png",
                ImageKind::Jpeg => "jpeg",
                ImageKind::Gif => "gif",
                ImageKind::Webp => "webp",
            };
            Block::Image { format, source: Source { bytes: base64 } }
        }
        Part::Image(Image::Url(_)) => {
            return Err(ModelGatewayError::Invalid(Error::field("messages", "this model takes pictures as data: addresses alone")));
        }
        Part::ToolCall(call) => Block::ToolUse {
            tool_use_id: wire_id(&call.id),
            name: &call.name,
            input: serde_json::from_str(&call.arguments).unwrap_or_else(|_| json!({})),
        },
        Part::ToolResult(result) => Block::ToolResult {
            tool_use_id: wire_id(&result.call_id),
            // An empty text is refused.
            content: [Content { text: if result.content.is_empty() { "(nothing)" } else { &result.content } }],
            status: if result.is_error { "error" } else { "success" },
        },
    })
}

/// An id as Converse takes it: 1 to 64 letters, digits, `_` and `-`. Ids of other providers may differ; they are replaced by a digest.
fn wire_id(id: &str) -> Cow<'_, str> {
    if (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-')) {
        return Cow::Borrowed(id);
    }
    let digest = ring::digest::digest(&ring::digest::SHA256, id.as_bytes());
    Cow::Owned(digest.as_ref().iter().take(16).map(|b| format!("{b:02x}")).collect())
}

fn tool_config(request: &ChatRequest) -> Option<ToolConfig<'_>> {
    let mut tools: Vec<WireTool<'_>> = match request.tool_choice {
        // Converse has no word for "none": the tools are left out, as far as the conversation lets us.
        ToolChoice::None => Vec::new(),
        _ => request.tools.iter().map(declared).collect(),
    };
    let own_tools = tools.len();
    // A conversation with calls is refused unless their tools are declared, even when none is offered any more.
    let known: BTreeSet<&str> = tools.iter().map(|t| t.tool_spec.name).collect();
    let mentioned: BTreeSet<&str> = request.messages.iter().flat_map(called).filter(|name| !known.contains(name)).collect();
    for name in mentioned {
        tools.push(match request.tools.iter().find(|t| t.name == name) {
            Some(tool) => declared(tool),
            None => spec(name, "", Cow::Owned(json!({"type": "object"}))),
        });
    }
    let schema = match &request.response_format {
        ResponseFormat::Text => None,
        ResponseFormat::JsonObject => Some((None, Cow::Owned(json!({"type": "object"})))),
        ResponseFormat::JsonSchema { description, schema, .. } => Some((description.as_deref(), Cow::Borrowed(schema))),
    };
    let wants_json = schema.is_some();
    if let Some((description, schema)) = schema {
        tools.push(spec(JSON_TOOL, description.unwrap_or("Gives the final reply. Call it exactly once."), schema));
    }
    let tool_choice = match (&request.tool_choice, wants_json) {
        (ToolChoice::Tool(name), _) if own_tools > 0 => Some(json!({"tool": {"name": name}})),
        (ToolChoice::Required, false) if own_tools > 0 => Some(json!({"any": {}})),
        // Either a tool or the reply.
        (_, true) if own_tools > 0 => Some(json!({"any": {}})),
        (_, true) => Some(json!({"tool": {"name": JSON_TOOL}})),
        (_, false) => None,
    };
    (!tools.is_empty()).then_some(ToolConfig { tools, tool_choice })
}

fn called(message: &Message) -> impl Iterator<Item = &str> {
    message.content.iter().filter_map(|p| if let Part::ToolCall(call) = p { Some(call.name.as_str()) } else { None })
}

fn declared(tool: &Tool) -> WireTool<'_> {
    spec(&tool.name, &tool.description, Cow::Borrowed(&tool.parameters))
}

fn spec<'a>(name: &'a str, description: &'a str, schema: Cow<'a, Value>) -> WireTool<'a> {
    WireTool { tool_spec: ToolSpec { name, description, input_schema: Schema { json: schema } } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_other_providers_are_replaced_in_calls_and_results_alike() {
        assert_eq!(wire_id("tooluse_A-1"), "tooluse_A-1");
        for odd in ["", "a b", "ż", &"x".repeat(65)] {
            let made = wire_id(odd);
            assert_eq!((made.len(), wire_id(odd)), (32, made.clone()));
        }
        assert_ne!(wire_id("a b"), wire_id("a c"));
    }
}
