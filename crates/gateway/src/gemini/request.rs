//! The body of generateContent and streamGenerateContent, as we write it.

use std::collections::HashMap;

use astrolabe_kernel::Error;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::{
    chat::{ChatRequest, Image, Message, Part, ReasoningEffort, ResponseFormat, Role, Tool, ToolCall, ToolChoice, ToolResult},
    error::ModelGatewayError,
};

/// What Google documents for calls that have no signature because another model made them; its third generation refuses them otherwise.
const NO_SIGNATURE: &str = "skip_thought_signature_validator";

/// The body.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Generate<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    system_instruction: Option<Content<'a>>,
    contents: Vec<Content<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tools: Option<[Tools<'a>; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_config: Option<Value>,
    generation_config: Config<'a>,
}

#[derive(Debug, Serialize)]
struct Content<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    role: &'static str,
    parts: Vec<WirePart<'a>>,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct WirePart<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    inline_data: Option<Blob<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    function_call: Option<FunctionCall<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thought_signature: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    function_response: Option<FunctionResponse<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Blob<'a> {
    mime_type: &'static str,
    data: &'a str,
}

#[derive(Debug, Serialize)]
struct FunctionCall<'a> {
    id: &'a str,
    name: &'a str,
    args: Value,
}

#[derive(Debug, Serialize)]
struct FunctionResponse<'a> {
    id: &'a str,
    name: &'a str,
    response: Map<String, Value>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Tools<'a> {
    function_declarations: Vec<Declaration<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Declaration<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    description: &'a str,
    /// Takes JSON Schema as it is, where `parameters` takes a dialect of OpenAPI.
    parameters_json_schema: &'a Value,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Config<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    max_output_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    frequency_penalty: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    presence_penalty: Option<f32>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    stop_sequences: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_mime_type: Option<&'static str>,
    /// Takes JSON Schema as it is, where `responseSchema` takes a dialect of OpenAPI.
    #[serde(skip_serializing_if = "Option::is_none")]
    response_json_schema: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking_config: Option<Thinking>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Thinking {
    thinking_budget: u32,
}

impl<'a> Generate<'a> {
    /// The body for a request to a model.
    ///
    /// # Errors
    /// `Invalid` for a picture by address, which this API does not fetch.
    pub(super) fn new(model: &str, request: &'a ChatRequest) -> Result<Self, ModelGatewayError> {
        let signature = model.contains("gemini-3").then_some(NO_SIGNATURE);
        // A result names its tool there, and ours names its call alone.
        let names: HashMap<&str, &str> = request.messages.iter().flat_map(calls).map(|c| (c.id.as_str(), c.name.as_str())).collect();
        let (mut system, mut contents) = (Vec::new(), Vec::new());
        for message in &request.messages {
            let parts = message.content.iter().map(|p| part(p, &names, signature)).collect::<Result<Vec<_>, _>>()?;
            match message.role {
                Role::System => system.extend(parts),
                Role::User => contents.push(Content { role: "user", parts }),
                Role::Assistant => contents.push(Content { role: "model", parts }),
            }
        }
        Ok(Self {
            system_instruction: (!system.is_empty()).then_some(Content { role: "", parts: system }),
            contents,
            tools: (!request.tools.is_empty()).then(|| [Tools { function_declarations: request.tools.iter().map(declaration).collect() }]),
            tool_config: (!request.tools.is_empty()).then(|| tool_config(&request.tool_choice)).flatten(),
            generation_config: config(request),
        })
    }
}

fn calls(message: &Message) -> impl Iterator<Item = &ToolCall> {
    message.content.iter().filter_map(|p| if let Part::ToolCall(call) = p { Some(call) } else { None })
}

fn part<'a>(part: &'a Part, names: &HashMap<&str, &'a str>, unsigned: Option<&'a str>) -> Result<WirePart<'a>, ModelGatewayError> {
    let empty = WirePart::default();
    Ok(match part {
        Part::Text(text) => WirePart { text: Some(text), ..empty },
        Part::Image(Image::Inline { kind, base64 }) => {
            WirePart { inline_data: Some(Blob { mime_type: kind.media_type(), data: base64 }), ..empty }
        }
        Part::Image(Image::Url(_)) => {
            return Err(ModelGatewayError::Invalid(Error::field("messages", "this model takes pictures as data: addresses alone")));
        }
        Part::ToolCall(call) => {
            let args = serde_json::from_str(&call.arguments).unwrap_or_else(|_| json!({}));
            let function_call = Some(FunctionCall { id: &call.id, name: &call.name, args });
            WirePart { function_call, thought_signature: call.signature.as_deref().or(unsigned), ..empty }
        }
        Part::ToolResult(result) => {
            let name = names.get(result.call_id.as_str()).copied().unwrap_or_default();
            WirePart { function_response: Some(FunctionResponse { id: &result.call_id, name, response: response(result) }), ..empty }
        }
    })
}

/// A result as an object: as it is when it is one, else under the key that the API documents.
fn response(result: &ToolResult) -> Map<String, Value> {
    if result.is_error {
        return Map::from_iter([("error".to_owned(), Value::String(result.content.clone()))]);
    }
    match serde_json::from_str(&result.content) {
        Ok(Value::Object(object)) => object,
        _ => Map::from_iter([("output".to_owned(), Value::String(result.content.clone()))]),
    }
}

fn declaration(tool: &Tool) -> Declaration<'_> {
    Declaration { name: &tool.name, description: &tool.description, parameters_json_schema: &tool.parameters }
}

fn tool_config(choice: &ToolChoice) -> Option<Value> {
    let config = match choice {
        ToolChoice::Auto => return None,
        ToolChoice::None => json!({"mode": "NONE"}),
        ToolChoice::Required => json!({"mode": "ANY"}),
        ToolChoice::Tool(name) => json!({"mode": "ANY", "allowedFunctionNames": [name]}),
    };
    Some(json!({"functionCallingConfig": config}))
}

fn config(request: &ChatRequest) -> Config<'_> {
    let (response_mime_type, response_json_schema) = match &request.response_format {
        ResponseFormat::Text => (None, None),
        ResponseFormat::JsonObject => (Some("application/json"), None),
        ResponseFormat::JsonSchema { schema, .. } => (Some("application/json"), Some(schema)),
    };
    Config {
        max_output_tokens: request.max_tokens,
        temperature: request.temperature,
        top_p: request.top_p,
        frequency_penalty: request.frequency_penalty,
        presence_penalty: request.presence_penalty,
        stop_sequences: &request.stop,
        // The API takes 32 bits; the same seed gives the same number.
        seed: request.seed.map(|seed| i32::try_from(seed & 0x7fff_ffff).unwrap_or_default()),
        response_mime_type,
        response_json_schema,
        // As Google's own OpenAI-compatible address translates the words.
        thinking_config: request.reasoning_effort.map(|effort| Thinking {
            thinking_budget: match effort {
                ReasoningEffort::Minimal | ReasoningEffort::Low => 1024,
                ReasoningEffort::Medium => 8192,
                ReasoningEffort::High => 24576,
            },
        }),
    }
}

/// The body of batchEmbedContents.
pub(super) fn embed(model: &str, inputs: &[String], dimensions: Option<u32>) -> Value {
    let request = |text: &String| {
        let mut request = json!({"model": format!("models/{model}"), "content": {"parts": [{"text": text}]}});
        if let Some(dimensions) = dimensions {
            request["outputDimensionality"] = dimensions.into();
        }
        request
    };
    json!({"requests": inputs.iter().map(request).collect::<Vec<_>>()})
}

/// The model without the folder that Google's lists show it in.
pub(super) fn bare(model: &str) -> &str {
    model.strip_prefix("models/").unwrap_or(model)
}
