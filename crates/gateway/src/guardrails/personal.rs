//! Personal data and secrets in text: what has a form or a check sum that chance seldom gives.
//!
//! One pass from left to right; most characters are looked at once. Numbers without a form of their own (nine digits, ten digits) count only
//! behind a word that says what they are, because a number of tickets or bytes is no telephone.

use serde::{Deserialize, Serialize};

use super::scan::{LONGEST_HEAD, Tail};

/// A kind of personal data or secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PersonalKind {
    /// An e-mail address.
    Email,
    /// A telephone number.
    Phone,
    /// A payment card: issuer's prefix and Luhn's check digit (ISO/IEC 7812).
    Card,
    /// A bank account: length of the country and mod 97 (ISO 13616).
    Iban,
    /// The Polish number of a person, with date and check digit.
    Pesel,
    /// The Russian number of a pension account, with its check number.
    Snils,
    /// The Russian number of a taxpayer, with its check digits.
    Inn,
    /// An address of the Internet Protocol that is not this machine's own.
    Ip,
    /// A key or token by its prefix, a JWT, or a private key in PEM.
    Secret,
}

impl PersonalKind {
    const ALL: [Self; 9] = [Self::Email, Self::Phone, Self::Card, Self::Iban, Self::Pesel, Self::Snils, Self::Inn, Self::Ip, Self::Secret];

    /// The word in placeholders, such as `[EMAIL_1]`.
    pub(super) fn tag(self) -> &'static str {
        match self {
            Self::Email => "EMAIL",
            Self::Phone => "PHONE",
            Self::Card => "CARD",
            Self::Iban => "IBAN",
            Self::Pesel => "PESEL",
            Self::Snils => "SNILS",
            Self::Inn => "INN",
            Self::Ip => "IP",
            Self::Secret => "SECRET",
        }
    }

    /// The placeholder in an answer, where nothing is put back.
    pub(super) fn unnumbered(self) -> String {
        format!("[{}]", self.tag())
    }

    /// What it is, for people.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Email => "an e-mail address",
            Self::Phone => "a telephone number",
            Self::Card => "the number of a payment card",
            Self::Iban => "the number of a bank account",
            Self::Pesel => "a PESEL",
            Self::Snils => "a SNILS",
            Self::Inn => "an INN",
            Self::Ip => "an IP address",
            Self::Secret => "a key or token",
        }
    }
}

/// A set of kinds.
#[derive(Clone, Copy)]
pub(super) struct Kinds(u16);

impl Kinds {
    /// Those of a list; all when it is empty.
    pub(super) fn of(list: &[PersonalKind]) -> Self {
        let list = if list.is_empty() { &PersonalKind::ALL[..] } else { list };
        Self(list.iter().fold(0, |set, kind| set | 1 << *kind as u16))
    }

    fn has(self, kind: PersonalKind) -> bool {
        self.0 & 1 << kind as u16 != 0
    }
}

/// A find: its head, and what more belongs to it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Hit {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) kind: PersonalKind,
    pub(super) tail: Tail,
}

/// The first thing that begins at `from` or later.
pub(super) fn next(text: &str, from: usize, kinds: Kinds) -> Option<Hit> {
    let bytes = text.as_bytes();
    let (mut at, mut sign) = (from, 0);
    while at < bytes.len() {
        let c = bytes[at];
        if c >= 0x80 {
            let Some(letter) = text[at..].chars().next() else { break };
            if is_letter(letter) {
                if let Some(hit) = email_near(text, at, &mut sign, kinds) {
                    return Some(hit);
                }
                at = skip_word(text, at);
            } else {
                at += letter.len_utf8();
            }
            continue;
        }
        let (is_word, is_mark) = (c.is_ascii_alphanumeric(), matches!(c, b'+' | b'(' | b'-' | b':'));
        if !is_word && !is_mark {
            at += 1;
            continue;
        }
        let hit = if is_mark && !matches!(c, b'-' | b':') && !bytes.get(at + 1).is_some_and(u8::is_ascii_digit) {
            None
        } else {
            begins(text, at, c, &mut sign, kinds)
        };
        if hit.is_some() {
            return hit;
        }
        at = if is_word { skip_word(text, at) } else { at + 1 };
    }
    None
}

/// Whatever begins at the first character of a word or at a mark.
fn begins(text: &str, at: usize, c: u8, sign: &mut usize, kinds: Kinds) -> Option<Hit> {
    if c != b'-' && c != b'(' && is_word_before(text, at) {
        return None;
    }
    let head = |end: usize, kind| Some(Hit { start: at, end, kind, tail: Tail::None });
    if kinds.has(PersonalKind::Secret)
        && let Some((end, tail)) = secret(text, at)
    {
        return Some(Hit { start: at, end, kind: PersonalKind::Secret, tail });
    }
    if c.is_ascii_uppercase()
        && kinds.has(PersonalKind::Iban)
        && let Some(end) = iban(text, at)
    {
        return head(end, PersonalKind::Iban);
    }
    if (c.is_ascii_hexdigit() || c == b':')
        && kinds.has(PersonalKind::Ip)
        && let Some(end) = ipv6(text, at)
    {
        return head(end, PersonalKind::Ip);
    }
    if let Some(hit) = email_near(text, at, sign, kinds) {
        return Some(hit);
    }
    if matches!(c, b'0'..=b'9' | b'+' | b'(') {
        let (end, kind) = super::personal_numbers::find(text, at, |kind| kinds.has(kind))?;
        return head(end, kind);
    }
    None
}

/// Behind the word that begins here: nothing else begins inside it.
fn skip_word(text: &str, at: usize) -> usize {
    text[at..].find(|c: char| !is_letter(c)).map_or(text.len(), |end| at + end)
}

/// Whether a character is a letter or digit: the alphabets of our languages without a look at the tables.
fn is_letter(c: char) -> bool {
    match c {
        '\0'..='\x7f' => c.is_ascii_alphanumeric(),
        '\u{c0}'..='\u{24f}' => !matches!(c, '×' | '÷'),
        '\u{400}'..='\u{481}' | '\u{48a}'..='\u{52f}' => true,
        _ => c.is_alphanumeric(),
    }
}

pub(super) fn is_word_before(text: &str, at: usize) -> bool {
    text[..at].chars().next_back().is_some_and(|c| is_letter(c) || c == '_')
}

pub(super) fn is_word_at(text: &str, at: usize) -> bool {
    text[at..].chars().next().is_some_and(|c| is_letter(c) || c == '_')
}

/// An e-mail address, if there is an `@` near. `sign` is where the next one is, so that a text without any is not searched again and again.
fn email_near(text: &str, at: usize, sign: &mut usize, kinds: Kinds) -> Option<Hit> {
    if !kinds.has(PersonalKind::Email) || *sign == usize::MAX {
        return None;
    }
    if *sign <= at {
        *sign = memchr::memchr(b'@', &text.as_bytes()[at..]).map_or(usize::MAX, |i| at + i);
    }
    if sign.wrapping_sub(at) > 64 {
        return None;
    }
    let end = email(text, at)?;
    Some(Hit { start: at, end, kind: PersonalKind::Email, tail: Tail::None })
}

/// The end of the address that begins here: a name of 64 bytes at most, and a domain with a dot (RFC 5321, 4.5.3.1).
fn email(text: &str, at: usize) -> Option<usize> {
    const MARKS: &str = "._%+-'";
    // The address begins with the first letter behind whatever is no part of a name.
    let mut start = at;
    while start > 0 && at - start < 8 && MARKS.as_bytes().contains(&text.as_bytes()[start - 1]) {
        start -= 1;
    }
    if at - start == 8 || is_word_before(text, start) {
        return None;
    }
    let name = text[at..].find(|c: char| !(is_letter(c) || MARKS.contains(c)))?;
    if name > 64 || text.as_bytes()[at + name] != b'@' || text.as_bytes()[at + name - 1] == b'.' {
        return None;
    }
    let begin = at + name + 1;
    let all = text[begin..].find(|c: char| !(is_letter(c) || c == '.' || c == '-')).unwrap_or(text.len() - begin);
    let mut length = all.min(255);
    while !text.is_char_boundary(begin + length) {
        length -= 1;
    }
    let domain = text[begin..begin + length].trim_end_matches(['.', '-']);
    let (host, top) = domain.rsplit_once('.')?;
    let is_top = top.chars().count() >= 2
        && top.chars().all(|c| c.is_alphabetic() || c == '-' || c.is_numeric())
        && top.starts_with(char::is_alphabetic);
    (!host.is_empty() && !host.starts_with(['.', '-']) && !domain.contains("..") && is_top).then_some(begin + domain.len())
}

/// Bytes of an IBAN by country, from the registry of ISO 13616.
const IBANS: &[(&[u8; 2], usize)] = &[
    (b"AD", 24),
    (b"AE", 23),
    (b"AL", 28),
    (b"AT", 20),
    (b"AZ", 28),
    (b"BA", 20),
    (b"BE", 16),
    (b"BG", 22),
    (b"BH", 22),
    (b"BR", 29),
    (b"BY", 28),
    (b"CH", 21),
    (b"CR", 22),
    (b"CY", 28),
    (b"CZ", 24),
    (b"DE", 22),
    (b"DK", 18),
    (b"DO", 28),
    (b"EE", 20),
    (b"EG", 29),
    (b"ES", 24),
    (b"FI", 18),
    (b"FO", 18),
    (b"FR", 27),
    (b"GB", 22),
    (b"GE", 22),
    (b"GI", 23),
    (b"GL", 18),
    (b"GR", 27),
    (b"GT", 28),
    (b"HR", 21),
    (b"HU", 28),
    (b"IE", 22),
    (b"IL", 23),
    (b"IQ", 23),
    (b"IS", 26),
    (b"IT", 27),
    (b"JO", 30),
    (b"KW", 30),
    (b"KZ", 20),
    (b"LB", 28),
    (b"LI", 21),
    (b"LT", 20),
    (b"LU", 20),
    (b"LV", 21),
    (b"MC", 27),
    (b"MD", 24),
    (b"ME", 22),
    (b"MK", 19),
    (b"MT", 31),
    (b"NL", 18),
    (b"NO", 15),
    (b"PK", 24),
    (b"PL", 28),
    (b"PS", 29),
    (b"PT", 25),
    (b"QA", 29),
    (b"RO", 24),
    (b"RS", 22),
    (b"RU", 33),
    (b"SA", 24),
    (b"SE", 24),
    (b"SI", 19),
    (b"SK", 24),
    (b"SM", 27),
    (b"TN", 24),
    (b"TR", 26),
    (b"UA", 29),
    (b"VA", 22),
    (b"XK", 20),
];

/// The end of the IBAN that begins here, written together or in groups.
fn iban(text: &str, at: usize) -> Option<usize> {
    let bytes = &text.as_bytes()[at..];
    if bytes.len() < 15 || !bytes[1].is_ascii_uppercase() || !bytes[2].is_ascii_digit() || !bytes[3].is_ascii_digit() {
        return None;
    }
    let (_, length) = IBANS.iter().find(|(country, _)| country[..] == bytes[..2])?;
    let (mut remainder, mut count, mut end) = (0u32, 0, 0);
    let mut last = [0u8; 4];
    while count < *length {
        match *bytes.get(end)? {
            b' ' | b'-' if count > 0 && count % 4 == 0 && bytes[end - 1].is_ascii_alphanumeric() => {}
            c if c.is_ascii_digit() || c.is_ascii_uppercase() => {
                // The first four go to the end.
                if count < 4 {
                    last[count] = c
                } else {
                    remainder = mod_97(remainder, c)
                }
                count += 1;
            }
            _ => return None,
        }
        end += 1;
    }
    let remainder = last.into_iter().fold(remainder, mod_97);
    (remainder == 1 && !is_word_at(text, at + end)).then_some(at + end)
}

fn mod_97(remainder: u32, c: u8) -> u32 {
    match c {
        b'0'..=b'9' => (remainder * 10 + u32::from(c - b'0')) % 97,
        _ => (remainder * 100 + u32::from(c - b'A') + 10) % 97,
    }
}

/// The end of the IPv6 address that begins here (RFC 4291), unless it is this machine's own.
fn ipv6(text: &str, at: usize) -> Option<usize> {
    let bytes = &text.as_bytes()[at..];
    if !bytes.iter().take(5).any(|b| *b == b':') || bytes[0] == b':' && bytes.get(1) != Some(&b':') {
        return None;
    }
    if at > 0 && matches!(text.as_bytes()[at - 1], b':' | b'.') {
        return None;
    }
    let run = bytes.iter().take(46).take_while(|b| b.is_ascii_hexdigit() || matches!(b, b':' | b'.')).count();
    let mut candidate = text[at..at + run].trim_end_matches('.');
    if candidate.ends_with(':') && !candidate.ends_with("::") {
        candidate = &candidate[..candidate.len() - 1];
    }
    let address: std::net::Ipv6Addr = candidate.parse().ok()?;
    let end = at + candidate.len();
    // `add::dec` is a name in a program.
    let plausible = candidate.bytes().any(|b| b.is_ascii_digit()) && !address.is_loopback() && !address.is_unspecified();
    (plausible && !is_word_at(text, end)).then_some(end)
}

/// Prefixes of keys and tokens, with how many characters at least follow.
const PREFIXES: &[(&str, usize)] = &[
    ("AIza", 35),
    ("AKIA", 16),
    ("ASIA", 16),
    ("SG.", 22),
    ("astro_", 20),
    ("dop_v1_", 40),
    ("gho_", 36),
    ("ghp_", 36),
    ("ghr_", 36),
    ("ghs_", 36),
    ("ghu_", 36),
    ("github_pat_", 22),
    ("glpat-", 20),
    ("gsk_", 30),
    ("hf_", 30),
    ("npm_", 36),
    ("pk_live_", 20),
    ("pypi-", 40),
    ("rk_live_", 20),
    ("sk-", 20),
    ("sk_live_", 20),
    ("sk_test_", 20),
    ("whsec_", 20),
    ("xai-", 30),
    ("xapp-", 20),
    ("xoxa-", 10),
    ("xoxb-", 10),
    ("xoxp-", 10),
    ("xoxr-", 10),
    ("xoxs-", 10),
];

/// The head of the key or token that begins here, and its tail.
fn secret(text: &str, at: usize) -> Option<(usize, Tail)> {
    let rest = &text[at..];
    let first = rest.as_bytes()[0];
    if first == b'-' {
        return pem(rest).map(|length| (at + length, Tail::Pem));
    }
    if first == b'e' && rest.starts_with("eyJ") {
        return jwt(rest).map(|length| (at + length, Tail::Token { dots: true }));
    }
    let (prefix, least) = PREFIXES.iter().find(|(prefix, _)| prefix.as_bytes()[0] == first && rest.starts_with(prefix))?;
    let body = rest.as_bytes()[prefix.len()..].iter().take(*least);
    let (mut count, mut digits, mut upper, mut lower) = (0, 0, 0, 0);
    for b in body.take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-')) {
        count += 1;
        digits += usize::from(b.is_ascii_digit());
        upper += usize::from(b.is_ascii_uppercase());
        lower += usize::from(b.is_ascii_lowercase());
    }
    // Words joined by hyphens are no key; nobody draws twenty letters of one case.
    (count == *least && (digits > 0 || upper > 0 && lower > 0))
        .then_some((at + prefix.len() + count, Tail::Token { dots: *prefix == "SG." }))
}

/// The length of `-----BEGIN … PRIVATE KEY-----` (RFC 7468).
fn pem(rest: &str) -> Option<usize> {
    let name = rest.strip_prefix("-----BEGIN ")?;
    let length = name.bytes().take(40).take_while(|b| b.is_ascii_uppercase() || *b == b' ').count();
    (name[..length].ends_with("PRIVATE KEY") && name[length..].starts_with("-----")).then_some("-----BEGIN ".len() + length + 5)
}

/// The length of a JWT's head (RFC 7519): its header, which is JSON in base64url, and the beginning of its claims.
fn jwt(rest: &str) -> Option<usize> {
    let header = rest.bytes().take(250).take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-')).count();
    (header >= 12 && rest[header..].starts_with(".eyJ")).then_some(header + 4)
}

/// The place up to which it is known what begins in a text that may go on: behind the last white space that is inside of nothing, or else so far
/// from the end that no head reaches it. Not before `from`.
pub(super) fn cut(text: &str, from: usize) -> usize {
    let least = text.len().saturating_sub(LONGEST_HEAD).max(from);
    let mut end = text.len();
    while let Some((at, c)) = text[..end].char_indices().next_back() {
        if end <= least {
            break;
        }
        // Behind a letter nothing goes on but an IBAN, or the first line of a key.
        if c.is_whitespace() && is_border(text, at) {
            return end;
        }
        end = at;
    }
    least
}

fn is_border(text: &str, space: usize) -> bool {
    let closed =
        text[..space].trim_end().chars().next_back().is_none_or(|c| c.is_alphabetic() || matches!(c, ',' | ';' | '!' | '?' | '"' | '.'));
    if !closed {
        return false;
    }
    let mut near = space.saturating_sub(48);
    while !text.is_char_boundary(near) {
        near += 1;
    }
    let window = &text.as_bytes()[near..space];
    let iban =
        window.windows(4).any(|w| w[0].is_ascii_uppercase() && w[1].is_ascii_uppercase() && w[2].is_ascii_digit() && w[3].is_ascii_digit());
    !iban && !window.windows(2).any(|w| w == b"--")
}
