//! Bad input at every door: it is refused, or kept, and the daemon goes on.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::daemon::{House, Pair, eventually};
use crate::people::{Person, Program, letter, mail, text};

async fn story(pair: Pair) {
    let house = House::start(pair).await;
    let carla = Person::sign_in(&house, "carla").await;
    the_channel_api(&house).await;
    the_desk(&house).await;
    mail_nobody_wants(&house).await;
    hostile_mail_is_a_contact_all_the_same(&house, &carla).await;
    if house.production.is_some() {
        keys_of_nobody(&house, &carla).await;
    }
    letter(&house, "mario@example.it", "urp@comune.example", "Ancora qui", "Funziona?").await;
    waiting(&carla, "Ancora qui").await;
    house.finish().await;
}

/// The contact with this subject, wherever it is.
async fn waiting(carla: &Person, subject: &str) -> Value {
    eventually(&format!("`{subject}` is a contact"), async || {
        let contacts = carla.get("/contacts?limit=100").await;
        contacts["items"].as_array()?.iter().find(|contact| contact["subject"] == subject).cloned()
    })
    .await
}

async fn the_channel_api(house: &House) {
    let program = Program::new(house, &house.token);
    let long = json!({ "external_id": "lungo", "text": "a".repeat(40_000) }).to_string();
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    for (body, status) in [
        ("{".to_owned(), 400),
        ("\u{0}".to_owned(), 400),
        ("[]".to_owned(), 422),
        ("{\"external_id\": 7}".to_owned(), 422),
        ("{\"external_id\": \"a\\u0000b\"}".to_owned(), 422),
        (long, 422),
    ] {
        let (found, answer) = program.send("/contacts", body.clone()).await;
        assert_eq!(found, status, "{} → {answer}", &body[..body.len().min(60)]);
        assert!(answer["code"].is_string(), "{answer}");
    }
    let huge = json!({ "external_id": "enorme", "text": "a".repeat(3_000_000) }).to_string();
    assert_eq!(oversize(house, "/channel/v1/contacts", &huge).await, "413");
    let (status, answer) = program.send("/contacts", deep).await;
    assert!(matches!(status, 400 | 413 | 422), "{status} {answer}");
    let (status, _) = Program::new(house, "sp_nessuno_di_nessuno").send("/contacts", "{}").await;
    assert_eq!(status, 401);
}

/// Posts more than the server wants to read; the status it answers, even if it hangs up while we still write.
async fn oversize(house: &House, path: &str, body: &str) -> String {
    let address = house.at.desk.trim_start_matches("http://");
    let (mut reading, mut writing) = TcpStream::connect(address).await.unwrap().into_split();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        house.token,
        body.len()
    );
    let request = head + body;
    let write = tokio::spawn(async move { writing.write_all(request.as_bytes()).await });
    let mut answer = Vec::new();
    let mut buffer = [0; 1024];
    while !answer.contains(&b'\n') {
        let read = reading.read(&mut buffer).await.expect("an answer before the end");
        assert!(read > 0, "an answer before the end");
        answer.extend_from_slice(&buffer[..read]);
    }
    write.abort();
    String::from_utf8_lossy(&answer).split(' ').nth(1).unwrap().to_owned()
}

async fn the_desk(house: &House) {
    let client = reqwest::Client::new();
    let session = format!("{}/api/v1/session", house.at.desk);
    let post = |body: String| client.post(&session).header("content-type", "application/json").body(body).send();
    assert!(matches!(post("{".into()).await.unwrap().status().as_u16(), 400 | 422));
    assert_eq!(oversize(house, "/api/v1/session", &"a".repeat(20_000_000)).await, "413");
    let foreign = client.post(&session).header("origin", "https://altrove.example").json(&json!({ "login": "anna", "password": "x" }));
    assert_eq!(foreign.send().await.unwrap().status(), 403);
}

async fn mail_nobody_wants(house: &House) {
    let content = b"Subject: Nessuno\r\n\r\nciao";
    let answer = mail(house, "mario@example.it", "nessuno@comune.example", content).await;
    assert!(answer.starts_with("550"), "{answer}");
    let relayed = mail(house, "mario@example.it", "chiunque@altrove.example", content).await;
    assert!(relayed.starts_with("55"), "{relayed}");
}

/// A mail as hostile as its maker could think of.
fn hostile() -> Vec<(&'static str, Vec<u8>)> {
    let head = |subject: &str, kind: &str| {
        format!(
            "From: Mario <mario@example.it>\r\nTo: urp@comune.example\r\nSubject: {subject}\r\nMIME-Version: 1.0\r\nContent-Type: {kind}\r\n\r\n"
        )
    };
    let mut nested = head("Scatole", "multipart/mixed; boundary=b0");
    for number in 0..22_000 {
        nested.push_str(&format!("--b{number}\r\nContent-Type: multipart/mixed; boundary=b{}\r\n\r\n", number + 1));
    }
    let mut divs = head("Divisioni", "text/html; charset=utf-8");
    // Lines within SMTP's 998 characters.
    for _ in 0..2_000 {
        divs.push_str(&"<div>".repeat(110));
        divs.push_str("\r\n");
    }
    let mut zeros = head("Zeri", "text/plain").into_bytes();
    zeros.extend_from_slice(b"prima\0dopo\r\n\0\0\0\r\n");
    vec![("Scatole", nested.into_bytes()), ("Divisioni", divs.into_bytes()), ("Zeri", zeros)]
}

async fn hostile_mail_is_a_contact_all_the_same(house: &House, carla: &Person) {
    for (subject, content) in hostile() {
        let answer = mail(house, "mario@example.it", "urp@comune.example", &content).await;
        assert!(answer.starts_with("250"), "{subject}: {answer}");
        let contact = waiting(carla, subject).await;
        let entries = carla.entries(&contact).await;
        assert_eq!(entries.len(), 1, "{subject}: {entries:?}");
        assert_eq!(entries[0]["has_raw"], true, "{subject}");
        let raw = format!("/messages/{}/raw", text(&entries[0]["id"]));
        assert_eq!(carla.status(&raw).await, 200, "{subject}");
    }
}

/// What came by a routing key that is nobody's, or is no CloudEvent, is kept for somebody to look at.
async fn keys_of_nobody(house: &House, carla: &Person) {
    let production = house.production.as_ref().unwrap();
    let body = json!({
        "specversion": "1.0", "id": "poison-key", "source": "/account/telefono", "type": "it.example.sportello.inbound.message.v1",
        "time": "2026-01-31T09:00:00Z",
        "data": { "account": "telefono", "provider_id": "x", "received_at": "2026-01-31T09:00:00Z" }
    });
    production.publish("main.atlantide.phone", "poison-key", body.to_string().as_bytes()).await;
    production.publish("main.comune.phone", "poison-text", b"\xff\xfe no JSON").await;
    production.publish("main.comune.fax", "poison-channel", body.to_string().as_bytes()).await;
    eventually("all three are in quarantine", async || {
        let held = carla.get("/quarantine").await;
        (held["items"].as_array()?.len() == 3).then_some(())
    })
    .await;
}

on_both_pairs!(story);
