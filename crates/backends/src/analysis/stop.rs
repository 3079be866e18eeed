//! Function words: evidence of a language, and words that a question can do without.
//!
//! Documents keep every word. Only a query loses them, and only while another word is left to search for: the words
//! say nothing about the topic, yet in a corpus of several languages they are rare in the others and would outweigh it.

use super::Lang;

const ENGLISH: &[&str] = &[
    "a", "about", "an", "and", "any", "are", "as", "at", "be", "been", "being", "but", "by", "can", "could", "did", "do", "does", "for",
    "from", "had", "has", "have", "how", "i", "if", "in", "into", "is", "it", "its", "many", "me", "much", "my", "of", "on", "or", "our",
    "should", "so", "some", "such", "than", "that", "the", "their", "them", "then", "there", "these", "they", "this", "those", "to", "us",
    "was", "we", "were", "what", "when", "where", "which", "who", "whom", "whose", "why", "will", "with", "would", "you", "your",
];

const POLISH: &[&str] = &[
    "a", "aby", "albo", "ale", "bez", "być", "był", "była", "było", "były", "będzie", "co", "czego", "czy", "czyj", "czym", "dla",
    "dlaczego", "do", "gdy", "gdzie", "go", "i", "ich", "ile", "im", "ja", "jak", "jaka", "jaki", "jakich", "jakie", "jakiego", "jakiej",
    "jakim", "jaką", "jego", "jej", "jest", "jeśli", "już", "kiedy", "kim", "kogo", "kto", "która", "które", "którego", "której", "który",
    "którym", "których", "którzy", "lub", "ma", "mi", "mnie", "mu", "my", "na", "nad", "nie", "o", "od", "oraz", "po", "pod", "przed",
    "przez", "przy", "są", "się", "ta", "tak", "tam", "te", "tego", "tej", "ten", "to", "tu", "tych", "tym", "tymi", "u", "w", "we", "z",
    "za", "ze", "że", "żeby",
];

const RUSSIAN: &[&str] = &[
    "а",
    "бы",
    "был",
    "была",
    "были",
    "было",
    "быть",
    "в",
    "вам",
    "вас",
    "во",
    "вот",
    "вы",
    "где",
    "да",
    "для",
    "до",
    "его",
    "ее",
    "если",
    "есть",
    "еще",
    "же",
    "за",
    "и",
    "из",
    "или",
    "им",
    "их",
    "к",
    "как",
    "какая",
    "какие",
    "каким",
    "каких",
    "какого",
    "какой",
    "какое",
    "какую",
    "ко",
    "когда",
    "кого",
    "кому",
    "которая",
    "которого",
    "которое",
    "которой",
    "которые",
    "который",
    "которых",
    "кто",
    "ли",
    "мне",
    "мы",
    "на",
    "над",
    "нас",
    "не",
    "него",
    "нее",
    "них",
    "но",
    "ну",
    "о",
    "об",
    "он",
    "она",
    "они",
    "оно",
    "от",
    "по",
    "под",
    "почему",
    "при",
    "с",
    "сколько",
    "со",
    "так",
    "там",
    "то",
    "того",
    "тоже",
    "той",
    "только",
    "том",
    "ты",
    "у",
    "уже",
    "чего",
    "чей",
    "чем",
    "что",
    "чтобы",
    "эта",
    "эти",
    "это",
    "этого",
    "этой",
    "этом",
    "этот",
    "я",
];

fn list(lang: Lang) -> &'static [&'static str] {
    match lang {
        Lang::En => ENGLISH,
        Lang::Pl => POLISH,
        Lang::Ru => RUSSIAN,
        Lang::Other => &[],
    }
}

/// Whether `word` (already normalised) is a function word of `lang`. Polish words are also known without diacritics,
/// as people type them in a hurry.
#[must_use]
pub fn is_stop_word(word: &str, lang: Lang) -> bool {
    if list(lang).contains(&word) {
        return true;
    }
    lang == Lang::Pl && word.is_ascii() && word.len() > 2 && POLISH_FOLDED.contains(&word)
}

/// Polish function words of more than two letters as they look without diacritics; shorter ones would be too many other words.
const POLISH_FOLDED: &[&str] = &[
    "byc", "byl", "byla", "bylo", "byly", "bedzie", "jaka", "jesli", "juz", "ktora", "ktore", "ktorego", "ktorej", "ktory", "ktorym",
    "ktorych", "ktorzy", "sie", "zeby",
];
