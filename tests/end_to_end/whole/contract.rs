//! The public contract on RabbitMQ: a day at the office in which every documented message is seen, each as documented.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::sms::{delivery, own, reply};
use crate::citizen::Citizen;
use crate::daemon::{House, Pair, eventually};
use crate::people::{Live, Person, Program, letter, text};
use crate::production::documented_types;
use crate::sms_peer::text_message;
use crate::twilio::{FAILS, Twilio};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_documented_message_is_seen_and_is_as_documented() {
    let twilio = Twilio::start().await;
    let house = House::with(Pair::Production, &twilio.settings("urp-sms")).await;
    apply_a_hurried_plan(&house).await;
    house.done(&["operator", "add", "dora", "--name", "Dora Neri", "--administration", "comune", "--skill", "anagrafe=3"]).await;
    let anna = Person::sign_in(&house, "anna").await;
    let carla = Person::sign_in(&house, "carla").await;
    let live = anna.ready().await;
    let program = Program::new(&house, &house.token);
    let silent = a_silent_chat(&house, &anna, &live).await;
    calls(&anna, &live, &program, vec![silent]).await;
    a_closed_queue(&carla, &program).await;
    letters_answered(&house, &anna, &live).await;
    letters_moved(&house, &anna, &live).await;
    of_unknown_outcome(&house, &anna, &live).await;
    let document: Value = serde_json::from_str(&house.done(&["asyncapi"]).await).unwrap();
    let written: Value = serde_json::from_str(&std::fs::read_to_string("docs/asyncapi.json").unwrap()).unwrap();
    assert_eq!(written, document, "docs/asyncapi.json is not what the program says: run `make docs`");
    let wanted = documented_types(&document);
    let mut seen = BTreeSet::new();
    eventually("every documented message has been seen", async || {
        seen.extend(house.production.as_ref()?.check_wire(&document).await);
        let missing: Vec<&String> = wanted.iter().filter(|kind| !seen.contains(*kind)).collect();
        if !missing.is_empty() {
            eprintln!("not seen yet: {missing:?}");
        }
        missing.is_empty().then_some(())
    })
    .await;
    house.finish().await;
}

/// Offers that ring for fifteen seconds, chats that end after fourteen seconds of silence, and a supervisor who is called the second
/// time something comes back.
async fn apply_a_hurried_plan(house: &House) {
    let plan = house.done(&["plan", "show"]).await;
    let plan = plan.replacen("offer_timeout = \"20s\"", "offer_timeout = \"15s\"", 1).replacen(
        "target = \"8h\"",
        "target = \"8h\"\nreturns_max = 1",
        1,
    );
    let plan = plan.replace("silence_warn = \"4m\"", "silence_warn = \"10s\"").replace("silence_close = \"6m\"", "silence_close = \"14s\"");
    let file = house.folder.path().join("hurried.toml");
    std::fs::write(&file, plan).unwrap();
    house.done(&["plan", "apply", file.to_str().unwrap()]).await;
}

async fn a_silent_chat(house: &House, anna: &Person, live: &Live) -> String {
    let citizen = Citizen::about(house, "Rita", "residenza").await;
    let (tab, _) = citizen.hello(None).await;
    tab.write("m-1", "Un'informazione").await;
    let (contact, ordinal) = live.offer(&[]).await;
    anna.post(&format!("/offers/{contact}/{ordinal}/accept"), json!({})).await;
    anna.post(&format!("/contacts/{contact}/reply"), json!({ "text": "Mi dica" })).await;
    live.event("contact.silent", &contact).await;
    live.event("contact.closed", &contact).await;
    contact
}

/// `known`: what has rung before.
async fn calls(anna: &Person, live: &Live, program: &Program, mut known: Vec<String>) {
    let mut ring = async |external_id: &str| {
        let input = program.call(external_id).await;
        let (contact, ordinal) = live.offer(&known).await;
        known.push(contact.clone());
        (input, contact, ordinal)
    };
    let (input, contact, ordinal) = ring("rifiutata").await;
    anna.post(&format!("/offers/{contact}/{ordinal}/reject"), json!({ "reason": "busy" })).await;
    live.event("offer.rejected", &contact).await;
    program.accepted(&format!("/contacts/{input}/abandon"), json!({})).await;
    program.status(&input, "it is abandoned", |status| status["contact"]["state"] == "abandoned").await;

    let (input, contact, _) = ring("persa").await;
    live.event("offer.expired", &contact).await;
    program.accepted(&format!("/contacts/{input}/abandon"), json!({})).await;
    program.status(&input, "it is abandoned", |status| status["contact"]["state"] == "abandoned").await;

    let (input, contact, _) = ring("ripresa").await;
    anna.put("/presence", json!({ "state": "away", "reason": "lunch" })).await;
    live.event("offer.revoked", &contact).await;
    program.accepted(&format!("/contacts/{input}/abandon"), json!({})).await;
    program.status(&input, "it is abandoned", |status| status["contact"]["state"] == "abandoned").await;
    anna.put("/presence", json!({ "state": "ready" })).await;

    let (input, contact, _) = ring("riagganciata").await;
    program.accepted(&format!("/contacts/{input}/abandon"), json!({})).await;
    live.event("offer.rescinded", &contact).await;

    let (input, contact, ordinal) = ring("servita").await;
    anna.post(&format!("/offers/{contact}/{ordinal}/accept"), json!({})).await;
    let row = anna.get(&format!("/contacts/{contact}")).await;
    assert_eq!(anna.entries(&row).await[0]["attributes"], json!({ "menu": "2" }), "what the caller chose");
    anna.post(&format!("/contacts/{contact}/notes"), json!({ "text": "nota" })).await;
    anna.put(&format!("/contacts/{contact}/case"), json!({ "number": "2026/0001" })).await;
    program.accepted(&format!("/contacts/{input}/end"), json!({})).await;
    live.event("contact.wrap_up", &contact).await;
    anna.post(&format!("/contacts/{contact}/close"), json!({ "resolution": "resolved" })).await;
}

async fn a_closed_queue(carla: &Person, program: &Program) {
    carla.post("/queues/banco/close", json!({ "notice": "Torniamo alle 14" })).await;
    let input = program.call("fuori orario").await;
    let status = program.status(&input, "the call is kept", |status| status["contact"]["queue_closed"] == true).await;
    let contact = text(&status["contact"]["id"]);
    carla.post(&format!("/contacts/{contact}/close"), json!({ "resolution": "no_answer" })).await;
    carla.post("/queues/banco/open", json!({})).await;
}

/// A letter for the registry office, opened by anna.
async fn opened(house: &House, anna: &Person, from: &str, subject: &str) -> String {
    letter(house, from, "urp@comune.example", subject, "Chiedo un certificato di residenza").await;
    let contact = text(&anna.own(subject).await["id"]);
    anna.post(&format!("/contacts/{contact}/touch"), json!({})).await;
    contact
}

async fn letters_answered(house: &House, anna: &Person, live: &Live) {
    for (from, event) in
        [("permanent@example.it", "message.failed"), ("temporary@example.it", "message.retrying"), ("mario@example.it", "message.sent")]
    {
        let contact = opened(house, anna, from, &format!("Residenza {event}")).await;
        let message = text(&anna.post(&format!("/contacts/{contact}/reply"), json!({ "text": "Ecco" })).await["message"]);
        live.event(event, &contact).await;
        if event == "message.retrying" {
            report(house, &message, json!({ "result": "delivered" })).await;
            live.event("message.delivered", &contact).await;
        }
        anna.post(&format!("/contacts/{contact}/close"), json!({ "resolution": "resolved", "topic": "residenza" })).await;
    }
}

/// What a provider says later of a message that was sent.
async fn report(house: &House, message: &str, result: Value) {
    let id = format!("report-{message}");
    let mut data = json!({ "message": message, "attempt": 0 });
    data.as_object_mut().unwrap().extend(result.as_object().unwrap().clone());
    let body = json!({
        "specversion": "1.0", "id": id, "source": "/account/urp-mail", "type": "it.example.sportello.inbound.delivery.v1",
        "time": "2026-01-31T09:00:00Z", "datacontenttype": "application/json", "data": data
    });
    house.production.as_ref().unwrap().publish("main.comune.email", &id, body.to_string().as_bytes()).await;
}

/// A text message of which nobody knows the end, and anna does.
async fn of_unknown_outcome(house: &House, anna: &Person, live: &Live) {
    text_message(house, "SM1", "+393331234567", "Quando è pronta la carta di identità?").await;
    let contact = own(anna).await;
    let message = reply(anna, &contact, &format!("È pronta {FAILS}")).await;
    delivery(anna, &contact, &message, "unknown").await;
    anna.post(&format!("/contacts/{}/messages/{message}/settle", text(&contact["id"])), json!({ "arrived": true })).await;
    live.event("message.settled", &text(&contact["id"])).await;
}

async fn letters_moved(house: &House, anna: &Person, live: &Live) {
    let contact = opened(house, anna, "luisa@example.it", "Residenza che torna").await;
    let path = format!("/contacts/{contact}");
    anna.post(&format!("{path}/pend"), json!({ "on": "citizen" })).await;
    anna.post(&format!("{path}/resume"), json!({})).await;
    // Twice: once is allowed by the plan.
    anna.post(&format!("{path}/return"), json!({})).await;
    live.event("contact.released", &contact).await;
    anna.post(&format!("{path}/pull"), json!({})).await;
    anna.post(&format!("{path}/return"), json!({})).await;
    anna.post(&format!("{path}/pull"), json!({})).await;
    anna.post(&format!("{path}/transfer"), json!({ "to": { "queue": "tributi" }, "reason": "wrong_queue" })).await;
    let contact = opened(house, anna, "luisa@example.it", "Residenza tra un mese").await;
    anna.post(&format!("/contacts/{contact}/defer"), json!({ "until": "2099-01-01T09:00:00Z" })).await;
}
