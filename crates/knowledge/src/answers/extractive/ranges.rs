//! Numbers that a question gives as a condition, and the ranges of a sentence they fall into.
//!
//! "For a purchase of 40 thousand" is answered by the row `10 000–100 000`, "at six in the morning" by "between 05:30 and 07:30": no word is shared, the
//! value lies inside. Only evidence: the scorer adds it to the rest.

use super::numbers::number_value;

/// A half-open condition on a value.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Range {
    low: f64,
    high: f64,
}

/// A number with its place among the words.
#[derive(Debug, Clone, Copy)]
struct Found {
    at: usize,
    value: f64,
}

/// The values a question names: `40 tysięcy` → 40000, `six` → 6, `05:30` → 5.5. Years and codes are names, not conditions.
pub(super) fn values(question: &str) -> Vec<f64> {
    let words = words(question);
    numbers(&words).into_iter().map(|n| n.value).filter(|v| !(1900.0..2100.0).contains(v)).collect()
}

/// True when a range of the sentence holds one of the values, and is no point.
pub(super) fn holds_value(sentence: &str, values: &[f64]) -> bool {
    if values.is_empty() {
        return false;
    }
    let words = words(sentence);
    let numbers = numbers(&words);
    let mut ranges = Vec::new();
    for pair in numbers.windows(2) {
        let [a, b] = pair else { continue };
        let between: Vec<&str> = words.get(a.at + 1..b.at).unwrap_or_default().iter().map(String::as_str).collect();
        let joined = between.len() <= 2
            && between.iter().any(|w| matches!(*w, "-" | "–" | "—" | "and" | "to" | "do" | "a" | "i" | "до" | "и" | "till" | "until"));
        if joined && a.value < b.value {
            ranges.push(Range { low: a.value, high: b.value });
        }
    }
    for number in &numbers {
        let before: Vec<&str> = words.get(number.at.saturating_sub(2)..number.at).unwrap_or_default().iter().map(String::as_str).collect();
        let says = |list: &[&str]| before.iter().any(|w| list.contains(w));
        if says(&[
            "over",
            "above",
            "longer",
            "more",
            "exceeding",
            "from",
            "powyżej",
            "ponad",
            "dłuższy",
            "dłużej",
            "więcej",
            "od",
            "свыше",
            "более",
            "больше",
            "дольше",
            "сильнее",
            "выше",
            "от",
        ]) {
            ranges.push(Range { low: number.value, high: number.value * 20.0 });
        } else if says(&[
            "under",
            "below",
            "up",
            "до",
            "do",
            "less",
            "shorter",
            "poniżej",
            "mniej",
            "krótszy",
            "ниже",
            "менее",
            "меньше",
            "короче",
        ]) {
            ranges.push(Range { low: number.value / 20.0, high: number.value });
        }
    }
    ranges.iter().any(|range| values.iter().any(|value| (range.low..=range.high).contains(value)))
}

/// Lengths of time that a text names, in minutes: "half an hour" and "30 minutes" are the same.
pub(super) fn durations(text: &str) -> Vec<f64> {
    let words = words(text);
    let at = |i: usize| words.get(i).map_or("", String::as_str);
    let mut found = Vec::new();
    for (i, word) in words.iter().enumerate() {
        match word.as_str() {
            "half" | "pół" => {
                let unit = if matches!(at(i + 1), "a" | "an") { at(i + 2) } else { at(i + 1) };
                found.extend(minutes(unit).map(|m| m / 2.0));
            }
            "półtorej" | "półtora" | "полтора" | "полторы" => found.extend(minutes(at(i + 1)).map(|m| m * 1.5)),
            "quarter" if minutes(at(i + 2)).or_else(|| minutes(at(i + 3))).is_some_and(|m| m == 60.0) => found.push(15.0),
            "kwadrans" | "kwadransa" | "kwadransie" => found.push(15.0),
            "полчаса" => found.push(30.0),
            "полгода" | "полугода" => found.push(182.5 * 1440.0),
            "fortnight" => found.push(14.0 * 1440.0),
            "doba" | "dobę" | "doby" | "dobie" | "сутки" | "суток" if i.checked_sub(1).is_none_or(|b| value_of(at(b)).is_none()) =>
            {
                found.push(1440.0);
            }
            _ => {
                if let Some(value) = value_of(word)
                    && let Some(unit) = minutes(at(i + 1)).or_else(|| minutes(at(i + 2)))
                {
                    found.push(value * unit);
                }
            }
        }
    }
    found
}

/// Minutes of a unit of time, by the beginning of its name.
fn minutes(word: &str) -> Option<f64> {
    const UNITS: &[(&str, f64)] = &[
        ("minut|минут|min|мин", 1.0),
        ("hour|godzin|час", 60.0),
        ("day|dni|dzień|dnia|dób|doby|день|дня|дней|сут", 1440.0),
        ("week|tydzień|tygodni|недел", 10_080.0),
        ("month|miesi|месяц", 43_800.0),
        ("year|rok|lat|год|лет", 525_600.0),
    ];
    UNITS.iter().find(|(stems, _)| stems.split('|').any(|stem| word.starts_with(stem))).map(|(_, minutes)| *minutes)
}

/// Whether two texts name the same length of time, months counted as 30 or 31 days.
pub(super) fn same_duration(a: &[f64], b: &[f64]) -> bool {
    a.iter().any(|x| b.iter().any(|y| (x - y).abs() <= 0.02 * x.max(*y)))
}

/// Words and dashes in order, lower-case, with `10 000` joined to one number.
fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut word = String::new();
    let flush = |word: &mut String, words: &mut Vec<String>| {
        let trimmed = word.trim_matches(['.', ',', ':']).to_owned();
        word.clear();
        if trimmed.is_empty() {
            return;
        }
        let group = trimmed.len() == 3 && trimmed.bytes().all(|b| b.is_ascii_digit());
        match words.last_mut() {
            Some(last) if group && (1..=3).contains(&last.len()) && last.bytes().all(|b| b.is_ascii_digit()) => last.push_str(&trimmed),
            _ => words.push(trimmed),
        }
    };
    for c in text.chars() {
        if c.is_alphanumeric() || matches!(c, '.' | ',' | ':') {
            word.extend(c.to_lowercase());
        } else {
            flush(&mut word, &mut words);
            if matches!(c, '-' | '–' | '—') {
                words.push(c.to_string());
            }
        }
    }
    flush(&mut word, &mut words);
    words
}

fn numbers(words: &[String]) -> Vec<Found> {
    let mut found = Vec::new();
    for (at, word) in words.iter().enumerate() {
        let Some(mut value) = value_of(word) else { continue };
        if words.get(at + 1).is_some_and(|w| ["thousand", "tys", "тыс"].iter().any(|stem| w.starts_with(stem))) {
            value *= 1000.0;
        }
        found.push(Found { at, value });
    }
    found
}

fn value_of(word: &str) -> Option<f64> {
    if let Some((hours, minutes)) = word.split_once(':') {
        let (hours, minutes): (f64, f64) = (hours.parse().ok()?, minutes.parse().ok()?);
        return (hours <= 24.0 && minutes < 60.0).then_some(hours + minutes / 60.0);
    }
    if !word.starts_with(|c: char| c.is_ascii_digit()) {
        return number_value(word).map(f64::from);
    }
    let grouped = word.matches(',').count() >= 1 && word.split(',').skip(1).all(|part| part.len() == 3);
    let plain = if grouped { word.replace(',', "") } else { word.replace(',', ".") };
    plain.parse().ok().filter(|v: &f64| v.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_inside_a_range_is_found() {
        for (question, sentence) in [
            ("Ile ofert przy zakupie za 40 tysięcy?", "10 000–100 000 zł | trzy oferty"),
            ("Can I restart it at six in the morning?", "Between 05:30 and 07:30 nothing is restarted."),
            ("Какие правила для трёх часов ночи?", "Службу не трогают с 2:00 до 5:00."),
            ("What class on a nine hour flight?", "Allowed when the flight lasts longer than seven hours."),
        ] {
            assert!(holds_value(sentence, &values(question)), "{question}");
        }
    }

    #[test]
    fn a_length_of_time_is_the_same_in_other_units() {
        for (a, b) in [
            ("after half an hour", "30 minutes | head of operations"),
            ("co trzy miesiące", "zmienia się co 90 dni"),
            ("через полчаса", "через 30 минут"),
            ("a fortnight", "14 days"),
            ("za dobę", "w ciągu 24 godzin"),
        ] {
            assert!(same_duration(&durations(a), &durations(b)), "{a}: {:?} {:?}", durations(a), durations(b));
        }
        assert!(!same_duration(&durations("after an hour and 10 minutes"), &durations("45 minutes")));
    }

    #[test]
    fn a_value_outside_and_a_year_are_not() {
        assert!(!holds_value("2 000–10 000 zł | jedna oferta", &values("Ile ofert przy zakupie za 40 tysięcy?")));
        assert!(values("What happened in 2016?").is_empty());
        assert!(!holds_value("From 9 to 17", &[]));
    }
}
