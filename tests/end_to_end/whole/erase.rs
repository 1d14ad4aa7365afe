//! A citizen wants to be forgotten: what is at work is refused, what is finished goes from database and disk, and the same letter
//! delivered again is not taken in again.

use std::path::Path;

use serde_json::json;

use crate::daemon::{House, Pair};
use crate::people::{Person, letter, mail, text};

const CANARY: &str = "CANARINO";

/// The citizen's letter, the same bytes each time.
fn content() -> String {
    format!(
        "From: {CANARY} Bianchi <{CANARY}@example.it>\r\nTo: urp@comune.example\r\nSubject: {CANARY}\r\nMessage-ID: <{CANARY}@example.it>\r\n\
         MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\n{CANARY} scrive\r\n\
         --b\r\nContent-Type: text/csv\r\nContent-Disposition: attachment; filename={CANARY}.csv\r\n\r\n{CANARY};1\r\n--b--\r\n"
    )
}

async fn story(pair: Pair) {
    let house = House::start(pair).await;
    let anna = Person::sign_in(&house, "anna").await;
    let _live = anna.ready().await;
    arrives(&house).await;
    let contact = anna.own(CANARY).await;
    let (contact, conversation) = (text(&contact["id"]), text(&contact["conversation"]));
    let erase = ["erase", "--administration", "comune", "--conversation", &conversation];

    let refused = house.run(&erase).await;
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(1) && said.contains(&contact) && said.contains("close it"), "{said}");
    anna.post(&format!("/contacts/{contact}/close"), json!({ "resolution": "resolved" })).await;
    assert!(on_disk(&house.folder.path().join("data").join("blobs")), "raw mail and file are there");
    assert!(house.done(&erase).await.contains("is erased: 1 messages"));

    assert!(!on_disk(&house.folder.path().join("data").join("blobs")));
    if house.production.is_none() {
        assert!(!["sportello.db", "sportello.db-wal"].iter().any(|name| on_disk(&house.folder.path().join("data").join(name))));
    }
    assert!(!house.log().contains(CANARY));
    let view = anna.get(&format!("/conversations/{conversation}")).await;
    assert!(view["entries"].as_array().is_some_and(Vec::is_empty) && !view.to_string().contains(CANARY), "{view}");
    assert!(house.done(&erase).await.contains("holds no text any more"), "again is no error");

    // the same letter again, and another one behind it: when that is there, the first was looked at
    arrives(&house).await;
    letter(&house, "mario@example.it", "urp@comune.example", "Un'altra cosa", "Buongiorno").await;
    anna.own("Un'altra cosa").await;
    let state = anna.get("/state").await;
    assert!(!state.to_string().contains(CANARY), "it stays dead: {state}");
    let unknown = house.run(&["erase", "--administration", "comune", "--conversation", &format!("cv_{}", "0".repeat(32))]).await;
    assert_eq!(unknown.status.code(), Some(1));
    house.finish().await;
}

async fn arrives(house: &House) {
    let from = format!("{CANARY}@example.it");
    let answer = mail(house, &from, "urp@comune.example", content().as_bytes()).await;
    assert!(answer.starts_with("250"), "{answer}");
}

/// Whether the canary is in a file, or in any file of a folder.
fn on_disk(path: &Path) -> bool {
    if path.is_dir() {
        return std::fs::read_dir(path).unwrap().any(|entry| on_disk(&entry.unwrap().path()));
    }
    std::fs::read(path).is_ok_and(|bytes| bytes.windows(CANARY.len()).any(|window| window == CANARY.as_bytes()))
}

on_both_pairs!(story);
