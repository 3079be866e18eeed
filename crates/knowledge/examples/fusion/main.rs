//! Measures fusions of words and meaning on retrieval collections, in seconds once the vectors are there.
//!
//! ```text
//! cargo run --profile quick -p astrolabe-knowledge --example fusion -- --models DIR --cache DIR [--dump DIR] [--every N] [--size N] COLLECTION...
//! ```
//!
//! A collection is a folder with `corpus.jsonl` (or `.jsonl.xz`, unpacked by the `xz` program), `queries.jsonl` and `qrels.tsv`. Documents are
//! chunked and indexed as by the ingest of Markdown with the title as its heading; vectors are kept in the cache by the hash of their text. Queries
//! are halved by the parity of their number: what is tuned on the even ones is confirmed on the odd ones. A line a method: nDCG@10 of whole
//! documents over all queries, over the even and over the odd ones. `--every N` takes every Nth query, `--size N` chunks of N characters instead of
//! 600; a size of a million gives whole documents, for which only words are measured. `--dump` writes both sides' candidates, one JSON object a
//! query, for trying other fusions in whatever language is at hand.

mod collection;

use std::collections::HashMap;
use std::error::Error;
use std::io::{Write, stdout};
use std::path::PathBuf;

use astrolabe_backends::analysis::{Lang, Query, analyse_query};
use astrolabe_backends::embedder::{Embedder, Precision, Priority};
use astrolabe_backends::index::{EmbeddedIndex, Filter, Fused, Hit, RRF_K, dense_weight, fuse, rrf};
use astrolabe_knowledge::search::{coverage, documents_of};
use serde_json::json;
use sha2::{Digest, Sha256};

use collection::Collection;

type Failure = Box<dyn Error>;

/// Candidates that each side brings.
const CANDIDATES: usize = 300;

/// Vectors on disk by the hash of their text: 32 bytes of hash, then the components.
struct Cache {
    path: PathBuf,
    known: HashMap<[u8; 32], Vec<f32>>,
}

impl Cache {
    fn open(folder: &str, embedder: &Embedder) -> Result<Self, Failure> {
        std::fs::create_dir_all(folder)?;
        let path = PathBuf::from(folder).join(format!("{}.vectors", embedder.version()));
        let bytes = if path.try_exists()? { std::fs::read(&path)? } else { Vec::new() };
        let mut known = HashMap::new();
        for record in bytes.chunks_exact(32 + embedder.dims() * 4) {
            let (key, vector) = record.split_at(32);
            let vector = vector.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
            known.insert(key.try_into()?, vector);
        }
        Ok(Self { path, known })
    }

    fn vectors(&mut self, embedder: &Embedder, texts: &[String]) -> Result<Vec<Vec<f32>>, Failure> {
        let missing: Vec<&String> = texts.iter().filter(|t| !self.known.contains_key(&key(t))).collect();
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(&self.path)?;
        for batch in missing.chunks(64) {
            let batch: Vec<&str> = batch.iter().map(|t| t.as_str()).collect();
            for (text, vector) in batch.iter().zip(embedder.embed_blocking(&batch, Priority::Bulk)?) {
                let mut record = key(text).to_vec();
                vector.iter().for_each(|x| record.extend_from_slice(&x.to_le_bytes()));
                file.write_all(&record)?;
                self.known.insert(key(text), vector);
            }
        }
        Ok(texts.iter().map(|t| self.known[&key(t)].clone()).collect())
    }
}

fn key(text: &str) -> [u8; 32] {
    Sha256::digest(text).into()
}

/// What both sides say to a query.
struct Sides {
    query: Query,
    lexical: Vec<Hit>,
    dense: Vec<Hit>,
    /// How well the embedder knows the query's words.
    coverage: f32,
}

fn main() -> Result<(), Failure> {
    let mut options: HashMap<String, String> = HashMap::new();
    let mut folders = Vec::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.strip_prefix("--") {
            Some(name) => {
                options.insert(name.to_owned(), arguments.next().ok_or("an option without its value")?);
            }
            None => folders.push(argument),
        }
    }
    let models = options.get("models").ok_or("--models DIR is missing")?;
    let embedder = Embedder::load_from_models_dir(models.as_ref(), 0, Precision::default())?
        .ok_or("no embedding model is there: run scripts/models.sh")?;
    let mut cache = Cache::open(options.get("cache").ok_or("--cache DIR is missing")?, &embedder)?;
    let size: usize = options.get("size").map_or(Ok(600), |n| n.parse())?;
    let every: usize = options.get("every").map_or(Ok(1), |n| n.parse())?;
    let mut out = stdout().lock();
    for folder in &folders {
        let mut collection = Collection::read(folder.as_ref())?;
        let mut number = 0;
        collection.queries.retain(|_| {
            number += 1;
            (number - 1) % every == 0
        });
        let sides = ask(&collection, &embedder, &mut cache, size)?;
        if let Some(dump) = options.get("dump") {
            write_dump(dump, &collection, &sides)?;
        }
        for (method, rank) in METHODS.iter().filter(|(name, _)| size <= 4000 || *name == "words") {
            let ndcg = |half: Option<usize>| mean(&collection, &sides, half, rank);
            writeln!(out, "{:<14} {method:<22} {:.4} {:.4} {:.4}", collection.name, ndcg(None), ndcg(Some(0)), ndcg(Some(1)))?;
        }
    }
    Ok(())
}

/// Indexes a collection and asks both sides every query.
fn ask(collection: &Collection, embedder: &Embedder, cache: &mut Cache, size: usize) -> Result<Vec<Sides>, Failure> {
    let scratch = std::env::temp_dir().join(format!("astrolabe-fusion-{}", std::process::id()));
    let (index, _) = EmbeddedIndex::open(&scratch, embedder.alias(), embedder.version(), embedder.dims())?;
    let mut documents = collection.documents(size);
    for document in documents.iter_mut().filter(|_| size <= 4000) {
        let vectors = cache.vectors(embedder, &document.texts)?;
        for (chunk, vector) in document.index.chunks.iter_mut().zip(vectors) {
            chunk.vector = Some(vector);
        }
    }
    index.replace_documents(documents.into_iter().map(|d| d.index).collect())?;
    let questions: Vec<String> = collection.queries.iter().map(|q| q.text.clone()).collect();
    let vectors = cache.vectors(embedder, &questions)?;
    let filter = Filter::tenant("t");
    let mut all = Vec::with_capacity(questions.len());
    for (question, vector) in questions.iter().zip(vectors) {
        let query = analyse_query(question, None);
        let lexical = index.lexical(&filter, &query.terms, CANDIDATES);
        let dense = index.dense(&filter, &vector, CANDIDATES)?;
        all.push(Sides { query, lexical, dense, coverage: coverage(embedder, question) });
    }
    drop(index);
    std::fs::remove_dir_all(&scratch)?;
    Ok(all)
}

/// A way to one list from both sides.
type Rank = fn(&Sides) -> Vec<Fused>;

/// What is compared: each side alone, ranks, scores with a weight for all, and scores with the weight that the product uses.
const METHODS: &[(&str, Rank)] = &[
    ("words", |s| fuse(&s.lexical, &[], 0.0)),
    ("meaning", |s| fuse(&[], &s.dense, 1.0)),
    ("ranks, by language", |s| rrf(&[(1.0, &s.lexical), (if s.query.lang == Lang::En { 0.8 } else { 0.15 }, &s.dense)], RRF_K)),
    ("scores, half each", |s| fuse(&s.lexical, &s.dense, 0.5)),
    ("scores, by coverage", |s| fuse(&s.lexical, &s.dense, dense_weight(s.coverage))),
];

/// Mean nDCG@10 of whole documents.
fn mean(collection: &Collection, sides: &[Sides], half: Option<usize>, rank: &Rank) -> f64 {
    let (mut sum, mut count) = (0.0, 0.0);
    for (number, (query, side)) in collection.queries.iter().zip(sides).enumerate() {
        if half.is_some_and(|half| number % 2 != half) {
            continue;
        }
        let fused = rank(side);
        let documents = documents_of(fused.iter().map(|f| (f.document_id.as_str(), f64::from(f.score))));
        let gains: Vec<f64> = documents.iter().take(10).map(|(id, ..)| query.relevant.get(*id).copied().unwrap_or(0.0)).collect();
        let mut ideal: Vec<f64> = query.relevant.values().copied().collect();
        ideal.sort_by(|a, b| b.total_cmp(a));
        ideal.truncate(10);
        if dcg(&ideal) > 0.0 {
            sum += dcg(&gains) / dcg(&ideal);
            count += 1.0;
        }
    }
    sum / f64::max(count, 1.0)
}

fn dcg(gains: &[f64]) -> f64 {
    gains.iter().zip(2_u32..).map(|(gain, rank)| gain / f64::from(rank).log2()).sum()
}

fn write_dump(folder: &str, collection: &Collection, sides: &[Sides]) -> Result<(), Failure> {
    std::fs::create_dir_all(folder)?;
    let mut file = std::io::BufWriter::new(std::fs::File::create(PathBuf::from(folder).join(format!("{}.jsonl", collection.name)))?);
    let list = |hits: &[Hit]| hits.iter().map(|h| json!([h.chunk_id, h.score, h.share])).collect::<Vec<_>>();
    for (query, side) in collection.queries.iter().zip(sides) {
        let line = json!({
            "id": query.id, "text": query.text, "lang": side.query.lang.code(), "terms": side.query.terms.len(), "coverage": side.coverage,
            "relevant": query.relevant, "lexical": list(&side.lexical), "dense": list(&side.dense),
        });
        writeln!(file, "{line}")?;
    }
    Ok(())
}
