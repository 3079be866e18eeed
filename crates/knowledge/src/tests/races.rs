//! What happens when two things happen at once, or one comes to no end.

use astrolabe_kernel::jobs::{Handler, JobState};

use super::Setup;
use crate::{
    documents::{self, store},
    ingest::jobs::IngestDocument,
};

const GULLS: &str = "# Lighthouse\n\nThe lighthouse keeper counts gulls.";

#[tokio::test]
async fn equal_files_that_are_read_at_the_same_time_are_found_once() {
    let s = Setup::new().await;
    let source = s.source("handbook").await;
    let mut ids = Vec::new();
    for name in ["a.md", "b.md", "c.md"] {
        ids.push(s.upload(&source, name, GULLS).await.id);
    }
    let (a, b, c) = tokio::join!(s.runner.run_one(), s.runner.run_one(), s.runner.run_one());
    assert!(a.unwrap() && b.unwrap() && c.unwrap());
    s.drain().await;
    let mut with_chunks = Vec::new();
    for id in &ids {
        let document = s.document(*id).await;
        assert_eq!(document.state, JobState::Ready, "{document:?}");
        assert_eq!(document.duplicate_of.is_none(), s.pieces(*id).await.len() == 1);
        assert_eq!(document.duplicate_of.is_none(), s.indexed(*id).await == 1);
        with_chunks.extend(document.duplicate_of.is_none().then_some(*id));
    }
    assert_eq!(with_chunks.len(), 1, "one has the chunks, the others point to it");
}

#[tokio::test]
async fn a_document_that_is_found_stays_found_when_its_vectors_cannot_be_made() {
    let s = Setup::new().await;
    let source = s.source("handbook").await;
    let id = s.ingest(&source, "x.md", GULLS).await.id;
    let (tenant, now) = (s.caller.principal.tenant, s.kernel.now());
    for state in [JobState::Failed, JobState::Canceled] {
        let mut tx = s.kernel.db.write(tenant).await.unwrap();
        let mut document = s.document(id).await;
        documents::requeue(&mut tx, tenant, &mut document, s.kernel.id(), now).await.unwrap();
        let mut job = tx.job(tenant, document.job_id).await.unwrap().unwrap();
        job.state = state;
        IngestDocument(s.knowledge.clone()).ended(&mut tx, &job, now).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!((s.document(id).await.state, s.pieces(id).await.len(), s.indexed(id).await), (JobState::Ready, 1, 1), "{state:?}");
        assert_eq!(s.names("gulls").await, ["x.md"]);
    }
    s.drain().await;
}

#[tokio::test]
async fn a_job_that_did_its_work_and_died_before_it_could_say_so_does_not_do_it_again() {
    let s = Setup::new().await;
    let source = s.source("handbook").await;
    let document = s.ingest(&source, "x.md", GULLS).await;
    let events = s.source_events(&source).await;
    let mut tx = s.kernel.db.write_all().await.unwrap();
    let sql = "UPDATE jobs SET state = 'queued', finished_at = NULL WHERE id = $1";
    tx.execute(sql, astrolabe_kernel::args![document.job_id]).await.unwrap();
    tx.commit().await.unwrap();
    s.drain().await;
    assert_eq!(s.source_events(&source).await, events);
    assert_eq!(s.document(document.id).await.updated_at, document.updated_at);
}

#[tokio::test]
async fn a_hundred_vectors_are_kept_at_once_and_those_that_are_there_stay() {
    let s = Setup::new().await;
    let tenant = s.caller.principal.tenant;
    let hashes: Vec<String> = (0..100).map(|i| format!("hash {i}")).collect();
    let vectors: Vec<[f32; 2]> = (0_u8..100).map(|i| [f32::from(i), 1.0]).collect();
    let mut rows: Vec<(&str, &[f32])> = hashes.iter().zip(&vectors).map(|(hash, vector)| (hash.as_str(), vector.as_slice())).collect();
    // A text that stands twice in a document.
    rows.push((&hashes[99], &vectors[99]));
    let mut tx = s.kernel.db.write(tenant).await.unwrap();
    store::put_vectors(&mut tx, tenant, "m", "1", &[(&hashes[7], &[-1.0, 0.0])], s.kernel.now()).await.unwrap();
    store::put_vectors(&mut tx, tenant, "m", "1", &rows, s.kernel.now()).await.unwrap();
    tx.commit().await.unwrap();
    let mut tx = s.kernel.db.read(tenant).await.unwrap();
    let asked: Vec<&str> = hashes.iter().map(String::as_str).chain(["another"]).collect();
    let there = store::with_vector(&mut tx, tenant, "m", "1", &asked).await.unwrap();
    assert_eq!(there, hashes.iter().cloned().collect());
    assert!(store::with_vector(&mut tx, tenant, "m", "2", &asked).await.unwrap().is_empty(), "those of another model are others");
    let kept: Vec<Vec<u8>> = tx
        .all("SELECT vector FROM embeddings WHERE tenant_id = $1 AND text_hash = $2", astrolabe_kernel::args![tenant, &hashes[7]])
        .await
        .unwrap();
    assert_eq!(kept, [[(-1.0_f32).to_le_bytes(), 0.0_f32.to_le_bytes()].concat()]);
}

#[tokio::test]
async fn vectors_of_texts_that_are_gone_are_removed_after_an_hour() {
    let s = Setup::new().await;
    let source = s.source("handbook").await;
    let document = s.ingest(&source, "x.md", GULLS).await;
    let tenant = s.caller.principal.tenant;
    let kept = s.pieces(document.id).await.remove(0).text_hash;
    let mut tx = s.kernel.db.write(tenant).await.unwrap();
    for hash in [kept.as_str(), "gone"] {
        store::put_vectors(&mut tx, tenant, "m", "1", &[(hash, &[1.0, 0.0])], s.kernel.now()).await.unwrap();
    }
    tx.commit().await.unwrap();
    assert_eq!(s.knowledge.sweep_vectors().await.unwrap(), 0, "it may belong to an ingest on its way");
    s.kernel.clock.advance(std::time::Duration::from_secs(3601));
    assert_eq!(s.knowledge.sweep_vectors().await.unwrap(), 1);
    let mut tx = s.kernel.db.read(tenant).await.unwrap();
    assert!(store::with_vector(&mut tx, tenant, "m", "1", &[&kept]).await.unwrap().contains(&kept));
}
