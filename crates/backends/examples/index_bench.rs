//! The embedded index's part of `bench/search/run.sh`, which prepares the texts and vectors and compares the answers with a
//! full scan's and with other engines'.
//!
//! - `embed MODEL TEXTS VECTORS`: writes the vectors of the lines of a file, 32-bit floats one after the other.
//! - `build DIR TEXTS VECTORS CHUNKS`: makes an index of the first chunks. A line is a language, a tab and a text; ten lines
//!   are a document, and every hundredth document is of the same source.
//! - `search DIR TEXTS VECTORS`: searches for each line with its vector, and prints times and what was found. The index is
//!   opened by this process, so that its memory is the index's.

use std::error::Error;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write, stdout};
use std::path::Path;
use std::time::Instant;

use astrolabe_backends::analysis::{Lang, analyse_query, detect_language};
use astrolabe_backends::embedder::{Embedder, Precision, Priority};
use astrolabe_backends::index::{EmbeddedIndex, Filter, Hit, IndexChunk, IndexDocument, fuse};
use serde_json::{Value, json};

const DIMS: usize = 384;
/// Chunks of a document, and documents of one write.
const CHUNKS: usize = 10;
const BATCH: usize = 100;
/// Hits of each side that are fused, as many as a search takes, and queries before those that are timed.
const FUSED: usize = 100;
const WARM_UP: usize = 100;

type Fallible<T> = Result<T, Box<dyn Error>>;

fn main() -> Fallible<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let report = match args.as_slice() {
        ["embed", model, texts, vectors] => embed(Path::new(model), Path::new(texts), Path::new(vectors))?,
        ["build", dir, texts, vectors, chunks] => build(Path::new(dir), Path::new(texts), Path::new(vectors), chunks.parse()?)?,
        ["search", dir, texts, vectors] => search(Path::new(dir), Path::new(texts), Path::new(vectors))?,
        _ => return Err("usage: embed MODEL TEXTS VECTORS | build DIR TEXTS VECTORS CHUNKS | search DIR TEXTS VECTORS".into()),
    };
    writeln!(stdout(), "{report}")?;
    Ok(())
}

fn embed(model: &Path, texts: &Path, vectors: &Path) -> Fallible<Value> {
    let embedder = Embedder::load(model, 0, Precision::F32)?;
    let texts: Vec<String> = BufReader::new(File::open(texts)?).lines().collect::<Result<_, _>>()?;
    let started = Instant::now();
    let mut out = Vec::new();
    for batch in texts.chunks(64) {
        let batch: Vec<&str> = batch.iter().map(String::as_str).collect();
        for vector in embedder.embed_blocking(&batch, Priority::Bulk)? {
            vector.iter().for_each(|x| out.extend_from_slice(&x.to_le_bytes()));
        }
    }
    std::fs::write(vectors, out)?;
    Ok(json!({ "texts": texts.len(), "seconds": started.elapsed().as_secs_f64() }))
}

fn build(dir: &Path, texts: &Path, vectors: &Path, chunks: usize) -> Fallible<Value> {
    let mut lines = BufReader::new(File::open(texts)?).lines();
    let mut vectors = BufReader::new(File::open(vectors)?);
    let (index, _) = EmbeddedIndex::open(dir, "bench", "1", DIMS)?;
    let (mut seconds, mut longest) = (0.0, 0.0_f64);
    for first in (0..chunks).step_by(CHUNKS * BATCH) {
        let mut documents = Vec::new();
        for first in (first..(first + CHUNKS * BATCH).min(chunks)).step_by(CHUNKS) {
            let mut parts = Vec::new();
            for number in first..(first + CHUNKS).min(chunks) {
                let line = lines.next().ok_or("too few texts")??;
                let (lang, text) = line.split_once('\t').ok_or("a line without a tab")?;
                parts.push(IndexChunk {
                    chunk_id: format!("chk_{number:026}"),
                    lang: language(lang),
                    page: None,
                    title: String::new(),
                    text: text.to_owned(),
                    vector: Some(vector(&mut vectors)?),
                });
            }
            documents.push(document(first / CHUNKS, 1, parts));
        }
        let started = Instant::now();
        index.replace_documents(documents)?;
        let took = started.elapsed().as_secs_f64();
        seconds += took;
        longest = longest.max(took);
    }
    let disk = index.stats().bytes_on_disk;
    Ok(json!({ "build_s": seconds, "longest_write_s": longest, "disk_bytes": disk }))
}

fn search(dir: &Path, texts: &Path, vectors: &Path) -> Fallible<Value> {
    let before = resident();
    let started = Instant::now();
    let (index, report) = EmbeddedIndex::open(dir, "bench", "1", DIMS)?;
    let load = started.elapsed().as_secs_f64();
    let memory = resident().saturating_sub(before);
    let texts: Vec<String> = BufReader::new(File::open(texts)?).lines().collect::<Result<_, _>>()?;
    let mut file = BufReader::new(File::open(vectors)?);
    let vectors: Vec<Vec<f32>> = texts.iter().map(|_| vector(&mut file)).collect::<Result<_, _>>()?;
    let all = Filter::tenant("t");
    let percent = Filter { sources: Some(vec!["s0".to_owned()]), ..all.clone() };
    let mut runs = Vec::new();
    for (name, filter) in [("all", &all), ("1 %", &percent)] {
        let (mut dense, mut lexical, mut hybrid, mut found) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (number, (text, vector)) in texts.iter().zip(&vectors).enumerate() {
            let query = analyse_query(text, Some(detect_language(text)));
            let started = Instant::now();
            let near = index.dense(filter, vector, FUSED)?;
            let middle = Instant::now();
            let worded = index.lexical(filter, &query.terms, FUSED);
            let searched = Instant::now();
            let fused = fuse(&worded, &near, 0.5);
            let done = Instant::now();
            if number >= WARM_UP {
                let ms = |from: Instant, to: Instant| (to - from).as_secs_f64() * 1e3;
                dense.push(ms(started, middle));
                lexical.push(ms(middle, searched));
                hybrid.push(ms(started, done));
            }
            found.push(json!({ "dense": ids(&near), "lexical": ids(&worded), "fused": fused.len() }));
        }
        runs.push(json!({ "filter": name, "dense_ms": dense, "lexical_ms": lexical, "hybrid_ms": hybrid, "found": found }));
    }
    // Documents that change one by one, at the end: each search above saw the index as it was built.
    let mut single = Vec::new();
    for number in 0..50 {
        let parts = (0..CHUNKS).map(|i| {
            let at = (number * CHUNKS + i) % texts.len();
            IndexChunk {
                chunk_id: format!("new_{number:013}{i:013}"),
                lang: Lang::En,
                page: None,
                title: String::new(),
                text: texts[at].clone(),
                vector: Some(vectors[at].clone()),
            }
        });
        let added = IndexDocument { document_id: format!("new_{number}"), ..document(number, 1, parts.collect()) };
        let started = Instant::now();
        index.replace_document(added)?;
        single.push(started.elapsed().as_secs_f64() * 1e3);
    }
    for number in 0..50 {
        index.delete_document("t", &format!("new_{number}"))?;
    }
    Ok(json!({ "chunks": report.chunks, "load_s": load, "memory_bytes": memory, "one_document_ms": single, "runs": runs }))
}

fn ids(hits: &[Hit]) -> Vec<u64> {
    hits.iter().filter_map(|hit| hit.chunk_id.trim_start_matches("chk_").parse().ok()).collect()
}

fn document(number: usize, version: i64, chunks: Vec<IndexChunk>) -> IndexDocument {
    IndexDocument {
        tenant: "t".to_owned(),
        source_id: format!("s{}", number % 100),
        document_id: format!("doc_{number:026}"),
        version,
        mime: "text/plain".to_owned(),
        tags: Vec::new(),
        readers: None,
        updated_at: 0,
        chunks,
    }
}

fn language(code: &str) -> Lang {
    [Lang::En, Lang::Pl, Lang::Ru].into_iter().find(|lang| lang.code() == code).unwrap_or(Lang::Other)
}

fn vector(from: &mut impl Read) -> Fallible<Vec<f32>> {
    let mut bytes = vec![0; DIMS * 4];
    from.read_exact(&mut bytes)?;
    Ok(bytes.as_chunks::<4>().0.iter().map(|x| f32::from_le_bytes(*x)).collect())
}

/// Resident bytes of this process, from the kernel's accounting; 0 where there is none.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4096
}
