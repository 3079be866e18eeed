//! Limits on the head of a request: its address, and how many headers of which size. Heads beyond 64 KiB or 200 headers do not get here: the
//! listener refuses them without reading on.

use axum::{
    extract::Request,
    middleware::Next,
    response::{IntoResponse, Response},
};

use crate::{Error, Result, error::code};

/// Bytes of path and query at most: the longest search by GET, percent-encoded, has room.
pub const MAX_URL: usize = 32 << 10;
/// Headers at most.
pub const MAX_HEADERS: usize = 100;
/// Bytes of all headers together at most.
pub const MAX_HEADER_BYTES: usize = 32 << 10;

/// Middleware that refuses what is over the limits with `url_too_long` (414) or `headers_too_large` (431).
pub async fn limit_head(request: Request, next: Next) -> Response {
    match check(&request) {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

fn check(request: &Request) -> Result<()> {
    if request.uri().path_and_query().is_some_and(|p| p.as_str().len() > MAX_URL) {
        return Err(Error::new(code::URL_TOO_LONG, format!("path and query may have {MAX_URL} bytes")));
    }
    let headers = request.headers();
    if headers.len() > MAX_HEADERS {
        return Err(Error::new(code::HEADERS_TOO_LARGE, format!("a request may have {MAX_HEADERS} headers")));
    }
    let size = |(name, value): (&axum::http::HeaderName, &axum::http::HeaderValue)| name.as_str().len() + value.len();
    if headers.iter().map(size).sum::<usize>() > MAX_HEADER_BYTES {
        let largest = headers.iter().max_by_key(|h| size(*h)).map_or("", |(name, _)| name.as_str());
        return Err(Error::new(
            code::HEADERS_TOO_LARGE,
            format!("the headers may have {MAX_HEADER_BYTES} bytes in all; the largest is {largest}"),
        ));
    }
    Ok(())
}
