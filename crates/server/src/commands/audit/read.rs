//! `astrolabe audit list` and `astrolabe audit export`.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use astrolabe_kernel::{Error, Result, audit::Entry, error::code, page::Page};
use clap::{Args, ValueEnum};
use serde_json::Value;

use crate::{
    cli::{Context, Done, Remote},
    client::{Client, Need, encode},
};

/// Which entries.
#[derive(Debug, Args)]
struct Wanted {
    /// Only entries of this actor, such as user:local-admin.
    #[arg(long, value_name = "ID")]
    actor: Option<String>,
    /// Only entries of this action, such as agents.run; `agents.*` for all that begin like this.
    #[arg(long, value_name = "ACTION")]
    action: Option<String>,
    /// Only entries about this subject, an id in most cases.
    #[arg(long, value_name = "ID")]
    subject: Option<String>,
    /// Only entries about this document, or that name it: who changed it, read it, or was shown some of it.
    #[arg(long, value_name = "ID")]
    document: Option<String>,
    /// Only entries that ended like this.
    #[arg(long, value_enum)]
    outcome: Option<Outcome>,
    /// Only entries of this trace.
    #[arg(long, value_name = "ID")]
    trace_id: Option<String>,
    /// Only entries of this moment or later (RFC 3339).
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only entries before this moment (RFC 3339).
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// In which order.
    #[arg(long, value_enum, default_value_t = Order::Newest)]
    order: Order,
    /// Where the page or export before ended.
    #[arg(long, value_name = "CURSOR")]
    cursor: Option<String>,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Outcome {
    Ok,
    Refused,
    Failed,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Order {
    Newest,
    Oldest,
}

impl Wanted {
    /// The query string.
    fn query(&self, limit: Option<u32>) -> String {
        let name = |value: Option<clap::builder::PossibleValue>| value.map(|v| v.get_name().to_owned());
        let pairs = [
            ("actor", self.actor.clone()),
            ("action", self.action.clone()),
            ("subject", self.subject.clone()),
            ("document", self.document.clone()),
            ("outcome", self.outcome.and_then(|o| name(o.to_possible_value()))),
            ("trace_id", self.trace_id.clone()),
            ("since", self.since.clone()),
            ("until", self.until.clone()),
            ("order", name(self.order.to_possible_value())),
            ("cursor", self.cursor.clone()),
            ("limit", limit.map(|l| l.to_string())),
        ];
        let pairs = pairs.into_iter().filter_map(|(key, value)| Some(format!("{key}={}", encode(&value?))));
        pairs.collect::<Vec<_>>().join("&")
    }
}

/// List entries of the audit log.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  astrolabe audit list --action \"sources.*\" --since 2026-01-01T00:00:00Z
  astrolabe audit list --actor user:local-admin --outcome refused --limit 200
  astrolabe audit list --document doc_01JD3V9M7Q4R8T2W6X0Y5Z1ABC --json     who read, changed or deleted a document")]
pub struct List {
    #[command(flatten)]
    wanted: Wanted,
    /// Entries at most, 1 to 200.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=200))]
    limit: u32,
}

/// Lists entries.
///
/// # Errors
/// As [`Client::connect`] and the endpoint.
pub async fn list(context: &Context, args: &List) -> Result<Done> {
    let client = Client::connect(context, &args.wanted.remote, Need::Data).await?;
    let page = client.get::<Page<Entry>>(&format!("/api/v1/audit?{}", args.wanted.query(Some(args.limit)))).await;
    client.close().await;
    let page = page?;
    for entry in &page.items {
        let seq = entry.seq.map_or_else(|| "-".to_owned(), |s| s.to_string());
        let Entry { created_at, actor, action, subject, outcome, .. } = entry;
        context.output.line(format!("{seq:>8}  {created_at}  {outcome:7}  {actor}  {action}  {subject}"));
    }
    if let Some(cursor) = &page.next_cursor {
        context.output.note(format!("note: there are more; go on with --cursor {cursor}"));
    }
    context.output.document(&page)?;
    Ok(Done::All)
}

/// Write entries of the audit log as lines of JSON.
#[derive(Debug, Args)]
#[command(
    after_help = "The last line is {\"end\": …} when all entries were written. When the export was cut off, the exit code is not 0 and the file has no such \
line. A file is put in its place when it is complete.

Examples:
  astrolabe audit export --order oldest --output audit.jsonl
  astrolabe audit export --actor user:local-admin --since 2026-01-01T00:00:00Z | gzip > audit.jsonl.gz"
)]
pub struct Export {
    #[command(flatten)]
    wanted: Wanted,
    /// The file to write; standard output when not given.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Exports entries.
///
/// # Errors
/// As [`Client::connect`] and the endpoint; what ended an export early.
pub async fn export(context: &Context, args: &Export) -> Result<Done> {
    let client = Client::connect(context, &args.wanted.remote, Need::Data).await?;
    let path = format!("/api/v1/audit/export?{}", args.wanted.query(None));
    let part = args.output.as_deref().map(|file| file.with_extension("part"));
    let done = download(&client, &path, part.as_deref()).await;
    client.close().await;
    let end = done?;
    if let (Some(file), Some(part)) = (&args.output, part) {
        std::fs::rename(&part, file)?;
        context.output.line(format!("{}: {} entries", file.display(), end["entries"]));
        context.output.document(&end)?;
    }
    Ok(Done::All)
}

/// Writes what the server sends, and reads its last line.
async fn download(client: &Client, path: &str, file: Option<&Path>) -> Result<Value> {
    let mut out: Box<dyn Write + Send> = match file {
        Some(file) => Box::new(std::fs::File::create(file)?),
        None => Box::new(std::io::stdout()),
    };
    let mut last = Vec::new();
    client
        .download(path, |bytes| {
            out.write_all(bytes)?;
            for piece in bytes.split_inclusive(|b| *b == b'\n') {
                if last.ends_with(b"\n") {
                    last.clear();
                }
                last.extend_from_slice(piece);
            }
            Ok(())
        })
        .await?;
    out.flush()?;
    let end: Value = serde_json::from_slice(&last).unwrap_or_default();
    if end["end"].is_object() {
        return Ok(end["end"].clone());
    }
    let why = end["error"]["message"].as_str().unwrap_or("the connection was lost");
    let cursor = end["error"]["cursor"].as_str().map(|c| format!("; go on with --cursor {c}")).unwrap_or_default();
    Err(Error::new(code::UPSTREAM_FAILED, format!("the export is not complete: {why}{cursor}")))
}
