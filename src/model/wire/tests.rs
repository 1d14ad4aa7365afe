//! Reading never panics, whatever the bytes; what is written reads back the same; each error says what is wrong.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::model::channel::IdentityLevel;
use crate::model::conversation::{Attachment, BlobRef, Party};
use crate::model::delivery::{AttemptResult, DeliveryReport};
use crate::model::event::{EventBody, QueuedReason};
use crate::model::id::InputId;
use crate::model::inbound::{InboundMessage, InboundSignal, Signal, TEXT_BYTES_MAX};

const PREFIX: &str = "it.example.sportello";

fn valid() -> Value {
    json!({
        "specversion": "1.0", "id": "1", "source": "/account/urp", "type": "it.example.sportello.inbound.message.v1",
        "time": "2026-01-31T09:00:00Z",
        "data": { "account": "urp", "provider_id": "abc@example.org", "received_at": "2026-01-31T09:00:00Z", "text": "Buongiorno" }
    })
}

fn read(value: &Value) -> Result<CloudEvent<InboundEvent>, WireError> {
    decode_inbound(PREFIX, &serde_json::to_vec(value).expect("a value writes"))
}

/// Puts `new` at `pointer` of a valid message and tells how reading ends.
fn check(pointer: &str, new: Value, expected: impl Fn(&WireError) -> bool) {
    let mut value = valid();
    let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
    value.pointer_mut(parent).expect("there").as_object_mut().expect("an object").insert(name.into(), new);
    let error = read(&value).expect_err(pointer);
    assert!(expected(&error), "{pointer}: {error:?}");
}

#[test]
fn errors_say_what_is_wrong() {
    assert!(read(&valid()).is_ok());
    assert!(matches!(decode_inbound(PREFIX, b"{"), Err(WireError::NotJson(_))));
    assert!(matches!(decode_inbound(PREFIX, b"\xff"), Err(WireError::NotJson(_))));
    assert!(matches!(decode_inbound(PREFIX, b"[]"), Err(WireError::NotACloudEvent(_))));
    assert!(matches!(decode_inbound(PREFIX, &[b'['; 33]), Err(WireError::TooDeep)));
    assert!(matches!(decode_inbound(PREFIX, &vec![b' '; BODY_BYTES_MAX + 1]), Err(WireError::TooLarge { .. })));
    assert!(matches!(decode_inbound("it.example", &serde_json::to_vec(&valid()).expect("writes")), Err(WireError::UnknownType(_))));
    check("/specversion", json!("0.3"), |error| matches!(error, WireError::NotACloudEvent(_)));
    check("/id", json!(""), |error| matches!(error, WireError::NotACloudEvent(_)));
    check("/time", json!("yesterday"), |error| matches!(error, WireError::NotACloudEvent(_)));
    check("/type", json!("it.example.sportello.inbound.message.v2"), |error| matches!(error, WireError::UnknownType(_)));
    check("/data/account", Value::Null, |error| *error == WireError::AccountMissing);
    let at = |path: &'static str| move |error: &WireError| matches!(error, WireError::DataInvalid { path: found, .. } if found == path);
    check("/data/account", json!("No Such"), at("data.account"));
    check("/data", json!(7), at("data"));
    check("/data/provider_id", json!(""), at("data.provider_id"));
    check("/data/text", json!("à".repeat(TEXT_BYTES_MAX / 2 + 1)), at("data.text"));
    check("/data/subject", json!("s".repeat(999)), at("data.subject"));
    check("/data/references", json!(vec!["r"; 101]), at("data.references"));
    check("/data/to", json!([{ "address": "a@b" }, { "name": "x" }]), at("data.to[1]"));
    check("/data/from", json!({ "address": "a@b", "name": "n".repeat(256) }), at("data.from.name"));
    let attributes: serde_json::Map<String, Value> = (0..33).map(|number| (format!("a{number}"), json!("v"))).collect();
    check("/data/attributes", Value::Object(attributes), at("data.attributes"));
    let attachment = json!([{ "name": "a", "media_type": "text/plain", "blob": { "key": "k", "sha256": "AB", "size": 1 } }]);
    check("/data/attachments", attachment, at("data.attachments[0].blob.sha256"));
}

#[test]
fn brackets_in_strings_do_not_nest() {
    let mut value = valid();
    value["data"]["text"] = json!("[{\"\\".repeat(100));
    assert!(read(&value).is_ok());
}

#[test]
fn unknown_fields_are_ignored_and_nul_is_replaced() {
    let mut value = valid();
    value["comexampleextension"] = json!(1);
    value["data"]["later"] = json!({ "than": "v1" });
    value["data"]["text"] = json!("a\0b");
    value["data"]["attributes"] = json!({ "k\0": "v\0" });
    value["traceparent"] = json!("not a traceparent");
    let event = read(&value).expect("still valid");
    assert_eq!(event.traceparent, None);
    let InboundEvent::Message(message) = event.data else { panic!("a message") };
    assert_eq!(message.text, "a\u{fffd}b");
    assert_eq!(message.attributes.get("k\u{fffd}").map(String::as_str), Some("v\u{fffd}"));
}

#[test]
fn a_public_event_is_named_after_its_pool_and_number() {
    let event = Event {
        seq: 42,
        at: Timestamp::from_secs(1_700_000_000),
        about: None,
        body: EventBody::ContactQueued { due: Timestamp::from_secs(1_700_003_600), reason: QueuedReason::New },
    };
    let written = encode_public(&public_event(PREFIX, &PoolId::new("main").expect("name"), &event, None)).expect("small");
    let read: Value = serde_json::from_slice(&written).expect("JSON");
    assert_eq!(read["id"], "main/42");
    assert_eq!(read["source"], "/pool/main");
    assert_eq!(read["type"], "it.example.sportello.contact.queued.v1");
    assert_eq!(read["data"]["event"], "contact.queued");
}

#[test]
fn an_order_reads_back() {
    let order = OutboundOrder {
        message: MessageId(7),
        administration: AdministrationId::new("comune").expect("name"),
        account: AccountId::new("urp").expect("name"),
        attempt: 2,
    };
    let pool = PoolId::new("main").expect("name");
    let bytes = encode_order(PREFIX, &pool, Timestamp::from_secs(1), &order, None).expect("small");
    assert_eq!(decode_order(PREFIX, &bytes).expect("reads").data, order);
    assert!(matches!(decode_inbound(PREFIX, &bytes), Err(WireError::UnknownType(_))));
}

/// JSON of any shape.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 64, 8, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
            proptest::collection::btree_map(".{0,8}", inner, 0..8).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn any_message() -> impl Strategy<Value = InboundMessage> {
    let text = || "[^\\x00]{0,40}";
    let party = || ("[^\\x00]{1,30}", proptest::option::of(text())).prop_map(|(address, name)| Party { address, name });
    let blob = || ("[a-z/]{1,40}", any::<u32>()).prop_map(|(key, size)| BlobRef { key, sha256: "0a".repeat(32), size: size.into() });
    let attachment =
        (text(), blob()).prop_map(|(name, blob)| Attachment { name, media_type: "application/pdf".into(), content_id: None, blob });
    let people = (proptest::option::of(party()), proptest::collection::vec(party(), 0..3));
    let rest = (
        proptest::collection::vec(attachment, 0..3),
        proptest::collection::vec(text(), 0..4),
        proptest::collection::btree_map("[a-z]{1,8}", text(), 0..4),
        proptest::option::of(blob()),
        0..4_000_000_000_000_000_i64,
    );
    ("[^\\x00]{1,40}", proptest::option::of(text()), text(), people, rest).prop_map(
        |(provider_id, subject, text, (from, to), (attachments, references, attributes, raw, at))| InboundMessage {
            account: AccountId::new("urp").expect("name"),
            provider_id,
            received_at: Timestamp(at),
            mode: None,
            from,
            identity: IdentityLevel::Verified,
            to,
            subject,
            text,
            text_blob: None,
            html: None,
            attachments,
            raw,
            header_id: None,
            answer_to: None,
            language: None,
            references,
            thread: Some(InputId(9)),
            automatic: None,
            attributes,
        },
    )
}

fn any_event() -> impl Strategy<Value = InboundEvent> {
    prop_oneof![
        any_message().prop_map(|message| InboundEvent::Message(Box::new(message))),
        any::<u128>().prop_map(|thread| InboundEvent::Signal(InboundSignal {
            account: AccountId::new("urp").expect("name"),
            thread: InputId(thread),
            signal: Signal::Ended,
            id: (thread % 2 == 0).then(|| thread.to_string()),
        })),
        (any::<u128>(), any::<u32>(), "[a-z0-9.]{0,10}").prop_map(|(message, attempt, code)| InboundEvent::Delivery(DeliveryReport {
            message: MessageId(message),
            attempt,
            result: AttemptResult::Bounced { code },
        })),
    ]
}

proptest! {
    #[test]
    fn any_bytes_get_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(decode_inbound(PREFIX, &bytes).is_err());
    }

    #[test]
    fn any_json_gets_an_answer(value in any_json()) {
        prop_assert!(read(&value).is_err());
    }

    #[test]
    fn any_field_may_be_anything(value in any_json(), name in prop::sample::select(vec![
        "account", "provider_id", "received_at", "mode", "from", "identity", "to", "subject", "text", "text_blob", "html",
        "attachments", "raw", "language", "references", "thread", "automatic", "attributes",
    ])) {
        let mut event = valid();
        event["data"][name] = value.clone();
        let _ = read(&event);
        event["data"] = value;
        prop_assert!(read(&event).is_err());
    }

    #[test]
    fn what_is_written_reads_back(data in any_event(), id in any::<u128>()) {
        let account = AccountId::new("urp").expect("name");
        let trace = Some(format!("00-{:032x}-{:016x}-01", id | 1, 7));
        let event = inbound_event(PREFIX, InputId(id), &account, Timestamp::from_secs(1_700_000_000), trace, data);
        let bytes = encode_inbound(&event).expect("within the limits");
        prop_assert_eq!(decode_inbound(PREFIX, &bytes), Ok(event));
    }
}
