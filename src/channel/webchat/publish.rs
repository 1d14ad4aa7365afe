//! What a citizen says in a chat, as the CloudEvent that goes to the broker: the same frame makes the same input, however often it
//! is sent. Pure but for the clock.

use std::collections::BTreeMap;

use super::access::Visitor;
use crate::model::channel::{Channel, IdentityLevel};
use crate::model::contact::Mode;
use crate::model::conversation::{Attachment, Party};
use crate::model::id::{AccountId, ChatSessionId, ConversationId, IdMaker, InputId, MessageId};
use crate::model::inbound::{InboundEvent, InboundMessage, InboundSignal, Signal};
use crate::model::wire;
use crate::plan::Plan;
use crate::port::broker::{Destination, Outgoing, inbound_message_id};
use crate::port::chat::ChatSession;
use crate::port::clock::now;
use crate::port::trace::TraceParent;

/// The input that a chat's conversation is named by. It is never published itself.
pub fn thread_of(ids: &IdMaker, account: &AccountId, session: ChatSessionId) -> InputId {
    ids.input(account, session.to_string().as_bytes())
}

/// A chat's conversation.
pub fn conversation_of(ids: &IdMaker, account: &AccountId, session: ChatSessionId) -> ConversationId {
    ids.conversation(thread_of(ids, account, session))
}

/// The browser's id of a message, from what the provider's id says.
pub fn client_id(provider_id: &str) -> Option<&str> {
    provider_id.split_once('/').map(|(_, id)| id)
}

/// What a citizen wrote.
pub struct Words<'a> {
    /// The browser's id.
    pub id: &'a str,
    /// Plain text.
    pub text: String,
    /// Files, in the blob store.
    pub files: Vec<Attachment>,
    /// Left for later, because nobody is there.
    pub for_later: bool,
}

/// A message as the broker gets it, with the id it will have.
pub fn message(
    ids: &IdMaker,
    prefix: &str,
    plan: &Plan,
    visitor: &Visitor,
    session: &ChatSession,
    words: Words<'_>,
) -> Result<(MessageId, Outgoing), wire::WireError> {
    let provider_id = format!("{}/{}", session.id, words.id);
    let input = ids.input(&session.account, provider_id.as_bytes());
    let topic = session.topic.as_ref();
    let label = topic.and_then(|topic| plan.administrations.get(&session.administration)?.topics.get(topic).cloned());
    let message = InboundMessage {
        account: session.account.clone(),
        provider_id,
        header_id: None,
        received_at: now(),
        mode: words.for_later.then_some(Mode::Deferrable),
        from: Some(Party { address: session.id.to_string(), name: Some(session.name.clone()) }),
        identity: IdentityLevel::Claimed,
        answer_to: session.email.clone().map(|address| Party { address, name: Some(session.name.clone()) }),
        to: Vec::new(),
        subject: label,
        text: words.text,
        text_blob: None,
        html: None,
        attachments: words.files,
        raw: None,
        language: session.language,
        references: Vec::new(),
        thread: Some(thread_of(ids, &session.account, session.id)),
        automatic: None,
        attributes: attributes(session),
    };
    let outgoing = outgoing(prefix, visitor, input, InboundEvent::Message(Box::new(message)))?;
    Ok((ids.message(input), outgoing))
}

/// What the rules may look at.
pub fn attributes(session: &ChatSession) -> BTreeMap<String, String> {
    session.topic.iter().map(|topic| ("topic".to_owned(), topic.to_string())).collect()
}

/// That the citizen is gone. `id` tells one going from another.
pub fn signal(
    ids: &IdMaker,
    prefix: &str,
    visitor: &Visitor,
    session: &ChatSession,
    signal: Signal,
    id: String,
) -> Result<Outgoing, wire::WireError> {
    let thread = thread_of(ids, &session.account, session.id);
    let name: &[u8] = match signal {
        Signal::Abandoned => b"abandoned",
        Signal::Ended => b"ended",
    };
    let input = InputId(ids.make("chat-signal", &[&thread.0.to_be_bytes(), name, id.as_bytes()]));
    let data = InboundSignal { account: session.account.clone(), thread, signal, id: Some(id) };
    outgoing(prefix, visitor, input, InboundEvent::Signal(data))
}

/// That the citizen ended the chat for good: the same however often it is said.
pub fn ended(ids: &IdMaker, prefix: &str, visitor: &Visitor, session: &ChatSession) -> Result<Outgoing, wire::WireError> {
    signal(ids, prefix, visitor, session, Signal::Ended, "end".to_owned())
}

fn outgoing(prefix: &str, visitor: &Visitor, input: InputId, event: InboundEvent) -> Result<Outgoing, wire::WireError> {
    let traceparent = Some(TraceParent::start().to_string());
    let event = wire::inbound_event(prefix, input, &visitor.account, now(), traceparent.clone(), event);
    let body = wire::encode_inbound(&event)?;
    let destination =
        Destination::Inbound { pool: visitor.pool.clone(), administration: visitor.administration.clone(), channel: Channel::webchat() };
    Ok(Outgoing { traceparent, ..Outgoing::new(destination, inbound_message_id(input), body) })
}
