//! Model types as rows, both ways: which cell is which field is written once, here.

use crate::model::contact::{Contact, ContactState, Offer};
use crate::model::conversation::{Message, Note};
use crate::model::delivery::Delivery;
use crate::model::id::{MessageId, PoolId};
use crate::model::operator::Operator;
use crate::model::time::Timestamp;
use crate::port::store::{CitizenAddress, Conversation, EventRecord, InputRecord, Quarantined, QueueState, StoreError};

use super::table::{Cell, cells};
use super::value::{Row, clean, json, word_of};

type Cells = Result<Vec<Cell>, StoreError>;

fn shown<T: ToString>(id: Option<T>) -> Option<String> {
    id.map(|id| id.to_string())
}

/// A contact.
pub fn contact(pool: &PoolId, at: Timestamp, contact: &Contact) -> Cells {
    let operator = contact.state.owner().or_else(|| contact.state.holder());
    let (finished_at, abandoned_at) = match contact.state {
        ContactState::Abandoned { at } => (Some(at.0), Some(at.0)),
        ContactState::Closed { at } => (Some(at.0), None),
        _ => (None, None),
    };
    Ok(cells![
        contact.administration.as_str(),
        contact.id.to_string(),
        pool.as_str(),
        contact.office.as_str(),
        contact.queue.as_str(),
        contact.conversation.to_string(),
        shown(contact.citizen),
        shown(contact.address),
        contact.channel.as_str(),
        word_of(&contact.mode)?,
        word_of(&contact.direction)?,
        contact.state.name().as_str(),
        shown(operator),
        shown(contact.state.owner().or(contact.last_owner)),
        i64::from(contact.key.tier),
        contact.key.due.0,
        contact.key.seq,
        contact.filed_at.0,
        contact.opened_at.0,
        contact.queued_at.0,
        at.0,
        finished_at,
        abandoned_at,
        i64::from(contact.version),
        json(contact)?,
    ])
}

/// An offer that ended.
pub fn offer(pool: &PoolId, offer: &Offer) -> Vec<Cell> {
    cells![
        pool.as_str(),
        offer.id.contact.to_string(),
        i64::from(offer.id.ordinal),
        offer.operator.to_string(),
        offer.state.as_str(),
        offer.made_at.0,
        offer.deadline.0,
        offer.ended_at.map(|at| at.0),
    ]
}

/// An operator; refuses a level outside 1 to 10, which SQLite cannot check.
pub fn operator(operator: &Operator) -> Cells {
    if operator.profile.skills.values().any(|level| !(1..=10).contains(level)) {
        return Err(StoreError::Refused(format!("a skill's level goes from 1 to 10: operator {}", operator.id)));
    }
    Ok(cells![
        operator.pool.as_str(),
        operator.id.to_string(),
        i64::from(operator.enabled),
        operator.presence.state.name(),
        i64::from(operator.version),
        json(operator)?,
    ])
}

/// A queue's admission.
pub fn queue(pool: &PoolId, queue: &QueueState) -> Vec<Cell> {
    cells![pool.as_str(), queue.queue.as_str(), i64::from(queue.closed), queue.notice.as_deref().map(clean)]
}

/// A conversation.
pub fn conversation(conversation: &Conversation) -> Vec<Cell> {
    cells![
        conversation.administration.as_str(),
        conversation.id.to_string(),
        shown(conversation.citizen),
        conversation.subject.as_deref().map(clean),
        conversation.opened_at.0,
    ]
}

/// A message, with its delivery if that begins in the same batch. Its number is the column `place`: what is recorded at one time
/// is in that order.
pub fn message(pool: &PoolId, message: &Message, delivery: Option<&Delivery>) -> Cells {
    let state = delivery.map(|delivery| delivery.state).or(message.delivery);
    let failure = delivery.and_then(|delivery| delivery.failure.clone()).or_else(|| message.failure.clone());
    Ok(cells![
        message.administration.as_str(),
        message.id.to_string(),
        pool.as_str(),
        message.conversation.to_string(),
        message.contact.to_string(),
        word_of(&message.direction)?,
        message.channel.as_str(),
        message.account.as_str(),
        shown(message.author),
        message.at.0,
        message.seq,
        message.filed_at.0,
        message.from.as_ref().map(json).transpose()?,
        json(&message.to)?,
        message.subject.as_deref().map(clean),
        clean(&message.text),
        message.html.as_ref().map(json).transpose()?,
        json(&message.attachments)?,
        message.raw.as_ref().map(json).transpose()?,
        message.automatic.as_ref().map(word_of).transpose()?,
        message.provider_id.as_deref().map(clean),
        message.header_id.as_deref().map(clean),
        state.map(|state| state.as_str().to_owned()),
        delivery.map_or(0, |delivery| i64::from(delivery.attempts)),
        delivery.map_or(0, |delivery| delivery.due.0),
        failure.as_deref().map(clean),
        delivery.map(|delivery| json(&delivery.origin)).transpose()?,
        message.settled.as_ref().map(json).transpose()?,
        (!message.attributes.is_empty()).then(|| json(&message.attributes)).transpose()?,
    ])
}

/// The columns that [`read_message`] reads, of the table as `m`.
macro_rules! message_columns {
    () => {
        "m.id, m.administration, m.conversation, m.contact, m.direction, m.channel, m.account, m.author, m.at, m.filed_at, m.sender, \
         m.recipients, m.subject, m.text, m.html, m.attachments, m.raw, m.automatic, m.provider_id, m.header_id, m.delivery, m.failure, \
         m.place, m.settled, m.attributes"
    };
}
pub(crate) use message_columns;

/// A message from [`message_columns`].
pub fn read_message(row: &Row) -> Result<Message, StoreError> {
    Ok(Message {
        id: row.parse(0)?,
        administration: row.parse(1)?,
        conversation: row.parse(2)?,
        contact: row.parse(3)?,
        direction: row.word(4)?,
        channel: row.parse(5)?,
        account: row.parse(6)?,
        author: row.parse_option(7)?,
        at: row.time(8)?,
        filed_at: row.time(9)?,
        from: row.json_option(10)?,
        to: row.json(11)?,
        subject: row.text_option(12)?,
        text: row.text(13)?,
        html: row.json_option(14)?,
        attachments: row.json(15)?,
        raw: row.json_option(16)?,
        automatic: row.word_option(17)?,
        provider_id: row.text_option(18)?,
        header_id: row.text_option(19)?,
        seq: row.int(22)?,
        delivery: row.word_option(20)?,
        failure: row.text_option(21)?,
        settled: row.json_option(23)?,
        attributes: row.json_option(24)?.unwrap_or_default(),
    })
}

/// A note.
pub fn note(note: &Note) -> Vec<Cell> {
    cells![
        note.administration.as_str(),
        note.id.to_string(),
        note.conversation.to_string(),
        note.contact.to_string(),
        note.author.to_string(),
        note.at.0,
        clean(&note.text),
    ]
}

/// A note from `id, administration, conversation, contact, author, at, text`.
pub fn read_note(row: &Row) -> Result<Note, StoreError> {
    Ok(Note {
        id: row.parse(0)?,
        administration: row.parse(1)?,
        conversation: row.parse(2)?,
        contact: row.parse(3)?,
        author: row.parse(4)?,
        at: row.time(5)?,
        text: row.text(6)?,
    })
}

/// A delivery whose message is there already.
pub fn delivery(delivery: &Delivery) -> Cells {
    Ok(cells![
        delivery.administration.as_str(),
        delivery.message.to_string(),
        delivery.state.as_str(),
        i64::from(delivery.attempts),
        delivery.due.0,
        delivery.failure.as_deref().map(clean),
        json(&delivery.origin)?,
        delivery.settled.as_ref().map(json).transpose()?,
    ])
}

/// The columns that [`read_delivery`] reads.
macro_rules! delivery_columns {
    () => {
        "id, administration, contact, conversation, account, channel, delivery, attempts, due, failure, origin, settled"
    };
}
pub(crate) use delivery_columns;

/// A delivery from [`delivery_columns`].
pub fn read_delivery(row: &Row) -> Result<Delivery, StoreError> {
    Ok(Delivery {
        message: row.parse::<MessageId>(0)?,
        administration: row.parse(1)?,
        contact: row.parse(2)?,
        conversation: row.parse(3)?,
        account: row.parse(4)?,
        channel: row.parse(5)?,
        state: row.word(6)?,
        attempts: row.small(7)?,
        due: row.time(8)?,
        failure: row.text_option(9)?,
        origin: row.json(10)?,
        settled: row.json_option(11)?,
    })
}

/// A citizen's address.
pub fn citizen(citizen: &CitizenAddress) -> Cells {
    Ok(cells![
        citizen.administration.as_str(),
        citizen.key.to_string(),
        citizen.citizen.to_string(),
        citizen.channel.as_str(),
        clean(&citizen.address),
        citizen.name.as_deref().map(clean),
        word_of(&citizen.level)?,
        citizen.seen_at.0,
    ])
}

/// An address from `administration, key, citizen, channel, address, name, level, seen_at`.
pub fn read_citizen(row: &Row) -> Result<CitizenAddress, StoreError> {
    Ok(CitizenAddress {
        administration: row.parse(0)?,
        key: row.parse(1)?,
        citizen: row.parse(2)?,
        channel: row.parse(3)?,
        address: row.text(4)?,
        name: row.text_option(5)?,
        level: row.word(6)?,
        seen_at: row.time(7)?,
    })
}

/// A row of the input log.
pub fn input(pool: &PoolId, input: &InputRecord) -> Vec<Cell> {
    cells![
        pool.as_str(),
        input.seq,
        input.at.0,
        input.kind.as_str(),
        input.source.clone(),
        shown(input.contact),
        input.administration.as_ref().map(ToString::to_string),
        input.outcome.as_str(),
        input.body.as_str(),
    ]
}

/// An input from `seq, at, kind, source, contact, administration, outcome, body`.
pub fn read_input(row: &Row) -> Result<InputRecord, StoreError> {
    Ok(InputRecord {
        seq: row.int(0)?,
        at: row.time(1)?,
        kind: row.text(2)?,
        source: row.text_option(3)?,
        contact: row.parse_option(4)?,
        administration: row.parse_option(5)?,
        outcome: row.text(6)?,
        body: row.text(7)?,
    })
}

/// A row of the event log.
pub fn event(pool: &PoolId, event: &EventRecord) -> Vec<Cell> {
    cells![
        pool.as_str(),
        event.seq,
        event.input_seq,
        event.at.0,
        event.name.as_str(),
        event.administration.as_ref().map(ToString::to_string),
        shown(event.contact),
        shown(event.operator),
        event.body.as_str(),
    ]
}

/// An event from `seq, input_seq, at, name, administration, contact, operator, body`.
pub fn read_event(row: &Row) -> Result<EventRecord, StoreError> {
    Ok(EventRecord {
        seq: row.int(0)?,
        input_seq: row.int(1)?,
        at: row.time(2)?,
        name: row.text(3)?,
        administration: row.parse_option(4)?,
        contact: row.parse_option(5)?,
        operator: row.parse_option(6)?,
        body: row.text(7)?,
    })
}

/// Something held from `id, pool, administration, source, key, message_id, reason, body, at, state`.
pub fn read_quarantined(row: &Row) -> Result<Quarantined, StoreError> {
    Ok(Quarantined {
        id: row.int(0)?,
        pool: row.parse_option(1)?,
        administration: row.parse_option(2)?,
        source: row.text(3)?,
        key: row.text(4)?,
        message_id: row.text(5)?,
        reason: row.text(6)?,
        body: row.bytes(7)?,
        at: row.time(8)?,
        state: row.text(9)?,
    })
}
