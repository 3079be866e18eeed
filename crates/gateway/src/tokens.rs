//! An estimate of a text's tokens for providers that do not count, and for limits that are checked before anything is sent.
//!
//! Tokenizers differ from model to model and their tables are megabytes; this reads the text once and needs none. Runs of letters of one
//! script are counted by the length at which byte-pair tokenizers of 100,000 to 200,000 entries cut them.

use crate::chat::{ChatRequest, Part, Tool, Usage};

/// Tokens that a picture is taken for: between the 85 and 1,600 that providers count by its size.
const IMAGE: u64 = 800;

/// Tokens that a message costs beside its text: its role and the marks around it.
const MESSAGE: u64 = 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    /// ASCII letters: words up to seven letters are one token, longer ones are cut about every five.
    Latin,
    /// Words with an accented Latin letter: about two letters per token.
    Accented,
    /// Letters of other alphabets: about three per token.
    Alphabet,
    /// Han, kana, hangul and other signs that stand for a syllable or more: about one token each.
    Sign,
    /// Digits: three per token.
    Digit,
    /// White space: a single space belongs to the word behind it.
    Space,
    /// Everything else: runs of marks share tokens.
    Mark,
}

impl Class {
    fn of(c: char) -> Self {
        match c {
            'a'..='z' | 'A'..='Z' => Self::Latin,
            '0'..='9' => Self::Digit,
            '\u{1100}'..='\u{11ff}'
            | '\u{2e80}'..='\u{9fff}'
            | '\u{a960}'..='\u{a97f}'
            | '\u{ac00}'..='\u{d7ff}'
            | '\u{f900}'..='\u{faff}'
            | '\u{1f000}'.. => Self::Sign,
            _ if c.is_whitespace() => Self::Space,
            '\u{c0}'..='\u{24f}' => Self::Accented,
            _ if c.is_alphabetic() => Self::Alphabet,
            _ => Self::Mark,
        }
    }

    fn tokens(self, run: u64) -> u64 {
        match self {
            Self::Latin if run <= 7 => 1,
            Self::Latin => run.div_ceil(5),
            Self::Accented => (run * 9).div_ceil(20),
            Self::Alphabet => (run * 3).div_ceil(10),
            Self::Sign => run,
            Self::Digit => run.div_ceil(3),
            Self::Space => u64::from(run > 1),
            Self::Mark => run.div_ceil(2),
        }
    }
}

/// Counts a text that comes in pieces; where it is cut makes no difference.
#[derive(Debug, Clone, Default)]
pub struct Counter {
    total: u64,
    run: Option<(Class, u64)>,
}

impl Counter {
    /// Takes the next piece.
    pub fn push(&mut self, text: &str) {
        for c in text.chars() {
            let class = Class::of(c);
            self.run = match self.run {
                Some((last, length)) if last == class => Some((class, length + 1)),
                // An accent in the middle makes a word of that alphabet, not two words.
                Some((Class::Latin | Class::Accented, length)) if matches!(class, Class::Latin | Class::Accented) => {
                    Some((Class::Accented, length + 1))
                }
                Some((last, length)) => {
                    self.total += last.tokens(length);
                    Some((class, 1))
                }
                None => Some((class, 1)),
            };
        }
    }

    /// About how many tokens there have been. Never less than one for a text that is not empty.
    pub fn total(&self) -> u64 {
        let last = self.run.map_or(0, |(class, length)| class.tokens(length));
        (self.total + last).max(u64::from(self.run.is_some()))
    }
}

/// About how many tokens a text has.
pub fn count(text: &str) -> u64 {
    let mut counter = Counter::default();
    counter.push(text);
    counter.total()
}

/// About how many tokens a request has the model read.
pub fn count_request(request: &ChatRequest) -> u64 {
    let part = |part: &Part| match part {
        Part::Text(text) => count(text),
        Part::Image(_) => IMAGE,
        Part::ToolCall(call) => count(&call.name) + count(&call.arguments),
        Part::ToolResult(result) => count(&result.content),
    };
    let tool = |tool: &Tool| count(&tool.name) + count(&tool.description) + count(&tool.parameters.to_string());
    let messages: u64 = request.messages.iter().map(|m| MESSAGE + m.content.iter().map(part).sum::<u64>()).sum();
    messages + request.tools.iter().map(tool).sum::<u64>()
}

/// The usage of a reply whose provider did not count: `output` is [`count`] of all that it sent.
pub fn estimate(request: &ChatRequest, output: u64) -> Usage {
    Usage { input: count_request(request), output, estimated: true, ..Usage::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::Message;

    /// Counted with `tiktoken-rs`: the tables `o200k` and `cl100k`.
    const COUNTED: [(&str, u64, u64); 5] = [
        ("Employees get 26 days of paid leave a year; requests go to the line manager two weeks before.", 21, 21),
        ("Pracownikom przysługuje 26 dni płatnego urlopu w roku; wniosek składa się dwa tygodnie wcześniej.", 31, 38),
        ("Сотрудникам положено 26 дней оплачиваемого отпуска в год; заявление подают за две недели.", 23, 42),
        ("let waits = |attempt| (0..500).map(|_| delay(&failed(false), attempt, BACKOFF, LONG, &random).unwrap());", 31, 31),
        ("本公司员工每年享有二十六天带薪年假。申请休假时，请提前两周通知您的主管。", 28, 42),
    ];

    #[test]
    fn the_estimate_lies_between_the_tables_of_two_generations_or_close_to_them() {
        for (text, newer, older) in COUNTED {
            let ours = count(text);
            assert!(ours * 10 >= newer * 9 && ours * 10 <= older * 11, "{ours} for {text}");
        }
    }

    #[test]
    fn where_a_text_is_cut_makes_no_difference() {
        for (text, ..) in COUNTED {
            let mut counter = Counter::default();
            text.chars().for_each(|c| counter.push(c.encode_utf8(&mut [0; 4])));
            assert_eq!(counter.total(), count(text));
        }
    }

    #[test]
    fn nothing_costs_nothing_and_anything_costs_something() {
        assert_eq!((count(""), count(" "), count("a"), count("\u{301}")), (0, 1, 1, 1));
        let request = ChatRequest { messages: vec![Message::user("hello")], ..ChatRequest::default() };
        assert_eq!(estimate(&request, 7), Usage { input: 5, output: 7, estimated: true, ..Usage::default() });
    }
}
