//! `astrolabe ask`.

use astrolabe_kernel::{Error, Result, egress::Method};
use clap::Args;
use serde_json::{Value, json};

use crate::{
    cli::{Context, Done, Remote},
    client::{Client, Need},
};

/// Answer a question from the documents, with citations.
#[derive(Debug, Args)]
#[command(
    after_help = "The answer is in the question's language. Without a chat model it is put together from sentences of the documents; when they \
do not answer the question, it says so, and the exit code is 3.

Examples:
  astrolabe ask \"how long are backups kept?\"
  astrolabe ask \"jak długo przechowywane są kopie?\" --source handbook --json"
)]
pub struct Ask {
    /// The question.
    question: String,
    /// Ask only these sources (name or id); all when not given.
    #[arg(long = "source", value_name = "NAME")]
    sources: Vec<String>,
    /// Tell how each cited passage was found.
    #[arg(long)]
    explain: bool,
    #[command(flatten)]
    remote: Remote,
}

/// Asks and prints the answer.
///
/// # Errors
/// As [`Client::connect`] and the endpoint.
pub async fn run(context: &Context, args: &Ask) -> Result<Done> {
    let client = Client::connect(context, &args.remote, Need::Data).await?;
    let mut body = json!({ "question": args.question, "explain": args.explain });
    if !args.sources.is_empty() {
        body["sources"] = json!(args.sources);
    }
    let result = client.call(Method::POST, "/api/v1/ask", Some(&body)).await;
    client.close().await;
    let answer = result?;
    context.output.document(&answer)?;
    context.output.line(answer["answer"].as_str().ok_or_else(|| Error::internal("an answer without text"))?);
    let citations = answer["citations"].as_array().map_or(&[][..], Vec::as_slice);
    if !citations.is_empty() {
        context.output.line("");
    }
    for citation in citations {
        context.output.line(format!("[{}] {}", citation["n"], place(citation)));
        if let Some(why) = why(&citation["explanation"]) {
            context.output.line(format!("    {why}"));
        }
    }
    for notice in answer["notices"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        context.output.note(format!("note: {}", meaning(notice)));
    }
    Ok(if answer["answered"] == true { Done::All } else { Done::Part })
}

/// How a passage was found, for people; none where the server was not asked.
pub(super) fn why(explanation: &Value) -> Option<String> {
    if explanation.is_null() {
        return None;
    }
    let side = |key: &str| match explanation[key]["rank"].as_u64() {
        None => "-".to_owned(),
        Some(rank) => explanation[key]["score"].as_f64().map_or_else(|| format!("rank {rank}"), |score| format!("rank {rank}, {score:.3}")),
    };
    let mut line = format!("words: {}; meaning: {}", side("lexical"), side("dense"));
    if let Some(fused) = explanation["fused"].as_f64() {
        line.push_str(&format!("; together {fused:.3}"));
    }
    for boost in explanation["boosts"].as_array().into_iter().flatten() {
        line.push_str(&format!("; {} x{:.2}", boost["from"].as_str().unwrap_or(""), boost["factor"].as_f64().unwrap_or(1.0)));
    }
    let words: Vec<&str> = explanation["matched"].as_array().into_iter().flatten().filter_map(|m| m["word"].as_str()).collect();
    Some(format!("{line}; has: {}", words.join(", ")))
}

/// Where a passage is, for people: `source / document, heading, characters 10 to 90`.
pub(super) fn place(passage: &Value) -> String {
    let text = |key: &str| passage[key].as_str().unwrap_or("").to_owned();
    let heading = match text("heading") {
        h if h.is_empty() => h,
        h => format!(", {h}"),
    };
    let page = passage["page"].as_i64().map_or_else(String::new, |page| format!(", page {page}"));
    format!("{} / {}{heading}{page}, characters {} to {}", text("source"), text("document"), passage["start"], passage["end"])
}

fn meaning(notice: &str) -> &str {
    match notice {
        "no_embedder" => "there is no embedding model, so search works by words alone; run `make models`",
        "model_unavailable" => "the chat model does not answer, so the answer is put together from sentences",
        other => other,
    }
}
