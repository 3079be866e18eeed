//! Which language a text is in: script first, then letters and function words, then trigrams.
//!
//! Trigram models need a sentence or two; a search query has three words. So a query is judged by what is certain in
//! it (letters that only one alphabet has, function words), and statistics decide only over texts long enough for them.
//! The neighbours of our languages are known by the same evidence, so that a Ukrainian, Czech or German question is not
//! stemmed as a Russian, Polish or English one. Figures: `docs/adr/0013-analysis.md`.

use unicode_segmentation::UnicodeSegmentation;

use whatlang::Detector;

use super::Lang;
use super::fold::normalise;
use super::stop::is_stop_word;

/// Characters of the text that are looked at. More changes no verdict and costs time on large documents.
const SAMPLE_CHARS: usize = 4_000;
/// Letters from which the trigram model is asked first.
const LONG_TEXT: usize = 160;
/// Below this confidence the trigram model only guesses.
const SURE: f64 = 0.6;

/// Detects the language of `text`: English, Polish, Russian, or [`Lang::Other`] for anything else and for text without
/// letters. A short Latin text without any evidence is taken for English, the language of most identifiers and terms.
#[must_use]
pub fn detect_language(text: &str) -> Lang {
    let sample: String = text.chars().take(SAMPLE_CHARS).collect();
    let letters = Letters::count(&sample);
    if letters.total == 0 || letters.other * 2 > letters.total {
        return Lang::Other;
    }
    // A Russian sentence may quote English names; an English one rarely quotes Cyrillic. A third is enough.
    // A question about a long English name still asks in Russian.
    let asks = || sample.unicode_words().any(|word| is_stop_word(&normalise(word), Lang::Ru));
    if letters.cyrillic * 3 >= letters.total || (letters.cyrillic * 6 >= letters.total && asks()) {
        return cyrillic(&sample, &letters);
    }
    latin(&sample, &letters)
}

#[derive(Default)]
struct Letters {
    total: usize,
    cyrillic: usize,
    /// Cyrillic letters that Russian does not have.
    cyrillic_foreign: usize,
    /// `ъ` before another letter than `е`, `ё`, `ю`, `я`: never in Russian, a vowel in Bulgarian.
    bulgarian: usize,
    other: usize,
    polish: usize,
    /// Latin letters with diacritics that Polish does not have.
    latin_foreign: usize,
}

impl Letters {
    fn count(text: &str) -> Self {
        let mut letters = Self::default();
        let mut before = ' ';
        for c in text.chars().filter(|c| c.is_alphabetic()) {
            letters.total += 1;
            match c {
                'a'..='z' | 'A'..='Z' => {}
                'ą' | 'ć' | 'ę' | 'ł' | 'ń' | 'ś' | 'ź' | 'ż' | 'Ą' | 'Ć' | 'Ę' | 'Ł' | 'Ń' | 'Ś' | 'Ź' | 'Ż' => {
                    letters.polish += 1;
                }
                'ó' | 'Ó' => {}
                '\u{400}'..='\u{52f}' => {
                    letters.cyrillic += 1;
                    let russian = matches!(c, 'а'..='я' | 'А'..='Я' | 'ё' | 'Ё');
                    letters.cyrillic_foreign += usize::from(!russian);
                    letters.bulgarian += usize::from(before == 'ъ' && !matches!(c, 'е' | 'ё' | 'ю' | 'я'));
                }
                '\u{aa}'..='\u{24f}' | '\u{1e00}'..='\u{1eff}' => letters.latin_foreign += 1,
                _ => letters.other += 1,
            }
            before = c;
        }
        letters
    }
}

fn cyrillic(text: &str, letters: &Letters) -> Lang {
    // One Ukrainian name in a Russian text is not a Ukrainian text.
    if (letters.cyrillic_foreign + letters.bulgarian) * 40 > letters.cyrillic {
        return Lang::Other;
    }
    if letters.cyrillic >= LONG_TEXT
        && let Some(info) = whatlang::detect(text)
        && info.confidence() > SURE
        && info.script() == whatlang::Script::Cyrillic
        && info.lang() != whatlang::Lang::Rus
    {
        return Lang::Other;
    }
    let (mut russian, mut foreign) = (0, 0);
    for word in text.unicode_words() {
        let word = normalise(word);
        match (is_stop_word(&word, Lang::Ru), is_foreign_word(&word)) {
            (true, false) => russian += 1,
            (false, true) => foreign += 1,
            _ => {}
        }
    }
    if foreign > russian { Lang::Other } else { Lang::Ru }
}

fn latin(text: &str, letters: &Letters) -> Lang {
    if letters.total >= LONG_TEXT
        && let Some(info) = whatlang::detect(text)
        && info.confidence() > SURE
    {
        return match info.lang() {
            whatlang::Lang::Eng => Lang::En,
            whatlang::Lang::Pol => Lang::Pl,
            whatlang::Lang::Rus => Lang::Ru,
            _ => Lang::Other,
        };
    }
    let (mut polish, mut english, mut foreign) = (0_i32, 0_i32, 0_i32);
    for (i, raw) in text.unicode_words().enumerate() {
        // A name inside a sentence says little about the language around it.
        let name = i > 0 && raw.starts_with(char::is_uppercase);
        let worth = if name { 1 } else { 4 };
        let word = normalise(raw);
        // Words of several languages ("a", "i", "to", "we", "do", "my") are evidence of none.
        match (is_stop_word(&word, Lang::Pl), is_stop_word(&word, Lang::En), is_foreign_word(&word)) {
            (true, false, false) => polish += worth,
            (false, true, false) => english += worth,
            (false, false, true) => foreign += worth,
            (false, false, false) if !name => {
                polish += polish_looks(&word);
                english += english_looks(&word);
            }
            _ => {}
        }
    }
    foreign += 3 * i32::try_from(letters.latin_foreign.saturating_sub(letters.polish).min(4)).unwrap_or(4);
    if letters.polish > 0 {
        polish += 2 + i32::try_from(letters.polish.min(20)).unwrap_or(20);
    }
    // Between these two the trigram model is better than chance even for a few words.
    match Detector::with_allowlist(vec![whatlang::Lang::Eng, whatlang::Lang::Pol]).detect_lang(text) {
        Some(whatlang::Lang::Pol) => polish += 2,
        Some(_) => english += 2,
        None => {}
    }
    if foreign > polish.max(english) {
        return Lang::Other;
    }
    if polish > english { Lang::Pl } else { Lang::En }
}

/// Function words of neighbouring languages that ours do not have as words.
const FOREIGN: &[&str] = &[
    // German
    "der",
    "die",
    "das",
    "und",
    "ist",
    "nicht",
    "ich",
    "wie",
    "wo",
    "ein",
    "eine",
    "einen",
    "mein",
    "meine",
    "für",
    "mit",
    "auf",
    "von",
    "zu",
    "zum",
    "zur",
    "im",
    "dem",
    "den",
    "des",
    "wird",
    "werden",
    "kann",
    "bei",
    "oder",
    "sich",
    "über",
    "aus",
    "nach",
    "warum",
    "wer",
    // French
    "le",
    "la",
    "les",
    "et",
    "est",
    "une",
    "des",
    "du",
    "je",
    "mon",
    "ma",
    "pour",
    "dans",
    "qui",
    "que",
    "comment",
    "ne",
    "pas",
    "sur",
    "avec",
    "vous",
    "nous",
    "où",
    "pourquoi",
    // Spanish and Portuguese
    "el",
    "los",
    "las",
    "y",
    "es",
    "una",
    "del",
    "cómo",
    "qué",
    "para",
    "por",
    "con",
    "mi",
    "puedo",
    "dónde",
    "como",
    "posso",
    "minha",
    "os",
    "não",
    "uma",
    "para",
    "em",
    "são",
    // Italian
    "il",
    "gli",
    "che",
    "della",
    "di",
    "sono",
    "mio",
    "mia",
    "nel",
    "perché",
    "dove",
    // Dutch
    "het",
    "een",
    "hoe",
    "mijn",
    "niet",
    "van",
    "voor",
    "waar",
    "kan",
    "ik",
    // Czech and Slovak
    "se",
    "si",
    "že",
    "proč",
    "kde",
    "jsem",
    "jsou",
    "není",
    "který",
    "která",
    "které",
    "nebo",
    "pro",
    "při",
    "mohu",
    "můj",
    "moje",
    "až",
    "ako",
    "prečo",
    "som",
    "sú",
    "nie",
    "ktorý",
    "ktorá",
    "alebo",
    "môžem",
    "môj",
    "sa",
    "v",
    "ke",
    "také",
    // Ukrainian and Belarusian
    "як",
    "що",
    "це",
    "та",
    "від",
    "або",
    "чи",
    "який",
    "яка",
    "яке",
    "які",
    "коли",
    "де",
    "хто",
    "щоб",
    "був",
    "його",
    "вона",
    "вони",
    "він",
    "мене",
    "чому",
    "також",
    "після",
    "мій",
    "моя",
    "яко",
    "гэта",
    "што",
    "няма",
    "калі",
    "каб",
    "ад",
    "мой",
    "яго",
    // Bulgarian, Serbian, Macedonian
    "се",
    "са",
    "че",
    "със",
    "ще",
    "това",
    "този",
    "тази",
    "които",
    "който",
    "има",
    "може",
    "няма",
    "си",
    "защо",
    "къде",
    "кога",
    "је",
    "су",
];

/// Whether a word is a function word of a neighbouring language.
fn is_foreign_word(word: &str) -> bool {
    FOREIGN.contains(&word)
}

/// Letter groups that Polish words have and English ones hardly ever.
fn polish_looks(word: &str) -> i32 {
    if word.contains(['v', 'x', 'q']) {
        return 0;
    }
    let starts = ["prz", "wsp", "zw", "wz", "wy", "roz", "niez", "niep", "pow", "poz", "pod", "zg", "zm", "sz", "zab", "zap", "zaj"];
    let inside = [
        "rz", "cz", "sz", "dz", "cj", "cyj", "zj", "zg", "kadr", "wsk", "sci", "nia", "wni", "owa", "ujac", "zny", "jny", "wan", "kto",
        "izm",
    ];
    let ends = [
        "ego", "emu", "ach", "ami", "ych", "ymi", "anie", "enie", "osc", "acja", "acji", "acje", "cja", "owac", "ek", "owy", "owa", "owe",
        "aja", "uja", "uje", "iem", "iej", "ej", "ie", "ku", "ji", "wu", "du", "ow", "cy", "ki", "ka", "wa", "na", "ne", "no", "al", "ala",
        "ony", "one", "any", "aly", "ily", "nik", "arz", "iu", "ju", "owi", "yk", "zm", "lot", "op", "eg",
    ];
    let begins = starts.iter().any(|g| word.starts_with(g) && word.len() > g.len() + 2);
    (score(word, &inside, &ends) + 2 * i32::from(begins)).min(4)
}

/// Letter groups that English words have and Polish ones hardly ever.
fn english_looks(word: &str) -> i32 {
    let inside = [
        "th", "sh", "wh", "ck", "ee", "oo", "ea", "ou", "ll", "ss", "tt", "ff", "qu", "v", "x", "gh", "ay", "ew", "str", "ture", "ph",
        "pp", "ai", "oa", "ur", "rr", "mm", "cc",
    ];
    let ends = [
        "ing", "tion", "sion", "ed", "ly", "ment", "ness", "er", "es", "ity", "ce", "al", "re", "ble", "ve", "y", "s", "de", "ct", "fy",
        "cy", "ine", "ge", "rd", "nd", "ld", "st", "ks",
    ];
    score(word, &inside, &ends)
}

fn score(word: &str, inside: &[&str], ends: &[&str]) -> i32 {
    let found = 2 * inside.iter().filter(|g| word.contains(**g)).count()
        + ends.iter().filter(|g| word.len() > g.len() + 1 && word.ends_with(**g)).count();
    i32::try_from(found.min(3)).unwrap_or(0)
}
