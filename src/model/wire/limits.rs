//! The limits of what may come in, one place for reading and writing.

use super::WireError;
use crate::model::conversation::{Attachment, BlobRef, Party};
use crate::model::delivery::{AttemptResult, DeliveryReport};
use crate::model::inbound::{CloudEvent, InboundEvent, InboundMessage, TEXT_BYTES_MAX};

/// RFC 5322, 2.1.1: the longest line, and so the longest Message-ID or subject.
const LINE_CHARS_MAX: usize = 998;
/// RFC 5321: 64 characters, an at sign, 255 characters.
const ADDRESS_CHARS_MAX: usize = 320;
const NAME_CHARS_MAX: usize = 255;
const REFERENCES_MAX: usize = 100;
const RECIPIENTS_MAX: usize = 200;
const ATTACHMENTS_MAX: usize = 1_000;
const ATTRIBUTES_MAX: usize = 32;
const ATTRIBUTE_NAME_CHARS_MAX: usize = 64;
const ATTRIBUTE_CHARS_MAX: usize = 1_024;
const BLOB_KEY_CHARS_MAX: usize = 255;
const CODE_CHARS_MAX: usize = 64;

fn refuse(path: impl Into<String>, reason: impl Into<String>) -> Result<(), WireError> {
    Err(WireError::DataInvalid { path: path.into(), reason: reason.into() })
}

fn at_most(path: impl Into<String>, text: &str, chars_max: usize) -> Result<(), WireError> {
    // Bytes first: counting characters of a text that is short anyway is not needed.
    if text.len() > chars_max && text.chars().count() > chars_max {
        return refuse(path, format!("longer than {chars_max} characters"));
    }
    Ok(())
}

fn not_more(path: &str, count: usize, max: usize) -> Result<(), WireError> {
    if count > max { refuse(path, format!("{count} of them, at most {max}")) } else { Ok(()) }
}

/// The attributes of the envelope: `id` goes into a message id, which AMQP bounds at 255 bytes.
pub(super) fn check_envelope<T>(event: &CloudEvent<T>) -> Result<(), WireError> {
    for (name, text) in [("id", &event.id), ("source", &event.source), ("type", &event.kind)] {
        if text.is_empty() || text.len() > 255 {
            return Err(WireError::NotACloudEvent(format!("`{name}` must have 1 to 255 bytes")));
        }
    }
    if event.subject.as_ref().is_some_and(|subject| subject.len() > 255) {
        return Err(WireError::NotACloudEvent("`subject` must have at most 255 bytes".into()));
    }
    Ok(())
}

/// W3C Trace Context, version 00: `00-<32 hex>-<16 hex>-<2 hex>`, ids not all zero.
pub(super) fn is_traceparent(text: &str) -> bool {
    let hex = |part: &str, len: usize| part.len() == len && part.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    let mut parts = text.split('-');
    let (Some(version), Some(trace), Some(span), Some(flags), None) =
        (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    version == "00"
        && hex(trace, 32)
        && hex(span, 16)
        && hex(flags, 2)
        && trace.bytes().any(|b| b != b'0')
        && span.bytes().any(|b| b != b'0')
}

pub(super) fn check(event: &InboundEvent) -> Result<(), WireError> {
    match event {
        InboundEvent::Message(message) => check_message(message),
        InboundEvent::Signal(signal) => at_most("data.id", signal.id.as_deref().unwrap_or_default(), NAME_CHARS_MAX),
        InboundEvent::Delivery(report) => check_report(report),
    }
}

fn check_message(message: &InboundMessage) -> Result<(), WireError> {
    if message.provider_id.is_empty() {
        return refuse("data.provider_id", "empty: it is the key against doubles");
    }
    at_most("data.provider_id", &message.provider_id, LINE_CHARS_MAX)?;
    if message.text.len() > TEXT_BYTES_MAX {
        return refuse(
            "data.text",
            format!("{} bytes, at most {TEXT_BYTES_MAX}: cut it and put the whole into text_blob", message.text.len()),
        );
    }
    at_most("data.subject", message.subject.as_deref().unwrap_or_default(), LINE_CHARS_MAX)?;
    if let Some(from) = &message.from {
        check_party("data.from", from)?;
    }
    if let Some(party) = &message.answer_to {
        check_party("data.answer_to", party)?;
    }
    not_more("data.to", message.to.len(), RECIPIENTS_MAX)?;
    for (index, party) in message.to.iter().enumerate() {
        check_party(&format!("data.to[{index}]"), party)?;
    }
    not_more("data.attachments", message.attachments.len(), ATTACHMENTS_MAX)?;
    for (index, attachment) in message.attachments.iter().enumerate() {
        check_attachment(&format!("data.attachments[{index}]"), attachment)?;
    }
    for (path, blob) in [("data.text_blob", &message.text_blob), ("data.html", &message.html), ("data.raw", &message.raw)] {
        if let Some(blob) = blob {
            check_blob(path, blob)?;
        }
    }
    not_more("data.references", message.references.len(), REFERENCES_MAX)?;
    for (index, reference) in message.references.iter().enumerate() {
        at_most(format!("data.references[{index}]"), reference, LINE_CHARS_MAX)?;
    }
    not_more("data.attributes", message.attributes.len(), ATTRIBUTES_MAX)?;
    for (name, value) in &message.attributes {
        at_most("data.attributes", name, ATTRIBUTE_NAME_CHARS_MAX)?;
        at_most(format!("data.attributes.{name}"), value, ATTRIBUTE_CHARS_MAX)?;
    }
    Ok(())
}

fn check_party(path: &str, party: &Party) -> Result<(), WireError> {
    if party.address.is_empty() {
        return refuse(format!("{path}.address"), "empty");
    }
    at_most(format!("{path}.address"), &party.address, ADDRESS_CHARS_MAX)?;
    at_most(format!("{path}.name"), party.name.as_deref().unwrap_or_default(), NAME_CHARS_MAX)
}

fn check_attachment(path: &str, attachment: &Attachment) -> Result<(), WireError> {
    at_most(format!("{path}.name"), &attachment.name, NAME_CHARS_MAX)?;
    at_most(format!("{path}.media_type"), &attachment.media_type, NAME_CHARS_MAX)?;
    at_most(format!("{path}.content_id"), attachment.content_id.as_deref().unwrap_or_default(), LINE_CHARS_MAX)?;
    check_blob(&format!("{path}.blob"), &attachment.blob)
}

fn check_blob(path: &str, blob: &BlobRef) -> Result<(), WireError> {
    at_most(format!("{path}.key"), &blob.key, BLOB_KEY_CHARS_MAX)?;
    if blob.sha256.len() != 64 || !blob.sha256.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
        return refuse(format!("{path}.sha256"), "not 64 lower-case hexadecimal digits");
    }
    if i64::try_from(blob.size).is_err() {
        return refuse(format!("{path}.size"), "larger than any store");
    }
    Ok(())
}

fn check_report(report: &DeliveryReport) -> Result<(), WireError> {
    match &report.result {
        AttemptResult::Temporary { code } | AttemptResult::Permanent { code } | AttemptResult::Bounced { code } => {
            at_most("data.code", code, CODE_CHARS_MAX)
        }
        AttemptResult::Sent { provider_id } => at_most("data.provider_id", provider_id.as_deref().unwrap_or_default(), LINE_CHARS_MAX),
        AttemptResult::Unknown | AttemptResult::Delivered => Ok(()),
    }
}
