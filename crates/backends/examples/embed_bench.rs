//! Measures the embedder: `cargo run --release -p astrolabe-backends --example embed_bench -- MODEL_DIR [THREADS]`.
//!
//! Prints load time, memory, the time for one chunk-sized text and for a short question, texts per second over all threads, and
//! processor time per text, which is the steadier figure on a busy machine. `docs/adr/0007-embedder.md` has it beside a peer.

use std::{
    error::Error,
    io::{Write as _, stdout},
    path::Path,
    time::Instant,
};

use astrolabe_backends::embedder::{Embedder, EmbedderError, Priority};

/// Chunk-sized texts: 500 characters, about 110 tokens, made of the fixture's English sentences.
fn texts() -> Vec<String> {
    let fixture = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/embeddings/texts.jsonl"));
    let lines = fixture.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let sentences: Vec<String> = lines.filter_map(|line| line["text"].as_str().map(str::to_owned)).take(30).collect();
    let joined = |first: usize| (0..8).map(|next| sentences[(first + next * 7) % 30].as_str()).collect::<Vec<_>>().join(" ");
    (0..96).map(|first| joined(first).chars().take(500).collect()).collect()
}

/// Kilobytes of a line of `/proc/self/status` as megabytes; 0 where there is no such file.
fn memory(key: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let value = status.lines().find_map(|line| line.strip_prefix(key)?.split_whitespace().nth(1)?.parse::<f64>().ok());
    value.unwrap_or_default() / 1024.0
}

/// Processor time of this process in milliseconds; the clock ticks 100 times a second on every Linux.
fn processor_ms() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    stat.split_whitespace().skip(13).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() * 10.0
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut out = stdout().lock();
    let mut arguments = std::env::args().skip(1);
    let dir = arguments.next().unwrap_or_default();
    let threads = arguments.next().and_then(|threads| threads.parse().ok()).unwrap_or(0);
    let start = Instant::now();
    let embedder = Embedder::load(Path::new(&dir), threads)?;
    writeln!(
        out,
        "{} loaded in {:.0} ms, {:.0} MB, {} threads",
        embedder.alias(),
        start.elapsed().as_secs_f64() * 1e3,
        memory("VmRSS"),
        embedder.threads()
    )?;
    let texts = texts();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let timed = |texts: &[&str], priority| -> Result<f64, EmbedderError> {
        let start = Instant::now();
        embedder.embed_blocking(texts, priority)?;
        Ok(start.elapsed().as_secs_f64() * 1e3)
    };
    for _ in 0..3 {
        let mut single = texts.iter().map(|text| timed(&[text], Priority::Interactive)).collect::<Result<Vec<_>, _>>()?;
        single.sort_by(f64::total_cmp);
        let mut question = (0..40).map(|_| timed(&["how do I restore a backup?"], Priority::Interactive)).collect::<Result<Vec<_>, _>>()?;
        question.sort_by(f64::total_cmp);
        let before = processor_ms();
        let all = timed(&texts, Priority::Bulk)?;
        writeln!(
            out,
            "one text p50 {:.1} ms, question p50 {:.1} ms, {:.1} texts/s, {:.1} ms of processor per text",
            single[48],
            question[20],
            96e3 / all,
            (processor_ms() - before) / 96.0
        )?;
    }
    writeln!(out, "{:.0} MB, peak {:.0} MB", memory("VmRSS"), memory("VmHWM"))?;
    Ok(())
}
