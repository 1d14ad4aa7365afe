//! A chat from the first word to the transcript: it reaches the operator whose skills fit, is answered, seen, resumed in another
//! tab, and closed by the operator.

use serde_json::{Value, json};

use crate::citizen::{Citizen, Tab};
use crate::daemon::{House, Pair, eventually};
use crate::people::{Live, Person, text};

async fn story(pair: Pair) {
    let house = House::start(pair).await;
    nobody_is_there(&house).await;
    let (anna, bruno) = (Person::sign_in(&house, "anna").await, Person::sign_in(&house, "bruno").await);
    let (anna_live, live) = (anna.ready().await, bruno.ready().await);
    let citizen = Citizen::about(&house, "Mario <b>Rossi</b>", "tari").await;
    eventually("the office is open", async || {
        let config: Value = citizen.request(reqwest::Method::GET, "/config").send().await.ok()?.json().await.ok()?;
        (config["open"] == true).then_some(())
    })
    .await;
    let (tab, welcome) = citizen.hello(None).await;
    assert_eq!((&welcome["state"]["status"], &welcome["state"]["open"]), (&json!("idle"), &json!(true)), "{welcome}");
    let contact = it_reaches_who_can_answer(&tab, &live, &anna_live).await;
    it_is_answered(&tab, &live, &bruno, &contact).await;
    both_see_what_the_other_does(&tab, &live, &contact).await;
    tabs_are_one_conversation(&citizen, &tab, &bruno, &contact).await;
    files_go_both_ways(&citizen, &tab, &bruno, &contact).await;
    it_ends_with_a_transcript(&house, &tab, &bruno, &contact).await;
    house.finish().await;
}

async fn nobody_is_there(house: &House) {
    let citizen = Citizen::about(house, "Luisa", "residenza").await;
    let (tab, welcome) = citizen.hello(None).await;
    assert_eq!(welcome["state"]["open"], false, "{welcome}");
    tab.write("a-1", "C'è qualcuno?").await;
    let waiting = tab.status("waiting").await;
    assert_eq!(waiting["open"], false, "{waiting}");
    tab.frame("nobody is there", |frame| frame["type"] == "unattended").await;
    tab.say(json!({ "type": "transcript", "email": "qualcuno@example.it" }));
    tab.refused("not_served").await;
    tab.say(json!({ "type": "end" }));
    let ended = tab.status("ended").await;
    assert_eq!(ended["reason"], "citizen", "{ended}");
    tab.say(json!({ "type": "message", "id": "a-2", "text": "Ancora una cosa" }));
    tab.refused("ended").await;
}

async fn it_reaches_who_can_answer(tab: &Tab, live: &Live, other: &Live) -> String {
    let first = tab.write("m-1", "Buongiorno <script>alert(1)</script>").await;
    let again = tab.write("m-1", "Buongiorno <script>alert(1)</script>").await;
    assert_eq!(first["message"], again["message"], "the same frame is the same message");
    tab.write("m-2", "Quanto pago di TARI?").await;
    let own = tab.message("Quanto pago di TARI?").await;
    assert_eq!((&own["from"], &own["client_id"]), (&json!("citizen"), &json!("m-2")), "{own}");
    let waiting = tab.frame("a place in the queue", |frame| frame["type"] == "state" && frame["position"] == 1).await;
    assert_eq!(waiting["status"], "waiting", "{waiting}");
    let (contact, ordinal) = live.offer(&[]).await;
    let reply = live.command(json!({ "do": "accept", "contact": contact, "ordinal": ordinal })).await;
    assert_eq!(reply["outcome"], "applied", "{reply}");
    let served = tab.status("served").await;
    assert_eq!(served["name"], "Bruno Gruber", "{served}");
    let delivered = own["seq"].as_i64().unwrap();
    tab.frame("the office has it", |frame| frame["type"] == "mark" && frame["delivered"].as_i64() >= Some(delivered)).await;
    assert!(!other.has_offer(), "it takes somebody who knows taxes");
    contact
}

async fn it_is_answered(tab: &Tab, live: &Live, bruno: &Person, contact: &str) {
    let html = "<p>Circa <b>120 €</b></p>";
    let sent = bruno.post(&format!("/contacts/{contact}/reply"), json!({ "text": html })).await;
    let message = tab.message(html).await;
    assert_eq!((&message["from"], &message["name"]), (&json!("operator"), &json!("Bruno Gruber")), "{message}");
    assert_eq!(message["id"], sent["message"]);
    // the browser answered a ping after it: it has arrived
    live.frame("it has arrived", |frame| frame["event"]["event"] == "message.delivered" && frame["event"]["message"] == sent["message"])
        .await;
    tab.frame("the answer shows that it was read", |frame| frame["type"] == "mark" && frame["read"].as_i64() > Some(0)).await;
    tab.say(json!({ "type": "read", "seq": message["seq"] }));
    live.frame("it was read", |frame| frame["type"] == "read" && frame["message"] == sent["message"]).await;
    let entries = bruno.entries(&bruno.get(&format!("/contacts/{contact}")).await).await;
    let entry = entries.iter().find(|entry| entry["id"] == sent["message"]).unwrap();
    assert_eq!(entry["read"], true, "a console that is opened later shows it too: {entry}");
}

async fn both_see_what_the_other_does(tab: &Tab, live: &Live, contact: &str) {
    tab.say(json!({ "type": "typing", "on": true }));
    live.frame("the citizen types", |frame| frame["type"] == "typing" && frame["contact"] == contact).await;
    let accepted = tab.write("m-3", "Grazie! E la scadenza?").await;
    let seq = tab.message("Grazie! E la scadenza?").await["seq"].as_i64();
    live.event("message.received", contact).await;
    // one on the heels of the other, and neither is lost
    live.say(json!({ "type": "typing", "contact": contact, "on": true }));
    live.say(json!({ "type": "read", "contact": contact, "message": accepted["message"] }));
    let typing = tab.frame("the operator types", |frame| frame["type"] == "typing").await;
    assert_eq!(typing["name"], "Bruno Gruber");
    tab.frame("the operator has seen it", |frame| frame["type"] == "mark" && frame["read"].as_i64() >= seq).await;
}

async fn tabs_are_one_conversation(citizen: &Citizen, tab: &Tab, bruno: &Person, contact: &str) {
    let (second, welcome) = citizen.hello(None).await;
    assert_eq!(second.texts(), tab.texts(), "a new tab has everything");
    assert!(welcome["marks"]["read"].as_i64() > Some(0), "{welcome}");
    let seen = second.last_seq();
    drop(second);
    bruno.post(&format!("/contacts/{contact}/reply"), json!({ "text": "Il 16 dicembre" })).await;
    tab.message("Il 16 dicembre").await;
    let (resumed, welcome) = citizen.hello(Some(seen)).await;
    assert_eq!(resumed.texts(), ["Il 16 dicembre"], "only what it missed: {welcome}");
    resumed.write("m-4", "Perfetto").await;
    tab.message("Perfetto").await;
    let texts = tab.texts();
    assert_eq!(texts.len(), texts.iter().collect::<std::collections::BTreeSet<_>>().len(), "nothing twice: {texts:?}");
}

async fn files_go_both_ways(citizen: &Citizen, tab: &Tab, bruno: &Person, contact: &str) {
    let upload = |kind: &'static str, bytes: Vec<u8>| {
        let request =
            citizen.request(reqwest::Method::POST, "/files").header("x-file-name", "bolletta%20tari.pdf").header("content-type", kind);
        async move { request.body(bytes).send().await.unwrap() }
    };
    assert_eq!(upload("application/x-msdownload", b"MZ".to_vec()).await.status(), 415);
    assert_eq!(upload("application/pdf", vec![0; 11 * 1024 * 1024]).await.status(), 413);
    let uploaded: Value = upload("application/pdf", b"%PDF-1.7 prova".to_vec()).await.json().await.unwrap();
    assert_eq!((&uploaded["name"], &uploaded["bytes"]), (&json!("bolletta tari.pdf"), &json!(14)), "{uploaded}");
    tab.say(json!({ "type": "message", "id": "m-5", "text": "", "files": ["ms_00.0"] }));
    tab.refused("bad_file").await;
    tab.say(json!({ "type": "message", "id": "m-6", "text": "Ecco la bolletta", "files": [uploaded["file"]] }));
    tab.accepted("m-6").await;
    let message = tab.message("Ecco la bolletta").await;
    let file = text(&message["files"][0]["file"]);
    let fetched = citizen.request(reqwest::Method::GET, &format!("/files/{file}")).send().await.unwrap();
    assert_eq!(fetched.headers()["content-disposition"], "attachment; filename*=UTF-8''bolletta%20tari.pdf");
    assert_eq!(fetched.headers()["x-content-type-options"], "nosniff");
    assert_eq!(fetched.bytes().await.unwrap().as_ref(), b"%PDF-1.7 prova");
    let stranger = Citizen { token: "x".into(), ..citizen.clone() };
    assert_eq!(stranger.request(reqwest::Method::GET, &format!("/files/{file}")).send().await.unwrap().status(), 401);
    let entries = bruno.entries(&bruno.get(&format!("/contacts/{contact}")).await).await;
    assert!(entries.iter().any(|entry| entry["attachments"][0]["name"] == "bolletta tari.pdf"), "{entries:?}");
}

async fn it_ends_with_a_transcript(house: &House, tab: &Tab, bruno: &Person, contact: &str) {
    tab.say(json!({ "type": "transcript", "email": "nowhere" }));
    tab.refused("bad_email").await;
    for email in ["sbagliata@example.it", "mario@example.it"] {
        tab.say(json!({ "type": "transcript", "email": email }));
        tab.accepted("transcript").await;
    }
    tab.say(json!({ "type": "transcript", "email": "terza@example.it" }));
    tab.refused("too_many_addresses").await;
    bruno.post(&format!("/contacts/{contact}/close"), json!({ "resolution": "resolved", "topic": "tari" })).await;
    let ended = tab.status("ended").await;
    assert_eq!(ended["reason"], "operator", "{ended}");
    tab.say(json!({ "type": "message", "id": "m-7", "text": "Ancora io" }));
    tab.refused("ended").await;
    let mail = eventually("the transcript arrives", async || house.mails().into_iter().find(|mail| mail.contains("La sua chat"))).await;
    assert!(mail.contains("mario@example.it"), "{mail}");
    assert!(!house.mails().iter().any(|mail| mail.contains("sbagliata@") || mail.contains("terza@")), "only where it was wanted last");
}

on_both_pairs!(story);
