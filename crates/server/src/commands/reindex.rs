//! `astrolabe reindex`.

use std::time::Duration;

use astrolabe_kernel::{Error, Result, egress::Method, error::code};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use crate::{
    cli::{Context, Done, Remote},
    client::{Client, Need},
    output,
};

/// How often the job is looked at while waiting.
const LOOK: Duration = Duration::from_millis(300);

/// Build the search index again from the database.
#[derive(Debug, Args)]
#[command(
    after_help = "The index is emptied and filled again from the records. Nothing is read or embedded again: texts, passages and vectors are in the \
database. Until it is done, searches find what is in by then. With a running server the work is done there.

A damaged index file is noticed and mended without this command when the server starts.

Examples:
  astrolabe reindex
  astrolabe reindex --data-dir restored --json"
)]
pub struct Reindex {
    #[command(flatten)]
    remote: Remote,
}

/// Starts the job and waits for it.
///
/// # Errors
/// As [`Client::connect`] and the endpoint; `internal` with the job's own reason when it fails.
pub async fn run(context: &Context, args: &Reindex) -> Result<Done> {
    let client = Client::connect(context, &args.remote, Need::Data).await?;
    let started = std::time::Instant::now();
    let result = work(context, &client).await;
    client.close().await;
    let job = result?;
    let documents = job["total"].as_i64().unwrap_or(0);
    let seconds = started.elapsed().as_secs_f64();
    context.output.line(format!("the search index holds {documents} documents again, after {seconds:.1} s"));
    context.output.document(&serde_json::json!({ "documents": documents, "seconds": seconds, "job": job }))?;
    Ok(Done::All)
}

async fn work(context: &Context, client: &Client) -> Result<serde_json::Value> {
    let mut job = client.call(Method::POST, "/api/v1/index/rebuild", None).await?;
    let path = format!("/api/v1/jobs/{}", job["id"].as_str().unwrap_or_default());
    let bar = if context.output.json || !output::is_terminal() { ProgressBar::hidden() } else { ProgressBar::new(0) };
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} documents {msg}") {
        bar.set_style(style);
    }
    loop {
        bar.set_length(job["total"].as_u64().unwrap_or(0));
        bar.set_position(job["done"].as_u64().unwrap_or(0));
        match job["state"].as_str().unwrap_or_default() {
            "ready" => break,
            "failed" | "canceled" => {
                bar.finish_and_clear();
                let why = job["error"]["message"].as_str().unwrap_or("the job was canceled");
                return Err(Error::new(code::INVALID_STATE, format!("the search index was not built again: {why}")));
            }
            _ => tokio::time::sleep(LOOK).await,
        }
        job = client.call(Method::GET, &path, None).await?;
    }
    bar.finish_and_clear();
    Ok(job)
}
