//! What was said in a conversation, as the desk shows it.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;

use super::directory::People;
use crate::model::channel::Channel;
use crate::model::contact::Direction;
use crate::model::conversation::{Automatic, Message, Note, Party};
use crate::model::delivery::{DeliveryState, Settled};
use crate::model::id::{ContactId, MessageId, NoteId, OperatorId};
use crate::model::time::Timestamp;

/// What was said or noted.
#[derive(Serialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Entry {
    /// Between citizen and office.
    Message(Box<MessageEntry>),
    /// Inside.
    Note(NoteEntry),
}

/// A message.
#[derive(Serialize, JsonSchema)]
pub struct MessageEntry {
    id: MessageId,
    contact: ContactId,
    direction: Direction,
    channel: Channel,
    at: Timestamp,
    filed_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    author: Option<OperatorId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    author_name: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<Party>,
    to: Vec<Party>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    text: String,
    has_html: bool,
    attachments: Vec<AttachmentView>,
    has_raw: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    automatic: Option<Automatic>,
    /// The citizen's: what its channel knows of it that has no field of its own.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    attributes: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delivery: Option<DeliveryState>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<String>,
    /// Whose word says how it ended, if no machine knew.
    #[serde(skip_serializing_if = "Option::is_none")]
    settled: Option<SettledView>,
    /// Ours, in a chat: the citizen has seen it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    read: bool,
    /// Of unknown outcome, and the reader may say how it ended.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    can_settle: bool,
}

/// A person's word on how an attempt of unknown outcome ended.
#[derive(Serialize, JsonSchema)]
pub struct SettledView {
    by: OperatorId,
    by_name: Arc<str>,
    at: Timestamp,
}

/// A file of a message.
#[derive(Serialize, JsonSchema)]
pub struct AttachmentView {
    /// Its place in the message, from 0.
    index: usize,
    name: String,
    media_type: String,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_id: Option<String>,
}

/// A note.
#[derive(Serialize, JsonSchema)]
pub struct NoteEntry {
    id: NoteId,
    contact: ContactId,
    at: Timestamp,
    author: OperatorId,
    author_name: Arc<str>,
    text: String,
}

/// A message.
///
/// `can_settle`: whether the reader answers for a contact of its conversation. `seen_up_to`: the number up to which the citizen has
/// seen the office's messages.
pub fn message_entry(message: Message, people: &People, can_settle: bool, seen_up_to: i64) -> Entry {
    let files = message.attachments.into_iter().enumerate();
    Entry::Message(Box::new(MessageEntry {
        id: message.id,
        contact: message.contact,
        direction: message.direction,
        read: message.direction == Direction::Outbound && message.channel.is_session() && message.seq <= seen_up_to,
        channel: message.channel,
        at: message.at,
        filed_at: message.filed_at,
        author: message.author,
        author_name: message.author.map(|author| people.name(author)),
        from: message.from,
        to: message.to,
        subject: message.subject,
        text: message.text,
        has_html: message.html.is_some(),
        attachments: files
            .map(|(index, file)| AttachmentView {
                index,
                name: file.name,
                media_type: file.media_type,
                size: file.blob.size,
                content_id: file.content_id,
            })
            .collect(),
        has_raw: message.raw.is_some(),
        automatic: message.automatic,
        attributes: message.attributes,
        can_settle: can_settle && message.delivery == Some(DeliveryState::Unknown),
        delivery: message.delivery,
        failure: message.failure,
        settled: message.settled.map(|Settled { operator, at }| SettledView { by: operator, by_name: people.name(operator), at }),
    }))
}

/// A note.
pub fn note_entry(note: Note, people: &People) -> Entry {
    Entry::Note(NoteEntry {
        id: note.id,
        contact: note.contact,
        at: note.at,
        author: note.author,
        author_name: people.name(note.author),
        text: note.text,
    })
}
