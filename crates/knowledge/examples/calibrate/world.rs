//! An index in memory, built and searched as the server does it: BM25 (k1 0.9, b 0.4) over chunks with title and headings, fused with the vectors.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

use astrolabe_backends::analysis::{Lang, analyse, analyse_question};
use astrolabe_backends::embedder::{Embedder, Priority};
use astrolabe_knowledge::answers::extractive::widen;
use astrolabe_knowledge::ingest::embedded_text;

/// Candidates of each side.
const CANDIDATES: usize = 60;
/// Passages given to the answerer, as on the server.
const PASSAGES: usize = 24;

/// A chunk.
pub struct Piece {
    pub document: String,
    pub title: String,
    pub heading: String,
    pub text: String,
    pub document_start: String,
    pub lang: Lang,
}

/// Vectors, each made once.
pub struct Meaning<'a> {
    embedder: &'a Embedder,
    known: RefCell<HashMap<String, Vec<f32>>>,
}

impl<'a> Meaning<'a> {
    pub fn new(embedder: &'a Embedder) -> Self {
        Self { embedder, known: RefCell::default() }
    }

    pub fn embed(&self, texts: &[&str]) -> Vec<Vec<f32>> {
        let missing: Vec<&str> = {
            let known = self.known.borrow();
            let mut seen = HashSet::new();
            texts.iter().copied().filter(|t| !known.contains_key(*t) && seen.insert(*t)).collect()
        };
        for batch in missing.chunks(32) {
            let vectors = self.embedder.embed_blocking(batch, Priority::Bulk).unwrap_or_default();
            let mut known = self.known.borrow_mut();
            for (text, vector) in batch.iter().zip(vectors) {
                known.insert((*text).to_owned(), vector);
            }
        }
        let known = self.known.borrow();
        texts.iter().map(|t| known.get(*t).cloned().unwrap_or_default()).collect()
    }
}

/// Chunks with their postings and vectors.
#[derive(Default)]
pub struct World {
    pub pieces: Vec<Piece>,
    postings: HashMap<String, Vec<(usize, f32)>>,
    lengths: Vec<f32>,
    vectors: Vec<Vec<f32>>,
}

/// A found chunk.
pub struct Hit {
    pub piece: usize,
    pub cosine: Option<f32>,
}

impl World {
    pub fn add(&mut self, piece: Piece) {
        let number = self.pieces.len();
        let mut counts: HashMap<String, f32> = HashMap::new();
        let terms = analyse(&format!("{} {}\n{}", piece.title, piece.heading, piece.text), piece.lang);
        self.lengths.push(terms.last().map_or(0.0, |t| t.position as f32 + 1.0));
        for term in terms {
            *counts.entry(term.text).or_default() += 1.0;
        }
        for (term, count) in counts {
            self.postings.entry(term).or_default().push((number, count));
        }
        self.pieces.push(piece);
    }

    pub fn embed(&mut self, meaning: &Meaning<'_>) {
        let texts: Vec<String> = self.pieces.iter().map(|p| embedded_text(&p.heading, &p.text)).collect();
        self.vectors = meaning.embed(&texts.iter().map(String::as_str).collect::<Vec<_>>());
    }

    pub fn idf(&self, term: &str) -> f32 {
        let n = self.pieces.len() as f32;
        let df = self.postings.get(term).map_or(0, Vec::len) as f32;
        (1.0 + (n - df + 0.5) / (df + 0.5)).ln()
    }

    /// Best chunks for a question, leaving out those that `skip` names.
    pub fn search(&self, question: &str, lang: Lang, vector: Option<&[f32]>, skip: &dyn Fn(&Piece) -> bool) -> Vec<Hit> {
        let lexical = self.lexical(question, lang, skip);
        let dense = vector.map(|v| self.dense(v, skip)).unwrap_or_default();
        let weight = match lang {
            Lang::En => 0.8,
            Lang::Pl | Lang::Ru => 0.15,
            Lang::Other => 0.3,
        };
        let mut fused: HashMap<usize, f32> = HashMap::new();
        for (side, weight) in [(&lexical, 1.0), (&dense, weight)] {
            for (rank, (piece, _)) in side.iter().enumerate() {
                *fused.entry(*piece).or_default() += weight / (60.0 + rank as f32 + 1.0);
            }
        }
        let cosines: HashMap<usize, f32> = dense.into_iter().collect();
        best(fused, PASSAGES).into_iter().map(|(piece, _)| Hit { piece, cosine: cosines.get(&piece).copied() }).collect()
    }

    fn dense(&self, vector: &[f32], skip: &dyn Fn(&Piece) -> bool) -> Vec<(usize, f32)> {
        let scores = self.vectors.iter().enumerate().filter(|(p, _)| !skip(&self.pieces[*p]));
        best(scores.map(|(p, v)| (p, v.iter().zip(vector).map(|(a, b)| a * b).sum())).collect(), CANDIDATES)
    }

    fn lexical(&self, question: &str, lang: Lang, skip: &dyn Fn(&Piece) -> bool) -> Vec<(usize, f32)> {
        let mean = self.lengths.iter().sum::<f32>() / self.lengths.len().max(1) as f32;
        let mut scores: HashMap<usize, f32> = HashMap::new();
        let mut query = analyse_question(question, Some(lang));
        widen(&mut query);
        for group in query.terms {
            let mut best: HashMap<usize, f32> = HashMap::new();
            for alternative in &group.alternatives {
                let idf = self.idf(&alternative.text);
                for (piece, count) in self.postings.get(&alternative.text).into_iter().flatten() {
                    let norm = 0.9 * (0.6 + 0.4 * self.lengths[*piece] / mean);
                    let score = group.weight * alternative.weight * idf * count * 1.9 / (count + norm);
                    let slot = best.entry(*piece).or_default();
                    *slot = slot.max(score);
                }
            }
            for (piece, score) in best {
                *scores.entry(piece).or_default() += score;
            }
        }
        scores.retain(|p, _| !skip(&self.pieces[*p]));
        best(scores, CANDIDATES)
    }
}

fn best(scores: HashMap<usize, f32>, count: usize) -> Vec<(usize, f32)> {
    let mut order: Vec<(usize, f32)> = scores.into_iter().collect();
    order.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    order.truncate(count);
    order
}
