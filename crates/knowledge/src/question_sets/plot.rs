//! The quality of a question set over its runs, drawn as SVG.
//!
//! Lines and letters take the colour of the text around them (`currentColor`), so that the plot fits a light and a dark page; where there is no page, a
//! grey that can be read on both. Lines differ by their dashes and not by colour. There is no style sheet and no script in it: a page with a strict
//! content security policy can take it in.

use std::fmt::Write;

use astrolabe_backends::analysis::Lang;

use super::{QuestionSetRun, RightOf};

/// Narrow, so that its letters can still be read on a phone.
const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 300.0;
/// Left, top, right and bottom of the field with the lines.
const FIELD: (f64, f64, f64, f64) = (52.0, 56.0, 540.0, 256.0);
/// Runs that are shown at most; the newest ones.
pub(super) const MAX_RUNS: i64 = 60;
/// Dates below the plot at most.
const MAX_DATES: usize = 5;

/// The words of the plot in one language.
struct Words {
    lang: &'static str,
    title: &'static str,
    all: &'static str,
    answerable: &'static str,
    refused: &'static str,
    empty: &'static str,
    runs: &'static str,
    newest: &'static str,
}

const EN: Words = Words {
    lang: "en",
    title: "Right answers over time",
    all: "all questions",
    answerable: "with an answer",
    refused: "rightly refused",
    empty: "No run has come to its end yet.",
    runs: "Runs shown",
    newest: "right in the newest run",
};
const PL: Words = Words {
    lang: "pl",
    title: "Trafne odpowiedzi w czasie",
    all: "wszystkie pytania",
    answerable: "z odpowiedzią",
    refused: "słusznie odmówione",
    empty: "Żaden przebieg jeszcze się nie zakończył.",
    runs: "Pokazane przebiegi",
    newest: "trafnych w najnowszym przebiegu",
};
const RU: Words = Words {
    lang: "ru",
    title: "Верные ответы во времени",
    all: "все вопросы",
    answerable: "с ответом",
    refused: "верно отклонены",
    empty: "Ни один прогон ещё не завершён.",
    runs: "Показано прогонов",
    newest: "верных в последнем прогоне",
};

/// The language that a value of `Accept-Language` (RFC 9110, 12.5.4) likes best among those of the plot; English when it likes none of them.
pub(super) fn language(accept: &str) -> Lang {
    let mut best = (0.0, Lang::En);
    for range in accept.split(',') {
        let mut parts = range.split(';');
        let tag = parts.next().unwrap_or("").trim();
        let quality = parts.find_map(|p| p.trim().strip_prefix("q=")?.parse::<f64>().ok()).unwrap_or(1.0);
        let lang = Lang::from_code(&tag.split('-').next().unwrap_or("").to_ascii_lowercase());
        if matches!(lang, Lang::En | Lang::Pl | Lang::Ru) && quality > best.0 {
            best = (quality, lang);
        }
    }
    best.1
}

/// Draws the runs, which are ready and in the order of their time, of the set of that name.
pub(super) fn svg(name: &str, runs: &[QuestionSetRun], lang: Lang) -> String {
    let words = match lang {
        Lang::Pl => &PL,
        Lang::Ru => &RU,
        _ => &EN,
    };
    let mut out = String::with_capacity(8192);
    let description = match runs.iter().rev().find_map(|r| r.figures) {
        Some(f) => format!("{}: {}. {}/{} {}.", words.runs, runs.len(), f.total.right, f.total.of, words.newest),
        None => words.empty.to_owned(),
    };
    let _ = write!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" role=\"img\" lang=\"{}\" \
         aria-labelledby=\"plot-title plot-desc\" color=\"#6c7683\" font-family=\"system-ui, sans-serif\" font-size=\"14\">\
         <title id=\"plot-title\">{}: {}</title><desc id=\"plot-desc\">{}</desc>",
        words.lang,
        escaped(name),
        words.title,
        escaped(&description)
    );
    grid(&mut out);
    if runs.is_empty() {
        let (x, y) = ((FIELD.0 + FIELD.2) / 2.0, (FIELD.1 + FIELD.3) / 2.0);
        let _ = write!(out, "<text x=\"{x}\" y=\"{y}\" text-anchor=\"middle\" fill=\"currentColor\">{}</text>", words.empty);
    } else {
        lines(&mut out, runs, words);
        dates(&mut out, runs);
    }
    out.push_str("</svg>\n");
    out
}

/// A line for every quarter, with its percentage.
fn grid(out: &mut String) {
    for percent in [0, 25, 50, 75, 100] {
        let y = height(f64::from(percent) / 100.0);
        let _ = write!(
            out,
            "<line x1=\"{}\" x2=\"{}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"currentColor\" stroke-opacity=\"{}\"/>\
             <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"currentColor\">{percent}%</text>",
            FIELD.0,
            FIELD.2,
            if percent == 0 { 0.6 } else { 0.15 },
            FIELD.0 - 8.0,
            y + 4.5
        );
    }
}

fn lines(out: &mut String, runs: &[QuestionSetRun], words: &Words) {
    let newest = runs.iter().rev().find_map(|r| r.figures).unwrap_or_default();
    // What the parts are is only told where there are two of them.
    let parts = newest.answerable.of > 0 && newest.unanswerable.of > 0;
    let mut legend = Vec::from([(words.all, "", 2.5, 1.0)]);
    if parts {
        for (label, dashes, of) in [
            (words.answerable, "7 4", (|r| r.answerable) as fn(super::RunFigures) -> RightOf),
            (words.refused, "2 4", |r: super::RunFigures| r.unanswerable),
        ] {
            line(out, runs, of, dashes, 1.5, 0.75);
            legend.push((label, dashes, 1.5, 0.75));
        }
    }
    line(out, runs, |r| r.total, "", 2.5, 1.0);
    for (at, run) in runs.iter().enumerate() {
        if let Some(total) = run.figures.map(|f| f.total) {
            let _ = write!(
                out,
                "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"4\" fill=\"currentColor\"><title>{}: {}/{}</title></circle>",
                place(at, runs.len()),
                height(share(total)),
                date(run, 16).replace('T', " "),
                total.right,
                total.of
            );
        }
    }
    let (x, y) = (place(runs.len() - 1, runs.len()), height(share(newest.total)));
    let _ = write!(
        out,
        "<text x=\"{:.1}\" y=\"{:.1}\" fill=\"currentColor\" font-size=\"15\" font-weight=\"600\">{:.0}%</text>",
        x + 9.0,
        y + 5.0,
        share(newest.total) * 100.0
    );
    let mut x = FIELD.0;
    for (label, dashes, width, opacity) in legend {
        let _ = write!(
            out,
            "<line x1=\"{x:.0}\" x2=\"{:.0}\" y1=\"24\" y2=\"24\" stroke=\"currentColor\" stroke-width=\"{width}\" stroke-opacity=\"{opacity}\" \
             stroke-dasharray=\"{dashes}\"/><text x=\"{:.0}\" y=\"28.5\" fill=\"currentColor\">{label}</text>",
            x + 30.0,
            x + 38.0
        );
        // Letters of this size are about seven and a half wide; the gap before the next entry forgives the rest.
        x += 60.0 + label.chars().count() as f64 * 7.5;
    }
}

fn line(out: &mut String, runs: &[QuestionSetRun], of: impl Fn(super::RunFigures) -> RightOf, dashes: &str, width: f64, opacity: f64) {
    let mut points = String::new();
    for (at, run) in runs.iter().enumerate() {
        if let Some(part) = run.figures.map(&of).filter(|p| p.of > 0) {
            let _ = write!(points, "{:.1},{:.1} ", place(at, runs.len()), height(share(part)));
        }
    }
    let _ = write!(
        out,
        "<polyline points=\"{}\" fill=\"none\" stroke=\"currentColor\" stroke-width=\"{width}\" stroke-opacity=\"{opacity}\" stroke-dasharray=\"{dashes}\" \
         stroke-linejoin=\"round\" stroke-linecap=\"round\"/>",
        points.trim_end()
    );
}

/// Dates below the field: the first, the last and some between them, and no date twice.
fn dates(out: &mut String, runs: &[QuestionSetRun]) {
    let step = runs.len().saturating_sub(1).div_ceil(MAX_DATES - 1).max(1);
    let mut before = "";
    let all: Vec<String> = runs.iter().map(|r| date(r, 10)).collect();
    for (at, text) in all.iter().enumerate().step_by(step) {
        if text == before {
            continue;
        }
        before = text;
        let x = place(at, runs.len());
        let _ = write!(
            out,
            "<text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"{}\" fill=\"currentColor\">{text}</text>",
            FIELD.3 + 24.0,
            if at == 0 && runs.len() > 1 { "start" } else { "middle" }
        );
    }
}

/// Where the run at a place is between left and right.
fn place(at: usize, count: usize) -> f64 {
    if count < 2 { (FIELD.0 + FIELD.2) / 2.0 } else { FIELD.0 + 12.0 + (FIELD.2 - FIELD.0 - 48.0) * at as f64 / (count - 1) as f64 }
}

/// Where a share from 0 to 1 is between bottom and top.
fn height(share: f64) -> f64 {
    FIELD.3 - (FIELD.3 - FIELD.1) * share
}

fn share(part: RightOf) -> f64 {
    if part.of == 0 { 0.0 } else { part.right as f64 / part.of as f64 }
}

/// The first characters of a run's time, as RFC 3339 writes it.
fn date(run: &QuestionSetRun, length: usize) -> String {
    run.created_at.to_string().chars().take(length).collect()
}

fn escaped(text: &str) -> String {
    // Control characters are not allowed in XML, not even as references.
    let text: String = text.chars().filter(|c| !c.is_control()).collect();
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
