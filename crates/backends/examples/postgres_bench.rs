//! Measures the engine on PostgreSQL on synthetic chunks: build, searches with and without filters, recall, size.
//!
//! `cargo run --profile quick -p astrolabe-backends --example postgres_bench -- URI CHUNKS...`, where URI names an empty
//! database with pgvector that may be filled. Vectors are of 384 dimensions in clusters, texts of about 90 words drawn by
//! Zipf's law, ten chunks to a document. What is found by meaning among real embeddings: `bench/search/run.sh`.

use std::error::Error;
use std::io::{Write, stdout};
use std::time::{Duration, Instant};

use astrolabe_backends::analysis::{Lang, analyse_query};
use astrolabe_backends::index::{Filter, IndexChunk, IndexDocument, PostgresIndex, SearchIndex};
use astrolabe_kernel::Db;

const DIMS: usize = 384;
const QUERIES: usize = 100;
const K: usize = 50;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let uri = args.next().ok_or("name the URI of a database, then numbers of chunks")?;
    for chunks in args {
        let chunks: usize = chunks.parse()?;
        let db = Db::open(&uri, 8).await?;
        let index = PostgresIndex::open(db, &format!("bench{chunks}"), "1", DIMS).await?;
        index.clear().await?;
        let mut random = Random(7);
        let centres: Vec<Vec<f32>> = (0..200).map(|_| (0..DIMS).map(|_| random.normal()).collect()).collect();
        let mut vectors = Vec::with_capacity(chunks);
        let started = Instant::now();
        for batch in 0..chunks.div_ceil(1000) {
            let documents: Vec<IndexDocument> = (0..100).map(|d| document(batch * 100 + d, &mut random, &centres, &mut vectors)).collect();
            index.replace_documents(documents).await?;
        }
        let written = started.elapsed();
        let started = Instant::now();
        index.maintain().await?;
        let maintained = started.elapsed();
        let mut single = Vec::new();
        for number in 0..30 {
            let again = document(number, &mut random, &centres, &mut Vec::new());
            let started = Instant::now();
            index.replace_documents(vec![IndexDocument { document_id: format!("single{number}"), ..again }]).await?;
            single.push(started.elapsed());
            index.delete_document("t", &format!("single{number}")).await?;
        }
        let bytes = index.stats().await?.bytes_on_disk;
        writeln!(
            stdout(),
            "{chunks} chunks: written {written:.1?}, maintained (graph included) {maintained:.1?}, one document of ten {}, {} bytes a chunk",
            times(single),
            bytes / chunks as u64
        )?;
        let all = Filter::tenant("t");
        let sources = |n: usize| Filter { sources: Some((0..n).map(|s| format!("s{s}")).collect()), ..all.clone() };
        let rare = Filter { documents: Some((0..chunks.div_ceil(10_000)).map(|d| format!("doc_{:026}", d * 7)).collect()), ..all.clone() };
        let mut random = Random(99);
        for (name, filter, share) in [
            ("everything", all.clone(), 100),
            ("a half", sources(500), 50),
            ("10 %", sources(100), 10),
            ("1 %", sources(10), 1),
            ("0.1 %", rare, 0),
        ] {
            let (mut dense, mut lexical, mut found, mut wanted) = (Vec::new(), Vec::new(), 0, 0);
            for query in 0..QUERIES {
                let centre = &centres[(random.next() % 200) as usize];
                let vector: Vec<f32> = centre.iter().map(|c| c + 0.6 * random.normal()).collect();
                let words = random.text(6);
                let started = Instant::now();
                let near = index.dense(&filter, &vector, K).await?;
                dense.push(started.elapsed());
                let middle = Instant::now();
                let _ = index.lexical(&filter, &analyse_query(&words, Some(Lang::En)).terms, K).await?;
                lexical.push(middle.elapsed());
                if query < 40 {
                    let exact = exactly(&vectors, &vector, share, chunks);
                    wanted += exact.len();
                    found += exact.iter().filter(|id| near.iter().take(10).any(|h| h.chunk_id == **id)).count();
                }
            }
            writeln!(
                stdout(),
                "  {name}: dense {}, lexical {}, recall@10 {:.3}",
                times(dense),
                times(lexical),
                found as f64 / f64::from(u32::try_from(wanted)?)
            )?;
        }
        index.clear().await?;
    }
    Ok(())
}

/// The ids of the ten nearest by the full vectors, among what the filter of that name allows.
fn exactly(vectors: &[Vec<f32>], query: &[f32], share: usize, chunks: usize) -> Vec<String> {
    let allowed = |chunk: usize| match (share, chunk / 10) {
        (0, document) => document % 7 == 0 && document / 7 < chunks.div_ceil(10_000),
        (share, document) => document % 1000 < share * 10,
    };
    let mut scored: Vec<(f32, usize)> = (0..vectors.len())
        .filter(|chunk| allowed(*chunk))
        .map(|chunk| (vectors[chunk].iter().zip(query).map(|(a, b)| a * b).sum::<f32>(), chunk))
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0));
    scored.into_iter().take(10).map(|(_, chunk)| chunk_id(chunk / 10, chunk % 10)).collect()
}

fn chunk_id(document: usize, chunk: usize) -> String {
    format!("chk_{document:013}{chunk:013}")
}

fn document(number: usize, random: &mut Random, centres: &[Vec<f32>], vectors: &mut Vec<Vec<f32>>) -> IndexDocument {
    let chunks = (0..10)
        .map(|chunk| {
            let centre = &centres[(random.next() % centres.len() as u64) as usize];
            let raw: Vec<f32> = centre.iter().map(|c| c + 0.6 * random.normal()).collect();
            let length = raw.iter().map(|x| x * x).sum::<f32>().sqrt();
            let vector: Vec<f32> = raw.iter().map(|x| x / length).collect();
            vectors.push(vector.clone());
            IndexChunk {
                chunk_id: chunk_id(number, chunk),
                lang: Lang::En,
                page: None,
                title: random.text(5),
                text: random.text(85),
                vector: Some(vector),
            }
        })
        .collect();
    IndexDocument {
        tenant: "t".to_owned(),
        source_id: format!("s{}", number % 1000),
        document_id: format!("doc_{number:026}"),
        version: 1,
        mime: "text/plain".to_owned(),
        tags: Vec::new(),
        readers: None,
        updated_at: 0,
        chunks,
    }
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
    fn text(&mut self, words: usize) -> String {
        let word = |n: u64| {
            let mut word = String::new();
            let mut rest = n + 17;
            while rest > 0 {
                word.push(char::from(b"bcdfghklmnprstvz"[(rest % 16) as usize]));
                word.push(char::from(b"aeiou"[(rest / 16 % 5) as usize]));
                rest /= 80;
            }
            word
        };
        (0..words).map(|_| word(50_000_f64.powf(self.unit()) as u64)).collect::<Vec<_>>().join(" ")
    }
}

fn times(mut times: Vec<Duration>) -> String {
    times.sort();
    format!("p50 {:.2?} p95 {:.2?}", times[times.len() / 2], times[times.len() * 95 / 100])
}
