//! Files built into the binary as they go over HTTP: with a tag of their content, and not again to who has them.

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rust_embed::EmbeddedFile;

/// A file, or the word that the browser has it already. `kept`: its `Cache-Control`.
pub fn answer(file: EmbeddedFile, kept: &'static str, asked: &HeaderMap) -> Response {
    let digest = hex::encode(&file.metadata.sha256_hash()[..16]);
    let tag = format!("\"{digest}\"");
    let headers = [
        (header::CACHE_CONTROL, HeaderValue::from_static(kept)),
        (header::ETAG, HeaderValue::from_str(&tag).expect("hexadecimal digits in quotes")),
    ];
    if is_known(&tag, asked) {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    let kind = file.metadata.mimetype();
    let kind = if kind.starts_with("text/") && !kind.contains("charset") { format!("{kind}; charset=utf-8") } else { kind.to_owned() };
    (headers, [(header::CONTENT_TYPE, kind)], file.data.into_owned()).into_response()
}

/// Whether `If-None-Match` names the tag (RFC 9110, 13.1.2): one of several, or a weak one, for a proxy that compresses makes it weak.
fn is_known(tag: &str, asked: &HeaderMap) -> bool {
    let lines = asked.get_all(header::IF_NONE_MATCH).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim).any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known() {
        for (lines, expected) in [
            (&[][..], false),
            (&["\"a\""], true),
            (&["W/\"a\""], true),
            (&["\"b\", W/\"a\""], true),
            (&["\"b\"", "\"a\""], true),
            (&["*"], true),
            (&["\"b\""], false),
            (&["a"], false),
            (&["\"ab\""], false),
            (&["W/\"b\","], false),
        ] {
            let mut asked = HeaderMap::new();
            for line in lines {
                asked.append(header::IF_NONE_MATCH, HeaderValue::from_static(line));
            }
            assert_eq!(is_known("\"a\"", &asked), expected, "{lines:?}");
        }
    }
}
