//! `astrolabe extract`: the child process that reads documents. Documents are hostile, so it bounds itself before it reads a byte:
//! little memory, little time, no files, no core. Its parent gave it no environment.

use std::io::{Read, Write};

use astrolabe_kernel::{Error, Result};
use astrolabe_knowledge::ingest::extractor;
use clap::Args;

use crate::cli::Done;

/// Address space of the child.
const MEMORY: u64 = 1 << 30;
/// Seconds of processor time.
const CPU: u64 = 30;
/// Open files: the three standard streams and a few for the runtime.
const FILES: u64 = 8;
/// What is read at most; the parent's own limit is lower.
const INPUT: u64 = 512 << 20;

/// Read a document from standard input, write what is in it to standard output.
#[derive(Debug, Args)]
pub struct Extract {
    /// The document's name; its ending helps to tell what it is.
    #[arg(long, default_value = "")]
    name: String,
}

/// Reads the document.
///
/// # Errors
/// When the streams break off; what is wrong with the document is part of the answer.
pub fn run(args: &Extract) -> Result<Done> {
    limit();
    let mut bytes = Vec::new();
    std::io::stdin().lock().take(INPUT).read_to_end(&mut bytes)?;
    let reply = extractor::reply(&bytes, &args.name);
    let text = serde_json::to_vec(&reply).map_err(Error::internal)?;
    let mut out = std::io::stdout().lock();
    out.write_all(&text)?;
    out.flush()?;
    Ok(Done::All)
}

#[cfg(unix)]
fn limit() {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let limits = [(Resource::As, MEMORY), (Resource::Cpu, CPU), (Resource::Core, 0), (Resource::Nofile, FILES), (Resource::Fsize, 0)];
    for (resource, value) in limits {
        // A limit that the system does not know, or that is lower already, is left as it is.
        let _ = setrlimit(resource, Rlimit { current: Some(value), maximum: Some(value) });
    }
}

#[cfg(not(unix))]
fn limit() {}
