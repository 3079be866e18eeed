use std::collections::HashMap;
use std::sync::LazyLock;

use super::engines::Random;
use super::*;
use crate::analysis::{Alternative, QueryTerm, analyse};

/// Enough vectors for lists.
const MANY: usize = 40_000;
const WIDE: usize = 24;

/// Vectors in clusters of clusters, as texts are about subjects of fields.
static VECTORS: LazyLock<Vec<Vec<f32>>> = LazyLock::new(|| {
    let mut random = Random(3);
    let mut around = |centre: &[f32], spread: f32| centre.iter().map(|c| c + spread * random.normal()).collect::<Vec<f32>>();
    let fields: Vec<Vec<f32>> = (0..20).map(|_| around(&[0.0; WIDE], 1.0)).collect();
    let subjects: Vec<Vec<f32>> = (0..400).map(|i| around(&fields[i % 20], 0.7)).collect();
    (0..MANY).map(|i| unit(&around(&subjects[i * 7 % 400], 0.5))).collect()
});

fn unit(vector: &[f32]) -> Vec<f32> {
    let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    vector.iter().map(|x| x / length).collect()
}

/// Document `n` of ten chunks without words; its chunks are `n * 10` and so on.
fn vectors_only(n: usize, version: i64) -> IndexDocument {
    let chunks = (n * 10..(n + 1) * 10).map(|i| IndexChunk {
        chunk_id: format!("c{i:06}"),
        lang: Lang::En,
        page: None,
        title: String::new(),
        text: String::new(),
        vector: Some(VECTORS[i % MANY].clone()),
    });
    IndexDocument { source_id: format!("s{}", n % 1000), chunks: chunks.collect(), ..document("a", &format!("d{n:05}"), version, &[]) }
}

fn open_wide(dir: &Path) -> EmbeddedIndex {
    EmbeddedIndex::open(dir, "m", "1", WIDE).unwrap().0
}

fn fill(dir: &Path) -> EmbeddedIndex {
    let index = open_wide(dir);
    index.replace_documents((0..MANY / 10).map(|n| vectors_only(n, 1)).collect()).unwrap();
    index
}

fn queries() -> Vec<Vec<f32>> {
    let mut random = Random(5);
    (0..40).map(|_| unit(&VECTORS[random.below(MANY)].iter().map(|x| x + 0.05 * random.normal()).collect::<Vec<_>>())).collect()
}

/// The ten chunks nearest to `query` among those whose document is `allowed`, by their full vectors.
fn nearest(query: &[f32], allowed: impl Fn(usize) -> bool) -> Vec<String> {
    let mut scored: Vec<(f32, usize)> =
        (0..MANY).filter(|i| allowed(i / 10)).map(|i| (VECTORS[i].iter().zip(query).map(|(a, b)| a * b).sum(), i)).collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0));
    scored.iter().take(10).map(|(_, i)| format!("c{i:06}")).collect()
}

fn recall(index: &EmbeddedIndex, sources: Option<usize>) -> f64 {
    let filter = Filter { sources: sources.map(|n| (0..n).map(|s| format!("s{s}")).collect()), ..Filter::tenant("a") };
    let (mut found, mut all) = (0, 0);
    for query in queries() {
        let exact = nearest(&query, |document| sources.is_none_or(|n| document % 1000 < n));
        let hits = index.dense(&filter, &query, 10).unwrap();
        assert_eq!(hits.len(), exact.len());
        assert!(hits.iter().all(|h| sources.is_none_or(|n| h.document_id[1..].parse::<usize>().unwrap() % 1000 < n)));
        found += exact.iter().filter(|id| hits.iter().any(|h| h.chunk_id == **id)).count();
        all += exact.len();
    }
    found as f64 / all as f64
}

#[test]
fn lists_find_what_a_full_scan_finds_whatever_share_a_filter_leaves() {
    let dir = tempfile::tempdir().unwrap();
    let index = fill(dir.path());
    assert!(dir.path().join("index.lists").try_exists().unwrap());
    for sources in [None, Some(100), Some(10), Some(1)] {
        let recall = recall(&index, sources);
        assert!(recall >= 0.98, "{sources:?} sources of 1000: {recall}");
    }
}

#[test]
fn lists_follow_updates_deletions_compaction_and_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let index = fill(dir.path());
    let filter = Filter::tenant("a");
    for n in 0..40 {
        index.delete_document("a", &format!("d{n:05}")).unwrap();
    }
    // Documents that come after the lists were made.
    let added: Vec<usize> = (MANY / 10..MANY / 10 + 300).collect();
    index.replace_documents(added.iter().map(|n| vectors_only(*n, 1)).collect()).unwrap();
    index.replace_document(vectors_only(50, 2)).unwrap();
    let check = |index: &EmbeddedIndex| -> Vec<Vec<(String, u32)>> {
        let hits: Vec<Vec<Hit>> = (0..MANY).step_by(97).map(|i| index.dense(&filter, &VECTORS[i], 5).unwrap()).collect();
        for (i, hits) in (0..MANY).step_by(97).zip(&hits) {
            // The first 3,000 vectors are there twice, unless their first document was deleted.
            let own: Vec<String> =
                [i, i + MANY].into_iter().filter(|i| *i >= 400 && *i < MANY + 3000).map(|i| format!("c{i:06}")).collect();
            assert!(own.iter().all(|own| hits.iter().any(|h| h.chunk_id == *own)), "{i}: {hits:?}");
            assert!(hits.iter().all(|h| h.document_id.as_str() >= "d00040"), "{hits:?}");
        }
        hits.into_iter().map(|hits| hits.into_iter().map(|h| (h.chunk_id, h.score.to_bits())).collect()).collect()
    };
    let before = check(&index);
    index.compact().unwrap();
    assert_eq!(check(&index), before);
    drop(index);
    assert_eq!(check(&open_wide(dir.path())), before);
}

#[test]
fn a_damaged_file_of_lists_is_made_again_and_changes_no_result() {
    let dir = tempfile::tempdir().unwrap();
    drop(fill(dir.path()));
    let path = dir.path().join("index.lists");
    let whole = std::fs::read(&path).unwrap();
    let answers = |index: &EmbeddedIndex| -> Vec<Vec<Hit>> {
        queries().iter().map(|query| index.dense(&Filter::tenant("a"), query, 10).unwrap()).collect()
    };
    let right = answers(&open_wide(dir.path()));
    assert_eq!(std::fs::read(&path).unwrap(), whole, "a whole file is left alone");
    let flipped = |at: usize| whole.iter().enumerate().map(|(i, byte)| if i == at { byte ^ 1 } else { *byte }).collect::<Vec<u8>>();
    for damaged in [Vec::new(), whole[..7].to_vec(), whole[..whole.len() - 1].to_vec(), flipped(3), flipped(whole.len() / 2)] {
        std::fs::write(&path, damaged).unwrap();
        assert_eq!(answers(&open_wide(dir.path())), right);
        assert!(std::fs::read(&path).unwrap() == whole, "the same vectors give the same lists");
    }
    std::fs::remove_file(&path).unwrap();
    assert_eq!(answers(&open_wide(dir.path())), right);
}

#[test]
fn lists_of_other_vectors_are_not_used() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    drop(fill(dir.path()));
    let index = open_wide(other.path());
    index.replace_documents((0..MANY / 10).rev().map(|n| vectors_only(n, 1)).collect()).unwrap();
    drop(index);
    std::fs::copy(dir.path().join("index.lists"), other.path().join("index.lists")).unwrap();
    let index = open_wide(other.path());
    assert!(recall(&index, None) >= 0.98);
    assert_ne!(std::fs::read(dir.path().join("index.lists")).unwrap(), std::fs::read(other.path().join("index.lists")).unwrap());
}

const VOCABULARY: usize = 3_000;
/// Several windows of chunks, and words with hundreds of chunks.
const DOCUMENTS: usize = 3_600;

/// A word that analysis leaves as it is; the lower its number, the more common.
fn word(number: usize) -> String {
    let letter = |n: usize, of: &[u8]| char::from(of[n % of.len()]);
    let (consonants, vowels) = (b"bcdfgklmnprtv", b"aeiou");
    [letter(number, consonants), letter(number / 13, vowels), letter(number / 65, consonants), letter(number / 845, vowels), 'x']
        .iter()
        .collect()
}

fn common(random: &mut Random) -> String {
    word((VOCABULARY as f64).powf(random.unit()) as usize)
}

fn words_only(n: usize, random: &mut Random) -> IndexDocument {
    let texts: Vec<String> =
        (0..1 + n % 4).map(|_| (0..10 + random.below(60)).map(|_| common(random)).collect::<Vec<_>>().join(" ")).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let mut document = document("a", &format!("d{n:05}"), 1, &texts);
    document.source_id = format!("s{}", n % 50);
    document.chunks.iter_mut().for_each(|chunk| chunk.vector = None);
    document
}

/// Words with one to three forms, common and rare ones together, one that is in no chunk.
fn query(random: &mut Random) -> Vec<QueryTerm> {
    let form = |text: String, weight: f32| Alternative { text, weight };
    (0..1 + random.below(7))
        .map(|position| {
            let mut alternatives = vec![form(common(random), 1.0)];
            for _ in 0..random.below(3) {
                alternatives.push(form(common(random), 0.7));
            }
            if position == 5 {
                alternatives = vec![form("absent".to_owned(), 1.0)];
            }
            let weight = if position % 3 == 2 { 0.5 } else { 1.0 };
            QueryTerm { alternatives, weight, position: u32::try_from(position).unwrap(), start: 0, end: 0 }
        })
        .collect()
}

/// A chunk as the formula sees it.
struct Counted {
    chunk_id: String,
    source_id: String,
    words: HashMap<String, u32>,
    length: u32,
}

fn counted(all: &[IndexDocument]) -> Vec<Counted> {
    let chunks = all.iter().flat_map(|document| document.chunks.iter().map(move |chunk| (document, chunk)));
    let count = |(document, chunk): (&IndexDocument, &IndexChunk)| {
        let terms = analyse(&chunk.text, chunk.lang);
        let length = terms.last().map_or(0, |last| last.position + 1);
        let mut words = HashMap::new();
        terms.into_iter().for_each(|term| *words.entry(term.text).or_default() += 1);
        Counted { chunk_id: chunk.chunk_id.clone(), source_id: document.source_id.clone(), words, length }
    };
    chunks.map(count).collect()
}

/// BM25 of every chunk that holds a word, best first, as the formula is written down: what a word brings is a whole number of the
/// power of two that makes the best reachable score less than 2^24 of them.
fn ranking<'a>(all: &'a [Counted], terms: &[QueryTerm]) -> Vec<(&'a Counted, f32)> {
    let average = (all.iter().map(|c| u64::from(c.length)).sum::<u64>() as f64 / all.len() as f64) as f32;
    let shares = |term: &QueryTerm| -> Vec<f32> {
        let share = |chunk: &Counted, form: &Alternative| {
            let tf = chunk.words.get(&form.text).copied().unwrap_or(0) as f32;
            form.weight * tf / (tf + 0.9 * (1.0 - 0.4 + 0.4 * chunk.length as f32 / average))
        };
        all.iter().map(|chunk| term.alternatives.iter().map(|form| share(chunk, form)).fold(0.0, f32::max)).collect()
    };
    let words: Vec<(f32, Vec<f32>)> = terms
        .iter()
        .map(|term| {
            let shares = shares(term);
            let df = shares.iter().filter(|share| **share > 0.0).count() as f32;
            ((1.0 + (all.len() as f32 - df + 0.5) / (df + 0.5)).ln() * term.weight, shares)
        })
        .collect();
    let reachable: f32 = words.iter().map(|(idf, _)| idf).sum();
    let mut unit = 1.0_f32;
    while reachable / unit >= 16_777_216.0 {
        unit *= 2.0;
    }
    while reachable / (unit / 2.0) < 16_777_216.0 {
        unit /= 2.0;
    }
    let mut scores = vec![0.0_f64; all.len()];
    for (idf, shares) in words {
        let brings = |share: f32| if share > 0.0 { f64::from(idf * share / unit).floor().max(1.0) } else { 0.0 };
        scores.iter_mut().zip(shares).for_each(|(score, share)| *score += brings(share));
    }
    let scores = scores.into_iter().map(|units| (units * f64::from(unit)) as f32);
    let mut ranked: Vec<_> = all.iter().zip(scores).filter(|(_, score)| *score > 0.0).collect();
    ranked.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.chunk_id.cmp(&b.0.chunk_id)));
    ranked
}

#[test]
fn a_lexical_search_finds_bit_for_bit_what_scoring_every_chunk_finds() {
    let dir = tempfile::tempdir().unwrap();
    let (index, _) = open(dir.path());
    let mut random = Random(9);
    let mut all: Vec<IndexDocument> = (0..DOCUMENTS).map(|n| words_only(n, &mut random)).collect();
    // One that is longer than chunks are.
    let long: Vec<String> = (0..900).map(|_| common(&mut random)).collect();
    all[70].chunks[0].text = long.join(" ");
    index.replace_documents(all.clone()).unwrap();
    let compare = |index: &EmbeddedIndex, all: &[IndexDocument], random: &mut Random| {
        let all = counted(all);
        for round in 0..30 {
            let terms = query(random);
            let ranked = ranking(&all, &terms);
            for sources in [None, Some(vec!["s7".to_owned()]), Some((0..10).map(|s| format!("s{s}")).collect())] {
                let k = [1, 10, 50][round % 3];
                let shown = ranked.iter().filter(|(c, _)| sources.as_ref().is_none_or(|sources| sources.contains(&c.source_id)));
                let expected: Vec<_> = shown.take(k).map(|(c, score)| (c.chunk_id.clone(), score.to_bits())).collect();
                let filter = Filter { sources: sources.clone(), ..Filter::tenant("a") };
                let found: Vec<_> = index.lexical(&filter, &terms, k).into_iter().map(|h| (h.chunk_id, h.score.to_bits())).collect();
                assert_eq!(found, expected, "{sources:?} {terms:?}");
            }
        }
    };
    compare(&index, &all, &mut random);
    // The same with dead chunks in every list, and with equal scores by the hundred.
    for n in (0..DOCUMENTS).step_by(9) {
        all[n] = IndexDocument { version: 2, ..words_only(n, &mut random) };
    }
    index.replace_documents(all.iter().filter(|d| d.version == 2).cloned().collect()).unwrap();
    all.retain(|d| d.source_id != "s3");
    index.delete_source("a", "s3").unwrap();
    for n in DOCUMENTS..DOCUMENTS + 400 {
        all.push(document("a", &format!("d{n:05}"), 1, &["baba kada word"]));
        all.last_mut().unwrap().chunks[0].vector = None;
    }
    index.replace_documents(all[all.len() - 400..].to_vec()).unwrap();
    compare(&index, &all, &mut random);
}

#[test]
fn a_score_is_a_whole_number_of_units_that_a_float_holds_exactly() {
    for reachable in [0.0_f32, 1e-7, 0.3, 1.0, 15.9, 16.0, 700.0, 5e8] {
        let unit = crate::index::bm25::Unit::of(reachable);
        // What a chunk earns of a word is less than the word's weight.
        let most = unit.whole(reachable * 0.999);
        assert!(most < 1 << 24, "{reachable}: {most}");
        assert!(reachable < 1e-6 || most > 1 << 22, "{reachable}: {most}");
        assert!((unit.score(most as f32) - reachable * 0.999).abs() <= reachable.max(1e-6) / 4e6, "{reachable}");
    }
}
