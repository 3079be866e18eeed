//! A set of chunk slots, one bit each.

use std::ops::Range;

/// Slots below a length that is fixed when the set is made; slots beyond it are not in the set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bits {
    words: Vec<u64>,
}

impl Bits {
    /// The empty set of slots below `len`.
    pub fn new(len: usize) -> Self {
        Self { words: vec![0; len.div_ceil(64)] }
    }

    /// Adds a slot, growing where needed.
    pub fn insert(&mut self, slot: u32) {
        let word = slot as usize / 64;
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        self.words[word] |= 1 << (slot % 64);
    }

    /// Adds or takes out a run of slots, growing where needed.
    pub fn set(&mut self, slots: Range<u32>, member: bool) {
        if slots.is_empty() {
            return;
        }
        let (first, last) = (slots.start as usize / 64, (slots.end - 1) as usize / 64);
        if last >= self.words.len() {
            self.words.resize(last + 1, 0);
        }
        for word in first..=last {
            let mut mask = u64::MAX;
            if word == first {
                mask &= u64::MAX << (slots.start % 64);
            }
            if word == last {
                mask &= u64::MAX >> (63 - (slots.end - 1) % 64);
            }
            if member {
                self.words[word] |= mask;
            } else {
                self.words[word] &= !mask;
            }
        }
    }

    /// Whether the slot is in the set.
    pub fn contains(&self, slot: u32) -> bool {
        self.words.get(slot as usize / 64).is_some_and(|word| word >> (slot % 64) & 1 == 1)
    }

    /// The first slot of the set that is not below `from`.
    pub fn next(&self, from: u32) -> Option<u32> {
        let mut word = from as usize / 64;
        let mut left = self.words.get(word)? & (u64::MAX << (from % 64));
        while left == 0 {
            word += 1;
            left = *self.words.get(word)?;
        }
        u32::try_from(word * 64).ok().map(|first| first + left.trailing_zeros())
    }

    /// The membership of 64 slots, that of slot `64 * word` in the lowest bit.
    pub fn word(&self, word: usize) -> u64 {
        self.words.get(word).copied().unwrap_or(0)
    }

    /// How many slots from `from` to before `until` are in the set; both are multiples of 64.
    pub fn count_in(&self, from: u32, until: u32) -> u32 {
        (from as usize / 64..until as usize / 64).map(|word| self.word(word).count_ones()).sum()
    }

    /// The slots, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.within(0, u32::MAX)
    }

    /// The slots from `from` to before `until`, ascending.
    pub fn within(&self, mut from: u32, until: u32) -> impl Iterator<Item = u32> + '_ {
        std::iter::from_fn(move || {
            let slot = self.next(from).filter(|slot| *slot < until)?;
            from = slot + 1;
            Some(slot)
        })
    }

    /// How many slots are in the set.
    pub fn count(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Keeps what is in both sets.
    pub fn keep(&mut self, other: &Self) {
        let others = other.words.iter().copied().chain(std::iter::repeat(0));
        self.words.iter_mut().zip(others).for_each(|(word, other)| *word &= other);
    }

    /// Takes out what is in the other set.
    pub fn subtract(&mut self, other: &Self) {
        self.words.iter_mut().zip(&other.words).for_each(|(word, other)| *word &= !other);
    }
}

impl FromIterator<u32> for Bits {
    fn from_iter<I: IntoIterator<Item = u32>>(slots: I) -> Self {
        let mut bits = Self::default();
        slots.into_iter().for_each(|slot| bits.insert(slot));
        bits
    }
}
