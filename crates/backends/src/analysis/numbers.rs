//! Numbers and dates: one form for each way of writing them.

use super::fold::{normalise, without_diacritics};
use super::tokens::Compound;

/// The plain form of a number with separators, the likeliest first: `1,000`, `1 000` and `1.000` are `1000` (the last
/// two also `1.000`, since that may be a decimal), `1.234,50` is `1234.5`. Empty for what is no such number.
#[must_use]
pub fn number_forms(words: &[String], joiners: &[char]) -> Vec<String> {
    let mut forms = Vec::new();
    let digits = words.iter().all(|w| w.bytes().all(|b| b.is_ascii_digit()));
    let Some((last, before)) = joiners.split_last().filter(|_| digits) else { return forms };
    if grouped(words, joiners) {
        forms.push(words.concat());
    }
    if let Some((fraction, whole)) = words.split_last()
        && matches!(last, ',' | '.')
        && (before.is_empty() || (grouped(whole, before) && !before.contains(last)))
    {
        let whole = whole.concat();
        // "2,50" is a price and 2.5; "1.10" is a version and not 1.1.
        let plain = *last == ',' || !before.is_empty();
        let fraction = if plain { fraction.trim_end_matches('0') } else { fraction };
        forms.push(if fraction.is_empty() { whole } else { format!("{whole}.{fraction}") });
    }
    forms
}

/// Whether digits are grouped in threes by one separator: `1,000,000`.
fn grouped(words: &[String], joiners: &[char]) -> bool {
    let first = words.first().map_or(0, String::len);
    matches!(joiners.first(), Some(',' | '.' | ' '))
        && joiners.windows(2).all(|pair| pair[0] == pair[1])
        && (1..=3).contains(&first)
        && words[1..].iter().all(|w| w.len() == 3)
}

/// A date that starts at the first of some compounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Date {
    /// Its forms after ISO 8601, the whole date first: `2026-11-21`, then `2026-11` and `--11-21` for those who ask
    /// for less. A date without year or day has one form.
    pub forms: Vec<String>,
    /// How many compounds it takes.
    pub compounds: usize,
}

/// Reads a date: `2026-11-21`, `21.11.2026`, `21 November 2026`, `November 21, 2026`, `21 listopada 2026`,
/// `21 ноября`, `November 2026`, `21 XI 2026`. Of `03/04/2026` both readings are kept.
#[must_use]
pub fn date_at(compounds: &[Compound<'_>]) -> Option<Date> {
    let first = compounds.first()?;
    if first.joiners.is_empty() || ordinal(first).is_some() {
        return written(compounds);
    }
    let forms = numeric(first)?;
    Some(Date { forms, compounds: 1 })
}

/// `2026-11-21`, `21.11.2026`, `2026-11-21T10:00`, `11.2026`.
fn numeric(compound: &Compound<'_>) -> Option<Vec<String>> {
    let joiner = *compound.joiners.first()?;
    if !matches!(joiner, '-' | '.' | '/') {
        return None;
    }
    let number = |i: usize| compound.parts.get(i).and_then(|part| digits(part.raw));
    let (a, a_len) = number(0)?;
    let (b, b_len) = number(1)?;
    if compound.joiners.get(1) != Some(&joiner) {
        return match (a_len, b_len) {
            (4, 2) => month_of(a, b).map(|form| vec![form]),
            (1..=2, 4) if joiner != '-' => month_of(b, a).map(|form| vec![form]),
            _ => None,
        };
    }
    if compound.joiners.get(2) == Some(&joiner) {
        return None;
    }
    let (c, c_len) = compound.parts.get(2).and_then(|part| digits(part.raw.split(['T', 't']).next().unwrap_or_default()))?;
    match (a_len, b_len, c_len) {
        (4, 1..=2, 1..=2) => full(a, b, c),
        (1..=2, 1..=2, 4) => match (full(c, b, a), if joiner == '/' { full(c, a, b) } else { None }) {
            (Some(mut forms), Some(other)) => {
                forms.extend(other.into_iter().filter(|form| form.len() > 7));
                Some(forms)
            }
            (forms, other) => forms.or(other),
        },
        (2, 2, 2) if joiner == '.' => full(if c < 70 { 2000 + c } else { 1900 + c }, b, a),
        _ => None,
    }
}

/// A date with the name of its month.
fn written(compounds: &[Compound<'_>]) -> Option<Date> {
    let word = |i: usize| compounds.get(i).filter(|c| c.joiners.is_empty() && c.suffix.is_empty()).map(|c| c.parts[0].raw);
    let year = |i: usize| word(i).and_then(digits).filter(|(_, length)| *length == 4).map(|(year, _)| year);
    let day = |i: usize| compounds.get(i).and_then(ordinal);
    let found = |forms: Option<Vec<String>>, compounds| forms.map(|forms| Date { forms, compounds });
    if let Some(day) = day(0) {
        let at = if word(1).is_some_and(|w| w.eq_ignore_ascii_case("of")) { 2 } else { 1 };
        let raw = word(at)?;
        return match (month(raw), year(at + 1)) {
            (Some(month), Some(year)) => found(full(year, month, day), at + 2),
            (Some(month), None) => found(day_of(month, day).map(|form| vec![form]), at + 1),
            (None, Some(year)) => found(full(year, roman_month(raw)?, day), at + 2),
            (None, None) => None,
        };
    }
    // Only next to a number is a word worth looking up.
    let digit = compounds.get(1).is_some_and(|c| c.parts[0].raw.starts_with(|c: char| c.is_ascii_digit()));
    let month = word(0).filter(|_| digit).and_then(month)?;
    if let Some(year) = year(1) {
        return found(month_of(year, month).map(|form| vec![form]), 2);
    }
    match (day(1)?, year(2)) {
        (day, Some(year)) => found(full(year, month, day), 3),
        (day, None) => found(day_of(month, day).map(|form| vec![form]), 2),
    }
}

/// A day of the month: `21`, `21st`, `21-го`.
fn ordinal(compound: &Compound<'_>) -> Option<u32> {
    let raw = match (compound.parts.as_slice(), compound.joiners.as_slice()) {
        ([day], []) => day
            .raw
            .strip_suffix("st")
            .or(day.raw.strip_suffix("nd"))
            .or(day.raw.strip_suffix("rd"))
            .or(day.raw.strip_suffix("th"))
            .unwrap_or(day.raw),
        ([day, ending], ['-']) if matches!(ending.raw, "го" | "е" | "ое") => day.raw,
        _ => return None,
    };
    digits(raw).filter(|(day, length)| *length <= 2 && (1..=31).contains(day)).map(|(day, _)| day)
}

/// The value of up to four digits, and their number.
fn digits(raw: &str) -> Option<(u32, usize)> {
    let fits = (1..=4).contains(&raw.len()) && raw.bytes().all(|b| b.is_ascii_digit());
    if fits { raw.parse().ok().map(|value| (value, raw.len())) } else { None }
}

fn full(year: u32, month: u32, day: u32) -> Option<Vec<String>> {
    let rest = day_of(month, day)?;
    Some(vec![format!("{year:04}{}", &rest[1..]), month_of(year, month)?, rest])
}

fn month_of(year: u32, month: u32) -> Option<String> {
    ((1000..=2999).contains(&year) && (1..=12).contains(&month)).then(|| format!("{year:04}-{month:02}"))
}

fn day_of(month: u32, day: u32) -> Option<String> {
    ((1..=12).contains(&month) && (1..=31).contains(&day)).then(|| format!("--{month:02}-{day:02}"))
}

/// Names of months by number, without diacritics, whole; Russian ones without their endings, marked by a final `*`.
const MONTHS: [&[&str]; 12] = [
    &["january", "jan", "styczen", "stycznia", "styczniu", "styczniem", "январ*"],
    &["february", "feb", "luty", "lutego", "lutym", "феврал*"],
    &["march", "mar", "marzec", "marca", "marcu", "marcem", "март*"],
    &["april", "apr", "kwiecien", "kwietnia", "kwietniu", "kwietniem", "апрел*"],
    &["may", "maj", "maja", "maju", "majem", "май", "мая", "мае", "маю"],
    &["june", "jun", "czerwiec", "czerwca", "czerwcu", "czerwcem", "июн*"],
    &["july", "jul", "lipiec", "lipca", "lipcu", "lipcem", "июл*"],
    &["august", "aug", "sierpien", "sierpnia", "sierpniu", "sierpniem", "август*"],
    &["september", "sep", "sept", "wrzesien", "wrzesnia", "wrzesniu", "wrzesniem", "сентябр*"],
    &["october", "oct", "pazdziernik", "pazdziernika", "pazdzierniku", "pazdziernikiem", "октябр*"],
    &["november", "nov", "listopad", "listopada", "listopadzie", "listopadem", "ноябр*"],
    &["december", "dec", "grudzien", "grudnia", "grudniu", "grudniem", "декабр*"],
];

fn month(raw: &str) -> Option<u32> {
    let word = normalise(raw);
    let word = without_diacritics(&word).unwrap_or(word);
    let named = |name: &&str| match name.strip_suffix('*') {
        Some(start) => word.strip_prefix(start).is_some_and(|ending| ending.chars().count() <= 2),
        None => **name == word,
    };
    MONTHS.iter().zip(1..).find(|(names, _)| names.iter().any(named)).map(|(_, number)| number)
}

fn roman_month(raw: &str) -> Option<u32> {
    let numerals = ["I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII"];
    numerals.iter().zip(1..).find(|(numeral, _)| **numeral == raw).map(|(_, number)| number)
}
