//! Calibrates extractive answers and reports what they reach.
//!
//! ```text
//! cargo run --profile quick -p astrolabe-knowledge --example calibrate -- \
//!     [--train [--rank]] [--models DIR] [--every N] [--together] [--wrong] COLLECTION…
//! ```
//!
//! A collection is `LANG:FOLDER[:QUESTIONS]` with marks in front. A folder with `corpus.jsonl`, `queries.jsonl` and `qrels.tsv` is a retrieval collection
//! (BEIR layout; `answers` in the queries are gold strings). Any other folder holds documents, asked by QUESTIONS (else `questions.jsonl` in it) in the
//! form of `examples/questions/*.jsonl`. `-` in front keeps a collection out of all training: it is only reported.
//!
//! Training finds the trees over the shipped ranking weights, with `--rank` these too. It is cross-validated: collections of documents are dealt into three folds, retrieval collections are halved by document; each report is of
//! a model that has not seen those questions (`--train`), or of the shipped model (without). `--together` puts all collections of documents into one
//! index, as on a server that holds several things. `--models DIR` embeds, as the server does with that model folder. Everything is deterministic.

mod boost;
mod collection;
mod report;
mod train;
mod world;

use std::error::Error;

use astrolabe_backends::embedder::{Embedder, Precision};

use world::Meaning;

type Failure = Box<dyn Error>;

/// What to do, from the command line.
#[derive(Default)]
struct Options {
    train: bool,
    /// Find new ranking weights too.
    rank: bool,
    together: bool,
    /// Print each wrong answer of the collections of documents, and what it was made from.
    wrong: bool,
    /// Take every n-th question of the retrieval collections.
    every: usize,
    models: Option<String>,
    collections: Vec<String>,
}

fn options() -> Result<Options, Failure> {
    let mut options = Options { every: 1, ..Options::default() };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--train" => options.train = true,
            "--rank" => options.rank = true,
            "--together" => options.together = true,
            "--wrong" => options.wrong = true,
            "--every" => options.every = arguments.next().ok_or("--every needs a number")?.parse()?,
            "--models" => options.models = Some(arguments.next().ok_or("--models needs a folder")?),
            _ => options.collections.push(argument),
        }
    }
    Ok(options)
}

fn main() -> Result<(), Failure> {
    let options = options()?;
    let embedder = match &options.models {
        Some(folder) => {
            Some(Embedder::load_from_models_dir(folder.as_ref(), 1, Precision::default())?.ok_or("the folder holds no embedding model")?)
        }
        None => None,
    };
    let meaning = embedder.as_ref().map(Meaning::new);
    let collections = collection::load(&options.collections, options.together, options.every, meaning.as_ref())?;
    let out = &mut std::io::stdout().lock();
    if options.train {
        train::cross_validate(out, &collections, meaning.as_ref(), options.rank, options.wrong)
    } else {
        report::shipped(out, &collections, meaning.as_ref(), options.wrong)
    }
}
