//! Files of a chat, both ways: an upload is named by a signed handle that only its own chat can use; what was sent is fetched by
//! its message.

use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::{Extension, Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use super::Shared;
use super::access::{UploadBytes, UploadPlace, Visitor};
use super::body::{BodyError, Share, drop_body, whole_body};
use super::codec::File;
use super::limits::{FAREWELL_WITHIN, UPLOAD_RETRY_SECONDS};
use super::publish::conversation_of;
use super::session;
use crate::channel::problem::Problem;
use crate::model::conversation::Attachment;
use crate::model::id::{ChatSessionId, IdMaker, MessageId};
use crate::model::time::Timestamp;
use crate::port::blobs::BlobError;
use crate::port::chat::ChatSession;
use crate::port::clock::now;

/// The longest handle that is looked at, in bytes.
const HANDLE_BYTES_MAX: usize = 4 * 1024;
/// The longest name of a file, in characters.
const NAME_CHARACTERS_MAX: usize = 120;

/// How long an upload may be sent: before a file that no message names may be swept.
const HANDLE_LIFE: Duration = Duration::from_secs(30 * 24 * 60 * 60);

#[derive(Serialize, Deserialize)]
struct Handle {
    session: ChatSessionId,
    attachment: Attachment,
    #[serde(default)]
    expires: Timestamp,
}

fn tag(ids: &IdMaker, content: &[u8]) -> [u8; 16] {
    ids.make("chat-file", &[content]).to_be_bytes()
}

fn sign(ids: &IdMaker, session: ChatSessionId, attachment: Attachment, expires: Timestamp) -> String {
    let content = serde_json::to_vec(&Handle { session, attachment, expires }).expect("plain types serialise");
    format!("{}.{}", URL_SAFE_NO_PAD.encode(&content), URL_SAFE_NO_PAD.encode(tag(ids, &content)))
}

/// The file behind a handle that was made for this very chat.
pub fn verify(ids: &IdMaker, session: ChatSessionId, handle: &str) -> Option<Attachment> {
    if handle.len() > HANDLE_BYTES_MAX {
        return None;
    }
    let (content, given) = handle.split_once('.')?;
    let (content, given) = (URL_SAFE_NO_PAD.decode(content).ok()?, URL_SAFE_NO_PAD.decode(given).ok()?);
    if !bool::from(tag(ids, &content).ct_eq(&given)) {
        return None;
    }
    let handle: Handle = serde_json::from_slice(&content).ok()?;
    (handle.session == session && now() < handle.expires).then_some(handle.attachment)
}

/// A message's files, as frames name them.
pub fn of_message(message: MessageId, attachments: &[Attachment]) -> Vec<File> {
    let file = |(index, file): (usize, &Attachment)| File {
        file: format!("{message}.{index}"),
        name: file.name.clone(),
        media_type: file.media_type.clone(),
        bytes: file.blob.size,
    };
    attachments.iter().enumerate().map(file).collect()
}

/// `POST …/files`: keeps one file for a message to come.
pub async fn upload(
    State(chat): State<Shared>,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<File>), Problem> {
    let session = session::of_request(&chat, &visitor, &headers).await?;
    let (media_type, of_address, _place) = match admit(&chat, &visitor, &session, &headers) {
        Ok(admitted) => admitted,
        Err(problem) => {
            drop_body(body, FAREWELL_WITHIN).await;
            return Err(problem);
        }
    };
    let (bytes_max, mut share) = (chat.options.attachment_bytes_max, Share::of(&chat.upload_memory, of_address));
    let body = whole_body(body, bytes_max, Some(&mut share)).await.map_err(|error| error.refuse(&chat.counters, bytes_max))?;
    if body.is_empty() {
        return Err(Problem::invalid("the file is empty"));
    }
    let name = headers.get("x-file-name").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let name = safe_name(&decoded(name));
    let blob = chat.blobs.put(&visitor.administration, body).await.map_err(unavailable)?;
    let file = Attachment { name, media_type, content_id: None, blob };
    let shown = File {
        file: sign(&chat.ids, session.id, file.clone(), now().plus(HANDLE_LIFE)),
        name: file.name,
        media_type: file.media_type,
        bytes: file.blob.size,
    };
    Ok((StatusCode::CREATED, Json(shown)))
}

/// What a file that may come has: its type, its part of the address's bytes, its place while it is on its way.
type Admitted = (String, UploadBytes, UploadPlace);

fn admit(chat: &Shared, visitor: &Visitor, session: &ChatSession, headers: &HeaderMap) -> Result<Admitted, Problem> {
    if session.ended {
        return Err(Problem::new(StatusCode::CONFLICT, "ended", "the chat is over"));
    }
    let declared = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = declared.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if !chat.options.attachment_types.contains(&media_type) {
        chat.counters.refuse("file_type");
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "bad_type", "files of this type are not taken"));
    }
    let Some(place) = chat.measures.running_upload(session.id, visitor.peer) else {
        chat.counters.refuse("uploads_running");
        let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many", "other files are on their way; send it when they are there");
        return Err(problem.retry_after(UPLOAD_RETRY_SECONDS));
    };
    if !chat.measures.upload(session.id) {
        chat.counters.refuse("uploads");
        return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many", "too many files; wait a while"));
    }
    let (mut of_address, bytes_max) = (chat.measures.upload_bytes(visitor.peer), chat.options.attachment_bytes_max);
    // one that is too large is told so when it comes, and costs what came of it
    let declared = declared_bytes(headers).filter(|bytes| *bytes <= bytes_max).unwrap_or(0);
    of_address.declare(declared).map_err(|seconds| BodyError::TooMany(seconds).refuse(&chat.counters, bytes_max))?;
    Ok((media_type, of_address, place))
}

fn declared_bytes(headers: &HeaderMap) -> Option<usize> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// `GET …/files/<id>`: a file of a message of this chat, or one uploaded to it.
pub async fn fetch(
    State(chat): State<Shared>,
    Extension(visitor): Extension<Visitor>,
    Path((_, id)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let session = session::of_request(&chat, &visitor, &headers).await?;
    let file = match sent(&chat, &visitor, session.id, &id).await? {
        Some(file) => file,
        None => verify(&chat.ids, session.id, &id).ok_or_else(Problem::not_found)?,
    };
    let bytes = chat.blobs.get(&visitor.administration, &file.blob).await.map_err(unavailable)?;
    let disposition = format!("attachment; filename*=UTF-8''{}", encoded(&file.name));
    let disposition = HeaderValue::from_str(&disposition).unwrap_or(HeaderValue::from_static("attachment"));
    let kind = HeaderValue::from_str(&file.media_type).unwrap_or(HeaderValue::from_static("application/octet-stream"));
    Ok(([(header::CONTENT_TYPE, kind), (header::CONTENT_DISPOSITION, disposition)], bytes).into_response())
}

async fn sent(chat: &Shared, visitor: &Visitor, session: ChatSessionId, id: &str) -> Result<Option<Attachment>, Problem> {
    let Some((message, index)) = id.split_once('.') else { return Ok(None) };
    let (Ok(message), Ok(index)) = (message.parse::<MessageId>(), index.parse::<usize>()) else { return Ok(None) };
    let message = chat.store.message(&visitor.administration, message).await?;
    let conversation = conversation_of(&chat.ids, &visitor.account, session);
    let mine = message.filter(|message| message.conversation == conversation).ok_or_else(Problem::not_found)?;
    Ok(Some(mine.attachments.get(index).cloned().ok_or_else(Problem::not_found)?))
}

fn unavailable(error: BlobError) -> Problem {
    match error {
        BlobError::NotFound => Problem::not_found(),
        error => {
            tracing::warn!(%error, "a file of a chat cannot be kept or read");
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "files_unavailable", "files cannot be kept or read now; try again")
        }
    }
}

/// Percent-encoded UTF-8 (RFC 3986); what is none is taken as it stands.
fn decoded(text: &str) -> String {
    url::form_urlencoded::parse(format!("n={}", text.replace('+', "%2B").replace('&', "%26")).as_bytes())
        .next()
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default()
}

/// RFC 8187: what a parameter's extended value may hold, the rest percent-encoded.
fn encoded(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    name.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// The last part of a name, without control and direction characters. Never a path of ours.
fn safe_name(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let hidden = |c: char| c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let clean: String = last.chars().filter(|c| !hidden(*c)).take(NAME_CHARACTERS_MAX).collect();
    let clean = clean.trim().trim_start_matches('.');
    if clean.is_empty() { "file".to_owned() } else { clean.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::conversation::BlobRef;

    #[test]
    fn a_handle_is_good_for_its_own_chat() {
        let ids = IdMaker::new([3; 32]);
        let blob = BlobRef { key: "comune/2026-01/x".into(), sha256: "00".into(), size: 3 };
        let file = Attachment { name: "a.pdf".into(), media_type: "application/pdf".into(), content_id: None, blob };
        let handle = sign(&ids, ChatSessionId(1), file.clone(), now().plus(HANDLE_LIFE));
        let sample = file.clone();
        assert_eq!(verify(&ids, ChatSessionId(1), &handle), Some(file));
        assert_eq!(verify(&ids, ChatSessionId(2), &handle), None, "another chat's");
        let late = sign(&ids, ChatSessionId(1), sample, now());
        assert_eq!(verify(&ids, ChatSessionId(1), &late), None, "too late: the file may be swept");
        assert_eq!(verify(&IdMaker::new([4; 32]), ChatSessionId(1), &handle), None, "another installation's");
        for odd in ["", ".", "a.b", &"x".repeat(10_000), &handle[1..]] {
            assert_eq!(verify(&ids, ChatSessionId(1), odd), None);
        }
    }

    #[test]
    fn names_of_files() {
        for (given, expected) in [
            ("relazione%20finale.pdf", "relazione finale.pdf"),
            ("..%2F..%2Fetc%2Fpasswd", "passwd"),
            ("a%00b%E2%80%AEfdp.exe", "abfdp.exe"),
            ("a+b&c.pdf", "a+b&c.pdf"),
            ("%ff.pdf", "\u{fffd}.pdf"),
            ("", "file"),
        ] {
            assert_eq!(safe_name(&decoded(given)), expected, "{given}");
        }
        assert_eq!(encoded("è \"x\".pdf"), "%C3%A8%20%22x%22.pdf");
    }
}
