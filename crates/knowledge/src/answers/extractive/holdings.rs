//! What kinds of thing a sentence holds: sums, times, names, by word lists and character shapes.

use std::collections::HashSet;
use std::sync::LazyLock;

use super::kinds::{Kind, phrase_in};
use super::numbers::is_number_word;
use crate::ingest::sentences::list_marker;

/// A list of lower-case words.
type Words = LazyLock<HashSet<&'static str>>;

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
    contact: bool,
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
            Kind::Contact => graded(self.contact, false),
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
}

/// Reads what a sentence holds. `asked` tells the lower-case words of the question: a name or number that it already gives answers nothing.
pub(super) fn holdings(sentence: &str, asked: &dyn Fn(&str) -> bool) -> Holdings {
    let marker = list_marker(sentence).unwrap_or(0);
    let sentence = sentence.get(marker..).unwrap_or(sentence);
    let words = split(sentence, asked);
    let lower = sentence.to_lowercase();
    let has = |list: &str| list.split('|').any(|phrase| phrase_in(&lower, phrase));
    let mut found = Holdings { contact: sentence.contains('@') || sentence.contains("://"), ..Holdings::default() };
    for (at, word) in words.iter().enumerate() {
        if word.number && read_number(&words, at, &mut found) {
            // `raw` is a slice of the sentence, so the difference of their addresses is its place.
            found.counts_at.push(marker + word.raw.as_ptr().addr().saturating_sub(sentence.as_ptr().addr()));
        }
        found.time |= listed(&DAYS, &word.lower) || listed(&MONTHS, &word.lower);
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
    let digits = |w: &Word<'_>| w.raw.chars().filter(char::is_ascii_digit).count();
    let counts = |at: usize| words.get(at + 1).is_some_and(|next| is_unit(&next.lower) || listed(&TIME_UNITS, &next.lower));
    found.contact |= words.iter().any(|w| listed(&CONTACT, &w.lower))
        && words.iter().enumerate().any(|(at, w)| w.number && digits(w) >= 2 && !counts(at))
        || words.iter().any(|w| w.number && digits(w) >= 4 && !is_year(w.raw))
        || words.iter().any(|w| w.raw.starts_with(['+', '*']) && digits(w) >= 2)
        || dialled(sentence);
    found.place = words.iter().any(|w| listed(&PLACES, &w.lower)) && (found.name || found.count || found.amount);
    found.located = words.iter().any(|w| listed(&LOCATING, &w.lower));
    found
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

/// Four digits that may be a year; `2000 guests` may be one too, so its surroundings decide.
fn is_year(raw: &str) -> bool {
    raw.len() == 4 && raw.bytes().all(|b| b.is_ascii_digit()) && (raw.starts_with('1') || raw.starts_with("20"))
}

fn split<'a>(sentence: &'a str, asked: &dyn Fn(&str) -> bool) -> Vec<Word<'a>> {
    let mut words = Vec::new();
    let mut opens = true;
    let breaks =
        |c: char| c.is_whitespace() || matches!(c, '|' | '(' | ')' | '[' | ']' | ';' | '"' | '„' | '”' | '«' | '»' | '“' | '/' | '–' | '—');
    for piece in sentence.split(breaks) {
        let kept = |c: char| c.is_alphanumeric() || matches!(c, '$' | '€' | '£' | '₽' | '₸' | '¥' | '%' | '°' | '+' | '*' | '@');
        let raw = piece.trim_matches(|c: char| !kept(c));
        if raw.is_empty() {
            continue;
        }
        let lower = raw.to_lowercase();
        let digits = raw.chars().any(|c| c.is_ascii_digit());
        let number = (digits || is_number_word(&lower)) && !asked(&lower);
        let capital = !opens && raw.chars().next().is_some_and(char::is_uppercase) && raw.chars().count() > 1 && !asked(&lower);
        words.push(Word { raw, lower, capital, number });
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

fn words_of(list: &'static str) -> HashSet<&'static str> {
    list.split('|').collect()
}

const MONEY_WORDS: &str = "free of charge|free|at no cost|bezpłatnie|bezpłatny|bezpłatna|bezpłatne|za darmo|\
     nieodpłatnie|бесплатно|бесплатный|бесплатна|бесплатен";

const WITHIN: &str = "within an hour|within a day|within a week|within a month|within a year|an hour|a day|a week|a month|w ciągu godziny|w ciągu doby|w ciągu dnia|\
     w ciągu tygodnia|w ciągu miesiąca|w ciągu roku|w ciągu kwadransa|pół roku|pół godziny|dzień wcześniej|tydzień wcześniej|dzień przed|в течение часа|в течение дня|\
     в течение суток|в течение недели|в течение месяца|в течение года|за час|за день|за сутки|за неделю|за месяц|через час|через день|через неделю|через месяц|po tygodniu|\
     po miesiącu|na rok|na tydzień|na miesiąc|на год|на месяц|на неделю|полгода|полчаса|накануне|the day before|half a year|half an hour|a fortnight";

const PROMPT: &str = "the same day|same day|the next day|next morning|next working day|the same afternoon|immediately|at once|straight away|tego samego dnia|następnego dnia|\
     natychmiast|niezwłocznie|od razu|в тот же день|на следующий день|немедленно|сразу|незамедлительно";

const REPEATING: &str = "daily|weekly|monthly|yearly|annually|quarterly|hourly|every day|every week|every month|every year|every morning|every evening|each day|each week|each month|\
     each year|once a|twice a|times a|a week|a month|a year|per year|per month|codziennie|co tydzień|co dzień|co miesiąc|co rok|co kwartał|rocznie|miesięcznie|tygodniowo|raz na|raz w|\
     razy w|razy na|ежедневно|еженедельно|ежемесячно|ежегодно|каждый день|каждую неделю|каждый месяц|каждый год|раз в|раза в|дважды в|в год|в месяц|в неделю|в сутки";

const CLAUSES: &str = "after|before|until|during|as soon as|po|przed|podczas|dopiero|после|перед|пока|во время|\
     century|wieku|wiek|века|веке|век|era|epoce|эпоху";

static MONEY: Words = LazyLock::new(|| {
    words_of(
        "eur|euro|euros|usd|pln|gbp|kzt|rub|zł|złotych|złote|złoty|zlotych|groszy|dollar|dollars|\
     cents|pound|pounds|руб|рублей|рубля|рубль|тенге|евро|доллар|доллара|долларов|грн|гривен|\
     франков|юаней|yuan|yen|rupees|francs|marks|marek|franków|dolarów|funtów",
    )
});

static TIME_UNITS: Words = LazyLock::new(|| {
    words_of(
        "second|seconds|minute|minutes|hour|hours|day|days|week|weeks|weekend|month|months|year|years|\
     decade|decades|century|centuries|sekund|sekundy|sekundę|minut|minuty|minutę|godzin|godziny|\
     godzinę|godzinie|dni|dnia|dzień|dniach|doba|dobę|doby|tydzień|tygodnie|tygodni|tygodnia|\
     miesiąc|miesiące|miesięcy|miesiąca|rok|roku|lata|lat|latach|секунд|секунды|секунду|минут|\
     минуты|минуту|час|часа|часов|часу|день|дня|дней|дни|сутки|суток|неделя|недели|неделю|недель|\
     месяц|месяца|месяцев|год|года|лет|мин|ч|сек|min|h|s",
    )
});

static MONTHS: Words = LazyLock::new(|| {
    words_of(
        "january|february|march|april|may|june|july|august|september|october|november|december|\
     stycznia|lutego|marca|kwietnia|maja|czerwca|lipca|sierpnia|września|października|listopada|\
     grudnia|styczeń|luty|marzec|kwiecień|maj|czerwiec|lipiec|sierpień|wrzesień|październik|\
     listopad|grudzień|styczniu|lutym|marcu|kwietniu|maju|czerwcu|lipcu|sierpniu|wrześniu|\
     październiku|listopadzie|grudniu|января|февраля|марта|апреля|мая|июня|июля|августа|сентября|\
     октября|ноября|декабря|январе|феврале|марте|апреле|мае|июне|июле|августе|сентябре|октябре|\
     ноябре|декабре|январь|февраль|март|апрель|май|июнь|июль|август|сентябрь|октябрь|ноябрь|\
     декабрь",
    )
});

static DAYS: Words = LazyLock::new(|| {
    words_of(
        "monday|tuesday|wednesday|thursday|friday|saturday|sunday|mondays|tuesdays|wednesdays|\
     thursdays|fridays|saturdays|sundays|weekdays|poniedziałek|wtorek|środa|środę|czwartek|piątek|\
     sobota|sobotę|niedziela|niedzielę|poniedziałki|wtorki|środy|czwartki|piątki|soboty|\
     poniedziałku|piątku|понедельник|вторник|среда|среду|четверг|пятница|пятницу|суббота|субботу|\
     воскресенье|понедельника|пятницы|пятницам|понедельникам|вторникам|средам|четвергам|субботам|\
     noon|midnight|południe|północ|północy|полдень|полночь|morning|evening|afternoon|night|today|\
     tomorrow|o'clock|pm|am|godz|rano|wieczorem|wieczór|утром|утра|вечером|вечера|ночи",
    )
});

static DISTANCE: Words = LazyLock::new(|| {
    words_of(
        "m|km|cm|mm|metre|metres|meter|meters|kilometre|kilometres|kilometers|mile|miles|feet|foot|\
     inch|inches|yards|yard|metr|metry|metrów|metra|kilometr|kilometry|kilometrów|centymetrów|\
     milimetrów|метр|метра|метров|километр|километра|километров|км|м|см|мм|миль|мили|сантиметров|\
     футов|hectares|acres|ha|hektarów|m²|га|ft",
    )
});

static ROLES: Words = LazyLock::new(|| {
    words_of(
        "manager|managers|supervisor|director|head|engineer|engineers|lead|leader|officer|team|desk|\
     department|staff|owner|administrator|admin|commander|reception|receptionist|accountant|\
     committee|board|council|secretary|employee|employees|user|users|owners|colleague|colleagues|\
     approver|operator|operators|driver|guard|parliament|king|queen|president|government|\
     przełożony|przełożonego|przełożonemu|przełożonym|kierownik|kierownika|kierownikowi|dyrektor|\
     dyrektora|dyrektorowi|dział|działu|działowi|zespół|zespołu|księgowość|księgowości|kadry|kadr|\
     specjalista|inżynier|zarząd|zarządu|koordynator|koordynatora|dyspozytor|dyspozytora|mistrz|\
     brygadzista|magazynier|recepcja|recepcji|pracownik|pracownicy|pracownika|operator|\
     administrator|administratora|komisja|rada|król|prezydent|rząd|producent|producenta|prezes|\
     prezesa|руководитель|руководителя|руководителю|руководителем|начальник|начальника|начальнику|\
     директор|директора|директору|директором|отдел|отдела|отделу|отделом|служба|службы|службу|\
     бухгалтерия|бухгалтерии|бухгалтер|специалист|инженер|инженера|инженеру|диспетчер|диспетчера|\
     диспетчеру|мастер|мастера|мастеру|администратор|администратора|оператор|комиссия|совет|\
     сотрудник|сотрудника|сотрудники|работник|менеджер|менеджера|менеджеру|охрана|охрану|король|\
     президент|правительство|центр|центра|подрядчик|дежурный|дежурного|дежурному",
    )
});

static PLACES: Words = LazyLock::new(|| {
    words_of(
        "room|floor|building|street|office|warehouse|gate|entrance|desk|city|country|folder|page|tab|\
     menu|drawer|cabinet|locker|pokój|pokoju|piętro|piętrze|budynek|budynku|ulica|ul|ulicy|biuro|\
     biurze|magazyn|magazynie|brama|bramie|hala|hali|wejście|mieście|folderze|zakładce|szafie|\
     szafka|комната|комнате|кабинет|кабинете|этаж|этаже|здание|здании|улица|ул|улице|офис|офисе|\
     склад|складе|ворота|вход|входа|город|городе|папке|разделе|вкладке|шкафу|in|at|near|behind|\
     next|w|na|przy|obok|в|на|у|возле",
    )
});

/// Words that hardly stand in a sentence that does not say where something is.
static LOCATING: Words = LazyLock::new(|| {
    words_of(
        "between|beside|behind|near|opposite|under|underneath|above|corridor|hallway|cellar|basement|attic|kitchen|cupboard|\
     shelf|stairs|staircase|yard|garage|lobby|między|obok|naprzeciwko|pod|nad|korytarz|korytarzu|piwnica|piwnicy|strychu|kuchni|\
     półka|półce|schodami|schodach|podwórzu|garażu|holu|между|рядом|напротив|под|над|коридоре|подвале|чердаке|кухне|полке|\
     лестнице|лестницей|дворе|гараже|гаражом|холле|площадка|площадке",
    )
});

static CONTACT: Words = LazyLock::new(|| {
    words_of(
        "extension|ext|phone|telephone|bleep|внутренний|внутреннему|wewnętrzny|wewn|tel|telefon|numer|numerem|доб|добавочный|тел|\
     телефон|номер|номеру",
    )
});

static YEAR_FRAMES: Words = LazyLock::new(|| {
    words_of(
        "in|since|from|until|till|by|of|early|late|around|circa|year|w|we|roku|rok|r|od|do|z|przed|po|lata|latach|в|с|до|от|году|года|год|г|гг|около|после|к|by|january|february|march|april|may|june|july|\
         august|september|october|november|december",
    )
});

static DEGREES: Words = LazyLock::new(|| words_of("degrees|degree|stopni|stopnie|stopień|градусов|градуса|градус|celsius|fahrenheit|c|f"));

static PERCENT: Words = LazyLock::new(|| words_of("percent|procent|procenta|процент|процента|процентов"));

static SPEED: Words = LazyLock::new(|| words_of("mph|kph|mbit|gbit|kbit|mbps|gbps|kbps|мбит|гбит|кбит|knots|km/h|км/ч"));

static UNITS: Words = LazyLock::new(|| {
    words_of(
        "kb|mb|gb|tb|кб|мб|гб|тб|kw|kwh|w|v|a|kg|g|mg|t|l|ml|кг|г|т|л|мл|квт|вт|в|кв|bar|px|dpi|inch|inches|cali|дюймов|dbm|дбм|db|hz|ghz|mhz|\
         kilogramów|tonnes|tons|litres|liters|litrów|литров|килограммов|тонн|ton|bit|bits|bajtów|байт|bytes|th|st|nd|rd",
    )
});
