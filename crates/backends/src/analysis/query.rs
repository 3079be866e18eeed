//! A query as groups of weighted alternatives.

use super::fold::{FOLDED, is_unsegmented, normalise, without_diacritics};
use super::near::{Lookup, Near, Pattern};
use super::numbers::date_at;
use super::phrase::Phrase;
use super::stop::is_stop_word;
use super::syntax::{Role, Segment, segments};
use super::tokens::{Compound, Part, compounds, pieces};
use super::{Lang, Stemmers, cut, detect_language, folded_forms, is_identifier, unsegmented, whole_forms, word_lang};

/// What a form is worth that comes from another language's stemmer, beside 1 for the query's own.
const FOREIGN_STEM: f32 = 0.8;
/// What a form is worth that differs in diacritics.
const OTHER_DIACRITICS: f32 = 0.7;
/// What a part of an identifier is worth beside the whole.
const IDENTIFIER_PART: f32 = 0.5;
/// What a hyphen compound written as one word adds to its parts.
const JOINED: f32 = 0.5;
/// What a part of one character is worth.
const SINGLE: f32 = 0.3;
/// Groups of a query that are looked up; a longer query is a document, and its first words say what it is about.
const MAX_GROUPS: usize = 256;
/// Groups for which the dictionary is asked for near terms.
const MAX_LOOKUPS: usize = 64;
/// Bytes of a query that are read. The API takes 2,000 characters.
const MAX_BYTES: usize = 16 << 10;

/// One form of a query word.
#[derive(Debug, Clone, PartialEq)]
pub struct Alternative {
    /// The index term.
    pub text: String,
    /// Share of the group's score that a match of this form earns, above 0, at most 1.
    pub weight: f32,
}

/// One word of a query. A chunk earns the group once, by its best alternative.
#[derive(Debug, Clone, PartialEq)]
pub struct QueryTerm {
    /// Forms of the word, the most certain first.
    pub alternatives: Vec<Alternative>,
    /// Weight of the word in the query: 1, less for parts of identifiers, more for a word that is repeated.
    pub weight: f32,
    /// Running number of the word in the query, from 0.
    pub position: u32,
    /// First byte of the word in the query.
    pub start: usize,
    /// Byte after the word's last one.
    pub end: usize,
}

/// A word of which only the beginning was typed, as `beginning*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beginning {
    /// Which of the query's terms it is.
    pub term: usize,
    /// The letters typed, normalised.
    pub text: String,
}

/// An analysed query.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    /// The language it was taken to be in.
    pub lang: Lang,
    /// Its words without function words, unless it has no others: what a chunk earns its score by. Empty when there is
    /// nothing to search for.
    pub terms: Vec<QueryTerm>,
    /// Words that a chunk must have: those typed as `+word`, and those of phrases.
    pub required: Vec<QueryTerm>,
    /// Words that a chunk must not have, typed as `-word`.
    pub excluded: Vec<QueryTerm>,
    /// Phrases that a chunk must have, typed in quotes. The index knows no neighbours: check with
    /// [`phrase_in`](super::phrase_in).
    pub phrases: Vec<Phrase>,
    /// Phrases that a chunk must not have, typed as `-"phrase"`.
    pub excluded_phrases: Vec<Phrase>,
    /// Words of which only the beginning was typed.
    pub beginnings: Vec<Beginning>,
}

impl Query {
    /// What to look up in the index's dictionary for each term of the query.
    #[must_use]
    pub fn lookups(&self) -> Vec<Lookup> {
        let mut lookups: Vec<Lookup> = self.terms.iter().take(MAX_LOOKUPS).map(|term| self.lookup(term)).collect();
        for beginning in &self.beginnings {
            if let Some(lookup) = lookups.get_mut(beginning.term) {
                let plain = without_diacritics(&beginning.text).unwrap_or_else(|| beginning.text.clone());
                let starts = [beginning.text.clone(), format!("{FOLDED}{plain}")];
                lookup.related = starts.iter().filter_map(|start| Pattern::beginning(start)).collect();
                lookup.typos.clear();
            }
        }
        lookups
    }

    fn lookup(&self, term: &QueryTerm) -> Lookup {
        let forms: Vec<String> = term.alternatives.iter().map(|a| a.text.clone()).collect();
        let typos = forms.iter().filter_map(|form| Pattern::typo(form)).collect();
        // English stems hardly change at their end; there a family brings more strangers than relatives.
        let inflected = matches!(self.lang, Lang::Pl | Lang::Ru);
        let related = forms.first().filter(|_| inflected).and_then(|stem| Pattern::family(stem)).into_iter().collect();
        Lookup { forms, typos, related }
    }

    /// Adds what the index found, in the order of [`Query::lookups`].
    pub fn add_near(&mut self, near: Vec<Vec<Near>>) {
        for (term, near) in self.terms.iter_mut().zip(near) {
            for Near { text, worth } in near {
                add(&mut term.alternatives, text, worth);
            }
        }
    }
}

/// Analyses what somebody typed to search for, with its operators: `"exact phrase"`, `+required`, `-excluded`,
/// `beginning*`. `lang` overrides the detected language.
///
/// Function words are dropped while another word remains. A query of more than 256 different words, or 16 KiB, is cut
/// there.
#[must_use]
pub fn analyse_query(text: &str, lang: Option<Lang>) -> Query {
    let text = bounded(text);
    Reader::new(text, lang).segments(text, &segments(text))
}

/// Analyses a question, in which nothing is an operator. Everything else is as in [`analyse_query`].
#[must_use]
pub fn analyse_question(text: &str, lang: Option<Lang>) -> Query {
    let text = bounded(text);
    Reader::new(text, lang).segments(text, &[Segment { role: Role::Words, start: 0, end: text.len() }])
}

fn bounded(text: &str) -> &str {
    let mut end = text.len().min(MAX_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// A term on its way into a query.
struct Group {
    term: QueryTerm,
    /// A function word, which is dropped when there are others.
    stop: bool,
    /// The letters of a `beginning*`.
    beginning: Option<String>,
}

struct Reader {
    lang: Lang,
    /// No letter is small, so capitals mean nothing.
    shouting: bool,
    stemmers: Stemmers,
    groups: Vec<Group>,
    position: u32,
}

impl Reader {
    fn new(text: &str, lang: Option<Lang>) -> Self {
        let lang = lang.unwrap_or_else(|| detect_language(text));
        let shouting = !text.chars().any(char::is_lowercase);
        Self { lang, shouting, stemmers: Stemmers::new(), groups: Vec::new(), position: 0 }
    }

    fn segments(mut self, text: &str, segments: &[Segment]) -> Query {
        let (mut required, mut excluded) = (Vec::new(), Vec::new());
        let (mut phrases, mut excluded_phrases) = (Vec::new(), Vec::new());
        for segment in segments {
            let part = &text[segment.start..segment.end];
            match segment.role {
                Role::Words => self.words(part, segment.start),
                Role::Phrase => {
                    let phrase = self.phrase(part, segment);
                    required.extend(phrase.words.iter().map(|word| demand(word.clone(), segment)));
                    phrases.push(phrase);
                    self.words(part, segment.start);
                }
                Role::Required => {
                    required.extend(self.demands(part, segment));
                    self.words(part, segment.start);
                }
                Role::Excluded => match compounds(part).as_slice() {
                    [compound] => excluded.push(demand(self.thing(compound), segment)),
                    _ => excluded_phrases.push(self.phrase(part, segment)),
                },
                Role::Prefix => self.beginning(part, segment),
            }
        }
        for demands in [&mut required, &mut excluded] {
            demands.truncate(MAX_GROUPS);
            demands.retain(|demand: &QueryTerm| !demand.alternatives.is_empty());
        }
        let mut groups = self.groups;
        if groups.iter().any(|group| !group.stop) {
            groups.retain(|group| !group.stop);
        }
        groups.truncate(MAX_GROUPS);
        let mut beginnings = Vec::new();
        for (term, group) in groups.iter_mut().enumerate() {
            beginnings.extend(group.beginning.take().map(|text| Beginning { term, text }));
        }
        let terms = groups.into_iter().map(|group| group.term).collect();
        Query { lang: self.lang, terms, required, excluded, phrases, excluded_phrases, beginnings }
    }

    /// Adds the words of a part of the query that starts at byte `offset`.
    fn words(&mut self, text: &str, offset: usize) {
        let all = compounds(text);
        let mut dated = 0;
        for (i, compound) in all.iter().enumerate() {
            if self.groups.len() > 2 * MAX_GROUPS {
                break;
            }
            let date = if i >= dated { date_at(&all[i..]) } else { None };
            let mut day = None;
            if let Some(date) = date {
                dated = i + date.compounds;
                let end = all[dated - 1].parts.last().map_or(0, |part| part.end);
                day = date.forms.into_iter().next().map(|form| (form, end));
            }
            self.compound(compound, day, offset);
        }
    }

    fn compound(&mut self, compound: &Compound<'_>, day: Option<(String, usize)>, offset: usize) {
        let identifier = compound.joiners.is_empty() || is_identifier(compound);
        let single = compound.parts.len() == 1;
        self.whole(compound, day, offset);
        for part in &compound.parts {
            let short = part.raw.chars().nth(1).is_none();
            let weight = match (single, identifier) {
                (true, _) | (false, false) => 1.0,
                (false, true) => IDENTIFIER_PART,
            } * if short && !single { SINGLE } else { 1.0 };
            let alternatives = word_alternatives(part.raw, self.lang, &self.stemmers);
            // "IT" in a sentence is a name, "it" is not.
            let name = !self.shouting && !short && part.raw.chars().all(char::is_uppercase);
            let stop = single && compound.suffix.is_empty() && !name && is_stop_word(&normalise(part.raw), self.lang);
            self.push(alternatives, weight, (offset + part.start, offset + part.end), stop);
            self.pieces(part, offset);
            self.position += 1;
        }
    }

    fn push(&mut self, alternatives: Vec<Alternative>, weight: f32, (start, end): (usize, usize), stop: bool) {
        let Some(first) = alternatives.first() else { return };
        let same = |g: &&mut Group| g.beginning.is_none() && g.term.alternatives.first().is_some_and(|a| a.text == first.text);
        if let Some(known) = self.groups.iter_mut().find(same) {
            // A repeated word counts more, but three times the word is not three words.
            known.term.weight += weight * 0.5;
            return;
        }
        let term = QueryTerm { alternatives, weight, position: self.position, start, end };
        self.groups.push(Group { term, stop, beginning: None });
    }

    /// A compound, or a date, as one thing.
    fn whole(&mut self, compound: &Compound<'_>, day: Option<(String, usize)>, offset: usize) {
        let (Some(head), Some(tail)) = (compound.parts.first(), compound.parts.last()) else { return };
        let mut alternatives = Vec::new();
        let mut end = tail.end;
        if let Some((form, date_end)) = day {
            add(&mut alternatives, form, 1.0);
            end = date_end;
        }
        for form in whole_forms(compound, self.lang, &self.stemmers) {
            let weight = if alternatives.is_empty() { 1.0 } else { OTHER_DIACRITICS };
            add(&mut alternatives, form, weight);
        }
        let joined = !compound.joiners.is_empty() && compound.suffix.is_empty() && !is_identifier(compound);
        self.push(alternatives, if joined { JOINED } else { 1.0 }, (offset + head.start, offset + end), false);
    }

    /// Pieces of `getUserName` or `E4012`, as groups of their own.
    fn pieces(&mut self, part: &Part<'_>, offset: usize) {
        let bytes = (offset + part.start, offset + part.end);
        let word = normalise(part.raw);
        if is_unsegmented(&word) {
            for pair in unsegmented(&cut(word)).pieces {
                self.push(vec![Alternative { text: pair, weight: 1.0 }], 1.0, bytes, false);
            }
            return;
        }
        for piece in pieces(part.raw) {
            let alternatives = word_alternatives(piece, self.lang, &self.stemmers);
            self.push(alternatives, IDENTIFIER_PART, bytes, false);
        }
    }

    fn beginning(&mut self, text: &str, segment: &Segment) {
        let alternatives = word_alternatives(text, self.lang, &self.stemmers);
        if alternatives.is_empty() {
            return;
        }
        let term = QueryTerm { alternatives, weight: 1.0, position: self.position, start: segment.start, end: segment.end };
        self.groups.push(Group { term, stop: false, beginning: Some(cut(normalise(text))) });
        self.position += 1;
    }

    fn phrase(&self, text: &str, segment: &Segment) -> Phrase {
        let parts = compounds(text).into_iter().flat_map(|compound| compound.parts);
        let words = parts.map(|part| word_alternatives(part.raw, self.lang, &self.stemmers)).filter(|word| !word.is_empty());
        Phrase { words: words.take(MAX_GROUPS).collect(), start: segment.start, end: segment.end }
    }

    /// The words that a chunk must have for `text`: an identifier as a whole, a hyphen compound by its words.
    fn demands(&self, text: &str, segment: &Segment) -> Vec<QueryTerm> {
        let mut demands = Vec::new();
        for compound in compounds(text) {
            if compound.joiners.is_empty() || is_identifier(&compound) {
                demands.push(demand(self.thing(&compound), segment));
            } else {
                let words = compound.parts.iter().map(|part| word_alternatives(part.raw, self.lang, &self.stemmers));
                demands.extend(words.map(|word| demand(word, segment)));
            }
        }
        demands
    }

    /// The forms of a compound as one thing, or of its only word.
    fn thing(&self, compound: &Compound<'_>) -> Vec<Alternative> {
        if compound.joiners.is_empty() && compound.suffix.is_empty() {
            return compound.parts.first().map_or_else(Vec::new, |part| word_alternatives(part.raw, self.lang, &self.stemmers));
        }
        let forms = whole_forms(compound, self.lang, &self.stemmers);
        forms.into_iter().map(|text| Alternative { text, weight: 1.0 }).collect()
    }
}

fn demand(alternatives: Vec<Alternative>, segment: &Segment) -> QueryTerm {
    QueryTerm { alternatives, weight: 1.0, position: 0, start: segment.start, end: segment.end }
}

fn word_alternatives(raw: &str, lang: Lang, stemmers: &Stemmers) -> Vec<Alternative> {
    let word = cut(normalise(raw));
    let mut forms = Vec::new();
    if word.is_empty() {
        return forms;
    }
    if is_unsegmented(&word) {
        add(&mut forms, unsegmented(&word).stem, 1.0);
        return forms;
    }
    let own = word_lang(&word, lang);
    let stem = stemmers.stem(&word, own);
    let folded = folded_forms(&word, &stem, own, stemmers);
    add(&mut forms, stem.clone(), 1.0);
    if word.bytes().any(|b| b.is_ascii_digit()) {
        return forms;
    }
    let cyrillic = word_lang(&word, Lang::En) == Lang::Ru;
    // The word as it stands in documents of a language without a stemmer, and as the other languages' stemmers cut it.
    add(&mut forms, word.clone(), FOREIGN_STEM);
    let others: &[Lang] = if cyrillic { &[Lang::Ru] } else { &[Lang::En, Lang::Pl] };
    for other in others.iter().filter(|l| **l != own) {
        add(&mut forms, stemmers.stem(&word, *other), FOREIGN_STEM);
    }
    if cyrillic {
        return forms;
    }
    // Documents typed without diacritics, for a query with them.
    for form in &folded {
        add(&mut forms, form.clone(), OTHER_DIACRITICS);
    }
    // Documents with diacritics, for a query without them (or with some).
    let plain = without_diacritics(&word).unwrap_or(word);
    for form in [stem, plain.clone(), stemmers.stem(&plain, Lang::Pl)].into_iter().chain(folded) {
        add(&mut forms, format!("{FOLDED}{}", without_diacritics(&form).unwrap_or(form)), OTHER_DIACRITICS);
    }
    forms
}

fn add(forms: &mut Vec<Alternative>, text: String, weight: f32) {
    if !forms.iter().any(|known| known.text == text) {
        forms.push(Alternative { text, weight });
    }
}
