//! Rules of search that need no socket.

use std::{collections::BTreeMap, time::Duration};

use astrolabe_backends::analysis::{Lang, analyse_query};
use astrolabe_kernel::{Id, Timestamp};

use super::{
    Found, Only, Ranking, Search, SearchMode, Span, documents::documents_of, fold::Fingerprint, highlight::highlights, passages::page,
};
use crate::{documents::Document, ingest::index_document, tests::Setup};

/// A chunk of a document, at a place in it.
fn chunk(document: &str, ordinal: i64, text: &str) -> Found {
    let mut found = Found::of_text(text);
    let length = i64::try_from(text.chars().count()).unwrap();
    found.chunk_id = Id::derived(format!("{document} {ordinal}").as_bytes());
    found.chunk_ids = vec![found.chunk_id];
    found.document_id = Id::derived(document.as_bytes());
    found.ordinals = (ordinal, ordinal);
    (found.start, found.end) = (ordinal * 100, ordinal * 100 + length);
    found
}

fn ranges(passages: &[Found]) -> Vec<(i64, i64)> {
    passages.iter().map(|p| p.ordinals).collect()
}

const RULE: &str = "The ferry leaves the pier every morning as soon as the keeper has counted all the birds, and it carries whoever has paid at the \
                    office. Children travel with their parents and pay nothing, dogs travel on deck, bicycles are tied to the rail.";

#[test]
fn a_text_with_another_number_name_or_negation_says_something_else() {
    let print = |text: &str| Fingerprint::of(text);
    let near = |other: String| print(RULE).is_near(&print(&other));
    assert!(near(RULE.to_owned()));
    assert!(near(RULE.replace("rail", "bench")), "one word at the end");
    assert!(!near(format!("{RULE} It costs 12 crowns.")));
    assert!(!near(RULE.replace("at the office", "in Gdynia")));
    assert!(!near(RULE.replace("dogs travel", "dogs never travel")));
    assert!(!print("The fee is 12 crowns.").is_near(&print("The fee is 14 crowns.")));
    assert!(!print("").is_near(&print(RULE)));
}

#[test]
fn likeness_is_the_share_of_common_runs_of_three_words() {
    let print = |text: &str| Fingerprint::of(text);
    let likeness = print("one two three four").likeness(&print("one two three five"));
    assert!((likeness - 1.0 / 3.0).abs() < 1e-6, "{likeness}");
    assert!((print(RULE).likeness(&print(RULE)) - 1.0).abs() < 1e-6);
    assert!(print(RULE).likeness(&print("nothing in common here at all")) < 1e-6);
}

#[test]
fn what_says_the_same_is_folded_into_the_better_one() {
    let ranked = vec![chunk("a", 0, RULE), chunk("b", 0, &RULE.replace("rail", "bench")), chunk("c", 0, "Gulls"), chunk("d", 0, RULE)];
    let page = page(ranked, 0, 10, true);
    assert_eq!(page.passages.iter().map(|p| p.folded).collect::<Vec<_>>(), [2, 0]);
    assert_eq!((page.consumed, page.more), (4, false));
}

#[test]
fn neighbours_become_one_passage_at_the_place_of_the_better_one() {
    let ranked = vec![chunk("a", 4, "d"), chunk("b", 0, "x"), chunk("a", 2, "b"), chunk("a", 3, "c"), chunk("a", 9, "far")];
    let joined = page(ranked.clone(), 0, 10, true);
    assert_eq!(ranges(&joined.passages), [(2, 4), (0, 0), (9, 9)], "the chunk between two passages joins them");
    assert_eq!((joined.passages[0].start, joined.passages[0].end), (200, 401));
    let ids: Vec<_> = [2, 3, 4].iter().map(|o| Id::derived(format!("a {o}").as_bytes())).collect();
    assert_eq!((joined.passages[0].chunk_ids.clone(), joined.passages[0].chunk_id), (ids.clone(), ids[2]));
    assert_eq!(page(ranked, 0, 10, false).passages.len(), 5);
}

#[test]
fn neighbours_of_other_sections_or_beyond_2400_characters_stay_apart() {
    let mut other = chunk("a", 1, "b");
    other.heading = "Other".to_owned();
    assert_eq!(page(vec![chunk("a", 0, "a"), other], 0, 10, true).passages.len(), 2);
    let (mut first, mut second) = (chunk("a", 0, "a"), chunk("a", 1, "b"));
    (first.end, second.start, second.end) = (1500, 1400, 2401);
    assert_eq!(page(vec![first.clone(), second.clone()], 0, 10, true).passages.len(), 2);
    second.end = 2400;
    assert_eq!(page(vec![first, second], 0, 10, true).passages.len(), 1);
}

#[test]
fn pages_follow_each_other_without_gap_or_repetition() {
    let ranked: Vec<Found> = (0..9).map(|i| chunk(["a", "b", "c"][i % 3], i as i64 / 3, &format!("text {i}"))).collect();
    let (mut from, mut seen) = (0, Vec::new());
    for _ in 0..9 {
        let page = page(ranked.clone(), from, 1, true);
        seen.extend(page.passages.iter().flat_map(|p| p.chunk_ids.clone()));
        from = page.consumed;
        if !page.more {
            break;
        }
    }
    let mut all: Vec<_> = ranked.iter().map(|f| f.chunk_id).collect();
    seen.sort();
    all.sort();
    assert_eq!(seen, all);
}

#[test]
fn what_an_earlier_page_has_said_is_not_said_again() {
    let ranked = vec![chunk("a", 0, RULE), chunk("b", 0, RULE), chunk("c", 0, "Gulls")];
    let second = page(ranked, 1, 1, true);
    assert_eq!(second.passages.iter().map(|p| p.text.as_str()).collect::<Vec<_>>(), ["Gulls"]);
}

#[test]
fn a_documents_best_chunk_decides_and_further_ones_tell_equal_ones_apart() {
    let ranked = documents_of([("a", 0.5), ("b", 0.4), ("c", 0.4), ("b", 0.4), ("a", 0.1)].into_iter());
    assert_eq!(ranked.iter().map(|(id, _, chunks)| (*id, *chunks)).collect::<Vec<_>>(), [("a", 2), ("b", 2), ("c", 1)]);
    assert!(ranked.iter().all(|(_, score, _)| (0.0..=1.0).contains(score)));
    assert!(documents_of(std::iter::empty::<(u8, f64)>()).is_empty());
}

#[test]
fn highlights_are_characters_and_words_in_any_form() {
    let query = analyse_query("łodzie", None);
    assert_eq!(highlights("Żółta łódź i łodzi.", Lang::Pl, &query), [Span { start: 6, end: 10 }, Span { start: 13, end: 18 }]);
    assert!(highlights("", Lang::Pl, &query).is_empty());
    assert_eq!(highlights(&"gull ".repeat(1000), Lang::En, &analyse_query("gulls", None)).len(), 200);
}

#[test]
fn a_document_loses_with_age_half_of_what_it_can_lose_in_a_half_life() {
    let ranking = Ranking { freshness: 0.4, half_life_days: 10, tags: BTreeMap::from([("rules".to_owned(), 2.0)]) };
    let day = Duration::from_secs(86_400);
    let now = Timestamp::from_micros(1_700_000_000_000_000);
    let factor = |age: Duration| ranking.boosts(now.minus(age), &[], now).iter().map(|b| b.factor).product::<f64>();
    assert!(
        (factor(Duration::ZERO) - 1.0).abs() < 1e-9 && (factor(day * 10) - 0.8).abs() < 1e-9 && (factor(day * 3650) - 0.6).abs() < 1e-9
    );
    let tagged = ranking.boosts(now, &["rules".to_owned(), "other".to_owned()], now);
    assert_eq!(tagged.iter().map(|b| (b.from.as_str(), b.factor)).collect::<Vec<_>>(), [("tag:rules", 2.0)]);
    assert!(Ranking::default().boosts(now.minus(day * 999), &["rules".to_owned()], now).is_empty());
    assert!(ranking.boosts(now.plus(day), &[], now).is_empty(), "a clock that was set back makes nothing young");
}

/// Lets only `readers` read a document, as the index keeps it.
async fn restrict(s: &Setup, id: Id<Document>, readers: &[&str]) {
    let document = s.document(id).await;
    let mut indexed = index_document(s.caller.principal.tenant, &document, s.pieces(id).await, |_| None);
    indexed.readers = Some(readers.iter().map(|r| (*r).to_owned()).collect());
    s.knowledge.index().unwrap().replace_documents(vec![indexed]).await.unwrap();
}

#[tokio::test]
async fn nothing_that_a_caller_may_not_read_is_found_counted_folded_or_told_by_scores() {
    let s = Setup::new().await;
    let source = s.source("rules").await;
    let open = s.ingest(&source, "open.txt", RULE).await;
    let secret = s.ingest(&source, "secret.txt", RULE.replace("rail", "bench")).await;
    s.ingest(&source, "gulls.txt", "Gulls ride the ferry for nothing.").await;
    restrict(&s, secret.id, &["anna"]).await;
    let search = |readers: Option<&[&str]>| Search {
        only: Only { readers: readers.map(|r| r.iter().map(|r| (*r).to_owned()).collect()), ..Only::default() },
        explain: true,
        join: true,
        ..Search::new("ferry bench bicycles", 10)
    };
    let who = &s.caller.principal;
    for (readers, total, folded, restricted) in
        [(None, 3, 1, false), (Some(&["anna"][..]), 3, 1, false), (Some(&["piotr"][..]), 2, 0, true), (Some(&[][..]), 2, 0, true)]
    {
        let search = search(readers);
        let found = s.knowledge.search(who, &search).await.unwrap().found;
        assert_eq!(s.knowledge.count_matching(who, &search).await.unwrap(), total, "{readers:?}");
        let facets = s.knowledge.facets(who, &search).await.unwrap();
        assert_eq!((facets.sources[0].count, facets.langs[0].count, facets.mimes[0].count), (total, total, total), "{readers:?}");
        assert_eq!(found.iter().map(|f| f.folded).sum::<u32>(), folded, "{readers:?}");
        assert_eq!(found.iter().any(|f| f.document_id == secret.id), !restricted, "{readers:?}");
        for passage in &found {
            let why = passage.explanation.as_ref().unwrap();
            assert_eq!(why.restricted, restricted, "{readers:?}");
            let tells = why.fused.is_some()
                || why.lexical.as_ref().is_some_and(|l| l.score.is_some() || l.share.is_some())
                || why.matched.iter().any(|m| m.idf.is_some());
            assert_eq!(tells, !restricted, "{readers:?}: {why:?}");
        }
        if restricted {
            assert_eq!(found[0].document_id, open.id);
            assert_eq!(found.iter().map(|f| f.score).collect::<Vec<_>>(), [1.0, 1.0 / 1.1], "by place alone");
        }
        let documents = s.knowledge.find_documents(who, &search).await.unwrap().found;
        assert_eq!(documents.iter().any(|d| d.document_id == secret.id), !restricted, "{readers:?}");
    }
}

#[tokio::test]
async fn a_search_of_one_side_asks_that_side_alone() {
    let s = Setup::new().await;
    let source = s.source("rules").await;
    s.ingest(&source, "a.txt", RULE).await;
    let by_words = Search { mode: SearchMode::Lexical, ..Search::new("ferry", 5) };
    assert_eq!(s.knowledge.search(&s.caller.principal, &by_words).await.unwrap().found.len(), 1);
    let by_meaning = Search { mode: SearchMode::Dense, ..Search::new("ferry", 5) };
    let Err(refused) = s.knowledge.search(&s.caller.principal, &by_meaning).await else { panic!("there is no embedder") };
    assert_eq!(refused.code().name, "invalid_state");
}
