//! Measures lexical search: nDCG@10 over retrieval collections in BEIR layout.
//!
//! `cargo run --release -p astrolabe-backends --example bm25_eval -- DIR...`, each directory with `corpus.jsonl`
//! (or `.jsonl.xz`, unpacked by the `xz` program), `queries.jsonl` and `qrels.tsv`. A document is one chunk here, so
//! the figures compare with published whole-document BM25. Beside quality it prints what language detection made of
//! documents and queries, and the time of a query.

use std::collections::HashMap;
use std::error::Error;
use std::io::{Write, stdout};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use astrolabe_backends::analysis::{analyse_query, detect_language};
use astrolabe_backends::index::{EmbeddedIndex, Filter, IndexChunk, IndexDocument};
use serde::Deserialize;

#[derive(Deserialize)]
struct Document {
    _id: String,
    #[serde(default)]
    title: String,
    text: String,
}

#[derive(Deserialize)]
struct Query {
    _id: String,
    text: String,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut out = stdout().lock();
    for dir in std::env::args().skip(1) {
        let line = evaluate(Path::new(&dir))?;
        writeln!(out, "{line}")?;
    }
    Ok(())
}

fn evaluate(dir: &Path) -> Result<String, Box<dyn Error>> {
    let corpus: Vec<Document> = lines(&read(&dir.join("corpus.jsonl"))?)?;
    let queries: Vec<Query> = lines(&std::fs::read_to_string(dir.join("queries.jsonl"))?)?;
    let qrels = qrels(&std::fs::read_to_string(dir.join("qrels.tsv"))?);

    let scratch = std::env::temp_dir().join(format!("astrolabe-bm25-eval-{}", std::process::id()));
    let (index, _) = EmbeddedIndex::open(&scratch, "none", "0", 1)?;
    let mut document_langs: HashMap<&str, usize> = HashMap::new();
    let mut documents = Vec::new();
    let started = Instant::now();
    for document in corpus {
        let lang = detect_language(&document.text);
        *document_langs.entry(lang.code()).or_default() += 1;
        let chunk =
            IndexChunk { chunk_id: document._id.clone(), lang, page: None, title: document.title, text: document.text, vector: None };
        documents.push(IndexDocument {
            tenant: "t".to_owned(),
            source_id: "s".to_owned(),
            document_id: document._id,
            version: 1,
            mime: "text/plain".to_owned(),
            tags: Vec::new(),
            readers: None,
            updated_at: 0,
            chunks: vec![chunk],
        });
    }
    let count = documents.len();
    index.replace_documents(documents)?;
    let built = started.elapsed();

    let filter = Filter::tenant("t");
    let mut query_langs: HashMap<&str, usize> = HashMap::new();
    let mut sum = 0.0;
    let mut judged = 0.0;
    let mut times = Vec::new();
    for query in &queries {
        let Some(relevant) = qrels.get(&query._id) else { continue };
        let started = Instant::now();
        let analysed = analyse_query(&query.text, None);
        let hits = index.lexical(&filter, &analysed.terms, 10);
        times.push(started.elapsed());
        *query_langs.entry(analysed.lang.code()).or_default() += 1;
        let gains: Vec<f64> = hits.iter().map(|hit| relevant.get(&hit.document_id).copied().unwrap_or(0.0)).collect();
        let mut ideal: Vec<f64> = relevant.values().copied().collect();
        ideal.sort_by(|a, b| b.total_cmp(a));
        ideal.truncate(10);
        if dcg(&ideal) > 0.0 {
            sum += dcg(&gains) / dcg(&ideal);
            judged += 1.0;
        }
    }
    times.sort();
    let stats = index.stats();
    drop(index);
    std::fs::remove_dir_all(&scratch)?;
    let at = |share: usize| times.get(times.len() * share / 100).copied().unwrap_or(Duration::ZERO);
    Ok(format!(
        "{} ndcg@10 {:.4} documents {count} {document_langs:?} queries {judged} {query_langs:?} index {built:.2?} {} bytes p50 {:.0?} p95 {:.0?}",
        dir.file_name().unwrap_or_default().to_string_lossy(),
        sum / judged,
        stats.bytes_on_disk,
        at(50),
        at(95),
    ))
}

fn read(path: &Path) -> Result<String, Box<dyn Error>> {
    if path.try_exists()? {
        return Ok(std::fs::read_to_string(path)?);
    }
    let packed = path.with_extension("jsonl.xz");
    let unpacked = Command::new("xz").arg("-dc").arg(&packed).output()?;
    if !unpacked.status.success() {
        return Err(format!("cannot unpack {}: {}", packed.display(), String::from_utf8_lossy(&unpacked.stderr)).into());
    }
    Ok(String::from_utf8(unpacked.stdout)?)
}

fn lines<T: for<'a> Deserialize<'a>>(text: &str) -> Result<Vec<T>, serde_json::Error> {
    text.lines().filter(|line| !line.trim().is_empty()).map(serde_json::from_str).collect()
}

fn qrels(text: &str) -> HashMap<String, HashMap<String, f64>> {
    let mut all: HashMap<String, HashMap<String, f64>> = HashMap::new();
    for line in text.lines().skip(1) {
        let mut fields = line.split('\t');
        if let (Some(query), Some(document), Some(score)) = (fields.next(), fields.next(), fields.next()) {
            let score = score.trim().parse().unwrap_or(0.0);
            all.entry(query.to_owned()).or_default().insert(document.to_owned(), score);
        }
    }
    all
}

fn dcg(gains: &[f64]) -> f64 {
    gains.iter().zip(2_u32..).map(|(gain, rank)| gain / f64::from(rank).log2()).sum()
}
