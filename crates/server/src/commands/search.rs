//! `astrolabe search`.

use astrolabe_kernel::{Result, egress::Method};
use clap::Args;
use serde_json::json;

use super::ask::place;
use crate::{
    cli::{Context, Done, Remote},
    client::{Client, Need},
};

/// List the passages that match.
#[derive(Debug, Args)]
#[command(
    after_help = "Search goes by words and, with the embedding model, by meaning. Nothing found is no error; the exit code is then 3.

Examples:
  astrolabe search \"restart policy\"
  astrolabe search backup --source handbook --limit 3 --json"
)]
pub struct Search {
    /// What to look for.
    query: String,
    /// Search only these sources (name or id); all when not given.
    #[arg(long = "source", value_name = "NAME")]
    sources: Vec<String>,
    /// Passages at most, 1 to 100.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=100))]
    limit: u32,
    #[command(flatten)]
    remote: Remote,
}

/// Searches and prints the passages.
///
/// # Errors
/// As [`Client::connect`] and the endpoint.
pub async fn run(context: &Context, args: &Search) -> Result<Done> {
    let client = Client::connect(context, &args.remote, Need::Data).await?;
    let mut body = json!({ "query": args.query, "limit": args.limit });
    if !args.sources.is_empty() {
        body["sources"] = json!(args.sources);
    }
    let result = client.call(Method::POST, "/api/v1/search", Some(&body)).await;
    client.close().await;
    let found = result?;
    context.output.document(&found)?;
    let items = found["items"].as_array().map_or(&[][..], Vec::as_slice);
    for (i, item) in items.iter().enumerate() {
        let score = item["score"].as_f64().unwrap_or(0.0);
        context.output.line(format!("{}. {} (score {score:.3})", i + 1, place(item)));
        for line in item["text"].as_str().unwrap_or("").lines() {
            context.output.line(format!("   {line}"));
        }
    }
    if items.is_empty() {
        context.output.line("no passage matches");
    }
    if found["mode"] == "lexical" {
        context.output.note("note: searched by words alone; `make models` gets the embedding model");
    }
    Ok(if items.is_empty() { Done::Part } else { Done::All })
}
