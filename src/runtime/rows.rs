//! From effects to a write-set: final rows, numbered events, and the text rows that travel beside the engine.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::channel::Channel;
use crate::model::command::CommandBody;
use crate::model::contact::{Contact, Direction};
use crate::model::conversation::{Message, Note, Party};
use crate::model::delivery::DeliveryState;
use crate::model::event::Event;
use crate::model::id::{AccountId, AdministrationId, ContactId, ConversationId, MessageId};
use crate::model::input::{InboundFacts, Input};
use crate::model::json;
use crate::model::time::Timestamp;
use crate::plan::Plan;
use crate::port::commands::{CommandEnvelope, CommandText};
use crate::port::feed::FeedEvent;
use crate::port::store::{Conversation, EventRecord, InputRecord, WriteSet};
use crate::routing::{Applied, Effects};

use super::intake::InboundText;

/// Numbers the events that an input added and writes each as JSON once, for journal and feed alike.
pub fn number_events(
    effects: &Effects,
    from: usize,
    (input_seq, at): (i64, Timestamp),
    traceparent: Option<&Arc<str>>,
    writes: &mut WriteSet,
    feed: &mut Vec<FeedEvent>,
) -> i64 {
    let mut seq = input_seq;
    for (about, body) in &effects.events[from..] {
        seq += 1;
        let event = Event { seq, at, about: about.clone(), body: body.clone() };
        let text: Arc<str> = json::to_string(&event).expect("an event is plain data").into();
        writes.events.push(EventRecord {
            seq,
            input_seq,
            at,
            name: event.body.name().to_owned(),
            administration: event.about.as_ref().map(|about| about.administration.clone()),
            contact: event.about.as_ref().map(|about| about.contact),
            operator: event.body.operator(),
            body: text.to_string(),
        });
        feed.push(FeedEvent { event: Arc::new(event), json: text, traceparent: traceparent.cloned() });
    }
    seq
}

/// The log's row of an input. Text is not part of an input; what the rules made of it is.
pub fn input_record(seq: i64, at: Timestamp, input: &Input, source: Option<String>, applied: &Applied) -> InputRecord {
    let body = match input {
        Input::Inbound(facts) => {
            let logged = InboundFacts { classification: applied.classification.clone(), text: None, ..(**facts).clone() };
            json::to_string(&Input::Inbound(Box::new(logged)))
        }
        other => json::to_string(other),
    };
    let administration = match input {
        Input::Inbound(facts) => Some(facts.administration.clone()),
        Input::Signal(facts) => Some(facts.administration.clone()),
        _ => None,
    };
    InputRecord {
        seq,
        at,
        kind: input.kind().to_owned(),
        source,
        contact: applied.landed,
        body: body.expect("an input is plain data"),
        administration,
        outcome: match &applied.result {
            Ok(()) => "applied".to_owned(),
            Err(code) => serde_json::to_value(code).ok().and_then(|code| code.as_str().map(str::to_owned)).unwrap_or_default(),
        },
    }
}

/// The rows of a citizen's message: the message, its conversation if it opens one, and the address it came from.
pub fn add_inbound(facts: &InboundFacts, text: InboundText, applied: &Applied, (seq, at): (i64, Timestamp), writes: &mut WriteSet) {
    let Some(placement) = &applied.placement else { return };
    let InboundText { message, address, citizen } = text;
    if placement.is_new_conversation {
        writes.conversations.push(Conversation {
            id: placement.conversation,
            administration: facts.administration.clone(),
            citizen,
            subject: message.subject.clone(),
            opened_at: at,
        });
    }
    writes.citizens.extend(address);
    writes.messages.push(Message {
        id: facts.message,
        administration: facts.administration.clone(),
        conversation: placement.conversation,
        contact: placement.contact,
        direction: Direction::Inbound,
        channel: facts.channel.clone(),
        account: facts.account.clone(),
        author: None,
        at,
        filed_at: facts.filed_at,
        from: message.from,
        to: message.to,
        subject: message.subject,
        text: message.text,
        html: message.html,
        attachments: message.attachments,
        raw: message.raw,
        automatic: message.automatic,
        header_id: message.header_id,
        attributes: message.attributes,
        seq,
        provider_id: Some(message.provider_id),
        delivery: None,
        failure: None,
        settled: None,
    });
}

/// The rows of what an operator wrote.
///
/// `seq`: the number of the event that records it.
pub fn add_written(plan: &Plan, contact: &Contact, envelope: &CommandEnvelope, (seq, at): (i64, Timestamp), writes: &mut WriteSet) {
    match (&envelope.command.body, &envelope.text) {
        (CommandBody::Reply { message, account, .. }, Some(text @ CommandText::Reply { .. })) => {
            let account = account.as_ref().unwrap_or(&contact.account);
            let mut row = outbound(plan, (&contact.administration, contact.conversation, contact.id), account, *message, (seq, at));
            row.author = envelope.command.actor.operator;
            write_down(&mut row, text);
            writes.messages.push(row);
        }
        (CommandBody::Note { note, .. }, Some(CommandText::Text(text))) => {
            let Some(author) = envelope.command.actor.operator else { return };
            writes.notes.push(Note {
                id: *note,
                administration: contact.administration.clone(),
                conversation: contact.conversation,
                contact: contact.id,
                author,
                at,
                text: text.clone(),
            });
        }
        _ => {}
    }
}

/// The row of a copy that the citizen asked for.
pub fn add_copy(plan: &Plan, envelope: &CommandEnvelope, (seq, at): (i64, Timestamp), writes: &mut WriteSet) {
    if let (CommandBody::Copy { administration, contact, conversation, account, message, .. }, Some(text)) =
        (&envelope.command.body, &envelope.text)
    {
        let mut row = outbound(plan, (administration, *conversation, *contact), account, *message, (seq, at));
        write_down(&mut row, text);
        writes.messages.push(row);
    }
}

fn write_down(row: &mut Message, written: &CommandText) {
    if let CommandText::Reply { text, subject, to, cc, attachments } = written {
        row.to = to.iter().chain(cc).cloned().collect();
        row.subject = subject.clone();
        row.text = text.clone();
        row.attachments = attachments.clone();
    }
}

/// An outbound message without its words.
fn outbound(
    plan: &Plan,
    (administration, conversation, contact): (&AdministrationId, ConversationId, ContactId),
    id: &AccountId,
    message: MessageId,
    (seq, at): (i64, Timestamp),
) -> Message {
    let account = plan.accounts.get(id);
    let from = account.and_then(|account| Some(Party { address: account.address.clone()?, name: account.display_name.clone() }));
    // an operator can answer only while the plan has the account
    let channel = account.map_or_else(Channel::email, |account| account.channel.clone());
    Message {
        id: message,
        administration: administration.clone(),
        conversation,
        contact,
        direction: Direction::Outbound,
        channel,
        account: id.clone(),
        author: None,
        at,
        filed_at: at,
        from,
        to: Vec::new(),
        subject: None,
        text: String::new(),
        html: None,
        attachments: Vec::new(),
        raw: None,
        automatic: None,
        header_id: None,
        attributes: BTreeMap::new(),
        seq,
        provider_id: None,
        delivery: Some(DeliveryState::Queued),
        failure: None,
        settled: None,
    }
}
