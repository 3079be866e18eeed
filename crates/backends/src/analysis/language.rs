//! Which language a text is in: script first, then letters and function words, then trigrams.
//!
//! Trigram models need a sentence or two; a search query has three words. So a query is judged by what is certain in
//! it (Cyrillic letters, Polish letters, function words), and statistics decide only over texts long enough for them.

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
    if letters.cyrillic * 3 >= letters.total {
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
    other: usize,
    polish: usize,
    /// Latin letters with diacritics that Polish does not have.
    latin_foreign: usize,
}

impl Letters {
    fn count(text: &str) -> Self {
        let mut letters = Self::default();
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
                }
                '\u{aa}'..='\u{24f}' | '\u{1e00}'..='\u{1eff}' => letters.latin_foreign += 1,
                _ => letters.other += 1,
            }
        }
        letters
    }
}

fn cyrillic(text: &str, letters: &Letters) -> Lang {
    // One Ukrainian name in a Russian text is not a Ukrainian text.
    if letters.cyrillic_foreign * 40 > letters.cyrillic {
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
    Lang::Ru
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
    let mut polish = 0_i32;
    let mut english = 0_i32;
    for word in text.unicode_words() {
        let word = normalise(word);
        // Words of both languages ("a", "i", "to", "we", "do", "my") are evidence of neither.
        match (is_stop_word(&word, Lang::Pl), is_stop_word(&word, Lang::En)) {
            (true, false) => polish += 4,
            (false, true) => english += 4,
            _ => {
                polish += polish_looks(&word);
                english += english_looks(&word);
            }
        }
    }
    if letters.latin_foreign > letters.polish && letters.latin_foreign * 100 > letters.total && polish.max(english) < 6 {
        return Lang::Other;
    }
    if letters.polish > 0 {
        polish += 2 + i32::try_from(letters.polish.min(20)).unwrap_or(20);
    }
    // Between these two the trigram model is better than chance even for a few words.
    match Detector::with_allowlist(vec![whatlang::Lang::Eng, whatlang::Lang::Pol]).detect_lang(text) {
        Some(whatlang::Lang::Pol) => polish += 2,
        Some(_) => english += 2,
        None => {}
    }
    if polish > english { Lang::Pl } else { Lang::En }
}

/// Letter groups that Polish words have and English ones hardly ever.
fn polish_looks(word: &str) -> i32 {
    if word.contains(['v', 'x', 'q']) {
        return 0;
    }
    let inside = ["rz", "cz", "sz", "dz", "cj", "zj", "zg", "kadr", "wsk", "sci", "nia"];
    let ends = [
        "ego", "emu", "ach", "ami", "ych", "ymi", "anie", "enie", "osc", "acja", "acji", "acje", "owac", "ek", "owy", "owa", "owe", "aja",
        "uje", "iem", "iej", "ej", "ie", "ku", "ji", "wu", "du", "ow", "cy", "ki", "ka", "wa", "na", "ne", "no", "al", "ala",
    ];
    score(word, &inside, &ends)
}

/// Letter groups that English words have and Polish ones hardly ever.
fn english_looks(word: &str) -> i32 {
    let inside = ["th", "sh", "wh", "ck", "ee", "oo", "ea", "ou", "ll", "ss", "tt", "ff", "qu", "v", "x", "gh", "ay", "ew"];
    let ends = ["ing", "tion", "sion", "ed", "ly", "ment", "ness", "er", "es", "ity", "ce", "al", "re", "ble", "ve", "y"];
    score(word, &inside, &ends)
}

fn score(word: &str, inside: &[&str], ends: &[&str]) -> i32 {
    let found = 2 * inside.iter().filter(|g| word.contains(**g)).count()
        + ends.iter().filter(|g| word.len() > g.len() + 1 && word.ends_with(**g)).count();
    i32::try_from(found.min(3)).unwrap_or(0)
}
