//! Rights hold in every result, on every engine: many readers who may read little or much, against plain counting.
//!
//! 500 documents by default; `RIGHTS_DOCUMENTS=10000` in the environment for the size of the promise.

use std::collections::{HashMap, HashSet};

use super::engines::{Random, engines, lexical};
use super::*;
use crate::analysis::analyse;

const READERS: usize = 50;
const WIDE: usize = 32;
const VOCABULARY: usize = 800;

/// A chunk as the test keeps it, to count by hand.
struct Known {
    id: String,
    document: usize,
    counts: HashMap<String, f64>,
    length: f64,
    vector: Vec<f32>,
}

struct Corpus {
    documents: Vec<IndexDocument>,
    chunks: Vec<Known>,
    /// By document.
    readers: Vec<Option<HashSet<usize>>>,
}

fn size() -> usize {
    #[expect(clippy::disallowed_methods, reason = "the test run's own setting")]
    std::env::var("RIGHTS_DOCUMENTS").ok().and_then(|n| n.parse().ok()).unwrap_or(500)
}

/// Reader `n` may read a share of the documents between 0.1 % and all of them.
fn share(reader: usize) -> f64 {
    1000_f64.powf(reader as f64 / (READERS - 1) as f64 - 1.0)
}

fn corpus(documents: usize) -> Corpus {
    let mut random = Random(3);
    let mut corpus = Corpus { documents: Vec::new(), chunks: Vec::new(), readers: Vec::new() };
    for number in 0..documents {
        let mut document = document("a", &format!("d{number:05}"), 1, &[]);
        // A few are for everybody; the last reader may read the rest as well.
        let readers = (random.below(1000) > 0).then(|| (0..READERS).filter(|r| random.unit() < share(*r)).collect::<HashSet<_>>());
        document.readers = readers.as_ref().map(|ids| ids.iter().map(|r| format!("reader{r}")).collect());
        for n in 0..1 + random.below(3) {
            let words = 10 + random.below(60);
            let text = random.text(words, VOCABULARY);
            let vector = random.vector(WIDE);
            let mut counts = HashMap::new();
            let terms = analyse(&text, Lang::En);
            terms.iter().for_each(|t| *counts.entry(t.text.clone()).or_default() += 1.0);
            let length = terms.last().map_or(0.0, |t| f64::from(t.position) + 1.0);
            let id = format!("d{number:05}-{n}");
            let length_of = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
            let unit = vector.iter().map(|x| x / length_of).collect();
            corpus.chunks.push(Known { id: id.clone(), document: number, counts, length, vector: unit });
            document.chunks.push(IndexChunk { chunk_id: id, lang: Lang::En, page: None, title: String::new(), text, vector: Some(vector) });
        }
        corpus.documents.push(document);
        corpus.readers.push(readers);
    }
    corpus
}

impl Corpus {
    fn may_read(&self, reader: usize, chunk: &Known) -> bool {
        self.readers[chunk.document].as_ref().is_none_or(|ids| ids.contains(&reader))
    }

    /// BM25 of every chunk by counting, under the statistics of the whole tenant.
    fn scores(&self, query: &str) -> HashMap<&str, f64> {
        let total = self.chunks.len() as f64;
        let average = self.chunks.iter().map(|c| c.length).sum::<f64>() / total;
        let mut scores = HashMap::new();
        for group in analyse_query(query, Some(Lang::En)).terms {
            let best = |c: &Known| {
                let shares = group.alternatives.iter().filter_map(|a| {
                    let tf = c.counts.get(&a.text)?;
                    Some(f64::from(a.weight) * tf / (tf + 0.9 * (0.6 + 0.4 * c.length / average)))
                });
                shares.fold(0.0, f64::max)
            };
            let earned: Vec<(&str, f64)> = self.chunks.iter().map(|c| (c.id.as_str(), best(c))).filter(|(_, share)| *share > 0.0).collect();
            let df = earned.len() as f64;
            let idf = (1.0 + (total - df + 0.5) / (df + 0.5)).ln() * f64::from(group.weight);
            earned.into_iter().for_each(|(id, share)| *scores.entry(id).or_default() += idf * share);
        }
        scores
    }
}

#[tokio::test]
async fn nothing_outside_a_readers_rights_is_found_or_counted_and_nothing_inside_is_missed() {
    let corpus = corpus(size());
    let mut random = Random(11);
    let queries: Vec<(String, Vec<f32>)> = (0..4).map(|_| (random.text(3, VOCABULARY), random.vector(WIDE))).collect();
    let scored: Vec<HashMap<&str, f64>> = queries.iter().map(|(words, _)| corpus.scores(words)).collect();
    for engine in engines(WIDE).await {
        for batch in corpus.documents.chunks(500) {
            engine.replace_documents(batch.to_vec()).await.unwrap();
        }
        engine.maintain().await.unwrap();
        let (mut wanted, mut met, mut least) = (0, 0, 1.0_f64);
        for reader in 0..READERS {
            let filter = Filter { readers: Some(vec![format!("reader{reader}")]), ..Filter::tenant("a") };
            let readable: HashMap<&str, &Known> =
                corpus.chunks.iter().filter(|c| corpus.may_read(reader, c)).map(|c| (c.id.as_str(), c)).collect();
            assert_eq!(engine.count(&filter).await.unwrap(), readable.len() as u64, "{} reader {reader}", engine.kind());
            for ((words, vector), scores) in queries.iter().zip(&scored) {
                let hits = lexical(&*engine, &filter, words, 50).await;
                let mut expected: Vec<f64> = scores.iter().filter(|(id, _)| readable.contains_key(*id)).map(|(_, s)| *s).collect();
                expected.sort_by(|a, b| b.total_cmp(a));
                assert_eq!(hits.len(), expected.len().min(50), "{} reader {reader} {words}", engine.kind());
                for (hit, expected) in hits.iter().zip(&expected) {
                    assert!(readable.contains_key(hit.chunk_id.as_str()), "{} shows {} to reader {reader}", engine.kind(), hit.chunk_id);
                    assert!((scores[hit.chunk_id.as_str()] - expected).abs() < 1e-4, "{} {hit:?} {expected}", engine.kind());
                    assert!((f64::from(hit.score) - expected).abs() < 1e-3, "{} {hit:?} {expected}", engine.kind());
                }
                let mut exact: Vec<(f32, &str)> =
                    readable.values().map(|c| (c.vector.iter().zip(vector).map(|(a, b)| a * b).sum::<f32>(), c.id.as_str())).collect();
                exact.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(b.1)));
                exact.truncate(10);
                let near = engine.dense(&filter, vector, 10).await.unwrap();
                assert_eq!(near.len(), exact.len());
                assert!(near.iter().all(|h| readable.contains_key(h.chunk_id.as_str())), "{} reader {reader}", engine.kind());
                let here = exact.iter().filter(|(_, id)| near.iter().any(|h| h.chunk_id == *id)).count();
                (wanted, met) = (wanted + exact.len(), met + here);
                if !exact.is_empty() {
                    least = least.min(here as f64 / exact.len() as f64);
                }
            }
        }
        let recall = f64::from(u32::try_from(met).unwrap()) / f64::from(u32::try_from(wanted).unwrap());
        println!("{}: {} documents, recall@10 {recall:.4}, least of a query {least:.2}", engine.kind(), corpus.documents.len());
        assert!(recall >= 0.98, "{} recall {recall}", engine.kind());
    }
}
