//! Numbers that are somebody's: cards, telephones, numbers of persons and taxpayers, IPv4 addresses.

use super::{
    PersonalKind,
    personal::{is_word_at, is_word_before},
};

/// Bytes of a number with its separators at most.
const LONGEST: usize = 48;

/// Runs of digits of a number at most.
const RUNS: usize = 10;

/// Digits of a number at least.
const LEAST: usize = 7;

/// A number: runs of digits, and what stands between them. It lives on the stack: a text may be full of numbers that are nothing.
struct Number<'a> {
    text: &'a str,
    at: usize,
    plus: bool,
    count: usize,
    /// Where runs begin and end.
    runs: [(usize, usize); RUNS],
    /// How long they are.
    lengths: [usize; RUNS],
    /// Their digits one after another.
    digits: [u8; LONGEST],
    /// How many digits there are up to the end of each run.
    upto: [usize; RUNS],
}

/// What the number is that begins here: the one that reaches farthest.
pub(super) fn find(text: &str, at: usize, wanted: impl Fn(PersonalKind) -> bool) -> Option<(usize, PersonalKind)> {
    let number = Number::read(text, at)?;
    for count in (1..=number.count).rev() {
        let end = number.runs[count - 1].1;
        // Nothing that has a name is shorter, but for addresses.
        if number.upto[count - 1] < LEAST && count != 4 || is_word_at(text, end) {
            continue;
        }
        let kind = number.kind(count).filter(|kind| wanted(*kind));
        if let Some(kind) = kind {
            return Some((end, kind));
        }
    }
    None
}

impl<'a> Number<'a> {
    fn read(text: &'a str, at: usize) -> Option<Self> {
        let bytes = text.as_bytes();
        if at > 0 {
            // In the middle of something longer.
            let inside = matches!(bytes[at - 1], b'.' | b'-' | b'/' | b',' | b':') && at > 1 && bytes[at - 2].is_ascii_digit();
            if inside || bytes[at - 1] == b'+' || is_word_before(text, at) {
                return None;
            }
        }
        let plus = bytes[at] == b'+';
        let mut number = Self { text, at, plus, count: 0, runs: [(0, 0); RUNS], lengths: [0; RUNS], digits: [0; LONGEST], upto: [0; RUNS] };
        let mut i = at + usize::from(plus || bytes[at] == b'(');
        let limit = bytes.len().min(at + LONGEST);
        let mut total = 0;
        while number.count < RUNS {
            let (start, before) = (i, total);
            while i < limit && bytes[i].is_ascii_digit() {
                number.digits[total] = bytes[i] - b'0';
                total += 1;
                i += 1;
            }
            // A run that goes on behind the limit is no part of it.
            if i == start || i == limit && bytes.get(i).is_some_and(u8::is_ascii_digit) {
                break;
            }
            number.runs[number.count] = (start, i);
            number.lengths[number.count] = total - before;
            number.upto[number.count] = total;
            number.count += 1;
            let gap = gap(&bytes[i..limit]);
            if gap == 0 {
                break;
            }
            i += gap;
        }
        (number.count > 0).then_some(number)
    }

    fn between(&self, i: usize) -> &'a str {
        &self.text[self.runs[i].1..self.runs[i + 1].0]
    }

    fn shape(&self, count: usize) -> &[usize] {
        &self.lengths[..count]
    }

    /// Whether the first runs are all joined by the same one of these.
    fn joined(&self, count: usize, by: &[&str]) -> bool {
        count < 2 || by.contains(&self.between(0)) && (1..count - 1).all(|i| self.between(i) == self.between(0))
    }

    fn kind(&self, count: usize) -> Option<PersonalKind> {
        let digits = &self.digits[..self.upto[count - 1]];
        let alone = count == 1 && !self.plus && self.text.as_bytes()[self.at] != b'(';
        if !self.plus && self.is_ip(count) {
            return Some(PersonalKind::Ip);
        }
        if !self.plus && self.is_card(count, digits) {
            return Some(PersonalKind::Card);
        }
        if alone && is_pesel(digits) {
            return Some(PersonalKind::Pesel);
        }
        if !self.plus && self.is_snils(count, digits) {
            return Some(PersonalKind::Snils);
        }
        if alone && (is_inn_12(digits) || is_inn_10(digits) && self.follows(&["инн", "inn"])) {
            return Some(PersonalKind::Inn);
        }
        self.is_phone(count, digits).then_some(PersonalKind::Phone)
    }

    /// Whether one of these words stands before it, but for marks.
    fn follows(&self, words: &[&str]) -> bool {
        let mut from = self.at.saturating_sub(32);
        while !self.text.is_char_boundary(from) {
            from += 1;
        }
        let before = self.text[from..self.at].to_lowercase();
        let before = before.trim_end_matches(|c: char| !c.is_alphabetic());
        words.iter().any(|w| before.strip_suffix(w).is_some_and(|rest| !rest.ends_with(char::is_alphabetic)))
    }

    fn is_ip(&self, count: usize) -> bool {
        let dots = |n: usize| (0..n).all(|i| self.between(i) == ".");
        if count != 4 || !dots(3) || self.count > 4 && self.between(3) == "." {
            return false;
        }
        let Ok(address) = self.text[self.runs[0].0..self.runs[3].1].parse::<std::net::Ipv4Addr>() else { return false };
        let own = address.is_loopback() || address.is_unspecified() || address.octets()[0] >= 224;
        !own && !self.follows(&["version", "ver", "wersja", "wersji", "версия", "версии", "v"])
    }

    /// Luhn's digit and the prefix of an issuer, in the groups that are embossed.
    fn is_card(&self, count: usize, digits: &[u8]) -> bool {
        let grouped = count == 1 || {
            let shape = self.shape(count);
            let four = shape[..shape.len() - 1].iter().all(|n| *n == 4)
                && (4..=5).contains(&shape.len())
                && (1..=4).contains(&shape[shape.len() - 1]);
            (four || shape == [4, 6, 5]) && self.joined(count, &[" ", "-", "\u{a0}"])
        };
        grouped && is_issuers(digits) && luhn(digits)
    }

    fn is_snils(&self, count: usize, digits: &[u8]) -> bool {
        let formed = match count {
            1 => true,
            4 => {
                self.shape(4) == [3, 3, 3, 2]
                    && self.between(0) == self.between(1)
                    && [" ", "-"].contains(&self.between(0))
                    && [" ", "-"].contains(&self.between(2))
            }
            _ => false,
        };
        formed && is_snils(digits)
    }

    fn is_phone(&self, count: usize, digits: &[u8]) -> bool {
        const LABELS: &[&str] = &[
            "tel",
            "telefon",
            "telefonu",
            "phone",
            "mobile",
            "cell",
            "call",
            "fax",
            "faks",
            "kom",
            "komórka",
            "komórkowy",
            "numer telefonu",
            "zadzwoń",
            "dzwoń",
            "тел",
            "телефон",
            "телефона",
            "телефону",
            "моб",
            "мобильный",
            "звоните",
            "позвоните",
            "факс",
            "номер телефона",
            "whatsapp",
            "viber",
        ];
        let total = digits.len();
        if count < self.count && matches!(self.between(count - 1), "-" | ".") {
            return false;
        }
        if self.plus {
            return match digits {
                [4, 8, ..] | [7, ..] | [1, ..] => total == 11,
                [3, 8, 0, ..] | [3, 7, 5, ..] | [4, 4, ..] => total == 12,
                _ => (8..=13).contains(&total),
            };
        }
        let shape = self.shape(count);
        if digits.starts_with(&[0, 0]) && digits.get(2).is_some_and(|d| *d != 0) && self.runs[0].1 - self.runs[0].0 >= 3 {
            return (12..=15).contains(&total) && (count > 1 || self.follows(LABELS));
        }
        let brackets = self.text.as_bytes()[self.at] == b'(';
        match *shape {
            // 8 (495) 123-45-67, 8 800 555-35-35, 8-916-123-45-67
            [1, 3, 3, 2, 2] | [1, 3, 3, 4] | [1, 4, 2, 2, 2] => matches!(digits[0], 7 | 8),
            // 89161234567
            [11] => digits.starts_with(&[8, 9]) || digits.starts_with(&[7, 9]) && self.follows(LABELS),
            [3, 3, 4] => brackets || self.joined(3, &["-", "."]) && digits[0] > 1 || self.follows(LABELS),
            [3, 3, 3] => self.joined(3, &["-"]) && digits[0] > 0 || self.follows(LABELS),
            // (22) 123 45 67, 22 123 45 67
            [2, 3, 2, 2] => brackets || self.joined(4, &[" ", "-"]) && digits[0] > 0,
            [2, 7] => brackets || self.follows(LABELS),
            [3, 3, 2, 2] => brackets || self.follows(LABELS),
            [7..=10] | [3, 4] | [3, 2, 2] => self.follows(LABELS),
            _ => false,
        }
    }
}

/// The length of what separates two runs: a space, a hyphen, a dot, or a bracket with one of them.
fn gap(bytes: &[u8]) -> usize {
    let digit = |i: usize| bytes.get(i).is_some_and(u8::is_ascii_digit);
    match bytes {
        [b' ' | b'-' | b'.' | b')' | b'(', ..] if digit(1) => 1,
        [0xc2, 0xa0, ..] if digit(2) => 2,
        [b')', b' ' | b'-', ..] | [b' ' | b'-', b'(', ..] if digit(2) => 2,
        _ => 0,
    }
}

/// Luhn's check digit (ISO/IEC 7812-1, annex B).
fn luhn(digits: &[u8]) -> bool {
    let doubled = |d: u8| if d > 4 { d * 2 - 9 } else { d * 2 };
    let sum: u32 = digits.iter().rev().enumerate().map(|(i, d)| u32::from(if i % 2 == 1 { doubled(*d) } else { *d })).sum();
    sum.is_multiple_of(10)
}

/// Whether an issuer of payment cards has numbers of this beginning and length.
fn is_issuers(digits: &[u8]) -> bool {
    let first = |n: usize| digits.iter().take(n).fold(0u32, |sum, d| sum * 10 + u32::from(*d));
    match digits.len() {
        13 => first(1) == 4,
        14 => matches!(first(2), 36 | 38) || matches!(first(3), 300..=305),
        15 => matches!(first(2), 34 | 37),
        16 => {
            matches!(first(2), 40..=49 | 51..=55 | 35 | 62 | 65)
                || matches!(first(4), 2200..=2204 | 2221..=2720 | 6011)
                || matches!(first(2), 50 | 56..=58 | 67)
        }
        17..=19 => matches!(first(2), 40..=49 | 50 | 56..=58 | 62 | 67) || matches!(first(4), 2200..=2204),
        _ => false,
    }
}

fn weighted(digits: &[u8], weights: &[u32]) -> u32 {
    digits.iter().zip(weights).map(|(d, w)| u32::from(*d) * w).sum()
}

/// The date of birth, the century in its month, and the check digit (Dz.U. 2010 nr 217 poz. 1427, art. 15 ff.).
fn is_pesel(digits: &[u8]) -> bool {
    if digits.len() != 11 {
        return false;
    }
    let two = |i: usize| u32::from(digits[i]) * 10 + u32::from(digits[i + 1]);
    let dated = (1..=12).contains(&(two(2) % 20)) && (1..=31).contains(&two(4));
    dated && (10 - weighted(digits, &[1, 3, 7, 9, 1, 3, 7, 9, 1, 3]) % 10) % 10 == u32::from(digits[10])
}

/// The check number of the Pension Fund: it is reckoned for numbers above 001-001-998.
fn is_snils(digits: &[u8]) -> bool {
    if digits.len() != 11 || digits[..9] <= [0, 0, 1, 0, 0, 1, 9, 9, 8][..] {
        return false;
    }
    let sum = weighted(digits, &[9, 8, 7, 6, 5, 4, 3, 2, 1]) % 101 % 100;
    sum == u32::from(digits[9]) * 10 + u32::from(digits[10])
}

/// A company's number: ten digits, the last of which checks.
fn is_inn_10(digits: &[u8]) -> bool {
    digits.len() == 10 && digits[..2] != [0, 0] && weighted(digits, &[2, 4, 10, 3, 5, 9, 4, 6, 8]) % 11 % 10 == u32::from(digits[9])
}

/// A person's number: twelve digits, the last two of which check.
fn is_inn_12(digits: &[u8]) -> bool {
    digits.len() == 12
        && digits[..2] != [0, 0]
        && weighted(digits, &[7, 2, 4, 10, 3, 5, 9, 4, 6, 8]) % 11 % 10 == u32::from(digits[10])
        && weighted(digits, &[3, 7, 2, 4, 10, 3, 5, 9, 4, 6, 8]) % 11 % 10 == u32::from(digits[11])
}
