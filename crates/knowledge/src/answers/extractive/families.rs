//! Words of one family: Polish and Russian make verbs, nouns and adjectives of one root with prefixes, as in `pożyczyć` and `wypożyczenie`, `платить` and
//! `оплата`. A stemmer cuts endings only, so the beginning is compared here.

use astrolabe_backends::analysis::Lang;

/// What a word of the same family is worth beside the word itself.
pub(super) const FAMILY: f32 = 0.5;
/// Letters of the shortest root that is sure enough: shorter ones (`staw`, `kład`) have too many unrelated words.
const ROOT: usize = 4;
/// The same where both words have a prefix, which may differ: `wystaw` and `podstaw`.
const SHARED: usize = 5;
/// Letters by which the ends of two stems of one root may differ.
const ENDING: usize = 2;

const POLISH: &[&str] = &[
    "wy", "za", "po", "do", "od", "ode", "na", "o", "ob", "u", "s", "z", "ze", "w", "we", "prze", "przy", "przed", "pod", "roz", "nad", "ś",
];
const RUSSIAN: &[&str] = &[
    "вы", "за", "по", "до", "от", "ото", "на", "о", "об", "у", "с", "со", "в", "во", "пере", "при", "пред", "под", "раз", "рас", "из", "ис",
    "вз", "воз", "вос", "про", "над",
];

fn prefixes(lang: Lang) -> &'static [&'static str] {
    match lang {
        Lang::Pl => POLISH,
        Lang::Ru => RUSSIAN,
        Lang::En | Lang::Other => &[],
    }
}

/// The stem and, where it begins with a verbal prefix, what is left without it; nothing where no family can be told.
pub(super) fn roots(stem: &str, lang: Lang) -> Vec<String> {
    let mut roots = Vec::new();
    if prefixes(lang).is_empty() || stem.chars().count() < ROOT || !stem.chars().all(char::is_alphabetic) {
        return roots;
    }
    roots.push(stem.to_owned());
    for prefix in prefixes(lang) {
        if let Some(rest) = stem.strip_prefix(prefix)
            && rest.chars().count() >= ROOT
        {
            roots.push(rest.to_owned());
        }
    }
    roots
}

/// Whether a term is of the family: it has one of the roots, behind a prefix or not.
pub(super) fn related(term: &str, roots: &[String], lang: Lang) -> bool {
    roots.iter().enumerate().any(|(number, root)| {
        let length = root.chars().count();
        let kept = root.char_indices().nth(length.saturating_sub(ENDING).max(ROOT)).map_or(root.len(), |(at, _)| at);
        let Some(at) = root.get(..kept).and_then(|start| term.find(start)) else { return false };
        let (Some(before), Some(rest)) = (term.get(..at), term.get(at..)) else { return false };
        // The word itself is compared elsewhere; two words with a prefix each need more in common.
        let prefixed = !before.is_empty();
        let enough = match (number > 0, prefixed) {
            (false, false) => false,
            (true, true) => kept_letters(root, kept) >= SHARED,
            _ => true,
        };
        enough && rest.chars().count().abs_diff(length) <= ENDING && (!prefixed || prefixes(lang).contains(&before))
    })
}

fn kept_letters(root: &str, kept: usize) -> usize {
    root.get(..kept).map_or(0, |start| start.chars().count())
}
