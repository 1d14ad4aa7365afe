//! `kill -9` in the middle of a chat: nothing is lost, nothing comes twice, and the browser goes on where it was.

use serde_json::json;

use crate::citizen::Citizen;
use crate::daemon::{House, Pair, eventually};
use crate::people::{Person, text};

async fn story(pair: Pair) {
    let mut house = House::start(pair).await;
    let anna = Person::sign_in(&house, "anna").await;
    let live = anna.ready().await;
    let citizen = Citizen::about(&house, "Sara", "residenza").await;
    let (tab, _) = citizen.hello(None).await;
    tab.write("m-1", "Vorrei cambiare residenza").await;
    let (contact, ordinal) = live.offer(&[]).await;
    live.command(json!({ "do": "accept", "contact": contact, "ordinal": ordinal })).await;
    tab.status("served").await;
    anna.post(&format!("/contacts/{contact}/reply"), json!({ "text": "Serve un documento" })).await;
    tab.message("Serve un documento").await;
    // accepted means durable: the process dies at once
    let seen = tab.last_seq();
    for number in 2..=6 {
        tab.write(&format!("m-{number}"), &format!("Parola {number}")).await;
    }
    house.kill();
    tab.closed().await;
    house.up().await;
    let (tab, _) = citizen.hello(Some(seen)).await;
    // the last one was accepted, but how should a browser know: it says it again
    tab.write("m-6", "Parola 6").await;
    tab.write("m-7", "Parola 7").await;
    tab.message("Parola 7").await;
    assert_eq!(tab.texts(), (2..=7).map(|number| format!("Parola {number}")).collect::<Vec<_>>());
    let _live = anna.live(None).await;
    let row = anna.get(&format!("/contacts/{contact}")).await;
    assert_eq!(row["state"], "active", "{row}");
    anna.post(&format!("/contacts/{contact}/reply"), json!({ "text": "Ricevuto tutto" })).await;
    tab.message("Ricevuto tutto").await;
    let texts = eventually("the conversation is whole", async || {
        let entries = anna.entries(&row).await;
        let texts: Vec<String> = entries.iter().filter(|entry| entry["kind"] == "message").map(|entry| text(&entry["text"])).collect();
        (texts.len() >= 9).then_some(texts)
    })
    .await;
    assert_eq!(texts.len(), 9, "nothing twice: {texts:?}");
    // a stop in order sends the browser away to come again
    house.terminate().await;
    assert_eq!(tab.closed().await.0, Some(1001));
    house.up().await;
    house.finish().await;
}

on_both_pairs!(story);
