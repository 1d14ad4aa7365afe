//! What a hostile browser may try: refused clearly, counted, and without harm to anybody else.

use serde_json::json;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{Frame, FrameHeader};

use crate::citizen::Citizen;
use crate::daemon::{House, Pair, eventually};

async fn story(pair: Pair) {
    let house = House::with(pair, "[webchat]\nsessions_per_minute = 40\nping_every = \"1s\"\n").await;
    let good = Citizen::about(&house, "Buona", "altro").await;
    let (witness, _) = good.hello(None).await;
    requests_that_are_refused(&house).await;
    sockets_that_are_closed(&house, &good).await;
    a_half_open_socket_is_lost(&house).await;
    floods_are_told_to_wait(&house).await;
    // all the while somebody else's chat works
    witness.write("w-1", "Io funziono").await;
    witness.message("Io funziono").await;
    eventually("every refusal is counted", async || {
        let figures = reqwest::get(format!("{}/metrics", house.at.metrics)).await.ok()?.text().await.ok()?;
        let is_counted = |reason: &str| figures.contains(&format!("sportello_webchat_refused_total{{reason=\"{reason}\"}}"));
        ["binary", "too_large", "unreadable", "origin", "session", "too_long", "sessions"].into_iter().all(is_counted).then_some(())
    })
    .await;
    house.finish().await;
}

async fn requests_that_are_refused(house: &House) {
    let http = reqwest::Client::new();
    let url = format!("{}/chat/v1/urp-chat", house.at.public);
    let post = |body: String| http.post(format!("{url}/sessions")).header("content-type", "application/json").body(body).send();
    let person = |name: &str| json!({ "name": name, "privacy_accepted": true }).to_string();
    for (body, status) in [
        (person(&"x".repeat(1_000_000)), 413),
        (person(&"x".repeat(81)), 422),
        (person(" \u{0}\n"), 422),
        ("{".to_owned(), 422),
        (json!({ "name": "Mario" }).to_string(), 422),
        (json!({ "name": "Mario", "privacy_accepted": true, "email": "x\r\nBcc: y@example.it" }).to_string(), 422),
        (json!({ "name": "Mario", "privacy_accepted": true, "topic": "altrove" }).to_string(), 422),
    ] {
        let shown: String = body.chars().take(80).collect();
        assert_eq!(post(body).await.unwrap().status(), status, "{shown}");
    }
    let invalid = http.post(format!("{url}/sessions")).body(vec![0xff, 0xfe, b'{']).send().await.unwrap();
    assert_eq!(invalid.status(), 422, "not UTF-8");
    let foreign = http.get(format!("{url}/config")).header("origin", "https://evil.example").send().await.unwrap();
    assert_eq!((foreign.status().as_u16(), foreign.headers().get("access-control-allow-origin").is_none()), (403, true));
    for path in ["/chat/v1/nessuno/config", "/chat/v1/urp-mail/config", "/chat/../../etc/passwd", "/chat/nothing.js"] {
        assert_eq!(http.get(format!("{}{path}", house.at.public)).send().await.unwrap().status(), 404, "{path}");
    }
    assert_eq!(http.get(format!("{url}/files/x")).bearer_auth("x".repeat(4_000)).send().await.unwrap().status(), 401);
}

async fn sockets_that_are_closed(house: &House, good: &Citizen) {
    let hello = json!({ "type": "hello", "session": good.token, "after": null }).to_string();
    let not_utf8 = Message::Frame(Frame::from_payload(
        FrameHeader { opcode: OpCode::Data(Data::Text), mask: Some([1, 2, 3, 4]), ..FrameHeader::default() },
        vec![b'"', 0xff, 0xfe, b'"'].into(),
    ));
    let cases: Vec<(&str, Vec<Message>, u64)> = vec![
        ("a word before hello", vec![Message::text(r#"{"type":"end"}"#)], 4400),
        ("no JSON", vec![Message::text("ciao")], 4400),
        ("an unknown type", vec![Message::text(&hello), Message::text(r#"{"type":"shell"}"#)], 4400),
        ("hello twice", vec![Message::text(&hello), Message::text(&hello)], 4400),
        ("a binary frame", vec![Message::text(&hello), Message::binary(vec![1, 2, 3])], 1003),
        ("a frame too large", vec![Message::text(&hello), Message::text("x".repeat(65 * 1024))], 1009),
        ("text that is no UTF-8", vec![Message::text(&hello), not_utf8], 4400),
        ("an unknown session", vec![Message::text(json!({ "type": "hello", "session": "A".repeat(43) }).to_string())], 4401),
        ("a session too long", vec![Message::text(json!({ "type": "hello", "session": "A".repeat(4_000) }).to_string())], 4401),
    ];
    for (what, messages, code) in cases {
        let tab = good.socket(None).await;
        messages.into_iter().for_each(|message| tab.send(message));
        assert_eq!(tab.closed().await.0, Some(code), "{what}");
    }
    let foreign = good.socket(Some("https://evil.example")).await;
    assert_eq!(foreign.closed().await.0, Some(4403));
    let ours = good.socket(Some(&house.at.public)).await;
    ours.say(json!({ "type": "hello", "session": good.token }));
    ours.frame("the welcome", |frame| frame["type"] == "welcome").await;
    for (frame, code) in [
        (json!({ "type": "message", "id": "x-1", "text": "è".repeat(4_001) }), "too_long"),
        (json!({ "type": "message", "id": "x/1", "text": "id" }), "too_long"),
        (json!({ "type": "message", "id": "x-2", "text": "f", "files": ["a", "a", "a", "a", "a", "a"] }), "too_many"),
        (json!({ "type": "message", "id": "x-3", "text": "f", "files": ["eyJhIjoxfQ.AAAA"] }), "bad_file"),
        (json!({ "type": "leave_message", "id": "x-4", "text": "f", "email": "<x>" }), "bad_email"),
    ] {
        ours.say(frame);
        ours.refused(code).await;
    }
}

async fn a_half_open_socket_is_lost(house: &House) {
    let citizen = Citizen::about(house, "Galleria", "altro").await;
    let (tab, _) = citizen.hello(None).await;
    tab.write("g-1", "Entro in galleria").await;
    tab.fall_silent();
    eventually("it is lost", async || {
        let figures = reqwest::get(format!("{}/metrics", house.at.metrics)).await.ok()?.text().await.ok()?;
        let lost = figures.lines().find_map(|line| line.strip_prefix("sportello_webchat_sockets_cut_total{reason=\"lost\"} "))?;
        // others may be lost as well: a ping goes out every second
        (lost.parse::<f64>().unwrap() >= 1.0).then_some(())
    })
    .await;
    let (_tab, welcome) = citizen.hello(None).await;
    assert_eq!(welcome["messages"][0]["text"], "Entro in galleria", "{welcome}");
}

async fn floods_are_told_to_wait(house: &House) {
    let citizen = Citizen::about(house, "Piena", "altro").await;
    let (tab, _) = citizen.hello(None).await;
    for number in 0..200 {
        tab.say(json!({ "type": "message", "id": format!("f-{number}"), "text": "aaa" }));
    }
    let (code, reason) = tab.closed().await;
    assert_eq!(code, Some(4429));
    assert!(reason.parse::<u32>().is_ok(), "{reason} says how many seconds to wait");
    let accepted = tab.all().iter().filter(|frame| frame["type"] == "accepted").count();
    assert!(accepted < 60, "{accepted}");
    let many = Citizen::about(house, "Molti", "altro").await;
    let mut tabs = Vec::new();
    for _ in 0..8 {
        tabs.push(many.hello(None).await.0);
    }
    let ninth = many.socket(None).await;
    ninth.say(json!({ "type": "hello", "session": many.token }));
    assert_eq!(ninth.closed().await.0, Some(4429), "eight tabs are enough");
    let url = format!("{}/chat/v1/urp-chat/sessions", house.at.public);
    let http = reqwest::Client::new();
    let body = json!({ "name": "x", "privacy_accepted": true });
    eventually("one address opens no more chats", async || {
        (http.post(&url).json(&body).send().await.unwrap().status() == 429).then_some(())
    })
    .await;
}

on_both_pairs!(story);
