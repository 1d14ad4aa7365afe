//! The wire form of what adapters, and anybody with a stock client, publish to `sportello.inbound`: CloudEvents 1.0,
//! structured JSON. Version 1 only grows: unknown fields are ignored.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::channel::{IdentityLevel, Language};
use super::contact::Mode;
use super::conversation::{Attachment, Automatic, BlobRef, Party};
use super::delivery::DeliveryReport;
use super::id::{AccountId, IdMaker, InputId};
use super::time::Timestamp;

/// The longest body of a broker message, in bytes. What is longer goes to the blob store first.
pub const BODY_BYTES_MAX: usize = 64 * 1024;
/// The longest text carried inline, in bytes; a longer one is cut here and whole in the blob `text_rest`… or the raw input.
pub const TEXT_BYTES_MAX: usize = 32 * 1024;
/// The media type of every public message.
pub const CONTENT_TYPE: &str = "application/cloudevents+json";

/// A CloudEvents 1.0 envelope. `type` is `<prefix>.<name>.v1` with the installation's prefix.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CloudEvent<T> {
    /// `1.0`.
    pub specversion: String,
    /// Unique within `source`. The same again on a retry: what has been seen is dropped.
    pub id: String,
    /// Who says so: `/account/<account>` for what comes in, `/pool/<pool>` for what goes out.
    pub source: String,
    /// What happened.
    #[serde(rename = "type")]
    pub kind: String,
    /// When.
    pub time: Timestamp,
    /// The contact it is about, if one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// W3C trace context: one id from the adapter to the operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// `application/json`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub datacontenttype: Option<String>,
    /// The event's own fields.
    pub data: T,
}

/// A citizen's message: opens a contact or joins one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct InboundMessage {
    /// The account that received it. Fixes administration and pool; the routing key wins over what this body says.
    pub account: AccountId,
    /// The message's id at its provider, or the digest of the raw message: the key against doubles within the account.
    #[schemars(length(min = 1, max = 998))]
    pub provider_id: String,
    /// The `Message-ID` its sender gave it, without angle brackets: what an answer's `In-Reply-To` names. Chosen by the sender, so
    /// never a key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 998))]
    pub header_id: Option<String>,
    /// When it reached the administration (filing time).
    pub received_at: Timestamp,
    /// Whether somebody is standing there; by default as the channel is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// Who wrote; none if anonymous.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Party>,
    /// How sure that is.
    #[serde(default)]
    pub identity: IdentityLevel,
    /// Where the citizen says that they can be answered once they have left the channel: an email address typed into a chat.
    /// Never a key: it joins nobody's history.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer_to: Option<Party>,
    /// To whom it was addressed.
    #[serde(default)]
    pub to: Vec<Party>,
    /// Subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The text, at most 32 KiB of UTF-8. What is longer is whole in `text_blob`.
    #[serde(default)]
    pub text: String,
    /// The whole text when it did not fit into `text`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text_blob: Option<BlobRef>,
    /// Sanitised HTML.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub html: Option<BlobRef>,
    /// Files, in the blob store before this is published.
    #[serde(default)]
    #[schemars(length(max = 1000))]
    pub attachments: Vec<Attachment>,
    /// The message as it came over the wire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<BlobRef>,
    /// The language, if the citizen declared one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<Language>,
    /// Message-IDs it answers, without angle brackets, newest last. Only our own signed ones join a conversation.
    #[serde(default)]
    #[schemars(length(max = 100))]
    pub references: Vec<String>,
    /// The input to whose contact it belongs: how a program adds to the contact that it opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread: Option<InputId>,
    /// Set if no person wrote it. Recorded, never routed as new work, never answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub automatic: Option<Automatic>,
    /// Facts for the rules and the operator that have no field of their own: a telephone menu's choice, a web form's topic.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    pub attributes: BTreeMap<String, String>,
}

/// What happened to a contact on its channel, other than a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InboundSignal {
    /// The account that says so.
    pub account: AccountId,
    /// The input that opened the contact, or joined it.
    pub thread: InputId,
    /// What happened.
    pub signal: Signal,
    /// Tells apart what happens more than once to one contact; without it each signal counts once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255))]
    pub id: Option<String>,
}

impl InboundSignal {
    /// The input that it is: the same for the same signal of the same contact with the same `id`, however often it is sent.
    pub fn input(&self, ids: &IdMaker) -> InputId {
        let Self { account, thread, signal, id } = self;
        // what the rows of every release were made of
        let name = match signal {
            Signal::Abandoned => "Abandoned",
            Signal::Ended => "Ended",
        };
        let what = match id {
            Some(id) => format!("{thread}/{name}/{id}"),
            None => format!("{thread}/{name}"),
        };
        ids.input(account, what.as_bytes())
    }
}

/// What can happen on a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Signal {
    /// The citizen left before being served.
    Abandoned,
    /// The citizen left after being served: the operator wraps up.
    Ended,
}

/// Everything that may come in, by the last part of the CloudEvents type before the version.
#[derive(Debug, Clone, PartialEq)]
pub enum InboundEvent {
    /// `inbound.message.v1`
    Message(Box<InboundMessage>),
    /// `inbound.signal.v1`
    Signal(InboundSignal),
    /// `inbound.delivery.v1`
    Delivery(DeliveryReport),
}

impl InboundEvent {
    /// `inbound.message.v1`
    pub const MESSAGE: &'static str = "inbound.message.v1";
    /// `inbound.signal.v1`
    pub const SIGNAL: &'static str = "inbound.signal.v1";
    /// `inbound.delivery.v1`
    pub const DELIVERY: &'static str = "inbound.delivery.v1";

    /// The name within the installation's prefix.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Message(_) => Self::MESSAGE,
            Self::Signal(_) => Self::SIGNAL,
            Self::Delivery(_) => Self::DELIVERY,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of running releases are known by these: what was processed must stay known.
    #[test]
    fn a_signal_is_known_by_what_it_says() {
        let (ids, account) = (IdMaker::new([7; 32]), AccountId::new("telefono").expect("a name"));
        for (signal, id, what) in [
            (Signal::Abandoned, None, "in_0000000000000000000000000000002a/Abandoned"),
            (Signal::Ended, None, "in_0000000000000000000000000000002a/Ended"),
            (Signal::Abandoned, Some("2"), "in_0000000000000000000000000000002a/Abandoned/2"),
        ] {
            let data = InboundSignal { account: account.clone(), thread: InputId(42), signal, id: id.map(str::to_owned) };
            assert_eq!(data.input(&ids), ids.input(&account, what.as_bytes()), "{what}");
        }
    }
}
