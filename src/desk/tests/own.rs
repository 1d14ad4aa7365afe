//! What only who has a contact is told of it, and what they say of its messages.

use serde_json::{Value, json};

use super::live::{next, open, serve};
use crate::desk::testing::{TestDesk, administration, message};
use crate::model::channel::Channel;
use crate::model::contact::Direction;
use crate::model::conversation::{Message, Party};
use crate::model::delivery::{DeliveryState, Settled};
use crate::model::id::{AccountId, ChatSessionId, ContactId, OperatorId};
use crate::model::price::PartPrice;
use crate::model::text_message::{ShortAlphabet, TextMessageTerms};
use crate::model::time::Timestamp;
use crate::port::chat::ChatSession;

const ANNA: u128 = 1;
const CARLA: u128 = 3;
const DORA: u128 = 4;
const HERS: &str = "/contacts/ct_0000000000000000000000000000000b";
const ITS_CONVERSATION: &str = "/conversations/cv_0000000000000000000000000000000b";

/// Messages of anna's contact, beside the one that is there.
fn add(desk: &TestDesk, change: impl Fn(Message) -> Vec<Message>) {
    let mut rows = desk.store.rows();
    let contact = rows.contacts[&ContactId(11)].clone();
    rows.messages.extend(change(message(100, &contact)));
}

/// What came to anna's contact after it was queued.
fn news(desk: &TestDesk) {
    let at = |at: &Message, seconds| at.at.plus(std::time::Duration::from_secs(seconds));
    add(desk, |it| vec![Message { at: at(&it, 60), ..it.clone() }, Message { at: at(&it, 120), ..it }]);
}

async fn unread(desk: &TestDesk, person: u128) -> (Value, Value) {
    let (_, state) = desk.json("GET", "/state", Some(&desk.cookie(person)), None).await;
    let (_, contact) = desk.json("GET", HERS, Some(&desk.cookie(person)), None).await;
    (state["contacts"][0]["unread"].clone(), contact["unread"].clone())
}

async fn conversation(desk: &TestDesk, person: u128) -> Value {
    desk.json("GET", ITS_CONVERSATION, Some(&desk.cookie(person)), None).await.1
}

#[tokio::test]
async fn who_writes_the_answer_is_told_the_alphabet_and_what_a_part_costs() {
    let price = PartPrice { price_per_part: "0.045".parse().expect("an amount"), currency: "EUR".to_owned() };
    let account = AccountId::new("centralino").expect("a name");
    let latin1 = TextMessageTerms { alphabet: ShortAlphabet::Latin1, price: None };
    let desk = TestDesk::with(|options| drop(options.text_message_terms.insert(account.clone(), latin1))).await;
    let (_, contact) = desk.json("GET", HERS, Some(&desk.cookie(ANNA)), None).await;
    assert_eq!(contact["sms"], serde_json::json!({ "alphabet": "latin1" }));
    let terms = TextMessageTerms { alphabet: ShortAlphabet::Gsm7, price: Some(price) };
    let desk = TestDesk::with(|options| drop(options.text_message_terms.insert(account, terms))).await;
    let expected = serde_json::json!({ "price_per_part": "0.045", "currency": "EUR" });
    let (_, state) = desk.json("GET", "/state", Some(&desk.cookie(ANNA)), None).await;
    assert_eq!(state["contacts"][0]["sms"], expected);
    let (_, contact) = desk.json("GET", HERS, Some(&desk.cookie(ANNA)), None).await;
    assert_eq!((&contact["sms"], &contact["account"]), (&expected, &Value::Null));
    let (_, contact) = desk.json("GET", HERS, Some(&desk.cookie(DORA)), None).await;
    assert!(contact.get("sms").is_none(), "a supervisor writes no answer");
    let (_, contact) = TestDesk::new().await.json("GET", HERS, Some(&desk.cookie(ANNA)), None).await;
    assert!(contact.get("sms").is_none());
}

#[tokio::test]
async fn what_is_read_at_one_console_is_read_at_all() {
    let desk = TestDesk::new().await;
    let address = serve(&desk).await;
    let (mut console, _) = open(address, &desk.cookie(ANNA), None).await;
    assert_eq!(unread(&desk, ANNA).await, (Value::Null, Value::Null));
    let before = conversation(&desk, ANNA).await["as_of"].clone();
    news(&desk);
    assert_eq!(unread(&desk, ANNA).await, (json!(2), json!(2)));
    assert_eq!(unread(&desk, DORA).await.1, Value::Null, "it is not hers");
    let read = async |until: &Value| {
        let body = json!({ "until": until }).to_string();
        desk.json("PUT", &format!("{HERS}/read"), Some(&desk.cookie(ANNA)), Some(&body)).await.0
    };
    assert_eq!(read(&before).await, 204);
    assert_eq!(unread(&desk, ANNA).await.0, json!(2), "what was on the screen before it came");
    assert_eq!(read(&conversation(&desk, ANNA).await["as_of"]).await, 204);
    for _ in 0..2 {
        let told = next(&mut console).await;
        assert_eq!((&told["type"], &told["contact"]), (&json!("seen"), &json!(HERS.trim_start_matches("/contacts/"))));
    }
    assert_eq!(unread(&desk, ANNA).await, (Value::Null, Value::Null));
    assert_eq!(read(&before).await, 204);
    assert_eq!(unread(&desk, ANNA).await.0, Value::Null, "it does not go back");
    assert_eq!(read(&json!("2999-01-01T00:00:00Z")).await, 204);
    news(&desk);
    add(&desk, |it| vec![Message { at: it.at.plus(std::time::Duration::from_secs(180)), ..it }]);
    assert_eq!(unread(&desk, ANNA).await.0, json!(1), "nobody has read what was not there");
}

#[tokio::test]
async fn what_the_citizen_has_seen_of_a_chat_is_shown_after_a_reload() {
    let desk = TestDesk::new().await;
    let session = ChatSessionId(7);
    add(&desk, |it| {
        let it = Message { channel: Channel::webchat(), ..it };
        let theirs = Message { from: Some(Party { address: session.to_string(), name: None }), seq: 1, ..it.clone() };
        let ours = |seq| Message { direction: Direction::Outbound, seq, ..it.clone() };
        vec![theirs, ours(2), ours(3)]
    });
    let marks = async || -> Vec<bool> {
        let entries = conversation(&desk, ANNA).await["entries"].clone();
        entries.as_array().unwrap().iter().map(|entry| entry["read"] == true).collect()
    };
    assert_eq!(marks().await, [false; 4], "the chat is forgotten");
    desk.chats.0.lock().unwrap().push(chat(session, 2));
    assert_eq!(marks().await, [false, false, true, false]);
}

fn chat(id: ChatSessionId, citizen_read: i64) -> ChatSession {
    ChatSession {
        id,
        administration: administration("comune"),
        account: AccountId::new("chat").unwrap(),
        name: "Rita".into(),
        email: None,
        topic: None,
        language: None,
        created_at: Timestamp(0),
        expires_at: Timestamp::MAX,
        present_until: Timestamp(0),
        gone: false,
        ended: false,
        operator_read: 0,
        citizen_read,
        transcript_to: None,
    }
}

#[tokio::test]
async fn an_unknown_outcome_can_be_settled_by_who_answers_for_the_contact() {
    let desk = TestDesk::new().await;
    let settled = Some(Settled { operator: OperatorId(CARLA), at: Timestamp::from_secs(60) });
    add(&desk, |it| {
        let ours = |delivery, settled| Message { direction: Direction::Outbound, delivery: Some(delivery), settled, ..it.clone() };
        vec![ours(DeliveryState::Unknown, None), ours(DeliveryState::Failed, settled), ours(DeliveryState::Sent, None)]
    });
    let shown = async |person| {
        let entries = conversation(&desk, person).await["entries"].clone();
        let of = |entry: &Value| (entry["can_settle"] == true, entry["settled"]["by_name"].clone());
        entries.as_array().unwrap().iter().map(of).collect::<Vec<_>>()
    };
    let nobody = Value::Null;
    let by_carla = json!("carla");
    for person in [ANNA, DORA] {
        let expected = [(false, nobody.clone()), (true, nobody.clone()), (false, by_carla.clone()), (false, nobody.clone())];
        assert_eq!(shown(person).await, expected, "{person}");
    }
    desk.store.rows().contacts.get_mut(&ContactId(11)).unwrap().state =
        crate::model::contact::ContactState::Active { operator: OperatorId(5), untouched_until: None };
    assert!(shown(DORA).await.iter().any(|(can, _)| *can), "a supervisor may");
}
