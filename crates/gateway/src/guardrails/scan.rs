//! Finding what rules look for, from left to right, in a whole text or in one that grows.
//!
//! Every check finds a *head* of bounded length, which may have a *tail* of a class of characters (the rest of a token, the path of a link). So
//! whether something begins at a place is known when [`Rules::settled`] says that the place is settled, however the text was cut, and a stream
//! gives what the whole text gives.

use std::sync::Arc;

use astrolabe_kernel::{Error, Result, error::code};
use regex::Regex;

use super::{
    Check, Mode, PersonalKind, Rule, Side,
    links::{self, Hosts},
    personal::{self, Kinds},
    refusal,
};

/// Bytes of text that a pattern may find.
const LONGEST_PATTERN: usize = 256;

/// Bytes that the head of personal data or a link has at most, with the character behind it.
pub(super) const LONGEST_HEAD: usize = 400;

/// Bytes before a place that may have a say in what begins there.
pub(super) const CONTEXT: usize = 64;

/// Bytes of the name of a key in PEM with the dashes behind it.
const PEM_NAME: usize = 64;

/// Memory of a compiled pattern, so that a rule cannot take the machine's.
const PATTERN_MEMORY: usize = 8 << 20;

/// A rule, ready to be applied.
pub(super) struct Compiled {
    pub(super) name: String,
    pub(super) mode: Mode,
    what: What,
    hits: [metrics::Counter; 2],
}

enum What {
    /// The expression, its text in the group 1, and how long that may be.
    Pattern(Regex, usize),
    Personal(Kinds),
    Length(u64),
    Links(Hosts),
}

/// What was found, and by which rule.
#[derive(Clone)]
pub(super) struct Found {
    pub(super) start: usize,
    pub(super) end: usize,
    /// What more belongs to it.
    pub(super) tail: Tail,
    pub(super) rule: Arc<Compiled>,
    /// Which kind of personal data it is.
    pub(super) kind: Option<PersonalKind>,
}

/// What belongs to a thing behind its head, however long it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tail {
    /// Nothing.
    None,
    /// The characters of a token: letters, digits, `_`, `-`, and `.` when it is a JWT.
    Token {
        /// Whether dots belong to it.
        dots: bool,
    },
    /// The rest of an address.
    Link,
    /// Everything up to and with `-----END …-----`.
    Pem,
}

impl Compiled {
    pub(super) fn new(rule: &Rule) -> Result<Self> {
        let what = match rule.check {
            Check::Pattern => pattern(rule)?,
            Check::Personal => What::Personal(Kinds::of(&rule.kinds)),
            Check::Length => What::Length(rule.max_tokens.unwrap_or(u64::MAX)),
            Check::Links => What::Links(Hosts::new(&rule.hosts)),
        };
        let counter = |side: Side| metrics::counter!("guardrail_hits_total", "rule" => rule.name.clone(), "mode" => rule.mode.as_str(), "side" => side.as_str());
        Ok(Self { name: rule.name.clone(), mode: rule.mode, what, hits: [counter(Side::Input), counter(Side::Output)] })
    }

    /// Notes that the rule found something.
    pub(super) fn count(&self, side: Side) {
        self.hits[usize::from(side == Side::Output)].increment(1);
    }
}

/// One expression for all patterns of a rule. The borders of words are part of it as characters: the engine's own `\b` would be slow on text
/// that is not ASCII.
fn pattern(rule: &Rule) -> Result<What> {
    let bad = |pattern: &str, what: &str| {
        Error::new(code::INVALID_CONFIG, format!("guardrails.rules: {:?}: the pattern {pattern:?} {what}", rule.name))
    };
    let mut longest = 0;
    for text in &rule.patterns {
        let parsed = regex_syntax::ParserBuilder::new().case_insensitive(true).build().parse(text);
        let parsed = parsed.map_err(|_| bad(text, "is no regular expression"))?;
        let properties = parsed.properties();
        match (properties.minimum_len(), properties.maximum_len()) {
            (Some(1..), Some(most)) if most <= LONGEST_PATTERN => longest = longest.max(most),
            (Some(0) | None, _) => return Err(bad(text, "finds the empty text")),
            _ => return Err(bad(text, "finds more than 256 bytes: write {0,20} instead of *")),
        }
        if properties.look_set().contains_anchor() {
            return Err(bad(text, "must not have ^ or $: an answer that is streamed has no lines"));
        }
    }
    let all = rule.patterns.iter().map(|p| format!("(?:{p})")).collect::<Vec<_>>().join("|");
    let regex = regex::RegexBuilder::new(&format!(r"(?:^|\W)({all})(?:\W|$)"))
        .case_insensitive(true)
        .size_limit(PATTERN_MEMORY)
        .dfa_size_limit(PATTERN_MEMORY)
        .build()
        .map_err(|_| bad(&all, "are together too large"))?;
    Ok(What::Pattern(regex, longest))
}

/// The rules of one side of a call.
pub(super) struct Rules {
    side: Side,
    /// Those that block or mask.
    acting: Vec<Arc<Compiled>>,
    /// Those that only count: they take nothing away from the others.
    logging: Vec<Arc<Compiled>>,
    lengths: Vec<Arc<Compiled>>,
    /// The longest text that a pattern finds; 0 without patterns.
    longest: usize,
    /// Whether personal data or links are looked for.
    heads: bool,
}

impl Rules {
    pub(super) fn new(side: Side, rules: Vec<Arc<Compiled>>) -> Self {
        let longest = rules.iter().map(|r| if let What::Pattern(_, longest) = r.what { longest } else { 0 }).max().unwrap_or(0);
        let heads = rules.iter().any(|r| matches!(r.what, What::Personal(_) | What::Links(_)));
        let (lengths, others): (Vec<_>, Vec<_>) = rules.into_iter().partition(|r| matches!(r.what, What::Length(_)));
        let (logging, acting) = others.into_iter().partition(|r| r.mode == Mode::Log);
        Self { side, acting, logging, lengths, longest, heads }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.acting.is_empty() && self.logging.is_empty() && self.lengths.is_empty()
    }

    /// Whether nothing looks at the text itself.
    pub(super) fn is_blind(&self) -> bool {
        self.acting.is_empty() && self.logging.is_empty()
    }

    /// The limits of tokens.
    pub(super) fn lengths(&self) -> impl Iterator<Item = (u64, &Compiled)> {
        self.lengths.iter().filter_map(|r| if let What::Length(limit) = r.what { Some((limit, &**r)) } else { None })
    }

    pub(super) fn logs(&self) -> bool {
        !self.logging.is_empty()
    }

    /// The place up to which it is known what begins, whatever comes behind `text`; not before `from`.
    pub(super) fn settled(&self, text: &str, from: usize) -> usize {
        // A character before and one behind the words.
        let of_patterns = if self.longest > 0 { text.len().saturating_sub(self.longest + 8) } else { text.len() };
        let of_heads = if self.heads { personal::cut(text, from) } else { text.len() };
        let place = of_patterns.min(of_heads).max(from);
        (from..=place).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(from)
    }
}

/// Looks for things from left to right. What was found is remembered until the place is passed, so each rule reads a text once.
pub(super) struct Finder<'a> {
    rules: &'a [Arc<Compiled>],
    next: Vec<Option<Option<Found>>>,
}

impl<'a> Finder<'a> {
    pub(super) fn acting(rules: &'a Rules) -> Self {
        Self::of(&rules.acting)
    }

    pub(super) fn logging(rules: &'a Rules) -> Self {
        Self::of(&rules.logging)
    }

    fn of(rules: &'a [Arc<Compiled>]) -> Self {
        Self { rules, next: vec![None; rules.len()] }
    }

    /// The first thing that begins at `from` or later; of several at one place that of the strictest rule.
    pub(super) fn next(&mut self, text: &str, from: usize) -> Option<Found> {
        let mut best: Option<&Found> = None;
        for (rule, next) in self.rules.iter().zip(&mut self.next) {
            let passed = match next {
                Some(found) => found.as_ref().is_some_and(|f| f.start < from),
                None => true,
            };
            if passed {
                *next = Some(find(rule, text, from));
            }
            let known = next.as_ref().and_then(Option::as_ref);
            best = match (best, known) {
                (Some(a), Some(b)) if (b.start, std::cmp::Reverse(b.rule.mode)) < (a.start, std::cmp::Reverse(a.rule.mode)) => Some(b),
                (None, b) => b,
                (a, _) => a,
            };
        }
        best.cloned()
    }
}

fn find(rule: &Arc<Compiled>, text: &str, from: usize) -> Option<Found> {
    let found = |start, end, tail, kind| Found { start, end, tail, rule: rule.clone(), kind };
    match &rule.what {
        What::Pattern(regex, _) => {
            let mut at = before(text, from);
            loop {
                let words = regex.captures_at(text, at)?.get(1)?;
                if words.start() >= from {
                    return Some(found(words.start(), words.end(), Tail::None, None));
                }
                // It began in what is already done with.
                at += text[at..].chars().next().map_or(1, char::len_utf8);
            }
        }
        What::Personal(kinds) => {
            let hit = personal::next(text, from, *kinds)?;
            Some(found(hit.start, hit.end, hit.tail, Some(hit.kind)))
        }
        What::Links(hosts) => {
            let (start, end) = links::next(text, from, hosts)?;
            Some(found(start, end, Tail::Link, None))
        }
        What::Length(_) => None,
    }
}

/// The place of the character before.
pub(super) fn before(text: &str, at: usize) -> usize {
    text[..at].chars().next_back().map_or(0, |c| at - c.len_utf8())
}

impl Tail {
    /// How many bytes of `text` belong to the tail, and whether it ends there; it may go on behind the text otherwise.
    pub(super) fn take(self, text: &str, last: bool) -> (usize, bool) {
        let while_of = |of: fn(char) -> bool| match text.find(|c| !of(c)) {
            Some(end) => (end, true),
            None => (text.len(), last),
        };
        match self {
            Self::None => (0, true),
            Self::Token { dots: false } => while_of(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-')),
            Self::Token { dots: true } => while_of(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')),
            Self::Link => while_of(|c| !c.is_whitespace() && !matches!(c, '<' | '>' | '"' | '`' | ')' | ']')),
            Self::Pem => pem(text, last),
        }
    }
}

/// A key ends with the dashes behind `-----END`; one that has no end is a key up to where the text ends.
fn pem(text: &str, last: bool) -> (usize, bool) {
    const END: &str = "-----END";
    let Some(at) = text.find(END) else {
        // The mark may be cut.
        let keep = if last { 0 } else { END.len() - 1 };
        let upto = text.len().saturating_sub(keep);
        return ((0..=upto).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0), last);
    };
    // The name of the key is short: what is longer is no mark.
    let rest = &text[at + END.len()..];
    let near = (0..=rest.len().min(PEM_NAME)).rev().find(|i| rest.is_char_boundary(*i)).unwrap_or(0);
    match rest[..near].find("-----") {
        Some(end) => (at + END.len() + end + 5, true),
        None if last || rest.len() > PEM_NAME => (at + END.len(), true),
        None => (at, false),
    }
}

/// Applies the rules to a whole text. Returns it with what was masked replaced, or nothing when it stays as it is.
pub(super) fn whole(rules: &Rules, text: &str, mut placeholder: impl FnMut(PersonalKind, &str) -> String) -> Result<Option<String>> {
    if rules.logs() {
        let (mut finder, mut at) = (Finder::logging(rules), 0);
        while let Some(found) = finder.next(text, at) {
            found.rule.count(rules.side);
            at = found.end + found.tail.take(&text[found.end..], true).0;
        }
    }
    let (mut finder, mut at, mut out) = (Finder::acting(rules), 0, String::new());
    while let Some(found) = finder.next(text, at) {
        found.rule.count(rules.side);
        if found.rule.mode == Mode::Block {
            return Err(refusal(rules.side, &found));
        }
        let end = found.end + found.tail.take(&text[found.end..], true).0;
        out.push_str(&text[at..found.start]);
        out.push_str(&replacement(&found, &text[found.start..end], &mut placeholder));
        at = end;
    }
    if at == 0 {
        return Ok(None);
    }
    out.push_str(&text[at..]);
    Ok(Some(out))
}

/// What stands in the place of what was found.
pub(super) fn replacement(found: &Found, value: &str, placeholder: &mut impl FnMut(PersonalKind, &str) -> String) -> String {
    match (found.kind, &found.rule.what) {
        (Some(kind), _) => placeholder(kind, value),
        (None, What::Links(_)) => "[link removed]".to_owned(),
        (None, _) => "[removed]".to_owned(),
    }
}

impl Rules {
    /// Which side of a call they look at.
    pub(super) fn side(&self) -> Side {
        self.side
    }
}
