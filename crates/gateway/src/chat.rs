//! The words of a conversation with a model, and the rules that make a conversation one that every provider accepts.

use astrolabe_kernel::{Error, Result, Timestamp};
use serde::{Deserialize, Serialize};

/// Bytes of text that a conversation may have; some half a million tokens, more than any model reads.
pub const MAX_CONVERSATION: usize = 2 * 1024 * 1024;

/// Messages that a conversation may have before they are joined.
pub const MAX_MESSAGES: usize = 2_000;

/// Who says a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// We, to the model: what it is to do.
    System,
    /// The person, or we on the person's behalf.
    User,
    /// The model.
    Assistant,
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Who says it.
    pub role: Role,
    /// What is said, as plain text or Markdown.
    pub content: String,
}

impl Message {
    /// A message of ours to the model.
    pub fn system(content: impl Into<String>) -> Self {
        Self { role: Role::System, content: content.into() }
    }

    /// A message of the person.
    pub fn user(content: impl Into<String>) -> Self {
        Self { role: Role::User, content: content.into() }
    }

    /// A message of the model.
    pub fn assistant(content: impl Into<String>) -> Self {
        Self { role: Role::Assistant, content: content.into() }
    }
}

/// What is asked of a model.
#[derive(Debug, Clone, Default)]
pub struct ChatRequest {
    /// The conversation; see [`normalise`] for what is made of it.
    pub messages: Vec<Message>,
    /// Tokens the reply may have; clamped to 1 and the configured limit, which also serves when nothing is said. Not sent without one.
    pub max_tokens: Option<u32>,
    /// Clamped to 0 and 2; the configured value when nothing, or no number, is said. Not sent without one.
    pub temperature: Option<f32>,
    /// The moment after which nobody waits for the reply any more, retries included.
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
    /// The provider withheld the rest.
    ContentFilter,
    /// Something else; the text may be incomplete.
    Other,
}

impl FinishReason {
    /// The provider's word as ours.
    pub fn from_wire(word: &str) -> Self {
        match word {
            "stop" | "eos" | "end_turn" => Self::Stop,
            "length" | "max_tokens" => Self::Length,
            "content_filter" => Self::ContentFilter,
            _ => Self::Other,
        }
    }
}

/// Tokens that a reply cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens read.
    pub prompt_tokens: u64,
    /// Tokens written.
    pub completion_tokens: u64,
    /// Whether the provider said nothing and the figures are ours: one token per four characters, rounded up.
    pub estimated: bool,
}

impl Usage {
    /// The estimate for a provider that does not count.
    pub fn estimate(prompt_chars: usize, completion_chars: usize) -> Self {
        Self { prompt_tokens: prompt_chars.div_ceil(4) as u64, completion_tokens: completion_chars.div_ceil(4) as u64, estimated: true }
    }
}

/// A piece of a reply. A stream gives any number of texts, then one end, then nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChatDelta {
    /// Text to add to the reply; never empty.
    Text(String),
    /// The reply is complete.
    End(ChatEnd),
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
    /// The text.
    pub text: String,
    /// Why it ended.
    pub finish_reason: FinishReason,
    /// What it cost.
    pub usage: Usage,
    /// The model as the provider names it.
    pub model: String,
}

/// Makes a conversation that every provider accepts: control characters are dropped, line ends become `\n`, outer white space and
/// empty messages go, all system messages become one at the front, neighbours of one role are joined by an empty line.
///
/// # Errors
/// `invalid_request` when the last message is not the user's, or the conversation is too long.
pub fn normalise(messages: &[Message]) -> Result<Vec<Message>> {
    if messages.len() > MAX_MESSAGES {
        return Err(Error::field("messages", format!("send at most {MAX_MESSAGES} messages")));
    }
    let mut system = String::new();
    let mut out: Vec<Message> = Vec::with_capacity(messages.len() + 1);
    for message in messages {
        let content = clean(&message.content);
        let content = content.trim();
        if content.is_empty() {
            continue;
        }
        match (message.role, out.last_mut()) {
            (Role::System, _) => append(&mut system, content),
            (role, Some(last)) if last.role == role => append(&mut last.content, content),
            (role, _) => out.push(Message { role, content: content.to_owned() }),
        }
    }
    if out.last().is_none_or(|last| last.role != Role::User) {
        return Err(Error::field("messages", "the last message that is not empty must have the role user"));
    }
    if !system.is_empty() {
        out.insert(0, Message::system(system));
    }
    let length: usize = out.iter().map(|m| m.content.len()).sum();
    if length > MAX_CONVERSATION {
        return Err(Error::field("messages", format!("shorten the conversation to at most {MAX_CONVERSATION} bytes")));
    }
    Ok(out)
}

fn append(text: &mut String, more: &str) {
    if !text.is_empty() {
        text.push_str("\n\n");
    }
    text.push_str(more);
}

fn clean(text: &str) -> String {
    text.replace("\r\n", "\n")
        .chars()
        .map(|c| if c == '\r' { '\n' } else { c })
        .filter(|c| !c.is_control() || matches!(c, '\n' | '\t'))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conversation_becomes_one_that_every_provider_accepts() {
        let made = normalise(&[
            Message::user(" first\r\nline\0 "),
            Message::system("be brief"),
            Message::user("\u{7}second"),
            Message::assistant("  "),
            Message::assistant("yes"),
            Message::system("be kind"),
            Message::user("third"),
        ])
        .unwrap();
        assert_eq!(
            made,
            [
                Message::system("be brief\n\nbe kind"),
                Message::user("first\nline\n\nsecond"),
                Message::assistant("yes"),
                Message::user("third")
            ]
        );
    }

    #[test]
    fn a_conversation_that_does_not_end_with_the_user_is_refused() {
        for messages in [vec![], vec![Message::system("a")], vec![Message::user("a"), Message::assistant("b")], vec![Message::user(" \0")]]
        {
            assert_eq!(normalise(&messages).unwrap_err().fields()[0].field, "messages");
        }
    }

    #[test]
    fn a_conversation_has_a_limit() {
        assert!(normalise(&[Message::user("x".repeat(MAX_CONVERSATION))]).is_ok());
        assert!(normalise(&[Message::user("x".repeat(MAX_CONVERSATION + 1))]).is_err());
        assert!(normalise(&vec![Message::user("x"); MAX_MESSAGES + 1]).is_err());
    }
}
