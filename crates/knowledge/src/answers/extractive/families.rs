//! Words of one family: Polish and Russian make verbs, nouns and adjectives of one root with prefixes, as in `pożyczyć` and `wypożyczenie`, `платить` and
//! `оплата`. A stemmer cuts endings only, so the beginning is compared here; and as it leaves several stems of one word where the end of a stem changes its
//! sound (`polsk` and `polsc`, `hiszpan` and `hiszpani`), words also have a kin, which all of those share.

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
    "вы", "за", "по", "до", "от", "ото", "на", "о", "об", "у", "с", "со", "в", "во", "пере", "при", "пред", "под", "раз", "рас", "из",
    "ис", "вз", "воз", "вос", "про", "над",
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

/// Marks a kin among index terms.
pub(super) const KIN: char = '^';
/// What the same kin is worth beside the same stem.
pub(super) const SAME_KIN: f32 = 0.75;

/// Ends that a stem may have or lack, longest first: of verbal nouns, participles, aspects, diminutives and feminine forms.
const POLISH_ENDS: &[&str] =
    &["ywan", "iwan", "owan", "ionk", "ien", "ion", "ywa", "ark", "ek", "en", "an", "on", "ow", "uj", "yw", "yc", "ic", "sk", "k"];
const RUSSIAN_ENDS: &[&str] = &["овани", "ывани", "ивани", "ова", "ыва", "ива", "ени", "ани", "ен", "ан", "ок", "ек", "к", "а", "я", "и"];

/// Sounds that stand for each other at the end of a stem, longest first.
const POLISH_SOUNDS: &[(&str, &str)] = &[
    ("szcz", "S"),
    ("ść", "S"),
    ("śc", "S"),
    ("st", "S"),
    ("sk", "SK"),
    ("rz", "R"),
    ("sz", "S"),
    ("ch", "S"),
    ("cz", "K"),
    ("dz", "G"),
    ("dź", "G"),
    ("r", "R"),
    ("ś", "S"),
    ("s", "S"),
    ("ć", "K"),
    ("c", "K"),
    ("k", "K"),
    ("t", "K"),
    ("d", "G"),
    ("ż", "G"),
    ("ź", "G"),
    ("z", "G"),
    ("g", "G"),
    ("ł", "L"),
    ("l", "L"),
    ("ń", "N"),
    ("n", "N"),
];
const RUSSIAN_SOUNDS: &[(&str, &str)] = &[
    ("ст", "S"),
    ("щ", "S"),
    ("жд", "G"),
    ("бл", "B"),
    ("пл", "P"),
    ("вл", "V"),
    ("мл", "M"),
    ("б", "B"),
    ("п", "P"),
    ("в", "V"),
    ("м", "M"),
    ("к", "K"),
    ("ч", "K"),
    ("ц", "K"),
    ("т", "K"),
    ("г", "G"),
    ("ж", "G"),
    ("з", "G"),
    ("д", "G"),
    ("х", "S"),
    ("ш", "S"),
    ("с", "S"),
];

/// The kin of a stem, marked with [`KIN`]; `None` where the stem is too short to be sure or the language has none.
pub(super) fn kin(stem: &str, lang: Lang) -> Option<String> {
    let (ends, sounds) = match lang {
        Lang::Pl => (POLISH_ENDS, POLISH_SOUNDS),
        Lang::Ru => (RUSSIAN_ENDS, RUSSIAN_SOUNDS),
        Lang::En | Lang::Other => return None,
    };
    let long = |part: &str| part.chars().count() >= ROOT;
    if !long(stem) || !stem.chars().all(char::is_alphabetic) {
        return None;
    }
    let plain = if lang == Lang::Pl { stem.replace('ó', "o").replace('ą', "ę") } else { stem.to_owned() };
    let mut rest = plain.trim_end_matches(['i', 'j', 'й', 'ь']);
    if !long(rest) {
        rest = &plain;
    }
    // The softened form of `sk`, as in `polsk` and `polsc`.
    let hard = rest.strip_suffix("sc").map(|start| format!("{start}sk"));
    rest = hard.as_deref().unwrap_or(rest);
    if let Some(cut) = ends.iter().find_map(|end| rest.strip_suffix(end).filter(|cut| long(cut))) {
        rest = cut;
    }
    let (start, sound) = sounds.iter().find_map(|(end, sound)| rest.strip_suffix(end).map(|start| (start, *sound))).unwrap_or((rest, ""));
    Some(format!("{KIN}{start}{sound}"))
}
