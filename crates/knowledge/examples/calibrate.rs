//! Calibrates extractive answers on retrieval collections and prints the weights and what they reach.
//!
//! ```text
//! cargo run -p astrolabe-knowledge --example calibrate -- en:path/en_xquad ru:path/ru_xquad [pl:path/…] [--vectors FILE] [--texts FILE]
//! ```
//!
//! A collection is a folder with `corpus.jsonl` (`_id`, `title`, `text`), `queries.jsonl` (`_id`, `text`, `answers`?) and `qrels.tsv`. Three kinds of
//! question are made of each: answerable as it is; unanswerable because its relevant documents are not among the passages; unanswerable because every
//! sentence with a gold answer was cut out, which leaves the same subject without the fact. Documents are split in two halves: one trains, the other
//! is reported. Collections without gold answers are only reported.
//!
//! With `--texts FILE` the sentences, passages and questions to embed are written, one JSON string a line; with `--vectors FILE` their vectors are
//! read from `FILE.bin` (little-endian 32-bit floats, 384 each) in the order of `FILE.idx` (one JSON string a line).

use std::collections::{HashMap, HashSet};
use std::error::Error;
use std::io::Write;

use astrolabe_backends::analysis::{Lang, analyse, analyse_query};
use astrolabe_knowledge::answers::extractive::{
    ANSWER_FEATURES, FEATURE_NAMES, FEATURES, Features, Model, Passage, Request, evidence, extract_with, render, widen,
};
use astrolabe_knowledge::ingest::chunk::chunk;
use astrolabe_knowledge::ingest::sentences::sentences;

type Failure = Box<dyn Error>;

/// Passages given to the answerer per question.
const PASSAGES: usize = 12;
/// Dimensions of the vectors.
const DIMENSIONS: usize = 384;

struct Piece {
    document: String,
    title: String,
    text: String,
}

struct Ask {
    text: String,
    /// The text whose vector stands for the question.
    original: String,
    answers: Vec<String>,
    relevant: HashSet<String>,
    train: bool,
}

struct Collection {
    name: String,
    lang: Lang,
    pieces: Vec<Piece>,
    postings: HashMap<String, Vec<(usize, f32)>>,
    lengths: Vec<f32>,
    asks: Vec<Ask>,
}

impl Collection {
    fn load(argument: &str) -> Result<Self, Failure> {
        let (code, path) = argument.split_once(':').ok_or("a collection is LANG:FOLDER")?;
        let lang = Lang::from_code(code);
        let read = |file: &str| std::fs::read_to_string(format!("{path}/{file}"));
        let mut collection = Self {
            name: path.rsplit('/').next().unwrap_or(path).to_owned(),
            lang,
            pieces: Vec::new(),
            postings: HashMap::new(),
            lengths: Vec::new(),
            asks: Vec::new(),
        };
        for line in read("corpus.jsonl")?.lines() {
            let record: serde_json::Value = serde_json::from_str(line)?;
            let (id, title, text) = (string(&record, "_id"), string(&record, "title").replace('_', " "), string(&record, "text"));
            for piece in chunk(&text, &[], 600, 80) {
                collection.add(Piece { document: id.clone(), title: title.clone(), text: piece.text });
            }
        }
        let mut relevant: HashMap<String, HashSet<String>> = HashMap::new();
        for line in read("qrels.tsv")?.lines().skip(1) {
            let mut columns = line.split('\t');
            if let (Some(query), Some(document)) = (columns.next(), columns.next()) {
                relevant.entry(query.to_owned()).or_default().insert(document.to_owned());
            }
        }
        for line in read("queries.jsonl")?.lines() {
            let record: serde_json::Value = serde_json::from_str(line)?;
            let relevant = relevant.remove(&string(&record, "_id")).unwrap_or_default();
            let answers = record["answers"].as_array().into_iter().flatten().filter_map(|a| a.as_str()).map(fold).collect();
            // The half is a property of the document, so that no passage is seen in both.
            let train =
                relevant.iter().min().is_some_and(|d| d.bytes().fold(7u32, |h, b| h.wrapping_mul(31).wrapping_add(u32::from(b))) % 2 == 0);
            let text = string(&record, "text");
            collection.asks.push(Ask { original: text.clone(), text, answers, relevant, train });
        }
        Ok(collection)
    }

    fn add(&mut self, piece: Piece) {
        let number = self.pieces.len();
        let mut counts: HashMap<String, f32> = HashMap::new();
        let terms = analyse(&format!("{}\n{}", piece.title, piece.text), self.lang);
        self.lengths.push(terms.last().map_or(0.0, |t| t.position as f32 + 1.0));
        for term in terms {
            *counts.entry(term.text).or_default() += 1.0;
        }
        for (term, count) in counts {
            self.postings.entry(term).or_default().push((number, count));
        }
        self.pieces.push(piece);
    }

    fn idf(&self, term: &str) -> f32 {
        let n = self.pieces.len() as f32;
        let df = self.postings.get(term).map_or(0, Vec::len) as f32;
        (1.0 + (n - df + 0.5) / (df + 0.5)).ln()
    }

    /// BM25 (k1 0.9, b 0.4) over chunks with the document's title in each.
    fn search(&self, question: &str, without: &HashSet<String>) -> Vec<usize> {
        let mean = self.lengths.iter().sum::<f32>() / self.lengths.len().max(1) as f32;
        let mut scores: HashMap<usize, f32> = HashMap::new();
        let mut query = analyse_query(question, Some(self.lang));
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
        let mut order: Vec<(usize, f32)> = scores.into_iter().filter(|(p, _)| !without.contains(&self.pieces[*p].document)).collect();
        order.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        order.into_iter().take(PASSAGES).map(|(p, _)| p).collect()
    }
}

fn string(record: &serde_json::Value, key: &str) -> String {
    record[key].as_str().unwrap_or_default().to_owned()
}

fn fold(text: &str) -> String {
    text.replace(['\u{a0}', '\u{feff}'], " ").split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

fn holds(text: &str, answers: &[String]) -> bool {
    let text = fold(text);
    answers.iter().any(|a| {
        text.match_indices(a.as_str()).any(|(at, _)| {
            let digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
            let starts = a.starts_with(|c: char| c.is_ascii_digit()) && digit(text[..at].chars().next_back());
            let ends = a.ends_with(|c: char| c.is_ascii_digit()) && digit(text[at + a.len()..].chars().next());
            !starts && !ends
        })
    })
}

/// How a question is put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Setting {
    Answerable,
    /// The relevant documents are not among the passages.
    Absent,
    /// Sentences with a gold answer are cut out.
    Cut,
}

struct Vectors(HashMap<String, Vec<f32>>);

impl Vectors {
    fn read(path: &str) -> Result<Self, Failure> {
        let bytes = std::fs::read(format!("{path}.bin"))?;
        let index = std::fs::read_to_string(format!("{path}.idx"))?;
        let mut vectors = HashMap::new();
        for (line, row) in index.lines().zip(bytes.chunks_exact(DIMENSIONS * 4)) {
            let vector = row.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
            vectors.insert(serde_json::from_str(line)?, vector);
        }
        Ok(Self(vectors))
    }

    fn get(&self, text: &str) -> Option<&Vec<f32>> {
        self.0.get(text)
    }
}

struct Sample {
    pieces: Vec<usize>,
    texts: Vec<String>,
}

fn sample(collection: &Collection, ask: &Ask, setting: Setting) -> Sample {
    let none = HashSet::new();
    let pieces = collection.search(&ask.text, if setting == Setting::Absent { &ask.relevant } else { &none });
    let texts = pieces
        .iter()
        .map(|p| {
            let text = &collection.pieces[*p].text;
            if setting == Setting::Cut {
                sentences(text).into_iter().map(|r| &text[r]).filter(|s| !holds(s, &ask.answers)).collect::<Vec<_>>().join(" ")
            } else {
                text.clone()
            }
        })
        .collect();
    Sample { pieces, texts }
}

fn with_request<T>(collection: &Collection, ask: &Ask, sample: &Sample, vectors: Option<&Vectors>, work: impl Fn(&Request<'_>) -> T) -> T {
    let question_vector = vectors.and_then(|v| v.get(&ask.original));
    let passages: Vec<Passage<'_>> = sample
        .pieces
        .iter()
        .zip(&sample.texts)
        .enumerate()
        .map(|(rank, (piece, text))| Passage {
            text,
            heading: "",
            title: &collection.pieces[*piece].title,
            document_start: "",
            lang: collection.lang,
            rank,
            dense_score: question_vector.and_then(|q| {
                vectors.and_then(|v| v.get(&collection.pieces[*piece].text)).map(|p| q.iter().zip(p).map(|(a, b)| a * b).sum())
            }),
        })
        .collect();
    let idf = |term: &str| collection.idf(term);
    let embed =
        |texts: &[&str]| -> Vec<Vec<f32>> { texts.iter().map(|t| vectors.and_then(|v| v.get(t)).cloned().unwrap_or_default()).collect() };
    let embedder = question_vector.map(|q| (q.as_slice(), &embed as &dyn Fn(&[&str]) -> Vec<Vec<f32>>));
    work(&Request { question: &ask.text, lang: Some(collection.lang), passages: &passages, idf: &idf, embedder })
}

/// The sentences of one question with their labels.
struct Row {
    features: Vec<Features>,
    gold: Vec<bool>,
}

/// The question as somebody would put it who has not read the passage: a third of its plain words become words that no document holds. Questions of
/// these collections were written with the passage in view and share far more words with it than questions at work do.
fn paraphrased(ask: &Ask) -> Ask {
    let words = ask.text.split_whitespace().enumerate().map(|(at, word)| {
        let plain = word.chars().count() >= 4 && word.chars().all(|c| c.is_lowercase() || c == '?');
        let roll = word.bytes().chain(ask.text.bytes().take(40)).fold(at as u32, |h, b| h.wrapping_mul(131).wrapping_add(u32::from(b)));
        if at > 1 && plain && (roll >> 8) % 3 == 0 {
            format!("qx{}zw", word.chars().rev().filter(|c| c.is_alphabetic()).collect::<String>())
        } else {
            word.to_owned()
        }
    });
    Ask {
        text: words.collect::<Vec<_>>().join(" "),
        original: ask.original.clone(),
        answers: ask.answers.clone(),
        relevant: ask.relevant.clone(),
        train: ask.train,
    }
}

fn rows(collection: &Collection, setting: Setting, train: bool, vectors: Option<&Vectors>) -> Vec<Row> {
    let mut rows = Vec::new();
    for ask in collection.asks.iter().filter(|a| a.train == train && !a.answers.is_empty()) {
        let sample = sample(collection, ask, setting);
        let row = with_request(collection, ask, &sample, vectors, |request| {
            let scored = evidence(request);
            Row {
                gold: scored
                    .iter()
                    .map(|s| {
                        setting == Setting::Answerable
                            && ask.relevant.contains(&collection.pieces[sample.pieces[s.passage]].document)
                            && holds(&s.text, &ask.answers)
                    })
                    .collect(),
                features: scored.into_iter().map(|s| s.features).collect(),
            }
        });
        rows.push(row);
    }
    rows
}

/// What the answer weights are drawn to: an answer without the plain kind asked for, or without the name asked about, is no answer, which collections
/// whose questions are written from the passages show too rarely.
fn prior() -> [f32; ANSWER_FEATURES] {
    let mut prior = [0.0; ANSWER_FEATURES];
    for (slot, name) in prior.iter_mut().zip(FEATURE_NAMES) {
        *slot = match name {
            "plain_kind_absent" => -3.0,
            "loose_kind_absent" => -1.5,
            "entity_missing_context" => -1.8,
            "entity_missing_passage" => -0.5,
            "code_missing_context" => -2.0,
            "value_in_range" => 0.8,
            _ => 0.0,
        };
    }
    prior
}

/// What the ranking weights are drawn to: collections of encyclopedic questions hardly ever give a value that the answer states as a range.
fn rank_prior() -> Features {
    let mut prior = [0.0; FEATURES];
    for (slot, name) in prior.iter_mut().zip(FEATURE_NAMES) {
        if name == "value_in_range" {
            *slot = 1.0;
        }
    }
    prior
}

/// Adam over a function that adds the gradient of its loss.
fn descend<const N: usize>(steps: usize, rate: f32, decay: f32, prior: &[f32; N], gradient: impl Fn(&[f32; N]) -> [f32; N]) -> [f32; N] {
    let (mut w, mut m, mut v) = ([0.0f32; N], [0.0f32; N], [0.0f32; N]);
    for step in 1..=steps {
        let g = gradient(&w);
        for i in 0..N {
            // A weight with a prior is held ten times tighter.
            let g = g[i] + if prior[i] == 0.0 { decay * w[i] } else { 10.0 * decay * (w[i] - prior[i]) };
            m[i] = 0.9 * m[i] + 0.1 * g;
            v[i] = 0.999 * v[i] + 0.001 * g * g;
            let (mh, vh) = (m[i] / (1.0 - 0.9f32.powi(step as i32)), v[i] / (1.0 - 0.999f32.powi(step as i32)));
            w[i] -= rate * mh / (vh.sqrt() + 1e-8);
        }
    }
    w
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

/// Listwise softmax: the probability mass of the gold sentences among all sentences of their question.
fn train_rank(rows: &[Row]) -> Features {
    let usable: Vec<&Row> = rows.iter().filter(|r| r.gold.iter().any(|g| *g)).collect();
    descend::<FEATURES>(250, 0.1, 0.002, &rank_prior(), |w| {
        let mut g = [0.0f32; FEATURES];
        for row in &usable {
            let scores: Vec<f32> = row.features.iter().map(|f| dot(w, f)).collect();
            let top = scores.iter().copied().fold(f32::MIN, f32::max);
            let weights: Vec<f32> = scores.iter().map(|s| (s - top).exp()).collect();
            let all: f32 = weights.iter().sum();
            let gold: f32 = weights.iter().zip(&row.gold).filter(|(_, g)| **g).map(|(w, _)| w).sum::<f32>().max(1e-9);
            for ((f, weight), is_gold) in row.features.iter().zip(&weights).zip(&row.gold) {
                let share = weight / all - if *is_gold { weight / gold } else { 0.0 };
                for i in 0..FEATURES {
                    g[i] += share * f[i] / usable.len() as f32;
                }
            }
        }
        g
    })
}

fn best_of(row: &Row, rank: &Features) -> Option<([f32; ANSWER_FEATURES], bool)> {
    let mut order: Vec<(f32, usize)> = row.features.iter().enumerate().map(|(i, f)| (dot(rank, f), i)).collect();
    order.sort_by(|a, b| b.0.total_cmp(&a.0));
    let (score, best) = *order.first()?;
    let next = order.get(1).map_or(score - 3.0, |o| o.0);
    // The answer may hold up to three sentences; one of the first two being right makes it right.
    let right = order.iter().take(2).any(|(_, i)| row.gold[*i]);
    Some((Model::answer_features(&row.features[best], score, next), right))
}

fn train_answer(rank: &Features, groups: &[(&[Row], f32)]) -> [f32; ANSWER_FEATURES] {
    let mut data: Vec<([f32; ANSWER_FEATURES], f32, f32)> = Vec::new();
    for (rows, weight) in groups {
        for row in *rows {
            if let Some((features, right)) = best_of(row, rank) {
                data.push((features, f32::from(u8::from(right)), *weight));
            }
        }
    }
    let total: f32 = data.iter().map(|d| d.2).sum();
    descend::<ANSWER_FEATURES>(600, 0.05, 0.002, &prior(), |w| {
        let mut g = [0.0f32; ANSWER_FEATURES];
        for (f, label, weight) in &data {
            let p = 1.0 / (1.0 + (-dot(w, f)).exp());
            for i in 0..ANSWER_FEATURES {
                g[i] += weight * (p - label) * f[i] / total;
            }
        }
        g
    })
}

#[derive(Default, Clone, Copy)]
struct Tally {
    asked: usize,
    answered: usize,
    gold: usize,
    cited: usize,
}

fn measure(
    collection: &Collection,
    setting: Setting,
    model: &Model,
    vectors: Option<&Vectors>,
    every: usize,
    reword: bool,
) -> Vec<(f32, bool, bool)> {
    // Confidence, gold string held, right document cited: the threshold is applied afterwards.
    let open = Model { threshold: -1.0, ..*model };
    let mut results = Vec::new();
    for ask in collection.asks.iter().filter(|a| !a.train).step_by(every) {
        if setting == Setting::Cut && ask.answers.is_empty() {
            continue;
        }
        let reworded = paraphrased(ask);
        let ask = if reword { &reworded } else { ask };
        let sample = sample(collection, ask, setting);
        results.push(with_request(collection, ask, &sample, vectors, |request| {
            let extract = extract_with(request, &open);
            let (text, cited) = render(&extract);
            let right = cited.iter().any(|p| ask.relevant.contains(&collection.pieces[sample.pieces[*p]].document));
            (extract.confidence, if ask.answers.is_empty() { right } else { holds(&text, &ask.answers) }, right)
        }));
    }
    results
}

fn tally(results: &[(f32, bool, bool)], threshold: f32) -> Tally {
    let mut tally = Tally { asked: results.len(), ..Tally::default() };
    for (confidence, gold, cited) in results {
        if *confidence >= threshold {
            tally.answered += 1;
            tally.gold += usize::from(*gold);
            tally.cited += usize::from(*cited);
        }
    }
    tally
}

fn report(out: &mut impl Write, collection: &Collection, model: &Model, vectors: Option<&Vectors>, reword: bool) -> Result<(), Failure> {
    let every = (collection.asks.len() / 1190).max(1) * if reword { 2 } else { 1 };
    let answerable = measure(collection, Setting::Answerable, model, vectors, every, reword);
    let absent = measure(collection, Setting::Absent, model, vectors, every, reword);
    let cut = measure(collection, Setting::Cut, model, vectors, every, reword);
    let mut best = (0.0f32, 0.0f32);
    for step in 1..100 {
        let threshold = step as f32 / 100.0;
        let right = tally(&answerable, threshold);
        let refused = |r: &[(f32, bool, bool)]| 1.0 - tally(r, threshold).answered as f32 / r.len().max(1) as f32;
        let refused = if cut.is_empty() { refused(&absent) } else { (refused(&absent) + refused(&cut)) / 2.0 };
        let balanced = (right.gold as f32 / right.asked.max(1) as f32 + refused) / 2.0;
        if balanced > best.0 {
            best = (balanced, threshold);
        }
    }
    let label = if reword { "held-out half, a third of the plain words unknown" } else { "held-out half" };
    let all = tally(&answerable, -1.0);
    writeln!(
        out,
        "{} {label}: gold held when always answering {:.3}, right document {:.3}",
        collection.name,
        share(all.gold, all.asked),
        share(all.cited, all.asked)
    )?;
    for threshold in [0.2, 0.25, 0.3, 0.35, 0.4, 0.5, best.1] {
        let (a, b, c) = (tally(&answerable, threshold), tally(&absent, threshold), tally(&cut, threshold));
        writeln!(
            out,
            "   threshold {threshold:.2}: answered {:.3}, with gold {:.3} of all and {:.3} of answered, refused absent {:.3}, refused cut {:.3}",
            share(a.answered, a.asked),
            share(a.gold, a.asked),
            share(a.gold, a.answered),
            1.0 - share(b.answered, b.asked),
            1.0 - share(c.answered, c.asked),
        )?;
    }
    Ok(())
}

fn share(part: usize, whole: usize) -> f32 {
    part as f32 / whole.max(1) as f32
}

fn write_texts(path: &str, collections: &[Collection]) -> Result<(), Failure> {
    let mut seen = HashSet::new();
    let mut file = std::io::BufWriter::new(std::fs::File::create(path)?);
    let mut put = |text: &str| -> Result<(), Failure> {
        if !text.is_empty() && seen.insert(text.to_owned()) {
            writeln!(file, "{}", serde_json::to_string(text)?)?;
        }
        Ok(())
    };
    for collection in collections {
        let every = (collection.asks.len() / 1190).max(1);
        for (at, ask) in collection.asks.iter().enumerate() {
            if !ask.answers.is_empty() || at % every == 0 {
                put(&ask.text)?;
            }
        }
        for piece in &collection.pieces {
            put(&piece.text)?;
            for range in sentences(&piece.text) {
                put(&piece.text[range])?;
            }
        }
    }
    Ok(())
}

fn main() -> Result<(), Failure> {
    let mut collections = Vec::new();
    let mut vectors = None;
    let mut arguments = std::env::args().skip(1);
    let mut texts = None;
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--vectors" => vectors = Some(Vectors::read(&arguments.next().ok_or("--vectors needs a file")?)?),
            "--texts" => texts = Some(arguments.next().ok_or("--texts needs a file")?),
            _ => collections.push(Collection::load(&argument)?),
        }
    }
    if let Some(path) = texts {
        return write_texts(&path, &collections);
    }
    let out = &mut std::io::stdout().lock();
    let trainable: Vec<&Collection> = collections.iter().filter(|c| c.asks.iter().any(|a| !a.answers.is_empty())).collect();
    let mut groups: Vec<(String, Vec<&Collection>)> = vec![("all".to_owned(), trainable.clone())];
    if vectors.is_some() && trainable.len() > 1 {
        groups.extend(trainable.iter().map(|c| (c.name.clone(), vec![*c])));
    }
    for (name, members) in groups {
        let gather = |setting| members.iter().flat_map(|c| rows(c, setting, true, vectors.as_ref())).collect::<Vec<Row>>();
        let (answerable, absent, cut) = (gather(Setting::Answerable), gather(Setting::Absent), gather(Setting::Cut));
        let rank = train_rank(&answerable);
        let answer = train_answer(&rank, &[(&answerable, 1.0), (&absent, 0.5), (&cut, 0.5)]);
        let model = Model { rank, answer, threshold: 0.5 };
        writeln!(out, "== trained on {name}, {}", if vectors.is_some() { "with vectors" } else { "by words" })?;
        for (i, feature) in FEATURE_NAMES.iter().chain(["score", "lead"].iter()).enumerate() {
            writeln!(out, "{feature:26} rank {:8.3}  answer {:8.3}", rank.get(i).copied().unwrap_or(0.0), answer[i])?;
        }
        writeln!(out, "rank: {rank:.2?}\nanswer: {answer:.2?}")?;
        for collection in &collections {
            report(out, collection, &model, vectors.as_ref(), false)?;
            report(out, collection, &model, vectors.as_ref(), true)?;
        }
    }
    Ok(())
}
