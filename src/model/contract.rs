//! The public contract as an AsyncAPI 3.0 document: what anybody may publish to and read from the broker, with JSON Schemas
//! generated from the very types that read and write it. Pure.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::delivery::DeliveryReport;
use super::event::Event;
use super::inbound::{BODY_BYTES_MAX, CONTENT_TYPE, CloudEvent, InboundEvent, InboundMessage, InboundSignal};

/// Where AsyncAPI keeps schemas.
const SCHEMAS: &str = "/components/schemas";

/// The document for an installation whose CloudEvents types begin with `prefix`, such as `it.example.sportello`.
pub fn asyncapi_document(prefix: &str) -> Value {
    // AsyncAPI 3.0's own schema object is a superset of draft 7.
    let mut generator = SchemaSettings::draft07().with(|settings| settings.definitions_path = SCHEMAS.into()).into_generator();
    let mut messages = Map::new();
    let mut inbound = |name: &str, title: &str, summary: &str, data: Value| {
        messages.insert(title.to_owned(), message(title, summary, &format!("{prefix}.{name}"), data));
    };
    inbound(
        InboundEvent::MESSAGE,
        "inboundMessage",
        "A citizen's message: opens a contact or joins one.",
        reference::<CloudEvent<InboundMessage>>(&mut generator),
    );
    inbound(
        InboundEvent::SIGNAL,
        "inboundSignal",
        "The citizen left, before or after being served.",
        reference::<CloudEvent<InboundSignal>>(&mut generator),
    );
    inbound(
        InboundEvent::DELIVERY,
        "inboundDelivery",
        "What became of an outbound message.",
        reference::<CloudEvent<DeliveryReport>>(&mut generator),
    );
    let inbound_names: Vec<String> = messages.keys().cloned().collect();
    let envelope = reference::<CloudEvent<Event>>(&mut generator);
    let mut event_names = Vec::new();
    for (name, summary) in event_kinds() {
        let title = camel_case(&name);
        let data = json!({ "allOf": [envelope, { "properties": { "data": { "properties": { "event": { "const": name } } } } }] });
        messages.insert(title.clone(), message(&title, &summary, &format!("{prefix}.{name}.v1"), data));
        event_names.push(title);
    }
    let schemas = generator.take_definitions(true);
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Sportello",
            "version": "1.0.0",
            "description": format!(
                "What Sportello reads from and writes to RabbitMQ (AMQP 0-9-1). Every body is a CloudEvent 1.0 in structured JSON, \
                 `{CONTENT_TYPE}`, of at most {BODY_BYTES_MAX} bytes. Types of version 1 only grow: ignore the fields you do not know."
            ),
            "license": { "name": "EUPL-1.2", "identifier": "EUPL-1.2" },
        },
        "defaultContentType": CONTENT_TYPE,
        "channels": {
            "inbound": channel(
                "sportello.inbound",
                "{pool}.{administration}.{channel}",
                "Contacts in. The routing key fixes pool, administration and channel and wins over what the body says. Publish \
                 persistent, mandatory and with confirms; `message_id` is the CloudEvent's `id`.",
                &[("pool", "The pool that serves the account."), ("administration", "The account's administration."),
                  ("channel", "The account's channel: email, sms, webchat, phone…")],
                &inbound_names,
            ),
            "events": channel(
                "sportello.events",
                "{pool}.{administration}.{event}",
                "What happened, one CloudEvent each. Bind a queue of your own, bounded by a policy. At least once and in the order of \
                 `data.seq`: drop what is not above the last you saw.",
                &[("pool", "The pool."), ("administration", "Whose contact it is; `_` for the pool's own events."),
                  ("event", "The event's name, two words: contact.queued.")],
                &event_names,
            ),
        },
        "operations": {
            "receiveInbound": operation("receive", "inbound", "Takes contacts in."),
            "sendEvents": operation("send", "events", "Tells what happened."),
        },
        "components": { "messages": messages, "schemas": schemas },
    })
}

fn reference<T: JsonSchema>(generator: &mut SchemaGenerator) -> Value {
    generator.subschema_for::<T>().to_value()
}

/// Every kind of event with its description, from the generated schema, so that none can be forgotten.
fn event_kinds() -> Vec<(String, String)> {
    let schema = schemars::schema_for!(super::event::EventBody).to_value();
    let kinds = schema.get("oneOf").and_then(Value::as_array).cloned().unwrap_or_default();
    kinds
        .iter()
        .filter_map(|kind| {
            let name = kind.pointer("/properties/event/const")?.as_str()?;
            let summary = kind.get("description").and_then(Value::as_str).unwrap_or_default();
            Some((name.to_owned(), summary.to_owned()))
        })
        .collect()
}

fn message(name: &str, summary: &str, kind: &str, envelope: Value) -> Value {
    json!({
        "name": name,
        "summary": summary,
        "contentType": CONTENT_TYPE,
        "payload": { "allOf": [envelope, { "properties": { "specversion": { "const": "1.0" }, "type": { "const": kind } } }] },
        "bindings": { "amqp": { "messageType": kind, "bindingVersion": "0.3.0" } },
    })
}

fn channel(exchange: &str, address: &str, description: &str, parameters: &[(&str, &str)], messages: &[String]) -> Value {
    let parameters: Map<String, Value> =
        parameters.iter().map(|(name, text)| ((*name).to_owned(), json!({ "description": text }))).collect();
    let messages: Map<String, Value> =
        messages.iter().map(|name| (name.clone(), json!({ "$ref": format!("#/components/messages/{name}") }))).collect();
    json!({
        "address": address,
        "description": description,
        "parameters": parameters,
        "messages": messages,
        "bindings": { "amqp": {
            "is": "routingKey",
            "exchange": { "name": exchange, "type": "topic", "durable": true, "autoDelete": false, "vhost": "/" },
            "bindingVersion": "0.3.0",
        } },
    })
}

fn operation(action: &str, channel: &str, summary: &str) -> Value {
    let mut operation = json!({
        "action": action,
        "summary": summary,
        "channel": { "$ref": format!("#/channels/{channel}") },
        "bindings": { "amqp": { "deliveryMode": 2, "bindingVersion": "0.3.0" } },
    });
    if action == "receive" {
        // Only senders are asked for it: events go out whether or not anybody has bound a queue.
        operation["bindings"]["amqp"]["ack"] = json!(true);
    }
    operation
}

/// `contact.wrap_up` → `contactWrapUp`.
fn camel_case(name: &str) -> String {
    let mut words = name.split(['.', '_']);
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |mut text, word| {
        let mut letters = word.chars();
        text.extend(letters.next().map(|letter| letter.to_ascii_uppercase()));
        text.push_str(letters.as_str());
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_event_is_in_the_document() {
        let document = asyncapi_document("it.example.sportello");
        assert_eq!(event_kinds().len(), 36);
        for (name, _) in event_kinds() {
            let message = &document["components"]["messages"][camel_case(&name)];
            assert_eq!(message["bindings"]["amqp"]["messageType"], format!("it.example.sportello.{name}.v1"), "{name}");
        }
    }
}
