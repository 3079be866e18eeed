use std::sync::Barrier;

use super::*;
use crate::index::IndexError;

fn filled(dir: &Path) -> EmbeddedIndex {
    let (index, _) = open(dir);
    let mut other = document("a", "other", 1, &["common banana"]);
    other.source_id = "src2".to_owned();
    other.tags = vec!["hr".to_owned(), "policy".to_owned()];
    other.chunks[0].lang = Lang::Pl;
    index
        .replace_documents(vec![
            document("a", "fruit", 1, &["common apple", "common banana bread", "plum"]),
            other,
            document("b", "theirs", 1, &["common apple banana"]),
        ])
        .unwrap();
    index
}

#[test]
fn a_search_sees_its_tenant_only() {
    let dir = tempfile::tempdir().unwrap();
    let index = filled(dir.path());
    assert_eq!(ids(&words(&index, &Filter::tenant("b"), "banana")), ["theirs-0"]);
    assert_eq!(words(&index, &Filter::tenant("a"), "banana").len(), 2);
    assert!(words(&index, &Filter::tenant(""), "banana").is_empty());
    assert!(words(&index, &Filter::tenant("c"), "banana").is_empty());
    assert_eq!(ids(&index.dense(&Filter::tenant("b"), &vector("x"), 10).unwrap()), ["theirs-0"]);
}

#[test]
fn what_another_tenant_adds_or_deletes_changes_no_bit_of_a_result() {
    let dir = tempfile::tempdir().unwrap();
    let index = filled(dir.path());
    let mine = |index: &EmbeddedIndex| {
        let filter = Filter::tenant("a");
        let mut all = words(index, &filter, "common banana bread apple");
        all.extend(index.dense(&filter, &vector("banana"), 10).unwrap());
        all.iter().map(|h| (h.chunk_id.clone(), h.score.to_bits(), h.share.to_bits())).collect::<Vec<_>>()
    };
    let before = mine(&index);
    for n in 0..50 {
        index.replace_document(document("b", &format!("n{n}"), 1, &["banana bread common", "apple apple"])).unwrap();
    }
    assert_eq!(mine(&index), before);
    index.delete_source("b", "src").unwrap();
    assert_eq!(mine(&index), before);
    index.compact().unwrap();
    assert_eq!(mine(&index), before);
}

#[test]
fn every_filter_applies_before_ranking() {
    let dir = tempfile::tempdir().unwrap();
    let index = filled(dir.path());
    let all = Filter::tenant("a");
    let set = |id: &str| Some(vec![id.to_owned()]);
    let table = [
        (Filter { sources: set("src2"), ..all.clone() }, vec!["other-0"]),
        (Filter { sources: set("src"), ..all.clone() }, vec!["fruit-0", "fruit-1", "fruit-2"]),
        (Filter { documents: set("other"), ..all.clone() }, vec!["other-0"]),
        (Filter { tags: set("policy"), ..all.clone() }, vec!["other-0"]),
        (Filter { tags: Some(vec!["hr".to_owned(), "tag".to_owned()]), ..all.clone() }, vec!["fruit-0", "fruit-1", "fruit-2", "other-0"]),
        (Filter { lang: Some(Lang::Pl), ..all.clone() }, vec!["other-0"]),
        (Filter { lang: Some(Lang::En), sources: set("src2"), ..all.clone() }, vec![]),
        (Filter { sources: Some(Vec::new()), ..all.clone() }, vec![]),
        (Filter { documents: set("theirs"), ..all.clone() }, vec![]),
    ];
    for (filter, expected) in table {
        let near = index.dense(&filter, &vector("common"), 10).unwrap();
        let mut near = ids(&near);
        near.sort_unstable();
        assert_eq!(near, expected, "{filter:?}");
        let hits = words(&index, &filter, "common plum");
        let mut found = ids(&hits);
        found.sort_unstable();
        assert_eq!(found, expected, "{filter:?}");
        // With one place, the best allowed chunk takes it, whatever ranks before it unfiltered.
        assert_eq!(index.dense(&filter, &vector("common"), 1).unwrap().len(), expected.len().min(1));
    }
}

#[test]
fn the_filters_of_rights_types_moments_and_words_apply_before_ranking() {
    let dir = tempfile::tempdir().unwrap();
    let (index, _) = open(dir.path());
    let mut open_to_all = document("a", "all", 1, &["common apple", "common pear"]);
    open_to_all.mime = "text/html".to_owned();
    let mut of_ann = document("a", "ann", 1, &["common apple pear"]);
    (of_ann.readers, of_ann.updated_at) = (Some(vec!["ann".to_owned(), "hr".to_owned()]), 9);
    let mut of_nobody = document("a", "nobody", 1, &["common apple"]);
    of_nobody.readers = Some(Vec::new());
    index.replace_documents(vec![open_to_all, of_ann, of_nobody]).unwrap();
    let all = Filter::tenant("a");
    let list = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
    let set = |ids: &[&str]| Some(list(ids));
    let table = [
        (all.clone(), vec!["all-0", "all-1", "ann-0", "nobody-0"]),
        (Filter { readers: set(&["hr"]), ..all.clone() }, vec!["all-0", "all-1", "ann-0"]),
        (Filter { readers: set(&["bob"]), ..all.clone() }, vec!["all-0", "all-1"]),
        (Filter { readers: set(&[]), ..all.clone() }, vec!["all-0", "all-1"]),
        (Filter { mimes: set(&["text/html"]), ..all.clone() }, vec!["all-0", "all-1"]),
        (Filter { mimes: set(&[]), ..all.clone() }, vec![]),
        (Filter { updated_from: Some(9), ..all.clone() }, vec!["ann-0"]),
        (Filter { updated_from: Some(7), updated_until: Some(9), ..all.clone() }, vec!["all-0", "all-1", "nobody-0"]),
        (Filter { all_of: vec![list(&["appl"]), list(&["pear", "plum"])], ..all.clone() }, vec!["ann-0"]),
        (Filter { all_of: vec![list(&[])], ..all.clone() }, vec![]),
        (Filter { none_of: list(&["appl", "plum"]), ..all.clone() }, vec!["all-1"]),
        (Filter { none_of: list(&["pear"]), readers: set(&[]), ..all.clone() }, vec!["all-0"]),
    ];
    for (filter, expected) in table {
        let mut near: Vec<String> = index.dense(&filter, &vector("common"), 10).unwrap().into_iter().map(|h| h.chunk_id).collect();
        near.sort_unstable();
        assert_eq!(near, expected, "{filter:?}");
        assert_eq!(words(&index, &filter, "common").len(), expected.len(), "{filter:?}");
        assert_eq!(index.count(&filter), expected.len() as u64, "{filter:?}");
    }
}

#[test]
fn readers_and_media_type_survive_the_process() {
    let dir = tempfile::tempdir().unwrap();
    let (index, _) = open(dir.path());
    let mut of_ann = document("a", "ann", 1, &["common"]);
    (of_ann.readers, of_ann.mime, of_ann.updated_at) = (Some(vec!["ann".to_owned()]), "text/html".to_owned(), 9);
    index.replace_document(of_ann).unwrap();
    drop(index);
    let (index, _) = open(dir.path());
    let filter = Filter { mimes: Some(vec!["text/html".to_owned()]), updated_from: Some(9), ..Filter::tenant("a") };
    assert_eq!(index.count(&filter), 1);
    assert_eq!(index.count(&Filter { readers: Some(vec!["bob".to_owned()]), ..filter }), 0);
}

#[test]
fn a_filter_changes_who_is_shown_and_not_the_scores() {
    let dir = tempfile::tempdir().unwrap();
    let index = filled(dir.path());
    let all = words(&index, &Filter::tenant("a"), "banana");
    let one = words(&index, &Filter { sources: Some(vec!["src2".to_owned()]), ..Filter::tenant("a") }, "banana");
    assert_eq!(all.iter().find(|h| h.chunk_id == "other-0"), one.first());
}

#[test]
fn a_deleted_document_is_not_searchable() {
    let dir = tempfile::tempdir().unwrap();
    let index = filled(dir.path());
    index.delete_document("a", "other").unwrap();
    assert_eq!(ids(&words(&index, &Filter::tenant("a"), "banana")), ["fruit-1"]);
    assert!(!ids(&index.dense(&Filter::tenant("a"), &vector("banana"), 10).unwrap()).contains(&"other-0"));
    assert_eq!(index.vector("a", "other", "other-0").unwrap(), None);
}

#[test]
fn deleting_in_one_tenant_leaves_the_same_id_of_another() {
    let dir = tempfile::tempdir().unwrap();
    let (index, _) = open(dir.path());
    index.replace_documents(vec![document("a", "d", 1, &["common"]), document("b", "d", 1, &["common"])]).unwrap();
    index.delete_document("a", "d").unwrap();
    index.delete_source("a", "src").unwrap();
    assert!(words(&index, &Filter::tenant("a"), "common").is_empty());
    assert_eq!(words(&index, &Filter::tenant("b"), "common").len(), 1);
}

#[test]
fn a_deleted_source_is_not_searchable() {
    let dir = tempfile::tempdir().unwrap();
    let index = filled(dir.path());
    index.delete_source("a", "src").unwrap();
    assert_eq!(ids(&words(&index, &Filter::tenant("a"), "common banana apple")), ["other-0"]);
}

#[test]
fn deleting_what_is_not_there_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let index = filled(dir.path());
    let before = index.stats();
    index.delete_document("a", "nobody").unwrap();
    index.delete_document("nobody", "fruit").unwrap();
    index.delete_source("a", "nothing").unwrap();
    assert_eq!(index.stats(), before);
}

#[test]
fn a_new_version_takes_the_place_of_the_old_one() {
    let dir = tempfile::tempdir().unwrap();
    let index = filled(dir.path());
    index.replace_document(document("a", "fruit", 2, &["cherry"])).unwrap();
    assert!(words(&index, &Filter::tenant("a"), "plum apple").is_empty());
    assert_eq!(ids(&words(&index, &Filter::tenant("a"), "cherry")), ["fruit-0"]);
    let stale = index.replace_document(document("a", "fruit", 1, &["apple"])).unwrap_err();
    assert!(matches!(stale, IndexError::Stale { have: 2, given: 1, .. }));
    index.replace_document(document("a", "fruit", 2, &["melon"])).unwrap();
    assert_eq!(words(&index, &Filter::tenant("a"), "melon").len(), 1);
}

#[test]
fn an_index_with_a_history_scores_as_one_without() {
    let dir = tempfile::tempdir().unwrap();
    let fresh = tempfile::tempdir().unwrap();
    let (worn, _) = open(dir.path());
    let (new, _) = open(fresh.path());
    for version in 1..6 {
        worn.replace_document(document("a", "d1", version, &["common apple pie", "apple"])).unwrap();
        worn.replace_document(document("a", "gone", version, &["apple apple common"])).unwrap();
    }
    worn.delete_document("a", "gone").unwrap();
    worn.replace_document(document("a", "d2", 1, &["common pear"])).unwrap();
    new.replace_document(document("a", "d2", 1, &["common pear"])).unwrap();
    new.replace_document(document("a", "d1", 5, &["common apple pie", "apple"])).unwrap();
    let filter = Filter::tenant("a");
    assert_eq!(words(&worn, &filter, "common apple"), words(&new, &filter, "common apple"));
    assert_eq!(worn.dense(&filter, &vector("apple"), 5).unwrap(), new.dense(&filter, &vector("apple"), 5).unwrap());
}

#[test]
fn equal_scores_are_ordered_by_chunk_id() {
    let dir = tempfile::tempdir().unwrap();
    let (index, _) = open(dir.path());
    for id in ["m", "z", "a", "q"] {
        index.replace_document(document("a", id, 1, &["common"])).unwrap();
    }
    let filter = Filter::tenant("a");
    assert_eq!(ids(&words(&index, &filter, "common")), ["a-0", "m-0", "q-0", "z-0"]);
    assert_eq!(ids(&index.dense(&filter, &vector("common"), 2).unwrap()), ["a-0", "m-0"]);
    assert_eq!(index.lexical(&filter, &analyse_query("common", None).terms, 2).len(), 2);
    assert!(index.lexical(&filter, &analyse_query("common", None).terms, 0).is_empty());
}

#[test]
fn a_dense_score_is_the_cosine_of_the_full_vectors() {
    let dir = tempfile::tempdir().unwrap();
    let (index, _) = open(dir.path());
    let mut long = document("a", "d", 1, &["x"]);
    long.chunks[0].vector = Some(vec![3.0, 4.0, 0.0, 0.0]);
    index.replace_document(long).unwrap();
    let hit = &index.dense(&Filter::tenant("a"), &[10.0, 0.0, 0.0, 0.0], 1).unwrap()[0];
    assert!((hit.score - 0.6).abs() < 1e-6, "{hit:?}");
    let vector = index.vector("a", "d", "d-0").unwrap().unwrap();
    assert!((vector[0] - 0.6).abs() < 1e-6 && (vector[1] - 0.8).abs() < 1e-6);
}

#[test]
fn the_coded_scan_finds_what_an_exact_scan_finds() {
    let dir = tempfile::tempdir().unwrap();
    let (index, _) = EmbeddedIndex::open(dir.path(), "m", "1", 32).unwrap();
    let mut seed = 1_u32;
    let mut random = || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f32::from(u16::try_from(seed >> 16).unwrap()) / 32_768.0 - 1.0
    };
    let mut big = document("a", "d", 1, &[]);
    big.chunks = (0..2_000)
        .map(|n| IndexChunk {
            chunk_id: format!("c{n:05}"),
            lang: Lang::En,
            page: None,
            title: String::new(),
            text: String::new(),
            vector: Some((0..32).map(|_| random()).collect()),
        })
        .collect();
    index.replace_document(big).unwrap();
    for _ in 0..20 {
        let query: Vec<f32> = (0..32).map(|_| random()).collect();
        let exact = index.dense(&Filter::tenant("a"), &query, 2_000).unwrap();
        assert_eq!(exact[..10], index.dense(&Filter::tenant("a"), &query, 10).unwrap());
        assert!(exact.windows(2).all(|w| w[0].score >= w[1].score));
    }
}

#[test]
fn chunks_without_vectors_are_found_by_words_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let (index, _) = open(dir.path());
    let mut plain = document("a", "d", 1, &["common one", "common two"]);
    plain.chunks[0].vector = None;
    index.replace_document(plain).unwrap();
    assert_eq!(words(&index, &Filter::tenant("a"), "common").len(), 2);
    assert_eq!(ids(&index.dense(&Filter::tenant("a"), &vector("common"), 5).unwrap()), ["d-1"]);
    let state = &index.documents()[0];
    assert_eq!((state.chunks, state.vectors), (2, 1));
    assert_eq!(index.stats().vectors, 1);
}

#[test]
fn unusable_input_is_refused_by_the_name_of_its_field() {
    let dir = tempfile::tempdir().unwrap();
    let (index, _) = open(dir.path());
    let refused = |change: &dyn Fn(&mut IndexDocument)| {
        let mut bad = document("a", "d", 1, &["common", "more"]);
        change(&mut bad);
        index.replace_document(bad).unwrap_err().to_string()
    };
    assert!(refused(&|d| d.tenant.clear()).starts_with("tenant"));
    assert!(refused(&|d| d.document_id.clear()).starts_with("document_id"));
    assert!(refused(&|d| d.tags.push("a\0b".to_owned())).starts_with("tags"));
    assert!(refused(&|d| d.chunks[1].chunk_id = "d-0".to_owned()).starts_with("chunk_id"));
    assert!(refused(&|d| d.chunks[0].vector = Some(vec![1.0])).contains("has 1 dimensions"));
    assert!(refused(&|d| d.chunks[0].vector = Some(vec![f32::NAN; 4])).starts_with("vector"));
    assert!(refused(&|d| d.chunks[0].vector = Some(vec![0.0; 4])).starts_with("vector"));
    assert!(index.dense(&Filter::tenant("a"), &[1.0; 3], 5).is_err());
    assert!(index.dense(&Filter::tenant("a"), &[f32::INFINITY; 4], 5).is_err());
    assert!(index.documents().is_empty());
}

#[test]
fn a_share_tells_how_much_of_the_query_is_covered() {
    let dir = tempfile::tempdir().unwrap();
    let index = filled(dir.path());
    let share = |query: &str| words(&index, &Filter::tenant("a"), query).first().map_or(0.0, |h| h.share);
    assert!(share("plum") > share("plum submarine"));
    assert!(share("plum submarine") > share("plum submarine telescope harbour"));
    assert!(share("plum") <= 1.0);
}

#[test]
fn readers_go_on_while_writers_write_and_compact() {
    let dir = tempfile::tempdir().unwrap();
    let index = filled(dir.path());
    let start = Barrier::new(3);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            start.wait();
            for version in 2..80 {
                index.replace_document(document("a", "fruit", version, &["common apple", "common banana"])).unwrap();
                if version % 20 == 0 {
                    index.compact().unwrap();
                }
            }
        });
        for _ in 0..2 {
            scope.spawn(|| {
                start.wait();
                for _ in 0..300 {
                    // A document is replaced in one step: its chunks are never seen twice or not at all.
                    let hits = words(&index, &Filter::tenant("a"), "apple");
                    assert_eq!(ids(&hits), ["fruit-0"]);
                    assert!(index.dense(&Filter::tenant("a"), &vector("banana"), 10).unwrap().len() >= 3);
                }
            });
        }
    });
}

#[test]
fn a_rarer_word_has_the_higher_inverse_document_frequency() {
    let dir = tempfile::tempdir().unwrap();
    let index = filled(dir.path());
    let idf = |term: &str| index.idf("a", term);
    assert!(idf("common") < idf("plum") && idf("plum") < idf("submarin"));
    index.delete_document("a", "other").unwrap();
    assert!((idf("banana") - idf("plum")).abs() < 1e-6, "a dead chunk no longer counts");
    assert!(index.idf("nobody", "plum").abs() < f32::EPSILON);
}
