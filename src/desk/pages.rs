//! The console: static files built by Vite and embedded into the binary.

use axum::extract::Request;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rust_embed::RustEmbed;

use super::problem::Problem;
use crate::port::embedded_file;

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
    // Names in assets/ carry a hash of their content: they never change.
    let kept = if name.starts_with("assets/") { "public, max-age=31536000, immutable" } else { "no-cache" };
    embedded_file::answer(file, kept, asked)
}
