//! Links in answers whose hosts are not listed. What a browser or a Markdown reader would take for an address counts, not what is well written.

use std::sync::LazyLock;

use regex::Regex;

/// The hosts that are let through.
pub(super) struct Hosts {
    exact: Vec<String>,
    /// With the dot before them.
    below: Vec<String>,
}

impl Hosts {
    pub(super) fn new(hosts: &[String]) -> Self {
        let lower: Vec<String> = hosts.iter().map(|h| h.to_lowercase()).collect();
        let below = lower.iter().filter_map(|h| h.strip_prefix('*').map(str::to_owned)).collect();
        Self { exact: lower.into_iter().filter(|h| !h.starts_with('*')).collect(), below }
    }

    fn has(&self, host: &str) -> bool {
        self.exact.iter().any(|h| h == host) || self.below.iter().any(|h| host.ends_with(h.as_str()) && host.len() > h.len())
    }
}

/// Characters of a host that are looked at. A longer one is on no list.
const LONGEST_HOST: usize = 64;

/// Bytes from the bracket of a link to its slashes at most.
const BRACKET: usize = 40;

/// A scheme that leads to a host, with what browsers forgive (WHATWG URL: slashes that lean back or are missing) and what Markdown undoes (entities
/// and backslashes, CommonMark 2.4 and 2.5), or two slashes where a link begins. Then the host, with whatever stands before an `@`.
static LINK: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let colon = r"\\?(?::|&colon;|&#0{0,6}58;|&#x0{0,6}3a;)";
    let slash = r"(?:\\?/|\\|&sol;|&#0{0,6}47;|&#x0{0,6}2f;)";
    let bracket = r#"(?:\]\(\s{0,8}<?|\]:\s{0,8}<?|(?:src|href)\s{0,3}=\s{0,3}["']?)"#;
    let host = r##"[^\s/\\?#<>"'()\[\]{}|^`]{1,64}"##;
    Regex::new(&format!(r"(?i)(?:(?:https?|wss?|ftps?){colon}{slash}{{0,4}}|{bracket}({slash}{{2,4}}))({host})")).ok()
});

/// Head and host of the first link at `from` or later whose host is not listed.
pub(super) fn next(text: &str, from: usize, hosts: &Hosts) -> Option<(usize, usize)> {
    let link = LINK.as_ref()?;
    // The bracket may be done with already.
    let mut at = (from.saturating_sub(BRACKET)..=from).find(|i| text.is_char_boundary(*i))?;
    loop {
        let found = link.captures_at(text, at)?;
        let (whole, host) = (found.get(0)?, found.get(2)?);
        let start = found.get(1).map_or(whole.start(), |slashes| slashes.start());
        at = whole.end();
        if start >= from && !is_word_joined(text, start) && !is_listed(text, host.as_str(), host.end(), hosts) {
            return Some((start, host.end()));
        }
    }
}

/// Whether a host is on the list and ends where it seems to: a browser takes `good.example'.bad.example` for one host.
fn is_listed(text: &str, host: &str, end: usize, hosts: &Hosts) -> bool {
    let mut behind = text[end..].chars();
    let goes_on = match behind.next() {
        Some('\'' | '(' | '{' | '}' | '|' | '^' | '`' | '[') => behind.next().is_some_and(|c| c.is_alphanumeric() || c == '.'),
        _ => false,
    };
    host.chars().count() < LONGEST_HOST && !host.contains('%') && !goes_on && hosts.has(&name(host))
}

/// Whether the scheme is the end of a longer word, such as the one of `notahttp:`.
fn is_word_joined(text: &str, start: usize) -> bool {
    text.as_bytes()[start].is_ascii_alphabetic() && text[..start].chars().next_back().is_some_and(char::is_alphanumeric)
}

/// The name of the host: without user, port and the dot of the root, in small letters.
fn name(host: &str) -> String {
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    let host = host.split_once(':').map_or(host, |(host, _)| host);
    host.trim_end_matches(['.', ',', ';', '!', '*', '_']).to_lowercase()
}
