//! `astrolabe eval`, run as the real binary.

use std::path::Path;

use serde_json::json;

use crate::support::Binary;

/// A collection of four documents, two of them equal, and three queries.
fn collection(folder: &Path) -> Vec<String> {
    let lines = |values: &[serde_json::Value]| values.iter().map(|v| format!("{v}\n")).collect::<String>();
    let documents = [
        json!({"_id": "ü/1", "title": "Backups", "text": "Backups are kept for 35 days. After that they are deleted."}),
        json!({"_id": "2", "title": "Pumps", "text": "The pump is serviced every spring <b>by hand</b> & tested."}),
        json!({"_id": "3", "title": "Pumps", "text": "The pump is serviced every spring <b>by hand</b> & tested."}),
        json!({"_id": "4", "title": "", "text": "Visitors sign the book at the gate and wear a badge."}),
        json!({"_id": "5", "title": "Nothing", "text": ""}),
    ];
    let queries = [
        json!({"_id": "a", "text": "how long are backups kept?", "answers": ["35 days"]}),
        json!({"_id": "b", "text": "when is the pump serviced?", "answers": ["every autumn"]}),
        json!({"_id": "c", "text": "badge for visitors"}),
    ];
    let qrels = "query-id\tcorpus-id\tscore\na\tü/1\t1\nb\t2\t1\nb\t3\t2\nc\t4\t1\n";
    for (name, text) in [("corpus.jsonl", lines(&documents)), ("queries.jsonl", lines(&queries)), ("qrels.tsv", qrels.to_owned())] {
        std::fs::write(folder.join(name), text).unwrap();
    }
    std::fs::write(folder.join("foreign.jsonl"), lines(&[json!({"_id": "x", "text": "who painted the ceiling of the chapel?"})])).unwrap();
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    [
        "eval".to_owned(),
        "--corpus".to_owned(),
        path("corpus.jsonl"),
        "--queries".to_owned(),
        path("queries.jsonl"),
        "--qrels".to_owned(),
        path("qrels.tsv"),
    ]
    .into()
}

fn run(binary: &Binary, args: &[String], more: &[&str]) -> crate::support::Ended {
    let all: Vec<&str> = args.iter().map(String::as_str).chain(more.iter().copied()).collect();
    binary.run(&all)
}

#[test]
fn a_collection_is_ingested_searched_and_measured_without_touching_the_data_directory() {
    let folder = tempfile::tempdir().unwrap();
    let binary = Binary::new(folder.path());
    let args = collection(folder.path());
    let ended = run(&binary, &args, &["--mode", "lexical", "--json"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.err.contains("1 documents could not be ingested, among them \"5\""), "{ended:?}");
    let figures = ended.json();
    let mut keys: Vec<&str> = figures.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    let wanted = [
        "chunks",
        "documents",
        "engine",
        "ingest_s",
        "mode",
        "mrr@10",
        "ndcg@10",
        "p50_ms",
        "p95_ms",
        "queries",
        "recall@10",
        "recall@100",
    ];
    assert_eq!(keys, wanted, "{figures}");
    assert_eq!((figures["mode"].as_str(), figures["engine"].as_str()), (Some("lexical"), Some("embedded")));
    // The chunks of equal documents are there once, and both documents are found.
    assert_eq!((figures["documents"].as_u64(), figures["chunks"].as_u64(), figures["queries"].as_u64()), (Some(4), Some(3), Some(3)));
    assert_eq!((figures["recall@10"].as_f64(), figures["mrr@10"].as_f64()), (Some(1.0), Some(1.0)), "{figures}");
    assert!(!binary.data_dir().try_exists().unwrap());
    let table = run(&binary, &args, &["--mode", "lexical"]);
    assert!(table.out.contains("lexical") && table.out.contains("nDCG@10"), "{table:?}");
}

#[test]
fn answers_are_compared_with_gold_strings_and_foreign_questions_must_be_refused() {
    let folder = tempfile::tempdir().unwrap();
    let binary = Binary::new(folder.path());
    let mut args = collection(folder.path());
    let foreign = folder.path().join("foreign.jsonl").to_str().unwrap().to_owned();
    args.extend(["--answers".to_owned(), "--unanswerable".to_owned(), foreign]);
    let ended = run(&binary, &args, &["--mode", "lexical", "--json"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let answers = ended.json()["answers"].clone();
    assert_eq!((answers["questions"].as_u64(), answers["unanswerable"].as_u64()), (Some(2), Some(1)), "{answers}");
    assert_eq!((answers["answered"].as_f64(), answers["gold_string"].as_f64()), (Some(1.0), Some(0.5)), "{answers}");
    assert_eq!((answers["right_citation"].as_f64(), answers["refused"].as_f64()), (Some(1.0), Some(1.0)), "{answers}");
}

#[test]
fn what_cannot_be_measured_is_told_before_anything_is_ingested() {
    let folder = tempfile::tempdir().unwrap();
    let binary = Binary::new(folder.path());
    let args = collection(folder.path());
    let dense = run(&binary, &args, &["--mode", "lexical,dense", "--json"]);
    assert_eq!(dense.code, 6, "{dense:?}");
    assert!(dense.json()["error"]["message"].as_str().unwrap().contains("embedding model"), "{dense:?}");
    let postgres = run(&binary, &args, &["--mode", "lexical", "--engine", "postgres"]);
    assert_eq!(postgres.code, 2, "{postgres:?}");
    assert!(postgres.err.contains("DATABASE_URL"), "{postgres:?}");
    std::fs::write(folder.path().join("corpus.jsonl"), "{\"_id\":\"1\",\"text\":\"x\"}\n{broken\n").unwrap();
    let broken = run(&binary, &args, &["--mode", "lexical"]);
    assert_eq!(broken.code, 2, "{broken:?}");
    assert!(broken.err.contains("corpus.jsonl, line 2: is not JSON"), "{broken:?}");
    assert_eq!(binary.run(&["eval"]).code, 2);
    assert_eq!(binary.run(&["eval", "--corpus", "x"]).code, 2);
}

#[test]
fn ones_own_questions_are_asked_and_judged() {
    let folder = tempfile::tempdir().unwrap();
    let binary = Binary::new(folder.path());
    let documents = folder.path().join("documents");
    std::fs::create_dir_all(&documents).unwrap();
    std::fs::write(documents.join("backup.md"), "# Backups\n\nBackups are kept for 35 days. After that they are deleted.\n").unwrap();
    assert_eq!(binary.run(&["ingest", documents.to_str().unwrap(), "--source", "manuals"]).code, 0);
    let questions = folder.path().join("questions.jsonl");
    let lines = [
        json!({"id": "1", "question": "How long are backups kept?", "document": "backup.md", "answer_any": ["35 days"]}),
        json!({"id": "2", "question": "How long are backups kept?", "answer_patterns": ["3[0-9] days"]}),
        json!({"id": "3", "question": "Who painted the ceiling of the chapel?", "answerable": false}),
        json!({"id": "4", "question": "How long are backups kept?", "answer_any": ["5 days"]}),
    ];
    std::fs::write(&questions, lines.iter().map(|l| format!("{l}\n")).collect::<String>()).unwrap();
    let file = questions.to_str().unwrap();
    let ended = binary.run(&["eval", "--source", "manuals", "--questions", file, "--at-least", "3", "--json"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let report = ended.json();
    assert_eq!((report["total"]["right"].as_u64(), report["total"]["of"].as_u64()), (Some(3), Some(4)), "{report}");
    assert_eq!(report["questions"][3]["verdict"], "wrong_answer");
    assert_eq!(binary.run(&["eval", "--questions", file, "--at-least", "4"]).code, 3);
    // The same with a server.
    let server = binary.serve();
    let over = binary.run(&["eval", "--source", "manuals", "--questions", file]);
    assert!(over.code == 0 && over.out.contains("3/4 right"), "{over:?}");
    server.stop();
    std::fs::write(&questions, "{\"id\":\"1\",\"question\":\"How long are backups kept?\",\"answer_patterns\":[\"35 days(\"]}\n").unwrap();
    let plain = binary.run(&["eval", "--questions", file]);
    assert!(plain.code == 0 && plain.out.contains("0/1 right"), "{plain:?}");
    assert!(plain.err.contains("line 1: answer_patterns[0] is not a regular expression: unclosed group; it is looked for"), "{plain:?}");
    std::fs::write(&questions, "{\"id\":\"1\",\"question\":\"\"}\n").unwrap();
    let broken = binary.run(&["eval", "--questions", file]);
    assert_eq!(broken.code, 2, "{broken:?}");
    assert!(broken.err.contains("line 1: question: must be 1 to 2000 characters"), "{broken:?}");
}
