//! What a question says: its concepts, how rare each is, and the kind of answer it wants.

use std::collections::HashSet;

use astrolabe_backends::analysis::{Alternative, Lang, analyse, analyse_question, detect_language};

use super::contrasts::{Contrast, contrasts};
use super::kinds::{self, Kind};
use super::{families, lexicon, numbers, ranges};

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
    /// A code, a year, or which one of several: only the same one will do.
    pub identifies: bool,
    /// The concept that this number, ordinal or letter belongs to: the `year` of "year 8".
    pub of: Option<usize>,
    /// The stem and what it was made of, for words of one family: `wypożycz`, `pożycz`.
    pub roots: Vec<String>,
    /// The question's language.
    pub lang: Lang,
}

impl Concept {
    /// Whether a stem is the word's own.
    fn is(&self, stem: &str) -> bool {
        self.alternatives.iter().any(|a| a.weight >= 0.7 && a.text == stem)
    }
}

/// An analysed question.
#[derive(Debug, Clone)]
pub(super) struct Question {
    pub lang: Lang,
    pub concepts: Vec<Concept>,
    pub kind: Kind,
    /// The concepts behind "how many", if any: the thing to be counted.
    pub focus: Vec<usize>,
    /// Asks how many there are, not how many there may be.
    pub total: bool,
    /// The concepts behind "dla" or "для": for whom something holds.
    pub whom: Vec<usize>,
    /// The concept that names the role of the person asked for.
    pub role: Option<usize>,
    /// Asks whether, not what.
    pub yes_or_no: bool,
    /// Values it names as conditions.
    pub values: Vec<f64>,
    /// Lengths of time it names, in minutes.
    pub durations: Vec<f64>,
    /// Options that exclude others.
    pub contrasts: Vec<Contrast>,
    /// Lower-case words and numbers of the question.
    pub words: HashSet<String>,
}

/// Words that carry little of a question's topic beside its other words; by stem-free lower-case form.
const LIGHT: &str = "find|finds|see|look|looks|get|gets|got|have|has|had|make|makes|made|take|takes|took|use|uses|used|using|go|goes|come|comes|give|gives|\
     given|want|need|needs|may|might|must|shall|let|put|still|please|tell|say|says|said|know|called|call|long|many|much|old|new|\
     soon|often|far|big|large|high|happen|happens|happened|someone|somebody|anyone|something|anything|thing|things|kind|type|one|\
     ones|there|right|now|currently|today|actually|exactly|usually|per|each|every|any|own|time|times|number|amount|name|names|\
     person|people|way|znaleźć|znajdę|szukać|найти|найду|искать|mieć|mam|masz|mamy|mają|mogę|może|można|możemy|mogą|trzeba|należy|muszę|musi|musimy|chcę|chce|wolno|\
     dostać|dostanę|dostaje|zrobić|robić|robi|robię|jeszcze|teraz|obecnie|ktoś|coś|rzecz|sprawa|sposób|sposobem|należą|należność|\
     wynosi|wynoszą|odbywa|znajduje|znajdują|nazywa|nazywał|nazywała|ile|ilu|jak|jakim|czas|czasu|razy|raz|roku|rok|moja|mój|\
     moje|nasz|nasza|nasze|nami|nam|swój|swoje|człowiek|ludzi|osób|osoba|osoby|można|нужно|надо|можно|могу|может|можем|могут|\
     должен|должна|должны|должно|делать|сделать|делает|получить|получит|получу|получает|имеет|имеют|иметь|хочу|хочет|сейчас|\
     теперь|именно|является|являются|называется|находится|находятся|составляет|составляют|происходит|человек|людей|люди|вещь|\
     способ|способом|время|времени|раз|год|году|года|мой|моя|моё|мои|наш|наша|наше|наши|свой|свои|какого|положено|полагается|\
     należy|przysługuje|случае|przypadku|case|какой|какая|какое|какие|какому|каким|каком|какую|какими|который|которая|которое|которые|\
     котором|которой|którą|którym|której|którego|których|jaką|jakiej|jakiego|jakimi|jakich";

/// What a word counts that stands before the question itself.
const ASIDE: f32 = 0.5;

/// Words that open a question that wants a yes or a no.
const YES_OR_NO: &str = "can|may|is|are|do|does|must|should|am|will|czy|wolno|ли|можно|нужно|надо";

/// Words whose meaning the expected kind already carries.
fn carried(kind: Kind, word: &str) -> bool {
    let list = match kind {
        Kind::Money => {
            "cost|costs|price|pay|pays|paid|fee|fees|much|amount|kosztuje|kosztują|koszt|cena|płacimy|płaci|płacę|zapłacę|kwota|\
             kwoty|kwocie|стоит|стоимость|цена|платим|платить|плачу|заплачу|сумма|стоят"
        }
        Kind::Duration | Kind::Soon | Kind::Often => {
            "long|often|frequently|często|часто|length|duration|period|validity|quickly|soon|time|days|hours|weeks|months|years|minutes|take|takes|last|lasts|długo|szybko|czas|czasu|czasie|\
             dni|godzin|godziny|miesięcy|lat|tygodni|minut|trwa|okres|długość|termin|ważność|долго|быстро|время|времени|дней|часов|месяцев|лет|недель|минут|\
             срок|длится|период|длительность|продолжительность"
        }
        Kind::Time | Kind::Year | Kind::Deadline => {
            "when|time|date|day|year|century|hours|opening|schedule|kiedy|dzień|dnia|roku|rok|godzinie|godziny|godzinach|otwarcia|data|której|wieku|когда|время|году|года|год|день|дня|\
             веке|часу|часы|часов|дата|расписание"
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
        Kind::Place | Kind::Room => "where|place|located|situated|gdzie|miejsce|miejscu|где|место|месте",
        Kind::Contact | Kind::Phone => {
            "number|phone|telephone|call|ring|numer|numerem|telefon|telefonu|telefonem|номер|телефон|телефона|телефону|номеру|номером"
        }
        Kind::Name => {
            "name|company|firm|manufacturer|brand|called|nazwa|firma|firmy|marka|marki|nazywa|название|компания|фирма|марка|\
             называется|марки"
        }
        Kind::Amount => {
            "big|large|high|size|length|rating|limit|maximum|capacity|limitu|długość|wielkość|rozmiar|лимит|размер|maksymalny|максимальный"
        }
        Kind::Age => "old|age|years|lat|wiek|wieku|lata|лет|возраст|возраста",
        Kind::Colour => "colour|color|kolor|koloru|цвет|цвета",
        Kind::Reason | Kind::Count | Kind::Any => "",
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
        let asked_from = last_question_at(text);
        let several = query.terms.len() > 1;
        for term in query.terms {
            let raw = text.get(term.start..term.end).unwrap_or_default();
            let surface = raw.to_lowercase();
            let digits = raw.chars().any(|c| c.is_ascii_digit());
            let opens =
                text.get(..term.start).is_none_or(|before| before.trim_end().is_empty() || before.trim_end().ends_with(['.', '!', '?']));
            let capitals = raw.chars().filter(|c| c.is_uppercase()).count();
            let after = query_word_before(text, term.start);
            let stem = analyse(&after, lang).into_iter().next().map(|t| t.text).unwrap_or_default();
            let numbered = digits && raw.bytes().all(|b| b.is_ascii_digit()) && raw.len() <= 3 && !followed_by_unit(text, term.end);
            let noun = concepts.iter().rposition(|c| numbered && c.is(&stem) && !LIGHT.split('|').any(|w| w == after));
            let year = raw.len() == 4 && digits && raw.chars().all(|c| c.is_ascii_digit()) && raw.starts_with(['1', '2']);
            // A plain number is mostly a condition ("for 40 thousand", "after ten years") that the answer states as a range.
            let quantity = noun.is_none() && (!year && !raw.chars().any(char::is_alphabetic) || numbers::is_number_word(&surface));
            let entity = !quantity && (digits || (capitals > 0 && !opens) || capitals > 1);
            let mut alternatives = term.alternatives;
            lexicon::expand(&surface, lang, &mut alternatives);
            if let Some(value) = numbers::number_value(&surface) {
                push(&mut alternatives, value.to_string(), 1.0);
            }
            // The most frequent sure form decides how rare the word is; a synonym counts when the word itself is unknown.
            let indexed = || alternatives.iter().filter(|a| !a.text.starts_with(families::KIN));
            let sure = indexed().filter(|a| a.weight >= 0.7).map(|a| idf(&a.text)).fold(ceiling, f32::min);
            let any = indexed().map(|a| idf(&a.text)).fold(ceiling, f32::min);
            let rarity = if sure < ceiling * 0.999 { sure } else { (sure + any) / 2.0 };
            let mut weight = (0.15 + rarity / ceiling) * term.weight;
            if several && quantity {
                weight *= 0.4;
            } else if several && !entity && (LIGHT.split('|').any(|w| w == surface) || carried(kind, &surface)) {
                weight *= 0.2;
            }
            // What leads up to the question ("I lost my badge. How long …?") says what it is about in more words than the answer needs.
            if several && !entity && term.start < asked_from {
                weight *= ASIDE;
            }
            let identifies = entity && digits;
            let roots = if entity { Vec::new() } else { families::roots(alternatives.first().map_or("", |a| &a.text), lang) };
            concepts.push(Concept { surface, alternatives, weight, entity, identifies, of: noun, roots, lang });
        }
        name_ordinals(&mut concepts);
        name_letters(text, lang, &mut concepts);
        let total: f32 = concepts.iter().map(|c| c.weight).sum();
        if total > 0.0 {
            concepts.iter_mut().for_each(|c| c.weight /= total);
        }
        let focus = focus(text, &concepts);
        let role = concepts.iter().position(|c| kinds::is_role(&c.surface)).filter(|_| kind == Kind::PersonName);
        let whom = (0..concepts.len()).filter(|i| concepts.get(*i).is_some_and(|c| behind_for(&lower, &c.surface))).collect();
        Self {
            lang,
            concepts,
            kind,
            focus,
            role,
            total: kind == Kind::Count && kinds::asks_total(&refs),
            whom,
            yes_or_no: refs.get(last_question(text)..).unwrap_or(&refs).iter().take(3).any(|w| YES_OR_NO.split('|').any(|y| y == *w)),
            values: ranges::values(text),
            durations: ranges::durations(text),
            contrasts: contrasts(text, lang),
            words: lower.into_iter().collect(),
        }
    }
}

/// The word right before a byte of the text, in lower case; empty when a sentence ends between.
fn query_word_before(text: &str, at: usize) -> String {
    let before = text.get(..at).unwrap_or_default().trim_end();
    let word = before.rsplit(|c: char| !(c.is_alphanumeric() || matches!(c, '-' | '\'' | '’'))).next().unwrap_or_default();
    word.to_lowercase()
}

/// Whether a number is followed by another word, which it then counts: "8 days", unlike "year 8 pupils", cannot be told apart by form, so only
/// units and signs count.
fn followed_by_unit(text: &str, at: usize) -> bool {
    let rest = text.get(at..).unwrap_or_default();
    if rest.starts_with(['%', '°', ':', '.', ',']) && rest.chars().nth(1).is_some_and(|c| c.is_ascii_digit())
        || rest.starts_with(['%', '°'])
    {
        return true;
    }
    let next: String = rest.trim_start().chars().take_while(|c| c.is_alphanumeric()).collect::<String>().to_lowercase();
    !next.is_empty() && (kinds::is_time_unit(&next) || super::holdings::is_unit(&next))
}

/// Whether a word stands right behind "dla" or "для".
fn behind_for(words: &[String], word: &str) -> bool {
    words.windows(2).any(|pair| matches!(pair, [before, at] if matches!(before.as_str(), "dla" | "для") && at == word))
}

/// "The second building", "w czwartym korpusie": which one is meant, as by a number.
fn name_ordinals(concepts: &mut [Concept]) {
    for at in 0..concepts.len() {
        let noun = concepts.get(at + 1).filter(|c| !LIGHT.split('|').any(|w| w == c.surface) && !kinds::is_time_unit(&c.surface)).is_some();
        let Some(concept) = concepts.get_mut(at) else { continue };
        if let Some(value) = numbers::ordinal(&concept.surface).filter(|_| noun) {
            push(&mut concept.alternatives, value.to_string(), 1.0);
            (concept.entity, concept.identifies, concept.of) = (true, true, Some(at + 1));
        }
    }
}

/// "Car park A": a single capital behind a noun, which the analysis takes for a function word.
fn name_letters(text: &str, lang: Lang, concepts: &mut Vec<Concept>) {
    let mut before = String::new();
    for word in text.split_whitespace() {
        let bare = word.trim_matches(|c: char| !c.is_alphanumeric());
        let mut chars = bare.chars();
        if let (Some(letter), None) = (chars.next(), chars.next())
            && letter.is_uppercase()
            && !(letter == 'I' && lang == Lang::En)
            && let Some(stem) = analyse(&before, lang).into_iter().next()
            && let Some(noun) = concepts.iter().position(|c| c.is(&stem.text))
        {
            let surface = letter.to_lowercase().to_string();
            if !concepts.iter().any(|c| c.surface == surface) {
                let weight = concepts.iter().map(|c| c.weight).fold(0.0, f32::max);
                let alternatives = vec![Alternative { text: surface.clone(), weight: 1.0 }];
                concepts.push(Concept {
                    surface,
                    alternatives,
                    weight,
                    entity: true,
                    identifies: true,
                    of: Some(noun),
                    roots: Vec::new(),
                    lang,
                });
            }
        }
        before = bare.to_lowercase();
    }
}

/// Number of words before the last question of the text: "I lost my badge. How long do I have?" asks for a time.
fn last_question(text: &str) -> usize {
    words_in(text.get(..last_question_at(text)).unwrap_or_default())
}

/// First byte of the last question of the text, 0 when that is all of it.
fn last_question_at(text: &str) -> usize {
    let Some(body) = text.trim_end().strip_suffix('?') else { return 0 };
    let start =
        body.rfind(['.', '!', '?']).filter(|at| body.get(at + 1..).is_some_and(|rest| rest.starts_with(' '))).map_or(0, |at| at + 1);
    if words_in(body.get(start..).unwrap_or_default()) < 2 { 0 } else { start }
}

fn words_in(part: &str) -> usize {
    part.split(|c: char| !(c.is_alphanumeric() || matches!(c, '-' | '\'' | '’')))
        .filter(|w| !w.trim_matches(['-', '\'', '’']).is_empty())
        .count()
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
    // "How many people", "how many fit on": no thing is named.
    if english && rest.split_whitespace().nth(1).is_some_and(|w| matches!(w, "on" | "in" | "at" | "into" | "per" | "to")) {
        found.clear();
    }
    found.retain(|at| concepts.get(*at).is_some_and(|c| !LIGHT.split('|').any(|w| w == c.surface)));
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
