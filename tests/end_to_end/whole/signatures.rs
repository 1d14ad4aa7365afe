//! What Twilio's own library signs reaches us by a proxy, which calls us by another name, port and path than Twilio called: believed is
//! what was signed for the public address, as a form, as JSON or with a shared key, and nothing that somebody changed.

use serde_json::{Value, json};

use super::sms::own;
use crate::daemon::{House, Pair, eventually};
use crate::people::Person;
use crate::sms_peer::{peer, post};
use crate::twilio::{TOKEN, Twilio};

/// What Twilio calls. The proxy takes the path away.
const PUBLIC: &str = "https://contatti.comune.example/cittadini";
const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";

fn fields(id: &str, words: &str) -> Value {
    json!({"MessageSid": id, "From": "+393331234567", "To": "+390471000001", "Body": words, "NumMedia": "0", "SmsStatus": "received"})
}

fn form(fields: &Value) -> String {
    let pairs = fields.as_object().unwrap().iter().map(|(name, value)| (name, value.as_str().unwrap()));
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

/// Headers as a proxy hands them on, which anybody can write: what they say of the address is not believed.
fn by_proxy(mut headers: Value, host: &str) -> Value {
    let more = [("host", "10.8.0.7:8081"), ("x-forwarded-proto", "https"), ("x-forwarded-host", host), ("x-forwarded-for", "203.0.113.9")];
    headers.as_object_mut().unwrap().extend(more.map(|(name, value)| (name.to_owned(), json!(value))));
    headers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_a_proxy_the_public_address_is_what_is_signed() {
    let twilio = Twilio::start().await;
    let mut house = House::with(Pair::Embedded, &twilio.settings("urp-sms")).await;
    let inside = format!("{}/sms/v1/urp-sms", house.at.public);
    house.terminate().await;
    let file = house.folder.path().join("settings.toml");
    let settings = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{settings}\n[public]\nurl = \"{PUBLIC}\"\n")).unwrap();
    house.up().await;
    let anna = Person::sign_in(&house, "anna").await;
    let _live = anna.ready().await;

    let called = format!("{PUBLIC}/sms/v1/urp-sms");
    let with_port = called.replace("example/", "example:443/");
    for (id, signed_for, words, expected) in [
        ("SM1", &called, "Un modulo", 204),
        ("SM2", &with_port, "Con la porta", 204),
        // what we were called by, and what the proxy is said to have been called by
        ("SM3", &inside, "No", 403),
        ("SM4", &called.replace("https", "http"), "No", 403),
        ("SM5", &called.replace("contatti", "altro"), "No", 403),
        ("SM6", &called.replace("/cittadini", ""), "No", 403),
    ] {
        let fields = fields(id, words);
        let host = if id == "SM5" { "altro.comune.example" } else { "contatti.comune.example" };
        let headers = by_proxy(peer(&["twilio", signed_for, TOKEN], &fields.to_string()).await, host);
        assert_eq!(post(&inside, &headers, FORM, form(&fields)).await, expected, "signed for {signed_for}");
        let changed = form(&fields).replace("SM", "SX");
        assert_eq!(post(&inside, &headers, FORM, changed).await, 403, "changed, signed for {signed_for}");
    }

    let shared = fields("SM7", "Con la chiave condivisa");
    let mut headers = by_proxy(peer(&["twilio-shared", &called, TOKEN], &shared.to_string()).await, "contatti.comune.example");
    assert_eq!(post(&inside, &headers, FORM, form(&shared)).await, 204);
    assert_eq!(post(&inside, &headers, FORM, form(&shared).replace("SM7", "SM8")).await, 403);
    headers.as_object_mut().unwrap().remove("x-twilio-webhooks-signature-settings");
    assert_eq!(post(&inside, &headers, FORM, form(&shared)).await, 403, "as if by SHA-1");

    let body = fields("SM9", "Perché in JSON? 👋").to_string();
    let signed = peer(&["twilio-json", &called, TOKEN], &body).await;
    let (_, query) = signed["url"].as_str().unwrap().split_once('?').unwrap();
    let other = peer(&["twilio-json", &called, TOKEN], &body.replace("SM9", "SM10")).await;
    let (_, other_query) = other["url"].as_str().unwrap().split_once('?').unwrap();
    let headers = by_proxy(signed["headers"].clone(), "contatti.comune.example");
    for (what, query, body, expected) in [
        ("as it was signed", query, body.clone(), 204),
        ("another body", query, body.replace("SM9", "SM10"), 403),
        ("another body, with its digest", other_query, body.replace("SM9", "SM10"), 403),
        ("the digest of another body", other_query, body.clone(), 403),
        ("no digest", "", body.clone(), 403),
    ] {
        assert_eq!(post(&format!("{inside}?{query}"), &headers, JSON, body).await, expected, "{what}");
    }

    let contact = own(&anna).await;
    let words = eventually("all that were believed have come", async || {
        let entries = anna.entries(&contact).await;
        let words: Vec<String> = entries.iter().filter_map(|entry| entry["text"].as_str()).map(str::to_owned).collect();
        words.iter().any(|words| words == "Perché in JSON? 👋").then_some(words)
    })
    .await;
    assert_eq!(words, ["Un modulo", "Con la porta", "Con la chiave condivisa", "Perché in JSON? 👋"]);
    house.finish().await;
}
