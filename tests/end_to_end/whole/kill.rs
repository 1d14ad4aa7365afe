//! `kill -9` in the middle: nothing is lost, nothing happens twice, consoles go on where they were.

use std::collections::BTreeSet;

use serde_json::json;

use crate::daemon::{House, Pair, eventually};
use crate::people::{Person, Program, letter, text};

async fn story(pair: Pair) {
    let mut house = House::start(pair).await;
    after_the_mail_was_accepted(&mut house).await;
    while_an_offer_rings(&mut house).await;
    after_a_reply_before_it_is_sent(&mut house).await;
    house.finish().await;
}

async fn after_the_mail_was_accepted(house: &mut House) {
    for number in 1..=5 {
        letter(house, "mario@example.it", "urp@comune.example", &format!("Lettera {number}"), "Buongiorno").await;
    }
    house.kill();
    house.up().await;
    let carla = Person::sign_in(house, "carla").await;
    let subjects = eventually("all five letters are contacts", async || {
        let contacts = carla.get("/contacts?limit=100").await;
        let subjects: Vec<String> = contacts["items"].as_array()?.iter().map(|contact| text(&contact["subject"])).collect();
        (subjects.len() >= 5).then_some(subjects)
    })
    .await;
    let different: BTreeSet<&String> = subjects.iter().collect();
    assert_eq!((subjects.len(), different.len()), (5, 5), "{subjects:?}");
}

async fn while_an_offer_rings(house: &mut House) {
    let anna = Person::sign_in(house, "anna").await;
    let live = anna.ready().await;
    let program = Program::new(house, &house.token);
    let input = program.call("chiamata-1").await;
    let (contact, _) = live.offer(&[]).await;
    let seen = live.last_seq();
    house.kill();
    live.close_code().await;
    house.up().await;
    // The session, the presence and the last sequence number seen still hold.
    let live = anna.live(Some(seen)).await;
    let ordinal = eventually("it rings again, or still", async || {
        let state = anna.get("/state").await;
        state["offers"].as_array()?.iter().find(|offer| offer["contact"]["id"] == contact.as_str())?["ordinal"].as_u64()
    })
    .await;
    let reply = live.command(json!({ "do": "accept", "contact": contact, "ordinal": ordinal })).await;
    assert_eq!(reply["outcome"], "applied", "{reply}");
    assert_eq!(program.call("chiamata-1").await, input, "the same call again is the same input");
    assert_eq!(program.contact(&input).await, contact);
    anna.post(&format!("/contacts/{contact}/close"), json!({ "resolution": "resolved" })).await;
    program.status(&input, "the call is closed", |status| status["contact"]["state"] == "closed").await;
}

async fn after_a_reply_before_it_is_sent(house: &mut House) {
    let anna = Person::sign_in(house, "anna").await;
    let live = anna.live(None).await;
    let contact = eventually("a letter is anna's", async || anna.get("/state").await["contacts"].as_array()?.first().cloned()).await;
    let id = text(&contact["id"]);
    let message = text(&anna.post(&format!("/contacts/{id}/reply"), json!({ "text": "Risposta dopo il colpo" })).await["message"]);
    house.kill();
    live.close_code().await;
    house.up().await;
    let sent = eventually("the reply has left", async || {
        let entries = anna.entries(&contact).await;
        let entry = entries.into_iter().find(|entry| entry["id"] == message.as_str())?;
        (entry["delivery"] == "sent").then_some(entry)
    })
    .await;
    assert_eq!(text(&sent["text"]).trim(), "Risposta dopo il colpo");
    let written = anna.entries(&contact).await.iter().filter(|entry| entry["direction"] == "outbound").count();
    assert_eq!(written, 1);
    let mails: Vec<String> = house.mails().into_iter().filter(|mail| mail.contains("Risposta dopo il colpo")).collect();
    let ids: BTreeSet<String> = mails.iter().map(|mail| header(mail, "Message-ID")).collect();
    assert_eq!(ids.len(), 1, "however often it left, it is one mail: {ids:?}");
}

/// A header of a mail, unfolded.
pub fn header(mail: &str, name: &str) -> String {
    let unfolded = mail.replace("\r\n", "\n").replace("\n ", " ").replace("\n\t", " ");
    let prefix = format!("{}:", name.to_lowercase());
    let line = unfolded.lines().take_while(|line| !line.is_empty()).find(|line| line.to_lowercase().starts_with(&prefix));
    line.map(|line| line[prefix.len()..].trim().to_owned()).unwrap_or_default()
}

on_both_pairs!(story);
