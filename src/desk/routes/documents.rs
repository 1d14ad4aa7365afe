//! What came with a message: its HTML as a document of its own, its files, its bytes as they came. Nothing of it is ever
//! run or shown as a page of the desk.

use std::collections::HashMap;

use axum::body::Body as HttpBody;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Deserialize;

use self::images::{Document, is_image};
use crate::desk::Shared;
use crate::desk::extract::{Asking, Ids};
use crate::desk::problem::{Problem, ProblemDocument};
use crate::desk::routes::reading::seen_contact;
use crate::desk::session::SignedIn;
use crate::model::conversation::{Attachment, Message};
use crate::model::id::MessageId;

mod images;

/// A document in a cage: an origin of its own, no scripts, nothing from the network but this desk's own files.
pub const CAGE: &str = "sandbox; default-src 'none'; img-src 'self' data:; style-src 'unsafe-inline'; frame-ancestors 'self'; base-uri 'none'; form-action 'none'";

/// A message that the caller may read; 404 if they may not know of it, 403 if they may not read it.
async fn readable(desk: &Shared, caller: &SignedIn, id: MessageId) -> Result<Message, Problem> {
    let rights = desk.rights(&caller.0).await?;
    for administration in rights.administrations() {
        if let Some(message) = desk.store.message(administration, id).await? {
            let (_, sight) = seen_contact(desk, &rights, message.contact).await?;
            return if sight.content { Ok(message) } else { Err(Problem::no_right_to_content()) };
        }
    }
    Err(Problem::not_found())
}

/// The sanitised HTML of a message as a document of its own, for a sandboxed frame. Images that came with it are inside, for
/// the frame's origin is nobody's and gets nothing by the session's cookie.
#[utoipa::path(get, path = "/messages/{id}/html", tag = "reading", params(("id" = String, Path)), responses(
    (status = 200, content_type = "text/html", description = "the document, in a sandbox"), (status = 401, body = ProblemDocument),
    (status = 403, body = ProblemDocument), (status = 404, body = ProblemDocument)))]
pub async fn html(State(desk): State<Shared>, caller: SignedIn, Ids(id): Ids<MessageId>) -> Result<Response, Problem> {
    let message = readable(&desk, &caller, id).await?;
    let blob = message.html.as_ref().ok_or_else(Problem::not_found)?;
    let html = desk.blobs.get(&message.administration, blob).await?;
    let html = with_images(&desk, &message, html).await?;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(CAGE)),
    ];
    Ok((headers, html).into_response())
}

/// The document with the images that it names by `cid:` inside. What takes long with a large one is done beside the workers that
/// answer requests.
async fn with_images(desk: &Shared, message: &Message, html: Bytes) -> Result<String, Problem> {
    let attachments = message.attachments.clone();
    let document = computed(move || Document::of(String::from_utf8_lossy(&html).into_owned(), &attachments)).await?;
    let mut images = HashMap::new();
    for index in document.wanted() {
        let file = &message.attachments[index];
        match desk.blobs.get(&message.administration, &file.blob).await {
            Ok(bytes) => drop(images.insert(index, (file.media_type.clone(), bytes))),
            Err(error) => tracing::warn!(message = %message.id, %error, "an image of message {} cannot be read", message.id),
        }
    }
    computed(move || document.with(&images)).await
}

/// Runs what computes on the pool for that.
async fn computed<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        tracing::error!(%error, "a document could not be put together");
        Problem::internal()
    })
}

/// How a file is wanted.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct FileQuery {
    /// Shows an image in place of saving it; other types are always saved.
    #[serde(default)]
    inline: bool,
}

/// A file of a message, to be saved.
#[utoipa::path(get, path = "/messages/{id}/attachments/{index}", tag = "reading",
    params(("id" = String, Path), ("index" = usize, Path), FileQuery), responses(
    (status = 200, content_type = "application/octet-stream", description = "the file"), (status = 401, body = ProblemDocument),
    (status = 403, body = ProblemDocument), (status = 404, body = ProblemDocument)))]
pub async fn attachment(
    State(desk): State<Shared>,
    caller: SignedIn,
    Ids((id, index)): Ids<(MessageId, usize)>,
    Asking(query): Asking<FileQuery>,
) -> Result<Response, Problem> {
    let message = readable(&desk, &caller, id).await?;
    let file = message.attachments.get(index).ok_or_else(Problem::not_found)?;
    let bytes = desk.blobs.get(&message.administration, &file.blob).await?;
    let inline = query.inline && is_image(&file.media_type);
    Ok(saved(file, bytes, inline))
}

/// The message as it came over the wire, to be saved.
#[utoipa::path(get, path = "/messages/{id}/raw", tag = "reading", params(("id" = String, Path)), responses(
    (status = 200, content_type = "message/rfc822", description = "the bytes"), (status = 401, body = ProblemDocument),
    (status = 403, body = ProblemDocument), (status = 404, body = ProblemDocument)))]
pub async fn raw(State(desk): State<Shared>, caller: SignedIn, Ids(id): Ids<MessageId>) -> Result<Response, Problem> {
    let message = readable(&desk, &caller, id).await?;
    let blob = message.raw.clone().ok_or_else(Problem::not_found)?;
    let bytes = desk.blobs.get(&message.administration, &blob).await?;
    let file = Attachment { name: format!("{id}.eml"), media_type: "message/rfc822".into(), content_id: None, blob };
    Ok(saved(&file, bytes, false))
}

fn saved(file: &Attachment, bytes: Bytes, inline: bool) -> Response {
    let disposition = if inline { "inline" } else { "attachment" };
    // What the sender declared is never believed beyond a few types that no browser runs.
    let kind = if is_image(&file.media_type) || ["application/pdf", "message/rfc822"].contains(&file.media_type.as_str()) {
        HeaderValue::from_str(&file.media_type.to_ascii_lowercase())
    } else {
        Ok(HeaderValue::from_static("application/octet-stream"))
    };
    let headers: [(HeaderName, HeaderValue); 3] = [
        (header::CONTENT_TYPE, kind.unwrap_or(HeaderValue::from_static("application/octet-stream"))),
        (header::CONTENT_DISPOSITION, content_disposition(disposition, &file.name)),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(CAGE)),
    ];
    (headers, HttpBody::from(bytes)).into_response()
}

/// RFC 6266: a plain name for old clients, the whole name in UTF-8 after it.
fn content_disposition(disposition: &str, name: &str) -> HeaderValue {
    let name = crate::desk::routes::files::safe_name(name);
    let plain: String = name.chars().map(|c| if c.is_ascii_alphanumeric() || "._- ".contains(c) { c } else { '_' }).collect();
    let mut encoded = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    let value = format!("{disposition}; filename=\"{plain}\"; filename*=UTF-8''{encoded}");
    HeaderValue::from_str(&value).unwrap_or_else(|_| HeaderValue::from_static("attachment"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_headers() {
        for (name, expected) in [
            ("a.pdf", "attachment; filename=\"a.pdf\"; filename*=UTF-8''a.pdf"),
            ("../../etc/passwd", "attachment; filename=\"passwd\"; filename*=UTF-8''passwd"),
            ("perché.pdf", "attachment; filename=\"perch_.pdf\"; filename*=UTF-8''perch%C3%A9.pdf"),
            ("a\r\nSet-Cookie: x\".pdf", "attachment; filename=\"aSet-Cookie_ x_.pdf\"; filename*=UTF-8''aSet-Cookie%3A%20x%22.pdf"),
            ("", "attachment; filename=\"file\"; filename*=UTF-8''file"),
        ] {
            assert_eq!(content_disposition("attachment", name).to_str().unwrap(), expected, "{name:?}");
        }
    }
}
