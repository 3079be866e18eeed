//! Extraction in a child process: a document is hostile, so what reads it has no environment, little memory and little time.
//!
//! The child is this same program, started as `astrolabe extract`: it gets the bytes on standard input, sets its own limits before it
//! reads them, and writes one JSON object to standard output ([`Reply`]).

use std::{path::PathBuf, process::Stdio, time::Duration};

use astrolabe_kernel::{
    Error, Result,
    error::{Code, code},
};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::extract::{self, Heading};

/// How long a child may take before it is killed.
const TIME_LIMIT: Duration = Duration::from_secs(60);
/// What a child may write: the largest text and its headings as JSON.
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
    match extract::extract(bytes, name, None) {
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

impl Extractor {
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
            Self::Child(program) => child(program, bytes, name).await?,
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
        _ => code::EXTRACTION_FAILED,
    }
}

async fn child(program: &PathBuf, bytes: Vec<u8>, name: &str) -> Result<Reply> {
    let mut child = tokio::process::Command::new(program)
        .arg("extract")
        // In one word: a name may start with a dash.
        .arg(format!("--name={name}"))
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|e| Error::internal(format_args!("the extraction process could not be started: {e}")))?;
    let (Some(mut stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(Error::internal("the extraction process has no pipes"));
    };
    let work = async {
        let feed = async {
            // A child that ends early closes the pipe; why it ended is what counts.
            let _ = stdin.write_all(&bytes).await;
            drop(stdin);
        };
        let mut output = Vec::new();
        // One byte more than may be: with the limit itself a child that writes on would look like one that takes too long.
        let mut limited = stdout.take(OUTPUT_LIMIT + 1);
        let (_, read) = tokio::join!(feed, limited.read_to_end(&mut output));
        read?;
        if output.len() as u64 > OUTPUT_LIMIT {
            return Ok(None);
        }
        Ok::<_, std::io::Error>(Some((child.wait().await?, output)))
    };
    match tokio::time::timeout(TIME_LIMIT, work).await {
        Err(_) => Err(Error::new(code::EXTRACTION_FAILED, "reading the document took longer than 60 seconds")),
        Ok(Err(error)) => Err(Error::internal(format_args!("extraction process: {error}"))),
        Ok(Ok(None)) => Err(Error::new(code::TOO_LARGE, "the document has more text than a document may: split it into smaller files")),
        Ok(Ok(Some((status, output)))) if status.success() => {
            serde_json::from_slice(&output).map_err(|e| Error::internal(format_args!("extraction process answered {e}")))
        }
        Ok(Ok(Some((status, _)))) => {
            Err(Error::new(code::EXTRACTION_FAILED, "the document needs more memory or time to read than a document may")
                .with_internal(status))
        }
    }
}
