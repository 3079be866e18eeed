//! Passages that say the same: which of them are near duplicates, and how alike two passages are.
//!
//! Two texts are near duplicates when nearly all runs of three words are in both *and* they agree in every number, name and negation. Office
//! documents are full of texts that differ in nothing else, such as this year's price list and last year's, and the difference is what is asked
//! for. A vector does not see it: two such texts have a cosine of 0.98 and more.

use std::hash::{DefaultHasher, Hash, Hasher};

/// Words of a shingle (Broder 1997).
const SHINGLE: usize = 3;
/// From which share of common shingles on two texts say the same: with 100 words, up to two of them may be replaced.
const NEAR: f32 = 0.9;
/// Words that turn a sentence round, in the three languages.
const NEGATIONS: &[&str] =
    &["not", "no", "never", "without", "cannot", "nie", "bez", "nigdy", "brak", "zakaz", "не", "нет", "ни", "без", "никогда", "нельзя"];

/// What is compared of a text.
#[derive(Debug, Clone, Default)]
pub struct Fingerprint {
    /// Hashes of all runs of three words, ascending, each once.
    shingles: Vec<u64>,
    /// Hashes of its numbers, names and negations, ascending, each once.
    telling: Vec<u64>,
}

impl Fingerprint {
    /// The fingerprint of a text.
    pub fn of(text: &str) -> Self {
        let mut words: Vec<String> = Vec::new();
        let mut telling = Vec::new();
        for word in text.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()) {
            let lower = word.to_lowercase();
            let name = word.chars().next().is_some_and(char::is_uppercase);
            if name || lower.chars().any(|c| c.is_ascii_digit()) || NEGATIONS.contains(&lower.as_str()) {
                telling.push(hash(&lower));
            }
            words.push(lower);
        }
        let mut shingles: Vec<u64> =
            if words.len() < SHINGLE { vec![hash(&words)] } else { words.windows(SHINGLE).map(|run| hash(&run)).collect() };
        for list in [&mut shingles, &mut telling] {
            list.sort_unstable();
            list.dedup();
        }
        Self { shingles, telling }
    }

    /// Whether two texts say the same.
    pub fn is_near(&self, other: &Self) -> bool {
        let (short, long) = (self.shingles.len().min(other.shingles.len()), self.shingles.len().max(other.shingles.len()));
        // The share of what is common cannot exceed the ratio of the sizes.
        short as f32 >= NEAR * long as f32 && self.telling == other.telling && self.likeness(other) >= NEAR
    }

    /// The share of common shingles among all of both, 0 to 1 (Jaccard).
    pub fn likeness(&self, other: &Self) -> f32 {
        let (mut a, mut b, mut common) = (0, 0, 0_usize);
        while let (Some(x), Some(y)) = (self.shingles.get(a), other.shingles.get(b)) {
            if x == y {
                common += 1;
            }
            a += usize::from(x <= y);
            b += usize::from(y <= x);
        }
        let all = self.shingles.len() + other.shingles.len() - common;
        if all == 0 { 0.0 } else { common as f32 / all as f32 }
    }
}

fn hash(what: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}
