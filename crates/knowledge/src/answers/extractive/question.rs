//! What a question says: its concepts, how rare each is, and the kind of answer it wants.

use std::collections::HashSet;

use astrolabe_backends::analysis::{Alternative, Lang, analyse_question, detect_language};

use super::kinds::{self, Kind};
use super::{lexicon, numbers, ranges};

/// A word of the question that an answer should share.
#[derive(Debug, Clone)]
pub(super) struct Concept {
    /// The word as asked, lower-case.
    pub surface: String,
    /// Index terms that stand for it with their weights, synonyms included.
    pub alternatives: Vec<Alternative>,
    /// Importance among the question's concepts; all weights sum to 1.
    pub weight: f32,
    /// A name, code or number: it cannot be paraphrased.
    pub entity: bool,
    /// No document holds the word or a synonym of it.
    pub unseen: bool,
}

/// An analysed question.
#[derive(Debug, Clone)]
pub(super) struct Question {
    pub lang: Lang,
    pub concepts: Vec<Concept>,
    pub kind: Kind,
    /// The concepts behind "how many", if any: the thing to be counted.
    pub focus: Vec<usize>,
    /// The concept that names the role of the person asked for.
    pub role: Option<usize>,
    /// Values it names as conditions.
    pub values: Vec<f64>,
    /// Lower-case words and numbers of the question.
    pub words: HashSet<String>,
}

/// Words that carry little of a question's topic beside its other words; by stem-free lower-case form.
const LIGHT: &str = "get|gets|got|have|has|had|make|makes|made|take|takes|took|use|uses|used|using|go|goes|come|comes|give|gives|\
     given|want|need|needs|may|might|must|shall|let|put|still|please|tell|say|says|said|know|called|call|long|many|much|old|new|\
     soon|often|far|big|large|high|happen|happens|happened|someone|somebody|anyone|something|anything|thing|things|kind|type|one|\
     ones|there|right|now|currently|today|actually|exactly|usually|per|each|every|any|own|time|times|number|amount|name|names|\
     person|people|way|mieć|mam|masz|mamy|mają|mogę|może|można|możemy|mogą|trzeba|należy|muszę|musi|musimy|chcę|chce|wolno|\
     dostać|dostanę|dostaje|zrobić|robić|robi|robię|jeszcze|teraz|obecnie|ktoś|coś|rzecz|sprawa|sposób|sposobem|należą|należność|\
     wynosi|wynoszą|odbywa|znajduje|znajdują|nazywa|nazywał|nazywała|ile|ilu|jak|jakim|czas|czasu|razy|raz|roku|rok|moja|mój|\
     moje|nasz|nasza|nasze|nami|nam|swój|swoje|człowiek|ludzi|osób|osoba|osoby|można|нужно|надо|можно|могу|может|можем|могут|\
     должен|должна|должны|должно|делать|сделать|делает|получить|получит|получу|получает|имеет|имеют|иметь|хочу|хочет|сейчас|\
     теперь|именно|является|являются|называется|находится|находятся|составляет|составляют|происходит|человек|людей|люди|вещь|\
     способ|способом|время|времени|раз|год|году|года|мой|моя|моё|мои|наш|наша|наше|наши|свой|свои|какого|положено|полагается|\
     należy|przysługuje|случае|przypadku|case";

/// Words whose meaning the expected kind already carries.
fn carried(kind: Kind, word: &str) -> bool {
    let list = match kind {
        Kind::Money => {
            "cost|costs|price|pay|pays|paid|fee|fees|much|amount|kosztuje|kosztują|koszt|cena|płacimy|płaci|płacę|zapłacę|kwota|\
             kwoty|kwocie|стоит|стоимость|цена|платим|платить|плачу|заплачу|сумма|стоят"
        }
        Kind::Duration => {
            "long|quickly|soon|time|days|hours|weeks|months|years|minutes|take|takes|last|lasts|długo|szybko|czas|czasu|czasie|\
             dni|godzin|godziny|miesięcy|lat|tygodni|minut|trwa|долго|быстро|время|времени|дней|часов|месяцев|лет|недель|минут|\
             срок|длится"
        }
        Kind::Time | Kind::Deadline => {
            "when|time|date|day|year|century|kiedy|dzień|dnia|roku|rok|godzinie|której|wieku|когда|время|году|года|год|день|дня|\
             веке|часу"
        }
        Kind::Person | Kind::PersonName => "who|person|name|kto|osoba|osoby|nazywa|nazwisko|кто|зовут|имя|фамилия|человек",
        Kind::Percent => "percentage|percent|share|proportion|procent|odsetek|процент|доля|долю|процентов",
        Kind::Temperature => {
            "temperature|degrees|temperatura|temperaturze|stopni|stopniach|температура|температуре|градусов|\
             градусах"
        }
        Kind::Speed => "fast|speed|szybko|prędkość|prędkością|скорость|скоростью|быстро",
        Kind::Distance => {
            "far|distance|length|tall|high|daleko|odległość|wysokość|długość|далеко|расстояние|длина|длины|высота|kilometrów|\
             километров"
        }
        Kind::Place => "where|place|located|situated|gdzie|miejsce|miejscu|где|место|месте",
        Kind::Contact => "number|phone|telephone|call|numer|numerem|telefon|номер|телефон|телефона|номеру",
        Kind::Name => {
            "name|company|firm|manufacturer|brand|called|nazwa|firma|firmy|marka|marki|nazywa|название|компания|фирма|марка|\
             называется|марки"
        }
        Kind::Amount => "big|large|high|size|limit|maximum|capacity|limitu|лимит|размер|maksymalny|максимальный",
        Kind::Count | Kind::Any => "",
    };
    list.split('|').any(|w| w == word)
}

impl Question {
    /// Analyses a question. `idf` gives the inverse document frequency of an index term; for a term that no document holds it must give its maximum.
    pub(super) fn read(text: &str, lang: Option<Lang>, idf: &dyn Fn(&str) -> f32) -> Self {
        let lang = lang.unwrap_or_else(|| detect_language(text));
        let lower: Vec<String> = text
            .split(|c: char| !(c.is_alphanumeric() || matches!(c, '-' | '\'' | '’')))
            .map(|w| w.trim_matches(['-', '\'', '’']).to_lowercase())
            .filter(|w| !w.is_empty())
            .collect();
        let refs: Vec<&str> = lower.iter().map(String::as_str).collect();
        let kind = kinds::expected(refs.get(last_question(text)..).unwrap_or(&refs));
        // A private-use character is in no document, so it shows the ceiling.
        let ceiling = idf("\u{10fffd}").max(f32::MIN_POSITIVE);
        let mut concepts: Vec<Concept> = Vec::new();
        let query = analyse_question(text, Some(lang));
        let several = query.terms.len() > 1;
        for term in query.terms {
            let raw = text.get(term.start..term.end).unwrap_or_default();
            let surface = raw.to_lowercase();
            let digits = raw.chars().any(|c| c.is_ascii_digit());
            let opens =
                text.get(..term.start).is_none_or(|before| before.trim_end().is_empty() || before.trim_end().ends_with(['.', '!', '?']));
            let capitals = raw.chars().filter(|c| c.is_uppercase()).count();
            let year = raw.len() == 4 && digits && raw.chars().all(|c| c.is_ascii_digit()) && raw.starts_with(['1', '2']);
            // A plain number is mostly a condition ("for 40 thousand", "after ten years") that the answer states as a range.
            let quantity = !year && !raw.chars().any(char::is_alphabetic) || numbers::is_number_word(&surface);
            let entity = !quantity && (digits || (capitals > 0 && !opens) || capitals > 1);
            let mut alternatives = term.alternatives;
            lexicon::expand(&surface, lang, &mut alternatives);
            if let Some(value) = numbers::number_value(&surface) {
                push(&mut alternatives, value.to_string(), 1.0);
            }
            // The most frequent sure form decides how rare the word is; a synonym counts when the word itself is unknown.
            let sure = alternatives.iter().filter(|a| a.weight >= 0.7).map(|a| idf(&a.text)).fold(ceiling, f32::min);
            let any = alternatives.iter().map(|a| idf(&a.text)).fold(ceiling, f32::min);
            let unseen = any >= ceiling * 0.999;
            let rarity = if sure < ceiling * 0.999 { sure } else { (sure + any) / 2.0 };
            let mut weight = (0.15 + rarity / ceiling) * term.weight;
            if several && quantity {
                weight *= 0.4;
            } else if several && !entity && (LIGHT.split('|').any(|w| w == surface) || carried(kind, &surface)) {
                weight *= 0.2;
            } else if unseen && !entity {
                weight *= 0.7;
            }
            concepts.push(Concept { surface, alternatives, weight, entity, unseen });
        }
        let total: f32 = concepts.iter().map(|c| c.weight).sum();
        if total > 0.0 {
            concepts.iter_mut().for_each(|c| c.weight /= total);
        }
        let focus = focus(text, &concepts);
        let role = concepts.iter().position(|c| kinds::is_role(&c.surface)).filter(|_| kind == Kind::PersonName);
        Self { lang, concepts, kind, focus, role, values: ranges::values(text), words: lower.into_iter().collect() }
    }
}

/// Number of words before the last question of the text: "I lost my badge. How long do I have?" asks for a time.
fn last_question(text: &str) -> usize {
    let trimmed = text.trim_end();
    let Some(body) = trimmed.strip_suffix('?') else { return 0 };
    let start =
        body.rfind(['.', '!', '?']).filter(|at| body.get(at + 1..).is_some_and(|rest| rest.starts_with(' '))).map_or(0, |at| at + 1);
    let words = |part: &str| {
        part.split(|c: char| !(c.is_alphanumeric() || matches!(c, '-' | '\'' | '’')))
            .filter(|w| !w.trim_matches(['-', '\'', '’']).is_empty())
            .count()
    };
    if words(body.get(start..).unwrap_or_default()) < 2 { 0 } else { words(body.get(..start).unwrap_or_default()) }
}

/// The concepts that name what is counted: the words behind "how many" up to the verb. English puts them in front of an auxiliary; in Polish and
/// Russian the noun stands in the genitive plural, and its adjectives end as such.
fn focus(text: &str, concepts: &[Concept]) -> Vec<usize> {
    const VERBS: &str = "do does did are is were was have has had can could will would may must should shall";
    let adjective = |word: &str| ["ych", "ich", "ых", "их"].iter().any(|end| word.ends_with(end));
    let lower = text.to_lowercase();
    let asked = ["how many", "number of", "ile", "ilu", "сколько", "скольких", "количество", "liczba"].iter().find_map(|phrase| {
        lower.match_indices(phrase).find_map(|(at, _)| {
            let clean_start = lower.get(..at).is_none_or(|b| !b.ends_with(char::is_alphanumeric));
            let rest = lower.get(at + phrase.len()..)?;
            (clean_start && rest.starts_with(char::is_whitespace)).then_some((rest, phrase.is_ascii() && phrase.contains(' ')))
        })
    });
    let Some((rest, english)) = asked else { return Vec::new() };
    let mut found: Vec<usize> = Vec::new();
    let mut before = "";
    for word in rest.split(|c: char| !(c.is_alphanumeric() || c == '-')).filter(|w| !w.is_empty()).take(3) {
        let named = concepts.iter().position(|c| c.surface == word);
        let belongs = if english { !VERBS.split(' ').any(|verb| verb == word) } else { adjective(word) || adjective(before) };
        match named {
            Some(at) if found.is_empty() || belongs => found.push(at),
            None if found.is_empty() && !english => {}
            _ => break,
        }
        before = word;
    }
    // Without an auxiliary close by, only the first word is sure to name the thing.
    let bounded = rest.split_whitespace().take(4).any(|w| VERBS.split(' ').any(|verb| verb == w));
    if english && !bounded {
        found.truncate(1);
    }
    found
}

pub(super) fn push(alternatives: &mut Vec<Alternative>, text: String, weight: f32) {
    if !alternatives.iter().any(|a| a.text == text) {
        alternatives.push(Alternative { text, weight });
    }
}
