//! The words of a conversation with a model: what is asked, what comes back, and what it cost. They are our own; each provider's
//! adapter says them in its wire format. [`crate::conversation`] has the rules that a conversation keeps.

use astrolabe_kernel::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Who says a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// We, to the model: what it is to do.
    System,
    /// The person, or we on the person's behalf; results of tools are said by this side too.
    User,
    /// The model.
    Assistant,
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Who says it.
    pub role: Role,
    /// What is said, in this order.
    pub content: Vec<Part>,
}

/// A part of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Plain text or Markdown; in messages of every role.
    Text(String),
    /// A picture; in messages of the user.
    Image(Image),
    /// The model wants a tool to be called; in messages of the assistant.
    ToolCall(ToolCall),
    /// What a tool said; in the message of the user that follows the call.
    ToolResult(ToolResult),
}

/// A picture for the model to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Image {
    /// The picture itself.
    Inline {
        /// What it is.
        kind: ImageKind,
        /// Its bytes in standard base64 with padding (RFC 4648, section 4), as every wire format wants them.
        base64: String,
    },
    /// An address from which the provider fetches it. Only OpenAI's format knows it; the other adapters refuse it.
    Url(String),
}

/// The kinds of pictures that every provider reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageKind {
    /// PNG.
    Png,
    /// JPEG.
    Jpeg,
    /// GIF.
    Gif,
    /// WebP.
    Webp,
}

impl ImageKind {
    /// The media type, such as `image/png`.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
            Self::Gif => "image/gif",
            Self::Webp => "image/webp",
        }
    }

    /// The kind of a media type; nothing when it is none of ours.
    pub fn from_media_type(text: &str) -> Option<Self> {
        match text {
            "image/png" => Some(Self::Png),
            "image/jpeg" | "image/jpg" => Some(Self::Jpeg),
            "image/gif" => Some(Self::Gif),
            "image/webp" => Some(Self::Webp),
            _ => None,
        }
    }
}

impl Image {
    /// The picture of a `data:` address as OpenAI's format has it (RFC 2397, with base64); nothing when it is another address or
    /// another kind of data.
    pub fn from_data_url(url: &str) -> Option<Self> {
        let (kind, base64) = url.strip_prefix("data:")?.split_once(";base64,")?;
        Some(Self::Inline { kind: ImageKind::from_media_type(&kind.to_ascii_lowercase())?, base64: base64.to_owned() })
    }
}

/// A call that the model wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolCall {
    /// Joins the call and its result; unique within a conversation. Made by us when the provider makes none.
    pub id: String,
    /// The tool.
    pub name: String,
    /// The arguments as JSON text. In a reply it is what the model wrote, which may break the tool's schema or be no JSON at all.
    pub arguments: String,
    /// Text of the provider that has to come back with the call (Gemini's `thoughtSignature`), meaningless to everybody else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
}

impl ToolCall {
    /// The call as the one piece of it.
    pub(crate) fn into_delta(self, index: usize) -> ToolCallDelta {
        let Self { id, name, arguments, signature } = self;
        ToolCallDelta { index, id: Some(id), name: Some(name), arguments, signature }
    }
}

/// What a tool said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolResult {
    /// The call's id.
    pub call_id: String,
    /// Text, often JSON.
    pub content: String,
    /// Whether the tool failed and `content` says how.
    pub is_error: bool,
}

impl Message {
    /// A message of ours to the model.
    pub fn system(text: impl Into<String>) -> Self {
        Self::text_of(Role::System, text.into())
    }

    /// A message of the person.
    pub fn user(text: impl Into<String>) -> Self {
        Self::text_of(Role::User, text.into())
    }

    /// A message of the model.
    pub fn assistant(text: impl Into<String>) -> Self {
        Self::text_of(Role::Assistant, text.into())
    }

    /// What the tools said, in answer to the message before.
    pub fn tool_results(results: impl IntoIterator<Item = ToolResult>) -> Self {
        Self { role: Role::User, content: results.into_iter().map(Part::ToolResult).collect() }
    }

    fn text_of(role: Role, text: String) -> Self {
        Self { role, content: vec![Part::Text(text)] }
    }

    /// Its texts, joined by empty lines; results of tools and pictures are no text.
    pub fn text(&self) -> String {
        let texts: Vec<&str> =
            self.content.iter().filter_map(|p| if let Part::Text(text) = p { Some(text.as_str()) } else { None }).collect();
        texts.join("\n\n")
    }
}

/// A tool that the model may ask for.
#[derive(Debug, Clone, PartialEq)]
pub struct Tool {
    /// 1 to 64 letters, digits, `_` and `-`.
    pub name: String,
    /// What it does, for the model; empty when nothing is said.
    pub description: String,
    /// A JSON Schema of an object.
    pub parameters: Value,
    /// Whether the provider shall hold the model to the schema. Not every schema and provider can.
    pub strict: bool,
}

/// Whether the model may, must or may not ask for tools.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ToolChoice {
    /// As it likes.
    #[default]
    Auto,
    /// It answers in text.
    None,
    /// It asks for one or more.
    Required,
    /// It asks for this one.
    Tool(String),
}

/// What the text of the reply is to be.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum ResponseFormat {
    /// Text.
    #[default]
    Text,
    /// Some JSON object.
    JsonObject,
    /// JSON after a schema. It is asked for, not guaranteed: check what comes.
    JsonSchema {
        /// 1 to 64 letters, digits, `_` and `-`.
        name: String,
        /// What it is for, for the model.
        description: Option<String>,
        /// The JSON Schema.
        schema: Value,
        /// Whether the provider shall hold the model to it.
        strict: bool,
    },
}

/// How much a reasoning model is to think.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReasoningEffort {
    /// As little as the model can.
    Minimal,
    /// Little.
    Low,
    /// The usual.
    Medium,
    /// Much.
    High,
}

/// What is asked of a model. A field that says nothing is not sent, and the model does as it likes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ChatRequest {
    /// The conversation; see [`crate::conversation::normalise`] for what is made of it.
    pub messages: Vec<Message>,
    /// Tools that the model may ask for; their names differ.
    pub tools: Vec<Tool>,
    /// Whether it may; says nothing without tools.
    pub tool_choice: ToolChoice,
    /// Whether several calls may come in one reply.
    pub parallel_tool_calls: Option<bool>,
    /// What the text is to be.
    pub response_format: ResponseFormat,
    /// Tokens the reply may have, those of its thoughts included.
    pub max_tokens: Option<u32>,
    /// 0 to 2.
    pub temperature: Option<f32>,
    /// Above 0, up to 1.
    pub top_p: Option<f32>,
    /// -2 to 2.
    pub frequency_penalty: Option<f32>,
    /// -2 to 2.
    pub presence_penalty: Option<f32>,
    /// Texts that end the reply, at most four.
    pub stop: Vec<String>,
    /// Asks for the same reply to the same request, where the provider can.
    pub seed: Option<i64>,
    /// How much a reasoning model is to think.
    pub reasoning_effort: Option<ReasoningEffort>,
    /// Who asks, in letters that mean nothing outside; providers use it against abuse.
    pub user: Option<String>,
    /// The moment after which nobody waits for the reply any more, retries included. Never sent.
    pub deadline: Option<Timestamp>,
}

/// Why a reply ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FinishReason {
    /// The model had said everything.
    Stop,
    /// The limit of tokens was reached; the text is cut.
    Length,
    /// The model waits for the results of the tools that it asked for.
    ToolCalls,
    /// The provider withheld the rest.
    ContentFilter,
    /// Something else; the text may be incomplete.
    Other,
}

impl FinishReason {
    /// The word of OpenAI's format.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stop | Self::Other => "stop",
            Self::Length => "length",
            Self::ToolCalls => "tool_calls",
            Self::ContentFilter => "content_filter",
        }
    }
}

/// Tokens that a reply cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Usage {
    /// Tokens read, those of `cached` included.
    pub input: u64,
    /// Tokens written, those of `reasoning` included.
    pub output: u64,
    /// Tokens of `input` that the provider knew already.
    pub cached: u64,
    /// Tokens of `output` that were thoughts and not reply.
    pub reasoning: u64,
    /// Whether the provider did not count and the figures are ours: [`crate::tokens`].
    pub estimated: bool,
}

/// A piece of a reply. A stream gives any number of texts and pieces of calls, then one end, then nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChatDelta {
    /// Text to add to the reply; never empty.
    Text(String),
    /// A piece of a call.
    ToolCall(ToolCallDelta),
    /// The reply is complete.
    End(ChatEnd),
}

/// A piece of a call. The first one of an index has id and name; the arguments of all are put together.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ToolCallDelta {
    /// Which call of the reply: 0, 1, … in the order in which they began. Below [`crate::collect::MAX_TOOL_CALLS`].
    pub index: usize,
    /// The call's id, in its first piece.
    pub id: Option<String>,
    /// The tool, in its first piece.
    pub name: Option<String>,
    /// More of the arguments; may be empty.
    pub arguments: String,
    /// See [`ToolCall::signature`].
    pub signature: Option<String>,
}

/// What is known when a reply is complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChatEnd {
    /// Why it ended.
    pub finish_reason: FinishReason,
    /// What it cost.
    pub usage: Usage,
    /// The model as the provider names it.
    pub model: String,
}

/// A whole reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChatReply {
    /// The text; empty when the model only asks for tools.
    pub text: String,
    /// The calls that the model wants, in order.
    pub tool_calls: Vec<ToolCall>,
    /// Why it ended.
    pub finish_reason: FinishReason,
    /// What it cost.
    pub usage: Usage,
    /// The model as the provider names it.
    pub model: String,
}

impl ChatReply {
    /// The reply as a message, for the next request of the conversation.
    pub fn into_message(self) -> Message {
        let text = (!self.text.is_empty()).then_some(Part::Text(self.text));
        Message { role: Role::Assistant, content: text.into_iter().chain(self.tool_calls.into_iter().map(Part::ToolCall)).collect() }
    }
}

/// Texts that are to become vectors.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EmbedRequest {
    /// 1 to 2,048 texts, none of them empty.
    pub inputs: Vec<String>,
    /// Numbers per vector, where the model offers a choice.
    pub dimensions: Option<u32>,
    /// The moment after which nobody waits any more.
    pub deadline: Option<Timestamp>,
}

/// The vectors.
#[derive(Debug, Clone, PartialEq)]
pub struct EmbedReply {
    /// One per text, in the order of the texts, all of one length, of finite numbers; not necessarily of length one.
    pub vectors: Vec<Vec<f32>>,
    /// What they cost; only `input` says something.
    pub usage: Usage,
    /// The model as the provider names it.
    pub model: String,
}
