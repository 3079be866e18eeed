//! A query as groups of weighted alternatives.

use super::fold::{FOLDED, is_unsegmented, normalise, without_diacritics};
use super::stop::is_stop_word;
use super::tokens::{Compound, Part, compounds, pieces};
use super::{Lang, Stemmers, cut, detect_language, folded_forms, is_identifier, unsegmented, whole_forms, word_lang};

/// What a form is worth that comes from another language's stemmer, beside 1 for the query's own.
const FOREIGN_STEM: f32 = 0.8;
/// What a form is worth that differs in diacritics.
const OTHER_DIACRITICS: f32 = 0.7;
/// What a part of an identifier is worth beside the whole.
const IDENTIFIER_PART: f32 = 0.5;
/// What a hyphen compound written as one word adds to its parts.
const JOINED: f32 = 0.5;
/// What a part of one character is worth.
const SINGLE: f32 = 0.3;
/// Groups of a query that are looked up; a longer query is a document, and its first words say what it is about.
const MAX_GROUPS: usize = 256;

/// One form of a query word.
#[derive(Debug, Clone, PartialEq)]
pub struct Alternative {
    /// The index term.
    pub text: String,
    /// Share of the group's score that a match of this form earns, above 0, at most 1.
    pub weight: f32,
}

/// One word of a query. A chunk earns the group once, by its best alternative.
#[derive(Debug, Clone, PartialEq)]
pub struct QueryTerm {
    /// Forms of the word, the most certain first.
    pub alternatives: Vec<Alternative>,
    /// Weight of the word in the query: 1, less for parts of identifiers, more for a word that is repeated.
    pub weight: f32,
    /// Running number of the word in the query, from 0.
    pub position: u32,
    /// First byte of the word in the query.
    pub start: usize,
    /// Byte after the word's last one.
    pub end: usize,
}

/// An analysed query.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    /// The language it was taken to be in.
    pub lang: Lang,
    /// Its words without function words, unless it has no others. Empty when there is nothing to search for.
    pub terms: Vec<QueryTerm>,
}

/// Analyses a search query or question. `lang` overrides the detected language.
///
/// Function words are dropped while another word remains. A query of more than 256 different words is cut there.
#[must_use]
pub fn analyse_query(text: &str, lang: Option<Lang>) -> Query {
    let lang = lang.unwrap_or_else(|| detect_language(text));
    let stemmers = Stemmers::new();
    let mut groups: Vec<(QueryTerm, bool)> = Vec::new();
    let mut position = 0;
    let shouting = !text.chars().any(char::is_lowercase);
    for compound in compounds(text) {
        if groups.len() > 2 * MAX_GROUPS {
            break;
        }
        let identifier = compound.joiners.is_empty() || is_identifier(&compound);
        let single = compound.parts.len() == 1;
        push_whole(&mut groups, &compound, lang, position, &stemmers);
        for part in &compound.parts {
            let short = part.raw.chars().nth(1).is_none();
            let weight = match (single, identifier) {
                (true, _) => 1.0,
                (false, true) => IDENTIFIER_PART,
                (false, false) => 1.0,
            } * if short && !single { SINGLE } else { 1.0 };
            let alternatives = word_alternatives(part.raw, lang, &stemmers);
            // "IT" in a sentence is a name, "it" is not.
            let name = !shouting && !short && part.raw.chars().all(char::is_uppercase);
            let stop = single && compound.suffix.is_empty() && !name && is_stop_word(&normalise(part.raw), lang);
            push(&mut groups, alternatives, weight, position, (part.start, part.end), stop);
            push_pieces(&mut groups, part, lang, position, &stemmers);
            position += 1;
        }
    }
    if groups.iter().any(|(_, stop)| !stop) {
        groups.retain(|(_, stop)| !stop);
    }
    groups.truncate(MAX_GROUPS);
    Query { lang, terms: groups.into_iter().map(|(term, _)| term).collect() }
}

fn push(
    groups: &mut Vec<(QueryTerm, bool)>,
    alternatives: Vec<Alternative>,
    weight: f32,
    position: u32,
    bytes: (usize, usize),
    stop: bool,
) {
    let Some(first) = alternatives.first() else { return };
    if let Some((known, _)) = groups.iter_mut().find(|(g, _)| g.alternatives.first().is_some_and(|a| a.text == first.text)) {
        // A repeated word counts more, but three times the word is not three words.
        known.weight += weight * 0.5;
        return;
    }
    groups.push((QueryTerm { alternatives, weight, position, start: bytes.0, end: bytes.1 }, stop));
}

fn push_whole(groups: &mut Vec<(QueryTerm, bool)>, compound: &Compound<'_>, lang: Lang, position: u32, stemmers: &Stemmers) {
    let (Some(head), Some(tail)) = (compound.parts.first(), compound.parts.last()) else { return };
    let mut alternatives = Vec::new();
    for (i, form) in whole_forms(compound, lang, stemmers).into_iter().enumerate() {
        add(&mut alternatives, form, if i == 0 { 1.0 } else { OTHER_DIACRITICS });
    }
    let weight = if compound.suffix.is_empty() && !is_identifier(compound) { JOINED } else { 1.0 };
    push(groups, alternatives, weight, position, (head.start, tail.end), false);
}

/// Pieces of `getUserName` or `E4012`, as groups of their own.
fn push_pieces(groups: &mut Vec<(QueryTerm, bool)>, part: &Part<'_>, lang: Lang, position: u32, stemmers: &Stemmers) {
    let word = normalise(part.raw);
    if is_unsegmented(&word) {
        for pair in unsegmented(&cut(word)).pieces {
            push(groups, vec![Alternative { text: pair, weight: 1.0 }], 1.0, position, (part.start, part.end), false);
        }
        return;
    }
    for piece in pieces(part.raw) {
        push(groups, word_alternatives(piece, lang, stemmers), IDENTIFIER_PART, position, (part.start, part.end), false);
    }
}

fn word_alternatives(raw: &str, lang: Lang, stemmers: &Stemmers) -> Vec<Alternative> {
    let word = cut(normalise(raw));
    let mut forms = Vec::new();
    if word.is_empty() {
        return forms;
    }
    if is_unsegmented(&word) {
        add(&mut forms, unsegmented(&word).stem, 1.0);
        return forms;
    }
    let own = word_lang(&word, lang);
    let stem = stemmers.stem(&word, own);
    let folded = folded_forms(&word, &stem, own, stemmers);
    add(&mut forms, stem.clone(), 1.0);
    if word.bytes().any(|b| b.is_ascii_digit()) {
        return forms;
    }
    let cyrillic = word_lang(&word, Lang::En) == Lang::Ru;
    // The word as it stands in documents of a language without a stemmer, and as the other languages' stemmers cut it.
    add(&mut forms, word.clone(), FOREIGN_STEM);
    let others: &[Lang] = if cyrillic { &[Lang::Ru] } else { &[Lang::En, Lang::Pl] };
    for other in others.iter().filter(|l| **l != own) {
        add(&mut forms, stemmers.stem(&word, *other), FOREIGN_STEM);
    }
    if cyrillic {
        return forms;
    }
    // Documents typed without diacritics, for a query with them.
    for form in &folded {
        add(&mut forms, form.clone(), OTHER_DIACRITICS);
    }
    // Documents with diacritics, for a query without them (or with some).
    let plain = without_diacritics(&word).unwrap_or(word);
    for form in [stem, plain.clone(), stemmers.stem(&plain, Lang::Pl)].into_iter().chain(folded) {
        add(&mut forms, format!("{FOLDED}{}", without_diacritics(&form).unwrap_or(form)), OTHER_DIACRITICS);
    }
    forms
}

fn add(forms: &mut Vec<Alternative>, text: String, weight: f32) {
    if !forms.iter().any(|known| known.text == text) {
        forms.push(Alternative { text, weight });
    }
}
