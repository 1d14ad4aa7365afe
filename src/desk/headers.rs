//! Headers that every answer has: what browsers may do with it, and for how long it may be kept.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;
use url::Url;

use super::Shared;

/// What the console may load and connect to: this desk, nothing else. Not every browser counts the desk's own sockets as `'self'`.
fn console_policy(desk: &Url) -> HeaderValue {
    let scheme = if desk.scheme() == "https" { "wss" } else { "ws" };
    let socket = format!("{scheme}://{}", desk.authority());
    let policy = format!(
        "default-src 'self'; img-src 'self' data: blob:; connect-src 'self' {socket}; object-src 'none'; base-uri 'none'; \
         frame-src 'self'; frame-ancestors 'none'; form-action 'self'"
    );
    HeaderValue::from_str(&policy).expect("an address has no control characters")
}

/// The page of the API document writes styles of its own.
pub const DOCUMENT_POLICY: &str = "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; object-src 'none'; base-uri 'none'; \
     frame-ancestors 'none'; form-action 'self'";

/// Sets what the handler has not set itself.
pub async fn protect(State(desk): State<Shared>, request: Request, next: Next) -> Response {
    let document = request.uri().path().starts_with("/docs");
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert_with(|| match document {
        true => HeaderValue::from_static(DOCUMENT_POLICY),
        false => console_policy(&desk.options.public_url),
    });
    fill(headers, header::CACHE_CONTROL, "no-store");
    fill(headers, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    fill(headers, header::REFERRER_POLICY, "no-referrer");
    fill(headers, HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
    fill(headers, HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
    fill(headers, HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=()");
    if desk.options.is_https() {
        fill(headers, header::STRICT_TRANSPORT_SECURITY, "max-age=31536000; includeSubDomains");
    }
    response
}

fn fill(headers: &mut HeaderMap, name: HeaderName, value: &'static str) {
    headers.entry(name).or_insert(HeaderValue::from_static(value));
}
