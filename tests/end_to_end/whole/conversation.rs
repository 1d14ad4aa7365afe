//! A citizen and operators at real browsers: a chat from the demo page to its end, with the line cut and the daemon killed in the
//! middle, and a text message answered by the composer that counts its parts.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::daemon::{House, Pair, eventually};
use crate::gateway::Orders;
use crate::people::{Person, text};
use crate::script::Script;
use crate::sms_peer::{peer, post};

pub const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const MARIO: &str = "+393331234567";
/// What is said in the chat, by whom, in the order in which it was written.
const SAID: [(&str, &str); 7] = [
    ("inbound", "Buongiorno, quanto pago di TARI?"),
    ("outbound", "Buongiorno, circa 120 euro."),
    ("inbound", "Scritto senza rete"),
    ("outbound", "Scritto mentre lei era senza rete"),
    ("inbound", "Scritto a servizio spento"),
    ("outbound", "Risposta a servizio spento"),
    ("inbound", "Grazie mille"),
];

async fn story(pair: Pair) {
    let (gateway, mut orders) = crate::gateway::start().await;
    let settings = format!("[sms.account.urp-sms]\nprovider = \"generic\"\npassword = \"{SECRET}\"\nurl = \"{gateway}\"\n");
    let mut house = House::with(pair, &settings).await;
    let_it_ring(&house).await;
    let mut script = Script::start(&house, "conversation.e2e.mjs");
    script.reaches("both wrote").await;
    house.kill();
    script.go().await;
    script.reaches("both wrote to nobody").await;
    house.up().await;
    script.go().await;
    script.reaches("the chat is over").await;
    nothing_is_lost_or_doubled(&house).await;
    a_text_message_comes(&house).await;
    script.go().await;
    script.reaches("the text message is answered").await;
    it_reached_the_provider(&house, &mut orders).await;
    script.go().await;
    script.ends().await;
    as_the_desk_has_the_text_message(&house).await;
    assert!(orders.try_recv().is_err(), "not sent twice");
    house.finish().await;
}

/// Offers for as long as a slow browser looks at them.
async fn let_it_ring(house: &House) {
    let plan = house.done(&["plan", "show"]).await.replace("offer_timeout = \"20s\"", "offer_timeout = \"3m\"");
    let file = house.folder.path().join("plan.toml");
    std::fs::write(&file, plan).unwrap();
    house.done(&["plan", "apply", file.to_str().unwrap()]).await;
}

/// The closed contact of a channel: there is one.
async fn closed(person: &Person, channel: &str) -> Value {
    eventually(&format!("the contact by {channel} is closed"), async || {
        let contacts = person.get("/contacts?limit=100&state=closed").await;
        let found: Vec<Value> = contacts["items"].as_array()?.iter().filter(|contact| contact["channel"] == channel).cloned().collect();
        assert!(found.len() <= 1, "{found:?}");
        found.into_iter().next()
    })
    .await
}

async fn nothing_is_lost_or_doubled(house: &House) {
    let (bruno, carla) = (Person::sign_in(house, "bruno").await, Person::sign_in(house, "carla").await);
    let contact = closed(&carla, "webchat").await;
    assert_eq!(contact["citizen"], "Rosa Bruno");
    assert_eq!(contact["outcome"]["topic"], "tari", "{contact}");
    let entries = bruno.entries(&contact).await;
    let said: Vec<(String, String)> = entries.iter().map(|entry| (text(&entry["direction"]), text(&entry["text"]))).collect();
    assert_eq!(said.len(), SAID.len(), "{said:?}");
    // who wrote first while nobody heard is nobody's to say
    let said: BTreeSet<(&str, &str)> = said.iter().map(|(direction, text)| (direction.as_str(), text.as_str())).collect();
    assert_eq!(said, SAID.into_iter().collect());
    assert!(entries.iter().all(|entry| entry["contact"] == contact["id"]), "one contact: {entries:?}");
}

pub async fn by_gateway(house: &House, id: &str, body: Value) {
    let body = body.to_string();
    let headers = peer(&["standard", SECRET, id], &body).await;
    assert_eq!(post(&format!("{}/sms/v1/urp-sms", house.at.public), &headers, "application/json", body).await, 204);
}

async fn a_text_message_comes(house: &House) {
    let words = "Buongiorno, quando ritiro la carta d'identità?";
    by_gateway(house, "msg_1", json!({ "type": "message", "id": "g1", "from": MARIO, "to": "+390471000001", "text": words })).await;
}

/// The answer is at the gateway, once, as the composer counted it; the gateway says that it arrived.
async fn it_reached_the_provider(house: &House, orders: &mut Orders) {
    let (headers, order) = crate::gateway::next(orders).await;
    let order = peer(&["standard-check", SECRET, &headers.to_string()], &order).await;
    assert_eq!(order["to"], MARIO, "{order}");
    assert!(text(&order["text"]).starts_with("È pronta: la può ritirare"), "{order}");
    assert_eq!(order["parts"], 2, "{order}");
    let reference = text(&order["reference"]);
    by_gateway(house, "msg_2", json!({ "type": "status", "id": "gw-1", "reference": reference, "status": "delivered" })).await;
}

async fn as_the_desk_has_the_text_message(house: &House) {
    let (anna, carla) = (Person::sign_in(house, "anna").await, Person::sign_in(house, "carla").await);
    let contact = closed(&carla, "sms").await;
    let entries = anna.entries(&contact).await;
    assert_eq!((entries.len(), &entries[1]["delivery"]), (2, &json!("delivered")), "{entries:?}");
}

on_both_pairs!(story);
