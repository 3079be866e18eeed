//! `astrolabe search`.

use std::io::IsTerminal;

use astrolabe_kernel::{Result, egress::Method};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::ask::{place, why};
use crate::{
    cli::{Context, Done, Remote},
    client::{Client, Need},
};

/// Characters shown of a passage.
const SNIPPET: usize = 320;

/// List the passages that match.
#[derive(Debug, Args)]
#[command(
    after_help = "Search goes by words and, with the embedding model, by meaning. Nothing found is no error; the exit code is then 3.

Examples:
  astrolabe search \"restart policy\"
  astrolabe search backup --source handbook --limit 3 --json
  astrolabe search invoices --tag finance --updated-from 2026-01-01T00:00:00Z
  astrolabe search \"restart policy\" --group document --explain"
)]
pub struct Search {
    /// What to look for.
    query: String,
    /// Search only these sources (name or id); all when not given.
    #[arg(long = "source", value_name = "NAME")]
    sources: Vec<String>,
    /// Only documents with at least one of these tags.
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// Only chunks in this language; `und` is every other.
    #[arg(long, value_name = "LANG", value_parser = ["en", "pl", "ru", "und"])]
    lang: Option<String>,
    /// Only documents of one of these media types, such as text/html.
    #[arg(long = "mime", value_name = "TYPE")]
    mimes: Vec<String>,
    /// Only documents that changed at this moment or later (RFC 3339).
    #[arg(long, value_name = "TIME")]
    updated_from: Option<String>,
    /// Only documents that changed before this moment (RFC 3339).
    #[arg(long, value_name = "TIME")]
    updated_until: Option<String>,
    /// By words, by meaning, or by both.
    #[arg(long, value_enum, default_value_t = Mode::Hybrid)]
    mode: Mode,
    /// Passages, or whole documents with their best passages.
    #[arg(long, value_enum, default_value_t = Group::Passage)]
    group: Group,
    /// Passages or documents at most, 1 to 100.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=100))]
    limit: u32,
    /// The cursor that the page before ended with.
    #[arg(long, value_name = "CURSOR")]
    cursor: Option<String>,
    /// How much a passage that is like a better one is put back, 0 to 1.
    #[arg(long, value_name = "SHARE")]
    diversity: Option<f32>,
    /// Show chunks one by one, instead of joining neighbours to a passage.
    #[arg(long)]
    no_join: bool,
    /// Count the chunks that match the filters by source, tag, language and media type.
    #[arg(long)]
    facets: bool,
    /// Tell how each score came about.
    #[arg(long)]
    explain: bool,
    #[command(flatten)]
    remote: Remote,
}

/// Which sides of the index are asked.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Mode {
    Hybrid,
    Lexical,
    Dense,
}

/// What is listed.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Group {
    Passage,
    Document,
}

impl Search {
    fn body(&self) -> Value {
        let mut body = json!({
            "query": self.query, "limit": self.limit, "mode": name(self.mode), "group": name(self.group), "join": !self.no_join,
            "facets": self.facets, "explain": self.explain,
        });
        for (field, list) in [("sources", &self.sources), ("tags", &self.tags), ("mimes", &self.mimes)] {
            if !list.is_empty() {
                body[field] = json!(list);
            }
        }
        let texts =
            [("lang", &self.lang), ("updated_from", &self.updated_from), ("updated_until", &self.updated_until), ("cursor", &self.cursor)];
        for (field, text) in texts {
            if let Some(text) = text {
                body[field] = json!(text);
            }
        }
        if let Some(diversity) = self.diversity {
            body["diversity"] = json!(diversity);
        }
        body
    }
}

/// A choice as the API writes it.
fn name(choice: impl ValueEnum) -> String {
    choice.to_possible_value().map(|v| v.get_name().to_owned()).unwrap_or_default()
}

/// Searches and prints the passages.
///
/// # Errors
/// As [`Client::connect`] and the endpoint.
pub async fn run(context: &Context, args: &Search) -> Result<Done> {
    let client = Client::connect(context, &args.remote, Need::Data).await?;
    let result = client.call(Method::POST, "/api/v1/search", Some(&args.body())).await;
    client.close().await;
    let found = result?;
    let output = &context.output;
    output.document(&found)?;
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let bold = std::io::stdout().is_terminal();
    let (items, documents) = (list(&found["items"]), list(&found["documents"]));
    for (i, item) in items.iter().enumerate() {
        output.line(format!("{}. {} (score {:.3}){}", i + 1, place(item), score(item), folded(item)));
        passage(context, item, bold);
    }
    for (i, document) in documents.iter().enumerate() {
        let text = |key: &str| document[key].as_str().unwrap_or("").to_owned();
        output.line(format!("{}. {} / {} (score {:.3})", i + 1, text("source"), text("document"), score(document)));
        for item in list(&document["passages"]) {
            passage(context, &item, bold);
        }
    }
    let empty = items.is_empty() && documents.is_empty();
    if empty {
        output.line("no passage matches");
    }
    facets(context, &found);
    if let Some(cursor) = found["next_cursor"].as_str() {
        output.note(format!("note: there is more: --cursor {cursor}"));
    }
    if list(&found["notices"]).iter().any(|n| n == "no_embedder") {
        output.note("note: searched by words alone; `make models` gets the embedding model");
    }
    Ok(if empty { Done::Part } else { Done::All })
}

fn score(item: &Value) -> f64 {
    item["score"].as_f64().unwrap_or(0.0)
}

fn folded(item: &Value) -> String {
    match item["folded"].as_u64() {
        None | Some(0) => String::new(),
        Some(n) => format!(", and {n} more that say the same"),
    }
}

fn passage(context: &Context, item: &Value, bold: bool) {
    for line in snippet(item, bold).lines() {
        context.output.line(format!("   {line}"));
    }
    if let Some(why) = why(&item["explanation"]) {
        context.output.line(format!("   {why}"));
    }
}

fn facets(context: &Context, found: &Value) {
    for (kind, label) in [("sources", "source"), ("tags", "value"), ("langs", "value"), ("mimes", "value")] {
        let values = found["facets"][kind].as_array().into_iter().flatten();
        let values: Vec<String> = values.map(|v| format!("{} {}", v[label].as_str().unwrap_or(""), v["count"])).collect();
        if !values.is_empty() {
            context.output.line(format!("{kind}: {}", values.join(", ")));
        }
    }
}

/// The part of a passage around the first words that were found, with these in bold where a person looks.
fn snippet(item: &Value, bold: bool) -> String {
    let text: Vec<char> = item["text"].as_str().unwrap_or("").chars().collect();
    let at = |span: &Value, key: &str| span[key].as_u64().and_then(|n| usize::try_from(n).ok()).unwrap_or(0).min(text.len());
    let spans: Vec<(usize, usize)> = item["highlights"].as_array().into_iter().flatten().map(|s| (at(s, "start"), at(s, "end"))).collect();
    let first = spans.first().map_or(0, |s| s.0);
    // Everything where it fits; else from a little before the first word that was found.
    let from = if text.len() <= SNIPPET { 0 } else { first.saturating_sub(SNIPPET / 4).min(text.len() - SNIPPET) };
    let to = (from + SNIPPET).min(text.len());
    let mut shown = String::new();
    if from > 0 {
        shown.push('…');
    }
    for (i, c) in text.iter().enumerate().take(to).skip(from) {
        if bold && spans.iter().any(|s| s.0 == i) {
            shown.push_str("\u{1b}[1m");
        }
        // A control character of a document must not command the terminal.
        shown.push(if c.is_control() && *c != '\n' { ' ' } else { *c });
        if bold && spans.iter().any(|s| s.1 == i + 1) {
            shown.push_str("\u{1b}[0m");
        }
    }
    if to < text.len() {
        shown.push('…');
    }
    if bold { format!("{shown}\u{1b}[0m") } else { shown }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snippet_begins_before_the_first_word_found_and_marks_it() {
        let text = format!("{} gulls {}", "x".repeat(500), "y".repeat(500));
        let item = json!({"text": text, "highlights": [{"start": 501, "end": 506}]});
        let plain = snippet(&item, false);
        assert_eq!(plain.chars().count(), SNIPPET + 2);
        assert!(plain.starts_with("…x") && plain.contains(" gulls ") && plain.ends_with("y…"));
        assert!(snippet(&item, true).contains(" \u{1b}[1mgulls\u{1b}[0m "));
    }

    #[test]
    fn a_short_passage_is_shown_whole_and_without_control_characters() {
        let item = json!({"text": "a\u{1b}[2Jb\nc", "highlights": []});
        assert_eq!(snippet(&item, false), "a [2Jb\nc");
    }
}
