//! The page at `/`: the built single-page app, embedded in the binary, or a plain page that says how to build it.

use astrolabe_kernel::{Error, error::code, http::not_found};
use axum::{
    body::Body,
    extract::Request,
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::{Html, IntoResponse, Response},
};

/// The files of `web/dist`. Nothing fails when the folder is not there: Rust builds and runs without Node.
#[derive(rust_embed::RustEmbed)]
#[folder = "../../web/dist"]
#[allow_missing = true]
struct Page;

/// Serves what no endpoint does: a file of the page, or the page itself for the paths that it draws.
pub async fn serve(request: Request) -> Response {
    let path = request.uri().path().trim_start_matches('/');
    if let Some(response) = file(path, request.headers()) {
        return if reads(request.method()) { response } else { refuse_method() };
    }
    // A path without a dot is a place in the page; one with a dot is a file that is not there.
    let place = path.is_empty() || !path.rsplit('/').next().unwrap_or("").contains('.');
    let html =
        path.is_empty() || request.headers().get(header::ACCEPT).and_then(|v| v.to_str().ok()).is_some_and(|a| a.contains("text/html"));
    let reserved = path.starts_with("assets/") || path.starts_with("api/") || path.starts_with("v1/");
    if !place || !html || reserved {
        return not_found().await.into_response();
    }
    if !reads(request.method()) {
        return refuse_method();
    }
    file("index.html", request.headers()).unwrap_or_else(|| Html(MISSING).into_response())
}

fn reads(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

fn refuse_method() -> Response {
    let mut response = Error::new(code::METHOD_NOT_ALLOWED, "the page is only read: use GET or HEAD").into_response();
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET,HEAD"));
    response
}

fn file(path: &str, headers: &HeaderMap) -> Option<Response> {
    let file = Page::get(path)?;
    // Weak, because the same file also goes out compressed.
    let tag = format!("W/\"{}\"", hex(&file.metadata.sha256_hash()[..16]));
    // The names of files under assets/ hold a hash of their content, so they never change.
    let cache = if path.starts_with("assets/") { "public, max-age=31536000, immutable" } else { "no-cache" };
    let mut response = if headers.get(header::IF_NONE_MATCH).is_some_and(|v| v.as_bytes() == tag.as_bytes()) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let mut response = Response::new(Body::from(file.data));
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type(path)));
        response
    };
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    Some(response)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit('.').next().unwrap_or("") {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "webp" => "image/webp",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "txt" => "text/plain; charset=utf-8",
        "wasm" => "application/wasm",
        _ => "application/octet-stream",
    }
}

/// What is shown at `/` by a binary without the page.
const MISSING: &str = "<!doctype html>
<html lang=\"en\">
<head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\"><title>Astrolabe</title>
<link rel=\"stylesheet\" href=\"/docs/style.css\"></head>
<body><main class=\"note\">
<h1>Astrolabe is running</h1>
<p>This binary was built without the page. The API works: see <a href=\"/docs\">its description</a>.</p>
<p>To build the page, run these with Node in the source tree, and build the binary again:</p>
<pre><code>cd web
npm ci
npm run build</code></pre>
</main></body>
</html>
";
