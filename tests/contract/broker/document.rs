//! The committed AsyncAPI document is the one this release writes, and what we write is valid by it.

use serde_json::{Value, json};
use sportello::model::contract::asyncapi_document;
use sportello::model::event::{Event, EventBody, QueuedReason};
use sportello::model::id::{AccountId, InputId, MessageId, PoolId};
use sportello::model::inbound::{InboundEvent, InboundSignal, Signal};
use sportello::model::time::Timestamp;
use sportello::model::wire::{decode_inbound, encode_inbound, encode_public, inbound_event, public_event};

const PREFIX: &str = "it.example.sportello";

#[test]
fn the_committed_document_is_current() {
    let committed: Value = serde_json::from_str(include_str!("../../../docs/asyncapi.json")).expect("JSON");
    assert!(committed == asyncapi_document(PREFIX), "docs/asyncapi.json is old: run `make docs`");
}

#[test]
fn every_reference_in_the_document_leads_somewhere() {
    fn visit(document: &Value, value: &Value, found: &mut usize) {
        if let Some(Value::String(reference)) = value.get("$ref") {
            let pointer = reference.strip_prefix('#').expect("within the document");
            assert!(document.pointer(pointer).is_some(), "{reference}");
            *found += 1;
        }
        match value {
            Value::Object(fields) => fields.values().for_each(|value| visit(document, value, found)),
            Value::Array(values) => values.iter().for_each(|value| visit(document, value, found)),
            _ => {}
        }
    }
    let document = asyncapi_document(PREFIX);
    let mut found = 0;
    visit(&document, &document, &mut found);
    assert!(found > 50, "{found} references");
}

/// The errors of a body by the document's message.
fn errors(message: &str, body: &Value) -> Vec<String> {
    let mut schema = asyncapi_document(PREFIX);
    schema["$ref"] = json!(format!("#/components/messages/{message}/payload"));
    schema["$schema"] = json!("http://json-schema.org/draft-07/schema#");
    let validator = jsonschema::draft7::new(&schema).expect("a schema");
    validator.iter_errors(body).map(|error| error.to_string()).collect()
}

#[test]
fn what_is_written_is_valid() {
    let account = AccountId::new("urp").expect("a name");
    let signal = InboundSignal { account: account.clone(), thread: InputId(1), signal: Signal::Ended, id: None };
    let event = inbound_event(PREFIX, InputId(2), &account, Timestamp::from_secs(1), None, InboundEvent::Signal(signal));
    let body: Value = serde_json::from_slice(&encode_inbound(&event).expect("small")).expect("JSON");
    assert_eq!(errors("inboundSignal", &body), Vec::<String>::new());
    assert!(!errors("inboundMessage", &body).is_empty(), "another type");

    let pool = PoolId::new("main").expect("a name");
    for (message, body) in [
        ("contactQueued", EventBody::ContactQueued { due: Timestamp::from_secs(9), reason: QueuedReason::New }),
        ("contactDeferrable", EventBody::ContactDeferrable { not_admitted: None }),
        ("messageSent", EventBody::MessageSent { message: MessageId(3), operator: None }),
    ] {
        let event = Event { seq: 1, at: Timestamp::from_secs(1), about: None, body };
        let bytes = encode_public(&public_event(PREFIX, &pool, &event, None)).expect("small");
        let body: Value = serde_json::from_slice(&bytes).expect("JSON");
        assert_eq!(errors(message, &body), Vec::<String>::new(), "{message}");
        assert!(!errors("poolLed", &body).is_empty(), "{message} is not another event");
    }
}

#[test]
fn the_example_of_the_page_is_valid_and_reads() {
    let page = include_str!("../../../docs/rabbitmq.md");
    let example = page.split("```json\n").nth(1).and_then(|rest| rest.split("```").next()).expect("an example");
    let body: Value = serde_json::from_str(example).expect("JSON");
    assert_eq!(errors("inboundMessage", &body), Vec::<String>::new());
    decode_inbound(PREFIX, example.as_bytes()).expect("reads");
}
