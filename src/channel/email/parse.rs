//! A raw mail → what its contact shows: sender, subject, text, sanitised HTML, files. Pure; never panics, never refuses: a mail
//! that cannot be read becomes its header fields and a sentence that says so.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use mail_parser::{Address, Message, MessageParser, MessagePart, MimeHeaders, PartType};

use super::automatic::classify;
use super::delivery_status::{self, DeliveryStatus, Outcome, ReportParts};
use super::gate::{self, EMBEDDED_MESSAGE, GateLimits, Refused};
use super::header::{HEADER_BYTES_MAX, Headers, message_ids, split};
use super::{html, name};
use crate::model::conversation::{Automatic, Party};

/// The longest text that is kept, in bytes; beyond it the original is to be read.
pub const TEXT_BYTES_MAX: usize = 1024 * 1024;
/// The most files that are taken apart; the others stay in the original.
pub const ATTACHMENTS_MAX: usize = 200;
/// The most recipients that are kept.
const RECIPIENTS_MAX: usize = 50;
/// The most references that are kept, the newest.
const REFERENCES_MAX: usize = 100;
/// The longest subject, in characters (RFC 5322's longest line).
const SUBJECT_CHARS_MAX: usize = 998;

/// A mail as it is understood.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ParsedMail {
    /// Who says they wrote it.
    pub from: Option<Party>,
    /// Where they want the answer, if elsewhere.
    pub reply_to: Option<Party>,
    /// `To` and `Cc`.
    pub to: Vec<Party>,
    /// Subject, decoded.
    pub subject: Option<String>,
    /// The sender's `Message-ID` without angle brackets.
    pub header_id: Option<String>,
    /// What it answers, newest last.
    pub references: Vec<String>,
    /// Plain text.
    pub text: String,
    /// Sanitised HTML.
    pub html: Option<String>,
    /// Files.
    pub attachments: Vec<ParsedAttachment>,
    /// Files that were left in the original because there are too many.
    pub attachments_omitted: usize,
    /// Set if no person wrote it.
    pub automatic: Option<Automatic>,
    /// A report on a message of ours, perhaps.
    pub status: Option<DeliveryStatus>,
    /// Why it could not be read, if so.
    pub unreadable: Option<Refused>,
}

/// A file of a mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParsedAttachment {
    /// Its name, clean.
    pub name: String,
    /// As declared.
    pub media_type: String,
    /// Content-ID without brackets, for inline images.
    pub content_id: Option<String>,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// Who received a mail.
#[derive(Debug, Clone, Default)]
pub struct Receiver {
    /// The account's address.
    pub address: Option<String>,
    /// The administration's mail domains.
    pub domains: BTreeSet<String>,
}

/// Reads a mail that `own` received.
pub fn parse(raw: &[u8], limits: &GateLimits, own: &Receiver) -> ParsedMail {
    let read = gate::check(raw, limits).and_then(|passed| {
        let parsed = catch_unwind(AssertUnwindSafe(|| read(raw, &passed.bytes, own)));
        parsed.unwrap_or(Err(Refused::NotUnderstood))
    });
    read.unwrap_or_else(|refused| header_only(raw, refused, own))
}

/// What a mail's header says, when the rest is not to be read.
pub fn header_only(raw: &[u8], refused: Refused, own: &Receiver) -> ParsedMail {
    let head = split(raw).0;
    let head = &head[..head.len().min(HEADER_BYTES_MAX)];
    let headers = Headers::parse(head);
    let parsed = catch_unwind(AssertUnwindSafe(|| {
        // An end to the header, or the parser takes it for cut and gives nothing.
        let block = [head, b"\r\n\r\n"].concat();
        MessageParser::default().parse_headers(&block).map(|message| envelope(&message, &headers, own))
    }));
    let mut mail = parsed.ok().flatten().unwrap_or_default();
    mail.subject = mail.subject.or_else(|| headers.get("subject").map(|subject| name::line(subject, SUBJECT_CHARS_MAX)));
    mail.text = format!("(message not readable: {refused}; original kept)");
    let from = mail.from.as_ref().map(|from| from.address.as_str());
    mail.automatic = classify(&headers, headers.get("content-type").unwrap_or_default(), from, own.address.as_deref());
    mail.unreadable = Some(refused);
    mail
}

fn read(raw: &[u8], opaque: &[u8], own: &Receiver) -> Result<ParsedMail, Refused> {
    let headers = Headers::parse(split(raw).0);
    let Some(message) = MessageParser::default().parse(opaque) else { return Err(Refused::NotUnderstood) };
    if message.parts.iter().any(|part| matches!(part.body, PartType::Message(_))) {
        // Cannot be, for the copy has no embedded message. If a parser sees one all the same, dropping the tree could
        // overflow the stack: a leak is the lesser evil.
        std::mem::forget(message);
        return Err(Refused::NotUnderstood);
    }
    let mut mail = envelope(&message, &headers, own);
    (mail.text, mail.html) = bodies(&message);
    let ids = &message.attachments;
    mail.attachments_omitted = ids.len().saturating_sub(ATTACHMENTS_MAX);
    let files = ids.iter().take(ATTACHMENTS_MAX).filter_map(|id| message.part(*id)).enumerate();
    mail.attachments = files.filter_map(|(index, part)| attachment(index + 1, part)).collect();
    let from = mail.from.as_ref().map(|from| from.address.as_str());
    mail.automatic = classify(&headers, headers.get("content-type").unwrap_or_default(), from, own.address.as_deref());
    if mail.automatic == Some(Automatic::Bounce) {
        let status = delivery_status::read(&headers, report_parts(&message, &mail.text));
        if status.outcome == Outcome::Delivered {
            mail.automatic = Some(Automatic::Receipt);
        }
        mail.status = Some(status);
    }
    Ok(mail)
}

/// How addresses begin that nobody reads.
const UNREAD: [&str; 6] = ["noreply", "no-reply", "no_reply", "donotreply", "do-not-reply", "nonrispondere"];

/// Whether an answer to this address would reach nobody, or ourselves.
fn is_unread(from: &Party, own: &Receiver) -> bool {
    let Some((local, domain)) = from.address.rsplit_once('@') else { return false };
    let of_account = own.address.as_deref().and_then(|own| own.rsplit_once('@')).map(|(_, own)| own);
    let is_ours = of_account.into_iter().chain(own.domains.iter().map(String::as_str)).any(|own| domain.eq_ignore_ascii_case(own));
    is_ours || UNREAD.iter().any(|start| local.get(..start.len()).is_some_and(|local| local.eq_ignore_ascii_case(start)))
}

/// Sender, recipients, subject, ids. A form on web pages writes from an address of the office's own, or from one that nobody reads,
/// and names the citizen in `Reply-To`: there the citizen is the sender.
fn envelope(message: &Message<'_>, headers: &Headers, own: &Receiver) -> ParsedMail {
    let mut to = parties(message.to());
    to.extend(parties(message.cc()));
    to.truncate(RECIPIENTS_MAX);
    let from = parties(message.from()).into_iter().next().or_else(|| parties(message.sender()).into_iter().next());
    let reply_to = parties(message.reply_to()).into_iter().next();
    let same = |one: &Option<Party>, other: Option<&str>| {
        one.as_ref().zip(other).is_some_and(|(one, other)| one.address.eq_ignore_ascii_case(other))
    };
    let (from, reply_to) = match reply_to {
        reply_to if same(&reply_to, from.as_ref().map(|from| from.address.as_str())) => (from, None),
        Some(citizen) if from.as_ref().is_some_and(|from| is_unread(from, own)) => (Some(citizen), None),
        reply_to => (from, reply_to),
    };
    let subject = message.subject().map(|subject| name::line(subject, SUBJECT_CHARS_MAX)).filter(|subject| !subject.is_empty());
    ParsedMail {
        reply_to,
        from,
        to,
        subject,
        header_id: headers.get("message-id").and_then(|value| message_ids(value).into_iter().next()),
        references: references(headers),
        ..ParsedMail::default()
    }
}

/// The `References` chain with `In-Reply-To` as its newest, each id once, the newest [`REFERENCES_MAX`].
fn references(headers: &Headers) -> Vec<String> {
    let mut chain: Vec<String> = headers.all("references").flat_map(message_ids).collect();
    for id in headers.all("in-reply-to").flat_map(message_ids).take(10) {
        chain.retain(|known| *known != id);
        chain.push(id);
    }
    let newest = chain.len().saturating_sub(REFERENCES_MAX);
    chain.split_off(newest)
}

fn parties(address: Option<&Address<'_>>) -> Vec<Party> {
    let Some(address) = address else { return Vec::new() };
    let entries = address.iter().take(RECIPIENTS_MAX);
    entries
        .filter_map(|entry| {
            let address = name::address(entry.address()?)?;
            let display = entry.name().map(|text| name::line(text, name::NAME_CHARS_MAX)).filter(|text| !text.is_empty());
            Some(Party { address, name: display })
        })
        .collect()
}

/// The text, from plain parts if there are any with words, and the HTML as it may be shown. All HTML of a mail is rendered as one, at
/// the place of its first: the gate bounds the work for a text, and a mail may have a thousand of them.
fn bodies(message: &Message<'_>) -> (String, Option<String>) {
    let shown: Vec<&str> = message.html_bodies().filter_map(|part| html_of(part)).collect();
    let (mut pieces, mut rendered, mut place) = (Vec::new(), Vec::new(), 0);
    for part in message.text_bodies() {
        match &part.body {
            PartType::Text(piece) => pieces.push(name::text(html::cut(piece, TEXT_BYTES_MAX))),
            PartType::Html(piece) => {
                place = if rendered.is_empty() { pieces.len() } else { place };
                rendered.push(&**piece);
            }
            _ => {}
        }
    }
    if rendered.is_empty() && pieces.iter().all(|piece| piece.trim().is_empty()) {
        rendered.clone_from(&shown);
    }
    if !rendered.is_empty() {
        pieces.insert(place, name::text(&html_text(&rendered.join("<p>"))));
    }
    let text = pieces.iter().map(|piece| piece.trim()).filter(|piece| !piece.is_empty()).collect::<Vec<_>>().join("\n\n");
    let html = (!shown.is_empty()).then(|| html::sanitise(&shown.join("<hr>").replace('\0', "")));
    (html::cut(&text, TEXT_BYTES_MAX).trim().to_owned(), html)
}

fn html_of<'m>(part: &'m MessagePart<'_>) -> Option<&'m str> {
    match &part.body {
        PartType::Html(text) => Some(text),
        _ => None,
    }
}

/// Plain text of HTML; a renderer that stumbles costs the layout, not the mail.
fn html_text(text: &str) -> String {
    catch_unwind(AssertUnwindSafe(|| html::to_text(text))).unwrap_or_else(|_| mail_parser::decoders::html::html_to_text(html::gate(text)))
}

fn attachment(number: usize, part: &MessagePart<'_>) -> Option<ParsedAttachment> {
    let bytes = match &part.body {
        PartType::Binary(bytes) | PartType::InlineBinary(bytes) => bytes.to_vec(),
        PartType::Text(text) | PartType::Html(text) => text.as_bytes().to_vec(),
        PartType::Message(_) | PartType::Multipart(_) => return None,
    };
    let declared = part.content_type();
    let subtype = declared.and_then(|declared| declared.subtype());
    let media_type = match (declared.map(|declared| declared.ctype()), subtype) {
        (Some("message"), Some(EMBEDDED_MESSAGE | "globax")) => "message/rfc822".to_owned(),
        (Some(main), sub) => name::media_type(main, sub),
        (None, _) => name::media_type("", None),
    };
    let given = part.attachment_name().and_then(name::attachment_name);
    Some(ParsedAttachment {
        name: given.unwrap_or_else(|| format!("allegato-{number}.{}", extension(&media_type))),
        content_id: part.content_id().map(|id| name::line(id, 255)).filter(|id| !id.is_empty()),
        media_type,
        bytes,
    })
}

/// The usual extension of a file that came without a name.
fn extension(media_type: &str) -> &'static str {
    match media_type {
        "message/rfc822" => "eml",
        "application/pdf" => "pdf",
        "image/jpeg" => "jpg",
        "image/png" => "png",
        "image/gif" => "gif",
        "text/plain" | "message/delivery-status" => "txt",
        "text/html" => "html",
        "text/calendar" => "ics",
        _ => "bin",
    }
}

fn report_parts<'m>(message: &'m Message<'_>, text: &'m str) -> ReportParts<'m> {
    let mut parts = ReportParts { text, ..ReportParts::default() };
    for part in &message.parts {
        let Some(declared) = part.content_type() else { continue };
        let bytes = match &part.body {
            PartType::Binary(bytes) | PartType::InlineBinary(bytes) => bytes.as_ref(),
            PartType::Text(text) => text.as_bytes(),
            _ => continue,
        };
        match (declared.ctype(), declared.subtype()) {
            ("message", Some("delivery-status" | "global-delivery-status")) => parts.status = Some(bytes),
            ("message", Some(EMBEDDED_MESSAGE | "globax")) | ("text", Some("rfc822-headers")) => parts.original = Some(bytes),
            _ => {}
        }
    }
    parts
}

#[cfg(test)]
mod tests;
