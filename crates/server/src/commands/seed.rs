//! `astrolabe seed`.

use std::path::PathBuf;

use astrolabe_kernel::{Error, Result, error::code};
use clap::Args;

use super::ingest;
use crate::cli::{Context, Done, Remote};

/// Fill the data directory with demonstration data.
#[derive(Debug, Args)]
#[command(after_help = "Every folder in --examples with documents becomes a source of its name. Seeding twice changes nothing.

Example:
  astrolabe seed --examples examples --data-dir demo")]
pub struct Seed {
    /// The folder with demonstration documents, one folder a source.
    #[arg(long, value_name = "DIR", default_value = "examples")]
    examples: PathBuf,
    #[command(flatten)]
    remote: Remote,
}

/// Ingests every folder of the examples as a source.
///
/// # Errors
/// As [`ingest::run`]; `invalid_request` when the folder has no folders with documents.
pub async fn run(context: &Context, args: &Seed) -> Result<Done> {
    let missing = |e: std::io::Error| {
        Error::new(code::INVALID_REQUEST, format!("--examples: {} cannot be read: {}", args.examples.display(), e.kind()))
    };
    let mut jobs = Vec::new();
    let mut folders: Vec<PathBuf> =
        std::fs::read_dir(&args.examples).map_err(missing)?.filter_map(|e| Some(e.ok()?.path())).filter(|p| p.is_dir()).collect();
    folders.sort();
    for folder in folders {
        let Some(name) = folder.file_name().and_then(|n| n.to_str()).map(str::to_owned) else { continue };
        let files = ingest::walk(std::slice::from_ref(&folder));
        if !files.found.is_empty() {
            jobs.push((name, files));
        }
    }
    if jobs.is_empty() {
        return Err(Error::new(code::INVALID_REQUEST, format!("--examples: {} has no folders with documents", args.examples.display())));
    }
    ingest::ingest(context, &args.remote, jobs, &[]).await
}
