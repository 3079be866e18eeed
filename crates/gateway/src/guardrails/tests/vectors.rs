//! What is personal data and what only looks like it, in English, Polish and Russian.

use super::*;

include!("vectors_table.rs");

#[test]
fn what_is_personal_is_found_whole_and_by_its_kind() {
    let mut wrong = Vec::new();
    for (kind, before, value, after) in FOUND {
        let out = masked(&format!("{before}{value}{after}"));
        let expected = format!("{before}[{kind}_1]{after}");
        if out != expected {
            wrong.push(format!("{before}{value}{after}\n    gave     {out}\n    expected {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_only_looks_personal_is_left() {
    let wrong: Vec<String> = LEFT
        .iter()
        .map(|text| (text, masked(text)))
        .filter(|(text, out)| *text != out)
        .map(|(text, out)| format!("{text}\n    gave {out}"))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn there_are_two_hundred_cases() {
    assert!(FOUND.len() + LEFT.len() >= 200, "{} and {}", FOUND.len(), LEFT.len());
}
