//! The whole way with people at real browsers: a letter reaches the operator who can answer it, the answer reaches the citizen,
//! the citizen's answer comes back to the same conversation, the supervisor moves a contact.

use base64::Engine as _;
use serde_json::Value;

use super::kill::header;
use crate::daemon::{House, Pair, eventually};
use crate::dovecot::Dovecot;
use crate::people::{Person, letter, mail, text};
use crate::script::Script;

const CARD: &str = "Carta d'identità smarrita";
const TAX: &str = "Quanto pago di TARI?";

async fn story(pair: Pair) {
    let mailbox = (pair == Pair::Production).then(Dovecot::start);
    let more = mailbox.as_ref().map(|mailbox| {
        let port = mailbox.port;
        format!("[email.mailbox.tributi-mail]\nhost = \"127.0.0.1\"\nport = {port}\ntls = \"none\"\nuser = \"urp\"\npassword = \"segreta\"\nstart = \"all\"\n")
    });
    let mut house = House::with(pair, &more.unwrap_or_default()).await;
    letter(&house, "mario@example.it", "urp@comune.example", &encoded(CARD), "Buongiorno, come la rifaccio?").await;
    match &mailbox {
        Some(mailbox) => mailbox.deliver(
            format!("From: Luisa <luisa@example.it>\r\nTo: tributi@comune.example\r\nSubject: {TAX}\r\nMessage-ID: <l1@example.it>\r\n\r\nGrazie\r\n").as_bytes(),
        ),
        None => letter(&house, "luisa@example.it", "tributi@comune.example", TAX, "Grazie").await,
    }
    let mut browser = Script::start(&house, "whole.e2e.mjs");
    browser.reaches("replied").await;
    let id = the_answer_arrived(&house).await;
    // The daemon falls over; the open page goes on by itself when it is back.
    house.kill();
    house.up().await;
    let answer = format!(
        "From: Mario Bianchi <mario@example.it>\r\nTo: urp@comune.example\r\nSubject: Re: {}\r\nMessage-ID: <m2@example.it>\r\n\
         In-Reply-To: {id}\r\nReferences: {id}\r\n\r\nHo capito, grazie mille\r\n",
        encoded(CARD)
    );
    assert!(mail(&house, "mario@example.it", "urp@comune.example", answer.as_bytes()).await.starts_with("250"));
    browser.go().await;
    browser.ends().await;
    as_the_desk_has_it(&house).await;
    house.finish().await;
}

fn encoded(subject: &str) -> String {
    format!("=?utf-8?B?{}?=", base64::engine::general_purpose::STANDARD.encode(subject))
}

/// The mail that reached the citizen; its Message-ID.
async fn the_answer_arrived(house: &House) -> String {
    let mail = eventually("the answer reaches the citizen", async || house.mails().into_iter().next()).await;
    assert_eq!(house.mails().len(), 1);
    let parsed = mail_parser::MessageParser::default().parse(mail.as_bytes()).expect("a mail");
    let address = |list: Option<&mail_parser::Address<'_>>| list.and_then(|list| list.first()?.address.as_deref().map(str::to_owned));
    assert_eq!(address(parsed.from()).as_deref(), Some("urp@comune.example"));
    assert_eq!(address(parsed.to()).as_deref(), Some("mario@example.it"));
    assert_eq!(parsed.subject(), Some(format!("Re: {CARD}").as_str()));
    let citizens = header(&mail, "In-Reply-To");
    assert!(citizens.starts_with('<') && citizens.ends_with("@citizen.example>"), "{citizens}");
    assert!(header(&mail, "References").contains(&citizens), "{mail}");
    assert!(parsed.body_text(0).unwrap().contains("Gentile signore, porti due fototessere."), "{mail}");
    let file = parsed.attachments().next().expect("the attachment");
    let name = mail_parser::MimeHeaders::attachment_name(file);
    assert_eq!((name, file.contents()), (Some("modulo.pdf"), attachment().as_slice()));
    header(&mail, "Message-ID")
}

/// The bytes the browser attaches: all values, several lines of base64.
fn attachment() -> Vec<u8> {
    (0..3_000_u32).map(|number| u8::try_from(number * 7 % 256).unwrap()).collect()
}

async fn as_the_desk_has_it(house: &House) {
    let (anna, bruno, carla) =
        (Person::sign_in(house, "anna").await, Person::sign_in(house, "bruno").await, Person::sign_in(house, "carla").await);
    let closed = carla.get("/contacts?state=closed").await;
    let closed = closed["items"].as_array().unwrap();
    let card = closed.iter().find(|contact| contact["subject"] == CARD).expect("it is closed");
    assert_eq!((&card["outcome"]["topic"], &card["outcome"]["resolution"]), (&"carta-identita".into(), &"resolved".into()), "{card}");
    let entries = anna.entries(card).await;
    let said: Vec<(String, &Value)> = entries.iter().map(|entry| (text(&entry["direction"]), &entry["contact"])).collect();
    let directions: Vec<&str> = said.iter().map(|(direction, _)| direction.as_str()).collect();
    assert_eq!(directions, ["inbound", "outbound", "inbound"], "one conversation");
    assert!(said.iter().all(|(_, contact)| **contact == card["id"]), "one contact: {said:?}");
    assert_eq!(closed.len(), 1);
    let tax = anna.own(TAX).await;
    assert_eq!(tax["owner"], anna.id.as_str());
    assert_eq!(bruno.get("/state").await["contacts"].as_array().unwrap().len(), 0);
}

on_both_pairs!(story);
