//! `astrolabe extract`: the child process that reads documents. Documents are hostile, so it bounds itself before it reads a byte
//! ([`sandbox`]). Its parent gave it no environment, and the document comes through standard input: it needs no file at all.

mod sandbox;

use std::io::{Read, Write};

use astrolabe_kernel::{Error, Result};
use astrolabe_knowledge::ingest::extractor;
use clap::Args;

use crate::cli::Done;

/// What is read at most; the parent's own limit is lower.
const INPUT: u64 = 512 << 20;

/// Read a document from standard input, write what is in it to standard output.
#[derive(Debug, Args)]
pub struct Extract {
    /// The document's name; its ending helps to tell what it is.
    #[arg(long, default_value = "")]
    name: String,
    /// Read nothing; say which limits and protections are in force.
    #[arg(long)]
    check: bool,
}

/// Reads the document.
///
/// # Errors
/// When a limit cannot be set, before anything is read; when the streams break off. What is wrong with the document is part of the answer.
pub fn run(args: &Extract) -> Result<Done> {
    let (mut out, landlock) = sandbox::enter()?;
    let text = if args.check {
        serde_json::to_vec(&sandbox::check(landlock))
    } else {
        let mut bytes = Vec::new();
        std::io::stdin().lock().take(INPUT).read_to_end(&mut bytes)?;
        serde_json::to_vec(&extractor::reply(&bytes, &args.name))
    };
    out.write_all(&text.map_err(Error::internal)?)?;
    out.flush()?;
    Ok(Done::All)
}
