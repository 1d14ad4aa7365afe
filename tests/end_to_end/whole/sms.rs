//! Text messages: one comes signed by Twilio's own library, is answered, and the answer reaches a small Twilio; `kill -9` in the
//! middle loses nothing and sends nothing twice. Vonage and gateways prove themselves by their libraries too.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::daemon::{House, Pair, eventually};
use crate::people::{Live, Person, text};
use crate::sms_peer::{by_twilio, peer, post, text_message};
use crate::twilio::{ACCOUNT, FAILS, TAKES_AND_FAILS, TOKEN, Twilio};

const MARIO: &str = "+393331234567";

async fn story(pair: Pair) {
    let twilio = Twilio::start().await;
    let mut house = House::with(pair, &twilio.settings("urp-sms")).await;
    let anna = Person::sign_in(&house, "anna").await;
    let live = anna.ready().await;
    let contact = a_message_is_answered_and_arrives(&house, &twilio, &anna, &live).await;
    the_same_number_is_the_same_contact(&house, &anna, &contact).await;
    what_is_read_at_one_console_is_read_at_all(&house, &anna, &live, &contact).await;
    of_unknown_end(&twilio, &anna, &contact).await;
    who_wants_no_more_gets_no_more(&house, &anna, &contact).await;
    twilios_client_finds_the_same(&twilio).await;
    between_spool_and_broker(&mut house).await;
    house.finish().await;
}

async fn a_message_is_answered_and_arrives(house: &House, twilio: &Twilio, anna: &Person, live: &Live) -> Value {
    text_message(house, "SM1", MARIO, "Buongiorno, per la carta di identità serve la prenotazione? 👋").await;
    let contact = own(anna).await;
    live.event("contact.assigned", &text(&contact["id"])).await;
    let entries = anna.entries(&contact).await;
    assert_eq!(entries[0]["text"], "Buongiorno, per la carta di identità serve la prenotazione? 👋");
    assert_eq!(entries[0]["from"]["address"], MARIO);
    let reply = reply(anna, &contact, "Sì: può prenotare allo sportello.").await;
    delivery(anna, &contact, &reply, "sent").await;
    let orders = twilio.taken("può prenotare");
    assert_eq!(orders.len(), 1);
    assert_eq!((orders[0].to.as_str(), orders[0].from.as_deref()), (MARIO, Some("+390471000001")));
    let callback = orders[0].status_callback.clone().expect("an address for its status");
    let status =
        |status: &str| json!({ "MessageSid": orders[0].sid, "SmsSid": orders[0].sid, "MessageStatus": status, "SmsStatus": status });
    assert_eq!(by_twilio(&callback, &status("sending")).await, 204);
    assert_eq!(by_twilio(&callback, &status("delivered")).await, 204);
    delivery(anna, &contact, &reply, "delivered").await;
    assert_eq!(by_twilio(&callback, &status("sent")).await, 204, "late, and it changes nothing");
    contact
}

async fn the_same_number_is_the_same_contact(house: &House, anna: &Person, contact: &Value) {
    text_message(house, "SM1", MARIO, "Buongiorno, per la carta di identità serve la prenotazione? 👋").await;
    for (sid, words) in [("SM2", "Prima parte"), ("SM3", "e seconda parte")] {
        text_message(house, sid, MARIO, words).await;
    }
    let entries = eventually("both have come", async || {
        let entries = anna.entries(contact).await;
        entries.iter().any(|entry| entry["text"] == "e seconda parte").then_some(entries)
    })
    .await;
    let inbound: Vec<String> = entries.iter().filter(|entry| entry["direction"] == "inbound").map(|entry| text(&entry["text"])).collect();
    assert_eq!(inbound[1..], ["Prima parte", "e seconda parte"], "the first one only once");
    assert!(entries.iter().all(|entry| entry["contact"] == contact["id"]));
    let delivered = entries.iter().filter(|entry| entry["delivery"] == "delivered").count();
    assert_eq!(delivered, 1, "the late report on the first reply changed nothing");
}

/// Two messages came after the one that opened the contact. A second console of anna's, by a session of its own, knows of both.
async fn what_is_read_at_one_console_is_read_at_all(house: &House, anna: &Person, live: &Live, contact: &Value) {
    let second = Person::sign_in(house, "anna").await;
    for console in [anna, &second] {
        assert_eq!(own(console).await["unread"], 2);
    }
    let conversation = second.get(&format!("/conversations/{}", text(&contact["conversation"]))).await;
    second.put(&format!("/contacts/{}/read", text(&contact["id"])), json!({ "until": conversation["as_of"] })).await;
    live.frame("the other console is told", |frame| frame["type"] == "seen" && frame["contact"] == contact["id"]).await;
    for console in [anna, &second] {
        assert_eq!(own(console).await["unread"], Value::Null);
    }
}

/// Twilio's answer was lost: it is asked whether it has the message. If it does not know of it, the operator decides.
async fn of_unknown_end(twilio: &Twilio, anna: &Person, contact: &Value) {
    let taken = format!("Presa in carico {TAKES_AND_FAILS}");
    let message = reply(anna, contact, &taken).await;
    delivery(anna, contact, &message, "sent").await;
    assert_eq!(twilio.taken(TAKES_AND_FAILS).len(), 1, "not sent twice");
    let lost = format!("Mai arrivata {FAILS}");
    let message = reply(anna, contact, &lost).await;
    delivery(anna, contact, &message, "unknown").await;
    let at = format!("/contacts/{}/messages/{message}", text(&contact["id"]));
    let (status, refused) = anna.try_post(&format!("{at}/retry"), json!({})).await;
    assert_eq!((status, text(&refused["code"])), (409, "wrong_state".to_owned()), "not before somebody says how it ended");
    for _ in 0..2 {
        anna.post(&format!("{at}/settle"), json!({ "arrived": false })).await;
        delivery(anna, contact, &message, "failed").await;
        let (status, _) = anna.try_post(&format!("{at}/settle"), json!({ "arrived": true })).await;
        assert_eq!(status, 409, "that is settled");
        anna.post(&format!("{at}/retry"), json!({})).await;
        delivery(anna, contact, &message, "unknown").await;
    }
    anna.post(&format!("{at}/settle"), json!({ "arrived": true })).await;
    delivery(anna, contact, &message, "delivered").await;
    let entries = anna.entries(contact).await;
    let entry = entries.iter().find(|entry| entry["id"] == message.as_str()).unwrap();
    assert!(entry["settled"]["by_name"].as_str().is_some_and(|name| name.starts_with("Anna")), "{entry}");
    assert!(twilio.taken(FAILS).is_empty());
}

async fn who_wants_no_more_gets_no_more(house: &House, anna: &Person, contact: &Value) {
    let id = text(&contact["id"]);
    text_message(house, "SM10", MARIO, " Stop! ").await;
    let view = || async { anna.get(&format!("/conversations/{}", text(&contact["conversation"]))).await };
    let since = async || view().await["citizen"]["addresses"][0]["opted_out_at"].as_str().map(str::to_owned);
    eventually("the wish is shown", since).await;
    let answer = anna.try_post(&format!("/contacts/{id}/reply"), json!({ "text": "Ancora una cosa" })).await;
    assert_eq!((answer.0, text(&answer.1["code"])), (409, "opted_out".to_owned()));
    text_message(house, "SM11", MARIO, "START").await;
    eventually("the wish is gone", async || since().await.is_none().then_some(())).await;
    // the provider did not hear our answer to the first: the message behind it says when it was handed on
    text_message(house, "SM10", MARIO, " Stop! ").await;
    text_message(house, "SM12", MARIO, "Grazie").await;
    eventually("what came behind it is there", async || {
        anna.entries(contact).await.iter().any(|entry| entry["text"] == "Grazie").then_some(())
    })
    .await;
    assert_eq!(since().await, None, "a repeated word says nothing new");
    let message = reply(anna, contact, "Eccoci di nuovo").await;
    delivery(anna, contact, &message, "sent").await;
    let inbound = anna.entries(contact).await.iter().filter(|entry| entry["direction"] == "inbound").count();
    assert_eq!(inbound, 4, "neither word is a message to anybody");
}

async fn twilios_client_finds_the_same(twilio: &Twilio) {
    let listed = peer(&["twilio-client", &twilio.url, ACCOUNT, TOKEN, MARIO], "").await;
    let ours: BTreeSet<String> = twilio.taken("").into_iter().map(|order| order.sid).collect();
    let listed: BTreeSet<String> = listed.as_array().unwrap().iter().map(text).collect();
    assert_eq!(listed, ours);
}

/// Each was answered for, so each comes to an operator, once, whenever the process dies.
async fn between_spool_and_broker(house: &mut House) {
    let numbers: Vec<String> = (0..6).map(|number| format!("+3933399900{number:02}")).collect();
    for (round, numbers) in numbers.chunks(2).enumerate() {
        for (place, number) in numbers.iter().enumerate() {
            text_message(house, &format!("SMK{round}{place}"), number, &format!("Dal numero {number}")).await;
        }
        house.kill();
        house.up().await;
    }
    let carla = Person::sign_in(house, "carla").await;
    let found = eventually("all of them are contacts", async || {
        let contacts = carla.get("/contacts?limit=100").await;
        let citizens = contacts["items"].as_array()?.iter().filter_map(|contact| contact["citizen"].as_str());
        let found: Vec<String> = citizens.filter(|citizen| citizen.starts_with("+3933399900")).map(str::to_owned).collect();
        (found.len() >= numbers.len()).then_some(found)
    })
    .await;
    let different: BTreeSet<&String> = found.iter().collect();
    assert_eq!((found.len(), different.len()), (numbers.len(), numbers.len()), "{found:?}");
}

/// The contact of a text message that is this person's.
pub async fn own(person: &Person) -> Value {
    eventually("a text message reaches its operator", async || {
        let state = person.get("/state").await;
        state["contacts"].as_array()?.iter().find(|contact| contact["channel"] == "sms").cloned()
    })
    .await
}

pub async fn reply(person: &Person, contact: &Value, words: &str) -> String {
    text(&person.post(&format!("/contacts/{}/reply", text(&contact["id"])), json!({ "text": words })).await["message"])
}

/// Waits until a message of ours is where it should be.
pub async fn delivery(person: &Person, contact: &Value, message: &str, state: &str) {
    eventually(&format!("{message} is {state}"), async || {
        let entries = person.entries(contact).await;
        entries.iter().any(|entry| entry["id"] == message && entry["delivery"] == state).then_some(())
    })
    .await;
}

on_both_pairs!(story);

/// What Vonage signs, and what any program with a Standard Webhooks library signs, is believed; what they did not sign is not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vonage_and_gateways_prove_themselves() {
    let (secret, gateway_secret) = ("abcdefghijklmnopqrstuvwxyz012345", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    let (gateway, mut orders) = crate::gateway::start().await;
    let settings = format!(
        "[sms.account.urp-sms]\nprovider = \"vonage\"\nuser = \"k\"\npassword = \"s\"\nwebhook_secret = \"{secret}\"\nurl = \"http://127.0.0.1:9\"\n\
         [sms.account.altro-sms]\nprovider = \"generic\"\npassword = \"{gateway_secret}\"\nurl = \"{gateway}\"\n"
    );
    let house = House::with(Pair::Embedded, &settings).await;
    let plan = house.done(&["plan", "show"]).await
        + "\n[administration.comune.account.altro-sms]\nchannel = \"sms\"\naddress = \"40404\"\nqueue = \"urp\"\n";
    let file = house.folder.path().join("plan.toml");
    std::fs::write(&file, plan).unwrap();
    house.done(&["plan", "apply", file.to_str().unwrap()]).await;
    let anna = Person::sign_in(&house, "anna").await;
    let _live = anna.ready().await;

    let url = format!("{}/sms/v1/urp-sms", house.at.public);
    let body = json!({"channel": "sms", "message_uuid": "v1", "from": "393331234567", "to": "390471000001", "message_type": "text", "text": "Orari dell'anagrafe?"});
    let headers = peer(&["vonage", secret], &body.to_string()).await;
    assert_eq!(post(&url, &headers, "application/json", body.to_string()).await, 204);
    assert_eq!(post(&url, &headers, "application/json", body.to_string().replace("anagrafe", "altro")).await, 403);
    assert_eq!(anna.entries(&own(&anna).await).await[0]["from"]["address"], MARIO);

    for (number, words) in [(2, "seconda"), (1, "Prima e ")] {
        let body = json!({"channel": "sms", "message_uuid": format!("v2-{number}"), "from": "393331234567", "to": "390471000001", "message_type": "text",
            "text": words, "concat": "true", "concat-ref": "108", "concat-total": "2", "concat-part": number.to_string()});
        let headers = peer(&["vonage", secret], &body.to_string()).await;
        assert_eq!(post(&url, &headers, "application/json", body.to_string()).await, 204);
    }
    let contact = own(&anna).await;
    eventually("both parts are one text", async || {
        anna.entries(&contact).await.iter().find(|entry| entry["text"] == "Prima e seconda").cloned()
    })
    .await;

    let url = format!("{}/sms/v1/altro-sms", house.at.public);
    let body =
        json!({"type": "message", "id": "g1", "from": "333 765 4321", "to": "40404", "text": "Per la residenza che serve?"}).to_string();
    let headers = peer(&["standard", gateway_secret, "msg_g1"], &body).await;
    assert_eq!(post(&url, &headers, "application/json", body.clone()).await, 204);
    assert_eq!(post(&url, &headers, "application/json", body.replace("residenza", "TARI")).await, 403);
    let contact = eventually("the gateway's message reaches its operator", async || {
        let state = anna.get("/state").await;
        state["contacts"].as_array()?.iter().find(|contact| contact["citizen"] == "+393337654321").cloned()
    })
    .await;
    let message = reply(&anna, &contact, "Un documento valido.").await;
    let (headers, order) = crate::gateway::next(&mut orders).await;
    let checked = peer(&["standard-check", gateway_secret, &headers.to_string()], &order).await;
    assert_eq!((checked["from"].as_str(), checked["to"].as_str()), (Some("40404"), Some("+393337654321")));
    delivery(&anna, &contact, &message, "sent").await;
    let reference = text(&checked["reference"]);
    let body = json!({"type": "status", "id": "gw-1", "reference": reference, "status": "delivered"}).to_string();
    let headers = peer(&["standard", gateway_secret, "msg_g2"], &body).await;
    assert_eq!(post(&url, &headers, "application/json", body).await, 204);
    delivery(&anna, &contact, &message, "delivered").await;
    house.finish().await;
}
