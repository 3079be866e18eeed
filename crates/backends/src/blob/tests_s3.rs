//! The bucket, on a real server with S3's protocol: `TEST_S3_URI=http://KEY:SECRET@127.0.0.1:PORT/BUCKET`, whose bucket is there.

use std::time::Duration;

use astrolabe_kernel::{
    Clock, Random,
    config::Secret,
    egress::{Egress, EgressConfig, Method, Trust},
};

use super::*;

/// A store of its own in the bucket, and the folder in front of it. Nothing without a server.
fn store() -> Option<(BlobStore, tempfile::TempDir, Egress)> {
    #[expect(clippy::disallowed_methods, reason = "the test run's only setting")]
    let uri = std::env::var("TEST_S3_URI").unwrap_or_default();
    let Some((keys, place)) = uri.strip_prefix("http://").and_then(|rest| rest.split_once('@')) else {
        eprintln!("SKIPPED: TEST_S3_URI names no server");
        return None;
    };
    let ((key, secret), (host, bucket)) = (keys.split_once(':').unwrap(), place.split_once('/').unwrap());
    let config = BlobsConfig {
        url: format!("s3://{bucket}/t-{}", Random::system().token(9)),
        endpoint: format!("http://{host}"),
        public_endpoint: String::new(),
        region: "us-east-1".to_owned(),
        access_key_id: key.to_owned(),
        secret_access_key: Secret::new(secret),
    };
    let folder = tempfile::tempdir().unwrap();
    let egress = Egress::new(EgressConfig::default()).unwrap();
    Some((BlobStore::open_with(folder.path(), &config, &egress, &Clock::System).unwrap(), folder, egress))
}

fn part(number: u32, bytes: &[u8]) -> Part {
    Part { number, size: bytes.len() as u64, sha256: hex::encode(Sha256::digest(bytes)) }
}

/// Sends bytes as whoever has the address does. Returns the status.
async fn put(egress: &Egress, address: &Address, bytes: &[u8]) -> u16 {
    let mut request = egress.request("test", Trust::Operator, Method::PUT, &address.url).unwrap();
    for (name, value) in address.headers.iter().filter(|(name, _)| *name != "content-length") {
        request = request.header(name, value);
    }
    request.body(bytes.to_vec()).send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn blobs_of_a_bucket_are_stored_read_listed_and_removed() {
    let Some((store, folder, _)) = store() else { return };
    let mut writer = store.writer(100).unwrap();
    writer.write(b"hello world").await.unwrap();
    let blob = writer.finish().await.unwrap();
    assert_eq!(store.get(&blob.hash).await.unwrap().as_deref(), Some(&b"hello world"[..]));
    assert!(store.age(&blob.hash).await.unwrap().is_some_and(|age| age < Duration::from_secs(600)));
    assert_eq!(store.older_than(Duration::from_secs(600)).await.unwrap(), Vec::<String>::new());
    store.delete(&blob.hash).await.unwrap();
    store.delete(&blob.hash).await.unwrap();
    assert_eq!((store.get(&blob.hash).await.unwrap(), store.age(&blob.hash).await.unwrap()), (None, None));
    assert_eq!(std::fs::read_dir(folder.path().join("incoming")).unwrap().count(), 0);
}

#[tokio::test]
async fn parts_go_to_the_bucket_itself_and_become_a_blob_there() {
    let Some((store, _folder, egress)) = store() else { return };
    let handle = store.begin("upl_1").await.unwrap();
    let first = vec![b'a'; 5 << 20];
    let address = |n, bytes: &[u8]| store.address("upl_1", &handle, &part(n, bytes), Duration::from_secs(60)).unwrap().unwrap();
    assert_eq!(put(&egress, &address(2, b"world"), b"world").await, 200);
    assert!(store.assemble("upl_1", &handle, 2).await.unwrap_err().message().starts_with("part 1 is missing"));
    assert_eq!(put(&egress, &address(1, &first), &first).await, 200);
    let sizes: Vec<(u32, u64)> = store.parts("upl_1", &handle).await.unwrap().iter().map(|p| (p.number, p.size)).collect();
    assert_eq!(sizes, [(1, 5 << 20), (2, 5)]);
    // A repeat finds what the first attempt put together.
    for _ in 0..2 {
        let blob = store.assemble("upl_1", &handle, 2).await.unwrap();
        assert_eq!(blob, Blob { hash: hex::encode(Sha256::digest([&first[..], b"world"].concat())), size: (5 << 20) + 5 });
        assert!(store.get(&blob.hash).await.unwrap().is_some());
    }
    assert_eq!(store.uploads_older_than(Duration::ZERO).await.unwrap(), ["upl_1"]);
    store.discard("upl_1", "").await.unwrap();
    store.discard("upl_1", "").await.unwrap();
    assert_eq!(store.uploads_older_than(Duration::ZERO).await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn an_aborted_upload_takes_no_more_parts() {
    let Some((store, _folder, egress)) = store() else { return };
    let handle = store.begin("upl_2").await.unwrap();
    let address = store.address("upl_2", &handle, &part(1, b"x"), Duration::from_secs(60)).unwrap().unwrap();
    store.discard("upl_2", &handle).await.unwrap();
    assert_ne!(put(&egress, &address, b"x").await, 200);
    assert_eq!(store.parts("upl_2", &handle).await.unwrap(), []);
}

#[tokio::test]
async fn a_part_with_other_bytes_an_altered_address_and_an_expired_one_are_refused_by_the_bucket() {
    let Some((store, _folder, egress)) = store() else { return };
    let handle = store.begin("upl_3").await.unwrap();
    let good = store.address("upl_3", &handle, &part(1, b"good"), Duration::from_secs(60)).unwrap().unwrap();
    let altered = Address { url: good.url.replace("partNumber=1", "partNumber=2"), ..good.clone() };
    if put(&egress, &altered, b"good").await == 200 {
        eprintln!("SKIPPED: this server checks no signatures");
        return;
    }
    let mut other = good.clone();
    other.headers.insert("x-amz-checksum-sha256".to_owned(), "AAAA".to_owned());
    assert_ne!(put(&egress, &other, b"evil").await, 200);
    assert_eq!(store.parts("upl_3", &handle).await.unwrap(), []);
    if put(&egress, &good, b"evil").await == 200 {
        // Not every server looks at the checksum of a part: then the hash of the whole tells.
        assert_ne!(store.assemble("upl_3", &handle, 1).await.unwrap().hash, hex::encode(Sha256::digest(b"good")));
        return;
    }
    assert_eq!(put(&egress, &good, b"good").await, 200);
}

#[test]
fn a_bucket_that_cannot_be_is_refused_by_the_settings_name() {
    let folder = tempfile::tempdir().unwrap();
    let egress = Egress::new(EgressConfig::default()).unwrap();
    let good = BlobsConfig {
        url: "s3://bucket".to_owned(),
        region: "us-east-1".to_owned(),
        access_key_id: "key".to_owned(),
        secret_access_key: Secret::new("secret"),
        ..BlobsConfig::default()
    };
    for (bad, setting) in [
        (BlobsConfig { url: "bucket".to_owned(), ..good.clone() }, "blobs.url"),
        (BlobsConfig { url: "s3:///x".to_owned(), ..good.clone() }, "blobs.url"),
        (BlobsConfig { url: "s3://b/a?b".to_owned(), ..good.clone() }, "blobs.url"),
        (BlobsConfig { secret_access_key: Secret::new(""), ..good.clone() }, "blobs.access_key_id"),
        (BlobsConfig { endpoint: "nowhere".to_owned(), ..good.clone() }, "blobs.endpoint"),
        (BlobsConfig { public_endpoint: "nowhere".to_owned(), ..good.clone() }, "blobs.public_endpoint"),
    ] {
        let error = BlobStore::open_with(folder.path(), &bad, &egress, &Clock::System).unwrap_err();
        assert!(error.message().starts_with(setting), "{error}");
    }
    assert!(!format!("{good:?}").contains("secret\""));
    BlobStore::open_with(folder.path(), &good, &egress, &Clock::System).unwrap();
}
