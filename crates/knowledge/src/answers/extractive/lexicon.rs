//! Words that people at work use for the same thing, in three languages.
//!
//! A question is asked in the words of daily life ("ring", "laptop", "days off") and answered in the words of rules ("call", "notebook", "leave").
//! Each group holds words of one language that may stand for each other in a question and its answer; the first stem shared is enough. The groups
//! come from general knowledge of office life, not from any collection of questions, and are deliberately loose: a synonym earns less than the word.

use std::collections::HashMap;
use std::sync::LazyLock;

use astrolabe_backends::analysis::{Alternative, Lang, Query, analyse};

use super::{families, question::push};

/// What a synonym is worth beside the word itself.
const SYNONYM: f32 = 0.65;

/// Adds the index terms of a word's synonyms to its alternatives, and the kin of word and synonyms.
pub(super) fn expand(word: &str, lang: Lang, alternatives: &mut Vec<Alternative>) {
    let own = stems(word, lang);
    for stem in &own {
        expand_stem(stem, lang, alternatives);
    }
    let kin: Vec<Alternative> = alternatives
        .iter()
        .filter(|a| a.weight == SYNONYM)
        .filter_map(|a| families::kin(&a.text, lang).map(|text| Alternative { text, weight: SYNONYM * 0.95 }))
        .collect();
    for stem in own {
        if let Some(kin) = families::kin(&stem, lang) {
            push(alternatives, kin, families::SAME_KIN);
        }
    }
    kin.into_iter().for_each(|a| push(alternatives, a.text, a.weight));
}

fn expand_stem(stem: &str, lang: Lang, alternatives: &mut Vec<Alternative>) {
    let lexicon = match lang {
        Lang::En => &*ENGLISH,
        Lang::Pl => &*POLISH,
        Lang::Ru => &*RUSSIAN,
        Lang::Other => return,
    };
    let known = lexicon.by_stem.get(stem);
    // A form that no list holds may have a kin there.
    let groups = known.or_else(|| lexicon.by_stem.get(&families::kin(stem, lang)?));
    for group in groups.into_iter().flatten() {
        for synonym in lexicon.groups.get(*group).into_iter().flatten() {
            push(alternatives, synonym.clone(), SYNONYM);
        }
    }
}

/// What a synonym is worth in a search, where it also has to find the passage.
const WIDENED: f32 = 0.4;

/// Adds synonyms to the words of a query, so that a question in the words of daily life also finds the rule in its own words. Meant for the passages
/// of an answer: a person who searches for a word wants that word.
pub fn widen(query: &mut Query) {
    for term in &mut query.terms {
        // Forms of the word itself are known; only words that look like words have synonyms.
        let Some(own) = term.alternatives.first().map(|a| a.text.clone()) else { continue };
        let mut wider = term.alternatives.clone();
        expand_stem(&own, query.lang, &mut wider);
        for added in wider.into_iter().skip(term.alternatives.len()) {
            term.alternatives.push(Alternative { weight: WIDENED, ..added });
        }
    }
}

struct Lexicon {
    /// Stems of each group.
    groups: Vec<Vec<String>>,
    by_stem: HashMap<String, Vec<usize>>,
}

impl Lexicon {
    fn new(lines: &str, lang: Lang) -> Self {
        let mut lexicon = Self { groups: Vec::new(), by_stem: HashMap::new() };
        for line in lines.lines().map(str::trim).filter(|l| !l.is_empty()) {
            let group: Vec<String> = line.split_whitespace().flat_map(|word| stems(word, lang)).collect();
            let number = lexicon.groups.len();
            for stem in group.iter().cloned().chain(group.iter().filter_map(|stem| families::kin(stem, lang))) {
                let known = lexicon.by_stem.entry(stem).or_default();
                if known.last() != Some(&number) {
                    known.push(number);
                }
            }
            lexicon.groups.push(group);
        }
        lexicon
    }
}

/// The plain stems of a word: forms without diacritics (marked `~`) belong to the analyser. Of a hyphen compound only the whole, for its parts (`out-of-work`)
/// mean other things.
fn stems(word: &str, lang: Lang) -> Vec<String> {
    analyse(&word.replace('-', ""), lang).into_iter().map(|t| t.text).filter(|t| !t.starts_with('~')).collect()
}

static ENGLISH: LazyLock<Lexicon> = LazyLock::new(|| Lexicon::new(include_str!("lexicon_en.txt"), Lang::En));
static POLISH: LazyLock<Lexicon> = LazyLock::new(|| Lexicon::new(include_str!("lexicon_pl.txt"), Lang::Pl));
static RUSSIAN: LazyLock<Lexicon> = LazyLock::new(|| Lexicon::new(include_str!("lexicon_ru.txt"), Lang::Ru));
