//! Signed addresses of parts: what a presigned PUT of S3 is, for the local blob store. Method, path, expiry, size and checksum are signed, so
//! an address takes those bytes in that place until that time, and nothing else. The key is the upload's own and goes with it.

use std::collections::BTreeMap;

use astrolabe_backends::blob::{Address, BlobStore, Part};
use astrolabe_kernel::{Error, Result, Timestamp, config::Secret, error::code};
use ring::hmac;
use serde::Deserialize;
use utoipa::IntoParams;

use super::{ADDRESS_LIFE, Found, PartAddress};

/// What is signed of a part's address.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PartQuery {
    /// Until when the address holds, in seconds since 1970.
    #[param(example = 1_767_229_200)]
    pub expires: i64,
    /// Bytes of the part.
    #[param(minimum = 1, example = 11)]
    pub size: i64,
    /// SHA-256 of its bytes, in hexadecimal.
    #[param(pattern = "^[0-9a-f]{64}$", example = "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9")]
    pub sha256: String,
    /// HMAC-SHA-256 of all that, in hexadecimal.
    #[param(pattern = "^[0-9a-f]{64}$", example = "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9")]
    pub signature: String,
}

fn path(id: &str, number: i64) -> String {
    format!("/uploads/{id}/parts/{number}")
}

fn text(path: &str, expires: i64, size: i64, sha256: &str) -> String {
    format!("PUT\n{path}\n{expires}\n{size}\n{sha256}")
}

fn key(secret: &Secret) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes())
}

/// The address of a part: the bucket's, or ours.
pub(super) fn address(blobs: &BlobStore, of: &Found, number: i64, sha256: &str, now: Timestamp) -> Result<PartAddress> {
    let Found { upload, handle, secret } = of;
    let (id, size) = (upload.id.to_string(), upload.size_of(number));
    let expires_at = now.plus(ADDRESS_LIFE).min(upload.expires_at);
    let (Ok(place), Ok(bytes)) = (u32::try_from(number), u64::try_from(size)) else {
        return Err(Error::internal("a part without a place"));
    };
    let part = Part { number: place, size: bytes, sha256: sha256.to_owned() };
    if let Some(Address { url, headers }) = blobs.address(&id, handle, &part, expires_at.since(now))? {
        return Ok(PartAddress { number, size, method: "PUT".to_owned(), url, headers, expires_at });
    }
    let path = path(&id, number);
    let expires = expires_at.micros() / 1_000_000;
    let signature = hex::encode(hmac::sign(&key(secret), text(&path, expires, size, sha256).as_bytes()));
    Ok(PartAddress {
        number,
        size,
        method: "PUT".to_owned(),
        url: format!("{path}?expires={expires}&size={size}&sha256={sha256}&signature={signature}"),
        headers: BTreeMap::new(),
        expires_at,
    })
}

/// The one answer to every address that is not good: who made it up learns nothing of uploads.
pub(super) fn refused() -> Error {
    Error::new(code::FORBIDDEN, "the address is not one of ours, has expired, or its upload is over: ask for a new one")
}

/// Checks an address.
///
/// # Errors
/// `forbidden` when it was altered or has expired.
pub(super) fn check(secret: &Secret, id: &str, number: i64, query: &PartQuery, now: Timestamp) -> Result<()> {
    let signature = hex::decode(&query.signature).map_err(|_| refused())?;
    let text = text(&path(id, number), query.expires, query.size, &query.sha256);
    hmac::verify(&key(secret), text.as_bytes(), &signature).map_err(|_| refused())?;
    if now.micros() / 1_000_000 >= query.expires { Err(refused()) } else { Ok(()) }
}
