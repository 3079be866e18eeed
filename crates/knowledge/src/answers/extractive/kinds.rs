//! What kind of thing a question asks for, and whether a sentence holds such a thing.
//!
//! A sentence that shares every word with "who runs the Elbląg region?" but names nobody does not answer it. The kinds are told by word lists and
//! character shapes in English, Polish and Russian; they are evidence for the scorer, never a verdict of their own.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

/// A list of lower-case words.
type Words = LazyLock<HashSet<&'static str>>;

/// The kind of answer a question asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Nothing in particular.
    Any,
    /// A sum of money.
    Money,
    /// A length of time.
    Duration,
    /// A point in time: date, weekday, hour, or an event after which something happens.
    Time,
    /// A number of things.
    Count,
    /// A distance, length, area or height.
    Distance,
    /// A speed.
    Speed,
    /// A temperature.
    Temperature,
    /// A share.
    Percent,
    /// A person's name or role.
    Person,
    /// A person's name, where the question itself gives the role.
    PersonName,
    /// The name of a firm, product or other thing.
    Name,
    /// A place.
    Place,
    /// A number to ring, or an address to write to.
    Contact,
}

/// The kind a question asks for. `words` are its words in lower case, in order.
pub(super) fn expected(words: &[&str]) -> Kind {
    let text = words.join(" ");
    let has = |list: &str| list.split('|').any(|phrase| phrase_in(&text, phrase));
    let starts = |list: &str| words.iter().any(|w| list.split('|').any(|p| w.starts_with(p)));
    let how_many = has(
        "how many|ile|ilu|iloma|do ilu|od ilu|сколько|скольких|сколькими|скольким|какое количество|каково количество|what number of|jaka liczba|jaka jest liczba|number of",
    );
    let how_much = has(
        "how much|what amount|how high|how big|how large|what size|do jakiej|jaki jest limit|w jakiej wysokości|jakiej wysokości|каков размер|какой размер|насколько",
    );
    let who =
        has("who|whom|whose|kto|kogo|komu|kim|czyj|czyja|czyje|кто|кого|кому|кем|чей|чья|чьё|чьи|как зовут|jak się nazywa|jak nazywa się");

    if has(
        "what percentage|what percent|what share|what proportion|jaki procent|ile procent|jaki odsetek|какой процент|сколько процентов|какая доля|какую долю",
    ) {
        return Kind::Percent;
    }
    if has(
        "phone number|which number|what number|extension|telephone number|numer telefonu|pod jaki numer|pod jakim numerem|jaki numer|na jaki numer|номер телефона|по какому номеру|какой номер|e-mail|email|mailbox",
    ) && !has("what number of")
    {
        return Kind::Contact;
    }
    if has(
        "how fast|what speed|top speed|speed limit|z jaką prędkością|jak szybko wolno|prędkość|prędkością|с какой скоростью|скорость|скоростью",
    ) && !has("how fast can i get")
    {
        return if has("how soon") { Kind::Duration } else { Kind::Speed };
    }
    if has(
        "temperature|how hot|how cold|degrees|how warm|temperatura|temperaturze|stopni|ilu stopniach|температура|температуре|градусов|градусах",
    ) {
        return Kind::Temperature;
    }
    if has(
        "how far|how tall|how deep|how wide|what distance|what length|jak daleko|jak wysoki|jak wysoka|jak głęboko|w jakiej odległości|jaka odległość|как далеко|какое расстояние|на каком расстоянии|какова длина|какова высота|какой длины|какой высоты|ile kilometrów|ile metrów|сколько километров|сколько метров",
    ) {
        return Kind::Distance;
    }
    let money = starts(
        "price|cost|salary|fee|płac|placi|koszt|cena|cenę|ceny|kwot|opłat|wynagrodzen|pensj|stawk|diet|ryczałt|стоит|стоимост|цена|цену|цены|плат|оплат|сумм|зарплат|суточн|тариф",
    ) || has("pay|paid|how expensive|budget|reimbursed|per diem|allowance|за деньги|premia|premii|kosztuje|kosztują");
    let money_kind = money && !starts("costum");
    if money_kind
        && (how_many
            || how_much
            || has(
                "what is the price|what is the cost|what would it cost|what does it cost|what does|za ile|jaka|jaki|jaką|какова|какая|какой|какие|почём|what is|what's|what was|what were|what are|what will|jakie|ile",
            ))
        && !has("when|kiedy|когда|how long|jak długo|как долго|who|kto|кто")
    {
        return Kind::Money;
    }
    if has(
        "how long|how soon|how quickly|how often|how old|what period|for what period|notice period|within what time|how much time|jak długo|jak długi|jak szybko|jak często|w jakim czasie|w ciągu jakiego czasu|ile czasu|na jak długo|ile trwa|ile trwał|ile trwała|z jakim wyprzedzeniem|jaki okres|przez jaki czas|w jakim terminie|как долго|как быстро|как часто|сколько времени|какой срок|в какой срок|каков срок|за какое время|за какой срок|на какой срок|как скоро|в течение какого времени|в течение какого",
    ) || how_many
        && starts(
            "minut|hour|day|week|month|year|second|godzin|dni|dób|dob|tygodni|miesi|lat|rok|sekund|час|дней|день|дня|недел|месяц|лет|год|секунд|суток|сутки",
        )
        || has(
            "сколько хранится|сколько хранятся|сколько хранить|сколько мы храним|сколько длится|сколько действует|за сколько включается|ile ważny|ile ważna|ile ważne",
        )
    {
        return Kind::Duration;
    }
    if has(
        "when|what time|what date|which day|what day|which year|what year|which month|by when|until when|since when|kiedy|o której|od kiedy|do kiedy|jakiego dnia|w którym roku|którego roku|w jakim roku|w jakim dniu|którego dnia|w których godzinach|w jakich godzinach|w jakie dni|когда|во сколько|в котором часу|в каком году|какого числа|в какой день|до какого|с какого|в какое время|до скольки|со скольки|в каком месяце|в каком веке|in which century|in what century|w którym wieku",
    ) {
        return Kind::Time;
    }
    if who {
        let named = has("name|nazywa|nazwisko|зовут|фамилия|imię");
        let is_role = starts(
            "manager|director|head|chief|owner|lead|boss|president|ceo|kierowni|dyrektor|prezes|szef|właścicie|руководител|директор|начальник|заместител|глав|председател|владел",
        ) && has(
            "who is|who was|who are|who's|kto jest|kto był|kto to|kim jest|kto pełni|кто является|кто такой|кто у нас|кто наш|кто был|кто занимает|как зовут",
        );
        return if named || is_role { Kind::PersonName } else { Kind::Person };
    }
    if has(
        "which company|what company|which manufacturer|which firm|which vendor|which supplier|what brand|which brand|what make|which provider|which bank|what is the name|what's the name|what was the name|która firma|jaka firma|jakiej firmy|jakiej marki|jaka marka|który producent|który dostawca|jaki bank|jak nazywa|jaką nazwę|какая компания|какая фирма|какой фирмы|какой марки|какой производитель|какой поставщик|какой банк|как называется|как назывался|как называлась|какое название",
    ) {
        return Kind::Name;
    }
    if has(
        "where|which room|which floor|which city|which country|what city|what country|gdzie|skąd|dokąd|w jakim mieście|w którym mieście|w jakim kraju|które piętro|na którym piętrze|где|куда|откуда|в каком городе|в какой стране|на каком этаже|в каком кабинете",
    ) {
        return Kind::Place;
    }
    if how_many {
        return if money { Kind::Money } else { Kind::Count };
    }
    if how_much {
        return Kind::Count;
    }
    Kind::Any
}

/// True when the phrase stands in the text as whole words.
fn phrase_in(text: &str, phrase: &str) -> bool {
    text.match_indices(phrase).any(|(at, _)| {
        let before = text.get(..at).and_then(|t| t.chars().next_back());
        let after = text.get(at + phrase.len()..).and_then(|t| t.chars().next());
        before.is_none_or(|c| !c.is_alphanumeric()) && after.is_none_or(|c| !c.is_alphanumeric())
    })
}

/// What a sentence holds.
#[derive(Debug, Clone, Default)]
pub(super) struct Holdings {
    pub money: bool,
    pub duration: bool,
    pub time: bool,
    pub number: bool,
    pub distance: bool,
    pub speed: bool,
    pub temperature: bool,
    pub percent: bool,
    pub person_name: bool,
    pub role: bool,
    pub name: bool,
    pub place: bool,
    pub contact: bool,
    /// Positions of number words among the words of the sentence.
    pub numbers_at: Vec<usize>,
}

impl Holdings {
    /// 1 when the sentence holds the kind, 0.5 when it holds something that often stands for it, else 0.
    pub fn match_of(&self, kind: Kind) -> f32 {
        let weak = |strong: bool, weak: bool| {
            if strong {
                1.0
            } else if weak {
                0.5
            } else {
                0.0
            }
        };
        match kind {
            Kind::Any => 1.0,
            Kind::Money => weak(self.money, false),
            Kind::Duration => weak(self.duration, false),
            Kind::Time => weak(self.time, self.duration),
            Kind::Count => weak(self.number, false),
            Kind::Distance => weak(self.distance, false),
            Kind::Speed => weak(self.speed, false),
            Kind::Temperature => weak(self.temperature, false),
            Kind::Percent => weak(self.percent, false),
            Kind::Person => weak(self.person_name || self.role, self.name),
            Kind::PersonName => weak(self.person_name, false),
            Kind::Name => weak(self.name, false),
            Kind::Place => weak(self.place, self.name),
            Kind::Contact => weak(self.contact, false),
        }
    }
}

/// A word of a sentence with what the kinds need to know.
struct Word<'a> {
    raw: &'a str,
    lower: String,
    /// First character of the word is upper case and the word does not open the sentence.
    capital: bool,
    number: bool,
}

static MONEY: Words = LazyLock::new(|| {
    words_of(
        "eur|euro|euros|usd|pln|gbp|kzt|rub|zł|złotych|złote|złoty|zlotych|groszy|dollar|dollars|cents|pound|pounds|руб|рублей|рубля|рубль|тенге|евро|доллар|доллара|долларов|грн|гривен|франков|юаней|yuan|yen|rupees|francs|marks|million|marek|franków|dolarów|funtów",
    )
});
const MONEY_WORDS: &str = "free of charge|free|at no cost|bezpłatnie|bezpłatny|bezpłatna|bezpłatne|za darmo|nieodpłatnie|бесплатно|бесплатный|бесплатна|бесплатен";
static TIME_UNITS: Words = LazyLock::new(|| {
    words_of(
        "second|seconds|minute|minutes|hour|hours|day|days|week|weeks|weekend|month|months|year|years|decade|decades|century|centuries|sekund|sekundy|sekundę|minut|minuty|minutę|godzin|godziny|godzinę|godzinie|dni|dnia|dzień|dniach|doba|dobę|doby|tydzień|tygodnie|tygodni|tygodnia|miesiąc|miesiące|miesięcy|miesiąca|rok|roku|lata|lat|latach|секунд|секунды|секунду|минут|минуты|минуту|час|часа|часов|часу|день|дня|дней|дни|сутки|суток|неделя|недели|неделю|недель|месяц|месяца|месяцев|год|года|лет|мин|ч|сек|min|h|s",
    )
});
const REPEATING: &str = "daily|weekly|monthly|yearly|annually|hourly|immediately|at once|codziennie|co tydzień|co miesiąc|co rok|rocznie|natychmiast|niezwłocznie|ежедневно|еженедельно|ежемесячно|ежегодно|немедленно|сразу|every|once a|twice a|each";
static MONTHS: Words = LazyLock::new(|| {
    words_of(
        "january|february|march|april|may|june|july|august|september|october|november|december|stycznia|lutego|marca|kwietnia|maja|czerwca|lipca|sierpnia|września|października|listopada|grudnia|styczeń|luty|marzec|kwiecień|maj|czerwiec|lipiec|sierpień|wrzesień|październik|listopad|grudzień|styczniu|lutym|marcu|kwietniu|maju|czerwcu|lipcu|sierpniu|wrześniu|październiku|listopadzie|grudniu|января|февраля|марта|апреля|мая|июня|июля|августа|сентября|октября|ноября|декабря|январе|феврале|марте|апреле|мае|июне|июле|августе|сентябре|октябре|ноябре|декабре|январь|февраль|март|апрель|май|июнь|июль|август|сентябрь|октябрь|ноябрь|декабрь",
    )
});
static DAYS: Words = LazyLock::new(|| {
    words_of(
        "monday|tuesday|wednesday|thursday|friday|saturday|sunday|mondays|tuesdays|wednesdays|thursdays|fridays|saturdays|sundays|weekdays|poniedziałek|wtorek|środa|środę|czwartek|piątek|sobota|sobotę|niedziela|niedzielę|poniedziałki|wtorki|środy|czwartki|piątki|soboty|poniedziałku|piątku|понедельник|вторник|среда|среду|четверг|пятница|пятницу|суббота|субботу|воскресенье|понедельника|пятницы|пятницам|понедельникам|вторникам|средам|четвергам|субботам|noon|midnight|południe|północ|północy|полдень|полночь|morning|evening|afternoon|night|today|tomorrow|o'clock|pm|am|godz|rano|wieczorem|wieczór|утром|утра|вечером|вечера|ночи",
    )
});
const CLAUSES: &str = "after|before|until|during|as soon as|po|przed|podczas|dopiero|после|перед|пока|во время|century|wieku|wiek|века|веке|век|era|epoce|эпоху";
static DISTANCE: Words = LazyLock::new(|| {
    words_of(
        "m|km|cm|mm|metre|metres|meter|meters|kilometre|kilometres|kilometers|mile|miles|feet|foot|inch|inches|yards|yard|metr|metry|metrów|metra|kilometr|kilometry|kilometrów|centymetrów|milimetrów|метр|метра|метров|километр|километра|километров|км|м|см|мм|миль|мили|сантиметров|футов|hectares|acres|ha|hektarów|m²|га|ft",
    )
});
static ROLES: Words = LazyLock::new(|| {
    words_of(
        "manager|managers|supervisor|director|head|engineer|engineers|lead|leader|officer|team|desk|department|staff|owner|administrator|admin|commander|reception|receptionist|accountant|committee|board|council|secretary|employee|employees|user|users|owners|colleague|colleagues|approver|operator|operators|driver|guard|parliament|king|queen|president|government|przełożony|przełożonego|przełożonemu|przełożonym|kierownik|kierownika|kierownikowi|dyrektor|dyrektora|dyrektorowi|dział|działu|działowi|zespół|zespołu|księgowość|księgowości|kadry|kadr|specjalista|inżynier|zarząd|zarządu|koordynator|koordynatora|dyspozytor|dyspozytora|mistrz|brygadzista|magazynier|recepcja|recepcji|pracownik|pracownicy|pracownika|operator|administrator|administratora|komisja|rada|król|prezydent|rząd|producent|producenta|prezes|prezesa|руководитель|руководителя|руководителю|руководителем|начальник|начальника|начальнику|директор|директора|директору|директором|отдел|отдела|отделу|отделом|служба|службы|службу|бухгалтерия|бухгалтерии|бухгалтер|специалист|инженер|инженера|инженеру|диспетчер|диспетчера|диспетчеру|мастер|мастера|мастеру|администратор|администратора|оператор|комиссия|совет|сотрудник|сотрудника|сотрудники|работник|менеджер|менеджера|менеджеру|охрана|охрану|король|президент|правительство|центр|центра|подрядчик|дежурный|дежурного|дежурному",
    )
});
static PLACES: Words = LazyLock::new(|| {
    words_of(
        "room|floor|building|street|street|office|warehouse|gate|entrance|desk|city|country|folder|page|tab|menu|drawer|cabinet|locker|pokój|pokoju|piętro|piętrze|budynek|budynku|ulica|ul|ulicy|biuro|biurze|magazyn|magazynie|brama|bramie|hala|hali|wejście|mieście|folderze|zakładce|szafie|szafka|комната|комнате|кабинет|кабинете|этаж|этаже|здание|здании|улица|ул|улице|офис|офисе|склад|складе|ворота|вход|входа|город|городе|папке|разделе|вкладке|шкафу|in|at|near|behind|next|w|na|przy|obok|в|на|у|возле",
    )
});
static CONTACT: Words = LazyLock::new(|| {
    words_of("extension|ext|phone|telephone|wewnętrzny|wewn|tel|telefon|numer|numerem|доб|добавочный|тел|телефон|номер|номеру")
});

/// Reads what a sentence holds. `foreign_numbers` tells numbers that the question already names: they answer nothing.
pub(super) fn holdings(sentence: &str, asked: &dyn Fn(&str) -> bool) -> Holdings {
    let words = split(sentence, asked);
    let lower = sentence.to_lowercase();
    let has = |list: &str| list.split('|').any(|phrase| phrase_in(&lower, phrase));
    let mut found = Holdings { contact: sentence.contains('@') || sentence.contains("://"), ..Holdings::default() };
    found.percent = false;
    for (at, word) in words.iter().enumerate() {
        if word.number {
            found.number = true;
            found.numbers_at.push(at);
            number_meanings(&words, at, sentence, &mut found);
        }
        if listed(&DAYS, &word.lower) || listed(&MONTHS, &word.lower) {
            found.time = true;
        }
        if word.capital {
            found.name = true;
            let next_capital = words.get(at + 1).is_some_and(|w| w.capital && alphabetic(w.raw))
                && adjacent(sentence, word.raw, words.get(at + 1).map_or("", |w| w.raw));
            if next_capital && alphabetic(word.raw) {
                found.person_name = true;
            }
        }
        found.role |= listed(&ROLES, &word.lower);
    }
    // A name may open the sentence or a table cell, where its capital proves nothing by itself: two capitals in a row do.
    found.person_name |= opening_name(sentence);
    found.name |= sentence.contains(['„', '«', '“', '"']);
    found.money |= has(MONEY_WORDS);
    found.percent |= sentence.contains('%');
    found.duration |= has(REPEATING);
    found.time |= has(CLAUSES);
    found.contact |= found.number && words.iter().any(|w| listed(&CONTACT, &w.lower))
        || words.iter().any(|w| w.number && w.raw.chars().filter(char::is_ascii_digit).count() >= 4);
    found.place = words.iter().any(|w| listed(&PLACES, &w.lower)) && (found.name || found.number);
    found
}

/// What the number at a place means, by its neighbours.
fn number_meanings(words: &[Word<'_>], at: usize, sentence: &str, found: &mut Holdings) {
    let near = |offset: isize| at.checked_add_signed(offset).and_then(|i| words.get(i)).map_or("", |w| w.lower.as_str());
    let raw = words.get(at).map_or("", |w| w.raw);
    let following = [near(1), near(2), near(3)];
    let around = [near(-1), near(1), near(2)];
    found.money |= around.iter().any(|w| listed(&MONEY, w)) || raw.contains(['$', '€', '£', '₽', '₸', '¥']);
    found.duration |= following.iter().any(|w| listed(&TIME_UNITS, w))
        || raw.chars().any(char::is_alphabetic) && matches!(raw, "8h" | "12h" | "24h" | "48h" | "72h");
    found.distance |= following.iter().take(2).any(|w| listed(&DISTANCE, w));
    found.temperature |= sentence.contains('°')
        || following
            .iter()
            .any(|w| matches!(*w, "degrees" | "stopni" | "stopnie" | "градусов" | "градуса" | "градус" | "celsius" | "fahrenheit"));
    found.percent |= following.iter().any(|w| matches!(*w, "percent" | "procent" | "процент" | "процента" | "процентов"));
    found.speed |= following.windows(2).any(|pair| matches!(pair, ["km" | "км" | "mb" | "gb" | "kb" | "m" | "м", "h" | "ч" | "s" | "с"]))
        || following.iter().any(|w| matches!(*w, "mph" | "mbit" | "gbit" | "kbit" | "mbps" | "gbps" | "мбит" | "гбит" | "кбит" | "knots"));
    let digits = raw.chars().filter(char::is_ascii_digit).count();
    let year = digits == 4 && raw.len() == 4 && (raw.starts_with('1') || raw.starts_with('2'));
    let clock = raw.contains(':') && digits >= 3;
    let date = raw.matches('.').count() == 2 && digits >= 5 || raw.matches('-').count() == 2 && digits >= 6;
    found.time |= year
        || clock
        || date
        || listed(&MONTHS, near(1))
        || listed(&MONTHS, near(-1))
        || matches!(near(1), "am" | "pm" | "a" | "p" | "th" | "st" | "nd" | "rd")
        || matches!(near(-1), "godz" | "godziny" | "o" | "at" | "by" | "till" | "until" | "от" | "до" | "с" | "к" | "od" | "do");
}

fn split<'a>(sentence: &'a str, asked: &dyn Fn(&str) -> bool) -> Vec<Word<'a>> {
    let mut words = Vec::new();
    let mut opens = true;
    for piece in sentence.split(|c: char| {
        c.is_whitespace() || matches!(c, '|' | '(' | ')' | '[' | ']' | ';' | '"' | '„' | '”' | '«' | '»' | '“' | '/' | '–' | '—')
    }) {
        let raw = piece
            .trim_matches(|c: char| !c.is_alphanumeric() && !matches!(c, '$' | '€' | '£' | '₽' | '₸' | '¥' | '%' | '°' | '+' | '*' | '@'));
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

fn alphabetic(word: &str) -> bool {
    let mut chars = word.chars();
    chars.next().is_some_and(char::is_uppercase)
        && chars.all(|c| c.is_lowercase() || matches!(c, '-' | '\'' | '’'))
        && word.chars().count() > 1
}

/// The two words stand side by side, with nothing but a space between them.
fn adjacent(sentence: &str, first: &str, second: &str) -> bool {
    !second.is_empty() && sentence.contains(&format!("{first} {second}"))
}

/// "Marta Kilian is …", "J. Kowalski", a table cell "Anna Lis", "А. С. Пушкин".
fn opening_name(sentence: &str) -> bool {
    sentence.split(['|', ':', '(', ',', ';']).any(|cell| {
        let words: Vec<&str> =
            cell.split_whitespace().map(|w| w.trim_matches(|c: char| !c.is_alphanumeric() && c != '.')).take(3).collect();
        match words.as_slice() {
            [first, second, ..] => {
                let initial = first.chars().count() == 2 && first.ends_with('.') && first.chars().next().is_some_and(char::is_uppercase);
                (initial || alphabetic(first)) && alphabetic(second.trim_end_matches('.'))
            }
            _ => false,
        }
    })
}

/// Number words of the three languages, up to a thousand.
pub(super) fn is_number_word(lower: &str) -> bool {
    number_value(lower).is_some() || listed(&VAGUE_NUMBERS, lower)
}

/// The value of a small number word, so that "ten" meets "10".
pub(super) fn number_value(lower: &str) -> Option<u32> {
    NUMBERS.get(lower).copied()
}

fn listed(list: &Words, word: &str) -> bool {
    list.contains(word)
}

fn words_of(list: &'static str) -> HashSet<&'static str> {
    list.split('|').collect()
}

static VAGUE_NUMBERS: Words = LazyLock::new(|| {
    words_of(
        "half|dozen|quarter|pół|połowa|połowę|kilka|пол|половина|половину|несколько|hundred|thousand|million|billion|sto|tysiąc|tysięcy|milion|mln|сто|тысяча|тысяч|миллион|both|oba|obie|оба|обе|none|no|jedynie|once|twice|raz|dwukrotnie|дважды|один|одна|trio",
    )
});

static NUMBERS: LazyLock<HashMap<&'static str, u32>> =
    LazyLock::new(|| VALUES.iter().flat_map(|(value, words)| words.split('|').map(move |word| (word, *value))).collect());

const VALUES: &[(u32, &str)] = &[
    (1, "one|jeden|jedna|jedno|jednego|jednej|один|одна|одно|одного|одной|одну|first|pierwszy|первый"),
    (2, "two|dwa|dwie|dwóch|dwoje|dwu|два|две|двух|двое|двумя"),
    (3, "three|trzy|trzech|trzej|три|трёх|трех|трое|тремя"),
    (4, "four|cztery|czterech|четыре|четырёх|четырех"),
    (5, "five|pięć|pięciu|пять|пяти"),
    (6, "six|sześć|sześciu|шесть|шести"),
    (7, "seven|siedem|siedmiu|семь|семи"),
    (8, "eight|osiem|ośmiu|восемь|восьми"),
    (9, "nine|dziewięć|dziewięciu|девять|девяти"),
    (10, "ten|dziesięć|dziesięciu|десять|десяти"),
    (11, "eleven|jedenaście|jedenastu|одиннадцать|одиннадцати"),
    (12, "twelve|dwanaście|dwunastu|двенадцать|двенадцати"),
    (13, "thirteen|trzynaście|trzynastu|тринадцать|тринадцати"),
    (14, "fourteen|czternaście|czternastu|четырнадцать|четырнадцати"),
    (15, "fifteen|piętnaście|piętnastu|пятнадцать|пятнадцати"),
    (16, "sixteen|szesnaście|szesnastu|шестнадцать|шестнадцати"),
    (18, "eighteen|osiemnaście|osiemnastu|восемнадцать|восемнадцати"),
    (20, "twenty|dwadzieścia|dwudziestu|двадцать|двадцати"),
    (30, "thirty|trzydzieści|trzydziestu|тридцать|тридцати"),
    (40, "forty|czterdzieści|czterdziestu|сорок|сорока"),
    (50, "fifty|pięćdziesiąt|pięćdziesięciu|пятьдесят|пятидесяти"),
    (60, "sixty|sześćdziesiąt|sześćdziesięciu|шестьдесят|шестидесяти"),
    (70, "seventy|siedemdziesiąt|семьдесят|семидесяти"),
    (80, "eighty|osiemdziesiąt|восемьдесят|восьмидесяти"),
    (90, "ninety|dziewięćdziesiąt|dziewięćdziesięciu|девяносто"),
    (100, "hundred|sto|stu|сто|ста"),
];
