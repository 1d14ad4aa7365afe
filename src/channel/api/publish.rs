//! What a program says, as the CloudEvent that goes to the broker. Accepted means confirmed by it.

use super::ChannelApi;
use super::request::{NewContact, NewSignal, Problem, Program};
use crate::model::channel::IdentityLevel;
use crate::model::id::InputId;
use crate::model::inbound::{InboundEvent, InboundMessage, InboundSignal, Signal};
use crate::model::time::Timestamp;
use crate::model::wire::{self, WireError};
use crate::port::broker::{Destination, Outgoing, inbound_message_id};
use crate::port::clock::now;

/// Publishes a message; `thread` names the input to whose contact it belongs.
pub async fn message(api: &ChannelApi, program: &Program, new: NewContact, thread: Option<InputId>) -> Result<InputId, Problem> {
    new.check()?;
    let input = api.ids.input(&program.account, new.external_id.as_bytes());
    let at = now();
    let message = InboundMessage {
        account: program.account.clone(),
        provider_id: new.external_id,
        header_id: None,
        answer_to: None,
        received_at: at,
        mode: new.mode,
        from: new.from,
        identity: IdentityLevel::Claimed,
        to: Vec::new(),
        subject: new.subject,
        text: new.text,
        text_blob: None,
        html: None,
        attachments: Vec::new(),
        raw: None,
        language: new.language,
        references: Vec::new(),
        thread,
        automatic: None,
        attributes: new.attributes,
    };
    publish(api, program, input, at, InboundEvent::Message(Box::new(message))).await
}

/// Publishes that the citizen left. The same signal of the same contact with the same `external_id` is one input, however often it is
/// sent.
pub async fn signal(api: &ChannelApi, program: &Program, thread: InputId, signal: Signal, new: NewSignal) -> Result<InputId, Problem> {
    new.check()?;
    let data = InboundSignal { account: program.account.clone(), thread, signal, id: new.external_id };
    publish(api, program, data.input(&api.ids), now(), InboundEvent::Signal(data)).await
}

async fn publish(api: &ChannelApi, program: &Program, input: InputId, at: Timestamp, event: InboundEvent) -> Result<InputId, Problem> {
    let traceparent = Some(program.trace.child().to_string());
    let event = wire::inbound_event(&api.type_prefix, input, &program.account, at, traceparent.clone(), event);
    let body = wire::encode_inbound(&event).map_err(|error| match error {
        WireError::TooLarge { .. } => Problem::too_large(),
        error => Problem::invalid(error.to_string()),
    })?;
    let destination = Destination::Inbound {
        pool: program.pool.clone(),
        administration: program.administration.clone(),
        channel: program.channel.clone(),
    };
    let message = Outgoing { traceparent, ..Outgoing::new(destination, inbound_message_id(input), body) };
    api.publisher.publish(vec![message]).await?;
    api.remember(input, &program.account);
    Ok(input)
}
