//! The index can be lost: SQL is the truth.

use std::{fs, path::PathBuf};

use astrolabe_backends::index::IndexDocument;
use astrolabe_kernel::{jobs::JobState, testing::TestKernel};
use axum::extract::State;

use super::{Setup, support::With};
use crate::{IndexEngine, KnowledgeConfig, index::routes};

const SUBJECTS: [&str; 6] = ["gulls", "seals", "lanterns", "foghorns", "anchors", "barnacles"];

/// The engine whose files these tests damage, whatever the database is.
fn embedded() -> With {
    let plain = With::default();
    With { config: KnowledgeConfig { index_engine: IndexEngine::Embedded, ..plain.config }, ..plain }
}

async fn filled() -> Setup {
    filled_with(embedded()).await
}

async fn filled_with(with: With) -> Setup {
    let s = Setup::with(with).await;
    let source = s.source("handbook").await;
    for subject in SUBJECTS {
        let text = format!(
            "# {subject}\n\nThe lighthouse keeper counts {subject} every morning.\n\n## Evening\n\nIn the evening nobody counts {subject}."
        );
        s.upload(&source, &format!("{subject}.md"), text).await;
    }
    s.drain().await;
    s
}

/// What searches find, with places and scores.
async fn results(s: &Setup) -> Vec<String> {
    let mut all = Vec::new();
    for question in ["who counts gulls?", "evening", "keeper of seals", "anchors and barnacles"] {
        all.extend(s.search(question).await.iter().map(|f| format!("{question} {} {} {:.6}", f.chunk_id, f.start, f.score)));
    }
    assert!(all.len() > 8);
    all
}

fn index_folder(s: &Setup) -> PathBuf {
    s.test.folder.path().join("index")
}

#[tokio::test]
async fn an_index_that_was_deleted_is_rebuilt_with_the_same_results() {
    let s = filled().await;
    let before = results(&s).await;
    let folder = index_folder(&s);
    let test = s.stop().await;
    fs::remove_dir_all(&folder).unwrap();
    let s = Setup::reopen_with(test, embedded()).await;
    assert_eq!(results(&s).await, before);
    assert_eq!(s.jobs_left().await, 0, "nothing is ingested again");
}

#[tokio::test]
async fn an_index_whose_tail_is_torn_is_brought_back_to_what_sql_says() {
    for cut in [1, 7, 100, 1500] {
        let s = filled().await;
        let before = results(&s).await;
        let log = largest_file(&index_folder(&s));
        let test = s.stop().await;
        let size = fs::metadata(&log).unwrap().len();
        fs::OpenOptions::new().write(true).open(&log).unwrap().set_len(size - cut).unwrap();
        let s = Setup::reopen_with(test, embedded()).await;
        assert_eq!(results(&s).await, before, "{cut} bytes");
    }
}

#[tokio::test]
async fn an_index_with_damaged_bytes_is_brought_back_to_what_sql_says() {
    let s = filled().await;
    let before = results(&s).await;
    let log = largest_file(&index_folder(&s));
    let test = s.stop().await;
    let mut bytes = fs::read(&log).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 20].fill(0xa5);
    fs::write(&log, bytes).unwrap();
    let s = Setup::reopen_with(test, embedded()).await;
    assert_eq!(results(&s).await, before);
}

#[tokio::test]
async fn what_the_index_has_and_sql_has_not_is_removed_at_the_start() {
    let s = filled().await;
    let tenant = s.caller.principal.tenant;
    let gone = s.search("gulls").await[0].document_id;
    // As if the process had died between the commit and the index.
    let mut tx = s.kernel.db.write(tenant).await.unwrap();
    crate::documents::store::delete(&mut tx, tenant, gone).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(s.indexed(gone).await, 2);
    assert!(s.search("gulls").await.iter().all(|f| f.document_id != gone), "even before, SQL decides what is shown");
    let s = s.restart_with(embedded()).await;
    assert_eq!(s.indexed(gone).await, 0);
}

#[tokio::test]
async fn a_document_without_its_bytes_is_found_as_before() {
    let s = filled().await;
    let before = results(&s).await;
    let test = s.stop().await;
    fs::remove_dir_all(test.folder.path().join("blobs")).unwrap();
    fs::remove_dir_all(test.folder.path().join("index")).unwrap();
    let s = Setup::reopen_with(test, embedded()).await;
    assert_eq!(results(&s).await, before);
}

#[tokio::test]
async fn only_bytes_that_no_document_has_are_swept() {
    let s = filled().await;
    let kept = s.search("gulls").await[0].document_id;
    let gone = s.document(s.search("seals").await[0].document_id).await;
    s.knowledge.remove_document(&s.caller, gone.id).await.unwrap();
    assert_eq!(s.knowledge.sweep_once(std::time::Duration::from_secs(3600)).await.unwrap(), 0, "an upload may be under way");
    assert_eq!(s.knowledge.sweep_once(std::time::Duration::ZERO).await.unwrap(), 1);
    assert!(s.knowledge.blobs.get(&gone.content_hash).await.unwrap().is_none());
    let kept = s.document(kept).await;
    assert!(s.knowledge.blobs.get(&kept.content_hash).await.unwrap().is_some());
    assert_eq!(kept.state, JobState::Ready);
}

#[tokio::test]
async fn an_index_that_was_deleted_from_the_database_is_rebuilt_with_the_same_results() {
    let s = filled_with(With::default()).await;
    if s.knowledge.index().unwrap().kind() != "postgres" {
        return;
    }
    let before = results(&s).await;
    let generation: String = s.kernel.db.read_all().await.unwrap().one("SELECT name FROM search_generations", &[]).await.unwrap();
    let test = s.stop().await;
    let mut tx = test.kernel.db.write_schema().await.unwrap();
    for table in ["dead", "postings", "chunks", "documents", "tenants"] {
        tx.execute(format!("DROP TABLE {generation}_{table}"), &[]).await.unwrap();
    }
    tx.commit().await.unwrap();
    let s = Setup::reopen_with(test, With::default()).await;
    assert_eq!(results(&s).await, before);
    assert_eq!(s.jobs_left().await, 0, "nothing is ingested again");
}

#[tokio::test]
async fn a_rebuild_fills_the_index_from_sql_with_the_same_results_on_every_engine() {
    for with in [With::default(), embedded()] {
        let s = filled_with(with).await;
        let before = results(&s).await;
        let tenant = s.caller.principal.tenant;
        // What is damaged: a document that SQL has not, and one that is missing.
        let index = s.knowledge.index().unwrap();
        let gone = index.documents().await.unwrap().swap_remove(0);
        index.delete_document(&gone.tenant, &gone.document_id).await.unwrap();
        let stray = IndexDocument {
            tenant: tenant.to_string(),
            source_id: "src".to_owned(),
            document_id: "stray".to_owned(),
            version: 1,
            mime: String::new(),
            tags: Vec::new(),
            readers: None,
            updated_at: 0,
            chunks: Vec::new(),
        };
        index.replace_documents(vec![stray]).await.unwrap();
        let job = routes::rebuild_index(State(s.knowledge.clone()), s.caller.clone().may().unwrap()).await.unwrap().1.0;
        s.drain().await;
        let job = s.kernel.db.read(tenant).await.unwrap().job(tenant, job.id).await.unwrap().unwrap();
        assert_eq!((job.state, job.stage.as_str(), job.done, job.total), (JobState::Ready, "index", 6, 6));
        assert_eq!(results(&s).await, before, "{}", index.kind());
        assert_eq!(index.documents().await.unwrap().len(), 6);
    }
}

#[tokio::test]
async fn both_engines_find_the_same_by_words_and_say_which_they_are() {
    let s = filled_with(With::default()).await;
    let before = results(&s).await;
    let detail = s.knowledge.dependencies().await.into_iter().find(|d| d.name == "index").unwrap().detail;
    let expected = format!("{}, 6 documents, 12 chunks", s.knowledge.index().unwrap().kind());
    assert_eq!(detail, expected);
    let s = s.restart_with(embedded()).await;
    assert_eq!(results(&s).await, before);
    assert_eq!(s.knowledge.index().unwrap().kind(), "embedded");
}

#[tokio::test]
async fn postgres_wanted_on_another_database_is_refused_with_the_way_out() {
    let s = Setup::new().await;
    if s.kernel.db.dialect() == astrolabe_kernel::db::Dialect::Postgres {
        return;
    }
    let plain = With::default();
    let with = With { config: KnowledgeConfig { index_engine: IndexEngine::Postgres, ..plain.config }, ..plain };
    let s = Setup::closed(s.stop().await, with).await;
    let error = s.knowledge.start().await.unwrap_err();
    assert_eq!(error.code().name, "invalid_config");
    assert!(error.message().contains("knowledge.index_engine"), "{error}");
}

#[tokio::test]
async fn auto_on_a_postgresql_without_pgvector_takes_the_data_directory_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let url = astrolabe_kernel::testing::database_url(folder.path()).await;
    if !url.starts_with("postgres") {
        return;
    }
    let plain = astrolabe_kernel::Db::open(&url, 1).await.unwrap();
    let mut tx = plain.write_schema().await.unwrap();
    // Our own empty list of what can be installed, before the server's.
    for statement in [
        "CREATE TABLE pg_available_extensions (name TEXT, default_version TEXT)",
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET search_path = public, pg_catalog', current_database()); END $$",
    ] {
        tx.execute(statement.to_owned(), &[]).await.unwrap();
    }
    tx.commit().await.unwrap();
    let db = astrolabe_kernel::Db::open(&url, 2).await.unwrap();
    let model = Some(("minilm".to_owned(), "1".to_owned(), 4));
    let opened = crate::index::open(&db, IndexEngine::Auto, folder.path(), model.clone()).await.unwrap();
    assert_eq!(opened.index.kind(), "embedded");
    assert!(opened.instead.unwrap().contains("has no extension `vector`: install pgvector 0.8"));
    let Err(refused) = crate::index::open(&db, IndexEngine::Postgres, folder.path(), model).await else {
        panic!("it is asked for by name")
    };
    assert_eq!(refused.code().name, "invalid_config");
}

#[tokio::test]
async fn processes_on_one_database_share_the_index() {
    let s = filled_with(With::default()).await;
    if s.knowledge.index().unwrap().kind() != "postgres" {
        return;
    }
    let before = results(&s).await;
    let test = TestKernel { kernel: s.kernel.clone(), folder: tempfile::tempdir().unwrap() };
    let other = Setup::reopen_with(test, With::default()).await;
    assert_eq!(results(&other).await, before);
    let source = s.knowledge.find_source(s.caller.principal.tenant, "handbook", "source").await.unwrap();
    s.ingest(&source, "walrus.md", "A walrus sleeps on the pier.").await;
    assert_eq!(other.names("walrus").await, ["walrus.md"]);
}

/// The index's log: by far its largest file.
fn largest_file(folder: &std::path::Path) -> PathBuf {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files.into_iter().max_by_key(|f| fs::metadata(f).unwrap().len()).unwrap()
}
