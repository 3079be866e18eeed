//! Which terms of a dictionary a mistyped word may have meant, by the same rules on every engine.
//!
//! Damerau-Levenshtein distance with neighbours swapped (optimal string alignment; Damerau, "A technique for computer
//! detection and correction of spelling errors", 1964): one mistake in a term of four to seven letters, two in a longer
//! one. The first letter is right, or swapped with the second: people rarely miss it, and it keeps the search small.
//! Terms with digits are names of things, and the next number is another thing.

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
/// Near terms of one word that are used at most, the nearest and then the most frequent first.
pub const MAX_TYPOS: usize = 8;
/// Terms with one beginning that are used at most, the most frequent first.
pub const MAX_BEGINNINGS: usize = 64;

/// What to look for in a dictionary in place of one index term.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    /// The term's letters, without marks.
    letters: Vec<char>,
    /// Whether only terms without diacritics are meant (or only those with).
    folded: bool,
    /// Mistakes allowed; `None` when the letters are the beginning of a term.
    mistakes: Option<usize>,
}

impl Pattern {
    /// The pattern of an index term, or of `beginning*`. `None` for a term that is not corrected: too short, too long,
    /// or with something else than letters in it.
    #[must_use]
    pub fn of(term: &str) -> Option<Self> {
        let (term, beginning) = term.strip_suffix('*').map_or((term, false), |beginning| (beginning, true));
        let (term, folded) = term.strip_prefix(FOLDED).map_or((term, false), |term| (term, true));
        let letters: Vec<char> = term.chars().take(LONGEST + 1).collect();
        if beginning {
            return (!letters.is_empty() && letters.len() <= LONGEST).then_some(Self { letters, folded, mistakes: None });
        }
        if !(SHORTEST..=LONGEST).contains(&letters.len()) || !letters.iter().all(|c| c.is_alphabetic()) {
            return None;
        }
        let mistakes = Some(if letters.len() < LONG { 1 } else { 2 });
        Some(Self { letters, folded, mistakes })
    }

    /// What the index terms begin with that can match: the mark of folded forms, then one of these letters.
    #[must_use]
    pub fn initials(&self) -> Vec<char> {
        let mut initials = vec![self.letters[0]];
        if self.mistakes.is_some() && self.letters.get(1).is_some_and(|c| *c != self.letters[0]) {
            initials.push(self.letters[1]);
        }
        initials
    }

    /// Whether terms without diacritics are meant, which start with `~`.
    #[must_use]
    pub fn is_folded(&self) -> bool {
        self.folded
    }

    /// Lengths in letters that a matching term can have, without the mark.
    #[must_use]
    pub fn lengths(&self) -> std::ops::RangeInclusive<usize> {
        match self.mistakes {
            Some(mistakes) => self.letters.len() - mistakes..=self.letters.len() + mistakes,
            None => self.letters.len()..=usize::MAX,
        }
    }

    /// How many terms are used at most.
    #[must_use]
    pub fn limit(&self) -> usize {
        if self.mistakes.is_some() { MAX_TYPOS } else { MAX_BEGINNINGS }
    }

    /// What `term` is worth in place of the pattern's own: below 1, higher for a nearer one. `None` when it is too far
    /// away, or the term itself.
    #[must_use]
    pub fn worth(&self, term: &str) -> Option<f32> {
        let plain = term.strip_prefix(FOLDED);
        if plain.is_some() != self.folded {
            return None;
        }
        let term = plain.unwrap_or(term);
        let Some(mistakes) = self.mistakes else {
            let mut rest = term.chars();
            return (self.letters.iter().all(|c| rest.next() == Some(*c)) && rest.next().is_some()).then_some(BEGINNING);
        };
        // A byte per letter at least, four at most.
        if term.len() + mistakes < self.letters.len() || term.len() > 4 * (self.letters.len() + mistakes) {
            return None;
        }
        let mut other = ['\0'; LONGEST + 2];
        let mut length = 0;
        for c in term.chars() {
            if length > self.letters.len() + mistakes || length == other.len() || !c.is_alphabetic() {
                return None;
            }
            other[length] = c;
            length += 1;
        }
        let other = &other[..length];
        let (a, b) = (&self.letters, other);
        let same_start = b.first() == a.first() || (b.len() > 1 && b[0] == a[1] && b[1] == a[0]);
        if !same_start || length + mistakes < a.len() || length > a.len() + mistakes {
            return None;
        }
        match distance(a, b, mistakes)? {
            1 => Some(ONE_MISTAKE),
            2 => Some(TWO_MISTAKES),
            _ => None,
        }
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
