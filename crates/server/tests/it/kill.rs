//! The real binary, killed in the middle of its work as often as a test likes, loses nothing and does nothing twice.
//!
//! The usual form is small; the long one is `ASTROLABE_KILL_FILES=1000 ASTROLABE_KILLS=10`. `ASTROLABE_KILL_SEED` repeats a run.

use std::{
    collections::{BTreeMap, BTreeSet},
    env::var_os,
    fs,
    path::Path,
    process::{Child, Stdio},
};

use astrolabe_kernel::{
    Db, Random, Result,
    db::{FromRow, Row},
    testing,
};
use serde_json::json;

use crate::support::{Binary, Raw};

const WORDS: [&str; 24] = [
    "anchor", "beacon", "cable", "davit", "ebb", "fender", "galley", "halyard", "island", "jetty", "keel", "lantern", "mast", "netting",
    "oar", "pier", "quay", "rudder", "sail", "tiller", "unload", "vessel", "winch", "yard",
];

fn setting(name: &str, default: u64) -> u64 {
    var_os(name).and_then(|v| v.to_str()?.parse().ok()).unwrap_or(default)
}

/// A word that only one file has.
fn name(i: u64) -> String {
    let letter = |n: u64| char::from(b'b' + u8::try_from(n % 20).unwrap());
    format!("zx{}q{}k{}w", letter(i / 400), letter(i / 20), letter(i))
}

/// Writes distinct files of one to four passages each.
fn write_files(folder: &Path, count: u64, random: &Random) {
    for i in 0..count {
        let name = name(i);
        let mut text = format!("# Record {i}\n\nThis is record {name} of the harbour.\n\n");
        for part in 0..=random.below(3) {
            let words: Vec<&str> = (0..40).map(|_| WORDS[usize::try_from(random.below(24)).unwrap()]).collect();
            text.push_str(&format!("## Part {part}\n\nPart {part} of record {name} tells of the {}.\n\n", words.join(" and the ")));
        }
        let file = folder.join(format!("shelf{}/record{i:04}.md", i % 7));
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }
}

/// A process that is killed when the test is done with it.
struct Background(Child);

impl Drop for Background {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Chunk {
    document: String,
    ordinal: i64,
    start: i64,
    end: i64,
    heading: String,
    hash: String,
}

impl FromRow for Chunk {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self {
            document: row.get("name")?,
            ordinal: row.get("ordinal")?,
            start: row.get("start_at")?,
            end: row.get("end_at")?,
            heading: row.get("heading")?,
            hash: row.get("text_hash")?,
        })
    }
}

struct Count(String, i64);

impl FromRow for Count {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self(row.get("state")?, row.get("n")?))
    }
}

/// What a database holds when all is done.
struct Held {
    chunks: Vec<Chunk>,
    documents: BTreeMap<String, i64>,
    jobs: BTreeMap<String, i64>,
    twice: i64,
    events: i64,
    last_event: i64,
}

async fn held(url: &str) -> Held {
    let db = Db::open(url, 2).await.unwrap();
    let mut tx = db.read_all().await.unwrap();
    let counts = |rows: Vec<Count>| rows.into_iter().map(|c| (c.0, c.1)).collect();
    let mut chunks: Vec<Chunk> = tx
        .all(
            "SELECT d.name, c.ordinal, c.start_at, c.end_at, c.heading, c.text_hash FROM chunks c JOIN documents d ON d.id = c.document_id",
            &[],
        )
        .await
        .unwrap();
    chunks.sort();
    let held = Held {
        chunks,
        documents: counts(tx.all("SELECT state, COUNT(*) AS n FROM documents GROUP BY state", &[]).await.unwrap()),
        jobs: counts(tx.all("SELECT state, COUNT(*) AS n FROM jobs GROUP BY state", &[]).await.unwrap()),
        twice: tx
            .one(
                "SELECT COUNT(*) AS n FROM (SELECT document_id FROM chunks GROUP BY document_id, ordinal HAVING COUNT(*) > 1) AS repeated",
                &[],
            )
            .await
            .unwrap(),
        events: tx.one("SELECT COUNT(*) AS n FROM events WHERE stream LIKE 'source:%'", &[]).await.unwrap(),
        last_event: tx.one("SELECT MAX(seq) AS n FROM events WHERE stream LIKE 'source:%'", &[]).await.unwrap(),
    };
    drop(tx);
    db.close().await;
    held
}

/// What searches for words that only one file has find: passages of that file, all of them.
fn hits(binary: &Binary, count: u64) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for i in (0..count).step_by(usize::try_from(count / 8 + 1).unwrap()) {
        let found = binary.run(&["search", &name(i), "--limit", "50", "--json"]).json();
        for item in found["items"].as_array().unwrap() {
            assert!(item["document"].as_str().unwrap().ends_with(&format!("record{i:04}.md")), "{item}");
            all.insert(format!("{} {} {}", item["document"], item["start"], item["end"]));
        }
    }
    assert!(all.len() > 8);
    all
}

#[test]
fn files_that_are_ingested_while_the_process_is_killed_again_and_again_are_each_there_once() {
    let (count, kills, seed) =
        (setting("ASTROLABE_KILL_FILES", 150), setting("ASTROLABE_KILLS", 4), setting("ASTROLABE_KILL_SEED", 20_261_121));
    eprintln!("{count} files, {kills} kills, seed {seed}");
    let started = std::time::Instant::now();
    let random = Random::seeded(seed);
    let folder = tempfile::tempdir().unwrap();
    let files = folder.path().join("files");
    write_files(&files, count, &random);
    let files = files.to_str().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();

    // Every document is queued, running and ready: three events. The process dies when one of them, anywhere before the end, was seen.
    let mut points = BTreeSet::new();
    while points.len() < usize::try_from(kills).unwrap() {
        points.insert(i64::try_from(1 + random.below(3 * count - 6)).unwrap());
    }
    let url = runtime.block_on(testing::database_url(folder.path()));
    let binary = Binary::new(folder.path()).database(&url).env("ASTROLABE_KNOWLEDGE_EMBEDDINGS", "false");
    let mut source = String::new();
    let (mut seen, mut ready) = (0, BTreeSet::new());
    for point in points.iter().copied().map(Some).chain([None]) {
        let server = binary.serve();
        let raw = Raw::new(&binary, &server);
        if source.is_empty() {
            let (status, made) = raw.post("/api/v1/sources", &json!({"name": "harbour"})).unwrap();
            assert_eq!(status, 201, "{made}");
            source = made["id"].as_str().unwrap().to_owned();
        }
        let ingest = binary
            .command(&["ingest", files, "--source", "harbour", "--server", &server.url])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let ingest = Background(ingest.unwrap());
        for event in raw.events(&format!("/api/v1/sources/{source}/events"), seen).unwrap() {
            assert_eq!(event.seq, seen + 1, "a reader that comes back finds no gap and no repeat");
            seen = event.seq;
            assert!(!matches!(event.kind.as_str(), "document.failed" | "document.canceled" | "document.deleted"), "{event:?}");
            if event.kind == "document.ready" {
                ready.insert(event.data["document_id"].as_str().unwrap().to_owned());
            }
            match point {
                Some(point) if seen >= point => {
                    server.kill();
                    break;
                }
                None if ready.len() as u64 == count => break,
                _ => {}
            }
        }
        drop(ingest);
        match point {
            Some(_) => assert_eq!(server.wait().0, -1, "it died of the signal"),
            None => drop(server.stop()),
        }
    }
    eprintln!("{kills} kills, everything ready after {:.1} s", started.elapsed().as_secs_f64());

    // The same files, ingested by a process that nobody disturbs.
    let calm_folder = tempfile::tempdir().unwrap();
    let calm_url = runtime.block_on(testing::database_url(calm_folder.path()));
    let calm = Binary::new(calm_folder.path()).database(&calm_url).env("ASTROLABE_KNOWLEDGE_EMBEDDINGS", "false");
    let ended = calm.run(&["ingest", files, "--source", "harbour", "--json"]);
    assert_eq!(ended.code, 0, "{ended:?}");

    let (disturbed, undisturbed) = runtime.block_on(async { (held(&url).await, held(&calm_url).await) });
    assert_eq!(disturbed.documents, BTreeMap::from([("ready".to_owned(), i64::try_from(count).unwrap())]));
    assert_eq!(disturbed.jobs, disturbed.documents, "one job each, and each of them at its end");
    assert_eq!(disturbed.twice, 0);
    assert_eq!(disturbed.chunks, undisturbed.chunks);
    assert_eq!(disturbed.events, disturbed.last_event, "the stream has no gap");
    assert_eq!(hits(&binary, count), hits(&calm, count));
    let checked = binary.run(&["check", "--json"]);
    assert_eq!(checked.code, 0, "{checked:?}");
    let verified = binary.run(&["audit", "verify", "--json"]);
    assert_eq!(verified.code, 0, "{verified:?}");
    eprintln!("{count} files, {kills} kills: {:.1} s", started.elapsed().as_secs_f64());
}
