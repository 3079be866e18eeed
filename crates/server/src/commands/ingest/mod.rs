//! `astrolabe ingest`: walk, upload in batches, wait until every document is ready or failed, and tell.

mod walk;

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use astrolabe_kernel::{Error, Result, egress::Method, error::code};
use axum::body::Bytes;
use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
pub use walk::{Files, walk};

use super::progress::Progress;
use crate::{
    cli::{Context, Done, Remote},
    client::{self, Client, Need},
};

/// Files of one upload.
const BATCH_FILES: usize = 32;
/// Bytes of one upload, unless a single file is larger.
const BATCH_BYTES: u64 = 8 << 20;
/// Files of the first upload.
const FIRST_FILES: usize = 4;
/// How often the documents are looked at while waiting.
const LOOK: Duration = Duration::from_millis(300);
/// How often they are looked at when few are left.
const LAST_LOOK: Duration = Duration::from_millis(30);
/// How many are few.
const FEW: usize = 8;
/// Documents on a page of the list, as many as the server gives.
const PAGE: usize = 200;

/// Add files and folders to a source.
#[derive(Debug, Args)]
#[command(
    after_help = "Markdown (.md), text (.txt) and HTML (.html) files are added; folders are walked, without hidden entries and files of other \
kinds. A file that is there already with the same content changes nothing; with new content it replaces the old. The source is made when there \
is none.

With a running server the files go there; without one the work is done here, on the data directory. \
The exit code is 3 when a file could not be read or a document failed.

Examples:
  astrolabe ingest ./manuals notes.txt --source manuals
  astrolabe ingest ./wiki --source wiki --tags internal,it --json"
)]
pub struct Ingest {
    /// Files and folders.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// The source's name.
    #[arg(long, value_name = "NAME")]
    source: String,
    /// Words to filter by, separated by commas.
    #[arg(long, value_name = "TAG,…", value_delimiter = ',')]
    tags: Vec<String>,
    #[command(flatten)]
    remote: Remote,
}

/// A file or document that did not become searchable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The file's path, or the document's name.
    pub file: String,
    /// A public code.
    pub code: String,
    /// For people.
    pub message: String,
}

/// What a command did.
#[derive(Debug, Default, Serialize)]
struct Summary {
    sources: Vec<String>,
    files: usize,
    ready: usize,
    chunks: i64,
    failed: Vec<Failure>,
    seconds: f64,
}

/// What the API tells of a document.
#[derive(Debug, Clone, Deserialize)]
struct Document {
    id: String,
    name: String,
    state: String,
    chunk_count: i64,
    error: Option<Failed>,
}

#[derive(Debug, Clone, Deserialize)]
struct Failed {
    code: String,
    message: String,
}

/// Ingests the paths of the command line.
///
/// # Errors
/// As [`ingest`]; `invalid_request` when there is nothing to ingest.
pub async fn run(context: &Context, args: &Ingest) -> Result<Done> {
    let files = walk(&args.paths);
    if files.found.is_empty() {
        let mut why: Vec<String> = files.failures.iter().map(|f| format!("{}: {}", f.file, f.message)).collect();
        why.extend(files.left_out().map(|other| format!("there are {other}")));
        let why = if why.is_empty() { String::new() } else { format!(" ({})", why.join("; ")) };
        return Err(Error::new(code::INVALID_REQUEST, format!("there is no Markdown, text or HTML file to add{why}")));
    }
    ingest(context, &args.remote, vec![(args.source.clone(), files)], &args.tags).await
}

/// Adds files to sources, waits for them and prints a summary.
///
/// # Errors
/// As [`Client::connect`], and what stops the whole work; what is wrong with single files is in the summary.
pub async fn ingest(context: &Context, remote: &Remote, jobs: Vec<(String, Files)>, tags: &[String]) -> Result<Done> {
    let client = Client::connect(context, remote, Need::Anything).await?;
    match client.server() {
        Some(server) => context.output.note(format!("sending to the server at {server}")),
        None => context.output.note(format!("working alone on {}", context.common.data_dir.display())),
    }
    for other in jobs.iter().filter_map(|(_, files)| files.left_out()) {
        context.output.note(format!("left out {other}: only Markdown, text and HTML can be read"));
    }
    let result = work(context, &client, jobs, tags).await;
    client.close().await;
    let summary = result?;
    for failure in &summary.failed {
        context.output.note(format!("failed  {}: {} ({})", failure.file, failure.message, failure.code));
    }
    let rate = summary.ready as f64 / summary.seconds.max(0.001);
    context.output.line(format!(
        "{} of {} files are searchable in {} ({} passages, {rate:.1} files/s)",
        summary.ready,
        summary.files,
        summary.sources.join(", "),
        summary.chunks
    ));
    context.output.document(&summary)?;
    Ok(if summary.failed.is_empty() { Done::All } else { Done::Part })
}

async fn work(context: &Context, client: &Client, jobs: Vec<(String, Files)>, tags: &[String]) -> Result<Summary> {
    let started = std::time::Instant::now();
    let total = jobs.iter().map(|(_, f)| f.found.len()).sum();
    let progress = Progress::new(context.output, "files", total);
    let mut summary = Summary { sources: jobs.iter().map(|(n, _)| n.clone()).collect(), ..Summary::default() };
    for (name, files) in jobs {
        summary.files += files.found.len() + files.failures.len();
        summary.failed.extend(files.failures);
        let source = source(client, &name).await?;
        let mut waiting: BTreeMap<String, String> = BTreeMap::new();
        for batch in walk::batches(files.found, BATCH_FILES, BATCH_BYTES) {
            send_batch(client, &source, batch, tags, &mut waiting, &mut summary, &progress).await?;
        }
        wait(client, &source, waiting, &mut summary, &progress).await?;
    }
    progress.finish();
    summary.seconds = started.elapsed().as_secs_f64();
    Ok(summary)
}

/// The id of the source of that name, made when there is none.
async fn source(client: &Client, name: &str) -> Result<String> {
    let id = |v: &Value| v["id"].as_str().map(str::to_owned).ok_or_else(|| Error::internal("a source without an id"));
    match client.call(Method::POST, "/api/v1/sources", Some(&json!({ "name": name }))).await {
        Ok(source) => return id(&source),
        Err(error) if error.code() == code::SOURCE_EXISTS => {}
        Err(error) => return Err(error),
    }
    let mut cursor = String::new();
    loop {
        let page: Value = client.get(&format!("/api/v1/sources?limit=200{cursor}")).await?;
        if let Some(source) = page["items"].as_array().into_iter().flatten().find(|s| s["name"] == name) {
            return id(source);
        }
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={}", client::encode(next)),
            None => return Err(Error::not_found("source")),
        }
    }
}

async fn send_batch(
    client: &Client,
    source: &str,
    batch: Vec<walk::Found>,
    tags: &[String],
    waiting: &mut BTreeMap<String, String>,
    summary: &mut Summary,
    progress: &Progress,
) -> Result<()> {
    let mut files = Vec::with_capacity(batch.len());
    for file in batch {
        match tokio::fs::read(&file.path).await {
            Ok(bytes) => files.push((file.name, Bytes::from(bytes))),
            Err(error) => {
                progress.step(1);
                summary.failed.push(Failure {
                    file: file.path.display().to_string(),
                    code: "unreadable".into(),
                    message: format!("the file cannot be read: {}", error.kind()),
                });
            }
        }
    }
    if files.is_empty() {
        return Ok(());
    }
    let documents = match upload(client, source, &files, tags).await {
        Ok((documents, refused)) => {
            progress.step(refused.len());
            summary.failed.extend(refused);
            documents
        }
        // When every file is refused, the answer is the refusal of one: each is sent alone, to hear its own.
        Err(error) if files.len() > 1 && !error.is_transient() => {
            let mut documents = Vec::new();
            for file in files {
                match upload(client, source, std::slice::from_ref(&file), tags).await {
                    Ok((one, _)) => documents.extend(one),
                    Err(error) if error.is_transient() => return Err(error),
                    Err(error) => {
                        progress.step(1);
                        summary.failed.push(Failure { file: file.0, code: error.code().name.into(), message: error.message().into() });
                    }
                }
            }
            documents
        }
        Err(error) if error.is_transient() => return Err(error),
        Err(error) => {
            progress.step(1);
            summary.failed.push(Failure { file: files[0].0.clone(), code: error.code().name.into(), message: error.message().into() });
            Vec::new()
        }
    };
    for document in documents {
        settle(document, waiting, summary, progress);
    }
    Ok(())
}

/// Sends files. Returns the documents and the files that were refused.
async fn upload(client: &Client, source: &str, files: &[(String, Bytes)], tags: &[String]) -> Result<(Vec<Document>, Vec<Failure>)> {
    let tags = if tags.is_empty() { String::new() } else { format!("?tags={}", client::encode(&tags.join(","))) };
    let reply = client.send(Method::POST, &format!("/api/v1/sources/{source}/documents{tags}"), Some(client::multipart(files))).await?;
    let items = serde_json::from_value(reply["items"].clone()).map_err(Error::internal)?;
    Ok((items, serde_json::from_value(reply["refused"].clone()).map_err(Error::internal)?))
}

/// Counts a document that has come to its end, or remembers it as one to wait for.
fn settle(document: Document, waiting: &mut BTreeMap<String, String>, summary: &mut Summary, progress: &Progress) {
    let failure = |code: &str, message: &str| Failure { file: document.name.clone(), code: code.into(), message: message.into() };
    match document.state.as_str() {
        "ready" => {
            summary.ready += 1;
            summary.chunks += document.chunk_count;
        }
        "failed" => summary.failed.push(match &document.error {
            Some(e) => failure(&e.code, &e.message),
            None => failure("failed", "it failed without a reason"),
        }),
        "canceled" => summary.failed.push(failure("canceled", "somebody canceled it")),
        _ => {
            waiting.insert(document.id, document.name);
            return;
        }
    }
    waiting.remove(&document.id);
    progress.step(1);
}

/// Looks at the source until every document that was sent has come to its end.
async fn wait(
    client: &Client,
    source: &str,
    mut waiting: BTreeMap<String, String>,
    summary: &mut Summary,
    progress: &Progress,
) -> Result<()> {
    while !waiting.is_empty() {
        tokio::time::sleep(if waiting.len() > FEW { LOOK } else { LAST_LOOK }).await;
        let mut still = std::collections::BTreeSet::new();
        for state in ["queued", "running"] {
            for document in list(client, source, &format!("&state={state}"), usize::MAX).await? {
                still.insert(document.id);
            }
        }
        let mut over: std::collections::BTreeSet<String> = waiting.keys().filter(|id| !still.contains(*id)).cloned().collect();
        if over.len() > FEW {
            // What was sent is what is newest: a few pages tell of all of them, where one question each would cost the server as much as a search.
            let pages = waiting.len() / PAGE + 2;
            for document in list(client, source, "", pages).await? {
                if over.remove(&document.id) {
                    settle(document, &mut waiting, summary, progress);
                }
            }
        }
        for id in over {
            match client.get::<Document>(&format!("/api/v1/documents/{id}")).await {
                Ok(document) => settle(document, &mut waiting, summary, progress),
                Err(error) if error.code() == code::NOT_FOUND => {
                    let name = waiting.remove(&id).unwrap_or(id);
                    progress.step(1);
                    summary.failed.push(Failure { file: name, code: "not_found".into(), message: "somebody deleted it".into() });
                }
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}

/// The source's documents that `filter` picks, newest first, at most so many pages of them.
async fn list(client: &Client, source: &str, filter: &str, pages: usize) -> Result<Vec<Document>> {
    #[derive(Deserialize)]
    struct Page {
        items: Vec<Document>,
        next_cursor: Option<String>,
    }
    let mut all = Vec::new();
    let mut cursor = String::new();
    for _ in 0..pages {
        let page: Page = client.get(&format!("/api/v1/sources/{source}/documents?limit={PAGE}{filter}{cursor}")).await?;
        all.extend(page.items);
        match page.next_cursor {
            Some(next) => cursor = format!("&cursor={}", client::encode(&next)),
            None => break,
        }
    }
    Ok(all)
}
