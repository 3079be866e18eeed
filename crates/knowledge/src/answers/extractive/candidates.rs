//! The sentences that may answer, each with the text around it that says what it is about.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use astrolabe_backends::analysis::{Lang, analyse};

use super::{Passage, families};
use crate::ingest::sentences::{is_table_row, list_marker, sentences};

/// Index terms of a piece of text with the positions they stand at.
#[derive(Debug, Default)]
pub(super) struct Bag {
    pub positions: HashMap<String, Vec<u32>>,
    /// First byte and position of each term, in order.
    pub starts: Vec<(usize, u32)>,
}

impl Bag {
    pub(super) fn of(text: &str, lang: Lang) -> Self {
        let mut bag = Self::default();
        bag.add(text, lang);
        bag
    }

    fn add(&mut self, text: &str, lang: Lang) {
        for term in analyse(text, lang) {
            self.starts.push((term.start, term.position));
            if let Some(kin) = families::kin(&term.text, lang) {
                self.positions.entry(kin).or_default().push(term.position);
            }
            self.positions.entry(term.text).or_default().push(term.position);
        }
    }
}

/// What a sentence looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Prose,
    Item,
    Row,
}

/// A sentence that may answer.
#[derive(Debug)]
pub(super) struct Candidate {
    /// Index into the passages given.
    pub passage: usize,
    /// Bytes of the sentence in the passage's text.
    pub bytes: Range<usize>,
    pub shape: Shape,
    pub own: Bag,
    /// Words that the sentence continues: a lead-in line, a table's header, a question above it, the sentence before it.
    pub lead: Bag,
    /// The sentence after it.
    pub next: Bag,
    /// Bytes of the table's header row, for a row.
    pub header: Option<Range<usize>>,
    /// Ends with a colon: what follows belongs to it.
    pub leads_in: bool,
    /// First sentence below a heading.
    pub opens_section: bool,
}

/// A passage's bags, shared by its sentences.
#[derive(Debug)]
pub(super) struct Surroundings {
    pub heading: Bag,
    pub all: Bag,
    /// The document says of itself that it is no longer in force.
    pub superseded: bool,
}

/// Splits passages into candidates. Sentences that overlapping chunks share are kept once, in the passage that comes first.
pub(super) fn collect(passages: &[Passage<'_>]) -> (Vec<Candidate>, Vec<Surroundings>) {
    let mut candidates = Vec::new();
    let mut surroundings = Vec::with_capacity(passages.len());
    let mut seen: HashSet<String> = HashSet::new();
    for (index, passage) in passages.iter().enumerate() {
        let lang = passage.lang;
        let mut heading = Bag::of(passage.heading, lang);
        heading.add(passage.title, lang);
        let mut all = Bag::of(passage.text, lang);
        all.add(passage.heading, lang);
        all.add(passage.title, lang);
        surroundings.push(Surroundings { heading, all, superseded: superseded(passage) });
        sentences_of(index, passage, &mut seen, &mut candidates);
    }
    (candidates, surroundings)
}

fn sentences_of(index: usize, passage: &Passage<'_>, seen: &mut HashSet<String>, candidates: &mut Vec<Candidate>) {
    let text = passage.text;
    let lang = passage.lang;
    let titles: Vec<&str> = passage.heading.split(" > ").chain(std::iter::once(passage.title)).collect();
    let all = sentences(text);
    let piece = |range: &Range<usize>| text.get(range.clone()).unwrap_or_default();
    // A line that leads in (a colon, a question) holds for the items or the sentences right below it.
    let mut lead_in: Option<&str> = None;
    let mut header: Option<Range<usize>> = None;
    let mut previous = "";
    let mut after_heading = false;
    for (at, range) in all.iter().enumerate() {
        let sentence = piece(range);
        let shape = shape_of(text, range);
        let gap = at.checked_sub(1).and_then(|i| all.get(i)).and_then(|before| text.get(before.end..range.start)).unwrap_or_default();
        if gap.contains("\n\n") {
            header = None;
            if shape == Shape::Prose {
                lead_in = lead_in.filter(|l| l.ends_with('?'));
            }
            previous = "";
        }
        if titles.contains(&line_of(text, range)) {
            after_heading = true;
            lead_in = None;
            previous = "";
            continue;
        }
        if shape == Shape::Row
            && header.is_none()
            && all.get(at + 1).is_some_and(|next| shape_of(text, next) == Shape::Row)
            && !gap_has_row_before(&all, at, text)
        {
            header = Some(range.clone());
            continue;
        }
        if shape != Shape::Row {
            header = None;
        }
        let question = sentence.ends_with('?');
        let leads_in = sentence.ends_with(':');
        let key: String = sentence.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
        if !question && key.chars().any(char::is_alphanumeric) && seen.insert(key) {
            let mut lead = Bag::default();
            if let Some(line) = lead_in {
                lead.add(line, lang);
            }
            if let Some(row) = &header {
                lead.add(piece(row), lang);
            }
            lead.add(previous, lang);
            let next = all.get(at + 1).filter(|n| shape_of(text, n) == Shape::Prose).map(piece).unwrap_or_default();
            candidates.push(Candidate {
                passage: index,
                bytes: range.clone(),
                shape,
                own: Bag::of(sentence, lang),
                lead,
                next: Bag::of(next, lang),
                header: header.clone(),
                leads_in,
                opens_section: after_heading,
            });
        }
        after_heading = false;
        if question || leads_in {
            lead_in = Some(sentence);
        } else if shape == Shape::Prose {
            lead_in = lead_in.filter(|l| l.ends_with('?'));
        }
        previous = if shape == Shape::Row { "" } else { sentence };
    }
}

/// The whole line a sentence stands in, without surrounding white space.
fn line_of<'a>(text: &'a str, range: &Range<usize>) -> &'a str {
    let start = text.get(..range.start).and_then(|before| before.rfind('\n')).map_or(0, |at| at + 1);
    let end = text.get(range.end..).and_then(|after| after.find('\n')).map_or(text.len(), |at| range.end + at);
    text.get(start..end).unwrap_or_default().trim()
}

fn gap_has_row_before(all: &[Range<usize>], at: usize, text: &str) -> bool {
    at.checked_sub(1).and_then(|i| all.get(i)).is_some_and(|before| {
        shape_of(text, before) == Shape::Row
            && text.get(before.end..all.get(at).map_or(before.end, |r| r.start)).is_some_and(|gap| gap == "\n")
    })
}

/// The shape by the line the sentence stands in.
pub(super) fn shape_of(text: &str, range: &Range<usize>) -> Shape {
    let start = text.get(..range.start).and_then(|before| before.rfind('\n')).map_or(0, |at| at + 1);
    let line = text.get(start..).and_then(|rest| rest.lines().next()).unwrap_or_default();
    if is_table_row(line) {
        Shape::Row
    } else if list_marker(line).is_some() || line.starts_with("  ") {
        Shape::Item
    } else {
        Shape::Prose
    }
}

/// Words by which a document declares itself out of force.
const SUPERSEDED: &[&str] = &[
    "superseded by",
    "is superseded",
    "obsolete",
    "no longer in force",
    "no longer valid",
    "for audit purposes only",
    "nieaktualne",
    "nieaktualna",
    "nieaktualny",
    "nie obowiązuje",
    "utraciła moc",
    "utracił moc",
    "utraciło moc",
    "archiwalna",
    "archiwalne",
    "не действует",
    "утратил силу",
    "утратила силу",
    "утратило силу",
    "недействительн",
    "устаревш",
];

fn superseded(passage: &Passage<'_>) -> bool {
    [passage.document_start, passage.title].iter().any(|text| {
        let lower = text.to_lowercase();
        SUPERSEDED.iter().any(|mark| lower.contains(mark))
    })
}
