//! `astrolabe models list|add|verify|warm|rollback`.

use std::{path::PathBuf, time::Instant};

use astrolabe_backends::embedder::{Embedder, EmbedderError, Manifest, ManifestEntry, ModelKind, NewModel, Precision};
use astrolabe_kernel::{Error, Result, error::code};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use crate::cli::{Context, Done};

/// Look after the models that run in this process.
#[derive(Debug, Args)]
#[command(
    after_help = "Models lie in the folder that models.dir names. A server takes another one at its next start, and makes the vectors of its documents anew.

Examples:
  astrolabe models list
  astrolabe models add ./bge-small --name bge-small --sha256 3c9f…   copies, checks, puts in force
  astrolabe models verify                                            reads every byte
  astrolabe models rollback bge-small                                the version before is in force again"
)]
pub struct Models {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Show what is there and what is in force.
    List,
    /// Copy a model into the folder and put it in force; the version before stays.
    Add {
        /// A folder with model.safetensors, tokenizer.json and config.json, or with one .gguf file.
        folder: PathBuf,
        /// The model's name; the folder's when absent.
        #[arg(long)]
        name: Option<String>,
        /// What it is for.
        #[arg(long = "type", value_enum, default_value = "embed")]
        kind: Kind,
        /// The name under which it is asked for; its own when absent.
        #[arg(long)]
        alias: Option<String>,
        /// What the SHA-256 of the weights has to be; others are refused.
        #[arg(long, value_name = "HEX")]
        sha256: Option<String>,
    },
    /// Compare the hash of every model with the manifest.
    Verify,
    /// Load the embedding model as a server does and embed a sentence.
    Warm,
    /// Put the version before in force.
    Rollback {
        /// The model's name.
        name: String,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    /// Turns texts into vectors.
    Embed,
    /// Writes texts.
    Llm,
}

/// Looks after the models.
///
/// # Errors
/// `model_invalid` with what is wrong.
pub fn run(context: &Context, args: &Models) -> Result<Done> {
    let config = context.config(Vec::new())?;
    let dir = &config.models.dir;
    let output = context.output;
    match &args.what {
        What::List => {
            let manifest = Manifest::read(dir).map_err(invalid)?.unwrap_or(Manifest { models: Vec::new() });
            if manifest.models.is_empty() {
                output.line(format!("there are no models in {}: run `make models`, or `astrolabe models add`", dir.display()));
            }
            for entry in &manifest.models {
                output.line(line(entry, manifest.is_in_force(entry), ""));
            }
            output.document(&manifest.models.iter().map(|m| document(m, manifest.is_in_force(m), None)).collect::<Vec<_>>())?;
        }
        What::Add { folder, name, kind, alias, sha256 } => {
            let of_folder = || folder.canonicalize().ok().and_then(|f| f.file_name().map(|n| n.to_string_lossy().into_owned()));
            let name = name.clone().or_else(of_folder).ok_or_else(|| Error::field("--name", "give the model a name"))?;
            let kind = match kind {
                Kind::Embed => ModelKind::Embed,
                Kind::Llm => ModelKind::Llm,
            };
            let entry =
                Manifest::add(dir, folder, &NewModel { name, kind, alias: alias.clone(), sha256: sha256.clone() }).map_err(invalid)?;
            output.line(line(&entry, true, ""));
            output.document(&document(&entry, true, None))?;
        }
        What::Verify => {
            let verdicts = Manifest::verify(dir).map_err(invalid)?;
            for v in &verdicts {
                output.line(line(&v.entry, v.in_force, v.fault.as_deref().unwrap_or("right")));
            }
            output.document(&verdicts.iter().map(|v| document(&v.entry, v.in_force, v.fault.as_deref())).collect::<Vec<_>>())?;
            if verdicts.iter().any(|v| v.fault.is_some()) {
                return Ok(Done::Part);
            }
        }
        What::Warm => {
            let started = Instant::now();
            let embedder = Embedder::load_from_models_dir(dir, 0, Precision::default()).map_err(invalid)?;
            let embedder = embedder.ok_or_else(|| Error::new(code::MODEL_INVALID, "there is no embedding model: run `make models`"))?;
            let loaded = started.elapsed();
            let vectors = embedder
                .embed_blocking(&["Where are the office keys?"], astrolabe_backends::embedder::Priority::Interactive)
                .map_err(invalid)?;
            let (alias, version, dims) = (embedder.alias(), embedder.version(), vectors.first().map_or(0, Vec::len));
            let (load_ms, first_ms) = (loaded.as_millis() as u64, (started.elapsed() - loaded).as_millis() as u64);
            output.line(format!("{alias} {version}: loaded in {load_ms} ms, a sentence in {first_ms} ms, {dims} numbers"));
            output.document(&json!({"alias": alias, "version": version, "dims": dims, "load_ms": load_ms, "first_ms": first_ms}))?;
        }
        What::Rollback { name } => {
            let entry = Manifest::roll_back(dir, name).map_err(invalid)?;
            output.line(line(&entry, true, ""));
            output.document(&document(&entry, true, None))?;
        }
    }
    Ok(Done::All)
}

fn invalid(error: EmbedderError) -> Error {
    Error::new(code::MODEL_INVALID, error.to_string())
}

fn kind(entry: &ManifestEntry) -> &'static str {
    match entry.kind {
        ModelKind::Embed => "embed",
        ModelKind::Llm => "llm",
    }
}

fn line(entry: &ManifestEntry, in_force: bool, note: &str) -> String {
    let mark = if in_force { "*" } else { " " };
    format!("{mark} {:24} {} {:5} {:>6} MB  as {}  {note}", entry.name, entry.version, kind(entry), entry.size / 1_000_000, entry.alias)
        .trim_end()
        .to_owned()
}

fn document(entry: &ManifestEntry, in_force: bool, fault: Option<&str>) -> Value {
    json!({"name": entry.name, "version": entry.version, "type": kind(entry), "size": entry.size, "sha256": entry.sha256, "path": entry.path,
           "alias": entry.alias, "in_force": in_force, "fault": fault})
}
