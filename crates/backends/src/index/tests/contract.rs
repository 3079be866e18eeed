//! What [`SearchIndex`] promises, on every engine.

use super::engines::{Engine, Random, engines, lexical, list, postgres};
use super::*;
use crate::analysis::{Alternative, QueryTerm, analyse};
use crate::index::{IndexError, PostgresIndex, SearchIndex};

/// Three documents of tenant `a` and one of tenant `b`, which differ in everything that a filter looks at.
async fn filled() -> Vec<Engine> {
    let mut all = document("a", "all", 1, &["common apple", "common pear plum"]);
    (all.mime, all.source_id, all.tags) = ("text/html".to_owned(), "src1".to_owned(), list(&["red", "blue"]));
    let mut ann = document("a", "ann", 1, &["common apple pear"]);
    (ann.readers, ann.updated_at, ann.tags) = (Some(list(&["ann", "hr"])), 9, list(&["it's \"{a},b\\"]));
    ann.chunks[0].lang = Lang::Pl;
    let mut nobody = document("a", "nobody", 1, &["common apple"]);
    nobody.readers = Some(Vec::new());
    let other = document("b", "all", 1, &["common apple theirs"]);
    let engines = engines(DIMS).await;
    for engine in &engines {
        engine.replace_documents(vec![all.clone(), ann.clone(), nobody.clone(), other.clone()]).await.unwrap();
    }
    engines
}

async fn found(engine: &Engine, filter: &Filter) -> Vec<String> {
    let sorted = |hits: Vec<Hit>| {
        let mut ids: Vec<String> = hits.into_iter().map(|h| h.chunk_id).collect();
        ids.sort_unstable();
        ids
    };
    let near = sorted(engine.dense(filter, &vector("common"), 10).await.unwrap());
    assert_eq!(near, sorted(lexical(&**engine, filter, "common", 10).await), "{} {filter:?}", engine.kind());
    assert_eq!(engine.count(filter).await.unwrap(), near.len() as u64, "{} {filter:?}", engine.kind());
    near
}

#[tokio::test]
async fn filters_apply_one_by_one_and_together_to_words_vectors_and_counts() {
    let set = |ids: &[&str]| Some(list(ids));
    let a = Filter::tenant("a");
    let everything = vec!["all-0", "all-1", "ann-0", "nobody-0"];
    let table = [
        (a.clone(), everything.clone()),
        (Filter::tenant("b"), vec!["all-0"]),
        (Filter::tenant("c"), vec![]),
        (Filter::tenant(""), vec![]),
        (Filter::tenant("a\0"), vec![]),
        (Filter { sources: set(&["src1"]), ..a.clone() }, vec!["all-0", "all-1"]),
        (Filter { sources: set(&[]), ..a.clone() }, vec![]),
        (Filter { sources: set(&["src1", "src", "no\0t"]), ..a.clone() }, everything.clone()),
        (Filter { documents: set(&["ann", "all"]), ..a.clone() }, vec!["all-0", "all-1", "ann-0"]),
        (Filter { documents: set(&["all"]), ..Filter::tenant("b") }, vec!["all-0"]),
        (Filter { readers: set(&["hr"]), ..a.clone() }, vec!["all-0", "all-1", "ann-0"]),
        (Filter { readers: set(&["bob"]), ..a.clone() }, vec!["all-0", "all-1"]),
        (Filter { readers: set(&[]), ..a.clone() }, vec!["all-0", "all-1"]),
        (Filter { tags: set(&["blue", "none"]), ..a.clone() }, vec!["all-0", "all-1"]),
        (Filter { tags: set(&["it's \"{a},b\\"]), ..a.clone() }, vec!["ann-0"]),
        (Filter { tags: set(&[]), ..a.clone() }, vec![]),
        (Filter { lang: Some(Lang::Pl), ..a.clone() }, vec!["ann-0"]),
        (Filter { lang: Some(Lang::Ru), ..a.clone() }, vec![]),
        (Filter { mimes: set(&["text/html"]), ..a.clone() }, vec!["all-0", "all-1"]),
        (Filter { mimes: set(&["text/h"]), ..a.clone() }, vec![]),
        (Filter { updated_from: Some(9), ..a.clone() }, vec!["ann-0"]),
        (Filter { updated_until: Some(9), ..a.clone() }, vec!["all-0", "all-1", "nobody-0"]),
        (Filter { updated_from: Some(i64::MIN), updated_until: Some(i64::MAX), ..a.clone() }, everything.clone()),
        (Filter { updated_from: Some(8), updated_until: Some(8), ..a.clone() }, vec![]),
        (Filter { all_of: vec![list(&["appl"])], ..a.clone() }, vec!["all-0", "ann-0", "nobody-0"]),
        (Filter { all_of: vec![list(&["appl"]), list(&["pear", "plum"])], ..a.clone() }, vec!["ann-0"]),
        (Filter { all_of: vec![list(&["plum", "their"])], ..a.clone() }, vec!["all-1"]),
        (Filter { all_of: vec![list(&[])], ..a.clone() }, vec![]),
        (Filter { none_of: list(&["appl", "no\0t"]), ..a.clone() }, vec!["all-1"]),
        (Filter { none_of: list(&["absent"]), ..a.clone() }, everything),
        (Filter { all_of: vec![list(&["appl"])], none_of: list(&["pear"]), ..a.clone() }, vec!["all-0", "nobody-0"]),
        (Filter { all_of: vec![list(&["appl"])], readers: set(&[]), lang: Some(Lang::En), ..a.clone() }, vec!["all-0"]),
        (Filter { none_of: list(&["plum"]), readers: set(&["ann"]), lang: Some(Lang::Pl), ..a.clone() }, vec!["ann-0"]),
        (Filter { none_of: list(&["plum"]), tags: set(&["red"]), mimes: set(&["text/html"]), sources: set(&["src1"]), ..a }, vec!["all-0"]),
    ];
    for engine in filled().await {
        for (filter, expected) in &table {
            assert_eq!(found(&engine, filter).await, *expected, "{} {filter:?}", engine.kind());
            // With one place, the best allowed chunk takes it, whatever ranks before it unfiltered.
            assert_eq!(engine.dense(filter, &vector("common"), 1).await.unwrap().len(), expected.len().min(1));
            assert_eq!(lexical(&*engine, filter, "common", 1).await.len(), expected.len().min(1));
        }
    }
}

#[tokio::test]
async fn a_filter_changes_no_score_and_another_tenant_changes_no_bit() {
    for engine in filled().await {
        let a = Filter::tenant("a");
        let all = lexical(&*engine, &a, "common apple plum", 10).await;
        let one = Filter { documents: Some(list(&["ann"])), ..a.clone() };
        assert_eq!(lexical(&*engine, &one, "common apple plum", 10).await[0], *all.iter().find(|h| h.document_id == "ann").unwrap());
        for n in 0..20 {
            engine.replace_documents(vec![document("b", &format!("n{n}"), 1, &["common apple plum", "pear"])]).await.unwrap();
        }
        assert_eq!(lexical(&*engine, &a, "common apple plum", 10).await, all);
        engine.delete_source("b", "src").await.unwrap();
        assert_eq!(lexical(&*engine, &a, "common apple plum", 10).await, all);
        assert_eq!(found(&engine, &Filter::tenant("b")).await, Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_new_version_takes_the_place_of_the_old_one_and_an_older_one_is_refused() {
    for engine in filled().await {
        let a = Filter::tenant("a");
        engine.replace_documents(vec![document("a", "all", 2, &["common cherry"])]).await.unwrap();
        assert_eq!(found(&engine, &a).await, ["all-0", "ann-0", "nobody-0"]);
        assert!(lexical(&*engine, &a, "plum", 10).await.is_empty());
        let mixed = vec![document("a", "new", 1, &["common"]), document("a", "all", 1, &["common"])];
        let error = engine.replace_documents(mixed).await.unwrap_err();
        assert!(matches!(&error, IndexError::Stale { document_id, have: 2, given: 1 } if document_id == "all"), "{error}");
        assert_eq!(found(&engine, &a).await, ["all-0", "ann-0", "nobody-0"], "one refused document refuses all");
        // The same version again, and of two with one id the later one.
        let twice = vec![document("a", "all", 2, &["common melon"]), document("a", "all", 2, &["common grape"])];
        engine.replace_documents(twice).await.unwrap();
        assert_eq!(lexical(&*engine, &a, "grape", 10).await.len(), 1);
        assert!(lexical(&*engine, &a, "melon cherry", 10).await.is_empty());
        assert_eq!(lexical(&*engine, &Filter::tenant("b"), "common", 10).await.len(), 1);
    }
}

#[tokio::test]
async fn what_is_deleted_is_gone_and_counts_no_more() {
    for engine in filled().await {
        let a = Filter::tenant("a");
        let before = engine.idf("a", &list(&["plum", "absent"])).await.unwrap();
        engine.delete_document("a", "all").await.unwrap();
        engine.delete_document("a", "absent\0").await.unwrap();
        engine.delete_document("nobody", "ann").await.unwrap();
        assert_eq!(found(&engine, &a).await, ["ann-0", "nobody-0"]);
        let after = engine.idf("a", &list(&["plum", "absent"])).await.unwrap();
        assert!(after[0] > 0.0 && after[0].to_bits() == after[1].to_bits() && before[0] < before[1], "{before:?} {after:?}");
        assert_eq!(engine.vectors("a", &[("all".to_owned(), "all-0".to_owned())]).await.unwrap(), [None]);
        engine.delete_source("a", "src").await.unwrap();
        engine.delete_source("a", "src").await.unwrap();
        assert_eq!(found(&engine, &a).await, Vec::<String>::new());
        assert_eq!(engine.idf("a", &list(&["common"])).await.unwrap(), [0.0]);
        assert_eq!(engine.documents().await.unwrap().len(), 1, "the other tenant's");
        engine.clear().await.unwrap();
        let stats = engine.stats().await.unwrap();
        assert_eq!((stats.documents, stats.chunks, stats.vectors), (0, 0, 0));
        engine.replace_documents(vec![document("a", "again", 1, &["common"])]).await.unwrap();
        assert_eq!(found(&engine, &a).await, ["again-0"]);
    }
}

#[tokio::test]
async fn documents_are_listed_in_order_with_their_versions_and_sizes() {
    for engine in filled().await {
        let mut plain = document("a", "plain", 7, &["common one", "common two"]);
        plain.chunks[0].vector = None;
        engine.replace_documents(vec![plain, document("a", "empty", 1, &[])]).await.unwrap();
        let states = engine.documents().await.unwrap();
        let short: Vec<_> = states
            .iter()
            .map(|s| format!("{} {} {} v{} {}/{}", s.tenant, s.source_id, s.document_id, s.version, s.vectors, s.chunks))
            .collect();
        assert_eq!(
            short,
            [
                "a src1 all v1 2/2",
                "a src ann v1 1/1",
                "a src empty v1 0/0",
                "a src nobody v1 1/1",
                "a src plain v7 1/2",
                "b src all v1 1/1"
            ]
        );
        let stats = engine.stats().await.unwrap();
        assert_eq!((stats.documents, stats.chunks, stats.vectors), (6, 7, 6));
        assert!(stats.bytes_on_disk > 0 && stats.live_ratio > 0.0);
        let near = engine.dense(&Filter::tenant("a"), &vector("common"), 10).await.unwrap();
        assert!(near.len() == 5 && near.iter().all(|h| h.chunk_id != "plain-0"), "a chunk without a vector is not near anything");
    }
}

#[tokio::test]
async fn equal_scores_are_ordered_by_chunk_id_and_the_cut_respects_it() {
    for engine in engines(DIMS).await {
        for id in ["m", "z", "a", "Q"] {
            engine.replace_documents(vec![document("a", id, 1, &["common"])]).await.unwrap();
        }
        let filter = Filter::tenant("a");
        assert_eq!(ids(&lexical(&*engine, &filter, "common", 10).await), ["Q-0", "a-0", "m-0", "z-0"]);
        assert_eq!(ids(&lexical(&*engine, &filter, "common", 2).await), ["Q-0", "a-0"]);
        assert_eq!(ids(&engine.dense(&filter, &vector("common"), 2).await.unwrap()), ["Q-0", "a-0"]);
        assert!(lexical(&*engine, &filter, "common", 0).await.is_empty());
        assert!(engine.dense(&filter, &vector("common"), 0).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_dense_score_is_the_cosine_and_a_stored_vector_has_length_one() {
    for engine in engines(DIMS).await {
        let mut long = document("a", "d", 1, &["x", "y"]);
        long.chunks[0].vector = Some(vec![3.0, 4.0, 0.0, 0.0]);
        long.chunks[1].vector = None;
        engine.replace_documents(vec![long]).await.unwrap();
        let hit = &engine.dense(&Filter::tenant("a"), &[10.0, 0.0, 0.0, 0.0], 1).await.unwrap()[0];
        assert!((hit.score - 0.6).abs() < 1e-3 && (hit.share - 0.6).abs() < 1e-3, "{hit:?}");
        let against = engine.dense(&Filter::tenant("a"), &[-10.0, 0.0, 0.0, 0.0], 1).await.unwrap();
        assert!((against[0].score + 0.6).abs() < 1e-3 && against[0].share == 0.0, "{against:?}");
        let named = |document: &str, chunk: &str| (document.to_owned(), chunk.to_owned());
        let wanted = [named("d", "none"), named("d", "d-0"), named("d", "d-1"), named("n\0", "d-0"), named("d", "d-0")];
        let vectors = engine.vectors("a", &wanted).await.unwrap();
        assert_eq!(vectors.iter().map(Option::is_some).collect::<Vec<_>>(), [false, true, false, false, true]);
        assert!(vectors[1].iter().flatten().zip([0.6, 0.8, 0.0, 0.0]).all(|(a, b)| (a - b).abs() < 1e-3), "{vectors:?}");
        assert_eq!(engine.vectors("b", &wanted).await.unwrap(), vec![None; 5]);
        assert!(engine.vectors("a", &[]).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn unusable_input_is_refused_by_the_name_of_its_field_and_changes_nothing() {
    type Change = fn(&mut IndexDocument);
    let table: [(&str, Change); 14] = [
        ("tenant:", |d| d.tenant.clear()),
        ("tenant:", |d| d.tenant.push('\0')),
        ("source_id:", |d| d.source_id.clear()),
        ("document_id:", |d| d.document_id.clear()),
        ("document_id:", |d| d.document_id.push('\0')),
        ("mime:", |d| d.mime.push('\0')),
        ("tags:", |d| d.tags.push("\0".to_owned())),
        ("readers:", |d| d.readers = Some(vec!["\0".to_owned()])),
        ("chunk_id:", |d| d.chunks[1].chunk_id = "d-0".to_owned()),
        ("chunk_id:", |d| d.chunks[1].chunk_id.clear()),
        ("chunk_id:", |d| d.chunks[1].chunk_id.push('\0')),
        ("vector has 1 dimensions", |d| d.chunks[0].vector = Some(vec![1.0])),
        ("vector:", |d| d.chunks[0].vector = Some(vec![f32::NAN; 4])),
        ("vector:", |d| d.chunks[1].vector = Some(vec![0.0; 4])),
    ];
    for engine in engines(DIMS).await {
        for (field, change) in table {
            let mut bad = document("a", "d", 1, &["common", "more"]);
            change(&mut bad);
            let error = engine.replace_documents(vec![document("a", "good", 1, &["x"]), bad]).await.unwrap_err().to_string();
            assert!(error.starts_with(field), "{error}");
        }
        engine.replace_documents(Vec::new()).await.unwrap();
        assert!(engine.documents().await.unwrap().is_empty());
        engine.replace_documents(vec![document("a", "d", 1, &["common"])]).await.unwrap();
        for bad in [vec![1.0; 3], vec![f32::INFINITY; 4], vec![f32::NAN; 4], vec![0.0; 4], vec![]] {
            assert!(engine.dense(&Filter::tenant("a"), &bad, 5).await.is_err(), "{bad:?}");
        }
    }
}

#[tokio::test]
async fn odd_text_and_odd_queries_are_taken_as_they_are() {
    for engine in engines(DIMS).await {
        let odd = ["nul \0 inside common", "", "   ", "\u{202e}عربى common 😀", "'; DROP TABLE x; -- {\"a\"} \\ common", "%_*?"];
        engine.replace_documents(vec![document("a", "odd '\"{}\\,", 1, &odd)]).await.unwrap();
        let filter = Filter::tenant("a");
        assert_eq!(engine.count(&filter).await.unwrap(), 6);
        assert_eq!(lexical(&*engine, &filter, "common", 10).await.len(), 3);
        assert_eq!(lexical(&*engine, &filter, "nul \0 inside", 10).await.len(), 1);
        let of = Filter { documents: Some(list(&["odd '\"{}\\,"])), ..filter.clone() };
        assert_eq!(lexical(&*engine, &of, "drop table", 10).await.len(), 1);
        let term =
            |text: String| QueryTerm { alternatives: vec![Alternative { text, weight: 1.0 }], weight: 1.0, position: 0, start: 0, end: 0 };
        let mut terms: Vec<QueryTerm> = (0..10_000).map(|n| term(format!("word{n}"))).collect();
        terms.push(term("common".to_owned()));
        terms.push(term("nul\0".to_owned()));
        terms.push(term(String::new()));
        terms.push(QueryTerm { alternatives: Vec::new(), ..term(String::new()) });
        assert_eq!(engine.lexical(&filter, &terms, 10).await.unwrap().len(), 3);
        assert!(engine.lexical(&filter, &[], 10).await.unwrap().is_empty());
        assert_eq!(engine.idf("a", &list(&["nul\0", ""])).await.unwrap().len(), 2);
    }
}

/// Documents of several languages and sizes, some replaced, some deleted again.
async fn worn(engine: &Engine, random: &mut Random) {
    let mut batch = Vec::new();
    for n in 0..250 {
        let texts: Vec<String> = (0..1 + random.below(4))
            .map(|_| {
                let words = 3 + random.below(60);
                random.text(words, 400)
            })
            .collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let mut document = document("a", &format!("d{}", n % 200), 1 + n / 200, &texts);
        for chunk in &mut document.chunks {
            chunk.lang = [Lang::En, Lang::Pl, Lang::Ru, Lang::Other][random.below(4)];
            chunk.title = random.text(3, 400);
        }
        batch.push(document);
        if batch.len() > 30 || n >= 200 {
            engine.replace_documents(std::mem::take(&mut batch)).await.unwrap();
        }
    }
    engine.replace_documents(batch).await.unwrap();
    for n in 0..20 {
        engine.delete_document("a", &format!("d{}", n * 9)).await.unwrap();
    }
}

#[tokio::test]
async fn every_engine_gives_the_same_order_of_words_and_scores_before_and_after_maintenance() {
    let engines = engines(DIMS).await;
    for engine in &engines {
        worn(engine, &mut Random(5)).await;
    }
    let (first, others) = engines.split_first().unwrap();
    let mut random = Random(9);
    for round in 0..2 {
        for _ in 0..60 {
            let words = 1 + random.below(8);
            let query = random.text(words, 400);
            let k = 1 + random.below(80);
            let langs = [None, Some(Lang::Pl)];
            let filter = Filter { lang: langs[random.below(2)], ..Filter::tenant("a") };
            let expected = lexical(&**first, &filter, &query, k).await;
            for other in others {
                let given = lexical(&**other, &filter, &query, k).await;
                assert_eq!(ids(&given), ids(&expected), "{} {query:?} {k}", other.kind());
                for (a, b) in given.iter().zip(&expected) {
                    assert!((a.score - b.score).abs() <= b.score * 1e-6 && (a.share - b.share).abs() <= 1e-6, "{a:?} {b:?}");
                }
                let near =
                    (other.dense(&filter, &vector(&query), 10).await.unwrap(), first.dense(&filter, &vector(&query), 10).await.unwrap());
                assert!(near.0.iter().zip(&near.1).all(|(a, b)| (a.score - b.score).abs() < 2e-3), "{near:?}");
            }
        }
        if round == 0 {
            for engine in &engines {
                engine.maintain().await.unwrap();
            }
        }
    }
}

#[tokio::test]
async fn writers_and_readers_of_several_processes_do_not_disturb_each_other() {
    for engine in filled().await {
        let work = (0..6).map(|n| {
            let index = engine.index.clone();
            async move {
                for version in 1..=8 {
                    let texts = ["common fig", "common date"];
                    // Half of the writers write the same document, the others one each.
                    let id = if n % 2 == 0 { "shared".to_owned() } else { format!("own{n}") };
                    match index.replace_documents(vec![document("a", &id, version, &texts), document("b", &id, version, &texts)]).await {
                        Ok(()) | Err(IndexError::Stale { .. }) => {}
                        Err(error) => panic!("{error}"),
                    }
                    // A document is replaced in one step: its chunks are never seen twice or not at all.
                    let one = Filter { documents: Some(vec![id]), ..Filter::tenant("a") };
                    assert_eq!(lexical(&*index, &one, "common", 10).await.len(), 2);
                    if n == 0 {
                        index.maintain().await.unwrap();
                    }
                }
            }
        });
        futures_of(work).await;
        assert_eq!(engine.count(&Filter::tenant("a")).await.unwrap(), 4 + 4 * 2);
        assert_eq!(lexical(&*engine, &Filter::tenant("a"), "fig", 10).await.len(), 4);
    }
}

async fn futures_of(work: impl Iterator<Item = impl Future<Output = ()> + Send + 'static>) {
    let mut set = tokio::task::JoinSet::new();
    work.for_each(|work| drop(set.spawn(work)));
    while let Some(done) = set.join_next().await {
        done.unwrap();
    }
}

#[tokio::test]
async fn a_generation_without_vectors_searches_by_words_and_needs_no_extension() {
    let Some((db, _folder)) = postgres().await else { return };
    let index = PostgresIndex::open(db.clone(), "words", "1", 0).await.unwrap();
    let mut plain = document("a", "d", 1, &["common apple"]);
    plain.chunks[0].vector = None;
    index.replace_documents(vec![plain]).await.unwrap();
    index.maintain().await.unwrap();
    assert_eq!(lexical(&index, &Filter::tenant("a"), "apple", 5).await.len(), 1);
    assert!(matches!(index.dense(&Filter::tenant("a"), &[1.0], 5).await, Err(IndexError::Dimensions { expected: 0, found: 1 })));
    assert_eq!(index.vectors("a", &[("d".to_owned(), "d-0".to_owned())]).await.unwrap(), [None]);
    let extensions: i64 =
        db.read_all().await.unwrap().one("SELECT COUNT(*) FROM pg_extension WHERE extname = 'vector'", &[]).await.unwrap();
    assert_eq!(extensions, 0);
}

#[tokio::test]
async fn what_one_process_wrote_another_finds_and_other_generations_are_apart() {
    let Some((db, _folder)) = postgres().await else { return };
    let open = |version: &'static str| PostgresIndex::open(db.clone(), "minilm", version, DIMS);
    let (one, two, other) = (open("1").await.unwrap(), open("1").await.unwrap(), open("2").await.unwrap());
    one.replace_documents(vec![document("a", "d", 1, &["common"])]).await.unwrap();
    assert_eq!(lexical(&two, &Filter::tenant("a"), "common", 5).await.len(), 1);
    assert!(other.documents().await.unwrap().is_empty());
    two.delete_document("a", "d").await.unwrap();
    assert!(one.documents().await.unwrap().is_empty());
    // A day later nobody has used the first generation.
    let mut tx = db.write_all().await.unwrap();
    tx.execute("UPDATE search_generations SET used_at = used_at - 90000000000 WHERE version = '1'", &[]).await.unwrap();
    tx.commit().await.unwrap();
    other.maintain().await.unwrap();
    let left: Vec<String> = db.read_all().await.unwrap().all("SELECT version FROM search_generations", &[]).await.unwrap();
    assert_eq!(left, ["2"]);
    assert!(one.documents().await.is_err());
}

#[tokio::test]
async fn merging_makes_one_row_of_many_and_forgets_the_words_of_the_dead() {
    let Some((db, _folder)) = postgres().await else { return };
    let index = PostgresIndex::open(db.clone(), "minilm", "1", DIMS).await.unwrap();
    for n in 0..40 {
        index.replace_documents(vec![document("a", &format!("d{n}"), 1, &["common apple"])]).await.unwrap();
    }
    for version in 2..30 {
        let documents = (0..20).map(|n| document("a", &format!("d{n}"), version, &["common pear"])).collect();
        index.replace_documents(documents).await.unwrap();
    }
    let table: String = db.read_all().await.unwrap().one("SELECT name FROM search_generations", &[]).await.unwrap();
    let count =
        async |what: &str| db.read_all().await.unwrap().one::<i64>(format!("SELECT COUNT(*) FROM {table}_{what}"), &[]).await.unwrap();
    let before = lexical(&index, &Filter::tenant("a"), "common pear", 50).await;
    assert!(count("dead").await >= 500 && count("postings").await > 60);
    index.maintain().await.unwrap();
    assert_eq!((count("dead").await, count("postings").await), (0, analyse("common apple pear", Lang::En).len() as i64));
    assert_eq!(lexical(&index, &Filter::tenant("a"), "common pear", 50).await, before);
}

#[tokio::test]
async fn sqlite_is_refused_with_the_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let db = astrolabe_kernel::Db::open(&format!("sqlite://{}", folder.path().join("x.db").display()), 1).await.unwrap();
    let error = PostgresIndex::open(db, "minilm", "1", DIMS).await.unwrap_err().to_string();
    assert!(error.contains("database.url") && error.contains("knowledge.index_engine"), "{error}");
}

#[tokio::test]
async fn near_terms_are_those_of_the_tenants_chunks_and_the_same_on_every_engine() {
    let engines = engines(DIMS).await;
    let mut all = Vec::new();
    for engine in &engines {
        let mut polish = document("a", "pl", 1, &["krytyka krytyce krytyków drukarka żółwia zolwik zgłoszenie"]);
        polish.chunks[0].lang = Lang::Pl;
        let english = document("a", "en", 1, &["printer printers E-4012 configuration", "printed printing config"]);
        let gone = document("a", "gone", 1, &["painter"]);
        let theirs = document("b", "theirs", 1, &["pinter"]);
        engine.replace_documents(vec![polish, english, gone, theirs]).await.unwrap();
        engine.delete_document("a", "gone").await.unwrap();
        let near = async |tenant: &str, query: &str, lang| {
            let lookups = analyse_query(query, Some(lang)).lookups();
            let found = engine.near_terms(tenant, &lookups).await.unwrap();
            assert_eq!(found.len(), lookups.len(), "{} {query}", engine.kind());
            found.into_iter().flatten().map(|near| near.text).collect::<Vec<_>>()
        };
        let mut found = Vec::new();
        for (query, lang, expected) in [
            ("pritner", Lang::En, Some("printer")),
            ("rpinter", Lang::En, Some("printer")),
            ("printer", Lang::En, None),
            ("E-4013", Lang::En, None),
            ("conf*", Lang::En, Some("config")),
            ("drukrka", Lang::Pl, Some("drukark")),
            ("krytykę", Lang::Pl, Some("krytyc")),
            ("zolwia", Lang::Pl, Some("zolwik")),
            ("zgło*", Lang::Pl, Some("zgłoszen")),
            ("painter", Lang::En, Some("printer")),
            ("unrelated", Lang::En, None),
        ] {
            let near = near("a", query, lang).await;
            match expected {
                Some(term) => assert!(near.iter().any(|t| t == term), "{} {query}: {near:?}", engine.kind()),
                None => assert!(near.is_empty(), "{} {query}: {near:?}", engine.kind()),
            }
            assert!(near.iter().all(|t| t != "painter" && t != "pinter"), "{} {query}: {near:?}", engine.kind());
            found.push(near);
        }
        assert!(near("c", "pritner", Lang::En).await.is_empty());
        all.push(found);
    }
    assert!(all.windows(2).all(|pair| pair[0] == pair[1]), "{all:?}");
}
