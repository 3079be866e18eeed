//! What is put on the wire for one answer, and when: a list of steps, made before the first byte is sent.

use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;

use super::{
    asked::Asked,
    rules::{Behaviour, Fault},
};
use crate::openai::wire::WireUsage;

/// The provider's side of a wire format. An event is the bytes of one message of its stream.
pub trait Wire: Send + Sync {
    /// Reads a request as strictly as the provider does.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    fn parse(&self, body: &Value) -> Result<Asked, String>;
    /// The media type of a stream.
    fn stream_type(&self) -> &'static str;
    /// The events before the text.
    fn begin(&self, answer: &Answer<'_>, behaviour: &Behaviour) -> Vec<Bytes>;
    /// The event of a piece of the text.
    fn text(&self, answer: &Answer<'_>, behaviour: &Behaviour, piece: &str) -> Bytes;
    /// The events of a call.
    fn call(&self, answer: &Answer<'_>, behaviour: &Behaviour, index: usize) -> Vec<Bytes>;
    /// The events after the text and the calls.
    fn end(&self, answer: &Answer<'_>, behaviour: &Behaviour) -> Vec<Bytes>;
    /// An event with this payload.
    fn event(&self, data: &[u8], behaviour: &Behaviour) -> Bytes;
    /// An error in the stream.
    fn error_event(&self, behaviour: &Behaviour) -> Bytes;
    /// A sign of life that means nothing, where the format has one.
    fn comment(&self, behaviour: &Behaviour) -> Option<Bytes>;
    /// A whole reply.
    fn whole(&self, answer: &Answer<'_>, behaviour: &Behaviour) -> Value;
    /// The body of an error.
    fn error(&self, status: u16, message: &str) -> Value;
    /// The header `x-amzn-errortype` of an error, where the format has it.
    fn error_name(&self, _status: u16) -> Option<&'static str> {
        None
    }
}

/// One thing that the server does with the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Sends bytes.
    Send(Bytes),
    /// Waits.
    Pause(Duration),
    /// Does nothing more, with the connection open.
    Hang,
    /// Sends nothing more but these bytes every ten milliseconds.
    Murmur(Bytes),
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
    /// The tools that it asks for, with their arguments as JSON.
    pub calls: &'a [(String, String)],
    /// What the reply says it cost.
    pub usage: WireUsage,
    /// Whether the request asked for the usage in a stream.
    pub include_usage: bool,
}

impl Answer<'_> {
    /// The id of a call.
    pub fn call_id(&self, index: usize) -> String {
        format!("call_{}_{index}", self.number)
    }

    /// Why the answer ends, in OpenAI's words.
    pub fn finish<'b>(&self, behaviour: &'b Behaviour) -> &'b str {
        let usual = if self.calls.is_empty() { "stop" } else { "tool_calls" };
        behaviour.finish_reason.as_deref().unwrap_or(usual)
    }
}

/// The steps of a streamed answer.
pub fn stream(wire: &dyn Wire, behaviour: &Behaviour, answer: &Answer<'_>) -> Vec<Step> {
    let mut steps: Vec<Step> = wire.begin(answer, behaviour).into_iter().map(Step::Send).collect();
    let pieces = pieces(answer.text, behaviour.piece_chars);
    // A fault that comes later than the last piece comes after it.
    let before_fault = behaviour.fault.map_or(pieces.len(), |_| behaviour.fault_after.min(pieces.len()));
    for piece in &pieces[..before_fault] {
        if behaviour.pause_ms > 0 {
            steps.push(Step::Pause(Duration::from_millis(behaviour.pause_ms)));
        }
        if behaviour.comments {
            steps.extend(wire.comment(behaviour).map(Step::Send));
        }
        steps.push(Step::Send(wire.text(answer, behaviour, piece)));
    }
    match behaviour.fault {
        Some(Fault::Hang) => steps.push(match wire.comment(behaviour) {
            Some(comment) if behaviour.comments => Step::Murmur(comment),
            _ => Step::Hang,
        }),
        Some(Fault::Cut) => steps.push(Step::Cut),
        Some(Fault::End | Fault::Html) => {}
        Some(Fault::InvalidJson) => steps.push(Step::Send(wire.event(b"{\"choices\":[{", behaviour))),
        Some(Fault::InvalidUtf8) => steps.push(Step::Send(wire.event(b"{\"delta\":{\"text\":\"\xff\xfe\"}}", behaviour))),
        Some(Fault::ErrorEvent) => steps.push(Step::Send(wire.error_event(behaviour))),
        Some(Fault::LongLine) => steps.extend((0..160).map(|_| Step::Send(vec![b'x'; 64 * 1024].into()))),
        Some(Fault::WrongChecksum) => {
            let mut event = wire.event(b"{", behaviour).to_vec();
            if let Some(last) = event.last_mut().filter(|_| wire.comment(behaviour).is_none()) {
                *last ^= 1;
            }
            steps.push(Step::Send(event.into()));
        }
        Some(Fault::Nul) | None => {
            if behaviour.fault.is_some() {
                steps.push(Step::Send(wire.text(answer, behaviour, "a\0b")));
            }
            steps.extend((0..answer.calls.len()).flat_map(|index| wire.call(answer, behaviour, index)).map(Step::Send));
            steps.extend(wire.end(answer, behaviour).into_iter().map(Step::Send));
        }
    }
    let steps = match behaviour.wire_bytes {
        Some(run) => recut(steps, run),
        None => steps,
    };
    shortened(steps, behaviour)
}

/// The steps of a sound stream in a format, for tests of what reads it.
#[cfg(test)]
pub(crate) fn sample(format: &str, answer: &Answer<'_>) -> Vec<Step> {
    let wire: &dyn Wire = match format {
        "bedrock" => &super::bedrock::BedrockWire,
        "gemini" => &super::gemini::GeminiWire,
        _ => &super::openai::OpenAiWire,
    };
    stream(wire, &Behaviour::default(), answer)
}

/// The steps of an answer that is sent as a whole.
pub fn whole(wire: &dyn Wire, behaviour: &Behaviour, answer: &Answer<'_>) -> Vec<Step> {
    let nul = format!("{}a\0b", answer.text);
    let answer = if behaviour.fault == Some(Fault::Nul) { Answer { text: &nul, ..*answer } } else { *answer };
    let body = wire.whole(&answer, behaviour).to_string();
    let half = Step::Send(Bytes::copy_from_slice(&body.as_bytes()[..body.len() / 2]));
    let steps = match behaviour.fault {
        None | Some(Fault::Html | Fault::Nul) => vec![Step::Send(body.into())],
        Some(Fault::Hang) => vec![half, Step::Hang],
        Some(Fault::Cut) => vec![half, Step::Cut],
        Some(Fault::End | Fault::InvalidJson | Fault::WrongChecksum) => vec![half],
        Some(Fault::InvalidUtf8) => vec![half, Step::Send(Bytes::from_static(b"\xff\xfe"))],
        Some(Fault::ErrorEvent) => vec![Step::Send(wire.error(500, "the script says so").to_string().into())],
        Some(Fault::LongLine) => (0..256).map(|_| Step::Send(vec![b' '; 64 * 1024].into())).collect(),
    };
    shortened(steps, behaviour)
}

/// The steps up to a number of bytes, when the script says one.
fn shortened(steps: Vec<Step>, behaviour: &Behaviour) -> Vec<Step> {
    let Some(mut left) = behaviour.cut_bytes.or(behaviour.end_bytes) else {
        return steps;
    };
    let mut out = Vec::new();
    for step in steps {
        match step {
            Step::Send(bytes) if bytes.len() > left => {
                out.push(Step::Send(bytes.slice(..left)));
                left = 0;
            }
            Step::Send(bytes) => {
                left -= bytes.len();
                out.push(Step::Send(bytes));
            }
            other => out.push(other),
        }
        if left == 0 {
            break;
        }
    }
    if behaviour.cut_bytes.is_some() {
        out.push(Step::Cut);
    }
    out
}

/// A vector for a text: the same text gives the same numbers, and that is all that they mean.
pub fn vector(text: &str, dimensions: Option<usize>) -> Vec<f32> {
    let mut state = crc32fast::hash(text.as_bytes());
    (0..dimensions.unwrap_or(8).clamp(1, 4096))
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1u32 << 23) as f32 - 1.0
        })
        .collect()
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
    use crate::scripted::openai::OpenAiWire;

    fn answer(text: &str) -> Answer<'_> {
        Answer { number: 1, model: "m", text, calls: &[], usage: WireUsage::default(), include_usage: true }
    }

    fn sent(steps: &[Step]) -> Vec<u8> {
        steps.iter().flat_map(|s| if let Step::Send(bytes) = s { bytes.to_vec() } else { Vec::new() }).collect()
    }

    #[test]
    fn a_stream_carries_the_text_whatever_its_pieces() {
        let answer = answer("zażółć gęślą jaźń");
        let plain = stream(&OpenAiWire, &Behaviour::default(), &answer);
        assert_eq!(plain.len(), 1 + 3 + 3, "role, three words, finish, usage, done");
        let recut = stream(&OpenAiWire, &Behaviour { wire_bytes: Some(3), ..Behaviour::default() }, &answer);
        assert!(recut.len() > 100);
        assert_eq!(sent(&plain), sent(&recut));
        assert_eq!(pieces("ab cd", Some(2)), ["ab", " c", "d"]);
        assert_eq!(pieces("ab cd", None), ["ab ", "cd"]);
    }

    #[test]
    fn a_fault_comes_after_the_pieces_that_were_asked_for() {
        let answer = answer("a b c");
        let behaviour = |fault_after| Behaviour { fault: Some(Fault::Cut), fault_after, ..Behaviour::default() };
        assert_eq!(stream(&OpenAiWire, &behaviour(2), &answer).len(), 1 + 2 + 1);
        assert_eq!(stream(&OpenAiWire, &behaviour(99), &answer).last(), Some(&Step::Cut));
    }
}
