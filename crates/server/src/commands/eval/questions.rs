//! One's own questions, asked over the API and judged as the runs of question sets are.

use std::path::Path;

use astrolabe_kernel::{Error, Result, egress::Method, error::code};
use astrolabe_knowledge::{
    answers::Answer,
    eval::{beir::lines, metrics::percentile},
    question_sets::{Question, Verdict, judge},
};
use serde::Serialize;
use serde_json::json;

use super::{super::progress::Progress, Eval, millis};
use crate::{
    cli::{Context, Done},
    client::{Client, Need},
    output::write_err,
};

/// What became of one question.
#[derive(Debug, Clone, Serialize)]
struct Row {
    id: String,
    question: String,
    answerable: bool,
    right: bool,
    verdict: Verdict,
    milliseconds: f64,
    answer: String,
    documents: Vec<String>,
    mode: String,
    retrieval: String,
}

/// Right ones of so many.
#[derive(Debug, Clone, Copy, Serialize)]
struct Share {
    right: usize,
    of: usize,
}

#[derive(Debug, Clone, Serialize)]
struct Report {
    total: Share,
    answerable: Share,
    unanswerable: Share,
    p50_ms: f64,
    p95_ms: f64,
    questions: Vec<Row>,
}

pub(super) async fn run(context: &Context, args: &Eval, file: &Path) -> Result<Done> {
    let questions = read(file)?;
    let client = Client::connect(context, &args.remote, Need::Data).await?;
    let rows = ask(context, args, &client, &questions).await;
    client.close().await;
    let report = report(rows?);
    print(context, &report)?;
    let enough = args.at_least.is_none_or(|least| report.total.right >= least);
    Ok(if enough { Done::All } else { Done::Part })
}

/// The questions of a file of JSON lines.
fn read(file: &Path) -> Result<Vec<Question>> {
    const OPTION: &str = "--questions";
    let at = |number: usize, what: &str| Error::new(code::INVALID_REQUEST, format!("{OPTION}: {}, line {number}: {what}", file.display()));
    let mut questions: Vec<Question> = Vec::new();
    let mut seen = std::collections::HashMap::new();
    lines(file, OPTION, |number, text| {
        let question: Question = serde_json::from_str(text).map_err(|e| {
            let said = e.to_string();
            at(number, said.rsplit_once(" at line ").map_or(said.as_str(), |(t, _)| t))
        })?;
        question.validate("").map_err(|e| at(number, e.message()))?;
        for (i, why) in question.plain_patterns() {
            write_err(&format!(
                "warning: {}, line {number}: answer_patterns[{i}] {why}; it is looked for as it is written",
                file.display()
            ));
        }
        if let Some(first) = seen.insert(question.id.clone(), number) {
            return Err(at(number, &format!("id {:?} is in line {first} already", question.id)));
        }
        questions.push(question);
        Ok(())
    })?;
    if questions.is_empty() {
        return Err(Error::new(code::INVALID_REQUEST, format!("{OPTION}: {} has no question", file.display())));
    }
    Ok(questions)
}

async fn ask(context: &Context, args: &Eval, client: &Client, questions: &[Question]) -> Result<Vec<Row>> {
    let progress = Progress::new(context.output, "questions", questions.len());
    let mut rows = Vec::with_capacity(questions.len());
    for question in questions {
        let mut body = json!({ "question": question.question });
        if !args.sources.is_empty() {
            body["sources"] = json!(args.sources);
        }
        let started = std::time::Instant::now();
        let answer = client.call(Method::POST, "/api/v1/ask", Some(&body)).await?;
        let milliseconds = millis(started.elapsed().as_secs_f64() * 1000.0);
        let text = |key: &str| answer[key].as_str().unwrap_or("").to_owned();
        let (mode, retrieval) = (text("mode"), text("retrieval"));
        let answer: Answer = serde_json::from_value(answer)
            .map_err(|e| Error::new(code::UPSTREAM_FAILED, "the server's answer is not what this version expects").with_internal(e))?;
        let verdict = judge(question, &answer);
        rows.push(Row {
            id: question.id.clone(),
            question: question.question.clone(),
            answerable: question.answerable,
            right: verdict.is_right(),
            verdict,
            milliseconds,
            answer: answer.answer,
            documents: answer.citations.into_iter().map(|c| c.document).collect(),
            mode,
            retrieval,
        });
        progress.step(1);
    }
    progress.finish();
    Ok(rows)
}

fn report(questions: Vec<Row>) -> Report {
    let share = |wanted: fn(&Row) -> bool| {
        let of: Vec<&Row> = questions.iter().filter(|r| wanted(r)).collect();
        Share { right: of.iter().filter(|r| r.right).count(), of: of.len() }
    };
    let times: Vec<f64> = questions.iter().map(|r| r.milliseconds).collect();
    Report {
        total: share(|_| true),
        answerable: share(|r| r.answerable),
        unanswerable: share(|r| !r.answerable),
        p50_ms: percentile(&times, 0.5),
        p95_ms: percentile(&times, 0.95),
        questions,
    }
}

fn print(context: &Context, report: &Report) -> Result<()> {
    context.output.document(report)?;
    for row in &report.questions {
        let mark = if row.right { "ok " } else { "BAD" };
        context.output.line(format!("{mark} {:<12} {:>8.1} ms  {:<18} {}", row.id, row.milliseconds, row.verdict.as_str(), row.question));
        if !row.right && row.verdict != Verdict::NotAnswered {
            let answer = row.answer.split_whitespace().collect::<Vec<_>>().join(" ");
            context.output.line(format!("      {}", answer.chars().take(300).collect::<String>()));
            context
                .output
                .line(format!("      cited: {}", if row.documents.is_empty() { "nothing".to_owned() } else { row.documents.join(", ") }));
        }
    }
    context.output.line(format!(
        "{}/{} right  (answerable {}/{}, unanswerable {}/{}; p50 {:.1} ms, p95 {:.1} ms)",
        report.total.right,
        report.total.of,
        report.answerable.right,
        report.answerable.of,
        report.unanswerable.right,
        report.unanswerable.of,
        report.p50_ms,
        report.p95_ms
    ));
    Ok(())
}
