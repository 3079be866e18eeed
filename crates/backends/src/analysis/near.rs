//! Which terms of a dictionary to use beside a word of a query: what a mistyped word may have meant, what begins like the
//! letters typed, what is probably of the same family. The same rules on every engine.
//!
//! Typing errors: Damerau-Levenshtein distance with neighbours swapped (optimal string alignment; Damerau, "A technique for computer
//! detection and correction of spelling errors", 1964): one mistake in a term of four to seven letters, two in a longer
//! one. The first letter is right, or swapped with the second: people rarely miss it, and it keeps the search small.
//! Terms with digits are names of things, and the next number is another thing.

use std::ops::RangeInclusive;

use super::MAX_TERM_CHARS;
use super::fold::FOLDED;

/// Letters of the shortest term that is corrected.
const SHORTEST: usize = 4;
/// Letters from which two mistakes are allowed.
const LONG: usize = 8;
/// Letters of the longest term that is corrected.
const LONGEST: usize = 40;
/// What a term is worth that is one mistake away, beside 1 for the word as typed.
const ONE_MISTAKE: f32 = 0.6;
/// What a term is worth that is two mistakes away.
const TWO_MISTAKES: f32 = 0.4;
/// What a term is worth that only begins like the one asked for.
const BEGINNING: f32 = 0.8;
/// What a term is worth that is of the same family. Measured: docs/adr/0013-analysis.md.
const FAMILY: f32 = 0.4;
/// Letters that a family shares at least.
const ROOT: usize = 4;
/// Letters at the end of a term in which its family may differ, and letters that others may have more.
const ENDING: (usize, usize) = (2, 3);
/// Near terms of one word that are used at most.
const MAX_TYPOS: usize = 8;
/// Terms with one beginning, or of one family, that are used at most.
const MAX_BEGINNINGS: usize = 64;
/// Terms that a dictionary is asked for their frequency at most, for each pattern.
const MAX_CANDIDATES: usize = 256;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Mistakes allowed.
    Typo(usize),
    Beginning,
    /// Letters at the beginning that have to be the same.
    Family(usize),
}

/// Which terms of a dictionary to use in place of one term.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    /// The term's letters, without marks.
    letters: Vec<char>,
    /// Whether only terms without diacritics are meant (or only those with).
    folded: bool,
    kind: Kind,
}

/// A term of a dictionary that fits a pattern.
#[derive(Debug, Clone, PartialEq)]
pub struct Near {
    /// The index term.
    pub text: String,
    /// What it is worth in place of the word asked for, below 1.
    pub worth: f32,
}

impl Pattern {
    /// Terms that `term` may be a typing error of. `None` for a term that is not corrected: too short, too long, or
    /// with something else than letters in it.
    #[must_use]
    pub fn typo(term: &str) -> Option<Self> {
        let (letters, folded) = letters_of(term);
        let word = (SHORTEST..=LONGEST).contains(&letters.len()) && letters.iter().all(|c| c.is_alphabetic());
        let kind = Kind::Typo(if letters.len() < LONG { 1 } else { 2 });
        word.then_some(Self { letters, folded, kind })
    }

    /// Terms that begin with `beginning`.
    #[must_use]
    pub fn beginning(beginning: &str) -> Option<Self> {
        let (letters, folded) = letters_of(beginning);
        (1..=LONGEST).contains(&letters.len()).then_some(Self { letters, folded, kind: Kind::Beginning })
    }

    /// Terms that are probably other forms of the same word, or made of it: where a language changes consonants and
    /// vowels at the end of a stem, a stemmer leaves several stems of one word (`ręk` and `ręc`, `walk` and `walc`).
    #[must_use]
    pub fn family(term: &str) -> Option<Self> {
        let (letters, folded) = letters_of(term);
        let word = (ROOT..=LONGEST).contains(&letters.len()) && letters.iter().all(|c| c.is_alphabetic());
        let root = ROOT.max(letters.len().saturating_sub(ENDING.0));
        word.then_some(Self { letters, folded, kind: Kind::Family(root) })
    }

    /// What the terms begin with that can fit, marks included: at most two beginnings.
    #[must_use]
    pub fn starts(&self) -> Vec<String> {
        let start = |letters: &[char]| self.folded.then_some(FOLDED).into_iter().chain(letters.iter().copied()).collect();
        match self.kind {
            Kind::Beginning => vec![start(&self.letters)],
            Kind::Family(root) => vec![start(&self.letters[..root])],
            Kind::Typo(_) if self.letters[0] == self.letters[1] => vec![start(&self.letters[..1])],
            Kind::Typo(_) => vec![start(&self.letters[..1]), start(&self.letters[1..2])],
        }
    }

    /// Letters that a fitting term has, without marks.
    #[must_use]
    pub fn lengths(&self) -> RangeInclusive<usize> {
        let own = self.letters.len();
        match self.kind {
            Kind::Typo(mistakes) => own - mistakes..=own + mistakes,
            Kind::Beginning => own + 1..=MAX_TERM_CHARS,
            Kind::Family(root) => root..=own + ENDING.1,
        }
    }

    /// What `term` is worth in place of the pattern's own; `None` when it does not fit, or is the term itself.
    #[must_use]
    pub fn worth(&self, term: &str) -> Option<f32> {
        let plain = term.strip_prefix(FOLDED);
        if plain.is_some() != self.folded {
            return None;
        }
        let term = plain.unwrap_or(term);
        match self.kind {
            Kind::Beginning => begins(term, &self.letters).filter(|more| *more > 0).map(|_| BEGINNING),
            Kind::Family(root) => {
                let more = begins(term, &self.letters[..root])?;
                let same = root + more == self.letters.len() && begins(term, &self.letters) == Some(0);
                let fits = root + more <= self.letters.len() + ENDING.1 && !same && term.chars().all(char::is_alphabetic);
                fits.then_some(FAMILY)
            }
            Kind::Typo(mistakes) => match self.mistakes(term, mistakes)? {
                1 => Some(ONE_MISTAKE),
                2 => Some(TWO_MISTAKES),
                _ => None,
            },
        }
    }

    /// How many mistakes make `term` of the pattern's; `None` above `limit`.
    fn mistakes(&self, term: &str, limit: usize) -> Option<usize> {
        let own = &self.letters;
        // Letters have one to four bytes.
        if term.len() + limit < own.len() || term.len() > 4 * (own.len() + limit) {
            return None;
        }
        let mut other = ['\0'; LONGEST + 2];
        let mut length = 0;
        for c in term.chars() {
            if length == own.len() + limit || !c.is_alphabetic() {
                return None;
            }
            other[length] = c;
            length += 1;
        }
        let other = &other[..length];
        let start = other.first() == own.first() || (length > 1 && other[0] == own[1] && other[1] == own[0]);
        if start && length + limit >= own.len() { distance(own, other, limit) } else { None }
    }

    /// The terms to look up the frequency of, the likeliest first, among those that fit. Every engine has to use this
    /// and [`Pattern::best`], so that they agree.
    #[must_use]
    pub fn candidates<'a>(&self, terms: impl Iterator<Item = &'a str>) -> Vec<Near> {
        let mut found: Vec<Near> = terms.filter_map(|term| self.worth(term).map(|worth| Near { text: term.to_owned(), worth })).collect();
        found.sort_by(|a, b| b.worth.total_cmp(&a.worth).then_with(|| a.text.len().cmp(&b.text.len())).then_with(|| a.text.cmp(&b.text)));
        found.truncate(MAX_CANDIDATES);
        found
    }

    /// Those of the candidates to use: the nearest, and of them the most frequent. `frequency` gives the chunks that
    /// hold a term; a term that none holds is gone.
    #[must_use]
    pub fn best(&self, candidates: Vec<Near>, frequency: impl Fn(&str) -> usize) -> Vec<Near> {
        let mut found: Vec<(usize, Near)> = candidates.into_iter().map(|near| (frequency(&near.text), near)).collect();
        found.retain(|(chunks, _)| *chunks > 0);
        found.sort_by(|(a_chunks, a), (b_chunks, b)| {
            b.worth.total_cmp(&a.worth).then_with(|| b_chunks.cmp(a_chunks)).then_with(|| a.text.cmp(&b.text))
        });
        found.truncate(if matches!(self.kind, Kind::Typo(_)) { MAX_TYPOS } else { MAX_BEGINNINGS });
        found.into_iter().map(|(_, near)| near).collect()
    }
}

fn letters_of(term: &str) -> (Vec<char>, bool) {
    let plain = term.strip_prefix(FOLDED);
    (plain.unwrap_or(term).chars().take(LONGEST + 1).collect(), plain.is_some())
}

/// How many letters `term` has behind `start`; `None` when it does not begin with it.
fn begins(term: &str, start: &[char]) -> Option<usize> {
    let mut rest = term.chars();
    start.iter().all(|c| rest.next() == Some(*c)).then(|| rest.count())
}

/// What to look up for one word of a query.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lookup {
    /// Forms of the word. When a chunk has one of them, `typos` are left out.
    pub forms: Vec<String>,
    /// For a word that no chunk has.
    pub typos: Vec<Pattern>,
    /// For every word.
    pub related: Vec<Pattern>,
}

impl Lookup {
    /// The patterns to look up, when the word is known or not.
    pub fn patterns(&self, known: bool) -> impl Iterator<Item = &Pattern> {
        self.related.iter().chain(self.typos.iter().filter(move |_| !known))
    }
}

/// Optimal string alignment distance of two words of at most [`LONGEST`] + 2 letters; `None` above `limit`.
fn distance(a: &[char], b: &[char], limit: usize) -> Option<usize> {
    const WIDTH: usize = LONGEST + 3;
    let mut rows = [[0_usize; WIDTH]; 3];
    for (j, cell) in rows[0].iter_mut().enumerate().take(b.len() + 1) {
        *cell = j;
    }
    for i in 1..=a.len() {
        let (here, above, before) = (i % 3, (i + 2) % 3, (i + 1) % 3);
        rows[here][0] = i;
        let mut least = i;
        for j in 1..=b.len() {
            let swap = usize::from(a[i - 1] != b[j - 1]);
            let mut cost = (rows[above][j - 1] + swap).min(rows[above][j] + 1).min(rows[here][j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                cost = cost.min(rows[before][j - 2] + 1);
            }
            rows[here][j] = cost;
            least = least.min(cost);
        }
        if least > limit {
            return None;
        }
    }
    let found = rows[a.len() % 3][b.len()];
    (found <= limit).then_some(found)
}
