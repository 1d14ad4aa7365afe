//! The widget and its demo page: static files built by Vite and embedded into the binary.

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rust_embed::RustEmbed;

use crate::channel::problem::Problem;
use crate::model::id::AccountId;
use crate::port::embedded_file;

/// `web/dist/chat`; without it there is a protocol and no widget.
#[derive(RustEmbed)]
#[folder = "web/dist/chat"]
#[allow_missing = true]
struct Widget;

/// What the demo page may load and connect to: this listener, nothing else.
const DEMO_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; \
     form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'";
/// What stands in the page for the account.
const ACCOUNT_PLACE: &str = "data-account=\"demo\"";
/// What is shown while the widget is not built in.
const MISSING: &str = "The widget is not part of this build. Build it with `npm run build` in web/, then build the daemon again.\n";

/// The demo page of an account.
pub fn demo(account: Option<&AccountId>) -> Response {
    let Some(account) = account else { return Problem::not_found().into_response() };
    let Some(page) = Widget::get("index.html") else {
        return (StatusCode::NOT_FOUND, [(header::CONTENT_TYPE, "text/plain; charset=utf-8")], MISSING).into_response();
    };
    let page = String::from_utf8_lossy(&page.data).replace(ACCOUNT_PLACE, &format!("data-account=\"{account}\""));
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(DEMO_POLICY)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    (headers, page).into_response()
}

/// A file of the widget. Pages of other sites load it, so anybody may read it.
pub fn file(name: &str, asked: &HeaderMap) -> Response {
    let found = (name != "index.html").then(|| Widget::get(name)).flatten();
    let Some(file) = found else { return Problem::not_found().into_response() };
    let shared = [
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*")),
        (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("cross-origin")),
    ];
    // it is asked for by one name for ever: an hour, then asked whether it changed
    (shared, embedded_file::answer(file, "public, max-age=3600", asked)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In every build there is a page; without the widget's own there is nothing to try.
    #[test]
    fn the_script_is_sent_once() {
        if Widget::get("widget.js").is_none() {
            return;
        }
        let first = file("widget.js", &HeaderMap::new());
        assert_eq!(first.status(), StatusCode::OK);
        assert_eq!(first.headers()[header::CACHE_CONTROL], "public, max-age=3600");
        let asked = HeaderMap::from_iter([(header::IF_NONE_MATCH, first.headers()[header::ETAG].clone())]);
        let second = file("widget.js", &asked);
        assert_eq!(
            (second.status(), second.headers()[header::ETAG].clone()),
            (StatusCode::NOT_MODIFIED, asked[header::IF_NONE_MATCH].clone())
        );
        for name in [header::CACHE_CONTROL, header::ACCESS_CONTROL_ALLOW_ORIGIN] {
            assert_eq!(second.headers()[&name], first.headers()[&name]);
        }
    }
}
