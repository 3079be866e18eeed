//! Measures the embedded index on synthetic chunks: build, load, searches, disk and memory.
//!
//! `cargo run --release -p astrolabe-backends --example index_bench -- CHUNKS...` (such as `10000 100000`). Vectors are
//! of 384 dimensions in clusters, texts of about 90 words drawn by Zipf's law, ten chunks to a document. Loading and
//! searching run in a process of their own, so that its memory is the index's.

use std::error::Error;
use std::io::{Write, stdout};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use astrolabe_backends::analysis::{Lang, analyse_query};
use astrolabe_backends::index::{EmbeddedIndex, Filter, IndexChunk, IndexDocument, RRF_K, rrf};

const DIMS: usize = 384;
const QUERIES: usize = 200;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let mut out = stdout().lock();
    if let [flag, dir] = args.as_slice()
        && flag == "--load"
    {
        writeln!(out, "{}", search(Path::new(dir))?)?;
        return Ok(());
    }
    for chunks in args {
        let dir = std::env::temp_dir().join(format!("astrolabe-index-bench-{}", std::process::id()));
        let built = build(&dir, chunks.parse()?)?;
        let searched = Command::new(std::env::current_exe()?).arg("--load").arg(&dir).output()?;
        std::fs::remove_dir_all(&dir)?;
        if !searched.status.success() {
            return Err(String::from_utf8_lossy(&searched.stderr).into());
        }
        writeln!(out, "{chunks} chunks: {built}\n{}", String::from_utf8_lossy(&searched.stdout))?;
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

fn centres(random: &mut Random) -> Vec<Vec<f32>> {
    (0..200).map(|_| (0..DIMS).map(|_| random.normal()).collect()).collect()
}

fn build(dir: &Path, chunks: usize) -> Result<String, Box<dyn Error>> {
    let mut random = Random(7);
    let centres = centres(&mut random);
    let (index, _) = EmbeddedIndex::open(dir, "bench", "1", DIMS)?;
    let (mut built, mut single) = (Duration::ZERO, Vec::new());
    for batch in 0..chunks.div_ceil(1000) {
        let documents: Vec<_> = (0..100).map(|d| document(batch * 100 + d, &mut random, &centres)).collect();
        let started = Instant::now();
        index.replace_documents(documents)?;
        built += started.elapsed();
    }
    for number in 0..100 {
        let again = document(number, &mut random, &centres);
        let started = Instant::now();
        index.replace_document(again)?;
        single.push(started.elapsed());
    }
    let disk = index.stats().bytes_on_disk >> 20;
    let started = Instant::now();
    index.compact()?;
    let compacted = started.elapsed();
    Ok(format!("build {built:.2?} in batches, one document of ten {}, compaction {compacted:.2?}, disk {disk} MiB", times(single)))
}

fn search(dir: &Path) -> Result<String, Box<dyn Error>> {
    let before = resident();
    let started = Instant::now();
    let (index, report) = EmbeddedIndex::open(dir, "bench", "1", DIMS)?;
    let loaded = started.elapsed();
    let memory = resident().saturating_sub(before) >> 20;
    let mut random = Random(7);
    let centres = centres(&mut random);
    let all = Filter::tenant("t");
    let percent = Filter { sources: Some(vec!["s0".to_owned()]), ..all.clone() };
    let mut text = format!("  load {loaded:.2?} memory {memory} MiB");
    for (name, filter) in [("everything", &all), ("a 1 % filter", &percent)] {
        let (mut dense, mut lexical, mut both, mut recall) = (Vec::new(), Vec::new(), Vec::new(), 0);
        for query in 0..QUERIES {
            let vector = random.vector(&centres);
            let words = random.text(6);
            let started = Instant::now();
            let near = index.dense(filter, &vector, 50)?;
            dense.push(started.elapsed());
            let middle = Instant::now();
            let found = index.lexical(filter, &analyse_query(&words, Some(Lang::En)).terms, 50);
            lexical.push(middle.elapsed());
            let _ = rrf(&[(1.0, &near), (1.0, &found)], RRF_K);
            both.push(started.elapsed());
            if query < 20 {
                // The same search with every candidate scored by its full vector.
                let exact = index.dense(filter, &vector, report.chunks)?;
                recall += exact[..10].iter().filter(|e| near[..10].iter().any(|h| h.chunk_id == e.chunk_id)).count();
            }
        }
        let recall = recall as f64 / 200.0;
        text +=
            &format!("\n  {name}: dense {} recall@10 {recall:.3}, lexical {}, both fused {}", times(dense), times(lexical), times(both));
    }
    Ok(text)
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
        readers: None,
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
