//! The channel API on fakes: tokens, acceptance, idempotence, status, requests of every shape.

use std::collections::HashMap;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{Request, header};
use tokio::sync::watch;
use tower::ServiceExt;

use super::{ChannelApiDeps, ChannelApiOptions, openapi_document, router};
use crate::model::contact::{Contact, Mode, NotAdmitted};
use crate::model::id::{AccountId, IdMaker, InputId};
use crate::model::inbound::{CloudEvent, InboundMessage, InboundSignal, Signal};
use crate::port::broker::{Destination, PublishError};
use crate::port::store::InputStatus;
use crate::port::testing::FakeBroker;

struct Bench {
    app: axum::Router,
    broker: Arc<FakeBroker>,
    fixture: fixture::Fixture,
    _plan: watch::Sender<Arc<crate::plan::Plan>>,
}

impl Bench {
    fn new() -> Self {
        Self::with(ChannelApiOptions { requests_per_second: 1_000, burst: 1_000 })
    }

    fn with(options: ChannelApiOptions) -> Self {
        let fixture = fixture::Fixture::new();
        let broker = Arc::new(FakeBroker::default());
        let (plan, receiver) = watch::channel(Arc::new(fixture.plan()));
        let deps = ChannelApiDeps {
            store: fixture.store(),
            publisher: broker.clone(),
            plan: receiver,
            ids: IdMaker::new([7; 32]),
            type_prefix: "it.example.sportello".into(),
            options,
        };
        Self { app: router(deps), broker, fixture, _plan: plan }
    }

    async fn call(&self, method: &str, path: &str, token: &str, body: &str) -> (u16, HashMap<String, String>, serde_json::Value) {
        let request = Request::builder().method(method).uri(format!("/channel/v1{path}"));
        let request = request.header(header::AUTHORIZATION, format!("Bearer {token}")).header(header::CONTENT_TYPE, "application/json");
        let response = self.app.clone().oneshot(request.body(Body::from(body.to_owned())).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let headers = parts.headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
        let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
        (parts.status.as_u16(), headers, serde_json::from_slice(&body).unwrap_or_default())
    }

    fn published<T: serde::de::DeserializeOwned>(&self) -> Vec<CloudEvent<T>> {
        self.broker.batches.lock().unwrap().iter().flatten().filter_map(|message| serde_json::from_slice(&message.body).ok()).collect()
    }
}

const OPEN: &str = r#"{"external_id":"call-1","from":{"address":"+390401234","name":"Ugo"},"text":"TARI","attributes":{"menu":"2"}}"#;

#[tokio::test]
async fn a_contact_is_accepted_once_confirmed() {
    let bench = Bench::new();
    let token = bench.fixture.token("centralino");
    let (status, _, body) = bench.call("POST", "/contacts", &token, OPEN).await;
    assert_eq!(status, 202, "{body}");
    assert_eq!(body["status"], format!("/channel/v1/inputs/{}", body["input"].as_str().unwrap()));
    let (_, _, again) = bench.call("POST", "/contacts", &token, OPEN).await;
    assert_eq!(again, body, "the same input for the same external_id");
    let events = bench.published::<InboundMessage>();
    assert!(events[0].traceparent.is_some(), "a trace begins here");
    assert_eq!(bench.broker.batches.lock().unwrap()[0][0].traceparent, events[0].traceparent, "and the header has the same");
    assert_eq!(events[0].kind, "it.example.sportello.inbound.message.v1");
    assert_eq!((events[0].source.as_str(), events[0].id.as_str()), ("/account/centralino", body["input"].as_str().unwrap()));
    assert_eq!((events[0].data.provider_id.as_str(), events[0].data.text.as_str()), ("call-1", "TARI"));
    let sent = bench.broker.taken().concat();
    assert!(matches!(&sent[0].destination, Destination::Inbound { administration, channel, .. }
        if administration.as_str() == "comune" && channel.as_str() == "phone"));
}

#[tokio::test]
async fn not_accepted_when_the_broker_is_away() {
    let bench = Bench::new();
    let token = bench.fixture.token("centralino");
    *bench.broker.refuses.lock().unwrap() = |_| Some(PublishError::Unavailable("away".into()));
    let (status, headers, body) = bench.call("POST", "/contacts", &token, OPEN).await;
    assert_eq!((status, &body["code"]), (503, &"broker_unavailable".into()));
    assert!(headers.contains_key("retry-after"));
}

#[tokio::test]
async fn additions_and_signals_follow_the_contact() {
    let bench = Bench::new();
    let (mine, other) = (bench.fixture.token("centralino"), bench.fixture.token("cupline"));
    let (_, _, opened) = bench.call("POST", "/contacts", &mine, OPEN).await;
    let input = opened["input"].as_str().unwrap();
    let message = r#"{"external_id":"call-1-note","text":"richiama"}"#;
    assert_eq!(bench.call("POST", &format!("/contacts/{input}/messages"), &mine, message).await.0, 202);
    let first = bench.call("POST", &format!("/contacts/{input}/abandon"), &mine, "").await;
    let second = bench.call("POST", &format!("/contacts/{input}/abandon"), &mine, "").await;
    assert_eq!((first.0, &first.2), (202, &second.2), "one signal, however often it is sent");
    let ended = bench.call("POST", &format!("/contacts/{input}/end"), &mine, "").await;
    assert_ne!(ended.2, first.2);
    for action in ["messages", "abandon", "end"] {
        let (status, _, body) = bench.call("POST", &format!("/contacts/{input}/{action}"), &other, message).await;
        assert_eq!((status, &body["code"]), (404, &"not_found".into()), "another account's: {action}");
        assert_eq!(bench.call("POST", &format!("/contacts/nonsense/{action}"), &mine, message).await.0, 404);
    }
    assert_eq!(bench.call("GET", &format!("/inputs/{input}"), &other, "").await.0, 404);
    let added = bench.published::<InboundMessage>();
    assert_eq!(added[1].data.thread.unwrap().to_string(), input);
    let signals = bench.published::<InboundSignal>();
    assert_eq!((signals.len(), signals[0].data.signal, signals[2].data.signal), (3, Signal::Abandoned, Signal::Ended));
}

/// The id that a program gets is the one under which the router keeps the signal: its status can be asked for.
#[tokio::test]
async fn a_signal_has_the_id_of_its_input() {
    let bench = Bench::new();
    let token = bench.fixture.token("centralino");
    let (_, _, opened) = bench.call("POST", "/contacts", &token, OPEN).await;
    let path = format!("/contacts/{}", opened["input"].as_str().unwrap());
    let mut inputs = Vec::new();
    for (action, body, id) in [
        ("abandon", "", None),
        ("end", "{}", None),
        ("abandon", r#"{"external_id":"leg-2"}"#, Some("leg-2")),
        ("abandon", r#"{"external_id":"leg-3"}"#, Some("leg-3")),
    ] {
        let (status, _, accepted) = bench.call("POST", &format!("{path}/{action}"), &token, body).await;
        assert_eq!(status, 202, "{accepted}");
        let event = bench.published::<InboundSignal>().pop().unwrap();
        assert_eq!(event.data.id.as_deref(), id);
        assert_eq!(accepted["input"], event.data.input(&IdMaker::new([7; 32])).to_string(), "{action} {body}");
        assert_eq!(accepted["input"], event.id);
        assert!(!inputs.contains(&accepted["input"]), "{action} {body}");
        inputs.push(accepted["input"].clone());
    }
    let long = format!(r#"{{"external_id":"{}"}}"#, "y".repeat(256));
    for (body, expected) in [("{", 400), ("null", 202), (r#"{"external_id":""}"#, 422), (r#"{"external_id":"a\nb"}"#, 422), (&long, 422)] {
        assert_eq!(bench.call("POST", &format!("{path}/abandon"), &token, body).await.0, expected, "{body}");
    }
}

/// What was refused is in no contact, and after a restart in nobody's memory.
#[tokio::test]
async fn what_was_refused_says_so() {
    let bench = Bench::new();
    let token = bench.fixture.token("centralino");
    let refused = InputStatus { at: crate::port::clock::now(), outcome: "wrong_state".into(), contact: None };
    bench.fixture.processed(InputId(7), refused);
    let (status, _, body) = bench.call("GET", &format!("/inputs/{}", InputId(7)), &token, "").await;
    assert_eq!((status, &body["state"], &body["outcome"]), (200, &"processed".into(), &"wrong_state".into()), "{body}");
    assert_eq!(bench.call("GET", &format!("/inputs/{}", InputId(8)), &token, "").await.0, 404);
}

#[tokio::test]
async fn status_tells_what_became_of_it() {
    let bench = Bench::new();
    let token = bench.fixture.token("centralino");
    let (_, _, opened) = bench.call("POST", "/contacts", &token, OPEN).await;
    let path = format!("/inputs/{}", opened["input"].as_str().unwrap());
    assert_eq!(bench.call("GET", &path, &token, "").await.2["state"], "accepted");
    let input = IdMaker::new([7; 32]).input(&AccountId::new("centralino").unwrap(), b"call-1");
    let contact = bench.fixture.contact();
    let processed = InputStatus { at: contact.opened_at, outcome: "applied".into(), contact: Some(contact) };
    bench.fixture.processed(input, processed);
    bench.fixture.close_queue("urp", "Torniamo alle 14");
    let (status, _, body) = bench.call("GET", &path, &token, "").await;
    assert_eq!((status, &body["state"], &body["outcome"]), (200, &"processed".into(), &"applied".into()), "{body}");
    assert_eq!((&body["contact"]["queue_closed"], &body["contact"]["notice"]), (&true.into(), &"Torniamo alle 14".into()));
    assert_eq!((&body["contact"]["mode"], &body["contact"]["admitted"]), (&"live".into(), &true.into()), "{body}");
    assert!(body["contact"].get("not_admitted").is_none(), "{body}");
    assert_eq!(body["messages"].as_array().unwrap().len(), 1, "what the office wrote, not what the citizen did: {body}");
    assert!(body.to_string().find("op_").is_none(), "never who answers");
}

#[tokio::test]
async fn a_call_that_does_not_ring_says_so() {
    let bench = Bench::new();
    let token = bench.fixture.token("centralino");
    let contact = Contact { mode: Mode::Deferrable, not_admitted: Some(NotAdmitted::QueueFull), ..bench.fixture.contact() };
    bench.fixture.processed(InputId(7), InputStatus { at: contact.opened_at, outcome: "applied".into(), contact: Some(contact) });
    let (_, _, body) = bench.call("GET", &format!("/inputs/{}", InputId(7)), &token, "").await;
    let contact = &body["contact"];
    assert_eq!((&contact["mode"], &contact["admitted"]), (&"deferrable".into(), &false.into()), "{body}");
    assert_eq!(contact["not_admitted"], "queue_full", "{body}");
    let schema = &openapi_document()["components"]["schemas"]["ContactStatus"];
    for field in ["mode", "admitted"] {
        assert!(schema["required"].as_array().unwrap().contains(&field.into()), "{schema}");
    }
    assert!(schema["properties"]["not_admitted"].is_object(), "{schema}");
}

#[tokio::test]
async fn tokens_of_the_desk_or_of_nobody_open_nothing() {
    let bench = Bench::new();
    for token in ["", "spt_0000000000000000000000000000", &bench.fixture.operator_token(), &bench.fixture.token("gone")] {
        let (status, headers, body) = bench.call("POST", "/contacts", token, OPEN).await;
        assert_eq!((status, &body["code"]), (401, &"unauthorised".into()));
        assert_eq!(headers["www-authenticate"], "Bearer");
        assert_eq!((headers["cache-control"].as_str(), headers["x-content-type-options"].as_str()), ("no-store", "nosniff"));
    }
    assert!(bench.broker.taken().is_empty());
}

#[tokio::test]
async fn bodies_of_any_shape() {
    let bench = Bench::new();
    let token = bench.fixture.token("centralino");
    let long = |field: &str, length: usize| format!(r#"{{"external_id":"x","{field}":"{}"}}"#, "y".repeat(length));
    let named = |length: usize| format!(r#"{{"external_id":"x","from":{{"address":"a","name":"{}"}}}}"#, "y".repeat(length));
    let many: HashMap<String, String> = (0..33).map(|n| (format!("a{n}"), "x".to_owned())).collect();
    for (body, expected) in [
        (String::new(), 400),
        ("{".into(), 400),
        ("[".repeat(50_000), 422),
        ("null".into(), 422),
        ("{}".into(), 422),
        (r#"{"external_id":""}"#.into(), 422),
        (r#"{"external_id":"a\nb"}"#.into(), 422),
        (r#"{"external_id":"x","language":"italian"}"#.into(), 422),
        (r#"{"external_id":"x","mode":"sometimes"}"#.into(), 422),
        (r#"{"external_id":"x","from":{"address":"a\r\nBcc: b"}}"#.into(), 422),
        (long("text", 33_000), 422),
        (long("text", 70_000), 413),
        (long("subject", 999), 422),
        (named(255), 202),
        (named(256), 422),
        (serde_json::json!({"external_id": "x", "attributes": many}).to_string(), 422),
        (format!(r#"{{"external_id":"x","text":"{}"}}"#, "\\u0001".repeat(10_000)), 202),
        (r#"{"external_id":"x","unknown":1}"#.into(), 202),
    ] {
        let (status, headers, answer) = bench.call("POST", "/contacts", &token, &body).await;
        assert_eq!(status, expected, "{} → {answer}", &body[..body.len().min(60)]);
        if status >= 400 {
            assert_eq!(headers["content-type"], "application/problem+json");
        }
    }
}

#[tokio::test]
async fn a_token_has_its_measure_and_leaves_the_others_theirs() {
    let bench = Bench::with(ChannelApiOptions { requests_per_second: 1, burst: 2 });
    let (wild, other) = (bench.fixture.token("centralino"), bench.fixture.token("cupline"));
    let mut refused = None;
    for _ in 0..50 {
        let answer = bench.call("POST", "/contacts", &wild, OPEN).await;
        if answer.0 != 202 {
            refused = Some(answer);
            break;
        }
    }
    let (status, headers, body) = refused.expect("two at once and one a second are far less than fifty");
    assert_eq!((status, &body["code"], headers["content-type"].as_str()), (429, &"too_many".into(), "application/problem+json"));
    assert!((1..=2).contains(&headers["retry-after"].parse::<u64>().unwrap()), "{headers:?}");
    assert_eq!(bench.call("POST", "/contacts", &other, OPEN).await.0, 202);
}

#[test]
fn the_document_is_whole() {
    let document = openapi_document();
    assert_eq!(document["paths"].as_object().unwrap().len(), 5);
    for reference in document.to_string().split("\"$ref\":\"").skip(1) {
        let name = reference.split('"').next().unwrap().trim_start_matches("#/components/schemas/");
        assert!(document["components"]["schemas"].get(name).is_some(), "{name}");
    }
}

mod fixture {
    use std::sync::Arc;

    use crate::model::contact::{Contact, ContactState, Direction};
    use crate::model::id::{AccountId, InputId, OperatorId, QueueId};
    use crate::model::time::Timestamp;
    use crate::plan::Plan;
    use crate::port::store::{ApiToken, InputStatus, QueueState, Store};
    use crate::port::testing::{FakeStore, contact, message, plan};
    use sha2::{Digest, Sha256};

    pub struct Fixture(Arc<FakeStore>);

    impl Fixture {
        pub fn new() -> Self {
            Self(Arc::new(FakeStore::default()))
        }
        pub fn store(&self) -> Arc<dyn Store> {
            self.0.clone()
        }
        pub fn plan(&self) -> Plan {
            plan()
        }
        fn add(&self, account: Option<AccountId>, operator: Option<OperatorId>) -> String {
            let token = format!("spt_{:064x}", self.0.rows().tokens.len());
            let token_hash: String = Sha256::digest(&token).iter().map(|byte| format!("{byte:02x}")).collect();
            let row = ApiToken {
                token_hash: token_hash.clone(),
                name: token.clone(),
                account,
                operator,
                created_at: Timestamp(0),
                expires_at: None,
            };
            self.0.rows().tokens.insert(token_hash, row);
            token
        }
        pub fn token(&self, account: &str) -> String {
            self.add(Some(AccountId::new(account).unwrap()), None)
        }
        pub fn operator_token(&self) -> String {
            self.add(None, Some(OperatorId(1)))
        }
        /// A contact of `centralino` with a message of the citizen and one of the office.
        pub fn contact(&self) -> Contact {
            let contact = contact(10, "comune", "urp", ContactState::Queued);
            let mut answer = message(2, &contact);
            answer.direction = Direction::Outbound;
            self.0.rows().messages.extend([message(1, &contact), answer]);
            contact
        }
        pub fn processed(&self, input: InputId, status: InputStatus) {
            self.0.rows().inputs.insert(input, status);
        }
        pub fn close_queue(&self, queue: &str, notice: &str) {
            let state = QueueState { queue: QueueId::new(queue).unwrap(), closed: true, notice: Some(notice.into()) };
            self.0.rows().queues.push(state);
        }
    }
}
