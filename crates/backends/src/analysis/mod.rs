//! Text to search terms, the same on every engine.
//!
//! A document yields one stem per word (Snowball 3 of the word's language), and beside it, at the same position, the
//! forms under which people also look for it: the stem without diacritics, an identifier whole and in pieces, a hyphen
//! compound written as one word. A query yields one group per word; a group holds alternatives with weights, and a
//! chunk earns the best of them once. So a user who types without diacritics, or in another language than the
//! document, loses weight and not the result.

mod fold;
mod language;
mod near;
mod numbers;
mod phrase;
mod query;
mod stop;
mod syntax;
mod tokens;

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use snowball_stemmers_rs::{Algorithm, Stemmer};

use fold::{FOLDED, is_unsegmented, normalise, without_diacritics};
use numbers::{date_at, number_forms};
use tokens::{Compound, compounds, pieces};

pub use language::detect_language;
pub use near::{Lookup, Near, Pattern};
pub use phrase::{Phrase, phrase_in};
pub use query::{Alternative, Beginning, Query, QueryTerm, analyse_query, analyse_question};

/// Changes whenever the same text may yield other terms. An index built by another version is rebuilt.
pub const ANALYSIS_VERSION: u32 = 2;

/// Longest term in characters; the rest of a longer word is cut, a longer compound is only kept in pieces.
pub const MAX_TERM_CHARS: usize = 64;

/// A language the analyser knows, by ISO 639-1 code; `und` (BCP 47, undetermined) for every other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Lang {
    /// English.
    #[serde(rename = "en")]
    En,
    /// Polish.
    #[serde(rename = "pl")]
    Pl,
    /// Russian.
    #[serde(rename = "ru")]
    Ru,
    /// Any other language: words are lower-cased and not stemmed.
    #[serde(rename = "und")]
    Other,
}

impl Lang {
    /// The language's code: `en`, `pl`, `ru` or `und`.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Pl => "pl",
            Self::Ru => "ru",
            Self::Other => "und",
        }
    }

    /// The language of a code (`en`, `en-GB`, `EN`); anything unknown is [`Lang::Other`].
    #[must_use]
    pub fn from_code(code: &str) -> Self {
        match code.split(['-', '_']).next().unwrap_or_default().to_ascii_lowercase().as_str() {
            "en" => Self::En,
            "pl" => Self::Pl,
            "ru" => Self::Ru,
            _ => Self::Other,
        }
    }
}

/// One index term of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    /// The form that is indexed. A form without diacritics starts with `~`, see the query's weights.
    pub text: String,
    /// Running number of the word, from 0. Several forms of one word share a position, so a text's length in words is
    /// its last position plus one.
    pub position: u32,
    /// First byte of the word in the text given.
    pub start: usize,
    /// Byte after the word's last one.
    pub end: usize,
}

/// Text to index terms, by ascending position. `lang` is the language of the text; single words of another script are
/// stemmed by the language they are most likely in.
#[must_use]
pub fn analyse(text: &str, lang: Lang) -> Vec<Term> {
    let stemmers = Stemmers::new();
    let mut terms: Vec<Term> = Vec::with_capacity(text.len() / 5);
    let mut position = 0;
    let all = compounds(text);
    let mut dated = 0;
    for (i, compound) in all.iter().enumerate() {
        let mut wholes = whole_forms(compound, lang, &stemmers);
        let mut end_of_all = compound.parts.last().map_or(0, |part| part.end);
        if i >= dated
            && let Some(date) = date_at(&all[i..])
        {
            dated = i + date.compounds;
            end_of_all = all[dated - 1].parts.last().map_or(end_of_all, |part| part.end);
            wholes.extend(date.forms);
        }
        for part in &compound.parts {
            let from = terms.len();
            let mut push = |form: String, end: usize| {
                if !form.is_empty() && !terms[from..].iter().any(|t| t.text == form) {
                    terms.push(Term { text: form, position, start: part.start, end });
                }
            };
            let forms = word_forms(part.raw, lang, &stemmers);
            push(forms.stem, part.end);
            forms.folded.into_iter().for_each(|form| push(format!("{FOLDED}{form}"), part.end));
            forms.pieces.into_iter().for_each(|form| push(form, part.end));
            // The compound as a whole stands where its first word stands.
            wholes.drain(..).for_each(|form| push(form, end_of_all));
            position += 1;
        }
    }
    terms
}

/// The three stemmers, made once per text.
struct Stemmers {
    english: Stemmer,
    polish: Stemmer,
    russian: Stemmer,
}

impl Stemmers {
    fn new() -> Self {
        Self {
            english: Stemmer::create(Algorithm::English),
            polish: Stemmer::create(Algorithm::Polish),
            russian: Stemmer::create(Algorithm::Russian),
        }
    }

    /// Stem of a normalised word. Words with digits are names of things and stay as they are.
    fn stem(&self, word: &str, lang: Lang) -> String {
        if word.bytes().any(|b| b.is_ascii_digit()) {
            return word.to_owned();
        }
        let stem = match lang {
            Lang::En => self.english.stem(word),
            Lang::Pl => self.polish.stem(word),
            Lang::Ru => self.russian.stem(word),
            Lang::Other => return word.to_owned(),
        };
        if stem.is_empty() { word.to_owned() } else { stem.into_owned() }
    }
}

/// The language one word is stemmed by inside a text of `lang`: Cyrillic words in an English or Polish text are
/// Russian, Latin words in a Russian text are English.
fn word_lang(word: &str, lang: Lang) -> Lang {
    let cyrillic = word.chars().any(|c| matches!(c, '\u{400}'..='\u{52f}'));
    match (lang, cyrillic) {
        (Lang::Other, _) => Lang::Other,
        (_, true) => Lang::Ru,
        (Lang::Ru, false) => Lang::En,
        (lang, false) => lang,
    }
}

/// The forms of one word of a document.
struct WordForms {
    stem: String,
    /// Forms without diacritics that differ from `stem`.
    folded: Vec<String>,
    /// Stems of the pieces of an identifier such as `getUserName`.
    pieces: Vec<String>,
}

fn word_forms(raw: &str, lang: Lang, stemmers: &Stemmers) -> WordForms {
    let word = cut(normalise(raw));
    if is_unsegmented(&word) {
        return unsegmented(&word);
    }
    let lang = word_lang(&word, lang);
    let stem = stemmers.stem(&word, lang);
    let folded = folded_forms(&word, &stem, lang, stemmers);
    let pieces = pieces(raw).into_iter().map(|p| stemmers.stem(&cut(normalise(p)), lang)).collect();
    WordForms { stem, folded, pieces }
}

/// A word without diacritics is stemmed differently from the word with them, so both the folded stem and the stem of
/// the folded word are kept.
fn folded_forms(word: &str, stem: &str, lang: Lang, stemmers: &Stemmers) -> Vec<String> {
    let Some(plain) = without_diacritics(word) else { return Vec::new() };
    let mut forms = vec![without_diacritics(stem).unwrap_or_else(|| stem.to_owned())];
    let other = stemmers.stem(&plain, lang);
    if !forms.contains(&other) {
        forms.push(other);
    }
    forms.retain(|form| form != stem);
    forms
}

/// The forms of a compound as a whole; nothing for a single word.
fn whole_forms(compound: &Compound<'_>, lang: Lang, stemmers: &Stemmers) -> Vec<String> {
    let words: Vec<String> = compound.parts.iter().map(|part| normalise(part.raw)).collect();
    if !compound.suffix.is_empty() {
        return vec![format!("{}{}", words.concat(), compound.suffix)];
    }
    if compound.joiners.is_empty() {
        return Vec::new();
    }
    let mut forms = Vec::new();
    let mut keep = |form: String| {
        if form.chars().count() <= MAX_TERM_CHARS && !forms.contains(&form) {
            forms.push(form);
        }
    };
    let joined = words.concat();
    if !is_identifier(compound) {
        keep(stemmers.stem(&joined, word_lang(&joined, lang)));
        return forms;
    }
    number_forms(&words, &compound.joiners).into_iter().for_each(&mut keep);
    keep(join(&words, &compound.joiners));
    if compound.joiners.iter().all(|j| matches!(j, '-' | '_' | '\'' | '&' | ' ')) {
        keep(joined);
    }
    if words[0].len() > 1 && words[0].starts_with('v') && words[0][1..].bytes().all(|b| b.is_ascii_digit()) {
        // "v1.2.3" is asked for as "1.2.3" too.
        keep(join(&words, &compound.joiners)[1..].to_owned());
    }
    // The last segments of a path, an address or a qualified name: `src/index/mod.rs` is asked for as `mod.rs`.
    let mut from = 0;
    for (i, joiner) in compound.joiners.iter().chain(std::iter::once(&'/')).enumerate() {
        if matches!(joiner, '/' | '@' | ':') {
            if i > from && i - from + 1 < words.len() {
                keep(join(&words[from..=i], &compound.joiners[from..i]));
            }
            from = i + 1;
        }
    }
    forms
}

/// Whether a compound names a thing (has digits or a technical joiner), unlike the words of `high-speed`.
fn is_identifier(compound: &Compound<'_>) -> bool {
    compound.joiners.iter().any(|j| !matches!(j, '-' | '\''))
        || compound.parts.iter().any(|part| part.raw.bytes().any(|b| b.is_ascii_digit()))
}

/// Joins words again; a decimal comma becomes a point.
fn join(words: &[String], joiners: &[char]) -> String {
    let mut whole = words[0].clone();
    for (word, joiner) in words[1..].iter().zip(joiners) {
        whole.push(if matches!(joiner, ',' | ' ') { '.' } else { *joiner });
        whole.push_str(word);
    }
    whole
}

fn cut(word: String) -> String {
    match word.char_indices().nth(MAX_TERM_CHARS) {
        Some((end, _)) => word[..end].to_owned(),
        None => word,
    }
}

/// A run without spaces is indexed by its pairs of characters.
fn unsegmented(word: &str) -> WordForms {
    let chars: Vec<char> = word.chars().collect();
    let mut pairs: Vec<String> = chars.windows(2).map(|pair| pair.iter().collect()).collect();
    if pairs.is_empty() {
        pairs.push(word.to_owned());
    }
    let stem = pairs.remove(0);
    WordForms { stem, folded: Vec::new(), pieces: pairs }
}
