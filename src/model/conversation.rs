//! What was said: messages between citizen and office, notes that stay inside. These rows hold the text and can be erased.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::channel::Channel;
use super::contact::Direction;
use super::delivery::{DeliveryState, Settled};
use super::id::{AccountId, AdministrationId, ContactId, ConversationId, MessageId, NoteId, OperatorId};
use super::time::Timestamp;

/// A blob's place: `<administration>/<yyyy-mm>/<random>`. The digest is beside it, never in it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct BlobRef {
    /// Key in the blob store.
    pub key: String,
    /// Lower-case hexadecimal SHA-256 of the bytes.
    pub sha256: String,
    /// Bytes.
    pub size: u64,
}

/// A file that came or goes with a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Attachment {
    /// The name as sent, at most 255 characters, without path or control characters. Never a path of ours.
    pub name: String,
    /// As declared, never trusted: `application/pdf`.
    pub media_type: String,
    /// Content-ID without angle brackets, if the HTML shows it inline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_id: Option<String>,
    /// Its bytes.
    pub blob: BlobRef,
}

/// A person behind an address, as written in a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Party {
    /// Email address, E.164 number, or the channel's own.
    pub address: String,
    /// The display name, at most 255 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// What made a message that no person wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Automatic {
    /// Out of office and the like (RFC 3834).
    AutoReply,
    /// A delivery status notification (RFC 3464).
    Bounce,
    /// A read receipt (RFC 8098).
    Receipt,
    /// A newsletter or list.
    List,
    /// Our own mail coming back, or too many hops.
    Loop,
}

/// A message as its row holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Its id.
    pub id: MessageId,
    /// Whose it is.
    pub administration: AdministrationId,
    /// The conversation it is part of.
    pub conversation: ConversationId,
    /// The contact it came to or was written in.
    pub contact: ContactId,
    /// Inbound: the citizen wrote it.
    pub direction: Direction,
    /// The channel it came by or goes by.
    pub channel: Channel,
    /// The account that received or sends it.
    pub account: AccountId,
    /// The operator who wrote it, if outbound and not automatic.
    pub author: Option<OperatorId>,
    /// When it was recorded.
    pub at: Timestamp,
    /// The pool's sequence number of the event that recorded it: messages of a conversation rise by it.
    #[serde(default)]
    pub seq: i64,
    /// Inbound: when it reached the administration. Never moves.
    pub filed_at: Timestamp,
    /// Sender (inbound) or the office's own address (outbound).
    pub from: Option<Party>,
    /// Recipients.
    pub to: Vec<Party>,
    /// Subject, at most 998 characters.
    pub subject: Option<String>,
    /// Plain text, whole.
    pub text: String,
    /// Sanitised HTML, if the message had any; only ever shown in a sandboxed frame.
    pub html: Option<BlobRef>,
    /// Files.
    pub attachments: Vec<Attachment>,
    /// The message as it came over the wire.
    pub raw: Option<BlobRef>,
    /// Set if no person wrote it.
    pub automatic: Option<Automatic>,
    /// `Message-ID` of an email without angle brackets, provider's id of an SMS.
    pub provider_id: Option<String>,
    /// An email's own `Message-ID` without angle brackets: what an answer's `In-Reply-To` names. Chosen by the sender, so never a
    /// key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header_id: Option<String>,
    /// Inbound: what its channel knows of it that has no field of its own: an address that asks for the answer, files left out.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
    /// Outbound: where it is.
    pub delivery: Option<DeliveryState>,
    /// Outbound: the code of the last failure.
    pub failure: Option<String>,
    /// Outbound: whose word says how it ended, if no machine knew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled: Option<Settled>,
}

impl Message {
    /// Whether a person wrote it to us and reads the answer. What came by a list was written by somebody: only our machinery
    /// keeps silent to it (RFC 3834, section 2).
    pub fn is_answerable(&self) -> bool {
        self.direction == Direction::Inbound && matches!(self.automatic, None | Some(Automatic::List))
    }
}

/// A note: stays inside. It is a type of its own and no adapter takes one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// Its id.
    pub id: NoteId,
    /// Whose it is.
    pub administration: AdministrationId,
    /// The conversation it is part of.
    pub conversation: ConversationId,
    /// The contact in which it was written.
    pub contact: ContactId,
    /// Who wrote it.
    pub author: OperatorId,
    /// When.
    pub at: Timestamp,
    /// What.
    pub text: String,
}
