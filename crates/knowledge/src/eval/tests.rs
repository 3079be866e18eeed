use std::path::PathBuf;

use astrolabe_kernel::Error;

use super::{
    beir::{Collection, read_queries},
    metrics::{Figures, Judgements, figures, mean, percentile},
    text::{fold, holds, holds_words, squad_words, without_marks},
};

fn judged(pairs: &[(&str, f64)]) -> Judgements {
    pairs.iter().map(|(id, gain)| ((*id).to_owned(), *gain)).collect()
}

fn close(a: f64, b: f64) {
    assert!((a - b).abs() < 1e-9, "{a} is not {b}");
}

#[test]
fn a_perfect_order_has_ndcg_one() {
    let f = figures(&["a", "b", "c"], &judged(&[("a", 3.0), ("b", 2.0), ("c", 1.0)]));
    close(f.ndcg_10, 1.0);
    assert_eq!((f.recall_10, f.recall_100, f.mrr_10), (1.0, 1.0, 1.0));
}

#[test]
fn graded_gains_are_discounted_by_the_logarithm_of_the_rank() {
    // By hand: (1/log2 2 + 0 + 3/log2 4) / (3/log2 2 + 1/log2 3) = 2.5 / 3.6309297535714573.
    let f = figures(&["b", "x", "a"], &judged(&[("a", 3.0), ("b", 1.0)]));
    close(f.ndcg_10, 2.5 / (3.0 + 1.0 / 3.0_f64.log2()));
    close(f.mrr_10, 1.0);
}

#[test]
fn what_was_not_found_counts_against_the_ideal() {
    // One of two relevant documents at rank 3: (1/log2 4) / (1 + 1/log2 3).
    let f = figures(&["x", "y", "a"], &judged(&[("a", 1.0), ("b", 1.0), ("z", 0.0)]));
    close(f.ndcg_10, 0.5 / (1.0 + 1.0 / 3.0_f64.log2()));
    close(f.recall_10, 0.5);
    close(f.mrr_10, 1.0 / 3.0);
}

#[test]
fn behind_rank_ten_only_recall_100_sees_a_document() {
    let names: Vec<String> = (0..120).map(|n| format!("d{n}")).collect();
    let ranked: Vec<&str> = names.iter().map(String::as_str).collect();
    let f = figures(&ranked, &judged(&[("d10", 1.0), ("d99", 1.0), ("d100", 1.0), ("d9", -1.0)]));
    assert_eq!((f.ndcg_10, f.recall_10, f.mrr_10), (0.0, 0.0, 0.0));
    close(f.recall_100, 2.0 / 3.0);
}

#[test]
fn the_figures_are_those_of_trec_eval() {
    // Random rankings and judgements; the figures are of pytrec_eval (pytrec-eval-terrier 0.5.11, ndcg_cut_10, recall_10, recall_100, and recip_rank
    // of the first ten).
    let cases: [(&str, &str, [f64; 4]); 3] = [
        ("3 11 13 7 9 4 12 8 1 0 10 6", "6:3 13:2 1:0 3:3 11:0", [0.6787956981029196, 0.6666666666666666, 1.0, 1.0]),
        (
            "5 3 0 11 27 6 10 22 14 15 23 16 19 8 2 13 9 4 17 21",
            "18:1 1:1 19:1 6:1 15:1 21:0 17:3 13:1 10:3 14:2 29:1 20:2",
            [0.2572467333522664, 0.36363636363636365, 0.6363636363636364, 0.16666666666666666],
        ),
        (
            "33 53 16 55 13 28 25 8 6 24 47 39 15 19 56 3 34 52 43 0 11 12 27 14 41 59 46 50 40 23",
            "35:1 17:0 56:1 8:2 52:3 27:1 59:3 58:3 45:1 26:1 22:3 43:3 24:0 14:2 9:3 5:2 11:2 51:2 46:2 41:0 0:2 31:2 37:0 48:1 16:0",
            [0.05091516310842829, 0.05, 0.5, 0.125],
        ),
    ];
    for (ranked, judgements, expected) in cases {
        let ranked: Vec<&str> = ranked.split(' ').collect();
        let judged: Judgements = judgements
            .split(' ')
            .map(|pair| {
                let (id, gain) = pair.split_once(':').unwrap();
                (id.to_owned(), gain.parse().unwrap())
            })
            .collect();
        let f = figures(&ranked, &judged);
        for (ours, theirs) in [f.ndcg_10, f.recall_10, f.recall_100, f.mrr_10].into_iter().zip(expected) {
            close(ours, theirs);
        }
    }
}

#[test]
fn nothing_found_is_zero_and_a_mean_is_over_all_queries() {
    assert_eq!(figures(&[], &judged(&[("a", 1.0)])), Figures::default());
    let one = figures(&["a"], &judged(&[("a", 1.0)]));
    close(mean(&[one, Figures::default()]).ndcg_10, 0.5);
    assert_eq!(mean(&[]), Figures::default());
}

#[test]
fn a_percentile_is_one_of_the_values() {
    let values = [5.0, 1.0, 4.0, 2.0, 3.0];
    assert_eq!((percentile(&values, 0.5), percentile(&values, 0.95), percentile(&values, 0.0)), (3.0, 5.0, 1.0));
    assert_eq!(percentile(&[], 0.5), 0.0);
}

#[test]
fn a_gold_string_is_found_whatever_its_case_and_spaces_but_not_inside_a_number() {
    assert_eq!(fold(" ＡＢ\u{a0} c\n"), "ab c");
    assert!(holds("It takes 5\u{a0}Days.", "5 days"));
    assert!(!holds("It takes 15 days.", "5 days"));
    assert!(holds("It takes 15 days, or 5 days.", "5 days"));
    assert!(!holds("version 3.15", "3.1"));
    assert!(!holds("anything", " "));
}

#[test]
fn words_are_compared_as_squad_does() {
    assert_eq!(squad_words("The U.S. Army, \"an\" army"), ["us", "army", "army"]);
    assert!(holds_words("It was the Denver Broncos [1].", "Denver Broncos!"));
    assert!(!holds_words("fourteen times", "four"));
    assert!(holds_words("уступила всего 308 очков", "308 Очков"));
    assert!(!holds_words("x", "the"));
}

#[test]
fn citation_marks_are_taken_out_of_an_answer_and_other_brackets_stay() {
    assert_eq!(without_marks("It is 5 [1]. See [a] and x[2, 3] [ ] [open"), "It is 5 . See [a] and x [ ] [open");
}

struct Files(tempfile::TempDir);

impl Files {
    fn new(corpus: &str, queries: &str, qrels: &str) -> Self {
        let files = Self(tempfile::tempdir().unwrap());
        for (name, text) in [("corpus.jsonl", corpus), ("queries.jsonl", queries), ("qrels.tsv", qrels)] {
            std::fs::write(files.path(name), text).unwrap();
        }
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn read(&self) -> Result<Collection, Error> {
        Collection::read(&self.path("corpus.jsonl"), &self.path("queries.jsonl"), &self.path("qrels.tsv"))
    }

    fn refused(&self) -> String {
        self.read().unwrap_err().message().to_owned()
    }
}

/// [`QUERIES`], packed by `xz -1`.
const PACKED: &str = "fd377a585a000004e6d6b4460200210110000000a8708e86e0003d00325d003d8887e6935ace34f21e95cf1d761067d57fe4e1a3e3c6afe8393a102b26afe77a3d36d8992d03924\
3ad63475158dca5a3a0000000bcf191430f63338c00014e3e0bca1d8f1fb6f37d010000000004595a";
const CORPUS: &str = "{\"_id\":\"a\",\"title\":\"T\",\"text\":\"x\"}\n\n{\"_id\":\"b\",\"text\":\"y\",\"metadata\":{}}\n";
const QUERIES: &str = "{\"_id\":\"1\",\"text\":\"q\",\"answers\":[\"x\"]}\n{\"_id\":\"2\",\"text\":\"r\"}\n";
const QRELS: &str = "query-id\tcorpus-id\tscore\n1\ta\t1\n1\tb\t0\n";

#[test]
fn a_collection_is_read_and_queries_without_judgements_are_passed_over() {
    let collection = Files::new(CORPUS, QUERIES, QRELS).read().unwrap();
    assert_eq!(collection.documents.len(), 2);
    assert_eq!((collection.documents[0].title.as_str(), collection.documents[1].title.as_str()), ("T", ""));
    assert_eq!(collection.queries.iter().map(|q| q.id.as_str()).collect::<Vec<_>>(), ["1"]);
    assert_eq!(collection.queries[0].answers, ["x"]);
    assert_eq!(collection.judgements["1"]["a"], 1.0);
    assert!(collection.notes[0].starts_with("1 of 2 queries have no relevant document"), "{:?}", collection.notes);
    // A file of judgements without the names of the columns is as good, as is one with line ends of another system.
    assert_eq!(Files::new(CORPUS, QUERIES, "1\ta\t2\r\n").read().unwrap().judgements["1"]["a"], 2.0);
}

#[test]
fn what_is_wrong_with_a_file_is_told_with_its_line() {
    let cases = [
        (Files::new("{\"_id\":\"a\",\"text\":\"x\"}\n{\"_id\": b}\n", QUERIES, QRELS), "corpus.jsonl, line 2: is not JSON"),
        (Files::new("{\"text\":\"x\"}\n", QUERIES, QRELS), "corpus.jsonl, line 1: missing field `_id`"),
        (Files::new("{\"_id\":\"a\"}\n", QUERIES, QRELS), "corpus.jsonl, line 1: missing field `text`"),
        (Files::new("{\"_id\":\"\",\"text\":\"x\"}\n", QUERIES, QRELS), "line 1: `_id` is empty"),
        (
            Files::new("{\"_id\":\"a\",\"text\":\"x\"}\n{\"_id\":\"a\",\"text\":\"y\"}\n", QUERIES, QRELS),
            "line 2: `_id` \"a\" is in line 1 already",
        ),
        (Files::new("\n \n", QUERIES, QRELS), "corpus.jsonl is empty"),
        (Files::new(CORPUS, "", QRELS), "queries.jsonl is empty"),
        (Files::new(CORPUS, "{\"_id\":\"1\",\"text\":\"  \"}\n", QRELS), "the text of query \"1\" must be 1 to 2000 characters"),
        (Files::new(CORPUS, QUERIES, "query-id\tcorpus-id\tscore\n"), "qrels.tsv has no judgement"),
        (Files::new(CORPUS, QUERIES, "1 a 1\n"), "qrels.tsv, line 1: must be query-id, corpus-id and score, separated by tabs"),
        (Files::new(CORPUS, QUERIES, "1\ta\t1\n1\tb\thigh\n"), "line 2: the score \"high\" is not a number"),
        (Files::new(CORPUS, QUERIES, "1\ta\t1\n1\ta\t2\n"), "line 2: query \"1\" and document \"a\" are judged twice"),
        (Files::new(CORPUS, QUERIES, "1\tc\t1\n1\td\t1\n1\ta\t1\n"), "line 1: document \"c\" is not in the corpus, and so are 2 of 3"),
        (Files::new(CORPUS, QUERIES, "8\ta\t1\n9\ta\t1\n"), "none of its query ids is in the file of queries"),
        (Files::new(CORPUS, QUERIES, "1\ta\t0\n"), "no query has a relevant document"),
    ];
    for (files, expected) in cases {
        let said = files.refused();
        assert!(said.contains(expected), "{said} does not say: {expected}");
    }
}

#[test]
fn a_judged_document_that_the_corpus_lacks_is_told_and_counts_as_never_found() {
    let collection = Files::new(CORPUS, QUERIES, "1\ta\t1\n1\tc\t1\n1\tb\t1\n").read().unwrap();
    assert!(collection.notes.iter().any(|n| n.contains("\"c\" in line 2")), "{:?}", collection.notes);
    assert_eq!(figures(&["a", "b"], &collection.judgements["1"]).recall_10, 2.0 / 3.0);
}

#[test]
fn a_missing_file_a_folder_and_bytes_that_are_no_text_are_told() {
    let files = Files::new(CORPUS, QUERIES, QRELS);
    let query = |path: &PathBuf| read_queries(path, "--queries").unwrap_err().message().to_owned();
    assert!(query(&files.path("nothing")).contains("cannot be opened: entity not found"));
    assert!(query(&files.0.path().to_owned()).contains("is a folder"));
    std::fs::write(files.path("bytes"), [b'{', 0xff, b'\n']).unwrap();
    assert!(query(&files.path("bytes")).contains("line 1: is not UTF-8"));
}

#[test]
fn a_packed_file_is_read_as_it_is_and_a_damaged_one_is_told() {
    let files = Files::new(CORPUS, QUERIES, QRELS);
    let path = files.path("queries.jsonl.xz");
    let packed = hex::decode(PACKED).unwrap();
    std::fs::write(&path, &packed).unwrap();
    assert_eq!(read_queries(&path, "--queries").unwrap().len(), 2);
    std::fs::write(&path, &packed[..packed.len() / 2]).unwrap();
    let said = read_queries(&path, "--queries").unwrap_err().message().to_owned();
    assert!(said.contains("queries.jsonl.xz, line 1: cannot be unpacked"), "{said}");
}
