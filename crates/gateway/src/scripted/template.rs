//! Answers that quote the conversation, so that a script can cite passages rightly and wrongly.
//!
//! `{{user}}` is the last text of the user, `{{result}}` what tools said in the last message, `{{match N}}` what group N of the rule's expression captured (0: the whole match),
//! `{{passage N}}` the text that stands behind `[N]` at the beginning of a line, up to the next such line or the end of the message, and
//! `{{sentence N}}` the first sentence of that passage.

use super::asked::Asked;
use crate::chat::Message;

/// An answer with places to fill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    User,
    Result,
    Match(usize),
    Passage(usize),
    Sentence(usize),
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// When a place is not one of those above, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let (place, after) = after.split_once("}}").ok_or("a place that {{ opens is not closed by }}")?;
            parts.push(Part::Text(before.to_owned()));
            let mut words = place.split_whitespace();
            let part = match (words.next(), words.next().map(str::parse), words.next()) {
                (Some("user"), None, None) => Part::User,
                (Some("result"), None, None) => Part::Result,
                (Some("match"), Some(Ok(n)), None) => Part::Match(n),
                (Some("passage"), Some(Ok(n)), None) => Part::Passage(n),
                (Some("sentence"), Some(Ok(n)), None) => Part::Sentence(n),
                _ => return Err(format!("{{{{{place}}}}} is none of user, result, match N, passage N, sentence N")),
            };
            parts.push(part);
            rest = after;
        }
        parts.push(Part::Text(rest.to_owned()));
        Ok(Self(parts))
    }

    /// Fills the places. What is not there leaves nothing.
    pub fn fill(&self, asked: &Asked, captures: &[String]) -> String {
        let messages = &asked.messages;
        let part = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::User => asked.user(),
            Part::Result => asked.results().unwrap_or_default(),
            Part::Match(n) => captures.get(*n).cloned().unwrap_or_default(),
            Part::Passage(n) => passage(messages, *n).unwrap_or_default(),
            Part::Sentence(n) => passage(messages, *n).map(|p| sentence(&p)).unwrap_or_default(),
        };
        self.0.iter().map(part).collect()
    }
}

/// The passage that the conversation numbers `[n]`.
fn passage(messages: &[Message], n: usize) -> Option<String> {
    let marker = format!("[{n}]");
    messages.iter().find_map(|message| {
        let text = message.text();
        let mut lines = text.lines().skip_while(|line| !line.starts_with(&marker));
        let first = lines.next()?.strip_prefix(&marker)?;
        let more = lines.take_while(|line| !is_marked(line));
        Some(std::iter::once(first).chain(more).collect::<Vec<_>>().join("\n").trim().to_owned())
    })
}

fn is_marked(line: &str) -> bool {
    line.strip_prefix('[')
        .and_then(|rest| rest.split_once(']'))
        .is_some_and(|(number, _)| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}

/// The first sentence; lines without an end mark, such as a heading, are passed over. The whole passage when no line has one.
fn sentence(passage: &str) -> String {
    for line in passage.lines() {
        let mut previous: Option<(usize, char)> = None;
        for (i, c) in line.char_indices().chain([(line.len(), ' ')]) {
            if let Some((at, mark @ ('.' | '!' | '?'))) = previous
                && c.is_whitespace()
            {
                return line[..at + mark.len_utf8()].trim().to_owned();
            }
            previous = Some((i, c));
        }
    }
    passage.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_quotes_passages_matches_and_the_question() {
        let messages = [
            Message::system(
                "Use the passages.\n[1] guide/leave.md › Leave\nEmployees get 26 days. More is on request.\n[2] Short\nNo mark here",
            ),
            Message::user("how many days?"),
        ];
        let asked = Asked { messages: messages.into(), ..Asked::default() };
        let fill = |text: &str| Template::parse(text).unwrap().fill(&asked, &["days".to_owned()]);
        assert_eq!(fill("{{sentence 1}} [1]"), "Employees get 26 days. [1]");
        assert_eq!(fill("{{passage 2}}|{{sentence 2}}|{{passage 3}}|"), "Short\nNo mark here|Short\nNo mark here||");
        assert_eq!(fill("{{ user }} {{match 0}} {{match 1}}{"), "how many days? days {");
    }

    #[test]
    fn a_place_that_does_not_exist_is_refused() {
        for text in ["{{context}}", "{{passage}}", "{{passage x}}", "{{user 1}}", "{{match 1", "{{}}"] {
            assert!(Template::parse(text).is_err(), "{text}");
        }
    }
}
