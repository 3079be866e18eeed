//! Text embeddings in process: all-MiniLM-L6-v2, or any BERT sentence model of the same make, on the CPU.
//!
//! An [`Embedder`] holds the weights once, shares them between its own threads and gives unit vectors that equal those of
//! `sentence-transformers` (cosine ≥ 0.9999, checked against committed vectors). Why it is built so, with figures:
//! `docs/adr/0007-embedder.md`. Without a model there is no `Embedder`, and everything else works by words alone.

mod attention;
mod bert;
mod config;
mod dense;
mod manifest;
mod peak;
mod pool;
mod rows;
mod shelf;
mod team;
#[cfg(test)]
mod tests;
mod tiles;
mod tokenizer;
mod weights;

use std::{
    cell::RefCell,
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use self::{
    bert::{Bert, PASS_TOKENS, Scratch},
    config::Config,
    pool::{Colleagues, Pool, Worker},
    team::Team,
    tokenizer::Tokenizer,
    weights::Weights,
};
pub use self::{
    manifest::{MANIFEST_FILE, Manifest, ManifestEntry, ModelKind},
    peak::{Peak, peak},
    shelf::{NewModel, Verdict},
    tokenizer::Token,
};

/// The alias of a model that was loaded from a folder of its own, without a manifest.
pub const DEFAULT_ALIAS: &str = "all-MiniLM-L6-v2";
/// Texts that may wait in each of the two queues.
const QUEUE_CAPACITY: usize = 1_024;
/// From this many tokens on a single text is worth two threads.
const SHARED_TOKENS: usize = 24;
/// The token limit when `sentence_bert_config.json` does not say one.
const DEFAULT_MAX_TOKENS: usize = 256;

/// Who waits for the vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Priority {
    /// Somebody waits for an answer: goes before everything in bulk.
    Interactive,
    /// Documents being read in: takes the time that is left.
    Bulk,
}

/// How exactly the dense layers are computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32-bit floats: the vectors of `sentence-transformers`.
    #[default]
    F32,
    /// 8-bit weights and activations: faster where the processor has VNNI, and slightly other vectors, which have a version of their own.
    Int8,
}

/// Why there are no vectors. The texts are for people and name what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EmbedderError {
    /// A file that a model needs is not there.
    Missing(PathBuf),
    /// The disk refused.
    Unreadable(String),
    /// A file is cut short, damaged or contradicts another one.
    Corrupt(String),
    /// The weights are not the ones that the manifest names.
    WrongHash {
        /// The weights file.
        path: PathBuf,
        /// SHA-256 by the manifest.
        expected: String,
        /// SHA-256 of the file.
        found: String,
    },
    /// A model of another make than this code computes.
    Unsupported(String),
    /// The queue is full; try again when some of it is done.
    Overloaded {
        /// How many texts wait in that queue.
        waiting: usize,
    },
    /// Computing failed; other texts are not affected.
    Failed(String),
    /// The embedder ended before the texts were done.
    Stopped,
}

impl fmt::Display for EmbedderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(path) => write!(f, "the model has no file {}: run `make models`", path.display()),
            Self::Unreadable(what) => write!(f, "the model cannot be read: {what}"),
            Self::Corrupt(what) => write!(f, "the model is damaged: {what}; remove its folder and run `make models`"),
            Self::WrongHash { path, expected, found } => {
                write!(
                    f,
                    "the weights {} have SHA-256 {found}, the manifest says {expected}: remove the folder and run `make models`",
                    path.display()
                )
            }
            Self::Unsupported(what) => write!(f, "the model is of a kind that cannot be used: {what}"),
            Self::Overloaded { waiting } => write!(f, "the embedder is overloaded, {waiting} texts are waiting: try again shortly"),
            Self::Failed(what) => f.write_str(what),
            Self::Stopped => f.write_str("the embedder is shutting down"),
        }
    }
}

impl std::error::Error for EmbedderError {}

/// What a loaded model is, for status pages and for the index generation that its vectors belong to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelSpec {
    /// The name under which vector indexes refer to it, such as `all-MiniLM-L6-v2`.
    pub alias: String,
    /// The first 12 hex digits of the weights' SHA-256, and `-int8` when computed so. Vectors of different versions must never share an index.
    pub version: String,
    /// Length of every vector.
    pub dims: usize,
    /// Tokens that the model reads of a text, `[CLS]` and `[SEP]` included; the rest of a longer text is not seen.
    pub max_tokens: usize,
    /// The folder it was loaded from.
    pub dir: PathBuf,
}

#[derive(Deserialize)]
struct PoolingConfig {
    #[serde(default)]
    pooling_mode_mean_tokens: bool,
}

#[derive(Deserialize)]
struct SentenceConfig {
    max_seq_length: Option<usize>,
}

/// A model in memory with its threads. Hand it around in an `Arc`; dropping the last one ends the threads.
pub struct Embedder {
    spec: ModelSpec,
    tokenizer: Arc<Tokenizer>,
    pool: Pool,
}

impl fmt::Debug for Embedder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Embedder").field("spec", &self.spec).finish_non_exhaustive()
    }
}

impl Embedder {
    /// Loads the model in `dir` (`model.safetensors`, `tokenizer.json`, `config.json`; `sentence_bert_config.json` and
    /// `1_Pooling/config.json` when they are there) and starts `threads` workers (0 means one per core).
    ///
    /// Reads 91 MB and packs them, a few hundred milliseconds: call it off the async threads.
    ///
    /// # Errors
    /// [`EmbedderError`] `Missing`, `Unreadable`, `Corrupt` or `Unsupported`, naming the file.
    pub fn load(dir: &Path, threads: usize, precision: Precision) -> Result<Self, EmbedderError> {
        Self::open(dir, DEFAULT_ALIAS, None, threads, precision)
    }

    /// Loads the embedding model that `models_dir/manifest.json` names and checks the weights' SHA-256 against it; the hash
    /// is computed while the file is read. `None` when there is no manifest or no embedding model in it.
    ///
    /// # Errors
    /// As [`load`](Self::load), and [`EmbedderError::WrongHash`] when the weights are not the ones that the manifest names.
    pub fn load_from_models_dir(models_dir: &Path, threads: usize, precision: Precision) -> Result<Option<Self>, EmbedderError> {
        let Some(manifest) = Manifest::read(models_dir)? else { return Ok(None) };
        let Some(entry) = manifest.embedding_model() else { return Ok(None) };
        Self::open(&models_dir.join(&entry.path), &entry.alias, Some(&entry.sha256), threads, precision).map(Some)
    }

    fn open(dir: &Path, alias: &str, expected_sha256: Option<&str>, threads: usize, precision: Precision) -> Result<Self, EmbedderError> {
        // The small files first: what is wrong with them is known before 91 MB are read.
        let config: Config = json(&dir.join("config.json"))?;
        config.check()?;
        if let Some(pooling) = optional(json::<PoolingConfig>(&dir.join("1_Pooling").join("config.json")))?
            && !pooling.pooling_mode_mean_tokens
        {
            return Err(EmbedderError::Unsupported("1_Pooling/config.json: only mean pooling can be used".to_owned()));
        }
        let sentence = optional(json::<SentenceConfig>(&dir.join("sentence_bert_config.json")))?;
        let max_tokens =
            sentence.and_then(|config| config.max_seq_length).unwrap_or(DEFAULT_MAX_TOKENS).clamp(2, config.max_position_embeddings.max(2));
        let tokenizer = Arc::new(Tokenizer::from_json(&read(&dir.join("tokenizer.json"))?)?);
        if tokenizer.vocabulary_size() > config.vocab_size {
            return Err(EmbedderError::Corrupt(format!(
                "tokenizer.json has {} tokens, config.json {}",
                tokenizer.vocabulary_size(),
                config.vocab_size
            )));
        }

        let path = dir.join("model.safetensors");
        let mut weights = Weights::read(&path)?;
        if let Some(expected) = expected_sha256
            && !expected.eq_ignore_ascii_case(&weights.sha256)
        {
            return Err(EmbedderError::WrongHash { path, expected: expected.to_owned(), found: weights.sha256 });
        }
        let spec = ModelSpec {
            alias: alias.to_owned(),
            version: match precision {
                Precision::F32 => weights.sha256[..12].to_owned(),
                Precision::Int8 => format!("{}-int8", &weights.sha256[..12]),
            },
            dims: config.hidden_size,
            max_tokens,
            dir: dir.to_path_buf(),
        };
        let bert = Arc::new(Bert::new(config, &mut weights, precision)?);
        drop(weights);

        let threads = if threads == 0 { std::thread::available_parallelism().map_or(1, usize::from) } else { threads };
        let shared_tokenizer = Arc::clone(&tokenizer);
        let pool = Pool::start(threads, QUEUE_CAPACITY, move || {
            Box::new(Texts { bert: Arc::clone(&bert), tokenizer: Arc::clone(&shared_tokenizer), max_tokens, scratch: Scratch::default() })
        })?;
        tracing::info!(model = spec.alias, version = spec.version, dims = spec.dims, threads, "embedding model loaded");
        Ok(Self { spec, tokenizer, pool })
    }

    /// What this model is.
    pub fn spec(&self) -> &ModelSpec {
        &self.spec
    }

    /// Length of every vector: 384 for all-MiniLM-L6-v2.
    pub fn dims(&self) -> usize {
        self.spec.dims
    }

    /// The name under which vector indexes refer to the model.
    pub fn alias(&self) -> &str {
        &self.spec.alias
    }

    /// The first 12 hex digits of the weights' SHA-256.
    pub fn version(&self) -> &str {
        &self.spec.version
    }

    /// How many texts wait to be computed.
    pub fn waiting(&self) -> usize {
        self.pool.waiting()
    }

    /// How many threads compute.
    pub fn threads(&self) -> usize {
        self.pool.threads()
    }

    /// The tokens of a text, each with the range of characters that it covers; neither `[CLS]` and `[SEP]` nor a limit.
    pub fn tokens(&self, text: &str) -> Vec<Token> {
        self.tokenizer.tokens(text)
    }

    /// How many tokens a text has for the model, `[CLS]` and `[SEP]` included; beyond `max_tokens` the model sees nothing.
    pub fn count_tokens(&self, text: &str) -> usize {
        self.tokenizer.tokens(text).len() + 2
    }

    /// One unit vector per text, in order; blocks the thread meanwhile. For commands; tasks use [`embed`](Self::embed).
    ///
    /// # Errors
    /// As [`embed`](Self::embed).
    pub fn embed_blocking(&self, texts: &[&str], priority: Priority) -> Result<Vec<Vec<f32>>, EmbedderError> {
        self.pool.run_blocking(texts.iter().map(|text| (*text).to_owned()).collect(), priority)
    }

    /// One unit vector of [`dims`](Self::dims) numbers per text, in order. Any text has one, the empty text too. Dropping the
    /// future gives up the texts that are not yet begun.
    ///
    /// # Errors
    /// [`EmbedderError::Overloaded`] at once when the queue of this priority has no room (the batch is then not begun),
    /// [`EmbedderError::Failed`] when a text could not be computed, [`EmbedderError::Stopped`] at shutdown.
    pub async fn embed(&self, texts: Vec<String>, priority: Priority) -> Result<Vec<Vec<f32>>, EmbedderError> {
        self.pool.run(texts, priority).await
    }
}

/// A worker's own: turns texts into vectors, as many in one pass as [`PASS_TOKENS`] allows.
struct Texts {
    bert: Arc<Bert>,
    tokenizer: Arc<Tokenizer>,
    max_tokens: usize,
    scratch: Scratch,
}

thread_local! {
    /// The buffers of a thread that helps another one.
    static HELPER: RefCell<Scratch> = RefCell::default();
}

impl Texts {
    /// The text's vector with the help of a thread that has nothing to do; `None` when there is none, or when it failed.
    fn together(&mut self, ids: &[u32], colleagues: &mut dyn Colleagues) -> Option<Vec<f32>> {
        let team = Arc::new(Team::default());
        let recruited = colleagues.recruit(&mut || {
            let (bert, team, ids) = (Arc::clone(&self.bert), Arc::clone(&team), ids.to_vec());
            Box::new(move || drop(HELPER.with_borrow_mut(|scratch| bert.embed_as_member(&ids, 1, &team, scratch))))
        });
        if recruited { self.bert.embed_as_member(ids, 0, &team, &mut self.scratch) } else { None }
    }
}

impl Worker for Texts {
    fn work(&mut self, texts: &[&str], colleagues: &mut dyn Colleagues) -> Vec<Vec<f32>> {
        let mut vectors = Vec::with_capacity(texts.len());
        let mut pass: Vec<Vec<u32>> = Vec::new();
        let mut tokens = 0;
        for text in texts {
            let ids = self.tokenizer.ids(text, self.max_tokens);
            if tokens + ids.len() > PASS_TOKENS && !pass.is_empty() {
                vectors.append(&mut self.bert.embed(&pass, &mut self.scratch, &mut || colleagues.pause()));
                pass.clear();
                tokens = 0;
            }
            tokens += ids.len();
            pass.push(ids);
        }
        if let ([ids], true) = (pass.as_slice(), vectors.is_empty() && tokens >= SHARED_TOKENS) {
            vectors.extend(self.together(ids, colleagues));
            if !vectors.is_empty() {
                return vectors;
            }
        }
        if !pass.is_empty() {
            vectors.append(&mut self.bert.embed(&pass, &mut self.scratch, &mut || colleagues.pause()));
        }
        vectors
    }
}

fn read(path: &Path) -> Result<Vec<u8>, EmbedderError> {
    std::fs::read(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => EmbedderError::Missing(path.to_path_buf()),
        _ => EmbedderError::Unreadable(format!("{}: {error}", path.display())),
    })
}

fn json<T: for<'a> Deserialize<'a>>(path: &Path) -> Result<T, EmbedderError> {
    serde_json::from_slice(&read(path)?).map_err(|error| EmbedderError::Corrupt(format!("{}: {error}", path.display())))
}

fn optional<T>(read: Result<T, EmbedderError>) -> Result<Option<T>, EmbedderError> {
    match read {
        Err(EmbedderError::Missing(_)) => Ok(None),
        other => other.map(Some),
    }
}
