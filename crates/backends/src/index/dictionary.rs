//! The terms of a tenant by their first letter and length, to find those that are near a word.

use std::collections::HashMap;

use crate::analysis::{Near, Pattern};

/// Letters from which on terms are kept together.
const LONGEST: usize = 64;
/// Between terms. No term contains it.
const END: char = '\n';

/// A tenant's index terms. About as many bytes as the terms have letters.
#[derive(Debug, Default)]
pub struct Dictionary {
    /// By what the terms begin with (mark and first letter), then by their letters.
    bins: HashMap<(bool, char), Vec<String>>,
}

impl Dictionary {
    /// Adds a term that was not added before.
    pub fn add(&mut self, term: &str) {
        let Some((start, length)) = place(term) else { return };
        let bins = self.bins.entry(start).or_default();
        if bins.len() <= length {
            bins.resize(length + 1, String::new());
        }
        bins[length].push_str(term);
        bins[length].push(END);
    }

    /// The terms that fit `pattern`, by [`Pattern::candidates`].
    pub fn candidates(&self, pattern: &Pattern) -> Vec<Near> {
        let starts = pattern.starts();
        let bins = starts.iter().filter_map(|start| self.bins.get(&place(start)?.0));
        let (shortest, longest) = pattern.lengths().into_inner();
        let fitting = bins.flat_map(|bins| bins.iter().take(longest.min(LONGEST) + 1).skip(shortest));
        pattern.candidates(fitting.flat_map(|bin| bin.split_terminator(END)))
    }
}

/// Where a term is kept: mark and first letter, and its letters without the mark.
fn place(term: &str) -> Option<((bool, char), usize)> {
    let plain = term.strip_prefix('~');
    let term_letters = plain.unwrap_or(term);
    Some(((plain.is_some(), term_letters.chars().next()?), term_letters.chars().count().min(LONGEST)))
}
