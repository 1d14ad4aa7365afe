//! The bytes of public messages: CloudEvents 1.0 in structured JSON, read with every limit checked and written so that they
//! pass the same checks. Pure, and total: whatever the bytes are, the answer is a value or a typed error.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use schemars::JsonSchema;

use super::event::Event;
use super::id::{AccountId, AdministrationId, InputId, MessageId, PoolId};
use super::inbound::{BODY_BYTES_MAX, CloudEvent, InboundEvent};
use super::json::blame;
use super::time::Timestamp;

mod limits;

/// How deep JSON may nest: ours needs six levels.
pub const DEPTH_MAX: usize = 32;
/// The version of CloudEvents spoken.
const SPECVERSION: &str = "1.0";
/// The media type of `data`.
const DATA_CONTENT_TYPE: &str = "application/json";
/// The name of an order within the prefix.
const ORDER: &str = "outbound.order.v1";

/// Why bytes are not a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// More than [`BODY_BYTES_MAX`].
    #[error("{bytes} bytes, at most {BODY_BYTES_MAX}: put long texts and files into the blob store")]
    TooLarge {
        /// How many there are.
        bytes: usize,
    },
    /// More than [`DEPTH_MAX`] levels of brackets.
    #[error("nested deeper than {DEPTH_MAX} levels")]
    TooDeep,
    /// Not JSON in UTF-8.
    #[error("not JSON: {0}")]
    NotJson(String),
    /// JSON, but a required attribute is missing or of a wrong type.
    #[error("not a CloudEvent 1.0 in structured JSON: {0}")]
    NotACloudEvent(String),
    /// A `type` that this release does not know, or of another installation.
    #[error("unknown type `{0}`")]
    UnknownType(String),
    /// No `data.account`: without it nobody knows whose contact it is.
    #[error("`data.account` is missing: name the account that received it")]
    AccountMissing,
    /// `data` is not what `type` says, or breaks a limit.
    #[error("`{path}` is not acceptable: {reason}")]
    DataInvalid {
        /// Where, `data.attachments[3].name`.
        path: String,
        /// What is wrong; never the value itself.
        reason: String,
    },
}

/// An order to send one message, once. Carries ids: the adapter loads the text, which is how erasure reaches it too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OutboundOrder {
    /// What to send.
    pub message: MessageId,
    /// Whose it is.
    pub administration: AdministrationId,
    /// Which account sends it.
    pub account: AccountId,
    /// The number of the attempt, from 1: the adapter makes each number once.
    pub attempt: u32,
}

/// An inbound event in its envelope. `id` is the input's, so the same again on a retry.
pub fn inbound_event(
    prefix: &str,
    id: InputId,
    account: &AccountId,
    time: Timestamp,
    traceparent: Option<String>,
    event: InboundEvent,
) -> CloudEvent<InboundEvent> {
    let (source, kind) = (format!("/account/{account}"), format!("{prefix}.{}", event.name()));
    envelope(id.to_string(), source, kind, time, None, traceparent, event)
}

/// Writes an inbound event; refuses what [`decode_inbound`] would refuse.
pub fn encode_inbound(event: &CloudEvent<InboundEvent>) -> Result<Vec<u8>, WireError> {
    limits::check_envelope(event)?;
    limits::check(&event.data)?;
    match &event.data {
        InboundEvent::Message(message) => encode(&with_data(event, &**message)),
        InboundEvent::Signal(signal) => encode(&with_data(event, signal)),
        InboundEvent::Delivery(report) => encode(&with_data(event, report)),
    }
}

/// Reads what came in. Unknown fields are ignored, NUL characters become U+FFFD (no database column holds them), and a
/// traceparent that is none is dropped, as W3C says.
pub fn decode_inbound(prefix: &str, bytes: &[u8]) -> Result<CloudEvent<InboundEvent>, WireError> {
    let event = decode_envelope(bytes)?;
    let name = name_within(prefix, &event.kind)?;
    let data = match name {
        InboundEvent::MESSAGE => InboundEvent::Message(Box::new(data_of_account(&event.data)?)),
        InboundEvent::SIGNAL => InboundEvent::Signal(data_of_account(&event.data)?),
        InboundEvent::DELIVERY => InboundEvent::Delivery(data(&event.data)?),
        _ => return Err(WireError::UnknownType(cut(&event.kind))),
    };
    limits::check(&data)?;
    Ok(with_data(&event, data))
}

/// A pool's event as others get it: `<prefix>.contact.queued.v1`, id `<pool>/<seq>`, about a contact.
pub fn public_event<'a>(prefix: &str, pool: &PoolId, event: &'a Event, traceparent: Option<String>) -> CloudEvent<&'a Event> {
    let kind = format!("{prefix}.{}.v1", event.body.name());
    let subject = event.about.as_ref().map(|about| about.contact.to_string());
    envelope(format!("{pool}/{}", event.seq), format!("/pool/{pool}"), kind, event.at, subject, traceparent, event)
}

/// Writes a public event.
pub fn encode_public(event: &CloudEvent<&Event>) -> Result<Vec<u8>, WireError> {
    encode(event)
}

/// Writes an order.
pub fn encode_order(
    prefix: &str,
    pool: &PoolId,
    time: Timestamp,
    order: &OutboundOrder,
    traceparent: Option<String>,
) -> Result<Vec<u8>, WireError> {
    let id = format!("{}/{}", order.message, order.attempt);
    encode(&envelope(id, format!("/pool/{pool}"), format!("{prefix}.{ORDER}"), time, None, traceparent, order))
}

/// Reads an order.
pub fn decode_order(prefix: &str, bytes: &[u8]) -> Result<CloudEvent<OutboundOrder>, WireError> {
    let event = decode_envelope(bytes)?;
    if name_within(prefix, &event.kind)? != ORDER {
        return Err(WireError::UnknownType(cut(&event.kind)));
    }
    let order = data_of_account(&event.data)?;
    Ok(with_data(&event, order))
}

fn envelope<T>(
    id: String,
    source: String,
    kind: String,
    time: Timestamp,
    subject: Option<String>,
    traceparent: Option<String>,
    data: T,
) -> CloudEvent<T> {
    let (specversion, datacontenttype) = (SPECVERSION.to_owned(), Some(DATA_CONTENT_TYPE.to_owned()));
    CloudEvent { specversion, id, source, kind, time, subject, traceparent, datacontenttype, data }
}

fn with_data<T, U>(event: &CloudEvent<T>, data: U) -> CloudEvent<U> {
    CloudEvent {
        specversion: event.specversion.clone(),
        id: event.id.clone(),
        source: event.source.clone(),
        kind: event.kind.clone(),
        time: event.time,
        subject: event.subject.clone(),
        traceparent: event.traceparent.clone(),
        datacontenttype: event.datacontenttype.clone(),
        data,
    }
}

fn encode<T: Serialize>(event: &CloudEvent<T>) -> Result<Vec<u8>, WireError> {
    let bytes = super::json::to_vec(event).map_err(|error| WireError::DataInvalid { path: "data".into(), reason: error.to_string() })?;
    if bytes.len() > BODY_BYTES_MAX {
        return Err(WireError::TooLarge { bytes: bytes.len() });
    }
    Ok(bytes)
}

fn decode_envelope(bytes: &[u8]) -> Result<CloudEvent<Value>, WireError> {
    if bytes.len() > BODY_BYTES_MAX {
        return Err(WireError::TooLarge { bytes: bytes.len() });
    }
    if is_too_deep(bytes) {
        return Err(WireError::TooDeep);
    }
    let mut value: Value = serde_json::from_slice(bytes).map_err(|error| WireError::NotJson(blame(&error)))?;
    replace_nul(&mut value);
    let mut event: CloudEvent<Value> = serde_json::from_value(value).map_err(|error| WireError::NotACloudEvent(cut(&blame(&error))))?;
    if event.specversion != SPECVERSION {
        return Err(WireError::NotACloudEvent(format!("specversion is not {SPECVERSION}")));
    }
    limits::check_envelope(&event)?;
    event.traceparent = event.traceparent.filter(|text| limits::is_traceparent(text));
    Ok(event)
}

/// Counts brackets outside strings, before any parser recurses over them.
fn is_too_deep(bytes: &[u8]) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                if depth > DEPTH_MAX {
                    return true;
                }
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

fn replace_nul(value: &mut Value) {
    match value {
        Value::String(text) if text.contains('\0') => *text = text.replace('\0', "\u{fffd}"),
        Value::Array(values) => values.iter_mut().for_each(replace_nul),
        Value::Object(fields) => {
            if fields.keys().any(|name| name.contains('\0')) {
                *fields = std::mem::take(fields).into_iter().map(|(name, value)| (name.replace('\0', "\u{fffd}"), value)).collect();
            }
            fields.values_mut().for_each(replace_nul);
        }
        _ => {}
    }
}

fn name_within<'a>(prefix: &str, kind: &'a str) -> Result<&'a str, WireError> {
    kind.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('.')).ok_or_else(|| WireError::UnknownType(cut(kind)))
}

fn data_of_account<T: DeserializeOwned>(value: &Value) -> Result<T, WireError> {
    if value.is_object() && value.get("account").is_none_or(Value::is_null) {
        return Err(WireError::AccountMissing);
    }
    data(value)
}

fn data<T: DeserializeOwned>(value: &Value) -> Result<T, WireError> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = match error.path().to_string().as_str() {
            "." => "data".to_owned(),
            path => format!("data.{path}"),
        };
        WireError::DataInvalid { path: cut(&path), reason: cut(&blame(error.inner())) }
    })
}

/// Enough of a text to recognise it, in an error that may be logged.
fn cut(text: &str) -> String {
    text.chars().take(200).collect()
}

#[cfg(test)]
mod tests;
