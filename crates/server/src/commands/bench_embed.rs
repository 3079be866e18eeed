//! `astrolabe bench-embed`: the embedder of this very binary under `bench/embed`, which measures its peers in the same run.
//!
//! Reads one word a line from standard input and answers each with a line of JSON: `batch` embeds all texts, `single` the first 48 one
//! after another, `vectors` gives the vectors, `memory` the megabytes, `peak` what the processor can do.

use std::{
    io::{BufRead, Write},
    path::PathBuf,
    time::Instant,
};

use astrolabe_backends::embedder::{Embedder, Precision, Priority, peak};
use astrolabe_kernel::{Error, Result};
use clap::Args;
use serde_json::{Value, json};

use crate::cli::Done;

/// Texts embedded one after another for the latency.
const SINGLE: usize = 48;

/// Measure the embedding model.
#[derive(Debug, Args)]
pub struct BenchEmbed {
    /// The model's folder.
    #[arg(long)]
    model: PathBuf,
    /// A file with one JSON string a line.
    #[arg(long)]
    texts: PathBuf,
    /// Threads; 0 means one per core.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// In 8 bits instead of 32.
    #[arg(long)]
    int8: bool,
}

/// Answers until standard input ends.
///
/// # Errors
/// When the model or the texts cannot be read.
pub fn run(args: &BenchEmbed) -> Result<Done> {
    let precision = if args.int8 { Precision::Int8 } else { Precision::F32 };
    let start = Instant::now();
    let embedder = Embedder::load(&args.model, args.threads, precision).map_err(Error::internal)?;
    let loaded = start.elapsed().as_secs_f64();
    let texts = std::fs::read_to_string(&args.texts)?;
    let texts: Vec<String> = texts.lines().map(serde_json::from_str).collect::<Result<_, _>>().map_err(Error::internal)?;
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let mut out = std::io::stdout().lock();
    let tokens: Vec<usize> = texts.iter().map(|text| embedder.count_tokens(text).min(embedder.spec().max_tokens)).collect();
    writeln!(out, "{}", json!({ "loaded_s": loaded, "version": embedder.version(), "tokens": tokens }))?;
    for line in std::io::stdin().lock().lines() {
        let embed = |texts: &[&str], priority| -> Result<(f64, Vec<Vec<f32>>)> {
            let start = Instant::now();
            let vectors = embedder.embed_blocking(texts, priority).map_err(Error::internal)?;
            Ok((start.elapsed().as_secs_f64(), vectors))
        };
        let answer: Value = match line?.trim() {
            "batch" => json!({ "seconds": embed(&texts, Priority::Bulk)?.0 }),
            "single" => {
                let seconds = texts.iter().take(SINGLE).map(|text| Ok(embed(&[text], Priority::Interactive)?.0));
                json!({ "seconds": seconds.collect::<Result<Vec<_>>>()? })
            }
            "vectors" => json!({ "vectors": embed(&texts, Priority::Bulk)?.1 }),
            "memory" => json!({ "mb": memory("VmRSS"), "peak_mb": memory("VmHWM") }),
            "peak" => {
                let peak = peak();
                json!({ "registers": peak.registers, "layer": peak.layer, "tile8": peak.tile8, "layer8": peak.layer8 })
            }
            other => return Err(Error::internal(format!("bench-embed does not know {other}"))),
        };
        writeln!(out, "{answer}")?;
        out.flush()?;
    }
    Ok(Done::All)
}

/// Megabytes of a line of `/proc/self/status`; 0 where there is no such file.
fn memory(key: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kilobytes = status.lines().find_map(|line| line.strip_prefix(key)?.split_whitespace().nth(1)?.parse::<f64>().ok());
    kilobytes.unwrap_or_default() / 1024.0
}
