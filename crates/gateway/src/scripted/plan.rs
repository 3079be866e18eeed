//! What is put on the wire for one answer, and when: a list of steps, made before the first byte is sent.

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

use super::rules::{Behaviour, Fault};
use crate::openai::wire::WireUsage;

/// One thing that the server does with the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Sends bytes.
    Send(Bytes),
    /// Waits.
    Pause(Duration),
    /// Does nothing more, with the connection open.
    Hang,
    /// Sends nothing more but a comment every ten milliseconds.
    Murmur,
    /// Breaks the connection.
    Cut,
}

/// What an answer consists of.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    /// Number of the request since the start, part of the reply's id.
    pub number: u64,
    /// The model that was asked for.
    pub model: &'a str,
    /// The text.
    pub text: &'a str,
    /// What the reply says it cost.
    pub usage: WireUsage,
    /// Whether the request asked for the usage in a stream.
    pub include_usage: bool,
}

/// The steps of a streamed answer.
pub fn stream(behaviour: &Behaviour, answer: &Answer<'_>) -> Vec<Step> {
    let mut steps = Vec::new();
    let end = if behaviour.crlf { "\r\n" } else { "\n" };
    let event = |data: &str| Step::Send(format!("data: {data}{end}{end}").into());
    let chunk = |choices: Value, usage: Value| {
        let mut body = json!({
            "id": format!("chatcmpl-{}", answer.number), "object": "chat.completion.chunk", "created": 0, "model": answer.model, "choices": choices,
        });
        if !usage.is_null() {
            body["usage"] = usage;
        }
        body.to_string()
    };
    let choice = |delta: Value, finish: Value| json!([{"index": 0, "delta": delta, "finish_reason": finish}]);

    steps.push(event(&chunk(choice(json!({"role": "assistant", "content": ""}), Value::Null), Value::Null)));
    let pieces = pieces(answer.text, behaviour.piece_chars);
    // A fault that comes later than the last piece comes after it.
    let before_fault = behaviour.fault.map_or(pieces.len(), |_| behaviour.fault_after.min(pieces.len()));
    for piece in &pieces[..before_fault] {
        if behaviour.pause_ms > 0 {
            steps.push(Step::Pause(Duration::from_millis(behaviour.pause_ms)));
        }
        if behaviour.comments {
            steps.push(Step::Send(format!(": working{end}{end}").into()));
        }
        steps.push(event(&chunk(choice(json!({"content": piece}), Value::Null), Value::Null)));
    }
    match behaviour.fault {
        Some(Fault::Hang) if behaviour.comments => steps.push(Step::Murmur),
        Some(Fault::Hang) => steps.push(Step::Hang),
        Some(Fault::Cut) => steps.push(Step::Cut),
        Some(Fault::End | Fault::Html) => {}
        Some(Fault::InvalidJson) => steps.push(event("{\"choices\":[{")),
        Some(Fault::InvalidUtf8) => {
            steps.push(Step::Send(Bytes::from_static(b"data: {\"choices\":[{\"delta\":{\"content\":\"\xff\xfe\"}}]}\n\n")))
        }
        Some(Fault::ErrorEvent) => steps.push(event(&error("the script says so", "server_error").to_string())),
        Some(Fault::LongLine) => steps.extend((0..64).map(|_| Step::Send(vec![b'x'; 64 * 1024].into()))),
        None => {
            let finish = behaviour.finish_reason.as_deref().unwrap_or("stop");
            steps.push(event(&chunk(choice(json!({}), finish.into()), Value::Null)));
            if answer.include_usage && !behaviour.no_usage {
                steps.push(event(&chunk(json!([]), usage(answer.usage))));
            }
            steps.push(event("[DONE]"));
        }
    }
    match behaviour.wire_bytes {
        Some(run) => recut(steps, run),
        None => steps,
    }
}

/// The steps of an answer that is sent as a whole.
pub fn whole(behaviour: &Behaviour, answer: &Answer<'_>) -> Vec<Step> {
    let mut body = json!({
        "id": format!("chatcmpl-{}", answer.number), "object": "chat.completion", "created": 0, "model": answer.model,
        "choices": [{
            "index": 0, "message": {"role": "assistant", "content": answer.text},
            "finish_reason": behaviour.finish_reason.as_deref().unwrap_or("stop"),
        }],
    });
    if !behaviour.no_usage {
        body["usage"] = usage(answer.usage);
    }
    let body = body.to_string();
    let half = Step::Send(Bytes::copy_from_slice(&body.as_bytes()[..body.len() / 2]));
    match behaviour.fault {
        None | Some(Fault::Html) => vec![Step::Send(body.into())],
        Some(Fault::Hang) => vec![half, Step::Hang],
        Some(Fault::Cut) => vec![half, Step::Cut],
        Some(Fault::End | Fault::InvalidJson) => vec![half],
        Some(Fault::InvalidUtf8) => vec![half, Step::Send(Bytes::from_static(b"\xff\xfe"))],
        Some(Fault::ErrorEvent) => vec![Step::Send(error("the script says so", "server_error").to_string().into())],
        Some(Fault::LongLine) => (0..256).map(|_| Step::Send(vec![b' '; 64 * 1024].into())).collect(),
    }
}

/// The body of an error, as OpenAI writes it.
pub fn error(message: &str, kind: &str) -> Value {
    json!({"error": {"message": message, "type": kind, "param": null, "code": null}})
}

fn usage(usage: WireUsage) -> Value {
    json!({
        "prompt_tokens": usage.prompt_tokens, "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
    })
}

/// The text in pieces that put together are the text again.
fn pieces(text: &str, chars: Option<usize>) -> Vec<String> {
    match chars {
        None => text.split_inclusive(' ').map(str::to_owned).collect(),
        Some(chars) => text.chars().collect::<Vec<_>>().chunks(chars.max(1)).map(|c| c.iter().collect()).collect(),
    }
}

/// The same bytes in runs of another length; pauses and breaks stay where they are.
fn recut(steps: Vec<Step>, run: usize) -> Vec<Step> {
    let mut out = Vec::with_capacity(steps.len());
    for step in steps {
        match step {
            Step::Send(mut bytes) => {
                while bytes.len() > run {
                    out.push(Step::Send(bytes.split_to(run)));
                }
                out.push(Step::Send(bytes));
            }
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(steps: &[Step]) -> Vec<u8> {
        steps.iter().flat_map(|s| if let Step::Send(bytes) = s { bytes.to_vec() } else { Vec::new() }).collect()
    }

    #[test]
    fn a_stream_carries_the_text_whatever_its_pieces() {
        let answer = Answer { number: 1, model: "m", text: "zażółć gęślą jaźń", usage: WireUsage::default(), include_usage: true };
        let plain = stream(&Behaviour::default(), &answer);
        assert_eq!(plain.len(), 1 + 3 + 3, "role, three words, finish, usage, done");
        let recut = stream(&Behaviour { wire_bytes: Some(3), ..Behaviour::default() }, &answer);
        assert!(recut.len() > 100);
        assert_eq!(sent(&plain), sent(&recut));
        assert_eq!(pieces("ab cd", Some(2)), ["ab", " c", "d"]);
        assert_eq!(pieces("ab cd", None), ["ab ", "cd"]);
    }

    #[test]
    fn a_fault_comes_after_the_pieces_that_were_asked_for() {
        let answer = Answer { number: 1, model: "m", text: "a b c", usage: WireUsage::default(), include_usage: false };
        let behaviour = |fault_after| Behaviour { fault: Some(Fault::Cut), fault_after, ..Behaviour::default() };
        assert_eq!(stream(&behaviour(2), &answer).len(), 1 + 2 + 1);
        assert_eq!(stream(&behaviour(99), &answer).last(), Some(&Step::Cut));
    }
}
