//! The file of rules, in TOML or JSON:
//!
//! ```toml
//! [[rules]]
//! contains = "vacation"            # in the last message of the user, whatever the case
//! matches = '(\d+) days'           # a regular expression instead, or as well
//! times = 1                        # serves this often, then the rules below are asked
//! answer = "{{sentence 1}} [1]"    # see the templates
//! pause_ms = 20                    # before each piece
//!
//! [[rules]]                        # without a condition: everything else
//! status = 429
//! retry_after = "2"
//! ```
//!
//! A rule with calls has the model ask for tools, and one that serves `after_tools` continues when they have answered:
//!
//! ```toml
//! [[rules]]
//! after_tools = true
//! answer = "It says {{result}}."
//!
//! [[rules]]
//! calls = [{ name = "weather", arguments = '{"city":"{{match 1}}"}' }]
//! matches = 'in (\w+)'
//! ```
//!
//! The first rule that fits and is not used up serves. When none does, the answer is a 400.

use std::path::Path;

use astrolabe_kernel::{Error, Result, error::code};
use regex::Regex;
use serde::Deserialize;

use super::template::Template;

/// Rules, ready to serve.
#[derive(Debug)]
pub struct Script {
    /// The bearer token that requests must carry; none is asked for when it is empty.
    pub api_key: String,
    /// The rules, in the order in which they are asked.
    pub rules: Vec<Rule>,
}

/// One rule, ready to serve.
#[derive(Debug)]
pub struct Rule {
    contains: String,
    matches: Option<Regex>,
    /// Whether it serves only a conversation that ends with the results of tools.
    pub after_tools: bool,
    /// How often it serves; always when nothing is said.
    pub times: Option<u32>,
    /// The answer.
    pub answer: Template,
    /// The calls that the answer asks for: the tools and their arguments as JSON.
    pub calls: Vec<(String, Template)>,
    /// What else it says.
    pub behaviour: Behaviour,
}

/// How an answer is given. Every field may be left out.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Behaviour {
    /// Characters per piece; a piece is a word when nothing is said.
    pub piece_chars: Option<usize>,
    /// Milliseconds before the first byte, headers included.
    pub delay_ms: u64,
    /// Milliseconds before each piece.
    pub pause_ms: u64,
    /// Sends a comment before each piece, and while it hangs, as some providers do to keep proxies awake.
    pub comments: bool,
    /// Sends the bytes of a stream in runs of this length, so that characters and events are cut anywhere.
    pub wire_bytes: Option<usize>,
    /// Ends lines with CR LF.
    pub crlf: bool,
    /// `stop` when nothing is said.
    pub finish_reason: Option<String>,
    /// Tokens; counted as words when nothing is said.
    pub usage: Option<crate::openai::wire::WireUsage>,
    /// Says nothing about tokens.
    pub no_usage: bool,
    /// Ignores `stream: true`, as some providers do.
    pub never_stream: bool,
    /// An HTTP status other than 200: the answer becomes the message of an error.
    pub status: Option<u16>,
    /// Fields of a request that it refuses, as reasoning models refuse `temperature` and `max_tokens`.
    pub refuses: Vec<String>,
    /// The `Retry-After` header of an error: seconds or a date.
    pub retry_after: Option<String>,
    /// What goes wrong, after [`Behaviour::fault_after`] pieces.
    pub fault: Option<Fault>,
    /// Pieces before the fault.
    pub fault_after: usize,
    /// Sends so many bytes of the body and breaks the connection.
    pub cut_bytes: Option<usize>,
    /// Sends so many bytes of the body and ends in good order.
    pub end_bytes: Option<usize>,
    /// The header `content-type` of the answer, instead of the right one.
    pub content_type: Option<String>,
}

/// What can go wrong in an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// Says nothing more, with the connection open. Before the first piece not even the headers are sent.
    Hang,
    /// Breaks the connection.
    Cut,
    /// Ends in good order, but without the rest of the reply.
    End,
    /// Sends an event that is not JSON.
    InvalidJson,
    /// Sends bytes that are not UTF-8.
    InvalidUtf8,
    /// Sends an error in the stream.
    ErrorEvent,
    /// Sends a line of four million bytes.
    LongLine,
    /// Answers with a page of HTML and status 200.
    Html,
    /// Sends text that has the character NUL.
    Nul,
    /// Sends a message whose checksum is wrong, in the format that has one; elsewhere an event that is not JSON.
    WrongChecksum,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileScript {
    #[serde(default)]
    api_key: String,
    rules: Vec<FileRule>,
}

#[derive(Deserialize)]
struct FileRule {
    #[serde(default)]
    contains: String,
    #[serde(default)]
    matches: Option<String>,
    #[serde(default)]
    times: Option<u32>,
    #[serde(default)]
    after_tools: bool,
    #[serde(default)]
    answer: String,
    #[serde(default)]
    calls: Vec<FileCall>,
    #[serde(flatten)]
    behaviour: Behaviour,
    /// What no field above took: a key that is misspelled would otherwise do nothing, silently.
    #[serde(flatten)]
    unknown: serde_json::Map<String, serde_json::Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileCall {
    name: String,
    #[serde(default)]
    arguments: String,
}

/// The keys of [`Behaviour`], for the message about one that is unknown.
const BEHAVIOUR_KEYS: &[&str] = &[
    "piece_chars",
    "delay_ms",
    "pause_ms",
    "comments",
    "wire_bytes",
    "crlf",
    "finish_reason",
    "usage",
    "no_usage",
    "never_stream",
    "status",
    "refuses",
    "retry_after",
    "fault",
    "fault_after",
    "cut_bytes",
    "end_bytes",
    "content_type",
];

impl Script {
    /// Reads a file; JSON when its name ends so, else TOML.
    ///
    /// # Errors
    /// `invalid_config` naming the file and what is wrong with it.
    pub fn read(file: &Path) -> Result<Self> {
        let bad = |what: String| Error::new(code::INVALID_CONFIG, format!("the rules of the scripted model, {}: {what}", file.display()));
        let text = std::fs::read_to_string(file).map_err(|e| bad(format!("cannot be read: {e}")))?;
        let json = file.extension().is_some_and(|e| e.eq_ignore_ascii_case("json"));
        Self::parse(&text, json).map_err(bad)
    }

    /// Reads rules from text, for tests.
    ///
    /// # Errors
    /// `invalid_config` saying what is wrong.
    pub fn from_toml(text: &str) -> Result<Self> {
        Self::parse(text, false).map_err(|e| Error::new(code::INVALID_CONFIG, e))
    }

    fn parse(text: &str, json: bool) -> Result<Self, String> {
        let file: FileScript =
            if json { serde_json::from_str(text).map_err(|e| e.to_string())? } else { toml::from_str(text).map_err(|e| e.to_string())? };
        let rules = file.rules.into_iter().enumerate().map(|(i, rule)| rule.ready().map_err(|e| format!("rule {}: {e}", i + 1)));
        Ok(Self { api_key: file.api_key, rules: rules.collect::<Result<_, _>>()? })
    }
}

impl FileRule {
    fn ready(self) -> Result<Rule, String> {
        if let Some(key) = self.unknown.keys().next() {
            return Err(format!(
                "there is no key {key}; the keys are contains, matches, after_tools, times, answer, calls, {}",
                BEHAVIOUR_KEYS.join(", ")
            ));
        }
        if let Some(status) = self.behaviour.status
            && !(400..=599).contains(&status)
        {
            return Err("status: must be between 400 and 599".to_owned());
        }
        if self.behaviour.piece_chars == Some(0) || self.behaviour.wire_bytes == Some(0) {
            return Err("piece_chars and wire_bytes: must be at least 1".to_owned());
        }
        let matches = self.matches.as_deref().map(Regex::new).transpose().map_err(|e| format!("matches: {e}"))?;
        let answer = Template::parse(&self.answer).map_err(|e| format!("answer: {e}"))?;
        let call = |c: FileCall| Ok((c.name, Template::parse(if c.arguments.is_empty() { "{}" } else { &c.arguments })?));
        let calls = self.calls.into_iter().map(call).collect::<Result<_, String>>().map_err(|e| format!("calls: {e}"))?;
        let (contains, after_tools) = (self.contains.to_lowercase(), self.after_tools);
        Ok(Rule { contains, matches, after_tools, times: self.times, answer, calls, behaviour: self.behaviour })
    }
}

impl Rule {
    /// What the rule's expression captured in the message: the whole match, then its groups. Nothing when the rule does not fit.
    /// `lower` is the message in small letters.
    pub fn fit(&self, message: &str, lower: &str) -> Option<Vec<String>> {
        if !lower.contains(&self.contains) {
            return None;
        }
        match &self.matches {
            None => Some(Vec::new()),
            Some(expression) => {
                expression.captures(message).map(|c| c.iter().map(|g| g.map_or_else(String::new, |g| g.as_str().to_owned())).collect())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_fits_by_its_words_and_by_its_expression() {
        let script = Script::from_toml("[[rules]]\ncontains = \"VACATION\"\nmatches = '(\\d+) days'\n[[rules]]\nanswer = \"x\"").unwrap();
        assert_eq!(script.rules[0].fit("Vacation of 26 days?", "vacation of 26 days?").unwrap(), ["26 days", "26"]);
        assert!(script.rules[0].fit("vacation?", "vacation?").is_none());
        assert!(script.rules[0].fit("26 days", "26 days").is_none());
        assert!(script.rules[1].fit("", "").is_some());
    }

    #[test]
    fn json_and_toml_say_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("rules.JSON");
        std::fs::write(&file, r#"{"rules":[{"contains":"a","answer":"b","usage":{"prompt_tokens":3},"fault":"hang","fault_after":2}]}"#)
            .unwrap();
        let script = Script::read(&file).unwrap();
        assert_eq!(script.rules[0].behaviour.fault, Some(Fault::Hang));
        assert_eq!(script.rules[0].behaviour.usage.unwrap().prompt_tokens, 3);
    }

    #[test]
    fn a_file_that_cannot_work_says_which_rule_and_why() {
        for (text, part) in [
            ("[[rules]]\nanswer = \"a\"\n[[rules]]\nansver = \"b\"", "rule 2: there is no key ansver"),
            ("[[rules]]\nmatches = \"(\"", "rule 1: matches"),
            ("[[rules]]\nanswer = \"{{sentense 1}}\"", "rule 1: answer"),
            ("[[rules]]\nstatus = 200", "rule 1: status"),
            ("[[rules]]\nfault = \"explode\"", "unknown variant"),
            ("rulez = []", "rulez"),
        ] {
            let error = Script::from_toml(text).unwrap_err();
            assert!(error.message().contains(part), "{error}");
        }
        let error = Script::read(Path::new("/no/such/rules.toml")).unwrap_err();
        assert!(error.message().contains("/no/such/rules.toml: cannot be read"), "{error}");
    }
}
