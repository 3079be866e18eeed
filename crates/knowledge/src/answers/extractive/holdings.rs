//! What kinds of thing a sentence holds: sums, times, names, by word lists and character shapes.

use std::sync::LazyLock;

use super::kinds::{Kind, phrase_in};
use super::numbers::is_number_word;
use super::vocabulary::{
    AGES, BOUNDS, CLAUSES, CONTACT, DAYS, DEGREES, DISTANCE, LOCATING, MONEY, MONEY_WORDS, MONTHS, PERCENT, PLACES, PROMPT, REASONS,
    REPEATING, ROLES, ROOMS, SEASONS, SPEED, TIME_UNITS, UNITS, WITHIN, Words, YEAR_FRAMES, words_of,
};
use crate::ingest::sentences::list_marker;

/// What a sentence holds.
#[derive(Debug, Clone, Default)]
pub(super) struct Holdings {
    money: bool,
    duration: bool,
    /// How often: daily, every week.
    repeating: bool,
    /// At once, the same day.
    prompt: bool,
    time: bool,
    year: bool,
    /// A month's name or a century, which may stand for a year.
    dated: bool,
    /// A number without a unit of its own.
    count: bool,
    /// A number that is no date, clock time or code.
    amount: bool,
    distance: bool,
    speed: bool,
    temperature: bool,
    percent: bool,
    person_name: bool,
    role: bool,
    name: bool,
    place: bool,
    /// Says where something is, without a name or a number.
    located: bool,
    /// A number to ring.
    phone: bool,
    /// An address to write to.
    address: bool,
    room: bool,
    age: bool,
    colour: bool,
    reason: bool,
    /// May give a reason.
    reasoned: bool,
    /// Says how many at most, at least or for each, which is not how many there are.
    pub bounded: bool,
    /// First bytes of the plain numbers in the sentence.
    pub counts_at: Vec<usize>,
}

impl Holdings {
    /// 1 when the sentence holds the kind, 0.5 when it holds something that often stands for it, else 0.
    pub(super) fn match_of(&self, kind: Kind) -> f32 {
        let graded = |strong: bool, weak: bool| match (strong, weak) {
            (true, _) => 1.0,
            (false, true) => 0.5,
            (false, false) => 0.0,
        };
        match kind {
            Kind::Any => 1.0,
            Kind::Money => graded(self.money, false),
            Kind::Duration => graded(self.duration, false),
            Kind::Soon => graded(self.duration || self.prompt, self.time),
            Kind::Often => graded(self.repeating, self.duration),
            Kind::Time => graded(self.time, self.duration),
            Kind::Year => graded(self.year, self.dated),
            Kind::Deadline => graded(self.time || self.duration, false),
            Kind::Count => graded(self.count, self.amount),
            Kind::Amount => graded(self.amount, false),
            Kind::Distance => graded(self.distance, false),
            Kind::Speed => graded(self.speed, false),
            Kind::Temperature => graded(self.temperature, false),
            Kind::Percent => graded(self.percent, false),
            Kind::Person => graded(self.person_name || self.role, self.name),
            Kind::PersonName => graded(self.person_name, false),
            Kind::Name => graded(self.name, false),
            Kind::Place => graded(self.place, self.name || self.located),
            Kind::Contact => graded(self.address || self.phone, false),
            Kind::Room => graded(self.room, self.located),
            Kind::Phone => graded(self.phone, false),
            Kind::Age => graded(self.age && self.amount, self.age),
            Kind::Colour => graded(self.colour, false),
            Kind::Reason => graded(self.reason, self.reasoned),
        }
    }
}

/// A word of a sentence with what the kinds need to know.
struct Word<'a> {
    raw: &'a str,
    lower: String,
    /// Begins with a capital that no sentence start explains, and is not a word of the question.
    capital: bool,
    /// A number that the question does not name itself.
    number: bool,
    /// A comma or a cell's end follows: what comes then is not counted by it.
    ends: bool,
}

/// Reads what a sentence holds. `asked` tells the lower-case words of the question: a name or number that it already gives answers nothing.
pub(super) fn holdings(sentence: &str, asked: &dyn Fn(&str) -> bool) -> Holdings {
    let marker = list_marker(sentence).unwrap_or(0);
    let sentence = sentence.get(marker..).unwrap_or(sentence);
    let words = split(sentence, asked);
    let lower = sentence.to_lowercase();
    let has = |list: &str| list.split('|').any(|phrase| phrase_in(&lower, phrase));
    let mut found = Holdings { address: sentence.contains('@') || sentence.contains("://"), ..Holdings::default() };
    for (at, word) in words.iter().enumerate() {
        if word.number && read_number(&words, at, &mut found) {
            // `raw` is a slice of the sentence, so the difference of their addresses is its place.
            found.counts_at.push(marker + word.raw.as_ptr().addr().saturating_sub(sentence.as_ptr().addr()));
        }
        found.time |= [&DAYS, &MONTHS, &SEASONS].into_iter().any(|words| listed(words, &word.lower));
        found.dated |= listed(&MONTHS, &word.lower);
        found.role |= listed(&ROLES, &word.lower) && !asked(&word.lower);
        let measure =
            listed(&UNITS, &word.lower) || listed(&MONEY, &word.lower) || listed(&MONTHS, &word.lower) || listed(&DAYS, &word.lower);
        found.name |= word.capital && !measure && word.raw.chars().any(char::is_alphabetic);
        let next = words.get(at + 1).filter(|w| w.capital && is_name_part(w.raw)).map_or("", |w| w.raw);
        found.person_name |=
            word.capital && is_name_part(word.raw) && !next.is_empty() && sentence.contains(&format!("{} {next}", word.raw));
    }
    found.person_name |= opening_name(sentence, asked);
    found.name |= sentence.contains(['„', '«', '“']);
    found.money |= has(MONEY_WORDS);
    found.percent |= sentence.contains('%');
    found.temperature |= sentence.contains('°');
    found.repeating |= has(REPEATING) || found.duration && has("every|each|co|каждый|каждые|каждую|once|twice|raz|раз|дважды|dwukrotnie");
    found.duration |= has(WITHIN);
    found.prompt |= has(PROMPT);
    found.time |= has(CLAUSES);
    found.dated |= has("century|wieku|wiek|века|веке|век");
    found.bounded = has(BOUNDS);
    let digits = |w: &Word<'_>| w.raw.chars().filter(char::is_ascii_digit).count();
    let counts = |at: usize| {
        !words.get(at).is_some_and(|w| w.ends)
            && words.get(at + 1).is_some_and(|next| is_unit(&next.lower) || listed(&TIME_UNITS, &next.lower))
    };
    found.phone = words.iter().any(|w| listed(&CONTACT, &w.lower))
        && words.iter().enumerate().any(|(at, w)| w.number && digits(w) >= 2 && !counts(at))
        || words.iter().enumerate().any(|(at, w)| w.number && dials(w.raw) && !counts(at))
        || words.iter().any(|w| w.raw.starts_with(['+', '*']) && digits(w) >= 2)
        || dialled(sentence);
    found.place = words.iter().any(|w| listed(&PLACES, &w.lower)) && (found.name || found.count || found.amount);
    let plain = |w: &Word<'_>| w.number && !w.raw.contains([':', '.', ',']) && digits(w) >= 1;
    found.room = words.iter().any(|w| listed(&ROOMS, &w.lower))
        && words.iter().enumerate().any(|(at, w)| plain(w) && !counts(at) || super::numbers::ordinal(&w.lower).is_some());
    found.age = has(AGES);
    found.colour = words.iter().any(|w| is_colour(&w.lower));
    found.reason = has(REASONS);
    found.reasoned = has("as|since|to|by|so|dlatego|więc|поэтому|для|иначе|inaczej");
    found.located = words.iter().any(|w| listed(&LOCATING, &w.lower));
    found
}

/// Colours in the forms that adjectives take.
fn is_colour(word: &str) -> bool {
    const ENGLISH: &str = "red|green|blue|yellow|white|black|grey|gray|orange|pink|brown|purple|silver";
    const POLISH: &str = "czerwon|zielon|niebiesk|żółt|biał|czarn|szar|pomarańczow|różow|brązow|fioletow|srebrn|granatow";
    const RUSSIAN: &str = "красн|зелён|зелен|син|жёлт|желт|бел|чёрн|черн|сер|оранжев|розов|коричнев|фиолетов|голуб";
    let inflected = |stems: &str, endings: &str| {
        stems.split('|').filter_map(|stem| word.strip_prefix(stem)).any(|rest| endings.split('|').any(|ending| ending == rest))
    };
    ENGLISH.split('|').any(|w| w == word)
        || inflected(POLISH, "y|a|e|i|o|ą|ego|iego|ej|iej|ym|im|ie|ych|ich|ymi")
        || inflected(RUSSIAN, "ый|ой|ая|ое|ые|ого|ую|ым|ых|ыми|ий|яя|ее|ие|его|юю|им|их|ей")
}

/// True for a word that is a unit or a currency.
pub(super) fn is_unit(word: &str) -> bool {
    [&UNITS, &MONEY, &DISTANCE, &DEGREES, &PERCENT, &SPEED].iter().any(|list| listed(list, word))
}

/// What the number at a place means, by its shape and its neighbours; true for a plain count.
fn read_number(words: &[Word<'_>], at: usize, found: &mut Holdings) -> bool {
    let near = |offset: isize| at.checked_add_signed(offset).and_then(|i| words.get(i)).map_or("", |w| w.lower.as_str());
    let raw = words.get(at).map_or("", |w| w.raw);
    let following = [near(1), near(2)];
    // "10 000", "1 500", "50–55": the unit stands behind the whole number.
    let unit = if !following[0].is_empty() && following[0].bytes().all(|b| b.is_ascii_digit()) { [near(2), near(3)] } else { following };
    let is = |list: &Words| unit.iter().take(1).any(|w| listed(list, w));
    let soon = |list: &Words| unit.iter().any(|w| listed(list, w)) || following.iter().any(|w| listed(list, w));
    let money = is(&MONEY) || soon(&MONEY) || listed(&MONEY, near(-1)) || raw.contains(['$', '€', '£', '₽', '₸', '¥']);
    // "Three times a year" says how often, not how long.
    let times = matches!(following[0], "times" | "time" | "razy" | "raz" | "раз" | "раза");
    let duration = !times && (soon(&TIME_UNITS) || listed(&TIME_UNITS, near(3)) && !money);
    found.repeating |= times;
    let distance = is(&DISTANCE);
    let temperature = unit.iter().any(|w| listed(&DEGREES, w)) || raw.contains('°');
    let percent = is(&PERCENT) || raw.contains('%');
    let speed = matches!((unit[0], unit[1]), ("km" | "км" | "mb" | "gb" | "kb" | "m" | "м" | "гб" | "мб", "h" | "ч" | "s" | "с" | "sec"))
        || is(&SPEED);
    let digits = raw.chars().filter(char::is_ascii_digit).count();
    let clock = raw.contains(':') && digits >= 3;
    let date = raw.matches('.').count() == 2 && digits >= 5
        || raw.matches('-').count() == 2 && digits >= 6
        || listed(&MONTHS, near(1))
        || listed(&MONTHS, near(-1)) && !money;
    let hour = matches!(near(1), "am" | "pm" | "a.m" | "p.m" | "o'clock") || matches!(near(-1), "godz" | "godzinie" | "godziny");
    let decade = raw.len() == 5 && raw.ends_with('s') && raw.get(..4).is_some_and(is_year);
    let ordinal = digits > 0
        && digits <= 2
        && ["st", "nd", "rd", "th", "го", "е", "й"].iter().any(|end| raw.len() == digits + end.len() && raw.ends_with(end));
    let code = raw.chars().any(char::is_alphabetic) && digits > 0 && !decade && !ordinal;
    let dated = listed(&YEAR_FRAMES, near(-1)) || listed(&YEAR_FRAMES, near(1)) || near(1).is_empty();
    let year = (is_year(raw) || decade) && !money && !distance;
    found.money |= money;
    found.duration |= duration && !(year && dated);
    found.distance |= distance;
    found.temperature |= temperature;
    found.percent |= percent;
    found.speed |= speed;
    found.time |= year || clock || date || hour || ordinal;
    found.year |= year;
    let plain = !(ordinal || year && dated || clock || date || hour || code);
    found.amount |= plain;
    // "Ogrodowa 21", "Theatre 3", "extension 120": which one, not how many.
    let named = at.checked_sub(1).and_then(|i| words.get(i)).is_some_and(|before| {
        let beside = before.raw.as_ptr().addr() + before.raw.len() + 1 == raw.as_ptr().addr();
        beside && (before.capital || listed(&CONTACT, &before.lower)) && raw.bytes().all(|b| b.is_ascii_digit())
    });
    let count = plain && !named && !(money || duration || distance || temperature || percent || speed) && !listed(&UNITS, unit[0]);
    found.count |= count;
    count
}

/// Groups of digits that together are as long as a telephone number: `61 555 70 10`, unlike `1 900 000`.
fn dialled(sentence: &str) -> bool {
    let (mut digits, mut groups, mut odd) = (0usize, 0usize, false);
    for piece in sentence.split([' ', '-', '\u{a0}']).map(|p| p.trim_matches(['(', ')', ',', '.', ';', ':'])).chain([""]) {
        if !piece.is_empty() && piece.trim_start_matches('+').bytes().all(|b| b.is_ascii_digit()) {
            digits += piece.len();
            odd |= groups > 0 && piece.len() != 3;
            groups += 1;
        } else {
            if digits >= 7 && groups >= 2 && (odd || digits >= 10) || groups >= 2 && digits >= 4 && odd && digits <= 6 {
                return true;
            }
            (digits, groups, odd) = (0, 0, false);
        }
    }
    false
}

/// A number of at least four digits that is no year, sum or clock time: `5107`, `21-20`.
fn dials(raw: &str) -> bool {
    let digits = raw.bytes().filter(u8::is_ascii_digit).count();
    digits >= 4 && !is_year(raw) && raw.chars().all(|c| c.is_ascii_digit() || matches!(c, '-' | '+'))
}

/// Four digits that may be a year; `2000 guests` may be one too, so its surroundings decide.
fn is_year(raw: &str) -> bool {
    raw.len() == 4 && raw.bytes().all(|b| b.is_ascii_digit()) && (raw.starts_with('1') || raw.starts_with("20"))
}

fn split<'a>(sentence: &'a str, asked: &dyn Fn(&str) -> bool) -> Vec<Word<'a>> {
    let mut words = Vec::new();
    let mut opens = true;
    let mut cells = 0;
    let breaks =
        |c: char| c.is_whitespace() || matches!(c, '|' | '(' | ')' | '[' | ']' | ';' | '"' | '„' | '”' | '«' | '»' | '“' | '/' | '–' | '—');
    for piece in sentence.split(breaks) {
        let kept = |c: char| c.is_alphanumeric() || matches!(c, '$' | '€' | '£' | '₽' | '₸' | '¥' | '%' | '°' | '+' | '*' | '@');
        let raw = piece.trim_matches(|c: char| !kept(c));
        if raw.is_empty() {
            continue;
        }
        // The unit of one cell says nothing of the number in the next.
        let cell =
            sentence.get(..raw.as_ptr().addr().saturating_sub(sentence.as_ptr().addr())).map_or(0, |before| before.matches('|').count());
        if cell > cells {
            words.push(Word { raw: "", lower: String::new(), capital: false, number: false, ends: true });
        }
        cells = cell;
        let lower = raw.to_lowercase();
        let digits = raw.chars().any(|c| c.is_ascii_digit());
        let number = (digits || is_number_word(&lower)) && !asked(&lower);
        let capital = !opens && raw.chars().next().is_some_and(char::is_uppercase) && raw.chars().count() > 1 && !asked(&lower);
        words.push(Word { raw, lower, capital, number, ends: piece.ends_with([',', ';']) });
        opens = piece.ends_with(['.', '!', '?', ':']);
    }
    words
}

/// `Kilian`, `Nowak-Lis`, `O'Brien`: a capital and then small letters.
fn is_name_part(word: &str) -> bool {
    let mut chars = word.chars();
    chars.next().is_some_and(char::is_uppercase)
        && chars.clone().any(char::is_lowercase)
        && chars.all(|c| c.is_alphabetic() || matches!(c, '-' | '\'' | '’'))
        && !is_function_word(word)
        && !ORGANISATION.contains(word.to_lowercase().as_str())
}

/// Words of offices, streets and the like, which stand in capitals and are nobody's name.
static ORGANISATION: Words = LazyLock::new(|| {
    words_of(
        "department|ministry|university|hospital|school|office|street|road|avenue|council|city|town|bank|company|committee|centre|center|institute|house|hall|\
         ward|unit|team|desk|service|services|union|european|general|urząd|urzędu|miasta|miasto|wydział|wydziału|ulica|ulicy|szpital|szpitala|szkoła|szkoły|gmina|\
         gminy|spółdzielnia|przychodnia|zarząd|rada|komisja|instytut|uniwersytet|biuro|dział|działu|unii|unia|europejskiej|министерство|отдел|университет|больница|\
         школа|улица|город|города|управление|комитет|институт|библиотека|центр|банк|служба|союз|совет",
    )
});

fn is_function_word(word: &str) -> bool {
    matches!(
        word.to_lowercase().as_str(),
        "the"
            | "a"
            | "an"
            | "in"
            | "on"
            | "at"
            | "for"
            | "if"
            | "when"
            | "our"
            | "your"
            | "each"
            | "every"
            | "all"
            | "no"
            | "this"
            | "that"
            | "these"
            | "to"
            | "from"
            | "by"
            | "after"
            | "before"
            | "since"
            | "w"
            | "we"
            | "na"
            | "z"
            | "ze"
            | "do"
            | "od"
            | "po"
            | "przed"
            | "dla"
            | "przy"
            | "gdy"
            | "jeśli"
            | "każdy"
            | "za"
            | "nie"
            | "o"
            | "в"
            | "во"
            | "на"
            | "с"
            | "со"
            | "из"
            | "к"
            | "от"
            | "до"
            | "после"
            | "перед"
            | "для"
            | "при"
            | "если"
            | "по"
            | "за"
            | "не"
            | "об"
            | "о"
            | "каждый"
    )
}

/// A name that opens a sentence or a cell, where a capital proves nothing by itself but two in a row do: "Marta Kilian is …", "J. Kowalski", "А. С. Пушкин".
fn opening_name(sentence: &str, asked: &dyn Fn(&str) -> bool) -> bool {
    sentence.split(['|', ':', '(', ',', ';', '–', '—']).any(|cell| {
        let words: Vec<&str> =
            cell.split_whitespace().map(|w| w.trim_matches(|c: char| !c.is_alphanumeric() && c != '.')).take(3).collect();
        match words.as_slice() {
            [first, second, rest @ ..] => {
                let initial = |w: &str| w.chars().count() == 2 && w.ends_with('.') && w.chars().next().is_some_and(char::is_uppercase);
                let part = |w: &str| is_name_part(w.trim_end_matches('.')) && !asked(&w.trim_end_matches('.').to_lowercase());
                (initial(first) || part(first)) && (part(second) || initial(second) && rest.first().is_some_and(|w| part(w)))
            }
            _ => false,
        }
    })
}

fn listed(list: &Words, word: &str) -> bool {
    list.contains(word)
}
