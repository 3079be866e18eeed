//! A request as the rules look at it, whatever its wire format.

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::chat::{Message, Part, Role};

/// A request for a reply.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// The model that was asked for.
    pub model: String,
    /// The conversation.
    pub messages: Vec<Message>,
    /// Whether the reply is to come as a stream.
    pub stream: bool,
    /// Whether the request asked for the usage in a stream.
    pub include_usage: bool,
    /// The names of the tools that are offered.
    pub tools: Vec<String>,
    /// The tool that has to be called.
    pub forced: Option<String>,
    /// The fields of the request.
    pub fields: Vec<String>,
}

impl Asked {
    /// The last text of the user.
    pub fn user(&self) -> String {
        let users = self.messages.iter().rev().filter(|m| m.role == Role::User);
        users.map(Message::text).find(|text| !text.is_empty()).unwrap_or_default()
    }

    /// What tools said since the model's last message, joined by empty lines; nothing when none did.
    pub fn results(&self) -> Option<String> {
        let since = self.messages.iter().rposition(|m| m.role == Role::Assistant)?;
        let results: Vec<&str> = self.messages[since..].iter().flat_map(|m| &m.content).filter_map(result).collect();
        (!results.is_empty()).then(|| results.join("\n\n"))
    }

    /// Words of the conversation, as the tokens that it counts for.
    pub fn words(&self) -> u64 {
        let part = |part: &Part| match part {
            Part::Text(text) => words(text),
            Part::ToolResult(result) => words(&result.content),
            Part::ToolCall(_) | Part::Image(_) => 1,
        };
        self.messages.iter().flat_map(|m| &m.content).map(part).sum()
    }
}

fn result(part: &Part) -> Option<&str> {
    if let Part::ToolResult(result) = part { Some(&result.content) } else { None }
}

/// Words of a text.
pub fn words(text: &str) -> u64 {
    text.split_whitespace().count() as u64
}

/// The request's JSON in a typed shape.
///
/// # Errors
/// What is wrong with it, in words.
pub fn shape<T: DeserializeOwned>(body: &Value) -> Result<T, String> {
    T::deserialize(body).map_err(|e| format!("the request has not the expected shape: {e}"))
}

/// The names of an object's fields.
pub fn fields(body: &Value) -> Vec<String> {
    body.as_object().into_iter().flat_map(|o| o.keys().cloned()).collect()
}
