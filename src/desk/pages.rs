//! The console: static files built by Vite and embedded into the binary.

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rust_embed::RustEmbed;

use super::problem::Problem;

/// `web/dist`; without it the desk has an API and no pages.
#[derive(RustEmbed)]
#[folder = "web/dist"]
#[allow_missing = true]
struct Console;

/// What is shown while the pages are not built in.
const MISSING: &str = "The console is not part of this build. Build it with `npm run build` in web/, then build the daemon again.\n\
                       The API is described at /docs.\n";

/// Any path that is no route: a file of the console, or its page (the console finds its way by the path).
pub async fn page(request: Request) -> Response {
    let path = request.uri().path().trim_start_matches('/');
    if path.starts_with("api/") || path.starts_with("channel/") {
        return Problem::not_found().into_response();
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "this address is only read").into_response();
    }
    let name = if path.is_empty() { "index.html" } else { path };
    match Console::get(name) {
        Some(file) => served(name, file, request.headers()),
        None if name.starts_with("assets/") || name.contains("..") => Problem::not_found().into_response(),
        None => match Console::get("index.html") {
            Some(file) => served("index.html", file, request.headers()),
            None => (StatusCode::NOT_FOUND, [(header::CONTENT_TYPE, "text/plain; charset=utf-8")], MISSING).into_response(),
        },
    }
}

fn served(name: &str, file: rust_embed::EmbeddedFile, asked: &HeaderMap) -> Response {
    let digest: String = file.metadata.sha256_hash()[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    let tag = format!("\"{digest}\"");
    // Names in assets/ carry a hash of their content: they never change.
    let kept = if name.starts_with("assets/") { "public, max-age=31536000, immutable" } else { "no-cache" };
    let headers = [
        (header::CACHE_CONTROL, HeaderValue::from_static(kept)),
        (header::ETAG, HeaderValue::from_str(&tag).unwrap_or(HeaderValue::from_static("\"\""))),
    ];
    let unchanged = asked.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes());
    if unchanged {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    let kind = file.metadata.mimetype();
    let kind = if kind.starts_with("text/") && !kind.contains("charset") { format!("{kind}; charset=utf-8") } else { kind.to_owned() };
    (headers, [(header::CONTENT_TYPE, kind)], file.data.into_owned()).into_response()
}
