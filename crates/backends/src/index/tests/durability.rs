use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::path::Path;

use super::*;
use crate::index::IndexError;

/// Writes a history step by step; returns the log's length and what was visible after each step, the empty state first.
fn history(dir: &Path) -> Vec<(usize, Vec<String>)> {
    let (index, _) = open(dir);
    let mut states = vec![(log_len(dir), visible(&index))];
    let mut step = |done: Result<(), IndexError>| {
        done.unwrap();
        states.push((log_len(dir), visible(&index)));
    };
    step(index.replace_document(document("a", "d1", 1, &["common red"])));
    step(index.replace_document(document("a", "d2", 1, &["common green", "common blue"])));
    step(index.replace_document(document("b", "d1", 1, &["common black"])));
    step(index.replace_document(document("a", "d1", 2, &["common white"])));
    step(index.delete_document("a", "d2"));
    step(index.replace_document(document("a", "d3", 1, &["common grey"])));
    step(index.delete_source("b", "src"));
    states
}

fn log_len(dir: &Path) -> usize {
    usize::try_from(fs::metadata(dir.join("index.log")).unwrap().len()).unwrap()
}

fn with_log(bytes: &[u8], check: impl FnOnce(Result<(EmbeddedIndex, OpenReport), IndexError>)) {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("index.log"), bytes).unwrap();
    check(EmbeddedIndex::open(dir.path(), "minilm", "1", DIMS));
}

#[test]
fn an_index_cut_at_any_byte_opens_with_exactly_the_writes_that_were_whole() {
    let dir = tempfile::tempdir().unwrap();
    let states = history(dir.path());
    let log = fs::read(dir.path().join("index.log")).unwrap();
    let header = states[0].0;
    for cut in 0..=log.len() {
        let expected = states.iter().rev().find(|(len, _)| *len <= cut);
        with_log(&log[..cut], |opened| {
            let (index, report) = opened.unwrap();
            match expected {
                Some((len, state)) => {
                    assert_eq!(&visible(&index), state, "cut at {cut}");
                    assert_eq!(report.truncated_bytes, (cut - len) as u64, "cut at {cut}");
                    assert!(!report.rebuilt && report.damaged_bytes == 0, "cut at {cut}: {report:?}");
                }
                None => {
                    assert!(cut < header && report.rebuilt && report.notice.is_some(), "cut at {cut}: {report:?}");
                    assert!(index.documents().is_empty());
                }
            }
            // What was opened can be written to again; every few bytes, since it waits for the disk.
            if cut % 16 == 0 {
                index.replace_document(document("a", "d9", 1, &["common after"])).unwrap();
            }
        });
    }
}

#[test]
fn a_flipped_byte_costs_the_record_it_is_in_and_invents_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let states = history(dir.path());
    let log = fs::read(dir.path().join("index.log")).unwrap();
    // Everything that was ever written: a damaged log may show less or older, never something else.
    let written: BTreeSet<String> = states.iter().flat_map(|(_, s)| s.iter().filter(|line| line.contains(" v")).cloned()).collect();
    let complete = &states[states.len() - 1].1;
    for at in 0..log.len() {
        let mut flipped = log.clone();
        flipped[at] ^= if at % 2 == 0 { 0x01 } else { 0x80 };
        with_log(&flipped, |opened| {
            let (index, report) = opened.unwrap();
            let found = index.documents();
            for document in &found {
                let line = format!("{} {} v{} {}", document.tenant, document.document_id, document.version, document.chunks);
                assert!(written.contains(&line), "byte {at}: {line}");
            }
            let noticed = report.rebuilt || report.damaged_bytes > 0 || report.truncated_bytes > 0;
            assert!(noticed, "byte {at} changed unnoticed");
            if !report.rebuilt && report.truncated_bytes == 0 {
                // Records behind the damage are still there.
                let record = states.iter().position(|(len, _)| *len > at).unwrap();
                if record != 6 {
                    assert!(found.iter().any(|d| d.document_id == "d3"), "byte {at} lost a record behind it");
                }
            }
            drop(index);
        });
    }
    assert!(complete.iter().any(|line| line.starts_with("a d3 v1")));
}

#[test]
fn a_damaged_body_is_reported_by_name_and_its_older_version_is_not_served() {
    let dir = tempfile::tempdir().unwrap();
    let states = history(dir.path());
    let mut log = fs::read(dir.path().join("index.log")).unwrap();
    let end_of_second_version = states[4].0;
    log[end_of_second_version - 1] ^= 1;
    with_log(&log, |opened| {
        let (index, report) = opened.unwrap();
        assert_eq!(report.damaged, [("a".to_owned(), "d1".to_owned())]);
        assert!(index.documents().iter().all(|d| d.document_id != "d1"));
        assert!(report.notice.unwrap().contains("skipped"));
    });
}

#[test]
fn a_reopened_index_answers_bit_for_bit_as_before() {
    let dir = tempfile::tempdir().unwrap();
    let states = history(dir.path());
    let (index, report) = open(dir.path());
    assert_eq!(visible(&index), states[states.len() - 1].1);
    assert_eq!((report.documents, report.chunks, report.rebuilt), (2, 2, false));
}

#[test]
fn a_compacted_index_answers_bit_for_bit_as_before_and_is_smaller() {
    let dir = tempfile::tempdir().unwrap();
    let states = history(dir.path());
    let before = log_len(dir.path());
    let (index, _) = open(dir.path());
    let ratio = index.stats().live_ratio;
    index.compact().unwrap();
    assert_eq!(visible(&index), states[states.len() - 1].1);
    assert!(log_len(dir.path()) < before && index.stats().live_ratio > ratio);
    // Vectors are read from the new file, and it can be written to and opened again.
    index.replace_document(document("a", "d4", 1, &["common late"])).unwrap();
    let then = visible(&index);
    drop(index);
    assert_eq!(visible(&open(dir.path()).0), then);
}

#[test]
fn a_log_that_is_mostly_dead_compacts_itself() {
    let dir = tempfile::tempdir().unwrap();
    let (index, _) = open(dir.path());
    index.replace_document(document("a", "keep", 1, &["common keep"])).unwrap();
    for version in 1..=12 {
        let mut big = document("a", "big", version, &["filler"]);
        big.tags = vec!["x".repeat(300_000)];
        index.replace_document(big).unwrap();
    }
    let stats = index.stats();
    assert!(stats.bytes_on_disk < 2_200_000, "{stats:?}");
    assert_eq!(ids(&words(&index, &Filter::tenant("a"), "common")), ["keep-0"]);
    assert_eq!(index.documents().iter().find(|d| d.document_id == "big").unwrap().version, 12);
}

#[test]
fn a_snapshot_is_a_valid_index_though_writes_and_compactions_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let states = history(dir.path());
    let (index, _) = open(dir.path());
    let mut snapshot = index.snapshot().unwrap();
    index.replace_document(document("a", "d1", 3, &["common later"])).unwrap();
    index.compact().unwrap();
    let mut bytes = Vec::new();
    (&mut snapshot.file).take(snapshot.len).read_to_end(&mut bytes).unwrap();
    assert_eq!(snapshot.file_name, "index.log");
    with_log(&bytes, |opened| assert_eq!(visible(&opened.unwrap().0), states[states.len() - 1].1));
}

#[test]
fn a_log_of_a_newer_format_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    history(dir.path());
    let path = dir.path().join("index.log");
    let mut log = fs::read(&path).unwrap();
    log[8] += 1;
    let crc = crc32fast::hash(&log[..12]);
    log[12..16].copy_from_slice(&crc.to_le_bytes());
    fs::write(&path, &log).unwrap();
    let error = EmbeddedIndex::open(dir.path(), "minilm", "1", DIMS).unwrap_err();
    assert!(matches!(error, IndexError::NewerFormat { found, supported, .. } if found == supported + 1), "{error}");
    assert!(error.to_string().contains("run the newer version"));
    assert_eq!(fs::read(&path).unwrap(), log);
}

#[test]
fn a_log_of_another_embedding_starts_empty_and_says_so() {
    for (alias, version, dims) in [("other", "1", DIMS), ("minilm", "2", DIMS), ("minilm", "1", DIMS + 1)] {
        let dir = tempfile::tempdir().unwrap();
        history(dir.path());
        let (index, report) = EmbeddedIndex::open(dir.path(), alias, version, dims).unwrap();
        assert!(report.rebuilt && report.notice.unwrap().contains("another embedding"));
        assert!(index.documents().is_empty());
    }
}

#[test]
fn a_new_directory_is_made_without_a_complaint() {
    let dir = tempfile::tempdir().unwrap();
    let (_index, report) = open(&dir.path().join("deep/down"));
    assert!(report.rebuilt && report.notice.is_none());
}

#[test]
fn a_second_process_on_the_directory_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (index, _) = open(dir.path());
    let error = EmbeddedIndex::open(dir.path(), "minilm", "1", DIMS).unwrap_err();
    assert!(matches!(error, IndexError::Locked { .. }) && error.to_string().contains("another process"), "{error}");
    drop(index);
    open(dir.path());
}

#[test]
fn a_directory_that_is_no_directory_is_an_error_that_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "x").unwrap();
    let error = EmbeddedIndex::open(&file, "minilm", "1", DIMS).unwrap_err();
    assert!(error.to_string().contains(&file.display().to_string()), "{error}");
}

#[test]
fn a_failed_compaction_leaves_the_index_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let (index, _) = open(dir.path());
    index.replace_document(document("a", "d1", 1, &["common"])).unwrap();
    let before = visible(&index);
    // The new log cannot be made where a directory of its name stands.
    fs::create_dir(dir.path().join("index.log.next")).unwrap();
    assert!(matches!(index.compact(), Err(IndexError::Io { .. })));
    assert_eq!(visible(&index), before);
    index.replace_document(document("a", "d2", 1, &["common"])).unwrap();
}

#[test]
fn damage_that_appears_while_running_stops_a_compaction() {
    let dir = tempfile::tempdir().unwrap();
    let (index, _) = open(dir.path());
    index.replace_document(document("a", "d1", 1, &["common one"])).unwrap();
    index.replace_document(document("a", "d2", 1, &["common two"])).unwrap();
    let path = dir.path().join("index.log");
    let log = fs::read(&path).unwrap();
    let mut flipped = log.clone();
    let middle = log.windows(2).rposition(|w| w == b"d1").unwrap() + 8;
    flipped[middle] ^= 1;
    fs::write(&path, &flipped).unwrap();
    assert!(matches!(index.compact(), Err(IndexError::Damaged { .. })));
    assert_eq!(index.documents().len(), 2);
}

#[test]
fn a_write_to_a_full_disk_fails_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (index, _) = open(dir.path());
    index.replace_document(document("a", "d1", 1, &["common one"])).unwrap();
    let before = (visible(&index), index.stats());
    // A device that is always full stands in for the log.
    let full = fs::OpenOptions::new().read(true).write(true).open("/dev/full").unwrap();
    let log = index.swap_log_file(full.into());
    let error = index.replace_document(document("a", "d1", 2, &["common two"])).unwrap_err();
    assert!(error.to_string().contains("free disk space"), "{error}");
    assert!(index.delete_document("a", "d1").is_err());
    assert_eq!((visible(&index), index.stats()), before);
    index.swap_log_file(log);
    index.replace_document(document("a", "d1", 2, &["common two"])).unwrap();
    let after = visible(&index);
    drop(index);
    assert_eq!(visible(&open(dir.path()).0), after);
}

#[test]
fn what_a_cut_compaction_left_is_removed_on_open() {
    let dir = tempfile::tempdir().unwrap();
    let states = history(dir.path());
    fs::write(dir.path().join("index.log.next"), "half").unwrap();
    let (index, report) = open(dir.path());
    assert_eq!(visible(&index), states[states.len() - 1].1);
    assert_eq!(report.truncated_bytes, 0);
    assert!(!dir.path().join("index.log.next").try_exists().unwrap());
}
