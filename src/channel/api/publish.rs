//! What a program says, as the CloudEvent that goes to the broker. Accepted means confirmed by it.

use serde::Serialize;

use super::ChannelApi;
use super::request::{NewContact, Problem, Program};
use crate::model::channel::IdentityLevel;
use crate::model::id::InputId;
use crate::model::inbound::{BODY_BYTES_MAX, CloudEvent, InboundEvent, InboundMessage, InboundSignal, Signal};
use crate::model::time::Timestamp;
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
        header_id: None,
        language: new.language,
        references: Vec::new(),
        thread,
        automatic: None,
        attributes: new.attributes,
    };
    publish(api, program, input, InboundEvent::MESSAGE, at, message).await
}

/// Publishes that the citizen left. The same signal of the same contact is one input, however often it is sent.
pub async fn signal(api: &ChannelApi, program: &Program, thread: InputId, signal: Signal) -> Result<InputId, Problem> {
    let name: &[u8] = match signal {
        Signal::Abandoned => b"abandoned",
        Signal::Ended => b"ended",
    };
    let input = InputId(api.ids.make("signal", &[program.account.as_str().as_bytes(), &thread.0.to_be_bytes(), name]));
    let data = InboundSignal { account: program.account.clone(), thread, signal };
    publish(api, program, input, InboundEvent::SIGNAL, now(), data).await
}

async fn publish<T: Serialize>(
    api: &ChannelApi,
    program: &Program,
    input: InputId,
    name: &str,
    at: Timestamp,
    data: T,
) -> Result<InputId, Problem> {
    let event = CloudEvent {
        specversion: "1.0".to_owned(),
        id: inbound_message_id(input),
        source: format!("/account/{}", program.account),
        kind: format!("{}.{name}", api.type_prefix),
        time: at,
        subject: None,
        traceparent: None,
        datacontenttype: Some("application/json".to_owned()),
        data,
    };
    let body = serde_json::to_vec(&event).map_err(|error| Problem::invalid(error.to_string()))?;
    if body.len() > BODY_BYTES_MAX {
        return Err(Problem::new(axum::http::StatusCode::PAYLOAD_TOO_LARGE, "too_large", "a message has at most 64 KiB as JSON"));
    }
    let destination = Destination::Inbound {
        pool: program.pool.clone(),
        administration: program.administration.clone(),
        channel: program.channel.clone(),
    };
    api.publisher.publish(vec![Outgoing::new(destination, event.id, body)]).await?;
    api.remember(input, &program.account);
    Ok(input)
}
