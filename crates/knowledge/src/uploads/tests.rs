//! Uploads in parts, over the routes that callers use.

use std::time::Duration;

use astrolabe_kernel::{
    Error, Id, Principal, Result,
    http::{Caller, Json, May, Path, Query, Trace},
    id::Named,
    jobs::JobState,
    principal::{Role, Tenant},
};
use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode},
};
use sha2::{Digest, Sha256};

use super::{
    NewUpload, PartAddress, PartToSign, PartsToSign, ReceivedPart, Upload, UploadBegun, UploadProgress, UploadState, routes,
    sign::PartQuery,
};
use crate::{
    documents::Document,
    sources::Source,
    tests::support::{Setup, outcome},
};

const MIB: usize = 1 << 20;

fn sum(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// A text of two parts.
fn large() -> Vec<u8> {
    let mut text = b"# The press\n\nThe press in hall seven weighs nine tonnes.\n\n".to_vec();
    text.resize(5 * MIB, b' ');
    text.extend_from_slice(b"\n\nThe crane above it lifts twelve tonnes.\n");
    text
}

fn parts(bytes: &[u8]) -> Vec<&[u8]> {
    bytes.chunks(5 * MIB).collect()
}

fn new(name: &str, bytes: &[u8]) -> NewUpload {
    NewUpload {
        name: name.to_owned(),
        size: i64::try_from(bytes.len()).unwrap(),
        sha256: sum(bytes),
        part_size: Some(5 << 20),
        checksums: parts(bytes).iter().map(|p| sum(p)).collect(),
        tags: Vec::new(),
    }
}

async fn begin(s: &Setup, source: &Source, new: NewUpload) -> Result<UploadBegun> {
    // Ids are ordered by time, and the clock stands still by itself.
    s.kernel.clock.advance(Duration::from_millis(1));
    let made = routes::begin_upload(State(s.knowledge.clone()), s.caller.clone().may()?, Path(source.id), Json(new)).await?;
    assert_eq!(made.0, StatusCode::CREATED);
    Ok(made.1.0)
}

async fn progress(s: &Setup, caller: &Caller, id: Id<Upload>) -> Result<UploadProgress> {
    Ok(routes::get_upload(State(s.knowledge.clone()), caller.clone().may()?, Path(id)).await?.0)
}

async fn complete_as(s: &Setup, caller: &Caller, id: Id<Upload>) -> Result<Document> {
    Ok(routes::complete_upload(State(s.knowledge.clone()), caller.clone().may()?, Path(id)).await?.1.0)
}

async fn complete(s: &Setup, id: Id<Upload>) -> Result<Document> {
    complete_as(s, &s.caller, id).await
}

async fn sign(s: &Setup, id: Id<Upload>, number: i64, bytes: &[u8]) -> Result<PartAddress> {
    let wanted = PartsToSign { parts: vec![PartToSign { number, sha256: sum(bytes) }] };
    let signed = routes::sign_parts(State(s.knowledge.clone()), s.caller.clone().may()?, Path(id), Json(wanted)).await?;
    Ok(signed.0.parts.into_iter().next().unwrap())
}

/// What an address says, read as the router reads it.
fn read(url: &str) -> (Id<Upload>, i64, PartQuery) {
    let (path, query) = url.split_once('?').unwrap();
    let steps: Vec<&str> = path.split('/').collect();
    assert_eq!((steps[1], steps[3]), ("uploads", "parts"));
    let value = |name: &str| query.split('&').find_map(|p| p.strip_prefix(&format!("{name}="))).unwrap().to_owned();
    let query = PartQuery {
        expires: value("expires").parse().unwrap(),
        size: value("size").parse().unwrap(),
        sha256: value("sha256"),
        signature: value("signature"),
    };
    (steps[2].parse().unwrap(), steps[4].parse().unwrap(), query)
}

async fn put(s: &Setup, url: &str, body: Body) -> Result<()> {
    let (id, number, query) = read(url);
    routes::put_part(State(s.knowledge.clone()), Path((id, number)), Query(query), HeaderMap::new(), body).await.map(drop)
}

async fn send(s: &Setup, address: &PartAddress, bytes: &[u8]) -> Result<()> {
    put(s, &address.url, Body::from(bytes.to_vec())).await
}

/// A body that breaks off after some bytes, as a cut connection does.
fn cut(bytes: &[u8]) -> Body {
    let pieces = [Ok(axum::body::Bytes::copy_from_slice(bytes)), Err(std::io::Error::other("the connection is gone"))];
    Body::from_stream(futures_util::stream::iter(pieces))
}

fn code(error: &Error) -> &'static str {
    error.code().name
}

fn numbers(received: &[ReceivedPart]) -> Vec<i64> {
    received.iter().map(|p| p.number).collect()
}

fn stranger(s: &Setup) -> Caller {
    let tenant: Id<Tenant> = s.kernel.id();
    let principal = Principal::new("user:other", "Other", tenant, Role::Admin, Vec::new(), "token");
    Caller { principal, trace: Trace::background(&s.kernel.random), idempotency_key: None, address: None }
}

#[tokio::test]
async fn parts_sent_in_any_order_become_a_document_that_is_found() {
    let s = Setup::new().await;
    let source = s.source("manuals").await;
    let bytes = large();
    let begun = begin(&s, &source, new("press.txt", &bytes)).await.unwrap();
    assert_eq!((begun.upload.part_count, begun.parts.len(), begun.parts[1].size), (2, 2, 42));
    for i in [1, 0] {
        send(&s, &begun.parts[i], parts(&bytes)[i]).await.unwrap();
    }
    assert_eq!(numbers(&progress(&s, &s.caller, begun.upload.id).await.unwrap().received), [1, 2]);
    let document = complete(&s, begun.upload.id).await.unwrap();
    assert_eq!((document.name.as_str(), document.state, &document.content_hash), ("press.txt", JobState::Queued, &sum(&bytes)));
    assert_eq!(s.jobs_left().await, 1);
    s.drain().await;
    assert_eq!(outcome(&s.document(document.id).await), (JobState::Ready, None));
    assert_eq!(s.names("How much does the crane lift?").await, ["press.txt"]);
    assert!(std::fs::read_dir(s.test.folder.path().join("blobs/uploads")).unwrap().next().is_none(), "the parts are gone");
}

#[tokio::test]
async fn completing_twice_gives_the_same_document_and_one_job() {
    let s = Setup::new().await;
    let source = s.source("manuals").await;
    let begun = begin(&s, &source, new("a.txt", b"short text")).await.unwrap();
    send(&s, &begun.parts[0], b"short text").await.unwrap();
    let (one, two) = tokio::join!(complete(&s, begun.upload.id), complete(&s, begun.upload.id));
    let (one, two) = (one.unwrap(), two.unwrap());
    let three = complete(&s, begun.upload.id).await.unwrap();
    assert_eq!((one.id, one.version, one.id), (two.id, two.version, three.id));
    assert_eq!(s.jobs_left().await, 1);
    let read = progress(&s, &s.caller, begun.upload.id).await.unwrap();
    assert_eq!((read.upload.state, read.upload.document_id), (UploadState::Complete, Some(one.id)));
    assert_eq!(code(&send(&s, &begun.parts[0], b"short text").await.unwrap_err()), "invalid_state");
}

#[tokio::test]
async fn an_upload_goes_on_after_a_cut_connection_and_after_the_process_died() {
    let s = Setup::new().await;
    let source = s.source("manuals").await;
    let bytes = large();
    let begun = begin(&s, &source, new("press.txt", &bytes)).await.unwrap();
    send(&s, &begun.parts[0], parts(&bytes)[0]).await.unwrap();
    assert_eq!(code(&put(&s, &begun.parts[1].url, cut(b"\n\nThe crane")).await.unwrap_err()), "invalid_request");
    assert_eq!(code(&complete(&s, begun.upload.id).await.unwrap_err()), "invalid_state");
    // What a killed process leaves: half a part among what is arriving.
    std::fs::write(s.test.folder.path().join("blobs/incoming/.half"), b"\n\nThe").unwrap();
    let s = s.restart().await;
    assert_eq!(numbers(&progress(&s, &s.caller, begun.upload.id).await.unwrap().received), [1]);
    send(&s, &begun.parts[1], parts(&bytes)[1]).await.unwrap();
    let document = complete(&s, begun.upload.id).await.unwrap();
    assert_eq!(document.content_hash, sum(&bytes));
    assert_eq!(std::fs::read_dir(s.test.folder.path().join("blobs/incoming")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_process_that_dies_before_the_commit_leaves_an_upload_that_can_be_completed() {
    let s = Setup::new().await;
    let source = s.source("manuals").await;
    let begun = begin(&s, &source, new("a.txt", b"short text")).await.unwrap();
    send(&s, &begun.parts[0], b"short text").await.unwrap();
    // The parts were put together, and nothing was committed.
    s.knowledge.blobs.assemble(&begun.upload.id.to_string(), "", 1).await.unwrap();
    let s = s.restart().await;
    assert_eq!(complete(&s, begun.upload.id).await.unwrap().version, 1);
}

#[tokio::test]
async fn a_repeat_of_a_part_replaces_it() {
    let s = Setup::new().await;
    let source = s.source("manuals").await;
    let begun = begin(&s, &source, new("a.txt", b"right text")).await.unwrap();
    let wrong = sign(&s, begun.upload.id, 1, b"wrong text").await.unwrap();
    send(&s, &wrong, b"wrong text").await.unwrap();
    send(&s, &begun.parts[0], b"right text").await.unwrap();
    let received = progress(&s, &s.caller, begun.upload.id).await.unwrap().received;
    assert_eq!(received, [ReceivedPart { number: 1, size: 10, sha256: sum(b"right text") }]);
    assert_eq!(complete(&s, begun.upload.id).await.unwrap().content_hash, sum(b"right text"));
}

#[tokio::test]
async fn parts_that_are_not_the_file_that_was_announced_end_the_upload() {
    let s = Setup::new().await;
    let source = s.source("manuals").await;
    let begun = begin(&s, &source, new("a.txt", b"right text")).await.unwrap();
    send(&s, &sign(&s, begun.upload.id, 1, b"wrong text").await.unwrap(), b"wrong text").await.unwrap();
    let error = complete(&s, begun.upload.id).await.unwrap_err();
    assert_eq!((code(&error), error.fields()[0].field.as_str()), ("invalid_request", "sha256"));
    assert_eq!(code(&progress(&s, &s.caller, begun.upload.id).await.unwrap_err()), "not_found");
    assert_eq!(s.jobs_left().await, 0);
}

#[tokio::test]
async fn a_part_with_other_bytes_than_were_signed_is_refused() {
    let s = Setup::new().await;
    let source = s.source("manuals").await;
    let begun = begin(&s, &source, new("a.txt", b"short text")).await.unwrap();
    for bad in [&b"other text"[..], b"short", b"short text and more"] {
        let error = send(&s, &begun.parts[0], bad).await.unwrap_err();
        assert_eq!((code(&error), error.fields()[0].field.as_str()), ("invalid_request", "body"));
    }
    assert_eq!(progress(&s, &s.caller, begun.upload.id).await.unwrap().received, []);
}

#[tokio::test]
async fn an_address_that_was_altered_or_has_expired_is_refused() {
    let s = Setup::new().await;
    let source = s.source("manuals").await;
    let begun = begin(&s, &source, new("a.txt", b"short text")).await.unwrap();
    let other = begin(&s, &source, new("b.txt", b"short text")).await.unwrap();
    let (url, size) = (&begun.parts[0].url, begun.parts[0].size);
    let expires = read(url).2.expires;
    for altered in [
        url.replace(&format!("expires={expires}"), &format!("expires={}", expires + 1)),
        url.replace(&format!("size={size}"), "size=11"),
        url.replace(&sum(b"short text"), &sum(b"other text")),
        url.replace("/parts/1?", "/parts/2?"),
        url.replace(&begun.upload.id.to_string(), &other.upload.id.to_string()),
        url.replace(&begun.upload.id.to_string(), "upl_01JD3V9M7Q4R8T2W6X0Y5Z1ABC"),
        url.replace("signature=", "signature=zz"),
    ] {
        assert_ne!(&altered, url);
        assert_eq!(code(&put(&s, &altered, Body::from("short text")).await.unwrap_err()), "forbidden", "{altered}");
    }
    s.kernel.clock.advance(super::ADDRESS_LIFE);
    assert_eq!(code(&send(&s, &begun.parts[0], b"short text").await.unwrap_err()), "forbidden");
    send(&s, &sign(&s, begun.upload.id, 1, b"short text").await.unwrap(), b"short text").await.unwrap();
}

#[tokio::test]
async fn an_upload_of_another_tenant_is_as_good_as_none() {
    let s = Setup::new().await;
    let source = s.source("manuals").await;
    let begun = begin(&s, &source, new("a.txt", b"short text")).await.unwrap();
    let other = stranger(&s);
    assert_eq!(code(&progress(&s, &other, begun.upload.id).await.unwrap_err()), "not_found");
    assert_eq!(code(&complete_as(&s, &other, begun.upload.id).await.unwrap_err()), "not_found");
    let abort = routes::abort_upload(State(s.knowledge.clone()), other.clone().may().unwrap(), Path(begun.upload.id)).await;
    assert_eq!(code(&abort.unwrap_err()), "not_found");
    let into = routes::begin_upload(State(s.knowledge.clone()), other.may().unwrap(), Path(source.id), Json(new("a.txt", b"x"))).await;
    assert_eq!(code(&into.unwrap_err()), "not_found");
    send(&s, &begun.parts[0], b"short text").await.unwrap();
}

#[tokio::test]
async fn an_aborted_upload_leaves_nothing() {
    let s = Setup::new().await;
    let source = s.source("manuals").await;
    let begun = begin(&s, &source, new("a.txt", b"short text")).await.unwrap();
    send(&s, &begun.parts[0], b"short text").await.unwrap();
    let caller: May<_> = s.caller.clone().may().unwrap();
    routes::abort_upload(State(s.knowledge.clone()), caller, Path(begun.upload.id)).await.unwrap();
    assert_eq!(code(&send(&s, &begun.parts[0], b"short text").await.unwrap_err()), "forbidden");
    assert_eq!(code(&complete(&s, begun.upload.id).await.unwrap_err()), "not_found");
    assert_eq!(s.knowledge.blobs.uploads_older_than(Duration::ZERO).await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn uploads_past_their_time_and_parts_of_none_are_removed() {
    let s = Setup::new().await;
    let source = s.source("manuals").await;
    let old = begin(&s, &source, new("a.txt", b"short text")).await.unwrap();
    send(&s, &old.parts[0], b"short text").await.unwrap();
    s.kernel.clock.advance(Duration::from_secs(24 * 3600));
    let young = begin(&s, &source, new("b.txt", b"short text")).await.unwrap();
    send(&s, &young.parts[0], b"short text").await.unwrap();
    let stray = s.test.folder.path().join("blobs/uploads").join(s.kernel.id::<Upload>().to_string());
    std::fs::create_dir(&stray).unwrap();
    assert_eq!(s.knowledge.sweep_uploads(Duration::ZERO).await.unwrap(), 1);
    assert_eq!(s.knowledge.blobs.uploads_older_than(Duration::ZERO).await.unwrap(), [young.upload.id.to_string()]);
    assert_eq!(code(&progress(&s, &s.caller, old.upload.id).await.unwrap_err()), "not_found");
    complete(&s, young.upload.id).await.unwrap();
}

#[tokio::test]
async fn uploads_of_a_deleted_source_go_with_it() {
    let s = Setup::new().await;
    let source = s.source("manuals").await;
    let begun = begin(&s, &source, new("a.txt", b"short text")).await.unwrap();
    let deleted = crate::sources::routes::delete_source(State(s.knowledge.clone()), s.caller.clone().may().unwrap(), Path(source.id)).await;
    deleted.unwrap();
    assert_eq!(code(&send(&s, &begun.parts[0], b"short text").await.unwrap_err()), "forbidden");
}

#[tokio::test]
async fn what_cannot_be_an_upload_is_refused_by_the_fields_name() {
    let s = Setup::new().await;
    let source = s.source("manuals").await;
    let good = new("a.txt", b"short text");
    for (bad, field) in [
        (NewUpload { name: "../up.txt".to_owned(), ..good.clone() }, "name"),
        (NewUpload { size: 0, ..good.clone() }, "size"),
        (NewUpload { size: 1 << 40, ..good.clone() }, "size"),
        (NewUpload { sha256: "ABC".to_owned(), ..good.clone() }, "sha256"),
        (NewUpload { part_size: Some(1), ..good.clone() }, "part_size"),
        (NewUpload { checksums: vec![sum(b"a"); 2], ..good.clone() }, "checksums"),
        (NewUpload { checksums: vec!["x".to_owned()], ..good.clone() }, "checksums[0]"),
        (NewUpload { tags: vec![String::new()], ..good.clone() }, "tags[0]"),
    ] {
        assert_eq!(begin(&s, &source, bad).await.unwrap_err().fields()[0].field, field);
    }
    let begun = begin(&s, &source, good).await.unwrap();
    for number in [0, 2, -1] {
        assert_eq!(sign(&s, begun.upload.id, number, b"x").await.unwrap_err().fields()[0].field, "parts[0].number");
    }
    assert_eq!(Upload::PREFIX, "upl");
}

/// On a real server with S3's protocol: `TEST_S3_URI=http://KEY:SECRET@127.0.0.1:PORT/BUCKET`, whose bucket is there.
#[cfg(feature = "s3")]
#[tokio::test]
async fn parts_that_went_to_a_bucket_become_a_document_that_is_found() {
    use astrolabe_backends::blob::BlobsConfig;
    use astrolabe_kernel::{
        Clock, Kernel, Lifecycle,
        config::Secret,
        egress::{Method, Trust},
        testing::TestKernel,
    };

    #[expect(clippy::disallowed_methods, reason = "the test run's only setting")]
    let uri = std::env::var("TEST_S3_URI").unwrap_or_default();
    let Some((keys, place)) = uri.strip_prefix("http://").and_then(|rest| rest.split_once('@')) else {
        eprintln!("SKIPPED: TEST_S3_URI names no server");
        return;
    };
    let ((key, secret), (host, bucket)) = (keys.split_once(':').unwrap(), place.split_once('/').unwrap());
    let test = TestKernel::new(&[crate::MIGRATIONS]).await;
    let blobs = BlobsConfig {
        url: format!("s3://{bucket}/t-{}", test.kernel.random.token(9)),
        endpoint: format!("http://{host}"),
        public_endpoint: String::new(),
        region: "us-east-1".to_owned(),
        access_key_id: key.to_owned(),
        secret_access_key: Secret::new(secret),
    };
    // The server looks at its own clock.
    let kernel = Kernel { clock: Clock::System, lifecycle: Lifecycle::new(), ..test.kernel.clone() };
    let test = TestKernel { kernel, ..test };
    let s = Setup::reopen_with(test, crate::tests::support::With { blobs, ..Default::default() }).await;
    let source = s.source("manuals").await;
    let bytes = large();
    let new = NewUpload { checksums: parts(&bytes).iter().map(|p| sum(p)).collect(), ..new("press.txt", &bytes) };
    let caller: May<_> = s.caller.clone().may().unwrap();
    let begun = routes::begin_upload(State(s.knowledge.clone()), caller, Path(source.id), Json(new)).await.unwrap().1.0;
    for (address, bytes) in begun.parts.iter().zip(parts(&bytes)) {
        assert!(address.url.starts_with(&format!("http://{host}/{bucket}/")), "{}", address.url);
        let mut request = s.kernel.egress.request("test", Trust::Operator, Method::PUT, &address.url).unwrap();
        for (name, value) in address.headers.iter().filter(|(name, _)| *name != "content-length") {
            request = request.header(name, value);
        }
        assert_eq!(request.body(bytes.to_vec()).send().await.unwrap().status().as_u16(), 200);
    }
    assert_eq!(numbers(&progress(&s, &s.caller, begun.upload.id).await.unwrap().received), [1, 2]);
    // An attempt that died before its commit has put the parts together already.
    let found = s.knowledge.upload_of(&s.caller, begun.upload.id).await.unwrap();
    s.knowledge.blobs.assemble(&begun.upload.id.to_string(), &found.handle, 2).await.unwrap();
    let document = complete(&s, begun.upload.id).await.unwrap();
    assert_eq!(complete(&s, begun.upload.id).await.unwrap().id, document.id);
    s.drain().await;
    assert_eq!(outcome(&s.document(document.id).await), (JobState::Ready, None));
    assert_eq!(s.names("How much does the crane lift?").await, ["press.txt"]);
    assert_eq!(s.knowledge.blobs.uploads_older_than(Duration::ZERO).await.unwrap(), Vec::<String>::new());
}
