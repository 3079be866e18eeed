//! What happens to a document from its upload to its end.

use astrolabe_kernel::{http::Path, jobs::JobState};
use axum::extract::State;

use super::{Setup, support::outcome};
use crate::documents::{routes, store};

const GULLS: &str = "# Lighthouse\n\nThe lighthouse keeper counts gulls.";
const SEALS: &str = "# Lighthouse\n\nThe lighthouse keeper counts seals.";

#[tokio::test]
async fn an_uploaded_document_is_queued_then_running_then_ready_and_its_source_tells_so_in_order() {
    let s = Setup::new().await;
    let source = s.source("handbook").await;
    let document = s.upload(&source, "guide/x.md", GULLS).await;
    assert_eq!(document.state, JobState::Queued);
    assert!(s.names("gulls").await.is_empty(), "nothing is found before it is ready");
    s.drain().await;
    let ready = s.document(document.id).await;
    assert_eq!((ready.state, ready.version, ready.chunk_count, ready.mime.as_str()), (JobState::Ready, 1, 1, "text/markdown"));
    assert_eq!((ready.title.as_str(), ready.lang.as_str(), ready.embedded), ("Lighthouse", "en", false));
    assert_eq!(s.source_events(&source).await, ["document.queued", "document.running", "document.ready"]);
    let seqs: Vec<i64> = s.events(&format!("source:{}", source.id)).await.iter().map(|e| e.seq).collect();
    assert_eq!(seqs, [1, 2, 3]);
    assert_eq!(s.names("gulls").await, ["guide/x.md"]);
}

#[tokio::test]
async fn every_passage_of_a_long_document_is_stored_once_and_in_its_place() {
    let s = Setup::new().await;
    let source = s.source("handbook").await;
    // More than one statement of every size inserts.
    let text: String = (0..150).map(|i| format!("## Part {i}\n\n{}\n\n", format!("Sentence of part {i}. ").repeat(20))).collect();
    let document = s.ingest(&source, "long.md", &text).await;
    let pieces = s.pieces(document.id).await;
    assert!(pieces.len() > 64 + 16 + 4, "{}", pieces.len());
    assert_eq!(document.chunk_count, i64::try_from(pieces.len()).unwrap());
    assert!(pieces.iter().enumerate().all(|(i, p)| p.ordinal == i64::try_from(i).unwrap()));
    let whole = store::text(&mut s.kernel.db.read(s.caller.principal.tenant).await.unwrap(), s.caller.principal.tenant, document.id)
        .await
        .unwrap()
        .unwrap()
        .0;
    let characters: Vec<char> = whole.chars().collect();
    for piece in &pieces {
        let (start, end) = (usize::try_from(piece.start).unwrap(), usize::try_from(piece.end).unwrap());
        assert_eq!(characters[start..end].iter().collect::<String>(), piece.text);
    }
}

#[tokio::test]
async fn the_same_content_again_changes_nothing() {
    let s = Setup::new().await;
    let source = s.source("handbook").await;
    let first = s.ingest(&source, "x.md", GULLS).await;
    let again = s.upload(&source, "x.md", GULLS).await;
    assert_eq!(serde_json::to_value(&again).unwrap(), serde_json::to_value(&first).unwrap());
    assert_eq!(s.jobs_left().await, 0);
    assert_eq!(s.source_events(&source).await.len(), 3);
}

#[tokio::test]
async fn new_content_replaces_the_old_which_is_found_until_then() {
    let s = Setup::new().await;
    let source = s.source("handbook").await;
    let old = s.ingest(&source, "x.md", GULLS).await;
    let new = s.upload(&source, "x.md", SEALS).await;
    assert_eq!((new.id, new.version, new.state), (old.id, 2, JobState::Queued));
    assert_eq!(s.names("gulls").await, ["x.md"]);
    assert!(s.search("seals").await.iter().all(|f| !f.text.contains("seals")));
    s.drain().await;
    assert!(s.search("seals").await[0].text.contains("counts seals"));
    assert!(s.search("gulls").await.iter().all(|f| !f.text.contains("gulls")));
    assert_eq!(s.pieces(old.id).await.len(), 1);
    assert_eq!(s.indexed(old.id).await, 1);
}

#[tokio::test]
async fn the_old_content_stays_found_when_the_new_one_cannot_be_read() {
    let s = Setup::new().await;
    let source = s.source("handbook").await;
    let document = s.ingest(&source, "x.md", GULLS).await;
    let failed = s.ingest(&source, "x.md", b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0").await;
    assert_eq!(outcome(&failed), (JobState::Failed, Some("unsupported_media_type")));
    assert_eq!(s.names("gulls").await, ["x.md"]);
    let s = s.restart().await;
    assert_eq!(s.names("gulls").await, ["x.md"], "and after a restart");
    let ready = s.ingest(&source, "x.md", SEALS).await;
    assert_eq!((ready.id, ready.state, ready.error), (document.id, JobState::Ready, None));
}

#[tokio::test]
async fn content_that_arrives_while_the_old_one_is_read_is_what_stays() {
    let s = Setup::new().await;
    let source = s.source("handbook").await;
    let first = s.upload(&source, "x.md", GULLS).await;
    let bytes = s.hold_bytes(&first);
    let replace = async {
        let bytes = bytes.awaited().await;
        let new = s.upload(&source, "x.md", SEALS).await;
        bytes.release();
        new
    };
    let (ran, new) = tokio::join!(s.runner.run_one(), replace);
    assert!(ran.unwrap());
    assert_eq!(s.document(first.id).await.version, new.version, "the old job does not put its own row over the new one");
    s.drain().await;
    let document = s.document(first.id).await;
    assert_eq!((document.state, document.version, document.content_hash), (JobState::Ready, 2, new.content_hash));
    assert!(s.search("lighthouse keeper").await.iter().all(|f| f.text.contains("seals")));
}

#[tokio::test]
async fn a_document_that_is_deleted_while_it_is_read_stays_deleted() {
    let s = Setup::new().await;
    let source = s.source("handbook").await;
    let document = s.upload(&source, "x.md", GULLS).await;
    let bytes = s.hold_bytes(&document);
    let delete = async {
        let bytes = bytes.awaited().await;
        s.knowledge.remove_document(&s.caller, document.id).await.unwrap();
        bytes.release();
    };
    let (ran, ()) = tokio::join!(s.runner.run_one(), delete);
    assert!(ran.unwrap());
    s.drain().await;
    assert!(s.find_document(document.id).await.is_none());
    assert!(s.pieces(document.id).await.is_empty());
    assert_eq!((s.indexed(document.id).await, s.jobs_left().await), (0, 0));
}

#[tokio::test]
async fn a_deleted_document_leaves_no_chunk_and_no_hit() {
    let s = Setup::new().await;
    let source = s.source("handbook").await;
    let document = s.ingest(&source, "x.md", GULLS).await;
    s.knowledge.remove_document(&s.caller, document.id).await.unwrap();
    assert!(s.names("gulls").await.is_empty());
    assert!(s.pieces(document.id).await.is_empty());
    assert_eq!(s.indexed(document.id).await, 0);
    assert_eq!(s.source_events(&source).await.last().unwrap(), "document.deleted");
    let error = s.knowledge.remove_document(&s.caller, document.id).await.unwrap_err();
    assert_eq!(error.code().name, "not_found");
}

#[tokio::test]
async fn a_poison_file_fails_alone_with_its_reason() {
    let s = Setup::new().await;
    let source = s.source("handbook").await;
    let good = s.upload(&source, "good.md", GULLS).await;
    let pdf = s.upload(&source, "paper.pdf", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n").await;
    let disguised = s.upload(&source, "photo.md", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\0").await;
    let empty = s.upload(&source, "empty.md", b"").await;
    let blank = s.upload(&source, "blank.txt", " \n\t\u{200b}\n").await;
    let invalid = s.upload(&source, "broken.txt", b"caf\xc3\xa9 \xff\xfe\x00\x81\x8d\x8f\x90\x9d ok").await;
    s.drain().await;
    assert_eq!(s.document(good.id).await.state, JobState::Ready);
    for (document, code) in
        [(&pdf, "document_unreadable"), (&disguised, "unsupported_media_type"), (&empty, "document_empty"), (&blank, "document_empty")]
    {
        let failed = s.document(document.id).await;
        assert_eq!(outcome(&failed), (JobState::Failed, Some(code)), "{}", document.name);
        let message = failed.error.unwrap().message;
        assert!(message.starts_with("th") && !message.ends_with('.'), "{message}");
    }
    let failed = s.document(invalid.id).await;
    assert_eq!(failed.state, JobState::Failed, "{failed:?}");
    assert!(matches!(failed.error.unwrap().code.as_str(), "document_unreadable" | "unsupported_media_type"));
    assert_eq!(s.names("gulls").await, ["good.md"]);
    assert_eq!(s.jobs_left().await, 0, "a lasting fault is not tried again");
}

#[tokio::test]
async fn broken_html_is_read_as_far_as_it_goes() {
    let s = Setup::new().await;
    let source = s.source("handbook").await;
    let html = "<html><head><title>Gulls</title><script>alert('x')</script><body><h1>Lighthouse<p>The <b>keeper counts <i>gulls.</b></p><table><tr><td>a<td>b";
    let document = s.ingest(&source, "x.html", html).await;
    assert_eq!((document.state, document.title.as_str()), (JobState::Ready, "Gulls"));
    let content =
        routes::get_document_content(State(s.knowledge.clone()), s.caller.clone().may().unwrap(), Path(document.id)).await.unwrap().0;
    assert!(
        content.text.contains("keeper counts gulls.") && !content.text.contains("alert") && !content.text.contains('<'),
        "{}",
        content.text
    );
}

#[tokio::test]
async fn a_failed_document_can_be_retried_and_a_ready_one_cannot() {
    let s = Setup::new().await;
    let source = s.source("handbook").await;
    let document = s.upload(&source, "x.md", GULLS).await;
    // The bytes are gone when the job looks for them, and come back before the retry.
    let hash = document.content_hash.clone();
    s.knowledge.blobs.delete(&hash).await.unwrap();
    s.drain().await;
    let failed = s.document(document.id).await;
    assert_eq!(outcome(&failed), (JobState::Failed, Some("document_unreadable")));
    assert!(failed.error.unwrap().message.contains("upload it again"));
    let again = s.upload(&source, "x.md", GULLS).await;
    assert_eq!((again.id, again.state), (document.id, JobState::Queued), "the same content is tried again after a failure");
    s.drain().await;
    assert_eq!(s.document(document.id).await.state, JobState::Ready);
    let error = s.knowledge.retry(&s.caller, document.id).await.unwrap_err();
    assert_eq!(error.code().name, "invalid_state");
}

#[tokio::test]
async fn a_retry_ingests_the_document_under_a_new_job() {
    let s = Setup::new().await;
    let source = s.source("handbook").await;
    let document = s.upload(&source, "x.md", "").await;
    s.drain().await;
    let failed = s.document(document.id).await;
    let queued = s.knowledge.retry(&s.caller, document.id).await.unwrap();
    assert_eq!((queued.state, queued.error.clone()), (JobState::Queued, None));
    assert_ne!(queued.job_id, failed.job_id);
    s.drain().await;
    assert_eq!(s.document(document.id).await.state, JobState::Failed, "an empty file stays empty");
    let kinds = s.source_events(&source).await;
    assert_eq!(kinds[3..], ["document.queued", "document.running", "document.failed"]);
}

#[tokio::test]
async fn a_canceled_document_leaves_no_chunk_behind_and_can_be_retried() {
    let s = Setup::new().await;
    let source = s.source("handbook").await;
    let document = s.upload(&source, "x.md", GULLS).await;
    let bytes = s.hold_bytes(&document);
    let cancel = async {
        let bytes = bytes.awaited().await;
        let mut tx = s.kernel.db.write_all().await.unwrap();
        tx.request_cancel(s.caller.principal.tenant, document.job_id, s.kernel.now()).await.unwrap();
        tx.commit().await.unwrap();
        bytes
    };
    // The worker notices by itself, while the document's bytes still keep it waiting.
    let (ran, bytes) = tokio::join!(s.runner.run_one(), cancel);
    assert!(ran.unwrap());
    bytes.release();
    let canceled = s.document(document.id).await;
    assert_eq!((canceled.state, canceled.chunk_count), (JobState::Canceled, 0));
    assert!(s.pieces(document.id).await.is_empty());
    assert!(s.names("gulls").await.is_empty());
    assert_eq!(s.source_events(&source).await.last().unwrap(), "document.canceled");
    s.restore(&document, GULLS).await;
    s.knowledge.retry(&s.caller, document.id).await.unwrap();
    s.drain().await;
    assert_eq!(s.document(document.id).await.state, JobState::Ready);
}

#[tokio::test]
async fn a_document_is_listed_in_its_state_and_page_by_page() {
    let s = Setup::new().await;
    let source = s.source("handbook").await;
    for i in 0..5 {
        s.upload(&source, &format!("{i}.md"), format!("Lighthouse number {i}.")).await;
    }
    s.upload(&source, "bad.md", "").await;
    s.drain().await;
    let mut tx = s.kernel.db.read_all().await.unwrap();
    let tenant = s.caller.principal.tenant;
    let failed = store::page(&mut tx, tenant, source.id, "failed", "", 10).await.unwrap();
    assert_eq!(failed.iter().map(|d| d.name.as_str()).collect::<Vec<_>>(), ["bad.md"]);
    let mut names = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = store::page(&mut tx, tenant, source.id, "ready", &cursor, 2).await.unwrap();
        let more = page.len() > 2;
        for document in page.into_iter().take(2) {
            cursor = document.id.to_string();
            names.push(document.name);
        }
        if !more {
            break;
        }
    }
    assert_eq!(names, ["4.md", "3.md", "2.md", "1.md", "0.md"], "newest first, each once");
}
