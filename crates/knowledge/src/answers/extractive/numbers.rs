//! Numbers written as words, in three languages.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

/// Number words of the three languages, up to a hundred, and words for inexact numbers.
pub(super) fn is_number_word(lower: &str) -> bool {
    number_value(lower).is_some() || VAGUE.contains(lower)
}

/// The value of an ordinal of one of the three languages: `second`, `drugiej`, `третьем`.
pub(super) fn ordinal(lower: &str) -> Option<u32> {
    const ENGLISH: &str = "first second third fourth fifth sixth seventh eighth ninth tenth";
    const POLISH: &str = "pierwsz drug trzec czwart piąt szóst siódm ósm dziewiąt dziesiąt";
    const RUSSIAN: &str = "перв втор трет четвёрт пят шест седьм восьм девят десят";
    // What tells "piąty" from "piątek" and "пятый" from "пять" is the ending of an adjective.
    const ENDINGS: &str =
        "y a e i ą ego ej ym im iego iej ia ie ią emu iemu ый ий ой ая яя ое ее ом ем ого его ему ому ую юю ые ых ым ьем ья ьего ьей ью ье";
    let place = |list: &str, word: &str| list.split(' ').position(|w| w == word).and_then(|at| u32::try_from(at + 1).ok());
    if let Some(value) = place(ENGLISH, lower) {
        return Some(value);
    }
    let lower = lower.replace("четверт", "четвёрт");
    let inflected =
        |list: &str| list.split(' ').position(|stem| lower.strip_prefix(stem).is_some_and(|end| ENDINGS.split(' ').any(|e| e == end)));
    inflected(POLISH).or_else(|| inflected(RUSSIAN)).and_then(|at| u32::try_from(at + 1).ok())
}

/// The value of a small number word, so that "ten" meets "10".
pub(super) fn number_value(lower: &str) -> Option<u32> {
    NUMBERS.get(lower).copied()
}

static VAGUE: LazyLock<HashSet<&'static str>> = LazyLock::new(|| {
    "half|dozen|quarter|pół|połowa|połowę|kilka|пол|половина|половину|несколько|hundred|thousand|million|billion|sto|tysiąc|\
     tysięcy|milion|mln|сто|тысяча|тысяч|миллион|both|oba|obie|оба|обе|none|no|jedynie|once|twice|raz|dwukrotnie|дважды|один|\
     одна|trio"
        .split('|')
        .collect()
});

static NUMBERS: LazyLock<HashMap<&'static str, u32>> =
    LazyLock::new(|| VALUES.iter().flat_map(|(value, words)| words.split('|').map(move |word| (word, *value))).collect());

const VALUES: &[(u32, &str)] = &[
    (1, "one|jeden|jedna|jedno|jednego|jednej|один|одна|одно|одного|одной|одну|first|pierwszy|первый"),
    (2, "two|dwa|dwie|dwóch|dwoje|dwu|два|две|двух|двое|двумя"),
    (3, "three|trzy|trzech|trzej|три|трёх|трех|трое|тремя"),
    (4, "four|cztery|czterech|четыре|четырёх|четырех"),
    (5, "five|pięć|pięciu|пять|пяти"),
    (6, "six|sześć|sześciu|шесть|шести"),
    (7, "seven|siedem|siedmiu|семь|семи"),
    (8, "eight|osiem|ośmiu|восемь|восьми"),
    (9, "nine|dziewięć|dziewięciu|девять|девяти"),
    (10, "ten|dziesięć|dziesięciu|десять|десяти"),
    (11, "eleven|jedenaście|jedenastu|одиннадцать|одиннадцати"),
    (12, "twelve|dwanaście|dwunastu|двенадцать|двенадцати"),
    (13, "thirteen|trzynaście|trzynastu|тринадцать|тринадцати"),
    (14, "fourteen|czternaście|czternastu|четырнадцать|четырнадцати"),
    (15, "fifteen|piętnaście|piętnastu|пятнадцать|пятнадцати"),
    (16, "sixteen|szesnaście|szesnastu|шестнадцать|шестнадцати"),
    (18, "eighteen|osiemnaście|osiemnastu|восемнадцать|восемнадцати"),
    (20, "twenty|dwadzieścia|dwudziestu|двадцать|двадцати"),
    (30, "thirty|trzydzieści|trzydziestu|тридцать|тридцати"),
    (40, "forty|czterdzieści|czterdziestu|сорок|сорока"),
    (50, "fifty|pięćdziesiąt|pięćdziesięciu|пятьдесят|пятидесяти"),
    (60, "sixty|sześćdziesiąt|sześćdziesięciu|шестьдесят|шестидесяти"),
    (70, "seventy|siedemdziesiąt|семьдесят|семидесяти"),
    (80, "eighty|osiemdziesiąt|восемьдесят|восьмидесяти"),
    (90, "ninety|dziewięćdziesiąt|dziewięćdziesięciu|девяносто"),
    (100, "hundred|sto|stu|сто|ста"),
];
