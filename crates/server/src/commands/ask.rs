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
    #[command(flatten)]
    remote: Remote,
}

/// Asks and prints the answer.
///
/// # Errors
/// As [`Client::connect`] and the endpoint.
pub async fn run(context: &Context, args: &Ask) -> Result<Done> {
    let client = Client::connect(context, &args.remote, Need::Data).await?;
    let mut body = json!({ "question": args.question });
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
    }
    for notice in answer["notices"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        context.output.note(format!("note: {}", explain(notice)));
    }
    Ok(if answer["answered"] == true { Done::All } else { Done::Part })
}

/// Where a passage is, for people: `source / document, heading, characters 10 to 90`.
pub(super) fn place(passage: &Value) -> String {
    let text = |key: &str| passage[key].as_str().unwrap_or("").to_owned();
    let heading = match text("heading") {
        h if h.is_empty() => h,
        h => format!(", {h}"),
    };
    format!("{} / {}{heading}, characters {} to {}", text("source"), text("document"), passage["start"], passage["end"])
}

fn explain(notice: &str) -> &str {
    match notice {
        "no_embedder" => "there is no embedding model, so search works by words alone; run `make models`",
        "model_unavailable" => "the chat model does not answer, so the answer is put together from sentences",
        other => other,
    }
}
