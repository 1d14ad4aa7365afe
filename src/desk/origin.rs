//! Requests that another site made a browser send are refused: by `Sec-Fetch-Site`, else by `Origin`. What has neither comes
//! from no browser of this decade and carries no ambient authority.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Shared;
use super::problem::Problem;

/// Whether `Origin`, if there is one, is the public address or the very host that was asked.
pub fn is_ours(headers: &HeaderMap, public: &url::Url) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else {
        return headers.get("sec-fetch-site").is_none_or(|site| site == "same-origin" || site == "none");
    };
    let Ok(origin) = origin.to_str() else { return false };
    if origin == public.origin().ascii_serialization() {
        return true;
    }
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let asked = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    // Behind TLS only the TLS origin counts: a page of the same host without TLS may be anybody's.
    (public.scheme() != "https" || origin.starts_with("https://")) && asked.is_some() && asked == host
}

fn is_safe(headers: &HeaderMap, public: &url::Url) -> bool {
    if headers.contains_key(header::AUTHORIZATION) {
        return true;
    }
    match headers.get("sec-fetch-site").map(|site| site.as_bytes()) {
        Some(b"same-origin") => true,
        Some(_) => false,
        None => is_ours(headers, public),
    }
}

/// Refuses what changes something and comes from another site.
pub async fn same_origin(State(desk): State<Shared>, request: Request, next: Next) -> Response {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    if reads || is_safe(request.headers(), &desk.options.public_url) {
        return next.run(request).await;
    }
    Problem::new(StatusCode::FORBIDDEN, "foreign_origin", "the request was made by a page of another site").into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_and_fetch_sites() {
        let public = url::Url::parse("https://desk.example.it/").unwrap();
        for (origin, site, host, expected) in [
            (None, None, "desk.example.it", true),
            (Some("https://desk.example.it"), None, "desk.example.it", true),
            (Some("https://desk.example.it"), Some("same-origin"), "desk.example.it", true),
            (Some("https://evil.example"), None, "desk.example.it", false),
            (Some("https://evil.example"), Some("cross-site"), "desk.example.it", false),
            (None, Some("cross-site"), "desk.example.it", false),
            (None, Some("same-site"), "desk.example.it", false),
            (Some("null"), None, "desk.example.it", false),
            (Some("http://desk.example.it"), None, "desk.example.it", false),
            (Some("https://10.0.0.1:8443"), None, "10.0.0.1:8443", true),
            (Some("https://desk.example.it.evil.example"), None, "desk.example.it", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, host.parse().unwrap());
            origin.map(|origin| headers.insert(header::ORIGIN, origin.parse().unwrap()));
            site.map(|site| headers.insert("sec-fetch-site", site.parse().unwrap()));
            assert_eq!(is_safe(&headers, &public), expected, "{origin:?} {site:?} {host}");
        }
    }
}
