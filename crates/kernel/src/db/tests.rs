//! The seam behaves the same on both engines; with `TEST_POSTGRES_URI` these run on PostgreSQL.

use super::*;
use crate::{
    Timestamp,
    testing::{START, TestKernel},
};

const THINGS: Migrations = Migrations {
    domain: "things",
    steps: &[Migration {
        version: 1,
        name: "things",
        sql: "CREATE TABLE things (id TEXT NOT NULL PRIMARY KEY, number BIGINT, flag BOOLEAN, bytes {{blob}}, at BIGINT NOT NULL);
              CREATE VIEW v_things AS SELECT id, {{time(at)}} AS at FROM things;",
    }],
};

#[derive(Debug, PartialEq)]
struct Thing(String, Option<i64>, Option<bool>, Option<Vec<u8>>, Timestamp);

impl FromRow for Thing {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self(row.get("id")?, row.get("number")?, row.get("flag")?, row.get("bytes")?, row.time("at")?))
    }
}

async fn put(tx: &mut Tx, thing: &Thing) -> Result<u64> {
    tx.execute(
        "INSERT INTO things (id, number, flag, bytes, at) VALUES ($1, $2, $3, $4, $5)",
        args![&thing.0, thing.1, thing.2, thing.3.clone(), thing.4],
    )
    .await
}

#[tokio::test]
async fn every_column_type_and_its_null_reads_back_as_written() {
    let test = TestKernel::new(&[THINGS]).await;
    let full = Thing("a".to_owned(), Some(i64::MIN), Some(true), Some(vec![0, 1, 255]), START);
    let empty = Thing("ż ё \u{1f600}".to_owned(), None, None, None, Timestamp::from_micros(-1));
    let mut tx = test.kernel.db.write_all().await.unwrap();
    put(&mut tx, &full).await.unwrap();
    put(&mut tx, &empty).await.unwrap();
    tx.commit().await.unwrap();
    let rows: Vec<Thing> =
        test.kernel.db.read_all().await.unwrap().all("SELECT * FROM things ORDER BY number IS NULL, id", &[]).await.unwrap();
    assert_eq!(rows, [full, empty]);
}

#[tokio::test]
async fn a_transaction_that_is_dropped_leaves_nothing() {
    let test = TestKernel::new(&[THINGS]).await;
    let mut tx = test.kernel.db.write_all().await.unwrap();
    put(&mut tx, &Thing("a".to_owned(), None, None, None, START)).await.unwrap();
    drop(tx);
    let n: i64 = test.kernel.db.read_all().await.unwrap().one("SELECT COUNT(*) FROM things", &[]).await.unwrap();
    assert_eq!(n, 0);
}

#[tokio::test]
async fn a_taken_key_is_told_from_other_errors() {
    let test = TestKernel::new(&[THINGS]).await;
    let thing = Thing("a".to_owned(), None, None, None, START);
    let mut tx = test.kernel.db.write_all().await.unwrap();
    put(&mut tx, &thing).await.unwrap();
    let error = put(&mut tx, &thing).await.unwrap_err();
    assert!(is_unique_violation(&error));
    let mut tx = test.kernel.db.read_all().await.unwrap();
    let error = tx.execute("SELECT nonsense FROM nowhere", &[]).await.unwrap_err();
    assert!(!is_unique_violation(&error));
}

#[tokio::test]
async fn migrations_are_applied_once_and_a_newer_database_is_refused() {
    let test = TestKernel::new(&[THINGS]).await;
    let clock = &test.kernel.clock;
    let plan = test.kernel.db.migrate(&[KERNEL, THINGS], clock, false).await.unwrap();
    assert_eq!(plan.pending, Vec::<String>::new());
    assert!(plan.applied.contains(&"things/0001_things".to_owned()));
    let error = test.kernel.db.migrate(&[KERNEL], clock, false).await.unwrap_err();
    assert_eq!(error.code().name, "data_dir_newer");
    assert!(error.message().contains("things/0001_things"), "{error}");
}

#[tokio::test]
async fn processes_that_start_together_migrate_once() {
    let folder = tempfile::tempdir().unwrap();
    let url = crate::testing::database_url(folder.path()).await;
    let clock = crate::Clock::manual(START);
    let starts = (0..6).map(|_| {
        let (url, clock) = (url.clone(), clock.clone());
        async move { Db::open(&url, 2).await?.migrate(&[KERNEL, THINGS], &clock, false).await }
    });
    let plans: Vec<Plan> = futures_util::future::join_all(starts).await.into_iter().collect::<Result<_>>().unwrap();
    assert_eq!(plans.iter().filter(|p| !p.pending.is_empty()).count(), 1);
}

#[tokio::test]
async fn a_dry_run_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let db = Db::open(&crate::testing::database_url(folder.path()).await, 2).await.unwrap();
    let clock = crate::Clock::manual(START);
    let plan = db.migrate(&[KERNEL], &clock, true).await.unwrap();
    assert_eq!(plan.applied, Vec::<String>::new());
    assert_eq!(db.migrate(&[KERNEL], &clock, true).await.unwrap(), plan);
}

#[tokio::test]
async fn a_url_that_cannot_be_opened_is_refused_without_its_password() {
    for url in ["mysql://me:hunter2@db/x", "postgres://me:hunter2@[x", "hunter2"] {
        let error = Db::open(url, 1).await.err().expect("an error");
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
    }
}

#[tokio::test]
async fn events_of_concurrent_writers_have_no_gap_and_no_repeat() {
    let test = TestKernel::new(&[]).await;
    let tenant = crate::principal::default_tenant();
    let writers = (0..8).map(|w| {
        let kernel = test.kernel.clone();
        async move {
            for i in 0..10 {
                let mut tx = kernel.db.write(tenant).await?;
                tx.append_event(tenant, "s", "k", &serde_json::json!({"w": w, "i": i}), kernel.now()).await?;
                // Every third writer gives up, and its number must not be lost.
                if (w + i) % 3 != 0 {
                    tx.commit().await?
                }
            }
            Ok::<_, Error>(())
        }
    });
    futures_util::future::join_all(writers).await.into_iter().collect::<Result<Vec<()>>>().unwrap();
    let events = test.kernel.db.read(tenant).await.unwrap().events_after(tenant, "s", 0, 1000).await.unwrap();
    let seqs: Vec<i64> = events.iter().map(|e| e.seq).collect();
    assert_eq!(seqs, (1..=i64::try_from(seqs.len()).unwrap()).collect::<Vec<_>>());
    assert!(seqs.len() > 40);
}

#[tokio::test]
async fn a_reader_of_another_tenant_sees_nothing_of_a_stream() {
    let test = TestKernel::new(&[]).await;
    let mut tx = test.kernel.db.write_all().await.unwrap();
    tx.append_event(crate::principal::default_tenant(), "s", "k", &1, START).await.unwrap();
    tx.commit().await.unwrap();
    let other = crate::Id::derived(b"other");
    assert_eq!(test.kernel.db.read_all().await.unwrap().events_after(other, "s", 0, 10).await.unwrap(), []);
}

#[tokio::test]
async fn a_reader_wakes_for_an_event_that_is_committed_while_it_waits() {
    let test = TestKernel::new(&[]).await;
    let tenant = crate::principal::default_tenant();
    let mut reader = crate::events::Reader::new(&test.kernel, tenant, "s".to_owned(), 0);
    let kernel = test.kernel.clone();
    let write = async move {
        let mut tx = kernel.db.write(tenant).await?;
        tx.append_event(tenant, "s", "k", &"x", kernel.now()).await?;
        tx.commit().await
    };
    let (events, written) = tokio::join!(reader.next(), write);
    written.unwrap();
    assert_eq!(events.unwrap()[0].data, "\"x\"");
}

#[tokio::test]
async fn after_a_full_disk_the_next_write_works() {
    let folder = tempfile::tempdir().unwrap();
    let db = Db::open(&format!("sqlite://{}", folder.path().join("small.db").display()), 2).await.unwrap();
    db.migrate(&[crate::db::KERNEL, THINGS], &crate::Clock::manual(START), false).await.unwrap();
    let thing = |id: &str, bytes: usize| Thing(id.to_owned(), None, None, Some(vec![7; bytes]), START);
    let mut tx = db.write_all().await.unwrap();
    // The connection takes the file for full; a new one does not know.
    tx.all::<i64>("PRAGMA max_page_count = 1", &[]).await.unwrap();
    tx.commit().await.unwrap();
    let mut tx = db.write_all().await.unwrap();
    let full = put(&mut tx, &thing("a", 1 << 20)).await.unwrap_err();
    assert_eq!(full.code(), crate::error::code::STORAGE_FULL, "{full:?}");
    drop(tx);
    let mut tx = db.write_all().await.unwrap();
    put(&mut tx, &thing("b", 1 << 20)).await.unwrap();
    tx.commit().await.unwrap();
    let left: Vec<String> = db.read_all().await.unwrap().all("SELECT id FROM things", &[]).await.unwrap();
    assert_eq!(left, ["b"]);
}

#[tokio::test]
async fn a_file_that_is_no_database_is_called_damaged_and_a_cut_one_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("whole.db");
    let url = |path: &std::path::Path| format!("sqlite://{}", path.display());
    let db = Db::open(&url(&path), 2).await.unwrap();
    db.migrate(&[KERNEL, THINGS], &crate::Clock::manual(START), false).await.unwrap();
    db.close().await;
    let whole = std::fs::read(&path).unwrap();
    for (name, bytes) in [("noise.db", vec![7u8; 5000]), ("cut.db", whole[..whole.len() / 2].to_vec())] {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let used =
            async { Db::open(&url(&path), 2).await?.read_all().await?.all::<String>("SELECT domain FROM schema_migrations", &[]).await };
        let error = used.await.unwrap_err();
        assert!(error.message().contains("damaged"), "{name}: {error:?}");
    }
}
