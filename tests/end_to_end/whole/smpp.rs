//! Text messages by SMPP with an SMSC that is somebody else's: one comes, is answered in several parts, its receipt comes in another
//! base; too much at once, refusals, lies and broken connections are got over.

use serde_json::{Value, json};

use super::sms::{delivery, own, reply};
use crate::daemon::{House, Pair, eventually};
use crate::people::{Person, text};
use crate::smsc::Smsc;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_with_an_smsc() {
    let mut smsc = Smsc::start().await;
    let mut house = House::with(Pair::Embedded, &smsc.settings("urp-sms")).await;
    let anna = Person::sign_in(&house, "anna").await;
    let _live = anna.ready().await;
    assert_eq!(smsc.see("a session", |said| said["bound"].as_u64()).await, 0x34, "SMPP 3.4");

    citizen_writes(&mut smsc, "+393331234567", "Perché è chiuso l'ufficio anagrafe?").await;
    let contact = own(&anna).await;
    assert_eq!(anna.entries(&contact).await[0]["from"]["address"], "+393331234567");
    let message = reply(&anna, &contact, "È chiuso per ferie.").await;
    let order = submitted(&smsc, "ferie").await;
    assert_eq!((text(&order["from"]), text(&order["to"])), ("390471000001".into(), "393331234567".into()));
    delivery(&anna, &contact, &message, "delivered").await;

    let long = "È un testo lungo, con l’apostrofo e un 👋. ".repeat(5);
    let message = reply(&anna, &contact, long.trim()).await;
    delivery(&anna, &contact, &message, "delivered").await;
    let parts = smsc.all(|said| (said["submitted"]["parts"].as_array()?.len() == 1).then(|| text(&said["submitted"]["text"])));
    assert!(parts.len() > 2, "{parts:?}");
    assert_eq!(parts.concat(), long.trim(), "nothing torn, nothing lost, in order");

    it_arrived_when_all_parts_have(&mut smsc, &anna, &contact).await;
    six_answers_wait_at_once(&mut smsc, &anna, &contact).await;

    let message = reply(&anna, &contact, "Con calma [piano]").await;
    delivery(&anna, &contact, &message, "delivered").await;
    assert_eq!(smsc.all(|said| said["throttled"].as_str().map(str::to_owned)).len(), 1);
    let message = reply(&anna, &contact, "Mai [rifiuta]").await;
    delivery(&anna, &contact, &message, "failed").await;
    // refused in its second part only: the first is at the citizen's
    let message = reply(&anna, &contact, &format!("{}[rifiuta]", "Prima parte. ".repeat(13))).await;
    delivery(&anna, &contact, &message, "unknown").await;

    for (number, how) in ["drop", "lie"].iter().enumerate() {
        smsc.tell(json!({ *how: true })).await;
        let sessions = number + 2;
        eventually("another session", async || (smsc.all(|said| said["bound"].as_u64()).len() >= sessions).then_some(())).await;
        let words = format!("Dopo {how}");
        citizen_writes(&mut smsc, "+393331234567", &words).await;
        came(&anna, &contact, &words).await;
    }
    // acknowledged, so it is there whatever happens to us
    citizen_writes(&mut smsc, "+393331234567", "Prima del colpo").await;
    house.kill();
    house.up().await;
    came(&anna, &contact, "Prima del colpo").await;
    let twice = anna.entries(&contact).await.iter().filter(|entry| entry["text"] == "Prima del colpo").count();
    assert_eq!(twice, 1);
    house.finish().await;
}

/// The receipt of the first part comes last; and one part that did not arrive is enough.
async fn it_arrived_when_all_parts_have(smsc: &mut Smsc, anna: &Person, contact: &Value) {
    let message = reply(anna, contact, &format!("[tace]{}", "Una lunga risposta. ".repeat(20))).await;
    delivery(anna, contact, &message, "sent").await;
    // what came behind the receipts of the other parts has been worked off
    let short = reply(anna, contact, "Una breve.").await;
    delivery(anna, contact, &short, "delivered").await;
    delivery(anna, contact, &message, "sent").await;
    smsc.tell(json!({ "receipts": true })).await;
    delivery(anna, contact, &message, "delivered").await;
    let message = reply(anna, contact, &format!("[perso]{}", "Una lunga risposta. ".repeat(20))).await;
    delivery(anna, contact, &message, "bounced").await;
}

/// They are answered when all of them are there: each goes before the ones before it have their answers.
async fn six_answers_wait_at_once(smsc: &mut Smsc, anna: &Person, contact: &Value) {
    smsc.tell(json!({ "hold": 6 })).await;
    let mut messages = Vec::new();
    for number in 1..=6 {
        messages.push(reply(anna, contact, &format!("Risposta {number} di 6")).await);
    }
    for message in messages {
        delivery(anna, contact, &message, "delivered").await;
    }
    assert_eq!(smsc.all(|said| said["held"].as_u64()), [1, 2, 3, 4, 5, 6]);
}

/// Parts come in any order and twice, an emoji is torn between two of them, and the process is killed between them: the operator sees
/// one contact with one text. What comes again because our answer was lost is one message; what is written twice is two.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_message_is_one_and_a_lost_answer_makes_no_second() {
    let mut smsc = Smsc::start().await;
    let mut house = House::with(Pair::Embedded, &smsc.settings("urp-sms")).await;
    let anna = Person::sign_in(&house, "anna").await;
    let _live = anna.ready().await;
    smsc.see("a session", |said| said["bound"].as_u64()).await;

    let long = "È un testo lungo, con l’apostrofo e un 👋. ".repeat(4);
    let long = long.trim();
    let bytes: Vec<u8> = long.encode_utf16().flat_map(u16::to_be_bytes).collect();
    let emoji = bytes.windows(4).position(|four| four == [0xd8, 0x3d, 0xdc, 0x4b]).unwrap();
    // the first part ends in the middle of the emoji
    let cut = [&bytes[..emoji + 2], &bytes[emoji + 2..emoji + 120], &bytes[emoji + 120..]];
    let mut sessions = 1;
    for (number, killed) in [(3_usize, true), (1, false), (1, true), (2, true)] {
        let udh = format!("0500032a03{number:02x}");
        let ucs2 = hex::encode(cut[number - 1]);
        let acknowledged = smsc.all(|said| said["acknowledged"].as_u64()).len();
        smsc.tell(json!({ "deliver": { "from": "393331234567", "to": "390471000001", "udh": udh, "ucs2": ucs2 } })).await;
        let more = async || (smsc.all(|said| said["acknowledged"].as_u64()).len() > acknowledged).then_some(());
        eventually("the part is acknowledged", more).await;
        if !killed {
            continue;
        }
        house.kill();
        house.up().await;
        sessions += 1;
        eventually("a session after the kill", async || (smsc.all(|said| said["bound"].as_u64()).len() >= sessions).then_some(())).await;
    }
    let anna = Person::sign_in(&house, "anna").await;
    let _live = anna.ready().await;
    let contact = own(&anna).await;
    let inbound = async |anna: &Person| -> Vec<String> {
        anna.entries(&contact).await.iter().filter(|entry| entry["direction"] == "inbound").map(|entry| text(&entry["text"])).collect()
    };
    assert_eq!(inbound(&anna).await, [long]);

    smsc.tell(json!({ "deliver": { "from": "393331234567", "to": "390471000001", "text": "ok", "lost": true } })).await;
    let status = smsc.see("it is acknowledged again", |said| (said["text"] == "ok").then(|| said["acknowledged"].as_u64())?).await;
    assert_eq!(status, 0);
    for words in ["ok", "fine"] {
        citizen_writes(&mut smsc, "+393331234567", words).await;
    }
    came(&anna, &contact, "fine").await;
    assert_eq!(inbound(&anna).await[1..], ["ok", "ok", "fine"], "the repetition is none, the second word is one");
    house.finish().await;
}

/// Its own alphabet has all that Italian needs, but fewer characters go into a message: who writes the answer is told which it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_smsc_whose_own_alphabet_is_latin1() {
    let mut smsc = Smsc::start().await;
    smsc.tell(json!({ "latin1": true })).await;
    let house = House::with(Pair::Embedded, &format!("{}alphabet = \"latin1\"\n", smsc.settings("urp-sms"))).await;
    let anna = Person::sign_in(&house, "anna").await;
    let _live = anna.ready().await;
    smsc.see("a session", |said| said["bound"].as_u64()).await;

    citizen_writes(&mut smsc, "+393331234567", "È già così [1], perché?").await;
    let contact = own(&anna).await;
    assert_eq!(contact["sms"], json!({ "alphabet": "latin1" }));
    assert_eq!(anna.entries(&contact).await[0]["text"], "È già così [1], perché?");
    for (words, parts) in [("È".repeat(140), 1), ("È".repeat(141), 2)] {
        let before = smsc.all(|said| said.get("submitted").cloned()).len();
        let message = reply(&anna, &contact, &words).await;
        delivery(&anna, &contact, &message, "delivered").await;
        let sent = smsc.all(|said| said.get("submitted").cloned()).split_off(before);
        assert_eq!(sent.iter().map(|part| text(&part["text"])).collect::<String>(), words);
        assert_eq!(sent.iter().map(|part| part["coding"].as_u64()).collect::<Vec<_>>(), vec![Some(0); parts]);
    }
    house.finish().await;
}

/// A citizen's message, acknowledged by us.
async fn citizen_writes(smsc: &mut Smsc, from: &str, words: &str) {
    smsc.tell(json!({ "deliver": { "from": from.trim_start_matches('+'), "to": "390471000001", "text": words } })).await;
    let status = smsc.see("it is acknowledged", |said| (said["text"] == words).then(|| said["acknowledged"].as_u64())?).await;
    assert_eq!(status, 0, "{words}");
}

async fn submitted(smsc: &Smsc, words: &str) -> Value {
    let fits = |said: &Value| said["submitted"]["text"].as_str()?.contains(words).then(|| said["submitted"].clone());
    smsc.see(words, fits).await
}

async fn came(person: &Person, contact: &Value, words: &str) {
    eventually(words, async || person.entries(contact).await.iter().any(|entry| entry["text"] == words).then_some(())).await;
}
