//! Files for a reply: uploaded first, then named by a signed handle in the reply.

use axum::Json;
use axum::extract::State;
use axum::extract::multipart::{Field, Multipart, MultipartError, MultipartRejection};
use axum::http::StatusCode;
use bytes::{Bytes, BytesMut};
use schemars::JsonSchema;
use serde::Serialize;

use crate::desk::extract::Ids;
use crate::desk::problem::{Problem, ProblemDocument};
use crate::desk::routes::reading::seen_contact;
use crate::desk::session::SignedIn;
use crate::desk::{Shared, handle};
use crate::model::conversation::Attachment;
use crate::model::id::ContactId;
use crate::port::clock::now;

/// The longest name of a file, in characters.
const NAME_CHARACTERS_MAX: usize = 255;

/// A file that was uploaded.
#[derive(Serialize, JsonSchema)]
pub struct Upload {
    /// What the reply names it by: good for a day, for this contact only.
    handle: String,
    /// Its name.
    name: String,
    /// As declared.
    media_type: String,
    /// Bytes.
    size: u64,
}

/// Uploads one file (the multipart field `file`) for a reply in a contact that one may answer.
#[utoipa::path(post, path = "/contacts/{id}/attachments", tag = "commands", params(("id" = String, Path)), responses(
    (status = 201, body = Upload), (status = 400, body = ProblemDocument), (status = 401, body = ProblemDocument),
    (status = 404, body = ProblemDocument), (status = 413, body = ProblemDocument), (status = 503, body = ProblemDocument)))]
pub async fn upload(
    State(desk): State<Shared>,
    SignedIn(caller): SignedIn,
    Ids(contact): Ids<ContactId>,
    form: Result<Multipart, MultipartRejection>,
) -> Result<(StatusCode, Json<Upload>), Problem> {
    let rights = desk.rights(&caller).await?;
    let (summary, sight) = seen_contact(&desk, &rights, contact).await?;
    if !sight.content {
        return Err(Problem::no_right_to_content());
    }
    let mut form = form.map_err(|_| Problem::invalid("send one file as `multipart/form-data`, in the field `file`"))?;
    let Ok(_turn) = desk.uploads.acquire().await else { return Err(Problem::internal()) };
    let bytes_max = desk.options.attachment_bytes_max;
    while let Some(mut field) = form.next_field().await.map_err(|error| broken(&error, bytes_max))? {
        if field.name() != Some("file") {
            continue;
        }
        let name = safe_name(field.file_name().unwrap_or_default());
        let media_type = media_type(field.content_type().unwrap_or_default());
        let bytes = whole(&mut field, bytes_max).await?;
        let administration = &summary.contact.administration;
        let blob = desk.blobs.put(administration, bytes).await?;
        let file = Attachment { name, media_type, content_id: None, blob };
        let handle = handle::sign(&desk.ids, contact, administration, file.clone(), now());
        let upload = Upload { handle, name: file.name, media_type: file.media_type, size: file.blob.size };
        return Ok((StatusCode::CREATED, Json(upload)));
    }
    Err(Problem::invalid("the form has no field `file`"))
}

async fn whole(field: &mut Field<'_>, bytes_max: usize) -> Result<Bytes, Problem> {
    let mut bytes = BytesMut::new();
    while let Some(chunk) = field.chunk().await.map_err(|error| broken(&error, bytes_max))? {
        if bytes.len() + chunk.len() > bytes_max {
            return Err(too_large(bytes_max));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes.freeze())
}

fn broken(error: &MultipartError, bytes_max: usize) -> Problem {
    if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
        return too_large(bytes_max);
    }
    Problem::invalid("the upload broke off, or is no multipart form")
}

fn too_large(bytes_max: usize) -> Problem {
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", format!("a file has at most {bytes_max} bytes"))
}

/// The last part of a name, without control and direction characters, cut to 255 characters. Never a path of ours.
pub fn safe_name(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let hidden = |c: char| c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let clean: String = last.chars().filter(|c| !hidden(*c)).take(NAME_CHARACTERS_MAX).collect();
    let clean = clean.trim().trim_start_matches('.');
    if clean.is_empty() { "file".to_owned() } else { clean.to_owned() }
}

fn media_type(declared: &str) -> String {
    let kind = declared.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let token = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&^_.+-".contains(&b));
    let fits = kind.len() <= 127 && kind.split_once('/').is_some_and(|(a, b)| token(a) && token(b));
    if fits { kind } else { "application/octet-stream".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files() {
        for (name, expected) in [
            ("relazione.pdf", "relazione.pdf"),
            ("../../etc/passwd", "passwd"),
            ("C:\\temp\\a.doc", "a.doc"),
            ("a\0b\u{202e}fdp.exe", "abfdp.exe"),
            ("..", "file"),
            (".htaccess", "htaccess"),
            ("", "file"),
        ] {
            assert_eq!(safe_name(name), expected, "{name:?}");
        }
        assert_eq!(safe_name(&"x".repeat(300)).len(), 255);
    }

    #[test]
    fn declared_types() {
        assert_eq!(media_type("Application/PDF; x=y"), "application/pdf");
        for odd in ["", "pdf", "a/b\r\nx", "a/", "text/ht ml"] {
            assert_eq!(media_type(odd), "application/octet-stream", "{odd:?}");
        }
    }
}
