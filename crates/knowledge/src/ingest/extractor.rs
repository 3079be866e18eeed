//! Extraction in a child process: a document is hostile, so what reads it has no environment, little memory and little time.
//!
//! The child is this same program, started as `astrolabe extract`: it gets the bytes on standard input, sets its own limits before it
//! reads them, and writes one JSON object to standard output ([`Reply`]).

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use astrolabe_kernel::{
    Error, Result,
    error::{Code, code},
};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::extract::{self, ExtractError, Heading};

/// How long a child may take before it is killed.
const TIME_LIMIT: Duration = Duration::from_secs(60);
/// What a child may write, in bytes: the largest text and its headings as JSON.
const OUTPUT_LIMIT: u64 = 256 << 20;

/// Where extraction runs.
#[derive(Clone, Debug)]
pub enum Extractor {
    /// In a child process of this program.
    Child(PathBuf),
    /// In this process, for tests of what comes after.
    InProcess,
}

/// What was read from a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Text {
    /// What the content was read as.
    pub mime: String,
    /// Title from the content.
    pub title: Option<String>,
    /// Language that the content declares.
    pub lang: Option<String>,
    /// Tags from front matter.
    pub tags: Vec<String>,
    /// Clean text.
    pub text: String,
    /// Headings in reading order.
    pub headings: Vec<Heading>,
    /// Where each page begins, in characters; empty for what has no pages.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pages: Vec<usize>,
    /// What a person should know about the reading.
    pub warnings: Vec<String>,
}

/// What the child answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// The document was read.
    Text(Text),
    /// It cannot be read.
    Refused {
        /// The code of [`ExtractError::code`].
        code: String,
        /// For people.
        message: String,
    },
}

/// Reads a document in this process: what the child does after it has limited itself.
pub fn reply(bytes: &[u8], name: &str) -> Reply {
    // A reader of others that panics has met a document it was not made for; the process would end, and nobody would know why.
    let read = std::panic::catch_unwind(|| extract::extract(bytes, name, None));
    match read.unwrap_or_else(|_| Err(ExtractError::Damaged { what: "document", detail: "its reader gave up on it".to_owned() })) {
        Ok(e) => Reply::Text(Text {
            mime: e.mime.to_owned(),
            title: e.title,
            lang: e.lang,
            tags: e.tags,
            text: e.text,
            headings: e.headings,
            pages: e.pages,
            warnings: e.warnings,
        }),
        Err(error) => Reply::Refused { code: error.code().to_owned(), message: error.to_string() },
    }
}

/// What holds a child back, as it found when it tried.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sandbox {
    /// Limits and protections in force, for people.
    pub in_force: Vec<String>,
    /// Those that are not, and why.
    pub missing: Vec<String>,
}

impl Extractor {
    /// What is in force in the child; `None` when documents are read in this process.
    ///
    /// # Errors
    /// `internal` when the child cannot be started or cannot limit itself.
    pub async fn sandbox(&self) -> Result<Option<Sandbox>> {
        let Self::Child(program) = self else { return Ok(None) };
        let output = child(program, "--check".to_owned(), Vec::new()).await?;
        serde_json::from_slice(&output).map(Some).map_err(|e| Error::internal(format_args!("extraction process answered {e}")))
    }

    /// Reads a document.
    ///
    /// # Errors
    /// `unsupported_media_type`, `document_unreadable`, `document_empty` or `too_large` by what the document is;
    /// `extraction_failed` when the child died or was killed for using too much; `internal` when none could be started.
    pub async fn extract(&self, bytes: Vec<u8>, name: &str) -> Result<Text> {
        let reply = match self {
            Self::InProcess => {
                let name = name.to_owned();
                tokio::task::spawn_blocking(move || reply(&bytes, &name)).await.map_err(Error::internal)?
            }
            Self::Child(program) => {
                // In one word: a name may start with a dash.
                let output = child(program, format!("--name={name}"), bytes).await?;
                serde_json::from_slice(&output).map_err(|e| Error::internal(format_args!("extraction process answered {e}")))?
            }
        };
        match reply {
            Reply::Text(text) => Ok(text),
            Reply::Refused { code, message } => Err(Error::new(code_of(&code), message)),
        }
    }
}

fn code_of(name: &str) -> &'static Code {
    match name {
        "unsupported_kind" => code::UNSUPPORTED_MEDIA_TYPE,
        "undecodable_text" | "encrypted_document" | "damaged_document" => code::DOCUMENT_UNREADABLE,
        "empty_document" => code::DOCUMENT_EMPTY,
        "document_too_large" => code::TOO_LARGE,
        // Of a newer program beside this one: what it says stands, what kind it is does not.
        _ => code::EXTRACTION_FAILED,
    }
}

/// Runs a child with one argument on `bytes` and returns what it wrote.
async fn child(program: &Path, argument: String, bytes: Vec<u8>) -> Result<Vec<u8>> {
    let mut child = tokio::process::Command::new(program)
        .arg("extract")
        .arg(argument)
        .env_clear()
        // It may not look at files, nor keep a folder from being unmounted.
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|e| Error::internal(format_args!("the extraction process could not be started: {e}")))?;
    let (Some(mut stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(Error::internal("the extraction process has no pipes"));
    };
    let feed = async {
        // A child that ends early closes the pipe; why it ended is what counts.
        let _ = stdin.write_all(&bytes).await;
        drop(stdin);
    };
    let work = async {
        let mut output = Vec::new();
        let read = async {
            stdout.take(OUTPUT_LIMIT + 1).read_to_end(&mut output).await?;
            // Nobody reads the rest: a child that still writes, or reads, ends by it.
            Ok::<_, std::io::Error>(())
        };
        let (_, read) = tokio::join!(feed, read);
        read?;
        if u64::try_from(output.len()).unwrap_or(u64::MAX) > OUTPUT_LIMIT {
            child.kill().await?;
            return Ok(Err("the text of the document is larger than 256 MiB; split it into smaller files"));
        }
        let status = child.wait().await?;
        Ok::<_, std::io::Error>(if status.success() { Ok(output) } else { Err(why(status)) })
    };
    match tokio::time::timeout(TIME_LIMIT, work).await {
        Err(_) => Err(Error::new(code::EXTRACTION_FAILED, "reading the document took longer than 60 seconds")),
        Ok(Err(error)) => Err(Error::internal(format_args!("extraction process: {error}"))),
        Ok(Ok(Err(message))) => Err(Error::new(code::EXTRACTION_FAILED, message)),
        Ok(Ok(Ok(output))) => Ok(output),
    }
}

/// Why a child ended without an answer: the kernel's signal tells which limit it reached.
#[cfg(unix)]
fn why(status: std::process::ExitStatus) -> &'static str {
    use std::os::unix::process::ExitStatusExt;
    match status.signal() {
        // SIGXCPU of Linux; SIGKILL is what follows a second later.
        Some(24) => "the document needs more than 30 seconds of processor time to read",
        Some(9) => "reading the document was ended by the system: it needed more memory or time than there was",
        // An allocation that fails aborts.
        Some(6) => "the document needs more than 1 GiB of memory to read",
        Some(11 | 7) => "the document is nested too deeply to read",
        _ => "the document could not be read: its reader failed",
    }
}

#[cfg(not(unix))]
fn why(_: std::process::ExitStatus) -> &'static str {
    "the document could not be read: its reader failed"
}
