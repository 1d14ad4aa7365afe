//! A live contact by the channel API, from the call to its end, in the trace that its program began; the status address; a closed
//! queue with its notice.

use serde_json::{Value, json};

use crate::daemon::{House, Pair, eventually};
use crate::people::{Live, Person, Program, text};

/// The trace of a program that calls.
const TRACE_ID: &str = "0af7651916cd43dd8448eb211c80319c";

async fn story(pair: Pair) {
    let house = House::start(pair).await;
    let anna = Person::sign_in(&house, "anna").await;
    let carla = Person::sign_in(&house, "carla").await;
    let live = anna.ready().await;
    let program = Program::new(&house, &house.token);
    let known = vec![a_call_from_start_to_end(&house, &anna, &live, &program).await];
    the_citizen_hangs_up(&live, &program, known).await;
    a_closed_queue_says_so(&carla, &program).await;
    house.finish().await;
}

async fn a_call_from_start_to_end(house: &House, anna: &Person, live: &Live, program: &Program) -> String {
    let input = program.call_in_trace("chiamata-1", &format!("00-{TRACE_ID}-b7ad6b7169203331-01")).await;
    let (contact, ordinal) = live.offer(&[]).await;
    the_offer_is_in_the_trace(house, live, &contact).await;
    program.status(&input, "it rings", |status| status["contact"]["state"] == "offered").await;
    let reply = live.command(json!({ "do": "accept", "contact": contact, "ordinal": ordinal })).await;
    assert_eq!(reply["outcome"], "applied", "{reply}");
    let again = live.command(json!({ "do": "accept", "contact": contact, "ordinal": ordinal })).await;
    assert_eq!(again["outcome"], "refused", "{again}");
    program.status(&input, "she talks", |status| status["contact"]["state"] == "active").await;
    program.accepted(&format!("/contacts/{input}/messages"), json!({ "external_id": "giunta-1", "text": "Aggiungo il numero 42" })).await;
    live.event("message.received", &contact).await;
    anna.post(&format!("/contacts/{contact}/notes"), json!({ "text": "Sentito l'ufficio" })).await;
    live.event("note.added", &contact).await;
    let twice = program.call("chiamata-1").await;
    assert_eq!(twice, input, "one external_id, one input");
    program.accepted(&format!("/contacts/{input}/end"), json!({})).await;
    live.event("contact.wrap_up", &contact).await;
    program.status(&input, "she wraps up", |status| status["contact"]["state"] == "wrap_up").await;
    anna.post(&format!("/contacts/{contact}/close"), json!({ "resolution": "resolved", "topic": "altro" })).await;
    let status = program.status(&input, "it is closed", |status| status["contact"]["state"] == "closed").await;
    assert_eq!((&status["state"], &status["outcome"], &status["contact"]["id"]), (&json!("processed"), &json!("applied"), &json!(contact)));
    let entries = anna.entries(&live.event("contact.closed", &contact).await["about"]).await;
    let kinds: Vec<String> = entries.iter().map(|entry| text(&entry["kind"])).collect();
    assert!(kinds.contains(&"note".to_owned()), "{entries:?}");
    assert!(entries.iter().any(|entry| entry["text"] == "Aggiungo il numero 42"), "{entries:?}");
    contact
}

/// In the frame that shows the offer, and in header and body of its public event.
async fn the_offer_is_in_the_trace(house: &House, live: &Live, contact: &str) {
    let is_traced = |traceparent: Option<&str>| traceparent.is_some_and(|text| text.split('-').nth(1) == Some(TRACE_ID));
    let is_offer = |event: &Value| event["event"] == "offer.made" && event["about"]["contact"] == contact;
    let frame = live.frame("the offer", |frame| is_offer(&frame["event"])).await;
    assert!(is_traced(frame["traceparent"].as_str()), "{frame}");
    let Some(production) = &house.production else { return };
    let (body, header) = eventually("the offer is public", async || production.heard(|body| is_offer(&body["data"])).await).await;
    assert!(is_traced(body["traceparent"].as_str()) && is_traced(header.as_deref()), "{body} {header:?}");
}

async fn the_citizen_hangs_up(live: &Live, program: &Program, known: Vec<String>) {
    let input = program.call("chiamata-2").await;
    let (contact, ordinal) = live.offer(&known).await;
    program.accepted(&format!("/contacts/{input}/abandon"), json!({})).await;
    live.event("offer.rescinded", &contact).await;
    program.status(&input, "it is abandoned", |status| status["contact"]["state"] == "abandoned").await;
    let late = live.command(json!({ "do": "accept", "contact": contact, "ordinal": ordinal })).await;
    assert_eq!(late["outcome"], "refused", "{late}");
}

async fn a_closed_queue_says_so(carla: &Person, program: &Program) {
    carla.post("/queues/banco/close", json!({ "notice": "Torniamo alle 14" })).await;
    let input = program.call("chiamata-3").await;
    let status = program.status(&input, "the notice is there", |status| status["contact"]["queue_closed"] == true).await;
    assert_eq!(status["contact"]["notice"], "Torniamo alle 14", "{status}");
    let contact = text(&status["contact"]["id"]);
    assert_eq!(carla.get(&format!("/contacts/{contact}")).await["mode"], "deferrable");
    carla.post("/queues/banco/open", json!({})).await;
    program.status(&input, "it is open again", |status| status["contact"]["queue_closed"] == false).await;
}

on_both_pairs!(story);
