//! The rules that make a conversation one that every provider accepts.

use std::collections::HashSet;

use astrolabe_kernel::{Error, Result};

use crate::chat::{Image, Message, Part, Role};

/// Bytes of text that a conversation may have; some half a million tokens, more than any model reads.
pub const MAX_CONVERSATION: usize = 2 * 1024 * 1024;

/// Bytes of base64 that the pictures of a conversation may have together.
pub const MAX_IMAGES: usize = 20 * 1024 * 1024;

/// Messages that a conversation may have before they are joined.
pub const MAX_MESSAGES: usize = 2_000;

/// Makes a conversation that every provider accepts: control characters are dropped, line ends become `\n`, outer white space and
/// empty messages go, all system messages become one at the front, neighbours of one role are joined, with an empty line between two
/// texts and the results of tools first.
///
/// # Errors
/// `invalid_request` when the last message is not the user's, a part stands in a message of the wrong role, a result has no call or a
/// call no result, arguments are no JSON object, or the conversation is too long.
pub fn normalise(messages: Vec<Message>) -> Result<Vec<Message>> {
    if messages.len() > MAX_MESSAGES {
        return Err(Error::field("messages", format!("send at most {MAX_MESSAGES} messages")));
    }
    let mut system = String::new();
    let mut out: Vec<Message> = Vec::with_capacity(messages.len() + 1);
    for Message { role, content } in messages {
        if role == Role::System {
            for part in content {
                match part {
                    Part::Text(text) => append(&mut system, clean(text)),
                    _ => return Err(Error::field("messages", "a system message has text alone")),
                }
            }
            continue;
        }
        for part in content {
            let part = match (part, role) {
                (Part::Text(text), _) => match clean(text) {
                    text if text.is_empty() => continue,
                    text => Part::Text(text),
                },
                (part @ (Part::Image(_) | Part::ToolResult(_)), Role::User) | (part @ Part::ToolCall(_), Role::Assistant) => part,
                (Part::Image(_), _) => return Err(Error::field("messages", "an image stands in a message of the user")),
                (Part::ToolResult(_), _) => return Err(Error::field("messages", "a tool result is said by the user's side")),
                (Part::ToolCall(_), _) => return Err(Error::field("messages", "a tool call stands in a message of the assistant")),
            };
            match out.last_mut() {
                Some(last) if last.role == role => add(&mut last.content, part),
                _ => out.push(Message { role, content: vec![part] }),
            }
        }
    }
    if out.last().is_none_or(|last| last.role != Role::User) {
        return Err(Error::field("messages", "the last message that is not empty must have the role user"));
    }
    check_tools(&out)?;
    if !system.is_empty() {
        out.insert(0, Message::system(system));
    }
    check_size(&out)?;
    Ok(out)
}

fn add(content: &mut Vec<Part>, part: Part) {
    match (content.last_mut(), part) {
        (Some(Part::Text(text)), Part::Text(more)) => append(text, more),
        (_, part @ Part::ToolResult(_)) => {
            let at = content.iter().take_while(|p| matches!(p, Part::ToolResult(_))).count();
            content.insert(at, part);
        }
        (_, part) => content.push(part),
    }
}

fn append(text: &mut String, more: String) {
    if text.is_empty() {
        *text = more;
    } else if !more.is_empty() {
        text.push_str("\n\n");
        text.push_str(&more);
    }
}

/// Every call has its result in the next message, and every result its call in the message before.
fn check_tools(messages: &[Message]) -> Result<()> {
    let mut open: HashSet<&str> = HashSet::new();
    for message in messages {
        for part in &message.content {
            match part {
                Part::ToolResult(result) if !open.remove(result.call_id.as_str()) => {
                    return Err(Error::field("messages", "a tool result answers no tool call of the message before"));
                }
                Part::ToolCall(call) => {
                    if !serde_json::from_str::<serde_json::Value>(&call.arguments).is_ok_and(|v| v.is_object()) {
                        return Err(Error::field("messages", "the arguments of a tool call must be a JSON object"));
                    }
                    if call.id.is_empty() || !open.insert(&call.id) {
                        return Err(Error::field("messages", "every tool call of a message needs an id of its own"));
                    }
                }
                Part::ToolResult(_) | Part::Text(_) | Part::Image(_) => {}
            }
        }
        if message.role == Role::User && !open.is_empty() {
            return Err(Error::field("messages", "every tool call must be followed by its result"));
        }
    }
    Ok(())
}

fn check_size(messages: &[Message]) -> Result<()> {
    let (mut text, mut images) = (0, 0);
    for part in messages.iter().flat_map(|m| &m.content) {
        match part {
            Part::Text(t) => text += t.len(),
            Part::ToolCall(call) => text += call.name.len() + call.arguments.len(),
            Part::ToolResult(result) => text += result.content.len(),
            Part::Image(Image::Inline { base64, .. }) => images += base64.len(),
            Part::Image(Image::Url(url)) => text += url.len(),
        }
    }
    if text > MAX_CONVERSATION {
        return Err(Error::field("messages", format!("shorten the conversation to at most {MAX_CONVERSATION} bytes")));
    }
    if images > MAX_IMAGES {
        return Err(Error::field("messages", format!("send pictures of at most {MAX_IMAGES} bytes of base64 together")));
    }
    Ok(())
}

fn clean(text: String) -> String {
    let odd = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
    let text = if text.contains(odd) {
        text.replace("\r\n", "\n").chars().map(|c| if c == '\r' { '\n' } else { c }).filter(|c| !odd(*c)).collect()
    } else {
        text
    };
    let trimmed = text.trim();
    if trimmed.len() == text.len() { text } else { trimmed.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::{ImageKind, ToolCall, ToolResult};

    fn call(id: &str) -> Part {
        Part::ToolCall(ToolCall { id: id.to_owned(), name: "t".to_owned(), arguments: "{}".to_owned(), signature: None })
    }

    fn result(id: &str) -> Part {
        Part::ToolResult(ToolResult { call_id: id.to_owned(), content: "ok".to_owned(), is_error: false })
    }

    fn message(role: Role, content: Vec<Part>) -> Message {
        Message { role, content }
    }

    #[test]
    fn a_conversation_becomes_one_that_every_provider_accepts() {
        let made = normalise(vec![
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
    fn results_of_tools_stand_before_what_the_user_adds() {
        let image = || Part::Image(Image::Inline { kind: ImageKind::Png, base64: "AA==".to_owned() });
        let made = normalise(vec![
            Message::user("go"),
            message(Role::Assistant, vec![call("1"), call("2")]),
            message(Role::User, vec![result("2"), Part::Text("and".to_owned()), image()]),
            message(Role::User, vec![result("1")]),
        ])
        .unwrap();
        assert_eq!(made[2].content, [result("2"), result("1"), Part::Text("and".to_owned()), image()]);
    }

    #[test]
    fn calls_and_results_belong_together() {
        let (go, two) = (Message::user("go"), message(Role::Assistant, vec![call("1"), call("2")]));
        for messages in [
            vec![go.clone(), two.clone(), message(Role::User, vec![result("1")])],
            vec![go.clone(), two.clone(), message(Role::User, vec![result("1"), result("1")])],
            vec![go.clone(), two.clone(), Message::user("never mind")],
            vec![go.clone(), message(Role::User, vec![result("1")])],
            vec![message(Role::User, vec![call("1")])],
            vec![go.clone(), message(Role::Assistant, vec![result("1")]), go.clone()],
            vec![go.clone(), message(Role::Assistant, vec![call("1"), call("1")]), message(Role::User, vec![result("1")])],
            vec![message(Role::System, vec![call("1")]), go.clone()],
        ] {
            assert_eq!(normalise(messages.clone()).unwrap_err().fields()[0].field, "messages", "{messages:?}");
        }
    }

    #[test]
    fn a_conversation_that_does_not_end_with_the_user_is_refused() {
        for messages in [vec![], vec![Message::system("a")], vec![Message::user("a"), Message::assistant("b")], vec![Message::user(" \0")]]
        {
            assert_eq!(normalise(messages).unwrap_err().fields()[0].field, "messages");
        }
    }

    #[test]
    fn a_conversation_has_a_limit() {
        assert!(normalise(vec![Message::user("x".repeat(MAX_CONVERSATION))]).is_ok());
        assert!(normalise(vec![Message::user("x".repeat(MAX_CONVERSATION + 1))]).is_err());
        assert!(normalise(vec![Message::user("x"); MAX_MESSAGES + 1]).is_err());
        let image = |length: usize| Part::Image(Image::Inline { kind: ImageKind::Png, base64: "A".repeat(length) });
        assert!(normalise(vec![message(Role::User, vec![image(MAX_IMAGES)])]).is_ok());
        assert!(normalise(vec![message(Role::User, vec![image(MAX_IMAGES / 2), image(MAX_IMAGES / 2 + 4)])]).is_err());
    }
}
