//! Measures the embedded index on synthetic chunks: build, load, searches, disk and memory.
//!
//! `cargo run --release -p astrolabe-backends --example index_bench -- CHUNKS...` (such as `10000 100000`). Vectors are
//! of 384 dimensions in clusters, texts of about 90 words drawn by Zipf's law, ten chunks to a document.

use std::error::Error;
use std::io::{Write, stdout};
use std::time::{Duration, Instant};

use astrolabe_backends::analysis::{Lang, analyse_query};
use astrolabe_backends::index::{EmbeddedIndex, Filter, IndexChunk, IndexDocument};

const DIMS: usize = 384;
const QUERIES: usize = 200;

fn main() -> Result<(), Box<dyn Error>> {
    let mut out = stdout().lock();
    for chunks in std::env::args().skip(1) {
        let line = measure(chunks.parse()?)?;
        writeln!(out, "{line}")?;
    }
    Ok(())
}

/// A small generator (splitmix64), so that every run measures the same.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn normal(&mut self) -> f32 {
        ((0..6).map(|_| self.unit()).sum::<f64>() - 3.0) as f32
    }

    /// One of 50,000 words; word n about n times rarer than the first.
    fn word(&mut self) -> String {
        let n = 50_000_f64.powf(self.unit()) as u64;
        let mut word = String::new();
        let mut rest = n + 17;
        while rest > 0 {
            word.push(char::from(b"bcdfghklmnprstvz"[(rest % 16) as usize]));
            word.push(char::from(b"aeiou"[(rest / 16 % 5) as usize]));
            rest /= 80;
        }
        word
    }

    fn text(&mut self, words: usize) -> String {
        (0..words).map(|_| self.word()).collect::<Vec<_>>().join(" ")
    }

    fn vector(&mut self, centres: &[Vec<f32>]) -> Vec<f32> {
        let centre = &centres[(self.next() % centres.len() as u64) as usize];
        centre.iter().map(|c| c + 0.6 * self.normal()).collect()
    }
}

fn measure(chunks: usize) -> Result<String, Box<dyn Error>> {
    let scratch = std::env::temp_dir().join(format!("astrolabe-index-bench-{}", std::process::id()));
    let mut random = Random(7);
    let centres: Vec<Vec<f32>> = (0..200).map(|_| (0..DIMS).map(|_| random.normal()).collect()).collect();
    let (index, _) = EmbeddedIndex::open(&scratch, "bench", "1", DIMS)?;
    let mut built = Duration::ZERO;
    for batch in 0..chunks.div_ceil(1000) {
        let documents = (0..100).map(|d| document(batch * 100 + d, &mut random, &centres)).collect();
        let started = Instant::now();
        index.replace_documents(documents)?;
        built += started.elapsed();
    }
    drop(index);
    let before = resident();
    let started = Instant::now();
    let (index, report) = EmbeddedIndex::open(&scratch, "bench", "1", DIMS)?;
    let loaded = started.elapsed();
    let memory = resident().saturating_sub(before);

    let all = Filter::tenant("t");
    let percent = Filter { sources: Some(vec!["s0".to_owned()]), ..all.clone() };
    let mut lines = Vec::new();
    for (name, filter) in [("all", &all), ("1%", &percent)] {
        let (mut dense, mut lexical, mut recall) = (Vec::new(), Vec::new(), 0);
        for query in 0..QUERIES {
            let vector = random.vector(&centres);
            let text = random.text(6);
            let started = Instant::now();
            let hits = index.dense(filter, &vector, 50)?;
            dense.push(started.elapsed());
            let started = Instant::now();
            let words = analyse_query(&text, Some(Lang::En));
            index.lexical(filter, &words.terms, 50);
            lexical.push(started.elapsed());
            if query < 20 {
                // The same search with every candidate scored by its full vector.
                let exact = index.dense(filter, &vector, chunks)?;
                recall += exact[..10].iter().filter(|e| hits[..10].iter().any(|h| h.chunk_id == e.chunk_id)).count();
            }
        }
        lines.push(format!("{name}: dense {} recall@10 {:.3} lexical {}", times(dense), recall as f64 / 200.0, times(lexical)));
    }
    let bytes = index.stats().bytes_on_disk;
    drop(index);
    std::fs::remove_dir_all(&scratch)?;
    Ok(format!(
        "{} chunks: build {built:.2?} load {loaded:.2?} memory {} MiB disk {} MiB | {}",
        report.chunks,
        memory >> 20,
        bytes >> 20,
        lines.join(" | ")
    ))
}

fn document(number: usize, random: &mut Random, centres: &[Vec<f32>]) -> IndexDocument {
    let chunks = (0..10)
        .map(|chunk| IndexChunk {
            chunk_id: format!("chk_{number:013}{chunk:013}"),
            lang: Lang::En,
            page: None,
            title: random.text(5),
            text: random.text(85),
            vector: Some(random.vector(centres)),
        })
        .collect();
    IndexDocument {
        tenant: "t".to_owned(),
        source_id: format!("s{}", number % 100),
        document_id: format!("doc_{number:026}"),
        version: 1,
        mime: "text/plain".to_owned(),
        tags: Vec::new(),
        updated_at: 0,
        chunks,
    }
}

fn times(mut times: Vec<Duration>) -> String {
    times.sort();
    format!("p50 {:.2?} p95 {:.2?}", times[times.len() / 2], times[times.len() * 95 / 100])
}

/// Resident bytes of this process, from the kernel's accounting; 0 where there is none.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4096
}
