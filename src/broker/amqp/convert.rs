//! Between AMQP properties and the port's messages.

use bytes::Bytes;
use lapin::BasicProperties;
use lapin::message::Delivery;
use lapin::types::{AMQPValue, FieldTable, ShortString};

use crate::broker::topology::ASIDE_TTL_MS;
use crate::model::inbound::CONTENT_TYPE;
use crate::port::broker::{Destination, Incoming, Outgoing};

/// RabbitMQ's number for a message that survives its restart.
const PERSISTENT: u8 = 2;
/// And for one that does not.
const TRANSIENT: u8 = 1;
/// The header of the W3C trace context.
const TRACEPARENT: &str = "traceparent";

/// The properties of a message whose texts `topology::check` has found short enough.
pub(super) fn properties(message: &Outgoing) -> BasicProperties {
    let is_aside = message.destination == Destination::Aside;
    let mut properties = BasicProperties::default()
        .with_delivery_mode(if is_aside { TRANSIENT } else { PERSISTENT })
        .with_content_type(CONTENT_TYPE.into())
        .with_message_id(message.id.as_str().into());
    if is_aside {
        properties = properties.with_expiration(ASIDE_TTL_MS.to_string().into());
    }
    if let Some(reply_to) = &message.reply_to {
        properties = properties.with_reply_to(reply_to.as_str().into());
    }
    if let Some(traceparent) = &message.traceparent {
        let mut headers = FieldTable::default();
        headers.insert(TRACEPARENT.into(), AMQPValue::LongString(traceparent.as_str().into()));
        properties = properties.with_headers(headers);
    }
    properties
}

/// A delivery as the port knows it.
pub(super) fn incoming(delivery: &mut Delivery) -> Incoming {
    let text = |value: &Option<ShortString>| value.as_ref().map(|text| text.as_str().to_owned());
    let headers = delivery.properties.headers().as_ref();
    Incoming {
        tag: delivery.delivery_tag,
        routing_key: delivery.routing_key.as_str().to_owned(),
        id: text(delivery.properties.message_id()),
        traceparent: headers.and_then(|headers| header(headers, TRACEPARENT)),
        reply_to: text(delivery.properties.reply_to()),
        redelivered: delivery.redelivered,
        death: headers.and_then(death),
        body: Bytes::from(std::mem::take(&mut delivery.data)),
    }
}

/// A header's text; none if there is none or it is something else.
fn header(headers: &FieldTable, name: &str) -> Option<String> {
    match headers.inner().get(name)? {
        AMQPValue::LongString(text) => String::from_utf8(text.as_bytes().to_vec()).ok(),
        AMQPValue::ShortString(text) => Some(text.as_str().to_owned()),
        _ => None,
    }
}

/// Why a dead letter died first, and where: `delivery_limit in sportello.router.main`.
fn death(headers: &FieldTable) -> Option<String> {
    let reason = header(headers, "x-first-death-reason")?;
    let queue = header(headers, "x-first-death-queue").unwrap_or_else(|| "an unnamed queue".into());
    Some(format!("{reason} in {queue}"))
}
